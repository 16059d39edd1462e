# SPDX-License-Identifier: BSD-3-Clause
"""Hold out entries, through Pipelines too.

Entries are hidden in the matrix that enters a Pipeline. Predictions and true values of
these entries are compared in the units of its last step. Behind a `RowNormalizer`,
whose units depend on the entries that are left, they are compared in the units of the
matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklearn_gmmcf._base import BaseObservedMixture
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._sklearn import get_feature_names
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._column_features import check_column_features, find_columns
from sklearn_gmmcf.data._entries import (
    Entries,
    build,
    find_observed,
    gather,
    hide_at_random,
    list_entries,
)
from sklearn_gmmcf.preprocessing import RowNormalizer

# Steps may change an entry by rounding, relative to the largest entry.
_ROUNDING = 1e-4
# Values that find out how steps are undone; nobody marks missing entries by one.
_PROBES = np.arange(3) + 1 / np.pi


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Entries that are missing from a matrix, with their true values.

    The matrix is the input of the last step if that is a mixture of this package, else
    the output of the last step. The values have the units of the matrix, except behind
    a `RowNormalizer`: there ``offsets + scales * z`` has the units of the values.
    """

    matrix: Any  # (n, d)
    rows: Array  # (m,)
    columns: Array  # (m,)
    values: Array  # (m,)
    offsets: Any = 0.0  # (m,)
    scales: Any = 1.0  # (m,)

    @classmethod
    def from_hidden(cls, steps: list[Any], X: Any, hidden: Entries) -> HeldOut:
        """Follow entries that are missing from X already, through fitted steps."""
        missing_values = get_missing_values(steps)
        observed = find_observed(X, hidden.rows, hidden.columns, missing_values)
        if observed.any():
            first = np.argmax(observed)
            raise ValueError(
                f"The entry in row {hidden.rows[first]}, column "
                f"{hidden.columns[first]} is observed in X, so it is not hidden. Pass "
                "the X that hide_entries returned, or entries that were not fitted."
            )
        check_modeled(hidden.columns, get_covariates(steps, X))
        if not get_transforms(steps):
            return cls(X, hidden.rows, hidden.columns, hidden.values)
        whole = build(
            list_entries(X, missing_values).append(hidden),
            missing_values=None if sparse.issparse(X) else missing_values,
        )
        return _transform(steps, whole, X, hidden, missing_values)

    @property
    def entries(self) -> tuple[Array, Array]:
        """Rows and columns."""
        return self.rows, self.columns

    def predict(self, last: Any) -> Array:
        """Completions (m,) of the entries by the last step."""
        predicted = complete_entries(last, self.matrix, self.rows, self.columns)
        return predicted * self.scales + self.offsets

    def cdf(self, last: BaseObservedMixture) -> Array:
        """Probabilities (m,) to be at most the true values, given the observed ones."""
        values = (self.values - self.offsets) / self.scales
        return last.cdf_entries(self.matrix, self.entries, values)

    def log_density(self, last: Any) -> Array:
        """Log-densities (m,) of the true values, in nats, given the observed ones."""
        if not isinstance(last, BaseObservedMixture):
            raise ValueError(
                "metric='log_density' needs score_entries, which "
                f"{type(last).__name__} has not. Take 'rmse' or 'mae'."
            )
        values = (self.values - self.offsets) / self.scales
        log_density = last.score_entries(self.matrix, self.entries, values)
        return log_density - np.log(self.scales)


def hold_out(steps: list[Any], X: Any, fraction: float, random_state: Any) -> HeldOut:
    """Hide a random fraction of the observed entries of X, through fitted steps."""
    check_fraction(fraction)
    missing_values = get_missing_values(steps)
    X_hidden, hidden = hide_at_random(
        X,
        fraction,
        random_state,
        missing_values=missing_values,
        covariates=get_covariates(steps, X),
    )
    if not get_transforms(steps):
        return HeldOut(X_hidden, hidden.rows, hidden.columns, hidden.values)
    return _transform(steps, X, X_hidden, hidden, missing_values)


def _transform(
    steps: list[Any], X: Any, X_hidden: Any, hidden: Entries, missing_values: float
) -> HeldOut:
    transforms, before = get_transforms(steps), steps[:-1]
    # A step that remembers its input must not see the truth before the prediction.
    Z_hidden = apply_steps(transforms, X_hidden)
    if any(isinstance(step, RowNormalizer) for step in before):
        check_inverse(before, X_hidden, missing_values)
        units = _find_units(before, X_hidden, hidden, missing_values)
        return HeldOut(Z_hidden, hidden.rows, hidden.columns, hidden.values, *units)
    Z = apply_steps(transforms, X)
    check_columnwise(Z, Z_hidden, list_entries(X_hidden, missing_values))
    values = true_values(Z, hidden.rows, hidden.columns)
    return HeldOut(Z_hidden, hidden.rows, hidden.columns, values)


def _find_units(
    steps: list[Any], X_hidden: Any, hidden: Entries, missing_values: float
) -> tuple[Array, Array]:
    """Offsets and scales (m,) by which steps are undone where entries are hidden.

    The statistics of a row are those of the entries that are left.
    """
    marker = None if sparse.issparse(X_hidden) else missing_values
    rows, columns = hidden.rows, hidden.columns
    undone = []
    for probe in _PROBES:
        values = np.full(len(rows), probe)
        Z = build(Entries(hidden.shape, rows, columns, values), missing_values=marker)
        undone.append(gather(undo_steps(steps, Z, X_hidden), rows, columns))
    scales = undone[1] - undone[0]
    if not np.allclose(undone[2] - undone[1], scales, rtol=_ROUNDING):
        raise ValueError(
            "Some step beside RowNormalizer does not shift and scale alone, so that "
            "predictions do not return to the units of X. Take scalers."
        )
    return undone[0] - _PROBES[0] * scales, scales


def check_fraction(fraction: Any) -> None:
    if not (isinstance(fraction, Real) and 0 < float(fraction) <= 1):
        raise ValueError(
            f"fraction should be above 0 and at most 1, but got {fraction!r}."
        )


def complete_entries(last: Any, matrix: Any, rows: Array, columns: Array) -> Array:
    """Completions (m,) by the last step of entries of the transformed matrix."""
    if isinstance(last, BaseObservedMixture):
        return last.complete(matrix, entries=(rows, columns))
    return gather(matrix, rows, columns)


def get_steps(estimator: Any) -> list[Any]:
    """The steps of an estimator, in order; nested Pipelines and searches are opened."""
    if hasattr(estimator, "best_estimator_"):
        return get_steps(estimator.best_estimator_)
    if hasattr(estimator, "param_grid") or hasattr(estimator, "param_distributions"):
        return get_steps(estimator.estimator)  # a search before its fit
    if not isinstance(estimator, Pipeline):
        return [estimator]
    return [
        inner
        for _, step in estimator.steps
        if step is not None and step != "passthrough"
        for inner in get_steps(step)
    ]


def get_transforms(steps: list[Any]) -> list[Any]:
    """The steps that have to transform all of X before entries are completed.

    A last step of this package changes no units and completes entries without the rest
    of the matrix; of any other last step the output holds the completions.
    """
    return steps[:-1] if isinstance(steps[-1], BaseObservedMixture) else steps


def get_missing_values(steps: list[Any]) -> float:
    """The value that marks a missing entry for the last step."""
    missing_values = getattr(steps[-1], "missing_values", np.nan)
    return float(missing_values) if isinstance(missing_values, Real) else np.nan


def get_covariates(steps: list[Any], X: Any) -> Array:
    """Indices of the columns of X that the last step takes as covariates."""
    covariates = getattr(steps[-1], "covariates", None)
    names = getattr(steps[-1], "feature_names_in_", None)
    if names is None:
        names = get_feature_names(X)
    return find_columns(covariates, names, np.shape(X)[1])


def use_positions(estimator: Any, X: Any) -> Any:
    """A clone whose last step needs no names of the columns of X."""
    estimator = clone(estimator)
    last, names = get_steps(estimator)[-1], get_feature_names(X)
    if names is None or not isinstance(last, MaskedGaussianMixture):
        return estimator
    if last.covariates is not None:
        covariates = find_columns(last.covariates, names, len(names))
        last.set_params(covariates=covariates.tolist())
    features = check_column_features(last.column_features, names, len(names))
    if features is not None:
        last.set_params(column_features=features.T)
    return estimator


def check_modeled(columns: Array, covariates: Array) -> None:
    """Refuse columns that are covariates."""
    found = np.intersect1d(columns, covariates)
    if found.size:
        raise ValueError(
            f"Column {found[0]} is one of the covariates, which are not predicted. "
            "Leave out its entries: hide_entries(X, covariates=...) does."
        )


def apply_steps(steps: list[Any], X: Any) -> Any:
    """Transform X by fitted steps, which must keep its rows and columns."""
    Z = X
    for step in steps:
        if not hasattr(step, "transform"):
            raise ValueError(
                f"{type(step).__name__} has no transform: only an estimator that "
                "completes its input, or a Pipeline that ends in one, predicts hidden "
                "entries."
            )
        Z = step.transform(Z)
    if np.shape(Z) != np.shape(X):
        raise ValueError(
            f"X of shape {np.shape(X)} leaves {type(steps[-1]).__name__} in the shape "
            f"{np.shape(Z)}, so that entries cannot be followed. Keep the columns as "
            "they stand (imputers: keep_empty_features=True)."
        )
    return Z


def undo_steps(steps: list[Any], Z: Any, X: Any) -> Any:
    """Bring the output of fitted steps back to the units of their input X."""
    for i, step in reversed(list(enumerate(steps))):
        if isinstance(step, RowNormalizer):
            Z = step.inverse_transform(Z, rows=apply_steps(steps[:i], X))
            continue
        if not hasattr(step, "inverse_transform"):
            raise ValueError(
                f"{type(step).__name__} has no inverse_transform to bring "
                "predictions back to the units of y. Leave that step out."
            )
        Z = step.inverse_transform(Z)
    return Z


def check_inverse(steps: list[Any], X: Any, missing_values: float) -> None:
    """Check that `undo_steps` brings the observed entries of X back."""
    observed = list_entries(X, missing_values)
    undone = gather(
        undo_steps(steps, apply_steps(steps, X), X), observed.rows, observed.columns
    )
    atol = _ROUNDING * np.abs(observed.values).max()
    if not np.allclose(undone, observed.values, rtol=_ROUNDING, atol=atol):
        raise ValueError(
            "inverse_transform of the steps before the last does not bring the "
            "fitted entries back, so predictions would not be in the units of y. "
            "Take RowNormalizer, or steps that treat each column by itself (scalers "
            "do)."
        )


def check_columnwise(Z: Any, Z_hidden: Any, observed: Entries) -> None:
    """Check that no entry changes where others are hidden.

    `Z` and `Z_hidden` are the outputs of the steps with nothing hidden and with hidden
    entries; `observed` are the entries that were not hidden.
    """
    expected = gather(Z, observed.rows, observed.columns)
    found = gather(Z_hidden, observed.rows, observed.columns)
    largest = np.nanmax(np.abs(expected), initial=0.0)
    changed = np.abs(found - expected) > _ROUNDING * largest
    if changed.any():
        first = np.argmax(changed)
        raise ValueError(
            f"The entry in row {observed.rows[first]}, column "
            f"{observed.columns[first]} leaves the steps of the Pipeline with another "
            "value when other entries are hidden, so that predictions and truth have "
            "different units. Take steps that treat each entry by its column alone "
            "(scalers do; centering of rows and PCA do not), or RowNormalizer "
            "before the last step."
        )


def true_values(Z: Any, rows: Array, columns: Array) -> Array:
    """Values (m,) of hidden entries where nothing was hidden."""
    values = gather(Z, rows, columns)
    lost = ~np.isfinite(values)
    if lost.any():
        first = np.argmax(lost)
        raise ValueError(
            f"The steps of the Pipeline lose the entry in row {rows[first]}, column "
            f"{columns[first]}, which is observed. Take steps that keep observed "
            "entries."
        )
    return values
