"""Completed tables, arrays or frames of any library, as the imputer returns them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._ids import is_missing
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
    """A table with further columns (n, m) of bools; in an array of its dtype."""
    if isinstance(table, np.ndarray):
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
    if array.dtype.kind in "US":
        return False
    if array.dtype.kind != "O":
        return True
    values = array.ravel().tolist()
    return all(isinstance(value, Real) or is_missing(value) for value in values)


def mark_missing(table: Any, missing_values: Any) -> Any:
    """A table with nulls in the place of a value that marks missing entries."""
    if missing_values is None or missing_values != missing_values:
        return table
    if isinstance(table, np.ndarray):
        table = table.copy()
        table[table == missing_values] = None
        return table
    frame, is_text = (
        nw.from_native(table, eager_only=True),
        isinstance(missing_values, str),
    )
    for name, dtype in frame.schema.items():
        texts = dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object)
        if texts if is_text else dtype.is_numeric():
            column = nw.col(name)
            frame = frame.with_columns(nw.when(column != missing_values).then(column))
    return frame.to_native()


def restore_missing(
    table: Any, kept: Array, mask: Array, names: Sequence[str], missing_values: Any
) -> Any:
    """A table of all columns (d,), from its kept ones: missing where the mask says so.

    Columns that were not kept are missing as a whole.
    """
    if isinstance(table, np.ndarray):
        restored = np.full(
            mask.shape,
            missing_values,
            dtype=np.result_type(table, type(missing_values)),
        )
        restored[:, kept] = table
        restored[mask] = missing_values
        return restored
    frame = nw.from_native(table, eager_only=True)
    columns = dict(zip(kept.tolist(), frame.columns, strict=True))
    made = []
    for j, name in enumerate(names):
        if j not in columns:
            made.append(nw.lit(None).alias(name))
            continue
        shown = nw.new_series(name, ~mask[:, j], backend=frame.implementation)
        if frame.implementation.is_pandas():
            native = shown.to_native().set_axis(table.index)
            shown = nw.from_native(native, series_only=True)
        made.append(nw.when(shown).then(nw.col(columns[j])).alias(name))
    return frame.select(*made).to_native()


def convert(table: Any, kind: Any, names: Sequence[str], given: Any) -> Any:
    """A table as an array ("default"), or as a frame of "pandas" or "polars".

    An array gets the names of columns, and the index of the frame ``given``.
    """
    if kind == "default":
        if isinstance(table, np.ndarray):
            return table
        return nw.from_native(table, eager_only=True).to_numpy()
    if isinstance(table, np.ndarray):
        columns = {
            name: column.tolist() for name, column in zip(names, table.T, strict=True)
        }
        made = nw.from_dict(
            columns, backend=nw.Implementation.from_backend(kind)
        ).to_native()
        if kind == "pandas" and is_frame(given) and hasattr(given, "index"):
            made.index = given.index
        return made
    frame = nw.from_native(table, eager_only=True)
    return frame.to_pandas() if kind == "pandas" else frame.to_polars()
