# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the columns that describe the row, and of known features of columns."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._columns import no_covariates


def find_columns(covariates: Any, names: Array | None, n_columns: int) -> Array:
    """Sorted indices of columns that are given as indices or names.

    Raises
    ------
    ValueError
        For a column that X has not, that is named twice, or if no column is left.
    """
    if covariates is None:
        return no_covariates()
    if isinstance(covariates, (str, Integral)):
        raise ValueError(
            f"covariates should be a list of columns, but got {covariates!r}. Pass "
            f"[{covariates!r}]."
        )
    listed = list(covariates)
    if all(isinstance(each, (bool, np.bool_)) for each in listed) and listed:
        raise ValueError(
            "covariates should be indices or names of columns, but got booleans. Pass "
            "np.flatnonzero of them."
        )
    found = np.array([_find_column(each, names, n_columns) for each in listed], np.intp)
    columns, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"covariates name column {columns[counts.argmax()]} of X more than once."
        )
    if len(columns) == n_columns:
        raise ValueError(
            f"All of the {n_columns} columns of X are covariates, so that none is "
            "left to model."
        )
    return columns


def _find_column(column: Any, names: Array | None, n_columns: int) -> int:
    if isinstance(column, str):
        if names is None:
            raise ValueError(
                f"covariates name the column {column!r}, but X has no column names. "
                "Pass a frame (after a scaler: set_output(transform='pandas')), or "
                "indices of columns."
            )
        matches = np.flatnonzero(names == column)
        if not matches.size:
            raise ValueError(
                f"covariates name the column {column!r}, which X has not. Its columns "
                f"are {_list_some(names)}."
            )
        return int(matches[0])
    if not isinstance(column, Integral) or isinstance(column, bool):
        raise ValueError(
            "covariates should be indices or names of columns, but one of them is "
            f"{column!r}."
        )
    if not -n_columns <= int(column) < n_columns:
        raise ValueError(
            f"covariates contain the index {column}, but X has {n_columns} columns."
        )
    return int(column) % n_columns


def check_column_features(
    features: Any,
    names: Array | None,
    n_columns: int,
    columns: str = "columns of X, covariates included",
) -> Array | None:
    """Features of columns (q, d), NaN where missing; an error names the `columns`.

    A frame with an index of names is put in the order of the columns of X. In a sparse
    matrix a feature that is not stored is 0.

    Raises
    ------
    ValueError
        For features that are not numbers, are infinite, or do not match the columns.
    """
    if features is None:
        return None
    if isinstance(features, np.ma.MaskedArray):
        raise ValueError(
            "column_features is a numpy masked array, whose mask would be lost. Pass "
            "column_features.filled(np.nan), of a float dtype, instead."
        )
    if nw.dependencies.is_into_dataframe(features):
        table = _align(features, names, n_columns)
    else:
        table = _to_array(features)
    if table.ndim != 2 or len(table) != n_columns:
        raise ValueError(
            f"column_features should have one row for each of the {n_columns} "
            f"{columns}, but got the shape {table.shape}."
        )
    infinite = np.argwhere(np.isinf(table))
    if infinite.size:
        raise ValueError(
            "column_features should be finite, or NaN where missing, but row "
            f"{infinite[0, 0]}, feature {infinite[0, 1]} is infinite."
        )
    return table.T


def _to_array(features: Any) -> Array:
    if sparse.issparse(features):
        return features.toarray().astype(np.float64)
    try:
        return np.array(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"column_features should be a table of numbers: {error}. Encode categories "
            "first (OneHotEncoder)."
        ) from error


def _align(features: Any, names: Array | None, n_columns: int) -> Array:
    """The values of a frame, its rows in the order of the columns of X."""
    frame = nw.from_native(features, eager_only=True)
    for name, dtype in frame.schema.items():
        if not (dtype.is_numeric() or dtype == nw.Boolean):
            raise ValueError(
                f"column_features should be numbers, but the feature {name!r} is "
                f"{dtype}. Encode it first (OneHotEncoder), or leave it out."
            )
    values = np.column_stack(
        [
            frame.get_column(name).cast(nw.Float64()).fill_null(np.nan).to_numpy()
            for name in frame.columns
        ]
    )
    index = getattr(features, "index", None)
    if index is None or list(index) == list(range(n_columns)):
        return values
    if names is None:
        raise ValueError(
            "column_features is a frame with an index, but X has no column names to "
            "match it with. Pass X as a frame, or column_features.to_numpy() in the "
            "order of the columns."
        )
    if not index.is_unique:
        raise ValueError(
            "column_features has more than one row for the column "
            f"{index[index.duplicated()][0]!r}."
        )
    positions = index.get_indexer(names)
    if (positions < 0).any():
        raise ValueError(
            "column_features has no row for these columns of X: "
            f"{_list_some(names[positions < 0])}. Add rows, with NaN for unknown "
            "features (for covariates too)."
        )
    return values[positions]


def _list_some(names: Array) -> str:
    listed = ", ".join(repr(name) for name in names[:10])
    return listed + (", ..." if len(names) > 10 else "")
