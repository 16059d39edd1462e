# SPDX-License-Identifier: BSD-3-Clause
"""What lists rank by, and their candidates, against plain loops."""

from functools import partial

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import svds
from scipy.stats import norm
from sklearn.linear_model import Ridge

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, _model
from sklearn_gmmcf.covariance import _factor_features
from sklearn_gmmcf.model_selection import recommendation_scorer
from tests import oracles
from tests.made import clusters, mixtures, to_sparse
from tests.optional import pd

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn_gmmcf.UnobservedColumnsWarning",
    "ignore::sklearn_gmmcf.FewRowsWarning",
)


def ratings(n=60, d=9, seed=0):
    """Rows that observe half of their entries, popular columns more often."""
    X = np.round(clusters(n, d, missing=0.0, seed=seed))
    rng = np.random.default_rng(seed)
    groups = rng.integers(3, size=n)
    likes = np.where(np.arange(d) % 3 == groups[:, None], 0.9, 0.3)
    X[rng.uniform(size=X.shape) > likes * np.linspace(1, 0.5, d)] = np.nan
    X[2] = np.nan
    X[3] = np.arange(d)
    return X


@pytest.fixture(scope="module")
def fitted():
    return [
        estimator.fit(ratings())
        for estimator in mixtures(random_state=0)
        if estimator.covariance_type in ("diag", "full", "factor")
    ]


@pytest.fixture(scope="module")
def factor():
    return fit_factor(ratings())


def fit_factor(X, **options):
    options = {"n_components": 2, "n_factors": 2, "mask_rank": 3} | options
    return MaskedGaussianMixture(covariance_type="factor", **options).fit(X)


@pytest.fixture(params=["whole", "pieces"])
def pieces(request, monkeypatch):
    if request.param == "pieces":
        monkeypatch.setattr(_model, "_COMPLETED_BYTES", 8 * 9 * 7)


def best_by_loop(X, scores, completed, n_items, candidates=None, exclude_observed=True):
    """Items and values, with -1 and NaN where fewer are left."""
    items = np.full((len(X), n_items), -1)
    values = np.full(items.shape, np.nan)
    for i, row in enumerate(scores):
        left = row.astype(float)
        for j in range(len(left)):
            if exclude_observed and not np.isnan(X[i, j]):
                left[j] = -np.inf
            if candidates is not None and not candidates[i, j]:
                left[j] = -np.inf
        best = oracles.largest(left, n_items)
        items[i, : len(best)] = best
        values[i, : len(best)] = completed[i, best]
    return items, values


def check(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("exclude_observed", [True, False])
def test_bounds(fitted, pieces, make, exclude_observed):
    X = ratings()
    for mixture in fitted:
        completed, std = mixture.complete(make(X), return_std=True)
        for rank_by, z, scores in [
            ("lower", 1.0, completed - std),
            ("lower", 0.5, completed - 0.5 * std),
            ("upper", 1.0, completed + std),
            ("upper", 3, completed + 3 * std),
        ]:
            found = mixture.recommend(
                make(X), 4, rank_by=rank_by, z=z, exclude_observed=exclude_observed
            )
            expected = best_by_loop(
                X, scores, completed, 4, exclude_observed=exclude_observed
            )
            check(found, expected)
        by_default = mixture.recommend(make(X), 4, rank_by="upper")
        check(by_default, mixture.recommend(make(X), 4, rank_by="upper", z=1.0))
        check(mixture.recommend(X, 4), mixture.recommend(X, 4, rank_by="value"))


def test_deviations_are_those_of_the_items(fitted):
    X = ratings()
    for mixture in fitted:
        _, std = mixture.complete(X, return_std=True)
        items, _, found = mixture.recommend(X, 3, rank_by="lower", return_std=True)
        listed = items >= 0
        expected = np.take_along_axis(std, items, axis=1)
        np.testing.assert_array_equal(found[listed], expected[listed])
        assert np.isnan(found[~listed]).all()


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_functions(fitted, pieces, make):
    X = ratings()

    def rank(values, std):
        assert values.shape == std.shape
        scores = np.abs(values) / (1 + std)
        scores[:, 1] = -np.inf
        values[:], std[:] = 7, 7  # changes nothing
        return scores

    for mixture in fitted:
        completed, std = mixture.complete(make(X), return_std=True)
        scores = rank(completed.copy(), std.copy())
        found = mixture.recommend(make(X), 9, rank_by=rank)
        check(found, best_by_loop(X, scores, completed, 9))


def predict_mask(X, fit_rows, q, weights=None):
    """Ridge regression of damped masks on their projections on leading directions."""
    weights = np.ones(len(fit_rows)) if weights is None else weights
    M, mask = ((~np.isnan(rows)).astype(float) for rows in (fit_rows, X))
    counts = weights @ M
    columns = np.sqrt(counts + 30)
    V = svds(np.sqrt(weights / (M.sum(axis=1) + 5))[:, None] * M / columns, q)[2]
    projected = M / columns @ V.T
    ridge = Ridge(alpha=10, fit_intercept=False)
    ridge.fit(projected, projected, sample_weight=weights)
    predicted = ridge.predict(mask / columns @ V.T) @ V * columns
    predicted[~mask.any(axis=1)] = counts
    return np.maximum(predicted, 1e-6)


def utilities(X, fit_rows, completed, std, q, threshold, weights=None):
    """Propensity times the probability of values from the threshold on, by loops."""
    scores = predict_mask(X, fit_rows, q, weights)
    for i, j in np.ndindex(X.shape):
        if std[i, j] > 0:
            scores[i, j] *= norm.sf(threshold, completed[i, j], std[i, j])
        else:
            scores[i, j] *= completed[i, j] >= threshold
    return scores


def usual_threshold(X, weights=None):
    """The highest value that half of the entries reach, less half a step."""
    weights = np.ones(len(X)) if weights is None else weights
    values = [(x, w) for row, w in zip(X, weights, strict=True) for x in row if x == x]
    total = sum(w for _, w in values)
    reached = [x for x, _ in values if sum(w for y, w in values if y >= x) >= total / 2]
    lower = [x for x, _ in values if x < max(reached)]
    return (max(reached) + max(lower)) / 2


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([1, 1, 1, 5], [1, 1, 1, 1], 3.0),
        ([5, 1, 2, 1, 1], [1, 1, 1, 1, 1], 1.5),
        ([1, 5], [1, 1], 3.0),
        ([1, 5], [3, 2], 3.0),
        ([1, 1, 4, 4], [1, 1, 1, 1], 2.5),
        ([4, 4, 4], [1, 2, 3], 4.0),
        ([4], [1], 4.0),
    ],
)
def test_threshold_parts_the_values(values, weights, expected):
    values, weights = np.array(values, float), np.array(weights, float)
    threshold = _factor_features.find_threshold(values, weights)
    assert threshold == expected
    assert (values >= threshold).any()
    assert len(set(values)) == 1 or (values < threshold).any()


class TestUtility:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_usual_threshold(self, make, monkeypatch):
        X = ratings()
        weights = np.arange(len(X)) % 4
        for weight in (None, weights):
            mixture = fit_factor(X).fit(make(X), sample_weight=weight)
            expected = usual_threshold(X, weight)
            default = mixture.recommend(X, 4, rank_by="utility")
            check(
                default, mixture.recommend(X, 4, rank_by="utility", threshold=expected)
            )
            found = mixture._model.parameters.features.threshold
            assert found == expected
        stars = np.array([[4.0, 3.5, 5, 4], [4, 1, 3.5, 4.5], [4, np.nan, 3, 2]])
        assert usual_threshold(stars) == 3.75
        monkeypatch.setattr(_factor_features, "_MAX_THRESHOLD_ENTRIES", 64)
        step = int((~np.isnan(X)).sum() / 64)
        some = fit_factor(make(X))._model.parameters.features.threshold
        assert step > 1
        assert some == usual_threshold(X[::step])

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("q", [2, 3])
    def test_is_the_product(self, make, q, monkeypatch, pieces):
        monkeypatch.setattr(_factor_features, "_PASSES", 1000)
        X = ratings()
        mixture = fit_factor(make(X), mask_rank=q)
        completed, std = mixture.complete(make(X), return_std=True)
        for threshold in (None, 0.5, 2):
            t = usual_threshold(X) if threshold is None else threshold
            scores = utilities(X, X, completed, std, q, t)
            for exclude_observed in (True, False):
                found = mixture.recommend(
                    make(X),
                    9,
                    rank_by="utility",
                    threshold=threshold,
                    exclude_observed=exclude_observed,
                )
                expected = best_by_loop(
                    X, scores, completed, 9, exclude_observed=exclude_observed
                )
                check(found, expected)

    def test_weights_count_as_repetition(self, monkeypatch):
        monkeypatch.setattr(_factor_features, "_PASSES", 1000)
        X = ratings()
        weights = 1.0 + np.arange(len(X)) % 3
        mixture = fit_factor(X).fit(X, sample_weight=weights)
        completed, std = mixture.complete(X, return_std=True)
        scores = utilities(X, X, completed, std, 3, 1.0, weights)
        found = mixture.recommend(X, 9, rank_by="utility", threshold=1.0)
        check(found, best_by_loop(X, scores, completed, 9))

    def test_later_rows(self, monkeypatch):
        monkeypatch.setattr(_factor_features, "_PASSES", 1000)
        X, later = ratings(), ratings(20, seed=1)
        mixture = fit_factor(X)
        completed, std = mixture.complete(later, return_std=True)
        scores = utilities(later, X, completed, std, 3, 1.0)
        found = mixture.recommend(later, 9, rank_by="utility", threshold=1.0)
        check(found, best_by_loop(later, scores, completed, 9))

    def test_a_row_without_entries_gets_what_is_popular_and_liked(self, factor):
        X = np.full((2, 9), np.nan)
        X[1, 3] = 2.0
        completed, std = factor.complete(X, return_std=True)
        items, _ = factor.recommend(X, 9, rank_by="utility", threshold=1)
        n_observed = (~np.isnan(ratings())).sum(axis=0)
        scores = n_observed * norm.sf(1, completed[0], std[0])
        assert items[0].tolist() == np.argsort(-scores, kind="stable").tolist()
        liked = np.argsort(-norm.sf(1, completed[0], std[0]), kind="stable")
        assert items[0].tolist() != liked.tolist()

    def test_other_units_and_empty_columns_change_nothing(self):
        X = ratings()
        fit = partial(fit_factor, n_components=1)
        first = fit(X).recommend(X, 5, rank_by="utility")[0]
        items = fit(8 * X).recommend(8 * X, 5, rank_by="utility")[0]
        np.testing.assert_array_equal(items, first)
        wider = np.hstack([X, np.full((len(X), 1), np.nan)])
        items = fit(wider).recommend(wider, 5, rank_by="utility", exclude=[9])[0]
        np.testing.assert_array_equal(items, first)

    def test_covariates_are_never_recommended(self):
        X = ratings()
        X[:, 0] = 100.0 * (np.arange(len(X)) % 2)
        mixture = fit_factor(X, covariates=[0])
        for rank_by in ("value", "lower", "upper", "utility"):
            for exclude_observed in (True, False):
                items = mixture.recommend(
                    X, 9, rank_by=rank_by, exclude_observed=exclude_observed
                )[0]
                assert (items != 0).all()

    def test_without_missing_entries_values_decide(self):
        X = np.round(clusters(40, 6, missing=0.0))
        mixture = fit_factor(X)
        later = np.full((1, 6), np.nan)
        items, _ = mixture.recommend(later, 6, rank_by="utility")
        completed, std = mixture.complete(later, return_std=True)
        liked = norm.sf(usual_threshold(X), completed[0], std[0])
        assert items[0].tolist() == np.argsort(-liked, kind="stable").tolist()

    def test_float32_and_threads(self):
        X = ratings()
        expected = fit_factor(X, n_components=1).recommend(X, 4, rank_by="utility")
        threaded = fit_factor(X, n_components=1, n_jobs=2)
        items, values = threaded.recommend(X, 4, rank_by="utility")
        np.testing.assert_array_equal(items, expected[0])
        np.testing.assert_allclose(values, expected[1])
        single = fit_factor(X.astype(np.float32), n_components=1)
        items, values = single.recommend(X.astype(np.float32), 4, rank_by="utility")
        assert values.dtype == np.float32
        assert (items == expected[0]).mean() > 0.95

    def test_after_partial_fit(self):
        X = ratings()
        mixture = MaskedGaussianMixture(covariance_type="factor", n_factors=2)
        mixture.partial_fit(X).partial_fit(ratings(seed=3))
        items, _ = mixture.recommend(X, 4, rank_by="utility")
        assert (items >= -1).all()
        assert (np.sort(items[2]) >= 0).all()

    def test_finds_choices_that_values_do_not(self):
        """Rows choose within their group, whatever the values."""
        rng = np.random.default_rng(0)
        n, d = 300, 40
        groups = rng.integers(4, size=n)
        chosen = rng.uniform(size=(n, d)) < np.where(
            np.arange(d) % 4 == groups[:, None], 0.7, 0.05
        )
        X = np.where(chosen, rng.integers(1, 6, (n, d)), np.nan)
        mixture = MaskedGaussianMixture(covariance_type="factor", n_factors=3)
        mixture.fit(X[:200])
        found = {
            rank_by: recommendation_scorer("recall", 5, rank_by=rank_by)(
                mixture, X[200:]
            )
            for rank_by in ("value", "utility")
        }
        assert found["utility"] > 2 * found["value"]

    def test_needs_a_model_of_the_mask(self, fitted):
        X = ratings()
        for mixture in fitted:
            if mixture.covariance_type == "factor":
                continue
            with pytest.raises(ValueError, match="needs a mixture that learns which"):
                mixture.recommend(X, rank_by="utility")
        for mixture in (KMeansMixture(2, random_state=0), fit_factor(X, mask_rank=0)):
            with pytest.raises(ValueError, match="rank by 'value', 'lower' or 'upper'"):
                mixture.fit(X).recommend(X, rank_by="utility")
        with pytest.raises(ValueError, match="mask_rank=0"):
            fit_factor(X, mask_rank=0).recommend(X, rank_by="utility")


def choices(n, d):
    """Choices of columns, and the candidates (n, d) that they stand for."""
    rng = np.random.default_rng(0)
    by_row = rng.uniform(size=(n, d)) < 0.5
    by_row[1] = False
    columns = np.array([7, 2, 4])
    mask = np.isin(np.arange(d), columns)
    for_all = np.tile(mask, (n, 1))
    stored_zero = sparse.csr_array(by_row.astype(float))
    stored_zero.data[::3] = 0.0
    return [
        (columns, for_all),
        (columns.tolist(), for_all),
        (mask, for_all),
        ([], np.zeros((n, d), dtype=bool)),
        (by_row, by_row),
        (by_row.tolist(), by_row),
        (pd.DataFrame(by_row), by_row),
        (sparse.csr_array(by_row), by_row),
        (sparse.coo_matrix(3 * by_row), by_row),
        (stored_zero, stored_zero.toarray() != 0),
    ]


@pytest.mark.parametrize("which", range(10))
def test_candidates(factor, pieces, which):
    X = ratings()
    completed = factor.transform(X)
    choice, chosen = choices(*X.shape)[which]
    other, left_out = choices(*X.shape)[(which + 4) % 10]
    for options, candidates in [
        ({"items": choice}, chosen),
        ({"exclude": choice}, ~chosen),
        ({"items": choice, "exclude": other}, chosen & ~left_out),
    ]:
        for exclude_observed in (True, False):
            found = factor.recommend(X, 9, exclude_observed=exclude_observed, **options)
            expected = best_by_loop(
                X, completed, completed, 9, candidates, exclude_observed
            )
            check(found, expected)


@pytest.mark.parametrize(
    "make", [list, np.array, lambda names: np.array(names, object), pd.Index]
)
def test_names_of_candidates(factor, make):
    X = ratings()
    frame = pd.DataFrame(X, columns=list("abcdefghi"))
    named = fit_factor(frame)
    for name in ("items", "exclude"):
        found = named.recommend(frame, 9, **{name: make(["h", "b", "e"])})
        check(found, named.recommend(frame, 9, **{name: [1, 4, 7]}))
        with pytest.raises(ValueError, match=f"{name} should be .* names of.*got 'z'"):
            named.recommend(frame, **{name: make(["h", "z"])})
        with pytest.raises(ValueError, match=f"{name} should be indices of columns, "):
            factor.recommend(X, **{name: make(["h"])})
        with pytest.raises(ValueError, match=f"{name} should be indices .*or their na"):
            named.recommend(frame, **{name: "h"})


def test_candidates_are_not_changed(factor):
    X = ratings()
    matrix = sparse.csr_array(np.ones(X.shape))
    matrix.data[5] = 0.0
    before = matrix.copy()
    factor.recommend(X, items=matrix, exclude=matrix)
    assert matrix.nnz == before.nnz
    np.testing.assert_array_equal(matrix.data, before.data)


def test_dask(factor):
    da = pytest.importorskip("dask.array")
    X = ratings()
    chunked = da.from_array(X, chunks=(17, -1))
    by_row = choices(*X.shape)[4][0]
    for options in [
        {"rank_by": "utility"},
        {"rank_by": "lower", "items": [1, 2, 5]},
        {"exclude": by_row},
        {"items": sparse.csr_array(by_row), "rank_by": "utility"},
    ]:
        found = factor.recommend(chunked, 5, **options)
        expected = factor.recommend(X, 5, **options)
        np.testing.assert_array_equal(found[0].compute(), expected[0])
        np.testing.assert_allclose(found[1].compute(), expected[1])


def test_infinite_deviations_leave_candidates():
    X = ratings()
    mixture = MaskedGaussianMixture(
        covariance_type="diag", degrees_of_freedom=1.0, random_state=0
    ).fit(X)
    assert np.isinf(mixture.complete(X, return_std=True)[1]).any()
    for rank_by in ("lower", "upper"):
        items, _ = mixture.recommend(X, 9, rank_by=rank_by)
        assert ((items >= 0).sum(axis=1) == np.isnan(X).sum(axis=1)).all()


class TestErrors:
    @pytest.mark.parametrize("rank_by", ["best", None, 1, ["value"], np.arange(2)])
    def test_rank_by(self, factor, rank_by):
        with pytest.raises(ValueError, match="rank_by should be one of"):
            factor.recommend(ratings(), rank_by=rank_by)

    @pytest.mark.parametrize("z", [0, -1.0, np.inf, np.nan, "1"])
    def test_z(self, factor, z):
        with pytest.raises(ValueError, match="z should be a finite number above 0"):
            factor.recommend(ratings(), rank_by="lower", z=z)

    @pytest.mark.parametrize("rank_by", ["value", "utility", np.subtract])
    def test_z_that_is_not_used(self, factor, rank_by):
        with pytest.raises(ValueError, match=r"'lower' and 'upper' use z, but got z=1"):
            factor.recommend(ratings(), rank_by=rank_by, z=1.0)

    @pytest.mark.parametrize("threshold", [np.inf, np.nan, "4"])
    def test_threshold(self, factor, threshold):
        with pytest.raises(ValueError, match="threshold should be a finite number or"):
            factor.recommend(ratings(), rank_by="utility", threshold=threshold)

    @pytest.mark.parametrize("name", ["items", "exclude"])
    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ([9], "columns from 0 to 8, but got 9"),
            ([-1], "but got -1"),
            ([1.0], "should be indices of columns, a boolean mask"),
            (np.ones(8, bool), "should be indices of columns, a boolean mask"),
            (np.ones((60, 9)), "boolean or sparse matrix of shape"),
            (np.ones((9, 60), bool), "boolean or sparse matrix of shape"),
            (sparse.csr_array((9, 60)), r"the shape of X, \(60, 9\), but got"),
            (3, "should be indices of columns"),
        ],
    )
    def test_choices(self, factor, name, choice, message):
        with pytest.raises(ValueError, match=f"{name} should.*{message}|{message}"):
            factor.recommend(ratings(), **{name: choice})

    @pytest.mark.parametrize(
        ("rank", "message"),
        [
            (lambda values, std: values[:, 0], "a score for each value"),
            (lambda values, std: values * np.nan, "NaN or infinite"),
            (lambda values, std: values + np.inf, "NaN or infinite"),
        ],
    )
    def test_functions(self, factor, rank, message):
        with pytest.raises(ValueError, match=message):
            factor.recommend(ratings(), rank_by=rank)
