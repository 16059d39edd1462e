# SPDX-License-Identifier: BSD-3-Clause
"""MixtureRecommender: tables in, lists with reasons out, exact updates."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_gmmcf import MaskedGaussianMixture, MixtureRecommender
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.ratings import RatingsEncoder
from tests.optional import pd

PARAMS = {"n_components": 2, "n_factors": 2, "max_iter": 20, "tol": 0}


def make_table(n_users=60, n_items=12, seed=0, per_user=(3, 9)):
    """Ratings 1 to 5 of users u000, ... and items i00, ..."""
    rng = np.random.default_rng(seed)
    tastes, loadings = rng.normal(size=(n_users, 2)), rng.normal(size=(2, n_items))
    lines = []
    for user in range(n_users):
        for item in rng.permutation(n_items)[: rng.integers(*per_user)]:
            value = 3 + tastes[user] @ loadings[:, item] + rng.normal() / 2
            rating = float(np.clip(np.round(value), 1, 5))
            lines.append((f"u{user:03}", f"i{item:02}", rating))
    return pd.DataFrame(lines, columns=["user", "item", "rating"])


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture
def recommender(table):
    return fit(table)


def fit(table, **params):
    return MixtureRecommender(**{**PARAMS, **params}).fit(table)


def matrix(table):
    encoder = RatingsEncoder()
    X, users = encoder.fit_encode(table)
    return X, users, encoder.items_


def get_sums(recommender):
    sums = recommender.mixture_._running.statistics
    return np.concatenate(
        [np.ravel(getattr(sums, name)) for name in sums.__dataclass_fields__]
    )


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class TestFaces:
    def test_predicts_as_the_mixture_of_the_matrix(self, table, recommender):
        X, users, items = matrix(table)
        mixture = MaskedGaussianMixture(
            covariance_type="factor", random_state=0, **PARAMS
        ).fit(X)
        missing = np.argwhere(~(X.toarray() > 0))[::7]
        expected, std = mixture.complete(X, entries=missing.T, return_std=True)
        pairs = users[missing[:, 0]], items[missing[:, 1]]
        values, deviations = recommender.predict(pairs, return_std=True)
        assert_allclose(values, np.clip(expected, 1, 5), rtol=1e-12)
        assert_allclose(deviations, std, rtol=1e-12)
        chances = recommender.predict_chance(pairs, 3.5)
        assert_allclose(chances, norm.sf(3.5, expected, std), rtol=1e-9)
        frame = pd.DataFrame({"item": pairs[1], "user": pairs[0]})
        assert_array_equal(recommender.predict(frame), values)

    def test_held_ratings_and_unknown_ids(self, table, recommender):
        values, std = recommender.predict(table.head(9), return_std=True)
        assert_array_equal(values, table["rating"].head(9))
        assert_array_equal(std, 0)
        chances = recommender.predict_chance(table.head(9), threshold=4)
        assert_array_equal(chances, table["rating"].head(9) >= 4)
        pairs = ["new", "new", "u000"], ["i03", "none", "none"]
        values, std = recommender.predict(pairs, return_std=True)
        assert_allclose(values[1:], table["rating"].mean())
        assert_allclose(std[1:], table["rating"].std(ddof=0))
        X, _, items = matrix(table)
        column = list(items).index("i03")
        empty = recommender.mixture_.complete(_empty_row(X), entries=([0], [column]))
        assert_allclose(values[0], empty[0])
        unknown = recommender.predict((["new", "u000"], ["none", "none"]))
        assert_allclose(unknown, table["rating"].mean())

    def test_lists_as_the_mixture(self, table, recommender):
        X, users, items = matrix(table)
        ranked, _ = recommender.mixture_.recommend(
            X, 3, rank_by="utility", threshold=recommender.threshold_
        )
        found = recommender.recommend(n_items=3)
        expected = [
            (user, items[j])
            for user, row in zip(users, ranked, strict=True)
            for j in row
            if j >= 0
        ]
        assert list(zip(found["user"], found["item"], strict=True)) == expected
        pairs = found[["user", "item"]]
        assert_allclose(found["rating"], recommender.predict(pairs))
        assert_allclose(found["chance"], recommender.predict_chance(pairs))
        few = recommender.recommend(
            ["u003", "nobody"],
            2,
            items=["i01", "i02", "i05"],
            exclude=["i02"],
            exclude_observed=False,
        )
        assert set(few["user"]) == {"u003", "nobody"}
        assert set(few["item"]) == {"i01", "i05"}

    def test_visitors_are_not_learned(self, table, recommender):
        before = get_sums(recommender)
        visitor = pd.DataFrame({"user": "v", "item": ["i01", "i02"], "rating": [5, 1]})
        found = recommender.recommend(ratings=visitor, n_items=12)
        assert set(found["user"]) == {"v"}
        assert not {"i01", "i02"} & set(found["item"])
        expected = recommender.predict(found[["user", "item"]], ratings=visitor)
        assert_allclose(found["rating"], expected)
        assert_array_equal(get_sums(recommender), before)
        assert "v" not in recommender.users_
        unknown = ["v", "v"], ["i01", "none"], [5, 1]
        both = recommender.recommend(["u001", "v", "x"], 2, ratings=unknown)
        expected = recommender.recommend(["u001"], 2)
        pd.testing.assert_frame_equal(both.head(2), expected)
        assert list(both["user"]) == ["u001"] * 2 + ["v"] * 2 + ["x"] * 2

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "arrays"])
    def test_tables_come_back_as_they_came(self, table, library):
        expected = fit(table).recommend(["u001"], 2)
        if library == "arrays":
            found = fit(tuple(table[name] for name in table)).recommend(["u001"], 2)
            columns = found
        else:
            module = pytest.importorskip(library, exc_type=ImportError)
            frame = {
                "pandas": lambda: table,
                "polars": lambda: module.from_dict(table.to_dict("list")),
                "pyarrow": lambda: module.table(table.to_dict("list")),
            }[library]()
            found = fit(frame).recommend(["u001"], 2)
            assert type(found) is type(frame)
            columns = [found[name] for name in expected.columns]
        for column, name in zip(columns, expected.columns, strict=True):
            assert list(np.asarray(column)) == list(expected[name])

    def test_the_latest_rating_counts(self, table):
        early = table.assign(when=1.0)
        late = early.head(20).assign(rating=1.0, when=2.0)
        mixed = pd.concat([late, early])
        changed = table.copy()
        changed.loc[:19, "rating"] = 1.0
        found = fit(mixed, time="when").predict(table)
        assert_array_equal(found, changed["rating"])
        recommender = fit(mixed, time="when")
        visitor = ["v"], ["i01"], [5.0]
        assert len(recommender.recommend(ratings=visitor)["user"]) == 10
        assert recommender.update(visitor).predict((["v"], ["i01"])) == 5
        mixed = mixed.reset_index(drop=True)
        mixed.loc[3, "when"] = np.nan
        for bad, match in (
            (mixed, "time in line 3"),
            (mixed.assign(when="2"), "numbers or dates"),
            (table, "no column 'when'"),
            (visitor, "no column 'when'"),
        ):
            with pytest.raises(ValueError, match=match):
                fit(bad, time="when")

    def test_score(self, table, recommender):
        later = make_table(seed=1)
        errors = recommender.predict(later) - later["rating"]
        assert_allclose(recommender.score(later), -np.sqrt(np.mean(errors**2)))
        marked = pd.concat([later, later.head(9).assign(rating=-1.0)])
        other = fit(table, rating_range=(1, 5), out_of_range="missing")
        assert_allclose(other.score(marked), other.score(later))
        with pytest.raises(ValueError, match="outside rating_range"):
            fit(table, rating_range=(1, 5)).score(marked)
        with pytest.raises(ValueError, match="no rating to score"):
            recommender.score(table.head(0))

    def test_clone_and_titles(self, table):
        titles = {f"i{i:02}": f"Title {i}" for i in range(12)}
        recommender = clone(MixtureRecommender(**PARAMS, item_titles=titles)).fit(table)
        found = recommender.recommend(["u001"], 2)
        assert list(found["title"]) == [titles[item] for item in found["item"]]
        similar = recommender.similar_items("i03", 4)
        assert list(similar["title"]) == [titles[item] for item in similar["item"]]
        assert "i03" not in set(similar["item"])


def _empty_row(X):
    empty = X[[0]].copy()
    empty.data, empty.indices = empty.data[:0], empty.indices[:0]
    empty.indptr = np.zeros_like(empty.indptr)
    return empty


def test_intervals_hold_the_ratings():
    # Ratings are draws of the model, rounded to a scale that cuts both ends off.
    made = make_ratings(400, n_items=60, n_types=2, n_factors=2, random_state=0)
    coo = made.data.tocoo()
    held = np.random.default_rng(0).random(coo.nnz) < 0.2
    train = coo.row[~held], coo.col[~held], coo.data[~held]
    recommender = MixtureRecommender(2, n_factors=4).fit(train)
    pairs, true = (coo.row[held], coo.col[held]), coo.data[held]
    lower, upper = recommender.predict_interval(pairs, 0.9)
    inside = (lower <= true) & (true <= upper)
    assert 0.86 < inside.mean() < 0.95


@pytest.mark.parametrize("coverage", [0.2, 0.5, 0.9])
def test_intervals_of_ratings_cut_at_the_ends(recommender, monkeypatch, coverage):
    values, std = (
        grid.ravel() for grid in np.meshgrid([0.5, 2, 3, 4.5, 6], [0.1, 0.5, 2, 9])
    )
    monkeypatch.setattr(recommender, "_predict", lambda *_: (values, std))
    lower, upper = recommender.predict_interval(None, coverage)
    assert ((lower >= 1) & (upper <= 5) & (lower <= upper)).all()
    draws = np.random.default_rng(0).normal(values, std, (20_000, len(values)))
    ratings = np.clip(draws, 1, 5)
    held = ((lower <= ratings) & (ratings <= upper)).mean(axis=0)
    assert (held > coverage - 0.02).all()
    cut = (lower > 1) & (upper < 5)
    assert_allclose(held[cut], coverage, atol=0.02)


class TestReasons:
    def test_add_up(self, table, recommender):
        for item in recommender.recommend(["u004"])["item"]:
            reasons = recommender.explain("u004", item)
            total = reasons["contribution"].sum()
            value, _ = recommender._predict((["u004"], [item]))
            assert_allclose(total, value, atol=1e-10)
            rated = reasons[reasons["part"] == "observed"].set_index("source")
            own = table[table["user"] == "u004"].set_index("item")["rating"]
            assert rated["rating"].to_dict() == own.to_dict()
            few = recommender.explain("u004", item, n_reasons=1)
            assert_allclose(few["contribution"].sum(), total)
            assert (few["part"] == "observed").sum() == 1

    def test_titles_and_visitors(self, table):
        titles = {"i01": "One"}
        recommender = fit(table, item_titles=titles)
        visitor = ["v", "v"], ["i01", "i02"], [5, 1]
        reasons = recommender.explain("v", "i03", ratings=visitor)
        rated = reasons[reasons["part"] == "observed"]
        assert dict(zip(rated["source"], rated["rating"], strict=True)) == {
            "One": 5.0,
            "i02": 1.0,
        }

    def test_similar_users(self, table, recommender):
        X, users, _ = matrix(table)
        found = recommender.similar_users("u007", 5)
        assert "u007" not in set(found["user"])
        rows, similarities = recommender.mixture_.similar_rows(X[[7]], 6, candidates=X)
        kept = rows[0] != 7
        assert list(found["user"]) == list(users[rows[0][kept]])[:5]
        assert_allclose(found["similarity"], similarities[0][kept][:5])
        recommender.forget(users[users != "u007"])
        with pytest.raises(ValueError, match="no other user to compare with"):
            recommender.similar_users("u007")


class TestUpdates:
    def test_twenty_updates_are_one(self, table):
        rng = np.random.default_rng(0)
        items = [f"i{i:02}" for i in range(6)]
        often, once = fit(table), fit(table)
        for _ in range(20):
            ratings = rng.integers(1, 6, 6).astype(float)
            change = pd.DataFrame({"user": "u005", "item": items, "rating": ratings})
            often.update(change)
        once.update(change)
        assert_allclose(get_sums(often), get_sums(once), rtol=1e-8, atol=1e-8)
        assert_allclose(often.mixture_.weights_, once.mixture_.weights_, atol=1e-8)
        assert_array_equal(often.predict(change), change["rating"])

    def test_other_ratings_of_the_user_stay(self, table, recommender):
        own = table[table["user"] == "u006"]
        change = own.head(1).assign(rating=1.0)
        recommender.update(change)
        assert recommender.predict(change)[0] == 1
        assert_array_equal(recommender.predict(own.tail(-1)), own["rating"].tail(-1))

    def test_forget_is_never_learned(self, table):
        new = pd.DataFrame(
            {"user": ["aaa", "aaa", "zzz"], "item": ["i00", "i03", "i04"]}
        ).assign(rating=[2.0, 5.0, 1.0])
        changed = pd.concat([new, table.head(5).assign(rating=1.0)])
        first = fit(table).update(table.head(1))
        recommender = fit(table).update(new)
        assert set(recommender.users_) == {*table["user"], "aaa", "zzz"}
        recommender.forget(["zzz", "aaa"])
        assert_array_equal(recommender.users_, first.users_)
        assert b"zzz" not in pickle.dumps(recommender)
        assert_allclose(get_sums(recommender), get_sums(first), rtol=1e-8, atol=1e-8)
        recommender.update(changed).forget(["aaa"] * 2).forget("zzz").update(
            table.head(5)
        )
        assert_allclose(get_sums(recommender), get_sums(first), rtol=1e-8, atol=1e-8)
        pairs = ["u000"] * 12, [f"i{i:02}" for i in range(12)]
        assert_allclose(recommender.predict(pairs), first.predict(pairs), atol=1e-7)

    def test_new_items(self, table):
        few = table[table["item"] != "i05"]
        later = table[table["item"] == "i05"]
        recommender = fit(few)
        assert "i05" not in recommender.items_
        recommender.update(later)
        assert_array_equal(recommender.items_, np.unique(table["item"]))
        assert_array_equal(recommender.predict(table), table["rating"])
        found = recommender.recommend(rank_by="value")
        assert "i05" in set(found["item"])
        assert recommender.similar_items("i05", 3)["item"].nunique() == 3
        reasons = recommender.explain(found["user"][0], found["item"][0])
        assert_allclose(
            np.clip(reasons["contribution"].sum(), 1, 5), found["rating"][0]
        )
        again = recommender.refit().predict((["u001"], ["i05"]))
        assert np.isfinite(again).all()

    def test_items_with_features_before_their_first_rating(self, table):
        features = pd.DataFrame(
            {"item": [f"i{i:02}" for i in range(12)], "kind": ["a", "b"] * 6}
        )
        few = table[table["item"] != "i05"]
        recommender = fit(few, item_features=features)
        found = recommender.recommend(n_items=12, rank_by="value")
        assert "i05" in set(found["item"])
        more = pd.DataFrame({"item": ["j00", "j01"], "kind": ["a", "b"]})
        new = ["u001", "u001"], ["j01", "j00"], [4.0, 2.0]
        recommender.update(new, item_features=more)
        assert_array_equal(recommender.predict(new[:2]), new[2])
        encoded = recommender.mixture_.column_features
        assert_array_equal(encoded[-2:], encoded[[0, 1]])
        with pytest.raises(ValueError, match="item_titles cannot be used"):
            recommender.update((["u001"], ["k0"], [4.0]), item_titles={"k0": "Kay"})
        assert np.isfinite(recommender.refit().predict((["u002"], ["j00"]))).all()

    def test_titles_of_new_items(self, table):
        recommender = fit(table, item_titles={"i01": "One"})
        recommender.update((["u001"], ["j00"], [4.0]), item_titles={"j00": "Jay"})
        similar = recommender.similar_items("j00", 12).set_index("item")["title"]
        assert similar["i01"] == "One"
        assert "Jay" in set(recommender.similar_items("i01", 12)["title"])

    def test_features_of_users(self, table):
        users = sorted(set(table["user"]))
        features = pd.DataFrame({"user": users, "age": np.arange(60.0)})
        recommender = fit(table, user_features=features)
        visitor = pd.DataFrame({"user": ["v"], "item": ["i01"], "rating": [5.0]})
        young, old = (
            recommender.recommend(
                ratings=visitor,
                user_features=pd.DataFrame({"user": ["v"], "age": [age]}),
                rank_by="value",
            ).sort_values("item")
            for age in (0.0, 300.0)
        )
        assert not np.allclose(young["std"], 0)
        assert not np.allclose(young["rating"], old["rating"], atol=1e-12)
        recommender.update(
            visitor, user_features=pd.DataFrame({"user": ["v"], "age": [300.0]})
        )
        assert recommender.forget(["v", "u003"]).users_.size == 59
        kept = recommender._encoder._user_table.ids
        assert_array_equal(kept, users[:3] + users[4:])
        with pytest.raises(ValueError, match="Pass both"):
            recommender.recommend(["u001"], user_features=features)

    def test_the_scale_follows_updates(self, table):
        few = table[table["rating"] < 5]
        recommender = fit(few)
        assert recommender.rating_range_ == (1, 4)
        later = table[table["rating"] == 5]
        recommender.update(later)
        assert_array_equal(recommender.predict(later), 5)
        assert recommender.rating_range_ == (1, 5)
        wide = fit(few, rating_range=(0, 6)).update(later)
        assert wide.rating_range_ == (0, 6)
        recommender.set_params(n_components=1).refit()
        again = fit(table, n_components=1)
        assert recommender.mixture_.n_components == 1
        assert recommender.threshold_ == again.threshold_
        assert_allclose(recommender.mean_rating_, again.mean_rating_)

    def test_refit_is_fit(self, table):
        later = make_table(seed=1, n_users=5)
        recommender = fit(table).update(later).refit()
        both = pd.concat([table, later]).drop_duplicates(["user", "item"], keep="last")
        pairs = (["u000"] * 12, [f"i{i:02}" for i in range(12)])
        assert_allclose(recommender.predict(pairs), fit(both).predict(pairs), rtol=1e-9)

    def test_a_failed_update_changes_nothing(self, table, recommender):
        before, users = get_sums(recommender), recommender.users_
        bad = ["u000", "u001"], ["i00", "new item"], [4.0, np.nan]
        with pytest.raises(ValueError, match="rating"):
            recommender.update(bad)
        assert_array_equal(get_sums(recommender), before)
        assert_array_equal(recommender.users_, users)
        assert "new item" not in recommender.items_


class TestFiles:
    def test_slim(self, table, tmp_path):
        recommender = fit(table)
        recommender.save(tmp_path / "slim")
        recommender.save(tmp_path / "whole", updatable=True)
        slim = MixtureRecommender.load(tmp_path / "slim")
        visitor = ["v", "v"], ["i01", "i02"], [5.0, 1.0]
        expected = recommender.recommend(ratings=visitor)
        pd.testing.assert_frame_equal(slim.recommend(ratings=visitor), expected)
        two = slim.recommend(["v", "nobody"], ratings=visitor)
        both = recommender.recommend(["v", "nobody"], ratings=visitor)
        assert set(two["user"]) == {"v", "nobody"}
        pd.testing.assert_frame_equal(two, both)
        assert slim.users_.size == 0
        assert (tmp_path / "slim").stat().st_size < (tmp_path / "whole").stat().st_size
        assert b"u001" not in pickle.dumps(slim)
        for call in (
            lambda: slim.forget("u001"),
            lambda: slim.update(visitor),
            lambda: slim.recommend(["u001"]),
            lambda: slim.refit(),
        ):
            with pytest.raises(ValueError, match="updatable=True"):
                call()

    def test_updatable(self, table, tmp_path):
        recommender = fit(table)
        recommender.save(tmp_path / "whole", updatable=True)
        loaded = MixtureRecommender.load(tmp_path / "whole")
        change = table.head(3).assign(rating=1.0)
        assert_allclose(
            get_sums(loaded.update(change)), get_sums(recommender.update(change))
        )

    def test_another_object(self, tmp_path):
        import joblib

        joblib.dump([1], tmp_path / "list")
        with pytest.raises(ValueError, match="holds a list"):
            MixtureRecommender.load(tmp_path / "list")


def _find_rated(recommender):
    """An item that the first user has rated."""
    return recommender.items_[recommender._held.ratings.indices[0]]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.assign(rating=3.0), "All ratings are 3"),
        (lambda t: t[t["user"] == "u000"], "has 1 user"),
        (lambda t: t[t["user"] < "u003"], "n_components=4 needs"),
        (lambda t: tuple, "frame or a tuple"),
    ],
)
def test_tables_that_cannot_be_learned(table, change, match):
    with pytest.raises(ValueError, match=match):
        fit(change(table), n_components=4)


def test_names_of_columns_of_results(table):
    with pytest.raises(ValueError, match="'std' is the name"):
        fit(table.rename(columns={"user": "std"}), user="std")
    titles = pd.DataFrame({"item": ["i01"], "chance": ["One"]})
    with pytest.raises(ValueError, match="'chance' is the name"):
        fit(table, item_titles=titles)


def test_not_fitted(table):
    for call in (
        lambda r: r.update(table),
        lambda r: r.predict(table),
        lambda r: r.recommend(),
        lambda r: r.forget("u001"),
        lambda r: r.save("nowhere"),
    ):
        with pytest.raises(NotFittedError):
            call(MixtureRecommender())


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda r: r.forget("nobody"), "nobody has no ratings"),
        (lambda r: r.similar_items("none"), "Item none is unknown"),
        (lambda r: r.recommend(items=["none"]), "Item none is unknown"),
        (lambda r: r.explain("u000", "none"), "Item none is unknown"),
        (lambda r: r.predict_interval((["a"], ["i01"]), 1), "coverage"),
        (lambda r: r.predict_chance((["a"], ["i01"]), "4"), "threshold"),
        (lambda r: r.predict((["a", "b"], ["i01"])), "equally long"),
        (lambda r: r.predict(["a", "i01"]), "tuple of arrays"),
        (lambda r: r.predict(pd.DataFrame({"user": ["a"]})), "no column 'item'"),
        (lambda r: r.recommend([1]), "integers"),
        (lambda r: r.recommend([]), "users is empty"),
        (lambda r: r.forget(r.users_), "Nobody would be left"),
        (lambda r: r.explain("u000", _find_rated(r)), "has rated item"),
        (lambda r: r.recommend(rank_by="best"), "rank_by"),
    ],
)
def test_errors(recommender, call, match):
    with pytest.raises(ValueError, match=match):
        call(recommender)


def test_missing_columns_name_the_way_out_of_the_recommender():
    table = pd.DataFrame({"who": ["a"], "what": ["b"], "stars": [3.0]})
    with pytest.raises(
        ValueError, match=r"no column 'user'.*the parameters user, item"
    ):
        MixtureRecommender().fit(table)
