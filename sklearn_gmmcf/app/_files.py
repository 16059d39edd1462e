# SPDX-License-Identifier: BSD-3-Clause
"""Uploaded text within the limits of the app, and text to download."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sklearn_gmmcf.app import _limits
from sklearn_gmmcf.app._messages import Refusal, quote_formula

# As the first digits of ids, such as 007, zeros are no part of a number.
NUMBER = re.compile(r"[+-]?(?!0[0-9])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Upload:
    """Text of a file of lines."""

    name: str
    text: str
    delimiter: str

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Number of the last line of each record, and its fields."""
        reader = csv.reader(read_lines(self.name, self.text), delimiter=self.delimiter)
        try:
            for fields in reader:
                yield reader.line_num, fields
        except csv.Error as error:
            raise Refusal(f"{self.name} is no table of text: {error}.") from error


def open_upload(name: str, content: bytes) -> Upload:
    """Decode an uploaded file, and find out what separates its fields."""
    if len(content) > _limits.MAX_MB * 2**20:
        raise Refusal(
            f"{name} has more than {_limits.MAX_MB} MB, the limit of this page."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise Refusal(
            f"{name}, line {line} is not text in UTF-8. Save the file as CSV in UTF-8."
        ) from error
    first = text[: _limits.MAX_LINE].partition("\n")[0]
    return Upload(name, text, max(",;\t", key=first.count))


def read_lines(name: str, text: str) -> Iterator[str]:
    """Yield lines of limited length, and a limited number of them, blank ones too."""
    lines = re.finditer(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++", text)
    for number, line in enumerate(lines, start=1):
        if number > _limits.MAX_LINES:
            raise Refusal(
                f"{name} has more than {_limits.MAX_LINES:,} lines, the limit of this "
                "page. Remove blank lines and some rows from the file."
            )
        if line.end() - line.start() > _limits.MAX_LINE:
            raise Refusal(
                f"{name}, line {number} has more than {_limits.MAX_LINE:,} characters."
            )
        yield line[0]


def write_lines(rows: Iterable[Iterable[str]], delimiter: str) -> str:
    """Lines of a CSV file, without a cell that a spreadsheet runs as a formula.

    All cells but numbers are quoted: no delimiter makes two cells of one.
    """
    return "".join(delimiter.join(map(_write_cell, row)) + "\n" for row in rows)


def _write_cell(cell: str) -> str:
    if NUMBER.fullmatch(cell) or not cell:
        return cell
    return '"' + quote_formula(cell).replace('"', '""') + '"'
