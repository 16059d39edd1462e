# SPDX-License-Identifier: BSD-3-Clause
"""Fits that go on: whether they can, and columns that come with new rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_gmmcf._em import RunningStatistics
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import Family
from sklearn_gmmcf.data import Columns
from sklearn_gmmcf.data._column_features import check_column_features


def check_sums(
    running: RunningStatistics | None, n_iter: int, purpose: str
) -> RunningStatistics:
    """The sums over rows that a fit of `n_iter` iterations left, or why there are none.

    Raises
    ------
    ValueError
        If there are none.
    """
    if running is not None:
        return running
    if n_iter == 0:
        raise ValueError(
            f"{purpose} needs sums over rows, but fit made no iteration (max_iter=0). "
            "Increase max_iter, and fit anew."
        )
    raise ValueError(
        f"{purpose} needs sums over rows, which without_sums left out of this copy. "
        "Use the mixture that was copied, or fit anew."
    )


def check_exact(running: RunningStatistics) -> None:
    """Refuse sums from which no rows can be taken out."""
    if running.n_batches is not None:
        raise ValueError(
            "replaces needs sums over the rows of a fit, but this mixture learned from "
            "batches alone, whose sums are discounted. Call fit with all rows first."
        )
    if running.reference is None:
        raise ValueError(
            "replaces needs sums under the parameters of one fit, but partial_fit was "
            "called without replaces after fit, and summed up its rows under others. "
            "Call fit with all rows, and pass replaces in the first call of "
            "partial_fit after it; where all rows of X are new, replaces=X[:0], which "
            "are none."
        )


def check_no_weights(weights: Any, weights_name: str, rows_name: str) -> None:
    """Refuse weights of rows where there are no rows."""
    if np.ndim(weights) > 0 and len(weights):
        raise ValueError(
            f"{weights_name} has {len(weights)} weights, but {rows_name} has no rows."
        )


def check_new_features(
    column_features: Any, n_columns: int, columns: Columns
) -> Array | None:
    """Features (q, n_columns) of further columns, as many as the columns have."""
    if column_features is None:
        return None
    if columns.features is None:
        raise ValueError(
            "column_features are given for new columns, but this mixture was fitted "
            "without column_features. Leave them out, or fit anew with features of all "
            "columns."
        )
    features = check_column_features(column_features, None, n_columns, "new columns")
    n_features = len(columns.features)
    if features is not None and len(features) != n_features:
        raise ValueError(
            f"column_features should have the {n_features} features of the fit, but "
            f"got the shape {features.T.shape}. Pass NaN for missing features."
        )
    return features


def meet_columns(
    family: Family[Any, Any], parameters: Any, sums: Any, old: Columns, new: Columns
) -> tuple[Any, Any, Columns]:
    """Parameters and sums before rows that may observe columns for the first time."""
    new_columns = new.known & ~old.known
    if not new_columns.any():
        return parameters, sums, old
    parameters = family.recenter(parameters, old, new)
    if sums is not None:
        sums = family.add_columns(sums, parameters, new_columns)
    return parameters, sums, new
