"""The M-step of 'factor', its statistics and the priors that its objective holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_inference import SWEEP_BYTES, FactorParameters
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    Statistics,
    check_in_range,
    chunks,
)
from sklearn_gmmcf.covariance._triangles import (
    diagonal_indices,
    lift_eigenvalues,
    n_packed,
    sweep,
    unpack,
)

# Bound on the scale of a component's noise, and its inverse: see `MIN_NOISE`.
_MAX_SCALE = 100.0
# Loadings, their prior and the noise are improved this often on the same statistics:
# it costs little beside the E-step, and saves more than half of the passes.
_COLUMN_STEPS = 3
# Floors under the eigenvalues of covariances of factors, which are about 1, and their
# shares in the trace. Below these a difference of second moments is a rounding error.
_MIN_COVARIANCE = 1e-8
_MIN_SHARE = 1e-13
# Largest precision of the prior in online EM, in units of the noise's precision: a
# factor that few rows do not support would be switched off for good.
_MAX_ONLINE_PRECISION = 1.0


@dataclass(frozen=True)
class Priors:
    """Strengths of the priors of 'factor', counted in observations. 0 is none.

    Parameters
    ----------
    noise : float, default=10.0
        Entries that pull a column's noise to the noise of all columns.

    scale : float, default=50.0
        Entries that pull a component's noise scale to 1.

    mean : float, default=5.0
        Rows that pull a component's mean factors to 0.

    covariance : float, default=20.0
        Rows that pull the covariance of a component's factors to 1.

    weight : float, default=1.0
        Rows of each component beyond those observed.
    """

    noise: float = 10.0
    scale: float = 50.0
    mean: float = 5.0
    covariance: float = 20.0
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class FactorStatistics(Statistics):
    """Sums over rows. R are responsibilities, c = R / s, both times row weights."""

    sizes: Array  # (K,), of R
    entries: Array  # (K,), of R times a row's observed entries
    residuals: Array  # (K,), of R times a row's expected squared residuals over noise
    factors: Array  # (K, r), of R z
    factor_moments: Array  # (K, Q), of R z z^T
    column_weights: Array  # (d,), of weights over the mask
    column_squares: Array  # (d,), of c x^2
    column_factors: Array  # (r + 1, d), of c x (z, 1)
    column_moments: Array  # (Q + r + 1, d), of c (z, 1) (z, 1)^T over the mask

    @property
    def size(self) -> float:
        return float(self.column_weights.sum())


def maximize_columns(
    statistics: FactorStatistics, p: FactorParameters, strength: float, online: bool
) -> FactorParameters:
    """Loadings, their prior, and the noise, in turn.

    The noise of a column is pulled to the pooled noise by `strength` entries.
    """
    known, units = p.columns.known, p.columns.units
    for _ in range(_COLUMN_STEPS):
        loadings, spreads, log_dets, residuals = _solve_columns(statistics, p)
        pooled = strength * p.pooled_noise * units**2
        counts = np.maximum(statistics.column_weights + strength, NEGLIGIBLE)
        noise = np.maximum((residuals + pooled) / counts, p.floor)
        prior_mean = np.zeros(len(loadings))
        prior_mean[0] = (loadings[0] / units)[known].mean()
        prior_mean[-1] = ((loadings[-1] + p.columns.center) / units)[known].mean()
        p = replace(
            p,
            loadings=loadings,
            loading_spreads=spreads,
            loading_log_dets=log_dets,
            noise=noise,
            prior_mean=prior_mean,
        )
        precision = 1 / _prior_variances(p).mean(axis=1)
        if online:
            limit = _MAX_ONLINE_PRECISION / p.pooled_noise
            precision = np.minimum(precision, limit)
        p = replace(p, prior_precision=precision)
    return p


def _solve_columns(
    statistics: FactorStatistics, p: FactorParameters
) -> tuple[Array, Array, Array, Array]:
    """Posterior of the loadings, and residuals (d,) under it."""
    q, d = p.loadings.shape
    n_pairs = n_packed(q)
    bordered = np.empty((n_pairs + q + 1, d))
    log_dets, residuals = np.empty((2, d))
    for part in chunks(d, max(SWEEP_BYTES // (8 * len(bordered)), 1)):
        noise, factors = p.noise[part], statistics.column_factors[:, part]
        precision = p.column_precisions[:, part]
        solved = np.empty((len(bordered), len(noise)))
        np.divide(statistics.column_moments[:, part], noise, out=solved[:n_pairs])
        solved[diagonal_indices(q)] += precision
        np.divide(factors, noise, out=solved[n_pairs:-1])
        solved[n_pairs:-1] += precision * p.column_priors[:, part]
        solved[-1] = 0.0
        log_dets[part] = -sweep(solved, q)
        np.negative(solved[:n_pairs], out=solved[:n_pairs])
        loadings = solved[n_pairs:-1]
        # E[a^T S a] for the statistics S = noise (V^-1 - diag(precision)).
        squares = solved[diagonal_indices(q)] + loadings**2
        explained = -solved[-1] - np.sum(precision * squares, axis=0) + q
        residuals[part] = statistics.column_squares[part] + noise * explained
        residuals[part] -= 2 * np.einsum("qd,qd->d", loadings, factors)
        bordered[:, part] = solved
    return bordered[n_pairs:-1], bordered[:n_pairs], log_dets, residuals


def maximize_components(
    statistics: FactorStatistics, p: FactorParameters, priors: Priors
) -> FactorParameters:
    """Weights, noise scales, and the distribution of the factors of components."""
    r = p.n_factors
    sizes, factors = statistics.sizes, statistics.factors
    means = factors / (sizes + priors.mean)[:, None]
    covariances = unpack(statistics.factor_moments.T)
    crossed = means[:, :, None] * factors[:, None]
    covariances -= crossed + crossed.transpose(0, 2, 1)
    counts = (sizes + priors.mean)[:, None, None]
    covariances += counts * means[:, :, None] * means[:, None]
    covariances += priors.covariance * np.eye(r)
    covariances /= (sizes + priors.covariance)[:, None, None]
    check_in_range(covariances)
    traces = np.trace(covariances, axis1=1, axis2=2)
    floors = np.maximum(_MIN_COVARIANCE, _MIN_SHARE * traces)
    covariances = lift_eigenvalues(covariances, floors[:, None])
    scales = statistics.residuals + priors.scale
    scales /= statistics.entries + priors.scale
    # The floor holds for a component's share of the pooled noise, too: below it the
    # evidence of rows about their factors exceeds the precision of numbers.
    known = p.columns.known
    floor = np.min(p.floor[known] / p.columns.units[known] ** 2) / p.pooled_noise
    return replace(
        p,
        weights=(sizes + priors.weight) / (sizes + priors.weight).sum(),
        scales=np.clip(scales, max(1 / _MAX_SCALE, floor), _MAX_SCALE),
        factor_means=means,
        covariances=covariances,
        previous_scales=p.scales,
    )


def log_prior(p: FactorParameters, priors: Priors) -> float:
    """The objective's terms beside the rows' log-densities."""
    known = p.columns.known
    ratios = p.pooled_noise / p.relative_noise
    value = 0.5 * priors.noise * np.sum(np.log(ratios) - ratios + 1)
    log_dets = p.loading_log_dets - 2 * len(p.loadings) * np.log(p.columns.units)
    value -= 0.5 * float(
        np.sum(p.prior_precision @ _prior_variances(p))
        - known.sum() * (len(p.loadings) + np.log(p.prior_precision).sum())
        - log_dets[known].sum()
    )
    if len(p.weights) == 1:
        return float(value)
    value += priors.weight * np.sum(np.log(len(p.weights) * p.weights))
    value -= 0.5 * priors.scale * np.sum(np.log(p.scales) + 1 / p.scales - 1)
    traces = np.trace(p.precisions, axis1=1, axis2=2)
    value -= 0.5 * priors.covariance * np.sum(p.log_dets + traces - p.n_factors)
    means = p.factor_means
    lengths = np.einsum("ki,kij,kj->", means, p.precisions, means)
    return float(value - 0.5 * priors.mean * lengths)


def _prior_variances(p: FactorParameters) -> Array:
    """Expected squares of the loadings' distance from their prior means, (r + 1, d).

    In squared units of the columns.
    """
    known = p.columns.known
    variances = p.loading_spreads[diagonal_indices(len(p.loadings))]
    squares = variances + (p.loadings - p.column_priors) ** 2
    return (squares / p.columns.units**2)[:, known]
