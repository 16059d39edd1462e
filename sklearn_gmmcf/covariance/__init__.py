"""Families of covariances by the name of their ``covariance_type``."""

from sklearn_gmmcf.covariance._diagonal import Diagonal, Spherical
from sklearn_gmmcf.covariance._family import (
    Family,
    Given,
    check_shape,
    to_responsibilities,
    total,
)
from sklearn_gmmcf.covariance._full import Full, Tied

FAMILIES = {
    "spherical": Spherical,
    "diag": Diagonal,
    "tied": Tied,
    "full": Full,
}

__all__ = [
    "FAMILIES",
    "Family",
    "Given",
    "Spherical",
    "check_shape",
    "to_responsibilities",
    "total",
]
