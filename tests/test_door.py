# SPDX-License-Identifier: BSD-3-Clause
"""Every form of a table means one thing, or is refused by the name of a column.

``python -m tests.test_door`` writes the table of the guide anew.
"""

import csv
import io
import warnings
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import narwhals.stable.v2 as nw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from sklearn_gmmcf import KMeansMixture, LostZerosWarning, MaskedGaussianMixture
from sklearn_gmmcf.data import read_numbers
from sklearn_gmmcf.model_selection import hide_entries
from sklearn_gmmcf.preprocessing import NormalScoreTransformer, RowNormalizer
from tests.made import to_sparse

TABLE = Path(__file__).parent.parent / "docs" / "guide" / "containers.csv"
NAMES = ["a", "b", "c"]
SPARSE_FORMATS = ["csr", "csc", "coo", "lil", "dok"]

_rng = np.random.default_rng(0)
VALUES = _rng.integers(0, 4, (40, 3)).astype(float)
MASK = _rng.random(VALUES.shape) < 0.2
MASK[0] = False  # errors show the first row


def make_objects(convert, missing):
    """VALUES as objects, `missing` where MASK is true."""
    objects = np.empty(VALUES.shape, dtype=object)
    for index, value in np.ndenumerate(VALUES):
        objects[index] = missing if MASK[index] else convert(value)
    return objects


def to_date(value):
    return datetime(2020, 1, 1 + int(value))


# What there is in a table: how one of its values is made, and whether entries may be
# missing. The last four are refused.
CONTENTS = {
    "float64": (float, True),
    "float32": (np.float32, True),
    "float16": (np.float16, True),
    "int64": (int, False),
    "uint8": (np.uint8, False),
    "bool": (bool, False),
    "integers with NA": (int, True),
    "floats with NA": (float, True),
    "bools with NA": (bool, True),
    "Arrow-backed": (int, True),
    "objects: numbers": (float, True),
    "objects: Decimal": (lambda value: Decimal(int(value)), True),
    "text": (str, True),
    "category": (str, True),
    "dates": (to_date, True),
    "durations": (lambda value: timedelta(days=int(value)), True),
    "complex": (complex, False),
}
REFUSED = {
    "text": "text",
    "category": "categories",
    "dates": "dates",
    "durations": "durations",
    "complex": "complex numbers",
}
NUMPY_DTYPES = {
    "text": "U3",
    "dates": "datetime64[s]",
    "durations": "timedelta64[s]",
    "objects: numbers": object,
    "objects: Decimal": object,
}


def expected_values(content):
    convert, has_missing = CONTENTS[content]
    values = VALUES.astype(bool).astype(float) if convert is bool else VALUES.copy()
    if has_missing:
        values[MASK] = np.nan
    return values


def numpy_table(content):
    dtype = NUMPY_DTYPES.get(content, content)
    if content in ("category", "Arrow-backed") or "NA" in content:
        return None
    convert, has_missing = CONTENTS[content]
    if content == "complex":
        return VALUES.astype(complex)
    if content in ("text", "dates", "durations"):
        table = np.array([[convert(v) for v in row] for row in VALUES.tolist()])
        return table.astype(dtype)
    if not has_missing:
        return expected_values(content).astype(dtype)
    return make_objects(convert, None if dtype is object else np.nan).astype(dtype)


def list_table(content):
    convert, has_missing = CONTENTS[content]
    if content in ("category", "Arrow-backed", "floats with NA", "float16", "float32"):
        return None
    if not has_missing:
        return [[convert(value) for value in row] for row in VALUES.tolist()]
    missing = np.nan if content == "float64" else None
    return make_objects(convert, missing).tolist()


PANDAS_DTYPES = {
    "integers with NA": "Int64",
    "floats with NA": "Float64",
    "bools with NA": "boolean",
    "category": "category",
    "text": "str",
    "dates": "datetime64[ns]",
    "durations": "timedelta64[ns]",
}


def pandas_table(content):
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    dtype = PANDAS_DTYPES.get(content, content)
    if content == "Arrow-backed":
        pytest.importorskip("pyarrow", exc_type=ImportError)
        dtype = "int64[pyarrow]"
    convert, has_missing = CONTENTS[content]
    if content in ("float64", "float32", "float16"):
        return pd.DataFrame(expected_values(content), columns=NAMES).astype(dtype)
    if not has_missing:
        return pd.DataFrame(VALUES, columns=NAMES).astype(dtype)
    objects = pd.DataFrame(make_objects(convert, None), columns=NAMES, dtype=object)
    if content.startswith("objects"):
        return objects.where(~MASK, pd.NA)
    return objects.astype(dtype)


def polars_dtype(pl, content):
    return {
        "float64": pl.Float64,
        "float32": pl.Float32,
        "int64": pl.Int64,
        "uint8": pl.UInt8,
        "bool": pl.Boolean,
        "integers with NA": pl.Int64,
        "floats with NA": pl.Float64,
        "bools with NA": pl.Boolean,
        "objects: numbers": pl.Object,
        "objects: Decimal": pl.Decimal(10, 2),
        "text": pl.String,
        "category": pl.Categorical,
        "dates": pl.Datetime,
        "durations": pl.Duration,
    }.get(content)


def polars_table(content):
    pl = pytest.importorskip("polars", exc_type=ImportError)
    dtype = polars_dtype(pl, content)
    if dtype is None:
        return None
    convert, has_missing = CONTENTS[content]
    missing = float("nan") if content in ("float64", "float32") else None
    objects = make_objects(convert, missing)
    if not has_missing:
        objects = np.vectorize(convert, otypes=[object])(VALUES)
    if convert is np.float32:
        objects = objects.astype(float)
    columns = zip(NAMES, objects.T, strict=True)
    return pl.DataFrame(
        [pl.Series(name, column.tolist(), dtype=dtype) for name, column in columns]
    )


def arrow_table(content):
    pa = pytest.importorskip("pyarrow", exc_type=ImportError)
    types = {
        "float64": pa.float64(),
        "float32": pa.float32(),
        "int64": pa.int64(),
        "uint8": pa.uint8(),
        "bool": pa.bool_(),
        "integers with NA": pa.int64(),
        "floats with NA": pa.float64(),
        "bools with NA": pa.bool_(),
        "objects: Decimal": pa.decimal128(10, 2),
        "text": pa.string(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "dates": pa.timestamp("s"),
        "durations": pa.duration("s"),
    }
    if content not in types:
        return None
    convert, has_missing = CONTENTS[content]
    missing = float("nan") if content in ("float64", "float32") else None
    objects = make_objects(convert, missing)
    if not has_missing:
        objects = np.vectorize(convert, otypes=[object])(VALUES)
    columns = [pa.array(column.tolist(), types[content]) for column in objects.T]
    return pa.table(columns, names=NAMES)


def sparse_tables(content):
    dtypes = {
        "float64": np.float64,
        "float32": np.float32,
        "int64": np.int64,
        "uint8": np.uint8,
        "bool": bool,
        "complex": complex,
    }
    if content not in dtypes:
        return None
    values = VALUES if CONTENTS[content][1] else expected_values(content)
    rows, columns = np.nonzero(~MASK if CONTENTS[content][1] else MASK | True)
    data = values[rows, columns].astype(dtypes[content])
    coo = sparse.coo_array((data, (rows, columns)), shape=values.shape)
    formats = ["csr", "csc", "coo"] if content == "bool" else SPARSE_FORMATS
    return [coo.asformat(format_) for format_ in formats if keeps_zeros(coo, format_)]


def keeps_zeros(coo, format_):
    return coo.asformat(format_).nnz == coo.nnz


def pandas_sparse_tables(content):
    """Columns whose values elsewhere are missing, and columns of zeros elsewhere."""
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    if content not in ("float64", "float32", "int64", "uint8", "bool"):
        return None
    frame = pandas_table(content)
    if content in ("float64", "float32"):
        missing_elsewhere = frame.astype(pd.SparseDtype(content, np.nan))
        return [missing_elsewhere, frame.astype(pd.SparseDtype(content, 0.0))]
    return [frame.astype(pd.SparseDtype(content, np.dtype(content).type(0)))]


def dask_table(content):
    da = pytest.importorskip("dask.array", exc_type=ImportError)
    table = numpy_table(content)
    return None if table is None else da.from_array(table, chunks=(15, 3))


def as_list(make):
    def make_list(content):
        table = make(content)
        return None if table is None else [table]

    return make_list


CONTAINERS = {
    "numpy": as_list(numpy_table),
    "list": as_list(list_table),
    "pandas": as_list(pandas_table),
    "polars": as_list(polars_table),
    "pyarrow": as_list(arrow_table),
    "scipy sparse": sparse_tables,
    "pandas sparse": pandas_sparse_tables,
    "Dask array": as_list(dask_table),
}


def make_estimators():
    yield MaskedGaussianMixture(covariance_type="diag")
    yield KMeansMixture()


def describe_cell(container, content):
    """What the table of the guide says of a cell: empty if there is no such table."""
    if CONTAINERS[container](content) is None:
        return ""
    if content in REFUSED:
        return "refused"
    return "values, missing" if CONTENTS[content][1] else "values"


def write_guide():
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", *CONTAINERS])
    for content in CONTENTS:
        writer.writerow([content, *(describe_cell(c, content) for c in CONTAINERS)])
    return file.getvalue()


def test_guide_shows_this_table():
    for package in ("pandas", "polars", "pyarrow", "dask.array"):
        pytest.importorskip(package, exc_type=ImportError)
    assert TABLE.read_text() == write_guide()


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.LostZerosWarning")
@pytest.mark.parametrize("content", [c for c in CONTENTS if c not in REFUSED])
@pytest.mark.parametrize("container", CONTAINERS)
def test_accepted(container, content):
    tables = CONTAINERS[container](content)
    if tables is None:
        return
    expected = expected_values(content)
    is_single = content == "float32" and container != "list"
    tolerance = 1e-5 if is_single else 1e-12
    oracles = [estimator.fit(expected) for estimator in make_estimators()]
    for table in tables:
        for ours, oracle in zip(make_estimators(), oracles, strict=True):
            completed = np.asarray(ours.fit(table).transform(table))
            assert completed.dtype == (np.float32 if is_single else np.float64)
            near = {"rtol": tolerance, "atol": tolerance}
            assert_allclose(ours.means_, oracle.means_, **near)
            assert_allclose(completed, oracle.transform(expected), **near)
            if hasattr(table, "columns"):
                assert_array_equal(ours.feature_names_in_, NAMES)


@pytest.mark.parametrize("content", REFUSED)
@pytest.mark.parametrize("container", CONTAINERS)
def test_refused(container, content):
    tables = CONTAINERS[container](content)
    if tables is None:
        return
    by_name = container in ("pandas", "polars", "pyarrow")
    column = "Column 'a' of X" if by_name else "Column 0 of X"
    for table in tables:
        for estimator in make_estimators():
            with pytest.raises(ValueError, match=column) as info:
                estimator.fit(table)
            message = str(info.value)
            assert f"has {REFUSED[content]}, such as " in message
            assert "in row 0 (from 0)" in message
            way_out = "parts as columns" if content == "complex" else "onvert it"
            assert way_out in message
            assert ("MixtureImputer" in message) == (content != "complex")


@pytest.mark.parametrize("content", [c for c in REFUSED if c != "complex"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_one_column_among_numbers(library, content):
    make = {"pandas": pandas_table, "polars": polars_table}[library]
    frame, numbers = make(content), make("float64")
    if library == "pandas":
        mixed = numbers.assign(b=frame["b"])
    else:
        mixed = numbers.with_columns(frame["b"])
    for work in (
        MaskedGaussianMixture().fit,
        KMeansMixture().fit,
        MaskedGaussianMixture().fit(numbers).transform,
        RowNormalizer().fit_transform,
        NormalScoreTransformer().fit_transform,
        lambda X: hide_entries(X, 0.1),
    ):
        with pytest.raises(ValueError, match=r"Column 'b' of X has .* in row 0"):
            work(mixed)


def test_entry_that_is_no_number():
    X = make_objects(float, None)
    for value, error, named in [
        ({"a": 1}, TypeError, "argument must be a string or a real number, not 'dict'"),
        ([1, 2], TypeError, "not 'list'"),
        (np.ones(2), TypeError, "not 'ndarray'"),
        ("4", ValueError, "text, such as '4'"),
        (1j, ValueError, "complex numbers, such as 1j"),
        (10**400, ValueError, "infinity"),
    ]:
        X[7, 2] = value
        with pytest.raises(error, match=r"[Cc]olumn 2.*row 7 \(from 0\)") as info:
            MaskedGaussianMixture().fit(X)
        assert named in str(info.value)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity(value):
    X = expected_values("float64")
    X[5, 1] = X[2, 2] = value
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    pl = pytest.importorskip("polars", exc_type=ImportError)
    tables = [(X, 1), (X.tolist(), 1), (to_sparse(X, "csr_array"), 1)]
    tables += [(pd.DataFrame(X, columns=NAMES), "'b'"), (pl.DataFrame(X, NAMES), "'b'")]
    for table, column in tables:
        with pytest.raises(
            ValueError, match=rf"infinity.*first is in column {column}, row 5.*by NaN"
        ):
            MaskedGaussianMixture().fit(table)


def test_large_integers_are_rounded_as_floats_are():
    X = np.arange(2**60, 2**60 + 6).reshape(3, 2)
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    for table in (X, X.astype(np.uint64), X.tolist(), pd.DataFrame(X).astype("Int64")):
        completed = MaskedGaussianMixture(covariance_type="diag").fit_transform(table)
        assert_array_equal(completed, X.astype(float))


@pytest.mark.parametrize("missing", [False, True])
def test_large_integers_of_arrow_are_rounded_as_floats_are(missing):
    pa = pytest.importorskip("pyarrow", exc_type=ImportError)
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    values = [2**60 + 1, None if missing else 2**60 + 300, 2**60 + 700]
    expected = MaskedGaussianMixture(covariance_type="diag").fit_transform(
        np.array(values, dtype=float)[:, None]
    )
    for kind in (pa.int64(), pa.uint64()):
        array = pa.array(values, kind)
        for table in (
            pa.table({"a": array}),
            pd.DataFrame({"a": pd.array(values, dtype=pd.ArrowDtype(kind))}),
        ):
            mixture = MaskedGaussianMixture(covariance_type="diag")
            assert_array_equal(mixture.fit_transform(table), expected)


@pytest.mark.parametrize("library", ["list", "pandas", "polars", "pyarrow"])
def test_times_of_day_are_refused(library):
    times = [[time(9)], [None], [time(17)]]
    table = times
    if library == "pandas":
        pd = pytest.importorskip("pandas", exc_type=ImportError)
        table = pd.DataFrame(times, columns=["a"])
    elif library != "list":
        module = pytest.importorskip(library, exc_type=ImportError)
        make = module.table if library == "pyarrow" else module.DataFrame
        table = make({"a": [row[0] for row in times]})
    with pytest.raises(
        ValueError, match=r"Column (0|'a') of X has times of day.*row 0.*such as hours"
    ):
        MaskedGaussianMixture().fit(table)


@pytest.mark.parametrize("unit", ["datetime64[s]", "timedelta64[s]"])
def test_dates_after_missing_ones(unit):
    X = np.array([["NaT"], [3], [4]], dtype=object).astype(unit)
    with pytest.raises(ValueError, match=r"Column 0 of X has .*64\(.*in row 1"):
        MaskedGaussianMixture().fit(X)


def test_frames_of_only_missing_columns_beside_others():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    frame = pd.DataFrame({"a": np.arange(9, dtype=np.float32), "b": [None] * 9})
    dates = frame.assign(b=pd.Series([pd.NaT] * 9))
    for table in (frame, dates):
        with pytest.warns(match="1 column.s. without an observed entry.*: b"):
            completed = MaskedGaussianMixture(covariance_type="diag").fit(table)
        assert completed.means_.dtype == np.float64
        assert completed.transform(table).dtype == np.float32


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_sparse_columns_mean_the_same_beside_dense_ones(fill):
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    dense = pd.DataFrame(expected_values("float64"), columns=NAMES)
    whole = dense.astype(pd.SparseDtype(float, fill))
    some = dense.assign(a=whole["a"])
    results = []
    for table in (dense, whole, some):
        mixture = MaskedGaussianMixture(2, covariance_type="full", random_state=0)
        frame = mixture.set_output(transform="pandas").fit_transform(table)
        assert list(frame) == NAMES
        results.append(frame.to_numpy())
    assert_allclose(results[1], results[0], rtol=1e-12)
    assert_allclose(results[2], results[0], rtol=1e-12)
    hidden = [hide_entries(table, 0.2, random_state=0) for table in (dense, whole)]
    assert_array_equal(hidden[1][1], hidden[0][1])
    assert_array_equal(np.asarray(hidden[1][0], dtype=float), hidden[0][0])
    for transformer in (RowNormalizer(), NormalScoreTransformer()):
        expected = transformer.fit_transform(dense)
        found = transformer.fit_transform(whole)
        if sparse.issparse(found):
            found = np.where(MASK, np.nan, found.toarray())
        assert_allclose(found, expected, rtol=1e-12)


def test_one_hot_columns_keep_their_zeros():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    text = pd.DataFrame({"kind": list("aabbbcca")})
    one_hot = pd.get_dummies(text, sparse=True)
    for frame in (one_hot, one_hot.assign(size=np.arange(8.0))):
        means = MaskedGaussianMixture(covariance_type="diag").fit(frame).means_
        assert_allclose(means[0, :3], [3 / 8, 3 / 8, 2 / 8])


def test_sparse_frame_of_many_missing_entries_stays_small():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    X = sparse.random(3000, 60, 0.01, format="csr", random_state=0)
    columns = [
        pd.arrays.SparseArray(np.where(c == 0, np.nan, c)) for c in X.toarray().T
    ]
    frame = pd.DataFrame({str(j): column for j, column in enumerate(columns)})
    numbers = read_numbers(frame)
    assert sparse.issparse(numbers)
    assert numbers.nnz == X.nnz
    assert_array_equal(numbers.toarray(), X.toarray())


INDICATOR = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1], [1, 1, 1, 0]])


@pytest.mark.parametrize("estimator", make_estimators(), ids=lambda e: type(e).__name__)
def test_indicator_matrices_have_lost_their_zeros(estimator):
    ones = sparse.csr_array(INDICATOR)
    message = r"not stored are missing.*toarray\(\).*: 0, 1, 2, 3\."
    levels = ones * np.array([3.0, 1, 2, 5])  # one value in each column
    for X in (ones, ones.astype(np.float32), levels):
        with pytest.warns(LostZerosWarning, match=message):
            estimator.fit(X)
    estimator.transform(ones)
    # None of these has lost a zero.
    complete = sparse.csr_array(np.ones((4, 3)))
    rated = ones.astype(float)
    rated.data[0] = 2.0
    alone = sparse.csr_array(np.diag([1.0, 2, 3, 4]))
    few = ones[:3]  # too few to tell
    for X in (ones.toarray(), complete, rated, alone, few):
        estimator.fit(X)
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    frame = pd.DataFrame(np.where(INDICATOR, 1.0, np.nan), columns=list("abcd"))
    with pytest.warns(LostZerosWarning, match="make 0 the fill_value.*: a, b, c, d"):
        estimator.fit(frame.astype(pd.SparseDtype(float, np.nan)))
    estimator.fit(frame.fillna(0).astype(pd.SparseDtype(float, 0.0)))


def test_indicator_chunks_have_lost_their_zeros():
    da = pytest.importorskip("dask.array", exc_type=ImportError)
    ones = sparse.csr_matrix(INDICATOR.astype(float))
    X = da.concatenate(
        [da.from_array(ones[:2], chunks=-1), da.from_array(ones[2:], chunks=-1)]
    )
    with pytest.warns(LostZerosWarning):
        MaskedGaussianMixture(covariance_type="diag").fit(X)


def test_infinity_in_arrow():
    pa = pytest.importorskip("pyarrow", exc_type=ImportError)
    with pytest.raises(ValueError, match="first is in column 'b', row 1"):
        MaskedGaussianMixture().fit(pa.table({"a": [1.0, 2], "b": [3, np.inf]}))


def test_polars_frames_of_floats_are_not_copied():
    pl = pytest.importorskip("polars", exc_type=ImportError)
    frame = pl.DataFrame(np.asfortranarray(VALUES), schema=NAMES)
    assert np.shares_memory(read_numbers(frame), frame.to_numpy())
    assert read_numbers(frame.cast(pl.Float32)).dtype == np.float32


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_each_column_of_a_frame_is_looked_up_once(library, monkeypatch):
    # A look-up of one column by its number takes longer in wider frames.
    pytest.importorskip(library, exc_type=ImportError)
    make = {"pandas": pandas_table, "polars": polars_table}[library]
    monkeypatch.setattr(nw.DataFrame, "__getitem__", None)
    for content in ("integers with NA", "bools with NA", "objects: numbers"):
        assert_array_equal(read_numbers(make(content)), expected_values(content))


def test_frames_of_single_precision_beside_others():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    pl = pytest.importorskip("polars", exc_type=ImportError)
    columns = {"a": np.float32([1, 2]), "b": np.array([True, False])}
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns)):
        assert read_numbers(frame).dtype == np.float64
        assert read_numbers(frame[["a"]]).dtype == np.float32


def test_wide_integers():
    pl = pytest.importorskip("polars", exc_type=ImportError)
    if not hasattr(pl, "Int128"):
        pytest.skip("polars without integers of 128 bits")
    frame = pl.DataFrame({"a": pl.Series([2**70, None, 3], dtype=pl.Int128)})
    assert_array_equal(read_numbers(frame), [[2.0**70], [np.nan], [3.0]])


def test_masked_arrays_in_lists():
    rows = [np.ma.array([1.0, 2.0], mask=[False, True]), np.ma.array([3.0, 4.0])]
    with pytest.raises(ValueError, match=r"masked array.*filled\(np\.nan\)"):
        MaskedGaussianMixture().fit(rows)


def test_other_tables_are_refused_in_words():
    pl = pytest.importorskip("polars", exc_type=ImportError)
    with pytest.raises(ValueError, match=r"X is a LazyFrame. Pass X.collect\(\)"):
        MaskedGaussianMixture().fit(pl.DataFrame(VALUES, schema=NAMES).lazy())
    records = np.zeros(5, dtype=[("a", float), ("b", float)])
    with pytest.raises(ValueError, match="X is an array of records"):
        MaskedGaussianMixture().fit(records)


def test_narwhals_frames():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    frame = pd.DataFrame(expected_values("float64"), columns=NAMES)
    mixture = MaskedGaussianMixture(covariance_type="diag")
    means = mixture.fit(frame).means_
    assert_array_equal(mixture.fit(nw.from_native(frame)).means_, means)
    assert_array_equal(mixture.feature_names_in_, NAMES)


def test_two_markers_in_sparse_columns():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    dense = pd.DataFrame(expected_values("float64"), columns=NAMES)
    for frame in (dense, dense.astype(pd.SparseDtype(float, np.nan))):
        with pytest.raises(ValueError, match="X contains NaN while missing_values=0"):
            MaskedGaussianMixture(missing_values=0).fit(frame)


def test_empty_complex_matrix():
    with pytest.raises(ValueError, match="Complex data not supported"):
        MaskedGaussianMixture().fit(sparse.csr_array((3, 2), dtype=complex))


@st.composite
def masks_and_values(draw):
    shape = draw(st.integers(4, 12)), draw(st.integers(1, 4))
    size = shape[0] * shape[1]
    mask = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    mask = mask.reshape(shape)
    mask[0], mask[1] = False, False
    values = draw(st.lists(st.integers(-9, 9), min_size=size, max_size=size))
    return np.array(values, dtype=float).reshape(shape), mask


@settings(deadline=None, max_examples=25)
@given(masks_and_values())
def test_the_same_table_in_all_containers(table):
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    pl = pytest.importorskip("polars", exc_type=ImportError)
    values, mask = table
    dense = np.where(mask, np.nan, values)
    names = [f"x{j}" for j in range(values.shape[1])]
    objects = np.where(mask, None, values.astype(object))
    rows, columns = np.nonzero(~mask)
    entries = values[rows, columns], (rows, columns)
    frame = pd.DataFrame(dense, columns=names)
    forms = [
        dense,
        dense.tolist(),
        objects,
        frame,
        frame.astype("Int64"),
        frame.astype(pd.SparseDtype(float, np.nan)),
        frame.astype(pd.SparseDtype(float, 0.0)),
        pl.DataFrame({n: c.tolist() for n, c in zip(names, objects.T, strict=True)}),
        sparse.csr_array(entries, shape=values.shape),
        sparse.coo_array(entries, shape=values.shape),
    ]
    fits = [MaskedGaussianMixture(covariance_type="diag") for _ in forms]
    for fit, form in zip(fits, forms, strict=True):
        with warnings.catch_warnings():
            # A matrix that stores one value may have lost zeros.
            warnings.simplefilter("ignore", LostZerosWarning)
            fit.fit(form)
        assert_allclose(fit.means_, fits[0].means_, rtol=1e-12, atol=1e-12)
        assert_allclose(
            fit.transform(form), fits[0].transform(dense), rtol=1e-12, atol=1e-12
        )


if __name__ == "__main__":
    TABLE.write_text(write_guide())
