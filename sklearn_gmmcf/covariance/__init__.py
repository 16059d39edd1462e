# SPDX-License-Identifier: BSD-3-Clause
"""Families of covariances: the classes behind ``covariance_type``, and their base.

The names 'spherical', 'diag', 'tied', 'full' and 'factor' are shorthands for
:class:`Spherical`, :class:`Diagonal`, :class:`Tied`, :class:`Full` and :class:`Factor`.
:class:`Student` wraps the first four for components of heavier tails. A class of one's
own derives from :class:`Family`.
"""

from typing import Any

from sklearn_gmmcf.covariance._diagonal import Diagonal, Spherical
from sklearn_gmmcf.covariance._factor import Factor
from sklearn_gmmcf.covariance._factor_step import Priors
from sklearn_gmmcf.covariance._family import (
    SHARED,
    Family,
    InitResponsibilities,
    Parameters,
    Statistics,
    UserInit,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._full import Full, Tied
from sklearn_gmmcf.covariance._student import Student

FAMILIES: dict[str, type[Family[Any, Any]]] = {
    "spherical": Spherical,
    "diag": Diagonal,
    "tied": Tied,
    "full": Full,
    "factor": Factor,
}

__all__ = [
    "FAMILIES",
    "SHARED",
    "Diagonal",
    "Factor",
    "Family",
    "Full",
    "InitResponsibilities",
    "Parameters",
    "Priors",
    "Spherical",
    "Statistics",
    "Student",
    "Tied",
    "UserInit",
    "to_responsibilities",
]
