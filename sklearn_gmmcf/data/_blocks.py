# SPDX-License-Identifier: BSD-3-Clause
"""The faces of data: a block of rows, and all blocks, wherever they lie.

Everything is laid out with components first: weights ``W`` are (K, d),
responsibilities ``R`` are (K, n). A block of rows offers three matrices: ``values``
(centered, 0 where missing), ``mask`` (1 where observed) and ``squares`` of the values,
each with the two products of `Matrix`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from sklearn import get_config

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._columns import Columns
from sklearn_gmmcf.data._patterns import Pattern
from sklearn_gmmcf.data._products import Matrix

if TYPE_CHECKING:
    from sklearn_gmmcf.data._observed import Observed

# Where rows are worked on together, many should meet in a block.
LARGE_BLOCK_BYTES = 2**24
# Arrays of the size of a block that work on it may need.
_ARRAYS_PER_BLOCK = 16


def limit_to_working_memory(n_bytes: int) -> int:
    """Bytes of a block, so that work on it stays within scikit-learn's setting."""
    working_memory = int(get_config()["working_memory"] * 2**20)
    return min(n_bytes, working_memory // _ARRAYS_PER_BLOCK)


class Block(ABC):
    """Consecutive rows of the data, made for one pass and dropped after it."""

    rows: slice
    shape: tuple[int, int]
    # Largest mean^2 / (2 variance) for which x^2 - 2 x mean + mean^2 keeps half of the
    # significant digits.
    max_cancellation: float
    weights: Array  # (n,)
    counts: Array  # (n,), how many entries each row has observed
    squared_norms: Array  # (n,), sums of the squared values of each row
    covariates: Array  # (p, n), of mean 0 and variance 1; 0 where missing
    values: Matrix
    mask: Matrix

    @property
    @abstractmethod
    def squares(self) -> Matrix:
        """The squared values."""

    @abstractmethod
    def centered_at(self, point: Array) -> tuple[Matrix, Matrix]:
        """Values less a point (d,), and their squares, in double precision.

        For components whose spread is small relative to their distance from 0, where
        the expanded square cancels.
        """

    @abstractmethod
    def distances_to(self, centers: Array, labels: Array) -> Array:
        """Squared distances (n,) of rows to those centers (K, d) that labels name."""

    @abstractmethod
    def sum_by(self, labels: Array, n_labels: int) -> tuple[Array, Array]:
        """Weighted counts and sums of values (K, d) of the rows with each label."""

    @abstractmethod
    def dense(self) -> tuple[Array, Array]:
        """Values, 0 where missing, and mask, both (n, d)."""

    @abstractmethod
    def patterns(self) -> list[Pattern]:
        """The rows grouped by their missing entries."""

    @abstractmethod
    def remember(self, name: str, owner: Any, make: Callable[[], Any]) -> Any:
        """Something of the block that never changes, or not before its owner does.

        It is made in each pass, or once where the data are kept for many.
        """

    @abstractmethod
    def row_keys(self, by_value: Array, by_mask: Array) -> Array:
        """Sums (n,) over the observed columns of by_value * values + by_mask.

        Equal rows get equal keys, to the last digit.
        """

    @abstractmethod
    def missing(self) -> tuple[Array, Array]:
        """Rows, counted from the first of the block, and columns not observed, (m,).

        Covariates are none of them.
        """

    @abstractmethod
    def lookup(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Raw values at some entries, and whether they are observed, both (m,).

        Covariates are returned as they are, missing ones too.
        """

    @abstractmethod
    def restore(self, completed: Array, value: float | None = None) -> None:
        """Write the observed raw values, or ``value`` in their place, into (n, d).

        Covariates are written as they are, missing ones too.
        """


class RowArray(NamedTuple):
    """An array with one entry or vector for each row, to be made block by block."""

    width: tuple[int, ...]  # shape of a row's part
    dtype: np.dtype[Any]


class Blocks(ABC):
    """A matrix with missing entries, worked on block by block, wherever it lies."""

    shape: tuple[int, int]  # without the rows of weight 0
    dtype: np.dtype[Any]
    columns: Columns
    weights: Array  # (n,)
    is_lazy: bool  # whether `row_arrays` are lazy
    is_sparse: bool  # whether entries that are not stored are missing

    @abstractmethod
    def map(self, function: Callable[..., Any], *row_arrays: Array) -> Iterator[Any]:
        """Results of a function for each block, in order.

        It is called with the block and with the rows of each further array (n, ...).
        """

    @abstractmethod
    def total(self, function: Callable[..., Any], *row_arrays: Array) -> Any:
        """Sum of the results of `map`, always in the same order."""

    @abstractmethod
    def row_arrays(
        self,
        function: Callable[..., tuple[Array, ...]],
        *arrays: RowArray,
        max_rows: int | None = None,
        inputs: Sequence[Any] = (),
    ) -> tuple[Any, ...]:
        """Arrays (n, ...) filled by a function of each block.

        It is called with the block and with the rows of each of the `inputs`, arrays
        or CSR (n, ...). Blocks have at most ``max_rows`` rows.
        """

    @abstractmethod
    def at_entries(
        self,
        function: Callable[..., tuple[Array, ...]],
        entries: Sequence[Array],
        *dtypes: Any,
    ) -> tuple[Array, ...]:
        """Arrays (m,) of these dtypes, filled by a function of each block's entries.

        Parameters
        ----------
        function : callable
            Called with a block and its parts of `entries`, rows counted from the first
            of the block.
        entries : sequence of ndarray of shape (m,)
            Rows, columns and further arrays.
        """

    @abstractmethod
    def in_blocks(self, needs_patterns: bool, max_rows: int | None) -> Self:
        """The same data in the blocks that suit a family; see `Observed`."""

    @abstractmethod
    def sample(self, n_rows: int, rng: np.random.RandomState) -> Observed:
        """At least some of the rows, in memory."""

    @abstractmethod
    def take(self, rows: Array, weights: Array) -> Observed:
        """Some rows (m,), ascending, with weights (m,) of their own, in memory."""

    @abstractmethod
    def select(self, columns: Array) -> Blocks:
        """Some columns (m,), in ascending order, with the covariates among them."""

    def observed_columns(self) -> Array:
        """Indices of the columns that some row observes."""
        return np.flatnonzero(self.total(_count_entries))

    def row_groups(self) -> tuple[Array, Array]:
        """Equal rows share a group; groups are numbered in an order of their content.

        The order does not depend on where the rows stand, so that draws which follow
        it depend neither on the order of the rows nor on repetition instead of weight.

        Returns
        -------
        groups : ndarray of shape (n,)
            Group of each row.
        first : ndarray of shape (n_groups,)
            A row of each group.
        """
        # A fixed random projection orders rows as well as sorting by every column
        # does, at the cost of one product. It skips unknown columns, so that a column
        # without observations changes nothing.
        rng = np.random.default_rng(0)
        directions = np.zeros((2, self.shape[1]))
        read = self.columns.known | ~self.columns.modeled
        directions[:, read] = rng.standard_normal((int(read.sum()), 2)).T
        # Values count as much as the mask, whatever their unit and the rows' weights.
        spreads = np.sqrt(self.columns.variances)
        directions[0] /= np.where(spreads > 0, spreads, 1.0)
        keys = np.concatenate(list(self.map(lambda block: block.row_keys(*directions))))
        _, first, groups = np.unique(keys, return_index=True, return_inverse=True)
        return groups, first


def _count_entries(block: Block) -> Array:
    """Number of observed entries of each column, (d,)."""
    return block.mask.collect(np.ones((1, len(block.weights))))[0]
