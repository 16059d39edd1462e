# SPDX-License-Identifier: BSD-3-Clause
"""Candidates race: the ones that cannot win any more leave early.

Candidates that are judged on the fitted rows race over passes of EM, candidates that
are judged on held-out samples race over folds. A lower loss is better.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._sklearn import InvalidParameterError
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._warnings import DataWarning
from sklearn_gmmcf.covariance._reviews import MIN_MULTIPLE

# Passes of the first round; each further round doubles them.
_FIRST_PASSES = 10
# A run leaves if this many times its gain over the last doubling of its passes would
# still leave it behind the best. Where each doubling gains half as much as the one
# before, all gains to come add up to the last one.
_OPTIMISM = 2.0
# A candidate leaves if its held-out loss exceeds the lowest by this many standard
# errors of their paired difference.
_MAX_STANDARD_ERRORS = 3.0


@dataclass(frozen=True, eq=False)
class Run:
    """A candidate, as far as it has come."""

    params: dict[str, Any]
    mixture: MaskedGaussianMixture | None = None  # as far as it is fitted
    losses: tuple[Any, ...] = ()  # after each round
    n_iter: int = 0
    converged: bool = False
    dropped: bool = False
    # Whether `reg_covar` decides variances, so that they say nothing of the data.
    degenerate: bool = False
    seconds: float = 0.0
    error: ValueError | None = None


class Race(Protocol):
    """What the rounds of a race are, and who leaves it."""

    def rounds(self) -> Sequence[Any]:
        """What each round does."""

    def advance(self, task: Any, run: Run) -> Run:
        """A run after a round."""

    def find_losers(self, runs: Sequence[Run]) -> list[bool]:
        """Whether each run leaves before the next round."""


def run_race(
    race: Race,
    candidates: Sequence[dict[str, Any]],
    n_jobs: int | None,
    report: Callable[[str], None],
) -> list[Run]:
    """Run all candidates as far as they come, in their order."""
    runs = [Run(params) for params in candidates]
    rounds = race.rounds()
    for number, task in enumerate(rounds, start=1):
        going = [
            index
            for index, run in enumerate(runs)
            if not (run.converged or run.dropped or run.error)
        ]
        if not going:
            break
        work = delayed(partial(_advance, race, task))
        advanced = Parallel(n_jobs=n_jobs)(work(runs[index]) for index in going)
        for index, run in zip(going, advanced, strict=True):
            runs[index] = run
        report(f"Round {number}: {len(going)} runs.")
        if number < len(rounds):
            standing = [i for i, run in enumerate(runs) if not run.error]
            standing = [i for i in standing if not runs[i].dropped]
            losers = race.find_losers([runs[index] for index in standing])
            for index, loses in zip(standing, losers, strict=True):
                runs[index] = replace(runs[index], dropped=loses)
    return runs


def _advance(race: Race, task: Any, run: Run) -> Run:
    """The run after a round, or with the error that ended it, and its time."""
    began = perf_counter()
    try:
        with warnings.catch_warnings():
            # The chosen candidate is fitted again, and then warns.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", DataWarning)
            advanced = race.advance(task, run)
    except InvalidParameterError:
        raise
    except ValueError as error:
        advanced = replace(run, error=error)
    return replace(advanced, seconds=run.seconds + perf_counter() - began)


@dataclass(frozen=True)
class PassRace:
    """Race over passes of EM; the loss is a criterion on the fitted rows.

    A candidate is one start, so that starts race as well.
    """

    estimator: MaskedGaussianMixture
    X: Any
    criterion: Callable[[MaskedGaussianMixture, Any], float]
    exhaustive: bool

    def rounds(self) -> list[int]:
        """Numbers of passes that the runs of each round reach."""
        n_passes, max_iter = _FIRST_PASSES, self.estimator.max_iter
        reached = []
        while n_passes < max_iter and not self.exhaustive:
            reached.append(n_passes)
            n_passes *= 2
        return [*reached, max_iter]

    def advance(self, task: int, run: Run) -> Run:
        """The run after `task` passes in all, unless it converges before."""
        if run.mixture is None:
            mixture = clone(self.estimator).set_params(**run.params)
            mixture.set_params(n_init=1, warm_start=False, max_iter=task)
        else:
            mixture = run.mixture
            mixture.set_params(warm_start=True, max_iter=task - run.n_iter)
        mixture.fit(self.X)
        return replace(
            run,
            mixture=mixture,
            degenerate=_is_degenerate(mixture),
            losses=(*run.losses, float(self.criterion(mixture, self.X))),
            n_iter=run.n_iter + mixture.n_iter_,
            converged=mixture.converged_,
        )

    def find_losers(self, runs: Sequence[Run]) -> list[bool]:
        """Runs that would stay behind the best even by the gains to be hoped for."""
        sound = [run for run in runs if not run.degenerate] or runs
        best = min((run.losses[-1] for run in sound), default=np.inf)
        return [
            not run.converged
            and len(run.losses) > 1
            and run.losses[-1] - _hope_for(*run.losses[-2:]) > best
            for run in runs
        ]


def _is_degenerate(mixture: MaskedGaussianMixture) -> bool:
    """Whether `reg_covar` decides how flat a component is, and so its likelihood."""
    kind, limit = mixture.covariance_type, MIN_MULTIPLE * mixture.reg_covar
    if not isinstance(kind, str) or kind == "factor":
        return False
    spreads = mixture.covariances_
    spreads = spreads[None] if kind == "tied" else spreads[mixture.weights_ > 0]
    if kind in ("tied", "full"):
        spreads = np.linalg.eigvalsh(spreads)
    return bool(spreads.min() < limit)


def _hope_for(before: float, after: float) -> float:
    """How much a loss may yet fall that fell like this over the last doubling."""
    return _OPTIMISM * max(before - after, 0.0)


@dataclass(frozen=True)
class FoldRace:
    """Race over folds; losses (m,) are the ones of the held-out samples of a fold."""

    estimator: MaskedGaussianMixture
    n_init: int
    folds: Sequence[tuple[Array, Array]]
    # of an unfitted mixture, and indices of the samples to fit and to hold out
    measure: Callable[[MaskedGaussianMixture, Array, Array], Array]
    exhaustive: bool

    def rounds(self) -> Sequence[tuple[Array, Array]]:
        """Indices of the training samples and the held-out samples of each fold."""
        return self.folds

    def advance(self, task: tuple[Array, Array], run: Run) -> Run:
        """The run after one more fold."""
        mixture = clone(self.estimator).set_params(**run.params, n_init=self.n_init)
        return replace(run, losses=(*run.losses, self.measure(mixture, *task)))

    def find_losers(self, runs: Sequence[Run]) -> list[bool]:
        """Candidates that are significantly worse than the best one."""
        if self.exhaustive or not runs:
            return [False] * len(runs)
        losses = np.array([np.concatenate(run.losses) for run in runs])  # (runs, m)
        excess = losses - losses[np.argmin(losses.mean(axis=1))]
        errors = excess.std(axis=1) / np.sqrt(losses.shape[1])
        return (excess.mean(axis=1) > _MAX_STANDARD_ERRORS * errors).tolist()
