# SPDX-License-Identifier: BSD-3-Clause
"""recommendation_scorer: lists of items, measured on hidden entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sklearn_gmmcf import metrics
from sklearn_gmmcf._held_out import (
    apply_steps,
    get_covariates,
    get_missing_values,
    get_steps,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count
from sklearn_gmmcf.data._entries import Entries, build, gather, hide, list_entries
from sklearn_gmmcf.model_selection._splits import check_size, find_last
from sklearn_gmmcf.recommender import MixtureRecommender

_METRICS: dict[str, Callable[..., float]] = {
    "ndcg": metrics.ndcg_at_k,
    "precision": metrics.precision_at_k,
    "recall": metrics.recall_at_k,
    "average_precision": metrics.average_precision,
}
# Entries of a row may change their order by rounding.
_ROUNDING = 1e-9


def recommendation_scorer(
    metric: str | Callable[[Array, Any], float] = "ndcg",
    k: int = 10,
    *,
    fraction: float = 0.2,
    threshold: float | None = None,
    rank_by: Any = None,
    random_state: Any = 0,
) -> Callable[..., float]:
    """Make a scorer that judges lists of recommended items by hidden entries.

    The scorer hides some observed entries of each row that it gets, asks the estimator
    to recommend items from the rest, and measures how many of the hidden ones it finds.
    It is made for ``scoring=`` of `GridSearchCV`, `cross_val_score` and similar tools,
    whose folds are of rows: so the score tells how good lists for *new* rows are. With
    a seed, all candidates of a search are judged on the same entries. Pass no rows that
    were fitted: the estimator has seen their hidden entries.

    Parameters
    ----------
    metric : {'ndcg', 'precision', 'recall', 'average_precision'} or callable, \
            default='ndcg'
        A metric of :mod:`sklearn_gmmcf.metrics`, or a function of (items, relevance)
        that returns a number, of which higher is better: items are an ndarray of shape
        (n_rows, k) as `recommend` returns them, relevance a CSR matrix of the hidden
        entries.

    k : int, default=10
        Length of the lists.

    fraction : float, default=0.2
        Share of the observed entries of each row to hide, rounded up. Each row keeps
        one entry, and rows of a single entry do not count.

    threshold : float, default=None
        Hidden entries from this value on are relevant. None takes their values as
        grades, as `metric` describes them. It does not concern a callable.

    rank_by : str or callable, default=None
        The `rank_by` of the estimator's `recommend`. None is its default, and all that
        recommenders of :mod:`sklearn_gmmcf.baselines` know.

    random_state : int, RandomState instance or None, default=0
        Seeds the draw of the hidden entries.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None)`` returns a float; higher is better. The
        estimator has `recommend`, or is a Pipeline or a fitted search whose last step
        has it. Missing entries are marked by the `missing_values` of the last step.

    Raises
    ------
    ValueError
        If `metric`, `k` or `fraction` is none of the above. The scorer itself raises it
        if the estimator does not recommend from a matrix or has no such `rank_by`, if
        no hidden entry is relevant, or if the steps before the last change which
        entries of a row are higher than others, as scalers of columns do.

    See Also
    --------
    completion_scorer : Scores of predicted values.
    split_by_time : Test parts of the same rows.
    sklearn_gmmcf.baselines : Recommenders to compare with.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.baselines import PopularityRecommender
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import recommendation_scorer
    >>> X = make_ratings(random_state=0).data
    >>> scorer = recommendation_scorer("recall", k=5, threshold=4)
    >>> scores = cross_val_score(PopularityRecommender(), X, scoring=scorer)
    >>> print(f"{scores.mean():.2f}")
    0.33
    >>> scorer = recommendation_scorer("recall", k=5, threshold=4, rank_by="utility")
    >>> mixture = MaskedGaussianMixture(covariance_type="factor", n_factors=5)
    >>> print(f"{cross_val_score(mixture, X, scoring=scorer).mean():.2f}")
    0.45
    """
    named = isinstance(metric, str) and metric in _METRICS
    if not named and not callable(metric):
        raise ValueError(
            f"metric should be one of {list(_METRICS)} or a function of (items, "
            f"relevance), but got {metric!r}."
        )
    check_count("k", k)
    check_size("fraction", fraction)
    return _RecommendationScorer(metric, k, fraction, threshold, rank_by, random_state)


@dataclass(frozen=True)
class _RecommendationScorer:
    metric: str | Callable[[Array, Any], float]
    k: int
    fraction: float
    threshold: float | None
    rank_by: Any
    random_state: Any

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        *before, last = steps = get_steps(estimator)
        _check_recommends(last, self.rank_by)
        X_hidden, hidden = self._hide(steps, X)
        Z_hidden = apply_steps(before, X_hidden) if before else X_hidden
        if before:
            _check_order(X_hidden, Z_hidden, get_missing_values(steps))
        options = {} if self.rank_by is None else {"rank_by": self.rank_by}
        items = np.asarray(last.recommend(Z_hidden, self.k, **options)[0])
        relevance = build(hidden, missing_values=None)
        if callable(self.metric):
            return float(self.metric(items, relevance))
        measure = _METRICS[self.metric]
        return measure(items, relevance, self.k, threshold=self.threshold)

    def _hide(self, steps: list[Any], X: Any) -> tuple[Any, Entries]:
        missing_values = get_missing_values(steps)
        entries = list_entries(X, missing_values, get_covariates(steps, X))
        order = check_random_state(self.random_state).permutation(len(entries.rows))
        hidden = entries.take(find_last(entries.rows, order, self.fraction))
        return hide(X, hidden.rows, hidden.columns, missing_values), hidden


def _check_recommends(estimator: Any, rank_by: Any) -> None:
    """Refuse estimators whose lists the scorer cannot ask for."""
    name = type(estimator).__name__
    takes = (
        "Take a mixture of this package, a recommender of sklearn_gmmcf.baselines, or "
        "a Pipeline that ends in one."
    )
    if not hasattr(estimator, "recommend"):
        raise ValueError(f"{name} has no recommend. {takes}")
    if isinstance(estimator, MixtureRecommender):
        raise ValueError(
            f"{name} recommends from tables of ratings, but recommendation_scorer "
            f"hides entries of a matrix. {takes} RatingsEncoder makes a matrix of a "
            "table."
        )
    options = signature(estimator.recommend).parameters.values()
    if rank_by is not None and not any(
        each.name == "rank_by" or each.kind is Parameter.VAR_KEYWORD for each in options
    ):
        raise ValueError(
            f"{name} has no rank_by, but recommendation_scorer got rank_by={rank_by!r}."
            " Make a scorer without it."
        )


def _check_order(X: Any, Z: Any, missing_values: float) -> None:
    """Check that the entries of each row have the same order in both matrices."""
    entries = list_entries(X, missing_values)
    values = gather(Z, entries.rows, entries.columns)
    order = np.lexsort((values, entries.values, entries.rows))
    rows, values = entries.rows[order], values[order]
    atol = _ROUNDING * np.abs(values).max(initial=0.0)
    falls = (np.diff(rows) == 0) & (np.diff(values) < -atol)
    if falls.any():
        raise ValueError(
            f"The steps of the Pipeline change the order of the entries of row "
            f"{rows[np.argmax(falls)]}, so that its last step ranks items in other "
            "units than those of X. Scalers of columns do; RowNormalizer does not."
        )
