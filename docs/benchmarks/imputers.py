# SPDX-License-Identifier: BSD-3-Clause
"""The imputers that tables.py compares: each has fit_transform, for arrays or frames.

The functions and classes here stand for one imputer each; settings are their arguments.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_gmmcf import MaskedGaussianMixture


def mean():
    return SimpleImputer()


def knn(**settings):
    return KNNImputer(**settings)


def iterative(**settings):
    return IterativeImputer(random_state=0, **settings)


def extra_trees(n_estimators, **settings):
    forest = ExtraTreesRegressor(n_estimators, random_state=0)
    return iterative(estimator=forest, **settings)


def random_forests(max_iter, **settings):
    forest = RandomForestRegressor(random_state=0, **settings)
    return iterative(estimator=forest, max_iter=max_iter)


def copula():
    from gcimpute.gaussian_copula import GaussianCopula

    # gcimpute 0.0.4 calls this name, which numpy 2 does not have.
    np.round_ = np.round  # noqa: NPY003, NPY201
    return GaussianCopula(random_state=0)


class miceforest:
    """Chained LightGBM models whose predictions are taken as they are.

    Without mean matching, which draws a value instead: draws have larger errors.
    """

    def __init__(self, iterations):
        self.iterations = iterations

    def fit_transform(self, X):
        from miceforest import ImputationKernel

        frame = X if isinstance(X, pd.DataFrame) else _frame(X)
        texts = frame.select_dtypes(exclude="number").columns
        kernel = ImputationKernel(
            frame.astype(dict.fromkeys(texts, "category")),
            mean_match_candidates=0,
            save_all_iterations_data=False,
            random_state=0,
        )
        kernel.mice(self.iterations, num_threads=1)
        completed = kernel.complete_data(0)
        return completed if frame is X else completed.to_numpy()


def _frame(X):
    return pd.DataFrame(X, columns=[f"column {n}" for n in range(X.shape[1])])


class soft_impute:
    """Singular values less a penalty (Mazumder, Hastie and Tibshirani 2010).

    The penalty is chosen on a tenth of the observed entries.
    """

    def __init__(self, max_iter, tol):
        self.max_iter, self.tol = max_iter, tol

    def fit_transform(self, X):
        observed = ~np.isnan(X)
        held_out = observed & (np.random.default_rng(0).random(X.shape) < 0.1)
        path = self._path(np.where(held_out, np.nan, X))
        errors = [np.mean((low_rank - X)[held_out] ** 2) for low_rank in path]
        return np.where(observed, X, self._path(X)[np.argmin(errors)])

    def _path(self, X):
        """Completions under falling penalties, each started from the one before."""
        observed, low_rank, path = ~np.isnan(X), np.zeros(X.shape), []
        largest = np.linalg.norm(np.where(observed, X, 0.0), 2)
        for penalty in largest * 0.5 ** np.arange(1, 10):
            for _ in range(self.max_iter):
                before = low_rank
                U, s, Vt = np.linalg.svd(
                    np.where(observed, X, before), full_matrices=False
                )
                low_rank = U * np.maximum(s - penalty, 0.0) @ Vt
                change = np.linalg.norm(low_rank - before)
                if change <= self.tol * np.linalg.norm(low_rank):
                    break
            path.append(low_rank)
        return path


def mixture(**settings):
    return MaskedGaussianMixture(random_state=0, **settings)


def mixture_imputer():
    from sklearn_gmmcf import MixtureImputer

    return MixtureImputer(random_state=0)


class mode:
    """The most frequent category, and the mean of numbers."""

    def fit_transform(self, frame):
        numbers = frame.select_dtypes("number").columns
        values = frame.mode().iloc[0]
        values[numbers] = frame[numbers].mean()
        return frame.fillna(values)


class one_hot:
    """Another imputer on standardized numbers and an indicator of each category.

    An entry becomes the category whose completed indicator is the largest.
    """

    def __init__(self, kind, settings):
        self.imputer = globals()[kind](**settings)

    def fit_transform(self, frame):
        numbers = frame.select_dtypes("number")
        center, spread = numbers.mean(), numbers.std(ddof=0)
        parts, texts = (
            [(numbers - center) / spread],
            frame.columns.drop(numbers.columns),
        )
        for name in texts:
            indicators = pd.get_dummies(frame[name], dtype=float)
            parts.append(indicators.where(frame[name].notna()))
        matrix = pd.concat(parts, axis=1).to_numpy()
        completed = self.imputer.fit_transform(matrix)
        widths = np.cumsum([part.shape[1] for part in parts])
        numeric, *indicators = np.split(completed, widths[:-1], axis=1)
        result = frame.copy()
        result[numbers.columns] = numeric * spread.to_numpy() + center.to_numpy()
        for name, values, part in zip(texts, indicators, parts[1:], strict=True):
            result[name] = part.columns.to_numpy()[values.argmax(axis=1)]
        return result
