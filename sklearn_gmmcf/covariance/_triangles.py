# SPDX-License-Identifier: BSD-3-Clause
"""Packed symmetric matrices, and many small systems at once.

Symmetric matrices (q, q) are their lower triangles by rows, with the matrices of
different rows or columns of the data along the last axis: (q (q + 1) / 2, n). So each
step of an elimination is one product over all of them.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np

from sklearn_gmmcf import _kernels
from sklearn_gmmcf._typing import Array

# Larger systems are faster one by one in LAPACK than swept together.
_MAX_SWEEP = 32
# What the calls of LAPACK for one small system cost, in operations of a kernel.
_LAPACK_OPERATIONS = 2**16


def n_packed(q: int) -> int:
    """Number of entries of a lower triangle."""
    return q * (q + 1) // 2


def diagonal_indices(q: int) -> Array:
    """Where the diagonal stands in a lower triangle."""
    i = np.arange(q)
    return i * (i + 3) // 2


def lower_indices(q: int) -> tuple[Array, Array]:
    """Rows and columns of the entries of a lower triangle, by rows."""
    return _small_lower_indices(q) if q <= _MAX_SWEEP else np.tril_indices(q)


@cache
def _small_lower_indices(q: int) -> tuple[Array, Array]:
    # In fits on small data, making them anew takes a tenth of the time.
    indices = np.tril_indices(q)
    for each in indices:
        each.flags.writeable = False
    return indices


def multiplicities(q: int) -> Array:
    """How often each entry of a lower triangle stands in the matrix."""
    first, second = lower_indices(q)
    return np.where(first == second, 1.0, 2.0)


def double_off_diagonal(triangles: Array) -> Array:
    """Triangles whose inner products with others equal the traces of products."""
    return triangles * multiplicities(_order(triangles))[:, None]


def packed_outer(vectors: Array) -> Array:
    """Triangles of the outer products of vectors (q, n) with themselves."""
    first, second = lower_indices(len(vectors))
    return vectors[first] * vectors[second]


def add_packed_outer(triangles: Array, vectors: Array) -> Array:
    """Add the outer products of vectors (q, n) to triangles, in place."""
    start = 0
    for i, vector in enumerate(vectors):
        triangles[start : start + i + 1] += vectors[: i + 1] * vector
        start += i + 1
    return triangles


def pack(matrix: Array) -> Array:
    """The triangle of one matrix (q, q)."""
    return matrix[lower_indices(len(matrix))]


def multiply_packed(triangles: Array, vectors: Array) -> Array:
    """Products (q, n) of triangles (., n) or (., 1) with vectors (q, n)."""
    products = np.zeros_like(vectors)
    start = 0
    for i, vector in enumerate(vectors):
        row = triangles[start : start + i + 1]
        products[i] += (row * vectors[: i + 1]).sum(axis=0)
        products[:i] += row[:i] * vector
        start += i + 1
    return products


def unpack(triangles: Array) -> Array:
    """Triangles (., n) as symmetric matrices (n, q, q)."""
    q = _order(triangles)
    first, second = lower_indices(q)
    matrices = np.empty((triangles.shape[1], q, q))
    matrices[:, first, second] = matrices[:, second, first] = triangles.T
    return matrices


def _order(triangles: Array) -> int:
    return int(np.sqrt(2 * len(triangles)))


def lift_eigenvalues(matrices: Array, floor: Array | float) -> Array:
    """Symmetric matrices (n, q, q) with eigenvalues of at least floors (n, 1)."""
    # With the largest variances first, rounding errors stay small beside the smallest
    # eigenvalues, too.
    order = np.argsort(-np.diagonal(matrices, axis1=1, axis2=2), axis=1, kind="stable")
    descending = np.take_along_axis(matrices, order[:, :, None], axis=1)
    descending = np.take_along_axis(descending, order[:, None], axis=2)
    values, sorted_vectors = np.linalg.eigh(descending)
    vectors = np.empty_like(sorted_vectors)
    np.put_along_axis(vectors, order[:, :, None], sorted_vectors, axis=1)
    roots = vectors * np.sqrt(np.maximum(floor - values, 0.0))[:, None]
    return matrices + roots @ np.swapaxes(roots, 1, 2)


class Systems:
    """The (q, q) systems of a pattern's rows, in some of their columns."""

    def __init__(self, columns: Array, d: int) -> None:
        self.columns = columns  # (q, P)
        self.d = d

    @cached_property
    def flat_indices(self) -> Array:
        """Where the lower triangles stand in a flat (d, d) matrix, (., P)."""
        first, second = lower_indices(len(self.columns))
        return self.columns[first] * self.d + self.columns[second]

    def invert(self, matrix: Array, right: Array) -> tuple[Array, Array, Array, Array]:
        """Invert submatrices of a (d, d) matrix and solve them for `right` (q, n).

        Returns
        -------
        inverses : ndarray of shape (q (q + 1) / 2, P)
            Lower triangles.
        solutions : ndarray of shape (q, n)
        quadratic : ndarray of shape (n,)
            Products of `right` with the solutions.
        log_dets : ndarray of shape (P,)
            Log-determinants of the submatrices.
        """
        q, n_systems = self.columns.shape
        if n_systems > 1 and q <= _MAX_SWEEP:
            stacks = self.invert_stack(matrix[None], right[None])
            inverses, solutions, quadratic, log_dets = (each[0] for each in stacks)
            return inverses, solutions, quadratic, log_dets
        kernels = _kernels.load(_LAPACK_OPERATIONS) if q <= _MAX_SWEEP else None
        if kernels is not None and self.is_shared:
            triangle = np.empty((n_packed(q), 1))
            nothing, log_det = np.zeros((q, 1)), np.empty(1)
            kernels.invert_systems(
                matrix, self.columns, nothing, triangle, nothing, np.empty(1), log_det
            )
            solutions = unpack(triangle)[0] @ right
            quadratic = np.einsum("in,in->n", right, solutions)
            return triangle, solutions, quadratic, log_det
        columns = self.columns.T  # (P, q)
        blocks = matrix[columns[:, :, None], columns[:, None]]  # (P, q, q)
        factors = np.linalg.cholesky(blocks)
        log_dets = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        inverses = np.linalg.inv(blocks)
        if n_systems == 1:
            solutions = inverses[0] @ right
        else:
            solutions = np.einsum("nij,jn->in", inverses, right)
        quadratic = np.einsum("in,in->n", right, solutions)
        first, second = lower_indices(q)
        return inverses[:, first, second].T, solutions, quadratic, log_dets

    def invert_stack(
        self, matrices: Array, right: Array
    ) -> tuple[Array, Array, Array, Array]:
        """`invert` for matrices (K, d, d) and right (K, q, n) together.

        Returns
        -------
        inverses : ndarray of shape (K, q (q + 1) / 2, n)
        solutions : ndarray of shape (K, q, n)
        quadratic : ndarray of shape (K, n)
        log_dets : ndarray of shape (K, n)
        """
        K, q, n = right.shape
        if q > _MAX_SWEEP:
            pairs = zip(matrices, right, strict=True)
            inverted = zip(*(self.invert(*pair) for pair in pairs), strict=True)
            return tuple(np.stack(each) for each in inverted)  # type: ignore[return-value]
        n_entries = n_packed(q)
        kernels = _kernels.load(K * n * q**3)
        if kernels is not None:
            solved = [np.empty((K, size, n)) for size in (n_entries, q)]
            solved += [np.empty((K, n)) for _ in range(2)]
            for k, matrix in enumerate(matrices):
                outputs = (each[k] for each in solved)
                kernels.invert_systems(matrix, self.columns, right[k], *outputs)
            return tuple(solved)  # type: ignore[return-value]
        bordered = np.empty((n_entries + q + 1, K, n))
        flat = matrices.reshape(K, -1)
        for k in range(K):
            np.take(flat[k], self.flat_indices, out=bordered[:n_entries, k])
        bordered[n_entries:-1] = np.swapaxes(right, 0, 1)
        bordered[-1] = 0.0
        log_dets = sweep(bordered.reshape(-1, K * n), q).reshape(K, n)
        inverses, solutions = bordered[:n_entries], bordered[n_entries:-1]
        np.negative(inverses, out=inverses)
        return (
            np.swapaxes(inverses, 0, 1),
            np.swapaxes(solutions, 0, 1),
            -bordered[-1],
            log_dets,
        )

    def scatter(self, triangles: Array, weights: Array) -> Array:
        """Weighted sum of the systems' lower triangles (., P), as a (d, d) matrix."""
        if self.is_shared:
            total, columns = np.zeros((self.d, self.d)), self.columns[:, 0]
            total[columns[:, None], columns] = unpack(triangles * weights.sum())[0]
            return total
        kernels = _kernels.load(self.d * len(self.columns) * triangles.shape[1])
        if kernels is not None:
            total = np.zeros((self.d, self.d))
            kernels.scatter_systems(self.columns, triangles, weights, total)
            return total
        terms = (triangles * weights).ravel()
        lower = np.bincount(self.flat_indices.ravel(), terms, minlength=self.d**2)
        lower = lower.reshape(self.d, self.d)
        return lower + np.tril(lower, -1).T

    @property
    def is_shared(self) -> bool:
        """Whether all rows have the same columns."""
        return self.columns.shape[1] == 1

    def take_stack(self, arrays: Array) -> Array:
        """`take` of arrays (K, d, n), of rows with columns of their own: (K, q, n)."""
        kernels = _kernels.load(len(arrays) * self.columns.size)
        if kernels is None:
            return np.take_along_axis(arrays, self.columns[None], axis=1)
        taken = np.empty((len(arrays), *self.columns.shape))
        kernels.take_columns(arrays, self.columns, taken)
        return taken

    def put_stack(self, arrays: Array, values: Array | float) -> None:
        """Write what `take_stack` would read."""
        shape = len(arrays), *self.columns.shape
        kernels = _kernels.load(len(arrays) * self.columns.size)
        if kernels is None:
            np.put_along_axis(arrays, self.columns[None], values, axis=1)
        else:
            kernels.put_columns(arrays, self.columns, np.broadcast_to(values, shape))

    def take(self, array: Array) -> Array:
        """The columns' rows of a (d, n) array: (q, n)."""
        if self.is_shared:
            return array[self.columns[:, 0]]
        return self.take_stack(array[None])[0]

    def put(self, array: Array, values: Array | float) -> None:
        """Write what `take` would read."""
        if self.is_shared:
            array[self.columns[:, 0]] = values
        elif isinstance(values, float):
            self.put_stack(array[None], values)
        else:
            self.put_stack(array[None], values[None])


def condition(
    matrix: Array, given: Array, free: Array, right: Array
) -> tuple[Array, Array, Array, Array]:
    """Condition Gaussians with a covariance matrix (d, d) on some columns.

    By elimination, which is stable for matrices of any condition: each result is that
    of a matrix that differs from the given one by rounding errors.

    Parameters
    ----------
    matrix : ndarray of shape (d, d)
        With a unit diagonal.
    given, free : ndarray of shape (p, P) and (q, P)
        The columns to condition on, and the others, for each of P systems.
    right : ndarray of shape (p, n)
        Values of the given columns, with n = P or P = 1.

    Returns
    -------
    covariances : ndarray of shape (q (q + 1) / 2, P)
        Conditional covariances of the free columns, lower triangles.
    means : ndarray of shape (q, n)
    quadratic : ndarray of shape (n,)
        Squared Mahalanobis lengths of the given values.
    log_dets : ndarray of shape (P,)
        Log-determinants of the covariances of the given columns.
    """
    (p, n_systems), q = given.shape, len(free)
    if n_systems > 1 and p + q <= _MAX_SWEEP:
        order = np.concatenate([given, free])
        first, second = lower_indices(p + q)
        n_entries = n_packed(p + q)
        bordered = np.empty((n_entries + p + q + 1, n_systems))
        flat_indices = order[first] * len(matrix) + order[second]
        np.take(matrix.ravel(), flat_indices, out=bordered[:n_entries])
        bordered[n_entries : n_entries + p] = right
        bordered[n_entries + p :] = 0.0
        log_dets = _eliminate(bordered, p, p + q + 1)
        # Of each later row the entries from column p on.
        *rest, border = (
            bordered[n_packed(i) + p : n_packed(i + 1)] for i in range(p, p + q + 1)
        )
        return np.concatenate(rest), -border[:-1], -border[-1], log_dets
    given, free = given.T, free.T
    roots = np.linalg.cholesky(matrix[given[:, :, None], given[:, None]])
    across = matrix[given[:, :, None], free[:, None]]
    values = right.T[:, :, None] if n_systems > 1 else right[None]
    solved = np.linalg.solve(roots, np.concatenate([across, values], axis=2))
    across, values = solved[:, :, :q], solved[:, :, q:]
    covariances = matrix[free[:, :, None], free[:, None]]
    covariances = covariances - np.swapaxes(across, 1, 2) @ across
    means = np.swapaxes(across, 1, 2) @ values
    means = means[:, :, 0].T if n_systems > 1 else means[0]
    quadratic = (values**2).sum(axis=1).ravel()
    log_dets = 2 * np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    first, second = lower_indices(q)
    return covariances[:, first, second].T, means, quadratic, log_dets


def _eliminate(triangles: Array, n_pivots: int, q: int) -> Array:
    """Eliminate the first rows of symmetric matrices (q, q) from the others, in place.

    Returns
    -------
    log_dets : ndarray of shape (n,)
        Sums of the logarithms of the pivots.
    """
    n = triangles.shape[1]
    kernels = _kernels.load(n * n_pivots * q**2)
    if kernels is not None:
        log_dets = np.zeros(n)
        kernels.eliminate(triangles, n_pivots, q, log_dets)
        return log_dets
    rows = [triangles[n_packed(i) : n_packed(i + 1)] for i in range(q)]
    column, product = np.empty((2, q, n))
    log_dets = np.zeros(n)
    for j in range(n_pivots):
        pivot = rows[j][j]
        log_dets += np.log(pivot)
        for i in range(j + 1, q):
            column[i] = rows[i][j]
        for i in range(j + 1, q):
            scale = column[i] / pivot
            rest = slice(j + 1, i + 1)
            rows[i][rest] -= np.multiply(column[rest], scale, out=product[rest])
    return log_dets


def sweep(bordered: Array, q: int) -> Array:
    """Sweep the first q pivots of symmetric positive definite matrices, in place.

    Each column of `bordered` is the lower triangle of [[A, b], [b^T, 0]] by rows, and
    becomes the triangle of [[-A^-1, A^-1 b], [., -b^T A^-1 b]].

    Returns
    -------
    log_dets : ndarray of shape (n,)
        Log-determinants of A.
    """
    n_rows, n = q + 1, bordered.shape[1]
    kernels = _kernels.load(n * q**3)
    if kernels is not None:
        log_dets = np.zeros(n)
        kernels.sweep(bordered, q, log_dets)
        return log_dets
    starts = [i * (i + 1) // 2 for i in range(n_rows + 1)]
    rows = [bordered[starts[i] : starts[i + 1]] for i in range(n_rows)]
    column, scaled, product = np.empty((3, n_rows, n))
    log_dets = np.zeros(n)
    for j in range(q):
        pivot = rows[j][j]
        log_dets += np.log(pivot)
        inverse = 1 / pivot
        column[:j] = rows[j][:j]
        column[j] = 0.0  # the pivot itself is written at the end of the step
        for i in range(j + 1, n_rows):
            column[i] = rows[i][j]
        np.multiply(column, inverse, out=scaled)
        for i in range(n_rows):
            if i != j:
                rows[i] -= np.multiply(scaled[: i + 1], column[i], out=product[: i + 1])
        rows[j][:j] = scaled[:j]
        for i in range(j + 1, n_rows):
            rows[i][j] = scaled[i]
        np.negative(inverse, out=pivot)
    return log_dets
