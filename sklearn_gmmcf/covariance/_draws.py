# SPDX-License-Identifier: BSD-3-Clause
"""Draws of rows and of parameters, for full covariances.

Parameters are drawn from a normal inverse Wishart distribution.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._conditioning import (
    Batch,
    Conditional,
    FullParameters,
    matrix_roots,
    measure_batch,
    missing_covariances,
)
from sklearn_gmmcf.covariance._elliptical import Law
from sklearn_gmmcf.covariance._family import draw_labels, to_responsibilities


def draw_batch(
    law: Law,
    parameters: FullParameters,
    batch: Batch,
    conditionals: list[Conditional],
    n_draws: int,
    rng: np.random.RandomState,
) -> tuple[Array, Array]:
    """Components (n_draws, n) and completed rows (n_draws, d, n) of a batch."""
    measures = measure_batch(batch, conditionals)
    shares = law.log_joint(measures)
    to_responsibilities(shares)
    labels = draw_labels(shares, n_draws, rng)
    stretch = law.draw_stretch(measures, labels, rng)
    values = np.empty((n_draws, *batch.values.shape))
    for k, conditional in enumerate(conditionals):
        chosen = labels == k
        if not chosen.any():
            continue
        mean = parameters.means[k][:, None] + conditional.residuals
        roots = matrix_roots(missing_covariances(parameters, k, batch, conditional))
        for draw, rows_k, factors in zip(values, chosen, stretch, strict=True):
            noise = rng.standard_normal((len(batch.rows), roots.shape[1], 1))
            completed = mean.copy()
            missing = batch.missing.take(mean)
            missing += (roots @ noise)[:, :, 0].T * factors
            batch.missing.put(completed, missing)
            np.copyto(draw, completed, where=rows_k)
    return labels, values


def pool_scatters(
    moments: Array, sizes: Array, prior: Array, n_prior: float, *, is_tied: bool
) -> tuple[Array, Array]:
    """Scatters (., d, d) and degrees of freedom (.,) of inverse Wishart posteriors.

    Without the prior the degrees of freedom are the rows of a component less one. If
    they are too few for a covariance matrix with a mean, the component is drawn from
    the rows of all components.

    Parameters
    ----------
    moments : ndarray of shape (K, d, d)
        Second moments of the components about their means.
    sizes : ndarray of shape (K,)
    prior : ndarray of shape (d, d)
        Scatter of `n_prior` further rows of each covariance matrix.
    is_tied : bool
        Whether all components share a covariance matrix.
    """
    d = len(prior)
    pooled = np.maximum(sizes - 1, 0.0).sum() + n_prior
    if pooled < d:
        raise ValueError(
            f"The posterior of the parameters needs more rows: {sizes.sum():.0f} rows "
            f"with observed entries, {len(sizes)} component(s) and {d} columns leave a "
            "covariance matrix undetermined. Pass all rows of the fit, increase "
            "covariance_precision_prior, or choose covariance_type='factor'."
        )
    total = moments.sum(axis=0, keepdims=True)
    if is_tied:
        return total + prior, np.array([pooled])
    enough = sizes + n_prior >= d + 2
    scatters = np.where(enough[:, None, None], moments, total) + prior
    return scatters, np.where(enough, sizes - 1 + n_prior, pooled)


def draw_covariances(
    scatter_roots: Array, freedom: Array, rng: np.random.RandomState
) -> Array:
    """Matrices (., d, d) drawn from inverse Wishart distributions.

    By the Bartlett decomposition. With L a lower `scatter_root`, the mean of a matrix
    is L L^T / (freedom - d - 1); the degrees of freedom are at least d.
    """
    d = scatter_roots.shape[1]
    covariances = np.empty_like(scatter_roots)
    for covariance, root, v in zip(covariances, scatter_roots, freedom, strict=True):
        bartlett = np.tril(rng.standard_normal((d, d)), -1)
        np.fill_diagonal(bartlett, np.sqrt(rng.chisquare(v - np.arange(d))))
        drawn = solve_triangular(bartlett, root.T, lower=True)
        covariance[:] = drawn.T @ drawn
    return covariances


def draw_means(
    means: Array, covariances: Array, n_rows: Array, rng: np.random.RandomState
) -> Array:
    """Means (K, d) drawn about these, as uncertain as means of n_rows (K,) rows."""
    roots = matrix_roots(covariances)
    noise = rng.standard_normal((*means.shape, 1)) / np.sqrt(n_rows)[:, None, None]
    return means + (roots @ noise)[:, :, 0]


def add_unseen_columns(
    fitted: FullParameters, seen: Array, means: Array, covariances: Array
) -> tuple[Array, Array]:
    """Means (K, d) and covariances (., d, d) from draws for the columns seen (d,).

    The other columns keep their fitted regression on these.
    """
    given, others = np.flatnonzero(seen), np.flatnonzero(~seen)
    all_means, all_covariances = fitted.means.copy(), fitted.covariances.copy()
    slopes = []
    for drawn, covariance in zip(covariances, all_covariances, strict=True):
        across = covariance[np.ix_(given, others)]
        slopes.append(np.linalg.solve(covariance[np.ix_(given, given)], across).T)
        unexplained = covariance[np.ix_(others, others)] - slopes[-1] @ across
        across = slopes[-1] @ drawn
        covariance[np.ix_(given, given)] = drawn
        covariance[np.ix_(others, given)] = across
        covariance[np.ix_(given, others)] = across.T
        covariance[np.ix_(others, others)] = unexplained + across @ slopes[-1].T
    for k, mean in enumerate(all_means):
        mean[others] += slopes[k % len(slopes)] @ (means[k] - mean[given])
        mean[given] = means[k]
    return all_means, all_covariances
