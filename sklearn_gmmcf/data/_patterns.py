# SPDX-License-Identifier: BSD-3-Clause
"""Rows grouped by their missing entries, for computations within each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_gmmcf._typing import Array

# From this many rows on, a pattern is worth a matrix product of its own; small systems
# are worked on so fast that it takes this many missing or observed entries, too.
_SHARED_ROWS, _SHARED_ENTRIES = 100, 400


@dataclass(frozen=True, eq=False)
class Pattern:
    """Rows that miss equally many entries: all the same ones, or each its own.

    Column indices are (q, P), ascending, with P = 1 if all rows share them, else one
    for each row.
    """

    rows: Array  # (n,)
    observed: Array  # (q_observed, P)
    missing: Array  # (q_missing, P)

    @property
    def is_shared(self) -> bool:
        return self.observed.shape[1] == 1

    def subset(self, rows: slice | Array) -> Pattern:
        """The pattern of these of its rows."""
        columns = slice(None) if self.is_shared else rows
        return Pattern(
            self.rows[rows], self.observed[:, columns], self.missing[:, columns]
        )


def group_rows(observed: Array) -> list[Pattern]:
    """Group the rows of a mask (n, d): shared patterns first, then by their counts."""
    # Of a frame, whose columns lie one after the other, packbits keeps the order.
    packed = np.ascontiguousarray(np.packbits(observed, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse, sizes = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    n_observed = observed[first].sum(axis=1)
    n_missing = observed.shape[1] - n_observed
    entries = sizes * np.minimum(n_observed, n_missing)
    shared = (sizes >= _SHARED_ROWS) & (entries >= _SHARED_ENTRIES)
    shared |= n_missing == 0
    groups = []
    for pattern in np.flatnonzero(shared):
        rows = np.flatnonzero(inverse == pattern)
        mask = observed[rows[:1]]
        groups.append(Pattern(rows, _columns(mask), _columns(~mask)))
    alone = np.flatnonzero(~shared[inverse])
    counts = observed[alone].sum(axis=1)
    for count in np.unique(counts):
        rows = alone[counts == count]
        mask = observed[rows]
        groups.append(Pattern(rows, _columns(mask), _columns(~mask)))
    return groups


def _columns(mask: Array) -> Array:
    """Columns where the rows of a mask are true, equally many each: (q, n)."""
    return np.ascontiguousarray(np.nonzero(mask)[1].reshape(len(mask), -1).T)
