# SPDX-License-Identifier: BSD-3-Clause
"""The door of data in memory or in a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array, Executor
from sklearn_gmmcf.data._columns import Columns, no_covariates
from sklearn_gmmcf.data._dense import DenseObserved, SelectedRows
from sklearn_gmmcf.data._observed import Observed
from sklearn_gmmcf.data._rule import (
    LazyMask,
    Rule,
    any_and_all_observed,
    check_duplicates,
    differ,
    is_mapped,
    is_observed,
    raise_nothing_observed,
)
from sklearn_gmmcf.data._sparse import SparseObserved
from sklearn_gmmcf.data._stored import StoredEntries, filter_entries


def observe(
    X: Any,
    *,
    given: Any = None,
    missing_values: float = np.nan,
    columns: Columns | None = None,
    earlier: Columns | None = None,
    anchored: str | None = None,
    covariates: Array | None = None,
    features: Array | None = None,
    weights: Array | None = None,
    keep: bool = False,
    needs_patterns: bool = False,
    max_rows: int | None = None,
    executor: Executor = map,
    trusted: bool = False,
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
    trusted : bool
        Whether these values have been checked before, and need no other look.

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
        if not trusted:
            check_duplicates(given, X)
    mapped = is_mapped(X.data if is_sparse else X)
    rows = None
    if weights is not None and not weights.all():
        rows = np.flatnonzero(weights)
        weights = weights[rows]
    read = _read_sparse if is_sparse else _read_dense
    rule = differ if trusted else is_observed
    make, some = read(X, rows, missing_values, mapped, rule)
    shape = X.shape if rows is None else (len(rows), X.shape[1])
    if columns is None and not anchored and not some:
        raise_nothing_observed(shape, missing_values)
    data = make(
        columns=columns,
        earlier=earlier,
        anchored=anchored,
        covariates=no_covariates() if covariates is None else covariates,
        features=features,
        weights=weights,
        keep=keep and not mapped,
        needs_patterns=needs_patterns,
        max_rows=max_rows,
        executor=executor,
    )
    if columns is None and not anchored and not data.columns.known.any():
        raise_nothing_observed(shape, missing_values)  # but covariates
    return data


def _read_sparse(
    X: sparse.csr_array,
    rows: Array | None,
    missing_values: float,
    mapped: bool,
    rule: Rule,
) -> tuple[Callable[..., Observed], bool]:
    """What makes the data of some rows, and whether any entry is observed."""
    if mapped:
        stored = StoredEntries.everything(X)
        stored = stored if rows is None else stored.in_rows(rows)
        stored = stored.observed(missing_values, rule)
    else:
        X = X if rows is None else X[rows]
        observed = rule(X.data, missing_values)
        stored = StoredEntries.everything(filter_entries(X, observed))
    return partial(SparseObserved, stored), stored.nnz > 0


def _read_dense(
    X: Array, rows: Array | None, missing_values: float, mapped: bool, rule: Rule
) -> tuple[Callable[..., Observed], bool]:
    """The same for an array."""
    raw: Any = X
    observed: Array | LazyMask
    if mapped:
        raw = X if rows is None else SelectedRows(X, rows)
        observed = LazyMask(raw, missing_values)
        some, every = any_and_all_observed(raw, missing_values, rule)
    else:
        raw = X if rows is None else X[rows]
        observed = rule(raw, missing_values)
        some, every = bool(observed.any()), bool(observed.all())
    return partial(DenseObserved, raw, None if every else observed), some
