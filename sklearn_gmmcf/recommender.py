# SPDX-License-Identifier: BSD-3-Clause
"""From a table of ratings to lists that people like, with reasons."""

from __future__ import annotations

import warnings
from copy import copy
from numbers import Integral, Real
from typing import Any, Self

import joblib
import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from scipy.special import ndtr, ndtri
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._frames import list_columns, open_frame
from sklearn_gmmcf._ids import Ids, check_ids
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._ranking import check_threshold
from sklearn_gmmcf._rating_lines import (
    LineReader,
    RatingLines,
    check_rating_range,
)
from sklearn_gmmcf._sklearn import Interval, PackageEstimator, StrOptions, fit_context
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._user_rows import UserRows, overwrite
from sklearn_gmmcf._warnings import UnobservedColumnsWarning
from sklearn_gmmcf.covariance._factor_features import find_threshold
from sklearn_gmmcf.ratings import RatingsEncoder

__all__ = ["MixtureRecommender"]

# Columns of tables of results.
_RESERVED = ("std", "chance", "similarity")


class MixtureRecommender(PackageEstimator, BaseEstimator):
    """Recommend items to users, from a table of their ratings.

    The table goes through a :class:`~sklearn_gmmcf.ratings.RatingsEncoder` to a
    :class:`~sklearn_gmmcf.MaskedGaussianMixture` with latent factors; all results come
    back as tables with the ids of users and items. Lists hold items that the user would
    both choose and like; see `recommend`.

    Parameters
    ----------
    n_components : int, default=4
        Number of types of users.

    n_factors : int, default=20
        Number of latent factors.

    user, item, rating : str, default='user', 'item' and 'rating'
        Names of the columns of frames. Other columns are ignored.

    time : str or None, default=None
        Name of a column of frames that tells when a rating was given. Of several
        ratings of one item by one user the latest counts; without it the last in the
        table. Only the table of `fit` needs the column.

    rating_range : tuple (low, high) or None, default=None
        The scale of the ratings. Predictions are clipped to it. None takes the lowest
        and the highest rating of the table.

    out_of_range : {'raise', 'missing', 'clip'}, default='raise'
        Treatment of ratings outside `rating_range`: see
        :class:`~sklearn_gmmcf.ratings.RatingsEncoder`.

    user_features, item_features : frame or None, default=None
        Features of users and items. Items of `item_features` without ratings can be
        recommended, too.

    item_titles : dict, pandas Series, frame or None, default=None
        Titles of items, which tables of results have as a column.

    max_iter : int, default=100
        Number of EM iterations, at most.

    tol : float, default=1e-3
        See :class:`~sklearn_gmmcf.MaskedGaussianMixture`.

    n_jobs : int or None, default=None
        Number of threads. Results do not depend on it.

    Attributes
    ----------
    mixture_ : MaskedGaussianMixture
        The mixture of the matrix of users by items.

    users_ : ndarray of shape (n_users,)
        Ids of the users whose ratings are held.

    items_ : ndarray of shape (n_items,)
        Ids of the items, sorted.

    rating_range_ : tuple (low, high)
        The scale of the ratings.

    threshold_ : float
        Ratings of at least this number are liked: the highest rating that half of the
        ratings reach, less half the step to the next lower one; if it is the lowest,
        plus half the step to the next higher one.

    mean_rating_ : float
        Mean of the ratings of the fit: the prediction for an unknown item.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture : The same on a sparse matrix.
    sklearn_gmmcf.model_selection.recommendation_scorer : Measure lists.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gmmcf import MixtureRecommender
    >>> table = pd.DataFrame(
    ...     [("ann", "Alien", 5), ("ann", "Brazil", 4), ("bob", "Alien", 2),
    ...      ("bob", "Clue", 4), ("cyd", "Alien", 5), ("cyd", "Clue", 1)],
    ...     columns=["user", "item", "rating"],
    ... )
    >>> recommender = MixtureRecommender(n_components=1, n_factors=2).fit(table)
    >>> recommender.recommend(["cyd"])[["user", "item"]]
      user    item
    0  cyd  Brazil
    >>> recommender.update((["bob"], ["Brazil"], [1])).forget("ann").users_
    array(['bob', 'cyd'], dtype='<U3')
    """

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "user": [str],
        "item": [str],
        "rating": [str],
        "time": [str, None],
        "rating_range": [tuple, list, None],
        "out_of_range": [StrOptions({"raise", "missing", "clip"})],
        "user_features": "no_validation",
        "item_features": "no_validation",
        "item_titles": "no_validation",
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    mixture_: MaskedGaussianMixture

    def __init__(
        self,
        n_components: int = 4,
        *,
        n_factors: int = 20,
        user: str = "user",
        item: str = "item",
        rating: str = "rating",
        time: str | None = None,
        rating_range: tuple[float, float] | None = None,
        out_of_range: str = "raise",
        user_features: Any = None,
        item_features: Any = None,
        item_titles: Any = None,
        max_iter: int = 100,
        tol: float = 1e-3,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_factors = n_factors
        self.user = user
        self.item = item
        self.rating = rating
        self.time = time
        self.rating_range = rating_range
        self.out_of_range = out_of_range
        self.user_features = user_features
        self.item_features = item_features
        self.item_titles = item_titles
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, ratings: Any, y: Any = None) -> Self:
        """Learn from a table of ratings.

        Parameters
        ----------
        ratings : frame or tuple of three array-likes
            The table: users, items and ratings, one rating in a line. A pandas, polars
            or pyarrow frame, or three arrays.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted recommender.

        Raises
        ------
        ValueError
            If the table or a parameter cannot be used.

        See Also
        --------
        update : Learn further ratings without a new fit.
        sklearn_gmmcf.ratings.RatingsEncoder : Reads tables.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> recommender.items_.tolist(), recommender.users_.tolist()
        (['Alien', 'Brazil', 'Clue'], ['ann', 'bob', 'cyd'])
        """
        for name in (self.user, self.item, self.rating):
            _check_name(name, "ratings")
        if callable(ratings):
            raise ValueError("ratings should be a frame or a tuple of three arrays.")
        encoder = RatingsEncoder(
            user=self.user,
            item=self.item,
            rating=self.rating,
            duplicates="last",
            rating_range=self.rating_range,
            out_of_range=self.out_of_range,
            user_features=self.user_features,
            item_features=self.item_features,
            item_titles=self.item_titles,
        )
        X, users = encoder.fit_encode(self._in_time(ratings, required=True))
        self._check_can_learn(X, users, encoder)
        self._backend = None
        if nw.dependencies.is_into_dataframe(ratings):
            frame = nw.from_native(ratings, eager_only=True)
            self._backend = frame.implementation.value
        self._fit_mixture(
            X,
            covariates=encoder.covariates_ if len(encoder.covariates_) else None,
            column_features=encoder.column_features_,
        )
        self.items_ = encoder.items_
        self._encoder = encoder
        # Columns of the encoder in those of the mixture, where new items come last.
        self._columns = np.arange(X.shape[1])
        self._hold(UserRows(users, X))
        self._learn_scale()
        return self

    def _check_can_learn(self, X: Any, users: Array, encoder: RatingsEncoder) -> None:
        _check_name(encoder.item_title_name_, "titles")
        n_needed = max(self.n_components, 2)
        if len(users) < n_needed:
            raise ValueError(
                f"The table has {len(users)} user(s), but n_components="
                f"{self.n_components} needs at least {n_needed}. Pass ratings of more "
                "users, or decrease n_components."
            )
        items = X.indices < len(encoder.items_)
        if np.ptp(X.data[items]) == 0:
            raise ValueError(
                f"All ratings are {X.data[items][0]:g}, so that nothing tells users "
                "and items apart. Pass ratings that differ."
            )

    def _learn_scale(self) -> None:
        """Set the attributes that tell of all ratings that are held."""
        X = self._get_held("fit anew").ratings
        covariates = self._columns[len(self.items_) :]
        values = X.data[np.isin(X.indices, covariates, invert=True)]
        in_range = values.min(), values.max()
        if self.rating_range is not None:
            in_range = check_rating_range(self.rating_range)
        self.rating_range_ = float(in_range[0]), float(in_range[1])
        self.threshold_ = find_threshold(values, np.ones(len(values)))
        self.mean_rating_ = float(values.mean())
        self._std = float(values.std())

    def recommend(
        self,
        users: Any = None,
        n_items: int = 10,
        *,
        ratings: Any = None,
        user_features: Any = None,
        rank_by: Any = "utility",
        items: Any = None,
        exclude: Any = None,
        exclude_observed: bool = True,
        threshold: float | None = None,
    ) -> Any:
        """List the best items for each user.

        Parameters
        ----------
        users : array-like of ids or None, default=None
            The users; unknown ones get a list, too. None is all users, or, with
            `ratings`, the users of that table.
        n_items : int, default=10
            Number of items for each user.
        ratings : frame, tuple of three array-likes or None, default=None
            Ratings that are not learned, such as the ratings of a visitor: they count
            in place of the ratings that are held of these users. Items that are unknown
            are left out.
        user_features : frame or None, default=None
            Features of users of `ratings`, in the columns that were fitted.
        rank_by : {'utility', 'value', 'lower', 'upper'} or callable, default='utility'
            See :meth:`sklearn_gmmcf.MaskedGaussianMixture.recommend`. 'utility' is how
            likely the user is to choose the item, times the probability that the user
            likes it.
        items, exclude : array-like of ids or None, default=None
            The only items that may be listed, and items that may not be.
        exclude_observed : bool, default=True
            Leave out items that the user has rated.
        threshold : float or None, default=None
            Ratings of at least this number are liked. None is `threshold_`.

        Returns
        -------
        table : frame or tuple of ndarrays
            A line for each item of each user, best first: user, item, title if there
            are titles, expected rating, its standard deviation "std", and "chance", the
            probability that the user likes the item. Of the kind of the table of `fit`.

        Raises
        ------
        ValueError
            If an id of `items` or `exclude` is unknown, or an argument cannot be used.

        See Also
        --------
        explain : Why an item is expected to be liked.
        similar_items : Items that are like one item.
        sklearn_gmmcf.model_selection.recommendation_scorer : Measures lists.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> table = pd.DataFrame(
        ...     [("ann", "Alien", 5), ("ann", "Brazil", 4), ("bob", "Alien", 2),
        ...      ("bob", "Clue", 4), ("cyd", "Alien", 5), ("cyd", "Clue", 1)],
        ...     columns=["user", "item", "rating"],
        ... )
        >>> recommender = MixtureRecommender(1, n_factors=2).fit(table)
        >>> recommender.recommend(["ann", "bob"], n_items=1)[["user", "item"]]
          user    item
        0  ann    Clue
        1  bob  Brazil

        A visitor, whose ratings are not learned:

        >>> visitor = pd.DataFrame({"user": ["me"], "item": ["Clue"], "rating": [1]})
        >>> recommender.recommend(ratings=visitor, n_items=2)[["user", "item"]]
          user    item
        0   me  Brazil
        1   me   Alien
        """
        X, ids = self._open_rows(users, ratings, user_features)
        if not len(ids):
            raise ValueError("users is empty. Pass ids, or None for all users.")
        threshold = self._check_threshold(threshold)
        columns, values, std = self.mixture_.recommend(
            X,
            n_items,
            rank_by=rank_by,
            threshold=threshold,
            items=None if items is None else self._find_columns(items, "items"),
            exclude=None if exclude is None else self._find_columns(exclude, "exclude"),
            exclude_observed=exclude_observed,
            return_std=True,
        )
        found = columns >= 0
        indices = np.where(found, np.argsort(self._columns)[columns], -1)
        table = self._encoder.decode(ids, indices, self._clip(values), std)
        chances = _find_chances(values, std, threshold)[found]
        if self._backend is None:
            return *table, chances
        new = nw.new_series("chance", chances, backend=self._backend)
        return nw.from_native(table).with_columns(new).to_native()

    def predict(
        self, pairs: Any, *, ratings: Any = None, return_std: bool = False
    ) -> Any:
        """Predict ratings.

        Parameters
        ----------
        pairs : frame or tuple of array-likes
            Users and items: the first two of a tuple, or columns of a frame.
        ratings : frame, tuple of three array-likes or None, default=None
            Ratings that are not learned, as in `recommend`.
        return_std : bool, default=False
            Return standard deviations too.

        Returns
        -------
        ratings : ndarray of shape (n,)
            Expected ratings, clipped to `rating_range_`. Ratings that are held are
            returned as they are. Of an unknown user, the mean of the item; of an
            unknown item, the mean of all ratings.
        std : ndarray of shape (n,)
            Standard deviations; 0 for ratings that are held. Only if ``return_std``.

        See Also
        --------
        predict_interval : Intervals of ratings.
        predict_chance : Probabilities that items are liked.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> ratings = ["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5, 4, 2]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(ratings)
        >>> recommender.predict((["ann", "bob"], ["Alien", "Alien"]))
        array([5., 2.])
        """
        values, std = self._predict(pairs, ratings)
        return (self._clip(values), std) if return_std else self._clip(values)

    def predict_interval(
        self, pairs: Any, coverage: float = 0.9, *, ratings: Any = None
    ) -> tuple[Array, Array]:
        """Predict intervals that hold the ratings with a given probability.

        The predictive distribution is normal, and all values beyond an end of
        `rating_range_` are ratings at the end. So an interval that reaches an end
        leaves out nothing there, and may leave out more at its other end.

        Parameters
        ----------
        pairs : frame or tuple of array-likes
            Users and items, as in `predict`.
        coverage : float, default=0.9
            The probability.
        ratings : frame, tuple of three array-likes or None, default=None
            Ratings that are not learned, as in `recommend`.

        Returns
        -------
        lower, upper : ndarray of shape (n,)
            Ends of the intervals.

        See Also
        --------
        predict : Expected ratings and standard deviations.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> lower, upper = recommender.predict_interval((["bob"], ["Brazil"]), 0.5)
        >>> lower.round(1), upper.round(1)
        (array([2.3]), array([4.2]))
        """
        if not (isinstance(coverage, Real) and 0 < float(coverage) < 1):
            raise ValueError(
                f"coverage should be a number between 0 and 1, but got {coverage!r}."
            )
        values, std = self._predict(pairs, ratings)
        low, high = self.rating_range_
        left_out = 1 - float(coverage)
        width = -ndtri(left_out / 2) * std
        one_sided = np.maximum(-ndtri(left_out) * std, 0.0)
        at_low, at_high = values - width <= low, values + width >= high
        lower = values - np.where(at_high & ~at_low, one_sided, width)
        upper = values + np.where(at_low & ~at_high, one_sided, width)
        return self._clip(lower), self._clip(upper)

    def predict_chance(
        self, pairs: Any, threshold: float | None = None, *, ratings: Any = None
    ) -> Array:
        """Predict the probability that a rating is at least `threshold`.

        Parameters
        ----------
        pairs : frame or tuple of array-likes
            Users and items, as in `predict`.
        threshold : float or None, default=None
            None is `threshold_`.
        ratings : frame, tuple of three array-likes or None, default=None
            Ratings that are not learned, as in `recommend`.

        Returns
        -------
        chances : ndarray of shape (n,)
            The probabilities; 0 or 1 for ratings that are held.

        See Also
        --------
        predict : Expected ratings.
        recommend : Ranks by this chance, and by how likely the item is chosen.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> pairs = ["ann", "bob"], ["Brazil", "Brazil"]
        >>> recommender.predict_chance(pairs, threshold=4).round(1)
        array([1. , 0.3])
        """
        threshold = self._check_threshold(threshold)
        return _find_chances(*self._predict(pairs, ratings), threshold)

    def score(self, ratings: Any, y: Any = None) -> float:
        """Compute the negated root mean squared error of predictions.

        Parameters
        ----------
        ratings : frame or tuple of three array-likes
            Ratings that were not learned; held ratings are predicted exactly.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        score : float
            In the units of the ratings; higher is better.

        See Also
        --------
        sklearn_gmmcf.model_selection.split_by_time : Makes tables to fit and to score.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> later = ["bob", "cyd"], ["Brazil", "Alien"], [3, 4]
        >>> print(f"{recommender.score(later):.1f}")
        -0.6
        """
        (lines,) = self._make_reader().read(ratings)
        pairs = lines.users.ids[lines.users.codes], lines.items.ids[lines.items.codes]
        if not len(lines.ratings):
            raise ValueError("The table has no rating to score.")
        return -float(np.sqrt(np.mean((self.predict(pairs) - lines.ratings) ** 2)))

    def explain(
        self, user: Any, item: Any, n_reasons: int | None = None, *, ratings: Any = None
    ) -> Any:
        """Explain an expected rating as a sum of parts.

        Parameters
        ----------
        user, item : id
            The user, and an item that the user has not rated.
        n_reasons : int or None, default=None
            Number of rated items that are listed, the largest contributions first; the
            others are added up in one line. None lists all.
        ratings : frame, tuple of three array-likes or None, default=None
            Ratings of the user that are not learned, as in `recommend`.

        Returns
        -------
        table : frame or tuple of ndarrays
            A line for each part. The contributions add up to the expected rating,
            before it is clipped.

            - "part": 'base' (the mean of the item), 'components' (the type of user, as
              the ratings suggest), 'mask' (which items the user rated), 'covariate',
              'observed' (a rating) or 'others';
            - "source": the title, or id, of the item that was rated, or the name of the
              feature; empty for other parts;
            - "rating": the rating; NaN for other parts;
            - "contribution": in units of ratings.

        Raises
        ------
        ValueError
            If the item is unknown, or the user has rated it.

        See Also
        --------
        recommend : Lists the items.
        sklearn_gmmcf.MaskedGaussianMixture.explain : The formula of the parts.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> ratings = make_ratings(100, 8, density=0.7, noise=0.2, random_state=0)
        >>> X = ratings.data.tocoo()
        >>> table = pd.DataFrame({"user": X.row, "item": X.col, "rating": X.data})
        >>> recommender = MixtureRecommender(1, n_factors=2).fit(table)
        >>> item = recommender.recommend([0], n_items=1).loc[0, "item"]
        >>> recommender.explain(0, item, n_reasons=2).round(2)
                 part source  rating  contribution
        0        base            NaN          4.01
        1  components            NaN          0.00
        2        mask            NaN          0.01
        3    observed      2    3.36         -0.47
        4    observed      3    3.01         -0.12
        5      others            NaN         -0.09
        """
        X, _ = self._open_rows([user], ratings)
        column = self._find_columns([item], "item")
        if column[0] in X[[0]].indices:
            raise ValueError(
                f"User {user!s} has rated item {item!s}: there is nothing to explain."
            )
        explanation = self.mixture_.explain(X, ([0], column))
        listed = explanation.to_dict(n_reasons, feature_names=np.arange(X.shape[1]))
        names, columns = self._name_columns(), listed["source"]
        rated = listed["part"] == "observed"
        values = np.full(len(rated), np.nan)
        values[rated] = X[[0]][:, columns[rated].astype(np.intp)].toarray()[0]
        sources = ["" if j is None else names[j] for j in columns]
        return self._make_table(
            {
                "part": listed["part"],
                "source": np.array(sources, dtype=object),
                "rating": values,
                "contribution": listed["contribution"],
            }
        )

    def similar_items(self, item: Any, n_items: int = 10) -> Any:
        """List the items that are most similar to an item.

        Parameters
        ----------
        item : id
            The item.
        n_items : int, default=10
            Number of items.

        Returns
        -------
        table : frame or tuple of ndarrays
            Item, title if there are titles, and "similarity" from -1 to 1, the most
            similar first; see
            :meth:`sklearn_gmmcf.MaskedGaussianMixture.similar_items`.

        See Also
        --------
        similar_users : The same for users.
        recommend : The best items for a user.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(100, 8, density=0.6, random_state=0).data.tocoo()
        >>> table = pd.DataFrame({"user": X.row, "item": X.col, "rating": X.data})
        >>> recommender = MixtureRecommender(1, n_factors=2).fit(table)
        >>> recommender.similar_items(0, n_items=2).round(2)
           item  similarity
        0     6        0.94
        1     1        0.88
        """
        column = self._find_columns([item], "item")
        columns, similarities = self.mixture_.similar_items(column, n_items)
        found = columns[0] >= 0
        indices = np.argsort(self._columns)[columns[0][found]]
        table: dict[Any, Array] = {self.item: self._encoder.items_[indices]}
        if self._encoder.item_titles_ is not None:
            table[self._encoder.item_title_name_] = self._encoder.item_titles_[indices]
        return self._make_table(table | {"similarity": similarities[0][found]})

    def similar_users(self, user: Any, n_users: int = 10) -> Any:
        """List the users that are most similar to a user.

        Parameters
        ----------
        user : id
            A user whose ratings are held.
        n_users : int, default=10
            Number of users.

        Returns
        -------
        table : frame or tuple of ndarrays
            User, and "similarity" from -1 to 1, the most similar first; see
            :meth:`sklearn_gmmcf.MaskedGaussianMixture.similar_rows`.

        See Also
        --------
        similar_items : The same for items.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(100, 8, density=0.6, random_state=0).data.tocoo()
        >>> table = pd.DataFrame({"user": X.row, "item": X.col, "rating": X.data})
        >>> recommender = MixtureRecommender(1, n_factors=2).fit(table)
        >>> recommender.similar_users(0, n_users=2).round(2)
           user  similarity
        0    69        0.70
        1    73        0.67
        """
        held = self._get_held("compare users")
        row = held.find(self._check_known([user]))[0]
        others = held.without(held.users[row])
        if not len(others.users):
            raise ValueError("There is no other user to compare with.")
        rows, similarities = self.mixture_.similar_rows(
            held.ratings[row], n_users, candidates=others.ratings
        )
        found = rows[0] >= 0
        users = others.users[rows[0][found]]
        return self._make_table(
            {self.user: users, "similarity": similarities[0][found]}
        )

    def update(
        self,
        ratings: Any,
        *,
        user_features: Any = None,
        item_features: Any = None,
        item_titles: Any = None,
    ) -> Self:
        """Learn new and changed ratings, of known and of new users and items.

        A user's former row is taken out of the sums over users, and the new one is
        added, exactly: twenty updates count as one with the last row. Items that were
        unknown get columns. Directions of the mask, and the parameters under which rows
        are summed up, stay as in the last fit; `refit` renews them. Until then new
        items are hardly listed by 'utility', as nobody has been seen to choose them.

        Parameters
        ----------
        ratings : frame or tuple of three array-likes
            The ratings, which count in place of former ones of the same items,
            whatever their times; other ratings that are held of these users stay.
        user_features, item_features : frame or None, default=None
            Features of users of the table, and of its new items, in the columns that
            were fitted.
        item_titles : dict, pandas Series, frame or None, default=None
            Titles of new items.

        Returns
        -------
        self : object
            The updated recommender.

        Raises
        ------
        ValueError
            If the table cannot be used, or no ratings are held; the recommender is then
            unchanged.

        See Also
        --------
        forget : Take users out again.
        refit : Fit anew to all ratings, once in a while.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)

        A further rating of "bob" and a new user with a new item:

        >>> later = ["bob", "eve", "eve"], ["Brazil", "Alien", "Dune"], [1, 4, 5]
        >>> recommender = recommender.update(later)
        >>> recommender.items_.tolist(), recommender.users_.tolist()
        (['Alien', 'Brazil', 'Clue', 'Dune'], ['ann', 'bob', 'cyd', 'eve'])
        """
        self._get_held("be updated")
        table = self._in_time(ratings)
        changed = copy(self)
        lines = list(self._make_reader().read(table))
        changed._add_items(self._find_new_items(lines), item_features, item_titles)
        held = changed._get_held("be updated")
        X, users = changed._encode(table, None, user_features)
        rows, known = held.find(users)
        old = held.ratings[rows[known]]
        order = np.argsort(~known, kind="stable")  # known users first
        X, users = X[order], users[order]
        n_known = len(rows[known])
        X = sparse.vstack([overwrite(old, X[:n_known]), X[n_known:]], format="csr")
        X = sparse.csr_array(X)
        changed.mixture_ = copy(changed.mixture_).partial_fit(X, replaces=old)
        by_id = np.argsort(users)
        changed._hold(held.put(users[by_id], X[by_id]))
        if self.rating_range is None:
            values = [each.ratings for each in lines]
            together = np.concatenate([self.rating_range_, *values])
            changed.rating_range_ = float(together.min()), float(together.max())
        self.__dict__.update(changed.__dict__)
        return self

    def forget(self, users: Any) -> Self:
        """Forget users: their ratings, and all that was learned from them, exactly.

        Parameters
        ----------
        users : id or array-like of ids
            Users whose ratings are held.

        Returns
        -------
        self : object
            The recommender as if it had never learned these users, but that directions
            of the mask stay as in the last fit. The frame that was passed as
            `user_features` is yours to clean.

        Raises
        ------
        ValueError
            If a user is unknown, or no ratings are held.

        See Also
        --------
        update : Learn users, and changes of their ratings.
        save : Leaves all users out.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> recommender.forget("ann").users_.tolist()
        ['bob', 'cyd']
        """
        held = self._get_held("forget")
        ids = np.unique(self._check_known(np.atleast_1d(np.asarray(users))))
        if len(ids) == len(held.users):
            raise ValueError("Nobody would be left. Fit anew to other ratings instead.")
        rows = held.ratings[held.find(ids)[0]]
        nothing = held.ratings[:0]
        self.mixture_ = copy(self.mixture_).partial_fit(nothing, replaces=rows)
        self._hold(held.without(ids))
        self._encoder = self._encoder.without_users(ids)
        return self

    def refit(self) -> Self:
        """Fit anew to all ratings that are held.

        Returns
        -------
        self : object
            The fitted recommender.

        Raises
        ------
        ValueError
            If no ratings are held.

        See Also
        --------
        update : Learns without a new fit.

        Examples
        --------
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> recommender = recommender.update((["eve"], ["Brazil"], [5]))
        >>> recommender.refit().recommend(["eve"], n_items=1)[1]
        array(['Alien'], dtype='<U6')
        """
        held = self._get_held("fit anew")
        former = self.mixture_
        self._fit_mixture(
            held.ratings,
            covariates=former.covariates,
            column_features=former.column_features,
        )
        self._learn_scale()
        return self

    def _fit_mixture(self, X: Any, **features: Any) -> None:
        mixture = MaskedGaussianMixture(
            self.n_components,
            covariance_type="factor",
            n_factors=self.n_factors,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=0,  # for the types of users; all else starts from the data
            n_jobs=self.n_jobs,
            **features,
        )
        with warnings.catch_warnings():
            # Items without ratings come with their features.
            warnings.simplefilter("ignore", UnobservedColumnsWarning)
            self.mixture_ = mixture.fit(X)

    def save(self, path: Any, *, updatable: bool = False) -> None:
        """Save the recommender in a file, without users: ratings, ids and features.

        Parameters
        ----------
        path : str or path-like
            The file, by joblib: load it only from sources that you trust.
        updatable : bool, default=False
            Save the ratings and the sums over users too, so that the loaded recommender
            knows its users, and can `update`, `forget` and `refit`.

        See Also
        --------
        load : Load it.
        sklearn_gmmcf.persistence : Files of mixtures.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> with TemporaryDirectory() as folder:
        ...     recommender.save(Path(folder) / "films.joblib")
        ...     loaded = MixtureRecommender.load(Path(folder) / "films.joblib")

        The file names no users; ratings of a visitor are passed with the question:

        >>> loaded.users_.tolist(), loaded.items_.tolist()
        ([], ['Alien', 'Brazil', 'Clue'])
        >>> visitor = ["me"], ["Alien"], [5]
        >>> user, item, *_ = loaded.recommend(ratings=visitor)
        >>> item.tolist()
        ['Brazil', 'Clue']
        """
        check_is_fitted(self)
        saved = copy(self)
        if not updatable:
            saved.mixture_ = self.mixture_.without_sums()
            saved._held, saved.users_ = None, self.users_[:0]
            saved._encoder = self._encoder.without_users()
            saved.user_features = None
        joblib.dump(saved, path, compress=3)

    @classmethod
    def load(cls, path: Any) -> MixtureRecommender:
        """Load a recommender from a file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        recommender : MixtureRecommender
            The recommender that was saved.

        See Also
        --------
        save : Save it.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from sklearn_gmmcf import MixtureRecommender
        >>> users = ["ann", "ann", "bob", "bob", "cyd"]
        >>> items = ["Alien", "Brazil", "Alien", "Clue", "Clue"]
        >>> table = users, items, [5, 4, 2, 4, 1]
        >>> recommender = MixtureRecommender(1, n_factors=1).fit(table)
        >>> with TemporaryDirectory() as folder:
        ...     recommender.save(Path(folder) / "films.joblib", updatable=True)
        ...     loaded = MixtureRecommender.load(Path(folder) / "films.joblib")
        >>> loaded.update((["eve"], ["Alien"], [1])).users_.tolist()
        ['ann', 'bob', 'cyd', 'eve']
        """
        loaded = joblib.load(path)
        if not isinstance(loaded, cls):
            raise ValueError(
                f"{path} holds a {type(loaded).__name__}, not a {cls.__name__}."
            )
        return loaded

    def _make_reader(self) -> LineReader:
        in_range = None
        if self.rating_range is not None:
            in_range = check_rating_range(self.rating_range)
        return LineReader(
            self.user, self.item, self.rating, in_range, self.out_of_range
        )

    def _in_time(self, ratings: Any, *, required: bool = False) -> Any:
        """The table in the order of time, if that has a column."""
        is_frame = nw.dependencies.is_into_dataframe(ratings)
        found = is_frame and self.time in list_columns(ratings)
        if self.time is None or not (found or required):
            return ratings
        if not found:
            raise ValueError(
                f"The table has no column {self.time!r} for the time of ratings. Pass "
                "a frame that has one, or time=None."
            )
        for _ in self._make_reader().read(ratings):
            pass  # errors name lines of the table as it came
        frame = open_frame(ratings, "The table")
        times = frame.get_column(self.time)
        if not (times.dtype.is_numeric() or times.dtype.is_temporal()):
            raise ValueError(
                f"The times in column {self.time!r} should be numbers or dates, but "
                f"got {times.dtype}. Convert them."
            )
        missing = np.asarray(times.is_null().to_numpy(), dtype=bool)
        values = times.to_numpy()
        missing = missing | (values != values)  # of polars, where NaN is not null
        if missing.any():
            raise ValueError(
                f"The time in line {np.argmax(missing)} (from 0) of the table is "
                "missing. Fill it, or drop the line."
            )
        return frame[np.argsort(values, kind="stable"), :].to_native()

    def _find_new_items(self, lines: list[RatingLines]) -> Array:
        """Ids of items without a column, sorted."""
        items = Ids("items", self._encoder.items_)
        for each in lines:
            items.add(each.items.ids)
        return items.sorted[~Ids("items", self.items_).find(items.sorted)[1]]

    def _add_items(self, items: Array, item_features: Any, item_titles: Any) -> None:
        """Append columns for items."""
        if not items.size:
            return
        encoder, before = copy(self._encoder), self.items_
        n_columns = len(self._columns)
        features = encoder.add_items(
            items, item_features=item_features, item_titles=item_titles
        )
        columns = np.empty(n_columns + len(items), dtype=np.intp)
        all_items = Ids("items", encoder.items_)
        columns[all_items.find(before)[0]] = self._columns[: len(before)]
        columns[all_items.find(items)[0]] = n_columns + np.arange(len(items))
        columns[len(encoder.items_) :] = self._columns[len(before) :]
        self.mixture_ = copy(self.mixture_).add_columns(len(items), features)
        self._encoder, self._columns, self.items_ = encoder, columns, encoder.items_
        self._hold(self._get_held("be updated").widen(len(columns)))

    def _hold(self, held: UserRows) -> None:
        self._held: UserRows | None = held
        self.users_ = held.users

    def _get_held(self, purpose: str) -> UserRows:
        check_is_fitted(self)
        if self._held is None:
            raise ValueError(
                f"This recommender cannot {purpose}: it holds no ratings, as it was "
                "saved without updatable=True. Pass ratings where a method takes them, "
                "or load one that was saved with updatable=True."
            )
        return self._held

    def _encode(
        self,
        ratings: Any,
        users: Any = None,
        user_features: Any = None,
        *,
        unknown_items: str = "error",
    ) -> tuple[Any, Array]:
        """Rows in the columns of the mixture, and their users."""
        encoder = copy(self._encoder).set_params(unknown_items=unknown_items)
        X, ids = encoder.encode(ratings, users=users, user_features=user_features)
        indices = self._columns[X.indices].astype(X.indices.dtype)
        X = sparse.csr_array((X.data, indices, X.indptr), shape=X.shape)
        X.sort_indices()
        return X, ids

    def _open_rows(
        self, users: Any, ratings: Any, user_features: Any = None
    ) -> tuple[Any, Array]:
        """Rows of users, in the columns of the mixture, and their ids."""
        check_is_fitted(self)
        if ratings is not None:
            return self._open_visitors(users, ratings, user_features)
        if user_features is not None:
            raise ValueError("user_features describe users of ratings. Pass both.")
        held = self._get_held("know its users")
        if users is None:
            return held.ratings, held.users
        ids = _check_ids("users", users)
        rows, known = held.find(ids)
        if known.all():
            return held.ratings[rows], ids
        new = UserRows(*reversed(self._encode(None, ids[~known])))
        parts = held.ratings[rows[known]], new.ratings[new.find(ids[~known])[0]]
        order = np.argsort(~known, kind="stable")
        together = sparse.csr_array(sparse.vstack(parts, format="csr"))
        return together[np.argsort(order)], ids

    def _open_visitors(
        self, users: Any, ratings: Any, user_features: Any
    ) -> tuple[Any, Array]:
        """Rows of a table that is not learned, and of other users that are held."""
        table = self._in_time(ratings)
        X, ids = self._encode(table, None, user_features, unknown_items="ignore")
        if users is None:
            return X, ids
        users = _check_ids("users", users)
        others = np.unique(users[~Ids("users", ids).find(users)[1]])
        visitors = UserRows(ids, X)
        if others.size and self._held is None:
            visitors = visitors.put(others, self._encode(None, others)[0])
        elif others.size:
            visitors = visitors.put(others, self._open_rows(others, None)[0])
        return visitors.ratings[visitors.find(users)[0]], users

    def _check_known(self, users: Any) -> Array:
        ids = _check_ids("users", users)
        known = self._get_held("look up users").find(ids)[1]
        if not known.all():
            raise ValueError(f"User {ids[~known][0]!s} has no ratings here.")
        return ids

    def _find_columns(self, items: Any, name: str) -> Array:
        """Columns of the mixture of known items."""
        check_is_fitted(self)
        ids = _check_ids(name, items)
        indices, known = Ids("items", self._encoder.items_).find(ids)
        if not known.all():
            raise ValueError(
                f"Item {ids[~known][0]!s} is unknown. `update` learns items with their "
                "first ratings."
            )
        return self._columns[indices]

    def _read_column(self, table: Any, position: int, name: str) -> Any:
        """A column of a table of pairs: users (0) or items (1)."""
        if not nw.dependencies.is_into_dataframe(table):
            if not isinstance(table, tuple) or len(table) <= position:
                raise ValueError(
                    "The table should be a frame or a tuple of arrays (users, items, "
                    f"...), but got {type(table).__name__}."
                )
            return table[position]
        frame = open_frame(table, "The table")
        if name not in frame.columns:
            raise ValueError(
                f"The table has no column {name!r}, but {list(frame.columns)}."
            )
        return frame.get_column(name)

    def _predict(self, pairs: Any, ratings: Any = None) -> tuple[Array, Array]:
        """Expected ratings, not clipped, and standard deviations, (n,)."""
        check_is_fitted(self)
        users = _check_ids("users", self._read_column(pairs, 0, self.user))
        items = _check_ids("items", self._read_column(pairs, 1, self.item))
        if len(users) != len(items):
            raise ValueError(
                "Users and items should be equally long, but got "
                f"{len(users)} and {len(items)}."
            )
        indices, known = Ids("items", self._encoder.items_).find(items)
        values, std = np.full((2, len(users)), [[self.mean_rating_], [self._std]])
        if known.any():
            each, rows = np.unique(users[known], return_inverse=True)
            X, _ = self._open_rows(each, ratings)
            entries = rows, self._columns[indices[known]]
            values[known], std[known] = self.mixture_.complete(
                X, entries=entries, return_std=True
            )
        return values, std

    def _clip(self, values: Array) -> Array:
        low, high = self.rating_range_
        return np.clip(values, low, high)

    def _check_threshold(self, threshold: Any) -> float:
        check_is_fitted(self)
        if threshold is None:
            return self.threshold_
        return check_threshold(threshold)

    def _name_columns(self) -> Array:
        """Titles, or ids, of the columns of the mixture, and names of features."""
        encoder = self._encoder
        names = encoder.items_.astype(object)
        if encoder.item_titles_ is not None:
            titled = encoder.item_titles_ != ""
            names[titled] = encoder.item_titles_[titled]
        listed = [str(name) for name in (*names, *encoder.user_feature_names_)]
        ordered = np.empty(len(listed), dtype=object)
        ordered[self._columns] = listed
        return ordered

    def _make_table(self, columns: dict[Any, Array]) -> Any:
        """A table of the kind of the table of `fit`."""
        if self._backend is None:
            return tuple(columns.values())
        listed = {
            name: values.tolist() if values.dtype == object else values
            for name, values in columns.items()
        }
        return nw.from_dict(listed, backend=self._backend).to_native()


def _check_ids(name: str, ids: Any) -> Array:
    return check_ids(name, ids, f"line {{}} (from 0) of {name}".format)


def _check_name(name: Any, content: str) -> None:
    if name in _RESERVED:
        raise ValueError(
            f"{name!r} is the name of a column of tables of results. Rename the column "
            f"of {content}."
        )


def _find_chances(values: Array, std: Array, threshold: float) -> Array:
    """Probabilities that ratings are at least the threshold."""
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = ndtr((values - threshold) / std)
    return np.where(std > 0, chances, np.where(values >= threshold, 1.0, 0.0))
