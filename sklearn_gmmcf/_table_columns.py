# SPDX-License-Identifier: BSD-3-Clause
"""Codes of the columns of a table: the kinds of column, each to numbers and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from sklearn_gmmcf._table_series import TICKS_PER_DAY, Column
from sklearn_gmmcf._typing import Array

# Larger floats are whole whatever they measure.
_MAX_WHOLE = 2.0**53
_MAX_EXAMPLES = 3
ROUNDING: dict[str, Callable[[Array], Array]] = {
    "nearest": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class Numbers:
    """Numbers as they are."""

    name: Any
    scalar: type | None = None  # of the values, in a column of Python objects
    low: float = -np.inf
    high: float = np.inf

    kind: ClassVar[str] = "number"
    accepts: ClassVar[tuple[str, ...]] = ("number", "integer")

    @classmethod
    def learn(cls, column: Column) -> Numbers:
        return cls(column.name, column.scalar)

    @property
    def levels(self) -> tuple[Any, ...]:
        return ()

    def feature_names(self, name: str) -> list[str]:
        return [name]

    def bound(self, low: float, high: float) -> Numbers:
        """This code with values from low to high, in encoded units."""
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def encode(self, column: Column) -> Array:
        return column.values[:, None]

    def decode(self, values: Array, rounding: str | None) -> Array:
        return np.clip(values[:, 0], self.low, self.high)


@dataclass(frozen=True)
class Integers(Numbers):
    """Whole numbers, of integer or float dtype."""

    kind: ClassVar[str] = "integer"

    @classmethod
    def learn(cls, column: Column) -> Numbers:
        return cls(column.name, column.scalar, *column.limits)

    def bound(self, low: float, high: float) -> Numbers:
        return super().bound(np.ceil(low), np.floor(high))

    def decode(self, values: Array, rounding: str | None) -> Array:
        decoded = super().decode(values, rounding)
        return decoded if rounding is None else ROUNDING[rounding](decoded)


@dataclass(frozen=True)
class Bools:
    """Bools as 0 and 1."""

    name: Any

    kind: ClassVar[str] = "bool"
    accepts: ClassVar[tuple[str, ...]] = ("bool",)
    levels: ClassVar[tuple[Any, ...]] = (False, True)

    @classmethod
    def learn(cls, column: Column) -> Bools:
        return cls(column.name)

    def feature_names(self, name: str) -> list[str]:
        return [name]

    def encode(self, column: Column) -> Array:
        return column.values[:, None]

    def decode(self, values: Array, rounding: str | None) -> Array:
        decoded = np.full(len(values), None, dtype=object)
        known = ~np.isnan(values[:, 0])
        decoded[known] = values[known, 0] >= 0.5
        return decoded

    def decode_proba(self, values: Array) -> Array:
        true = np.clip(values[:, 0], 0, 1)
        return np.column_stack([1 - true, true])


@dataclass(frozen=True)
class Times(Numbers):
    """Dates as days since 1970-01-01 (UTC), and durations as days."""

    unit: str = "us"  # the coarsest that all observed values are whole in
    tick: str = "us"  # the finest that the dtype holds

    kind: ClassVar[str] = "date"
    accepts: ClassVar[tuple[str, ...]] = ("date",)
    numpy_kind: ClassVar[str] = "M8"
    max_days: ClassVar[dict[str, tuple[float, float]]] = {
        "us": (-719_162.0, 2_932_896.0),  # Python's: the years 1 to 9999
        "ns": (-106_751.0, 106_751.0),  # 64 bits
    }

    @classmethod
    def learn(cls, column: Column) -> Times:
        per_day = TICKS_PER_DAY[column.tick]
        unit = next(
            unit
            for unit, per_day_in_unit in TICKS_PER_DAY.items()
            if not (column.observed % (per_day // per_day_in_unit)).any()
        )
        limits = cls.max_days[column.tick]
        return cls(column.name, column.scalar, *limits, unit=unit, tick=column.tick)

    def encode(self, column: Column) -> Array:
        days, ticks = np.divmod(column.values, TICKS_PER_DAY[column.tick])
        encoded = days + ticks / TICKS_PER_DAY[column.tick]
        return np.where(column.missing, np.nan, encoded)[:, None]

    def decode(self, values: Array, rounding: str | None) -> Array:
        unit = self.tick if rounding is None else self.unit
        per_day = TICKS_PER_DAY[unit]
        values = super().decode(values, rounding)
        known = ~np.isnan(values)
        days = np.floor(values[known])
        ticks = (values[known] - days) * per_day
        nearest = np.rint(ticks)
        if rounding in ("floor", "ceil"):
            # The nearest tick stands for times that differ from it by rounding alone.
            errors = 2 * np.spacing(np.abs(values[known])) * per_day
            rounded = ROUNDING[rounding](ticks)
            nearest = np.where(np.abs(ticks - nearest) <= errors, nearest, rounded)
        decoded = np.full(len(values), "NaT", dtype=f"{self.numpy_kind}[{unit}]")
        total = days.astype(np.int64) * per_day + nearest.astype(np.int64)
        decoded[known] = total.view(decoded.dtype)
        return decoded


@dataclass(frozen=True)
class Durations(Times):
    """Durations as days."""

    kind: ClassVar[str] = "duration"
    accepts: ClassVar[tuple[str, ...]] = ("duration",)
    numpy_kind: ClassVar[str] = "m8"
    max_days: ClassVar[dict[str, tuple[float, float]]] = {
        "us": (-1e8, 1e8),
        "ns": (-106_751.0, 106_751.0),
    }


@dataclass(frozen=True)
class Categories:
    """Categories, or text of a few levels: one column of 0 and 1 for each level."""

    name: Any
    levels: tuple[Any, ...]
    shares: tuple[float, ...]  # of the levels among the observed values

    kind: ClassVar[str] = "category"

    @classmethod
    def learn(cls, column: Column) -> Categories:
        counts = Counter(column.observed)
        if column.levels is None:
            levels = sorted(counts)
        else:
            levels = [level for level in column.levels if level in counts]
        n = sum(counts.values())
        return cls(column.name, tuple(levels), tuple(counts[v] / n for v in levels))

    @property
    def accepts(self) -> tuple[str, ...]:
        if all(isinstance(level, str) for level in self.levels):
            return "text", "category"
        return "text", "category", "integer", "number"

    def feature_names(self, name: str) -> list[str]:
        return [f"{name}_{level}" for level in self.levels]

    def unknown(self, column: Column) -> list[Any]:
        """Levels of a column that this code has not."""
        known = set(self.levels)
        return [v for v in dict.fromkeys(column.observed) if v not in known]

    def encode(self, column: Column) -> Array:
        """One-hot (n, n_levels), NaN where missing or of an unknown level."""
        numbers = {level: number for number, level in enumerate(self.levels)}
        codes = np.full(len(column.values), -1)
        codes[~column.missing] = [numbers.get(v, -1) for v in column.observed]
        encoded = (codes[:, None] == np.arange(len(numbers))).astype(np.float64)
        encoded[codes < 0] = np.nan
        return encoded

    def decode(self, values: Array, rounding: str | None) -> Array:
        known = ~np.isnan(values).any(axis=1)
        levels = np.empty(len(self.levels), dtype=object)
        levels[:] = self.levels
        decoded = np.full(len(values), None, dtype=object)
        decoded[known] = levels[self.decode_proba(values[known]).argmax(axis=1)]
        return decoded

    def decode_proba(self, values: Array) -> Array:
        """Probabilities (n, n_levels); the shares of the levels where all are 0."""
        positive = np.clip(values, 0, None)
        total = positive.sum(axis=1, keepdims=True)
        shares = np.broadcast_to(self.shares, values.shape)
        return np.divide(positive, total, out=shares.copy(), where=total != 0)


@dataclass(frozen=True)
class Passthrough:
    """Text that is not modeled: ids, names, and other text that hardly repeats."""

    name: Any

    kind: ClassVar[str] = "passthrough"

    def feature_names(self, name: str) -> list[str]:
        return []


@dataclass(frozen=True)
class Unobserved:
    """A column without observed values: one missing number in each row."""

    name: Any
    is_numeric: bool  # by its dtype

    kind: ClassVar[str] = "number"
    accepts: ClassVar[tuple[str, ...]] = ("number", "integer")
    levels: ClassVar[tuple[Any, ...]] = ()

    def feature_names(self, name: str) -> list[str]:
        return [name]

    def encode(self, column: Column) -> Array:
        return np.full((len(column.missing), 1), np.nan)

    def decode(self, values: Array, rounding: str | None) -> Array:
        if self.is_numeric:
            return values[:, 0]
        return np.full(len(values), None, dtype=object)


Modeled = Numbers | Bools | Categories | Unobserved
Code = Modeled | Passthrough
_LEARN: dict[str, Callable[[Column], Code]] = {
    "number": Numbers.learn,
    "integer": Integers.learn,
    "bool": Bools.learn,
    "date": Times.learn,
    "duration": Durations.learn,
}


def learn_code(column: Column, max_categories: int, passthrough: bool) -> Code:
    """The code of a column.

    Raises
    ------
    ValueError
        For text or categories that neither can be modeled nor may pass through.
    """
    if column.kind == "empty":
        return Unobserved(column.name, column.is_numeric)
    if column.kind in ("text", "category"):
        return _learn_levels(column, max_categories, passthrough)
    learn = _LEARN[column.kind]
    if column.kind == "number" and _is_whole(column.observed):
        learn = Integers.learn
    return learn(column)


def _is_whole(numbers: Array) -> bool:
    whole = (np.abs(numbers) < _MAX_WHOLE) & (numbers == np.rint(numbers))
    return bool(whole.all())


def _find_stray(observed: Any) -> str | None:
    """The first text that is no number, where most are."""
    strays = [
        text for text in observed if isinstance(text, str) and not reads_as_number(text)
    ]
    return strays[0] if strays and 2 * len(strays) < len(observed) else None


def reads_as_number(text: str) -> bool:
    """Whether `float` takes a text."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _learn_levels(column: Column, max_categories: int, passthrough: bool) -> Code:
    observed = column.observed
    levels = list(dict.fromkeys(observed))
    repeats = column.kind == "category" or len(levels) < max(len(observed), 2)
    if repeats and len(levels) <= max_categories:
        return Categories.learn(column)
    if passthrough and not column.missing.any():
        return Passthrough(column.name)
    way_out = "Drop it"
    if repeats:
        reason = f"more than max_categories={max_categories}"
        way_out += f", pass max_categories={len(levels)} or more to model it"
    else:
        reason = "none of which repeats, as in a column of ids"
    problem = "and passthrough=False"
    if column.missing.any():
        n_missing = int(column.missing.sum())
        problem = f"and {n_missing} missing {'entry' if n_missing == 1 else 'entries'}"
        way_out += ", or complete it, so that it passes through"
    else:
        way_out += ", or pass passthrough=True"
    stray = _find_stray(observed)
    if stray is not None:
        way_out = (
            f"{stray!r} is not a number, and most others are: if it marks missing "
            f"entries, make it NaN (na_values of pandas.read_csv). Else: {way_out}"
        )
    raise ValueError(
        f"Column {column.name!r} of X has {len(levels)} levels (such as "
        f"{list_some(levels)}), {reason}, {problem}. {way_out}."
    )


def list_some(levels: list[Any]) -> str:
    listed = ", ".join(repr(level) for level in levels[:_MAX_EXAMPLES])
    return f"{listed}, ..." if len(levels) > _MAX_EXAMPLES else listed


def encode_column(code: Modeled, column: Column) -> Array:
    """Numbers (n, n_encoded) of a column, NaN where missing."""
    if column.kind == "empty":
        return np.full((len(column.missing), len(code.feature_names(""))), np.nan)
    return code.encode(column)


def check_kind(code: Modeled, column: Column) -> None:
    """Check that a column has values of the kind that was fitted."""
    if isinstance(code, Unobserved) or column.kind == "empty":
        return
    is_text = isinstance(code, Categories) and "number" not in code.accepts
    if column.kind in code.accepts and (not is_text or isinstance(column.example, str)):
        return
    kind = "text" if is_text else code.kind
    raise ValueError(
        f"Column {column.name!r} of X has {column.example!r}, of kind {column.kind!r}, "
        f"but was of kind {kind!r} in fit. Convert the column, or fit again."
    )


def bound_codes(
    codes: Sequence[Code], columns: Sequence[Column], bounds: Any
) -> tuple[Code, ...]:
    """Codes with the bounds that the user asked for.

    Raises
    ------
    ValueError
        For bounds of columns that have none, and for bounds that cannot be read.
    """
    if isinstance(bounds, dict):
        named = {code.name: code for code in codes}
        checked = {
            name: _check_bounds(name, pair, named.get(name))
            for name, pair in bounds.items()
        }
        return tuple(
            code.bound(*checked[code.name])
            if isinstance(code, Numbers) and code.name in checked
            else code
            for code in codes
        )
    if bounds is None:
        return tuple(codes)
    return tuple(
        code.bound(*_observed_range(code.encode(column)))
        if isinstance(code, Numbers)
        else code
        for code, column in zip(codes, columns, strict=True)
    )


def _observed_range(encoded: Array) -> tuple[float, float]:
    return float(np.nanmin(encoded)), float(np.nanmax(encoded))


def _check_bounds(name: Any, pair: Any, code: Code | None) -> tuple[float, float]:
    """Bounds in encoded units."""
    if code is None:
        raise ValueError(
            f"bounds name the column {name!r}, which X has not. Pass names of columns."
        )
    if not isinstance(code, (Numbers, Unobserved)):
        raise ValueError(
            f"bounds name the column {name!r}, which is of kind {code.kind!r} and has "
            "no bounds. Leave it out."
        )
    try:
        low, high = pair
        checked = (
            -np.inf if low is None else _to_units(code, low),
            np.inf if high is None else _to_units(code, high),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds of column {name!r} should be a pair (low, high) in its units, "
            f"each may be None, but got {pair!r}."
        ) from error
    if not checked[0] <= checked[1]:
        raise ValueError(
            f"bounds of column {name!r} should be (low, high) with low <= high, but "
            f"got {pair!r}."
        )
    if isinstance(code, Integers) and np.ceil(checked[0]) > np.floor(checked[1]):
        raise ValueError(
            f"bounds of column {name!r}, which has whole numbers, have none of these "
            f"between them: {pair!r}. Widen them."
        )
    return checked


def _to_units(code: Numbers | Unobserved, bound: Any) -> float:
    """A bound in encoded units: days, for dates and durations."""
    if not isinstance(code, Times) or isinstance(bound, Real):
        return float(bound)
    if isinstance(bound, datetime) and bound.tzinfo is not None:
        bound = bound.astimezone(UTC).replace(tzinfo=None)
    ticks = np.array(bound, dtype=f"{code.numpy_kind}[us]").astype(np.int64)
    return float(ticks / TICKS_PER_DAY["us"])
