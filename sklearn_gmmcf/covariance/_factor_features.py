# SPDX-License-Identifier: BSD-3-Clause
r"""Features of rows and columns that inform the priors of factors and loadings.

Which entries are observed says much about rows and columns. With M the mask, n its row
and column counts and a few leading singular vectors V of

.. math:: D_i^{-1/2} M D_j^{-1/2}, \quad D_i = n_i + 5, \quad D_j = n_j + 30,

a row has the features :math:`f_i = [W m_i / \sqrt{D_i}, \log(1 + n_i)]` and a column
:math:`g_j = [W_j, \log(1 + n_j)]`, where :math:`W = V^T D_j^{-1/2}`, centered and
divided by their standard deviations. Known features of rows (covariates) and of
columns are appended to them. Priors are linear in all,

.. math::
    z_i | k \sim N(\nu_k + B f_i, \Lambda_k), \quad B_{lq} \sim N(0, 1 / \tau_q), \quad
    a_j \sim N(m + C g_j, \mathrm{diag}(1 / \alpha)), \quad
    C_{lq} \sim N(0, 1 / (\alpha_l \lambda_q)),

with posteriors :math:`q(B) = \prod N(b_{lq}, v_{lq})` and q(C), and learned strengths
:math:`\tau` and :math:`\lambda`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._further_columns import pad_columns
from sklearn_gmmcf.covariance._subspace import find_directions
from sklearn_gmmcf.data import Block, Columns, Observed

# Entries by which rows and columns are damped, and subspace iterations.
_ROW_DAMPING = 5.0
_COLUMN_DAMPING = 30.0
_PASSES = 6
# Directions of the mask, at most, with mask_rank='auto'.
_MAX_DIRECTIONS = 60
# Lower bound on predictions of the mask, as sums over directions may be negative.
_MIN_PREDICTION = 1e-6
# Ridge of the regression of the mask on its projections: chosen on ratings that came
# before the test part of docs/benchmarks/ranking.py.
_MASK_RIDGE = 10.0
# Entries, roughly, whose values the usual threshold of liked ones is taken from.
_MAX_THRESHOLD_ENTRIES = 2**13
# A feature that varies by less than this, relative to its size, is constant.
_MIN_SCALE = 1e-8
# Bound on the mask's features of rows, in standard deviations.
_MAX_FEATURE = 4.0
# Rows or columns by which features of the mask are pulled to their means, where these
# are predicted by other features.
_REGRESSION_PRIOR = 10.0
# Bounds of the learned strengths.
_MIN_STRENGTH, _MAX_STRENGTH = 1e-3, 1e8
# Relative residual of the conjugate gradients, and steps at most.
_CG_TOL = 1e-10
_CG_STEPS = 200


@dataclass(frozen=True, eq=False)
class Features:
    """Features that are learned once: constants of the parameters."""

    directions: Array  # (q, d), W
    mask_regression: Array  # (q, q), by which projected masks predict masks
    centers: Array  # (q + 1,), of the mask's features of rows; none if all are constant
    # (q + 1,), reciprocals of their standard deviations; 0 of constant ones
    inverse_scales: Array
    # (q + 1, p), slopes of these features on covariates, for rows without entries
    row_regression: Array
    row_covariance: Array  # (n_f, n_f), of the features of rows, covariates last
    columns: Array  # (n_g, d), features of columns
    counts: Array  # (d,), entries of the columns in the fit, weighted
    threshold: float  # entries of at least this are liked, in units of the data

    @property
    def n_row_features(self) -> int:
        return len(self.row_covariance)

    def take(self, columns: Array) -> Features:
        """The features of rows and of some columns (m,)."""
        return replace(
            self,
            directions=self.directions[:, columns],
            columns=self.columns[:, columns],
            counts=self.counts[columns],
        )

    def project_mask(self, block: Block) -> Array:
        """Products of a block's mask with the directions, (q, n)."""
        # What rounding tells apart would be scaled to variance 1.
        return block.mask.project(self.directions, in_double=True)

    def describe_mask(self, block: Block) -> Array:
        """The mask's features of rows before they are scaled, (q + 1, n)."""
        counts = block.counts
        damped = self.project_mask(block) / np.sqrt(counts + _ROW_DAMPING)
        return np.vstack([damped, np.log1p(counts)])

    def describe(self, block: Block) -> Array:
        """Features of rows, (n_f, n)."""
        if not len(self.centers):
            return block.covariates
        counts, raw = block.counts, self.describe_mask(block)
        features = (raw - self.centers[:, None]) * self.inverse_scales[:, None]
        # Rows unlike the fitted ones, such as new rows that miss more, do not go beyond
        # what these have taught.
        np.clip(features, -_MAX_FEATURE, _MAX_FEATURE, out=features)
        empty = counts == 0
        features[:, empty] = self.row_regression @ block.covariates[:, empty]
        return np.vstack([features, block.covariates])


def predict_mask(features: Features, block: Block) -> Array:
    """How likely rows observe columns, (n, d), positive.

    See `_regress_mask`. Rows without entries get the numbers of entries of the columns.
    """
    W = features.directions
    if not len(W):  # nothing is missing
        return np.ones(block.shape)
    fitted = features.mask_regression @ features.project_mask(block)
    predicted = fitted.T @ (W * (features.counts + _COLUMN_DAMPING))
    predicted[block.counts == 0] = features.counts
    return np.maximum(predicted, _MIN_PREDICTION, out=predicted)


def learn_features(data: Observed, mask_rank: int | str) -> Features:
    """Features of rows and columns, of `mask_rank` directions of the mask.

    'auto' takes up to 60 directions.
    """
    columns, known = data.columns, data.columns.known
    rank = _MAX_DIRECTIONS if mask_rank == "auto" else int(mask_rank)
    # Weights count as repetition.
    rank = min(rank, int(known.sum()) - 1, int(data.weights.sum()) // 4)
    counts = data.total(lambda block: block.mask.collect(block.weights[None]))[0]
    mask_features, column_features = _no_mask_features(counts), []
    if rank >= 1:
        mask_features = _learn_directions(data, rank, counts)
        described = np.vstack([mask_features.directions, np.log1p(counts)])
        column_features.append(_standardize(described, known, known))
    if columns.features is not None:
        column_features.append(_standardize(columns.features, known, columns.modeled))
    together = np.vstack([np.empty((0, len(known))), *column_features])
    n_mask = len(mask_features.inverse_scales)
    if not mask_features.inverse_scales.any() and not together[:n_mask].any():
        # Without missing entries the mask tells nothing.
        together, n_mask = together[n_mask:], 0
        mask_features = _no_mask_features(counts)
    _predict_mask(together, n_mask, known, columns.modeled & ~known)
    features = replace(
        mask_features,
        row_regression=np.zeros((n_mask, len(columns.covariates))),
        columns=together,
        threshold=_learn_threshold(data),
    )
    moments = data.total(partial(_sum_moments, features))
    covariance, slopes = _regress(moments, n_mask)
    return replace(features, row_regression=slopes, row_covariance=covariance)


def widen_features(features: Features, columns: Columns) -> Features:
    """Features of further columns, the last of these, which no row observes."""
    before, d = features.columns.shape[1], len(columns.known)
    together = pad_columns(features.columns, d)
    if columns.features is not None:
        n_mask = len(together) - len(columns.features)
        described = _standardize(columns.features, columns.known, columns.modeled)
        together[n_mask:, before:] = described[:, before:]
        _predict_mask(together, n_mask, columns.known, np.arange(d) >= before)
    return replace(
        features,
        directions=pad_columns(features.directions, d),
        columns=together,
        counts=pad_columns(features.counts, d),
    )


def _predict_mask(features: Array, n_mask: int, known: Array, unknown: Array) -> None:
    """Predict the first features, of the mask, of unknown columns by the others."""
    described = np.vstack([np.ones(len(known)), features])
    slopes = _regress((described * known) @ described.T, n_mask)[1]
    features[:n_mask, unknown] = slopes @ features[n_mask:, unknown]


def _regress(moments: Array, n: int) -> tuple[Array, Array]:
    """Covariance of features, and slopes of the first n of them on the others.

    From the sums of the products of [1; features], which have mean 0.
    """
    size = moments[0, 0]
    means = moments[0, 1:] / size
    covariance = moments[1:, 1:] / size - np.outer(means, means)
    # As if that many cases more had shown no correlation.
    ridge = _REGRESSION_PRIOR / size * np.eye(len(means) - n)
    slopes = np.linalg.solve(covariance[n:, n:] + ridge, covariance[n:, :n]).T
    return covariance, slopes


def _learn_directions(data: Observed, rank: int, counts: Array) -> Features:
    """Directions of the mask, and how they vary over rows."""
    scale = np.where(data.columns.known, 1 / np.sqrt(counts + _COLUMN_DAMPING), 0.0)
    directions, _ = find_directions(data, _covary_mask, scale, rank, _PASSES)
    q = len(directions)
    raw = replace(
        _no_mask_features(counts),
        directions=directions,
        centers=np.zeros(q + 1),
        inverse_scales=np.ones(q + 1),
        row_regression=np.zeros((q + 1, len(data.columns.covariates))),
    )
    sums = data.total(partial(_sum_powers, raw, np.zeros(q + 1)))
    centers = sums[1] / sums[0]
    squares = data.total(partial(_sum_powers, raw, centers))[2] / sums[0]
    inverse_scales = _reciprocals(np.sqrt(squares), np.sqrt(sums[2] / sums[0]))
    return replace(
        raw,
        centers=centers,
        inverse_scales=inverse_scales,
        mask_regression=_regress_mask(raw, data),
    )


def _regress_mask(features: Features, data: Observed) -> Array:
    r"""Ridge regression of the mask on its projections, (q, q).

    With columns damped, but not rows, a mask m is predicted by
    :math:`m^T D_j^{-1/2} V^T K V D_j^{1/2}`, K = C (C + lambda)^-1, where C are the
    sums of products of the projected masks. Columns that rows observe by chance alone
    would contribute about 1 to C in each direction.
    """
    moments = data.total(partial(_sum_projections, features))
    ridge = _MASK_RIDGE * np.eye(len(moments))
    return np.linalg.solve(moments + ridge, moments)


def _sum_projections(features: Features, block: Block) -> Array:
    """Sums of the products of a block's projected masks, (q, q)."""
    projections = features.project_mask(block)
    return (projections * block.weights) @ projections.T


def _no_mask_features(counts: Array) -> Features:
    nothing, d = np.empty(0), len(counts)
    return Features(
        directions=np.empty((0, d)),
        mask_regression=np.empty((0, 0)),
        centers=nothing,
        inverse_scales=nothing,
        row_regression=np.empty((0, 0)),
        row_covariance=np.empty((0, 0)),
        columns=np.empty((0, d)),
        counts=counts,
        threshold=0.0,
    )


def _learn_threshold(data: Observed) -> float:
    """`find_threshold` of the entries; of many, every so manyth row is looked at."""
    n_entries = data.total(lambda block: block.counts.sum())
    step = max(int(n_entries / _MAX_THRESHOLD_ENTRIES), 1)
    rows = np.arange(0, data.shape[0], step)
    found = [(v, rows[i]) for _, v, i in data.column_values(rows)]
    values, of_rows = (np.concatenate(each) for each in zip(*found, strict=True))
    return find_threshold(values, data.weights[of_rows])


def find_threshold(values: Array, weights: Array) -> float:
    """The highest value that half of the weight reaches, less half a step.

    The step is the distance to the next lower value. Where this highest value is the
    lowest of all, every entry would reach it: half the step to the next higher value is
    added instead. If all values are equal, it is this value.
    """
    order = np.argsort(-values, kind="stable")
    reached = np.cumsum(weights[order])
    median = values[order[np.searchsorted(reached, reached[-1] / 2)]]
    lower, higher = values[values < median], values[values > median]
    if lower.size:
        return float((median + lower.max()) / 2)
    return float((median + higher.min()) / 2 if higher.size else median)


def _standardize(features: Array, known: Array, described: Array) -> Array:
    """Features of columns with mean 0 and variance 1 over the known columns.

    They are 0 where missing, and in columns that are not described.
    """
    largest = np.nanmax(np.abs(features), axis=1, keepdims=True, initial=0.0)
    features = features / np.where(largest > 0, largest, 1.0)  # squares in range
    present = known & ~np.isnan(features)
    n = np.maximum(present.sum(axis=1, keepdims=True), 1)
    gaps = np.where(present, features, 0.0)
    means = gaps.sum(axis=1, keepdims=True) / n
    gaps = np.where(present, features - means, 0.0)
    n_known = max(int(known.sum()), 1)
    scales = np.sqrt((gaps**2).sum(axis=1, keepdims=True) / n_known)
    sizes = np.sqrt(scales**2 + means**2)
    standardized = (features - means) * _reciprocals(scales, sizes)
    return np.where(described & ~np.isnan(features), standardized, 0.0)


def _reciprocals(scales: Array, sizes: Array) -> Array:
    """Reciprocals of the scales of features; 0 of constant ones."""
    usable = scales > _MIN_SCALE * sizes
    return np.divide(1.0, scales, out=np.zeros_like(scales), where=usable)


def _covary_mask(W: Array, block: Block) -> Array:
    """Products of directions (q, d) with the damped mask and back."""
    U = block.mask.project(W, in_double=True) * (
        block.weights / (block.counts + _ROW_DAMPING)
    )
    return block.mask.collect(U)


def _sum_powers(features: Features, centers: Array, block: Block) -> Array:
    """Weights, sums and squares of the mask's features of rows, (3, q + 1)."""
    weights = block.weights * (block.counts > 0)
    gaps = features.describe_mask(block)
    gaps -= centers[:, None]
    return np.stack(
        [np.full(len(gaps), weights.sum()), gaps @ weights, gaps**2 @ weights]
    )


def _sum_moments(features: Features, block: Block) -> Array:
    """Sums of the products of [1; f] over rows with entries, (n_f + 1, n_f + 1)."""
    described = features.describe(block)
    extended = np.vstack([np.ones(len(block.weights)), described])
    return (extended * (block.weights * (block.counts > 0))) @ extended.T


def solve_slopes(
    precisions: Array, crossed: Array, moments: Array, strengths: Array, slopes: Array
) -> Array:
    """Solve sum_k P_k (S_k - b F_k) = b diag(tau) for b (r, n_f).

    By conjugate gradients from given slopes.

    Parameters
    ----------
    precisions : ndarray of shape (K, r, r)
        P.
    crossed : ndarray of shape (K, r, n_f)
        S.
    moments : ndarray of shape (K, n_f, n_f)
        F.
    strengths : ndarray of shape (n_f,)
        tau.
    """

    def apply(b: Array) -> Array:
        return np.einsum("kij,kjq->iq", precisions, b @ moments) + b * strengths

    diagonal = np.einsum("kii,kqq->iq", precisions, moments) + strengths
    right = np.einsum("kij,kjq->iq", precisions, crossed)
    residual = right - apply(slopes)
    step = scaled = residual / diagonal
    product = np.vdot(residual, scaled)
    target = _CG_TOL**2 * np.vdot(right, right / diagonal)
    for _ in range(_CG_STEPS):
        if product <= target:
            break
        image = apply(step)
        length = product / np.vdot(step, image)
        slopes = slopes + length * step
        residual = residual - length * image
        scaled = residual / diagonal
        product, previous = np.vdot(residual, scaled), product
        step = scaled + (product / previous) * step
    return slopes


def learn_strengths(squares: Array, n: int) -> Array:
    """Strengths of normal priors of n weights each, from their expected squares."""
    return np.clip(n / np.maximum(squares, 1e-300), _MIN_STRENGTH, _MAX_STRENGTH)
