import os
from pathlib import Path

import pytest


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
