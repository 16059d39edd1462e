# SPDX-License-Identifier: BSD-3-Clause
"""The observed entries of a user's matrix, as triples, and the matrix without some.

The matrix is as the user gave it: dense, a frame, or sparse in any format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._reading import check_numbers
from sklearn_gmmcf.data._rule import check_duplicates, is_observed


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of a matrix, sorted by rows and then columns; a COO keeps its order."""

    shape: tuple[int, int]
    rows: Array  # (m,)
    columns: Array  # (m,)
    values: Array  # (m,)

    def take(self, indices: Array) -> Entries:
        """The entries at these indices, or where a mask is true."""
        return Entries(
            self.shape, self.rows[indices], self.columns[indices], self.values[indices]
        )

    def append(self, others: Entries) -> Entries:
        """These entries, followed by others of the same matrix."""
        return Entries(
            self.shape,
            np.append(self.rows, others.rows),
            np.append(self.columns, others.columns),
            np.append(self.values, others.values),
        )


def list_entries(
    X: Any,
    missing_values: float,
    covariates: Array | None = None,
    *,
    name: str = "X",
) -> Entries:
    """The observed entries of X outside the covariates; errors call it by `name`."""
    entries = _list_all_entries(X, missing_values, name)
    if covariates is None or not len(covariates):
        return entries
    return entries.take(~np.isin(entries.columns, covariates))


def _list_all_entries(X: Any, missing_values: float, name: str) -> Entries:
    validated = check_numbers(
        X, accept_sparse=["csr", "coo"], missing_values=missing_values, name=name
    )
    if not sparse.issparse(validated):
        rows, columns = np.nonzero(is_observed(validated, missing_values))
        return Entries(validated.shape, rows, columns, validated[rows, columns])
    csr = validated.tocsr()
    if not csr.has_sorted_indices:
        csr = csr.sorted_indices()
    check_duplicates(X, csr)
    coo = validated if validated.format == "coo" else csr.tocoo()
    rows, columns = coo.row.astype(np.intp), coo.col.astype(np.intp)
    stored = Entries(coo.shape, rows, columns, coo.data)
    return stored.take(is_observed(coo.data, missing_values))


def hide_at_random(
    X: Any,
    fraction: float,
    random_state: Any,
    *,
    missing_values: float,
    mechanism: str = "mcar",
    covariates: Array | None = None,
    allow_empty_rows: bool = False,
    allow_empty_columns: bool = True,
) -> tuple[Any, Entries]:
    """X with a random fraction of its observed entries missing, and these entries.

    `mechanism` is one of `MECHANISMS`, as `hide_entries` defines them.
    """
    entries = list_entries(X, missing_values, covariates)
    n_entries = len(entries.values)
    rng = check_random_state(random_state)
    n_hidden = max(round(fraction * n_entries), 1)
    hidden = _DRAWS[mechanism](entries, n_hidden, rng)
    if not allow_empty_rows:
        hidden = _refill(hidden, entries.rows)
    if not allow_empty_columns:
        hidden = _refill(hidden, entries.columns)
    if not hidden.size:
        message = (
            f"fraction={fraction} of the {n_entries} observed entries of X leaves "
            "nothing to hide, as no row (or column) may lose all of its entries. "
        )
        if mechanism == "mar":
            way_out = (
                "With mechanism='mar' every row keeps an entry; 'mcar' and 'mnar' with "
                "allow_empty_rows=True hide it, too."
            )
        else:
            way_out = "Increase fraction, or pass allow_empty_rows=True."
        raise ValueError(message + way_out)
    hidden_entries = entries.take(np.sort(hidden))
    X_hidden = hide(X, hidden_entries.rows, hidden_entries.columns, missing_values)
    return X_hidden, hidden_entries


def _draw_uniformly(
    entries: Entries, n_hidden: int, rng: np.random.RandomState
) -> Array:
    return rng.permutation(len(entries.values))[:n_hidden]


def _draw_by_driver(
    entries: Entries, n_hidden: int, rng: np.random.RandomState
) -> Array:
    """Each row keeps one entry, its driver, whose rank weighs its other entries.

    The driver is the first or the last entry in a random order of the columns. Ranks
    are among the drivers in a column: they depend on nothing that is hidden, so that
    entries are missing at random exactly.
    """
    n_rows, n_columns = entries.shape
    positions = rng.permutation(n_columns)[entries.columns]
    from_end = rng.uniform(size=n_rows)[entries.rows] < 0.5
    order = np.lexsort((np.where(from_end, -positions, positions), entries.rows))
    rows, first = np.unique(entries.rows[order], return_index=True)
    drivers = order[first]
    weights = np.zeros(n_rows)
    weights[rows] = _relative_ranks(entries.columns[drivers], entries.values[drivers])
    others = np.setdiff1d(order, drivers)
    chosen = _draw_by_weight(weights[entries.rows[others]], n_hidden, rng)
    return others[chosen]


def _draw_by_value(
    entries: Entries, n_hidden: int, rng: np.random.RandomState
) -> Array:
    ranks = _relative_ranks(entries.columns, entries.values)
    return _draw_by_weight(ranks, n_hidden, rng)


_DRAWS = {"mcar": _draw_uniformly, "mar": _draw_by_driver, "mnar": _draw_by_value}
MECHANISMS = tuple(_DRAWS)


def _relative_ranks(groups: Array, values: Array) -> Array:
    """(rank - 1/2) / size within each group, (m,), in (0, 1); ties share their mean."""
    ranks = np.empty(len(values))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    for members in np.split(order, starts):
        ranks[members] = (rankdata(values[members]) - 0.5) / len(members)
    return ranks


def _draw_by_weight(weights: Array, n: int, rng: np.random.RandomState) -> Array:
    """Indices of n draws without repetition, in random order.

    The probability that an index is drawn is proportional to its weight, or 1 where
    this exceeds 1: systematic sampling of the indices in random order.
    """
    if n >= len(weights):
        return rng.permutation(len(weights))
    certain = np.zeros(len(weights), dtype=bool)
    probabilities = weights * (n / weights.sum())
    while (probabilities[~certain] > 1).any():
        certain |= probabilities > 1
        rest = weights * ~certain
        probabilities = rest * ((n - certain.sum()) / rest.sum())
    order = rng.permutation(np.flatnonzero(~certain))
    steps = np.floor(np.cumsum(probabilities[order]) + rng.uniform())
    drawn = order[np.diff(steps, prepend=0) > 0]
    return rng.permutation(np.append(np.flatnonzero(certain), drawn))


def _refill(hidden: Array, groups: Array) -> Array:
    """Hide one entry fewer in each group (a row, a column) that has none left."""
    n_entries, n_hidden = np.bincount(groups), np.bincount(groups[hidden])
    emptied = n_entries[: len(n_hidden)] == n_hidden
    # `hidden` is in random order, so the first entry of a group is a random one.
    _, first = np.unique(groups[hidden], return_index=True)
    returned = first[emptied[groups[hidden[first]]]]
    return np.delete(hidden, returned)


def hide(X: Any, rows: Array, columns: Array, missing_values: float) -> Any:
    """A copy of X, of the same type, in which some observed entries are missing."""
    if sparse.issparse(X):
        coo = X.tocoo()
        keep = ~np.isin(
            coo.row.astype(np.intp) * X.shape[1] + coo.col,
            rows * X.shape[1] + columns,
        )
        kept = sparse.coo_array(
            (coo.data[keep], (coo.row[keep], coo.col[keep])), shape=X.shape
        )
        return type(X)(kept)
    if nw.dependencies.is_into_dataframe(X):
        return _hide_in_frame(X, rows, columns, missing_values)
    hidden = np.array(X)
    if hidden.dtype.kind != "f" and not _can_hold(hidden.dtype, missing_values):
        hidden = hidden.astype(np.float64)
    hidden[rows, columns] = missing_values
    return hidden


def _can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Whether integers of this dtype can have this value."""
    if dtype.kind not in "iu" or not float(value).is_integer():
        return False
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _hide_in_frame(X: Any, rows: Array, columns: Array, missing_values: float) -> Any:
    """Write null, or the number that marks a missing entry, into columns of a frame."""
    frame = nw.from_native(X, eager_only=True)
    changed: list[Any] = []
    order = np.argsort(columns, kind="stable")
    found, starts = np.unique(columns[order], return_index=True)
    groups = np.split(rows[order], starts[1:])
    for column, hidden_rows in zip(found, groups, strict=True):
        keep = np.ones(len(frame), dtype=bool)
        keep[hidden_rows] = False
        mask = nw.new_series("keep", keep, backend=frame.implementation)
        name = frame.columns[column]
        kept = nw.when(mask).then(frame.get_column(name))
        if np.isnan(missing_values):
            changed.append(kept.alias(name))
        else:
            changed.append(kept.otherwise(nw.lit(missing_values)).alias(name))
    return frame.with_columns(*changed).to_native()


def gather(Z: Any, rows: Array, columns: Array, name: str = "Z") -> Array:
    """Values of a matrix at some entries; NaN where a sparse one stores none.

    Errors call it by `name`.
    """
    if not sparse.issparse(Z):
        return check_numbers(Z, name=name)[rows, columns]
    coo = Z.tocoo()
    if not coo.nnz:
        return np.full(len(rows), np.nan)
    stored = coo.row.astype(np.intp) * Z.shape[1] + coo.col
    wanted = rows * Z.shape[1] + columns
    order = np.argsort(stored)
    positions = np.searchsorted(stored, wanted, sorter=order)
    nearest = order[np.minimum(positions, len(stored) - 1)]
    return np.where(stored[nearest] == wanted, coo.data[nearest], np.nan)


def find_observed(X: Any, rows: Array, columns: Array, missing_values: float) -> Array:
    """Whether some entries of X are observed, (m,)."""
    values = gather(X, rows, columns)
    observed = ~np.isnan(values)
    observed[observed] = is_observed(values[observed], missing_values)
    return observed


def build(entries: Entries, *, missing_values: float | None) -> Any:
    """A matrix of these entries: dense with `missing_values` elsewhere, None: CSR."""
    coo = sparse.coo_array(
        (entries.values, (entries.rows, entries.columns)), shape=entries.shape
    )
    csr = coo.tocsr()
    check_duplicates(coo, csr)
    if missing_values is None:
        return csr
    X = np.full(entries.shape, missing_values, dtype=entries.values.dtype)
    X[entries.rows, entries.columns] = entries.values
    return X
