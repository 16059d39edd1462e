# SPDX-License-Identifier: BSD-3-Clause
"""Numbers of any table: frames, lists and arrays of any dtype, sparse matrices.

Each form of a table means one thing, or is refused by the name of a column: numbers and
bools are values; None, NaN, NA, NaT and null are missing; text, categories, dates,
durations and complex numbers are refused, as any number that is made of them would be a
guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, NoReturn

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from sklearn_gmmcf._frames import list_columns, open_frame, to_floats
from sklearn_gmmcf._ids import is_missing
from sklearn_gmmcf._typing import Array

CHECK_OPTIONS: dict[str, Any] = {
    "dtype": [np.float64, np.float32],
    "ensure_all_finite": "allow-nan",
}
# Of columns without a value, which decide no dtype.
_NEUTRAL = np.dtype(np.float16)
# numpy converts these at once.
_QUICK_TYPES = {
    float,
    int,
    bool,
    type(None),
    np.float64,
    np.float32,
    np.int64,
    np.bool_,
}
_KINDS = {
    "U": "text",
    "C": "categories",
    "M": "dates",
    "m": "durations",
    "t": "times of day",
    "c": "complex numbers",
    "V": "records",
}
_ENCODERS = "MixtureImputer or tables.TableEncoder"
_WAYS_OUT = {
    "U": f"Convert it, such as by astype(float), or use {_ENCODERS}, which take text.",
    "C": "If its levels are quantities, convert it by astype(float); else use "
    f"{_ENCODERS}, which take categories.",
    "M": "Convert it to a number, such as days since a date, or use "
    f"{_ENCODERS}, which take dates.",
    "m": "Convert it to a number, such as by dividing by np.timedelta64(1, 'D'), or "
    f"use {_ENCODERS}, which take durations.",
    "t": "Convert it to a number, such as hours since midnight.",
    "c": "Pass real and imaginary parts as columns of their own.",
    "V": "Pass each of their parts as a column of its own.",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "U": (str, bytes),
    "M": (date, np.datetime64),
    "m": (timedelta, np.timedelta64),
    "t": (time,),
    "c": (complex, np.complexfloating),
    "V": (tuple, np.void),
}
_DTYPES: dict[str, tuple[type, ...]] = {
    "U": (nw.String, nw.Binary),
    "C": (nw.Categorical, nw.Enum),
    "M": (nw.Datetime, nw.Date),
    "m": (nw.Duration,),
    "t": (nw.Time,),
    "V": (nw.Struct, nw.List, nw.Array),
}


def check_numbers(
    X: Any, *, name: str = "X", missing_values: float = np.nan, **options: Any
) -> Any:
    """X as an array or a sparse matrix of float64 or float32, NaN where missing.

    Parameters
    ----------
    X : frame, array-like or sparse matrix
    name : str
        How errors name it.
    missing_values : float
        What marks a missing entry in X.
    options
        Of scikit-learn's `check_array`.
    """
    keep_sparse = keeps_sparse(options, missing_values)
    numbers = read_numbers(X, name, keep_sparse=keep_sparse)
    with naming_infinity(numbers, X):
        return check_array(numbers, input_name=name, **(CHECK_OPTIONS | options))


def keeps_sparse(options: dict[str, Any], missing_values: float) -> bool:
    """Whether sparse columns that are NaN elsewhere may become a sparse matrix.

    Beside another marker of missing entries, NaN is refused, as in dense columns.
    """
    return bool(options.get("accept_sparse")) and bool(np.isnan(missing_values))


def read_numbers(X: Any, name: str = "X", *, keep_sparse: bool = True) -> Any:
    """X as scikit-learn's validation reads it without loss, or an error.

    Arrays and sparse matrices of numbers are returned as they are, and so is anything
    that scikit-learn refuses: ragged lists, arrays without two dimensions. With
    `keep_sparse`, a frame of sparse columns that are NaN elsewhere becomes CSR.
    """
    check_unmasked(X, name)
    if sparse.issparse(X):
        return _read_sparse(X, name)
    if nw.dependencies.is_polars_lazyframe(X):
        raise ValueError(f"{name} is a LazyFrame. Pass {name}.collect().")
    if nw.dependencies.is_pandas_dataframe(X):
        return _read_pandas(X, name, keep_sparse)
    if nw.dependencies.is_into_dataframe(X):
        return _read_frame(X, name)
    try:
        array = np.asarray(X)
    except ValueError:  # a ragged list
        return X
    if array.dtype.names is not None:
        raise ValueError(
            f"{name} is an array of records. Pass a frame, such as "
            f"pandas.DataFrame({name})."
        )
    if array.ndim != 2:
        return X
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # which turned no number to text
    if array.dtype.kind in "fiub":
        return array
    names = (_name_column(j, name) for j in range(array.shape[1]))
    return _stack(map(_read_array, names, array.T), array.shape)


def check_unmasked(X: Any, name: str = "X") -> None:
    """Refuse masked arrays, whose mask scikit-learn's validation would drop."""
    is_list = isinstance(X, (list, tuple)) and X and isinstance(X[0], np.ndarray)
    if any(isinstance(row, np.ma.MaskedArray) for row in (X if is_list else [X])):
        raise ValueError(
            f"{name} is, or has, a numpy masked array, whose mask scikit-learn's "
            "validation drops. Pass X.filled(np.nan), of a float dtype, instead."
        )


@contextmanager
def naming_infinity(numbers: Any, X: Any) -> Iterator[None]:
    """Name the place of the first infinity where scikit-learn refuses `numbers`."""
    try:
        yield
    except ValueError as error:
        place = _find_infinity(numbers) if "infinity" in str(error) else None
        if place is None:
            raise
        row, j = place
        is_frame = nw.dependencies.is_into_dataframe(X)
        label = repr(list_columns(X)[j]) if is_frame else j
        raise ValueError(
            f"{error} The first is in column {label}, row {row} (from 0). Replace "
            "infinities by NaN if they are missing values."
        ) from None


def _find_infinity(numbers: Any) -> tuple[int, int] | None:
    """Row and column of the first infinity, column by column."""
    if sparse.issparse(numbers):
        coo = numbers.tocoo()
        rows, columns = (e[np.isinf(coo.data)] for e in (coo.row, coo.col))
    else:
        array = np.asarray(numbers, dtype=np.float64)
        rows, columns = np.nonzero(np.isinf(array))
    if not len(rows):
        return None
    first = np.lexsort((rows, columns))[0]
    return int(rows[first]), int(columns[first])


def _name_column(label: Any, name: str) -> str:
    return f"Column {label!r} of {name}"


def _stack(columns: Iterable[Array], shape: tuple[int, int]) -> Array:
    """Columns as a matrix: float32 if all that hold a value are, else float64."""
    matrix, dtypes = np.empty(shape), set()
    for j, column in enumerate(columns):
        matrix[:, j] = column
        dtypes.add(column.dtype)
    single = np.dtype(np.float32)
    return matrix.astype(single) if dtypes - {_NEUTRAL} == {single} else matrix


def _read_sparse(X: Any, name: str) -> Any:
    if X.format in ("bsr", "dia"):
        raise ValueError(
            f"Sparse {name} in {X.format!r} format stores padding that cannot be told "
            "from observations. Build it in 'coo', 'csr' or 'csc' format, with one "
            "stored entry for each observed value, zeros included."
        )
    if X.dtype.kind != "c":
        return X
    coo = X.tocoo()
    if not coo.nnz:
        raise ValueError(f"Complex data not supported: sparse {name} is of {X.dtype}.")
    first = np.lexsort((coo.row, coo.col))[0]
    column = _name_column(int(coo.col[first]), name)
    _refuse_kind(column, "c", coo.data[first], int(coo.row[first]))


def _read_pandas(X: Any, name: str, keep_sparse: bool) -> Any:
    dtypes = list(X.dtypes)
    if dtypes and all(d == dtypes[0] for d in dtypes) and _is_plain(dtypes[0]):
        return X.to_numpy()
    names = [_name_column(label, name) for label in X.columns]
    series = [X.iloc[:, j] for j in range(X.shape[1])]
    if keep_sparse and series and all(_is_nan_elsewhere(d) for d in dtypes):
        return _read_sparse_columns(names, [each.array for each in series], len(X))
    return _stack(map(_read_pandas_series, names, series), X.shape)


def _read_frame(X: Any, name: str) -> Array:
    frame = open_frame(X, name)
    dtypes = set(frame.schema.values())
    if dtypes in ({nw.Float64()}, {nw.Float32()}) and hasattr(X, "to_numpy"):
        return np.asarray(X.to_numpy())  # of polars without a copy, if nothing is null
    names = (_name_column(label, name) for label in frame.columns)
    return _stack(map(_read_series, names, frame.iter_columns()), frame.shape)


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _is_sparse(dtype: Any) -> bool:
    return type(dtype).__name__ == "SparseDtype"


def _is_nan_elsewhere(dtype: Any) -> bool:
    return _is_sparse(dtype) and is_missing(dtype.fill_value)


def _read_sparse_columns(names: list[str], columns: list[Any], n_rows: int) -> Any:
    """CSR of the values, less NaN, that sparse columns of pandas store."""
    values, rows = [], []
    for name, column in zip(names, columns, strict=True):
        numbers = _read_array(name, np.asarray(column.sp_values))
        stored = ~np.isnan(numbers)
        values.append(numbers[stored])
        rows.append(column.sp_index.to_int_index().indices[stored])
    indptr = np.cumsum([0, *(len(each) for each in rows)])
    arrays = np.concatenate(values), np.concatenate(rows), indptr
    return sparse.csc_array(arrays, shape=(n_rows, len(columns))).tocsr()


def _read_pandas_series(column: str, series: Any) -> Array:
    if _is_sparse(series.dtype):
        series = series.sparse.to_dense()
    if isinstance(series.dtype, np.dtype):
        return _read_array(column, series.to_numpy())
    return _read_series(column, nw.from_native(series, series_only=True))


def _read_series(column: str, series: Any) -> Array:
    """A series of narwhals as numbers (n,)."""
    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return to_floats(series)
    missing = series.is_null().to_numpy().astype(bool)
    if missing.all():
        return _all_missing(len(series))
    row = int(np.argmin(missing))
    for kind, dtypes in _DTYPES.items():
        if isinstance(dtype, dtypes):
            _refuse_kind(column, kind, series[[row]].to_list()[0], row)
    return _read_objects(column, series.to_list())


def _read_array(column: str, values: Array) -> Array:
    """A column (n,) of an array of any dtype as numbers."""
    kind = values.dtype.kind
    if kind in "fiub":
        return values
    if kind in "mM":
        missing = np.isnat(values)
        if missing.all():
            return _all_missing(len(values))
        row = int(np.argmin(missing))
        _refuse_kind(column, kind, values[row], row)
    return _read_objects(column, values)


def _all_missing(n: int) -> Array:
    return np.full(n, np.nan, dtype=_NEUTRAL)


def _read_objects(column: str, values: Any) -> Array:
    """Objects (n,) that are numbers, bools or missing, as floats."""
    numbers = _read_at_once(values)
    if numbers is None:
        numbers = _read_one_by_one(column, values)
    return numbers if not np.isnan(numbers).all() else _all_missing(len(numbers))


def _read_at_once(values: Any) -> Array | None:
    if not set(map(type, values)) <= _QUICK_TYPES:
        return None
    try:
        return np.array(values, dtype=object).astype(np.float64)
    except OverflowError:
        return None


def _read_one_by_one(column: str, values: Any) -> Array:
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if isinstance(value, (Real, np.bool_, Decimal)):
            try:
                numbers[row] = value
            except OverflowError:
                numbers[row] = np.inf  # refused as such
            except ValueError:  # a NaN of Decimal that signals
                pass
        elif not (is_missing(value) or value is np.ma.masked):
            _refuse_kind(column, _find_kind(value), value, row)
    return numbers


def _find_kind(value: Any) -> str:
    for kind, types in _TYPES.items():
        if isinstance(value, types):
            return kind
    return ""


def _refuse_kind(column: str, kind: str, value: Any, row: int) -> NoReturn:
    if isinstance(value, np.generic) and kind not in ("M", "m"):
        value = value.item()  # as users wrote it
    if not kind:
        # A type and a text that the checks of scikit-learn ask for.
        raise TypeError(
            f"{column} is {value!r} in row {row} (from 0), but float() argument must "
            f"be a string or a real number, not {type(value).__name__!r}. Pass a "
            "number, or NaN where it is missing."
        )
    # The same for complex data.
    prefix = "Complex data not supported: " if kind == "c" else ""
    raise ValueError(
        f"{prefix}{column} has {_KINDS[kind]}, such as {value!r} in row {row} (from "
        f"0), where numbers are needed. {_WAYS_OUT[kind]}"
    )
