# SPDX-License-Identifier: BSD-3-Clause
"""Data whose outlying values are moved to a fence, for starts that bear outliers."""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._observed import Observed

# Interquartile ranges between the quartiles of a column and its fences (Tukey).
_FENCE = 1.5
# Most distinct rows whose values decide the fences.
_MAX_ROWS = 10_000


def clip_outliers(data: Observed) -> Observed:
    """The data with values beyond the fences of their columns moved there.

    A column without spread between its quartiles, such as a rare indicator, stays as it
    is. Neither the order of the rows nor repetition instead of weight changes a fence.
    """
    groups, first = data.row_groups()
    masses = np.bincount(groups, data.weights)
    kept = np.arange(len(first))
    if len(first) > _MAX_ROWS:  # groups are in an order of their content
        kept = np.linspace(0, len(first) - 1, _MAX_ROWS).astype(np.intp)
    fences = np.full((2, data.shape[1]), np.inf)
    fences[0] = -np.inf
    for column, values, rows in data.column_values(first[kept]):
        low, high = _quartiles(values, masses[kept][rows])
        if high > low:
            reach = _FENCE * (high - low)
            fences[:, column] = low - reach, high + reach
    return data.clipped(*fences)


def _quartiles(values: Array, weights: Array) -> Array:
    """The smallest values that a quarter and three quarters do not exceed."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    at = np.searchsorted(cumulative, np.array([0.25, 0.75]) * cumulative[-1])
    return values[order[np.minimum(at, len(order) - 1)]].astype(np.float64)
