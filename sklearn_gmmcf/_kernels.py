"""Which kernels are used: those of numba, where it is installed, or numpy and scipy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType

# Below this many multiplications or additions, numba is not even imported, which takes
# a third of a second.
_MIN_OPERATIONS = 2**12

_enabled = True


def load(n_operations: int) -> ModuleType | None:
    """The compiled kernels, if they are there and this much work is worth them."""
    return _import() if _enabled and n_operations >= _MIN_OPERATIONS else None


@cache
def _import() -> ModuleType | None:
    try:
        return import_module("sklearn_gmmcf._compiled")
    except ImportError:
        return None


@contextmanager
def disabled() -> Iterator[None]:
    """Leave compiled kernels out, to compare them with numpy and scipy."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before
