# SPDX-License-Identifier: BSD-3-Clause
"""Full and tied mixtures on data with missing entries, against plain loops."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance import _conditioning, _triangles
from sklearn_gmmcf.data import _patterns
from tests import oracles
from tests.made import correlated, start

TYPES = ["full", "tied"]
# Each way to solve the system of a row: the system of the missing entries or of the
# observed ones; swept together, one by one, or once for all rows of a pattern.
WAYS = {
    "default": {},
    "of the observed": {"condition": 0.0},
    "one by one": {"sweep": 0},
    "of the observed, one by one": {"condition": 0.0, "sweep": 0},
    "shared": {"shared": 1, "entries": 1},
    "of the observed, shared": {"condition": 0.0, "shared": 1, "entries": 1},
    "small batches": {"batch": 1},
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in WAYS[request.param].items():
        module, constant = {
            "condition": (_conditioning, "_MAX_CONDITION"),
            "batch": (_conditioning, "_BATCH_BYTES"),
            "sweep": (_triangles, "_MAX_SWEEP"),
            "shared": (_patterns, "_SHARED_ROWS"),
            "entries": (_patterns, "_SHARED_ENTRIES"),
        }[name]
        monkeypatch.setattr(module, constant, value)


def fit(X, sample_weight=None, **params):
    """Fit from a given start, without the warning that few iterations raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MaskedGaussianMixture(**params).fit(X, sample_weight=sample_weight)


def plain_parameters(first):
    """Weights, means and covariances (K, d, d) of a start."""
    covariances = np.linalg.inv(first["precisions_init"])
    if covariances.ndim == 2:
        covariances = np.repeat(covariances[None], first["n_components"], axis=0)
    return first["weights_init"], first["means_init"], covariances


def with_odd_rows(missing):
    X = correlated(60, 5, missing=missing)
    X[5] = np.nan
    X[6, 1:] = np.nan
    return X


@pytest.mark.parametrize("covariance_type", TYPES)
def test_conditional_moments(way, covariance_type):
    X = with_odd_rows(0.5)
    first = start(X, 2, covariance_type)
    mixture = fit(X, **first, max_iter=0)
    responsibilities, log_density, filled, rest = oracles.full_e_step(
        X, *plain_parameters(first)
    )
    np.testing.assert_allclose(
        mixture.score_samples(X), log_density, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(mixture.predict_proba(X), responsibilities, atol=1e-10)
    mean, std = oracles.full_completion(responsibilities, filled, rest)
    completed, completed_std = mixture.complete(X, return_std=True)
    np.testing.assert_allclose(completed, mean, rtol=1e-9, atol=1e-12)
    missing = np.isnan(X)
    np.testing.assert_allclose(completed_std[missing], std[missing], rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("kappa", [0.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_step(way, covariance_type, kappa, weighted):
    X = with_odd_rows(0.4)
    first = start(X, 2, covariance_type)
    row_weights = np.random.default_rng(0).uniform(0.2, 3, 60) if weighted else None
    mixture = fit(
        X, row_weights, **first, mean_precision_prior=kappa, reg_covar=0, max_iter=1
    )
    weights, means, covariances = plain_parameters(first)
    responsibilities, log_density, filled, rest = oracles.full_e_step(
        X, weights, means, covariances
    )
    if row_weights is None:
        row_weights = np.ones(60)
    prior_mean = np.array(
        [
            np.average(
                column[~np.isnan(column)], weights=row_weights[~np.isnan(column)]
            )
            for column in X.T
        ]
    )
    expected = oracles.full_m_step(
        responsibilities * row_weights[:, None],
        filled,
        rest,
        covariance_type == "tied",
        kappa,
        prior_mean,
    )
    for name, value in zip(
        ("weights_", "means_", "covariances_"), expected, strict=True
    ):
        ours = np.broadcast_to(getattr(mixture, name), value.shape)
        np.testing.assert_allclose(ours, value, rtol=1e-8, atol=1e-10, err_msg=name)
    pulls = means - prior_mean
    penalty = sum(
        p @ np.linalg.solve(S, p) for p, S in zip(pulls, covariances, strict=True)
    )
    objective = (row_weights @ log_density - kappa / 2 * penalty) / row_weights.sum()
    assert mixture.lower_bound_ == pytest.approx(objective, rel=1e-10)


def test_attributes():
    X = correlated()
    for covariance_type in TYPES:
        mixture = fit(
            X, n_components=2, covariance_type=covariance_type, random_state=0
        )
        covariances = np.atleast_3d(mixture.covariances_.T).T
        precisions = np.atleast_3d(mixture.precisions_.T).T
        factors = np.atleast_3d(mixture.precisions_cholesky_.T).T
        assert len(covariances) == (2 if covariance_type == "full" else 1)
        for S, P, U in zip(covariances, precisions, factors, strict=True):
            np.testing.assert_allclose(S @ P, np.eye(5), atol=1e-8)
            np.testing.assert_allclose(U @ U.T, P, rtol=1e-8)
            np.testing.assert_array_equal(U, np.triu(U))


def test_number_of_parameters():
    X = correlated()
    for covariance_type, n_covariance_parameters in [("full", 2 * 15), ("tied", 15)]:
        mixture = fit(
            X, n_components=2, covariance_type=covariance_type, random_state=0
        )
        parameters = n_covariance_parameters + 2 * 5 + 1
        difference = mixture.aic(X) + 2 * mixture.score_samples(X).sum()
        assert difference == pytest.approx(2 * parameters)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_prior_of_covariances(covariance_type):
    """No covariances near those of the fit have a higher plain objective."""
    X = correlated(60, 3, missing=0.3)
    X = np.delete(X, np.flatnonzero(np.isnan(X).all(axis=1)), axis=0)
    spread = np.diag(np.nanvar(X, axis=0))
    strength = 8.0
    mixture = fit(
        X,
        **start(X, 2, covariance_type),
        covariance_precision_prior=strength,
        reg_covar=0,
        tol=1e-13,
        max_iter=5000,
    )

    def divergence(S, other):
        trace = np.trace(np.linalg.solve(other, S)) - len(S)
        return 0.5 * (trace + np.log(np.linalg.det(other) / np.linalg.det(S)))

    def objective(covariances, common):
        terms = np.array(
            [
                [
                    np.log(weight)
                    + multivariate_normal.logpdf(row[o], mean[o], S[np.ix_(o, o)])
                    for row, o in zip(X, ~np.isnan(X), strict=True)
                ]
                for weight, mean, S in zip(
                    mixture.weights_, mixture.means_, covariances, strict=True
                )
            ]
        )
        value = np.logaddexp.reduce(terms, axis=0).sum()
        if covariance_type == "tied":
            return value - strength / 100 * divergence(spread, covariances[0])
        return value - sum(
            strength * divergence(common, S) + strength / 100 * divergence(spread, S)
            for S in covariances
        )

    fitted = np.broadcast_to(mixture.covariances_, (2, 3, 3))
    common = np.linalg.inv(np.linalg.inv(fitted).mean(axis=0))
    best = objective(fitted, common)
    for i, j in zip(*np.tril_indices(3), strict=True):
        step = np.zeros((3, 3))
        step[i, j] = step[j, i] = 1e-3
        one = (
            step
            * (np.ones(2) if covariance_type == "tied" else np.eye(2)[0])[:, None, None]
        )
        up, down = (objective(fitted + sign * one, common) for sign in (1, -1))
        assert max(up, down) < best
        assert abs(up - down) < 0.02 * (best - min(up, down))
        if covariance_type == "full":
            up, down = (objective(fitted, common + sign * step) for sign in (1, -1))
            assert max(up, down) < best
            assert abs(up - down) < 0.02 * (best - min(up, down))


def test_prior_of_covariances_at_its_limits():
    X = correlated(60, 5, missing=0.4)
    full, tied = (
        fit(X, covariance_type=kind, covariance_precision_prior=30.0) for kind in TYPES
    )
    np.testing.assert_allclose(full.covariances_[0], tied.covariances_, rtol=1e-10)
    first = start(X, 2, "full")
    strong = fit(X, **first, covariance_precision_prior=1e9, max_iter=300, tol=1e-9)
    np.testing.assert_allclose(*strong.covariances_, rtol=1e-5, atol=1e-6)
    variances = np.nanvar(X, axis=0)
    np.testing.assert_allclose(
        strong.covariances_[0], np.diag(variances), rtol=1e-3, atol=1e-5
    )
    few = X[:4]  # fewer rows than columns
    made = fit(few, covariance_type="full", covariance_precision_prior=30.0)
    assert np.linalg.eigvalsh(made.covariances_[0])[0] > 0
    constant = np.where(np.isnan(X), np.nan, [[0, 0, 0, 0, 1.0]]) * 1.0
    with pytest.raises(ValueError, match="is singular"):
        fit(
            constant,
            covariance_type="full",
            n_components=2,
            covariance_precision_prior=1.0,
            reg_covar=0,
        )


def test_one_component_is_the_maximum_likelihood_estimate():
    X = correlated(40, 3, n_components=1, missing=0.35, seed=2)
    mixture = fit(X, covariance_type="full", reg_covar=0, tol=1e-13, max_iter=5000)
    lower = np.tril_indices(3)

    def unpack(theta):
        factor = np.zeros((3, 3))
        factor[lower] = theta[3:]
        return theta[:3], factor @ factor.T

    patterns = [o for o in np.unique(~np.isnan(X), axis=0) if o.any()]
    alike = [X[(~np.isnan(X) == o).all(axis=1)][:, o] for o in patterns]

    def loss(theta):
        mean, covariance = unpack(theta)
        return -sum(
            multivariate_normal.logpdf(rows, mean[o], covariance[np.ix_(o, o)]).sum()
            for rows, o in zip(alike, patterns, strict=True)
        )

    first = np.concatenate([np.nanmean(X, axis=0), np.eye(3)[lower]])
    best = minimize(loss, first, method="BFGS", options={"gtol": 1e-6})
    mean, covariance = unpack(best.x)
    np.testing.assert_allclose(mixture.means_[0], mean, atol=1e-4)
    np.testing.assert_allclose(mixture.covariances_[0], covariance, atol=1e-3)
    assert mixture.score(X) * len(X) == pytest.approx(-best.fun, abs=1e-6)


def test_one_column_ends_where_the_diagonal_family_ends():
    X = correlated(100, 1, missing=0.4)
    params = {"random_state": 0, "tol": 1e-12, "max_iter": 5000, "reg_covar": 0.01}
    diagonal = fit(X, n_components=2, covariance_type="diag", **params)
    full = fit(X, n_components=2, covariance_type="full", **params)
    np.testing.assert_allclose(full.means_, diagonal.means_, rtol=1e-4)
    np.testing.assert_allclose(
        full.covariances_[:, 0], diagonal.covariances_, rtol=1e-4
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_regularization_is_by_the_share_of_observing_rows(covariance_type):
    X = np.vstack([with_odd_rows(0.6), with_odd_rows(0.6)])
    first = start(X, 2, covariance_type)
    plain = fit(X, **first, reg_covar=0, max_iter=1).covariances_
    regular = fit(X, **first, reg_covar=0.05, max_iter=1).covariances_
    responsibilities, *_ = oracles.full_e_step(X, *plain_parameters(first))
    if covariance_type == "tied":
        responsibilities = responsibilities.sum(axis=1, keepdims=True)
    for k, shares in enumerate(responsibilities.T):
        expected = [
            sum(r for r, x in zip(shares, column, strict=True) if not np.isnan(x))
            for column in X.T
        ]
        change = (regular - plain).reshape(-1, 5, 5)[k]
        np.testing.assert_allclose(
            change, 0.05 * np.diag(expected) / sum(shares), atol=1e-11
        )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_regularization_does_not_add_up_in_missing_entries(covariance_type):
    X = correlated(300, 4, n_components=1, missing=0.6, seed=3)
    params = {"covariance_type": covariance_type, "tol": 1e-9, "max_iter": 5000}
    plain = fit(X, **params, reg_covar=0).covariances_
    regular = fit(X, **params, reg_covar=1e-3).covariances_
    change = np.diagonal(np.squeeze(regular - plain))
    # Added whole in each iteration, it would add up to 2.5e-3.
    assert 0.8e-3 < change.max() < 1.3e-3


@pytest.mark.parametrize("covariance_type", TYPES)
def test_recovers_the_truth_as_rows_grow(covariance_type):
    truth = np.array([[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1.0]])
    means = np.array([[0, 0, 0.0], [4, -4, 4]])
    errors = []
    for n in (200, 20_000):
        rng = np.random.default_rng(0)
        X = rng.multivariate_normal(np.zeros(3), truth, n)
        X += means[(np.arange(n) < n // 4).astype(int)]
        X[rng.random(X.shape) < 0.3] = np.nan
        mixture = fit(
            X, n_components=2, covariance_type=covariance_type, random_state=0, tol=1e-6
        )
        order = mixture.means_[:, 0].argsort()
        covariances = np.broadcast_to(mixture.covariances_, (2, 3, 3))[order]
        errors.append(
            max(
                np.abs(mixture.means_[order] - means).max(),
                np.abs(covariances - truth).max(),
            )
        )
    assert errors[1] < 0.05 < errors[0] < 0.8


class TestDraws:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_moments_in_each_way(self, way, covariance_type):
        X = with_odd_rows(0.5)[:8]
        mixture = fit(X, **start(X, 2, covariance_type), max_iter=0)
        draws = mixture.sample_completions(X, 1200, random_state=0)
        completed, std = mixture.complete(X, return_std=True)
        missing = np.isnan(X)
        assert (draws[:, ~missing] == X[~missing]).all()
        errors = (draws.mean(axis=0) - completed)[missing] / std[missing]
        assert np.abs(errors).max() < 5 / np.sqrt(1200)
        np.testing.assert_allclose(draws.std(axis=0)[missing], std[missing], rtol=0.1)
        # Missing entries of a row vary together: row 5 observes nothing, so its entries
        # vary as the mixture does.
        rows, _ = mixture.sample(20_000)
        np.testing.assert_allclose(
            np.cov(draws[:, 5].T), np.cov(rows.T), atol=0.15 * std[5].max() ** 2
        )

    def test_number(self):
        mixture = MaskedGaussianMixture(covariance_type="spherical").fit(correlated())
        with pytest.raises(ValueError, match="integer of at least 1"):
            mixture.sample_completions(correlated(), 0)


class TestErrors:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_singular_covariance(self, covariance_type):
        X = correlated(50, 3, missing=0.2)
        truth = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
        known = np.flatnonzero(~np.isnan(truth[:, 3]))
        X = truth.copy()
        X[known[::6], 3] = np.nan
        X[known[3::6], 0] = np.nan
        hidden = np.isnan(X) & ~np.isnan(truth)
        assert hidden.sum(axis=0)[[0, 3]].min() >= 5
        params = {"covariance_type": covariance_type, "random_state": 0}
        # Elimination bears the singular covariance: what others determine is exact.
        completed, std = fit(X, reg_covar=0, **params).complete(X, return_std=True)
        np.testing.assert_allclose(completed[hidden], truth[hidden], atol=1e-9)
        assert (std[hidden] > 0).all()
        assert (std[hidden] < 1e-5).all()
        for way_out in ({"reg_covar": 1e-4}, {"reg_covar": 0, "min_variance": 1e-4}):
            mixture = fit(X, **way_out, **params)
            completed, std = mixture.complete(X, return_std=True)
            assert np.isfinite(completed).all()
            assert np.isfinite(std).all()
            # Columns 0 and 3 are completed by the columns that determine them. Of the
            # variance of 1e-4 along (1, -2, 0, -1), each of the two has 6e-4.
            np.testing.assert_allclose(completed[hidden], truth[hidden], atol=0.01)
            assert (std[hidden] > np.sqrt(6e-4) * (1 - 1e-3)).all()
            assert (std[hidden] < 0.04).all()

    @pytest.mark.filterwarnings("ignore::sklearn_gmmcf.FewRowsWarning")
    def test_fewer_rows_than_columns(self):
        X = correlated(6, 10, missing=0.1)
        with pytest.raises(
            ValueError, match="component 0 is singular: its rows are too"
        ):
            fit(X, covariance_type="full", reg_covar=0)
        mixture = fit(X, covariance_type="full", reg_covar=0.1)
        assert np.isfinite(mixture.transform(X)).all()

    @pytest.mark.parametrize(
        ("precisions", "message"),
        [
            (np.ones((2, 5)), r"should have the shape \(2, 5, 5\)"),
            (np.triu(np.ones((2, 5, 5))), "should be symmetric; 0 is not"),
            (np.stack([np.eye(5), -np.eye(5)]), "positive definite; 1 is not"),
        ],
    )
    def test_given_precisions(self, precisions, message):
        with pytest.raises(ValueError, match=message):
            fit(
                correlated(),
                n_components=2,
                covariance_type="full",
                precisions_init=precisions,
            )

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_values_too_small_to_be_squared(self, covariance_type):
        with pytest.raises(ValueError, match="is singular"):
            fit(correlated() * 1e-155, covariance_type=covariance_type, reg_covar=0)


def test_objective_of_a_nearly_singular_covariance():
    # Observed entries nearly determine the missing ones: differences lose their digits.
    rng = np.random.default_rng(0)
    covariance = np.ones((8, 8)) + np.diag(rng.uniform(1, 2, 8)) * 1e-11
    X = rng.multivariate_normal(np.zeros(8), covariance, 400)
    X[rng.random(X.shape) < 0.4] = np.nan
    mixture = fit(X, covariance_type="full", reg_covar=0, tol=0, max_iter=40)
    bounds = np.array(mixture.lower_bounds_)
    assert (np.diff(bounds) >= -1e-5 * np.abs(bounds).max()).all()


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.FewRowsWarning")
@pytest.mark.parametrize("n_observed", [10, 190])
def test_memory_of_wide_rows_is_bounded(n_observed):
    # Conditional covariances of all rows at once would take 0.3 GB and more.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 200))
    order = rng.random(X.shape).argsort(axis=1)
    np.put_along_axis(X, order[:, n_observed:], np.nan, axis=1)
    mixture = fit(X, covariance_type="full", reg_covar=0.1, max_iter=1)
    one = ([3], [int(order[3, -1])])
    for call, most in [
        (lambda: mixture.complete(X, return_std=True), 1.2e8),
        (lambda: mixture.sample_completions(X, 2, random_state=0), 1.2e8),
        (lambda: mixture.complete(X, entries=one, return_std=True), 2e7),
        (lambda: mixture.sample_completions(X, 50, entries=one), 2e7),
    ]:
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most


def test_min_variance_is_a_floor_under_eigenvalues():
    X = correlated(100, 4, n_components=1, missing=0)
    plain = fit(X, covariance_type="full", reg_covar=0)
    floor = np.linalg.eigvalsh(plain.covariances_[0])[1]
    floored = fit(X, covariance_type="full", reg_covar=0, min_variance=floor)
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    expected = (vectors * np.maximum(values, floor)) @ vectors.T
    np.testing.assert_allclose(floored.covariances_[0], expected)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_component_that_loses_all_rows(covariance_type, kappa):
    X = correlated(30, 3, n_components=1)
    first = start(X, 2, covariance_type)
    first["means_init"][1] = 1e6
    mixture = fit(X, **first, max_iter=5, mean_precision_prior=kappa)
    assert mixture.weights_.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(mixture.means_[1], 1e6)
    if covariance_type == "full":
        np.testing.assert_allclose(
            mixture.covariances_[1], np.linalg.inv(first["precisions_init"][1])
        )


def extended_log_density(row, covariance):
    """By a Cholesky factorization in extended precision, mean 0."""
    observed = ~np.isnan(row)
    x = row[observed].astype(np.longdouble)
    S = covariance[np.ix_(observed, observed)].astype(np.longdouble)
    log_density = -0.5 * len(x) * np.log(2 * np.pi)
    for j in range(len(x)):  # eliminate one variable after another
        log_density -= 0.5 * (np.log(S[j, j]) + x[j] ** 2 / S[j, j])
        slopes = S[j + 1 :, j] / S[j, j]
        x[j + 1 :] -= slopes * x[j]
        S[j + 1 :, j + 1 :] -= np.outer(slopes, S[j, j + 1 :])
    return float(log_density)


@pytest.mark.parametrize(
    ("condition", "tolerance"), [(1e4, 1e-10), (1e7, 1e-7), (1e9, 1e-6), (1e12, 1e-4)]
)
def test_ill_conditioned_covariances(condition, tolerance):
    # Five columns that almost agree.
    rng = np.random.default_rng(0)
    covariance = np.ones((5, 5)) + np.diag(rng.uniform(1, 2, 5)) * 5 / condition
    X = rng.multivariate_normal(np.zeros(5), covariance, 300)
    X[rng.random(X.shape) < 0.4] = np.nan
    X[0] = 0
    mixture = fit(
        X,
        covariance_type="full",
        weights_init=[1.0],
        means_init=np.zeros((1, 5)),
        precisions_init=np.linalg.inv(covariance)[None],
        max_iter=0,
    )
    # The covariance that the given precisions have after rounding.
    covariance = mixture.covariances_[0]
    expected = [extended_log_density(row, covariance) for row in X]
    eigenvalues = np.linalg.eigvalsh(covariance)
    atol = 50 * np.finfo(float).eps * eigenvalues[-1] / eigenvalues[0]
    np.testing.assert_allclose(
        mixture.score_samples(X), expected, rtol=tolerance, atol=atol
    )
    completed = mixture.transform(X)
    nonempty = ~np.isnan(X).all(axis=1)
    agreed = np.nanmean(X[nonempty], axis=1, keepdims=True)
    assert np.abs(completed[nonempty] - agreed).max() < 30 / np.sqrt(condition)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("covariance_type", TYPES)
def test_density_of_an_entry_that_others_determine(covariance_type, seed):
    # reg_covar is so small beside the variances that rounding leaves 0, or less, of
    # some conditional variances.
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 1)) + 0.01 * rng.standard_normal((200, 3))
    slopes = rng.standard_normal(3)
    X = 3e3 * np.column_stack([X, X @ slopes])
    mixture = fit(X, covariance_type=covariance_type)
    for column in range(4):
        hidden = X[:50].copy()
        hidden[:, column] = np.nan
        entries = np.arange(50), np.full(50, column)
        density = mixture.score_entries(hidden, entries, X[:50, column])
        variance = mixture.get_covariance(0)[column, column]
        rounding = 16 * np.finfo(np.float64).eps * variance
        assert (density <= norm.logpdf(0, scale=np.sqrt(rounding)) + 1e-9).all()
        # The standard deviation that reg_covar=1e-6 leaves, but for rounding.
        std = 1e-3 * np.sqrt(slopes @ slopes + 1) / abs(np.append(slopes, 1)[column])
        assert (density > norm.logpdf(0, scale=4 * std)).all()


def test_column_scales_are_harmless():
    X = correlated(100, 4)
    scales = np.array([1e-3, 1, 1e3, 1e6])
    first = start(X, 2, "full")
    scaled = first | {
        "means_init": first["means_init"] * scales,
        "precisions_init": first["precisions_init"] / np.outer(scales, scales),
    }
    plain = fit(X, **first, reg_covar=0, max_iter=10)
    other = fit(X * scales, **scaled, reg_covar=0, max_iter=10)
    np.testing.assert_allclose(other.transform(X * scales) / scales, plain.transform(X))


@pytest.fixture(scope="module", params=[0, 1])
def table(request):
    """6,000 rows to fit, 1,500 to complete, and the truth of these."""
    rng = np.random.default_rng(request.param)
    W = rng.standard_normal((3, 20, 4))
    means = 2 * rng.standard_normal((3, 20))
    factors = np.linalg.cholesky(W @ np.swapaxes(W, 1, 2) + 0.25 * np.eye(20))
    labels = rng.integers(3, size=7500)
    noise = factors[labels] @ rng.standard_normal((7500, 20, 1))
    truth = means[labels] + noise[:, :, 0]
    X = np.where(rng.random(truth.shape) < 0.27, np.nan, truth)
    return X[:6000], X[6000:], truth[6000:]


@pytest.mark.slow
def test_hidden_entries_and_their_intervals(table):
    train, test, truth = table
    mixture = MaskedGaussianMixture(3, covariance_type="full", random_state=0).fit(
        train
    )
    missing = np.isnan(test)
    completed, std = mixture.complete(test, return_std=True)
    errors = (completed - truth)[missing]
    neighbors = KNNImputer().fit(train).transform(test)
    assert np.sqrt(np.mean(errors**2)) < 0.85 * np.sqrt(
        np.mean((neighbors - truth)[missing] ** 2)
    )
    inside = np.mean(np.abs(errors) < 1.645 * std[missing])
    assert 0.88 <= inside <= 0.92
    draws = mixture.sample_completions(test[:1000], 400, random_state=0)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    held = ((truth[:1000] >= low) & (truth[:1000] <= high))[missing[:1000]]
    assert 0.88 <= held.mean() <= 0.92
