# SPDX-License-Identifier: BSD-3-Clause
"""Members of an imputer: predictions, weights, held-out entries, calibration."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_gmmcf import DataWarning, MaskedGaussianMixture
from sklearn_gmmcf._ensemble import (
    Calibration,
    Ensemble,
    Layout,
    Prediction,
    Scaling,
    expect_errors,
    find_nearest,
    first_rows,
    fit_members,
    hold_out,
    learn_ensemble,
    make_members,
    predict_member,
    weigh_by_kind,
    weigh_members,
)
from sklearn_gmmcf.preprocessing import NormalScoreTransformer

# Columns: a number, a category of three levels, a bool, a category of two levels.
LAYOUT = Layout(
    np.array([0, 1, 1, 1, 2, 4, 4]),
    np.array([False, True, True, True, True, True, True]),
)


def skewed(n=80, seed=0):
    """Two related columns, the second skewed and missing in a third of the rows."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    X = np.column_stack([x, np.exp(x + 0.5 * rng.standard_normal(n))])
    X[rng.random(n) < 1 / 3, 1] = np.nan
    return X


def gaussian(**options):
    return MaskedGaussianMixture(
        covariance_type="full", covariance_precision_prior=5.0, **options
    )


def test_moments_behind_normal_scores_are_integrals():
    X = skewed()
    member = make_pipeline(NormalScoreTransformer(), gaussian()).fit(X)
    predicted = predict_member(member, X)
    means, std = member[-1].complete(member[0].transform(X), return_std=True)
    values = np.sort(X[~np.isnan(X[:, 1]), 1])
    grid = stats.norm.ppf((np.arange(len(values)) + 0.5) / len(values))
    for row in np.flatnonzero(np.isnan(X[:, 1]))[:4]:
        density = stats.norm(means[row, 1], std[row, 1])
        low, high = density.interval(1 - 1e-9)
        kinks = grid[(grid > low) & (grid < high)]

        def moment(power, density=density, limits=(low, high), kinks=kinks):
            return quad(
                lambda s: np.interp(s, grid, values) ** power * density.pdf(s),
                *limits,
                points=kinks,
                limit=200,
                epsrel=1e-6,
            )[0]

        deviation = np.sqrt(moment(2) - moment(1) ** 2)
        # A line with a kink at each value: 15 nodes have one to two digits.
        assert abs(predicted.means[row, 1] - moment(1)) < 0.1 * deviation
        ratio = np.sqrt(predicted.variances[row, 1]) / deviation
        assert 0.85 < ratio < 1.15
    observed = ~np.isnan(X)
    np.testing.assert_array_equal(predicted.means[observed], X[observed])
    assert not predicted.variances[observed].any()


def test_moments_behind_logarithms_are_lognormal():
    X = skewed()
    X[:, 0] = np.exp(X[:, 0])
    logs = FunctionTransformer(np.log, np.exp, check_inverse=False)
    member = make_pipeline(logs, gaussian(reg_covar=0)).fit(X)
    predicted = predict_member(member, X)
    means, std = member[-1].complete(np.log(X), return_std=True)
    missing = np.isnan(X)
    lognormal = stats.lognorm(std[missing], scale=np.exp(means[missing]))
    np.testing.assert_allclose(predicted.means[missing], lognormal.mean())
    np.testing.assert_allclose(predicted.variances[missing], lognormal.var())


def test_moments_behind_a_line_are_exact():
    X = skewed()
    member = make_pipeline(StandardScaler(), gaussian(tol=1e-8)).fit(X)
    predicted = predict_member(member, X)
    Z = (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)
    means, std = member[-1].complete(Z, return_std=True)
    expected = means * np.nanstd(X, axis=0) + np.nanmean(X, axis=0)
    np.testing.assert_allclose(predicted.means, expected)
    expected = (std * np.nanstd(X, axis=0)) ** 2
    np.testing.assert_allclose(predicted.variances, expected, atol=1e-12)


def test_average_has_variances_within_and_between():
    rng = np.random.default_rng(0)
    means, variances = rng.standard_normal((3, 4, 2)), rng.random((3, 4, 2))
    shares = rng.dirichlet(np.ones(3), size=2).T
    average = Prediction(means, variances).average(shares)
    for i in range(4):
        for j in range(2):
            mean = sum(shares[m, j] * means[m, i, j] for m in range(3))
            square = sum(
                shares[m, j] * (variances[m, i, j] + means[m, i, j] ** 2)
                for m in range(3)
            )
            assert average.means[i, j] == pytest.approx(mean)
            assert average.variances[i, j] == pytest.approx(square - mean**2)


@pytest.mark.parametrize("seed", range(4))
def test_weights_minimize_held_out_squares(seed):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(50)
    # The last member is far off, and gets no weight without the prior.
    errors = np.array([0.3, 0.5, 0.6, 3.0])[:, None] * rng.standard_normal((4, 50))
    predicted = truth + errors
    variance = np.mean((predicted.mean(axis=0) - truth) ** 2)

    def objective(shares):
        distance = np.sum((shares - 0.25) ** 2)
        return np.sum((shares @ predicted - truth) ** 2) + 30 * variance * distance

    best = minimize(
        objective,
        np.full(4, 0.25),
        method="SLSQP",
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
        options={"ftol": 1e-12},
    )
    shares = weigh_members(predicted, truth)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, best.x, atol=1e-4)


def test_weights_are_equal_where_nothing_tells_them_apart():
    truth = np.arange(4.0)
    np.testing.assert_array_equal(weigh_members(truth[None], truth), [1])
    np.testing.assert_array_equal(
        weigh_members(np.empty((3, 0)), truth[:0]), [1 / 3] * 3
    )
    np.testing.assert_array_equal(
        weigh_members(np.stack([truth] * 2), truth), [0.5] * 2
    )


def test_numbers_and_categories_have_weights_of_their_own():
    rng = np.random.default_rng(0)
    layout = Layout(np.array([0, 1, 1]), np.array([False, True, True]))
    truth = rng.standard_normal((40, 3))
    good, bad = (truth + s * rng.standard_normal(truth.shape) for s in (0.1, 2.0))
    # The first member is good at numbers, the second at categories.
    means = np.stack(
        [np.where(layout.is_code, bad, good), np.where(layout.is_code, good, bad)]
    )
    held_out = rng.random(truth.shape) < 0.5
    scaling = Scaling(np.zeros(3), np.array([10.0, 0.5, 0.1]))
    shares = weigh_by_kind(means, truth, held_out, layout, scaling)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert shares[0, 0] > 0.7
    assert shares[1, 1] == shares[1, 2] > 0.7
    numbers, codes = held_out & ~layout.is_code, held_out & layout.is_code
    np.testing.assert_allclose(
        shares[:, 0], weigh_members(means[:, numbers], truth[numbers])
    )
    scales = (scaling.scale * np.ones_like(truth))[codes]
    np.testing.assert_allclose(
        shares[:, 1], weigh_members(means[:, codes] * scales, truth[codes] * scales)
    )


class TestHoldOut:
    @pytest.mark.parametrize(
        ("n_rows", "share"), [(40, 0.25), (500, 0.15), (2_000, 0.1)]
    )
    def test_each_column_loses_its_share(self, n_rows, share):
        rng = np.random.default_rng(0)
        observed = np.ones((n_rows, 4), dtype=bool)
        held_out = hold_out(observed, np.random.RandomState(0))
        np.testing.assert_array_equal(
            held_out.sum(axis=0), np.ceil(share * observed.sum(axis=0))
        )
        observed &= rng.random(observed.shape) < 0.7
        assert not (hold_out(observed, np.random.RandomState(0)) & ~observed).any()

    def test_each_column_keeps_two_entries(self):
        observed = np.tril(np.ones((5, 5), dtype=bool))
        kept = observed & ~hold_out(observed, np.random.RandomState(0))
        np.testing.assert_array_equal(kept.sum(axis=0), [3, 3, 2, 2, 1])

    def test_first_rows(self):
        rng = np.random.RandomState(0)
        np.testing.assert_array_equal(first_rows(7, rng), np.arange(7))
        rows = first_rows(6_000, rng)
        assert len(rows) == len(set(rows.tolist())) == 5_000
        assert (np.diff(rows) > 0).all()


class TestLayout:
    def test_a_category_is_hidden_with_all_its_codes(self):
        matrix = np.zeros((3, 7))
        matrix[1, 1:4] = np.nan
        matrix[2, 4] = np.nan
        np.testing.assert_array_equal(
            LAYOUT.observed_groups(matrix),
            [[True] * 4, [True, False, True, True], [True, True, False, True]],
        )
        mask = np.array([[True, False, False, True], [False, True, True, False]])
        np.testing.assert_array_equal(
            LAYOUT.spread(mask).astype(int),
            [[1, 0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 0, 0]],
        )

    def test_last_codes(self):
        np.testing.assert_array_equal(
            LAYOUT.is_last_code.astype(int), [0, 0, 0, 1, 0, 0, 1]
        )
        matrix = np.array([[5.0, 0.2, 0.3, 0.0, 0.6, 0.9, 0.0]])
        LAYOUT.fill_last_codes(matrix)
        np.testing.assert_allclose(matrix, [[5.0, 0.2, 0.3, 0.5, 0.6, 0.9, 0.1]])


class TestScaling:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_numpy(self, weighted):
        X = skewed()
        weights = np.random.default_rng(0).integers(1, 4, len(X)) if weighted else None
        scaling = Scaling.learn(X, weights)
        repeated = X.repeat(1 if weights is None else weights, axis=0)
        np.testing.assert_allclose(scaling.center, np.nanmean(repeated, axis=0))
        np.testing.assert_allclose(scaling.scale, np.nanstd(repeated, axis=0))
        np.testing.assert_allclose(scaling.undo(scaling.apply(X)), X)

    def test_constants_and_large_numbers(self):
        X = np.array([[3.0, 1e99, 1e9], [3.0, -1e99, 1e9 + 1], [np.nan, np.nan, 1e9]])
        scaling = Scaling.learn(X, None)
        np.testing.assert_allclose(scaling.center, [3, 0, 1e9 + 1 / 3])
        np.testing.assert_allclose(scaling.scale, [1, 1e99, np.sqrt(2) / 3], rtol=1e-6)


def test_expected_errors():
    rng = np.random.default_rng(0)
    codes = np.eye(3)[rng.integers(0, 3, 30)]
    bits, two = (rng.integers(0, 2, 30) for _ in range(2))
    matrix = np.column_stack(
        [10 + 4 * rng.standard_normal(30), codes, bits, two, 1 - two]
    )
    found = matrix + rng.standard_normal(matrix.shape) * [3, *[0.6] * 6]
    scaling = Scaling(matrix.mean(axis=0), matrix.std(axis=0))
    held = rng.random((30, 4)) < 0.4
    held[:, 3] = False
    errors = expect_errors(
        scaling.apply(found),
        scaling.apply(matrix),
        LAYOUT.spread(held),
        LAYOUT,
        scaling,
    )
    squares = [(found[i, 0] - matrix[i, 0]) ** 2 for i in range(30) if held[i, 0]]
    levels = [
        max(range(3), key=lambda k: found[i, 1 + k]) != list(codes[i]).index(1)
        for i in range(30)
        if held[i, 1]
    ]
    flags = [(found[i, 4] >= 0.5) != bits[i] for i in range(30) if held[i, 2]]
    assert 0 < np.mean(levels) < 1
    expected = [np.sqrt(np.mean(squares)), np.mean(levels), np.mean(flags), np.nan]
    np.testing.assert_allclose(errors, expected)


class TestCalibration:
    def test_reach_is_a_quantile_shrunk_to_the_normal_one(self):
        errors = np.abs(np.random.default_rng(0).standard_t(3, 60))
        calibration = Calibration.from_held_out(
            np.zeros(60), np.full(60, 4.0), 2 * errors, -np.inf, np.inf
        )
        for coverage in (0.5, 0.9):
            normal = stats.norm.interval(coverage)[1]
            quantile = np.quantile(errors, coverage * 61 / 60)
            expected = (60 * quantile + 30 * normal) / 90
            assert calibration.reach(coverage) == pytest.approx(expected)
        one = stats.norm.cdf(1) - stats.norm.cdf(-1)
        assert calibration.stretch == pytest.approx(calibration.reach(one))

    def test_intervals_end_at_the_bounds(self):
        rng = np.random.default_rng(1)
        means, variances = rng.normal(size=200), rng.uniform(0.5, 2, 200)
        truth = np.clip(rng.normal(scale=2, size=200), -0.5, 1)
        calibration = Calibration.from_held_out(means, variances, truth, -0.5, 1)
        for reach in (0.1, 0.7, 2.0):
            low, high = (
                np.clip(means + sign * reach * np.sqrt(variances), -0.5, 1)
                for sign in (-1, 1)
            )
            holds = (low <= truth) & (truth <= high)
            np.testing.assert_array_equal(calibration.reaches <= reach, holds)

    def test_without_entries_it_is_normal(self):
        calibration = Calibration(np.empty(0), np.empty(0))
        assert calibration.reach(0.9) == pytest.approx(1.6448536)
        assert calibration.stretch == pytest.approx(1)

    def test_few_entries_take_the_largest_error(self):
        calibration = Calibration(np.empty(0), np.array([1.0, 2.0, 3.0]))
        normal = stats.norm.interval(0.95)[1]
        assert calibration.reach(0.95) == pytest.approx((3 * 3 + 30 * normal) / 33)

    def test_far_errors_warn_and_are_bounded(self):
        calibration = Calibration(*np.full((2, 1_000), 100.0))
        with pytest.warns(DataWarning, match="Look for outlying values"):
            reach = calibration.reach(0.9)
        assert reach == pytest.approx(5 * stats.norm.interval(0.9)[1])

    def test_intervals_count_calibrated_deviations(self):
        errors = np.random.default_rng(0).exponential(size=99)
        calibration = Calibration(errors, errors)
        ensemble = Ensemble([], np.ones((0, 1)), None, calibration, None)
        assert ensemble.reach(0.9) * calibration.stretch == pytest.approx(
            calibration.reach(0.9)
        )


def test_members_by_shape_of_the_table():
    rng = np.random.RandomState(0)
    for n_rows, n_components in [(5, 1), (29, 2), (1_000, 6)]:
        members = dict(make_members(n_rows, 3, rng))
        assert list(members) == ["gaussian", "mixture", "scores", "t"]
        assert members["gaussian"].n_components == 1
        for name in ("mixture", "t"):
            assert members[name].n_components == n_components
        assert members["scores"][-1].covariance_precision_prior == 6
    wide = dict(make_members(1_000, 101, rng))
    assert all(
        getattr(member, "steps", [(0, member)])[-1][1].covariance_type == "factor"
        for member in wide.values()
    )


def test_members_go_on_from_the_first_fit_and_keep_their_settings():
    X = Scaling.learn(skewed(), None).apply(skewed())
    member = gaussian(n_components=2, random_state=0, max_iter=2, tol=0)
    reports = []

    def fit(members, weights=None):
        return fit_members(members, X, weights, None, lambda: reports.append(1))

    first = fit([("a", member)])
    second = fit(first)
    assert len(reports) == 2
    assert not hasattr(member, "weights_")
    assert second[0][1].warm_start is False
    longer = gaussian(n_components=2, random_state=0, max_iter=4, tol=0).fit
    with pytest.warns(Warning, match="converge"):
        expected = longer(X)
    np.testing.assert_allclose(second[0][1].means_, expected.means_)
    weights = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    pipe = make_pipeline(NormalScoreTransformer(), gaussian(tol=1e-9, max_iter=500))
    weighted = fit([("a", pipe)], weights)[0][1]
    repeated = pipe.fit(X.repeat(weights.astype(int), axis=0))
    np.testing.assert_allclose(
        weighted[-1].means_, repeated[-1].means_, rtol=1e-6, atol=1e-9
    )


def test_held_out_entries_are_unseen():
    """The errors of a member without any relation are the ones of column means."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3)) * [1, 10, 100]
    ensemble = learn_ensemble(
        [("diag", MaskedGaussianMixture(covariance_type="diag"))],
        X,
        Layout(np.arange(3), np.zeros(3, dtype=bool)),
        (np.full(3, -np.inf), np.full(3, np.inf)),
        weights=None,
        calibrate=True,
        rng=np.random.RandomState(0),
        n_jobs=None,
        report=lambda: None,
    )
    np.testing.assert_allclose(ensemble.errors, X.std(axis=0), rtol=0.25)
    X[0] = np.nan
    predicted = ensemble.predict(X[:1])
    np.testing.assert_allclose(predicted.means[0], X[1:].mean(axis=0), atol=30)
    np.testing.assert_allclose(
        np.sqrt(predicted.variances[0]),
        np.nanstd(X, axis=0) * ensemble.calibration.stretch,
        rtol=0.02,
    )


def test_nearest_observed_values():
    matrix = np.array([[1.0, 5.0], [np.nan, 5.0], [2.0, np.nan], [4.0, 5.0]])
    values = np.array([[0.0, 9.0], [1.4, 5.0], [1.6, 5.0], [3.3, 5.0], [9.0, 0.0]])
    expected = [1, 1, 2, 4, 4]
    np.testing.assert_array_equal(find_nearest(values, matrix)[:, 0], expected)
    np.testing.assert_array_equal(find_nearest(values, matrix)[:, 1], [5] * 5)
