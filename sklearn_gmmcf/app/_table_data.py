# SPDX-License-Identifier: BSD-3-Clause
"""Tables that the app makes or a visitor uploads, and their completions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from sklearn_gmmcf import MixtureImputer
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._files import NUMBER, Upload, open_upload, write_lines
from sklearn_gmmcf.app._fitting import FitBar
from sklearn_gmmcf.app._messages import Refusal

MADE, UPLOAD = SOURCES = ["Made-up houses", "A CSV file"]
FAULTS = {
    MADE: "The table could not be made up. The log of the server has the reason.",
    UPLOAD: "The server could not read or complete this file. Try again later.",
}
MISSING = {"", "na", "n/a", "#n/a", "null", "nan"}
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?")
MAX_LEVELS = 20  # of text that is modeled
MAX_DECIMALS = 6


@dataclass(frozen=True)
class Table:
    """A table as its file has it, and as columns of numbers, dates and text."""

    cells: pd.DataFrame  # of str
    frame: pd.DataFrame
    delimiter: str

    def list_unmodeled(self) -> list[str]:
        """Columns that no mixture can complete: without values, or of free text."""
        return [name for name in self.frame if not _is_modeled(self.frame[name])]


@dataclass(frozen=True)
class Completion:
    """A completed table."""

    imputer: MixtureImputer
    frame: pd.DataFrame  # of the columns that are modeled
    completed: pd.DataFrame
    marks: pd.DataFrame  # bools, a column for each column with missing entries
    probabilities: dict[str, Array]  # of the levels (n_rows, n_levels), by name


@dataclass(frozen=True)
class Filled:
    """What was filled in a column."""

    name: str
    rows: Array
    values: list[str]
    certainty: list[str]


def read_table(name: str, content: bytes, mark: str) -> Table:
    """Read a file with a header; `mark` stands for missing entries, too."""
    upload = open_upload(name, content)
    names, rows = _read_rows(upload)
    cells = pd.DataFrame(rows, columns=names, dtype=object)
    missing = MISSING | {mark.strip().casefold()}
    frame = pd.DataFrame({each: _read_column(cells[each], missing) for each in names})
    return Table(cells, frame, upload.delimiter)


def _read_rows(upload: Upload) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the fields of all other lines."""
    names: list[str] = []
    rows: list[list[str]] = []
    for line, fields in upload.records():
        if not fields:
            continue
        if not names:
            names = _check_names(upload.name, [field.strip() for field in fields])
            max_rows = min(_limits.MAX_ROWS, _limits.MAX_CELLS // len(names))
            continue
        if len(fields) != len(names):
            raise Refusal(
                f"{upload.name}, line {line}: {len(fields)} fields, separated by "
                f"{upload.delimiter!r}, where the first line has {len(names)}."
            )
        rows.append(fields)
        if len(rows) > max_rows:
            raise Refusal(
                f"{upload.name} has more than {max_rows:,} rows, and this page must "
                f"complete {len(names)} columns within seconds. Remove some rows or "
                "columns from the file."
            )
    if len(rows) < 2:
        raise Refusal(
            f"{upload.name} should have a line of names and at least two rows, but has "
            f"{len(rows)}."
        )
    return names, rows


def _check_names(file: str, names: list[str]) -> list[str]:
    if len(names) > _limits.MAX_COLUMNS:
        raise Refusal(
            f"{file} has more than {_limits.MAX_COLUMNS} columns, the limit of this "
            "page. Remove some from the file."
        )
    for j, name in enumerate(names):
        if not name or name in names[:j]:
            fault = (
                f"has the name {name!r} twice" if name else "has a column of no name"
            )
            raise Refusal(f"{file}, line 1 {fault}. Columns should have unique names.")
    return names


def _read_column(cells: pd.Series, missing: set[str]) -> pd.Series:
    """Numbers, dates or text, by all cells that are not missing."""
    texts = cells.str.strip()
    observed = ~texts.str.casefold().isin(missing)
    values = texts[observed]
    if all(NUMBER.fullmatch(value) for value in values):
        return values.astype(np.float64).reindex(cells.index)
    if all(DATE.fullmatch(value) for value in values):
        dates = pd.to_datetime(values, format="ISO8601", errors="coerce")
        if dates.notna().all():
            return dates.reindex(cells.index)
    return texts.where(observed, None)


def _is_modeled(column: pd.Series) -> bool:
    values = column.dropna()
    if column.dtype.kind in "fM":
        return len(values) > 0
    return values.nunique() <= min(MAX_LEVELS, len(values) - 1)


def make_houses() -> bytes:
    """A file of made-up houses, whose columns tell of each other."""
    rng = np.random.default_rng(7)
    n = 300
    district = rng.integers(4, size=n)
    area = np.exp(rng.normal(np.array([4.3, 4.6, 4.9, 4.8])[district], 0.25))
    rooms = np.clip(np.round(area / 27 + rng.normal(0, 0.5, n)), 1, 9)
    built = np.round(rng.normal(np.array([1925, 1958, 1978, 1999])[district], 9))
    garden = rng.random(n) < np.array([0.05, 0.4, 0.8, 0.95])[district]
    price = area * np.array([4.1, 2.9, 2.6, 3.4])[district] + (built - 1960) * 0.8
    price += 25 * garden + rng.normal(0, 18, n)
    names = np.array(["Harbor", "Mill", "Hill", "Lake"])
    columns: list[Any] = [
        [f"H{i:03d}" for i in range(1, n + 1)],
        names[district],
        [f"{value:.0f}" for value in rooms],
        [f"{value:.1f}" for value in area],
        [f"{value:.0f}" for value in built],
        np.where(garden, "yes", "no"),
        [f"{value:.0f}" for value in price],
    ]
    shares = [0.0, 0.08, 0.1, 0.15, 0.2, 0.1, 0.2]
    lines = [["house", "district", "rooms", "area", "built", "garden", "price"]]
    hidden = rng.random((n, len(columns))) < shares
    for i in range(n):
        cells = [str(column[i]) for column in columns]
        lines.append(["" if h else c for c, h in zip(cells, hidden[i], strict=True)])
    return write_lines(lines, ",").encode()


# Tables and their completions are shared by all visitors and must not be changed.
@st.cache_resource(show_spinner="Reading the table", max_entries=4)
def load(name: str, content: bytes, mark: str) -> Table:
    """The table of a file."""
    return read_table(name, content, mark)


@st.cache_resource(show_spinner=False, max_entries=4)
def complete(
    name: str, content: bytes, mark: str, unmodeled: tuple[str, ...]
) -> Completion:
    """Complete a table but for some columns."""
    frame = load(name, content, mark).frame.drop(columns=list(unmodeled))
    imputer = MixtureImputer(add_indicator=True, random_state=0)
    imputer.set_output(transform="pandas")
    bar = FitBar(8, "Leave more columns as they are, or remove rows from the file.")
    imputer.set_callbacks(bar).fit(frame).set_callbacks()
    completed = imputer.transform(frame)
    d = frame.shape[1]
    return Completion(
        imputer,
        frame,
        completed.iloc[:, :d],
        completed.iloc[:, d:].astype(bool),
        imputer.complete_proba(frame),
    )


def list_filled(
    table: Table, completion: Completion, coverage: float
) -> Iterator[Filled]:
    """What was filled in each column, and how certain it is."""
    frame, imputer = completion.frame, completion.imputer
    ends = imputer.predict_interval(frame, coverage)
    for name in map(str, frame):
        rows = np.flatnonzero(frame[name].isna())
        if not len(rows):
            continue
        write = _make_writer(table.cells[name], frame[name])
        values = [write(value) for value in completion.completed[name].iloc[rows]]
        if name in completion.probabilities:
            best = completion.probabilities[name][rows].max(axis=1)
            certainty = [f"{share:.0%} likely" for share in best]
        else:
            lower, upper = (map(write, end[name].iloc[rows]) for end in ends)
            certainty = [f"{a} to {b}" for a, b in zip(lower, upper, strict=True)]
        yield Filled(name, rows, values, certainty)


def _make_writer(cells: pd.Series, column: pd.Series) -> Any:
    """A function that writes values of a column as the file writes the others."""
    texts = cells[column.notna()].str.strip()
    if column.dtype.kind == "M":
        has_time = texts.str.len().max() > len("2000-01-01")
        return lambda date: date.isoformat(" ") if has_time else f"{date:%Y-%m-%d}"
    if column.dtype.kind == "f":
        if texts.str.contains("e", case=False).any():
            return "{:.6g}".format
        n_decimals = int(texts.str.partition(".")[2].str.len().max())
        return f"{{:.{min(n_decimals, MAX_DECIMALS)}f}}".format
    return str


def write_completed(
    table: Table, filled: list[Filled], marks: pd.DataFrame | None
) -> str:
    """The file with its missing entries filled: all other cells stay as they are."""
    cells = table.cells.copy()
    for each in filled:
        cells.iloc[each.rows, cells.columns.get_loc(each.name)] = each.values
    if marks is not None:
        cells = pd.concat([cells, marks.astype(int).astype(str)], axis=1)
    return write_lines([list(cells), *cells.to_numpy().tolist()], table.delimiter)
