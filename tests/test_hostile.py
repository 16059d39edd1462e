"""Hostile inputs of docs/benchmarks/hostile.py: answers or refusals, no defects."""

import importlib
import sys
import warnings
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

from sklearn_gmmcf import MaskedGaussianMixture

SCRIPTS = Path(__file__).parents[1] / "docs/benchmarks"
if not SCRIPTS.exists():
    pytest.skip("docs are not shipped here", allow_module_level=True)


@pytest.fixture
def hostile(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("hostile")
    sys.modules.pop("hostile", None)


@pytest.mark.parametrize("start", range(0, 100, 20))
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
        2, covariance_type="diag", max_iter=200, random_state=0, **options
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


def warn(X):
    warnings.warn("not of our own", FutureWarning, stacklevel=1)


def divide(X):
    np.ones(1) / np.zeros(1)


def change(X):
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
    transform = MaskedGaussianMixture.transform

    def with_effect(self, X):
        completed = transform(self, X)
        effect(X)
        return completed

    monkeypatch.setattr(MaskedGaussianMixture, "transform", with_effect)
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
    transform = MaskedGaussianMixture.transform

    def spoiled(self, X):
        completed = transform(self, X)
        spoil(completed, X)
        return completed

    monkeypatch.setattr(MaskedGaussianMixture, "transform", spoiled)
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
