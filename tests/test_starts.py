# SPDX-License-Identifier: BSD-3-Clause
"""Starts that survive: coordinates, short runs, and starts from labels."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf import MaskedGaussianMixture, _starts
from sklearn_gmmcf._starts import Starter, _extend, _Table, sample_rows, whiten
from sklearn_gmmcf.covariance import Diagonal, Full, Spherical
from sklearn_gmmcf.data import observe
from tests.made import clusters, to_sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SCALED = ["diag", "tied", "full"]


def make_cigars(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((600, 2)) * [10, 0.5]
    labels = np.repeat([0, 1], 300)
    X[:, 1] += 3 * labels
    return X, labels


def hide(X, share, seed=0):
    hidden = np.random.default_rng(seed).random(X.shape) < share
    return np.where(hidden, np.nan, X)


@pytest.mark.parametrize("seed", range(10))
def test_cigars(seed):
    X, labels = make_cigars(seed)
    fits = {
        k: MaskedGaussianMixture(k, covariance_type="full", random_state=seed).fit(X)
        for k in (1, 2, 3, 4)
    }
    assert adjusted_rand_score(labels, fits[2].predict(X)) > 0.95
    assert min(fits, key=lambda k: fits[k].bic(X)) == 2


@pytest.mark.parametrize("scale", [False, True])
def test_wine(scale):
    X, labels = load_wine(return_X_y=True)
    X = hide(StandardScaler().fit_transform(X) if scale else X, 0.1)
    scores = [
        adjusted_rand_score(
            labels,
            MaskedGaussianMixture(
                3, covariance_type="diag", random_state=seed
            ).fit_predict(X),
        )
        for seed in range(10)
    ]
    assert min(scores) > max(scores) - 0.05
    assert max(scores) > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_iris(seed):
    X, labels = load_iris(return_X_y=True)
    theirs = GaussianMixture(3, random_state=0).fit_predict(X)
    ours = MaskedGaussianMixture(3, covariance_type="full", random_state=seed)
    expected = adjusted_rand_score(labels, theirs)
    assert adjusted_rand_score(labels, ours.fit_predict(X)) == expected


@pytest.mark.parametrize("init_params", ["kmeans", "whitened", "k-means++"])
@pytest.mark.parametrize("covariance_type", SCALED)
def test_units_of_columns_change_nothing(covariance_type, init_params):
    X = clusters(150, 4, missing=0.2, spread=2)
    units = np.array([1e3, 1, 1e-2, 30])
    mixture = MaskedGaussianMixture(
        3,
        covariance_type=covariance_type,
        init_params=init_params,
        reg_covar=0,
        random_state=0,
    )
    expected = mixture.fit(X).predict_proba(X)
    np.testing.assert_allclose(
        mixture.fit(X * units).predict_proba(X * units), expected, atol=1e-6
    )


@pytest.mark.parametrize("covariance_type", ["spherical", *SCALED])
def test_order_and_repetition_change_nothing(covariance_type):
    X = clusters(90, 4, missing=0.2, spread=2)
    counts = np.random.default_rng(0).integers(1, 4, size=90)
    order = np.random.default_rng(1).permutation(counts.sum())
    mixture = MaskedGaussianMixture(3, covariance_type=covariance_type, random_state=0)
    weighted = mixture.fit(X, sample_weight=counts).means_
    repeated = mixture.fit(np.repeat(X, counts, axis=0)[order]).means_
    np.testing.assert_allclose(repeated, weighted, rtol=1e-7)


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_large_data_start_from_a_sample(make, monkeypatch):
    monkeypatch.setattr("sklearn_gmmcf._mixture.start_rows", lambda K: 60)
    X = clusters(300, 4, missing=0.2, spread=4)
    mixture = MaskedGaussianMixture(3, covariance_type="diag", random_state=0)
    found = mixture.fit(make(X)).means_
    expected = MaskedGaussianMixture(3, covariance_type="diag", tol=1e-3, n_init=5)
    expected.set_params(random_state=0).fit(X)
    order, other = (np.argsort(means[:, 0]) for means in (found, expected.means_))
    np.testing.assert_allclose(found[order], expected.means_[other], atol=0.05)
    shuffled = np.random.default_rng(0).permutation(300)
    np.testing.assert_allclose(mixture.fit(make(X[shuffled])).means_, found, rtol=1e-6)


def test_a_sample_stands_for_all_rows():
    X = clusters(300, 4, missing=0.2)
    weights = np.random.default_rng(0).uniform(0.5, 9, size=300)
    data = observe(X, weights=weights)
    sizes = []
    for seed in range(200):
        sample = sample_rows(data, 40, np.random.RandomState(seed))
        assert sample.shape[0] <= 40
        np.testing.assert_allclose(sample.weights.sum(), weights.sum())
        heavy = np.isin(sample.raw[:, 0], X[weights > 6, 0])
        sizes.append(sample.weights[heavy].sum() / weights.sum())
    expected = weights[(weights > 6) & ~np.isnan(X[:, 0])].sum() / weights.sum()
    assert np.mean(sizes) == pytest.approx(expected, abs=0.02)


def test_whitened_rows_of_complete_data():
    X = clusters(200, 4, missing=0, spread=3) @ np.array(
        [[1, 0.9, 0, 0], [0, 0.1, 0, 0], [0, 0, 5, 1], [0, 0, 0, 2.0]]
    )
    found = whiten(Full(), observe(X))
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(4), atol=1e-8)
    # Distances are Mahalanobis's.
    root = np.linalg.inv(np.real(sqrtm(np.cov(X.T, bias=True))))
    expected = np.linalg.norm((X[:50] - X[50:100]) @ root, axis=1)
    distances = np.linalg.norm(found[:50] - found[50:100], axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)


def test_missing_entries_are_whitened_at_their_conditional_means():
    X = hide(clusters(200, 3, missing=0, spread=3), 0.3)
    single = MaskedGaussianMixture(covariance_type="full", max_iter=1).fit(X)
    expected = single.transform(X) - np.nanmean(X, axis=0)
    root = np.linalg.cholesky(single.precisions_[0])
    expected = np.linalg.norm((expected[:50] - expected[50:100]) @ root, axis=1)
    found = whiten(Full(reg_covar=1e-6), observe(X, needs_patterns=True))
    distances = np.linalg.norm(found[:50] - found[50:100], axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)


@pytest.mark.parametrize("family", [Spherical(), Diagonal()])
def test_clusters_are_those_of_kmeans_in_these_columns(family):
    X = clusters(200, 4, missing=0, spread=6) * [1, 1, 1, 0.1]
    starter = Starter(family, observe(X), 3, "kmeans", 2, np.random.RandomState(0))
    Z = X if isinstance(family, Spherical) else StandardScaler().fit_transform(X)
    inertias = [
        sum(
            (row**2).sum()
            for k in range(3)
            for row in Z[R[k] == 1] - Z[R[k] == 1].mean(axis=0)
        )
        for R in (starter.draw(i, starter.data)(slice(0, 200)) for i in range(2))
    ]
    best = KMeans(3, n_init=20, random_state=0).fit(Z).inertia_
    assert min(inertias) == pytest.approx(best, rel=1e-3)


def test_the_columns_of_most_entries_decide(monkeypatch):
    X = clusters(300, 6, missing=0.1, spread=8)
    X[::2, 5] = np.nan
    family, rng = Diagonal(), np.random.RandomState
    expected = Starter(family, observe(X[:, :5]), 3, "kmeans", 1, rng(0))
    columns = 5 * 300
    monkeypatch.setattr(_starts, "_LLOYD_VALUES", columns)
    for make in (np.array, to_sparse):
        found = Starter(family, observe(make(X)), 3, "kmeans", 1, rng(0))
        clusters_of = [s.draw(0, s.data)(slice(0, 300)) for s in (found, expected)]
        labels = [R.argmax(axis=0) for R in clusters_of]
        assert adjusted_rand_score(*labels) > 0.97


def test_candidates_count_by_weight():
    # Both other points are drawn: the heavy one lowers the weighted sum the most.
    table = _Table(np.array([[0.0], [1], [-1.2]]), None, np.array([1.0, 100, 1]))
    found = _extend(table, np.zeros((1, 1, 1)), 2, np.array([[0.5, 0.999]]))
    np.testing.assert_array_equal(found, [[[0.0], [1.0]]])


def test_short_runs_end_early_and_the_best_goes_on():
    X = clusters(200, 4, n_components=5, missing=0.2, spread=1)
    options = {"covariance_type": "diag", "tol": 1e-5, "random_state": 0}
    mixture = MaskedGaussianMixture(5, **options).fit(X)
    every = MaskedGaussianMixture(5, n_init=2, **options).fit(X)
    assert len(mixture.runs_) == 2
    best = int(np.argmax([run.lower_bounds[2] for run in every.runs_]))
    for number, (short, full) in enumerate(
        zip(mixture.runs_, every.runs_, strict=True)
    ):
        n_iter = full.n_iter if number == best else 3
        assert short.n_iter == n_iter
        np.testing.assert_allclose(
            short.lower_bounds, full.lower_bounds[:n_iter], rtol=1e-12
        )
        assert short.converged == (number == best)
    assert mixture.lower_bounds_ == mixture.runs_[best].lower_bounds
    assert mixture.n_iter_ == len(mixture.lower_bounds_)


@pytest.mark.parametrize("max_iter", [0, 1, 2, 3, 4])
def test_short_runs_keep_within_max_iter(max_iter):
    X = clusters(200, 4, spread=1)
    mixture = MaskedGaussianMixture(
        3, covariance_type="diag", tol=0, max_iter=max_iter, random_state=0
    ).fit(X)
    assert mixture.n_iter_ == max_iter
    assert max(run.n_iter for run in mixture.runs_) == max_iter


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_failing_start_gives_way(failing, monkeypatch):
    X = clusters(200, 4, spread=2)
    mixture = MaskedGaussianMixture(3, covariance_type="diag", random_state=0)
    fitted = MaskedGaussianMixture(3, covariance_type="diag", n_init=2, random_state=0)
    bounds = [run.lower_bounds[0] for run in fitted.fit(X).runs_]
    calls, start = [], Diagonal.start

    def fail(*args, **kwargs):
        calls.append(0)
        if failing in (len(calls), 3):
            raise ValueError(f"start {len(calls)} fails")
        return start(*args, **kwargs)

    monkeypatch.setattr(Diagonal, "start", fail)
    if failing == 3:
        with pytest.raises(ValueError, match="start 1 fails"):
            mixture.fit(X)
    else:
        mixture.fit(X)
        assert len(mixture.runs_) == 1
        assert mixture.lower_bounds_[0] == pytest.approx(bounds[2 - failing])


class TestLabels:
    @pytest.mark.parametrize(
        "covariance_type", ["spherical", "diag", "tied", "full", "factor"]
    )
    def test_labels_order_the_components(self, covariance_type):
        X = clusters(300, 5, missing=0.3, spread=3)
        options = {"covariance_type": covariance_type, "random_state": 0}
        if covariance_type == "factor":
            options["n_factors"] = 2
        labels = MaskedGaussianMixture(3, **options).fit_predict(X)
        # Types of 'factor' may be of no row.
        named, labels = np.unique(labels, return_inverse=True)
        for order in (np.arange(len(named)), np.roll(np.arange(len(named)), 1)):
            mixture = MaskedGaussianMixture(
                len(named), labels_init=np.array(order)[labels], n_init=4, **options
            ).fit(X)
            assert len(mixture.runs_) == 1
            found = mixture.predict(X)
            agreed = np.mean(found == np.array(order)[labels])
            assert agreed > (0.85 if covariance_type == "factor" else 0.97)

    def test_first_means_are_those_of_the_labeled_rows(self):
        X = clusters(120, 4, missing=0.2)
        labels = np.random.default_rng(0).integers(3, size=120)
        mixture = MaskedGaussianMixture(
            3, covariance_type="diag", labels_init=labels, max_iter=0
        ).fit(X)
        expected = [np.nanmean(X[labels == k], axis=0) for k in range(3)]
        np.testing.assert_allclose(mixture.means_, expected)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_unknown_rows_join_the_nearest_in_standardized_columns(self, make):
        X = hide(make_cigars(0)[0], 0.1)
        labels = np.full(600, -1)
        labels[[3, 4, 5, 400, 401, 402]] = [1, 1, 1, 0, 0, 0]
        mixture = MaskedGaussianMixture(
            2, covariance_type="full", labels_init=labels, max_iter=0
        ).fit(make(X))
        Z = StandardScaler().fit_transform(X)
        centers = [np.nanmean(Z[labels == k], axis=0) for k in range(2)]
        distances = [np.nansum((Z - center) ** 2, axis=1) for center in centers]
        whole = np.where(labels < 0, np.argmin(distances, axis=0), labels)
        np.testing.assert_allclose(mixture.weights_, np.bincount(whole) / 600)

    def test_a_component_without_labels_begins_far_away(self):
        X = clusters(300, 4, n_components=3, missing=0.1, spread=10)
        truth = MaskedGaussianMixture(3, covariance_type="diag", random_state=0)
        truth = truth.fit_predict(X)
        labels = np.where(truth == 1, -1, np.where(truth == 2, 2, 0))
        found = MaskedGaussianMixture(
            3, covariance_type="diag", labels_init=labels, random_state=0
        ).fit_predict(X)
        np.testing.assert_array_equal(found, truth)

    @pytest.mark.parametrize("seed", range(5))
    def test_a_component_without_labels_lives(self, seed):
        X = np.random.default_rng(0).standard_normal((60, 4))
        X[30:] += 4
        labels = np.repeat([0, 1, -1], [28, 28, 4])
        mixture = MaskedGaussianMixture(
            4,
            covariance_type="diag",
            labels_init=labels,
            min_variance=1.0,
            random_state=seed,
            max_iter=0,
        ).fit(X)
        assert (mixture.weights_ >= 1 / 61).all()

    def test_too_few_rows_for_components_without_labels(self):
        X = np.random.default_rng(0).standard_normal((60, 4))
        mixture = MaskedGaussianMixture(
            3, covariance_type="diag", labels_init=np.repeat([0, 2], 30)
        )
        with pytest.raises(ValueError, match=r"no row for component\(s\) 1"):
            mixture.fit(X)

    def test_rows_of_weight_zero(self):
        X = clusters(120, 4)
        labels = np.random.default_rng(0).integers(-1, 3, size=120)
        weights = np.random.default_rng(1).integers(0, 2, size=120)
        kept = weights > 0
        options = {"covariance_type": "diag", "random_state": 0}
        found = MaskedGaussianMixture(3, labels_init=labels, **options)
        expected = MaskedGaussianMixture(3, labels_init=labels[kept], **options)
        np.testing.assert_allclose(
            found.fit(X, sample_weight=weights).means_, expected.fit(X[kept]).means_
        )

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.zeros(5, dtype=int), r"shape \(200,\), a label.*got \(5,\)"),
            (np.r_[np.zeros(199), 2], r"n_components - 1 = 1, .* row 199 is 2"),
            (np.r_[-2, np.zeros(199)], "for row 0 is -2"),
            (np.r_[0, 0.5, np.zeros(198)], "for row 1 is 0.5"),
            (np.full(200, -1), "unknown. for every row"),
        ],
    )
    def test_errors_name_what_is_wrong(self, labels, message):
        with pytest.raises(ValueError, match=message):
            MaskedGaussianMixture(2, covariance_type="diag", labels_init=labels).fit(
                clusters()
            )

    def test_labels_of_a_dask_array(self, monkeypatch):
        da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")
        X = clusters(240, 4, missing=0.2, spread=10)
        truth = MaskedGaussianMixture(3, covariance_type="diag", random_state=0)
        truth = truth.fit_predict(X)
        labels = np.full(240, -1)
        labels[:60] = truth[:60]
        monkeypatch.setattr("sklearn_gmmcf._mixture.start_rows", lambda K: 80)
        mixture = MaskedGaussianMixture(
            3, covariance_type="diag", labels_init=labels, random_state=0
        ).fit(da.from_array(X, chunks=(70, 4)))
        np.testing.assert_array_equal(mixture.predict(X), truth)
