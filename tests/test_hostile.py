# SPDX-License-Identifier: BSD-3-Clause
"""Hostile inputs of docs/benchmarks/hostile.py: answers or refusals, no defects."""

import importlib
import sys
import warnings
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance._factor_inference import Evidence, infer
from sklearn_gmmcf.covariance._triangles import lift_eigenvalues
from tests.made import TYPES, to_sparse

SCRIPTS = Path(__file__).parents[1] / "docs/benchmarks"
if not SCRIPTS.exists():
    pytest.skip("docs are not shipped here", allow_module_level=True)


@pytest.fixture
def hostile(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("hostile")
    sys.modules.pop("hostile", None)


@pytest.mark.parametrize(
    "start",
    [0, 40, *(pytest.param(start, marks=pytest.mark.slow) for start in (20, 60, 80))],
)
def test_hostile_inputs_are_answered_or_refused(hostile, start):
    seed, found, names = 0, {}, set()
    for index in range(start, start + 20):
        _, outcome = hostile.run(seed, index)
        names.add(outcome.name)
        if outcome.defects:
            found[f"hostile.py --only {index} {seed}"] = outcome.defects
    assert not found
    assert names == {"ok", "refused"}


def test_an_input_is_drawn_from_its_seed_and_index_alone(hostile, tmp_path):
    first, again, other, elsewhere = (
        hostile.draw_case(seed, index, tmp_path)
        for seed, index in [(0, 7), (0, 7), (0, 13), (1, 7)]
    )
    assert first.traits == again.traits
    assert first.traits != other.traits
    assert first.traits != elsewhere.traits
    for one, same in zip(first.tables, again.tables, strict=True):
        assert hostile.get_contents(one) == hostile.get_contents(same)


@pytest.fixture
def case(hostile):
    """An input without a defect."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 4))
    observed = rng.random((30, 4)) > 0.3
    X = np.where(observed, values, np.nan)
    tables = [hostile.Table(X.copy(), values, observed, None) for _ in range(2)]
    options = {"reg_covar": 1e-6, "min_variance": 0.0}
    estimator = MaskedGaussianMixture(
        2, covariance_type="diag", n_init=1, max_iter=200, random_state=0, **options
    )
    return hostile.Case(estimator, tables, {"kind": "diag", "options": options})


def test_no_defect_is_found_without_one(hostile, case):
    outcome = hostile.examine(case)
    assert outcome.name == "ok"
    assert not outcome.defects


def raise_from_numpy(X):
    np.zeros(2) + np.zeros(3)


def raise_short(X):
    raise ValueError("bad X")


def raise_key(X):
    raise KeyError("a message that is long enough, but of another class of errors")


def refuse(X):
    raise ValueError("X is refused for a reason that this says, and a way out of it.")


@pytest.mark.parametrize(
    ("function", "defect"),
    [
        (raise_from_numpy, "ValueError in test_hostile.py"),
        (raise_short, "ValueError in test_hostile.py"),
        (raise_key, "KeyError in test_hostile.py"),
        (refuse, None),
    ],
)
@pytest.mark.parametrize("package", ["sklearn_gmmcf", "numpy"])
def test_errors_are_refusals_or_defects(
    hostile, case, monkeypatch, function, defect, package
):
    # The module tells whose error it is.
    names = {**globals(), "__name__": f"{package}.module"}
    raising = staticmethod(FunctionType(function.__code__, names))
    monkeypatch.setattr(MaskedGaussianMixture, "transform", raising)
    outcome = hostile.examine(case)
    if defect is None and package == "sklearn_gmmcf":
        assert outcome.name == "refused"
        assert not outcome.defects
    else:
        (found,) = outcome.defects
        assert found.startswith(defect or "ValueError in")


def spoil_transform(monkeypatch, spoil):
    """Let something happen to the completed matrix or to X in each transform."""
    transform = MaskedGaussianMixture.transform

    def spoiled(self, X):
        completed = transform(self, X)
        spoil(completed, X)
        return completed

    monkeypatch.setattr(MaskedGaussianMixture, "transform", spoiled)


def warn(completed, X):
    warnings.warn("not of our own", FutureWarning, stacklevel=1)


def divide(completed, X):
    np.ones(1) / np.zeros(1)


def change(completed, X):
    X[0] = 0.0


@pytest.mark.parametrize(
    ("effect", "defect"),
    [
        (warn, "FutureWarning in test_hostile.py"),
        (divide, "RuntimeWarning in test_hostile.py"),
        (change, "input changed"),
    ],
)
def test_effects_are_defects(hostile, case, monkeypatch, effect, defect):
    spoil_transform(monkeypatch, effect)
    assert any(found.startswith(defect) for found in hostile.examine(case).defects)


def nan_if_missing(completed, X):
    completed[np.isnan(X)] = np.nan


def zero_if_observed(completed, X):
    completed[~np.isnan(X)] = 0.0


@pytest.mark.parametrize(
    ("spoil", "defect"),
    [
        (nan_if_missing, "transform not finite"),
        (zero_if_observed, "observed entries changed by transform"),
    ],
)
def test_spoiled_completions_are_defects(hostile, case, monkeypatch, spoil, defect):
    spoil_transform(monkeypatch, spoil)
    assert defect in hostile.examine(case).defects


def test_std_of_zero_is_a_defect(hostile, case, monkeypatch):
    complete = MaskedGaussianMixture.complete

    def certain(self, X, return_std, entries=None):
        completed, std = complete(self, X, return_std=return_std, entries=entries)
        return completed, 0 * std

    monkeypatch.setattr(MaskedGaussianMixture, "complete", certain)
    assert list(hostile.examine(case).defects) == ["std of 0"]


@pytest.mark.parametrize(
    ("last", "defect"), [(-1e-3, "objective falls"), (np.nan, "lower_bounds_ not")]
)
def test_objectives_that_fall_are_defects(hostile, case, monkeypatch, last, defect):
    fit = MaskedGaussianMixture.fit

    def fit_and_fall(self, X, sample_weight):
        fit(self, X, sample_weight=sample_weight)
        self.lower_bounds_.append(self.lower_bounds_[-1] + last)

    monkeypatch.setattr(MaskedGaussianMixture, "fit", fit_and_fall)
    (found,) = hostile.examine(case).defects
    assert found.startswith(defect)


# Faults that hostile inputs have found.


def fit(X, n_components=2, **options):
    options = {"max_iter": 50, "tol": 0, "random_state": 0} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return MaskedGaussianMixture(n_components, **options).fit(X)


def with_missing(n=60, d=5):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)) + 3.0 * rng.integers(2, size=(n, 1))
    X[rng.random((n, d)) < 0.3] = np.nan
    return X


@pytest.mark.parametrize(
    ("covariance_type", "units", "strength"),
    [("diag", [1e-6, 1e-6, 1, 1, 1e3], 20), ("full", [0.1, 0.1, 1, 1, 3], 100)],
)
def test_objective_rises_where_min_variance_and_a_prior_meet(
    covariance_type, units, strength
):
    # The first columns lie below the floor, or near it.
    mixture = fit(
        with_missing() * units,
        covariance_type=covariance_type,
        reg_covar=0,
        min_variance=0.01,
        covariance_precision_prior=strength,
    )
    bounds = np.array(mixture.lower_bounds_)
    assert (np.diff(bounds) >= -1e-10 * np.abs(bounds[1:])).all()


@pytest.mark.parametrize("outlying", range(4))
def test_floor_of_eigenvalues_is_exact_beside_large_ones(outlying):
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((4, 8))
    roots[:, 1] = 0.0  # the last column has nothing of its own
    roots[3] = roots[0] + roots[2]
    units = np.ones(4)
    units[outlying] = 2.0**30
    matrix = (roots @ roots.T) * units * units[:, None]
    lifted = lift_eigenvalues(matrix[None], 0.01)[0]
    # The large eigenvalue stays; up to 2^-30 the other eigenvalues belong to the Schur
    # complement of the large column.
    rest = np.delete(np.arange(4), outlying)
    across = matrix[rest, outlying]
    small = matrix[np.ix_(rest, rest)]
    small = small - np.outer(across, across) / matrix[outlying, outlying]
    expected = np.maximum(np.linalg.eigvalsh(small), 0.01)
    across = lifted[rest, outlying]
    found = lifted[np.ix_(rest, rest)]
    found = found - np.outer(across, across) / lifted[outlying, outlying]
    np.testing.assert_allclose(np.linalg.eigvalsh(found), expected, rtol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_batch_without_entries_changes_nothing(covariance_type):
    X = with_missing()
    mixture = fit(X, covariance_type=covariance_type)
    before = mixture.transform(X)
    mixture.partial_fit(sparse.csr_array((3, 5)))
    np.testing.assert_allclose(mixture.transform(X), before, rtol=0.3)


@pytest.mark.parametrize("covariance_type", ["diag", "tied", "full"])
def test_unknown_columns_beside_constant_ones_have_a_variance(covariance_type):
    X = np.where(np.arange(4) < 3, 1.0, np.nan) * np.ones((10, 1))
    for options in ({"reg_covar": 0.01}, {"reg_covar": 0, "min_variance": 0.01}):
        mixture = fit(X, 1, covariance_type=covariance_type, **options)
        _, std = mixture.complete(X, return_std=True)
        np.testing.assert_allclose(std[:, 3], 0.1, rtol=0.1)


@pytest.mark.parametrize("scale", [1e-100, 1e-157, 1e-200])
def test_units_whose_squares_underflow_leave_std_finite(scale):
    X = with_missing() * scale
    mixture = fit(X, covariance_type="diag", min_variance=0.01)
    _, std = mixture.complete(X, return_std=True)
    np.testing.assert_allclose(std[np.isnan(X)], 0.1, rtol=0.1)


@pytest.mark.parametrize("size", [1e10, 1e11, 1e12, 1e14])
def test_factor_refuses_a_batch_beyond_the_digits_of_its_noise(size):
    X = with_missing()
    mixture = fit(X, covariance_type="factor", n_factors=2)
    batch = X[:20].copy()
    batch[0] *= size
    before = mixture.transform(X)
    with pytest.raises(ValueError, match=r"[Rr]emove outlying values, scale the"):
        mixture.partial_fit(batch)
    np.testing.assert_array_equal(mixture.transform(X), before)


@pytest.mark.parametrize("covariance_type", ["spherical", "diag"])
def test_weights_far_apart_leave_means_within_the_data(covariance_type):
    # In single precision the counts of the second cluster were 0 beside the first's.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    X[20:] = 1e4 + 0.1 * X[20:]
    X[[1, 21], [0, 1]] = np.nan
    weights = np.repeat([1e200, 1e130], 20)
    mixture = fit_weighted(X.astype(np.float32), weights, covariance_type)
    expected = fit_weighted(X, weights, covariance_type)
    np.testing.assert_allclose(mixture.means_, expected.means_, atol=1e-2)


def fit_weighted(X, weights, covariance_type):
    mixture = MaskedGaussianMixture(
        2,
        covariance_type=covariance_type,
        mean_precision_prior=30,
        means_init=X[[0, -1]],
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mixture.fit(X, sample_weight=weights)


def test_columns_whose_counts_are_lost_in_single_precision_have_a_variance():
    X = np.full((20, 2), np.nan, dtype=np.float32)
    X[:10, 0], X[10:, 1] = 3.0, 5.0
    weights = np.repeat([1e200, 1e100], 10)
    mixture = MaskedGaussianMixture(covariance_type="full", reg_covar=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mixture.fit(X, sample_weight=weights)
    _, std = mixture.complete(X, return_std=True)
    assert (std[np.isnan(X)] >= 0.09).all()


@pytest.mark.parametrize("make", [np.asarray, to_sparse])
def test_squares_that_underflow_in_single_precision(make):
    X = with_missing()
    options = {"covariance_type": "diag", "reg_covar": 0, "max_iter": 10}
    expected = fit(X, **options, covariance_precision_prior=10)
    tiny = (1e-27 * X).astype(np.float32)
    found = fit(make(tiny), **options, covariance_precision_prior=10)
    np.testing.assert_allclose(1e27 * found.means_, expected.means_, atol=1e-3)
    np.testing.assert_allclose(
        1e54 * found.covariances_, expected.covariances_, rtol=1e-3
    )


def test_a_prior_of_constant_columns_leaves_no_entry_certain():
    X = np.full((30, 3), 5.0)
    X[::2, 0] = X[:-1, 1] = np.nan
    weights = np.ones(30)
    weights[-1] = 1e-30  # the only row with column 1
    mixture = MaskedGaussianMixture(
        covariance_type="full", reg_covar=0.01, covariance_precision_prior=1e6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mixture.fit(X, sample_weight=weights)
    _, std = mixture.complete(X, return_std=True)
    assert (std[np.isnan(X)] >= 0.05).all()


def test_a_floor_is_no_variance_of_entries():
    # The first column lies below the floor, which is a huge variance in its units.
    X = with_missing() * [1e-20, 1, 1, 1, 1]
    options = {"covariance_type": "diag", "covariance_precision_prior": 10}
    mixture = fit(X, **options, reg_covar=1e-12, min_variance=1e-8)
    _, std = mixture.complete(X, return_std=True)
    assert (std[:, 0] < 1e-3).all()
    assert (std[:, 1:] < 3.0).all()


def test_squares_of_factor_that_cancel_are_not_negative():
    X = with_missing()
    parameters = fit(X, 1, covariance_type="factor", n_factors=1)._model.parameters
    # Factors explain all of the squares, but for rounding.
    one, large = np.ones((1, 1)), 1e20
    evidence = Evidence(
        precisions=large * one,
        shifts=large * one,
        squares=large * (1 - 1e-9) * one[0],
        log_noise=one[0],
        counts=one[0],
        features=0 * one,
        prior_means=0 * one,
        prior_variances=0 * one,
    )
    log_joint = infer(parameters, evidence, slice(0, 1)).log_joint[0, 0]
    precision = parameters.precisions[0, 0, 0]
    expected = -0.5 * (1.0 + np.log1p(large / precision))
    np.testing.assert_allclose(log_joint, expected)
