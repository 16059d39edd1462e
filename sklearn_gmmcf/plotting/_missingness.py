# SPDX-License-Identifier: BSD-3-Clause
"""MissingnessDisplay: how much of each column is missing, and which together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.utils import gen_batches

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._tables import Table, open_table
from sklearn_gmmcf.plotting._common import (
    COLORS,
    check_integer,
    check_option,
    divide_grid,
    format_share,
    make_axes,
    make_style,
    name_columns,
    require_pyplot,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VIEWS = ("auto", "patterns", "correlation")
_MIN_SHARE_OF_ROWS = 0.5  # that the shown patterns should have, to be worth the picture
_TOGETHER = 0.5  # correlation above which columns stand side by side
_BATCH_ROWS = 2**16
_MAX_NAME = 32  # characters
_MAX_NAMED = 60  # columns


class MissingnessDisplay:
    """Missing entries of a table: how much of each column, and which columns together.

    Bars show the share missing of each column. Below them the most frequent patterns of
    missing entries, with the numbers of their rows; or, where rows have too many
    different patterns for that, the correlations between columns of being missing.
    Columns that are always missing together are one column of the picture, such as
    'income +3'.

    Use :meth:`from_data` to make one.

    Parameters
    ----------
    shares : ndarray of shape (d,)
        Share missing of each column of the table.

    groups : list of p ndarrays of int
        Indices of the columns that are shown as one, as their entries are missing in
        the same rows. Ordered by their share missing; groups that are mostly missing
        together (correlation above 0.5) stand side by side.

    n_groups : int
        Number of groups with missing entries in the table.

    patterns : ndarray of shape (q, p), dtype bool
        Patterns of the shown groups, true where missing, the most frequent ones first.

    counts : ndarray of shape (q,)
        Numbers of rows that have them.

    n_patterns : int
        Number of different patterns of the shown groups.

    correlations : ndarray of shape (p, p)
        Correlations between the groups of being missing. NaN where a group is missing
        in all rows, or in none.

    n_rows : int
        Number of rows of the table.

    n_complete : int
        Number of rows without missing entries, in all columns.

    feature_names : ndarray of shape (d,)
        Names of the columns.

    view : {'patterns', 'correlation'}, default='patterns'
        The panel below the bars.

    Attributes
    ----------
    bounding_ax_ : matplotlib Axes
        The axes that hold the panels.

    axes_ : ndarray of two or three matplotlib Axes
        The panels: shares of the columns; patterns or correlations; numbers of rows of
        the patterns.

    figure_ : matplotlib Figure
        The figure of the axes.

    bars_ : matplotlib BarContainer
        Shares missing.

    image_ : matplotlib AxesImage
        Patterns or correlations.

    row_bars_ : matplotlib BarContainer
        Numbers of rows of the patterns; None for correlations.

    colorbar_ : matplotlib Colorbar
        Scale of the correlations; None for patterns.

    See Also
    --------
    ImputationDisplay : Observed and imputed values of each column.
    CompletionDisplay : A matrix before and after completion.

    Notes
    -----
    Columns that are missing together often have one reason, such as an examination that
    was not made. Patterns do not tell whether entries are missing because of observed
    values, and no picture of the observed values can tell whether entries are missing
    because of their own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.plotting import MissingnessDisplay
    >>> X = np.array([[1, 2, 3], [np.nan, 2, np.nan], [1, 2, np.nan], [1, 2, 3]])
    >>> display = MissingnessDisplay.from_data(X, feature_names=["a", "b", "c"])
    >>> display.shares
    array([0.25, 0.  , 0.5 ])
    >>> [display.feature_names[group[0]] for group in display.groups]
    ['c', 'a']
    >>> for pattern, count in zip(display.patterns, display.counts):
    ...     print(pattern, count)
    [False False] 2
    [ True False] 1
    [ True  True] 1
    """

    def __init__(
        self,
        *,
        shares: Array,
        groups: list[Array],
        n_groups: int,
        patterns: Array,
        counts: Array,
        n_patterns: int,
        correlations: Array,
        n_rows: int,
        n_complete: int,
        feature_names: Array,
        view: str = "patterns",
    ) -> None:
        self.shares = shares
        self.groups = groups
        self.n_groups = n_groups
        self.patterns = patterns
        self.counts = counts
        self.n_patterns = n_patterns
        self.correlations = correlations
        self.n_rows = n_rows
        self.n_complete = n_complete
        self.feature_names = feature_names
        self.view = view

    @classmethod
    def from_data(
        cls,
        X: Any,
        *,
        missing_values: float = np.nan,
        feature_names: Any = None,
        view: str = "auto",
        max_columns: int = 30,
        max_patterns: int = 20,
        ax: Axes | None = None,
        bar_kwargs: dict[str, Any] | None = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> MissingnessDisplay:
        """Draw which entries of a table are missing.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            A table of any kind: numbers, text, categories, dates. Null, NaN and NaT are
            missing; of a sparse matrix the entries that are not stored.
        missing_values : float, default=nan
            A number that marks missing entries, too.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns. None takes the names of a frame.
        view : {'auto', 'patterns', 'correlation'}, default='auto'
            The panel below the bars. 'auto' takes patterns if the shown ones belong to
            half of the rows or more.
        max_columns : int, default=30
            Largest number of columns to show, the ones with the most missing entries.
            Columns without missing entries are left out, unless all are; columns that
            are always missing together count as one.
        max_patterns : int, default=20
            Largest number of patterns to show, the most frequent ones.
        ax : matplotlib Axes, default=None
            Where to draw: the axes are divided. None makes a new figure.
        bar_kwargs : dict, default=None
            Properties of the bars of columns (matplotlib Rectangle).
        image_kwargs : dict, default=None
            Properties of the patterns or correlations (matplotlib AxesImage).

        Returns
        -------
        display : MissingnessDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If X has no row or no column.
        TypeError
            If X is a Dask array.

        See Also
        --------
        plot : Draw it again, in another style.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.plotting import MissingnessDisplay
        >>> table = pd.DataFrame({
        ...     "age": [31, 45, None, 28],
        ...     "job": ["cook", None, None, "nurse"],
        ...     "wage": [17.0, None, None, 25.0],
        ... })
        >>> display = MissingnessDisplay.from_data(table)
        >>> display.n_complete, display.groups
        (2, [array([1, 2]), array([0])])
        """
        require_pyplot(f"{cls.__name__}.from_data")
        check_option("view", view, _VIEWS)
        max_columns = check_integer("max_columns", max_columns, 1)
        max_patterns = check_integer("max_patterns", max_patterns, 1)
        table = open_table(X, missing_values)
        if not all(table.shape):
            raise ValueError(f"X should have rows and columns, but got {table.shape}.")
        tally = _Tally.from_table(table)
        groups, n_groups = _choose_groups(tally, max_columns)
        first = np.array([group[0] for group in groups])
        mask = table.mask(first)
        correlations = _correlate(mask)
        order = _order_groups(tally.counts[first], correlations)
        patterns, counts = _count_patterns(mask[:, order])
        n_rows = table.shape[0]
        if view == "auto":
            n_shown = counts[:max_patterns].sum()
            many = n_shown < _MIN_SHARE_OF_ROWS * n_rows
            view = "correlation" if many and len(groups) > 1 else "patterns"
        display = cls(
            shares=tally.counts / n_rows,
            groups=[groups[g] for g in order],
            n_groups=n_groups,
            patterns=patterns[:max_patterns],
            counts=counts[:max_patterns],
            n_patterns=len(counts),
            correlations=correlations[np.ix_(order, order)],
            n_rows=n_rows,
            n_complete=tally.n_complete,
            feature_names=name_columns(table, feature_names),
            view=view,
        )
        return display.plot(ax, bar_kwargs=bar_kwargs, image_kwargs=image_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        bar_kwargs: dict[str, Any] | None = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> MissingnessDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw: the axes are divided. None makes a new figure.
        bar_kwargs : dict, default=None
            Properties of the bars of columns (matplotlib Rectangle).
        image_kwargs : dict, default=None
            Properties of the patterns or correlations (matplotlib AxesImage).

        Returns
        -------
        display : MissingnessDisplay
            The display itself.

        See Also
        --------
        from_data : Computes the display, and draws it.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.plotting import MissingnessDisplay
        >>> X = np.array([[1, np.nan], [np.nan, 2], [1, 2]])
        >>> display = MissingnessDisplay.from_data(X)
        >>> display.view = "correlation"
        >>> display.plot(bar_kwargs={"color": "black"}).image_.get_clim()
        (-1.0, 1.0)
        """
        plt = require_pyplot(f"{type(self).__name__}.plot")
        from matplotlib.image import AxesImage
        from matplotlib.patches import Rectangle

        bars = make_style(
            "bar_kwargs", bar_kwargs, Rectangle, color=COLORS[0], width=0.8
        )
        image = make_style(
            "image_kwargs",
            image_kwargs,
            AxesImage,
            aspect="auto",
            interpolation="nearest",
            **self._image_style(),
        )
        shape = self._measure()
        if ax is None:
            _, ax = plt.subplots(figsize=shape.size, layout="constrained")
        self.bounding_ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.bounding_ax_.figure
        self.axes_ = divide_grid(self.bounding_ax_, shape.heights, shape.widths)
        self.row_bars_: Any = None
        self.colorbar_: Any = None
        self._draw_shares(bars)
        if self.view == "patterns":
            self._draw_patterns(image)
        else:
            self._draw_correlations(image)
        self._label_columns()
        return self

    def _image_style(self) -> dict[str, Any]:
        """Colors of the patterns, or of the correlations."""
        from matplotlib.colors import ListedColormap

        if self.view == "patterns":
            return {"cmap": ListedColormap(["0.92", COLORS[0]]), "vmin": 0, "vmax": 1}
        return {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}

    def _measure(self) -> _Shape:
        """Inches of the panels, and of a figure that holds them with their names."""
        names = self._names()
        width = float(np.clip(0.3 * len(self.groups), 3.0, 9.0))
        label = 0.085 * max(len(name) for name in names) if names else 0.0
        if self.view == "correlation":
            return _Shape(
                (width + label + 1.4, width + label + 1.7), (1.1, width), (1,)
            )
        height = max(0.24 * len(self.counts), 0.6)
        size = width + 2.6, 1.1 + height + label + 0.8
        return _Shape(size, (1.1, height), (width, 1.5))

    def _names(self) -> list[str]:
        """Names of the groups; none if they are too many to read."""
        if len(self.groups) > _MAX_NAMED:
            return []
        names = []
        for group in self.groups:
            more = f" +{len(group) - 1}" if len(group) > 1 else ""
            name = shorten(self.feature_names[group[0]], _MAX_NAME - len(more))
            names.append(name + more)
        return names

    def _draw_shares(self, style: dict[str, Any]) -> None:
        """Bars of the shares missing, below the summary of the table."""
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        ax = self.axes_[0]
        shares = self.shares[[group[0] for group in self.groups]]
        self.bars_ = ax.bar(range(len(shares)), shares, **style)
        if len(shares) <= 12:
            labels = [format_share(share) for share in shares]
            ax.bar_label(self.bars_, labels, fontsize="x-small", padding=1)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(xlim=(-0.5, len(shares) - 0.5), xticks=[], ylabel="missing")
        ax.set_ylim(0, 1.2 * shares.max() or 1.0)
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: format_share(y)))
        ax.yaxis.label.set_size("small")
        ax.tick_params(labelsize="small")
        ax.set_title(self._summarize(), fontsize="small", loc="left")

    def _summarize(self) -> str:
        """Size of the table, and how much of it is missing."""
        n_columns = len(self.shares)
        lines = (
            f"{_count(self.n_rows, 'row')}, {_count(n_columns, 'column')}, "
            f"{format_share(self.shares.mean())} of entries missing\n"
            f"{_count(self.n_complete, 'complete row')} "
            f"({format_share(self.n_complete / self.n_rows)}), "
            f"{_count(int(np.sum(self.shares == 0)), 'complete column')}"
        )
        if 0 < len(self.groups) < self.n_groups:
            lines += f"\nshown: the {len(self.groups)} columns with the most missing"
        return lines

    def _draw_patterns(self, style: dict[str, Any]) -> None:
        """The patterns, and bars of the numbers of their rows."""
        ax, rows_ax = self.axes_[1:]
        self.image_ = ax.imshow(self.patterns, **style)
        q, p = self.patterns.shape
        if max(p, q) <= _MAX_NAMED:
            for x in np.arange(1, p) - 0.5:
                ax.axvline(x, color="white", linewidth=1.0)
            for y in np.arange(1, q) - 0.5:
                ax.axhline(y, color="white", linewidth=1.0)
        shown = "" if q == self.n_patterns else f"{q:,} of {self.n_patterns:,} "
        ax.set_ylabel(f"{shown}patterns", fontsize="small")
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        shares = self.counts / self.n_rows
        self.row_bars_ = rows_ax.barh(range(q), shares, color="0.6", height=0.8)
        labels = [
            f"{count:,} ({format_share(share)})"
            for count, share in zip(self.counts, shares, strict=True)
        ]
        rows_ax.bar_label(self.row_bars_, labels, fontsize="x-small", padding=2)
        # Room for the label of the longest bar.
        rows_ax.set(xlim=(0, 2.2 * shares.max()), ylim=(q - 0.5, -0.5))
        rows_ax.set(xticks=[], yticks=[])
        rows_ax.set_title("rows", fontsize="small", loc="left")
        rows_ax.spines[["top", "right", "bottom"]].set_visible(False)
        self._explain_colors()

    def _explain_colors(self) -> None:
        """Legend of the patterns, beside the bars of the columns."""
        from matplotlib.patches import Patch

        colors = self.image_.to_rgba(np.array([True, False]))
        handles = [
            Patch(facecolor=color, label=label)
            for color, label in zip(colors, ("missing", "observed"), strict=True)
        ]
        legend = self.axes_[0].legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            fontsize="x-small",
            frameon=False,
        )
        legend.set_in_layout(False)

    def _draw_correlations(self, style: dict[str, Any]) -> None:
        """Correlations between the columns of being missing."""
        ax = self.axes_[1]
        self.image_ = ax.imshow(self.correlations, **style)
        ax.patch.set(hatch="//////", edgecolor="0.75", linewidth=0)
        names = self._names()
        ax.set_yticks(range(len(names)), names, fontsize="x-small")
        self.colorbar_ = self.figure_.colorbar(
            self.image_,
            ax=ax,
            location="bottom",
            label="correlation of being missing",
            shrink=0.6,
            aspect=30,
        )

    def _label_columns(self) -> None:
        """Names of the columns below the lower panel."""
        ax, names = self.axes_[1], self._names()
        if names:
            ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
            ax.tick_params(length=0)
        else:
            ax.set(xticks=[], yticks=[])
            ax.set_xlabel(f"{len(self.groups):,} columns", fontsize="small")


@dataclass(frozen=True)
class _Shape:
    """Inches of the figure, and heights and widths of its panels."""

    size: tuple[float, float]
    heights: tuple[float, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Tally:
    """Counts of missing entries."""

    counts: Array  # (d,)
    keys: Array  # (d,), equal where the same rows are missing
    n_complete: int  # rows

    @classmethod
    def from_table(cls, table: Table) -> _Tally:
        n, d = table.shape
        counts = np.zeros(d, dtype=np.intp)
        keys = np.zeros(d, dtype=np.uint64)
        complete = np.ones(n, dtype=bool)
        # Sums of random numbers of the missing rows, modulo 2**64: columns with other
        # rows have the same sum with probability 2**-64.
        random = np.random.default_rng(0).integers(2**64, size=n, dtype=np.uint64)
        for rows, columns, mask in table.masks():
            counts[columns] += mask.sum(axis=0)
            complete[rows] &= ~mask.any(axis=1)
            sums = [random[rows][column].sum(dtype=np.uint64) for column in mask.T]
            keys[columns] += np.array(sums)
        return cls(counts, keys, int(complete.sum()))


def _choose_groups(tally: _Tally, max_columns: int) -> tuple[list[Array], int]:
    """The groups of columns with the most missing entries, and the number of all."""
    affected = np.flatnonzero(tally.counts)
    if not affected.size:
        every = np.arange(len(tally.counts))
        return list(every[:max_columns, None]), 0
    _, first, index = np.unique(
        tally.keys[affected], return_index=True, return_inverse=True
    )
    order = np.lexsort((first, -tally.counts[affected[first]]))
    groups = [affected[index == g] for g in order[:max_columns]]
    return groups, len(first)


def _correlate(mask: Array) -> Array:
    """Correlations (p, p) between the columns of a mask; NaN for constant ones."""
    n, p = mask.shape
    products, sums = np.zeros((p, p)), mask.sum(axis=0)
    for rows in gen_batches(n, _BATCH_ROWS):
        part = mask[rows].astype(np.float64)
        products += part.T @ part
    means = sums / n
    covariances = products / n - np.multiply.outer(means, means)
    spreads = np.sqrt(means * (1 - means))
    spreads[spreads == 0] = np.nan
    return np.clip(covariances / np.multiply.outer(spreads, spreads), -1, 1)


def _order_groups(counts: Array, correlations: Array) -> Array:
    """The most missing first, each followed by those that are missing with it."""
    if len(counts) == 1:
        return np.zeros(1, dtype=np.intp)
    distances = 1 - np.nan_to_num(correlations)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average")
    clusters = fcluster(tree, 1 - _TOGETHER, "distance")
    largest = np.zeros(clusters.max() + 1)
    np.maximum.at(largest, clusters, counts)
    return np.lexsort((-counts, clusters, -largest[clusters]))


def _count_patterns(mask: Array) -> tuple[Array, Array]:
    """The different rows of a mask and their numbers, the most frequent first."""
    bits = np.packbits(mask, axis=1)
    words = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : bits.shape[1]] = bits
    codes = words.view(np.uint64)
    if codes.shape[1] == 1:
        _, first, counts = np.unique(codes[:, 0], return_index=True, return_counts=True)
    else:
        _, first, counts = np.unique(
            codes, axis=0, return_index=True, return_counts=True
        )
    patterns = mask[first]
    order = np.lexsort((patterns.sum(axis=1), -counts))
    return patterns[order], counts[order]


def _count(n: int, thing: str) -> str:
    """A number of things."""
    return f"{n:,} {thing}{'s' if n != 1 else ''}"
