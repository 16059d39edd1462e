"""The EM loop. It knows no family, no storage and no estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_gmmcf._observed import Observed
from sklearn_gmmcf.covariance import Family, total


@dataclass(frozen=True, eq=False)
class EMResult:
    """Where a run of EM ended."""

    parameters: Any
    lower_bound: float  # of the last E-step, a row
    lower_bounds: list[float]  # of each E-step that the run went on from
    n_iter: int
    converged: bool


def run_em(
    family: Family,
    parameters: Any,
    data: Observed,
    *,
    max_iter: int,
    tol: float,
    lower_bound: float = -np.inf,
) -> EMResult:
    """Iterate E- and M-step until the objective changes by less than ``tol``.

    The change is that of a row, or of what else a family counts by. Where the objective
    fell, the loop goes on from what the family steps back to.

    ``lower_bound`` is that of an earlier run that this one continues.
    """
    lower_bounds: list[float] = []
    for n_iter in range(1, max_iter + 1):
        statistics = total(family.accumulate(parameters, block) for block in data)
        objective = statistics.log_likelihood + family.log_prior(parameters)
        previous, lower_bound = lower_bound, objective / statistics.weight
        change = lower_bound - previous
        steady = family.step_back(parameters) if change < 0 else None
        if steady is not None:
            parameters, lower_bound = steady, previous
            continue
        lower_bounds.append(lower_bound)
        parameters = family.maximize(statistics, parameters)
        if abs(change) < tol * (statistics.size / statistics.weight):
            return EMResult(parameters, lower_bound, lower_bounds, n_iter, True)
    return EMResult(parameters, lower_bound, lower_bounds, max_iter, False)
