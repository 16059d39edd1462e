# SPDX-License-Identifier: BSD-3-Clause
"""MaskedGaussianMixture as its users meet it: starts, restarts, completion, trouble."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
    UnobservedColumnsWarning,
)
from tests.made import EXACT_TYPES, clusters, estimators, start, to_sparse
from tests.optional import pd

STARTS = ["kmeans", "k-means++", "random", "random_from_data"]


class TestStarts:
    @pytest.mark.parametrize("init_params", STARTS)
    @pytest.mark.parametrize("covariance_type", EXACT_TYPES)
    def test_finds_the_components(self, covariance_type, init_params):
        if init_params == "random" and covariance_type in ("tied", "full"):
            pytest.skip("nearly equal first components often end in one place")
        X = clusters(400, 6, missing=0.4, spread=4)
        mixture = MaskedGaussianMixture(
            3,
            covariance_type=covariance_type,
            init_params=init_params,
            n_init=5,
            max_iter=500,
            random_state=0,
        ).fit(X)
        truth = 1 if covariance_type in ("spherical", "diag") else np.eye(6)
        np.testing.assert_allclose(mixture.covariances_ - truth, 0, atol=0.4)

    @pytest.mark.parametrize("init_params", STARTS)
    def test_seed_decides(self, init_params):
        X = clusters(100, 4, n_components=5, missing=0.4, spread=1)

        def means(seed):
            mixture = MaskedGaussianMixture(
                5,
                covariance_type="spherical",
                init_params=init_params,
                random_state=seed,
                max_iter=0,
            )
            return mixture.fit(X).means_

        np.testing.assert_array_equal(means(0), means(0))
        assert not np.allclose(means(0), means(1))

    def test_best_of_several(self):
        X = clusters(200, 4, n_components=6, missing=0.3, spread=1.5)
        params = {"init_params": "random_from_data", "max_iter": 1000}
        params["covariance_type"] = "spherical"
        rng = np.random.RandomState(0)
        singles = [
            MaskedGaussianMixture(6, random_state=rng, n_init=1, **params).fit(X)
            for _ in range(4)
        ]
        best = MaskedGaussianMixture(6, random_state=0, n_init=4, **params).fit(X)
        bounds = [mixture.lower_bound_ for mixture in singles]
        assert max(bounds) > min(bounds)
        assert best.lower_bound_ == max(bounds)
        np.testing.assert_array_equal(best.means_, singles[np.argmax(bounds)].means_)

    def test_max_iter_zero_keeps_the_start(self):
        X = clusters()
        first = start(X, 2, "diag")
        mixture = MaskedGaussianMixture(**first, max_iter=0).fit(X)
        np.testing.assert_allclose(mixture.means_, first["means_init"])
        np.testing.assert_allclose(mixture.precisions_, first["precisions_init"])
        assert mixture.n_iter_ == 0
        assert mixture.lower_bounds_ == []
        assert not mixture.converged_

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"weights_init": [1.0]}, r"weights_init should have the shape \(2,\)"),
            ({"weights_init": [0.5, 0.6]}, "add up to 1.*its sum 1.1"),
            ({"weights_init": [-0.5, 1.5]}, "smallest value is -0.5"),
            ({"means_init": [[1, 2.0]]}, r"means_init should have the shape \(2, 6\)"),
            ({"means_init": np.full((2, 6), np.nan)}, "means_init contains NaN"),
            ({"precisions_init": np.ones((2, 6))}, r"should have the shape \(2,\)"),
            ({"precisions_init": [1.0, 0]}, "be positive, but its smallest value is 0"),
        ],
    )
    def test_given_values_are_checked(self, params, message):
        with pytest.raises(ValueError, match=message):
            MaskedGaussianMixture(2, covariance_type="spherical", **params).fit(
                clusters()
            )


class TestIterations:
    def test_converged(self):
        X = clusters()
        mixture = MaskedGaussianMixture(
            3, covariance_type="spherical", random_state=0, tol=1e-4, max_iter=500
        ).fit(X)
        assert mixture.converged_
        assert mixture.n_iter_ == len(mixture.lower_bounds_)
        assert mixture.lower_bounds_[-1] == mixture.lower_bound_
        steps = np.abs(np.diff(mixture.lower_bounds_))
        assert steps[-1] < 1e-4
        assert (steps[:-1] >= 1e-4).all()

    def test_not_converged(self):
        with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations") as record:
            mixture = MaskedGaussianMixture(
                3, covariance_type="spherical", max_iter=2, random_state=0
            ).fit(clusters())
        assert record[0].filename == __file__
        assert not mixture.converged_

    def test_warm_start_with_other_columns_observed(self):
        X = clusters(spread=4)
        later = X.copy()
        later[:, 2] = np.nan
        warm = MaskedGaussianMixture(
            3, covariance_type="spherical", warm_start=True, random_state=0
        ).fit(X)
        before = warm.means_[:, 2]
        warm.fit(later)  # no warning: column 2 is known
        np.testing.assert_allclose(warm.means_[:, 2], before)
        assert warm.score(X) == pytest.approx(
            MaskedGaussianMixture(3, covariance_type="spherical", random_state=0)
            .fit(X)
            .score(X),
            rel=0.01,
        )

    @pytest.mark.parametrize(
        "change", [{"n_components": 2}, {"covariance_type": "diag"}]
    )
    def test_warm_start_refuses_another_model(self, change):
        warm = MaskedGaussianMixture(
            3, covariance_type="spherical", warm_start=True, random_state=0
        ).fit(clusters())
        means = warm.means_
        with pytest.raises(ValueError, match=f"{next(iter(change))}.*warm_start=False"):
            warm.set_params(**change).fit(clusters())
        with pytest.raises(ValueError, match="expecting 6 features"):
            warm.set_params(n_components=3, covariance_type="spherical").fit(
                clusters(d=4)
            )
        np.testing.assert_array_equal(warm.means_, means)


class TestCompletion:
    def test_no_entries(self):
        mixture = MaskedGaussianMixture(covariance_type="spherical").fit(clusters())
        assert mixture.complete(clusters(), entries=([], [])).shape == (0,)

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            (np.ones((200, 6), dtype=bool), r"pair .*got ndarray.*np\.nonzero"),
            (([0], [0, 1]), "equally long, but got 1 and 2"),
            (([0.0], [0]), "rows of entries should be a 1d array of integers.*float64"),
            (([0], [[0]]), "columns of entries should be a 1d array.*got 2d"),
            (([200], [0]), "rows of entries should be from 0 to 199, but got 200"),
            (([0], [-1]), "columns of entries should be from 0 to 5, but got -1"),
        ],
    )
    def test_bad_entries(self, entries, message):
        mixture = MaskedGaussianMixture(covariance_type="spherical").fit(clusters())
        with pytest.raises(ValueError, match=message):
            mixture.complete(clusters(), entries=entries)

    def test_matrix_too_large_to_be_dense(self):
        shape = (2**24, 2**19)
        X = sparse.csr_array(
            (np.arange(4.0), ([0, 1, 2, 2], [0, 1, 0, 1])), shape=(3, 2**19)
        )
        with pytest.warns(UnobservedColumnsWarning, match=r"524286 column\(s\)"):
            mixture = MaskedGaussianMixture(covariance_type="spherical").fit(X)
        tall = sparse.csr_array(([5.0], ([2**23], [1])), shape=shape)
        with pytest.raises(MemoryError, match=r"16777216.*entries=\(rows, columns\)"):
            mixture.transform(tall)
        entries = ([2**23, 5], [1, 0])
        np.testing.assert_allclose(mixture.complete(tall, entries=entries), [5, 1])


class TestUnobservedColumns:
    def test_filled_with_the_mean_of_all_entries(self):
        X = clusters()
        X[:, [1, 4]] = np.nan
        names = list("abcdef")
        for estimator in estimators(random_state=0, max_iter=500):
            with pytest.warns(
                UnobservedColumnsWarning, match=r"2 column.*: 1, 4\."
            ) as w:
                estimator.fit(X)
            assert w[0].filename == __file__
            assert len(w) == 1
            completed, std = estimator.complete(X, return_std=True)
            filled = completed[:, [1, 4]]
            if "factor" in str(estimator):  # the row's offset as well
                np.testing.assert_allclose(filled[:, 0], filled[:, 1])
            else:
                np.testing.assert_allclose(filled, np.nanmean(X))
            assert (std[:, [1, 4]] > 0).all()
            with pytest.warns(UnobservedColumnsWarning, match=r": b, e\."):
                estimator.fit(pd.DataFrame(X, columns=names))

    def test_as_uncertain_as_any_entry(self):
        X = clusters()
        X[:, 1] = np.nan
        with pytest.warns(UnobservedColumnsWarning):
            mixture = MaskedGaussianMixture(covariance_type="diag", reg_covar=0).fit(X)
        assert mixture.covariances_[0, 1] == pytest.approx(np.nanvar(X))

    def test_weight_zero_observes_nothing(self):
        X = clusters()
        X[5:, 3] = np.nan
        X[:5, 3] = 1.0
        weights = np.where(np.arange(len(X)) < 5, 0, 1)
        with pytest.warns(UnobservedColumnsWarning, match=": 3"):
            weighted = MaskedGaussianMixture(
                2, covariance_type="spherical", random_state=0
            ).fit(X, sample_weight=weights)
        with pytest.warns(UnobservedColumnsWarning, match=": 3"):
            left_out = MaskedGaussianMixture(
                2, covariance_type="spherical", random_state=0
            ).fit(X[5:])
        np.testing.assert_allclose(weighted.means_, left_out.means_)


def empty_row():
    X = clusters()
    X[3] = np.nan
    return X


def empty_column():
    X = clusters()
    X[:, 3] = np.nan
    return X


def constant_column():
    X = clusters()
    X[:, 2] = np.where(np.isnan(X[:, 2]), np.nan, 0.1)
    return X


def mostly_missing():
    X = clusters(500, 20, missing=0.99)
    X[0] = np.nan
    return X


def one_column():
    return clusters(d=1)


def far_from_zero():
    return (clusters() + 1e4).astype(np.float32)


def few_rows():
    return clusters(9, 6)


def equal_rows():
    return np.ones((8, 3))


def mixed_scales():
    return clusters() * 10.0 ** np.array([-30, -8, 0, 4, 8, 12])


def outlier():
    X = clusters()
    X[5, 5] = 1e60
    return X


HARD = [
    empty_row,
    empty_column,
    constant_column,
    mostly_missing,
    one_column,
    far_from_zero,
    few_rows,
    equal_rows,
    mixed_scales,
    outlier,
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.DataWarning")
@pytest.mark.parametrize(
    ("make", "n_components", "max_iter"),
    [
        (np.array, 1, 100),
        (np.array, 8, 5),
        (to_sparse, 1, 100),
        pytest.param(to_sparse, 8, 5, marks=pytest.mark.slow),
        *(
            pytest.param(make, n_components, 100, marks=pytest.mark.slow)
            for make in (np.array, to_sparse)
            for n_components in (3, 8)
        ),
    ],
)
@pytest.mark.parametrize("case", HARD)
def test_never_nan(case, n_components, max_iter, make):
    X = make(case())
    every_start = [
        MaskedGaussianMixture(
            n_components, init_params=init, covariance_type=kind, max_iter=max_iter
        )
        for init in (STARTS if n_components > 1 else STARTS[:1])
        for kind in EXACT_TYPES
    ]
    for estimator in [*every_start, KMeansMixture(n_components)]:
        estimator.set_params(random_state=0).fit(X)
        completed, std = estimator.complete(X, return_std=True)
        finite = {
            "means": estimator.means_,
            "variances": estimator.covariances_,
            "precisions": estimator.precisions_,
            "completed": completed,
            "std": std,
            "proba": estimator.predict_proba(X),
            "scores": estimator.score_samples(X),
            "bic": estimator.bic(X),
            "sample": estimator.sample(5)[0],
            "lower_bounds": getattr(estimator, "lower_bounds_", []),
        }
        for name, value in finite.items():
            assert np.isfinite(value).all(), (estimator, name)
        np.testing.assert_allclose(finite["proba"].sum(axis=1), 1)
        if getattr(estimator, "covariance_type", "spherical") in ("spherical", "diag"):
            assert (estimator.covariances_ > 0).all()
        else:
            np.linalg.cholesky(estimator.covariances_)  # raises if not positive


class TestEcosystem:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_grid_search_over_components_and_seeds(self, make):
        X = make(clusters(300, 8, n_components=3, missing=0.4, spread=3))
        search = GridSearchCV(
            MaskedGaussianMixture(covariance_type="spherical", max_iter=500),
            {"n_components": [1, 2, 3, 4], "random_state": range(3)},
            cv=3,
        ).fit(X)
        assert search.best_params_["n_components"] == 3
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.transform(X).shape == X.shape

    def test_bic_finds_the_number_of_components(self):
        X = clusters(400, 8, n_components=3, missing=0.4, spread=3)
        bics = [
            MaskedGaussianMixture(
                k, covariance_type="spherical", n_init=5, max_iter=500, random_state=0
            )
            .fit(X)
            .bic(X)
            for k in range(1, 6)
        ]
        assert np.argmin(bics) == 2

    def test_pipeline(self):
        X, y = load_diabetes(return_X_y=True)
        X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
        pipeline = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(
                4, covariance_type="spherical", max_iter=500, random_state=0
            ),
            LinearRegression(),
        )
        assert cross_val_score(pipeline, X, y).mean() > 0.35

    def test_pandas_output(self):
        X = pd.DataFrame(clusters(), columns=list("abcdef"), index=np.arange(200) + 7)
        mixture = MaskedGaussianMixture(
            2, covariance_type="spherical", random_state=0
        ).set_output(transform="pandas")
        completed = mixture.fit_transform(X)
        assert completed.columns.tolist() == list("abcdef")
        assert completed.index.equals(X.index)
        assert mixture.get_feature_names_out().tolist() == list("abcdef")

    def test_not_fitted(self):
        for estimator in estimators():
            for method in ("transform", "predict", "score", "bic", "complete"):
                with pytest.raises(NotFittedError):
                    getattr(estimator, method)(clusters())
            with pytest.raises(NotFittedError):
                estimator.sample()

    def test_failed_fit_leaves_the_one_before(self):
        X = pd.DataFrame(clusters()[:, :2], columns=["a", "b"])
        for estimator in estimators(random_state=0, max_iter=500):
            with pytest.raises(ValueError, match="n_components=2"):
                estimator.fit(clusters()[:5], sample_weight=[1, 0, 0, 0, 0])
            with pytest.raises(NotFittedError):
                estimator.predict(clusters())
            completed = estimator.fit(X).transform(X)
            with pytest.raises(ValueError, match="n_components=2"):
                estimator.fit(X[["b", "a"]][:5], sample_weight=[1, 0, 0, 0, 0])
            assert estimator.get_feature_names_out().tolist() == ["a", "b"]
            np.testing.assert_array_equal(estimator.transform(X), completed)

    def test_warnings_point_at_the_caller(self):
        X = clusters()
        X[:, 3] = np.nan
        for call in ("fit", "fit_predict", "fit_transform"):
            with pytest.warns(UnobservedColumnsWarning) as record:
                getattr(MaskedGaussianMixture(covariance_type="spherical"), call)(X)
            assert record[0].filename == __file__

    @pytest.mark.parametrize("missing_values", [None, pd.NA, "nan"])
    def test_repr_of_invalid_parameters(self, missing_values):
        mixture = MaskedGaussianMixture(
            covariance_type="spherical", missing_values=missing_values
        )
        assert "MaskedGaussianMixture" in mixture._repr_html_()

    def test_sample_size(self):
        with pytest.raises(ValueError, match="integer of at least 1, but got 0"):
            MaskedGaussianMixture(covariance_type="spherical").fit(clusters()).sample(0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_history_of_each_start():
    X = clusters(150, spread=1.0)
    options = {"init_params": "random_from_data", "tol": 1e-4, "max_iter": 12}
    options["covariance_type"] = "spherical"
    mixture = MaskedGaussianMixture(4, n_init=5, random_state=0, **options).fit(X)
    rng = np.random.RandomState(0)
    for run in mixture.runs_:
        one = MaskedGaussianMixture(4, n_init=1, random_state=rng, **options).fit(X)
        assert run == (one.converged_, one.n_iter_, one.lower_bounds_)
    assert {run.converged for run in mixture.runs_} == {False, True}
    best = max(mixture.runs_, key=lambda run: run.lower_bounds[-1])
    assert best == (mixture.converged_, mixture.n_iter_, mixture.lower_bounds_)
    assert len(pickle.loads(pickle.dumps(mixture)).runs_) == 5
    runs = mixture.runs_
    assert mixture.partial_fit(X[:9]).runs_ is runs
    assert len(mixture.set_params(warm_start=True).fit(X).runs_) == 1


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
def test_weights_are_not_all_zero(method):
    X = clusters()
    mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0).fit(X)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        getattr(mixture, method)(X, sample_weight=np.zeros(len(X)))
