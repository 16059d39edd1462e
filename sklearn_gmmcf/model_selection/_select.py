# SPDX-License-Identifier: BSD-3-Clause
"""select_mixture: one search over covariance types and numbers of components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_random_state

from sklearn_gmmcf._held_out import get_covariates, use_positions
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._sklearn import safe_indexing
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count
from sklearn_gmmcf._warnings import warn_user
from sklearn_gmmcf.covariance import FAMILIES, Family
from sklearn_gmmcf.data import check_duplicates
from sklearn_gmmcf.data._dask import to_memory
from sklearn_gmmcf.model_selection._entries import to_entries
from sklearn_gmmcf.model_selection._race import (
    FoldRace,
    PassRace,
    Race,
    Run,
    run_race,
)
from sklearn_gmmcf.model_selection._regressor import EntryRegressor, hold_out_pairs
from sklearn_gmmcf.model_selection._scorers import METRICS

_CRITERIA = ("bic", "icl", "aic", "caic", "sabic")
_HELD_OUT = ("score", "entries")
# Names in the table of which a higher value is better.
_SCORES = ("score", "log_density")


@dataclass(frozen=True, eq=False)
class SelectedMixture:
    """The result of `select_mixture`.

    Methods and displays that take a fitted search take it, too, for it has a
    `best_estimator_`.

    Parameters
    ----------
    best_estimator_ : MaskedGaussianMixture
        The chosen mixture, fitted to all rows.

    best_params_ : dict
        Its `covariance_type`, `n_components`, `random_state` and `n_init`; with a
        criterion on the fitted rows the one start that won, with its `init_params`.

    best_index_ : int
        Its line in the table.

    table : dict of ndarrays of shape (n_lines,)
        A table in columns, as ``pandas.DataFrame`` takes it. With a criterion on the
        fitted rows each start has a line, else each candidate:

        - ``covariance_type``, ``n_components``, ``random_state``;
        - the criterion, under its name: at the end of the run, or where the run left;
          NaN if the fit failed;
        - on the fitted rows ``log_likelihood``, ``n_parameters``, ``n_iter`` (passes of
          EM), ``converged``, and ``degenerate``: whether a component is so flat in some
          direction that `reg_covar` decides its variance there; such a fit is chosen
          only if there is no other; else ``standard_error`` over the folds and
          ``n_folds``;
        - ``dropped``: whether it left early;
        - ``seconds``: elapsed time.

    criterion : str
        Name of the criterion in the table: 'bic', ..., 'score' or, for 'entries', the
        metric.

    greater_is_better : bool
        Whether a higher criterion is better.

    See Also
    --------
    select_mixture : Makes it.
    sklearn_gmmcf.plotting.ModelSelectionDisplay.from_selection : Draws it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_gmmcf.model_selection import select_mixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0, 1, (40, 2)), rng.normal(5, 1, (40, 2))])
    >>> X[rng.random(X.shape) < 0.2] = np.nan
    >>> selected = select_mixture(
    ...     X, n_components=[1, 2, 3], covariance_type=["diag"], random_state=0
    ... )
    >>> selected.best_estimator_.means_.round()
    array([[0., 0.],
           [5., 5.]])
    >>> lines = pd.DataFrame(selected.table)
    >>> lines.groupby("n_components")[selected.criterion].min().round()
    n_components
    1    625.0
    2    499.0
    3    513.0
    Name: bic, dtype: float64
    """

    best_estimator_: MaskedGaussianMixture
    best_params_: dict[str, Any]
    best_index_: int
    table: dict[str, Array]
    criterion: str
    greater_is_better: bool

    def __repr__(self) -> str:
        n_lines = len(self.table["seconds"])
        value = self.table[self.criterion][self.best_index_]
        kind, n_components = (
            self.best_params_[name] for name in ("covariance_type", "n_components")
        )
        return (
            f"SelectedMixture({kind!r}, n_components={n_components}, "
            f"{self.criterion}={value:.6g}, best of {n_lines})"
        )


def select_mixture(
    X: Any,
    *,
    n_components: Any = range(1, 10),
    covariance_type: Any = ("full", "tied", "diag"),
    estimator: MaskedGaussianMixture | None = None,
    criterion: str = "bic",
    sample_size: str = "rows",
    metric: str = "log_density",
    n_init: int = 3,
    cv: Any = 5,
    exhaustive: bool = False,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> SelectedMixture:
    """Choose the covariance type and the number of components in one search.

    Candidates race. With a criterion on the fitted rows all of them, from all starts,
    run a few passes of EM first; the passes of the remaining runs double with each
    round. A run leaves when twice its gain over the last doubling would leave it behind
    the best. With a held-out criterion, all candidates are judged on the first fold,
    and those that are worse than the best by three standard errors of their paired
    difference leave before the next.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with missing entries.

    n_components : int or iterable of int, default=range(1, 10)
        Numbers of components to try.

    covariance_type : str, Family or iterable of them, default=('full', 'tied', 'diag')
        Covariance types to try. The log-density of 'factor' is a bound, so that it
        should be compared with others by 'entries' only; anything else warns.

    estimator : MaskedGaussianMixture, default=None
        Brings all other parameters, such as `missing_values`, priors, `tol` and
        `max_iter`; its `n_init` and `random_state` do not count. It is not changed.
        None takes the defaults.

    criterion : {'bic', 'icl', 'aic', 'caic', 'sabic', 'score', 'entries'}, \
            default='bic'
        The first five are methods of the mixture, of all rows and on the fitted rows;
        lower is better. 'score' is the mean log-density of held-out rows, and 'entries'
        the `metric` of held-out entries of the same rows.

    sample_size : {'rows', 'entries'}, default='rows'
        For 'bic', 'icl', 'caic' and 'sabic': see
        :meth:`~sklearn_gmmcf.MaskedGaussianMixture.bic`.

    metric : {'log_density', 'rmse', 'mae'}, default='log_density'
        For 'entries': the mean log-density of the held-out entries, which does not
        depend on the units of the columns; or an error in the units of X, which suits
        columns of one unit, such as ratings.

    n_init : int, default=3
        Number of starts of each candidate. Where starts are equal, as with one
        component or 'factor', there is one. With a criterion on the fitted rows every
        second k-means start of 'tied' and 'full' is whitened, as in `fit`.

    cv : int, splitter or iterable of (train, test), default=5
        Folds of rows for 'score', of the observed entries (sorted by rows and then
        columns) for 'entries'. An integer is
        ``KFold(cv, shuffle=True, random_state=0)``.

    exhaustive : bool, default=False
        Take all candidates to convergence, and through all folds, as a grid search
        does.

    random_state : int, RandomState instance or None, default=None
        Seeds the starts.

    n_jobs : int, default=None
        Number of runs to work on in parallel, as in joblib.

    verbose : int, default=0
        1 prints a line for each round.

    Returns
    -------
    selected : SelectedMixture
        `best_estimator_`, `best_params_`, `best_index_` and a `table` of all
        candidates.

    Raises
    ------
    ValueError
        If an argument is none of the above, or all fits failed.

    See Also
    --------
    bic_scorer : The same choice by GridSearchCV, for Pipelines and other parameters.
    completion_scorer : Judges completions of new rows.
    sklearn_gmmcf.plotting.ModelSelectionDisplay.from_selection : Draws the table.

    Notes
    -----
    A race may lose a run that gains most of its likelihood late, as where a component
    of 'full' closes in on a few rows of a small table. Such maxima are rarely wanted;
    `exhaustive` finds them.

    Fits that fail, such as those with more components than rows, are left out with a
    warning. Columns of any units may be compared by the BIC as long as `reg_covar` is
    small beside their variances.

    References
    ----------
    C. Biernacki, G. Celeux and G. Govaert (2003). Choosing starting values for the EM
    algorithm for getting the highest likelihood in multivariate Gaussian mixture
    models. Computational Statistics and Data Analysis 41, 561-575.

    O. Maron and A. W. Moore (1994). Hoeffding races: accelerating model selection
    search for classification and function approximation. Advances in Neural
    Information Processing Systems 6, 59-66.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_gmmcf.model_selection import select_mixture
    >>> X = load_iris().data
    >>> selected = select_mixture(
    ...     X,
    ...     n_components=range(1, 6),
    ...     covariance_type=["full", "tied", "diag"],
    ...     random_state=0,
    ... )
    >>> selected
    SelectedMixture('full', n_components=2, bic=574.018, best of 39)
    >>> labels = selected.best_estimator_.predict(X)  # fitted to all rows
    """
    estimator = MaskedGaussianMixture() if estimator is None else estimator
    _check_options(estimator, criterion, metric, sample_size)
    check_count("n_init", n_init)
    sizes, kinds = _list_sizes(n_components), _list_kinds(covariance_type)
    _check_init(estimator, criterion, sizes)
    _warn_of_bounds(kinds, criterion)
    rng = check_random_state(random_state)
    seeds = [int(seed) for seed in rng.randint(np.iinfo(np.int32).max, size=n_init)]
    report = print if verbose else _be_silent
    if criterion in _CRITERIA:
        judge = partial(_judge, criterion, sample_size)
        race: Race = PassRace(estimator, X, judge, exhaustive)
        starts = _list_starts(estimator, kinds, sizes, seeds)
        runs = run_race(race, starts, n_jobs, report)
        name, is_score = criterion, False
        table = _tabulate_passes(runs, X, name)
        n_init = 1
    else:
        folds, measure = _make_folds(estimator, X, criterion, metric, cv)
        race = FoldRace(estimator, n_init, folds, measure, exhaustive)
        runs = run_race(race, _list_candidates(kinds, sizes, seeds[0]), n_jobs, report)
        name = metric if criterion == "entries" else criterion
        is_score = name in _SCORES
        table = _tabulate_folds(runs, name)
    _check_failures(runs)
    best = _find_best(table, name, is_score)
    params = {**runs[best].params, "n_init": n_init}
    mixture = clone(estimator).set_params(**params).fit(X)
    return SelectedMixture(mixture, params, best, table, name, is_score)


def _be_silent(message: str) -> None:
    pass


def _check_options(
    estimator: Any, criterion: Any, metric: Any, sample_size: Any
) -> None:
    if not isinstance(estimator, MaskedGaussianMixture):
        raise TypeError(
            "estimator should be a MaskedGaussianMixture, but got "
            f"{type(estimator).__name__}. Search a Pipeline by GridSearchCV with "
            "scoring=bic_scorer and cv=all_rows()."
        )
    for name, value, options in (
        ("criterion", criterion, (*_CRITERIA, *_HELD_OUT)),
        ("metric", metric, METRICS),
        ("sample_size", sample_size, ("rows", "entries")),
    ):
        if not isinstance(value, str) or value not in options:
            raise ValueError(
                f"{name} should be one of {list(options)}, but got {value!r}."
            )


def _check_init(
    estimator: MaskedGaussianMixture, criterion: str, sizes: list[int]
) -> None:
    """Refuse parts of starts that do not fit all candidates."""
    if criterion in _HELD_OUT and estimator.labels_init is not None:
        raise ValueError(
            f"criterion={criterion!r} fits a part of the rows, but labels_init has a "
            "label for each row. Leave it at None, or take another criterion."
        )
    for name in ("weights_init", "means_init", "precisions_init"):
        if len(sizes) > 1 and getattr(estimator, name) is not None:
            raise ValueError(
                f"{name} suits one number of components, but n_components has "
                f"{len(sizes)}. Leave it at None."
            )


def _list_sizes(n_components: Any) -> list[int]:
    """Numbers of components, each once."""
    sizes = list(n_components) if np.iterable(n_components) else [n_components]
    for size in sizes:
        check_count("n_components", size)
    if not sizes:
        raise ValueError("n_components should name at least one number.")
    return [int(size) for size in dict.fromkeys(sizes)]


def _list_kinds(covariance_type: Any) -> list[Any]:
    """Covariance types, each once."""
    single = isinstance(covariance_type, (str, Family))
    kinds = [covariance_type] if single else list(covariance_type)
    if not kinds:
        raise ValueError("covariance_type should name at least one type.")
    names = [kind for kind in kinds if not isinstance(kind, Family)]
    unknown = [kind for kind in names if kind not in FAMILIES]
    if unknown:
        raise ValueError(
            f"covariance_type should hold some of {list(FAMILIES)}, or families, but "
            f"got {unknown[0]!r}."
        )
    return list(dict.fromkeys(kinds))


def _get_family(kind: Any) -> Any:
    """The family of a covariance type, or its class."""
    return FAMILIES.get(kind) if isinstance(kind, str) else kind


def _warn_of_bounds(kinds: list[Any], criterion: str) -> None:
    """Warn if densities would be compared with lower bounds of densities."""
    bounds = [getattr(_get_family(kind), "log_joint_is_bound", False) for kind in kinds]
    if criterion != "entries" and any(bounds) and not all(bounds):
        warn_user(
            f"criterion={criterion!r} compares log-densities, but the log-density of "
            f"{kinds[bounds.index(True)]!r} is a lower bound, so that it is chosen too "
            "rarely. Set criterion='entries', or search it by itself.",
            UserWarning,
        )


def _list_candidates(
    kinds: list[Any], sizes: list[int], seed: int
) -> list[dict[str, Any]]:
    """Parameters of each candidate."""
    return [
        {"covariance_type": kind, "n_components": size, "random_state": seed}
        for kind in kinds
        for size in sizes
    ]


def _list_starts(
    estimator: MaskedGaussianMixture,
    kinds: list[Any],
    sizes: list[int],
    seeds: list[int],
) -> list[dict[str, Any]]:
    """Parameters of each start of each candidate; equal starts once.

    Where starts are k-means, every second one is in whitened coordinates, as in `fit`.
    """
    starts = []
    methods = [estimator.init_params] * len(seeds)
    if estimator.init_params == "kmeans":
        methods[1::2] = ["whitened"] * len(methods[1::2])
    for candidate in _list_candidates(kinds, sizes, seeds[0]):
        family = _get_family(candidate["covariance_type"])
        n_starts = len(seeds)
        if (
            candidate["n_components"] == 1
            or not family.start_is_seeded
            or estimator.labels_init is not None
        ):
            n_starts = 1
        starts += [
            {**candidate, "random_state": seed, "init_params": method}
            for seed, method in zip(seeds[:n_starts], methods, strict=False)
        ]
    return starts


def _judge(criterion: str, sample_size: str, mixture: Any, X: Any) -> float:
    """A criterion of a fitted mixture; lower is better."""
    options = {} if criterion == "aic" else {"sample_size": sample_size}
    return getattr(mixture, criterion)(X, **options)


def _make_folds(
    estimator: MaskedGaussianMixture, X: Any, criterion: str, metric: str, cv: Any
) -> tuple[list[tuple[Array, Array]], Callable[..., Array]]:
    """Folds, and a function that measures the losses of their held-out samples."""
    if isinstance(cv, Integral):
        cv = KFold(cv, shuffle=True, random_state=0)
    if criterion == "score":
        if sparse.issparse(X):  # rows of some formats cannot be taken
            given, X = X, sparse.csr_array(X)
            check_duplicates(given, X)
        rows = np.arange(np.shape(X)[0])
        return list(check_cv(cv).split(rows)), partial(_measure_rows, X)
    covariates = get_covariates([estimator], X)
    pairs, values = to_entries(
        X, missing_values=estimator.missing_values, covariates=covariates
    )
    measure = partial(
        _measure_entries, X, pairs, values, metric, X if len(covariates) else None
    )
    return list(check_cv(cv).split(pairs)), measure


def _measure_rows(
    X: Any, mixture: MaskedGaussianMixture, train: Array, test: Array
) -> Array:
    """Minus the log-density of held-out rows, (m,)."""
    mixture.fit(safe_indexing(X, train))
    return -to_memory(mixture.score_samples(safe_indexing(X, test)))


def _measure_entries(
    X: Any,
    pairs: Array,
    values: Array,
    metric: str,
    covariates: Any,
    mixture: MaskedGaussianMixture,
    train: Array,
    test: Array,
) -> Array:
    """Losses of held-out entries, (m,): of 'rmse' their squared errors."""
    regressor = EntryRegressor(
        use_positions(mixture, X),
        np.shape(X),
        dense=not hasattr(X, "tocsr"),
        covariates=covariates,
    ).fit(pairs[train], values[train])
    held_out = hold_out_pairs(regressor, pairs[test], values[test])
    if metric == "log_density":
        return -held_out.log_density(regressor.estimator_)
    errors = np.abs(held_out.predict(regressor.estimator_) - held_out.values)
    return errors**2 if metric == "rmse" else errors


def _tabulate(runs: list[Run], **columns: list[Any]) -> dict[str, Array]:
    """The table: parameters of the runs, then columns of one kind of race."""
    kinds = np.empty(len(runs), dtype=object)
    kinds[:] = [run.params["covariance_type"] for run in runs]
    names = "n_components", "random_state"
    return {
        "covariance_type": kinds,
        **{name: np.array([run.params[name] for run in runs]) for name in names},
        **{name: np.array(values) for name, values in columns.items()},
        "dropped": np.array([run.dropped for run in runs]),
        "seconds": np.array([run.seconds for run in runs]),
    }


def _tabulate_passes(runs: list[Run], X: Any, name: str) -> dict[str, Array]:
    fits = [None if run.error else run.mixture for run in runs]
    return _tabulate(
        runs,
        **{name: [np.nan if run.error else run.losses[-1] for run in runs]},
        log_likelihood=[
            np.nan if fit is None else float(to_memory(fit.score_samples(X)).sum())
            for fit in fits
        ],
        n_parameters=[0 if fit is None else fit.n_parameters_ for fit in fits],
        n_iter=[run.n_iter for run in runs],
        converged=[run.converged for run in runs],
        degenerate=[run.degenerate for run in runs],
    )


def _tabulate_folds(runs: list[Run], name: str) -> dict[str, Array]:
    means, errors = [], []
    for run in runs:
        losses = np.array([losses.mean() for losses in run.losses])
        if run.error:
            losses = np.empty(0)
        scores = np.sqrt(losses) if name == "rmse" else losses
        n_folds = len(scores)
        means.append(scores.mean() if n_folds else np.nan)
        # A standard deviation of the folds, over the root of their number.
        errors.append(scores.std() / np.sqrt(n_folds - 1) if n_folds > 1 else np.nan)
    sign = -1.0 if name in _SCORES else 1.0
    return _tabulate(
        runs,
        **{name: [sign * mean for mean in means]},
        standard_error=errors,
        n_folds=[0 if run.error else len(run.losses) for run in runs],
    )


def _check_failures(runs: list[Run]) -> None:
    errors = [run.error for run in runs if run.error]
    if not errors:
        return
    if len(errors) == len(runs):
        raise ValueError(f"All {len(runs)} fits failed: {errors[0]}") from errors[0]
    warn_user(
        f"{len(errors)} of {len(runs)} fits failed and are left out. The first error: "
        f"{errors[0]}",
        FitFailedWarning,
    )


def _find_best(table: dict[str, Array], name: str, greater_is_better: bool) -> int:
    """Line of the best candidate that stayed to the end."""
    losses = -table[name] if greater_is_better else table[name]
    losses = np.where(table["dropped"], np.inf, losses)
    if not np.isfinite(losses).any():
        raise ValueError(
            "All candidates that stayed to the end failed. Set exhaustive=True, so "
            "that none leaves early, or leave out the candidates that fail."
        )
    if "degenerate" in table:
        sound = np.where(table["degenerate"], np.inf, losses)
        losses = sound if np.isfinite(sound).any() else losses
    return int(np.nanargmin(losses))
