# SPDX-License-Identifier: BSD-3-Clause
"""Ids of ratings: one kind, whatever column or file they come from."""

import datetime
import re

import numpy as np
import pytest

from sklearn_gmmcf import _ids
from sklearn_gmmcf._ids import Coded
from sklearn_gmmcf._rating_lines import RatingLines
from sklearn_gmmcf.ratings import RatingsEncoder
from tests.optional import pd, pl

try:
    import pyarrow as pa
except ImportError:  # with numpy 1
    pa = None

RATINGS = [4.0, 1.0, 5.0, 2.0]
# Columns of integers and of strings, and whether they stand in a pandas, a polars or a
# pyarrow frame, or are arrays.
INTEGERS = {
    "list": [30, 4, 30, 11],
    "int8": np.array([30, 4, 30, 11], dtype=np.int8),
    "uint64": np.array([30, 4, 30, 11], dtype=np.uint64),
    "floats": np.array([30.0, 4.0, 30.0, 11.0]),
    "float32": np.array([30.0, 4.0, 30.0, 11.0], dtype=np.float32),
    "objects": np.array([30, 4, np.int64(30), 11], dtype=object),
    "numbers": np.array([30, 4.0, 30.0, np.float32(11)], dtype=object),
    "swapped": np.array([30, 4, 30, 11], dtype=">i4"),
    "pandas": pd.Series([30, 4, 30, 11]),
    "pandas floats": pd.Series([30, None, 4, 30, 11]).drop(index=1),
    "Int64": pd.Series([30, 4, 30, 11], dtype="Int64"),
    "pandas category": pd.Series([30, 4, 30, 11], dtype="category"),
    "pandas array": pd.array([30, 4, 30, 11], dtype="UInt8"),
    "polars": pl.Series([30, 4, 30, 11], dtype=pl.UInt16),
    "Int128": pl.Series([30, 4, 30, 11], dtype=pl.Int128),
    "coded": Coded(np.array([1, 0, 1, 3]), np.array([4, 30, 7, 11])),
    "coded twice": Coded(np.array([1, 0, 3, 2]), np.array([4, 30, 11, 30])),
}
TEXTS = ["x\u0301", "b ", "x\u0301", "\u00e9"]
STRINGS = {
    "list": TEXTS,
    "str_": [np.str_(text) for text in TEXTS],
    "array": np.array(TEXTS),
    "swapped": np.array(TEXTS).astype(">U4"),
    "objects": np.array(TEXTS, dtype=object),
    "pandas": pd.Series(TEXTS),
    "pandas object": pd.Series(TEXTS, dtype=object),
    "string": pd.Series(TEXTS, dtype="string"),
    "pandas category": pd.Series(TEXTS, dtype="category"),
    "ordered category": pd.Series(
        pd.Categorical(TEXTS, categories=["\u00e9", "z", "x\u0301", "b "], ordered=True)
    ),
    "polars": pl.Series(TEXTS),
    "Categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "Enum": pl.Series(TEXTS, dtype=pl.Enum(["z", *dict.fromkeys(TEXTS)])),
    "coded": Coded(np.array([1, 0, 1, 2]), np.array(["b ", "x\u0301", "\u00e9"])),
    "coded objects": Coded(
        np.array([1, 0, 1, 2]), np.array(["b ", "x\u0301", "\u00e9"], dtype=object)
    ),
}
if pa is not None:
    INTEGERS["pyarrow"] = pa.chunked_array([[30, 4], [30, 11]])
    INTEGERS["Arrow in pandas"] = pd.Series([30, 4, 30, 11], dtype="int64[pyarrow]")
    STRINGS["pyarrow"] = pa.chunked_array([TEXTS[:1], TEXTS[1:]])
    STRINGS["pyarrow array"] = pa.array(TEXTS)
    STRINGS["dictionary"] = pa.chunked_array([TEXTS]).dictionary_encode()
    STRINGS["dictionary in pandas"] = pd.Series(
        pd.array(TEXTS, pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    )
    STRINGS["Arrow in pandas"] = pd.Series(
        TEXTS, dtype=pd.ArrowDtype(pa.large_string())
    )


def fit_encode(users, **options):
    lines = RatingLines(users, [1, 1, 2, 2], RATINGS)
    encoder = RatingsEncoder(**options)
    return encoder, *encoder.fit_encode(lines)


class TestSameIds:
    @pytest.mark.parametrize("name", INTEGERS)
    def test_integers(self, name):
        encoder, X, users = fit_encode(INTEGERS[name])
        assert users.tolist() == [4, 11, 30]
        assert users.dtype == encoder.users_.dtype == np.int64
        np.testing.assert_array_equal(X.toarray(), [[1, 0], [0, 2], [4, 5]])

    @pytest.mark.parametrize("name", STRINGS)
    def test_strings(self, name):
        _, X, users = fit_encode(STRINGS[name])
        assert users.tolist() == sorted(set(TEXTS))
        assert users.dtype.kind == "U"
        assert X.toarray().tolist() == [[1, 0], [4, 5], [0, 2]]

    @pytest.mark.parametrize("columns", [INTEGERS, STRINGS])
    def test_in_frames(self, columns):
        expected = fit_encode(columns["list"])[1:]
        for name, column in columns.items():
            if isinstance(column, (pd.Series, pl.Series)):
                table = {"user": column, "item": [1, 1, 2, 2], "rating": RATINGS}
                if isinstance(column, pd.Series):
                    table["user"] = column.reset_index(drop=True)
                frame = (pd if isinstance(column, pd.Series) else pl).DataFrame(table)
                X, users = RatingsEncoder().fit_encode(frame)
                assert users.tolist() == expected[1].tolist(), name
                np.testing.assert_array_equal(X.toarray(), expected[0].toarray())

    def test_in_joined_frames(self):
        parts = [
            pd.DataFrame({"user": [name], "item": [1], "rating": [5.0]})
            for name in ("b", "a", "c")
        ]
        joined = pd.concat(parts).iloc[[2, 0, 1]]
        assert RatingsEncoder().fit(joined).users_.tolist() == ["a", "b", "c"]

    @pytest.mark.skipif(pa is None, reason="pyarrow needs numpy 2")
    def test_in_chunks(self):
        chunks = pa.chunked_array([["b", "a"], ["b"]])
        for users in (chunks, chunks.dictionary_encode()):
            table = pa.table({"user": users, "item": [1, 1, 2], "rating": [1, 2, 3]})
            X, ids = RatingsEncoder().fit_encode(table)
            assert ids.tolist() == ["a", "b"]
            assert X.toarray().tolist() == [[2, 0], [1, 3]]

    def test_halves_of_surrogate_pairs(self):
        texts = ["\ud800", "b", "\ud800", "\udc00"]
        for column in (texts, pd.Series(texts, dtype=object)):
            _, X, users = fit_encode(column)
            assert users.tolist() == ["b", "\ud800", "\udc00"]
            assert X.toarray().tolist() == [[1, 0], [4, 5], [0, 2]]

    def test_dates_of_several_units(self):
        parts = [
            (np.array([day], dtype=unit), [1], [1.0])
            for day, unit in [("2020-01-02", "M8[D]"), ("2020-01-02T01", "M8[h]")]
        ]
        users = RatingsEncoder().fit(lambda: parts).users_
        assert users.astype(str).tolist() == ["2020-01-02T00", "2020-01-02T01"]

    def test_floats_are_the_integers_of_other_tables(self):
        encoder = RatingsEncoder().fit(([7, 8], [1, 2], [1.0, 2.0]))
        X, users = encoder.encode((np.array([8.0]), np.array([2.0]), [3.0]))
        assert users.tolist() == [8]
        assert X.toarray().tolist() == [[0, 3]]

    @pytest.mark.parametrize(
        "ids",
        [
            [datetime.date(2020, 1, 2), datetime.date(1999, 1, 1)],
            np.array(["2020-01-02", "1999-01-01"], dtype="datetime64[D]"),
            pd.Series(pd.to_datetime(["2020-01-02", "1999-01-01"])),
            pl.Series([datetime.date(2020, 1, 2), datetime.date(1999, 1, 1)]),
            pd.Series([(2, "a"), (1, "b")]),
            [np.timedelta64(3, "D"), np.timedelta64(2, "D")],
        ],
    )
    def test_others_that_sort(self, ids):
        encoder = RatingsEncoder()
        X, users = encoder.fit_encode((ids, ids, [1.0, 2.0]))
        assert X.toarray().tolist() == [[2, 0], [0, 1]]
        X, later = encoder.encode((ids[:1], ids[:1], [3.0]))
        assert later[0] == users[1]
        assert X.toarray().tolist() == [[0, 3]]


class TestAnyWidth:
    def test_spans_of_integers(self):
        for ids in ([-(2**63), 2**63 - 1], [2**62, 2**62 + 3], [-100, 99], [0, 2**40]):
            for dtype in (np.int64, np.int8):
                if np.abs(np.float64(ids)).max() <= 128 or dtype is np.int64:
                    users = np.array(ids, dtype=dtype)[[1, 0, 1]]
                    _, codes = np.unique(users, return_inverse=True)
                    lines = users, [1, 2, 3], [1.0, 2.0, 3.0]
                    X, found = RatingsEncoder().fit_encode(lines)
                    assert found.tolist() == ids
                    assert X.toarray()[codes, [0, 1, 2]].tolist() == [1, 2, 3]

    def test_strings_of_one_hash(self, monkeypatch):
        ids = np.array(["a", "b", "a"])
        real, calls = np.unique, []

        def collide(values, **options):
            calls.append(values.dtype.kind)
            return real(values * 0 if values.dtype.kind == "u" else values, **options)

        monkeypatch.setattr(_ids.np, "unique", collide)
        coded = _ids.encode_ids("users", ids, str)
        assert calls == ["u", "U"]
        assert coded.ids[coded.codes].tolist() == ids.tolist()

    def test_one_long_id(self):
        """An id of 100,000 characters leaves the memory of the others alone."""
        n = 5000
        short = [f"u{number}" for number in range(n)]
        parts = [short[:2500], ["x" * 100_000], short[2500:]]

        def read():
            for part in parts:
                yield part, ["a"] * len(part), np.ones(len(part))

        encoder = RatingsEncoder()
        X, users = encoder.fit_encode(read)
        assert users.tolist() == sorted([*short, "x" * 100_000])
        assert users.nbytes < 10**6
        assert X.shape == (n + 1, 1)
        table = [*parts[0], *parts[1], *parts[2]], ["a"] * (n + 1), np.ones(n + 1)
        assert RatingsEncoder().fit(table).users_.tolist() == users.tolist()
        short_encoder = RatingsEncoder().fit((["a"] * n, short, np.ones(n)))
        assert short_encoder.items_.dtype == "U5"
        short_encoder.set_params(unknown_items="ignore")
        later = ["a", "a"], ["u4000" + "x" * 100_000, "u3"], [1.0, 2.0]
        X, _ = short_encoder.encode(later)
        assert X.data.tolist() == [2.0]
        assert short_encoder.items_[X.indices].tolist() == ["u3"]


ZONED = pd.Series(pd.to_datetime(["2020-01-02", "1999-01-01", "2020-01-03"], utc=True))
REFUSED = {
    "text": (
        "abc",
        r"users should be an array or a list, but got str\. Pass \['abc'\]",
    ),
    "str_": (np.str_("abc"), r"a list, but got str_\. Pass \['abc'\]"),
    "bytes as one": (b"abc", "users should be .* got bytes. Pass a list of ids in the"),
    "a set": ({1, 2, 3}, "users should be .* got set. Pass a list of ids in the"),
    "keys": ({1: 1, 2: 2, 3: 3}.keys(), "users should be .* got dict_keys"),
    "a dictionary": ({1: 1, 2: 2, 3: 3}, "users should be .* got dict. Pass a list"),
    "bools as categories": (pd.Categorical([True, False, True]), "users are bools"),
    "a series of them": (
        pd.Series([True, False, True], dtype="category"),
        "users are bools",
    ),
    "complex categories": (
        pd.Series([1j, 2j, 1j], dtype="category"),
        "users are complex128",
    ),
    "coded bools": (
        Coded(np.array([0, 1, 0]), np.array([True, False], dtype=object)),
        "users are bools",
    ),
    "zones": (ZONED, r"users are dates with a time zone.* \.dt\.tz_convert\(None\)"),
    "zones of polars": (
        pl.Series([each.to_pydatetime() for each in ZONED]),
        "users are dates with a time zone",
    ),
    "objects with zones": (list(ZONED), "users are dates with a time zone"),
    "zones as categories": (ZONED.astype("category"), "users are dates with a time"),
    "large Int128": (
        pl.Series([1, 2, 2**70], dtype=pl.Int128),
        f"got {2**70} in line 2 .* to strings",
    ),
    "null Int128": (pl.Series([1, None, 2], dtype=pl.Int128), "missing in line 1"),
    "bools": ([True, False, True], "users are bools"),
    "bools of numpy": (np.array([True, False, True]), "users are bools"),
    "bools among integers": (np.array([2, True, 1], dtype=object), "users are bools"),
    "bytes": (np.array([b"a", b"b", b"a"]), r"users are bytes\. Decode"),
    "objects of bytes": ([b"a", b"b", b"a"], r"users are bytes\. Decode"),
    "complex": (np.array([1j, 2, 3]), "users are complex128"),
    "complex objects": ([1j, 2j, 1j], "do not sort: they are of type complex"),
    "lists": (pd.Series([[1], [2], [1]]), "cannot be ids: list"),
    "mixed": ([1, "1", "2"], "int, but str in line 1 .* of the table and in 1 other"),
    "mixed tuples": (
        pd.Series([(1, 2), ("a", 2), (1, 2)]),
        "do not sort: they are of type tuple",
    ),
    "a number": (3, "users should be 1d, but got 0d"),
    "fractions": ([2.0, 1.5, 1.5], r"is 1\.5 in line 1 .* and in 1 other line"),
    "infinite": ([2.0, 1.0, np.inf], "is inf in line 2"),
    "large floats": ([2.0, 2.0**53, 1.0], r"is 9007199254740992\.0 in line 1"),
    "too large": (np.array([1, 2**63, 2], dtype=np.uint64), "line 1 .* to strings"),
    "far too large": ([1, 2, 2**70], f"got {2**70} in line 2 .* to strings"),
    "null character": (["a", "b", "a\0"], r"'a\\x00' in line 2 .* null characters"),
    "NaT": (np.array(["2020", "NaT", "2021"], dtype="M8[D]"), "missing in line 1"),
    "NA": (pd.array([1, pd.NA, 2], dtype="Int64"), "missing in line 1"),
    "categories": (pd.Series(["a", None, "a"], dtype="category"), "missing in line 1"),
    "polars": (pl.Series([1, None, 2]), "missing in line 1"),
    "polars text": (pl.Series(["a", None, "b"]), "missing in line 1"),
    "coded": (Coded(np.array([0, -1, 1]), np.array(["a", "b"])), "missing in line 1"),
    "coded None": (
        Coded(np.array([0, 1, 0]), np.array(["a", None], dtype=object)),
        "missing in line 1",
    ),
    **{
        text: (["a", text, text], f"is '{text}' in line 1 .* the text of a missing")
        for text in ("nan", "<NA>", "NaT", "None")
    },
}


if pa is not None:
    REFUSED["dictionary of bools"] = (
        pa.chunked_array([[True, False, True]]).dictionary_encode(),
        "users are bools",
    )
    REFUSED["null in a dictionary"] = (
        pd.array(
            ["a", None, "b"], pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
        ),
        "missing in line 1",
    )
    ARROW_ZONED = pa.array([each.to_pydatetime() for each in ZONED])
    REFUSED["zones of pyarrow"] = (ARROW_ZONED, "users are dates with a time zone")
    REFUSED["zones in pyarrow"] = (
        pa.chunked_array([ARROW_ZONED]),
        "users are dates with a time zone",
    )


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("role", ["users", "items"])
def test_refused(name, role):
    ids, message = REFUSED[name]
    message = message.replace("users", role)
    other = [1, 2, 3]
    table = (ids, other) if role == "users" else (other, ids)
    with pytest.raises(ValueError, match=message):
        RatingsEncoder().fit((*table, [1.0, 2.0, 3.0]))


class TestLines:
    """Files name their lines; ids without a line are none."""

    def lines(self, ratings=(1.0, 2.0, 3.0), codes=(0, 1, 0)):
        return RatingLines(
            Coded(np.array(codes), np.array(["b", "a", "unused", ""])),
            np.array([5, 5, 4]),
            np.array(ratings),
            name_line=lambda line: f"some.csv, line {line + 2}",
        )

    def test_as_arrays(self):
        encoder = RatingsEncoder()
        X, users = encoder.fit_encode(self.lines())
        assert users.tolist() == ["a", "b"]
        assert X.toarray().tolist() == [[0, 2], [3, 1]]
        decoded = encoder.decode(users, [0, 1], [1.5, 2.5])
        assert [column.tolist() for column in decoded] == [
            ["a", "b"],
            [4, 5],
            [1.5, 2.5],
        ]
        X, users = encoder.encode((["zoe"], [4], [2.0]))
        assert (users.tolist(), X.toarray().tolist()) == (["zoe"], [[2, 0]])

    @pytest.mark.parametrize("in_parts", [False, True])
    def test_names(self, in_parts):
        def fit(lines, **options):
            table = (lambda: [lines]) if in_parts else lines
            RatingsEncoder(**options).fit_encode(table)

        with pytest.raises(
            ValueError, match=r"users is missing in some\.csv, line 3\."
        ):
            fit(self.lines(codes=(0, -1, 0)))
        with pytest.raises(ValueError, match=r"rating in some\.csv, line 3 is nan"):
            fit(self.lines((1, np.nan, 2)))
        with pytest.raises(ValueError, match=r"rating -1 in some\.csv, line 4 is out"):
            fit(self.lines((1, 2, -1)), rating_range=(1, 5))
        lines = RatingLines(
            np.array([1, 1, 2, 1]),
            np.array([9, 8, 9, 9]),
            np.array([-1.0, 2, 3, 4]),
            name_line=self.lines().name_line,
        )
        message = (
            "User 1 rates item 9 more than once, in some.csv, line 2 and in some.csv, "
            "line 5. Pass duplicates='mean' or 'last', or clean the table."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            fit(lines)
        # Lines keep their names after others of them are left out.
        lines = RatingLines(
            np.array([1, 1, 2, 1, 1]),
            np.array([9, 8, 9, 9, 9]),
            np.array([-1.0, 2, 3, 4, 4]),
            name_line=self.lines().name_line,
        )
        with pytest.raises(ValueError, match=r"csv, line 5 and in some\.csv, line 6\."):
            fit(lines, rating_range=(1, 5), out_of_range="missing")

    def test_both_in_different_tables(self):
        parts = [([1], [9], [1.0]), ([2], [9], [1.0]), ([3, 1], [9, 9], [1.0, 2.0])]
        message = (
            r"line 0 \(from 0\) of table 0 \(from 0\) and in line 1 \(from 0\) of "
            r"table 2 \(from 0\)\."
        )
        with pytest.raises(ValueError, match=message):
            RatingsEncoder().fit_encode(lambda: parts)


class TestOtherKindsThanFitted:
    encoder = RatingsEncoder().fit((["ann", "bob"], ["x", "y"], [1.0, 2.0]))

    def test_items(self):
        with pytest.raises(ValueError, match="items are integers here, but were str"):
            self.encoder.encode((["ann"], [1], [1.0]))

    @pytest.mark.parametrize("users", ["ann", {"ann"}, {"ann": 1}])
    def test_no_list(self, users):
        with pytest.raises(ValueError, match="users should be an array or a list"):
            self.encoder.encode(users=users)
        with pytest.raises(ValueError, match="users should be an array or a list"):
            self.encoder.decode(users, [0], [1.0])

    def test_indices_of_rows(self):
        message = (
            r"users are integers, but .* in fit were strings\. Pass .*users\[rows\]"
        )
        with pytest.raises(ValueError, match=message):
            self.encoder.encode(users=[0, 1])
        with pytest.raises(ValueError, match=message):
            self.encoder.decode([0, 1], [0, 1], [1.0, 2.0])

    def test_missing(self):
        message = r"missing in line 1 \(from 0\) of the argument users"
        with pytest.raises(ValueError, match=message):
            self.encoder.encode(users=["ann", None])
        with pytest.raises(ValueError, match=message):
            self.encoder.decode(["ann", None], [0, 1], [1.0, 2.0])

    def test_one_kind_in_a_table(self):
        with pytest.raises(ValueError, match="users are strings here, but were int"):
            self.encoder.encode(([1], ["x"], [1.0]), users=["ann"])

    def test_new_users(self):
        users, items, _ = self.encoder.decode(["new", "bob"], [1, 0], [1.0, 2.0])
        assert (users.tolist(), items.tolist()) == (["new", "bob"], ["y", "x"])
        numbered = RatingsEncoder().fit(([1, 2], ["x", "y"], [1.0, 2.0]))
        X, users = numbered.encode((["you"], ["y"], [3.0]))
        assert X.toarray().tolist() == [[0, 3]]
        assert numbered.decode(users, [1], [3.0])[0].tolist() == ["you"]
