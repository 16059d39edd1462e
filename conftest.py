"""For tests and for doctests of the package and of the pages."""

import sys
from importlib.util import find_spec

import pytest

# It imports numba, which is optional.
collect_ignore = [] if find_spec("numba") else ["sklearn_gmmcf/_compiled.py"]


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures that an example leaves open: matplotlib warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
