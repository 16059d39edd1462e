# SPDX-License-Identifier: BSD-3-Clause
"""A matrix with missing entries, wherever it lies.

After the rule of `_rule` has been applied at the door, no other room asks again which
entries are observed, and no other room of the numerics computes on scipy.sparse.
"""

from sklearn_gmmcf.data._blocks import (
    Block,
    Blocks,
    RowArray,
    limit_to_working_memory,
)
from sklearn_gmmcf.data._clipping import clip_outliers
from sklearn_gmmcf.data._columns import Columns
from sklearn_gmmcf.data._in_memory import observe
from sklearn_gmmcf.data._observed import Observed, allocate
from sklearn_gmmcf.data._patterns import Pattern
from sklearn_gmmcf.data._products import Matrix, one_hot
from sklearn_gmmcf.data._reading import check_numbers, check_unmasked, read_numbers
from sklearn_gmmcf.data._rule import check_duplicates, is_observed

__all__ = [
    "Block",
    "Blocks",
    "Columns",
    "Matrix",
    "Observed",
    "Pattern",
    "RowArray",
    "allocate",
    "check_duplicates",
    "check_numbers",
    "check_unmasked",
    "clip_outliers",
    "is_observed",
    "limit_to_working_memory",
    "observe",
    "one_hot",
    "read_numbers",
]
