# SPDX-License-Identifier: BSD-3-Clause
"""Gaussian mixtures that are fitted on data with missing entries and fill them."""

from sklearn_gmmcf._explanation import Explanation
from sklearn_gmmcf._kernels import show_config
from sklearn_gmmcf._kmeans import KMeansMixture
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._versions import __version__ as __version__
from sklearn_gmmcf._warnings import (
    ConstantCovariatesWarning,
    DataWarning,
    FewRowsWarning,
    InconsistentVersionWarning,
    LostZerosWarning,
    RegularizationWarning,
    UnknownLevelsWarning,
    UnlikeUnitsWarning,
    UnlinkedColumnsWarning,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.imputer import MixtureImputer
from sklearn_gmmcf.recommender import MixtureRecommender

__all__ = [
    "ConstantCovariatesWarning",
    "DataWarning",
    "Explanation",
    "FewRowsWarning",
    "InconsistentVersionWarning",
    "KMeansMixture",
    "LostZerosWarning",
    "MaskedGaussianMixture",
    "MixtureImputer",
    "MixtureRecommender",
    "RegularizationWarning",
    "UnknownLevelsWarning",
    "UnlikeUnitsWarning",
    "UnlinkedColumnsWarning",
    "UnobservedColumnsWarning",
    "show_config",
]
