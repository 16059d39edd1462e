"""How well are hidden entries predicted: scorers, folds of entries, criteria.

Two questions are answered here. *Of new rows*: scikit-learn's own folds of rows, with
`completion_scorer`, which hides entries of the validation rows. *Of the same rows*:
folds of entries, by `cross_validate_entries`, or by any tool of scikit-learn on an
`EntryRegressor`, whose samples are entries. Scores are higher for the better, so that
errors are negated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.model_selection import KFold, cross_validate
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._entries import build, gather, hide, list_entries
from sklearn_gmmcf._pipelines import (
    apply,
    check_kept,
    gather_truth,
    marker_of,
    steps_of,
)
from sklearn_gmmcf._sklearn import (
    DocumentationLinks,
    Interval,
    fit_context,
    validate_params,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_entries

__all__ = [
    "EntryRegressor",
    "aic_scorer",
    "bic_scorer",
    "completion_scorer",
    "cross_validate_entries",
    "hide_entries",
    "one_standard_error",
    "to_entries",
]

_METRICS = ("rmse", "mae", "log_density")


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "fraction": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"],
        "allow_empty_rows": ["boolean"],
        "allow_empty_columns": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def hide_entries(
    X,
    fraction=0.1,
    random_state=None,
    *,
    missing_values=np.nan,
    allow_empty_rows=False,
    allow_empty_columns=True,
):
    """Hide some observed entries, to see how well they are predicted.

    Entries are drawn uniformly from those that are observed; then each row that was
    left empty gets one of its own back. So slightly less than `fraction` is hidden
    where rows are short.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with holes: dense, a DataFrame of numbers, or sparse in COO, CSR, CSC, LIL
        or DOK format. Not changed.

    fraction : float, default=0.1
        Share of the observed entries to hide, at least one entry.

    random_state : int, RandomState instance or None, default=None
        Seeds the draw. The same seed hides the same entries in any format (COO if its
        entries are in the order of rows and columns).

    missing_values : float, default=np.nan
        The value that marks a hole. In a sparse matrix an unstored entry is a hole,
        too; a stored 0 is an observation.

    allow_empty_rows : bool, default=False
        Whether all observed entries of a row may be hidden.

    allow_empty_columns : bool, default=True
        Whether all observed entries of a column may be hidden. In ratings many columns
        have one entry, which False would never hide.

    Returns
    -------
    X_hidden : of the type of X
        X with more holes: `missing_values`, null in a DataFrame, not stored if sparse.
        Integers become floats if holes are NaN.

    hidden : tuple of three ndarrays of shape (m,)
        Rows, columns and values of what was hidden, in the order of the entries.

    Raises
    ------
    ValueError
        If nothing can be hidden.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import hide_entries
    >>> X = make_ratings(random_state=0).data
    >>> X_hidden, (rows, columns, values) = hide_entries(X, random_state=0)
    >>> mixture = MaskedGaussianMixture(4, random_state=0).fit(X_hidden)
    >>> predicted = mixture.complete(X_hidden, entries=(rows, columns))
    >>> print(f"{((predicted - values) ** 2).mean() ** 0.5:.2f}")
    0.66
    """
    entries = list_entries(X, missing_values)
    n_entries = len(entries.values)
    rng = check_random_state(random_state)
    n_hidden = max(round(fraction * n_entries), 1)
    hidden = rng.permutation(n_entries)[:n_hidden]
    if not allow_empty_rows:
        hidden = _give_back(hidden, entries.rows)
    if not allow_empty_columns:
        hidden = _give_back(hidden, entries.columns)
    if not hidden.size:
        raise ValueError(
            f"fraction={fraction} of the {n_entries} observed entries of X leaves "
            "nothing to hide, as no row (or column) may lose all of its entries. "
            "Increase fraction, or pass allow_empty_rows=True."
        )
    hidden.sort()
    rows, columns = entries.rows[hidden], entries.columns[hidden]
    X_hidden = hide(X, rows, columns, missing_values)
    return X_hidden, (rows, columns, entries.values[hidden])


def _give_back(hidden: Array, groups: Array) -> Array:
    """Hide one entry less of each group (a row, a column) that has none left."""
    n_entries, n_hidden = np.bincount(groups), np.bincount(groups[hidden])
    emptied = n_entries[: len(n_hidden)] == n_hidden
    # The first in a random order is any of them.
    _, first = np.unique(groups[hidden], return_index=True)
    back = first[emptied[groups[hidden[first]]]]
    return np.delete(hidden, back)


def completion_scorer(
    metric="rmse", fraction=0.1, random_state=0, *, greater_is_better=False
):
    """Make a scorer that judges completions of hidden entries.

    The scorer hides some observed entries of the rows that it gets, lets the estimator
    complete them, and scores these entries alone. For ``scoring=`` of `GridSearchCV`,
    `cross_val_score` and their like, whose folds are of rows: so it tells how well
    *new* rows are completed. With a seed, all candidates of a search are judged on the
    same entries. The rows must not be those that were fitted: there the hidden entries
    have been seen.

    In a :class:`~sklearn.pipeline.Pipeline` entries are hidden in what enters it, and
    all is in the units of its last step: the truth is what the Pipeline makes of the
    rows with nothing hidden, as observed entries come back untouched. The steps before
    the last must treat each column by itself, as scalers do; steps that mix the entries
    of a row, such as PCA, are refused.

    Of an :class:`EntryRegressor` it scores the entries that it gets: they are hidden
    already.

    Parameters
    ----------
    metric : {'rmse', 'mae', 'log_density'} or callable, default='rmse'
        Root mean squared error and mean absolute error, both negated; the mean
        log-density of the hidden entries, each given what its row shows (estimators of
        this package only); or a function of (true, predicted), both (m,), that returns
        a number.

    fraction : float, default=0.1
        Share of the observed entries to hide; see :func:`hide_entries`.

    random_state : int, RandomState instance or None, default=0
        Seeds what is hidden.

    greater_is_better : bool, default=False
        Whether a callable `metric` is a score. Errors are negated.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None)`` returns a float; higher is better. What marks a
        hole is the `missing_values` of the last step, NaN if it has none. Imputers of
        scikit-learn are scored, too, but in dense form.

    See Also
    --------
    cross_validate_entries : Folds of entries of the same rows.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import completion_scorer
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(),
    ...     {"n_components": [1, 2, 4, 8], "random_state": range(3)},
    ...     scoring=completion_scorer("rmse"),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    >>> print(f"{-search.best_score_:.2f}")
    0.50
    """
    if not callable(metric) and metric not in _METRICS:
        raise ValueError(
            f"metric should be one of {list(_METRICS)} or a function of (true, "
            f"predicted), but got {metric!r}."
        )
    if not isinstance(fraction, Real) or not 0 < fraction <= 1:
        raise ValueError(
            f"fraction should be above 0 and at most 1, but got {fraction!r}."
        )
    return _CompletionScorer(metric, fraction, random_state, greater_is_better)


@dataclass(frozen=True)
class _CompletionScorer:
    metric: str | Callable
    fraction: float
    random_state: Any
    greater_is_better: bool

    def __call__(self, estimator, X, y=None):
        if isinstance(estimator, EntryRegressor):
            return self._score_entries_of(estimator, X, y)
        steps = steps_of(estimator)
        # The last step of ours changes no units, and need not complete everything.
        ours = isinstance(steps[-1], BaseObservedMixture)
        others = steps[:-1] if ours else steps
        Z, Z_hidden, rows, columns = hide_before(
            others, X, self.fraction, self.random_state, marker_of(steps)
        )
        if self.metric == "log_density":
            return _log_density(steps[-1], Z_hidden, Z, rows, columns)
        if ours:
            predicted = steps[-1].complete(Z_hidden, entries=(rows, columns))
        else:
            predicted = gather(Z_hidden, rows, columns)
        return self._compare(gather_truth(Z, rows, columns), predicted)

    def _score_entries_of(self, regressor, X, y):
        if self.metric != "log_density":
            return self._compare(np.asarray(y), regressor.predict(X))
        rows, columns = regressor._check_pairs(X)
        *before, last = steps_of(regressor.estimator_)
        Z = apply(before, regressor._build(rows, columns, np.asarray(y)))
        Z_hidden = apply(before, regressor.matrix_)
        return _log_density(last, Z_hidden, Z, rows, columns)

    def _compare(self, true, predicted):
        if not np.isfinite(predicted).all():
            raise ValueError(
                "The estimator leaves holes where entries were hidden. Imputers of "
                "scikit-learn take a sparse matrix for zeros: pass X dense."
            )
        if self.metric == "rmse":
            return -float(np.sqrt(np.mean((predicted - true) ** 2)))
        if self.metric == "mae":
            return -float(np.mean(np.abs(predicted - true)))
        value = float(self.metric(true, predicted))
        return value if self.greater_is_better else -value


def hide_before(steps, X, fraction, random_state, marker):
    """What steps make of X, of X with some entries hidden, and which these are."""
    X_hidden, (rows, columns, _) = hide_entries(
        X, fraction, random_state, missing_values=marker
    )
    Z_hidden, Z = apply(steps, X_hidden), apply(steps, X)
    check_kept(Z, Z_hidden, list_entries(X_hidden, marker))
    return Z, Z_hidden, rows, columns


def _log_density(last, Z_hidden, Z, rows, columns):
    if not isinstance(last, BaseObservedMixture):
        raise ValueError(
            "metric='log_density' needs score_entries, which "
            f"{type(last).__name__} has not. Take 'rmse' or 'mae'."
        )
    values = gather_truth(Z, rows, columns)
    return float(np.mean(last.score_entries(Z_hidden, (rows, columns), values)))


def _complete(steps: list, X, rows, columns):
    """Completions of some holes, in the units of the last step."""
    *before, last = steps
    if isinstance(last, BaseObservedMixture):
        return last.complete(apply(before, X), entries=(rows, columns))
    return gather(apply(steps, X), rows, columns)


def bic_scorer(estimator, X, y=None):
    """Score by the Bayesian information criterion, negated.

    For ``scoring=`` of `GridSearchCV`. In a Pipeline it is the last step's, on what the
    steps before make of X. The criterion charges for parameters itself: judge the rows
    that were fitted, by ``cv=[(all_rows, all_rows)]`` as below. On validation rows the
    model would pay for its parameters twice.

    Parameters
    ----------
    estimator : object
        A fitted mixture, or a Pipeline that ends in one.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows that were fitted.

    y : Ignored
        Present for API consistency by convention.

    Returns
    -------
    score : float
        Minus the BIC; higher is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import bic_scorer
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> all_rows = np.arange(X.shape[0])
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(),
    ...     {"n_components": [1, 2, 4, 8], "random_state": range(3)},
    ...     scoring=bic_scorer,
    ...     cv=[(all_rows, all_rows)],
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    """
    *before, last = steps_of(estimator)
    return -float(last.bic(apply(before, X)))


def aic_scorer(estimator, X, y=None):
    """Score by the Akaike information criterion, negated.

    See :func:`bic_scorer`, of which it is the sibling that charges less.

    Parameters
    ----------
    estimator : object
        A fitted mixture, or a Pipeline that ends in one.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows that were fitted.

    y : Ignored
        Present for API consistency by convention.

    Returns
    -------
    score : float
        Minus the AIC; higher is better.
    """
    *before, last = steps_of(estimator)
    return -float(last.aic(apply(before, X)))


def one_standard_error(parameter):
    """Choose the simplest candidate that is within one standard error of the best.

    For ``refit=`` of `GridSearchCV`. Held-out scores hardly fall when a mixture has a
    few components too many; so the best score alone tends to take more than there are.

    Parameters
    ----------
    parameter : str
        Name of the parameter that makes a candidate simple when it is small, such as
        ``"n_components"``, in a Pipeline ``"maskedgaussianmixture__n_components"``.
        Of several candidates with the same value the best is taken.

    Returns
    -------
    refit : callable
        ``refit(cv_results)`` returns the index of the candidate. The standard error of
        the best mean score is that of its folds.

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
    ...     MaskedGaussianMixture(),
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

    def __call__(self, cv_results):
        key = f"param_{self.parameter}"
        if key not in cv_results:
            raise ValueError(
                f"The search has no parameter {self.parameter!r}; one_standard_error "
                "takes one of its grid, with the name of the step in a Pipeline."
            )
        if "mean_test_score" not in cv_results:
            raise ValueError(
                "one_standard_error needs a search with one metric. Pass scoring=<one "
                "scorer>."
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


def to_entries(X, *, missing_values=np.nan):
    """List the observed entries as samples, for `EntryRegressor`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with holes: dense, a DataFrame of numbers, or sparse in COO, CSR, CSC, LIL
        or DOK format.

    missing_values : float, default=np.nan
        The value that marks a hole.

    Returns
    -------
    pairs : ndarray of shape (m, 2)
        Row and column of each entry, by rows and then columns. Those of a COO matrix
        stay in its own order: that of the lines of a table from which it was made.

    values : ndarray of shape (m,)
        Their values.
    """
    entries = list_entries(X, missing_values)
    return np.column_stack([entries.rows, entries.columns]), entries.values


class EntryRegressor(
    DocumentationLinks, MetaEstimatorMixin, RegressorMixin, BaseEstimator
):
    """Completion of a matrix as a regression of its entries.

    The samples are entries: X holds their row and column indices, y their values.
    `fit` builds the matrix of these entries and fits the estimator to it; `predict`
    completes that matrix at others. So whatever scikit-learn does with a regressor it
    does with entries of the same rows: `GridSearchCV` with any folds, `cross_validate`,
    learning curves. :func:`to_entries` lists the entries of a matrix.

    Parameters
    ----------
    estimator : object
        What completes a matrix: a mixture of this package, an imputer, or a Pipeline
        that ends in one.

    shape : tuple of int (n_rows, n_columns)
        Shape of the matrix.

    dense : bool, default=False
        Whether the matrix is built dense, with holes, or sparse. Some estimators, such
        as `StandardScaler` with its mean, take dense ones only.

    Attributes
    ----------
    estimator_ : object
        The fitted estimator.

    matrix_ : csr_array or ndarray of shape `shape`
        The entries of fit.

    See Also
    --------
    cross_validate_entries : Folds of entries in one call.

    Notes
    -----
    Predictions are in the units of y: those of a Pipeline go back through
    `inverse_transform` of its steps before the last, which must take holes and treat
    each column by itself (as scalers do).

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

    _parameter_constraints: dict = {
        "estimator": "no_validation",
        "shape": [tuple],
        "dense": ["boolean"],
    }

    def __init__(self, estimator, shape, *, dense=False):
        self.estimator = estimator
        self.shape = shape
        self.dense = dense

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
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
        rows, columns = self._check_pairs(X)
        y = check_array(
            y, ensure_2d=False, dtype=[np.float64, np.float32], input_name="y"
        )
        check_consistent_length(X, y)
        self.matrix_ = self._build(rows, columns, y)
        self.estimator_ = clone(self.estimator).fit(self.matrix_)
        return self

    def predict(self, X):
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
        rows, columns = self._check_pairs(X)
        steps = steps_of(self.estimator_)
        # An entry that is asked twice is completed once.
        n_columns = self.shape[1]
        places, back = np.unique(rows * n_columns + columns, return_inverse=True)
        rows, columns = np.divmod(places, n_columns)
        predicted = _complete(steps, self.matrix_, rows, columns)
        before = steps[:-1]
        if not before:
            return predicted[back]
        fitted = list_entries(self.matrix_, marker_of(steps))
        at = fitted.rows, fitted.columns
        undone = gather(_invert(before, apply(before, self.matrix_)), *at)
        size = np.abs(fitted.values).max()
        if not np.allclose(undone, fitted.values, rtol=1e-4, atol=1e-4 * size):
            raise ValueError(
                "inverse_transform of the steps before the last does not bring the "
                "fitted entries back, so predictions would not be in the units of y. "
                "Take steps that treat each column by itself (scalers do)."
            )
        Z = _invert(before, self._build(rows, columns, predicted))
        return gather(Z, rows, columns)[back]

    def _build(self, rows, columns, values):
        """The matrix of some entries."""
        hole = marker_of(steps_of(self.estimator)) if self.dense else None
        return build(self.shape, rows, columns, values, hole=hole)

    def _check_pairs(self, X):
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != 2:
            raise ValueError(
                "X should have the shape (m, 2), a row and a column index for each "
                f"entry, but got {X.shape}. to_entries(matrix) makes X and y."
            )
        return check_entries((X[:, 0], X[:, 1]), self.shape)


def _invert(steps: list, Z):
    """What some steps made of X, brought back to the units of X."""
    for step in reversed(steps):
        if not hasattr(step, "inverse_transform"):
            raise ValueError(
                f"{type(step).__name__} has no inverse_transform to bring "
                "predictions back to the units of y. Leave that step out."
            )
        Z = step.inverse_transform(Z)
    return Z


def cross_validate_entries(
    estimator,
    X,
    *,
    cv=5,
    scoring="rmse",
    n_jobs=None,
    return_estimator=False,
    error_score=np.nan,
):
    """Cross-validate over the entries of a matrix.

    The protocol of the rating literature: the observed entries are split, not the rows;
    each fold is predicted from the other entries, those of the same rows included.

    Parameters
    ----------
    estimator : object
        A mixture of this package, an imputer, or a Pipeline that ends in one.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with holes: dense, a DataFrame of numbers, or sparse in COO, CSR, CSC, LIL
        or DOK format. The estimator gets CSR or a dense array.

    cv : int, splitter or iterable of (train, test), default=5
        An integer is ``KFold(cv, shuffle=True, random_state=0)``. A splitter, or arrays
        of indices, count the observed entries by rows and then columns; those of a COO
        matrix in its own order. So ``coo_array((ratings, (users, items)))`` is split as
        the lines of a table are.

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

    Notes
    -----
    There are no training scores: an entry that was seen comes back as it was. In a
    Pipeline errors are in the units of X; 'log_density' is in those of the last step.
    A column that a fold does not observe is warned of by
    :class:`sklearn_gmmcf.UnobservedColumnsWarning`, which one can filter.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import cross_validate_entries
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> mixture = MaskedGaussianMixture(4, random_state=0)
    >>> scores = cross_validate_entries(mixture, X, scoring=["rmse", "mae"])
    >>> print((-scores["test_rmse"]).round(2))
    [0.49 0.54 0.5  0.51 0.5 ]
    """
    marker = marker_of(steps_of(estimator))
    pairs, values = to_entries(X, missing_values=marker)
    if isinstance(cv, Integral):
        cv = KFold(cv, shuffle=True, random_state=0)
    elif not hasattr(cv, "split"):
        cv = list(cv)
    regressor = EntryRegressor(estimator, np.shape(X), dense=not hasattr(X, "tocsr"))
    if isinstance(scoring, (list, tuple, set)):
        scoring = {name: name for name in scoring}
    return cross_validate(
        regressor,
        pairs,
        values,
        cv=cv,
        scoring={name: _named(scorer) for name, scorer in scoring.items()}
        if isinstance(scoring, dict)
        else _named(scoring),
        n_jobs=n_jobs,
        return_estimator=return_estimator,
        error_score=error_score,
    )


def _named(scorer):
    """A scorer of this package by its name; scikit-learn's know their own."""
    known = isinstance(scorer, str) and scorer in _METRICS
    return completion_scorer(scorer) if known else scorer
