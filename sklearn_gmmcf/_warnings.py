# SPDX-License-Identifier: BSD-3-Clause
"""Warnings, one class for each reason: most are of what data cannot tell."""

from __future__ import annotations

import sys
import warnings


class DataWarning(UserWarning):
    """Base class of the warnings about data that a fit can only partly rely on."""


class UnobservedColumnsWarning(DataWarning):
    """Some columns have no observed entry in the data that were fitted.

    They are kept, so that columns stay aligned: the mean of all observed entries fills
    them (for 'factor' the mean of the other columns and the row's offset from it, or
    the prediction from their `column_features`), and densities ignore values that turn
    up in them later.
    """


class RegularizationWarning(DataWarning):
    """`reg_covar` is not small beside the variance of some columns.

    `reg_covar` has the squared units of the data. Where it exceeds a fifth of a
    column's variance, or where the variances of a component end near it, it decides the
    fit. Scale the columns, or decrease `reg_covar`.
    """


class FewRowsWarning(DataWarning):
    """A component has too few rows for a covariance matrix of its own.

    Where a component observes each column less than twice as often as there are
    columns, standard deviations of missing entries are far too small. Set
    `covariance_precision_prior`, decrease `n_components`, or choose 'factor' or 'diag'.
    """


class UnlinkedColumnsWarning(DataWarning):
    """No row shows some pairs of columns together.

    Nothing in the data tells their covariance within a component, so that different
    starts may complete them differently with equal likelihood. Choose 'diag',
    'spherical' or 'factor', or one component.
    """


class UnlikeUnitsWarning(DataWarning):
    """Spreads of the columns differ by more than a factor of a million.

    'spherical' and `KMeansMixture` measure all columns by one scale, so that the widest
    columns decide alone. Scale the columns, for example by StandardScaler.
    """


class ConstantCovariatesWarning(DataWarning):
    """Some covariates have the same value in all their observed entries.

    They tell nothing of the rows. In a sparse matrix an entry that is not stored is
    missing, so that zeros of covariates must be stored.
    """


class LostZerosWarning(DataWarning):
    """All values that each column of a sparse matrix stores are the same.

    A matrix of ones, which marks what was bought or read, says nothing by its values:
    in a sparse matrix an entry that is not stored is missing, not 0. Store the zeros
    that were observed, or pass ``X.toarray()`` if all entries were.
    """


class UnknownLevelsWarning(DataWarning):
    """Some categories of a table have not been in the table that was fitted.

    A :class:`~sklearn_gmmcf.tables.TableEncoder` has no column for them, so that they
    are encoded as missing. Fit again, or pass ``handle_unknown="error"``.
    """


class InconsistentVersionWarning(UserWarning):
    """A saved estimator is loaded by another version of this package.

    Its attributes may mean something else there. Fit it again, or install the version
    that saved it. Saved estimators hold the version under which they were saved; of one
    that holds none, as the first versions saved it, the version is unknown.

    Parameters
    ----------
    estimator_name : str
        Name of the class of the estimator.
    current_version : str
        Version of the package that loads it.
    original_version : str or None
        Version of the package that saved it; None if it is unknown.

    Attributes
    ----------
    estimator_name, current_version, original_version
        The parameters.

    See Also
    --------
    sklearn.exceptions.InconsistentVersionWarning : The same of scikit-learn, for its
        own estimators.
    """

    def __init__(
        self, estimator_name: str, current_version: str, original_version: str | None
    ) -> None:
        super().__init__(estimator_name, current_version, original_version)
        self.estimator_name = estimator_name
        self.current_version = current_version
        self.original_version = original_version

    def __str__(self) -> str:
        original = (
            "an unknown version"
            if self.original_version is None
            else f"version {self.original_version}"
        )
        return (
            f"This {self.estimator_name} was saved by {original} of sklearn-gmmcf, and "
            f"is loaded by version {self.current_version}. Results may be wrong: fit "
            "it again, or install the version that saved it."
        )


def warn_user(message: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn at the line of the user that called into this package.

    A `DataWarning` says nothing new for each fold of a search, where it is not shown.
    """
    level, frame, in_fold = 1, sys._getframe(), False
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[
        0
    ] in ("sklearn_gmmcf", "sklearn", "joblib", "pickle", "skops"):
        in_fold = in_fold or frame.f_code.co_name == "_fit_and_score"
        level, frame = level + 1, frame.f_back
    if in_fold and isinstance(message, DataWarning):
        return
    warnings.warn(message, category, stacklevel=level)
