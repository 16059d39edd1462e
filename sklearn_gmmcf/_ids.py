"""Ids of users and items: one kind, none missing, sorted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array

_KINDS = {"i": "integers", "u": "integers", "U": "strings", "f": "floats"}


@dataclass(frozen=True, eq=False)
class Coded:
    """Ids of lines as codes, so that an id that repeats, or is long, is stored once.

    An id may be without lines. No id occurs twice, but their order is free.
    """

    codes: Array  # (m,), integers: the index of each line's id
    ids: Array  # (n,)

    def __len__(self) -> int:
        return len(self.codes)


class Ids:
    """Sorted ids, of users or of items, all of one kind."""

    def __init__(self, name: str, ids: Array | None = None) -> None:
        self.name = name
        self.sorted = np.empty(0, dtype=np.int64) if ids is None else ids

    def add(self, ids: Array) -> None:
        """Add ids, which must be sorted."""
        if not ids.size:  # an empty array has no kind of ids
            return
        if self.sorted.size:
            self._check_kind(ids)
            ids = np.union1d(self.sorted, ids)
        self.sorted = ids

    def find(self, ids: Array) -> tuple[Array, Array]:
        """Indices (n,) of ids, and whether each of them is there."""
        if not self.sorted.size or not ids.size:
            return np.zeros(len(ids), dtype=np.intp), np.zeros(len(ids), dtype=bool)
        self._check_kind(ids)
        indices = np.searchsorted(self.sorted, ids)
        indices[indices == len(self.sorted)] = 0
        return indices, self.sorted[indices] == ids

    def _check_kind(self, ids: Array) -> None:
        if ids.size and ids.dtype.kind != self.sorted.dtype.kind:
            raise ValueError(
                f"Ids of {self.name} are {describe_kind(ids)} here, but were "
                f"{describe_kind(self.sorted)} before. Convert them to one kind."
            )


def describe_kind(ids: Array) -> str:
    return _KINDS.get(ids.dtype.kind, str(ids.dtype))


def check_ids(name: str, ids: Any) -> Array:
    """Ids that sort, none of them missing: integers as int64, strings as strings."""
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
        check_not_missing(name, [is_missing(value) for value in ids])
        kinds = sorted({type(value).__name__ for value in ids})
        if len(kinds) > 1:
            raise ValueError(
                f"Ids of {name} are of several kinds: {', '.join(kinds)}. Convert them "
                "to one."
            )
        return ids.astype(str) if kinds == ["str"] else ids
    check_not_missing(name, ids != ids)
    return ids


def is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor unequal
        return True


def check_not_missing(name: str, missing: Any) -> None:
    lines = np.flatnonzero(missing)
    if lines.size:
        others = and_others(len(lines) - 1)
        raise ValueError(
            f"An id of {name} is missing in line {lines[0]} (from 0){others} of the "
            "table. Drop such lines."
        )


def and_others(n: int) -> str:
    if n == 0:
        return ""
    return " and 1 other" if n == 1 else f" and {n} others"
