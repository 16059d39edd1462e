# SPDX-License-Identifier: BSD-3-Clause
"""Splits of ratings into a training and a test part, of matrices and of tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_gmmcf._frames import open_frame
from sklearn_gmmcf._ids import encode_ids, open_series
from sklearn_gmmcf._rating_lines import name_table_line
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count
from sklearn_gmmcf.data._entries import Entries, build, gather, list_entries

# Multiples of a share are whole up to this.
_ROUNDING = 1e-9


def split_by_time(
    ratings: Any,
    time: Any = "time",
    test_size: float = 0.2,
    *,
    per_user: bool = True,
    user: Any = "user",
    missing_values: float = np.nan,
) -> tuple[Any, Any]:
    """Split ratings by time: the last ones are the test part.

    A random split lets a recommender learn from ratings that come after the tested
    ones, which flatters it. Per user, the last ratings of each user are tested; the
    global split tests all ratings from one moment on, as a recommender in use meets
    them, so that users and items may be new in the test part.

    Parameters
    ----------
    ratings : {frame, tuple of three array-likes, array-like, sparse matrix}
        A table with a line for each rating (a pandas, polars or pyarrow frame with a
        column `user`, or a tuple (users, items, ratings) of shape (m,) each), or a
        matrix of shape (n_samples, n_features) with missing entries, a row for each
        user. A frame is a table, and so is a tuple.

    time : {str, int, array-like, sparse matrix}, default='time'
        Name of the column of times: numbers or dates. For a tuple, an array of shape
        (m,); for a matrix, the matrix of the same shape that holds the time of each
        observed entry.

    test_size : float, default=0.2
        Share of the ratings of each user, or of all ratings, in the test part, rounded
        up. With `per_user` each user keeps one rating in the training part.

    per_user : bool, default=True
        Split the ratings of each user. False splits all ratings at one moment; ratings
        of the same time stay together.

    user : str or int, default='user'
        Name of the column of users of a frame.

    missing_values : float, default=np.nan
        The value that marks a missing entry of a matrix.

    Returns
    -------
    train, test : frames, tuples of ndarrays or csr_arrays
        Of a table the lines of each part, in their order: two frames, or two tuples
        (users, items, ratings). Of a matrix two CSR matrices of its shape.

    Raises
    ------
    ValueError
        If ``test_size`` is not between 0 and 1, a time is missing, or a part would be
        empty.

    See Also
    --------
    leave_last_out : The last rating of each user.
    split_per_user : A random part of each user's ratings.
    recommendation_scorer : Measures recommendations of hidden entries.

    Notes
    -----
    Of ratings of the same time, those later in the table (in a matrix: with a higher
    column index) count as later.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gmmcf.model_selection import split_by_time
    >>> table = pd.DataFrame(
    ...     [("ann", "Alien", 5, 2001), ("ann", "Brazil", 4, 2003),
    ...      ("bob", "Alien", 2, 2004), ("bob", "Clue", 4, 2002)],
    ...     columns=["user", "item", "rating", "time"],
    ... )
    >>> train, test = split_by_time(table)
    >>> test
      user    item  rating  time
    1  ann  Brazil       4  2003
    2  bob   Alien       2  2004
    >>> train, test = split_by_time(table, per_user=False)
    >>> test
      user   item  rating  time
    2  bob  Alien       2  2004
    """
    check_size("test_size", test_size)
    lines = _open(ratings, missing_values)
    times = lines.times(time)
    if per_user:
        return lines.split(find_last(lines.users(user), times, test_size))
    n_train = len(times) - _count(len(times), test_size)
    return lines.split(times >= np.sort(times)[n_train])


def leave_last_out(
    ratings: Any,
    time: Any = "time",
    n_last: int = 1,
    *,
    user: Any = "user",
    missing_values: float = np.nan,
) -> tuple[Any, Any]:
    """Split ratings: the last ones of each user are the test part.

    Parameters
    ----------
    ratings : {frame, tuple of three array-likes, array-like, sparse matrix}
        A table with a line for each rating (a pandas, polars or pyarrow frame with a
        column `user`, or a tuple (users, items, ratings) of shape (m,) each), or a
        matrix of shape (n_samples, n_features) with missing entries, a row for each
        user. A frame is a table, and so is a tuple.

    time : {str, int, array-like, sparse matrix}, default='time'
        Name of the column of times: numbers or dates. For a tuple, an array of shape
        (m,); for a matrix, the matrix of the same shape that holds the time of each
        observed entry.

    n_last : int, default=1
        Number of ratings of each user in the test part. Each user keeps one rating in
        the training part.

    user : str or int, default='user'
        Name of the column of users of a frame.

    missing_values : float, default=np.nan
        The value that marks a missing entry of a matrix.

    Returns
    -------
    train, test : frames, tuples of ndarrays or csr_arrays
        Of a table the lines of each part, in their order: two frames, or two tuples
        (users, items, ratings). Of a matrix two CSR matrices of its shape.

    Raises
    ------
    ValueError
        If ``n_last`` is less than 1, a time is missing, or the test part would be
        empty.

    See Also
    --------
    split_by_time : A share of each user's ratings, or all from one moment on.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.model_selection import leave_last_out
    >>> ratings = np.array([[5, 4, np.nan], [2, np.nan, 4]])
    >>> years = np.array([[2001, 2003, np.nan], [2004, np.nan, 2002]])
    >>> train, test = leave_last_out(ratings, years)
    >>> test.toarray()
    array([[0., 4., 0.],
           [2., 0., 0.]])
    """
    check_count("n_last", n_last)
    lines = _open(ratings, missing_values)
    times = lines.times(time)
    return lines.split(find_last(lines.users(user), times, int(n_last)))


def split_per_user(
    ratings: Any,
    test_size: float = 0.2,
    *,
    user: Any = "user",
    missing_values: float = np.nan,
    random_state: Any = None,
) -> tuple[Any, Any]:
    """Split ratings: a random part of each user's ratings is the test part.

    Parameters
    ----------
    ratings : {frame, tuple of three array-likes, array-like, sparse matrix}
        A table with a line for each rating (a pandas, polars or pyarrow frame with a
        column `user`, or a tuple (users, items, ratings) of shape (m,) each), or a
        matrix of shape (n_samples, n_features) with missing entries, a row for each
        user. A frame is a table, and so is a tuple.

    test_size : float, default=0.2
        Share of the ratings of each user in the test part, rounded up. Each user keeps
        one rating in the training part.

    user : str or int, default='user'
        Name of the column of users of a frame.

    missing_values : float, default=np.nan
        The value that marks a missing entry of a matrix.

    random_state : int, RandomState instance or None, default=None
        Seeds the draw.

    Returns
    -------
    train, test : frames, tuples of ndarrays or csr_arrays
        Of a table the lines of each part, in their order: two frames, or two tuples
        (users, items, ratings). Of a matrix two CSR matrices of its shape.

    Raises
    ------
    ValueError
        If ``test_size`` is not between 0 and 1, or the test part would be empty.

    See Also
    --------
    hide_entries : A random part of all entries, whatever their rows.
    split_by_time : The last ratings.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.model_selection import split_per_user
    >>> ratings = np.array([[5, 4, 3], [2, np.nan, 4]])
    >>> train, test = split_per_user(ratings, 0.5, random_state=0)
    >>> train.nnz, test.nnz
    (2, 3)
    """
    check_size("test_size", test_size)
    lines = _open(ratings, missing_values)
    users = lines.users(user)
    order = check_random_state(random_state).permutation(len(users))
    return lines.split(find_last(users, order, test_size))


def split_items(
    ratings: Any,
    test_size: float = 0.2,
    *,
    item: Any = "item",
    missing_values: float = np.nan,
    random_state: Any = None,
) -> tuple[Any, Any]:
    """Split ratings: all ratings of a random part of the items are the test part.

    It measures how well new items are predicted, from their `column_features`.

    Parameters
    ----------
    ratings : {frame, tuple of three array-likes, array-like, sparse matrix}
        A table with a line for each rating (a pandas, polars or pyarrow frame with a
        column `item`, or a tuple (users, items, ratings) of shape (m,) each), or a
        matrix of shape (n_samples, n_features) with missing entries, a column for each
        item. A frame is a table, and so is a tuple.

    test_size : float, default=0.2
        Share of the items in the test part, rounded up. Items without ratings do not
        count.

    item : str or int, default='item'
        Name of the column of items of a frame.

    missing_values : float, default=np.nan
        The value that marks a missing entry of a matrix.

    random_state : int, RandomState instance or None, default=None
        Seeds the draw.

    Returns
    -------
    train, test : frames, tuples of ndarrays or csr_arrays
        Of a table the lines of each part, in their order: two frames, or two tuples
        (users, items, ratings). Of a matrix two CSR matrices of its shape.

    Raises
    ------
    ValueError
        If ``test_size`` is not between 0 and 1, or a part would be empty.

    See Also
    --------
    split_per_user : A random part of each user's ratings.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.model_selection import split_items
    >>> train, test = split_items(
    ...     [[5, 4, 3], [2, np.nan, 4]], 0.3, random_state=0
    ... )
    >>> test.toarray()
    array([[0., 0., 3.],
           [0., 0., 4.]])
    """
    check_size("test_size", test_size)
    lines = _open(ratings, missing_values)
    _, items = np.unique(lines.items(item), return_inverse=True)
    n_items = int(items.max()) + 1
    order = check_random_state(random_state).permutation(n_items)
    tested = np.zeros(n_items, dtype=bool)
    tested[order[: _count(n_items, test_size)]] = True
    return lines.split(tested[items])


class _Lines(ABC):
    """Ratings, in whatever container: who rated which item at which time."""

    @abstractmethod
    def users(self, name: Any) -> Array:
        """Codes of users, (m,)."""

    @abstractmethod
    def items(self, name: Any) -> Array:
        """Codes of items, (m,)."""

    @abstractmethod
    def times(self, time: Any) -> Array:
        """Ranks of times, (m,)."""

    @abstractmethod
    def take(self, mask: Array) -> Any:
        """The lines where a mask (m,) is true, in the container for results."""

    def split(self, tested: Array) -> tuple[Any, Any]:
        """The training and the test part."""
        if tested.all() or not tested.any():
            part = "training" if tested.all() else "test"
            raise ValueError(
                f"All {len(tested)} ratings would be in one part, and the {part} part "
                "would be empty. Pass more ratings, or split them in another way."
            )
        return self.take(~tested), self.take(tested)


@dataclass(frozen=True, eq=False)
class _Table(_Lines):
    frame: Any  # of narwhals

    def users(self, name: Any) -> Array:
        return encode_ids("users", self._column("user", name), name_table_line).codes

    def items(self, name: Any) -> Array:
        return encode_ids("items", self._column("item", name), name_table_line).codes

    def times(self, time: Any) -> Array:
        column = self._column("time", time)
        if not (column.dtype.is_numeric() or column.dtype.is_temporal()):
            raise ValueError(
                f"The times in column {time!r} should be numbers or dates, but got "
                f"{column.dtype}. Convert them."
            )
        present = ~np.asarray(column.is_null().to_numpy(), dtype=bool)
        _check_present(present)
        times = column.to_numpy()
        _check_present(times == times)  # of polars, where NaN is not null
        return _rank(times)

    def take(self, mask: Array) -> Any:
        return self.frame.filter(mask.tolist()).to_native()

    def _column(self, role: str, name: Any) -> Any:
        names = self.frame.columns
        if not isinstance(name, Hashable) or name not in names:
            raise ValueError(
                f"The table has no column {name!r} but {names}. Name it: {role}=..."
            )
        return open_series(self.frame.get_column(name))


@dataclass(frozen=True, eq=False)
class _Arrays(_Lines):
    arrays: tuple[Any, Any, Any]  # users, items and ratings as they came, (m,) each

    def __post_init__(self) -> None:
        shapes = [np.shape(each) for each in self.arrays]
        if len(shapes[0]) != 1 or len(set(shapes)) > 1:
            raise ValueError(
                "Users, items and ratings should be 1d and equally long, but got the "
                f"shapes {', '.join(map(str, shapes))}. Pass a matrix as an array."
            )

    def users(self, name: Any) -> Array:
        return encode_ids("users", self.arrays[0], name_table_line).codes

    def items(self, name: Any) -> Array:
        return encode_ids("items", self.arrays[1], name_table_line).codes

    def times(self, time: Any) -> Array:
        n = len(self.arrays[0])
        if isinstance(time, str) or np.shape(time) != (n,):
            found = repr(time) if isinstance(time, str) else f"shape {np.shape(time)}"
            raise ValueError(
                "The time of the lines of a tuple should be an array of the shape "
                f"{(n,)}, but got {found}."
            )
        lines = np.arange(n)
        return _rank_entries(np.asarray(time)[:, None], lines, np.zeros_like(lines))

    def take(self, mask: Array) -> Any:
        return tuple(np.asarray(each)[mask] for each in self.arrays)


@dataclass(frozen=True, eq=False)
class _Matrix(_Lines):
    entries: Entries

    def users(self, name: Any) -> Array:
        return self.entries.rows

    def items(self, name: Any) -> Array:
        return self.entries.columns

    def times(self, time: Any) -> Array:
        if isinstance(time, str) or np.shape(time) != self.entries.shape:
            found = repr(time) if isinstance(time, str) else f"shape {np.shape(time)}"
            raise ValueError(
                "The time of the entries of a matrix should be a matrix of the same "
                f"shape {self.entries.shape}, but got {found}."
            )
        return _rank_entries(time, self.entries.rows, self.entries.columns)

    def take(self, mask: Array) -> Any:
        return build(self.entries.take(mask), missing_values=None)


def _open(ratings: Any, missing_values: float) -> _Lines:
    if nw.dependencies.is_into_dataframe(ratings):
        return _Table(open_frame(ratings, "The table"))
    if isinstance(ratings, tuple):
        if len(ratings) != 3:
            raise ValueError(
                "A tuple of ratings should be a table of three arrays (users, items, "
                f"ratings), but got {len(ratings)}. Pass a matrix as an array."
            )
        return _Arrays(ratings)
    return _Matrix(list_entries(ratings, missing_values, name="ratings"))


def _rank_entries(time: Any, rows: Array, columns: Array) -> Array:
    """Ranks of the times at some entries of a matrix, (m,)."""
    if not sparse.issparse(time):
        dates = np.asarray(time)
        if dates.dtype.kind in "mM":
            dates = dates[rows, columns]
            _check_present(~np.isnat(dates))
            return _rank(dates)
        if dates.dtype.kind in "OUS":
            _check_numbers(dates[rows, columns])
    times = gather(time, rows, columns, name="time")
    _check_present(~np.isnan(times))
    return _rank(times)


def _check_numbers(times: Array) -> None:
    """Refuse objects that are dates, and texts."""
    for each in times.tolist():
        if isinstance(each, (date, str, bytes)):
            raise ValueError(
                f"The times should be numbers or dates of numpy, but got {each!r}. "
                "Convert dates by np.asarray(times, dtype='datetime64[s]')."
            )


def _rank(times: Array) -> Array:
    """Ranks of times (m,), which equal times share."""
    return np.unique(times, return_inverse=True)[1]


def _check_present(present: Array) -> None:
    if not present.all():
        line = int(np.argmin(present))
        raise ValueError(
            f"Rating {line} (from 0) has no time. Drop ratings without a time, or "
            "split them by split_per_user."
        )


def check_size(name: str, size: Any) -> None:
    """Refuse anything but a share."""
    if not (isinstance(size, Real) and 0 < float(size) < 1):
        raise ValueError(f"{name} should be between 0 and 1, but got {size!r}.")


def _count(n: Any, size: Any) -> Any:
    """The number of tested ones of n: a share, or a number."""
    if isinstance(size, int):
        return np.minimum(size, n)
    return np.ceil(n * float(size) - _ROUNDING).astype(np.intp)


def find_last(users: Array, order: Array, size: float | int) -> Array:
    """Which ratings are among the last of their user, (m,), one of each user never.

    Parameters
    ----------
    users : ndarray of shape (m,)
        Codes of users.
    order : ndarray of shape (m,)
        What the ratings of a user are ordered by.
    size : float or int
        A share of the ratings of each user, or a number.
    """
    by_user = np.lexsort((order, users))
    _, firsts, counts = np.unique(users[by_user], return_index=True, return_counts=True)
    n_tested = np.minimum(_count(counts, size), counts - 1)
    ranks = np.arange(len(users)) - np.repeat(firsts, counts)
    last = np.empty(len(users), dtype=bool)
    last[by_user] = ranks >= np.repeat(counts - n_tested, counts)
    return last
