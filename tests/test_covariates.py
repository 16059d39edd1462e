# SPDX-License-Identifier: BSD-3-Clause
"""Covariates of rows and features of columns, through all that takes a table."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf import (
    ConstantCovariatesWarning,
    KMeansMixture,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.model_selection import (
    EntryRegressor,
    completion_scorer,
    cross_validate_entries,
    hide_entries,
    to_entries,
)
from sklearn_gmmcf.ratings import RatingsEncoder
from tests import oracles
from tests.factors import COMPONENTS, IGNORED_WARNINGS, factor, from_library
from tests.made import to_sparse
from tests.optional import pd, pl

pytestmark = IGNORED_WARNINGS
NAMES = list("abcdefgh")
COVARIATES = [2, 5]
MODELED = [0, 1, 3, 4, 6, 7]
# A few iterations show whether two fits are the same.
brief = partial(factor, max_iter=10)


def table(n=80, seed=0):
    """Two covariates, which move the other columns, and entries missing at random."""
    rng = np.random.default_rng(seed)
    age, member = 40 + 10 * rng.standard_normal(n), rng.integers(2, size=n)
    shared = 0.1 * (age - 40) + member + 0.3 * rng.standard_normal(n)
    X = np.outer(shared, [1, -1, 0, 2, 1, 0, -2, 1]) + rng.standard_normal((n, 8))
    X[rng.random(X.shape) < 0.4] = np.nan
    X[0] = np.nan
    X[:, 2], X[:, 5] = age, member
    X[3, 2] = X[4, 5] = np.nan
    return X


def features(seed=0):
    """Three features of each column, one of them missing."""
    G = np.random.default_rng(seed).standard_normal((8, 3))
    G[4, 1] = np.nan
    return G


def same_fit(found, expected, rtol=1e-9):
    np.testing.assert_allclose(found.lower_bounds_, expected.lower_bounds_, rtol=rtol)
    for name in ("means_", "noise_variance_", "factor_means_", "components_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=rtol, atol=rtol
        )


class TestContainers:
    @COMPONENTS
    def test_one_table_in_every_container(self, n_components):
        X = table()
        expected = brief(n_components, covariates=COVARIATES).fit(X)
        frame = pd.DataFrame(X, columns=NAMES)
        polar = pl.from_pandas(frame)
        whole = expected.transform(X)
        for other, covariates in [
            (X, [-3, 2]),
            (X, np.array([5, 2])),
            (to_sparse(X), COVARIATES),
            (to_sparse(X, "csc_matrix"), COVARIATES),
            (frame, ["c", "f"]),
            (frame, ["f", "c"]),
            (frame, [2, "f"]),
            (polar, ["f", "c"]),
        ]:
            mixture = brief(n_components, covariates=covariates).fit(other)
            same_fit(mixture, expected)
            np.testing.assert_allclose(
                np.asarray(mixture.transform(other)), whole, rtol=1e-8
            )

    @COMPONENTS
    def test_dask_threads_and_pieces(self, n_components, monkeypatch):
        da = pytest.importorskip("dask.array")
        X = table()
        options = {"covariates": COVARIATES, "column_features": features()}
        expected = brief(n_components, **options).fit(X)
        lazy = da.from_array(X, chunks=(23, 8))
        found = brief(n_components, **options).fit(lazy)
        same_fit(found, expected)
        np.testing.assert_allclose(
            found.transform(lazy).compute(), expected.transform(X), rtol=1e-8
        )
        threads = brief(n_components, n_jobs=2, **options).fit(X)
        np.testing.assert_array_equal(threads.means_, expected.means_)
        monkeypatch.setattr("sklearn_gmmcf.covariance._factor._BLOCK_NUMBERS", 7 * 20)
        same_fit(brief(n_components, **options).fit(X), expected)

    @COMPONENTS
    def test_order_of_rows(self, n_components):
        X = table()
        options = {"covariates": COVARIATES, "column_features": features()}
        expected = brief(n_components, **options).fit(X)
        order = np.random.default_rng(1).permutation(len(X))
        found = brief(n_components, **options).fit(X[order])
        np.testing.assert_allclose(
            found.transform(X[order]), expected.transform(X)[order], rtol=1e-7
        )

    @COMPONENTS
    def test_single_precision(self, n_components):
        X = table()
        options = {"covariates": COVARIATES, "column_features": features()}
        double = brief(n_components, tol=0, **options).fit(X)
        single = brief(n_components, tol=0, **options)
        single.fit(X.astype(np.float32))
        completed = single.transform(X.astype(np.float32))
        assert completed.dtype == np.float32
        np.testing.assert_allclose(completed, double.transform(X), atol=5e-3)


class TestCovariates:
    def test_missing_ones_count_as_their_mean(self):
        X = table()
        mixture = factor(2, covariates=COVARIATES).fit(X)
        rows = X[10:20].copy()
        rows[:, COVARIATES] = np.nan
        filled = rows.copy()
        filled[:, COVARIATES] = np.nanmean(X[:, COVARIATES], axis=0)
        for got, expected in zip(
            mixture.complete(rows, return_std=True),
            mixture.complete(filled, return_std=True),
            strict=True,
        ):
            np.testing.assert_allclose(
                got[:, MODELED], expected[:, MODELED], rtol=1e-10, atol=1e-12
            )
        told = mixture.transform(X[10:20])[:, MODELED]
        assert np.abs(told - mixture.transform(rows)[:, MODELED]).max() > 0.1

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @COMPONENTS
    def test_constant_ones_are_inert(self, n_components, make):
        X = table()
        X = X[~np.isnan(X[:, MODELED]).all(axis=1)]
        X[:, 5] = 7.3
        with pytest.warns(ConstantCovariatesWarning, match=r": 5\.$"):
            mixture = factor(n_components, covariates=COVARIATES).fit(make(X))
        without = np.delete(X, 5, axis=1)
        plain = factor(n_components, covariates=[2]).fit(make(without))
        found = np.delete(mixture.transform(make(X)), 5, axis=1)
        np.testing.assert_allclose(found, plain.transform(make(without)), rtol=1e-7)

    def test_varying_ones_do_not_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConstantCovariatesWarning)
            factor(covariates=COVARIATES).fit(table())

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("marker", [np.nan, -1.0])
    @COMPONENTS
    def test_come_back_as_they_are(self, n_components, marker, make):
        X = table()
        covariates = X[:, COVARIATES].copy()
        if make is to_sparse:
            X = make(X)  # not stored, whatever the marker
        else:
            X[np.isnan(X)] = covariates[np.isnan(covariates)] = marker
        mixture = factor(n_components, covariates=COVARIATES, missing_values=marker)
        mixture.fit(X)
        completed, std = mixture.complete(X, return_std=True)
        np.testing.assert_array_equal(mixture.transform(X), completed)
        np.testing.assert_array_equal(completed[:, COVARIATES], covariates)
        assert np.isfinite(completed[:, MODELED]).all()
        assert (std[:, COVARIATES] == 0).all()
        draws = mixture.sample_completions(X, 3, random_state=0)
        for draw in draws:
            np.testing.assert_array_equal(draw[:, COVARIATES], completed[:, COVARIATES])
        assert np.isfinite(draws[:, :, MODELED]).all()
        entries = np.array([3, 4, 7, 0]), np.array([2, 5, 2, 0])
        values, entry_std = mixture.complete(X, entries=entries, return_std=True)
        np.testing.assert_array_equal(values[:3], completed[entries][:3])
        np.testing.assert_array_equal(entry_std[:3], 0)
        assert np.isfinite(values[3])
        drawn = mixture.sample_completions(X, 2, entries=entries, random_state=0)
        np.testing.assert_array_equal(drawn[:, :3], np.tile(values[:3], (2, 1)))

    @COMPONENTS
    def test_are_never_recommended(self, n_components):
        X = table()
        X[:, COVARIATES] += 1000.0
        mixture = factor(n_components, covariates=COVARIATES).fit(X)
        for exclude_observed in (True, False):
            items, values, std = mixture.recommend(
                X, n_items=8, exclude_observed=exclude_observed, return_std=True
            )
            assert not np.isin(items, COVARIATES).any()
            n_found = (items >= 0).sum(axis=1)
            missing = np.isnan(X[:, MODELED]).sum(axis=1)
            expected = missing if exclude_observed else np.full(len(X), 6)
            np.testing.assert_array_equal(n_found, expected)
            assert (np.isnan(values) == (items < 0)).all()
            assert (np.isnan(std) == (items < 0)).all()

    def test_have_no_density(self):
        X = table()
        mixture = factor(covariates=["c", "f"]).fit(pd.DataFrame(X, columns=NAMES))
        frame = pd.DataFrame(X, columns=NAMES)
        with pytest.raises(ValueError, match=r"Column c is one of the covariates"):
            mixture.score_entries(frame, ([0, 3], [0, 2]), [1.0, 2.0])
        assert np.isfinite(mixture.score_entries(frame, ([0], [0]), [1.0])).all()
        # A row of covariates alone has observed nothing: 0, less what the bound loses.
        row = np.full((1, 8), np.nan)
        row[0, COVARIATES] = 50, 1
        found = mixture.score_samples(pd.DataFrame(row, columns=NAMES))
        p = from_library(mixture._model.parameters)
        expected = -0.5 * np.sum(
            p.row_slope_variances @ oracles.row_features(row[0], p) ** 2
        )
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    @COMPONENTS
    def test_attributes(self, n_components):
        X = table()
        mixture = factor(n_components, covariates=COVARIATES).fit(X)
        mean, variance = (f(X[:, COVARIATES], axis=0) for f in (np.nanmean, np.nanvar))
        assert mixture.n_features_in_ == 8
        np.testing.assert_allclose(
            mixture.means_[:, COVARIATES], np.tile(mean, (n_components, 1))
        )
        np.testing.assert_array_equal(mixture.components_[:, COVARIATES], 0)
        np.testing.assert_allclose(mixture.intercept_[COVARIATES], mean)
        np.testing.assert_allclose(mixture.noise_variance_[COVARIATES], variance)
        np.testing.assert_allclose(
            mixture.sample(5)[0][:, COVARIATES], np.tile(mean, (5, 1))
        )
        covariance = mixture.get_covariance(0)
        np.testing.assert_allclose(np.diag(covariance)[COVARIATES], variance)
        np.testing.assert_array_equal(covariance[np.ix_(COVARIATES, MODELED)], 0)
        assert mixture.factor_scores(X).shape == (80, 3)

    @pytest.mark.parametrize(("scale", "shift"), [(1e6, 0), (1e-6, 5), (3, 1e4)])
    @COMPONENTS
    def test_their_units_do_not_matter(self, n_components, scale, shift):
        X = table()
        expected = brief(n_components, covariates=COVARIATES).fit(X).transform(X)
        Y = X.copy()
        Y[:, 2] = scale * Y[:, 2] + shift
        found = brief(n_components, covariates=COVARIATES).fit(Y).transform(Y)
        np.testing.assert_allclose(
            found[:, MODELED], expected[:, MODELED], rtol=1e-8, atol=1e-8
        )

    @COMPONENTS
    def test_predict_rows_without_entries(self, n_components):
        X, new = table(400), table(200, seed=1)
        shared = 0.1 * (new[:, 2] - 40) + new[:, 5]
        signal = np.outer(shared, [1, -1, 0, 2, 1, 0, -2, 1])[:, MODELED]
        signal[np.isnan(shared)] = 0.0
        new[:, MODELED] = np.nan
        told = factor(n_components, covariates=COVARIATES).fit(X).transform(new)
        alone = factor(n_components).fit(X[:, MODELED]).transform(new[:, MODELED])
        error, plain = (
            np.sqrt(np.mean((values - signal) ** 2))
            for values in (told[:, MODELED], alone)
        )
        assert error < 0.35 * plain

    @pytest.mark.parametrize("n_components", [1, 2, 4])
    def test_do_not_share_the_noise_of_types(self, n_components):
        """As columns they would drive it to both limits."""
        rng = np.random.default_rng(0)
        genres = (rng.random((300, 12)) < 0.15).astype(float)
        X = genres @ rng.standard_normal((12, 10)) + rng.standard_normal((300, 10))
        hidden = rng.random(X.shape) < 0.5
        Y = np.hstack([np.where(hidden, np.nan, X), genres])
        mixture = factor(n_components, 5, covariates=list(range(10, 22)))
        error = np.sqrt(np.mean((mixture.fit_transform(Y)[:, :10] - X)[hidden] ** 2))
        plain = factor(1, 5).fit_transform(Y[:, :10])
        assert error < 0.95 * np.sqrt(np.mean((plain - X)[hidden] ** 2))

    @pytest.mark.parametrize(
        ("covariates", "message"),
        [
            ("c", r"list of columns, but got 'c'\. Pass \['c'\]"),
            (2, r"list of columns, but got 2\. Pass \[2\]"),
            ([2, -6], "name column 2 of X more than once"),
            (["c", 2], "name column 2 of X more than once"),
            (["c", "q"], r"name the column 'q', which X has not.*'a', 'b'"),
            ([8], "contain the index 8, but X has 8 columns"),
            ([-9], "contain the index -9, but X has 8 columns"),
            ([2.0], r"indices or names of columns, but one of them is 2\.0"),
            ([True, False], "but got booleans. Pass np.flatnonzero"),
            (range(8), "All of the 8 columns of X are covariates"),
        ],
    )
    def test_refused(self, covariates, message):
        frame = pd.DataFrame(table(), columns=NAMES)
        with pytest.raises(ValueError, match=message):
            factor(covariates=covariates).fit(frame)

    def test_names_need_a_frame(self):
        with pytest.raises(ValueError, match=r"X has no column names.*set_output"):
            factor(covariates=["c"]).fit(table())

    def test_nothing_observed_but_covariates(self):
        X = table()
        X[:, MODELED] = np.nan
        with pytest.raises(ValueError, match="observed"):
            factor(covariates=COVARIATES).fit(X)

    def test_in_a_pipeline(self):
        frame = pd.DataFrame(table(), columns=NAMES)
        scaler = StandardScaler().set_output(transform="pandas")
        pipe = make_pipeline(scaler, factor(2, covariates=["f", "c"])).fit(frame)
        Z = StandardScaler().fit_transform(frame)
        expected = factor(2, covariates=COVARIATES).fit(Z)
        same_fit(pipe[-1], expected)
        score = completion_scorer(random_state=3)(pipe, frame)
        assert score == pytest.approx(completion_scorer(random_state=3)(expected, Z))

    def test_kmeans_knows_none(self):
        assert "covariates" not in KMeansMixture().get_params()


class TestColumnFeatures:
    @COMPONENTS
    def test_in_every_container(self, n_components):
        X, G = table(), features()
        frame = pd.DataFrame(X, columns=NAMES)
        expected = brief(n_components, column_features=G).fit(X)
        plain = brief(n_components).fit(X)
        assert abs(expected.lower_bound_ - plain.lower_bound_) > 1e-4
        shuffled = pd.DataFrame(G, index=NAMES).iloc[[3, 1, 7, 0, 2, 5, 6, 4]]
        more = pd.concat([shuffled, pd.DataFrame([[9.0, 9, 9]], index=["z"])])
        for given, other in [
            (G.tolist(), X),
            (pd.DataFrame(G), X),
            (pd.DataFrame(G), frame),
            (shuffled, frame),
            (more, frame),
            (shuffled, pl.from_pandas(frame)),
            (pl.DataFrame(G, schema=["x", "y", "z"]), frame),
            (G, to_sparse(X)),
        ]:
            mixture = brief(n_components, column_features=given).fit(other)
            same_fit(mixture, expected)
            np.testing.assert_array_equal(mixture._model.columns.features[:, 4], G[4])
        known = np.nan_to_num(G)
        expected = brief(n_components, column_features=known).fit(X)
        for given in (sparse.csr_array(known), sparse.coo_matrix(known)):
            same_fit(brief(n_components, column_features=given).fit(X), expected)

    def test_missing_ones_count_as_their_mean(self):
        X = table()
        G = features()
        G[4, 1] = np.delete(G[:, 1], 4).mean()
        filled = factor(2, column_features=G).fit(X)
        same_fit(factor(2, column_features=features()).fit(X), filled)

    def test_frames_are_not_changed(self):
        frame = pd.DataFrame(features(), index=NAMES)
        before = frame.copy()
        factor(column_features=frame).fit(pd.DataFrame(table(), columns=NAMES))
        pd.testing.assert_frame_equal(frame, before)

    def test_bools_and_integers(self):
        X = pd.DataFrame(table(), columns=NAMES)
        G = np.random.default_rng(0).integers(2, size=(8, 2))
        expected = factor(2, column_features=G).fit(X)
        frame = pd.DataFrame({"x": G[:, 0].astype(bool), "y": G[:, 1]}, index=NAMES)
        same_fit(factor(2, column_features=frame).fit(X), expected)

    def test_of_covariates_are_ignored(self):
        X, G = table(), features()
        options = {"covariates": COVARIATES}
        expected = factor(2, column_features=G, **options).fit(X)
        G[COVARIATES] = 1e3
        same_fit(factor(2, column_features=G, **options).fit(X), expected)

    @pytest.mark.parametrize(("scale", "shift"), [(1e6, 0), (1e-6, 5), (3, 1e4)])
    @COMPONENTS
    def test_their_units_do_not_matter(self, n_components, scale, shift):
        X, G = table(), features()
        expected = brief(n_components, column_features=G).fit(X).transform(X)
        G[:, 1] = scale * G[:, 1] + shift
        found = brief(n_components, column_features=G).fit(X).transform(X)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("n_components", [1, 2])
    def test_predict_a_column_without_entries(self, n_components):
        rng = np.random.default_rng(0)
        n, d = 300, 60
        G = rng.standard_normal((d, 2))
        loadings = G @ rng.standard_normal((2, 3)) + 0.3 * rng.standard_normal((d, 3))
        level = 3 + G @ [0.7, -0.5] + 0.3 * rng.standard_normal(d)
        truth = level + rng.standard_normal((n, 3)) @ loadings.T
        X = truth + 0.3 * rng.standard_normal((n, d))
        X[rng.random(X.shape) < 0.5] = np.nan
        new = [3, 20, 41, 55]
        X[:, new] = np.nan
        errors = []
        for options in ({"column_features": G}, {}):
            with pytest.warns(UnobservedColumnsWarning):
                mixture = factor(n_components, 4, **options).fit(X)
            completed, std = mixture.complete(X, return_std=True)
            gap = (completed - truth)[:, new]
            errors.append(np.sqrt(np.mean(gap**2)))
            assert 0.5 < np.mean((gap / std[:, new]) ** 2) ** 0.5 < 1.6
        assert errors[0] < 0.6 * errors[1]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (np.zeros((7, 2)), r"one row for each of the 8 columns.*shape \(7, 2\)"),
            (np.zeros(8), r"one row for each of the 8 columns.*shape \(8,\)"),
            (np.zeros((8, 2, 2)), r"shape \(8, 2, 2\)"),
            (sparse.csr_array((7, 2)), r"shape \(7, 2\)"),
            (np.full((8, 2), np.inf), "row 0, feature 0 is infinite"),
            ([["x"]] * 8, "table of numbers.*Encode categories"),
            (
                pd.DataFrame({"genre": ["x"] * 8}, index=NAMES),
                r"the feature 'genre' is .*Encode it first",
            ),
            (
                pd.DataFrame(np.zeros((7, 1)), index=NAMES[:7]),
                r"has no row for these columns of X: 'h'\. Add rows",
            ),
            (
                pd.DataFrame(np.zeros((9, 1)), index=[*NAMES, "b"]),
                "more than one row for the column 'b'",
            ),
        ],
    )
    def test_refused(self, given, message):
        frame = pd.DataFrame(table(), columns=NAMES)
        with pytest.raises(ValueError, match=message):
            factor(column_features=given).fit(frame)

    def test_an_index_needs_names(self):
        G = pd.DataFrame(np.zeros((8, 1)), index=NAMES)
        with pytest.raises(ValueError, match="X has no column names to match"):
            factor(column_features=G).fit(table())


class TestModelSelection:
    def test_hidden_entries_are_none_of_covariates(self):
        frame = pd.DataFrame(table(), columns=NAMES)
        for X, covariates in [
            (frame, ["c", "f"]),
            (table(), COVARIATES),
            (to_sparse(table()), [2, -3]),
        ]:
            X_hidden, (_, columns, _) = hide_entries(X, 0.3, 0, covariates=covariates)
            assert not np.isin(columns, COVARIATES).any()
            assert set(columns) == set(MODELED)
            if isinstance(X, np.ndarray):
                np.testing.assert_array_equal(X_hidden[:, COVARIATES], X[:, COVARIATES])
            pairs, values = to_entries(X, covariates=covariates)
            assert set(pairs[:, 1]) == set(MODELED)
            assert len(values) == (~np.isnan(table()[:, MODELED])).sum()

    @pytest.mark.parametrize("metric", ["rmse", "mae", "log_density"])
    def test_scorer(self, metric):
        X, later = table(), table(seed=1)
        mixture = factor(2, covariates=COVARIATES).fit(X)
        X_hidden, (rows, columns, values) = hide_entries(
            later, 0.1, 5, covariates=COVARIATES
        )
        if metric == "log_density":
            entries = rows, columns
            expected = mixture.score_entries(X_hidden, entries, values).mean()
        else:
            gaps = mixture.complete(X_hidden, entries=(rows, columns)) - values
            expected = -np.sqrt(np.mean(gaps**2))
            expected = expected if metric == "rmse" else -np.mean(np.abs(gaps))
        score = completion_scorer(metric, random_state=5)(mixture, later)
        assert score == pytest.approx(expected)

    @pytest.mark.parametrize("kind", ["frame", "array", "sparse"])
    def test_folds_of_entries(self, kind):
        X = table()
        frame = pd.DataFrame(X, columns=NAMES)
        data, names = {
            "frame": (frame, ["c", "f"]),
            "array": (X, COVARIATES),
            "sparse": (to_sparse(X), COVARIATES),
        }[kind]
        G = features()
        given = pd.DataFrame(G[::-1], index=NAMES[::-1]) if kind == "frame" else G
        mixture = brief(2, covariates=names, column_features=given)
        scores = cross_validate_entries(
            mixture, data, cv=3, scoring=["rmse", "log_density"], error_score="raise"
        )
        plain = brief(2, covariates=COVARIATES, column_features=G)
        pairs, values = to_entries(X, covariates=COVARIATES)
        for fold, (train, test) in enumerate(
            KFold(3, shuffle=True, random_state=0).split(values)
        ):
            Y = np.full(X.shape, np.nan)
            Y[:, COVARIATES] = X[:, COVARIATES]
            Y[tuple(pairs[train].T)] = values[train]
            entries = tuple(pairs[test].T)
            predicted = plain.fit(Y).complete(Y, entries=entries)
            error = np.sqrt(np.mean((predicted - values[test]) ** 2))
            assert -scores["test_rmse"][fold] == pytest.approx(error, rel=1e-7)
            density = plain.score_entries(Y, entries, values[test]).mean()
            assert scores["test_log_density"][fold] == pytest.approx(density, rel=1e-7)

    def test_regressor_of_entries(self):
        X = table()
        pairs, values = to_entries(X, covariates=COVARIATES)
        mixture = factor(2, covariates=COVARIATES)
        for dense in (True, False):
            regressor = EntryRegressor(mixture, X.shape, dense=dense, covariates=X)
            predicted = regressor.fit(pairs, values).predict([[0, 0], [1, 3]])
            expected = mixture.fit(X).complete(X, entries=([0, 1], [0, 3]))
            np.testing.assert_allclose(predicted, expected, rtol=1e-8)
            with pytest.raises(ValueError, match="Column 2 is one of the covariates"):
                regressor.fit(*to_entries(X))
        with pytest.raises(ValueError, match=r"Pass the matrix.*covariates=X"):
            EntryRegressor(mixture, X.shape).fit(pairs, values)
        with pytest.raises(ValueError, match=r"should have the shape \(80, 8\)"):
            EntryRegressor(mixture, X.shape, covariates=X[1:]).fit(pairs, values)

    @pytest.mark.parametrize("given", ["c", 2])
    def test_a_single_column(self, given):
        with pytest.raises(ValueError, match=rf"list of columns.*Pass \[{given!r}\]"):
            cross_validate_entries(factor(covariates=given), table())

    def test_search(self):
        X = table(120)
        grid = {"n_components": [1, 2], "mask_rank": [0, "auto"]}
        mixture = brief(covariates=COVARIATES, column_features=features())
        search = GridSearchCV(
            mixture, grid, scoring=completion_scorer(), cv=3, error_score="raise"
        )
        search.fit(X)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        best = clone(mixture).set_params(**search.best_params_)
        scores = cross_val_score(best, X, cv=3, scoring=completion_scorer())
        assert search.best_score_ == pytest.approx(scores.mean())
        assert np.isfinite(search.transform(X)[:, MODELED]).all()

    def test_displays(self):
        pytest.importorskip("matplotlib").use("Agg")
        import matplotlib.pyplot as plt

        from sklearn_gmmcf import plotting

        X, later = table(), table(seed=1)
        mixture = factor(3, covariates=COVARIATES).fit(X)
        X_hidden, hidden = hide_entries(later, 0.2, 3, covariates=COVARIATES)
        rows, columns, values = hidden
        below = mixture.cdf_entries(X_hidden, (rows, columns), values)
        display = plotting.CalibrationDisplay
        for found in (
            display.from_estimator(mixture, X_hidden, hidden=hidden),
            display.from_estimator(mixture, later, fraction=0.2, random_state=3),
        ):
            expected = [np.mean(abs(below - 0.5) <= q / 2) for q in found.nominal]
            np.testing.assert_allclose(found.coverage, expected)
        plotting.CompletionDisplay.from_estimator(mixture, X)
        plotting.TypesDisplay.from_estimator(mixture)
        plt.close("all")


class TestLife:
    """Of an estimator with covariates and column features."""

    OPTIONS = {"covariates": COVARIATES, "column_features": features()}

    @pytest.mark.parametrize("framed", [False, True])
    def test_clone_and_pickle(self, framed):
        X, options = table(), self.OPTIONS
        if framed:
            X = pd.DataFrame(X, columns=NAMES)
            G = pd.DataFrame(features()[::-1], index=NAMES[::-1])
            options = {"covariates": ["f", "c"], "column_features": G}
        mixture = factor(2, **options).fit(X)
        expected = mixture.transform(X)
        again = clone(mixture).fit(X).transform(X)
        np.testing.assert_array_equal(again, expected)
        back = pickle.loads(pickle.dumps(mixture)).transform(X)
        np.testing.assert_array_equal(back, expected)
        assert mixture.covariates is options["covariates"]
        assert mixture.column_features is options["column_features"]

    def test_warm_start_keeps_what_it_knows(self):
        X = table()
        warm = factor(2, warm_start=True, max_iter=3, tol=0, **self.OPTIONS).fit(X)
        p = warm._model.parameters
        later = table(seed=1)
        warm.fit(later)
        assert warm._model.parameters.features is p.features
        columns = warm._model.columns
        np.testing.assert_array_equal(columns.covariates, COVARIATES)
        # Slopes hold in the units of the first fit.
        expected = np.nanmean(table()[:, COVARIATES], axis=0)
        np.testing.assert_allclose(columns.center[COVARIATES], expected)
        completed = warm.transform(later)
        np.testing.assert_array_equal(completed[:, COVARIATES], later[:, COVARIATES])
        assert np.isfinite(completed[:, MODELED]).all()

    @COMPONENTS
    def test_batches_come_close_to_a_fit(self, n_components):
        X = table(600)
        whole = factor(n_components, **self.OPTIONS).fit(X)
        online = factor(n_components, **self.OPTIONS).partial_fit(X[:200])
        for _ in range(5):
            for start in range(0, 600, 100):
                online.partial_fit(X[start : start + 100])
        hidden, (rows, columns, values) = hide_entries(
            table(300, seed=1), 0.2, 0, covariates=COVARIATES
        )
        errors = [
            np.mean((m.complete(hidden, entries=(rows, columns)) - values) ** 2) ** 0.5
            for m in (online, whole)
        ]
        assert errors[0] < 1.03 * errors[1]

    def test_a_batch_may_miss_all_covariates(self):
        X = table()
        online = factor(2, **self.OPTIONS).partial_fit(X)
        batch = table(20, seed=1)
        batch[:, COVARIATES] = np.nan
        online.partial_fit(batch)
        np.testing.assert_allclose(
            online.means_[0, COVARIATES], np.nanmean(X[:, COVARIATES], axis=0)
        )
        assert np.isfinite(online.transform(X)[:, MODELED]).all()

    @COMPONENTS
    def test_a_column_of_a_later_batch(self, n_components):
        X = table(600)
        first = X[:200].copy()
        first[:, 3] = np.nan
        online = factor(n_components, **self.OPTIONS).partial_fit(first)
        before = online.means_[:, 3].copy()
        assert np.isfinite(before).all()
        for start in range(200, 600, 100):
            online.partial_fit(X[start : start + 100])
        p = online._model.parameters
        assert p.columns.known[3]
        np.testing.assert_array_equal(p.features.directions[:, 3], 0)
        later = table(300, seed=1)
        truth = later[:, 3].copy()
        later[:, 3] = np.nan
        seen = ~np.isnan(truth) & (np.isnan(later[:, MODELED]).sum(axis=1) < 5)
        completed = online.transform(later)[:, 3]
        correlation = np.corrcoef(completed[seen], truth[seen])[0, 1]
        assert correlation > 0.6


@pytest.mark.parametrize("n_components", [1, 2])
def test_tables_of_users_and_items_end_to_end(n_components):
    rng = np.random.default_rng(0)
    n_users, n_items = 120, 40
    age, drama = rng.uniform(20, 60, n_users), rng.random(n_items) < 0.5
    truth = 3 + np.outer((age - 40) / 20, np.where(drama, 1.0, -1.0))
    u, i = np.nonzero(rng.random(truth.shape) < 0.3)
    kept = (u > 0) & (i != 7)  # a user and an item without ratings
    u, i = u[kept], i[kept]
    ratings = np.clip(truth[u, i] + 0.3 * rng.standard_normal(len(u)), 1, 5)
    users = pd.DataFrame({"user": np.arange(n_users), "age": age})
    items = pd.DataFrame({"item": np.arange(n_items), "drama": drama})
    encoder = RatingsEncoder(
        user_features=users.iloc[::-1],
        item_features=items.sample(frac=1, random_state=0),
    )
    frame = pd.DataFrame({"user": u, "item": i, "rating": ratings})
    X, rows = encoder.fit_encode(frame)
    mixture = factor(
        n_components,
        covariates=encoder.covariates_,
        column_features=encoder.column_features_,
    ).fit(X)
    new, who = encoder.encode(users=[0])
    assert who.tolist() == [0]
    columns = np.asarray(encoder.items_)
    by_item = mixture.transform(new)[0, : len(columns)]
    assert np.corrcoef(by_item, truth[0, columns])[0, 1] > 0.8
    by_user = mixture.transform(X)[:, list(columns).index(7)]
    assert np.corrcoef(by_user, truth[rows, 7])[0, 1] > 0.8
    found, _ = mixture.recommend(X, n_items=60)
    assert found.max() < len(columns)
    lines = encoder.decode(rows[:1], found[:1, :3], np.zeros((1, 3)))
    assert set(lines["item"]) <= set(columns)
