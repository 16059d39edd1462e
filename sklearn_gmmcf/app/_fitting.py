# SPDX-License-Identifier: BSD-3-Clause
"""Fits that visitors wait for: a bar that moves, and an end."""

from __future__ import annotations

from time import monotonic
from typing import Any

import streamlit as st

from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._messages import Refusal


class FitBar:
    """A callback of scikit-learn that moves a bar of Streamlit, and ends long fits.

    Parameters
    ----------
    max_iter : int
        Number of iterations at which the bar is full.

    advice : str
        What a visitor may change if the fit takes too long.
    """

    def __init__(self, max_iter: int, advice: str) -> None:
        self.max_iter, self.advice = max_iter, advice

    def setup(self, estimator: Any, context: Any) -> None:
        """Show the bar."""
        self.n_iter, self.bar = 0, st.progress(0.0, "Looking for a start")
        self.end = monotonic() + _limits.MAX_SECONDS

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; scikit-learn asks for it."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Move the bar after an iteration, and raise an error when the time is over."""
        if context.task_name == "iteration":
            self.n_iter += 1
            text = f"Step {self.n_iter} of at most {self.max_iter}"
            self.bar.progress(min(self.n_iter / self.max_iter, 1.0), text)
        if monotonic() > self.end:
            raise Refusal(
                f"The fit was stopped after {_limits.MAX_SECONDS} seconds. "
                f"{self.advice}"
            )

    def teardown(self, estimator: Any, context: Any) -> None:
        """Take the bar away."""
        self.bar.empty()
