# SPDX-License-Identifier: BSD-3-Clause
"""Similar columns and rows: the stated measure, and who is found by it."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_gmmcf import KMeansMixture
from sklearn_gmmcf.covariance import Diagonal
from sklearn_gmmcf.datasets import load_movielens
from tests import oracles
from tests.drawn import tables
from tests.factors import (
    IGNORED_WARNINGS,
    drawn_parameters,
    factor,
    fit_briefly,
    from_library,
    ratings,
    with_model,
    with_odd_rows,
)
from tests.made import TYPES, correlated, estimators, to_sparse
from tests.optional import pd

pytestmark = [
    *IGNORED_WARNINGS,
    pytest.mark.filterwarnings("ignore::sklearn_gmmcf.DataWarning"),
]
ELLIPTICAL = [name for name in TYPES if name != "factor"]
COMPONENTS = pytest.mark.parametrize("n_components", [1, 3])


def assert_found(found, values, expected, excluded):
    """Indices and values are those of the largest expected numbers of each row."""
    for i, row in enumerate(expected):
        row = np.where(excluded[i], -np.inf, row)
        n_left = min(found.shape[1], int((~excluded[i]).sum()))
        best = np.argsort(-row, kind="stable")[:n_left]
        assert_allclose(values[i, :n_left], row[best], rtol=1e-7, atol=1e-9)
        assert_allclose(row[found[i, :n_left]], row[best], rtol=1e-7, atol=1e-9)
        assert len(set(found[i, :n_left])) == n_left
        assert (found[i, n_left:] == -1).all()
        assert np.isnan(values[i, n_left:]).all()


@COMPONENTS
def test_columns_by_loadings(n_components):
    X = with_odd_rows(unknown=[2])
    oracle = drawn_parameters(X, n_components)
    mixture = with_model(oracle, X)
    expected = oracles.factor_similarities(oracle)
    columns = [4, 0, 4]
    found = mixture.similar_items(columns, n_items=7)
    excluded = np.arange(X.shape[1]) == np.array(columns)[:, None]
    assert_found(*found, expected[columns], excluded)


@COMPONENTS
def test_rows_by_factors(n_components):
    X = with_odd_rows(unknown=[2])
    oracle = drawn_parameters(X, n_components)
    mixture = with_model(oracle, X)
    expected = oracles.factor_row_similarities(X, oracle)
    nowhere = np.zeros(expected.shape, dtype=bool)
    itself = np.eye(len(X), dtype=bool)
    assert_found(*mixture.similar_rows(X, 40), expected, itself)
    for table in (X, to_sparse(X)):
        found = mixture.similar_rows(table[3:9], 4, candidates=table[10:])
        assert_found(*found, expected[3:9, 10:], nowhere[3:9, 10:])


@COMPONENTS
@pytest.mark.parametrize("covariance_type", ELLIPTICAL)
def test_columns_by_correlations(covariance_type, n_components):
    """The law of total covariance, of rows drawn from the mixture."""
    X = correlated(100, 5, seed=1)
    mixture = fit_briefly(X, n_components, covariance_type)
    items, similarities = mixture.similar_items(np.arange(5), 4)
    drawn, _ = mixture.sample(100_000)
    covariances = np.cov(drawn.T)
    _, std = mixture.complete(np.full((1, 5), np.nan), return_std=True)
    expected = covariances / np.outer(std, std)
    for j in range(5):
        assert sorted([j, *items[j]]) == list(range(5))
        assert_allclose(similarities[j], expected[j, items[j]], atol=0.02)
        assert (np.diff(similarities[j]) <= 0).all()


def test_many_columns_in_parts(monkeypatch):
    X = correlated(100, 8, seed=1)
    mixture = fit_briefly(X, 2)
    expected = mixture.similar_items(np.arange(8), 7)
    monkeypatch.setattr("sklearn_gmmcf.covariance._similarity._N_COLUMNS", 3)
    monkeypatch.setattr("sklearn_gmmcf._similarity._BYTES", 8 * 8 * 5)
    found = mixture.similar_items(np.arange(8), 7)
    assert_array_equal(found[0], expected[0])
    assert_allclose(found[1], expected[1], atol=1e-12)
    rows = mixture.similar_rows(X[:30], 3)
    monkeypatch.undo()
    assert_array_equal(rows[0], mixture.similar_rows(X[:30], 3)[0])


@COMPONENTS
@pytest.mark.parametrize("covariance_type", ELLIPTICAL)
def test_rows_by_completions(covariance_type, n_components):
    X = correlated(30, 5, seed=2)
    X[4] = np.nan
    mixture = fit_briefly(X, n_components, covariance_type)
    completed, std = mixture.complete(X, return_std=True)
    units = mixture._model.columns.units
    gaps = (completed - mixture.weights_ @ mixture.means_) / units
    squares = (gaps**2 + (std / units) ** 2).sum(axis=1)
    expected = gaps @ gaps.T / np.sqrt(np.outer(squares, squares))
    found = mixture.similar_rows(X, 29)
    assert_found(*found, expected, np.eye(len(X), dtype=bool))
    assert_allclose(found[1][4], 0, atol=1e-12)  # of this row nothing is known


@given(tables(min_rows=6, max_rows=12, max_columns=4), st.integers(1, 3), st.data())
@settings(max_examples=25)
def test_similarities_are_correlations(X, n_components, data):
    mixtures = estimators(n_components, max_iter=2, random_state=0)
    mixture = data.draw(st.sampled_from(mixtures)).set_params(min_variance=1e-2).fit(X)
    n, d = X.shape
    items, similarities = mixture.similar_items(np.arange(d), d)
    rows, row_similarities = mixture.similar_rows(X, n)
    for found, values in ((items, similarities), (rows, row_similarities)):
        assert (found[:, -1] == -1).all()
        assert np.isnan(values[:, -1]).all()
        values = values[:, :-1]
        assert (np.abs(values) <= 1 + 1e-9).all()
        assert (np.diff(values, axis=1) <= 0).all()


def test_columns_of_which_little_is_known():
    """A column of one rating never leads, a column of none is similar to none."""
    X = ratings(300, 24, density=0.4, seed=1)
    rng = np.random.default_rng(0)
    X = np.hstack([X, np.full((300, 3), np.nan)])
    X[7, 24], X[8, 25] = 5.0, 1.0
    mixture = factor(2, 4, mask_rank=0, max_iter=30).fit(X)
    items, similarities = mixture.similar_items(np.arange(24), 26)
    by_column = np.empty((24, 27))
    np.put_along_axis(by_column, items, similarities, axis=1)
    np.fill_diagonal(by_column, np.nan)
    best = np.nanmax(by_column[:, :24], axis=1)
    clear = best > 0.7
    assert clear.sum() > 12
    assert (best > 0.2 + np.abs(by_column[:, 24:26]).max(axis=1))[clear].all()
    assert_allclose(by_column[:, 26], 0, atol=1e-3)  # but for the last M-step
    # Copies of a column with more and more of its entries hidden.
    copies = np.repeat(X[:, [3]], 3, axis=1)
    copies += 0.1 * rng.standard_normal(copies.shape)
    for copy, kept in enumerate([1.0, 0.3, 0.05]):
        copies[rng.random(300) >= kept, copy] = np.nan
    wider = np.hstack([X[:, :24], copies])
    mixture = factor(1, 4, mask_rank=0, max_iter=30).fit(wider)
    items, similarities = mixture.similar_items(3, 26)
    with_copies = [similarities[items == 24 + copy][0] for copy in range(3)]
    assert with_copies[0] > with_copies[1] > with_copies[2] > 0
    assert items[0] == 24


def test_the_unit_of_the_table_changes_nothing():
    X = ratings(100, 8)
    mixtures = [factor(1, 3, max_iter=5).fit(each) for each in (X, 8 * X + 3)]
    (items, similarities), (others, other_similarities) = (
        mixture.similar_items(np.arange(8), 7) for mixture in mixtures
    )
    assert_array_equal(others, items)
    assert_allclose(other_similarities, similarities, rtol=1e-6)


def test_which_columns():
    X = ratings(80, 8, density=0.5)
    X[:, [6, 1]] = np.random.default_rng(0).standard_normal((80, 2))
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    mixture = factor(2, 2, covariates=["g", "b"], max_iter=5).fit(frame)
    items, similarities = mixture.similar_items(["c", 0], 8)
    assert items.shape == similarities.shape == (2, 8)
    for row, itself in zip(items, [2, 0], strict=True):
        left = [j for j in (0, 2, 3, 4, 5, 7) if j != itself]
        assert sorted(row[:5]) == left
        assert (row[5:] == -1).all()
    assert np.isnan(similarities[:, 5:]).all()
    alone, values = mixture.similar_items("c", 3)
    assert_array_equal(alone, items[0, :3])
    assert_allclose(values, similarities[0, :3])
    expected = oracles.factor_similarities(from_library(mixture._model.parameters))
    assert_allclose(values, expected[2, alone])
    nothing = mixture.similar_items([], 3)
    assert nothing[0].shape == nothing[1].shape == (0, 3)


@pytest.mark.parametrize("columns", [8, -1, "z", 1.0, True, [0, None]])
def test_no_such_column(columns):
    X = ratings(40, 8)
    with pytest.raises(ValueError, match="columns should be integers from 0 to 7, but"):
        fit_briefly(X).similar_items(columns)
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    with pytest.raises(ValueError, match="or the names of the columns of X, but got"):
        fit_briefly(frame).similar_items(columns)


@dataclass(frozen=True)
class Unmeasured(Diagonal):
    def covariance(self, parameters, component, columns):
        return super(Diagonal, self).covariance(parameters, component, columns)


def test_other_errors():
    X = correlated(40, 5)
    mixture = fit_briefly(X, 1, "factor", covariates=[4])
    with pytest.raises(ValueError, match="Column 4 is one of the covariates"):
        mixture.similar_items([0, 4])
    with pytest.raises(ValueError, match="n_items should be an integer of at least 1"):
        mixture.similar_items(0, 0)
    with pytest.raises(ValueError, match="n_rows should be an integer of at least 1"):
        mixture.similar_rows(X, 0)
    with pytest.raises(ValueError, match="degrees of freedom"):
        fit_briefly(X, 1, degrees_of_freedom=1.5).similar_items(0)
    with pytest.raises(NotImplementedError, match="Unmeasured has no covariance"):
        fit_briefly(X, 1, Unmeasured(min_variance=1e-3)).similar_items(0)


def test_rows_without_a_variance_are_similar_to_none():
    X = correlated(40, 5)
    X[3], X[4, 1:] = np.nan, np.nan
    mixture = fit_briefly(X, 1, degrees_of_freedom=0.5)
    _, similarities = mixture.similar_rows(X, 3)
    assert (similarities[3:5] == 0).all()
    assert np.isfinite(similarities).all()


def test_containers_of_rows():
    da = pytest.importorskip("dask.array")
    X = ratings(60, 8)
    for covariance_type in ("factor", "diag"):
        mixture = fit_briefly(X, 2, covariance_type)
        rows, similarities = mixture.similar_rows(X[:20], 5, candidates=X)
        lazy = da.from_array(X, chunks=(17, 8))
        found = mixture.similar_rows(lazy[:20], 5, candidates=lazy)
        assert_array_equal(found[0], rows)
        assert_allclose(found[1], similarities, atol=1e-12)


def test_k_means_finds_similar_rows():
    X = np.array([[1.0, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
    rows, _ = KMeansMixture(2, random_state=0).fit(X).similar_rows(X, 2)
    assert (np.sort(rows)[:3] < 3).all()
    assert (np.sort(rows)[3:] >= 3).all()


@pytest.mark.slow
def test_similar_films(data_file):
    """Sequels lead, and films with few ratings are not among the most similar."""
    films = load_movielens(data_file("ml-latest-small"))
    mixture = factor(1, 10).fit(films.data)
    counts = np.bincount(films.data.indices, minlength=films.data.shape[1])
    pairs = {
        "Toy Story (1995)": "Toy Story 2 (1999)",
        "Godfather, The (1972)": "Godfather: Part II, The (1974)",
        "Star Wars: Episode IV - A New Hope (1977)": (
            "Star Wars: Episode V - The Empire Strikes Back (1980)"
        ),
    }
    for title, sequel in pairs.items():
        items, _ = mixture.similar_items(int(np.argmax(films.titles == title)), 10)
        assert sequel in films.titles[items[:5]]
        assert counts[items].min() >= 20
