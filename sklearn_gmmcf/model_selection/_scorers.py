# SPDX-License-Identifier: BSD-3-Clause
"""Scorers: completions of hidden entries, and the criteria BIC, AIC and ICL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_gmmcf._held_out import apply_steps, check_fraction, get_steps, hold_out
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.model_selection._regressor import EntryRegressor, hold_out_pairs

METRICS = ("rmse", "mae", "log_density")


def completion_scorer(
    metric: str | Callable[[Array, Array], float] = "rmse",
    fraction: float = 0.1,
    random_state: Any = 0,
    *,
    greater_is_better: bool = False,
) -> Callable[..., float]:
    """Make a scorer that judges completions of hidden entries.

    The scorer hides some observed entries of the rows that it gets, lets the estimator
    complete them, and scores these entries alone. It is made for ``scoring=`` of
    `GridSearchCV`, `cross_val_score` and similar tools, whose folds are of rows: so the
    score tells how well *new* rows are completed. With a seed, all candidates of a
    search are judged on the same entries. Pass no rows that were fitted: the estimator
    has seen their hidden entries.

    In a :class:`~sklearn.pipeline.Pipeline` entries are hidden in its input, and errors
    are in the units of its last step: observed entries pass through the Pipeline, so
    its output with nothing hidden holds the true values. The steps before the last must
    treat each column by itself, as scalers do; steps that mix the entries of a row,
    such as PCA, are refused. Behind a
    :class:`~sklearn_gmmcf.preprocessing.RowNormalizer` predictions go back to the units
    of X by the mean and the deviation of the entries that are not hidden.

    For an :class:`EntryRegressor` the scorer hides nothing: the samples that it gets
    are entries that were not fitted.

    Parameters
    ----------
    metric : {'rmse', 'mae', 'log_density'} or callable, default='rmse'
        Root mean squared error and mean absolute error, both negated; the mean
        log-density of the hidden entries, each given the observed entries of its row
        (estimators of this package only); or a function of (true, predicted), both
        (m,), that returns a number.

    fraction : float, default=0.1
        Share of the observed entries to hide; see :func:`hide_entries`.

    random_state : int, RandomState instance or None, default=0
        Seeds the draw of the hidden entries.

    greater_is_better : bool, default=False
        Whether a callable `metric` is a score. Errors are negated.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None)`` returns a float; higher is better. Missing
        entries are marked by the `missing_values` of the last step, NaN if it has none.
        Imputers of scikit-learn are scored, too, on dense X.

    Raises
    ------
    ValueError
        If `metric` or `fraction` is none of the above. The scorer itself raises it
        where the steps of a Pipeline mix or lose entries, or hidden entries stay
        missing.

    See Also
    --------
    cross_validate_entries : Folds of entries of the same rows.
    hide_entries : The hidden entries themselves.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import completion_scorer
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(covariance_type="spherical"),
    ...     {"n_components": [1, 2, 4, 8], "random_state": range(3)},
    ...     scoring=completion_scorer("rmse"),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    >>> print(f"{-search.best_score_:.2f}")
    0.50
    """
    if not callable(metric) and metric not in METRICS:
        raise ValueError(
            f"metric should be one of {list(METRICS)} or a function of (true, "
            f"predicted), but got {metric!r}."
        )
    check_fraction(fraction)
    return _CompletionScorer(metric, fraction, random_state, greater_is_better)


@dataclass(frozen=True)
class _CompletionScorer:
    metric: str | Callable[[Array, Array], float]
    fraction: float
    random_state: Any
    greater_is_better: bool

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        if not isinstance(estimator, EntryRegressor):
            steps = get_steps(estimator)
            held_out = hold_out(steps, X, self.fraction, self.random_state)
        elif self.metric == "log_density":
            steps = get_steps(estimator.estimator_)
            held_out = hold_out_pairs(estimator, X, y)
        else:  # errors are in the units of y
            return self._compare(np.asarray(y), estimator.predict(X))
        if self.metric == "log_density":
            return float(np.mean(held_out.log_density(steps[-1])))
        return self._compare(held_out.values, held_out.predict(steps[-1]))

    def _compare(self, true: Array, predicted: Array) -> float:
        if not np.isfinite(predicted).all():
            raise ValueError(
                "The estimator leaves hidden entries missing. Imputers of scikit-learn "
                "read entries that a sparse matrix does not store as zeros: pass X "
                "dense."
            )
        if callable(self.metric):
            value = float(self.metric(true, predicted))
            return value if self.greater_is_better else -value
        if self.metric == "rmse":
            return -float(np.sqrt(np.mean((predicted - true) ** 2)))
        return -float(np.mean(np.abs(predicted - true)))


def bic_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score by the Bayesian information criterion, negated.

    For ``scoring=`` of `GridSearchCV`. In a Pipeline the criterion is computed for the
    last step, on the output of the steps before it. The criterion itself penalizes
    parameters: judge the rows that were fitted, by ``cv=all_rows()`` as below. On
    validation rows the model would pay for its parameters twice.

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

    See Also
    --------
    aic_scorer : A smaller penalty.
    icl_scorer : Counts clusters rather than Gaussians.
    all_rows : The split for it.
    select_mixture : The same choice in one call, at less cost.
    completion_scorer : Scores of predictions, for validation rows.

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
    ...     scoring=bic_scorer,
    ...     cv=all_rows(),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    """
    return _negate("bic", estimator, X)


def aic_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score by the Akaike information criterion, negated.

    Like :func:`bic_scorer`, with the AIC's penalty of 2 for each parameter in place of
    the logarithm of the number of rows.

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

    See Also
    --------
    bic_scorer : A larger penalty.
    completion_scorer : Scores of predictions, for validation rows.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import aic_scorer, all_rows
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(covariance_type="spherical", random_state=0),
    ...     {"n_components": [1, 2, 4]},
    ...     scoring=aic_scorer,
    ...     cv=all_rows(),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    """
    return _negate("aic", estimator, X)


def icl_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score by the integrated completed likelihood, negated.

    Like :func:`bic_scorer`, plus twice the entropy of the responsibilities, so that
    components that share rows are dear.

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
        Minus the ICL; higher is better.

    See Also
    --------
    bic_scorer : Without the entropy.
    all_rows : The split for it.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import all_rows, icl_scorer
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> search = GridSearchCV(
    ...     MaskedGaussianMixture(covariance_type="spherical", random_state=0),
    ...     {"n_components": [1, 2, 4]},
    ...     scoring=icl_scorer,
    ...     cv=all_rows(),
    ... )
    >>> search.fit(X).best_params_["n_components"]
    4
    """
    return _negate("icl", estimator, X)


def _negate(criterion: str, estimator: Any, X: Any) -> float:
    """Minus a criterion of the last step, on the output of the steps before it."""
    *before, last = get_steps(estimator)
    return -float(getattr(last, criterion)(apply_steps(before, X)))
