# SPDX-License-Identifier: BSD-3-Clause
"""'factor' on data of any scale, nearly without entries, without noise, of low rank."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_gmmcf import UnobservedColumnsWarning
from sklearn_gmmcf.covariance import _factor
from tests import oracles
from tests.factors import (
    IGNORED_WARNINGS,
    assert_rises,
    factor,
    ratings,
    sweep_together,
    with_odd_rows,
)
from tests.made import to_sparse

pytestmark = IGNORED_WARNINGS


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("n_components", [1, 3])
def test_units(n_components, make):
    X = ratings()
    mixture = factor(n_components).fit(make(X))
    completed, std = mixture.complete(make(X), return_std=True)
    for scale, shift in [(1, 100), (1e-4, -7), (1e6, 0)]:
        moved = make(scale * X + shift)
        other = factor(n_components).fit(moved)
        values, value_std = other.complete(moved, return_std=True)
        np.testing.assert_allclose((values - shift) / scale, completed, rtol=1e-6)
        np.testing.assert_allclose(value_std / scale, std, rtol=1e-6, atol=1e-9)
        assert other.n_iter_ == mixture.n_iter_


class TestUnitOfOneColumn:
    """Other columns do not notice it, and its own values and errors go with it."""

    @staticmethod
    def table(spread):
        """Columns, the logarithms of whose deviations differ by so much."""
        rng = np.random.default_rng(0)
        noise = np.array([0.3, 1.2, 0.6])[rng.integers(3, size=400)]
        X = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 12))
        X += noise[:, None] * rng.standard_normal(X.shape)
        X = X * np.exp(spread * rng.standard_normal(12)) + rng.standard_normal(12)
        X[rng.random(X.shape) < 0.3] = np.nan
        return X

    @staticmethod
    def complete(X, n_components):
        mixture = factor(n_components, max_iter=50, tol=0).fit(X)
        missing = np.isnan(X)
        return [a[missing] for a in mixture.complete(X, return_std=True)]

    @classmethod
    @cache
    def expected(cls, spread, n_components):
        return cls.complete(cls.table(spread), n_components)

    # Units are shrunk to each other: columns that are alike lose a little strength
    # once one of them is unlike the others.
    @pytest.mark.parametrize(("spread", "error"), [(1.0, 0.01), (0.0, 0.02)])
    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize(
        "scale",
        [
            1e-12,
            pytest.param(1e-6, marks=pytest.mark.slow),
            pytest.param(1e6, marks=pytest.mark.slow),
            1e12,
        ],
    )
    def test_changes_nothing_but_itself(self, scale, n_components, spread, error):
        X = self.table(spread)
        expected, expected_std = self.expected(spread, n_components)
        by = np.where(np.arange(12) == 2, scale, 1.0)
        values, std = self.complete(by * X, n_components)
        by = by[np.nonzero(np.isnan(X))[1]]
        assert np.abs((values / by - expected) / expected_std).max() < error
        np.testing.assert_allclose(std / by, expected_std, rtol=error)

    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    def test_of_all_columns(self, scale, n_components):
        X = self.table(1.0)
        expected, expected_std = self.expected(1.0, n_components)
        values, std = self.complete(scale * X, n_components)
        error = np.abs(values / scale - expected) / expected_std
        assert error.max() < 1e-6
        np.testing.assert_allclose(std / scale, expected_std, rtol=1e-6)

    @pytest.mark.parametrize("scale", [1e-6, 1e6])
    def test_leaves_order_and_signs_of_factors(self, scale):
        X = self.table(1.0)
        by = np.where(np.arange(12) == 2, scale, 1.0)
        plain, other = (factor(n_factors=4).fit(each) for each in (X, by * X))
        units = oracles.column_units(X)
        W, ours = plain.components_ / units, other.components_ / units / by
        size = np.linalg.norm(W, axis=1)[:3, None]
        np.testing.assert_allclose(ours[:3] / size, W[:3] / size, atol=0.02)


class TestExtremeScales:
    # NumPy's warnings are errors here, so that none comes before ours.
    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("power", [-160, -154, -150, 154, 160])
    def test_are_refused(self, power, n_components):
        X = 10.0**power * with_odd_rows(60)
        way_out = (
            r"Scale the columns \(" if power < 0 else r"e\+1\d\d; .*Scale the data"
        )
        with pytest.raises(ValueError, match=way_out):
            factor(n_components, 2).fit(X)

    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize(
        "powers",
        [-140, -80, -30, 30, 80, 98, [80, -80, 0, 0, 0, 0], [0, 80, 0, -80, 0, 0]],
        ids=str,
    )
    def test_are_finite(self, powers, n_components):
        X = 10.0 ** np.array(powers) * with_odd_rows(60)
        mixture = factor(n_components, 2, max_iter=30).fit(X)
        completed, std = mixture.complete(X, return_std=True)
        for values in (completed, std, mixture.score_samples(X), mixture.means_):
            assert np.isfinite(values).all()
        assert (std[np.isnan(X)] > 0).all()
        assert_rises(mixture.lower_bounds_)

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_weights_far_apart(self, n_components):
        X = with_odd_rows(60)
        row_weights = np.logspace(-100, 100, 60)
        mixture = factor(n_components, 2).fit(X, sample_weight=row_weights)
        assert np.isfinite(mixture.complete(X, return_std=True)).all()
        assert np.isfinite(mixture.lower_bounds_).all()


class TestUnobservedColumn:
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_is_the_mean_of_the_others(self, n_components):
        X = ratings()
        hidden = np.insert(X, [0, 7, 30], np.nan, axis=1)
        others = ~np.isnan(hidden).all(axis=0)
        with pytest.warns(UnobservedColumnsWarning, match="the row's offset"):
            mixture = factor(n_components).fit(hidden)
        completed, std = mixture.complete(hidden, return_std=True)
        # And the row's offset from it.
        W = mixture.components_
        np.testing.assert_allclose(W[0, ~others], W[0, others].mean(), rtol=0.05)
        np.testing.assert_allclose(W[1:, ~others], 0, atol=1e-12)
        np.testing.assert_allclose(
            mixture.intercept_[~others], mixture.intercept_[others].mean(), rtol=1e-3
        )
        pool = 1 / np.mean(1 / mixture.noise_variance_[others])
        np.testing.assert_allclose(mixture.noise_variance_[~others], pool, rtol=0.05)
        assert np.isfinite(completed).all()
        known_std = std[:, others].mean(axis=1)
        assert (std[:, ~others].mean(axis=1) > known_std).all()

    @pytest.mark.parametrize("n_components", [1, 2])
    def test_changes_nothing_with_fewer_rows_than_factors(self, n_components):
        X = np.random.default_rng(0).standard_normal((4, 8))
        hidden = np.insert(X, [0, 3], np.nan, axis=1)
        plain = factor(n_components, 6).fit(X)
        mixture = factor(n_components, 6).fit(hidden)
        np.testing.assert_allclose(
            np.delete(mixture.means_, [0, 4], axis=1), plain.means_, rtol=1e-6
        )


class TestSafety:
    @staticmethod
    def check(X, n_components=1, n_factors=3, **params):
        """Check that all results are finite; return the mixture and the completion."""
        mixture = factor(n_components, n_factors, **params).fit(X)
        completed, std = mixture.complete(X, return_std=True)
        for value in (
            completed,
            std,
            mixture.score_samples(X),
            mixture.predict_proba(X),
            mixture.sample_completions(X, 2, random_state=0),
            mixture.sample(5)[0],
            mixture.lower_bounds_,
            *(mixture.get_covariance(k) for k in range(n_components)),
        ):
            assert np.isfinite(value).all()
        assert (std[np.isnan(X)] > 0).all()
        assert (mixture.noise_variance_ > 0).all()
        return mixture, completed

    @pytest.fixture(params=[np.float64, np.float32])
    def dtype(self, request):
        return request.param

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_more_factors_than_rows_and_columns(self, n_components, dtype):
        X = np.random.default_rng(0).standard_normal((5, 4)).astype(dtype)
        X[1, 2] = np.nan
        self.check(X, n_components, 10, max_iter=30)

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_one_column(self, n_components, dtype):
        X = np.array([[1, 2, 4, 4, 7, np.nan]], dtype=dtype).T
        _, completed = self.check(X, n_components, 10)
        assert completed[-1, 0] == pytest.approx(3.6, abs=0.1)

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_constant_column(self, n_components, dtype):
        X = ratings(60, 8, 0.6).astype(dtype)
        X[:, 2] = np.where(np.isnan(X[:, 2]), np.nan, 3.5)
        self.check(X, n_components)

    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("unknown", [[], [0], [0, 1]])
    def test_constant_data(self, n_components, unknown, dtype):
        X = np.full((6, 5), 3.5, dtype=dtype)
        X[1, 2] = np.nan
        X[:, unknown] = np.nan
        with pytest.raises(
            ValueError, match=r"no column varies\. Increase min_variance"
        ):
            factor(n_components).fit(X)
        _, completed = self.check(X, n_components, min_variance=0.01, max_iter=30)
        np.testing.assert_allclose(completed, 3.5, atol=0.01)

    @pytest.mark.parametrize("n_components", [1, 3])
    def test_nearly_nothing_observed(self, n_components, dtype):
        X = ratings(150, 40, 1.0).astype(dtype)
        X[np.random.default_rng(0).random(X.shape) < 0.99] = np.nan
        self.check(X, n_components, 5, max_iter=30)
        self.check(X[:30], n_components, 5, max_iter=30)

    @pytest.mark.parametrize("n_components", [7, 8])
    def test_as_many_types_as_rows(self, n_components, dtype):
        X = np.random.default_rng(0).standard_normal((8, 5)).astype(dtype)
        X[1, 2] = np.nan
        self.check(X, n_components, max_iter=30)
        self.check(np.repeat(X[:2], 4, axis=0), n_components, max_iter=30)

    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize(
        ("missing", "shift"), [(0, 0.0), (0.3, 0.0), (0.3, 1000.0)]
    )
    def test_exactly_low_rank(self, n_components, missing, shift, dtype):
        rng = np.random.default_rng(0)
        truth = shift + rng.standard_normal((50, 2)) @ rng.standard_normal((2, 8))
        X = np.where(rng.random(truth.shape) < missing, np.nan, truth).astype(dtype)
        mixture, completed = self.check(X, n_components, 5, max_iter=60, tol=0)
        X = X.astype(float)
        units = oracles.column_units(X)
        variance = np.nanmean(((X - np.nanmean(X, axis=0)) / units) ** 2)
        least = 1e-6 if dtype == np.float64 else 3e-4
        floor = pytest.approx(least * variance, rel=1e-3)
        assert (mixture.noise_variance_ / units**2).min() == floor
        some = (~np.isnan(X)).sum(axis=1) > 4
        error = np.abs(completed - truth)[some].max()
        assert error < (0.02 if dtype == np.float64 else 0.5)

    def test_equal_columns_and_rows(self, dtype):
        rng = np.random.default_rng(0)
        X = (rng.standard_normal((40, 1)) + np.zeros(6)).astype(dtype)
        X[1, 2] = np.nan
        _, completed = self.check(X, 2, max_iter=100)
        assert completed[1, 2] == pytest.approx(X[1, 3], abs=0.05)

    def test_an_entry_needs_more_memory_than_a_chunk_may_take(self, monkeypatch):
        monkeypatch.setattr(_factor, "_CHUNK_ENTRIES", 1)
        sweep_together(monkeypatch, 1)
        monkeypatch.setattr(_factor, "_BLOCK_NUMBERS", 1)
        X = with_odd_rows()
        mixture = factor().fit(X)
        completed, std = mixture.complete(X, return_std=True)
        entry = ([5, 5], [1, 4])
        values, value_std = mixture.complete(X, entries=entry, return_std=True)
        np.testing.assert_allclose(values, completed[entry])
        np.testing.assert_allclose(value_std, std[entry])
        density = mixture.score_entries(X, entry, [0.5, 8])
        np.testing.assert_allclose(density, norm.logpdf([0.5, 8], values, value_std))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(300, 60), (100, 300)])
def test_rows_without_noise(dtype, shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1]))
    mixture = factor(2, 5, max_iter=30, tol=0, min_variance=0.01).fit(X.astype(dtype))
    assert np.isfinite(mixture.lower_bounds_).all()
    squares = oracles.column_units(X.astype(dtype).astype(float)) ** 2
    usual = 1 / np.mean(squares / mixture.noise_variance_)
    least = 0.01 / squares.max()  # the lowest floor, in units of its column
    assert (mixture.noise_scale_ * usual >= least * (1 - 1e-6)).all()
    X[rng.random(X.shape) < 0.3] = np.nan
    assert np.isfinite(mixture.transform(X.astype(dtype))).all()


def test_rare_features_leave_noise():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((400, 2))
    X = factors @ rng.standard_normal((2, 20)) + rng.standard_normal((400, 20))
    rare = np.zeros((400, 4))
    rare[rng.choice(400, 8, replace=False), rng.integers(4, size=8)] = 15.0
    mixture = factor(3, 6, max_iter=100, tol=0).fit(np.hstack([X, rare]))
    bounds = np.array(mixture.lower_bounds_)
    assert (np.diff(bounds) >= -1e-10 * np.abs(bounds[1:])).all()
    assert mixture.noise_scale_.max() <= 100
