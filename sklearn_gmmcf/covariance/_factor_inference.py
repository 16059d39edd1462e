# SPDX-License-Identifier: BSD-3-Clause
r"""Latent factors of rows, given their observed entries and the parameters.

With :math:`\tilde z = (z, 1)`, E over the posteriors of loadings and slopes, w the
loadings without the intercept :math:`a_0`, and b the mean slopes on the features
:math:`f_i` of a row, the evidence of a row about its factors is

.. math::
    A_i &= \sum_{j \in O_i} E[w_j w_j^T] / \psi_j, \quad
    b_i = \sum_{j \in O_i} (d_{ij} \bar w_j - \mathrm{cov}[w_j, a_{j0}]) / \psi_j \\
    P_{ik} &= \Lambda_k^{-1} + A_i / s_k, \quad
    \bar z_{ik} = P_{ik}^{-1} (\Lambda_k^{-1} (\nu_k + b f_i) + b_i / s_k)

with :math:`d_{ij} = x_{ij} - \bar a_{j0}`, where :math:`A_i, b_i` are products with the
mask and the values, made once for all components. The uncertainty of the slopes lowers
the log-density of the row by
:math:`\frac{1}{2} E[((B - b) f_i)^T \Lambda_k^{-1} (B - b) f_i]`.

Symmetric matrices are packed as in `_triangles`; with Q = r (r + 1) / 2 the triangle of
a (r + 1, r + 1) matrix has the one of z first, then z, then 1. Rows have n_f features
and columns n_g.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from sklearn_gmmcf import _kernels
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._factor_features import Features, widen_features
from sklearn_gmmcf.covariance._family import (
    LOG_2_PI,
    check_in_range,
    chunks,
    log_weights,
)
from sklearn_gmmcf.covariance._further_columns import pad_columns
from sklearn_gmmcf.covariance._triangles import (
    add_packed_outer,
    diagonal_indices,
    multiplicities,
    n_packed,
    pack,
    packed_outer,
    sweep,
    unpack,
)
from sklearn_gmmcf.data import Block, Columns

# Lower bound on noise variances, relative to the unit of the column, for each unit of
# excess kurtosis over 3, and at most: factors that explained the rare values of a
# nearly constant column exactly would extrapolate in the row's other columns.
_TAIL_NOISE, _MAX_TAIL_NOISE = 0.02, 0.05
# Systems that are swept together should stay in the cache.
SWEEP_BYTES = 2**22
# Rows that are so few that their systems under all components are swept together.
_FEW_ROWS = 64
# Precision of the noise in units of the factors' precision, where digits end.
_MAX_RATIO = 1 / float(np.finfo(np.float64).eps)


def find_floor(columns: Columns, min_noise: float, min_variance: float) -> Array:
    """Floor under the noise of each column, (d,)."""
    tails = np.minimum(_TAIL_NOISE * (columns.tails - 1), _MAX_TAIL_NOISE)
    relative = np.maximum(min_noise, tails)
    return np.maximum(min_variance, relative * columns.wide_units**2)


@dataclass(frozen=True, eq=False)
class OtherColumns:
    """What a model of some columns must know of those that are left out."""

    n_known: int  # of all columns
    pooled_noise: float  # of all columns
    min_scale: float  # of all columns
    evidence: Array  # (r, r), of the columns left out
    log_prior: float  # of these, and of what depends on all columns


@dataclass(frozen=True, eq=False)
class FactorParameters:
    """The model, and the terms of the density made from it."""

    weights: Array  # (K,)
    loadings: Array  # (r + 1, d), the intercept last, centered
    loading_spreads: Array  # (Q + r + 1, d), their posterior covariances
    loading_log_dets: Array  # (d,), of these
    noise: Array  # (d,)
    scales: Array  # (K,)
    factor_means: Array  # (K, r)
    covariances: Array  # (K, r, r)
    prior_mean: Array  # (r + 1,), of loadings in units of their columns, not centered
    prior_precision: Array  # (r + 1,), of loadings in units of their columns
    columns: Columns
    min_variance: float  # floor under the noise, in squared units of the data
    min_noise: float  # the same, in squared units of the columns
    features: Features
    row_slopes: Array  # (r, n_f), b
    row_slope_variances: Array  # (r, n_f), v
    row_slope_precisions: Array  # (n_f,), tau
    column_slopes: Array  # (r + 1, n_g), C
    column_slope_precisions: Array  # (n_g,), lambda, relative to prior_precision
    # Scales before the last step, to which `backtrack` returns.
    previous_scales: Array | None = None
    others: OtherColumns | None = None  # columns left out of this model

    @cached_property
    def floor(self) -> Array:
        """Floor under the noise of each column, (d,)."""
        return find_floor(self.columns, self.min_noise, self.min_variance)

    def widen(self, columns: Columns) -> Self:
        """The model with further columns, whose loadings are as their priors say."""
        before, d = len(self.noise), len(columns.known)
        new = slice(before, d)
        wide = replace(
            self,
            loadings=pad_columns(self.loadings, d),
            loading_spreads=pad_columns(self.loading_spreads, d),
            loading_log_dets=pad_columns(self.loading_log_dets, d),
            noise=pad_columns(self.noise, d),
            columns=columns,
            features=widen_features(self.features, columns),
        )
        variances = 1 / wide.column_precisions[:, new]
        wide.loadings[:, new] = wide.column_priors[:, new]
        wide.loading_spreads[diagonal_indices(len(variances)), new] = variances
        wide.loading_log_dets[new] = np.log(variances).sum(axis=0)
        pooled = self.pooled_noise * columns.wide_units[new] ** 2
        wide.noise[new] = np.maximum(pooled, wide.floor[new])
        return wide

    @property
    def n_factors(self) -> int:
        return len(self.loadings) - 1

    @cached_property
    def mask_weights(self) -> Array:
        """Weights of a block's mask: A, shifts of b and e, log of noise."""
        n_pairs = n_packed(self.n_factors)
        moments = self.loading_spreads.copy()
        moments[:n_pairs] += packed_outer(self.loadings[:-1])
        log_noise = LOG_2_PI + np.log(self.noise)
        return _for_products(np.vstack([moments / self.noise, log_noise]))

    @cached_property
    def value_weights(self) -> Array:
        """Weights of a block's residuals from the intercepts: b."""
        return _for_products(self.loadings[:-1] / self.noise)

    @cached_property
    def precisions(self) -> Array:
        """Inverse covariances of the factors of each component, (K, r, r)."""
        return np.linalg.inv(self.covariances)

    @cached_property
    def log_dets(self) -> Array:
        """Log-determinants of the covariances of the factors, (K,)."""
        return np.linalg.slogdet(self.covariances)[1]

    @cached_property
    def column_priors(self) -> Array:
        """Prior means of the loadings, centered, (r + 1, d)."""
        means = self.prior_mean[:, None] + self.column_slopes @ self.features.columns
        means *= self.columns.wide_units
        means[-1] -= self.columns.center
        return means

    @property
    def n_effective_slopes(self) -> float:
        """How many of the shrunk slopes of factors on features of rows count."""
        shrinkage = self.row_slope_variances * self.row_slope_precisions
        return float(np.sum(1 - shrinkage))

    def marginal_covariance(self, component: int) -> Array:
        """Covariance of the factors of rows whose features vary, (r, r)."""
        spread = self.features.row_covariance
        slopes = self.row_slopes
        uncertain = np.diag(self.row_slope_variances @ np.diag(spread))
        return self.covariances[component] + slopes @ spread @ slopes.T + uncertain

    @property
    def relative_loadings(self) -> Array:
        """Loadings in units of their columns, not centered, (r + 1, d)."""
        loadings = self.loadings.copy()
        loadings[-1] += self.columns.center
        return loadings / self.columns.wide_units

    @cached_property
    def column_feature_moments(self) -> Array:
        """Sums of products of the features of the known columns, (n_g, n_g)."""
        features = self.features.columns[:, self.columns.known]
        return features @ features.T

    @cached_property
    def log_column_slopes(self) -> float:
        """Divergence of the posterior of the slopes C from their prior, negated."""
        strengths = self.column_slope_precisions
        value = self.prior_precision @ self.column_slopes**2 @ strengths
        _, log_det = np.linalg.slogdet(self.column_feature_moments + np.diag(strengths))
        value += len(self.loadings) * (log_det - np.log(strengths).sum())
        return -0.5 * float(value)

    @cached_property
    def column_precisions(self) -> Array:
        """Prior precisions of the loadings, (r + 1, d)."""
        return self.prior_precision[:, None] / self.columns.wide_units**2

    @property
    def relative_noise(self) -> Array:
        """Noise of the known columns, in squared units of these."""
        known = self.columns.known
        return self.noise[known] / self.columns.wide_units[known] ** 2

    @property
    def n_known(self) -> int:
        """Number of known columns, those left out among them."""
        return self.others.n_known if self.others else int(self.columns.known.sum())

    @property
    def pooled_noise(self) -> float:
        """Relative noise that columns are pulled to: the pool of the highest prior."""
        if self.others:
            return self.others.pooled_noise
        return float(1 / np.mean(1 / self.relative_noise))

    @property
    def min_scale(self) -> float:
        """Floor under the noise scales of components, by the floor of the noise.

        It is the floor of the pooled noise, below which the evidence of rows about
        their factors exceeds the precision of numbers.
        """
        if self.others:
            return self.others.min_scale
        known = self.columns.known
        floor = np.min(self.floor[known] / self.columns.wide_units[known] ** 2)
        return float(floor / self.pooled_noise)

    @cached_property
    def evidence(self) -> Array:
        """Evidence about the factors of a row that observes all columns, (r, r)."""
        spreads = (self.loading_spreads[: n_packed(self.n_factors)] / self.noise).sum(
            axis=1
        )
        evidence = unpack(spreads[:, None])[0]
        evidence += (self.loadings[:-1] / self.noise) @ self.loadings[:-1].T
        return evidence if self.others is None else evidence + self.others.evidence

    @cached_property
    def prior_distances(self) -> Array:
        """Expected squared distances of the loadings from their priors, (d,).

        In units of the priors' standard deviations; 0 of unknown columns.
        """
        variances = self.loading_spreads[diagonal_indices(len(self.loadings))]
        squares = variances + (self.loadings - self.column_priors) ** 2
        distances = self.prior_precision @ squares / self.columns.wide_units**2
        return np.where(self.columns.known, distances, 0.0)

    def take(self, columns: Array, others: OtherColumns | None = None) -> Self:
        """The model of some columns (m,)."""
        return replace(
            self,
            loadings=self.loadings[:, columns],
            loading_spreads=self.loading_spreads[:, columns],
            loading_log_dets=self.loading_log_dets[columns],
            noise=self.noise[columns],
            columns=self.columns.take(columns),
            features=self.features.take(columns),
            others=others,
        )

    def put(self, columns: Array, few: Self) -> Self:
        """The model of all columns with these parameters of some (m,)."""
        names = "loadings", "loading_spreads", "loading_log_dets", "noise"
        values = {name: getattr(self, name).copy() for name in names}
        for name, value in values.items():
            value[..., columns] = getattr(few, name)
        whole = replace(
            few, **values, columns=self.columns, features=self.features, others=None
        )
        distances = self.prior_distances.copy()
        distances[columns] = few.prior_distances
        # What is known of the columns left out need not be summed up again.
        vars(whole).update(
            evidence=few.evidence,
            prior_distances=distances,
            log_column_slopes=self.log_column_slopes,
        )
        return whole

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of a block's rows about their factors, for a component of s = 1."""

    precisions: Array  # (Q, n), A
    shifts: Array  # (r, n), b
    # (n,), expected squares of residuals from the intercepts, over noise
    squares: Array
    log_noise: Array  # (n,), sums of log(2 pi psi)
    counts: Array  # (n,)
    features: Array  # (n_f, n), f
    prior_means: Array  # (r, n), b f
    prior_variances: Array  # (r, n), expected squares of (B - b) f


@dataclass(frozen=True, eq=False)
class Posterior:
    """Factors of some rows given their observed entries, under each component."""

    log_joint: Array  # (K, n)
    solved: Array  # (K, Q + r + 1, n), covariances, means, and quadratic forms

    @property
    def n_factors(self) -> int:
        # The lengths of `solved` are those of triangles of order r + 1.
        return int(np.sqrt(2 * self.solved.shape[1])) - 1

    @property
    def covariances(self) -> Array:
        """Lower triangles, (K, Q, n)."""
        return self.solved[:, : n_packed(self.n_factors)]

    @property
    def means(self) -> Array:
        """Posterior means, (K, r, n)."""
        return self.solved[:, n_packed(self.n_factors) : -1]


def check_precision(p: FactorParameters) -> None:
    """Refuse parameters under which factors of rows would be rounding errors."""
    check_in_range(p.evidence)
    moments = p.covariances + p.factor_means[:, :, None] * p.factor_means[:, None]
    ratio = np.max(np.einsum("kij,ij->k", moments, p.evidence) / p.scales)
    if not ratio < _MAX_RATIO:
        raise ValueError(
            f"The factors have {ratio:.1g} times the square of the noise, more than "
            "floating-point numbers tell apart. Remove outlying values, scale the "
            "columns (StandardScaler), or increase min_variance."
        )


def collect_evidence(p: FactorParameters, block: Block) -> Evidence:
    """Sum up a block's entries, in two wide products."""
    r = p.n_factors
    n_pairs = n_packed(r)
    # Where noise is small, squares over it exceed what single precision can sum.
    by_mask = block.mask.project(p.mask_weights, in_double=True)
    # Squares of residuals need all digits: x^2 - 2 x a + a^2 would cancel.
    residuals, squares = block.centered_at(p.loadings[-1])
    features = block.remember(
        "features", p.features, partial(p.features.describe, block)
    )
    return Evidence(
        precisions=by_mask[:n_pairs],
        shifts=residuals.project(p.value_weights) - by_mask[n_pairs : n_pairs + r],
        squares=squares.project(1 / p.noise[None])[0] + by_mask[n_pairs + r],
        log_noise=by_mask[-1],
        counts=block.counts,
        features=features,
        prior_means=p.row_slopes @ features,
        prior_variances=p.row_slope_variances @ features**2,
    )


def infer(p: FactorParameters, evidence: Evidence, rows: slice) -> Posterior:
    """Posterior of the factors of some rows, under each component."""
    r = p.n_factors
    n_components, n_pairs = len(p.weights), n_packed(r)
    counts = evidence.counts[rows]
    solved = np.empty((n_components, n_pairs + r + 1, len(counts)))
    log_joint = np.empty((n_components, len(counts)))
    log_dets = _solve_factors(p, evidence, rows, solved)
    for k, system in enumerate(solved):
        log_joint[k] = log_dets[k]
        # What is left of the quadratic form are squares, which only rounding makes
        # negative.
        log_joint[k] += np.maximum(system[-1], 0.0)
        log_joint[k] += np.diag(p.precisions[k]) @ evidence.prior_variances[:, rows]
        log_joint[k] += evidence.log_noise[rows] + counts * np.log(p.scales[k])
        log_joint[k] += p.log_dets[k]
    log_joint *= -0.5
    log_joint += log_weights(p.weights)[:, None]
    return Posterior(log_joint, solved)


def _solve_factors(
    p: FactorParameters, evidence: Evidence, rows: slice, solved: Array
) -> Array:
    """Covariances and means of the factors of some rows, and quadratic forms.

    They are written into `solved` (K, Q + r + 1, n).

    Returns
    -------
    log_dets : ndarray of shape (K, n)
        Log-determinants of the inverse covariances.
    """
    r = p.n_factors
    n_components, length, n = solved.shape
    kernels = _kernels.load(solved[0].size * r)
    log_dets = np.empty((n_components, n))
    if kernels is not None:
        for k, system in enumerate(solved):
            kernels.infer_factors(
                evidence.precisions,
                evidence.shifts,
                evidence.squares,
                evidence.prior_means,
                rows.start,
                p.scales[k],
                p.precisions[k],
                p.factor_means[k],
                system,
                log_dets[k],
            )
        return log_dets
    if n > _FEW_ROWS:
        for k, system in enumerate(solved):
            _set_up(p, k, evidence, rows, system)
            log_dets[k] = sweep(system, r)
    else:
        # Calls cost more than the work, so that components are swept together.
        together = np.empty((length, n_components, n))
        for k in range(n_components):
            _set_up(p, k, evidence, rows, together[:, k])
        log_dets = sweep(together.reshape(length, -1), r).reshape(log_dets.shape)
        solved[:] = np.swapaxes(together, 0, 1)
    covariances = solved[:, : n_packed(r)]
    np.negative(covariances, out=covariances)
    return log_dets


def _set_up(
    p: FactorParameters, k: int, evidence: Evidence, rows: slice, system: Array
) -> None:
    """Write the systems of a component, whose sweep gives its factors."""
    n_pairs = n_packed(p.n_factors)
    scale, precision = p.scales[k], p.precisions[k]
    means = p.factor_means[k][:, None] + evidence.prior_means[:, rows]
    pulls = precision @ means
    np.divide(evidence.precisions[:, rows], scale, out=system[:n_pairs])
    system[:n_pairs] += pack(precision)[:, None]
    np.divide(evidence.shifts[:, rows], scale, out=system[n_pairs:-1])
    system[n_pairs:-1] += pulls
    # The border's corner loses the quadratic form of the factors' means.
    system[-1] = evidence.squares[rows] / scale
    system[-1] += np.einsum("qn,qn->n", means, pulls)


def sum_moments(
    p: FactorParameters,
    evidence: Evidence,
    rows: slice,
    posterior: Posterior,
    shares: Array,
    scaled_sums: Array,
) -> tuple[Array, Array]:
    """Weighted sums of what the M-step needs of the factors of some rows.

    Sums over components of shares (K, n) over scales, times the second moments of
    (z, 1), are added to `scaled_sums` (Q + r + 1, n). The posterior's covariances may
    be overwritten.

    Returns
    -------
    moments : ndarray of shape (K, Q)
        Of the shares times the second moments of z.
    residuals : ndarray of shape (K,)
        Of the shares times expected squared residuals over noise.
    """
    n_pairs = n_packed(p.n_factors)
    moments, residuals = np.zeros((len(shares), n_pairs)), np.empty(len(shares))
    kernels = _kernels.load(posterior.solved.size)
    for k, (share, solved) in enumerate(zip(shares, posterior.solved, strict=True)):
        means = solved[n_pairs:-1]
        if kernels is not None:
            traces = np.empty(shares.shape[1])
            kernels.sum_moments(
                solved,
                evidence.precisions,
                rows.start,
                share,
                1 / p.scales[k],
                scaled_sums,
                moments[k],
                traces,
            )
        else:
            second = add_packed_outer(solved[:n_pairs], means)
            traces = trace_evidence(evidence, rows, second)
            moments[k] = second @ share
            scaled = share / p.scales[k]
            scaled_sums[:n_pairs, rows] += scaled * second
            scaled_sums[n_pairs:-1, rows] += scaled * means
            scaled_sums[-1, rows] += scaled
        residuals[k] = share @ expected_residuals(evidence, rows, means, traces)
    return moments, residuals


def trace_evidence(evidence: Evidence, rows: slice, moments: Array) -> Array:
    """Traces (n,) of the evidence of some rows times the moments (Q, n) of z."""
    n_factors = len(evidence.shifts)
    twice = multiplicities(n_factors)
    return twice @ (evidence.precisions[:, rows] * moments)


def expected_residuals(
    evidence: Evidence, rows: slice, means: Array, traces: Array
) -> Array:
    """Expected squared residuals over noise, (n,), of factors with these means.

    `traces` are those of `trace_evidence`, of their second moments.
    """
    residuals = traces + evidence.squares[rows]
    residuals -= 2 * np.einsum("qn,qn->n", evidence.shifts[:, rows], means)
    return residuals


def swept_together(n_rows: int, n_factors: int) -> Iterator[slice]:
    """Rows whose systems are swept together."""
    n_numbers = n_packed(n_factors) + n_factors + 1
    return chunks(n_rows, max(SWEEP_BYTES // (8 * n_numbers), 1))


def _for_products(operand: Array) -> Array:
    """The same, laid out as sparse products want it."""
    return np.ascontiguousarray(operand.T).T
