# SPDX-License-Identifier: BSD-3-Clause
"""hide_entries and to_entries: the observed entries of a matrix."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from sklearn_gmmcf._sklearn import (
    Interval,
    StrOptions,
    get_feature_names,
    validate_params,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data._column_features import find_columns
from sklearn_gmmcf.data._entries import MECHANISMS, hide_at_random, list_entries


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "fraction": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
        "mechanism": [StrOptions(set(MECHANISMS))],
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"],
        "covariates": ["array-like", str, Integral, None],
        "allow_empty_rows": ["boolean"],
        "allow_empty_columns": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def hide_entries(
    X: Any,
    fraction: float = 0.1,
    random_state: Any = None,
    *,
    mechanism: str = "mcar",
    missing_values: float = np.nan,
    covariates: Any = None,
    allow_empty_rows: bool = False,
    allow_empty_columns: bool = True,
) -> tuple[Any, tuple[Array, Array, Array]]:
    """Hide some observed entries, to see how well they are predicted.

    Entries are drawn from the observed ones, uniformly or with the probabilities of a
    `mechanism`; then each row that was left empty gets back one of its own entries. So
    slightly less than `fraction` is hidden where rows are short.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with missing entries: dense, a DataFrame of numbers, or sparse in COO, CSR,
        CSC, LIL or DOK format. Not changed.

    fraction : float, default=0.1
        Share of the observed entries to hide, at least one entry.

    random_state : int, RandomState instance or None, default=None
        Seeds the draw. The same seed hides the same entries in any format (COO if its
        entries are in the order of rows and columns).

    mechanism : {'mcar', 'mar', 'mnar'}, default='mcar'
        How the probability that an entry is hidden depends on the values of its row.

        - 'mcar', missing completely at random: all entries have the same probability.
        - 'mar', missing at random: the probability depends on one value of the row that
          stays observed, the driver of the row. The columns are put in a random order;
          the driver of a row is its first observed entry in this order or its last one,
          with equal chances. Drivers are never hidden, and the probability of any other
          entry is proportional to the rank of its row's driver. In a table without
          missing entries two columns therefore drive one half of the rows each. If
          `fraction` exceeds the share of the entries that are not drivers, all of these
          entries are hidden.
        - 'mnar', missing not at random: the probability is proportional to the rank of
          the entry's own value in its column.

        A rank is (r - 1/2) / n for the r-th smallest of n values: the drivers in a
        column ('mar'), or the observed values of a column ('mnar'). Equal values share
        the mean of their ranks. A probability above 1 counts as 1, and the others are
        scaled so that `fraction` is reached.

    missing_values : float, default=np.nan
        The value that marks a missing entry. In a sparse matrix an entry that is not
        stored is missing, too; a stored 0 is an observation.

    covariates : list of int or str, default=None
        Columns, by index or name, of which no entry is hidden: the `covariates` of a
        :class:`~sklearn_gmmcf.MaskedGaussianMixture`.

    allow_empty_rows : bool, default=False
        Whether all observed entries of a row may be hidden.

    allow_empty_columns : bool, default=True
        Whether all observed entries of a column may be hidden. In ratings many columns
        have one entry, which False would never hide.

    Returns
    -------
    X_hidden : of the type of X
        X with more entries missing: `missing_values`, null in a DataFrame, not stored
        if sparse. Integers become floats if NaN marks missing entries.

    hidden : tuple of three ndarrays of shape (m,)
        Rows, columns and values of the hidden entries, in the order of the entries.

    Raises
    ------
    ValueError
        If nothing can be hidden.

    See Also
    --------
    completion_scorer : Hides entries and scores their predictions.
    to_entries : All observed entries.

    Notes
    -----
    With 'mar' the probability of a pattern of hidden entries is a function of values
    that stay observed, exactly: a driver is ranked among drivers, none of which is
    hidden. Likelihoods that ignore the mechanism are then valid [1]_. With 'mnar' they
    are not, and every imputer that ignores the mechanism is biased.

    References
    ----------
    .. [1] Rubin, D. B. (1976). "Inference and missing data". Biometrika 63, 581-592.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> from sklearn_gmmcf.model_selection import hide_entries
    >>> X = make_ratings(random_state=0).data
    >>> X_hidden, (rows, columns, values) = hide_entries(X, random_state=0)
    >>> mixture = MaskedGaussianMixture(
    ...     4, covariance_type="spherical", random_state=0
    ... ).fit(X_hidden)
    >>> predicted = mixture.complete(X_hidden, entries=(rows, columns))
    >>> print(f"{((predicted - values) ** 2).mean() ** 0.5:.2f}")
    0.66

    The mean of a column (13.00 before entries were hidden) of what stays observed:

    >>> from sklearn.datasets import load_wine
    >>> wine = load_wine(as_frame=True).data
    >>> for mechanism in ("mcar", "mar", "mnar"):
    ...     X_hidden, (_, _, values) = hide_entries(
    ...         wine, 0.3, random_state=0, mechanism=mechanism
    ...     )
    ...     print(mechanism, len(values), f"{X_hidden['alcohol'].mean():.2f}")
    mcar 694 13.07
    mar 694 12.89
    mnar 694 12.78
    """
    X_hidden, hidden = hide_at_random(
        X,
        fraction,
        random_state,
        mechanism=mechanism,
        missing_values=missing_values,
        covariates=_find_covariates(covariates, X),
        allow_empty_rows=allow_empty_rows,
        allow_empty_columns=allow_empty_columns,
    )
    return X_hidden, (hidden.rows, hidden.columns, hidden.values)


def _find_covariates(covariates: Any, X: Any) -> Array:
    return find_columns(covariates, get_feature_names(X), np.shape(X)[1])


def to_entries(
    X: Any, *, missing_values: float = np.nan, covariates: Any = None
) -> tuple[Array, Array]:
    """List the observed entries as samples, for `EntryRegressor`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data with missing entries: dense, a DataFrame of numbers, or sparse in COO, CSR,
        CSC, LIL or DOK format.

    missing_values : float, default=np.nan
        The value that marks a missing entry.

    covariates : list of int or str, default=None
        Columns, by index or name, whose entries are left out: the `covariates` of a
        :class:`~sklearn_gmmcf.MaskedGaussianMixture`.

    Returns
    -------
    pairs : ndarray of shape (m, 2)
        Row and column of each entry, sorted by rows and then columns. The entries of a
        COO matrix stay in its own order: the order of the lines of a table from which
        it was made.

    values : ndarray of shape (m,)
        Values of the entries.

    Raises
    ------
    ValueError
        If X is not a matrix of numbers, or a sparse X stores two values for one entry.

    See Also
    --------
    EntryRegressor : Its samples are entries.
    hide_entries : A random part of the observed entries.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.model_selection import to_entries
    >>> pairs, values = to_entries([[5.0, np.nan], [np.nan, 0.0]])
    >>> pairs
    array([[0, 0],
           [1, 1]])
    >>> values
    array([5., 0.])
    """
    entries = list_entries(X, missing_values, _find_covariates(covariates, X))
    return np.column_stack([entries.rows, entries.columns]), entries.values
