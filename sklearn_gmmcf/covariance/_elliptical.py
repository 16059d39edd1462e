# SPDX-License-Identifier: BSD-3-Clause
"""Elliptical components: the distance of a row decides its density and its weight.

A component whose density depends on the squared Mahalanobis distance alone is a
location, a scale matrix and a `Law` of the distance. The families of `Elliptical`
measure distances and take moments; the law turns distances into densities, and into
weights of the rows in the moments. The Gaussian law weighs all rows alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._entry_parts import EntryParts, explain_regressions
from sklearn_gmmcf.covariance._family import (
    LOG_2_PI,
    Family,
    ParametersT,
    StatisticsT,
    draw_entries,
    draw_labels,
    log_weights,
    to_responsibilities,
)
from sklearn_gmmcf.data import Block


class Measures(NamedTuple):
    """The observed entries of rows, as each component sees them."""

    distances: Array  # (K, n), squared Mahalanobis distances
    log_dets: Array  # (K, n), log-determinants of their scale matrices
    counts: Array  # (n,), how many there are


@dataclass(frozen=True, eq=False)
class Law(ABC):
    """How probable distances are in each component."""

    weights: Array  # (K,)

    @abstractmethod
    def log_joint(self, measures: Measures) -> Array:
        """Log of weight times density, (K, n), writable."""

    @abstractmethod
    def row_weights(self, measures: Measures) -> Array:
        """Weights of the rows in moments, (K, n)."""

    @abstractmethod
    def draw_stretch(
        self, measures: Measures, labels: Array, rng: np.random.RandomState
    ) -> Array:
        """Factors (n_draws, n) of conditional deviations, for drawn components."""


@dataclass(frozen=True, eq=False)
class GaussianLaw(Law):
    def log_joint(self, measures: Measures) -> Array:
        distances, log_dets, counts = measures
        log_joint = -0.5 * (counts * LOG_2_PI + log_dets + distances)
        log_joint += log_weights(self.weights)[:, None]
        return log_joint

    def row_weights(self, measures: Measures) -> Array:
        return np.broadcast_to(1.0, measures.distances.shape)

    def draw_stretch(
        self, measures: Measures, labels: Array, rng: np.random.RandomState
    ) -> Array:
        return np.broadcast_to(1.0, labels.shape)


class Posterior:
    """What a law says of the rows of a block, asked for some of them at a time."""

    def __init__(self, law: Law, block: Block) -> None:
        self.law = law
        self.log_likelihood = 0.0
        self._weights = block.weights
        shape = len(law.weights), len(block.weights)
        self.responsibilities = np.empty(shape)  # times the weights of the rows
        self.row_weights = np.empty(shape)  # by the law

    @property
    def weighted(self) -> Array:
        """Responsibilities times the weights of the law."""
        return self.responsibilities * self.row_weights

    def ask(self, rows: Any, measures: Measures) -> tuple[Array, Array]:
        """Responsibilities and weighted ones of some rows, both (K, m)."""
        shares = self.law.log_joint(measures)
        log_density = to_responsibilities(shares)
        weights = self._weights[rows]
        self.log_likelihood += float(weights @ log_density)
        shares *= weights
        self.responsibilities[:, rows] = shares
        row_weights = self.law.row_weights(measures)
        self.row_weights[:, rows] = row_weights
        return shares, shares * row_weights


class Elliptical(Family[ParametersT, StatisticsT]):
    """A family that measures distances, and may give rows any weights.

    Its own components are Gaussian. `Student` wraps it for heavier tails.
    """

    @abstractmethod
    def measure(self, parameters: ParametersT, block: Block) -> Measures:
        """Distances and log-determinants of the rows."""

    def measure_entries(
        self,
        parameters: ParametersT,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Measures, Array, Any]:
        """Measures of the rows, and `conditional` of their entries.

        Measures need to be right only for the rows of the entries, and variances may be
        None where none are asked for.
        """
        measures = self.measure(parameters, block)
        return measures, *self.conditional(parameters, block, rows, columns)

    def slopes(
        self, parameters: ParametersT, given: Array, free: Array
    ) -> Array | None:
        """Slopes (K, q, p) or (1, q, p) of free columns (q,) on given ones (p,).

        The default is for entries that are uncorrelated given the component.
        """
        return None

    def explain_entries(
        self,
        parameters: Any,
        block: Block,
        rows: Array,
        columns: Array,
        shares: Array,
    ) -> EntryParts:
        slopes, means = partial(self.slopes, parameters), parameters.means
        return explain_regressions(slopes, means, block, rows, columns, shares)

    @abstractmethod
    def accumulate_weighted(
        self, parameters: ParametersT, block: Block, posterior: Posterior
    ) -> StatisticsT:
        """Statistics of a block under weighted responsibilities.

        Conditional covariances of missing entries count by responsibilities alone.
        """

    @abstractmethod
    def maximize_weighted(
        self, statistics: StatisticsT, totals: StatisticsT, parameters: ParametersT
    ) -> ParametersT:
        """M-step from weighted statistics.

        Component weights and scale matrices divide by the `totals`: sizes and counts of
        the same rows under responsibilities alone.
        """

    def draw_weighted(
        self,
        law: Law,
        parameters: ParametersT,
        n_draws: int,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        """Draws (n_draws, m) of missing entries under a law.

        The default is for entries that are uncorrelated given the component.
        """
        measures, means, variances = self.measure_entries(
            parameters, block, rows, columns
        )
        shares = law.log_joint(measures)
        to_responsibilities(shares)
        labels = draw_labels(shares, n_draws, rng)
        stretch = law.draw_stretch(measures, labels, rng)[:, rows]
        labels = labels[:, rows]
        return draw_entries(labels, means, variances, rng, stretch)
