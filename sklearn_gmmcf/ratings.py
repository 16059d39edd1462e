# SPDX-License-Identifier: BSD-3-Clause
"""Tables of (user, item, rating), and the sparse matrix of users by items."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from numbers import Integral
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._feature_tables import FeatureTable
from sklearn_gmmcf._ids import Ids, check_ids, get_kind
from sklearn_gmmcf._rating_lines import LineReader, Tables, check_rating_range
from sklearn_gmmcf._rating_matrix import (
    Census,
    add_users,
    append_columns,
    count_lines,
    make_matrix,
)
from sklearn_gmmcf._sklearn import PackageEstimator, StrOptions, fit_context
from sklearn_gmmcf._titles import Titles
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._reading import check_unmasked

__all__ = ["RatingsEncoder"]


class RatingsEncoder(PackageEstimator, BaseEstimator):
    """Make a sparse matrix of a table of ratings, and tables of predicted ratings.

    `fit` learns the items, which are the columns of all matrices. `encode` makes the
    matrix of a table: its rows are the users *of that table*, whose ids it returns
    beside the matrix. So new users need no new fit: encode their table, and a fitted
    mixture completes or recommends from their rows. `decode` makes tables of results,
    with the ids of users and items.

    A table is a pandas, polars or pyarrow frame; three arrays (users, items, ratings);
    or, for more than fits in memory, a function without arguments that returns an
    iterator over such tables. That function is called twice; the memory holds the
    matrix and a few times one of its tables. Errors name the line of the table.

    The encoder changes the number of rows, so use it before a Pipeline, not in it.

    Tables of features describe users and items. Features of users become columns of
    the matrix, after the items; `covariates_` are their indices. Features of items
    become `column_features_`. Numbers and bools are standardized, text and categories
    become one column of 0 and 1 for each category, and missing values stay missing. A
    text is one category: for several words in one text, such as the genres
    "Action|Comedy", pass one column of bools for each word, which pandas makes by
    ``frame["genres"].str.get_dummies("|")``. Items of `item_features` without ratings
    have a column too, so that they can be predicted from their features. Users without
    ratings have a row only where `encode` is asked for it.

    Parameters
    ----------
    user, item, rating : str, default='user', 'item' and 'rating'
        Names of the columns of frames. Other columns are ignored.

    duplicates : {'error', 'mean', 'last'}, default='error'
        Treatment of an item that a user rates more than once: refuse, take the mean, or
        take the last rating in the order of the table.

    unknown_items : {'error', 'ignore'}, default='error'
        Treatment of items that `fit` has not seen, which have no column: `encode`
        refuses them, or leaves their ratings out.

    rating_range : tuple (low, high) or None, default=None
        The scale of the ratings: two finite numbers. `decode` clips predictions to this
        range. None stands for no limits.

    out_of_range : {'raise', 'missing', 'clip'}, default='raise'
        Treatment of ratings of a table outside `rating_range`: refuse them; leave them
        out, where a number such as -1 stands for "not rated", while their users and
        items stay known; or move them to the nearest bound. 'missing' and 'clip' need
        a `rating_range`.

    user_features : frame or None, default=None
        Features of users: a pandas, polars or pyarrow frame with one row for each
        user. The column of ids has the name `user`; in pandas, the index may have it
        instead. All other columns are features.

    item_features : frame or None, default=None
        Features of items, with ids in the column or index `item`.

    item_titles : dict, pandas Series, frame or None, default=None
        Titles of items, which `decode` adds as a column: a dictionary from ids to
        titles, a Series with the ids as its index, or a frame with the column or index
        `item` and one other column, whose name the column of titles has then; otherwise
        its name is 'title'. Titles of items without a column are ignored.

    Attributes
    ----------
    users_ : ndarray of shape (n_users,)
        Ids of the users of the table that was fitted, sorted.

    items_ : ndarray of shape (n_items,)
        Ids of the items, sorted: one for each of the first columns.

    covariates_ : ndarray of shape (n_user_features,)
        Indices of the columns with features of users, which follow the items. Empty
        without `user_features`.

    column_features_ : ndarray of shape (n_columns, n_item_features) or None
        Features of the columns: NaN where missing, and for covariates. None without
        `item_features`.

    user_feature_names_ : ndarray of shape (n_user_features,)
        Names of the features of users; with "_" and the category for categories.

    item_feature_names_ : ndarray of shape (n_item_features,)
        Names of the features of items.

    item_titles_ : ndarray of shape (n_items,) or None
        Titles of the items, empty where unknown. None without `item_titles`.

    item_title_name_ : str or None
        Name of the column of titles in decoded tables. None without `item_titles`.

    See Also
    --------
    sklearn_gmmcf.datasets.load_ratings_csv : The matrix of a CSV file.
    sklearn_gmmcf.datasets.fetch_movielens : The matrix of MovieLens.

    Notes
    -----
    Ids are integers, strings, dates, or other objects that sort: items of one kind in
    all tables, and users of one kind in each table. Whole floats are integers, since
    pandas turns integers beside missing values into floats; other floats, bools, bytes
    and dates with a time zone are refused. The texts "nan", "None", "NaT" and "<NA>"
    are refused, too: ``astype(str)`` makes them of missing ids. Strings stay as they
    are, also in their blanks. `users_` and `items_` are arrays of objects where few of
    many strings are long.

    Ratings are numbers; text is refused, also text of digits. They are float64, or
    float32 if all tables have float32. A rating of 0 is stored, and is an observation,
    and so are the zeros among the features of users.

    Features are standardized by the mean and standard deviation of all known values in
    the table of features. A feature without variation is 0.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.ratings import RatingsEncoder
    >>> table = pd.DataFrame(
    ...     [("ann", "Alien", 5), ("ann", "Brazil", 4), ("bob", "Alien", 2)],
    ...     columns=["user", "item", "rating"],
    ... )
    >>> encoder = RatingsEncoder(rating_range=(1, 5))
    >>> X, users = encoder.fit_encode(table)
    >>> mixture = MaskedGaussianMixture(covariance_type="spherical").fit(X)
    >>> rows, columns = [1], [1]
    >>> predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    >>> encoder.decode(users[rows], columns, predicted, std).round(1)
      user    item  rating  std
    0  bob  Brazil     4.0  1.9

    A new user:

    >>> later = ["eve"], ["Brazil"], [3.0]
    >>> X_later, users_later = encoder.encode(later)
    >>> encoder.decode(users_later, [0, 1], mixture.transform(X_later))
      user    item  rating
    0  eve   Alien     3.5
    1  eve  Brazil     3.0

    With titles, and -1 for ratings that are missing:

    >>> encoder = RatingsEncoder(
    ...     rating_range=(1, 5), out_of_range="missing", item_titles={7: "Alien"}
    ... )
    >>> X, users = encoder.fit_encode((["ann", "ann", "bob"], [7, 8, 8], [5, -1, 2]))
    >>> X.nnz, encoder.items_.tolist(), encoder.item_titles_.tolist()
    (2, [7, 8], ['Alien', ''])
    >>> user, item, title, rating = encoder.decode(["bob"], [0], [3.5])
    >>> item.tolist(), title.tolist(), rating.tolist()
    ([7], ['Alien'], [3.5])

    With features, also of an item without ratings:

    >>> user_features = pd.DataFrame({"user": ["ann", "bob"], "age": [20, 40]})
    >>> item_features = pd.DataFrame(
    ...     {"item": ["Alien", "Brazil", "Cujo"], "kind": ["horror", None, "horror"]}
    ... )
    >>> encoder = RatingsEncoder(
    ...     user_features=user_features, item_features=item_features
    ... )
    >>> X, users = encoder.fit_encode(table)
    >>> encoder.get_feature_names_out().tolist()
    ['Alien', 'Brazil', 'Cujo', 'age']
    >>> X.toarray()
    array([[ 5.,  4.,  0., -1.],
           [ 2.,  0.,  0.,  1.]])
    >>> encoder.covariates_
    array([3])
    >>> encoder.item_feature_names_.tolist(), encoder.column_features_.tolist()
    (['kind_horror'], [[1.0], [nan], [1.0], [nan]])
    """

    _parameter_constraints: dict[str, Any] = {
        "user": [str, Integral],
        "item": [str, Integral],
        "rating": [str, Integral],
        "duplicates": [StrOptions({"error", "mean", "last"})],
        "unknown_items": [StrOptions({"error", "ignore"})],
        "rating_range": [tuple, list, None],
        "out_of_range": [StrOptions({"raise", "missing", "clip"})],
        "user_features": "no_validation",
        "item_features": "no_validation",
        "item_titles": "no_validation",
    }

    def __init__(
        self,
        *,
        user: Any = "user",
        item: Any = "item",
        rating: Any = "rating",
        duplicates: str = "error",
        unknown_items: str = "error",
        rating_range: tuple[float, float] | None = None,
        out_of_range: str = "raise",
        user_features: Any = None,
        item_features: Any = None,
        item_titles: Any = None,
    ) -> None:
        self.user = user
        self.item = item
        self.rating = rating
        self.duplicates = duplicates
        self.unknown_items = unknown_items
        self.rating_range = rating_range
        self.out_of_range = out_of_range
        self.user_features = user_features
        self.item_features = item_features
        self.item_titles = item_titles

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, ratings: Any, y: Any = None) -> RatingsEncoder:
        """Learn the users and items of a table.

        Parameters
        ----------
        ratings : frame, tuple of three array-likes, or callable
            The table.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted encoder.

        Raises
        ------
        ValueError
            If a table cannot be read, or holds missing ids, ids of several kinds,
            ratings that are not finite or, unless `out_of_range` says otherwise,
            outside `rating_range`, columns that are no features, or features or titles
            of one id twice.

        See Also
        --------
        fit_encode : Also makes the matrix.

        Examples
        --------
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> table = ["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5, 4, 2]
        >>> encoder = RatingsEncoder().fit(table)
        >>> encoder.users_.tolist(), encoder.items_.tolist()
        (['ann', 'bob'], ['Alien', 'Brazil'])
        """
        self._learn(self._get_reader().read(ratings))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_encode(self, ratings: Any) -> tuple[sparse.csr_array, Array]:
        """Learn the users and items of a table, and make its matrix.

        Parameters
        ----------
        ratings : frame, tuple of three array-likes, or callable
            The table.

        Returns
        -------
        X : csr_array of shape (n_users, n_items + n_user_features)
            The ratings, and the features of users.
        users : ndarray of shape (n_users,)
            `users_`, the ids of its rows.

        Raises
        ------
        ValueError
            As `fit` does, or if the table, unless `duplicates` says otherwise, rates
            an item twice.

        See Also
        --------
        encode : The matrix of another table.
        decode : The way back, for predictions.

        Examples
        --------
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> table = ["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5, 4, 2]
        >>> X, users = RatingsEncoder().fit_encode(table)
        >>> X.toarray(), users.tolist()
        (array([[5., 4.],
               [2., 0.]]), ['ann', 'bob'])
        """
        tables = self._get_reader().read(ratings)
        census = self._learn(tables)
        X = make_matrix(tables, census, self.duplicates, self.unknown_items)
        return self._add_covariates(X, census.users, self._user_table), census.users

    def encode(
        self, ratings: Any = None, *, users: Any = None, user_features: Any = None
    ) -> tuple[sparse.csr_array, Array]:
        """Make the matrix of a table, whose users need not have been fitted.

        Parameters
        ----------
        ratings : frame, tuple of three array-likes, callable or None, default=None
            The table. None stands for a table without ratings, of `users`.
        users : array-like of ids or None, default=None
            Users that have a row even if the table has no rating of theirs.
        user_features : frame or None, default=None
            Features of further users, or new ones of known users, in the columns of
            the `user_features` that were fitted. It gives rows to no user by itself.

        Returns
        -------
        X : csr_array of shape (n_users, n_items + n_user_features)
            The ratings, a row for each user of this table and of `users`, and the
            features of these users.
        users : ndarray of shape (n_users,)
            The ids of its rows, sorted.

        Raises
        ------
        ValueError
            For unknown items, duplicates and ratings out of range, if they are errors,
            for tables that cannot be read, for items of another kind than the fitted
            ones, for integers as `users` where ids are not integers, and for categories
            of `user_features` that were not fitted.

        See Also
        --------
        fit_encode : The matrix of the table that is fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> features = pd.DataFrame({"user": ["ann", "bob"], "age": [20, 40]})
        >>> encoder = RatingsEncoder(user_features=features)
        >>> encoder = encoder.fit((["ann", "bob"], ["Alien", "Alien"], [5, 2]))
        >>> new = pd.DataFrame({"user": ["eve"], "age": [30]})
        >>> X, users = encoder.encode(users=["bob", "eve"], user_features=new)
        >>> X.toarray(), X.nnz
        (array([[0., 1.],
               [0., 0.]]), 2)
        """
        check_is_fitted(self)
        table = self._user_table
        if user_features is not None:
            if table is None:
                raise ValueError(
                    "user_features cannot be encoded, as none were fitted. Pass "
                    "a table as the parameter user_features, and fit again."
                )
            table = table.update(user_features, self.user)
        if ratings is None:
            ratings = tuple  # a function that makes no table
        tables = self._get_reader().read(ratings)
        census = count_lines(tables, self.items_, self.unknown_items)
        if users is not None:
            census = add_users(census, self._check_users(users))
        if not census.users.size:
            raise ValueError(
                "The table has no rating to encode. Pass users=... for rows of users "
                "without ratings."
            )
        X = make_matrix(tables, census, self.duplicates, self.unknown_items)
        return self._add_covariates(X, census.users, table), census.users

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Get the names of the columns of the matrix: items, then features of users.

        Parameters
        ----------
        input_features : Ignored
            Present for API consistency by convention.

        Returns
        -------
        names : ndarray of shape (n_items + n_user_features,)
            The ids as strings, and `user_feature_names_`.

        Raises
        ------
        ValueError
            If a feature of users has the name of an item.

        See Also
        --------
        encode : Makes the matrix.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> features = pd.DataFrame({"user": ["ann", "bob"], "age": [20, 40]})
        >>> encoder = RatingsEncoder(user_features=features)
        >>> encoder = encoder.fit((["ann", "bob"], ["Alien", "Brazil"], [5, 2]))
        >>> encoder.get_feature_names_out().tolist()
        ['Alien', 'Brazil', 'age']
        """
        check_is_fitted(self)
        items = [str(item) for item in self.items_]
        for name in set(items).intersection(self.user_feature_names_):
            raise ValueError(
                f"Item {name} has the name of a feature of users. Rename the column "
                "of user_features, and fit again."
            )
        return np.array([*items, *self.user_feature_names_], dtype=object)

    def decode(self, users: Any, items: Any, values: Any, std: Any = None) -> Any:
        """Make a table of predictions, with the ids of users and items.

        Parameters
        ----------
        users : array-like of shape (n,)
            Ids of users, one for each row of `values`.
        items : array-like of shape (n,), (n, m) or (m,)
            Indices of columns, in the shape of `values` or one row for all. Predictions
            with index -1 are left out, and so are columns with features of users.
        values : array-like of shape (n,) or (n, m)
            Predicted ratings: from `complete` with entries, from `recommend`, or the
            completed matrix with ``items=range(m)``.
        std : array-like of the shape of `values`, default=None
            Standard deviations.

        Returns
        -------
        table : frame or tuple of ndarrays
            Columns of users, items, titles if there are any, ratings, and "std" if
            given, in the order of `values`, row by row; a frame or arrays, as the table
            that was fitted. An encoder that was fitted to a file makes arrays.

        Raises
        ------
        ValueError
            If the shapes do not match, items are not indices of columns, or users are
            integers where ids are not, so that they seem to be indices of rows.

        See Also
        --------
        encode : The matrix of a table.
        sklearn_gmmcf.MaskedGaussianMixture.recommend : Makes lists of columns.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> table = pd.DataFrame(
        ...     [("ann", "Alien", 5), ("ann", "Brazil", 4), ("bob", "Alien", 2)],
        ...     columns=["user", "item", "rating"],
        ... )
        >>> encoder = RatingsEncoder()
        >>> X, users = encoder.fit_encode(table)
        >>> mixture = MaskedGaussianMixture(covariance_type="spherical").fit(X)
        >>> columns, values = mixture.recommend(X, n_items=1)
        >>> encoder.decode(users, columns, values)
          user    item  rating
        0  bob  Brazil     4.0
        """
        check_is_fitted(self)
        users, items, values = self._check_predictions(users, items, values, std)
        selected = (items >= 0) & (items < len(self.items_))
        items = items[selected]
        values = values[selected]
        if self.rating_range is not None:
            values = np.clip(values, *check_rating_range(self.rating_range))
        table = {
            self.user: np.broadcast_to(users, selected.shape)[selected],
            self.item: self.items_[items],
        }
        if self.item_titles_ is not None:
            table[self.item_title_name_] = self.item_titles_[items]
        table[self.rating] = values
        if std is not None:
            table["std"] = np.asarray(std)[selected]
        if self._backend is None:
            return tuple(table.values())
        columns = {name: _to_column(values) for name, values in table.items()}
        return nw.from_dict(columns, backend=self._backend).to_native()

    def _check_predictions(
        self, users: Any, items: Any, values: Any, std: Any
    ) -> tuple[Array, Array, Array]:
        """The arguments of `decode` in shapes that broadcast."""
        users = self._check_users(users)
        items, values = np.asarray(items), np.asarray(values)
        if not items.size:  # an empty list is of floats
            items = items.astype(np.int64)
        if users.shape != values.shape[:1] or values.ndim not in (1, 2):
            raise ValueError(
                "values should have the shape (n,) or (n, m) with an id of users for "
                f"each row, but got {values.shape} for users of shape {users.shape}."
            )
        if items.dtype.kind not in "iu":
            raise ValueError(f"items should be integers, but got {items.dtype}.")
        try:
            items = np.broadcast_to(items, values.shape)
        except ValueError:
            raise ValueError(
                "items should have the shape of values or be one row for all, but got "
                f"{items.shape} for values of shape {values.shape}."
            ) from None
        if std is not None and np.shape(std) != values.shape:
            raise ValueError(
                f"std should have the shape of values, {values.shape}, but got "
                f"{np.shape(std)}."
            )
        n_columns = len(self.items_) + len(self.covariates_)
        outside = items[(items < -1) | (items >= n_columns)]
        if outside.size:
            raise ValueError(
                f"items should be column indices below {n_columns}, or -1 for none, "
                f"but got {outside[0]}."
            )
        return users[:, None] if values.ndim == 2 else users, items, values

    def _check_users(self, users: Any) -> Array:
        """Ids of users, known ones or new ones, but not indices of rows."""
        line = "line {} (from 0) of the argument users".format
        check_unmasked(users, "users")
        users = check_ids("users", users, line)
        known = get_kind(self.users_)
        if users.size and get_kind(users) == "integers" != known:
            raise ValueError(
                f"users are integers, but the ids of users in fit were {known}. Pass "
                "ids, such as users[rows], not the indices of rows."
            )
        return users

    def _learn(self, tables: Tables) -> Census:
        user_table = _learn_features("user_features", self.user_features, self.user)
        item_table = _learn_features("item_features", self.item_features, self.item)
        titles = None
        if self.item_titles is not None:
            titles = Titles.learn(self.item_titles, self.item)
            self._check_title_differs(titles.name)
        census = count_lines(tables, None, self.unknown_items)
        if not census.users.size:
            raise ValueError("The table has no rating to learn from.")
        # The name of the library, which skops can store.
        backend = getattr(census.backend, "value", None)
        if titles is not None:
            _check_title_name(titles.name, backend)
        if user_table is not None:
            user_table.check_overlap(census.users)
        if item_table is not None:
            item_table.check_overlap(census.items)
            items = Ids("items", census.items)
            items.add(item_table.ids)
            census = replace(census, items=items.sorted)
        if titles is not None:
            titles.check_overlap(census.items)
        self.users_ = census.users
        self.items_ = census.items
        self.item_titles_ = None if titles is None else titles.align(census.items)
        self.item_title_name_ = None if titles is None else titles.name
        self._titles = titles
        self._backend = backend
        self._learn_columns(user_table, item_table)
        return census

    def _check_title_differs(self, name: Any) -> None:
        others = [self.user, self.item, self.rating, "std"]
        if name in others:
            raise ValueError(
                f"The column of titles has the name {name!r}, but decoded tables have "
                f"columns {others} besides it. Rename one of them."
            )

    def add_items(
        self, items: Any, *, item_features: Any = None, item_titles: Any = None
    ) -> Array | None:
        """Give columns to further items, in the order of ids.

        Parameters
        ----------
        items : array-like of ids of shape (m,)
            Items without a column.
        item_features : frame or None, default=None
            Their features, in the columns of the `item_features` that were fitted, and
            encoded as these. None takes them from those.
        item_titles : dict, pandas Series, frame or None, default=None
            Their titles. None takes them from the `item_titles` that were fitted.

        Returns
        -------
        features : ndarray of shape (m, n_item_features) or None
            Their features, NaN where missing. None without `item_features` in `fit`.

        Raises
        ------
        ValueError
            If features or titles are passed but none were fitted, or are of another
            kind.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.add_columns : The same for a mixture.

        Examples
        --------
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> encoder = RatingsEncoder().fit((["ann"], ["Alien"], [5]))
        >>> encoder.add_items(["Aliens", "Abyss"])
        >>> encoder.items_.tolist()
        ['Abyss', 'Alien', 'Aliens']
        """
        check_is_fitted(self)
        new = check_ids("items", items, "line {} (from 0) of items".format)
        table, titles = self._item_table, self._titles
        if item_features is not None:
            if table is None:
                raise ValueError(
                    "item_features cannot be encoded, as none were fitted. Fit again "
                    "with item_features."
                )
            table = table.update(item_features, self.item)
        if item_titles is not None:
            if titles is None:
                raise ValueError(
                    "item_titles cannot be used, as none were fitted. Fit again with "
                    "item_titles."
                )
            titles = titles.update(Titles.learn(item_titles, self.item))
        together = Ids("items", self.items_)
        together.add(np.unique(new))
        self.items_ = together.sorted
        self.item_titles_ = None if titles is None else titles.align(self.items_)
        self._titles = titles
        self._learn_columns(self._user_table, table)
        if self.column_features_ is None:
            return None
        return self.column_features_[together.find(new)[0]]

    def without_users(self, users: Any = None) -> RatingsEncoder:
        """Copy the encoder without ids and features of users.

        The copy has no `user_features` parameter, but encodes features as before.

        Parameters
        ----------
        users : array-like of ids or None, default=None
            Users to leave out; None is all.

        Returns
        -------
        copy : RatingsEncoder
            The encoder without them.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.without_sums : The same for a mixture.

        Examples
        --------
        >>> from sklearn_gmmcf.ratings import RatingsEncoder
        >>> table = ["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5, 4, 2]
        >>> encoder = RatingsEncoder().fit(table).without_users()
        >>> encoder.users_.tolist(), encoder.items_.tolist()
        ([], ['Alien', 'Brazil'])
        """
        check_is_fitted(self)
        other = copy(self)
        other.user_features = None
        kept = self.users_[:0]
        if users is not None:
            ids = self._check_users(users)
            kept = self.users_[~np.isin(self.users_, ids)]
        other.users_ = kept
        if self._user_table is not None:
            gone = self._user_table.ids if users is None else ids
            other._user_table = self._user_table.without(gone)
        return other

    def _learn_columns(
        self, user_table: FeatureTable | None, item_table: FeatureTable | None
    ) -> None:
        """Set the attributes of covariates and of column features."""
        self._user_table, self._item_table = user_table, item_table
        self.user_feature_names_ = _get_names(user_table)
        self.item_feature_names_ = _get_names(item_table)
        n_items = len(self.items_)
        n_columns = n_items + len(self.user_feature_names_)
        self.covariates_ = np.arange(n_items, n_columns)
        self.column_features_ = None
        if item_table is not None:
            shape = n_columns, len(self.item_feature_names_)
            self.column_features_ = np.full(shape, np.nan)
            self.column_features_[:n_items] = item_table.align(self.items_)

    def _add_covariates(
        self, X: sparse.csr_array, users: Array, table: FeatureTable | None
    ) -> sparse.csr_array:
        """The matrix with features of its users, of which zeros are stored too."""
        return X if table is None else append_columns(X, table.align(users))

    def _get_reader(self) -> LineReader:
        in_range = self.rating_range
        if in_range is not None:
            in_range = check_rating_range(in_range)
        elif self.out_of_range != "raise":
            raise ValueError(
                f"out_of_range={self.out_of_range!r} needs a range of ratings. Pass "
                "rating_range=(low, high) too."
            )
        return LineReader(
            self.user, self.item, self.rating, in_range, self.out_of_range
        )


def _check_title_name(name: Any, backend: str | None) -> None:
    """Check that decoded frames can have a column of this name."""
    if backend in ("polars", "pyarrow") and not isinstance(name, str):
        raise ValueError(
            f"The column of titles has the name {name!r}, but names of columns of "
            f"{backend} are text, and decoded tables are as the table that was fitted. "
            "Rename it."
        )


def _learn_features(role: str, frame: Any, id_name: Any) -> FeatureTable | None:
    return None if frame is None else FeatureTable.learn(role, frame, id_name)


def _get_names(table: FeatureTable | None) -> Array:
    return np.empty(0, dtype=object) if table is None else table.feature_names


def _to_column(values: Array) -> Any:
    """A column that all libraries of frames read; lists have long texts only once."""
    return values.tolist() if values.dtype == object else values
