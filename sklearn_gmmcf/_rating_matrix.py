# SPDX-License-Identifier: BSD-3-Clause
"""The sparse matrix of users by items: pure functions over lines of ratings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_gmmcf._ids import Ids, and_others
from sklearn_gmmcf._rating_lines import RatingLines, Tables
from sklearn_gmmcf._typing import Array

# Entries that are sorted by column at once.
_SORTED_ENTRIES = 2**16
_CHANGED = (
    "The table changed between its two readings. A function that is passed as a table "
    "should open it anew each time that it is called."
)

Rows = tuple[Array, Array, Array]  # indptr, indices and data of a csr matrix


@dataclass(frozen=True, eq=False)
class Census:
    """The ids in a table, and the lines of each user: the result of one reading."""

    users: Array  # (n,), sorted
    counts: Array  # (n,), lines of each user
    items: Array  # (d,), sorted
    dtype: np.dtype[Any]  # of all ratings, whatever the order of their tables
    backend: Any  # of narwhals; None for arrays


def count_lines(
    tables: Iterable[RatingLines], known_items: Array | None, unknown_items: str
) -> Census:
    """Read tables once; a user of whom all items are unknown keeps a row."""
    users, counts = Ids("users"), np.zeros(0, dtype=np.int64)
    items = Ids("items", known_items)
    backend = None
    dtypes: dict[bool, set[np.dtype[Any]]] = {True: set(), False: set()}
    for lines in tables:
        backend = lines.backend
        dtypes[len(lines.ratings) > 0].add(lines.ratings.dtype)
        codes = lines.users.codes
        if known_items is None:
            items.add(lines.items.ids)
        else:
            known = find_columns(items, lines.items.ids, unknown_items)[1]
            codes = codes[known[lines.items.codes]]
        new_counts = np.bincount(codes, minlength=len(lines.users.ids))
        old_users, old_counts = users.sorted, counts
        users.add(lines.users.ids)
        counts = _align_counts(users, old_users, old_counts)
        counts += _align_counts(users, lines.users.ids, new_counts)
    # An empty table decides only if all are.
    dtype = np.result_type(*(dtypes[True] or dtypes[False] or {np.dtype(float)}))
    return Census(users.sorted, counts, items.sorted, dtype, backend)


def add_users(census: Census, ids: Array) -> Census:
    """A census with further users, of whom the table may have no lines."""
    users = Ids("users", census.users)
    users.add(np.unique(ids))
    counts = _align_counts(users, census.users, census.counts)
    return replace(census, users=users.sorted, counts=counts)


def _align_counts(users: Ids, ids: Array, counts: Array) -> Array:
    """Counts of some ids among all users, 0 of the others."""
    aligned = np.zeros(len(users.sorted), dtype=np.int64)
    aligned[users.find(ids)[0]] = counts
    return aligned


def find_columns(items: Ids, ids: Array, unknown_items: str) -> tuple[Array, Array]:
    """Columns of distinct items, and whether the items are known."""
    columns, known = items.find(ids)
    if unknown_items == "error" and not known.all():
        unknown = ids[~known]
        raise ValueError(
            f"fit has not seen item {unknown[0]}{and_others(len(unknown) - 1)} of "
            "this table. Pass unknown_items='ignore' to leave out ratings of "
            "unknown items, or fit again."
        )
    return columns, known


def make_matrix(
    tables: Tables, census: Census, duplicates: str, unknown_items: str
) -> sparse.csr_array:
    """The matrix of the tables, which have been read once, for the census."""

    def locate(lines: RatingLines) -> Rows:
        return _locate(lines, census, unknown_items)

    shape = len(census.users), len(census.items)
    if tables.in_memory:
        (lines,) = tables
        indptr, indices, data = _assemble(*locate(lines), shape)
    else:
        indptr, indices, data = _fill(map(locate, tables), census)
        _sort_rows(indptr, indices, data)
    repeated = _find_repeat(indptr, indices)
    if repeated is not None:
        if duplicates == "error":
            raise ValueError(_describe_repeat(tables, census, *repeated))
        indptr = _merge_repeats(indptr, indices, data, duplicates)
    n_entries = indptr[-1]
    return sparse.csr_array(
        (data[:n_entries], indices[:n_entries], indptr), shape=shape
    )


def append_columns(X: sparse.csr_array, values: Array) -> sparse.csr_array:
    """A matrix with further columns (n, p), of which all but NaN are stored."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    columns = X.shape[1] + np.nonzero(known)[1]
    ends = np.repeat(X.indptr[1:], counts)
    data = np.insert(X.data, ends, values[known])
    index_dtype = _get_index_dtype(len(data))
    indices = np.insert(X.indices.astype(index_dtype, copy=False), ends, columns)
    indptr = X.indptr.astype(index_dtype)
    indptr[1:] += np.cumsum(counts, dtype=index_dtype)
    shape = X.shape[0], X.shape[1] + values.shape[1]
    return sparse.csr_array((data, indices, indptr), shape=shape)


def _get_index_dtype(n_entries: int) -> type[np.signedinteger[Any]]:
    return np.int32 if n_entries < 2**31 else np.int64


def _locate(lines: RatingLines, census: Census, unknown_items: str) -> Rows:
    """Rows, columns and values (m,) of lines whose items are known."""
    items = Ids("items", census.items)
    columns, known = find_columns(items, lines.items.ids, unknown_items)
    rows, counted = Ids("users", census.users).find(lines.users.ids)
    if not counted.all():
        raise ValueError(_CHANGED)
    row, column = rows[lines.users.codes], columns[lines.items.codes]
    if known.all():
        return row, column, lines.ratings
    kept = known[lines.items.codes]
    return row[kept], column[kept], lines.ratings[kept]


def _assemble(rows: Array, columns: Array, values: Array, shape: Any) -> Rows:
    """Rows with sorted columns; duplicates stay, in the order of the lines.

    Conversions of formats are stable sorts in linear time: of lines by column, and
    then by row.
    """
    index_dtype = _get_index_dtype(len(values))
    lines = np.arange(len(values) + 1, dtype=index_dtype)
    by_column = sparse.csr_array(
        (values, columns.astype(index_dtype), lines), shape=(len(values), shape[1])
    ).tocsc()
    rows = rows.astype(index_dtype)[by_column.indices]
    by_row = sparse.csc_array((by_column.data, rows, by_column.indptr), shape=shape)
    X = by_row.tocsr()
    return X.indptr, X.indices, X.data


def _fill(located: Iterable[Rows], census: Census) -> Rows:
    """Rows in the order of their lines, from one piece of them after the other."""
    counts = census.counts
    n_entries = int(counts.sum())
    index_dtype = _get_index_dtype(n_entries)
    indptr = np.zeros(len(counts) + 1, dtype=index_dtype)
    np.cumsum(counts, out=indptr[1:])
    indices = np.empty(n_entries, dtype=index_dtype)
    data = np.empty(n_entries, dtype=census.dtype)
    free: Array = indptr[:-1].astype(np.int64)  # (n,), next free index of each row
    for rows, columns, values in located:
        added: Array = np.bincount(rows, minlength=len(free))
        if (free + added > indptr[1:]).any():
            raise ValueError(_CHANGED)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        targets = free[rows] + np.arange(len(rows)) - np.searchsorted(rows, rows)
        indices[targets] = columns[order]
        data[targets] = values[order]
        free += added
    if (free < indptr[1:]).any():
        raise ValueError(_CHANGED)
    return indptr, indices, data


def _iterate_blocks(indptr: Array) -> Iterator[tuple[int, int]]:
    """Ranges of rows with a limited number of entries, or of one row."""
    start = 0
    while start < len(indptr) - 1:
        bound = int(indptr[start]) + _SORTED_ENTRIES
        stop = int(np.searchsorted(indptr, bound, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _sort_rows(indptr: Array, indices: Array, data: Array) -> None:
    """Sort rows by column, in place; duplicates stay in their order."""
    lengths = np.diff(indptr)
    for start, stop in _iterate_blocks(indptr):
        block = slice(indptr[start], indptr[stop])
        rows = np.repeat(np.arange(start, stop), lengths[start:stop])
        order = np.lexsort((indices[block], rows))
        indices[block] = indices[block][order]
        data[block] = data[block][order]


def _find_repeat(indptr: Array, indices: Array) -> tuple[int, int] | None:
    """Row and column of the first entry that is followed by one of the same column."""
    repeats = indices[1:] == indices[:-1]
    ends = indptr[1:-1]
    ends = ends[(ends > 0) & (ends < len(indices))]
    repeats[ends - 1] = False  # the last entry of a row, and the first of the next
    if not repeats.any():
        return None
    entry = int(np.argmax(repeats))
    return int(np.searchsorted(indptr, entry, side="right")) - 1, int(indices[entry])


def _describe_repeat(tables: Tables, census: Census, row: int, column: int) -> str:
    user, item = census.users[row], census.items[column]
    lines_named: list[str] = []
    for lines in tables:
        users, items = Ids("users", lines.users.ids), Ids("items", lines.items.ids)
        (user_code,), (user_known,) = users.find(census.users[row : row + 1])
        (item_code,), (item_known,) = items.find(census.items[column : column + 1])
        if user_known and item_known:
            is_entry = lines.users.codes == user_code
            is_entry &= lines.items.codes == item_code
            lines_named += map(lines.name_line, np.flatnonzero(is_entry).tolist())
        if len(lines_named) > 1:
            break
    return (
        f"User {user} rates item {item} more than once, in "
        f"{' and in '.join(lines_named[:2])}. Pass duplicates='mean' or 'last', or "
        "clean the table."
    )


def _merge_repeats(
    indptr: Array, indices: Array, data: Array, duplicates: str
) -> Array:
    """Leave one entry for each column of a row, in place: the new indptr."""
    lengths = np.diff(indptr)
    end = 0
    for start, stop in _iterate_blocks(indptr):
        block = slice(indptr[start], indptr[stop])
        rows = np.repeat(np.arange(start, stop), lengths[start:stop])
        columns, values = indices[block], data[block]
        repeats = np.flatnonzero(
            (columns[1:] == columns[:-1]) & (rows[1:] == rows[:-1])
        )
        lengths[start:stop] -= np.bincount(
            rows[repeats] - start, minlength=stop - start
        )
        columns, values = _merge(columns, values, repeats, duplicates)
        indices[end : end + len(columns)] = columns
        data[end : end + len(columns)] = values
        end += len(columns)
    new_indptr = np.zeros_like(indptr)
    np.cumsum(lengths, out=new_indptr[1:])
    return new_indptr


def _merge(
    columns: Array, values: Array, repeats: Array, duplicates: str
) -> tuple[Array, Array]:
    """Sorted entries with one value each; the entry after a repeat is the same."""
    if duplicates == "last":
        return np.delete(columns, repeats), np.delete(values, repeats)
    firsts = np.delete(np.arange(len(values)), repeats + 1)
    sizes = np.diff(np.append(firsts, len(values)))
    return columns[firsts], np.add.reduceat(values, firsts) / sizes
