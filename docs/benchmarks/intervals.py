# SPDX-License-Identifier: BSD-3-Clause
"""Intervals of MixtureImputer: how often 90 % intervals hold the hidden values.

    pip install .
    python docs/benchmarks/intervals.py

Tables of 100, 300, 1,000 and 10,000 rows, at random from simulated tables (Gaussian,
log-normal, two groups; 5, 8 or 12 columns) and from real ones that scikit-learn ships
(as far as they have the rows). 10, 20 or 40 % of the entries are hidden at random. The
coverage is the mean over tables, with the standard deviation of single tables.
"""

import warnings

import numpy as np
from sklearn import datasets

from sklearn_gmmcf import MixtureImputer

COVERAGE = 0.9
SIZES = {100: 24, 300: 24, 1_000: 24, 10_000: 6}
SHARES = (0.1, 0.2, 0.4)


def simulate(n_rows, seed):
    """A table of one of three kinds, standardized."""
    rng = np.random.default_rng(seed)
    n_columns, kind = (5, 8, 12)[seed % 3], seed // 3 % 3
    loadings = rng.standard_normal((n_columns, max(2, n_columns // 2)))
    X = rng.standard_normal((n_rows, loadings.shape[1])) @ loadings.T
    X += 0.7 * rng.standard_normal(X.shape)
    if kind == 1:
        X = np.exp(X / X.std(axis=0))
    if kind == 2:
        X[rng.random(n_rows) < 0.4] += 3 * rng.standard_normal(n_columns)
    return (X - X.mean(axis=0)) / X.std(axis=0)


def load_real(n_rows, seed):
    """Rows of a real table, columns that are constant left out; None if it is small."""
    name = ("wine", "diabetes", "breast_cancer", "digits")[seed % 4]
    X = getattr(datasets, f"load_{name}")().data
    if len(X) < n_rows:
        return None
    rng = np.random.default_rng(seed)
    X = X[rng.permutation(len(X))[:n_rows]]
    if name == "digits":
        X = X[:, rng.permutation(X.shape[1])[:20]]
    return X[:, X.std(axis=0) > 0]


def cover(X, seed):
    """Share of hidden entries inside their intervals."""
    share = SHARES[seed % len(SHARES)]
    hidden = np.random.default_rng(1000 + seed).random(X.shape) < share
    hidden[:, (~hidden).sum(axis=0) < 2] = False
    imputer = MixtureImputer(random_state=seed)
    X_hidden = np.where(hidden, np.nan, X)
    lower, upper = imputer.fit(X_hidden).predict_interval(X_hidden, COVERAGE)
    return ((lower <= X) & (upper >= X))[hidden].mean()


def main():
    warnings.simplefilter("ignore")
    for n_rows, n_tables in SIZES.items():
        for label, make in (("simulated", simulate), ("real", load_real)):
            found = []
            for seed in range(n_tables):
                X = make(n_rows, seed)
                if X is not None:
                    found.append(cover(X, seed))
            if found:
                print(
                    f"{n_rows:>6} rows, {label:>9}: {np.mean(found):.3f} "
                    f"(+- {np.std(found):.3f}, {len(found)} tables)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
