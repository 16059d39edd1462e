"""Families of covariances by the name of their ``covariance_type``."""

from typing import Any

from sklearn_gmmcf.covariance._diagonal import Diagonal, Spherical
from sklearn_gmmcf.covariance._factor import Factor
from sklearn_gmmcf.covariance._family import (
    Family,
    Given,
    check_shape,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._full import Full, Tied

FAMILIES: dict[str, Any] = {
    "spherical": Spherical,
    "diag": Diagonal,
    "tied": Tied,
    "full": Full,
    "factor": Factor,
}

__all__ = [
    "FAMILIES",
    "Family",
    "Given",
    "Spherical",
    "check_shape",
    "to_responsibilities",
]
