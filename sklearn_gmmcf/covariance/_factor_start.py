# SPDX-License-Identifier: BSD-3-Clause
"""The start of 'factor': loadings from singular vectors, components by noise level."""

from __future__ import annotations

from functools import partial

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_features import Features
from sklearn_gmmcf.covariance._factor_inference import (
    FactorParameters,
    collect_evidence,
    expected_residuals,
    find_floor,
    infer,
    swept_together,
    trace_evidence,
)
from sklearn_gmmcf.covariance._factor_step import Priors
from sklearn_gmmcf.covariance._family import NEGLIGIBLE
from sklearn_gmmcf.covariance._subspace import find_directions
from sklearn_gmmcf.covariance._triangles import (
    add_packed_outer,
    diagonal_indices,
    n_packed,
)
from sklearn_gmmcf.data import Block, Columns, Observed, observe

# Lower bound on noise variances, relative to the unit of the column, by the dtype of X.
# Without it the likelihood is unbounded: a column may be fitted exactly, and a
# component's noise may grow to absorb the rest.
MIN_NOISE = {"d": 1e-6, "f": 3e-4}
# Subspace iterations, and the entries by which rows and columns are damped.
_PASSES = 5
_DAMPING = 5.0
# The prior of the loadings, in units of the data's precision, and their posterior
# variance relative to it. They start with almost no posterior variance: otherwise the
# first M-step attributes the signal to noise.
_PRECISION = 8.0
_SPREAD = 1e-6


def start_loadings(
    data: Observed,
    n_factors: int,
    features: Features,
    min_variance: float,
    priors: Priors,
) -> FactorParameters:
    """One component, whose loadings span the leading singular vectors of residuals.

    Residuals from column means and row offsets, in units of their columns, are divided
    by the roots of the counts of their row and column, so that neither the busiest nor
    the rarest of these make the space.
    """
    r, columns, n_features = n_factors, data.columns, features.n_row_features
    known, units = columns.known, columns.wide_units
    counts, squares, offset_square = _totals(data)
    least = min_variance / np.max(units[known]) ** 2
    variance = _check_variance(max(squares.sum() / counts.sum(), least))
    smallest = MIN_NOISE[data.dtype.char] * variance
    unit = np.sqrt(max(offset_square, smallest))
    loadings = np.zeros((r + 1, len(known)))
    loadings[0] = unit
    _fill_directions(loadings[1:-1], data, counts, variance)
    prior_mean, prior_precision = _start_prior(columns, counts, variance, r)
    prior_mean[0] = unit
    spreads = np.zeros((n_packed(r + 1), len(known)))
    spread = _SPREAD / _PRECISION * variance * units**2
    spreads[diagonal_indices(r + 1)] = spread
    noise = 0.5 * (squares + priors.noise * variance)
    noise /= np.maximum(counts + priors.noise, NEGLIGIBLE)
    floor = _check_range(find_floor(columns, smallest, min_variance), units)
    return FactorParameters(
        weights=np.ones(1),
        loadings=loadings * units,
        loading_spreads=spreads,
        loading_log_dets=(r + 1) * np.log(spread),
        noise=np.maximum(noise * units**2, floor),
        scales=np.ones(1),
        factor_means=np.zeros((1, r)),
        covariances=np.eye(r)[None],
        prior_mean=prior_mean,
        prior_precision=prior_precision,
        columns=columns,
        min_variance=min_variance,
        min_noise=smallest,
        features=features,
        row_slopes=np.zeros((r, n_features)),
        row_slope_variances=np.full((r, n_features), _SPREAD),
        row_slope_precisions=np.ones(n_features),
        column_slopes=np.zeros((r + 1, len(features.columns))),
        column_slope_precisions=np.ones(len(features.columns)),
    )


def _check_variance(variance: float) -> float:
    if variance > 0:
        return variance
    raise ValueError(
        "The noise variance of every column is zero: no column varies. "
        "Increase min_variance, or choose another covariance_type."
    )


def _start_prior(
    columns: Columns, counts: Array, variance: float, r: int
) -> tuple[Array, Array]:
    """Means and precisions (r + 1,) of the prior of the loadings."""
    levels = (columns.center / columns.wide_units)[columns.known]
    mean = np.zeros(r + 1)
    mean[-1] = levels.mean()
    precision = np.full(r + 1, _PRECISION / variance)
    # Columns may lie farther from each other than their entries do.
    gaps = np.average((levels - mean[-1]) ** 2, weights=counts[columns.known])
    precision[-1] = _PRECISION / max(variance, gaps)
    return mean, precision


def _fill_directions(
    loadings: Array, data: Observed, counts: Array, variance: float
) -> None:
    """Fill loadings of factors that together explain an eighth of the variance."""
    n_directions = min(len(loadings), int(data.columns.known.sum()))
    if not n_directions:
        return
    directions, strengths = find_directions(
        data,
        partial(_covary, data.columns.wide_units),
        1 / np.sqrt(counts + _DAMPING),
        n_directions,
        _PASSES,
    )
    sizes = np.sqrt(directions**2 @ counts / counts.sum())
    scales = np.sqrt(variance / (8 * n_directions)) / sizes
    scales *= len(strengths) * strengths / max(strengths.sum(), NEGLIGIBLE)
    loadings[: len(scales)] = scales[:, None] * directions


def row_noise(p: FactorParameters, data: Observed) -> Observed:
    """How noisy each row is, as a table of one column (n, 1).

    It tells user types apart better than the factors of the rows do.
    """

    def measure(block: Block) -> Array:
        evidence = collect_evidence(p, block)
        noise = np.empty(len(block.weights))
        for rows in swept_together(len(noise), p.n_factors):
            posterior = infer(p, evidence, rows)
            means = posterior.means[0]
            moments = add_packed_outer(posterior.covariances[0], means)
            traces = trace_evidence(evidence, rows, moments)
            damped = expected_residuals(evidence, rows, means, traces) + _DAMPING
            noise[rows] = np.log(damped / (block.counts[rows] + _DAMPING))
        return noise

    noise = np.concatenate(list(data.map(measure)))
    # Equal rows are equally noisy to the last digit.
    groups, first = data.row_groups()
    table = noise[first[groups], None]
    return observe(table, weights=data.weights, keep=True, executor=data.executor)


def _check_range(floor: Array, units: Array) -> Array:
    """Refuse noise so small that spreads of loadings, smaller still, lose digits."""
    info = np.finfo(np.float64)
    if floor.min() < info.tiny / info.eps:
        raise ValueError(
            f"Standard deviations of the columns range from {units.min():.3g} to "
            f"{units.max():.3g}: their squares leave the range of floating-point "
            "numbers. Scale the columns (StandardScaler)."
        )
    return floor


def _totals(data: Observed) -> tuple[Array, Array, float]:
    """Weights and squares of each column, and the mean square of damped row offsets.

    Squares and offsets are in units of the columns.
    """
    units = data.columns.wide_units

    def column_totals(block: Block) -> Array:
        weights = block.weights[None]
        return np.vstack([block.mask.collect(weights), block.squares.collect(weights)])

    def offset_squares(block: Block) -> float:
        return float(block.weights @ _offsets(block, units) ** 2)

    counts, squares = data.total(column_totals)
    offset_square = data.total(offset_squares) / data.weights.sum()
    return counts, squares / units**2, offset_square


def _offsets(block: Block, units: Array) -> Array:
    """How far rows lie above the columns' means, damped, (n,)."""
    sums = block.values.project(1 / units[None])[0]
    return sums / (block.counts + _DAMPING)


def _covary(units: Array, W: Array, block: Block) -> Array:
    """Products of directions (q, d) with the damped residuals and back."""
    offsets = _offsets(block, units)
    U = block.values.project(W / units) - offsets * block.mask.project(W)
    U *= block.weights / (block.counts + _DAMPING)
    return block.values.collect(U) / units - block.mask.collect(U * offsets)
