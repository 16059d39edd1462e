# SPDX-License-Identifier: BSD-3-Clause
"""CompletionDisplay: a matrix, its completion, and the standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._entries import find_observed
from sklearn_gmmcf.plotting._common import (
    check_integer,
    column_names,
    divide_axes,
    enter,
    has_steps,
    make_axes,
    make_style,
    require_pyplot,
    shorten,
    spread_evenly,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


class CompletionDisplay:
    """A matrix with missing entries, its completion, and the standard deviations.

    Rows are ordered by component, with lines between components. Missing entries are
    hatched in the first panel. Observed entries have no uncertainty and are white in
    the third.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    before : ndarray of shape (m, p)
        Observed values, NaN where missing; rows ordered by component.

    after : ndarray of shape (m, p)
        The completed matrix.

    std : ndarray of shape (m, p)
        Standard deviations of the completions; 0 where observed.

    labels : ndarray of shape (m,)
        Components of the rows, ascending.

    rows : ndarray of shape (m,)
        Indices of the rows in X.

    columns : ndarray of shape (p,)
        Indices of the columns in X.

    shape : tuple of two int
        Shape of X.

    feature_names : sequence of str, default=None
        Names of the columns.

    name : str, default=None
        Name of the mixture, for the title of the second panel.

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
        Scales of the values and of the standard deviations.

    See Also
    --------
    CalibrationDisplay : Whether standard deviations are right.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import CompletionDisplay
    >>> X = make_ratings(60, 30, density=0.4, random_state=0).data
    >>> mixture = MaskedGaussianMixture(
    ...     2, covariance_type="spherical", random_state=0
    ... ).fit(X)
    >>> display = CompletionDisplay.from_estimator(mixture, X)
    >>> display.after.shape
    (60, 30)
    """

    def __init__(
        self,
        *,
        before: Array,
        after: Array,
        std: Array,
        labels: Array,
        rows: Array,
        columns: Array,
        shape: tuple[int, int],
        feature_names: Any = None,
        name: str | None = None,
        unit: str = "value",
    ) -> None:
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
        estimator: Any,
        X: Any,
        *,
        rows: Any = None,
        columns: Any = None,
        max_rows: int = 200,
        max_columns: int = 200,
        feature_names: Any = None,
        name: str | None = None,
        unit: str | None = None,
        ax: Any = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> CompletionDisplay:
        """Draw X, its completion, and the standard deviations.

        Parameters
        ----------
        estimator : object
            A fitted `MaskedGaussianMixture` or `KMeansMixture`, or a Pipeline that ends
            in one; values are then in the units of the input of its last step.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been fitted. Only the part
            that is shown is made dense.
        rows, columns : array-like of int, default=None
            Indices of the rows and columns to show. None takes all of them, or, where
            there are more than the next two parameters allow, some at equal distances
            (rows in the order of components).
        max_rows, max_columns : int, default=200
            Largest number of rows and columns to show where `rows` or `columns` is
            None.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns. None takes the names seen in fit. Names are shown
            where columns are few.
        name : str, default=None
            Name of the mixture, for the title of the second panel.
        unit : str, default=None
            Unit of the values, such as 'stars': label of the colors.
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

        See Also
        --------
        CalibrationDisplay.from_estimator : Check the standard deviations.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.plotting import CompletionDisplay
        >>> X = make_ratings(60, 30, density=0.4, random_state=0).data
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", random_state=0
        ... ).fit(X)
        >>> display = CompletionDisplay.from_estimator(
        ...     mixture, X, columns=[0, 1, 2], unit="stars"
        ... )
        >>> display.after.shape
        (60, 3)
        """
        caller = f"{cls.__name__}.from_estimator"
        require_pyplot(caller)
        mixture, Z = enter(estimator, X, caller)
        n_rows, n_columns = np.shape(Z)
        labels = np.asarray(mixture.predict(Z))
        rows = _choose_rows(rows, labels, max_rows)
        columns = _choose_columns(columns, n_columns, max_columns)
        shape = len(rows), len(columns)
        entries = np.repeat(rows, shape[1]), np.tile(columns, shape[0])
        after, std = mixture.complete(Z, entries=entries, return_std=True)
        observed = find_observed(Z, *entries, mixture.missing_values)
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

    def plot(
        self, ax: Any = None, *, image_kwargs: dict[str, Any] | None = None
    ) -> CompletionDisplay:
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

        See Also
        --------
        from_estimator : Make a display from a fitted mixture.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.plotting import CompletionDisplay
        >>> X = make_ratings(60, 30, density=0.4, random_state=0).data
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", random_state=0
        ... ).fit(X)
        >>> top, bottom = Figure(layout="constrained").subplots(2)
        >>> display = CompletionDisplay.from_estimator(mixture, X, ax=top)
        >>> gray = {"cmap": "gray", "vmin": 1, "vmax": 5}
        >>> display = display.plot(bottom, image_kwargs=gray)
        >>> display.images_[0].get_clim()
        (1.0, 5.0)
        """
        require_pyplot(f"{type(self).__name__}.plot")
        from matplotlib.image import AxesImage

        style = make_style(
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
        if style["norm"] is not None:
            del style["vmin"], style["vmax"]
        self._make_panels(ax)
        self.images_ = self._draw_images(style)
        self.axes_[0].patch.set(hatch="//////", edgecolor="0.75", linewidth=0)
        self._label_rows()
        self._draw_colorbars()
        return self

    def _make_panels(self, ax: Any) -> None:
        """Set the axes of the three panels, and their figure."""
        plt = require_pyplot(f"{type(self).__name__}.plot")
        self.bounding_ax_: Axes | None = None
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

    def _draw_images(self, style: dict[str, Any]) -> list[AxesImage]:
        """The values before and after, and the standard deviations."""
        std = np.ma.masked_where(~np.isnan(self.before), self.std)
        title = "completed" if self.name is None else f"completed, {self.name}"
        panels = [
            ("before", np.ma.masked_invalid(self.before), style),
            (title, self.after, style),
            ("standard deviation", std, _std_style(std, style)),
        ]
        images = []
        for ax, (title, matrix, options) in zip(self.axes_, panels, strict=True):
            images.append(ax.imshow(matrix, **options))
            ax.set_title(title, fontsize="medium")
            self._separate(ax)
            self._label_columns(ax)
        return images

    def _draw_colorbars(self) -> None:
        """One scale for both panels of values, one for the standard deviations."""
        from matplotlib.ticker import MaxNLocator

        self.colorbars_ = [
            self.figure_.colorbar(
                self.images_[1],
                ax=list(self.axes_[:2]),
                location="bottom",
                label=f"{self.unit} (hatched: missing)",
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

    def _separate(self, ax: Axes) -> None:
        """Lines between components."""
        for border in np.flatnonzero(np.diff(self.labels)) + 0.5:
            ax.axhline(border, color="white", linewidth=2.0)
            ax.axhline(border, color="black", linewidth=0.8)

    def _label_rows(self) -> None:
        """The number of each component beside its rows, where it fits."""
        components, first, counts = np.unique(
            self.labels, return_index=True, return_counts=True
        )
        fits = counts >= 0.04 * len(self.labels)
        middles = first + (counts - 1) / 2
        self.axes_[0].set_yticks(middles[fits], [str(k) for k in components[fits]])
        label = _count(len(self.rows), self.shape[0], "rows")
        self.axes_[0].set_ylabel(f"{label}\nby component", fontsize="small")
        for ax in self.axes_[1:]:
            ax.set_yticks([])

    def _label_columns(self, ax: Axes) -> None:
        """Names of few columns; else the number of columns below the first panel."""
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


def _std_style(std: np.ma.MaskedArray, style: dict[str, Any]) -> dict[str, Any]:
    """Grays for the image of standard deviations; white is left to observed entries."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    any_missing = not np.all(std.mask)
    return {
        "cmap": ListedColormap(colormaps["Greys"](np.linspace(0.2, 1, 256))),
        "vmin": std.min() if any_missing else 0.0,
        "vmax": std.max() if any_missing else 1.0,
        "aspect": style["aspect"],
        "interpolation": style["interpolation"],
    }


def _count(n_shown: int, n: int, things: str) -> str:
    """Name the things, with their number where some are left out."""
    return things if n_shown == n else f"{n_shown:,} of {n:,} {things}"


def _choose_rows(given: Any, labels: Array, max_rows: int) -> Array:
    """Rows to show, ordered by component."""
    if given is None:
        order = np.argsort(labels, kind="stable")
        max_rows = check_integer("max_rows", max_rows, 1)
        return order[spread_evenly(len(labels), max_rows)]
    rows = _check_indices("rows", given, len(labels))
    return rows[np.argsort(labels[rows], kind="stable")]


def _choose_columns(given: Any, n_columns: int, max_columns: int) -> Array:
    """Columns to show."""
    if given is None:
        return spread_evenly(n_columns, check_integer("max_columns", max_columns, 1))
    return _check_indices("columns", given, n_columns)


def _check_indices(name: str, indices: Any, n: int) -> Array:
    """Check that indices are integers from 0 to n - 1."""
    indices = np.asarray(indices)
    integers = indices.dtype.kind in "iu" and indices.ndim == 1 and indices.size
    if not integers or indices.min() < 0 or indices.max() >= n:
        raise ValueError(
            f"{name} should be a 1d array of indices from 0 to {n - 1}, but got "
            f"{indices!r}."
        )
    return indices
