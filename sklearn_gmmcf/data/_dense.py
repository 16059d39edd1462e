# SPDX-License-Identifier: BSD-3-Clause
"""Dense data in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._blocks import (
    LARGE_BLOCK_BYTES,
    Block,
    limit_to_working_memory,
)
from sklearn_gmmcf.data._columns import ColumnTotals, find_spreads
from sklearn_gmmcf.data._observed import Observed
from sklearn_gmmcf.data._patterns import Pattern
from sklearn_gmmcf.data._products import AllOnes, Dense, Matrix, one_hot
from sklearn_gmmcf.data._rule import LazyMask

# A block and its mask and squares stay in the second-level cache.
_BLOCK_BYTES = 800_000
_MIN_BLOCK_ROWS = 16


class DenseObserved(Observed):
    is_sparse = False

    def __init__(
        self, raw: Array, observed: Array | LazyMask | None, **options: Any
    ) -> None:
        self.observed = observed  # None: no missing entries
        self.modeled = observed  # the same without unknown columns and covariates
        super().__init__(raw, **options)
        self.given = observed  # what is returned as it is
        if observed is not None and len(self.columns.covariates):
            self.given = observed | ~self.columns.modeled

    def _drop_unknown_columns(self) -> None:
        known = self.columns.known
        if not known.all():
            self.modeled = (
                np.broadcast_to(known, self.shape)
                if self.observed is None
                else self.observed & known
            )

    def _slices(self, max_rows: int | None = None) -> Iterator[slice]:
        n, d = self.shape
        large = self.needs_patterns or self.max_rows is not None
        block_bytes = LARGE_BLOCK_BYTES if large else _BLOCK_BYTES
        step = limit_to_working_memory(block_bytes) // (d * self.dtype.itemsize)
        step = max(step, _MIN_BLOCK_ROWS)
        step = min(step, self.max_rows or n, max_rows or n)
        for start in range(0, n, step):
            yield slice(start, min(start + step, n))

    def _block(self, rows: slice) -> Block:
        return _DenseBlock(self, rows)

    def modeled_at(self, rows: Any) -> Array | None:
        """The mask of rows in known columns; None without missing entries."""
        observed = None if self.modeled is None else self.modeled[rows]
        return None if observed is None or observed.all() else observed

    def centered(self, rows: Any, observed: Array | None) -> Array:
        """Values of rows less the centers, 0 where they are not observed."""
        values = self.raw[rows] - self.columns.center
        if observed is not None:
            values = np.where(observed, values, 0.0)
        return values.astype(self.dtype, copy=False)

    def _center_all(self) -> Array:
        values = np.empty(self.shape, dtype=self.dtype)
        for rows in self._slices():
            values[rows] = self.centered(rows, self.modeled_at(rows))
        return values

    def _totals(self, rows: slice) -> ColumnTotals:
        weights, values = self.weights[rows], self.raw[rows].astype(np.float64)
        if self.observed is None:
            counts = np.full(self.shape[1], weights.sum())
        else:
            observed = self.observed[rows]
            values[~observed] = 0.0
            counts = weights @ observed.astype(np.float64)
        means = np.zeros(self.shape[1])
        for _ in range(2):  # equal values deviate by the rounding error of one mean
            sums = weights @ values
            step = np.divide(sums, counts, out=np.zeros_like(means), where=counts > 0)
            means += step
            values -= step
            if self.observed is not None:
                values[~observed] = 0.0
        squares = weights @ values**2
        values /= find_spreads(counts, squares)
        powers = values**3, values**4
        return ColumnTotals(counts, means, squares, *(weights @ p for p in powers))

    def read_columns(self, rows: slice, columns: Array) -> tuple[Array, Array]:
        values = self.raw[rows][:, columns]
        if self.observed is None:
            return values, np.ones(values.shape, dtype=bool)
        return values, self.observed[rows][:, columns]

    def take(self, rows: Array, weights: Array) -> DenseObserved:
        observed = None if self.observed is None else self.observed[rows]
        return DenseObserved(
            self.raw[rows], observed, **self._options(weights=weights, keep=True)
        )

    def select(self, columns: Array) -> DenseObserved:
        observed = None if self.observed is None else self.observed[:, columns]
        options = self._options(columns=self.columns.take(columns))
        return DenseObserved(self.raw[:, columns], observed, **options)

    def raw_rows(self, rows: Array) -> Array:
        return self.raw[rows]

    def gather(
        self, rows: Array, columns: Array | slice = slice(None)
    ) -> tuple[Array, Array]:
        observed = self.modeled_at(rows)
        values = self.centered(rows, observed).astype(np.float64)
        if observed is None:
            observed = np.ones(values.shape, dtype=bool)
        return values[:, columns], observed[:, columns]

    def column_values(self, rows: Array) -> Iterator[tuple[int, Array, Array]]:
        values = self.raw[rows]
        observed = None if self.modeled is None else self.modeled[rows]
        for j in np.flatnonzero(self.columns.known).tolist():
            found = np.arange(len(rows))
            if observed is not None:
                found = np.flatnonzero(observed[:, j])
            yield j, values[found, j], found

    def clipped(self, lower: Array, upper: Array) -> DenseObserved:
        raw = _Clipped(self.raw, lower, upper)
        return DenseObserved(raw, self.observed, **self._options(columns=None))  # type: ignore[arg-type]

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        values = self.raw[rows, columns]
        if self.given is None:
            return values, np.ones(len(values), dtype=bool)
        return values, self.given[rows, columns]


class SelectedRows:
    """Some rows (m,) of an array in a file, taken where they are read."""

    def __init__(self, raw: Array, rows: Array) -> None:
        self.raw, self.rows = raw, rows
        self.shape, self.dtype = (len(rows), raw.shape[1]), raw.dtype

    def __getitem__(self, index: Any) -> Array:
        rows, *columns = index if isinstance(index, tuple) else (index,)
        return self.raw[(self.rows[rows], *columns)]


class _Clipped:
    """Values moved into ranges of their columns where they are read."""

    def __init__(self, raw: Array, lower: Array, upper: Array) -> None:
        self.raw, self.shape, self.dtype = raw, raw.shape, raw.dtype
        self.lower, self.upper = (e.astype(raw.dtype) for e in (lower, upper))

    def __getitem__(self, index: Any) -> Array:
        columns = index[1] if isinstance(index, tuple) else slice(None)
        return np.clip(self.raw[index], self.lower[columns], self.upper[columns])


class _DenseBlock(Block):
    def __init__(self, data: DenseObserved, rows: slice) -> None:
        self._data = data
        self.rows = rows
        self.max_cancellation = data.max_cancellation
        self.weights = data.weights[rows]
        self.shape = (rows.stop - rows.start, data.shape[1])
        observed = self._observed = data.modeled_at(rows)  # None: no missing entries
        if data.kept is None:
            values = data.centered(rows, observed)
            self.squared_norms = np.einsum("ij,ij->i", values, values, dtype=np.float64)
            self.counts = (
                np.full(self.shape[0], float(self.shape[1]))
                if observed is None
                else observed.sum(axis=1, dtype=np.float64)
            )
        else:
            values, self.counts, self.squared_norms = (kept[rows] for kept in data.kept)
        self.covariates = data.covariates_at(rows)
        self._values = values
        self.values = Dense(values)
        self.mask = (
            AllOnes(self.shape)
            if observed is None
            else Dense(observed.astype(data.dtype))
        )

    @cached_property
    def squares(self) -> Matrix:
        return Dense(np.square(self._values, dtype=self._data.squares_dtype))

    def centered_at(self, point: Array) -> tuple[Matrix, Matrix]:
        residuals = self._residuals(point)
        return Dense(residuals), Dense(residuals**2)

    def distances_to(self, centers: Array, labels: Array) -> Array:
        residuals = self._residuals(centers[labels])
        return np.einsum("ij,ij->i", residuals, residuals)

    def _residuals(self, point: Array) -> Array:
        residuals = self._values - point
        if self._observed is not None:
            residuals[~self._observed] = 0.0
        return residuals

    def sum_by(self, labels: Array, n_labels: int) -> tuple[Array, Array]:
        weighted = one_hot(labels, n_labels) * self.weights
        return self.mask.collect(weighted), self.values.collect(weighted)

    def dense(self) -> tuple[Array, Array]:
        observed = self._observed
        if observed is None:
            observed = np.ones(self.shape, dtype=bool)
        return self._values, observed

    def remember(self, name: str, owner: Any, make: Callable[[], Any]) -> Any:
        return self._data.remember(self.rows, name, owner, make)

    def patterns(self) -> list[Pattern]:
        return self._data.patterns_at(self.rows, self.dense()[1])

    def row_keys(self, by_value: Array, by_mask: Array) -> Array:
        # Not a BLAS product: its rounding depends on where a row stands.
        data = self._data
        values = (data.raw[self.rows] - data.columns.center) * by_value
        if data.observed is None:
            return values.sum(axis=1)
        observed = data.observed[self.rows]
        values[~observed] = 0.0
        return values.sum(axis=1) + (observed * by_mask).sum(axis=1)

    def missing(self) -> tuple[Array, Array]:
        if self._data.given is None:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        rows, columns = np.nonzero(~self._data.given[self.rows])
        return rows, columns

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        return self._data.lookup(rows + self.rows.start, columns)

    def restore(self, completed: Array, value: float | None = None) -> None:
        data = self._data
        source = data.raw[self.rows] if value is None else value
        where = True if data.given is None else data.given[self.rows]
        np.copyto(completed, source, where=where)
