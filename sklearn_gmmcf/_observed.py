"""The data: observed values and their mask, dense or CSR behind one face.

An entry is *observed* if it is stored and is not ``missing_values``. That is decided
here, once; after it no other module asks again, and no other module computes on
scipy.sparse.

Everything is laid out with components first: weights ``W`` are (K, d),
responsibilities ``R`` are (K, n). A block of rows offers three matrices: ``values``
(centered, 0 in the holes), ``mask`` (1 where observed) and ``squares`` of the values.
Each has the two products that EM needs::

    project(W)    (K, d) -> (K, n)    sums over the columns
    collect(R)    (K, n) -> (K, d)    sums over the rows
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from itertools import pairwise
from operator import add
from typing import Any, NoReturn, Protocol

import numpy as np
from scipy import sparse
from sklearn import get_config

from sklearn_gmmcf._patterns import Pattern, group_rows
from sklearn_gmmcf._typing import Array, Run

# A dense block and its mask and squares stay in the second-level cache.
_DENSE_BLOCK_BYTES = 800_000
_DENSE_BLOCK_MIN_ROWS = 16
# A CSR block is 12 MB; wide data get larger ones, as each block adds up (K, d) arrays.
_SPARSE_BLOCK_ENTRIES = 1_000_000
_SPARSE_BLOCK_ROWS = 16_384
# Where rows are worked on together, many should meet in a block.
_LARGE_BLOCK_BYTES = 2**24
# A block is worked on with at most about so many arrays of its size.
_ARRAYS_OF_A_BLOCK = 16
# Blocks are worked through and summed in so many parts, on any number of threads.
_SLABS = 16
# Beyond these a square divided by a small variance would overflow.
_LARGEST_VALUE = {"f": 1e12, "d": 1e100}


def bounded(n_bytes: int) -> int:
    """Bytes of a block, so that work on it stays within scikit-learn's setting."""
    working_memory = int(get_config()["working_memory"] * 2**20)
    return min(n_bytes, working_memory // _ARRAYS_OF_A_BLOCK)


class Matrix(Protocol):
    """An (n, d) matrix, known by its two products."""

    def project(self, W: Array) -> Array: ...

    def collect(self, R: Array) -> Array: ...


class _Dense:
    def __init__(self, array: Array) -> None:
        self.array = array  # (n, d)

    def project(self, W: Array) -> Array:
        product = W.astype(self.array.dtype, copy=False) @ self.array.T
        return product.astype(np.float64, copy=False)

    def collect(self, R: Array) -> Array:
        R, scale = _in_range(R, self.array.dtype)
        return _rescaled(R @ self.array, scale)


class _Sparse:
    """Rows in compressed storage (data, indices, indptr)."""

    def __init__(self, data: Array, indices: Array, indptr: Array, d: int) -> None:
        shape = (len(indptr) - 1, d)
        self.array = _view(sparse.csr_array, shape, data, indices, indptr)
        self.transpose = _view(sparse.csc_array, shape[::-1], data, indices, indptr)

    # scipy multiplies fastest by C-ordered (d, K) and (n, K); all else here is (K, n).
    def project(self, W: Array) -> Array:
        product = self.array @ np.asarray(W.T, dtype=self.array.dtype, order="C")
        return product.T.astype(np.float64, order="C")

    def collect(self, R: Array) -> Array:
        R, scale = _in_range(R, self.array.dtype)
        return _rescaled((self.transpose @ np.ascontiguousarray(R.T)).T, scale)


class _AllOnes:
    """The mask of a block without holes: its products need no multiplication."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def project(self, W: Array) -> Array:
        return np.broadcast_to(W.sum(axis=1)[:, None], (len(W), self.shape[0]))

    def collect(self, R: Array) -> Array:
        return np.broadcast_to(R.sum(axis=1)[:, None], (len(R), self.shape[1]))


def _in_range(R: Array, dtype: np.dtype[Any]) -> tuple[Array, float | None]:
    """R of this dtype and a factor: weights of any scale must survive float32."""
    if R.dtype == dtype:
        return R, None
    scale = float(np.abs(R).max()) or 1.0
    return (R / scale).astype(dtype), scale


def _rescaled(product: Array, scale: float | None) -> Array:
    return product if scale is None else product.astype(np.float64) * scale


@dataclass(frozen=True, eq=False)
class Columns:
    """Where the columns lie, and which of them have ever been observed."""

    center: Array  # (d,), taken off the values before anything is computed
    known: Array  # (d,), bool


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive rows of the data, made for one pass and dropped after it."""

    rows: slice
    longest_reach: float  # see Observed
    weights: Array  # (n,)
    counts: Array  # (n,), how many entries each row has observed
    squared_norms: Array  # (n,), sums of the squared values of each row
    values: Matrix
    mask: Matrix
    make_squares: Callable[[], Matrix]
    # Values and squares less a place (d,), in double precision: for what lies close
    # together and far from 0, where the expansion of the square has lost its digits.
    about: Callable[[Array], tuple[Matrix, Matrix]]
    # Squared distances (n,) of rows to those of centers (K, d) that labels (n,) name.
    distances_to: Callable[[Array, Array], Array]
    # Weighted counts and sums of values (K, d) of the rows with each label.
    sum_by: Callable[[Array, int], tuple[Array, Array]]
    # Values, 0 in the holes, and mask, both (n, d); made when asked for.
    dense: Callable[[], tuple[Array, Array]]
    # The rows grouped by their holes.
    patterns: Callable[[], list[Pattern]]
    # Sums (n,) of the observed values times weights of the columns (d,), and of other
    # weights (d,) of the observed columns: to the last digit alike for equal rows.
    row_keys: Callable[[Array, Array], Array]

    @cached_property
    def squares(self) -> Matrix:
        return self.make_squares()


class Blocks(ABC):
    """A matrix with holes that is worked on block by block, wherever it lies."""

    shape: tuple[int, int]  # without the rows of weight 0
    dtype: np.dtype[Any]
    columns: Columns
    weights: Array  # (n,)

    @abstractmethod
    def map(self, function: Callable[..., Any], *of_rows: Array) -> Iterator[Any]:
        """What a function makes of each block, in their order.

        It is called with the block and with its rows of each further array.
        """

    @abstractmethod
    def total(self, function: Callable[..., Any], *of_rows: Array) -> Any:
        """Sum of what `map` gives, always in the same order."""

    @abstractmethod
    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        """At least some of the rows, in memory."""

    def row_groups(self) -> tuple[Array, Array]:
        """Equal rows share a group; groups are numbered in an order of their content.

        The order does not depend on where the rows stand, so that draws which follow
        it depend neither on the order of the rows nor on repetition instead of weight.

        Returns
        -------
        groups : ndarray of shape (n,)
            Group of each row.
        first : ndarray of shape (n_groups,)
            A row of each group.
        """
        # A fixed random projection orders rows as well as sorting by every column
        # does, at the cost of one product. It skips unknown columns, so that a column
        # without observations changes nothing.
        rng = np.random.default_rng(0)
        directions = np.zeros((2, self.shape[1]))
        directions[:, self.columns.known] = rng.standard_normal(
            (int(self.columns.known.sum()), 2)
        ).T
        keys = np.concatenate(list(self.map(lambda block: block.row_keys(*directions))))
        _, first, groups = np.unique(keys, return_index=True, return_inverse=True)
        return groups, first


class Observed(Blocks):
    """A matrix with holes in memory or in a file, read in blocks of rows.

    Parameters
    ----------
    raw : ndarray or csr_array of shape (n, d)
        What the user gave; never written to.
    columns : Columns or None
        None learns them from the data.
    earlier : Columns or None
        Those of a fit that is continued: they stand in for columns that the data do
        not observe.
    anchored : bool
        Columns known earlier keep their centers, so that statistics about these add up.
    weights : ndarray of shape (n,) or None
        Weights of the rows; None is 1 each.
    keep : bool
        Keep one centered copy of the values, for data that are read many times; data
        in a file are centered block by block instead.
    grouped : bool
        Whether blocks will be asked for their rows and patterns of holes.
    most_rows : int or None
        Most rows of a block, for what works on many rows at once; None leaves dense
        blocks as small as the cache wants them.
    run : callable
        Works through parts of the data: here, or on threads.
    """

    def __init__(
        self,
        raw: Any,
        columns: Columns | None,
        earlier: Columns | None,
        anchored: bool,
        weights: Array | None,
        keep: bool,
        grouped: bool,
        most_rows: int | None,
        run: Run,
    ) -> None:
        self.run = run
        self.grouped = grouped
        self.most_rows = most_rows
        self.shape: tuple[int, int] = raw.shape
        self.dtype: np.dtype[Any] = raw.dtype
        self.weights = np.ones(self.shape[0]) if weights is None else weights
        self.columns = (
            learn_columns(*self.column_totals(), earlier, anchored)
            if columns is None
            else columns
        )
        self._drop_unknown_columns()
        self._patterns: dict[int, list[Pattern]] = {}  # by first row, of kept data
        self._kept: tuple[Array, Array, Array] | None = None
        if keep:
            self._kept = self._center_all(), *self._row_totals()

    @property
    def longest_reach(self) -> float:
        """Squares relative to a variance whose expansion keeps half of the digits."""
        return float(np.finfo(self.dtype).eps ** -0.5)

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def blocks(
        self, most_rows: int | None = None, touching: Array | None = None
    ) -> Iterator[Block]:
        """The data in blocks, of at most ``most_rows`` rows.

        With ``touching``, sorted indices of rows, only the blocks that hold some.
        """
        return (self._block(rows) for rows in self._bounds(most_rows, touching))

    def _bounds(
        self, most_rows: int | None = None, touching: Array | None = None
    ) -> Iterator[slice]:
        for rows in self._slices(most_rows):
            if touching is not None:
                first, last = np.searchsorted(touching, (rows.start, rows.stop))
                if first == last:
                    continue
            yield rows

    def map(self, function: Callable[..., Any], *of_rows: Array) -> Iterator[Any]:
        def work(slab: list[slice]) -> list[Any]:
            return [self._apply(function, rows, of_rows) for rows in slab]

        for results in self.run(work, self._slabs()):
            yield from results

    def each(
        self,
        function: Callable[[Block], None],
        most_rows: int | None = None,
        touching: Array | None = None,
    ) -> None:
        """Call a function with each of `blocks`; the order is open."""

        def work(slab: list[slice]) -> None:
            for rows in slab:
                function(self._block(rows))

        for _ in self.run(work, self._slabs(most_rows, touching)):
            pass

    def total(self, function: Callable[..., Any], *of_rows: Array) -> Any:
        def work(slab: list[slice]) -> Any:
            results = (self._apply(function, rows, of_rows) for rows in slab)
            return reduce(add, results)

        return reduce(add, self.run(work, self._slabs()))

    def _apply(
        self, function: Callable[..., Any], rows: slice, of_rows: tuple[Array, ...]
    ) -> Any:
        return function(self._block(rows), *(array[rows] for array in of_rows))

    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        return self  # all of them

    def _slabs(
        self, most_rows: int | None = None, touching: Array | None = None
    ) -> list[list[slice]]:
        """Blocks in parts whose bounds depend on the data alone."""
        blocks = list(self._bounds(most_rows, touching))
        n_slabs = min(_SLABS, len(blocks)) or 1
        bounds = [len(blocks) * i // n_slabs for i in range(n_slabs + 1)]
        return [blocks[start:stop] for start, stop in pairwise(bounds)]

    def _row_totals(self) -> tuple[Array, Array]:
        """Counts and squared norms of all rows."""
        blocks = self.map(lambda block: (block.counts, block.squared_norms))
        counts, squared_norms = zip(*blocks, strict=True)
        return np.concatenate(counts), np.concatenate(squared_norms)

    def _pattern_groups(self, rows: slice, present: Array) -> list[Pattern]:
        if rows.start not in self._patterns:
            groups = group_rows(present)
            if self._kept is None:
                return groups
            self._patterns[rows.start] = groups
        return self._patterns[rows.start]

    @abstractmethod
    def _slices(self, most_rows: int | None = None) -> Iterator[slice]:
        """Bounds of the blocks."""

    @abstractmethod
    def _block(self, rows: slice) -> Block: ...

    @abstractmethod
    def column_totals(self) -> tuple[Array, Array]:
        """Weights and weighted sums of each column's observed entries."""

    @abstractmethod
    def _drop_unknown_columns(self) -> None:
        """Make holes of what stands in columns that were not observed at fit."""

    @abstractmethod
    def _center_all(self) -> Array: ...

    @abstractmethod
    def _row_keys(self, rows: slice, by_value: Array, by_mask: Array) -> Array: ...

    @abstractmethod
    def gather(self, rows: Array) -> Array:
        """Centered values of some rows, 0 in the holes, (m, d)."""

    @abstractmethod
    def restore(
        self, rows: slice, completed: Array, value: float | None = None
    ) -> None:
        """Write what was observed, or ``value`` there, into completed rows (m, d)."""

    @abstractmethod
    def holes(self, rows: slice) -> tuple[Array, Array]:
        """Rows, counted from the first of these, and columns of the holes, (m,)."""

    @abstractmethod
    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Values at some entries, and whether they were observed, both (m,)."""


class _LazyMask:
    """Which values in a file are observed, found out where it is indexed."""

    def __init__(self, raw: Array, missing_values: float, known: Any = True) -> None:
        self.raw, self.missing_values, self.known = raw, missing_values, known

    def __getitem__(self, places: Any) -> Array:
        return _differ(self.raw[places], self.missing_values) & self.known

    def __and__(self, known: Array) -> _LazyMask:
        return _LazyMask(self.raw, self.missing_values, known)


class _DenseObserved(Observed):
    def __init__(
        self, raw: Array, present: Array | _LazyMask | None, **options: Any
    ) -> None:
        self.raw = raw
        self.present = present  # None: no holes
        self._modeled = present  # the same without unknown columns
        super().__init__(raw, **options)

    def _drop_unknown_columns(self) -> None:
        known = self.columns.known
        if not known.all():
            self._modeled = (
                np.broadcast_to(known, self.shape)
                if self.present is None
                else self.present & known
            )

    def _slices(self, most_rows: int | None = None) -> Iterator[slice]:
        n, d = self.shape
        large = self.grouped or self.most_rows is not None
        block_bytes = _LARGE_BLOCK_BYTES if large else _DENSE_BLOCK_BYTES
        step = bounded(block_bytes) // (d * self.dtype.itemsize)
        step = max(step, _DENSE_BLOCK_MIN_ROWS)
        step = min(step, self.most_rows or n, most_rows or n)
        for start in range(0, n, step):
            yield slice(start, min(start + step, n))

    def _block(self, rows: slice) -> Block:
        present = None if self._modeled is None else self._modeled[rows]
        if present is not None and present.all():
            present = None
        shape = (rows.stop - rows.start, self.shape[1])
        if self._kept is None:
            values = self._centered(rows, present)
            squared_norms = np.einsum("ij,ij->i", values, values, dtype=np.float64)
            counts = (
                np.full(shape[0], float(shape[1]))
                if present is None
                else present.sum(axis=1, dtype=np.float64)
            )
        else:
            kept_values, kept_counts, kept_norms = self._kept
            values = kept_values[rows]
            counts, squared_norms = kept_counts[rows], kept_norms[rows]

        def dense() -> tuple[Array, Array]:
            return values, np.ones(shape, dtype=bool) if present is None else present

        def less(place: Array) -> Array:
            residuals = values - place
            if present is not None:
                residuals[~present] = 0.0
            return residuals

        def about(place: Array) -> tuple[Matrix, Matrix]:
            residuals = less(place)
            return _Dense(residuals), _Dense(residuals**2)

        def distances_to(centers: Array, labels: Array) -> Array:
            residuals = less(centers[labels])
            return np.einsum("ij,ij->i", residuals, residuals)

        weights = self.weights[rows]
        mask = (
            _AllOnes(shape) if present is None else _Dense(present.astype(self.dtype))
        )

        def sum_by(labels: Array, n_labels: int) -> tuple[Array, Array]:
            weighted = one_hot(labels, n_labels) * weights
            return mask.collect(weighted), _Dense(values).collect(weighted)

        return Block(
            rows=rows,
            longest_reach=self.longest_reach,
            weights=weights,
            counts=counts,
            squared_norms=squared_norms,
            values=_Dense(values),
            mask=mask,
            make_squares=lambda: _Dense(values * values),
            about=about,
            distances_to=distances_to,
            sum_by=sum_by,
            dense=dense,
            patterns=lambda: self._pattern_groups(rows, dense()[1]),
            row_keys=partial(self._row_keys, rows),
        )

    def _centered(self, rows: Any, present: Array | None) -> Array:
        values = self.raw[rows] - self.columns.center
        if present is not None:
            values = np.where(present, values, 0.0)
        return values.astype(self.dtype, copy=False)

    def _center_all(self) -> Array:
        values = np.empty(self.shape, dtype=self.dtype)
        for rows in self._slices():
            present = None if self._modeled is None else self._modeled[rows]
            values[rows] = self._centered(rows, present)
        return values

    def _zero_filled(self, rows: slice) -> Array:
        """Raw values in double precision, 0 in the holes."""
        values = self.raw[rows].astype(np.float64)
        if self.present is not None:
            values[~self.present[rows]] = 0.0
        return values

    def column_totals(self) -> tuple[Array, Array]:
        counts, sums = np.zeros(self.shape[1]), np.zeros(self.shape[1])
        for rows in self._slices():
            weights = self.weights[rows]
            sums += weights @ self._zero_filled(rows)
            if self.present is None:
                counts += weights.sum()
            else:
                counts += weights @ self.present[rows].astype(np.float64)
        return counts, sums

    def _row_keys(self, rows: slice, by_value: Array, by_mask: Array) -> Array:
        # Not a BLAS product: its rounding depends on where a row stands.
        values = (self.raw[rows] - self.columns.center) * by_value
        if self.present is not None:
            values[~self.present[rows]] = 0.0
        keys = values.sum(axis=1)
        if self.present is not None:
            keys += (self.present[rows] * by_mask).sum(axis=1)
        return keys

    def gather(self, rows: Array) -> Array:
        present = None if self._modeled is None else self._modeled[rows]
        return self._centered(rows, present).astype(np.float64)

    def restore(
        self, rows: slice, completed: Array, value: float | None = None
    ) -> None:
        source = self.raw[rows] if value is None else value
        where = True if self.present is None else self.present[rows]
        np.copyto(completed, source, where=where)

    def holes(self, rows: slice) -> tuple[Array, Array]:
        if self.present is None:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        found = np.nonzero(~self.present[rows])
        return found[0], found[1]

    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        values = self.raw[rows, columns]
        if self.present is None:
            return values, np.ones(len(values), dtype=bool)
        return values, self.present[rows, columns]


class _SparseObserved(Observed):
    def __init__(self, raw: sparse.csr_array, **options: Any) -> None:
        self.raw = raw
        self._modeled = raw  # the same without unknown columns
        super().__init__(raw, **options)

    @cached_property
    def _ones(self) -> Array:
        """The mask's values, of any block."""
        indptr = self.raw.indptr
        lengths = [indptr[rows.stop] - indptr[rows.start] for rows in self._slices()]
        return np.ones(max(lengths), dtype=self.dtype)

    def _drop_unknown_columns(self) -> None:
        known = self.columns.known
        # Of data that columns were learned from, no entry is in an unknown one.
        if not known.all() and self._holds(np.flatnonzero(~known)):
            self._modeled = _filter_entries(self.raw, known[self.raw.indices])

    def _holds(self, columns: Array) -> bool:
        """Whether some entry is in these columns."""
        wanted = np.zeros(self.shape[1], dtype=bool)
        wanted[columns] = True
        indices = self.raw.indices
        return any(
            wanted[indices[start : start + _SPARSE_BLOCK_ENTRIES]].any()
            for start in range(0, len(indices), _SPARSE_BLOCK_ENTRIES)
        )

    def _slices(self, most_rows: int | None = None) -> Iterator[slice]:
        n, d = self.raw.shape
        most_entries = max(bounded(12 * _SPARSE_BLOCK_ENTRIES) // 12, 2 * d)
        step = min(max(_SPARSE_BLOCK_ROWS, d), self.most_rows or n, most_rows or n)
        if self.grouped:
            step = min(step, max(bounded(_LARGE_BLOCK_BYTES) // (8 * d), 1))
        indptr = self.raw.indptr
        start = 0
        while start < n:
            full = np.searchsorted(indptr, indptr[start] + most_entries, side="right")
            stop = min(max(int(full) - 1, start + 1), start + step, n)
            yield slice(start, stop)
            start = stop

    def _block(self, rows: slice) -> Block:
        d = self.shape[1]
        first, last = self._modeled.indptr[[rows.start, rows.stop]]
        indices = self._modeled.indices[first:last]
        indptr = self._modeled.indptr[rows.start : rows.stop + 1] - first
        if self._kept is None:
            data = self._centered(slice(first, last))
            counts = np.diff(indptr).astype(np.float64)
            squares = np.square(data, dtype=np.float64)
            squared_norms = _Sparse(squares, indices, indptr, d).array @ np.ones(d)
        else:
            data = self._kept[0][first:last]
            counts, squared_norms = self._kept[1][rows], self._kept[2][rows]

        def dense() -> tuple[Array, Array]:
            shape = (len(counts), d)
            owners = np.repeat(np.arange(len(counts)), np.diff(indptr))
            filled, present = np.zeros(shape), np.zeros(shape, dtype=bool)
            filled[owners, indices] = data
            present[owners, indices] = True
            return filled, present

        def about(place: Array) -> tuple[Matrix, Matrix]:
            residuals = data - place[indices]
            pattern = indices, indptr, d
            return _Sparse(residuals, *pattern), _Sparse(residuals**2, *pattern)

        def distances_to(centers: Array, labels: Array) -> Array:
            residuals = data - centers[np.repeat(labels, np.diff(indptr)), indices]
            return _Sparse(residuals**2, indices, indptr, d).array @ np.ones(d)

        weights = self.weights[rows]

        def sum_by(labels: Array, n_labels: int) -> tuple[Array, Array]:
            places = np.repeat(labels.astype(np.intp) * d, np.diff(indptr)) + indices
            of_entries = np.repeat(weights, np.diff(indptr))
            counts = np.bincount(places, of_entries, minlength=n_labels * d)
            sums = np.bincount(places, of_entries * data, minlength=n_labels * d)
            return counts.reshape(n_labels, d), sums.reshape(n_labels, d)

        return Block(
            rows=rows,
            longest_reach=self.longest_reach,
            weights=weights,
            counts=counts,
            squared_norms=squared_norms,
            values=_Sparse(data, indices, indptr, d),
            mask=_Sparse(self._ones[: len(data)], indices, indptr, d),
            make_squares=lambda: _Sparse(data * data, indices, indptr, d),
            about=about,
            distances_to=distances_to,
            sum_by=sum_by,
            dense=dense,
            patterns=lambda: self._pattern_groups(rows, dense()[1]),
            row_keys=partial(self._row_keys, rows),
        )

    def _centered(self, entries: slice) -> Array:
        indices = self._modeled.indices[entries]
        values = self._modeled.data[entries] - self.columns.center[indices]
        return values.astype(self.dtype, copy=False)

    def _center_all(self) -> Array:
        values = np.empty(self._modeled.nnz, dtype=self.dtype)
        for start in range(0, len(values), _SPARSE_BLOCK_ENTRIES):
            entries = slice(start, start + _SPARSE_BLOCK_ENTRIES)
            values[entries] = self._centered(entries)
        return values

    def column_totals(self) -> tuple[Array, Array]:
        d = self.shape[1]
        counts, sums = np.zeros(d), np.zeros(d)
        for rows in self._slices():
            indptr = self.raw.indptr[rows.start : rows.stop + 1]
            indices = self.raw.indices[indptr[0] : indptr[-1]]
            weights = np.repeat(self.weights[rows], np.diff(indptr))
            counts += np.bincount(indices, weights, minlength=d)
            weights *= self.raw.data[indptr[0] : indptr[-1]]
            sums += np.bincount(indices, weights, minlength=d)
        return counts, sums

    def _row_keys(self, rows: slice, by_value: Array, by_mask: Array) -> Array:
        indptr = self.raw.indptr[rows.start : rows.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        indices = self.raw.indices[entries]
        values = self.raw.data[entries] - self.columns.center[indices]
        terms = values * by_value[indices] + by_mask[indices]
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        return np.bincount(owners, terms, minlength=len(indptr) - 1)

    def gather(self, rows: Array) -> Array:
        values = np.zeros((len(rows), self.shape[1]))
        for position, row in enumerate(rows):
            entries = slice(*self._modeled.indptr[row : row + 2])
            indices = self._modeled.indices[entries]
            values[position, indices] = self._centered(entries)
        return values

    def restore(
        self, rows: slice, completed: Array, value: float | None = None
    ) -> None:
        indptr = self.raw.indptr[rows.start : rows.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        completed[owners, self.raw.indices[entries]] = (
            self.raw.data[entries] if value is None else value
        )

    def holes(self, rows: slice) -> tuple[Array, Array]:
        missing = np.ones((rows.stop - rows.start, self.shape[1]))
        self.restore(rows, missing, value=0.0)
        found = np.nonzero(missing)
        return found[0], found[1]

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
        return values, found


def _view(
    kind: type, shape: tuple[int, int], data: Array, indices: Array, indptr: Array
) -> Any:
    """Compressed storage on these very arrays: the constructor copies short views."""
    array = kind(shape, dtype=data.dtype)
    array.data, array.indices, array.indptr = data, indices, indptr
    return array


def _filter_entries(X: sparse.csr_array, keep: Array) -> sparse.csr_array:
    """Only those stored entries for which ``keep`` (nnz,) is true."""
    if keep.all():
        return X
    ends = np.concatenate([[0], np.cumsum(keep)])[X.indptr]
    indptr = ends.astype(X.indptr.dtype)
    return _view(sparse.csr_array, X.shape, X.data[keep], X.indices[keep], indptr)


def refuse_unreadable(X: Any) -> None:
    """Refuse what scikit-learn's validation would silently read in another way."""
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(
            "X is a numpy masked array, whose mask scikit-learn's validation drops. "
            "Pass X.filled(np.nan), of a float dtype, instead."
        )
    if sparse.issparse(X) and X.format in ("bsr", "dia"):
        raise ValueError(
            f"Sparse X in {X.format!r} format stores padding that cannot be told from "
            "observations. Build X in 'coo', 'csr' or 'csc' format, with one stored "
            "entry for each observed value, zeros included."
        )


def refuse_duplicates(given: Any, X: sparse.csr_array) -> None:
    """Refuse two stored entries at one place; COO lost them on its way to CSR."""
    if X.has_canonical_format and given.nnz == X.nnz:
        return
    coo = given.tocoo()
    order = np.lexsort((coo.col, coo.row))
    rows, columns = coo.row[order], coo.col[order]
    twice = np.flatnonzero((np.diff(rows) == 0) & (np.diff(columns) == 0))
    if twice.size == 0:
        return
    place = (int(rows[twice[0]]), int(columns[twice[0]]))
    raise ValueError(
        f"Sparse X stores more than one value at row {place[0]}, column {place[1]} "
        f"({len(twice)} such repetitions in all). Keep one of them, or their mean: "
        "X.sum_duplicates() would add them up."
    )


def observe(
    X: Any,
    *,
    given: Any = None,
    missing_values: float = np.nan,
    columns: Columns | None = None,
    earlier: Columns | None = None,
    anchored: bool = False,
    weights: Array | None = None,
    keep: bool = False,
    grouped: bool = False,
    most_rows: int | None = None,
    run: Run = map,
) -> Observed:
    """Decide which entries of validated data are observed.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, d), float64 or float32
        Free of infinities; never written to.
    given : sparse, default=None
        The matrix before it was converted to CSR.
    missing_values : float, default=nan
        The value that marks a hole.
    columns, earlier, anchored, weights, keep, grouped, most_rows, run
        See `Observed`. Rows of weight 0 are left out.

    Raises
    ------
    ValueError
        For NaN while ``missing_values`` is a number, for duplicate entries, for values
        whose squares would overflow, and for nothing to learn columns from.
    """
    is_sparse = sparse.issparse(X)
    if is_sparse:
        if not X.has_sorted_indices:
            X = X.sorted_indices()
        refuse_duplicates(given if sparse.issparse(given) else X, X)
    if weights is not None and not weights.all():
        X, weights = X[weights > 0], weights[weights > 0]
    values = X.data if is_sparse else X
    mapped = _is_mapped(values)
    if mapped:
        present: Any = _LazyMask(values, missing_values)
        some, every = _survey(values, missing_values)
    else:
        present = is_observed(values, missing_values)
        some, every = present.any(), present.all()
    if columns is None and not anchored and not some:
        refuse_holes(X.shape, missing_values)
    options = {
        "columns": columns,
        "earlier": earlier,
        "anchored": anchored,
        "weights": weights,
        "keep": keep and not mapped,
        "grouped": grouped,
        "most_rows": most_rows,
        "run": run,
    }
    if is_sparse:
        if not every:
            X = _filter_entries(X, present[:])
        return _SparseObserved(X, **options)
    return _DenseObserved(X, None if every else present, **options)


def refuse_holes(shape: tuple[int, int], missing_values: float) -> NoReturn:
    """Refuse data without any observed entry."""
    raise ValueError(
        f"X has no observed entry: all of its {shape[0]} x {shape[1]} entries "
        f"are holes (missing_values={missing_values!r}, or not stored)."
    )


def learn_columns(
    counts: Array, sums: Array, earlier: Columns | None, anchored: bool
) -> Columns:
    """Centers are the weighted means of the columns' observed entries.

    An unknown column gets the mean of all observed entries. For `earlier` and
    `anchored` see `Observed`.
    """
    known = counts > 0
    if earlier is not None and anchored:
        center = earlier.center.copy()
        np.divide(sums, counts, out=center, where=known & ~earlier.known)
        return Columns(center, known | earlier.known)
    center = np.full(len(counts), sums.sum() / counts.sum())
    np.divide(sums, counts, out=center, where=known)
    if earlier is not None:
        center = np.where(~known & earlier.known, earlier.center, center)
        known = known | earlier.known
    return Columns(center, known)


def is_observed(values: Array, missing_values: float) -> Array:
    """The one rule, for values that are stored; refuses those that break it."""
    if not np.isnan(missing_values) and np.isnan(values).any():
        raise ValueError(
            f"X contains NaN while missing_values={missing_values!r}. Mark holes in "
            "one way only: replace NaN by that value, or pass missing_values=np.nan."
        )
    present = _differ(values, missing_values)
    limit = _LARGEST_VALUE[values.dtype.char]
    # Reductions under a mask are slow, and only a marker can be the largest of all.
    largest = _largest_magnitude(values, True)
    if largest > limit:
        largest = _largest_magnitude(values, present)
    if largest > limit:
        raise ValueError(
            f"X contains a value of magnitude {largest:.3g}; the squares of values "
            f"above {limit:g} overflow in {values.dtype}. Scale the data"
            + (", or pass them as float64." if values.dtype.char == "f" else ".")
        )
    return present


def _largest_magnitude(values: Array, where: Any) -> float:
    """The largest magnitude of some values, NaN aside."""
    most = np.fmax.reduce(values, axis=None, initial=0.0, where=where)
    return max(most, -np.fmin.reduce(values, axis=None, initial=0.0, where=where))


def _differ(values: Array, missing_values: float) -> Array:
    if np.isnan(missing_values):
        return ~np.isnan(values)
    with np.errstate(over="ignore"):  # of a number that float32 does not hold
        return values != float(missing_values)


def _is_mapped(array: Any) -> bool:
    """Whether an array, or what it is a view of, lies in a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def _survey(values: Array, missing_values: float) -> tuple[bool, bool]:
    """Whether any and whether all stored values are observed, read bit by bit."""
    some, every = False, True
    step = max(_LARGE_BLOCK_BYTES // (8 * (values.size // len(values) or 1)), 1)
    for start in range(0, len(values), step):
        present = is_observed(values[start : start + step], missing_values)
        some, every = some or bool(present.any()), every and bool(present.all())
    return some, every


def one_hot(labels: Array, n_components: int) -> Array:
    """Responsibilities (K, n) of rows that belong to one component each."""
    return (labels == np.arange(n_components)[:, None]).astype(np.float64)
