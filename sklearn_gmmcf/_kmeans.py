# SPDX-License-Identifier: BSD-3-Clause
"""KMeansMixture: parameters, docstring, fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from sklearn_gmmcf._base import BaseObservedMixture, restore_on_failure
from sklearn_gmmcf._em import RunningStatistics
from sklearn_gmmcf._executors import one_blas_thread
from sklearn_gmmcf._lloyd import (
    LloydResult,
    assign,
    find_nearest,
    mean_variance,
    own_distances,
    run_lloyd,
)
from sklearn_gmmcf._model import Model
from sklearn_gmmcf._progress import Progress
from sklearn_gmmcf._silhouette import silhouette_samples
from sklearn_gmmcf._sklearn import Interval, StrOptions, fit_context
from sklearn_gmmcf._starts import draw_distant_rows, draw_rows, start_rows
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._validation import check_count
from sklearn_gmmcf._warnings import warn_user
from sklearn_gmmcf.covariance import Spherical
from sklearn_gmmcf.covariance._family import check_shape
from sklearn_gmmcf.covariance._reviews import review_units
from sklearn_gmmcf.data import Block, Blocks, Observed, RowArray
from sklearn_gmmcf.data._dask import to_memory

# Relative difference of inertias that rounding makes.
_ROUNDING = 1e-10


class KMeansMixture(BaseObservedMixture):
    """K-means of data with missing entries, which hands back a mixture.

    Lloyd's iterations on the observed entries: the distance of a row to a center runs
    over the observed entries of the row, and a center averages the observed entries of
    its rows. On complete data, from the same centers, all results equal the results of
    :class:`sklearn.cluster.KMeans`. The clusters then make a spherical mixture: their
    shares are its weights, their centers its means, and each has one variance. So it is
    compared on equal terms with :class:`MaskedGaussianMixture`.

    `predict`, `labels_`, `fit_predict`, `inertia_` and `cluster_centers_` belong to
    k-means; `predict_proba`, `score`, `score_samples`, `transform`, `complete`, `bic`,
    `aic` and `sample` belong to the mixture.

    Parameters
    ----------
    n_components : int, default=1
        Number of clusters K.

    missing_values : float, default=np.nan
        The value that marks a missing entry. NaN elsewhere is then an error. In a
        sparse matrix an unstored entry is missing, too; a stored 0 is an observation.

    tol : float, default=1e-4
        Stop when the squared movement of the centers is at most this, relative to the
        mean variance of the columns.

    max_iter : int, default=300
        Largest number of iterations.

    n_init : int, default=1
        Number of starts, of which the one with the lowest inertia is kept. Centers
        given as `init` are one start.

    init : {'k-means++', 'random'} or array-like of shape (n_components, n_features), \
            default='k-means++'
        First centers: rows drawn far from each other, rows drawn uniformly (with column
        means for missing entries), or these.

    reg_covar : float, default=1e-6
        Added to each variance (squared units of the data).

    min_variance : float, default=0.0
        Floor under each variance (squared units of the data).

    random_state : int, RandomState instance or None, default=None
        Seeds the starts and `sample`.

    n_jobs : int, default=None
        Number of threads that work on blocks of rows, as in joblib: None is 1, -1 is
        one for each core. Results do not depend on it.

    verbose : int, default=0
        Write the inertia of each iteration. See also `set_callbacks`.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_components, n_features)
        Centers. One that observed nothing in a column keeps its first value there; a
        column never observed has the mean of all observed entries.

    labels_ : ndarray of shape (n_samples,)
        The nearest center of each row of the fitted data.

    inertia_ : float
        Sum of squared distances of rows to their centers over observed entries, times
        `sample_weight`.

    n_iter_ : int
        Iterations of the best run.

    weights_ : ndarray of shape (n_components,)
        Shares of the clusters.

    means_ : ndarray of shape (n_components, n_features)
        The centers.

    covariances_ : ndarray of shape (n_components,)
        Mean squared distance of observed entries to the center, for each cluster.

    precisions_ : ndarray of shape (n_components,)
        Inverse variances.

    precisions_cholesky_ : ndarray of shape (n_components,)
        Inverse standard deviations.

    n_parameters_ : int
        Number of free parameters; columns never observed count none.

    n_features_in_ : int
        Number of columns seen in fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.

    See Also
    --------
    MaskedGaussianMixture : Mixtures by EM on the same data.
    sklearn.cluster.KMeans : K-means of complete data.

    Notes
    -----
    `tol` is relative to variances that are weighted by `sample_weight`, so that an
    integer weight is that many equal rows; the variances in KMeans are not weighted.

    `set_output` and ``transform_output`` of scikit-learn make frames of the results of
    `transform`, `complete` and `sample_completions`. `inverse_transform` returns
    completions as they are, so that a Pipeline of scalers and a mixture returns to the
    units of the data.

    X may be a Dask array in chunks of whole rows, whose blocks are dense or CSR
    (``pip install "dask[array]"``). Chunks are worked on where they lie, by any
    scheduler, `n_jobs` aside; the start comes from a seeded sample of
    ``max(50 * n_components, 10_000)`` rows where there are more. Results for each row
    are then lazy Dask arrays; scores, and completions of some entries, are computed at
    once. `sample_completions` takes data in memory.

    References
    ----------
    J. T. Chi, E. C. Chi and R. G. Baraniuk (2016). k-POD: a method for k-means
    clustering of missing data. The American Statistician 70(1), 91-99.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gmmcf import KMeansMixture
    >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
    >>> kmeans = KMeansMixture(n_components=2, random_state=0).fit(X)
    >>> round(kmeans.inertia_, 3)
    1.167
    >>> kmeans.transform([[8.0, np.nan]]).round(1)
    array([[8., 9.]])
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "missing_values": [Interval(Real, None, None, closed="neither"), "nan"],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), "array-like"],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "min_variance": [Interval(Real, 0.0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        missing_values: float = np.nan,
        tol: float = 1e-4,
        max_iter: int = 300,
        n_init: int = 1,
        init: Any = "k-means++",
        reg_covar: float = 1e-6,
        min_variance: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.missing_values = missing_values
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init = init
        self.reg_covar = reg_covar
        self.min_variance = min_variance
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @restore_on_failure
    @fit_context(prefer_skip_nested_validation=True)
    @one_blas_thread
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeansMixture:
        """Cluster the rows of X by their observed entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries: dense, a DataFrame, sparse in COO, CSR, CSC, LIL
            or DOK format, or a Dask array in chunks of rows.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; an integer weight is that many equal rows.

        Returns
        -------
        self : object
            The fitted clustering.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used, or a variance is zero while `reg_covar`
            and `min_variance` are 0.

        See Also
        --------
        partial_fit : Learn from further rows, without the earlier ones.
        silhouette : How well the clusters are separated.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import KMeansMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> kmeans = KMeansMixture(2, random_state=0).fit(X)
        >>> print(kmeans.labels_)
        [1 1 1 0 0 0]
        >>> kmeans.cluster_centers_.round(1)
        array([[8.5, 9. ],
               [1.3, 2. ]])
        """
        return self._fit(X, sample_weight, n_batches=None)

    def _fit(self, X: Any, sample_weight: Any, n_batches: int | None) -> KMeansMixture:
        """Fit; `n_batches` goes into the running statistics."""
        family = self._make_family()
        data, _ = self._open_for_fit(X, sample_weight, make_family=lambda data: family)
        starts = self._starts(data)
        progress = Progress(self, X, len(starts), self.max_iter)
        tolerance = self._find_tolerance(data)
        runs = [self._run(data, start, tolerance, progress) for start in starts]
        # Of runs that are equal but for rounding the first is kept.
        limit = min(run.inertia for run in runs) * (1 + _ROUNDING)
        best = next(run for run in runs if run.inertia <= limit)
        n_found = len(np.unique(best.labels))
        if n_found < self.n_components:
            warn_user(
                f"Found {n_found} distinct cluster(s), fewer than "
                f"n_components={self.n_components}: X may have too few distinct rows.",
                ConvergenceWarning,
            )
        parameters, statistics = _make_mixture(family, data, best)
        self._running = RunningStatistics(statistics, n_batches)
        self._set_model(Model(family, parameters, data.columns), best.inertia)
        self._warn_of(review_units(data.columns))
        self.cluster_centers_ = self.means_
        self.inertia_ = best.inertia
        self.n_iter_ = best.n_iter
        # Rows of weight 0 are left out of the runs, but have labels.
        self.labels_ = (
            best.labels if sample_weight is None else to_memory(self.predict(X))
        )
        progress.close()
        return self

    def _refit(self, data: Observed) -> Any:
        run = run_lloyd(
            data,
            self._model.parameters.means,
            max_iter=self.max_iter,
            tolerance=self._find_tolerance(data),
        )
        return _make_mixture(self._make_family(), data, run)[0]

    def _find_tolerance(self, data: Blocks) -> float:
        """Squared movement of the centers at which a run ends."""
        return self.tol * mean_variance(data) if self.tol > 0 else 0.0

    def _run(
        self,
        data: Blocks,
        start: Callable[[], Array],
        tolerance: float,
        progress: Progress,
    ) -> LloydResult:
        """One run of Lloyd's iterations, with its messages and callbacks."""

        def watch(n_iter: int, inertia: float) -> bool:
            self._write(f"Iteration {n_iter}, inertia {inertia}.")
            return progress.iterate()

        progress.begin()
        centers = start()
        self._write("Initialization complete")
        run = run_lloyd(
            data, centers, max_iter=self.max_iter, tolerance=tolerance, watch=watch
        )
        if run.converged:
            self._write(f"Converged at iteration {run.n_iter}.")
        progress.end()
        return run

    @restore_on_failure
    @fit_context(prefer_skip_nested_validation=True)
    @one_blas_thread
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> KMeansMixture:
        """Update the clusters by a batch of rows.

        The first batch is fitted as `fit` does. The rows of each further one join the
        clusters of the nearest centers, which become the means of their rows;
        :meth:`MaskedGaussianMixture.partial_fit` says how these count beside earlier
        rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Some rows with missing entries. A column that was never observed before is
            learned from its first batch on. The first batch needs at least
            `n_components` rows.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; an integer weight is that many equal rows.

        Returns
        -------
        self : object
            The updated clustering. `labels_` and `inertia_` describe the batch;
            `n_iter_` keeps its value from the fit.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used; the clustering is then unchanged.

        See Also
        --------
        fit : Fit to all rows at once.

        Examples
        --------
        >>> from sklearn_gmmcf import KMeansMixture
        >>> from sklearn_gmmcf.datasets import make_ratings
        >>> X = make_ratings(600, 20, n_types=2, density=0.7, random_state=0).data
        >>> kmeans = KMeansMixture(2, random_state=0)
        >>> for first in range(0, 600, 200):
        ...     kmeans = kmeans.partial_fit(X[first : first + 200])
        >>> both = KMeansMixture(2, random_state=0).fit(X)
        >>> print(f"{kmeans.score(X):.2f} {both.score(X):.2f}")
        -12.75 -12.74
        """
        if not hasattr(self, "_model"):
            return self._fit(X, sample_weight, n_batches=1)
        family = self._make_family()
        self._check_continued(family, "partial_fit", "fit anew")
        data = self._open_batch(X, sample_weight)
        previous = self._model
        parameters = family.recenter(
            previous.parameters, previous.columns, data.columns
        )
        labels, _ = assign(data, parameters.means)
        batch = _sum_clusters(family, parameters, data, labels)
        self._running = self._running.add(batch)
        parameters = family.maximize(self._running.statistics, parameters)
        self._set_model(Model(family, parameters, data.columns))
        self.cluster_centers_ = self.means_
        labels, _ = assign(data, parameters.means)
        distances = own_distances(data, parameters.means, labels)
        self.inertia_ = float(data.weights @ distances)
        self.labels_ = labels if sample_weight is None else to_memory(self.predict(X))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit, and predict the nearest center of each row.

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
            `labels_`.

        See Also
        --------
        predict : Clusters of other rows.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import KMeansMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> print(KMeansMixture(2, random_state=0).fit_predict(X))
        [1 1 1 0 0 0]
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    @one_blas_thread
    def predict(self, X: Any) -> Any:
        """Predict the nearest center of each row, over its observed entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries. A row without observations gets label 0.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Cluster labels.

        See Also
        --------
        fit_predict : Clusters of the rows of the fit.
        predict_proba : Responsibilities of the clusters as Gaussians.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import KMeansMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> kmeans = KMeansMixture(2, random_state=0).fit(X)
        >>> print(kmeans.predict([[np.nan, 1], [8, np.nan]]))
        [1 0]
        """
        data, centers = self._open(X), self._model.parameters.means
        return data.row_arrays(
            partial(find_nearest, centers),
            RowArray((), np.dtype(np.int32)),
            RowArray((), np.dtype(np.float64)),
        )[0]

    @one_blas_thread
    def silhouette(
        self, X: Any, *, max_rows: int = 2000, random_state: Any = None
    ) -> float:
        """Compute the mean silhouette coefficient of the rows.

        The coefficient of a row compares its mean distance a to the other rows of its
        cluster with its mean distance b to the rows of the nearest other cluster:
        ``(b - a) / max(a, b)``. The distance of two rows is
        :func:`~sklearn.metrics.pairwise.nan_euclidean_distances`: the mean squared
        difference over the columns that both observe, times the number of columns, and
        its root. Pairs of rows that share no column are left out, and so are rows
        without any such pair. On complete data it is
        :func:`sklearn.metrics.silhouette_score`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing entries.
        max_rows : int, default=2000
            Where X has more rows, this many are drawn and compared with each other:
            time and memory grow with the square of their number.
        random_state : int, RandomState instance or None, default=None
            Seeds the draw of rows.

        Returns
        -------
        silhouette : float
            From -1 to 1; higher is better.

        Raises
        ------
        ValueError
            If the rows are in one cluster or each in its own, or no two of them share a
            column.

        See Also
        --------
        sklearn_gmmcf.plotting.ModelSelectionDisplay : Draws it over the number of
            clusters, or `inertia_` with its elbow.

        References
        ----------
        P. J. Rousseeuw (1987). Silhouettes: a graphical aid to the interpretation and
        validation of cluster analysis. Journal of Computational and Applied Mathematics
        20, 53-65.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import KMeansMixture
        >>> X = np.array([[1, 2], [1, np.nan], [2, 2], [8, 9], [9, 9], [np.nan, 9]])
        >>> print(f"{KMeansMixture(2, random_state=0).fit(X).silhouette(X):.2f}")
        0.94
        """
        data = self._open(X)
        check_count("max_rows", max_rows)
        chosen = np.ones(data.shape[0], dtype=bool)
        if data.shape[0] > max_rows:
            rng = check_random_state(random_state)
            chosen[rng.permutation(data.shape[0])[max_rows:]] = False
        centers = self._model.parameters.means
        parts = list(data.map(partial(_choose_rows, centers), chosen))
        rows, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
        if not 2 <= len(np.unique(labels)) < len(rows):
            raise ValueError(
                "silhouette needs at least 2 clusters and a cluster of more than one "
                f"row, but these {len(rows)} rows are in {len(np.unique(labels))}."
            )
        silhouettes = silhouette_samples(rows, labels)
        if np.isnan(silhouettes).all():
            raise ValueError("silhouette needs rows that share observed columns.")
        return float(np.nanmean(silhouettes))

    def _make_family(self) -> Spherical:
        return Spherical(reg_covar=self.reg_covar, min_variance=self.min_variance)

    def _starts(self, data: Blocks) -> list[Callable[[], Array]]:
        """Functions that make the first centers of each run, centered."""
        if isinstance(self.init, str):
            rng = check_random_state(self.random_state)
            draw = draw_distant_rows if self.init == "k-means++" else draw_rows
            sample = data.sample(start_rows(self.n_components), rng)
            return [partial(draw, sample, self.n_components, rng)] * self.n_init
        if self.n_init > 1:
            warn_user(
                f"init gives the first centers, so that n_init={self.n_init} makes one "
                "run. Set n_init=1, or init='k-means++'.",
                UserWarning,
            )
        init = check_array(self.init, dtype=np.float64, input_name="init")
        check_shape("init", init, (self.n_components, data.shape[1]))
        centers = np.where(data.columns.known, init - data.columns.center, 0.0)
        return [lambda: centers]

    def _write(self, message: str) -> None:
        if self.verbose:
            print(message)


def _choose_rows(centers: Array, block: Block, chosen: Array) -> tuple[Array, Array]:
    """Chosen rows (m, d) of a block, NaN where missing, and their clusters (m,)."""
    labels, _ = find_nearest(centers, block)
    values, observed = block.dense()
    values = np.where(observed[chosen], values[chosen], np.nan).astype(np.float64)
    return values, labels[chosen]


def _make_mixture(family: Spherical, data: Blocks, run: LloydResult) -> tuple[Any, Any]:
    """The mixture of the clusters of a run, and the statistics of their rows."""
    parameters = family.from_clusters(data, run.labels, run.centers, run.distances)
    statistics = _sum_clusters(family, parameters, data, run.labels)
    return replace(parameters, counts=statistics.counts), statistics


def _sum_clusters(
    family: Spherical, parameters: Any, data: Blocks, labels: Array
) -> Any:
    """Statistics of rows that belong wholly to the clusters that labels (n,) name."""
    return data.total(partial(family.accumulate_clusters, parameters), labels)
