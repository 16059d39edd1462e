"""The 'factor' family: accuracy on three sets of ratings and on tables, and its cost.

    python docs/benchmarks/factors.py FOLDER

FOLDER holds `ml-latest-small/ratings.csv.gz`, `jester5k/Jester5k.npz` and
`netflix_incomplete.txt.gz` (MITx 6.86x). Predictions are clipped to the range of the
ratings; all sets have one setting; no setting is chosen by the held-out entries.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn import datasets
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale
from timing import clock, iteration, one_quiet_thread

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning

SETTING = {"covariance_type": "factor", "n_factors": 20, "random_state": 0}


def read_movielens(folder):
    table = np.loadtxt(
        folder / "ml-latest-small/ratings.csv.gz", delimiter=",", skiprows=1
    )
    users, rows = np.unique(table[:, 0], return_inverse=True)
    items, columns = np.unique(table[:, 1], return_inverse=True)
    for train, test in KFold(5, shuffle=True, random_state=0).split(table):
        X = sparse.csr_array(
            (table[train, 2], (rows[train], columns[train])),
            shape=(len(users), len(items)),
        )
        yield X, (rows[test], columns[test]), table[test, 2], (0.5, 5)


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


def measure(folds, **changes):
    """RMSE, share in 90 % intervals, iterations, seconds: means over the folds."""
    figures = []
    for X, entries, values, bounds in folds:
        mixture = MaskedGaussianMixture(**{**SETTING, **changes})
        seconds = clock(mixture.fit, X)
        predicted, std = mixture.complete(X, entries=entries, return_std=True)
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


def accuracy(sets):
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


def passes(sets):
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


def cost(sets):
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


def tables():
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


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sets = {
        "ml-latest-small": list(read_movielens(folder)),
        "Jester 5k": list(read_jester(folder)),
        "Netflix 1200 x 1200": list(read_netflix(folder)),
    }
    warnings.simplefilter("ignore", UnobservedColumnsWarning)
    accuracy(sets)  # would show a ConvergenceWarning
    with one_quiet_thread():
        passes(sets)
        cost(sets)
        tables()
