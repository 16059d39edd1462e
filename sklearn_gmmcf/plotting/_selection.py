# SPDX-License-Identifier: BSD-3-Clause
"""ModelSelectionDisplay: a criterion or a score over the number of components."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.model_selection import SelectedMixture
from sklearn_gmmcf.plotting._common import (
    check_integer,
    check_option,
    enter,
    is_number,
    last_step,
    make_axes,
    make_style,
    next_style,
    require_pyplot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import FillBetweenPolyCollection, PathCollection
    from matplotlib.lines import Line2D

# Labels of the criteria, which are methods of the mixtures.
_CRITERIA = {
    **{
        name: f"{name.upper()} (lower is better)"
        for name in ("bic", "aic", "icl", "caic", "sabic")
    },
    "silhouette": "silhouette (higher is better)",
    "inertia": "inertia (star: elbow)",
}


@dataclass(frozen=True)
class _Line:
    """One group of runs, and the points of its line."""

    group: Any
    members: Array  # (n_runs,), whether a run is of the group
    positions: Array  # (m,), on the horizontal axis
    scores: Array  # (m,)
    lows: Array  # (m,), lower bounds of the band
    highs: Array  # (m,)
    spread: str  # label of the band


class ModelSelectionDisplay:
    """A criterion or a held-out score over a parameter, with its spread.

    One point is one run: an estimator, or a candidate of a search. Runs with the same
    value of the parameter (such as different seeds) share one point of the line: their
    best or their mean. A band shows the range of these runs or, where each value has
    one run, one standard error over the folds to both sides. A star and a vertical line
    mark the chosen value.

    Use :meth:`from_selection`, :meth:`from_estimators` or :meth:`from_cv_results` to
    make one.

    Parameters
    ----------
    values : ndarray of shape (n_runs,)
        Value of the parameter in each run.

    scores : ndarray of shape (n_runs,)
        Criterion or score of each run.

    groups : ndarray of shape (n_runs,), default=None
        Group of each run; each group has its own line.

    errors : ndarray of shape (n_runs,), default=None
        Standard errors of the scores over folds.

    greater_is_better : bool, default=True
        Whether a higher score is better.

    statistic : {'best', 'mean'}, default='mean'
        Summary of the runs with the same value: their best score or their mean.

    chosen : int, default=None
        Index of the chosen run. None takes the best point of the lines.

    param : str, default='n_components'
        Name of the parameter.

    score_name : str, default='score'
        Label of the scores.

    left_early : ndarray of shape (n_runs,), default=None
        Whether each run left its search early, as it could not win any more. Its circle
        is hollow; its score is the score at which it left.

    Attributes
    ----------
    best_value : object
        The value that is marked as chosen.

    best_group : object
        The group of the chosen run; None without groups.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure of the axes.

    lines_ : list of matplotlib Line2D
        The line of each group.

    bands_ : list of matplotlib FillBetweenPolyCollection
        The band of each group; None for a group without spread.

    runs_ : list of matplotlib PathCollection
        The runs of each group.

    chosen_ : matplotlib Line2D
        The star.

    chosen_line_ : matplotlib Line2D
        The vertical line.

    See Also
    --------
    sklearn_gmmcf.model_selection.select_mixture : Makes a search to draw.
    sklearn_gmmcf.model_selection.one_standard_error : A rule for the choice of K.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> mixtures = [
    ...     MaskedGaussianMixture(
    ...         k, covariance_type="spherical", random_state=seed
    ...     ).fit(X)
    ...     for k in [2, 3, 4, 5]
    ...     for seed in range(3)
    ... ]
    >>> display = ModelSelectionDisplay.from_estimators(mixtures, X)
    >>> display.best_value
    4
    """

    def __init__(
        self,
        *,
        values: Array,
        scores: Array,
        groups: Array | None = None,
        errors: Array | None = None,
        greater_is_better: bool = True,
        statistic: str = "mean",
        chosen: int | None = None,
        param: str = "n_components",
        score_name: str = "score",
        left_early: Array | None = None,
    ) -> None:
        self.values = values
        self.scores = scores
        self.groups = groups
        self.errors = errors
        self.greater_is_better = greater_is_better
        self.statistic = statistic
        self.chosen = chosen
        self.param = param
        self.score_name = score_name
        self.left_early = left_early

    @classmethod
    def from_selection(
        cls,
        selected: SelectedMixture,
        *,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> ModelSelectionDisplay:
        """Draw all candidates of `select_mixture` over their number of components.

        Each covariance type has a line, through the best start for each number of
        components. Hollow circles are runs that left early.

        Parameters
        ----------
        selected : SelectedMixture
            The result of :func:`~sklearn_gmmcf.model_selection.select_mixture`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the lines (matplotlib Line2D).

        Returns
        -------
        display : ModelSelectionDisplay
            The display, drawn.

        See Also
        --------
        from_cv_results : Draw the scores of a search of scikit-learn.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_gmmcf.model_selection import select_mixture
        >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
        >>> selected = select_mixture(
        ...     load_iris().data,
        ...     n_components=range(1, 6),
        ...     covariance_type=["full", "tied", "diag"],
        ...     random_state=0,
        ... )
        >>> display = ModelSelectionDisplay.from_selection(selected)
        >>> display.best_group, display.best_value
        ('full', 2)
        """
        require_pyplot(f"{cls.__name__}.from_selection")
        table, name = selected.table, selected.criterion
        label = _CRITERIA.get(name) or f"held-out {name.replace('_', '-')}"
        display = cls(
            values=table["n_components"],
            scores=table[name],
            groups=table["covariance_type"],
            errors=table.get("standard_error"),
            greater_is_better=selected.greater_is_better,
            statistic="best",
            chosen=selected.best_index_,
            score_name=label,
            left_early=table["dropped"],
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def from_estimators(
        cls,
        estimators: Any,
        X: Any,
        *,
        criterion: Any = "bic",
        param: str = "n_components",
        group: str | None = None,
        statistic: str | None = None,
        score_name: str | None = None,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> ModelSelectionDisplay:
        """Draw a criterion of fitted estimators over one of their parameters.

        Parameters
        ----------
        estimators : sequence of objects
            Fitted mixtures, or Pipelines that end in one. Estimators with the same
            value of the parameter, such as fits with other seeds, share one point of
            the line.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that were fitted for a named criterion; new rows for a scorer.
        criterion : {'bic', 'aic', 'icl', 'caic', 'sabic', 'silhouette', 'inertia'} or \
                callable, default='bic'
            A criterion, or a function ``scorer(estimator, X)`` (higher is better), such
            as :func:`~sklearn_gmmcf.model_selection.completion_scorer` returns.
            'silhouette' (higher is better) and 'inertia' are for `KMeansMixture`. As
            the inertia falls with each cluster, the star marks its elbow: the point
            farthest below the line from the first point to the last, both axes scaled
            to the unit interval.
        param : str, default='n_components'
            Name of the parameter of the mixture.
        group : str, default=None
            Another parameter of the mixture that splits the runs into lines, such as
            'covariance_type'.
        statistic : {'best', 'mean'}, default=None
            Summary of the runs with the same value. None takes the best for a
            criterion, which judges the likelihood that was found, and the mean for a
            scorer.
        score_name : str, default=None
            Label of the scores. None takes the name of the criterion, or 'score'.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the lines (matplotlib Line2D).

        Returns
        -------
        display : ModelSelectionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the criterion or a parameter is not known, or there is no elbow among
            fewer than 3 values.

        See Also
        --------
        from_selection : Draw the candidates of `select_mixture`.
        from_cv_results : Draw the scores of a search.

        References
        ----------
        V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan (2011). Finding a "kneedle" in
        a haystack: detecting knee points in system behavior. 31st International
        Conference on Distributed Computing Systems Workshops, 166-171.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
        >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
        >>> mixtures = [
        ...     MaskedGaussianMixture(k, covariance_type=kind, random_state=0).fit(X)
        ...     for kind in ["spherical", "diag"]
        ...     for k in [2, 4]
        ... ]
        >>> display = ModelSelectionDisplay.from_estimators(
        ...     mixtures, X, criterion="aic", group="covariance_type"
        ... )
        >>> len(display.lines_)
        2
        """
        caller = f"{cls.__name__}.from_estimators"
        require_pyplot(caller)
        estimators = list(estimators) if np.iterable(estimators) else [estimators]
        if not estimators:
            raise ValueError("estimators should be some fitted mixtures, but got none.")
        mixtures = [last_step(estimator, caller) for estimator in estimators]
        if callable(criterion):
            scores = [criterion(estimator, X) for estimator in estimators]
            score_name = score_name or "score"
        else:
            if not isinstance(criterion, str) or criterion not in _CRITERIA:
                raise ValueError(
                    f"criterion should be one of {list(_CRITERIA)} or a function of "
                    f"(estimator, X), but got {criterion!r}."
                )
            scores = [
                _measure(criterion, *enter(each, X, caller)) for each in estimators
            ]
            score_name = score_name or _CRITERIA[criterion]
        if statistic is None:
            statistic = "mean" if callable(criterion) else "best"
        all_params = [mixture.get_params() for mixture in mixtures]
        values = _pick_values(all_params, "param", param)
        display = cls(
            values=values,
            scores=np.array(scores, dtype=np.float64),
            groups=None if group is None else _pick_values(all_params, "group", group),
            greater_is_better=callable(criterion) or criterion == "silhouette",
            statistic=statistic,
            chosen=_find_elbow(values, scores) if criterion == "inertia" else None,
            param=param,
            score_name=score_name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Any,
        *,
        param: str = "n_components",
        group: str | None = None,
        metric: str = "score",
        best_index: int | None = None,
        statistic: str = "mean",
        negate_score: bool = False,
        score_name: str | None = None,
        ax: Axes | None = None,
        line_kwargs: dict[str, Any] | None = None,
    ) -> ModelSelectionDisplay:
        """Draw the mean test scores of a search over one of its parameters.

        Parameters
        ----------
        cv_results : dict
            `cv_results_` of a fitted search. Candidates with the same values of the two
            parameters below share one point of a line.
        param : str, default='n_components'
            Name of the parameter. A parameter with a prefix, such as
            ``gmm__n_components``, is also found by the last part of its name.
        group : str, default=None
            Another parameter that splits the candidates into lines.
        metric : str, default='score'
            Name of the metric, where the search has several: the key of its `scoring`.
        best_index : int, default=None
            `best_index_` of the search, to mark the candidate that it chose, by any
            rule. None marks the best point of the lines.
        statistic : {'best', 'mean'}, default='mean'
            Summary of the runs with the same value.
        negate_score : bool, default=False
            Draw errors in place of scores that are negative errors; lower is then
            better.
        score_name : str, default=None
            Label of the scores.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the lines (matplotlib Line2D).

        Returns
        -------
        display : ModelSelectionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter or the metric is not in `cv_results`, or every fit failed.

        See Also
        --------
        from_estimators : Draw a criterion of fitted estimators.

        Examples
        --------
        >>> from sklearn.model_selection import GridSearchCV
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> from sklearn_gmmcf.model_selection import completion_scorer
        >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
        >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
        >>> search = GridSearchCV(
        ...     MaskedGaussianMixture(covariance_type="spherical", random_state=0),
        ...     {"n_components": [1, 2, 4]},
        ...     scoring=completion_scorer("rmse"),
        ...     cv=3,
        ... ).fit(X)
        >>> display = ModelSelectionDisplay.from_cv_results(
        ...     search.cv_results_, negate_score=True
        ... )
        >>> display.best_value == search.best_params_["n_components"]
        True
        """
        require_pyplot(f"{cls.__name__}.from_cv_results")
        _check_cv_results(cv_results, metric)
        all_params = list(cv_results["params"])
        sign = -1.0 if negate_score else 1.0
        scores = np.asarray(cv_results[f"mean_test_{metric}"], dtype=np.float64)
        if score_name is None:
            score_name = f"held-out {'error' if negate_score else metric}"
        display = cls(
            values=_pick_values(all_params, "param", param),
            scores=sign * scores,
            groups=None if group is None else _pick_values(all_params, "group", group),
            errors=_standard_errors(cv_results, metric),
            greater_is_better=not negate_score,
            statistic=statistic,
            chosen=best_index,
            param=param,
            score_name=score_name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(
        self, ax: Axes | None = None, *, line_kwargs: dict[str, Any] | None = None
    ) -> ModelSelectionDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        line_kwargs : dict, default=None
            Properties of the lines (matplotlib Line2D).

        Returns
        -------
        display : ModelSelectionDisplay
            The display itself.

        See Also
        --------
        from_estimators : Make a display from fitted estimators.
        from_cv_results : Make a display from a search.

        Examples
        --------
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
        >>> display = ModelSelectionDisplay(
        ...     values=np.array([1, 2, 3]), scores=np.array([-1.3, -1.1, -1.2])
        ... )
        >>> ax = Figure().subplots()
        >>> display.plot(ax, line_kwargs={"color": "black"}).best_value
        2
        """
        check_option("statistic", self.statistic, ("best", "mean"))
        # The score of a fit that failed is NaN.
        usable = np.isfinite(self.scores)
        if not usable.any():
            raise ValueError("No run has a finite score: every fit failed.")
        self._check_chosen(usable)
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        positions = self._find_positions()
        lines = self._summarize_groups(positions, usable)
        self.lines_: list[Line2D] = []
        self.bands_: list[FillBetweenPolyCollection | None] = []
        self.runs_: list[PathCollection] = []
        for line in lines:
            self._draw_line(line, positions, line_kwargs)
        self._mark(*self._find_best(lines, positions), positions)
        self._label_axes()
        self._draw_legend(lines)
        return self

    def _check_chosen(self, usable: Array) -> None:
        """Check that the chosen run has a finite score."""
        if self.chosen is None:
            return
        chosen = check_integer("best_index", self.chosen, 0)
        if chosen >= len(usable) or not usable[chosen]:
            raise ValueError(
                f"best_index={chosen} should be one of the {len(usable)} candidates "
                "whose score is finite."
            )

    def _find_positions(self) -> Array:
        """Positions of the runs on the horizontal axis."""
        if self.values.dtype.kind in "iuf":
            return self.values.astype(np.float64)
        names = _list_distinct(self.values)
        return np.array([names.index(value) for value in self.values], dtype=float)

    def _summarize_groups(self, positions: Array, usable: Array) -> list[_Line]:
        """A line for each group that has a usable run."""
        if self.groups is None:
            return [self._summarize(None, usable, positions)]
        lines = []
        for group in _list_distinct(self.groups):
            members = usable & (self.groups == group)
            if members.any():
                lines.append(self._summarize(group, members, positions))
        return lines

    def _summarize(self, group: Any, members: Array, positions: Array) -> _Line:
        """Best or mean score, and its spread, of the members at each position."""
        distinct, inverse = np.unique(positions[members], return_inverse=True)
        runs = [np.flatnonzero(members)[inverse == i] for i in range(len(distinct))]
        scores = np.array([self._combine(self.scores[indices]) for indices in runs])
        if self.errors is not None and all(len(indices) == 1 for indices in runs):
            errors = self.errors[np.concatenate(runs)]
            lows, highs, spread = scores - errors, scores + errors, "1 standard error"
        else:
            lows = np.array([self.scores[indices].min() for indices in runs])
            highs = np.array([self.scores[indices].max() for indices in runs])
            spread = "range of runs"
        return _Line(group, members, distinct, scores, lows, highs, spread)

    @property
    def _left_early(self) -> Array:
        """Whether each run left early, (n_runs,)."""
        if self.left_early is None:
            return np.zeros(len(self.scores), dtype=bool)
        return np.asarray(self.left_early, dtype=bool)

    def _combine(self, scores: Array) -> float:
        """One score for runs with the same value."""
        if self.statistic == "mean":
            return float(scores.mean())
        return float(scores.max() if self.greater_is_better else scores.min())

    def _draw_line(
        self, line: _Line, positions: Array, given: dict[str, Any] | None
    ) -> None:
        """The line of a group, its band, and its runs as points."""
        from matplotlib.colors import to_rgba
        from matplotlib.lines import Line2D

        style = make_style(
            "line_kwargs",
            given,
            Line2D,
            **next_style(self.ax_),
            label=None if self.groups is None else str(line.group),
        )
        self.lines_ += self.ax_.plot(line.positions, line.scores, **style)
        band = None
        if (line.highs > line.lows).any():
            band = self.ax_.fill_between(
                line.positions,
                line.lows,
                line.highs,
                color=style["color"],
                alpha=0.2,
                linewidth=0,
            )
        self.bands_.append(band)
        color, blank = to_rgba(style["color"], 0.7), (0.0, 0.0, 0.0, 0.0)
        hollow = self._left_early[line.members]
        runs = self.ax_.scatter(
            positions[line.members],
            self.scores[line.members],
            s=9,
            facecolors=[blank if left else color for left in hollow],
            edgecolors=[color if left else blank for left in hollow],
            linewidths=0.6,
            zorder=2.5,
        )
        self.runs_.append(runs)

    def _find_best(self, lines: list[_Line], positions: Array) -> tuple[_Line, int]:
        """A line and the index of its point: the chosen run, or the best point."""
        if self.chosen is not None:
            line = next(line for line in lines if line.members[self.chosen])
            return line, int(np.argmax(line.positions == positions[self.chosen]))
        sign = 1 if self.greater_is_better else -1
        line = max(lines, key=lambda line: (sign * line.scores).max())
        return line, int(np.argmax(sign * line.scores))

    def _mark(self, line: _Line, index: int, positions: Array) -> None:
        """A star and a vertical line at a point of a line."""
        x = line.positions[index]
        self.best_group = line.group
        self.best_value = self.values[positions == x][0]
        if isinstance(self.best_value, np.generic):
            self.best_value = self.best_value.item()
        symbol = "K" if _is_n_components(self.param) else self.param
        group = "" if self.best_group is None else f", {self.best_group}"
        self.chosen_line_ = self.ax_.axvline(
            x, color="0.3", linewidth=0.8, linestyle=":", zorder=1
        )
        (self.chosen_,) = self.ax_.plot(
            [x],
            [line.scores[index]],
            linestyle="",
            marker="*",
            markersize=13,
            color="black",
            markeredgecolor="white",
            zorder=5,
            label=f"{symbol} = {self.best_value}{group}",
        )

    def _label_axes(self) -> None:
        """Labels of the axes, and ticks at the values."""
        from matplotlib.ticker import MaxNLocator

        axis = self.ax_.xaxis
        if self.values.dtype.kind in "iu":
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        elif self.values.dtype.kind != "f":
            names = _list_distinct(self.values)
            axis.set_ticks(range(len(names)), [str(name) for name in names])
        n_components = _is_n_components(self.param)
        self.ax_.set(
            xlabel="number of components K" if n_components else self.param,
            ylabel=self.score_name,
        )

    def _draw_legend(self, lines: list[_Line]) -> None:
        """Groups, the chosen value, and what bands and circles mean, above the axes."""
        from matplotlib.lines import Line2D

        handles, labels = self.ax_.get_legend_handles_labels()
        for line, band in zip(lines, self.bands_, strict=True):
            if band is not None:
                handles, labels = [*handles, band], [*labels, line.spread]
                break
        if self._left_early.any():
            circle = Line2D([], [], color="0.3", marker="o", linestyle="", markersize=3)
            circle.set_fillstyle("none")
            handles, labels = [*handles, circle], [*labels, "left early"]
        self.legend_ = self.ax_.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            fontsize="x-small",
            frameon=False,
            handlelength=1.6,
            columnspacing=1.0,
            borderaxespad=0.2,
        )


def _measure(criterion: str, mixture: Any, X: Any) -> float:
    """A named criterion of a fitted mixture."""
    if criterion in ("silhouette", "inertia") and not hasattr(mixture, "silhouette"):
        raise ValueError(
            f"criterion={criterion!r} is for KMeansMixture, but got "
            f"{type(mixture).__name__}. Take 'bic' or 'icl'."
        )
    if criterion == "inertia":
        return mixture.inertia_
    if criterion == "silhouette" and mixture.n_components == 1:
        return np.nan  # one cluster has no silhouette
    return getattr(mixture, criterion)(X)


def _find_elbow(values: Array, inertias: list[float]) -> int:
    """The best run of the value farthest below the line from the first to the last."""
    if values.dtype.kind not in "iuf":
        raise ValueError("criterion='inertia' has an elbow over numbers only.")
    order = np.lexsort((np.asarray(inertias), values))
    x, first = np.unique(values[order], return_index=True)
    best = order[first]
    y = np.asarray(inertias)[best]
    if len(x) < 3 or y[0] == y[-1]:
        raise ValueError(
            f"criterion='inertia' needs at least 3 values of the parameter, over which "
            f"the inertia falls, to have an elbow, but got {len(x)}. Fit more of them."
        )
    depths = (y[0] - y) / (y[0] - y[-1]) - (x - x[0]) / (x[-1] - x[0])
    return int(best[np.argmax(depths)])


def _is_n_components(param: str) -> bool:
    """Tell whether a parameter is the number of components, of a step or alone."""
    return param.split("__")[-1] == "n_components"


def _list_distinct(values: Array) -> list[Any]:
    """Distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values.tolist()))


def _check_cv_results(cv_results: Any, metric: str) -> None:
    """Check that results of a search have the scores of a metric."""
    if hasattr(cv_results, "fit"):
        raise TypeError(
            f"cv_results should be a dict, but got {type(cv_results).__name__}. Fit "
            "it, and pass its cv_results_."
        )
    key = f"mean_test_{metric}"
    if "params" not in cv_results or key not in cv_results:
        found = [str(k)[10:] for k in cv_results if str(k).startswith("mean_test_")]
        raise ValueError(
            f"cv_results has no {key!r}, but the metrics {found}. Pass "
            "search.cv_results_ of a fitted search, and metric=."
        )


def _standard_errors(cv_results: Any, metric: str) -> Array | None:
    """Standard errors (n_runs,) of the mean scores; None with one fold."""
    pattern = re.compile(rf"split\d+_test_{re.escape(metric)}")
    n_folds = sum(bool(pattern.fullmatch(str(key))) for key in cv_results)
    if n_folds < 2:
        return None
    std = np.asarray(cv_results[f"std_test_{metric}"], dtype=np.float64)
    return std / np.sqrt(n_folds - 1)


def _pick_values(all_params: list[dict[str, Any]], role: str, name: str) -> Array:
    """Values (n_runs,) of a parameter, which may be named without its prefix."""
    keys = dict.fromkeys(key for params in all_params for key in params)
    found = [name] if name in keys else [k for k in keys if k.endswith(f"__{name}")]
    if len(found) != 1:
        raise ValueError(
            f"{role}={name!r} should name one parameter of all runs, but "
            f"{'it fits ' + str(found) if found else 'these are ' + str(list(keys))}."
        )
    lacking = [params for params in all_params if found[0] not in params]
    if lacking:
        raise ValueError(
            f"{role}={name!r} should be a parameter of all runs, but one has only "
            f"{sorted(lacking[0])}."
        )
    values = [params[found[0]] for params in all_params]
    if all(is_number(value) for value in values):
        return np.asarray(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
