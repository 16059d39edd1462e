"""Tables of (user, item, rating) and the sparse matrix of users and items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._sklearn import DocumentationLinks, StrOptions, fit_context
from sklearn_gmmcf._typing import Array

__all__ = ["RatingsEncoder"]

# Entries whose columns are sorted at once.
_SORTED_ENTRIES = 2**16
_CHANGED = (
    "The table changed between its two readings. A function that is passed as a table "
    "should open it anew each time that it is called."
)
_KINDS = {"i": "integers", "u": "integers", "U": "strings", "f": "floats"}


@dataclass(frozen=True, eq=False)
class _Census:
    """What one reading of a table tells."""

    users: Array  # (n,), sorted
    counts: Array  # (n,), lines of each user
    items: Array  # (d,), sorted
    backend: Any  # of narwhals; None for arrays


@dataclass(frozen=True, eq=False)
class _Table:
    """Lines of a table, checked."""

    users: Array  # (m,), ids
    items: Array  # (m,), ids
    ratings: Array  # (m,)
    backend: Any  # of narwhals; None for arrays


class RatingsEncoder(DocumentationLinks, BaseEstimator):
    """Make a sparse matrix of a table of ratings, and tables of what is predicted.

    `fit` learns the items, which are the columns of all matrices. `encode` makes the
    matrix of a table: its rows are the users *of that table*, whose ids it returns
    beside the matrix. So users who come later need no new fit of anything: their
    table is encoded, and a fitted mixture completes or recommends from their rows.
    `decode` gives results back under the ids of users and items.

    A table is a pandas, polars or pyarrow frame; three arrays (users, items, ratings);
    or, for more than fits in memory, a function without arguments that returns an
    iterator over such tables. That function is called twice, and the memory needed is
    that of the matrix and a few times that of one of its tables.

    It changes the number of rows, so it stands before a Pipeline and not in it.

    Parameters
    ----------
    user, item, rating : str, default='user', 'item' and 'rating'
        Names of the columns of frames. Others are ignored.

    duplicates : {'error', 'mean', 'last'}, default='error'
        What to do where a user rates an item more than once: refuse, take the mean, or
        take the last in the order of the table.

    unknown_items : {'error', 'ignore'}, default='error'
        What `encode` does with items that `fit` has not seen, which have no column:
        refuse, or leave these ratings out.

    rating_range : tuple (low, high) or None, default=None
        `decode` clips predictions to this range.

    Attributes
    ----------
    users_ : ndarray of shape (n_users,)
        Ids of the users of the table that was fitted, sorted.

    items_ : ndarray of shape (n_items,)
        Ids of the items, sorted: those of the columns.

    See Also
    --------
    sklearn_gmmcf.datasets.load_ratings_csv : The matrix of a CSV file.

    Notes
    -----
    Ids may be integers, strings, or anything else that sorts, all of one kind. Ratings
    are float64, or float32 if they are that in the table. A rating of 0 is stored, and
    is an observation.

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
    >>> mixture = MaskedGaussianMixture().fit(X)
    >>> rows, columns = [1], [1]
    >>> predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    >>> encoder.decode(users[rows], columns, predicted, std).round(1)
      user    item  rating  std
    0  bob  Brazil     4.0  1.2

    A user who comes later:

    >>> later = ["eve"], ["Brazil"], [3.0]
    >>> X_later, users_later = encoder.encode(later)
    >>> encoder.decode(users_later, [0, 1], mixture.transform(X_later))
      user    item  rating
    0  eve   Alien     3.5
    1  eve  Brazil     3.0
    """

    _parameter_constraints: dict = {
        "user": [str, Integral],
        "item": [str, Integral],
        "rating": [str, Integral],
        "duplicates": [StrOptions({"error", "mean", "last"})],
        "unknown_items": [StrOptions({"error", "ignore"})],
        "rating_range": [tuple, list, None],
    }

    def __init__(
        self,
        *,
        user="user",
        item="item",
        rating="rating",
        duplicates="error",
        unknown_items="error",
        rating_range=None,
    ):
        self.user = user
        self.item = item
        self.rating = rating
        self.duplicates = duplicates
        self.unknown_items = unknown_items
        self.rating_range = rating_range

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, ratings, y=None):
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
            If the table cannot be read, or holds ratings that are not finite.
        """
        self._learn(ratings)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_encode(self, ratings):
        """Learn the users and items of a table, and make its matrix.

        Parameters
        ----------
        ratings : frame, tuple of three array-likes, or callable
            The table.

        Returns
        -------
        X : csr_array of shape (n_users, n_items)
            The ratings.
        users : ndarray of shape (n_users,)
            `users_`, the ids of its rows.
        """
        census = self._learn(ratings)
        return self._fill(ratings, census), census.users

    def encode(self, ratings):
        """Make the matrix of a table, whose users need not be known.

        Parameters
        ----------
        ratings : frame, tuple of three array-likes, or callable
            The table.

        Returns
        -------
        X : csr_array of shape (n_users, n_items)
            The ratings, a row for each user of this table.
        users : ndarray of shape (n_users,)
            The ids of its rows, sorted.

        Raises
        ------
        ValueError
            For unknown items and for duplicates, if they are errors.
        """
        check_is_fitted(self)
        census = self._count(ratings, self.items_)
        if not census.users.size:
            raise ValueError("The table has no rating to encode.")
        return self._fill(ratings, census), census.users

    def decode(self, users, items, values, std=None):
        """Make a table of predictions, under the ids of users and items.

        Parameters
        ----------
        users : array-like of shape (n,)
            Ids of users, one for each row of `values`.
        items : array-like of shape (n,), (n, m) or (m,)
            Indices of columns, of the shape of `values` or one row for all. What is -1
            is left out.
        values : array-like of shape (n,) or (n, m)
            Predicted ratings: of `complete` at some entries, of `recommend`, or the
            completed matrix with ``items=range(m)``.
        std : array-like of the shape of `values`, default=None
            Standard deviations.

        Returns
        -------
        table : frame or tuple of ndarrays
            Columns of users, items and ratings, and "std" if given, in the order of
            `values`, row by row. Of the kind of the table that was fitted: a frame, or
            arrays.
        """
        check_is_fitted(self)
        users, items, values = np.asarray(users), np.asarray(items), np.asarray(values)
        if users.shape != values.shape[:1] or values.ndim not in (1, 2):
            raise ValueError(
                "values should have the shape (n,) or (n, m) with an id of users for "
                f"each row, but got {values.shape} for users of shape {users.shape}."
            )
        if values.ndim == 2:
            users = users[:, None]
        if items.size and items.dtype.kind not in "iu":
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
        outside = items[(items < -1) | (items >= len(self.items_))]
        if outside.size:
            raise ValueError(
                f"items should be column indices below {len(self.items_)}, or -1 for "
                f"none, but got {outside[0]}."
            )
        shown = items >= 0
        columns = items[shown]
        values = values[shown]
        if self.rating_range is not None:
            values = np.clip(values, *check_rating_range(self.rating_range))
        table = {
            self.user: np.broadcast_to(users, shown.shape)[shown],
            self.item: self.items_[columns],
            self.rating: values,
        }
        if std is not None:
            table["std"] = np.asarray(std)[shown]
        if self._backend is None:
            return tuple(table.values())
        return nw.from_dict(table, backend=self._backend).to_native()

    def _learn(self, ratings) -> _Census:
        if self.rating_range is not None:
            check_rating_range(self.rating_range)
        census = self._count(ratings, None)
        if not census.users.size:
            raise ValueError("The table has no rating to learn from.")
        self.users_ = census.users
        self.items_ = census.items
        self._backend = census.backend
        return census

    def _count(self, ratings, known_items: Array | None) -> _Census:
        """Read a table once; users with unknown items alone keep a row."""
        users, counts = _Ids("users"), np.zeros(0, dtype=np.int64)
        items = _Ids("items", known_items)
        backend = None
        for part in self._parts(ratings):
            backend = part.backend
            of_part, lines = np.unique(part.users, return_inverse=True)
            if known_items is None:
                items.add(np.unique(part.items))
            else:
                lines = lines[self._known(items, part.items)[1]]
            before = users.sorted
            users.add(of_part)
            grown = np.zeros(len(users.sorted), dtype=np.int64)
            grown[users.find(before)[0]] = counts
            grown[users.find(of_part)[0]] += np.bincount(lines, minlength=len(of_part))
            counts = grown
        return _Census(users.sorted, counts, items.sorted, backend)

    def _fill(self, ratings, census: _Census) -> sparse.csr_array:
        """Read a table a second time, into the matrix."""
        users, items = _Ids("users", census.users), _Ids("items", census.items)
        n_entries = int(census.counts.sum())
        index_dtype = np.int32 if n_entries < 2**31 else np.int64
        indptr = np.zeros(len(census.users) + 1, dtype=index_dtype)
        np.cumsum(census.counts, out=indptr[1:])
        indices = np.empty(n_entries, dtype=index_dtype)
        data = None
        free: Array = indptr[:-1].astype(np.int64)  # where each row goes on
        for part in self._parts(ratings):
            columns, known = self._known(items, part.items)
            rows, seen = users.find(part.users[known])
            values = part.ratings[known]
            if data is None:
                data = np.empty(n_entries, dtype=values.dtype)
            added: Array = np.bincount(rows, minlength=len(free))
            if not seen.all() or (free + added > indptr[1:]).any():
                raise ValueError(_CHANGED)
            order = np.argsort(rows, kind="stable")
            rows = rows[order]
            places = free[rows] + np.arange(len(rows)) - np.searchsorted(rows, rows)
            indices[places] = columns[known][order]
            data[places] = values[order]
            free += added
        if data is None or (free < indptr[1:]).any():
            raise ValueError(_CHANGED)
        indptr = self._settle(indptr, indices, data, census)
        n_entries = indptr[-1]
        shape = len(census.users), len(census.items)
        return sparse.csr_array(
            (data[:n_entries], indices[:n_entries], indptr), shape=shape
        )

    def _settle(
        self, indptr: Array, indices: Array, data: Array, census: _Census
    ) -> Array:
        """Sort rows in place, in blocks, and settle duplicates: new bounds of rows."""
        lengths = np.diff(indptr)
        start = end = 0
        while start < len(lengths):
            bound = indptr[start] + _SORTED_ENTRIES
            stop = int(np.searchsorted(indptr, bound, side="right")) - 1
            stop = max(stop, start + 1)
            block = slice(indptr[start], indptr[stop])
            owners = np.repeat(np.arange(start, stop), lengths[start:stop])
            order = np.lexsort((indices[block], owners))
            columns, values = indices[block][order], data[block][order]
            again = np.flatnonzero(
                (columns[1:] == columns[:-1]) & (owners[1:] == owners[:-1])
            )
            if again.size:
                if self.duplicates == "error":
                    user, item = owners[again[0]], columns[again[0]]
                    raise ValueError(
                        f"User {census.users[user]} rates item {census.items[item]} "
                        "more than once. Pass duplicates='mean' or 'last', or clean "
                        "the table."
                    )
                lengths[start:stop] -= np.bincount(
                    owners[again] - start, minlength=stop - start
                )
                if self.duplicates == "mean":
                    firsts = np.delete(np.arange(len(values)), again + 1)
                    sizes = np.diff(np.append(firsts, len(values)))
                    sums = np.add.reduceat(values, firsts)
                    columns, values = columns[firsts], sums / sizes
                else:
                    columns, values = (
                        np.delete(columns, again),
                        np.delete(values, again),
                    )
            indices[end : end + len(columns)] = columns
            data[end : end + len(columns)] = values
            start, end = stop, end + len(columns)
        settled = np.zeros_like(indptr)
        np.cumsum(lengths, out=settled[1:])
        return settled

    def _known(self, items: _Ids, ids: Array) -> tuple[Array, Array]:
        """Columns of items, and which of them there are."""
        columns, known = items.find(ids)
        if self.unknown_items == "error" and not known.all():
            unknown = np.unique(ids[~known])
            raise ValueError(
                f"Item {unknown[0]} was not there in fit, nor were "
                f"{len(unknown) - 1} others of this table. Pass "
                "unknown_items='ignore' to leave their ratings out, or fit again."
            )
        return columns, known

    def _parts(self, ratings) -> Iterator[_Table]:
        """The tables that a function makes, or the one that was passed."""
        for table in ratings() if callable(ratings) else [ratings]:
            if nw.dependencies.is_into_dataframe(table):
                yield self._read_frame(nw.from_native(table, eager_only=True))
                continue
            if not isinstance(table, tuple) or len(table) != 3:
                raise ValueError(
                    "A table of ratings should be a frame or a tuple of three arrays "
                    f"(users, items, ratings), but got {type(table).__name__}. Pass an "
                    "iterator of tables as a function that makes it."
                )
            users, items, values = table
            part = _Table(
                _check_ids("users", users),
                _check_ids("items", items),
                _check_ratings(values),
                None,
            )
            if not len(part.users) == len(part.items) == len(part.ratings):
                raise ValueError(
                    "Users, items and ratings should be equally long, but got "
                    f"{len(part.users)}, {len(part.items)} and {len(part.ratings)}."
                )
            yield part

    def _read_frame(self, frame) -> _Table:
        columns = []
        for name in (self.user, self.item, self.rating):
            if name not in frame.columns:
                raise ValueError(
                    f"The table has no column {name!r} but {list(frame.columns)}. Name "
                    "its columns: RatingsEncoder(user=..., item=..., rating=...)."
                )
            columns.append(frame.get_column(name))
        ids = []
        for name, series in zip(("users", "items"), columns, strict=False):
            _refuse_missing(name, series.is_null().to_numpy())
            ids.append(_check_ids(name, series.to_numpy()))
        ratings = _check_ratings(columns[2].to_numpy())
        return _Table(ids[0], ids[1], ratings, frame.implementation)


class _Ids:
    """Sorted ids, of users or of items, all of one kind."""

    def __init__(self, name: str, ids: Array | None = None) -> None:
        self.name = name
        self.sorted = np.empty(0, dtype=np.int64) if ids is None else ids

    def add(self, ids: Array) -> None:
        """Take in ids that are sorted."""
        if not ids.size:  # of no kind
            return
        if self.sorted.size:
            self._check_kind(ids)
            ids = np.union1d(self.sorted, ids)
        self.sorted = ids

    def find(self, ids: Array) -> tuple[Array, Array]:
        """Places of ids, and whether they are there."""
        if not self.sorted.size or not ids.size:
            nowhere = np.zeros(len(ids), dtype=np.intp)
            return nowhere, np.zeros(len(ids), dtype=bool)
        self._check_kind(ids)
        places = np.searchsorted(self.sorted, ids)
        places[places == len(self.sorted)] = 0
        return places, self.sorted[places] == ids

    def _check_kind(self, ids: Array) -> None:
        if ids.size and ids.dtype.kind != self.sorted.dtype.kind:
            raise ValueError(
                f"Ids of {self.name} are {_describe(ids)} here, but were "
                f"{_describe(self.sorted)} before. Convert them to one kind."
            )


def _describe(ids: Array) -> str:
    return _KINDS.get(ids.dtype.kind, str(ids.dtype))


def _check_ids(name: str, ids: Any) -> Array:
    """Ids that sort: integers as int64, strings as such, all there."""
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"Ids of {name} should be 1d, but got {ids.ndim}d.")
    if ids.dtype.kind in "iu":
        if ids.size and int(ids.max()) > np.iinfo(np.int64).max:
            raise ValueError(
                f"Ids of {name} should be below 2**63, but got {ids.max()}. Convert "
                "them to strings."
            )
        return ids.astype(np.int64, copy=False)
    if ids.dtype.kind == "O":
        _refuse_missing(name, [_is_missing(value) for value in ids])
        kinds = sorted({type(value).__name__ for value in ids})
        if len(kinds) > 1:
            raise ValueError(
                f"Ids of {name} are of several kinds: {', '.join(kinds)}. Convert them "
                "to one."
            )
        return ids.astype(str) if kinds == ["str"] else ids
    _refuse_missing(name, ids != ids)
    return ids


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor unequal
        return True


def _refuse_missing(name: str, missing: Any) -> None:
    lines = np.flatnonzero(missing)
    if lines.size:
        raise ValueError(
            f"The id of {name} is missing in line {lines[0]} (from 0) of the table, "
            f"and in {len(lines) - 1} others. Drop these lines."
        )


def _check_ratings(values: Any) -> Array:
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "biufO":
        raise ValueError(
            f"Ratings should be 1d numbers, but got {values.ndim}d of {values.dtype}."
        )
    if values.dtype == object:
        values = np.array([_to_number(*each) for each in enumerate(values)])
    elif values.dtype != np.float32:
        values = values.astype(np.float64, copy=False)
    wrong = ~np.isfinite(values)
    if wrong.any():
        line = np.argmax(wrong)
        raise ValueError(
            f"The rating in line {line} (from 0) of the table is {values[line]}, and "
            f"{wrong.sum() - 1} others are not finite. Drop these lines."
        )
    return values


def _to_number(line: int, value: Any) -> float:
    if _is_missing(value):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The rating in line {line} (from 0) of the table is {value!r}. Mend or "
            "drop the line."
        ) from error


def check_rating_range(rating_range):
    """Refuse what is not (low, high)."""
    if len(rating_range) != 2 or not rating_range[0] < rating_range[1]:
        raise ValueError(
            f"rating_range should be (low, high) with low < high, but got "
            f"{rating_range!r}."
        )
    return rating_range
