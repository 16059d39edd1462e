"""Hostile inputs of docs/benchmarks/hostile.py: answers or refusals, no defects."""

import importlib
import sys
import warnings
from pathlib import Path

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
    seed, found = 0, {}
    for index in range(start, start + 20):
        _, outcome = hostile.run(seed, index)
        if outcome.defects:
            found[f"hostile.py --only {index} {seed}"] = outcome.defects
    assert not found


def test_an_input_is_drawn_from_its_seed_and_index_alone(hostile, tmp_path):
    first, again, other = (
        hostile.draw_case(0, index, tmp_path) for index in (7, 7, 13)
    )
    assert first.traits == again.traits != other.traits
    for one, same in zip(first.tables, again.tables, strict=True):
        assert hostile.get_contents(one) == hostile.get_contents(same)


def raise_numpy(X):
    np.zeros(2) + np.zeros(3)


def raise_short(X):
    raise ValueError("bad X")


def raise_key(X):
    raise KeyError("a message that is long enough, but of another class of errors")


def warn(X):
    np.ones(1) / np.zeros(1)
    warnings.warn("not of our own", FutureWarning, stackdepth := 1)
    return stackdepth


def change(X):
    X[:] = 0


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (raise_numpy, ["ValueError in"]),
        (raise_short, ["ValueError in"]),
        (raise_key, ["KeyError in"]),
        (warn, ["RuntimeWarning in", "FutureWarning in"]),
        (change, ["input changed"]),
    ],
)
def test_defects_are_found(hostile, broken, expected):
    pass
