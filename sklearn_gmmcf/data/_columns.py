# SPDX-License-Identifier: BSD-3-Clause
"""Centers and units of the columns, learned from their observed entries.

Covariates are columns that describe the row: they are read, but not modeled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sklearn_gmmcf._typing import Array

# Sampling variance of the logarithm of a standard deviation, times the degrees of
# freedom: five times the variance of normal entries, as entries have heavier tails and
# columns of one unit differ a little, too.
_SAMPLING_VARIANCE = 2.5
# Degrees of freedom that leave nothing to chance; squares of more might overflow.
_MAX_FREEDOM = 1e12
# A deviation this small relative to the mean is a rounding error.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


def no_covariates() -> Array:
    """The indices of no columns."""
    return np.empty(0, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Columns:
    """Where the columns lie, in which units, and which have ever been observed."""

    center: Array  # (d,), subtracted from the values before all computations
    known: Array  # (d,), bool; never of covariates
    variances: Array  # (d,), of the observed entries about their mean; 0 of none
    units: Array  # (d,), standard deviations, shrunk where they rest on few entries
    # (d,), kurtosis of the observed entries over 3, the normal kurtosis; at least 1
    tails: Array
    covariates: Array = field(default_factory=no_covariates)  # (p,), their indices
    # (q, d), what the user knows of the columns, NaN where missing
    features: Array | None = None
    # Center and unit of a column that no row observes.
    empty_center: float = 0.0
    empty_unit: float = 1.0

    @property
    def wide_units(self) -> Array:
        """Units that are wider where entries have heavier tails than normal ones.

        A rare value in a nearly constant column is no distance of many units.
        """
        return self.units * np.sqrt(self.tails)

    @property
    def modeled(self) -> Array:
        """Which columns are no covariates, (d,)."""
        modeled = np.ones(len(self.known), dtype=bool)
        modeled[self.covariates] = False
        return modeled

    def take(self, chosen: Array) -> Columns:
        """Some of the columns (m,), in ascending order, the covariates among them."""
        return replace(
            self,
            center=self.center[chosen],
            known=self.known[chosen],
            variances=self.variances[chosen],
            units=self.units[chosen],
            tails=self.tails[chosen],
            covariates=np.searchsorted(chosen, self.covariates),
            features=None if self.features is None else self.features[:, chosen],
        )

    def widen(self, n_new: int, features: Array | None) -> Columns:
        """The columns and new ones after them, with these features (q, n_new)."""
        known_features = self.features
        if known_features is not None:
            if features is None:
                features = np.full((len(known_features), n_new), np.nan)
            known_features = np.hstack([known_features, features])
        return replace(
            self,
            center=np.append(self.center, np.full(n_new, self.empty_center)),
            known=np.append(self.known, np.zeros(n_new, dtype=bool)),
            variances=np.append(self.variances, np.zeros(n_new)),
            units=np.append(self.units, np.full(n_new, self.empty_unit)),
            tails=np.append(self.tails, np.ones(n_new)),
            features=known_features,
        )

    def standardize(self, values: Array, observed: Array) -> Array:
        """Covariates (p, n) with mean 0 and variance 1, from raw values (n, p).

        Missing ones count as their mean, constant ones tell nothing.
        """
        scales = np.sqrt(self.variances[self.covariates])
        factors = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
        values = np.where(observed, values, self.center[self.covariates])
        return ((values - self.center[self.covariates]) * factors).T


@dataclass(frozen=True, eq=False)
class ColumnTotals:
    """Weights, means and squared deviations of the observed entries of columns."""

    counts: Array  # (d,)
    means: Array  # (d,), 0 without entries
    squares: Array  # (d,), weighted sums of squares about the means
    # (d,), of third and fourth powers in units of `find_spreads`, lest they overflow
    cubes: Array
    fourths: Array

    def __add__(self, other: ColumnTotals) -> ColumnTotals:
        """The totals of the rows of both (Chan, Golub and LeVeque 1983; Pebay 2008)."""
        counts = self.counts + other.counts
        b = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        a = 1 - b
        gaps = other.means - self.means
        means = self.means + gaps * b
        squares = self.squares + other.squares + gaps**2 * b * self.counts
        spreads = find_spreads(counts, squares)
        own, others = (
            np.where(each.squares > 0, find_spreads(each.counts, each.squares), 0.0)
            / spreads
            for each in (self, other)
        )
        gaps = gaps / spreads
        cubes = self.cubes * own**3 + other.cubes * others**3
        fourths = self.fourths * own**4 + other.fourths * others**4
        fourths += 4 * gaps * (a * other.cubes * others**3 - b * self.cubes * own**3)
        # Sums of squares, in these units.
        mine, theirs = (each.squares / spreads / spreads for each in (self, other))
        cubes += gaps**3 * b * self.counts * (a - b)
        cubes += 3 * gaps * (a * theirs - b * mine)
        fourths += gaps**4 * b * self.counts * (1 - 3 * a * b)
        fourths += 6 * gaps**2 * (a**2 * theirs + b**2 * mine)
        return ColumnTotals(counts, means, squares, cubes, fourths)


def find_spreads(counts: Array, squares: Array) -> Array:
    """Standard deviations of columns about their means; 1 of columns without."""
    usable = (counts > 0) & (squares > 0)
    variances = np.divide(squares, counts, out=np.ones_like(counts), where=usable)
    return np.sqrt(variances)


def learn_columns(
    totals: ColumnTotals,
    earlier: Columns | None,
    anchored: str | None,
    covariates: Array,
    features: Array | None,
) -> Columns:
    """Centers are the means of the columns' observed entries.

    An unknown column gets the mean of all observed entries.

    Parameters
    ----------
    earlier : Columns or None
        The columns of a fit that is continued: they stand in for columns that the data
        do not observe.
    anchored : {None, 'known', 'all'}
        'known': columns known earlier stay as they are, so that statistics about them
        add up; others have the unit of a column without entries, as few entries tell
        none. 'all': others have its center, too, so that it does not matter which rows
        are the first to show them.
    covariates, features
        See `Columns`; ``earlier`` brings its own.
    """
    if earlier is not None:
        covariates, features = earlier.covariates, earlier.features
    counts, found = totals.counts, totals.counts > 0
    modeled = counts.copy()
    modeled[covariates] = 0.0
    known = modeled > 0
    # Equal values leave the rounding error of their mean.
    squares = np.where(
        totals.squares > counts * (_ROUNDING * totals.means) ** 2, totals.squares, 0.0
    )
    variances = np.divide(squares, counts, out=np.zeros_like(counts), where=found)
    overall = np.average(totals.means, weights=modeled) if known.any() else 0.0
    center = np.where(found, totals.means, overall)
    # The last one is the unit of a column without entries.
    units = learn_units(np.append(modeled, 0.0), np.append(squares, 0.0))
    units, empty = units[:-1], (float(overall), float(units[-1]))
    tails = _learn_tails(modeled, squares, totals.fourths)
    if earlier is not None:
        kept = earlier.known if anchored else earlier.known & ~known
        if anchored:
            kept = kept | ~known
        kept[covariates] = True
        placed = kept | (anchored == "all")
        center, variances, units, tails = (
            np.where(stays, before, now)
            for stays, before, now in (
                (placed, earlier.center, center),
                (kept, earlier.variances, variances),
                (kept | bool(anchored), earlier.units, units),
                (placed, earlier.tails, tails),
            )
        )
        known = known | earlier.known
        if anchored:
            empty = earlier.empty_center, earlier.empty_unit
    return Columns(center, known, variances, units, tails, covariates, features, *empty)


def _learn_tails(counts: Array, squares: Array, fourths: Array) -> Array:
    """Kurtosis over the normal one, where it is more by four standard errors."""
    tails = np.ones(len(counts))
    usable = (counts > 0) & (squares > 0)
    n = counts[usable]
    kurtosis = fourths[usable] / n - 4 * np.sqrt(24 / n)
    tails[usable] = np.maximum(kurtosis / 3, 1.0)
    return tails


def learn_units(counts: Array, squares: Array) -> Array:
    """Standard deviations of the columns, shrunk to their geometric mean.

    The logarithm of a column's deviation is shrunk by empirical Bayes: its sampling
    variance is known, and the variance among columns is estimated from all of them
    (DerSimonian and Laird 1986). So columns of one unit lend each other strength, as
    ratings need it, and a column in another unit keeps its own.
    """
    usable = (counts > 1) & (squares > 0)
    if not usable.any():  # weights may be small, or all values equal
        varied = (squares > 0) & (counts > 0)
        units = np.ones(len(counts))
        units[varied] = np.sqrt(squares[varied] / counts[varied])
        units[~varied] = np.exp(np.log(units[varied]).mean()) if varied.any() else 1.0
        return units
    n = counts[usable] - 1
    logs = 0.5 * np.log(squares[usable] / n)
    n = np.minimum(n, _MAX_FREEDOM)
    sampling = _SAMPLING_VARIANCE / n
    weights = 1 / sampling
    mean = np.average(logs, weights=weights)
    excess = weights @ (logs - mean) ** 2 - (len(logs) - 1)
    scale = weights.sum() - weights @ weights / weights.sum()
    among = max(excess / scale, 0.0) if len(logs) > 1 else 0.0
    mean = np.average(logs, weights=1 / (among + sampling))
    units = np.full(len(counts), np.exp(mean))
    units[usable] = np.exp((among * logs + sampling * mean) / (among + sampling))
    return units
