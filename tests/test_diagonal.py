# SPDX-License-Identifier: BSD-3-Clause
"""Spherical and diagonal mixtures on data with missing entries, against plain loops."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from tests import oracles
from tests.made import clusters, rewind, start, to_sparse

TYPES = ["spherical", "diag"]


def fit(X, sample_weight=None, **params):
    """Fit from a given start, without the warning that few iterations raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        params = {"covariance_type": "spherical"} | params
        return MaskedGaussianMixture(**params).fit(X, sample_weight=sample_weight)


def plain_parameters(mixture):
    """Weights, means and variances (K, d)."""
    variances = mixture.covariances_
    if variances.ndim == 1:
        variances = np.repeat(variances[:, None], mixture.n_features_in_, axis=1)
    return mixture.weights_, mixture.means_, variances


@pytest.fixture(params=TYPES)
def fitted(request):
    X = clusters(40, 4, seed=1)
    X[5] = np.nan
    return X, fit(X, **start(X, 3, request.param), max_iter=5, reg_covar=0)


def test_log_density_and_responsibilities(fitted):
    X, mixture = fitted
    responsibilities, log_density = oracles.e_step(X, *plain_parameters(mixture))
    np.testing.assert_allclose(mixture.score_samples(X), log_density, rtol=1e-10)
    np.testing.assert_allclose(mixture.predict_proba(X), responsibilities, atol=1e-10)
    np.testing.assert_array_equal(mixture.predict(X), responsibilities.argmax(axis=1))
    assert mixture.score(X) == pytest.approx(log_density.mean(), rel=1e-10)


def test_completion_and_its_standard_deviation(fitted):
    X, mixture = fitted
    completed, std = mixture.complete(X, return_std=True)
    predictive = oracles.predict_variances(mixture, rewind(mixture, X), X)
    expected, expected_std = oracles.complete(X, *plain_parameters(mixture), predictive)
    np.testing.assert_allclose(completed, expected, rtol=1e-9)
    np.testing.assert_allclose(std, expected_std, rtol=1e-7)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("kappa", [0.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_step(covariance_type, kappa, weighted):
    X = clusters(60, 4, missing=0.6, seed=2)
    first = start(X, 3, covariance_type)
    row_weights = np.random.default_rng(0).uniform(0.2, 3, len(X)) if weighted else None
    mixture = fit(
        X,
        row_weights,
        **first,
        mean_precision_prior=kappa,
        reg_covar=0,
        max_iter=1,
    )
    variances = 1 / first["precisions_init"]
    if covariance_type == "spherical":
        variances = np.repeat(variances[:, None], X.shape[1], axis=1)
    parameters = first["weights_init"], first["means_init"], variances
    responsibilities, log_density = oracles.e_step(X, *parameters)
    expected = oracles.m_step(
        X,
        responsibilities,
        parameters[1],
        covariance_type == "spherical",
        row_weights,
        kappa,
    )
    for ours, theirs in zip(plain_parameters(mixture), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    column_means = oracles.m_step(
        X, np.ones((len(X), 1)), np.zeros((1, 4)), False, row_weights
    )[1]
    penalty = np.sum((parameters[1] - column_means) ** 2 / variances)
    weights = np.ones(len(X)) if row_weights is None else row_weights
    objective = (weights @ log_density - kappa / 2 * penalty) / weights.sum()
    assert mixture.lower_bound_ == pytest.approx(objective, rel=1e-10)


def test_reg_covar_and_min_variance():
    X = clusters(60, 4, seed=3)
    first = start(X, 2, "diag")
    plain = fit(X, **first, reg_covar=0, max_iter=1).covariances_
    regular = fit(X, **first, reg_covar=0.03, max_iter=1).covariances_
    np.testing.assert_allclose(regular, plain + 0.03)
    floor = np.median(plain)
    floored = fit(X, **first, reg_covar=0, min_variance=floor, max_iter=1).covariances_
    np.testing.assert_allclose(floored, np.maximum(plain, floor))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_prior_makes_the_posterior_mode(covariance_type):
    # K = 1, where a generic optimizer finds the maximum of the stated objective.
    X = clusters(30, 3, n_components=1, seed=4)
    kappa, observed, m = 3.0, ~np.isnan(X), np.nanmean(X, axis=0)
    mixture = MaskedGaussianMixture(
        covariance_type=covariance_type,
        mean_precision_prior=kappa,
        reg_covar=0,
        tol=1e-12,
    ).fit(X)
    size = 1 if covariance_type == "spherical" else 3

    def loss(theta):
        mean, variance = theta[:3], np.exp(theta[3:])
        terms = (X - mean) ** 2 / variance + np.log(2 * np.pi * variance)
        return 0.5 * terms[observed].sum() + kappa / 2 * np.sum(
            (mean - m) ** 2 / variance
        )

    best = minimize(loss, np.zeros(3 + size), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(mixture.means_[0], best.x[:3], atol=1e-5)
    np.testing.assert_allclose(
        mixture.covariances_.ravel(), np.exp(best.x[3:]), rtol=1e-4
    )
    assert mixture.lower_bound_ == pytest.approx(-best.fun / len(X), rel=1e-9)


class TestKeptValues:
    def test_column_that_a_component_hardly_sees(self):
        # The second cluster observes column 1 once, the first often.
        X = np.array(
            [[0, 1.0], [0.1, 2], [0.2, 3], [9, np.nan], [9.1, 7], [9.2, np.nan]]
        )
        first = {
            "n_components": 2,
            "weights_init": [0.5, 0.5],
            "means_init": [[0, 2.0], [9, 4]],
            "precisions_init": [1.0, 1],
        }
        free = fit(X, **first, max_iter=3)
        np.testing.assert_allclose(free.means_, [[0.1, 2], [9.1, 7]], atol=1e-3)
        kept = fit(X, **first, max_iter=3, min_effective_count=1.5)
        np.testing.assert_allclose(kept.means_, [[0.1, 2], [9.1, 4]], atol=1e-3)
        residuals = np.sum((X[3:, 0] - 9.1) ** 2) + (7 - 4) ** 2
        assert kept.covariances_[1] == pytest.approx(residuals / 4, rel=1e-3)
        # A kept mean has no prior; the learned one has, at the mean of its column.
        pulled = fit(
            X, **first, max_iter=1, min_effective_count=1.5, mean_precision_prior=2
        )
        center = X[:, 0].mean()
        mean = (3 * 9.1 + 2 * center) / 5
        np.testing.assert_allclose(pulled.means_[1], [mean, 4], atol=1e-3)
        residuals = np.sum((X[3:, 0] - mean) ** 2) + (7 - 4) ** 2
        residuals += 2 * (mean - center) ** 2
        assert pulled.covariances_[1] == pytest.approx(residuals / 4, rel=1e-3)

    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("kappa", [0.0, 1.0])
    def test_component_that_loses_all_rows(self, covariance_type, kappa):
        X = clusters(30, 3, n_components=1, seed=6)
        first = start(X, 2, covariance_type)
        first["means_init"][1] = 1e6
        mixture = fit(X, **first, max_iter=5, mean_precision_prior=kappa)
        assert mixture.weights_.tolist() == [1.0, 0.0]
        np.testing.assert_allclose(mixture.means_[1], 1e6)
        np.testing.assert_allclose(
            mixture.covariances_[1], 1 / first["precisions_init"][1]
        )


class TestZeroVariance:
    X = np.array([[0, 1.0], [1, 2], [9, np.nan], [10, 5], [11, np.nan]])

    def test_diag_names_component_and_column(self):
        mixture = MaskedGaussianMixture(
            2, covariance_type="diag", reg_covar=0, random_state=0
        )
        with pytest.raises(
            ValueError, match=r"component [01] in column 1 is zero.*reg_covar"
        ):
            mixture.fit(self.X)

    def test_spherical_names_component(self):
        X = np.array([[0.3, 0.1]] * 3 + [[5, 5.0], [6, 6]])
        with pytest.raises(ValueError, match=r"component [01] is zero.*min_variance"):
            MaskedGaussianMixture(
                2, covariance_type="spherical", reg_covar=0, random_state=0
            ).fit(X)

    def test_constant_column(self):
        X = np.array([[0.1, 1], [0.1, 2], [0.1, 4], [0.1, 7]])
        with pytest.raises(ValueError, match="component 0 in column 0 is zero"):
            MaskedGaussianMixture(covariance_type="diag", reg_covar=0).fit(X)

    @pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
    @pytest.mark.parametrize("way_out", [{"min_variance": 0.1}, {"reg_covar": 0.1}])
    def test_ways_out(self, way_out):
        params = {"reg_covar": 0, "covariance_type": "diag", "random_state": 0}
        mixture = fit(self.X, n_components=2, **(params | way_out))
        assert mixture.covariances_.min() == pytest.approx(0.1)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_recovers_the_truth_as_rows_grow(covariance_type):
    # 40 % of the entries are missing; the error of the means shrinks as 1 / sqrt(n).
    truth = np.array([[0, 0, 0.0], [3, 3, 3]])
    errors = []
    for n in (300, 30_000):
        rng = np.random.default_rng(1)
        labels = (np.arange(n) < n // 3).astype(int)
        X = truth[labels] + np.array([[1.0], [0.5]])[labels] * rng.standard_normal(
            (n, 3)
        )
        X[rng.random(X.shape) < 0.4] = np.nan
        mixture = fit(
            X,
            n_components=2,
            covariance_type=covariance_type,
            random_state=0,
            tol=1e-6,
            max_iter=500,
        )
        order = mixture.means_[:, 0].argsort()
        errors.append(np.abs(mixture.means_[order] - truth).max())
        variances = plain_parameters(mixture)[2][order]
    assert errors[1] < 0.03 < errors[0] < 0.5
    np.testing.assert_allclose(variances, [[1] * 3, [0.25] * 3], rtol=0.06)
    np.testing.assert_allclose(mixture.weights_[order], [2 / 3, 1 / 3], atol=0.01)


class TestFarFromTheColumnMean:
    """Tight components far off: where expanding a square loses its digits."""

    def zero_inflated(self, scale):
        rng = np.random.default_rng(0)
        amount = (
            (rng.random(2000) < 0.5) * scale * np.exp(0.5 * rng.standard_normal(2000))
        )
        return np.column_stack([amount, rng.standard_normal(2000)])

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize(
        ("dtype", "scale"), [(np.float32, 100), (np.float64, 1e6), (np.float64, 1e7)]
    )
    # Half of the values are equal, so that only reg_covar gives them a variance.
    @pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_zero_inflation(self, covariance_type, dtype, scale, make):
        X = self.zero_inflated(scale).astype(dtype)
        if covariance_type == "spherical":
            X = X[:, :1]
        theirs = GaussianMixture(
            2, covariance_type=covariance_type, random_state=0
        ).fit(X.astype(np.float64))
        ours = fit(
            make(X), n_components=2, covariance_type=covariance_type, random_state=0
        )
        np.testing.assert_allclose(
            np.sort(ours.weights_), np.sort(theirs.weights_), rtol=1e-3
        )
        # Where variances are reg_covar, so far from the mean of all rows.
        assert ours.score(make(X)) == pytest.approx(theirs.score(X), abs=1e-3)
        weights, means, variances = plain_parameters(ours)
        joint = norm.logpdf(X[:, None].astype(np.float64), means, np.sqrt(variances))
        log_density = logsumexp(np.log(weights) + joint.sum(axis=2), axis=1)
        np.testing.assert_allclose(
            ours.score_samples(make(X)), log_density, rtol=1e-3, atol=1e-3
        )

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_pairs_of_clusters(self, make):
        rng = np.random.default_rng(0)
        centers = np.array([-1e4, -1e4 + 20, 1e4, 1e4 + 20])
        labels = rng.integers(4, size=2000)
        X = centers[labels][:, None] + rng.standard_normal((2000, 3))
        X[rng.random(X.shape) < 0.2] = np.nan
        X = X.astype(np.float32)
        mixture = fit(
            make(X),
            n_components=4,
            means_init=np.repeat(centers[:, None], 3, axis=1),
            weights_init=[0.25] * 4,
            precisions_init=np.ones(4),
        )
        nonempty = ~np.isnan(X).all(axis=1)
        np.testing.assert_array_equal(
            mixture.predict(make(X))[nonempty], labels[nonempty]
        )
        np.testing.assert_allclose(mixture.covariances_, 1, atol=0.1)
        _, std = mixture.complete(make(X), return_std=True)
        np.testing.assert_allclose(std[np.isnan(X) & nonempty[:, None]], 1, atol=0.1)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_prior(self, covariance_type, make):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((240, 3)) + 3e4 * (np.arange(240) % 2)[:, None]
        X[rng.random(X.shape) < 0.2] = np.nan
        weights, means = np.array([0.5, 0.5]), np.repeat([[0.0], [3e4]], 3, axis=1)
        variances = np.ones((2, 3))
        mixture = fit(
            make(X),
            n_components=2,
            covariance_type=covariance_type,
            weights_init=weights,
            means_init=means,
            precisions_init=variances if covariance_type == "diag" else [1.0, 1.0],
            max_iter=1,
            reg_covar=0,
            mean_precision_prior=2.5,
        )
        responsibilities, _ = oracles.e_step(X, weights, means, variances)
        expected = oracles.m_step(
            X, responsibilities, means, covariance_type == "spherical", kappa=2.5
        )
        for ours, theirs in zip(plain_parameters(mixture), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e4), (np.float64, 1e8)])
    def test_kmeans(self, make, dtype, scale):
        rng = np.random.default_rng(0)
        labels = rng.integers(2, size=1000)
        X = np.array([-scale, scale])[labels][:, None] + rng.standard_normal((1000, 3))
        X = X.astype(dtype)
        kmeans = KMeansMixture(2, random_state=0).fit(make(X))
        residuals = X.astype(np.float64) - kmeans.cluster_centers_[kmeans.labels_]
        assert kmeans.inertia_ == pytest.approx(np.sum(residuals**2), rel=1e-4)
        np.testing.assert_allclose(kmeans.covariances_, 1, atol=0.1)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_prior_and_kept_means_leave_variances_finite(covariance_type):
    X = np.random.default_rng(0).standard_normal((300, 4))
    X[np.random.default_rng(1).random(X.shape) < 0.5] = np.nan
    mixture = fit(
        X,
        n_components=8,
        covariance_type=covariance_type,
        mean_precision_prior=1,
        min_effective_count=1,
        random_state=0,
        max_iter=500,
    )
    assert mixture.covariances_.max() < 10


@pytest.mark.parametrize("scale", [1e-50, 1e50])
@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_scale_of_the_weights_does_not_matter(scale, make):
    X = make(clusters().astype(np.float32))
    plain = fit(X, n_components=2, random_state=0)
    weighted = fit(X, np.full(200, scale), n_components=2, random_state=0)
    np.testing.assert_allclose(weighted.means_, plain.means_, rtol=1e-4)
    np.testing.assert_allclose(weighted.weights_, plain.weights_, rtol=1e-4)


def test_variance_too_small_to_be_squared():
    with pytest.raises(ValueError, match="too small to be squared"):
        fit(clusters() * 1e-155, n_components=2, reg_covar=0, random_state=0)
