# SPDX-License-Identifier: BSD-3-Clause
"""Which entries are missing from any table: arrays, frames with text, sparse matrices.

Nothing is computed from the values, so that they may be text, categories and dates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from sklearn_gmmcf._ids import is_missing
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._blocks import limit_to_working_memory
from sklearn_gmmcf.data._dask import is_dask
from sklearn_gmmcf.data._entries import list_entries
from sklearn_gmmcf.data._reading import check_unmasked

# Bytes of values, in double precision, that are looked at together.
_BATCH_BYTES = 2**24


class Table(ABC):
    """A table as the user gave it, and which of its entries are missing."""

    shape: tuple[int, int]
    names: list[str] | None = None  # of the columns, where they have any

    @abstractmethod
    def masks(self) -> Iterator[tuple[slice, slice, Array]]:
        """Which entries are missing: rows, columns, and a mask of this part."""

    @abstractmethod
    def mask(self, columns: Array) -> Array:
        """Which entries of some columns (p,) are missing, (n, p)."""

    @abstractmethod
    def column(self, j: int) -> Array:
        """Values of a column, (n,): numbers, dates or objects."""


class _Dense(Table):
    def __init__(self, X: Array, missing_values: float) -> None:
        self.X, self.missing_values = X, missing_values
        self.shape = X.shape

    def masks(self) -> Iterator[tuple[slice, slice, Array]]:
        n, d = self.shape
        size = max(limit_to_working_memory(_BATCH_BYTES) // (8 * max(d, 1)), 1)
        for at in gen_batches(n, size):
            yield at, slice(None), find_missing(self.X[at], self.missing_values)

    def mask(self, columns: Array) -> Array:
        return find_missing(self.X[:, columns], self.missing_values)

    def column(self, j: int) -> Array:
        return self.X[:, j]


class _Frame(Table):
    def __init__(self, X: Any, missing_values: float) -> None:
        self.frame = nw.from_native(X, eager_only=True)
        self.missing_values = missing_values
        self.shape = self.frame.shape
        self.names = [str(name) for name in self.frame.columns]

    def masks(self) -> Iterator[tuple[slice, slice, Array]]:
        for j in range(self.shape[1]):
            yield slice(None), slice(j, j + 1), self.mask(np.array([j]))

    def mask(self, columns: Array) -> Array:
        mask = np.empty((self.shape[0], len(columns)), dtype=bool)
        for k, j in enumerate(columns):
            mask[:, k] = self._find_missing(self.frame[:, int(j)])
        return mask

    def _find_missing(self, series: Any) -> Array:
        missing = series.is_null().to_numpy().astype(bool)
        if series.dtype.is_float():
            missing = missing | _to_mask(series.is_nan())
        if series.dtype.is_numeric() and not np.isnan(self.missing_values):
            missing = missing | _to_mask(series == self.missing_values)
        return missing

    def column(self, j: int) -> Array:
        series = self.frame[:, j]
        if series.dtype.is_numeric():
            series = series.cast(nw.Float64)
        elif not series.dtype.is_temporal():
            # The levels of categories, in place of their codes.
            return np.array(series.to_list(), dtype=object)
        return series.to_numpy()


class _Sparse(Table):
    def __init__(self, X: Any, missing_values: float) -> None:
        self.entries = list_entries(X, missing_values)
        self.shape = X.shape

    def masks(self) -> Iterator[tuple[slice, slice, Array]]:
        n, d = self.shape
        size = max(limit_to_working_memory(_BATCH_BYTES) // max(n, 1), 1)
        for columns in gen_batches(d, size):
            yield slice(None), columns, self.mask(np.arange(d)[columns])

    def mask(self, columns: Array) -> Array:
        mask = np.ones((self.shape[0], len(columns)), dtype=bool)
        positions = np.full(self.shape[1], -1)
        positions[columns] = np.arange(len(columns))
        found = positions[self.entries.columns]
        mask[self.entries.rows[found >= 0], found[found >= 0]] = False
        return mask

    def column(self, j: int) -> Array:
        values = np.full(self.shape[0], np.nan)
        inside = self.entries.columns == j
        values[self.entries.rows[inside]] = self.entries.values[inside]
        return values


def open_table(X: Any, missing_values: float = np.nan, name: str = "X") -> Table:
    """Open a table in memory of any kind.

    Missing are null, NaN and NaT, numbers that equal `missing_values`, and the entries
    that a sparse matrix does not store.
    """
    if is_dask(X):
        raise TypeError(
            f"{name} should be in memory, but is a Dask array. Pass some of its rows, "
            "such as X.blocks[0].compute()."
        )
    check_unmasked(X, name)
    if sparse.issparse(X):
        return _Sparse(X, missing_values)
    if nw.dependencies.is_into_dataframe(X):
        return _Frame(X, missing_values)
    array = np.asarray(X)
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # text took None and NaN for words
    if array.ndim != 2:
        raise ValueError(f"{name} should be a matrix, but got {type(X).__name__}.")
    return _Dense(array, missing_values)


def find_missing(values: Array, missing_values: float) -> Array:
    """Which values of an array of any dtype are missing."""
    kind = values.dtype.kind
    if kind == "O":
        return np.frompyfunc(lambda value: _is_missing(value, missing_values), 1, 1)(
            values
        ).astype(bool)
    if kind in "mM":
        return np.isnat(values)
    missing = np.isnan(values) if kind == "f" else np.zeros(values.shape, dtype=bool)
    if kind in "fiu" and not np.isnan(missing_values):
        missing |= values == missing_values
    return missing


def _is_missing(value: Any, missing_values: float) -> bool:
    return is_missing(value) or bool(value == missing_values)


def _to_mask(series: Any) -> Array:
    """A series of booleans as an array; null is false."""
    return series.fill_null(False).to_numpy().astype(bool)
