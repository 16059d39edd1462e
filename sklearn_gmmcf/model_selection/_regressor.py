# SPDX-License-Identifier: BSD-3-Clause
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
    check_modeled,
    complete_entries,
    get_covariates,
    get_missing_values,
    get_steps,
    get_transforms,
    undo_steps,
)
from sklearn_gmmcf._sklearn import PackageEstimator, fit_context
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_entries
from sklearn_gmmcf.data._entries import Entries, build, gather, list_entries


class EntryRegressor(
    PackageEstimator, MetaEstimatorMixin, RegressorMixin, BaseEstimator
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

    covariates : {array-like, sparse matrix} of shape `shape`, default=None
        A matrix whose columns are taken over where the estimator has `covariates`, by
        index. Its other columns are ignored.

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
    and treat each column by itself (as scalers do), or be a
    :class:`~sklearn_gmmcf.preprocessing.RowNormalizer`.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV, KFold
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> pairs, values = to_entries(X)
    >>> search = GridSearchCV(
    ...     EntryRegressor(MaskedGaussianMixture(
    ...         covariance_type="spherical", random_state=0
    ...     ), X.shape),
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
        "covariates": ["array-like", "sparse matrix", None],
    }

    def __init__(
        self,
        estimator: Any,
        shape: tuple[int, int],
        *,
        dense: bool = False,
        covariates: Any = None,
    ) -> None:
        self.estimator = estimator
        self.shape = shape
        self.dense = dense
        self.covariates = covariates

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

        See Also
        --------
        to_entries : The entries of a matrix, as samples.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
        >>> X = [[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]]
        >>> pairs, values = to_entries(X)
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> regressor = EntryRegressor(mixture, shape=(5, 2)).fit(pairs, values)
        >>> regressor.estimator_.means_.round(1)
        array([[3. , 6.1]])
        """
        rows, columns = _check_pairs(X, self.shape)
        y = check_array(
            y, ensure_2d=False, dtype=[np.float64, np.float32], input_name="y"
        )
        check_consistent_length(X, y)
        self.matrix_ = self._build(rows, columns, y, self._list_covariates(columns))
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

        See Also
        --------
        cross_validate_entries : Folds of entries in one call.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
        >>> X = [[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]]
        >>> pairs, values = to_entries(X)
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> regressor = EntryRegressor(mixture, shape=(5, 2)).fit(pairs, values)
        >>> regressor.predict([[4, 1]]).round(1)
        array([10.1])
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
            undone = undo_steps(
                before, self._build(rows, columns, predicted), self.matrix_
            )
            predicted = gather(undone, rows, columns)
        return predicted[inverse]

    def _list_covariates(self, columns: Array) -> Entries | None:
        """The entries of the covariates, of which none is a sample."""
        steps = get_steps(self.estimator)
        if self.covariates is None:
            if getattr(steps[-1], "covariates", None) is not None:
                raise ValueError(
                    "The estimator has covariates, which are no entries. Pass the "
                    "matrix that holds them: EntryRegressor(..., covariates=X)."
                )
            return None
        if np.shape(self.covariates) != tuple(self.shape):
            raise ValueError(
                f"covariates should have the shape {self.shape} of the matrix, but got "
                f"{np.shape(self.covariates)}."
            )
        covariates = get_covariates(steps, self.covariates)
        check_modeled(columns, covariates)
        listed = list_entries(self.covariates, get_missing_values(steps))
        return listed.take(np.isin(listed.columns, covariates))

    def _build(
        self, rows: Array, columns: Array, values: Array, others: Entries | None = None
    ) -> Any:
        """The matrix of some entries, and of others."""
        missing_values = get_missing_values(get_steps(self.estimator))
        entries = Entries(self.shape, rows, columns, values)
        return build(
            entries if others is None else entries.append(others),
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
