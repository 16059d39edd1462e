# SPDX-License-Identifier: BSD-3-Clause
"""Defaults on tables: ours beside the defaults of other imputers.

    pip install .
    python docs/benchmarks/defaults.py

The first table hides a fifth of the entries of tables in their own units, three times,
and completes them without choosing anything. The second draws some rows of a table,
standardizes them, and compares 'full' with 'factor' by the number of rows per column:
where 'auto' changes over. Errors are in standard deviations of the complete columns.
"""

import warnings

import numpy as np
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from sklearn_gmmcf import MaskedGaussianMixture, MixtureImputer

SEEDS = range(3)
RATIOS = (1, 2, 3, 5, 10)


def make_skewed(n=3000, d=9):
    """Correlated columns, all but three of them log-normal, in units of their own."""
    rng = np.random.default_rng(7)
    Z = rng.standard_normal((n, 3)) @ rng.standard_normal((3, d))
    Z += rng.standard_normal((n, d))
    Z /= Z.std(axis=0)
    Z[:, 3:] = np.exp(0.7 * Z[:, 3:])
    return Z * 10.0 ** np.arange(-3, 6)


def hide(X, seed, share=0.2):
    hidden = np.random.default_rng(seed).random(X.shape) < share
    hidden[hidden.all(axis=1), 0] = False
    return np.where(hidden, np.nan, X), hidden


def error(completed, X, hidden):
    return np.sqrt(np.mean(((completed - X) / X.std(axis=0))[hidden] ** 2))


def compare_defaults():
    tables = {
        "wine": datasets.load_wine().data,
        "diabetes": datasets.load_diabetes().data,
        "breast_cancer": datasets.load_breast_cancer().data,
        "skewed": make_skewed(),
    }
    models = {
        "MixtureImputer()": lambda seed: MixtureImputer(random_state=seed),
        "MaskedGaussianMixture()": lambda seed: MaskedGaussianMixture(
            random_state=seed
        ),
        "IterativeImputer()": lambda seed: IterativeImputer(random_state=seed),
        "KNNImputer()": lambda seed: KNNImputer(),
    }
    for name, X in tables.items():
        for label, make in models.items():
            errors = []
            for seed in SEEDS:
                X_hidden, hidden = hide(X, seed)
                completed = make(seed).fit(X_hidden).transform(X_hidden)
                errors.append(error(completed, X, hidden))
            listed = " ".join(f"{e:.3f}" for e in errors)
            print(f"{name:>14} {label:>24}: {np.mean(errors):.3f} ({listed})")


def compare_numbers_of_rows():
    for name in ("breast_cancer", "wine"):
        table = getattr(datasets, f"load_{name}")().data
        for ratio in RATIOS:
            n_rows = ratio * table.shape[1]
            errors = {"full": [], "factor": []}
            for seed in range(10):
                rng = np.random.default_rng(seed)
                rows = rng.permutation(len(table))[:n_rows]
                X = table[rows]
                X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
                X_hidden, hidden = hide(X, seed)
                for kind, found in errors.items():
                    mixture = MaskedGaussianMixture(covariance_type=kind)
                    completed = mixture.fit(X_hidden).transform(X_hidden)
                    found.append(error(completed, X, hidden))
            means = ", ".join(f"{k} {np.mean(e):.2f}" for k, e in errors.items())
            print(f"{name:>14}, {ratio:>2} rows per column: {means}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare_defaults()
    compare_numbers_of_rows()
