# SPDX-License-Identifier: BSD-3-Clause
"""Displays of tables: counts and shares of any container are those of plain loops."""

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.data._tables import open_table
from sklearn_gmmcf.plotting import ImputationDisplay, MissingnessDisplay
from tests.optional import pd, pl

try:
    import pyarrow as pa
except ImportError:  # with numpy 1
    pa = None
matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgba  # noqa: E402


def make_table(n=60, seed=0):
    """Columns of four kinds, of which two are always missing together."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n).astype(float),
            "job": rng.choice(["cook", "nurse", "clerk"], n),
            "wage": rng.normal(20, 4, n).round(1),
            "born": pd.Timestamp("1960-01-01")
            + pd.to_timedelta(rng.integers(0, 9000, n), unit="D"),
            "id": np.arange(n, dtype=float),
        }
    )
    for columns, share in ((["age"], 0.2), (["job", "wage"], 0.3), (["born"], 0.1)):
        missing = rng.random(n) < share
        for name in columns:
            table[name] = table[name].where(~missing, None)
    return table


def list_missing(table):
    """Rows of booleans, one by one."""
    return [[bool(pd.isna(value)) for value in row] for row in table.to_numpy()]


def as_container(kind, table):
    if kind == "pandas":
        return table.assign(job=table["job"].astype("category"))
    if kind == "objects":
        return table.to_numpy()
    columns = {
        name: [None if pd.isna(value) else value for value in table[name]]
        for name in table
    }
    given = pl.DataFrame(columns)
    given = given.with_columns(pl.col("job").cast(pl.Categorical))
    # NaN beside null, as polars keeps both apart.
    given = given.with_columns(pl.col("age").fill_null(float("nan")))
    return given if kind == "polars" else given.to_arrow()


CONTAINERS = ["pandas", "polars", "objects", *(["pyarrow"] if pa else [])]


# MissingnessDisplay


@pytest.mark.parametrize("kind", CONTAINERS)
def test_counts_of_any_container(kind):
    table = make_table()
    rows = list_missing(table)
    display = MissingnessDisplay.from_data(as_container(kind, table))
    shares = [sum(row[j] for row in rows) / len(rows) for j in range(5)]
    np.testing.assert_allclose(display.shares, shares)
    assert display.n_rows == len(rows)
    assert display.n_complete == sum(not any(row) for row in rows)
    # 'wage' goes with 'job', and 'id' has no missing entry.
    assert [list(group) for group in display.groups] == [[1, 2], [0], [3]]
    assert display.n_groups == 3
    expected = Counter((row[1], row[0], row[3]) for row in rows)
    found = {
        tuple(pattern.tolist()): count
        for pattern, count in zip(display.patterns, display.counts, strict=True)
    }
    assert found == expected
    assert (np.diff(display.counts) <= 0).all()
    names = ["column 1", "column 0", "column 3"]
    if kind != "objects":
        names = ["job", "age", "born"]
    labels = [text.get_text() for text in display.axes_[1].get_xticklabels()]
    assert labels == [f"{names[0]} +1", *names[1:]]


def test_artists_show_the_counts():
    table = make_table()
    display = MissingnessDisplay.from_data(table)
    heights = [bar.get_height() for bar in display.bars_]
    np.testing.assert_allclose(heights, display.shares[[1, 0, 3]])
    np.testing.assert_array_equal(display.image_.get_array(), display.patterns)
    widths = [bar.get_width() for bar in display.row_bars_]
    np.testing.assert_allclose(widths, display.counts / 60)
    title = display.axes_[0].get_title(loc="left")
    n_missing = sum(map(sum, list_missing(table)))
    assert f"60 rows, 5 columns, {n_missing / 3:.0f}% of entries missing" in title
    assert f"{display.n_complete} complete rows" in title
    assert title.endswith("1 complete column")


def test_sparse_stores_what_is_observed():
    rng = np.random.default_rng(0)
    stored = rng.random((50, 7)) < 0.6
    values = rng.integers(0, 3, stored.sum()).astype(float)  # zeros are observed
    values[:4] = np.nan
    X = np.full(stored.shape, np.nan)
    X[stored] = values
    expected = MissingnessDisplay.from_data(X)
    for make in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        given = make((values, np.nonzero(stored)), shape=X.shape)
        display = MissingnessDisplay.from_data(given)
        np.testing.assert_array_equal(display.shares, expected.shares)
        np.testing.assert_array_equal(display.patterns, expected.patterns)
        np.testing.assert_array_equal(display.counts, expected.counts)
        assert display.n_complete == expected.n_complete
    np.testing.assert_allclose(expected.shares, np.isnan(X).mean(axis=0))


@pytest.mark.parametrize("kind", ["array", "pandas", "polars", "integers"])
def test_marker_of_missing_entries(kind):
    X = np.array([[1.0, -9, 3], [2, 5, -9], [-9, -9, 1]])
    given = {
        "array": X,
        "pandas": pd.DataFrame(X),
        "polars": pl.DataFrame(X, schema=["a", "b", "c"]),
        "integers": X.astype(int),
    }[kind]
    display = MissingnessDisplay.from_data(given, missing_values=-9)
    np.testing.assert_allclose(display.shares, [1 / 3, 2 / 3, 1 / 3])
    assert MissingnessDisplay.from_data(given).shares.max() == 0


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 6))
    X[rng.random(200) < 0.4, :2] = np.nan
    X[rng.random((200, 6)) < 0.2] = np.nan
    X[:, 4] = np.nan
    display = MissingnessDisplay.from_data(X, view="correlation")
    columns = [group[0] for group in display.groups]
    assert columns[0] == 4  # entirely missing
    assert set(columns[1:3]) == {0, 1}
    with np.errstate(invalid="ignore"):
        expected = np.corrcoef(np.isnan(X[:, columns]).T)
    np.testing.assert_allclose(display.correlations, expected, atol=1e-12)
    np.testing.assert_allclose(display.image_.get_array().filled(np.nan), expected)
    assert display.image_.get_clim() == (-1, 1)
    assert display.row_bars_ is None
    assert display.colorbar_ is not None


def test_columns_that_are_missing_together_are_neighbors():
    X = np.zeros((1000, 6))
    # By their shares alone, columns of different pairs would be neighbors.
    for pair, (first, second) in enumerate(((0, 3), (1, 4), (2, 5))):
        X[pair::3, [first]] = X[pair::3, [second]] = np.nan
        X[: 60 - 9 * pair, first] = X[: 30 - 9 * pair, second] = np.nan
    display = MissingnessDisplay.from_data(X)
    order = [int(group[0]) for group in display.groups]
    pairs = [{order[i], order[i + 1]} for i in (0, 2, 4)]
    assert sorted(map(sorted, pairs)) == [[0, 3], [1, 4], [2, 5]]
    largest = [display.shares[list(pair)].max() for pair in pairs]
    assert largest == sorted(largest, reverse=True)
    for i in (0, 2, 4):
        assert display.shares[order[i]] >= display.shares[order[i + 1]]


def test_largest_numbers_of_columns_and_patterns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 100))
    X[rng.random(X.shape) < rng.uniform(0.3, 0.7, 100)] = np.nan
    display = MissingnessDisplay.from_data(X, max_columns=70, max_patterns=4)
    shares = np.isnan(X).mean(axis=0)
    shown = [group[0] for group in display.groups]
    assert len(shown) == 70
    assert shares[shown].min() >= np.sort(shares)[-70]
    assert display.patterns.shape == (4, 70)
    assert display.n_patterns == 300  # of 70 columns, more than one machine word
    assert display.view == "correlation"  # no two rows have one pattern
    assert "shown: the 70 columns" in display.axes_[0].get_title(loc="left")
    narrow = MissingnessDisplay.from_data(X, max_columns=2)
    assert narrow.view == "patterns"
    assert narrow.counts.sum() == 300
    counts = Counter(map(tuple, np.isnan(X[:, [g[0] for g in narrow.groups]])))
    assert sorted(narrow.counts) == sorted(counts.values())


def test_batches_change_nothing(monkeypatch):
    X = np.where(np.random.default_rng(0).random((90, 8)) < 0.2, np.nan, 1.0)
    X[:, 5] = X[:, 2]
    expected = MissingnessDisplay.from_data(X)
    given = sparse.csr_array(np.nan_to_num(X))
    monkeypatch.setattr("sklearn_gmmcf.data._tables._BATCH_BYTES", 8 * 8 * 7)
    monkeypatch.setattr("sklearn_gmmcf.plotting._missingness._BATCH_ROWS", 7)
    for table in (X, given):
        display = MissingnessDisplay.from_data(table)
        np.testing.assert_array_equal(display.shares, expected.shares)
        np.testing.assert_array_equal(display.counts, expected.counts)
        np.testing.assert_allclose(display.correlations, expected.correlations)
        assert display.n_complete == expected.n_complete
        for group, other in zip(display.groups, expected.groups, strict=True):
            np.testing.assert_array_equal(group, other)
    assert any(len(group) == 2 for group in expected.groups)


def test_nothing_or_everything_is_missing():
    display = MissingnessDisplay.from_data(np.ones((4, 3)))
    assert [list(group) for group in display.groups] == [[0], [1], [2]]
    assert (display.n_groups, display.n_complete, list(display.counts)) == (0, 4, [4])
    display = MissingnessDisplay.from_data(np.full((4, 3), np.nan))
    assert [list(group) for group in display.groups] == [[0, 1, 2]]
    assert (display.n_groups, display.n_complete) == (1, 0)
    assert display.patterns.tolist() == [[True]]
    one = MissingnessDisplay.from_data([[1], [None]], view="correlation")
    np.testing.assert_allclose(one.correlations, [[1]])


def test_missingness_on_given_axes_and_in_another_style():
    X = np.where(np.random.default_rng(0).random((90, 8)) < 0.2, np.nan, 1.0)
    _, axes = plt.subplots(1, 2)
    names = [f"{'long ' * 20}{j}" for j in range(8)]
    display = MissingnessDisplay.from_data(
        X,
        ax=axes[1],
        feature_names=names,
        bar_kwargs={"color": "k"},
        image_kwargs={"cmap": "gray"},
    )
    assert display.bounding_ax_ is axes[1]
    assert display.bars_[0].get_facecolor() == to_rgba("k")
    assert display.image_.get_cmap().name == "gray"
    assert max(len(t.get_text()) for t in display.axes_[1].get_xticklabels()) <= 32
    assert display.plot() is display
    assert display.figure_ is not axes[0].figure


def test_tables_that_are_refused():
    with pytest.raises(ValueError, match="X should be a matrix, but got list"):
        MissingnessDisplay.from_data([1.0, 2.0])
    with pytest.raises(ValueError, match="rows and columns"):
        MissingnessDisplay.from_data(np.ones((0, 3)))
    with pytest.raises(ValueError, match="masked array"):
        MissingnessDisplay.from_data(np.ma.ones((3, 3)))
    with pytest.raises(ValueError, match="one name for each of the 3 columns"):
        MissingnessDisplay.from_data(np.ones((2, 3)), feature_names=["a"])
    with pytest.raises(ValueError, match="view should be one of"):
        MissingnessDisplay.from_data(np.ones((2, 3)), view="upset")
    with pytest.raises(ValueError, match="max_columns should be an integer"):
        MissingnessDisplay.from_data(np.ones((2, 3)), max_columns=0)
    da = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="in memory, but is a Dask array"):
        MissingnessDisplay.from_data(da.ones((4, 3), chunks=(2, 3)))


def test_missing_values_of_all_dtypes():
    frame = pd.DataFrame(
        {
            0: [1.0, np.nan, np.inf],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([None, True, False], dtype="boolean"),
            "objects": [pd.NA, "x", None],
            "times": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "spans": pd.to_timedelta([1, None, 3], unit="D"),
        }
    )
    expected = np.array([[False] * 6, [False] * 6, [False] * 6])
    for i, j in ((1, 0), (1, 1), (0, 2), (0, 3), (2, 3), (1, 4), (1, 5)):
        expected[i, j] = True
    for given in (frame, frame.to_numpy(dtype=object)):
        np.testing.assert_array_equal(open_table(given).mask(np.arange(6)), expected)
    times = frame["times"].to_numpy()[:, None]
    np.testing.assert_array_equal(
        open_table(times).mask(np.array([0])), expected[:, [4]]
    )
    words = [["a", None], [float("nan"), "b"]]
    np.testing.assert_array_equal(
        open_table(words).mask(np.arange(2)), [[False, True], [True, False]]
    )


# ImputationDisplay


@pytest.mark.parametrize("kind", CONTAINERS)
def test_observed_and_imputed_values(kind):
    table = make_table()
    completed = table.assign(
        age=table["age"].fillna(99.5),
        job=table["job"].fillna("clerk"),
        wage=table["wage"].fillna(20.0),
        born=table["born"].fillna(pd.Timestamp("1970-05-05")),
    )
    given = as_container(kind, table)
    display = ImputationDisplay.from_tables(given, as_container(kind, completed))
    names = ["job", "wage", "age", "born"]
    if kind == "objects":
        assert display.names == [f"column {j}" for j in (1, 2, 0, 3)]
    else:
        assert display.names == names
    missing = table[names].isna()
    np.testing.assert_allclose(display.shares, missing.mean())
    for i, name in enumerate(names):
        observed, imputed = table[name].dropna(), completed[name][missing[name]]
        if name == "born" and kind != "objects":
            observed, imputed = (each.astype("M8[us]") for each in (observed, imputed))
        assert list(display.observed[i]) == list(observed.to_numpy())
        assert list(display.imputed[i]) == list(imputed.to_numpy())
    n_missing = missing.sum().tolist()
    np.testing.assert_array_equal(display.n_outside[:3], [0, 0, n_missing[2]])
    title = display.axes_[2].get_title()
    assert title.endswith(
        f"{n_missing[2] / 0.6:.0f}% missing, {n_missing[2]} out of range"
    )


def test_histograms_hold_shares_of_their_values():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    completed = X + 0
    X[rng.random(X.shape) < [0.4, 0.2, 0.0]] = np.nan
    display = ImputationDisplay.from_tables(X, completed)
    assert display.names == ["column 0", "column 1"]
    for i in range(2):
        missing = np.isnan(X[:, i])
        groups = [
            (display.observed_[i], completed[~missing, i]),
            (display.imputed_[i], completed[missing, i]),
        ]
        for artist, values in groups:
            heights, edges, _ = artist.get_data()
            for height, low, high in zip(heights, edges, edges[1:], strict=False):
                last = high == edges[-1]
                inside = (values >= low) & ((values < high) | last)
                assert height == pytest.approx(inside.mean())
            assert sum(heights) == pytest.approx(1)
    (marks,) = display.axes_[1].lines  # 60 values, and not the 120 of column 0
    np.testing.assert_allclose(marks.get_xdata(), completed[np.isnan(X[:, 1]), 1])
    assert not display.axes_[0].lines


def test_a_bin_for_each_integer():
    X = np.array([[1.0], [2], [2], [5], [np.nan], [np.nan]])
    completed = np.array([[1.0], [2], [2], [5], [2.4], [6]])
    display = ImputationDisplay.from_tables(X, completed)
    heights, edges, _ = display.observed_[0].get_data()
    np.testing.assert_allclose(edges, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5])
    np.testing.assert_allclose(heights, [0.25, 0.5, 0, 0, 0.25, 0])
    np.testing.assert_allclose(
        display.imputed_[0].get_data().values, [0, 0.5, 0, 0, 0, 0.5]
    )
    assert list(display.n_outside) == [1]


def test_values_below_and_above_all_observed_ones():
    X = np.array([[1.0], [3], [np.nan], [np.nan], [np.nan]])
    completed = np.array([[1.0], [3], [0.9], [3], [3.1]])
    assert list(ImputationDisplay.from_tables(X, completed).n_outside) == [2]


def test_bars_are_shares_of_levels():
    levels = list("aaaaaaaabbbbbbbccccccddddd") + list("eeeeffffggghhi") + [None] * 4
    table = pd.DataFrame({"level": levels, "other": 1.0})
    completed = table.fillna("i").replace({"level": {}})
    completed.loc[len(table) - 1, "level"] = "new"
    display = ImputationDisplay.from_tables(table, completed)
    counts = Counter(levels[:-4])
    order = sorted(counts, key=lambda level: (-counts[level], level))[:7]
    labels = [text.get_text() for text in display.axes_[0].get_yticklabels()]
    assert labels == [*order, "(other)"]
    total = sum(counts.values())
    shares = [counts[level] / total for level in order]
    widths = [bar.get_width() for bar in display.observed_[0]]
    np.testing.assert_allclose(widths, [*shares, 1 - sum(shares)])
    widths = [bar.get_width() for bar in display.imputed_[0]]
    np.testing.assert_allclose(widths, [0] * 7 + [1])
    assert list(display.n_outside) == [1]


def test_draws_are_pooled():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=200)
    X[rng.random(200) < 0.3, 1] = np.nan
    mixture = MaskedGaussianMixture(covariance_type="full").fit(X)
    draws = mixture.sample_completions(X, 3, random_state=0)
    expected = draws[:, np.isnan(X[:, 1]), 1].ravel()
    frames = [pd.DataFrame(draw) for draw in draws]
    for given in (draws, list(draws), tuple(frames)):
        display = ImputationDisplay.from_tables(X, given)
        np.testing.assert_array_equal(display.imputed[0], expected)
    assert display.shares[0] == np.isnan(X[:, 1]).mean()


def test_columns_of_frames_are_matched_by_name():
    table = make_table()
    completed = table[["wage", "age"]].fillna(1.0)
    display = ImputationDisplay.from_tables(table, completed)
    assert display.names == ["wage", "age"]
    np.testing.assert_array_equal(display.imputed[1], [1.0] * table["age"].isna().sum())
    chosen = ImputationDisplay.from_tables(table, completed, columns=["age", 2])
    assert chosen.names == ["age", "wage"]
    with pytest.raises(ValueError, match="Column 'job' of X is not a column of comp"):
        ImputationDisplay.from_tables(table, completed, columns=["job"])
    assert (
        len(ImputationDisplay.from_tables(table, completed, max_columns=1).names) == 1
    )


def test_sparse_tables_and_entries_that_stay_missing():
    X = np.array([[1.0, np.nan, 3], [np.nan, 2, 4], [5, np.nan, np.nan]])
    stored = ~np.isnan(X)
    given = sparse.csr_array((X[stored], np.nonzero(stored)), shape=X.shape)
    completed = np.where(stored, X, 7.0)
    completed[0, 1] = np.nan  # a covariate, say
    display = ImputationDisplay.from_tables(given, completed)
    assert display.names == ["column 1", "column 0", "column 2"]
    assert [list(values) for values in display.imputed] == [[7], [7], [7]]
    assert [sorted(values) for values in display.observed] == [[2], [1, 5], [3, 4]]
    marked = np.where(stored, X, -1)
    other = ImputationDisplay.from_tables(marked, completed, missing_values=-1)
    assert [list(values) for values in other.observed] == [[2], [1, 5], [3, 4]]


def test_columns_without_values():
    X = np.array([[1.0, np.nan], [2, np.nan], [np.nan, np.nan]])
    completed = np.where(np.isnan(X) & [True, False], 1.5, X)
    display = ImputationDisplay.from_tables(X, completed)
    assert display.names == ["column 1", "column 0"]
    assert [len(values) for values in display.observed] == [0, 2]
    assert [len(values) for values in display.imputed] == [0, 1]
    table = pd.DataFrame({"word": pd.Series([None, None], dtype=object)})
    display = ImputationDisplay.from_tables(table, table.fillna("new"))
    assert list(display.imputed[0]) == ["new", "new"]
    assert [bar.get_width() for bar in display.imputed_[0]] == [1]
    assert list(display.n_outside) == [0]


def test_booleans_that_an_imputer_made_numbers():
    table = pd.DataFrame({"flag": np.array([True, None, None, True, False])})
    completed = np.array([[1.0], [0.25], [1.5], [1.0], [0.0]])
    display = ImputationDisplay.from_tables(table, completed)
    np.testing.assert_array_equal(display.observed[0], [1, 1, 0])
    np.testing.assert_array_equal(display.imputed[0], [0.25, 1.5])
    assert list(display.n_outside) == [1]
    kept = ImputationDisplay.from_tables(table, table.where(table.notna(), True))
    assert list(kept.imputed[0]) == [True, True]
    assert kept.observed[0].dtype == object


def test_tables_that_cannot_be_compared():
    X = np.array([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="completed should have at least one table"):
        ImputationDisplay.from_tables(X, [])
    with pytest.raises(ValueError, match="'column 0' has infinite imputed values"):
        ImputationDisplay.from_tables(X, [[1.0], [np.inf]])


def test_imputations_on_given_axes_and_in_another_style():
    X = np.random.default_rng(0).normal(size=(40, 6))
    completed = X + 0
    X[::3] = np.nan
    _, axes = plt.subplots(2)
    display = ImputationDisplay.from_tables(
        X,
        completed,
        ax=axes[0],
        feature_names=[f"{'long ' * 20}{j}" for j in range(6)],
        observed_kwargs={"facecolor": "k"},
        imputed_kwargs={"edgecolor": "r"},
    )
    assert display.bounding_ax_ is axes[0]
    assert len(display.axes_) == 6
    assert display.observed_[0].get_facecolor() == to_rgba("k")
    assert display.imputed_[0].get_edgecolor() == to_rgba("r")
    assert display.plot() is display
    assert display.figure_ is not axes[0].figure


def test_completed_tables_that_are_refused():
    X = np.array([[1.0, np.nan], [2, 3]])
    with pytest.raises(ValueError, match="the 2 rows of X, but got 1"):
        ImputationDisplay.from_tables(X, X[:1])
    with pytest.raises(ValueError, match="the 2 columns of X, but got 1"):
        ImputationDisplay.from_tables(X, X[:, :1])
    with pytest.raises(ValueError, match="No entry of X is missing in the columns"):
        ImputationDisplay.from_tables(X, X, columns=[0])
    with pytest.raises(ValueError, match="No entry of X is missing in the columns"):
        ImputationDisplay.from_tables(np.ones((2, 2)), X)
    with pytest.raises(ValueError, match="columns should be indices below 2 or names"):
        ImputationDisplay.from_tables(X, X, columns=[2])
