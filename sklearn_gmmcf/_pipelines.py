"""Estimators within Pipelines and searches: their steps, and the entries these keep."""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.pipeline import Pipeline

from sklearn_gmmcf._entries import gather


def steps_of(estimator) -> list:
    """The steps of a Pipeline, of nested ones and of a search, in order."""
    if hasattr(estimator, "best_estimator_"):
        return steps_of(estimator.best_estimator_)
    if hasattr(estimator, "param_grid") or hasattr(estimator, "param_distributions"):
        return steps_of(estimator.estimator)  # a search before its fit
    if not isinstance(estimator, Pipeline):
        return [estimator]
    return [
        inner
        for _, step in estimator.steps
        if step is not None and step != "passthrough"
        for inner in steps_of(step)
    ]


def marker_of(steps: list) -> float:
    """The value that marks a hole for the last step."""
    marker = getattr(steps[-1], "missing_values", np.nan)
    return float(marker) if isinstance(marker, Real) else np.nan


def apply(steps: list, X):
    """What some steps make of X: the same rows and columns, in other units."""
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


def check_kept(Z, Z_hidden, shown):
    """Refuse steps that change an entry where others are hidden."""
    before = gather(Z, shown.rows, shown.columns)
    after = gather(Z_hidden, shown.rows, shown.columns)
    size = np.nanmax(np.abs(before), initial=0.0)
    changed = np.abs(after - before) > 1e-4 * size
    if changed.any():
        first = np.argmax(changed)
        raise ValueError(
            f"The entry in row {shown.rows[first]}, column {shown.columns[first]} "
            "leaves the steps of the Pipeline with another value when other entries "
            "are hidden, so that predictions and truth have different units. Take "
            "steps that treat each entry by its column alone (scalers do; centering "
            "of rows and PCA do not)."
        )


def gather_truth(Z, rows, columns):
    values = gather(Z, rows, columns)
    lost = ~np.isfinite(values)
    if lost.any():
        first = np.argmax(lost)
        raise ValueError(
            f"The steps of the Pipeline make a hole of the entry in row {rows[first]}, "
            f"column {columns[first]}, which is observed. Take steps that keep entries."
        )
    return values
