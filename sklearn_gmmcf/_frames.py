# SPDX-License-Identifier: BSD-3-Clause
"""Frames of any library, through narwhals: names that differ, columns as floats."""

from __future__ import annotations

from collections import Counter
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._typing import Array

# numpy has no such integers.
_WIDE_INTEGERS = (nw.Int128, nw.UInt128)


def open_frame(native: Any, name: str = "X") -> Any:
    """A narwhals frame; errors call it `name`."""
    names = list_columns(native)
    repeated = [label for label, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{name} has {names.count(repeated[0])} columns with the name "
            f"{repeated[0]!r}. Rename them."
        )
    return nw.from_native(native, eager_only=True)


def list_columns(native: Any) -> list[Any]:
    """Names of the columns of a frame of any library."""
    names = getattr(native, "column_names", None)  # of Arrow
    return list(native.columns if names is None else names)


def to_floats(series: Any) -> Array:
    """A narwhals series of numbers or bools as floats (n,), NaN where null.

    float32 stays; all else becomes float64, rounded where that is needed.
    """
    dtype, native = series.dtype, series.to_native()
    target = np.float32 if dtype == nw.Float32 else np.float64
    if series.implementation.is_pandas() and not isinstance(native.dtype, np.dtype):
        return np.asarray(native.to_numpy(dtype=target, na_value=np.nan))
    if dtype == nw.Boolean:
        series = series.cast(nw.UInt8)
    elif dtype.is_decimal() or isinstance(dtype, _WIDE_INTEGERS):
        series = series.cast(nw.Float64)
    return np.asarray(series.to_native().to_numpy()).astype(target, copy=False)
