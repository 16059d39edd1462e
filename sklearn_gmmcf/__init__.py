"""Gaussian mixtures that are fitted on data with missing entries and fill them."""

from sklearn_gmmcf._kmeans import KMeansMixture
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._warnings import (
    ConstantCovariatesWarning,
    DataWarning,
    FewRowsWarning,
    LostZerosWarning,
    RegularizationWarning,
    UnknownLevelsWarning,
    UnlikeUnitsWarning,
    UnlinkedColumnsWarning,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.imputer import MixtureImputer

__version__ = "0.1.0"
__all__ = [
    "ConstantCovariatesWarning",
    "DataWarning",
    "FewRowsWarning",
    "KMeansMixture",
    "LostZerosWarning",
    "MaskedGaussianMixture",
    "MixtureImputer",
    "RegularizationWarning",
    "UnknownLevelsWarning",
    "UnlikeUnitsWarning",
    "UnlinkedColumnsWarning",
    "UnobservedColumnsWarning",
]
