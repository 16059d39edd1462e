# SPDX-License-Identifier: BSD-3-Clause
"""CSR data in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._blocks import (
    LARGE_BLOCK_BYTES,
    Block,
    limit_to_working_memory,
)
from sklearn_gmmcf.data._columns import ColumnTotals, find_spreads
from sklearn_gmmcf.data._observed import MIN_SHARE, N_SHARES, Observed
from sklearn_gmmcf.data._patterns import Pattern
from sklearn_gmmcf.data._products import Matrix, Sparse, SparseMask, Sparsity
from sklearn_gmmcf.data._stored import StoredEntries

# A block is 12 MB. Smaller data get several blocks for threads, and wide data larger
# ones, as each block adds up (K, d) arrays.
_BLOCK_ENTRIES = 1_000_000
_N_BLOCKS, _MIN_BLOCK_ENTRIES = 4, 250_000
# At least this many entries for each column.
_BLOCK_COLUMN_ENTRIES = 20
_BLOCK_ROWS = 16_384


class SparseObserved(Observed):
    is_sparse = True

    def __init__(self, raw: StoredEntries, **options: Any) -> None:
        self.modeled = raw  # the same without unknown columns and covariates
        self._ones = np.empty(0, dtype=raw.dtype)
        super().__init__(raw, **options)

    def ones(self, n_entries: int) -> Array:
        """The values of a block's mask, which blocks share."""
        ones = self._ones
        if len(ones) < n_entries:
            ones = self._ones = np.ones(n_entries, dtype=self.dtype)
        return ones[:n_entries]

    def _drop_unknown_columns(self) -> None:
        if not self.columns.known.all():
            self.modeled = self.raw.in_columns(self.columns.known)

    def _slices(self, max_rows: int | None = None) -> Iterator[slice]:
        n, d = self.shape
        entries = max(self.raw.nnz // _N_BLOCKS, _MIN_BLOCK_ENTRIES)
        entries = max(min(entries, _BLOCK_ENTRIES), _BLOCK_COLUMN_ENTRIES * d)
        max_entries = max(limit_to_working_memory(12 * entries) // 12, 2 * d)
        step = min(max(_BLOCK_ROWS, d), self.max_rows or n, max_rows or n)
        if self.max_rows is not None:
            # The family works long on an entry, so that small blocks suit threads.
            share = max(self.raw.nnz // N_SHARES, MIN_SHARE, 2 * d)
            max_entries = min(max_entries, share)
        if self.needs_patterns:
            large = limit_to_working_memory(LARGE_BLOCK_BYTES)
            step = min(step, max(large // (8 * d), 1))
        indptr = self.raw.indptr
        start = 0
        while start < n:
            full = np.searchsorted(indptr, indptr[start] + max_entries, side="right")
            stop = min(max(int(full) - 1, start + 1), start + step, n)
            yield slice(start, stop)
            start = stop

    def _block(self, rows: slice) -> Block:
        return _SparseBlock(self, rows)

    def centered(self, indices: Array, values: Array) -> Array:
        """Values less the centers of their columns."""
        values = values - self.columns.center[indices]
        return values.astype(self.dtype, copy=False)

    def sparsity_at(self, rows: slice) -> Sparsity:
        """Where the entries of a block are."""

        def make() -> Sparsity:
            indptr, indices, _ = self.modeled.read(rows)
            return Sparsity(indices, indptr, self.shape[1])

        return self.remember(rows, "sparsity", None, make)

    def _center_all(self) -> Array:
        centered = np.empty(self.modeled.nnz, dtype=self.dtype)
        indptr = self.modeled.indptr
        for rows in self._slices():
            _, indices, values = self.modeled.read(rows)
            entries = slice(indptr[rows.start], indptr[rows.stop])
            centered[entries] = self.centered(indices, values)
        return centered

    def _totals(self, rows: slice) -> ColumnTotals:
        d = self.shape[1]
        indptr, indices, values = self.raw.read(rows)
        weights = np.repeat(self.weights[rows], np.diff(indptr))
        counts = _sum_by(indices, weights, d)
        means = np.zeros(d)
        for _ in range(2):  # equal values deviate by the rounding error of one mean
            sums = _sum_by(indices, weights * values, d)
            step = np.divide(sums, counts, out=np.zeros(d), where=counts > 0)
            means += step
            values = values - step[indices]
        squares = _sum_by(indices, weights * values**2, d)
        values /= find_spreads(counts, squares)[indices]
        cubes = _sum_by(indices, weights * values**3, d)
        fourths = _sum_by(indices, weights * values**4, d)
        return ColumnTotals(counts, means, squares, cubes, fourths)

    def read_columns(self, rows: slice, columns: Array) -> tuple[Array, Array]:
        stored = self.raw.take(rows)[:, columns].tocoo()
        values = np.zeros(stored.shape)
        observed = np.zeros(stored.shape, dtype=bool)
        values[stored.row, stored.col] = stored.data
        observed[stored.row, stored.col] = True
        return values, observed

    def take(self, rows: Array, weights: Array) -> SparseObserved:
        raw = StoredEntries.everything(self.raw.take(rows))
        return SparseObserved(raw, **self._options(weights=weights, keep=True))

    def raw_rows(self, rows: Array) -> sparse.csr_array:
        return self.raw.take(rows)

    def observed_columns(self) -> Array:
        parts = [np.unique(self.modeled.read(rows)[1]) for rows in self._slices()]
        return np.unique(np.concatenate(parts))

    def select(self, columns: Array) -> SparseObserved:
        options = self._options(columns=self.columns.take(columns))
        raw = self.raw.take(slice(0, self.shape[0]))[:, columns]
        return SparseObserved(StoredEntries.everything(raw), **options)

    def gather(
        self, rows: Array, columns: Array | slice = slice(None)
    ) -> tuple[Array, Array]:
        taken = self.modeled.take(rows)
        if not isinstance(columns, slice):
            taken = taken[:, columns]
        entries = np.repeat(np.arange(len(rows)), np.diff(taken.indptr)), taken.indices
        values, observed = np.zeros(taken.shape), np.zeros(taken.shape, dtype=bool)
        values[entries] = taken.data - self.columns.center[columns][taken.indices]
        observed[entries] = True
        return values, observed

    def column_values(self, rows: Array) -> Iterator[tuple[int, Array, Array]]:
        by_column = self.modeled.take(rows).tocsc()
        indptr = by_column.indptr
        for j in np.flatnonzero(np.diff(indptr)).tolist():
            entries = slice(indptr[j], indptr[j + 1])
            yield j, by_column.data[entries], by_column.indices[entries]

    def clipped(self, lower: Array, upper: Array) -> SparseObserved:
        raw = self.raw.limited(lower, upper)
        return SparseObserved(raw, **self._options(columns=None))

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        values, found = self.raw.lookup(rows, columns)
        covariates = ~self.columns.modeled[columns]
        values[covariates & ~found] = np.nan
        return values, found | covariates


class _SparseBlock(Block):
    def __init__(self, data: SparseObserved, rows: slice) -> None:
        self._data = data
        self.rows = rows
        self.max_cancellation = data.max_cancellation
        self.weights = data.weights[rows]
        d = data.shape[1]
        self.shape = (rows.stop - rows.start, d)
        if data.kept is None:
            indptr, indices, values = data.modeled.read(rows)
            self._sparsity = Sparsity(indices, indptr, d)
            values = data.centered(indices, values)
            self.counts = np.diff(indptr).astype(np.float64)
            squares = np.square(values, dtype=np.float64)
            self.squared_norms = Sparse(squares, self._sparsity).row_sums()
        else:
            self._sparsity = data.sparsity_at(rows)
            first, last = data.modeled.indptr[[rows.start, rows.stop]]
            values = data.kept[0][first:last]
            self.counts, self.squared_norms = data.kept[1][rows], data.kept[2][rows]
        self.covariates = data.covariates_at(rows)
        self._values = values  # of the stored entries
        self.values = Sparse(values, self._sparsity)
        self.mask = SparseMask(data.ones(len(values)), self._sparsity)

    @cached_property
    def squares(self) -> Matrix:
        squares = np.square(self._values, dtype=self._data.squares_dtype)
        return Sparse(squares, self._sparsity)

    def _repeat(self, row_array: Array) -> Array:
        """The rows' numbers at each of their entries."""
        return np.repeat(row_array, np.diff(self._sparsity.indptr))

    def centered_at(self, point: Array) -> tuple[Matrix, Matrix]:
        residuals = self._values - point[self._sparsity.indices]
        return Sparse(residuals, self._sparsity), Sparse(residuals**2, self._sparsity)

    def distances_to(self, centers: Array, labels: Array) -> Array:
        residuals = self._values - centers[self._repeat(labels), self._sparsity.indices]
        return Sparse(residuals**2, self._sparsity).row_sums()

    def sum_by(self, labels: Array, n_labels: int) -> tuple[Array, Array]:
        indices, d = self._sparsity.indices, self.shape[1]
        flat_indices = self._repeat(labels.astype(np.intp) * d) + indices
        weights = self._repeat(self.weights)
        counts = _sum_by(flat_indices, weights, n_labels * d)
        sums = _sum_by(flat_indices, weights * self._values, n_labels * d)
        return counts.reshape(n_labels, d), sums.reshape(n_labels, d)

    def dense(self) -> tuple[Array, Array]:
        index = self._repeat(np.arange(self.shape[0])), self._sparsity.indices
        values, observed = np.zeros(self.shape), np.zeros(self.shape, dtype=bool)
        values[index] = self._values
        observed[index] = True
        return values, observed

    def remember(self, name: str, owner: Any, make: Callable[[], Any]) -> Any:
        return self._data.remember(self.rows, name, owner, make)

    def patterns(self) -> list[Pattern]:
        return self._data.patterns_at(self.rows, self.dense()[1])

    def _raw_entries(self) -> tuple[Array, Array, Array]:
        """Rows, columns and raw values of the stored entries."""
        indptr, indices, values = self._data.raw.read(self.rows)
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        return owners, indices, values

    def row_keys(self, by_value: Array, by_mask: Array) -> Array:
        owners, indices, values = self._raw_entries()
        values = values - self._data.columns.center[indices]
        terms = values * by_value[indices] + by_mask[indices]
        return _sum_by(owners, terms, self.shape[0])

    def missing(self) -> tuple[Array, Array]:
        missing = np.ones(self.shape)
        self.restore(missing, value=0.0)
        rows, columns = np.nonzero(missing)
        return rows, columns

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        return self._data.lookup(rows + self.rows.start, columns)

    def restore(self, completed: Array, value: float | None = None) -> None:
        owners, indices, values = self._raw_entries()
        covariates = self._data.columns.covariates
        completed[:, covariates] = np.nan if value is None else value
        completed[owners, indices] = values if value is None else value


def _sum_by(labels: Array, terms: Array, n_labels: int) -> Array:
    """Sums of the terms with each label, (n_labels,)."""
    sums = np.bincount(labels, terms, minlength=n_labels)
    return sums.astype(np.float64, copy=False)  # no terms are counted in integers
