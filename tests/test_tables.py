"""TableEncoder: tables of any kinds of column to matrices, and back as they were."""

import copy
import io
import pickle
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal as assert_polars_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf import (
    DataWarning,
    KMeansMixture,
    MaskedGaussianMixture,
    UnknownLevelsWarning,
)
from sklearn_gmmcf.tables import TableEncoder
from tests.test_estimator_checks import CALLABLE_CHECKS

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
# A column beside the one that is tested, so that one of them is always modelled.
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
    return frame.set_axis(INDEX)


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
@settings(max_examples=60, deadline=None)
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
