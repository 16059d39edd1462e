# SPDX-License-Identifier: BSD-3-Clause
r"""Members of an imputer: their predictions, weights, and the calibration of both.

All values are standardized: columns of mean 0 and variance 1. A member is a mixture, or
a Pipeline of transformers that treat each column by itself and a mixture. Members learn
a table less a share of its entries first; the held-out entries tell how much each
member counts, and how far predictions are from the truth in standard deviations. Then
they go on with all entries.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtri
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._warnings import DataWarning, warn_user
from sklearn_gmmcf.covariance._family import chunks
from sklearn_gmmcf.data import limit_to_working_memory
from sklearn_gmmcf.preprocessing import NormalScoreTransformer

# Tables of more columns take common factors.
_MAX_FULL_COLUMNS = 100
# A component has at least this many rows.
_MIN_ROWS = 10
# Rows per column from which draws have a covariance matrix.
_MIN_ROWS_PER_COLUMN = 5
# Held-out entries: as many as this if that is a share of at least and at most these.
_N_HELD_OUT = 300
_SHARES = 0.1, 0.25
# Rows that members learn first, before they go on with all rows.
_MAX_FIRST_ROWS = 5_000
# Held-out entries that speak for equal members, and for the normal distribution.
_SHRINKAGE = 30
# Times the normal's quantile that an interval reaches at most.
_MAX_STRETCH = 5.0
# Coverage of one standard deviation by a normal distribution.
_ONE_STD = 0.6826894921370859
# Nodes and weights of the mean over a standard normal distribution.
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()
# Bytes of the members' predictions that are worked on together.
_BATCH_BYTES = 2**26
# Standardized variances below this are rounding errors.
_MIN_VARIANCE = 1e-20

Members = Sequence[tuple[str, Any]]


def _as_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """Shield members from the configuration of the output and of the routing."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with config_context(transform_output="default", enable_metadata_routing=False):
            return function(*args, **kwargs)

    return wrapper


@dataclass(frozen=True, eq=False)
class Layout:
    """The columns of a matrix that a table was encoded to."""

    groups: Array  # (d,), input column of each
    is_code: Array  # (d,), of a category or a bool

    def select(self, columns: Array) -> Layout:
        return Layout(self.groups[columns], self.is_code[columns])

    def observed_groups(self, matrix: Array) -> Array:
        """Which input columns are observed, (n, G): the codes of a category at once."""
        _, first = np.unique(self.groups, return_index=True)
        return ~np.isnan(matrix[:, first])

    @property
    def is_last_code(self) -> Array:
        """Which columns (d,) follow from others: a category's codes add up to 1."""
        _, last = np.unique(self.groups[::-1], return_index=True)
        is_last = np.zeros(len(self.groups), dtype=bool)
        is_last[len(is_last) - 1 - last] = True
        repeated = np.bincount(self.groups)[self.groups] > 1
        return is_last & repeated

    def fill_last_codes(self, matrix: Array) -> None:
        """Write the codes that follow from others, in place."""
        for j in np.flatnonzero(self.is_last_code):
            others = (self.groups == self.groups[j]) & ~self.is_last_code
            matrix[:, j] = 1 - matrix[:, others].sum(axis=1)

    def spread(self, mask: Array) -> Array:
        """A mask (n, G) of input columns for the columns of the matrix, (n, d)."""
        _, index = np.unique(self.groups, return_inverse=True)
        return mask[:, index]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Means and deviations of the observed entries of columns."""

    center: Array  # (d,)
    scale: Array  # (d,), 1 for a constant column

    @classmethod
    def learn(cls, matrix: Array, weights: Array | None) -> Scaling:
        observed = ~np.isnan(matrix)
        counts = observed if weights is None else observed * weights[:, None]
        totals = counts.sum(axis=0)
        # Sums of numbers near 0 neither overflow nor cancel.
        origin = np.nanmin(matrix, axis=0)
        span = np.nanmax(matrix, axis=0) - origin
        span[span == 0] = 1.0
        values = np.where(observed, (matrix - origin) / span, 0.0)
        means = (counts * values).sum(axis=0) / totals
        squares = counts * np.where(observed, values - means, 0.0) ** 2
        deviations = np.sqrt(squares.sum(axis=0) / totals)
        deviations[deviations == 0] = 1.0
        return cls(origin + span * means, span * deviations)

    def apply(self, matrix: Array) -> Array:
        return (matrix - self.center) / self.scale

    def undo(self, Z: Array) -> Array:
        return Z * self.scale + self.center


def make_members(n_rows: int, n_columns: int, rng: np.random.RandomState) -> Members:
    """The mixtures of `members="auto"`, for a table of this shape."""
    K = max(min(6, n_rows // _MIN_ROWS), 1)

    def make(n_components: int, **options: Any) -> MaskedGaussianMixture:
        seed = int(rng.randint(np.iinfo(np.int32).max))
        return MaskedGaussianMixture(n_components, random_state=seed, **options)

    if n_columns > _MAX_FULL_COLUMNS:
        factor = {"covariance_type": "factor"}
        return [
            ("factor", make(1, **factor)),
            ("factor_components", make(min(K, 4), **factor)),
            (
                "factor_scores",
                make_pipeline(NormalScoreTransformer(), make(1, **factor)),
            ),
        ]
    full = {"covariance_type": "full", "mean_precision_prior": 3.0, "n_init": 1}
    several = full | {
        "covariance_precision_prior": n_columns * (n_columns + 1) / 2,
        "tol": 1e-2,
    }
    return [
        ("gaussian", make(1, covariance_precision_prior=10.0, **full)),
        ("mixture", make(K, **several)),
        ("scores", make_pipeline(NormalScoreTransformer(), make(K, **several))),
        ("t", make(K, degrees_of_freedom=5.0, **several)),
    ]


def check_members(members: Any) -> Members:
    """Refuse members that are not named mixtures."""
    names = []
    for member in members:
        if not (
            isinstance(member, tuple)
            and len(member) == 2
            and isinstance(member[0], str)
        ):
            raise ValueError(
                f"members should be a list of (name, estimator), but got {member!r}."
            )
        name, estimator = member
        if not isinstance(get_mixture(estimator), BaseObservedMixture):
            raise ValueError(
                f"Member {name!r} should be a mixture of this package, or a Pipeline "
                f"that ends in one, but got {type(estimator).__name__}."
            )
        names.append(name)
    if not names:
        raise ValueError("members should have at least one (name, estimator).")
    if len(set(names)) < len(names):
        raise ValueError(f"Names of members should differ, but got {names}.")
    return list(members)


def get_mixture(member: Any) -> Any:
    """The mixture at the end of a member."""
    return member[-1] if isinstance(member, Pipeline) else member


def fit_members(
    members: Members,
    Z: Array,
    weights: Array | None,
    n_jobs: int | None,
    report: Callable[[], None],
) -> Members:
    """Fit clones of members; members that are fitted already go on from there."""
    work = delayed(_fit_member)
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        work(member, Z, weights) for _, member in members
    )
    fitted = []
    for (name, _), member in zip(members, results, strict=True):
        fitted.append((name, member))
        report()
    return fitted


@_as_arrays
def _fit_member(member: Any, Z: Array, weights: Array | None) -> Any:
    mixture = get_mixture(member)
    goes_on = hasattr(mixture, "warm_start") and hasattr(mixture, "weights_")
    member = deepcopy(member) if goes_on else clone(member)
    options = {}
    if weights is not None:
        steps = member.steps if isinstance(member, Pipeline) else [("", member)]
        options = {
            f"{name}__sample_weight".removeprefix("__"): weights
            for name, step in steps
            if has_fit_parameter(step, "sample_weight")
        }
    mixture, warm_start = get_mixture(member), getattr(mixture, "warm_start", None)
    if goes_on:
        mixture.set_params(warm_start=True)
    with warnings.catch_warnings():
        # Priors, the mean over members and the calibration bear what these tell.
        warnings.simplefilter("ignore", DataWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        member.fit(Z, **options)
    if goes_on:
        mixture.set_params(warm_start=warm_start)
    return member


@dataclass(frozen=True, eq=False)
class Prediction:
    """Means and variances, (n, d) or (M, n, d); observed entries are as they are."""

    means: Array
    variances: Array

    def average(self, shares: Array) -> Prediction:
        """The mixture of members with shares (M, d): within plus between them."""
        shares = shares[:, None]
        mean = (shares * self.means).sum(axis=0)
        spread = self.variances + (self.means - mean) ** 2
        return Prediction(mean, (shares * spread).sum(axis=0))


def predict_members(members: Members, Z: Array) -> Prediction:
    """Moments of the missing entries of Z under each member, (M, n, d)."""
    predictions = [predict_member(member, Z) for _, member in members]
    return Prediction(
        np.stack([each.means for each in predictions]),
        np.stack([each.variances for each in predictions]),
    )


@_as_arrays
def predict_member(member: Any, Z: Array) -> Prediction:
    """Moments of the missing entries of Z under one member, in the units of Z.

    Behind transformers they are the ones of the transformed back normal distribution,
    by quadrature.
    """
    missing = np.isnan(Z)
    steps = (
        [step for _, step in member.steps[:-1]] if isinstance(member, Pipeline) else []
    )
    scores = Z
    for step in steps:
        scores = step.transform(scores)
    means, std = get_mixture(member).complete(scores, return_std=True)
    if not steps:
        return Prediction(means, std**2)

    def undo(scores: Array) -> Array:
        with warnings.catch_warnings():
            # Scores of extreme nodes may have no inverse.
            warnings.simplefilter("ignore", RuntimeWarning)
            for step in reversed(steps):
                scores = step.inverse_transform(scores)
        return scores

    # About the middle, so that the difference of squares does not cancel.
    middle = undo(means)
    middle = np.where(np.isfinite(middle), middle, 0.0)
    total, first, second = (np.zeros_like(middle) for _ in range(3))
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        moves = undo(means + node * std) - middle
        # Some transformations have no inverse far from the observed values.
        weights = weight * np.isfinite(moves)
        moves = np.where(weights > 0, moves, 0.0)
        total += weights
        first += weights * moves
        second += weights * moves**2
    has_inverse = total > 0
    total[~has_inverse] = 1.0
    mean = middle + first / total
    variance = np.maximum(second / total - (first / total) ** 2, 0.0)
    # Without an inverse anywhere, the column's own mean and variance.
    return Prediction(
        np.where(missing, np.where(has_inverse, mean, 0.0), Z),
        np.where(missing, np.where(has_inverse, variance, 1.0), 0.0),
    )


def hold_out(observed: Array, rng: np.random.RandomState) -> Array:
    """Mask (n, d) of the entries to hold out: the same share of each column.

    Each column keeps at least two observed entries.
    """
    share = np.clip(_N_HELD_OUT / max(observed.sum(), 1), *_SHARES)
    held_out = np.zeros_like(observed)
    for j, column in enumerate(observed.T):
        rows = np.flatnonzero(column)
        n_held_out = min(int(np.ceil(share * len(rows))), max(len(rows) - 2, 0))
        held_out[rng.permutation(rows)[:n_held_out], j] = True
    return held_out


def first_rows(n_rows: int, rng: np.random.RandomState) -> Array:
    """Rows that members learn first."""
    if n_rows <= _MAX_FIRST_ROWS:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:_MAX_FIRST_ROWS])


def weigh_members(predicted: Array, truth: Array) -> Array:
    """Shares (M,) of the members whose mean is nearest to held-out values.

    Non-negative least squares of predictions (M, m) on the truth (m,), with as much
    weight on equal shares as `_SHRINKAGE` entries have.
    """
    n_members, n_entries = predicted.shape
    equal = np.full(n_members, 1 / n_members)
    error = float(np.sum((equal @ predicted - truth) ** 2))
    if n_members == 1 or error == 0:
        return equal
    root = np.sqrt(_SHRINKAGE * error / n_entries)
    # A heavy equation makes the shares add up to 1.
    heavy = 1e3 * np.sqrt((predicted**2).sum() + root**2)
    table = np.vstack(
        [predicted.T, root * np.eye(n_members), np.full(n_members, heavy)]
    )
    shares, _ = nnls(table, np.concatenate([truth, root * equal, [heavy]]))
    return shares / shares.sum()


def weigh_by_kind(
    means: Array, truth: Array, held_out: Array, layout: Layout, scaling: Scaling
) -> Array:
    """Shares (M, d) of the members: one set for numbers and one for categories.

    Errors of numbers are standardized; errors of the codes of categories are not, so
    that rare levels count no more than others.
    """
    shares = np.empty((len(means), means.shape[2]))
    for is_code in (False, True):
        columns = layout.is_code == is_code
        entries = held_out & columns
        units = np.broadcast_to(scaling.scale if is_code else 1.0, truth.shape)[entries]
        shares[:, columns] = weigh_members(
            means[:, entries] * units, truth[entries] * units
        )[:, None]
    return shares


def expect_errors(
    means: Array, truth: Array, held_out: Array, layout: Layout, scaling: Scaling
) -> Array:
    """Errors (G,) of held-out entries of input columns, NaN where there are none.

    Root mean squares in units of the matrix; of categories the share of wrong levels.
    """
    groups = np.unique(layout.groups)
    errors = np.full(len(groups), np.nan)
    for number, group in enumerate(groups):
        columns = np.flatnonzero(layout.groups == group)
        rows = held_out[:, columns[0]]
        if not rows.any():
            continue
        scale, center = scaling.scale[columns], scaling.center[columns]
        found, true = (each[rows][:, columns] * scale for each in (means, truth))
        if layout.is_code[columns[0]]:
            errors[number] = (
                find_levels(found + center) != find_levels(true + center)
            ).mean()
        else:
            errors[number] = np.sqrt(np.mean((found - true) ** 2))
    return errors


def find_levels(codes: Array) -> Array:
    """The most probable level (n,) by codes (n, n_levels), or (n, 1) of a bool."""
    return codes.argmax(axis=1) if codes.shape[1] > 1 else codes[:, 0] >= 0.5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Held-out errors in predicted standard deviations, and quantiles of them."""

    errors: Array  # (m,), absolute
    # (m,), half widths from which an interval that ends at the bounds holds the value
    reaches: Array

    @classmethod
    def from_held_out(
        cls, means: Array, variances: Array, truth: Array, low: Array, high: Array
    ) -> Calibration:
        """From values (m,) with their predictions, and the bounds of their columns."""
        errors = (truth - means) / np.sqrt(np.maximum(variances, _MIN_VARIANCE))
        # An interval that is cut at a bound holds a value there, however far below or
        # above the prediction is.
        reaches = np.where(truth <= low, -errors, np.abs(errors))
        reaches = np.where(truth >= high, errors, reaches)
        return cls(np.abs(errors), np.maximum(reaches, 0.0))

    def reach(self, coverage: float) -> float:
        """Half the width of an interval, in predicted standard deviations."""
        return _calibrate(self.reaches, coverage)

    @property
    def stretch(self) -> float:
        """Factor of predicted standard deviations."""
        return _calibrate(self.errors, _ONE_STD) / float(ndtri((1 + _ONE_STD) / 2))


def _calibrate(errors: Array, coverage: float) -> float:
    """Quantile of errors (m,), shrunk to the one of a normal distribution.

    By as many entries as `_SHRINKAGE`; bounded.
    """
    normal = float(ndtri((1 + coverage) / 2))
    n = len(errors)
    if n == 0:
        return normal
    # With one entry more, so that the coverage of a new entry is right.
    found = float(np.quantile(errors, min(coverage * (n + 1) / n, 1.0)))
    stretch = (n * found / normal + _SHRINKAGE) / (n + _SHRINKAGE)
    if stretch > _MAX_STRETCH:
        warn_user(
            DataWarning(
                f"Held-out entries are {stretch:.3g} times as far from their "
                "predictions as the members expect; intervals are widened by "
                f"{_MAX_STRETCH:g} at most. Look for outlying values, or for columns "
                "that are almost constant."
            )
        )
    return min(stretch, _MAX_STRETCH) * normal


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fitted members with their shares, in the units of a matrix."""

    members: Members
    shares: Array  # (M, d)
    scaling: Scaling
    calibration: Calibration
    errors: Array | None  # (G,), expected for each input column

    def reach(self, coverage: float) -> float:
        """Half the width of an interval, in calibrated standard deviations."""
        return self.calibration.reach(coverage) / self.calibration.stretch

    def predict(self, matrix: Array) -> Prediction:
        """Means and variances (n, d), calibrated, with observed entries as they are."""
        completed, variances = matrix.copy(), np.zeros_like(matrix)
        incomplete = np.flatnonzero(np.isnan(matrix).any(axis=1))
        n_bytes = limit_to_working_memory(_BATCH_BYTES)
        size = max(n_bytes // (16 * len(self.members) * matrix.shape[1]), 1)
        units = (self.calibration.stretch * self.scaling.scale) ** 2
        for batch in chunks(len(incomplete), size):
            rows = incomplete[batch]
            missing = np.isnan(matrix[rows])
            Z = self.scaling.apply(matrix[rows])
            predicted = predict_members(self.members, Z).average(self.shares)
            means = self.scaling.undo(predicted.means)
            completed[rows] = np.where(missing, means, matrix[rows])
            variances[rows] = missing * predicted.variances * units
        return Prediction(completed, variances)


def learn_ensemble(
    members: Members,
    matrix: Array,
    layout: Layout,
    bounds: tuple[Array, Array],
    *,
    weights: Array | None,
    calibrate: bool,
    rng: np.random.RandomState,
    n_jobs: int | None,
    report: Callable[[], None],
) -> Ensemble:
    """Fit members to a matrix in which each column has an observed entry.

    ``bounds`` are the lowest and the highest values (d,) that completions may have.
    """
    scaling = Scaling.learn(matrix, weights)
    Z = scaling.apply(matrix)
    shares = np.full((len(members), Z.shape[1]), 1 / len(members))
    calibration, errors = Calibration(np.empty(0), np.empty(0)), None
    if calibrate:
        rows = first_rows(len(Z), rng)
        truth = Z[rows]
        held_out = layout.spread(hold_out(layout.observed_groups(truth), rng))
        first = np.where(held_out, np.nan, truth)
        first_weights = None if weights is None else weights[rows]
        members = fit_members(members, first, first_weights, n_jobs, report)
        trial = predict_members(members, first)
        shares = weigh_by_kind(trial.means, truth, held_out, layout, scaling)
        predicted = trial.average(shares)
        numbers = held_out & ~layout.is_code
        limits = [np.broadcast_to(scaling.apply(b), truth.shape) for b in bounds]
        calibration = Calibration.from_held_out(
            predicted.means[numbers],
            predicted.variances[numbers],
            truth[numbers],
            *(each[numbers] for each in limits),
        )
        errors = expect_errors(predicted.means, truth, held_out, layout, scaling)
    members = fit_members(members, Z, weights, n_jobs, report)
    return Ensemble(members, shares, scaling, calibration, errors)


@_as_arrays
def draw_completions(
    matrix: Array,
    layout: Layout,
    n_completions: int,
    donors: int | None,
    rng: np.random.RandomState,
) -> list[Array]:
    """Draws of a matrix under the posterior of a Gaussian without priors.

    Columns without an observed entry are 0.
    """
    known = ~np.isnan(matrix).all(axis=0) & ~layout.is_last_code
    n_rows, n_columns = len(matrix), int(known.sum())
    scaling = Scaling.learn(matrix[:, known], None)
    mixture = MaskedGaussianMixture(
        covariance_type="full"
        if n_rows >= _MIN_ROWS_PER_COLUMN * n_columns
        else "factor",
        tol=1e-6,
        max_iter=10_000,
        random_state=rng.randint(np.iinfo(np.int32).max),
    )
    Z = scaling.apply(matrix[:, known])
    drawn = mixture.fit(Z).sample_completions(
        Z, n_completions, parameters="posterior", donors=donors, random_state=rng
    )
    completions = []
    for draw in drawn:
        values = scaling.undo(draw)
        if donors is not None:
            values = find_nearest(values, matrix[:, known])
        completed = np.zeros_like(matrix)
        completed[:, known] = np.where(np.isnan(Z), values, matrix[:, known])
        layout.fill_last_codes(completed)
        completions.append(completed)
    return completions


def find_nearest(values: Array, matrix: Array) -> Array:
    """The observed entries of the columns of a matrix that are nearest to values.

    Donors are observed values but for the rounding of their units.
    """
    nearest = np.empty_like(values)
    for j, column in enumerate(matrix.T):
        observed = np.unique(column[~np.isnan(column)])
        middles = observed[:-1] / 2 + observed[1:] / 2
        nearest[:, j] = observed[np.searchsorted(middles, values[:, j])]
    return nearest
