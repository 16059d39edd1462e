# SPDX-License-Identifier: BSD-3-Clause
"""The rule of missing entries, and the data that are refused.

An entry is *observed* if it is stored and is not ``missing_values``. That is decided
here, once, for the validated data of a fit or of a question to a fitted mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from scipy import sparse

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._blocks import limit_to_working_memory

# Beyond these a square divided by a small variance would overflow.
_MAX_VALUE = {"f": 1e12, "d": 1e100}
# `is_observed`, or `differ` for values that it has checked before.
Rule = Callable[[Array, float], Array]
# Bytes of values in a file that are looked at together.
_READ_BYTES = 2**24


def is_observed(values: Array, missing_values: float) -> Array:
    """Apply the rule to stored values; refuse those that break it."""
    if not np.isnan(missing_values) and np.isnan(values).any():
        raise ValueError(
            f"X contains NaN while missing_values={missing_values!r}. Mark missing "
            "entries in one way only: replace NaN by that value, or pass "
            "missing_values=np.nan."
        )
    observed = differ(values, missing_values)
    limit = _MAX_VALUE[values.dtype.char]
    # Reductions under a mask are slow, and only a marker can be the largest of all.
    largest = _max_magnitude(values, True)
    if largest > limit:
        largest = _max_magnitude(values, observed)
    if largest > limit:
        raise ValueError(
            f"X contains a value of magnitude {largest:.3g}; the squares of values "
            f"above {limit:g} overflow in {values.dtype}. Scale the data"
            + (", or pass them as float64." if values.dtype.char == "f" else ".")
        )
    return observed


def differ(values: Array, missing_values: float) -> Array:
    """Which values are not the one that marks missing entries."""
    if np.isnan(missing_values):
        return ~np.isnan(values)
    with np.errstate(over="ignore"):  # of a number that float32 does not hold
        return values != float(missing_values)


class LazyMask:
    """Which values in a file are observed, found out where it is indexed.

    Some columns (d,) count as observed or as missing throughout.
    """

    def __init__(
        self, raw: Array, missing_values: float, known: Any = True, given: Any = False
    ) -> None:
        self.raw, self.missing_values = raw, missing_values
        self.known, self.given = known, given

    def __getitem__(self, index: Any) -> Array:
        columns = index[1] if isinstance(index, tuple) else slice(None)
        known, given = (
            each if isinstance(each, bool) else each[columns]
            for each in (self.known, self.given)
        )
        return (differ(self.raw[index], self.missing_values) & known) | given

    def __and__(self, known: Array) -> LazyMask:
        return LazyMask(self.raw, self.missing_values, known, self.given)

    def __or__(self, given: Array) -> LazyMask:
        return LazyMask(self.raw, self.missing_values, self.known, given)


def any_and_all_observed(
    values: Array, missing_values: float, rule: Rule
) -> tuple[bool, bool]:
    """Whether any and whether all values in a file are observed, read in pieces."""
    some, every = False, True
    n_bytes = limit_to_working_memory(_READ_BYTES)
    step = max(n_bytes // (8 * values.shape[1]), 1)
    for start in range(0, values.shape[0], step):
        observed = rule(values[start : start + step], missing_values)
        some = some or bool(observed.any())
        every = every and bool(observed.all())
    return some, every


def is_mapped(array: Any) -> bool:
    """Whether an array, or the array that it is a view of, lies in a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def check_duplicates(given: Any, X: sparse.csr_array) -> None:
    """Refuse two stored values for one entry; COO lost them on its way to CSR.

    `given` is what X was made of; of what is not sparse, X itself is looked at.
    """
    given = given if sparse.issparse(given) else X
    if X.has_canonical_format and given.nnz == X.nnz:
        return
    coo = given.tocoo()
    order = np.lexsort((coo.col, coo.row))
    rows, columns = coo.row[order], coo.col[order]
    twice = np.flatnonzero((np.diff(rows) == 0) & (np.diff(columns) == 0))
    if twice.size == 0:
        return
    raise ValueError(
        f"Sparse X stores more than one value at row {rows[twice[0]]}, column "
        f"{columns[twice[0]]} ({len(twice)} such repetitions in all). Keep one of "
        "them, or their mean: X.sum_duplicates() would add them up."
    )


def raise_nothing_observed(shape: tuple[int, int], missing_values: float) -> NoReturn:
    """Refuse data without any observed entry."""
    raise ValueError(
        f"X has no observed entry: all of its {shape[0]} x {shape[1]} entries are "
        f"missing (missing_values={missing_values!r}, or not stored)."
    )


def _max_magnitude(values: Array, where: Any) -> float:
    """The largest magnitude of the values, NaN aside."""
    largest = np.fmax.reduce(values, axis=None, initial=0.0, where=where)
    return max(largest, -np.fmin.reduce(values, axis=None, initial=0.0, where=where))
