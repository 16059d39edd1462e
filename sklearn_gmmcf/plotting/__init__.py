# SPDX-License-Identifier: BSD-3-Clause
"""Displays of fitted mixtures, in scikit-learn's convention.

Each class has constructors ``from_...`` that compute the data of the display, keep them
as attributes and draw them; ``plot`` draws them again, on other axes or in another
style. Artists are kept as attributes that end in an underscore. Only drawing imports
matplotlib: ``pip install matplotlib``.
"""

from sklearn_gmmcf.plotting._calibration import CalibrationDisplay
from sklearn_gmmcf.plotting._completion import CompletionDisplay
from sklearn_gmmcf.plotting._convergence import ConvergenceDisplay
from sklearn_gmmcf.plotting._imputation import ImputationDisplay
from sklearn_gmmcf.plotting._missingness import MissingnessDisplay
from sklearn_gmmcf.plotting._mixture import MixtureDisplay
from sklearn_gmmcf.plotting._selection import ModelSelectionDisplay
from sklearn_gmmcf.plotting._types import TypesDisplay

__all__ = [
    "CalibrationDisplay",
    "CompletionDisplay",
    "ConvergenceDisplay",
    "ImputationDisplay",
    "MissingnessDisplay",
    "MixtureDisplay",
    "ModelSelectionDisplay",
    "TypesDisplay",
]
