# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of a block, dense or sparse, known by the two products that EM needs.

Weights ``W`` are (K, d), responsibilities ``R`` are (K, n)::

    project(W)    (K, d) -> (K, n)    sums over the columns
    collect(R)    (K, n) -> (K, d)    sums over the rows

Products run in the dtype of the matrix, unless asked to sum in double precision, and
return double precision.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from sklearn_gmmcf import _kernels
from sklearn_gmmcf._typing import Array

# Narrower products of sparse masks are as fast in scipy.
_MIN_WIDTH = 16
# Products at least as wide are faster by BLAS where at least this share of a block is
# observed, without and with kernels.
_DENSE_WIDTH = 64
_DENSE_SHARES = 0.2, 0.35


class Matrix(Protocol):
    """An (n, d) matrix, known by its two products."""

    def project(self, W: Array, *, in_double: bool = False) -> Array: ...

    def collect(self, R: Array) -> Array: ...


class Dense:
    """A matrix that is stored whole."""

    def __init__(self, array: Array) -> None:
        self.array = array  # (n, d)

    def project(self, W: Array, *, in_double: bool = False) -> Array:
        array = self.array.astype(np.float64, copy=False) if in_double else self.array
        W, scale = _to_range(W, array.dtype)
        return _rescale(W @ array.T, scale)

    def collect(self, R: Array) -> Array:
        R, scale = _to_range(R, self.array.dtype)
        return _rescale(R @ self.array, scale)


class Sparsity:
    """Where the stored entries of some rows are, for matrices of several values."""

    def __init__(self, indices: Array, indptr: Array, d: int) -> None:
        self.indices, self.indptr = indices, indptr
        self.shape = len(indptr) - 1, d

    @cached_property
    def _by_rows(self) -> sparse.csr_array:
        nothing = np.empty(0)
        return compressed(
            sparse.csr_array, self.shape, nothing, self.indices, self.indptr
        )

    @cached_property
    def _by_columns(self) -> sparse.csc_array:
        nothing, shape = np.empty(0), self.shape[::-1]
        return compressed(sparse.csc_array, shape, nothing, self.indices, self.indptr)

    def matrix(self, data: Array) -> sparse.csr_array:
        """The matrix with these entries, (n, d)."""
        return _with_data(self._by_rows, data)

    def transpose(self, data: Array) -> sparse.csc_array:
        """Its transpose, (d, n)."""
        return _with_data(self._by_columns, data)


class Sparse:
    """Rows in compressed storage: values, and where they are."""

    def __init__(self, data: Array, sparsity: Sparsity) -> None:
        self.data, self.sparsity = data, sparsity

    # scipy multiplies fastest by C-ordered (d, K) and (n, K); all else here is (K, n).
    def project(self, W: Array, *, in_double: bool = False) -> Array:
        W, scale = _to_range(W, np.dtype(np.float64) if in_double else self.data.dtype)
        product = (self.sparsity.matrix(self.data) @ np.asarray(W.T, order="C")).T
        return np.ascontiguousarray(_rescale(product, scale))

    def collect(self, R: Array) -> Array:
        R, scale = _to_range(R, self.data.dtype)
        product = self.sparsity.transpose(self.data) @ np.ascontiguousarray(R.T)
        return _rescale(product.T, scale)

    def row_sums(self) -> Array:
        """Sum of each row, (n,)."""
        return self.sparsity.matrix(self.data) @ np.ones(self.sparsity.shape[1])


class SparseMask(Sparse):
    """Ones in compressed storage."""

    def project(self, W: Array, *, in_double: bool = False) -> Array:
        kernels = self._load_kernels(len(W))
        if self._is_dense(len(W), kernels):
            return self._as_dense().project(W, in_double=in_double)
        if kernels is None:
            return super().project(W, in_double=in_double)
        W, scale = _to_range(W, np.dtype(np.float64) if in_double else self.data.dtype)
        where, B = self.sparsity, np.ascontiguousarray(W.T)
        product = np.empty((len(W), where.shape[0]), dtype=W.dtype)
        kernels.project_mask(where.indices, where.indptr, B, product)
        return _rescale(product, scale)

    def collect(self, R: Array) -> Array:
        kernels = self._load_kernels(len(R))
        if self._is_dense(len(R), kernels):
            return self._as_dense().collect(R)
        if kernels is None:
            return super().collect(R)
        R, scale = _to_range(R, self.data.dtype)
        where, B = self.sparsity, np.ascontiguousarray(R.T)
        product = np.empty((where.shape[1], len(R)), dtype=R.dtype)
        kernels.collect_mask(where.indices, where.indptr, B, product)
        return _rescale(product.T, scale)

    def _load_kernels(self, width: int) -> ModuleType | None:
        n_operations = width * len(self.sparsity.indices)
        return _kernels.load(n_operations) if width >= _MIN_WIDTH else None

    def _is_dense(self, width: int, kernels: ModuleType | None) -> bool:
        n, d = self.sparsity.shape
        share = _DENSE_SHARES[kernels is not None]
        return width >= _DENSE_WIDTH and len(self.data) >= share * n * d

    def _as_dense(self) -> Dense:
        return Dense(self.sparsity.matrix(self.data).toarray())


class AllOnes:
    """The mask of a block without missing entries, whose products need no products."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def project(self, W: Array, *, in_double: bool = False) -> Array:
        return np.broadcast_to(W.sum(axis=1)[:, None], (len(W), self.shape[0]))

    def collect(self, R: Array) -> Array:
        return np.broadcast_to(R.sum(axis=1)[:, None], (len(R), self.shape[1]))


def compressed(
    kind: type, shape: tuple[int, int], data: Array, indices: Array, indptr: Array
) -> Any:
    """Compressed storage on these very arrays: the constructor copies short views."""
    array = kind(shape, dtype=data.dtype)
    array.data, array.indices, array.indptr = data, indices, indptr
    return array


def _with_data(template: Any, data: Array) -> Any:
    """The same with other values; a constructor takes twenty times as long."""
    array = copy(template)
    array.data = data
    return array


def one_hot(labels: Array, n_components: int) -> Array:
    """Responsibilities (K, n) of rows that belong to one component each."""
    return (labels == np.arange(n_components)[:, None]).astype(np.float64)


def _to_range(R: Array, dtype: np.dtype[Any]) -> tuple[Array, Array | None]:
    """R in this dtype, and factors: numbers of any scale must survive float32."""
    if R.dtype == dtype:
        return R, None
    # Powers of two divide without rounding.
    scale = np.exp2(np.frexp(np.abs(R).max(axis=1, keepdims=True))[1])
    return (R / scale).astype(dtype), scale


def _rescale(product: Array, scale: Array | None) -> Array:
    return product if scale is None else product.astype(np.float64) * scale
