# SPDX-License-Identifier: BSD-3-Clause
"""The face of a family of covariances, and the mixing of conditional moments.

A family is a frozen set of options; its methods are pure functions of parameters and
blocks. E-step and M-step meet only through additive `Statistics`::

    statistics = sum of family.accumulate(parameters, block) over the blocks
    parameters = family.maximize(statistics, parameters)

All values are centered by the columns' observed means, so 0 is the mean of a column.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from scipy.special import logsumexp, ndtr

from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf._warnings import DataWarning
from sklearn_gmmcf.covariance._entry_parts import EntryParts, probe_entries
from sklearn_gmmcf.covariance._similarity import (
    Vectors,
    correlate_columns,
    empty_moments,
    profile_completions,
)
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed

# Sums of responsibilities at or below this are treated as zero.
NEGLIGIBLE = 1e-290
# Metadata of a field of statistics that is the same for all blocks, and not added.
SHARED = {"shared": True}
# Metadata of a field of statistics whose last axis are the columns.
BY_COLUMN = {"by_column": True}

# A difference this small relative to its terms is a rounding error: a column without
# rows has no mean.
_ROUNDING = 2.0**-40
LOG_2_PI = float(np.log(2 * np.pi))
# Below any log-density that can be told from others.
_MIN_LOG_DENSITY = -1e290


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows: ``a + b`` are the statistics of the rows of both.

    So ``a + b - b`` are those of a, to rounding.
    A family derives its own frozen dataclass from this one, with a field for each sum.
    Sums may be statistics themselves.
    A field declared ``field(metadata=SHARED)`` is the same for all blocks, such as the
    point that moments are taken about. A field with a sum for each column, along its
    last axis, is declared ``field(metadata=BY_COLUMN)`` for families that learn few
    columns at a time.

    Parameters
    ----------
    log_likelihood : float
        Weighted sum of the rows' log-densities (nats).
    weight : float
        Sum of the rows' weights.
    """

    log_likelihood: float
    weight: float

    @property
    def size(self) -> float:
        """Divisor of the objective where its change is compared with `tol`."""
        return self.weight

    def __add__(self, other: Self) -> Self:
        return self._combine(lambda name: getattr(self, name) + getattr(other, name))

    def __iadd__(self, other: Self) -> Self:
        """The sum, in the arrays of these statistics."""

        def add(name: str) -> Any:
            value = getattr(self, name)
            value += getattr(other, name)
            return value

        return self._combine(add)

    def __sub__(self, other: Self) -> Self:
        """The statistics without rows that they hold; rounding errors become 0."""

        def subtract(name: str) -> Any:
            value, taken = getattr(self, name), getattr(other, name)
            if isinstance(value, Statistics):
                return value - taken
            rest = value - taken
            return rest * (np.abs(rest) > _ROUNDING * np.abs(value))

        return self._combine(subtract)

    def scaled(self, factor: float) -> Self:
        """The statistics of the same rows at this many times their weights."""
        if factor == 1:
            return self

        def scale(name: str) -> Any:
            value = getattr(self, name)
            if isinstance(value, Statistics):
                return value.scaled(factor)
            return value * factor

        return self._combine(scale)

    def aligned(self, other: Self) -> Self:
        """The same statistics with the shared fields of others, to add them up."""
        return self

    def take_columns(self, columns: Array) -> Self:
        """The same, of fields with a sum for each column only those of some (m,)."""
        sums = {name: getattr(self, name)[..., columns] for name in self._by_column()}
        return replace(self, **sums)

    def put_columns(self, columns: Array, few: Self) -> Self:
        """The same with sums of some columns (m,), and with all sums over rows."""
        sums = {name: getattr(self, name).copy() for name in self._by_column()}
        for name, values in sums.items():
            values[..., columns] = getattr(few, name)
        return replace(few, **sums)

    @classmethod
    def _by_column(cls) -> list[str]:
        return [f.name for f in fields(cls) if "by_column" in f.metadata]

    def _combine(self, value: Callable[[str], Any]) -> Self:
        sums = {
            f.name: value(f.name) for f in fields(self) if "shared" not in f.metadata
        }
        return replace(self, **sums)


class Parameters(Protocol):
    """The face of a family's parameters: a frozen dataclass with the weights."""

    @property
    def weights(self) -> Array:
        """Shares of the components, (K,)."""


ParametersT = TypeVar("ParametersT", bound=Parameters)
StatisticsT = TypeVar("StatisticsT", bound=Statistics)


@dataclass(frozen=True)
class UserInit:
    """The parts of a start that the user gave; None is left to responsibilities."""

    weights: Array | None = None  # (K,)
    means: Array | None = None  # (K, d), in the units of the data
    precisions: Array | None = None  # as precisions_ of the family

    def centered_means(self, columns: Columns) -> Array:
        """The means in the units of a family; unknown columns have none to give."""
        return np.where(columns.known, self.means - columns.center, 0.0)

    @property
    def is_complete(self) -> bool:
        return not any(getattr(self, f.name) is None for f in fields(self))


# Assigns initial responsibilities to the rows of a table: of X itself, or of a per-row
# summary ('factor' passes each row's noise level).
InitResponsibilities = Callable[[Observed], Responsibilities]


class Family(ABC, Generic[ParametersT, StatisticsT]):
    """A family of covariances: the one class to write for a new kind of component.

    Derive a frozen dataclass whose fields are the options, write the abstract methods,
    and pass an instance as ``covariance_type``: fits, threads, Dask, `partial_fit`,
    completion, scorers and searches then know it.
    :func:`~sklearn_gmmcf.testing.check_family` tests its contracts.

    There are K components and d columns; a block has n rows. Values are centered: 0 is
    the mean of a column. Columns that were never observed (`Columns.known` is False)
    have no values.

    Methods that start with `conditional` need `conditional` alone: completions, their
    variances, log-densities of missing entries and draws follow from it. A family
    overrides them for speed, or where it knows more: draws of entries that depend on
    each other, components that are not Gaussian.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture : Takes a family as `covariance_type`.
    sklearn_gmmcf.testing.check_family : Tests a family.
    """

    #: Whether it asks blocks for their patterns of missing entries.
    needs_patterns: ClassVar[bool] = False
    #: Fields of `UserInit` that it can start from: 'weights', 'means', 'precisions'.
    init_names: ClassVar[tuple[str, ...]] = ()
    #: Whether `log_joint` is a lower bound of the log-density.
    log_joint_is_bound: ClassVar[bool] = False
    #: Whether `conditional` adds the uncertainty of the parameters to the variances.
    conditional_is_predictive: ClassVar[bool] = False
    #: Where rows lie near each other for k-means starts: 'standardized' columns, 'raw'
    #: for families of one scale for all columns, or 'whitened' too, by
    #: `complete_rows` and `covariance` of a fit with one component.
    start_coordinates: ClassVar[str] = "standardized"
    #: Passes after which starts are compared where only the best goes on: more where EM
    #: moves slowly at first.
    n_trial_passes: ClassVar[int] = 3
    #: Whether the start depends on a seed; if not, further starts would be the same.
    start_is_seeded: ClassVar[bool] = True
    #: Over how many passes `tol` judges the change of the objective.
    n_judged_passes: ClassVar[int] = 1
    #: E- and M-steps that `partial_fit` makes with a batch, the sums before it kept.
    n_batch_passes: ClassVar[int] = 1
    #: Whether `partial_fit` may leave columns that a batch does not observe for later;
    #: then the family has `take_columns` and `put_columns`, and its statistics name the
    #: fields with a sum for each column.
    learns_few_columns: ClassVar[bool] = False
    #: Whether it learns from covariates and from features of columns.
    takes_features: ClassVar[bool] = False
    # Whether `propensities` tell which entries a row would observe.
    predicts_mask: ClassVar[bool] = False
    #: Whether it draws parameters from their posterior, by `draw_statistics` and
    #: `draw_parameters`. Other families are fitted to rows of random weights instead.
    draws_parameters: ClassVar[bool] = False
    #: How it completes columns that were never observed, for a warning.
    unknown_columns: ClassVar[str] = "the mean of all observed entries"

    @property
    def max_rows(self) -> int | None:
        """Most rows of a block; None leaves the size to the data."""
        return None

    def start_table(self, data: Observed) -> Observed:
        """The rows as `start` should see them, in the order of the data."""
        return data

    @abstractmethod
    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> ParametersT:
        """First parameters.

        Parameters
        ----------
        data : Observed
            The data, or a sample of them.
        n_components : int
            Number of components K.
        init_responsibilities : callable
            ``init_responsibilities(data)`` gives a function from a slice of rows to
            responsibilities (K, n).
        init : UserInit
            The parts that the user gave; the others come from responsibilities.
        """

    @abstractmethod
    def log_joint(self, parameters: ParametersT, block: Block) -> Array:
        """Log of weight times density of the observed entries, (K, n), writable."""

    @abstractmethod
    def accumulate(self, parameters: ParametersT, block: Block) -> StatisticsT:
        """E-step of a block: its statistics."""

    @abstractmethod
    def maximize(self, statistics: StatisticsT, parameters: ParametersT) -> ParametersT:
        """M-step: new parameters from the statistics under the current ones."""

    @abstractmethod
    def conditional(
        self, parameters: ParametersT, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        """Moments of missing entries under each component, given the observed ones.

        Parameters
        ----------
        rows, columns : ndarray of shape (m,)
            The entries, rows counted from the first of the block.

        Returns
        -------
        means, variances : ndarray of shape (K, m)
        """

    @abstractmethod
    def n_parameters(self, parameters: ParametersT, n_columns: int) -> int:
        """Number of free parameters with this many known columns."""

    @abstractmethod
    def attributes(self, parameters: ParametersT, columns: Columns) -> dict[str, Any]:
        """Fitted attributes by name, in the units of the data.

        `weights_` and `means_` are expected of every family.
        """

    def sample(
        self, parameters: ParametersT, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        """Rows drawn from each component, (sizes[k], d) each."""
        raise NotImplementedError(f"{type(self).__name__} does not draw rows.")

    def covariance(
        self, parameters: ParametersT, component: int, columns: Array
    ) -> Array:
        """Covariance matrix (p, p) of some columns (p,) of a component's rows."""
        raise NotImplementedError(f"{type(self).__name__} has no covariance matrix.")

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        """Refuse ``precisions_init`` of a wrong shape or not positive."""

    def recenter(
        self, parameters: ParametersT, old: Columns, new: Columns
    ) -> ParametersT:
        """The same model for data centered elsewhere.

        Columns may have been observed for the first time; there the mean is 0. The
        default moves ``parameters.means`` (K, d).
        """
        means = parameters.means + (old.center - new.center)  # type: ignore[attr-defined]
        means[:, ~old.known] = 0.0
        return replace(parameters, means=means)  # type: ignore[type-var]

    def for_partial_fit(self) -> Self:
        """The family for rows that come in batches."""
        return self

    def add_columns(
        self, statistics: StatisticsT, parameters: ParametersT, new_columns: Array
    ) -> StatisticsT:
        """Add pseudo-statistics for columns (d,) observed for the first time.

        They make the M-step defined where a batch says too little of a new column.
        """
        return statistics

    def take_columns(self, parameters: ParametersT, columns: Array) -> ParametersT:
        """The model of some columns (m,), to learn from rows that observe no others.

        `maximize` leaves alone what it shares with the columns left out; `log_prior`
        is that of all columns.
        """
        raise NotImplementedError(f"{type(self).__name__} learns all columns at once.")

    def put_columns(
        self, parameters: ParametersT, columns: Array, few: ParametersT
    ) -> ParametersT:
        """The model of all columns, some of which (m,) have learned apart."""
        raise NotImplementedError(f"{type(self).__name__} learns all columns at once.")

    def widen(
        self, parameters: ParametersT, statistics: StatisticsT, columns: Columns
    ) -> tuple[ParametersT, StatisticsT]:
        """The model and its sums as if it had had further columns, never observed.

        ``columns`` are all columns, the new ones last.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no further columns.")

    def accelerate(
        self, statistics: StatisticsT, parameters: ParametersT
    ) -> ParametersT:
        """Parameters from which the next pass gains more than from these.

        Called between passes with what `maximize` made of the statistics; the objective
        must not be lower. Results are never accelerated, so that they fit their
        statistics.
        """
        return parameters

    def backtrack(self, parameters: ParametersT) -> ParametersT | None:
        """Parameters to go on from if these lowered the objective.

        None if the M-step cannot lower it.
        """
        return None

    def log_prior(self, parameters: ParametersT) -> float:
        """Terms of the objective beside the log-likelihood."""
        return 0.0

    def review(
        self, parameters: ParametersT, statistics: StatisticsT | None, data: Blocks
    ) -> Iterator[tuple[DataWarning, Array]]:
        """Reasons to distrust a fit, and the columns that they concern.

        ``statistics`` are the ones of the last E-step, None without any.
        """
        return iter(())

    def conditional_joint(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Array, Array, Any]:
        """`log_joint` of the block and `conditional` of its entries.

        For families that compute both at once; then the joint needs to be right only
        for the rows of the entries, and variances may be None where none are asked for.
        """
        log_joint = self.log_joint(parameters, block)
        return log_joint, *self.conditional(parameters, block, rows, columns)

    def complete_rows(
        self, parameters: ParametersT, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        """Conditional means and variances (n, d) of a block.

        Observed entries may hold anything.
        """
        rows, columns = block.missing()
        means, variances = self.complete_entries(
            parameters, block, rows, columns, with_variance=with_variance
        )
        completed = np.zeros(block.shape)
        completed[rows, columns] = means
        if variances is None:
            return completed, None
        spread = np.zeros(block.shape)
        spread[rows, columns] = variances
        return completed, spread

    def complete_entries(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        """Conditional means and variances (m,) of missing entries, over components."""
        log_joint, means, variances = self.conditional_joint(
            parameters, block, rows, columns, with_variance=with_variance
        )
        to_responsibilities(log_joint)
        shares = log_joint[:, rows]
        mean = np.einsum("km,km->m", shares, means)
        if not with_variance:
            return mean, None
        spread = variances + (means - mean) ** 2
        return mean, np.einsum("km,km->m", shares, spread)

    def explain_entries(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        shares: Array,
    ) -> EntryParts:
        """Completions of missing entries as sums over the observed entries.

        The default asks `conditional` about rows made for the purpose, as many as a row
        observes entries. It is for families that learn from no features.

        Parameters
        ----------
        rows, columns : ndarray of shape (m,)
            The entries, rows counted from the first of the block.
        shares : ndarray of shape (K, n)
            Responsibilities of the rows.
        """
        if self.takes_features:
            raise NotImplementedError(
                f"{type(self).__name__} does not explain its completions."
            )

        def conditional(block: Block, rows: Array, columns: Array) -> Array:
            return self.conditional(parameters, block, rows, columns)[0]

        return probe_entries(
            conditional, block, rows, columns, shares, self.needs_patterns
        )

    def column_similarities(
        self, parameters: ParametersT, columns: Array, known: Columns
    ) -> Array:
        """Similarities (p, d) of some columns (p,) with all columns.

        The default are correlations over rows of all components, by `covariance`.
        """
        return correlate_columns(
            partial(self.conditional, parameters),
            partial(self.covariance, parameters),
            parameters.weights,
            columns,
            len(known.known),
            self.needs_patterns,
        )

    def profile_width(self, n_columns: int) -> int:
        """Length of the vectors of `profile_rows`."""
        return n_columns

    def profile_rows(
        self, parameters: ParametersT, block: Block, columns: Columns
    ) -> Vectors:
        """Rows as vectors, whose inner products tell how similar they are.

        The default takes completed rows about the mean of the mixture.
        """
        completed = self.complete_rows(parameters, block, with_variance=True)
        moments = partial(self.conditional, parameters)
        means, _ = empty_moments(moments, block.shape[1], self.needs_patterns)
        centers = parameters.weights @ means
        return profile_completions(completed, block, centers, columns)

    def log_density_entries(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        """Log-densities (m,) of values of missing entries, given the observed ones.

        The default is for components that are Gaussian given the observed entries.
        """
        log_joint, means, variances = self.conditional_joint(
            parameters, block, rows, columns
        )
        floor_log_density(log_joint)
        log_joint -= logsumexp(log_joint, axis=0)
        terms = log_joint[:, rows] + log_normal(values - means, variances)
        return logsumexp(floor_log_density(terms), axis=0)

    def cdf_entries(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        """Probabilities (m,) of missing entries to be at most some values.

        The default is for components that are Gaussian given the observed entries.
        """
        log_joint, means, variances = self.conditional_joint(
            parameters, block, rows, columns
        )
        to_responsibilities(log_joint)
        below = ndtr((values - means) / np.sqrt(variances))
        return np.einsum("km,km->m", log_joint[:, rows], below)

    def draw_shared(
        self, parameters: ParametersT, n_draws: int, rng: np.random.RandomState
    ) -> Sized:
        """State that all rows of a draw share, one for each draw."""
        return range(n_draws)

    def draw(
        self,
        parameters: ParametersT,
        shared: Any,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        """Draws (n_draws, m) of missing entries given the observed ones.

        The default is for entries that are normal, and independent given the component.
        """
        log_joint, means, variances = self.conditional_joint(
            parameters, block, rows, columns
        )
        to_responsibilities(log_joint)
        labels = draw_labels(log_joint, len(shared), rng)[:, rows]
        return draw_entries(labels, means, variances, rng)

    def draw_statistics(
        self, parameters: ParametersT, block: Block, rng: np.random.RandomState
    ) -> StatisticsT:
        """Statistics of a block whose missing entries and components are drawn.

        `accumulate` by simulation: each row is completed once, and belongs to one
        component. Rows without observed entries tell nothing, and are left out.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw parameters.")

    def draw_parameters(
        self,
        statistics: StatisticsT,
        fitted: ParametersT,
        rng: np.random.RandomState,
    ) -> ParametersT:
        """Parameters drawn from their posterior, given the statistics of all rows.

        `maximize` by simulation, for multiple imputation. The fitted parameters hold
        what the rows cannot tell, such as columns that none of them observes.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw parameters.")

    def propensities(self, parameters: ParametersT, block: Block) -> Array:
        """How much each row would observe each column, relative to others, (n, d).

        Only for families with `predicts_mask`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not model the mask.")

    def row_weights(self, parameters: ParametersT, block: Block) -> Array:
        """How much each row counts in the fit, (n,).

        The default is for Gaussian components, in which all rows count alike.
        """
        return np.ones(len(block.weights))


def to_responsibilities(log_joint: Array) -> Array:
    """Turn a log joint density (K, n) into responsibilities, in place.

    Returns
    -------
    log_density : ndarray of shape (n,)
        Log-density of each row.
    """
    floor_log_density(log_joint)
    peak = log_joint.max(axis=0)
    log_joint -= peak
    np.exp(log_joint, out=log_joint)
    scale = log_joint.sum(axis=0)
    log_joint /= scale
    return peak + np.log(scale)


def floor_log_density(log_density: Array) -> Array:
    """Make log-densities finite, in place.

    Of a row so far away that its density underflows everywhere, or that its squares
    overflow, nothing is known.
    """
    return np.fmax(log_density, _MIN_LOG_DENSITY, out=log_density)


def chunks(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most ``size``."""
    return (slice(start, start + size) for start in range(0, length, size))


def draw_labels(
    responsibilities: Array, n_draws: int, rng: np.random.RandomState
) -> Array:
    """Components (n_draws, n) drawn by responsibilities (K, n)."""
    cumulative = np.cumsum(responsibilities, axis=0)
    drawn = rng.uniform(size=(n_draws, cumulative.shape[1])) * cumulative[-1]
    return (drawn[:, None] >= cumulative[:-1]).sum(axis=1)


def draw_entries(
    labels: Array,
    means: Array,
    variances: Array,
    rng: np.random.RandomState,
    stretch: Array | float = 1.0,
) -> Array:
    """Normal entries (n_draws, m) of drawn components, deviations times `stretch`."""
    noise = rng.standard_normal(labels.shape) * stretch
    entries = np.arange(labels.shape[1])
    return means[labels, entries] + np.sqrt(variances)[labels, entries] * noise


def log_weights(weights: Array) -> Array:
    """Logarithms of weights, of which some may be 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


def log_normal(residuals: Array, variances: Array) -> Array:
    """Log-density of residuals from the mean of a Gaussian."""
    return -0.5 * (residuals**2 / variances + np.log(2 * np.pi * variances))


def check_in_range(*sums: Array) -> None:
    """Refuse sums over rows that are not finite."""
    if not all(np.isfinite(array).all() for array in sums):
        raise ValueError(
            "Sums over the rows left the range of floating-point numbers. Remove "
            "outlying values, scale the columns (StandardScaler), and keep "
            "sample_weight within a few orders of magnitude."
        )


def check_shape(name: str, value: Array, shape: tuple[int, ...]) -> None:
    """Refuse a parameter of another shape."""
    if value.shape != shape:
        raise ValueError(
            f"{name} should have the shape {shape}, but got {value.shape}."
        )
