# SPDX-License-Identifier: BSD-3-Clause
"""Shared by all displays: late import of matplotlib, styles, Pipelines, names."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._held_out import apply_steps, get_steps
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect

# The colors of Okabe and Ito (2008) without yellow, which is invisible on white paper.
# The number of colors and the number of markers have no common factor: 56 pairs.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#555555")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")


def require_pyplot(caller: str) -> Any:
    """Import matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


def make_axes(ax: Axes | None, caller: str) -> Axes:
    """Check the given axes, or make a figure with one pair of axes."""
    plt = require_pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    elif not hasattr(ax, "get_xlim"):
        raise TypeError(f"ax should be matplotlib Axes, but got {type(ax).__name__}.")
    return ax


def divide_axes(ax: Axes, n_panels: int) -> Array:
    """Switch the axes off, and put `n_panels` axes side by side in their place."""
    spec = get_grid_cell(ax)
    ax.set_axis_off()
    cells = spec.subgridspec(1, n_panels)
    return np.array([ax.figure.add_subplot(cells[0, k]) for k in range(n_panels)])


def get_grid_cell(ax: Axes) -> Any:
    """The cell of a grid that the axes take."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "ax should be part of a grid, so that it can be divided: make it by "
            "figure.subplots() or figure.add_subplot()."
        )
    return spec


def divide_grid(ax: Axes, heights: Any, widths: Any) -> Array:
    """Switch the axes off, and put axes with these ratios in their place.

    Of two rows the upper one has axes in its first column alone.
    """
    spec = get_grid_cell(ax)
    ax.set_axis_off()
    cells = spec.subgridspec(
        len(heights), len(widths), height_ratios=heights, width_ratios=widths
    )
    add = ax.figure.add_subplot
    below = [add(cells[1, k]) for k in range(len(widths))]
    return np.array([add(cells[0, 0]), *below])


def measure_width(ax: Axes) -> float:
    """Width of the axes in inches."""
    return ax.get_window_extent().width / ax.figure.dpi


def make_style(name: str, given: Any, kind: type, **defaults: Any) -> dict[str, Any]:
    """Merge the given properties of artists of a kind into the defaults."""
    from matplotlib.cbook import normalize_kwargs

    if given is not None and not isinstance(given, dict):
        raise TypeError(
            f"{name} should be a dict of properties of {kind.__name__}, but got "
            f"{type(given).__name__}."
        )
    return {**normalize_kwargs(defaults, kind), **normalize_kwargs(given or {}, kind)}


def next_style(ax: Axes) -> dict[str, Any]:
    """A color, marker and line style that no earlier curve of these axes has."""
    n_before = sum(line.get_marker() in MARKERS[:-1] for line in ax.lines)
    return {
        "color": COLORS[n_before % len(COLORS)],
        "marker": MARKERS[n_before % (len(MARKERS) - 1)],
        "linestyle": LINES[n_before % len(LINES)],
        "markersize": 4.5,
        "linewidth": 1.5,
        "zorder": 3,
    }


def check_integer(name: str, value: Any, min_value: int) -> int:
    """Check that a value is an integer of at least `min_value`."""
    integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not integer or value < min_value:
        raise ValueError(
            f"{name} should be an integer of at least {min_value}, but got {value!r}."
        )
    return int(value)


def check_levels(name: str, levels: Any) -> Array:
    """Check that levels are probabilities, and sort them."""
    levels = np.sort(np.asarray(levels, dtype=np.float64).ravel())
    if not levels.size or not (levels > 0).all() or not (levels < 1).all():
        raise ValueError(
            f"{name} should be one or more probabilities above 0 and below 1, but got "
            f"{levels.tolist()}."
        )
    return levels


def check_option(name: str, value: Any, options: tuple[str, ...]) -> None:
    """Check that a value is one of some strings."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} should be one of {list(options)}, but got {value!r}.")


def last_step(estimator: Any, caller: str) -> BaseObservedMixture:
    """Return the fitted mixture: the estimator, or the last step of a Pipeline."""
    mixture = get_steps(estimator)[-1]
    if not isinstance(mixture, BaseObservedMixture):
        raise TypeError(
            f"{caller} draws MaskedGaussianMixture and KMeansMixture, and Pipelines "
            f"that end in one, but got {type(mixture).__name__}."
        )
    check_is_fitted(mixture)
    return mixture


def enter(estimator: Any, X: Any, caller: str) -> tuple[BaseObservedMixture, Any]:
    """Return the fitted mixture, and X in the units of the mixture."""
    mixture = last_step(estimator, caller)
    if len(np.shape(X)) != 2:
        raise ValueError(f"X should be a matrix, but got {type(X).__name__}.")
    try:
        return mixture, apply_steps(get_steps(estimator)[:-1], X)
    except ValueError as error:
        error.add_note(
            f"{caller} takes pipe[-1] and pipe[:-1].transform(X) as well, in place of "
            "pipe and X."
        )
        raise


def has_steps(estimator: Any) -> bool:
    """Tell whether steps come before the mixture and may change the units of X."""
    return len(get_steps(estimator)) > 1


def describe_mixture(mixture: BaseObservedMixture) -> str:
    """Covariance type and number of components, as a short label."""
    kind = getattr(mixture, "covariance_type_", "k-means")
    kind = kind if isinstance(kind, str) else type(kind).__name__
    return f"{kind}, K = {len(mixture.weights_)}"


def column_names(estimator: Any, given: Any = None) -> Array:
    """Names (d,) of the columns of the input of the mixture."""
    mixture = get_steps(estimator)[-1]
    d = mixture.n_features_in_
    if given is not None:
        return check_names(given, d)
    names: Any = getattr(mixture, "feature_names_in_", None)
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if names is None and isinstance(estimator, Pipeline) and has_steps(estimator):
        try:
            names = estimator[:-1].get_feature_names_out()
        except (AttributeError, ValueError):
            names = None  # a step names no columns
    if names is None or len(names) != d:
        names = [f"column {j}" for j in range(d)]
    return np.asarray(names, dtype=object)


def check_names(given: Any, n_columns: int) -> Array:
    """Check that there is one name for each column."""
    names = np.asarray(given, dtype=object)
    if names.shape != (n_columns,):
        raise ValueError(
            f"feature_names should have one name for each of the {n_columns} columns, "
            f"but got the shape {names.shape}."
        )
    return names


def name_columns(table: Table, given: Any = None) -> Array:
    """Names (d,) of the columns of a table."""
    n_columns = table.shape[1]
    if given is None:
        given = table.names or [f"column {j}" for j in range(n_columns)]
    return check_names(given, n_columns)


def find_column(
    column: Any, names: Array, wanted: str = "features should be two indices"
) -> int:
    """Index of a column that is given by its index or by its name."""
    d = len(names)
    if isinstance(column, Integral) and not isinstance(column, bool):
        if -d <= int(column) < d:
            return int(column) % d
    elif isinstance(column, str):
        found = np.flatnonzero(names == column)
        if len(found) == 1:
            return int(found[0])
    raise ValueError(f"{wanted} below {d} or names of columns, but got {column!r}.")


def spread_evenly(n: int, max_size: int) -> Array:
    """Choose at most `max_size` of n indices, at equal distances."""
    if n <= max_size:
        return np.arange(n)
    return np.floor((np.arange(max_size) + 0.5) * n / max_size).astype(np.intp)


def shorten(name: Any, length: int) -> str:
    """Cut a name at a length, and escape dollars, which matplotlib takes for math."""
    name = str(name)
    name = name if len(name) <= length else name[: length - 1].rstrip() + "…"
    return name.replace("$", r"\$")


def format_share(share: float) -> str:
    """A share in percent; neither 0 % nor 100 % unless it is."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    digits = 0 if share in (0, 1) or 0.0995 <= share < 0.995 else 1
    return f"{100 * share:.{digits}f}%"


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, and not a boolean."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def measure_ellipse(
    covariance: Array, level: float, degrees: float = np.inf
) -> tuple[float, float, float]:
    """Width, height and angle (degrees) of the ellipse with `level` of a Gaussian.

    With finite degrees of freedom: of a t distribution with this scale matrix.
    """
    variances, axes = np.linalg.eigh(covariance)
    length = -2 * np.log1p(-level)
    if np.isfinite(degrees):
        length = degrees * np.expm1(length / degrees)
    widths = 2 * np.sqrt(np.maximum(variances, 0) * length)
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    return float(widths[1]), float(widths[0]), angle


def outline(width: float = 2.0) -> list[AbstractPathEffect]:
    """A white rim that keeps text readable on any background."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]
