"""The observed entries of what a user gave, as triples, and X without some of them.

Here X is still what the user gave: dense, a frame, or sparse in any format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data import check_duplicates, check_readable, is_observed


@dataclass(frozen=True, eq=False)
class Entries:
    """Observed entries, by rows and then columns, but those of COO in its own order."""

    shape: tuple[int, int]
    rows: Array  # (m,)
    columns: Array  # (m,)
    values: Array  # (m,)


def list_entries(X: Any, missing_values: float) -> Entries:
    """The observed entries of X."""
    check_readable(X)
    validated = check_array(
        X,
        accept_sparse=["csr", "coo"],
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        input_name="X",
    )
    if not sparse.issparse(validated):
        rows, columns = np.nonzero(is_observed(validated, missing_values))
        return Entries(validated.shape, rows, columns, validated[rows, columns])
    in_rows = validated.tocsr()
    if not in_rows.has_sorted_indices:
        in_rows = in_rows.sorted_indices()
    check_duplicates(X, in_rows)
    coo = validated if validated.format == "coo" else in_rows.tocoo()
    some = is_observed(coo.data, missing_values)
    rows, columns = coo.row[some].astype(np.intp), coo.col[some].astype(np.intp)
    return Entries(coo.shape, rows, columns, coo.data[some])


def hide(X: Any, rows: Array, columns: Array, missing_values: float) -> Any:
    """X with holes at some observed entries, of its own kind; X is not changed."""
    if sparse.issparse(X):
        coo = X.tocoo()
        keep = ~np.isin(
            coo.row.astype(np.intp) * X.shape[1] + coo.col,
            rows * X.shape[1] + columns,
        )
        kept = sparse.coo_array(
            (coo.data[keep], (coo.row[keep], coo.col[keep])), shape=X.shape
        )
        return type(X)(kept)
    if nw.dependencies.is_into_dataframe(X):
        return _hide_in_frame(X, rows, columns, missing_values)
    hidden = np.array(X)
    if hidden.dtype.kind != "f" and not _holds(hidden.dtype, missing_values):
        hidden = hidden.astype(np.float64)
    hidden[rows, columns] = missing_values
    return hidden


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether integers of this dtype can be this value."""
    if dtype.kind not in "iu" or not float(value).is_integer():
        return False
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _hide_in_frame(X: Any, rows: Array, columns: Array, missing_values: float) -> Any:
    """Null, or the number that marks a hole, in some columns of a frame."""
    frame = nw.from_native(X, eager_only=True)
    changed: list[Any] = []
    order = np.argsort(columns, kind="stable")
    found, starts = np.unique(columns[order], return_index=True)
    for column, of_column in zip(found, np.split(rows[order], starts[1:]), strict=True):
        shown = np.ones(len(frame), dtype=bool)
        shown[of_column] = False
        mask = nw.new_series("shown", shown, backend=frame.implementation)
        name = frame.columns[column]
        kept = nw.when(mask).then(frame.get_column(name))
        if np.isnan(missing_values):
            changed.append(kept.alias(name))
        else:
            changed.append(kept.otherwise(nw.lit(missing_values)).alias(name))
    return frame.with_columns(*changed).to_native()


def gather(Z: Any, rows: Array, columns: Array) -> Array:
    """Values of a matrix at some entries; NaN where a sparse one stores none."""
    if not sparse.issparse(Z):
        return check_array(Z, ensure_all_finite="allow-nan")[rows, columns]
    stored = Z.tocoo()
    keys = stored.row.astype(np.intp) * Z.shape[1] + stored.col
    order = np.argsort(keys)
    wanted = rows * Z.shape[1] + columns
    places = np.searchsorted(keys, wanted, sorter=order)
    places = order[np.minimum(places, len(keys) - 1)]
    return np.where(keys[places] == wanted, stored.data[places], np.nan)


def build(
    shape: tuple[int, int],
    rows: Array,
    columns: Array,
    values: Array,
    *,
    hole: float | None,
) -> Any:
    """A matrix of these entries: dense with `hole` elsewhere, or CSR if it is None."""
    coo = sparse.coo_array((values, (rows, columns)), shape=shape)
    csr = coo.tocsr()
    check_duplicates(coo, csr)
    if hole is None:
        return csr
    X = np.full(shape, hole, dtype=values.dtype)
    X[rows, columns] = values
    return X
