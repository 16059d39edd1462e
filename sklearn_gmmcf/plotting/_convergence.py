# SPDX-License-Identifier: BSD-3-Clause
"""ConvergenceDisplay: the objective of each start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.plotting._common import (
    COLORS,
    describe_mixture,
    last_step,
    make_axes,
    make_style,
    require_pyplot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ConvergenceDisplay:
    """The objective of EM at each E-step, for each start.

    The line of the start that was kept is thick and ends in a star; lines of other
    starts are thin. A line of a start that did not reach `tol` is dashed and ends in a
    cross.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    lower_bounds : list of ndarray of shape (n_steps,)
        Objective of each start at each E-step (nats per row).

    converged : ndarray of shape (n_starts,) of bool
        Whether each start reached `tol`.

    best : int
        Index of the start that was kept.

    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure of the axes.

    lines_ : list of matplotlib Line2D
        The line of each start.

    ends_ : list of matplotlib Line2D
        The marker at the end of each line.

    See Also
    --------
    ModelSelectionDisplay : Criteria of fits with several seeds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.plotting import ConvergenceDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3)) + 3 * rng.integers(3, size=(100, 1))
    >>> mixture = MaskedGaussianMixture(
    ...     3, n_init=4, init_params="random_from_data", random_state=0
    ... )
    >>> display = ConvergenceDisplay.from_estimator(mixture.fit(X))
    >>> len(display.lines_)
    4
    """

    def __init__(
        self,
        *,
        lower_bounds: list[Array],
        converged: Array,
        best: int,
        name: str | None = None,
    ) -> None:
        self.lower_bounds = lower_bounds
        self.converged = converged
        self.best = best
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> ConvergenceDisplay:
        """Draw the objective of each start of a fit.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture`, or a Pipeline that ends in one.
        name : str, default=None
            Title. None takes the covariance type and K.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of all lines (matplotlib Line2D).

        Returns
        -------
        display : ConvergenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the estimator keeps no objectives (`KMeansMixture`, ``max_iter=0``).

        See Also
        --------
        ModelSelectionDisplay.from_estimators : Compare fits of different sizes.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.plotting import ConvergenceDisplay
        >>> X = [[1.0, 2.0], [1.5, None], [2.0, 2.0], [8.0, 9.0], [9.0, 9.0]]
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", n_init=3, random_state=0
        ... ).fit(X)
        >>> display = ConvergenceDisplay.from_estimator(mixture, name="three starts")
        >>> display.ax_.get_title()
        'three starts'
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture = last_step(estimator, caller)
        runs = getattr(mixture, "runs_", None)
        if runs is None:
            raise ValueError(
                f"{type(mixture).__name__} keeps no objective of its iterations; "
                "MaskedGaussianMixture does."
            )
        if not all(run.lower_bounds for run in runs):
            raise ValueError(
                "A start has no E-step to draw, as with max_iter=0. Increase max_iter "
                "and fit without warm_start."
            )
        # fit keeps the first of the starts with the highest objective.
        best = int(np.argmax([run.lower_bounds[-1] for run in runs]))
        display = cls(
            lower_bounds=[np.array(run.lower_bounds) for run in runs],
            converged=np.array([run.converged for run in runs]),
            best=best,
            name=describe_mixture(mixture) if name is None else name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(
        self, ax: Axes | None = None, *, line_kwargs: dict[str, Any] | None = None
    ) -> ConvergenceDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of all lines (matplotlib Line2D).

        Returns
        -------
        display : ConvergenceDisplay
            The display itself.

        See Also
        --------
        from_estimator : Make a display from a fitted mixture.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.plotting import ConvergenceDisplay
        >>> display = ConvergenceDisplay(
        ...     lower_bounds=[np.array([-3.0, -2.5, -2.4]), np.array([-3.2, -2.6])],
        ...     converged=np.array([True, False]),
        ...     best=0,
        ... )
        >>> display = display.plot(line_kwargs={"linewidth": 1})
        >>> [line.get_linestyle() for line in display.lines_]
        ['-', '--']
        """
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        self.lines_, self.ends_ = [], []
        for start, bounds in enumerate(self.lower_bounds):
            kept, done = start == self.best, bool(self.converged[start])
            style = make_style(
                "line_kwargs",
                line_kwargs,
                Line2D,
                color=COLORS[0] if kept else "0.55",
                linewidth=2.2 if kept else 1.0,
                linestyle="-" if done else "--",
                zorder=3 if kept else 2,
            )
            steps = np.arange(1, len(bounds) + 1)
            (line,) = self.ax_.plot(steps, bounds, **style)
            (end,) = self.ax_.plot(
                steps[-1:],
                bounds[-1:],
                linestyle="",
                marker=("*" if kept else "o") if done else "X",
                markersize=11 if kept else 6.5,
                color=style["color"],
                markeredgecolor="white",
                markeredgewidth=0.8,
                zorder=style["zorder"] + 2,
            )
            self.lines_.append(line)
            self.ends_.append(end)
        self._set_limits()
        self._draw_legend()
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.set(xlabel="E-step", ylabel="objective (nats per row)")
        self.ax_.set_title(self.name or "", fontsize="medium")
        return self

    def _set_limits(self) -> None:
        """Leave out the rise of the first step, which would flatten the other steps."""
        later = [bounds[min(1, len(bounds) - 1) :] for bounds in self.lower_bounds]
        low = min(bounds.min() for bounds in later)
        high = max(bounds.max() for bounds in later)
        margin = 0.08 * (high - low)
        if margin > 0:
            self.ax_.set_ylim(low - margin, high + margin)

    def _draw_legend(self) -> None:
        """One entry for each kind of line."""
        kept = self.lines_[self.best]
        entries = [(kept, "kept")]
        others = [i for i in range(len(self.lines_)) if i != self.best]
        for done, label in [(True, "other starts"), (False, "not converged")]:
            matching = [i for i in others if bool(self.converged[i]) == done]
            if matching:
                entries.append((self.lines_[matching[0]], label))
        if not self.converged[self.best]:
            entries[0] = kept, "kept, not converged"
        handles, labels = zip(*entries, strict=True)
        self.legend_ = self.ax_.legend(handles, labels, loc="best", fontsize="small")
        self.legend_.set_in_layout(False)
