# SPDX-License-Identifier: BSD-3-Clause
"""The EM loop. It knows no family, no storage and no estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import Family
from sklearn_gmmcf.covariance._least_sums import find_least
from sklearn_gmmcf.data import Blocks

# The exponent of stepwise EM: from 0.5, which forgets the most, to 1 (Liang and Klein
# 2009).
_FORGETTING = 0.8
# Share of the rows that an M-step of all columns waits for, at most.
_MAX_WAITING_ROWS = 0.25
# Counts and sums of squares below 0 by more than these shares, of all rows and of the
# rows taken out, are no rounding errors, in single precision either.
_ROUNDING = 1e-6
_ROUNDING_REMOVED = 1e-4


class StartHistory(NamedTuple):
    """What a fit keeps of each start."""

    converged: bool
    n_iter: int
    lower_bounds: list[float]  # of each E-step that the run went on from


@dataclass(frozen=True, eq=False)
class EMResult:
    """Where a run of EM ended."""

    parameters: Any
    lower_bound: float  # of the last E-step, per row
    lower_bounds: list[float]  # of each E-step that the run went on from
    n_iter: int
    converged: bool
    statistics: Any  # of the last E-step that it went on from; None without any
    reference: Any  # the parameters of that E-step


@dataclass(frozen=True, eq=False)
class RunningStatistics:
    """Statistics over all batches, discounted to count as `statistics.weight` rows."""

    statistics: Any
    n_batches: int | None  # None: the rows of a fit, of which none is forgotten
    # Of the batches since the last M-step of all columns: how many columns they
    # observed, added up, and the weight of their rows.
    n_columns: int = 0
    n_rows: float = 0.0
    # The parameters under which the sums over all rows were made; None if these were
    # several, or sums were discounted.
    reference: Any = None
    # Whether further rows are summed up under these, so that rows can be taken out.
    is_exact: bool = False

    def add(self, batch: Any) -> RunningStatistics:
        """Add the statistics of a batch (stepwise EM)."""
        kept = self.statistics.aligned(batch).scaled(self.discount(batch.weight))
        return RunningStatistics(kept + batch, self._count_batch())

    def discount(self, rows: float) -> float:
        """What the sums are multiplied by when a batch of these rows is added.

        A batch of b rows enters the mean over N rows with the weight b / (N + b), or
        (t + 2)^-0.8 after t batches if that is more, so that statistics of the first
        rows under the first parameters are forgotten. But it replaces no more rows than
        it has.
        """
        if self.n_batches is None:
            return 1.0
        n_rows = self.statistics.weight
        floor = (self.n_batches + 2) ** -_FORGETTING
        n_together = max(min(n_rows + rows, rows / floor), n_rows)
        return (n_together - rows) / n_rows

    def can_wait(self, n_columns: int, n_rows: float, d: int) -> bool:
        """Whether the M-step of all d columns can wait until after this batch."""
        is_soon = self.n_rows + n_rows < _MAX_WAITING_ROWS * self.statistics.weight
        return is_soon and 0 < n_columns < d - self.n_columns

    def put_columns(
        self, columns: Array, few: RunningStatistics, rows: float
    ) -> RunningStatistics:
        """These sums with those of the few columns (m,) that a batch observed."""
        kept = self.statistics.scaled(self.discount(rows))
        return RunningStatistics(
            kept.put_columns(columns, few.statistics),
            few.n_batches,
            self.n_columns + len(columns),
            self.n_rows + rows,
        )

    def _count_batch(self) -> int | None:
        return None if self.n_batches is None else self.n_batches + 1


@dataclass(frozen=True, eq=False)
class BatchResult:
    """A mixture after a batch of rows."""

    parameters: Any
    learned: Any  # the parameters of those columns whose M-step was made
    running: RunningStatistics
    objective: float  # before the last M-step


def add_batch(
    family: Family[Any, Any],
    parameters: Any,
    data: Blocks,
    running: RunningStatistics | None,
) -> BatchResult:
    """Update parameters by a batch of rows, and by the sums before it, if any.

    Columns that the batch does not observe wait for an M-step of all columns, where the
    family bears it; see `RunningStatistics.can_wait`.
    """
    if running is None or not family.learns_few_columns:
        return _learn_batch(family, parameters, data, running)
    columns = np.union1d(data.observed_columns(), data.columns.covariates)
    n_rows = float(data.weights.sum())
    if not running.can_wait(len(columns), n_rows, data.shape[1]):
        return _learn_batch(family, parameters, data, running)
    few = _learn_batch(
        family,
        family.take_columns(parameters, columns),
        data.select(columns),
        replace(running, statistics=running.statistics.take_columns(columns)),
    )
    return replace(
        few,
        parameters=family.put_columns(parameters, columns, few.parameters),
        running=running.put_columns(columns, few.running, n_rows),
    )


def exchange_rows(
    family: Family[Any, Any],
    running: RunningStatistics,
    added: Blocks | None,
    removed: Blocks | None,
) -> BatchResult:
    """Put rows in the place of others in sums under reference parameters.

    The new parameters depend on the sums alone, and on the reference, not on the order
    in which rows came and went.
    """
    reference, statistics = running.reference, running.statistics
    if added is not None:
        sums = added.total(partial(family.accumulate, reference))
        statistics = statistics.aligned(sums) + sums
    if removed is not None:
        sums = removed.total(partial(family.accumulate, reference))
        statistics = statistics.aligned(sums) - sums
    if statistics.weight <= 0:
        raise ValueError(
            "No row is left: `replaces` takes out as many rows as the mixture has "
            "learned from. It should hold rows of X in fit or partial_fit."
        )
    if removed is not None:
        least = find_least(statistics, removed.columns.units)
        tolerance = _ROUNDING * running.statistics.weight
        if least < -(tolerance + _ROUNDING_REMOVED * sums.weight):
            raise ValueError(
                "`replaces` holds rows that were not learned: without them, counts or "
                "sums of squares would be negative. Pass rows as they were in fit or "
                "partial_fit, with the weights that they had as `replaced_weight`."
            )
    objective = statistics.log_likelihood + family.log_prior(reference)
    parameters = family.maximize(statistics, reference)
    kept = replace(running, statistics=statistics, is_exact=True)
    return BatchResult(parameters, parameters, kept, objective)


def _learn_batch(
    family: Family[Any, Any],
    parameters: Any,
    data: Blocks,
    running: RunningStatistics | None,
) -> BatchResult:
    for _ in range(family.n_batch_passes):
        batch = data.total(partial(family.accumulate, parameters))
        added = RunningStatistics(batch, 1) if running is None else running.add(batch)
        objective = added.statistics.log_likelihood + family.log_prior(parameters)
        parameters = family.maximize(added.statistics, parameters)
    return BatchResult(parameters, parameters, added, objective)


def run_em(
    family: Family[Any, Any],
    parameters: Any,
    data: Blocks,
    *,
    max_iter: int,
    tol: float,
    lower_bound: float = -np.inf,
    earlier: Any = None,
    reference: Any = None,
    watch: Callable[[int, float, Any], bool] | None = None,
) -> EMResult:
    """Iterate E- and M-step until the objective changes by less than ``tol``.

    `tol` is compared with the change per row (for 'factor' per observed entry, over
    three passes). If the objective decreased, the family may undo its last step; the
    loop continues from there.

    ``lower_bound`` is the bound of an earlier run that this one continues, and
    ``earlier`` its last statistics, made under ``reference``, if it was on the same
    data. ``watch`` is called with the number of each iteration, the change, and the new
    parameters; it ends the run by returning True.
    """
    bounds = [lower_bound]  # of an earlier run, then those that the run went on from
    accepted, result = earlier, parameters
    if earlier is not None:
        parameters = family.accelerate(earlier, parameters)
    for n_iter in range(1, max_iter + 1):
        statistics = data.total(partial(family.accumulate, parameters))
        objective = statistics.log_likelihood + family.log_prior(parameters)
        previous, lower_bound = lower_bound, objective / statistics.weight
        change = lower_bound - previous
        fallback = family.backtrack(parameters) if change < 0 else None
        if fallback is not None:
            # The result stays in step with the accepted statistics.
            parameters, result = fallback, family.backtrack(result)
            lower_bound, converged = previous, False
        else:
            bounds.append(lower_bound)
            accepted, reference = statistics, parameters
            result = family.maximize(statistics, parameters)
            parameters = family.accelerate(statistics, result)
            judged = lower_bound - bounds[-family.n_judged_passes - 1 :][0]
            converged = abs(judged) < tol * (statistics.size / statistics.weight)
        stopped = watch is not None and watch(n_iter, change, result)
        if converged or stopped:
            break
    else:
        n_iter, converged = max_iter, False
    return EMResult(
        result, lower_bound, bounds[1:], n_iter, converged, accepted, reference
    )
