"""The page of ratings: recommendations, their uncertainty, and the visitor's type."""

from __future__ import annotations

import copy
import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from matplotlib.figure import Figure
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._messages import (
    Pending,
    Refusal,
    escape,
    quote_formula,
    telling,
)
from sklearn_gmmcf.app._rating_data import (
    FAULTS,
    LOCAL,
    MADE,
    MOVIELENS,
    QUANTILE,
    RELEASES,
    SOURCES,
    UPLOAD,
    FittedRatings,
    Ratings,
    fit,
    get_folder,
    load,
    make_row,
)
from sklearn_gmmcf.plotting import TypesDisplay


@dataclass(frozen=True)
class Choice:
    """What a visitor chose in the sidebar."""

    data: tuple[str, Any]
    n_types: int
    kind: str


def show() -> None:
    """Show the page."""
    st.title("Rate what you know")
    with st.sidebar:
        source = st.radio("Ratings", [*SOURCES, LOCAL] if get_folder() else SOURCES)
    with telling(source, FAULTS[source], is_visitors=source in (MADE, UPLOAD)):
        with st.sidebar:
            choice = choose(source)
        ratings = load(*choice.data)
        measured = st.empty()
        upper, lower = (st.columns([2, 3], gap="large") for _ in range(2))
        with upper[0]:
            rated = collect_ratings(ratings, hash(choice.data))
        fitted = fit(choice.data, choice.n_types, choice.kind)
        measured.markdown(fitted.measured)
    row = make_row(rated, len(ratings.names))
    key = f"folded {hash((choice.data, choice.n_types, choice.kind))}"
    mixture, message = st.session_state.get(key, (fitted.mixture, None))
    with upper[1]:
        show_recommendations(mixture, ratings, row)
        show_learning(fitted, row, ratings.names, key, message)
    show_types(lower, mixture, fitted, ratings, row)


def choose(source: str) -> Choice:
    """Ask which ratings to fit, and which mixture."""
    detail: Any = None
    if source == MOVIELENS:
        detail = st.selectbox("Release", RELEASES, index=None)
    elif source == LOCAL:
        detail = get_folder()
    elif source == UPLOAD:
        file = st.file_uploader(
            "User, item, rating",
            type=["csv", "txt", "tsv"],
            max_upload_size=_limits.MAX_MB,
        )
        detail = (file.name, file.getvalue()) if file else None
    # A browser may send what the lists do not offer.
    chosen = detail in RELEASES if source == MOVIELENS else detail
    if source != MADE and not chosen:
        raise Pending("Choose in the sidebar where the ratings are.")
    n_users, n_items = load(source, detail).X.shape
    is_small = n_users <= _limits.DENSE_USERS and n_items <= _limits.DENSE_ITEMS
    kinds = ["factor", "diag", "spherical"] + ["tied", "full"] * is_small
    n_types = st.slider("Types of users", 1, 12, 4)
    kind = st.selectbox("Covariance type", kinds)
    if kind not in kinds:
        raise Refusal("Choose one of the covariance types.")
    return Choice((source, detail), n_types, kind)


def collect_ratings(ratings: Ratings, key: int) -> dict[int, float]:
    """Ask for ratings: they, by items."""
    names = ratings.names
    found, listed = f"found {key}", f"listed {key}"
    st.selectbox(
        "Search by name",
        ratings.order,
        key=found,
        index=None,
        format_func=names.item,
        on_change=add_item,
        args=(found, listed),
    )
    items = st.session_state.get(listed, [])
    if not items:
        st.info("Find items and rate them: the page changes with each rating.")
    given = {
        j: st.pills(
            escape(names[j]),
            ratings.levels,
            key=f"{key} {j}",
            format_func="{:g}".format,
        )
        for j in items
    }
    return {j: value for j, value in given.items() if value is not None}


def add_item(found: str, listed: str) -> None:
    """Put the found item first in the list, and clear the search."""
    item, st.session_state[found] = st.session_state[found], None
    others = [other for other in st.session_state.get(listed, []) if other != item]
    st.session_state[listed] = [item, *others]


def show_recommendations(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any
) -> None:
    """Show the best items for a row, and offer them as a file."""
    st.subheader("For you" if row.nnz else "For anybody")
    items, values, std = (a[0] for a in mixture.recommend(row, return_std=True))
    bounds = np.array([values, values - QUANTILE * std, values + QUANTILE * std])
    bounds = np.clip(bounds, ratings.levels[0], ratings.levels[-1])[:, items >= 0]
    found = pd.DataFrame(bounds.T, columns=["prediction", "low_80", "high_80"])
    found.insert(0, "item", ratings.names[items[items >= 0]])
    table = found.set_axis(["Item", "Prediction", "80 % from", "to"], axis=1)
    st.table(table.style.format({"Item": escape}, precision=2))
    found["item"] = found["item"].map(quote_formula)
    text = found.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    st.download_button("Download", text, "recommendations.csv", on_click="ignore")


def show_learning(
    fitted: FittedRatings, row: Any, names: Array, key: str, message: str | None
) -> None:
    """Offer to let the mixture learn from the row."""
    st.button(
        "Fold my ratings in",
        on_click=fold_in,
        args=(fitted.mixture, row, names, key),
        disabled=not row.nnz,
    )
    if message:
        st.success(message)


def fold_in(shared: MaskedGaussianMixture, row: Any, names: Array, key: str) -> None:
    """Let a copy of the shared fit learn from the row; more clicks change nothing."""
    mixture = copy.deepcopy(shared).partial_fit(row)
    before, after = shared.complete(row)[0], mixture.complete(row)[0]
    j = np.argmax(abs(after - before))
    message = (
        f"The model has learned from your ratings ({row.nnz}), for you alone. Its most "
        f"changed prediction: {escape(names[j])}, {before[j]:.3f} to {after[j]:.3f}."
    )
    st.session_state[key] = mixture, message


def show_types(
    columns: Any,
    mixture: MaskedGaussianMixture,
    fitted: FittedRatings,
    ratings: Ratings,
    row: Any,
) -> None:
    """Show the probabilities of the types of users, and a picture of them."""
    figure = Figure((5.5, 4.4), layout="constrained")
    options: dict[str, Any] = {
        "show": "items",
        "feature_names": ratings.names,
        "ax": figure.subplots(),
    }
    if has_map := hasattr(mixture, "components_"):
        X = sparse.vstack([fitted.crowd, row])
        options |= {"X": X, "highlight": X.shape[0] - 1, "show": "map"}
    display = TypesDisplay.from_estimator(mixture, **options)
    with columns[0]:
        st.subheader("Your type of user")
        shares = mixture.predict_proba(row)[0].clip(0, 1)
        for k in np.argsort(-shares):
            likes = ", ".join(escape(ratings.names[j]) for j in display.items[k][:3])
            st.progress(shares[k], f"**Type {k}: {shares[k]:.0%}** likes {likes}")
    with columns[1]:
        st.subheader("The star is you" if has_map else "Items that types like")
        figure.savefig(picture := io.BytesIO(), dpi=150)
        st.image(picture, width="stretch", alt="The same types in a picture")
