"""ModelSelectionDisplay: a criterion or a score over the number of components."""

from __future__ import annotations

import re

import numpy as np

from sklearn_gmmcf.model_selection import aic_scorer, bic_scorer
from sklearn_gmmcf.plotting._common import (
    check_number,
    check_option,
    enter,
    is_number,
    last_step,
    make_axes,
    make_style,
    next_style,
    require_pyplot,
)

_CRITERIA = {"bic": bic_scorer, "aic": aic_scorer, "icl": None}


class ModelSelectionDisplay:
    """A criterion or a held-out score over a parameter, with its spread.

    One point is one run: an estimator, or a candidate of a search. Runs that have the
    same value of the parameter (seeds, say) make one place of the line: their best or
    their mean. A band shows their range or, where each value has one run, one standard
    error over the folds to both sides. A star and a vertical line mark what is chosen.

    Use :meth:`from_estimators` or :meth:`from_cv_results` to make one.

    Parameters
    ----------
    values : ndarray of shape (n_runs,)
        Value of the parameter in each run.

    scores : ndarray of shape (n_runs,)
        Criterion or score of each run.

    groups : ndarray of shape (n_runs,), default=None
        What splits the runs into lines.

    errors : ndarray of shape (n_runs,), default=None
        Standard errors of the scores over folds.

    greater_is_better : bool, default=True
        Whether a higher score is better.

    statistic : {'best', 'mean'}, default='mean'
        What the line shows of runs with the same value.

    chosen : int, default=None
        The run that was chosen. None takes the best place of the lines.

    param : str, default='n_components'
        Name of the parameter.

    score_name : str, default='score'
        Label of the scores.

    Attributes
    ----------
    best_value : object
        The value that is marked as chosen.

    best_group : object
        The group in which it is; None without groups.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure of the axes.

    lines_ : list of matplotlib Line2D
        The line of each group.

    bands_ : list of matplotlib FillBetweenPolyCollection
        The band of each group; None for one that has no spread.

    runs_ : list of matplotlib PathCollection
        The runs of each group.

    chosen_ : matplotlib Line2D
        The star.

    chosen_line_ : matplotlib Line2D
        The vertical line.

    See Also
    --------
    sklearn_gmmcf.model_selection.one_standard_error : A rule of choice.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.plotting import ModelSelectionDisplay
    >>> X = make_ratings(n_factors=0, density=0.3, random_state=0).data
    >>> mixtures = [
    ...     MaskedGaussianMixture(k, random_state=seed).fit(X)
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
        values,
        scores,
        groups=None,
        errors=None,
        greater_is_better=True,
        statistic="mean",
        chosen=None,
        param="n_components",
        score_name="score",
    ):
        self.values = values
        self.scores = scores
        self.groups = groups
        self.errors = errors
        self.greater_is_better = greater_is_better
        self.statistic = statistic
        self.chosen = chosen
        self.param = param
        self.score_name = score_name

    @classmethod
    def from_estimators(
        cls,
        estimators,
        X,
        *,
        criterion="bic",
        param="n_components",
        group=None,
        statistic=None,
        score_name=None,
        ax=None,
        line_kwargs=None,
    ):
        """Draw a criterion of fitted estimators over one of their parameters.

        Parameters
        ----------
        estimators : sequence of objects
            Fitted mixtures, or Pipelines that end in one. Several with the same value
            of the parameter, such as fits with other seeds, make one place.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that were fitted for 'bic', 'aic' and 'icl'; new rows for a scorer.
        criterion : {'bic', 'aic', 'icl'} or callable, default='bic'
            A criterion, of which lower is better; or ``scorer(estimator, X)``, of which
            higher is better, such as what
            :func:`~sklearn_gmmcf.model_selection.completion_scorer` makes.
        param : str, default='n_components'
            The parameter, of the mixture.
        group : str, default=None
            Another parameter of the mixture that splits the runs into lines, such as
            'covariance_type'.
        statistic : {'best', 'mean'}, default=None
            What the line shows of runs with the same value. None takes the best for a
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
            If the criterion or a parameter is not known.
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
                getattr(mixture, criterion)(Z)
                for mixture, Z in (enter(each, X, caller) for each in estimators)
            ]
            score_name = score_name or f"{criterion.upper()} (lower is better)"
        if statistic is None:
            statistic = "mean" if callable(criterion) else "best"
        all_params = [mixture.get_params() for mixture in mixtures]
        display = cls(
            values=_as_array(_pick(all_params, "param", param)),
            scores=np.array(scores, dtype=np.float64),
            groups=None
            if group is None
            else _as_array(_pick(all_params, "group", group)),
            greater_is_better=callable(criterion),
            statistic=statistic,
            param=param,
            score_name=score_name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def from_cv_results(
        cls,
        cv_results,
        *,
        param="n_components",
        group=None,
        metric="score",
        best_index=None,
        statistic="mean",
        negate_score=False,
        score_name=None,
        ax=None,
        line_kwargs=None,
    ):
        """Draw the mean test scores of a search over one of its parameters.

        Parameters
        ----------
        cv_results : dict
            `cv_results_` of a fitted search. Candidates that differ in anything but the
            two parameters below are runs of one place.
        param : str, default='n_components'
            The parameter. One with a prefix, such as ``gmm__n_components``, is found by
            the last part of its name too.
        group : str, default=None
            Another parameter that splits the candidates into lines.
        metric : str, default='score'
            Which of several metrics: the key of the search's `scoring`.
        best_index : int, default=None
            `best_index_` of the search, to mark what it chose, by whatever rule. None
            marks the best place of the lines.
        statistic : {'best', 'mean'}, default='mean'
            What the line shows of runs with the same value.
        negate_score : bool, default=False
            Draw the errors whose negative are the scores; lower is then better.
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
        """
        require_pyplot(f"{cls.__name__}.from_cv_results")
        if hasattr(cv_results, "fit"):
            raise TypeError(
                f"cv_results should be a dict, but got {type(cv_results).__name__}. "
                "Fit it, and pass its cv_results_."
            )
        key = f"mean_test_{metric}"
        if "params" not in cv_results or key not in cv_results:
            found = [str(k)[10:] for k in cv_results if str(k).startswith("mean_test_")]
            raise ValueError(
                f"cv_results has no {key!r}, but the metrics {found}. Pass "
                "search.cv_results_ of a fitted search, and metric=."
            )
        all_params = list(cv_results["params"])
        sign = -1.0 if negate_score else 1.0
        scores = sign * np.asarray(cv_results[key], dtype=np.float64)
        pattern = re.compile(rf"split\d+_test_{re.escape(metric)}")
        n_folds = sum(bool(pattern.fullmatch(str(k))) for k in cv_results)
        errors = None
        if n_folds > 1:
            spread = np.asarray(cv_results[f"std_test_{metric}"], dtype=np.float64)
            errors = spread / np.sqrt(n_folds - 1)
        if score_name is None:
            score_name = f"held-out {'error' if negate_score else metric}"
        display = cls(
            values=_as_array(_pick(all_params, "param", param)),
            scores=scores,
            groups=None
            if group is None
            else _as_array(_pick(all_params, "group", group)),
            errors=errors,
            greater_is_better=not negate_score,
            statistic=statistic,
            chosen=best_index,
            param=param,
            score_name=score_name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
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
        """
        check_option("statistic", self.statistic, ("best", "mean"))
        # The score of a fit that failed is NaN.
        usable = np.isfinite(self.scores)
        if not usable.any():
            raise ValueError("No run has a finite score: every fit failed.")
        if self.chosen is not None:
            chosen = check_number("best_index", self.chosen, 0)
            if chosen >= len(usable) or not usable[chosen]:
                raise ValueError(
                    f"best_index={chosen} should be one of the {len(usable)} "
                    "candidates whose score is finite."
                )
        self.ax_ = make_axes(ax, f"{type(self).__name__}.plot")
        self.figure_ = self.ax_.figure
        from matplotlib.lines import Line2D

        self.lines_, self.bands_, self.runs_ = [], [], []
        places = self._places()
        best = None
        for group in self._distinct(self.groups):
            own = usable.copy()
            if group is not None:
                own &= self.groups == group
            if not own.any():
                continue
            style = make_style(
                "line_kwargs",
                line_kwargs,
                Line2D,
                **next_style(self.ax_),
                label=None if group is None else str(group),
            )
            at, lines, lows, highs = self._summarize(places, own)
            (line,) = self.ax_.plot(at, lines, **style)
            band = None
            if (highs > lows).any():
                band = self.ax_.fill_between(
                    at, lows, highs, color=style["color"], alpha=0.2, linewidth=0
                )
            self.lines_.append(line)
            self.bands_.append(band)
            self.runs_.append(
                self.ax_.scatter(
                    places[own],
                    self.scores[own],
                    s=9,
                    color=style["color"],
                    alpha=0.7,
                    linewidths=0,
                    zorder=2.5,
                )
            )
            index = lines.argmax() if self.greater_is_better else lines.argmin()
            if best is None or self._is_better(lines[index], best[1]):
                best = at[index], lines[index], group
            if self.chosen is not None and own[self.chosen]:
                index = np.flatnonzero(at == places[self.chosen])[0]
                marked = at[index], lines[index], group
        if self.chosen is not None:
            best = marked
        self._mark(places, best)
        self._label(places)
        return self

    def _is_better(self, one, other):
        return one > other if self.greater_is_better else one < other

    def _distinct(self, values):
        """In the order of their first appearance."""
        return [None] if values is None else list(dict.fromkeys(values.tolist()))

    def _places(self):
        """Where the runs stand on the horizontal axis."""
        if self.values.dtype.kind in "iuf":
            return self.values.astype(np.float64)
        names = self._distinct(self.values)
        return np.array([names.index(value) for value in self.values], dtype=float)

    def _summarize(self, places, own):
        """Places, heights of the line there, and bounds of the band."""
        at, back = np.unique(places[own], return_inverse=True)
        runs = [np.flatnonzero(own)[back == place] for place in range(len(at))]
        scores = [self.scores[these] for these in runs]
        if self.statistic == "mean":
            line = [each.mean() for each in scores]
        else:
            line = [
                each.max() if self.greater_is_better else each.min() for each in scores
            ]
        if self.errors is not None and all(len(these) == 1 for these in runs):
            error = np.array([self.errors[these[0]] for these in runs])
            lows, highs = line - error, line + error
            self.spread = "1 standard error"
        else:
            lows = np.array([each.min() for each in scores])
            highs = np.array([each.max() for each in scores])
            self.spread = "range of runs"
        return at, np.array(line), lows, highs

    def _mark(self, places, best):
        at, score, self.best_group = best
        self.best_value = self.values[places == at][0]
        if isinstance(self.best_value, np.generic):
            self.best_value = self.best_value.item()
        symbol = "K" if self.param.split("__")[-1] == "n_components" else self.param
        group = "" if self.best_group is None else f", {self.best_group}"
        self.chosen_line_ = self.ax_.axvline(
            at, color="0.3", linewidth=0.8, linestyle=":", zorder=1
        )
        (self.chosen_,) = self.ax_.plot(
            [at],
            [score],
            linestyle="",
            marker="*",
            markersize=13,
            color="black",
            markeredgecolor="white",
            zorder=5,
            label=f"{symbol} = {self.best_value}{group}",
        )

    def _label(self, places):
        from matplotlib.ticker import MaxNLocator

        axis = self.ax_.xaxis
        if self.values.dtype.kind in "iu":
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        elif self.values.dtype.kind != "f":
            names = self._distinct(self.values)
            axis.set_ticks(range(len(names)), [str(name) for name in names])
        components = self.param.split("__")[-1] == "n_components"
        self.ax_.set(
            xlabel="number of components K" if components else self.param,
            ylabel=self.score_name,
        )
        handles, labels = self.ax_.get_legend_handles_labels()
        band = next((band for band in self.bands_ if band is not None), None)
        if band is not None:
            handles, labels = [*handles, band], [*labels, self.spread]
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


def _pick(all_params, role, name):
    """Value of a parameter in each run; one with a prefix goes by its last part too."""
    keys = dict.fromkeys(key for params in all_params for key in params)
    found = [name] if name in keys else [k for k in keys if k.endswith(f"__{name}")]
    if len(found) != 1:
        raise ValueError(
            f"{role}={name!r} should name one parameter of all runs, but "
            f"{'it fits ' + str(found) if found else 'these are ' + str(list(keys))}."
        )
    missing = [params for params in all_params if found[0] not in params]
    if missing:
        raise ValueError(
            f"{role}={name!r} should be a parameter of all runs, but one has only "
            f"{sorted(missing[0])}."
        )
    return [params[found[0]] for params in all_params]


def _as_array(values):
    """Numbers as such, anything else as objects."""
    if all(is_number(value) for value in values):
        return np.asarray(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
