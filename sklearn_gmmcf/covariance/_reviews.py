# SPDX-License-Identifier: BSD-3-Clause
"""Reasons to distrust a fit: what its data cannot tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._warnings import (
    ConstantCovariatesWarning,
    DataWarning,
    FewRowsWarning,
    RegularizationWarning,
    UnlikeUnitsWarning,
    UnlinkedColumnsWarning,
)
from sklearn_gmmcf.data import Block, Blocks, Columns

Review = Iterator[tuple[DataWarning, Array]]

# Share of a column's variance above which reg_covar decides its fit.
_MAX_REGULARIZATION = 0.2
# Multiple of reg_covar that the variances of a component should exceed.
MIN_MULTIPLE = 10.0
# Observed entries of a column, for each column, that a covariance matrix needs.
_MIN_ENTRIES = 2.0
_MAX_UNIT_RATIO = 1e6


def review_regularization(
    reg_covar: float, columns: Columns, weights: Array, variances: Array
) -> Review:
    """Review reg_covar beside variances (K, d) or (K, 1) of the components."""
    # Columns with equal values have no variance to compare with, and by chance those
    # with few entries may have too small a one: units allow for that.
    varied = columns.variances > 0
    if reg_covar == 0 or not varied.any():
        return
    large = np.flatnonzero(
        varied & (reg_covar > _MAX_REGULARIZATION * columns.units**2)
    )
    if large.size:
        yield (
            RegularizationWarning(
                f"reg_covar={reg_covar:g} exceeds {_MAX_REGULARIZATION:.0%} of the "
                f"variance of {large.size} column(s), so that it decides their fit. "
                "Scale the columns (StandardScaler), or decrease reg_covar"
            ),
            large,
        )
        return
    near = np.broadcast_to(variances, (len(weights), len(varied)))[:, varied]
    near = near < MIN_MULTIPLE * reg_covar
    small = np.flatnonzero((near.mean(axis=1) > 0.5) & (weights > 0))
    if small.size:
        yield (
            RegularizationWarning(
                f"The variances of component {small[0]} are below {MIN_MULTIPLE:g} "
                f"times reg_covar={reg_covar:g} in most columns, so that it decides "
                "them. Decrease reg_covar or n_components, or scale the columns "
                "(StandardScaler)"
            ),
            np.flatnonzero(varied)[near[small[0]]],
        )


def review_covariates(columns: Columns) -> Review:
    """Review the covariates that do not vary."""
    constant = columns.covariates[columns.variances[columns.covariates] == 0]
    if constant.size:
        yield (
            ConstantCovariatesWarning(
                f"{constant.size} of the covariates have no two values, so that they "
                "tell nothing (in sparse X zeros of covariates must be stored)"
            ),
            constant,
        )


def review_units(columns: Columns) -> Review:
    """Review the spreads of columns that share one scale."""
    spreads = columns.units
    varied = np.flatnonzero(columns.variances > 0)
    if not varied.size:
        return
    order = varied[np.argsort(spreads[varied])]
    if spreads[order[-1]] > _MAX_UNIT_RATIO * spreads[order[0]]:
        yield (
            UnlikeUnitsWarning(
                f"Standard deviations of the columns range from "
                f"{spreads[order[0]]:.3g} to {spreads[order[-1]]:.3g}, but all are "
                "measured by one scale, so that the widest decide alone. Scale the "
                "columns (StandardScaler). Narrowest and widest"
            ),
            order[[0, -1]],
        )


def review_rows(counts: Array, columns: Columns) -> Review:
    """Review observed entries (K, d) of components with covariance matrices."""
    known = columns.known
    entries = counts[:, known].mean(axis=1)
    few = np.flatnonzero((entries < _MIN_ENTRIES * known.sum()) & (entries > 0))
    if few.size:
        yield (
            FewRowsWarning(
                f"Component {few[0]} observes each of its {known.sum()} columns in "
                f"{entries[few[0]]:.3g} rows on average, too few for a covariance "
                "matrix of its own: standard deviations of missing entries are far too "
                "small. Set covariance_precision_prior (100 suits small tables), "
                "decrease n_components, or choose covariance_type='factor' or 'diag'"
            ),
            np.empty(0, dtype=np.intp),
        )


def review_pairs(data: Blocks) -> Review:
    """Review whether all pairs of known columns are observed together."""
    together = data.total(_count_pairs)
    known = np.flatnonzero(data.columns.known)
    apart = np.argwhere(np.triu(together[np.ix_(known, known)] == 0, 1))
    if len(apart):
        yield (
            UnlinkedColumnsWarning(
                f"No row shows {len(apart)} pair(s) of columns together, so that "
                "nothing tells their covariance within a component, and other starts "
                "may complete them differently. Choose covariance_type='factor' or "
                "'diag', or n_components=1. The first pair"
            ),
            known[apart[0]],
        )


def _count_pairs(block: Block) -> Array:
    observed = block.dense()[1].astype(np.float32)
    return (observed.T @ observed).astype(np.float64)
