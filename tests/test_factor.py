# SPDX-License-Identifier: BSD-3-Clause
"""Types of rows in a shared space of latent factors, against plain loops."""

import pickle
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import quad
from scipy.linalg import subspace_angles
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.decomposition import FactorAnalysis
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import KFold

from sklearn_gmmcf import (
    UnobservedColumnsWarning,
)
from sklearn_gmmcf._em import run_em
from sklearn_gmmcf.covariance import (
    Factor,
    Family,
    Priors,
    UserInit,
    _factor,
    _factor_start,
    _factor_step,
)
from sklearn_gmmcf.data import _dense, _sparse, observe
from sklearn_gmmcf.datasets import make_ratings
from tests import oracles
from tests.factors import (
    IGNORED_WARNINGS,
    assert_rises,
    drawn_parameters,
    factor,
    from_library,
    ratings,
    sweep_together,
    to_library,
    with_model,
    with_odd_rows,
)
from tests.made import clusters, estimators, to_sparse
from tests.optional import pd

STARTS = ["kmeans", "k-means++", "random", "random_from_data"]
NO_PRIORS = Priors(noise=0, scale=0, mean=0, covariance=0, weight=0)

pytestmark = IGNORED_WARNINGS


@pytest.fixture(params=["whole", "pieces"])
def pieces(request, monkeypatch):
    """Rows, columns and entries all at once, or a few at a time."""
    if request.param == "pieces":
        sweep_together(monkeypatch, 8 * 6 * 4)
        monkeypatch.setattr(_factor, "_CHUNK_ENTRIES", 5 * 6)
        monkeypatch.setattr(_dense, "_BLOCK_BYTES", 1)
        monkeypatch.setattr(_sparse, "_BLOCK_ENTRIES", 30)
        monkeypatch.setattr(_sparse, "_BLOCK_COLUMN_ENTRIES", 0)


class TestDensity:
    @pytest.mark.parametrize("n_components", [1, 2])
    def test_is_the_integral_over_factors(self, n_components):
        X = with_odd_rows(8, 4)
        p = drawn_parameters(X, n_components, r=1)
        ours = with_model(p, X).score_samples(X)

        def normal(x, mean, variance):
            square = (x - mean) ** 2 / variance
            return np.exp(-0.5 * square) / np.sqrt(2 * np.pi * variance)

        def integrand(z, row, k, mean, error):
            variance = p.covariances[k, 0, 0]
            value = normal(z, mean[0], variance) * np.exp(-0.5 * error[0] / variance)
            point = np.array([z, 1.0])
            for j in np.flatnonzero(~np.isnan(row)):
                variance = p.scales[k] * p.noise[j]
                value *= normal(row[j], p.loadings[j] @ point, variance)
                value *= np.exp(-0.5 * (point @ p.spreads[j] @ point) / variance)
            return value

        for i, row in enumerate(X):
            density = 0.0
            for k in range(n_components):
                arguments = (row, k, *oracles.factor_prior(row, p, k))
                integral, _ = quad(integrand, -12, 12, arguments, epsabs=1e-14)
                density += p.weights[k] * integral
            assert ours[i] == pytest.approx(np.log(density), abs=1e-6)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_bound(self, pieces, n_components, make):
        X, Y = with_odd_rows(unknown=[2]), with_odd_rows(seed=1)
        p = drawn_parameters(X, n_components)
        mixture = with_model(p, make(X))
        joint, _, _ = oracles.factor_e_step(Y, p)
        np.testing.assert_allclose(
            mixture.score_samples(make(Y)), logsumexp(joint, axis=1), atol=1e-11
        )
        shares = oracles.factor_shares(joint)
        np.testing.assert_allclose(mixture.predict_proba(make(Y)), shares, atol=1e-11)
        np.testing.assert_array_equal(mixture.predict(make(Y)), shares.argmax(axis=1))

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_is_exact_for_known_loadings(self, n_components):
        X = with_odd_rows()
        p = drawn_parameters(X, n_components, spread=1e-14)
        p.row_slope_variances[:] = 1e-14
        ours = with_model(p, X).score_samples(X)
        for i, row in enumerate(X):
            o = ~np.isnan(row)
            if not o.any():
                continue
            W, noise = p.loadings[o, :-1], p.noise[o]
            log_joint = [
                np.log(p.weights[k])
                + multivariate_normal.logpdf(
                    row[o],
                    W @ oracles.factor_prior(row, p, k)[0] + p.loadings[o, -1],
                    W @ p.covariances[k] @ W.T + p.scales[k] * np.diag(noise),
                )
                for k in range(n_components)
            ]
            assert ours[i] == pytest.approx(logsumexp(log_joint), abs=1e-10)


class TestStep:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize(
        ("missing", "unknown"), [(0.4, []), (0.4, [0, 3]), (0.0, []), (0.0, [1])]
    )
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_equals_a_plain_loop(self, n_components, missing, unknown, weighted, make):
        X = with_odd_rows(25, 5, missing=missing, unknown=unknown)
        rng = np.random.default_rng(1)
        row_weights = rng.uniform(0.2, 3, 25) if weighted else np.ones(25)
        p = drawn_parameters(X, n_components, row_weights=row_weights)
        joint, _, moments = oracles.factor_e_step(X, p)
        expected = oracles.factor_m_step(
            X,
            p,
            oracles.factor_shares(joint, row_weights),
            moments,
            _factor_step._COLUMN_STEPS,
        )
        family = Factor(2)
        data = observe(make(X), weights=row_weights, keep=True, max_rows=10)
        parameters = to_library(p, data.columns)
        statistics = data.total(partial(family.accumulate, parameters))
        ours = from_library(family.maximize(statistics, parameters))
        for name, value in vars(expected).items():
            np.testing.assert_allclose(
                getattr(ours, name), value, rtol=1e-9, atol=1e-11, err_msg=name
            )
        objective = statistics.log_likelihood + family.log_prior(parameters)
        assert objective == pytest.approx(
            oracles.factor_objective(X, p, row_weights), rel=1e-11
        )
        assert statistics.weight == pytest.approx(row_weights.sum())
        assert statistics.size == pytest.approx(row_weights @ (~np.isnan(X)).sum(1))

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_equals_a_plain_loop_in_mixed_units(self, n_components, make):
        by = 10.0 ** np.array([-3, 4, 0, -1, 2])
        X = with_odd_rows(25, 5)
        p = drawn_parameters(X, n_components)
        X = by * X
        p.units = oracles.wide_units(X)
        assert p.units.max() > 1e6 * p.units.min()
        p.loadings *= by[:, None]
        p.spreads *= by[:, None, None] ** 2
        p.noise *= by**2
        joint, _, moments = oracles.factor_e_step(X, p)
        shares = oracles.factor_shares(joint)
        expected = oracles.factor_m_step(
            X, p, shares, moments, _factor_step._COLUMN_STEPS
        )
        family, data = Factor(2), observe(make(X), keep=True)
        parameters = to_library(p, data.columns)
        statistics = data.total(partial(family.accumulate, parameters))
        ours = from_library(family.maximize(statistics, parameters))
        for model in (ours, expected):
            model.loadings /= by[:, None]
            model.spreads /= by[:, None, None] ** 2
            model.noise /= by**2
        for name, value in vars(expected).items():
            np.testing.assert_allclose(
                getattr(ours, name), value, rtol=1e-8, atol=1e-9, err_msg=name
            )
        objective = statistics.log_likelihood + family.log_prior(parameters)
        assert objective == pytest.approx(
            oracles.factor_objective(X, p, np.ones(25)), rel=1e-10
        )

    def test_in_pieces(self, monkeypatch):
        X = with_odd_rows()
        whole = factor(3, 2, max_iter=4).fit(X)
        sweep_together(monkeypatch, 8 * 6 * 4)
        monkeypatch.setattr(_factor, "_BLOCK_NUMBERS", 7 * 12)
        parts = factor(3, 2, max_iter=4).fit(X)
        np.testing.assert_allclose(parts.lower_bounds_, whole.lower_bounds_)
        np.testing.assert_allclose(parts.transform(X), whole.transform(X))

    def test_estimator_takes_these_steps(self, monkeypatch):
        monkeypatch.setattr(Factor, "accelerate", Family.accelerate)
        X = ratings(40, 6, 0.6)
        row_weights = np.random.default_rng(0).uniform(0.2, 3, 40)
        mixture = factor(2, 2, max_iter=3, tol=0)
        p = from_library(mixture.fit(X, sample_weight=row_weights)._model.parameters)
        mixture.set_params(warm_start=True, max_iter=2).fit(
            X, sample_weight=row_weights
        )
        bounds = []
        for _ in range(2):
            bounds.append(
                oracles.factor_objective(X, p, row_weights) / row_weights.sum()
            )
            joint, _, moments = oracles.factor_e_step(X, p)
            shares = oracles.factor_shares(joint, row_weights)
            p = oracles.factor_m_step(X, p, shares, moments, _factor_step._COLUMN_STEPS)
        np.testing.assert_allclose(mixture.lower_bounds_, bounds, rtol=1e-10)
        ours = from_library(mixture._model.parameters)
        for name, value in vars(p).items():
            np.testing.assert_allclose(
                getattr(ours, name), value, rtol=1e-7, atol=1e-9, err_msg=name
            )

    def test_min_variance_is_a_floor_under_the_noise(self):
        X = ratings(60, 8, 0.6)
        free = factor().fit(X).noise_variance_
        floor = np.sort(free)[3]
        floored = factor(min_variance=floor).fit(X).noise_variance_
        assert floored.min() == floor
        assert floored.max() > floor

    def test_stops_by_the_change_of_an_entry(self):
        X = ratings(100, 20, 0.3)
        mixture = factor(2, tol=1e-3).fit(X)
        bounds = np.array(mixture.lower_bounds_) * len(X) / (~np.isnan(X)).sum()
        changes = bounds[3:] - bounds[:-3]
        assert mixture.converged_
        assert changes[-1] < 1e-3 <= changes[:-1].min()


class TestObjective:
    @pytest.mark.slow
    @pytest.mark.parametrize("noise", [0.1, 0.8])
    def test_never_falls_in_long_runs(self, noise):
        X = make_ratings(
            100, 20, n_types=3, density=0.3, noise=noise, random_state=0
        ).data
        mixture = factor(3, 5, max_iter=250, tol=0).fit(X)
        assert len(mixture.lower_bounds_) >= 200
        assert_rises(mixture.lower_bounds_)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("shift", [0, 100])
    def test_never_falls_in_single_precision(self, shift, n_components, make):
        # Squares over so little noise are far beyond the last digit of the objective.
        rng = np.random.default_rng(0)
        X = shift + rng.standard_normal((100, 2)) @ rng.standard_normal((2, 20))
        X[rng.random(X.shape) < 0.2] = np.nan
        X = make(X.astype(np.float32))
        assert X.dtype == np.float32
        mixture = factor(n_components, 4, max_iter=100, tol=0).fit(X)
        assert_rises(mixture.lower_bounds_)

    def test_backtracks_where_scales_overshoot(self, monkeypatch):
        X = np.random.default_rng(0).standard_normal((200, 20))
        params = {"init_params": "random", "tol": 0, "max_iter": 30}
        mixture = factor(2, 1, **params).fit(X)
        assert len(mixture.lower_bounds_) < 30
        assert_rises(mixture.lower_bounds_)
        monkeypatch.setattr(Factor, "backtrack", lambda self, parameters: None)
        bounds = factor(2, 1, **params).fit(X).lower_bounds_
        assert len(bounds) == 30
        assert np.diff(bounds).min() < -0.1

    def test_backtrack_keeps_the_columns(self):
        X = with_odd_rows()
        p = to_library(drawn_parameters(X, 2), observe(X).columns)
        assert Factor(2).backtrack(p) is None
        before = np.array([3.0, 4.0])
        back = Factor(2).backtrack(replace(p, previous_scales=before))
        np.testing.assert_array_equal(back.scales, before)
        assert back.loadings is p.loadings
        assert back.factor_means is p.factor_means
        assert Factor(2).backtrack(back) is None


@pytest.mark.slow
def test_factor_analysis_for_many_rows():
    """The prior and the posterior variance of the loadings vanish with their number."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((3, 10))
    X = rng.standard_normal((5000, 3)) @ W + rng.standard_normal(10)
    X += rng.standard_normal(X.shape) * rng.uniform(0.3, 1, 10)
    family = Factor(3, priors=NO_PRIORS)
    data = observe(X, keep=True)
    first = family.start(data, 1, None, UserInit())
    result = run_em(family, first, data, max_iter=400, tol=1e-8)
    # Twenty rows with the covariance matrix of X have the same maximum, at once.
    centered = X - X.mean(axis=0)
    root = np.linalg.cholesky(np.cov(X.T, bias=True)).T
    rows = np.sqrt(10) * np.vstack([root, -root])
    theirs = FactorAnalysis(3, tol=1e-8, max_iter=5000, svd_method="lapack").fit(rows)
    # The divergence of the loadings' posterior takes some nats for each loading.
    assert 0 < theirs.score(centered) - result.lower_bound < 0.05
    np.testing.assert_allclose(
        family.covariance(result.parameters, 0, np.arange(X.shape[1])),
        theirs.get_covariance(),
        atol=0.02,
    )
    np.testing.assert_allclose(
        result.parameters.loadings[-1] + data.columns.center, X.mean(axis=0), atol=5e-3
    )


class TestStart:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_spans_the_leading_directions(self, weighted, monkeypatch):
        monkeypatch.setattr(_factor_start, "_PASSES", 50)
        rng = np.random.default_rng(0)
        X = rng.standard_normal((300, 4)) @ (
            np.array([[16], [8], [4], [0.1]]) * rng.standard_normal((4, 12))
        )
        X[rng.random(X.shape) < 0.2] = np.nan
        row_weights = rng.uniform(0.2, 3, 300) if weighted else np.ones(300)
        start = factor(n_factors=4, max_iter=0).fit(X, sample_weight=row_weights)
        R = X - [
            np.average(x[~np.isnan(x)], weights=row_weights[~np.isnan(x)]) for x in X.T
        ]
        units = oracles.column_units(X, row_weights)
        R /= units
        damping = _factor_start._DAMPING
        offsets = np.nansum(R, axis=1) / ((~np.isnan(R)).sum(axis=1) + damping)
        counts = row_weights @ ~np.isnan(X)
        variance = row_weights @ np.nansum(R**2, axis=1) / counts.sum()
        R = np.nan_to_num(R - offsets[:, None])
        in_columns = np.sqrt(counts + damping)
        in_rows = np.sqrt((~np.isnan(X)).sum(axis=1) + damping) / np.sqrt(row_weights)
        _, strengths, directions = np.linalg.svd(R / in_columns / in_rows[:, None])
        directions = directions[:3] / in_columns
        W = start.components_[1:] / units
        assert subspace_angles(W.T, directions.T).max() < 1e-3
        # Together an eighth of the variance, as strong as the singular values.
        sizes = np.sqrt(W**2 @ (counts / counts.sum()))
        expected = strengths[:3] / strengths[:3].mean() * np.sqrt(variance / 24)
        np.testing.assert_allclose(sizes, expected, rtol=1e-4)
        # The first factor is the row's offset, alike in all columns, in their units.
        size = np.sqrt(np.average(offsets**2, weights=row_weights))
        np.testing.assert_allclose(start.components_[0], size * units)

    @pytest.mark.parametrize("n_components", [1, 2])
    def test_objective(self, n_components):
        X = with_odd_rows(unknown=[2])
        start = factor(n_components, 2, max_iter=0).fit(X)
        p = from_library(start._model.parameters)
        first = factor(n_components, 2, max_iter=1).fit(X)
        objective = oracles.factor_objective(X, p, np.ones(len(X))) / len(X)
        assert first.lower_bounds_ == [pytest.approx(objective, rel=1e-10)]

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_types_are_by_the_noise_of_rows(self, pieces, make):
        X = with_odd_rows(unknown=[2])
        n, rng = len(X), np.random.default_rng(0)
        row_weights = rng.uniform(0.2, 3, n)
        family, data = Factor(2), observe(make(X), weights=row_weights, keep=True)
        p = from_library(family.start(data, 1, None, UserInit()))
        _, _, moments = oracles.factor_e_step(X, p)
        damping = _factor_start._DAMPING
        noise = [
            np.log(
                (oracles.factor_residual(row, p, moment) + damping)
                / (len(oracles.factor_columns(row, p)) + damping)
            )
            for row, moment in zip(X, moments[:, 0], strict=True)
        ]
        shares = rng.dirichlet(np.ones(3), n)

        def divide(table):
            values = table.gather(np.arange(n))[0][:, 0] + table.columns.center
            np.testing.assert_allclose(values, noise, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(table.weights, row_weights)
            return lambda rows: shares[rows].T.copy()

        ours = from_library(family.start(data, 3, divide, UserInit()))
        p.weights, p.scales = np.full(3, 1 / 3), np.ones(3)
        p.factor_means = np.zeros((3, 2))
        p.covariances = np.repeat(np.eye(2)[None], 3, 0)
        expected = oracles.factor_m_step(
            X,
            p,
            shares * row_weights[:, None],
            np.repeat(moments, 3, axis=1),
            _factor_step._COLUMN_STEPS,
        )
        for name, value in vars(expected).items():
            np.testing.assert_allclose(
                getattr(ours, name), value, rtol=1e-9, atol=1e-11, err_msg=name
            )


class TestTypes:
    def test_are_told_by_their_noise(self):
        rng = np.random.default_rng(0)
        types = rng.integers(2, size=400)
        X = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 25))
        X += np.array([0.3, 1.2])[types][:, None] * rng.standard_normal(X.shape)
        X[rng.random(X.shape) < 0.5] = np.nan
        for init_params in ("kmeans", "k-means++"):
            mixture = factor(2, 4, init_params=init_params).fit(X)
            order = mixture.noise_scale_.argsort()
            labels = order.argsort()[mixture.predict(X)]
            assert np.mean(labels == types) > 0.97
            low, high = mixture.noise_scale_[order]
            assert high / low == pytest.approx(16, rel=0.25)

    def test_are_told_by_their_factors(self):
        rng = np.random.default_rng(0)
        types = rng.integers(2, size=400)
        factor_means = np.array([[1.5, 1.5], [-1.5, -1.5]])
        Z = factor_means[types] + np.array([[1.0], [0.3]])[types] * rng.standard_normal(
            (400, 2)
        )
        X = Z @ rng.standard_normal((2, 25)) + 0.3 * rng.standard_normal((400, 25))
        X[rng.random(X.shape) < 0.5] = np.nan
        mixture = factor(2, 3, max_iter=500, n_init=3).fit(X)
        agreed = np.mean(mixture.predict(X) == types)
        assert max(agreed, 1 - agreed) > 0.97
        expected = [np.nanmean(X[types == k], axis=0) for k in range(2)]
        order = [0, 1] if agreed > 0.5 else [1, 0]
        np.testing.assert_allclose(mixture.means_[order], expected, atol=0.5)

    def test_noise_of_types_has_bounds(self):
        rng = np.random.default_rng(0)
        # Most rows are noisy, or the tails of the columns would lift the noise.
        size = np.repeat([1e-3, 0.1, 10], [50, 50, 200])[:, None]
        X = rng.standard_normal((300, 1)) + size * rng.standard_normal((300, 20))
        X[rng.random(X.shape) < 0.3] = np.nan
        mixture = factor(3, 2, tol=0, max_iter=100).fit(X)
        assert mixture.noise_scale_.max() == 100
        assert_rises(mixture.lower_bounds_)
        row_weights = np.full(300, 1e4)
        p = drawn_parameters(X, 2, row_weights=row_weights)
        for by, bound in [(1e-4, 100), (1e6, 0.01)]:
            p.noise *= by
            joint, _, moments = oracles.factor_e_step(X, p)
            shares = oracles.factor_shares(joint, row_weights)
            expected = oracles.factor_type_step(X, p, shares, moments).scales
            data = observe(X, weights=row_weights)
            parameters = to_library(p, data.columns)
            statistics = Factor(2).accumulate(parameters, next(iter(data)))
            ours = Factor(2).maximize(statistics, parameters).scales
            np.testing.assert_allclose(ours, np.clip(expected, 0.01, 100))
            assert bound in ours
            p.noise /= by

    def test_given_weights(self):
        X = ratings()
        given_weights = np.array([0.7, 0.1, 0.2])
        start = factor(3, weights_init=given_weights, max_iter=0).fit(X)
        np.testing.assert_array_equal(start.weights_, given_weights)
        other = factor(3, max_iter=0).fit(X)
        np.testing.assert_allclose(start.noise_scale_, other.noise_scale_)
        assert np.abs(other.weights_ - given_weights).max() > 0.05

    def test_given_weight_of_zero(self):
        X = ratings()
        mixture = factor(2, weights_init=[1.0, 0.0], tol=0, max_iter=20).fit(X)
        assert np.isfinite(mixture.complete(X, return_std=True)).all()
        assert mixture.weights_[1] > 0
        assert_rises(mixture.lower_bounds_[1:])


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spread", [0.0, 0.5, 5.0])
def test_units_of_columns(spread, weighted, make):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 9)) * np.exp(spread * rng.standard_normal(9))
    X[rng.random(X.shape) < 0.3] = np.nan
    X[:, 2] = np.nan
    X[1:, 4] = np.nan
    X[:, 5] = 3.7
    X[2:, 6] = np.nan
    row_weights = rng.uniform(0.2, 3, 60) if weighted else None
    columns = observe(make(X), weights=row_weights).columns
    expected = oracles.column_units(X, row_weights)
    np.testing.assert_allclose(columns.units, expected, rtol=1e-10)
    variances = [np.var(x[~np.isnan(x)]) for x in X[:, [0, 1, 3, 6]].T]
    if not weighted:
        np.testing.assert_allclose(columns.variances[[0, 1, 3, 6]], variances)
    # Columns that say nothing have the common unit; columns unlike others their own.
    common = columns.units[[2, 4, 5]]
    assert np.ptp(common) == 0
    if spread == 5.0:
        own = np.nanstd(X[:, [0, 1, 3]], axis=0)
        np.testing.assert_allclose(columns.units[[0, 1, 3]], own, rtol=0.2)


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1e-90, 1.0, 1e90])
def test_tails_of_columns(pieces, scale, weighted, make):
    """Kurtosis, where it is surely more than of normal entries, in blocks too."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(3, (400, 7)) + 5 * np.arange(7)
    X[:, 2] = rng.random(400) < 0.02  # nearly constant, and skewed
    X[:, 3] = rng.standard_normal(400)
    X[:, 4] = rng.exponential(size=400) ** 2
    X[rng.random(X.shape) < 0.3] = np.nan
    X[100:200] = np.nan
    X[:, 5] = np.nan
    X[:, 6] = 3.7
    row_weights = rng.uniform(0.2, 3, 400) if weighted else None
    columns = observe(make(X * scale), weights=row_weights).columns
    expected = oracles.wide_units(X, row_weights)
    np.testing.assert_allclose(columns.wide_units / scale, expected, rtol=1e-8)
    assert columns.tails[[2, 4]].min() > 2
    np.testing.assert_array_equal(columns.tails[[3, 5, 6]], 1)


@pytest.mark.parametrize("n_components", [1, 3])
def test_starts_are_one(n_components):
    X = ratings(60, 8, 0.6)
    one, many = (factor(n_components, n_init=n, max_iter=5).fit(X) for n in (1, 4))
    assert len(many.runs_) == 1
    assert many.lower_bounds_ == one.lower_bounds_
    np.testing.assert_array_equal(many.transform(X), one.transform(X))


class TestCompletion:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_equals_a_plain_loop(self, pieces, n_components, make):
        X, Y = with_odd_rows(unknown=[2]), with_odd_rows(seed=1)
        p = drawn_parameters(X, n_components)
        mixture = with_model(p, make(X))
        mean, std = oracles.factor_completion(Y, p)
        missing = np.isnan(Y)
        completed, completed_std = mixture.complete(make(Y), return_std=True)
        np.testing.assert_allclose(completed[missing], mean[missing], rtol=1e-9)
        np.testing.assert_allclose(completed_std[missing], std[missing], rtol=1e-9)
        np.testing.assert_array_equal(completed[~missing], Y[~missing])
        assert (completed_std[~missing] == 0).all()
        np.testing.assert_array_equal(mixture.transform(make(Y)), completed)
        rng = np.random.default_rng(0)
        rows, columns = rng.integers(len(Y), size=80), rng.integers(6, size=80)
        values, value_std = mixture.complete(
            make(Y), entries=(rows, columns), return_std=True
        )
        np.testing.assert_allclose(values, completed[rows, columns], rtol=1e-9)
        np.testing.assert_allclose(value_std, completed_std[rows, columns], rtol=1e-9)
        np.testing.assert_array_equal(
            mixture.complete(make(Y), entries=(rows, columns)), values
        )

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_log_density_of_entries(self, pieces, n_components, make):
        X, Y = with_odd_rows(unknown=[2]), with_odd_rows(seed=1)
        p = drawn_parameters(X, n_components)
        shares = oracles.factor_shares(oracles.factor_e_step(Y, p)[0])
        means, variances = oracles.factor_conditionals(Y, p)
        rng = np.random.default_rng(0)
        rows, columns = np.nonzero(np.isnan(Y))
        some = rng.integers(len(rows), size=60)
        rows, columns = rows[some], columns[some]
        values = 3 + columns + rng.standard_normal(60)
        expected = [
            np.log(
                shares[i] @ norm.pdf(value, means[i, :, j], np.sqrt(variances[i, :, j]))
            )
            for i, j, value in zip(rows, columns, values, strict=True)
        ]
        ours = with_model(p, make(X)).score_entries(make(Y), (rows, columns), values)
        np.testing.assert_allclose(ours, expected, rtol=1e-9)

    def test_90_percent_intervals(self):
        rng = np.random.default_rng(0)
        n, d = 1000, 60
        types = rng.integers(2, size=n)
        Z = rng.standard_normal((n, 3)) + np.array([[1, 0, 0], [-1, 0, 0]])[types]
        truth = 3 + rng.standard_normal(d) + Z @ (rng.standard_normal((3, d)) / 2)
        noise = np.sqrt(np.array([0.5, 2])[types][:, None] * rng.uniform(0.2, 1, d))
        truth += noise * rng.standard_normal((n, d))
        X = np.where(rng.random((n, d)) < 0.75, np.nan, truth)
        X[:990, 0] = np.nan  # little is known about two columns
        X[30:, 1] = np.nan
        missing = np.isnan(X)
        for n_components in (1, 2):
            mixture = factor(n_components, 5).fit(X)
            completed, std = mixture.complete(X, return_std=True)
            held = np.abs(completed - truth) < 1.645 * std
            assert 0.88 <= held[missing].mean() <= 0.92
            draws = mixture.sample_completions(X[:200], 200, random_state=0)
            low, high = np.quantile(draws, [0.05, 0.95], axis=0)
            held = (low <= truth[:200]) & (truth[:200] <= high)
            assert 0.88 <= held[missing[:200]].mean() <= 0.92
            if n_components == 2:  # of either type
                for k in range(2):
                    inside = np.abs(completed - truth)[types == k] < (
                        1.645 * std[types == k]
                    )
                    assert 0.87 <= inside[missing[types == k]].mean() <= 0.93


class TestDraws:
    @staticmethod
    def moments(Y, p, rows, columns):
        """Means and covariance of entries: by common loadings and common factors."""
        joint, means, moments = oracles.factor_e_step(Y, p)
        shares = oracles.factor_shares(joint)
        factors = np.einsum("nk,nkq->nq", shares, means)
        second = np.einsum("nk,nkpq->npq", shares, moments)
        mean, std = oracles.factor_completion(Y, p)
        covariance = np.zeros((len(rows), len(rows)))
        for a, (i, j) in enumerate(zip(rows, columns, strict=True)):
            for b, (i_, j_) in enumerate(zip(rows, columns, strict=True)):
                if (i, j) == (i_, j_):
                    covariance[a, b] = std[i, j] ** 2
                elif i == i_:
                    spread = second[i] - np.outer(factors[i], factors[i])
                    covariance[a, b] = p.loadings[j] @ spread @ p.loadings[j_]
                elif j == j_:
                    covariance[a, b] = factors[i] @ p.spreads[j] @ factors[i_]
        return mean[rows, columns], covariance

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_moments(self, pieces, n_components, make):
        X, Y = with_odd_rows(unknown=[2]), with_odd_rows(8, seed=1)
        p = drawn_parameters(X, n_components, spread=0.8)
        mixture = with_model(p, make(X))
        n_draws = 3000
        draws = mixture.sample_completions(make(Y), n_draws, random_state=0)
        missing = np.isnan(Y)
        assert (draws[:, ~missing] == Y[~missing]).all()
        rows, columns = np.nonzero(missing)
        mean, covariance = self.moments(Y, p, rows, columns)
        std = np.sqrt(np.diag(covariance))
        error = (draws[:, rows, columns].mean(axis=0) - mean) / std
        assert np.abs(error).max() < 5 / np.sqrt(n_draws)
        # The draws are not normal, and their products even less: a wider band.
        error = (np.cov(draws[:, rows, columns].T) - covariance) / np.outer(std, std)
        assert np.abs(error).max() < 8 / np.sqrt(n_draws)
        # So wide a band still tells shared loadings from others.
        apart = columns[:, None] == columns
        apart &= rows[:, None] != rows
        assert (np.abs(covariance) / np.outer(std, std))[apart].max() > 0.3

        rows, columns = np.array([5, 0, 5, 7]), np.array([4, 2, 2, 2])
        Y[rows, columns] = np.nan
        Y[0, 2] = 1.0
        some = mixture.sample_completions(
            make(Y), n_draws, entries=(rows, columns), random_state=1
        )
        assert (some[:, 1] == 1).all()
        drawn = [0, 2, 3]
        mean, covariance = self.moments(Y, p, rows[drawn], columns[drawn])
        std = np.sqrt(np.diag(covariance))
        error = (some[:, drawn].mean(axis=0) - mean) / std
        assert np.abs(error).max() < 5 / np.sqrt(n_draws)
        error = (np.cov(some[:, drawn].T) - covariance) / np.outer(std, std)
        assert np.abs(error).max() < 8 / np.sqrt(n_draws)

    def test_column_with_one_rating_errs_as_one(self):
        rng = np.random.default_rng(0)
        X = 3 + 0.1 * rng.standard_normal((100, 6))
        X += 2 * rng.standard_normal(6)
        X[1:, 2] = np.nan
        mixture = factor(n_factors=1).fit(X)
        draws = mixture.sample_completions(X, 300, random_state=0)
        errors = draws[:, 1:, 2] - draws[:, 1:, 2].mean(axis=0)
        shared = errors.mean(axis=1).var() / errors.var()
        assert shared > 0.3

    @pytest.mark.parametrize("n_components", [1, 2])
    def test_sample(self, n_components):
        X = with_odd_rows()
        p = drawn_parameters(X, n_components)
        mixture = with_model(p, X)
        n = 60_000
        rows, labels = mixture.sample(n)
        assert rows.shape == (n, 6)
        assert (np.diff(labels) >= 0).all()
        np.testing.assert_allclose(
            np.bincount(labels) / n, p.weights, atol=3 / np.sqrt(n)
        )
        for k in range(n_components):
            component_rows = rows[labels == k]
            expected = oracles.factor_covariance(p, k)
            std = np.sqrt(np.diag(expected))
            error = (component_rows.mean(axis=0) - mixture.means_[k]) / std
            assert np.abs(error).max() < 5 / np.sqrt(len(component_rows))
            error = (np.cov(component_rows.T) - expected) / np.outer(std, std)
            assert np.abs(error).max() < 8 / np.sqrt(len(component_rows))
            np.testing.assert_allclose(mixture.get_covariance(k), expected)


class TestCriteria:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("unknown", [[], [1, 3]])
    def test_number_of_parameters(self, n_components, unknown, make):
        X = ratings(60, 8, 0.6)
        X[:, unknown] = np.nan
        r, d = 3, 8 - len(unknown)
        mixture = factor(n_components, r).fit(make(X))
        if n_components == 1:
            expected = (r + 2) * d - 3
        else:
            expected = 2 + (r + 2) * d + (3 * r + 3 * 6 - r - r**2) + 2
        total_score = mixture.score_samples(make(X)).sum()
        assert mixture.score(make(X)) == pytest.approx(total_score / len(X))
        bic = mixture.bic(make(X))
        assert bic == pytest.approx(-2 * total_score + expected * np.log(len(X)))
        assert mixture.aic(make(X)) == pytest.approx(-2 * total_score + 2 * expected)
        shares = mixture.predict_proba(make(X))
        entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-300)))
        assert mixture.icl(make(X)) == pytest.approx(bic + 2 * entropy)

    @pytest.mark.parametrize("n_components", [1, 2, 5])
    @pytest.mark.parametrize("d", [1, 2, 4, 7])
    def test_more_factors_never_have_fewer_parameters(self, d, n_components):
        X = np.random.default_rng(0).standard_normal((60, d))
        full = n_components * (d + d * (d + 1) // 2) + n_components - 1
        counts = []
        for r in range(1, 12):
            mixture = factor(n_components, r, max_iter=0).fit(X)
            counts.append((mixture.bic(X) - mixture.aic(X)) / (np.log(60) - 2))
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
        assert counts[0] > 0
        assert np.diff(counts).min() > -1e-6
        assert max(counts) < full + 1e-6
        if d == 1:
            np.testing.assert_allclose(counts, full)


class TestAttributes:
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_shapes(self, n_components):
        mixture = factor(n_components, 4).fit(ratings(60, 8, 0.6))
        shapes = {
            "weights_": (n_components,),
            "means_": (n_components, 8),
            "components_": (4, 8),
            "intercept_": (8,),
            "noise_variance_": (8,),
            "noise_scale_": (n_components,),
            "factor_means_": (n_components, 4),
            "factor_covariances_": (n_components, 4, 4),
            "factor_precision_": (4,),
        }
        for name, shape in shapes.items():
            assert getattr(mixture, name).shape == shape, name
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            assert not hasattr(mixture, name)
        if n_components == 1:
            np.testing.assert_array_equal(mixture.weights_, 1)
            np.testing.assert_array_equal(mixture.noise_scale_, 1)
            np.testing.assert_array_equal(mixture.factor_means_, 0)
            np.testing.assert_array_equal(mixture.factor_covariances_[0], np.eye(4))

    @pytest.mark.parametrize("seed", range(5))
    def test_order_and_signs(self, seed):
        X = with_odd_rows()
        p = drawn_parameters(X, 3, r=4, seed=seed)
        p.loadings[:, 0] *= -0.1  # the row's offset comes first, however small
        p.loadings[:, 1] *= -0.5
        mixture = with_model(p, X)
        W = p.loadings[:, :-1]
        in_units = W / p.units[:, None]
        sizes = np.linalg.norm(in_units, axis=0)
        order = [0, *sorted([1, 2, 3], key=lambda q: -sizes[q])]
        signs = [np.sign(W[np.abs(in_units[:, q]).argmax(), q]) for q in order]
        for k, (mean, covariance) in enumerate(
            zip(p.factor_means, p.covariances, strict=True)
        ):
            np.testing.assert_allclose(mixture.factor_means_[k], signs * mean[order])
            for a, q in enumerate(order):
                np.testing.assert_allclose(
                    mixture.factor_covariances_[k, a],
                    signs[a] * covariance[q, order] * signs,
                )
        for a, q in enumerate(order):
            np.testing.assert_allclose(mixture.components_[a], signs[a] * W[:, q])
            assert mixture.factor_precision_[a] == p.prior_precision[q]

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_describe_the_model(self, n_components):
        X = with_odd_rows()
        p = drawn_parameters(X, n_components, r=3, spread=1e-14, features=False)
        mixture = with_model(p, X)
        W = mixture.components_
        np.testing.assert_allclose(mixture.intercept_, p.loadings[:, -1])
        np.testing.assert_allclose(mixture.noise_variance_, p.noise)
        completed = mixture.transform(X)
        shares = mixture.predict_proba(X)
        for k in range(n_components):
            np.testing.assert_allclose(
                mixture.means_[k], mixture.factor_means_[k] @ W + mixture.intercept_
            )
            covariance = W.T @ mixture.factor_covariances_[k] @ W
            covariance += mixture.noise_scale_[k] * np.diag(mixture.noise_variance_)
            np.testing.assert_allclose(mixture.get_covariance(k), covariance)
        for i, row in enumerate(X):
            expected = sum(
                shares[i, k]
                * oracles.condition(row, mixture.means_[k], mixture.get_covariance(k))[
                    1
                ]
                for k in range(n_components)
            )
            np.testing.assert_allclose(completed[i], expected, rtol=1e-8)

    def test_predict_where_loadings_are_well_known(self):
        X = ratings(3000, 10, 0.5)
        mixture = factor(n_factors=4).fit(X)
        W = mixture.components_
        covariance = W.T @ W + np.diag(mixture.noise_variance_)
        completed = mixture.transform(X[:50])
        for row, filled in zip(X[:50], completed, strict=True):
            expected = oracles.condition(row, mixture.means_[0], covariance)[1]
            np.testing.assert_allclose(filled, expected, atol=0.05)


class TestErrors:
    @pytest.mark.parametrize("n_factors", [0, 2.5])
    def test_number_of_factors(self, n_factors):
        with pytest.raises(ValueError, match="'n_factors' parameter"):
            factor(n_factors=n_factors).fit(with_odd_rows())


class TestCovariance:
    def test_each_family(self):
        X = clusters(60, 4)
        for estimator in estimators(random_state=0):
            estimator.fit(X)
            if "factor" in str(estimator):
                p = from_library(estimator._model.parameters)
                expected = [oracles.factor_covariance(p, k) for k in range(2)]
            else:
                C = estimator.covariances_
                kind = getattr(estimator, "covariance_type", "spherical")
                expected = {
                    "spherical": lambda C: [c * np.eye(4) for c in C],
                    "diag": lambda C: [np.diag(c) for c in C],
                    "tied": lambda C: [C, C],
                    "full": list,
                }[kind](C.copy())
            before = estimator.score(X)
            for k in range(2):
                covariance = estimator.get_covariance(k)
                np.testing.assert_allclose(covariance, expected[k], rtol=1e-12)
                covariance[:] = 0
                np.testing.assert_array_equal(
                    estimator.get_covariance(np.int64(k)) == 0, expected[k] == 0
                )
            assert estimator.score(X) == before

    @pytest.mark.parametrize("component", [-1, 2, 0.0, "0"])
    def test_invalid_component(self, component):
        match = r"component should be an integer from 0 to 1, but got"
        for estimator in estimators(random_state=0):
            with pytest.raises(NotFittedError):
                estimator.get_covariance(0)
            with pytest.raises(ValueError, match=match):
                estimator.fit(clusters(60, 4)).get_covariance(component)


class TestWarmStart:
    @pytest.mark.parametrize("first", [1, 2, 3])
    def test_continues_where_scales_overshoot(self, first):
        X = np.random.default_rng(0).standard_normal((200, 20))
        params = {"init_params": "random", "tol": 0}
        cold = factor(2, 1, max_iter=6, **params).fit(X)
        warm = factor(2, 1, max_iter=first, warm_start=True, **params).fit(X)
        bounds = warm.lower_bounds_
        warm.set_params(max_iter=6 - first).fit(X)
        np.testing.assert_allclose(bounds + warm.lower_bounds_, cold.lower_bounds_)
        np.testing.assert_allclose(warm.noise_scale_, cold.noise_scale_)

    def test_objective_of_data_centered_elsewhere(self):
        X, Y = ratings(seed=0), ratings(seed=1) + 3
        warm = factor(2, warm_start=True).fit(X)
        p = from_library(warm._model.parameters)
        warm.set_params(max_iter=1).fit(Y)
        p.units = oracles.wide_units(Y)
        objective = oracles.factor_objective(Y, p, np.ones(len(Y))) / len(Y)
        assert warm.lower_bounds_ == [pytest.approx(objective, rel=1e-10)]

    def test_on_data_that_hide_a_column(self):
        X, Y = ratings(seed=0), ratings(seed=1)
        Y[:, 2] = np.nan
        warm = factor(2, warm_start=True).fit(X)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnobservedColumnsWarning)
            warm.fit(Y)
        assert np.isfinite(warm.complete(Y, return_std=True)).all()


def test_pickle_stores_no_derived_values():
    X = ratings(60, 8, 0.6)
    mixture = factor(2).fit(X)
    size = len(pickle.dumps(mixture))
    mixture.complete(X, return_std=True)
    assert len(pickle.dumps(mixture)) == size


@pytest.mark.slow
def test_movielens(data_file):
    table = pd.read_csv(data_file("ml-latest-small/ratings.csv.gz"))
    users, items = (pd.factorize(table[name])[0] for name in ("userId", "movieId"))
    values = table["rating"].to_numpy()
    train, test = next(KFold(5, shuffle=True, random_state=0).split(values))
    X = sparse.csr_array(
        (values[train], (users[train], items[train])),
        shape=(users.max() + 1, items.max() + 1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        mixture = factor(4, 10).fit(X)
    completed, std = mixture.complete(
        X, entries=(users[test], items[test]), return_std=True
    )
    predicted = np.clip(completed, 0.5, 5)
    assert 0.80 <= np.sqrt(np.mean((predicted - values[test]) ** 2)) <= 0.866
    assert 0.86 <= np.mean(np.abs(completed - values[test]) < 1.645 * std) <= 0.93


def test_warm_start_refuses_another_number_of_factors():
    warm = factor(n_factors=3, warm_start=True).fit(with_odd_rows())
    with pytest.raises(ValueError, match="n_factors=3, but n_factors is 2 now"):
        warm.set_params(n_factors=2).fit(with_odd_rows())


def test_setting_attributes_changes_no_prediction():
    X = with_odd_rows()
    mixture = factor(2).fit(X)
    before = mixture.score(X)
    for name in ("weights_", "noise_variance_", "noise_scale_", "factor_precision_"):
        getattr(mixture, name)[:] = 1e3
    assert mixture.score(X) == before
