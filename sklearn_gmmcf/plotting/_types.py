# SPDX-License-Identifier: BSD-3-Clause
"""TypesDisplay: items that types of users like, their noise, a map of the factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.plotting._common import (
    COLORS,
    LINES,
    check_integer,
    check_option,
    column_names,
    divide_axes,
    enter,
    has_steps,
    last_step,
    make_axes,
    make_style,
    measure_ellipse,
    measure_width,
    outline,
    require_pyplot,
    shorten,
    spread_evenly,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.container import BarContainer
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse
    from matplotlib.text import Text

_ELLIPSE_LEVEL = 0.5  # share of a type's rows in its ellipse
_MIN_WIDTH_FOR_BOTH = 5.0  # inches that bars and map need side by side


class TypesDisplay:
    """Items that each type of rows prefers: users who rate items, say.

    Bars show the items with the largest contrasts of each type. The contrast of an item
    is its mean in the type minus its mean in all other types, weighted by their shares,
    less the average of this difference over all items, so that a type is not described
    by rating all items high or low. Beside the number of a type stand its share and its
    noise, the standard deviation of a single entry; types with little noise are
    consistent.

    With `covariance_type='factor'` a map shows the first two factors after the row's
    offset: a point is an item at its loadings, an ellipse contains half of the rows of
    a type. Rows like the items that lie in their direction from the center. The
    loadings are multiplied by a number that the title of the map gives.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    contrasts : ndarray of shape (K, d)
        Mean of each type minus the mean of the others, less `levels`, in units of the
        data. With one type, its means less `levels`.

    levels : ndarray of shape (K,)
        Mean of each type minus the mean of the others, averaged over all items. With
        one type, the average of its means.

    items : ndarray of shape (K, n_items)
        Columns with the highest contrasts of each type, highest first.

    weights : ndarray of shape (K,)
        Shares of the types.

    noise : ndarray of shape (K,)
        Standard deviation of a single entry in each type: the root of the mean variance
        over columns; with 'factor', of the mean noise variance.

    feature_names : ndarray of shape (d,)
        Names of the columns.

    loadings : ndarray of shape (2, d), default=None
        Loadings of the items on the two factors. None draws no map.

    factor_means : ndarray of shape (K, 2), default=None
        Means of the factors in each type.

    factor_covariances : ndarray of shape (K, 2, 2), default=None
        Covariances of the factors in each type.

    factors : ndarray of shape (m, 2), default=None
        Expected factors of the rows that are shown.

    highlight : ndarray of shape (2,), default=None
        Expected factors of the row that is marked.

    unit : str, default='units of X'
        Units of the contrasts.

    Attributes
    ----------
    bounding_ax_ : matplotlib Axes
        The given axes, or the axes of the new figure.

    ax_ : matplotlib Axes
        The axes of the bars; None without bars.

    map_ax_ : matplotlib Axes
        The axes of the map; None without a map.

    figure_ : matplotlib Figure
        The figure of the axes.

    bars_ : list of matplotlib BarContainer
        The bars of each type.

    headings_ : list of matplotlib Text
        Number, share and noise of each type.

    items_ : matplotlib PathCollection
        The items in the map.

    names_ : list of matplotlib Text
        The names of items far from the center.

    ellipses_ : list of matplotlib Ellipse
        The types in the map.

    texts_ : list of matplotlib Text
        The number of each type at its mean in the map.

    rows_ : matplotlib PathCollection
        Rows in the map; None without rows.

    highlight_ : matplotlib Line2D
        The row that is marked; None without one.

    item_scale_ : float
        The number that multiplies loadings in the map.

    See Also
    --------
    MixtureDisplay : Components in two columns.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import TypesDisplay
    >>> X = make_ratings(300, 40, n_types=2, density=0.3, random_state=0).data
    >>> mixture = MaskedGaussianMixture(2, covariance_type="factor", random_state=0)
    >>> names = [f"film {j}" for j in range(40)]
    >>> display = TypesDisplay.from_estimator(mixture.fit(X), feature_names=names)
    >>> display.items.shape
    (2, 5)
    """

    def __init__(
        self,
        *,
        contrasts: Array,
        levels: Array,
        items: Array,
        weights: Array,
        noise: Array,
        feature_names: Array,
        loadings: Array | None = None,
        factor_means: Array | None = None,
        factor_covariances: Array | None = None,
        factors: Array | None = None,
        highlight: Array | None = None,
        unit: str = "units of X",
    ) -> None:
        self.contrasts = contrasts
        self.levels = levels
        self.items = items
        self.weights = weights
        self.noise = noise
        self.feature_names = feature_names
        self.loadings = loadings
        self.factor_means = factor_means
        self.factor_covariances = factor_covariances
        self.factors = factors
        self.highlight = highlight
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        feature_names: Any = None,
        n_items: int = 5,
        highlight: int | None = None,
        max_rows: int = 2000,
        unit: str | None = None,
        ax: Axes | None = None,
        show: str = "auto",
        n_names: int = 8,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> TypesDisplay:
        """Draw the items that the types of a fitted mixture like.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; differences are then in the units of the input of its last step.
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Rows to show in the map, at their expected factors ('factor' only).
        feature_names : array-like of shape (n_features,), default=None
            Names of the items. None takes the names seen in fit.
        n_items : int, default=5
            Number of items of each type.
        highlight : int, default=None
            A row of X to mark in the map.
        max_rows : int, default=2000
            Largest number of rows to show. Of more rows, this many at equal distances
            are shown.
        unit : str, default=None
            Units of the data, such as 'stars'.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        show : {'auto', 'items', 'map', 'both'}, default='auto'
            Bars, map, or both side by side. 'auto' draws both if there is a map and
            the axes are 5 inches wide, else bars. A map needs 'factor' with two factors
            besides the offset.
        n_names : int, default=8
            How many items to name in the map: the farthest from the center, each in its
            own sector of directions.
        bar_kwargs : dict, default=None
            Properties of the bars (matplotlib Rectangle).

        Returns
        -------
        display : TypesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is not one name for each column, X or `highlight` cannot be shown,
            or there is no map to draw.

        See Also
        --------
        MixtureDisplay.from_estimator : Components in two columns.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.plotting import TypesDisplay
        >>> X = make_ratings(300, 40, n_types=2, density=0.3, random_state=0).data
        >>> mixture = MaskedGaussianMixture(2, covariance_type="factor", random_state=0)
        >>> display = TypesDisplay.from_estimator(mixture.fit(X), X, highlight=0)
        >>> display.factors.shape
        (300, 2)
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture = last_step(estimator, caller)
        check_integer("n_items", n_items, 1)
        contrasts, levels = _contrast(mixture.means_, mixture.weights_)
        # Covariates are no items; they come last.
        modeled = mixture._model.columns.modeled
        ranked = np.where(modeled, contrasts, -np.inf)
        order = np.argsort(-ranked, axis=1, kind="stable")
        n_items = min(n_items, int(modeled.sum()))
        map_parameters = _select_factors(mixture)
        if X is not None:
            if not map_parameters:
                raise ValueError(
                    "X is for the map of the factors, which needs "
                    "covariance_type='factor' and n_factors of at least 3. Leave X out."
                )
            _, Z = enter(estimator, X, caller)
            factors = mixture.factor_scores(Z)[:, 1:3]
            map_parameters |= _choose_rows(factors, max_rows, highlight)
        elif highlight is not None:
            raise ValueError("highlight is a row of X: pass X as well.")
        if unit is None:
            unit = "transformed units" if has_steps(estimator) else "units of X"
        display = cls(
            contrasts=contrasts,
            levels=levels,
            items=order[:, :n_items],
            weights=mixture.weights_,
            noise=_measure_noise(mixture),
            feature_names=column_names(estimator, feature_names),
            unit=unit,
            **map_parameters,
        )
        return display.plot(ax, show=show, n_names=n_names, bar_kwargs=bar_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        show: str = "auto",
        n_names: int = 8,
        bar_kwargs: dict[str, Any] | None = None,
    ) -> TypesDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        show : {'auto', 'items', 'map', 'both'}, default='auto'
            Bars, map, or both side by side.
        n_names : int, default=8
            How many items to name in the map.
        bar_kwargs : dict, default=None
            Properties of the bars (matplotlib Rectangle).

        Returns
        -------
        display : TypesDisplay
            The display itself.

        See Also
        --------
        from_estimator : Make a display from a fitted mixture.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.plotting import TypesDisplay
        >>> X = make_ratings(300, 40, n_types=2, density=0.3, random_state=0).data
        >>> mixture = MaskedGaussianMixture(2, covariance_type="factor", random_state=0)
        >>> left, right = Figure(figsize=(9, 4)).subplots(1, 2)
        >>> display = TypesDisplay.from_estimator(mixture.fit(X), ax=left)
        >>> display = display.plot(right, show="map", n_names=3)
        >>> len(display.names_)
        3
        """
        check_option("show", show, ("auto", "items", "map", "both"))
        check_integer("n_names", n_names, 0)
        if show not in ("auto", "items") and self.loadings is None:
            raise ValueError(
                f"show={show!r} needs a map of the factors: covariance_type='factor' "
                "and n_factors of at least 3. Pass show='items'."
            )
        self._make_axes(ax, show)
        self.bars_: list[BarContainer] = []
        self.headings_: list[Text] = []
        self.items_: PathCollection | None = None
        self.names_: list[Text] = []
        self.ellipses_: list[Ellipse] = []
        self.texts_: list[Text] = []
        self.rows_: PathCollection | None = None
        self.highlight_: Line2D | None = None
        self.item_scale_: float | None = None
        if self.ax_ is not None:
            self._draw_bars(self.ax_, bar_kwargs)
        if self.map_ax_ is not None:
            self._draw_map(self.map_ax_, n_names)
        return self

    def _make_axes(self, ax: Axes | None, show: str) -> None:
        """Set the axes of bars and map, and their figure."""
        caller = f"{type(self).__name__}.plot"
        if ax is not None:
            ax = make_axes(ax, caller)
        if show == "auto":
            narrow = ax is not None and measure_width(ax) < _MIN_WIDTH_FOR_BOTH
            show = "items" if self.loadings is None or narrow else "both"
        if ax is None:
            n_lines = self.items.size + 1.6 * len(self.items)
            width = {"items": 5.5, "map": 5.0, "both": 10.0}[show]
            height = 5.0 if show == "map" else max(0.21 * n_lines + 0.8, 3.0)
            if show == "both":
                height = max(height, 4.8)
            plt = require_pyplot(caller)
            _, ax = plt.subplots(figsize=(width, height), layout="constrained")
        assert ax is not None
        self.bounding_ax_ = ax
        self.figure_ = ax.figure
        self.ax_ = None if show == "map" else ax
        self.map_ax_ = None if show == "items" else ax
        if show == "both":
            self.ax_, self.map_ax_ = divide_axes(ax, 2)

    def _draw_bars(self, ax: Axes, given: dict[str, Any] | None) -> None:
        """The items of each type, under a heading for the type."""
        from matplotlib.patches import Rectangle

        n_items = self.items.shape[1]
        step = n_items + 1.6
        size, length = _fit_text(ax, step * len(self.items))
        for k, items in enumerate(self.items):
            style = make_style(
                "bar_kwargs",
                given,
                Rectangle,
                facecolor=COLORS[k % len(COLORS)],
                height=0.75,
            )
            heights = k * step + np.arange(1, n_items + 1)
            self.bars_.append(ax.barh(heights, self.contrasts[k, items], **style))
            heading = f"type {k}: {self.weights[k]:.0%}, noise ±{_short(self.noise[k])}"
            self.headings_.append(
                ax.text(
                    0.01,
                    k * step,
                    heading,
                    transform=ax.get_yaxis_transform(),
                    va="center",
                    fontsize=size,
                    weight="bold",
                    path_effects=outline(),
                )
            )
        ticks = step * np.arange(len(self.items))[:, None] + np.arange(1, n_items + 1)
        names = [shorten(self.feature_names[j], length) for j in self.items.ravel()]
        ax.set_yticks(ticks.ravel(), names, fontsize=size)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(self.items) * step - 0.6, -0.8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.spines[["top", "right", "left"]].set_visible(False)
        others = "other types" if len(self.items) > 1 else "the mean item"
        ax.set_xlabel(f"more than {others} ({self.unit})", fontsize="small")

    def _draw_map(self, ax: Axes, n_names: int) -> None:
        """Items and types in two factors, in one scale: directions are compared."""
        extent = self._draw_types(ax)
        loadings = np.asarray(self.loadings)
        longest = np.hypot(*loadings).max(initial=0.0)
        self.item_scale_ = float(1.3 * extent / longest) if longest > 0 else 1.0
        x, y = self.item_scale_ * loadings
        self.items_ = ax.scatter(
            x, y, s=8, color="0.25", marker="+", linewidths=0.6, alpha=0.6, zorder=2
        )
        if self.factors is not None:
            x, y = self.factors.T
            self.rows_ = ax.scatter(x, y, s=3, color="0.6", linewidths=0, zorder=1)
        if self.highlight is not None:
            (self.highlight_,) = ax.plot(
                *self.highlight,
                marker="*",
                markersize=15,
                color="black",
                markeredgecolor="white",
                linestyle="",
                zorder=6,
            )
        self._name_items(ax, loadings, n_names)
        ax.axhline(0, color="0.8", linewidth=0.7, zorder=0)
        ax.axvline(0, color="0.8", linewidth=0.7, zorder=0)
        ax.set(
            xlim=(-2.1 * extent, 2.1 * extent),
            ylim=(-1.6 * extent, 1.6 * extent),
            aspect="equal",
        )
        ax.set_xlabel("factor 1", fontsize="small")
        ax.set_ylabel("factor 2", fontsize="small")
        ax.set_title(
            f"+ items times {self.item_scale_:.2g}, ellipses: half of each type",
            fontsize="small",
        )

    def _draw_types(self, ax: Axes) -> float:
        """Ellipses and numbers of the types; their largest distance from the center."""
        from matplotlib.patches import Ellipse

        means = np.asarray(self.factor_means)
        covariances = np.asarray(self.factor_covariances)
        extents = [float(np.abs(means).max(initial=0.0))]
        for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
            color = COLORS[k % len(COLORS)]
            width, height, angle = measure_ellipse(covariance, _ELLIPSE_LEVEL)
            ellipse = Ellipse(
                mean,
                width,
                height,
                angle=angle,
                edgecolor=color,
                facecolor=(color, 0.1),
                linewidth=1.6,
                linestyle=LINES[k % len(LINES)],
                zorder=3,
            )
            ax.add_patch(ellipse)
            self.ellipses_.append(ellipse)
            extents.append(float(np.abs(mean).max()) + max(width, height) / 2)
            x, y = mean
            self.texts_.append(
                ax.text(
                    x,
                    y,
                    str(k),
                    ha="center",
                    va="center",
                    weight="bold",
                    zorder=5,
                    path_effects=outline(3),
                )
            )
        return max(extents)

    def _name_items(self, ax: Axes, loadings: Array, n_names: int) -> None:
        """Names of the farthest items beside their points, away from the center."""
        length = int(np.clip(5.5 * measure_width(ax), 8, 24))
        for item in _find_extremes(loadings, n_names):
            x, y = self.item_scale_ * loadings[:, item]
            self.names_.append(
                ax.annotate(
                    shorten(self.feature_names[item], length),
                    (x, y),
                    xytext=(3 if x >= 0 else -3, 3 if y >= 0 else -3),
                    textcoords="offset points",
                    ha="left" if x >= 0 else "right",
                    va="bottom" if y >= 0 else "top",
                    fontsize="x-small",
                    zorder=7,
                    path_effects=outline(),
                    annotation_clip=True,
                )
            )


def _contrast(means: Array, weights: Array) -> tuple[Array, Array]:
    """Means (K, d) less the means of the others and the level (K,); and the level."""
    rest = (weights.sum() - weights)[:, None]
    others = weights @ means - weights[:, None] * means
    # A type is compared with 0 if there are no others, or the others are empty.
    gaps = means - np.divide(others, rest, out=np.zeros_like(means), where=rest > 1e-12)
    levels = gaps.mean(axis=1)
    return gaps - levels[:, None], levels


def _select_factors(mixture: BaseObservedMixture) -> dict[str, Array]:
    """Loadings and types in the two factors after the offset; empty without these."""
    loadings = getattr(mixture, "components_", np.empty((0, 0)))
    if len(loadings) < 3:
        return {}
    return {
        "loadings": loadings[1:3],
        "factor_means": mixture.factor_means_[:, 1:3],
        "factor_covariances": mixture.factor_covariances_[:, 1:3, 1:3],
    }


def _choose_rows(
    factors: Array, max_rows: int, highlight: int | None
) -> dict[str, Array]:
    """Factors of the rows to show, and of the row to mark."""
    rows = spread_evenly(len(factors), check_integer("max_rows", max_rows, 1))
    chosen = {"factors": factors[rows]}
    if highlight is not None:
        if check_integer("highlight", highlight, 0) >= len(factors):
            raise ValueError(
                f"highlight={highlight} should be below the {len(factors)} rows of X."
            )
        chosen["highlight"] = factors[highlight]
    return chosen


def _fit_text(ax: Axes, n_lines: float) -> tuple[float, int]:
    """Font size for this many lines in the axes, and the length of names beside it."""
    box = ax.get_window_extent()
    width, height = np.array([box.width, box.height]) * 72 / ax.figure.dpi
    size = float(np.clip(0.85 * height / n_lines, 4, 8.5))
    return size, int(np.clip(0.42 * width / (0.55 * size), 10, 32))


def _short(number: float) -> str:
    """A number with two significant digits or two decimals."""
    return f"{number:.2f}" if 0.1 <= number < 100 else f"{number:.2g}"


def _measure_noise(mixture: BaseObservedMixture) -> Array:
    """Standard deviation (K,) of a single entry in each type."""
    if hasattr(mixture, "noise_scale_"):
        return np.sqrt(mixture.noise_scale_ * mixture.noise_variance_.mean())
    variances = mixture.covariances_
    kind = getattr(mixture, "covariance_type_", "spherical")
    if kind in ("full", "tied"):
        variances = np.diagonal(variances, axis1=-2, axis2=-1).mean(axis=-1)
    elif kind == "diag":
        variances = variances.mean(axis=1)
    return np.sqrt(np.broadcast_to(variances, mixture.weights_.shape))


def _find_extremes(loadings: Array, n_names: int) -> list[int]:
    """The farthest item of each of `n_names` sectors of directions."""
    if not n_names:
        return []
    lengths = np.hypot(*loadings)
    turns = np.arctan2(loadings[1], loadings[0]) / (2 * np.pi) % 1.0
    sectors = np.minimum((turns * n_names).astype(int), n_names - 1)
    farthest = [
        in_sector[np.argmax(lengths[in_sector])]
        for in_sector in (np.flatnonzero(sectors == s) for s in range(n_names))
        if in_sector.size
    ]
    return [item for item in farthest if lengths[item] > 0]
