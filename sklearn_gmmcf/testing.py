# SPDX-License-Identifier: BSD-3-Clause
"""Contracts of a family of covariances, for families written outside the package."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._warnings import DataWarning
from sklearn_gmmcf.covariance import Family, Statistics
from sklearn_gmmcf.covariance._family import to_responsibilities
from sklearn_gmmcf.data import Block, Observed, observe

__all__ = ["FAMILY_CHECKS", "check_family"]

_SEEDS = range(3)
_STARTS = ("kmeans", "k-means++", "random", "random_from_data")
# Megabytes that leave a few rows in a block.
_SMALL_MEMORY = 0.02


def check_family(family: Family[Any, Any]) -> None:
    """Check that a family of covariances keeps its contracts.

    Fits on small made data are compared with each other, with sums over parts of the
    data, and with numerical integrals of `log_joint`.

    Parameters
    ----------
    family : Family
        The family. Its options should not forbid two components in four columns, nor
        regularize beyond its objective: a large `reg_covar` of a covariance matrix, as
        in scikit-learn, lowers the objective at times.

    Raises
    ------
    AssertionError
        If a contract is broken; a note names the check.

    See Also
    --------
    sklearn_gmmcf.covariance.Family : The class to derive from.

    Notes
    -----
    ``FAMILY_CHECKS`` holds the checks one by one, as functions of a family, for
    ``pytest.mark.parametrize``.

    Examples
    --------
    >>> from sklearn_gmmcf.covariance import Diagonal
    >>> from sklearn_gmmcf.testing import check_family
    >>> check_family(Diagonal(min_variance=1e-3))
    """
    for check in FAMILY_CHECKS:
        try:
            check(family)
        except AssertionError as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


def check_objective_never_falls(family: Family[Any, Any]) -> None:
    """An iteration of EM never lowers the objective."""
    for seed, init_params in enumerate(_STARTS):
        X = _make_data(seed)
        weights = np.random.default_rng(seed).integers(1, 5, size=len(X))
        options = {"n_components": 3, "max_iter": 30, "init_params": init_params}
        bounds = np.asarray(_fit(family, X, weights, **options).lower_bounds_)
        assert np.isfinite(bounds).all()
        assert (np.diff(bounds) >= -1e-9 * np.abs(bounds[1:]).max()).all()


def check_statistics_add_up(family: Family[Any, Any]) -> None:
    """The statistics of rows are the sum of the statistics of their parts."""
    X = _make_data(0)
    mixture = _fit(family, X)
    model, cut = mixture._model, 31
    whole, *parts = (
        _open(mixture, rows).total(lambda b: family.accumulate(model.parameters, b))
        for rows in (X, X[:cut], X[cut:])
    )
    _assert_equal_statistics(whole, parts[0] + parts[1])
    _assert_equal_statistics(whole - parts[1], parts[0])
    _assert_equal_statistics(whole.scaled(2.0), whole + whole)


def check_unobserved_column(family: Family[Any, Any]) -> None:
    """A column without observations changes nothing elsewhere."""
    X = _make_data(1)
    others = np.array([0, 1, 3, 4])
    wider, later = (np.insert(X, 2, value, axis=1) for value in (np.nan, 7.0))
    for store in (np.array, _to_sparse):
        plain, mixture = _fit(family, store(X)), _fit(family, store(wider))
        expected = _ask(plain, store(X))
        # Priors may add a constant to the objective.
        expected.pop("lower_bound_")
        changes = np.diff(plain.lower_bounds_)
        assert_allclose(np.diff(mixture.lower_bounds_), changes, rtol=1e-6, atol=1e-8)
        _assert_equal(_ask(mixture, store(wider), others), expected)
        # Later values of the column count in nothing, and come back.
        _assert_equal(_ask(mixture, store(later), others), expected)
        assert (mixture.transform(store(later))[:, 2] == 7.0).all()
        assert_allclose(mixture.bic(store(later)), plain.bic(store(X)), rtol=1e-9)
        complete = np.ones((2, 5))
        found = mixture.score_samples(store(complete))
        assert_allclose(found, plain.score_samples(complete[:, others]), rtol=1e-6)


def check_empty_rows(family: Family[Any, Any]) -> None:
    """A row without observations gets the weights and the mean of the mixture."""
    mixture, X = _fitted(family)
    X = X[np.isnan(X).all(axis=1)]
    weights = mixture.weights_
    assert_allclose(mixture.score_samples(X), 0.0, atol=1e-10)
    assert_allclose(mixture.predict_proba(X), np.tile(weights, (len(X), 1)))
    assert (mixture.predict(X) == weights.argmax()).all()
    mean = weights @ mixture.means_
    assert_allclose(mixture.transform(X), np.tile(mean, (len(X), 1)))


def check_empty_components(family: Family[Any, Any]) -> None:
    """A component without rows leaves all results finite."""
    if "weights" not in family.init_names:
        return
    X = _make_data(2)
    mixture = _fit(family, X, weights_init=[1.0, 0.0])
    for name, value in _ask(mixture, X).items():
        assert np.isfinite(value).all(), name
    assert np.isfinite(mixture.bic(X))
    assert np.isfinite(_sample(mixture, 20)).all()


def check_observed_entries(family: Family[Any, Any]) -> None:
    """Observed entries come back bit for bit, without uncertainty."""
    X = _make_data(0)
    single = X.astype(np.float32)
    for values, given in ((X, X), (X, _to_sparse(X)), (single, single)):
        mixture = _fit(family, given)
        completed, std = mixture.complete(given, return_std=True)
        draws = mixture.sample_completions(given, 2, random_state=0)
        assert completed.dtype == std.dtype == draws.dtype == given.dtype
        observed = ~np.isnan(values)
        for filled in (completed, mixture.transform(given), *draws):
            assert np.isfinite(filled).all()
            assert_array_equal(filled[observed], values[observed])
        drawn = mixture.sample_completions(given, 2, entries=np.nonzero(observed))
        assert (drawn == values[observed]).all()
        assert (std[observed] == 0).all()
        assert (std[~observed] > 0).all()


def check_weights_are_repetition(family: Family[Any, Any]) -> None:
    """An integer weight is that many equal rows."""
    X = _make_data(2)
    counts = np.random.default_rng(0).integers(0, 4, size=len(X))
    repeated = np.repeat(X, counts, axis=0)
    for init_params in _STARTS:
        options = {"init_params": init_params, "max_iter": 3}
        first = _fit(family, X, sample_weight=counts, **options)
        second = _fit(family, repeated, **options)
        _assert_equal(_ask(first, X), _ask(second, X))
        score = first.score(X, sample_weight=counts)
        assert_allclose(score, second.score(repeated), rtol=1e-6)


def check_row_order(family: Family[Any, Any]) -> None:
    """The order of the rows changes nothing."""
    X = _make_data(0)
    shuffled = np.random.default_rng(0).permutation(X)
    for init_params in _STARTS:
        first, second = (
            _fit(family, rows, init_params=init_params, max_iter=3)
            for rows in (X, shuffled)
        )
        _assert_equal(_ask(second, X), _ask(first, X))


def check_containers(family: Family[Any, Any]) -> None:
    """The same entries are the same data, stored sparsely or column by column."""
    X = np.hstack([_make_data(seed) for seed in _SEEDS])
    weights = np.random.default_rng(0).uniform(0.5, 2.0, size=len(X))
    expected = _ask(_fit(family, X, weights), X)
    for given in (_to_sparse(X), np.asfortranarray(X)):
        _assert_equal(_ask(_fit(family, given, weights), given), expected)


def check_blocks(family: Family[Any, Any]) -> None:
    """Neither the size of the blocks nor other rows change what is said of a row."""
    X = _make_data(2)
    for given in (X, _to_sparse(X)):
        mixture = _fit(family, given, max_iter=3)
        whole = _ask(mixture, given)
        with config_context(working_memory=_SMALL_MEMORY):
            assert len(list(_open(mixture, given))) > 1
            _assert_equal(_ask(mixture, given), whole)
            _assert_equal(_ask(_fit(family, given, max_iter=3), given), whole)
        assert_allclose(mixture.transform(given[17:19]), whole["complete"][17:19])


def check_threads(family: Family[Any, Any]) -> None:
    """The number of threads changes no bit."""
    X = _make_data(1)
    with config_context(working_memory=_SMALL_MEMORY):
        found, expected = (
            _ask(_fit(family, X, n_jobs=n_jobs, max_iter=3), X) for n_jobs in (2, None)
        )
    _assert_equal(found, expected, rtol=0, atol=0)


def check_single_precision(family: Family[Any, Any]) -> None:
    """Values in single precision, far from 0, are completed nearly as well."""
    X = (_make_data(1) + 1e3).astype(np.float32)
    double = X.astype(np.float64)
    expected = _ask(_fit(family, double), double)
    for given in (X, _to_sparse(X)):
        _assert_equal(_ask(_fit(family, given), given), expected, rtol=1e-3, atol=1e-3)


def check_seed(family: Family[Any, Any]) -> None:
    """A seed decides a fit and its draws."""
    X = _make_data(0)
    missing = np.isnan(X)
    first, again, other = (
        _fit(family, X, random_state=seed, init_params="random", max_iter=1)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first.means_, again.means_)
    assert not np.allclose(first.means_, other.means_)
    assert_array_equal(_sample(first, 20), _sample(again, 20))
    draws, same, others = (
        first.sample_completions(X, 2, random_state=seed) for seed in (0, 0, 1)
    )
    assert_array_equal(draws, same)
    assert (draws != others)[:, missing].all()
    assert (draws[0] != draws[1])[missing].all()


def check_pickle(family: Family[Any, Any]) -> None:
    """A fitted family can be cloned and pickled, and goes on as before."""
    X = _make_data(0)
    mixture = _fit(family, X)
    copy = clone(mixture)
    assert type(copy.covariance_type) is type(family)
    loaded = pickle.loads(pickle.dumps(mixture))
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)
        assert_array_equal(copy.fit_transform(X), mixture.transform(X))
    for _ in range(2):
        _assert_equal(_ask(loaded, X), _ask(mixture, X), rtol=0, atol=0)
        for each in (loaded, mixture):
            each.partial_fit(X[:30])


def check_partial_fit(family: Family[Any, Any]) -> None:
    """One batch of all rows is the family's passes over it, after a fit without any."""
    X = _make_data(1)
    start = _fit(family, X, max_iter=0)
    rows, parameters = _open(start, X), start._model.parameters
    for _ in range(family.n_batch_passes):
        statistics = rows.total(partial(family.accumulate, parameters))
        objective = statistics.log_likelihood + family.log_prior(parameters)
        parameters = family.maximize(statistics, parameters)
    start.partial_fit(X)
    found = _ask(start, X)
    assert_allclose(found["lower_bound_"], objective / len(X))
    start._model = replace(start._model, parameters=parameters)
    _assert_equal(found, _ask(start, X))
    batch, counts = X[:20], np.arange(20) % 3
    weighted = _fit(family, X).partial_fit(batch, sample_weight=counts)
    repeated = _fit(family, X).partial_fit(np.repeat(batch, counts, axis=0))
    _assert_equal(_ask(weighted, X), _ask(repeated, X))
    assert np.isfinite(weighted.partial_fit(np.full((5, 4), np.nan)).score(X))
    # Rows that are taken out leave what would be there without them.
    exchanged, kept = _fit(family, X), _fit(family, X)
    exchanged.partial_fit(batch, replaces=X[20:30])
    exchanged.partial_fit(X[20:30], replaces=batch)
    kept.partial_fit(X[:0], replaces=X[:0])
    _assert_equal(_ask(exchanged, X), _ask(kept, X))


def check_warm_start(family: Family[Any, Any]) -> None:
    """A warm start continues a fit, also on data that lie elsewhere."""
    X = _make_data(2)
    whole = _fit(family, X, max_iter=8)
    warm = _fit(family, X, max_iter=5, warm_start=True)
    bounds = warm.lower_bounds_
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)
        warm.set_params(max_iter=3).fit(X)
    assert_allclose(bounds + warm.lower_bounds_, whole.lower_bounds_, rtol=1e-9)
    expected = _ask(warm, X)
    _assert_equal(expected, _ask(whole, X))
    warm.set_params(max_iter=0).fit(X + 5.0)
    _assert_equal(_ask(warm, X), expected)


def check_conditional_moments(family: Family[Any, Any]) -> None:
    """Conditional moments are the integrals of the density of the observed entries."""
    if family.log_joint_is_bound:
        return
    mixture, X = _fitted(family)
    for row, column in _missing_entries(X):
        values, weights = _make_quadrature(X[:, column])
        rows = np.repeat(X[[row]], len(values), axis=0)
        rows[:, column] = values
        joint = np.hstack([mixture._model.log_joint(b) for b in _open(mixture, rows)])
        masses = weights * np.exp(joint - joint.max(axis=1, keepdims=True))
        masses /= masses.sum(axis=1, keepdims=True)
        values = values - mixture._model.columns.center[column]
        mean = masses @ values
        variance = (masses * (values - mean[:, None]) ** 2).sum(axis=1)
        means, variances = family.conditional(
            mixture._model.parameters, _block(mixture, X[[row]]), *_entry(0, column)
        )
        scale = np.sqrt(variance)
        assert_allclose(means[:, 0] / scale, mean / scale, atol=1e-4)
        if not family.conditional_is_predictive:
            assert_allclose(variances[:, 0], variance, rtol=1e-3)


def check_entry_densities(family: Family[Any, Any]) -> None:
    """The density of a missing entry integrates to 1, and to its completion."""
    mixture, X = _fitted(family)
    for row, column in _missing_entries(X):
        values, weights = _make_quadrature(X[:, column])
        entries = np.full(len(values), row), np.full(len(values), column)
        masses = weights * np.exp(mixture.score_entries(X, entries, values))
        assert_allclose(masses.sum(), 1, rtol=1e-4)
        below = mixture.cdf_entries(X, entries, values)
        assert_allclose(below, np.cumsum(masses) - masses / 2, atol=1e-3)
        completed, std = mixture.complete(
            X, entries=_entry(row, column), return_std=True
        )
        assert_allclose(masses @ values, completed, atol=1e-3 * std[0])
        variance = masses @ (values - completed[0]) ** 2
        assert_allclose(np.sqrt(variance), std[0], rtol=1e-3)


def check_completions(family: Family[Any, Any]) -> None:
    """Completions mix the conditional moments of the components."""
    mixture, X = _fitted(family)
    rows, columns = np.nonzero(np.isnan(X))
    model, block = mixture._model, _block(mixture, X)
    shares = model.log_joint(block)
    to_responsibilities(shares)
    shares = shares[:, rows]
    means, variances = family.conditional(model.parameters, block, rows, columns)
    mean = (shares * means).sum(axis=0)
    second = (shares * (variances + means**2)).sum(axis=0)
    completed, std = mixture.complete(X, return_std=True)
    center = model.columns.center[columns]
    assert_allclose(completed[rows, columns], mean + center, rtol=1e-9, atol=1e-9)
    assert_allclose(std[rows, columns] ** 2, second - mean**2, rtol=1e-6)
    # In any order, some of them twice, and observed ones among them.
    asked = tuple(np.random.default_rng(0).integers(X.shape, size=(60, 2)).T)
    for given in (X, _to_sparse(X)):
        values, value_std = mixture.complete(given, entries=asked, return_std=True)
        assert_allclose(values, completed[asked], rtol=1e-9, atol=1e-9)
        assert_allclose(value_std, std[asked], rtol=1e-6)
        alone = mixture.complete(given, entries=asked)
        assert_allclose(alone, values, rtol=1e-9, atol=1e-9)


def check_explanations(family: Family[Any, Any]) -> None:
    """The parts of completions add up, and observed entries alone contribute."""
    mixture, X = _fitted(family)
    rows, columns = np.nonzero(np.isnan(X))
    for given in (X, _to_sparse(X)):
        completed = mixture.complete(given, entries=(rows, columns))
        try:
            explanation = mixture.explain(given, (rows, columns))
        except NotImplementedError:
            return
        assert_allclose(explanation.prediction, completed, rtol=1e-9, atol=1e-9)
        mean = mixture.weights_ @ mixture.means_
        assert_allclose(explanation.base, mean[columns], rtol=1e-9, atol=1e-9)
        entries, sources = explanation.contributions.nonzero()
        assert not np.isnan(X[rows[entries], sources]).any()


def check_draws(family: Family[Any, Any]) -> None:
    """Draws of missing entries have the moments of completions."""
    mixture, X = _fitted(family)
    X, n_draws = X[:8], 1000
    rows, columns = np.nonzero(np.isnan(X))
    completed, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    # The entries of an empty row vary together, as the mixture does.
    in_first = rows == 0
    scales = np.outer(std[in_first], std[in_first])
    covariance = np.cov(_sample(mixture, 20_000).T) / scales
    whole = mixture.sample_completions(X, n_draws, random_state=0)
    asked = np.append(rows, rows[0]), np.append(columns, columns[0])
    *some, again = mixture.sample_completions(
        X, n_draws, entries=asked, random_state=0
    ).T
    assert_array_equal(again, some[0])
    for drawn in (whole[:, rows, columns], np.transpose(some)):
        spread = drawn.std(axis=0)
        errors = (drawn.mean(axis=0) - completed) / (spread / np.sqrt(n_draws))
        assert np.abs(errors).max() < 6
        # Tails may be heavy, so spreads are compared in the mean of all entries.
        assert_allclose(np.mean(spread / std), 1, atol=0.05)
        assert_allclose(spread, std, rtol=0.35)
        first, second = drawn[:, in_first], drawn[:, rows == 1]
        assert_allclose(np.cov(first.T) / scales, covariance, atol=0.2)
        # Another row varies on its own.
        together = np.cov(first.T, second.T)[: len(scales), len(scales) :]
        assert np.abs(together / scales).max() < 0.25


def check_sample(family: Family[Any, Any]) -> None:
    """Drawn rows have the weights, means and covariances of their components."""
    mixture, _ = _fitted(family)
    n_samples = 40_000
    try:
        drawn, labels = mixture.sample(n_samples)
    except NotImplementedError:
        return
    assert (np.diff(labels) >= 0).all()
    shares = np.bincount(labels, minlength=mixture.n_components) / n_samples
    assert_allclose(shares, mixture.weights_, atol=3 / np.sqrt(n_samples))
    for k in range(mixture.n_components):
        rows = drawn[labels == k]
        errors = rows.mean(axis=0) - mixture.means_[k]
        assert (np.abs(errors) < 6 * rows.std(axis=0) / np.sqrt(len(rows))).all()
        try:
            mixture.get_covariance(k)[:] = 0.0  # a copy is handed out
            covariance = mixture.get_covariance(k)
        except NotImplementedError:
            return
        scales = np.sqrt(np.diag(covariance))
        found = np.cov(rows.T) / np.outer(scales, scales)
        assert_allclose(found, covariance / np.outer(scales, scales), atol=0.1)


def check_attributes(family: Family[Any, Any]) -> None:
    """Weights and means have their shapes, and parameters grow with the components."""
    X = _make_data(0)
    counts = []
    for n_components in (1, 2, 3):
        mixture = _fit(family, X, n_components=n_components)
        assert mixture.weights_.shape == (n_components,)
        assert_allclose(mixture.weights_.sum(), 1)
        assert mixture.means_.shape == (n_components, X.shape[1])
        counts.append(mixture._model.n_parameters)
    assert 0 < counts[0] < counts[1] < counts[2]


FAMILY_CHECKS: tuple[Callable[[Family[Any, Any]], None], ...] = (
    check_objective_never_falls,
    check_statistics_add_up,
    check_weights_are_repetition,
    check_row_order,
    check_containers,
    check_blocks,
    check_threads,
    check_single_precision,
    check_seed,
    check_pickle,
    check_partial_fit,
    check_warm_start,
    check_unobserved_column,
    check_empty_rows,
    check_empty_components,
    check_observed_entries,
    check_conditional_moments,
    check_entry_densities,
    check_completions,
    check_explanations,
    check_draws,
    check_sample,
    check_attributes,
)


def _make_data(seed: int, n: int = 80) -> Array:
    """Two correlated clusters in four columns, a quarter missing, some rows empty."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, 4)) < 0.25
    mask[:2] = True
    mask[2, 1:] = True
    X = rng.standard_normal((n, 4)) @ (np.eye(4) + 0.5 * rng.standard_normal((4, 4)))
    X += 3.0 * (rng.random((n, 1)) < 0.4) + np.array([10.0, -2.0, 0.0, 1.0])
    X[mask] = np.nan
    X.flags.writeable = False  # fits never write into their input
    return X


def _to_sparse(X: Array) -> sparse.csr_array:
    """The same observed entries in compressed rows, which cannot be written to."""
    observed = np.nonzero(~np.isnan(X))
    stored = sparse.csr_array((X[observed], observed), shape=X.shape)
    for array in (stored.data, stored.indices, stored.indptr):
        array.flags.writeable = False
    return stored


def _fit(
    family: Family[Any, Any], X: Any, sample_weight: Any = None, **params: Any
) -> MaskedGaussianMixture:
    options = {"n_components": 2, "max_iter": 8, "tol": 0.0, "random_state": 0}
    # The best of several starts may be one that left a component a single row.
    options["n_init"] = 1
    mixture = MaskedGaussianMixture(covariance_type=family, **options | params)
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)
        simplefilter("ignore", DataWarning)
        return mixture.fit(X, sample_weight=sample_weight)


def _sample(mixture: MaskedGaussianMixture, n_samples: int) -> Array:
    """Drawn rows, of a family that draws none the draws of an empty row."""
    try:
        return mixture.sample(n_samples)[0]
    except NotImplementedError:
        empty = np.full((1, mixture.means_.shape[1]), np.nan)
        return mixture.sample_completions(empty, n_samples, random_state=0)[:, 0]


def _fitted(family: Family[Any, Any]) -> tuple[MaskedGaussianMixture, Array]:
    """A fit, and a few rows of its data."""
    X = _make_data(0)
    return _fit(family, X), X[:12]


def _open(
    mixture: MaskedGaussianMixture, X: Any, max_rows: int | None = None
) -> Observed:
    options = mixture._model.block_options
    if max_rows is not None:
        options["max_rows"] = max_rows
    return observe(X, columns=mixture._model.columns, **options)


def _block(mixture: MaskedGaussianMixture, X: Array) -> Block:
    return next(iter(_open(mixture, X)))


def _entry(row: int, column: int) -> tuple[Array, Array]:
    return np.array([row]), np.array([column])


def _missing_entries(X: Array) -> list[tuple[int, int]]:
    """A missing entry of each row that has one."""
    return [
        (row, int(np.flatnonzero(m)[0])) for row, m in enumerate(np.isnan(X)) if m.any()
    ]


def _make_quadrature(observed: Array) -> tuple[Array, Array]:
    """Values (m,) of an entry of a column, and weights of an integral over them."""
    center, spread = np.nanmean(observed), 4 * np.nanstd(observed)
    # The tangent reaches far tails; at its ends the integrand must vanish.
    angles = (np.arange(4000) + 0.5) / 4000 * np.pi - np.pi / 2
    values = center + spread * np.tan(angles)
    weights = spread * np.pi / 4000 / np.cos(angles) ** 2
    inside = np.abs(values - center) < 1e4 * spread
    return values[inside], weights[inside]


def _ask(
    mixture: MaskedGaussianMixture, X: Any, columns: Array | None = None
) -> dict[str, Array]:
    """What a fit says of X, in some of its columns."""
    chosen = np.arange(X.shape[1]) if columns is None else columns
    completed, std = mixture.complete(X, return_std=True)
    n = len(completed)
    entries = np.arange(n)[::-1], np.resize(chosen, n)
    return {
        "weights_": mixture.weights_,
        "means_": mixture.means_[:, chosen],
        "lower_bound_": np.asarray(mixture.lower_bound_),
        "predict_proba": mixture.predict_proba(X),
        "score_samples": mixture.score_samples(X),
        "complete": completed[:, chosen],
        "std": std[:, chosen],
        "entries": np.stack(mixture.complete(X, entries=entries, return_std=True)),
    }


def _assert_equal(
    found: dict[str, Array],
    expected: dict[str, Array],
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Assert that two fits say the same."""
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=rtol, atol=atol, err_msg=name)


def _assert_equal_statistics(first: Statistics, second: Statistics) -> None:
    for field in fields(first):
        value = getattr(first, field.name)
        if isinstance(value, Statistics):
            _assert_equal_statistics(value, getattr(second, field.name))
            continue
        scale = np.abs(value).max() if np.size(value) else 0.0
        assert_allclose(
            getattr(second, field.name), value, rtol=1e-9, atol=1e-9 * scale
        )
