"""What both estimators share: the door, prediction, scores, completion, samples."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.base import (
    BaseEstimator,
    DensityMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gmmcf._dask import (
    call_at_entries,
    call_lazily,
    in_chunks,
    is_dask,
    observe_chunks,
    to_memory,
)
from sklearn_gmmcf._executors import one_blas_thread, threads
from sklearn_gmmcf._observed import (
    Block,
    Blocks,
    Columns,
    Observed,
    bounded,
    observe,
    refuse_unreadable,
)
from sklearn_gmmcf._sklearn import DocumentationLinks, check_sample_weight
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import Family, to_responsibilities

# Bytes of the completed rows that are worked on at once.
_COMPLETED_BYTES = 2**23


class UnobservedColumnsWarning(UserWarning):
    """Some columns have no observed entry in the data that were fitted.

    They are kept, so that columns stay aligned: the mean of all observed entries fills
    them (for 'factor' the mean of the other columns and the row's offset from it), and
    densities ignore values that turn up in them later.
    """


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted mixture, in centered units."""

    family: Family
    parameters: Any
    columns: Columns


class BaseObservedMixture(
    DocumentationLinks,
    CallbackSupportMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
):
    """Mixtures of Gaussians of what was observed: all that needs no fitting."""

    n_components: int
    missing_values: float
    random_state: Any
    n_jobs: int | None
    _model: Model

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit, and predict the component of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            What ``fit(X).predict(X)`` returns.
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    @in_chunks
    @one_blas_thread
    def predict(self, X):
        """Predict the most probable component of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes. A row without observations gets the component of the
            largest weight.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Component labels.
        """
        data = self._observe(X)
        model = self._model
        labels = data.map(
            lambda block: model.family.log_joint(model.parameters, block).argmax(axis=0)
        )
        return np.concatenate(list(labels))

    @in_chunks
    @one_blas_thread
    def predict_proba(self, X):
        """Compute the responsibilities of the components for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes. A row without observations gets ``weights_``.

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Probability of each component given the observed entries of the row.
        """
        data = self._observe(X)
        model = self._model
        responsibilities = np.empty((data.shape[0], len(model.parameters.weights)))

        def fill(block: Block) -> None:
            log_joint = model.family.log_joint(model.parameters, block)
            to_responsibilities(log_joint)
            responsibilities[block.rows] = log_joint.T

        data.each(fill)
        return responsibilities

    @in_chunks
    @one_blas_thread
    def score_samples(self, X):
        """Compute the log-density of the observed entries of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; 0, to rounding, for a row without observations.
        """
        data = self._observe(X)
        model = self._model
        log_densities = data.map(
            lambda block: to_responsibilities(
                model.family.log_joint(model.parameters, block)
            )
        )
        return np.concatenate(list(log_densities))

    def score(self, X, y=None, sample_weight=None):
        """Compute the mean log-density of the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.
        y : Ignored
            Present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        log_density : float
            In nats a row; higher is better.
        """
        log_density = to_memory(self.score_samples(X))
        weights = _check_weights(sample_weight, log_density)
        return float(np.average(log_density, weights=weights))

    def bic(self, X):
        """Bayesian information criterion on X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.

        Returns
        -------
        bic : float
            Lower is better. The sample size is the number of rows; columns never
            observed at fit count no parameters.
        """
        log_density = to_memory(self.score_samples(X))
        return -2 * log_density.sum() + self._n_parameters() * np.log(len(log_density))

    def aic(self, X):
        """Akaike information criterion on X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.

        Returns
        -------
        aic : float
            Lower is better.
        """
        log_density = to_memory(self.score_samples(X))
        return -2 * log_density.sum() + 2 * self._n_parameters()

    def icl(self, X):
        """Integrated completed likelihood on X.

        The BIC plus twice the entropy of the responsibilities: components that share
        rows are dear, so it counts clusters where the BIC counts Gaussians.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes.

        Returns
        -------
        icl : float
            Lower is better.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
        clustering with the integrated completed likelihood. IEEE Transactions on
        Pattern Analysis and Machine Intelligence 22(7), 719-725.
        """
        return self.bic(X) + 2 * entr(to_memory(self.predict_proba(X))).sum()

    @in_chunks
    @one_blas_thread
    def transform(self, X):
        """Complete the matrix: fill each hole with its conditional mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been seen in fit.

        Returns
        -------
        completed : ndarray of shape (n_samples, n_features)
            Dense, of the dtype of X; observed entries are those of X, bit for bit. A
            row without observations gets the mean of the mixture.

        Raises
        ------
        MemoryError
            If the dense matrix cannot be had: ask `complete` for some entries, or
            `recommend` for the highest of each row.
        """
        completed, _ = self._complete_rows(self._observe(X), return_std=False)
        return completed

    @one_blas_thread
    def complete(self, X, *, entries=None, return_std=False):
        """Complete the matrix, or some of its entries, with standard deviations.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,), default=None
            Row and column indices of the entries to complete, in any order; the dense
            matrix is not built. None completes all.
        return_std : bool, default=False
            Return standard deviations too.

        Returns
        -------
        completed : ndarray of shape (n_samples, n_features) or (m,)
            Observed entries as they are, conditional means in the holes.
        std : ndarray of the same shape
            Standard deviations of the entries given what the row shows, within plus
            between components; 0 where observed. Only if ``return_std``.

        Raises
        ------
        ValueError
            If entries are not two equally long arrays of indices within X.
        MemoryError
            If the dense matrix cannot be had: ask for some entries.
        """
        if is_dask(X):
            return self._complete_dask(X, entries, return_std)
        data = self._observe(X)
        if entries is None:
            completed, std = self._complete_rows(data, return_std=return_std)
        else:
            rows, columns = check_entries(entries, data.shape)
            completed, std = self._complete_entries(
                data, rows, columns, return_std=return_std
            )
        return (completed, std) if return_std else completed

    @in_chunks
    @one_blas_thread
    def recommend(self, X, n_items=10, *, exclude_observed=True, return_std=False):
        """Find the columns with the highest predictions for each row.

        For users in rows and items in columns: the items that each user would rate
        highest. Works through blocks of rows; the completed matrix is not built.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been seen in fit.
        n_items : int, default=10
            Number of columns to find for each row.
        exclude_observed : bool, default=True
            Leave out what the row has observed. Otherwise it counts with its value.
        return_std : bool, default=False
            Return standard deviations too.

        Returns
        -------
        items : ndarray of shape (n_samples, n_items)
            Column indices, best first; of equal ones the first column first. -1 where
            fewer columns are left.
        values : ndarray of shape (n_samples, n_items)
            Their predictions; NaN where fewer columns are left.
        std : ndarray of shape (n_samples, n_items)
            Standard deviations, as those of `complete`. Only if ``return_std``.

        Raises
        ------
        ValueError
            If ``n_items`` is less than 1.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[5, 1, 4, 2], [5, 1, np.nan, np.nan], [1, 5, 2, 4]])
        >>> mixture = MaskedGaussianMixture(2, random_state=0).fit(X)
        >>> items, values = mixture.recommend(X[[1]], n_items=1)
        >>> items, values
        (array([[2]]), array([[4.]]))
        """
        data = self._observe(X)
        integer = isinstance(n_items, Integral) and not isinstance(n_items, bool)
        if not integer or n_items < 1:
            raise ValueError(
                f"n_items should be an integer of at least 1, but got {n_items!r}."
            )
        shape = data.shape[0], n_items
        items = np.full(shape, -1, dtype=np.intp)
        values = np.full(shape, np.nan, dtype=data.dtype)
        std = np.full(shape, np.nan, dtype=data.dtype) if return_std else None
        n_found = min(n_items, data.shape[1])

        def rank(rows, completed, spread):
            ranked = completed.copy()
            if exclude_observed:
                data.restore(rows, ranked, value=-np.inf)
            best = _largest(ranked, n_found)
            found = np.take_along_axis(ranked, best, axis=1) > -np.inf
            for target, source in [
                (items, best),
                (values, np.take_along_axis(completed, best, axis=1)),
                (std, None if spread is None else np.take_along_axis(spread, best, 1)),
            ]:
                if target is not None:
                    np.copyto(target[rows, :n_found], source, where=found)

        self._complete_blocks(data, return_std, rank)
        return (items, values, std) if return_std else (items, values)

    @one_blas_thread
    def score_entries(self, X, entries, values):
        """Compute the log-density of values in some holes given what was observed.

        A hole has in each component a Gaussian given the observed entries of its row;
        this is the log-density of their mixture. It judges means and variances of
        completions at once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been seen in fit.
        entries : tuple of two array-likes of shape (m,)
            Row and column indices of holes of X, in any order.
        values : array-like of shape (m,)
            What these would hold.

        Returns
        -------
        log_density : ndarray of shape (m,)
            In nats, of each entry by itself.

        Raises
        ------
        ValueError
            If entries and values are not equally long, values are not finite, or an
            entry is observed in X.
        """
        in_dask = is_dask(X)
        data = None if in_dask else self._observe(X)
        rows, columns = check_entries(entries, X.shape if in_dask else data.shape)
        values = check_array(
            values,
            dtype=np.float64,
            ensure_2d=False,
            ensure_min_samples=0,
            input_name="values",
        )
        if values.shape != rows.shape:
            raise ValueError(
                "values should be 1d and as long as the entries, but got the shape "
                f"{values.shape} for {len(rows)} entries."
            )
        if in_dask:
            of_entries = {"rows": rows, "columns": columns, "values": values}
            return call_at_entries(self, "score_entries", X, of_entries)[0]
        _, observed = data.lookup(rows, columns)
        if observed.any():
            first = np.argmax(observed)
            raise ValueError(
                f"Row {rows[first]}, column {columns[first]} of X is observed; entries "
                "should be holes. sklearn_gmmcf.model_selection.hide_entries makes "
                "some."
            )
        log_density = np.empty(len(rows))
        model = self._model
        _, holes = _look_up(data, rows, columns)
        for block in data.blocks(touching=holes.rows):
            here = holes.within(block)
            log_density[here] = model.family.log_density_entries(
                model.parameters,
                block,
                rows[here] - block.rows.start,
                columns[here],
                values[here] - model.columns.center[columns[here]],
            )
        return log_density

    @one_blas_thread
    def sample_completions(
        self, X, n_completions=5, *, entries=None, random_state=None
    ):
        """Draw the holes given what was observed: multiple imputation.

        For each completion and row a component is drawn by its responsibility, then
        the holes from their conditional Gaussian. So draws include the uncertainty of
        the holes, but not that of the fitted parameters: where rows are few, fit to
        resampled rows for each draw.

        What is estimated from each completed table is pooled by Rubin's rules: the mean
        of the estimates; and for its variance, the mean of their variances plus
        ``1 + 1 / n_completions`` times the variance of the estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with holes; rows need not have been seen in fit.
        n_completions : int, default=5
            Number of draws.
        entries : tuple of two array-likes of shape (m,), default=None
            Row and column indices of the entries to draw, in any order; the dense
            matrix is not built. None draws all holes.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.

        Returns
        -------
        completions : ndarray of shape (n_completions, n_samples, n_features) or \
                (n_completions, m)
            Observed entries as they are, draws in the holes.

        Raises
        ------
        ValueError
            If ``n_completions`` is less than 1, or entries are not two equally long
            arrays of indices within X.
        MemoryError
            If the dense matrices cannot be had: ask for some entries.

        References
        ----------
        D. B. Rubin (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = np.array([[1, 2], [2, 4.1], [3, 5.9], [4, np.nan]])
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> draws = mixture.fit(X).sample_completions(X, 20, random_state=0)
        >>> draws.shape
        (20, 4, 2)

        The mean of the second column, pooled:

        >>> estimates = draws[:, :, 1].mean(axis=1)
        >>> within = draws[:, :, 1].var(axis=1, ddof=1).mean() / len(X)
        >>> between = estimates.var(ddof=1)
        >>> std_error = np.sqrt(within + (1 + 1 / 20) * between)
        >>> print(f"{estimates.mean():.1f} +- {std_error:.1f}")
        5.0 +- 1.3
        """
        data = self._observe(X)
        if not isinstance(n_completions, Integral) or n_completions < 1:
            raise ValueError(
                "n_completions should be an integer of at least 1, but got "
                f"{n_completions!r}."
            )
        rng = check_random_state(random_state)
        model = self._model

        shared = model.family.draw_shared(model.parameters, n_completions, rng)

        def draw(block, rows, columns):
            drawn = model.family.draw(
                model.parameters, shared, block, rows, columns, rng
            )
            return drawn + model.columns.center[columns]

        if entries is None:
            completions = _empty_dense(data, n_completions)
            for block in data.blocks(_most_rows(data)):
                rows, columns = data.holes(block.rows)
                for completed, drawn in zip(
                    completions[:, block.rows], draw(block, rows, columns), strict=True
                ):
                    completed[rows, columns] = drawn
                    data.restore(block.rows, completed)
            return completions
        rows, columns = check_entries(entries, data.shape)
        # An entry that is asked twice is drawn once.
        n_columns = data.shape[1]
        places, back = np.unique(rows * n_columns + columns, return_inverse=True)
        rows, columns = np.divmod(places, n_columns)
        observed, holes = _look_up(data, rows, columns)
        completions = np.repeat(observed[None], n_completions, axis=0)
        for block in data.blocks(touching=holes.rows):
            here, first = holes.within(block), block.rows.start
            completions[:, here] = draw(block, rows[here] - first, columns[here])
        return completions[:, back]

    def sample(self, n_samples=1):
        """Draw rows without holes from the fitted mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Drawn rows, ordered by component.
        y : ndarray of shape (n_samples,)
            Their components.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples should be an integer of at least 1, but got {n_samples!r}."
            )
        rng = check_random_state(self.random_state)
        sizes = rng.multinomial(n_samples, self._model.parameters.weights)
        model = self._model
        rows = np.vstack(model.family.sample(model.parameters, sizes, rng))
        return rows + model.columns.center, np.repeat(np.arange(len(sizes)), sizes)

    def get_covariance(self, component):
        """Build the covariance matrix of a component.

        Parameters
        ----------
        component : int
            Index of the component.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            Covariance of the component's rows, whatever the `covariance_type`.
        """
        check_is_fitted(self)
        model = self._model
        n_components = len(model.parameters.weights)
        if not isinstance(component, Integral) or not 0 <= component < n_components:
            raise ValueError(
                f"component should be an integer from 0 to {n_components - 1}, but got "
                f"{component!r}."
            )
        columns = np.arange(self.n_features_in_)
        return model.family.covariance(model.parameters, component, columns)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_model")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        marker = self.missing_values
        tags.input_tags.allow_nan = isinstance(marker, Real) and bool(np.isnan(marker))
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _n_parameters(self) -> int:
        """Number of free parameters."""
        model = self._model
        n_columns = int(model.columns.known.sum())
        return model.family.n_parameters(model.parameters, n_columns)

    def _validate(self, X: Any, *, reset: bool, ensure_min_samples: int = 1) -> Any:
        if is_dask(X):  # what its chunks hold is looked at where they lie
            if X.shape[0] < ensure_min_samples:
                raise ValueError(
                    f"Found array with {X.shape[0]} sample(s) (shape={X.shape}) while "
                    f"a minimum of {ensure_min_samples} is required."
                )
            return validate_data(self, X, reset=reset, skip_check_array=True)
        refuse_unreadable(X)
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            ensure_min_samples=ensure_min_samples,
        )

    def _observe(self, X: Any) -> Observed:
        """The door of every method but fit."""
        check_is_fitted(self)
        if is_dask(X):
            raise TypeError(
                "This method takes data in memory, but X is a Dask array. Call it with "
                "some rows at a time, such as X.blocks[0].compute()."
            )
        return observe(
            self._validate(X, reset=False),
            given=X,
            missing_values=self.missing_values,
            columns=self._model.columns,
            run=threads(self.n_jobs),
            **_block_options(self._model.family),
        )

    def _observe_for_fit(
        self,
        X: Any,
        sample_weight: Any,
        *,
        family: Family,
        earlier: Columns | None = None,
    ) -> Blocks:
        """The door of fit; `earlier` are the columns of a fit that is continued."""
        data = self._observe_rows(
            X,
            self._validate(X, reset=earlier is None, ensure_min_samples=2),
            sample_weight,
            family,
            earlier=earlier,
        )
        n_rows = data.shape[0]
        if n_rows < self.n_components:
            raise ValueError(
                f"n_components={self.n_components} should be at most the number of "
                f"rows with a positive weight, but X has n_samples={n_rows} of them."
            )
        unknown = np.flatnonzero(~data.columns.known)
        if unknown.size:
            names = getattr(self, "feature_names_in_", np.arange(data.shape[1]))
            shown = ", ".join(str(name) for name in names[unknown[:10]])
            more = ", ..." if unknown.size > 10 else ""
            warn_user(
                f"{unknown.size} column(s) without an observed entry are filled with "
                f"{family.unknown_columns}: {shown}{more}.",
                UnobservedColumnsWarning,
            )
        return data

    def _observe_batch(self, X: Any, sample_weight: Any) -> Blocks:
        """The door of partial_fit after the first batch."""
        return self._observe_rows(
            X,
            self._validate(X, reset=False),
            sample_weight,
            self._model.family,
            earlier=self._model.columns,
            anchored=True,
        )

    def _observe_rows(
        self,
        X: Any,
        validated: Any,
        sample_weight: Any,
        family: Family,
        *,
        earlier: Columns | None,
        anchored: bool = False,
    ) -> Blocks:
        options: dict[str, Any] = {
            "missing_values": self.missing_values,
            "earlier": earlier,
            "anchored": anchored,
            "weights": _check_weights(sample_weight, validated),
            "run": threads(self.n_jobs),
            **_block_options(family),
        }
        if is_dask(X):
            return observe_chunks(X, **options)
        # A batch is read once, so it needs no centered copy.
        return observe(validated, given=X, keep=not anchored, **options)

    def _refuse_other_model(self, family: Family, purpose: str, way_out: str) -> None:
        """Refuse to continue a fit that had another shape."""
        n_components = len(self.weights_)
        if n_components != self.n_components:
            raise ValueError(
                f"{purpose} continues a fit with n_components={n_components}, but "
                f"n_components is {self.n_components} now. Set it back, or {way_out}."
            )
        if type(self._model.family) is not type(family):
            raise ValueError(
                f"{purpose} continues a fit with another covariance_type than "
                f"{self.covariance_type!r}. Set it back, or {way_out}."
            )
        n_factors, fitted = (
            getattr(of, "n_factors", None) for of in (family, self._model.family)
        )
        if n_factors != fitted:
            raise ValueError(
                f"{purpose} continues a fit with n_factors={fitted}, but n_factors is "
                f"{n_factors} now. Set it back, or {way_out}."
            )

    def _set_model(self, model: Model) -> None:
        self._model = model
        attributes = model.family.attributes(model.parameters, model.columns)
        for name, value in attributes.items():
            setattr(self, name, value)

    def _complete_dask(self, X: Any, entries: Any, return_std: bool) -> Any:
        if entries is None:
            return call_lazily(self, "complete", X, return_std=return_std)
        rows, columns = check_entries(entries, X.shape)
        of_entries = {"rows": rows, "columns": columns}
        results = call_at_entries(
            self, "complete", X, of_entries, return_std=return_std
        )
        return results if return_std else results[0]

    def _complete_rows(
        self, data: Observed, *, return_std: bool
    ) -> tuple[Array, Array | None]:
        completed = _empty_dense(data)
        std = _empty_dense(data) if return_std else None

        def write(rows: slice, of_rows: Array, spread: Array | None) -> None:
            completed[rows] = of_rows
            if std is not None:
                std[rows] = spread

        self._complete_blocks(data, return_std, write)
        return completed, std

    def _complete_blocks(
        self,
        data: Observed,
        return_std: bool,
        use: Callable[[slice, Array, Array | None], None],
    ) -> None:
        """Call with rows, these completed (m, d), and their standard deviations."""
        model = self._model

        def complete(block: Block) -> None:
            means, variances = model.family.complete_rows(
                model.parameters, block, with_variance=return_std
            )
            completed = (means + model.columns.center).astype(data.dtype, copy=False)
            data.restore(block.rows, completed)
            std = None
            if variances is not None:
                std = np.sqrt(variances).astype(data.dtype, copy=False)
                data.restore(block.rows, std, value=0.0)
            use(block.rows, completed, std)

        data.each(complete, _most_rows(data))

    def _complete_entries(
        self, data: Observed, rows: Array, columns: Array, *, return_std: bool
    ) -> tuple[Array, Array | None]:
        completed, holes = _look_up(data, rows, columns)
        std = np.zeros(len(rows), dtype=data.dtype) if return_std else None
        model = self._model

        def complete(block: Block) -> None:
            here = holes.within(block)
            means, variances = model.family.complete_entries(
                model.parameters,
                block,
                rows[here] - block.rows.start,
                columns[here],
                with_variance=return_std,
            )
            completed[here] = means + model.columns.center[columns[here]]
            if std is not None and variances is not None:
                std[here] = np.sqrt(variances)

        data.each(complete, touching=holes.rows)
        return completed, std


def _check_weights(sample_weight: Any, X: Any) -> Array | None:
    if sample_weight is None:
        return None
    if hasattr(sample_weight, "compute"):
        sample_weight = sample_weight.compute()  # of Dask
    return check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )


def _block_options(family: Family) -> dict[str, Any]:
    return {"grouped": family.groups_rows, "most_rows": family.most_rows}


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user that called into this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[
        0
    ] in ("sklearn_gmmcf", "sklearn"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def restore_on_failure(fit: Callable) -> Callable:
    """Leave the estimator as it was when its fit fails or is interrupted."""

    @wraps(fit)
    def wrapper(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper


@dataclass(frozen=True, eq=False)
class _Holes:
    """The holes among some entries, by rows."""

    places: Array  # (m,), among the entries
    rows: Array  # (m,), ascending

    def within(self, block: Block) -> Array:
        """Places of those in the rows of a block."""
        bounds = np.searchsorted(self.rows, (block.rows.start, block.rows.stop))
        return self.places[slice(*bounds)]


def _look_up(data: Observed, rows: Array, columns: Array) -> tuple[Array, _Holes]:
    """Observed values at some entries, and the holes among these."""
    values, observed = data.lookup(rows, columns)
    holes = np.flatnonzero(~observed)
    holes = holes[np.argsort(rows[holes], kind="stable")]
    return values, _Holes(holes, rows[holes])


def _most_rows(data: Observed) -> int:
    """How many completed rows are worked on at once."""
    return max(bounded(_COMPLETED_BYTES) // (8 * data.shape[1]), 1)


def _largest(array: Array, n: int) -> Array:
    """Columns of the n largest entries of each row, in descending order (m, n)."""
    if n < array.shape[1]:
        # All that are larger than the nth are taken, and of its equals the first.
        nth = np.partition(array, -n, axis=1)[:, [-n]]
        candidates = array >= nth
        surplus = candidates.sum(axis=1) > n
        if surplus.any():
            equal = array[surplus] == nth[surplus]
            room = n - (array[surplus] > nth[surplus]).sum(axis=1, keepdims=True)
            candidates[surplus] &= ~equal | (np.cumsum(equal, axis=1) <= room)
        columns = np.nonzero(candidates)[1].reshape(len(array), n)
    else:
        columns = np.broadcast_to(np.arange(n), array.shape)
    order = np.argsort(-np.take_along_axis(array, columns, axis=1), kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _empty_dense(data: Observed, *copies: int) -> Array:
    try:
        return np.empty((*copies, *data.shape), dtype=data.dtype)
    except (MemoryError, ValueError) as error:
        raise MemoryError(
            f"The completed matrix of shape {data.shape} does not fit in memory. Use "
            "complete(X, entries=(rows, columns)) for the entries that you need, or "
            "recommend(X) for the highest of each row."
        ) from error


def check_entries(entries: Any, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Row and column indices within a matrix of this shape."""
    if not isinstance(entries, (tuple, list, np.ndarray)) or len(entries) != 2:
        raise ValueError(
            "entries should be a pair (rows, columns) of index arrays, but got "
            f"{type(entries).__name__}. np.nonzero(mask) makes one of a mask."
        )
    checked = []
    for name, indices, bound in zip(("rows", "columns"), entries, shape, strict=True):
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise ValueError(
                f"The {name} of entries should be a 1d array of integers, but got "
                f"{indices.ndim}d of dtype {indices.dtype}."
            )
        indices = indices.astype(np.intp)
        outside = indices[(indices < 0) | (indices >= bound)]
        if outside.size:
            raise ValueError(
                f"The {name} of entries should be from 0 to {bound - 1}, but got "
                f"{outside[0]}."
            )
        checked.append(indices)
    rows, columns = checked
    if len(rows) != len(columns):
        raise ValueError(
            "The rows and columns of entries should be equally long, but got "
            f"{len(rows)} and {len(columns)}."
        )
    return rows, columns
