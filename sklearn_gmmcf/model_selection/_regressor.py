"""EntryRegressor: completion of a matrix as a regression of its entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._held_out import (
    HeldOut,
    apply_steps,
    check_inverse,
    complete_entries,
    get_missing_values,
    get_steps,
    get_transforms,
    undo_steps,
)
from sklearn_gmmcf._sklearn import DocumentationLinks, fit_context
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_entries
from sklearn_gmmcf.data._entries import Entries, build, gather


class EntryRegressor(
    DocumentationLinks, MetaEstimatorMixin, RegressorMixin, BaseEstimator
):
    """Completion of a matrix as a regression of its entries.

    The samples are entries: X holds their row and column indices, y their values.
    `fit` builds the matrix of these entries and fits the estimator to it; `predict`
    completes other entries of that matrix. So scikit-learn's tools for regressors work
    on entries of the same rows: `GridSearchCV` with any folds, `cross_validate`,
    learning curves. :func:`to_entries` lists the entries of a matrix.

    Parameters
    ----------
    estimator : object
        Completes a matrix: a mixture of this package, an imputer, or a Pipeline that
        ends in one.

    shape : tuple of int (n_rows, n_columns)
        Shape of the matrix.

    dense : bool, default=False
        Whether the matrix is built dense, with missing entries marked, or sparse. Some
        estimators, such as `StandardScaler` with its mean, take dense ones only.

    Attributes
    ----------
    estimator_ : object
        The fitted estimator.

    matrix_ : csr_array or ndarray of shape `shape`
        The entries of fit.

    See Also
    --------
    cross_validate_entries : Folds of entries in one call.
    to_entries : The entries of a matrix, as samples.

    Notes
    -----
    Predictions are in the units of y: predictions of a Pipeline go back through
    `inverse_transform` of its steps before the last, which must take missing entries
    and treat each column by itself (as scalers do).

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV, KFold
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> pairs, values = to_entries(X)
    >>> search = GridSearchCV(
    ...     EntryRegressor(MaskedGaussianMixture(random_state=0), X.shape),
    ...     {"estimator__n_components": [1, 2, 4, 8]},
    ...     scoring="neg_root_mean_squared_error",
    ...     cv=KFold(5, shuffle=True, random_state=0),
    ... )
    >>> search.fit(pairs, values).best_params_
    {'estimator__n_components': 4}
    >>> mixture = search.best_estimator_.estimator_  # fitted to all of X
    """

    _parameter_constraints: dict[str, Any] = {
        "estimator": "no_validation",
        "shape": [tuple],
        "dense": ["boolean"],
    }

    def __init__(
        self, estimator: Any, shape: tuple[int, int], *, dense: bool = False
    ) -> None:
        self.estimator = estimator
        self.shape = shape
        self.dense = dense

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any) -> EntryRegressor:
        """Fit the estimator to the matrix of some entries.

        Parameters
        ----------
        X : array-like of shape (m, 2)
            Row and column indices of the entries.
        y : array-like of shape (m,)
            Their values.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If X does not hold pairs of indices within `shape`, each once.
        """
        rows, columns = _check_pairs(X, self.shape)
        y = check_array(
            y, ensure_2d=False, dtype=[np.float64, np.float32], input_name="y"
        )
        check_consistent_length(X, y)
        self.matrix_ = self._build(rows, columns, y)
        self.estimator_ = clone(self.estimator).fit(self.matrix_)
        return self

    def predict(self, X: Any) -> Array:
        """Complete the matrix of fit at some entries.

        Parameters
        ----------
        X : array-like of shape (m, 2)
            Row and column indices of the entries.

        Returns
        -------
        y : ndarray of shape (m,)
            Predictions; of an entry that was fitted, its value.

        Raises
        ------
        ValueError
            If X does not hold pairs of indices within `shape`.
        """
        check_is_fitted(self)
        rows, columns = _check_pairs(X, self.shape)
        steps = get_steps(self.estimator_)
        # An entry that is asked for twice is completed once.
        n_columns = self.shape[1]
        linear_indices, inverse = np.unique(
            rows * n_columns + columns, return_inverse=True
        )
        rows, columns = np.divmod(linear_indices, n_columns)
        Z = apply_steps(get_transforms(steps), self.matrix_)
        predicted = complete_entries(steps[-1], Z, rows, columns)
        before = steps[:-1]
        if before:
            check_inverse(before, self.matrix_, get_missing_values(steps))
            undone = undo_steps(before, self._build(rows, columns, predicted))
            predicted = gather(undone, rows, columns)
        return predicted[inverse]

    def _build(self, rows: Array, columns: Array, values: Array) -> Any:
        """The matrix of some entries."""
        missing_values = get_missing_values(get_steps(self.estimator))
        return build(
            Entries(self.shape, rows, columns, values),
            missing_values=missing_values if self.dense else None,
        )


def hold_out_pairs(regressor: EntryRegressor, X: Any, y: Any) -> HeldOut:
    """Entries that a fitted regressor has not seen: pairs (m, 2) and values (m,)."""
    rows, columns = _check_pairs(X, regressor.shape)
    hidden = Entries(regressor.shape, rows, columns, np.asarray(y))
    return HeldOut.from_hidden(
        get_steps(regressor.estimator_), regressor.matrix_, hidden
    )


def _check_pairs(X: Any, shape: tuple[int, int]) -> tuple[Array, Array]:
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(
            "X should have the shape (m, 2), a row and a column index for each "
            f"entry, but got {X.shape}. to_entries(matrix) makes X and y."
        )
    return check_entries((X[:, 0], X[:, 1]), shape)
