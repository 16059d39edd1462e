# SPDX-License-Identifier: BSD-3-Clause
"""cross_validate_entries: folds of the entries of a matrix."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, cross_validate

from sklearn_gmmcf._held_out import (
    get_covariates,
    get_missing_values,
    get_steps,
    use_positions,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.model_selection._entries import to_entries
from sklearn_gmmcf.model_selection._regressor import EntryRegressor
from sklearn_gmmcf.model_selection._scorers import METRICS, completion_scorer


def cross_validate_entries(
    estimator: Any,
    X: Any,
    *,
    cv: Any = 5,
    scoring: Any = "rmse",
    n_jobs: int | None = None,
    return_estimator: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Array]:
    """Cross-validate over the entries of a matrix.

    The protocol of the rating literature: the observed entries are split, not the rows;
    each fold is predicted from all other entries, including entries of the same rows.

    Parameters
    ----------
    estimator : object
        A mixture of this package, an imputer, or a Pipeline that ends in one.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with missing entries: dense, a DataFrame of numbers, or sparse in COO, CSR,
        CSC, LIL or DOK format. The estimator gets CSR or a dense array.

    cv : int, splitter or iterable of (train, test), default=5
        An integer is ``KFold(cv, shuffle=True, random_state=0)``. A splitter, or arrays
        of indices, count the observed entries by rows and then columns; the entries of
        a COO matrix in its own order. So ``coo_array((ratings, (users, items)))`` is
        split as the lines of a table are.

    scoring : str, callable, list or dict, default='rmse'
        'rmse', 'mae' or 'log_density' (see :func:`completion_scorer`), the name of a
        scorer of regressors in scikit-learn, or ``scorer(estimator, X, y)`` of an
        :class:`EntryRegressor`; several in a list of names or a dict. Higher is better:
        'rmse' and 'mae' are negated.

    n_jobs : int, default=None
        Number of folds to work on in parallel.

    return_estimator : bool, default=False
        Return the :class:`EntryRegressor` of each fold, whose `estimator_` is fitted.

    error_score : 'raise' or numeric, default=np.nan
        Score of a fold that fails.

    Returns
    -------
    scores : dict of ndarrays of shape (n_splits,)
        As of :func:`sklearn.model_selection.cross_validate`: 'test_score', or
        'test_<name>' for several, 'fit_time', 'score_time', 'estimator' if asked.

    See Also
    --------
    completion_scorer : The metrics, and a scorer for folds of rows.
    EntryRegressor : Entries as samples, for searches.

    Notes
    -----
    There are no training scores: an entry that was fitted is returned unchanged. In a
    Pipeline errors are in the units of X; 'log_density' is in the units of the last
    step (behind a :class:`~sklearn_gmmcf.preprocessing.RowNormalizer` in the units of
    X). Where a column is not observed in the training entries of a fold,
    :class:`sklearn_gmmcf.UnobservedColumnsWarning` says so; it can be filtered.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import cross_validate_entries
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> mixture = MaskedGaussianMixture(4, covariance_type="spherical", random_state=0)
    >>> scores = cross_validate_entries(mixture, X, scoring=["rmse", "mae"])
    >>> print((-scores["test_rmse"]).round(2))
    [0.49 0.5  0.5  0.51 0.5 ]
    """
    missing_values = get_missing_values(get_steps(estimator))
    covariates = get_covariates(get_steps(estimator), X)
    pairs, values = to_entries(X, missing_values=missing_values, covariates=covariates)
    if isinstance(cv, Integral):
        cv = KFold(cv, shuffle=True, random_state=0)
    elif not hasattr(cv, "split"):
        cv = list(cv)
    regressor = EntryRegressor(
        use_positions(estimator, X),
        np.shape(X),
        dense=not hasattr(X, "tocsr"),
        covariates=X if len(covariates) else None,
    )
    if isinstance(scoring, (list, tuple, set)):
        scoring = {name: name for name in scoring}
    return cross_validate(
        regressor,
        pairs,
        values,
        cv=cv,
        scoring={name: _get_scorer(scorer) for name, scorer in scoring.items()}
        if isinstance(scoring, dict)
        else _get_scorer(scoring),
        n_jobs=n_jobs,
        return_estimator=return_estimator,
        error_score=error_score,
    )


def _get_scorer(scoring: Any) -> Any:
    """A scorer of this package by its name; anything else is for scikit-learn."""
    known = isinstance(scoring, str) and scoring in METRICS
    return completion_scorer(scoring) if known else scoring
