"""Gaussian mixtures that are fitted on data with missing entries and fill them."""

from sklearn_gmmcf._base import UnobservedColumnsWarning
from sklearn_gmmcf._kmeans import KMeansMixture
from sklearn_gmmcf._mixture import MaskedGaussianMixture

__version__ = "0.1.0"
__all__ = ["KMeansMixture", "MaskedGaussianMixture", "UnobservedColumnsWarning"]
