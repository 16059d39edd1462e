# SPDX-License-Identifier: BSD-3-Clause
"""Features of users and items, against pandas, scikit-learn and plain loops."""

import pickle
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

from sklearn_gmmcf.ratings import RatingsEncoder
from tests.made import LINES
from tests.optional import pd, pl

try:
    import pyarrow as pa
except ImportError:  # with numpy 1
    pa = None

RATINGS = tuple(np.array(column) for column in zip(*LINES, strict=True))
# In no order; "zoe" has no ratings, and "eve" no features.
USERS = {
    "user": ["zoe", "bob", "ann"],
    "age": [50, 20, None],
    "job": ["cook", None, "tailor"],
    "member": [True, False, True],
}
# Items 5 and 25 have no ratings, and 20 has no features.
ITEMS = {
    "item": [30, 5, 10, 25],
    "year": [1999.5, 1950.0, None, 2020.0],
    "drama": [True, False, None, False],
    "country": ["IT", "FR", "FR", None],
}


def as_pandas(table):
    return pd.DataFrame(table)


def as_pandas_extensions(table):
    with np.errstate(invalid="ignore"):  # pandas tries integers for infinities
        return pd.DataFrame(table).convert_dtypes()


def as_pandas_objects(table):
    """Features as objects; ids of a column of objects are a kind of their own."""
    frame = pd.DataFrame(table)
    for name in frame.columns[1:]:
        frame[name] = pd.Series(table[name], dtype=object)
    return frame


def as_indexed(table):
    frame = pd.DataFrame(table)
    return frame.set_index(frame.columns[0])


def as_polars(table):
    return pl.DataFrame(table)


def as_pyarrow(table):
    return pa.table(table)


FRAMES = [
    as_pandas,
    as_pandas_extensions,
    as_pandas_objects,
    as_indexed,
    as_polars,
    *([] if pa is None else [as_pyarrow]),
]


def fit(user_features=None, item_features=None, ratings=RATINGS, **options):
    encoder = RatingsEncoder(
        user_features=user_features, item_features=item_features, **options
    )
    return encoder.fit(ratings)


def standardize(values):
    """By scikit-learn, None and NaN stay missing."""
    values = np.array(values, dtype=float)[:, None]
    return StandardScaler().fit_transform(values)[:, 0]


def read(X):
    """Stored entries of a matrix, by row and column."""
    X = X.tocoo()
    entries = list(zip(X.row.tolist(), X.col.tolist(), strict=True))
    assert len(set(entries)) == len(entries)
    return dict(zip(entries, X.data.tolist(), strict=True))


class TestItems:
    @pytest.mark.parametrize("make", FRAMES)
    def test_there(self, make):
        encoder = RatingsEncoder(item_features=make(ITEMS))
        X, _ = encoder.fit_encode(RATINGS)
        assert encoder.items_.tolist() == [5, 10, 20, 25, 30]
        assert X.shape == (3, 5)
        assert read(X) == {
            (0, 2): 0.0,
            (0, 4): 5.0,
            (1, 1): 1.0,
            (1, 4): 4.0,
            (2, 1): 2.5,
        }
        assert encoder.covariates_.size == 0
        assert encoder.covariates_.dtype.kind == "i"
        assert encoder.user_feature_names_.size == 0
        names = ["year", "drama", "country_FR", "country_IT"]
        assert encoder.item_feature_names_.tolist() == names
        year, drama = standardize(ITEMS["year"]), standardize(ITEMS["drama"])
        nan = np.nan
        expected = [
            [year[1], drama[1], 1, 0],
            [nan, nan, 1, 0],
            [nan, nan, nan, nan],
            [year[3], drama[3], nan, nan],
            [year[0], drama[0], 0, 1],
        ]
        np.testing.assert_allclose(encoder.column_features_, expected, atol=1e-15)

    def test_new_items_are_encoded_and_decoded(self):
        encoder = fit(item_features=as_pandas(ITEMS))
        X, _ = encoder.encode((["max"], [25], [3.0]))
        assert read(X) == {(0, 3): 3.0}
        assert encoder.decode(["max"], [3], [3.0])[1].tolist() == [25]
        with pytest.raises(ValueError, match="fit has not seen item 26"):
            encoder.encode((["max"], [26], [3.0]))

    def test_rows_of_covariates_are_missing(self):
        encoder = fit(as_pandas(USERS), as_pandas(ITEMS))
        assert encoder.column_features_.shape == (5 + 4, 4)
        assert np.isnan(encoder.column_features_[5:]).all()
        assert not np.isnan(encoder.column_features_[0]).any()
        alone = fit(item_features=as_pandas(ITEMS))
        np.testing.assert_array_equal(
            encoder.column_features_[:5], alone.column_features_
        )


class TestUsers:
    age = standardize(USERS["age"])
    member = standardize(USERS["member"])

    @pytest.mark.parametrize("make", FRAMES)
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_there(self, make, dtype):
        encoder = RatingsEncoder(user_features=make(USERS))
        X, users = encoder.fit_encode((*RATINGS[:2], RATINGS[2].astype(dtype)))
        assert users.tolist() == encoder.users_.tolist() == ["ann", "bob", "eve"]
        assert encoder.items_.tolist() == [10, 20, 30]
        assert encoder.column_features_ is None
        names = ["age", "job_cook", "job_tailor", "member"]
        assert encoder.user_feature_names_.tolist() == names
        assert encoder.covariates_.tolist() == [3, 4, 5, 6]
        assert X.shape == (3, 7)
        assert X.dtype == dtype
        assert X.indices.dtype == X.indptr.dtype == np.int32
        assert X.has_sorted_indices
        expected = {
            # Zeros of known categories are stored; a missing age and job are not.
            (0, 1): 0.0,
            (0, 2): 5.0,
            (0, 4): 0.0,
            (0, 5): 1.0,
            (0, 6): self.member[2],
            (1, 0): 1.0,
            (1, 2): 4.0,
            (1, 3): self.age[1],
            (1, 6): self.member[1],
            (2, 0): 2.5,
        }
        tolerance = 4 * float(np.finfo(dtype).eps)
        assert read(X) == pytest.approx(expected, rel=tolerance, abs=tolerance)
        again, _ = encoder.encode((*RATINGS[:2], RATINGS[2].astype(dtype)))
        assert read(again) == read(X)

    def test_users_without_ratings_have_rows_if_asked(self):
        encoder = fit(as_pandas(USERS))
        X, users = encoder.encode(RATINGS, users=["zoe", "ann", "zoe", "new"])
        assert users.tolist() == ["ann", "bob", "eve", "new", "zoe"]
        plain, _ = encoder.encode(RATINGS)
        zoe = {(4, 3): self.age[0], (4, 4): 1.0, (4, 5): 0.0, (4, 6): self.member[0]}
        assert read(X) == pytest.approx(read(plain) | zoe)
        X, users = encoder.encode(users=np.array(["zoe"]))
        assert users.tolist() == ["zoe"]
        assert X.shape == (1, 7)
        assert read(X) == pytest.approx(
            {(0, j): value for (_, j), value in zoe.items()}
        )
        # Rows may also be asked for where nothing is known of the users.
        X, users = fit().encode(RATINGS, users=["ada"])
        assert users.tolist() == ["ada", "ann", "bob", "eve"]
        assert read(X) == {
            (i + 1, j): value
            for (i, j), value in read(fit().encode(RATINGS)[0]).items()
        }

    @pytest.mark.parametrize("make", FRAMES)
    def test_features_of_further_users(self, make):
        encoder = fit(make(USERS))
        later = {
            "user": ["max", "bob"],
            "member": [None, True],
            "job": ["cook", "cook"],
            "city": ["Rome", "Oslo"],
            "age": [35, None],
        }
        X, users = encoder.encode(
            (["bob", "ann"], [10, 10], [1.0, 2.0]),
            users=["max"],
            user_features=make(later),
        )
        assert users.tolist() == ["ann", "bob", "max"]
        ages = np.array([50, 20])
        expected = {
            (0, 0): 2.0,
            (0, 4): 0.0,
            (0, 5): 1.0,
            (0, 6): self.member[2],
            # The new row takes the place of the fitted one, missing values too.
            (1, 0): 1.0,
            (1, 4): 1.0,
            (1, 5): 0.0,
            (1, 6): self.member[0],
            (2, 3): (35 - ages.mean()) / ages.std(),
            (2, 4): 1.0,
            (2, 5): 0.0,
        }
        assert read(X) == pytest.approx(expected, abs=1e-15)
        # The encoder itself keeps the fitted features.
        assert (1, 3) in read(encoder.encode(RATINGS)[0])

    @pytest.mark.parametrize("make", FRAMES)
    def test_a_column_may_be_missing_altogether_in_later_tables(self, make):
        later = {"user": ["bob"], "age": [None], "job": [None], "member": [None]}
        X, _ = fit(make(USERS)).encode(users=["bob"], user_features=make(later))
        assert read(X) == {}


CATEGORIES = ["b", None, "a", "c", "a"]
CATEGORICAL = {
    "strings": pd.Series(CATEGORIES, dtype="string"),
    "objects": pd.Series(CATEGORIES, dtype=object),
    "category": pd.Series(CATEGORIES, dtype="category"),
    "unused": pd.Series(pd.Categorical(CATEGORIES, categories=["d", *"cab"])),
    "polars": pl.Series(CATEGORIES),
    "categorical": pl.Series(CATEGORIES, dtype=pl.Categorical),
    "enum": pl.Series(CATEGORIES, dtype=pl.Enum(["d", *"cab"])),
}
if pa is not None:
    CATEGORICAL["arrow"] = pa.array(CATEGORIES)
    CATEGORICAL["dictionary"] = CATEGORICAL["arrow"].dictionary_encode()


@pytest.mark.parametrize("kind", CATEGORICAL)
def test_categories_of_every_kind(kind):
    values = CATEGORICAL[kind]
    table = {"item": range(5), "x": values}
    if isinstance(values, pd.Series):
        frame = pd.DataFrame(table)
    elif isinstance(values, pl.Series):
        frame = pl.DataFrame(table)
    else:
        frame = pa.table({"item": pa.array(range(5)), "x": values})
    encoder = fit(item_features=frame, ratings=([1], [4], [3.0]))
    plain = pd.Series(CATEGORIES)
    expected = pd.get_dummies(plain, prefix="x").astype(float)
    expected[plain.isna()] = np.nan
    assert encoder.item_feature_names_.tolist() == list(expected.columns)
    np.testing.assert_array_equal(encoder.column_features_, expected)


def test_categories_that_are_not_text():
    """Numbers that are called categories have one column each, as intervals have."""
    decades = pd.Series([1980, 1990, 1980, 2010])
    ages = pd.Series([15.0, 35, 36, np.nan])
    frame = pd.DataFrame(
        {
            "item": [1, 2, 3, 4],
            "decade": decades.astype("category"),
            "age": pd.cut(ages, [0, 20, 40, 60]),
        }
    )
    encoder = fit(item_features=frame, ratings=([1], [4], [3.0]))
    names = [
        *(f"decade_{d}" for d in (1980, 1990, 2010)),
        "age_(0.0, 20.0]",
        "age_(20.0, 40.0]",
    ]
    assert encoder.item_feature_names_.tolist() == names
    onehot = OneHotEncoder(sparse_output=False).fit_transform(decades.to_frame())
    np.testing.assert_array_equal(encoder.column_features_[:, :3], onehot)
    np.testing.assert_array_equal(
        encoder.column_features_[:, 3:], [[1, 0], [0, 1], [0, 1], [np.nan, np.nan]]
    )


def test_genres_as_columns_of_bools():
    """Text with bars is one category; its words are columns where the user says so."""
    genres = pd.Series(["Drama|War", "Comedy", "Comedy|War", "Drama"])
    words = genres.str.get_dummies("|")
    items = pd.DataFrame({"item": range(4)})
    ratings = ([1, 1], [0, 3], [3.0, 2.0])
    encoder = fit(item_features=items.join(words.astype(bool)), ratings=ratings)
    assert encoder.item_feature_names_.tolist() == ["Comedy", "Drama", "War"]
    expected = StandardScaler().fit_transform(words)
    np.testing.assert_allclose(encoder.column_features_, expected, rtol=1e-14)
    for other in (words, words.astype(pd.SparseDtype(int, 0))):
        again = fit(item_features=items.join(other), ratings=ratings)
        np.testing.assert_array_equal(again.column_features_, encoder.column_features_)
    whole = fit(item_features=items.assign(g=genres), ratings=ratings)
    names = ["g_Comedy", "g_Comedy|War", "g_Drama", "g_Drama|War"]
    assert whole.item_feature_names_.tolist() == names


class TestNumbers:
    @pytest.mark.parametrize("make", FRAMES)
    @pytest.mark.parametrize(
        "values",
        [[3, 1, 7, 8], [3, None, 7, 7], [True, False, None, True], [5, 5, 5, 5]],
    )
    def test_standardized(self, make, values):
        frame = make({"item": [1, 2, 3, 4], "x": values})
        found = fit(item_features=frame, ratings=([1], [4], [3.0])).column_features_
        np.testing.assert_allclose(found[:, 0], standardize(values), atol=1e-15)

    @pytest.mark.parametrize(
        ("shift", "scale"), [(0, 1e300), (0, 1e-300), (-1e7, 1), (1e9, 1e-3), (3, -2)]
    )
    def test_units_do_not_matter(self, shift, scale):
        values = np.array([0.0, 1.0, 0.25, 0.5])
        expected = np.sign(scale) * standardize(values)
        frame = pd.DataFrame({"item": range(4), "x": shift + scale * values})
        found = fit(item_features=frame, ratings=([1], [3], [3.0])).column_features_
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3, atol=1e-3)
        if not shift:
            np.testing.assert_allclose(found[:, 0], expected, rtol=1e-14)

    def test_a_number_like_all_others_is_zero(self):
        """Rounding of 0.1 leaves no standard deviation that would be divided by."""
        frame = pd.DataFrame({"item": range(3), "x": 0.1, "y": 1e300})
        found = fit(item_features=frame, ratings=([1], [2], [3.0])).column_features_
        assert found.tolist() == [[0.0, 0.0]] * 3

    def test_decimals(self):
        frame = pl.DataFrame({"item": [1, 2, 3], "x": pl.Series(["1.5", None, "2.5"])})
        frame = frame.with_columns(pl.col("x").cast(pl.Decimal(10, 2)))
        for table in (frame, *([] if pa is None else [frame.to_arrow()])):
            found = fit(item_features=table, ratings=([1], [3], [3.0])).column_features_
            np.testing.assert_array_equal(found[:, 0], [-1, np.nan, 1])


@given(
    lines=st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 5)),
        st.integers(0, 5),
        min_size=1,
        max_size=15,
    ),
    users=st.dictionaries(
        st.integers(0, 8),
        st.tuples(st.sampled_from([None, 0, 1, 4]), st.sampled_from([None, *"xyz"])),
        max_size=8,
    ),
    items=st.dictionaries(st.integers(0, 8), st.integers(0, 3), max_size=8),
    make=st.sampled_from([as_pandas, as_indexed, *FRAMES[4:]]),
    asked=st.lists(st.integers(0, 8), max_size=3),
)
def test_any_tables(lines, users, items, make, asked):
    """By plain loops; the first user and item with ratings always have features."""
    first_user, first_item = next(iter(lines))
    users = users | {first_user: (2, "x")}
    items = items | {first_item: 7}
    ratings = tuple(
        zip(*((u, i, float(r)) for (u, i), r in lines.items()), strict=True)
    )
    numbers, letters = zip(*users.values(), strict=True)
    encoder = RatingsEncoder(
        user_features=make({"user": list(users), "n": numbers, "c": letters}),
        item_features=make({"item": list(items), "n": list(items.values())}),
    )
    X, rows = encoder.fit_encode(ratings)
    columns = sorted({i for _, i in lines} | set(items))
    kinds = sorted({letter for letter in letters if letter})
    assert rows.tolist() == sorted({u for u, _ in lines})
    assert encoder.items_.tolist() == columns
    d = len(columns)
    assert encoder.covariates_.tolist() == list(range(d, d + 1 + len(kinds)))

    scores = dict(zip(users, standardize(numbers), strict=True))

    def expect(rows):
        expected = {}
        for row, user in enumerate(rows):
            for (u, item), rating in lines.items():
                if u == user:
                    expected[row, columns.index(item)] = rating
            number, letter = users.get(user, (None, None))
            if number is not None:
                expected[row, d] = scores[user]
            if letter is not None:
                for place, kind in enumerate(kinds):
                    expected[row, d + 1 + place] = float(kind == letter)
        return expected

    assert read(X) == pytest.approx(expect(rows.tolist()), abs=1e-12)
    X, rows = encoder.encode(ratings, users=asked)
    assert rows.tolist() == sorted({*(u for u, _ in lines), *asked})
    assert X.shape == (len(rows), d + 1 + len(kinds))
    assert read(X) == pytest.approx(expect(rows.tolist()), abs=1e-12)
    by_item = dict(zip(items, standardize(list(items.values())), strict=True))
    expected = [by_item.get(item, np.nan) for item in columns]
    found = encoder.column_features_
    np.testing.assert_allclose(found[:d, 0], expected, atol=1e-12)
    assert np.isnan(found[d:]).all()


class TestDecode:
    def test_covariates_are_no_items(self):
        encoder = fit(as_pandas(USERS))
        completed = np.arange(14.0).reshape(2, 7)
        decoded = encoder.decode(["ann", "bob"], range(7), completed, completed / 10)
        users, items, values, std = decoded
        assert users.tolist() == 3 * ["ann"] + 3 * ["bob"]
        assert items.tolist() == 2 * [10, 20, 30]
        assert values.tolist() == [0, 1, 2, 7, 8, 9]
        np.testing.assert_array_equal(std, values / 10)
        _, items, values = encoder.decode(["ann"], [[2, -1, 3]], [[1.0, np.nan, 2.0]])
        assert (items.tolist(), values.tolist()) == ([30], [1.0])

    def test_behind_the_covariates_is_no_column(self):
        encoder = fit(as_pandas(USERS))
        with pytest.raises(ValueError, match=r"indices below 7, or -1.*but got 7"):
            encoder.decode(["ann"], [7], [1.0])


def test_names_of_columns():
    encoder = fit(as_pandas(USERS), as_pandas(ITEMS))
    names = encoder.get_feature_names_out()
    assert names.dtype == object
    assert names.tolist() == [
        *("5", "10", "20", "25", "30"),
        *("age", "job_cook", "job_tailor", "member"),
    ]
    assert fit().get_feature_names_out().tolist() == ["10", "20", "30"]
    clash = fit(as_pandas({"user": ["ann"], "20": [1]}))
    with pytest.raises(ValueError, match="Item 20 has the name of a feature of users"):
        clash.get_feature_names_out()


def test_nothing_changes_without_features():
    encoder = RatingsEncoder()
    X, _ = encoder.fit_encode(RATINGS)
    assert X.shape == (3, 3)
    assert encoder.covariates_.shape == (0,)
    assert encoder.column_features_ is None
    assert encoder.user_feature_names_.size == encoder.item_feature_names_.size == 0


def test_names_of_ids():
    """Names follow the ratings; a column goes before an index of the same name."""
    ratings = pd.DataFrame(LINES, columns=["who", 7, "rating"])
    users = pd.DataFrame({"who": ["ann"], "x": [1.0]}, index=pd.Index([3], name="who"))
    items = pd.DataFrame({7: [10, 20], 8: [1.0, 2.0]})
    encoder = fit(users, items, ratings, user="who", item=7)
    assert encoder.user_feature_names_.tolist() == ["x"]
    assert encoder.item_feature_names_.tolist() == ["8"]
    np.testing.assert_array_equal(
        encoder.column_features_[:, 0], [-1, 1, *2 * [np.nan]]
    )


def test_order_of_lines_does_not_matter():
    users, items = as_pandas(USERS), as_pandas(ITEMS)
    encoder, other = fit(users, items), fit(users[::-1], items[::-1])
    np.testing.assert_array_equal(encoder.column_features_, other.column_features_)
    assert read(encoder.encode(RATINGS)[0]) == read(other.encode(RATINGS)[0])


@pytest.mark.parametrize("make", FRAMES)
def test_clone_pickle_and_representation(make):
    encoder = fit(make(USERS), make(ITEMS))
    copy = pickle.loads(pickle.dumps(encoder))
    assert read(copy.encode(RATINGS)[0]) == read(encoder.encode(RATINGS)[0])
    again = clone(encoder).fit(RATINGS)
    np.testing.assert_array_equal(again.column_features_, encoder.column_features_)
    assert "RatingsEncoder" in repr(encoder)
    assert "RatingsEncoder" in estimator_html_repr(encoder)


def test_parameters_are_read_by_fit_only():
    encoder = fit(as_pandas(USERS))
    before = read(encoder.encode(RATINGS)[0])
    encoder.set_params(user_features=None)
    assert read(encoder.encode(RATINGS)[0]) == before
    assert encoder.fit_encode(RATINGS)[0].shape == (3, 3)


class TestErrors:
    @pytest.mark.parametrize("make", FRAMES)
    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (
                {"user": ["bob", "ann", "bob"], "x": [1, 2, 3]},
                r"Id bob has more than one row in user_features\. Pass one row",
            ),
            (
                {"user": ["bob", "ann", "bob", "bob", "ann"], "x": [1, 2, 3, 4, 5]},
                "Id ann and 1 other has more than one row in user_features",
            ),
            (
                {"user": ["bob", None, "ann"], "x": [1, 2, 3]},
                r"id of user_features is missing in line 1 \(from 0\).*Drop such",
            ),
            (
                {"user": [1, 2], "x": [1, 2]},
                "Ids of user_features are integers, but ids of the ratings are strings",
            ),
            (
                {"user": ["BOB", "ANN"], "x": [1, 2]},
                "No id of user_features, such as ANN, has ratings.*such as ann",
            ),
            ({"user": ["bob"]}, "user_features has no column besides the ids"),
            (
                {"user": ["bob", "ann"], "x": [date(2000, 1, 1), date(2001, 1, 1)]},
                "'x' of user_features has values of type .*the year; lists to one",
            ),
            (
                {"user": ["bob", "ann"], "x": [["Drama"], ["War"]]},
                "'x' of user_features has values of type .*one column of bools",
            ),
            (
                {"user": ["bob", "ann", "eve"], "x": [1.0, -np.inf, np.inf]},
                "'x' of user_features is -inf for id ann and 1 other.*most 1e.300 in",
            ),
            (
                {"user": ["bob", "ann"], "x": [1, 2], "y": [None, None]},
                "Column 'y' of user_features has no value. Leave it out",
            ),
            (
                {"user": ["bob", "ann"], "x_a": [1, 2], "x": ["b", "a"]},
                "2 features of user_features have the name 'x_a'. Rename",
            ),
        ],
    )
    def test_tables(self, make, table, message):
        with pytest.raises(ValueError, match=message):
            fit(make(table))
        table = {name.replace("user", "item"): values for name, values in table.items()}
        message = message.replace("user", "item")
        ratings = (RATINGS[1], RATINGS[0], RATINGS[2])
        with pytest.raises(ValueError, match=message):
            fit(item_features=make(table), ratings=ratings)

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            ({"user": ["bob"]}, "a pandas, polars or pyarrow frame.*but got dict"),
            (
                as_polars(USERS).lazy(),
                "frame with a row for each id, but got LazyFrame",
            ),
            (
                as_pandas(USERS).rename(columns={"user": "name"}),
                r"no column of ids 'user' but \['name', 'age', .*Rename.*the index may",
            ),
            (as_pandas(USERS).set_index("user").rename_axis(None), "no column of ids"),
            (as_polars(USERS).drop("user"), "no column of ids 'user'"),
            (as_pandas(USERS)[:0], "user_features has no row"),
            (as_pandas(USERS).assign(x=[1, "a", 2]), "values of type int and str"),
            (as_pandas(USERS).assign(x=1j), "values of type complex"),
            (
                as_pandas(USERS).assign(x=[np.array([1, 2])] * 3),
                "'x' of user_features has values of type ndarray.* for each element",
            ),
            (
                as_pandas(USERS).set_axis(["user", "x", "job", "x"], axis=1),
                "user_features .*'x'",
            ),
            (
                as_pandas(USERS).assign(x=pd.Categorical([1, "a", 1])),
                "Categories of column 'x' of user_features do not sort.*int, str",
            ),
        ],
        ids=str,
    )
    def test_frames(self, frame, message):
        with pytest.raises(ValueError, match=message):
            fit(frame)

    @pytest.mark.parametrize("n_titles", [256, 257])
    def test_text_that_hardly_repeats(self, n_titles):
        titles = [f"title {n}" for n in range(n_titles)]
        frame = pd.DataFrame({"item": range(n_titles), "title": titles})
        if n_titles == 256:
            assert fit(item_features=frame, ratings=([1], [5], [3.0])) is not None
            return
        message = (
            "'title' of item_features has 257 categories, more than 256.*hardly "
            "repeats.*one column of bools for each word"
        )
        with pytest.raises(ValueError, match=message):
            fit(item_features=frame, ratings=([1], [5], [3.0]))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"job": ["cook", "smith", None]},
                "'job' of user_features is 'smith' for id bob, a category that fit has",
            ),
            (
                {"age": ["a", "b", "c"]},
                "'age' of user_features has categories here, but",
            ),
            ({"job": [1, 2, 3]}, "has numbers here, but categories in the table that"),
            ({"user": [1, 2, 3]}, "user_features are integers here, but were strings"),
            ({"user": ["bob", "bob", "ann"]}, "Id bob has more than one row"),
        ],
    )
    @pytest.mark.parametrize("make", FRAMES)
    def test_features_of_further_users(self, make, changes, message):
        encoder = fit(make(USERS))
        with pytest.raises(ValueError, match=message):
            encoder.encode(users=["zoe"], user_features=make(USERS | changes))

    def test_encode(self):
        encoder = fit(as_pandas(USERS))
        with pytest.raises(
            ValueError, match="no column 'age', which the table that was"
        ):
            encoder.encode(RATINGS, user_features=as_pandas(USERS).drop(columns="age"))
        with pytest.raises(ValueError, match=r"none were fitted\. Pass a table as"):
            fit().encode(RATINGS, user_features=as_pandas(USERS))
        for arguments in ({}, {"users": []}, {"user_features": as_pandas(USERS)}):
            with pytest.raises(ValueError, match=r"no rating to encode\. Pass users="):
                encoder.encode(**arguments)
        with pytest.raises(
            ValueError,
            match="users are integers, but the ids of users in fit were strings",
        ):
            encoder.encode(users=[3])
        with pytest.raises(ValueError, match="users is missing in line 1"):
            encoder.encode(users=["zoe", None])


TITLES = {10: "Alien", 30: "Clue", 99: "Dune", 5: None}


class TestTitles:
    """Titles by id, beside the ids of decoded tables."""

    def test_names_that_are_no_text(self):
        """Names of columns of pandas may be numbers, those of others are text."""
        titles = pd.DataFrame({"item": [10], 0: ["Alien"]})
        columns = dict(zip(["user", "item", "rating"], RATINGS, strict=True))
        encoder = fit(item_titles=titles, ratings=pd.DataFrame(columns))
        assert encoder.decode(["ann"], [0], [1.0])[0].tolist() == ["Alien"]
        assert len(fit(item_titles=titles).decode(["ann"], [0], [1.0])) == 4
        for make in (as_polars, *([] if pa is None else [as_pyarrow])):
            message = r"titles has the name 0, but names .* are text.* Rename it\."
            with pytest.raises(ValueError, match=message):
                fit(item_titles=titles, ratings=make(columns))

    @pytest.mark.parametrize(
        ("titles", "name"),
        [
            (TITLES, "title"),
            ({float(key): title for key, title in TITLES.items()}, "title"),
            (pd.Series(TITLES, name="movie"), "title"),
            (pd.Series(TITLES).astype("category"), "title"),
            (pd.DataFrame({"movie": TITLES}).rename_axis("item"), "movie"),
            (pd.DataFrame({"name": TITLES.values(), "item": TITLES.keys()}), "name"),
            (pl.DataFrame({"item": list(TITLES), "name": TITLES.values()}), "name"),
            *(
                []
                if pa is None
                else [
                    (pa.table({"item": [10, 30], "name": ["Alien", "Clue"]}), "name"),
                ]
            ),
        ],
    )
    def test_stand_beside_the_items(self, titles, name):
        encoder = fit(item_titles=titles)
        assert encoder.items_.tolist() == [10, 20, 30]
        assert encoder.item_titles_.tolist() == ["Alien", "", "Clue"]
        assert encoder.item_titles_.dtype.kind == "U"
        decoded = encoder.decode(["ann", "eve"], [2, 1], [1.0, 2.0], [0.1, 0.2])
        columns = [column.tolist() for column in decoded]
        assert columns == [["ann", "eve"], [30, 20], ["Clue", ""], [1, 2], [0.1, 0.2]]
        table = pd.DataFrame(
            dict(zip(["user", "item", "rating"], RATINGS, strict=True))
        )
        decoded = fit(item_titles=titles, ratings=table).decode(["ann"], [0], [1.0])
        assert decoded.to_dict("list") == {
            "user": ["ann"],
            "item": [10],
            name: ["Alien"],
            "rating": [1.0],
        }

    def test_are_those_of_items_with_features_too(self):
        encoder = fit(
            item_features=as_pandas(ITEMS), item_titles={10: "A", 25: "B", 5: None}
        )
        assert encoder.items_.tolist() == [5, 10, 20, 25, 30]
        assert encoder.item_titles_.tolist() == ["", "A", "", "B", ""]
        assert encoder.decode(["ann"], [3], [1.0])[2].tolist() == ["B"]

    def test_are_none_without_titles(self):
        encoder = fit()
        assert encoder.item_titles_ is None
        assert len(encoder.decode(["ann"], [0], [1.0])) == 3
        # A parameter that changes later changes nothing until the next fit.
        encoder.set_params(item_titles=TITLES)
        assert len(encoder.decode(["ann"], [0], [1.0])) == 3

    def test_one_long_title(self):
        items = np.arange(3000)
        titles = dict.fromkeys(items.tolist(), "short") | {7: 10**5 * "x"}
        lines = np.zeros(3000, dtype=int), items, np.ones(3000)
        encoder = fit(item_titles=titles, ratings=lines)
        assert encoder.item_titles_.tolist() == list(titles.values())
        assert encoder.item_titles_.nbytes < 10**6
        for make in (pd.DataFrame, pl.DataFrame):
            table = dict(zip(["user", "item", "rating"], lines, strict=True))
            encoder = fit(item_titles=titles, ratings=make(table))
            decoded = encoder.decode([0, 0], [6, 7], [1.0, 2.0])
            assert decoded["title"].to_list() == [titles[6], titles[7]]

    @pytest.mark.parametrize(
        ("titles", "message"),
        [
            (
                {"10": "Alien"},
                "item_titles are strings, but ids of the ratings are int",
            ),
            ({10: "A", "x": "B"}, "several kinds: int, but str in key 1"),
            (
                {11: "Alien"},
                "No id of item_titles, such as 11, has ratings.* such as 10",
            ),
            ({10: 1999}, "item_titles is 1999 for id 10, but a title should be text"),
            ({None: "A"}, "item_titles is missing in key 0"),
            ({10: np.array(["a", "b"])}, "item_titles is array.* for id 10, but a tit"),
            (
                pd.DataFrame([[10, "A", "B"]], columns=["item", "a", "a"]),
                "item_titles .*'a'",
            ),
            ({}, "has no title"),
            (pd.Series(["A", "B"], index=[10, 10]), "Id 10 has more than one row in"),
            (pd.DataFrame({"item": [10]}), "one column besides the ids.*has \\[\\]"),
            (
                pd.DataFrame({"item": [10], "a": ["A"], "b": ["B"]}),
                "besides the ids, with titles, but has \\['a', 'b'\\]",
            ),
            (pd.DataFrame({"id": [10], "a": ["A"]}), "no column of ids 'item'"),
            (["Alien", "Clue", "Dune"], "should be a dictionary.* but got list"),
            (pl.Series(["Alien"]), "should be a dictionary.* but got Series"),
            (pd.DataFrame({"item": [10], "std": ["A"]}), "name 'std', but decoded"),
        ],
    )
    def test_errors(self, titles, message):
        with pytest.raises(ValueError, match=message):
            fit(item_titles=titles)
