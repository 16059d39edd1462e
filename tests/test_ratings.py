# SPDX-License-Identifier: BSD-3-Clause
"""Tables of ratings in and out, against plain dictionaries."""

import pickle
import re
import tracemalloc
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_gmmcf import MaskedGaussianMixture, _rating_matrix
from sklearn_gmmcf.ratings import RatingsEncoder
from tests.made import LINES
from tests.optional import pd, pl

try:
    import pyarrow as pa
except ImportError:  # with numpy 1
    pa = None

NAMES = ["user", "item", "rating"]


def as_pandas(lines):
    return pd.DataFrame(lines, columns=NAMES).assign(when=0)


def as_polars(lines):
    return pl.DataFrame(lines, schema=NAMES, orient="row")


def as_arrays(lines):
    return tuple(np.array(column) for column in zip(*lines, strict=True))


def as_pyarrow(lines):
    return pa.table(dict(zip(NAMES, map(list, zip(*lines, strict=True)), strict=True)))


TABLES = [as_pandas, as_polars, as_arrays, *([] if pa is None else [as_pyarrow])]


def read(frame):
    """Columns of a decoded frame."""
    names = getattr(frame, "column_names", None) or list(frame.columns)
    if hasattr(frame, "to_pylist"):
        return {name: frame.column(name).to_pylist() for name in names}
    return {name: frame[name].to_list() for name in names}


def stored(X, users, items):
    """A matrix as a dictionary of dictionaries."""
    result = {user: {} for user in users}
    for i, j, value in zip(X.tocoo().row, X.tocoo().col, X.tocoo().data, strict=True):
        assert items[j] not in result[users[i]]
        result[users[i]][items[j]] = value
    return result


def by_hand(lines, rule="last"):
    result = {}
    for user, item, rating in lines:
        result.setdefault(user, {}).setdefault(item, []).append(rating)
    pick = {"last": lambda r: r[-1], "mean": np.mean}[rule]
    return {u: {i: pick(r) for i, r in rated.items()} for u, rated in result.items()}


@pytest.mark.parametrize("make", TABLES)
def test_there(make):
    encoder = RatingsEncoder()
    X, users = encoder.fit_encode(make(LINES))
    assert users.tolist() == encoder.users_.tolist() == ["ann", "bob", "eve"]
    assert encoder.items_.tolist() == [10, 20, 30]
    assert X.shape == (3, 3)
    assert X.has_sorted_indices
    assert stored(X, users, encoder.items_) == by_hand(LINES)
    again, _ = RatingsEncoder().fit(make(LINES)).encode(make(LINES))
    np.testing.assert_array_equal(again.toarray(), X.toarray())
    assert X.nnz == again.nnz == 5


@pytest.mark.parametrize("make", TABLES)
def test_and_back(make):
    encoder = RatingsEncoder(rating_range=(1, 4.5), out_of_range="clip")
    encoder.fit(make(LINES))
    # In the form of recommend: best first, -1 where no item is left.
    items = np.array([[2, 0], [1, -1]])
    values = np.array([[7.0, 2.0], [0.5, np.nan]])
    std = np.array([[0.1, 0.2], [0.3, np.nan]])
    decoded = encoder.decode(np.array(["eve", "new"]), items, values, std)
    expected = {
        "user": ["eve", "eve", "new"],
        "item": [30, 10, 20],
        "rating": [4.5, 2, 1],
        "std": [0.1, 0.2, 0.3],
    }
    if make is as_arrays:
        assert isinstance(decoded, tuple)
        decoded = dict(zip(expected, decoded, strict=True))
    else:
        assert type(decoded) is type(make(LINES))
        assert read(decoded).keys() == expected.keys()
        decoded = read(decoded)
    for name, column in expected.items():
        assert list(decoded[name]) == column
    plain = encoder.set_params(rating_range=None).decode(["eve"], [[2, 0]], values[:1])
    ratings = plain[2] if make is as_arrays else read(plain)["rating"]
    assert list(ratings) == [7, 2]


def test_all_of_a_matrix_and_some_of_its_entries():
    encoder = RatingsEncoder()
    X, users = encoder.fit_encode(as_pandas(LINES))
    mixture = MaskedGaussianMixture(covariance_type="spherical").fit(X)
    completed = mixture.transform(X)
    whole = encoder.decode(users, range(3), completed)
    for line, (user, item, rating) in enumerate(whole.itertuples(index=False)):
        i, j = divmod(line, 3)
        assert (user, item) == (users[i], encoder.items_[j])
        assert rating == completed[i, j]
    rows, columns = [2, 0], [1, 1]
    decoded = encoder.decode(
        users[rows],
        columns,
        *mixture.complete(X, entries=(rows, columns), return_std=True),
    )
    assert decoded["user"].tolist() == ["eve", "ann"]
    assert decoded["item"].tolist() == [20, 20]
    assert decoded["rating"].tolist() == [completed[2, 1], completed[0, 1]]
    assert (decoded["std"] > 0).tolist() == [True, False]


@given(
    lines=st.lists(
        st.tuples(st.integers(-3, 9), st.sampled_from("abcdef"), st.integers(0, 10)),
        min_size=1,
        max_size=40,
    ),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    rule=st.sampled_from(["last", "mean"]),
    make=st.sampled_from(TABLES),
    block=st.sampled_from([1, 5, 2**18]),
)
def test_any_table_in_any_parts(lines, cuts, rule, make, block):
    bounds = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    parts = [make(lines[a:b]) for a, b in pairwise(bounds) if a < b]
    encoder = RatingsEncoder(duplicates=rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rating_matrix, "_SORTED_ENTRIES", block)
        X, users = encoder.fit_encode(lambda: iter(parts))
        whole, _ = encoder.encode(make(lines))
    expected = by_hand(lines, rule)
    assert users.tolist() == sorted(expected)
    assert encoder.items_.tolist() == sorted({item for _, item, _ in lines})
    for matrix in (X, whole):
        found = stored(matrix, users, encoder.items_)
        assert found.keys() == expected.keys()
        for user in found:
            assert found[user] == pytest.approx(expected[user])


@st.composite
def drawn_tables(draw):
    """A mask, then ids and values: lines in any order, without duplicates."""
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    mask = draw(arrays(bool, (n, d)).filter(np.any))
    number = st.integers(-(2**63), 2**63 - 1)
    small = st.integers(-5, 9)
    text = st.text(st.characters(codec="utf-8"), max_size=4).filter(
        lambda each: not each.endswith("\0")
    )
    ids = [
        draw(st.lists(draw(st.sampled_from([number, small, text])), **options))
        for options in (
            {"min_size": n, "max_size": n, "unique": True},
            {"min_size": d, "max_size": d, "unique": True},
        )
    ]
    value = st.floats(allow_nan=False, allow_infinity=False)
    lines = [
        (ids[0][i], ids[1][j], draw(value))
        for i, j in zip(*np.nonzero(mask), strict=True)
    ]
    return draw(st.permutations(lines))


@settings(max_examples=20)
@given(lines=drawn_tables(), make=st.sampled_from(TABLES), data=st.data())
def test_any_table_there_and_back(lines, make, data):
    """Decoding the stored entries gives the lines, of one table or of its pieces."""
    cut = data.draw(st.integers(1, len(lines)))
    parts = [make(part) for part in (lines[:cut], lines[cut:]) if part]
    expected = {(user, item): value for user, item, value in lines}
    for table in (make(lines), lambda: iter(parts)):
        encoder = RatingsEncoder()
        for X, users in (encoder.fit_encode(table), encoder.encode(table)):
            entries = X.tocoo()
            decoded = encoder.decode(users[entries.row], entries.col, entries.data)
            if make is as_arrays:
                columns = [column.tolist() for column in decoded]
            else:
                assert type(decoded) is type(make(lines))
                columns = list(read(decoded).values())
            found = list(zip(*columns, strict=True))
            assert len(found) == len(lines)
            assert {(user, item): value for user, item, value in found} == expected


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "dd", "\u00e9"]),
            st.integers(-2, 3),
            st.floats(-1e10, 1e10, width=32),
        ),
        min_size=1,
        max_size=60,
    ),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    dtype=st.sampled_from([np.float32, np.float64]),
    duplicates=st.sampled_from(["last", "mean"]),
    limits=st.sampled_from(
        [
            {},
            {"rating_range": (-10, 1e3), "out_of_range": "missing"},
            {"rating_range": (-10, 1e3), "out_of_range": "clip"},
        ]
    ),
)
def test_pieces_give_the_same_bits(lines, cuts, dtype, duplicates, limits):
    users, items, values = as_arrays(lines)
    table = users, items, values.astype(dtype)
    bounds = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    pieces = [[column[a:b] for column in table] for a, b in pairwise(bounds)]
    results = []
    for each in (table, lambda: map(tuple, pieces)):
        encoder = RatingsEncoder(duplicates=duplicates, **limits)
        for X, users in (encoder.fit_encode(each), encoder.encode(each)):
            arrays = X.data, X.indices, X.indptr, users, encoder.items_
            results.append([(array.dtype, array.tobytes()) for array in arrays])
            assert X.dtype == dtype
    assert all(result == results[0] for result in results)


class TestOutOfRange:
    lines = [("ann", 1, 5.0), ("ann", 2, -1.0), ("bob", 3, 6.0), ("cyd", 1, 1.0)]

    @pytest.mark.parametrize("make", TABLES)
    def test_is_an_error(self, make):
        message = re.escape(
            "The rating -1 in line 1 (from 0) of the table is outside rating_range=(1, "
            "5), and so is 1 other. If it marks a missing rating, pass "
            "out_of_range='missing'; pass 'clip' to move ratings to the nearest bound; "
            "or correct the line, or rating_range."
        )
        encoder = RatingsEncoder(rating_range=(1, 5))
        for method in (encoder.fit, encoder.fit_encode):
            with pytest.raises(ValueError, match=message):
                method(make(self.lines))
        with pytest.raises(
            ValueError, match=r"5\.5 in line 0 .* table is outside rating"
        ):
            encoder.fit(make([("ann", 1, 5.5)]))
        encoder.fit(make([(u, i, abs(r) % 6) for u, i, r in self.lines[:2]]))
        with pytest.raises(ValueError, match="-1 in line 0"):
            encoder.encode(make(self.lines[1:2]))
        encoder.set_params(out_of_range="clip")
        assert encoder.encode(make(self.lines[1:2]))[0].data.tolist() == [1]

    @pytest.mark.parametrize("make", TABLES)
    def test_may_be_missing(self, make):
        encoder = RatingsEncoder(rating_range=(1, 5), out_of_range="missing")
        for table in (make(self.lines), lambda: [make(self.lines)]):
            X, users = encoder.fit_encode(table)
            assert users.tolist() == ["ann", "bob", "cyd"]
            assert encoder.items_.tolist() == [1, 2, 3]
            found = stored(X, users, encoder.items_)
            assert found == {"ann": {1: 5}, "bob": {}, "cyd": {1: 1}}
            X, users = encoder.encode(make(self.lines[1:2]))
            assert (users.tolist(), X.shape, X.nnz) == (["ann"], (1, 3), 0)

    @pytest.mark.parametrize("make", TABLES)
    def test_may_be_clipped(self, make):
        encoder = RatingsEncoder(rating_range=(1, 5), out_of_range="clip")
        X, users = encoder.fit_encode(make(self.lines))
        expected = [(u, i, min(max(r, 1), 5)) for u, i, r in self.lines]
        assert stored(X, users, encoder.items_) == by_hand(expected)

    def test_bounds_are_inside(self):
        values = np.array([0.1, 4.9], dtype=np.float32)  # above 0.1, and below 4.9
        encoder = RatingsEncoder(rating_range=(np.float64(0.1), np.float64(4.9)))
        X, _ = encoder.fit_encode((["ann", "ann"], [1, 2], values))
        assert X.dtype == np.float32
        assert X.data.tolist() == values.tolist()

    @pytest.mark.parametrize("out_of_range", ["missing", "clip"])
    def test_needs_a_range(self, out_of_range):
        table = as_pandas(self.lines)
        assert RatingsEncoder().fit_encode(table)[0].nnz == 4
        message = rf"out_of_range='{out_of_range}' needs .* Pass rating_range=\(low"
        encoder = RatingsEncoder(out_of_range=out_of_range)
        with pytest.raises(ValueError, match=message):
            encoder.fit(table)
        encoder.set_params(rating_range=(1, 5)).fit(table)
        with pytest.raises(ValueError, match=message):
            encoder.set_params(rating_range=None).encode(table)

    @pytest.mark.parametrize(
        "wrong",
        [
            (5, 1),
            (1, 1),
            (1,),
            (1, 2, 3),
            (1, np.inf),
            (np.nan, 5),
            ("1", "5"),
            [0, None],
        ],
    )
    def test_is_two_numbers(self, wrong):
        message = rf"two finite numbers .* low < high, but got {re.escape(repr(wrong))}"
        encoder = RatingsEncoder(rating_range=wrong)
        with pytest.raises(ValueError, match=message):
            encoder.fit(as_pandas(LINES))
        encoder.set_params(rating_range=None).fit(as_pandas(LINES))
        with pytest.raises(ValueError, match=message):
            encoder.set_params(rating_range=wrong).decode(["ann"], [0], [1.0])


def test_decodes_nothing():
    encoder = RatingsEncoder().fit((["ann"], [10], [1.0]))
    assert [column.tolist() for column in encoder.decode([], [], [])] == [[], [], []]


class TestNewUsers:
    later = [("zoe", 30, 1.0), ("ann", 10, 2.0), ("zoe", 10, 3.0)]

    def test_rows_are_those_of_the_table(self):
        encoder = RatingsEncoder().fit(as_pandas(LINES))
        X, users = encoder.encode(as_pandas(self.later))
        assert users.tolist() == ["ann", "zoe"]
        assert encoder.users_.tolist() == ["ann", "bob", "eve"]
        assert X.shape == (2, 3)
        assert stored(X, users, encoder.items_) == by_hand(self.later)

    def test_further_users_of_pieces(self):
        encoder = RatingsEncoder().fit(as_pandas(LINES))
        pieces = [as_pandas(self.later[:1]), as_pandas(self.later[1:])]
        expected, users = encoder.encode(as_pandas(self.later), users=["max", "ann"])
        assert users.tolist() == ["ann", "max", "zoe"]
        X, users = encoder.encode(lambda: pieces, users=["max", "ann"])
        assert users.tolist() == ["ann", "max", "zoe"]
        np.testing.assert_array_equal(X.toarray(), expected.toarray())
        assert stored(X, users, encoder.items_) == by_hand(self.later) | {"max": {}}

    @pytest.mark.parametrize("make", TABLES)
    def test_unknown_items(self, make):
        later = [*self.later, ("zoe", 15, 4.0), ("max", 99, 4.0)]
        encoder = RatingsEncoder().fit(make(LINES))
        for n_lines, others in ((2, " and 1 other"), (3, " and 2 others"), (1, "")):
            table = [
                *self.later,
                *[("zoe", 15, 4.0), ("max", 99, 4.0), ("max", 98, 4.0)][:n_lines],
            ]
            message = rf"fit has not seen item 15{others} of this table\. Pass"
            with pytest.raises(ValueError, match=message):
                encoder.encode(make(table))
        encoder.set_params(unknown_items="ignore")
        X, users = encoder.encode(make(later))
        assert users.tolist() == ["ann", "max", "zoe"]
        expected = by_hand(self.later) | {"max": {}}
        assert stored(X, users, encoder.items_) == expected
        X, users = encoder.encode(lambda: [make(later)])
        assert stored(X, users, encoder.items_) == expected
        # A user without a known item is completed by the mean.
        mixture = MaskedGaussianMixture(covariance_type="spherical").fit(
            encoder.encode(make(LINES))[0]
        )
        np.testing.assert_allclose(mixture.transform(X)[1], mixture.means_[0])
        X, users = encoder.encode(make(later[-1:]))
        assert X.shape == (1, 3)
        assert X.nnz == 0


class TestIds:
    @pytest.mark.parametrize(
        "ids",
        [
            pd.Series([3, 1, 2, 1], dtype="Int64"),
            pd.Series(list("caba"), dtype="string"),
            pd.Series(list("caba"), dtype="category"),
            pd.Series(pd.to_datetime([4, 1, 3, 1], unit="D")),
            pd.Series([(3, 1), (1, 1), (2, 5), (1, 1)]),
            np.array([3, 1, 2, 1], dtype=np.uint8),
            np.array([3.0, 1, 2, 1]),
        ],
        ids=str,
    )
    def test_kinds(self, ids):
        table = pd.DataFrame({"user": ids, "item": [1, 1, 1, 2], "rating": 1.0})
        encoder = RatingsEncoder()
        X, users = encoder.fit_encode(table)
        expected = sorted(set(pd.Series(ids)))
        assert list(pd.Series(users)) == expected
        np.testing.assert_array_equal(X.toarray(), [[1, 1], [1, 0], [1, 0]])
        back = encoder.decode(users, [0, 0, 0], np.zeros(3))
        assert list(back["user"]) == expected

    def test_kinds_may_not_change(self):
        encoder = RatingsEncoder().fit((["a"], [1], [1.0]))
        with pytest.raises(
            ValueError, match=r"items are strings here.*integers before"
        ):
            encoder.encode((["a"], ["1"], [1.0]))
        parts = [(["a"], [1], [1.0]), ([1], [1], [1.0])]
        with pytest.raises(
            ValueError, match=r"users are integers here.*strings before"
        ):
            RatingsEncoder().fit(lambda: parts)

    @pytest.mark.parametrize(
        "table",
        [
            pd.DataFrame({"user": ["a", None, None]}),
            pd.DataFrame({"user": pd.array(["a", pd.NA, pd.NA], dtype="string")}),
            pd.DataFrame({"user": [1, np.nan, np.nan]}),
            pl.DataFrame({"user": ["a", None, None]}),
            np.array([1, np.nan, np.nan]),
            np.array(["a", None, None], dtype=object),
        ],
    )
    def test_missing(self, table):
        others = {"item": [1, 1, 1], "rating": [1.0, 1, 1]}
        if isinstance(table, np.ndarray):
            table = (table, *others.values())
        elif isinstance(table, pd.DataFrame):
            table = table.assign(**others)
        else:
            table = table.with_columns(**{k: pl.Series(v) for k, v in others.items()})
        message = (
            r"users is missing in line 1 \(from 0\) of the table and in 1 other line\."
        )
        with pytest.raises(ValueError, match=message):
            RatingsEncoder().fit(table)


def test_float32_stays():
    users, items, values = as_arrays(LINES)
    X, _ = RatingsEncoder().fit_encode((users, items, values.astype(np.float32)))
    assert X.dtype == np.float32
    X, _ = RatingsEncoder().fit_encode((users, items, values.astype(int)))
    assert X.dtype == np.float64


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
def test_the_order_of_tables_decides_no_dtype(order):
    """0.1 is another number in float32; a table without lines has no numbers."""
    single = [1], [7], np.array([2.5], dtype=np.float32)
    double = [2], [7], np.array([0.1])
    empty = [], [], np.array([])
    tables = [[single, double, empty][j] for j in order]
    encoder = RatingsEncoder()
    for X, _ in (encoder.fit_encode(lambda: tables), encoder.encode(lambda: tables)):
        assert X.dtype == np.float64
        assert X.toarray().tolist() == [[2.5], [0.1]]
    tables = [[single, single[:2] + (single[2] * 2,), empty][j] for j in order]
    X, _ = RatingsEncoder(duplicates="mean").fit_encode(lambda: tables)
    assert X.dtype == np.float32


def with_equal_names(names):
    """Frames with a column of each name, that may be equal."""
    columns = dict(zip(NAMES, zip(*LINES, strict=True), strict=True))
    columns = [list(columns.get(name, range(len(LINES)))) for name in names]
    frame = pd.concat([pd.Series(column) for column in columns], axis=1)
    yield frame.set_axis(names, axis=1)
    if pa is not None:
        yield pa.table(columns, names=names)


def test_equal_names_of_columns():
    for table in with_equal_names(["x", *NAMES, "x"]):
        X, users = RatingsEncoder().fit_encode(table)
        assert stored(X, users, RatingsEncoder().fit(table).items_) == by_hand(LINES)
    for table in with_equal_names(["user", *NAMES]):
        with pytest.raises(
            ValueError, match=r"The table has 2 columns .* 'user'\. Ren"
        ):
            RatingsEncoder().fit(table)
    for table in with_equal_names(["x", *NAMES[:2], "x"]):
        with pytest.raises(ValueError, match=r"no column 'rating' but \['x', 'user', "):
            RatingsEncoder().fit(table)


def test_names_of_columns():
    table = as_pandas(LINES).rename(columns={"user": "userId", "item": 7})
    encoder = RatingsEncoder(user="userId", item=7)
    X, users = encoder.fit_encode(table)
    assert stored(X, users, encoder.items_) == by_hand(LINES)
    assert list(encoder.decode(users, [0, 0, 0], np.ones(3))) == ["userId", 7, "rating"]


def test_clone_and_pickle():
    encoder = RatingsEncoder(duplicates="mean").fit(as_polars(LINES))
    assert clone(encoder).duplicates == "mean"
    copy = pickle.loads(pickle.dumps(encoder))
    assert copy.decode(["ann"], [0], [1.0]).equals(encoder.decode(["ann"], [0], [1.0]))


class TestErrors:
    @pytest.mark.parametrize("make", TABLES)
    def test_duplicates(self, make):
        with pytest.raises(ValueError, match="User bob rates item 30 more than once"):
            RatingsEncoder().fit_encode(make([*LINES, ("bob", 30, 1.0)]))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize(
        ("n_lines", "among"), [(1, ""), (2, ", one of 2 that are not finite")]
    )
    def test_ratings_that_are_not_finite(self, value, n_lines, among):
        message = rf"line 5 \(from 0\) of the table is {value}{among}\. Drop"
        with pytest.raises(ValueError, match=message):
            RatingsEncoder().fit(as_pandas([*LINES, *n_lines * [("bob", 20, value)]]))

    @pytest.mark.parametrize("make", TABLES)
    def test_one_missing_id(self, make):
        message = r"items is missing in line 5 \(from 0\) of the table\. Drop"
        with pytest.raises(ValueError, match=message):
            RatingsEncoder().fit(make([*LINES, ("bob", None, 3.0)]))

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (pd.DataFrame({"user": [1]}), r"no column 'item' but \['user'\]"),
            (np.ones((3, 3)), "frame or a tuple of three arrays.*got ndarray"),
            (iter([]), "iterator of tables as a function"),
            (([1], [1, 2], [1.0]), "equally long, but got 1, 2 and 1"),
            (([[1]], [1], [1.0]), "users should be 1d, but got 2d"),
            (([1], [1], [[5.0]]), "should be 1d numbers, but got 2d of float64"),
            (([1], [1], 5.0), "should be 1d numbers, but got 0d of float64"),
            (
                lambda: None,
                "should return an iterator over such tables, but returned NoneType",
            ),
            (
                lambda: as_pandas(LINES),
                "should return an iterator over such tables, but returned DataFrame",
            ),
            (
                lambda: as_arrays(LINES),
                "got ndarray. A function that is passed .* return an iterator over",
            ),
            (([], [], []), "no rating to learn from"),
            (lambda: [], "no rating to learn from"),
        ],
    )
    def test_tables(self, table, message):
        with pytest.raises(ValueError, match=message):
            RatingsEncoder().fit(table)

    def test_parameters(self):
        with pytest.raises(ValueError, match="'duplicates' parameter"):
            RatingsEncoder(duplicates="sum").fit(as_pandas(LINES))
        with pytest.raises(ValueError, match=r"low < high, but got \(5, 1\)"):
            RatingsEncoder(rating_range=(5, 1)).fit(as_pandas(LINES))
        with pytest.raises(NotFittedError):
            RatingsEncoder().encode(as_pandas(LINES))

    def test_decode(self):
        encoder = RatingsEncoder().fit(as_pandas(LINES))
        with pytest.raises(ValueError, match=r"got \(2,\) for users of shape \(1,\)"):
            encoder.decode(["ann"], [0, 1], [1.0, 2])
        with pytest.raises(
            ValueError, match="indices below 3, or -1 for none, but got 3"
        ):
            encoder.decode(["ann"], [3], [1.0])
        with pytest.raises(ValueError, match="no rating to encode"):
            encoder.encode(as_pandas(LINES)[:0])

    def test_readings_must_agree(self):
        once = iter([as_pandas(LINES)])
        with pytest.raises(ValueError, match="changed between its two readings"):
            RatingsEncoder().fit_encode(lambda: once)
        *others, _ = LINES
        for second in (
            others,
            [*LINES, LINES[0]],
            [*others, ("zoe", 10, 1.0)],
            [*others, ("bo", 10, 1.0)],  # whose place would be that of "bob"
        ):
            tables = [as_pandas(second), as_pandas(LINES)]
            with pytest.raises(ValueError, match="changed between its two readings"):
                RatingsEncoder().fit_encode(lambda tables=tables: [tables.pop()])


def test_memory_is_that_of_the_matrix_and_one_part():
    n_parts, n_lines = 40, 20_000

    def parts():
        for seed in range(n_parts):
            rng = np.random.default_rng(seed)
            # Lines of one user stand in many parts.
            pairs = rng.choice(5000 * 500, n_lines, replace=False)
            yield pairs % 5000, n_parts * (pairs // 5000) + seed, rng.random(n_lines)

    tracemalloc.start()
    X, _ = RatingsEncoder().fit_encode(parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert X.nnz == n_parts * n_lines
    matrix = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    # A part is drawn, looked up and sorted: some arrays of its length.
    part = n_lines * 3 * 8
    assert peak < matrix + 12 * part
    assert peak < 1.6 * matrix


class TestOddIds:
    def test_too_large(self):
        users = np.array([2**63 + 5, 3], dtype=np.uint64)
        with pytest.raises(ValueError, match=r"below 2\*\*63.*Convert them to strings"):
            RatingsEncoder().fit((users, [1, 2], [1.0, 2.0]))

    def test_several_kinds(self):
        users = np.array([1, "a"], dtype=object)
        with pytest.raises(ValueError, match="several kinds: int, but str in line 1"):
            RatingsEncoder().fit((users, [1, 2], [1.0, 2.0]))

    def test_pandas_NA(self):
        users = pd.array(["a", pd.NA], dtype="string")
        with pytest.raises(ValueError, match="missing in line 1"):
            RatingsEncoder().fit((users, [1, 2], [1.0, 2.0]))

    def test_an_empty_part(self):
        encoder = RatingsEncoder().fit(
            lambda: iter([([1, 2], [1, 2], [1.0, 2.0]), ([], [], []), ([3], [1], [2])])
        )
        np.testing.assert_array_equal(encoder.users_, [1, 2, 3])
        assert encoder.users_.dtype == np.int64

    def test_lines_are_no_columns(self):
        with pytest.raises(ValueError, match="tuple of three arrays"):
            RatingsEncoder().fit([(1, 10, 4.0), (1, 11, 3.0), (2, 10, 5.0)])


@pytest.mark.parametrize(
    ("items", "std", "message"),
    [
        ([-2, 1], None, "but got -2"),
        ([0.0, 1.0], None, "should be integers, but got float64"),
        ([0, 1, 0], None, r"one row for all, but got \(3,\)"),
        ([0, 1], [0.5], r"std should have the shape.*got \(1,\)"),
    ],
)
def test_undecodable_arguments(items, std, message):
    encoder = RatingsEncoder().fit(([1, 2], [1, 2], [1.0, 2.0]))
    with pytest.raises(ValueError, match=message):
        encoder.decode([1, 2], items, [3.0, 4.0], std)


def list_ratings(values):
    """Columns of ratings of every library, with the values."""
    yield values
    yield np.array(values, dtype=object)
    yield pd.Series(values, dtype=object)
    yield pl.Series(values, strict=not any(isinstance(v, list) for v in values))
    yield pd.Series(values, dtype="category" if isinstance(values[0], str) else None)
    if isinstance(values[0], str):
        yield np.array(values)
        yield pd.Series(values, dtype="string")
        yield pl.Series(values, dtype=pl.Categorical)
    if pa is not None:
        yield pa.array(values)
        yield pa.chunked_array([values])
        if isinstance(values[0], str):
            yield pa.chunked_array([values]).dictionary_encode()


NO_NUMBERS = {
    "digits": (["1_0", "2"], r"'1_0', but .*number\. Convert .* by astype\(float\)"),
    "text": (["five", "2"], r"'five', but a rating should be a number\. Convert rat"),
    "dates": ([date(2020, 1, 2)] * 2, r"2020.* should be a number\. Convert"),
    "durations": ([timedelta(days=3)] * 2, r"imedelta.* should be a number\."),
    "lists": ([[5.0], [4.0, 3.0]], r"\[5.0\], but a rating should be a number"),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_ratings_that_are_no_numbers(kind):
    values, message = NO_NUMBERS[kind]
    if kind == "lists":
        columns = [values, pd.Series(values), pl.Series(values)]
    else:
        columns = list_ratings(values)
    for column in columns:
        with pytest.raises(
            ValueError, match=rf"^The rating in line 0 .* is .*{message}"
        ):
            RatingsEncoder().fit((["a", "b"], [1, 2], column))
        if isinstance(column, (pd.Series, pl.Series)):
            frame = pd if isinstance(column, pd.Series) else pl
            table = frame.DataFrame(
                {"user": ["a", "b"], "item": [1, 2], "rating": column}
            )
            with pytest.raises(ValueError, match=message):
                RatingsEncoder().fit(table)


@pytest.mark.parametrize(
    "column",
    [
        [1, "five"],
        np.array([1, "five"], dtype=object),
        pd.Series([1, "five"], dtype="category"),
        [1, np.str_("five")],
    ],
    ids=repr,
)
def test_names_the_rating_that_is_no_number(column):
    with pytest.raises(ValueError, match=r"^The rating in line 1 .* is 'five', but"):
        RatingsEncoder().fit(([1, 2], [1, 2], column))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array(["2020-01-02"] * 2, dtype="M8[ns]"), r"datetime64\('2020-01-02"),
        (np.array([3, 4], dtype="m8[D]"), r"timedelta64\(3"),
        (np.array([b"5", b"4"]), r"b'5', but .*astype\(float\)"),
        ([5j, 1.0], r"5j\)?, but a rating"),
        ([10**400, 2], "inf. Drop such"),
        (pd.Series([None, 3], dtype="Int64"), "nan. Drop such"),
        (pl.Series([None, 3]), "nan. Drop such"),
        ([None, 3], "nan. Drop such"),
    ],
)
def test_odd_values_that_are_no_numbers(column, message):
    with pytest.raises(ValueError, match=rf"^The rating in line 0 .* is .*{message}"):
        RatingsEncoder().fit(([1, 2], [1, 2], column))


@pytest.mark.parametrize(
    "column",
    [
        [5, Decimal("2.5")],
        [np.float32(5), 2.5],
        (5, 2.5),
        pd.Series([5, 2.5], dtype="Float64"),
        pd.Series([5, 2.5], dtype="category"),
        pd.arrays.SparseArray([5, 2.5]),
        pd.Series(pd.arrays.SparseArray([5, 2.5])),
        pl.Series([Decimal("5"), Decimal("2.5")]),
        np.array([5, 2.5], dtype=np.float16),
        *(
            []
            if pa is None
            else [
                pa.array([5, 2.5]),
                pa.chunked_array([[Decimal("5.0"), Decimal("2.5")]]),
                pd.Series([5, 2.5], dtype="double[pyarrow]"),
            ]
        ),
    ],
    ids=lambda column: type(column).__name__,
)
def test_ratings_that_are_numbers(column):
    X, _ = RatingsEncoder().fit_encode(([1, 2], [1, 1], column))
    assert X.toarray().tolist() == [[5], [2.5]]
    assert X.dtype == np.float64


@pytest.mark.parametrize("name", ["users", "items", "ratings"])
def test_masked_arrays(name):
    table = {"users": [1, 2], "items": [1, 2], "ratings": [5.0, 4.0]}
    table[name] = np.ma.array(table[name], mask=[0, 1])
    message = rf"^{name} is, or has, a numpy masked array, whose mask"
    with pytest.raises(ValueError, match=message):
        RatingsEncoder().fit(tuple(table.values()))
    encoder = RatingsEncoder().fit(([1, 2], [1, 2], [5.0, 4.0]))
    with pytest.raises(ValueError, match=r"^users is, or has, a numpy masked array"):
        encoder.encode(users=np.ma.array([1, 2], mask=[0, 1]))
