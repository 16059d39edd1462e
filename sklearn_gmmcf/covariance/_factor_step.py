# SPDX-License-Identifier: BSD-3-Clause
"""The M-step of 'factor', its statistics and the priors that its objective holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sklearn_gmmcf import _kernels
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_basis import change_basis, find_basis
from sklearn_gmmcf.covariance._factor_features import learn_strengths, solve_slopes
from sklearn_gmmcf.covariance._factor_inference import (
    SWEEP_BYTES,
    FactorParameters,
    OtherColumns,
)
from sklearn_gmmcf.covariance._family import (
    BY_COLUMN,
    NEGLIGIBLE,
    Statistics,
    check_in_range,
    chunks,
)
from sklearn_gmmcf.covariance._further_columns import pad_columns
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
# Mean factors and slopes are improved this often in turn.
_ROW_STEPS = 2
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

    See Also
    --------
    Factor : Takes them.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Factor, Priors
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> X = make_ratings(100, 20, density=0.3, random_state=0).data

    Noise of columns that is pulled harder to the noise of all columns spreads less:

    >>> for priors in [Priors(), Priors(noise=200)]:
    ...     family = Factor(n_factors=2, priors=priors)
    ...     mixture = MaskedGaussianMixture(covariance_type=family).fit(X)
    ...     print(f"{mixture.noise_variance_.std():.2f}")
    0.10
    0.01
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
    feature_factors: Array  # (K, r, 1 + n_f), of R z h^T with h = (1, f)
    feature_moments: Array  # (K, 1 + n_f, 1 + n_f), of R h h^T
    factor_moments: Array  # (K, Q), of R z z^T
    column_weights: Array = field(metadata=BY_COLUMN)  # (d,), of weights over the mask
    column_squares: Array = field(metadata=BY_COLUMN)  # (d,), of c x^2
    column_factors: Array = field(metadata=BY_COLUMN)  # (r + 1, d), of c x (z, 1)
    # (Q + r + 1, d), of c (z, 1) (z, 1)^T over the mask
    column_moments: Array = field(metadata=BY_COLUMN)

    @property
    def size(self) -> float:
        return float(self.column_weights.sum())

    def widen(self, d: int) -> FactorStatistics:
        """The same with further columns (d,) without observations."""
        names = self._by_column()
        sums: dict[str, Any] = {n: pad_columns(getattr(self, n), d) for n in names}
        return replace(self, **sums)


def choose_priors(n_columns: int) -> Priors:
    """Strengths that grow with the number of columns, within bounds.

    Ratings of many items bear, and need, stronger priors than tables.
    """
    return Priors(
        noise=float(np.clip(n_columns / 30, 10, 30)),
        covariance=float(np.clip(n_columns, 20, 100)),
    )


def maximize_columns(
    statistics: FactorStatistics, p: FactorParameters, strength: float, online: bool
) -> FactorParameters:
    """Loadings, their prior, and the noise, in turn.

    The noise of a column is pulled to the pooled noise by `strength` entries.
    """
    units = p.columns.wide_units
    # Of some columns only the noise goes along with the loadings.
    for _ in range(_COLUMN_STEPS if p.others is None else 1):
        loadings, spreads, log_dets, residuals = _solve_columns(statistics, p)
        pooled = strength * p.pooled_noise * units**2
        counts = np.maximum(statistics.column_weights + strength, NEGLIGIBLE)
        noise = np.maximum((residuals + pooled) / counts, p.floor)
        p = replace(
            p,
            loadings=loadings,
            loading_spreads=spreads,
            loading_log_dets=log_dets,
            noise=noise,
        )
        if p.others is None:
            p = _maximize_column_prior(p, online)
    return p


def _maximize_column_prior(p: FactorParameters, online: bool) -> FactorParameters:
    """Prior of the loadings, from all of them."""
    known = p.columns.known
    unexplained = p.relative_loadings - p.column_slopes @ p.features.columns
    prior_mean = np.zeros(len(p.loadings))
    prior_mean[[0, -1]] = unexplained[:, known][[0, -1]].mean(axis=1)
    p = _maximize_column_slopes(replace(p, prior_mean=prior_mean))
    squares = _prior_variances(p).sum(axis=1)
    squares += p.column_slopes**2 @ p.column_slope_precisions
    precision = known.sum() / squares
    if online:
        limit = _MAX_ONLINE_PRECISION / p.pooled_noise
        precision = np.minimum(precision, limit)
    return replace(p, prior_precision=precision)


def _maximize_column_slopes(p: FactorParameters) -> FactorParameters:
    """Slopes of the loadings on the features of columns, and their strengths."""
    features = p.features
    if not len(features.columns):
        return p
    gaps = np.where(p.columns.known, p.relative_loadings - p.prior_mean[:, None], 0.0)
    inverse = np.linalg.inv(
        p.column_feature_moments + np.diag(p.column_slope_precisions)
    )
    slopes = gaps @ features.columns.T @ inverse
    n = len(slopes)
    squares = p.prior_precision @ slopes**2 + n * np.diag(inverse)
    return replace(
        p, column_slopes=slopes, column_slope_precisions=learn_strengths(squares, n)
    )


def _solve_columns(
    statistics: FactorStatistics, p: FactorParameters
) -> tuple[Array, Array, Array, Array]:
    """Posterior of the loadings, and residuals (d,) under it."""
    q, d = p.loadings.shape
    n_pairs = n_packed(q)
    solved = np.empty((n_pairs + q + 1, d))
    log_dets, residuals = np.empty((2, d))
    for part in chunks(d, max(SWEEP_BYTES // (8 * len(solved)), 1)):
        log_dets[part] = _solve_systems(statistics, p, part, solved[:, part])
        loadings = solved[n_pairs:-1, part]
        # E[a^T S a] for the statistics S = noise (V^-1 - diag(precision)).
        squares = solved[diagonal_indices(q), part] + loadings**2
        explained = q - np.sum(p.column_precisions[:, part] * squares, axis=0)
        explained -= solved[-1, part]
        residuals[part] = statistics.column_squares[part] + p.noise[part] * explained
        factors = statistics.column_factors[:, part]
        residuals[part] -= 2 * np.einsum("qd,qd->d", loadings, factors)
    return solved[n_pairs:-1], solved[:n_pairs], log_dets, residuals


def _solve_systems(
    statistics: FactorStatistics, p: FactorParameters, part: slice, solved: Array
) -> Array:
    """Posterior covariances and means of the loadings of some columns.

    They and quadratic forms are written into `solved` (Q + q + 1, n).

    Returns
    -------
    log_dets : ndarray of shape (n,)
        Log-determinants of the covariances.
    """
    q, noise = len(p.loadings), p.noise[part]
    n_pairs = n_packed(q)
    factors = statistics.column_factors[:, part]
    moments = statistics.column_moments[:, part]
    precision = p.column_precisions[:, part]
    pulls = precision * p.column_priors[:, part]
    kernels = _kernels.load(len(noise) * q**3)
    if kernels is not None:
        log_dets = np.empty(len(noise))
        kernels.solve_loadings(
            moments, factors, noise, precision, pulls, solved, log_dets
        )
        return -log_dets
    # Contiguous, as it is worked on many times.
    bordered = np.empty(solved.shape)
    np.divide(moments, noise, out=bordered[:n_pairs])
    bordered[diagonal_indices(q)] += precision
    np.divide(factors, noise, out=bordered[n_pairs:-1])
    bordered[n_pairs:-1] += pulls
    bordered[-1] = 0.0
    log_dets = -sweep(bordered, q)
    np.negative(bordered[:n_pairs], out=solved[:n_pairs])
    solved[n_pairs:] = bordered[n_pairs:]
    return log_dets


def maximize_rows(
    statistics: FactorStatistics, p: FactorParameters, priors: Priors
) -> FactorParameters:
    """Mean factors of components, and slopes of the factors on features of rows."""
    first = statistics.feature_factors[:, :, 0]
    crossed = statistics.feature_factors[:, :, 1:]
    sums = statistics.feature_moments[:, 0, 1:]
    moments = statistics.feature_moments[:, 1:, 1:]
    means, slopes, strengths = p.factor_means, p.row_slopes, p.row_slope_precisions
    several = len(p.weights) > 1
    learns_slopes = len(strengths) > 0 and p.others is None
    for _ in range(_ROW_STEPS if learns_slopes else 1):
        if learns_slopes:
            gaps = crossed - means[:, :, None] * sums[:, None]
            slopes = solve_slopes(p.precisions, gaps, moments, strengths, slopes)
        if several:
            means = first - sums @ slopes.T
            means /= (statistics.sizes + priors.mean)[:, None]
    if not learns_slopes:
        return replace(p, factor_means=means)
    variances = _slope_variances(statistics, p)
    squares = (slopes**2 + variances).sum(axis=0)
    return replace(
        p,
        factor_means=means,
        row_slopes=slopes,
        row_slope_variances=variances,
        row_slope_precisions=learn_strengths(squares, len(slopes)),
    )


def maximize_components(
    statistics: FactorStatistics, p: FactorParameters, priors: Priors
) -> FactorParameters:
    """Weights, noise scales, and covariances of the factors of components."""
    r, sizes, means = p.n_factors, statistics.sizes, p.factor_means
    covariances = _center_factors(statistics, p)
    uncertain = _feature_squares(statistics) @ p.row_slope_variances.T  # (K, r)
    covariances += uncertain[:, :, None] * np.eye(r)
    covariances += priors.mean * means[:, :, None] * means[:, None]
    covariances += priors.covariance * np.eye(r)
    covariances /= (sizes + priors.covariance)[:, None, None]
    check_in_range(covariances)
    traces = np.trace(covariances, axis1=1, axis2=2)
    floors = np.maximum(_MIN_COVARIANCE, _MIN_SHARE * traces)
    covariances = lift_eigenvalues(covariances, floors[:, None])
    scales = statistics.residuals + priors.scale
    scales /= statistics.entries + priors.scale
    return replace(
        p,
        weights=(sizes + priors.weight) / (sizes + priors.weight).sum(),
        scales=np.clip(scales, max(1 / _MAX_SCALE, p.min_scale), _MAX_SCALE),
        covariances=covariances,
        previous_scales=p.scales,
    )


def _slope_variances(statistics: FactorStatistics, p: FactorParameters) -> Array:
    """Posterior variances of the slopes on features of rows, (r, n_f)."""
    precisions = np.diagonal(p.precisions, axis1=1, axis2=2)  # (K, r)
    precisions = precisions.T @ _feature_squares(statistics)
    return 1 / (precisions + p.row_slope_precisions)


def _feature_squares(statistics: FactorStatistics) -> Array:
    """Sums of the squared features of rows, (K, n_f)."""
    return np.diagonal(statistics.feature_moments[:, 1:, 1:], axis1=1, axis2=2)


def _center_factors(statistics: FactorStatistics, p: FactorParameters) -> Array:
    """Second moments of the factors about their prior means, (K, r, r)."""
    # These are D h, with h = (1, f) and D = (nu, b).
    means = p.factor_means
    slopes = np.broadcast_to(p.row_slopes, (len(means), *p.row_slopes.shape))
    D = np.concatenate([means[:, :, None], slopes], axis=2)
    crossed = D @ np.swapaxes(statistics.feature_factors, 1, 2)
    moments = unpack(statistics.factor_moments.T)
    moments -= crossed + np.swapaxes(crossed, 1, 2)
    return moments + D @ statistics.feature_moments @ np.swapaxes(D, 1, 2)


def improve_basis(
    statistics: FactorStatistics, p: FactorParameters, priors: Priors
) -> FactorParameters:
    """The model in the basis of the factors that suits its priors best.

    The same parameters where that is no gain.
    """
    if len(p.weights) == 1:
        size = statistics.sizes[0]
        moments = _center_factors(statistics, p)[0] / size
        R = find_basis(p, np.linalg.inv(moments))
        new = replace(change_basis(p, R), covariances=p.covariances)
        gain = np.linalg.slogdet(R)[1] - 0.5 * np.trace(R @ moments @ R.T - moments)
        gain *= size
    else:
        new = change_basis(p, find_basis(p, p.precisions.mean(axis=0)))
        new = replace(new, row_slope_variances=_slope_variances(statistics, new))
        gain = _slope_penalty(statistics, p) - _slope_penalty(statistics, new)
    gain += log_prior(new, priors) - log_prior(p, priors)
    return new if gain > 0 else p


def _slope_penalty(statistics: FactorStatistics, p: FactorParameters) -> float:
    """Loss of the rows' expected log-density by the uncertainty of the slopes."""
    squares = _feature_squares(statistics) @ p.row_slope_variances.T
    return 0.5 * float(np.sum(squares * np.diagonal(p.precisions, axis1=1, axis2=2)))


def leave_out(p: FactorParameters, columns: Array, priors: Priors) -> OtherColumns:
    """What a model of some columns (m,) must know of the others."""
    kept = p.take(columns)
    log_priors = _log_column_priors(p, priors)
    return OtherColumns(
        n_known=p.n_known,
        pooled_noise=p.pooled_noise,
        min_scale=p.min_scale,
        evidence=p.evidence - kept.evidence,
        log_prior=float(log_priors.sum() - log_priors[columns].sum())
        + p.log_column_slopes,
    )


def log_prior(p: FactorParameters, priors: Priors) -> float:
    """The objective's terms beside the rows' log-densities."""
    value = _log_column_priors(p, priors).sum()
    value += p.others.log_prior if p.others else p.log_column_slopes
    value += _log_row_slopes(p)
    if len(p.weights) == 1:
        return float(value)
    value += priors.weight * np.sum(np.log(len(p.weights) * p.weights))
    value -= 0.5 * priors.scale * np.sum(np.log(p.scales) + 1 / p.scales - 1)
    traces = np.trace(p.precisions, axis1=1, axis2=2)
    value -= 0.5 * priors.covariance * np.sum(p.log_dets + traces - p.n_factors)
    means = p.factor_means
    lengths = np.einsum("ki,kij,kj->", means, p.precisions, means)
    return float(value - 0.5 * priors.mean * lengths)


def _log_column_priors(p: FactorParameters, priors: Priors) -> Array:
    """Log-priors of the noise and the loadings of each column, 0 if unknown, (d,)."""
    squared_units = p.columns.wide_units**2
    ratios = p.pooled_noise * squared_units / p.noise
    values = 0.5 * priors.noise * (np.log(ratios) - ratios + 1)
    log_dets = p.loading_log_dets - len(p.loadings) * np.log(squared_units)
    values += 0.5 * (len(p.loadings) + np.log(p.prior_precision).sum() + log_dets)
    return np.where(p.columns.known, values - 0.5 * p.prior_distances, 0.0)


def _log_row_slopes(p: FactorParameters) -> float:
    """Divergence of the posterior of the slopes B from their prior, negated."""
    strengths, variances = p.row_slope_precisions, p.row_slope_variances
    ratios = strengths * variances
    value = np.sum(strengths * p.row_slopes**2 + ratios - 1 - np.log(ratios))
    return -0.5 * float(value)


def _prior_variances(p: FactorParameters) -> Array:
    """Expected squares of the loadings' distance from their prior means, (r + 1, d).

    In squared units of the columns.
    """
    known = p.columns.known
    variances = p.loading_spreads[diagonal_indices(len(p.loadings))]
    squares = variances + (p.loadings - p.column_priors) ** 2
    return (squares / p.columns.wide_units**2)[:, known]
