# SPDX-License-Identifier: BSD-3-Clause
"""MixtureImputer: tables of any kind in, complete tables out."""

import pickle
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path

import narwhals.stable.v2 as nw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from sklearn_gmmcf import (
    MaskedGaussianMixture,
    MixtureImputer,
    UnknownLevelsWarning,
)
from sklearn_gmmcf.model_selection import pool
from tests.drawn import tables
from tests.optional import needs_callbacks, pd, pl
from tests.test_progress import Recorder

try:
    import pyarrow
except ImportError:  # it needs a later numpy than the oldest that is supported
    pyarrow = None


def gaussian(**options):
    options = {"covariance_type": "full", "covariance_precision_prior": 5.0} | options
    return MaskedGaussianMixture(**options)


def quick(**options):
    """An imputer of one member, for tests of what goes in and out."""
    options = {"calibrate": False, "random_state": 0} | options
    return MixtureImputer([("gaussian", gaussian())], **options)


def correlated(n=60, d=3, missing=0.2, seed=0):
    """A complete table, and the same with missing entries."""
    rng = np.random.default_rng(seed)
    X = 5 + rng.standard_normal((n, 1)) + 0.6 * rng.standard_normal((n, d))
    return X, np.where(rng.random((n, d)) < missing, np.nan, X)


def mixed(n=40, seed=0):
    """A pandas frame of all kinds of columns, as read_csv and parsers make them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "size": x,
            "rooms": np.rint(3 + x),
            "floors": pd.array(np.rint(5 + 2 * x).astype(int), dtype="Int64"),
            "city": np.where(x > 0.3, "Bern", "Rome"),
            "grade": pd.Categorical(
                np.array(list("abc"))[np.clip(np.rint(1 + x).astype(int), 0, 2)],
                categories=["c", "b", "a", "never"],
                ordered=True,
            ),
            "built": pd.Timestamp("2001-05-01") + pd.to_timedelta(np.rint(90 * x), "D"),
            "garden": pd.array(x > 0, dtype="boolean"),
        },
        index=pd.Index(rng.permutation(n) + 100, name="key"),
    )
    for name in frame:
        frame.loc[rng.random(n) < 0.2, name] = None
    frame.insert(2, "id", [f"id{i}" for i in range(n)])
    return frame


def make_frame(kind):
    frame = mixed()
    if kind == "pandas":
        return frame
    made = pl.from_pandas(frame)
    return made if kind == "polars" else made.to_arrow()


# These tests make frames of polars by pyarrow.
KINDS = ["pandas"] if pyarrow is None else ["pandas", "polars", "pyarrow"]
needs_pyarrow = pytest.mark.skipif(pyarrow is None, reason="needs pyarrow")
NUMBERS = ["size", "rooms", "floors", "built"]


def columns_of(table):
    frame = nw.from_native(table, eager_only=True)
    return {name: frame.get_column(name).to_list() for name in frame.columns}


def missing_in(values):
    return np.array([v is None or v is pd.NA or v is pd.NaT or v != v for v in values])


class TestFrames:
    @pytest.mark.parametrize("kind", KINDS)
    def test_observed_values_and_dtypes_stay(self, kind):
        frame = make_frame(kind)
        completed = quick().fit_transform(frame)
        assert type(completed) is type(frame)
        schemas = [nw.from_native(each).schema for each in (completed, frame)]
        assert schemas[0] == schemas[1]
        before, after = columns_of(frame), columns_of(completed)
        assert list(before) == list(after)
        for name, values in before.items():
            missing = missing_in(values)
            assert missing.any() == (name != "id")
            assert not missing_in(after[name]).any()
            kept = [v for v, m in zip(after[name], missing, strict=True) if not m]
            assert kept == [v for v, m in zip(values, missing, strict=True) if not m]
            if name not in ("size", "floors"):
                assert set(after[name]) <= set(values) | set(range(10)) | set(
                    pd.date_range("2000-01-01", "2003-01-01").to_pydatetime()
                )
        if kind == "pandas":
            pd.testing.assert_index_equal(completed.index, frame.index)
            assert (completed["grade"] != "never").all()
            assert (completed["rooms"] == completed["rooms"].round()).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_input_is_not_changed(self, kind):
        frame = make_frame(kind)
        before = frame.copy() if kind == "pandas" else columns_of(frame)
        imputer = quick(add_indicator=True).fit(frame)
        for method in (imputer.transform, imputer.predict_interval):
            method(frame)
        imputer.sample_completions(frame, 1, random_state=0)
        if kind == "pandas":
            pd.testing.assert_frame_equal(frame, before)
        else:
            assert str(columns_of(frame)) == str(before)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("keep", [False, True])
    def test_inverse_transform(self, kind, keep):
        frame = mixed()
        frame["empty"] = np.nan
        if kind != "pandas":
            frame = pl.from_pandas(frame)
            frame = frame if kind == "polars" else frame.to_arrow()
        imputer = quick(add_indicator=True, keep_empty_features=keep).fit(frame)
        completed = imputer.transform(frame)
        names = list(columns_of(completed))
        assert names == imputer.get_feature_names_out().tolist()
        assert ("empty" in names) == keep
        assert "missingindicator_empty" in names
        assert "missingindicator_id" not in names
        back = imputer.inverse_transform(completed)
        if kind == "pandas":
            # Objects may be missing as None or as NaN.
            for each in (back, frame):
                for name in each.columns[each.dtypes == "object"]:
                    each[name] = each[name].where(each[name].notna(), np.nan)
            pd.testing.assert_frame_equal(back, frame)
        else:
            assert str(columns_of(back)) == str(columns_of(frame))
            assert nw.from_native(back).schema == nw.from_native(frame).schema

    def test_columns_named_by_numbers(self):
        frame = mixed()[["size", "rooms"]].set_axis([7, 3], axis=1)
        frame[5] = np.nan
        imputer = quick(add_indicator=True).fit(frame)
        pd.testing.assert_frame_equal(
            imputer.inverse_transform(imputer.transform(frame)), frame
        )
        assert list(imputer.transform(frame).columns[:2]) == [7, 3]
        marked = frame[[7, 3]].fillna(-1)
        np.testing.assert_allclose(
            quick(missing_values=-1).fit_transform(marked),
            quick().fit_transform(frame[[7, 3]]),
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_unset_output_gives_what_came(self, kind):
        frame = make_frame(kind)
        imputer = quick().fit(make_frame("pandas"))
        assert type(imputer.transform(frame)) is type(frame)
        lower, upper = imputer.predict_interval(frame)
        assert type(lower) is type(upper) is type(frame)
        assert list(columns_of(lower)) == NUMBERS

    @needs_pyarrow
    @pytest.mark.parametrize("asked", ["pandas", "polars", "default"])
    @pytest.mark.parametrize("kind", [*KINDS, "array"])
    def test_set_output(self, asked, kind):
        table = correlated()[1].astype(np.float32)
        if kind != "array":
            table = make_frame(kind)
        imputer = quick(add_indicator=True).fit(table)

        def ask():
            return [
                *imputer.complete(table, return_std=True),
                *imputer.predict_interval(table),
            ]

        plain = ask()
        imputer.set_output(transform=asked)
        types = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "default": np.ndarray}
        for found, expected in zip(ask(), plain, strict=True):
            assert type(found) is types[asked]
            assert found.shape == expected.shape
            if asked != "default" and kind == "array":
                assert {str(t).lower() for t in found.dtypes[:3]} <= {
                    "float32",
                    "float64",
                }
                np.testing.assert_array_equal(found.to_numpy(), expected)
            elif asked == "default" and kind == "array":
                np.testing.assert_array_equal(found, expected)
            else:
                columns = columns_of(expected).values()
                got = found.T if asked == "default" else columns_of(found).values()
                for values, others in zip(got, columns, strict=True):
                    assert list(values) == list(others)
        if asked != "default":
            names = imputer.get_feature_names_out().tolist()
            completed = imputer.transform(table)
            assert list(completed.columns) == names
            if kind == "array":
                assert str(completed["x0"].dtype).lower() == "float32"

    @needs_pyarrow
    def test_set_output_of_draws(self):
        frame = mixed()
        imputer = quick().fit(frame).set_output(transform="polars")
        draws = imputer.sample_completions(frame, 1, random_state=0)
        assert isinstance(draws[0], pl.DataFrame)

    def test_configuration_of_the_output(self):
        _, X = correlated()
        imputer = quick().fit(X)
        with config_context(transform_output="pandas"):
            assert isinstance(imputer.transform(X), pd.DataFrame)
            members = [("a", make_pipeline(StandardScaler(), gaussian()))]
            piped = MixtureImputer(members, random_state=0)
            assert isinstance(piped.fit_transform(X), pd.DataFrame)
        with config_context(transform_output="polars"):
            assert isinstance(piped.fit_transform(X), pl.DataFrame)
        with config_context(transform_output="pandas"):
            draws = imputer.sample_completions(X, 1, random_state=0)
            assert isinstance(draws[0], pd.DataFrame)
            kept = imputer.set_output(transform="default").transform(X)
            assert isinstance(kept, np.ndarray)
        # Numbers alone make an array of numbers.
        frame = mixed()[["size", "floors"]]
        array = quick().set_output(transform="default").fit_transform(frame)
        assert array.dtype == np.float64
        frame["garden"] = mixed()["garden"]
        imputer = quick(add_indicator=True).set_output(transform="default")
        assert imputer.fit_transform(frame).dtype == np.float64

    def test_rounding(self):
        frame = mixed()[["rooms", "floors", "size"]]
        rounded = quick().fit_transform(frame)
        plain = quick(round=False).fit_transform(frame)
        for name in ("rooms", "floors"):
            missing = frame[name].isna()
            values = plain.loc[missing, name].astype(float)
            assert (values % 1 != 0).any()
            expected = values.round().astype(rounded[name].dtype)
            pd.testing.assert_series_equal(rounded.loc[missing, name], expected)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_marker_of_text(self, kind):
        frame = mixed()[["size", "city", "grade"]]
        marked = frame.copy()
        marked["city"] = marked["city"].fillna("?")
        marked["grade"] = marked["grade"].cat.add_categories("?").fillna("?")
        if kind != "pandas":
            frame, marked = pl.from_pandas(frame), pl.from_pandas(marked)
        if kind == "pyarrow":
            frame, marked = frame.to_arrow(), marked.to_arrow()
        expected = columns_of(quick().fit_transform(frame))
        assert columns_of(quick(missing_values="?").fit_transform(marked)) == expected

    def test_a_marker_of_integers_keeps_their_dtype(self):
        big = 2**53 + 1  # not a float
        frame = pd.DataFrame(
            {
                "a": np.array([1, 2, -1, 4, 5, 6], dtype=np.int16),
                "b": np.array([big, big + 2, 1, -1, 3, 4]),
                "c": np.array([1, 1, 0, 0, 1, 1], dtype=np.uint8),
            }
        )
        completed = quick(missing_values=-1).fit_transform(frame)
        pd.testing.assert_series_equal(completed.dtypes, frame.dtypes)
        assert completed["b"].tolist()[:3] == [big, big + 2, 1]
        plain = quick(missing_values=-1, round=False).fit_transform(frame)
        assert plain.dtypes.tolist() == [np.float64, np.float64, np.uint8]
        lower, _ = quick(missing_values=-1).fit(frame).predict_interval(frame)
        pd.testing.assert_series_equal(lower.dtypes, frame.dtypes)

    def test_unknown_levels(self):
        frame = mixed()
        imputer = quick().fit(frame)
        new = frame[:4].assign(city=["Bern", "Oslo", "Rome", "Oslo"])
        with pytest.warns(UnknownLevelsWarning, match=r"'city' \('Oslo'\)"):
            completed = imputer.transform(new)
        assert completed["city"].tolist() == new["city"].tolist()
        with pytest.raises(ValueError, match=r"'city'.*handle_unknown='missing'"):
            quick(handle_unknown="error").fit(frame).transform(new)

    @pytest.mark.parametrize("kind", KINDS)
    def test_rows_whose_columns_are_all_missing(self, kind):
        frame = make_frame(kind)
        imputer = quick().fit(frame)
        pandas = mixed()
        expected = imputer.transform(frame)
        for name in set(pandas) - {"id"}:
            # As all rows with this entry missing, but for the rest of the table.
            rows = np.flatnonzero(pandas[name].isna())
            part = nw.from_native(frame, eager_only=True)[rows.tolist()].to_native()
            found = columns_of(imputer.transform(part))
            values = np.array(columns_of(expected)[name], dtype=object)[rows]
            if name == "size":
                np.testing.assert_allclose(found[name], values.astype(float))
            else:
                assert list(found[name]) == values.tolist()

    def test_dates_in_objects_and_arrays(self):
        days = np.arange("2020-01-01", "2020-03-01", dtype="M8[D]")
        table = np.column_stack([days, days[::-1]])
        table[::7, 1] = np.datetime64("NaT")
        completed = quick().fit_transform(table)
        assert completed.dtype == table.dtype
        np.testing.assert_array_equal(completed[:, 0], days)
        assert np.abs(completed[:, 1] - days[::-1]).max() < np.timedelta64(3, "D")
        objects = table.astype(object)
        np.testing.assert_array_equal(quick().fit_transform(objects), completed)
        assert isinstance(quick().fit_transform(objects)[0, 1], date)
        assert isinstance(
            quick().fit_transform(table.astype("M8[s]").astype(object))[0, 1], datetime
        )


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_numbers(self, dtype):
        X = correlated()[1].astype(dtype)
        before, missing = X.copy(), np.isnan(X)
        completed = quick().fit_transform(X)
        assert completed.dtype == dtype
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(completed[~missing], X[~missing])
        assert np.isfinite(completed).all()

    def test_it_is_the_completion_of_its_member(self):
        _, X = correlated()
        center, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
        Z = (X - center) / scale
        means, std = gaussian().fit(Z).complete(Z, return_std=True)
        completed, deviations = quick(bounds=None).fit(X).complete(X, return_std=True)
        np.testing.assert_allclose(completed, means * scale + center)
        np.testing.assert_allclose(deviations, std * scale, atol=1e-12)
        again = quick(bounds=None).fit(X).transform(X)
        np.testing.assert_array_equal(again, completed)

    def test_other_containers_of_numbers(self):
        _, X = correlated()
        expected = quick().fit_transform(X)
        objects = X.astype(object)
        for null in (np.nan, None, pd.NA):
            objects[np.isnan(X)] = null
            for table in (objects, objects.tolist()):
                found = quick().fit_transform(table)
                assert found.dtype == np.float64
                np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            quick(missing_values=-1).fit_transform(np.where(np.isnan(X), -1, X)),
            expected,
        )

    @pytest.mark.parametrize("marker", [None, np.nan, "?"])
    def test_objects(self, marker):
        frame = mixed()[["size", "rooms", "city"]]
        table = frame.astype(object).where(frame.notna(), marker).to_numpy()
        completed = quick(missing_values=marker).fit_transform(table)
        assert completed.dtype == object
        expected = quick().fit_transform(frame).to_numpy()
        np.testing.assert_array_equal(completed, expected)

    def test_bools_among_objects(self):
        table = np.array([[True, 1.5], [None, 2.5], [False, 3.5]] * 5, dtype=object)
        completed = quick().fit_transform(table)
        assert {type(value) for value in completed[:, 0]} == {bool}

    @pytest.mark.parametrize("marker", [np.nan, -1, None])
    @pytest.mark.parametrize("keep", [False, True])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_inverse_transform(self, marker, keep, dtype):
        X = correlated()[1].astype(dtype)
        X[:, 1] = np.nan
        if marker == -1:
            X[np.isnan(X)] = -1
        imputer = quick(
            missing_values=marker, add_indicator=True, keep_empty_features=keep
        )
        completed = imputer.fit_transform(X)
        assert completed.shape[1] == 2 + keep + 3
        assert completed.dtype == dtype
        if keep:
            assert not completed[:, 1].any()
        back = imputer.inverse_transform(completed)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, X)

    def test_bounds(self):
        _, X = correlated()
        rows = np.array([[99.0, np.nan, np.nan], [-99.0, np.nan, 5.0]])
        free = quick(bounds=None).fit(X).transform(rows)
        low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
        assert free[0, 1] > high[1]
        assert free[1, 1] < low[1]
        expected = np.where(np.isnan(rows), np.clip(free, low, high), rows)
        np.testing.assert_array_equal(quick().fit(X).transform(rows), expected)
        bounded = quick(bounds={1: (None, 6.0)}).fit(X)
        expected = free.copy()
        expected[0, 1] = 6.0
        np.testing.assert_array_equal(bounded.transform(rows), expected)
        _, upper = bounded.predict_interval(rows)
        assert upper[0, 1] == 6.0

    def test_feature_names(self):
        _, X = correlated()
        X[:, 1] = np.nan
        imputer = quick(add_indicator=True).fit(X)
        expected = ["x0", "x2", *[f"missingindicator_x{j}" for j in range(3)]]
        assert imputer.get_feature_names_out().tolist() == expected
        expected = ["a", "c", *[f"missingindicator_{j}" for j in "abc"]]
        assert imputer.get_feature_names_out(list("abc")).tolist() == expected


class TestUncertainty:
    def test_intervals_hold_their_share(self):
        hits = []
        for seed in range(3):
            X, Y = correlated(n=300, missing=0.2, seed=seed)
            imputer = quick(calibrate=True, bounds=None, random_state=seed).fit(Y)
            lower, upper = imputer.predict_interval(Y, coverage=0.8)
            missing = np.isnan(Y)
            hits.append(((lower <= X) & (upper >= X))[missing])
            completed = imputer.transform(Y)
            assert (lower <= completed).all()
            assert (completed <= upper).all()
            np.testing.assert_array_equal(lower[~missing], Y[~missing])
            np.testing.assert_array_equal(upper[~missing], Y[~missing])
        hits = np.concatenate(hits)
        low, high = stats.binom(len(hits), 0.8).interval(0.999)
        assert low <= hits.sum() <= high

    def test_intervals_by_the_deviations(self):
        _, X = correlated()
        imputer = quick(bounds=None).fit(X)
        completed, std = imputer.complete(X, return_std=True)
        lower, upper = imputer.predict_interval(X, coverage=0.95)
        reach = stats.norm.interval(0.95)[1] * std
        np.testing.assert_allclose(lower, completed - reach)
        np.testing.assert_allclose(upper, completed + reach)

    def test_whole_numbers_of_an_array_are_not_rounded(self):
        _, X = correlated()
        imputer = quick(bounds=None).fit(np.rint(X))
        lower, _ = imputer.predict_interval(np.rint(X))
        assert (lower[np.isnan(X)] % 1 != 0).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_intervals_of_frames(self, kind):
        frame = make_frame(kind)
        imputer = quick().fit(frame)
        completed, std = imputer.complete(frame, return_std=True)
        lower, upper = (columns_of(end) for end in imputer.predict_interval(frame))
        assert list(lower) == list(columns_of(std)) == NUMBERS
        values, before = columns_of(completed), columns_of(frame)
        for name in NUMBERS:
            missing = missing_in(before[name])
            deviations = np.array(columns_of(std)[name])
            assert (deviations[missing] > 0).all()
            assert not deviations[~missing].any()
            ends = [np.array(each[name]) for each in (lower, values, upper)]
            assert (ends[0] <= ends[1]).all()
            assert (ends[1] <= ends[2]).all()
            if name == "size":
                assert (ends[0][missing] < ends[2][missing]).all()
            assert (ends[0] == ends[2])[~missing].all()

    def test_intervals_of_integers_end_at_the_integers_within(self):
        frame = mixed()[["size", "rooms", "floors"]]
        imputer = quick().fit(frame)
        completed = imputer.transform(frame)
        rounded = imputer.predict_interval(frame)
        plain = quick(round=False).fit(frame).predict_interval(frame)
        for name in ("rooms", "floors"):
            low, high, low_plain, high_plain, middle = (
                np.array(each[name], dtype=float)
                for each in (*rounded, *plain, completed)
            )
            for row in range(len(frame)):
                inside = np.arange(np.ceil(low_plain[row]), high_plain[row] + 1e-9)
                expected = {middle[row], *inside}
                assert {low[row], high[row]} == {min(expected), max(expected)}

    def test_a_table_without_numbers_has_no_intervals(self):
        frame = mixed()[["city", "garden"]]
        for table in (frame, frame.astype(object).to_numpy()):
            imputer = quick().fit(table)
            lower, upper = imputer.predict_interval(table)
            std = imputer.complete(table, return_std=True)[1]
            assert lower.shape == upper.shape == std.shape == (40, 0)

    def test_probabilities(self):
        frame = mixed()
        imputer = quick().fit(frame)
        probabilities = imputer.complete_proba(frame)
        assert list(probabilities) == ["city", "grade", "garden"]
        completed = imputer.transform(frame)
        for name, values in probabilities.items():
            np.testing.assert_allclose(values.sum(axis=1), 1)
            assert (values >= 0).all()
            levels = imputer.encoder_.categories_[name]
            found = levels[values.argmax(axis=1)]
            assert found.tolist() == completed[name].tolist()
            observed = frame[name].notna().to_numpy()
            np.testing.assert_allclose(values[observed].max(axis=1), 1)

    def test_expected_errors_are_the_ones_of_fresh_entries(self):
        X, Y = correlated(n=600, d=4, seed=1)
        scales = np.array([1, 100, 0.01, 1])
        imputer = quick(calibrate=True).fit(Y * scales)
        completed = imputer.transform(Y * scales)
        errors = np.where(np.isnan(Y), completed - X * scales, np.nan)
        actual = np.sqrt(np.nanmean(errors**2, axis=0))
        np.testing.assert_allclose(imputer.expected_error_, actual, rtol=0.3)

    def test_expected_errors_of_frames(self):
        frame = mixed(200)
        imputer = quick(calibrate=True).fit(frame)
        errors = dict(zip(frame, imputer.expected_error_, strict=True))
        assert np.isnan(errors.pop("id"))
        assert 0 <= errors["city"] < 0.5
        assert 1 < errors["built"] < 100  # days
        imputer.set_params(calibrate=False).fit(frame)
        assert not hasattr(imputer, "expected_error_")

    def test_draws_for_inference(self):
        # The mean of a column that is missing where another one is large.
        rng = np.random.default_rng(0)
        X = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=400)
        X[X[:, 0] > 0.5, 1] = np.nan
        draws = quick().fit(X).sample_completions(X, 10, random_state=0)
        assert len(draws) == 10
        means = [draw[:, 1].mean() for draw in draws]
        pooled = pool(means, [draw[:, 1].var() / 400 for draw in draws])
        assert abs(pooled.estimate) < 4 * pooled.std_error < 0.5
        assert abs(np.nanmean(X[:, 1])) > 0.2
        again = quick().fit(X).sample_completions(X, 10, random_state=0)
        np.testing.assert_array_equal(again, draws)
        assert not np.array_equal(draws[0], draws[1])

    def test_draws_of_frames(self):
        frame = mixed(120)
        imputer = quick(add_indicator=True).fit(frame)
        part = frame[frame["city"] != "Rome"]
        for table, options in [
            (frame, {}),
            (frame, {"donors": 5}),
            (part, {"bounds": "observed"}),
        ]:
            for draw in imputer.sample_completions(table, 2, random_state=0, **options):
                assert list(draw) == imputer.get_feature_names_out().tolist()
                assert not draw.isna().any(axis=None)
                for name in frame:
                    missing = table[name].isna()
                    observed = table.loc[~missing, name]
                    assert draw[name].dtype == frame[name].dtype
                    assert (draw.loc[~missing, name] == observed).all()
                    if f"missingindicator_{name}" in draw:
                        marks = draw[f"missingindicator_{name}"]
                        assert (marks == missing).all()
                    if "donors" in options or name in ("city", "grade"):
                        assert draw[name].isin(observed).all()
                    if "bounds" in options and name in NUMBERS:
                        assert draw[name].between(observed.min(), observed.max()).all()
        with pytest.raises(ValueError, match="n_completions"):
            imputer.sample_completions(frame, 0)

    def test_donors_are_observed_values(self):
        _, X = correlated()
        for draw in quick().fit(X).sample_completions(X, 3, donors=5, random_state=0):
            for values, column in zip(draw.T, X.T, strict=True):
                assert np.isin(values, column).all()

    def test_draws_need_observed_values(self):
        frame = mixed()
        imputer = quick().fit(frame)
        for name in ("size", "city"):
            message = f"X has no observed value in column '{name}', so that none"
            with pytest.raises(ValueError, match=message):
                imputer.sample_completions(frame.assign(**{name: None}), 1)
        # Columns that are empty in fit, too, are kept as zeros.
        frame = frame.assign(empty=np.nan)
        imputer = quick(keep_empty_features=True).fit(frame)
        assert (imputer.sample_completions(frame, 1)[0]["empty"] == 0).all()


class TestFitting:
    def test_all_members_are_fitted_and_weighed(self):
        frame = mixed()
        imputer = MixtureImputer(random_state=0).fit(frame)
        names = ["gaussian", "mixture", "scores", "t"]
        assert [name for name, _ in imputer.members_] == names
        assert imputer.member_weights_.shape == (4, 4 + 2 + 3 + 1)
        np.testing.assert_allclose(imputer.member_weights_.sum(axis=0), 1)
        again = MixtureImputer(random_state=0).fit(frame)
        completed = imputer.transform(frame)
        pd.testing.assert_frame_equal(again.transform(frame), completed)
        restored = pickle.loads(pickle.dumps(imputer))
        pd.testing.assert_frame_equal(restored.transform(frame), completed)
        for first, second in zip(
            restored.predict_interval(frame),
            imputer.predict_interval(frame),
            strict=True,
        ):
            pd.testing.assert_frame_equal(first, second)

    @pytest.mark.slow
    def test_processes_change_nothing(self):
        _, X = correlated()
        imputer = MixtureImputer(random_state=0).fit(X)
        parallel = clone(imputer).set_params(n_jobs=2).fit(X)
        np.testing.assert_array_equal(parallel.transform(X), imputer.transform(X))
        np.testing.assert_array_equal(parallel.member_weights_, imputer.member_weights_)

    def test_transformations_without_an_inverse(self):
        """Yeo-Johnson has none beyond a bound, which predictions may pass."""
        rng = np.random.default_rng(0)
        x = rng.exponential(size=(60, 1)) ** 3
        X = np.hstack([x, x * (1 + 0.1 * rng.random((60, 1)))])
        member = make_pipeline(PowerTransformer(), gaussian())
        imputer = MixtureImputer([("power", member)], bounds=None, calibrate=False)
        rows = np.array([[1e9, np.nan], [np.nan, -1e9], [1.0, np.nan]])
        completed, std = imputer.fit(X).complete(rows, return_std=True)
        assert np.isfinite(completed).all()
        assert np.isfinite(std).all()
        assert completed[2, 1] == pytest.approx(1.05, abs=0.5)

    def test_members_of_the_user(self):
        X, Y = correlated()
        members = [
            ("power", make_pipeline(PowerTransformer(), gaussian())),
            ("diag", MaskedGaussianMixture(2, covariance_type="diag", random_state=0)),
        ]
        imputer = MixtureImputer(members, random_state=0).fit(np.exp(Y / 4))
        assert not hasattr(members[1][1], "weights_")
        completed = imputer.transform(np.exp(Y / 4))
        missing = np.isnan(Y)
        means = np.nanmean(np.exp(Y / 4), axis=0) * np.ones_like(Y)
        errors = [
            np.sum((each - np.exp(X / 4))[missing] ** 2) for each in (completed, means)
        ]
        assert errors[0] < 0.7 * errors[1]

    @pytest.mark.parametrize("calibrate", [False, True])
    def test_rows_of_weight_0_are_left_out(self, calibrate):
        _, X = correlated()
        X[:5, :] *= 100
        weights = np.repeat([0.0, 1.0], [5, len(X) - 5])
        weighted = quick(calibrate=calibrate).fit(X, sample_weight=weights)
        expected = quick(calibrate=calibrate).fit(X[5:], sample_weight=weights[5:])
        np.testing.assert_array_equal(weighted.transform(X), expected.transform(X))
        frame = mixed()
        frame["city"] = frame["city"].fillna("Rome")
        frame.loc[frame.index[0], "city"] = "Oslo"
        weights = np.repeat([0.0, 1.0], [1, len(frame) - 1])
        imputer = quick().fit(frame, sample_weight=weights)
        assert imputer.encoder_.categories_["city"].tolist() == ["Bern", "Rome"]

    def test_integer_weights_are_repetition(self):
        _, X = correlated()
        weights = np.random.default_rng(0).integers(0, 4, len(X))
        weighted = quick().fit(X, sample_weight=weights)
        repeated = quick().fit(X.repeat(weights, axis=0))
        np.testing.assert_allclose(weighted.transform(X), repeated.transform(X))

    def test_routing_of_weights(self):
        _, X = correlated()
        y, weights = np.arange(60.0), np.repeat([0.0, 1.0], [20, 40])
        with config_context(enable_metadata_routing=True):
            member = make_pipeline(StandardScaler(), gaussian())
            options = {"calibrate": False, "random_state": 0}
            imputer = MixtureImputer([("piped", member)], **options)
            imputer.set_fit_request(sample_weight=True)
            ridge = Ridge().set_fit_request(sample_weight=False)
            pipe = make_pipeline(imputer, ridge).fit(X, y, sample_weight=weights)
        expected = quick().fit(X[20:]).transform(X)
        np.testing.assert_allclose(pipe[0].transform(X), expected)

    def test_pipelines_and_searches(self):
        frame = mixed(80)[["size", "rooms", "floors"]]
        y = np.arange(80.0)
        pipe = make_pipeline(quick(), StandardScaler(), PCA(2), Ridge())
        search = GridSearchCV(
            pipe, {"mixtureimputer__bounds": ["observed", None]}, cv=3
        )
        assert np.isfinite(search.fit(frame, y).cv_results_["mean_test_score"]).all()
        assert search.predict(frame).shape == (80,)

    @needs_callbacks
    @pytest.mark.parametrize("calibrate", [False, True])
    def test_callbacks(self, calibrate):
        _, X = correlated()
        recorder = Recorder()
        quick(calibrate=calibrate).set_callbacks(recorder).fit(X)
        assert recorder.calls[:2] == ["setup", ("begin", "fit")]
        assert recorder.calls[-2:] == [("end", "fit"), "teardown"]
        assert recorder.calls.count(("end", "run")) == 1 + calibrate

    @needs_callbacks
    def test_an_error_or_an_interrupt_leaves_the_old_fit_or_none(self):
        _, X = correlated()
        imputer = quick().set_callbacks(Recorder(fail_at=1))
        with pytest.raises(KeyboardInterrupt):
            imputer.fit(X)
        assert not hasattr(imputer, "encoder_")
        expected = imputer.set_callbacks().fit(X).transform(X)
        imputer.set_callbacks(Recorder(fail_at=1))
        with pytest.raises(KeyboardInterrupt):
            imputer.fit(X[:, :2])
        with pytest.raises(ValueError, match="inf"):
            imputer.set_callbacks().fit(mixed().assign(size=np.inf))
        np.testing.assert_array_equal(imputer.transform(X), expected)

    @pytest.mark.parametrize("n_rows", [2, 3, 5])
    def test_few_rows(self, n_rows):
        _, X = correlated(n_rows, seed=3)
        X[0, 0] = 1.0
        completed = MixtureImputer(random_state=0, keep_empty_features=True)
        assert np.isfinite(completed.fit_transform(X)).all()

    def test_degenerate_tables(self):
        X = np.array([[1.0, 2.0], [1.0, np.nan], [np.nan, np.nan], [1.0, 4.0]] * 4)
        imputer = MixtureImputer(random_state=0).fit(X)
        completed, std = imputer.complete(X, return_std=True)
        np.testing.assert_allclose(completed[:, 0], 1)
        np.testing.assert_allclose(completed[2::4, 1], 3, atol=0.4)
        assert np.isfinite(std).all()
        column = correlated()[1][:, :1]
        completed = MixtureImputer(random_state=0).fit_transform(column)
        missing = np.isnan(column)
        assert len(np.unique(completed[missing])) == 1
        assert completed[missing][0] == pytest.approx(np.nanmean(column), abs=0.3)

    @pytest.mark.slow
    def test_wide_tables_take_common_factors(self):
        X, Y = correlated(120, 150)
        imputer = MixtureImputer(random_state=0).fit(Y)
        names = [name for name, _ in imputer.members_]
        assert names == ["factor", "factor_components", "factor_scores"]
        errors = (imputer.transform(Y) - X)[np.isnan(Y)]
        assert np.sqrt(np.mean(errors**2)) < 0.75


FRAME = mixed()
REFUSED = [
    (quick(), sparse.csr_array(np.eye(3)), TypeError, r"pass X\.toarray\(\)"),
    (quick(), pl.LazyFrame({"a": [1.0]}), TypeError, "LazyFrame. Collect or compute"),
    (
        quick(),
        FRAME.assign(id=FRAME["id"].mask(FRAME["size"].isna())),
        ValueError,
        "'id' of X has .* levels .*Drop it, or complete it",
    ),
    (
        quick(max_categories=1),
        FRAME,
        ValueError,
        "'city' of X has 2 levels.*max_categories=2",
    ),
    (quick(), FRAME.assign(size=np.inf), ValueError, "'size' of X is inf in row 0"),
    (quick(), np.array([[np.inf, 1], [2, 3]]), ValueError, "infinity"),
    (
        quick(),
        FRAME.assign(size=FRAME["size"] * 1e150),
        ValueError,
        "'size' of X is .*Scale the column",
    ),
    (quick(), np.full((3, 2), np.nan), ValueError, "all of its 3 x 2 entries"),
    (quick(), FRAME[:1], ValueError, "minimum of 2 is required by MixtureImputer"),
    (quick(), np.ones((1, 2)), ValueError, "minimum of 2 is required by MixtureImp"),
    (quick(), np.arange(3.0), ValueError, "Reshape your data"),
    (quick(bounds={"q": (0, 1)}), FRAME, ValueError, "'q', which X has not"),
    (quick(bounds={"city": (0, 1)}), FRAME, ValueError, "'city'.*Leave it out"),
    (quick(bounds={"size": (1, 0)}), FRAME, ValueError, "low <= high"),
    (quick(missing_values="?"), np.eye(3), ValueError, "Pass the number that marks"),
    (quick(missing_values=-1), np.full((2, 2), np.nan), ValueError, "contains NaN"),
    (MixtureImputer([]), FRAME, ValueError, "at least one"),
    (MixtureImputer([gaussian()]), FRAME, ValueError, r"list of \(name, estimator\)"),
    (MixtureImputer([("a", Ridge())]), FRAME, ValueError, "'a'.*but got Ridge"),
    (
        MixtureImputer([("a", make_pipeline(gaussian(), Ridge()))]),
        FRAME,
        ValueError,
        "'a'.*ends in one, but got Pipeline",
    ),
    (MixtureImputer([("a", gaussian())] * 2), FRAME, ValueError, "should differ"),
    (quick(bounds="none"), FRAME, ValueError, "bounds"),
]


@pytest.mark.parametrize(("imputer", "X", "error", "message"), REFUSED)
def test_refused(imputer, X, error, message):
    with pytest.raises(error, match=message):
        imputer.fit(X)


def test_refused_dask():
    array = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match=r"X\.map_blocks\(imputer\.transform"):
        quick().fit(array.ones((4, 2)))


def test_refused_after_fit():
    imputer = quick().fit(FRAME)
    with pytest.raises(ValueError, match=r"needs the columns.*add_indicator=True"):
        imputer.inverse_transform(FRAME)
    with pytest.raises(ValueError, match="The feature names should match"):
        imputer.transform(FRAME[FRAME.columns[::-1]])
    with pytest.raises(ValueError, match="'size' of X has 'tall', of kind 'text'"):
        imputer.transform(FRAME.assign(size="tall"))
    with pytest.raises(ValueError, match="'id' of X passes through"):
        imputer.transform(FRAME.assign(id=None))
    with pytest.raises(ValueError, match="coverage"):
        imputer.predict_interval(FRAME, coverage=1.0)
    with pytest.raises(ValueError, match="the 15 columns that transform returns"):
        quick(add_indicator=True).fit(FRAME).inverse_transform(FRAME)


@settings(max_examples=25)
@given(tables(min_rows=3, max_columns=3), st.data())
def test_no_entry_is_left_and_observed_ones_stay(X, data):
    """A mask, then values, then the kind of each column."""
    kinds = data.draw(
        st.lists(
            st.sampled_from(["number", "integer", "category", "bool"]),
            min_size=X.shape[1],
            max_size=X.shape[1],
        )
    )
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    makers = {
        "integer": lambda column: column.round().astype("Int64"),
        "category": lambda column: (
            (column > 0)
            .map({True: "u", False: "v"})
            .mask(column.isna())
            .astype("category")
        ),
        "bool": lambda column: (column > 0).astype("boolean").mask(column.isna()),
    }
    for name, kind in zip(frame, kinds, strict=True):
        if kind in makers:
            frame[name] = makers[kind](frame[name])
    completed = quick().fit_transform(frame)
    assert not completed.isna().any(axis=None)
    pd.testing.assert_series_equal(completed.dtypes, frame.dtypes)
    for name, kind in zip(frame, kinds, strict=True):
        observed = frame[name].dropna()
        pd.testing.assert_series_equal(completed.loc[observed.index, name], observed)
        if kind in ("number", "integer"):
            assert completed[name].between(observed.min(), observed.max()).all()
        else:
            assert completed[name].isin([*observed, True, False]).all()


def load_theirs():
    """scikit-learn's tests of imputers of dense tables, with ours in their place."""
    source = Path(find_spec("sklearn.impute.tests.test_common").origin).read_text()
    given = "[IterativeImputer(tol=0.1), KNNImputer(), SimpleImputer()]"
    assert given in source
    namespace = {"MixtureImputer": MixtureImputer, "__name__": __name__}
    made = source.replace(given, "[MixtureImputer(random_state=0)]")
    exec(compile(made, "sklearn.impute.tests.test_common", "exec"), namespace)
    tests = {
        name: value
        for name, value in namespace.items()
        if name.startswith("test_") and not name.endswith("_sparse")
    }
    name = "test_imputers_pandas_na_integer_array_support"
    reason = "whole numbers of a frame of Int16 are completed by whole numbers"
    tests[name] = pytest.mark.xfail(reason=reason, raises=TypeError)(tests[name])
    assert len(tests) >= 6
    return {name.replace("test_", "test_theirs_", 1): t for name, t in tests.items()}


globals().update(load_theirs())


class TestHostileTables:
    def test_lists_of_text_and_numbers(self):
        rows = [["a", 1.5], ["b", np.nan], ["a", 2.5], ["b", 3.0]]
        completed = quick().fit_transform(rows)
        assert completed[:, 0].tolist() == ["a", "b", "a", "b"]
        assert 1.5 <= completed[1, 1] <= 3.0
        assert completed[2, 1] == 2.5

    def test_markers_in_columns_of_objects(self):
        column = np.array([1, -999, None, 4] * 5, dtype=object)
        frame = pd.DataFrame({"a": column, "b": np.arange(20.0)})
        completed = quick(missing_values=-999).fit_transform(frame)["a"]
        assert completed.astype(float).between(1, 4).all()
        assert completed[::4].eq(1).all()

    def test_equal_names_are_refused(self):
        frame = pd.DataFrame(np.eye(4), columns=["a", "b", "a", "c"])
        with pytest.raises(ValueError, match="X has 2 columns with the name 'a'"):
            quick().fit(frame)
        frame = pd.DataFrame({"a": [1.5, np.nan, 2], "missingindicator_a": [1, 2, 3.5]})
        with pytest.raises(ValueError, match=r"'missingindicator_a'.*Rename it"):
            quick(add_indicator=True).fit(frame)
        assert not quick().fit_transform(frame).isna().any(axis=None)

    @needs_pyarrow
    @pytest.mark.parametrize("convert", [lambda frame: frame, pl.from_pandas])
    def test_no_rows(self, convert):
        frame = convert(mixed())
        imputer = quick().fit(frame)
        shape = rf"\(0, {frame.shape[1]}\)"
        with pytest.raises(ValueError, match=rf"0 sample\(s\) \(shape={shape}"):
            imputer.transform(frame[:0])

    @pytest.mark.parametrize("unit", ["D", "ns"])
    def test_indicator_of_an_array_of_dates(self, unit):
        days = [["2020-01-01", "NaT"], ["2020-02-01", "2021-02-01"]]
        X = np.array([*days, ["2020-03-01", "2021-02-03"]], dtype=f"M8[{unit}]")
        imputer = quick(add_indicator=True)
        completed = imputer.fit_transform(X)
        assert completed[:, 2].tolist() == [True, False, False]
        assert isinstance(completed[0, 0], date)
        restored = imputer.inverse_transform(completed)
        np.testing.assert_array_equal(
            pd.isna(restored), [[False, True], [False, False], [False, False]]
        )
        # Without a missing entry nothing is appended.
        completed = imputer.fit_transform(X[1:])
        assert completed.dtype == X.dtype
        np.testing.assert_array_equal(imputer.inverse_transform(completed), X[1:])

    def test_parameters_of_members(self):
        members = [("one", gaussian()), ("two", gaussian(n_components=2))]
        imputer = MixtureImputer(members, calibrate=False, random_state=0)
        assert imputer.get_params()["two__n_components"] == 2
        assert "two" not in imputer.get_params(deep=False)
        imputer.set_params(two__n_components=3, one=gaussian(n_components=4))
        assert imputer.members[1][1].n_components == 3
        assert imputer.members[0][1].n_components == 4
        assert MixtureImputer().get_params()["members"] == "auto"
        _, X = correlated()
        search = GridSearchCV(
            make_pipeline(imputer, Ridge()),
            {"mixtureimputer__one__n_components": [1, 2]},
            cv=2,
            error_score="raise",
        ).fit(X, np.nan_to_num(X).sum(axis=1))
        best = search.best_params_["mixtureimputer__one__n_components"]
        steps = search.best_estimator_[0].members_
        assert steps[0][1].n_components == best
        for name in ("a__b", "round"):
            with pytest.raises(ValueError, match=name):
                MixtureImputer([(name, gaussian())]).fit(X)
