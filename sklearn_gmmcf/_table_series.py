# SPDX-License-Identifier: BSD-3-Clause
"""Tables of any library: their columns as plain arrays, and plain arrays as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from numbers import Integral, Real
from typing import Any, NoReturn

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._frames import list_columns, open_frame, to_floats
from sklearn_gmmcf._ids import and_others, is_missing
from sklearn_gmmcf._table_templates import pack_frame, unpack_frame
from sklearn_gmmcf._typing import Array

# A column of a narwhals frame, or of a 2d numpy array.
Series = Any
TICKS_PER_DAY = {
    "D": 1,
    "s": 86_400,
    "ms": 86_400 * 10**3,
    "us": 86_400 * 10**6,
    "ns": 86_400 * 10**9,
}
_WAYS_OUT = (
    "Drop the column or convert it: lists to one column of bools for each element, "
    "complex numbers to two columns, Decimal objects to floats, times of day to "
    "durations, periods and dates of several timezones to dates of one, other objects "
    "to text."
)


@dataclass(frozen=True, eq=False)
class Column:
    """A column that was read.

    `kind` is "number", "integer", "bool", "date", "duration", "text", "category", or
    "empty" if no value is observed.
    """

    name: Any
    kind: str
    missing: Array  # (n,), bool
    # (n,): floats, NaN where missing; ticks since 1970 (int64) of dates, and ticks of
    # durations; objects of text and categories, None where missing
    values: Array
    tick: str = "us"  # unit of the ticks
    levels: Sequence[Any] | None = None  # declared by a categorical dtype, in its order
    scalar: type | None = None  # of the values, in a column of Python objects
    limits: tuple[float, float] = (-np.inf, np.inf)  # of the integer dtype
    example: Any = None  # an observed value
    is_numeric: bool = False  # by its dtype, in an empty column

    @property
    def observed(self) -> Array:
        return self.values[~self.missing]


@dataclass(frozen=True, eq=False)
class Table:
    """A table in memory: a frame of narwhals, or a 2d array with columns 0, 1, ..."""

    frame: Any
    names: list[Any]
    n_rows: int

    @classmethod
    def open(cls, X: Any) -> Table:
        """Read a frame or a 2d array.

        Raises
        ------
        ValueError
            If two columns have the same name, or X is not 2d.
        TypeError
            If X is lazy.
        """
        if isinstance(X, np.ndarray):
            if X.ndim != 2:
                raise ValueError(
                    f"X should be a frame or a 2d array, but is {X.ndim}d. Reshape "
                    "your data: X.to_frame() makes a frame of a series, and "
                    "X.reshape(-1, 1) a 2d array of one column."
                )
            return cls(X, list(range(X.shape[1])), X.shape[0])
        frame = open_frame(X)
        return cls(frame, list_columns(X), len(frame))

    @property
    def is_array(self) -> bool:
        return isinstance(self.frame, np.ndarray)

    def column(self, j: int) -> Series:
        if self.is_array:
            return self.frame[:, j]
        return self.frame.get_column(self.names[j])

    def empty(self) -> Table:
        """This table without rows: its columns and dtypes."""
        frame = self.frame[:0]
        if self.is_array:
            return Table(frame.copy(), self.names, 0)
        # A slice of a frame of pandas keeps all of its rows alive.
        return Table(frame.clone(), self.names, 0)

    def __getstate__(self) -> dict[str, Any]:
        packed = self.frame if self.is_array or self.n_rows else pack_frame(self.frame)
        return {**vars(self), "frame": packed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        frame = state["frame"]
        frame = unpack_frame(frame) if isinstance(frame, dict) else frame
        vars(self).update(state, frame=frame)

    def assemble(self, indices: Sequence[int], columns: Sequence[Series]) -> Any:
        """Make a table of this kind of columns in the place of some of its columns."""
        if self.is_array:
            return _stack(self.frame.dtype, columns, self.n_rows)
        native, implementation = self.frame.to_native(), self.frame.implementation
        namespace = nw.get_native_namespace(self.frame)
        names = [self.names[j] for j in indices]
        natives = [column.to_native() for column in columns]
        if implementation.is_polars():
            return namespace.DataFrame(
                [each.alias(name) for name, each in zip(names, natives, strict=True)]
            )
        if implementation.is_pyarrow():
            made = namespace.table(natives, names=names)
            return made.replace_schema_metadata(native.schema.metadata)
        n_rows = len(natives[0]) if natives else self.n_rows
        index = native.index if n_rows == self.n_rows else namespace.RangeIndex(n_rows)
        numbered = {i: each.set_axis(index) for i, each in enumerate(natives)}
        made = namespace.DataFrame(numbered, index=index)
        made.columns = native.columns[list(indices)]
        return made

    def assemble_numbers(self, indices: Sequence[int], numbers: Array) -> Any:
        """Make a table of this kind of floats (n, n_indices)."""
        if self.is_array:
            return numbers
        return self.assemble(indices, [self.make_column(each) for each in numbers.T])

    def make_column(self, values: Array) -> Series:
        """A column of this kind of table, of the dtype that suits the values."""
        if self.is_array:
            return values
        given = list(values) if values.dtype.kind == "O" else values
        return nw.new_series("column", given, backend=self.frame.implementation)

    def is_like(self, other: Table) -> bool:
        """Whether both tables are of one library."""
        if self.is_array or other.is_array:
            return self.is_array and other.is_array
        return bool(self.frame.implementation == other.frame.implementation)


def _stack(dtype: np.dtype[Any], columns: Sequence[Array], n_rows: int) -> Array:
    if not columns:
        return np.empty((n_rows, 0), dtype)
    if dtype.kind != "O":
        return np.column_stack(columns)
    stacked = np.empty((len(columns[0]), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        stacked[:, j] = _to_objects(column, None)
    return stacked


def check_eager(X: Any, reader: str) -> None:
    """Refuse lazy tables; `reader` begins the message, such as "TableEncoder reads"."""
    if hasattr(X, "collect") or hasattr(X, "compute"):
        raise TypeError(
            f"{reader} tables in memory, and X is a lazy {type(X).__name__}. Collect "
            "or compute it first."
        )


def find_missing(series: Series) -> Array:
    """Whether each entry (n,) is missing: null, None, NaN, NaT or NA."""
    if is_object(series):
        return np.array([is_missing(value) for value in _listed(series)], dtype=bool)
    if isinstance(series, np.ndarray):
        return np.asarray(series != series)
    missing = np.array(series.is_null().to_numpy(), dtype=bool)
    if series.dtype.is_float():
        observed = series[np.flatnonzero(~missing)].cast(nw.Float64).to_numpy()
        missing[~missing] = np.isnan(observed)
    return missing


def is_object(series: Series) -> bool:
    """Whether the column holds Python objects, whatever these are."""
    if isinstance(series, np.ndarray):
        return bool(series.dtype.kind == "O")
    return series.implementation.is_pandas_like() and series.to_native().dtype == object


def read_column(name: Any, series: Series) -> Column:
    """Read a column.

    Raises
    ------
    ValueError
        For a column that is neither of numbers, bools, dates, durations, text nor
        categories, or that has an infinite number.
    """
    series = _densify(series)
    missing = find_missing(series)
    if missing.all():
        unknown = np.full(len(missing), np.nan)
        return Column(name, "empty", missing, unknown, is_numeric=_is_numeric(series))
    observed = series[np.flatnonzero(~missing)]
    example = _listed(observed[:1])[0]
    if is_object(series):
        kind, values, scalar = _read_objects(name, _listed(observed))
    else:
        kind, values, scalar = *_read_typed(name, observed, example), None
    if kind in ("date", "duration"):
        tick = "ns" if np.datetime_data(values.dtype)[0] == "ns" else "us"
        values = values.astype(f"{values.dtype.kind}8[{tick}]").astype(np.int64)
        filled = _spread(missing, values, 0)
        return Column(name, kind, missing, filled, tick, None, scalar, example=example)
    if kind in ("text", "category"):
        filled = _spread(missing, values, None)
        levels = _declared_levels(series)
        return Column(name, kind, missing, filled, levels=levels, example=example)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = np.flatnonzero(~missing)[infinite[0]]
        raise ValueError(
            f"Column {name!r} of X is {values[infinite[0]]} in row {row} (from 0)"
            f"{and_others(len(infinite) - 1)}. Replace infinite numbers by finite ones "
            "or by missing values."
        )
    return Column(
        name,
        kind,
        missing,
        _spread(missing, values, np.nan),
        scalar=scalar,
        limits=_limits(series),
        example=example,
    )


def _read_typed(name: Any, observed: Series, example: Any) -> tuple[str, Array]:
    """Kind and values of a column that has a dtype, without its missing entries."""
    if not isinstance(observed, np.ndarray):
        dtype = observed.dtype
        if isinstance(dtype, (nw.Categorical, nw.Enum)):
            return "category", _to_array(observed.to_list())
        if dtype == nw.String:
            return "text", _to_array(observed.to_list())
        if dtype == nw.Boolean:
            return "bool", to_floats(observed)
        if dtype.is_numeric():
            kind = "integer" if dtype.is_integer() else "number"
            return kind, to_floats(observed).astype(np.float64)
        if dtype == nw.Date:
            return "date", np.array(observed.to_list(), dtype="M8[D]")
        if dtype.is_nested() or dtype in (nw.Time, nw.Object):
            _raise_unreadable(name, example)
        observed = observed.to_numpy()
    kinds = {"b": "bool", "i": "integer", "u": "integer", "f": "number"}
    kinds |= {"M": "date", "m": "duration", "U": "text"}
    if observed.dtype.kind not in kinds:
        _raise_unreadable(name, example)
    kind = kinds[observed.dtype.kind]
    if kind == "text":
        return kind, observed.astype(object)
    return kind, observed if kind in ("date", "duration") else observed.astype(float)


def _read_objects(name: Any, observed: list[Any]) -> tuple[str, Array, type | None]:
    """Kind, values and type of Python objects, without the missing ones."""
    for kind, types in _OBJECTS.items():
        if all(map(types, observed)):
            if kind == "text":
                return kind, _to_array(observed), None
            if kind == "bool":
                return kind, np.array(observed, dtype=np.float64), None
            if kind in ("integer", "number"):
                values = np.array([float(value) for value in observed])
                return kind, values, int if kind == "integer" else float
            if kind == "duration":
                return kind, np.array(observed, dtype="m8[us]"), timedelta
            scalar = date if kind == "day" else datetime
            return "date", np.array(observed, dtype="M8[us]"), scalar
    by_type = {type(value).__name__: value for value in reversed(observed)}
    if len(by_type) > 1:
        examples = ", ".join(f"{v!r} ({name})" for name, v in sorted(by_type.items()))
        raise ValueError(
            f"Column {name!r} of X mixes types: {examples}. Convert its values to one "
            "type, numbers or text, or drop it."
        )
    _raise_unreadable(name, observed[0])


def _is_datetime(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None


# The first kind whose test all values pass.
_OBJECTS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "integer": lambda value: isinstance(value, Integral) and not _is_bool(value),
    "number": lambda value: isinstance(value, Real) and not _is_bool(value),
    "duration": lambda value: isinstance(value, timedelta),
    "date": _is_datetime,
    "day": lambda value: isinstance(value, date) and not isinstance(value, datetime),
}


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _raise_unreadable(name: Any, example: Any) -> NoReturn:
    # scikit-learn's words, which its checks look for
    is_complex = isinstance(example, (complex, np.complexfloating))
    what = "Complex data not supported: column" if is_complex else "Column"
    raise ValueError(
        f"{what} {name!r} of X has values such as {example!r}, of type "
        f"{type(example).__name__}, which are neither numbers, bools, dates, durations "
        f"nor text. {_WAYS_OUT}"
    )


def _listed(series: Series) -> list[Any]:
    return list(series) if isinstance(series, np.ndarray) else series.to_list()


def _to_array(values: Sequence[Any]) -> Array:
    """Objects (n,), which may be sequences."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _spread(missing: Array, observed: Array, fill: Any) -> Array:
    """Observed values at their rows (n,)."""
    values = np.full(len(missing), fill, dtype=observed.dtype)
    values[~missing] = observed
    return values


def _densify(series: Series) -> Series:
    """A sparse column of pandas by its values."""
    if isinstance(series, np.ndarray) or not series.implementation.is_pandas_like():
        return series
    native = series.to_native()
    if not hasattr(native.dtype, "fill_value"):
        return series
    return nw.from_native(native.sparse.to_dense(), series_only=True)


def _is_numeric(series: Series) -> bool:
    if isinstance(series, np.ndarray):
        return series.dtype.kind in "iuf"
    return bool(series.dtype.is_numeric())


def _limits(series: Series) -> tuple[float, float]:
    """Smallest and largest number of an integer dtype, as floats within them."""
    name = str(series.dtype).lower()
    if not name.startswith(("int", "uint")):
        return -np.inf, np.inf
    bits = int(name.removeprefix("u").removeprefix("int"))
    low = 0 if name.startswith("u") else -(2 ** (bits - 1))
    high = 2**bits - 1 + low
    nearest = float(high)
    return float(low), nearest if nearest <= high else float(np.nextafter(nearest, 0))


def _declared_levels(series: Series) -> list[Any] | None:
    if isinstance(series, np.ndarray):
        return None
    if series.implementation.is_pandas_like():
        native = series.to_native()
        return list(native.cat.categories) if _is_categorical(native.dtype) else None
    return list(series.dtype.categories) if series.dtype == nw.Enum else None


def _is_categorical(dtype: Any) -> bool:
    """Whether a dtype is the categorical one of pandas."""
    return hasattr(dtype, "categories") and hasattr(dtype, "ordered")


def fill(series: Series, missing: Array, values: Array, scalar: type | None) -> Series:
    """Replace the missing entries of a column by values (n_missing,).

    All other entries stay as they are. The dtype stays, unless it cannot hold the
    values: categories are then added, and integers become floats.
    """
    if not missing.any():
        return series
    if isinstance(series, np.ndarray):
        written = write(series[:0], values, scalar)
        filled = series.astype(np.result_type(series, written))
        filled[missing] = written
        return filled
    series = _widen(series, values).alias("column")
    written = write(series[:0], values, scalar).alias("column")
    both = nw.concat([series.to_frame(), written.to_frame()], how="vertical")
    order = np.arange(len(missing))
    order[missing] = len(missing) + np.arange(len(values))
    return both.get_column("column")[order]


def write(like: Series, values: Array, scalar: type | None) -> Series:
    """A column of values (n,) with the dtype of another column, where it holds them.

    Values are floats, datetime64, timedelta64, or objects; NaN, NaT and None are
    missing. Python objects are of the type `scalar`.
    """
    if isinstance(like, np.ndarray):
        return _write_array(like.dtype, values, scalar)
    like = _widen(like, values)
    native, namespace = like.to_native(), nw.get_native_namespace(like)
    if like.implementation.is_polars():
        written = _write_polars(namespace, native.dtype, values)
    elif like.implementation.is_pyarrow():
        written = _write_arrow(namespace, native.type, values)
    else:
        written = _write_pandas(namespace, native.dtype, values, scalar)
    return nw.from_native(written, series_only=True)


def _widen(series: Series, values: Array) -> Series:
    """The column with a dtype that holds the values."""
    if values.dtype.kind == "f":
        finite = values[~np.isnan(values)]
        if series.dtype.is_integer() and (finite != np.rint(finite)).any():
            return _to_float(series)
        return series
    native = series.to_native()
    if series.implementation.is_pandas_like() and _is_categorical(native.dtype):
        new = [v for v in _unique(values) if v not in native.dtype.categories]
        if new:
            native = native.cat.add_categories(new)
            return nw.from_native(native, series_only=True)
    elif series.dtype == nw.Enum:
        levels = list(series.dtype.categories)
        new = [v for v in _unique(values) if v not in levels]
        return series.cast(nw.Enum([*levels, *new])) if new else series
    return series


def _to_float(series: Series) -> Series:
    """The column in double precision, nullable where it was nullable."""
    native = series.to_native()
    if series.implementation.is_pandas_like() and hasattr(native.dtype, "numpy_dtype"):
        name = (
            "double[pyarrow]" if hasattr(native.dtype, "pyarrow_dtype") else "Float64"
        )
        return nw.from_native(native.astype(name), series_only=True)
    return series.cast(nw.Float64)


def _unique(values: Array) -> list[Any]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _to_objects(values: Array, scalar: type | None) -> Array:
    """Python objects (n,), None where missing."""
    if values.dtype.kind == "f":
        whole = scalar is int and not (values % 1 > 0).any()
        convert = int if whole else float
        return _to_array([None if np.isnan(v) else convert(v) for v in values])
    if values.dtype.kind == "M":
        return values.astype("M8[D]" if scalar is date else "M8[us]").astype(object)
    if values.dtype.kind == "m":
        return values.astype("m8[us]").astype(object)
    return values


def _write_array(dtype: np.dtype[Any], values: Array, scalar: type | None) -> Array:
    if dtype.kind == "O":
        return _to_objects(values, scalar)
    if dtype.kind in "iu":
        return values.astype(dtype) if (values % 1 == 0).all() else values
    if dtype.kind in "bU":
        has_missing = any(value is None for value in values)
        to = np.bool_ if dtype.kind == "b" else np.str_
        return values if has_missing else values.astype(to)
    return values.astype(dtype)


def _write_pandas(pd: Any, dtype: Any, values: Array, scalar: type | None) -> Any:
    if isinstance(dtype, np.dtype):
        values = _write_array(dtype, values, scalar)
        return pd.Series(values, dtype=values.dtype)
    if hasattr(dtype, "pyarrow_dtype"):
        pa = nw.dependencies.get_pyarrow()
        written = _write_arrow(pa, dtype.pyarrow_dtype, values)
        return pd.Series(pd.arrays.ArrowExtensionArray(written))
    if hasattr(dtype, "fill_value"):  # sparse
        return _write_pandas(pd, dtype.subtype, values, scalar).astype(dtype)
    if values.dtype.kind == "M":  # with a timezone
        times = pd.Series(values.astype(f"M8[{dtype.unit}]"))
        return times.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
    if values.dtype.kind == "f":
        values = _to_objects(values, int if dtype.kind in "iu" else float)
    return pd.Series(values, dtype=dtype)


def _write_polars(pl: Any, dtype: Any, values: Array) -> Any:
    if values.dtype.kind == "O":
        return pl.Series(list(values), dtype=dtype)
    if values.dtype.kind == "f":
        return pl.Series(values, nan_to_null=True).cast(dtype)
    series = pl.Series(_to_ticks(values))
    if getattr(dtype, "time_zone", None):
        series = series.dt.replace_time_zone("UTC").dt.convert_time_zone(
            dtype.time_zone
        )
    return series.cast(dtype)


def _write_arrow(pa: Any, dtype: Any, values: Array) -> Any:
    if values.dtype.kind == "O":
        is_dictionary = pa.types.is_dictionary(dtype)
        array = pa.array(list(values), dtype.value_type if is_dictionary else dtype)
        if is_dictionary:
            array = array.dictionary_encode().cast(dtype)
    elif values.dtype.kind == "f":
        missing = np.isnan(values)
        array = pa.array(np.where(missing, 0, values), mask=missing).cast(dtype)
    else:
        array = pa.array(_to_ticks(values)).cast(dtype, safe=False)
    return pa.chunked_array([array])


def _to_ticks(values: Array) -> Array:
    """Dates or durations in microseconds, or in nanoseconds if they have these."""
    tick = "ns" if np.datetime_data(values.dtype)[0] == "ns" else "us"
    return values.astype(f"{values.dtype.kind}8[{tick}]")
