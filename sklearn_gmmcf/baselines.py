# SPDX-License-Identifier: BSD-3-Clause
"""Simple recommenders, which a mixture has to beat.

They have `fit` and `recommend` as the mixtures have, so that scorers measure them on
the same entries.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._ranking import list_best
from sklearn_gmmcf._sklearn import Interval, PackageEstimator, fit_context
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count, open_data
from sklearn_gmmcf.data import Block, Blocks, RowArray, limit_to_working_memory

__all__ = ["DampedMeanRecommender", "PopularityRecommender", "RandomRecommender"]

# Bytes of the scores that are worked on together.
_SCORE_BYTES = 2**23


class BaseRecommender(PackageEstimator, BaseEstimator, metaclass=ABCMeta):
    """Ranks all columns of each row by a score."""

    missing_values: float

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Any:
        """Fit to ratings.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries: users in rows, items in columns.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted recommender.

        See Also
        --------
        recommend : Lists of columns.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.baselines import DampedMeanRecommender
        >>> X = [[1, 2, np.nan], [np.nan, 4, 5], [3, np.nan, 5]]
        >>> recommender = DampedMeanRecommender(damping=1).fit(X)
        >>> print(f"{recommender.mean_:.1f}")
        3.3
        >>> recommender.item_effects_.round(1)
        array([-0.9, -0.2,  1.1])
        """
        data = open_data(self, X, reset=True, missing_values=self.missing_values)
        self._learn(data)
        self._columns = data.columns
        return self

    def recommend(
        self, X: Any, n_items: int = 10, *, exclude_observed: bool = True
    ) -> tuple[Array, Array]:
        """Find the columns with the highest scores for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        n_items : int, default=10
            Number of columns to find for each row.
        exclude_observed : bool, default=True
            Leave out the observed entries of the row.

        Returns
        -------
        items : ndarray of shape (n_samples, n_items)
            Column indices, best first; of equal ones the first column first. -1 where
            fewer columns are left.
        scores : ndarray of shape (n_samples, n_items)
            Their scores; NaN where fewer columns are left.

        Raises
        ------
        ValueError
            If ``n_items`` is less than 1.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.recommend : Lists made for each row.
        sklearn_gmmcf.model_selection.recommendation_scorer : Measures lists.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.baselines import PopularityRecommender
        >>> X = [[1, 2, np.nan], [np.nan, 4, 5], [3, np.nan, 5]]
        >>> recommender = PopularityRecommender().fit(X)
        >>> recommender.recommend(X, n_items=1)[0]
        array([[2],
               [0],
               [1]])
        >>> recommender.recommend(X, n_items=1, exclude_observed=False)[0]
        array([[0],
               [0],
               [0]])
        """
        check_is_fitted(self)
        check_count("n_items", n_items)
        data = open_data(
            self,
            X,
            reset=False,
            missing_values=self.missing_values,
            columns=self._columns,
        )
        n_bytes = limit_to_working_memory(_SCORE_BYTES)
        items, scores = data.row_arrays(
            partial(self._list_best, n_items, exclude_observed),
            RowArray((n_items,), np.dtype(np.intp)),
            RowArray((n_items,), np.dtype(np.float64)),
            max_rows=max(n_bytes // (8 * data.shape[1]), 1),
        )
        return items, scores

    def _list_best(
        self, n_items: int, exclude_observed: bool, block: Block
    ) -> tuple[Array, ...]:
        scores = self._score(block)
        allowed = scores.copy()
        if exclude_observed:
            block.restore(allowed, value=-np.inf)
        return list_best(allowed, n_items, scores)

    @abstractmethod
    def _learn(self, data: Blocks) -> None:
        """Set the fitted attributes."""

    @abstractmethod
    def _score(self, block: Block) -> Array:
        """Scores of all columns for the rows of a block, (n, d)."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_columns")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = bool(np.isnan(self.missing_values))
        tags.input_tags.sparse = True
        return tags


class PopularityRecommender(BaseRecommender):
    """Recommend the items that most rows have observed.

    Parameters
    ----------
    missing_values : float, default=np.nan
        The value that marks a missing entry. In a sparse matrix an entry that is not
        stored is missing, too.

    Attributes
    ----------
    counts_ : ndarray of shape (n_features,)
        Number of observed entries of each column: the scores.

    n_features_in_ : int
        Number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has names that are all strings.

    See Also
    --------
    DampedMeanRecommender : Recommends the items with the highest ratings.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.baselines import PopularityRecommender
    >>> X = [[1, 2, np.nan], [np.nan, 4, 5], [3, np.nan, 5]]
    >>> items, scores = PopularityRecommender().fit(X).recommend([[np.nan, 4, 1]], 1)
    >>> items, scores
    (array([[0]]), array([[2.]]))
    """

    _parameter_constraints: dict[str, Any] = {
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"]
    }

    def __init__(self, *, missing_values: float = np.nan) -> None:
        self.missing_values = missing_values

    def _learn(self, data: Blocks) -> None:
        self.counts_ = _count(data)

    def _score(self, block: Block) -> Array:
        return np.tile(self.counts_, (block.shape[0], 1))


class DampedMeanRecommender(BaseRecommender):
    """Recommend the items with the highest mean, shrunk where ratings are few.

    The score of an item is a predicted rating, the sum of the mean of all ratings, the
    effect of the item, and the effect of the row: the mean of an item's deviations
    from the mean of all, and then of a row's deviations from the means of its items,
    each as if `damping` more deviations had been 0.

    Parameters
    ----------
    damping : float, default=5.0
        Number of ratings by which means are shrunk.

    missing_values : float, default=np.nan
        The value that marks a missing entry. In a sparse matrix an entry that is not
        stored is missing, too.

    Attributes
    ----------
    mean_ : float
        Mean of all ratings.

    item_effects_ : ndarray of shape (n_features,)
        Damped mean deviations of the columns.

    n_features_in_ : int
        Number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has names that are all strings.

    See Also
    --------
    PopularityRecommender : Recommends the items that most rows have observed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.baselines import DampedMeanRecommender
    >>> X = [[1, 2, np.nan], [np.nan, 4, 5], [3, np.nan, 5]]
    >>> recommender = DampedMeanRecommender().fit(X)
    >>> items, ratings = recommender.recommend([[3, np.nan, np.nan]], n_items=2)
    >>> items, ratings.round(2)
    (array([[2, 1]]), array([[3.82, 3.25]]))
    """

    _parameter_constraints: dict[str, Any] = {
        "damping": [Interval(Real, 0, None, closed="left")],
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"],
    }

    def __init__(self, *, damping: float = 5.0, missing_values: float = np.nan) -> None:
        self.damping = damping
        self.missing_values = missing_values

    def _learn(self, data: Blocks) -> None:
        counts, center = _count(data), data.columns.center
        self.mean_ = float(counts @ center / counts.sum())
        sums = counts * (center - self.mean_)
        self.item_effects_ = _divide(sums, counts + self.damping)

    def _score(self, block: Block) -> Array:
        expected = self.mean_ + self.item_effects_
        ones = np.ones_like(expected)[None]
        sums = block.values.project(ones)[0]
        sums += block.mask.project((self._columns.center - expected)[None])[0]
        effects = _divide(sums, block.counts + self.damping)
        return np.add.outer(effects, expected)


class RandomRecommender(BaseRecommender):
    """Recommend random items.

    Parameters
    ----------
    missing_values : float, default=np.nan
        The value that marks a missing entry. In a sparse matrix an entry that is not
        stored is missing, too.

    random_state : int, RandomState instance or None, default=None
        Seeds the draws, once in fit: later calls of `recommend` draw the same items for
        the same row numbers.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has names that are all strings.

    See Also
    --------
    PopularityRecommender : Recommends the items that most rows have observed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.baselines import RandomRecommender
    >>> X = [[1, 2, np.nan], [np.nan, 4, 5], [3, np.nan, 5]]
    >>> items, _ = RandomRecommender(random_state=0).fit(X).recommend(X, n_items=2)
    >>> items
    array([[ 2, -1],
           [ 0, -1],
           [ 1, -1]])
    """

    _parameter_constraints: dict[str, Any] = {
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"],
        "random_state": ["random_state"],
    }

    def __init__(
        self, *, missing_values: float = np.nan, random_state: Any = None
    ) -> None:
        self.missing_values = missing_values
        self.random_state = random_state

    def _learn(self, data: Blocks) -> None:
        self._seed = check_random_state(self.random_state).randint(2**31)

    def _score(self, block: Block) -> Array:
        scores = np.empty(block.shape)
        # A row's draws do not depend on the block that it is in.
        for row, drawn in zip(
            range(block.rows.start, block.rows.stop), scores, strict=True
        ):
            drawn[:] = np.random.default_rng((self._seed, row)).uniform(size=len(drawn))
        return scores


def _count(data: Blocks) -> Array:
    """Numbers of observed entries of the columns, (d,)."""
    return data.total(lambda block: block.mask.collect(block.weights[None])[0])


def _divide(sums: Array, sizes: Array) -> Array:
    """Quotients, 0 of nothing."""
    return np.divide(sums, sizes, out=np.zeros(np.shape(sums)), where=sizes > 0)
