"""For tests and for doctests of the package and of the pages."""

import sys

import pytest


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures that an example leaves open: matplotlib warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
