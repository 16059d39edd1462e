# SPDX-License-Identifier: BSD-3-Clause
r"""Completions as sums over the observed entries of their rows.

Given the component, the conditional mean of a missing entry is linear in the observed
entries of the row, with slopes that depend on which entries are observed alone. With
:math:`\mu_k` the means of a row without observed entries and covariates, and
:math:`r_k` the responsibilities,

.. math::
    \hat x_j = \sum_k r_k \mu_{kj} + c_j
    + \sum_{l \in O} \sum_k r_k \beta_{kjl} (x_l - \mu_{kl})

where :math:`c_j` is a family's own: 'factor' learns from the mask and from covariates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data import Block, Columns, observe

# Error of a linear function, relative to the sizes of its terms, that is no rounding.
_TOLERANCE = 1e-6


class Terms(NamedTuple):
    """Sums (m,) over columns of the data, row by row in compressed storage."""

    indptr: Array  # (m + 1,)
    columns: Array  # (nnz,), ascending for each entry
    values: Array  # (nnz,)


@dataclass(frozen=True, eq=False)
class EntryParts:
    """The parts of m completions, in centered units."""

    means: Array  # (K, m), of the components, in a row of which nothing is known
    mask: Array  # (m,), from which entries are observed
    covariates: Array  # (m, p)
    contributions: Terms  # of the observed entries, over all components


# Positions (q,) of entries of rows that observe the same columns (p,), and the terms
# (q, p) of these.
Part = tuple[Array, Array, Array]


def assemble_terms(n_entries: int, parts: list[Part]) -> Terms:
    """Compressed storage of the terms of all entries."""
    counts = np.zeros(n_entries, dtype=np.intp)
    for entries, columns, _ in parts:
        counts[entries] = len(columns)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    indices, values = np.empty(indptr[-1], dtype=np.intp), np.empty(indptr[-1])
    for entries, columns, terms in parts:
        at = indptr[entries][:, None] + np.arange(len(columns))
        indices[at], values[at] = columns, terms
    return Terms(indptr, indices, values)


def group_entries(rows: Array, observed: Array) -> Iterator[tuple[Array, Array]]:
    """Positions of entries whose rows observe the same columns, and these columns.

    Parameters
    ----------
    rows : ndarray of shape (m,)
    observed : ndarray of shape (n, d)
        The mask.
    """
    wanted, inverse = np.unique(rows, return_inverse=True)
    masks, groups = np.unique(observed[wanted], axis=0, return_inverse=True)
    by_entry = groups.ravel()[inverse]
    order = np.argsort(by_entry, kind="stable")
    bounds = np.searchsorted(by_entry[order], np.arange(len(masks) + 1))
    for mask, (start, stop) in zip(masks, pairwise(bounds), strict=True):
        yield order[start:stop], np.flatnonzero(mask)


def without_slopes(means: Array, n_covariates: int = 0) -> EntryParts:
    """Parts of entries whose means (K, m) depend on their component alone."""
    n_entries = means.shape[1]
    return EntryParts(
        means,
        mask=np.zeros(n_entries),
        covariates=np.zeros((n_entries, n_covariates)),
        contributions=assemble_terms(n_entries, []),
    )


def join_parts(parts: list[EntryParts]) -> EntryParts:
    """The parts of the entries of all."""
    terms = [each.contributions for each in parts]
    counts = np.concatenate([np.diff(each.indptr) for each in terms])
    return EntryParts(
        means=np.concatenate([each.means for each in parts], axis=1),
        mask=np.concatenate([each.mask for each in parts]),
        covariates=np.concatenate([each.covariates for each in parts]),
        contributions=Terms(
            indptr=np.concatenate([[0], np.cumsum(counts)]),
            columns=np.concatenate([each.columns for each in terms]),
            values=np.concatenate([each.values for each in terms]),
        ),
    )


# Slopes (K, q, p) or (1, q, p) of columns (q,) on observed ones (p,); None for zeros.
Slopes = Callable[[Array, Array], Array | None]


def explain_regressions(
    find_slopes: Slopes,
    means: Array,
    block: Block,
    rows: Array,
    columns: Array,
    shares: Array,
) -> EntryParts:
    """Parts of entries by regressions about the means (K, d) of the components."""
    values, observed = block.dense()
    parts: list[Part] = []
    for entries, given in group_entries(rows, observed):
        free, position = np.unique(columns[entries], return_inverse=True)
        slopes = find_slopes(given, free)
        if slopes is None:
            continue
        i = rows[entries]
        residuals = values[i][:, given] - means[:, None, given]  # (K, m, p)
        residuals *= shares[:, i, None]
        parts.append((entries, given, (slopes[:, position] * residuals).sum(axis=0)))
    contributions = assemble_terms(len(rows), parts)
    return replace(without_slopes(means[:, columns]), contributions=contributions)


# Conditional means (K, m) of entries of a block.
Conditional = Callable[[Block, Array, Array], Array]


def probe_entries(
    conditional: Conditional,
    block: Block,
    rows: Array,
    columns: Array,
    shares: Array,
    needs_patterns: bool,
) -> EntryParts:
    """Parts of entries by the conditional means of rows made for the purpose.

    They find the slopes of any family whose conditional means are linear.

    Parameters
    ----------
    shares : ndarray of shape (K, n)
        Responsibilities of the rows.

    Raises
    ------
    NotImplementedError
        If conditional means are not linear in the observed entries.
    """
    values, observed = block.dense()
    d = values.shape[1]

    def ask(made: Array, mask: Array, j: Array) -> Array:
        return _ask(conditional, made, mask, j, needs_patterns)

    empty = np.zeros((1, d), dtype=bool)
    centers = ask(np.zeros((1, d)), empty, np.arange(d))[:, 0]
    mask_part, parts = np.zeros(len(rows)), []
    for row in np.unique(rows).tolist():
        entries = np.flatnonzero(rows == row)
        j, given = columns[entries], np.flatnonzero(observed[row])
        x, points, share = values[row, given], centers[:, given], shares[:, row]
        # So large that neither the means nor the entry lose digits.
        steps = np.abs(x) + np.abs(points).max(axis=0)
        steps[steps == 0] = 1.0
        made = np.zeros((len(given) + 2, d))
        made[np.arange(len(given)), given] = steps
        made[-1, given] = x
        found = ask(made, np.broadcast_to(observed[row], made.shape), j)
        slopes = (found[:, :-2] - found[:, -2:-1]) / steps[:, None]  # (K, p, q)
        terms = slopes * (x - points)[:, :, None]
        at_points = found[:, -2] + np.einsum("kp,kpq->kq", points, slopes)
        sizes = np.abs(at_points) + np.abs(terms).sum(axis=1)
        errors = np.abs(at_points + terms.sum(axis=1) - found[:, -1])
        if (errors > _TOLERANCE * sizes).any():
            raise NotImplementedError(
                "Conditional means are not linear in the observed entries, so that "
                "completions are no sums over these. The family may say by "
                "explain_entries which parts its completions have."
            )
        mask_part[entries] = share @ (at_points - centers[:, j])
        parts.append((entries, given, np.einsum("k,kpq->qp", share, terms)))
    return EntryParts(
        means=centers[:, columns],
        mask=mask_part,
        covariates=np.empty((len(rows), 0)),
        contributions=assemble_terms(len(rows), parts),
    )


def _ask(
    conditional: Conditional,
    values: Array,
    observed: Array,
    columns: Array,
    needs_patterns: bool,
) -> Array:
    """Conditional means (K, n, q) in some columns (q,) of made rows (n, d)."""
    parts = []
    for block in make_blocks(values, observed, needs_patterns):
        n = len(block.weights)
        i, j = np.repeat(np.arange(n), len(columns)), np.tile(columns, n)
        parts.append(conditional(block, i, j).reshape(-1, n, len(columns)))
    return np.concatenate(parts, axis=1)


def make_blocks(
    values: Array, observed: Array, needs_patterns: bool
) -> Iterator[Block]:
    """Blocks of made rows (n, d) of centered values, some of them observed."""
    d = values.shape[1]
    ones = np.ones(d)
    data = observe(
        np.where(observed, values, np.nan),
        columns=Columns(np.zeros(d), ones > 0, ones, ones, ones),
        needs_patterns=needs_patterns,
    )
    return data.blocks()
