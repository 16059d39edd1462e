# SPDX-License-Identifier: BSD-3-Clause
"""MixtureDisplay: rows in two columns, and components as ellipses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import Student
from sklearn_gmmcf.data._entries import find_observed
from sklearn_gmmcf.plotting._common import (
    COLORS,
    LINES,
    MARKERS,
    check_integer,
    check_levels,
    check_option,
    column_names,
    describe_mixture,
    enter,
    find_column,
    has_steps,
    make_axes,
    make_style,
    measure_ellipse,
    outline,
    require_pyplot,
    spread_evenly,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection


class MixtureDisplay:
    """Two columns of the data, and the components of a mixture in them.

    Each row is a point. Its marker shows its component (`predict`); its color is mixed
    from the colors of all components, weighted by their responsibilities
    (`predict_proba`). Each ellipse contains a given share of a component's probability
    in the two columns.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    points : ndarray of shape (m, 2)
        The completed rows, in units of the data.

    std : ndarray of shape (m, 2)
        Standard deviations of the completions; 0 where observed.

    observed : ndarray of shape (m, 2) of bool
        Whether each value was observed.

    responsibilities : ndarray of shape (m, K)
        Responsibilities of the components for the rows.

    labels : ndarray of shape (m,)
        Components of the rows, as `predict` returns them.

    means : ndarray of shape (K, 2)
        Means of the components.

    covariances : ndarray of shape (K, 2, 2)
        Covariances of the components; scale matrices of t components.

    weights : ndarray of shape (K,)
        Weights of the components.

    feature_names : sequence of two str
        Labels of the axes.

    name : str, default=None
        Title.

    styles : ndarray of shape (K,) of int, default=None
        Number of the color and marker of each component. None takes 0, 1, ...

    degrees_of_freedom : ndarray of shape (K,), default=None
        Degrees of freedom of t components. None: components are Gaussian.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure of the axes.

    scatters_ : list of matplotlib PathCollection
        The points of each component, in the order of the components.

    ellipses_ : list of matplotlib Ellipse
        Ellipses, by component and then by level.

    texts_ : list of matplotlib Text
        The number of each component at its mean.

    rugs_ : list of two matplotlib LineCollection
        Ticks at the bottom and at the left margin: rows in which only the first, or
        only the second, of the two columns was observed. Empty if
        ``missing='complete'``.

    error_bars_ : matplotlib LineCollection
        One standard deviation to both sides of completed values. None if
        ``missing='rug'``.

    See Also
    --------
    TypesDisplay : Differences between components where columns are many.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.plotting import MixtureDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(4, 1, (50, 2))])
    >>> X[::10, 0] = np.nan
    >>> mixture = MaskedGaussianMixture(
    ...     2, covariance_type="spherical", random_state=0
    ... ).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X)
    >>> len(display.ellipses_)
    4
    """

    def __init__(
        self,
        *,
        points: Array,
        std: Array,
        observed: Array,
        responsibilities: Array,
        labels: Array,
        means: Array,
        covariances: Array,
        weights: Array,
        feature_names: Any,
        name: str | None = None,
        styles: Array | None = None,
        degrees_of_freedom: Array | None = None,
    ) -> None:
        self.points = points
        self.std = std
        self.observed = observed
        self.responsibilities = responsibilities
        self.labels = labels
        self.means = means
        self.covariances = covariances
        self.weights = weights
        self.feature_names = feature_names
        self.name = name
        self.styles = styles
        self.degrees_of_freedom = degrees_of_freedom

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        features: Any = (0, 1),
        match: MixtureDisplay | None = None,
        max_rows: int = 5000,
        name: str | None = None,
        ax: Axes | None = None,
        missing: str = "rug",
        levels: Any = (0.5, 0.9),
        scatter_kwargs: dict[str, Any] | None = None,
        ellipse_kwargs: dict[str, Any] | None = None,
    ) -> MixtureDisplay:
        """Draw two columns of X and the components of a fitted mixture.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; axes are then in the units of the input of its last step.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries. Rows without an observation in the two columns
            are left out.
        features : sequence of two int or str, default=(0, 1)
            The two columns, by index or name.
        match : MixtureDisplay, default=None
            Give each component the color and marker of the nearest component of this
            display, one to one, so that two mixtures of the same data can be compared
            at a glance.
        max_rows : int, default=5000
            Largest number of rows to show. Of more rows, this many at equal distances
            are shown, and the title says so.
        name : str, default=None
            Title. None takes the covariance type and K.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        missing : {'rug', 'complete'}, default='rug'
            How to show rows with one of the two columns missing: as ticks at the
            margin, at the observed value; or as hollow points at their completion, with
            a line of one standard deviation to both sides.
        levels : float or sequence of float, default=(0.5, 0.9)
            Shares of a component's probability that its ellipses contain.
        scatter_kwargs : dict, default=None
            Properties of the points (matplotlib PathCollection).
        ellipse_kwargs : dict, default=None
            Properties of the ellipses (matplotlib Ellipse).

        Returns
        -------
        display : MixtureDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the columns cannot be found, no row has an observation in them, or an
            option is not known.

        See Also
        --------
        TypesDisplay.from_estimator : Differences of components over all columns.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
        >>> from sklearn_gmmcf.plotting import MixtureDisplay
        >>> rng = np.random.default_rng(0)
        >>> X = np.vstack([rng.normal(0, 1, (50, 3)), rng.normal(4, 1, (50, 3))])
        >>> X[::10, 0] = np.nan
        >>> kmeans = KMeansMixture(2, random_state=0).fit(X)
        >>> first = MixtureDisplay.from_estimator(kmeans, X, features=(0, 2))
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", random_state=1
        ... ).fit(X)
        >>> second = MixtureDisplay.from_estimator(
        ...     mixture, X, features=(0, 2), match=first, missing="complete"
        ... )
        >>> second.ax_.get_ylabel()
        'column 2'
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        check_integer("max_rows", max_rows, 1)
        mixture, Z = enter(estimator, X, caller)
        names = column_names(estimator)
        pair = _find_pair(features, names, caller)
        n_rows = np.shape(Z)[0]
        rows = spread_evenly(n_rows, max_rows)
        name = describe_mixture(mixture) if name is None else name
        if len(rows) < n_rows:
            name += f"\n{len(rows):,} of {n_rows:,} rows"
        means = mixture.means_[:, pair]
        covariances, degrees = _measure_components(mixture, pair)
        display = cls(
            **_gather_points(mixture, Z, rows, pair, names),
            means=means,
            covariances=covariances,
            weights=mixture.weights_,
            feature_names=[
                f"{names[j]} (transformed)" if has_steps(estimator) else str(names[j])
                for j in pair
            ],
            name=name,
            styles=None if match is None else _match_styles(means, match),
            degrees_of_freedom=degrees,
        )
        return display.plot(
            ax,
            missing=missing,
            levels=levels,
            scatter_kwargs=scatter_kwargs,
            ellipse_kwargs=ellipse_kwargs,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        missing: str = "rug",
        levels: Any = (0.5, 0.9),
        scatter_kwargs: dict[str, Any] | None = None,
        ellipse_kwargs: dict[str, Any] | None = None,
    ) -> MixtureDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        missing : {'rug', 'complete'}, default='rug'
            How to show rows with one of the two columns missing.
        levels : float or sequence of float, default=(0.5, 0.9)
            Shares of a component's probability that its ellipses contain.
        scatter_kwargs : dict, default=None
            Properties of the points (matplotlib PathCollection).
        ellipse_kwargs : dict, default=None
            Properties of the ellipses (matplotlib Ellipse).

        Returns
        -------
        display : MixtureDisplay
            The display itself.

        See Also
        --------
        from_estimator : Make a display from a fitted mixture.

        Examples
        --------
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.plotting import MixtureDisplay
        >>> rng = np.random.default_rng(0)
        >>> X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(4, 1, (50, 2))])
        >>> X[::10, 0] = np.nan
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", random_state=0
        ... ).fit(X)
        >>> left, right = Figure(layout="constrained").subplots(1, 2)
        >>> display = MixtureDisplay.from_estimator(mixture, X, ax=left)
        >>> display = display.plot(right, missing="complete", levels=0.9)
        >>> len(display.error_bars_.get_segments()), len(display.ellipses_)
        (10, 2)
        """
        check_option("missing", missing, ("rug", "complete"))
        levels = check_levels("levels", levels)
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        styles = range(len(self.means)) if self.styles is None else self.styles
        self._styles = [int(style) for style in styles]
        self._row_colors = self._mix_colors()
        complete = self.observed[:, 0] & self.observed[:, 1]
        shown = complete | (missing == "complete")
        self._draw_points(shown, complete, scatter_kwargs)
        self.rugs_ = self._draw_rugs() if missing == "rug" else []
        self.error_bars_ = self._draw_error_bars() if missing == "complete" else None
        self._set_limits(shown)
        self._draw_components(levels, ellipse_kwargs)
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        self.ax_.set_title(self.name or "", fontsize="medium")
        return self

    def _mix_colors(self) -> Array:
        """Colors of the rows (m, 3), mixed in linear light."""
        from matplotlib.colors import to_rgb

        pure = np.array([to_rgb(COLORS[s % len(COLORS)]) for s in self._styles])
        return np.clip(self.responsibilities @ pure**2.2, 0, 1) ** (1 / 2.2)

    def _draw_points(
        self, shown: Array, filled: Array, given: dict[str, Any] | None
    ) -> None:
        """The shown rows (m,); rows that are not filled are hollow."""
        from matplotlib.collections import PathCollection

        box = self.ax_.get_window_extent()
        area = box.width * box.height * (72 / self.figure_.dpi) ** 2
        size = np.clip(0.12 * area / max(shown.sum(), 1), 5, 30)
        style = make_style(
            "scatter_kwargs",
            given,
            PathCollection,
            s=size,
            linewidth=0.6,
            alpha=0.85,
            zorder=2,
        )
        alpha = style.pop("alpha")
        self.scatters_ = []
        for k, look in enumerate(self._styles):
            in_component = shown & (self.labels == k)
            points = self.ax_.scatter(
                *self.points[in_component].T,
                marker=MARKERS[look % len(MARKERS)],
                **style,
            )
            opacity = np.where(
                filled[in_component], 1.0 if alpha is None else alpha, 0.0
            )
            colors = self._row_colors[in_component]
            if not {"color", "facecolor"} & set(style):
                points.set(facecolor=np.column_stack([colors, opacity]))
            if not {"color", "edgecolor"} & set(style):
                points.set(edgecolor=colors * 0.75)
            self.scatters_.append(points)

    def _draw_rugs(self) -> list[LineCollection]:
        """Ticks at the margins: rows with one of the two columns observed."""
        from matplotlib.collections import LineCollection

        ax, length = self.ax_, 0.035
        rugs = []
        for axis, transform in enumerate(
            (ax.get_xaxis_transform(), ax.get_yaxis_transform())
        ):
            half_observed = self.observed[:, axis] & ~self.observed[:, 1 - axis]
            values = self.points[half_observed, axis]
            segments = np.empty((len(values), 2, 2))
            segments[:, :, axis] = values[:, None]
            segments[:, :, 1 - axis] = 0, length
            rug = LineCollection(
                list(segments),
                colors=self._row_colors[half_observed],
                linewidths=1.0,
                transform=transform,
                zorder=3,
            )
            ax.add_collection(rug, autolim=False)
            rugs.append(rug)
        return rugs

    def _draw_error_bars(self) -> LineCollection:
        """One standard deviation to both sides of each completed value."""
        from matplotlib.collections import LineCollection

        rows, columns = np.nonzero(~self.observed)
        ends = np.repeat(self.points[rows, None], 2, axis=1)
        steps = self.std[rows, columns]
        ends[np.arange(len(rows)), 0, columns] -= steps
        ends[np.arange(len(rows)), 1, columns] += steps
        error_bars = LineCollection(
            list(ends),
            colors=self._row_colors[rows],
            linewidths=0.6,
            alpha=0.6,
            zorder=1,
        )
        self.ax_.add_collection(error_bars, autolim=False)
        return error_bars

    def _set_limits(self, shown: Array) -> None:
        """Limits by the data, so that mixtures of the same data have the same axes."""
        for axis, limits in enumerate(("xlim", "ylim")):
            values = self.points[shown | self.observed[:, axis], axis]
            if not values.size:
                values = self.means[:, axis]
            low, high = values.min(), values.max()
            margin = 0.1 * (high - low) or 0.5
            self.ax_.set(**{limits: (low - margin, high + margin)})

    def _draw_components(self, levels: Array, given: dict[str, Any] | None) -> None:
        """Ellipses at all levels, and the number of the component at its mean."""
        from matplotlib.patches import Ellipse

        self.ellipses_, self.texts_ = [], []
        degrees = self.degrees_of_freedom
        if degrees is None:
            degrees = np.full(len(self.means), np.inf)
        for k, look in enumerate(self._styles):
            color = COLORS[look % len(COLORS)]
            style = make_style(
                "ellipse_kwargs",
                given,
                Ellipse,
                edgecolor=color,
                facecolor=(color, 0.12),
                linewidth=1.4,
                linestyle=LINES[look % len(LINES)],
                zorder=1.5,
            )
            for level in levels:
                width, height, angle = measure_ellipse(
                    self.covariances[k], level, degrees[k]
                )
                ellipse = Ellipse(self.means[k], width, height, angle=angle, **style)
                self.ax_.add_artist(ellipse)
                ellipse.set_clip_path(self.ax_.patch)
                self.ellipses_.append(ellipse)
            x, y = self.means[k]
            text = self.ax_.text(
                x,
                y,
                str(k),
                ha="center",
                va="center",
                weight="bold",
                size="medium",
                zorder=4,
                clip_on=True,
                path_effects=outline(3),
            )
            self.texts_.append(text)


def _measure_components(mixture: Any, pair: Array) -> tuple[Array, Array | None]:
    """Covariances or scale matrices (K, 2, 2), and degrees of freedom (K,) if any."""
    components = range(len(mixture.weights_))
    model = mixture._model
    if isinstance(model.family, Student):
        scales = [model.family.scale(model.parameters, k, pair) for k in components]
        return np.array(scales), mixture.degrees_of_freedom_
    covariances = [mixture.get_covariance(k, columns=pair) for k in components]
    return np.array(covariances), None


def _find_pair(features: Any, names: Array, caller: str) -> Array:
    """Indices (2,) of two different columns."""
    if np.ndim(features) != 1 or len(features) != 2:
        raise ValueError(f"features should be two columns, but got {features!r}.")
    if len(names) < 2:
        raise ValueError(
            f"{caller} draws two columns, but the mixture was fitted on one."
        )
    pair = np.array([find_column(column, names) for column in features])
    if pair[0] == pair[1]:
        raise ValueError(f"features should differ, but got {features!r}.")
    return pair


def _gather_points(
    mixture: BaseObservedMixture, Z: Any, rows: Array, pair: Array, names: Array
) -> dict[str, Array]:
    """The rows with an observation in the two columns, as MixtureDisplay takes them."""
    entries = np.repeat(rows, 2), np.tile(pair, len(rows))
    completed, std = mixture.complete(Z, entries=entries, return_std=True)
    observed = find_observed(Z, *entries, mixture.missing_values).reshape(-1, 2)
    visible = observed.any(axis=1)
    if not visible.any():
        raise ValueError(
            f"No row of X has an observation of {names[pair[0]]!r} or "
            f"{names[pair[1]]!r}. Choose other features."
        )
    rows = rows[visible]
    return {
        "points": completed.reshape(-1, 2)[visible],
        "std": std.reshape(-1, 2)[visible],
        "observed": observed[visible],
        "responsibilities": mixture.predict_proba(Z)[rows],
        "labels": mixture.predict(Z)[rows],
    }


def _match_styles(means: Array, display: MixtureDisplay) -> Array:
    """Styles of the nearest components of a display, and new styles for the others."""
    scale = np.ptp(display.points, axis=0)
    gaps = (means[:, None] - display.means) / np.where(scale > 0, scale, 1)
    matched, nearest = linear_sum_assignment((gaps**2).sum(axis=2))
    used = range(len(display.means)) if display.styles is None else display.styles
    styles = np.full(len(means), -1)
    styles[matched] = np.asarray(used)[nearest]
    unmatched = styles < 0
    styles[unmatched] = max(used) + 1 + np.arange(unmatched.sum())
    return styles
