r"""Features of rows and columns that inform the priors of factors and loadings.

Which entries are observed says much about rows and columns. With M the mask, n its row
and column counts and a few leading singular vectors V of

.. math:: D_i^{-1/2} M D_j^{-1/2}, \quad D_i = n_i + 5, \quad D_j = n_j + 30,

a row has the features :math:`f_i = [W m_i / \sqrt{D_i}, \log(1 + n_i)]` and a column
:math:`g_j = [W_j, \log(1 + n_j)]`, where :math:`W = V^T D_j^{-1/2}`, centered and
divided by their standard deviations. Priors are linear in them,

.. math::
    z_i | k \sim N(\nu_k + B f_i, \Lambda_k), \quad B_{lq} \sim N(0, 1 / \tau_q), \quad
    a_j \sim N(m + C g_j, \mathrm{diag}(1 / \alpha)), \quad
    C_{lq} \sim N(0, 1 / (\alpha_l \lambda_q)),

with posteriors :math:`q(B) = \prod N(b_{lq}, v_{lq})` and q(C), and learned strengths
:math:`\tau` and :math:`\lambda`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._subspace import find_directions
from sklearn_gmmcf.data import Block, Observed

# Entries by which rows and columns are damped, and subspace iterations.
_ROW_DAMPING = 5.0
_COLUMN_DAMPING = 30.0
_PASSES = 6
# Directions of the mask, at most, with mask_rank='auto'.
_MAX_DIRECTIONS = 60
# A feature that varies by less than this is constant.
_MIN_SCALE = 1e-8
# Bounds of the learned strengths.
_MIN_STRENGTH, _MAX_STRENGTH = 1e-3, 1e8
# Relative residual of the conjugate gradients, and steps at most.
_CG_TOL = 1e-10
_CG_STEPS = 200


@dataclass(frozen=True, eq=False)
class Features:
    """Features that are learned once: constants of the parameters."""

    directions: Array  # (q, d), W
    row_centers: Array  # (Q,)
    row_factors: Array  # (Q,), reciprocal standard deviations; 0 of constant features
    row_covariance: Array  # (Q, Q), of the features of rows
    columns: Array  # (Q, d), features of columns, 0 of unknown ones

    @property
    def n_row_features(self) -> int:
        return len(self.row_centers)

    @cached_property
    def column_moments(self) -> Array:
        """Sums of products of the features of columns, (Q, Q)."""
        return self.columns @ self.columns.T

    def describe_rows(self, projections: Array, counts: Array) -> Array:
        """Features (Q, n) of rows, from products of the mask with W (q, n)."""
        if not self.n_row_features:
            return np.empty((0, len(counts)))
        raw = np.vstack(
            [projections / np.sqrt(counts + _ROW_DAMPING), np.log1p(counts)]
        )
        features = (raw - self.row_centers[:, None]) * self.row_factors[:, None]
        features[:, counts == 0] = 0.0
        return features


def learn_features(data: Observed, mask_rank: int | str) -> Features:
    """Features of the mask of data, `mask_rank` directions of it ('auto': up to 60)."""
    known = data.columns.known
    n_known = int(known.sum())
    rank = _MAX_DIRECTIONS if mask_rank == "auto" else int(mask_rank)
    rank = min(rank, n_known - 1, data.shape[0] // 4)
    if rank < 1:
        return _no_features(data.shape[1])
    counts = data.total(lambda block: block.mask.collect(block.weights[None]))[0]
    scale = np.where(known, 1 / np.sqrt(counts + _COLUMN_DAMPING), 0.0)
    directions, _ = find_directions(data, _covary_mask, scale, rank, _PASSES)
    raw = Features(
        directions=directions,
        row_centers=np.zeros(len(directions) + 1),
        row_factors=np.ones(len(directions) + 1),
        row_covariance=np.empty((0, 0)),
        columns=np.empty((0, 0)),
    )
    sums = data.total(partial(_sum_features, raw))
    weight = sums[0, 0]
    centers = sums[0, 1:] / weight
    covariance = sums[1:, 1:] / weight - np.outer(centers, centers)
    factors = _reciprocals(np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    of_columns = np.vstack([directions, np.log1p(counts)])
    of_columns -= of_columns[:, known].mean(axis=1, keepdims=True)
    of_columns *= _reciprocals(of_columns[:, known].std(axis=1))[:, None]
    of_columns[:, ~known] = 0.0
    if not factors.any() and not of_columns.any():
        return _no_features(data.shape[1])
    return Features(
        directions=directions,
        row_centers=centers,
        row_factors=factors,
        row_covariance=covariance * factors * factors[:, None],
        columns=of_columns,
    )


def _no_features(d: int) -> Features:
    nothing = np.empty(0)
    return Features(
        np.empty((0, d)), nothing, nothing, np.empty((0, 0)), np.empty((0, d))
    )


def _reciprocals(scales: Array) -> Array:
    """Reciprocals of the scales of features; 0 of constant ones."""
    usable = scales > _MIN_SCALE
    return np.divide(1.0, scales, out=np.zeros_like(scales), where=usable)


def _covary_mask(W: Array, block: Block) -> Array:
    """Products of directions (q, d) with the damped mask and back."""
    U = block.mask.project(W) * (block.weights / (block.counts + _ROW_DAMPING))
    return block.mask.collect(U)


def _sum_features(features: Features, block: Block) -> Array:
    """Weighted second moments of [1; f] over rows with entries, (Q + 1, Q + 1)."""
    projections = block.mask.project(features.directions)
    described = features.describe_rows(projections, block.counts)
    extended = np.vstack([np.ones(len(block.weights)), described])
    return (extended * (block.weights * (block.counts > 0))) @ extended.T


def solve_slopes(
    precisions: Array, crossed: Array, moments: Array, strengths: Array, slopes: Array
) -> Array:
    """Solve sum_k P_k (S_k - b F_k) = b diag(tau) for b (r, Q).

    By conjugate gradients from given slopes.

    Parameters
    ----------
    precisions : ndarray of shape (K, r, r)
        P.
    crossed : ndarray of shape (K, r, Q)
        S.
    moments : ndarray of shape (K, Q, Q)
        F.
    strengths : ndarray of shape (Q,)
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
