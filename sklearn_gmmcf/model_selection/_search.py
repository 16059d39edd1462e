# SPDX-License-Identifier: BSD-3-Clause
"""all_rows and one_standard_error: the split and the choice of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array


def all_rows() -> AllRows:
    """Make the one split of a search that judges the rows that it fits.

    For ``cv=`` of `GridSearchCV` with scorers that penalize parameters themselves, such
    as :func:`bic_scorer`. Training rows and test rows are all rows.

    Returns
    -------
    cv : splitter
        Its `split` yields one pair of equal arrays of indices.

    See Also
    --------
    bic_scorer : A scorer for it.
    select_mixture : A search over covariance types and numbers of components.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import all_rows, bic_scorer
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(covariance_type="spherical"),
    ...     {"n_components": [1, 2, 4, 8], "random_state": range(3)},
    ...     scoring={
    ...         "bic": bic_scorer,
    ...         "likelihood": lambda mixture, X, y=None: mixture.score(X),
    ...     },
    ...     refit="bic",
    ...     cv=all_rows(),
    ... ).fit(X)

    The best K and seed by BIC, and by likelihood:

    >>> search.best_params_
    {'n_components': 4, 'random_state': 0}
    >>> best = search.cv_results_["mean_test_likelihood"].argmax()
    >>> search.cv_results_["params"][best]
    {'n_components': 8, 'random_state': 0}
    """
    return AllRows()


@dataclass(frozen=True)
class AllRows:
    """The splitter that `all_rows` returns."""

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Array, Array]]:
        rows = np.arange(np.shape(X)[0])
        yield rows, rows

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 1


def one_standard_error(parameter: str) -> Callable[[dict[str, Any]], int]:
    """Choose the simplest candidate that is within one standard error of the best.

    For ``refit=`` of `GridSearchCV`. Held-out scores hardly fall when a mixture has a
    few components too many, so the candidate with the best score tends to have more
    components than the data.

    Parameters
    ----------
    parameter : str
        Name of the parameter that makes a candidate simple when it is small, such as
        ``"n_components"``, in a Pipeline ``"maskedgaussianmixture__n_components"``.
        Of several candidates with the same value the one with the best score is taken.

    Returns
    -------
    refit : callable
        ``refit(cv_results)`` returns the index of the candidate. The standard error of
        the best mean score comes from the scores of its folds. It raises a ValueError
        if the search does not set `parameter` in every candidate, has several metrics
        or has fewer than 2 folds.

    See Also
    --------
    completion_scorer : The scores of such a search.

    References
    ----------
    L. Breiman, J. H. Friedman, R. A. Olshen and C. J. Stone (1984). Classification and
    Regression Trees, section 3.4.3. Wadsworth.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import completion_scorer, one_standard_error
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(covariance_type="spherical"),
    ...     {"n_components": range(1, 9), "random_state": range(3)},
    ...     scoring=completion_scorer("log_density"),
    ...     refit=one_standard_error("n_components"),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    """
    return _OneStandardError(parameter)


@dataclass(frozen=True)
class _OneStandardError:
    parameter: str

    def __call__(self, cv_results: dict[str, Any]) -> int:
        key = f"param_{self.parameter}"
        if key not in cv_results:
            raise ValueError(
                f"The search has no parameter {self.parameter!r}. Pass one of its grid "
                "to one_standard_error, with the name of the step in a Pipeline."
            )
        if "mean_test_score" not in cv_results:
            raise ValueError(
                "one_standard_error needs a search with one metric. Pass one scorer as "
                "scoring."
            )
        if np.ma.getmaskarray(cv_results[key]).any():
            raise ValueError(
                f"Some candidates of the search do not set {self.parameter!r}, so that "
                "they cannot be compared. Set it in every grid."
            )
        means = np.asarray(cv_results["mean_test_score"])
        best = np.nanargmax(means)
        n_splits = sum(
            name.startswith("split") and name.endswith("_test_score")
            for name in cv_results
        )
        if n_splits < 2:
            raise ValueError(
                "one_standard_error needs the scores of at least 2 folds, but the "
                f"search has {n_splits}."
            )
        # std_test_score divides by the number of folds.
        error = cv_results["std_test_score"][best] / np.sqrt(n_splits - 1)
        near = np.flatnonzero(means >= means[best] - error)
        sizes = np.asarray(cv_results[key], dtype=np.float64)[near]
        simplest = near[sizes == sizes.min()]
        return int(simplest[np.argmax(means[simplest])])
