# SPDX-License-Identifier: BSD-3-Clause
"""Completions as sums of parts: exact, and each part what it is said to be."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import multivariate_normal, multivariate_t

from sklearn_gmmcf import Explanation, KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.covariance import Diagonal, Factor, Family, Full, Student, Tied
from sklearn_gmmcf.data import observe
from tests import oracles
from tests.drawn import tables
from tests.factors import (
    IGNORED_WARNINGS,
    drawn_parameters,
    factor,
    fit_briefly,
    from_library,
    ratings,
    sweep_together,
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
COMPONENTS = pytest.mark.parametrize("n_components", [1, 4])


def missing_entries(X, mixture=None):
    """Missing entries, last row first; covariates aside."""
    rows, columns = np.nonzero(np.isnan(X))
    kept = np.full(len(rows), True)
    if mixture is not None:
        kept = np.isin(columns, mixture._model.columns.covariates, invert=True)
    return rows[kept][::-1], columns[kept][::-1]


def assert_adds_up(mixture, X, given):
    entries = missing_entries(X, mixture)
    explanation = mixture.explain(given, entries)
    completed = mixture.complete(given, entries=entries)
    assert_allclose(explanation.prediction, completed, rtol=1e-10, atol=1e-10)
    rows, columns = entries
    assert_array_equal(explanation.rows, rows)
    assert_array_equal(explanation.columns, columns)
    mean = mixture.weights_ @ mixture.means_
    assert_allclose(explanation.base, mean[columns], rtol=1e-10, atol=1e-10)
    for part in (explanation.contributions, explanation.covariates):
        assert isinstance(part, sparse.csr_array)
        i, sources = part.nonzero()
        assert not np.isnan(X[rows[i], sources]).any()
        assert part.has_sorted_indices
    return explanation


@COMPONENTS
@pytest.mark.parametrize("store", [np.array, to_sparse], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("covariance_type", "params"),
    [
        *((name, {}) for name in TYPES),
        *((name, {"degrees_of_freedom": 3}) for name in ELLIPTICAL),
        ("full", {"degrees_of_freedom": "auto"}),
        ("factor", {"mask_rank": 0}),
        ("factor", {"mask_rank": 2}),
        ("factor", {"covariates": [4, 1]}),
        ("factor", {"covariates": [1], "mask_rank": 0}),
        ("factor", {"column_features": np.arange(12.0).reshape(6, 2) ** 2}),
    ],
)
def test_parts_add_up(covariance_type, params, store, n_components):
    X = correlated(60, 6, seed=3)
    X[5] = np.nan
    mixture = fit_briefly(store(X), n_components, covariance_type, **params)
    explanation = assert_adds_up(mixture, X, store(X))
    assert explanation.components.shape == (len(explanation.rows), n_components)
    if n_components == 1:
        assert (explanation.components == 0).all()
    if covariance_type != "factor" or params.get("mask_rank") == 0:
        assert (explanation.mask == 0).all()
    else:
        assert explanation.mask.any()
    assert bool(explanation.covariates.nnz) == ("covariates" in params)


@given(tables(min_rows=6, max_rows=12), st.integers(1, 3), st.data())
@settings(max_examples=25)
def test_parts_add_up_on_any_table(X, n_components, data):
    mixtures = estimators(n_components, max_iter=2, random_state=0)
    mixture = data.draw(st.sampled_from(mixtures)).set_params(min_variance=1e-2)
    assert_adds_up(mixture.fit(X), X, X)


def densities(mixture, X):
    """Densities (n, K) of the observed entries of rows, by scipy."""
    found = np.ones((len(X), mixture.n_components))
    degrees = getattr(mixture, "degrees_of_freedom_", None)
    for (i, k), _ in np.ndenumerate(found):
        o = ~np.isnan(X[i])
        if not o.any():
            continue
        scale = mixture._model.family
        scale = (
            scale.scale(mixture._model.parameters, k, np.flatnonzero(o))
            if degrees is not None
            else mixture.get_covariance(k, columns=np.flatnonzero(o))
        )
        law = (
            multivariate_normal(mixture.means_[k, o], scale)
            if degrees is None
            else multivariate_t(mixture.means_[k, o], scale, degrees[k])
        )
        found[i, k] = law.pdf(X[i, o])
    return found


@COMPONENTS
@pytest.mark.parametrize("degrees", [None, 4])
@pytest.mark.parametrize("covariance_type", ELLIPTICAL)
def test_parts_of_elliptical_components(covariance_type, degrees, n_components):
    """By the regression on the observed entries, S_mo S_oo^-1 (x_o - mu_o)."""
    X = correlated(40, 5, seed=1)
    X[5] = np.nan
    mixture = fit_briefly(X, n_components, covariance_type, degrees_of_freedom=degrees)
    rows, columns = missing_entries(X)
    explanation = mixture.explain(X, (rows, columns))
    weights, means = mixture.weights_, mixture.means_
    shares = weights * densities(mixture, X)
    shares /= shares.sum(axis=1, keepdims=True)
    expected = np.zeros((len(rows), 5))
    for e, (i, j) in enumerate(zip(rows, columns, strict=True)):
        o = np.flatnonzero(~np.isnan(X[i]))
        for k in range(n_components):
            S = mixture.get_covariance(k)
            slopes = np.linalg.inv(S[np.ix_(o, o)]) @ S[o, j]
            expected[e, o] += shares[i, k] * slopes * (X[i, o] - means[k, o])
        base = weights @ means[:, j]
        shared = (shares[i] - weights) * (means[:, j] - base)
        assert_allclose(explanation.components[e], shared, atol=1e-9)
    assert_allclose(explanation.contributions.toarray(), expected, atol=1e-9)


def assert_parts(explanation, X, oracle):
    """Parts are as the loops of the oracles say."""
    for e, (i, j) in enumerate(zip(explanation.rows, explanation.columns, strict=True)):
        base, shared, mask, covariates, columns = oracles.factor_parts(X[i], oracle, j)
        assert_allclose(explanation.base[e], base)
        assert_allclose(explanation.components[e].sum(), shared, atol=1e-9)
        assert_allclose(explanation.mask[e], mask, atol=1e-9)
        found = explanation.covariates[[e]].toarray()[0]
        assert_allclose(found[oracle.covariates], covariates, atol=1e-9)
        found = explanation.contributions[[e]].toarray()[0]
        assert_allclose(found, columns, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("store", [np.array, to_sparse], ids=["dense", "sparse"])
def test_parts_of_factors(store, n_components):
    """Of uncertain loadings and features of the mask, by plain loops."""
    X = with_odd_rows(unknown=[2])
    oracle = drawn_parameters(X, n_components)
    mixture = with_model(oracle, X)
    entries = tuple(each[::3] for each in missing_entries(X))
    explanation = mixture.explain(store(X), entries)
    assert_parts(explanation, X, oracle)
    empty = np.isin(explanation.rows, 5)
    assert empty.any()
    assert not explanation.mask[empty].any()


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("mask_rank", [0, 3])
def test_parts_of_covariates(mask_rank, n_components):
    X = ratings(80, 8, density=0.5)
    X[:, [6, 1]] = np.random.default_rng(0).standard_normal((80, 2))
    X[3, 6] = X[4] = X[5] = np.nan
    X[5, [1, 6]] = 1.0, -0.5
    mixture = factor(
        n_components, 2, covariates=[6, 1], mask_rank=mask_rank, max_iter=5
    ).fit(X)
    explanation = assert_adds_up(mixture, X, X)
    some = explanation.rows < 12
    entries = explanation.rows[some], explanation.columns[some]
    oracle = from_library(mixture._model.parameters)
    assert_parts(mixture.explain(X, entries), X, oracle)
    # A row of which only a covariate is known: its part is all that is added.
    if n_components == 1:
        row = np.full((1, 8), np.nan)
        row[0, 1] = 1.0
        alone = mixture.transform(row)[0] - mixture.means_[0]
        entries = np.nonzero((explanation.rows == 5)[:, None])[0]
        found = explanation.covariates[entries].toarray()[:, 1]
        assert_allclose(found, alone[explanation.columns[entries]], atol=1e-10)


def test_parts_of_certain_factors():
    """Without uncertainty of the loadings, by the covariance matrix."""
    X = with_odd_rows()
    mixture = with_model(drawn_parameters(X, 1, spread=1e-13, features=False), X)
    covariance, mean = mixture.get_covariance(0), mixture.means_[0]
    rows, columns = missing_entries(X)
    explanation = mixture.explain(X, (rows, columns))
    for e, (i, j) in enumerate(zip(rows, columns, strict=True)):
        o = np.flatnonzero(~np.isnan(X[i]))
        slopes = np.linalg.inv(covariance[np.ix_(o, o)]) @ covariance[o, j]
        expected = np.zeros(X.shape[1])
        expected[o] = slopes * (X[i, o] - mean[o])
        found = explanation.contributions[[e]].toarray()[0]
        assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("covariance_type", ["full", "factor"])
def test_entries_contribute_as_completions_change(covariance_type):
    """One component: a change of an entry changes its contribution alone."""
    X = correlated(40, 5, seed=2)
    mixture = fit_briefly(X, 1, covariance_type)
    rows, columns = missing_entries(X)
    before = mixture.explain(X, (rows, columns)).contributions.toarray()
    moved = X.copy()
    moved[:, 3] += 0.7
    after = mixture.explain(moved, (rows, columns)).contributions.toarray()
    change = np.zeros_like(before)
    entries = rows, columns
    change[:, 3] = mixture.complete(moved, entries=entries)
    change[:, 3] -= mixture.complete(X, entries=entries)
    assert change.any()
    assert_allclose(after - before, change, atol=1e-10)


@pytest.mark.parametrize(
    "family",
    [
        Full(covariance_precision_prior=2.0),
        Tied(),
        Diagonal(min_variance=1e-3),
        Student(Full(covariance_precision_prior=2.0), 4),
    ],
    ids=lambda family: type(family).__name__,
)
def test_probing_finds_the_parts_of_any_linear_family(family):
    X = correlated(40, 5, seed=4)
    X[3] = np.nan
    mixture = fit_briefly(X, 2, family)
    model = mixture._model
    block = next(iter(observe(X, columns=model.columns, **model.block_options)))
    shares = mixture.predict_proba(X).T
    rows, columns = missing_entries(X)
    arguments = model.parameters, block, rows, columns, shares
    own, probed = (
        each(family, *arguments)
        for each in (type(family).explain_entries, Family.explain_entries)
    )
    assert_allclose(probed.means, own.means, atol=1e-10)
    assert_allclose(probed.mask, 0, atol=1e-10)
    first, second = (
        sparse.csr_array(
            (each.values, each.columns, each.indptr), shape=(len(rows), 5)
        ).toarray()
        for each in (own.contributions, probed.contributions)
    )
    assert_allclose(second, first, atol=1e-10)


@dataclass(frozen=True)
class Squared(Full):
    """Its conditional means are squares of what they should be."""

    def conditional(self, parameters, block, rows, columns):
        means, variances = super().conditional(parameters, block, rows, columns)
        return means**2, variances

    explain_entries = Family.explain_entries


@dataclass(frozen=True)
class Silent(Factor):
    explain_entries = Family.explain_entries


@pytest.mark.parametrize(
    ("family", "message"),
    [(Squared(), "not linear in the observed"), (Silent(2), "Silent does not explain")],
)
def test_families_that_explain_nothing(family, message):
    X = correlated(40, 5, seed=4)
    with pytest.raises(NotImplementedError, match=message):
        fit_briefly(X, 1, family).explain(X, missing_entries(X))


def test_wrong_entries():
    X = correlated(40, 5, missing=0.3)
    X[7, 2] = 1.0
    mixture = fit_briefly(X, 1, "factor", covariates=[4])
    with pytest.raises(ValueError, match="Row 7, column 2 of X is observed"):
        mixture.explain(X, ([7], [2]))
    with pytest.raises(ValueError, match="Column 4 is one of the covariates"):
        mixture.explain(X, ([7], [4]))
    with pytest.raises(ValueError, match="should be from 0 to 39"):
        mixture.explain(X, ([40], [2]))
    with pytest.raises(ValueError, match="should be a pair"):
        mixture.explain(X, None)


def test_no_entries():
    X = correlated(40, 5)
    explanation = fit_briefly(X, 2, "factor", covariates=[4]).explain(X, ([], []))
    assert explanation.prediction.shape == (0,)
    assert explanation.components.shape == (0, 2)
    assert explanation.contributions.shape == explanation.covariates.shape == (0, 5)
    assert all(len(values) == 0 for values in explanation.to_dict().values())


def assert_same(found, expected, atol=1e-12):
    for name in ("base", "components", "mask"):
        assert_allclose(getattr(found, name), getattr(expected, name), atol=atol)
    for name in ("covariates", "contributions"):
        first, second = (getattr(e, name).toarray() for e in (found, expected))
        assert_allclose(first, second, atol=atol)


@pytest.mark.parametrize("covariance_type", ["full", "factor"])
def test_order_and_blocks_change_nothing(covariance_type, monkeypatch):
    X = correlated(60, 5, seed=5)
    mixture = fit_briefly(X, 2, covariance_type)
    rows, columns = missing_entries(X)
    expected = mixture.explain(X, (rows, columns))
    asked = np.random.default_rng(0).integers(len(rows), size=50)
    found = mixture.explain(X, (rows[asked], columns[asked]))
    for name in ("base", "components", "mask", "contributions"):
        part = getattr(expected, name)[asked]
        if name == "contributions":
            assert_allclose(found.contributions.toarray(), part.toarray(), atol=1e-12)
        else:
            assert_allclose(getattr(found, name), part, atol=1e-12)
    monkeypatch.setattr("sklearn_gmmcf._model._COMPLETED_BYTES", 8 * 5 * 7)
    sweep_together(monkeypatch, 500)
    assert_same(mixture.explain(X, (rows, columns)), expected)


def test_containers():
    da = pytest.importorskip("dask.array")
    X = correlated(60, 5, seed=6)
    mixture = fit_briefly(X, 2, "factor", covariates=[1])
    entries = missing_entries(X, mixture)
    expected = mixture.explain(X, entries)
    assert_same(mixture.explain(da.from_array(X, chunks=(17, 5)), entries), expected)
    single = X.astype(np.float32)
    assert_same(mixture.explain(single, entries), expected, atol=1e-4)
    frame = pd.DataFrame(X, columns=list("abcde"))
    named = fit_briefly(frame, 2, "factor", covariates=["b"])
    explanation = named.explain(frame, entries)
    assert_same(explanation, expected)
    assert explanation.feature_names.tolist() == list("abcde")


def test_ill_conditioned_columns():
    """Columns that are nearly copies: parts are as exact as completions."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 1)) + 1e-7 * rng.standard_normal((200, 4))
    X[rng.random(X.shape) < 0.3] = np.nan
    mixture = MaskedGaussianMixture(covariance_type="full", reg_covar=0.0).fit(X)
    entries = missing_entries(X)
    explanation = mixture.explain(X, entries)
    completed = mixture.complete(X, entries=entries)
    assert_allclose(explanation.prediction, completed, atol=3e-9)


def test_to_dict():
    X = ratings(60, 8)
    X[:, 1] = np.random.default_rng(0).standard_normal(60)
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    mixture = factor(2, 2, covariates=["b"], max_iter=5).fit(frame)
    rows, columns = missing_entries(X, mixture)
    explanation = mixture.explain(frame, (rows[:5], columns[:5]))
    assert isinstance(explanation, Explanation)
    for n_columns in (None, 1, 3, 100):
        table = pd.DataFrame(explanation.to_dict(n_columns))
        sums = table.groupby(["row", "column"])["contribution"].sum()
        for e, completion in enumerate(explanation.prediction):
            key = rows[e], "abcdefgh"[columns[e]]
            assert_allclose(sums[key], completion)
            lines = table[(table["row"] == key[0]) & (table["column"] == key[1])]
            listed = lines[lines["source"].notna()]
            sizes = listed["contribution"].abs().to_numpy()
            assert (np.diff(sizes) <= 0).all()
            n_known = int((~np.isnan(X[rows[e]])).sum())
            assert len(listed) == min(n_known, n_columns or 100)
            assert ("others" in set(lines["part"])) == (len(listed) < n_known)
            kinds = listed["part"] == "covariate"
            assert (kinds == (listed["source"] == "b")).all()
            for name, value in listed[["source", "contribution"]].to_numpy():
                part = explanation.contributions + explanation.covariates
                assert part[[e]].toarray()[0, "abcdefgh".index(name)] == value


def test_to_dict_takes_other_names():
    X = correlated(40, 5, seed=7)
    mixture = fit_briefly(X)
    explanation = mixture.explain(X, tuple(each[:1] for each in missing_entries(X)))
    titles = ["one", "two", "three", "four", "five"]
    table, plain = explanation.to_dict(feature_names=titles), explanation.to_dict()
    assert set(table["column"]) == {titles[plain["column"][0]]}
    for title, index in zip(table["source"], plain["source"], strict=True):
        assert title == (None if index is None else titles[index])


def explain_one():
    X = correlated(40, 5, seed=7)
    return fit_briefly(X).explain(X, tuple(each[:1] for each in missing_entries(X)))


def test_to_dict_may_list_no_columns():
    explanation = explain_one()
    table = explanation.to_dict(np.int64(0))
    assert table["part"].tolist() == ["base", "components", "mask", "others"]
    assert_allclose(table["contribution"].sum(), explanation.prediction[0])


@pytest.mark.parametrize("n_columns", [-1, 1.0, "1", True])
def test_to_dict_refuses_other_numbers_of_columns(n_columns):
    with pytest.raises(ValueError, match="n_columns should be an integer of at least"):
        explain_one().to_dict(n_columns)


@pytest.mark.parametrize("names", [["a"], list("abcdef"), "abcde", [list("abcde")]])
def test_to_dict_refuses_other_numbers_of_names(names):
    with pytest.raises(ValueError, match="name for each of the 5 columns, but got"):
        explain_one().to_dict(feature_names=names)


def test_k_means_explains_by_its_clusters():
    X = correlated(60, 5, seed=7)
    mixture = KMeansMixture(3, random_state=0).fit(X)
    explanation = assert_adds_up(mixture, X, X)
    assert explanation.contributions.nnz == 0
    assert explanation.components.any()
