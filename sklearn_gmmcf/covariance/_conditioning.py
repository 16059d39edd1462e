# SPDX-License-Identifier: BSD-3-Clause
r"""Conditional Gaussians of missing entries, for many rows at once.

With :math:`o` and :math:`m` the observed and missing columns of a row,
:math:`\Lambda = \Sigma^{-1}` and :math:`\delta = x - \mu`, the missing entries have in
each component

.. math::
    E[x_m | x_o] &= \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} \delta_o
                  = \mu_m - \Lambda_{mm}^{-1} \Lambda_{mo} \delta_o \\
    C = \mathrm{cov}[x_m | x_o]
                 &= \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}
                  = \Lambda_{mm}^{-1}

(Ghahramani and Jordan 1994). The smaller of the two systems is solved, for all rows of
a batch together, the rows last: (q, q, n) arrays.

Where columns are nearly copies of each other, the second form of the covariance is as
exact as the problem allows, but the first one subtracts nearly equal numbers with the
error of an inverse in one of them. There elimination takes its place, and means and
densities of the second form are refined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._elliptical import Measures
from sklearn_gmmcf.covariance._family import NEGLIGIBLE, check_in_range, chunks
from sklearn_gmmcf.covariance._triangles import (
    Systems,
    condition,
    diagonal_indices,
    lower_indices,
    multiply_packed,
    n_packed,
    unpack,
)
from sklearn_gmmcf.data import Block, limit_to_working_memory

# Condition numbers of the correlations above which no inverse of the covariance of
# observed entries is used, and above which no precision matrix is used at all.
_MAX_CONDITION = 1e7
_MAX_PRECISION_CONDITION = 1e12
# A variance this small relative to its column's is the rounding error of a zero.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)
# Bytes that a batch of systems may take, for all components.
_BATCH_BYTES = 2**24
_SHARED_BYTES = 2**19
# Numbers of the systems of a batch that are solved for all components together.
_MAX_STACKED_VALUES = 2**18


@dataclass(frozen=True, eq=False)
class FullParameters:
    """Weights, means and covariances, and the terms of the density made from them."""

    weights: Array  # (K,)
    means: Array  # (K, d), centered
    covariances: Array  # (K, d, d), or (1, d, d) if tied
    variances: Array  # (d,), of the columns, about their means
    cholesky: Array = field(init=False, repr=False)  # lower, as covariances
    whitening: Array = field(init=False, repr=False)  # inverses of cholesky
    precisions: Array = field(init=False, repr=False)
    log_dets: Array = field(init=False, repr=False)  # (K,) or (1,), of covariances
    scales: Array = field(init=False, repr=False)  # (K, d) or (1, d), deviations
    correlations: Array = field(init=False, repr=False)  # as covariances
    conditions: Array = field(init=False, repr=False)  # as log_dets, of correlations
    floors: Array = field(init=False, repr=False)  # as scales, under variances

    @one_blas_thread  # as in fit, so that a saved mixture comes back bit by bit
    def __post_init__(self) -> None:
        cholesky, whitening = whiten(self.covariances)
        scales = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))
        correlations = self.covariances / (scales[:, :, None] * scales[:, None])
        eigenvalues = np.linalg.eigvalsh(correlations)
        # No entry is more certain than the smallest eigenvalue allows.
        smallest = np.maximum(eigenvalues[:, :1], _ROUNDING)
        derived = {
            "cholesky": cholesky,
            "whitening": whitening,
            "precisions": precisions_from(whitening),
            "log_dets": 2 * np.log(np.diagonal(cholesky, axis1=1, axis2=2)).sum(axis=1),
            "scales": scales,
            "correlations": correlations,
            "conditions": eigenvalues[:, -1] / smallest[:, 0],
            "floors": smallest * scales**2,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.weights,
            self.means,
            self.covariances,
            self.variances,
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one pattern that are worked on together."""

    rows: Array  # (n,)
    values: Array  # (d, n), 0 where missing
    observed: Systems
    missing: Systems


@dataclass(frozen=True, eq=False)
class Conditional:
    """The rows of a batch under one component."""

    distances: Array  # (n,), squared lengths of the whitened observed entries
    log_dets: Array  # (n,), or of all rows, of the covariances of these
    residuals: Array  # (d, n), with conditional means where missing
    # Lower triangles: of the conditional covariances of the missing entries, or, where
    # fewer entries are observed, of the inverse covariances of the observed.
    inverses: Array  # (q (q + 1) / 2, P)
    from_missing: bool


def _condition_all(parameters: FullParameters, batch: Batch) -> list[Conditional]:
    """The rows of a batch under each component."""
    conditions = parameters.conditions
    n_observed, n_missing = len(batch.observed.columns), len(batch.missing.columns)
    size = len(batch.rows) * n_packed(min(n_observed, n_missing))
    if (
        1 < len(conditions) <= _MAX_STACKED_VALUES // max(size, 1)
        and not batch.missing.is_shared
        and (conditions < _MAX_CONDITION).all()
    ):
        solve = (
            _solve_missing_stack if n_missing <= n_observed else _solve_observed_stack
        )
        return solve(parameters, batch)
    components = range(len(parameters.means))
    return [_condition(parameters, k, batch) for k in components]


def _solve_missing_stack(p: FullParameters, batch: Batch) -> list[Conditional]:
    """`_solve_missing` for well-conditioned components together."""
    missing = batch.missing
    residuals = batch.values - p.means[:, :, None]  # (K, d, n)
    missing.put_stack(residuals, 0.0)
    pulls = p.precisions @ residuals
    inverses, solutions, gains, log_dets = missing.invert_stack(
        p.precisions, missing.take_stack(pulls)
    )
    log_dets += p.log_dets[:, None]
    lengths = np.stack(
        [np.einsum("dn,dn->n", *each) for each in zip(residuals, pulls, strict=True)]
    )
    lengths -= gains
    missing.put_stack(residuals, -solutions)
    return [
        Conditional(*each, from_missing=True)
        for each in zip(lengths, log_dets, residuals, inverses, strict=True)
    ]


def _solve_observed_stack(p: FullParameters, batch: Batch) -> list[Conditional]:
    """`_solve_observed` for well-conditioned components together."""
    residuals = batch.values - p.means[:, :, None]  # (K, d, n)
    observed = batch.observed.take_stack(residuals)
    inverses, solutions, lengths, log_dets = batch.observed.invert_stack(
        p.covariances, observed
    )
    weights = np.zeros_like(residuals)
    batch.observed.put_stack(weights, solutions)
    residuals = p.covariances @ weights
    batch.observed.put_stack(residuals, observed)
    return [
        Conditional(*each, from_missing=False)
        for each in zip(lengths, log_dets, residuals, inverses, strict=True)
    ]


def _condition(parameters: FullParameters, k: int, batch: Batch) -> Conditional:
    """Density and conditional moments of the rows of a batch under a component."""
    c = k % len(parameters.covariances)
    n_observed, n_missing = len(batch.observed.columns), len(batch.missing.columns)
    residuals = batch.values - parameters.means[k][:, None]
    solve = _choose_solver(parameters.conditions[c], n_observed, n_missing)
    distances, log_dets, residuals, inverses = solve(parameters, c, batch, residuals)
    return Conditional(
        distances, log_dets, residuals, inverses, solve is not _solve_observed
    )


def _choose_solver(condition: float, n_observed: int, n_missing: int) -> Solver:
    if n_missing == 0:
        return _whiten_rows
    if n_missing <= n_observed and condition < _MAX_PRECISION_CONDITION:
        return _solve_missing
    return _solve_observed if condition < _MAX_CONDITION else _eliminate_observed


# Squared lengths (n,) of rows, log-determinants of the covariances of their observed
# entries, residuals with conditional means where missing, and inverses.
Solution = tuple[Array, Array, Array, Array]
Solver = Callable[[FullParameters, int, Batch, Array], Solution]


def _whiten_rows(p: FullParameters, c: int, batch: Batch, residuals: Array) -> Solution:
    whitened = p.whitening[c] @ residuals
    lengths = np.einsum("dn,dn->n", whitened, whitened)
    return lengths, p.log_dets[c], residuals, np.empty((0, 1))


def _solve_missing(
    p: FullParameters, c: int, batch: Batch, residuals: Array
) -> Solution:
    missing = batch.missing
    missing.put(residuals, 0.0)
    pulls = p.precisions[c] @ residuals
    inverses, solutions, gains, log_dets = missing.invert(
        p.precisions[c], missing.take(pulls)
    )
    log_dets = log_dets + p.log_dets[c]
    if p.conditions[c] < _MAX_CONDITION:
        lengths = np.einsum("dn,dn->n", residuals, pulls) - gains
        missing.put(residuals, -solutions)
        return lengths, log_dets, residuals, inverses
    # The length is the least of the completed rows', which has no nearly equal terms;
    # where its slope is not 0, the conditional means are corrected.
    missing.put(residuals, -solutions)
    slopes = missing.take(p.whitening[c].T @ (p.whitening[c] @ residuals))
    missing.put(residuals, -solutions - multiply_packed(inverses, slopes))
    lengths = _whiten_rows(p, c, batch, residuals)[0]
    return lengths, log_dets, residuals, inverses


def _solve_observed(
    p: FullParameters, c: int, batch: Batch, residuals: Array
) -> Solution:
    observed = batch.observed.take(residuals)
    inverses, solutions, lengths, log_dets = batch.observed.invert(
        p.covariances[c], observed
    )
    weights = np.zeros_like(residuals)
    batch.observed.put(weights, solutions)
    residuals = p.covariances[c] @ weights
    batch.observed.put(residuals, observed)
    return lengths, log_dets, residuals, inverses


def _eliminate_observed(
    p: FullParameters, c: int, batch: Batch, residuals: Array
) -> Solution:
    given, free = batch.observed.columns, batch.missing.columns
    scales = p.scales[c]
    covariances, means, lengths, log_dets = condition(
        p.correlations[c] + _ROUNDING * np.eye(len(scales)),
        given,
        free,
        batch.observed.take(residuals) / scales[given],
    )
    batch.missing.put(residuals, means * scales[free])
    first, second = lower_indices(len(free))
    covariances *= scales[free[first]] * scales[free[second]]
    log_dets = log_dets + 2 * np.log(scales[given]).sum(axis=0)
    return lengths, log_dets, residuals, covariances


def regress(p: FullParameters, given: Array, free: Array) -> Array:
    """Slopes (K, q, p) or (1, q, p) of free columns (q,) on given ones (p,)."""
    systems, right = (given[:, None], free[:, None]), np.eye(len(given))
    slopes = np.empty((len(p.covariances), len(free), len(given)))
    for c, matrix in enumerate(p.correlations):
        if p.conditions[c] >= _MAX_PRECISION_CONDITION:  # as completions do
            matrix = matrix + _ROUNDING * np.eye(len(matrix))
        slopes[c] = condition(matrix, *systems, right)[1]
    return slopes * p.scales[:, free, None] / p.scales[:, None, given]


def unexplained_covariance(
    parameters: FullParameters, k: int, weight: float, inverses: Array
) -> Array:
    """Sum of conditional covariances: weight S - S (sum of inverses of S_oo) S.

    In whitened coordinates its eigenvalues lie between 0 and weight, a range that the
    rounding errors of an ill-conditioned S could leave.
    """
    check_in_range(inverses)
    L = parameters.cholesky[k % len(parameters.cholesky)]
    values, vectors = np.linalg.eigh(weight * np.eye(len(L)) - L.T @ inverses @ L)
    roots = L @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    return roots @ roots.T


def missing_variances(
    parameters: FullParameters, k: int, batch: Batch, conditional: Conditional
) -> Array:
    """Conditional variances of the missing entries, (q_missing, P)."""
    n_missing = len(batch.missing.columns)
    c = k % len(parameters.covariances)
    covariance = parameters.covariances[c]
    if conditional.from_missing:
        variances = conditional.inverses[diagonal_indices(n_missing)]
    else:
        observed, missing = batch.observed.columns.T, batch.missing.columns.T  # (P, q)
        inverses = unpack(conditional.inverses)
        marginal = np.diag(covariance)[batch.missing.columns]
        explained = np.empty_like(marginal)
        row_bytes = 8 * (observed.shape[1] + 1) * n_missing
        size = max(limit_to_working_memory(_BATCH_BYTES) // row_bytes, 1)
        for rows in chunks(len(missing), size):
            across = covariance[missing[rows][:, :, None], observed[rows][:, None]]
            explained[:, rows] = ((across @ inverses[rows]) * across).sum(axis=2).T
        variances = marginal - explained
    return np.maximum(variances, parameters.floors[c][batch.missing.columns])


def missing_covariances(
    parameters: FullParameters, k: int, batch: Batch, conditional: Conditional
) -> Array:
    """Conditional covariances of the missing entries, (P, q_missing, q_missing)."""
    if conditional.from_missing:
        return unpack(conditional.inverses)
    covariance = parameters.covariances[k % len(parameters.covariances)]
    observed, missing = batch.observed.columns.T, batch.missing.columns.T  # (P, q)
    inverses = unpack(conditional.inverses)
    across = covariance[missing[:, :, None], observed[:, None]]
    own = covariance[missing[:, :, None], missing[:, None]]
    return own - across @ inverses @ np.swapaxes(across, 1, 2)


def matrix_roots(covariances: Array) -> Array:
    """Matrices R with R R^T = covariance, (P, q, q), also of singular ones."""
    scales = np.sqrt(np.maximum(np.diagonal(covariances, axis1=1, axis2=2), NEGLIGIBLE))
    correlations = covariances / (scales[:, :, None] * scales[:, None])
    try:
        roots = np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlations)
        roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    return roots * scales[:, :, None]


def iterate_batches(
    parameters: FullParameters,
    block: Block,
    wanted: Array | None = None,
    with_covariances: bool = False,
) -> Iterator[tuple[Batch, list[Conditional]]]:
    """The block, or wanted rows of it, in batches under each component.

    With covariances, the conditional covariances of each row fit in the batch, too.
    """
    values, _ = block.dense()
    n_components, d = parameters.means.shape
    for pattern in block.patterns():
        if wanted is not None:
            pattern = pattern.subset(np.flatnonzero(np.isin(pattern.rows, wanted)))
        n_observed, n_missing = len(pattern.observed), len(pattern.missing)
        if pattern.is_shared:
            size = _SHARED_BYTES // (8 * d)
        else:
            n_values = n_components * max(
                _count_values(condition, n_observed, n_missing)
                for condition in parameters.conditions
            )
            if with_covariances:
                n_values += 2 * n_missing * d
            size = limit_to_working_memory(_BATCH_BYTES) // (8 * n_values)
        for rows in chunks(len(pattern.rows), max(size, 1)):
            part = pattern.subset(rows)
            batch = Batch(
                rows=part.rows,
                values=np.ascontiguousarray(values[part.rows].T),
                observed=Systems(part.observed, d),
                missing=Systems(part.missing, d),
            )
            yield batch, _condition_all(parameters, batch)


def _count_values(condition: float, n_observed: int, n_missing: int) -> int:
    """Numbers that a row's system takes."""
    solve, d = _choose_solver(condition, n_observed, n_missing), n_observed + n_missing
    if solve is _eliminate_observed:
        return n_packed(d) + 2 * d
    return n_packed(n_missing if solve is _solve_missing else n_observed) + 2 * d


def measure_batch(batch: Batch, conditionals: list[Conditional]) -> Measures:
    """Distances and log-determinants of the rows of a batch."""
    n_rows = len(batch.rows)
    return Measures(
        np.stack([conditional.distances for conditional in conditionals]),
        np.stack([np.broadcast_to(each.log_dets, n_rows) for each in conditionals]),
        np.full(n_rows, float(len(batch.observed.columns))),
    )


def scatter_inverses(
    systems: Systems, conditional: Conditional, weights: Array
) -> Array:
    """Weighted sum over rows of the inverses, as a (d, d) matrix."""
    if conditional.inverses.shape[1] == 1:
        weights = weights.sum(keepdims=True)
    return systems.scatter(conditional.inverses, weights)


def _cholesky(component: int, covariance: Array) -> Array:
    """Lower factor of a covariance that is not singular."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    floor = np.maximum(_ROUNDING * np.diag(covariance), NEGLIGIBLE)
    if not (np.diag(factor) ** 2 > floor).all():
        raise ValueError(
            f"The covariance of component {component} is singular: its rows are too "
            "few, or its columns depend on each other. Increase reg_covar or "
            "min_variance, decrease n_components, or scale the columns alike."
        )
    return factor


def factorize(covariances: Array) -> Array:
    """Lower factors of covariances (K, d, d), of which none may be singular."""
    return np.stack([_cholesky(k, c) for k, c in enumerate(covariances)])


def whiten(covariances: Array) -> tuple[Array, Array]:
    """Lower factors of covariances (K, d, d), and their inverses."""
    cholesky = factorize(covariances)
    identity = np.eye(cholesky.shape[1])
    whitening = [solve_triangular(L, identity, lower=True) for L in cholesky]
    return cholesky, np.stack(whitening)


def precisions_from(whitening: Array) -> Array:
    return np.swapaxes(whitening, 1, 2) @ whitening


def invert(covariances: Array) -> Array:
    """Inverses (K, d, d) of covariances, of which none may be singular."""
    scales = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    correlations = covariances / (scales[:, :, None] * scales[:, None])
    try:
        whitening = np.linalg.inv(np.linalg.cholesky(correlations))
    except np.linalg.LinAlgError:
        whitening = whiten(covariances)[1]  # names the component
        return precisions_from(whitening)
    return precisions_from(whitening / scales[:, None])
