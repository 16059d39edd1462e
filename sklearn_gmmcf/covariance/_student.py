# SPDX-License-Identifier: BSD-3-Clause
r"""Multivariate t components: outlying rows weigh less.

With :math:`p_i` observed entries and :math:`m_{ik}` the squared Mahalanobis distance of
row :math:`i` from component :math:`k`, of :math:`v_k` degrees of freedom, a row is a
Gaussian whose precision is multiplied by a latent :math:`u`, of which EM expects

.. math:: u_{ik} = \frac{v_k + p_i}{v_k + m_{ik}}

(Lange, Little and Taylor 1989; Peel and McLachlan 2000). Distances and moments are the
wrapped family's. Statistics are its own under responsibilities times u, and the sums of
the responsibilities themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln, logsumexp, stdtr

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._elliptical import Elliptical, Law, Measures, Posterior
from sklearn_gmmcf.covariance._entry_parts import EntryParts
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    Family,
    InitResponsibilities,
    Statistics,
    UserInit,
    floor_log_density,
    log_weights,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._reviews import Review
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed, clip_outliers

# Degrees of freedom that are learned lie between these, and begin at the third.
_MIN_DEGREES = 1.0
_MAX_DEGREES = 1e6
_FIRST_DEGREES = 4.0
# From here on three terms of the asymptotic series are exact in double precision.
_MIN_SERIES = 1e3
# Logarithm of a share that counts as 0; smaller ones are 0 in double precision.
_NO_SHARE = -700.0


@dataclass(frozen=True, eq=False)
class StudentLaw(Law):
    """The law of a multivariate t distribution."""

    degrees: Array  # (K,)

    def log_joint(self, measures: Measures) -> Array:
        counts, v = measures.counts, self.degrees[:, None]
        max_count = int(counts.max(initial=0.0))
        constants = log_gamma_ratios(self.degrees, max_count)
        constants -= 0.5 * np.arange(max_count + 1) * np.log(v * np.pi)
        log_joint = -0.5 * (v + counts) * np.log1p(_distances(measures) / v)
        log_joint -= 0.5 * measures.log_dets
        log_joint += constants[:, counts.astype(np.intp)]
        log_joint += log_weights(self.weights)[:, None]
        return log_joint

    def row_weights(self, measures: Measures) -> Array:
        return self.conditional_degrees(measures) / self.lengths(measures)

    def lengths(self, measures: Measures) -> Array:
        """Degrees of freedom plus distances, (K, n)."""
        return self.degrees[:, None] + _distances(measures)

    def expected_logs(self, row_weights: Array, counts: Array) -> Array:
        """Expected ln u - u of weights (K, n) of rows."""
        halves = (self.degrees[:, None] + counts) / 2
        logs = np.log(np.maximum(row_weights, NEGLIGIBLE))
        return digamma(halves) - np.log(halves) + logs - row_weights

    def conditional_degrees(self, measures: Measures) -> Array:
        """Degrees of freedom (K, n) of missing entries given the observed ones."""
        return self.degrees[:, None] + measures.counts

    def draw_stretch(
        self, measures: Measures, labels: Array, rng: np.random.RandomState
    ) -> Array:
        rows = np.arange(labels.shape[1])
        degrees = self.conditional_degrees(measures)[labels, rows]
        lengths = self.lengths(measures)[labels, rows]
        return np.sqrt(lengths / np.maximum(rng.chisquare(degrees), NEGLIGIBLE))


@dataclass(frozen=True, eq=False)
class StudentParameters:
    """Locations and scale matrices of the wrapped family, and degrees of freedom."""

    base: Any
    degrees: Array  # (K,)

    @property
    def weights(self) -> Array:
        return self.base.weights

    @property
    def law(self) -> StudentLaw:
        return StudentLaw(self.weights, self.degrees)


@dataclass(frozen=True, eq=False)
class StudentStatistics(Statistics):
    """Moments under weighted responsibilities, and sums of the plain ones."""

    moments: Any  # statistics of the wrapped family
    sizes: Array  # (K,)
    counts: Array  # (K, d), over observed entries
    logs: Array  # (K,), of expected ln u - u

    @property
    def totals(self) -> Any:
        """The moments with plain sizes and counts."""
        return replace(self.moments, sizes=self.sizes, counts=self.counts)

    def aligned(self, other: StudentStatistics) -> StudentStatistics:
        return replace(self, moments=self.moments.aligned(other.moments))


@dataclass(frozen=True)
class Student(Family[StudentParameters, StudentStatistics]):
    """Multivariate t components, which ``degrees_of_freedom`` asks for.

    Parameters
    ----------
    base : Spherical, Diagonal, Tied or Full
        The family of the scale matrices, with its options.

    degrees_of_freedom : float or 'auto', default='auto'
        Degrees of freedom of all components, more than 0; 'auto' learns one for each
        component, from 1 to 1e6.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture : Takes `degrees_of_freedom`, too.

    Notes
    -----
    The start is the start of the base family on values clipped at 1.5 interquartile
    ranges beyond the quartiles of their columns, so that outliers are no clusters of
    their own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Full, Student
    >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 99], [5, 9.9], [6, np.nan]])
    >>> family = Student(Full(), degrees_of_freedom=2)
    >>> mixture = MaskedGaussianMixture(covariance_type=family, max_iter=1000)
    >>> mixture.fit(X).transform(X)[5].round(1)
    array([ 6. , 11.8])
    """

    base: Elliptical[Any, Any]
    degrees_of_freedom: float | str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.base, Elliptical):
            raise TypeError(
                "base should be a family of scale matrices (Spherical, Diagonal, Tied "
                f"or Full), but got {type(self.base).__name__}."
            )
        v = self.degrees_of_freedom
        if v != "auto" and (isinstance(v, str) or not 0 < v < np.inf):
            raise ValueError(
                "degrees_of_freedom should be 'auto' or a number above 0, but got "
                f"{v!r}."
            )

    @property
    def needs_patterns(self) -> bool:  # type: ignore[override]
        return self.base.needs_patterns

    @property
    def init_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.base.init_names

    @property
    def conditional_is_predictive(self) -> bool:  # type: ignore[override]
        return self.base.conditional_is_predictive

    @property
    def unknown_columns(self) -> str:  # type: ignore[override]
        return self.base.unknown_columns

    @property
    def max_rows(self) -> int | None:
        return self.base.max_rows

    @property
    def start_coordinates(self) -> str:  # type: ignore[override]
        return self.base.start_coordinates

    @property
    def n_trial_passes(self) -> int:  # type: ignore[override]
        return self.base.n_trial_passes

    def start_table(self, data: Observed) -> Observed:
        return clip_outliers(data)

    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> StudentParameters:
        base = self.base.start(data, n_components, init_responsibilities, init)
        first = self.degrees_of_freedom
        if isinstance(first, str):
            first = _FIRST_DEGREES
        return StudentParameters(base, np.full(n_components, float(first)))

    def log_joint(self, parameters: StudentParameters, block: Block) -> Array:
        return parameters.law.log_joint(self.base.measure(parameters.base, block))

    def accumulate(
        self, parameters: StudentParameters, block: Block
    ) -> StudentStatistics:
        posterior = Posterior(parameters.law, block)
        moments = self.base.accumulate_weighted(parameters.base, block, posterior)
        shares, weights = posterior.responsibilities, posterior.row_weights
        logs = parameters.law.expected_logs(weights, block.counts)
        return StudentStatistics(
            log_likelihood=moments.log_likelihood,
            weight=moments.weight,
            moments=moments,
            sizes=shares.sum(axis=1),
            counts=block.mask.collect(shares),
            logs=(shares * logs).sum(axis=1),
        )

    def maximize(
        self, statistics: StudentStatistics, parameters: StudentParameters
    ) -> StudentParameters:
        base = self.base.maximize_weighted(
            statistics.moments, statistics.totals, parameters.base
        )
        if self.degrees_of_freedom != "auto":
            fixed = np.full_like(parameters.degrees, self.degrees_of_freedom)
            return StudentParameters(base, fixed)
        degrees = parameters.degrees.copy()
        for k in np.flatnonzero(statistics.sizes > NEGLIGIBLE):
            degrees[k] = find_degrees(statistics.logs[k] / statistics.sizes[k])
        return StudentParameters(base, degrees)

    def conditional(
        self, parameters: StudentParameters, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        _, means, variances = self.conditional_joint(parameters, block, rows, columns)
        return means, variances

    def conditional_joint(
        self,
        parameters: StudentParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Array, Array, Any]:
        law = parameters.law
        measures, means, scales = self.base.measure_entries(
            parameters.base, block, rows, columns, with_variance=with_variance
        )
        log_joint = law.log_joint(measures)
        if scales is None:
            return log_joint, means, None
        excess = law.conditional_degrees(measures) - 2
        factors = np.full(excess.shape, np.inf)
        np.divide(law.lengths(measures), excess, out=factors, where=excess > 0)
        # 0 shares of an infinite variance are 0.
        log_density = floor_log_density(log_joint.copy())
        factors[log_density - log_density.max(axis=0) < _NO_SHARE] = 1.0
        return log_joint, means, scales * factors[:, rows]

    def explain_entries(
        self,
        parameters: StudentParameters,
        block: Block,
        rows: Array,
        columns: Array,
        shares: Array,
    ) -> EntryParts:
        return self.base.explain_entries(parameters.base, block, rows, columns, shares)

    def log_density_entries(
        self,
        parameters: StudentParameters,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        log_joint, means, spreads, degrees = self._condition(
            parameters, block, rows, columns
        )
        floor_log_density(log_joint)
        log_joint -= logsumexp(log_joint, axis=0)
        density = log_student((values - means) ** 2, spreads, degrees)
        return logsumexp(floor_log_density(log_joint[:, rows] + density), axis=0)

    def cdf_entries(
        self,
        parameters: StudentParameters,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        shares, means, spreads, degrees = self._condition(
            parameters, block, rows, columns
        )
        to_responsibilities(shares)
        below = stdtr(degrees, (values - means) / np.sqrt(spreads / degrees))
        return np.einsum("km,km->m", shares[:, rows], below)

    def _condition(
        self, parameters: StudentParameters, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Log of the joint (K, n), and the t distributions of entries, (K, m) each.

        Their means, squared scales times degrees of freedom, and degrees of freedom.
        """
        law = parameters.law
        measures, means, scales = self.base.measure_entries(
            parameters.base, block, rows, columns
        )
        spreads = scales * law.lengths(measures)[:, rows]
        degrees = law.conditional_degrees(measures)[:, rows]
        return law.log_joint(measures), means, spreads, degrees

    def draw(
        self,
        parameters: StudentParameters,
        shared: Any,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        law, base = parameters.law, parameters.base
        return self.base.draw_weighted(
            law, base, len(shared), block, rows, columns, rng
        )

    def row_weights(self, parameters: StudentParameters, block: Block) -> Array:
        measures = self.base.measure(parameters.base, block)
        shares = parameters.law.log_joint(measures)
        to_responsibilities(shares)
        weights = parameters.law.row_weights(measures)
        return np.einsum("kn,kn->n", shares, weights)

    def sample(
        self, parameters: StudentParameters, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        drawn = self.base.sample(parameters.base, sizes, rng)
        for rows, mean, v in zip(
            drawn, parameters.base.means, parameters.degrees, strict=True
        ):
            stretch = np.sqrt(v / np.maximum(rng.chisquare(v, len(rows)), NEGLIGIBLE))
            rows -= mean
            rows *= stretch[:, None]
            rows += mean
        return drawn

    def covariance(
        self, parameters: StudentParameters, component: int, columns: Array
    ) -> Array:
        v = float(parameters.degrees[component])
        if v <= 2:
            raise ValueError(
                f"Component {component} has {v:.3g} degrees of freedom, and a t "
                "distribution of 2 or fewer has no covariance matrix. Take its scale "
                "matrix from covariances_."
            )
        return self.scale(parameters, component, columns) * (v / (v - 2))

    def scale(
        self, parameters: StudentParameters, component: int, columns: Array
    ) -> Array:
        """Scale matrix (p, p) of some columns (p,) of a component."""
        return self.base.covariance(parameters.base, component, columns)

    def n_parameters(self, parameters: StudentParameters, n_columns: int) -> int:
        learned = len(parameters.degrees) if self.degrees_of_freedom == "auto" else 0
        return self.base.n_parameters(parameters.base, n_columns) + learned

    def attributes(
        self, parameters: StudentParameters, columns: Columns
    ) -> dict[str, Any]:
        attributes = self.base.attributes(parameters.base, columns)
        return attributes | {"degrees_of_freedom_": parameters.degrees}

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        self.base.check_precisions(precisions, n_components, n_columns)

    def recenter(
        self, parameters: StudentParameters, old: Columns, new: Columns
    ) -> StudentParameters:
        base = self.base.recenter(parameters.base, old, new)
        return StudentParameters(base, parameters.degrees)

    def add_columns(
        self,
        statistics: StudentStatistics,
        parameters: StudentParameters,
        new_columns: Array,
    ) -> StudentStatistics:
        moments, totals = (
            self.base.add_columns(each, parameters.base, new_columns)
            for each in (statistics.moments, statistics.totals)
        )
        return replace(statistics, moments=moments, counts=totals.counts)

    def log_prior(self, parameters: StudentParameters) -> float:
        return self.base.log_prior(parameters.base)

    def review(
        self,
        parameters: StudentParameters,
        statistics: StudentStatistics | None,
        data: Blocks,
    ) -> Review:
        totals = None if statistics is None else statistics.totals
        yield from self.base.review(parameters.base, totals, data)


def _distances(measures: Measures) -> Array:
    """Distances, of which rounding makes none negative."""
    return np.maximum(measures.distances, 0.0)


def find_degrees(mean_log: float) -> float:
    """Degrees of freedom that a mean of expected ln u - u makes the most probable.

    The objective's slope ln(v / 2) - psi(v / 2) + 1 + mean_log falls in v.
    """

    def slope(log_degrees: float) -> float:
        half = np.exp(log_degrees) / 2
        return float(np.log(half) - digamma(half) + 1 + mean_log)

    low, high = np.log(_MIN_DEGREES), np.log(_MAX_DEGREES)
    if slope(low) <= 0:
        return _MIN_DEGREES
    if slope(high) >= 0:
        return _MAX_DEGREES
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def log_student(squares: Array, spreads: Array, degrees: Array) -> Array:
    """Log-density of t distributions at squared residuals.

    `spreads` are their squared scales times their degrees of freedom.
    """
    log_density = _log_half_step(degrees / 2) - 0.5 * np.log(np.pi * spreads)
    return log_density - 0.5 * (degrees + 1) * np.log1p(squares / spreads)


def log_gamma_ratios(degrees: Array, n: int) -> Array:
    """Logarithms of Gamma((v + p) / 2) / Gamma(v / 2) for p = 0, ..., n, (K, n + 1).

    In steps, as differences of gammaln would cancel for many degrees of freedom.
    """
    halves = degrees[:, None] / 2
    steps = np.log(halves + np.arange(n) / 2)  # from p to p + 2
    ratios = np.zeros((len(degrees), n + 2))
    ratios[:, 1] = _log_half_step(degrees / 2)
    ratios[:, 2::2] = np.cumsum(steps[:, ::2], axis=1)[:, : ratios[:, 2::2].shape[1]]
    odd = np.cumsum(steps[:, 1::2], axis=1)
    ratios[:, 3::2] = ratios[:, 1:2] + odd[:, : ratios[:, 3::2].shape[1]]
    return ratios[:, : n + 1]


def _log_half_step(halves: Array) -> Array:
    """Logarithm of Gamma(a + 1/2) / Gamma(a)."""
    a = np.maximum(halves, _MIN_SERIES)
    series = 0.5 * np.log(a) - 1 / (8 * a) + 1 / (192 * a**3)
    direct = gammaln(np.minimum(halves, _MIN_SERIES) + 0.5)
    direct -= gammaln(np.minimum(halves, _MIN_SERIES))
    return np.where(halves < _MIN_SERIES, direct, series)
