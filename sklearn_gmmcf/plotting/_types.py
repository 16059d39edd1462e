"""TypesDisplay: what types of users like, how consistent they are, a map of tastes."""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf.plotting._common import (
    COLORS,
    LINES,
    check_number,
    check_option,
    column_names,
    divide_axes,
    ellipse_of,
    enter,
    has_steps,
    last_step,
    make_axes,
    make_style,
    outline,
    require_pyplot,
    shorten,
    spread_evenly,
)

_LEVEL = 0.5  # what ellipses hold
_BOTH = 5.0  # inches that bars and map need side by side


class TypesDisplay:
    """What each type of rows likes more than the others: users who rate items, say.

    Bars are the items that stand out the most in each type: its mean there minus that
    of all other types, weighed by their shares, less what this is over all items, so
    that types whose rows rate all items high or low are not told by that. Beside the
    number of a type stand its share and its noise, the standard deviation of a single
    entry; types of little noise are the consistent ones.

    With `covariance_type='factor'` a map shows the first two tastes, which are the
    factors that follow the row's offset: a point is an item at its loadings, an ellipse
    holds half of the rows of a type. Rows like items that lie in their direction from
    the center. Items are drawn at a scale of their own, which the map says.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    contrasts : ndarray of shape (K, d)
        Mean of each type minus that of the others, less `levels`, in units of the data.
        With one type, its means.

    levels : ndarray of shape (K,)
        By how much the rows of each type rate all items higher than the others do. With
        one type, the mean of its means.

    items : ndarray of shape (K, n_items)
        Columns with the highest contrasts of each type, highest first.

    weights : ndarray of shape (K,)
        Shares of the types.

    noise : ndarray of shape (K,)
        Standard deviation of a single entry in each type: the root of the mean variance
        over columns, of the noise alone with 'factor'.

    feature_names : ndarray of shape (d,)
        Names of the columns.

    loadings : ndarray of shape (2, d), default=None
        Loadings of the items on the two tastes. None draws no map.

    taste_means : ndarray of shape (K, 2), default=None
        Mean tastes of the types.

    taste_covariances : ndarray of shape (K, 2, 2), default=None
        Their covariances.

    tastes : ndarray of shape (m, 2), default=None
        Expected tastes of some rows.

    highlight : ndarray of shape (2,), default=None
        Those of one row that is marked.

    unit : str, default='units of X'
        Units of the contrasts.

    Attributes
    ----------
    bounding_ax_ : matplotlib Axes
        The axes that were given, or those of the new figure.

    ax_ : matplotlib Axes
        The axes of the bars; None without.

    map_ax_ : matplotlib Axes
        The axes of the map; None without.

    figure_ : matplotlib Figure
        The figure of the axes.

    bars_ : list of matplotlib BarContainer
        The bars of each type.

    headings_ : list of matplotlib Text
        Number, share and noise of each type.

    items_ : matplotlib PathCollection
        The items in the map.

    names_ : list of matplotlib Text
        The names of the extreme ones.

    ellipses_ : list of matplotlib Ellipse
        The types in the map.

    texts_ : list of matplotlib Text
        The number of each type at its mean in the map.

    rows_ : matplotlib PathCollection
        Rows in the map; None without.

    highlight_ : matplotlib Line2D
        The row that is marked; None without.

    item_scale_ : float
        By what loadings are multiplied in the map.

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
        contrasts,
        levels,
        items,
        weights,
        noise,
        feature_names,
        loadings=None,
        taste_means=None,
        taste_covariances=None,
        tastes=None,
        highlight=None,
        unit="units of X",
    ):
        self.contrasts = contrasts
        self.levels = levels
        self.items = items
        self.weights = weights
        self.noise = noise
        self.feature_names = feature_names
        self.loadings = loadings
        self.taste_means = taste_means
        self.taste_covariances = taste_covariances
        self.tastes = tastes
        self.highlight = highlight
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        feature_names=None,
        n_items=5,
        X=None,
        highlight=None,
        max_rows=2000,
        unit=None,
        ax=None,
        show="auto",
        n_names=8,
        bar_kwargs=None,
    ):
        """Draw what the types of a fitted mixture like.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; differences are then in the units that its last step sees.
        feature_names : array-like of shape (n_features,), default=None
            Names of the items. None takes those seen in fit.
        n_items : int, default=5
            Items of each type.
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Rows to show in the map, at their expected tastes ('factor' only).
        highlight : int, default=None
            A row of X to mark in the map.
        max_rows : int, default=2000
            Of more rows of X, so many at equal distances are shown.
        unit : str, default=None
            Units of the data, such as 'stars'.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        show : {'auto', 'items', 'map', 'both'}, default='auto'
            Bars, map, or both side by side. 'auto' draws what there is and has room (5
            inches for both): the map needs 'factor' with two factors besides the
            offset.
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
            If names are not as many as columns, X or `highlight` cannot be shown, or
            there is no map to draw.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture = last_step(estimator, caller)
        check_number("n_items", n_items, 1)
        contrasts, levels = _contrast(mixture.means_, mixture.weights_)
        order = np.argsort(-contrasts, axis=1, kind="stable")
        loadings = getattr(mixture, "components_", np.empty((0, 0)))
        mapped = {}
        if len(loadings) >= 3:
            mapped = {
                "loadings": loadings[1:3],
                "taste_means": mixture.factor_means_[:, 1:3],
                "taste_covariances": mixture.factor_covariances_[:, 1:3, 1:3],
            }
        if X is not None:
            if not mapped:
                raise ValueError(
                    "X is for the map of tastes, which needs covariance_type='factor' "
                    "and n_factors of at least 3. Leave X out."
                )
            _, Z = enter(estimator, X, caller)
            tastes = _infer_tastes(mixture, Z)[:, 1:3]
            shown = spread_evenly(len(tastes), check_number("max_rows", max_rows, 1))
            mapped["tastes"] = tastes[shown]
            if highlight is not None:
                if check_number("highlight", highlight, 0) >= len(tastes):
                    raise ValueError(
                        f"highlight={highlight} should be below the {len(tastes)} rows "
                        "of X."
                    )
                mapped["highlight"] = tastes[highlight]
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
            **mapped,
        )
        return display.plot(ax, show=show, n_names=n_names, bar_kwargs=bar_kwargs)

    def plot(self, ax=None, *, show="auto", n_names=8, bar_kwargs=None):
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
        """
        caller = f"{type(self).__name__}.plot"
        check_option("show", show, ("auto", "items", "map", "both"))
        check_number("n_names", n_names, 0)
        if show not in ("auto", "items") and self.loadings is None:
            raise ValueError(
                f"show={show!r} needs a map of tastes: covariance_type='factor' and "
                "n_factors of at least 3. Pass show='items'."
            )
        if ax is not None:
            self.bounding_ax_ = make_axes(ax, caller)
        if show == "auto":
            narrow = ax is not None and _measure_width(ax) < _BOTH
            show = "items" if self.loadings is None or narrow else "both"
        if ax is None:
            plt = require_pyplot(caller)
            n_lines = self.items.size + 1.6 * len(self.items)
            size = (
                {"items": 5.5, "map": 5.0, "both": 10.0}[show],
                5.0 if show == "map" else max(0.21 * n_lines + 0.8, 3.0),
            )
            if show == "both":
                size = size[0], max(size[1], 4.8)
            _, self.bounding_ax_ = plt.subplots(figsize=size, layout="constrained")
        self.figure_ = self.bounding_ax_.figure
        self.ax_ = None if show == "map" else self.bounding_ax_
        self.map_ax_ = None if show == "items" else self.bounding_ax_
        if show == "both":
            self.ax_, self.map_ax_ = divide_axes(self.bounding_ax_, 2)
        self.bars_, self.headings_ = [], []
        self.items_ = self.rows_ = self.highlight_ = self.item_scale_ = None
        self.names_, self.ellipses_, self.texts_ = [], [], []
        if self.ax_ is not None:
            self._draw_bars(bar_kwargs)
        if self.map_ax_ is not None:
            self._draw_map(n_names)
        return self

    def _draw_bars(self, given):
        from matplotlib.patches import Rectangle

        ax, n_items = self.ax_, self.items.shape[1]
        step = n_items + 1.6
        # As small as the lines are close, and names as short as the axes are narrow.
        box = ax.get_window_extent()
        width, height = np.array([box.width, box.height]) * 72 / ax.figure.dpi
        size = float(np.clip(0.85 * height / (step * len(self.items)), 4, 8.5))
        length = int(np.clip(0.42 * width / (0.55 * size), 10, 32))
        places, names = [], []
        for k, items in enumerate(self.items):
            at = k * step + np.arange(1, n_items + 1)
            style = make_style(
                "bar_kwargs",
                given,
                Rectangle,
                facecolor=COLORS[k % len(COLORS)],
                height=0.75,
            )
            self.bars_.append(ax.barh(at, self.contrasts[k, items], **style))
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
            places.extend(at)
            names.extend(shorten(self.feature_names[j], length) for j in items)
        ax.set_yticks(places, names, fontsize=size)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(self.items) * step - 0.6, -0.8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        others = "other types" if len(self.items) > 1 else "the mean item"
        ax.set_xlabel(f"more than {others} ({self.unit})", fontsize="small")

    def _draw_map(self, n_names):
        from matplotlib.patches import Ellipse

        ax = self.map_ax_
        extents = [np.abs(self.taste_means).max(initial=0.0)]
        for k, (mean, covariance) in enumerate(
            zip(self.taste_means, self.taste_covariances, strict=True)
        ):
            color = COLORS[k % len(COLORS)]
            width, height, angle = ellipse_of(mean, covariance, _LEVEL)
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
            extents.append(np.abs(mean).max() + max(width, height) / 2)
            self.texts_.append(
                ax.text(
                    *mean,
                    str(k),
                    ha="center",
                    va="center",
                    weight="bold",
                    zorder=5,
                    path_effects=outline(3),
                )
            )
        reach = max(extents)
        lengths = np.hypot(*self.loadings)
        longest = lengths.max(initial=0.0)
        self.item_scale_ = 1.3 * reach / longest if longest > 0 else 1.0
        items = self.item_scale_ * self.loadings
        if self.tastes is not None:
            self.rows_ = ax.scatter(
                *self.tastes.T, s=3, color="0.6", linewidths=0, zorder=1
            )
        self.items_ = ax.scatter(
            *items, s=8, color="0.25", marker="+", linewidths=0.6, alpha=0.6, zorder=2
        )
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
        length = int(np.clip(5.5 * _measure_width(ax), 8, 24))
        for item in _extremes(self.loadings, n_names):
            x, y = items[:, item]
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
        ax.axhline(0, color="0.8", linewidth=0.7, zorder=0)
        ax.axvline(0, color="0.8", linewidth=0.7, zorder=0)
        # Directions are compared, so both axes have one scale.
        ax.set(
            xlim=(-2.1 * reach, 2.1 * reach),
            ylim=(-1.6 * reach, 1.6 * reach),
            aspect="equal",
        )
        ax.set_xlabel("taste 1", fontsize="small")
        ax.set_ylabel("taste 2", fontsize="small")
        ax.set_title(
            f"+ items times {self.item_scale_:.2g}, ellipses: half of each type",
            fontsize="small",
        )


def _contrast(means, weights):
    """Mean of each type minus that of the others (K, d), without its level (K,)."""
    rest = (weights.sum() - weights)[:, None]
    others = weights @ means - weights[:, None] * means
    # A type without others, or whose others are empty, is compared with nothing.
    gaps = means - np.divide(others, rest, out=np.zeros_like(means), where=rest > 1e-12)
    levels = gaps.mean(axis=1)
    return gaps - levels[:, None], levels


def _short(number):
    return f"{number:.2f}" if 0.1 <= number < 100 else f"{number:.2g}"


def _measure_width(ax):
    """Inches."""
    return ax.get_window_extent().width / ax.figure.dpi


def _measure_noise(mixture):
    """Standard deviation of a single entry in each type (K,)."""
    if hasattr(mixture, "noise_scale_"):
        return np.sqrt(mixture.noise_scale_ * mixture.noise_variance_.mean())
    variances = mixture.covariances_
    kind = getattr(mixture, "covariance_type", "spherical")
    if kind in ("full", "tied"):
        variances = np.diagonal(variances, axis1=-2, axis2=-1).mean(axis=-1)
    elif kind == "diag":
        variances = variances.mean(axis=1)
    return np.sqrt(np.broadcast_to(variances, mixture.weights_.shape))


@one_blas_thread
def _infer_tastes(mixture, Z):
    """Expected tastes of the rows (n, r), in the order of `components_`."""
    model = mixture._model
    blocks = mixture._observe(Z).map(
        lambda block: model.family.tastes(model.parameters, block)
    )
    return np.concatenate(list(blocks))


def _extremes(loadings, n_names):
    """The farthest items of each of so many sectors of directions."""
    if not n_names:
        return []
    lengths = np.hypot(*loadings)
    turns = np.arctan2(loadings[1], loadings[0]) / (2 * np.pi) % 1.0
    sectors = np.minimum((turns * n_names).astype(int), n_names - 1)
    farthest = [
        own[np.argmax(lengths[own])]
        for own in (np.flatnonzero(sectors == s) for s in range(n_names))
        if own.size
    ]
    return [item for item in farthest if lengths[item] > 0]
