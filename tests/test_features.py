# SPDX-License-Identifier: BSD-3-Clause
"""Features that inform the priors of 'factor', against plain loops."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import svds
from scipy.special import expit
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf.covariance import Factor, Family
from sklearn_gmmcf.covariance import _factor_features as features_module
from sklearn_gmmcf.covariance import _factor_step as step_module
from sklearn_gmmcf.covariance._factor_basis import change_basis, find_basis
from sklearn_gmmcf.covariance._factor_features import learn_features, solve_slopes
from sklearn_gmmcf.data import observe
from sklearn_gmmcf.datasets import make_ratings
from tests import oracles
from tests.drawn import tables
from tests.factors import (
    COMPONENTS,
    IGNORED_WARNINGS,
    assert_rises,
    drawn_parameters,
    factor,
    from_library,
    spd,
    to_library,
    with_model,
    with_odd_rows,
)
from tests.made import to_sparse

pytestmark = [
    *IGNORED_WARNINGS,
    pytest.mark.filterwarnings("ignore::sklearn_gmmcf.ConstantCovariatesWarning"),
]
CONTAINERS = pytest.mark.parametrize("make", [np.array, to_sparse])


def masked(n=60, d=9, seed=0, unknown=()):
    """Entries missing by a row's and a column's propensity, and one empty row."""
    rng = np.random.default_rng(seed)
    taste, trait = rng.standard_normal((n, 2)), rng.standard_normal((2, d))
    X = 3 + taste @ trait + rng.standard_normal((n, d))
    odds = taste @ trait + rng.standard_normal(d)
    X[rng.random((n, d)) > 1 / (1 + np.exp(-odds))] = np.nan
    X[4] = np.nan
    X[0, np.isnan(X).all(axis=0)] = 3.0
    X[:, list(unknown)] = np.nan
    return X


def described(n=60, d=9, seed=0):
    """A table with two covariates (columns 1 and 6), and three features of columns."""
    rng = np.random.default_rng(seed)
    X = masked(n, d, seed)
    X[:, 1] = 40 + 10 * rng.standard_normal(n)
    X[:, 6] = rng.integers(2, size=n)
    X[7, 1] = X[9, 6] = X[9, 1] = np.nan
    G = rng.standard_normal((d, 3))
    G[2, 1] = np.nan
    return X, {"covariates": [1, 6], "column_features": G}


class TestFeaturesOfTheMask:
    """Directions by scipy, and plain loops for the features made of them."""

    @staticmethod
    def damped(X, row_weights):
        M = ~np.isnan(X)
        in_rows = np.sqrt(row_weights / (M.sum(axis=1) + 5))
        in_columns = 1 / np.sqrt(row_weights @ M + 30)
        return in_rows[:, None] * M * in_columns

    @CONTAINERS
    @pytest.mark.parametrize("unknown", [[], [2]])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_directions(self, weighted, unknown, make, monkeypatch):
        monkeypatch.setattr(features_module, "_PASSES", 1000)
        X = masked(unknown=unknown)
        rng = np.random.default_rng(1)
        row_weights = rng.uniform(0.5, 2, len(X)) if weighted else np.ones(len(X))
        data = observe(make(X), weights=row_weights, keep=True)
        W = learn_features(data, 3).directions
        N = self.damped(X, row_weights)
        _, values, V = svds(N, 3)
        order = values.argsort()[::-1]
        scaled = W * np.sqrt(row_weights @ ~np.isnan(X) + 30)
        np.testing.assert_allclose(scaled @ scaled.T, np.eye(3), atol=1e-9)
        for ours, theirs in zip(scaled, V[order], strict=True):
            sign = np.sign(ours @ theirs)
            np.testing.assert_allclose(sign * ours, theirs, atol=1e-6)
        np.testing.assert_allclose(
            np.linalg.norm(N @ scaled.T, axis=0), values[order], rtol=1e-9
        )
        assert (W[:, unknown] == 0).all()

    def test_six_passes_are_enough(self):
        X = masked(300, 40)
        W = learn_features(observe(X, keep=True), 20).directions
        N = self.damped(X, np.ones(300))
        scaled = W * np.sqrt((~np.isnan(X)).sum(axis=0) + 30)
        found = np.linalg.norm(N @ scaled.T, axis=0)
        exact = np.linalg.svd(N)[1][:20]
        np.testing.assert_allclose(found[:5], exact[:5], rtol=1e-3)
        assert (found**2).sum() > 0.99 * (exact**2).sum()

    @CONTAINERS
    @pytest.mark.parametrize("weighted", [False, True])
    def test_row_features(self, weighted, make):
        X = masked(unknown=[2])
        rng = np.random.default_rng(1)
        row_weights = rng.uniform(0.5, 2, len(X)) if weighted else np.ones(len(X))
        data = observe(make(X), weights=row_weights, keep=True)
        features = learn_features(data, 3)
        raw, weights = [], []
        for row, weight in zip(X, row_weights, strict=True):
            o = ~np.isnan(row)
            projected = [w[o].sum() / np.sqrt(o.sum() + 5) for w in features.directions]
            raw.append([*projected, np.log(1 + o.sum())])
            weights.append(weight if o.any() else 0.0)
        raw = np.array(raw)
        mean = np.average(raw, axis=0, weights=weights)
        variance = np.average((raw - mean) ** 2, axis=0, weights=weights)
        np.testing.assert_allclose(features.centers, mean)
        np.testing.assert_allclose(features.inverse_scales, 1 / np.sqrt(variance))
        f = np.clip((raw - mean) / np.sqrt(variance), -4, 4)
        f[4] = 0.0  # the row without entries
        block = next(iter(data))
        ours = features.describe(block)
        np.testing.assert_allclose(ours.T, f, atol=1e-12)
        covariance = (f * np.array(weights)[:, None]).T @ f / sum(weights)
        np.testing.assert_allclose(features.row_covariance, covariance, atol=1e-12)

    def test_row_features_unlike_the_fitted_ones_are_bounded(self):
        """New rows that miss more do not go beyond what these have taught."""
        X = masked(200, 12)
        X[~np.isnan(X).all(axis=1)] = np.nan_to_num(X[~np.isnan(X).all(axis=1)])
        X[10:13, :5] = np.nan
        mixture = factor(1, 3).fit(X)
        p = from_library(mixture._model.parameters)
        row = np.full(12, np.nan)
        row[7] = 4.0
        f = oracles.row_features(row, p)
        assert np.abs(f).max() == 4
        block = next(iter(observe(row[None], columns=mixture._model.columns)))
        features = mixture._model.parameters.features
        ours = features.describe(block)
        np.testing.assert_allclose(ours[:, 0], f, rtol=1e-9)

    @CONTAINERS
    def test_of_columns(self, make):
        X = masked(unknown=[2])
        features = learn_features(observe(make(X), keep=True), 3)
        counts = (~np.isnan(X)).sum(axis=0)
        raw = np.vstack([features.directions, np.log(1 + counts)])
        known = counts > 0
        for ours, values in zip(features.columns, raw, strict=True):
            mean, scale = values[known].mean(), values[known].std()
            np.testing.assert_allclose(ours[known], (values[known] - mean) / scale)
        assert (features.columns[:, ~known] == 0).all()

    def test_known_features_of_columns(self):
        X, G = masked(unknown=[5]), np.random.default_rng(0).standard_normal((9, 3))
        G[2, 1] = np.nan
        G[:, 2] = 7.0
        features = learn_features(observe(X, features=G.T, keep=True), 0)
        known = np.arange(9) != 5
        for q, values in enumerate(G.T[:2]):
            seen = known & ~np.isnan(values)
            gaps = np.where(np.isnan(values), 0.0, values - values[seen].mean())
            scale = np.sqrt(np.mean(gaps[known] ** 2))
            np.testing.assert_allclose(features.columns[q], gaps / scale, atol=1e-12)
        assert (features.columns[2] == 0).all()
        assert features.directions.shape == (0, 9)

    def test_rank(self):
        X = masked(200, 12)
        for mask_rank, rank in [(0, 0), (1, 1), (5, 5), ("auto", 11), (100, 11)]:
            features = learn_features(observe(X, keep=True), mask_rank)
            assert features.directions.shape == (rank, 12)
            assert features.n_row_features == (rank + 1 if rank else 0)
        few = learn_features(observe(X[:20], keep=True), "auto")
        assert len(few.directions) == 5  # a direction for four rows
        wide = masked(400, 90)
        assert len(learn_features(observe(wide, keep=True), "auto").directions) == 60

    @pytest.mark.parametrize("unknown", [[], [0]])
    def test_of_a_new_column_and_of_an_empty_row(self, unknown):
        """Predicted by a ridge of ten cases on the known features."""
        X, options = described(80)
        X[:, unknown] = np.nan
        G = options["column_features"].T
        covariates = np.array(options["covariates"])
        data = observe(X, covariates=covariates, features=G, keep=True)
        features = learn_features(data, 4)
        known, n = data.columns.known, 5
        F = features.columns[:, known]
        ridge = 10 / known.sum() * np.eye(3)
        C = F @ F.T / known.sum()
        slopes = C[:n, n:] @ np.linalg.inv(C[n:, n:] + ridge)
        for j in unknown:
            expected = slopes @ features.columns[n:, j]
            np.testing.assert_allclose(features.columns[:n, j], expected, rtol=1e-9)
            assert np.abs(expected).max() > 0.01
        assert (features.columns[:, covariates] == 0).all()
        p = from_library(factor(1, 2, mask_rank=4, **options).fit(X)._model.parameters)
        modeled = np.delete(np.arange(9), covariates)
        full = [i for i, row in enumerate(X) if not np.isnan(row[modeled]).all()]
        f = np.array([oracles.row_features(X[i], p) for i in full])
        gaps = f - f.mean(axis=0)
        C = gaps.T @ gaps / len(full)
        ridge = 10 / len(full) * np.eye(2)
        slopes = np.linalg.solve(C[n:, n:] + ridge, C[n:, :n]).T
        np.testing.assert_allclose(p.row_regression, slopes, atol=1e-10)
        np.testing.assert_allclose(p.row_covariance, C, atol=1e-10)


@CONTAINERS
@pytest.mark.parametrize("weighted", [False, True])
@COMPONENTS
def test_a_pass_with_all_features_equals_a_plain_loop(n_components, weighted, make):
    X, options = described(40)
    X[11, :] = np.nan
    row_weights = np.random.default_rng(3).uniform(0.2, 3, 40)
    row_weights = row_weights if weighted else np.ones(40)
    params = {"mask_rank": 3, "tol": 0, "max_iter": 4, "min_variance": 1e-8, **options}
    mixture = factor(n_components, 2, **params)
    mixture.fit(make(X), sample_weight=row_weights)
    family, model = mixture._model.family, mixture._model
    p = from_library(model.parameters)
    assert p.row_slopes.shape == (2, 4 + 2)
    assert p.column_slopes.shape == (3, 4 + 3)
    assert np.abs(p.row_slopes).max() > 0.01
    joint, _, moments = oracles.factor_e_step(X, p)
    shares = oracles.factor_shares(joint, row_weights)
    n_steps = step_module._COLUMN_STEPS
    expected = oracles.factor_m_step(X, p, shares, moments, n_steps)
    data = observe(make(X), columns=model.columns, weights=row_weights, max_rows=11)
    statistics = data.total(partial(family.accumulate, model.parameters))
    ours = from_library(family.maximize(statistics, model.parameters))
    for name, value in vars(expected).items():
        np.testing.assert_allclose(
            getattr(ours, name), value, rtol=1e-7, atol=1e-9, err_msg=name
        )
    objective = statistics.log_likelihood + family.log_prior(model.parameters)
    assert objective == pytest.approx(
        oracles.factor_objective(X, p, row_weights), rel=1e-10
    )
    mean, std = oracles.factor_completion(X, p)
    completed, our_std = mixture.complete(make(X), return_std=True)
    missing = np.isnan(X)
    missing[:, options["covariates"]] = False
    np.testing.assert_allclose(completed[missing], mean[missing], rtol=1e-9)
    np.testing.assert_allclose(our_std[missing], std[missing], rtol=1e-9)


def test_slopes_of_several_components_solve_their_system():
    rng = np.random.default_rng(0)
    precisions, moments = spd(rng, 3, 4), 20 * spd(rng, 3, 5)
    crossed = rng.standard_normal((3, 4, 5))
    strengths = rng.uniform(0.1, 1e4, 5)
    b = solve_slopes(precisions, crossed, moments, strengths, np.zeros((4, 5)))
    left = sum(P @ b @ F for P, F in zip(precisions, moments, strict=True))
    right = sum(P @ S for P, S in zip(precisions, crossed, strict=True))
    np.testing.assert_allclose(left + b * strengths, right, atol=1e-8)


class TestObjective:
    @pytest.mark.slow
    @settings(deadline=None, max_examples=30)
    @given(st.data(), st.sampled_from([1, 3]), st.booleans(), st.booleans())
    def test_never_falls(self, draw, n_components, with_covariates, with_features):
        X = draw.draw(tables(min_rows=4, max_columns=6))
        options = {}
        if with_features:
            numbers = st.floats(-3, 3) | st.just(np.nan)
            row = st.lists(numbers, min_size=2, max_size=2)
            d = X.shape[1] + with_covariates
            options["column_features"] = draw.draw(
                st.lists(row, min_size=d, max_size=d)
            )
        if with_covariates:
            values = st.lists(
                st.integers(-3, 3).map(float) | st.just(np.nan),
                min_size=len(X),
                max_size=len(X),
            )
            X = np.column_stack([X, draw.draw(values)])
            options["covariates"] = [-1]
        mixture = factor(
            n_components, 3, max_iter=40, tol=0, min_variance=1e-2, **options
        )
        mixture.fit(X)
        assert_rises(mixture.lower_bounds_)
        assert np.isfinite(
            mixture.transform(X)[:, : X.shape[1] - with_covariates]
        ).all()

    @COMPONENTS
    def test_never_falls_on_described_tables(self, n_components):
        X, options = described(120)
        mixture = factor(n_components, 4, max_iter=120, tol=0, **options).fit(X)
        assert len(mixture.lower_bounds_) > 100
        assert_rises(mixture.lower_bounds_)

    @COMPONENTS
    def test_rises_less_steeply_without_a_better_basis(self, n_components, monkeypatch):
        X = make_ratings(300, 40, density=0.3, random_state=0).data
        params = {"max_iter": 20, "tol": 0}
        bounds = factor(n_components, 5, **params).fit(X).lower_bounds_
        monkeypatch.setattr(Factor, "accelerate", Family.accelerate)
        slow = factor(n_components, 5, **params).fit(X).lower_bounds_
        assert_rises(slow)
        assert bounds[9] > slow[9]
        assert bounds[-1] > slow[-1]


class TestBasis:
    @pytest.mark.parametrize("seed", range(3))
    def test_suits_the_priors(self, seed):
        """White factors, and loadings about their priors without correlation."""
        X = with_odd_rows(unknown=[2])
        p = drawn_parameters(X, 2, r=4, seed=seed)
        parameters = to_library(p, observe(X).columns)
        precision = spd(np.random.default_rng(seed), 4)
        R = find_basis(parameters, precision)
        # The offset is scaled alone.
        assert R[0, 0] == pytest.approx(np.sqrt(precision[0, 0]))
        assert (R[0, 1:] == 0).all()
        assert (R[1:, 0] == 0).all()
        inverse = np.linalg.inv(R)
        white = inverse.T @ precision @ inverse
        np.testing.assert_allclose(white[1:, 1:], np.eye(3), atol=1e-10)
        changed = from_library(change_basis(parameters, R))
        moments = np.diag(0.0 * changed.prior_precision)
        for j in np.flatnonzero(p.known):
            gap = (changed.loadings[j] - oracles.loading_prior(changed, j)) / p.units[j]
            moments += changed.spreads[j] / p.units[j] ** 2 + np.outer(gap, gap)
        slopes = changed.column_slopes
        moments += slopes @ np.diag(p.column_slope_precisions) @ slopes.T
        sizes = np.diag(moments)[1:-1]
        np.testing.assert_allclose(
            moments[1:-1, 1:-1], np.diag(sizes), atol=1e-10 * sizes.max()
        )
        assert (np.diff(sizes) < 0).all()
        # Precisions follow the loadings to the new basis.
        np.testing.assert_allclose(
            changed.prior_precision, p.known.sum() / np.diag(moments)
        )

    @COMPONENTS
    def test_changes_no_density_and_no_completion(self, n_components):
        X = with_odd_rows(unknown=[2])
        p = drawn_parameters(X, n_components, r=3)
        p.row_slope_variances[:] = 0.0  # these alone know a basis
        rng = np.random.default_rng(1)
        R = np.eye(3) + 0.3 * rng.standard_normal((3, 3))
        mixture = with_model(p, X)
        changed = change_basis(to_library(p, mixture._model.columns), R)
        expected = mixture.complete(X, return_std=True)
        density = mixture.score_samples(X)
        covariance = mixture.get_covariance(n_components - 1)
        mixture._set_model(replace(mixture._model, parameters=changed))
        ours = mixture.score_samples(X)
        np.testing.assert_allclose(ours, density, rtol=1e-10, atol=1e-12)
        for ours, theirs in zip(
            mixture.complete(X, return_std=True), expected, strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        ours = mixture.get_covariance(n_components - 1)
        np.testing.assert_allclose(ours, covariance, rtol=1e-9)
        np.testing.assert_allclose(
            changed.loading_log_dets,
            np.linalg.slogdet(from_library(changed).spreads)[1],
        )

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("seed", range(3))
    @COMPONENTS
    def test_is_an_ascent(self, n_components, seed, weighted):
        X = with_odd_rows(40)
        rng = np.random.default_rng(seed)
        row_weights = rng.uniform(0.2, 3, 40) if weighted else np.ones(40)
        p = drawn_parameters(X, n_components, 3, seed, row_weights=row_weights)
        family = Factor(3)
        data = observe(X, weights=row_weights, keep=True)
        parameters = to_library(p, data.columns)

        def objective(parameters):
            return oracles.factor_objective(X, from_library(parameters), row_weights)

        gains = []
        for _ in range(2):
            before = objective(parameters)
            statistics = data.total(partial(family.accumulate, parameters))
            result = family.maximize(statistics, parameters)
            parameters = family.accelerate(statistics, result)
            # With one component, factors have another covariance in the new basis:
            # the objective rises over the pass, if not over the change alone.
            gains.append(objective(parameters) - objective(result))
            assert objective(parameters) >= before
            assert n_components == 1 or gains[-1] >= 0
        assert max(gains) > 0

    @pytest.mark.parametrize("first", [1, 4, 7])
    @COMPONENTS
    def test_a_warm_start_goes_on_in_it(self, n_components, first):
        X, options = described(60)
        params = {"tol": 0, **options}
        whole = factor(n_components, 3, max_iter=10, **params).fit(X)
        warm = factor(n_components, 3, max_iter=first, warm_start=True, **params).fit(X)
        bounds = warm.lower_bounds_
        warm.set_params(max_iter=10 - first).fit(X)
        np.testing.assert_allclose(
            bounds + warm.lower_bounds_, whole.lower_bounds_, rtol=1e-10
        )
        np.testing.assert_allclose(warm.transform(X), whole.transform(X), rtol=1e-8)


class TestInert:
    @CONTAINERS
    @COMPONENTS
    def test_complete_tables_have_no_mask(self, n_components, make):
        X = np.random.default_rng(0).standard_normal((60, 2)) @ [
            [1, 2, 3, 4],
            [4, 1, 0, 2],
        ]
        X = X + np.random.default_rng(1).standard_normal(X.shape)
        with_mask = factor(n_components, 2).fit(make(X))
        without = factor(n_components, 2, mask_rank=0).fit(make(X))
        np.testing.assert_allclose(
            with_mask.lower_bounds_, without.lower_bounds_, rtol=1e-10
        )
        Y = np.where(np.random.default_rng(2).random(X.shape) < 0.3, np.nan, X)
        np.testing.assert_allclose(
            with_mask.transform(make(Y)), without.transform(make(Y)), atol=1e-10
        )
        assert with_mask.bic(X) == pytest.approx(without.bic(X), rel=1e-10)
        assert with_mask._model.parameters.features.n_row_features == 0

    @COMPONENTS
    def test_rank_0_knows_no_features(self, n_components):
        X = masked()
        mixture = factor(n_components, 2, mask_rank=0, max_iter=3, tol=0).fit(X)
        p = mixture._model.parameters
        assert p.row_slopes.shape == (2, 0)
        assert p.column_slopes.shape == (3, 0)
        # Rows that observe the same number of other entries complete alike.
        row = np.full((1, 9), np.nan)
        mean = p.weights @ mixture.means_
        np.testing.assert_allclose(mixture.transform(row)[0], mean, rtol=1e-9)
        other = factor(n_components, 2, max_iter=3, tol=0).fit(X)
        assert np.abs(other.transform(X) - mixture.transform(X)).max() > 0.01

    def test_of_missing_at_random_lose_nearly_nothing(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 12))
        X += 0.5 * rng.standard_normal(X.shape)
        hidden = rng.random(X.shape) < 0.3
        Y = np.where(hidden, np.nan, X)
        errors = [
            np.sqrt(
                np.mean((factor(2, 5, mask_rank=q).fit_transform(Y) - X)[hidden] ** 2)
            )
            for q in ("auto", 0)
        ]
        assert errors[0] < 1.01 * errors[1]


@pytest.mark.parametrize("level", [10, 100, 1000, -1000])
@COMPONENTS
def test_a_rare_column_far_from_the_others(n_components, level):
    """Its level is not taken for a trait of the few rows that observe it."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((240, 2)) @ rng.standard_normal((2, 6))
    truth += 0.5 * rng.standard_normal((240, 6))
    X = np.where(rng.random(truth.shape) < 0.3, np.nan, truth)
    hidden = ~np.isin(np.arange(240), [200, 220, 239])
    X[hidden, 5] = np.nan
    X[~hidden, 5] = truth[~hidden, 5]
    errors = []
    for shift in (0, level):
        Y = X + shift * (np.arange(6) == 5)
        mixture = factor(n_components, max_iter=50)
        completed = mixture.fit_transform(Y)[hidden, 5] - shift
        errors.append(np.sqrt(np.mean((completed - truth[hidden, 5]) ** 2)))
    assert errors[1] < 1.5 * errors[0]


@pytest.mark.parametrize(
    ("n_columns", "noise", "covariance"),
    [(5, 10, 20), (20, 10, 20), (60, 10, 60), (450, 15, 100), (5000, 30, 100)],
)
def test_priors_grow_with_the_number_of_columns(n_columns, noise, covariance):
    priors = step_module.choose_priors(n_columns)
    assert (priors.noise, priors.covariance) == (noise, covariance)
    assert oracles.factor_prior_strengths(n_columns) == (noise, covariance)


class TestNumberOfParameters:
    def test_counts_the_slopes_that_the_prior_leaves_free(self):
        X, options = described(60)
        mixture = factor(2, 3, mask_rank=2, **options).fit(X)
        p = from_library(mixture._model.parameters)
        free = sum(
            1 - p.row_slope_variances[a, q] * p.row_slope_precisions[q]
            for a, q in np.ndindex(*p.row_slopes.shape)
        )
        assert 1 < free < p.row_slopes.size
        family, plain = mixture._model.family, factor(2, 3, mask_rank=0).fit(X)
        count = family.n_parameters(mixture._model.parameters, 7)
        assert count == family.n_parameters(plain._model.parameters, 7) + round(free)


def test_sample_weight_is_repetition():
    X, options = described(16)
    times = np.random.default_rng(0).integers(1, 4, 16)
    for n_components in (1, 2):
        mixture = factor(n_components, 2, init_params="k-means++", **options)
        weighted = mixture.fit(X, sample_weight=times)
        completed = weighted.transform(X)
        bound = weighted.lower_bound_
        repeated = mixture.fit(np.repeat(X, times, axis=0))
        np.testing.assert_allclose(repeated.transform(X), completed, rtol=1e-7)
        assert repeated.lower_bound_ == pytest.approx(bound, rel=1e-9)


def test_starts_of_given_directions_draw_from_their_own_seed():
    X = masked()
    data = observe(X, keep=True)
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one = learn_features(data, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(learn_features(data, 3).directions, one.directions)


@pytest.mark.slow
def test_wine_with_values_missing_by_their_size():
    """Three in ten values are missing, large ones more often."""
    X = StandardScaler().fit_transform(load_wine().data)
    ratios = []
    for seed in range(3):
        hidden = np.random.default_rng(seed).random(X.shape) < expit(2 * X - 1.35)
        assert 0.28 < hidden.mean() < 0.34
        Y = np.where(hidden, np.nan, X)
        with_mask, without = (
            np.mean((factor(1, 10, mask_rank=q).fit_transform(Y) - X)[hidden] ** 2)
            for q in ("auto", 0)
        )
        ratios.append(np.sqrt(with_mask / without))
    assert np.mean(ratios) <= 0.92


@pytest.mark.slow
def test_types_of_outliers_do_not_extrapolate():
    X = load_digits().data
    rng = np.random.default_rng(0)
    hidden = rng.random(X.shape) < 0.5
    Y = np.where(hidden, np.nan, X)
    completed = factor(2, 10).fit_transform(Y)
    assert np.abs(completed - X)[hidden].max() <= 20
