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
from sklearn_gmmcf.data._products import (
    Matrix,
    Sparse,
    SparseMask,
    Sparsity,
    compressed,
)

# A block is 3 MB, so that threads have several at a million entries. Wide data get
# larger ones, as each block adds up (K, d) arrays.
_BLOCK_ENTRIES = 250_000
# At least this many entries for each column.
_BLOCK_COLUMN_ENTRIES = 20
_BLOCK_ROWS = 16_384


class SparseObserved(Observed):
    is_sparse = True

    def __init__(self, raw: sparse.csr_array, **options: Any) -> None:
        self.modeled = raw  # the same without unknown columns and covariates
        super().__init__(raw, **options)

    @cached_property
    def ones(self) -> Array:
        """The mask's values, of any block."""
        indptr = self.raw.indptr
        lengths = [indptr[rows.stop] - indptr[rows.start] for rows in self._slices()]
        return np.ones(max(lengths), dtype=self.dtype)

    def _drop_unknown_columns(self) -> None:
        known = self.columns.known
        if not known.all() and self._has_entries(np.flatnonzero(~known)):
            self.modeled = filter_entries(self.raw, known[self.raw.indices])

    def _has_entries(self, columns: Array) -> bool:
        """Whether some entry is in these columns."""
        wanted = np.zeros(self.shape[1], dtype=bool)
        wanted[columns] = True
        indices = self.raw.indices
        return any(
            wanted[indices[start : start + _BLOCK_ENTRIES]].any()
            for start in range(0, len(indices), _BLOCK_ENTRIES)
        )

    def _slices(self, max_rows: int | None = None) -> Iterator[slice]:
        n, d = self.raw.shape
        entries = max(_BLOCK_ENTRIES, _BLOCK_COLUMN_ENTRIES * d)
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

    def centered(self, entries: slice) -> Array:
        """Stored values less the centers of their columns."""
        indices = self.modeled.indices[entries]
        values = self.modeled.data[entries] - self.columns.center[indices]
        return values.astype(self.dtype, copy=False)

    def sparsity_at(self, rows: slice) -> Sparsity:
        """Where the entries of a block are."""

        def make() -> Sparsity:
            indptr = self.modeled.indptr[rows.start : rows.stop + 1]
            indices = self.modeled.indices[indptr[0] : indptr[-1]]
            return Sparsity(indices, indptr - indptr[0], self.shape[1])

        return self.remember(rows, "sparsity", None, make)

    def _center_all(self) -> Array:
        values = np.empty(self.modeled.nnz, dtype=self.dtype)
        for start in range(0, len(values), _BLOCK_ENTRIES):
            entries = slice(start, start + _BLOCK_ENTRIES)
            values[entries] = self.centered(entries)
        return values

    def _totals(self, rows: slice) -> ColumnTotals:
        d = self.shape[1]
        indptr = self.raw.indptr[rows.start : rows.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        indices, values = self.raw.indices[entries], self.raw.data[entries]
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
        stored = self.raw[rows][:, columns].tocoo()
        values = np.zeros(stored.shape)
        observed = np.zeros(stored.shape, dtype=bool)
        values[stored.row, stored.col] = stored.data
        observed[stored.row, stored.col] = True
        return values, observed

    def take(self, rows: Array, weights: Array) -> SparseObserved:
        return SparseObserved(
            self.raw[rows], **self._options(weights=weights, keep=True)
        )

    def observed_columns(self) -> Array:
        return np.unique(self.modeled.indices)

    def select(self, columns: Array) -> SparseObserved:
        options = self._options(columns=self.columns.take(columns))
        return SparseObserved(self.raw[:, columns], **options)

    def gather(
        self, rows: Array, columns: Array | slice = slice(None)
    ) -> tuple[Array, Array]:
        taken = self.modeled[rows]
        if not isinstance(columns, slice):
            taken = taken[:, columns]
        entries = np.repeat(np.arange(len(rows)), np.diff(taken.indptr)), taken.indices
        values, observed = np.zeros(taken.shape), np.zeros(taken.shape, dtype=bool)
        values[entries] = taken.data - self.columns.center[columns][taken.indices]
        observed[entries] = True
        return values, observed

    def column_values(self, rows: Array) -> Iterator[tuple[int, Array, Array]]:
        by_column = self.modeled[rows].tocsc()
        indptr = by_column.indptr
        for j in np.flatnonzero(np.diff(indptr)).tolist():
            entries = slice(indptr[j], indptr[j + 1])
            yield j, by_column.data[entries], by_column.indices[entries]

    def clipped(self, lower: Array, upper: Array) -> SparseObserved:
        indices = self.raw.indices
        values = np.clip(self.raw.data, lower[indices], upper[indices])
        values = values.astype(self.dtype, copy=False)
        raw = compressed(sparse.csr_array, self.shape, values, indices, self.raw.indptr)
        return SparseObserved(raw, **self._options(columns=None))

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        # Bisection in all rows at once; their indices are sorted.
        indices = self.raw.indices
        low, end = self.raw.indptr[rows], self.raw.indptr[rows + 1]
        high = end
        while (open_ := low < high).any():
            middle = (low + high) // 2
            right = open_.copy()
            right[open_] = indices[middle[open_]] < columns[open_]
            low = np.where(right, middle + 1, low)
            high = np.where(open_ & ~right, middle, high)
        found = low < end
        found[found] = indices[low[found]] == columns[found]
        values = np.zeros(len(rows), dtype=self.dtype)
        values[found] = self.raw.data[low[found]]
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
        first, last = data.modeled.indptr[[rows.start, rows.stop]]
        self._sparsity = data.sparsity_at(rows)
        if data.kept is None:
            values = data.centered(slice(first, last))
            self.counts = np.diff(self._sparsity.indptr).astype(np.float64)
            squares = np.square(values, dtype=np.float64)
            self.squared_norms = Sparse(squares, self._sparsity).row_sums()
        else:
            values = data.kept[0][first:last]
            self.counts, self.squared_norms = data.kept[1][rows], data.kept[2][rows]
        self.covariates = data.covariates_at(rows)
        self._values = values  # of the stored entries
        self.values = Sparse(values, self._sparsity)
        self.mask = SparseMask(data.ones[: len(values)], self._sparsity)

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
        raw = self._data.raw
        indptr = raw.indptr[self.rows.start : self.rows.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        return owners, raw.indices[entries], raw.data[entries]

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


def filter_entries(X: sparse.csr_array, keep: Array) -> sparse.csr_array:
    """Only those stored entries for which ``keep`` (nnz,) is true."""
    if keep.all():
        return X
    ends = np.concatenate([[0], np.cumsum(keep)])[X.indptr]
    indptr = ends.astype(X.indptr.dtype)
    return compressed(sparse.csr_array, X.shape, X.data[keep], X.indices[keep], indptr)
