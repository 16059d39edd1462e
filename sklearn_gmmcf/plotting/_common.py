"""What all displays share: matplotlib when it is needed, styles, Pipelines, names."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._held_out import apply_steps, get_steps
from sklearn_gmmcf._typing import Array

# The colors of Okabe and Ito (2008) without yellow, which white paper swallows. Their
# number and that of the markers have no common factor: 56 pairs.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#555555")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")


def require_pyplot(caller: str) -> Any:
    """matplotlib.pyplot, or an error that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


def make_axes(ax: Any, caller: str) -> Any:
    """The axes that were given, or those of a new figure."""
    plt = require_pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    elif not hasattr(ax, "get_xlim"):
        raise TypeError(f"ax should be matplotlib Axes, but got {type(ax).__name__}.")
    return ax


def divide_axes(ax: Any, n_panels: int) -> Array:
    """Axes side by side in the place of these, which are switched off."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "ax should be part of a grid, so that it can be divided: make it by "
            "figure.subplots() or figure.add_subplot()."
        )
    ax.set_axis_off()
    return np.array([ax.figure.add_subplot(c) for c in spec.subgridspec(1, n_panels)])


def make_style(name: str, given: Any, kind: type, **defaults: Any) -> dict[str, Any]:
    """Properties of artists of a kind: those given, and defaults for the others."""
    from matplotlib.cbook import normalize_kwargs

    if given is not None and not isinstance(given, dict):
        raise TypeError(
            f"{name} should be a dict of properties of {kind.__name__}, but got "
            f"{type(given).__name__}."
        )
    return {**normalize_kwargs(defaults, kind), **normalize_kwargs(given or {}, kind)}


def next_style(ax: Any) -> dict[str, Any]:
    """Color, marker and line that no earlier curve of these axes has."""
    n_before = sum(line.get_marker() in MARKERS[:-1] for line in ax.lines)
    return {
        "color": COLORS[n_before % len(COLORS)],
        "marker": MARKERS[n_before % (len(MARKERS) - 1)],
        "linestyle": LINES[n_before % len(LINES)],
        "markersize": 4.5,
        "linewidth": 1.5,
        "zorder": 3,
    }


def check_number(name: str, value: Any, low: int) -> int:
    """An integer of at least `low`."""
    integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not integer or value < low:
        raise ValueError(
            f"{name} should be an integer of at least {low}, but got {value!r}."
        )
    return int(value)


def check_levels(name: str, levels: Any) -> Array:
    """Probabilities between 0 and 1, ascending."""
    levels = np.sort(np.asarray(levels, dtype=np.float64).ravel())
    if not levels.size or not (levels > 0).all() or not (levels < 1).all():
        raise ValueError(
            f"{name} should be one or more probabilities above 0 and below 1, but got "
            f"{levels.tolist()}."
        )
    return levels


def check_option(name: str, value: Any, options: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} should be one of {list(options)}, but got {value!r}.")


def last_step(estimator: Any, caller: str) -> BaseObservedMixture:
    """The fitted mixture that an estimator is, or a Pipeline or a search ends in."""
    mixture = get_steps(estimator)[-1]
    if not isinstance(mixture, BaseObservedMixture):
        raise TypeError(
            f"{caller} draws MaskedGaussianMixture and KMeansMixture, and Pipelines "
            f"that end in one, but got {type(mixture).__name__}."
        )
    check_is_fitted(mixture)
    return mixture


def enter(estimator: Any, X: Any, caller: str) -> tuple[BaseObservedMixture, Any]:
    """The mixture that an estimator ends in, and X in the units of the mixture."""
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


def find_observed(
    mixture: BaseObservedMixture, Z: Any, entries: tuple[Array, Array]
) -> Array:
    """Whether entries (m,) of what enters the mixture are observed."""
    _, observed = mixture._observe(Z).lookup(*entries)
    return observed


def has_steps(estimator: Any) -> bool:
    """Whether steps come before the mixture, so that units are not those of X."""
    return len(get_steps(estimator)) > 1


def name_of(mixture: BaseObservedMixture) -> str:
    """What kind of mixture it is, in few letters."""
    kind = getattr(mixture, "covariance_type", "k-means")
    return f"{kind}, K = {len(mixture.weights_)}"


def column_names(estimator: Any, given: Any = None) -> Array:
    """Names (d,) of the columns that the mixture sees."""
    mixture = get_steps(estimator)[-1]
    d = mixture.n_features_in_
    if given is not None:
        own = np.asarray(given, dtype=object)
        if own.shape != (d,):
            raise ValueError(
                f"feature_names should have one name for each of the {d} columns, but "
                f"got the shape {own.shape}."
            )
        return own
    names: Any = getattr(mixture, "feature_names_in_", None)
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if names is None and isinstance(estimator, Pipeline) and has_steps(estimator):
        try:
            names = estimator[:-1].get_feature_names_out()
        except (AttributeError, ValueError):
            names = None  # a step that has no names
    if names is None or len(names) != d:
        names = [f"column {j}" for j in range(d)]
    return np.asarray(names, dtype=object)


def find_column(column: Any, names: Array) -> int:
    """Index of a column that is given by its index or its name."""
    d = len(names)
    if isinstance(column, Integral) and not isinstance(column, bool):
        if -d <= int(column) < d:
            return int(column) % d
    elif isinstance(column, str):
        found = np.flatnonzero(names == column)
        if len(found) == 1:
            return int(found[0])
    raise ValueError(
        f"features should be two indices below {d} or names of columns, but got "
        f"{column!r}."
    )


def spread_evenly(n: int, most: int) -> Array:
    """Indices of at most so many of n things, at equal distances."""
    if n <= most:
        return np.arange(n)
    return np.floor((np.arange(most) + 0.5) * n / most).astype(np.intp)


def shorten(name: Any, length: int) -> str:
    """A name as it is, up to a length: its dollars are no formulas."""
    name = str(name)
    name = name if len(name) <= length else name[: length - 1].rstrip() + "…"
    return name.replace("$", r"\$")


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def ellipse_of(mean: Array, covariance: Array, level: float) -> tuple[float, ...]:
    """Width, height and angle (degrees) of what holds `level` of a 2d Gaussian."""
    variances, axes = np.linalg.eigh(covariance)
    widths = 2 * np.sqrt(np.maximum(variances, 0) * -2 * np.log1p(-level))
    return widths[1], widths[0], float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))


def outline(width: float = 2.0) -> list:
    """A white rim that keeps text readable on anything."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]
