# SPDX-License-Identifier: BSD-3-Clause
"""K-means on data with missing entries, and the mixture that it hands back."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
    UnobservedColumnsWarning,
)
from tests import oracles
from tests.drawn import tables
from tests.made import clusters, to_sparse


@given(X=tables(min_rows=3), seed=st.integers(0, 99))
def test_steps_equal_a_plain_loop(X, seed):
    # Irrational centers: no row is equally far from two of them.
    rng = np.random.default_rng(seed)
    centers = np.nanmean(X, axis=0) + np.nanstd(X) * rng.standard_normal(
        (2, X.shape[1])
    )
    labels, _ = oracles.lloyd_step(X, centers)
    if len(np.unique(labels)) < 2:
        return  # relocation is another test's
    expected = centers
    for max_iter in (1, 2, 3):
        labels, expected = oracles.lloyd_step(X, expected)
        if len(np.unique(labels)) < 2:
            return
        distances = oracles.squared_distances(X, expected)
        if np.ptp(distances, axis=1).min() < 1e-9:
            return  # rounding decides between equal distances
        kmeans = KMeansMixture(2, init=centers, max_iter=max_iter, tol=0).fit(X)
        np.testing.assert_allclose(kmeans.cluster_centers_, expected, atol=1e-9)
        np.testing.assert_array_equal(kmeans.labels_, distances.argmin(axis=1))
        assert kmeans.inertia_ == pytest.approx(distances.min(axis=1).sum(), abs=1e-8)


def test_inertia_falls_and_labels_are_nearest():
    X = clusters(300, 6, n_components=4, missing=0.5)
    X[7] = np.nan
    inertias = [
        KMeansMixture(4, max_iter=m, tol=0, random_state=0).fit(X).inertia_
        for m in (1, 2, 4, 8, 100)
    ]
    assert (np.diff(inertias) <= 1e-9).all()
    assert inertias[-1] < inertias[0]
    kmeans = KMeansMixture(4, random_state=0).fit(X)
    distances = oracles.squared_distances(X, kmeans.cluster_centers_)
    np.testing.assert_array_equal(kmeans.labels_, distances.argmin(axis=1))
    np.testing.assert_array_equal(kmeans.predict(X), kmeans.labels_)
    np.testing.assert_array_equal(kmeans.fit_predict(X), kmeans.labels_)
    assert kmeans.labels_[7] == 0
    assert kmeans.inertia_ == pytest.approx(distances.min(axis=1).sum())


def test_finds_clusters_of_incomplete_rows():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 100)
    X = np.array([[0.0] * 8, [5.0] * 8, [10.0] * 8])[truth]
    X += rng.standard_normal(X.shape)
    X[rng.random(X.shape) < 0.5] = np.nan
    labels = KMeansMixture(3, n_init=5, random_state=0).fit(X).labels_
    agreement = sum(np.bincount(labels[truth == k]).max() for k in range(3))
    assert agreement >= 297


def test_mixture_of_the_clusters():
    X = clusters(200, 5, missing=0.4)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X))
    kmeans = KMeansMixture(3, random_state=0, reg_covar=0.01, max_iter=3)
    kmeans.fit(X, sample_weight=weights)
    shares = np.bincount(kmeans.labels_, weights) / weights.sum()
    np.testing.assert_allclose(kmeans.weights_, shares)
    np.testing.assert_array_equal(kmeans.means_, kmeans.cluster_centers_)
    for k in range(3):
        residuals = (X[kmeans.labels_ == k] - kmeans.means_[k]) ** 2
        row_weights = np.repeat(weights[kmeans.labels_ == k, None], 5, axis=1)
        observed = ~np.isnan(residuals)
        variance = np.average(residuals[observed], weights=row_weights[observed])
        assert kmeans.covariances_[k] == pytest.approx(variance + 0.01)
    # The same face as a mixture by EM, from these very parameters.
    mixture = MaskedGaussianMixture(
        3,
        covariance_type="spherical",
        weights_init=kmeans.weights_,
        means_init=kmeans.means_,
        precisions_init=kmeans.precisions_,
        max_iter=0,
    ).fit(X)
    for name in ("score_samples", "predict_proba", "transform", "bic", "aic", "score"):
        expected = getattr(mixture, name)(X)
        np.testing.assert_allclose(getattr(kmeans, name)(X), expected, err_msg=name)
    # Its means and variances rest on the entries of the clusters, with their weights.
    labels = np.eye(3)[kmeans.labels_]
    residuals, counts = oracles.residual_sums(X, labels, kmeans.means_, weights)
    predictive = oracles.predictive_variances(
        residuals, counts, np.ones(5), spherical=True, reg_covar=0.01
    )
    variances = np.repeat(kmeans.covariances_[:, None], 5, axis=1)
    _, std = oracles.complete(X, shares, kmeans.means_, variances, predictive)
    np.testing.assert_allclose(kmeans.complete(X, return_std=True)[1], std)


def test_em_improves_on_the_clusters():
    X = clusters(300, 5, missing=0.4, spread=1.0)
    kmeans = KMeansMixture(3, random_state=0).fit(X)
    mixture = MaskedGaussianMixture(3, covariance_type="spherical", random_state=0).fit(
        X
    )
    assert mixture.score(X) > kmeans.score(X)


def test_empty_clusters_take_the_farthest_rows():
    X = np.array([[0, 0], [0.1, np.nan], [np.nan, 0.1], [7, 7], [np.nan, 9.0]])
    init = [[0, 0], [1e3, 1e3], [2e3, 2e3]]
    kmeans = KMeansMixture(3, init=init, max_iter=1).fit(X)
    # Rows 3 and 4 are the farthest; row 4 misses column 0, whose mean stands there.
    expected = [[0.05, 0.05], [7, 7], [np.nanmean(X[:, 0]), 9]]
    np.testing.assert_allclose(kmeans.cluster_centers_, expected)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_fewer_distinct_rows_than_clusters(init):
    X = np.array([[1.0, np.nan]] * 4 + [[3.0, 2]] * 2)
    with pytest.warns(ConvergenceWarning, match=r"Found 2 distinct cluster\(s\)"):
        kmeans = KMeansMixture(4, init=init, random_state=0).fit(X)
    assert kmeans.inertia_ == pytest.approx(0, abs=1e-12)
    completed, std = kmeans.complete(X, return_std=True)
    assert np.isfinite(completed).all()
    assert np.isfinite(std).all()


def test_best_of_several_starts():
    X = clusters(200, 4, n_components=6, missing=0.3)
    single = [
        KMeansMixture(6, init="random", random_state=seed).fit(X).inertia_
        for seed in range(8)
    ]
    assert max(single) > min(single)
    rng = np.random.RandomState(0)
    singles = [
        KMeansMixture(6, init="random", random_state=rng).fit(X).inertia_
        for _ in range(4)
    ]
    best = KMeansMixture(6, init="random", n_init=4, random_state=0).fit(X)
    assert best.inertia_ == min(singles)


def test_init_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"init should have the shape \(2, 6\), but"):
        KMeansMixture(2, init=np.zeros((3, 6))).fit(clusters())


def test_zero_variance_names_the_component():
    with pytest.raises(ValueError, match=r"component [01] is zero.*reg_covar"):
        KMeansMixture(2, reg_covar=0, random_state=0).fit([[0, 0.0], [0, 0], [5, 7]])


def test_weight_is_repetition_and_order_does_not_matter():
    X = clusters(60, 4)
    counts = np.random.default_rng(0).integers(0, 4, len(X))
    order = np.random.default_rng(1).permutation(len(X))
    kmeans = KMeansMixture(3, random_state=0).fit(X, sample_weight=counts)
    repeated = KMeansMixture(3, random_state=0).fit(np.repeat(X, counts, axis=0))
    shuffled = KMeansMixture(3, random_state=0)
    shuffled.fit(X[order], sample_weight=counts[order])
    for other in (repeated, shuffled):
        np.testing.assert_allclose(other.cluster_centers_, kmeans.cluster_centers_)
        assert other.inertia_ == pytest.approx(kmeans.inertia_)
    assert len(kmeans.labels_) == len(X)
    np.testing.assert_array_equal(kmeans.labels_, kmeans.predict(X))


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_unobserved_column_changes_nothing(make):
    X = clusters()
    hidden, later = (np.insert(X, 2, value, axis=1) for value in (np.nan, 7.0))
    plain = KMeansMixture(3, random_state=0).fit(make(X))
    with pytest.warns(UnobservedColumnsWarning):
        kmeans = KMeansMixture(3, random_state=0).fit(make(hidden))
    np.testing.assert_allclose(np.delete(kmeans.means_, 2, axis=1), plain.means_)
    np.testing.assert_allclose(kmeans.covariances_, plain.covariances_)
    np.testing.assert_array_equal(kmeans.labels_, plain.labels_)
    assert kmeans.inertia_ == pytest.approx(plain.inertia_)
    for given_rows in (make(hidden), make(later)):
        scores = kmeans.score_samples(given_rows)
        np.testing.assert_allclose(scores, plain.score_samples(make(X)))
        completed = np.delete(kmeans.transform(given_rows), 2, axis=1)
        np.testing.assert_allclose(completed, plain.transform(make(X)))


def test_weight_of_a_batch_is_repetition():
    X, batch = clusters(60), clusters(20, seed=1)
    counts = np.arange(20) % 3
    weighted, repeated = (KMeansMixture(2, random_state=0).fit(X) for _ in range(2))
    weighted.partial_fit(batch, sample_weight=counts)
    repeated.partial_fit(np.repeat(batch, counts, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_)


def test_pickled_clusters_take_batches():
    X = clusters()
    kmeans = KMeansMixture(2, random_state=0).fit(X)
    loaded = pickle.loads(pickle.dumps(kmeans))
    np.testing.assert_array_equal(loaded.transform(X), kmeans.transform(X))
    for batch in (clusters(20, seed=1), np.full((5, 6), np.nan)):
        expected = kmeans.partial_fit(batch).means_
        np.testing.assert_array_equal(loaded.partial_fit(batch).means_, expected)
        assert np.isfinite(kmeans.score(X))


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_size_of_the_blocks_does_not_matter(make):
    X = make(clusters(200, 4))
    whole = KMeansMixture(3, random_state=0).fit(X)
    with config_context(working_memory=0.02):  # some 40 rows at a time
        parts = KMeansMixture(3, random_state=0).fit(X)
    np.testing.assert_allclose(parts.cluster_centers_, whole.cluster_centers_)
    np.testing.assert_allclose(parts.covariances_, whole.covariances_)
    np.testing.assert_array_equal(parts.labels_, whole.labels_)
    assert parts.inertia_ == pytest.approx(whole.inertia_)


def test_silhouette_of_complete_data_as_in_sklearn():
    X = load_wine().data
    for n_clusters in (2, 5):
        labels = KMeans(n_clusters, n_init=1, random_state=0).fit_predict(X)
        centers = [X[labels == k].mean(axis=0) for k in range(n_clusters)]
        kmeans = KMeansMixture(n_clusters, init=centers, max_iter=1).fit(X)
        expected = silhouette_score(X, kmeans.predict(X))
        assert kmeans.silhouette(X) == pytest.approx(expected)
    # A row alone in its cluster counts 0.
    X = np.array([[0.0], [1.0], [9.0]])
    kmeans = KMeansMixture(2, init=[[0.0], [9.0]]).fit(X)
    assert kmeans.silhouette(X) == pytest.approx(silhouette_score(X, [0, 0, 1]))
    assert kmeans.silhouette(X) == pytest.approx((8 / 9 + 7 / 8) / 3)


@pytest.mark.parametrize("make", [np.asarray, to_sparse])
def test_silhouette_equals_a_plain_loop(make):
    X = clusters(60, 5, missing=0.6)
    X[7] = np.nan
    X[:, 2] = np.nan
    with pytest.warns(UnobservedColumnsWarning):
        kmeans = KMeansMixture(3, random_state=0).fit(make(X))
    expected = oracles.silhouettes(X, kmeans.labels_)
    assert np.isnan(expected[7])
    assert np.isfinite(expected).sum() > 50
    found = kmeans.silhouette(make(X))
    assert found == pytest.approx(np.nanmean(expected))
    # Little memory makes several chunks of rows.
    with config_context(working_memory=0.01):
        assert kmeans.silhouette(make(X)) == pytest.approx(found)


def test_silhouette_of_some_rows():
    X = clusters(300, 4)
    kmeans = KMeansMixture(3, random_state=0).fit(X)
    whole = kmeans.silhouette(X)
    some = kmeans.silhouette(X, max_rows=100, random_state=0)
    assert some != whole
    assert some == pytest.approx(whole, abs=0.05)
    assert some == kmeans.silhouette(X, max_rows=100, random_state=0)
    assert kmeans.silhouette(X, max_rows=300) == whole


def test_silhouette_is_refused_where_there_is_none():
    X = clusters(10, 3, missing=0.0)
    with pytest.raises(ValueError, match="at least 2 clusters"):
        KMeansMixture(1).fit(X).silhouette(X)
    with pytest.raises(ValueError, match="of more than one row"):
        KMeansMixture(10, random_state=0).fit(X).silhouette(X)
    centers = np.array([[0.0] * 4, [9.0] * 4])
    kmeans = KMeansMixture(2, init=centers).fit(np.repeat(centers, 3, axis=0))
    with pytest.raises(ValueError, match="max_rows should be"):
        kmeans.silhouette(centers, max_rows=0)
    apart = np.full((4, 4), np.nan)
    np.fill_diagonal(apart, [0, 9, 0, 9])
    assert kmeans.predict(apart).tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="share observed columns"):
        kmeans.silhouette(apart)
