# SPDX-License-Identifier: BSD-3-Clause
r"""A better basis of the factors, which saves most passes of EM.

For an invertible R the factors :math:`R z` with the loadings :math:`R^{-T} a` explain
the data equally well; the priors alone tell bases apart. EM by itself changes the basis
slowly, since loadings and factors are fitted to each other in turn. The best one makes
the covariance of the factors (several components: the mean of their precisions) the
identity and the second moments of the loadings diagonal (Liu, Rubin and Wu 1998;
Luttinen and Ilin 2010). The offset is scaled alone, since its loadings have a mean.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_inference import SWEEP_BYTES, FactorParameters
from sklearn_gmmcf.covariance._family import chunks
from sklearn_gmmcf.covariance._triangles import lower_indices, unpack


def find_basis(p: FactorParameters, precision: Array) -> Array:
    """The best R (r, r), from the precision of the factors."""
    n = len(precision) - 1
    scale = np.sqrt(precision[:1, :1])
    values, vectors = np.linalg.eigh(precision[1:, 1:])
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    _, rotation = np.linalg.eigh(inverse @ _loading_moments(p)[1:-1, 1:-1] @ inverse)
    return block_diag(scale, rotation.T[::-1] @ root) if n else scale


def change_basis(p: FactorParameters, R: Array) -> FactorParameters:
    """The same model with the factors R z; slopes keep their strengths."""
    r = len(R)
    inverse = np.linalg.inv(R)
    extended = block_diag(inverse, 1.0)
    spreads = np.empty_like(p.loading_spreads)
    first, second = lower_indices(r + 1)
    for part in chunks(spreads.shape[1], max(SWEEP_BYTES // (8 * (r + 1) ** 2), 1)):
        covariances = unpack(p.loading_spreads[:, part])
        for _ in range(2):  # all matrices in one product, once from either side
            covariances = np.swapaxes(covariances, 1, 2).reshape(-1, r + 1) @ extended
            covariances = covariances.reshape(-1, r + 1, r + 1)
        spreads[:, part] = covariances[:, first, second].T
    moments = extended.T @ _loading_moments(p) @ extended
    _, log_det = np.linalg.slogdet(R)
    return replace(
        p,
        loadings=extended.T @ p.loadings,
        loading_spreads=spreads,
        loading_log_dets=p.loading_log_dets - 2 * log_det,
        prior_mean=extended.T @ p.prior_mean,
        prior_precision=p.columns.known.sum() / np.diag(moments),
        column_slopes=extended.T @ p.column_slopes,
        factor_means=p.factor_means @ R.T,
        covariances=R @ p.covariances @ R.T,
        row_slopes=R @ p.row_slopes,
    )


def _loading_moments(p: FactorParameters) -> Array:
    """Expected second moments of the loadings about their priors, summed over columns.

    In squared units of the columns, (r + 1, r + 1).
    """
    known = p.columns.known
    units = p.columns.wide_units[known]
    gaps = ((p.loadings - p.column_priors)[:, known]) / units
    spreads = (p.loading_spreads[:, known] / units**2).sum(axis=1)
    moments = unpack(spreads[:, None])[0] + gaps @ gaps.T
    return moments + (p.column_slopes * p.column_slope_precisions) @ p.column_slopes.T
