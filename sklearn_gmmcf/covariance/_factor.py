r"""Common factors: types of rows in one shared space of tastes.

With :math:`\tilde z = (z, 1)` and r factors,

.. math::
    k_i \sim \pi, \quad z_i | k \sim N(\nu_k, \Lambda_k), \quad
    x_{ij} | z_i, k \sim N(a_j^T \tilde z_i, s_k \psi_j), \quad
    a_j \sim N(m, \mathrm{diag}(1 / \alpha))

(mixtures of common factor analyzers: Baek, McLachlan and Flack 2010; priors as in
Bishop 1999, Ilin and Raiko 2010). The first factor has a prior mean, so that it is the
row's own offset; :math:`\alpha` switches useless factors off. The loadings
:math:`a_j`, of which the last is the column's intercept, have the posterior
:math:`q(a_j) = N(\bar a_j, V_j)`; all else is estimated. With E over q and w the
loadings without the intercept :math:`a_0`, a row says of its tastes

.. math::
    A_i &= \sum_{j \in O_i} E[w_j w_j^T] / \psi_j, \quad
    b_i = \sum_{j \in O_i} (x_{ij} \bar w_j - E[w_j a_{j0}]) / \psi_j \\
    P_{ik} &= \Lambda_k^{-1} + A_i / s_k, \quad
    \bar z_{ik} = P_{ik}^{-1} (\Lambda_k^{-1} \nu_k + b_i / s_k)

where A, b are products with the mask and the values, made once for all types. EM
maximizes F: the rows' log-densities of type and tastes bounded over q, less the
divergence of q from the prior, plus the log-priors of `Priors`.

Symmetric matrices are lower triangles by rows, one a column: (r (r + 1) / 2, n). Those
of :math:`\tilde z` have that of z first, then z, then 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from sklearn_gmmcf._observed import Block, Columns, Observed, bounded, observe
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    Divide,
    Given,
    Statistics,
    chunks,
    draw_labels,
    log_normal,
    log_weights,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._systems import sweep

_LOG_2_PI = float(np.log(2 * np.pi))
# Systems that are swept together should stay in the cache.
_SWEPT_BYTES = 2**22
# Numbers that a block may hold for its rows.
_BLOCK_NUMBERS = 2**23
_CHUNK_ENTRIES = 2**16

# Columns without noise, and a type without limits for what these do not explain, would
# have an infinite likelihood: relative to the variance of the data, by its dtype.
_LEAST_NOISE = {"d": 1e-6, "f": 3e-4}
_LARGEST_SCALE = 100.0

# Loadings, their prior and the noise are improved this often on the same statistics:
# it costs little beside the E-step, and saves more than half of the passes.
_COLUMN_STEPS = 3
# The start: subspace iterations, and the entries by which rows, columns are damped.
_START_PASSES = 5
_START_DAMPING = 5.0
# The prior of the loadings, in units of the data's precision, and their uncertainty
# relative to it: as if they were known, or the noise would take what they explain.
_START_PRECISION = 8.0
_START_SPREAD = 1e-6
# Most precision of the prior in a stream, in units of that of the noise: a factor that
# few rows do not support would be switched off for good.
_STREAM_PRECISION = 1.0


@dataclass(frozen=True)
class Priors:
    """Strengths of the priors, counted in observations. 0 is none."""

    noise: float = 10.0  # entries that pull a column's noise to that of the pool
    scale: float = 50.0  # entries that pull a type's noise to 1
    place: float = 5.0  # rows that pull a type's mean tastes to 0
    spread: float = 20.0  # rows that pull the covariance of a type's tastes to 1
    weight: float = 1.0  # rows of each type beyond those seen
    loadings: bool = True  # whether loadings have a prior and a posterior


@dataclass(frozen=True, eq=False)
class FactorStatistics(Statistics):
    """Sums over rows. R are responsibilities, c = R / s, both times row weights."""

    sizes: Array  # (K,), of R
    entries: Array  # (K,), of R times a row's observed entries
    residuals: Array  # (K,), of R times a row's expected squared residuals over noise
    tastes: Array  # (K, r), of R z
    spreads: Array  # (K, Q), of R z z^T
    column_weights: Array  # (d,), of weights over the mask
    column_squares: Array  # (d,), of c x^2
    column_tastes: Array  # (r + 1, d), of c x (z, 1)
    column_spreads: Array  # (Q + r + 1, d), of c (z, 1) (z, 1)^T over the mask

    @property
    def size(self) -> float:
        return float(self.column_weights.sum())


@dataclass(frozen=True, eq=False)
class FactorParameters:
    """The model, and the terms of the density made from it."""

    weights: Array  # (K,)
    loadings: Array  # (r + 1, d), the intercept last, centered
    loading_spreads: Array  # (Q + r + 1, d), their posterior covariances
    loading_log_dets: Array  # (d,), of these
    noise: Array  # (d,)
    scales: Array  # (K,)
    places: Array  # (K, r)
    covariances: Array  # (K, r, r)
    prior_mean: Array  # (r + 1,), the intercept's in the units of the data
    prior_precision: Array  # (r + 1,)
    columns: Columns
    floor: float  # under the noise
    # Scales before the last step, to which `step_back` returns.
    steady_scales: Array | None = None

    @property
    def n_factors(self) -> int:
        return len(self.loadings) - 1

    @cached_property
    def moments(self) -> Array:
        """Second moments of the loadings, (Q + r + 1, d)."""
        return self.loading_spreads + _outer(self.loadings)

    @cached_property
    def on_mask(self) -> Array:
        """What a block's mask is multiplied by: A, shift of b and e, log of noise."""
        log_noise = _LOG_2_PI + np.log(self.noise)
        return _for_products(np.vstack([self.moments / self.noise, log_noise]))

    @cached_property
    def on_values(self) -> Array:
        return _for_products(self.loadings / self.noise)

    @cached_property
    def precisions(self) -> Array:
        """Of the tastes of each type, (K, r, r)."""
        return np.linalg.inv(self.covariances)

    @cached_property
    def log_dets(self) -> Array:
        """Of the covariances of the tastes, (K,)."""
        return np.linalg.slogdet(self.covariances)[1]

    @cached_property
    def column_priors(self) -> Array:
        """Prior means of the loadings, centered, (r + 1, d)."""
        means = np.repeat(self.prior_mean[:, None], len(self.noise), axis=1)
        means[-1] -= self.columns.center
        return means

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the rows of a block say of their tastes, for any type of s = 1."""

    precisions: Array  # (Q, n), A
    shifts: Array  # (r, n), b
    squares: (
        Array  # (n,), expected squares of residuals from the intercepts, over noise
    )
    log_noise: Array  # (n,), sums of log(2 pi psi)
    counts: Array  # (n,)


@dataclass(frozen=True, eq=False)
class _Posterior:
    """Tastes of some rows given what they observed, for each type."""

    log_joint: Array  # (K, n)
    means: Array  # (K, r, n)
    covariances: Array  # (K, Q, n)

    def moments(self) -> Array:
        """Second moments in place of the covariances, (K, Q, n)."""
        for covariance, mean in zip(self.covariances, self.means, strict=True):
            _add_outer(covariance, mean)
        return self.covariances


@dataclass(frozen=True, eq=False)
class _Tastes:
    """Tastes of rows given what they observed, over all types."""

    means: Array  # (r, n)
    covariances: Array  # (Q, n)
    moments: Array  # (Q + r + 1, n), second moments of (z, 1)
    scales: Array  # (n,)


@dataclass(frozen=True)
class Factor:
    """Types of rows in a shared space of tastes."""

    groups_rows = False
    given_names = ("weights",)
    unused_options = ("reg_covar",)
    unknown_columns = "the mean of the other columns and the row's offset from it"

    n_factors: int = 10
    min_variance: float = 0.0
    priors: Priors = Priors()
    streams: bool = False  # whether later rows may need what these do not

    @property
    def most_rows(self) -> int:
        n_numbers = bounded(8 * _BLOCK_NUMBERS) // 8
        return max(n_numbers // (2 * _n_packed(self.n_factors + 1)), 1)

    def start(
        self,
        data: Observed,
        n_components: int,
        divide: Divide,
        given: Given,
    ) -> FactorParameters:
        single = self._start_loadings(data)
        if n_components == 1:
            return single
        responsibilities = divide(self._row_noise(single, data))
        r = self.n_factors
        parameters = replace(
            single,
            weights=np.full(n_components, 1 / n_components),
            scales=np.ones(n_components),
            places=np.zeros((n_components, r)),
            covariances=np.repeat(np.eye(r)[None], n_components, axis=0),
        )
        begun = parameters
        statistics = data.total(
            lambda block: self._sum(begun, block, responsibilities(block.rows))
        )
        parameters = self.maximize(statistics, parameters)
        # A column that this sample does not observe stays at its center, or the noise
        # of few entries far from the prior would hold it there.
        unseen = data.columns.known & (statistics.column_weights == 0)
        parameters = replace(
            parameters,
            loadings=np.where(unseen, single.loadings, parameters.loadings),
            noise=np.where(unseen, single.noise, parameters.noise),
        )
        if given.weights is not None:
            # A weight of 0 has no prior.
            weights = np.maximum(given.weights, NEGLIGIBLE)
            parameters = replace(parameters, weights=weights)
        return replace(parameters, steady_scales=None)

    def _row_noise(self, p: FactorParameters, data: Observed) -> Observed:
        """How noisy each row is, as a table of one column (n, 1).

        It tells types apart better than what the rows like.
        """

        def of_block(block: Block) -> Array:
            rows = _read(p, block)
            noise = np.empty(len(rows.counts))
            for part in self._parts(len(noise)):
                posterior = _infer(p, rows, part)
                squares = _residuals(
                    rows, part, posterior.means[0], posterior.moments()[0]
                )
                damped = squares + _START_DAMPING
                noise[part] = np.log(damped / (rows.counts[part] + _START_DAMPING))
            return noise

        noise = np.concatenate(list(data.map(of_block)))
        # Equal rows are equally noisy to the last digit.
        groups, first = data.row_groups()
        table = noise[first[groups], None]
        return observe(table, weights=data.weights, keep=True, run=data.run)

    def _start_loadings(self, data: Observed) -> FactorParameters:
        """One type, whose loadings span the leading singular vectors of the residuals.

        Residuals are those from column means and row offsets, divided by the roots of
        the counts of their row and column, so that neither the busiest nor the rarest
        of these make the space.
        """
        r, columns = self.n_factors, data.columns
        known = columns.known
        counts, squares, offset_square = _totals(data)
        variance = max(squares.sum() / counts.sum(), self.min_variance)
        if variance == 0:
            raise ValueError(
                "The noise variance of every column is zero: no column varies. "
                "Increase min_variance, or choose another covariance_type."
            )
        least = _LEAST_NOISE[data.dtype.char] * variance
        floor = max(self.min_variance, least)
        unit = np.sqrt(max(offset_square, least))
        loadings = np.zeros((r + 1, len(known)))
        loadings[0] = unit
        n_directions = min(r - 1, int(known.sum()))
        if n_directions:
            directions, strengths = _leading_directions(data, counts, n_directions)
            shares = counts / counts.sum()
            strong = strengths > np.sqrt(np.finfo(data.dtype).eps) * strengths[0]
            directions, strengths = directions[strong], strengths[strong]
            sizes = np.sqrt(directions**2 @ shares)
            scales = np.sqrt(variance / (8 * n_directions)) / sizes
            scales *= len(strengths) * strengths / max(strengths.sum(), NEGLIGIBLE)
            loadings[1 : 1 + len(scales)] = scales[:, None] * directions
        prior_mean = np.zeros(r + 1)
        prior_mean[0] = unit
        prior_mean[-1] = columns.center[known].mean()
        prior_precision = np.full(r + 1, _START_PRECISION / variance)
        spreads = np.zeros((_n_packed(r + 1), len(known)))
        if self.priors.loadings:
            spreads[_diagonal(r + 1)] = _START_SPREAD / _START_PRECISION * variance
        log_det = (r + 1) * np.log(_START_SPREAD / _START_PRECISION * variance)
        noise = 0.5 * (squares + self.priors.noise * variance)
        noise /= np.maximum(counts + self.priors.noise, NEGLIGIBLE)
        return FactorParameters(
            weights=np.ones(1),
            loadings=loadings,
            loading_spreads=spreads,
            loading_log_dets=np.full(len(known), log_det),
            noise=np.maximum(noise, floor),
            scales=np.ones(1),
            places=np.zeros((1, r)),
            covariances=np.eye(r)[None],
            prior_mean=prior_mean,
            prior_precision=prior_precision,
            columns=columns,
            floor=floor,
        )

    def recenter(
        self, parameters: FactorParameters, old: Columns, new: Columns
    ) -> FactorParameters:
        loadings = parameters.loadings.copy()
        loadings[-1] += old.center - new.center
        # What an objective is compared with is that of the same data.
        same = np.array_equal(old.center, new.center)
        steady = parameters.steady_scales if same else None
        return replace(parameters, loadings=loadings, columns=new, steady_scales=steady)

    def for_streams(self) -> Factor:
        return replace(self, streams=True)

    def welcome(
        self,
        statistics: FactorStatistics,
        parameters: FactorParameters,
        arrived: Array,
    ) -> FactorStatistics:
        return statistics  # columns have a prior

    def log_joint(self, parameters: FactorParameters, block: Block) -> Array:
        rows = _read(parameters, block)
        parts = [
            _infer(parameters, rows, part).log_joint
            for part in self._parts(len(rows.counts))
        ]
        return np.concatenate(parts, axis=1)

    def accumulate(
        self, parameters: FactorParameters, block: Block
    ) -> FactorStatistics:
        return self._sum(parameters, block)

    def _sum(
        self,
        parameters: FactorParameters,
        block: Block,
        given: Array | None = None,
    ) -> FactorStatistics:
        """Statistics of a block, under responsibilities (K, n) if these are given."""
        p, r = parameters, parameters.n_factors
        n_components, n_pairs = len(p.weights), _n_packed(r)
        rows = _read(p, block)
        log_likelihood = 0.0
        residuals = np.zeros(n_components)
        tastes = np.zeros((n_components, r))
        spreads = np.zeros((n_components, n_pairs))
        sizes, entries = np.zeros((2, n_components))
        # Sums over types of c (z, 1) (z, 1)^T, and the weights of the rows.
        scaled = np.zeros((n_pairs + r + 2, len(block.weights)))
        scaled[-1] = block.weights
        for part in self._parts(len(block.weights)):
            weights = block.weights[part]
            posterior = _infer(p, rows, part)
            if given is None:
                shares = posterior.log_joint
                log_likelihood += float(weights @ to_responsibilities(shares))
            else:
                shares = given[:, part]
            shares = shares * weights
            sizes += shares.sum(axis=1)
            entries += shares @ rows.counts[part]
            moments = posterior.moments()
            for k, share in enumerate(shares):
                means, pairs = posterior.means[k], moments[k]
                tastes[k] += means @ share
                spreads[k] += pairs @ share
                residuals[k] += share @ _residuals(rows, part, means, pairs)
                c = share / p.scales[k]
                scaled[:n_pairs, part] += c * pairs
                scaled[n_pairs:-2, part] += c * means
                scaled[-2, part] += c
        of_mask = block.mask.collect(scaled)
        return FactorStatistics(
            log_likelihood=log_likelihood,
            weight=float(block.weights.sum()),
            sizes=sizes,
            entries=entries,
            residuals=residuals,
            tastes=tastes,
            spreads=spreads,
            column_weights=of_mask[-1],
            column_squares=block.squares.collect(scaled[-2:-1])[0],
            column_tastes=block.values.collect(scaled[n_pairs:-1]),
            column_spreads=of_mask[:-1],
        )

    def maximize(
        self, statistics: FactorStatistics, parameters: FactorParameters
    ) -> FactorParameters:
        p = self._maximize_columns(statistics, parameters)
        if len(p.weights) == 1:
            return p
        return self._maximize_types(statistics, p)

    def _maximize_columns(
        self, statistics: FactorStatistics, p: FactorParameters
    ) -> FactorParameters:
        """Loadings, their prior, and the noise, in turn."""
        known = p.columns.known
        strength = self.priors.noise
        for _ in range(_COLUMN_STEPS):
            loadings, spreads, log_dets, residuals = self._solve(statistics, p)
            pooled = strength * _pool(p.noise[known])
            counts = np.maximum(statistics.column_weights + strength, NEGLIGIBLE)
            noise = np.maximum((residuals + pooled) / counts, p.floor)
            prior_mean = np.zeros(len(loadings))
            prior_mean[0] = loadings[0, known].mean()
            prior_mean[-1] = (loadings[-1] + p.columns.center)[known].mean()
            p = replace(
                p,
                loadings=loadings,
                loading_spreads=spreads,
                loading_log_dets=log_dets,
                noise=noise,
                prior_mean=prior_mean,
            )
            if self.priors.loadings:
                precision = 1 / _prior_variances(p).mean(axis=1)
                if self.streams:
                    most = _STREAM_PRECISION / _pool(noise[known])
                    precision = np.minimum(precision, most)
                p = replace(p, prior_precision=precision)
        return p

    def _solve(
        self, statistics: FactorStatistics, p: FactorParameters
    ) -> tuple[Array, Array, Array, Array]:
        """Posterior of the loadings, and residuals (d,) under it."""
        q, d = p.loadings.shape
        n_pairs = _n_packed(q)
        precision = p.prior_precision[:, None] * self.priors.loadings
        bordered = np.empty((n_pairs + q + 1, d))
        log_dets, residuals = np.empty((2, d))
        for part in chunks(d, max(_SWEPT_BYTES // (8 * len(bordered)), 1)):
            noise, tastes = p.noise[part], statistics.column_tastes[:, part]
            solved = np.empty((len(bordered), len(noise)))
            np.divide(statistics.column_spreads[:, part], noise, out=solved[:n_pairs])
            solved[_diagonal(q)] += precision
            np.divide(tastes, noise, out=solved[n_pairs:-1])
            solved[n_pairs:-1] += precision * p.column_priors[:, part]
            solved[-1] = 0.0
            log_dets[part] = -sweep(solved, q)
            solved[:n_pairs] *= -1.0 if self.priors.loadings else 0.0
            loadings = solved[n_pairs:-1]
            # E[a^T S a] for the statistics S = noise (V^-1 - diag(precision)).
            squares = solved[_diagonal(q)] + loadings**2
            explained = -solved[-1] - np.sum(precision * squares, axis=0)
            explained += q * self.priors.loadings
            residuals[part] = statistics.column_squares[part] + noise * explained
            residuals[part] -= 2 * np.einsum("qd,qd->d", loadings, tastes)
            bordered[:, part] = solved
        return bordered[n_pairs:-1], bordered[:n_pairs], log_dets, residuals

    def _maximize_types(
        self, statistics: FactorStatistics, p: FactorParameters
    ) -> FactorParameters:
        priors, r = self.priors, p.n_factors
        sizes, tastes = statistics.sizes, statistics.tastes
        places = tastes / (sizes + priors.place)[:, None]
        covariances = _unpack(statistics.spreads.T)
        crossed = places[:, :, None] * tastes[:, None]
        covariances -= crossed + crossed.transpose(0, 2, 1)
        counts = (sizes + priors.place)[:, None, None]
        covariances += counts * places[:, :, None] * places[:, None]
        covariances += priors.spread * np.eye(r)
        covariances /= (sizes + priors.spread)[:, None, None]
        scales = statistics.residuals + priors.scale
        scales /= statistics.entries + priors.scale
        # The floor is under what a type leaves of the pooled noise, too: below it rows
        # say more of their tastes than rounding leaves.
        least = max(1 / _LARGEST_SCALE, p.floor / _pool(p.noise[p.columns.known]))
        return replace(
            p,
            weights=(sizes + priors.weight) / (sizes + priors.weight).sum(),
            scales=np.clip(scales, least, _LARGEST_SCALE),
            places=places,
            covariances=covariances,
            steady_scales=p.scales,
        )

    def step_back(self, parameters: FactorParameters) -> FactorParameters | None:
        # Scales and columns, both taken from one pass, may overshoot together; columns
        # alone cannot.
        if parameters.steady_scales is None:
            return None
        return replace(parameters, scales=parameters.steady_scales, steady_scales=None)

    def log_prior(self, parameters: FactorParameters) -> float:
        p, priors = parameters, self.priors
        known = p.columns.known
        noise = p.noise[known]
        pool = _pool(noise)
        value = 0.5 * priors.noise * np.sum(np.log(pool / noise) - pool / noise + 1)
        if priors.loadings:
            value -= 0.5 * float(
                np.sum(p.prior_precision @ _prior_variances(p))
                - noise.size * (len(p.loadings) + np.log(p.prior_precision).sum())
                - p.loading_log_dets[known].sum()
            )
        if len(p.weights) == 1:
            return float(value)
        value += priors.weight * np.sum(np.log(len(p.weights) * p.weights))
        value -= 0.5 * priors.scale * np.sum(np.log(p.scales) + 1 / p.scales - 1)
        traces = np.trace(p.precisions, axis1=1, axis2=2)
        value -= 0.5 * priors.spread * np.sum(p.log_dets + traces - p.n_factors)
        lengths = np.einsum("ki,kij,kj->", p.places, p.precisions, p.places)
        return float(value - 0.5 * priors.place * lengths)

    def complete_rows(
        self, parameters: FactorParameters, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        p = parameters
        tastes = self._mix(p, block)
        means = tastes.means.T @ p.loadings[:-1] + p.loadings[-1]
        if not with_variance:
            return means, None
        variances = tastes.scales[:, None] * p.noise
        variances += tastes.moments.T @ (_doubled(p.loading_spreads))
        variances += tastes.covariances.T @ _doubled(_outer(p.loadings[:-1]))
        return means, variances

    def complete_entries(
        self,
        parameters: FactorParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        p = parameters
        tastes = self._mix(p, block)
        means = np.empty(len(rows))
        variances = np.empty(len(rows)) if with_variance else None
        for part in chunks(len(rows), _entries_at_once(p)):
            i, j = rows[part], columns[part]
            loadings = p.loadings[:-1, j]
            means[part] = p.loadings[-1, j]
            means[part] += np.einsum("qm,qm->m", tastes.means[:, i], loadings)
            if variances is None:
                continue
            spreads, pairs = (
                _doubled(p.loading_spreads[:, j]),
                _doubled(_outer(loadings)),
            )
            variances[part] = tastes.scales[i] * p.noise[j]
            variances[part] += np.einsum("qm,qm->m", tastes.moments[:, i], spreads)
            variances[part] += np.einsum("qm,qm->m", tastes.covariances[:, i], pairs)
        return means, variances

    def log_density_entries(
        self,
        parameters: FactorParameters,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        p = parameters
        evidence = _read(p, block)
        log_density = np.empty(len(rows))
        for part in self._parts(len(block.weights)):
            inside = np.flatnonzero((rows >= part.start) & (rows < part.stop))
            posterior = _infer(p, evidence, part)
            log_shares = posterior.log_joint
            log_shares -= logsumexp(log_shares, axis=0)
            for some in chunks(len(inside), _entries_at_once(p)):
                mine = inside[some]
                i, j = rows[mine] - part.start, columns[mine]
                loadings, spreads = (
                    p.loadings[:-1, j],
                    _doubled(p.loading_spreads[:, j]),
                )
                pairs = _doubled(_outer(loadings))
                terms = np.empty((len(log_shares), len(mine)))
                for k, scale in enumerate(p.scales):
                    mean, covariance = (
                        moments[k][:, i]
                        for moments in (posterior.means, posterior.covariances)
                    )
                    moments = np.vstack(
                        [covariance + _outer(mean), mean, np.ones((1, len(mine)))]
                    )
                    variances = scale * p.noise[j]
                    variances += np.einsum("qm,qm->m", moments, spreads)
                    variances += np.einsum("qm,qm->m", covariance, pairs)
                    residuals = values[mine] - p.loadings[-1, j]
                    residuals -= np.einsum("qm,qm->m", mean, loadings)
                    terms[k] = log_normal(residuals, variances)
                log_density[mine] = logsumexp(log_shares[:, i] + terms, axis=0)
        return log_density

    def _mix(self, p: FactorParameters, block: Block) -> _Tastes:
        """Tastes of the rows over all types."""
        rows = _read(p, block)
        n, r = len(block.weights), p.n_factors
        means, moments = np.empty((r, n)), np.empty((_n_packed(r + 1), n))
        covariances, scales = np.empty((_n_packed(r), n)), np.empty(n)
        for part in self._parts(n):
            posterior = _infer(p, rows, part)
            shares = posterior.log_joint
            to_responsibilities(shares)
            scales[part] = p.scales @ shares
            mean = np.einsum("kn,kqn->qn", shares, posterior.means)
            covariance = np.einsum("kn,kqn->qn", shares, posterior.covariances)
            for share, of_type in zip(shares, posterior.means, strict=True):
                covariance += share * _outer(of_type - mean)
            means[:, part], covariances[:, part] = mean, covariance
            moments[: len(covariance), part] = _add_outer(covariance, mean)
        moments[len(covariances) : -1] = means
        moments[-1] = 1.0
        return _Tastes(means, covariances, moments, scales)

    def draw_shared(
        self, parameters: FactorParameters, n_draws: int, rng: np.random.RandomState
    ) -> Array:
        """Loadings drawn from their posterior, (n_draws, r + 1, d)."""
        p = parameters
        q, d = p.loadings.shape
        drawn = np.repeat(p.loadings[None], n_draws, axis=0)
        for part in chunks(d, max(_SWEPT_BYTES // (8 * q * q), 1)):
            if self.priors.loadings:
                roots = np.linalg.cholesky(_unpack(p.loading_spreads[:, part]))
                noise = rng.standard_normal((n_draws, len(roots), q))
                drawn[:, :, part] += np.einsum("jpq,sjq->spj", roots, noise)
        return drawn

    def draw(
        self,
        parameters: FactorParameters,
        shared: Array,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        p = parameters
        evidence = _read(p, block)
        n_draws, r = len(shared), p.n_factors
        n = len(block.weights)
        tastes, scales = np.empty((n_draws, r, n)), np.empty((n_draws, n))
        for part in self._parts(n):
            posterior = _infer(p, evidence, part)
            to_responsibilities(posterior.log_joint)
            labels = draw_labels(posterior.log_joint, n_draws, rng)  # (n_draws, m)
            roots = np.stack(
                [np.linalg.cholesky(_unpack(c)) for c in posterior.covariances]
            )  # (K, m, r, r)
            places = np.arange(labels.shape[1])
            for draw, label in enumerate(labels):
                noise = rng.standard_normal((len(label), r, 1))
                tastes[draw, :, part] = posterior.means[label, :, places].T
                tastes[draw, :, part] += (roots[label, places] @ noise)[:, :, 0].T
                scales[draw, part] = p.scales[label]
        drawn = rng.standard_normal((n_draws, len(rows)))
        drawn *= np.sqrt(scales[:, rows] * p.noise[columns])
        for values, loadings, taste in zip(drawn, shared, tastes, strict=True):
            for part in chunks(len(rows), _CHUNK_ENTRIES):
                i, j = rows[part], columns[part]
                values[part] += loadings[-1, j]
                values[part] += np.einsum("qm,qm->m", loadings[:-1, j], taste[:, i])
        return drawn

    def sample(
        self, parameters: FactorParameters, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        p, r = parameters, parameters.n_factors
        samples = []
        for k, size in enumerate(sizes):
            root = np.linalg.cholesky(p.covariances[k])
            tastes = p.places[k] + rng.standard_normal((size, r)) @ root.T
            pairs = _outer(np.vstack([tastes.T, np.ones(size)]))
            variances = p.scales[k] * p.noise + pairs.T @ _doubled(p.loading_spreads)
            noise = np.sqrt(variances) * rng.standard_normal(variances.shape)
            samples.append(tastes @ p.loadings[:-1] + p.loadings[-1] + noise)
        return samples

    def covariance(
        self, parameters: FactorParameters, component: int, columns: Array
    ) -> Array:
        p = parameters
        place = np.append(p.places[component], 1.0)
        pairs = _outer(place[:, None])[:, 0]
        pairs[: _n_packed(p.n_factors)] += _pack(p.covariances[component])
        spreads = pairs @ _doubled(p.loading_spreads[:, columns])
        own = p.scales[component] * p.noise[columns] + spreads
        loadings = p.loadings[:-1, columns]
        return loadings.T @ p.covariances[component] @ loadings + np.diag(own)

    def n_parameters(self, parameters: FactorParameters, n_columns: int) -> int:
        n_components, r = parameters.places.shape
        if n_components == 1:
            return (r + 2) * n_columns - r * (r - 1) // 2
        of_types = n_components * (r + _n_packed(r)) - r - r * r
        return 2 * (n_components - 1) + (r + 2) * n_columns + of_types

    def attributes(
        self, parameters: FactorParameters, columns: Columns
    ) -> dict[str, Any]:
        p = parameters
        order, signs = _arrange(p)
        covariances = p.covariances[:, order[:, None], order]
        return {
            "weights_": p.weights.copy(),
            "means_": p.places @ p.loadings[:-1] + p.loadings[-1] + columns.center,
            "components_": p.loadings[order] * signs[:, None],
            "intercept_": p.loadings[-1] + columns.center,
            "noise_variance_": p.noise.copy(),
            "noise_scale_": p.scales.copy(),
            "factor_means_": p.places[:, order] * signs,
            "factor_covariances_": covariances * signs[:, None] * signs,
            "factor_precision_": p.prior_precision[order],
        }

    def tastes(self, parameters: FactorParameters, block: Block) -> Array:
        """Expected tastes of the rows (n, r), as `attributes` arranges the factors."""
        order, signs = _arrange(parameters)
        return self._mix(parameters, block).means[order].T * signs

    def _parts(self, n_rows: int) -> Iterator[slice]:
        """Rows whose systems are swept together."""
        n_numbers = _n_packed(self.n_factors) + self.n_factors + 1
        return chunks(n_rows, max(_SWEPT_BYTES // (8 * n_numbers), 1))


def _arrange(p: FactorParameters) -> tuple[Array, Array]:
    """Order and signs of the factors (r,): the offset, and the others by size."""
    sizes = np.sum(p.loadings[:-1] ** 2, axis=1)
    order = np.append(0, 1 + np.argsort(-sizes[1:], kind="stable"))
    components = p.loadings[order]
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(order)), largest] < 0, -1.0, 1.0)
    return order, signs


def _read(p: FactorParameters, block: Block) -> _Rows:
    r = p.n_factors
    n_pairs = _n_packed(r)
    of_mask = block.mask.project(p.on_mask)
    of_values = block.values.project(p.on_values)
    squares = block.squares.project(1 / p.noise[None])[0] - 2 * of_values[r]
    return _Rows(
        precisions=of_mask[:n_pairs],
        shifts=of_values[:r] - of_mask[n_pairs : n_pairs + r],
        squares=squares + of_mask[n_pairs + r],
        log_noise=of_mask[-1],
        counts=block.counts,
    )


def _infer(p: FactorParameters, rows: _Rows, part: slice) -> _Posterior:
    r = p.n_factors
    n_components, n_pairs = len(p.weights), _n_packed(r)
    counts = rows.counts[part]
    bordered = np.empty((n_components, n_pairs + r + 1, len(counts)))
    log_joint = np.empty((n_components, len(counts)))
    for k, system in enumerate(bordered):
        scale, precision, place = p.scales[k], p.precisions[k], p.places[k]
        np.divide(rows.precisions[:, part], scale, out=system[:n_pairs])
        system[:n_pairs] += _pack(precision)[:, None]
        np.divide(rows.shifts[:, part], scale, out=system[n_pairs:-1])
        system[n_pairs:-1] += (precision @ place)[:, None]
        system[-1] = rows.squares[part] / scale + rows.log_noise[part]
        system[-1] += counts * np.log(scale) + place @ precision @ place
        system[-1] += p.log_dets[k]
        # The border's corner loses the quadratic form of the tastes' means.
        log_joint[k] = sweep(system, r)
        log_joint[k] += system[-1]
        np.negative(system[:n_pairs], out=system[:n_pairs])
    log_joint *= -0.5
    log_joint += log_weights(p.weights)[:, None]
    return _Posterior(log_joint, bordered[:, n_pairs:-1], bordered[:, :n_pairs])


def _residuals(rows: _Rows, part: slice, means: Array, moments: Array) -> Array:
    """Expected squared residuals over noise, (n,), of tastes with these moments."""
    twice = _multiplicities(len(means))
    residuals = twice @ (rows.precisions[:, part] * moments)
    residuals += rows.squares[part]
    residuals -= 2 * np.einsum("qn,qn->n", rows.shifts[:, part], means)
    return residuals


def _totals(data: Observed) -> tuple[Array, Array, float]:
    """Weights and squares of each column, and the mean square of damped row offsets."""

    def of_columns(block: Block) -> Array:
        weights = block.weights[None]
        return np.vstack([block.mask.collect(weights), block.squares.collect(weights)])

    def of_rows(block: Block) -> float:
        return float(block.weights @ _offsets(block, data.shape[1]) ** 2)

    counts, squares = data.total(of_columns)
    return counts, squares, data.total(of_rows) / data.weights.sum()


def _offsets(block: Block, d: int) -> Array:
    """How far rows lie above the columns' means, damped, (n,)."""
    sums = block.values.project(np.ones((1, d)))[0]
    return sums / (block.counts + _START_DAMPING)


def _leading_directions(
    data: Observed, counts: Array, n_directions: int
) -> tuple[Array, Array]:
    """Right singular vectors (q, d) of the damped residuals, and their values (q,)."""
    known = data.columns.known
    scale = 1 / np.sqrt(counts + _START_DAMPING)
    directions = np.zeros((n_directions, len(known)))
    # The seed is fixed, and unknown columns draw nothing, so that a column without
    # observations changes no fit.
    rng = np.random.default_rng(0)
    directions[:, known] = rng.standard_normal((int(known.sum()), n_directions)).T
    values = np.ones(n_directions)
    for _ in range(_START_PASSES):
        W = directions * scale
        products = data.total(partial(_covary, W))
        basis, triangle = np.linalg.qr((products * scale)[:, known].T)
        rotation, squares, _ = np.linalg.svd(triangle)
        directions[:, known], values = (basis @ rotation).T, np.sqrt(squares)
    return directions * scale, values


def _covary(W: Array, block: Block) -> Array:
    """Products of directions (q, d) with the damped residuals and back."""
    offsets = _offsets(block, W.shape[1])
    U = block.values.project(W) - offsets * block.mask.project(W)
    U *= block.weights / (block.counts + _START_DAMPING)
    return block.values.collect(U) - block.mask.collect(U * offsets)


def _pool(noise: Array) -> float:
    """The noise that columns are pulled to: of all pools it has the highest prior."""
    return float(1 / np.mean(1 / noise))


def _prior_variances(p: FactorParameters) -> Array:
    """Expected squares of the loadings' distance from their prior means, (r + 1, d)."""
    known = p.columns.known
    own = p.loading_spreads[_diagonal(len(p.loadings))]
    return (own + (p.loadings - p.column_priors) ** 2)[:, known]


def _entries_at_once(p: FactorParameters) -> int:
    return max(_CHUNK_ENTRIES // len(p.loading_spreads), 1)


def _for_products(operand: Array) -> Array:
    """The same, laid out as sparse products want it."""
    return np.ascontiguousarray(operand.T).T


def _n_packed(q: int) -> int:
    return q * (q + 1) // 2


def _diagonal(q: int) -> Array:
    """Places of the diagonal in a lower triangle by rows."""
    i = np.arange(q)
    return i * (i + 3) // 2


def _multiplicities(q: int) -> Array:
    """How often each entry of a lower triangle stands in the matrix."""
    first, second = np.tril_indices(q)
    return np.where(first == second, 1.0, 2.0)


def _doubled(triangles: Array) -> Array:
    """Triangles whose products with others are those of the symmetric matrices."""
    q = int(np.sqrt(2 * len(triangles)))
    return triangles * _multiplicities(q)[:, None]


def _outer(vectors: Array) -> Array:
    """Lower triangles of the outer products of vectors (q, n) with themselves."""
    first, second = np.tril_indices(len(vectors))
    return vectors[first] * vectors[second]


def _add_outer(triangles: Array, vectors: Array) -> Array:
    """Add these to lower triangles, in place."""
    start = 0
    for i, vector in enumerate(vectors):
        triangles[start : start + i + 1] += vectors[: i + 1] * vector
        start += i + 1
    return triangles


def _pack(matrix: Array) -> Array:
    return matrix[np.tril_indices(len(matrix))]


def _unpack(triangles: Array) -> Array:
    """Lower triangles (., n) as symmetric matrices (n, q, q)."""
    q = int(np.sqrt(2 * len(triangles)))
    first, second = np.tril_indices(q)
    matrices = np.empty((triangles.shape[1], q, q))
    matrices[:, first, second] = matrices[:, second, first] = triangles.T
    return matrices
