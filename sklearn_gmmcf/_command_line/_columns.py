# SPDX-License-Identifier: BSD-3-Clause
"""Columns of text as numbers, dates or levels, and values as the column has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array

# Those of pandas.read_csv.
MISSING = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
    + ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)
MAX_MARKER = 40  # characters of a text that may mark missing values
_MAX_DECIMALS = 6
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:([T ])[0-9]{2}:[0-9]{2}(:[0-9]{2}(?:\.([0-9]{1,6}))?)?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(frozen=True)
class Column:
    """A column as its file has it, and as values."""

    name: str
    kind: str  # 'number', 'date' or 'text'
    values: list[Any]  # floats, datetimes or str; None where missing
    write: Callable[[Any], str]  # a value as the column writes others

    @property
    def missing(self) -> Array:
        """Indices of the rows that miss the value."""
        return np.flatnonzero([value is None for value in self.values])

    @property
    def has_order(self) -> bool:
        """Whether values have an interval."""
        return self.kind != "text"

    def find_obstacle(self, max_categories: int) -> str | None:
        """Why the column cannot be modeled, or None."""
        observed = [value for value in self.values if value is not None]
        if not observed:
            return "no cell has a value"
        levels = len(set(observed))
        if self.has_order or levels < min(max_categories + 1, max(len(observed), 2)):
            return None
        if levels == len(observed):
            return "text of which none repeats"
        return f"text of {levels} levels; --max-categories {levels} would model it"


def read_column(
    name: str, texts: Sequence[str], missing: frozenset[str], decimal: str = "."
) -> Column:
    """A column of numbers or dates, if all texts that are not missing are."""
    observed = [text for text in texts if text not in missing]
    number = _number_pattern(decimal)
    read: Callable[[str], Any]
    if all(map(number.fullmatch, observed)):
        kind, write = "number", _number_writer(observed, decimal)

        def read(text: str) -> float:
            return float(text.replace(decimal, "."))

    elif (zone := _find_zone(observed)) is not None:
        kind, write = "date", _date_writer(observed, zone)

        def read(text: str) -> datetime:
            return datetime.fromisoformat(text.removesuffix(zone))

    else:
        kind, write, read = "text", str, str
    values = [None if text in missing else read(text) for text in texts]
    return Column(name, kind, values, write)


def find_stray(column: Column, decimal: str) -> tuple[int, str] | None:
    """The row of a text that is no number in a column of numbers else, and a way out.

    None for other columns. Digits after a zero, as in 007, are ids.
    """
    if column.kind != "text":
        return None
    observed = [(i, text) for i, text in enumerate(column.values) if text is not None]
    other = "," if decimal == "." else "."
    if all(_number_pattern(other).fullmatch(text) for _, text in observed):
        pattern = _number_pattern(decimal)
        row = next(i for i, text in observed if not pattern.fullmatch(text))
        return row, f"If these are decimal numbers, pass --decimal {other}"
    strays = [
        (i, text)
        for i, text in observed
        if not _number_pattern(decimal).fullmatch(text)
    ]
    is_id = any(re.fullmatch("0[0-9]+", text) for _, text in strays)
    if is_id or 2 * len(strays) > len(observed):
        return None
    row, text = strays[0]
    if len(text) > MAX_MARKER:
        return row, "Correct it, if the others are numbers"
    return row, f"If it marks a missing value, pass --missing {text!r}"


def _number_pattern(decimal: str) -> re.Pattern[str]:
    # As the first digits of ids, such as 007, zeros are no part of a number.
    point = re.escape(decimal)
    return re.compile(
        rf"[+-]?(?!0[0-9])([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?"
    )


def _number_writer(texts: Sequence[str], decimal: str) -> Callable[[Any], str]:
    """Writes with as many decimals as the texts have."""
    decimals = max((len(text.partition(decimal)[2]) for text in texts), default=0)
    form = f".{min(decimals, _MAX_DECIMALS)}f"
    if any("e" in text.lower() for text in texts):
        form = f".{_MAX_DECIMALS}g"

    def write(number: float) -> str:
        text = format(float(number), form).replace(".", decimal)
        return text.removeprefix("-") if not text.strip("-0.,") else text

    return write


def _find_zone(texts: Sequence[str]) -> str | None:
    """The zone of ISO dates, '' for none; None if texts are not all such dates."""
    matches = [_DATE.fullmatch(text) for text in texts]
    zones = {str(match[4] or "") for match in matches if match is not None}
    if len(zones) != 1 or None in matches:
        return None
    zone = zones.pop()
    try:
        for text in texts:
            datetime.fromisoformat(text.removesuffix(zone))
    except ValueError:
        return None
    return zone


def _date_writer(texts: Sequence[str], zone: str) -> Callable[[Any], str]:
    """Writes dates as the longest text is written."""
    match = _DATE.fullmatch(max(texts, key=len))
    separator, seconds, fraction, _ = match.groups() if match else [None] * 4
    if separator is None:
        return lambda date: date.date().isoformat() + zone
    if fraction:
        cut = len(fraction) - 6 or None
        return lambda date: date.isoformat(separator, "microseconds")[:cut] + zone
    unit = "seconds" if seconds else "minutes"
    return lambda date: date.isoformat(separator, unit) + zone
