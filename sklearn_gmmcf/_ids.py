# SPDX-License-Identifier: BSD-3-Clause
"""Ids of users and items: one kind, none missing, sorted."""

from __future__ import annotations

import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NoReturn

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._typing import Array

_KINDS = {"i": "integers", "U": "strings", "M": "dates", "m": "durations"}
_REFUSED = {
    "b": "bools, which tell only two ids apart. Convert them to integers or text",
    "S": "bytes. Decode them to text",
}
_ZONED = (
    "dates with a time zone, which arrays of dates do not hold. Convert them to UTC "
    "without a zone, in pandas by .dt.tz_convert(None), or to text"
)
# Texts that astype(str) makes of missing values.
_MISSING_TEXTS = frozenset({"nan", "<NA>", "NaT", "None"})
# Larger floats do not tell neighboring integers apart.
_MAX_FLOAT = 2.0**53
# A lookup table of integers may have so many elements, or twice the number of lines.
_MIN_SPAN = 2**16
# Strings become objects where more of an array of strings would be padding.
_MAX_PADDING = 8
_MIN_PADDED = 2**20  # characters

NameLine = Callable[[int], str]


@dataclass(frozen=True, eq=False)
class Coded:
    """Ids of lines as codes, so that an id that repeats, or is long, is stored once.

    An id may be without lines, or occur twice; the order of ids is free.
    """

    codes: Array  # (m,), integers: the index of each line's id, or -1 if it is missing
    ids: Array  # (n,)

    def __len__(self) -> int:
        return len(self.codes)


class Ids:
    """Sorted ids, of users or of items, all of one kind."""

    def __init__(self, name: str, ids: Array | None = None) -> None:
        self.name = name
        self.sorted = np.empty(0, dtype=np.int64) if ids is None else ids

    def add(self, ids: Array) -> None:
        """Add ids, which must be sorted."""
        if not ids.size:  # an empty array has no kind of ids
            return
        if self.sorted.size:
            new = ids[~self.find(ids)[1]]
            ids = _unite(self.sorted, new) if new.size else self.sorted
        self.sorted = ids

    def find(self, ids: Array) -> tuple[Array, Array]:
        """Indices (n,) of ids, and whether each of them is there."""
        if not self.sorted.size or not ids.size:
            return np.zeros(len(ids), dtype=np.intp), np.zeros(len(ids), dtype=bool)
        if ids is self.sorted:
            return np.arange(len(ids)), np.ones(len(ids), dtype=bool)
        self._check_kind(ids)
        wanted = ids
        if self.sorted.dtype.kind == "U":  # one long id would widen all of them
            wanted = ids.astype(self.sorted.dtype)
        indices = np.searchsorted(self.sorted, wanted)
        indices[indices == len(self.sorted)] = 0
        return indices, (self.sorted[indices] == wanted) & (wanted == ids)

    def _check_kind(self, ids: Array) -> None:
        if ids.size and self.sorted.size and get_kind(ids) != get_kind(self.sorted):
            raise ValueError(
                f"Ids of {self.name} are {get_kind(ids)} here, but were "
                f"{get_kind(self.sorted)} before. Convert them to one kind."
            )


def get_kind(ids: Array) -> str:
    """The kind of checked ids, in words."""
    if ids.dtype.kind == "O" and ids.size:
        name = type(ids[0]).__name__
        return "strings" if name == "str" else f"of type {name}"
    return _KINDS.get(ids.dtype.kind, str(ids.dtype))


def check_ids(name: str, ids: Any, name_line: NameLine) -> Array:
    """Ids (m,) of one kind, none of them missing, in their order."""
    coded = encode_ids(name, ids, name_line)
    return coded.ids[coded.codes]


def encode_ids(name: str, ids: Any, name_line: NameLine) -> Coded:
    """Sorted ids of one kind, all of them with lines.

    Whole numbers become int64, also floats, into which pandas turns integers beside
    missing values. Strings become an array of strings, or of objects where few are
    long; all others that sort stay as they are.
    """
    coded = ids if isinstance(ids, Coded) else _encode(name, ids)
    missing = np.flatnonzero(_find_missing(coded))
    if missing.size:
        raise ValueError(
            f"An id of {name} is missing in {_name_lines(missing, name_line)}. Drop "
            "such lines."
        )
    coded = _drop_unused(coded)
    ids = _normalize(_Checked(name, coded, name_line))
    order, firsts = _sort(name, ids)
    ranks = np.empty(len(ids), dtype=_index_dtype(len(ids)))
    ranks[order] = np.cumsum(firsts) - 1
    return Coded(ranks[coded.codes], ids[order[firsts]])


def is_missing(value: Any) -> bool:
    if hasattr(value, "__len__"):  # text; or an array, which has no truth value
        return False
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor unequal
        return True


def is_number(kind: type) -> bool:
    """Whether a type is one of real numbers; numpy counts durations as integers."""
    return issubclass(kind, Real) and not issubclass(kind, np.timedelta64)


def open_series(values: Any) -> Any:
    """A series of any library as a series of narwhals; others as they are."""
    pyarrow = nw.dependencies.get_pyarrow()
    if pyarrow is not None and isinstance(values, pyarrow.Array):
        values = pyarrow.chunked_array([values])
    if nw.dependencies.is_into_series(values):
        return nw.from_native(values, series_only=True)
    return values


def and_others(n: int) -> str:
    if n == 0:
        return ""
    return " and 1 other" if n == 1 else f" and {n} others"


def pack_strings(strings: Sequence[str]) -> Array:
    """An array of strings, or of objects where most of it would be padding."""
    lengths = [len(each) for each in strings]
    if len(strings) * max(lengths, default=0) > max(
        _MAX_PADDING * sum(lengths), _MIN_PADDED
    ):
        return np.array(strings, dtype=object)
    return np.array(strings, dtype=str)


def _name_lines(lines: Array, name_line: NameLine) -> str:
    others = len(lines) - 1
    more = f" and in {others} other line{'s' * (others > 1)}" if others else ""
    return name_line(int(lines[0])) + more


def _index_dtype(n: int) -> type[np.signedinteger[Any]]:
    return np.int32 if n < 2**31 else np.int64


def _unite(old: Array, new: Array) -> Array:
    """Sorted ids and other ones."""
    if old.dtype == new.dtype:
        return np.insert(old, np.searchsorted(old, new), new)
    if old.dtype.kind == "U":
        return pack_strings(sorted([*old.tolist(), *new.tolist()]))
    return np.union1d(old, new)


# From lines to distinct ids as they came, in any order.


def _find_missing(coded: Coded) -> Array:
    """Lines (m,) without an id."""
    kind = coded.ids.dtype.kind
    if kind in "iuU":
        return coded.codes < 0
    if kind == "O":
        missing = [is_missing(each) for each in coded.ids]
    else:
        missing = (coded.ids != coded.ids).tolist()
    return np.array([*missing, True], dtype=bool)[coded.codes]  # -1 is the last one


def _drop_unused(coded: Coded) -> Coded:
    used = np.zeros(len(coded.ids), dtype=bool)
    used[coded.codes] = True
    if used.all():
        return coded
    codes = np.cumsum(used) - 1
    return Coded(codes[coded.codes], coded.ids[used])


def _encode(name: str, ids: Any) -> Coded:
    ids = open_series(ids)
    if isinstance(ids, nw.Series):
        return _encode_series(name, ids)
    if isinstance(ids, (str, bytes, Set, Mapping)):
        way_out = "a list of ids in the order of the lines"
        if isinstance(ids, str):
            way_out = f"[{reprlib.repr(str(ids))}]"
        raise ValueError(
            f"Ids of {name} should be an array or a list, but got "
            f"{type(ids).__name__}. Pass {way_out}."
        )
    if not hasattr(ids, "__array__"):  # numpy makes strings of [1, "a"]
        ids = list(ids) if isinstance(ids, Iterable) else ids
        is_plain = isinstance(ids, list) and set(map(type, ids)) == {int}
        ids = np.asarray(ids, dtype=None if is_plain else object)
    return _encode_array(name, np.asarray(ids))


def _encode_series(name: str, series: nw.Series[Any]) -> Coded:
    """Codes of a column of a frame, by its own library where it has them."""
    dtype = series.dtype
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        raise ValueError(f"Ids of {name} are {_ZONED}.")
    if dtype in (nw.Int128, nw.UInt128):
        return _encode_array(name, np.array(series.to_list(), dtype=object))
    is_category = dtype in (nw.Categorical, nw.Enum)
    if is_category and series.implementation.is_pandas():
        native = series.to_native()
        if hasattr(native.dtype, "categories"):  # not a dictionary of Arrow
            codes = native.cat.codes.to_numpy()
            return Coded(codes, np.asarray(native.cat.categories))
    if is_category or dtype == nw.String:
        try:
            values = series.to_arrow()
        except (ImportError, UnicodeEncodeError):
            # Without pyarrow, or one for another numpy; half of a surrogate pair.
            values = None
        if values is not None:
            if hasattr(values, "combine_chunks"):  # of frames that were joined
                values = values.combine_chunks()
            if not hasattr(values, "dictionary"):
                values = values.dictionary_encode()
            codes = values.indices.cast("int64").fill_null(-1).to_numpy()
            strings = values.dictionary.to_pylist()
            return Coded(codes, np.array(strings, dtype=object))
    return _encode_array(name, series.to_numpy())


def _encode_array(name: str, ids: Array) -> Coded:
    if ids.ndim != 1:
        raise ValueError(f"Ids of {name} should be 1d, but got {ids.ndim}d.")
    kind = ids.dtype.kind
    if not ids.size:
        return Coded(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
    if kind == "f":
        ids = _to_integers(ids)
    if ids.dtype.kind in "iu":
        return _encode_integers(ids)
    if kind == "U":
        return _encode_strings(ids)
    if kind in "fMm":
        distinct, codes = np.unique(ids, return_inverse=True)
        return Coded(codes, distinct)
    if kind in "OT":
        return _encode_objects(name, ids.astype(object, copy=False))
    _refuse(name, ids.dtype)


def _refuse(name: str, dtype: np.dtype[Any]) -> NoReturn:
    reason = _REFUSED.get(dtype.kind, f"{dtype}. Convert them to integers or text")
    raise ValueError(f"Ids of {name} are {reason}.")


def _check_no_bools(name: str, types: set[type]) -> None:
    if bool in types or np.bool_ in types:
        _refuse(name, np.dtype(bool))


def _to_integers(ids: Array) -> Array:
    """Floats as integers, if all of them are whole numbers."""
    if not (np.abs(ids) < _MAX_FLOAT).all():
        return ids
    integers: Array = ids.astype(np.int64)
    return integers if (integers == ids).all() else ids


def _encode_integers(ids: Array) -> Coded:
    low, high = int(ids.min()), int(ids.max())
    span = high - low + 1
    if span > max(_MIN_SPAN, 2 * len(ids)):
        distinct, codes = np.unique(ids, return_inverse=True)
        return Coded(codes, distinct)
    if ids.dtype.itemsize < 8:  # in which differences might overflow
        ids = ids.astype(np.int64)
    offsets = ids - ids.dtype.type(low)
    present = np.zeros(span, dtype=bool)
    present[offsets] = True
    values = np.flatnonzero(present)
    codes = np.empty(span, dtype=np.int32)
    codes[values] = np.arange(len(values), dtype=np.int32)
    return Coded(codes[offsets], values.astype(ids.dtype) + ids.dtype.type(low))


def _encode_strings(ids: Array) -> Coded:
    """Codes of an array of strings, which numpy would sort slowly, by their hashes."""
    width = ids.dtype.itemsize // 4
    characters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), width)
    hashes = np.zeros(len(ids), dtype=np.uint64)
    for column in characters.T:
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        hashes += column
    _, firsts, codes = np.unique(hashes, return_index=True, return_inverse=True)
    distinct = ids[firsts]
    if not (distinct[codes] == ids).all():  # two strings with one hash
        distinct, codes = np.unique(ids, return_inverse=True)
    return Coded(codes, distinct)


def _encode_objects(name: str, ids: Array) -> Coded:
    index: defaultdict[Any, int] = defaultdict()
    index.default_factory = index.__len__
    try:
        codes = np.fromiter(map(index.__getitem__, ids), dtype=np.intp, count=len(ids))
    except TypeError as error:
        raise ValueError(
            f"Ids of {name} are of types that cannot be ids: "
            f"{_join_types(map(type, ids))}. Convert them to integers or text."
        ) from error
    types = set(map(type, index))
    if any(issubclass(each, (Real, np.bool_)) for each in types):
        types = set(map(type, ids))  # True is a key like 1
    _check_no_bools(name, types)
    distinct = np.empty(len(index), dtype=object)
    distinct[:] = list(index)
    return Coded(codes, distinct)


def _join_types(types: Any) -> str:
    return ", ".join(sorted({each.__name__ for each in types}))


# From distinct ids to ids of one kind.


@dataclass(frozen=True, eq=False)
class _Checked:
    """Distinct ids with what errors need to name a line."""

    name: str
    coded: Coded
    name_line: NameLine

    def check(self, wrong: Any, message: str) -> None:
        """Refuse ids: a message has fields for an id and for the line of it."""
        wrong = np.asarray(wrong, dtype=bool)
        if wrong.any():
            lines = np.flatnonzero(wrong[self.coded.codes])
            value = self.coded.ids[self.coded.codes[lines[0]]]
            value = value.item() if isinstance(value, np.generic) else value
            where = _name_lines(lines, self.name_line)
            raise ValueError(message.format(name=self.name, id=value, where=where))


def _normalize(checked: _Checked) -> Array:
    """Distinct ids as integers, strings, dates or objects of one type."""
    ids = np.asarray(checked.coded.ids)
    if ids.dtype.kind in "iuf":
        return _check_numbers(checked, ids)
    if ids.dtype.kind in "Mm":
        return ids
    if ids.dtype.kind not in "UO":  # which categories may be
        _refuse(checked.name, ids.dtype)
    types: set[type] = {np.str_} if ids.dtype.kind == "U" else set(map(type, ids))
    _check_no_bools(checked.name, types)
    if all(issubclass(each, str) for each in types):
        return _check_strings(checked, ids)
    if all(map(is_number, types)):
        return _check_numbers(checked, ids)
    if bytes in types:
        _refuse(checked.name, np.dtype(bytes))
    if any(getattr(each, "tzinfo", None) is not None for each in ids):
        raise ValueError(f"Ids of {checked.name} are {_ZONED}.")
    if len(types) > 1:
        first = type(ids[checked.coded.codes[0]])
        checked.check(
            [type(each) is not first for each in ids],
            f"Ids of {{name}} are of several kinds: {first.__name__}, but "
            f"{_join_types(types - {first})} in {{where}}. Convert them to one.",
        )
    return ids


def _check_numbers(checked: _Checked, ids: Array) -> Array:
    if ids.dtype.kind not in "iu":
        whole = [_is_whole(value) for value in ids.tolist()]
        checked.check(
            ~np.array(whole, dtype=bool),
            "An id of {name} is {id!r} in {where}. Floats may be ids if they are "
            "whole numbers below 2**53 in size; convert others to text.",
        )
    bounds = np.iinfo(np.int64)
    if ids.dtype.kind != "i":
        checked.check(
            [not bounds.min <= value <= bounds.max for value in ids.tolist()],
            "Ids of {name} should be below 2**63, but got {id} in {where}. Convert "
            "them to strings.",
        )
    return (
        np.array([int(v) for v in ids], dtype=np.int64)
        if ids.dtype == object
        else ids.astype(np.int64)
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) or (
        abs(value) < _MAX_FLOAT and value == int(value)
    )


def _check_strings(checked: _Checked, ids: Array) -> Array:
    strings = list(map(str, ids.tolist()))
    if not _MISSING_TEXTS.isdisjoint(strings):
        checked.check(
            [each in _MISSING_TEXTS for each in strings],
            "An id of {name} is {id!r} in {where}, the text of a missing value. Drop "
            "such lines before ids become text; if it is an id, give it another name.",
        )
    if ids.dtype.kind == "U":
        return ids
    checked.check(
        [each.endswith("\0") for each in strings],
        "An id of {name} is {id!r} in {where}. Remove the null characters at its end, "
        "which numpy drops.",
    )
    return pack_strings(strings)


def _sort(name: str, ids: Array) -> tuple[Array, Array]:
    """The order of ids, and whether each of them in this order is a new one."""
    try:
        order = np.argsort(ids, kind="stable")
    except TypeError as error:
        types = _join_types(map(type, ids))
        raise ValueError(
            f"Ids of {name} do not sort: they are of type {types}. Convert them to "
            "integers or text."
        ) from error
    firsts = np.ones(len(ids), dtype=bool)
    in_order = ids[order]
    firsts[1:] = in_order[1:] != in_order[:-1]
    return order, firsts
