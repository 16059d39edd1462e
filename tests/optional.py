# SPDX-License-Identifier: BSD-3-Clause
"""Packages, and parts of scikit-learn, that an installation may lack."""

from importlib import import_module
from importlib.util import find_spec

import pytest


class Absent:
    """A module that is not installed, or a name in it: a test that calls it skips."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __repr__(self):
        return self._name

    def __call__(self, *args, **kwargs):
        reason = f"{self._name.partition('.')[0]} is not installed"
        pytest.skip(reason, allow_module_level=True)

    __instancecheck__ = __getitem__ = __call__


def import_optional(name):
    """A module, or what stands in for it where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return Absent(name)


pd = import_optional("pandas")
pl = import_optional("polars")
needs_callbacks = pytest.mark.skipif(
    find_spec("sklearn.callback") is None,
    reason="scikit-learn has callbacks since version 1.9",
)
