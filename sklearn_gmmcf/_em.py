"""The EM loop. It knows no family, no storage and no estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sklearn_gmmcf.covariance import Family
from sklearn_gmmcf.data import Blocks

# The exponent of stepwise EM: from 0.5, which forgets the most, to 1 (Liang and Klein
# 2009).
_FORGETTING = 0.8


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


@dataclass(frozen=True, eq=False)
class RunningStatistics:
    """Statistics over all batches, discounted to count as `statistics.weight` rows."""

    statistics: Any
    n_batches: int | None  # None: the rows of a fit, of which none is forgotten

    def add(self, batch: Any) -> RunningStatistics:
        """Add the statistics of a batch (stepwise EM).

        A batch of b rows enters the mean over N rows with the weight b / (N + b), or
        (t + 2)^-0.8 after t batches if that is more, so that statistics of the first
        rows under the first parameters are forgotten. But it replaces no more rows than
        it has.
        """
        rows, n_rows = batch.weight, self.statistics.weight
        n_together, n_batches = n_rows + rows, None
        if self.n_batches is not None:
            floor = (self.n_batches + 2) ** -_FORGETTING
            n_together = max(min(n_together, rows / floor), n_rows)
            n_batches = self.n_batches + 1
        kept = self.statistics.aligned(batch).scaled((n_together - rows) / n_rows)
        return RunningStatistics(kept + batch, n_batches)


def run_em(
    family: Family[Any, Any],
    parameters: Any,
    data: Blocks,
    *,
    max_iter: int,
    tol: float,
    lower_bound: float = -np.inf,
    earlier: Any = None,
    watch: Callable[[int, float, Any], bool] | None = None,
) -> EMResult:
    """Iterate E- and M-step until the objective changes by less than ``tol``.

    `tol` is compared with the change per row (for 'factor' per observed entry, over
    three passes). If the objective decreased, the family may undo its last step; the
    loop continues from there.

    ``lower_bound`` is the bound of an earlier run that this one continues, and
    ``earlier`` its last statistics, if it was on the same data. ``watch`` is called
    with the number of each iteration, the change, and the new parameters; it ends the
    run by returning True.
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
            accepted = statistics
            result = family.maximize(statistics, parameters)
            parameters = family.accelerate(statistics, result)
            judged = lower_bound - bounds[-family.n_judged_passes - 1 :][0]
            converged = abs(judged) < tol * (statistics.size / statistics.weight)
        stopped = watch is not None and watch(n_iter, change, result)
        if converged or stopped:
            return EMResult(
                result, lower_bound, bounds[1:], n_iter, converged, accepted
            )
    return EMResult(result, lower_bound, bounds[1:], max_iter, False, accepted)
