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
    lower_bounds: list[float]  # of each E-step
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
    """Iterate E- and M-step until the objective changes by less than ``tol`` a row.

    ``lower_bound`` is that of an earlier run that this one continues.
    """
    lower_bounds: list[float] = []
    for _ in range(max_iter):
        statistics = total(family.accumulate(parameters, block) for block in data)
        objective = statistics.log_likelihood + family.log_prior(parameters)
        previous, lower_bound = lower_bound, objective / statistics.weight
        lower_bounds.append(lower_bound)
        parameters = family.maximize(statistics, parameters)
        if abs(lower_bound - previous) < tol:
            return EMResult(parameters, lower_bound, lower_bounds, converged=True)
    return EMResult(parameters, lower_bound, lower_bounds, converged=False)
