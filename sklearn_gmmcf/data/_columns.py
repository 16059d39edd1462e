"""Centers and units of the columns, learned from their observed entries."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Columns:
    """Where the columns lie, in which units, and which have ever been observed."""

    center: Array  # (d,), subtracted from the values before all computations
    known: Array  # (d,), bool
    variances: Array  # (d,), of the observed entries about their mean; 0 of none
    units: Array  # (d,), standard deviations, shrunk where they rest on few entries


@dataclass(frozen=True, eq=False)
class ColumnTotals:
    """Weights, means and squared deviations of the observed entries of columns."""

    counts: Array  # (d,)
    means: Array  # (d,), 0 without entries
    squares: Array  # (d,), weighted sums of squares about the means

    def __add__(self, other: ColumnTotals) -> ColumnTotals:
        """The totals of the rows of both (Chan, Golub and LeVeque 1983)."""
        counts = self.counts + other.counts
        shares = np.divide(
            other.counts, counts, out=np.zeros_like(counts), where=counts > 0
        )
        gaps = other.means - self.means
        squares = self.squares + other.squares + gaps**2 * shares * self.counts
        return ColumnTotals(counts, self.means + gaps * shares, squares)


def learn_columns(
    totals: ColumnTotals, earlier: Columns | None, anchored: bool
) -> Columns:
    """Centers are the means of the columns' observed entries.

    An unknown column gets the mean of all observed entries.

    Parameters
    ----------
    earlier : Columns or None
        The columns of a fit that is continued: they stand in for columns that the data
        do not observe.
    anchored : bool
        Columns known earlier stay as they are, so that statistics about them add up.
    """
    counts, known = totals.counts, totals.counts > 0
    # Equal values leave the rounding error of their mean.
    squares = np.where(
        totals.squares > counts * (_ROUNDING * totals.means) ** 2, totals.squares, 0.0
    )
    variances = np.divide(squares, counts, out=np.zeros_like(counts), where=known)
    overall = np.average(totals.means, weights=counts) if known.any() else 0.0
    center = np.where(known, totals.means, overall)
    units = learn_units(counts, squares)
    if earlier is not None:
        kept = earlier.known if anchored else earlier.known & ~known
        if anchored:
            kept = kept | ~known
        center, variances, units = (
            np.where(kept, before, now)
            for before, now in (
                (earlier.center, center),
                (earlier.variances, variances),
                (earlier.units, units),
            )
        )
        known = known | earlier.known
    return Columns(center, known, variances, units)


def learn_units(counts: Array, squares: Array) -> Array:
    """Standard deviations of the columns, shrunk to their geometric mean.

    The logarithm of a column's deviation is shrunk by empirical Bayes: its sampling
    variance is known, and the variance among columns is estimated from all of them
    (DerSimonian and Laird 1986). So columns of one unit lend each other strength, as
    ratings need it, and a column in another unit keeps its own.
    """
    usable = (counts > 1) & (squares > 0)
    if not usable.any():  # weights may be small, or all values equal
        pooled = squares.sum() / counts.sum() if squares.any() else 1.0
        return np.full(len(counts), np.sqrt(pooled))
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
