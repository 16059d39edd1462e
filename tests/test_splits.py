# SPDX-License-Identifier: BSD-3-Clause
"""Splits of ratings, recommenders to compare with, and the scorer of lists."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf import MaskedGaussianMixture, MixtureRecommender, baselines
from sklearn_gmmcf.baselines import (
    DampedMeanRecommender,
    PopularityRecommender,
    RandomRecommender,
)
from sklearn_gmmcf.metrics import ndcg_at_k, recall_at_k
from sklearn_gmmcf.model_selection import (
    leave_last_out,
    recommendation_scorer,
    split_by_time,
    split_items,
    split_per_user,
)
from sklearn_gmmcf.preprocessing import RowNormalizer
from tests import oracles
from tests.made import clusters, to_sparse
from tests.optional import pd, pl

RECOMMENDERS = [
    PopularityRecommender(),
    DampedMeanRecommender(),
    RandomRecommender(random_state=0),
]


def tables():
    """Lines of five users, with equal times, and one user of a single line."""
    rng = np.random.default_rng(0)
    users = np.array(["ann", "bob", "cyd", "dan"])[rng.integers(4, size=40)]
    users[7] = "eve"
    frame = pd.DataFrame(
        {
            "item": np.arange(40) % 11,
            "user": users,
            "rating": rng.integers(1, 6, 40).astype(float),
            "time": rng.integers(0, 9, 40),
        },
        index=np.arange(100, 140),
    )
    return frame


def last_lines(frame, n_tested):
    """Labels of the last lines of each user, by a loop."""
    last = []
    for user in sorted(set(frame["user"])):
        lines = [
            (frame["time"][label], position, label)
            for position, label in enumerate(frame.index)
            if frame["user"][label] == user
        ]
        tested = min(n_tested(len(lines)), len(lines) - 1)
        last += [label for *_, label in sorted(lines)[len(lines) - tested :]]
    return sorted(last)


def to_matrices(frame):
    """Ratings and times of a table in which nobody rates twice."""
    users, rows = np.unique(frame["user"], return_inverse=True)
    shape = len(users), 11
    ratings, times = np.full((2, *shape), np.nan)
    ratings[rows, frame["item"]] = frame["rating"]
    times[rows, frame["item"]] = frame["time"]
    return ratings, times


def unique_ratings():
    return tables().drop_duplicates(["user", "item"])


FIFTHS = [(0.2, lambda n: -(-n // 5)), (0.5, lambda n: -(-n // 2))]


@pytest.mark.parametrize(("size", "n_tested"), FIFTHS)
def test_last_share_of_each_user(size, n_tested):
    frame = tables()
    train, test = split_by_time(frame, test_size=size)
    assert list(test.index) == last_lines(frame, n_tested)
    pd.testing.assert_frame_equal(pd.concat([train, test]).sort_index(), frame)
    assert set(train["user"]) == set(frame["user"])


@pytest.mark.parametrize("n_last", [1, 3, np.int64(100)])
def test_last_ratings_of_each_user(n_last):
    frame = tables()
    train, test = leave_last_out(frame, n_last=n_last)
    assert list(test.index) == last_lines(frame, lambda n: n_last)
    assert len(train) + len(test) == len(frame)


@pytest.mark.parametrize("size", [0.1, 0.25, 0.6])
def test_global_split_has_one_moment(size):
    frame = tables()
    train, test = split_by_time(frame, test_size=size, per_user=False)
    assert train["time"].max() < test["time"].min()
    assert len(train) + len(test) == len(frame)
    n_tested = int(np.ceil(40 * size - 1e-9))
    # Fewer would be tested if the first time of the test part were trained on.
    assert (test["time"] > test["time"].min()).sum() < n_tested <= len(test)


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_random_share_of_each_user(seed, size):
    frame = tables()
    train, test = split_per_user(frame, size, random_state=seed)
    for user, lines in frame.groupby("user"):
        n_tested = min(int(np.ceil(len(lines) * size - 1e-9)), len(lines) - 1)
        assert (test["user"] == user).sum() == n_tested
        assert (train["user"] == user).sum() == len(lines) - n_tested
    assert set(train.index).isdisjoint(test.index)
    again = split_per_user(frame, size, random_state=seed)[1]
    pd.testing.assert_frame_equal(again, test)


def test_random_shares_differ_by_seed():
    frame = tables()
    parts = {tuple(split_per_user(frame, random_state=i)[1].index) for i in range(5)}
    assert len(parts) == 5
    tested = [set(split_per_user(frame, random_state=i)[1].index) for i in range(60)]
    multiple = frame.index[frame["user"] != "eve"]
    assert set().union(*tested) == set(multiple)


@pytest.mark.parametrize(("size", "n_tested"), [(0.2, 3), (0.01, 1), (0.9, 10)])
def test_items_are_new(size, n_tested):
    frame = tables()
    train, test = split_items(frame, size, random_state=0)
    assert set(train["item"]).isdisjoint(test["item"])
    assert test["item"].nunique() == n_tested
    assert len(train) + len(test) == len(frame)


def list_converters():
    """Frames of other libraries; the oldest numpy has no pyarrow."""
    try:
        import pyarrow as pa
    except ImportError:
        return [pl.DataFrame]
    return [pl.DataFrame, lambda table: pa.table(dict(table))]


SPLITS = [
    lambda ratings, time: split_by_time(ratings, time),
    lambda ratings, time: split_by_time(ratings, time, per_user=False),
    lambda ratings, time: leave_last_out(ratings, time),
    lambda ratings, time: split_per_user(ratings, random_state=0),
    lambda ratings, time: split_items(ratings, random_state=0),
]


@pytest.mark.parametrize("split", SPLITS)
def test_containers(split):
    """A matrix is split as the table of its entries by rows and columns."""
    frame = unique_ratings().sort_values(["user", "item"]).reset_index(drop=True)
    train, test = split(frame, "time")
    ratings, times = to_matrices(frame)
    for convert in list_converters():
        for ours, expected in zip(
            split(convert(frame), "time"), (train, test), strict=True
        ):
            assert type(ours) is type(convert(frame))
            pd.testing.assert_frame_equal(
                pd.DataFrame({name: ours[name].to_numpy() for name in frame}),
                expected.reset_index(drop=True),
                check_dtype=False,
            )
    for X, when in [
        (ratings, times),
        (to_sparse(ratings), to_sparse(times)),
        (sparse.csc_matrix(to_sparse(ratings)), times),
    ]:
        for ours, expected in zip(split(X, when), (train, test), strict=True):
            assert isinstance(ours, sparse.csr_array)
            assert ours.shape == ratings.shape
            part = np.full(ratings.shape, np.nan)
            rows = np.unique(frame["user"], return_inverse=True)[1][expected.index]
            part[rows, expected["item"]] = expected["rating"]
            coo = ours.tocoo()
            found = np.full(ratings.shape, np.nan)
            found[coo.row, coo.col] = coo.data
            np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("make", [np.asarray, list, pd.Series, pl.Series])
@pytest.mark.parametrize("dated", [False, True])
def test_tuples_are_tables(split, make, dated):
    frame = tables()
    names = ["user", "item", "rating"]
    arrays = tuple(make(frame[name].to_numpy()) for name in names)
    time = frame["time"].to_numpy()
    if dated:
        time = np.datetime64("2001-01-01") + time.astype("m8[D]")
    for ours, expected in zip(split(arrays, time), split(frame, "time"), strict=True):
        assert isinstance(ours, tuple)
        assert len(ours) == 3
        for array, name in zip(ours, names, strict=True):
            assert isinstance(array, np.ndarray)
            np.testing.assert_array_equal(array, expected[name].to_numpy())


@pytest.mark.parametrize("name", [int, np.int64])
def test_integers_as_names(name):
    frame = tables()
    numbered = frame.set_axis(range(4), axis=1)
    for found, expected in [
        (split_per_user(numbered, user=name(1), random_state=0), split_per_user),
        (split_items(numbered, item=name(0), random_state=0), split_items),
    ]:
        lines = expected(frame, random_state=0)[1].index
        assert list(found[1].index) == list(lines)
    found = split_by_time(numbered, name(3), user=name(1))[1]
    assert list(found.index) == list(split_by_time(frame)[1].index)


@pytest.mark.parametrize("per_user", [False, True])
def test_matrices_of_dates(per_user):
    ratings, times = to_matrices(unique_ratings())
    days = np.where(np.isnan(times), 0, times).astype("m8[D]")
    dates = np.datetime64("2001-01-01") + days
    dates[np.isnan(times)] = np.datetime64("NaT")
    expected = split_by_time(ratings, times, per_user=per_user)
    for when in (dates, days, pd.DataFrame(dates.astype("M8[ns]"))):
        found = split_by_time(ratings, when, per_user=per_user)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours != theirs).nnz == 0


def test_dates_and_names():
    frame = tables()
    dated = frame.assign(
        time=pd.Timestamp("2001-01-01") + pd.to_timedelta(frame["time"], unit="D")
    ).rename(columns={"user": "who", "item": "what", "time": "when"})
    expected = split_by_time(frame)[1].index
    assert list(split_by_time(dated, "when", user="who")[1].index) == list(expected)
    assert len(leave_last_out(dated, "when", user="who")[1]) == 4
    assert len(split_items(dated, item="what", random_state=0)[1])
    named = split_per_user(dated, user="who", random_state=0)[1].index
    assert list(named) == list(split_per_user(frame, random_state=0)[1].index)


def test_missing_values_of_matrices():
    ratings, times = to_matrices(unique_ratings())
    marked = np.where(np.isnan(ratings), -1, ratings)
    for ours, expected in zip(
        split_by_time(marked, times, missing_values=-1),
        split_by_time(ratings, times),
        strict=True,
    ):
        assert (ours != expected).nnz == 0


class TestSplitErrors:
    @pytest.mark.parametrize("size", [0, 1, -0.5, 2.0, "half", None])
    def test_size(self, size):
        for split in (split_by_time, split_per_user, split_items):
            with pytest.raises(ValueError, match="test_size should be between 0 and 1"):
                split(tables(), test_size=size)

    def test_names(self):
        frame = tables()
        with pytest.raises(ValueError, match=r"no column 'when' but.*time="):
            split_by_time(frame, "when")
        with pytest.raises(ValueError, match=r"no column 'who' but.*user="):
            split_per_user(frame, user="who")
        with pytest.raises(ValueError, match=r"no column 'what' but.*item="):
            split_items(frame, item="what")

    @pytest.mark.parametrize("convert", [pd.DataFrame, pl.DataFrame])
    def test_missing_times(self, convert):
        frame = tables()
        frame["time"] = frame["time"].astype(float)
        frame.iloc[3, 3] = np.nan
        with pytest.raises(ValueError, match=r"Rating 3 \(from 0\) has no time"):
            split_by_time(convert(frame))

    def test_missing_times_of_a_matrix(self):
        ratings, times = to_matrices(unique_ratings())
        with pytest.raises(ValueError, match="has no time"):
            leave_last_out(ratings, np.where(times == 3, np.nan, times))
        for time in ("time", times[:, :3], times[0]):
            with pytest.raises(ValueError, match="matrix of the same shape"):
                leave_last_out(ratings, time)

    def test_missing_dates_and_other_times_of_a_matrix(self):
        ratings, times = to_matrices(unique_ratings())
        dates = np.where(times == 3, np.nan, times).astype("M8[D]")
        with pytest.raises(ValueError, match="has no time"):
            leave_last_out(ratings, dates)
        day = date(2001, 1, 1)
        for wrong in (np.full(times.shape, day), np.full(times.shape, "2001-01-01")):
            with pytest.raises(ValueError, match="times should be numbers or dates of"):
                leave_last_out(ratings, wrong)

    def test_tuples(self):
        table = (["ann", "bob"], [1, 2], [3.0, 4.0])
        with pytest.raises(ValueError, match=r"three arrays .* but got 2\. Pass"):
            split_per_user(table[:2])
        for wrong in (table[2][:1], [table[2]] * 2):
            with pytest.raises(ValueError, match="should be 1d and equally long"):
                split_per_user((*table[:2], wrong))
        for time in ("time", [1.0], np.ones((2, 1))):
            with pytest.raises(ValueError, match=r"array of the shape \(2,\), but got"):
                split_by_time(table, time)
        with pytest.raises(ValueError, match="An id of users is missing"):
            split_per_user((["ann", None], *table[1:]))

    def test_texts_are_no_times(self):
        with pytest.raises(ValueError, match="'user' should be numbers or dates"):
            split_by_time(tables(), "user")

    def test_empty_parts(self):
        frame = tables()[:1]
        with pytest.raises(ValueError, match="test part would be empty"):
            split_per_user(frame)
        with pytest.raises(ValueError, match="training part would be empty"):
            split_by_time(tables().assign(time=1), per_user=False)
        with pytest.raises(ValueError, match="training part would be empty"):
            split_items(frame)

    @pytest.mark.parametrize("n_last", [0, 1.0, True])
    def test_number(self, n_last):
        with pytest.raises(ValueError, match="n_last should be an integer of at least"):
            leave_last_out(tables(), n_last=n_last)


def rated():
    X = np.round(clusters(30, 8, missing=0.5))
    X[4] = np.nan
    return X


def damped_means(X, damping):
    """Scores of all entries, by loops."""
    observed = [[x for x in row if not np.isnan(x)] for row in X]
    mean = np.mean([x for row in observed for x in row])
    effects = []
    for column in X.T:
        deviations = [x - mean for x in column if not np.isnan(x)]
        effects.append(sum(deviations) / (len(deviations) + damping))
    scores = np.empty(X.shape)
    for i, row in enumerate(X):
        left = [x - mean - e for x, e in zip(row, effects, strict=True) if x == x]
        offset = sum(left) / (len(left) + damping) if left else 0.0
        scores[i] = mean + offset + np.array(effects)
    return scores


@pytest.mark.parametrize("make", [np.array, to_sparse, pd.DataFrame])
@pytest.mark.parametrize("exclude_observed", [True, False])
@pytest.mark.parametrize("size", [None, 3 * 8 * 8])
def test_baselines(make, exclude_observed, size, monkeypatch):
    if size is not None:
        monkeypatch.setattr(baselines, "_SCORE_BYTES", size)
    X = rated()
    expected = [
        (PopularityRecommender(), np.tile((~np.isnan(X)).sum(axis=0), (30, 1))),
        (DampedMeanRecommender(damping=2), damped_means(X, 2)),
        (DampedMeanRecommender(damping=0), damped_means(X, 0)),
    ]
    for recommender, scores in expected:
        items, values = recommender.fit(make(X)).recommend(
            make(X), 9, exclude_observed=exclude_observed
        )
        assert items.shape == values.shape == (30, 9)
        for i, row in enumerate(scores):
            left = row.astype(float)
            if exclude_observed:
                left[~np.isnan(X[i])] = -np.inf
            listed = items[i][items[i] >= 0]
            assert len(listed) == np.isfinite(left).sum()
            np.testing.assert_allclose(values[i, : len(listed)], row[listed])
            assert (np.diff(row[listed]) <= 1e-12).all()
            assert np.isnan(values[i, len(listed) :]).all()
        if isinstance(recommender, PopularityRecommender):
            first = oracles.largest(scores[4].astype(float), 8)
            assert items[4, :8].tolist() == first


@pytest.mark.parametrize("size", [None, 3 * 8 * 8])
def test_random_items(size, monkeypatch):
    X = rated()
    expected = RandomRecommender(random_state=0).fit(X).recommend(X, 8)
    if size is not None:
        monkeypatch.setattr(baselines, "_SCORE_BYTES", size)
    recommender = RandomRecommender(random_state=0).fit(X)
    for _ in range(2):
        for ours, theirs in zip(recommender.recommend(X, 8), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (np.sort(expected[0][4]) == np.arange(8)).all()
    other = RandomRecommender(random_state=1).fit(X).recommend(X, 8)[0]
    assert (other != expected[0]).any()
    first = RandomRecommender(random_state=0).fit(X)
    empty = first.recommend(np.full((2000, 8), np.nan), 1)[0][:, 0]
    counts = np.bincount(empty, minlength=8)
    assert abs(counts - 250).max() < 75  # five standard deviations


@parametrize_with_checks(RECOMMENDERS)
def test_generated_check(estimator, check):
    check(estimator)


def test_baselines_missing_values_and_errors():
    X = rated()
    for recommender in RECOMMENDERS:
        recommender = clone(recommender)
        expected = recommender.fit(X).recommend(X, 3)
        marked = np.where(np.isnan(X), -99, X)
        found = clone(recommender).set_params(missing_values=-99).fit(marked)
        for ours, theirs in zip(found.recommend(marked, 3), expected, strict=True):
            np.testing.assert_allclose(ours, theirs)
        with pytest.raises(ValueError, match="n_items should be an integer"):
            recommender.recommend(X, 0)
        with pytest.raises(ValueError, match="has 5 features"):
            recommender.recommend(X[:, :5])
        with pytest.raises(NotFittedError):
            clone(recommender).recommend(X)
    with pytest.raises(ValueError, match="damping"):
        DampedMeanRecommender(damping=-1).fit(X)


class Recorder:
    """Recommends by given scores, and keeps the X that it gets."""

    missing_values = np.nan

    def __init__(self, scores):
        self.scores = scores

    def recommend(self, X, n_items=10, **options):
        self.X, self.options = X, options
        return np.argsort(-self.scores, axis=1)[:, :n_items], None


@pytest.fixture
def recorder():
    return Recorder(np.random.default_rng(0).uniform(size=(30, 8)))


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("fraction", [0.2, 0.6])
def test_scorer_hides_and_measures(recorder, make, fraction):
    X = rated()
    score = recommendation_scorer("ndcg", 3, fraction=fraction, threshold=0)(
        recorder, make(X)
    )
    given_X = recorder.X
    assert type(given_X) is type(make(X))
    if sparse.issparse(given_X):
        coo = given_X.tocoo()
        given_X = np.full(X.shape, np.nan)
        given_X[coo.row, coo.col] = coo.data
    left = ~np.isnan(given_X)
    np.testing.assert_array_equal(given_X[left], X[left])
    hidden = ~np.isnan(X) & ~left
    n_observed = (~np.isnan(X)).sum(axis=1)
    expected = np.minimum(np.ceil(n_observed * fraction - 1e-9), n_observed - 1)
    np.testing.assert_array_equal(hidden.sum(axis=1), np.maximum(expected, 0))
    relevance = np.where(hidden, X, np.nan)
    items = np.argsort(-recorder.scores, axis=1)[:, :3]
    assert score == pytest.approx(ndcg_at_k(items, relevance, 3, threshold=0))
    assert recorder.options == {}


def test_scorer_metrics_and_options(recorder):
    X = np.abs(rated())
    found = {}
    for metric in ("precision", "recall", "average_precision"):
        scorer = recommendation_scorer(metric, 2, rank_by="lower")
        found[metric] = scorer(recorder, X)
        assert recorder.options == {"rank_by": "lower"}

    def own(items, relevance):
        assert items.shape == (30, 2)
        assert relevance.shape == X.shape
        return recall_at_k(items, relevance, 2)

    assert recommendation_scorer(own, 2)(recorder, X) == found["recall"]
    assert len(set(found.values())) == 3
    other = recommendation_scorer("recall", 2, random_state=1)(recorder, X)
    assert other != found["recall"]


def test_scorer_in_searches():
    X = np.abs(rated()) + 1
    search = GridSearchCV(
        DampedMeanRecommender(),
        {"damping": [0.0, 5.0]},
        scoring=recommendation_scorer("recall", 3),
        error_score="raise",
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scorer = recommendation_scorer("recall", 3)
    assert scorer(search, X) == scorer(search.best_estimator_, X)
    for recommender in RECOMMENDERS:
        scores = cross_val_score(
            recommender, X, scoring=scorer, error_score="raise", cv=3
        )
        assert ((scores >= 0) & (scores <= 1)).all()


def test_scorer_in_pipelines():
    X = np.abs(rated()) + 1
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
    normalized = make_pipeline(RowNormalizer(), mixture).fit(X)
    score = recommendation_scorer("recall", 3)(normalized, X)
    # The same by hand, as the steps must not see the hidden entries.
    spy = Recorder(np.zeros(X.shape))
    recommendation_scorer("recall", 3)(spy, X)
    hidden = np.where(np.isnan(spy.X), X, np.nan)
    items = normalized[-1].recommend(normalized[:-1].transform(spy.X), 3)[0]
    assert score == pytest.approx(recall_at_k(items, hidden, 3))
    scaled = make_pipeline(StandardScaler(), mixture).fit(X)
    with pytest.raises(ValueError, match="change the order of the entries of row"):
        recommendation_scorer()(scaled, X)


def test_covariates_are_not_hidden():
    X = np.abs(rated()) + 1
    X[:, 0] = np.arange(30)
    mixture = MaskedGaussianMixture(
        covariance_type="factor", n_factors=2, covariates=[0]
    ).fit(X)

    def measure(items, relevance):
        assert not relevance[:, [0]].nnz
        assert (items != 0).all()
        return 1.0

    assert recommendation_scorer(measure, 2)(mixture, X) == 1.0


class TestScorerErrors:
    def test_parameters(self):
        with pytest.raises(ValueError, match="metric should be one of"):
            recommendation_scorer("auc")
        with pytest.raises(ValueError, match="k should be an integer"):
            recommendation_scorer(k=0)
        with pytest.raises(ValueError, match="fraction should be between 0 and 1"):
            recommendation_scorer(fraction=1.5)

    def test_estimators_that_do_not_recommend(self):
        X = rated()
        for estimator in (SimpleImputer(), make_pipeline(SimpleImputer(), PCA())):
            with pytest.raises(ValueError, match="has no recommend"):
                recommendation_scorer()(estimator.fit(X), X)

    @pytest.mark.parametrize("metric", [["ndcg"], {"ndcg": 1}, None])
    def test_metrics(self, metric):
        with pytest.raises(ValueError, match="metric should be one of"):
            recommendation_scorer(metric)

    @pytest.mark.parametrize("data", ["table", "matrix"])
    def test_recommenders_of_tables(self, data):
        X = unique_ratings() if data == "table" else np.abs(rated())
        message = "MixtureRecommender recommends from tables .* RatingsEncoder"
        with pytest.raises(ValueError, match=message):
            recommendation_scorer()(MixtureRecommender(), X)

    @pytest.mark.parametrize("recommender", RECOMMENDERS)
    def test_rank_by_of_baselines(self, recommender):
        X = np.abs(rated()) + 1
        recommender = clone(recommender).fit(X)
        with pytest.raises(ValueError, match="has no rank_by, but recommendation"):
            recommendation_scorer(rank_by="lower")(recommender, X)
