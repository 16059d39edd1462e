# SPDX-License-Identifier: BSD-3-Clause
"""Contracts of a line or two that the other tests leave open."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.utils import get_tags

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
)
from sklearn_gmmcf._lloyd import assign
from sklearn_gmmcf._starts import Starter, _draw, draw_distant_rows, draw_rows
from sklearn_gmmcf.covariance import Diagonal
from sklearn_gmmcf.data import observe
from tests.made import EXACT_TYPES, clusters, estimators, start, to_sparse

TYPES = ["spherical", "diag"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_warm_start_prior_of_a_column_that_is_not_observed_anew():
    X = clusters(spread=4)
    later = X.copy()
    later[:, 2] = np.nan
    warm = MaskedGaussianMixture(
        covariance_type="spherical", mean_precision_prior=2, warm_start=True
    )
    warm.fit(X).fit(later)
    np.testing.assert_allclose(warm.means_[0, 2], np.nanmean(X[:, 2]))


@pytest.mark.parametrize("covariance_type", EXACT_TYPES)
def test_warm_start_on_data_centered_elsewhere(covariance_type):
    X, Y = clusters(seed=0), clusters(300, seed=0) + 1
    params = {
        "n_components": 2,
        "covariance_type": covariance_type,
        "mean_precision_prior": 2,
    }
    warm = MaskedGaussianMixture(**params, warm_start=True, random_state=0).fit(X)
    cold = MaskedGaussianMixture(
        **params,
        max_iter=2,
        tol=0,
        weights_init=warm.weights_,
        means_init=warm.means_,
        precisions_init=warm.precisions_,
    ).fit(Y)
    warm.set_params(max_iter=2, tol=0).fit(Y)
    np.testing.assert_allclose(warm.means_, cold.means_)
    np.testing.assert_allclose(warm.lower_bounds_, cold.lower_bounds_)


def test_warm_start_of_a_converged_fit_stops_at_once():
    X = clusters()
    warm = MaskedGaussianMixture(
        3, covariance_type="spherical", warm_start=True, random_state=0, max_iter=500
    ).fit(X)
    assert warm.fit(X).n_iter_ == 1


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_squared_norms_of_float32_are_sums_in_double(make):
    X = clusters(300, 6).astype(np.float32)
    data = observe(make(X))
    (block,) = data
    values = np.where(np.isnan(X), 0, X - data.columns.center).astype(np.float32)
    norms = (values.astype(np.float64) ** 2).sum(axis=1)
    np.testing.assert_allclose(block.squared_norms, norms, rtol=1e-13)


def test_fractional_sentinel():
    X = np.round(clusters())
    dense = np.where(np.isnan(X), 0.5, X)
    for est, other in zip(
        estimators(random_state=0, missing_values=0.5),
        estimators(random_state=0),
        strict=True,
    ):
        np.testing.assert_allclose(est.fit(dense).means_, other.fit(X).means_)


def test_negative_weights():
    X = clusters()
    weights = np.ones(len(X))
    weights[3] = -1
    for est in estimators():
        with pytest.raises(ValueError, match=r"Negative values in data.*sample_weight"):
            est.fit(X, sample_weight=weights)
        with pytest.raises(ValueError, match=r"Negative values in data.*sample_weight"):
            est.fit(X).score(X, sample_weight=weights)


def test_nan_tag():
    for est in estimators():
        assert get_tags(est).input_tags.allow_nan
        assert not get_tags(est.set_params(missing_values=0)).input_tags.allow_nan


def test_given_weights_are_not_shared():
    first = start(clusters(), 2, "diag")
    m = MaskedGaussianMixture(**first, max_iter=0).fit(clusters())
    for a, b in [
        ("weights_", "weights_init"),
        ("means_", "means_init"),
        ("precisions_", "precisions_init"),
    ]:
        assert not np.shares_memory(getattr(m, a), first[b])


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnobservedColumnsWarning")
# Means far from the data leave a component a single row.
@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
def test_given_means_of_an_unobserved_column():
    X = clusters()
    X[:, 1] = np.nan
    given = np.linspace(-2, 2, 12).reshape(2, 6)
    for fitted in (
        KMeansMixture(2, init=given),
        *(
            MaskedGaussianMixture(
                2, means_init=given, covariance_type=t, random_state=0
            )
            for t in TYPES
        ),
    ):
        np.testing.assert_allclose(fitted.fit(X).means_[:, 1], np.nanmean(X))


def test_random_rows_are_not_drawn_by_distance():
    X = grid()

    def inertias(init):
        return [
            KMeansMixture(25, init=init, max_iter=1, random_state=s).fit(X).inertia_
            for s in range(5)
        ]

    assert min(inertias("random")) > 10 * max(inertias("k-means++"))


def test_kmeans_min_variance():
    kmeans = KMeansMixture(3, min_variance=50.0, random_state=0).fit(clusters())
    np.testing.assert_array_equal(kmeans.covariances_, 50)


def test_distances_are_not_negative():
    X = np.random.default_rng(0).standard_normal((200, 5)) + 100
    data = observe(X)
    labels, distances = assign(data, X - data.columns.center)
    np.testing.assert_array_equal(labels, np.arange(200))
    assert distances.min() >= 0
    np.testing.assert_allclose(distances, 0, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_kmeans_tol_is_relative(scale):
    X = scale * clusters(400, 4, n_components=8, missing=0, spread=1)
    params = {"init": X[:8], "tol": 1e-2}
    theirs, ours = (
        KMeans(8, n_init=1, **params).fit(X),
        KMeansMixture(8, reg_covar=0, **params).fit(X),
    )
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert (
        KMeansMixture(8, init=X[:8], tol=0, reg_covar=0).fit(X).n_iter_ > ours.n_iter_
    )


def test_kmeans_tol_counts_weights():
    X = clusters(200, 4, n_components=8, missing=0.2, spread=1)
    X[0] = 30
    counts = np.ones(len(X), dtype=int)
    counts[0] = 50
    params = {"init": np.nan_to_num(X[1:9]), "tol": 1e-2}
    weighted = KMeansMixture(8, **params).fit(X, sample_weight=counts)
    repeated = KMeansMixture(8, **params).fit(np.repeat(X, counts, axis=0))
    assert weighted.n_iter_ == repeated.n_iter_


def test_relocation_counts_as_movement():
    X = np.array([[-10.0], [-10], [10], [10], [0]])
    params = {"init": [[-10.0], [10], [1e3]]}
    theirs, ours = (
        KMeans(3, n_init=1, **params).fit(X),
        KMeansMixture(3, **params).fit(X),
    )
    assert ours.n_iter_ == theirs.n_iter_ == 2


def test_relocation_of_equally_far_rows_follows_content():
    X = np.array([[-3.0], [0], [3]])
    fits = [
        KMeansMixture(2, init=[[0.0], [100]], max_iter=1).fit(Y) for Y in (X, X[::-1])
    ]
    np.testing.assert_array_equal(fits[0].cluster_centers_, fits[1].cluster_centers_)


def test_no_relocation_without_distance():
    X = np.array([[1.0, np.nan]] * 4 + [[3.0, 2]] * 2)
    centers = [[1, 2.0], [3, 2], [50, 50], [60, 60]]
    kmeans = KMeansMixture(4, init=centers).fit(X)
    assert kmeans.n_iter_ < 5
    assert kmeans.labels_.tolist() == [0] * 4 + [1] * 2
    np.testing.assert_allclose(kmeans.cluster_centers_, centers)


def test_relocation_moves_equal_rows_together():
    X = np.array([[0.0], [1], [10], [10], [7]])
    kmeans = KMeansMixture(3, init=[[0.0], [100], [200]], max_iter=1).fit(X)
    np.testing.assert_allclose(kmeans.cluster_centers_.ravel(), [0.5, 10, 7])


def grid():
    centers = 100.0 * np.argwhere(np.ones((5, 5)))
    return np.repeat(centers, 8, axis=0) + np.random.default_rng(0).standard_normal(
        (200, 2)
    )


def test_distant_rows_are_distant():
    X = grid()
    data = observe(X)
    found = []
    for seed in range(20):
        rows = (
            draw_distant_rows(data, 25, np.random.RandomState(seed))
            + data.columns.center
        )
        found.append(len(np.unique(np.round(rows / 100), axis=0)))
    assert np.mean(found) >= 24


def test_distant_rows_are_drawn_by_weight():
    data = observe(np.array([[0.0], [1], [-1.1]]), weights=np.array([1e3, 1, 1e-9]))
    for seed in range(20):
        rows = (
            draw_distant_rows(data, 2, np.random.RandomState(seed))
            + data.columns.center
        )
        np.testing.assert_allclose(np.sort(rows.ravel()), [0, 1])


def test_candidates_are_judged_by_weight():
    X = clusters(40, 2, missing=0.1, spread=1)
    counts = np.random.default_rng(0).integers(1, 6, len(X))
    for seed in range(20):
        a = (
            draw_distant_rows(
                d := observe(X, weights=counts.astype(float)),
                4,
                np.random.RandomState(seed),
            )
            + d.columns.center
        )
        b = (
            draw_distant_rows(
                d := observe(np.repeat(X, counts, axis=0)),
                4,
                np.random.RandomState(seed),
            )
            + d.columns.center
        )
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("draw", [draw_rows, draw_distant_rows])
def test_drawn_rows_have_entries_and_are_distinct(draw):
    X = np.array([[1.0], [2], [4], *[[np.nan]] * 20])
    data = observe(X)
    for seed in range(10):
        rows = draw(data, 6, np.random.RandomState(seed)) + data.columns.center
        assert set(rows[:3].ravel()) == set(rows.ravel()) == {1, 2, 4}


@pytest.mark.parametrize(("uniform", "drawn"), [(0.0, 1), (1 - 2**-53, 2)])
def test_draw_at_the_ends(uniform, drawn):
    for masses in np.random.default_rng(0).uniform(size=(50, 2)):
        assert _draw(np.array([0.0, *masses, 0]), np.array([uniform])) == [drawn]


@pytest.mark.parametrize(
    ("init_params", "kmeans"),
    [
        ("kmeans", {"init": "k-means++"}),
        ("k-means++", {"init": "k-means++", "max_iter": 1}),
        ("random_from_data", {"init": "random", "max_iter": 1}),
    ],
)
def test_starts_are_those_of_kmeans(init_params, kmeans):
    X = clusters(300, 4, n_components=6, missing=0.2, spread=1)
    mixture = MaskedGaussianMixture(
        6,
        covariance_type="spherical",
        init_params=init_params,
        random_state=0,
        max_iter=0,
    ).fit(X)
    centers = KMeansMixture(6, random_state=0, **kmeans).fit(X).cluster_centers_
    np.testing.assert_allclose(mixture.means_, centers)


@pytest.mark.parametrize(
    "method", ["kmeans", "k-means++", "random", "random_from_data"]
)
def test_first_responsibilities_add_up_to_one(method):
    data = observe(clusters())
    starter = Starter(Diagonal(), data, 3, method, 1, np.random.RandomState(0))
    responsibilities = starter.draw(0, data)
    np.testing.assert_allclose(responsibilities(slice(0, 200)).sum(axis=0), 1)


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
def test_a_fall_of_the_objective_is_no_convergence():
    X = clusters(missing=0)
    first = start(X, 3, "diag") | {"reg_covar": 20.0, "tol": 1e-3, "max_iter": 500}
    first["precisions_init"] = np.ones((3, 6))
    first["means_init"] = (
        MaskedGaussianMixture(3, covariance_type="spherical", random_state=0)
        .fit(X)
        .means_
    )
    theirs, ours = (
        GaussianMixture(**first).fit(X),
        MaskedGaussianMixture(**first).fit(X),
    )
    assert (np.diff(ours.lower_bounds_) < -1e-3).any()
    assert ours.n_iter_ == theirs.n_iter_


def test_tol_zero_never_converges():
    mixture = MaskedGaussianMixture(covariance_type="spherical", tol=0, max_iter=5).fit(
        clusters()
    )
    assert mixture.lower_bounds_[-1] == mixture.lower_bounds_[-2]
    assert mixture.n_iter_ == 5
    assert not mixture.converged_


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("covariance_type", TYPES)
def test_rounding_is_no_variance(seed, covariance_type):
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.standard_normal((2, 3)), 7, axis=0)
    with pytest.raises(ValueError, match="is zero"):
        MaskedGaussianMixture(
            2, covariance_type=covariance_type, reg_covar=0, random_state=0
        ).fit(X)


def test_rounding_of_a_step_is_no_variance():
    # Rows near their mean are not summed about it: differences leave some rounding.
    for seed in range(20):
        rows = np.random.default_rng(seed).standard_normal((2, 3)) + [[0.0], [10.0]]
        mixture = MaskedGaussianMixture(
            2,
            covariance_type="spherical",
            weights_init=[0.5, 0.5],
            means_init=rows + 0.1,
            precisions_init=[100.0, 100.0],
            reg_covar=0,
            max_iter=1,
        )
        with pytest.raises(ValueError, match="is zero"):
            mixture.fit(np.repeat(rows, 7, axis=0))


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnobservedColumnsWarning")
def test_warm_start_of_an_unobserved_column():
    X, Y = clusters(seed=0), clusters(seed=1) + 3
    X[:, 1] = Y[:, 1] = np.nan
    for est in estimators(random_state=0)[:2]:
        est.set_params(warm_start=True).fit(X).fit(Y)
        np.testing.assert_allclose(est.means_[:, 1], np.nanmean(Y))
