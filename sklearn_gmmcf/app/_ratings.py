# SPDX-License-Identifier: BSD-3-Clause
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
    ROLES,
    SOURCES,
    UPLOAD,
    FittedRatings,
    Ratings,
    fit,
    get_folder,
    load,
    make_row,
    read_head,
)
from sklearn_gmmcf.plotting import TypesDisplay

LIKED, CHOSEN = ORDERS = ["Likely good", "Likely chosen and good"]
N_ITEMS = 10
N_REASONS = 4
N_SIMILAR = 5


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
        upper, lower = (st.columns([1, 1], gap="large") for _ in range(2))
        with upper[0]:
            rated = collect_ratings(ratings, hash(choice.data))
        fitted = fit(choice.data, choice.n_types, choice.kind)
        measured.markdown(describe_errors(fitted))
    row = make_row(rated, len(ratings.names))
    with upper[0]:
        mixture = learn(fitted.mixture, row, ratings.names)
    with upper[1]:
        items = show_recommendations(mixture, ratings, row)
    with lower[0]:
        show_item(mixture, ratings, row, items)
    # Drawing takes longest.
    likes, picture = draw_types(mixture, fitted, ratings, row)
    with upper[0]:
        show_types(mixture, fitted, ratings, row, likes)
    with lower[1]:
        st.subheader(name_picture(mixture, row))
        st.image(picture, width="stretch", alt="The types of users in a picture")


def choose(source: str) -> Choice:
    """Ask which ratings to fit, and which mixture."""
    detail: Any = None
    if source == MOVIELENS:
        detail = st.selectbox("Release", RELEASES, index=None)
    elif source == LOCAL:
        detail = get_folder()
    elif source == UPLOAD:
        detail = choose_upload()
    # A browser may send what the lists do not offer.
    chosen = detail in RELEASES if source == MOVIELENS else detail
    if source != MADE and not chosen:
        raise Pending("Choose in the sidebar where the ratings are.")
    n_users, n_items = load(source, detail).X.shape
    is_small = n_users <= _limits.DENSE_USERS and n_items <= _limits.DENSE_ITEMS
    kinds = ["factor", "diag", "spherical"] + ["tied", "full"] * is_small
    n_types = st.slider("Types of users", 1, 12, 2)
    kind = st.selectbox("Covariance type", kinds)
    if kind not in kinds:
        raise Refusal("Choose one of the covariance types.")
    return Choice((source, detail), n_types, kind)


def choose_upload() -> tuple[Any, ...] | None:
    """Ask for a file, and which of its columns are which."""
    file = st.file_uploader(
        "A table of ratings",
        type=["csv", "txt", "tsv"],
        max_upload_size=_limits.MAX_MB,
    )
    if file is None:
        return None
    content = file.getvalue()
    head = read_head(file.name, content)
    if len(head.names) < len(ROLES):
        return file.name, content, head.columns, None
    labels = [
        name if head.has_names else f"Column {j}: {name}"
        for j, name in enumerate(head.names, start=1)
    ]
    options = list(range(len(labels)))
    key = f"{hash((file.name, content))}"
    chosen = [
        st.selectbox(
            f"Column of {role}s",
            options,
            head.columns[j],
            format_func=labels.__getitem__,
            key=f"{role} {key}",
        )
        for j, role in enumerate(ROLES)
    ]
    untitled = [None, *options]
    titles = st.selectbox(
        "Column of titles of items",
        untitled,
        untitled.index(head.titles),
        format_func=lambda j: "none" if j is None else labels[j],
        key=f"title {key}",
    )
    if len(set(chosen)) < len(ROLES):
        raise Refusal("Users, items and ratings should be in three different columns.")
    return file.name, content, tuple(chosen), titles


def describe_errors(fitted: FittedRatings) -> str:
    """Words for the errors on held-out ratings."""
    return (
        f"Held-out error (RMSE) **{fitted.rmse:.3f}**, item means "
        f"**{fitted.baseline:.3f}**; 80 % intervals contain **{fitted.coverage:.1%}**."
    )


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
            wrap=True,
        )
        for j in items
    }
    return {j: value for j, value in given.items() if value is not None}


def add_item(found: str, listed: str) -> None:
    """Put the found item first in the list, and clear the search."""
    item, st.session_state[found] = st.session_state[found], None
    others = [other for other in st.session_state.get(listed, []) if other != item]
    st.session_state[listed] = [item, *others]


def learn(
    shared: MaskedGaussianMixture, row: Any, names: Array
) -> MaskedGaussianMixture:
    """Offer to learn from the row: a copy of the shared mixture that did.

    It is a copy of the shared mixture each time, so that a changed rating takes the
    place of the one before.
    """
    wanted = st.toggle("Fold my ratings in", disabled=not row.nnz)
    if not wanted or not row.nnz:
        return shared
    mixture = copy.deepcopy(shared).partial_fit(row)
    before, after = shared.complete(row)[0], mixture.complete(row)[0]
    j = np.argmax(abs(after - before))
    st.caption(
        f"The model has learned from your ratings ({row.nnz}), for you alone. Its most "
        f"changed prediction: {escape(names[j])}, {before[j]:.3f} to {after[j]:.3f}."
    )
    return mixture


def show_recommendations(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any
) -> list[int]:
    """Show the best items for a row, offer them as a file, and return them."""
    st.subheader("For you" if row.nnz else "For anybody")
    order: str | None = LIKED
    if mixture.covariance_type == "factor":
        order = st.segmented_control(
            "Order", ORDERS, default=LIKED, required=True, label_visibility="collapsed"
        )
    found = find_items(mixture, ratings, row, order == CHOSEN)
    good = f"≥ {ratings.good:g}"
    st.markdown(
        f"The chance that you rate {ratings.good:g} or more, and the range of your "
        "rating in 80 % of cases."
    )
    table = found.drop(columns="prediction").set_axis(
        ["Item", good, "From", "To"], axis=1
    )
    formats = {"Item": escape, good: "{:.0%}".format}
    shown = table.reset_index(drop=True).style.format(formats, precision=1)
    st.table(shown, hide_index=True)
    items = found.index.tolist()
    found["item"] = found["item"].map(quote_formula)
    text = found.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    st.download_button("Download", text, "recommendations.csv", on_click="ignore")
    return items


def find_items(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any, by_choice: bool
) -> pd.DataFrame:
    """The best items, their chances to be good, predictions, and intervals."""
    if by_choice:
        items = mixture.recommend(
            row, N_ITEMS, rank_by="utility", threshold=ratings.threshold
        )[0][0]
        items = items[items >= 0]
        chances = measure_chances(mixture, ratings, row, items)
    else:
        items = np.setdiff1d(np.arange(row.shape[1]), row.indices)
        chances = measure_chances(mixture, ratings, row, items)
        best = np.argsort(-chances, kind="stable")[:N_ITEMS]
        items, chances = items[best], chances[best]
    entries = np.zeros(len(items), dtype=int), items
    values, std = mixture.complete(row, entries=entries, return_std=True)
    ends = np.clip(
        [values, values - QUANTILE * std, values + QUANTILE * std],
        ratings.levels[0],
        ratings.levels[-1],
    )
    columns = dict(zip(["prediction", "low_80", "high_80"], ends, strict=True))
    found = {"item": ratings.names[items], "chance": chances, **columns}
    return pd.DataFrame(found, index=items)


def measure_chances(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any, items: Array
) -> Array:
    """The probabilities that a visitor would rate items as good."""
    entries = np.zeros(len(items), dtype=int), items
    thresholds = np.full(len(items), ratings.threshold)
    return 1 - mixture.cdf_entries(row, entries, thresholds)


def show_item(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any, items: list[int]
) -> None:
    """Show why an item is recommended, and which items are similar."""
    st.subheader("A closer look")
    others = [j for j in ratings.order if j not in set(items)]
    item = st.selectbox("Item", [*items, *others], format_func=ratings.names.item)
    if item is None:
        return
    if item in row.indices:
        st.markdown("You rated it.")
    elif not row.nnz:
        st.markdown("Rate items, and the page says which of them speak for this one.")
    else:
        st.markdown(describe_reasons(mixture, ratings, row, item))
    similar, degrees = mixture.similar_items(item, N_SIMILAR)
    table = pd.DataFrame(
        {
            "Similar items": ratings.names[similar[similar >= 0]],
            "Similarity": degrees[similar >= 0],
        }
    )
    shown = table.style.format({"Similar items": escape}, precision=2)
    st.table(shown, hide_index=True)


def describe_reasons(
    mixture: MaskedGaussianMixture, ratings: Ratings, row: Any, item: int
) -> str:
    """What an item's prediction is made of, in words."""
    parts = mixture.explain(row, ([0], [item]))
    lines = [
        f"Predicted **{parts.prediction[0]:.2f}**; all users together "
        f"**{parts.base[0]:.2f}**.\n"
    ]
    by_item = parts.contributions.toarray()[0]
    order = np.argsort(-abs(by_item), kind="stable")
    for j in order[:N_REASONS]:
        if by_item[j]:
            word = "Because" if by_item[j] > 0 else "Although"
            name, rating = escape(ratings.names[j]), row[[0], [j]][0]
            lines.append(f"- {word} you rated {name} {rating:g}: **{by_item[j]:+.2f}**")
    for words, value in [
        ("The rest of your ratings", by_item[order[N_REASONS:]].sum()),
        ("Your type of user", parts.components.sum()),
        ("Which items you rated", parts.mask[0]),
    ]:
        if abs(value) >= 0.005:
            lines.append(f"- {words}: **{value:+.2f}**")
    return "\n".join(lines)


def name_picture(mixture: MaskedGaussianMixture, row: Any) -> str:
    """What the picture of the types shows."""
    if not hasattr(mixture, "components_"):
        return "Items that types like"
    return "The star is you" if row.nnz else "A map of tastes"


def draw_types(
    mixture: MaskedGaussianMixture, fitted: FittedRatings, ratings: Ratings, row: Any
) -> tuple[Any, io.BytesIO]:
    """Items that each type likes more than the others, and a picture of the types."""
    figure = Figure((5.5, 4.9), layout="constrained")
    options: dict[str, Any] = {
        "show": "items",
        "feature_names": ratings.names,
        "ax": figure.subplots(),
    }
    if hasattr(mixture, "components_"):
        X = sparse.vstack([fitted.crowd, row])
        options |= {"X": X, "highlight": X.shape[0] - 1, "show": "map"}
    display = TypesDisplay.from_estimator(mixture, **options)
    figure.savefig(picture := io.BytesIO(), dpi=150)
    return display.items, picture


def show_types(
    mixture: MaskedGaussianMixture,
    fitted: FittedRatings,
    ratings: Ratings,
    row: Any,
    likes: Any,
) -> None:
    """Show the probabilities of the types of users."""
    if len(mixture.weights_) == 1:
        return
    st.subheader("Your type of user" if row.nnz else "Types of users")
    shares = mixture.predict_proba(row)[0].clip(0, 1)
    for k in np.argsort(-shares):
        liked = ", ".join(escape(ratings.names[j]) for j in likes[k][:3])
        st.progress(shares[k], f"**Type {k}: {shares[k]:.0%}** likes {liked}")
    if alike := find_alike(mixture, fitted.rmse / 2):
        st.caption(
            f"Types {alike[0]} and {alike[1]} differ by {alike[2]:.2f} for a typical "
            "item, less than half the error of a prediction: choose fewer types."
        )


def find_alike(
    mixture: MaskedGaussianMixture, distance: float
) -> tuple[int, int, float] | None:
    """The two types that are closest, if they are closer than this distance."""
    gaps = mixture.means_[:, None] - mixture.means_
    distances = np.sqrt((gaps**2).mean(axis=-1))
    np.fill_diagonal(distances, np.inf)
    k, j = divmod(int(distances.argmin()), len(distances))
    closest = float(distances[k, j])
    return (min(k, j), max(k, j), closest) if closest < distance else None
