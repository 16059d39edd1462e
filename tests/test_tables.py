# SPDX-License-Identifier: BSD-3-Clause
"""TableEncoder: tables of any kinds of column to matrices, and back as they were."""

import copy
import io
import pickle
from datetime import datetime, timedelta
from decimal import Decimal

import narwhals.stable.v2 as nw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf import (
    DataWarning,
    MaskedGaussianMixture,
    UnknownLevelsWarning,
)
from sklearn_gmmcf.tables import TableEncoder
from tests.optional import import_optional, pd, pl
from tests.test_estimator_checks import CALLABLE_CHECKS

assert_polars_equal = import_optional("polars.testing").assert_frame_equal
try:
    import pyarrow as pa
except ImportError:  # it needs a later numpy than the oldest that is supported
    pa = None
needs_pyarrow = pytest.mark.skipif(pa is None, reason="needs pyarrow")

N = 8
INDEX = pd.Index([5, 3, 8, 1, 9, 2, 7, 4], name="patient")
INTEGERS = [3, 1, 4, 1, 5, 9, 2, 6]
NUMBERS = [0.5, 1.25, 3.0, -2.0, 1e-3, 7.1, 8.0, 1e5]
BOOLS = [True, False, True, True, False, False, True, True]
TEXT = ["a", "b", "a", "c", "b", "a", "b", "c"]
TIMES = [datetime(1969, 12, 1) + timedelta(37 * i, 3601 * i, 7 * i) for i in range(N)]
DATES = [each.date() for each in TIMES]
SPANS = [timedelta(i - 3, 5 * i, 7) for i in range(N)]
MISSING = [2, 5]
# A column beside the one that is tested, so that one of them is always modeled.
OTHER = [1.5 * i + 0.25 for i in range(N)]


def with_missing(values):
    return [None if i in MISSING else value for i, value in enumerate(values)]


def pandas_columns(hide):
    """Columns by name, of values that `hide` may make missing."""
    Series = pd.Series
    columns = {
        "float64": Series(hide(NUMBERS), dtype="float64"),
        "float32": Series(hide(NUMBERS), dtype="float32"),
        "whole floats": Series(hide(INTEGERS), dtype="float64"),
        "Float64": Series(hide(NUMBERS), dtype="Float64"),
        "Int64": Series(hide(INTEGERS), dtype="Int64"),
        "UInt8": Series(hide(INTEGERS), dtype="UInt8"),
        "boolean": Series(hide(BOOLS), dtype="boolean"),
        "objects: bool": Series(hide(BOOLS), dtype=object),
        "objects: int": Series(hide(INTEGERS), dtype=object),
        "objects: float": Series(hide(NUMBERS), dtype=object),
        "objects: str": Series(hide(TEXT), dtype=object),
        "objects: date": Series(hide(DATES), dtype=object),
        "objects: datetime": Series(hide(TIMES), dtype=object),
        "objects: timedelta": Series(hide(SPANS), dtype=object),
        "str": Series(hide(TEXT)),
        "string": Series(hide(TEXT), dtype="string"),
        "category": Series(hide(TEXT), dtype="category"),
        "ordered": Series(pd.Categorical(hide(TEXT), list("czba"), ordered=True)),
        "category of int": Series(pd.Categorical(hide(INTEGERS))),
        "intervals": pd.cut(Series(hide(NUMBERS), dtype=float), [-9, 1, 5, 1e6]),
        "single level": Series(hide(["x"] * N), dtype=object),
        "ns": Series(hide(TIMES), dtype="datetime64[ns]"),
        "us": Series(hide(TIMES), dtype="datetime64[us]"),
        "s": Series(hide(DATES)).astype("datetime64[s]"),
        "tz": Series(hide(TIMES), dtype="datetime64[us]").dt.tz_localize("Asia/Tokyo"),
        "timedelta ns": Series(hide(SPANS), dtype="timedelta64[ns]"),
        "timedelta us": Series(hide(SPANS)).astype("timedelta64[us]"),
        "sparse": Series(pd.arrays.SparseArray(hide(NUMBERS), dtype=float)),
    }
    if pa is not None:
        arrow = {
            "float": (NUMBERS, pa.float64()),
            "int": (INTEGERS, pa.int64()),
            "bool": (BOOLS, pa.bool_()),
            "string": (TEXT, pa.string()),
            "date": (DATES, pa.date32()),
            "timestamp": (TIMES, pa.timestamp("us", "UTC")),
            "duration": (SPANS, pa.duration("us")),
            "dictionary": (TEXT, pa.dictionary(pa.int32(), pa.string())),
        }
        for name, (values, dtype) in arrow.items():
            columns["arrow " + name] = Series(hide(values), dtype=pd.ArrowDtype(dtype))
    return columns


def polars_columns(hide):
    def make(values, dtype=None):
        return pl.Series(hide(values), dtype=dtype)

    return {
        "float": make(NUMBERS, pl.Float64),
        "float32": make(NUMBERS, pl.Float32),
        "whole floats": make(INTEGERS, pl.Int64).cast(pl.Float64),
        "int": make(INTEGERS, pl.Int64),
        "uint8": make(INTEGERS, pl.UInt8),
        "bool": make(BOOLS, pl.Boolean),
        "str": make(TEXT, pl.String),
        "categorical": make(TEXT, pl.Categorical),
        "enum": make(TEXT, pl.Enum(["c", "z", "b", "a"])),
        "date": make(DATES, pl.Date),
        "us": make(TIMES, pl.Datetime),
        "ms": make(DATES, pl.Date).cast(pl.Datetime("ms")),
        "ns": make(TIMES, pl.Datetime("ns")),
        "tz": make(TIMES, pl.Datetime).dt.replace_time_zone("America/New_York"),
        "duration": make(SPANS, pl.Duration),
        "duration ms": make([timedelta(i, i) for i in range(N)], pl.Duration("ms")),
        "decimal": make(NUMBERS, pl.Float64).cast(pl.Decimal(12, 3)),
    }


def arrow_columns(hide):
    def make(values, dtype=None):
        return pa.array(hide(values), dtype)

    return {
        "float": make(NUMBERS),
        "float32": make(NUMBERS, pa.float32()),
        "float16": make(np.arange(N) / 2, pa.float16()),
        "int": make(INTEGERS),
        "uint8": make(INTEGERS, pa.uint8()),
        "bool": make(BOOLS),
        "string": make(TEXT),
        "large_string": make(TEXT, pa.large_string()),
        "dictionary": make(TEXT).dictionary_encode(),
        "date32": make(DATES),
        "date64": make(DATES, pa.date64()),
        "timestamp": make(TIMES),
        "timestamp s": make(DATES).cast(pa.timestamp("s")),
        "tz": make(TIMES, pa.timestamp("us", "Europe/Paris")),
        "duration": make(SPANS),
        "decimal": make(NUMBERS).cast(pa.decimal128(12, 4)),
    }


def make_pandas(column):
    frame = pd.DataFrame({"other": OTHER, "tested": column})
    return frame.set_axis(INDEX).rename_axis(columns="measure")


def make_polars(column):
    return pl.DataFrame({"other": OTHER, "tested": column})


def make_arrow(column):
    return pa.table({"other": OTHER, "tested": column})


def assert_arrow_equal(left, right):
    assert left.schema.equals(right.schema, check_metadata=True)
    assert left.to_pylist() == right.to_pylist()


def assert_pandas_equal(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True, check_freq=False)


LIBRARIES = {
    "pandas": (pandas_columns, make_pandas, assert_pandas_equal),
    "polars": (polars_columns, make_polars, assert_polars_equal),
    "pyarrow": (arrow_columns, make_arrow, assert_arrow_equal),
}
DTYPES = [
    pytest.param(library, name, id=f"{library}: {name}")
    for library, (columns, *_) in LIBRARIES.items()
    if library != "pyarrow" or pa is not None
    for name in columns(list)
]


def get_tested(frame):
    return nw.from_native(frame, eager_only=True).get_column("tested")


@pytest.mark.parametrize(("library", "name"), DTYPES)
class TestDtypes:
    def test_complete(self, library, name):
        columns, make, assert_equal = LIBRARIES[library]
        X = make(columns(list)[name])
        encoder = TableEncoder().fit(X)
        Z = encoder.transform(X)
        assert Z.dtype == np.float64
        assert np.isfinite(Z).all()
        decoded = encoder.decode(Z)
        if library == "pandas":
            decoded = decoded.set_axis(X.index)
        assert_equal(decoded, X)
        assert_equal(encoder.decode(np.zeros_like(Z), rows=X), X)

    def test_missing(self, library, name):
        columns, make, assert_equal = LIBRARIES[library]
        X = make(columns(with_missing)[name])
        before = copy.deepcopy(X)
        encoder = pickle.loads(pickle.dumps(TableEncoder().fit(X)))
        Z = encoder.transform(X)
        tested = Z[:, 1:]
        np.testing.assert_array_equal(
            np.isnan(tested).any(axis=1).nonzero()[0], MISSING
        )
        np.testing.assert_array_equal(
            np.isnan(tested).all(axis=1).nonzero()[0], MISSING
        )
        assert_equal(encoder.decode(Z, rows=X), X)
        # Completed by another row: where observed as it was, and elsewhere that row.
        completed = np.where(np.isnan(Z), Z[1], Z)
        decoded = encoder.decode(completed, rows=X)
        values = get_tested(make(columns(list)[name])).to_list()
        expected = [values[1] if i in MISSING else values[i] for i in range(N)]
        assert get_tested(decoded).to_list() == expected
        assert native_dtype(decoded) == native_dtype(X)
        assert_equal(X, before)

    def test_without_observed_values(self, library, name):
        columns, make, assert_equal = LIBRARIES[library]
        X = make(columns(lambda values: [None] * N)[name])
        encoder = TableEncoder().fit(X)
        assert encoder.kinds_.tolist() == ["number", "number"]
        Z = encoder.transform(X)
        assert Z.shape == (N, 2)
        assert np.isnan(Z[:, 1]).all()
        assert_equal(encoder.decode(Z, rows=X), X)


def native_dtype(frame):
    series = get_tested(frame).to_native()
    return series.type if hasattr(series, "type") else series.dtype


# Values that a row of each kind may have, for frames of pandas and polars.
STRATEGIES = {
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "integer": st.integers(-(2**53), 2**53),
    "bool": st.booleans(),
    "category": st.sampled_from(["a", "b", "", "d e", "é"]),
    "date": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    "duration": st.timedeltas(timedelta(-10_000), timedelta(10_000)),
}
PANDAS = {
    "number": "float64",
    "integer": "Int64",
    "bool": "boolean",
    "category": "category",
    "date": "datetime64[us]",
    "duration": "timedelta64[us]",
}
POLARS = {
    "number": pl.Float64,
    "integer": pl.Int64,
    "bool": pl.Boolean,
    "category": pl.Categorical,
    "date": pl.Datetime("us"),
    "duration": pl.Duration("us"),
}


def draw_pandas(values, index):
    columns = {
        kind: pd.Series(column, index=index, dtype=PANDAS[kind])
        for kind, column in values.items()
    }
    return pd.DataFrame(columns, index=index)


def draw_polars(values, index):
    return pl.DataFrame(values, schema=POLARS)


@st.composite
def tables(draw):
    """A mask, and values at and beside it."""
    n = draw(st.integers(1, 6))
    masks, complete = {}, {}
    for kind, strategy in STRATEGIES.items():
        masks[kind] = draw(st.lists(st.booleans(), min_size=n, max_size=n))
        complete[kind] = draw(st.lists(strategy, min_size=n, max_size=n))
    observed = {
        kind: [
            value if keep else None
            for value, keep in zip(column, masks[kind], strict=True)
        ]
        for kind, column in complete.items()
    }
    index = draw(st.lists(st.integers(), min_size=n, max_size=n))
    return complete, observed, index


@pytest.mark.parametrize(
    ("make", "assert_equal"),
    [(draw_pandas, assert_pandas_equal), (draw_polars, assert_polars_equal)],
    ids=["pandas", "polars"],
)
@settings(max_examples=25, deadline=None)
@given(table=tables())
def test_round_trip(make, assert_equal, table):
    complete, observed, index = table
    X = make(observed, index)
    encoder = TableEncoder(max_categories=5).fit(X)
    assert_equal(encoder.decode(encoder.transform(X), rows=X), X)
    X = make(complete, index)
    encoder = TableEncoder(max_categories=5).fit(X)
    decoded = encoder.decode(encoder.transform(X))
    assert_equal(decoded.set_axis(X.index) if make is draw_pandas else decoded, X)


CSV = """name,city,born,children,weight,smokes
ann,Rome,1990-05-17,2,61.5,True
bob,,1985-01-02,,80.1,False
eve,Oslo,,0,,True
dan,Oslo,1979-11-30,1,75.0,
joe,Rome,1992-02-29,3,68.2,True
"""


def read_pandas(text):
    return pd.read_csv(io.StringIO(text), parse_dates=["born"])


def read_pandas_with_dtypes(text):
    dtypes = {"city": "category", "children": "Int64", "smokes": "boolean"}
    return pd.read_csv(io.StringIO(text), parse_dates=["born"], dtype=dtypes)


def read_polars(text):
    return pl.read_csv(io.StringIO(text), try_parse_dates=True).with_columns(
        pl.col("smokes").replace_strict({"True": True, "False": False}, default=None)
        if pl.read_csv(io.StringIO(text)).schema["smokes"] == pl.String
        else pl.col("smokes")
    )


def read_arrow(text):
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, auto_dict_encode=False
    )
    return pyarrow.csv.read_csv(io.BytesIO(text.encode()), convert_options=options)


@pytest.mark.parametrize(
    ("read", "assert_equal"),
    [
        (read_pandas, assert_pandas_equal),
        (read_pandas_with_dtypes, assert_pandas_equal),
        (read_polars, assert_polars_equal),
        pytest.param(read_arrow, assert_arrow_equal, marks=needs_pyarrow),
    ],
)
def test_as_read_from_csv(read, assert_equal):
    X = read(CSV)
    encoder = TableEncoder()
    Z = encoder.fit_transform(X)
    kinds = ["passthrough", "category", "date", "integer", "number", "bool"]
    assert encoder.kinds_.tolist() == kinds
    names = ["city_Oslo", "city_Rome", "born", "children", "weight", "smokes"]
    assert encoder.get_feature_names_out().tolist() == names
    np.testing.assert_array_equal(encoder.input_columns_, [1, 1, 2, 3, 4, 5])
    nan = np.nan
    expected = [
        [0, 1, 7441, 2, 61.5, 1],
        [nan, nan, 5480, nan, 80.1, 0],
        [1, 0, nan, 0, nan, 1],
        [1, 0, 3620, 1, 75.0, nan],
        [0, 1, 8094, 3, 68.2, 1],
    ]
    np.testing.assert_array_equal(Z, expected)
    assert_equal(encoder.decode(Z, rows=X), X)
    completed = np.where(np.isnan(Z), [0.2, 0.7, 5480.4, 1.6, 70.0, 0.4], Z)
    by_hand = "bob,Rome,1985-01-02,2,80.1,False"
    lines = CSV.splitlines()
    lines[2] = by_hand
    lines[3] = "eve,Oslo,1985-01-02,0,70.0,True"
    lines[4] = "dan,Oslo,1979-11-30,1,75.0,False"
    decoded = nw.from_native(encoder.decode(completed, rows=X), eager_only=True)
    filled = nw.from_native(read("\n".join(lines)), eager_only=True)
    for name in X.columns if hasattr(X, "dtypes") else X.column_names:
        assert decoded[name].to_list() == filled[name].to_list()


def one_column(values, name="x", **options):
    """A frame with this column and one of numbers."""
    n = len(values)
    return pd.DataFrame(
        {name: pd.Series(values, **options), "other": np.arange(n) + 0.5}
    )


class TestKinds:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([0.5, 1.0, None], "number"),
            ([2.0, 1.0, None], "integer"),
            ([1e300, 1.0, None], "number"),
            ([1, 0, 1], "integer"),
            ([True, False, True], "bool"),
            ([True, None, np.nan], "bool"),
            ([datetime(2020, 1, 1), pd.NaT, None], "date"),
            ([timedelta(1), pd.NaT, None], "duration"),
            (["a", "b", "a"], "category"),
            (["a", None, pd.NA], "category"),
            (["a", "b", "c"], "passthrough"),
            ([None, np.nan, pd.NaT], "number"),
        ],
    )
    @pytest.mark.parametrize("as_objects", [False, True])
    def test_by_values(self, values, kind, as_objects):
        if as_objects or {pd.NA, np.nan} & {v for v in values if pd.isna(v)}:
            series = pd.Series(values, dtype=object)
        else:
            series = pd.Series(values)
        encoder = TableEncoder().fit(one_column(series))
        assert encoder.kinds_[0] == kind

    def test_declared_categories_need_not_repeat(self):
        X = one_column(list("cab"), dtype="category")
        encoder = TableEncoder().fit(X)
        assert encoder.categories_["x"].tolist() == ["a", "b", "c"]

    def test_levels_in_the_order_of_the_dtype(self):
        X = one_column(pd.Categorical(["a", "b", "a"], ["z", "b", "a"], ordered=True))
        encoder = TableEncoder().fit(X)
        assert encoder.categories_["x"].tolist() == ["b", "a"]
        assert encoder.get_feature_names_out().tolist() == ["x_b", "x_a", "other"]
        np.testing.assert_array_equal(encoder.transform(X)[:, 0], [0, 1, 0])

    def test_one_level_is_a_column_of_ones(self):
        X = one_column(["a", "a", None])
        np.testing.assert_array_equal(
            TableEncoder().fit_transform(X)[:, 0], [1, 1, np.nan]
        )

    def test_many_levels_pass_through(self):
        X = one_column([f"city {i // 2}" for i in range(44)])
        encoder = TableEncoder().fit(X)
        assert encoder.kinds_.tolist() == ["passthrough", "number"]
        assert encoder.get_feature_names_out().tolist() == ["other"]
        decoded = encoder.decode(encoder.transform(X), rows=X)
        assert_pandas_equal(decoded, X)
        encoder = TableEncoder(max_categories=22).fit(X)
        assert encoder.kinds_.tolist() == ["category", "number"]

    def test_days_and_parts_of_days(self):
        times = [datetime(1970, 1, 2, 12), datetime(1969, 12, 31), None]
        zone = pd.Series(times).dt.tz_localize("Asia/Tokyo")  # nine hours ahead
        for series, days in [(pd.Series(times), [1.5, -1]), (zone, [1.125, -1.375])]:
            encoded = TableEncoder().fit_transform(one_column(series))[:, 0]
            np.testing.assert_array_equal(encoded, [*days, np.nan])
        spans = [timedelta(1, 21_600), timedelta(-2), None]
        encoded = TableEncoder().fit_transform(one_column(spans))[:, 0]
        np.testing.assert_array_equal(encoded, [1.25, -2, np.nan])

    def test_int_names_and_multiindex(self):
        X = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=[7, 3])
        encoder = TableEncoder().fit(X)
        assert encoder.get_feature_names_out().tolist() == ["7", "3"]
        assert_pandas_equal(encoder.decode(encoder.transform(X)), X)
        with pytest.raises(ValueError, match=r"column 3 in the place of 7 in fit"):
            encoder.transform(X[[3, 7]])


class TestErrors:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (["a", 1, "a"], r"'x' of X mixes types: 1 \(int\), 'a' \(str\).*Convert"),
            ([True, 1.5, None], r"'x' of X mixes types: True \(bool\), 1.5 \(float\)"),
            ([1j, 2j, 3j], r"column 'x'.*two columns"),
            (
                [[1], [2], None],
                r"'x'.*\[1\], of type list.*lists to one column of bools",
            ),
            ([{"a": 1}, None, None], r"'x' of X has values such as \{'a': 1\}"),
            (
                [Decimal(1), None, None],
                r"'x'.*Decimal\('1'\).*Decimal objects to floats",
            ),
            (
                [1.0, np.inf, -np.inf],
                r"'x' of X is inf in row 1 .* and 1 other.*Replace",
            ),
            ([1, float("inf"), None], r"'x' of X is inf in row 1"),
            (
                ["a", "b", None],
                r"'x' of X has 2 levels \(such as 'a', 'b'\).*1 missing",
            ),
            (
                pd.period_range("2020", periods=3),
                r"'x'.*type Period.*periods.*to dates",
            ),
        ],
    )
    def test_columns_that_cannot_be_read(self, values, message):
        X = one_column(values, dtype=object if isinstance(values, list) else None)
        with pytest.raises(ValueError, match=message):
            TableEncoder().fit(X)

    @pytest.mark.parametrize(
        "encoder", [TableEncoder(), TableEncoder(max_categories=3)]
    )
    def test_incomplete_text_with_many_levels(self, encoder):
        values = [f"id {i // 2}" for i in range(44)]
        X = one_column([None, *values])
        message = (
            r"'x' of X has 22 levels \(such as 'id 0', 'id 1', 'id 2', ...\), more "
            rf"than max_categories={encoder.max_categories}, and 1 missing entry. "
            r"Drop it, pass max_categories=22 or more to model it, or complete it"
        )
        with pytest.raises(ValueError, match=message):
            encoder.fit(X)
        declared = X.astype({"x": "category"})
        with pytest.raises(ValueError, match=message):
            encoder.fit(declared)

    def test_passthrough_refused(self):
        X = one_column(["id 1", "id 2"])
        message = (
            r"'x'.* none of which repeats.*passthrough=False. Drop it, or pass pass"
        )
        with pytest.raises(ValueError, match=message):
            TableEncoder(passthrough=False).fit(X)

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (pl.Series([[1], [2]]), r"'x'.*\[1\], of type list.*lists"),
            (pl.Series([{"a": 1}, None]), r"'x'.*type dict"),
            (
                pl.Series([datetime(2020, 1, 1).time()] * 2),
                r"'x'.*type time.*to durations",
            ),
            (pl.Series([object(), None], dtype=pl.Object), r"'x'.*type object"),
            (pl.Series([b"a", None]), r"'x'.*type bytes"),
        ],
    )
    def test_columns_of_polars(self, column, message):
        with pytest.raises(ValueError, match=message):
            TableEncoder().fit(pl.DataFrame({"other": [1.5, 2.5], "x": column}))

    def test_tables(self):
        fit = TableEncoder().fit
        with pytest.raises(ValueError, match=r"2 columns with the name 'a'. Rename"):
            fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
        with pytest.raises(TypeError, match=r"sparse matrix.*X.toarray\(\)"):
            fit(sparse.csr_array(np.eye(3)))
        with pytest.raises(TypeError, match=r"LazyFrame. Collect"):
            fit(pl.LazyFrame({"a": [1]}))
        with pytest.raises(ValueError, match=r"2 columns of the encoded .* 'a_b'"):
            fit(pd.DataFrame({"a": ["b", "b"], "a_b": [1, 2]}))
        with pytest.raises(ValueError, match="All columns of X pass through"):
            fit(pd.DataFrame({"id": ["1", "2"]}))
        for X in (pd.Series([1, 2], name="a"), {"a": [1, 2]}, None):
            with pytest.raises(ValueError, match=r"frame or a 2d array.*Reshape"):
                fit(X)
        with pytest.raises(ValueError, match="0 sample"):
            fit(pd.DataFrame({"a": []}))
        with pytest.raises(NotFittedError):
            TableEncoder().transform(np.eye(2))

    @pytest.mark.parametrize(
        ("fitted", "later", "message"),
        [
            (
                [1.5, 2.0],
                ["a", None],
                r"'x' of X has 'a', of kind 'text', .* 'number' in",
            ),
            (
                [1, 2],
                [True, None],
                r"'x' of X has True, of kind 'bool', .* 'integer' in",
            ),
            (
                [True, False],
                [1, 0],
                r"has 1, of kind 'integer', but was of kind 'bool'",
            ),
            (
                ["a", "a"],
                [None, 2.0],
                r"has 2.0, of kind 'number', .* kind 'text' in fit",
            ),
            (
                [datetime(2020, 1, 1)] * 2,
                ["2020", None],
                r"'text', .* 'date' in fit. Conv",
            ),
            ([timedelta(1)] * 2, [datetime(2020, 1, 1)] * 2, r"'date', .* 'duration'"),
        ],
    )
    def test_values_of_another_kind(self, fitted, later, message):
        encoder = TableEncoder().fit(one_column(fitted))
        later = one_column(later, dtype=object)
        with pytest.raises(ValueError, match=message):
            encoder.transform(later)
        with pytest.raises(ValueError, match=message):
            encoder.decode(np.zeros((2, 2)), rows=later)

    def test_categories_of_numbers_where_text_was(self):
        encoder = TableEncoder().fit(one_column(["a", "a"]))
        with pytest.raises(ValueError, match=r"'x' of X has 1, .* kind 'text' in fit"):
            encoder.transform(one_column(pd.Categorical([1, 2])))

    def test_numbers_of_another_dtype_are_no_other_kind(self):
        encoder = TableEncoder().fit(one_column([1.5, 2.5]))
        Z = encoder.transform(one_column([3, 4]))
        np.testing.assert_array_equal(Z[:, 0], [3, 4])
        Z = encoder.transform(one_column([None, None], dtype=object))
        assert np.isnan(Z[:, 0]).all()

    def test_incomplete_passthrough_in_transform(self):
        encoder = TableEncoder().fit(one_column(["id 1", "id 2"]))
        message = r"'x' of X passes through.*missing in row 1 \(from 0\)\. Complete it"
        with pytest.raises(ValueError, match=message):
            encoder.transform(one_column(["id 3", None]))

    def test_decode(self):
        X = one_column(["id 1", "id 2", "id 3"])
        encoder = TableEncoder().fit(X)
        Z = encoder.transform(X)
        with pytest.raises(
            ValueError, match=r"'x' passes through.*decode\(Z, rows=X\)"
        ):
            encoder.decode(Z)
        with pytest.raises(ValueError, match="rows has 2 rows, but the matrix has 3"):
            encoder.decode(Z, rows=X[:2])
        with pytest.raises(ValueError, match=r"the 1 columns .* but got 2"):
            encoder.decode(np.zeros((3, 2)), rows=X)


class TestUnknownLevels:
    fitted = one_column(["a", "b", "a", "b"])
    later = one_column(["a", "c", None, "d"])

    def test_missing_with_a_warning(self):
        encoder = TableEncoder().fit(self.fitted)
        message = r"fit has not seen: 'x' \('c', 'd'\). They are encoded as missing"
        with pytest.warns(UnknownLevelsWarning, match=message) as record:
            Z = encoder.transform(self.later)
        assert record[0].filename == __file__
        assert issubclass(UnknownLevelsWarning, DataWarning)
        nan = np.nan
        np.testing.assert_array_equal(
            Z[:, :2], [[1, 0], [nan, nan], [nan, nan], [nan, nan]]
        )
        decoded = encoder.decode(np.nan_to_num(Z, nan=0.2), rows=self.later)
        assert decoded["x"].tolist() == ["a", "c", "a", "d"]

    def test_error(self):
        encoder = TableEncoder(handle_unknown="error").fit(self.fitted)
        with pytest.raises(ValueError, match=r"'x' \('c', 'd'\). Fit again, or pass"):
            encoder.transform(self.later)

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
    def test_rows_with_other_categories(self, make):
        """The dtype of the rows gets the levels that it lacks."""
        if make is pd.DataFrame:
            fitted = make({"x": pd.Categorical(["a", "b", "b"])})
            later = make({"x": pd.Categorical(["a", None, "a"])})
        else:
            fitted = make({"x": pl.Series(["a", "b", "b"], dtype=pl.Enum(["a", "b"]))})
            later = make({"x": pl.Series(["a", None, "a"], dtype=pl.Enum(["a"]))})
        encoder = TableEncoder().fit(fitted)
        decoded = encoder.decode([[1, 0], [0.1, 0.9], [0, 1]], rows=later)
        assert list(decoded["x"]) == ["a", "b", "a"]
        assert list(decoded["x"].dtype.categories) == ["a", "b"]


class TestBounds:
    X = pd.DataFrame(
        {
            "number": [0.5, 2.5, 1.5],
            "integer": [1, 5, 3],
            "date": pd.to_datetime(["2020-01-01", "2020-01-11", "2020-01-06"]),
            "bool": [True, False, True],
        }
    )
    low, high = [-1e6, -1e6, -1e6, 0], [1e6, 1e6, 1e6, 1]

    def decode(self, bounds, **options):
        encoder = TableEncoder(bounds=bounds, **options).fit(self.X)
        decoded = encoder.decode([self.low, self.high])
        return {name: decoded[name].tolist() for name in self.X}

    def test_observed(self):
        decoded = self.decode("observed")
        assert decoded["number"] == [0.5, 2.5]
        assert decoded["integer"] == [1, 5]
        assert decoded["date"] == [pd.Timestamp(2020, 1, 1), pd.Timestamp(2020, 1, 11)]
        assert decoded["bool"] == [False, True]

    def test_none(self):
        decoded = self.decode(None)
        assert decoded["number"] == [-1e6, 1e6]
        assert decoded["integer"] == [-1_000_000, 1_000_000]

    def test_dict(self):
        bounds = {
            "number": (None, 9.5),
            "integer": (-7.5, 9.5),
            "date": (datetime(2019, 1, 1), "2021-01-01"),
        }
        decoded = self.decode(bounds)
        assert decoded["number"] == [-1e6, 9.5]
        assert decoded["integer"] == [-7, 9]
        assert decoded["date"] == [pd.Timestamp(2019, 1, 1), pd.Timestamp(2021, 1, 1)]

    def test_limits_of_the_dtype(self):
        """Without bounds, an integer dtype and dates of Python still have theirs."""
        X = self.X.astype({"integer": "uint8"})
        X["big"] = np.array([1, 2, 2**63 - 1])
        encoder = TableEncoder(bounds=None).fit(X)
        decoded = encoder.decode([[-1e300] * 5, [1e300] * 5])
        assert decoded["integer"].tolist() == [0, 255]
        assert decoded["big"].tolist() == [-(2**63), 2**63 - 1024]
        assert decoded["date"].notna().all()
        wide = pl.DataFrame({"x": pl.Series([2**100, 1], dtype=pl.Int128)})
        decoded = TableEncoder(bounds=None).fit(wide).decode([[1e300], [-5]])
        assert decoded["x"].to_list() == [int(np.nextafter(2.0**127, 0)), -5]

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ({"size": (0, 1)}, "the column 'size', which X has not"),
            ({"bool": (0, 1)}, "'bool', which is of kind 'bool' and has no bounds"),
            (
                {"number": (2, 1)},
                r"'number' should be .* low <= high, but got \(2, 1\)",
            ),
            ({"number": 3}, r"'number' should be a pair \(low, high\).*but got 3"),
            ({"number": ("a", None)}, r"'number' should be a pair"),
            ({"number": (np.nan, 1)}, r"'number' should be .* low <= high"),
            ({"integer": (1.2, 1.8)}, r"'integer', which has whole .*: \(1.2, 1.8\)"),
            ({"date": ("then", None)}, r"'date' should be a pair"),
        ],
    )
    def test_errors(self, bounds, message):
        with pytest.raises(ValueError, match=message):
            TableEncoder(bounds=bounds).fit(self.X)


class TestRounding:
    X = pd.DataFrame(
        {
            "number": [0.5, 2.5],
            "integer": [0, 9],
            "whole": [0.0, 9.0],
            "day": pd.to_datetime(["1970-01-01", "1980-01-01"]),
            "second": pd.to_datetime(["1970-01-01 00:00:01", "1980-01-01 00:00:00"]),
            "span": pd.to_timedelta([0, 9], unit="D"),
        }
    )
    # Half a second past noon, in days.
    Z = [[1.3, 1.3, 1.7, 1.6, 1 + (43_200.4 / 86_400), 1.6]]

    @pytest.mark.parametrize(
        ("rounding", "expected"),
        [
            ("nearest", [1, 2.0, (3, 0), (2, 43_200), 2]),
            ("floor", [1, 1.0, (2, 0), (2, 43_200), 1]),
            ("ceil", [2, 2.0, (3, 0), (2, 43_201), 2]),
        ],
    )
    def test_to_the_units_of_the_column(self, rounding, expected):
        encoder = TableEncoder().fit(self.X)
        decoded = encoder._decode(self.Z, rounding=rounding)
        row = decoded.iloc[0]
        assert row["number"] == 1.3
        assert row["integer"] == expected[0]
        assert row["whole"] == expected[1]
        for name, (day, second) in zip(["day", "second"], expected[2:4], strict=True):
            assert row[name] == datetime(1970, 1, day) + timedelta(seconds=second)
        assert row["span"] == timedelta(expected[4])
        assert decoded.dtypes.equals(self.X.dtypes)
        if rounding == "nearest":
            assert_pandas_equal(encoder.decode(self.Z), decoded)

    @pytest.mark.parametrize("rounding", ["floor", "ceil"])
    def test_whole_seconds_stay(self, rounding):
        seconds = np.arange(1e9, 1e9 + 1000, 7).astype("M8[s]")
        encoder = TableEncoder().fit(pd.DataFrame({"a": seconds}))
        Z = (np.arange(1e9, 1e9 + 1000, 7) / 86_400)[:, None]
        decoded = encoder._decode(Z, rounding=rounding)["a"]
        np.testing.assert_array_equal(decoded.to_numpy(), seconds)

    def test_none(self):
        decoded = TableEncoder(round=False).fit(self.X).decode(self.Z)
        assert decoded["integer"].tolist() == [1.3]
        assert decoded["whole"].tolist() == [1.7]
        noon = datetime(1970, 1, 2, 12) + timedelta(milliseconds=400)
        assert abs(decoded["second"][0] - noon) < timedelta(microseconds=2)
        for dtype in ["Int64", "Int8"]:
            X = one_column([1, None, 4], dtype=dtype)
            decoded = TableEncoder(round=False).fit(X).decode([[1.5, 0]] * 3, rows=X)
            assert decoded["x"].tolist() == [1.0, 1.5, 4.0]
            assert decoded["x"].dtype == "Float64"

    def test_missing_values_stay(self):
        X = self.X.assign(nullable=pd.array([1, 2], dtype="Int64"), yes=True, a="b")
        encoder = TableEncoder().fit(X)
        decoded = encoder.decode(np.full((2, 9), np.nan))
        assert decoded.isna().all(axis=None)
        promoted = {"integer": "float64", "yes": "object"}
        assert decoded.dtypes.equals(X.astype(promoted).dtypes)


class TestParts:
    """What the imputer needs: columns of some kinds, and numbers as they are."""

    X = pd.DataFrame(
        {
            "name": ["ann", "bob", "eve"],
            "number": [0.5, None, 1.0],
            "level": ["a", "b", "a"],
            "day": pd.to_datetime(["2020-01-01", None, "2020-01-05"]),
            "yes": [True, False, True],
        },
        index=[4, 2, 9],
    )

    def test_kinds(self):
        encoder = TableEncoder().fit(self.X)
        Z = np.nan_to_num(encoder.transform(self.X), nan=1.0)
        decoded = encoder._decode(Z, self.X, kinds=("number", "date"))
        assert decoded.columns.tolist() == ["number", "day"]
        assert decoded.index.tolist() == [4, 2, 9]
        assert decoded["number"].tolist() == [0.5, 1.0, 1.0]

    @pytest.mark.parametrize("make", [lambda X: X, pl.from_pandas])
    def test_numbers(self, make):
        if make is not pl.from_pandas:
            X = self.X
        else:
            X = pl.DataFrame({name: list(self.X[name]) for name in ["number", "level"]})
            X = X.with_columns(day=pl.Series([datetime(2020, 1, 1), None, None]))
            X = X.with_columns(name=pl.Series(["ann", "bob", "eve"]))
        encoder = TableEncoder().fit(X)
        stds = np.arange(3 * len(encoder.input_columns_)).reshape(3, -1) + 0.1
        decoded = encoder._decode_numbers(stds, X)
        assert list(decoded.columns) == ["number", "day"]
        assert decoded["number"].to_list() == stds[:, 0].tolist()
        assert decoded["day"].to_list() == stds[:, 3].tolist()
        if X is self.X:
            assert decoded.index.tolist() == [4, 2, 9]


class TestProbabilities:
    X = pd.DataFrame({"x": ["a", "b", "c", "a"], "yes": [True, False, True, True]})

    def test_by_hand(self):
        encoder = TableEncoder().fit(self.X)
        Z = [[0.3, -0.5, 0.1, 0.8], [-1, -2, 0, 1.5], [np.nan] * 4, [0, 2, 2, -3]]
        proba = encoder.decode_proba(Z)
        assert encoder.categories_["yes"].tolist() == [False, True]
        nan = np.nan
        np.testing.assert_allclose(
            proba["x"],
            [[0.75, 0, 0.25], [0.5, 0.25, 0.25], [nan] * 3, [0, 0.5, 0.5]],
        )
        np.testing.assert_allclose(
            proba["yes"], [[0.2, 0.8], [0, 1], [nan, nan], [1, 0]], atol=1e-15
        )

    @settings(max_examples=25, deadline=None)
    @given(
        Z=st.lists(
            st.lists(st.floats(-10, 10), min_size=4, max_size=4), min_size=1, max_size=5
        )
    )
    def test_decoded_levels_are_the_most_probable(self, Z):
        encoder = TableEncoder().fit(self.X)
        decoded, proba = encoder.decode(Z), encoder.decode_proba(Z)
        for name in ["x", "yes"]:
            np.testing.assert_allclose(proba[name].sum(axis=1), 1)
            assert (proba[name] >= 0).all()
            levels = encoder.categories_[name].tolist()
            chosen = [levels.index(level) for level in decoded[name]]
            best = proba[name].max(axis=1)
            assert (proba[name][np.arange(len(Z)), chosen] == best).all()


class TestArrays:
    def test_objects(self):
        X = np.array(
            [[1, "a", True, None], [None, "b", False, 2.5], [3, "a", None, 0.5]],
            dtype=object,
        )
        before = X.copy()
        encoder = TableEncoder().fit(X)
        kinds = ["integer", "category", "bool", "number"]
        assert encoder.kinds_.tolist() == kinds
        names = encoder.get_feature_names_out().tolist()
        assert names == ["x0", "x1_a", "x1_b", "x2", "x3"]
        Z = encoder.transform(X)
        np.testing.assert_array_equal(Z[1], [np.nan, 0, 1, 0, 2.5])
        decoded = encoder.decode(Z, rows=X)
        assert decoded.dtype == object
        assert decoded.tolist() == X.tolist()
        decoded = encoder.decode([[2.4, 0.3, 0.7, 0.1, 1.5]] * 3, rows=X)
        expected = [[1, "a", True, 1.5], [2, "b", False, 2.5], [3, "a", False, 0.5]]
        assert decoded.tolist() == expected
        assert [type(value) for value in decoded[1]] == [int, str, bool, float]
        assert encoder.decode(Z).tolist() == X.tolist()
        assert (before == X).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool, "M8[D]"])
    def test_dtypes(self, dtype):
        X = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
        encoder = TableEncoder().fit(X)
        decoded = encoder.decode(encoder.transform(X))
        assert decoded.dtype == X.dtype
        np.testing.assert_array_equal(decoded, X)

    def test_lists_and_text(self):
        encoder = TableEncoder().fit([["a", 1.5], ["b", 2.5], ["a", None]])
        assert encoder.kinds_.tolist() == ["category", "number"]
        X = np.array([["a"], ["b"], ["a"]])
        decoded = TableEncoder().fit(X).decode([[1, 0], [0, 1]])
        assert decoded.dtype.kind == "U"
        assert decoded.tolist() == [["a"], ["b"]]


class TestDecode:
    @pytest.mark.parametrize("missing", [None, float("nan")])
    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
    def test_each_missing_entry_by_its_own_row(self, make, missing):
        """NaN is missing, also where a library tells it from null."""
        X = make({"x": [0.5, missing, 9.5, missing]})
        encoder = TableEncoder().fit(X)
        Z = encoder.transform(X)
        np.testing.assert_array_equal(np.isnan(Z[:, 0]), [False, True, False, True])
        decoded = encoder.decode([[1.5], [2.5], [3.5], [4.5]], rows=X)
        assert list(decoded["x"]) == [0.5, 2.5, 9.5, 4.5]

    @pytest.mark.parametrize(
        "make", [pd.DataFrame, pl.DataFrame, lambda X: np.array(X["x"])[:, None]]
    )
    def test_the_encoder_does_not_keep_the_data(self, make):
        encoder = TableEncoder().fit(make({"x": np.arange(100_000) + 0.5}))
        assert len(pickle.dumps(encoder)) < 10_000


class TestOtherLibraries:
    """Rows decide the kind of the table: the same table means the same in each."""

    def test_fitted_in_one_and_decoded_in_another(self):
        columns = {"x": ["a", None, "a"], "n": [1, 2, None], "e": [None, None, None]}
        fitted = pd.DataFrame({"x": ["a", "b", "b"], "n": [3, 4, 5], "e": [1, 2, 4.5]})
        rows = pl.DataFrame(columns)
        encoder = TableEncoder().fit(fitted)
        Z = encoder.transform(rows)
        as_pandas = pd.DataFrame(columns, dtype=object)
        np.testing.assert_array_equal(Z, encoder.transform(as_pandas))
        completed = np.where(np.isnan(Z), [0.1, 0.8, 3.6, 2.5], Z)
        decoded = encoder.decode(completed, rows=rows)
        expected = {"x": ["a", "b", "a"], "n": [1, 2, 4], "e": [2.5, 2.5, 2.5]}
        assert_polars_equal(decoded, pl.DataFrame(expected))
        decoded = encoder.decode(completed, rows=as_pandas)
        assert decoded.to_dict("list") == expected
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            decoded = encoder.decode(completed, rows=as_pandas.to_numpy())
        assert decoded.T.tolist() == list(expected.values())

    def test_columns_that_fit_did_not_observe(self):
        """They are ignored later, as in the mixtures."""
        for column in [[None, None], np.array([np.nan, np.nan])]:
            encoder = TableEncoder().fit(one_column(column))
            for values in (["a", None], [1.5, None]):
                later = one_column(values)
                Z = encoder.transform(later)
                assert np.isnan(Z[:, 0]).all()
                decoded = encoder.decode(Z, rows=later)
                assert_pandas_equal(decoded, later)
        # Numbers complete no text.
        later = one_column(["a", None])
        assert_pandas_equal(encoder.decode(np.nan_to_num(Z), rows=later), later)


class TestScikitLearn:
    @parametrize_with_checks([TableEncoder()])
    def test_generated_check(self, estimator, check):
        check(estimator)

    @pytest.mark.filterwarnings(
        "ignore:X (has|does not have valid) feature names:UserWarning"
    )
    @pytest.mark.parametrize("name", CALLABLE_CHECKS)
    def test_callable_check(self, name):
        getattr(estimator_checks, name)("TableEncoder", TableEncoder())

    def test_clone_and_pickle(self):
        encoder = TableEncoder(max_categories=3, bounds={"x": (0, 1)}, round=False)
        assert clone(encoder).get_params() == encoder.get_params()
        X = one_column([0.5, 0.25])
        fitted = encoder.fit(X)
        again = pickle.loads(pickle.dumps(fitted))
        Z = fitted.transform(X)
        assert_pandas_equal(again.decode(Z), fitted.inverse_transform(Z))

    @pytest.mark.parametrize(
        "options", [{"max_categories": 0}, {"handle_unknown": "x"}, {"bounds": 3}]
    )
    def test_parameters(self, options):
        with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter"):
            TableEncoder(**options).fit(np.eye(3))

    def test_set_output(self):
        X = one_column(["a", "b", "a"]).set_axis([3, 1, 2])
        encoder = TableEncoder().set_output(transform="pandas")
        Z = encoder.fit_transform(X)
        assert Z.columns.tolist() == ["x_a", "x_b", "other"]
        assert Z.index.tolist() == [3, 1, 2]
        assert_pandas_equal(encoder.decode(Z, rows=X), X)

    def test_before_a_mixture(self):
        X = read_pandas(CSV)
        mixture = MaskedGaussianMixture(covariance_type="diag")
        pipeline = make_pipeline(TableEncoder(), mixture).fit(X)
        decoded = pipeline[0].decode(pipeline.transform(X), rows=X)
        assert not decoded.isna().any(axis=None)
        assert decoded["city"][1] == "Oslo"  # as often as Rome, and first
        assert decoded["children"][1] == 2  # the mean is 1.5


@pytest.mark.parametrize("n_strays", [1, 3])
def test_marks_among_numbers_are_named(n_strays):
    """A column of texts such as "31", of which some are "?"."""
    texts = [str(x) for x in range(30)]
    texts[7 : 7 + n_strays] = ["?"] * n_strays
    frame = pd.DataFrame({"age": [None, *texts]})
    with pytest.raises(ValueError, match=r"'\?' is not a number, .* \(na_values of"):
        TableEncoder().fit(frame)
    names = pd.DataFrame({"name": [None, *(f"n{x}" for x in range(30))]})
    with pytest.raises(ValueError, match=r"30 levels.*\. Drop it, or complete it"):
        TableEncoder().fit(names)
