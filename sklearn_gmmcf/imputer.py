# SPDX-License-Identifier: BSD-3-Clause
"""MixtureImputer: a table in, a complete table out."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gmmcf._base import restore_on_failure
from sklearn_gmmcf._containers import (
    append_columns,
    convert,
    fill_nulls,
    has_numbers,
    is_frame,
    mark_missing,
    restore_dtypes,
    restore_missing,
    take_columns,
)
from sklearn_gmmcf._ensemble import (
    Ensemble,
    Layout,
    Prediction,
    check_members,
    draw_completions,
    learn_ensemble,
    make_members,
)
from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._ids import and_others
from sklearn_gmmcf._progress import Progress
from sklearn_gmmcf._sklearn import (
    BaseComposition,
    CallbackSupportMixin,
    Interval,
    PackageEstimator,
    StrOptions,
    fit_context,
    get_feature_names_in,
    get_transform_output,
    safe_indexing,
    validate_params,
)
from sklearn_gmmcf._table_series import Table, check_eager
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count, check_weights
from sklearn_gmmcf.data import check_unmasked, is_observed
from sklearn_gmmcf.data._dask import is_dask
from sklearn_gmmcf.data._rule import raise_nothing_observed
from sklearn_gmmcf.tables import NUMERIC_KINDS, TableEncoder

# Squares of larger numbers, and sums of these, may overflow.
_MAX_VALUE = 1e100


class MixtureImputer(
    PackageEstimator, CallbackSupportMixin, TransformerMixin, BaseComposition
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
        each category) take mixtures with ``covariance_type='factor'``. Otherwise names
        and mixtures of this package, or Pipelines of transformers that treat each
        column by itself, with `inverse_transform`, and a mixture. Searches reach their
        parameters by ``name__parameter``.

    missing_values : float, str or None, default=np.nan
        The value that marks a missing entry. In frames, and in arrays of objects,
        nulls (NaN, None, NaT, NA) are missing as well; in arrays of numbers NaN is an
        error if another value is given. Columns of numbers that were read as text,
        because a mark such as "?" stood among them, stay text: name the mark to the
        reader instead (`na_values` of read_csv).

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
        Treatment of a level that was not seen in fit: a missing entry, with a warning,
        or an error.

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
        Names of the columns seen in fit, where all are strings.

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
    predicted standard deviations calibrate intervals: their quantile replaces the
    quantile of the normal distribution, again with the weight of 30 entries on the
    latter.

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
    array([5., 9.])

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
    3  62.0    no
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, with the members by their names.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the members and their parameters, ``name__parameter``.

        Returns
        -------
        params : dict
            Names of parameters and their values.
        """
        return dict(self._get_params("members", deep=deep))

    def set_params(self, **params: Any) -> MixtureImputer:
        """Set parameters, of members by ``name__parameter``.

        Parameters
        ----------
        **params : dict
            Names of parameters and their new values.

        Returns
        -------
        self : object
            The imputer.
        """
        self._set_params("members", **params)
        return self

    @restore_on_failure
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
            If a column cannot be read, or is neither modeled nor complete; if no entry
            is observed; or if a member is not a mixture of this package, alone or at
            the end of a Pipeline.
        TypeError
            If X is sparse or a Dask array.

        See Also
        --------
        transform : Complete tables.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MixtureImputer
        >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
        >>> imputer = MixtureImputer(bounds=None, random_state=0).fit(X)
        >>> imputer.transform([[6, np.nan], [np.nan, 3]]).round()
        array([[ 6., 10.],
               [ 2.,  3.]])
        """
        X = self._open(X, reset=True)
        weights = check_weights(sample_weight, X)
        if weights is not None and not weights.all():
            X = safe_indexing(X, np.flatnonzero(weights))
            weights = weights[weights > 0]
        if len(X) < 2:
            raise ValueError(
                f"Found array with {len(X)} sample(s) (shape={X.shape}) while a "
                "minimum of 2 is required by MixtureImputer."
            )
        self.encoder_ = self._make_encoder(X, self.bounds).fit(X)
        matrix = self._encode(self.encoder_, X)
        known = np.asarray(~np.isnan(matrix).all(axis=0))
        self._known = known
        if not known.any():
            raise_nothing_observed(X.shape, self.missing_values)
        rng = check_random_state(self.random_state)
        if isinstance(self.members, str):
            members = make_members(len(matrix), int(known.sum()), rng)
        else:
            members = check_members(self.members)
            self._validate_names([name for name, _ in members])
        progress = Progress(self, X, len(members) * (1 + self.calibrate), max_iter=1)
        ensemble = learn_ensemble(
            members,
            matrix[:, known],
            lay_out(self.encoder_).select(known),
            tuple(bound[known] for bound in self.encoder_._list_bounds()),
            weights=weights,
            calibrate=self.calibrate,
            rng=rng,
            n_jobs=self.n_jobs,
            report=progress.step,
        )
        progress.close()
        self._set_attributes(ensemble, matrix)
        return self

    def _set_attributes(self, ensemble: Ensemble, matrix: Array) -> None:
        self._ensemble, n_features = ensemble, self.n_features_in_
        groups = self.encoder_.input_columns_
        self.members_ = list(ensemble.members)
        self.member_weights_ = np.full((len(self.members_), len(groups)), np.nan)
        self.member_weights_[:, self._known] = ensemble.shares
        if ensemble.errors is not None:
            self.expected_error_ = np.full(n_features, np.nan)
            self.expected_error_[np.unique(groups[self._known])] = ensemble.errors
        elif hasattr(self, "expected_error_"):
            del self.expected_error_
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False)
            self.indicator_.fit(self._mark_missing(matrix, self.encoder_))
            names = self.get_feature_names_out().tolist()
            if repeated := [name for name in names if names.count(name) > 1]:
                raise ValueError(
                    f"X has a column {repeated[0]!r}, which is the name of a column "
                    "that add_indicator=True appends. Rename it."
                )

    def transform(self, X: Any) -> Any:
        """Complete a table.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Table with missing entries; rows need not have been seen in fit.

        Returns
        -------
        completed : ndarray or frame of shape (n_samples, n_features_out)
            Of the kind and with the dtypes of X, unless `set_output` asks for a kind:
            "default" is an array, of objects if columns are neither numbers nor bools.
            Observed values are as they are.

        Raises
        ------
        ValueError
            If X has other columns than in fit, or values of another kind.

        See Also
        --------
        complete : Completions with standard deviations.
        sample_completions : Complete tables for inference.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureImputer
        >>> frame = pd.DataFrame(
        ...     {
        ...         "age": [21, 35, 64, 58, 29, 70],
        ...         "works": ["yes", "yes", "no", "no", "yes", "no"],
        ...     }
        ... )
        >>> imputer = MixtureImputer(random_state=0).fit(frame)
        >>> imputer.transform(pd.DataFrame({"age": [None, 25], "works": ["no", None]}))
            age works
        0  64.0    no
        1  25.0   yes
        """
        return self.complete(X)

    def complete(self, X: Any, *, return_std: bool = False) -> Any:
        """Complete a table, with the standard deviations of its numbers.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Table with missing entries; rows need not have been seen in fit.
        return_std : bool, default=False
            Return standard deviations, too.

        Returns
        -------
        completed : ndarray or frame of shape (n_samples, n_features_out)
            As from `transform`.
        std : ndarray or frame of floats
            Standard deviations of the columns of numbers, dates and durations (in
            days), 0 where observed; columns of other kinds are left out
            (`complete_proba` has probabilities). Only if ``return_std``.

        See Also
        --------
        predict_interval : Calibrated intervals of missing entries.
        complete_proba : Probabilities of categories.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureImputer
        >>> rng = np.random.default_rng(0)
        >>> dose, noise = rng.normal(10, 2, 40), rng.normal(0, 1, 40)
        >>> frame = pd.DataFrame({"dose": dose, "rate": 2 * dose + noise})
        >>> frame.loc[:3, "rate"] = None
        >>> imputer = MixtureImputer(random_state=0).fit(frame)
        >>> completed, std = imputer.complete(frame, return_std=True)
        >>> completed.assign(rate_std=std["rate"]).loc[2:5].round(1)
           dose  rate  rate_std
        2  11.3  22.6       1.3
        3  10.2  20.5       1.0
        4   8.9  18.1       0.0
        5  10.7  21.1       0.0
        """
        given, X, matrix = self._read(X)
        predicted = self._predict(matrix)
        decoded = self.encoder_.decode(predicted.means, rows=X)
        completed = self._hand_out(decoded, given, matrix, self.encoder_)
        if not return_std:
            return completed
        std = self.encoder_._decode_numbers(np.sqrt(predicted.variances), X)
        return completed, self._hand_out_numbers(std)

    def complete_proba(self, X: Any) -> dict[Any, Array]:
        """Compute the probabilities of the levels of categories and bools.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Table with missing entries; rows need not have been seen in fit.

        Returns
        -------
        probabilities : dict of ndarrays of shape (n_samples, n_levels)
            By column, in the order of ``encoder_.categories_``; 1 for the level that
            is observed.

        See Also
        --------
        transform : The most probable level.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MixtureImputer
        >>> frame = pd.DataFrame(
        ...     {
        ...         "age": [21, 35, 64, 58, 29, 70, 66, 24],
        ...         "works": ["yes", "yes", "no", "no", "yes", "no", "yes", "no"],
        ...     }
        ... )
        >>> imputer = MixtureImputer(random_state=0).fit(frame)
        >>> new = pd.DataFrame({"age": [25, 68], "works": [None, None]})
        >>> imputer.encoder_.categories_
        {'works': array(['no', 'yes'], dtype=object)}
        >>> imputer.complete_proba(new)["works"].round(1)
        array([[0.3, 0.7],
               [0.7, 0.3]])
        """
        _, _, matrix = self._read(X)
        return self.encoder_.decode_proba(self._predict(matrix).means)

    @validate_params(
        {"coverage": [Interval(Real, 0, 1, closed="neither")]},
        prefer_skip_nested_validation=True,
    )
    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[Any, Any]:
        """Compute intervals that hold the true values of missing entries.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Table with missing entries; rows need not have been seen in fit.
        coverage : float, default=0.9
            Share of missing entries whose true value the intervals hold.

        Returns
        -------
        lower, upper : ndarray or frame
            Ends of the intervals of the columns of numbers, dates and durations, of
            the kind of X, within the `bounds`. Intervals of integers end at the
            outermost integers within, and hold the completion at least; dates are
            rounded down and up. Both ends are the value itself where it is observed.
            Columns of other kinds are left out.

        See Also
        --------
        complete : Completions with standard deviations.
        sklearn_gmmcf.plotting.CalibrationDisplay : Draws the coverage of intervals.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MixtureImputer
        >>> rng = np.random.default_rng(0)
        >>> X = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=200)
        >>> truth = X[:50, 1].copy()
        >>> X[:50, 1] = np.nan
        >>> imputer = MixtureImputer(bounds=None, random_state=0).fit(X)
        >>> lower, upper = imputer.predict_interval(X)
        >>> np.mean((lower[:50, 1] < truth) & (truth < upper[:50, 1]))
        np.float64(0.88)
        """
        given, X, matrix = self._read(X)
        predicted = self._predict(matrix)
        reach = self._ensemble.reach(coverage) * np.sqrt(predicted.variances)
        lower, upper = predicted.means - reach, predicted.means + reach
        is_rounded = self.encoder_.round
        if is_rounded:
            self._round_inward(lower, upper, predicted.means)
        ends = []
        for end, rounding in ((lower, "floor"), (upper, "ceil")):
            decoded = self.encoder_._decode(
                end, X, rounding=rounding if is_rounded else None, kinds=NUMERIC_KINDS
            )
            ends.append(self._hand_out_numbers(restore_dtypes(decoded, given)))
        return ends[0], ends[1]

    def _round_inward(self, lower: Array, upper: Array, means: Array) -> None:
        """End the intervals of integers at integers, in place.

        The ones inside, so that coverage stays as it is, and the completion at least.
        """
        columns = self.encoder_.kinds_[self.encoder_.input_columns_] == "integer"
        middle = np.rint(means[:, columns])
        lower[:, columns] = np.minimum(np.ceil(lower[:, columns]), middle)
        upper[:, columns] = np.maximum(np.floor(upper[:, columns]), middle)

    def sample_completions(
        self,
        X: Any,
        n_completions: int = 5,
        *,
        bounds: Any = None,
        donors: int | None = None,
        random_state: Any = None,
    ) -> list[Any]:
        """Draw complete tables for inference: proper multiple imputation.

        A further Gaussian without priors is fitted to X, and its parameters are drawn
        from their posterior for each completion, so that estimates from the draws,
        pooled by :func:`~sklearn_gmmcf.model_selection.pool`, carry the uncertainty of
        the missing entries. The members of `transform` serve prediction: their priors
        would bias such estimates, and the mean of draws is not the completion that
        `transform` returns. Tables of less than five rows a column take common factors
        and resampled rows instead.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            The table to analyze.
        n_completions : int, default=5
            Number of draws.
        bounds : {'observed', None} or dict, default=None
            Range of the drawn numbers, as the parameter of the class. Bounds shift
            means of columns whose values lie at them.
        donors : int, default=None
            Draw observed values: predictive mean matching, with one of this many
            observed entries whose predictions are nearest; 5 is usual. So draws have
            the distribution of observed values, whatever it is.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.

        Returns
        -------
        completions : list of ndarrays or frames of shape (n_samples, n_features_out)
            Complete tables, as `transform` returns them.

        Raises
        ------
        ValueError
            If X has no observed value of a column that `fit` observed.

        See Also
        --------
        sklearn_gmmcf.model_selection.pool : Pools estimates by Rubin's rules.
        transform : One completion, the best prediction of each entry.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MixtureImputer
        >>> from sklearn_gmmcf.model_selection import pool
        >>> rng = np.random.default_rng(0)
        >>> X = rng.multivariate_normal([0, 5], [[1, 0.8], [0.8, 1]], size=50)
        >>> X[X[:, 0] > 0.5, 1] = np.nan
        >>> imputer = MixtureImputer(random_state=0).fit(X)
        >>> draws = np.array(imputer.sample_completions(X, 20, random_state=0))

        The mean of the second column, with its standard error:

        >>> means, variances = draws[:, :, 1].mean(axis=1), draws[:, :, 1].var(axis=1)
        >>> pooled = pool(means, variances / 49, dfcom=49)
        >>> print(f"{pooled.estimate:.1f} +- {pooled.std_error:.1f}")
        5.1 +- 0.2
        """
        check_is_fitted(self)
        check_count("n_completions", n_completions)
        given, X = X, self._open(X, reset=False)
        encoder = self._make_encoder(X, bounds).fit(X)
        matrix = self._encode(encoder, X)
        self._check_drawable(matrix, encoder)
        draws = draw_completions(
            matrix,
            lay_out(encoder),
            n_completions,
            donors,
            check_random_state(random_state),
        )
        return [
            self._hand_out(encoder.decode(draw, rows=X), given, matrix, encoder)
            for draw in draws
        ]

    def _check_drawable(self, matrix: Array, encoder: TableEncoder) -> None:
        """Refuse tables that have no value of a column that fit observed."""
        observed = np.unique(self.encoder_.input_columns_[self._known])
        missing = np.isnan(self._mark_missing(matrix, encoder)[:, observed])
        lacking = observed[missing.all(axis=0)]
        if lacking.size:
            name = self.encoder_._codes[lacking[0]].name
            raise ValueError(
                f"X has no observed value in column {name!r}"
                f"{and_others(len(lacking) - 1)}, so that none can be drawn: the "
                "model of sample_completions is learned from X alone. Pass all rows of "
                "the table to analyze, or drop the column and fit again."
            )

    def inverse_transform(self, X: Any) -> Any:
        """Make entries missing again that were completed.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features_out)
            A completed table with the columns of the indicator (`add_indicator`).

        Returns
        -------
        table : ndarray or frame of shape (n_samples, n_features)
            The table before it was completed, with the columns that were dropped, in
            which all entries are missing. Missing entries are `missing_values` in
            arrays, and null in frames.

        Raises
        ------
        ValueError
            If the imputer has no indicator.

        See Also
        --------
        transform : Completes the table.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MixtureImputer
        >>> X = np.array([[1, 2], [2, 4], [3, 6], [4, 8], [5, np.nan]])
        >>> imputer = MixtureImputer(add_indicator=True, random_state=0)
        >>> completed = imputer.fit_transform(X)
        >>> imputer.get_feature_names_out()
        array(['x0', 'x1', 'missingindicator_x1'], dtype=object)
        >>> imputer.inverse_transform(completed)[-1]
        array([ 5., nan])
        """
        check_is_fitted(self)
        if self.indicator_ is None:
            raise ValueError(
                "inverse_transform needs the columns that say where entries were "
                "missing: fit with add_indicator=True."
            )
        kept, marked = self._kept_columns(), self.indicator_.features_
        table = X if is_frame(X) else np.asarray(X)
        expected = len(kept) + len(marked)
        if table.shape[1] != expected:
            raise ValueError(
                f"X should have the {expected} columns that transform returns, but got "
                f"{table.shape[1]}."
            )
        where = convert(
            take_columns(table, len(kept) + np.arange(len(marked))), "default", []
        )
        mask = np.zeros((len(where), self.n_features_in_), dtype=bool)
        mask[:, marked] = where.astype(bool)
        return restore_missing(
            take_columns(table, np.arange(len(kept))),
            kept,
            mask,
            self.encoder_._template,
            self.missing_values,
        )

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Name the columns of completed tables.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of the table, which must be the fitted names.

        Returns
        -------
        names : ndarray of str
            The columns less the dropped ones, and ``missingindicator_`` columns.

        See Also
        --------
        transform : Completes tables.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MixtureImputer
        >>> X = np.array([[1, 2], [2, 4], [3, 6], [4, 8], [5, np.nan]])
        >>> imputer = MixtureImputer(add_indicator=True, random_state=0).fit(X)
        >>> imputer.get_feature_names_out(["dose", "rate"]).tolist()
        ['dose', 'rate', 'missingindicator_rate']
        """
        check_is_fitted(self)
        names = get_feature_names_in(self, input_features)
        kept = names[self._kept_columns()]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _open(self, X: Any, reset: bool) -> Any:
        """Check a table; an array of numbers becomes floats, NaN where missing."""
        check_unmasked(X)
        if sparse.issparse(X):
            raise TypeError(
                "MixtureImputer completes dense tables, and X is a sparse matrix. "
                "MaskedGaussianMixture completes entries of sparse matrices, where "
                "unstored entries are missing; if they are zeros, pass X.toarray()."
            )
        if is_dask(X):
            raise TypeError(
                "MixtureImputer works on tables in memory, and X is a Dask array. Fit "
                "it to some rows, and complete chunks by "
                "X.map_blocks(imputer.transform, dtype=X.dtype); or take "
                "MaskedGaussianMixture."
            )
        if is_frame(X):
            Table.open(X)  # refuses equal names
            validate_data(self, X, reset=reset, skip_check_array=True)
            return mark_missing(X, self.missing_values)
        check_eager(X, "MixtureImputer works on")
        if not has_numbers(X):
            is_text = np.asarray(X).dtype.kind not in "mM"
            X = np.asarray(X, dtype=object if is_text else None)
            validate_data(self, X, reset=reset, skip_check_array=True)
            return mark_missing(X, self.missing_values)
        if isinstance(self.missing_values, str):
            raise ValueError(
                f"missing_values={self.missing_values!r} is text, and X is an array of "
                "numbers. Pass the number that marks missing entries, or np.nan."
            )
        marker = np.nan if self.missing_values is None else self.missing_values
        matrix = validate_data(
            self,
            fill_nulls(X),
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            copy=True,
            ensure_min_samples=1 + reset,
        )
        matrix[~is_observed(matrix, marker)] = np.nan
        return matrix

    def _read(self, X: Any) -> tuple[Any, Any, Array]:
        """A table, the same with nulls, and its matrix, in every method after fit."""
        check_is_fitted(self)
        marked = self._open(X, reset=False)
        if not len(marked):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={marked.shape}) while a minimum "
                "of 1 is required by MixtureImputer."
            )
        return X, marked, self._encode(self.encoder_, marked)

    def _encode(self, encoder: TableEncoder, X: Any) -> Array:
        """The matrix of a table; refuse numbers whose squares overflow."""
        # A configured output may be a frame.
        matrix = np.asarray(encoder.transform(X))
        rows, columns = np.nonzero(np.abs(matrix) > _MAX_VALUE)
        if rows.size:
            name = encoder._codes[encoder.input_columns_[columns[0]]].name
            raise ValueError(
                f"Column {name!r} of X is {matrix[rows[0], columns[0]]:g} in row "
                f"{rows[0]} (from 0){and_others(len(rows) - 1)}, above {_MAX_VALUE:g} "
                "in magnitude, so that squares overflow. Scale the column."
            )
        return matrix

    def _make_encoder(self, X: Any, bounds: Any) -> TableEncoder:
        return TableEncoder(
            max_categories=self.max_categories,
            handle_unknown=self.handle_unknown,
            # Arrays of numbers, of one dtype, come back as floats.
            round=self.round and (is_frame(X) or X.dtype.kind in "OmM"),
            bounds=bounds,
        )

    @one_blas_thread
    def _predict(self, matrix: Array) -> Prediction:
        """Means and variances of all entries of the encoded matrix."""
        # Without an observed value, a column that is kept is 0.
        means, variances = np.zeros_like(matrix), np.zeros_like(matrix)
        known = self._known
        predicted = self._ensemble.predict(matrix[:, known])
        means[:, known], variances[:, known] = predicted.means, predicted.variances
        return Prediction(means, variances)

    def _kept_columns(self) -> Array:
        """Indices of the columns of the table that completed tables have."""
        kept = np.ones(self.n_features_in_, dtype=bool)
        if not self.keep_empty_features:
            kept[self.encoder_.input_columns_[~self._known]] = False
        return np.flatnonzero(kept)

    def _mark_missing(self, matrix: Array, encoder: TableEncoder) -> Array:
        """NaN where an entry (n, n_features) of the table is missing, else 0."""
        marked = np.zeros((len(matrix), self.n_features_in_))
        features = np.unique(encoder.input_columns_)
        observed = lay_out(encoder).observed_groups(matrix)
        marked[:, features] = np.where(observed, 0.0, np.nan)
        return marked

    def _hand_out(
        self, table: Any, given: Any, matrix: Array, encoder: TableEncoder
    ) -> Any:
        """A completed table without empty columns, with the indicator, as asked for."""
        table = take_columns(restore_dtypes(table, given), self._kept_columns())
        if self.indicator_ is not None:
            marked = np.asarray(
                self.indicator_.transform(self._mark_missing(matrix, encoder))
            )
            names = self.indicator_.get_feature_names_out(get_feature_names_in(self))
            table = append_columns(table, names, marked)
        return self._convert(table, self.get_feature_names_out())

    def _hand_out_numbers(self, table: Any) -> Any:
        """A table of the columns with an order, without empty ones, as asked for."""
        ordered = np.flatnonzero(np.isin(self.encoder_.kinds_, NUMERIC_KINDS))
        kept = np.isin(ordered, self._kept_columns())
        names = get_feature_names_in(self)[ordered[kept]]
        return self._convert(take_columns(table, np.flatnonzero(kept)), names)

    def _convert(self, table: Any, names: Any) -> Any:
        kind = get_transform_output(self)
        return table if kind is None else convert(table, kind, names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def lay_out(encoder: TableEncoder) -> Layout:
    """The columns of the matrix of a fitted encoder."""
    groups = encoder.input_columns_
    return Layout(groups, ~np.isin(encoder.kinds_[groups], NUMERIC_KINDS))
