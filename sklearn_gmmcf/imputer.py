"""MixtureImputer: a table in, a complete table out."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._imputation import (
    Calibration,
    Prediction,
    calibrate,
    check_members,
    fit_members,
    make_members,
    predict,
)
from sklearn_gmmcf._mixture import MaskedGaussianMixture
from sklearn_gmmcf._sklearn import (
    DocumentationLinks,
    Interval,
    StrOptions,
    fit_context,
    get_transform_output,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count, check_weights
from sklearn_gmmcf.data import check_readable, is_observed, limit_to_working_memory
from sklearn_gmmcf.data._dask import is_dask
from sklearn_gmmcf.data._rule import raise_nothing_observed
from sklearn_gmmcf.tables import TableEncoder

# Bytes of the members' predictions that are worked on together.
_BATCH_BYTES = 2**26
# Kinds of columns of a table that have no interval.
_UNORDERED = ("bool", "category", "passthrough")


class MixtureImputer(
    DocumentationLinks, CallbackSupportMixin, TransformerMixin, BaseEstimator
):
    """Complete a table: numbers, categories, dates, with their uncertainty.

    Missing entries become their means (or most probable categories) given the observed
    entries of their row, under the mean of several Gaussian mixtures that are fitted to
    the observed entries of the table. Nothing has to be chosen: a tenth of the observed
    entries is held out first, to see how much each mixture should count, how large
    errors are, and how wide intervals have to be; then all entries are fitted.

    Parameters
    ----------
    members : 'auto' or list of (str, estimator), default='auto'
        The mixtures whose mean completes the table, fitted to standardized columns.
        'auto': a Gaussian; a mixture of 6 Gaussians; the same behind a
        :class:`~sklearn_gmmcf.preprocessing.NormalScoreTransformer`, for skewed
        columns; and a mixture of 6 t distributions, for outliers, each with at least
        ten rows a component and with priors. Tables of more than 100 columns (one for
        each category), or of fewer rows than columns, take mixtures with
        ``covariance_type='factor'``. Otherwise names and mixtures of this package, or
        Pipelines of transformers that treat each column by itself, with
        `inverse_transform`, and a mixture.

    missing_values : float, str or None, default=np.nan
        The value that marks a missing entry. In frames, and in arrays of objects,
        nulls (NaN, None, NaT, NA) are missing as well; in arrays of numbers NaN is an
        error if another value is given.

    bounds : {'observed', None} or dict, default='observed'
        Completions stay within the range of the observed values of their column, or
        within ``{column: (lowest, highest)}``, columns by name (by index if they have
        none), None for an open end. None sets no bounds.

    round : bool, default=True
        Round completions in columns of integers of a frame: columns of an integer type,
        and columns of floats whose observed values are all whole numbers, as read_csv
        makes them of integers with missing entries. Arrays of numbers are not rounded.

    max_categories : int, default=20
        Text and categories of at most this many levels are modeled. A column of more
        levels, or of text that never repeats, passes through if it is complete, and is
        refused otherwise.

    handle_unknown : {'missing', 'error'}, default='missing'
        What `transform` makes of a level that was not seen in fit: a missing entry,
        with a warning, or an error.

    calibrate : bool, default=True
        Hold out entries, to weigh the members and to widen or narrow intervals. If
        False, members count alike, and `expected_error_` does not exist.

    add_indicator : bool, default=False
        Append a column for each column with missing entries in fit, which says where it
        was missing.

    keep_empty_features : bool, default=False
        Keep columns without an observed value in fit: numbers become 0, other columns
        stay empty. If False, they are dropped.

    random_state : int, RandomState instance or None, default=None
        Seeds the starts of the mixtures and the draw of the entries to hold out.

    n_jobs : int, default=None
        Number of processes that fit members; None means 1, -1 all cores.

    Attributes
    ----------
    encoder_ : TableEncoder
        Table to matrix and back; `categories_` and `kinds_` are there.

    members_ : list of (str, estimator)
        The fitted mixtures, in standardized columns.

    member_weights_ : ndarray of shape (n_members, n_encoded_features)
        How much each member counts in each column of the matrix: the same for all
        numbers, and for all categories.

    expected_error_ : ndarray of shape (n_features,)
        Root mean squared error of held-out entries of each column, in its units (dates:
        days); for categories and bools the share of wrong ones. NaN for columns that
        are not modeled. Only with `calibrate`.

    indicator_ : MissingIndicator
        Where columns were missing; None without `add_indicator`.

    n_features_in_ : int
        Number of columns seen in fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where those seen in fit are all strings.

    See Also
    --------
    MaskedGaussianMixture : The mixture behind it: clusters, densities, sparse tables.
    sklearn_gmmcf.model_selection.pool : Pools estimates from several completions.
    sklearn.impute.KNNImputer : Takes the mean of near rows.
    sklearn.impute.IterativeImputer : Regresses each column on all others in turn.

    Notes
    -----
    The mean over members of the predictive distributions has the members' variances
    within plus between. Weights of members are least squares on the held-out entries,
    with the weight of 30 entries on equal ones (stacking [1]_). Held-out errors in
    predicted standard deviations calibrate intervals: their quantile takes the place of
    the one of the normal distribution, again with the weight of 30 entries on that.

    A row without observed entries is completed by the mean of the mixtures.

    References
    ----------
    .. [1] L. Breiman (1996). Stacked regressions. Machine Learning 24(1), 49-64.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import MixtureImputer
    >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
    >>> MixtureImputer(bounds=None, random_state=0).fit_transform(X).round(1)[-1]
    array([5. , 9.9])

    A frame keeps its kinds of columns:

    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {
    ...         "age": [21, 35, 64, None, 29, 70],
    ...         "works": ["yes", "yes", "no", "no", None, "no"],
    ...     }
    ... )
    >>> MixtureImputer(random_state=0).fit_transform(frame)
        age works
    0  21.0   yes
    1  35.0   yes
    2  64.0    no
    3  66.0    no
    4  29.0   yes
    5  70.0    no
    """

    _parameter_constraints: dict[str, Any] = {
        "members": [StrOptions({"auto"}), list],
        "missing_values": [Real, str, None],
        "bounds": [StrOptions({"observed"}), dict, None],
        "round": ["boolean"],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "handle_unknown": [StrOptions({"missing", "error"})],
        "calibrate": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        members: Any = "auto",
        *,
        missing_values: Any = np.nan,
        bounds: Any = "observed",
        round: bool = True,
        max_categories: int = 20,
        handle_unknown: str = "missing",
        calibrate: bool = True,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.members = members
        self.missing_values = missing_values
        self.bounds = bounds
        self.round = round
        self.max_categories = max_categories
        self.handle_unknown = handle_unknown
        self.calibrate = calibrate
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> MixtureImputer:
        """Learn to complete a table.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Table with missing entries: an array, or a pandas, polars or pyarrow frame.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. Rows of weight 0 are left out.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If a column cannot be read, is neither modeled nor complete, or no entry is
            observed; or if a member is not a mixture of this package, alone or at the
            end of a Pipeline.
        TypeError
            If X is sparse or a Dask array.
        """
        X, matrix = self._read(X, reset=True)
        weights = check_weights(sample_weight, matrix)
        if weights is not None:
            matrix, weights = matrix[weights > 0], weights[weights > 0]
        self._scaling = Scaling.learn(matrix, weights)
        if not self._scaling.known.any():
            raise_nothing_observed(np.shape(X), self.missing_values)
        Z = self._scaling.scale(matrix)
        rng = check_random_state(self.random_state)
        groups = self.encoder_.input_columns_[self._scaling.known]
        is_code = np.isin(self.encoder_.kinds_[groups], _UNORDERED)
        if isinstance(self.members, str):
            members = make_members(*Z.shape, rng)
        else:
            members = check_members(self.members)
        progress = self._init_callback_context(
            max_subtasks=len(members) * (1 + self.calibrate)
        )
        ...
