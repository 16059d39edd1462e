# SPDX-License-Identifier: BSD-3-Clause
"""The highest predictions of each row, against sorts of the completed matrix."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_gmmcf import MaskedGaussianMixture, _model, _ranking
from sklearn_gmmcf.data import allocate
from tests import oracles
from tests.made import clusters, estimators, mixtures, to_sparse
from tests.optional import pd

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn_gmmcf.UnobservedColumnsWarning",
    # Odd rows have a component of their own.
    "ignore::sklearn_gmmcf.FewRowsWarning",
)


def with_odd_rows():
    X = np.round(clusters(50, 6))
    X[2] = np.nan
    X[3] = np.arange(6)
    X[4] = np.nan
    X[4, 2] = 100.0
    X[5, :5] = -3.0
    assert (X == 0).any()
    return X


def sorted_completion(X, completed, std, n_items, exclude_observed):
    items = np.full((len(X), n_items), -1)
    values, spread = np.full((2, *items.shape), np.nan)
    for i, row in enumerate(completed):
        left = row.copy()
        if exclude_observed:
            left[~np.isnan(X[i])] = -np.inf
        best = oracles.largest(left, n_items)
        items[i, : len(best)] = best
        values[i, : len(best)] = row[best]
        spread[i, : len(best)] = std[i, best]
    return items, values, spread


@pytest.fixture(params=["whole", "pieces"])
def pieces(request, monkeypatch):
    if request.param == "pieces":
        monkeypatch.setattr(_model, "_COMPLETED_BYTES", 8 * 6 * 7)


@pytest.fixture(scope="module")
def fitted():
    """Families that complete rows in ways of their own."""
    return [
        estimator.fit(with_odd_rows())
        for estimator in mixtures(random_state=0)
        if estimator.covariance_type in ("diag", "full", "factor")
    ]


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("exclude_observed", [True, False])
def test_is_a_sort_of_the_completion(fitted, pieces, exclude_observed, make):
    X = with_odd_rows()
    for estimator in fitted:
        given_rows = make(X)
        completed, std = estimator.complete(given_rows, return_std=True)
        for n_items in (1, 3, np.int64(6), 9):
            expected = sorted_completion(X, completed, std, n_items, exclude_observed)
            found = estimator.recommend(
                given_rows,
                n_items,
                exclude_observed=exclude_observed,
                return_std=True,
            )
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)
            assert found[0].dtype == np.intp
            short = estimator.recommend(
                given_rows, n_items, exclude_observed=exclude_observed
            )
            assert len(short) == 2
            for ours, theirs in zip(short, expected[:2], strict=True):
                np.testing.assert_array_equal(ours, theirs)
        if make is np.array:
            np.testing.assert_array_equal(given_rows, X)
        else:
            assert given_rows.nnz == (~np.isnan(X)).sum()


def test_default_leaves_out_observed_entries():
    X = clusters(40, 15)
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        X
    )
    items, values = mixture.recommend(X)
    assert items.shape == values.shape == (40, 10)
    for i, row in enumerate(items):
        found = row[row >= 0]
        assert np.isnan(X[i, found]).all()
        assert len(found) == min(np.isnan(X[i]).sum(), 10)
        assert (row[len(found) :] == -1).all()
    assert (np.isnan(values) == (items == -1)).all()


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_observed_entries_count_with_their_value(fitted, make):
    X = with_odd_rows()
    for estimator in fitted:
        items, values, std = estimator.recommend(
            make(X), 6, exclude_observed=False, return_std=True
        )
        assert items[3].tolist() == [5, 4, 3, 2, 1, 0]
        np.testing.assert_array_equal(values[3], [5, 4, 3, 2, 1, 0])
        np.testing.assert_array_equal(std[3], 0)
        assert items[4, 0] == 2
        assert std[4, 0] == 0
        assert (std[4, 1:] > 0).all()


@settings(max_examples=100)
@given(data=st.data())
def test_largest_of_few_values(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=8))
    mask = data.draw(hnp.arrays(bool, shape))
    values = data.draw(
        hnp.arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0, 1, 2]))
    )
    array = np.where(mask, values, -np.inf)
    n = data.draw(st.integers(1, array.shape[1]))
    found = _ranking.find_largest(array, n)
    assert found.shape == (len(array), n)
    for row, indices in zip(array, found, strict=True):
        values = row[indices]
        best = oracles.largest(row, n)
        assert indices[values > -np.inf].tolist() == best
        assert len(set(indices)) == n
        assert (np.isinf(values) == (np.arange(n) >= len(best))).all()


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.LostZerosWarning")
@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_first_of_equal_columns(make):
    X = np.array([[4.0, 2, 2, 4, 2, 4], [4, np.nan, 2, np.nan, 2, 4], [np.nan] * 6])
    X = np.vstack([X, X])
    mixture = MaskedGaussianMixture(covariance_type="spherical").fit(make(X))
    for n_items, empty_row_items in [
        (1, [0]),
        (2, [0, 3]),
        (4, [0, 3, 5, 1]),
        (5, None),
    ]:
        items, values = mixture.recommend(make(X), n_items)
        if empty_row_items is not None:
            assert items[2].tolist() == empty_row_items
        assert items[1, :2].tolist() == [3, 1][:n_items]
        assert (items[0] == -1).all()
        assert np.isnan(values[0]).all()


def test_dtype():
    X = with_odd_rows().astype(np.float32)
    for estimator in estimators(random_state=0):
        items, values, std = estimator.fit(X).recommend(X, 2, return_std=True)
        assert values.dtype == std.dtype == np.float32
        assert items.dtype == np.intp
        completed = estimator.transform(X)
        recommended = items[:, 0] >= 0
        np.testing.assert_array_equal(
            values[recommended, 0],
            completed[np.flatnonzero(recommended), items[recommended, 0]],
        )


def test_stored_zeros_are_observed():
    X = sparse.csr_array(
        (
            np.array([5.0, 0, 1, 4, 0, 5, 1]),
            ([0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 2, 1, 2]),
        ),
        shape=(3, 4),
    )
    for estimator in estimators(n_components=1):
        items, values = estimator.fit(X).recommend(X, 4)
        assert set(items[0]) == {3, -1}
        assert set(items[1]) == {1, 3, -1}
        items, values = estimator.recommend(X, 4, exclude_observed=False)
        assert values[0][items[0] == 1] == 0


def test_missing_value_and_frames():
    X = with_odd_rows()
    filled = np.where(np.isnan(X), -9, X)
    frame = pd.DataFrame(X)
    for first, second in zip(
        estimators(random_state=0),
        estimators(random_state=0, missing_values=-9),
        strict=True,
    ):
        items, values = first.fit(X).recommend(X, 4)
        for other in (
            second.fit(filled).recommend(filled, 4),
            first.recommend(frame, 4),
        ):
            np.testing.assert_array_equal(other[0], items)
            np.testing.assert_allclose(other[1], values)


def test_later_rows(fitted):
    later = np.full((2, 6), np.nan)
    later[1, 0] = 1.0
    for estimator in fitted:
        items, values = estimator.recommend(later, 6)
        mean = estimator.transform(later)[0]
        assert items[0].tolist() == oracles.largest(mean, 6)
        np.testing.assert_array_equal(values[0], np.sort(mean)[::-1])
        assert items[1, -1] == -1
        assert sorted(items[1, :5]) == [1, 2, 3, 4, 5]


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
def test_columns_never_observed():
    X = with_odd_rows()
    X[:, 1] = np.nan
    for estimator in estimators(random_state=0):
        completed, std = estimator.fit(X).complete(X, return_std=True)
        expected = sorted_completion(X, completed, std, 6, True)
        found = estimator.recommend(X, 6, return_std=True)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert (found[0] == 1).any(axis=1).all()


class TestErrors:
    @pytest.mark.parametrize("n_items", [0, -1, 2.0, "3", None])
    def test_number_of_items(self, fitted, n_items):
        for estimator in fitted:
            with pytest.raises(ValueError, match=r"n_items should be an integer of at"):
                estimator.recommend(with_odd_rows(), n_items)

    def test_not_fitted_and_wrong_width(self):
        X = clusters()
        for estimator in estimators(random_state=0):
            with pytest.raises(NotFittedError):
                estimator.recommend(X)
            with pytest.raises(ValueError, match="has 5 features"):
                estimator.fit(X).recommend(X[:, :5])

    def test_completion_without_memory_names_the_way_out(self):
        with pytest.raises(MemoryError, match=r"complete\(X, entries.*recommend\(X\)"):
            allocate((2**24, 2**24), np.float64)


@pytest.fixture(scope="module")
def wide():
    """Ratings of 30,000 users whose dense form would take 1 GB."""
    rng = np.random.default_rng(0)
    n, d, per_row = 30_000, 4000, 20
    rows = np.repeat(np.arange(n), per_row)
    columns = rng.integers(d, size=n * per_row)
    linear_indices = np.unique(rows * d + columns)
    values = rng.integers(1, 6, len(linear_indices)).astype(np.float64)
    return sparse.csr_array((values, np.divmod(linear_indices, d)), shape=(n, d))


@pytest.mark.slow
def test_memory(wide):
    mixture = MaskedGaussianMixture(
        2, covariance_type="factor", n_factors=5, max_iter=1, random_state=0
    ).fit(wide[:3000])
    rng = np.random.default_rng(0)
    entries = rng.integers(30_000, size=75_000), rng.integers(4000, size=75_000)
    dense = 8 * 30_000 * 4000
    for call in (
        lambda: mixture.recommend(wide, 5),
        lambda: mixture.complete(wide, entries=entries, return_std=True),
        lambda: mixture.score_samples(wide),
        lambda: mixture.sample_completions(wide, 3, entries=entries),
    ):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.06 * dense
