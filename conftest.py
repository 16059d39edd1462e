# SPDX-License-Identifier: BSD-3-Clause
"""For tests and for doctests of the package and of the pages."""

import sys
from importlib.util import find_spec

import pytest

# They import numba and streamlit, which are optional.
OPTIONAL = {"numba": "sklearn_gmmcf/_compiled.py", "streamlit": "sklearn_gmmcf/app"}
collect_ignore = [path for name, path in OPTIONAL.items() if not find_spec(name)]


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures that an example leaves open: matplotlib warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
