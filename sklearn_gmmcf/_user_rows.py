# SPDX-License-Identifier: BSD-3-Clause
"""The ratings of users, as rows of a sparse matrix that change with updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._ids import Ids
from sklearn_gmmcf._typing import Array


@dataclass(frozen=True, eq=False)
class UserRows:
    """The rows of users."""

    users: Array  # (n,), ids, sorted
    ratings: sparse.csr_array  # (n, d)

    def find(self, ids: Array) -> tuple[Array, Array]:
        """Rows (m,) of users, and whether each of them is there."""
        return Ids("users", self.users).find(ids)

    def put(self, ids: Array, rows: sparse.csr_array) -> UserRows:
        """The same with these rows of users, in place of former ones."""
        kept = self.without(ids)
        users = Ids("users", kept.users)
        users.add(ids)
        old, new = users.find(kept.users)[0], users.find(ids)[0]
        order = np.argsort(np.concatenate([old, new]))
        together = sparse.csr_array(sparse.vstack([kept.ratings, rows], format="csr"))
        return UserRows(users.sorted, together[order])

    def without(self, ids: Array) -> UserRows:
        """The same without these users."""
        rows, known = self.find(ids)
        kept = np.ones(len(self.users), dtype=bool)
        kept[rows[known]] = False
        return UserRows(self.users[kept], self.ratings[np.flatnonzero(kept)])

    def widen(self, d: int) -> UserRows:
        """The same with further columns, which are empty."""
        X = self.ratings
        shape = len(self.users), d
        wide: Any = sparse.csr_array((X.data, X.indices, X.indptr), shape=shape)
        return UserRows(self.users, wide)


def overwrite(old: sparse.csr_array, new: sparse.csr_array) -> sparse.csr_array:
    """The entries of both (n, d); where both have one, the new one."""
    d = np.int64(old.shape[1])
    (rows, columns), (new_rows, new_columns) = (
        (np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices)
        for X in (old, new)
    )
    kept = np.isin(rows * d + columns, new_rows * d + new_columns, invert=True)
    values = np.concatenate([old.data[kept], new.data])
    rows = np.concatenate([rows[kept], new_rows])
    columns = np.concatenate([columns[kept], new_columns])
    merged = sparse.csr_array((values, (rows, columns)), shape=old.shape)
    merged.sort_indices()
    return merged
