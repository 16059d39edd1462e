# SPDX-License-Identifier: BSD-3-Clause
"""NormalScoreTransformer: columns of any distribution, made normal by their ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._sklearn import PackageEstimator, check_sample_weight
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import validate_numbers
from sklearn_gmmcf.data import check_numbers, is_observed


class NormalScoreTransformer(
    PackageEstimator, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Replace the observed entries of each column by their normal scores.

    The value of rank r among n observed entries of a column (equal values share the
    mean of their ranks) becomes :math:`\Phi^{-1}((r - 1/2) / n)`, with :math:`\Phi` the
    normal distribution function; values in between are interpolated linearly, values
    beyond the observed range take the scores of its ends. So skewed columns and columns
    with heavy tails come near to a normal distribution, which a mixture of few
    Gaussians describes better. Missing entries (NaN) stay missing.

    Attributes
    ----------
    values_ : list of ndarrays
        Distinct observed values of each column, ascending.

    scores_ : list of ndarrays
        Their normal scores.

    n_features_in_ : int
        Number of columns seen in fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where those seen in fit are all strings.

    See Also
    --------
    sklearn_gmmcf.MixtureImputer : Has a member behind this transformer.
    sklearn.preprocessing.QuantileTransformer : The same by a grid of quantiles, with
        the smallest and the largest value 5.2 standard deviations away.
    sklearn.preprocessing.PowerTransformer : Made normal by a formula of one parameter.

    References
    ----------
    H. Liu, J. Lafferty and L. Wasserman (2009). The nonparanormal: semiparametric
    estimation of high dimensional undirected graphs. Journal of Machine Learning
    Research 10, 2295-2328.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf.preprocessing import NormalScoreTransformer
    >>> X = np.array([[1.0], [2.0], [4.0], [800.0], [np.nan]])
    >>> scores = NormalScoreTransformer().fit(X)
    >>> scores.transform(X).ravel().round(2)
    array([-1.15, -0.32,  0.32,  1.15,   nan])
    >>> scores.inverse_transform([[0.0]])
    array([[3.]])
    """

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> NormalScoreTransformer:
        """Learn the ranks of the observed values of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing entries, NaN.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; an integer weight is that many equal rows.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If X is sparse or not a matrix of numbers.

        See Also
        --------
        transform : Replace values by scores.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import NormalScoreTransformer
        >>> X = np.array([[1.0], [2.0], [4.0], [800.0], [np.nan]])
        >>> scores = NormalScoreTransformer().fit(X)
        >>> scores.transform([[2.0], [3.0]]).round(2)
        array([[-0.32],
               [ 0.  ]])
        """
        X = self._open(X, reset=True)
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        learned = [_learn(column, weights) for column in X.T]
        self.values_ = [values for values, _ in learned]
        self.scores_ = [scores for _, scores in learned]
        return self

    def transform(self, X: Any) -> Array:
        """Replace values by their normal scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing entries, NaN; rows need not have been seen in fit.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_features)
            Of the dtype of X, NaN where X is. A column without a value in fit is 0
            where it is observed.

        See Also
        --------
        inverse_transform : The way back.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import NormalScoreTransformer
        >>> X = np.array([[1.0], [2.0], [4.0], [800.0], [np.nan]])
        >>> NormalScoreTransformer().fit_transform(X).ravel().round(2)
        array([-1.15, -0.32,  0.32,  1.15,   nan])
        """
        check_is_fitted(self)
        X = self._open(X, reset=False)
        return _interpolate(X, self.values_, self.scores_)

    def inverse_transform(self, X: Any) -> Array:
        """Bring normal scores back to the units of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normal scores, NaN where missing.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features)
            Within the range of the values seen in fit; NaN where X is. A column without
            a value in fit is 0.

        See Also
        --------
        transform : Replaces values by scores.

        Examples
        --------
        >>> from sklearn.pipeline import make_pipeline
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> from sklearn_gmmcf.preprocessing import NormalScoreTransformer
        >>> X = np.array([[1, 1], [2, 4], [3, 9], [4, 900], [5, np.nan], [np.nan, 5]])
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> pipe = make_pipeline(NormalScoreTransformer(), mixture).fit(X)

        Completions are within the range of the column:

        >>> pipe.inverse_transform(pipe.transform(X))[-2:].round(1)
        array([[  5. , 900. ],
               [  2.4,   5. ]])
        """
        check_is_fitted(self)
        scores = check_numbers(X)
        if scores.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X should have the {self.n_features_in_} columns seen in fit, but got "
                f"{scores.shape[1]}."
            )
        return _interpolate(scores, self.scores_, self.values_)

    def _open(self, X: Any, reset: bool) -> Array:
        opened = validate_numbers(self, X, reset=reset)
        is_observed(opened, np.nan)
        return opened

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _learn(column: Array, weights: Array | None) -> tuple[Array, Array]:
    """Distinct observed values of a column, ascending, and their normal scores."""
    observed = ~np.isnan(column)
    if weights is not None:
        observed &= weights > 0
        weights = weights[observed]
    values, index = np.unique(column[observed], return_inverse=True)
    sizes = np.bincount(index, weights, minlength=len(values))
    # The middle of each value's share of the rows: (r - 1/2) / n of its mean rank.
    middles = np.cumsum(sizes) - sizes / 2
    return values.astype(np.float64), ndtri(middles / sizes.sum())


def _interpolate(X: Array, sources: list[Array], targets: list[Array]) -> Array:
    """Columns of X, mapped from one grid to another; NaN stay."""
    mapped = np.zeros_like(X)
    pairs = zip(sources, targets, strict=True)
    for column, result, (source, target) in zip(X.T, mapped.T, pairs, strict=True):
        if len(source):
            result[:] = np.interp(column, source, target)
        # A grid of one value has it for NaN, too.
        result[np.isnan(column)] = np.nan
    return mapped
