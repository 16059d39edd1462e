# SPDX-License-Identifier: BSD-3-Clause
r"""Full and tied covariances.

The M-step needs the conditional covariances of missing entries beside their conditional
means; see `_conditioning`. With :math:`\lambda` the `covariance_precision_prior`,
:math:`\epsilon = \lambda / 100`, D the variances of the columns and S a common
covariance matrix, the covariance of a component is

.. math::
    \Sigma_k = (M_k + \lambda S + \epsilon D) / (N_k + \lambda + \epsilon), \quad
    S^{-1} = \frac{1}{K} \sum_k \Sigma_k^{-1}

with M the moments about the mean and N the rows of a component: maxima of the objective
less :math:`\lambda KL(S | \Sigma_k) + \epsilon KL(D | \Sigma_k)`, in one and in S.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.covariance._conditioning import (
    Batch,
    FullParameters,
    factorize,
    invert,
    iterate_batches,
    measure_batch,
    missing_variances,
    regress,
    scatter_inverses,
    unexplained_covariance,
)
from sklearn_gmmcf.covariance._diagonal import Diagonal
from sklearn_gmmcf.covariance._draws import (
    add_unseen_columns,
    draw_batch,
    draw_covariances,
    draw_means,
    pool_scatters,
)
from sklearn_gmmcf.covariance._elliptical import (
    Elliptical,
    GaussianLaw,
    Law,
    Measures,
    Posterior,
)
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    SHARED,
    InitResponsibilities,
    Statistics,
    UserInit,
    check_in_range,
    check_shape,
)
from sklearn_gmmcf.covariance._further_columns import widen_full
from sklearn_gmmcf.covariance._reviews import (
    Review,
    review_pairs,
    review_regularization,
    review_rows,
)
from sklearn_gmmcf.covariance._triangles import lift_eigenvalues
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed

# Strength of the prior of uncorrelated columns, in units of the prior of a common
# covariance: it keeps a covariance of fewer rows than columns from being singular.
_UNCORRELATED = 0.01
# The common covariance and those of the components are improved this often in turn.
_COMMON_STEPS = 10


@dataclass(frozen=True, eq=False)
class FullStatistics(Statistics):
    """Sums over rows, of residuals from where the means were."""

    sizes: Array  # (K,)
    counts: Array  # (K, d), responsibilities over observed entries
    shifts: Array  # (K, d), first moments about origin, conditional means included
    moments: Array  # (K, d, d), second moments about origin, conditional ones included
    origin: Array = field(metadata=SHARED)  # (K, d)

    def aligned(self, other: FullStatistics) -> FullStatistics:
        moves = other.origin - self.origin
        shifts = self.shifts - self.sizes[:, None] * moves
        # S2 - m S1^T - S1 m^T + S0 m m^T, the last two terms together.
        moments = self.moments - _outer(moves, self.shifts) - _outer(shifts, moves)
        return replace(self, shifts=shifts, moments=moments, origin=other.origin)


@dataclass(frozen=True)
class Full(Elliptical[FullParameters, FullStatistics]):
    """A covariance matrix for each component: ``covariance_type='full'``.

    Parameters
    ----------
    reg_covar : float, default=0.0
        Added to the diagonal of a covariance matrix, by the share of rows that observe
        the column (squared units of the data).

    min_variance : float, default=0.0
        Floor under each eigenvalue of a covariance matrix (squared units of the data).

    mean_precision_prior : float, default=0.0
        Strength that pulls means to the mean of their column, as this many further
        observations there would.

    covariance_precision_prior : float, default=0.0
        Strength that pulls covariance matrices to a common one; see
        :class:`~sklearn_gmmcf.MaskedGaussianMixture`.

    See Also
    --------
    Tied : One covariance matrix for all components.
    Factor : Common factors, for many columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Full
    >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
    >>> mixture = MaskedGaussianMixture(covariance_type=Full(reg_covar=0.1))
    >>> mixture.fit(X).covariances_.shape
    (1, 2, 2)
    """

    needs_patterns = True
    init_names = ("weights", "means", "precisions")
    start_coordinates = "whitened"
    n_trial_passes = 10
    draws_parameters = True

    reg_covar: float = 0.0
    min_variance: float = 0.0
    mean_precision_prior: float = 0.0
    covariance_precision_prior: float = 0.0

    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> FullParameters:
        _, single = Diagonal().estimate(
            data, 1, lambda rows: np.ones((1, rows.stop - rows.start))
        )
        # Of a prior with variances of 0, missing entries would become certain.
        variances = np.maximum(
            single.variances[0], max(self.reg_covar, self.min_variance)
        )
        if not init.is_complete:
            weights, means, covariances = self._estimate_start(
                data, n_components, init_responsibilities(data), variances
            )
        if init.weights is not None:
            weights = init.weights
        if init.means is not None:
            means = init.centered_means(data.columns)
        if init.precisions is not None:
            d = data.shape[1]
            precisions = init.precisions.reshape(-1, d, d)
            covariances = _symmetric(np.linalg.inv(precisions))
        return FullParameters(weights, means, covariances, variances)

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        shape = self._covariances_shape(n_components, n_columns)
        check_shape("precisions_init", precisions, shape)
        for k, precision in enumerate(precisions.reshape(-1, n_columns, n_columns)):
            if not np.allclose(precision, precision.T):
                raise ValueError(f"precisions_init should be symmetric; {k} is not.")
            if np.linalg.eigvalsh(precision)[0] <= 0:
                raise ValueError(
                    f"precisions_init should be positive definite; {k} is not."
                )

    widen = widen_full

    def log_joint(self, parameters: FullParameters, block: Block) -> Array:
        measures = self.measure(parameters, block)
        return GaussianLaw(parameters.weights).log_joint(measures)

    def measure(self, parameters: FullParameters, block: Block) -> Measures:
        measures = _allocate_measures(parameters, block)
        for batch, conditionals in iterate_batches(parameters, block):
            _put_measures(measures, batch, measure_batch(batch, conditionals))
        return measures

    def accumulate(self, parameters: FullParameters, block: Block) -> FullStatistics:
        posterior = Posterior(GaussianLaw(parameters.weights), block)
        return self.accumulate_weighted(parameters, block, posterior)

    def accumulate_weighted(
        self, parameters: FullParameters, block: Block, posterior: Posterior
    ) -> FullStatistics:
        n_components, d = parameters.means.shape
        shifts = np.zeros((n_components, d))
        moments = np.zeros((n_components, d, d))
        # Sums of weights and of inverses of rows whose observed systems were solved.
        solved_weights = np.zeros(n_components)
        solved_inverses = np.zeros((n_components, d, d))
        for batch, conditionals in iterate_batches(parameters, block):
            measures = measure_batch(batch, conditionals)
            shares, weighted = posterior.ask(batch.rows, measures)
            for k, conditional in enumerate(conditionals):
                residuals = conditional.residuals
                shifts[k] += residuals @ weighted[k]
                scaled = residuals * np.sqrt(weighted[k])
                moments[k] += scaled @ scaled.T
                if not len(batch.missing.columns):
                    continue
                if conditional.from_missing:
                    moments[k] += scatter_inverses(
                        batch.missing, conditional, shares[k]
                    )
                else:
                    solved_weights[k] += shares[k].sum()
                    solved_inverses[k] += scatter_inverses(
                        batch.observed, conditional, shares[k]
                    )
        for k in np.flatnonzero(solved_weights > 0).tolist():
            moments[k] += unexplained_covariance(
                parameters, k, solved_weights[k], solved_inverses[k]
            )
        weighted = posterior.weighted
        return FullStatistics(
            log_likelihood=posterior.log_likelihood,
            weight=float(block.weights.sum()),
            sizes=weighted.sum(axis=1),
            counts=block.mask.collect(weighted),
            shifts=shifts,
            moments=moments,
            origin=parameters.means,
        )

    def maximize(
        self, statistics: FullStatistics, parameters: FullParameters
    ) -> FullParameters:
        return self.maximize_weighted(statistics, statistics, parameters)

    def maximize_weighted(
        self,
        statistics: FullStatistics,
        totals: FullStatistics,
        parameters: FullParameters,
    ) -> FullParameters:
        sizes = totals.sizes
        means, moments = self._recenter_moments(statistics)
        kept = sizes <= NEGLIGIBLE
        means[kept] = parameters.means[kept]
        covariances = self._divide(
            totals, moments, parameters.covariances, parameters.variances
        )
        return FullParameters(
            sizes / sizes.sum(), means, covariances, parameters.variances
        )

    def log_prior(self, parameters: FullParameters) -> float:
        value = 0.0
        precisions = parameters.precisions
        if self.mean_precision_prior > 0:
            means = parameters.means
            by_mean = np.broadcast_to(precisions, (len(means), *precisions.shape[1:]))
            lengths = np.einsum("ki,kij,kj->", means, by_mean, means)
            value -= 0.5 * self.mean_precision_prior * float(lengths)
        if self.covariance_precision_prior > 0:
            # Up to a constant; the traces with the common covariance are one, too.
            log_dets = parameters.log_dets
            common = -np.linalg.slogdet(precisions.mean(axis=0))[1]
            spread = float((log_dets - common).sum())
            traces = np.einsum("kii,i->k", precisions, parameters.variances)
            spread += _UNCORRELATED * float((log_dets + traces).sum())
            value -= 0.5 * self.covariance_precision_prior * spread
        return value

    def review(
        self,
        parameters: FullParameters,
        statistics: FullStatistics | None,
        data: Blocks,
    ) -> Review:
        p = parameters
        yield from review_regularization(
            self.reg_covar, data.columns, p.weights, p.scales**2
        )
        if statistics is None or np.isclose(
            statistics.counts.sum(), statistics.sizes.sum() * len(p.variances)
        ):
            return  # no entry is missing
        if self.covariance_precision_prior == 0:
            yield from review_rows(self._pool_counts(statistics), data.columns)
        if len(p.weights) > 1:
            yield from review_pairs(data)

    def _pool_counts(self, statistics: FullStatistics) -> Array:
        """Observed entries (., d) for each covariance matrix."""
        return statistics.counts

    def conditional(
        self, parameters: FullParameters, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        _, means, variances = self.conditional_joint(parameters, block, rows, columns)
        return means, variances

    def conditional_joint(
        self,
        parameters: FullParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Array, Array, Any]:
        measures, means, variances = self.measure_entries(
            parameters, block, rows, columns, with_variance=with_variance
        )
        return GaussianLaw(parameters.weights).log_joint(measures), means, variances

    def measure_entries(
        self,
        parameters: FullParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Measures, Array, Any]:
        p = parameters
        measures = _allocate_measures(p, block)
        means = np.empty((len(p.weights), len(rows)))
        variances = np.empty_like(means) if with_variance else None
        entries = _RowEntries(rows, len(block.weights))
        for batch, conditionals in iterate_batches(p, block, np.unique(rows)):
            chosen, in_batch = entries.select(batch.rows)
            here = columns[chosen], in_batch
            _put_measures(measures, batch, measure_batch(batch, conditionals))
            for k, conditional in enumerate(conditionals):
                means[k, chosen] = p.means[k][here[0]] + conditional.residuals[here]
                if variances is not None:
                    # The square of a small number in single precision may be 0 there.
                    spread = np.empty(batch.values.shape)
                    batch.missing.put(
                        spread, missing_variances(p, k, batch, conditional)
                    )
                    variances[k, chosen] = spread[here]
        return measures, means, variances

    def slopes(self, parameters: FullParameters, given: Array, free: Array) -> Array:
        return regress(parameters, given, free)

    def draw(
        self,
        parameters: FullParameters,
        shared: range,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        law = GaussianLaw(parameters.weights)
        return self.draw_weighted(
            law, parameters, len(shared), block, rows, columns, rng
        )

    def draw_weighted(
        self,
        law: Law,
        parameters: FullParameters,
        n_draws: int,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        wanted, positions = np.unique(rows, return_inverse=True)
        d = parameters.means.shape[1]
        drawn = np.zeros((n_draws, len(wanted), d))
        for batch, conditionals in iterate_batches(
            parameters, block, wanted, with_covariances=True
        ):
            _, values = draw_batch(law, parameters, batch, conditionals, n_draws, rng)
            drawn[:, np.searchsorted(wanted, batch.rows)] = values.transpose(0, 2, 1)
        return drawn[:, positions, columns]

    def draw_statistics(
        self, parameters: FullParameters, block: Block, rng: np.random.RandomState
    ) -> FullStatistics:
        n_components, d = parameters.means.shape
        law = GaussianLaw(parameters.weights)
        shares = np.zeros((n_components, len(block.weights)))
        shifts = np.zeros((n_components, d))
        moments = np.zeros((n_components, d, d))
        for batch, conditionals in iterate_batches(
            parameters, block, with_covariances=True
        ):
            if not len(batch.observed.columns):
                continue
            labels, values = draw_batch(law, parameters, batch, conditionals, 1, rng)
            for k, mean in enumerate(parameters.means):
                chosen = labels[0] == k
                residuals = values[0][:, chosen] - mean[:, None]
                shares[k, batch.rows[chosen]] = 1.0
                shifts[k] += residuals.sum(axis=1)
                moments[k] += residuals @ residuals.T
        return FullStatistics(
            log_likelihood=0.0,
            weight=float(shares.sum()),
            sizes=shares.sum(axis=1),
            counts=block.mask.collect(shares),
            shifts=shifts,
            moments=moments,
            origin=parameters.means,
        )

    def draw_parameters(
        self,
        statistics: FullStatistics,
        fitted: FullParameters,
        rng: np.random.RandomState,
    ) -> FullParameters:
        sizes, seen = statistics.sizes, statistics.counts.sum(axis=0) > 0
        if not seen.any():
            return fitted
        weights = rng.dirichlet(sizes + 1)
        means, moments = self._recenter_moments(statistics)
        n_rows = sizes + self.mean_precision_prior
        # An empty component is drawn from one row at its fitted mean.
        empty = n_rows <= NEGLIGIBLE
        means[empty], n_rows[empty] = fitted.means[empty], 1.0
        moments += _diagonals(self.reg_covar * statistics.counts)
        scatters, freedom = pool_scatters(
            moments[:, seen][:, :, seen],
            sizes,
            *self._prior_scatter(fitted, seen),
            is_tied=len(fitted.covariances) == 1,
        )
        covariances = self._floor(draw_covariances(factorize(scatters), freedom, rng))
        means = draw_means(means[:, seen], covariances, n_rows, rng)
        if not seen.all():
            means, covariances = add_unseen_columns(fitted, seen, means, covariances)
        return FullParameters(weights, means, covariances, fitted.variances)

    def _prior_scatter(
        self, fitted: FullParameters, seen: Array
    ) -> tuple[Array, float]:
        """Scatter (q, q) of the prior of each covariance matrix, and its rows."""
        strength = self.covariance_precision_prior
        n_prior = _UNCORRELATED * strength
        prior = n_prior * np.diag(fitted.variances)
        if strength > 0 and len(fitted.covariances) > 1:
            common = invert(fitted.precisions.mean(axis=0, keepdims=True))[0]
            prior += strength * common
            n_prior += strength
        return prior[np.ix_(seen, seen)], n_prior

    def sample(
        self, parameters: FullParameters, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        d = parameters.means.shape[1]
        factors = np.broadcast_to(parameters.cholesky, (len(sizes), d, d))
        return [
            mean + rng.standard_normal((size, d)) @ factor.T
            for mean, factor, size in zip(parameters.means, factors, sizes, strict=True)
        ]

    def covariance(
        self, parameters: FullParameters, component: int, columns: Array
    ) -> Array:
        covariances = parameters.covariances
        own = covariances[component if len(covariances) > 1 else 0]
        return own[np.ix_(columns, columns)]

    def n_parameters(self, parameters: FullParameters, n_columns: int) -> int:
        n_components, n_covariances = len(parameters.means), len(parameters.covariances)
        n_entries = n_covariances * n_columns * (n_columns + 1) // 2
        return n_entries + n_components * n_columns + n_components - 1

    def attributes(
        self, parameters: FullParameters, columns: Columns
    ) -> dict[str, Any]:
        return {
            "weights_": parameters.weights,
            "means_": parameters.means + columns.center,
            "covariances_": parameters.covariances,
            "precisions_": parameters.precisions,
            "precisions_cholesky_": np.swapaxes(parameters.whitening, 1, 2),
        }

    def _covariances_shape(self, n_components: int, d: int) -> tuple[int, ...]:
        return n_components, d, d

    def _estimate_start(
        self,
        data: Observed,
        n_components: int,
        responsibilities: Responsibilities,
        spread: Array,
    ) -> tuple[Array, Array, Array]:
        """M-step from means and variances of the observed entries of each component.

        A missing entry stands at its component's mean, with the variance there.
        """
        diagonal = Diagonal(self.reg_covar, self.min_variance)
        statistics, components = diagonal.estimate(data, n_components, responsibilities)
        means, variances = components.means, components.variances
        sizes, counts = statistics.sizes, statistics.counts

        def scatter(block: Block) -> Array:
            moments = np.empty((*means.shape, means.shape[1]))
            values, observed = block.dense()
            weighted = responsibilities(block.rows) * block.weights
            for k, mean in enumerate(means):
                residuals = (values - mean) * observed
                residuals *= np.sqrt(weighted[k])[:, None]
                moments[k] = residuals.T @ residuals
            return moments

        moments = data.total(scatter)
        moments += _diagonals((sizes[:, None] - counts) * variances)
        start = FullStatistics(
            log_likelihood=0.0,
            weight=float(sizes.sum()),
            sizes=sizes,
            counts=counts,
            shifts=np.zeros_like(means),
            moments=moments,
            origin=means,
        )
        means, moments = self._recenter_moments(start)
        covariances = self._divide(start, moments, _diagonals(variances), spread)
        return sizes / sizes.sum(), means, covariances

    def _recenter_moments(self, statistics: FullStatistics) -> tuple[Array, Array]:
        """New means (K, d), and second moments about them with the prior's."""
        kappa = self.mean_precision_prior
        sizes = np.maximum(statistics.sizes, NEGLIGIBLE)[:, None]
        shifts = statistics.shifts / sizes
        averages = statistics.origin + shifts
        means = averages * (sizes / (sizes + kappa))
        moments = statistics.moments - _outer(shifts * sizes, shifts)
        moments += _outer(sizes * (averages - means), averages - means)
        moments += kappa * _outer(means, means)
        check_in_range(means, moments)
        return means, moments

    def _divide(
        self, statistics: FullStatistics, moments: Array, kept: Array, variances: Array
    ) -> Array:
        """Covariances from second moments; those of an empty component are kept."""
        sizes = statistics.sizes
        learned = sizes > NEGLIGIBLE
        shares = statistics.counts[learned] / sizes[learned, None]
        # A column gains reg_covar by the share of rows that observe it: added to the
        # conditional variances of its missing entries, too, it would add up over
        # iterations.
        ridge = _diagonals(self.reg_covar * shares)
        covariances = kept.copy()
        moments, rows = self._add_uncorrelated(moments, sizes, variances)
        moments, rows = moments[learned], rows[learned, None, None]
        strength = self.covariance_precision_prior
        if strength == 0 or len(sizes) == 1:
            covariances[learned] = moments / rows + ridge
            return self._floor(covariances)
        for _ in range(_COMMON_STEPS):
            precisions = invert(covariances)
            common = invert(precisions.mean(axis=0, keepdims=True))
            pulled = (moments + strength * common) / (rows + strength)
            covariances[learned] = pulled + ridge
            covariances = self._floor(covariances)
        return covariances

    def _add_uncorrelated(
        self, moments: Array, sizes: Array, variances: Array
    ) -> tuple[Array, Array]:
        """Moments and sizes, with the prior's uncorrelated columns added."""
        if self.covariance_precision_prior == 0:
            return moments, sizes
        n_rows = _UNCORRELATED * self.covariance_precision_prior
        return moments + n_rows * np.diag(variances), sizes + n_rows

    def _floor(self, covariances: Array) -> Array:
        """Covariances with eigenvalues of at least min_variance."""
        covariances = _symmetric(covariances)
        if self.min_variance > 0:
            covariances = lift_eigenvalues(covariances, self.min_variance)
        return covariances


@dataclass(frozen=True)
class Tied(Full):
    """One covariance matrix for all components: ``covariance_type='tied'``.

    Parameters
    ----------
    reg_covar, min_variance, mean_precision_prior, covariance_precision_prior : float
        See `Full`; the last one pulls to uncorrelated columns alone.

    See Also
    --------
    Full : A covariance matrix for each component.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Tied
    >>> X = np.array([[1, 1], [2, 2.1], [3, 2.9], [11, 1.1], [12, 2], [13, np.nan]])
    >>> mixture = MaskedGaussianMixture(2, covariance_type=Tied(), random_state=0)
    >>> mixture.fit(X).transform(X)[-1].round(1)
    array([13.,  3.])
    """

    n_trial_passes = 3

    def attributes(
        self, parameters: FullParameters, columns: Columns
    ) -> dict[str, Any]:
        attributes = super().attributes(parameters, columns)
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            attributes[name] = attributes[name][0]
        return attributes

    def _pool_counts(self, statistics: FullStatistics) -> Array:
        return statistics.counts.sum(axis=0, keepdims=True)

    def _covariances_shape(self, n_components: int, d: int) -> tuple[int, ...]:
        return d, d

    def _divide(
        self, statistics: FullStatistics, moments: Array, kept: Array, variances: Array
    ) -> Array:
        weight = statistics.sizes.sum()
        shares = statistics.counts.sum(axis=0) / weight
        total, n_rows = self._add_uncorrelated(moments.sum(axis=0), weight, variances)
        covariance = total / n_rows + np.diag(self.reg_covar * shares)
        return self._floor(covariance[None])


def _allocate_measures(parameters: FullParameters, block: Block) -> Measures:
    """Measures of no row yet."""
    shape = len(parameters.weights), len(block.weights)
    return Measures(np.zeros(shape), np.zeros(shape), block.counts)


def _put_measures(measures: Measures, batch: Batch, found: Measures) -> None:
    measures.distances[:, batch.rows] = found.distances
    measures.log_dets[:, batch.rows] = found.log_dets


def _diagonals(variances: Array) -> Array:
    """Diagonal matrices (K, d, d) of (K, d) variances."""
    return variances[:, :, None] * np.eye(variances.shape[1])


def _outer(first: Array, second: Array) -> Array:
    """Outer products (K, d, d) of (K, d) vectors."""
    return first[:, :, None] * second[:, None]


def _symmetric(matrices: Array) -> Array:
    return (matrices + np.swapaxes(matrices, 1, 2)) / 2


class _RowEntries:
    """Entries (m,) by their rows."""

    def __init__(self, rows: Array, n: int) -> None:
        self.order = np.argsort(rows, kind="stable")
        self.bounds = np.searchsorted(rows[self.order], np.arange(n + 1))

    def select(self, rows: Array) -> tuple[Array, Array]:
        """The entries of some rows, and the positions of their rows among these."""
        starts, lengths = self.bounds[rows], self.bounds[rows + 1] - self.bounds[rows]
        positions = np.repeat(np.arange(len(rows)), lengths)
        offsets = np.arange(len(positions)) - np.repeat(
            np.cumsum(lengths) - lengths, lengths
        )
        return self.order[starts[positions] + offsets], positions
