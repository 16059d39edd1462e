# SPDX-License-Identifier: BSD-3-Clause
r"""Similarity of columns by their loadings, and of rows by their factors.

A column differs from the average one, whose relative loadings are the prior mean m, by
:math:`w_j / \tilde u_j - m`, known as its posterior says. What all columns share, such
as the offset of a row in ratings, makes none of them similar.
"""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_inference import FactorParameters
from sklearn_gmmcf.covariance._similarity import Vectors
from sklearn_gmmcf.covariance._triangles import (
    double_off_diagonal,
    n_packed,
    pack,
    unpack,
)


def column_vectors(p: FactorParameters) -> Vectors:
    """Columns as vectors over rows of which nothing is known."""
    gaps = p.factor_means - p.weights @ p.factor_means
    factors = (p.weights * gaps.T) @ gaps
    for k, weight in enumerate(p.weights):
        factors += weight * p.marginal_covariance(k)
    means = np.linalg.cholesky(factors).T @ _relative_gaps(p)
    traces = double_off_diagonal(pack(factors)[:, None])[:, 0] @ _relative_spreads(p)
    return Vectors(means, (means**2).sum(axis=0) + traces)


def row_vectors(p: FactorParameters, means: Array, covariances: Array) -> Vectors:
    """Rows as vectors over the known columns.

    Parameters
    ----------
    means : ndarray of shape (r, n)
        Expected factors of the rows.
    covariances : ndarray of shape (Q, n)
        Their covariances, lower triangles.
    """
    known = p.columns.known
    gaps, spreads = _relative_gaps(p)[:, known], _relative_spreads(p)[:, known]
    metric = (gaps @ gaps.T + unpack(spreads.sum(axis=1, keepdims=True))[0]) / max(
        int(known.sum()), 1
    )
    centered = means - (p.weights @ p.factor_means)[:, None]
    vectors = np.linalg.cholesky(metric).T @ centered
    traces = double_off_diagonal(pack(metric)[:, None])[:, 0] @ covariances
    return Vectors(vectors, (vectors**2).sum(axis=0) + traces)


def _relative_gaps(p: FactorParameters) -> Array:
    """Loadings less those of the average column, in units of the columns, (r, d)."""
    gaps = p.relative_loadings[:-1] - p.prior_mean[:-1, None]
    return gaps * p.columns.modeled


def _relative_spreads(p: FactorParameters) -> Array:
    """Covariances of the loadings in these units, (Q, d)."""
    n_pairs = n_packed(p.n_factors)
    return p.loading_spreads[:n_pairs] / p.columns.wide_units**2
