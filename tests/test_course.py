# SPDX-License-Identifier: BSD-3-Clause
"""The figures of MITx 6.86x, to the last digit that is published or known."""

import re

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
)


def course_start(X, means):
    """Equal weights; variances about the means over all entries, zeros as values."""
    variances = [np.mean((X - mean) ** 2) for mean in means]
    return {
        "n_components": len(means),
        "weights_init": np.full(len(means), 1 / len(means)),
        "means_init": means,
        "precisions_init": 1 / np.array(variances),
    }


def course_mixture(X, means, max_iter):
    return MaskedGaussianMixture(
        **course_start(X, means),
        covariance_type="spherical",
        missing_values=0,
        min_variance=0.25,
        min_effective_count=1,
        reg_covar=0,
        tol=0,
        max_iter=max_iter,
    ).fit(X)


@pytest.fixture(scope="module")
def ratings(data_file):
    return np.loadtxt(data_file("netflix_incomplete.txt.gz"))


def drawn_rows(X, n_rows, seed):
    return X[np.random.RandomState(seed).choice(len(X), n_rows, replace=False)]


@pytest.mark.parametrize(
    ("seed", "max_iter", "log_likelihood"),
    [
        (0, 23, -1399803.0466569),
        (1, 27, -1390234.4223469),
        (2, 15, -1416862.4011513),
        (3, 21, -1393521.3929898),
        (4, 16, -1416733.8083764),
    ],
)
def test_netflix_log_likelihood(ratings, seed, max_iter, log_likelihood):
    mixture = course_mixture(ratings, drawn_rows(ratings, 12, seed), max_iter)
    assert mixture.lower_bound_ * 1200 == pytest.approx(log_likelihood, abs=1e-7)
    assert mixture.n_iter_ == max_iter


@pytest.mark.parametrize("max_iter", [2, 5])
def test_netflix_one_component(ratings, max_iter):
    mixture = course_mixture(ratings, drawn_rows(ratings, 1, 3), max_iter)
    assert mixture.lower_bound_ * 1200 == pytest.approx(-1521060.9539852, abs=1e-7)


def test_netflix_completion(ratings, data_file):
    truth = np.loadtxt(data_file("netflix_complete.txt.gz"))
    mixture = course_mixture(ratings, drawn_rows(ratings, 12, 1), 27)
    errors = mixture.transform(ratings) - truth
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(0.4804908505, abs=1e-10)
    # The celebrated 0.48 counts observed entries; on the missing ones alone it is 0.96,
    # and the mean of the column is better.
    missing = (ratings == 0) & (truth != 0)
    assert missing.sum() == 325_803
    assert np.sqrt(np.mean(errors[missing] ** 2)) == pytest.approx(0.9639, abs=5e-5)
    column_means = MaskedGaussianMixture(
        covariance_type="spherical", missing_values=0
    ).fit(ratings)
    errors = column_means.transform(ratings) - truth
    assert np.sqrt(np.mean(errors[missing] ** 2)) == pytest.approx(0.9610, abs=5e-5)


def solution(data_file, after, name):
    """An array of test_solutions.txt: the first of its name after a heading."""
    text = data_file("test_solutions.txt").read_text().split(after)[1]
    block = re.search(rf"{name}:\s*(\[.*?\])(?=\s*(?:\n[A-Za-z]|$))", text, re.DOTALL)
    rows = re.findall(r"\[([^\[\]]*)\]", block[1])
    return np.squeeze([np.array(row.split(), dtype=float) for row in rows])


def solution_number(data_file, after, name):
    text = data_file("test_solutions.txt").read_text().split(after)[1]
    return float(re.search(rf"{name}:\s*(\S+)", text)[1])


class TestSmallTable:
    @pytest.fixture
    def X(self, data_file):
        return np.loadtxt(data_file("test_incomplete.txt"))

    def test_first_steps(self, X, data_file):
        means = solution(data_file, "K: 4", "Mu")
        variances = solution(data_file, "K: 4", "Var")
        first = course_mixture(X, means, 0)
        np.testing.assert_allclose(1 / first.precisions_, variances, atol=0.005)
        np.testing.assert_allclose(
            first.predict_proba(X),
            solution(data_file, "After first E-step", "post"),
            atol=6e-9,
        )
        stepped = course_mixture(X, means, 1)
        log_likelihood = solution_number(data_file, "After first E-step", "LL")
        assert stepped.lower_bound_ * 20 == pytest.approx(log_likelihood, abs=1e-10)
        for attribute, name in [
            ("means_", "Mu"),
            ("covariances_", "Var"),
            ("weights_", "P"),
        ]:
            np.testing.assert_allclose(
                getattr(stepped, attribute),
                solution(data_file, "After first M-step", name),
                atol=6e-9,
            )

    def test_final_state(self, X, data_file):
        means = solution(data_file, "K: 4", "Mu")
        mixture = course_mixture(X, means, 20)
        for attribute, name in [
            ("means_", "Mu"),
            ("covariances_", "Var"),
            ("weights_", "P"),
        ]:
            np.testing.assert_allclose(
                getattr(mixture, attribute),
                solution(data_file, "After a run", name),
                atol=6e-9,
            )
        log_likelihood = solution_number(data_file, "After a run", "LL")
        assert mixture.lower_bound_ * 20 == pytest.approx(log_likelihood, abs=1e-10)
        completed = mixture.transform(X)
        np.testing.assert_allclose(
            completed, solution(data_file, "After a run", "X_pred"), atol=6e-9
        )
        truth = np.loadtxt(data_file("test_complete.txt"))
        rmse = np.sqrt(np.mean((completed - truth) ** 2))
        assert rmse == pytest.approx(solution_number(data_file, "X_pred", "RMSE"))


class TestToyData:
    @pytest.fixture
    def X(self, data_file):
        return np.loadtxt(data_file("toy_data.txt"))

    @pytest.mark.parametrize(
        ("n_components", "cost"),
        [(1, 5462.2975), (2, 1684.9080), (3, 1329.5949), (4, 1035.4998)],
    )
    def test_kmeans_costs(self, X, n_components, cost):
        costs = [
            KMeansMixture(n_components, init=drawn_rows(X, n_components, seed))
            .fit(X)
            .inertia_
            for seed in range(5)
        ]
        assert min(costs) == pytest.approx(cost, abs=5e-5)

    @pytest.mark.slow
    def test_bic_is_lowest_at_three(self, X):
        bics = [
            MaskedGaussianMixture(
                n_components,
                covariance_type="spherical",
                tol=1e-8,
                n_init=4,
                reg_covar=0,
                max_iter=1000,
                random_state=0,
            )
            .fit(X)
            .bic(X)
            for n_components in (1, 2, 3, 4)
        ]
        assert np.argmin(bics) == 2
        assert bics[2] == pytest.approx(2338.515, abs=0.005)
