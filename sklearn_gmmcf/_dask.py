"""Data in chunks of rows that Dask keeps: each chunk is worked on where it lies.

A pass sends one function to all chunks and brings back what it makes of each, or the
sum of that, added as a tree. Scheduling, retries and transport are Dask's.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.utils import check_array
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._observed import (
    Blocks,
    Columns,
    Observed,
    learn_columns,
    observe,
    refuse_duplicates,
    refuse_holes,
    refuse_unreadable,
)
from sklearn_gmmcf._typing import Array, Run


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


def in_chunks(method: Callable) -> Callable:
    """Let a method of rows return lazy Dask arrays for a Dask array."""

    @wraps(method)
    def wrapper(self, X, *args, **kwargs):
        if not is_dask(X):
            return method(self, X, *args, **kwargs)
        return call_lazily(self, method.__name__, X, *args, **kwargs)

    return wrapper


def call_lazily(
    estimator: Any, method: str, X: Any, *arguments: Any, **options: Any
) -> Any:
    """What a method makes of the rows, as a lazy Dask array or several."""
    import dask.array as da
    from dask import delayed

    # A row of holes tells dtypes and widths, and what is wrong with the options.
    single = getattr(estimator, method)(_row_of_holes(X), *arguments, **options)
    several = isinstance(single, tuple)
    like = single if several else (single,)
    if not all(isinstance(of, np.ndarray) for of in like):
        raise TypeError(
            f"X is a Dask array, of which {method} makes Dask arrays, but set_output "
            f"or transform_output asks for {type(like[0]).__module__.split('.')[0]}, "
            "which would load all of it. Set it to 'default'."
        )
    shipped = delayed(_Call.of(estimator, method, arguments, options), traverse=False)
    chunks: list[list[Any]] = [[] for _ in like]
    for start, stop, block in _blocks(X):
        shape = stop - start, X.shape[1]
        results = delayed(_call_on, nout=len(like))(shipped, block, start, shape, like)
        for parts, result, of in zip(chunks, results, like, strict=True):
            of_result = (stop - start, *of.shape[1:])
            parts.append(da.from_delayed(result, of_result, meta=of[:0]))
    arrays = tuple(da.concatenate(parts) for parts in chunks)
    return arrays if several else arrays[0]


def call_at_entries(
    estimator: Any, method: str, X: Any, of_entries: dict[str, Array], **options: Any
) -> tuple[Array, ...]:
    """What a method makes of some entries, (m,) each, in memory.

    `of_entries` holds `rows`, `columns` and further arrays (m,) that the method takes
    by name. Only the chunks that hold some of the entries are looked at.
    """
    from dask import delayed

    rows = of_entries["rows"]
    order = np.argsort(rows, kind="stable")
    call = _Call.of(estimator, method, (), options)
    shipped = delayed(call, traverse=False)
    places, tasks = [], []
    for start, stop, block in _blocks(X):
        here = order[slice(*np.searchsorted(rows[order], (start, stop)))]
        if len(here):
            parts = {name: array[here] for name, array in of_entries.items()}
            parts["rows"] = parts["rows"] - start
            places.append(here)
            shape = stop - start, X.shape[1]
            tasks.append(delayed(_call_at)(shipped, block, start, shape, parts))
    # A row of holes tells what there is to merge.
    none = {name: array[:0] for name, array in of_entries.items()}
    of_none = _call_at(call, _row_of_holes(X), 0, (1, X.shape[1]), none)
    merged = tuple(np.empty(len(rows), dtype=result.dtype) for result in of_none)
    for here, results in zip(places, _compute(tasks), strict=True):
        for target, result in zip(merged, results, strict=True):
            target[here] = result
    return merged


def observe_chunks(
    X: Any,
    *,
    missing_values: float,
    earlier: Columns | None,
    anchored: bool,
    weights: Array | None,
    run: Run,
    **block_options: Any,
) -> Chunks:
    """Decide which entries of a Dask array are observed, and learn its columns.

    See `observe`. One pass over the data, which also looks for what is refused.
    """
    n, d = X.shape
    reading = _Reading(
        dtype=_dtype_of(X),
        missing_values=missing_values,
        columns=Columns(np.zeros(d), np.ones(d, dtype=bool)),
        block_options=block_options,
        config=get_config(),
    )
    chunks = [
        _Chunk(
            block,
            start,
            (stop - start, d),
            None if weights is None else weights[start:stop],
        )
        for start, stop, block in _blocks(X)
    ]
    chunks = [chunk for chunk in chunks if chunk.weights is None or chunk.weights.any()]
    surveys = _compute(_send(reading, chunks, _survey))
    if len({survey.is_sparse for survey in surveys}) > 1:
        raise ValueError(
            "Some blocks of X are sparse and others dense. Make all of them alike; "
            "scipy's csr_array(block) would drop observed zeros."
        )
    counts, sums = np.sum([survey.totals for survey in surveys], axis=0)
    if not anchored and not counts.any():
        refuse_holes((n, d), missing_values)
    columns = learn_columns(counts, sums, earlier, anchored)
    shown = [survey.shown for survey in surveys]
    return Chunks(chunks, replace(reading, columns=columns), shown, run)


class Chunks(Blocks):
    """A matrix with holes in chunks of a Dask array.

    Parameters
    ----------
    chunks : list of _Chunk
        Those with rows of a positive weight.
    reading : _Reading
        How they are read.
    shown : list of ndarray of bool
        Which rows of each chunk, of those with a positive weight, observe something.
    run : callable
        Works through the blocks of a sample, in memory.
    """

    def __init__(
        self, chunks: list[_Chunk], reading: _Reading, shown: list[Array], run: Run
    ) -> None:
        self._chunks = chunks
        self._reading = reading
        self._shown = np.concatenate(shown)
        self._bounds = np.cumsum([0, *map(len, shown)])
        self._run = run
        self.shape = len(self._shown), len(reading.columns.known)
        self.dtype = reading.dtype
        self.columns = reading.columns
        if chunks[0].weights is None:
            self.weights = np.broadcast_to(1.0, self.shape[:1])  # of no memory
        else:
            weights = np.concatenate([chunk.weights for chunk in chunks])
            self.weights = weights[weights > 0]

    def map(self, function: Callable[..., Any], *of_rows: Array) -> Iterator[Any]:
        for results in _compute(self._send(_Map(function), *of_rows)):
            yield from results

    def total(self, function: Callable[..., Any], *of_rows: Array) -> Any:
        from dask import delayed

        parts = self._send(_Total(function), *of_rows)
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            rest = parts[len(parts) // 2 * 2 :]
            parts = [delayed(operator.add)(*pair) for pair in pairs] + rest
        return _compute(parts)[0]

    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        """Some rows that observe something; all rows if there are no more than these.

        Sampled rows keep their weights.
        """
        chosen = np.arange(self.shape[0])
        if len(chosen) > n_rows:
            chosen = np.flatnonzero(self._shown)
        if len(chosen) > n_rows:
            drawn = sample_without_replacement(len(chosen), n_rows, random_state=rng)
            chosen = chosen[np.sort(drawn)]
        wanted = np.zeros(self.shape[0], dtype=bool)
        wanted[chosen] = True
        rows = _compute(self._send(_take, wanted))
        together = (
            sparse.vstack(rows, "csr") if sparse.issparse(rows[0]) else np.vstack(rows)
        )
        return self._reading.observe(
            together, self.weights[chosen], keep=True, run=self._run
        )

    def _send(self, work: Callable[..., Any], *of_rows: Array) -> list[Any]:
        parts = [
            tuple(array[start:stop] for array in of_rows)
            for start, stop in pairwise(self._bounds)
        ]
        return _send(self._reading, self._chunks, work, parts)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Rows of a Dask array."""

    block: Any  # Delayed, (n, d)
    start: int
    shape: tuple[int, int]
    weights: Array | None  # (n,), None: 1 each


@dataclass(frozen=True, eq=False)
class _Reading:
    """How chunks are read, wherever they lie."""

    dtype: np.dtype[Any]
    missing_values: float
    columns: Columns
    block_options: dict[str, Any]
    config: dict[str, Any]  # of scikit-learn, where the data are sent from

    def check(self, block: Any) -> Any:
        refuse_unreadable(block)
        checked = check_array(
            block,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            input_name="X",
        )
        if sparse.issparse(block):
            refuse_duplicates(block, checked)  # which check_array adds up
        return checked.astype(self.dtype, copy=False)

    def observe(
        self, rows: Any, weights: Array | None, *, keep: bool = False, run: Run = map
    ) -> Observed:
        return observe(
            rows,
            missing_values=self.missing_values,
            columns=self.columns,
            weights=weights,
            keep=keep,
            run=run,
            **self.block_options,
        )


@dataclass(frozen=True, eq=False)
class _Survey:
    """What a chunk tells before columns are learned."""

    totals: Array  # (2, d), weighted counts and sums of each column
    shown: Array  # (n,), whether rows of a positive weight observe something
    is_sparse: bool


def _survey(reading: _Reading, rows: Any, weights: Array | None) -> _Survey:
    data = reading.observe(rows, weights)
    return _Survey(
        totals=np.stack(data.column_totals()),
        shown=np.concatenate(list(data.map(lambda block: block.counts > 0))),
        is_sparse=sparse.issparse(rows),
    )


@dataclass(frozen=True)
class _Map:
    """What a function makes of each block of a chunk."""

    function: Callable[..., Any]

    def __call__(
        self, reading: _Reading, rows: Any, weights: Array | None, *of_rows: Array
    ) -> list[Any]:
        return list(reading.observe(rows, weights).map(self.function, *of_rows))


@dataclass(frozen=True)
class _Total:
    """The sum of what a function makes of the blocks of a chunk."""

    function: Callable[..., Any]

    def __call__(
        self, reading: _Reading, rows: Any, weights: Array | None, *of_rows: Array
    ) -> Any:
        return reading.observe(rows, weights).total(self.function, *of_rows)


def _take(reading: _Reading, rows: Any, weights: Array | None, wanted: Array) -> Any:
    """Those rows of a positive weight that are wanted."""
    return rows[wanted if weights is None else np.flatnonzero(weights > 0)[wanted]]


def _send(
    reading: _Reading,
    chunks: list[_Chunk],
    work: Callable[..., Any],
    of_rows: Sequence[tuple[Array, ...]] | None = None,
) -> list[Any]:
    """Tasks that work on the chunks, one for each."""
    from dask import delayed

    # What all chunks need is sent once.
    shipped = delayed((reading, work), traverse=False)
    parts = [()] * len(chunks) if of_rows is None else of_rows
    return [
        delayed(_work)(
            shipped, chunk.block, chunk.start, chunk.shape, chunk.weights, *part
        )
        for chunk, part in zip(chunks, parts, strict=True)
    ]


@one_blas_thread
def _work(
    shipped: tuple[_Reading, Callable[..., Any]],
    block: Any,
    start: int,
    shape: tuple[int, int],
    weights: Array | None,
    *of_rows: Array,
) -> Any:
    reading, work = shipped
    with config_context(**reading.config), _telling(start):
        _refuse_shape(block, shape)
        return work(reading, reading.check(block), weights, *of_rows)


@contextmanager
def _telling(start: int) -> Iterator[None]:
    """Tell in errors which block they are about."""
    try:
        yield
    except ValueError as error:
        if start == 0:
            raise
        raise ValueError(
            f"{error} (In the block of X that begins at row {start}, from which rows "
            "are counted here.)"
        ) from error


def _refuse_shape(block: Any, shape: tuple[int, int]) -> None:
    """Refuse a block that is not what its array says."""
    if block.shape != shape:
        raise ValueError(
            f"A block of X has the shape {block.shape}, but the chunks of X say "
            f"{shape}. Build X with the shapes that its blocks have."
        )


@dataclass(frozen=True)
class _Call:
    """A method of a fitted estimator, for chunks."""

    estimator: Any
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    config: dict[str, Any]

    @classmethod
    def of(
        cls,
        estimator: Any,
        method: str,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> _Call:
        """The call on a copy that a later fit leaves alone, without running sums."""
        check_is_fitted(estimator)
        fitted = object.__new__(type(estimator))
        vars(fitted).update(estimator.get_params(deep=False))
        vars(fitted).update(
            n_jobs=1, n_features_in_=estimator.n_features_in_, _model=estimator._model
        )
        config = get_config() | {"transform_output": "default"}
        return cls(fitted, method, arguments, options, config)

    def __call__(self, rows: Any, **of_entries: Any) -> tuple[Array, ...]:
        with config_context(**self.config):
            results = getattr(self.estimator, self.method)(
                rows, *self.arguments, **of_entries, **self.options
            )
        return results if isinstance(results, tuple) else (results,)


def _call_on(
    call: _Call,
    block: Any,
    start: int,
    shape: tuple[int, int],
    like: tuple[Array, ...],
) -> Any:
    """Results for the rows of a chunk, of the dtypes of others."""
    with _telling(start):
        _refuse_shape(block, shape)
        results = call(block)
    return tuple(
        result.astype(of.dtype, copy=False)
        for result, of in zip(results, like, strict=True)
    )


def _call_at(
    call: _Call,
    block: Any,
    start: int,
    shape: tuple[int, int],
    of_entries: dict[str, Array],
) -> tuple[Array, ...]:
    """Results for some entries of a chunk."""
    parts = dict(of_entries)
    entries = parts.pop("rows"), parts.pop("columns")
    with _telling(start):
        _refuse_shape(block, shape)
        return call(block, entries=entries, **parts)


def _row_of_holes(X: Any) -> Any:
    return sparse.csr_array((1, X.shape[1]), dtype=_dtype_of(X))


def _dtype_of(X: Any) -> np.dtype[Any]:
    """Single precision stays; all else is read in double."""
    return np.dtype(np.float32 if X.dtype == np.float32 else np.float64)


def _blocks(X: Any) -> list[tuple[int, int, Any]]:
    """First row, end, and the Delayed of each chunk with rows."""
    bounds = pairwise(np.cumsum([0, *X.chunks[0]]).tolist())
    blocks = X.to_delayed().ravel()
    return [
        (start, stop, block)
        for (start, stop), block in zip(bounds, blocks, strict=True)
        if stop > start
    ]


def to_memory(array: Any) -> Array:
    """An array as it is, or a lazy one computed."""
    return array if isinstance(array, np.ndarray) else _compute([array])[0]


def _compute(tasks: Sequence[Any]) -> tuple[Any, ...]:
    import dask

    with warnings.catch_warnings():
        # Parameters travel with the tasks, so that a lost worker loses none.
        warnings.filterwarnings("ignore", message="Sending large graph")
        return dask.compute(*tasks)
