# SPDX-License-Identifier: BSD-3-Clause
"""Nearly collinear columns, against elimination in decimal numbers of 60 digits."""

import decimal
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from sklearn_gmmcf import MaskedGaussianMixture

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # The oracle takes few rows of many columns.
    "ignore::sklearn_gmmcf.FewRowsWarning",
)
TYPES = ["full", "tied"]
EPS = np.finfo(np.float64).eps
CASES = [
    (kind, d, condition)
    for kind in ("drawn", "copies")
    for d in (8, 20, 40)
    for condition in (1e4, 1e8, 1e12)
]
LARGE = [
    pytest.param(kind, 150, condition, marks=pytest.mark.slow)
    for kind in ("drawn", "copies")
    for condition in (1e4, 1e8, 1e12)
]


def draw_covariance(kind, d, condition, seed=0):
    """A covariance whose correlations have about this condition, in mixed units.

    Of 'drawn' ones the eigenvalues fall evenly; 'copies' repeat a tenth of the columns
    up to a little noise.
    """
    rng = np.random.default_rng(seed)
    if kind == "drawn":
        Q, _ = np.linalg.qr(rng.standard_normal((d, d)))
        S = (Q * np.logspace(0, -np.log10(condition), d)) @ Q.T
    else:
        n_copies = max(d // 10, 1)
        B = rng.standard_normal((d - n_copies, d - n_copies))
        own = B @ B.T / d + 0.5 * np.eye(d - n_copies)
        source = rng.permutation(
            np.append(
                np.arange(d - n_copies), rng.integers(d - n_copies, size=n_copies)
            )
        )
        S = own[np.ix_(source, source)] + np.eye(d) * (4 / condition)
    scales = np.exp(2 * rng.standard_normal(d)) / np.sqrt(np.diag(S))
    S = S * np.outer(scales, scales)
    return (S + S.T) / 2


def condition_number(S):
    scales = np.sqrt(np.diag(S))
    return np.linalg.cond(S / np.outer(scales, scales))


def to_decimal(array):
    return np.vectorize(Decimal, otypes=[object])(array)


def condition_exactly(row, mean, S):
    """Conditional mean and covariance of the missing entries, and log-density."""
    observed, missing = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    order = np.append(observed, missing)
    with decimal.localcontext() as context:
        context.prec = 60
        A = to_decimal(S[np.ix_(order, order)])
        v = to_decimal(np.where(np.isnan(row), 0.0, row)[order]) - to_decimal(
            np.where(np.isnan(row), 0.0, mean)[order]
        )
        twice = Decimal(0)
        for j in range(len(observed)):
            c = A[j + 1 :, j] / A[j, j]
            A[j + 1 :, j + 1 :] -= np.multiply.outer(c, A[j, j + 1 :])
            twice += v[j] ** 2 / A[j, j] + A[j, j].ln()
            v[j + 1 :] -= c * v[j]
        p = len(observed)
        filled = row.copy()
        filled[missing] = (to_decimal(mean[missing]) - v[p:]).astype(float)
        rest = np.zeros_like(S)
        rest[np.ix_(missing, missing)] = A[p:, p:].astype(float)
    return filled, rest, -0.5 * (p * np.log(2 * np.pi) + float(twice))


def draw_rows(S, n=8, seed=1):
    """Rows of this covariance; most miss a third or two thirds of their entries."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, len(S))) @ np.linalg.cholesky(S).T
    share = np.where(np.arange(n) % 2, 0.3, 0.7)
    missing = rng.random(X.shape) < share[:, None]
    missing[0] = False  # each column is observed
    return np.where(missing, np.nan, X)


def with_covariance(covariance_type, S, X, **params):
    """A mixture of one component with this covariance and mean 0."""
    d = len(S)
    mixture = MaskedGaussianMixture(
        covariance_type=covariance_type,
        weights_init=[1.0],
        means_init=np.zeros((1, d)),
        precisions_init=np.eye(d) if covariance_type == "tied" else np.eye(d)[None],
        max_iter=0,
        reg_covar=0,
        **params,
    ).fit(X)
    # By precisions it would be given less exactly.
    parameters = replace(mixture._model.parameters, covariances=S[None])
    mixture._model = replace(mixture._model, parameters=parameters)
    return mixture


class UnitNoise(np.random.RandomState):
    """Draws 0, then one unit vector after the other, so that draws show their root."""

    def __init__(self, n_draws):
        super().__init__(0)
        self.n_draws, self.n_calls = n_draws, 0

    def standard_normal(self, size=None):
        noise, unit = np.zeros(size), self.n_calls % self.n_draws - 1
        self.n_calls += 1
        if 0 <= unit < size[1]:
            noise[:, unit] = 1.0
        return noise


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(("kind", "d", "condition"), CASES + LARGE)
def test_conditionals_draws_and_a_step(kind, d, condition, covariance_type):
    S = draw_covariance(kind, d, condition)
    X = draw_rows(S)
    cond = condition_number(S)
    assert condition / 30 < cond < 30 * condition
    tolerance = max(1e-6, 50 * EPS * cond)
    scales = np.sqrt(np.diag(S))
    mixture = with_covariance(covariance_type, S, X)
    exact = [condition_exactly(row, np.zeros(d), S) for row in X]
    filled, rest = (np.stack([each[i] for each in exact]) for i in (0, 1))
    missing = np.isnan(X)
    completed, std = mixture.complete(X, return_std=True)
    expected = np.sqrt(np.einsum("ndd->nd", rest))
    np.testing.assert_allclose(std[missing], expected[missing], rtol=tolerance)
    errors = np.abs(completed - filled) / scales
    assert errors.max() < tolerance
    densities = np.array([each[2] for each in exact])
    np.testing.assert_allclose(mixture.score_samples(X), densities, rtol=tolerance)

    draws = mixture.sample_completions(X, d + 1, random_state=UnitNoise(d + 1))
    assert (np.abs(draws[0] - filled) / scales).max() < tolerance
    for i, row in enumerate(missing[1:], 1):
        roots = (draws[1:, i] - draws[0, i]).T
        found = (roots @ roots.T)[np.ix_(row, row)]
        sizes = np.outer(scales[row], scales[row])
        covariance = rest[i][np.ix_(row, row)]
        np.testing.assert_allclose(
            np.diag(found), np.diag(covariance), rtol=2 * tolerance
        )
        assert (np.abs(found - covariance) / sizes).max(initial=0) < tolerance

    mean = filled.mean(axis=0)
    moment = (filled - mean).T @ (filled - mean) / len(X) + rest.mean(axis=0)
    mixture.set_params(warm_start=True, max_iter=1)
    mixture.fit(X)
    sizes = np.sqrt(np.diag(moment))
    assert (np.abs(mixture.means_[0] - mean) / sizes).max() < tolerance
    found = mixture.covariances_.reshape(d, d)
    assert (np.abs(found - moment) / np.outer(sizes, sizes)).max() < tolerance


def table_with_copies(d, noise, n=200, seed=0):
    """Two clusters of rows; a tenth of the columns are copies, up to noise."""
    rng = np.random.default_rng(seed)
    n_copies = max(d // 10, 1)
    X = rng.standard_normal((n, d - n_copies)) @ rng.standard_normal(
        (d - n_copies, d - n_copies)
    )
    X[: n // 2] += 3.0
    copies = X[:, :n_copies] + noise * rng.standard_normal((n, n_copies))
    X = np.column_stack([X, copies])
    X[rng.random(X.shape) < 0.3] = np.nan
    return X


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 1e-6])
@pytest.mark.parametrize(
    "floor",
    [
        {},
        {"reg_covar": 0, "min_variance": 1e-6},
        pytest.param({"reg_covar": 1e-9}, marks=pytest.mark.slow),
    ],
)
def test_objective_rises_and_nothing_is_certain(
    covariance_type, n_components, noise, floor
):
    X = table_with_copies(11, noise)
    mixture = MaskedGaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0, **floor
    ).fit(X)
    covariances = mixture.covariances_.reshape(-1, 11, 11)
    cond = max(condition_number(S) for S in covariances)
    assert np.diff(mixture.lower_bounds_).min() > -max(1e-9, 50 * EPS * cond)
    completed, std = mixture.complete(X, return_std=True)
    missing = np.isnan(X)
    smallest = np.sqrt(np.linalg.eigvalsh(covariances).min())
    assert std[missing].min() > smallest * (1 - 1e-6) > 1e-5
    assert (std[~missing] == 0).all()
    assert np.isfinite(completed).all()
