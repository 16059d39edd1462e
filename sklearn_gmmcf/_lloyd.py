"""Lloyd's iterations on data with holes: a hole has no distance.

Pure functions on centered data; centers are (K, d).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklearn_gmmcf._observed import Block, Observed
from sklearn_gmmcf._typing import Array


@dataclass(frozen=True, eq=False)
class LloydResult:
    """Where a run of Lloyd's iterations ended."""

    centers: Array  # (K, d)
    labels: Array  # (n,)
    inertia: float
    n_iter: int
    converged: bool


def squared_distances(block: Block, centers: Array) -> Array:
    """Squared distances of rows to centers over what each row has observed, (K, n)."""
    distances = block.mask.project(centers**2) - 2 * block.values.project(centers)
    distances += block.squared_norms
    return np.maximum(distances, 0.0, out=distances)


def assign(data: Observed, centers: Array) -> tuple[Array, Array]:
    """The nearest center of each row (n,), and the squared distance to it (n,)."""
    labels = np.empty(data.shape[0], dtype=np.int32)
    distances = np.empty(data.shape[0])

    def look(block: Block) -> None:
        to_centers = squared_distances(block, centers)
        labels[block.rows] = to_centers.argmin(axis=0)
        distances[block.rows] = to_centers.min(axis=0)

    data.each(look)
    return labels, distances


def run_lloyd(
    data: Observed,
    centers: Array,
    *,
    max_iter: int,
    tol: float,
    watch: Callable[[int, float], bool] | None = None,
) -> LloydResult:
    """Assign rows and average them in turn, as scikit-learn's KMeans does.

    It stops when no row changes its cluster, or when the squared movement of the
    centers is at most ``tol`` times the mean variance of the columns. ``watch`` is
    called with the number of each iteration and the inertia before it; it ends the run
    by returning True.
    """
    tolerance = tol * _mean_variance(data) if tol > 0 else 0.0
    labels = np.full(data.shape[0], -1, dtype=np.int32)
    for n_iter in range(1, max_iter + 1):
        previous_labels, previous_centers = labels, centers
        labels, distances = assign(data, centers)
        centers = _average(data, labels, distances, centers)
        stopped = watch is not None and watch(n_iter, float(data.weights @ distances))
        unchanged = np.array_equal(labels, previous_labels)
        movement = np.sum((centers - previous_centers) ** 2)
        converged = bool(unchanged or movement <= tolerance)
        if converged or stopped:
            break
    if not unchanged:
        labels, _ = assign(data, centers)
    inertia = float(data.weights @ own_distances(data, centers, labels))
    return LloydResult(centers, labels, inertia, n_iter, converged)


def own_distances(data: Observed, centers: Array, labels: Array) -> Array:
    """Squared distance of each row to its center, (n,), to full precision."""
    return np.concatenate(
        list(data.map(lambda block: block.distances_to(centers, labels[block.rows])))
    )


def _average(data: Observed, labels: Array, distances: Array, centers: Array) -> Array:
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
    counts, sums = data.total(
        lambda block: np.stack(block.sum_by(labels[block.rows], len(centers)))
    )
    return np.divide(sums, counts, out=centers.copy(), where=counts > 0)


def _mean_variance(data: Observed) -> float:
    """Mean of the columns' variances over their observed entries."""

    def sums(block: Block) -> Array:
        weights = block.weights[None]
        return np.vstack([block.mask.collect(weights), block.squares.collect(weights)])

    counts, squares = data.total(sums)
    known = counts > 0
    return float(np.mean(squares[known] / counts[known]))
