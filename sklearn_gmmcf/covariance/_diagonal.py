# SPDX-License-Identifier: BSD-3-Clause
r"""Spherical and diagonal covariances.

With :math:`O_i` the observed columns of row :math:`i`,

.. math:: \log p(x_i | k) = \sum_{j \in O_i} \log N(x_{ij} | \mu_{kj}, \sigma^2_{kj})

whose sufficient statistics are the products of the responsibilities with the mask, the
values and their squares. The spherical family has one variance a component, which
divides by observed entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.covariance._elliptical import Elliptical, Measures, Posterior
from sklearn_gmmcf.covariance._family import (
    LOG_2_PI,
    NEGLIGIBLE,
    SHARED,
    InitResponsibilities,
    Statistics,
    UserInit,
    check_shape,
    log_weights,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._further_columns import widen_diagonal
from sklearn_gmmcf.covariance._reviews import (
    Review,
    review_regularization,
    review_units,
)
from sklearn_gmmcf.covariance._shrinkage import (
    measure_divergence,
    predict_variances,
    shrink_variances,
)
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed, one_hot

# A residual this small relative to its terms is the rounding error of a zero.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class DiagonalStatistics(Statistics):
    """Sums of responsibilities and of their products with the data."""

    sizes: Array  # (K,)
    counts: Array  # (K, d), over the mask
    sums: Array  # (K, d), over the values
    squares: Array  # (K, d) or (K, 1), over the squared values
    # (K, d), the points that values are taken about; 0 except where the expansion of
    # the square about 0 would cancel.
    origin: Array | float = field(default=0.0, metadata=SHARED)

    def aligned(self, other: DiagonalStatistics) -> DiagonalStatistics:
        shifts = np.broadcast_to(other.origin - self.origin, self.sums.shape)
        if not shifts.any():
            return self
        terms = shifts * (shifts * self.counts - 2 * self.sums)
        if self.squares.shape != terms.shape:
            terms = terms.sum(axis=1, keepdims=True)
        return replace(
            self,
            sums=self.sums - shifts * self.counts,
            squares=self.squares + terms,
            origin=other.origin,
        )


@dataclass(frozen=True, eq=False)
class DiagonalParameters:
    """Weights, means and variances, and the terms of the density made from them."""

    weights: Array  # (K,)
    means: Array  # (K, d), centered
    variances: Array  # (K, d) or (K, 1)
    units: Array  # (d,), of the columns
    # (K, d), entries that means and variances rest on; None where the user gave them
    counts: Array | None = None
    precisions: Array = field(init=False, repr=False)  # as variances
    scaled_means: Array = field(init=False, repr=False)  # (K, d), mean * precision
    half_norms: Array = field(init=False, repr=False)  # (K, d), mean^2 * precision / 2
    half_logs: Array = field(init=False, repr=False)  # as variances, log(variance) / 2
    cancellation: Array = field(init=False, repr=False)  # (K,), largest of half_norms

    def __post_init__(self) -> None:
        with np.errstate(all="ignore"):  # a variance of zero is refused later
            precisions = 1 / self.variances
            scaled_means = self.means * precisions
            derived = {
                "precisions": precisions,
                "scaled_means": scaled_means,
                "half_norms": 0.5 * self.means * scaled_means,
                "half_logs": 0.5 * np.log(self.variances),
                "cancellation": _cancellation(self.means, self.variances),
            }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [f.name for f in fields(self) if f.init]
        return type(self), tuple(getattr(self, name) for name in names)

    def masked(self, components: Array) -> DiagonalParameters:
        """The same with standard normal components in place of these (K,)."""
        if not components.any():
            return self
        return replace(
            self,
            means=np.where(components[:, None], 0.0, self.means),
            variances=np.where(components[:, None], 1.0, self.variances),
        )


@dataclass(frozen=True)
class Diagonal(Elliptical[DiagonalParameters, DiagonalStatistics]):
    """A variance for each component and column: ``covariance_type='diag'``.

    Parameters
    ----------
    reg_covar : float, default=0.0
        Added to each variance (squared units of the data).

    min_variance : float, default=0.0
        Floor under each variance (squared units of the data).

    mean_precision_prior : float, default=0.0
        Strength that pulls means to the mean of their column, as this many further
        observations there would.

    covariance_precision_prior : float, default=0.0
        Strength that pulls variances to a common one, in units of their columns, as
        this many further observations would.

    min_effective_count : float, default=0.0
        A mean of a column is estimated anew only where the responsibilities over the
        column's observed entries add up to at least this.

    See Also
    --------
    Spherical : One variance for each component.
    Full : A covariance matrix for each component.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Diagonal
    >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
    >>> family = Diagonal(reg_covar=1e-3)
    >>> mixture = MaskedGaussianMixture(2, covariance_type=family, random_state=0)
    >>> mixture.fit(X).covariances_.shape
    (2, 2)
    """

    init_names = ("weights", "means", "precisions")
    conditional_is_predictive = True
    has_column_variances: ClassVar[bool] = True

    reg_covar: float = 0.0
    min_variance: float = 0.0
    mean_precision_prior: float = 0.0
    covariance_precision_prior: float = 0.0
    min_effective_count: float = 0.0

    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> DiagonalParameters:
        changes: dict[str, Any] = {}
        if init.weights is not None:
            changes["weights"] = init.weights
        if init.means is not None:
            changes["means"] = init.centered_means(data.columns)
        if init.precisions is not None:
            changes["variances"] = 1 / init.precisions.reshape(n_components, -1)
        if init.is_complete:
            return _checked(**changes, units=data.columns.units)
        _, parameters = self.estimate(data, n_components, init_responsibilities(data))
        if init.means is not None or init.precisions is not None:
            changes["counts"] = None
        return _checked(**_init_values(parameters) | changes)

    def estimate(
        self, data: Observed, n_components: int, responsibilities: Responsibilities
    ) -> tuple[DiagonalStatistics, DiagonalParameters]:
        """Statistics under responsibilities, and the parameters that they make.

        A column that a component does not observe has mean and variance of all rows.
        """

        def sum_about(means: Array, ill_conditioned: Array) -> DiagonalStatistics:
            return data.total(
                lambda block: self._sum(
                    block,
                    responsibilities(block.rows) * block.weights,
                    means,
                    ill_conditioned,
                )
            )

        pooled = self._pool(data, n_components)
        statistics = sum_about(pooled.means, np.zeros(n_components, dtype=bool))
        parameters = self._estimate(statistics, statistics, pooled)
        ill_conditioned = parameters.cancellation > data.max_cancellation
        if ill_conditioned.any():
            statistics = sum_about(parameters.means, ill_conditioned)
            parameters = self._estimate(statistics, statistics, pooled)
        return statistics, parameters

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        shape = self._precisions_shape(n_components, n_columns)
        check_shape("precisions_init", precisions, shape)
        if not (precisions > 0).all():
            raise ValueError(
                "precisions_init should be positive, but its smallest value is "
                f"{precisions.min():g}."
            )

    def _precisions_shape(self, n_components: int, n_columns: int) -> tuple[int, ...]:
        return n_components, n_columns

    def recenter(
        self, parameters: DiagonalParameters, old: Columns, new: Columns
    ) -> DiagonalParameters:
        return replace(super().recenter(parameters, old, new), units=new.units)

    def add_columns(
        self,
        statistics: DiagonalStatistics,
        parameters: DiagonalParameters,
        new_columns: Array,
    ) -> DiagonalStatistics:
        # A single value has no variance.
        entries = parameters.weights[:, None] * new_columns
        return replace(
            statistics,
            counts=statistics.counts + entries,
            squares=statistics.squares + entries * parameters.variances,
        )

    widen = widen_diagonal

    def log_joint(self, parameters: DiagonalParameters, block: Block) -> Array:
        log_joint = self._exponents(parameters, block)
        log_joint -= 0.5 * LOG_2_PI * block.counts
        log_joint += log_weights(parameters.weights)[:, None]
        return log_joint

    def measure(self, parameters: DiagonalParameters, block: Block) -> Measures:
        log_dets = self._log_dets(parameters, block)
        distances = -2 * self._exponents(parameters, block) - log_dets
        # Squares that overflow are far away.
        distances[np.isnan(distances)] = np.inf
        return Measures(distances, log_dets, block.counts)

    def _log_dets(self, p: DiagonalParameters, block: Block) -> Array:
        return 2 * block.mask.project(p.half_logs)

    def _exponents(self, p: DiagonalParameters, block: Block) -> Array:
        """Log-densities (K, n) without their constant."""
        ill_conditioned = p.cancellation > block.max_cancellation
        exponents = self._expand(p.masked(ill_conditioned), block)
        for k in np.flatnonzero(ill_conditioned):
            _, squares = block.centered_at(p.means[k])
            shape = (1, p.means.shape[1])
            half_precisions = np.broadcast_to(0.5 * p.precisions[k], shape)
            half_logs = np.broadcast_to(p.half_logs[k], shape)
            exponents[k] = -squares.project(half_precisions)[0]
            exponents[k] -= block.mask.project(half_logs)[0]
        return exponents

    def _expand(self, p: DiagonalParameters, block: Block) -> Array:
        """Exponents of the density (K, n), by expanding the squares."""
        exponents = block.values.project(p.scaled_means)
        exponents -= block.squares.project(0.5 * p.precisions)
        exponents -= block.mask.project(p.half_norms + p.half_logs)
        return exponents

    def accumulate_clusters(
        self, parameters: DiagonalParameters, block: Block, labels: Array
    ) -> DiagonalStatistics:
        """Statistics with each row wholly in the component that labels (n,) name."""
        responsibilities = one_hot(labels, len(parameters.weights))
        ill_conditioned = parameters.cancellation > block.max_cancellation
        weighted = responsibilities * block.weights
        return self._sum(block, weighted, parameters.means, ill_conditioned)

    def accumulate(
        self, parameters: DiagonalParameters, block: Block
    ) -> DiagonalStatistics:
        responsibilities = self.log_joint(parameters, block)
        log_density = to_responsibilities(responsibilities)
        ill_conditioned = parameters.cancellation > block.max_cancellation
        return self._sum(
            block,
            responsibilities * block.weights,
            parameters.means,
            ill_conditioned,
            float(np.sum(block.weights * log_density)),
        )

    def accumulate_weighted(
        self, parameters: DiagonalParameters, block: Block, posterior: Posterior
    ) -> DiagonalStatistics:
        _, weighted = posterior.ask(slice(None), self.measure(parameters, block))
        ill_conditioned = parameters.cancellation > block.max_cancellation
        return self._sum(
            block,
            weighted,
            parameters.means,
            ill_conditioned,
            posterior.log_likelihood,
        )

    def maximize(
        self, statistics: DiagonalStatistics, parameters: DiagonalParameters
    ) -> DiagonalParameters:
        return self.maximize_weighted(statistics, statistics, parameters)

    def maximize_weighted(
        self,
        statistics: DiagonalStatistics,
        totals: DiagonalStatistics,
        parameters: DiagonalParameters,
    ) -> DiagonalParameters:
        estimate = self._estimate(statistics, totals, parameters)
        return _checked(**_init_values(estimate))

    def log_prior(self, parameters: DiagonalParameters) -> float:
        p, value = parameters, 0.0
        if self.mean_precision_prior > 0:
            value -= self.mean_precision_prior * float(p.half_norms.sum())
        known = self._known(p)
        if self.covariance_precision_prior > 0 and known.any():
            divergence = measure_divergence(
                p.variances[:, known], self._pool_units(p)[known]
            )
            value -= self.covariance_precision_prior * divergence
        return value

    def review(
        self,
        parameters: DiagonalParameters,
        statistics: DiagonalStatistics | None,
        data: Blocks,
    ) -> Review:
        p = parameters
        yield from review_regularization(
            self.reg_covar, data.columns, p.weights, p.variances
        )

    def conditional(
        self, parameters: DiagonalParameters, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        variances = self._predict_variances(parameters)
        return parameters.means[:, columns], variances[:, columns]

    def _predict_variances(self, p: DiagonalParameters) -> Array:
        """Variances (K, d) of missing entries."""
        if p.counts is None:
            return np.broadcast_to(p.variances, p.means.shape)
        # The variance of an unknown column is uncertain enough.
        variances = np.array(np.broadcast_to(p.variances, p.means.shape))
        known = p.counts.sum(axis=0) > 0
        if not known.any():
            return variances
        own = p.variances.shape == p.means.shape
        variances[:, known] = predict_variances(
            p.variances[:, known] if own else p.variances,
            p.counts[:, known],
            p.units[known],
            self.mean_precision_prior,
            self.covariance_precision_prior,
            self.reg_covar,
            self.min_variance,
        )
        return variances

    def complete_rows(
        self, parameters: DiagonalParameters, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        responsibilities = self.log_joint(parameters, block)
        to_responsibilities(responsibilities)
        means = responsibilities.T @ parameters.means
        if not with_variance:
            return means, None
        variances = responsibilities.T @ self._predict_variances(parameters)
        for share, mean in zip(responsibilities, parameters.means, strict=True):
            variances += share[:, None] * (mean - means) ** 2
        return means, variances

    def sample(
        self, parameters: DiagonalParameters, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        scales = np.broadcast_to(np.sqrt(parameters.variances), parameters.means.shape)
        return [
            mean + scale * rng.standard_normal((size, len(mean)))
            for mean, scale, size in zip(parameters.means, scales, sizes, strict=True)
        ]

    def covariance(
        self, parameters: DiagonalParameters, component: int, columns: Array
    ) -> Array:
        variances = parameters.variances[component]
        return np.diag(np.broadcast_to(variances, parameters.means.shape[1:])[columns])

    def n_parameters(self, parameters: DiagonalParameters, n_columns: int) -> int:
        n_components = len(parameters.weights)
        return 2 * n_components * n_columns + n_components - 1

    def attributes(
        self, parameters: DiagonalParameters, columns: Columns
    ) -> dict[str, Any]:
        return {
            "weights_": parameters.weights,
            "means_": parameters.means + columns.center,
            "covariances_": parameters.variances,
            "precisions_": parameters.precisions,
            "precisions_cholesky_": np.sqrt(parameters.precisions),
        }

    def _sum(
        self,
        block: Block,
        weighted: Array,
        means: Array,
        ill_conditioned: Array,
        log_likelihood: float = 0.0,
    ) -> DiagonalStatistics:
        """Statistics of a block, about the means of the ill-conditioned components.

        `weighted` are responsibilities (K, n) times weights of the rows.
        """
        sums = block.values.collect(weighted)
        squares = self._sum_squares(block, weighted)
        for k in np.flatnonzero(ill_conditioned):
            residuals, squared = block.centered_at(means[k])
            sums[k] = residuals.collect(weighted[k : k + 1])[0]
            squares[k] = self._pool_columns(squared.collect(weighted[k : k + 1]))[0]
        return DiagonalStatistics(
            log_likelihood=log_likelihood,
            weight=float(block.weights.sum()),
            sizes=weighted.sum(axis=1),
            counts=block.mask.collect(weighted),
            sums=sums,
            squares=squares,
            origin=means * ill_conditioned[:, None] if ill_conditioned.any() else 0.0,
        )

    def _sum_squares(self, block: Block, weighted: Array) -> Array:
        return block.squares.collect(weighted)

    def _estimate(
        self,
        statistics: DiagonalStatistics,
        totals: DiagonalStatistics,
        before: DiagonalParameters,
    ) -> DiagonalParameters:
        """Parameters; too little evidence leaves means and variances as before.

        See `maximize_weighted`.
        """
        kappa, origin = self.mean_precision_prior, statistics.origin
        counts = statistics.counts
        # Counts of smaller weights may have been lost in single precision.
        sums = np.where(counts > NEGLIGIBLE, statistics.sums, 0.0)
        occupied = (totals.sizes > NEGLIGIBLE)[:, None]
        learned = occupied & (totals.counts >= self.min_effective_count)
        learned &= counts + kappa > NEGLIGIBLE
        shifts = before.means - origin
        np.divide(sums - kappa * origin, counts + kappa, out=shifts, where=learned)
        means = np.where(learned, origin + shifts, before.means)
        # S2 - 2 shift S1 + shift^2 S0 about the origin, and the prior of learned means.
        residuals = statistics.squares - self._pool_columns(
            shifts * (2 * sums - shifts * counts)
        )
        scales = statistics.squares + self._pool_columns(shifts**2 * counts)
        residuals[residuals <= _ROUNDING * scales] = 0.0
        residuals += self._pool_columns(kappa * learned * means**2)
        parameters = replace(
            before,
            weights=totals.sizes / totals.sizes.sum(),
            means=means,
            counts=totals.counts,
        )
        return self._estimate_variances(
            parameters, residuals, self._pool_columns(totals.counts), occupied
        )

    def _estimate_variances(
        self, p: DiagonalParameters, residuals: Array, counts: Array, occupied: Array
    ) -> DiagonalParameters:
        """The parameters with variances of residual sums and counts (K, d or 1)."""
        variances = np.maximum(p.variances, NEGLIGIBLE)
        strength = self.covariance_precision_prior
        known = self._known(p)
        if strength > 0 and known.any():
            learned = np.broadcast_to(known, counts.shape)
            variances[:, known] = shrink_variances(
                residuals[:, known],
                counts[:, known],
                variances[:, known],
                self._pool_units(p)[known],
                strength,
                max(self.min_variance - self.reg_covar, 0.0),
            )
        else:
            learned = occupied & (counts > NEGLIGIBLE)
            variances = np.divide(residuals, counts, out=variances, where=learned)
        variances[learned] += self.reg_covar
        variances = np.maximum(variances, self.min_variance)
        return replace(p, variances=variances)

    def _known(self, p: DiagonalParameters) -> Array:
        """Which of the pooled columns have observed entries."""
        if p.counts is None:
            return np.ones(p.variances.shape[1], dtype=bool)
        return self._pool_columns(p.counts).sum(axis=0) > 0

    def _pool_units(self, p: DiagonalParameters) -> Array:
        """Units of the pooled columns."""
        return p.units

    def _pool_columns(self, terms: Array) -> Array:
        """Sum (K, d) terms over the columns that share a variance."""
        return terms

    def _pool(self, data: Blocks, n_components: int) -> DiagonalParameters:
        """Parameters of all rows, for each component to start from."""
        means, units = np.zeros((1, data.shape[1])), data.columns.units
        nothing = np.array([False])
        statistics = data.total(
            lambda block: self._sum(block, block.weights[None], means, nothing)
        )
        within = statistics.squares.sum() / statistics.counts.sum()
        within = max(within + self.reg_covar, self.min_variance, NEGLIGIBLE)
        variances = np.full_like(statistics.squares, within)
        first = DiagonalParameters(np.ones(1), means, variances, units)
        pooled = self._estimate(statistics, statistics, first)
        variances = pooled.variances
        unknown = ~data.columns.known
        if variances.shape == means.shape and unknown.any():
            # An unknown column's entry is as uncertain as one of any column.
            center = data.columns.center
            offsets = center - center[unknown][0]
            spread = statistics.squares + statistics.counts * offsets**2
            variances = variances.copy()
            variances[:, unknown] = max(
                spread.sum() / statistics.counts.sum() + self.reg_covar,
                self.min_variance,
            )
        return replace(
            pooled,
            weights=np.full(n_components, 1 / n_components),
            means=np.repeat(means, n_components, axis=0),
            variances=np.repeat(variances, n_components, axis=0),
        )


@dataclass(frozen=True)
class Spherical(Diagonal):
    """One variance for each component: ``covariance_type='spherical'``.

    It divides by observed entries, in one scale that all columns share.

    Parameters
    ----------
    reg_covar, min_variance, mean_precision_prior : float, default=0.0
        See `Diagonal`.

    covariance_precision_prior, min_effective_count : float, default=0.0
        See `Diagonal`.

    See Also
    --------
    Diagonal : A variance for each component and column.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Spherical
    >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
    >>> family = Spherical(min_variance=1e-3)
    >>> mixture = MaskedGaussianMixture(2, covariance_type=family, random_state=0)
    >>> mixture.fit(X).covariances_.round(2)
    array([0.1 , 0.13])
    """

    start_coordinates = "raw"
    has_column_variances = False

    def add_columns(
        self,
        statistics: DiagonalStatistics,
        parameters: DiagonalParameters,
        new_columns: Array,
    ) -> DiagonalStatistics:
        return statistics  # new columns share the variance of the others

    def review(
        self,
        parameters: DiagonalParameters,
        statistics: DiagonalStatistics | None,
        data: Blocks,
    ) -> Review:
        yield from review_units(data.columns)
        yield from super().review(parameters, statistics, data)

    def _expand(self, p: DiagonalParameters, block: Block) -> Array:
        exponents = block.values.project(p.scaled_means)
        exponents -= block.mask.project(p.half_norms)
        exponents -= 0.5 * p.precisions * block.squared_norms
        exponents -= p.half_logs * block.counts
        return exponents

    def _log_dets(self, p: DiagonalParameters, block: Block) -> Array:
        return 2 * p.half_logs * block.counts

    def n_parameters(self, parameters: DiagonalParameters, n_columns: int) -> int:
        n_components = len(parameters.weights)
        return n_components * n_columns + 2 * n_components - 1

    def attributes(
        self, parameters: DiagonalParameters, columns: Columns
    ) -> dict[str, Any]:
        attributes = super().attributes(parameters, columns)
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            attributes[name] = attributes[name][:, 0]
        return attributes

    def _precisions_shape(self, n_components: int, n_columns: int) -> tuple[int, ...]:
        return (n_components,)

    def from_clusters(
        self, data: Blocks, labels: Array, centers: Array, distances: Array
    ) -> DiagonalParameters:
        """The mixture of clusters: their shares, their centers, their variances.

        `distances` (n,) are squared, of rows to their centers.
        """
        row_counts = np.concatenate(list(data.map(lambda block: block.counts)))
        sizes, counts, residuals = (
            np.bincount(labels, data.weights * terms, minlength=len(centers))[:, None]
            for terms in (np.ones(len(labels)), row_counts, distances)
        )
        pooled = self._pool(data, len(centers))
        variances = pooled.variances.copy()
        observed = counts > 0
        np.divide(residuals, counts, out=variances, where=observed)
        variances[observed] += self.reg_covar
        variances = np.maximum(variances, self.min_variance)
        return _checked(sizes[:, 0] / sizes.sum(), centers, variances, pooled.units)

    def _sum_squares(self, block: Block, weighted: Array) -> Array:
        return weighted @ block.squared_norms[:, None]

    def _pool_units(self, p: DiagonalParameters) -> Array:
        return np.ones(1)

    def _pool_columns(self, terms: Array) -> Array:
        return terms.sum(axis=1, keepdims=True)


def _init_values(parameters: DiagonalParameters) -> dict[str, Any]:
    """Arguments that make the same parameters."""
    return {f.name: getattr(parameters, f.name) for f in fields(parameters) if f.init}


def _checked(
    weights: Array,
    means: Array,
    variances: Array,
    units: Array,
    counts: Array | None = None,
) -> DiagonalParameters:
    """Parameters, if every variance is positive."""
    positive = variances > NEGLIGIBLE
    if not positive.all():
        component, column = np.argwhere(~positive)[0]
        name = f"component {component}"
        if variances.shape == means.shape:
            name += f" in column {column}"
        raise ValueError(
            f"The variance of {name} is zero: the values that it rests on are equal, "
            "or too small to be squared. Increase reg_covar or min_variance, decrease "
            "n_components, or scale the data."
        )
    return DiagonalParameters(weights, means, variances, units, counts)


def _cancellation(means: Array, variances: Array) -> Array:
    """Largest mean^2 / (2 variance) of each component, (K,).

    The expansion of the square about 0 loses as many digits as this number has.
    """
    return np.max(0.5 * means**2 / np.maximum(variances, NEGLIGIBLE), axis=1)
