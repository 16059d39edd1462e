"""Ratings that the app offers or a visitor uploads, and mixtures fitted to them."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture, datasets
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._files import Upload, open_upload
from sklearn_gmmcf.app._fitting import FitBar
from sklearn_gmmcf.app._messages import Refusal
from sklearn_gmmcf.model_selection import hide_entries

MADE, MOVIELENS, UPLOAD = SOURCES = ["Made-up films", "MovieLens", "A CSV file"]
LOCAL = "MovieLens on this server"
RELEASES = ["latest-small", "100k", "1m"]
FAULTS = {
    MADE: "The films could not be made up. The log of the server has the reason.",
    UPLOAD: "The server could not read or fit this file. Try again later.",
    LOCAL: "The ratings on this server cannot be read. Choose other ratings.",
    MOVIELENS: "MovieLens could not be downloaded or read. Try again later, or choose "
    "other ratings.",
}
FIRST = "Amber Brave Crooked Distant Electric Frozen Gentle Hidden Ivory Jolly"
SECOND = "Anchor Bridge Comet Desert Engine Forest Garden Harbor Island Journey"
QUANTILE = 1.2816  # an 80 % interval is the mean -+ this many standard deviations
MAX_LEVELS = 11


@dataclass(frozen=True)
class Ratings:
    """Ratings, and how the page shows them."""

    X: Any  # sparse (n_users, n_items)
    names: Array  # (n_items,) of str
    order: list[int]  # items, the most often rated ones first
    levels: list[float]  # of the scale


@dataclass(frozen=True)
class FittedRatings:
    """A mixture of ratings, and what is known of its errors."""

    mixture: MaskedGaussianMixture
    measured: str
    crowd: Any  # sparse (n_shown, n_items), some users


def get_folder() -> str | None:
    """The folder of MovieLens that the operator offers."""
    return os.environ.get("SKLEARN_GMMCF_APP_FOLDER")


def check_size(upload: Upload, has_header: bool) -> None:
    """Refuse what would take too much time or memory, before it is loaded."""
    users: set[str] = set()
    items: set[str] = set()
    n_ratings = 0
    for line, fields in upload.records():
        if any(len(field) > _limits.MAX_FIELD for field in fields[:3]):
            raise Refusal(
                f"{upload.name}, line {line}: the user, item or rating has more than "
                f"{_limits.MAX_FIELD} characters."
            )
        if not fields or (has_header and line == 1):
            continue
        users.update(fields[:1])
        items.update(fields[1:2])
        n_ratings += 1
        for n, limit, kind in [
            (n_ratings, _limits.MAX_RATINGS, "ratings"),
            (len(users), _limits.MAX_USERS, "users"),
            (len(items), _limits.MAX_ITEMS, "items"),
        ]:
            if n > limit:
                raise Refusal(
                    f"{upload.name} has more than {limit:,} {kind}, and this page must "
                    "answer within seconds. Remove some users or rare items from the "
                    "file."
                )


def read_upload(name: str, content: bytes) -> Any:
    """Ratings of an uploaded file; the error names the bad line and the reason."""
    upload = open_upload(name, content)
    first = upload.text[: _limits.MAX_LINE].partition("\n")[0]
    has_header = not re.match(r"\W*\d", "".join(first.split(upload.delimiter)[2:3]))
    check_size(upload, has_header)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ratings.csv")
        path.write_text(upload.text, "utf-8", newline="")
        try:
            return datasets.load_ratings_csv(
                path,
                delimiter=upload.delimiter,
                header=has_header,
                duplicates="last",
            )
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error


# Ratings and fits are shared by all visitors and must not be changed: a mixture that
# learns from a visitor is a copy in the visitor's session.
@st.cache_resource(show_spinner="Loading ratings", max_entries=4)
def load(source: str, detail: Any) -> Ratings:
    """The ratings of a source: a release, a folder, or name and content of a file."""
    if source == MADE:
        ratings = datasets.make_ratings(1000, 100, density=0.2, random_state=5)
        ratings.data.data = np.round(2 * ratings.data.data) / 2
        ratings.titles = [f"The {a} {b}" for a in FIRST.split() for b in SECOND.split()]
    elif source == UPLOAD:
        ratings = read_upload(*detail)
        ratings.titles = ratings.item_ids
    elif source == LOCAL:
        ratings = datasets.load_movielens(detail)
    else:
        ratings = datasets.fetch_movielens(detail)
    X, names = ratings.data, np.array(ratings.titles).astype(str)
    levels = np.unique(X.data)
    if len(levels) > MAX_LEVELS:
        levels = np.linspace(levels[0], levels[-1], 9)
    order = np.argsort(-np.bincount(X.indices, minlength=len(names)), kind="stable")
    return Ratings(X, names, order.tolist(), levels.tolist())


@st.cache_resource(show_spinner=False, max_entries=8)
def fit(data: tuple[str, Any], n_types: int, kind: str) -> FittedRatings:
    """Fit a mixture to nine tenths of the ratings, and measure it on the others."""
    X, (rows, columns, values) = hide_entries(load(*data).X, random_state=0)
    mixture = MaskedGaussianMixture(n_types, covariance_type=kind, random_state=0)
    bar = FitBar(
        mixture.max_iter,
        "Choose fewer types of users, another covariance type, or fewer ratings.",
    )
    mixture.set_callbacks(bar).fit(X).set_callbacks()
    # One component predicts the mean of the column.
    means = (
        MaskedGaussianMixture(covariance_type="spherical")
        .fit(X)
        .complete(X, entries=(rows, columns))
    )
    predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    rmse, baseline = (np.sqrt(np.mean((a - values) ** 2)) for a in (predicted, means))
    coverage = np.mean(abs(predicted - values) < QUANTILE * std)
    measured = (
        f"Held-out error (RMSE) **{rmse:.3f}**, item means **{baseline:.3f}**; 80 % "
        f"intervals contain **{coverage:.1%}**."
    )
    return FittedRatings(mixture, measured, X[:300])


def make_row(rated: dict[int, float], n_items: int) -> Any:
    """Ratings of a visitor as a sparse row."""
    entries = [0] * len(rated), list(rated)
    return sparse.csr_array((list(rated.values()), entries), shape=(1, n_items))
