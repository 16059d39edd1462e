# SPDX-License-Identifier: BSD-3-Clause
"""Rubin's rules."""

import numpy as np
import pytest
from scipy import stats

from sklearn_gmmcf.model_selection import pool


def pool_by_formula(estimates, variances, dfcom, confidence):
    """Rubin (1987), section 3.1, and Barnard and Rubin (1999), for one estimate."""
    m = len(estimates)
    q = sum(estimates) / m
    u = sum(variances) / m
    b = sum((each - q) ** 2 for each in estimates) / (m - 1)
    t = u + (1 + 1 / m) * b
    r = (1 + 1 / m) * b / u
    df = (m - 1) * (1 + 1 / r) ** 2
    if dfcom is not None:
        lam = (1 + 1 / m) * b / t
        observed = (dfcom + 1) / (dfcom + 3) * dfcom * (1 - lam)
        df = 1 / (1 / df + 1 / observed)
    half = stats.t(df).ppf(0.5 + confidence / 2) * t**0.5
    fraction = (r + 2 / (df + 3)) / (r + 1)
    return q, t**0.5, q - half, q + half, df, fraction


@pytest.mark.parametrize("dfcom", [None, 4.5, 97])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
@pytest.mark.parametrize("m", [2, 5, 40])
def test_formulas(dfcom, confidence, m):
    rng = np.random.default_rng(m)
    estimates = rng.standard_normal((m, 3)) * [0.1, 1.0, 10.0]
    variances = rng.uniform(0.5, 2, (m, 3))
    pooled = pool(estimates, variances, dfcom=dfcom, confidence=confidence)
    for j in range(3):
        single = pool(
            list(estimates[:, j]), variances[:, j], dfcom=dfcom, confidence=confidence
        )
        expected = pool_by_formula(estimates[:, j], variances[:, j], dfcom, confidence)
        for each, i in ((pooled, j), (single, ())):
            found = (
                each.estimate,
                each.std_error,
                *each.interval,
                each.degrees_of_freedom,
                each.fraction_missing,
            )
            np.testing.assert_allclose([value[i] for value in found], expected)


def test_shapes():
    single = pool([1.0, 2.0], [0.1, 0.2])
    for value in (single.estimate, single.std_error, *single.interval):
        assert np.shape(value) == ()
    many = pool(np.ones((4, 2)), np.ones((4, 2)))
    for value in (many.estimate, many.std_error, many.interval[0], many.interval[1]):
        assert value.shape == (2,)


def test_estimates_that_agree_lose_nothing():
    pooled = pool([3.0] * 4, [4.0] * 4)
    assert pooled.std_error == 2
    assert pooled.degrees_of_freedom == np.inf
    assert pooled.fraction_missing == 0
    low, high = stats.norm(3, 2).interval(0.95)
    np.testing.assert_allclose(pooled.interval, (low, high))
    pooled = pool([3.0] * 4, [4.0] * 4, dfcom=10)
    assert pooled.degrees_of_freedom == pytest.approx(11 / 13 * 10)


def test_variances_of_zero():
    certain = pool([1.0, 1.0], [0.0, 0.0], dfcom=9)
    assert certain.interval == (1, 1)
    lost = pool([1.0, 2.0], [0.0, 0.0], dfcom=9)
    assert lost.fraction_missing == 1
    assert lost.interval == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("estimates", "variances", "options", "message"),
    [
        ([1.0], [1.0], {}, r"at least m=2 completed tables, but got \(1,\)"),
        (1.0, 1.0, {}, r"shape \(m,\) or \(m, p\)"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], {}, r"same shape, but got \(2,\) and \(3,\)"),
        (np.ones((2, 2)), [1.0, 2.0], {}, "same shape"),
        ([1.0, 2.0], [1.0, -2.0], {}, "negative, but the smallest one is -2"),
        ([1.0, np.nan], [1.0, 2.0], {}, "estimates contains NaN"),
        ([1.0, 2.0], [1.0, np.inf], {}, "variances contains infinity"),
        ([1.0, 2.0], [1.0, 2.0], {"dfcom": 0}, "dfcom should be a number above 0"),
        ([1.0, 2.0], [1.0, 2.0], {"dfcom": np.nan}, "dfcom should be a number"),
        ([1.0, 2.0], [1.0, 2.0], {"confidence": 1}, "between 0 and 1, but got 1"),
    ],
)
def test_unusable(estimates, variances, options, message):
    with pytest.raises(ValueError, match=message):
        pool(estimates, variances, **options)
