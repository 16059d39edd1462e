# SPDX-License-Identifier: BSD-3-Clause
r"""Similarity of columns and of rows, as far as they are known.

Of vectors u, v, independent of each other and known by a mean and a covariance each,

.. math::
    s(u, v) = \frac{\bar u^T \bar v}{\sqrt{E[u^T u] \, E[v^T v]}}, \quad
    E[u^T u] = \bar u^T \bar u + \mathrm{tr} \, \mathrm{cov}[u]

is a correlation that shrinks to 0 where little is known. Columns are vectors over the
rows, and rows vectors over the columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._entry_parts import make_blocks
from sklearn_gmmcf.data import Block, Columns

# Columns whose covariances are asked for together.
_N_COLUMNS = 256


class Vectors(NamedTuple):
    """Vectors whose inner products are expected ones."""

    means: Array  # (p, n)
    squares: Array  # (n,), expected squared lengths


def compare(first: Vectors, second: Vectors) -> Array:
    """Similarities (m, n) of vectors; 0 where one is surely 0 or nothing is known."""
    products = first.means.T @ second.means
    scales = np.sqrt(first.squares)[:, None] * np.sqrt(second.squares)
    # Where no variance exists, squares are infinite.
    return np.divide(products, scales, out=np.zeros_like(products), where=scales > 0)


# Conditional means and variances (K, m) of entries of a block.
Moments = Callable[[Block, Array, Array], tuple[Array, Array]]
# Covariance matrix (p, p) of some columns (p,) in a component.
Covariance = Callable[[int, Array], Array]


def correlate_columns(
    moments: Moments,
    covariance: Covariance,
    weights: Array,
    columns: Array,
    n_columns: int,
    needs_patterns: bool,
) -> Array:
    """Correlations (p, d) of some columns with all, over rows of all components.

    By the law of total covariance. Variances are those of entries of a row of which
    nothing is known, which may count the uncertainty of the parameters.
    """
    means, variances = empty_moments(moments, n_columns, needs_patterns)
    gaps = means - weights @ means
    total = np.sqrt(weights @ (variances + gaps**2))
    covariances = (gaps[:, columns].T * weights) @ gaps
    for start in range(0, len(columns), _N_COLUMNS):
        part = columns[start : start + _N_COLUMNS]
        for first in range(0, n_columns, _N_COLUMNS):
            others = np.arange(first, min(first + _N_COLUMNS, n_columns))
            together = np.concatenate([part, others])
            for k, weight in enumerate(weights):
                within = covariance(k, together)[: len(part), len(part) :]
                covariances[start : start + len(part), others] += weight * within
    return covariances / total[columns][:, None] / total


def empty_moments(
    moments: Moments, n_columns: int, needs_patterns: bool
) -> tuple[Array, Array]:
    """Means and variances (K, d) of the entries of a row without observations."""
    nothing = np.zeros((1, n_columns))
    block = next(make_blocks(nothing, nothing > 0, needs_patterns))
    j = np.arange(n_columns)
    return moments(block, np.zeros_like(j), j)


def profile_completions(
    completed: tuple[Array, Any], block: Block, centers: Array, columns: Columns
) -> Vectors:
    """Rows as vectors over the columns, in units of these, about their centers (d,).

    `completed` are conditional means and variances (n, d) of the missing entries.
    """
    means, variances = completed
    values, observed = block.dense()
    gaps = np.where(observed, values, means) - centers
    variances = np.where(observed, 0.0, variances)
    scales = np.where(columns.known, columns.units, np.inf)
    gaps /= scales
    # An infinite variance of an unknown column is left out, too.
    variances = np.where(columns.known, variances, 0.0) / columns.units**2
    return Vectors(gaps.T, (gaps**2 + variances).sum(axis=1))
