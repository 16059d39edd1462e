# SPDX-License-Identifier: BSD-3-Clause
"""Kernels in numba: wide products of masks, and batches of small systems.

Import this module through `_kernels.load` only. Each function computes the same as the
code in numpy and scipy that calls it, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from sklearn_gmmcf._typing import Array

# Systems that are worked on together: a constant, so that loops over them are compiled
# to vector instructions. Shorter ones would be unrolled instead.
_LANES = 64
# Rows that are transposed together: numbers of a line of the cache.
_ROWS = 8


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        # Sums may be reordered, but NaN and infinities stay as they are.
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    }
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder for the cache can be written to
        return numba.njit(function, **options)


@_compile
def add_rows(indices: Array, first: int, last: int, B: Array, total: Array) -> None:
    """Sum of the rows ``indices[first:last]`` of B (d, K), into total (K,)."""
    K = B.shape[1]
    for k in range(K):
        total[k] = 0.0
    j = first
    while j + 8 <= last:
        b0, b1 = B[indices[j]], B[indices[j + 1]]
        b2, b3 = B[indices[j + 2]], B[indices[j + 3]]
        b4, b5 = B[indices[j + 4]], B[indices[j + 5]]
        b6, b7 = B[indices[j + 6]], B[indices[j + 7]]
        for k in range(K):
            total[k] += ((b0[k] + b1[k]) + (b2[k] + b3[k])) + (
                (b4[k] + b5[k]) + (b6[k] + b7[k])
            )
        j += 8
    while j < last:
        b0 = B[indices[j]]
        for k in range(K):
            total[k] += b0[k]
        j += 1


@_compile
def project_mask(indices: Array, indptr: Array, B: Array, out: Array) -> None:
    """Sums of rows of B (d, K) over the entries of each row, into out (K, n)."""
    n, K = len(indptr) - 1, B.shape[1]
    totals = np.empty((_ROWS, K), B.dtype)
    for start in range(0, n, _ROWS):
        width = min(_ROWS, n - start)
        for i in range(width):
            row = start + i
            add_rows(indices, indptr[row], indptr[row + 1], B, totals[i])
        for k in range(K):
            for i in range(width):
                out[k, start + i] = totals[i, k]


@_compile
def collect_mask(indices: Array, indptr: Array, R: Array, out: Array) -> None:
    """Sums of rows of R (n, K) over the entries of each column, into out (d, K)."""
    n, d = len(indptr) - 1, len(out)
    ends = np.zeros(d + 1, np.int64)
    for j in indices:
        ends[j + 1] += 1
    for j in range(d):
        ends[j + 1] += ends[j]
    free = ends[:-1].copy()
    rows = np.empty(len(indices), np.int32)
    for i in range(n):
        for j in indices[indptr[i] : indptr[i + 1]]:
            rows[free[j]] = i
            free[j] += 1
    for j in range(d):
        add_rows(rows, ends[j], ends[j + 1], R, out[j])


@_compile
def _load_lanes(systems: Array, start: int, width: int, A: Array) -> None:
    """Copy systems (., n) from `start` on; the first one fills the lanes left over."""
    for r in range(len(A)):
        for t in range(width):
            A[r, t] = systems[r, start + t]
        for t in range(width, _LANES):
            A[r, t] = A[r, 0]


@_compile
def _store_lanes(A: Array, start: int, width: int, systems: Array) -> None:
    """Write what `_load_lanes` reads."""
    for r in range(len(A)):
        for t in range(width):
            systems[r, start + t] = A[r, t]


@_compile
def _sweep_lanes(
    A: Array, q: int, log_dets: Array, column: Array, scaled: Array
) -> None:
    """Sweep systems (., lanes) in place; log-determinants are added."""
    m = q + 1
    for j in range(q):
        row = j * (j + 1) // 2
        pivot = A[row + j]
        for t in range(_LANES):
            log_dets[t] += np.log(pivot[t])
        for t in range(_LANES):
            pivot[t] = 1.0 / pivot[t]
        for c in range(j):
            for t in range(_LANES):
                column[c, t] = A[row + c, t]
        for t in range(_LANES):
            column[j, t] = 0.0
        for i in range(j + 1, m):
            for t in range(_LANES):
                column[i, t] = A[i * (i + 1) // 2 + j, t]
        for c in range(m):
            for t in range(_LANES):
                scaled[c, t] = column[c, t] * pivot[t]
        for i in range(m):
            if i == j:
                continue
            right = column[i]
            for c in range(i + 1):
                target, left = A[i * (i + 1) // 2 + c], scaled[c]
                for t in range(_LANES):
                    target[t] -= left[t] * right[t]
        for c in range(j):
            for t in range(_LANES):
                A[row + c, t] = scaled[c, t]
        for i in range(j + 1, m):
            for t in range(_LANES):
                A[i * (i + 1) // 2 + j, t] = scaled[i, t]
        for t in range(_LANES):
            pivot[t] = -pivot[t]


@_compile
def sweep(bordered: Array, q: int, log_dets: Array) -> None:
    """`sklearn_gmmcf.covariance._triangles.sweep`, into log_dets (n,)."""
    n, m = bordered.shape[1], q + 1
    A = np.empty((len(bordered), _LANES))
    column, scaled = np.empty((m, _LANES)), np.empty((m, _LANES))
    added = np.empty(_LANES)
    for start in range(0, n, _LANES):
        width = min(_LANES, n - start)
        _load_lanes(bordered, start, width, A)
        added[:] = 0.0
        _sweep_lanes(A, q, added, column, scaled)
        for t in range(width):
            log_dets[start + t] = added[t]
        _store_lanes(A, start, width, bordered)


@_compile
def eliminate(triangles: Array, n_pivots: int, q: int, log_dets: Array) -> None:
    """`sklearn_gmmcf.covariance._triangles._eliminate`; log-determinants are added."""
    n = triangles.shape[1]
    A, column = np.empty((len(triangles), _LANES)), np.empty((q, _LANES))
    scale = np.empty(_LANES)
    for start in range(0, n, _LANES):
        width = min(_LANES, n - start)
        _load_lanes(triangles, start, width, A)
        for j in range(n_pivots):
            pivot = A[j * (j + 1) // 2 + j]
            for t in range(width):
                log_dets[start + t] += np.log(pivot[t])
            for i in range(j + 1, q):
                for t in range(_LANES):
                    column[i, t] = A[i * (i + 1) // 2 + j, t]
            for i in range(j + 1, q):
                for t in range(_LANES):
                    scale[t] = column[i, t] / pivot[t]
                for c in range(j + 1, i + 1):
                    target, left = A[i * (i + 1) // 2 + c], column[c]
                    for t in range(_LANES):
                        target[t] -= left[t] * scale[t]
        _store_lanes(A, start, width, triangles)


@_compile
def _fill_identity(A: Array, q: int) -> None:
    """Identities in all lanes, for those that have no system of their own."""
    A[:] = 0.0
    for i in range(q):
        A[i * (i + 1) // 2 + i] = 1.0


@_compile
def _store_solution(
    A: Array, n_pairs: int, start: int, width: int, solved: Array
) -> None:
    """Write inverses, which a sweep negates, and what is below them."""
    for row in range(n_pairs):
        for t in range(width):
            solved[row, start + t] = -A[row, t]
    for row in range(n_pairs, len(A)):
        for t in range(width):
            solved[row, start + t] = A[row, t]


@_compile
def _assemble_factors(
    evidence: Array,
    shifts: Array,
    squares: Array,
    prior_means: Array,
    rows: tuple[int, int],
    scale: float,
    precision: Array,
    factor_mean: Array,
    A: Array,  # (Q + r + 1, lanes)
    means: Array,  # (r, lanes)
) -> None:
    """Bordered systems of the factors of some rows."""
    r, (start, stop) = len(factor_mean), rows
    n_pairs, width, inverse = r * (r + 1) // 2, stop - start, 1.0 / scale
    for i in range(r):
        for c in range(i + 1):
            row, term = i * (i + 1) // 2 + c, precision[i, c]
            for t in range(width):
                A[row, t] = evidence[row, start + t] * inverse + term
        for t in range(width):
            means[i, t] = factor_mean[i] + prior_means[i, start + t]
    corner = A[n_pairs + r]
    for t in range(width):
        corner[t] = squares[start + t] * inverse
    for i in range(r):
        target = A[n_pairs + i]
        target[:] = 0.0
        for c in range(r):
            term = precision[i, c]
            for t in range(_LANES):
                target[t] += term * means[c, t]
        for t in range(width):
            corner[t] += means[i, t] * target[t]
            target[t] += shifts[i, start + t] * inverse


@_compile
def infer_factors(
    evidence: Array,  # (Q, n)
    shifts: Array,  # (r, n)
    squares: Array,  # (n,)
    prior_means: Array,  # (r, n)
    first: int,
    scale: float,
    precision: Array,  # (r, r)
    factor_mean: Array,  # (r,)
    solved: Array,  # (Q + r + 1, m), of the rows from `first` on
    log_dets: Array,  # (m,)
) -> None:
    """Covariances and means of factors, and quadratic forms, of rows of a component."""
    r, m = len(factor_mean), solved.shape[1]
    n_pairs = r * (r + 1) // 2
    A = np.zeros((n_pairs + r + 1, _LANES))
    column, scaled = np.empty((r + 1, _LANES)), np.empty((r + 1, _LANES))
    means, added = np.zeros((r, _LANES)), np.empty(_LANES)
    for start in range(0, m, _LANES):
        width = min(_LANES, m - start)
        if width < _LANES:
            _fill_identity(A, r)
        rows = first + start, first + start + width
        _assemble_factors(
            evidence,
            shifts,
            squares,
            prior_means,
            rows,
            scale,
            precision,
            factor_mean,
            A,
            means,
        )
        added[:] = 0.0
        _sweep_lanes(A, r, added, column, scaled)
        for t in range(width):
            log_dets[start + t] = added[t]
        _store_solution(A, n_pairs, start, width, solved)


@_compile
def sum_moments(
    solved: Array,  # (Q + r + 1, m), covariances and means of factors
    evidence: Array,  # (Q, n)
    first: int,
    shares: Array,  # (m,)
    inverse_scale: float,
    sums: Array,  # (Q + r + 1, n), weighted second moments of (z, 1), added to
    moments: Array,  # (Q,), added to
    traces: Array,  # (m,), of the evidence times the second moments
) -> None:
    """Sums over rows of the second moments of factors, for a component."""
    m = solved.shape[1]
    r = len(sums) - 1 - len(evidence)
    n_pairs = len(evidence)
    z = solved[n_pairs:]
    for start in range(0, m, _LANES):
        width = min(_LANES, m - start)
        for t in range(width):
            traces[start + t] = 0.0
        for i in range(r):
            for c in range(i + 1):
                row = i * (i + 1) // 2 + c
                twice = 1.0 if i == c else 2.0
                total = 0.0
                for t in range(start, start + width):
                    moment = solved[row, t] + z[i, t] * z[c, t]
                    weighted = shares[t] * moment
                    total += weighted
                    sums[row, first + t] += inverse_scale * weighted
                    traces[t] += twice * evidence[row, first + t] * moment
                moments[row] += total
        for i in range(r):
            for t in range(start, start + width):
                sums[n_pairs + i, first + t] += inverse_scale * shares[t] * z[i, t]
        for t in range(start, start + width):
            sums[n_pairs + r, first + t] += inverse_scale * shares[t]


@_compile
def solve_loadings(
    moments: Array,  # (Q, d)
    factors: Array,  # (q, d)
    noise: Array,  # (d,)
    precisions: Array,  # (q, d)
    pulls: Array,  # (q, d), precisions times prior means
    solved: Array,  # (Q + q + 1, d)
    log_dets: Array,  # (d,)
) -> None:
    """Covariances and means of loadings, and quadratic forms, of columns."""
    q, d = factors.shape
    n_pairs = len(moments)
    A = np.zeros((n_pairs + q + 1, _LANES))
    column, scaled = np.empty((q + 1, _LANES)), np.empty((q + 1, _LANES))
    inverse, added = np.empty(_LANES), np.empty(_LANES)
    for start in range(0, d, _LANES):
        width = min(_LANES, d - start)
        if width < _LANES:
            _fill_identity(A, q)
        for t in range(width):
            inverse[t] = 1.0 / noise[start + t]
        for row in range(n_pairs):
            for t in range(width):
                A[row, t] = moments[row, start + t] * inverse[t]
        for i in range(q):
            diagonal, border = A[i * (i + 1) // 2 + i], A[n_pairs + i]
            for t in range(width):
                diagonal[t] += precisions[i, start + t]
                border[t] = factors[i, start + t] * inverse[t] + pulls[i, start + t]
        A[n_pairs + q] = 0.0
        added[:] = 0.0
        _sweep_lanes(A, q, added, column, scaled)
        _store_solution(A, n_pairs, start, width, solved)
        for t in range(width):
            log_dets[start + t] = added[t]


@_compile
def invert_systems(
    matrix: Array,  # (d, d)
    columns: Array,  # (q, n)
    right: Array,  # (q, n)
    inverses: Array,  # (Q, n)
    solutions: Array,  # (q, n)
    quadratic: Array,  # (n,)
    log_dets: Array,  # (n,)
) -> None:
    """`Systems.invert_stack` for one matrix."""
    q, n = columns.shape
    n_pairs = q * (q + 1) // 2
    A = np.empty((n_pairs + q + 1, _LANES))
    column, scaled = np.empty((q + 1, _LANES)), np.empty((q + 1, _LANES))
    added = np.empty(_LANES)
    for start in range(0, n, _LANES):
        width = min(_LANES, n - start)
        if width < _LANES:
            _fill_identity(A, q)
        for i in range(q):
            for c in range(i + 1):
                target = A[i * (i + 1) // 2 + c]
                for t in range(width):
                    target[t] = matrix[columns[i, start + t], columns[c, start + t]]
        for i in range(q):
            for t in range(width):
                A[n_pairs + i, t] = right[i, start + t]
        A[n_pairs + q] = 0.0
        added[:] = 0.0
        _sweep_lanes(A, q, added, column, scaled)
        for row in range(n_pairs):
            for t in range(width):
                inverses[row, start + t] = -A[row, t]
        for i in range(q):
            for t in range(width):
                solutions[i, start + t] = A[n_pairs + i, t]
        for t in range(width):
            quadratic[start + t] = -A[n_pairs + q, t]
            log_dets[start + t] = added[t]


@_compile
def take_columns(arrays: Array, columns: Array, taken: Array) -> None:
    """Copy the columns (q, n) of arrays (K, d, n) to (K, q, n)."""
    q, n = columns.shape
    for k in range(len(arrays)):
        for i in range(q):
            for t in range(n):
                taken[k, i, t] = arrays[k, columns[i, t], t]


@_compile
def put_columns(arrays: Array, columns: Array, values: Array) -> None:
    """Write what `take_columns` reads."""
    q, n = columns.shape
    for k in range(len(arrays)):
        for i in range(q):
            for t in range(n):
                arrays[k, columns[i, t], t] = values[k, i, t]


@_compile
def scatter_systems(
    columns: Array, triangles: Array, weights: Array, total: Array
) -> None:
    """Weighted sum of triangles (Q, n) of columns (q, n), into total (d, d)."""
    q, n = columns.shape
    for i in range(q):
        for c in range(i + 1):
            row = i * (i + 1) // 2 + c
            for t in range(n):
                first, second = columns[i, t], columns[c, t]
                term = triangles[row, t] * weights[t]
                total[first, second] += term
                if i != c:
                    total[second, first] += term
