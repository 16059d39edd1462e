"""The door of data in memory or in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array, Executor
from sklearn_gmmcf.data._columns import Columns, no_covariates
from sklearn_gmmcf.data._dense import DenseObserved
from sklearn_gmmcf.data._observed import Observed
from sklearn_gmmcf.data._rule import (
    LazyMask,
    any_and_all_observed,
    check_duplicates,
    is_mapped,
    is_observed,
    raise_nothing_observed,
)
from sklearn_gmmcf.data._sparse import SparseObserved, filter_entries


def observe(
    X: Any,
    *,
    given: Any = None,
    missing_values: float = np.nan,
    columns: Columns | None = None,
    earlier: Columns | None = None,
    anchored: bool = False,
    covariates: Array | None = None,
    features: Array | None = None,
    weights: Array | None = None,
    keep: bool = False,
    needs_patterns: bool = False,
    max_rows: int | None = None,
    executor: Executor = map,
) -> Observed:
    """Decide which entries of validated data are observed.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, d), float64 or float32
        Free of infinities; never written to.
    given : sparse, default=None
        The matrix before it was converted to CSR.
    missing_values : float, default=nan
        The value that marks a missing entry.
    columns, earlier, anchored, covariates, features, weights, keep, needs_patterns, \
            max_rows, executor
        See `Observed`. Rows of weight 0 are left out.

    Raises
    ------
    ValueError
        For NaN while ``missing_values`` is a number, for duplicate entries, for values
        whose squares would overflow, and for nothing to learn columns from.
    """
    is_sparse = sparse.issparse(X)
    if is_sparse:
        if not X.has_sorted_indices:
            X = X.sorted_indices()
        check_duplicates(given, X)
    if weights is not None and not weights.all():
        X, weights = X[weights > 0], weights[weights > 0]
    values = X.data if is_sparse else X
    mapped = is_mapped(values)
    observed, some, every = _find_observed(values, missing_values, mapped)
    if columns is None and not anchored and not some:
        raise_nothing_observed(X.shape, missing_values)
    options: dict[str, Any] = {
        "columns": columns,
        "earlier": earlier,
        "anchored": anchored,
        "covariates": no_covariates() if covariates is None else covariates,
        "features": features,
        "weights": weights,
        "keep": keep and not mapped,
        "needs_patterns": needs_patterns,
        "max_rows": max_rows,
        "executor": executor,
    }
    if is_sparse:
        if not every:
            X = filter_entries(X, observed[:])
        data: Observed = SparseObserved(X, **options)
    else:
        data = DenseObserved(X, None if every else observed, **options)
    if columns is None and not anchored and not data.columns.known.any():
        raise_nothing_observed(X.shape, missing_values)  # but covariates
    return data


def _find_observed(
    values: Array, missing_values: float, mapped: bool
) -> tuple[Any, bool, bool]:
    """Which values are observed, and whether some and all of them are."""
    if mapped:
        mask = LazyMask(values, missing_values)
        return mask, *any_and_all_observed(values, missing_values)
    observed = is_observed(values, missing_values)
    return observed, bool(observed.any()), bool(observed.all())
