# SPDX-License-Identifier: BSD-3-Clause
"""Complete data, from the same start: scikit-learn's results, step by step."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from tests.made import start

TYPES = ["spherical", "diag", "tied", "full"]  # those of GaussianMixture
TABLES = {"iris": load_iris, "wine": load_wine}


@pytest.fixture(params=TABLES)
def X(request):
    X = TABLES[request.param]().data
    X = X / X.std(axis=0)
    # Iris is measured in tenths: else rounding decides between equal distances.
    return X + 1e-3 * np.random.default_rng(0).standard_normal(X.shape)


def fit_both(X, theirs=GaussianMixture, ours=MaskedGaussianMixture, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return theirs(**params).fit(X), ours(**params).fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("max_iter", [1, 2, 3, 10, 40])
def test_gaussian_mixture(X, covariance_type, max_iter):
    first = start(X, 3, covariance_type)
    theirs, ours = fit_both(X, **first, max_iter=max_iter, tol=0, random_state=0)
    for name in (
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
        "lower_bound_",
        *(["lower_bounds_"] if hasattr(theirs, "lower_bounds_") else []),  # since 1.7
        "n_iter_",
        "converged_",
    ):
        expected, value = getattr(theirs, name), getattr(ours, name)
        np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-9, err_msg=name)
    for method in ("score_samples", "score", "bic", "aic"):
        expected, value = getattr(theirs, method)(X), getattr(ours, method)(X)
        np.testing.assert_allclose(value, expected, rtol=1e-7, err_msg=method)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7
    )
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(ours.transform(X), X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_same_convergence(X, covariance_type):
    first = start(X, 3, covariance_type)
    theirs, ours = fit_both(X, **first, max_iter=200, tol=1e-4)
    assert ours.converged_
    assert theirs.converged_
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("left_out", ["weights_init", "means_init", "precisions_init"])
def test_partly_given_start(X, covariance_type, left_out):
    # Parameters that are not given come from clusters that any k-means finds.
    X = np.vstack([X, X + 1e2 * X.std(axis=0)])
    first = start(X, 2, covariance_type) | {"means_init": X[[0, -1]]}
    del first[left_out]
    labels = KMeans(2, n_init=1, random_state=0).fit(X).labels_
    seed = next(
        seed
        for seed in range(20)
        if (KMeansMixture(2, random_state=seed).fit(X).labels_ == labels).all()
    )
    theirs, _ = fit_both(X, **first, max_iter=1, random_state=0)
    _, ours = fit_both(X, **first, max_iter=1, random_state=seed)
    for name in ("weights_", "means_", "covariances_"):
        expected, value = getattr(theirs, name), getattr(ours, name)
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 100])
@pytest.mark.parametrize("kind", [np.array, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans(X, max_iter, kind, weighted):
    assert (X != 0).all()
    init = X[np.random.RandomState(0).choice(len(X), 4, replace=False)]
    weights = np.random.default_rng(0).integers(1, 5, len(X)) if weighted else None
    params = {"init": init, "max_iter": max_iter, "tol": 0 if weighted else 1e-4}
    theirs = KMeans(4, n_init=1, **params).fit(X, sample_weight=weights)
    ours = KMeansMixture(4, **params).fit(kind(X), sample_weight=weights)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_array_equal(ours.predict(kind(X)), theirs.predict(X))
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("max_iter", [1, 2, 100])
def test_kmeans_relocates_empty_clusters(X, max_iter):
    init = np.vstack([X[:2], X.mean(axis=0) + 1e4 * X.std(axis=0) * [[1], [2]]])
    theirs = KMeans(4, n_init=1, init=init, max_iter=max_iter).fit(X)
    ours = KMeansMixture(4, init=init, max_iter=max_iter).fit(X)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("n_components", [3, 8])
def test_starts_are_as_good_as_theirs(X, n_components):
    # Random draws differ; over many seeds they should reach costs as low.
    theirs = [
        KMeans(n_components, n_init=1, random_state=seed).fit(X).inertia_
        for seed in range(40)
    ]
    ours = [
        KMeansMixture(n_components, random_state=seed).fit(X).inertia_
        for seed in range(40)
    ]
    quantiles = [0, 0.25, 0.5, 0.75]
    ratios = np.quantile(ours, quantiles) / np.quantile(theirs, quantiles)
    assert ratios.max() < 1.02
