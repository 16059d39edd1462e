# SPDX-License-Identifier: BSD-3-Clause
"""Lists of the best columns of each row: scores, candidates, and the best of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr

from sklearn_gmmcf._typing import Array

_SCORES = ("value", "lower", "upper", "utility")


@dataclass(frozen=True, eq=False)
class Ranking:
    """How the columns of a row are ranked, and which of them are candidates."""

    n_items: int
    rank_by: str | Callable[[Array, Array], Any]
    z: float
    threshold: float | None  # in units of the data
    exclude_observed: bool
    left_out: Array  # (d,), columns that are no candidates of any row
    # Of each matrix of choices by row: whether it has the candidates, or the columns
    # to leave out.
    has_candidates: tuple[bool, ...]

    @property
    def needs_std(self) -> bool:
        return self.rank_by != "value"

    @property
    def needs_propensities(self) -> bool:
        return self.rank_by == "utility"

    def score(
        self, values: Array, std: Array | None, propensities: Array | None
    ) -> Array:
        """Scores (n, d), finite or minus infinity, a new array."""
        if std is None:
            return values.copy()
        if propensities is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                margins = (values - self.threshold) / std
            # An observed entry has no deviation, and may be at the threshold.
            liked = np.where(std > 0, ndtr(margins), values >= self.threshold)
            return propensities * liked
        if callable(self.rank_by):
            return self._call(self.rank_by, values, std)
        sign = 1 if self.rank_by == "upper" else -1
        # Where a deviation is infinite, the entry is a candidate all the same.
        largest = np.finfo(values.dtype).max
        return np.clip(values + sign * self.z * std, -largest, largest)

    def _call(
        self, rank_by: Callable[[Array, Array], Any], values: Array, std: Array
    ) -> Array:
        scores = np.array(rank_by(values.copy(), std.copy()), dtype=np.float64)
        if scores.shape != values.shape:
            raise ValueError(
                "rank_by should return a score for each value, of the shape "
                f"{values.shape}, but returned the shape {scores.shape}."
            )
        if np.isnan(scores).any() or np.isposinf(scores).any():
            raise ValueError(
                "rank_by returned scores that are NaN or infinite. Return minus "
                "infinity for entries to leave out, and finite scores for others."
            )
        return scores

    def leave_out(self, scores: Array, choices: Sequence[sparse.csr_array]) -> None:
        """Write minus infinity where a column is no candidate of its row."""
        scores[:, self.left_out] = -np.inf
        for matrix, has_candidates in zip(choices, self.has_candidates, strict=True):
            chosen = np.zeros(scores.shape, dtype=bool)
            chosen[matrix.nonzero()] = True
            scores[~chosen if has_candidates else chosen] = -np.inf


def make_ranking(
    shape: tuple[int, int],
    n_items: int,
    *,
    rank_by: Any,
    z: Any,
    threshold: Any,
    items: Any,
    exclude: Any,
    exclude_observed: bool,
    names: Array | None,
) -> tuple[Ranking, list[sparse.csr_array]]:
    """Check what users ask for, for the rows of a matrix of this shape.

    `items` and `exclude` may list `names` of the columns (d,), if they have some.

    Returns
    -------
    ranking : Ranking
    choices : list of csr_array of shape (n, d)
        The choices of columns by row.
    """
    named = isinstance(rank_by, str) and rank_by in _SCORES
    if not named and not callable(rank_by):
        raise ValueError(
            f"rank_by should be one of {list(_SCORES)} or a function of (values, std), "
            f"but got {rank_by!r}."
        )
    z = _check_z(z, rank_by)
    left_out = np.zeros(shape[1], dtype=bool)
    choices, has_candidates = [], []
    for name, choice in (("items", items), ("exclude", exclude)):
        if choice is None:
            continue
        chosen = _check_choice(name, choice, shape, names)
        if sparse.issparse(chosen):
            choices.append(chosen)
            has_candidates.append(name == "items")
        else:
            left_out |= ~chosen if name == "items" else chosen
    ranking = Ranking(
        n_items=int(n_items),
        rank_by=rank_by,
        z=z,
        threshold=None if threshold is None else check_threshold(threshold),
        exclude_observed=exclude_observed,
        left_out=left_out,
        has_candidates=tuple(has_candidates),
    )
    return ranking, choices


def _check_z(z: Any, rank_by: Any) -> float:
    """A number of standard deviations, which only bounds have; by default it is 1."""
    if z is None:
        return 1.0
    if not (isinstance(z, Real) and 0 < float(z) < np.inf):
        raise ValueError(f"z should be a finite number above 0 or None, but got {z!r}.")
    if callable(rank_by) or rank_by not in ("lower", "upper"):
        raise ValueError(
            f"rank_by='lower' and 'upper' use z, but got z={z!r} with "
            f"rank_by={rank_by!r}. Pass one of them, or leave z out."
        )
    return float(z)


def check_threshold(threshold: Any) -> float:
    """A threshold as a float, if it is a finite number."""
    if not (isinstance(threshold, Real) and np.isfinite(float(threshold))):
        raise ValueError(
            f"threshold should be a finite number or None, but got {threshold!r}."
        )
    return float(threshold)


def _check_choice(
    name: str, choice: Any, shape: tuple[int, int], names: Array | None
) -> Any:
    """A choice of columns: a mask (d,) for all rows, or a CSR (n, d) by row."""
    if sparse.issparse(choice):
        by_row = sparse.csr_array(choice, copy=True)
    else:
        choice = np.asarray(choice)
        if names is not None and choice.ndim == 1 and _are_texts(choice):
            return _mark_names(name, choice, names)
        if choice.ndim == 1 and (choice.dtype.kind in "iu" or not choice.size):
            return _mark_columns(name, choice.astype(np.intp), shape[1])
        or_names = "" if names is None else " or their names"
        if choice.dtype != bool or choice.shape not in (shape, shape[1:]):
            raise ValueError(
                f"{name} should be indices of columns{or_names}, a boolean mask of "
                f"shape {shape[1:]}, or a boolean or sparse matrix of shape {shape} "
                "with the columns of each row, but got the shape "
                f"{choice.shape} of {choice.dtype}."
            )
        if choice.ndim == 1:
            return choice
        by_row = sparse.csr_array(choice)
    if by_row.shape != shape:
        raise ValueError(
            f"{name} should have the shape of X, {shape}, but got {by_row.shape}."
        )
    return by_row


def _are_texts(choice: Array) -> bool:
    return choice.size > 0 and all(isinstance(each, str) for each in choice)


def _mark_names(name: str, listed: Array, names: Array) -> Array:
    columns = {each: j for j, each in enumerate(names)}
    mask = np.zeros(len(names), dtype=bool)
    for each in listed.tolist():
        if each not in columns:
            raise ValueError(
                f"{name} should be indices or names of columns of X, but got {each!r}."
            )
        mask[columns[each]] = True
    return mask


def _mark_columns(name: str, columns: Array, n_columns: int) -> Array:
    outside = columns[(columns < 0) | (columns >= n_columns)]
    if outside.size:
        raise ValueError(
            f"{name} should be indices of columns from 0 to {n_columns - 1}, but got "
            f"{outside[0]}."
        )
    mask = np.zeros(n_columns, dtype=bool)
    mask[columns] = True
    return mask


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
