# SPDX-License-Identifier: BSD-3-Clause
"""CalibrationDisplay: do intervals contain the truth as often as they should?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_gmmcf._held_out import HeldOut, get_steps, hold_out
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_entries
from sklearn_gmmcf.data._entries import Entries
from sklearn_gmmcf.plotting._common import (
    check_levels,
    describe_mixture,
    enter,
    has_steps,
    last_step,
    make_axes,
    make_style,
    next_style,
    require_pyplot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = np.append(np.arange(0.05, 0.951, 0.05), 0.99)
_BAND = 0.95


class CalibrationDisplay:
    """Coverage of prediction intervals of hidden entries, against nominal coverage.

    The interval of nominal coverage q leaves out the same probability on either side,
    (1 - q) / 2. For a fitted mixture it is an interval of the predictive distribution
    of the entry: a mixture of Gaussians, or of t distributions where the mixture has
    `degrees_of_freedom`.
    For predictions with standard deviations it is an interval of a Gaussian.

    Where the curve is below the diagonal, intervals are too narrow; where it is above,
    they are too wide. At each level by itself, the band contains the coverage of exact
    intervals with probability 95 %, for the same number of independent entries
    (binomial).

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    nominal : ndarray of shape (n_levels,)
        Nominal coverages.

    coverage : ndarray of shape (n_levels,)
        Shares of the entries whose interval contains the true value.

    n_entries : int
        Number of entries.

    name : str, default=None
        Label of the curve.

    Attributes
    ----------
    band : ndarray of shape (2, n_levels)
        Lower and upper bound of the band.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure of the axes.

    line_ : matplotlib Line2D
        The curve.

    diagonal_ : matplotlib Line2D
        The line where both coverages are equal; None if the axes had it already.

    band_ : matplotlib FillBetweenPolyCollection
        The band.

    See Also
    --------
    CompletionDisplay : The matrix and its standard deviations.
    sklearn_gmmcf.model_selection.hide_entries : Hide entries and keep their values.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import CalibrationDisplay
    >>> X, X_new = train_test_split(make_ratings(random_state=0).data, random_state=0)
    >>> mixture = MaskedGaussianMixture(4, covariance_type="factor", random_state=0)
    >>> display = CalibrationDisplay.from_estimator(mixture.fit(X), X_new)
    >>> print(f"{display.nominal[17]:.1f} {display.coverage[17]:.1f}")
    0.9 0.9
    """

    def __init__(
        self,
        *,
        nominal: Array,
        coverage: Array,
        n_entries: int,
        name: str | None = None,
    ) -> None:
        self.nominal = nominal
        self.coverage = coverage
        self.n_entries = n_entries
        self.name = name

    @property
    def band(self) -> Array:
        """Lower and upper bound of the binomial band."""
        tail = (1 - _BAND) / 2
        quantiles = np.array([[tail], [1 - tail]])
        return stats.binom.ppf(quantiles, self.n_entries, self.nominal) / self.n_entries

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        hidden: tuple[Any, Any, Any] | None = None,
        fraction: float = 0.1,
        random_state: Any = 0,
        levels: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> CalibrationDisplay:
        """Hide entries, complete them, and draw the coverage of their intervals.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one, whose other steps treat each column by itself.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that were not fitted, so that entries can be hidden in them. With
            `hidden`, rows in which entries are hidden already; these rows may have been
            fitted.
        hidden : tuple of three array-likes of shape (m,), default=None
            Rows, columns and true values of missing entries of X, as
            :func:`~sklearn_gmmcf.model_selection.hide_entries` returns them.
        fraction : float, default=0.1
            Share of the observed entries to hide. Not used with `hidden`.
        random_state : int, RandomState instance or None, default=0
            Seeds the choice of the entries to hide.
        levels : array-like of float, default=None
            Nominal coverages, above 0 and below 1. None takes 0.05, 0.1, ..., 0.95 and
            0.99.
        name : str, default=None
            Label of the curve. None takes the covariance type and K.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the curve (matplotlib Line2D).

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If no entry can be hidden, a hidden entry is observed in X, or `hidden` is
            given with a Pipeline, whose last step has other units.

        See Also
        --------
        from_predictions : Draw the coverage of any predictions.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.model_selection import hide_entries
        >>> from sklearn_gmmcf.plotting import CalibrationDisplay
        >>> ratings = make_ratings(random_state=0).data
        >>> X, hidden = hide_entries(ratings, 0.1, random_state=0)
        >>> mixture = MaskedGaussianMixture(
        ...     4, covariance_type="spherical", random_state=0
        ... ).fit(X)
        >>> display = CalibrationDisplay.from_estimator(mixture, X, hidden=hidden)
        >>> display.n_entries == len(hidden[0])
        True
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture = last_step(estimator, caller)
        if hidden is None:
            held_out = hold_out(get_steps(estimator), X, fraction, random_state)
        else:
            held_out = _check_hidden(estimator, X, hidden, caller)
        display = cls(
            **_cover(held_out.cdf(mixture), levels),
            name=describe_mixture(mixture) if name is None else name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        std: Any,
        *,
        levels: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> CalibrationDisplay:
        """Draw the coverage of the intervals of predictions.

        Parameters
        ----------
        y_true : array-like of shape (m,)
            True values.
        y_pred : array-like of shape (m,)
            Predictions.
        std : array-like of shape (m,)
            Standard deviations of the predictions, in the same units.
        levels : array-like of float, default=None
            Nominal coverages, above 0 and below 1. None takes 0.05, 0.1, ..., 0.95 and
            0.99.
        name : str, default=None
            Label of the curve.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the curve (matplotlib Line2D).

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the arrays are not equally long, or a standard deviation is negative.

        See Also
        --------
        from_estimator : Hide entries of a matrix, and predict them.

        Examples
        --------
        >>> from sklearn_gmmcf.plotting import CalibrationDisplay
        >>> display = CalibrationDisplay.from_predictions(
        ...     [3.0, 4.0, 5.0, 2.0], [3.5, 4.0, 3.5, 2.2], [1.0] * 4, levels=[0.5, 0.9]
        ... )
        >>> display.coverage
        array([0.75, 1.  ])
        """
        require_pyplot(f"{cls.__name__}.from_predictions")
        y_true, y_pred, std = (
            column_or_1d(
                check_array(array, ensure_2d=False, dtype=np.float64, input_name=label)
            )
            for array, label in [(y_true, "y_true"), (y_pred, "y_pred"), (std, "std")]
        )
        check_consistent_length(y_true, y_pred, std)
        if (std < 0).any():
            raise ValueError(f"std should not be negative, but got {std.min():g}.")
        nominal = _check_nominal(levels)
        quantiles = stats.norm.ppf((1 + nominal) / 2)
        inside = np.abs(y_true - y_pred)[:, None] <= std[:, None] * quantiles
        display = cls(
            nominal=nominal,
            coverage=inside.mean(axis=0),
            n_entries=len(y_true),
            name=name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(
        self, ax: Axes | None = None, *, line_kwargs: dict[str, Any] | None = None
    ) -> CalibrationDisplay:
        """Draw the display.

        Several displays may share the axes. Each has a band of its own, as numbers of
        entries may differ.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the curve (matplotlib Line2D).

        Returns
        -------
        display : CalibrationDisplay
            The display itself.

        See Also
        --------
        from_estimator : Make a display from a fitted mixture.
        from_predictions : Make a display from predictions.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.plotting import CalibrationDisplay
        >>> wide = CalibrationDisplay(
        ...     nominal=np.array([0.5, 0.9]),
        ...     coverage=np.array([0.7, 0.97]),
        ...     n_entries=200,
        ...     name="too wide",
        ... )
        >>> print(wide.plot(line_kwargs={"color": "black"}).line_.get_label())
        too wide: 200 entries
        """
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        from matplotlib.lines import Line2D
        from matplotlib.ticker import PercentFormatter

        style = make_style("line_kwargs", line_kwargs, Line2D, **next_style(self.ax_))
        self.diagonal_: Line2D | None = None
        if not self.ax_.lines:
            (self.diagonal_,) = self.ax_.plot(
                [0, 1], [0, 1], color="0.35", linewidth=1, linestyle=":", zorder=1
            )
        n_entries = f"{self.n_entries:,} entries"
        label = n_entries if self.name is None else f"{self.name}: {n_entries}"
        (self.line_,) = self.ax_.plot(
            self.nominal, self.coverage, **{"label": label, **style}
        )
        self.band_ = self.ax_.fill_between(
            self.nominal, *self.band, color="0.5", alpha=0.25, linewidth=0, zorder=0
        )
        if self.diagonal_ is not None:
            self.band_.set_label(f"{_BAND:.0%} band")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
            axis.set_ticks(np.linspace(0, 1, 6))
        self.ax_.set(
            xlabel="nominal coverage",
            ylabel="held-out coverage",
            xlim=(0, 1),
            ylim=(0, 1.02),
            aspect="equal",
        )
        self.legend_ = self.ax_.legend(loc="lower right", fontsize="x-small")
        self.legend_.set_in_layout(False)
        return self


def _check_nominal(levels: Any) -> Array:
    """Nominal coverages, ascending."""
    return _LEVELS if levels is None else check_levels("levels", levels)


def _cover(probabilities: Array, levels: Any) -> dict[str, Any]:
    """Coverage of intervals, from probabilities (m,) to be at most the true values."""
    nominal = _check_nominal(levels)
    inside = np.abs(2 * probabilities - 1)[:, None] <= nominal
    return {
        "nominal": nominal,
        "coverage": inside.mean(axis=0),
        "n_entries": len(probabilities),
    }


def _check_hidden(estimator: Any, X: Any, hidden: Any, caller: str) -> HeldOut:
    """The entries that a user has hidden: rows, columns and values."""
    if has_steps(estimator):
        raise ValueError(
            "hidden is in the units of X, not of the Pipeline's last step. "
            "Pass pipe[-1], pipe[:-1].transform(X), and values that are transformed in "
            "the same way; or leave hidden out."
        )
    enter(estimator, X, caller)
    if len(hidden) != 3:
        raise ValueError(
            f"hidden should be rows, columns and values, but got {len(hidden)} things."
        )
    rows, columns = check_entries(hidden[:2], np.shape(X))
    entries = Entries(np.shape(X), rows, columns, np.asarray(hidden[2]))
    return HeldOut.from_hidden(get_steps(estimator), X, entries)
