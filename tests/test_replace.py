# SPDX-License-Identifier: BSD-3-Clause
"""Rows that take the place of others, exactly."""

import pickle
from dataclasses import fields, is_dataclass
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance._family import Statistics
from sklearn_gmmcf.data import observe
from sklearn_gmmcf.datasets import make_ratings
from tests.factors import IGNORED_WARNINGS, from_library
from tests.made import TYPES, correlated, mixtures, to_sparse
from tests.optional import pd

pytestmark = IGNORED_WARNINGS
EVERY_TYPE = pytest.mark.parametrize("covariance_type", TYPES)
WITH_STUDENT = pytest.mark.parametrize("covariance_type", [*TYPES, "student"])


def make(covariance_type, **params):
    if covariance_type == "factor":
        params["n_factors"] = 2
    if covariance_type == "student":
        covariance_type, params["degrees_of_freedom"] = "full", "auto"
    params = {"max_iter": 20, "tol": 0, "reg_covar": 1e-3} | params
    return MaskedGaussianMixture(
        2, covariance_type=covariance_type, random_state=0, **params
    )


def flatten(statistics):
    """All sums, by name."""
    sums = {}
    for field in fields(statistics):
        value = getattr(statistics, field.name)
        if is_dataclass(value):
            inner = flatten(value).items()
            sums |= {f"{field.name}.{name}": each for name, each in inner}
        else:
            sums[field.name] = np.asarray(value)
    return sums


def assert_same_sums(found, expected, tolerance=1e-8):
    found, expected = (flatten(m._running.statistics) for m in (found, expected))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=tolerance, atol=tolerance, err_msg=name
        )


def assert_same_mixture(found, expected, X, tolerance=1e-8):
    for name in ("weights_", "means_", "lower_bound_"):
        np.testing.assert_allclose(
            getattr(found, name),
            getattr(expected, name),
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )
    for ours, theirs in zip(
        found.complete(X, return_std=True),
        expected.complete(X, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        found.score_samples(X),
        expected.score_samples(X),
        rtol=tolerance,
        atol=tolerance,
    )


def versions(row, n=20):
    """A row that changes: values, and which are observed."""
    rng = np.random.default_rng(3)
    rows = row + rng.standard_normal((n, len(row)))
    rows[rng.random(rows.shape) < 0.3] = np.nan
    return rows


@WITH_STUDENT
def test_sums_take_away_what_they_added(covariance_type):
    X = correlated(80, 5)
    mixture = make(covariance_type, max_iter=5).fit(X)
    model = mixture._model
    a, b = (
        observe(rows, columns=model.columns, **model.block_options).total(
            partial(model.family.accumulate, model.parameters)
        )
        for rows in (X[:50], X[50:])
    )
    assert isinstance(a, Statistics)
    found, expected = flatten(a + b - b), flatten(a)
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=1e-10, atol=1e-10, err_msg=name
        )
    for name, value in flatten(a + b - b - a).items():
        if name.split(".")[-1] != "origin":
            assert np.abs(value).max() < 1e-10, name


@WITH_STUDENT
@pytest.mark.parametrize("storage", [np.array, to_sparse])
def test_many_versions_of_a_row_count_as_the_last(covariance_type, storage):
    X = correlated(80, 5)
    rows = versions(X[7], 10)
    found, expected = make(covariance_type).fit(X), make(covariance_type).fit(X)
    before = X[7:8]
    for row in rows:
        found.partial_fit(storage(row[None]), replaces=storage(before))
        before = row[None]
    expected.partial_fit(rows[-1:], replaces=X[7:8])
    assert_same_sums(found, expected)
    assert_same_mixture(found, expected, X)
    assert found._running.statistics.weight == 80


@EVERY_TYPE
def test_exchanged_rows_equal_sums_of_these_rows(covariance_type):
    X = correlated(80, 5)
    new = versions(X[7], 3)
    mixture = make(covariance_type, max_iter=5).fit(X)
    earlier = make(covariance_type, max_iter=4).fit(X)._model
    mixture.partial_fit(new, replaces=X[[7, 30]])
    # All sums are made under the parameters of the last E-step.
    family, parameters = earlier.family, earlier.parameters
    if covariance_type == "factor":
        statistics = make(covariance_type, max_iter=4).fit(X)._running.statistics
        parameters = family.accelerate(statistics, parameters)
    kept = np.delete(X, [7, 30], axis=0)
    data = observe(
        np.vstack([kept, new]), columns=earlier.columns, **earlier.block_options
    )
    statistics = data.total(partial(family.accumulate, parameters))
    for name, value in flatten(statistics).items():
        np.testing.assert_allclose(
            flatten(mixture._running.statistics)[name],
            value,
            rtol=1e-9,
            atol=1e-9,
            err_msg=name,
        )
    expected = clone(mixture).fit(X)
    expected._model = type(earlier)(
        family, family.maximize(statistics, parameters), earlier.columns
    )
    for found, value in zip(
        mixture.complete(X, return_std=True),
        expected.complete(X, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(found, value, rtol=1e-8)
    objective = statistics.log_likelihood + family.log_prior(parameters)
    assert mixture.lower_bound_ == pytest.approx(objective / 81)


@WITH_STUDENT
@pytest.mark.parametrize("storage", [np.array, to_sparse])
def test_forgotten_rows_were_never_there(covariance_type, storage):
    X = correlated(80, 5)
    rows = versions(X[7], 4)
    never, found = make(covariance_type).fit(X), make(covariance_type).fit(X)
    found.partial_fit(storage(rows), replaces=storage(X[:0]))
    assert found._running.statistics.weight == 84
    for row in rows:
        found.partial_fit(storage(X[:0]), replaces=storage(row[None]))
    assert_same_sums(found, never)
    assert_same_mixture(found, never, X)
    # Rows of the fit, in any order.
    one, other = never, found
    one.partial_fit(X[:0], replaces=X[[3, 9]])
    other.partial_fit(X[:0], replaces=X[9:10]).partial_fit(X[:0], replaces=X[3:4])
    assert_same_sums(one, other)
    assert_same_mixture(one, other, X)


def test_weights_are_repetition():
    X = correlated(80, 5)
    rows, counts = versions(X[7], 3), np.array([1, 2, 0])
    for mixture in mixtures(random_state=0, max_iter=5):
        weighted, repeated = clone(mixture).fit(X), clone(mixture).fit(X)
        weighted.partial_fit(rows, sample_weight=counts, replaces=X[:0])
        repeated.partial_fit(rows[[0, 1, 1]], replaces=X[:0])
        assert_same_sums(weighted, repeated)
        weighted.partial_fit(X[:0], replaces=rows, replaced_weight=counts - counts / 4)
        repeated.partial_fit(X[:0], replaces=rows, replaced_weight=counts * 0.75)
        assert_same_sums(weighted, repeated)
        assert weighted._running.statistics.weight == pytest.approx(80 + 0.75)


@EVERY_TYPE
def test_calls_without_replaces_go_on_exactly(covariance_type):
    X = correlated(80, 5)
    rows = versions(X[7], 4)
    found, expected = make(covariance_type).fit(X), make(covariance_type).fit(X)
    found.partial_fit(rows[:1], replaces=X[:0]).partial_fit(rows[1:])
    found = pickle.loads(pickle.dumps(found))
    found.partial_fit(X[:0], replaces=rows[:3])
    expected.partial_fit(rows[3:], replaces=X[:0])
    assert_same_sums(found, expected)
    assert_same_mixture(found, expected, X)


@EVERY_TYPE
def test_refusals(covariance_type):
    X = correlated(80, 5)
    mixture = make(covariance_type)
    other_parameters = clone(mixture).fit(X[:60]).partial_fit(X[60:])
    for each, match in (
        (clone(mixture), r"none was learned yet.*Call fit"),
        (clone(mixture).partial_fit(X[:60]), r"batches alone.*discounted.*Call fit"),
        (other_parameters, r"without replaces after fit.*Call fit"),
        (clone(mixture).set_params(max_iter=0).fit(X), r"max_iter=0.*Increase"),
        (clone(mixture).fit(X).without_sums(), r"without_sums.*fit anew"),
    ):
        before = vars(each).copy()
        with pytest.raises(ValueError, match=match):
            each.partial_fit(X[:0], replaces=X[60:61])
        assert vars(each) == before
    each = other_parameters.fit(X)
    before = vars(each).copy()
    for new, old, match in (
        (X[:0], X, "No row is left"),
        (X[:0, :4], X[:1], "4 features"),
        (X[:1], X[:0, :4], "4 features"),
        (X[:1], X[:1, :4], "4 features"),
    ):
        with pytest.raises(ValueError, match=match):
            each.partial_fit(new, replaces=old)
        assert vars(each) == before
    for options, match in (
        ({"sample_weight": [1.0, 2.0], "replaces": X[:1]}, "2 weights, but X has no"),
        ({"replaces": X[:0], "replaced_weight": [1.0]}, "1 weights, but replaces has"),
        ({"replaced_weight": [1.0]}, "but replaces is None"),
    ):
        with pytest.raises(ValueError, match=match):
            each.partial_fit(X[:0], **options)
        assert vars(each) == before
    each.partial_fit(X[:1], replaces=X[:1])


@WITH_STUDENT
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_that_were_not_learned_are_refused(covariance_type, dtype):
    X = correlated(80, 5, missing=0.0).astype(dtype)
    X[1:, 4] = np.nan
    mixture = make(covariance_type, max_iter=5).fit(X)
    other = X[1:2].copy()
    other[0, 0] = 100.0
    more = X[2:4].copy()
    more[:, 4] = X[0, 4]
    before = vars(mixture).copy()
    never_learned = [(more, None), (X[0:1], [3.0])]
    if covariance_type != "student":  # outliers weigh little there
        never_learned.append((other, None))
    for rows, weights in never_learned:
        with pytest.raises(ValueError, match=r"rows that were not learned.*weights"):
            mixture.partial_fit(X[5:6], replaces=rows, replaced_weight=weights)
        assert vars(mixture) == before
    # Rows that were learned can all be taken out, but for the last.
    order = np.random.default_rng(0).permutation(80)
    for rows in np.array_split(order[:-1], 12):
        mixture.partial_fit(X[:0], replaces=X[rows])
    assert mixture._running.statistics.weight == pytest.approx(1)


def test_column_whose_rows_are_forgotten():
    X = correlated(80, 5, missing=0.0)
    X[7:, 4] = np.nan
    for mixture in mixtures(random_state=0, max_iter=5, reg_covar=1e-3):
        mixture.fit(X)
        for row in X[:7]:
            mixture.partial_fit(X[:0], replaces=row[None])
        sums = mixture._running.statistics
        # What rounding leaves of them would be divided by itself.
        name = "column_weights" if hasattr(sums, "column_weights") else "counts"
        assert (getattr(sums, name)[..., 4] == 0).all()
        completed, std = mixture.complete(X[7:], return_std=True)
        assert np.isfinite(std).all()
        low, high = X[:7, 4].min() - 4, X[:7, 4].max() + 4
        assert ((completed[:, 4] > low) & (completed[:, 4] < high)).all()


@EVERY_TYPE
def test_new_columns_come_with_rows(covariance_type):
    X = correlated(80, 5)
    first = X[:60].copy()
    first[:, 4] = np.nan
    mixture = make(covariance_type, max_iter=5).fit(first)
    found = pickle.loads(pickle.dumps(mixture)).partial_fit(X[60:], replaces=X[:0])
    other = mixture.partial_fit(X[60:], replaces=X[:0])
    for row in X[60:65]:
        other.partial_fit(row[None] + 1, replaces=row[None])
        other.partial_fit(row[None], replaces=row[None] + 1)
    assert_same_sums(found, other)
    assert_same_mixture(found, other, X)
    assert found._model.columns.known.all()


@pytest.mark.parametrize("n_entries", [1, 2])
@pytest.mark.parametrize("exact", [False, True])
def test_few_entries_of_a_new_column_are_learned_as_by_fit(n_entries, exact):
    X = make_ratings(
        600, 60, n_types=2, n_factors=2, density=0.3, random_state=0
    ).data.tocoo()
    shown = np.full(X.shape, np.nan)
    shown[X.row, X.col] = X.data
    j = int(np.nanmean(shown, axis=0).argmax())
    hidden = shown.copy()
    hidden[:, j] = np.nan
    rows = np.flatnonzero(~np.isnan(shown[:, j]))[:n_entries]
    some = hidden.copy()
    some[rows, j] = shown[rows, j]
    expected, found = (
        MaskedGaussianMixture(
            2, covariance_type="factor", n_factors=3, random_state=0
        ).fit(table)
        for table in (some, hidden)
    )
    found.partial_fit(some[rows], replaces=hidden[rows] if exact else None)
    for ours, theirs, tolerance in zip(
        found.complete(hidden, return_std=True),
        expected.complete(hidden, return_std=True),
        (0.3, 0.1),
        strict=True,
    ):
        assert ours[:, j].mean() == pytest.approx(theirs[:, j].mean(), abs=tolerance)


@EVERY_TYPE
@pytest.mark.parametrize("storage", [np.array, to_sparse])
def test_which_rows_show_a_new_column_first_does_not_matter(covariance_type, storage):
    X = correlated(80, 5)
    X[:, 4] = 3 * X[:, 4] + 5
    first = X.copy()
    first[:, 4] = np.nan
    mixture = make(covariance_type, max_iter=5).fit(storage(first))
    results = []
    for batches in (
        np.split(np.arange(80), [80]),
        np.split(np.arange(80), 8),
        np.split(np.arange(80)[::-1], 20),
    ):
        found = pickle.loads(pickle.dumps(mixture))
        for rows in batches:
            if len(rows):
                found.partial_fit(storage(X[rows]), replaces=storage(first[rows]))
        results.append(found)
    for other in results[1:]:
        assert_same_sums(other, results[0])
        assert_same_mixture(other, results[0], X)


def test_a_warm_start_goes_on():
    X = correlated(80, 5)
    for mixture in mixtures(random_state=0, max_iter=5, warm_start=True):
        mixture.fit(X).partial_fit(X[:1] + 1, replaces=X[:1])
        mixture.fit(X).partial_fit(X[:0], replaces=X[:1])
        assert mixture._running.statistics.weight == pytest.approx(79)


def hide_columns(X, n):
    return np.hstack([X, np.full((len(X), n), np.nan)])


@EVERY_TYPE
@pytest.mark.parametrize("storage", [np.array, to_sparse])
def test_columns_appended_were_always_there(covariance_type, storage):
    # An empty column of a fit has the priors of one step before; near a fixed point
    # they are the same.
    slow = covariance_type == "factor"
    params, tolerance = {"max_iter": 200 if slow else 20}, 1e-3 if slow else 1e-8
    X = correlated(80, 5)
    X[:, 2] += 7
    expected = make(covariance_type, **params).fit(storage(hide_columns(X, 2)))
    found = make(covariance_type, **params).fit(storage(X)).add_columns(2)
    assert found.n_features_in_ == 7
    for name, value in vars(expected._model.columns).items():
        if value is not None:
            np.testing.assert_allclose(
                getattr(found._model.columns, name), value, rtol=1e-12, err_msg=name
            )
    hidden = hide_columns(X, 2)
    assert_same_sums(found, expected, tolerance)
    assert_same_mixture(found, expected, hidden, tolerance)
    new = correlated(40, 7, seed=1)
    for batch in (new[:3], new[3:4], new[4:]):
        for each in (found, expected):
            each.partial_fit(storage(batch), replaces=storage(hidden[[5]]))
        hidden = np.delete(hidden, 5, axis=0)
        assert_same_sums(found, expected, tolerance)
        assert_same_mixture(found, expected, hidden, tolerance)


@EVERY_TYPE
def test_appended_columns_are_learned_online(covariance_type):
    X = correlated(400, 7)
    found = make(covariance_type).partial_fit(X[:100, :5]).add_columns(2)
    for batch in np.split(X[100:], 6) * 3:
        found.partial_fit(batch)
    hidden = X.copy()
    hidden[:, 5:] = np.nan
    observed = ~np.isnan(X)
    gaps = found.transform(hidden) - X
    for j in (5, 6):
        assert gaps[observed[:, j], j].std() < np.nanstd(X[:, j])


def test_appended_columns_with_features():
    rng = np.random.default_rng(0)
    X = correlated(80, 6)
    G = rng.standard_normal((8, 2))
    G[3, 0] = G[7, 1] = np.nan
    params = {"max_iter": 200}
    expected = make("factor", column_features=G, **params).fit(hide_columns(X, 2))
    found = make("factor", column_features=G[:6], **params).fit(X)
    found.set_params(column_features=G).add_columns(2, G[6:])
    hidden = hide_columns(X, 2)
    assert_same_mixture(found, expected, hidden, 1e-3)
    assert np.ptp(found.means_[:, 6:]) > 0.01
    for each in (found, expected):
        each.partial_fit(correlated(10, 8, seed=1), replaces=hidden[:2])
    assert_same_mixture(found, expected, hidden, 1e-3)
    missing = make("factor", column_features=G[:6], max_iter=5).fit(X).add_columns(1)
    assert np.isnan(missing._model.columns.features[:, 6]).all()


@pytest.mark.parametrize("storage", [np.array, np.ndarray.tolist, sparse.csr_array])
def test_features_of_appended_columns_join_the_parameter(storage):
    rng = np.random.default_rng(0)
    X, G = correlated(80, 6), rng.standard_normal((8, 2))
    found = make("factor", column_features=storage(G[:6]), max_iter=5).fit(X)
    other = pickle.loads(pickle.dumps(found)).set_params(column_features=G)
    new = correlated(10, 8, seed=1)
    for each in (found, other):
        each.add_columns(2, storage(G[6:])).partial_fit(new)
        np.testing.assert_array_equal(each.column_features, G)
    assert_same_mixture(found, other, new)
    found.add_columns(1).partial_fit(hide_columns(new, 1))
    expected = np.vstack([G, [[np.nan, np.nan]]])
    np.testing.assert_array_equal(found.column_features, expected)
    clone(found).fit(hide_columns(new, 1))


def test_log_dets_and_spreads_of_appended_columns():
    X = correlated(80, 5)
    parameters = make("factor").fit(X).add_columns(2)._model.parameters
    model = from_library(parameters)
    for j in (5, 6):
        precision = np.diag(parameters.prior_precision) / model.units[j] ** 2
        np.testing.assert_allclose(model.spreads[j], np.linalg.inv(precision))
        assert parameters.loading_log_dets[j] == pytest.approx(
            -np.linalg.slogdet(precision)[1]
        )


@pytest.mark.parametrize("n_columns", [0, -1, 1.0, True, None])
def test_numbers_of_columns_that_are_refused(n_columns):
    mixture = make("diag").fit(correlated(80, 5))
    with pytest.raises(ValueError, match=r"n_columns should be an integer of at least"):
        mixture.add_columns(n_columns)


def test_features_that_cannot_be_appended():
    X, G = correlated(80, 5), np.arange(10.0).reshape(5, 2)
    mixture = make("factor", column_features=G, max_iter=5).fit(X)
    before = vars(mixture).copy()
    for features, match in (
        (G[:1], r"each of the 2 new columns, but got the shape \(1, 2\)"),
        ([1.0, 2.0], r"2 new columns, but got the shape \(2,\)"),
        (G[:2, :1], r"the 2 features of the fit, but got the shape \(2, 1\)"),
        ([["a", "b"], ["c", "d"]], "table of numbers"),
        ([[0.0, np.inf], [0.0, 0.0]], "finite"),
    ):
        with pytest.raises(ValueError, match=match):
            mixture.add_columns(2, features)
        assert vars(mixture) == before
    for covariance_type in ("diag", "factor"):
        with pytest.raises(ValueError, match="was fitted without column_features"):
            make(covariance_type, max_iter=5).fit(X).add_columns(2, G[:2])


def test_columns_that_cannot_be_appended():
    X = correlated(80, 5)
    mixture = make("diag").fit(pd.DataFrame(X, columns=list("abcde")))
    with pytest.raises(ValueError, match="names"):
        mixture.add_columns(1)
    mixture = make("diag", max_iter=0).fit(X)
    with pytest.raises(ValueError, match=r"add_columns.*max_iter=0"):
        mixture.add_columns(1)
    with pytest.raises(ValueError, match=r"add_columns.*without_sums"):
        make("diag").fit(X).without_sums().add_columns(1)
    with pytest.raises(NotImplementedError, match="Student takes no further columns"):
        make("student").fit(X).add_columns(1)
