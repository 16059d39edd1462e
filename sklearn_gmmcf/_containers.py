"""Tables of any library, as the imputer hands them out: arrays, and frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._typing import Array


def is_frame(table: Any) -> bool:
    return bool(nw.dependencies.is_into_dataframe(table))


def take_columns(table: Any, columns: Array) -> Any:
    """Some columns of a table, by their indices."""
    if isinstance(table, np.ndarray):
        return table[:, columns]
    frame = nw.from_native(table, eager_only=True)
    if len(columns) == frame.shape[1]:
        return table
    return frame[:, columns.tolist()].to_native()


def append_columns(table: Any, names: Sequence[str], columns: Array) -> Any:
    """A table with further columns (n, m) of bools; of floats in an array."""
    if isinstance(table, np.ndarray):
        return np.hstack([table, columns.astype(table.dtype)])
    frame = nw.from_native(table, eager_only=True)
    made = [
        nw.new_series(name, column.astype(bool), backend=frame.implementation)
        for name, column in zip(names, columns.T, strict=True)
    ]
    if frame.implementation.is_pandas():
        index = table.index
        made = [nw.from_native(each.to_native().set_axis(index), series_only=True) for each in made]
    return frame.with_columns(*made).to_native()


def hide_entries(table: Any, mask: Array, missing_values: Any) -> Any:
    """A table with the entries of a mask (n, d) missing."""
    if isinstance(table, np.ndarray):
        return np.where(mask, missing_values, table)
    frame = nw.from_native(table, eager_only=True)
    columns = []
    for name, hidden in zip(frame.columns, mask.T, strict=True):
        kept = nw.new_series(name, ~hidden, backend=frame.implementation)
        ...
    return frame


def convert(table: Any, kind: str, names: Sequence[str], given: Any) -> Any:
    """A table as an array ("default"), or as a frame of "pandas" or "polars".

    ``given`` is the input of the call, whose index a frame of pandas gets.
    """
    if kind == "default":
        if isinstance(table, np.ndarray):
            return table
        return nw.from_native(table, eager_only=True).to_numpy()
    if isinstance(table, np.ndarray):
        columns = {name: table[:, j] for j, name in enumerate(names)}
        made = nw.from_dict(columns, backend=kind).to_native()
        if kind == "pandas" and hasattr(given, "index") and is_frame(given):
            made.index = given.index
        return made
    frame = nw.from_native(table, eager_only=True)
    return frame.to_pandas() if kind == "pandas" else frame.to_polars()
