# SPDX-License-Identifier: BSD-3-Clause
"""The 'factor' family: accuracy on three sets of ratings and on tables, and its cost.

    python docs/benchmarks/factors.py FOLDER [SECTION ...]

FOLDER holds `ml-latest-small/ratings.csv.gz`, `ml-latest-small/movies.csv.gz`,
`jester5k/Jester5k.npz` and `netflix_incomplete.txt.gz` (MITx 6.86x). Predictions are
clipped to the range of the ratings; all sets have one setting; no setting is chosen by
the held-out entries. Sections are accuracy, features, new_items, normalized, passes,
cost and tables; all of them by default.
"""

import csv
import gzip
import re
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn import datasets
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.preprocessing import scale
from timing import clock, iteration, one_quiet_thread

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.covariance import Factor
from sklearn_gmmcf.model_selection import hide_entries
from sklearn_gmmcf.preprocessing import RowNormalizer

SETTING = {"covariance_type": "factor", "n_factors": 20, "random_state": 0}


@dataclass(frozen=True)
class OneSided(Factor):
    """'factor' whose mask informs either the rows or the columns alone."""

    side: str = "rows"

    def start(self, *args):
        p = super().start(*args)
        r, d = len(p.loadings) - 1, len(p.noise)
        if self.side == "rows":
            return replace(
                p,
                features=replace(p.features, columns=np.empty((0, d))),
                column_slopes=np.empty((r + 1, 0)),
                column_slope_precisions=np.empty(0),
            )
        features = replace(
            p.features,
            directions=np.empty((0, d)),
            centers=np.empty(0),
            inverse_scales=np.empty(0),
            row_regression=np.empty((0, 0)),
            row_covariance=np.empty((0, 0)),
        )
        return replace(
            p,
            features=features,
            row_slopes=np.empty((r, 0)),
            row_slope_variances=np.empty((r, 0)),
            row_slope_precisions=np.empty(0),
        )


def load_movielens(folder):
    """Users and items as indices, ratings, and the ids of the items."""
    table = np.loadtxt(
        folder / "ml-latest-small/ratings.csv.gz", delimiter=",", skiprows=1
    )
    _, rows = np.unique(table[:, 0], return_inverse=True)
    items, columns = np.unique(table[:, 1], return_inverse=True)
    return rows, columns, table[:, 2], items.astype(int)


def to_matrix(rows, columns, values, kept):
    shape = rows.max() + 1, columns.max() + 1
    return sparse.csr_array((values[kept], (rows[kept], columns[kept])), shape=shape)


def read_movielens(folder):
    rows, columns, values, _ = load_movielens(folder)
    for train, test in KFold(5, shuffle=True, random_state=0).split(values):
        X = to_matrix(rows, columns, values, train)
        yield X, (rows[test], columns[test]), values[test], (0.5, 5)


def read_genres_and_years(folder):
    """Features of the items of `read_movielens`, NaN where a title has no year."""
    *_, items = load_movielens(folder)
    path = folder / "ml-latest-small/movies.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        movies = {int(movie["movieId"]): movie for movie in csv.DictReader(file)}
    genres = [movies[item]["genres"].split("|") for item in items]
    names = sorted(set().union(*genres))
    years = [re.search(r"\((\d{4})\)\s*$", movies[item]["title"]) for item in items]
    return np.array(
        [
            [*(name in own for name in names), float(year[1]) if year else np.nan]
            for own, year in zip(genres, years, strict=True)
        ]
    )


def read_jester(folder):
    ratings = sparse.load_npz(folder / "jester5k/Jester5k.npz").tocoo()
    held_out = np.random.default_rng(0).random(ratings.nnz) < 0.1
    rows, columns, values = ratings.row, ratings.col, ratings.data
    X = sparse.csr_array(
        (values[~held_out], (rows[~held_out], columns[~held_out])), shape=ratings.shape
    )
    yield X, (rows[held_out], columns[held_out]), values[held_out], (-10, 10)


def read_netflix(folder):
    ratings = np.loadtxt(folder / "netflix_incomplete.txt.gz")
    held_out = (np.random.default_rng(0).random(ratings.shape) < 0.1) & (ratings != 0)
    X = np.where(held_out | (ratings == 0), np.nan, ratings)
    yield X, np.nonzero(held_out), ratings[held_out], (1, 5)


def measure(folds, normalizer=None, **changes):
    """RMSE, share in 90 % intervals, iterations, seconds: means over the folds."""
    figures = []
    for X, entries, values, bounds in folds:
        mixture = MaskedGaussianMixture(**{**SETTING, **changes})
        Z = X if normalizer is None else normalizer.fit_transform(X)
        seconds = clock(mixture.fit, Z)
        predicted, std = mixture.complete(Z, entries=entries, return_std=True)
        if normalizer is not None:
            predicted, std = normalizer.inverse_transform(
                predicted, rows=X, entries=entries, std=std
            )
        inside = np.abs(predicted - values) < 1.645 * std
        errors = np.clip(predicted, *bounds) - values
        rmse = np.sqrt(np.mean(errors**2))
        figures.append((rmse, inside.mean(), mixture.n_iter_, seconds))
    return np.mean(figures, axis=0)


def report(label, figures):
    rmse, inside, n_iter, seconds = figures
    print(
        f"  {label:<28} RMSE {rmse:.4f}, {inside:.1%} within, "
        f"{n_iter:.1f} iterations, {seconds:.1f} s",
        flush=True,
    )


def accuracy(sets, folder):
    for name, folds in sets.items():
        print(name)
        for covariance_type in ("spherical", "diag"):
            change = {"covariance_type": covariance_type, "n_factors": 10}
            report(f"{covariance_type}, K=4", measure(folds, n_components=4, **change))
        for n_components in (1, 4):
            figures = measure(folds, n_components=n_components)
            report(f"factor, K={n_components}", figures)
        for n_factors in (10, 15, 30):
            figures = measure(folds, n_components=4, n_factors=n_factors)
            report(f"factor, K=4, r={n_factors}", figures)
        report("factor, K=4, tol=2e-4", measure(folds, n_components=4, tol=2e-4))


def features(sets, folder):
    """Which entries are observed, and what is known of movies."""
    for name, folds in sets.items():
        print(f"{name}, K=4, by what informs factors and loadings")
        report("values alone", measure(folds, n_components=4, mask_rank=0))
        for side in ("rows", "columns"):
            family = OneSided(n_factors=SETTING["n_factors"], side=side)
            change = {"covariance_type": family, "n_factors": 10}
            report(f"mask, {side} only", measure(folds, n_components=4, **change))
        report("mask, both sides", measure(folds, n_components=4))
        if name == "ml-latest-small":
            known = read_genres_and_years(folder)
            figures = measure(folds, n_components=4, column_features=known)
            report("mask, genres and years", figures)


def new_items(sets, folder):
    """Movies whose ratings are all hidden, in five folds of movies."""
    rows, columns, values, items = load_movielens(folder)
    known = read_genres_and_years(folder)
    folds = []
    for _, test in KFold(5, shuffle=True, random_state=0).split(items):
        hidden = np.isin(columns, test)
        X = to_matrix(rows, columns, values, ~hidden)
        entries = rows[hidden], columns[hidden]
        folds.append((X, entries, values[hidden], (0.5, 5)))
    print("ml-latest-small, movies without ratings")
    for label, described in (("without", known[:, :0]), ("with", known)):
        errors = [measure_ridge(*fold, described) for fold in folds]
        print(
            f"  {f'ridge, {label} features':<28} RMSE {np.mean(errors):.4f}", flush=True
        )
    for label, described in (("without", None), ("with", known)):
        figures = measure(folds, n_components=4, column_features=described)
        report(f"factor, {label} features", figures)


def measure_ridge(X, entries, values, bounds, described):
    """RMSE of a sum of effects of users and features, by ridge regression."""
    described = np.nan_to_num(scale(described)) if described.size else described
    users = sparse.eye_array(X.shape[0], format="csr")

    def encode(rows, columns):
        return sparse.hstack([users[rows], described[columns]], format="csr")

    known = X.tocoo()
    search = GridSearchCV(
        Ridge(),
        {"alpha": [1.0, 3.0, 10.0, 30.0, 100.0]},
        scoring="neg_mean_squared_error",
        cv=GroupKFold(5),
    )
    search.fit(encode(known.row, known.col), known.data, groups=known.col)
    predicted = np.clip(search.predict(encode(*entries)), *bounds)
    return np.sqrt(np.mean((predicted - values) ** 2))


def normalized(sets, folder):
    """Rows in units of their users; a tenth of the ratings is hidden in all sets."""
    rows, columns, values, _ = load_movielens(folder)
    ratings = to_matrix(rows, columns, values, np.full(len(values), True))
    folds = []
    for seed in range(3):
        X, (*entries, hidden) = hide_entries(ratings, 0.1, seed)
        folds.append((X, tuple(entries), hidden, (0.5, 5)))
    spherical = {
        "covariance_type": "spherical",
        "n_components": 8,
        "mean_precision_prior": 5,
        "n_factors": 10,
    }
    normalizers = {
        "raw": None,
        "centered": RowNormalizer(scale=False),
        "normalized": RowNormalizer(),
    }
    for name, draws in {**sets, "ml-latest-small": folds}.items():
        print(f"{name}, rows as they are and normalized")
        for label, normalizer in normalizers.items():
            figures = measure(draws, normalizer, **spherical)
            report(f"spherical, K=8, {label}", figures)
        for label, normalizer in normalizers.items():
            figures = measure(draws, normalizer, n_components=4)
            report(f"factor, K=4, {label}", figures)


def passes(sets, folder):
    print("ml-latest-small, K=4, r=20, by the number of passes")
    for max_iter in (5, 10, 20, 40, 100):
        figures = measure(
            sets["ml-latest-small"],
            n_components=4,
            n_factors=20,
            max_iter=max_iter,
            tol=0,
        )
        report(f"{max_iter}", figures)


def cost(sets, folder):
    print("seconds an iteration, r=15, and the ratio of K=8 to K=1")
    for name, folds in sets.items():
        X = folds[0][0]

        def seconds(n_components, X=X):
            def fit(max_iter):
                MaskedGaussianMixture(
                    n_components,
                    **{**SETTING, "n_factors": 15},
                    max_iter=max_iter,
                    tol=0,
                ).fit(X)

            return iteration(fit, 2, 7)

        pairs = [(seconds(1), seconds(8)) for _ in range(5)]
        ratio = np.median([many / one for one, many in pairs])
        print(f"  {name:<20} {np.median(pairs, axis=0)}, {ratio:.2f}", flush=True)


def tables(sets, folder):
    print("tables, a fifth hidden, RMSE of standardized entries over the best RMSE")
    for name in ("wine", "diabetes", "breast_cancer"):
        table = scale(getattr(datasets, f"load_{name}")().data)
        errors = {}
        for seed in range(5):
            hidden = np.random.default_rng(seed).random(table.shape) < 0.2
            X = np.where(hidden, np.nan, table)
            for kind in ("spherical", "diag", "tied", "full", "factor"):
                for n_components in (1, 4):
                    mixture = MaskedGaussianMixture(
                        n_components, covariance_type=kind, random_state=0
                    )
                    error = (mixture.fit_transform(X) - table)[hidden]
                    errors.setdefault((kind, n_components), []).append(
                        np.sqrt(np.mean(error**2))
                    )
        best = np.min(list(errors.values()), axis=0)
        for (kind, n_components), values in errors.items():
            ratios = np.round(values / best, 3)
            print(f"  {name:<14} {kind:<10} K={n_components} {ratios}", flush=True)


SECTIONS = (accuracy, features, new_items, normalized, passes, cost, tables)

if __name__ == "__main__":
    folder, chosen = Path(sys.argv[1]), sys.argv[2:]
    sets = {
        "ml-latest-small": list(read_movielens(folder)),
        "Jester 5k": list(read_jester(folder)),
        "Netflix 1200 x 1200": list(read_netflix(folder)),
    }
    # Folds lack some movies.
    warnings.simplefilter("ignore", UnobservedColumnsWarning)
    for section in SECTIONS:
        if chosen and section.__name__ not in chosen:
            continue
        if section in (accuracy, features, new_items, normalized):
            section(sets, folder)  # would show a ConvergenceWarning
        else:
            with one_quiet_thread():
                section(sets, folder)
