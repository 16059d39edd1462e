# SPDX-License-Identifier: BSD-3-Clause
"""Completions as sums of parts: a base, and the share of everything that is known."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._model import Model
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import to_responsibilities
from sklearn_gmmcf.covariance._entry_parts import (
    EntryParts,
    join_parts,
    without_slopes,
)
from sklearn_gmmcf.data import Blocks


@dataclass(frozen=True, eq=False)
class Explanation:
    r"""Completions of m entries as sums of parts, in the units of the data.

    An entry of row i and column j, with :math:`\pi_k` the weights, :math:`r_{ik}` the
    responsibilities, :math:`\mu_{kj}` the means of the components, and
    :math:`\beta_{ikjl}` the slopes of the conditional means, is

    .. math::
        \hat x_{ij} = B_j + \sum_k (r_{ik} - \pi_k) (\mu_{kj} - B_j)
        + \sum_{l \in O_i} \sum_k r_{ik} \beta_{ikjl} (x_{il} - \mu_{kl}), \quad
        B_j = \sum_k \pi_k \mu_{kj}

    The terms are `base`, `components` and `contributions`. 'factor' adds terms for
    `mask` and `covariates`, by which it also expects an observed entry, in place of
    :math:`\mu_{kl}` alone; :doc:`/mathematics` has the formula.

    Parameters
    ----------
    rows, columns : ndarray of shape (m,)
        The entries.
    base : ndarray of shape (m,)
        Mean of the column in the mixture: the completion of a row of which nothing is
        known.
    components : ndarray of shape (m, n_components)
        Part for the components that the observed entries point to: the responsibility
        of each component, less the component's weight, times the mean of the column
        there, less the base. 0 with one component.
    mask : ndarray of shape (m,)
        Part for *which* entries of the row are observed, whatever their values: 0 but
        with 'factor' and a positive `mask_rank`.
    covariates : csr_array of shape (m, n_features)
        Contribution of each covariate of the row. Missing covariates add nothing.
    contributions : csr_array of shape (m, n_features)
        Contribution of each observed entry of the row within the components. Nothing is
        stored for missing entries, and for 'spherical' and 'diag', whose entries do not
        depend on each other within a component: all that they learn from the observed
        entries is in `components`.
    feature_names : ndarray of shape (n_features,)
        Names of the columns, or their indices if they have no names.

    See Also
    --------
    sklearn_gmmcf.MaskedGaussianMixture.explain : Returns it.
    sklearn_gmmcf.MixtureRecommender.explain : The parts of one rating, as a table.

    Notes
    -----
    `column_features` inform the loadings, and so all parts: they have none of their
    own.

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
    >>> explanation.prediction.round(1)
    array([14.7])
    """

    rows: Array
    columns: Array
    base: Array
    components: Array
    mask: Array
    covariates: sparse.csr_array
    contributions: sparse.csr_array
    feature_names: Array

    @property
    def prediction(self) -> Array:
        """Sums of the parts, (m,): the completions of the entries."""
        by_column = self.contributions + self.covariates
        ones = np.ones(by_column.shape[1])
        return self.base + self.components.sum(axis=1) + self.mask + by_column @ ones

    def to_dict(
        self, n_columns: int | None = None, *, feature_names: Any = None
    ) -> dict[str, Array]:
        """List the parts of each entry in a table, the largest contributions first.

        Parameters
        ----------
        n_columns : int, default=None
            Number of observed entries and covariates that are listed for an entry, at
            most, the ones with the largest absolute contributions; the others are added
            up in one line, with 0 all of them. None lists all.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns, such as titles; None takes `feature_names`.

        Returns
        -------
        table : dict of ndarrays of equal length
            A table in columns, as ``pandas.DataFrame`` takes it. The contributions of
            an entry add up to its completion.

            - ``row``, ``column``: the entry, its column by name;
            - ``part``: 'base', 'components', 'mask', 'covariate', 'observed' or
              'others';
            - ``source``: name of the observed column, None for other parts;
            - ``contribution``: in the units of the data.

        Raises
        ------
        ValueError
            If ``n_columns`` is negative or no integer, or `feature_names` does not have
            a name for each column.

        See Also
        --------
        sklearn_gmmcf.MaskedGaussianMixture.explain : Makes the explanation.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_gmmcf import MaskedGaussianMixture
        >>> X = [[1, 2, 0], [2, 4, 1], [3, 6, 0], [4, 9, 1], [5, 9, 0], [6, 13, 1]]
        >>> X += [[7, np.nan, 1]]
        >>> mixture = MaskedGaussianMixture(covariance_type="full", max_iter=1000)
        >>> explanation = mixture.fit(X).explain(X, ([6], [1]))
        >>> table = explanation.to_dict(n_columns=1)
        >>> for part, added in zip(table["part"], table["contribution"].round(1)):
        ...     print(part, added)
        base 8.2
        components 0.0
        mask 0.0
        observed 6.0
        others 0.4
        """
        _check_n_columns(n_columns)
        names = self._check_names(feature_names)
        lines: list[tuple[Any, ...]] = []
        by_column = sparse.csr_array(self.contributions + self.covariates)
        is_covariate = np.isin(by_column.indices, self.covariates.indices)
        for i, entry in enumerate(
            zip(self.rows.tolist(), names[self.columns].tolist(), strict=True)
        ):
            lines.append((*entry, "base", None, self.base[i]))
            lines.append((*entry, "components", None, self.components[i].sum()))
            lines.append((*entry, "mask", None, self.mask[i]))
            start, stop = by_column.indptr[i : i + 2]
            values = by_column.data[start:stop]
            order = np.argsort(-np.abs(values), kind="stable")
            for j in order[:n_columns] + start:
                part = "covariate" if is_covariate[j] else "observed"
                source = names[by_column.indices[j]]
                lines.append((*entry, part, source, by_column.data[j]))
            if n_columns is not None and len(order) > n_columns:
                rest = values[order[n_columns:]].sum()
                lines.append((*entry, "others", None, rest))
        dtypes: dict[str, Any] = {
            "row": np.intp,
            "column": names.dtype,
            "part": np.str_,
            "source": object,
            "contribution": np.float64,
        }
        listed = zip(*lines, strict=True) if lines else [()] * len(dtypes)
        return {
            name: np.array(values, dtype=dtype)
            for (name, dtype), values in zip(dtypes.items(), listed, strict=True)
        }

    def _check_names(self, feature_names: Any) -> Array:
        """Names of all columns, (n_features,)."""
        if feature_names is None:
            return self.feature_names
        names = np.asarray(feature_names)
        if names.shape != self.feature_names.shape:
            raise ValueError(
                "feature_names should have a name for each of the "
                f"{len(self.feature_names)} columns, but got the shape {names.shape}."
            )
        return names


def _check_n_columns(n_columns: Any) -> None:
    is_integer = isinstance(n_columns, Integral) and not isinstance(n_columns, bool)
    if n_columns is not None and not (is_integer and n_columns >= 0):
        raise ValueError(
            "n_columns should be an integer of at least 0 or None, but got "
            f"{n_columns!r}."
        )


def explain(
    model: Model, data: Blocks, rows: Array, columns: Array, feature_names: Array
) -> Explanation:
    """Parts of the completions of missing entries.

    Raises
    ------
    ValueError
        If an entry is observed.
    NotImplementedError
        If the family does not say which parts its completions have.
    """
    # In the order of the rows, of which none but these are worked on.
    order = np.argsort(rows, kind="stable")
    parts, shares = _collect_parts(model, data, rows[order], columns[order])
    back = np.argsort(order, kind="stable")
    means, weights = parts.means[:, back], model.parameters.weights
    base = weights @ means
    components = (shares[:, back] - weights[:, None]) * (means - base)
    shape = len(rows), model.n_columns
    terms = parts.contributions
    contributions = sparse.csr_array(
        (terms.values, terms.columns, terms.indptr), shape=shape
    )
    by_covariate = parts.covariates[back]
    entries, numbers = np.nonzero(by_covariate)
    sources = model.columns.covariates[numbers]
    covariates = sparse.csr_array(
        (by_covariate[entries, numbers], (entries, sources)), shape=shape
    )
    covariates.sort_indices()
    return Explanation(
        rows=rows,
        columns=columns,
        base=base + model.columns.center[columns],
        components=components.T,
        mask=parts.mask[back],
        covariates=covariates,
        contributions=contributions[back],
        feature_names=feature_names,
    )


def _collect_parts(
    model: Model, data: Blocks, rows: Array, columns: Array
) -> tuple[EntryParts, Array]:
    """Parts of entries of ascending rows, and responsibilities (K, m) of the rows."""
    nothing = np.empty((model.n_components, 0))
    shares = [nothing]
    parts = [without_slopes(nothing, len(model.columns.covariates))]
    wanted, inside = np.unique(rows, return_inverse=True)
    taken = data.take(wanted, np.ones(len(wanted))) if wanted.size else None
    blocks = taken.blocks(model.max_completed_rows) if taken else ()
    for block in blocks:
        entries = slice(*np.searchsorted(inside, (block.rows.start, block.rows.stop)))
        i, j = inside[entries] - block.rows.start, columns[entries]
        _, observed = block.lookup(i, j)
        if observed.any():
            first = entries.start + np.argmax(observed)
            raise ValueError(
                f"Row {rows[first]}, column {columns[first]} of X is observed; entries "
                "should be missing ones, which have a completion to explain."
            )
        responsibilities = model.log_joint(block)
        to_responsibilities(responsibilities)
        shares.append(responsibilities[:, i])
        parts.append(
            model.family.explain_entries(
                model.parameters, block, i, j, responsibilities
            )
        )
    return join_parts(parts), np.concatenate(shares, axis=1)
