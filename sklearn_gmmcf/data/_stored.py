# SPDX-License-Identifier: BSD-3-Clause
"""Stored entries of CSR data, read by rows.

Of data in memory, entries that do not count have been dropped. Of data in files, they
are left out where they are read, so that the file is never copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._blocks import limit_to_working_memory
from sklearn_gmmcf.data._products import compressed
from sklearn_gmmcf.data._rule import Rule, differ, is_mapped

# Entries (12 MB) and rows that are read together before some of them are left out.
_PIECE_ENTRIES = 1_000_000
_PIECE_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class StoredEntries:
    """The stored entries of a CSR matrix (n, d) that count.

    Parameters
    ----------
    source : csr_array of shape (m, d)
        In memory or in a file, with sorted indices; never written to.
    indptr : ndarray of shape (n + 1,)
        Bounds of the rows among the entries that count.
    rows : ndarray of shape (n,) or None
        Ascending rows of the source that count; None is all.
    missing_values : float or None
        The stored value that does not count; None if every value does.
    columns : ndarray of bool of shape (d,) or None
        The columns whose entries count; None is all.
    limits : tuple of two ndarray of shape (d,), or None
        The range of each column into which values are moved.
    """

    source: sparse.csr_array
    indptr: Array
    rows: Array | None = None
    missing_values: float | None = None
    columns: Array | None = None
    limits: tuple[Array, Array] | None = None

    @classmethod
    def everything(cls, source: sparse.csr_array) -> Self:
        """Everything that is stored."""
        return cls(source, source.indptr)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.indptr) - 1, self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def nnz(self) -> int:
        """Number of entries that count."""
        return int(self.indptr[-1])

    def in_rows(self, rows: Array) -> Self:
        """Only some ascending rows (n,), of a source whose rows all count."""
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        return replace(self, rows=rows, indptr=self._to_bounds(lengths))

    def observed(self, missing_values: float, rule: Rule) -> Self:
        """Only entries that are observed, as a rule finds and checks them once."""
        counts = self._count(lambda _, values: rule(values, missing_values))
        filtered = replace(
            self, missing_values=missing_values, indptr=self._to_bounds(counts)
        )
        return filtered if filtered.nnz < self.nnz else self

    def in_columns(self, columns: Array) -> Self:
        """Only entries in some columns, given by a mask (d,)."""
        if not is_mapped(self.source.data):
            source = filter_entries(self.source, columns[self.source.indices])
            return replace(self, source=source, indptr=source.indptr)
        filtered = replace(self, columns=columns)
        indptr = self._to_bounds(filtered._count(filtered._which_count))
        return replace(filtered, indptr=indptr) if indptr[-1] < self.nnz else self

    def limited(self, lower: Array, upper: Array) -> Self:
        """The same entries, their values moved into ranges of their columns (d,)."""
        return replace(self, limits=(lower, upper))

    def read(self, rows: slice | Array) -> tuple[Array, Array, Array]:
        """Bounds (m + 1,) of some rows, columns and values of their entries."""
        if isinstance(rows, slice):
            if self.rows is None and not self._is_filtered:
                indptr = self.indptr[rows.start : rows.stop + 1]
                entries = slice(indptr[0], indptr[-1])
                indices, values = (
                    self.source.indices[entries],
                    self.source.data[entries],
                )
                return indptr - indptr[0], indices, self._limit(indices, values)
            rows = np.arange(rows.start, rows.stop)
        indptr = self._to_bounds(self.indptr[rows + 1] - self.indptr[rows])
        indices = np.empty(indptr[-1], dtype=self.source.indices.dtype)
        values = np.empty(indptr[-1], dtype=self.dtype)
        first = 0
        for _, columns, in_columns in self._pieces(rows):
            if self._is_filtered:
                count = self._which_count(columns, in_columns)
                columns, in_columns = columns[count], in_columns[count]
            last = first + len(columns)
            indices[first:last], values[first:last] = columns, in_columns
            first = last
        return indptr, indices, self._limit(indices, values)

    def take(self, rows: slice | Array) -> sparse.csr_array:
        """Some rows as they are read."""
        indptr, indices, values = self.read(rows)
        shape = len(indptr) - 1, self.shape[1]
        return compressed(sparse.csr_array, shape, values, indices, indptr)

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Values at some entries, 0 where none counts, and where one does, (m,)."""
        # Bisection in all rows at once; their indices are sorted.
        source = self.source
        rows = rows if self.rows is None else self.rows[rows]
        low, end = source.indptr[rows], source.indptr[rows + 1]
        high = end
        while (open_ := low < high).any():
            middle = (low + high) // 2
            right = open_.copy()
            right[open_] = source.indices[middle[open_]] < columns[open_]
            low = np.where(right, middle + 1, low)
            high = np.where(open_ & ~right, middle, high)
        found = low < end
        found[found] = source.indices[low[found]] == columns[found]
        if self._is_filtered:
            stored = source.data[low[found]]
            found[found] = self._which_count(columns[found], stored)
        values = np.zeros(len(rows), dtype=self.dtype)
        values[found] = self._limit(columns[found], source.data[low[found]])
        return values, found

    @property
    def _is_filtered(self) -> bool:
        return self.missing_values is not None or self.columns is not None

    def _which_count(self, indices: Array, values: Array) -> Array:
        """Which of some entries count, by columns and values."""
        count = np.ones(len(values), dtype=bool)
        if self.missing_values is not None:
            count &= differ(values, self.missing_values)
        if self.columns is not None:
            count &= self.columns[indices]
        return count

    def _limit(self, indices: Array, values: Array) -> Array:
        if self.limits is None:
            return values
        lower, upper = self.limits
        limited = np.clip(values, lower[indices], upper[indices])
        return limited.astype(self.dtype, copy=False)

    def _count(self, rule: Callable[[Array, Array], Array]) -> Array:
        """How many entries of each row (n,) fulfill a rule of columns and values."""
        counts = [np.empty(0, dtype=np.intp)]
        n = self.shape[0]
        for start in range(0, n, _PIECE_ROWS):
            rows = np.arange(start, min(start + _PIECE_ROWS, n))
            for lengths, indices, values in self._pieces(rows):
                ends = np.concatenate([[0], np.cumsum(rule(indices, values))])
                counts.append(np.diff(ends[np.concatenate([[0], np.cumsum(lengths)])]))
        return np.concatenate(counts)

    def _pieces(self, rows: Array) -> Iterator[tuple[Array, Array, Array]]:
        """All stored entries of some rows, at most so many at once that memory holds.

        Yields numbers of entries of consecutive rows, columns and values.
        """
        max_entries = limit_to_working_memory(12 * _PIECE_ENTRIES) // 12
        rows = rows if self.rows is None else self.rows[rows]
        starts, stops = self.source.indptr[rows], self.source.indptr[rows + 1]
        ends = np.cumsum(stops - starts, dtype=np.int64)
        first = 0
        while first < len(rows):
            limit = (ends[first - 1] if first else 0) + max_entries
            last = max(int(np.searchsorted(ends, limit, side="right")), first + 1)
            lengths = (stops - starts)[first:last]
            entries: Any = slice(starts[first], stops[last - 1])
            if (starts[first + 1 : last] != stops[first : last - 1]).any():
                shifts = starts[first:last] - np.cumsum(lengths) + lengths
                entries = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
            yield lengths, self.source.indices[entries], self.source.data[entries]
            first = last

    def _to_bounds(self, lengths: Array) -> Array:
        """Bounds of rows of these lengths (n,)."""
        bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return bounds.astype(self.source.indptr.dtype)


def filter_entries(X: sparse.csr_array, keep: Array) -> sparse.csr_array:
    """Only those stored entries for which ``keep`` (nnz,) is true."""
    if keep.all():
        return X
    ends = np.concatenate([[0], np.cumsum(keep)])[X.indptr]
    indptr = ends.astype(X.indptr.dtype)
    return compressed(sparse.csr_array, X.shape, X.data[keep], X.indices[keep], indptr)
