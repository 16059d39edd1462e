# SPDX-License-Identifier: BSD-3-Clause
"""Silhouettes of rows with missing entries."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from sklearn_gmmcf._typing import Array


def silhouette_samples(X: Array, labels: Array) -> Array:
    """Silhouette coefficient of each row (Rousseeuw 1987).

    The distance of two rows is `nan_euclidean_distances` of scikit-learn. Two rows that
    share no observed column have none: their pair is left out of all averages.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, NaN where missing.
    labels : ndarray of shape (n,)
        Cluster of each row, from 0 to K - 1.

    Returns
    -------
    silhouettes : ndarray of shape (n,)
        (b - a) / max(a, b), with a the mean distance to the other rows of the own
        cluster, b the smallest mean distance to the rows of another cluster. 0 for a
        row alone in its cluster, NaN for a row without a distance to its own or to any
        other cluster.
    """
    members = np.eye(labels.max() + 1)[labels]  # (n, K)
    sizes = members.sum(axis=0)

    def measure(distances: Array, start: int) -> Array:
        own = labels[start : start + len(distances)]
        rows = np.arange(len(own))
        known = ~np.isnan(distances)
        known[rows, start + rows] = False
        sums = np.where(known, distances, 0.0) @ members
        counts = known @ members
        means = np.full(sums.shape, np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        within = means[rows, own]
        means[rows, own] = np.inf
        between = np.fmin.reduce(means, axis=1)
        between[np.isinf(between)] = np.nan  # no distance to any other cluster
        larger = np.fmax(within, between)
        silhouettes = (between - within) / np.where(larger > 0, larger, 1.0)
        silhouettes[sizes[own] == 1] = 0.0
        return silhouettes

    chunks = pairwise_distances_chunked(X, metric="nan_euclidean", reduce_func=measure)
    return np.concatenate(list(chunks))
