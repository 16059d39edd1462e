"""MixtureDisplay: two columns, soft assignments, components as ellipses."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from sklearn_gmmcf.plotting._common import (
    COLORS,
    LINES,
    MARKERS,
    check_levels,
    check_number,
    check_option,
    column_names,
    ellipse_of,
    enter,
    find_column,
    find_observed,
    has_steps,
    make_axes,
    make_style,
    name_of,
    outline,
    require_pyplot,
    spread_evenly,
)


class MixtureDisplay:
    """Two columns of the data, and the components of a mixture in them.

    A row is a point whose marker is that of its component (`predict`) and whose color
    is mixed from those of all components by their responsibilities (`predict_proba`).
    Ellipses hold given shares of a component's probability in the two columns.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    points : ndarray of shape (m, 2)
        The rows that are shown, completed, in units of the data.

    std : ndarray of shape (m, 2)
        Standard deviations of the completions; 0 where observed.

    observed : ndarray of shape (m, 2) of bool
        What was observed.

    responsibilities : ndarray of shape (m, K)
        Probabilities of the components.

    labels : ndarray of shape (m,)
        Components that `predict` names.

    means : ndarray of shape (K, 2)
        Means of the components.

    covariances : ndarray of shape (K, 2, 2)
        Their covariances.

    weights : ndarray of shape (K,)
        Their shares.

    feature_names : sequence of two str
        Labels of the axes.

    name : str, default=None
        Title.

    styles : ndarray of shape (K,) of int, default=None
        Which color and marker each component has; None counts them up.

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
        Ticks at the bottom and at the left margin: rows of which only the first, or
        only the second, of the two columns was observed. Empty if ``holes='complete'``.

    error_bars_ : matplotlib LineCollection
        One standard deviation to both sides of completed values. None if
        ``holes='rug'``.

    See Also
    --------
    TypesDisplay : What tells components apart where columns are many.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.plotting import MixtureDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(4, 1, (50, 2))])
    >>> X[::10, 0] = np.nan
    >>> mixture = MaskedGaussianMixture(2, random_state=0).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X)
    >>> len(display.ellipses_)
    4
    """

    def __init__(
        self,
        *,
        points,
        std,
        observed,
        responsibilities,
        labels,
        means,
        covariances,
        weights,
        feature_names,
        name=None,
        styles=None,
    ):
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

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        features=(0, 1),
        match=None,
        max_rows=5000,
        name=None,
        ax=None,
        holes="rug",
        levels=(0.5, 0.9),
        scatter_kwargs=None,
        ellipse_kwargs=None,
    ):
        """Draw two columns of X and what a fitted mixture makes of them.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; axes are then in the units that its last step sees.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes. Rows that show neither of the two columns are left out.
        features : sequence of two int or str, default=(0, 1)
            The two columns, by index or name.
        match : MixtureDisplay, default=None
            Give each component the color and marker of the component of this display
            that lies nearest, one to one, so that two mixtures of the same data compare
            at a glance.
        max_rows : int, default=5000
            Of more rows, so many at equal distances are shown, and the title says so.
        name : str, default=None
            Title. None takes covariance type and K.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        holes : {'rug', 'complete'}, default='rug'
            How to show rows with one of the two columns observed: as ticks at the
            margin, at the observed value; or as hollow points at their completion, with
            a line of one standard deviation to both sides.
        levels : float or sequence of float, default=(0.5, 0.9)
            Shares of a component's probability that its ellipses hold.
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
            If the columns cannot be found, no row shows one of them, or an option is
            not known.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        check_number("max_rows", max_rows, 1)
        mixture, Z = enter(estimator, X, caller)
        names = column_names(estimator)
        if np.ndim(features) != 1 or len(features) != 2:
            raise ValueError(f"features should be two columns, but got {features!r}.")
        if len(names) < 2:
            raise ValueError(
                f"{caller} draws two columns, but the mixture was fitted on one."
            )
        pair = np.array([find_column(column, names) for column in features])
        if pair[0] == pair[1]:
            raise ValueError(f"features should differ, but got {features!r}.")
        shown = spread_evenly(np.shape(Z)[0], max_rows)
        entries = np.repeat(shown, 2), np.tile(pair, len(shown))
        completed, std = mixture.complete(Z, entries=entries, return_std=True)
        observed = find_observed(mixture, Z, entries).reshape(-1, 2)
        some = observed.any(axis=1)
        if not some.any():
            raise ValueError(
                f"No row of X shows {names[pair[0]]!r} or {names[pair[1]]!r}. Choose "
                "other features."
            )
        rows = shown[some]
        responsibilities = mixture.predict_proba(Z)
        model = mixture._model
        means = mixture.means_[:, pair]
        name = name_of(mixture) if name is None else name
        if len(shown) < np.shape(Z)[0]:
            name += f"\n{len(shown):,} of {np.shape(Z)[0]:,} rows"
        display = cls(
            points=completed.reshape(-1, 2)[some],
            std=std.reshape(-1, 2)[some],
            observed=observed[some],
            responsibilities=responsibilities[rows],
            labels=mixture.predict(Z)[rows],
            means=means,
            # get_covariance would build all columns.
            covariances=np.array(
                [
                    model.family.covariance(model.parameters, k, pair)
                    for k in range(len(means))
                ]
            ),
            weights=mixture.weights_,
            feature_names=[
                f"{names[j]} (transformed)" if has_steps(estimator) else str(names[j])
                for j in pair
            ],
            name=name,
            styles=None if match is None else _matched(means, match),
        )
        return display.plot(
            ax,
            holes=holes,
            levels=levels,
            scatter_kwargs=scatter_kwargs,
            ellipse_kwargs=ellipse_kwargs,
        )

    def plot(
        self,
        ax=None,
        *,
        holes="rug",
        levels=(0.5, 0.9),
        scatter_kwargs=None,
        ellipse_kwargs=None,
    ):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        holes : {'rug', 'complete'}, default='rug'
            How to show rows with one of the two columns observed.
        levels : float or sequence of float, default=(0.5, 0.9)
            Shares of a component's probability that its ellipses hold.
        scatter_kwargs : dict, default=None
            Properties of the points (matplotlib PathCollection).
        ellipse_kwargs : dict, default=None
            Properties of the ellipses (matplotlib Ellipse).

        Returns
        -------
        display : MixtureDisplay
            The display itself.
        """
        check_option("holes", holes, ("rug", "complete"))
        levels = check_levels("levels", levels)
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        styles = range(len(self.means)) if self.styles is None else self.styles
        self._styles = [int(style) for style in styles]
        self._mixed = self._mix_colors()
        whole = self.observed.all(axis=1)
        self._draw_points(whole | (holes == "complete"), whole, scatter_kwargs)
        self.rugs_, self.error_bars_ = [], None
        if holes == "rug":
            self._draw_rugs()
        else:
            self._draw_error_bars()
        self._limit(whole | (holes == "complete"))
        self._draw_components(levels, ellipse_kwargs)
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        self.ax_.set_title(self.name, fontsize="medium")
        return self

    def _mix_colors(self):
        """Colors of the rows (m, 3), mixed in linear light."""
        from matplotlib.colors import to_rgb

        own = np.array([to_rgb(COLORS[s % len(COLORS)]) for s in self._styles])
        return np.clip(self.responsibilities @ own**2.2, 0, 1) ** (1 / 2.2)

    def _draw_points(self, shown, filled, given):
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
            own = shown & (self.labels == k)
            points = self.ax_.scatter(
                *self.points[own].T, marker=MARKERS[look % len(MARKERS)], **style
            )
            # Completions are hollow.
            opacity = np.where(filled[own], 1.0 if alpha is None else alpha, 0.0)
            colors = self._mixed[own]
            if not {"color", "facecolor"} & set(style):
                points.set_facecolor(np.column_stack([colors, opacity]))
            if not {"color", "edgecolor"} & set(style):
                points.set_edgecolor(colors * 0.75)
            self.scatters_.append(points)

    def _draw_rugs(self):
        from matplotlib.collections import LineCollection

        ax, length = self.ax_, 0.035
        for axis, transform in enumerate(
            (ax.get_xaxis_transform(), ax.get_yaxis_transform())
        ):
            own = self.observed[:, axis] & ~self.observed[:, 1 - axis]
            at = self.points[own, axis]
            segments = np.empty((len(at), 2, 2))
            segments[:, :, axis] = at[:, None]
            segments[:, :, 1 - axis] = 0, length
            rug = LineCollection(
                segments,
                colors=self._mixed[own],
                linewidths=1.0,
                transform=transform,
                zorder=3,
            )
            ax.add_collection(rug, autolim=False)
            self.rugs_.append(rug)

    def _draw_error_bars(self):
        from matplotlib.collections import LineCollection

        rows, columns = np.nonzero(~self.observed)
        ends = np.repeat(self.points[rows, None], 2, axis=1)
        steps = self.std[rows, columns]
        ends[np.arange(len(rows)), 0, columns] -= steps
        ends[np.arange(len(rows)), 1, columns] += steps
        self.error_bars_ = LineCollection(
            ends, colors=self._mixed[rows], linewidths=0.6, alpha=0.6, zorder=1
        )
        self.ax_.add_collection(self.error_bars_, autolim=False)

    def _limit(self, shown):
        """Limits by the data: mixtures of the same data have the same axes."""
        for axis, setter in enumerate((self.ax_.set_xlim, self.ax_.set_ylim)):
            at = self.points[shown | self.observed[:, axis], axis]
            if not at.size:
                at = self.means[:, axis]
            low, high = at.min(), at.max()
            margin = 0.1 * (high - low) or 0.5
            setter(low - margin, high + margin)

    def _draw_components(self, levels, given):
        from matplotlib.patches import Ellipse

        self.ellipses_, self.texts_ = [], []
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
                width, height, angle = ellipse_of(
                    self.means[k], self.covariances[k], level
                )
                ellipse = Ellipse(self.means[k], width, height, angle=angle, **style)
                self.ax_.add_artist(ellipse)
                ellipse.set_clip_path(self.ax_.patch)
                self.ellipses_.append(ellipse)
            text = self.ax_.text(
                *self.means[k],
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


def _matched(means, display):
    """Styles of the nearest components of another display; new ones for the rest."""
    theirs = np.asarray(display.means)
    scale = np.ptp(display.points, axis=0)
    gaps = (means[:, None] - theirs) / np.where(scale > 0, scale, 1)
    own, other = linear_sum_assignment((gaps**2).sum(axis=2))
    used = range(len(theirs)) if display.styles is None else display.styles
    styles = np.full(len(means), -1)
    styles[own] = np.asarray(used)[other]
    fresh = styles < 0
    styles[fresh] = max(used) + 1 + np.arange(fresh.sum())
    return styles
