# SPDX-License-Identifier: BSD-3-Clause
"""Multiple imputation: parameters from their posterior, and donors."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf._imputation import _count_sweeps, _draw_nearest, draw_models
from sklearn_gmmcf.covariance import Diagonal, Full
from sklearn_gmmcf.covariance._draws import draw_covariances
from tests.drawn import tables
from tests.made import clusters, correlated, estimators, to_sparse

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn_gmmcf.DataWarning"),
]


def pairs(n=30, n_missing=12, slope=0.7, seed=0):
    """Two columns; the second is missing where the first is largest."""
    rng = np.random.default_rng(seed)
    x = 3 + 2 * rng.standard_normal(n)
    X = np.column_stack([x, 1 + slope * x + rng.standard_normal(n)])
    X[np.argsort(x + rng.standard_normal(n))[n - n_missing :], 1] = np.nan
    return X


def fit(X, covariance_type="full", **options):
    options = {"tol": 1e-8, "max_iter": 2000, "random_state": 0} | options
    return MaskedGaussianMixture(covariance_type=covariance_type, **options).fit(X)


def parameters(mixture, X, n_draws, seed=0):
    """Drawn weights, means and covariances, in the units of the data."""
    rng = np.random.RandomState(seed)
    model, data = mixture._model, mixture._open(X)
    models = draw_models(model, data, n_draws, rng, mixture._refit)
    return stack(models)


def stack(models):
    drawn = [model.attributes() for model in models]
    return tuple(
        np.stack([each[name] for each in drawn])
        for name in ("weights_", "means_", "covariances_")
    )


def parameters_of_complete_rows(mixture, X, n_draws):
    """The same where no entry is missing and each row's component is certain."""
    rng = np.random.RandomState(0)
    model, (block,) = mixture._model, mixture._open(X).blocks()
    family, fitted = model.family, model.parameters
    statistics = family.draw_statistics(fitted, block, rng)
    return stack(
        replace(model, parameters=family.draw_parameters(statistics, fitted, rng))
        for _ in range(n_draws)
    )


def test_inverse_wishart():
    rng = np.random.RandomState(0)
    factor = rng.standard_normal((3, 3))
    scatter = factor @ factor.T + np.eye(3)
    freedom, n = 7.5, 4000
    roots = np.repeat(np.linalg.cholesky(scatter)[None], n, axis=0)
    drawn = draw_covariances(roots, np.full(n, freedom), rng)
    expected = stats.invwishart.rvs(freedom, scatter, size=n, random_state=rng)
    for direction in (np.eye(3)[0], np.eye(3)[2], np.array([1.0, -2.0, 0.5])):
        quadratic = np.einsum("i,nij,j->n", direction, drawn, direction)
        law = stats.invgamma(
            (freedom - 2) / 2, scale=direction @ scatter @ direction / 2
        )
        assert stats.kstest(quadratic, law.cdf).pvalue > 0.01
        pulls = np.einsum("i,nij,j->n", direction, np.linalg.inv(drawn), direction)
        law = stats.chi2(freedom, scale=direction @ np.linalg.solve(scatter, direction))
        assert stats.kstest(pulls, law.cdf).pvalue > 0.01
    dets, others = np.linalg.det(drawn), np.linalg.det(expected)
    assert stats.ks_2samp(dets, others).pvalue > 0.01


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("prior", [0.0, 40.0])
def test_posterior_of_complete_rows(covariance_type, prior):
    # Two clusters so far apart that each row's component is certain.
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [40, 25])
    factor = np.array([[1.0, 0.0], [0.8, 0.5]])
    X = rng.standard_normal((65, 2)) @ factor.T + 1000.0 * labels[:, None]
    mixture = fit(
        X,
        covariance_type,
        n_components=2,
        labels_init=labels,
        mean_precision_prior=prior / 1e6,
        covariance_precision_prior=prior,
        reg_covar=0.0,
    )
    n_draws = 600
    weights, means, covariances = parameters_of_complete_rows(mixture, X, n_draws)
    tied = covariance_type == "tied"
    # The priors in plain words; the mean's pull is small beside 25 rows.
    n_prior, scatter_prior = prior / 100, prior / 100 * np.diag(X.var(axis=0))
    if not tied:
        common = np.linalg.inv(np.mean(mixture.precisions_, axis=0))
        n_prior, scatter_prior = n_prior + prior, scatter_prior + prior * common
    scatters = [(X[labels == k] - X[labels == k].mean(0)) for k in (0, 1)]
    scatters = [residuals.T @ residuals for residuals in scatters]
    for k, n in enumerate((40, 25)):
        freedom = (63 if tied else n - 1) + n_prior
        scatter = (sum(scatters) if tied else scatters[k]) + scatter_prior
        expected = scatter / (freedom - 3)
        drawn = covariances if tied else covariances[:, k]
        error = 5 * drawn.std(axis=0) / np.sqrt(n_draws)
        assert (np.abs(drawn.mean(axis=0) - expected) < error).all()
        spread = np.cov(means[:, k].T)
        limit = 0.2 * np.diag(expected / n).max()
        np.testing.assert_allclose(spread, expected / n, rtol=0, atol=limit)
        center = X[labels == k].mean(axis=0)
        error = 5 * np.sqrt(np.diag(expected) / n / n_draws)
        assert (np.abs(means[:, k].mean(axis=0) - center) < error + prior * 1e-4).all()
        law = stats.beta(n + 1, 65 - n + 1)
        assert stats.kstest(weights[:, k], law.cdf).pvalue > 0.01


def test_mean_prior_counts_as_rows_at_the_mean_of_the_column():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 60])
    X = rng.standard_normal((90, 1)) + 1000.0 * labels[:, None]
    kappa = 10.0
    mixture = fit(X, n_components=2, labels_init=labels, mean_precision_prior=kappa)
    _, means, covariances = parameters_of_complete_rows(mixture, X, 600)
    m = X.mean()
    for k, n in enumerate((30, 60)):
        rows = X[labels == k]
        center = (n * rows.mean() + kappa * m) / (n + kappa)
        scatter = ((rows - center) ** 2).sum() + kappa * (center - m) ** 2
        expected = scatter / (n - 1 - 2)
        drawn = covariances[:, k, 0, 0]
        assert drawn.mean() == pytest.approx(expected, rel=0.03)
        t = (means[:, k, 0] - center) / np.sqrt(scatter / (n + kappa) / (n - 1))
        assert stats.kstest(t, stats.t(n - 1).cdf).pvalue > 0.01


def test_components_of_few_rows_take_the_pooled_covariance():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [12, 4])
    X = rng.standard_normal((16, 3)) * [1.0, 2.0, 3.0] + 1000.0 * labels[:, None]
    mixture = fit(X, n_components=2, labels_init=labels, reg_covar=1e-3)
    _, _, covariances = parameters_of_complete_rows(mixture, X, 600)
    scatters = [(X[labels == k] - X[labels == k].mean(0)) for k in (0, 1)]
    pooled = sum(residuals.T @ residuals for residuals in scatters) / (14 - 4)
    expected = np.diag(scatters[0].T @ scatters[0]) / (11 - 4)
    drawn = np.diagonal(covariances.mean(axis=0), axis1=1, axis2=2)
    np.testing.assert_allclose(drawn[0], expected, rtol=0.08)
    np.testing.assert_allclose(drawn[1], np.diag(pooled), rtol=0.08)


@pytest.mark.slow
def test_mean_of_missing_entries_has_its_posterior_predictive():
    # With the prior |S|^(-3/2) of two columns the regression of y on x has the
    # posterior of a linear model, with one degree of freedom more than usual.
    X = pairs()
    missing = np.isnan(X[:, 1])
    x, y = X[~missing].T
    n, m = len(x), missing.sum()
    squares = ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * y).sum() / squares
    residual = ((y - y.mean() - slope * (x - x.mean())) ** 2).sum()
    distance = X[missing, 0].mean() - x.mean()
    scale = residual / (n - 1) * (1 / m + 1 / n + distance**2 / squares)
    law = stats.t(n - 1, y.mean() + slope * distance, np.sqrt(scale))
    mixture = fit(X, reg_covar=0.0)
    gaps = {}
    for name in ("posterior", "fitted"):
        draws = mixture.sample_completions(X, 400, parameters=name, random_state=0)
        gaps[name] = stats.kstest(draws[:, missing, 1].mean(axis=1), law.cdf).statistic
    assert gaps["posterior"] < 1.36 / np.sqrt(400) < 1.8 / np.sqrt(400) < gaps["fitted"]


def test_regularization_does_not_add_up_over_sweeps():
    # Of a constant column each drawn variance is about reg_covar, however many sweeps.
    X = np.column_stack([np.full(60, 7.0), np.random.default_rng(0).normal(size=60)])
    X[:24, 0] = np.nan
    mixture = fit(X, reg_covar=0.01)
    _, _, covariances = parameters(mixture, X, 120)
    variances = covariances[:, 0, 0, 0]
    assert variances[60:].mean() == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize("estimator", estimators(2), ids=repr)
def test_posterior_draws_vary_more(estimator):
    X = pairs(40, 20)
    options = {"random_state": 0}
    if isinstance(estimator, MaskedGaussianMixture):
        options["max_iter"] = 10
    estimator = estimator.set_params(n_components=1, **options).fit(X)
    spreads = []
    for name in ("fitted", "posterior"):
        draws = estimator.sample_completions(X, 40, parameters=name, random_state=0)
        observed = ~np.isnan(X)
        assert (draws[:, observed] == X[observed]).all()
        spreads.append(draws[:, :, 1].mean(axis=1).std())
    assert spreads[1] > 1.1 * spreads[0]


@pytest.mark.parametrize(
    "estimator",
    [
        MaskedGaussianMixture(covariance_type="diag", reg_covar=0.0),
        KMeansMixture(1, reg_covar=0.0),
        MaskedGaussianMixture(covariance_type="full", degrees_of_freedom=1e6),
    ],
    ids=["diag", "k-means", "student"],
)
def test_bootstrap_weighs_rows_by_a_dirichlet_variable(estimator):
    X = np.random.default_rng(0).exponential(size=(30, 2))
    _, means, _ = parameters(estimator.fit(X), X, 400)
    residuals = X - X.mean(axis=0)
    # Of means weighted by Dirichlet(1, ..., 1).
    expected = residuals.T @ residuals / (30 * 31)
    np.testing.assert_allclose(np.cov(means[:, 0].T), expected, rtol=0.25, atol=2e-3)
    error = 5 * np.sqrt(np.diag(expected) / 400)
    assert (np.abs(means[:, 0].mean(axis=0) - X.mean(axis=0)) < error).all()


@pytest.mark.parametrize("donors", [None, 3])
@pytest.mark.parametrize("estimator", estimators(2), ids=repr)
def test_seeds_entries_and_containers(estimator, donors):
    X = clusters(40, 3, n_components=2, missing=0.3)
    X[5] = np.nan
    estimator = estimator.set_params(random_state=0, max_iter=5).fit(X)
    options = {"parameters": "posterior", "donors": donors}

    def draw(X, seed, **more):
        return estimator.sample_completions(X, 3, random_state=seed, **options, **more)

    first = draw(X, 0)
    observed = ~np.isnan(X)
    assert first.shape == (3, 40, 3)
    assert np.isfinite(first).all()
    assert (first[:, observed] == X[observed]).all()
    assert (first == draw(X, 0)).all()
    assert (first != draw(X, 1))[:, ~observed].any()
    np.testing.assert_allclose(draw(to_sparse(X), 0), first, rtol=1e-6)
    single = draw(X.astype(np.float32), 0)
    assert single.dtype == np.float32
    assert (single[:, observed] == X.astype(np.float32)[observed]).all()
    rows, columns = np.array([0, 5, 7, 5]), np.array([1, 2, 0, 2])
    drawn = draw(X, 0, entries=(rows, columns))
    assert drawn.shape == (3, 4)
    assert (drawn[:, 1] == drawn[:, 3]).all()  # one entry, asked for twice
    assert len(np.unique(drawn[:, 1])) > 1
    given = observed[rows, columns]
    assert (drawn[:, given] == X[rows, columns][given]).all()


@pytest.mark.slow
def test_entries_have_the_law_of_whole_draws():
    X = pairs(20, 8)
    mixture = fit(X)
    i = int(np.flatnonzero(np.isnan(X[:, 1]))[0])
    options = {"parameters": "posterior"}
    whole = mixture.sample_completions(X, 80, random_state=0, **options)[:, i, 1]
    some = mixture.sample_completions(
        X, 500, entries=([i], [1]), random_state=1, **options
    )
    assert stats.ks_2samp(whole, some[:, 0]).pvalue > 0.01


def test_rows_without_observed_entries_tell_nothing():
    X = pairs(20, 5)
    mixture = fit(X)
    more = np.vstack([X, np.full((200, 2), np.nan)])
    model, (block,) = mixture._model, mixture._open(more).blocks()
    rng = np.random.RandomState(0)
    statistics = model.family.draw_statistics(model.parameters, block, rng)
    assert statistics.weight == statistics.sizes.sum() == 20
    _, means, _ = parameters(mixture, X, 120)
    _, others, _ = parameters(mixture, more, 120)
    assert stats.ks_2samp(means[:, 0, 0], others[:, 0, 0]).pvalue > 0.01
    assert _count_sweeps(mixture._open(more)) == _count_sweeps(mixture._open(X)) == 2
    X[4:, 1] = np.nan
    assert _count_sweeps(mixture._open(X)) == 10


def test_columns_that_are_rarely_seen_together_take_more_sweeps():
    X = np.random.default_rng(0).normal(size=(20, 2))
    X[:5, 0] = X[10:14, 1] = np.nan  # 11 of 20 rows show both columns
    mixture = fit(X)
    assert _count_sweeps(mixture._open(X)) == 10
    X[10:12, 1] = 1.0
    assert _count_sweeps(mixture._open(X)) == 2


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_columns_that_no_row_observes(covariance_type):
    X = np.column_stack([pairs(40, 0), np.full(40, np.nan)])
    mixture = fit(X, covariance_type)
    given = X.copy()
    given[:, 1] = np.nan
    n_draws = 30
    _, means, covariances = parameters(mixture, given, n_draws)
    fitted = mixture.covariances_.reshape(3, 3)
    covariances = covariances.reshape(n_draws, 3, 3)
    # Draws of the first column alone; y keeps its regression, z its distribution.
    assert covariances[:, 0, 0].std() > 0.05
    slope = fitted[1, 0] / fitted[0, 0]
    np.testing.assert_allclose(covariances[:, 1, 0] / covariances[:, 0, 0], slope)
    rest = covariances[:, 1, 1] - slope**2 * covariances[:, 0, 0]
    np.testing.assert_allclose(rest, fitted[1, 1] - slope**2 * fitted[0, 0])
    expected = mixture.means_[0, 1] + slope * (means[:, 0, 0] - mixture.means_[0, 0])
    np.testing.assert_allclose(means[:, 0, 1], expected)
    np.testing.assert_allclose(means[:, 0, 2], mixture.means_[0, 2])
    np.testing.assert_allclose(covariances[:, 2, 2], fitted[2, 2])
    draws = mixture.sample_completions(given, 20, parameters="posterior", donors=5)
    assert np.isfinite(draws).all()
    nothing = np.full((4, 3), np.nan)
    draws = mixture.sample_completions(nothing, 2, parameters="posterior")
    assert np.isfinite(draws).all()


def test_covariates_are_returned_as_they_are():
    rng = np.random.default_rng(0)
    X = clusters(40, 4, missing=0.3)
    X[:, 3] = rng.integers(2, size=40)
    X[::3, 3] = np.nan
    drawn = {}
    for marker in (np.nan, -999.0):
        given = np.where(np.isnan(X), marker, X)
        mixture = MaskedGaussianMixture(
            covariance_type="factor",
            n_factors=2,
            covariates=[3],
            missing_values=marker,
            max_iter=5,
        ).fit(given)
        for donors in (None, 2):
            draws = mixture.sample_completions(
                given, 2, parameters="posterior", donors=donors, random_state=0
            )
            assert np.isfinite(draws[:, :, :3]).all()
            assert (draws[:, :, :3] != -999).all()
            np.testing.assert_array_equal(draws[0, :, 3], given[:, 3])
            np.testing.assert_array_equal(draws[1, :, 3], given[:, 3])
            first = drawn.setdefault(donors, draws)
            np.testing.assert_allclose(draws[:, :, :3], first[:, :, :3])


@pytest.mark.parametrize("n_donors", [1, 2, 3, 10])
def test_the_nearest_are_equally_likely(n_donors):
    offered = np.array([-2.0, 0.0, 0.0, 0.0, 1.0, 1.5, 1.5, 4.0])
    uniform = (np.arange(2520) + 0.5) / 2520
    k = min(n_donors, len(offered))
    for wanted in (-5.0, -1.0, 0.0, 0.5, 1.0, 1.2, 2.75, 3.0, 9.0):
        # A plain loop: the nearer ones for certain, and of ties their share.
        distances = np.abs(offered - wanted)
        last = np.sort(distances)[k - 1]
        nearer, tied = distances < last, distances == last
        expected = nearer / k + tied * (1 - nearer.sum() / k) / tied.sum()
        found = _draw_nearest(offered, np.full(2520, wanted), k, uniform)
        shares = np.bincount(found, minlength=len(offered)) / 2520
        np.testing.assert_allclose(shares, expected, atol=1e-3)


def test_donors_have_the_nearest_expectations():
    # Expectations of y are linear in x, so the nearest donor is the nearest in x.
    X = pairs(60, 25)
    missing = np.isnan(X[:, 1])
    draws = fit(X).sample_completions(X, 2, donors=1, random_state=0)
    x, y = X[~missing].T
    nearest = [y[np.argmin(np.abs(x - value))] for value in X[missing, 0]]
    np.testing.assert_array_equal(draws[0, missing, 1], nearest)
    np.testing.assert_array_equal(draws[1, missing, 1], nearest)


def test_expectations_of_missing_entries_are_the_drawn_ones():
    # Of few rows the drawn lines differ, and with them the nearest donors.
    X = pairs(12, 5)
    draws = fit(X).sample_completions(
        X, 20, parameters="posterior", donors=1, random_state=0
    )
    assert len(np.unique(draws[:, np.isnan(X[:, 1]), 1], axis=0)) > 3


def test_donors_keep_bounds_and_correlations():
    rng = np.random.default_rng(0)
    common = rng.exponential(size=500)
    noise = rng.exponential(0.1, size=(500, 2))
    X = np.column_stack(
        [rng.standard_normal(500), np.ceil(5 * (common[:, None] + noise))]
    )
    X[rng.random(500) < 0.5, 1:] = np.nan  # both at once, and the first tells nothing
    missing = np.isnan(X[:, 1])
    expected = np.corrcoef(X[~missing, 1:].T)[0, 1]
    draws = fit(X).sample_completions(
        X, 4, parameters="posterior", donors=5, random_state=0
    )
    for drawn in draws:
        for j in (1, 2):
            assert np.isin(drawn[:, j], X[~missing, j]).all()
        assert np.corrcoef(drawn[missing, 1:].T)[0, 1] > expected - 0.06
        # A column that no other informs: all observed values are donors.
        assert len(np.unique(drawn[missing, 1])) > 12


@settings(max_examples=25, deadline=None)
@given(
    X=tables(min_rows=8, max_rows=14, max_columns=3),
    covariance_type=st.sampled_from(["full", "tied", "diag"]),
    n_components=st.integers(1, 2),
    donors=st.sampled_from([None, 1, 5]),
)
def test_draws_are_finite(X, covariance_type, n_components, donors):
    X[:6] = np.where(np.isnan(X[:6]), 0.5, X[:6])  # enough for three columns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = MaskedGaussianMixture(
            n_components,
            covariance_type=covariance_type,
            reg_covar=0.1,
            max_iter=5,
            random_state=0,
        ).fit(X)
        draws = mixture.sample_completions(
            X, 3, parameters="posterior", donors=donors, random_state=0
        )
    observed = ~np.isnan(X)
    assert np.isfinite(draws).all()
    assert (draws[:, observed] == X[observed]).all()


def test_too_few_rows():
    X = correlated(4, 6, n_components=1, missing=0.2)
    options = {"parameters": "posterior", "random_state": 0}
    few = fit(X, reg_covar=0.1)
    with pytest.raises(ValueError, match=r"4 rows with observed entries.*6 columns"):
        few.sample_completions(X, 2, **options)
    for mixture in (
        fit(X, reg_covar=0.1, covariance_precision_prior=600.0),
        fit(X, "factor", n_factors=2, max_iter=5),
        fit(X, "diag", max_iter=5),
    ):
        assert np.isfinite(mixture.sample_completions(X, 2, **options)).all()
    two = fit(np.array([[1.0, 2.0], [3.0, np.nan]]), reg_covar=0.1)
    with pytest.raises(ValueError, match="needs more rows"):
        two.sample_completions([[1.0, 2.0], [3.0, np.nan]], 2, **options)


def test_without_a_posterior_rows_are_weighed():
    class Resampled(Full):
        draws_parameters = False

    X = pairs(40, 16)
    spreads = [
        fit(X, family, tol=1e-4).sample_completions(
            X, 60, parameters="posterior", random_state=0
        )
        for family in (Full(1e-6), Resampled(1e-6))
    ]
    spreads = [draws[:, :, 1].mean(axis=1).std() for draws in spreads]
    assert 0.6 < spreads[1] / spreads[0] < 1.3
    for draw in (Diagonal().draw_statistics, Diagonal().draw_parameters):
        with pytest.raises(NotImplementedError, match="Diagonal does not draw param"):
            draw(None, None, None)


def test_unusable_options():
    X = pairs()
    mixture = fit(X)
    with pytest.raises(ValueError, match=r"parameters should be one of \('fitted'"):
        mixture.sample_completions(X, 2, parameters="drawn")
    for donors in (0, 1.5, True):
        with pytest.raises(ValueError, match="donors should be an integer"):
            mixture.sample_completions(X, 2, donors=donors)
