# SPDX-License-Identifier: BSD-3-Clause
r"""Completions of common factors as sums over the observed entries.

With :math:`\mu_{ik} = \nu_k + b f_i` the prior mean of the factors of a row, their
posterior mean is a sum over its observed entries,

.. math::
    {\bar z}_{ik} = \mu_{ik} + P_{ik}^{-1} \sum_{l \in O_i} \frac{1}{s_k \psi_l} \left[
    {\bar w}_l \left( x_{il} - {\bar a}_{l0} - {\bar w}_l^T \mu_{ik} \right)
    - \mathrm{cov}[w_l, a_l^T (\mu_{ik}, 1)] \right]

as :math:`P_{ik} = \Lambda_k^{-1} + A_i / s_k`: each entry moves the factors by its
distance from what was expected of it, and by less where its loadings are uncertain.
"""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._entry_parts import EntryParts, assemble_terms
from sklearn_gmmcf.covariance._factor_inference import (
    Evidence,
    FactorParameters,
    collect_evidence,
    infer,
    swept_together,
)
from sklearn_gmmcf.covariance._triangles import unpack
from sklearn_gmmcf.data import Block


def explain_factors(
    p: FactorParameters, block: Block, rows: Array, columns: Array, shares: Array
) -> EntryParts:
    """Parts of missing entries, by what moves the factors of their rows."""
    evidence = collect_evidence(p, block)
    values, observed = block.dense()
    order = np.argsort(rows, kind="stable")
    loadings, parts = p.loadings[:-1], []
    for part in swept_together(len(block.weights), p.n_factors):
        start, stop = np.searchsorted(rows[order], [part.start, part.stop])
        if start == stop:
            continue
        covariances = infer(p, evidence, part).covariances
        wanted, first = np.unique(rows[order[start:stop]], return_index=True)
        for row, entries in zip(
            wanted, np.split(order[start:stop], first[1:]), strict=True
        ):
            given = np.flatnonzero(observed[row])
            pulls = _pull_factors(
                p,
                unpack(covariances[:, :, row - part.start].T),
                p.factor_means + evidence.prior_means[:, row],
                shares[:, row],
                values[row, given],
                given,
            )
            parts.append((entries, given, loadings[:, columns[entries]].T @ pulls))
    mask, covariates = _split_features(p, evidence, rows, columns)
    return EntryParts(
        means=p.factor_means @ loadings[:, columns] + p.loadings[-1, columns],
        mask=mask,
        covariates=covariates,
        contributions=assemble_terms(len(rows), parts),
    )


def _pull_factors(
    p: FactorParameters,
    covariances: Array,
    expected: Array,
    shares: Array,
    values: Array,
    given: Array,
) -> Array:
    """How each observed entry of a row moves its factors, (r, p).

    Parameters
    ----------
    covariances : ndarray of shape (K, r, r)
        Posterior ones of the factors.
    expected : ndarray of shape (K, r)
        Prior means of the factors.
    shares : ndarray of shape (K,)
        Responsibilities.
    values, given : ndarray of shape (p,)
        Observed entries, centered, and their columns.
    """
    loadings, intercepts = p.loadings[:-1, given], p.loadings[-1, given]
    spreads = unpack(p.loading_spreads[:, given])  # (p, r + 1, r + 1)
    pulls = np.zeros_like(loadings)
    for share, scale, covariance, mean in zip(
        shares, p.scales, covariances, expected, strict=True
    ):
        surprises = values - intercepts - mean @ loadings
        evidence = loadings * surprises
        evidence -= (spreads[:, :-1] @ np.append(mean, 1.0)).T
        pulls += covariance @ evidence * (share / scale)
    return pulls / p.noise[given]


def _split_features(
    p: FactorParameters, evidence: Evidence, rows: Array, columns: Array
) -> tuple[Array, Array]:
    """Parts of the mask (m,) and of covariates (m, n_covariates)."""
    n_mask = len(p.features.centers)
    slopes = p.row_slopes.T @ p.loadings[:-1, columns]  # (n_f, m)
    features = evidence.features[:, rows]
    # The mask of a row without entries is what its covariates predict.
    empty = evidence.counts[rows] == 0
    by_covariates = slopes[n_mask:].copy()
    if n_mask:
        regression = p.features.row_regression
        by_covariates[:, empty] += regression.T @ slopes[:n_mask, empty]
    mask = (slopes[:n_mask] * features[:n_mask]).sum(axis=0)
    return np.where(empty, 0.0, mask), (by_covariates * features[n_mask:]).T
