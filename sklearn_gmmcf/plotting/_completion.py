"""CompletionDisplay: the matrix before and after, and how sure its completion is."""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf.plotting._common import (
    check_number,
    column_names,
    divide_axes,
    enter,
    find_observed,
    has_steps,
    make_axes,
    make_style,
    require_pyplot,
    shorten,
    spread_evenly,
)


class CompletionDisplay:
    """The matrix with its holes, completed, and the standard deviations.

    Rows are ordered by component, with lines between components. Holes are hatched in
    the first panel; observed entries, which are sure, are white in the third.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    before : ndarray of shape (m, p)
        What was observed, NaN in the holes; rows ordered by component.

    after : ndarray of shape (m, p)
        The completed matrix.

    std : ndarray of shape (m, p)
        Standard deviations of the completions; 0 where observed.

    labels : ndarray of shape (m,)
        Components of the rows, ascending.

    rows : ndarray of shape (m,)
        Which rows of X these are.

    columns : ndarray of shape (p,)
        Which columns of X these are.

    shape : tuple of two int
        Shape of X.

    feature_names : sequence of str, default=None
        Names of the columns.

    name : str, default=None
        What completed it, for the title of the second panel.

    unit : str, default='value'
        Label of the values.

    Attributes
    ----------
    bounding_ax_ : matplotlib Axes
        The axes that hold the panels; None if three were given.

    axes_ : ndarray of three matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        The figure of the axes.

    images_ : list of three matplotlib AxesImage
        Before, after, standard deviation.

    colorbars_ : list of two matplotlib Colorbar
        Of the values, and of the standard deviations.

    See Also
    --------
    CalibrationDisplay : Whether standard deviations are right.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import CompletionDisplay
    >>> X = make_ratings(60, 30, density=0.4, random_state=0).data
    >>> mixture = MaskedGaussianMixture(2, random_state=0).fit(X)
    >>> display = CompletionDisplay.from_estimator(mixture, X)
    >>> display.after.shape
    (60, 30)
    """

    def __init__(
        self,
        *,
        before,
        after,
        std,
        labels,
        rows,
        columns,
        shape,
        feature_names=None,
        name=None,
        unit="value",
    ):
        self.before = before
        self.after = after
        self.std = std
        self.labels = labels
        self.rows = rows
        self.columns = columns
        self.shape = shape
        self.feature_names = feature_names
        self.name = name
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        rows=None,
        columns=None,
        max_rows=200,
        max_columns=200,
        feature_names=None,
        name=None,
        unit=None,
        ax=None,
        image_kwargs=None,
    ):
        """Draw X, its completion, and the standard deviations.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; values are then in the units that its last step sees.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been fitted. No more of it is made dense
            than is shown.
        rows, columns : array-like of int, default=None
            Which rows and columns to show. None takes all, or as many as the next two
            parameters say, at equal distances (of rows, in the order of components).
        max_rows, max_columns : int, default=200
            Most rows and columns to choose where `rows` or `columns` is None.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns. None takes those seen in fit. They are shown where
            columns are few.
        name : str, default=None
            What completed it, for the title of the second panel.
        unit : str, default=None
            What the values are, such as 'stars': label of the colors.
        ax : matplotlib Axes or array-like of three, default=None
            Where to draw: one is divided into three. None makes a new figure.
        image_kwargs : dict, default=None
            Properties of the images before and after (matplotlib AxesImage), such as
            `cmap`, `vmin` and `vmax`.

        Returns
        -------
        display : CompletionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If rows or columns are outside of X.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture, Z = enter(estimator, X, caller)
        n_rows, n_columns = np.shape(Z)
        labels = np.asarray(mixture.predict(Z))
        order = np.argsort(labels, kind="stable")
        if rows is None:
            rows = order[spread_evenly(n_rows, check_number("max_rows", max_rows, 1))]
        else:
            rows = _check_indices("rows", rows, n_rows)
            rows = rows[np.argsort(labels[rows], kind="stable")]
        if columns is None:
            check_number("max_columns", max_columns, 1)
            columns = spread_evenly(n_columns, max_columns)
        else:
            columns = _check_indices("columns", columns, n_columns)
        shape = len(rows), len(columns)
        entries = np.repeat(rows, shape[1]), np.tile(columns, shape[0])
        after, std = mixture.complete(Z, entries=entries, return_std=True)
        observed = find_observed(mixture, Z, entries)
        if unit is None:
            unit = "transformed value" if has_steps(estimator) else "value"
        display = cls(
            before=np.where(observed, after, np.nan).reshape(shape),
            after=after.reshape(shape),
            std=std.reshape(shape),
            labels=labels[rows],
            rows=rows,
            columns=columns,
            shape=(n_rows, n_columns),
            feature_names=column_names(estimator, feature_names),
            name=name,
            unit=unit,
        )
        return display.plot(ax, image_kwargs=image_kwargs)

    def plot(self, ax=None, *, image_kwargs=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of three, default=None
            Where to draw: one is divided into three. None makes a new figure.
        image_kwargs : dict, default=None
            Properties of the images before and after (matplotlib AxesImage), such as
            `cmap`, `vmin` and `vmax`.

        Returns
        -------
        display : CompletionDisplay
            The display itself.
        """
        plt = require_pyplot(f"{type(self).__name__}.plot")
        from matplotlib.colors import ListedColormap
        from matplotlib.image import AxesImage
        from matplotlib.ticker import MaxNLocator

        values = make_style(
            "image_kwargs",
            image_kwargs,
            AxesImage,
            cmap="cividis",
            vmin=float(self.after.min()),
            vmax=float(self.after.max()),
            norm=None,
            aspect="auto",
            interpolation="nearest",
        )
        if values["norm"] is not None:
            del values["vmin"], values["vmax"]
        self._make_panels(ax)
        # White is left to what is sure.
        doubts = ListedColormap(plt.get_cmap("Greys")(np.linspace(0.2, 1, 256)))
        std = np.ma.masked_where(~np.isnan(self.before), self.std)
        some = not np.all(std.mask)
        doubt = {
            "cmap": doubts,
            "vmin": std.min() if some else 0.0,
            "vmax": std.max() if some else 1.0,
            "aspect": values["aspect"],
            "interpolation": values["interpolation"],
        }
        completed = "completed" if self.name is None else f"completed, {self.name}"
        panels = [
            ("before", np.ma.masked_invalid(self.before), values),
            (completed, self.after, values),
            ("uncertainty", std, doubt),
        ]
        self.images_ = []
        for ax_, (title, matrix, style) in zip(self.axes_, panels, strict=True):
            self.images_.append(ax_.imshow(matrix, **style))
            ax_.set_title(title, fontsize="medium")
            self._separate(ax_)
            self._name_columns(ax_)
        self.axes_[0].patch.set(hatch="//////", edgecolor="0.75", linewidth=0)
        self._name_rows()
        self.colorbars_ = [
            self.figure_.colorbar(
                self.images_[1],
                ax=list(self.axes_[:2]),
                location="bottom",
                label=f"{self.unit} (hatched: hole)",
                shrink=0.8,
                aspect=30,
            ),
            self.figure_.colorbar(
                self.images_[2],
                ax=self.axes_[2],
                location="bottom",
                label=f"std ({self.unit})",
                ticks=MaxNLocator(2),
                shrink=0.8,
                aspect=15,
            ),
        ]
        return self

    def _make_panels(self, ax):
        plt = require_pyplot(f"{type(self).__name__}.plot")
        self.bounding_ax_ = None
        if ax is not None and np.ndim(ax) > 0:
            axes = np.asarray(ax, dtype=object).ravel()
            if len(axes) != 3:
                raise ValueError(
                    f"ax should be one or three Axes, but got {len(axes)}."
                )
            self.axes_ = axes
            self.figure_ = axes[0].figure
            return
        if ax is None:
            _, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
        self.bounding_ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.bounding_ax_.figure
        self.axes_ = divide_axes(self.bounding_ax_, 3)

    def _separate(self, ax):
        """Lines between components."""
        for place in np.flatnonzero(np.diff(self.labels)) + 0.5:
            ax.axhline(place, color="white", linewidth=2.0)
            ax.axhline(place, color="black", linewidth=0.8)

    def _name_rows(self):
        """The number of each component beside its rows, where there is room."""
        found, first, counts = np.unique(
            self.labels, return_index=True, return_counts=True
        )
        room = counts >= 0.04 * len(self.labels)
        middles = first + (counts - 1) / 2
        self.axes_[0].set_yticks(middles[room], [str(k) for k in found[room]])
        label = _count(len(self.rows), self.shape[0], "rows")
        self.axes_[0].set_ylabel(f"{label}\nby component", fontsize="small")
        for ax in self.axes_[1:]:
            ax.set_yticks([])

    def _name_columns(self, ax):
        n_columns = len(self.columns)
        if self.feature_names is not None and n_columns <= 8:
            names = [shorten(self.feature_names[j], 12) for j in self.columns]
            ax.set_xticks(range(n_columns), names, rotation=90, fontsize="x-small")
        else:
            ax.set_xticks([])
        subset = n_columns < self.shape[1]
        if ax is self.axes_[0] and (subset or not len(ax.get_xticks())):
            label = _count(n_columns, self.shape[1], "columns")
            ax.set_xlabel(label, fontsize="small")


def _count(n_shown, n, things):
    return things if n_shown == n else f"{n_shown:,} of {n:,} {things}"


def _check_indices(name, indices, bound):
    indices = np.asarray(indices)
    integers = indices.dtype.kind in "iu" and indices.ndim == 1 and indices.size
    if not integers or indices.min() < 0 or indices.max() >= bound:
        raise ValueError(
            f"{name} should be a 1d array of indices from 0 to {bound - 1}, but got "
            f"{indices!r}."
        )
    return indices
