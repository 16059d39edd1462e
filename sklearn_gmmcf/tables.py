# SPDX-License-Identifier: BSD-3-Clause
"""TableEncoder: a table of any kinds of column, and the numeric matrix of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from numbers import Integral
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_gmmcf._ids import and_others
from sklearn_gmmcf._sklearn import (
    Interval,
    PackageEstimator,
    StrOptions,
    fit_context,
)
from sklearn_gmmcf._table_columns import (
    Bools,
    Categories,
    Modeled,
    Passthrough,
    Unobserved,
    bound_codes,
    check_kind,
    encode_column,
    learn_code,
    list_some,
)
from sklearn_gmmcf._table_series import (
    Column,
    Table,
    check_eager,
    fill,
    find_missing,
    read_column,
    write,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf._warnings import UnknownLevelsWarning, warn_user
from sklearn_gmmcf.data import check_numbers, check_unmasked

__all__ = ["TableEncoder"]

NUMERIC_KINDS = ("number", "integer", "date", "duration")
KINDS = (*NUMERIC_KINDS, "bool", "category", "passthrough")


class TableEncoder(PackageEstimator, TransformerMixin, BaseEstimator):
    """Make a numeric matrix of a table, and tables of completed matrices.

    A table has columns of numbers, dates, bools, categories and text, with missing
    entries. `transform` makes a matrix of numbers of it, in which missing entries are
    NaN; a mixture completes it; `decode` makes a table of the completed matrix, with
    the dtypes, the index, the categories and the dates of the table that came.

    A table is a pandas, polars or pyarrow frame, or any other frame in memory that
    narwhals reads, or a 2d array, whose columns have the names 0, 1, ... Each of its
    columns has one kind:

    ============= ============================== ======================================
    kind          columns                        encoded as
    ============= ============================== ======================================
    "number"      numbers; columns without any   themselves
                  observed value
    "integer"     integers, and floats that are  themselves; decoded numbers are
                  all whole                      rounded
    "date"        dates, with or without time    days since 1970-01-01 (UTC); decoded
                  and timezone                   dates are rounded to days, seconds,
                                                 milli-, micro- or nanoseconds, the
                                                 coarsest unit of all observed values
    "duration"    durations                      days, rounded as dates are
    "bool"        bools                          0 and 1
    "category"    categories, and text that      one column of 0 and 1 for each level;
                  repeats, of at most            all of them are NaN where the category
                  `max_categories` levels        is missing
    "passthrough" other complete text: ids,      nothing; `decode` takes it from `rows`
                  names
    ============= ============================== ======================================

    Columns of Python objects have the kind of their values.

    Parameters
    ----------
    max_categories : int, default=20
        The most levels that text or categories may have to be modeled.

    passthrough : bool, default=True
        Whether complete text with more levels, or in which no value repeats, passes
        through. If False, such columns are refused, as incomplete ones always are.

    handle_unknown : {'missing', 'error'}, default='missing'
        Treatment of levels that `fit` has not seen: they are missing, with an
        :class:`~sklearn_gmmcf.UnknownLevelsWarning`, or an error.

    round : bool, default=True
        Whether decoded integers, dates and durations are rounded. If False, decoded
        integers are floats.

    bounds : {'observed'}, dict or None, default='observed'
        Range of decoded numbers, dates and durations: the observed values in `fit`;
        none; or a dict from names of columns to pairs (low, high), each in the units
        of the column, None for an open side. Columns that the dict does not name have
        no bounds.

    Attributes
    ----------
    categories_ : dict of ndarrays
        The levels of each column of kind "category", by name: sorted, or in the order
        of the categorical dtype. False and True for columns of kind "bool".

    kinds_ : ndarray of shape (`n_features_in_`,)
        The kind of each column.

    input_columns_ : ndarray of shape (n_encoded,)
        For each column of the matrix the index of its column of the table.

    n_features_in_ : int
        Number of columns of the table.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all of them are strings.

    See Also
    --------
    sklearn_gmmcf.ratings.RatingsEncoder : Tables of (user, item, rating).

    Notes
    -----
    Double precision holds integers up to 2**53 and dates up to microseconds exactly.
    Observed values of `rows` are not computed but copied, so that they stay exact.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.tables import TableEncoder
    >>> frame = pd.DataFrame(
    ...     {
    ...         "height": [180.5, 171.2, np.nan, 164.9, 177.0, 168.3],
    ...         "children": pd.array([2, 0, 1, None, 2, 0], dtype="Int64"),
    ...         "smokes": ["yes", "no", "no", "no", None, "no"],
    ...     }
    ... )
    >>> encoder = TableEncoder()
    >>> X = encoder.fit_transform(frame)
    >>> X[:2]
    array([[180.5,   2. ,   0. ,   1. ],
           [171.2,   0. ,   1. ,   0. ]])
    >>> encoder.get_feature_names_out().tolist()
    ['height', 'children', 'smokes_no', 'smokes_yes']
    >>> mixture = MaskedGaussianMixture(covariance_type="diag").fit(X)
    >>> encoder.decode(mixture.transform(X), rows=frame).round(1)
       height  children smokes
    0   180.5         2    yes
    1   171.2         0     no
    2   172.4         1     no
    3   164.9         1     no
    4   177.0         2     no
    5   168.3         0     no
    """

    _parameter_constraints: dict[str, Any] = {
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "passthrough": ["boolean"],
        "handle_unknown": [StrOptions({"missing", "error"})],
        "round": ["boolean"],
        "bounds": [StrOptions({"observed"}), dict, None],
    }

    def __init__(
        self,
        *,
        max_categories: int = 20,
        passthrough: bool = True,
        handle_unknown: str = "missing",
        round: bool = True,
        bounds: Any = "observed",
    ) -> None:
        self.max_categories = max_categories
        self.passthrough = passthrough
        self.handle_unknown = handle_unknown
        self.round = round
        self.bounds = bounds

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Learn the kinds of the columns, their levels and their bounds.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            The table.
        y : Ignored
            Present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted encoder.

        Raises
        ------
        ValueError
            For columns that cannot be encoded, which the error names, for columns
            with equal names, and for bounds that do not fit.
        TypeError
            If X is sparse or lazy.

        See Also
        --------
        transform : The matrix of a table.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pd.DataFrame(
        ...     {"age": [31, None, 28, 40], "works": ["yes", "no", None, "yes"]}
        ... )
        >>> encoder = TableEncoder().fit(frame)
        >>> encoder.kinds_
        array(['integer', 'category'], dtype='<U8')
        """
        table = self._open(X, reset=True)
        if not table.n_rows or not table.names:
            raise ValueError(
                f"Found array with {table.n_rows} sample(s) and {len(table.names)} "
                f"feature(s) (shape={(table.n_rows, len(table.names))}) while a "
                "minimum of 1 is required."
            )
        columns = [
            read_column(name, table.column(j)) for j, name in enumerate(table.names)
        ]
        learned = [
            learn_code(column, self.max_categories, self.passthrough)
            for column in columns
        ]
        codes = bound_codes(learned, columns, self.bounds)
        modeled = [code for code in codes if not isinstance(code, Passthrough)]
        if not modeled:
            raise ValueError(
                "All columns of X pass through, so that none is left to model. They "
                "are text with many levels: raise max_categories to model them."
            )
        self._codes = codes
        self._template = table.empty()
        self.kinds_ = np.array([code.kind for code in codes])
        self.categories_ = {
            code.name: _level_array(code.levels) for code in modeled if code.levels
        }
        widths = [len(code.feature_names("")) for code in codes]
        self.input_columns_ = np.repeat(np.arange(len(codes)), widths)
        name, count = Counter(self.get_feature_names_out()).most_common(1)[0]
        if count > 1:
            raise ValueError(
                f"{count} columns of the encoded matrix have the name {name!r}. Rename "
                "the columns of X."
            )
        return self

    def transform(self, X: Any) -> Array:
        """Make the matrix of a table.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A table with the columns of the table that was fitted.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_encoded)
            Numbers in double precision, NaN where missing.

        Raises
        ------
        ValueError
            For values of another kind than in `fit`, for missing entries in columns
            that pass through, and for unknown levels if they are errors.

        Warns
        -----
        UnknownLevelsWarning
            If a column has levels that `fit` has not seen.

        See Also
        --------
        decode : The way back.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pd.DataFrame(
        ...     {"age": [31, None, 28, 40], "works": ["yes", "no", None, "yes"]}
        ... )
        >>> TableEncoder().fit(frame).transform(frame)
        array([[31.,  0.,  1.],
               [nan,  1.,  0.],
               [28., nan, nan],
               [40.,  0.,  1.]])
        """
        check_is_fitted(self)
        table = self._open(X, reset=False)
        encoded, unknown = [], []
        for j, code in enumerate(self._codes):
            if isinstance(code, Passthrough):
                self._check_complete(table, j)
                continue
            column = self._read(table, j, code)
            encoded.append(encode_column(code, column))
            if isinstance(code, Categories) and (levels := code.unknown(column)):
                unknown.append(f"{code.name!r} ({list_some(levels)})")
        if unknown:
            self._report_unknown(unknown)
        return np.hstack(encoded)

    def decode(self, Z: Any, rows: Any = None) -> Any:
        """Make a table of a matrix, such as a completed one.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_encoded)
            Numbers in the columns of `transform`. NaN becomes a missing entry.
        rows : frame or array of shape (n_samples, n_features), default=None
            The table of which `transform` made the rows of Z. It gives the index, the
            columns that pass through, and all observed values, which stay exactly as
            they are, unknown levels included.

        Returns
        -------
        table : frame or ndarray of shape (n_samples, n_features)
            Of the kind and with the dtypes of `rows`, or of the table that was fitted.
            A dtype changes where it cannot hold a value: numpy integers with missing
            entries become floats.

        Raises
        ------
        ValueError
            If columns pass through and `rows` is not given, or if the shapes differ.

        See Also
        --------
        transform : The matrix of a table.
        decode_proba : Probabilities of the levels.

        Examples
        --------
        >>> import polars as pl
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pl.DataFrame({"smokes": [True, None, False], "age": [30, 40, None]})
        >>> encoder = TableEncoder().fit(frame)
        >>> Z = [[1.0, 30.0], [0.8, 40.0], [0.0, 34.6]]
        >>> encoder.decode(Z, rows=frame).to_dict(as_series=False)
        {'smokes': [True, True, False], 'age': [30, 40, 35]}
        """
        check_is_fitted(self)
        return self._decode(Z, rows, rounding="nearest" if self.round else None)

    def inverse_transform(self, Z: Any, rows: Any = None) -> Any:
        """Make a table of a matrix: `decode` by scikit-learn's name.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_encoded)
            Numbers in the columns of `transform`.
        rows : frame or array of shape (n_samples, n_features), default=None
            The table of which `transform` made the rows of Z.

        Returns
        -------
        table : frame or ndarray of shape (n_samples, n_features)
            As `decode` makes it.

        See Also
        --------
        decode : Keeps the observed values of a table exactly.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pd.DataFrame(
        ...     {"age": [31, None, 28, 40], "works": ["yes", "no", None, "yes"]}
        ... )
        >>> encoder = TableEncoder().fit(frame)
        >>> encoder.inverse_transform([[30.4, 0.2, 0.8]])
            age works
        0  30.0   yes
        """
        return self.decode(Z, rows)

    def decode_proba(self, Z: Any) -> dict[Any, Array]:
        """Compute the probabilities of the levels of bools and categories.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_encoded)
            Numbers in the columns of `transform`.

        Returns
        -------
        probabilities : dict of ndarrays of shape (n_samples, n_levels)
            By name of the column, in the order of `categories_`. Values below 0 count
            as 0; rows add to 1. Where no value is positive, the levels have their
            shares of the observed values in `fit`. NaN stays NaN.

        See Also
        --------
        decode : The most probable level.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pd.DataFrame({"smokes": ["yes", "no", "no"], "age": [30, 40, 50]})
        >>> encoder = TableEncoder().fit(frame)
        >>> encoder.decode_proba([[0.6, 0.2, 35.0]])["smokes"]
        array([[0.75, 0.25]])
        """
        check_is_fitted(self)
        Z = self._check_encoded(Z)
        return {
            code.name: code.decode_proba(Z[:, self.input_columns_ == j])
            for j, code in enumerate(self._codes)
            if isinstance(code, (Bools, Categories))
        }

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Name the columns of the matrix.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of the table, which must be the fitted names.

        Returns
        -------
        names : ndarray of shape (n_encoded,)
            The name of the column; with "_" and the level for categories. Columns
            without names are x0, x1, ...

        See Also
        --------
        transform : Makes the matrix.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_gmmcf.tables import TableEncoder
        >>> frame = pd.DataFrame(
        ...     {"age": [31, None, 28, 40], "works": ["yes", "no", None, "yes"]}
        ... )
        >>> TableEncoder().fit(frame).get_feature_names_out().tolist()
        ['age', 'works_no', 'works_yes']
        """
        check_is_fitted(self, "_codes")
        names = self._names()
        if input_features is not None:
            if len(input_features) != len(names):
                raise ValueError(
                    "input_features should have length equal to number of features "
                    f"({len(names)}), got {len(input_features)}"
                )
            if hasattr(self, "feature_names_in_") and list(input_features) != names:
                raise ValueError("input_features is not equal to feature_names_in_")
            names = [str(name) for name in input_features]
        pairs = zip(self._codes, names, strict=True)
        names = [each for code, name in pairs for each in code.feature_names(name)]
        return np.array(names, dtype=object)

    def _decode(
        self,
        Z: Any,
        rows: Any = None,
        *,
        rounding: str | None = "nearest",
        kinds: Collection[str] = KINDS,
    ) -> Any:
        """Make a table of a matrix, of the columns of some kinds.

        `rounding` is "nearest", "floor", "ceil" or None, for integers, dates and
        durations. `rows` as in `decode`.
        """
        Z = self._check_encoded(Z)
        given = None if rows is None else self._open_rows(rows, len(Z))
        indices = [j for j, code in enumerate(self._codes) if code.kind in kinds]
        columns = [self._decode_column(j, Z, given, rounding) for j in indices]
        return (given or self._template).assemble(indices, columns)

    def _decode_numbers(
        self, Z: Any, rows: Any = None, *, kinds: Collection[str] = NUMERIC_KINDS
    ) -> Any:
        """Make a table of floats: numbers of a matrix in encoded units, as they are.

        Dates and durations are in days, so that it serves for standard deviations.
        `rows` gives the index, and no values.
        """
        Z = self._check_encoded(Z)
        given = self._template if rows is None else self._open_rows(rows, len(Z))
        indices = [j for j, code in enumerate(self._codes) if code.kind in kinds]
        numbers = Z[:, np.isin(self.input_columns_, indices)]
        return given.assemble_numbers(indices, numbers)

    def _list_bounds(self) -> tuple[Array, Array]:
        """The lowest and the highest number (n_encoded,) that `decode` returns."""
        codes = [self._codes[j] for j in self.input_columns_]
        low = np.array([getattr(code, "low", -np.inf) for code in codes])
        return low, np.array([getattr(code, "high", np.inf) for code in codes])

    def _decode_column(
        self, j: int, Z: Array, given: Table | None, rounding: str | None
    ) -> Any:
        code, template = self._codes[j], self._template
        if isinstance(code, Passthrough):
            if given is None:
                raise ValueError(
                    f"Column {code.name!r} passes through and is not in the matrix. "
                    "Pass the table that was transformed: decode(Z, rows=X)."
                )
            return given.column(j)
        values = Z[:, self.input_columns_ == j]
        scalar = getattr(code, "scalar", None)
        if given is None:
            return write(template.column(j), code.decode(values, rounding), scalar)
        series, column = given.column(j), self._read(given, j, code)
        if column.kind == "empty":  # its dtype may tell nothing
            decoded = code.decode(values, rounding)
            if given.is_like(template):
                return write(template.column(j), decoded, scalar)
            return given.make_column(decoded)
        if isinstance(code, Unobserved) and column.kind not in code.accepts:
            return series
        decoded = code.decode(values[column.missing], rounding)
        return fill(series, column.missing, decoded, scalar)

    def _open(self, X: Any, reset: bool) -> Table:
        """Check a table and the names of its columns."""
        check_unmasked(X)
        if sparse.issparse(X):
            raise TypeError(
                "TableEncoder reads tables, and X is a sparse matrix, which is numeric "
                "already: pass it to the mixtures as it is, or encode X.toarray()."
            )
        if nw.dependencies.is_into_dataframe(X):
            table = Table.open(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            check_eager(X, "TableEncoder reads")
            array = np.asarray(X)
            if array.dtype.kind == "U" and not isinstance(X, np.ndarray):
                array = np.asarray(X, dtype=object)  # numbers of lists stay numbers
            table = Table.open(array)
            validate_data(self, table.frame, reset=reset, skip_check_array=True)
        names = [code.name for code in getattr(self, "_codes", ())]
        if not reset and not table.is_array and not self._template.is_array:
            for name, expected in zip(table.names, names, strict=True):
                if name != expected:
                    raise ValueError(
                        f"X has the column {name!r} in the place of {expected!r} in "
                        "fit. Pass the columns that were fitted, in their order."
                    )
        return table

    def _open_rows(self, rows: Any, n_rows: int) -> Table:
        table = self._open(rows, reset=False)
        if table.n_rows != n_rows:
            raise ValueError(
                f"rows has {table.n_rows} rows, but the matrix has {n_rows}. Pass the "
                "table of which transform made the matrix."
            )
        return table

    def _read(self, table: Table, j: int, code: Modeled) -> Column:
        """Read a column, named as in fit, and check its kind."""
        column = read_column(code.name, table.column(j))
        check_kind(code, column)
        return column

    def _check_complete(self, table: Table, j: int) -> None:
        missing = np.flatnonzero(find_missing(table.column(j)))
        if missing.size:
            raise ValueError(
                f"Column {self._codes[j].name!r} of X passes through, as it is not "
                f"modeled, but is missing in row {missing[0]} (from 0)"
                f"{and_others(len(missing) - 1)}. Complete it, or drop it and fit "
                "again."
            )

    def _report_unknown(self, unknown: list[str]) -> None:
        message = (
            f"Columns of X have levels that fit has not seen: {'; '.join(unknown)}."
        )
        if self.handle_unknown == "error":
            raise ValueError(f"{message} Fit again, or pass handle_unknown='missing'.")
        warn_user(
            UnknownLevelsWarning(
                f"{message} They are encoded as missing. Fit again to model them."
            )
        )

    def _check_encoded(self, Z: Any) -> Array:
        Z = check_numbers(Z, name="Z", dtype=np.float64)
        if Z.shape[1] != len(self.input_columns_):
            raise ValueError(
                f"Z should have the {len(self.input_columns_)} columns of the encoded "
                f"matrix, but got {Z.shape[1]}."
            )
        return Z

    def _names(self) -> list[str]:
        """Names of the columns of the table; x0, x1, ... in an array."""
        if self._template.is_array:
            return [f"x{j}" for j in range(len(self._codes))]
        return [str(code.name) for code in self._codes]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _level_array(levels: tuple[Any, ...]) -> Array:
    """Levels (n,), which may be sequences."""
    array = np.empty(len(levels), dtype=object)
    array[:] = levels
    return array
