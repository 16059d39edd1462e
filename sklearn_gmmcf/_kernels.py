# SPDX-License-Identifier: BSD-3-Clause
"""Which kernels are used: those of numba, where it is installed, or numpy and scipy."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

# Below this many additions or multiplications the calls cost more than the work, and
# numba, whose import takes a third of a second, is not even imported.
_MIN_OPERATIONS = 2**12

_enabled = True


def load(n_operations: int) -> ModuleType | None:
    """The compiled kernels, if they are there and this much work is worth them."""
    return _import() if _enabled and n_operations >= _MIN_OPERATIONS else None


@cache
def _import() -> ModuleType | None:
    try:
        from numba import config
    except ImportError:
        return None
    if config.DISABLE_JIT:  # then kernels would be loops in Python
        return None
    return import_module("sklearn_gmmcf._compiled")


@contextmanager
def disabled() -> Iterator[None]:
    """Leave compiled kernels out, to compare them with numpy and scipy."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def show_config() -> None:
    """Print the versions that decide numbers and speed, and which kernels are used.

    Compiled kernels need numba: ``pip install "sklearn-gmmcf[fast]"``. They are used
    wherever there is enough work, give the same results to rounding, and are compiled
    at their first use: this takes some seconds once, as a cache on disk keeps them.

    See Also
    --------
    sklearn.show_versions : Versions of scikit-learn and its dependencies.

    Examples
    --------
    >>> import sklearn_gmmcf
    >>> sklearn_gmmcf.show_config()  # doctest: +ELLIPSIS
    python: ...
    kernels: n...
    """
    print(f"python: {platform.python_version()}")
    for package in ("sklearn-gmmcf", "numpy", "scipy", "scikit-learn", "joblib"):
        print(f"{package}: {version(package)}")
    kernels = f"numba {version('numba')}" if _import() else "numpy and scipy"
    print(f"kernels: {kernels}")
