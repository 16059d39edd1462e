# SPDX-License-Identifier: BSD-3-Clause
"""Tables of features of users or items: frames to numbers, aligned by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._frames import open_frame, to_floats
from sklearn_gmmcf._ids import (
    Ids,
    and_others,
    check_ids,
    get_kind,
    is_missing,
    is_number,
)
from sklearn_gmmcf._typing import Array

# More categories are names of single ids, which describe nothing, in a wide matrix.
_MAX_CATEGORIES = 256
# Differences of such numbers do not overflow.
_MAX_NUMBER = 1e300
_NUMBERS, _CATEGORIES = "numbers", "categories"


@dataclass(frozen=True)
class Numbers:
    """A column of numbers or bools: standardized."""

    name: Any
    low: float
    span: float  # from the lowest number to the highest one
    mean: float  # of the numbers, shifted and scaled to [0, 1]
    std: float

    kind = _NUMBERS

    @classmethod
    def learn(cls, role: str, name: Any, values: Array) -> Numbers:
        # Sorted, so that rounding does not depend on the order of the rows.
        known = np.sort(values[~np.isnan(values)])
        low, high = float(known[0]), float(known[-1])
        span = high - low
        # Squares of numbers in [0, 1] neither overflow nor cancel.
        known = (known - low) / (span or 1.0)
        return cls(name, low, span or 1.0, float(known.mean()), float(known.std()))

    @property
    def feature_names(self) -> list[str]:
        return [str(self.name)]

    def encode(self, role: str, values: Array, ids: Array) -> Array:
        """Features (n, 1) of ids, NaN where missing; 0 if all numbers were equal."""
        scaled = (values - self.low) / self.span
        return ((scaled - self.mean) / (self.std or 1.0))[:, None]


@dataclass(frozen=True)
class Categories:
    """A column of categories: one-hot."""

    name: Any
    categories: Sequence[Any]  # sorted

    kind = _CATEGORIES

    @classmethod
    def learn(cls, role: str, name: Any, values: list[Any]) -> Categories:
        categories = {value for value in values if value is not None}
        if len(categories) > _MAX_CATEGORIES:
            raise ValueError(
                f"Column {name!r} of {role} has {len(categories)} categories, more "
                f"than {_MAX_CATEGORIES}. Leave out text that hardly repeats, such as "
                "titles; for several words in one text, such as 'Action|Comedy', pass "
                "one column of bools for each word."
            )
        try:
            return cls(name, sorted(categories))
        except TypeError as error:
            kinds = sorted({type(each).__name__ for each in categories})
            raise ValueError(
                f"Categories of column {name!r} of {role} do not sort: they are of the "
                f"types {', '.join(kinds)}. Convert them to text."
            ) from error

    @property
    def feature_names(self) -> list[str]:
        return [f"{self.name}_{category}" for category in self.categories]

    def encode(self, role: str, values: list[Any], ids: Array) -> Array:
        """Features (n, n_categories) of ids: 0 and 1, or NaN where missing."""
        codes = {category: code for code, category in enumerate(self.categories)}
        features = np.zeros((len(values), len(codes)))
        for row, value in enumerate(values):
            if value is None:
                features[row] = np.nan
            elif value in codes:
                features[row, codes[value]] = 1.0
            else:
                raise ValueError(
                    f"Column {self.name!r} of {role} is {value!r} for id {ids[row]}, a "
                    "category that fit has not seen. Pass it as missing, or fit again."
                )
        return features


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of users or of items."""

    role: str  # the parameter that this table was passed as
    columns: tuple[Numbers | Categories, ...]
    ids: Array  # (n,), sorted
    values: Array  # (n, p), NaN where missing

    @classmethod
    def learn(cls, role: str, frame: Any, id_name: Any) -> FeatureTable:
        """Read a frame, and learn how to encode others with the same columns."""
        frame, ids, names = open_by_id(role, frame, id_name)
        if not len(ids):
            raise ValueError(f"{role} has no row. Pass None, or a row for each id.")
        if not names:
            raise ValueError(
                f"{role} has no column besides the ids. Pass None, or some features."
            )
        columns: list[Numbers | Categories] = []
        read = {}
        for name in names:
            kind, read[name] = _read_column(role, name, frame.get_column(name), ids)
            if kind is None:
                raise ValueError(
                    f"Column {name!r} of {role} has no value. Leave it out."
                )
            learn = Numbers.learn if kind == _NUMBERS else Categories.learn
            columns.append(learn(role, name, read[name]))
        counts = Counter(name for each in columns for name in each.feature_names)
        name, n_features = counts.most_common(1)[0]
        if n_features > 1:
            raise ValueError(
                f"{n_features} features of {role} have the name {name!r}. Rename their "
                "columns."
            )
        features = [each.encode(role, read[each.name], ids) for each in columns]
        return cls(role, tuple(columns), *sort_by_id(role, ids, np.hstack(features)))

    @property
    def feature_names(self) -> Array:
        """Names (p,) of the features."""
        names = [name for column in self.columns for name in column.feature_names]
        return np.array(names, dtype=object)

    def without(self, ids: Array) -> FeatureTable:
        """This table without the rows of some ids."""
        rows, known = Ids(self.role, self.ids).find(ids)
        kept = np.ones(len(self.ids), dtype=bool)
        kept[rows[known]] = False
        return replace(self, ids=self.ids[kept], values=self.values[kept])

    def update(self, frame: Any, id_name: Any) -> FeatureTable:
        """This table with the rows of another frame, new or in the place of old ones.

        The frame must have the columns of this table.
        """
        frame, ids, names = open_by_id(self.role, frame, id_name)
        features = []
        for column in self.columns:
            if column.name not in names:
                raise ValueError(
                    f"{self.role} has no column {column.name!r}, which the table that "
                    "was fitted has. Add it, with missing values where it is unknown."
                )
            series = frame.get_column(column.name)
            kind, values = _read_column(self.role, column.name, series, ids)
            if kind not in (None, column.kind):
                raise ValueError(
                    f"Column {column.name!r} of {self.role} has {kind} here, but "
                    f"{column.kind} in the table that was fitted. Convert them."
                )
            if kind is None:
                shape = len(ids), len(column.feature_names)
                features.append(np.full(shape, np.nan))
            else:
                features.append(column.encode(self.role, values, ids))
        ids, values = sort_by_id(self.role, ids, np.hstack(features))
        everyone = Ids(self.role, self.ids)
        everyone.add(ids)
        merged = self.align(everyone.sorted)
        merged[everyone.find(ids)[0]] = values
        return replace(self, ids=everyone.sorted, values=merged)

    def check_overlap(self, ids: Array) -> None:
        """Check that one of the ids of the ratings has features."""
        if not find_rows(self.role, self.ids, ids)[1].any():
            raise ValueError(
                f"No id of {self.role}, such as {self.ids[0]!s}, has ratings; those "
                f"have ids such as {ids[0]!s}. Pass the same ids in both tables."
            )

    def align(self, ids: Array) -> Array:
        """Features (m, p) of ids: NaN for ids that are not in the table."""
        values = np.full((len(ids), self.values.shape[1]), np.nan)
        rows, known = find_rows(self.role, self.ids, ids)
        values[known] = self.values[rows[known]]
        return values


def find_rows(role: str, known: Array, ids: Array) -> tuple[Array, Array]:
    """Rows (n,) of the ids of ratings in a table, and whether each of them is there."""
    if ids.size and get_kind(ids) != get_kind(known):
        raise ValueError(
            f"Ids of {role} are {get_kind(known)}, but ids of the ratings are "
            f"{get_kind(ids)}. Convert them to one kind."
        )
    return Ids(role, known).find(ids)


def open_by_id(role: str, frame: Any, id_name: Any) -> tuple[Any, Array, list[Any]]:
    """A frame of narwhals, its ids (n,), and the names of the other columns."""
    if not nw.dependencies.is_into_dataframe(frame):
        raise ValueError(
            f"{role} should be a pandas, polars or pyarrow frame with a row for each "
            f"id, but got {type(frame).__name__}."
        )
    frame = open_frame(frame, role)
    names = list(frame.columns)
    index = nw.maybe_get_index(frame)
    if id_name in names:
        ids = frame.get_column(id_name)
        names.remove(id_name)
    elif index is not None and index.name == id_name:
        ids = index.to_series()
    else:
        raise ValueError(
            f"{role} has no column of ids {id_name!r} but {names}. Rename the column "
            "of ids to this name; in pandas, the index may have it instead."
        )
    line = f"line {{}} (from 0) of {role}".format
    return frame, check_ids(role, ids, line), names


def sort_by_id(role: str, ids: Array, values: Array) -> tuple[Array, Array]:
    """Sort the ids, all of which must differ, and their rows of values."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    repeats = np.flatnonzero(ids[1:] == ids[:-1])
    if repeats.size:
        others = and_others(len(np.unique(ids[repeats])) - 1)
        raise ValueError(
            f"Id {ids[repeats[0]]}{others} has more than one row in {role}. Pass one "
            "row for each id."
        )
    return ids, values[order]


def _read_column(
    role: str, name: Any, series: Any, ids: Array
) -> tuple[str | None, Any]:
    """Kind and values of a column; numbers as floats, with NaN for missing values.

    Categories are a list with None for missing values. Kind and values of a column
    without any value are None.
    """
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        return _check_numbers(role, name, to_floats(series).astype(float), ids)
    values = [None if is_missing(value) else value for value in series.to_list()]
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    if isinstance(series.dtype, (nw.Categorical, nw.Enum)):
        return _CATEGORIES, values
    if all(isinstance(value, str) for value in known):
        return _CATEGORIES, values
    if all(is_number(type(v)) or isinstance(v, np.bool_) for v in known):
        numbers = np.array([np.nan if v is None else float(v) for v in values])
        return _check_numbers(role, name, numbers, ids)
    kinds = sorted({type(value).__name__ for value in known})
    raise ValueError(
        f"Column {name!r} of {role} has values of type {' and '.join(kinds)}, but a "
        "feature should be numbers, bools or text. Leave it out or convert it: dates "
        "to numbers, such as the year; lists to one column of bools for each element."
    )


def _check_numbers(
    role: str, name: Any, numbers: Array, ids: Array
) -> tuple[str | None, Array | None]:
    wrong = np.flatnonzero(np.abs(numbers) > _MAX_NUMBER)
    if wrong.size:
        raise ValueError(
            f"Column {name!r} of {role} is {numbers[wrong[0]]} for id {ids[wrong[0]]}"
            f"{and_others(len(wrong) - 1)}. Pass numbers of at most {_MAX_NUMBER:g} in "
            "size, or missing values."
        )
    return (None, None) if np.isnan(numbers).all() else (_NUMBERS, numbers)
