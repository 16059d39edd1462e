# SPDX-License-Identifier: BSD-3-Clause
import os
from pathlib import Path

import pytest
from hypothesis import settings

# Tests draw, too, and need no screen for it.
os.environ.setdefault("MPLBACKEND", "Agg")
# On data this small, threads of BLAS and OpenMP mostly wait for each other. Numpy reads
# this when it is imported, later.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No test times anything, and a run repeats the one before. Most examples are fits or
# tables: fifty of them take a second.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("default")


@pytest.fixture(scope="session")
def data_file():
    """Path of a file in the folder that SKLEARN_GMMCF_DATA names, or a skip."""

    def find(name):
        folder = os.environ.get("SKLEARN_GMMCF_DATA")
        if folder is None:
            pytest.skip(f"SKLEARN_GMMCF_DATA is not set: {name} is not there")
        path = Path(folder, name)
        if not path.exists():
            pytest.skip(f"{path} is not there")
        return path

    return find
