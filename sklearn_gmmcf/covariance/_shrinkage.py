# SPDX-License-Identifier: BSD-3-Clause
r"""Variances of few entries: their prior, and the uncertainty that they leave.

With :math:`\lambda` the `covariance_precision_prior`, R the residual sums and N the
entries of component k in column j, and u the units of the columns,

.. math::
    \sigma_{kj}^2 = (R_{kj} + \lambda u_j^2 T) / (N_{kj} + \lambda), \quad
    T^{-1} = \mathrm{mean}_{kj} (u_j^2 / \sigma_{kj}^2)

are maxima of the objective less :math:`\lambda \sum_{kj} KL(u_j^2 T | \sigma_{kj}^2)`
(divergences of normal distributions with these variances), in one and in T.
"""

from __future__ import annotations

import numpy as np

from sklearn_gmmcf._typing import Array

# The variances and the common one are improved this often in turn.
_STEPS = 10
# Entries of the pooled variance in the predictive variance of an entry.
_PREDICTIVE_ENTRIES = 30.0
# Units are taken to be at most so far from their geometric mean.
_MAX_RELATIVE_UNIT = 1e40
# More entries leave no uncertainty; the sums of larger weights might overflow.
_MAX_ENTRIES = 1e12
# Share below which the weights of entries are nothing beside the prior's, and what a
# variance is above its floor is rounding.
_ROUNDING = 1e-10
# Of a variance that is all but the prior's, rounding may leave no residual sum.
_MIN_SHARE = 1e-3


def shrink_variances(
    residuals: Array,
    counts: Array,
    variances: Array,
    units: Array,
    strength: float,
    floor: float,
) -> Array:
    """Variances (K, q) of residual sums and counts (K, q), from variances before.

    They are the best of those above the floor.
    """
    units = _relative(units)
    for _ in range(_STEPS):
        common = _pool_variance(variances, units) * units**2
        variances = (residuals + strength * common) / (counts + strength)
        variances = np.maximum(variances, floor)
    return variances


def measure_divergence(variances: Array, units: Array) -> float:
    """Sum of the divergences of the common variance from the variances."""
    units = _relative(units)
    ratios = _pool_variance(variances, units) * units**2 / variances
    return 0.5 * float(np.sum(ratios - 1 - np.log(ratios)))


def _relative(units: Array) -> Array:
    """Units divided by their geometric mean, so that they can be squared."""
    relative = units / np.exp(np.log(units).mean())
    return np.clip(relative, 1 / _MAX_RELATIVE_UNIT, _MAX_RELATIVE_UNIT)


def _pool_variance(variances: Array, units: Array) -> float:
    """T, which makes the objective the highest."""
    return float(1 / np.mean(units**2 / variances))


def predict_variances(
    variances: Array,
    counts: Array,
    units: Array,
    mean_strength: float,
    variance_strength: float,
    reg_covar: float,
    min_variance: float,
) -> Array:
    """Variances (K, d) of new entries, given that means and variances are uncertain.

    They approximate the conjugate posterior predictive. A mean rests on its entries and
    the prior's, at least one. A variance rests on the degrees of freedom that the means
    leave and on 30 entries of the variance of its column, which rests in turn on 30
    entries of the variance of all columns.

    Parameters
    ----------
    variances : ndarray of shape (K, d) or (K, 1)
    counts : ndarray of shape (K, d)
        Entries of each component and column.
    units : ndarray of shape (d,)
    mean_strength, variance_strength : float
        Entries of the priors that the means and variances were fitted with.
    reg_covar, min_variance : float
        Added to the variances, and the floor under them. They come from no entry, and
        in units of a column they may exceed by far what its entries tell of others.
    """
    mean_strength = mean_strength or 1.0
    counts, units = np.minimum(counts, _MAX_ENTRIES), _relative(units)
    freedom = counts - counts / (counts + mean_strength)
    n_entries = counts
    if variances.shape[1] == 1:
        n_entries, freedom = (
            sums.sum(axis=1, keepdims=True) for sums in (counts, freedom)
        )
        units = np.ones(1)
    if n_entries.sum() <= _ROUNDING * variance_strength:
        return variances * (1 + 1 / (counts + mean_strength))  # all is the prior's
    lifted = variances <= min_variance * (1 + _ROUNDING)
    fitted = np.where(lifted, 0.0, variances - reg_covar)
    prior = variance_strength * units**2 * _pool_variance(fitted, units)
    residuals = np.maximum(fitted * (n_entries + variance_strength) - prior, 0.0)
    # Weights may add up to less than one row.
    total_freedom = max(freedom.sum(), 0.5 * n_entries.sum())
    pooled = units**2 * (residuals / units**2).sum() / total_freedom
    columns = residuals.sum(axis=0) + _PREDICTIVE_ENTRIES * pooled
    columns /= freedom.sum(axis=0) + _PREDICTIVE_ENTRIES
    predicted = residuals + _PREDICTIVE_ENTRIES * columns
    predicted /= freedom + _PREDICTIVE_ENTRIES
    predicted = np.maximum(predicted + reg_covar, min_variance)
    predicted = np.maximum(predicted, _MIN_SHARE * variances)
    return predicted * (1 + 1 / (counts + mean_strength))
