# SPDX-License-Identifier: BSD-3-Clause
"""Progress of a fit: messages, and the callbacks of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any


class Progress:
    """Report a fit to scikit-learn's callbacks as runs and their iterations."""

    def __init__(self, estimator: Any, X: Any, n_runs: int, max_iter: int) -> None:
        self.task_data = {"estimator": estimator, "X": X}
        self.max_iter = max_iter
        self.fit = estimator._init_callback_context(max_subtasks=n_runs)
        self.fit.call_on_fit_task_begin(**self.task_data)

    def begin(self) -> None:
        """Begin a run."""
        self.run = self.fit.subcontext(task_name="run", max_subtasks=self.max_iter)
        self.run.call_on_fit_task_begin(**self.task_data)

    def iterate(self, attributes: Callable[[], dict[str, Any]] | None = None) -> bool:
        """Report an iteration, and return whether a callback stops the run.

        `attributes` returns the fitted attributes that the estimator would have if this
        iteration were the last.
        """
        task = self.run.subcontext(task_name="iteration")
        data = self.task_data | {"reconstruction_attributes": attributes}
        task.call_on_fit_task_begin(**data)
        return bool(task.call_on_fit_task_end(**data))

    def end(self) -> None:
        """End a run."""
        self.run.call_on_fit_task_end(**self.task_data)

    def step(self) -> None:
        """Report a run as a whole, of one iteration."""
        self.begin()
        self.iterate()
        self.end()

    def close(self) -> None:
        """End the fit."""
        self.fit.call_on_fit_task_end(**self.task_data)


class Messages:
    """Print progress in the format of GaussianMixture; verbose=2 adds timings."""

    def __init__(self, verbose: int, interval: int) -> None:
        self.verbose, self.interval = int(verbose), interval

    def begin(self, run: int) -> None:
        """Print the number of a run."""
        self.began = self.last = perf_counter()
        self._write(f"Initialization {run}")

    def iterate(self, n_iter: int, change: float) -> None:
        """Print every `interval`-th iteration."""
        if n_iter % self.interval == 0:
            now = perf_counter()
            lapse, self.last = now - self.last, now
            details = f"\t time lapse {lapse:.5f}s\t ll change {change:.5f}"
            self._write(f"  Iteration {n_iter}", details)

    def end(self, converged: bool, bound: float) -> None:
        """Print the outcome of a run."""
        outcome = "converged" if converged else "did not converge"
        lapse = perf_counter() - self.began
        details = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}."
        self._write(f"Initialization {outcome}.", details)

    def _write(self, message: str, details: str = "") -> None:
        if self.verbose > 0:
            print(message + (details if self.verbose > 1 else ""))
