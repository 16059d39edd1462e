# SPDX-License-Identifier: BSD-3-Clause
"""Data in chunks of rows that Dask keeps: each chunk is worked on where it lies.

A pass sends one function to all chunks and brings back its results, or their sum, added
as a tree. Scheduling, retries and transport are Dask's.

The first pass of a fit checks the chunks; its later passes read the same values, and
trust them. A question to a fitted mixture checks the chunks that it reads.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.utils.random import sample_without_replacement

from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._typing import Array, Executor
from sklearn_gmmcf.data._blocks import Blocks, RowArray
from sklearn_gmmcf.data._columns import (
    Columns,
    ColumnTotals,
    learn_columns,
    no_covariates,
)
from sklearn_gmmcf.data._in_memory import observe
from sklearn_gmmcf.data._observed import Observed
from sklearn_gmmcf.data._reading import CHECK_OPTIONS, check_numbers
from sklearn_gmmcf.data._rule import (
    check_duplicates,
    raise_nothing_observed,
)


def is_dask(X: Any) -> bool:
    """Whether X is a Dask array, whose chunks can be worked on.

    Raises
    ------
    TypeError
        For other collections of Dask, which would be loaded as a whole.
    ValueError
        For arrays without rows, or not in chunks of whole rows of known sizes.
    """
    if type(X).__module__.partition(".")[0] != "dask":
        return False
    import dask.array as da

    if not isinstance(X, da.Array):
        raise TypeError(
            f"X is a Dask {type(X).__name__}; of Dask only arrays can be worked on in "
            "chunks. Of a DataFrame pass X.to_dask_array(lengths=True)."
        )
    if X.ndim != 2:
        raise ValueError(f"Expected a 2d Dask array, but X has {X.ndim} dimension(s).")
    if len(X.chunks[1]) > 1:
        raise ValueError(
            f"X has {len(X.chunks[1])} chunks of columns; rows should be whole. Pass "
            "X.rechunk({0: 'auto', 1: -1})."
        )
    if np.isnan(X.shape).any():
        raise ValueError(
            "The chunks of X have unknown sizes. Call X.compute_chunk_sizes() first."
        )
    if X.shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}).")
    return True


def to_memory(array: Any) -> Array:
    """An array as it is, or a lazy one computed."""
    return array if isinstance(array, np.ndarray) else _compute([array])[0]


def observe_chunks(
    X: Any,
    *,
    missing_values: float,
    columns: Columns | None = None,
    earlier: Columns | None = None,
    anchored: str | None = None,
    covariates: Array | None = None,
    features: Array | None = None,
    weights: Array | None = None,
    executor: Executor = map,
    **block_options: Any,
) -> Chunks:
    """Decide which entries of a Dask array are observed.

    See `observe`. Without `columns` one pass over the data learns them, and looks for
    everything that is refused.
    """
    n, d = X.shape
    if covariates is None:
        covariates = no_covariates()
    reader = _ChunkReader(
        dtype=np.dtype(np.float32 if X.dtype == np.float32 else np.float64),
        missing_values=missing_values,
        columns=columns or _every_column(d, covariates),
        block_options=block_options,
        config=get_config(),
    )
    bounds = pairwise(np.cumsum([0, *X.chunks[0]]).tolist())
    chunks = [
        _Chunk(block, start, (stop - start, d), _rows_of(weights, start, stop))
        for (start, stop), block in zip(bounds, X.to_delayed().ravel(), strict=True)
        if stop > start
    ]
    chunks = [chunk for chunk in chunks if chunk.weights is None or chunk.weights.any()]
    if columns is not None:
        return Chunks(chunks, reader, None, executor, sparse.issparse(X._meta))
    totals = _compute(_submit(reader, chunks, _chunk_totals))
    if len({total.is_sparse for total in totals}) > 1:
        raise ValueError(
            "Some blocks of X are sparse and others dense. Make all of them alike; "
            "scipy's csr_array(block) would drop observed zeros."
        )
    in_columns = reduce(operator.add, [total.columns for total in totals])
    columns = learn_columns(in_columns, earlier, anchored, covariates, features)
    if not anchored and not columns.known.any():
        raise_nothing_observed((n, d), missing_values)
    observed = np.concatenate([total.observed for total in totals])
    reader = replace(reader, columns=columns, trusted=True)
    return Chunks(chunks, reader, observed, executor, totals[0].is_sparse)


def _every_column(d: int, covariates: Array) -> Columns:
    """Columns before any are learned."""
    known = np.ones(d, dtype=bool)
    known[covariates] = False
    return Columns(np.zeros(d), known, np.zeros(d), np.ones(d), np.ones(d), covariates)


def _rows_of(weights: Array | None, start: int, stop: int) -> Array | None:
    return None if weights is None else weights[start:stop]


class Chunks(Blocks):
    """A matrix with missing entries in chunks of a Dask array.

    Parameters
    ----------
    chunks : list of _Chunk
        The chunks with rows of a positive weight.
    reader : _ChunkReader
        How they are read.
    observed : ndarray of bool or None
        Which rows of a positive weight observe something; None for data that are not
        sampled.
    executor : callable
        Works through the blocks of a sample, in memory.
    is_sparse : bool
        Whether the chunks are.
    """

    is_lazy = True

    def __init__(
        self,
        chunks: list[_Chunk],
        reader: _ChunkReader,
        observed: Array | None,
        executor: Executor,
        is_sparse: bool,
    ) -> None:
        self.is_sparse = is_sparse
        self._chunks = chunks
        self._reader = reader
        self._observed = observed
        self._executor = executor
        self._bounds = np.cumsum([0, *(chunk.n_rows for chunk in chunks)])
        self.shape = int(self._bounds[-1]), len(reader.columns.known)
        self.dtype = reader.dtype
        self.columns = reader.columns
        if chunks[0].weights is None:
            self.weights = np.broadcast_to(1.0, self.shape[:1])  # takes no memory
        else:
            weights = np.concatenate([chunk.weights for chunk in chunks])
            self.weights = weights[weights > 0]

    def map(self, function: Callable[..., Any], *row_arrays: Array) -> Iterator[Any]:
        for results in _compute(self._submit(partial(_map, function), *row_arrays)):
            yield from results

    def total(self, function: Callable[..., Any], *row_arrays: Array) -> Any:
        from dask import delayed

        sums = self._submit(partial(_total, function), *row_arrays)
        while len(sums) > 1:
            pairs = zip(sums[::2], sums[1::2], strict=False)
            rest = sums[len(sums) // 2 * 2 :]
            sums = [delayed(operator.add)(*pair) for pair in pairs] + rest
        return _compute(sums)[0]

    def row_arrays(
        self,
        function: Callable[..., tuple[Array, ...]],
        *arrays: RowArray,
        max_rows: int | None = None,
        inputs: Sequence[Any] = (),
    ) -> tuple[Any, ...]:
        import dask.array as da

        work = partial(_row_arrays, function, arrays, max_rows)
        tasks = self._submit(work, *inputs)
        results = []
        for i, (width, dtype) in enumerate(arrays):
            meta = np.empty((0, *width), dtype=dtype)
            parts = [
                da.from_delayed(task[i], (chunk.n_rows, *width), meta=meta)
                for task, chunk in zip(tasks, self._chunks, strict=True)
            ]
            results.append(da.concatenate(parts))
        return tuple(results)

    def at_entries(
        self,
        function: Callable[..., tuple[Array, ...]],
        entries: Sequence[Array],
        *dtypes: Any,
    ) -> tuple[Array, ...]:
        rows = entries[0]
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], self._bounds)
        chunks, positions, parts = [], [], []
        for chunk, (first, last) in zip(self._chunks, pairwise(bounds), strict=True):
            if first < last:
                inside = order[first:last]
                chunks.append(chunk)
                positions.append(inside)
                in_chunk = [array[inside] for array in entries]
                in_chunk[0] = in_chunk[0] - chunk.start
                parts.append((in_chunk,))
        work = partial(_at_entries, function, dtypes)
        targets = tuple(np.empty(len(rows), dtype=dtype) for dtype in dtypes)
        results = _compute(_submit(self._reader, chunks, work, parts))
        for inside, values in zip(positions, results, strict=True):
            for target, value in zip(targets, values, strict=True):
                target[inside] = value
        return targets

    def in_blocks(self, needs_patterns: bool, max_rows: int | None) -> Self:
        options = {"needs_patterns": needs_patterns, "max_rows": max_rows}
        other = copy(self)
        other._reader = replace(self._reader, block_options=options)
        return other

    def select(self, columns: Array) -> Chunks:
        other = copy(self)
        other._reader = replace(self._reader, selected=columns)
        other.columns = self.columns.take(columns)
        other.shape = self.shape[0], len(columns)
        return other

    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        """Some rows that observe something; all rows if there are no more than these.

        Sampled rows keep their weights.
        """
        chosen = np.arange(self.shape[0])
        if len(chosen) > n_rows and self._observed is not None:
            chosen = np.flatnonzero(self._observed)
        if len(chosen) > n_rows:
            drawn = sample_without_replacement(len(chosen), n_rows, random_state=rng)
            chosen = chosen[np.sort(drawn)]
        return self.take(chosen, self.weights[chosen])

    def take(self, rows: Array, weights: Array) -> Observed:
        wanted = np.zeros(self.shape[0], dtype=bool)
        wanted[rows] = True
        taken = _compute(self._submit(_take_rows, wanted))
        together = (
            sparse.vstack(taken, "csr")
            if sparse.issparse(taken[0])
            else np.vstack(taken)
        )
        return self._reader.observe(
            together, weights, keep=True, executor=self._executor
        )

    def _submit(self, work: Callable[..., Any], *row_arrays: Array) -> list[Any]:
        parts = [
            tuple(array[start:stop] for array in row_arrays)
            for start, stop in pairwise(self._bounds)
        ]
        return _submit(self._reader, self._chunks, work, parts)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Rows of a Dask array."""

    block: Any  # Delayed, (n, d)
    start: int
    shape: tuple[int, int]
    weights: Array | None  # (n,), None: 1 each

    @property
    def n_rows(self) -> int:
        """Number of rows of a positive weight."""
        return self.shape[0] if self.weights is None else int((self.weights > 0).sum())


@dataclass(frozen=True, eq=False)
class _ChunkReader:
    """How chunks are read, wherever they lie."""

    dtype: np.dtype[Any]
    missing_values: float
    columns: Columns
    block_options: dict[str, Any]
    config: dict[str, Any]  # scikit-learn's, where the data are sent from
    selected: Array | None = None  # the columns that are wanted; None: all
    trusted: bool = False  # whether an earlier pass has checked the chunks

    def open(self, block: Any) -> Any:
        finite = False if self.trusted else CHECK_OPTIONS["ensure_all_finite"]
        numbers = check_numbers(block, accept_sparse="csr", ensure_all_finite=finite)
        if sparse.issparse(block) and not self.trusted:
            check_duplicates(block, numbers)  # which check_array adds up
        return numbers.astype(self.dtype, copy=False)

    def observe(
        self,
        rows: Any,
        weights: Array | None,
        *,
        keep: bool = False,
        executor: Executor = map,
    ) -> Observed:
        data = observe(
            rows,
            missing_values=self.missing_values,
            columns=self.columns,
            trusted=self.trusted,
            weights=weights,
            keep=keep,
            executor=executor,
            **self.block_options,
        )
        return data if self.selected is None else data.select(self.selected)


@dataclass(frozen=True, eq=False)
class _ChunkTotals:
    """What must be known of a chunk before columns are learned."""

    columns: ColumnTotals
    observed: Array  # (n,), whether rows of a positive weight observe something
    is_sparse: bool


def _chunk_totals(data: Observed) -> _ChunkTotals:
    return _ChunkTotals(
        columns=data.column_totals(),
        observed=np.concatenate(list(data.map(lambda block: block.counts > 0))),
        is_sparse=data.is_sparse,
    )


def _map(function: Callable[..., Any], data: Observed, *row_arrays: Array) -> list[Any]:
    return list(data.map(function, *row_arrays))


def _total(function: Callable[..., Any], data: Observed, *row_arrays: Array) -> Any:
    return data.total(function, *row_arrays)


def _row_arrays(
    function: Callable[..., Any],
    arrays: Sequence[RowArray],
    max_rows: int | None,
    data: Observed,
    *inputs: Any,
) -> tuple[Array, ...]:
    return data.row_arrays(function, *arrays, max_rows=max_rows, inputs=inputs)


def _at_entries(
    function: Callable[..., Any],
    dtypes: Sequence[Any],
    data: Observed,
    entries: Sequence[Array],
) -> tuple[Array, ...]:
    return data.at_entries(function, entries, *dtypes)


def _take_rows(data: Observed, wanted: Array) -> Any:
    return data.raw_rows(np.flatnonzero(wanted))


def _submit(
    reader: _ChunkReader,
    chunks: list[_Chunk],
    work: Callable[..., Any],
    parts: Sequence[tuple[Any, ...]] | None = None,
) -> list[Any]:
    """Tasks that work on the chunks, one for each."""
    from dask import delayed

    # Everything that all chunks need is sent once.
    shipped = delayed((reader, work), traverse=False)
    parts = [()] * len(chunks) if parts is None else parts
    return [
        delayed(_run_task)(
            shipped, chunk.block, chunk.start, chunk.shape, chunk.weights, *part
        )
        for chunk, part in zip(chunks, parts, strict=True)
    ]


@one_blas_thread
def _run_task(
    shipped: tuple[_ChunkReader, Callable[..., Any]],
    block: Any,
    start: int,
    shape: tuple[int, int],
    weights: Array | None,
    *parts: Any,
) -> Any:
    reader, work = shipped
    with config_context(**reader.config), _locate_errors(start):
        if block.shape != shape:
            raise ValueError(
                f"A block of X has the shape {block.shape}, but the chunks of X say "
                f"{shape}. Build X with the shapes that its blocks have."
            )
        return work(reader.observe(reader.open(block), weights), *parts)


@contextmanager
def _locate_errors(start: int) -> Iterator[None]:
    """Say in errors which block they are about."""
    try:
        yield
    except ValueError as error:
        if start == 0:
            raise
        raise ValueError(
            f"{error} (In the block of X that begins at row {start}, from which rows "
            "are counted here.)"
        ) from error


def _compute(tasks: Sequence[Any]) -> tuple[Any, ...]:
    import dask

    with warnings.catch_warnings():
        # Parameters travel with the tasks, so that a lost worker loses none.
        warnings.filterwarnings("ignore", message="Sending large graph")
        return dask.compute(*tasks)
