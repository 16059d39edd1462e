# SPDX-License-Identifier: BSD-3-Clause
"""Empty frames as plain values, so that skops stores encoders of frames, too."""

from __future__ import annotations

import io
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np


def pack_frame(frame: Any) -> Any:
    """Columns and dtypes of an empty narwhals frame, as plain values.

    A frame of another library than pandas, polars and pyarrow, or with a dtype that
    plain values do not restore, is returned as it is: pickle stores it, skops does not.
    """
    native, library = frame.to_native(), frame.implementation
    packers = {"pandas": _pack_pandas, "polars": _pack_polars, "pyarrow": _pack_arrow}
    pack = packers.get(library.value)
    if pack is None:
        return frame
    try:
        packed = {"library": library.value, **pack(native)}
        restored = unpack_frame(packed).to_native()
    # The libraries raise errors of many classes for dtypes that they cannot write.
    except Exception:
        return frame
    return packed if _is_same(native, restored) else frame


def unpack_frame(packed: dict[str, Any]) -> Any:
    """The narwhals frame that `pack_frame` packed."""
    library, namespace = packed["library"], _import(packed["library"])
    if library == "polars":
        native = namespace.read_ipc(io.BytesIO(packed["ipc"]))
    elif library == "pyarrow":
        native = _read_schema(namespace, packed["schema"]).empty_table()
    else:
        dtypes = enumerate(packed["dtypes"])
        empty = {
            j: namespace.Series([], dtype=_unpack_dtype(namespace, dtype))
            for j, dtype in dtypes
        }
        native = namespace.DataFrame(empty)
        if packed["multi"]:
            native.columns = namespace.MultiIndex.from_tuples(packed["names"])
        else:
            dtype = _unpack_dtype(namespace, packed["name_dtype"])
            native.columns = namespace.Index(
                packed["names"], dtype=dtype, tupleize_cols=False
            )
        native.columns.names = packed["level_names"]
    return nw.from_native(native, eager_only=True)


def _import(library: Any) -> Any:
    empty = nw.new_series("empty", [], nw.Float64, backend=library)
    return nw.get_native_namespace(empty)


def _is_same(native: Any, restored: Any) -> bool:
    """Whether columns and dtypes of two empty frames of one library are the same."""
    if hasattr(native, "schema"):
        metadata = getattr(native.schema, "metadata", None)
        return bool(
            native.schema == restored.schema
            and metadata == getattr(restored.schema, "metadata", None)
        )
    names = native.columns, restored.columns
    return bool(
        list(native.dtypes) == list(restored.dtypes)
        and names[0].equals(names[1])
        and names[0].dtype == names[1].dtype
    )


def _pack_polars(native: Any) -> dict[str, Any]:
    native.write_ipc(file := io.BytesIO())
    return {"ipc": file.getvalue()}


def _pack_arrow(native: Any) -> dict[str, Any]:
    return {"schema": native.schema.serialize().to_pybytes()}


def _read_schema(pa: Any, schema: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(schema))


def _pack_pandas(native: Any) -> dict[str, Any]:
    return {
        "dtypes": [_pack_dtype(dtype) for dtype in native.dtypes],
        "names": list(native.columns),
        "multi": hasattr(native.columns, "levels"),
        "name_dtype": _pack_dtype(native.columns.dtype),
        "level_names": list(native.columns.names),
    }


def _pack_dtype(dtype: Any) -> Any:
    """The name of a dtype of pandas, or values that make it."""
    if hasattr(dtype, "categories"):
        levels = dtype.categories
        return {
            "levels": levels.to_numpy(),
            "dtype": _pack_dtype(levels.dtype),
            "ordered": dtype.ordered,
        }
    if hasattr(dtype, "pyarrow_dtype"):
        pa = _import("pyarrow")
        return _pack_arrow(pa.table({"x": pa.array([], dtype.pyarrow_dtype)}))
    if hasattr(dtype, "storage"):  # of strings
        return {"storage": dtype.storage, "nan": isinstance(dtype.na_value, float)}
    if hasattr(dtype, "fill_value"):  # sparse
        return {"values": str(dtype.subtype), "fill_value": dtype.fill_value}
    return str(dtype)


def _unpack_dtype(pd: Any, packed: Any) -> Any:
    if isinstance(packed, str):
        return pd.api.types.pandas_dtype(packed)
    if "levels" in packed:
        levels = pd.Index(packed["levels"], dtype=_unpack_dtype(pd, packed["dtype"]))
        return pd.CategoricalDtype(levels, ordered=packed["ordered"])
    if "schema" in packed:
        return pd.ArrowDtype(_read_schema(_import("pyarrow"), packed["schema"])[0].type)
    if "fill_value" in packed:
        return pd.SparseDtype(packed["values"], packed["fill_value"])
    options = {"na_value": np.nan} if packed["nan"] else {}
    return pd.StringDtype(packed["storage"], **options)
