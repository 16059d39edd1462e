# SPDX-License-Identifier: BSD-3-Clause
"""Runs of EM from several starts, of which the best is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sklearn_gmmcf._em import EMResult, run_em
from sklearn_gmmcf._model import Model
from sklearn_gmmcf._progress import Messages, Progress
from sklearn_gmmcf.covariance import Family
from sklearn_gmmcf.data import Blocks

# Relative difference of objectives that rounding makes.
_ROUNDING = 1e-10


class Runs:
    """Runs of EM, with their messages and callbacks."""

    def __init__(
        self,
        mixture: Any,
        family: Family[Any, Any],
        progress: Progress,
    ) -> None:
        self.mixture, self.family, self.progress = mixture, family, progress

    def search(
        self, data: Blocks, sample: Blocks, starts: list[Callable[[], Any]]
    ) -> tuple[list[EMResult], EMResult]:
        """Short runs on a sample, of which the best goes on with the data: all, and it.

        A run that fails gives way to the next best; the first error is raised if none
        is left.
        """
        n_short = min(self.family.n_trial_passes, self.mixture.max_iter)
        runs: dict[int, EMResult] = {}
        errors = []
        for number, start in enumerate(starts):
            try:
                runs[number] = self.run(sample, start, number, n_short)
            except ValueError as error:
                errors.append(error)
        while runs:
            number = list(runs)[find_best(list(runs.values()))]
            try:
                best = self._go_on(data, sample, runs[number], number)
            except ValueError as error:
                errors.append(error)
                del runs[number]
            else:
                return list((runs | {number: best}).values()), best
        raise errors[0]

    def _go_on(
        self, data: Blocks, sample: Blocks, short: EMResult, number: int
    ) -> EMResult:
        """A short run, continued until it converges."""
        max_iter = self.mixture.max_iter
        start = partial(_identity, short.parameters)
        if sample is not data:
            return self.run(data, start, number, max_iter)
        if short.converged or short.n_iter == max_iter:
            return short
        continued = {
            "lower_bound": short.lower_bound,
            "earlier": short.statistics,
            "reference": short.reference,
        }
        run = self.run(data, start, number, max_iter - short.n_iter, continued)
        return replace(
            run,
            lower_bounds=short.lower_bounds + run.lower_bounds,
            n_iter=short.n_iter + run.n_iter,
        )

    def run(
        self,
        data: Blocks,
        start: Callable[[], Any],
        number: int,
        max_iter: int,
        continued: dict[str, Any] | None = None,
    ) -> EMResult:
        """One run; ``continued`` tells `run_em` of an earlier run."""
        mixture, progress = self.mixture, self.progress
        messages = Messages(mixture.verbose, mixture.verbose_interval)

        def watch(n_iter: int, change: float, parameters: Any) -> bool:
            messages.iterate(n_iter, change)
            model = Model(self.family, parameters, data.columns)
            return progress.iterate(lambda: {"_model": model})

        progress.begin()
        messages.begin(number)
        try:
            run = run_em(
                self.family,
                start(),
                data,
                max_iter=max_iter,
                tol=mixture.tol,
                watch=watch,
                **(continued or {}),
            )
        except ValueError:
            progress.end()
            raise
        messages.end(run.converged, run.lower_bound)
        progress.end()
        return run


def find_best(runs: list[EMResult]) -> int:
    """The run of highest objective, the first of those equal but for rounding."""
    highest = max(run.lower_bound for run in runs)
    limit = highest - _ROUNDING * abs(highest)
    return next(i for i, run in enumerate(runs) if not run.lower_bound < limit)


def _identity(parameters: Any) -> Any:
    return parameters
