# SPDX-License-Identifier: BSD-3-Clause
"""Multivariate t components: densities, steps, draws against scipy, plain loops."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln, logsumexp, poch
from scipy.stats import f as f_distribution
from scipy.stats import kstest, multivariate_t
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import DataWarning, FewRowsWarning, MaskedGaussianMixture
from sklearn_gmmcf.covariance import Diagonal, Factor, Full, Spherical, Student, Tied
from sklearn_gmmcf.covariance._student import find_degrees, log_gamma_ratios
from sklearn_gmmcf.data import _clipping, clip_outliers, observe
from sklearn_gmmcf.testing import FAMILY_CHECKS
from tests import oracles
from tests.drawn import tables
from tests.made import correlated, start, to_sparse
from tests.optional import pd

TYPES = ["spherical", "diag", "tied", "full"]
INSTANCES = [
    Student(Spherical(mean_precision_prior=3.0)),
    Student(Diagonal(min_effective_count=12.0)),
    Student(Tied(mean_precision_prior=1.0, covariance_precision_prior=5.0)),
    Student(Full(reg_covar=1e-3), 4.0),
]
OTHER_INSTANCES = [
    Student(Spherical(reg_covar=1e-6), 3.5),
    Student(Diagonal(mean_precision_prior=2.0), 5),
    Student(Full()),
    Student(Full(), 1e6),
]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("check", FAMILY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "family",
    [
        *INSTANCES,
        *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_INSTANCES),
    ],
    ids=repr,
)
def test_contract(family, check):
    check(family)


def heavy(n=200, d=5, seed=0, missing=0.3, errors=0.03):
    """Two clusters, entries missing at random, gross errors in some, an empty row."""
    X = correlated(n, d, missing=missing, seed=seed)
    rng = np.random.default_rng(seed)
    wrong = rng.random(X.shape) < errors
    X[wrong] += np.clip(20 * rng.standard_cauchy(wrong.sum()), -100, 100)
    X[1] = np.nan
    return X


def fit(X, covariance_type, degrees, sample_weight=None, **params):
    mixture = MaskedGaussianMixture(
        **{"n_components": 2, "random_state": 0, "reg_covar": 0.0}
        | params
        | {"covariance_type": covariance_type, "degrees_of_freedom": degrees}
    )
    return mixture.fit(X, sample_weight=sample_weight)


def plain_scales(mixture):
    """Scale matrices (K, d, d) of a fit."""
    n_components, d = mixture.means_.shape
    scales, kind = mixture.covariances_, mixture.covariance_type
    if kind == "tied":
        return np.repeat(scales[None], n_components, axis=0)
    if kind == "spherical":
        scales = np.repeat(scales[:, None], d, axis=1)
    return scales if kind == "full" else scales[:, :, None] * np.eye(d)


def plain_density(row, mean, scale, v):
    o = ~np.isnan(row)
    if not o.any():
        return 0.0
    return multivariate_t.logpdf(row[o], mean[o], scale[np.ix_(o, o)], df=v)


def plain_joint(X, mixture):
    """Log of weight times density, (n, K)."""
    scales = plain_scales(mixture)
    parameters = list(
        zip(mixture.means_, scales, mixture.degrees_of_freedom_, strict=True)
    )
    joint = np.array([[plain_density(x, *each) for each in parameters] for x in X])
    return joint + np.log(mixture.weights_)


def plain_distance(row, mean, scale):
    """Squared Mahalanobis distance of the observed entries."""
    o = ~np.isnan(row)
    residual = row[o] - mean[o]
    return residual @ np.linalg.solve(scale[np.ix_(o, o)], residual)


class TestDensity:
    @pytest.mark.parametrize("degrees", [0.7, 5, "auto"])
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_is_that_of_scipy_on_the_observed_columns(self, covariance_type, degrees):
        X = heavy(60)
        mixture = fit(X, covariance_type, degrees, max_iter=4)
        joint = plain_joint(X, mixture)
        expected = logsumexp(joint, axis=1)
        assert_allclose(mixture.score_samples(X), expected, rtol=1e-10, atol=1e-10)
        shares = np.exp(joint - expected[:, None])
        assert_allclose(mixture.predict_proba(X), shares, rtol=1e-8, atol=1e-12)

    def test_gamma_ratios(self):
        degrees, p = np.array([0.3, 4.0, 1999.0, 2000.5]), np.arange(30)
        expected = [np.log(poch(v / 2, p / 2)) for v in degrees]
        assert_allclose(log_gamma_ratios(degrees, 29), expected, atol=1e-10)
        # Two half steps are a whole one, also where differences of gammaln cancel.
        large = np.array([1e6, 1e9])
        (first,), (second,) = (
            log_gamma_ratios(large + add, 1)[:, 1:].T for add in (0, 1)
        )
        assert_allclose(first + second, np.log(large / 2), rtol=1e-15)

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_gamma_ratios_of_few_entries(self, n):
        expected = gammaln(1.5 + np.arange(n + 1) / 2) - gammaln(1.5)
        assert_allclose(log_gamma_ratios(np.array([3.0]), n)[0], expected, atol=1e-14)


def plain_step(X, mixture, kappa, row_weights):
    """One step of EM by loops: weights, means, scale matrices, degrees, objective.

    'spherical' and 'diag' learn from observed entries alone.
    """
    kind, degrees = mixture.covariance_type, mixture.degrees_of_freedom_
    scales = plain_scales(mixture)
    center = np.average(np.nan_to_num(X), axis=0, weights=row_weights) / np.average(
        ~np.isnan(X), axis=0, weights=row_weights
    )
    n_components, d = mixture.means_.shape
    joint = plain_joint(X, mixture)
    log_density = logsumexp(joint, axis=1)
    shares = np.exp(joint - log_density[:, None]) * row_weights[:, None]
    objective = row_weights @ log_density
    for k in range(n_components):
        pull = mixture.means_[k] - center
        objective -= kappa / 2 * pull @ np.linalg.solve(scales[k], pull)
    means, new_degrees = np.empty((n_components, d)), degrees.copy()
    moments, counts = np.zeros((n_components, d, d)), np.zeros((n_components, d))
    for k, v in enumerate(degrees):
        u, filled, rest = [], [], []
        for row in X:
            p = (~np.isnan(row)).sum()
            u.append((v + p) / (v + plain_distance(row, mixture.means_[k], scales[k])))
            _, x, C = oracles.condition(row, mixture.means_[k], scales[k])
            filled.append(x)
            rest.append(C)
        u, seen = np.array(u), ~np.isnan(X)
        if kind in ("tied", "full"):
            seen = np.ones_like(seen)
        for j in range(d):
            use = seen[:, j]
            w = shares[use, k] * u[use]
            total = sum(w * np.array(filled)[use, j])
            means[k, j] = (total + kappa * center[j]) / (w.sum() + kappa)
            counts[k, j] = shares[use, k].sum()
        for i, (x, C) in enumerate(zip(filled, rest, strict=True)):
            residual = (x - means[k]) * seen[i]
            moments[k] += shares[i, k] * u[i] * np.outer(residual, residual)
            moments[k] += shares[i, k] * C * np.outer(seen[i], seen[i])
        pull = means[k] - center
        moments[k] += kappa * np.outer(pull, pull)
        if mixture.get_params()["degrees_of_freedom"] == "auto":
            new_degrees[k] = plain_degrees(X, shares[:, k], u, v)
    sizes = shares.sum(axis=0)
    if kind == "tied":
        new = np.repeat(moments.sum(axis=0)[None] / sizes.sum(), n_components, 0)
    elif kind == "full":
        new = moments / sizes[:, None, None]
    else:
        squares = np.einsum("kjj->kj", moments)
        if kind == "spherical":
            squares, counts = (
                np.repeat(each.sum(axis=1)[:, None], d, 1) for each in (squares, counts)
            )
        new = (squares / counts)[:, :, None] * np.eye(d)
    return sizes / sizes.sum(), means, new, new_degrees, objective / row_weights.sum()


def plain_degrees(X, shares, u, v):
    """The degrees of freedom of the highest expected log-density of u."""
    p = (~np.isnan(X)).sum(axis=1)
    logs = digamma((v + p) / 2) - np.log((v + p) / (2 * u))

    def loss(log_degrees):
        half = np.exp(log_degrees) / 2
        density = half * np.log(half) - gammaln(half) + half * (logs - u)
        return -shares @ density

    bounds = np.log([1.0, 1e6])
    found = minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-9})
    return np.exp(found.x)


class TestStep:
    @pytest.mark.parametrize("kappa", [0.0, 2.0])
    @pytest.mark.parametrize("degrees", [3.0, "auto"])
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_one_step_is_that_of_loops(self, covariance_type, degrees, kappa):
        X = heavy(50, 3)
        row_weights = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
        params = start(X, 2, covariance_type) | {"mean_precision_prior": kappa}
        params |= {"tol": 0.0, "sample_weight": row_weights}
        before, after = (fit(X, degrees=degrees, max_iter=n, **params) for n in (2, 3))
        weights, means, scales, v, objective = plain_step(X, before, kappa, row_weights)
        assert_allclose(after.weights_, weights, rtol=1e-9)
        assert_allclose(after.means_, means, rtol=1e-8, atol=1e-8)
        assert_allclose(plain_scales(after), scales, rtol=1e-8, atol=1e-8)
        assert_allclose(after.degrees_of_freedom_, v, rtol=1e-4)
        assert_allclose(after.lower_bound_, objective, rtol=1e-10)

    def test_degrees_from_means_of_logs(self):
        for v in (1.0, 2.5, 40.0, 3e5):
            mean_log = digamma(v / 2) - np.log(v / 2) - 1
            assert_allclose(find_degrees(mean_log), v, rtol=1e-6)
        assert find_degrees(-1.0) == 1e6
        assert find_degrees(-50.0) == 1.0

    @pytest.mark.slow
    def test_degrees_of_t_and_of_gaussian_data(self):
        rng = np.random.default_rng(0)
        heavy_tails = multivariate_t(np.zeros(4), np.eye(4), 3, seed=rng).rvs(4000)
        normal_tails = rng.standard_normal((4000, 4))
        for X, low, high in ((heavy_tails, 2.7, 3.3), (normal_tails, 50, 1e6)):
            X[rng.random(X.shape) < 0.2] = np.nan
            mixture = fit(X, "full", "auto", n_components=1, tol=1e-7, max_iter=2000)
            assert low <= mixture.degrees_of_freedom_[0] <= high
            scale = mixture.covariances_[0]
            assert_allclose(scale, np.eye(4), atol=0.1)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_many_degrees_are_gaussian(self, covariance_type):
        X = correlated(seed=1)
        params = start(X, 2, covariance_type) | {"max_iter": 20, "tol": 0.0}
        t, gaussian = (fit(X, degrees=v, **params) for v in (1e6, None))
        for name in ("weights_", "means_", "covariances_"):
            assert_allclose(getattr(t, name), getattr(gaussian, name), rtol=1e-4)
        for first, second in zip(
            t.complete(X, return_std=True),
            gaussian.complete(X, return_std=True),
            strict=True,
        ):
            assert_allclose(first, second, rtol=1e-4, atol=1e-4)
        scores = t.score_samples(X), gaussian.score_samples(X)
        assert_allclose(*scores, rtol=1e-4, atol=1e-12)
        assert_allclose(t.outlier_weights(X), 1, atol=1e-3)

    def test_empty_component_keeps_its_degrees(self):
        X = correlated()
        mixture = fit(X, "full", "auto", weights_init=[1.0, 0.0], max_iter=3)
        assert mixture.degrees_of_freedom_[1] == 4.0 != mixture.degrees_of_freedom_[0]


class TestCompletion:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_moments_are_integrals(self, covariance_type):
        """Of the joint density of the row, under both components."""
        X = heavy(80, 3, errors=0.05)
        mixture = fit(X, covariance_type, 6.0, max_iter=5)
        row = np.where(np.arange(3) == 1, np.nan, X[0])
        components = list(zip(mixture.means_, plain_scales(mixture), strict=True))

        def density(value, power):
            filled = np.where(np.isnan(row), value, row)
            terms = [plain_density(filled, m, s, 6.0) for m, s in components]
            return value**power * np.exp(terms) @ mixture.weights_

        mass, first, second = (
            quad(density, -1e4, 1e4, args=(power,), points=[-99, 0, 99], limit=500)[0]
            for power in range(3)
        )
        mean, std = mixture.complete(row[None], entries=([0], [1]), return_std=True)
        assert_allclose(mean, first / mass, rtol=1e-5)
        if covariance_type in ("tied", "full"):  # others add the uncertainty of means
            assert_allclose(std**2, second / mass - mean**2, rtol=1e-3)
            value = 1.7
            found = mixture.score_entries(row[None], ([0], [1]), [value])
            assert_allclose(found, np.log(density(value, 0) / mass), atol=1e-8)
            below = quad(density, -1e4, value, args=(0,), points=[-99, 0], limit=500)
            found = mixture.cdf_entries(row[None], ([0], [1]), [value])
            assert_allclose(found, below[0] / mass, rtol=1e-5)

    def test_undefined_variances_are_infinite(self):
        X = np.vstack([correlated(100, 3), np.full((1, 3), np.nan)])
        mixture = fit(X, "full", 0.5)
        std = mixture.complete(X, return_std=True)[1]
        n_seen = (~np.isnan(X)).sum(axis=1)
        missing = np.isnan(X)
        assert np.isinf(std[missing & (n_seen <= 1)[:, None]]).all()
        assert np.isfinite(std[missing & (n_seen > 1)[:, None]]).all()
        assert np.isfinite(mixture.transform(X)).all()
        with pytest.raises(ValueError, match=r"0\.5 degrees of freedom"):
            mixture.get_covariance(0)

    def test_component_without_a_share_has_no_part_in_a_variance(self):
        X = np.vstack([correlated(100, 3), np.full((1, 3), np.nan)])
        mixture = fit(X, "full", "auto", weights_init=[1.0, 0.0], max_iter=1)
        model = mixture._model
        degrees = np.array([5.0, 1.0])
        object.__setattr__(model.parameters, "degrees", degrees)
        std = mixture.complete(X[-1:], return_std=True)[1]
        scales = np.sqrt(np.diag(mixture.covariances_[0]) * 5 / 3)
        assert_allclose(std[0], scales)

    def test_far_rows_are_completed_with_more_uncertainty(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal(300)
        X = np.column_stack([x, x + 0.1 * rng.standard_normal(300)])
        mixture = fit(X, "full", 4, n_components=1)
        asked = [[0.0, np.nan], [20.0, np.nan]]
        near, far = mixture.complete(asked, return_std=True)[1][:, 1]
        assert far > 5 * near


class TestDraws:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_entries_of_a_row_share_their_chi_square(self, covariance_type):
        """Squared lengths of draws, over their number, follow an F distribution."""
        X = correlated(200, 4, n_components=1)
        v = 3.0
        mixture = fit(X, covariance_type, v, n_components=1)
        row = np.array([1.0, np.nan, np.nan, np.nan])
        draws = mixture.sample_completions(row[None], 3000, random_state=0)[:, 0, 1:]
        mean, scale = mixture.means_[0], plain_scales(mixture)[0]
        distance = plain_distance(row, mean, scale)
        _, filled, rest = oracles.condition(row, mean, scale)
        rest = rest[1:, 1:] * (v + distance) / (v + 1)
        if covariance_type in ("spherical", "diag"):
            # Predictive variances are somewhat larger.
            std = mixture.complete(row[None], return_std=True)[1][0, 1:]
            rest = np.diag(std**2 * (v - 1) / (v + 1))
        residuals = draws - filled[1:]
        lengths = np.einsum("ij,jk,ik->i", residuals, np.linalg.inv(rest), residuals)
        assert kstest(lengths / 3, f_distribution(3, v + 1).cdf).pvalue > 1e-3

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_sampled_rows(self, covariance_type):
        X = correlated(200, 4, n_components=1)
        mixture = fit(X, covariance_type, 3.0, n_components=1)
        drawn, _ = mixture.sample(3000)
        residuals = drawn - mixture.means_[0]
        precision = np.linalg.inv(plain_scales(mixture)[0])
        lengths = np.einsum("ij,jk,ik->i", residuals, precision, residuals)
        assert kstest(lengths / 4, f_distribution(4, 3.0).cdf).pvalue > 1e-3


class TestOutlierWeights:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_are_shares_times_expected_weights(self, covariance_type):
        X = heavy(60)
        mixture = fit(X, covariance_type, "auto", max_iter=5)
        joint = plain_joint(X, mixture)
        shares = np.exp(joint - logsumexp(joint, axis=1)[:, None])
        expected = np.zeros(len(X))
        for k, v in enumerate(mixture.degrees_of_freedom_):
            scale = plain_scales(mixture)[k]
            for i, row in enumerate(X):
                u = v + (~np.isnan(row)).sum()
                u /= v + plain_distance(row, mixture.means_[k], scale)
                expected[i] += shares[i, k] * u
        found = mixture.outlier_weights(X)
        assert_allclose(found, expected, rtol=1e-8)
        assert_allclose(found[1], 1)  # an empty row

    def test_tell_gross_errors(self):
        X = correlated(300, 5, missing=0.1)
        X[5:15, 2] = 90.0
        weights = fit(X, "full", "auto").outlier_weights(X)
        assert weights[5:15].max() < 0.02 < 0.1 < np.delete(weights, range(5, 15)).min()

    def test_in_every_container(self):
        X = heavy(100)
        mixture = fit(X, "full", 4)
        expected = mixture.outlier_weights(X)
        assert expected.shape == (100,)
        assert_allclose(mixture.outlier_weights(to_sparse(X)), expected)
        single = mixture.outlier_weights(X.astype(np.float32))
        assert single.dtype == np.float64
        assert_allclose(single, expected, rtol=1e-3)
        frame = pd.DataFrame(X, columns=list("abcde"))
        named = fit(frame, "full", 4)
        assert_allclose(named.outlier_weights(frame), expected)

    def test_are_lazy_for_dask(self):
        da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")
        X = heavy(100)
        lazy = da.from_array(X, chunks=(30, 5))
        mixture = fit(lazy, "full", "auto")
        weights = mixture.outlier_weights(lazy)
        assert isinstance(weights, da.Array)
        in_memory = fit(X, "full", "auto")
        assert_allclose(mixture.degrees_of_freedom_, in_memory.degrees_of_freedom_)
        assert_allclose(weights.compute(), in_memory.outlier_weights(X))

    @pytest.mark.parametrize(
        "covariance_type", [*TYPES, pytest.param("factor", marks=pytest.mark.slow)]
    )
    def test_are_1_for_gaussian_components(self, covariance_type):
        X = correlated()
        mixture = MaskedGaussianMixture(2, covariance_type=covariance_type, max_iter=2)
        assert_array_equal(mixture.fit(X).outlier_weights(X), np.ones(len(X)))
        assert not hasattr(mixture, "degrees_of_freedom_")


class TestEstimator:
    def test_name_and_object_are_the_same(self):
        X = heavy()
        by_name = fit(X, "full", "auto", reg_covar=1e-3)
        family = Student(Full(reg_covar=1e-3))
        by_object = MaskedGaussianMixture(2, covariance_type=family, random_state=0)
        wrapped = MaskedGaussianMixture(
            2,
            covariance_type=Full(reg_covar=1e-3),
            degrees_of_freedom="auto",
            random_state=0,
        )
        for other in (by_object, wrapped):
            assert_array_equal(other.fit_transform(X), by_name.transform(X))

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_number_of_parameters(self, covariance_type):
        X = correlated()
        counts = [
            fit(X, covariance_type, v, max_iter=1)._model.n_parameters
            for v in (None, 5, "auto")
        ]
        assert counts[0] == counts[1] == counts[2] - 2
        mixture = fit(X, covariance_type, "auto", max_iter=1)
        penalty = np.log(len(X)) * counts[2]
        assert_allclose(mixture.bic(X), penalty - 2 * mixture.score_samples(X).sum())

    def test_covariance_is_larger_than_the_scale(self):
        mixture = fit(correlated(), "full", 5, max_iter=2)
        assert_allclose(mixture.get_covariance(1), mixture.covariances_[1] * 5 / 3)

    def test_refit_leaves_no_degrees(self):
        mixture = fit(correlated(), "full", 5, max_iter=2)
        mixture.set_params(degrees_of_freedom=None).fit(correlated())
        assert not hasattr(mixture, "degrees_of_freedom_")

    def test_ellipses_hold_their_share(self):
        pytest.importorskip("matplotlib", reason="needs the extra 'plot'").use("Agg")
        from sklearn_gmmcf.plotting import MixtureDisplay

        X = correlated(200, 3, n_components=1)
        mixture = fit(X, "full", 1.5, n_components=1)
        display = MixtureDisplay.from_estimator(mixture, X, features=(2, 0))
        drawn, _ = mixture.sample(20_000)
        for level, ellipse in zip((0.5, 0.9), display.ellipses_, strict=True):
            turn = np.deg2rad(ellipse.angle)
            axes = np.array(
                [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
            )
            residuals = (drawn[:, [2, 0]] - mixture.means_[0, [2, 0]]) @ axes.T
            lengths = (2 * residuals / (ellipse.width, ellipse.height)) ** 2
            assert_allclose((lengths.sum(axis=1) < 1).mean(), level, atol=0.015)

    def test_search(self):
        X = heavy()
        mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        grid = {"degrees_of_freedom": [None, 3, "auto"]}
        search = GridSearchCV(mixture, grid, error_score="raise").fit(X)
        assert search.best_params_["degrees_of_freedom"] in (3, "auto")

    def test_clone_and_pickle(self):
        mixture = fit(heavy(), "tied", "auto", max_iter=3)
        assert clone(mixture).degrees_of_freedom == "auto"
        loaded = pickle.loads(pickle.dumps(mixture))
        X = heavy(seed=1)
        assert_array_equal(loaded.outlier_weights(X), mixture.outlier_weights(X))

    @pytest.mark.parametrize(
        "params",
        [
            {"covariance_type": "factor"},
            {"covariance_type": Factor(2)},
            {"covariance_type": Student(Full())},
        ],
    )
    def test_ignored_where_there_is_no_use(self, params):
        X = correlated()
        given = MaskedGaussianMixture(degrees_of_freedom=5, **params).fit(X)
        plain = MaskedGaussianMixture(**params).fit(X)
        np.testing.assert_array_equal(given.transform(X), plain.transform(X))

    @pytest.mark.parametrize("base", [Factor(), Student(Full())])
    def test_invalid_base(self, base):
        with pytest.raises(TypeError, match=type(base).__name__):
            Student(base)

    @pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, "gaussian"])
    def test_invalid_degrees(self, value):
        with pytest.raises(ValueError, match="degrees_of_freedom"):
            fit(correlated(), "full", value)
        with pytest.raises(ValueError, match="degrees_of_freedom should be 'auto' or"):
            Student(Full(), value)

    @pytest.mark.parametrize("other", [None, 3])
    def test_continues_only_the_same_degrees(self, other):
        X = correlated()
        mixture = fit(X, "full", "auto", max_iter=2)
        mixture.set_params(degrees_of_freedom=other)
        with pytest.raises(ValueError, match="a fit with degrees_of_freedom='auto'"):
            mixture.partial_fit(X)
        mixture.set_params(degrees_of_freedom="auto", covariance_type="tied")
        with pytest.raises(ValueError, match="another covariance_type"):
            mixture.partial_fit(X)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_online(self, covariance_type):
        """Batches find the degrees, and learn a column that comes later."""
        rng = np.random.default_rng(0)
        X = multivariate_t(np.zeros(3), np.eye(3), 3, seed=rng).rvs(6000)
        X[rng.random(X.shape) < 0.1] = np.nan
        mixture = MaskedGaussianMixture(
            covariance_type=covariance_type, degrees_of_freedom="auto"
        )
        first = X[:500].copy()
        first[:, 2] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            mixture.partial_fit(first)
        for batch in np.split(X, 12):
            mixture.partial_fit(batch)
        assert_allclose(mixture.degrees_of_freedom_, 3, rtol=0.2)
        assert_allclose(np.diagonal(plain_scales(mixture)[0]), 1, rtol=0.2)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_column_of_one_value_is_learned_as_by_gaussians(self, covariance_type):
        X = np.random.default_rng(0).random((100, 3))  # so that starts clip nothing
        first, batch = X.copy(), X[:10].copy()
        first[:, 2] = batch[1:, 2] = np.nan
        fitted = []
        for degrees in (1e6, None):
            mixture = MaskedGaussianMixture(
                covariance_type=covariance_type, degrees_of_freedom=degrees
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                mixture.partial_fit(first)
            fitted.append(mixture.partial_fit(batch))
        for name in ("means_", "covariances_"):
            found, expected = (getattr(mixture, name) for mixture in fitted)
            assert_allclose(found, expected, rtol=1e-3, atol=1e-6)

    def test_reviews_count_rows_and_not_their_weights(self):
        X = heavy(200, 6, errors=0.2)
        with warnings.catch_warnings():
            warnings.simplefilter("error", FewRowsWarning)
            fit(X, "full", 1.0, n_components=1)
        with pytest.warns(FewRowsWarning):
            fit(X[:10], "full", 1.0, n_components=1)


@settings(max_examples=40)
@given(
    X=tables(min_rows=4, max_columns=4),
    covariance_type=st.sampled_from(TYPES),
    degrees=st.sampled_from([0.5, 3.0, 50.0, "auto"]),
    kappa=st.sampled_from([0.0, 4.0]),
    strength=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 99),
)
def test_objective_never_falls_on_small_tables(
    X, covariance_type, degrees, kappa, strength, seed
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        mixture = fit(
            X,
            degrees=degrees,
            mean_precision_prior=kappa,
            covariance_precision_prior=strength,
            min_variance=0.05,
            max_iter=20,
            tol=0.0,
            **start(X, 2, covariance_type, seed),
        )
    bounds = np.array(mixture.lower_bounds_)
    assert np.isfinite(bounds).all()
    # The floor is no part of the objective, nor are values that are kept.
    floored = np.linalg.eigvalsh(plain_scales(mixture)).min() <= 0.05 * (1 + 1e-9)
    if not floored and mixture.weights_.min() >= 1e-200:
        assert (np.diff(bounds) >= -1e-10 * np.abs(bounds).max()).all()


class TestStart:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_of_the_user_is_in_units_of_the_data(self, covariance_type):
        X = heavy()
        params = start(X, 2, covariance_type)
        mixture = fit(X, degrees=5, max_iter=0, **params)
        for name in ("weights", "means", "precisions"):
            found = getattr(mixture, f"{name}_")
            assert_allclose(found, params[f"{name}_init"], rtol=1e-10)
        assert_array_equal(mixture.degrees_of_freedom_, [5, 5])

    def test_fences_are_those_of_numpy(self):
        rng = np.random.default_rng(0)
        X = rng.standard_cauchy((83, 4))
        X[rng.random(X.shape) < 0.3] = np.nan
        X[:, 3] = 0.0
        X[:5, 3] = 7.0  # no spread between the quartiles
        counts = rng.integers(1, 4, len(X))
        repeated = np.repeat(X, counts, axis=0)
        low, high = np.nanquantile(
            repeated[:, :3], [0.25, 0.75], axis=0, method="inverted_cdf"
        )
        expected = X.copy()
        expected[:, :3] = np.clip(
            X[:, :3], low - 1.5 * (high - low), high + 1.5 * (high - low)
        )
        for stored in (X, to_sparse(X)):
            clipped = clip_outliers(observe(stored, weights=counts.astype(float)))
            blocks = list(clipped)
            assert sum(len(block.weights) for block in blocks) == len(X)
            values, observed = (
                np.concatenate(each)
                for each in zip(*(b.dense() for b in blocks), strict=True)
            )
            found = np.where(observed, values + clipped.columns.center, np.nan)
            assert_allclose(found, expected, atol=1e-12)
            assert_array_equal(clipped.weights, counts)

    def test_fences_of_a_sample_are_close(self, monkeypatch):
        X = np.random.default_rng(0).standard_normal((4000, 3))
        data = observe(X)
        fences = []
        for max_rows in (10_000, 1000):
            monkeypatch.setattr(_clipping, "_MAX_ROWS", max_rows)
            clipped = clip_outliers(data)
            fences.append(clipped.raw[:].max(axis=0))
        assert_allclose(*fences, rtol=0.1)
        assert (np.array(fences) < X.max(axis=0)).all()

    def test_data_in_a_file(self, tmp_path):
        X = heavy(300)
        mapped = np.memmap(tmp_path / "X", dtype=X.dtype, mode="w+", shape=X.shape)
        mapped[:] = X
        found, expected = (fit(each, "full", "auto") for each in (mapped, X))
        assert_allclose(found.means_, expected.means_, rtol=1e-6)

    def test_markers_are_not_clipped(self):
        X = heavy()
        marked = np.where(np.isnan(X), -999.0, X)
        found = fit(marked, "full", "auto", missing_values=-999.0)
        assert_allclose(found.means_, fit(X, "full", "auto").means_)


@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_gross_errors_hardly_matter(n_components):
    """RMSE of rows without errors, beside the RMSE of a fit without any."""
    rng = np.random.default_rng(0)
    X = correlated(600, 6, missing=0.0, seed=3)
    missing = rng.random(X.shape) < 0.2
    wrong = (rng.random(X.shape) < 0.03) & ~missing
    errors = np.where(wrong, np.clip(20 * rng.standard_cauchy(X.shape), -100, 100), 0)
    judged = missing & ~wrong.any(axis=1)[:, None]

    def rmse(degrees, values):
        given = np.where(missing, np.nan, values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewRowsWarning)
            mixture = MaskedGaussianMixture(
                n_components,
                covariance_type="full",
                degrees_of_freedom=degrees,
                max_iter=1000,
                random_state=0,
            ).fit(given)
        return np.sqrt(np.mean((mixture.transform(given) - X)[judged] ** 2))

    clean = rmse("auto", X)
    assert clean < 1.05 * rmse(None, X)
    assert rmse("auto", X + errors) < 1.2 * clean
    assert rmse(None, X + errors) > 1.2 * clean
