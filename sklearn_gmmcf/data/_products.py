"""Matrices of a block, dense or sparse, known by the two products that EM needs.

Weights ``W`` are (K, d), responsibilities ``R`` are (K, n)::

    project(W)    (K, d) -> (K, n)    sums over the columns
    collect(R)    (K, n) -> (K, d)    sums over the rows

Products run in the dtype of the matrix, unless asked to sum in double precision, and
return double precision.
"""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from sklearn_gmmcf import _kernels
from sklearn_gmmcf._typing import Array

# Narrower products of sparse masks are as fast in scipy.
_MIN_WIDTH = 16


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


class Sparse:
    """Rows in compressed storage (data, indices, indptr)."""

    def __init__(self, data: Array, indices: Array, indptr: Array, d: int) -> None:
        self.shape = (len(indptr) - 1, d)
        self.stored = data, indices, indptr

    # For few entries, to make these takes longer than their products.
    @cached_property
    def array(self) -> sparse.csr_array:
        return compressed(sparse.csr_array, self.shape, *self.stored)

    @cached_property
    def transpose(self) -> sparse.csc_array:
        return compressed(sparse.csc_array, self.shape[::-1], *self.stored)

    # scipy multiplies fastest by C-ordered (d, K) and (n, K); all else here is (K, n).
    def project(self, W: Array, *, in_double: bool = False) -> Array:
        W, scale = _to_range(W, np.dtype(np.float64) if in_double else self.array.dtype)
        product = (self.array @ np.asarray(W.T, order="C")).T
        return np.ascontiguousarray(_rescale(product, scale))

    def collect(self, R: Array) -> Array:
        R, scale = _to_range(R, self.array.dtype)
        return _rescale((self.transpose @ np.ascontiguousarray(R.T)).T, scale)

    def row_sums(self) -> Array:
        """Sum of each row, (n,)."""
        return self.array @ np.ones(self.array.shape[1])


class SparseMask(Sparse):
    """Ones in compressed storage."""

    def project(self, W: Array, *, in_double: bool = False) -> Array:
        kernels = self._load_kernels(len(W))
        if kernels is None:
            return super().project(W, in_double=in_double)
        W, scale = _to_range(W, np.dtype(np.float64) if in_double else self.array.dtype)
        product = np.empty((len(W), self.array.shape[0]), dtype=W.dtype)
        array, B = self.array, np.ascontiguousarray(W.T)
        kernels.project_mask(array.indices, array.indptr, B, product)
        return _rescale(product, scale)

    def collect(self, R: Array) -> Array:
        kernels = self._load_kernels(len(R))
        if kernels is None:
            return super().collect(R)
        R, scale = _to_range(R, self.array.dtype)
        array, B = self.array, np.ascontiguousarray(R.T)
        product = np.empty((array.shape[1], len(R)), dtype=R.dtype)
        kernels.collect_mask(array.indices, array.indptr, B, product)
        return _rescale(product.T, scale)

    def _load_kernels(self, width: int) -> ModuleType | None:
        n_operations = width * len(self.array.indices)
        return _kernels.load(n_operations) if width >= _MIN_WIDTH else None


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
