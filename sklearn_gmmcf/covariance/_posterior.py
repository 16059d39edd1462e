"""Draws from inverse Wishart distributions; columns that no row observes."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._conditioning import FullParameters


def draw_covariance_root(
    scatter_root: Array, freedom: float, rng: np.random.RandomState
) -> Array:
    """A matrix R (d, d), where R R^T is drawn from an inverse Wishart distribution.

    By the Bartlett decomposition. With L the `scatter_root`, the mean of R R^T is
    L L^T / (freedom - d - 1), for at least d degrees of freedom.
    """
    d = len(scatter_root)
    bartlett = np.tril(rng.standard_normal((d, d)), -1)
    np.fill_diagonal(bartlett, np.sqrt(rng.chisquare(freedom - np.arange(d))))
    return solve_triangular(bartlett, scatter_root.T, lower=True).T


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
