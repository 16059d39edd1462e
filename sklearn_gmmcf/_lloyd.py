# SPDX-License-Identifier: BSD-3-Clause
"""Lloyd's iterations on data with missing entries, which have no distance.

Pure functions on centered data; centers are (K, d).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data import Block, Blocks


@dataclass(frozen=True, eq=False)
class LloydResult:
    """Where a run of Lloyd's iterations ended."""

    centers: Array  # (K, d)
    labels: Array  # (n,)
    distances: Array  # (n,), squared, to the centers
    inertia: float
    n_iter: int
    converged: bool


def squared_distances(block: Block, centers: Array) -> Array:
    """Squared distances (K, n) of rows to centers over their observed entries."""
    distances = block.mask.project(centers**2) - 2 * block.values.project(centers)
    distances += block.squared_norms
    return np.maximum(distances, 0.0, out=distances)


def find_nearest(centers: Array, block: Block) -> tuple[Array, Array]:
    """The nearest center of each row (n,), and the squared distance to it (n,)."""
    distances = squared_distances(block, centers)
    return distances.argmin(axis=0).astype(np.int32), distances.min(axis=0)


def assign(data: Blocks, centers: Array) -> tuple[Array, Array]:
    """`find_nearest` for all rows, in memory."""
    results = data.map(partial(find_nearest, centers))
    labels, distances = zip(*results, strict=True)
    return np.concatenate(labels), np.concatenate(distances)


@dataclass(frozen=True, eq=False)
class _Step:
    """Results of one pass over consecutive blocks; a sum joins them."""

    labels: list[Array]
    distances: list[Array]
    sums: Array  # (2, K, d), weighted counts and sums of the rows with each label

    def __add__(self, other: _Step) -> _Step:
        return _Step(
            self.labels + other.labels,
            self.distances + other.distances,
            self.sums + other.sums,
        )


def _step(centers: Array, block: Block) -> _Step:
    labels, distances = find_nearest(centers, block)
    sums = np.stack(block.sum_by(labels, len(centers)))
    return _Step([labels], [distances], sums)


def run_lloyd(
    data: Blocks,
    centers: Array,
    *,
    max_iter: int,
    tolerance: float,
    watch: Callable[[int, float], bool] | None = None,
) -> LloydResult:
    """Assign rows and average them in turn, as scikit-learn's KMeans does.

    It stops when no row changes its cluster, or when the squared movement of the
    centers is at most ``tolerance``. ``watch`` is called with the number of each
    iteration and the inertia before it; it ends the run by returning True.
    """
    labels = np.full(data.shape[0], -1, dtype=np.int32)
    for n_iter in range(1, max_iter + 1):
        previous_labels, previous_centers = labels, centers
        step = data.total(partial(_step, centers))
        labels = np.concatenate(step.labels)
        distances = np.concatenate(step.distances)
        centers = _average(data, labels, distances, step.sums, centers)
        stopped = watch is not None and watch(n_iter, float(data.weights @ distances))
        unchanged = np.array_equal(labels, previous_labels)
        movement = np.sum((centers - previous_centers) ** 2)
        converged = bool(unchanged or movement <= tolerance)
        if converged or stopped:
            break
    if not unchanged:
        labels, _ = assign(data, centers)
    distances = own_distances(data, centers, labels)
    inertia = float(data.weights @ distances)
    return LloydResult(centers, labels, distances, inertia, n_iter, converged)


def own_distances(data: Blocks, centers: Array, labels: Array) -> Array:
    """Squared distance of each row to its center, (n,), to full precision."""
    distances = data.map(
        lambda block, in_block: block.distances_to(centers, in_block), labels
    )
    return np.concatenate(list(distances))


def _average(
    data: Blocks, labels: Array, distances: Array, sums: Array, centers: Array
) -> Array:
    """Means of the clusters; a coordinate that a cluster has not observed stays.

    An empty cluster takes over the row that is farthest from its center, and with it
    the rows that equal it.
    """
    empty = np.setdiff1d(np.arange(len(centers)), labels)
    if empty.size:
        labels, centers = labels.copy(), centers.copy()
        groups, _ = data.row_groups()
        far = np.lexsort((groups, -distances))
        far = far[distances[far] > 0]
        _, firsts = np.unique(groups[far], return_index=True)
        for cluster, row in zip(empty, far[np.sort(firsts)], strict=False):
            labels[groups == groups[row]] = cluster
            centers[cluster] = 0.0
        n_clusters = len(centers)
        sums = data.total(
            lambda block, in_block: np.stack(block.sum_by(in_block, n_clusters)), labels
        )
    counts, totals = sums
    return np.divide(totals, counts, out=centers.copy(), where=counts > 0)


def mean_variance(data: Blocks) -> float:
    """Mean of the columns' variances over their observed entries."""

    def sums(block: Block) -> Array:
        weights = block.weights[None]
        return np.vstack([block.mask.collect(weights), block.squares.collect(weights)])

    counts, squares = data.total(sums)
    known = counts > 0
    if not known.any():  # weights that are lost in single precision
        return 0.0
    return float(np.mean(squares[known] / counts[known]))
