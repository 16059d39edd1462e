"""Where EM and Lloyd's iterations begin, on data with missing entries.

Rows are drawn by inverse CDF over groups of equal rows in an order of their content
(`Observed.row_groups`), so that neither the order of the rows nor repetition instead
of weight changes a start.
"""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._lloyd import assign, mean_variance, run_lloyd, squared_distances
from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.data import Observed, one_hot

# EM goes on from where k-means stops, so it need not converge.
_LLOYD_MAX_ITER = 30
_LLOYD_TOL = 1e-4


def start_rows(n_components: int) -> int:
    """Number of rows that a start samples from data out of memory."""
    return max(50 * n_components, 10_000)


def start_responsibilities(
    data: Observed, n_components: int, method: str, rng: np.random.RandomState
) -> Responsibilities:
    """First responsibilities of the rows of a block.

    Parameters
    ----------
    method : {'kmeans', 'k-means++', 'random_from_data', 'random'}
        Clusters of k-means; the nearest of rows that are drawn far from each other, or
        uniformly; uniform responsibilities.
    """
    if method == "random":
        return _random_responsibilities(data, n_components, rng)
    if method == "random_from_data":
        labels, _ = assign(data, draw_rows(data, n_components, rng))
    else:
        centers = draw_distant_rows(data, n_components, rng)
        if method == "kmeans":
            tolerance = _LLOYD_TOL * mean_variance(data)
            labels = run_lloyd(
                data, centers, max_iter=_LLOYD_MAX_ITER, tolerance=tolerance
            ).labels
        else:
            labels, _ = assign(data, centers)
    return lambda rows: one_hot(labels[rows], n_components)


def draw_rows(data: Observed, n_rows: int, rng: np.random.RandomState) -> Array:
    """Distinct rows, as centers (n_rows, d): column means replace missing entries.

    Rows are repeated only where fewer are distinct.
    """
    first, masses = _groups_with_entries(data)
    chosen: list[int] = []
    remaining = masses.copy()
    for _ in range(n_rows):
        if not remaining.any():
            remaining = masses.copy()
        chosen.append(_draw(remaining, 1, rng)[0])
        remaining[chosen[-1]] = 0.0
    return data.gather(first[chosen])


def draw_distant_rows(data: Observed, n_rows: int, rng: np.random.RandomState) -> Array:
    """k-means++: rows drawn by their squared distance to those drawn before.

    Of a few candidates at each step, the one that lowers the sum of squared distances
    the most is kept, as in scikit-learn (Arthur and Vassilvitskii 2007).

    Returns
    -------
    centers : ndarray of shape (n_rows, d)
        Column means replace missing entries.
    """
    first, masses = _groups_with_entries(data)
    n_trials = 2 + int(np.log(n_rows))
    centers = data.gather(first[_draw(masses, 1, rng)])
    closest = _distances(data, centers)[0]
    while len(centers) < n_rows:
        potentials = masses * closest[first]
        if not potentials.any():
            potentials = masses
        candidates = data.gather(first[_draw(potentials, n_trials, rng)])
        distances = np.minimum(_distances(data, candidates), closest)
        best = int(np.argmin(distances @ data.weights))
        centers = np.vstack([centers, candidates[best]])
        closest = distances[best]
    return centers


def _random_responsibilities(
    data: Observed, n_components: int, rng: np.random.RandomState
) -> Responsibilities:
    groups, first = data.row_groups()
    drawn = rng.uniform(size=(len(first), n_components))
    drawn /= drawn.sum(axis=1, keepdims=True)
    return lambda rows: np.ascontiguousarray(drawn[groups[rows]].T)


def _groups_with_entries(data: Observed) -> tuple[Array, Array]:
    """A row of each group of equal rows, and the group's weight: 0 without entries."""
    groups, first = data.row_groups()
    counts = np.concatenate([block.counts for block in data])
    return first, np.bincount(groups, data.weights * (counts > 0))


def _draw(masses: Array, size: int, rng: np.random.RandomState) -> Array:
    """Indices drawn in proportion to masses (m,), of which some may be 0."""
    cumulative = np.cumsum(masses)
    drawn = rng.uniform(size=size) * cumulative[-1]
    indices = np.searchsorted(cumulative, drawn, side="right")
    return np.minimum(indices, np.flatnonzero(masses)[-1])


def _distances(data: Observed, centers: Array) -> Array:
    """Squared distances of all rows to centers, (K, n)."""
    blocks = data.map(lambda block: squared_distances(block, centers))
    return np.concatenate(list(blocks), axis=1)
