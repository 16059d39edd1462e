# SPDX-License-Identifier: BSD-3-Clause
"""The door: what users pass is checked here, and becomes blocks of rows.

Completed matrices leave through it as frames, where users ask for frames.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Integral
from typing import Any, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gmmcf._sklearn import (
    check_sample_weight,
    get_output_container,
    wrap_in_container,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.data import Blocks, check_numbers, observe, read_numbers
from sklearn_gmmcf.data._column_features import check_column_features, find_columns
from sklearn_gmmcf.data._dask import is_dask, observe_chunks
from sklearn_gmmcf.data._reading import CHECK_OPTIONS, keeps_sparse, naming_infinity

Method = TypeVar("Method", bound=Callable[..., Any])


def open_data(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    min_rows: int = 1,
    sample_weight: Any = None,
    covariates: Any = None,
    column_features: Any = None,
    **options: Any,
) -> Blocks:
    """Validate X, and decide which of its entries are observed.

    Parameters
    ----------
    reset : bool
        Whether the estimator learns the number and names of the columns.
    covariates, column_features
        As the user gave them, in fit.
    options
        See `observe`; `keep` does not concern Dask arrays.
    """
    if is_dask(X):  # its chunks are validated where they lie
        if X.shape[0] < min_rows:
            raise ValueError(
                f"Found array with {X.shape[0]} sample(s) (shape={X.shape}) while "
                f"a minimum of {min_rows} is required."
            )
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        options.pop("keep", None)
        weights = check_weights(sample_weight, X)
        described = check_columns(estimator, covariates, column_features)
        return observe_chunks(X, weights=weights, **described, **options)
    validated = validate_numbers(
        estimator, X, reset=reset, accept_sparse="csr", ensure_min_samples=min_rows
    )
    weights = check_weights(sample_weight, validated)
    described = check_columns(estimator, covariates, column_features)
    return observe(validated, given=X, weights=weights, **described, **options)


def validate_numbers(estimator: Any, X: Any, *, reset: bool, **options: Any) -> Any:
    """X as an array or a sparse matrix of floats, with names and number of columns.

    Parameters
    ----------
    reset : bool
        Whether the estimator learns these.
    options
        Of scikit-learn's `check_array`.
    """
    missing_values = getattr(estimator, "missing_values", np.nan)
    keep_sparse = keeps_sparse(options, missing_values)
    X = nw.to_native(X, pass_through=True)
    numbers = read_numbers(X, keep_sparse=keep_sparse)
    options = CHECK_OPTIONS | options
    with naming_infinity(numbers, X):
        if nw.dependencies.is_into_dataframe(X):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            return check_array(numbers, input_name="X", estimator=estimator, **options)
        return validate_data(estimator, numbers, reset=reset, **options)


def check_columns(
    estimator: Any, covariates: Any = None, column_features: Any = None
) -> dict[str, Any]:
    """Covariates and features of the columns of X, checked, as options of `observe`."""
    names = getattr(estimator, "feature_names_in_", None)
    n_columns = estimator.n_features_in_
    return {
        "covariates": find_columns(covariates, names, n_columns),
        "features": check_column_features(column_features, names, n_columns),
    }


def check_weights(sample_weight: Any, X: Any) -> Array | None:
    """Weights of the rows of X in double precision; None if there are none."""
    if sample_weight is None:
        return None
    if hasattr(sample_weight, "compute"):
        sample_weight = sample_weight.compute()  # Dask's
    weights = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():  # scikit-learn refuses them since 1.9
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


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


def check_count(name: str, value: Any) -> None:
    """Refuse anything but an integer of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"{name} should be an integer of at least 1, but got {value!r}."
        )


def check_lazy_output(estimator: Any) -> None:
    """Refuse output containers that would load a lazy array as a whole."""
    container = get_output_container("transform", estimator)
    if container != "default":
        raise TypeError(
            "X is a Dask array, whose completions are Dask arrays, but set_output or "
            f"transform_output asks for {container}, which would load all of them. "
            "Set it to 'default'."
        )


def check_completed(estimator: Any, X: Any) -> Any:
    """Check the columns of completed rows, which may have any container."""
    check_is_fitted(estimator)
    if not is_dask(X):
        X = check_numbers(X, accept_sparse=True)
    if X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} columns, but {type(estimator).__name__} was fitted on "
            f"{estimator.n_features_in_}. Pass completed rows with all columns."
        )
    return X


def honor_set_output(complete: Method) -> Method:
    """Return completed matrices as frames where `set_output` asks for frames.

    Of several matrices in one array a list of frames is made.
    """

    @wraps(complete)
    def wrapper(
        self: Any, X: Any, *args: Any, entries: Any = None, **kwargs: Any
    ) -> Any:
        completed = complete(self, X, *args, entries=entries, **kwargs)
        if entries is not None or get_output_container("transform", self) == "default":
            return completed
        if isinstance(completed, tuple):
            return tuple(wrap_in_container(each, X, self) for each in completed)
        if completed.ndim == 3:
            return [wrap_in_container(each, X, self) for each in completed]
        return wrap_in_container(completed, X, self)

    return wrapper  # type: ignore[return-value]
