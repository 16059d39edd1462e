# SPDX-License-Identifier: BSD-3-Clause
"""How good are lists of recommended items: metrics for ranked lists.

All functions take lists of items as `recommend` returns them, and the relevance of the
items for each row: the ratings that were held out, for example. A row without any
relevant item has no value, and is left out of the mean, whatever the metric.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count
from sklearn_gmmcf.data._entries import Entries, gather, list_entries

__all__ = [
    "average_precision",
    "coverage",
    "ndcg_at_k",
    "novelty",
    "precision_at_k",
    "recall_at_k",
]


def ndcg_at_k(
    items: Any,
    relevance: Any,
    k: int | None = 10,
    *,
    threshold: float | None = None,
    per_row: bool = False,
) -> Any:
    """Normalized discounted cumulative gain of lists of items.

    The grades of the listed items, each divided by log2(rank + 1), are added up, and
    divided by the same sum for the best possible list of k items.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item.

    relevance : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Grades of the items for each row, 0 or more. Items of missing entries (NaN, or
        not stored in a sparse matrix) are not relevant.

    k : int or None, default=10
        Length of the lists that are judged. None judges all of `items`.

    threshold : float, default=None
        Grades from this number on count as 1, all others as 0. None takes the grades
        as they are.

    per_row : bool, default=False
        Return the value of each row in place of their mean.

    Returns
    -------
    ndcg : float or ndarray of shape (n_rows,)
        The mean over rows with a relevant item, from 0 to 1; higher is better. With
        ``per_row`` the value of each row, NaN for a row without a relevant item.

    Raises
    ------
    ValueError
        If a list names an item twice, or a column that `relevance` does not have, if it
        is shorter than k, if a grade is negative without a `threshold`, or if no row
        has a relevant item.

    See Also
    --------
    sklearn_gmmcf.model_selection.recommendation_scorer : Hides entries and measures.
    sklearn.metrics.ndcg_score : The same of scores for all items.

    References
    ----------
    K. Järvelin and J. Kekäläinen (2002). Cumulated gain-based evaluation of IR
    techniques. ACM Transactions on Information Systems 20(4), 422-446.

    Examples
    --------
    >>> from sklearn_gmmcf.metrics import ndcg_at_k
    >>> items = [[2, 0], [1, 2]]
    >>> hidden_ratings = [[5, 0, 4], [0, 0, 3]]
    >>> ndcg_at_k(items, hidden_ratings, k=2, per_row=True).round(2)
    array([0.95, 0.63])
    """
    lists = _read_lists(items, relevance, k, threshold)
    discounts = 1 / np.log2(np.arange(lists.k) + 2)
    return _average(
        lists, (lists.gains @ discounts), lists.sum_best(discounts), per_row
    )


def precision_at_k(
    items: Any,
    relevance: Any,
    k: int | None = 10,
    *,
    threshold: float | None = None,
    per_row: bool = False,
) -> Any:
    """Share of relevant items among the first k.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item, and
        counts as an item that is not relevant.

    relevance : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Grades of the items for each row. Items of missing entries (NaN, or not stored
        in a sparse matrix) are not relevant.

    k : int or None, default=10
        Length of the lists that are judged. None judges all of `items`.

    threshold : float, default=None
        Items are relevant from this grade on. None takes all grades above 0.

    per_row : bool, default=False
        Return the value of each row in place of their mean.

    Returns
    -------
    precision : float or ndarray of shape (n_rows,)
        The mean over rows with a relevant item, from 0 to 1; higher is better. With
        ``per_row`` the value of each row, NaN for a row without a relevant item.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

    See Also
    --------
    recall_at_k : The share of the relevant items that are found.

    Examples
    --------
    >>> from sklearn_gmmcf.metrics import precision_at_k
    >>> precision_at_k([[2, 0], [1, 2]], [[5, 0, 4], [0, 0, 3]], k=2)
    0.75
    """
    lists = _read_lists(items, relevance, k, threshold)
    n_found = (lists.gains > 0).sum(axis=1)
    return _average(lists, n_found, np.full(len(n_found), lists.k), per_row)


def recall_at_k(
    items: Any,
    relevance: Any,
    k: int | None = 10,
    *,
    threshold: float | None = None,
    per_row: bool = False,
) -> Any:
    """Share of the relevant items that are among the first k.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item.

    relevance : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Grades of the items for each row. Items of missing entries (NaN, or not stored
        in a sparse matrix) are not relevant.

    k : int or None, default=10
        Length of the lists that are judged. None judges all of `items`.

    threshold : float, default=None
        Items are relevant from this grade on. None takes all grades above 0.

    per_row : bool, default=False
        Return the value of each row in place of their mean.

    Returns
    -------
    recall : float or ndarray of shape (n_rows,)
        The mean over rows with a relevant item, from 0 to 1; higher is better. A row
        with more than k relevant items stays below 1. With ``per_row`` the value of
        each row, NaN for a row without a relevant item.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

    See Also
    --------
    precision_at_k : The share of the listed items that are relevant.

    Examples
    --------
    >>> from sklearn_gmmcf.metrics import recall_at_k
    >>> recall_at_k([[2, 1], [1, 2]], [[5, 0, 4], [0, 0, 3]], k=2)
    0.75
    """
    lists = _read_lists(items, relevance, k, threshold)
    n_found = (lists.gains > 0).sum(axis=1)
    return _average(lists, n_found, lists.n_relevant, per_row)


def average_precision(
    items: Any,
    relevance: Any,
    k: int | None = 10,
    *,
    threshold: float | None = None,
    per_row: bool = False,
) -> Any:
    """Average precision at k of lists of items; its mean over rows is called MAP.

    The precisions up to each relevant item of the list are added up, and divided by the
    number of relevant items, or by k if that is smaller.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item.

    relevance : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Grades of the items for each row. Items of missing entries (NaN, or not stored
        in a sparse matrix) are not relevant.

    k : int or None, default=10
        Length of the lists that are judged. None judges all of `items`.

    threshold : float, default=None
        Items are relevant from this grade on. None takes all grades above 0.

    per_row : bool, default=False
        Return the value of each row in place of their mean.

    Returns
    -------
    precision : float or ndarray of shape (n_rows,)
        The mean over rows with a relevant item, from 0 to 1; higher is better. With
        ``per_row`` the value of each row, NaN for a row without a relevant item.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

    See Also
    --------
    sklearn.metrics.average_precision_score : The same of scores for all items.

    Examples
    --------
    >>> from sklearn_gmmcf.metrics import average_precision
    >>> average_precision([[2, 0], [1, 2]], [[5, 0, 4], [0, 0, 3]], k=2)
    0.75
    """
    lists = _read_lists(items, relevance, k, threshold)
    found = lists.gains > 0
    precisions = np.cumsum(found, axis=1) / (np.arange(lists.k) + 1)
    sums = (precisions * found).sum(axis=1)
    return _average(lists, sums, np.minimum(lists.n_relevant, lists.k), per_row)


def coverage(items: Any, n_columns: int, k: int | None = 10) -> float:
    """Share of the columns that are in the list of any row.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item.

    n_columns : int
        Number of columns of the matrix: the size of the catalog.

    k : int or None, default=10
        Length of the lists that are looked at. None looks at all of `items`.

    Returns
    -------
    coverage : float
        From 0 to 1. Where all rows get the same items it is near k / n_columns.

    Raises
    ------
    ValueError
        If a list names an item twice or is shorter than k, or a column is out of range.

    See Also
    --------
    novelty : How unusual the listed items are.

    Examples
    --------
    >>> from sklearn_gmmcf.metrics import coverage
    >>> coverage([[2, 0], [2, 1]], n_columns=4, k=1)
    0.25
    """
    check_count("n_columns", n_columns)
    items = _check_items(items, n_columns, k)
    return len(np.unique(items[items >= 0])) / int(n_columns)


def novelty(
    items: Any, X: Any, k: int | None = 10, *, missing_values: float = np.nan
) -> float:
    """Mean self-information of the listed items, in bits.

    An item that a share p of the rows of X has observed counts -log2(p), so that a list
    of the most popular items has little novelty.

    Parameters
    ----------
    items : array-like of int of shape (n_rows, n_items)
        Column indices, best first, as `recommend` returns them; -1 is no item.

    X : {array-like, sparse matrix} of shape (n_samples, n_columns)
        The data of the fit, whose observed entries are counted. Its rows need not match
        `items`.

    k : int or None, default=10
        Length of the lists that are looked at. None looks at all of `items`.

    missing_values : float, default=np.nan
        The value that marks a missing entry of X. In a sparse matrix an entry that is
        not stored is missing, too.

    Returns
    -------
    novelty : float
        In bits, from 0 to log2(n_samples): the mean over all listed items. An item that
        no row of X has observed counts as if one had.

    Raises
    ------
    ValueError
        If a list names an item twice or is shorter than k, a column is out of range, or
        no item is listed.

    See Also
    --------
    coverage : The share of the columns that are listed.

    References
    ----------
    T. Zhou et al. (2010). Solving the apparent diversity-accuracy dilemma of
    recommender systems. PNAS 107(10), 4511-4515.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.metrics import novelty
    >>> X = [[5, 1], [4, np.nan], [1, np.nan], [3, np.nan]]
    >>> novelty([[0, 1]], X, k=2)
    1.0
    """
    entries = list_entries(X, missing_values)
    n_rows, n_columns = entries.shape
    items = _check_items(items, n_columns, k)
    listed = items[items >= 0]
    if not listed.size:
        raise ValueError("items lists no item: all of its entries are -1.")
    counts = np.bincount(entries.columns, minlength=n_columns)
    return float(np.mean(np.log2(n_rows / np.maximum(counts[listed], 1))))


class _Lists:
    """The first k items of each row, and the relevance that they are judged by."""

    def __init__(self, items: Array, relevant: Entries) -> None:
        n, self.k = items.shape
        rows = np.repeat(np.arange(n), self.k)
        matrix = sparse.coo_array(
            (relevant.values, (relevant.rows, relevant.columns)), shape=relevant.shape
        )
        # Column -1 is found nowhere, as its index is that of no entry of its row.
        gains = np.zeros(items.size)
        listed = items.ravel() >= 0
        gains[listed] = gather(matrix, rows[listed], items.ravel()[listed])
        self.gains = np.nan_to_num(gains).reshape(n, self.k)  # (n, k)
        self.n_relevant = np.bincount(relevant.rows, minlength=n)  # (n,)
        self._relevant = relevant

    def sum_best(self, discounts: Array) -> Array:
        """Sums (n,) of the k largest grades of each row, by discounts (k,)."""
        rows, grades = self._relevant.rows, self._relevant.values
        order = np.lexsort((-grades, rows))
        firsts = np.cumsum(self.n_relevant) - self.n_relevant
        ranks = np.arange(len(rows)) - firsts[rows[order]]
        best = ranks < self.k
        weighted = grades[order][best] * discounts[ranks[best]]
        return np.bincount(
            rows[order][best], weights=weighted, minlength=len(self.n_relevant)
        )


def _read_lists(
    items: Any, relevance: Any, k: int | None, threshold: float | None
) -> _Lists:
    grades = list_entries(relevance, np.nan, name="relevance")
    if threshold is not None:
        grades = grades.take(grades.values >= threshold)
        grades = replace(grades, values=np.ones(len(grades.rows)))
    elif (grades.values < 0).any():
        first = np.argmax(grades.values < 0)
        raise ValueError(
            f"The grade in row {grades.rows[first]}, column {grades.columns[first]} of "
            f"relevance is negative: {grades.values[first]:g}. Pass a threshold from "
            "which items are relevant."
        )
    relevant = grades.take(grades.values > 0)
    items = _check_items(items, relevant.shape[1], k)
    if len(items) != relevant.shape[0]:
        raise ValueError(
            "items and relevance should have the same rows, but got "
            f"{len(items)} and {relevant.shape[0]} of them."
        )
    return _Lists(items, relevant)


def _check_items(items: Any, n_columns: int, k: int | None) -> Array:
    """The first k items of each list, (n, k)."""
    items = np.asarray(items)
    if items.ndim != 2 or items.dtype.kind not in "iu" or not items.size:
        raise ValueError(
            "items should be a 2d array of column indices, with a list for each row, "
            f"but got the shape {items.shape} and the dtype {items.dtype}. Of the pair "
            "(items, values) that recommend returns, take the first."
        )
    k = items.shape[1] if k is None else k
    check_count("k", k)
    if k > items.shape[1]:
        raise ValueError(
            f"k={k}, but the lists have {items.shape[1]} items. Recommend "
            f"n_items={k}, or pass k={items.shape[1]}."
        )
    items = items[:, :k].astype(np.intp)
    outside = items[(items < -1) | (items >= n_columns)]
    if outside.size:
        raise ValueError(
            f"items should be column indices from 0 to {n_columns - 1}, or -1 for no "
            f"item, but got {outside[0]}."
        )
    ordered = np.sort(items, axis=1)
    repeated = (np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row, position = np.argwhere(repeated)[0]
        raise ValueError(
            f"The list of row {row} names item {ordered[row, position]} more than "
            "once. A list should name each item once."
        )
    return items


def _average(lists: _Lists, sums: Array, sizes: Array, per_row: bool) -> Any:
    """Quotients of the rows that have relevant items, or their mean."""
    has_relevant = lists.n_relevant > 0
    quotients = np.full(len(has_relevant), np.nan)
    np.divide(sums, sizes, out=quotients, where=has_relevant)
    if per_row:
        return quotients
    if not has_relevant.any():
        raise ValueError(
            "No row has a relevant item, so the metric is undefined. Decrease the "
            "threshold, or pass more rows."
        )
    return float(quotients[has_relevant].mean())
