# SPDX-License-Identifier: BSD-3-Clause
"""Lines of ratings: what tables and files become for `RatingsEncoder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._frames import list_columns, open_frame, to_floats
from sklearn_gmmcf._ids import (
    Coded,
    and_others,
    encode_ids,
    is_missing,
    is_number,
    open_series,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._reading import check_unmasked

_FUNCTION = "Pass an iterator of tables as a function that makes it"
_ITERATOR = (
    "A function that is passed as a table should return an iterator over such tables"
)


def name_table_line(line: int, table: int | None = None) -> str:
    """A line of a frame or of arrays, as errors name it."""
    which = "the table" if table is None else f"table {table} (from 0)"
    return f"line {line} (from 0) of {which}"


@dataclass(frozen=True, eq=False)
class RatingLines:
    """Users, items and ratings of a table or of a file, all of one length.

    `RatingsEncoder` takes it as a table, and checks ids and ratings.
    """

    users: Any  # (m,), ids: an array or Coded
    items: Any  # (m,), ids: an array or Coded
    ratings: Any  # (m,), numbers
    backend: Any = None  # of narwhals; None for arrays and files
    name_line: Callable[[int], str] = name_table_line


@dataclass(frozen=True, eq=False)
class Tables:
    """Lines of one table or of several, which can be iterated over again."""

    read: Callable[[], Iterator[RatingLines]]
    in_memory: bool  # whether it is one table, which has been read

    def __iter__(self) -> Iterator[RatingLines]:
        return self.read()


@dataclass(frozen=True)
class LineReader:
    """Reads tables into lines whose ids are sorted codes, and whose ratings are floats.

    A user or an item whose ratings all count as missing stays among the ids.
    """

    user: Any
    item: Any
    rating: Any
    rating_range: tuple[float, float] | None
    out_of_range: str

    def read(self, ratings: Any) -> Tables:
        """Open what users pass: a table, or a function that makes an iterator."""
        if callable(ratings):
            return Tables(partial(self._read_each, ratings), in_memory=False)
        lines = [self._read_table(ratings, name_table_line, _FUNCTION)]
        return Tables(partial(iter, lines), in_memory=True)

    def _read_each(self, open_tables: Callable[[], Any]) -> Iterator[RatingLines]:
        tables = open_tables()
        try:
            iterator = None if _is_frame(tables) else iter(tables)
        except TypeError:
            iterator = None
        if iterator is None:
            raise ValueError(
                f"{_ITERATOR}, but returned {type(tables).__name__}. Return a list "
                "with the table, or yield tables."
            )
        for number, table in enumerate(iterator):
            name_line = partial(name_table_line, table=number)
            yield self._read_table(table, name_line, _ITERATOR)

    def _read_table(
        self, table: Any, name_line: Callable[[int], str], way_out: str
    ) -> RatingLines:
        if _is_frame(table):
            lines = self._open_frame(table, name_line)
        elif isinstance(table, RatingLines):
            lines = table
        elif isinstance(table, tuple) and len(table) == 3:
            lines = RatingLines(*table, name_line=name_line)
        else:
            raise ValueError(
                "A table of ratings should be a frame or a tuple of three arrays "
                f"(users, items, ratings), but got {type(table).__name__}. {way_out}."
            )
        for name in ("users", "items", "ratings"):
            check_unmasked(getattr(lines, name), name)
        users = encode_ids("users", lines.users, lines.name_line)
        items = encode_ids("items", lines.items, lines.name_line)
        ratings = _check_ratings(lines.ratings, lines.name_line)
        if not len(users) == len(items) == len(ratings):
            raise ValueError(
                "Users, items and ratings should be equally long, but got "
                f"{len(users)}, {len(items)} and {len(ratings)}."
            )
        return self._limit(replace(lines, users=users, items=items, ratings=ratings))

    def _open_frame(self, native: Any, name_line: Callable[[int], str]) -> RatingLines:
        wanted = self.user, self.item, self.rating
        frame = open_frame(_select_columns(native, wanted), "The table")
        columns = []
        for name in wanted:
            if name not in frame.columns:
                raise ValueError(
                    f"The table has no column {name!r} but {list_columns(native)}. "
                    "Name its columns by the parameters user, item and rating."
                )
            columns.append(frame.get_column(name))
        users, items, ratings = columns
        return RatingLines(users, items, ratings, frame.implementation, name_line)

    def _limit(self, lines: RatingLines) -> RatingLines:
        """Lines with ratings in the range."""
        if self.rating_range is None:
            return lines
        low, high = self.rating_range
        ratings = lines.ratings
        outside = (ratings < low) | (ratings > high)
        if not outside.any():
            return lines
        if self.out_of_range == "clip":
            return replace(lines, ratings=np.clip(ratings, low, high))
        if self.out_of_range == "missing":
            return _select_lines(lines, np.flatnonzero(~outside))
        line = int(np.argmax(outside))
        n_others = int(outside.sum()) - 1
        verb = "is" if n_others == 1 else "are"
        others = (
            f", and so {verb}{and_others(n_others).removeprefix(' and')}"
            if n_others
            else ""
        )
        where = lines.name_line(line)
        raise ValueError(
            f"The rating {_format(ratings[line])} in {where} is outside rating_range="
            f"({_format(low)}, {_format(high)}){others}. If it marks a "
            "missing rating, pass out_of_range='missing'; pass 'clip' to move ratings "
            "to the nearest bound; or correct the line, or rating_range."
        )


def _select_lines(lines: RatingLines, selected: Array) -> RatingLines:
    """Some of the lines; the ids of the others stay."""

    def name_line(line: int) -> str:
        return lines.name_line(int(selected[line]))

    return replace(
        lines,
        users=Coded(lines.users.codes[selected], lines.users.ids),
        items=Coded(lines.items.codes[selected], lines.items.ids),
        ratings=lines.ratings[selected],
        name_line=name_line,
    )


def _format(value: Any) -> str:
    """A number without a decimal point if it is whole."""
    return repr(float(value)).removesuffix(".0")


def _is_frame(table: Any) -> bool:
    return bool(nw.dependencies.is_into_dataframe(table))


def _select_columns(native: Any, wanted: Sequence[Any]) -> Any:
    """A frame without other columns, if names of columns are equal."""
    names = list_columns(native)
    if len(set(names)) == len(names):
        return native
    selected = [j for j, name in enumerate(names) if name in wanted]
    if nw.dependencies.is_pandas_like_dataframe(native):
        return native.iloc[:, selected]
    return native.select(selected)


def _check_ratings(values: Any, name_line: Callable[[int], str]) -> Array:
    values = _read_ratings(open_series(values), name_line)
    if values.dtype != np.float32:
        values = values.astype(np.float64, copy=False)
    wrong = ~np.isfinite(values)
    if wrong.any():
        line, n_wrong = int(np.argmax(wrong)), wrong.sum()
        among = f", one of {n_wrong} that are not finite" if n_wrong > 1 else ""
        raise ValueError(
            f"The rating in {name_line(line)} is {values[line]}{among}. Drop such "
            "lines."
        )
    return values


def _read_ratings(values: Any, name_line: Callable[[int], str]) -> Array:
    """Ratings (m,) as numbers, NaN where missing."""
    if isinstance(values, nw.Series):
        if values.dtype.is_numeric() or values.dtype == nw.Boolean:
            return to_floats(values)
        values = values.to_list()
    try:
        array = np.asarray(values)
    except ValueError:  # a ragged list
        array = np.empty(len(values), dtype=object)
        array[:] = values
    if array.ndim != 1:
        raise ValueError(
            f"Ratings should be 1d numbers, but got {array.ndim}d of {array.dtype}."
        )
    if array.dtype.kind in "biuf":
        return array
    # Of a list, as numpy makes text of [1, "a"].
    values = values if isinstance(values, list) else array
    numbers = [_to_number(value, i, name_line) for i, value in enumerate(values)]
    return np.array(numbers, dtype=np.float64)


def _to_number(value: Any, line: int, name_line: Callable[[int], str]) -> float:
    if is_missing(value):
        return np.nan
    if is_number(type(value)) or isinstance(value, (np.bool_, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return np.inf  # refused as such
    way_out = "Convert ratings to numbers"
    if isinstance(value, (str, bytes)):
        value = value.item() if isinstance(value, np.generic) else value
        way_out += ", such as by astype(float)"
    raise ValueError(
        f"The rating in {name_line(line)} is {value!r}, but a rating should be a "
        f"number. {way_out}."
    )


def check_rating_range(rating_range: Any) -> tuple[float, float]:
    """Check that a range is (low, high)."""
    try:
        low, high = rating_range
        in_order = -np.inf < low < high < np.inf
        in_order = in_order and isinstance(low, Real) and isinstance(high, Real)
    except (TypeError, ValueError):
        in_order = False
    if not in_order:
        raise ValueError(
            "rating_range should be two finite numbers (low, high) with low < high, "
            f"but got {rating_range!r}."
        )
    return float(low), float(high)
