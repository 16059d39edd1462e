# SPDX-License-Identifier: BSD-3-Clause
"""Models and their sums with further columns, as if these had never been observed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data import Columns

if TYPE_CHECKING:
    from sklearn_gmmcf.covariance._conditioning import FullParameters
    from sklearn_gmmcf.covariance._diagonal import (
        Diagonal,
        DiagonalParameters,
        DiagonalStatistics,
    )
    from sklearn_gmmcf.covariance._full import Full, FullStatistics


def pad_columns(array: Array, d: int, value: float = 0.0) -> Array:
    """The array (..., m) with further columns of this value, (..., d)."""
    widths = [(0, 0)] * (array.ndim - 1) + [(0, d - array.shape[-1])]
    return np.pad(array, widths, constant_values=value)


def widen_diagonal(
    family: Diagonal,
    parameters: DiagonalParameters,
    statistics: DiagonalStatistics,
    columns: Columns,
) -> tuple[DiagonalParameters, DiagonalStatistics]:
    """`Family.widen` of 'spherical' and 'diag'."""
    p, s, d = parameters, statistics, len(columns.known)
    squares, variances = s.squares, p.variances
    if family.has_column_variances:
        # As in `_pool`, of an entry of any column.
        gaps = s.origin + columns.center[: p.means.shape[1]] - columns.empty_center
        about = squares + gaps * (2 * s.sums + gaps * s.counts)
        spread = about.sum() / s.counts.sum() + family.reg_covar
        variances = pad_columns(variances, d, max(spread, family.min_variance))
        squares = pad_columns(squares, d)
    origin = s.origin
    wide = replace(
        s,
        counts=pad_columns(s.counts, d),
        sums=pad_columns(s.sums, d),
        squares=squares,
        origin=pad_columns(origin, d) if isinstance(origin, np.ndarray) else origin,
    )
    model = replace(
        p,
        means=pad_columns(p.means, d),
        variances=variances,
        units=columns.units,
        counts=None if p.counts is None else pad_columns(p.counts, d),
    )
    return model, wide


def widen_full(
    family: Full,
    parameters: FullParameters,
    statistics: FullStatistics,
    columns: Columns,
) -> tuple[FullParameters, FullStatistics]:
    """`Family.widen` of 'tied' and 'full'."""
    p, s = parameters, statistics
    before, d = p.means.shape[1], len(columns.known)
    # A new column varies as an entry of any column does, on its own.
    gaps = columns.center[:before] - columns.empty_center
    spread = np.average(p.variances + gaps**2, weights=s.counts.sum(axis=0))
    own = max(spread + family.reg_covar, family.min_variance)
    covariances = np.zeros((len(p.covariances), d, d))
    moments = np.zeros((len(p.means), d, d))
    new = np.arange(before, d)
    covariances[:, :before, :before] = p.covariances
    moments[:, :before, :before] = s.moments
    covariances[:, new, new] = own
    moments[:, new, new] = own * s.sizes[:, None]
    model = replace(
        p,
        means=pad_columns(p.means, d),
        covariances=covariances,
        variances=pad_columns(
            p.variances, d, max(spread, family.reg_covar, family.min_variance)
        ),
    )
    wide = replace(
        s,
        counts=pad_columns(s.counts, d),
        shifts=pad_columns(s.shifts, d),
        moments=moments,
        origin=pad_columns(s.origin, d),
    )
    return model, wide
