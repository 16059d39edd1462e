# SPDX-License-Identifier: BSD-3-Clause
"""Batches that observe few columns: what they cost, what they leave for later."""

import pickle
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sklearn_gmmcf import _em
from sklearn_gmmcf.covariance import Factor, _factor
from sklearn_gmmcf.data import observe
from sklearn_gmmcf.datasets import make_ratings
from tests import oracles
from tests.factors import (
    COMPONENTS,
    IGNORED_WARNINGS,
    drawn_parameters,
    factor,
    from_library,
    ratings,
    to_library,
    with_odd_rows,
)
from tests.made import to_sparse

pytestmark = IGNORED_WARNINGS
FEW = np.array([1, 3])
COLUMN_NAMES = ["loadings", "spreads", "noise"]
STORAGES = pytest.mark.parametrize("storage", [np.array, to_sparse])


def only_few(X):
    """The same table, of which only few columns are observed."""
    hidden = np.full(X.shape, np.nan)
    hidden[:, FEW] = X[:, FEW]
    return hidden


def drawn(n_components, **params):
    """Rows, a random model in the terms of the oracles, and the library's."""
    X = with_odd_rows(25, 5, unknown=[4])
    p = drawn_parameters(X, n_components, **params)
    return X, p, to_library(p, observe(X).columns)


def sum_up(parameters, X, storage=np.array):
    data = observe(storage(X), columns=parameters.columns)
    return data.total(partial(Factor(2).accumulate, parameters))


def assert_close(found, expected, **tolerances):
    for name, value in vars(expected).items():
        np.testing.assert_allclose(
            getattr(found, name), value, err_msg=name, **tolerances
        )


@COMPONENTS
def test_step_of_few_columns_equals_a_plain_loop(n_components):
    X, p, parameters = drawn(n_components, features=False)
    joint, _, moments = oracles.factor_e_step(X, p)
    shares = oracles.factor_shares(joint)
    columns = oracles.factor_column_step(X, p, shares, moments)
    expected = type(p)(**vars(p))
    if n_components > 1:
        expected = oracles.factor_type_step(X, p, shares, moments)
    for name in COLUMN_NAMES:
        value = getattr(p, name).copy()
        value[FEW] = getattr(columns, name)[FEW]
        setattr(expected, name, value)
    family = Factor(2)
    few = family.take_columns(parameters, FEW)
    few = family.maximize(sum_up(parameters, X).take_columns(FEW), few)
    found = from_library(family.put_columns(parameters, FEW, few))
    assert_close(found, expected, rtol=1e-9, atol=1e-11)


@COMPONENTS
def test_step_of_few_columns_leaves_slopes_alone(n_components):
    X, p, parameters = drawn(n_components)
    family = Factor(2)
    few = family.take_columns(parameters, FEW)
    few = family.maximize(sum_up(parameters, X).take_columns(FEW), few)
    found = from_library(family.put_columns(parameters, FEW, few))
    joint, means, moments = oracles.factor_e_step(X, p)
    shares = oracles.factor_shares(joint)
    columns = oracles.factor_column_step(X, p, shares, moments)
    for name in COLUMN_NAMES:
        expected = getattr(p, name).copy()
        expected[FEW] = getattr(columns, name)[FEW]
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-9)
    for name in ("row_slopes", "row_slope_variances", "row_slope_precisions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(p, name))
    if n_components > 1:
        explained = np.array([p.row_slopes @ oracles.row_features(x, p) for x in X])
        for k in range(n_components):
            sums = shares[:, k] @ (means[:, k, :-1] - explained)
            expected = sums / (shares[:, k].sum() + 5)
            np.testing.assert_allclose(found.factor_means[k], expected, rtol=1e-9)


@STORAGES
@COMPONENTS
def test_sums_of_few_columns_are_those_of_all(n_components, storage):
    X, _, parameters = drawn(n_components)
    rows = only_few(X)
    expected = sum_up(parameters, rows)
    data = observe(storage(rows), columns=parameters.columns)
    np.testing.assert_array_equal(data.observed_columns(), FEW)
    family = Factor(2)
    few = family.take_columns(parameters, FEW)
    found = data.select(FEW).total(partial(family.accumulate, few))
    earlier = sum_up(parameters, X)
    together = earlier.put_columns(FEW, earlier.take_columns(FEW) + found)
    plain = earlier + expected
    for field in fields(plain):
        np.testing.assert_allclose(
            getattr(together, field.name),
            getattr(plain, field.name),
            rtol=1e-10,
            atol=1e-12,
            err_msg=field.name,
        )


@COMPONENTS
def test_objective_of_few_columns_is_that_of_all(n_components):
    X, p, parameters = drawn(n_components)
    family = Factor(2)
    few = family.take_columns(parameters, FEW)
    expected = oracles.factor_objective(X, p, np.ones(len(X)))
    expected -= sum_up(parameters, X).log_likelihood
    assert family.log_prior(few) == pytest.approx(expected, rel=1e-10)
    # The sums over columns that a model keeps are those made anew.
    changed = family.maximize(sum_up(parameters, X).take_columns(FEW), few)
    kept = family.put_columns(parameters, FEW, changed)
    anew = pickle.loads(pickle.dumps(kept))
    for name in ("evidence", "prior_distances", "log_column_slopes"):
        assert name in vars(kept)
        assert name not in vars(anew)
        np.testing.assert_allclose(getattr(kept, name), getattr(anew, name), rtol=1e-9)


def test_row_changes_the_columns_that_it_observes():
    X = ratings(60, 30)
    mixture = factor(2, max_iter=5).fit(X)
    for row, storage in ((X[:1], np.array), (X[7:8], to_sparse)):
        before = mixture._model.parameters
        attributes = mixture.intercept_, mixture.noise_variance_
        mixture.partial_fit(storage(row))
        now = mixture._model.parameters
        observed = ~np.isnan(row[0])
        assert 0 < observed.sum() < 30 / 2
        for old, new in (
            (before.loadings[0], now.loadings[0]),
            (before.loading_spreads[0], now.loading_spreads[0]),
            (before.noise, now.noise),
            (attributes[0], mixture.intercept_),
            (attributes[1], mixture.noise_variance_),
        ):
            np.testing.assert_array_equal(old != new, observed)
        np.testing.assert_array_equal(before.prior_mean, now.prior_mean)
        assert (before.factor_means != now.factor_means).all()


def find_full_steps(mixture, rows):
    """For which rows the M-step was one of all columns."""
    found = []
    for i, row in enumerate(rows):
        before = mixture._model.parameters.prior_precision
        mixture.partial_fit(row[None])
        if (mixture._model.parameters.prior_precision != before).any():
            found.append(i)
    return found


def test_all_columns_are_learned_as_often_as_documented():
    X = ratings(200, 30)
    row = np.full((20, 30), np.nan)
    row[:, [2, 3, 5, 7, 11, 13]] = 4.0
    # Six columns each time, 30 after five rows.
    mixture = factor(2, max_iter=5).fit(X)
    assert find_full_steps(mixture, row) == [4, 9, 14, 19]
    # The eighth row meets 31 rows, and the eleventh after it 42.
    row[:, 3:] = np.nan
    mixture = factor(2, max_iter=5).fit(X[:24])
    assert find_full_steps(mixture, row) == [7, 18]


def test_few_columns_that_are_not_left_for_later(monkeypatch):
    monkeypatch.setattr(_em, "_MAX_WAITING_ROWS", 0.0)
    X = ratings(60, 30)
    mixture = factor(2, max_iter=5).fit(X)
    model, earlier = mixture._model, mixture._running.statistics
    family, parameters = model.family, model.parameters
    for _ in range(3):
        statistics = earlier + sum_up(parameters, X[5:6])
        objective = statistics.log_likelihood + family.log_prior(parameters)
        parameters = family.maximize(statistics, parameters)
    mixture.partial_fit(X[5:6])
    found = from_library(mixture._model.parameters)
    assert_close(found, from_library(parameters), rtol=1e-12)
    assert mixture.lower_bound_ == pytest.approx(objective / 61)


def test_lower_bound_after_few_columns():
    X = ratings(60, 30)
    mixture = factor(2, max_iter=5).fit(X)
    model, earlier = mixture._model, mixture._running.statistics
    family, row = model.family, X[5:6]
    columns = np.flatnonzero(~np.isnan(row[0]))
    few = family.take_columns(model.parameters, columns)
    for _ in range(3):
        whole = family.put_columns(model.parameters, columns, few)
        statistics = earlier + sum_up(whole, row)
        expected = statistics.log_likelihood + family.log_prior(few)
        few = family.maximize(statistics.take_columns(columns), few)
    mixture.partial_fit(row)
    assert mixture.lower_bound_ == pytest.approx(expected / 61)
    # It is close to the objective with the noise that columns are pulled to then.
    expected = statistics.log_likelihood + family.log_prior(whole)
    assert mixture.lower_bound_ == pytest.approx(expected / 61, rel=1e-4)
    assert_close(
        from_library(mixture._model.parameters),
        from_library(family.put_columns(model.parameters, columns, few)),
        rtol=1e-9,
    )


def test_few_columns_beside_covariates():
    rng = np.random.default_rng(0)
    X = ratings(60, 30)
    X[:, [4, 20]] = rng.standard_normal((60, 2))
    X[5, 20] = np.nan
    results = []
    for storage in (np.array, to_sparse):
        mixture = factor(2, max_iter=5, covariates=[4, 20]).fit(storage(X))
        before = mixture._model.parameters
        mixture.partial_fit(storage(X[5:6]))
        observed = ~np.isnan(X[5])
        observed[[4, 20]] = False
        changed = mixture._model.parameters.noise != before.noise
        changed[[4, 20]] = False
        np.testing.assert_array_equal(changed, observed)
        results.append(mixture.transform(X))
    np.testing.assert_allclose(*results)


def test_new_columns_among_few():
    X = ratings(60, 30)
    first = X[:50].copy()
    first[:, [3, 8]] = np.nan
    mixture = factor(2, max_iter=5).fit(first)
    row = np.full((1, 30), np.nan)
    row[0, [3, 8, 9]] = 1.0, 5.0, 3.0
    before = mixture._model.parameters
    mixture.partial_fit(row)
    now = mixture._model.parameters
    assert now.columns.known.all()
    np.testing.assert_array_equal(before.prior_mean, now.prior_mean)
    np.testing.assert_array_equal(np.flatnonzero(before.noise != now.noise), [3, 8, 9])
    anew = pickle.loads(pickle.dumps(now))
    for name in ("evidence", "prior_distances", "log_column_slopes"):
        np.testing.assert_allclose(getattr(now, name), getattr(anew, name), rtol=1e-9)
    # Each has a single value, which the row explains in part.
    low, high = mixture.transform(np.full((1, 30), np.nan))[0, [3, 8]]
    assert 1 < low < high < 5


def test_few_columns_on_threads_and_in_blocks(monkeypatch):
    X = ratings(60, 30)
    batch = only_few(X[10:22])
    results = []
    for n_jobs, n_numbers in ((1, 2**23), (1, 7 * 20), (2, 7 * 20)):
        mixture = factor(2, max_iter=5).fit(X).set_params(n_jobs=n_jobs)
        with monkeypatch.context() as patch:
            patch.setattr(_factor, "_BLOCK_NUMBERS", n_numbers)
            results.append(mixture.partial_fit(batch).transform(X))
    np.testing.assert_array_equal(results[1], results[2])
    np.testing.assert_allclose(results[0], results[1])


@pytest.mark.parametrize("storage", [np.array, to_sparse])
def test_few_columns_in_dask(storage):
    da = pytest.importorskip("dask.array")
    X = ratings(60, 30)
    batch = storage(only_few(X[10:14]))
    expected, found = (factor(2, max_iter=5).fit(X) for _ in range(2))
    expected.partial_fit(batch)
    found.partial_fit(
        da.from_array(batch, chunks=(2, -1), asarray=False)
        if isinstance(batch, np.ndarray)
        else da.concatenate(
            [da.from_array(batch[i : i + 2], chunks=(2, 30)) for i in (0, 2)]
        )
    )
    assert_close(
        from_library(found._model.parameters),
        from_library(expected._model.parameters),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.slow
def test_streams_of_few_columns_end_where_others_end(monkeypatch):
    data = make_ratings(
        600, 150, n_types=2, n_factors=2, density=0.1, random_state=0
    ).data.tocoo()
    held = np.random.default_rng(0).random(data.nnz) < 0.1
    kept = data.data[~held], (data.row[~held], data.col[~held])
    X = sparse.csr_array(kept, shape=data.shape)

    def error(mixture):
        entries = data.row[held], data.col[held]
        residuals = mixture.complete(X, entries=entries) - data.data[held]
        return np.sqrt(np.mean(residuals**2))

    mixture = factor(2, 4)
    errors, n_few = {}, []
    can_wait = _em.RunningStatistics.can_wait
    for name in ("few", "all"):
        stream = clone(mixture).partial_fit(X[:200])

        def spy(self, *args, name=name):
            n_few.append(name == "few" and can_wait(self, *args))
            return n_few[-1]

        monkeypatch.setattr(_em.RunningStatistics, "can_wait", spy)
        for _ in range(2):
            for start in range(200, 600, 4):
                stream.partial_fit(X[start : start + 4])
        errors[name] = error(stream)
    assert 100 < sum(n_few) < 200
    assert errors["few"] < 1.01 * errors["all"]
