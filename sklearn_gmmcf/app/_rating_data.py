# SPDX-License-Identifier: BSD-3-Clause
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
from sklearn_gmmcf.app._files import NUMBER, Upload, open_upload
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
ROLES = ("user", "item", "rating")
COLUMN_WORDS = {
    "rating": "rating|score|stars|vote|grade",
    "user": "user|customer|reader|member|person|rater",
    "title": "title|name",
    "item": "item|movie|film|book|product|song|track|isbn|game|artist",
}
QUANTILE = 1.2816  # an 80 % interval is the mean -+ this many standard deviations
MAX_LEVELS = 11


@dataclass(frozen=True)
class Ratings:
    """Ratings, and how the page shows them."""

    X: Any  # sparse (n_users, n_items)
    names: Array  # (n_items,) of str
    order: list[int]  # items, the most often rated ones first
    levels: list[float]  # of the scale
    good: float  # the least level that is good
    threshold: float  # halfway to the level below: where a good rating begins


@dataclass(frozen=True)
class FittedRatings:
    """A mixture of ratings, and what is known of its errors."""

    mixture: MaskedGaussianMixture
    rmse: float
    baseline: float  # RMSE of the item means
    coverage: float  # of 80 % intervals
    crowd: Any  # sparse (n_shown, n_items), some users


@dataclass(frozen=True)
class Head:
    """The first line of a file, and the columns that its names suggest."""

    line: int
    names: list[str]
    has_names: bool
    columns: tuple[int, int, int]  # of users, items and ratings
    titles: int | None


def get_folder() -> str | None:
    """The folder of MovieLens that the operator offers."""
    return os.environ.get("SKLEARN_GMMCF_APP_FOLDER")


@st.cache_resource(show_spinner=False, max_entries=4)
def read_head(name: str, content: bytes) -> Head:
    """Find out which columns a file has, and what they hold."""
    records = (each for each in open_upload(name, content).records() if each[1])
    line, fields = next(records, (0, []))
    names = [field.strip() for field in fields]
    if any(NUMBER.fullmatch(name) for name in names):
        return Head(line, names, False, (0, 1, 2), None)
    found: dict[str, int] = {}
    for role, words in COLUMN_WORDS.items():
        for j, name in enumerate(names):
            if j not in found.values() and re.search(words, name, re.IGNORECASE):
                found[role] = j
                break
    titles = found.pop("title", None)
    if len(names) <= len(ROLES):
        titles = None  # all columns are needed
    others = [
        j for j in range(max(len(names), 4)) if j not in (*found.values(), titles)
    ]
    columns = [found[role] if role in found else others.pop(0) for role in ROLES]
    return Head(line, names, True, (columns[0], columns[1], columns[2]), titles)


def read_titles(
    upload: Upload, head: Head, columns: tuple[int, int, int], titles: int | None
) -> dict[str, str]:
    """Titles of the items, if a column has them.

    Refuses what would take too much time or memory, before it is loaded.
    """
    found: dict[str, str] = {}
    users: set[str] = set()
    items: set[str] = set()
    n_ratings = 0
    shown = [*columns, *([] if titles is None else [titles])]
    for line, fields in upload.records():
        if any(len(fields[j]) > _limits.MAX_FIELD for j in shown if j < len(fields)):
            raise Refusal(
                f"{upload.name}, line {line}: the user, item, title or rating has more "
                f"than {_limits.MAX_FIELD} characters."
            )
        if not fields or (head.has_names and line == head.line):
            continue
        user, item = (fields[j : j + 1] for j in columns[:2])
        users.update(user)
        items.update(item)
        n_ratings += 1
        _check_numbers(upload.name, n_ratings, len(users), len(items))
        if titles is not None and titles < len(fields) and item:
            found.setdefault(item[0].strip(), fields[titles].strip())
    return found


def _check_numbers(name: str, n_ratings: int, n_users: int, n_items: int) -> None:
    for n, limit, kind in [
        (n_ratings, _limits.MAX_RATINGS, "ratings"),
        (n_users, _limits.MAX_USERS, "users"),
        (n_items, _limits.MAX_ITEMS, "items"),
    ]:
        if n > limit:
            raise Refusal(
                f"{name} has more than {limit:,} {kind}, and this page must answer "
                "within seconds. Remove some users or rare items from the file."
            )


def read_upload(
    name: str, content: bytes, columns: tuple[int, int, int], titles: int | None
) -> Any:
    """Ratings of an uploaded file; the error names the bad line and the reason."""
    upload = open_upload(name, content)
    head = read_head(name, content)
    names = read_titles(upload, head, columns, titles)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ratings.csv")
        path.write_text(upload.text, "utf-8", newline="")
        try:
            ratings = datasets.load_ratings_csv(
                path,
                columns=columns,
                delimiter=upload.delimiter,
                header=head.has_names,
                duplicates="last",
            )
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error
    ids = [str(item) for item in ratings.item_ids]
    ratings.titles = [names.get(item) or item for item in ids]
    return ratings


# Ratings and fits are shared by all visitors and must not be changed: a mixture that
# learns from a visitor is a copy in the visitor's session.
@st.cache_resource(show_spinner="Loading ratings", max_entries=4)
def load(source: str, detail: Any) -> Ratings:
    """The ratings of a source: a release, a folder, or what `read_upload` takes."""
    if source == MADE:
        ratings = datasets.make_ratings(1000, 100, density=0.2, random_state=5)
        ratings.data.data = np.round(ratings.data.data)
        ratings.titles = [f"The {a} {b}" for a in FIRST.split() for b in SECOND.split()]
    elif source == UPLOAD:
        ratings = read_upload(*detail)
    elif source == LOCAL:
        ratings = datasets.load_movielens(detail)
    else:
        ratings = datasets.fetch_movielens(detail)
    X, names = ratings.data, np.array(ratings.titles).astype(str)
    levels = np.unique(X.data)
    is_exact = len(levels) <= MAX_LEVELS
    if not is_exact:
        levels = np.linspace(levels[0], levels[-1], 9)
    order = np.argsort(-np.bincount(X.indices, minlength=len(names)), kind="stable")
    good, threshold = choose_good(levels, is_exact)
    return Ratings(X, names, order.tolist(), levels.tolist(), good, threshold)


def choose_good(levels: Array, is_exact: bool) -> tuple[float, float]:
    """The least good level, and where ratings begin that are rounded to it.

    Of scales that end at 5, 4 is good; of others the levels above the middle.
    """
    middle = (levels[0] + levels[-1]) / 2
    k = int(np.argmax((levels > middle) | (levels == levels[-1])))
    if levels[-1] == 5 and 4 in levels:
        k = int(np.argmax(levels == 4))
    step = levels[k] - levels[k - 1] if k and is_exact else 0.0
    return float(levels[k]), float(levels[k] - step / 2)


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
    rmse, baseline = (
        float(np.sqrt(np.mean((each - values) ** 2))) for each in (predicted, means)
    )
    coverage = float(np.mean(abs(predicted - values) < QUANTILE * std))
    return FittedRatings(mixture, rmse, baseline, coverage, X[:300])


def make_row(rated: dict[int, float], n_items: int) -> Any:
    """Ratings of a visitor as a sparse row."""
    entries = [0] * len(rated), list(rated)
    return sparse.csr_array((list(rated.values()), entries), shape=(1, n_items))
