# SPDX-License-Identifier: BSD-3-Clause
"""Rubin's rules: estimates from multiply imputed tables become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit
from sklearn.utils import check_array

from sklearn_gmmcf._typing import Array


@dataclass(frozen=True, eq=False)
class PooledEstimate:
    """An estimate from multiply imputed tables: the result of `pool`.

    Each attribute is a float, or an array of shape (p,), as the estimates are.

    Parameters
    ----------
    estimate : float or ndarray
        Mean of the estimates.
    std_error : float or ndarray
        Standard error of the estimate, the uncertainty of the missing entries included.
    interval : tuple of two floats or ndarrays
        Lower and upper bound of the confidence interval.
    degrees_of_freedom : float or ndarray
        Degrees of freedom of the t distribution of the interval.
    fraction_missing : float or ndarray
        Fraction of missing information, from 0 to 1: the share of the complete table's
        information about the estimate that is lost.

    See Also
    --------
    pool : Makes it, by Rubin's rules.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.model_selection import pool
    >>> estimates, variances = [[0.9, 2.0], [1.1, 2.1]], [[0.04, 0.01], [0.05, 0.01]]
    >>> pooled = pool(estimates, variances)
    >>> pooled.estimate, pooled.std_error.round(2)
    (array([1.  , 2.05]), array([0.27, 0.13]))
    >>> pooled.fraction_missing.round(2)
    array([0.53, 0.56])
    """

    estimate: Any
    std_error: Any
    interval: tuple[Any, Any]
    degrees_of_freedom: Any
    fraction_missing: Any


def pool(
    estimates: Any,
    variances: Any,
    *,
    dfcom: float | None = None,
    confidence: float = 0.95,
) -> PooledEstimate:
    r"""Pool estimates from multiply imputed tables by Rubin's rules.

    The pooled estimate is the mean of the m estimates. Its variance is the mean of
    their variances, plus :math:`1 + 1/m` times the variance between them.

    Parameters
    ----------
    estimates : array-like of shape (m,) or (m, p)
        An estimate, or p of them, from each of m completed tables, at least two.
    variances : array-like of shape (m,) or (m, p)
        Their squared standard errors, as if the tables had been observed completely.
    dfcom : float, default=None
        Degrees of freedom of the estimate in a complete table: the number of rows less
        the number of coefficients that are estimated, such as n - 1 for a mean. None
        stands for many.
    confidence : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    pooled : PooledEstimate
        With the attributes `estimate`, `std_error`, `interval`, `degrees_of_freedom`
        and `fraction_missing`.

    Raises
    ------
    ValueError
        If the shapes differ, fewer than two tables are given, values are not finite,
        variances are negative, or `dfcom` or `confidence` is out of its range.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture.sample_completions : Draws completed tables.

    Notes
    -----
    With :math:`\bar u` the mean of the variances, b the variance of the estimates,
    :math:`t = \bar u + (1 + 1/m) b` and :math:`\lambda = (1 + 1/m) b / t`, the degrees
    of freedom are

    .. math::
        \nu_m = \frac{m - 1}{\lambda^2}, \quad
        \nu_o = \frac{\nu_c + 1}{\nu_c + 3} \, \nu_c (1 - \lambda), \quad
        \nu = \frac{\nu_m \nu_o}{\nu_m + \nu_o}

    with :math:`\nu_c` for `dfcom` (Barnard and Rubin 1999), and the fraction of missing
    information is :math:`\lambda + 2 (1 - \lambda) / (\nu + 3)`.

    References
    ----------
    J. Barnard and D. B. Rubin (1999). Small-sample degrees of freedom with multiple
    imputation. Biometrika 86(4), 948-955.

    D. B. Rubin (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.

    Examples
    --------
    >>> from sklearn_gmmcf.model_selection import pool
    >>> pooled = pool([1.1, 0.9, 1.3], [0.04, 0.05, 0.03], dfcom=99)
    >>> print(f"{pooled.estimate:.2f} +- {pooled.std_error:.2f}")
    1.10 +- 0.31
    >>> low, high = pooled.interval
    >>> print(f"from {low:.2f} to {high:.2f}")
    from 0.33 to 1.87
    """
    estimates, variances = _check(estimates, variances)
    if dfcom is not None and not dfcom > 0:
        raise ValueError(f"dfcom should be a number above 0 or None, but got {dfcom}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence should be between 0 and 1, but got {confidence}.")
    m = len(estimates)
    estimate = estimates.mean(axis=0)
    between = (1 + 1 / m) * estimates.var(axis=0, ddof=1)
    total = variances.mean(axis=0) + between
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    # Reciprocals, as degrees of freedom may be infinite, or 0 where all is missing.
    reciprocal = share**2 / (m - 1)
    if dfcom is not None and np.isfinite(dfcom):
        with np.errstate(divide="ignore"):
            reciprocal += (dfcom + 3) / ((dfcom + 1) * dfcom * (1 - share))
    with np.errstate(divide="ignore"):
        freedom = 1 / reciprocal
    std_error = np.sqrt(total)
    quantile = np.where(freedom > 0, stdtrit(freedom, (1 + confidence) / 2), np.inf)
    half = np.multiply(quantile, std_error, out=np.zeros_like(total), where=total > 0)
    fraction = share + 2 * (1 - share) / (freedom + 3)
    return PooledEstimate(
        estimate[()],
        std_error[()],
        ((estimate - half)[()], (estimate + half)[()]),
        freedom[()],
        fraction[()],
    )


def _check(estimates: Any, variances: Any) -> tuple[Array, Array]:
    """Estimates and variances as arrays (m,) or (m, p)."""
    checked = []
    for name, values in (("estimates", estimates), ("variances", variances)):
        values = check_array(
            values,
            dtype=np.float64,
            ensure_2d=False,
            ensure_min_samples=0,
            input_name=name,
        )
        if values.ndim not in (1, 2) or len(values) < 2:
            raise ValueError(
                f"{name} should have the shape (m,) or (m, p), with a row for each of "
                f"at least m=2 completed tables, but got {values.shape}."
            )
        checked.append(values)
    first, second = checked
    if first.shape != second.shape:
        raise ValueError(
            "estimates and variances should have the same shape, but got "
            f"{first.shape} and {second.shape}."
        )
    if (second < 0).any():
        raise ValueError(
            "variances should not be negative, but the smallest one is "
            f"{second.min():g}. They are squared standard errors."
        )
    return first, second
