# SPDX-License-Identifier: BSD-3-Clause
"""The estimators as steps: before and after other steps, and within searches."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    StandardScaler,
)

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
from sklearn_gmmcf.preprocessing import RowNormalizer
from tests.made import correlated, estimators, to_sparse
from tests.optional import pd, pl

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SCALES = np.array([1.0, 10, 100, 1000])
OFFSETS = np.array([0.0, 5, -300, 1e4])


def ids(est):
    return getattr(est, "covariance_type", "kmeans")


ALL = pytest.mark.parametrize(
    "est", estimators(random_state=0, reg_covar=1e-3, max_iter=15), ids=ids
)


@pytest.fixture
def X():
    return correlated(120, 4) * SCALES + OFFSETS


@pytest.fixture
def y(X):
    """A label that depends on the first column where it is observed."""
    return (np.nan_to_num(X[:, 0], nan=10) > 0).astype(int)


class TestAfterAScaler:
    @ALL
    def test_equals_scaling_by_hand(self, est, X):
        pipe = make_pipeline(StandardScaler(), est).fit(X)
        mean, std = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
        alone = clone(est).fit((X - mean) / std)
        completed = alone.transform((X - mean) / std)
        np.testing.assert_allclose(pipe.transform(X), completed, atol=1e-9)
        np.testing.assert_array_equal(pipe.predict(X), alone.predict((X - mean) / std))
        assert pipe.score(X) == pytest.approx(alone.score((X - mean) / std))

    @ALL
    def test_original_units(self, est, X):
        pipe = make_pipeline(StandardScaler(), est).fit(X)
        completed = pipe[:-1].inverse_transform(pipe.transform(X))
        observed = ~np.isnan(X)
        np.testing.assert_allclose(completed[observed], X[observed])
        scaled, std = pipe[-1].complete(pipe[:-1].transform(X), return_std=True)
        np.testing.assert_allclose(scaled * pipe[0].scale_ + pipe[0].mean_, completed)
        # The same mixture, in the units of X. A given one is taken as certain, so the
        # deviations of 'diag' are compared after a step from it.
        if ids(est) in ("diag", "full"):
            size = np.multiply.outer(pipe[0].scale_, pipe[0].scale_)
            covariances = pipe[-1].covariances_ * (
                size if ids(est) == "full" else pipe[0].scale_ ** 2
            )
            same = MaskedGaussianMixture(
                2,
                covariance_type=ids(est),
                weights_init=pipe[-1].weights_,
                means_init=pipe[-1].means_ * pipe[0].scale_ + pipe[0].mean_,
                precisions_init=np.linalg.inv(covariances)
                if ids(est) == "full"
                else 1 / covariances,
                max_iter=0,
            ).fit(X)
            in_units, std_in_units = same.complete(X, return_std=True)
            np.testing.assert_allclose(completed, in_units, rtol=1e-6)
            if ids(est) == "diag":
                same.set_params(max_iter=1, reg_covar=0).fit(X)
                completed, std_in_units = same.complete(X, return_std=True)
                first = pipe[-1]
                first = clone(est).set_params(
                    weights_init=first.weights_,
                    means_init=first.means_,
                    precisions_init=first.precisions_,
                    max_iter=1,
                    reg_covar=0,
                )
                scaled = pipe[0].transform(X)
                filled, std = first.fit(scaled).complete(scaled, return_std=True)
                filled = pipe[0].inverse_transform(filled)
                np.testing.assert_allclose(filled, completed, rtol=1e-6)
            # Units are shrunk to each other, the less the more they differ.
            rtol = 0.01 if ids(est) == "diag" else 1e-6
            np.testing.assert_allclose(std * pipe[0].scale_, std_in_units, rtol=rtol)

    @ALL
    def test_sparse(self, est, X):
        dense = make_pipeline(MaxAbsScaler(), est).fit(X).transform(X)
        stored = make_pipeline(MaxAbsScaler(), clone(est)).fit(to_sparse(X))
        np.testing.assert_allclose(stored.transform(to_sparse(X)), dense, atol=1e-9)


class TestInverseTransform:
    @ALL
    @pytest.mark.parametrize(
        "scaler",
        [
            StandardScaler(),
            PowerTransformer(),
            make_pipeline(MinMaxScaler(), StandardScaler()),
        ],
        ids=["standard", "power", "two"],
    )
    def test_original_units(self, est, scaler, X):
        pipe = make_pipeline(scaler, est).fit(X)
        Z = pipe.transform(X)
        completed = pipe.inverse_transform(Z)
        observed = ~np.isnan(X)
        np.testing.assert_allclose(completed[observed], X[observed])
        np.testing.assert_array_equal(completed, pipe[0].inverse_transform(Z))
        if isinstance(scaler, StandardScaler):
            by_hand = Z * np.nanstd(X, axis=0) + np.nanmean(X, axis=0)
            np.testing.assert_allclose(completed, by_hand)

    @ALL
    def test_values_stay(self, est, X):
        est = clone(est).fit(X)
        assert est.inverse_transform(X) is X
        stored = to_sparse(X)
        assert est.inverse_transform(stored) is stored
        frame = pd.DataFrame(np.nan_to_num(X))
        np.testing.assert_array_equal(est.inverse_transform(frame), frame)
        integers = est.inverse_transform(np.arange(8).reshape(2, 4))
        assert integers.dtype == np.float64

    def test_lazy_values_stay(self, X):
        da = pytest.importorskip("dask.array")
        lazy = da.from_array(X, chunks=(60, 4))
        est = MaskedGaussianMixture(covariance_type="diag").fit(X)
        assert est.inverse_transform(lazy) is lazy

    @ALL
    def test_refused(self, est, X):
        with pytest.raises(NotFittedError):
            clone(est).inverse_transform(X)
        est = clone(est).fit(X)
        for wrong in (X[:, :3], to_sparse(X)[:, :3]):
            with pytest.raises(
                ValueError, match=r"X has 3 columns, but .* fitted on 4"
            ):
                est.inverse_transform(wrong)
        with pytest.raises(ValueError, match="infinity"):
            est.inverse_transform(np.full((1, 4), np.inf))

    def test_row_normalizer(self, X):
        est = MaskedGaussianMixture(covariance_type="diag")
        X = X / SCALES
        pipe = make_pipeline(RowNormalizer(), est).fit(X)
        Z = pipe.transform(X)
        with pytest.raises(ValueError, match=r"inverse_transform\(Z, rows=X\)"):
            pipe.inverse_transform(Z)
        expected = pipe[0].inverse_transform(Z, rows=X)
        observed = ~np.isnan(X)
        np.testing.assert_allclose(expected[observed], X[observed])
        with config_context(enable_metadata_routing=True):
            pipe[0].set_inverse_transform_request(rows=True)
            np.testing.assert_array_equal(pipe.inverse_transform(Z, rows=X), expected)

    def test_a_mixture_before_the_last_step(self, X):
        """Entries come back through it when they are predicted in the units of y."""
        first = MaskedGaussianMixture(covariance_type="diag")
        last = MaskedGaussianMixture(covariance_type="spherical")
        pairs, values = to_entries(X)
        pairs, hidden, values = pairs[5:], pairs[:5], values[5:]
        estimator = make_pipeline(first, StandardScaler(), last)
        regressor = EntryRegressor(estimator, X.shape, dense=True).fit(pairs, values)
        left = np.full(X.shape, np.nan)
        left[tuple(pairs.T)] = values
        completed = clone(first).fit(left).transform(left)
        # The second mixture has nothing left to complete.
        np.testing.assert_allclose(regressor.predict(hidden), completed[*hidden.T])


class TestBeforeAPredictor:
    @ALL
    @pytest.mark.parametrize("predictor", [LogisticRegression(), LinearRegression()])
    def test_equals_two_steps(self, est, predictor, X, y):
        pipe = make_pipeline(StandardScaler(), est, predictor).fit(X, y)
        scaled = StandardScaler().fit_transform(X)
        completed = clone(est).fit(scaled).transform(scaled)
        alone = clone(predictor).fit(completed, y)
        np.testing.assert_allclose(pipe.predict(X), alone.predict(completed))

    @pytest.mark.slow
    def test_cross_validated_search(self, X, y):
        pipe = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(
                covariance_type="spherical", random_state=0, reg_covar=0.01
            ),
            RandomForestClassifier(10, random_state=0),
        )
        grid = {
            "maskedgaussianmixture__n_components": [1, 2],
            "maskedgaussianmixture__covariance_type": ["diag", "full"],
        }
        alone, together = (
            GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs).fit(X, y)
            for n_jobs in (None, 2)
        )
        np.testing.assert_array_equal(
            together.cv_results_["mean_test_score"],
            alone.cv_results_["mean_test_score"],
        )
        assert together.best_score_ > 0.6


class TestInAColumnTransformer:
    @ALL
    def test_selected_columns(self, est, X):
        frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=["x", "y"] * 60)
        transformer = make_column_transformer(
            (est, ["a", "c", "d"]), (OneHotEncoder(sparse_output=False), ["kind"])
        )
        out = transformer.fit_transform(frame)
        part = X[:, [0, 2, 3]]
        alone = clone(est).fit(part)
        np.testing.assert_allclose(out[:, :3], alone.transform(part))
        np.testing.assert_array_equal(out[:, 3], frame["kind"] == "x")
        names = transformer.get_feature_names_out()
        assert [name.split("__")[1] for name in names[:3]] == ["a", "c", "d"]

    def test_zeros_are_kept_where_sparse(self):
        X = np.round(correlated(50, 4, missing=0.6))
        X[X == 0] = 0.0
        assert (X == 0).any()
        est = KMeansMixture(2, random_state=0)
        transformer = ColumnTransformer([("some", est, [0, 1])], sparse_threshold=0)
        out = transformer.fit_transform(to_sparse(X))
        part = X[:, :2]
        np.testing.assert_allclose(out, clone(est).fit(part).transform(part))

    def test_union_and_n_jobs(self, X):
        two = [
            (
                "one",
                MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
            ),
            ("two", KMeansMixture(2, random_state=0)),
        ]
        alone = FeatureUnion(two).fit(X).transform(X)
        together = FeatureUnion(two, n_jobs=2).fit(X).transform(X)
        np.testing.assert_array_equal(alone, together)
        assert together.shape == (120, 8)


class TestSetOutput:
    @ALL
    @pytest.mark.parametrize(("output", "kind"), [("pandas", pd), ("polars", pl)])
    def test_frames(self, est, output, kind, X):
        pipe = make_pipeline(StandardScaler(), est)
        frame = pd.DataFrame(X, columns=list("abcd"), index=range(5, 125))
        expected = pipe.fit(frame.to_numpy()).transform(frame.to_numpy())
        out = clone(pipe).set_output(transform=output).fit(frame).transform(frame)
        assert isinstance(out, kind.DataFrame)
        assert list(out.columns) == list("abcd")
        np.testing.assert_allclose(out.to_numpy(), expected)
        if output == "pandas":
            assert list(out.index) == list(frame.index)
        given = pl.DataFrame(dict(zip("abcd", X.T, strict=True)), nan_to_null=True)
        alone = clone(est).set_output(transform=output).fit(given)
        np.testing.assert_allclose(
            alone.transform(given).to_numpy(), clone(est).fit(X).transform(X)
        )

    @ALL
    @pytest.mark.parametrize("output", ["pandas", "polars"])
    @pytest.mark.parametrize("configure", ["estimator", "global"])
    @pytest.mark.parametrize("given", ["frame", "array"])
    def test_completions_and_draws(self, est, output, configure, given, X):
        frame = pd.DataFrame(X, columns=list("abcd"), index=range(5, 125))
        data = frame if given == "frame" else X
        est = clone(est).fit(data)
        completed, std = est.complete(data, return_std=True)
        draws = est.sample_completions(data, 3, random_state=0)
        assert isinstance(draws, np.ndarray)
        some = [0, 1], [2, 3]
        with config_context(transform_output=output):
            if configure == "estimator":
                est.set_output(transform=output)
            results = [
                est.complete(data),
                *est.complete(data, return_std=True),
                *est.sample_completions(data, 3, random_state=0),
            ]
            alone = est.complete(data, entries=some)
            drawn = est.sample_completions(data, entries=some, random_state=0)
        if configure == "estimator":  # outside of the context, too
            results.append(est.complete(data))
        expected = [completed, completed, std, *draws, completed]
        module = {"pandas": pd, "polars": pl}[output]
        names = list("abcd") if given == "frame" else ["x0", "x1", "x2", "x3"]
        index = range(5, 125) if given == "frame" else range(120)
        for result, values in zip(results, expected, strict=False):
            assert isinstance(result, module.DataFrame)
            assert list(result.columns) == names
            np.testing.assert_array_equal(result.to_numpy(), values)
            if output == "pandas":
                assert list(result.index) == list(index)
        assert isinstance(alone, np.ndarray)
        np.testing.assert_array_equal(alone, completed[some])
        assert isinstance(drawn, np.ndarray)
        assert drawn.shape == (5, 2)

    def test_lists_of_draws(self, X):
        pytest.importorskip("polars", exc_type=ImportError)
        est = MaskedGaussianMixture(covariance_type="diag").fit(X)
        est.set_output(transform="polars")
        draws = est.sample_completions(X, 2, random_state=0)
        assert isinstance(draws, list)
        assert len(draws) == 2
        est.set_output(transform="default")
        assert est.sample_completions(X, 2, random_state=0).shape == (2, 120, 4)
        with config_context(transform_output="pandas"):  # the estimator comes first
            assert isinstance(est.complete(X), np.ndarray)

    def test_lazy_completions(self, X):
        da = pytest.importorskip("dask.array")
        lazy = da.from_array(X, chunks=(60, 4))
        est = MaskedGaussianMixture(covariance_type="diag").fit(X)
        est.set_output(transform="pandas")
        for complete in (est.transform, est.complete):
            with pytest.raises(TypeError, match="would load all of them"):
                complete(lazy)
        assert est.complete(lazy, entries=([0], [0])).shape == (1,)

    @ALL
    def test_before_a_predictor_of_names(self, est, X, y):
        frame = pd.DataFrame(X, columns=list("abcd"))
        pipe = make_pipeline(StandardScaler(), est, LogisticRegression())
        pipe.set_output(transform="pandas").fit(frame, y)
        assert list(pipe[-1].feature_names_in_) == list("abcd")
        plain = make_pipeline(StandardScaler(), clone(est), LogisticRegression())
        np.testing.assert_array_equal(pipe.predict(frame), plain.fit(X, y).predict(X))


class TestMetadata:
    @ALL
    def test_sample_weight_reaches_the_step(self, est, X):
        weights = np.random.default_rng(0).uniform(0.1, 5, len(X))
        with config_context(enable_metadata_routing=True):
            asked = clone(est).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipe = make_pipeline(scaler, asked).fit(X, sample_weight=weights)
        scaled = StandardScaler().fit_transform(X)
        alone = clone(est).fit(scaled, sample_weight=weights)
        plain = clone(est).fit(scaled)
        np.testing.assert_allclose(pipe[-1].means_, alone.means_)
        assert not np.allclose(plain.means_, alone.means_)

    def test_sample_weight_in_a_search(self, X):
        weights = np.random.default_rng(0).uniform(0.1, 5, len(X))
        with config_context(enable_metadata_routing=True):
            est = MaskedGaussianMixture(covariance_type="spherical", random_state=0)
            est.set_fit_request(sample_weight=True).set_score_request(
                sample_weight=True
            )
            search = GridSearchCV(est, {"n_components": [1, 2]}, cv=2)
            search.fit(X, sample_weight=weights)
        est = MaskedGaussianMixture(covariance_type="spherical", random_state=0)
        alone = est.set_params(**search.best_params_)
        alone.fit(X, sample_weight=weights)
        np.testing.assert_allclose(search.best_estimator_.means_, alone.means_)
        first, second = np.arange(60), np.arange(60, 120)
        scores = []
        for train, test in ((second, first), (first, second)):
            est = MaskedGaussianMixture(covariance_type="spherical", random_state=0)
            est.fit(X[train], sample_weight=weights[train])
            log_density = est.score_samples(X[test])
            scores.append(np.average(log_density, weights=weights[test]))
        found = search.cv_results_["mean_test_score"][0]
        assert found == pytest.approx(np.mean(scores))


class TestCopies:
    @ALL
    def test_clone_and_pickle(self, est, X):
        pipe = make_pipeline(StandardScaler(), est).fit(X)
        copy = pickle.loads(pickle.dumps(pipe))
        np.testing.assert_array_equal(copy.transform(X), pipe.transform(X))
        again = clone(pipe)
        assert not hasattr(again[-1], "means_")
        np.testing.assert_array_equal(again.fit(X).transform(X), pipe.transform(X))

    @ALL
    def test_n_jobs(self, est, X):
        pipe = make_pipeline(StandardScaler(), est)
        np.testing.assert_array_equal(
            cross_val_score(pipe, X, cv=3), cross_val_score(pipe, X, cv=3, n_jobs=2)
        )
        scores = cross_validate(pipe, X, cv=2, n_jobs=2, return_estimator=True)
        assert len(scores["estimator"]) == 2
