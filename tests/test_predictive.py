# SPDX-License-Identifier: BSD-3-Clause
"""Spherical and diag: predictions carry the uncertainty of means and variances."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from tests import oracles
from tests.made import clusters, rewind, to_sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TYPES = ["spherical", "diag"]


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("kappa", [0.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_moments_and_densities(covariance_type, kappa, weighted, make):
    X = clusters(60, 4, missing=0.6, seed=2) * [1.0, 1.0, 3.0, 0.2]
    weights = np.random.default_rng(0).uniform(0.2, 3, 60) if weighted else None
    mixture = MaskedGaussianMixture(
        2,
        covariance_type=covariance_type,
        mean_precision_prior=kappa,
        random_state=0,
        max_iter=4,
    ).fit(make(X), sample_weight=weights)
    earlier = rewind(mixture, make(X), weights)
    predictive = oracles.predict_variances(mixture, earlier, X, weights)
    variances = mixture.covariances_.reshape(2, -1)
    variances = np.broadcast_to(variances, mixture.means_.shape)
    expected, expected_std = oracles.complete(
        X, mixture.weights_, mixture.means_, variances, predictive
    )
    completed, std = mixture.complete(make(X), return_std=True)
    np.testing.assert_allclose(completed, expected, rtol=1e-7)
    np.testing.assert_allclose(std, expected_std, rtol=1e-7)
    # Densities and draws of an entry have the same moments.
    i, j = np.argwhere(np.isnan(X))[3]
    grid = completed[i, j] + std[i, j] * np.linspace(-12, 12, 4001)
    entries = np.full(len(grid), i), np.full(len(grid), j)
    masses = np.exp(mixture.score_entries(make(X), entries, grid))
    masses *= grid[1] - grid[0]
    assert masses.sum() == pytest.approx(1, rel=1e-6)
    assert masses @ grid == pytest.approx(completed[i, j], abs=1e-6 * std[i, j])
    variance = masses @ (grid - completed[i, j]) ** 2
    assert variance == pytest.approx(std[i, j] ** 2, rel=1e-5)
    draws = mixture.sample_completions(
        make(X), 40_000, entries=([i], [j]), random_state=0
    )
    assert abs(draws.mean() - completed[i, j]) < 5 * std[i, j] / 200
    assert draws.std() == pytest.approx(std[i, j], rel=0.03)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_uncertainty_falls_with_the_entries_but_the_fit_does_not_change(
    covariance_type,
):
    X = clusters(30, 4, n_components=1, missing=0.2)
    excess = []
    for times in (1, 10, 1000):
        mixture = MaskedGaussianMixture(covariance_type=covariance_type)
        mixture.fit(X, sample_weight=np.full(30, times))
        _, std = mixture.complete(np.full((1, 4), np.nan), return_std=True)
        plain = np.sqrt(np.broadcast_to(mixture.covariances_, (1, 4)))
        excess.append(np.abs(std / plain - 1).max())
        means = mixture.means_
    np.testing.assert_allclose(means[0], np.nanmean(X, axis=0))
    assert excess[0] > 10 * excess[2]
    assert excess[2] < 1e-3 < excess[0]


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("strength", [0.0, 3.0, 30.0, 100.0])
def test_priors_pull_as_stated(covariance_type, strength):
    # From given labels: means to the column's mean, variances to a common one T.
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    X = np.array([-50.0, 50.0])[labels][:, None] + rng.standard_normal((80, 3))
    X *= np.array([1.0, 2.0])[labels][:, None]
    X[rng.random(X.shape) < 0.3] = np.nan
    mixture = MaskedGaussianMixture(
        2,
        covariance_type=covariance_type,
        covariance_precision_prior=strength,
        reg_covar=0,
        random_state=0,
        tol=1e-13,
        max_iter=2000,
    ).fit(X)
    order = np.argsort(mixture.means_[:, 0])
    means = np.stack([np.nanmean(X[labels == k], axis=0) for k in (0, 1)])
    np.testing.assert_allclose(mixture.means_[order], means, rtol=1e-6)
    residuals, counts = oracles.residual_sums(X, np.eye(2)[labels], means)
    units = oracles.column_units(X) ** 2
    if covariance_type == "spherical":
        residuals, counts = (
            total.sum(axis=1, keepdims=True) for total in (residuals, counts)
        )
        units = np.ones(1)
    found = mixture.covariances_.reshape(2, -1)[order]
    common = 1 / np.mean(units / found)
    expected = (residuals + strength * common * units) / (counts + strength)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    spread, pulled = (np.ptp(np.log(v / units)) for v in (residuals / counts, found))
    assert pulled < spread * (1 + 1e-9 - 0.5 * (strength == 100))
    assert (np.diff(mixture.lower_bounds_) >= -1e-10).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_prior_of_means_pulls_as_many_entries_would(covariance_type):
    X = clusters(40, 3, n_components=2, missing=0.3, spread=20)
    mixture = MaskedGaussianMixture(
        2,
        covariance_type=covariance_type,
        mean_precision_prior=7,
        random_state=0,
        tol=1e-10,
    ).fit(X)
    center = np.nanmean(X, axis=0)
    for k, shares in enumerate(mixture.predict_proba(X).T):
        n = shares @ ~np.isnan(X)
        expected = (shares @ np.nan_to_num(X) + 7 * center) / (n + 7)
        np.testing.assert_allclose(mixture.means_[k], expected, rtol=1e-4)


def sparse_ratings(seed, n_rows=300, n_columns=4000, n_entries=50_000):
    """Ratings of types of rows, as dense as the small MovieLens table."""
    rng = np.random.default_rng(seed)
    popularity = (np.arange(n_columns) + 5.0) ** -1.3
    rows = rng.integers(n_rows, size=n_entries)
    columns = rng.choice(n_columns, n_entries, p=popularity / popularity.sum())
    linear = np.unique(rows * n_columns + columns)
    rows, columns = np.divmod(linear, n_columns)
    quality = 0.5 * rng.standard_normal(n_columns)
    tastes = 0.4 * rng.standard_normal((3, n_columns))
    types = rng.integers(3, size=n_rows)
    values = 3.5 + quality[columns] + tastes[types[rows], columns]
    values += 0.9 * rng.standard_normal(len(linear))
    return rows, columns, values, (n_rows, n_columns)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.DataWarning")
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    ("priors", "least"),
    [({}, 0.86), ({"mean_precision_prior": 5, "covariance_precision_prior": 30}, 0.87)],
    ids=["defaults", "priors"],
)
def test_intervals_hold_on_sparse_ratings(covariance_type, priors, least):
    held, densities = [], []
    for seed in range(3):
        rows, columns, values, shape = sparse_ratings(seed)
        hidden = np.random.default_rng(seed).random(len(rows)) < 0.1
        X = sparse.csr_array(
            (values[~hidden], (rows[~hidden], columns[~hidden])), shape=shape
        )
        seen = np.bincount(columns[~hidden], minlength=shape[1])
        assert (seen == 1).sum() > 100
        mixture = MaskedGaussianMixture(
            4, covariance_type=covariance_type, random_state=0, **priors
        ).fit(X)
        entries = rows[hidden], columns[hidden]
        completed, std = mixture.complete(X, entries=entries, return_std=True)
        held.append(np.abs(values[hidden] - completed) < 1.6449 * std)
        densities.append(mixture.score_entries(X, entries, values[hidden]))
    coverage = np.concatenate(held).mean()
    assert least <= coverage < 0.95
    assert np.concatenate(densities).mean() > -1.6
