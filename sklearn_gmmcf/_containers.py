# SPDX-License-Identifier: BSD-3-Clause
"""Completed tables, arrays or frames of any library, as the imputer returns them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._ids import is_missing
from sklearn_gmmcf._table_series import Table, write
from sklearn_gmmcf._typing import Array


def is_frame(table: Any) -> bool:
    return bool(nw.dependencies.is_into_dataframe(table))


def take_columns(table: Any, columns: Array) -> Any:
    """Some columns of a table, by their indices."""
    if len(columns) == table.shape[1]:
        return table
    if isinstance(table, np.ndarray):
        return table[:, columns]
    return nw.from_native(table, eager_only=True)[:, columns.tolist()].to_native()


def append_columns(table: Any, names: Sequence[str], columns: Array) -> Any:
    """A table with further columns (n, m) of bools; in an array of its dtype.

    Arrays of dates become objects.
    """
    if isinstance(table, np.ndarray):
        if table.dtype.kind in "mM" and columns.shape[1]:
            # Objects of nanoseconds would be integers.
            table = table.astype(f"{table.dtype.kind}8[us]").astype(object)
        return np.hstack([table, columns.astype(table.dtype)])
    frame = nw.from_native(table, eager_only=True)
    made = nw.from_dict(
        {
            name: column.astype(bool)
            for name, column in zip(names, columns.T, strict=True)
        },
        backend=frame.implementation,
    )
    if frame.implementation.is_pandas():
        made = nw.from_native(made.to_native().set_axis(table.index), eager_only=True)
    return nw.concat([frame, made], how="horizontal").to_native()


def has_numbers(X: Any) -> bool:
    """Whether an array, or what becomes one, has numbers only; nulls aside."""
    array = np.asarray(X)
    if array.dtype.kind in "USmM":
        return False
    if array.dtype.kind != "O":
        return True
    values = array.ravel().tolist()
    return all(is_missing(value) or _is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def fill_nulls(X: Any) -> Any:
    """An array of numbers with NaN in the place of nulls of other types."""
    array = np.asarray(X)
    if array.dtype.kind != "O":
        return X
    values = [np.nan if is_missing(value) else value for value in array.ravel()]
    return np.array(values, dtype=np.float64).reshape(array.shape)


def mark_missing(table: Any, missing_values: Any) -> Any:
    """A table with nulls in the place of a value that marks missing entries."""
    if missing_values is None or missing_values != missing_values:
        return table
    if isinstance(table, np.ndarray):
        if table.dtype.kind != "O":  # of dates
            return table
        is_marker = [not is_missing(v) and v == missing_values for v in table.ravel()]
        table = table.copy()
        table[np.reshape(is_marker, table.shape)] = None
        return table
    frame = nw.from_native(_make_nullable(table), eager_only=True)
    is_text = isinstance(missing_values, str)
    for name, dtype in frame.schema.items():
        texts = dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object)
        if texts if is_text else dtype.is_numeric() or dtype == nw.Object:
            column = nw.col(name)
            frame = frame.with_columns(nw.when(column != missing_values).then(column))
    return frame.to_native()


def _make_nullable(table: Any) -> Any:
    """A frame of pandas whose integers may be missing; other frames as they are."""
    if not nw.dependencies.is_pandas_dataframe(table):
        return table
    kinds = {"i": "Int", "u": "UInt"}
    return table.astype(
        {
            name: f"{kinds[dtype.kind]}{8 * dtype.itemsize}"
            for name, dtype in table.dtypes.items()
            if isinstance(dtype, np.dtype) and dtype.kind in kinds
        }
    )


def restore_dtypes(table: Any, given: Any) -> Any:
    """A frame of pandas with NumPy's numbers where the given one had its integers."""
    if not nw.dependencies.is_pandas_dataframe(table):
        return table
    dtypes = {}
    for name, dtype in table.dtypes.items():
        before = given.dtypes[name]
        was_integer = isinstance(before, np.dtype) and before.kind in "iu"
        if was_integer and not isinstance(dtype, np.dtype):
            dtypes[name] = np.float64 if dtype.kind == "f" else before
    return table.astype(dtypes)


def restore_missing(
    table: Any, kept: Array, mask: Array, template: Table, missing_values: Any
) -> Any:
    """A table with the columns (d,) of a template, from its kept ones.

    Entries are missing where the mask says so, and columns that were not kept are
    missing as a whole.
    """
    if isinstance(table, np.ndarray):
        dtype = table.dtype
        if dtype.kind in "mM":
            missing_values = "NaT"
        elif dtype.kind not in "fO":
            dtype = np.result_type(dtype, type(missing_values))
        restored = np.full(mask.shape, missing_values, dtype=dtype)
        restored[:, kept] = table
        restored[mask] = missing_values
        return restored
    frame = nw.from_native(table, eager_only=True)
    columns = dict(zip(kept.tolist(), frame.columns, strict=True))
    made = []
    for j, name in enumerate(template.names):
        # Columns of arrays have numbers, those of frames have names.
        name = name if not template.is_array else columns.get(j, f"x{j}")
        if j not in columns:
            made.append(_make_empty(frame, template, j).alias(name))
            continue
        shown = nw.new_series("shown", ~mask[:, j], backend=frame.implementation)
        made.append(nw.when(_align(shown, frame)).then(nw.col(columns[j])).alias(name))
    return frame.select(*made).to_native()


def _make_empty(frame: Any, template: Table, j: int) -> Any:
    """A column without values for a frame, with the dtype that a template has."""
    if not template.is_like(Table.open(frame.to_native())):
        return nw.lit(None)
    like = template.column(j)
    null = np.nan if like.dtype.is_numeric() else None
    return _align(write(like, np.full(len(frame), null), None), frame)


def _align(series: Any, frame: Any) -> Any:
    """A series with the index of a frame of pandas."""
    if not frame.implementation.is_pandas():
        return series
    native = series.to_native().set_axis(frame.to_native().index)
    return nw.from_native(native, series_only=True)


def convert(table: Any, kind: Any, names: Sequence[str]) -> Any:
    """A table as an array ("default"), or as a frame of "pandas" or "polars".

    The columns of an array get names.
    """
    if kind == "default":
        if isinstance(table, np.ndarray):
            return table
        return _to_array(nw.from_native(table, eager_only=True))
    if isinstance(table, np.ndarray):
        return nw.from_dict(
            {
                name: column.tolist() if column.dtype.kind == "O" else column
                for name, column in zip(names, table.T, strict=True)
            },
            backend=kind,
        ).to_native()
    frame = nw.from_native(table, eager_only=True)
    return frame.to_pandas() if kind == "pandas" else frame.to_polars()


def _to_array(frame: Any) -> Array:
    """An array of numbers, of which bools are some; else of objects."""
    dtypes = frame.schema.values()
    if all(dtype.is_numeric() for dtype in dtypes):
        return np.asarray(frame.to_numpy())
    if all(dtype.is_numeric() or dtype == nw.Boolean for dtype in dtypes):
        return np.asarray(frame.select(nw.all().cast(nw.Float64)).to_numpy())
    array = np.empty(frame.shape, dtype=object)
    for j, name in enumerate(frame.columns):
        array[:, j] = frame.get_column(name).to_list()
    return array
