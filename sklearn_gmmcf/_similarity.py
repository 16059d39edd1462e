# SPDX-License-Identifier: BSD-3-Clause
"""The most similar columns and rows, by a fitted mixture."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from sklearn_gmmcf._model import Model
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._family import chunks
from sklearn_gmmcf.covariance._similarity import Vectors, compare
from sklearn_gmmcf.data import Blocks, RowArray, limit_to_working_memory
from sklearn_gmmcf.data._dask import to_memory

# Bytes of the similarities that are worked on together.
_BYTES = 2**24


def find_columns(columns: Any, names: Array | None, n_columns: int) -> Array:
    """Indices (p,) of columns that are given by their indices or names."""
    listed = [columns] if np.ndim(columns) == 0 else list(columns)
    found = []
    for column in listed:
        if isinstance(column, str):
            matches = [] if names is None else np.flatnonzero(names == column).tolist()
        else:
            is_index = isinstance(column, Integral) and not isinstance(column, bool)
            is_inside = is_index and 0 <= column < n_columns
            matches = [int(column)] if is_inside else []
        if not matches:
            way_out = "" if names is None else " or the names of the columns of X"
            raise ValueError(
                f"columns should be integers from 0 to {n_columns - 1}{way_out}, but "
                f"got {column!r}."
            )
        found.append(matches[0])
    return np.array(found, dtype=np.intp)


def find_similar_columns(
    model: Model, columns: Array, n_columns: int
) -> tuple[Array, Array]:
    """Other columns that are most similar to some, and similarities, (p, n_columns)."""
    found, similarities = _allocate(len(columns), n_columns)
    for part in _parts(len(columns), model.n_columns):
        compared = model.family.column_similarities(
            model.parameters, columns[part], model.columns
        )
        compared[np.arange(len(compared)), columns[part]] = -np.inf
        compared[:, model.columns.covariates] = -np.inf
        _write_largest(compared, found[part], similarities[part])
    return found, similarities


def find_similar_rows(
    model: Model, data: Blocks, candidates: Blocks | None, n_rows: int
) -> tuple[Array, Array]:
    """Rows of the candidates that are most similar to the data's, and similarities.

    Without candidates, other rows of the data. Both have the shape (n, n_rows).
    """
    rows = _profile_rows(model, data)
    others = rows if candidates is None else _profile_rows(model, candidates)
    n, n_candidates = len(rows.squares), len(others.squares)
    found, similarities = _allocate(n, n_rows)
    for part in _parts(n, n_candidates):
        asked = Vectors(rows.means[:, part], rows.squares[part])
        compared = compare(asked, others)
        if candidates is None:
            i = np.arange(len(compared))
            compared[i, i + part.start] = -np.inf
        _write_largest(compared, found[part], similarities[part])
    return found, similarities


def _profile_rows(model: Model, data: Blocks) -> Vectors:
    width = model.family.profile_width(model.n_columns)
    profiles, squares = data.row_arrays(
        partial(_profile_block, model),
        RowArray((width,), np.dtype(np.float64)),
        RowArray((), np.dtype(np.float64)),
        max_rows=model.max_completed_rows,
    )
    return Vectors(to_memory(profiles).T, to_memory(squares))


def _profile_block(model: Model, block: Any) -> tuple[Array, Array]:
    vectors = model.family.profile_rows(model.parameters, block, model.columns)
    return vectors.means.T, vectors.squares


def _allocate(n: int, n_found: int) -> tuple[Array, Array]:
    return np.full((n, n_found), -1, dtype=np.intp), np.full((n, n_found), np.nan)


def _parts(n: int, width: int) -> Any:
    n_bytes = limit_to_working_memory(_BYTES)
    return chunks(n, max(n_bytes // (8 * max(width, 1)), 1))


def _write_largest(compared: Array, found: Array, similarities: Array) -> None:
    """Write the indices and values of the largest numbers of each row, in order."""
    n_found = min(found.shape[1], compared.shape[1])
    best = np.argsort(-compared, axis=1, kind="stable")[:, :n_found]
    values = np.take_along_axis(compared, best, axis=1)
    left = values > -np.inf
    np.copyto(found[:, :n_found], best, where=left)
    np.copyto(similarities[:, :n_found], values, where=left)
