"""What a fit tells of itself: messages, and the callbacks of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any


class Progress:
    """A fit as tasks of scikit-learn's callbacks: runs, and their iterations."""

    def __init__(self, estimator: Any, X: Any, n_runs: int, max_iter: int) -> None:
        self.of_task = {"estimator": estimator, "X": X}
        self.max_iter = max_iter
        self.fit = estimator._init_callback_context(max_subtasks=n_runs)
        self.fit.call_on_fit_task_begin(**self.of_task)

    def begin(self) -> None:
        """Begin a run."""
        self.run = self.fit.subcontext(task_name="run", max_subtasks=self.max_iter)
        self.run.call_on_fit_task_begin(**self.of_task)

    def iterate(self, attributes: Callable[[], dict[str, Any]] | None = None) -> bool:
        """Tell of an iteration; whether a callback stops the run.

        With `attributes` the estimator would be fitted if it were the last.
        """
        task = self.run.subcontext(task_name="iteration")
        of_task = self.of_task | {"reconstruction_attributes": attributes}
        task.call_on_fit_task_begin(**of_task)
        return bool(task.call_on_fit_task_end(**of_task))

    def end(self) -> None:
        """End a run."""
        self.run.call_on_fit_task_end(**self.of_task)

    def close(self) -> None:
        """End the fit."""
        self.fit.call_on_fit_task_end(**self.of_task)


class Messages:
    """Those of GaussianMixture: the steps of a run, with times from verbose=2 on."""

    def __init__(self, verbose: int, interval: int) -> None:
        self.verbose, self.interval = int(verbose), interval

    def begin(self, run: int) -> None:
        self.began = self.last = perf_counter()
        self._write(f"Initialization {run}")

    def iterate(self, n_iter: int, change: float) -> None:
        if n_iter % self.interval == 0:
            now = perf_counter()
            lapse, self.last = now - self.last, now
            details = f"\t time lapse {lapse:.5f}s\t ll change {change:.5f}"
            self._write(f"  Iteration {n_iter}", details)

    def end(self, converged: bool, bound: float) -> None:
        outcome = "converged" if converged else "did not converge"
        lapse = perf_counter() - self.began
        details = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}."
        self._write(f"Initialization {outcome}.", details)

    def _write(self, message: str, details: str = "") -> None:
        if self.verbose > 0:
            print(message + (details if self.verbose > 1 else ""))
