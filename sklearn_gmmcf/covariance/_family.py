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

    So ``a + b - b`` is a, to rounding. A family derives its own frozen dataclass from
    this one, with a field for each sum. Sums may be statistics themselves. A field
    declared ``field(metadata=SHARED)`` is the same for all blocks, such as the point
    that moments are taken about. A field with a sum for each column, along its last
    axis, is declared ``field(metadata={"by_column": True})`` for families that learn
    few columns at a time.

    Parameters
    ----------
    log_likelihood : float
        Weighted sum of the rows' log-densities (nats).
    weight : float
        Sum of the rows' weights.

    See Also
    --------
    Family : Makes statistics in the E-step, and parameters of them in the M-step.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sklearn_gmmcf.covariance import Statistics
    >>> @dataclass(frozen=True, eq=False)
    ... class Sums(Statistics):
    ...     sums: np.ndarray  # (d,)
    >>> some = Sums(-3.0, 2.0, np.array([1, 4]))
    >>> more = Sums(-1.0, 1.0, np.array([2, 0]))
    >>> both = some + more
    >>> both.weight, both.sums, (both - more).sums
    (3.0, array([3, 4]), array([1, 4]))
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
        """Make the statistics of the same rows at many times their weights.

        Parameters
        ----------
        factor : float
            How many times.

        Returns
        -------
        statistics : Statistics
            All sums times the factor.

        See Also
        --------
        aligned : To add up sums about another point.

        Examples
        --------
        >>> from sklearn_gmmcf.covariance import Statistics
        >>> Statistics(log_likelihood=-3.0, weight=2.0).scaled(10).weight
        20.0
        """
        if factor == 1:
            return self

        def scale(name: str) -> Any:
            value = getattr(self, name)
            if isinstance(value, Statistics):
                return value.scaled(factor)
            return value * factor

        return self._combine(scale)

    def aligned(self, other: Self) -> Self:
        """Make the same statistics with the shared fields of others, to add them up.

        Parameters
        ----------
        other : Statistics
            The others.

        Returns
        -------
        statistics : Statistics
            By default these statistics, which have no shared fields to change.

        See Also
        --------
        scaled : The same rows at other weights.

        Examples
        --------
        Sums about a point that all blocks share, brought to another point:

        >>> from dataclasses import dataclass, field, replace
        >>> from sklearn_gmmcf.covariance import SHARED, Statistics
        >>> @dataclass(frozen=True, eq=False)
        ... class Sums(Statistics):
        ...     sums: float
        ...     point: float = field(metadata=SHARED)
        ...
        ...     def aligned(self, other):
        ...         moved = self.sums + self.weight * (self.point - other.point)
        ...         return replace(self, sums=moved, point=other.point)
        >>> some, more = Sums(-3.0, 2.0, 5.0, 0.0), Sums(-1.0, 1.0, 2.0, 1.0)
        >>> some.aligned(more) + more
        Sums(log_likelihood=-4.0, weight=3.0, sums=5.0, point=1.0)
        """
        return self

    def take_columns(self, columns: Array) -> Self:
        """Take the sums of some columns, of fields with a sum for each column.

        Parameters
        ----------
        columns : ndarray of shape (m,)
            Indices of the columns.

        Returns
        -------
        few : Statistics
            The sums of these columns; other sums are as they were.

        See Also
        --------
        put_columns : The way back.

        Examples
        --------
        >>> from dataclasses import dataclass, field
        >>> import numpy as np
        >>> from sklearn_gmmcf.covariance import Statistics
        >>> @dataclass(frozen=True, eq=False)
        ... class Counts(Statistics):
        ...     counts: np.ndarray = field(metadata={"by_column": True})  # (K, d)
        >>> statistics = Counts(-3.0, 2.0, np.array([[1.0, 2.0, 0.0]]))
        >>> statistics.take_columns(np.array([0, 2])).counts
        array([[1., 0.]])
        """
        sums = {name: getattr(self, name)[..., columns] for name in self._by_column()}
        return replace(self, **sums)

    def put_columns(self, columns: Array, few: Self) -> Self:
        """Put back the sums of some columns, and take all sums over rows.

        Parameters
        ----------
        columns : ndarray of shape (m,)
            Indices of the columns.
        few : Statistics
            Their sums, and newer sums over rows.

        Returns
        -------
        statistics : Statistics
            The sums of all columns.

        See Also
        --------
        take_columns : Takes them apart.

        Examples
        --------
        >>> from dataclasses import dataclass, field
        >>> import numpy as np
        >>> from sklearn_gmmcf.covariance import Statistics
        >>> @dataclass(frozen=True, eq=False)
        ... class Counts(Statistics):
        ...     counts: np.ndarray = field(metadata={"by_column": True})  # (K, d)
        >>> statistics = Counts(-3.0, 2.0, np.array([[1.0, 2.0, 0.0]]))
        >>> columns = np.array([0, 2])
        >>> few = statistics.take_columns(columns).scaled(10)
        >>> statistics.put_columns(columns, few).counts
        array([[10.,  2.,  0.]])
        """
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
    """The parts of a start that the user gave; None is left to responsibilities.

    Parameters
    ----------
    weights : ndarray of shape (K,) or None, default=None
        Shares of the components.
    means : ndarray of shape (K, d) or None, default=None
        Means, in the units of the data.
    precisions : ndarray or None, default=None
        Precisions, of the shape of `precisions_` of the family.

    See Also
    --------
    Family.start : Takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.covariance import UserInit
    >>> init = UserInit(weights=np.array([0.3, 0.7]))
    >>> init.is_complete, init.means
    (False, None)
    """

    weights: Array | None = None
    means: Array | None = None
    precisions: Array | None = None

    def centered_means(self, columns: Columns) -> Array:
        """Compute the means in the units of a family.

        Parameters
        ----------
        columns : Columns
            The columns, with their centers.

        Returns
        -------
        means : ndarray of shape (K, d)
            Less the center of each column; 0 for columns that were never observed.

        See Also
        --------
        Family.start : Takes them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.covariance import UserInit
        >>> from sklearn_gmmcf.data import observe
        >>> X = np.array([[1, 20], [3, np.nan]])
        >>> init = UserInit(means=np.array([[1.0, 21.0]]))
        >>> init.centered_means(observe(X).columns)
        array([[-1.,  1.]])
        """
        return np.where(columns.known, self.means - columns.center, 0.0)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to responsibilities."""
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
    to_responsibilities : Makes responsibilities of a log joint density.

    Examples
    --------
    Gaussians whose variance is known to be 1:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Family, Statistics, to_responsibilities
    >>> @dataclass(frozen=True, eq=False)
    ... class UnitParameters:
    ...     weights: np.ndarray  # (K,)
    ...     means: np.ndarray  # (K, d), centered
    >>> @dataclass(frozen=True, eq=False)
    ... class UnitStatistics(Statistics):
    ...     sizes: np.ndarray  # (K,), sums of responsibilities
    ...     counts: np.ndarray  # (K, d), the same over observed entries
    ...     sums: np.ndarray  # (K, d), the same times values
    >>> @dataclass(frozen=True)
    ... class Unit(Family):
    ...     def start(self, data, n_components, init_responsibilities, init):
    ...         shares = init_responsibilities(data)
    ...         sums = data.total(lambda block: self.sum(shares(block.rows), block, 0))
    ...         zeros = np.zeros((n_components, data.shape[1]))
    ...         return self.maximize(sums, UnitParameters(zeros[:, 0], zeros))
    ...
    ...     def log_joint(self, parameters, block):
    ...         means, ones = parameters.means, np.ones_like(parameters.means)
    ...         distances = block.mask.project(means**2 + np.log(2 * np.pi))
    ...         distances -= 2 * block.values.project(means)
    ...         distances += block.squares.project(ones)
    ...         return np.log(parameters.weights)[:, None] - distances / 2
    ...
    ...     def accumulate(self, parameters, block):
    ...         shares = self.log_joint(parameters, block)
    ...         log_density = to_responsibilities(shares)
    ...         return self.sum(shares, block, log_density @ block.weights)
    ...
    ...     def sum(self, shares, block, log_likelihood):
    ...         shares = shares * block.weights
    ...         counts, sums = block.mask.collect(shares), block.values.collect(shares)
    ...         weight, sizes = block.weights.sum(), shares.sum(axis=1)
    ...         return UnitStatistics(log_likelihood, weight, sizes, counts, sums)
    ...
    ...     def maximize(self, statistics, parameters):
    ...         means = statistics.sums / np.maximum(statistics.counts, 1e-9)
    ...         return UnitParameters(statistics.sizes / statistics.weight, means)
    ...
    ...     def conditional(self, parameters, block, rows, columns):
    ...         means = parameters.means[:, columns]
    ...         return means, np.ones_like(means)
    ...
    ...     def n_parameters(self, parameters, n_columns):
    ...         return len(parameters.weights) * (n_columns + 1) - 1
    ...
    ...     def attributes(self, parameters, columns):
    ...         means = parameters.means + columns.center
    ...         return {"weights_": parameters.weights, "means_": means}
    >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
    >>> mixture = MaskedGaussianMixture(2, covariance_type=Unit(), random_state=0)
    >>> completed, std = mixture.fit(X).complete(X, return_std=True)
    >>> completed[-1], std[-1]
    (array([8.5, 9. ]), array([1., 0.]))
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
    #: Whether `propensities` tell which entries a row would observe.
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
        """Prepare the rows that `start` sees.

        Parameters
        ----------
        data : Observed
            The data.

        Returns
        -------
        table : Observed
            The rows in the order of the data; by default the data themselves.

        See Also
        --------
        start : Takes them.
        """
        return data

    @abstractmethod
    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> ParametersT:
        """Make first parameters.

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

        Returns
        -------
        parameters : object
            A frozen dataclass, with the shares of the components as `weights` (K,).

        See Also
        --------
        start_table : Changes the rows first.
        maximize : New parameters from statistics.
        """

    @abstractmethod
    def log_joint(self, parameters: ParametersT, block: Block) -> Array:
        """Compute the log of weight times density of the observed entries.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.

        Returns
        -------
        log_joint : ndarray of shape (K, n)
            In nats; the caller may write into it.

        See Also
        --------
        to_responsibilities : Makes responsibilities and log-densities of it.
        """

    @abstractmethod
    def accumulate(self, parameters: ParametersT, block: Block) -> StatisticsT:
        """Sum up a block under the current parameters: the E-step.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.

        Returns
        -------
        statistics : Statistics
            Sums over the rows of the block, times their weights (``block.weights``).

        See Also
        --------
        maximize : The M-step.
        """

    @abstractmethod
    def maximize(self, statistics: StatisticsT, parameters: ParametersT) -> ParametersT:
        """Make new parameters from the sums: the M-step.

        Parameters
        ----------
        statistics : Statistics
            Sums over all rows, under the current parameters.
        parameters : object
            The current parameters.

        Returns
        -------
        parameters : object
            The new parameters.

        See Also
        --------
        accumulate : The E-step.
        """

    @abstractmethod
    def conditional(
        self, parameters: ParametersT, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        """Compute moments of missing entries in each component.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.

        Returns
        -------
        means, variances : ndarray of shape (K, m)
            Conditional moments, given the observed entries; means less the center of
            their column.

        See Also
        --------
        complete_entries : The moments over all components.
        """

    @abstractmethod
    def n_parameters(self, parameters: ParametersT, n_columns: int) -> int:
        """Count the free parameters.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        n_columns : int
            Number of columns that were ever observed.

        Returns
        -------
        n_parameters : int
            For information criteria such as the BIC.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.bic : Charges them.
        """

    @abstractmethod
    def attributes(self, parameters: ParametersT, columns: Columns) -> dict[str, Any]:
        """List the fitted attributes of the estimator.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        columns : Columns
            The columns, with the `center` of each.

        Returns
        -------
        attributes : dict
            Values in the units of the data, by name; `weights_` and `means_` are
            expected of every family.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture : Has the attributes after `fit`.
        """

    def sample(
        self, parameters: ParametersT, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        """Draw rows from each component.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        sizes : ndarray of shape (K,)
            Number of rows of each component.
        rng : numpy.random.RandomState
            Source of the draws.

        Returns
        -------
        rows : list of K ndarrays of shape (sizes[k], d)
            The drawn rows.

        Raises
        ------
        NotImplementedError
            If the family does not draw rows, as by default.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.sample : Returns them.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw rows.")

    def covariance(
        self, parameters: ParametersT, component: int, columns: Array
    ) -> Array:
        """Build the covariance matrix of a component.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        component : int
            Index of the component.
        columns : ndarray of shape (p,)
            Indices of the columns of the matrix.

        Returns
        -------
        covariance : ndarray of shape (p, p)
            In squared units of the data.

        Raises
        ------
        NotImplementedError
            If the family has no covariance matrix, as by default.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.get_covariance : Returns it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no covariance matrix.")

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        """Refuse ``precisions_init`` of a wrong shape or not positive.

        Parameters
        ----------
        precisions : ndarray
            The parameter of the estimator.
        n_components : int
            Number of components K.
        n_columns : int
            Number of columns d.

        Raises
        ------
        ValueError
            If they cannot be used.

        See Also
        --------
        start : Takes them, in `init`.
        """

    def recenter(
        self, parameters: ParametersT, old: Columns, new: Columns
    ) -> ParametersT:
        """Move the model to data that are centered elsewhere.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        old, new : Columns
            The columns with their centers, before and after; some may have been
            observed for the first time, where the mean is 0 then.

        Returns
        -------
        parameters : object
            The same model; the default moves ``parameters.means`` (K, d).

        See Also
        --------
        add_columns : Makes the M-step defined there.
        """
        means = parameters.means + (old.center - new.center)  # type: ignore[attr-defined]
        means[:, ~old.known] = 0.0
        return replace(parameters, means=means)  # type: ignore[type-var]

    def for_partial_fit(self) -> Self:
        """Adapt the family to rows that come in batches.

        Returns
        -------
        family : Family
            By default the family itself.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.partial_fit : Learns from batches.
        """
        return self

    def add_columns(
        self, statistics: StatisticsT, parameters: ParametersT, new_columns: Array
    ) -> StatisticsT:
        """Add pseudo-statistics for columns that are observed for the first time.

        Parameters
        ----------
        statistics : Statistics
            Sums over rows.
        parameters : object
            Parameters of the family.
        new_columns : ndarray of shape (d,), dtype bool
            The columns.

        Returns
        -------
        statistics : Statistics
            Sums that make the M-step defined where a batch says too little of a new
            column.

        See Also
        --------
        recenter : Moves the model to the new centers.
        widen : Appends columns that nobody has observed yet.
        """
        return statistics

    def take_columns(self, parameters: ParametersT, columns: Array) -> ParametersT:
        """Take the model of some columns, to learn from rows that observe no others.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        columns : ndarray of shape (m,)
            Indices of the columns.

        Returns
        -------
        few : object
            Their parameters. `maximize` leaves alone the parts that they share with the
            columns left out; `log_prior` covers all columns.

        Raises
        ------
        NotImplementedError
            If the family learns all columns at once, as by default.

        See Also
        --------
        put_columns : The way back.
        """
        raise NotImplementedError(f"{type(self).__name__} learns all columns at once.")

    def put_columns(
        self, parameters: ParametersT, columns: Array, few: ParametersT
    ) -> ParametersT:
        """Put back columns that have learned apart.

        Parameters
        ----------
        parameters : object
            Parameters of all columns.
        columns : ndarray of shape (m,)
            Indices of the columns that have learned.
        few : object
            Their parameters.

        Returns
        -------
        parameters : object
            New parameters of all columns.

        Raises
        ------
        NotImplementedError
            If the family learns all columns at once, as by default.

        See Also
        --------
        take_columns : Takes them apart.
        """
        raise NotImplementedError(f"{type(self).__name__} learns all columns at once.")

    def widen(
        self, parameters: ParametersT, statistics: StatisticsT, columns: Columns
    ) -> tuple[ParametersT, StatisticsT]:
        """Append columns that were never observed, to the model and to its sums.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        statistics : Statistics
            Sums over rows.
        columns : Columns
            All columns, the new ones last.

        Returns
        -------
        parameters, statistics : tuple
            As if there had been these columns from the first fit on.

        Raises
        ------
        NotImplementedError
            If the family takes no further columns, as by default.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.add_columns : Appends them.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no further columns.")

    def accelerate(
        self, statistics: StatisticsT, parameters: ParametersT
    ) -> ParametersT:
        """Make parameters from which the next pass gains more.

        Called between two passes.

        Parameters
        ----------
        statistics : Statistics
            Sums of the last E-step.
        parameters : object
            The result of `maximize` for these sums.

        Returns
        -------
        parameters : object
            The same, or others of no lower objective. Results of a fit are never
            accelerated, so that they fit their statistics.

        See Also
        --------
        backtrack : Undoes a step that lowered the objective.
        """
        return parameters

    def backtrack(self, parameters: ParametersT) -> ParametersT | None:
        """Make parameters to go on from where these lowered the objective.

        Parameters
        ----------
        parameters : object
            Parameters of the family.

        Returns
        -------
        parameters : object or None
            None if the M-step cannot lower the objective.

        See Also
        --------
        accelerate : Makes longer steps.
        """
        return None

    def log_prior(self, parameters: ParametersT) -> float:
        """Compute the terms of the objective beside the log-likelihood.

        Parameters
        ----------
        parameters : object
            Parameters of the family.

        Returns
        -------
        log_prior : float
            In nats; 0 for maximum likelihood.

        See Also
        --------
        maximize : Maximizes both.
        """
        return 0.0

    def review(
        self, parameters: ParametersT, statistics: StatisticsT | None, data: Blocks
    ) -> Iterator[tuple[DataWarning, Array]]:
        """List reasons to distrust a fit.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        statistics : Statistics or None
            Sums of the last E-step, None without any.
        data : Blocks
            The data.

        Returns
        -------
        reasons : iterator of (DataWarning, ndarray)
            Warnings, and the columns that each concerns.

        See Also
        --------
        sklearn_gmmcf.DataWarning : Base class of the warnings.
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
        """Compute `log_joint` of a block and `conditional` of its entries at once.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        with_variance : bool
            Whether variances are asked for; if not, None may take their place.

        Returns
        -------
        log_joint, means, variances : ndarray of shape (K, n), (K, m) and (K, m)
            The joint needs to be right only for the rows of the entries.

        See Also
        --------
        log_joint : The first.
        conditional : The others.
        """
        log_joint = self.log_joint(parameters, block)
        return log_joint, *self.conditional(parameters, block, rows, columns)

    def complete_rows(
        self, parameters: ParametersT, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        """Complete a block.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        with_variance : bool
            Whether variances are asked for; if not, None may take their place.

        Returns
        -------
        means, variances : ndarray of shape (n, d)
            Conditional moments of missing entries; observed ones may hold anything.

        See Also
        --------
        complete_entries : Completes some entries.
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
        """Compute moments of missing entries over all components.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        with_variance : bool
            Whether variances are asked for; if not, None may take their place.

        Returns
        -------
        means, variances : ndarray of shape (m,)
            Conditional moments, given the observed entries.

        See Also
        --------
        conditional : The moments in each component.
        """
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
        """Explain completions as sums over the observed entries.

        The default asks `conditional` about rows made for the purpose, as many as a row
        observes entries. It is for families that learn from no features.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        shares : ndarray of shape (K, n)
            Responsibilities of the rows.

        Returns
        -------
        parts : EntryParts
            The parts of each completion.

        Raises
        ------
        NotImplementedError
            If the family learns from features and has no method of its own.

        See Also
        --------
        sklearn_gmmcf.Explanation : Holds the parts.
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
        """Compute similarities of some columns with all columns.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        columns : ndarray of shape (p,)
            Indices of the columns.
        known : Columns
            All columns.

        Returns
        -------
        similarities : ndarray of shape (p, d)
            By default correlations over rows of all components, by `covariance`.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.similar_items : Ranks by them.
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
        """Tell the length of the vectors of `profile_rows`.

        Parameters
        ----------
        n_columns : int
            Number of columns d.

        Returns
        -------
        width : int
            By default the number of columns.

        See Also
        --------
        profile_rows : Makes the vectors.
        """
        return n_columns

    def profile_rows(
        self, parameters: ParametersT, block: Block, columns: Columns
    ) -> Vectors:
        """Describe rows by vectors whose inner products tell how similar they are.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        columns : Columns
            All columns.

        Returns
        -------
        vectors : Vectors
            By default completed rows, about the mean of the mixture.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.similar_rows : Ranks by them.
        profile_width : Length of the vectors.
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
        """Compute log-densities of values of missing entries.

        The default is for components that are Gaussian given the observed entries.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        values : ndarray of shape (m,)
            The values, less the center of their column.

        Returns
        -------
        log_density : ndarray of shape (m,)
            In nats, given the observed entries.

        See Also
        --------
        cdf_entries : The distribution function.
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
        """Compute probabilities of missing entries to be at most some values.

        The default is for components that are Gaussian given the observed entries.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        values : ndarray of shape (m,)
            The values, less the center of their column.

        Returns
        -------
        probabilities : ndarray of shape (m,)
            Given the observed entries.

        See Also
        --------
        log_density_entries : The log-density.
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
        """Draw the state that all rows of a draw share.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        n_draws : int
            Number of draws.
        rng : numpy.random.RandomState
            Source of the draws.

        Returns
        -------
        shared : sized
            One state for each draw, such as drawn parameters.

        See Also
        --------
        draw : Takes it.
        """
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
        """Draw missing entries given the observed ones.

        The default is for entries that are normal, and independent given the component.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        shared : sized
            The result of `draw_shared`.
        block : Block
            Some rows of the data, n of them.
        rows, columns : ndarray of shape (m,)
            Missing entries, rows counted from the first of the block.
        rng : numpy.random.RandomState
            Source of the draws.

        Returns
        -------
        draws : ndarray of shape (n_draws, m)
            Values, less the center of their column.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.sample_completions : Returns the draws.
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
        """Sum up a block whose missing entries and components are drawn.

        `accumulate` by simulation: each row is completed once, and belongs to one
        component. Rows without observed entries tell nothing, and are left out.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.
        rng : numpy.random.RandomState
            Source of the draws.

        Returns
        -------
        statistics : Statistics
            Sums over completed rows.

        Raises
        ------
        NotImplementedError
            If the family does not draw parameters, as by default.

        See Also
        --------
        draw_parameters : Draws parameters, given the sums.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw parameters.")

    def draw_parameters(
        self,
        statistics: StatisticsT,
        fitted: ParametersT,
        rng: np.random.RandomState,
    ) -> ParametersT:
        """Draw parameters from their posterior, given the statistics of all rows.

        `maximize` by simulation, for multiple imputation.

        Parameters
        ----------
        statistics : Statistics
            Sums over all completed rows.
        fitted : object
            Fitted parameters, for columns that none of the rows observes.
        rng : numpy.random.RandomState
            Source of the draws.

        Returns
        -------
        parameters : object
            The drawn parameters.

        Raises
        ------
        NotImplementedError
            If the family does not draw parameters, as by default.

        See Also
        --------
        draw_statistics : Draws the rows that are summed up.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw parameters.")

    def propensities(self, parameters: ParametersT, block: Block) -> Array:
        """Compute how much each row would observe each column, relative to others.

        Only for families with `predicts_mask`.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.

        Returns
        -------
        propensities : ndarray of shape (n, d)
            Only ratios within a row count.

        Raises
        ------
        NotImplementedError
            If the family does not model the mask, as by default.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.recommend : Ranks by utility with them.
        """
        raise NotImplementedError(f"{type(self).__name__} does not model the mask.")

    def row_weights(self, parameters: ParametersT, block: Block) -> Array:
        """Compute how much each row counts in the fit.

        Parameters
        ----------
        parameters : object
            Parameters of the family.
        block : Block
            Some rows of the data, n of them.

        Returns
        -------
        weights : ndarray of shape (n,)
            By default 1: in Gaussian components all rows count alike.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.outlier_weights : Returns them.
        """
        return np.ones(len(block.weights))


def to_responsibilities(log_joint: Array) -> Array:
    """Turn a log joint density into responsibilities, in place.

    Parameters
    ----------
    log_joint : ndarray of shape (K, n)
        Logarithm of weight times density; overwritten by responsibilities.

    Returns
    -------
    log_density : ndarray of shape (n,)
        Log-density of each row.

    See Also
    --------
    Family.log_joint : Makes the log joint density.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.covariance import to_responsibilities
    >>> log_joint = np.log([[0.1, 0.3], [0.1, 0.1]])
    >>> log_density = to_responsibilities(log_joint)
    >>> log_joint, np.exp(log_density)
    (array([[0.5 , 0.75],
           [0.5 , 0.25]]), array([0.2, 0.4]))
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
