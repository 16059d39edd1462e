# SPDX-License-Identifier: BSD-3-Clause
"""Lines of ratings in a file: a plain reader in numpy, and a general one.

Both give the same lines. A block of lines that the plain reader cannot read goes to the
general one, which also finds the line that is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any, BinaryIO

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.datasets._distinct import (
    MAX_BYTES,
    DistinctValues,
    pack_words,
    to_bytes,
)
from sklearn_gmmcf.datasets._records import BLANKS, RecordFault, RecordSplitter
from sklearn_gmmcf.datasets._text import MAX_LINE, TextFault, open_text

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"[+-]?[0-9]*,[0-9]+")
_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})(?:\.0+)?")
# Integers that are written in one way, and whole floats, which pandas makes of them.
_PLAIN_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]*)(?:\.0+)?")
_UNNAMED = re.compile(r"Unnamed: [0-9]+|")
# The line by which Excel knows the delimiter.
_EXCEL_DELIMITER = re.compile('"?sep=(.)"?')
# Texts of missing ratings, in lower case.
_MISSING = frozenset(["na", "n/a", "#n/a", "nan", "null", "none", "nat", "<na>", "\\n"])
# Bytes of numbers, and zeros after them: of these, float reads what _NUMBER matches.
_IN_NUMBERS = np.isin(np.arange(256), list(b"0123456789.+-eE\0"))
# Bytes of a block that are read line by line where a line among them is not plain.
_PART = 2**14
# Ratings that hardly repeat are read one by one.
_MAX_DISTINCT_RATINGS = 2**15
# A byte in the place of a delimiter of several bytes.
_SEPARATOR = b"\x1f"
# Characters of a text that an error shows.
_SHOWN = 80


class NotPlain(Exception):
    """The plain reader cannot read a block of lines."""


class IdColumn:
    """Ids as they stand in a file, and their codes, an array for each block.

    Codes of the plain reader are 1, 2, ... and those of the general one -1, -2, ...: as
    indices of all texts, of which the first one is empty, they count from both ends.
    """

    def __init__(self, role: str, max_length: int) -> None:
        self.role = role
        self.codes: list[Array] = []
        self._max_length = max_length
        self._plain_texts = [""]
        self._plain = DistinctValues(self._learn)
        self._general: dict[str, int] = {}

    def encode_plain(self, words: Array) -> Array:
        return self._plain.encode(words)

    def encode_general(self, text: str) -> int:
        return self._general.setdefault(text, -1 - len(self._general))

    def describe_fault(self, text: str) -> str | None:
        if not text:
            return f"the {self.role} is missing. Correct or drop the line."
        if len(text) > self._max_length:
            return (
                f"the {self.role} has {len(text):,} characters: {show(text)}. Is the "
                "delimiter right, and is each quote closed? If so, pass "
                f"max_id_length={len(text)}."
            )
        return None

    def pop(self) -> tuple[list[str], Array]:
        """Ids without blanks around them, and codes of all lines, which are given away.

        One id may occur twice, as it may be written in several ways.
        """
        codes = np.concatenate(self.codes)
        self.codes = []
        texts = self._plain_texts + list(reversed(self._general))
        codes[codes < 0] += len(texts)
        codes -= 1  # no line has the empty id
        return [text.strip(BLANKS) for text in texts[1:]], codes

    def _learn(self, values: Array) -> None:
        texts = [value.decode() for value in values.tolist()]
        if any(self.describe_fault(text.strip(BLANKS)) for text in texts):
            raise NotPlain
        self._plain_texts += texts


class LineNumbers:
    """Names the line of the i-th rating of a file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starts = [0]  # indices of the first ratings of blocks
        # Of a block the number of the first line, or, with blank lines or line ends in
        # fields, of all.
        self._numbers: list[int | Array] = []

    def __call__(self, index: int) -> str:
        block = int(np.searchsorted(self._starts, index, side="right")) - 1
        offset = int(index) - self._starts[block]
        numbers = self._numbers[block]
        line = numbers + offset if isinstance(numbers, int) else numbers[offset]
        return f"{self._name}, line {line}"

    def add(self, n_ratings: int, numbers: int | Array) -> None:
        self._starts.append(self._starts[-1] + n_ratings)
        self._numbers.append(numbers)


class RatingReader:
    """Reads users, items and ratings from the lines of a file.

    After `read`, `users` and `items` hold the ids, and `lines` names lines.

    Parameters
    ----------
    name : str
        Name of the file in errors.
    columns : sequence of three int or str
        Columns of users, items and ratings.
    header : bool
        Whether the first line that is not blank holds names.
    delimiter : str
        Separates fields.
    max_id_length : int
        Characters of the longest id.
    """

    def __init__(
        self,
        name: str,
        *,
        columns: Sequence[int | str],
        header: bool,
        delimiter: str,
        max_id_length: int,
    ) -> None:
        self.users = IdColumn("user", max_id_length)
        self.items = IdColumn("item", max_id_length)
        self.lines = LineNumbers(name)
        self._name = name
        self._columns: Any = tuple(columns)
        self._header = header
        self._n_fields = 0  # of the first line, or 0 before it was read
        self._splitter = RecordSplitter(delimiter)
        self._delimiter = delimiter.encode()
        self._n_lines = 0  # that were read
        self._ratings: list[Array] = []
        self._distinct_ratings = DistinctValues(self._learn_ratings)
        self._values = np.zeros(1)  # ratings by the codes of their texts

    def read(
        self,
        open_file: Callable[[], BinaryIO],
        encoding: str,
        max_size: int | None = None,
    ) -> Array:
        """Read a file: the ratings (m,)."""
        rest = b""  # of the last block, from the line on in which a quote is open
        with open_text(open_file, self._name, encoding, max_size) as blocks:
            try:
                for block in blocks:
                    rest = self._read_block(rest + block)
                    if len(rest) > MAX_LINE:
                        break
            except TextFault as fault:
                raise self._error(1 + rest.count(b"\n"), fault) from fault.__cause__
        if rest:
            longer = f", or longer than {MAX_LINE:,} bytes" * (len(rest) > MAX_LINE)
            raise self._error(
                1,
                f"a field begins with a quote that is not closed{longer}. Close it, or "
                'write the whole field in quotes, and each " in it as "".',
            )
        if not self._ratings:
            raise ValueError(
                f"{self._name} holds no rating: it is empty"
                + (" but for its header." if self._n_fields else ".")
            )
        ratings, self._ratings = self._ratings, []
        return np.concatenate(ratings)

    def _read_block(self, block: bytes) -> bytes:
        """Read whole lines; the last ones are returned if a quote is open there."""
        if not self._n_fields:
            block = self._read_first(block)
            if not self._n_fields or not block:
                return block
        try:
            self._read_plain(block)
        except NotPlain:
            return self._read_parts(block)
        return b""

    def _read_parts(self, block: bytes) -> bytes:
        """Read a block that is not plain, though most of its parts may be."""
        rest = b""
        start = 0
        while start < len(block):
            # The rest is split again: parts that grow with it bound how often.
            end = block.find(b"\n", start + max(_PART, len(rest))) + 1 or len(block)
            part = rest + block[start:end]
            start, rest = end, b""
            try:
                self._read_plain(part)
            except NotPlain:
                rest = self._read_general(part)
        return rest

    def _read_first(self, block: bytes) -> bytes:
        """Read the names, or the number of fields: the lines that are left."""
        text = block.decode()
        left = 0
        for start, end, fields in self._split(text):
            if not text[start:end].strip(BLANKS):
                self._n_lines += 1
                left = end
                continue
            excel = _EXCEL_DELIMITER.fullmatch(text[start:end].strip("\n"))
            if excel is not None:
                raise self._error(
                    1,
                    "it tells Excel the delimiter. Remove the line, and pass "
                    f"delimiter={excel[1]!r}.",
                )
            names = [field.strip(BLANKS) for field in fields]
            if self._header:
                self._read_names(names)
                self._n_lines += text.count("\n", start, end)
                left = end
            n_needed = max(self._columns) + 1
            n_named = max((j + 1 for j, name in enumerate(names) if name), default=0)
            self._n_fields = max(n_named, n_needed)
            break
        return text[left:].encode()

    def _read_names(self, names: list[str]) -> None:
        is_named = isinstance(self._columns[2], str)
        self._columns = find_rating_columns(self._name, names, self._columns)
        user, item, rating = (names[column] for column in self._columns)
        if not is_named and (
            parse_rating(rating) is not None
            or rating.lower() in _MISSING
            or _COMMA_NUMBER.fullmatch(rating)
            or None not in (parse_integer(user), parse_integer(item))
        ):
            raise self._error(
                1,
                f"{show(self._delimiter.decode().join(names))} looks like a rating, "
                "but header=True takes it for names. If it is a rating, pass "
                "header=False; if it holds names, pass columns=(...) with the names "
                "of users, items and ratings.",
            )

    def _read_plain(self, block: bytes) -> None:
        """Read lines that have equally many fields, by numpy."""
        delimiter = self._delimiter
        if len(delimiter) > 1:
            if _SEPARATOR in block:
                raise NotPlain
            delimiter, block = _SEPARATOR, block.replace(delimiter, _SEPARATOR)
        buffer = np.frombuffer(block + bytes(MAX_BYTES + 8), dtype=np.uint8)
        is_newline = buffer == ord("\n")
        ends = np.flatnonzero(is_newline | (buffer == ord(delimiter)))
        n_lines = int(np.count_nonzero(is_newline))
        n_fields = len(ends) // n_lines
        if (
            n_fields * n_lines != len(ends)
            or n_fields < self._n_fields
            or not is_newline[ends[n_fields - 1 :: n_fields]].all()
        ):
            raise NotPlain
        starts = np.zeros_like(ends)
        np.add(ends[:-1], 1, out=starts[1:])
        if delimiter + b" " in block and b" " not in self._delimiter:
            starts += buffer[starts] == ord(" ")
        if b'"' in block:
            _strip_quotes(buffer, starts, ends)
        lengths = (ends - starts).reshape(n_lines, n_fields)
        if lengths[:, self._n_fields :].any():
            raise NotPlain
        words = []
        for column in self._columns:
            column_lengths = lengths[:, column]
            if column_lengths.min() == 0 or column_lengths.max() > MAX_BYTES:
                raise NotPlain
            words.append(pack_words(buffer, starts[column::n_fields], column_lengths))
        ratings = self._parse_plain(words[2])  # before ids, which are learned
        users = self.users.encode_plain(words[0])
        items = self.items.encode_plain(words[1])
        self._add(users, items, ratings, self._n_lines + 1)
        self._n_lines += n_lines

    def _parse_plain(self, words: Array) -> Array:
        if len(self._distinct_ratings) > _MAX_DISTINCT_RATINGS:
            return parse_ratings(to_bytes(words))
        codes = self._distinct_ratings.encode(words)
        return self._values[codes]

    def _learn_ratings(self, texts: Array) -> None:
        self._values = np.append(self._values, parse_ratings(texts))

    def _read_general(self, block: bytes) -> bytes:
        """Read lines of any kind, one by one, or raise the fault of the first one."""
        text = block.decode()
        users: list[int] = []
        items: list[int] = []
        ratings: list[float] = []
        numbers: list[int] = []
        rest = 0
        for start, end, fields in self._split(text):
            rest = end
            number = self._n_lines + 1
            self._n_lines += text.count("\n", start, end)
            if not fields[0].strip(BLANKS) and not text[start:end].strip(BLANKS):
                continue
            if len(fields) != self._n_fields:
                self._check_count(number, fields)
            user, item, rating_text = (fields[j].strip(BLANKS) for j in self._columns)
            rating = parse_rating(rating_text)
            fault = self.users.describe_fault(user) or self.items.describe_fault(item)
            if fault is None and rating is None:
                fault = describe_rating(rating_text)
                if not (self._header or self._ratings or ratings):
                    fault += " If the first line holds names, pass header=True."
            if fault is not None or rating is None:
                raise ValueError(f"{self._name}, line {number}: {fault}")
            users.append(self.users.encode_general(user))
            items.append(self.items.encode_general(item))
            ratings.append(rating)
            numbers.append(number)
        if ratings:
            first, n = numbers[0], len(numbers)
            self._add(
                np.array(users, dtype=np.int32),
                np.array(items, dtype=np.int32),
                np.array(ratings, dtype=np.float64),
                first if numbers[-1] == first + n - 1 else np.array(numbers),
            )
        return text[rest:].encode()

    def _check_count(self, number: int, fields: list[str]) -> None:
        """Check the number of fields; empty ones after those of the first are none."""
        n_fields = len(fields)
        if n_fields <= max(self._columns):
            expected = f"where {max(self._columns) + 1} are needed"
        elif n_fields < self._n_fields or any(
            field.strip(BLANKS) for field in fields[self._n_fields :]
        ):
            first = "header" if self._header else "first line"
            expected = f"where the {first} has {self._n_fields}"
        else:
            return
        raise ValueError(
            f"{self._name}, line {number}: {n_fields} field{'s' * (n_fields > 1)}, "
            f"separated by {self._delimiter.decode()!r}, {expected}. Is the delimiter "
            "right, and are texts that contain it in quotes?"
        )

    def _split(self, text: str) -> Iterator[tuple[int, int, list[str]]]:
        try:
            yield from self._splitter.split(text)
        except RecordFault as fault:
            raise self._error(1, fault) from None

    def _add(
        self, users: Array, items: Array, ratings: Array, numbers: int | Array
    ) -> None:
        self.users.codes.append(users)
        self.items.codes.append(items)
        self._ratings.append(ratings)
        self.lines.add(len(ratings), numbers)

    def _error(self, offset: int, fault: object) -> ValueError:
        return ValueError(f"{self._name}, line {self._n_lines + offset}: {fault}")


def find_rating_columns(
    name: str, names: list[str], columns: Sequence[int | str]
) -> tuple[int, ...]:
    """Indices of the columns of users, items and ratings in a header."""
    indices = []
    for column in columns:
        if isinstance(column, str):
            n_found = names.count(column)
            if n_found != 1:
                found = f"{n_found} columns" if n_found else "no column"
                raise ValueError(
                    f"{name} has {found} {column!r} but {show(names)}. Pass "
                    "columns=(...) with other names, or with numbers from 0."
                )
            column = names.index(column)
        elif column >= len(names):
            raise ValueError(
                f"columns={tuple(columns)!r} has the number {column}, counted from 0, "
                f"but the header of {name} is {show(names)}. Is the delimiter right?"
            )
        elif _UNNAMED.fullmatch(names[column]):
            raise ValueError(
                f"Column {column} of {name}, counted from 0, has no name, as an index "
                f"that was written beside the columns: {show(names)}. Pass "
                "columns=(...) with the names of users, items and ratings."
            )
        indices.append(column)
    if len(set(indices)) < 3:
        raise ValueError(
            f"columns={tuple(columns)!r} are not three different columns of {name}: "
            f"{show(names)}."
        )
    return tuple(indices)


def check_rating_columns(columns: Sequence[int | str], header: bool) -> None:
    """Check columns as far as that is possible without the file."""
    numbers = [column for column in columns if not isinstance(column, str)]
    are_valid = all(
        isinstance(number, Integral) and not isinstance(number, bool) and number >= 0
        for number in numbers
    )
    if not are_valid or "" in columns or len(columns) != 3 or len(set(columns)) != 3:
        raise ValueError(
            "columns should be three different names, or numbers from 0, of users, "
            f"items and ratings, but got {tuple(columns)!r}."
        )
    if len(numbers) < 3 and not header:
        raise ValueError(
            f"columns={tuple(columns)!r} has names, which need a header. Pass numbers "
            "from 0, or header=True."
        )


def parse_ratings(texts: Array) -> Array:
    """Finite numbers of an array of bytes, which have no blanks around them."""
    if not _IN_NUMBERS[texts.view(np.uint8)].all():
        raise NotPlain
    try:
        values = texts.astype(np.float64)
    except ValueError as error:
        raise NotPlain from error
    if not np.isfinite(values).all():
        raise NotPlain
    return values


@lru_cache(2**12)  # ratings mostly repeat
def parse_rating(text: str) -> float | None:
    """A finite number in ASCII digits, without blanks around it; else None."""
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def parse_integer(text: str) -> int | None:
    """An integer of 64 bits in ASCII digits, also as a whole float; else None."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    value = int(match[1] + match[2])
    return value if -(2**63) <= value < 2**63 else None


def parse_integers(texts: Sequence[str], id_type: type | None) -> list[int] | None:
    """Integers, if all texts are; without `id_type`, if no text is lost thereby.

    The zeros of 007 would be.
    """
    if id_type is None and not all(map(_PLAIN_INTEGER.fullmatch, texts)):
        return None
    integers = []
    for text in texts:
        integer = parse_integer(text)
        if integer is None:
            return None
        integers.append(integer)
    return integers


def describe_rating(text: str) -> str:
    """Why a text is no rating."""
    if not text:
        return "the rating is missing. Correct or drop the line."
    if _COMMA_NUMBER.fullmatch(text):
        return f"the rating is {show(text)}. Write decimals with a point, not a comma."
    return f"the rating is {show(text)}, not a finite number. Correct or drop the line."


def show(value: object) -> str:
    """A value as errors show it, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _strip_quotes(buffer: Array, starts: Array, ends: Array) -> None:
    """Move starts and ends within quotes, if all quotes enclose whole fields."""
    is_quote = buffer == ord('"')
    quoted = is_quote[starts] & is_quote[ends - 1] & (ends - starts >= 2)
    if 2 * np.count_nonzero(quoted) != np.count_nonzero(is_quote):
        raise NotPlain
    starts += quoted
    ends -= quoted
