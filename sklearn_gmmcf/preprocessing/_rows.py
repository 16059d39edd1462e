# SPDX-License-Identifier: BSD-3-Clause
"""RowNormalizer: rows of a table with missing entries, centered and scaled.

Ratings are in units of their users: some users rate high, some use the whole scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from sklearn_gmmcf._sklearn import Interval, PackageEstimator, fit_context
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_entries, validate_numbers
from sklearn_gmmcf.data import (
    check_duplicates,
    check_numbers,
    is_observed,
    limit_to_working_memory,
)
from sklearn_gmmcf.data._dask import is_dask
from sklearn_gmmcf.data._rule import raise_nothing_observed
from sklearn_gmmcf.data._stored import filter_entries

# Bytes of dense rows, in double precision, that are worked on together.
_BATCH_BYTES = 2**24
# A deviation this small relative to the mean is a rounding error.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


class RowNormalizer(
    PackageEstimator, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Bring the observed entries of each row to mean 0 and standard deviation 1.

    Some users rate high, and some use the whole scale where others do not. A mixture of
    normalized rows finds users who like the same items, whatever their scale. Row
    :math:`i` with the :math:`n_i` observed entries :math:`x_{ij}`, their mean
    :math:`\bar x_i`, and :math:`q` pseudo-entries (`shrinkage`) becomes
    :math:`z_{ij} = (x_{ij} - \mu_i) / \sigma_i` with

    .. math::

        \mu_i = \frac{n_i \bar x_i + q m}{n_i + q}, \qquad
        \sigma_i^2 = \frac{\sum_j (x_{ij} - \bar x_i)^2 + q s^2}{n_i + q}

    where :math:`m` and :math:`s` are the mean and the standard deviation of all
    observed entries of the table that was fitted. Hofmann [1]_ shrinks the deviations
    by :math:`q = 5`; here the means are shrunk, too, so that a row of few entries stays
    close to the table.

    Parameters
    ----------
    center : bool, default=True
        Subtract the row's mean.

    scale : bool, default=True
        Divide by the row's standard deviation.

    shrinkage : float, default=5
        Number of pseudo-entries of each row. With 0, a row without entries still has
        the table's mean and deviation, and a constant row the table's deviation.

    missing_values : float, default=nan
        The value that marks a missing entry, in addition to the entries that a sparse
        matrix does not store.

    Attributes
    ----------
    mean_ : float
        Mean of the observed entries of the table.

    scale_ : float
        Standard deviation of the observed entries of the table; 1 if all are equal.

    n_features_in_ : int
        Number of columns seen in fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns seen in fit, where all are strings.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture : The model of the normalized rows.
    sklearn_gmmcf.model_selection.completion_scorer : Scores a Pipeline that begins with
        this step in the units of the data.
    sklearn.preprocessing.StandardScaler : The same for columns, without shrinkage.

    Notes
    -----
    The statistics of a row come from the row that is passed, seen in fit or not. So the
    way back needs the rows as they were before `transform`, with their missing entries:
    ``inverse_transform(Z, rows=X)``. All columns should have one unit, and all count:
    leave out covariates.

    Methods of this class work on rows in memory. Rows do not depend on each other: of a
    Dask array ``X.map_blocks(normalizer.transform, dtype=X.dtype)`` normalizes the
    chunks.

    References
    ----------
    .. [1] T. Hofmann (2004). Latent semantic models for collaborative filtering. ACM
       Transactions on Information Systems 22(1), 89-115.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.preprocessing import RowNormalizer
    >>> X = np.array([[5, 5, 3, 3], [3, 3, 1, np.nan], [2, 2, 5, 5], [1, 1, 2, 2]])
    >>> mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
    >>> pipe = make_pipeline(RowNormalizer(shrinkage=1), mixture)
    >>> Z = pipe.fit_transform(X)
    >>> pipe[0].inverse_transform(Z, rows=X).round(1)
    array([[5. , 5. , 3. , 3. ],
           [3. , 3. , 1. , 1.7],
           [2. , 2. , 5. , 5. ],
           [1. , 1. , 2. , 2. ]])

    Some entries with their standard deviations, without the completed matrix:

    >>> entries = [1], [3]
    >>> z, std = pipe[-1].complete(
    ...     pipe[0].transform(X), entries=entries, return_std=True
    ... )
    >>> values, std = pipe[0].inverse_transform(z, rows=X, entries=entries, std=std)
    >>> values.round(1), std.round(1)
    (array([1.7]), array([0.5]))
    """

    _parameter_constraints: dict[str, Any] = {
        "center": ["boolean"],
        "scale": ["boolean"],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "missing_values": [Real],
    }

    def __init__(
        self,
        *,
        center: bool = True,
        scale: bool = True,
        shrinkage: float = 5,
        missing_values: float = np.nan,
    ) -> None:
        self.center = center
        self.scale = scale
        self.shrinkage = shrinkage
        self.missing_values = missing_values

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> RowNormalizer:
        """Learn the mean and the standard deviation of the table.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted normalizer.

        Raises
        ------
        ValueError
            If no entry of X is observed.
        TypeError
            If X is a Dask array.

        See Also
        --------
        transform : Normalize rows.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import RowNormalizer
        >>> X = np.array([[5, 5, 4, np.nan], [2, np.nan, 1, 1]])
        >>> normalizer = RowNormalizer().fit(X)
        >>> print(f"{normalizer.mean_:.2f} {normalizer.scale_:.2f}")
        3.00 1.73
        """
        X = self._open(X, reset=True)
        totals = _total_rows(X, self.missing_values)
        n_entries = totals.counts.sum()
        if not n_entries:
            raise_nothing_observed(X.shape, self.missing_values)
        mean = totals.counts @ totals.means / n_entries
        squares = totals.squares.sum() + totals.counts @ (totals.means - mean) ** 2
        scale = np.sqrt(squares / n_entries)
        self.mean_ = float(mean)
        self.scale_ = float(scale) if scale > _ROUNDING * abs(mean) else 1.0
        return self

    def transform(self, X: Any) -> Any:
        """Normalize rows by their own observed entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries; rows need not have been seen in fit.

        Returns
        -------
        normalized : ndarray or sparse matrix of shape (n_samples, n_features)
            Of the dtype of X. Missing entries stay missing. A sparse matrix is of the
            kind of X (CSR, CSC or COO, else CSR) and stores the observed entries.

        See Also
        --------
        inverse_transform : The way back, for completions.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import RowNormalizer
        >>> X = np.array([[5, 5, 4, np.nan], [2, np.nan, 1, 1]])
        >>> RowNormalizer(shrinkage=1).fit_transform(X).round(1)
        array([[ 0.8,  0.8, -0.3,  nan],
               [ 0.3,  nan, -0.8, -0.8]])
        """
        check_is_fitted(self)
        opened = self._open(X, reset=False)
        statistics = self._statistics(opened)
        return _like(X, _map_values(opened, self.missing_values, _divide, *statistics))

    def row_statistics(self, X: Any) -> tuple[Array, Array]:
        """Compute the mean and the standard deviation by which rows are normalized.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries, before they are transformed.

        Returns
        -------
        means : ndarray of shape (n_samples,)
            Shrunk means, in the units of X; 0 without `center`.
        scales : ndarray of shape (n_samples,)
            Shrunk standard deviations, in the units of X; 1 without `scale`.

        See Also
        --------
        transform : Normalizes by them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import RowNormalizer
        >>> X = np.array([[5, 5, 4, np.nan], [2, np.nan, 1, 1]])
        >>> means, scales = RowNormalizer(shrinkage=1).fit(X).row_statistics(X)
        >>> means.round(1), scales.round(1)
        (array([4.2, 1.8]), array([1., 1.]))
        """
        check_is_fitted(self)
        return self._statistics(self._open(X, reset=False))

    def inverse_transform(
        self, X: Any, rows: Any = None, *, entries: Any = None, std: Any = None
    ) -> Any:
        """Bring normalized values, such as completions, back to the units of the data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or (m,)
            Normalized values. With `entries`, their values alone.
        rows : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows before they were transformed, with their missing entries. Their
            means and deviations are the same as in `transform`.
        entries : tuple of two array-likes of shape (m,), default=None
            Row and column indices of the values, as in `complete` of the mixtures.
        std : array-like of the shape of X, default=None
            Standard deviations of the values, to be returned too.

        Returns
        -------
        values : ndarray or sparse matrix of the shape of X
            In the units of `rows`. Missing entries stay missing.
        std : ndarray of the shape of X
            Standard deviations in the units of `rows`. Only if `std` is given.

        Raises
        ------
        ValueError
            If `rows` is not given, or the shapes do not fit.

        See Also
        --------
        transform : Normalize rows.
        sklearn_gmmcf.MaskedGaussianMixture.complete : Makes the values to bring back.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf.preprocessing import RowNormalizer
        >>> X = np.array([[5, 5, 4, np.nan], [2, np.nan, 1, 1]])
        >>> normalizer = RowNormalizer(shrinkage=1).fit(X)

        The row's mean, where a mixture would have another value:

        >>> completed = np.nan_to_num(normalizer.transform(X), nan=0.0)
        >>> normalizer.inverse_transform(completed, rows=X).round(1)
        array([[5. , 5. , 4. , 4.2],
               [2. , 1.8, 1. , 1. ]])
        """
        if rows is None:
            raise ValueError(
                "inverse_transform of RowNormalizer needs the rows before they were "
                "transformed, as their means and deviations bring values back: pass "
                "inverse_transform(Z, rows=X)."
            )
        means, scales = self.row_statistics(rows)
        if entries is not None:
            indices, _ = check_entries(entries, np.shape(rows))
            means, scales = means[indices], scales[indices]
        values = _check_values("X", X, entries, np.shape(rows), means)
        if entries is not None:
            undone = _multiply(values, means, scales).astype(values.dtype)
        else:
            undone = _like(
                X, _map_values(values, self.missing_values, _multiply, means, scales)
            )
        if std is None:
            return undone
        std = _check_values("std", std, entries, np.shape(rows), means)
        factors = scales if entries is not None else scales[:, None]
        return undone, (std * factors).astype(std.dtype)

    def _open(self, X: Any, reset: bool) -> Any:
        """Validate X: an ndarray, or CSR."""
        if is_dask(X):
            raise TypeError(
                "RowNormalizer works on rows in memory, and X is a Dask array. Fit it "
                "to some of the rows, and normalize chunks by "
                "X.map_blocks(normalizer.transform, dtype=X.dtype)."
            )
        opened = validate_numbers(self, X, reset=reset, accept_sparse="csr")
        if not sparse.issparse(opened):
            return opened
        check_duplicates(X, opened)
        return filter_entries(opened, is_observed(opened.data, self.missing_values))

    def _statistics(self, X: Any) -> tuple[Array, Array]:
        """Shrunk means and deviations (n,) of the rows."""
        totals, q = _total_rows(X, self.missing_values), float(self.shrinkage)
        n, weights = X.shape[0], totals.counts + q
        means, scales = np.zeros(n), np.ones(n)
        if self.center:
            sums = totals.counts * totals.means + q * self.mean_
            means.fill(self.mean_)
            np.divide(sums, weights, out=means, where=weights > 0)
        if self.scale:
            squares = totals.squares + q * self.scale_**2
            variances = np.full(n, self.scale_**2)
            np.divide(squares, weights, out=variances, where=squares > 0)
            scales = np.sqrt(variances)
        return means, scales

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@dataclass(frozen=True, eq=False)
class _RowTotals:
    """Numbers, means and squared deviations of the observed entries of rows."""

    counts: Array  # (n,)
    means: Array  # (n,), 0 without entries
    squares: Array  # (n,), sums of squares about the means


def _total_rows(X: Any, missing_values: float) -> _RowTotals:
    n = X.shape[0]
    counts, sums, squares = np.zeros(n), np.zeros(n), np.zeros(n)
    for at, values, index in _observed_values(X, missing_values):
        n_rows = at.stop - at.start
        counts[at] = np.bincount(index, minlength=n_rows)
        sums[at] = np.bincount(index, values, n_rows)
        means = np.divide(
            sums[at], counts[at], out=np.zeros(n_rows), where=counts[at] > 0
        )
        squares[at] = np.bincount(index, (values - means[index]) ** 2, n_rows)
    means = np.divide(sums, counts, out=np.zeros(n), where=counts > 0)
    # Equal values leave the rounding error of their mean.
    squares[squares <= counts * (_ROUNDING * means) ** 2] = 0.0
    return _RowTotals(counts, means, squares)


def _observed_values(
    X: Any, missing_values: float
) -> Iterator[tuple[slice, Array, Array]]:
    """Batches of rows: their observed values (m,), and the row (m,) of each."""
    for at in _batches(X):
        part = X[at]
        if sparse.issparse(X):
            index = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
            yield at, part.data.astype(np.float64), index
        else:
            observed = is_observed(part, missing_values)
            yield at, part[observed].astype(np.float64), np.nonzero(observed)[0]


def _batches(X: Any) -> Iterator[slice]:
    """Rows that are worked on together: a sparse matrix as a whole."""
    n, d = X.shape
    size = n
    if not sparse.issparse(X):
        size = max(limit_to_working_memory(_BATCH_BYTES) // (8 * d), 1)
    return gen_batches(n, size)


def _divide(values: Array, means: Any, scales: Any) -> Array:
    return (values - means) / scales


def _multiply(values: Array, means: Any, scales: Any) -> Array:
    return values * scales + means


def _map_values(
    X: Any, missing_values: float, change: Any, means: Array, scales: Array
) -> Any:
    """Change the observed values by the statistics (n,) of their rows."""
    if sparse.issparse(X):
        index = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        changed = change(X.data, means[index], scales[index]).astype(X.dtype)
        observed = is_observed(X.data, missing_values)
        result = X.copy()
        result.data = np.where(observed, _avoid(changed, missing_values), X.data)
        return result
    result = np.empty(X.shape, X.dtype)
    for at in _batches(X):
        changed = change(X[at], means[at, None], scales[at, None]).astype(X.dtype)
        observed = is_observed(X[at], missing_values)
        result[at] = np.where(observed, _avoid(changed, missing_values), X[at])
    return result


def _avoid(values: Array, missing_values: float) -> Array:
    """Move values that fell on the marker of missing entries, by rounding."""
    if np.isnan(missing_values):
        return values
    marker = values.dtype.type(missing_values)
    step = np.finfo(values.dtype).eps * max(1, abs(marker))
    return np.where(values == marker, marker + step, values)


def _like(X: Any, result: Any) -> Any:
    """The result in the sparse format of X, where that stores zeros safely."""
    if sparse.issparse(X) and X.format in ("csc", "coo"):
        return result.asformat(X.format)
    return result


def _check_values(
    name: str, X: Any, entries: Any, shape: tuple[int, ...], means: Array
) -> Any:
    """Validate what goes back: a matrix of this shape, or one value for each entry."""
    values = check_numbers(
        X,
        name=name,
        accept_sparse="csr" if name == "X" and entries is None else False,
        ensure_2d=entries is None,
        ensure_min_samples=0 if entries is not None else 1,
    )
    if sparse.issparse(values):
        check_duplicates(X, values)
    expected = shape if entries is None else means.shape
    if values.shape != tuple(expected):
        raise ValueError(
            f"{name} should have the shape {tuple(expected)} of "
            f"{'rows' if entries is None else 'entries'}, but got {values.shape}."
        )
    return values
