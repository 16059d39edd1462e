r"""Full and tied covariances.

With :math:`o` and :math:`m` the observed and missing columns of a row,
:math:`\Lambda = \Sigma^{-1}` and :math:`\delta = x - \mu`, the holes have in each
component

.. math::
    E[x_m | x_o] &= \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} \delta_o
                  = \mu_m - \Lambda_{mm}^{-1} \Lambda_{mo} \delta_o \\
    C = \mathrm{cov}[x_m | x_o]
                 &= \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}
                  = \Lambda_{mm}^{-1}

(Ghahramani and Jordan 1994). The M-step needs :math:`C` beside the conditional means.
The smaller of the two systems is solved, for many rows at once, the rows last:
(q, q, n) arrays.

With :math:`\lambda` the `covariance_precision_prior`, :math:`\epsilon = \lambda / 100`,
D the variances of the columns and S a common covariance matrix, a component's is

.. math::
    \Sigma_k = (M_k + \lambda S + \epsilon D) / (N_k + \lambda + \epsilon), \quad
    S^{-1} = \frac{1}{K} \sum_k \Sigma_k^{-1}

with M the moments about the mean and N the rows of a component: maxima of the objective
less :math:`\lambda KL(S | \Sigma_k) + \epsilon KL(D | \Sigma_k)`, in one and in S.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from sklearn_gmmcf._observed import Block, Columns, Observed, bounded
from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.covariance._diagonal import Diagonal
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    SHARED,
    Divide,
    Given,
    Statistics,
    check_shape,
    chunks,
    draw_labels,
    log_normal,
    log_weights,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._systems import Systems

_LOG_2_PI = float(np.log(2 * np.pi))
# Above this condition number (of the correlations) the system of the holes loses too
# many digits, and that of the observed entries is solved.
_WORST_CONDITION = 1e8
# A pivot this small relative to its variance is what rounding leaves of a zero.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)
# Strength of the prior of uncorrelated columns, in units of that of a common
# covariance: what keeps a covariance of fewer rows than columns from being singular.
_UNCORRELATED = 0.01
# The common covariance and those of the components are improved this often in turn.
_COMMON_STEPS = 10
# Bytes that a batch of systems may take, for all components.
_BATCH_BYTES = 2**24
_SHARED_BYTES = 2**19


@dataclass(frozen=True, eq=False)
class FullStatistics(Statistics):
    """Sums over rows, of residuals from where the means were."""

    sizes: Array  # (K,)
    counts: Array  # (K, d), responsibilities over observed entries
    shifts: Array  # (K, d), first moments about origin, holes at conditional means
    moments: Array  # (K, d, d), second moments about origin, conditional ones included
    origin: Array = field(metadata=SHARED)  # (K, d)

    def aligned(self, other: FullStatistics) -> FullStatistics:
        moves = other.origin - self.origin
        shifts = self.shifts - self.sizes[:, None] * moves
        # S2 - m S1^T - S1 m^T + S0 m m^T, the last two terms together.
        moments = self.moments - _outer(moves, self.shifts) - _outer(shifts, moves)
        return replace(self, shifts=shifts, moments=moments, origin=other.origin)


@dataclass(frozen=True, eq=False)
class FullParameters:
    """Weights, means and covariances, and the terms of the density made from them."""

    weights: Array  # (K,)
    means: Array  # (K, d), centered
    covariances: Array  # (K, d, d), or (1, d, d) if tied
    variances: Array  # (d,), of the columns, about their means
    cholesky: Array = field(init=False, repr=False)  # lower, as covariances
    whitening: Array = field(init=False, repr=False)  # inverses of cholesky
    precisions: Array = field(init=False, repr=False)
    log_dets: Array = field(init=False, repr=False)  # (K,) or (1,), of covariances
    well_conditioned: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        cholesky, whitening = _whiten(self.covariances)
        scales = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))
        correlations = self.covariances / (scales[:, :, None] * scales[:, None])
        eigenvalues = np.linalg.eigvalsh(correlations)
        derived = {
            "cholesky": cholesky,
            "whitening": whitening,
            "precisions": _precisions(whitening),
            "log_dets": 2 * np.log(np.diagonal(cholesky, axis1=1, axis2=2)).sum(axis=1),
            "well_conditioned": eigenvalues[:, -1]
            < _WORST_CONDITION * np.maximum(eigenvalues[:, 0], 0),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.weights,
            self.means,
            self.covariances,
            self.variances,
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of one pattern that are worked on at once."""

    rows: Array  # (n,)
    values: Array  # (d, n), 0 in the holes
    observed: Systems
    missing: Systems


@dataclass(frozen=True, eq=False)
class _Conditional:
    """The rows of a part under one component."""

    log_density: Array  # (n,), of the observed entries
    residuals: Array  # (d, n), with conditional means in the holes
    # Lower triangles: of the conditional covariances of the holes, or, where fewer
    # entries are observed, of the inverse covariances of the observed.
    inverses: Array  # (q (q + 1) / 2, P)
    of_holes: bool


@dataclass(frozen=True)
class Full:
    """A covariance matrix for each component."""

    groups_rows = True
    most_rows = None
    given_names = ("weights", "means", "precisions")
    unused_options = ()
    unknown_columns = "the mean of all observed entries"

    reg_covar: float = 0.0
    min_variance: float = 0.0
    mean_precision_prior: float = 0.0
    covariance_precision_prior: float = 0.0

    def start(
        self,
        data: Observed,
        n_components: int,
        divide: Divide,
        given: Given,
    ) -> FullParameters:
        _, _, spread = Diagonal().estimate(
            data, 1, lambda rows: np.ones((1, rows.stop - rows.start))
        )
        variances = spread[0]
        if not given.is_whole:
            weights, means, covariances = self._estimate_start(
                data, n_components, divide(data), variances
            )
        if given.weights is not None:
            weights = given.weights
        if given.means is not None:
            means = given.centered_means(data.columns)
        if given.precisions is not None:
            d = data.shape[1]
            precisions = given.precisions.reshape(-1, d, d)
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

    def recenter(
        self, parameters: FullParameters, old: Columns, new: Columns
    ) -> FullParameters:
        means = parameters.means + (old.center - new.center)
        means[:, ~old.known] = 0.0  # the mean of those that arrive
        return replace(parameters, means=means)

    def for_streams(self) -> Full:
        return self

    def welcome(
        self, statistics: FullStatistics, parameters: FullParameters, arrived: Array
    ) -> FullStatistics:
        return statistics  # holes already stand there with their variance

    def log_joint(self, parameters: FullParameters, block: Block) -> Array:
        n_components = len(parameters.weights)
        log_joint = np.empty((n_components, len(block.weights)))
        for part in _parts(parameters, block):
            for k in range(n_components):
                conditional = _condition(parameters, k, part)
                log_joint[k, part.rows] = conditional.log_density
        log_joint += log_weights(parameters.weights)[:, None]
        return log_joint

    def accumulate(self, parameters: FullParameters, block: Block) -> FullStatistics:
        n_components, d = parameters.means.shape
        responsibilities = np.empty((n_components, len(block.weights)))
        log_likelihood = 0.0
        shifts = np.zeros((n_components, d))
        moments = np.zeros((n_components, d, d))
        # What the observed tell of the holes: sums of weights and of inverses.
        of_observed = np.zeros(n_components), np.zeros((n_components, d, d))
        for part, conditionals in _conditionals(parameters, block):
            joint, log_density = _posterior(parameters, conditionals)
            weights = block.weights[part.rows]
            log_likelihood += float(weights @ log_density)
            joint *= weights
            responsibilities[:, part.rows] = joint
            for k, conditional in enumerate(conditionals):
                residuals = conditional.residuals
                shifts[k] += residuals @ joint[k]
                scaled = residuals * np.sqrt(joint[k])
                moments[k] += scaled @ scaled.T
                if not len(part.missing.columns):
                    continue
                if conditional.of_holes:
                    moments[k] += _scatter(part.missing, conditional, joint[k])
                else:
                    of_observed[0][k] += joint[k].sum()
                    of_observed[1][k] += _scatter(part.observed, conditional, joint[k])
        for k, (weight, inverses) in enumerate(zip(*of_observed, strict=True)):
            if weight > 0:
                moments[k] += _unexplained(parameters, k, weight, inverses)
        return FullStatistics(
            log_likelihood=log_likelihood,
            weight=float(block.weights.sum()),
            sizes=responsibilities.sum(axis=1),
            counts=block.mask.collect(responsibilities),
            shifts=shifts,
            moments=moments,
            origin=parameters.means,
        )

    def maximize(
        self, statistics: FullStatistics, parameters: FullParameters
    ) -> FullParameters:
        sizes = statistics.sizes
        means, moments = self._recenter_moments(statistics)
        kept = sizes <= NEGLIGIBLE
        means[kept] = parameters.means[kept]
        covariances = self._divide(
            statistics, moments, parameters.covariances, parameters.variances
        )
        return FullParameters(
            sizes / sizes.sum(), means, covariances, parameters.variances
        )

    def step_back(self, parameters: FullParameters) -> None:
        return None

    def log_prior(self, parameters: FullParameters) -> float:
        value = 0.0
        precisions = parameters.precisions
        if self.mean_precision_prior > 0:
            means = parameters.means
            of_means = np.broadcast_to(precisions, (len(means), *precisions.shape[1:]))
            lengths = np.einsum("ki,kij,kj->", means, of_means, means)
            value -= 0.5 * self.mean_precision_prior * float(lengths)
        if self.covariance_precision_prior > 0:
            # Up to a constant; the traces with the common covariance are one, too.
            log_dets = parameters.log_dets
            of_common = -np.linalg.slogdet(precisions.mean(axis=0))[1]
            spread = float((log_dets - of_common).sum())
            traces = np.einsum("kii,i->k", precisions, parameters.variances)
            spread += _UNCORRELATED * float((log_dets + traces).sum())
            value -= 0.5 * self.covariance_precision_prior * spread
        return value

    def complete_rows(
        self, parameters: FullParameters, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        rows = np.arange(len(block.weights))
        return self._complete(parameters, block, rows, with_variance)

    def _complete(
        self,
        parameters: FullParameters,
        block: Block,
        wanted: Array,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        """Conditional means and variances of some rows, sorted, (m, d)."""
        means = np.empty((len(wanted), parameters.means.shape[1]))
        variances = np.zeros_like(means) if with_variance else None
        for part, conditionals in _conditionals(parameters, block, wanted):
            places = np.searchsorted(wanted, part.rows)
            shares, _ = _posterior(parameters, conditionals)
            of_components = [
                mean[:, None] + conditional.residuals
                for mean, conditional in zip(
                    parameters.means, conditionals, strict=True
                )
            ]
            mean = sum(r * m for r, m in zip(shares, of_components, strict=True))
            means[places] = mean.T
            if variances is None:
                continue
            spread = sum(
                r * (m - mean) ** 2 for r, m in zip(shares, of_components, strict=True)
            )
            holes = part.missing.take(spread)
            for k, conditional in enumerate(conditionals):
                own = _hole_variances(parameters, k, part, conditional)
                holes += shares[k] * own
            part.missing.put(spread, holes)
            variances[places] = spread.T
        return means, variances

    def complete_entries(
        self,
        parameters: FullParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        wanted, places = np.unique(rows, return_inverse=True)
        means, variances = self._complete(parameters, block, wanted, with_variance)
        if variances is None:
            return means[places, columns], None
        return means[places, columns], variances[places, columns]

    def log_density_entries(
        self,
        parameters: FullParameters,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        log_density = np.empty(len(rows))
        # Where each row stands in the part that is worked on.
        places = np.full(len(block.weights), -1)
        for part, conditionals in _conditionals(parameters, block, np.unique(rows)):
            places[part.rows] = np.arange(len(part.rows))
            mine = np.flatnonzero(places[rows] >= 0)
            here = columns[mine], places[rows[mine]]
            places[part.rows] = -1
            terms = np.empty((len(conditionals), len(mine)))
            for k, conditional in enumerate(conditionals):
                covariance = parameters.covariances[k % len(parameters.covariances)]
                variances = np.empty_like(part.values)
                own = _hole_variances(parameters, k, part, conditional)
                part.missing.put(variances, own)
                # Columns that others determine leave a rounded zero.
                least = _ROUNDING * np.diag(covariance)[here[0]]
                residuals = values[mine] - parameters.means[k][here[0]]
                residuals -= conditional.residuals[here]
                terms[k] = log_normal(residuals, np.maximum(variances[here], least))
            log_joint = np.stack([c.log_density for c in conditionals])
            log_joint += log_weights(parameters.weights)[:, None]
            log_joint -= logsumexp(log_joint, axis=0)
            log_density[mine] = logsumexp(log_joint[:, here[1]] + terms, axis=0)
        return log_density

    def draw_shared(
        self, parameters: FullParameters, n_draws: int, rng: np.random.RandomState
    ) -> range:
        return range(n_draws)

    def draw(
        self,
        parameters: FullParameters,
        shared: range,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        wanted, places = np.unique(rows, return_inverse=True)
        d = parameters.means.shape[1]
        drawn = np.zeros((len(shared), len(wanted), d))
        for part, conditionals in _conditionals(
            parameters, block, wanted, with_covariances=True
        ):
            shares, _ = _posterior(parameters, conditionals)
            labels = draw_labels(shares, len(shared), rng)
            values = np.empty((len(shared), d, len(part.rows)))
            for k, conditional in enumerate(conditionals):
                mine = labels == k
                if not mine.any():
                    continue
                mean = parameters.means[k][:, None] + conditional.residuals
                roots = _roots(_hole_covariances(parameters, k, part, conditional))
                for draw, chosen in zip(values, mine, strict=True):
                    noise = rng.standard_normal((len(part.rows), roots.shape[1], 1))
                    of_k = mean.copy()
                    holes = part.missing.take(of_k) + (roots @ noise)[:, :, 0].T
                    part.missing.put(of_k, holes)
                    np.copyto(draw, of_k, where=chosen)
            of_part = np.searchsorted(wanted, part.rows)
            drawn[:, of_part] = values.transpose(0, 2, 1)
        return drawn[:, places, columns]

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
        of_covariances = n_covariances * n_columns * (n_columns + 1) // 2
        return of_covariances + n_components * n_columns + n_components - 1

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

        A hole stands at its component's mean, with the variance there.
        """
        diagonal = Diagonal(self.reg_covar, self.min_variance)
        statistics, means, variances = diagonal.estimate(
            data, n_components, responsibilities
        )
        sizes, counts = statistics.sizes, statistics.counts

        def scatter(block: Block) -> Array:
            of_block = np.empty((*means.shape, means.shape[1]))
            values, present = block.dense()
            weighted = responsibilities(block.rows) * block.weights
            for k, mean in enumerate(means):
                residuals = (values - mean) * present
                residuals *= np.sqrt(weighted[k])[:, None]
                of_block[k] = residuals.T @ residuals
            return of_block

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
        return means, moments

    def _divide(
        self, statistics: FullStatistics, moments: Array, kept: Array, variances: Array
    ) -> Array:
        """Covariances from second moments; those of an empty component are kept."""
        sizes = statistics.sizes
        learned = sizes > NEGLIGIBLE
        shares = statistics.counts[learned] / sizes[learned, None]
        # A column gains reg_covar as far as it is observed: what is added again to the
        # conditional variances of its holes would add up over iterations.
        ridge = _diagonals(self.reg_covar * shares)
        covariances = kept.copy()
        moments, rows = self._add_uncorrelated(moments, sizes, variances)
        moments, rows = moments[learned], rows[learned, None, None]
        strength = self.covariance_precision_prior
        if strength == 0 or len(sizes) == 1:
            covariances[learned] = moments / rows + ridge
            return self._floor(covariances)
        precisions = _precisions(_whiten(covariances)[1])  # of a start: may be singular
        for step in range(_COMMON_STEPS):
            if step > 0:
                precisions = np.linalg.inv(covariances)
            common = np.linalg.inv(precisions.mean(axis=0))
            pulled = (moments + strength * common) / (rows + strength)
            covariances[learned] = pulled + ridge
        return self._floor(covariances)

    def _add_uncorrelated(
        self, moments: Array, sizes: Array, variances: Array
    ) -> tuple[Array, Array]:
        """Moments and sizes with those of the prior's uncorrelated columns."""
        if self.covariance_precision_prior == 0:
            return moments, sizes
        n_rows = _UNCORRELATED * self.covariance_precision_prior
        return moments + n_rows * np.diag(variances), sizes + n_rows

    def _floor(self, covariances: Array) -> Array:
        """Covariances with eigenvalues of at least min_variance."""
        covariances = _symmetric(covariances)
        if self.min_variance > 0:
            values, vectors = np.linalg.eigh(covariances)
            values = np.maximum(values, self.min_variance)
            covariances = _symmetric(
                (vectors * values[:, None]) @ np.swapaxes(vectors, 1, 2)
            )
        return covariances


@dataclass(frozen=True)
class Tied(Full):
    """One covariance matrix for all components."""

    def attributes(
        self, parameters: FullParameters, columns: Columns
    ) -> dict[str, Any]:
        attributes = super().attributes(parameters, columns)
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            attributes[name] = attributes[name][0]
        return attributes

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


def _condition(parameters: FullParameters, k: int, part: _Part) -> _Conditional:
    """What a component makes of the observed entries of some rows."""
    c = k % len(parameters.covariances)
    residuals = part.values - parameters.means[k][:, None]
    n_observed, n_missing = len(part.observed.columns), len(part.missing.columns)
    log_dets = parameters.log_dets[c]
    of_holes = n_missing == 0 or (
        bool(parameters.well_conditioned[c]) and n_missing <= n_observed
    )
    if n_missing == 0:
        whitened = parameters.whitening[c] @ residuals
        quadratic = np.einsum("dn,dn->n", whitened, whitened)
        inverses = np.empty((0, 1))
    elif of_holes:
        part.missing.put(residuals, 0.0)
        pulls = parameters.precisions[c] @ residuals
        quadratic = np.einsum("dn,dn->n", residuals, pulls)
        inverses, solutions, gain, log_dets_of_holes = part.missing.invert(
            parameters.precisions[c], part.missing.take(pulls)
        )
        quadratic -= gain
        log_dets = log_dets + log_dets_of_holes
        part.missing.put(residuals, -solutions)
    else:
        observed = part.observed.take(residuals)
        inverses, solutions, quadratic, log_dets = part.observed.invert(
            parameters.covariances[c], observed
        )
        weights = np.zeros_like(residuals)
        part.observed.put(weights, solutions)
        residuals = parameters.covariances[c] @ weights
        part.observed.put(residuals, observed)
    log_density = -0.5 * (n_observed * _LOG_2_PI + log_dets + quadratic)
    return _Conditional(log_density, residuals, inverses, of_holes)


def _unexplained(
    parameters: FullParameters, k: int, weight: float, inverses: Array
) -> Array:
    """Sum of the holes' covariances: weight S - S (sum of inverses of S_oo) S.

    In whitened coordinates its eigenvalues are from 0 to weight, which rounding of an
    ill-conditioned S could leave.
    """
    L = parameters.cholesky[k % len(parameters.cholesky)]
    values, vectors = np.linalg.eigh(weight * np.eye(len(L)) - L.T @ inverses @ L)
    roots = L @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    return roots @ roots.T


def _hole_variances(
    parameters: FullParameters, k: int, part: _Part, conditional: _Conditional
) -> Array:
    """Conditional variances of the holes, (q_missing, P)."""
    n_missing = len(part.missing.columns)
    if conditional.of_holes:
        diagonal = np.arange(n_missing)
        return conditional.inverses[diagonal * (diagonal + 3) // 2]
    covariance = parameters.covariances[k % len(parameters.covariances)]
    observed, missing = part.observed.columns.T, part.missing.columns.T  # (P, q)
    inverses = part.observed.unpack(conditional.inverses)
    variances = np.diag(covariance)[part.missing.columns]
    bytes_a_row = 8 * (observed.shape[1] + 1) * n_missing
    for rows in chunks(len(missing), max(bounded(_BATCH_BYTES) // bytes_a_row, 1)):
        across = covariance[missing[rows][:, :, None], observed[rows][:, None]]
        variances[:, rows] -= ((across @ inverses[rows]) * across).sum(axis=2).T
    return np.maximum(variances, 0.0)  # rounding may leave less


def _hole_covariances(
    parameters: FullParameters, k: int, part: _Part, conditional: _Conditional
) -> Array:
    """Conditional covariances of the holes, (P, q_missing, q_missing)."""
    if conditional.of_holes:
        return part.missing.unpack(conditional.inverses)
    covariance = parameters.covariances[k % len(parameters.covariances)]
    observed, missing = part.observed.columns.T, part.missing.columns.T  # (P, q)
    inverses = part.observed.unpack(conditional.inverses)
    across = covariance[missing[:, :, None], observed[:, None]]
    own = covariance[missing[:, :, None], missing[:, None]]
    return own - across @ inverses @ np.swapaxes(across, 1, 2)


def _roots(covariances: Array) -> Array:
    """Matrices R with R R^T = covariance, (P, q, q), also of singular ones."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return vectors * np.sqrt(np.maximum(values, 0.0))[:, None]


def _parts(
    parameters: FullParameters,
    block: Block,
    wanted: Array | None = None,
    with_covariances: bool = False,
) -> Iterator[_Part]:
    """The block, or wanted rows of it, in parts of one pattern that fit in the batch.

    With covariances, so do the covariances of the holes of each row.
    """
    values, _ = block.dense()
    n_components, d = parameters.means.shape
    well_conditioned = bool(parameters.well_conditioned.all())
    for pattern in block.patterns():
        if wanted is not None:
            pattern = pattern.part(np.flatnonzero(np.isin(pattern.rows, wanted)))
        n_observed, n_missing = len(pattern.observed), len(pattern.missing)
        if pattern.is_shared:
            size = _SHARED_BYTES // (8 * d)
        else:
            q = (
                n_missing
                if well_conditioned and n_missing <= n_observed
                else n_observed
            )
            n_values = n_components * (q * (q + 1) // 2 + 2 * d)
            if with_covariances:
                n_values += 2 * n_missing * d
            size = bounded(_BATCH_BYTES) // (8 * n_values)
        for rows in chunks(len(pattern.rows), max(size, 1)):
            part = pattern.part(rows)
            yield _Part(
                rows=part.rows,
                values=np.ascontiguousarray(values[part.rows].T),
                observed=Systems(part.observed, d),
                missing=Systems(part.missing, d),
            )


def _conditionals(
    parameters: FullParameters,
    block: Block,
    wanted: Array | None = None,
    with_covariances: bool = False,
) -> Iterator[tuple[_Part, list[_Conditional]]]:
    """The parts of a block, under each component."""
    for part in _parts(parameters, block, wanted, with_covariances):
        components = range(len(parameters.weights))
        yield part, [_condition(parameters, k, part) for k in components]


def _posterior(
    parameters: FullParameters, conditionals: list[_Conditional]
) -> tuple[Array, Array]:
    """Responsibilities (K, n) and log-densities (n,) of the rows of a part."""
    joint = np.stack([conditional.log_density for conditional in conditionals])
    joint += log_weights(parameters.weights)[:, None]
    log_density = to_responsibilities(joint)
    return joint, log_density


def _scatter(systems: Systems, conditional: _Conditional, weights: Array) -> Array:
    """Weighted sum over rows of the inverses, as a (d, d) matrix."""
    if conditional.inverses.shape[1] == 1:
        weights = weights.sum(keepdims=True)
    return systems.scatter(conditional.inverses, weights)


def _cholesky(component: int, covariance: Array) -> Array:
    """Lower factor of a covariance that is not singular."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    least = np.maximum(_ROUNDING * np.diag(covariance), NEGLIGIBLE)
    if not (np.diag(factor) ** 2 > least).all():
        raise ValueError(
            f"The covariance of component {component} is singular: its rows are too "
            "few, or its columns depend on each other. Increase reg_covar or "
            "min_variance, decrease n_components, or scale the columns alike."
        )
    return factor


def _whiten(covariances: Array) -> tuple[Array, Array]:
    """Lower factors of covariances (K, d, d), and their inverses."""
    cholesky = np.stack([_cholesky(k, c) for k, c in enumerate(covariances)])
    identity = np.eye(cholesky.shape[1])
    whitening = [solve_triangular(L, identity, lower=True) for L in cholesky]
    return cholesky, np.stack(whitening)


def _precisions(whitening: Array) -> Array:
    return np.swapaxes(whitening, 1, 2) @ whitening


def _diagonals(variances: Array) -> Array:
    """Diagonal matrices (K, d, d) of (K, d) variances."""
    return variances[:, :, None] * np.eye(variances.shape[1])


def _outer(first: Array, second: Array) -> Array:
    """Outer products (K, d, d) of (K, d) vectors."""
    return first[:, :, None] * second[:, None]


def _symmetric(matrices: Array) -> Array:
    return (matrices + np.swapaxes(matrices, 1, 2)) / 2
