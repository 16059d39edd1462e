"""Many small systems at once: those of submatrices that differ from row to row.

The rows are the last axis, so that each step of an elimination is one product over all
of them. Symmetric matrices are their lower triangles by rows, (q (q + 1) / 2, n).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from sklearn_gmmcf._typing import Array

# Larger systems are faster one by one in LAPACK than swept together.
_LARGEST_SWEEP = 32


class Systems:
    """The (q, q) systems of a pattern's rows, in some of their columns."""

    def __init__(self, columns: Array, d: int) -> None:
        self.columns = columns  # (q, P)
        self.d = d

    @cached_property
    def places(self) -> Array:
        """Those of the lower triangles in a flat (d, d) matrix, (q (q + 1) / 2, P)."""
        first, second = np.tril_indices(len(self.columns))
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
        if n_systems > 1 and q <= _LARGEST_SWEEP:
            n_entries = q * (q + 1) // 2
            bordered = np.empty((n_entries + q + 1, n_systems))
            np.take(matrix.ravel(), self.places, out=bordered[:n_entries])
            bordered[n_entries:-1] = right
            bordered[-1] = 0.0
            log_dets = sweep(bordered, q)
            inverses = np.negative(bordered[:n_entries], out=bordered[:n_entries])
            return inverses, bordered[n_entries:-1], -bordered[-1], log_dets
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
        first, second = np.tril_indices(q)
        return inverses[:, first, second].T, solutions, quadratic, log_dets

    def scatter(self, triangles: Array, weights: Array) -> Array:
        """Weighted sum of the systems' lower triangles (., P), as a (d, d) matrix."""
        terms = (triangles * weights).ravel()
        lower = np.bincount(self.places.ravel(), terms, minlength=self.d**2)
        lower = lower.reshape(self.d, self.d)
        return lower + np.tril(lower, -1).T

    def unpack(self, triangles: Array) -> Array:
        """Lower triangles (., P) as symmetric matrices (P, q, q)."""
        q, n_systems = self.columns.shape
        first, second = np.tril_indices(q)
        matrices = np.empty((n_systems, q, q))
        matrices[:, first, second] = matrices[:, second, first] = triangles.T
        return matrices

    def take(self, array: Array) -> Array:
        """The columns' rows of a (d, n) array: (q, n)."""
        if self.columns.shape[1] == 1:
            return array[self.columns[:, 0]]
        return np.take_along_axis(array, self.columns, axis=0)

    def put(self, array: Array, values: Array | float) -> None:
        """Write what `take` would read."""
        if self.columns.shape[1] == 1:
            array[self.columns[:, 0]] = values
        else:
            np.put_along_axis(array, self.columns, values, axis=0)


def sweep(bordered: Array, q: int) -> Array:
    """Sweep the first q pivots of symmetric positive definite matrices, in place.

    Each column of `bordered` is the lower triangle of [[A, b], [b^T, 0]] by rows, and
    becomes that of [[-A^-1, A^-1 b], [., -b^T A^-1 b]].

    Returns
    -------
    log_dets : ndarray of shape (n,)
        Log-determinants of A.
    """
    n_rows, n = q + 1, bordered.shape[1]
    starts = [i * (i + 1) // 2 for i in range(n_rows + 1)]
    rows = [bordered[starts[i] : starts[i + 1]] for i in range(n_rows)]
    column, scaled, product = np.empty((3, n_rows, n))
    log_dets = np.zeros(n)
    for j in range(q):
        pivot = rows[j][j]
        log_dets += np.log(pivot)
        inverse = 1 / pivot
        column[:j] = rows[j][:j]
        column[j] = 0.0  # the pivot's own place is written at the end of the step
        for i in range(j + 1, n_rows):
            column[i] = rows[i][j]
        np.multiply(column, inverse, out=scaled)
        for i in range(n_rows):
            if i != j:
                part = np.multiply(scaled[: i + 1], column[i], out=product[: i + 1])
                rows[i] -= part
        rows[j][:j] = scaled[:j]
        for i in range(j + 1, n_rows):
            rows[i][j] = scaled[i]
        np.negative(inverse, out=pivot)
    return log_dets
