# SPDX-License-Identifier: BSD-3-Clause
"""The face that both estimators share: docstrings, the door, one call each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import partial, wraps
from numbers import Integral, Real
from typing import Any, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
from scipy.special import entr
from sklearn.base import (
    BaseEstimator,
    DensityMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._executors import one_blas_thread, threads
from sklearn_gmmcf._explanation import Explanation, explain
from sklearn_gmmcf._imputation import impute
from sklearn_gmmcf._model import Model, get_block_options
from sklearn_gmmcf._ranking import make_ranking
from sklearn_gmmcf._similarity import (
    find_columns,
    find_similar_columns,
    find_similar_rows,
)
from sklearn_gmmcf._sklearn import CallbackSupportMixin, PackageEstimator
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import (
    check_columns,
    check_completed,
    check_count,
    check_entries,
    check_lazy_output,
    check_weights,
    honor_set_output,
    open_data,
)
from sklearn_gmmcf._warnings import (
    LostZerosWarning,
    UnobservedColumnsWarning,
    warn_user,
)
from sklearn_gmmcf.covariance import Family, Student
from sklearn_gmmcf.covariance._reviews import Review
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed, RowArray
from sklearn_gmmcf.data._dask import to_memory

_SAMPLE_SIZES = ("rows", "entries")
_PARAMETERS = ("fitted", "posterior")
# Two values of a column are often equal by chance.
_MIN_INDICATOR_ROWS = 4


class BaseObservedMixture(
    PackageEstimator,
    CallbackSupportMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
):
    """Base of both estimators: the door, and every use of a fitted mixture."""

    n_components: int
    missing_values: float
    random_state: Any
    n_jobs: int | None
    lower_bound_: float
    _model: Model

    @property
    def n_parameters_(self) -> int:
        """Number of free parameters; columns never observed at fit count none."""
        return self._model.n_parameters

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and predict the component of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            The result of ``fit(X).predict(X)``.

        See Also
        --------
        predict_proba : How surely each row belongs to its component.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture.fit_predict(X)
        array([1, 1, 1, 0, 0, 0])
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    @one_blas_thread
    def predict(self, X: Any) -> Any:
        """Predict the most probable component of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries. A row without observations gets the component of
            the largest weight.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Component labels.

        See Also
        --------
        predict_proba : How surely each row belongs to its component.
        describe_components : Columns in which components differ.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture.fit(X).predict([[np.nan, 1], [8, np.nan]])
        array([1, 0])
        """
        data = self._open(X)
        return data.row_arrays(self._model.labels, RowArray((), np.dtype(np.intp)))[0]

    @one_blas_thread
    def predict_proba(self, X: Any) -> Any:
        """Compute the responsibilities of the components for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries. A row without observations gets ``weights_``,
            with covariates up to the uncertainty of their slopes.

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Probability of each component given the observed entries of the row.

        See Also
        --------
        predict : The most probable component of each row.
        normalized_entropy : How well the components separate all rows.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(3, 1, (50, 2))])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture = mixture.fit(X)

        The more entries of a row are observed, the surer is its component:

        >>> mixture.predict_proba([[2, 2], [2, np.nan], [np.nan, np.nan]]).round(2)
        array([[0.04, 0.96],
               [0.13, 0.87],
               [0.5 , 0.5 ]])
        """
        data, model = self._open(X), self._model
        width = RowArray((model.n_components,), np.dtype(np.float64))
        return data.row_arrays(model.responsibilities, width)[0]

    @one_blas_thread
    def score_samples(self, X: Any) -> Any:
        """Compute the log-density of the observed entries of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; 0, to rounding, for a row without observations. With covariates
            it is slightly below 0: the lower bound of 'factor' counts the uncertainty
            of their slopes.

        See Also
        --------
        score : Their mean.
        sklearn_gmmcf.MaskedGaussianMixture.outlier_weights : Low for outliers, too.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = [[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]]
        >>> mixture = MaskedGaussianMixture(covariance_type="full").fit(X)

        The second row is unlike all others, although each of its values is usual:

        >>> mixture.score_samples([[2, 4], [2, 8], [2, np.nan]]).round(1)
        array([-2.000e-01, -7.497e+02, -1.500e+00])
        """
        data = self._open(X)
        number = RowArray((), np.dtype(np.float64))
        return data.row_arrays(self._model.log_density, number)[0]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the mean log-density of the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        log_density : float
            In nats per row; higher is better.

        See Also
        --------
        score_samples : The log-density of each row.
        sklearn_gmmcf.model_selection.completion_scorer : Scores completions instead.

        Examples
        --------
        >>> from sklearn.model_selection import cross_val_score
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(200, 20, n_types=2, density=0.5, random_state=0).data
        >>> for n_components in [1, 2]:
        ...     mixture = MaskedGaussianMixture(
        ...         n_components, covariance_type="diag", random_state=0
        ...     )
        ...     print(n_components, cross_val_score(mixture, X, cv=3).mean().round(1))
        1 -10.8
        2 -10.5
        """
        log_density = to_memory(self.score_samples(X))
        weights = check_weights(sample_weight, log_density)
        return float(np.average(log_density, weights=weights))

    def bic(self, X: Any, *, sample_size: str = "rows") -> float:
        """Bayesian information criterion on X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        sample_size : {'rows', 'entries'}, default='rows'
            The n whose logarithm each parameter costs: the number of rows, as in
            scikit-learn, or the number of observed entries over the number of columns,
            which is smaller where entries are missing. Both are the number of rows
            where none is. Columns never observed at fit count neither entries nor
            parameters.

        Returns
        -------
        bic : float
            Lower is better.

        Raises
        ------
        ValueError
            If ``sample_size`` is neither.

        See Also
        --------
        sklearn_gmmcf.model_selection.select_mixture : Search by a criterion.

        References
        ----------
        G. Schwarz (1978). Estimating the dimension of a model. The Annals of Statistics
        6(2), 461-464.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture = mixture.fit(X)
        >>> print(f"{mixture.bic(X):.1f} {mixture.bic(X, sample_size='entries'):.1f}")
        -28.5 -30.2
        """
        return self._penalize(X, np.log, sample_size)

    def aic(self, X: Any) -> float:
        """Akaike information criterion on X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.

        Returns
        -------
        aic : float
            Lower is better.

        See Also
        --------
        bic : The criterion with a price that grows with the number of rows.
        sklearn_gmmcf.model_selection.aic_scorer : The criterion for `GridSearchCV`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture = mixture.fit(X)
        >>> print(f"{mixture.aic(X):.1f}")
        -26.7
        >>> log_likelihood = mixture.score_samples(X).sum()
        >>> print(f"{2 * mixture.n_parameters_ - 2 * log_likelihood:.1f}")
        -26.7
        """
        return self._penalize(X, lambda n: 2.0)

    def caic(self, X: Any, *, sample_size: str = "rows") -> float:
        """Consistent Akaike information criterion on X.

        A parameter costs 1 more than in the BIC, so it chooses smaller mixtures.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        sample_size : {'rows', 'entries'}, default='rows'
            As in `bic`.

        Returns
        -------
        caic : float
            Lower is better.

        See Also
        --------
        bic : The criterion without the further 1 for each parameter.
        sklearn_gmmcf.model_selection.select_mixture : Search by a criterion.

        References
        ----------
        H. Bozdogan (1987). Model selection and Akaike's information criterion (AIC):
        the general theory and its analytical extensions. Psychometrika 52(3), 345-370.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture = mixture.fit(X)
        >>> print(f"{mixture.caic(X) - mixture.bic(X):.1f}", mixture.n_parameters_)
        9.0 9
        """
        return self._penalize(X, lambda n: np.log(n) + 1, sample_size)

    def sabic(self, X: Any, *, sample_size: str = "rows") -> float:
        """Sample-size adjusted Bayesian information criterion on X.

        The BIC with (n + 2) / 24 in place of n, so it chooses larger mixtures. Below 22
        rows it rewards parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        sample_size : {'rows', 'entries'}, default='rows'
            As in `bic`.

        Returns
        -------
        sabic : float
            Lower is better.

        See Also
        --------
        bic : The criterion without the adjustment.
        sklearn_gmmcf.model_selection.select_mixture : Search by a criterion.

        References
        ----------
        S. L. Sclove (1987). Application of model-selection criteria to some problems in
        multivariate analysis. Psychometrika 52(3), 333-343.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(100, 8, n_types=2, density=0.7, random_state=0).data
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> mixture = mixture.fit(X)
        >>> print(f"{mixture.aic(X):.0f} {mixture.sabic(X):.0f} {mixture.bic(X):.0f}")
        972 954 1058
        """
        return self._penalize(X, lambda n: np.log((n + 2) / 24), sample_size)

    def icl(self, X: Any, *, sample_size: str = "rows") -> float:
        """Integrated completed likelihood on X.

        The BIC plus twice the entropy of the responsibilities: components that share
        rows are dear, so it counts clusters where the BIC counts Gaussians.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        sample_size : {'rows', 'entries'}, default='rows'
            As in `bic`.

        Returns
        -------
        icl : float
            Lower is better.

        See Also
        --------
        bic : The criterion without the entropy.
        normalized_entropy : The entropy alone.
        sklearn_gmmcf.model_selection.icl_scorer : The criterion for `GridSearchCV`.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
        clustering with the integrated completed likelihood. IEEE Transactions on
        Pattern Analysis and Machine Intelligence 22(7), 719-725.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> apart, close = (
        ...     np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(shift, 1, (50, 2))])
        ...     for shift in [9, 1]
        ... )
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> for X in [apart, close]:
        ...     print(f"{mixture.fit(X).icl(X) - mixture.bic(X):.0f}")
        0
        59
        """
        return self.bic(X, sample_size=sample_size) + 2 * self._entropies(X).sum()

    def normalized_entropy(self, X: Any) -> float:
        """Mean entropy of the responsibilities, relative to equal ones.

        It says how well the components separate the rows; it does not choose their
        number. One minus this number is the "relative entropy" of latent class
        analysis.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.

        Returns
        -------
        entropy : float
            0 if each row surely belongs to one component, and with one component; 1 if
            each row belongs to all components alike.

        See Also
        --------
        icl : The BIC plus twice the entropy.

        References
        ----------
        V. Ramaswamy, W. S. DeSarbo, D. J. Reibstein and W. T. Robinson (1993). An
        empirical pooling approach for estimating marketing mix elasticities with PIMS
        data. Marketing Science 12(1), 103-124.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> print(f"{mixture.fit(X).normalized_entropy(X):.2f}")
        0.00
        """
        entropies = self._entropies(X)
        n_components = self._model.n_components
        if n_components == 1:
            return 0.0
        return float(entropies.mean() / np.log(n_components))

    def _penalize(
        self, X: Any, price: Callable[[float], float], sample_size: str = "rows"
    ) -> float:
        """Minus twice the log-likelihood of X, and the price of the parameters.

        `price` returns the price of one parameter for a sample size.
        """
        if not isinstance(sample_size, str) or sample_size not in _SAMPLE_SIZES:
            raise ValueError(
                f"sample_size should be one of {list(_SAMPLE_SIZES)}, but got "
                f"{sample_size!r}."
            )
        log_density = to_memory(self.score_samples(X))
        n_samples = float(len(log_density))
        if sample_size == "entries":
            n_columns = max(int(self._model.columns.known.sum()), 1)
            n_samples = self._open(X).total(_count_entries) / n_columns
        return -2 * log_density.sum() + self._model.n_parameters * price(n_samples)

    def _entropies(self, X: Any) -> Array:
        """Entropy of the responsibilities of each row, (n,), in nats."""
        return entr(to_memory(self.predict_proba(X))).sum(axis=1)

    @one_blas_thread
    def transform(self, X: Any) -> Any:
        """Complete the matrix: fill each missing entry with its conditional mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.

        Returns
        -------
        completed : ndarray of shape (n_samples, n_features)
            Dense, of the dtype of X; observed entries equal X, bit for bit. A row
            without observations gets the mean of the mixture, or the means that its
            covariates imply. Covariates themselves are as in X, NaN where missing.

        Raises
        ------
        MemoryError
            If the dense matrix does not fit in memory: ask `complete` for some entries,
            or `recommend` for the highest of each row.

        See Also
        --------
        complete : Completions with standard deviations, or of some entries.
        sample_completions : Draws of the missing entries, for inference.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> mixture.fit(X).transform([[5, np.nan], [np.nan, 3]]).round(1)
        array([[ 5. , 10.1],
               [ 1.5,  3. ]])
        """
        data = self._open(X)
        if data.is_lazy:
            check_lazy_output(self)
        return self._model.complete_all(data, with_std=False)[0]

    def inverse_transform(self, X: Any) -> Any:
        """Return completed rows as they are: a mixture changes no units.

        So a Pipeline of scalers and a mixture brings its completions back to the units
        of the data: ``pipe.inverse_transform(pipe.transform(X))``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Completed rows, or rows with missing entries, which stay missing.

        Returns
        -------
        X : {ndarray, sparse matrix} of shape (n_samples, n_features)
            The same values: an array of floats itself, not a copy.

        Raises
        ------
        ValueError
            If X has another number of columns than the data of fit.

        See Also
        --------
        sklearn_gmmcf.preprocessing.RowNormalizer : A step whose way back needs the rows
            of the data, so that the steps of its Pipeline are undone one by one.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = [[1, 20], [2, 41], [3, 59], [4, 82], [5, np.nan]]
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> pipe = make_pipeline(StandardScaler(), mixture).fit(X)
        >>> pipe.inverse_transform(pipe.transform(X))[-1].round()
        array([  5., 101.])
        """
        return check_completed(self, X)

    @honor_set_output
    @one_blas_thread
    def complete(self, X: Any, *, entries: Any = None, return_std: bool = False) -> Any:
        """Complete the matrix, or some of its entries, with standard deviations.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,), default=None
            Row and column indices of the entries to complete, in any order; the dense
            matrix is not built. None completes all.
        return_std : bool, default=False
            Return standard deviations too.

        Returns
        -------
        completed : {ndarray, frame} of shape (n_samples, n_features) or (m,)
            Observed entries and covariates as they are, conditional means of the
            missing entries. As `transform`, a frame where `set_output` or
            ``transform_output`` asks for one; with `entries`, always an array.
        std : {ndarray, frame} of the same shape
            Standard deviations of the entries given the observed ones of their row,
            within plus between components; 0 where observed, and for covariates.
            Infinite for an entry whose t distribution has no variance
            (`degrees_of_freedom`). Only if ``return_std``.

        Raises
        ------
        ValueError
            If entries are not two equally long arrays of indices within X.
        MemoryError
            If the dense matrix does not fit in memory: ask for some entries.

        See Also
        --------
        sample_completions : Draws of the missing entries, in place of their means.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = pd.DataFrame({"dose": [1, 2, 3, 4, 5], "rate": [2, 4, 6, 9, None]})
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> mixture = mixture.fit(X).set_output(transform="pandas")
        >>> completed, std = mixture.complete(X, return_std=True)
        >>> completed.assign(rate_std=std["rate"]).tail(2).round(1)
           dose  rate  rate_std
        3   4.0   9.0       0.0
        4   5.0  11.0       0.3
        """
        data, model = self._open(X), self._model
        if entries is None:
            if data.is_lazy:
                check_lazy_output(self)
            results = model.complete_all(data, return_std)
        else:
            results = data.at_entries(
                partial(model.complete_entries, return_std),
                check_entries(entries, data.shape),
                *([data.dtype] * (1 + return_std)),
            )
        return results if return_std else results[0]

    @one_blas_thread
    def recommend(
        self,
        X: Any,
        n_items: int = 10,
        *,
        rank_by: str | Callable[[Array, Array], Any] = "value",
        z: float | None = None,
        threshold: float | None = None,
        items: Any = None,
        exclude: Any = None,
        exclude_observed: bool = True,
        return_std: bool = False,
    ) -> Any:
        """Find the best columns for each row.

        For users in rows and items in columns: the items that each user would rate
        highest, or would choose and like. Works through blocks of rows; the completed
        matrix is not built.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        n_items : int, default=10
            Number of columns to find for each row.
        rank_by : {'value', 'lower', 'upper', 'utility'} or callable, default='value'
            Criterion by which the columns of a row are ranked.

            - 'value': the prediction.
            - 'lower': the prediction less `z` standard deviations, to be careful.
            - 'upper': the prediction plus `z` standard deviations, to explore.
            - 'utility': how likely the row is to have the entry observed, times the
              probability that its value is at least `threshold`. For ratings, which
              users give to items that they chose, it predicts choices best. Only with
              ``covariance_type="factor"``, whose `mask_rank` is not 0.
            - callable: a function of (values, std) that returns scores, all three
              ndarrays of shape (m, n_features) for the rows of a block; minus infinity
              leaves an entry out.
        z : float, default=None
            Number of standard deviations of 'lower' and 'upper', which alone take it.
            None is 1.
        threshold : float, default=None
            Values of at least this number are liked, for 'utility'. None takes the
            highest value that half of the entries observed in fit reach, less half the
            step to the next lower value: 3.75 for half-star ratings of which half are 4
            or more. Where no value is lower, half the step to the next higher value is
            added: 3 for the ratings 1, 1, 1 and 5. It does not concern other rankings.
        items : array-like or sparse matrix, default=None
            The candidates: indices of columns, their names if X had names in fit, or a
            boolean mask of shape (n_features,), for all rows; or a boolean matrix of
            shape (n_samples, n_features) with the candidates of each row, of which a
            sparse one may store any numbers but 0. None takes all columns.
        exclude : array-like or sparse matrix, default=None
            Columns to leave out, given as `items` are.
        exclude_observed : bool, default=True
            Leave out the observed entries of the row. Otherwise they count with their
            values.
        return_std : bool, default=False
            Return standard deviations too.

        Returns
        -------
        items : ndarray of shape (n_samples, n_items)
            Column indices, best first; of equal ones the first column first. -1 where
            fewer columns are left.
        values : ndarray of shape (n_samples, n_items)
            Their predictions, whatever they are ranked by; NaN where fewer columns are
            left.
        std : ndarray of shape (n_samples, n_items)
            Standard deviations, as in `complete`. Only if ``return_std``.

        Raises
        ------
        ValueError
            If ``n_items`` is less than 1, `rank_by`, `z` or `threshold` is none of the
            above, `z` is given with another ranking than 'lower' and 'upper', `items`
            or `exclude` do not fit X, or 'utility' is asked of a mixture that does not
            model which entries are observed.

        See Also
        --------
        sklearn_gmmcf.model_selection.recommendation_scorer : Measures the lists.
        sklearn_gmmcf.metrics : Metrics of lists.
        similar_items : Columns that are like some columns.

        Notes
        -----
        In 'utility', how likely an entry is observed is predicted from the mask of the
        row alone, by the leading singular vectors of the mask of fit
        (:doc:`/guide/ratings_matrix`). The probability belongs to a normal distribution
        with the mean and the standard deviation of the prediction.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = [[5, 1, 4, 2], [4, 1, np.nan, np.nan], [1, 5, 2, 4], [2, 4, 1, 5]]
        >>> mixture = MaskedGaussianMixture(
        ...     2, covariance_type="spherical", random_state=0
        ... ).fit(X)
        >>> items, values = mixture.recommend(X[1:2], n_items=1)
        >>> items, values
        (array([[2]]), array([[4.]]))
        >>> mixture.recommend(X[1:2], n_items=2, exclude=[2])[0]
        array([[ 3, -1]])
        """
        data, model = self._open(X), self._model
        check_count("n_items", n_items)
        if isinstance(rank_by, str) and rank_by == "utility":
            self._check_predicts_mask()
            if threshold is None:
                threshold = model.parameters.features.threshold
        ranking, choices = make_ranking(
            data.shape,
            n_items,
            rank_by=rank_by,
            z=z,
            threshold=threshold,
            items=items,
            exclude=exclude,
            exclude_observed=exclude_observed,
            names=getattr(self, "feature_names_in_", None),
        )
        numbers = RowArray((n_items,), data.dtype)
        return data.row_arrays(
            partial(model.largest, data.dtype, ranking, return_std),
            RowArray((n_items,), np.dtype(np.intp)),
            *([numbers] * (1 + return_std)),
            max_rows=model.max_completed_rows,
            inputs=choices,
        )

    def _check_predicts_mask(self) -> None:
        """Refuse to rank by utility without a model of the mask."""
        family = self._model.family
        if not family.predicts_mask or getattr(family, "mask_rank", None) == 0:
            has = "mask_rank=0" if family.predicts_mask else type(family).__name__
            raise ValueError(
                "rank_by='utility' needs a mixture that learns which entries are "
                "observed: MaskedGaussianMixture(covariance_type='factor') with a "
                f"mask_rank, but this one has {has}. Fit such a mixture, or rank by "
                "'value', 'lower' or 'upper'."
            )

    @one_blas_thread
    def score_entries(self, X: Any, entries: Any, values: Any) -> Array:
        """Compute the log-density of values of missing entries, given the observed.

        A missing entry has in each component a Gaussian (with `degrees_of_freedom` a t
        distribution) given the observed entries of its row; this is the log-density of
        their mixture. It judges means and variances of completions together.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,)
            Row and column indices of missing entries of X, in any order.
        values : array-like of shape (m,)
            Their values.

        Returns
        -------
        log_density : ndarray of shape (m,)
            In nats, of each entry by itself.

        Raises
        ------
        ValueError
            If entries and values are not equally long, values are not finite, or an
            entry is observed in X or belongs to a covariate.

        See Also
        --------
        cdf_entries : The distribution function.
        sklearn_gmmcf.model_selection.hide_entries : Hides entries to be judged by.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> mixture.fit(X).score_entries(X, ([4, 4], [1, 1]), [10.1, 12]).round(1)
        array([   1.3, -162.1])
        """
        return self._judge("log_density_entries", X, entries, values)

    @one_blas_thread
    def cdf_entries(self, X: Any, entries: Any, values: Any) -> Array:
        """Compute the probability that missing entries are at most some values.

        The distribution function of the mixture whose log-density `score_entries`
        returns. At the true values of hidden entries it is uniform on (0, 1) where the
        mixture is right (probability integral transform).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,)
            Row and column indices of missing entries of X, in any order.
        values : array-like of shape (m,)
            The values.

        Returns
        -------
        probabilities : ndarray of shape (m,)
            Probabilities given the observed entries of the row.

        Raises
        ------
        ValueError
            As `score_entries`.

        See Also
        --------
        score_entries : The log-density.
        sklearn_gmmcf.plotting.CalibrationDisplay : Draws whether it is uniform.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, 8.2], [5, np.nan]])
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> above = 1 - mixture.fit(X).cdf_entries(X, ([4, 4], [1, 1]), [10, 10.2])
        >>> above.round(2)
        array([0.92, 0.3 ])
        """
        return self._judge("cdf_entries", X, entries, values)

    def _judge(self, question: str, X: Any, entries: Any, values: Any) -> Array:
        """Answers (m,) of the model for values of missing entries."""
        data = self._open(X)
        rows, columns = check_entries(entries, data.shape)
        values = check_array(
            values,
            dtype=np.float64,
            ensure_2d=False,
            ensure_min_samples=0,
            input_name="values",
        )
        self._check_modeled(columns)
        if values.shape != rows.shape:
            raise ValueError(
                "values should be 1d and as long as the entries, but got the shape "
                f"{values.shape} for {len(rows)} entries."
            )
        ask = getattr(self._model, question)
        answers, observed = data.at_entries(
            ask, (rows, columns, values), np.float64, bool
        )
        if observed.any():
            first = np.argmax(observed)
            raise ValueError(
                f"Row {rows[first]}, column {columns[first]} of X is observed; entries "
                "should be missing ones. sklearn_gmmcf.model_selection.hide_entries "
                "makes some."
            )
        return answers

    @one_blas_thread
    def explain(self, X: Any, entries: Any) -> Explanation:
        """Explain completions by the contributions of the observed entries.

        A completion is the mean of its column, plus a part for the components that the
        observed entries point to, plus the contributions of the observed entries within
        the components, plus, with 'factor', the contributions of the mask and of
        covariates. The parts add up to ``complete(X, entries=entries)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,)
            Row and column indices of missing entries of X, in any order.

        Returns
        -------
        explanation : Explanation
            The parts, in the units of the data.

        Raises
        ------
        ValueError
            If entries are not two equally long arrays of indices within X, or an entry
            is observed in X or belongs to a covariate.
        NotImplementedError
            If `covariance_type` is a family of your own whose conditional means are not
            linear in the observed entries.

        See Also
        --------
        complete : The completions.
        sklearn_gmmcf.Explanation : The parts, and a table of them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = [[1, 2, 0], [2, 4, 1], [3, 6, 0], [4, 9, 1], [5, 9, 0], [6, 13, 1]]
        >>> X += [[7, np.nan, 1]]
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> explanation = mixture.fit(X).explain(X, ([6], [1]))
        >>> explanation.base.round(1), explanation.contributions.toarray().round(1)
        (array([8.2]), array([[6. , 0. , 0.4]]))
        >>> completed = mixture.complete(X, entries=([6], [1]))
        >>> explanation.prediction.round(1), completed.round(1)
        (array([14.7]), array([14.7]))
        """
        data = self._open(X)
        rows, columns = check_entries(entries, data.shape)
        self._check_modeled(columns)
        names = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
        return explain(self._model, data, rows, columns, names)

    @honor_set_output
    @one_blas_thread
    def sample_completions(
        self,
        X: Any,
        n_completions: int = 5,
        *,
        entries: Any = None,
        parameters: str = "fitted",
        donors: int | None = None,
        random_state: Any = None,
    ) -> Array:
        """Draw the missing entries given the observed ones: multiple imputation.

        For each completion and row a component is drawn by its responsibility, then
        the missing entries from their conditional Gaussian (with `degrees_of_freedom`:
        t distribution). Draws from the fitted parameters include the uncertainty of the
        entries alone. For inference from the completed tables, such as means and
        regressions with standard errors, take ``parameters="posterior"``, whose draws
        include the uncertainty of the parameters, and pool the estimates by
        :func:`~sklearn_gmmcf.model_selection.pool`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit. With
            ``parameters="posterior"`` pass the rows of the fit.
        n_completions : int, default=5
            Number of draws.
        entries : tuple of two array-likes of shape (m,), default=None
            Row and column indices of the entries to draw, in any order; without
            `donors` the dense matrix is not built. None draws all missing entries.
        parameters : {'fitted', 'posterior'}, default='fitted'
            'fitted' takes the fitted parameters as they are. 'posterior' draws new ones
            for each completion, given X: by data augmentation for Gaussian 'full' and
            'tied' components, else by a fit to X with random weights of the rows
            (Bayesian bootstrap), which starts from the fitted parameters. The
            `sample_weight` of fit does not count: all rows of X count alike.
        donors : int, default=None
            Predictive mean matching: a drawn entry becomes an observed value of its
            column. It is one of this many, drawn with equal probability, whose
            expectations are nearest to the expectation of the entry. 5 is usual.
            Bounds, integers and skew of columns are kept. Each column with missing
            entries takes a pass over the table for each draw.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.

        Returns
        -------
        completions : ndarray of shape (n_completions, n_samples, n_features) or \
                (n_completions, m)
            Observed entries as they are, draws of the missing ones. A list of
            `n_completions` frames where `set_output` or ``transform_output`` asks for
            frames; with `entries`, always an array.

        Raises
        ------
        ValueError
            If ``n_completions`` or ``donors`` is less than 1, entries are not two
            equally long arrays of indices within X, or X has too few rows to draw
            covariance matrices from.
        MemoryError
            If the dense matrices do not fit in memory: ask for some entries.

        See Also
        --------
        sklearn_gmmcf.model_selection.pool : Pools estimates by Rubin's rules.

        Notes
        -----
        Expectations are conditional means given the rest of the completed row. They are
        the fitted ones for donors, and the drawn ones for missing entries (type 1
        matching in the terms of van Buuren 2018). Columns are matched one after the
        other. A column without an observed entry in X keeps its draws.

        In 'posterior' draws, parameters of a column without an observed entry in X keep
        their fitted regression on the other columns.

        References
        ----------
        D. B. Rubin (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.

        J. L. Schafer (1997). Analysis of Incomplete Multivariate Data. Chapman and
        Hall.

        S. van Buuren (2018). Flexible Imputation of Missing Data, 2nd edition. Chapman
        and Hall.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.model_selection import pool
        >>> rng = np.random.default_rng(0)
        >>> X = rng.multivariate_normal([0, 5], [[1, 0.8], [0.8, 1]], size=50)
        >>> X[X[:, 0] > 0.5, 1] = np.nan
        >>> mixture = MaskedGaussianMixture(covariance_type="full", tol=1e-6).fit(X)
        >>> draws = mixture.sample_completions(
        ...     X, 20, parameters="posterior", random_state=0
        ... )
        >>> draws.shape
        (20, 50, 2)

        The mean of the second column, pooled:

        >>> means, variances = draws[:, :, 1].mean(axis=1), draws[:, :, 1].var(axis=1)
        >>> pooled = pool(means, variances / 49, dfcom=49)
        >>> print(f"{pooled.estimate:.1f} +- {pooled.std_error:.1f}")
        5.1 +- 0.2
        """
        data = self._open(X)
        if not isinstance(data, Observed):
            raise TypeError(
                "sample_completions takes data in memory, but X is a Dask array. Call "
                "it with some rows at a time, such as X.blocks[0].compute()."
            )
        check_count("n_completions", n_completions)
        if parameters not in _PARAMETERS:
            raise ValueError(
                f"parameters should be one of {_PARAMETERS}, but got {parameters!r}."
            )
        if donors is not None:
            check_count("donors", donors)
        return impute(
            self._model,
            data,
            n_completions,
            check_random_state(random_state),
            entries=None if entries is None else check_entries(entries, data.shape),
            refit=self._refit if parameters == "posterior" else None,
            n_donors=donors,
        )

    @one_blas_thread
    def similar_items(self, columns: Any, n_items: int = 10) -> tuple[Array, Array]:
        r"""Find the columns that are most similar to some columns.

        With 'factor', columns are compared by their loadings, less the loadings of the
        average column, on factors of rows of which nothing is known. The uncertainty of
        the loadings counts: the fewer entries a column has, the less similar it is to
        any, and without entries (and `column_features`) it is similar to none. Other
        families compare columns by their correlation over the rows of all components.

        Parameters
        ----------
        columns : int, str or array-like of shape (m,)
            Indices of columns, or their names if X of fit had names.
        n_items : int, default=10
            Number of similar columns to find for each.

        Returns
        -------
        items : ndarray of shape (n_items,) or (m, n_items)
            Column indices, the most similar first; neither the column itself nor
            covariates are among them. -1 where fewer columns are left. 1d for a single
            column.
        similarities : ndarray of the same shape
            From -1 to 1; NaN where fewer columns are left.

        Raises
        ------
        ValueError
            If there is no such column, it is one of the covariates, ``n_items`` is less
            than 1, or a component has no covariance (`degrees_of_freedom` of 2 or
            fewer).
        NotImplementedError
            If `covariance_type` is a family of your own without covariance matrices.

        See Also
        --------
        similar_rows : The same for rows.
        explain : Contributions of observed entries to a completion.

        Notes
        -----
        With 'factor', relative loadings :math:`v_j = w_j / \tilde u_j - m`, and the
        covariance S of the factors in the mixture, features of rows included, it is

        .. math::
            s_{ij} = \frac{{\bar v}_i^T S {\bar v}_j}
            {\sqrt{E[v_i^T S v_i] \, E[v_j^T S v_j]}}

        :doc:`/mathematics` explains the symbols.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(50, 1)) * [1, -1, 1, 0] + rng.normal(size=(50, 4)) / 2
        >>> X[rng.random(X.shape) < 0.3] = np.nan
        >>> mixture = MaskedGaussianMixture(covariance_type="full").fit(X)
        >>> items, similarities = mixture.similar_items(0, n_items=3)
        >>> items, similarities.round(1)
        (array([2, 3, 1]), array([ 0.8, -0.2, -0.7]))
        """
        check_is_fitted(self)
        check_count("n_items", n_items)
        names = getattr(self, "feature_names_in_", None)
        chosen = find_columns(columns, names, self._model.n_columns)
        self._check_modeled(chosen)
        items, similarities = find_similar_columns(self._model, chosen, n_items)
        if np.ndim(columns) == 0:
            return items[0], similarities[0]
        return items, similarities

    @one_blas_thread
    def similar_rows(
        self, X: Any, n_rows: int = 10, *, candidates: Any = None
    ) -> tuple[Array, Array]:
        r"""Find the rows that are most similar to the rows of X.

        With 'factor', rows are compared by the columns that their factors predict, less
        the prediction for the average column. Other families compare completed rows, in
        units of the columns, about the mean of the mixture. The uncertainty of factors
        and completions counts: the fewer entries a row has, the less similar it is to
        any, and a row of which nothing is known is similar to none.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.
        n_rows : int, default=10
            Number of similar rows to find for each.
        candidates : array-like or sparse matrix of shape (m, n_features), default=None
            Rows to find them in. None takes the other rows of X.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_rows)
            Indices of candidates, the most similar first; -1 where fewer are left.
        similarities : ndarray of shape (n_samples, n_rows)
            From -1 to 1; NaN where fewer are left.

        Raises
        ------
        ValueError
            If ``n_rows`` is less than 1.

        See Also
        --------
        similar_items : The same for columns.

        Notes
        -----
        With the vector :math:`v_i` of a row over the columns, of which means and
        variances are known, the similarity of two rows is
        :math:`{\bar v}_i^T {\bar v}_j / \sqrt{E[v_i^T v_i] \, E[v_j^T v_j]}`.
        Without 'factor', the completed candidates are held in memory.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> rows, similarities = mixture.fit(X).similar_rows(X, 2)
        >>> np.sort(rows[:2])
        array([[1, 2],
               [0, 2]])
        """
        data = self._open(X)
        check_count("n_rows", n_rows)
        others = None if candidates is None else self._open(candidates)
        return find_similar_rows(self._model, data, others, n_rows)

    def sample(self, n_samples: int = 1) -> tuple[Array, Array]:
        """Draw complete rows from the fitted mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Drawn rows, ordered by component. Covariates have their means.
        y : ndarray of shape (n_samples,)
            Their components.

        See Also
        --------
        sample_completions : Draws the missing entries of given rows.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> rows, components = mixture.fit(X).sample(4)
        >>> rows.round(1), components
        (array([[8.9, 9. ],
               [7.4, 9. ],
               [0.9, 2. ],
               [1.9, 2. ]]), array([0, 0, 1, 1]))
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        return self._model.sample(n_samples, check_random_state(self.random_state))

    def get_covariance(self, component: int, *, columns: Any = None) -> Array:
        """Build the covariance matrix of a component.

        Parameters
        ----------
        component : int
            Index of the component.
        columns : array-like of int of shape (p,), default=None
            Indices of the columns of the matrix; None takes all.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features) or (p, p)
            Covariance of the component's rows, whatever the `covariance_type`.

        Raises
        ------
        ValueError
            If there is no such component, or it is a t distribution of 2 or fewer
            degrees of freedom, which has no covariance.

        See Also
        --------
        similar_items : Compares columns by their correlations, or by their loadings.

        Examples
        --------
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(100, 20, density=0.5, random_state=0).data
        >>> mixture = MaskedGaussianMixture(covariance_type="factor", n_factors=2)
        >>> mixture = mixture.fit(X)
        >>> mixture.get_covariance(0, columns=[0, 1]).round(2)
        array([[0.41, 0.04],
               [0.04, 0.53]])
        """
        check_is_fitted(self)
        n_components = self._model.n_components
        if not isinstance(component, Integral) or not 0 <= component < n_components:
            raise ValueError(
                f"component should be an integer from 0 to {n_components - 1}, but got "
                f"{component!r}."
            )
        every = np.arange(self._model.n_columns)
        chosen = every if columns is None else every[np.asarray(columns)]
        return self._model.covariance(component, chosen)

    def describe_components(
        self, X: Any = None, *, n_columns: int | None = 3
    ) -> dict[str, Array]:
        """Describe each component by its size and its most distinctive columns.

        A column is distinctive for a component if its mean there is many of the
        column's standard deviations away from the column's overall mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Rows to count: adds `n_rows`. None counts no rows.
        n_columns : int, default=3
            Number of columns for each component. None takes all columns that were
            observed in fit, covariates aside.

        Returns
        -------
        description : dict of ndarrays of shape (n_components * n_columns,)
            A table in columns, as ``pandas.DataFrame`` takes it, with a line for each
            component and each of its columns, the most distinctive one first:

            - ``component``: its index;
            - ``weight``: its share, as in `weights_`;
            - ``n_rows``: the number of rows of X, each counted by its responsibility
              (only with X);
            - ``column``: name of the column, or its index if the columns have no names;
            - ``mean``: mean of the column in the component, in the units of the data;
            - ``deviation``: this mean less the mean of the column's observed entries in
              fit, in standard deviations of these entries; 0 for a constant column.

        Raises
        ------
        ValueError
            If ``n_columns`` is less than 1.

        See Also
        --------
        sklearn_gmmcf.plotting.TypesDisplay : Draws the columns that types prefer.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
        >>> description = mixture.fit(X).describe_components(X, n_columns=1)
        >>> for name, values in description.items():
        ...     print(f"{name:9}", values.round(2))
        component [0 1]
        weight    [0.5 0.5]
        n_rows    [3. 3.]
        column    [0 1]
        mean      [8.5 2. ]
        deviation [ 1.21 -1.22]
        """
        check_is_fitted(self)
        if n_columns is not None:
            check_count("n_columns", n_columns)
        components, columns, means, deviations = self._model.distinguish(n_columns)
        names = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
        description = {
            "component": components,
            "weight": self._model.parameters.weights[components],
        }
        if X is not None:
            sizes = to_memory(self.predict_proba(X)).sum(axis=0)
            description["n_rows"] = sizes[components]
        return description | {
            "column": names[columns],
            "mean": means,
            "deviation": deviations,
        }

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        marker = self.missing_values
        tags.input_tags.allow_nan = isinstance(marker, Real) and bool(np.isnan(marker))
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _open(self, X: Any) -> Blocks:
        """Validate X in every method except fit and partial_fit."""
        check_is_fitted(self)
        return open_data(
            self,
            X,
            reset=False,
            missing_values=self.missing_values,
            columns=self._model.columns,
            executor=threads(self.n_jobs),
            **self._model.block_options,
        )

    def _open_for_fit(
        self,
        X: Any,
        sample_weight: Any,
        *,
        make_family: Callable[[Blocks], Family[Any, Any]],
        earlier: Columns | None = None,
    ) -> tuple[Blocks, Family[Any, Any]]:
        """Validate X in fit, and make the family for it.

        `earlier` are the columns of a fit that is continued.
        """
        data = open_data(
            self,
            X,
            reset=earlier is None,
            min_rows=2,
            sample_weight=sample_weight,
            missing_values=self.missing_values,
            earlier=earlier,
            keep=True,
            executor=threads(self.n_jobs),
            **self._describe_columns(),
        )
        n_rows = data.shape[0]
        if n_rows < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} should be at most the number of "
                f"rows with a positive weight, but X has n_samples={n_rows} of them."
            )
        family = make_family(data)
        unknown = np.flatnonzero(~data.columns.known & data.columns.modeled)
        if unknown.size:
            filling = family.unknown_columns
            if data.columns.features is not None:
                filling = "what their column_features predict"
            warn_user(
                UnobservedColumnsWarning(
                    f"{unknown.size} column(s) without an observed entry are filled "
                    f"with {filling}: {self._list_columns(unknown)}."
                )
            )
        is_long = data.shape[0] >= _MIN_INDICATOR_ROWS
        if data.is_sparse and is_long and not data.columns.variances.any():
            self._check_zeros(X, data)
        return data.in_blocks(**get_block_options(family)), family

    def _check_zeros(self, X: Any, data: Blocks) -> None:
        """Warn if a sparse matrix without two values in a column has lost zeros."""
        columns = data.columns
        n_stored = data.total(lambda block: block.counts.sum())
        n_entries = data.shape[0] * columns.modeled.sum()
        if columns.known.sum() < n_stored < n_entries:
            is_frame = nw.dependencies.is_into_dataframe(X)
            way_out = "make 0 the fill_value" if is_frame else "pass X.toarray()"
            warn_user(
                LostZerosWarning(
                    "All values that each column of X stores are the same, and entries "
                    "that are not stored are missing, so that nothing tells one entry "
                    "from another. If they are zeros, as in a matrix of ones, "
                    f"{way_out}, or store the zeros that were observed: "
                    f"{self._list_columns(np.flatnonzero(columns.known))}."
                )
            )

    def _check_modeled(self, columns: Array) -> None:
        """Refuse entries of covariates, which have no density."""
        covariates = np.isin(columns, self._model.columns.covariates)
        if covariates.any():
            first = columns[[np.argmax(covariates)]]
            raise ValueError(
                f"Column {self._list_columns(first)} is one of the covariates, which "
                "are not modeled. Leave out its entries."
            )

    def _describe_columns(self) -> dict[str, Any]:
        """What the user says of the columns, as options of `open_data`."""
        return {}

    def _refit(self, data: Observed) -> Any:
        """Parameters fitted to rows of other weights, from the fitted ones."""
        raise NotImplementedError

    def _list_columns(self, columns: Array) -> str:
        """Names of the first of some columns, for a message."""
        names = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
        listed = ", ".join(str(name) for name in names[columns[:10]])
        return listed + (", ..." if len(columns) > 10 else "")

    def _open_batch(
        self,
        X: Any,
        sample_weight: Any,
        columns: Columns | None = None,
        anchored: str = "known",
    ) -> Blocks:
        """Validate X in partial_fit after the first batch; it may bring new columns.

        It brings none where ``columns`` are given; see `learn_columns`.
        """
        # A batch is read once, so it needs no centered copy.
        return open_data(
            self,
            X,
            reset=False,
            sample_weight=sample_weight,
            missing_values=self.missing_values,
            columns=columns,
            earlier=self._model.columns,
            anchored=anchored,
            executor=threads(self.n_jobs),
            **self._model.block_options,
        )

    def _check_continued(
        self, family: Family[Any, Any], purpose: str, way_out: str
    ) -> None:
        """Refuse to continue a fit that had another shape."""
        n_components = self._model.n_components
        if n_components != self.n_components:
            raise ValueError(
                f"{purpose} continues a fit with n_components={n_components}, but "
                f"n_components is {self.n_components} now. Set it back, or {way_out}."
            )
        kinds = {
            type(each.base if isinstance(each, Student) else each)
            for each in (family, self._model.family)
        }
        if len(kinds) > 1:
            raise ValueError(
                f"{purpose} continues a fit with another covariance_type than "
                f"{self.covariance_type!r}. Set it back, or {way_out}."
            )
        for name in ("n_factors", "mask_rank", "degrees_of_freedom"):
            value, fitted = (
                getattr(each, name, None) for each in (family, self._model.family)
            )
            if value != fitted:
                raise ValueError(
                    f"{purpose} continues a fit with {name}={fitted!r}, but {name} is "
                    f"{value!r} now. Set it back, or {way_out}."
                )
        for name, same in self._compare_columns().items():
            if not same:
                raise ValueError(
                    f"{purpose} continues a fit with other {name}. Set them back, or "
                    f"{way_out}."
                )

    def _compare_columns(self) -> dict[str, bool]:
        """Whether the user says of the columns as in the fit, by parameter."""
        columns = self._model.columns
        described = check_columns(self, **self._describe_columns())
        features = described["features"]
        if features is None or columns.features is None:
            same = features is columns.features
        else:
            same = np.array_equal(features, columns.features, equal_nan=True)
        return {
            "covariates": np.array_equal(described["covariates"], columns.covariates),
            "column_features": same,
        }

    def _warn_of(self, reviews: Review) -> None:
        """Warn of what the data cannot tell, and of which columns."""
        for warning, columns in reviews:
            listed = f": {self._list_columns(columns)}." if len(columns) else "."
            warn_user(type(warning)(f"{warning}{listed}"))

    def _set_model(
        self, model: Model, objective: float = 0.0, learned: Any = None
    ) -> None:
        """Take a model as the fit, unless it or its objective is not finite.

        ``learned`` are those of the parameters that are new, all if None.
        """
        new = model if learned is None else replace(model, parameters=learned)
        self._check_finite(new, objective)
        attributes = model.attributes()
        # Another family may have had others.
        for name in getattr(self, "_attribute_names", set()) - attributes.keys():
            if hasattr(self, name):
                delattr(self, name)
        self._attribute_names = set(attributes)
        self._model = model
        for name, value in attributes.items():
            setattr(self, name, value)

    def _check_finite(self, model: Model, objective: float) -> None:
        numbers = [np.asarray(objective), *_list_arrays(model.parameters)]
        if all(np.isfinite(each).all() for each in numbers):
            return
        units = model.columns.units[model.columns.known]
        raise ValueError(
            "The fit left the range of floating-point numbers. Standard deviations of "
            f"the columns range from {units.min():.3g} to {units.max():.3g}: scale "
            "them (StandardScaler), and keep sample_weight within a few orders of "
            "magnitude."
        )


def _count_entries(block: Block) -> float:
    return float(block.counts.sum())


def _list_arrays(parameters: Any) -> list[Array]:
    """The arrays of parameters, and of those that they hold; columns aside."""
    arrays = []
    for value in vars(parameters).values():
        if isinstance(value, np.ndarray):
            arrays.append(value)
        elif is_dataclass(value) and not isinstance(value, Columns):
            arrays += _list_arrays(value)
    return arrays


Fit = TypeVar("Fit", bound=Callable[..., Any])


def restore_on_failure(fit: Fit) -> Fit:
    """Leave the estimator as it was when its fit fails or is interrupted."""

    @wraps(fit)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper  # type: ignore[return-value]
