"""Lists of the best columns of each row, from scores of all of them."""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._typing import Array


def list_best(scores: Array, n_items: int, *sources: Array) -> tuple[Array, ...]:
    """Columns of the highest scores of each row, and other arrays at these.

    Parameters
    ----------
    scores : ndarray of shape (n, d)
        Minus infinity for columns that are left out.
    n_items : int
    sources : ndarrays of shape (n, d)

    Returns
    -------
    columns : ndarray of shape (n, n_items)
        Best first, of equal ones the first; -1 where fewer columns are left.
    *chosen : ndarrays of shape (n, n_items)
        Of the sources; NaN where fewer columns are left.
    """
    n_found = min(n_items, scores.shape[1])
    best = find_largest(scores, n_found)
    found = np.take_along_axis(scores, best, axis=1) > -np.inf
    shape = len(best), n_items
    columns = np.full(shape, -1, dtype=np.intp)
    np.copyto(columns[:, :n_found], best, where=found)
    results = [columns]
    for source in sources:
        target = np.full(shape, np.nan, dtype=source.dtype)
        chosen = np.take_along_axis(source, best, axis=1)
        np.copyto(target[:, :n_found], chosen, where=found)
        results.append(target)
    return tuple(results)


def find_largest(array: Array, n: int) -> Array:
    """Columns of the n largest entries of each row, in descending order (m, n)."""
    if n < array.shape[1]:
        # All that are larger than the nth are taken, and of its equals the first.
        nth = np.partition(array, -n, axis=1)[:, [-n]]
        candidates = array >= nth
        surplus = candidates.sum(axis=1) > n
        if surplus.any():
            equal = array[surplus] == nth[surplus]
            room = n - (array[surplus] > nth[surplus]).sum(axis=1, keepdims=True)
            candidates[surplus] &= ~equal | (np.cumsum(equal, axis=1) <= room)
        columns = np.nonzero(candidates)[1].reshape(len(array), n)
    else:
        columns = np.broadcast_to(np.arange(n), array.shape)
    order = np.argsort(-np.take_along_axis(array, columns, axis=1), kind="stable")
    return np.take_along_axis(columns, order, axis=1)
