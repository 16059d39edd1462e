# SPDX-License-Identifier: BSD-3-Clause
"""The page of tables: missing entries, their completions, and how certain these are."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import streamlit as st
from matplotlib.figure import Figure

from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._messages import Pending, escape, telling
from sklearn_gmmcf.app._table_data import (
    FAULTS,
    SOURCES,
    UPLOAD,
    Completion,
    Filled,
    Table,
    complete,
    list_filled,
    load,
    make_houses,
    write_completed,
)
from sklearn_gmmcf.plotting import ImputationDisplay, MissingnessDisplay

COVERAGES = [0.5, 0.8, 0.9, 0.95]
MAX_PANELS = 6


def show() -> None:
    """Show the page."""
    st.title("Complete a table")
    with st.sidebar:
        source = st.radio("Table", SOURCES)
    with telling(source, FAULTS[source], is_visitors=True):
        with st.sidebar:
            name, content, mark = choose(source)
            table = load(name, content, mark)
            unmodeled = choose_unmodeled(table)
            coverage = st.select_slider(
                "Intervals hold the true value in",
                COVERAGES,
                value=0.9,
                format_func="{:.0%}".format,
            )
        upper, lower = (st.columns([1, 1], gap="large") for _ in range(2))
        with upper[0]:
            show_missing(table)
        with upper[1]:
            completion = complete(name, content, mark, tuple(unmodeled))
            filled = list(list_filled(table, completion, coverage))
            show_columns(completion, filled)
            offer_file(name, table, completion, filled)
    with lower[0]:
        show_filled(filled, coverage)
    with lower[1]:
        show_completed(completion, filled)


def choose(source: str) -> tuple[str, bytes, str]:
    """Ask for a file, and for what marks its missing entries."""
    if source != UPLOAD:
        return "houses.csv", make_houses(), ""
    file = st.file_uploader(
        "A table with names in its first line",
        type=["csv", "txt", "tsv"],
        max_upload_size=_limits.MAX_MB,
    )
    mark = st.text_input("Missing entries are empty, NA or", placeholder="?")
    if file is None:
        raise Pending("Choose in the sidebar which file to complete.")
    return file.name, file.getvalue(), mark or ""


def choose_unmodeled(table: Table) -> list[str]:
    """Ask which columns stay as they are."""
    names = list(table.frame)
    left = st.multiselect(
        "Columns that stay as they are",
        names,
        default=table.list_unmodeled(),
        help="At first columns without values, and text of many levels, such as ids.",
    )
    if len(set(names) - set(left)) == 0:
        raise Pending("All columns stay as they are: choose in the sidebar which do.")
    if not table.frame.drop(columns=left).isna().to_numpy().any():
        raise Pending("No entry is missing in the columns that the page completes.")
    return left


def show_missing(table: Table) -> None:
    """Draw which entries are missing."""
    n_missing = int(table.frame.isna().to_numpy().sum())
    st.subheader("Missing entries")
    st.markdown(
        f"{len(table.frame):,} rows, {table.frame.shape[1]} columns: "
        f"{n_missing:,} entries ({n_missing / table.frame.size:.1%}) are missing."
    )
    figure = Figure((5.5, 4.4), layout="constrained")
    MissingnessDisplay.from_data(table.frame, max_patterns=12, ax=figure.subplots())
    show_figure(figure, "Which entries are missing, and which of them together")


def show_columns(completion: Completion, filled: list[Filled]) -> None:
    """Show the kinds of the columns, and the errors that are to be expected."""
    imputer, frame = completion.imputer, completion.frame
    st.subheader("Expected errors")
    st.markdown(
        "Some observed entries were hidden and completed: the last column says how far "
        "off they were."
    )
    kinds = dict(zip(frame, imputer.encoder_.kinds_, strict=True))
    errors = dict(zip(frame, imputer.expected_error_, strict=True))
    lines = [
        {
            "Column": escape(each.name),
            "Kind": kinds[each.name],
            "Filled": len(each.rows),
            "Error": describe_error(errors[each.name], kinds[each.name]),
        }
        for each in filled
    ]
    st.table(pd.DataFrame(lines).set_index("Column"))


def describe_error(error: float, kind: str) -> str:
    """Words for the error that is expected in a column."""
    if not np.isfinite(error):
        return "unknown"
    if kind in ("category", "bool"):
        return f"{error:.0%} wrong"
    return f"± {error:.2g}" + " days" * (kind in ("date", "duration"))


def show_filled(filled: list[Filled], coverage: float) -> None:
    """List what was filled."""
    st.subheader("Filled entries")
    lines = pd.DataFrame(
        {
            "Row": np.concatenate([each.rows + 1 for each in filled]),
            "Column": np.repeat(
                [f.name for f in filled], [len(f.rows) for f in filled]
            ),
            "Filled with": [value for each in filled for value in each.values],
            "How certain": [text for each in filled for text in each.certainty],
        }
    ).sort_values("Row", kind="stable")
    n_shown = min(len(lines), _limits.MAX_SHOWN)
    st.markdown(
        f"{n_shown:,} of {len(lines):,} entries. The intervals of numbers should hold "
        f"the true value in {coverage:.0%} of cases."
    )
    st.dataframe(lines[:n_shown], hide_index=True, height=420)


def show_completed(completion: Completion, filled: list[Filled]) -> None:
    """Draw observed and filled values of the columns with most filled entries."""
    st.subheader("Observed and filled values")
    names = [each.name for each in sorted(filled, key=lambda each: -len(each.rows))]
    for first in range(0, min(len(names), MAX_PANELS), 2):
        figure = Figure((5.5, 2.4), layout="constrained")
        ImputationDisplay.from_tables(
            completion.frame,
            completion.completed,
            columns=names[first : first + 2],
            ax=figure.subplots(),
        )
        shown = " and ".join(names[first : first + 2])
        show_figure(figure, f"Shares of observed and filled values of {shown}")


def offer_file(
    name: str, table: Table, completion: Completion, filled: list[Filled]
) -> None:
    """Offer the completed file."""
    is_marked = st.checkbox("With columns that say which entries were filled")
    text = write_completed(table, filled, completion.marks if is_marked else None)
    stem = name.rpartition(".")[0] or name
    st.download_button(
        "Download the completed table",
        text,
        f"{stem}_completed.csv",
        on_click="ignore",
        type="primary",
    )


def show_figure(figure: Figure, alt: str) -> None:
    """Show a figure, as wide as its column."""
    figure.savefig(picture := io.BytesIO(), dpi=150)
    st.image(picture, width="stretch", alt=alt)
