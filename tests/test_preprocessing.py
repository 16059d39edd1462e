# SPDX-License-Identifier: BSD-3-Clause
"""RowNormalizer, compared with plain loops; and Pipelines that begin with it."""

import pickle
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.impute import KNNImputer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, QuantileTransformer, StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.model_selection import (
    EntryRegressor,
    completion_scorer,
    cross_validate_entries,
    hide_entries,
)
from sklearn_gmmcf.plotting import CalibrationDisplay
from sklearn_gmmcf.preprocessing import RowNormalizer
from tests.made import clusters, to_sparse
from tests.optional import pd, pl
from tests.test_estimator_checks import CALLABLE_CHECKS

FORMATS = ["csr_array", "csc_array", "coo_array", "csr_matrix", "csc_matrix"]
SETTINGS = pytest.mark.parametrize(
    "setting",
    [
        {},
        {"shrinkage": 0},
        {"shrinkage": 1.5},
        {"center": False},
        {"scale": False},
        {"center": False, "scale": False},
    ],
    ids=str,
)


def rated(n=40, d=7, missing=0.5, seed=0):
    """Rows of different offsets and widths, among them all the odd ones."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.2, 3, (n, 1)) + rng.normal(4, 2, (n, 1))
    X[rng.random(X.shape) < missing] = np.nan
    X[0] = np.nan  # nothing
    X[1], X[1, 2] = np.nan, 9.0  # one entry
    X[2], X[3, :3] = 2.5, 0.0  # equal entries; zeros
    return X


def loop(train, X, center=True, scale=True, shrinkage=5.0):
    """Normalized rows, their means and their deviations, one entry after the other."""
    entries = [x for row in train for x in row if not np.isnan(x)]
    middle = sum(entries) / len(entries)
    spread = (sum((x - middle) ** 2 for x in entries) / len(entries)) ** 0.5
    Z, means, deviations = np.full(X.shape, np.nan), [], []
    for i, row in enumerate(X):
        seen = [x for x in row if not np.isnan(x)]
        own = sum(seen) / len(seen) if seen else 0.0
        squares = sum((x - own) ** 2 for x in seen)
        weight = len(seen) + shrinkage
        mean, deviation = middle, spread
        if weight > 0:
            mean = (sum(seen) + shrinkage * middle) / weight
        if weight > 0 and squares + shrinkage > 0:
            deviation = ((squares + shrinkage * spread**2) / weight) ** 0.5
        means.append(mean if center else 0.0)
        deviations.append(deviation if scale else 1.0)
        for j, x in enumerate(row):
            Z[i, j] = (x - means[-1]) / deviations[-1]
    return Z, np.array(means), np.array(deviations)


def fill(X):
    """Stored entries of a sparse matrix, NaN elsewhere."""
    filled = np.full(X.shape, np.nan)
    coo = X.tocoo()
    filled[coo.row, coo.col] = coo.data
    return filled


def rmse(true, predicted):
    return np.sqrt(np.mean((true - predicted) ** 2))


class TestAgainstALoop:
    @SETTINGS
    def test_dense(self, setting):
        train, X = rated(), rated(seed=1)
        normalizer = RowNormalizer(**setting).fit(train)
        Z, means, deviations = loop(train, X, **setting)
        np.testing.assert_allclose(normalizer.transform(X), Z, rtol=1e-12, atol=1e-12)
        found = normalizer.row_statistics(X)
        np.testing.assert_allclose(found, (means, deviations), rtol=1e-12)
        entries = train[~np.isnan(train)]
        assert normalizer.mean_ == pytest.approx(entries.mean())
        assert normalizer.scale_ == pytest.approx(entries.std())

    @SETTINGS
    @pytest.mark.parametrize("kind", FORMATS)
    def test_sparse(self, setting, kind):
        X = rated()
        given = to_sparse(X, kind)
        Z = RowNormalizer(**setting).fit(given).transform(given)
        assert type(Z) is type(given)
        assert Z.nnz == given.nnz
        expected = loop(X, X, **setting)[0]
        np.testing.assert_allclose(fill(Z), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(fill(given), X)

    def test_stored_markers_of_missing_entries_are_dropped(self):
        X = rated()
        given = to_sparse(X)
        rows, columns = np.indices(X.shape).reshape(2, -1)
        every = sparse.csr_array((X.ravel(), (rows, columns)), shape=X.shape)
        normalizer = RowNormalizer().fit(every)
        Z = normalizer.transform(every)
        assert Z.nnz == given.nnz
        np.testing.assert_array_equal(fill(Z), fill(normalizer.transform(given)))

    def test_small_batches(self):
        X = rated()
        expected = RowNormalizer().fit_transform(X)
        with config_context(working_memory=1e-4):
            np.testing.assert_array_equal(RowNormalizer().fit_transform(X), expected)

    def test_unshrunk_rows_have_mean_0_and_deviation_1(self):
        X = rated(missing=0.2)[4:]
        Z = RowNormalizer(shrinkage=0).fit_transform(X)
        np.testing.assert_allclose(np.nanmean(Z, axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(np.nanstd(Z, axis=1), 1)

    def test_equal_entries_of_rounded_mean(self):
        X = np.full((3, 10), 0.1)  # their computed mean is another number
        normalizer = RowNormalizer(shrinkage=0).fit(X)
        assert normalizer.scale_ == 1
        np.testing.assert_allclose(normalizer.transform(X), 0, atol=1e-15)
        far = RowNormalizer(shrinkage=0).fit(X + [[0], [1], [2]]).row_statistics(X)[1]
        np.testing.assert_allclose(far, np.sqrt(2 / 3))

    def test_far_from_zero(self):
        X = rated()
        Z = RowNormalizer().fit_transform(X + 1e8)
        np.testing.assert_allclose(Z, loop(X, X)[0], atol=1e-6)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_float32(self, make):
        X = rated()
        given = make(X).astype(np.float32)
        normalizer = RowNormalizer().fit(given)
        Z = normalizer.transform(given)
        undone = normalizer.inverse_transform(Z, rows=given)
        assert Z.dtype == undone.dtype == np.float32
        dense = Z if make is np.array else fill(Z)
        np.testing.assert_allclose(dense, loop(X, X)[0], rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("kind", [pd, pl])
    def test_frames(self, kind):
        X = rated()
        frame = kind.DataFrame(dict(zip("abcdefg", X.T, strict=True)))
        normalizer = RowNormalizer().set_output(transform=kind.__name__)
        Z = normalizer.fit_transform(frame)
        assert isinstance(Z, kind.DataFrame)
        assert list(Z.columns) == list("abcdefg")
        np.testing.assert_allclose(Z.to_numpy(), loop(X, X)[0], atol=1e-12)
        undone = normalizer.inverse_transform(Z, rows=frame)
        np.testing.assert_allclose(undone, X, atol=1e-12)


class TestOtherMarkers:
    @pytest.mark.parametrize("missing_values", [0, -1.0, 99])
    def test_dense(self, missing_values):
        X = rated()
        X[3] = 5.0
        marked = np.where(np.isnan(X), missing_values, X)
        normalizer = RowNormalizer(missing_values=missing_values)
        Z = normalizer.fit_transform(marked)
        np.testing.assert_array_equal(missing_values == Z, np.isnan(X))
        expected = loop(X, X)[0]
        np.testing.assert_allclose(Z[~np.isnan(X)], expected[~np.isnan(X)], atol=1e-12)
        undone = normalizer.inverse_transform(Z, rows=marked)
        np.testing.assert_allclose(undone, marked, atol=1e-12)

    @pytest.mark.parametrize("make", [np.array, sparse.csr_array])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_no_observed_entry_becomes_missing(self, make, dtype):
        # Three is the mean of the row and of the table.
        X = make(np.array([[3.0, 2.0, 4.0, 0.0], [2.0, 4.0, 0.0, 0.0]], dtype=dtype))
        normalizer = RowNormalizer(missing_values=0).fit(X)
        Z = normalizer.transform(X)
        Z = Z.toarray() if sparse.issparse(Z) else Z
        assert Z[0, 0] != 0
        assert abs(Z[0, 0]) < 1e-6
        assert (Z[[0, 1, 1], [3, 2, 3]] == 0).all()


class TestInverse:
    @SETTINGS
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_returns_the_data(self, setting, make):
        X = rated()
        normalizer = RowNormalizer(**setting).fit(make(X))
        undone = normalizer.inverse_transform(normalizer.transform(make(X)), make(X))
        assert type(undone) is type(make(X))
        undone = fill(undone) if sparse.issparse(undone) else undone
        np.testing.assert_allclose(undone, X, rtol=1e-12, atol=1e-12)

    def test_completions_and_deviations(self):
        X = rated()
        normalizer = RowNormalizer().fit(X)
        _, means, deviations = loop(X, X)
        rng = np.random.default_rng(0)
        Z, std = rng.normal(size=X.shape), rng.uniform(size=X.shape)
        expected = np.empty(X.shape)
        for i, j in np.ndindex(X.shape):
            expected[i, j] = means[i] + deviations[i] * Z[i, j]
        values, stds = normalizer.inverse_transform(Z, rows=X, std=std)
        np.testing.assert_allclose(values, expected)
        np.testing.assert_allclose(stds, std * deviations[:, None])
        entries = rng.integers(40, size=30), rng.integers(7, size=30)
        for rows in (X, to_sparse(X)):
            values, stds = normalizer.inverse_transform(
                Z[entries], rows=rows, entries=entries, std=std[entries]
            )
            np.testing.assert_allclose(values, expected[entries])
            np.testing.assert_allclose(stds, std[entries] * deviations[entries[0]])
            alone = normalizer.inverse_transform(Z[entries], rows, entries=entries)
            np.testing.assert_array_equal(alone, values)

    def test_through_a_pipeline(self):
        X = rated()
        with config_context(enable_metadata_routing=True):
            normalizer = RowNormalizer().set_inverse_transform_request(rows=True)
            pipe = make_pipeline(normalizer).fit(X)
            undone = pipe.inverse_transform(pipe.transform(X), rows=X)
        np.testing.assert_allclose(undone, X, atol=1e-12)

    def test_errors(self):
        X = rated()
        normalizer = RowNormalizer().fit(X)
        Z = normalizer.transform(X)
        with pytest.raises(ValueError, match=r"needs the rows.*Z, rows=X"):
            normalizer.inverse_transform(Z)
        with pytest.raises(
            ValueError, match=r"X should have the shape \(39, 7\) of ro"
        ):
            normalizer.inverse_transform(Z, rows=X[1:])
        with pytest.raises(ValueError, match=r"std should have the shape \(40, 7\)"):
            normalizer.inverse_transform(Z, rows=X, std=Z[1:])
        with pytest.raises(
            ValueError, match=r"shape \(2,\) of entries, but got \(3,\)"
        ):
            normalizer.inverse_transform([1, 2, 3], X, entries=([0, 1], [0, 1]))
        with pytest.raises(ValueError, match="rows of entries should be from 0 to 39"):
            normalizer.inverse_transform([1.0], X, entries=([40], [0]))


class TestErrors:
    def test_nothing_observed(self):
        with pytest.raises(ValueError, match="X has no observed entry"):
            RowNormalizer().fit(np.full((3, 2), np.nan))

    def test_infinite_values_and_masked_arrays(self):
        with pytest.raises(ValueError, match="infinity"):
            RowNormalizer().fit([[1.0, np.inf]])
        with pytest.raises(ValueError, match="masked array"):
            RowNormalizer().fit(np.ma.masked_invalid(rated()))

    def test_two_values_of_one_entry(self):
        twice = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
        with pytest.raises(ValueError, match="stores more than one value"):
            RowNormalizer().fit(twice)

    def test_nan_beside_another_marker(self):
        with pytest.raises(ValueError, match="contains NaN while missing_values=0"):
            RowNormalizer(missing_values=0).fit(rated())

    def test_dask_arrays_are_refused(self):
        da = pytest.importorskip("dask.array")
        X = rated()
        lazy = da.from_array(X, chunks=(10, 7))
        with pytest.raises(TypeError, match=re.escape("X.map_blocks(normalizer.")):
            RowNormalizer().fit(lazy)
        normalizer = RowNormalizer().fit(X)  # the way out
        Z = lazy.map_blocks(normalizer.transform, dtype=X.dtype).compute()
        np.testing.assert_array_equal(Z, normalizer.transform(X))


def mixture(**changes):
    setting = {"covariance_type": "spherical", "random_state": 0} | changes
    return MaskedGaussianMixture(2, **setting)


def ratings(n=120, d=12):
    """Two types of rows, in different units."""
    rng = np.random.default_rng(3)
    X = clusters(n, d, n_components=2, missing=0.4) * rng.uniform(0.3, 3, (n, 1))
    return X + rng.normal(3, 2, (n, 1))


class TestInAPipeline:
    @pytest.mark.parametrize("make", [np.array, to_sparse, pd.DataFrame])
    @pytest.mark.parametrize("est", [mixture(), KMeansMixture(2, random_state=0)])
    def test_scores_have_the_units_of_the_data(self, est, make):
        X = ratings()
        train, test = X[:80], X[80:]
        pipe = make_pipeline(RowNormalizer(), clone(est)).fit(make(train))
        hidden, (rows, columns, values) = hide_entries(test, 0.2, 1)
        # Statistics of the rows must not see the hidden entries.
        Z, means, deviations = loop(train, hidden)
        alone = clone(est).fit(loop(train, train)[0])
        z = alone.transform(Z)[rows, columns]
        predicted = means[rows] + deviations[rows] * z
        score = completion_scorer(fraction=0.2, random_state=1)(pipe, make(test))
        assert score == pytest.approx(-rmse(values, predicted))
        leaking = loop(train, test)
        leaked = leaking[1][rows] + leaking[2][rows] * z
        assert score != pytest.approx(-rmse(values, leaked), rel=1e-3)
        score = completion_scorer("log_density", 0.2, 1)(pipe, make(test))
        true = (values - means[rows]) / deviations[rows]
        log_density = alone.score_entries(Z, (rows, columns), true)
        expected = np.mean(log_density - np.log(deviations[rows]))
        assert score == pytest.approx(expected)

    def test_between_scalers(self):
        X = ratings() * np.arange(1, 13)
        pipe = make_pipeline(
            StandardScaler(), RowNormalizer(), MaxAbsScaler(), mixture()
        ).fit(X)
        hidden, (rows, columns, values) = hide_entries(X, 0.1, 0)
        mean, deviation = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
        fitted, given = (X - mean) / deviation, (hidden - mean) / deviation
        Z, means, deviations = loop(fitted, given)
        largest = np.nanmax(np.abs(loop(fitted, fitted)[0]), axis=0)
        completed = pipe[-1].transform(Z / largest) * largest
        completed = completed * deviations[:, None] + means[:, None]
        predicted = (completed * deviation + mean)[rows, columns]
        expected = rmse(values, predicted)
        assert completion_scorer()(pipe, X) == pytest.approx(-expected)

    def test_before_an_imputer(self):
        X = ratings()
        pipe = make_pipeline(RowNormalizer(), KNNImputer()).fit(X)
        hidden, (rows, columns, values) = hide_entries(X, 0.1, 0)
        Z, means, deviations = loop(X, hidden)
        z = KNNImputer().fit(loop(X, X)[0]).transform(Z)[rows, columns]
        predicted = means[rows] + deviations[rows] * z
        expected = rmse(values, predicted)
        assert completion_scorer()(pipe, X) == pytest.approx(-expected)

    @pytest.mark.parametrize("missing_values", [0, 0.25])
    def test_other_missing_values(self, missing_values):
        X = ratings()
        marked = np.where(np.isnan(X), missing_values, X)
        plain = make_pipeline(RowNormalizer(), mixture()).fit(X)
        pipe = make_pipeline(
            RowNormalizer(missing_values=missing_values),
            mixture(missing_values=missing_values),
        ).fit(marked)
        expected = completion_scorer()(plain, X)
        assert completion_scorer()(pipe, marked) == pytest.approx(expected)

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_folds_of_entries(self, make):
        X = ratings()
        pipe = make_pipeline(RowNormalizer(), mixture())
        scores = cross_validate_entries(
            pipe, make(X), scoring=["rmse", "log_density"], cv=3
        )
        rows, columns = np.nonzero(~np.isnan(X))
        folds = KFold(3, shuffle=True, random_state=0).split(rows)
        for fold, (_, test) in enumerate(folds):
            at = rows[test], columns[test]
            train = X.copy()
            train[at] = np.nan
            Z, means, deviations = loop(train, train)
            alone = mixture().fit(Z)
            z = alone.transform(Z)[at]
            predicted = means[at[0]] + deviations[at[0]] * z
            expected = rmse(X[at], predicted)
            assert scores["test_rmse"][fold] == pytest.approx(-expected)
            true = (X[at] - means[at[0]]) / deviations[at[0]]
            log_density = alone.score_entries(Z, at, true) - np.log(deviations[at[0]])
            found = scores["test_log_density"][fold]
            assert found == pytest.approx(log_density.mean())

    def test_entry_regressor_returns_what_was_fitted(self):
        X = ratings()
        pairs = np.argwhere(~np.isnan(X))
        values = X[tuple(pairs.T)]
        regressor = EntryRegressor(make_pipeline(RowNormalizer(), mixture()), X.shape)
        np.testing.assert_allclose(regressor.fit(pairs, values).predict(pairs), values)

    def test_search_of_the_shrinkage(self):
        X = ratings()
        pipe = make_pipeline(RowNormalizer(), mixture())
        grid = {"rownormalizer__shrinkage": [0.5, 5, 1e9]}
        search = GridSearchCV(pipe, grid, scoring=completion_scorer(), cv=3).fit(X)
        scores = search.cv_results_["mean_test_score"]
        assert scores[1] > 0.95 * scores[2]  # the last one leaves rows as they are
        raw = GridSearchCV(mixture(), {}, scoring=completion_scorer(), cv=3).fit(X)
        assert scores[2] == pytest.approx(raw.best_score_, rel=0.01)

    def test_calibration(self):
        pytest.importorskip("matplotlib")
        X = ratings()
        pipe = make_pipeline(RowNormalizer(), mixture()).fit(X)
        hidden, (rows, columns, values) = hide_entries(X, 0.1, 0)
        Z = pipe[0].transform(hidden)
        means, deviations = loop(X, hidden)[1:]
        z = (values - means[rows]) / deviations[rows]
        below = pipe[-1].cdf_entries(Z, (rows, columns), z)
        found = CalibrationDisplay.from_estimator(pipe, X)
        expected = [
            np.mean((below >= (1 - q) / 2) & (below <= (1 + q) / 2))
            for q in found.nominal
        ]
        np.testing.assert_allclose(found.coverage, expected)

    def test_steps_that_do_not_scale_are_refused(self):
        X = ratings()
        quantiles = QuantileTransformer(n_quantiles=20, output_distribution="normal")
        pipe = make_pipeline(quantiles, RowNormalizer(), mixture()).fit(X)
        with pytest.raises(ValueError, match="does not shift and scale alone"):
            completion_scorer()(pipe, X)

    def test_clone_and_pickle(self):
        X = ratings()
        pipe = make_pipeline(RowNormalizer(shrinkage=2), mixture()).fit(X)
        copy = pickle.loads(pickle.dumps(pipe))
        np.testing.assert_array_equal(copy.transform(X), pipe.transform(X))
        again = clone(pipe)
        assert not hasattr(again[0], "mean_")
        np.testing.assert_array_equal(again.fit(X).transform(X), pipe.transform(X))


CHECKED = [RowNormalizer(), RowNormalizer(shrinkage=0)]


@parametrize_with_checks(CHECKED)
def test_generated_check(estimator, check):
    check(estimator)


# scikit-learn's own callers of these checks filter these warnings, too.
@pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names:UserWarning"
)
@pytest.mark.parametrize("name", CALLABLE_CHECKS)
def test_callable_check(name):
    getattr(estimator_checks, name)("RowNormalizer", RowNormalizer())
