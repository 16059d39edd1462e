# SPDX-License-Identifier: BSD-3-Clause
"""ImputationDisplay: observed and imputed values of each column."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._tables import Table, find_missing, open_table
from sklearn_gmmcf.plotting._common import (
    COLORS,
    check_integer,
    find_column,
    format_share,
    get_grid_cell,
    is_number,
    make_axes,
    make_style,
    name_columns,
    require_pyplot,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_PANELS_IN_ROW = 4
_MAX_LEVELS = 8
_OTHER = "(other)"
_BINS = (8, 60)  # fewest and most of a histogram
_MAX_INTEGERS = 30  # columns of whole numbers in a smaller range have a bin for each
_MAX_TICKS = 100  # imputed values that are marked one by one


class ImputationDisplay:
    """Observed and imputed values of each column, to judge the imputed ones.

    A panel for each column with missing entries. Numbers and dates have two histograms,
    of the observed and of the imputed values, each in shares of its own number of
    values; few imputed values are marked below, too. Text, categories and booleans have
    bars of the shares of their levels. Titles count imputed values outside of the range
    of the observed ones.

    Use :meth:`from_tables` to make one.

    Parameters
    ----------
    names : list of p str
        Names of the columns.

    shares : ndarray of shape (p,)
        Share missing of each column.

    observed : list of p ndarrays
        Observed values of each column: floats, dates, or objects for levels.

    imputed : list of p ndarrays
        Imputed values of each column, of the same kinds.

    Attributes
    ----------
    n_outside : ndarray of shape (p,)
        Numbers of imputed values below or above all observed ones, or of levels that
        were never observed.

    bounding_ax_ : matplotlib Axes
        The axes that hold the panels.

    axes_ : ndarray of p matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        The figure of the axes.

    observed_ : list of p matplotlib artists
        Histograms (StepPatch) or bars (BarContainer) of the observed values.

    imputed_ : list of p matplotlib artists
        Histograms or bars of the imputed values.

    legend_ : matplotlib Legend
        The legend.

    See Also
    --------
    MissingnessDisplay : Which entries are missing.
    CompletionDisplay : A matrix before and after completion.
    CalibrationDisplay : Whether standard deviations of completions are right.

    Notes
    -----
    Completions are means, so that they vary less than observed values even where the
    mixture is right. Draws (``sample_completions``) vary as values do: pass several of
    them to compare distributions.

    The distributions may differ where entries are not missing completely at random: a
    blood test that is made for the sick has lower values where it was not made. Values
    that cannot be, such as negative ages, are a reason to transform the column.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.plotting import ImputationDisplay
    >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
    >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
    >>> completed = mixture.fit_transform(X)
    >>> display = ImputationDisplay.from_tables(X, completed)
    >>> display.names, display.imputed[0].round(1), display.n_outside
    (['column 1'], array([10.1]), array([1]))
    """

    def __init__(
        self,
        *,
        names: list[str],
        shares: Array,
        observed: list[Array],
        imputed: list[Array],
    ) -> None:
        self.names = names
        self.shares = shares
        self.observed = observed
        self.imputed = imputed

    @property
    def n_outside(self) -> Array:
        """Numbers of imputed values that are unlike all observed ones."""
        return np.array(
            [
                _count_outside(*values)
                for values in zip(self.observed, self.imputed, strict=True)
            ]
        )

    @classmethod
    def from_tables(
        cls,
        X: Any,
        completed: Any,
        *,
        columns: Any = None,
        max_columns: int = 12,
        missing_values: float = np.nan,
        feature_names: Any = None,
        ax: Axes | None = None,
        observed_kwargs: dict[str, Any] | None = None,
        imputed_kwargs: dict[str, Any] | None = None,
    ) -> ImputationDisplay:
        """Draw the observed and the imputed values of each column.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The table with missing entries: numbers, text, categories, dates.
        completed : array-like or frame of the shape of X, or a sequence of them
            The completed table, by any imputer. Several tables, such as the draws of
            `sample_completions`, are shown together. Columns of two frames are matched
            by their names.
        columns : list of int or str, default=None
            Indices or names of the columns to show. None takes the columns with the
            most imputed values.
        max_columns : int, default=12
            Largest number of columns to show where `columns` is None.
        missing_values : float, default=nan
            A number that marks missing entries of X, in addition to null and NaN.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns. None takes the names of a frame.
        ax : matplotlib Axes, default=None
            Where to draw: the axes are divided. None makes a new figure.
        observed_kwargs, imputed_kwargs : dict, default=None
            Properties of the histograms and bars (matplotlib Patch).

        Returns
        -------
        display : ImputationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the tables have other shapes, nothing was imputed, or a column has
            infinite values.

        See Also
        --------
        plot : Draw it again, in another style.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.plotting import ImputationDisplay
        >>> table = pd.DataFrame({"job": ["cook", None, "nurse"], "age": [31, 45, 9]})
        >>> completed = table.fillna({"job": "cook"})
        >>> display = ImputationDisplay.from_tables(table, completed, columns=["job"])
        >>> display.observed, display.imputed
        ([array(['cook', 'nurse'], dtype=object)], [array(['cook'], dtype=object)])
        """
        require_pyplot(f"{cls.__name__}.from_tables")
        max_columns = check_integer("max_columns", max_columns, 1)
        table = open_table(X, missing_values)
        tables = [open_table(each, name="completed") for each in _list(completed)]
        names = name_columns(table, feature_names)
        positions = [_match(table, each) for each in tables]
        counts = np.zeros(table.shape[1], dtype=np.intp)
        for _, at, mask in table.masks():
            counts[at] += mask.sum(axis=0)
        shared = np.all([position >= 0 for position in positions], axis=0)
        if columns is None:
            order = np.argsort(-counts, kind="stable")
            chosen = order[(counts[order] > 0) & shared[order]][:max_columns]
        else:
            chosen = _find_columns(columns, names, shared)
        if not counts[chosen].any():
            raise ValueError("No entry of X is missing in the columns to show.")
        pairs = [_compare(table, tables, positions, j) for j in chosen.tolist()]
        _check_finite(names[chosen], pairs)
        display = cls(
            names=[str(names[j]) for j in chosen],
            shares=counts[chosen] / table.shape[0],
            observed=[observed for observed, _ in pairs],
            imputed=[imputed for _, imputed in pairs],
        )
        return display.plot(
            ax, observed_kwargs=observed_kwargs, imputed_kwargs=imputed_kwargs
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        observed_kwargs: dict[str, Any] | None = None,
        imputed_kwargs: dict[str, Any] | None = None,
    ) -> ImputationDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw: the axes are divided. None makes a new figure.
        observed_kwargs, imputed_kwargs : dict, default=None
            Properties of the histograms and bars (matplotlib Patch).

        Returns
        -------
        display : ImputationDisplay
            The display itself.

        See Also
        --------
        from_tables : Computes the display, and draws it.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.plotting import ImputationDisplay
        >>> X = np.array([[1.0], [2.0], [4.0], [np.nan]])
        >>> display = ImputationDisplay.from_tables(X, np.nan_to_num(X, nan=3.0))
        >>> display = display.plot(imputed_kwargs={"edgecolor": "black"})
        >>> display.imputed_[0].get_edgecolor()
        (0.0, 0.0, 0.0, 1.0)
        """
        plt = require_pyplot(f"{type(self).__name__}.plot")
        from matplotlib.patches import Patch

        observed = make_style(
            "observed_kwargs", observed_kwargs, Patch, facecolor="0.75", edgecolor="0.6"
        )
        imputed = make_style(
            "imputed_kwargs",
            imputed_kwargs,
            Patch,
            facecolor="none",
            edgecolor=COLORS[3],
            linewidth=1.6,
        )
        n_across = min(len(self.names), _MAX_PANELS_IN_ROW)
        n_down = -(-len(self.names) // n_across)
        if ax is None:
            size = max(2.5 * n_across, 3.2), 1.9 * n_down + 0.4
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.bounding_ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.bounding_ax_.figure
        spec = get_grid_cell(self.bounding_ax_)
        self.bounding_ax_.set_axis_off()
        heights = [0.12, *[1.0] * n_down]
        cells = spec.subgridspec(n_down + 1, n_across, height_ratios=heights)
        self._draw_legend(self.figure_.add_subplot(cells[0, :]), observed, imputed)
        self.axes_ = np.array(
            [
                self.figure_.add_subplot(cells[1 + i // n_across, i % n_across])
                for i in range(len(self.names))
            ]
        )
        self.observed_: list[Any] = []
        self.imputed_: list[Any] = []
        for i in range(len(self.names)):
            self._draw_panel(i, observed, imputed)
        for i in range(0, len(self.names), n_across):
            if self.observed[i].dtype.kind != "O":
                self.axes_[i].set_ylabel("share of values", fontsize="x-small")
        return self

    def _draw_legend(
        self, ax: Axes, observed: dict[str, Any], imputed: dict[str, Any]
    ) -> None:
        """The legend, in a row of its own."""
        from matplotlib.patches import Patch

        ax.set_axis_off()
        self.legend_ = ax.legend(
            handles=[
                Patch(**{"label": "observed", **observed}),
                Patch(**{"label": "imputed", **imputed}),
            ],
            loc="center",
            ncol=2,
            fontsize="small",
            frameon=False,
        )
        self.legend_.set_in_layout(False)

    def _draw_panel(
        self, i: int, observed: dict[str, Any], imputed: dict[str, Any]
    ) -> None:
        """A column: histograms, or bars of its levels."""
        ax = self.axes_[i]
        title = f"{format_share(self.shares[i])} missing"
        if n_outside := self.n_outside[i]:
            title += f", {n_outside:,} out of range"
        name = shorten(self.names[i], 28)
        ax.set_title(f"{name}\n{title}", fontsize="x-small")
        ax.tick_params(labelsize="x-small")
        ax.spines[["top", "right"]].set_visible(False)
        draw = _draw_levels if self.observed[i].dtype.kind == "O" else _draw_numbers
        artists = draw(ax, self.observed[i], self.imputed[i], observed, imputed)
        for drawn, artist in zip((self.observed_, self.imputed_), artists, strict=True):
            drawn.append(artist)


def _draw_numbers(
    ax: Axes,
    observed: Array,
    imputed: Array,
    observed_style: dict[str, Any],
    imputed_style: dict[str, Any],
) -> tuple[Any, Any]:
    """Two histograms in shares, and marks at few imputed values."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    _choose_ticks(ax, observed.dtype.kind)
    observed, imputed = _to_floats(observed), _to_floats(imputed)
    edges = _choose_edges(observed, imputed)
    artists = []
    for values, style in ((observed, observed_style), (imputed, imputed_style)):
        heights = np.histogram(values, edges)[0] / max(len(values), 1)
        artists.append(ax.stairs(heights, edges, fill=False, **style))
    artists[0].set_fill(True)
    if len(imputed) <= _MAX_TICKS:
        color = artists[1].get_edgecolor()
        ax.plot(
            imputed,
            np.full(len(imputed), 0.03),
            "|",
            color=color,
            transform=ax.get_xaxis_transform(),
        )
    ax.set_ylim(0, None)
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return artists[0], artists[1]


def _choose_ticks(ax: Axes, kind: str) -> None:
    """Few ticks on the axis of the values: dates or numbers."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    if kind == "M":
        locator = AutoDateLocator(minticks=2, maxticks=5)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _draw_levels(
    ax: Axes,
    observed: Array,
    imputed: Array,
    observed_style: dict[str, Any],
    imputed_style: dict[str, Any],
) -> tuple[Any, Any]:
    """Bars of the shares of levels, the most frequent ones above."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    levels, shares = share_levels(observed, imputed)
    at = np.arange(len(levels))
    artists = [
        ax.barh(at + 0.2 * side, share, height=0.38, **style)
        for side, share, style in zip(
            (-1, 1), shares, (observed_style, imputed_style), strict=True
        )
    ]
    ax.set_yticks(at, [shorten(level, 14) for level in levels])
    ax.set_ylim(len(levels) - 0.5, -0.5)
    ax.set_xlim(0, None)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return artists[0], artists[1]


def share_levels(observed: Array, imputed: Array) -> tuple[list[str], Array]:
    """Levels, the most frequent ones first, and their shares (2, n_levels)."""
    words = [np.array([str(value) for value in each]) for each in (observed, imputed)]
    levels, index = np.unique(np.concatenate(words), return_inverse=True)
    parts = np.split(index, [len(words[0])])
    counts = np.array([np.bincount(part, minlength=len(levels)) for part in parts])
    order = np.lexsort((-counts[1], -counts[0]))
    shares = counts[:, order] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = [str(level) for level in levels[order]]
    if len(named) <= _MAX_LEVELS:
        return named, shares
    kept, rest = np.split(shares, [_MAX_LEVELS - 1], axis=1)
    rest = rest.sum(axis=1, keepdims=True)
    return [*named[: _MAX_LEVELS - 1], _OTHER], np.hstack([kept, rest])


def _choose_edges(observed: Array, imputed: Array) -> Array:
    """Edges of bins that hold all values."""
    values = np.concatenate([observed, imputed])
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = values.min(), values.max()
    whole = len(observed) and np.array_equal(observed, np.round(observed))
    if whole and high - low < _MAX_INTEGERS:
        return np.arange(np.floor(low + 0.5), np.floor(high + 0.5) + 2) - 0.5
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    base = observed if len(observed) else imputed
    width = np.diff(np.histogram_bin_edges(base, "auto")[:2])[0]
    n_bins = int(np.clip(np.ceil((high - low) / width), *_BINS))
    return np.linspace(low, high, n_bins + 1)


def _count_outside(observed: Array, imputed: Array) -> int:
    """Number of imputed values that are unlike all observed ones."""
    if not len(observed) or not len(imputed):
        return 0
    if observed.dtype.kind == "O":
        return int(np.sum(~np.isin(imputed.astype(str), observed.astype(str))))
    return int(np.sum((imputed < observed.min()) | (imputed > observed.max())))


def _find_columns(columns: Any, names: Array, shared: Array) -> Array:
    """Indices of the columns that a user wants to see."""
    wanted = "columns should be indices"
    chosen = np.array([find_column(each, names, wanted) for each in columns], int)
    if not shared[chosen].all():
        lost = names[chosen[~shared[chosen]][0]]
        raise ValueError(f"Column {lost!r} of X is not a column of completed.")
    return chosen


def _list(completed: Any) -> list[Any]:
    """The completed tables, one or several."""
    if isinstance(completed, np.ndarray) and completed.ndim == 3:
        return list(completed)
    several = isinstance(completed, (list, tuple)) and all(
        len(getattr(each, "shape", ())) == 2 for each in completed
    )
    if several and not completed:
        raise ValueError("completed should have at least one table, but is empty.")
    return list(completed) if several else [completed]


def _match(table: Table, completed: Table) -> Array:
    """Columns of a completed table that the columns of a table became; -1: none."""
    if table.shape[0] != completed.shape[0]:
        raise ValueError(
            f"completed should have the {table.shape[0]} rows of X, but got "
            f"{completed.shape[0]}."
        )
    if table.names is not None and completed.names is not None:
        found = {name: j for j, name in enumerate(completed.names)}
        return np.array([found.get(name, -1) for name in table.names])
    if table.shape[1] != completed.shape[1]:
        raise ValueError(
            f"completed should have the {table.shape[1]} columns of X, but got "
            f"{completed.shape[1]}. Pass frames to match columns by their names."
        )
    return np.arange(table.shape[1])


def _compare(
    table: Table, tables: list[Table], positions: list[Array], j: int
) -> tuple[Array, Array]:
    """Observed and imputed values of a column, both numbers, dates or objects."""
    missing = table.mask(np.array([j]))[:, 0]
    observed = _to_values(table.column(j)[~missing])
    parts = []
    for completed, position in zip(tables, positions, strict=True):
        values = completed.column(int(position[j]))[missing]
        parts.append(_to_values(values[~find_missing(values, np.nan)]))
    kinds = {part.dtype.kind for part in (observed, *parts) if len(part)}
    if len(kinds) > 1:
        # Imputers of numbers read True as 1.
        numeric = all(isinstance(value, Real) for part in parts for value in part)
        numeric &= all(isinstance(value, Real) for value in observed)
        dtype = np.float64 if numeric else object
        observed, *parts = (part.astype(dtype) for part in (observed, *parts))
    imputed = np.concatenate(parts)
    # A column without an observed value is what the imputer made it.
    return observed if len(observed) else observed.astype(imputed.dtype), imputed


def _check_finite(names: Array, pairs: list[tuple[Array, Array]]) -> None:
    """Check that no number is infinite, as none could be drawn with the others."""
    for name, pair in zip(names, pairs, strict=True):
        for kind, values in zip(("observed", "imputed"), pair, strict=True):
            if values.dtype.kind == "f" and np.isinf(values).any():
                raise ValueError(
                    f"Column {name!r} has infinite {kind} values. Replace them by "
                    "missing ones, or choose other columns."
                )


def _to_values(values: Array) -> Array:
    """Numbers as floats, dates as they are, all else as objects."""
    kind = values.dtype.kind
    if kind in "fiu" or (kind == "O" and all(is_number(value) for value in values)):
        return values.astype(np.float64)
    return values if kind in "mM" else values.astype(object)


def _to_floats(values: Array) -> Array:
    """Dates and durations in days."""
    if values.dtype.kind not in "mM":
        return values
    unit = "datetime64[us]" if values.dtype.kind == "M" else "timedelta64[us]"
    return values.astype(unit).astype(np.float64) / 86_400e6
