"""The face of a family of covariances, and what families share.

A family is a frozen set of options; its methods are pure functions of parameters and
blocks. E-step and M-step meet only through additive `Statistics`::

    statistics = sum of family.accumulate(parameters, block) over the blocks
    parameters = family.maximize(statistics, parameters)

All values are centered by the columns' observed means, so 0 is the mean of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import numpy as np

from sklearn_gmmcf._observed import Block, Columns, Observed
from sklearn_gmmcf._typing import Array, Responsibilities

# Sums of responsibilities up to this hold nothing that could be divided by.
NEGLIGIBLE = 1e-290


# Metadata of a field of statistics that is the same for all blocks, and not added.
SHARED = {"shared": True}


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows: ``a + b`` are the statistics of the rows of both."""

    log_likelihood: float
    weight: float

    @property
    def size(self) -> float:
        """What the objective is divided by when its change is compared with tol."""
        return self.weight

    def __add__(self, other: Self) -> Self:
        sums = {
            f.name: getattr(self, f.name)
            if f.metadata.get("shared")
            else getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
        }
        return type(self)(**sums)

    def scaled(self, factor: float) -> Self:
        """The statistics of the same rows at this many times their weights."""
        products = {
            f.name: getattr(self, f.name)
            if f.metadata.get("shared")
            else getattr(self, f.name) * factor
            for f in fields(self)
        }
        return type(self)(**products)

    def aligned(self, other: Self) -> Self:
        """The same with what is shared taken from others, to which it can be added."""
        return self


@dataclass(frozen=True)
class Given:
    """What the user gave of a start; None is left to the responsibilities."""

    weights: Array | None = None  # (K,)
    means: Array | None = None  # (K, d), in the units of the data
    precisions: Array | None = None  # as precisions_ of the family

    def centered_means(self, columns: Columns) -> Array:
        """The means in the units of a family; unknown columns have none to give."""
        return np.where(columns.known, self.means - columns.center, 0.0)

    @property
    def is_whole(self) -> bool:
        return not any(getattr(self, f.name) is None for f in fields(self))


# First responsibilities of the rows of a table: of the data, or of what says more.
Divide = Callable[[Observed], Responsibilities]


class Family(Protocol):
    """What the loop and the estimators ask of a family.

    K components, d columns; a block has n rows.
    """

    groups_rows: bool  # whether it asks blocks for their rows and patterns
    most_rows: int | None  # of a block, if it works on many rows at once
    given_names: tuple[str, ...]  # which fields of `Given` it can start from
    unused_options: tuple[str, ...]  # options of the estimator that it ignores
    unknown_columns: str  # what it completes unknown columns with

    def start(
        self,
        data: Observed,
        n_components: int,
        divide: Divide,
        given: Given,
    ) -> Any:
        """First parameters: what is given, the rest from the rows divided by type."""

    def check_precisions(
        self, precisions: Array, n_components: int, n_columns: int
    ) -> None:
        """Refuse ``precisions_init`` of a wrong shape or not positive."""

    def recenter(self, parameters: Any, old: Columns, new: Columns) -> Any:
        """The same model for data centered elsewhere.

        Columns may have been observed for the first time.
        """

    def for_streams(self) -> Family:
        """The family for rows that come in batches."""

    def welcome(self, statistics: Any, parameters: Any, arrived: Array) -> Any:
        """Statistics that can be learned from for columns (d,) without any so far."""

    def log_joint(self, parameters: Any, block: Block) -> Array:
        """Log of weight times density of the observed entries, (K, n)."""

    def accumulate(self, parameters: Any, block: Block) -> Any:
        """E-step of a block: its `Statistics`."""

    def maximize(self, statistics: Any, parameters: Any) -> Any:
        """M-step: new parameters."""

    def step_back(self, parameters: Any) -> Any | None:
        """What to go on from if these parameters lowered the objective.

        None if the M-step cannot lower it.
        """

    def log_prior(self, parameters: Any) -> float:
        """What the objective has beside the log-likelihood."""

    def complete_rows(
        self, parameters: Any, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        """Conditional means and variances of all entries of a block, (n, d)."""

    def complete_entries(
        self,
        parameters: Any,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        """The same at some entries, rows counted from the block's first, (m,)."""

    def log_density_entries(
        self,
        parameters: Any,
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> Array:
        """Log-densities of values in some holes given the observed, (m,)."""

    def draw_shared(
        self, parameters: Any, n_draws: int, rng: np.random.RandomState
    ) -> Any:
        """What all rows of a draw share, one for each draw."""

    def draw(
        self,
        parameters: Any,
        shared: Any,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        """Draws of some missing entries given the observed, (n_draws, m)."""

    def sample(
        self, parameters: Any, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        """Rows drawn from each component, (sizes[k], d) each."""

    def covariance(self, parameters: Any, component: int, columns: Array) -> Array:
        """Covariance matrix of some columns (p,) of a component's rows, (p, p)."""

    def n_parameters(self, parameters: Any, n_columns: int) -> int:
        """Free parameters, of which those of never observed columns are none."""

    def attributes(self, parameters: Any, columns: Columns) -> dict[str, Any]:
        """Fitted attributes by name, in the units of the data."""


def to_responsibilities(log_joint: Array) -> Array:
    """Turn a log joint density (K, n) into responsibilities, in place.

    Returns
    -------
    log_density : ndarray of shape (n,)
        Log-density of each row.
    """
    peak = log_joint.max(axis=0)
    log_joint -= peak
    np.exp(log_joint, out=log_joint)
    scale = log_joint.sum(axis=0)
    log_joint /= scale
    return peak + np.log(scale)


def chunks(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most ``size``."""
    return (slice(start, start + size) for start in range(0, length, size))


def draw_labels(
    responsibilities: Array, n_draws: int, rng: np.random.RandomState
) -> Array:
    """Components (n_draws, n) drawn by responsibilities (K, n)."""
    cumulative = np.cumsum(responsibilities, axis=0)
    drawn = rng.uniform(size=(n_draws, cumulative.shape[1])) * cumulative[-1]
    labels = (drawn[:, None] >= cumulative[:-1]).sum(axis=1)
    return labels


def log_weights(weights: Array) -> Array:
    """Logarithms of weights, of which some may be 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


def log_normal(residuals: Array, variances: Array) -> Array:
    """Log-density of residuals from the mean of a Gaussian."""
    return -0.5 * (residuals**2 / variances + np.log(2 * np.pi * variances))


def check_shape(name: str, value: Array, shape: tuple[int, ...]) -> None:
    """Refuse a parameter of another shape."""
    if value.shape != shape:
        raise ValueError(
            f"{name} should have the shape {shape}, but got {value.shape}."
        )
