"""Contracts of a family of covariances, for families written outside the package."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.special import logsumexp
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
    >>> check_family(Diagonal(reg_covar=1e-3))
    """
    for check in FAMILY_CHECKS:
        try:
            check(family)
        except AssertionError as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


def check_objective_never_falls(family: Family[Any, Any]) -> None:
    """An iteration of EM never lowers the objective."""
    for seed in _SEEDS:
        mixture = _fit(family, _make_data(seed), max_iter=60, n_components=3)
        bounds = np.asarray(mixture.lower_bounds_)
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
    _assert_equal_statistics(whole.scaled(2.0), whole + whole)


def check_unobserved_column(family: Family[Any, Any]) -> None:
    """A column without observations changes nothing elsewhere."""
    X = _make_data(1)
    wider = np.insert(X, 2, np.nan, axis=1)
    with catch_warnings():
        simplefilter("ignore", DataWarning)
        _assert_equal_fits(
            _fit(family, X), _fit(family, wider), X, wider, np.array([0, 1, 3, 4])
        )


def check_weights_are_repetition(family: Family[Any, Any]) -> None:
    """An integer weight is that many equal rows."""
    X = _make_data(2)
    counts = np.random.default_rng(0).integers(0, 4, size=len(X))
    weighted = _fit(family, X, sample_weight=counts)
    _assert_equal_fits(weighted, _fit(family, np.repeat(X, counts, axis=0)), X, X)


def check_row_order(family: Family[Any, Any]) -> None:
    """The order of the rows changes nothing."""
    X = _make_data(0)
    shuffled = np.random.default_rng(0).permutation(X)
    _assert_equal_fits(_fit(family, X), _fit(family, shuffled), X, X)


def check_sparse_equals_dense(family: Family[Any, Any]) -> None:
    """A sparse matrix with the same observed entries is the same data."""
    X = _make_data(1)
    observed = np.nonzero(~np.isnan(X))
    stored = sparse.csr_array((X[observed], observed), shape=X.shape)
    _assert_equal_fits(_fit(family, X), _fit(family, stored), X, stored)


def check_blocks(family: Family[Any, Any]) -> None:
    """The size of the blocks changes nothing."""
    X = _make_data(2)
    mixture = _fit(family, X)
    model = mixture._model
    whole, cut = (_open(mixture, X, max_rows=size) for size in (None, 7))
    _assert_equal_statistics(
        *(
            d.total(lambda b: family.accumulate(model.parameters, b))
            for d in (whole, cut)
        )
    )
    for function in (model.log_density, model.responsibilities):
        found, expected = (
            np.concatenate([function(block)[0] for block in data])
            for data in (cut, whole)
        )
        assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def check_pickle(family: Family[Any, Any]) -> None:
    """A fitted family can be cloned and pickled."""
    X = _make_data(0)
    mixture = _fit(family, X)
    assert type(clone(mixture).covariance_type) is type(family)
    again = pickle.loads(pickle.dumps(mixture))
    assert_allclose(again.transform(X), mixture.transform(X), rtol=0, atol=0)


def check_partial_fit(family: Family[Any, Any]) -> None:
    """One batch of all rows is an iteration, after a fit without any."""
    X = _make_data(1)
    one, start = (_fit(family, X, max_iter=n) for n in (1, 0))
    _assert_equal_fits(one, start.partial_fit(X), X, X)


def check_conditional_moments(family: Family[Any, Any]) -> None:
    """Conditional moments are the integrals of the density of the observed entries."""
    if family.log_joint_is_bound:
        return
    mixture, X = _fitted(family)
    for row, column in _missing_entries(X):
        values, weights, joint = _integrate(mixture, X, row, column)
        masses = weights * np.exp(joint - joint.max(axis=1, keepdims=True))
        masses /= masses.sum(axis=1, keepdims=True)
        mean = masses @ values
        variance = (masses * (values - mean[:, None]) ** 2).sum(axis=1)
        means, variances = family.conditional(
            mixture._model.parameters, _block(mixture, X[[row]]), *_entry(0, column)
        )
        scale = np.sqrt(variance)
        assert_allclose(means[:, 0] / scale, mean / scale, atol=1e-4)
        assert_allclose(variances[:, 0], variance, rtol=1e-3)


def check_entry_densities(family: Family[Any, Any]) -> None:
    """The density of a missing entry is a ratio of densities of observed entries."""
    if family.log_joint_is_bound:
        return
    mixture, X = _fitted(family)
    for row, column in _missing_entries(X):
        for value in (-1.0, 0.5, 3.0):
            filled = X[[row]].copy()
            filled[0, column] = value
            ratio = mixture.score_samples(filled) - mixture.score_samples(X[[row]])
            log_density = mixture.score_entries(X, _entry(row, column), [value])
            assert_allclose(log_density, ratio, rtol=1e-8, atol=1e-8)


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
    at_entries = mixture.complete(X, entries=(rows, columns), return_std=True)
    assert_allclose(at_entries[0], completed[rows, columns], rtol=1e-9, atol=1e-9)
    assert_allclose(at_entries[1], std[rows, columns], rtol=1e-6)


def check_draws(family: Family[Any, Any]) -> None:
    """Draws of missing entries have the moments of completions."""
    mixture, X = _fitted(family)
    rows, columns = np.nonzero(np.isnan(X))
    n_draws = 4000
    draws = mixture.sample_completions(
        X, n_draws, entries=(rows, columns), random_state=0
    )
    completed, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    errors = (draws.mean(axis=0) - completed) / (draws.std(axis=0) / np.sqrt(n_draws))
    assert np.abs(errors).max() < 6
    # Tails may be heavy, so spreads are compared in the mean of all entries.
    assert_allclose(np.mean(draws.std(axis=0) / std), 1, atol=0.05)
    assert_allclose(draws.std(axis=0), std, rtol=0.35)


def check_sample(family: Family[Any, Any]) -> None:
    """Drawn rows have the means and covariances of their components."""
    mixture, _ = _fitted(family)
    try:
        drawn, labels = mixture.set_params(random_state=0).sample(40_000)
    except NotImplementedError:
        return
    for k in range(mixture.n_components):
        rows = drawn[labels == k]
        errors = rows.mean(axis=0) - mixture.means_[k]
        assert (np.abs(errors) < 6 * rows.std(axis=0) / np.sqrt(len(rows))).all()
        try:
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
    check_unobserved_column,
    check_weights_are_repetition,
    check_row_order,
    check_sparse_equals_dense,
    check_blocks,
    check_pickle,
    check_partial_fit,
    check_conditional_moments,
    check_entry_densities,
    check_completions,
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
    return X


def _fit(
    family: Family[Any, Any], X: Any, sample_weight: Any = None, **params: Any
) -> MaskedGaussianMixture:
    options = {"n_components": 2, "max_iter": 8, "tol": 0.0, "random_state": 0}
    mixture = MaskedGaussianMixture(covariance_type=family, **options | params)
    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(X, sample_weight=sample_weight)


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


def _integrate(
    mixture: MaskedGaussianMixture, X: Array, row: int, column: int
) -> tuple[Array, Array, Array]:
    """Values (m,) of an entry, centered, weights of a quadrature, log joint (K, m)."""
    center, spread = np.nanmean(X[:, column]), 4 * np.nanstd(X[:, column])
    # The tangent reaches far tails; at its ends the integrand must vanish.
    angles = (np.arange(4000) + 0.5) / 4000 * np.pi - np.pi / 2
    values = center + spread * np.tan(angles)
    weights = 1 / np.cos(angles) ** 2
    inside = np.abs(values - center) < 1e4 * spread
    values, weights = values[inside], weights[inside]
    rows = np.repeat(X[[row]], len(values), axis=0)
    rows[:, column] = values
    blocks = _open(mixture, rows)
    joint = np.concatenate([mixture._model.log_joint(b) for b in blocks], axis=1)
    assert np.isfinite(logsumexp(joint, axis=1)).all()
    return values - mixture._model.columns.center[column], weights, joint


def _assert_equal_fits(
    first: MaskedGaussianMixture,
    second: MaskedGaussianMixture,
    X: Any,
    Y: Any,
    columns: Array | slice = slice(None),
) -> None:
    """Assert that two fits say the same of X and Y, whose columns may be more."""
    close: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-8}
    assert_allclose(second.weights_, first.weights_, **close)
    assert_allclose(second.means_[:, columns], first.means_, **close)
    assert_allclose(second.score_samples(Y), first.score_samples(X), **close)
    for found, expected in zip(
        second.complete(Y, return_std=True),
        first.complete(X, return_std=True),
        strict=True,
    ):
        assert_allclose(found[:, columns], expected, **close)


def _assert_equal_statistics(first: Statistics, second: Statistics) -> None:
    for field in fields(first):
        value = getattr(first, field.name)
        scale = np.abs(value).max() if np.size(value) else 0.0
        assert_allclose(
            getattr(second, field.name), value, rtol=1e-9, atol=1e-9 * scale
        )
