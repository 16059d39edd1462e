# SPDX-License-Identifier: BSD-3-Clause
"""Whether sums could be sums over rows: counts and squares are not negative."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._diagonal import DiagonalStatistics
from sklearn_gmmcf.covariance._factor_step import FactorStatistics
from sklearn_gmmcf.covariance._full import FullStatistics
from sklearn_gmmcf.covariance._student import StudentStatistics


@singledispatch
def find_least(statistics: Any, units: Array) -> float:
    """The least count, or sum of squares in units of the columns (d,).

    It is below 0 only where rows were subtracted that had not been added. Of families
    of the user's own it is the weight.
    """
    return float(statistics.weight)


@find_least.register
def _(statistics: DiagonalStatistics, units: Array) -> float:
    s = statistics
    by_column = s.squares.shape == s.sums.shape
    squares = s.squares / (units**2 if by_column else np.sum(units**2))
    return _find_least_number(s.sizes, s.counts, squares)


@find_least.register
def _(statistics: FullStatistics, units: Array) -> float:
    s = statistics
    squares = np.diagonal(s.moments, axis1=1, axis2=2) / units**2
    return _find_least_number(s.sizes, s.counts, squares)


@find_least.register
def _(statistics: StudentStatistics, units: Array) -> float:
    s = statistics
    return min(find_least(s.moments, units), _find_least_number(s.sizes, s.counts))


@find_least.register
def _(statistics: FactorStatistics, units: Array) -> float:
    s = statistics
    squares = s.column_squares / units**2
    return _find_least_number(s.sizes, s.entries, s.column_weights, squares)


def _find_least_number(*arrays: Array) -> float:
    return min(float(array.min()) for array in arrays)
