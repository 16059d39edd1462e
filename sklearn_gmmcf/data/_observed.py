# SPDX-License-Identifier: BSD-3-Clause
"""Data in memory or in a file, read in blocks of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property, partial, reduce
from itertools import pairwise
from operator import iadd
from typing import Any, Self

import numpy as np

from sklearn_gmmcf._typing import Array, Executor
from sklearn_gmmcf.data._blocks import Block, Blocks, RowArray
from sklearn_gmmcf.data._columns import Columns, ColumnTotals, learn_columns
from sklearn_gmmcf.data._patterns import Pattern, group_rows

# Blocks are grouped into this many slabs and summed slab by slab, so that the order of
# summation, and thus rounding, does not depend on n_jobs.
_SLABS = 16
# Families that work long on each entry get this many blocks, for threads, unless blocks
# had fewer entries than this.
N_SHARES, MIN_SHARE = 8, 30_000
# Variance of a column below which squares of its values lose digits in float32.
_MIN_VARIANCE = 1e-30
# A block is cut further where more entries of it are asked for.
_MAX_ENTRIES = 2**18


class Observed(Blocks):
    """A matrix with missing entries in memory or in a file, read in blocks of rows.

    Parameters
    ----------
    raw : ndarray or StoredEntries of shape (n, d)
        The user's data; never written to.
    columns : Columns or None
        None learns them from the data.
    earlier, anchored, covariates, features
        See `learn_columns`.
    weights : ndarray of shape (n,) or None
        Weights of the rows; None is 1 each.
    keep : bool
        Keep one centered copy of the values, for data that are read many times; data
        in a file are centered block by block instead.
    needs_patterns : bool
        Whether blocks will be asked for their patterns of missing entries.
    max_rows : int or None
        Most rows of a block, for families that work on many rows at once; None leaves
        dense blocks at the size that suits the cache.
    executor : callable
        Works through parts of the data: here, or on threads.
    """

    is_lazy = False

    def __init__(
        self,
        raw: Any,
        columns: Columns | None,
        earlier: Columns | None,
        anchored: str | None,
        covariates: Array,
        features: Array | None,
        weights: Array | None,
        keep: bool,
        needs_patterns: bool,
        max_rows: int | None,
        executor: Executor,
    ) -> None:
        self.raw = raw
        self.executor = executor
        self.needs_patterns = needs_patterns
        self.max_rows = max_rows
        self.shape: tuple[int, int] = raw.shape
        self.dtype: np.dtype[Any] = raw.dtype
        self.weights = np.ones(self.shape[0]) if weights is None else weights
        self.columns = (
            learn_columns(self.column_totals(), earlier, anchored, covariates, features)
            if columns is None
            else columns
        )
        self._drop_unknown_columns()
        # Of kept data, by the bounds of a block and a name: whose, and what.
        self._remembered: dict[tuple[int, int, str], tuple[Any, Any]] = {}
        # Centered values, counts and squared norms.
        self.kept: tuple[Array, Array, Array] | None = None
        self._covariates: Array | None = None
        if keep:
            self.kept = self._center_all(), *self._row_totals()
            self._covariates = self.covariates_at(slice(0, self.shape[0]))

    @property
    def max_cancellation(self) -> float:
        """See `Block`."""
        return float(np.finfo(self.dtype).eps ** -0.5)

    @cached_property
    def squares_dtype(self) -> np.dtype[Any]:
        """Double precision where squares would underflow in the dtype of the data."""
        variances = self.columns.variances
        lost = (variances > 0) & (variances < _MIN_VARIANCE)
        return np.dtype(np.float64) if lost.any() else self.dtype

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def blocks(
        self, max_rows: int | None = None, touching: Array | None = None
    ) -> Iterator[Block]:
        """The data in blocks of at most ``max_rows`` rows.

        With ``touching``, the sorted rows of some entries, only the blocks that hold
        some, cut so that none holds very many.
        """
        return (self._block(rows) for rows in self._bounds(max_rows, touching))

    def map(self, function: Callable[..., Any], *row_arrays: Array) -> Iterator[Any]:
        def work(slab: list[slice]) -> list[Any]:
            return [self._apply(function, rows, row_arrays) for rows in slab]

        for results in self.executor(work, self._slabs()):
            yield from results

    def total(self, function: Callable[..., Any], *row_arrays: Array) -> Any:
        def work(slab: list[slice]) -> Any:
            return add_up(self._apply(function, rows, row_arrays) for rows in slab)

        return add_up(self.executor(work, self._slabs()))

    def row_arrays(
        self,
        function: Callable[..., tuple[Array, ...]],
        *arrays: RowArray,
        max_rows: int | None = None,
        inputs: Sequence[Any] = (),
    ) -> tuple[Array, ...]:
        targets = [allocate((self.shape[0], *a.width), a.dtype) for a in arrays]

        def work(rows: slice) -> None:
            parts = self._apply(function, rows, inputs)
            for target, part in zip(targets, parts, strict=True):
                target[rows] = part

        self._each(work, self._slabs(max_rows))
        return tuple(targets)

    def at_entries(
        self,
        function: Callable[..., tuple[Array, ...]],
        entries: Sequence[Array],
        *dtypes: Any,
    ) -> tuple[Array, ...]:
        rows, *others = entries
        order = np.argsort(rows, kind="stable")
        in_order = rows[order]
        targets = tuple(np.empty(len(rows), dtype=dtype) for dtype in dtypes)

        def work(block_rows: slice) -> None:
            start, stop = block_rows.start, block_rows.stop
            inside = order[slice(*np.searchsorted(in_order, (start, stop)))]
            parts = (other[inside] for other in others)
            results = function(self._block(block_rows), rows[inside] - start, *parts)
            for target, part in zip(targets, results, strict=True):
                target[inside] = part

        self._each(work, self._slabs(touching=in_order))
        return targets

    def in_blocks(self, needs_patterns: bool, max_rows: int | None) -> Self:
        other = copy(self)
        other.needs_patterns, other.max_rows = needs_patterns, max_rows
        other._remembered = {}
        return other

    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        return self  # all of them

    def reweighted(self, weights: Array) -> Self:
        """The same rows with other weights (n,), and with the same columns."""
        other = copy(self)
        other.weights = weights
        return other

    def _apply(
        self, function: Callable[..., Any], rows: slice, row_arrays: Sequence[Any]
    ) -> Any:
        return function(self._block(rows), *(array[rows] for array in row_arrays))

    def _each(
        self, function: Callable[[slice], None], slabs: Sequence[list[slice]]
    ) -> None:
        def work(slab: list[slice]) -> None:
            for rows in slab:
                function(rows)

        for _ in self.executor(work, slabs):
            pass

    def _bounds(
        self, max_rows: int | None = None, touching: Array | None = None
    ) -> Iterator[slice]:
        if touching is None:
            yield from self._slices(max_rows)
            return
        for rows in self._slices(max_rows):
            start = rows.start
            first, last = np.searchsorted(touching, (start, rows.stop))
            while last - first > _MAX_ENTRIES:
                stop = max(int(touching[first + _MAX_ENTRIES]), start + 1)
                yield slice(start, stop)
                start, first = stop, np.searchsorted(touching, stop)
            if first < last:
                yield slice(start, rows.stop)

    def _slabs(
        self, max_rows: int | None = None, touching: Array | None = None
    ) -> list[list[slice]]:
        """Blocks in slabs whose bounds depend on the data alone."""
        blocks = list(self._bounds(max_rows, touching))
        n_slabs = min(_SLABS, len(blocks)) or 1
        bounds = [len(blocks) * i // n_slabs for i in range(n_slabs + 1)]
        return [blocks[start:stop] for start, stop in pairwise(bounds)]

    def _row_totals(self) -> tuple[Array, Array]:
        """Counts and squared norms of all rows."""
        blocks = self.map(lambda block: (block.counts, block.squared_norms))
        counts, squared_norms = zip(*blocks, strict=True)
        return np.concatenate(counts), np.concatenate(squared_norms)

    def covariates_at(self, rows: slice) -> Array:
        """Covariates of rows, standardized, (p, n)."""
        if self._covariates is not None:
            return self._covariates[:, rows]
        columns = self.columns
        if not len(columns.covariates):
            return np.empty((0, rows.stop - rows.start))
        return columns.standardize(*self.read_columns(rows, columns.covariates))

    def patterns_at(self, rows: slice, observed: Array) -> list[Pattern]:
        """The patterns of a block's rows."""
        return self.remember(rows, "patterns", None, partial(group_rows, observed))

    def remember(
        self, rows: slice, name: str, owner: Any, make: Callable[[], Any]
    ) -> Any:
        """Something of a block that never changes: made once, where data are kept.

        For another owner it is made anew, and the former one is forgotten.
        """
        if self.kept is None:
            return make()
        key = rows.start, rows.stop, name
        remembered = self._remembered.get(key)
        if remembered is None or remembered[0] is not owner:
            remembered = self._remembered[key] = owner, make()
        return remembered[1]

    @abstractmethod
    def _slices(self, max_rows: int | None = None) -> Iterator[slice]:
        """Bounds of the blocks."""

    @abstractmethod
    def _block(self, rows: slice) -> Block: ...

    def column_totals(self) -> ColumnTotals:
        """Totals of each column's observed entries."""
        return add_up(self._totals(rows) for rows in self._slices())

    @abstractmethod
    def _totals(self, rows: slice) -> ColumnTotals:
        """Totals of the columns over some rows."""

    @abstractmethod
    def _drop_unknown_columns(self) -> None:
        """Leave out entries in covariates and in columns not observed at fit."""

    @abstractmethod
    def read_columns(self, rows: slice, columns: Array) -> tuple[Array, Array]:
        """Raw values in some columns, and whether they are observed, both (n, p)."""

    @abstractmethod
    def _center_all(self) -> Array: ...

    def _options(self, **changes: Any) -> dict[str, Any]:
        """Options of the constructor for other rows or values, as here but for some."""
        return {
            "columns": self.columns,
            "earlier": None,
            "anchored": None,
            "covariates": self.columns.covariates,
            "features": self.columns.features,
            "weights": self.weights,
            "keep": self.kept is not None,
            "needs_patterns": self.needs_patterns,
            "max_rows": self.max_rows,
            "executor": self.executor,
        } | changes

    @abstractmethod
    def raw_rows(self, rows: Array) -> Any:
        """Raw values of some rows (m,), as an array or CSR."""

    @abstractmethod
    def gather(
        self, rows: Array, columns: Array | slice = slice(None)
    ) -> tuple[Array, Array]:
        """Centered values of some rows, 0 where missing, and mask, both (m, p)."""

    @abstractmethod
    def column_values(self, rows: Array) -> Iterator[tuple[int, Array, Array]]:
        """Of each known column its index, raw values of some rows, and which rows.

        The last are positions in `rows` where the column is observed.
        """

    @abstractmethod
    def select(self, columns: Array) -> Observed: ...

    @abstractmethod
    def clipped(self, lower: Array, upper: Array) -> Observed:
        """The data with observed values moved into ranges of their columns (d,)."""

    @abstractmethod
    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Raw values at some entries, and whether they are observed, both (m,).

        Covariates are returned as they are, missing ones too.
        """


def add_up(terms: Iterable[Any]) -> Any:
    """Their sum, in this order; the terms themselves do not change."""
    terms = iter(terms)
    first = next(terms)
    second = next(terms, None)
    if second is None:
        return first
    return reduce(iadd, terms, first + second)


def allocate(shape: tuple[int, ...], dtype: Any) -> Array:
    """An empty array for results, or an error that says how to ask for less."""
    try:
        return np.empty(shape, dtype=dtype)
    except (MemoryError, ValueError) as error:
        raise MemoryError(
            f"A result of shape {shape} does not fit in memory. Use "
            "complete(X, entries=(rows, columns)) for the entries that you need, or "
            "recommend(X) for the highest of each row."
        ) from error
