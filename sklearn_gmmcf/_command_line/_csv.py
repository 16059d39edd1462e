# SPDX-License-Identifier: BSD-3-Clause
"""CSV text whose cells stay as they are, except those that are replaced."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sklearn_gmmcf.datasets._records import BLANKS, check_delimiter

_MARK = "\ufeff"  # of byte order


@dataclass(frozen=True)
class CsvTable:
    """A table, and the positions of its cells in the text of its file."""

    name: str
    text: str
    separator: str
    names: list[str]
    lines: list[int]  # (n_rows,), where each row begins, from 1
    spans: list[list[tuple[int, int]]]  # (n_rows, n_columns)

    def read_column(self, j: int) -> list[str]:
        """Texts of a column, without quotes, and without blanks around them."""
        return [read_cell(self.text[slice(*row[j])]) for row in self.spans]

    def replace(self, cells: Mapping[tuple[int, int], str]) -> str:
        """The text with other cells at some (row, column)."""
        parts: list[str] = []
        position = 0
        for row, column in sorted(cells):
            start, end = self.spans[row][column]
            parts += self.text[position:start], self._quote(cells[row, column])
            position = end
        return "".join(parts) + self.text[position:]

    def _quote(self, cell: str) -> str:
        if re.search(f'["\r\n{re.escape(self.separator)}]', cell) or cell != cell.strip(
            BLANKS
        ):
            return '"' + cell.replace('"', '""') + '"'
        return cell


def decode(name: str, content: bytes, encoding: str) -> str:
    """Text of a file, with its mark of byte order."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
        likely = "utf-16" if content.startswith(marks) else "cp1252"
        raise ValueError(
            f"{name}, line {line} is not text in {encoding}. Save the table as CSV in "
            f"UTF-8, or pass its --encoding, such as {likely}."
        ) from None
    position = text.find("\0")
    if position >= 0:
        raise ValueError(
            f"{name}, line {1 + _count_line_ends(text[:position])} holds a NUL byte, "
            "so this is no text, or has another --encoding, such as utf-16."
        )
    return text


def guess_separator(line: str) -> str:
    """The most frequent of the usual separators in the first line of a file."""
    return max(",;\t|", key=line.count)


def parse(name: str, text: str, separator: str | None = None) -> CsvTable:
    """Find the cells of a table with names in its first line.

    Raises
    ------
    ValueError
        If names are equal, or a line has another number of fields or a faulty quote.
    """
    if separator is None:
        separator = guess_separator(
            re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
        )
    names: list[str] = []
    lines, spans = [], []
    for line, record in _split(name, text, separator):
        if not names:
            names = [read_cell(text[slice(*span)]) for span in record]
            _check_names(name, line, names)
            continue
        if len(record) != len(names):
            raise ValueError(
                f"{name}, line {line}: {len(record)} fields, separated by "
                f"{separator!r}, where the first line has {len(names)}. Is --sep "
                "right, and are texts that contain it in quotes?"
            )
        lines.append(line)
        spans.append(record)
    if not names:
        raise ValueError(f"{name} is empty. Pass a table with names in its first line.")
    return CsvTable(name, text, separator, names, lines, spans)


def _split(
    name: str, text: str, separator: str
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The line and the cells of each record; blank lines are left out."""
    check_delimiter(separator)
    blanks = "".join({" ", "\t"} - {separator})
    blank, end = f"[{blanks}]*+", re.escape(separator)
    quoted = rf'{blank}"[^"]*+(?:""[^"]*+)*+"{blank}'
    cell = re.compile(rf'({quoted}|(?!{blank}")[^{end}\r\n]*+)({end}|\r\n?|\n|\Z)')
    position, line = len(_MARK) if text.startswith(_MARK) else 0, 1
    while position < len(text):
        start, spans, last = position, [], separator
        while last == separator:
            match = cell.match(text, position)
            if match is None:
                here = line + _count_line_ends(text[start:position])
                is_closed = re.compile(quoted).match(text, position)
                raise ValueError(
                    f"{name}, line {here}: "
                    + (
                        "a closing quote is followed by text"
                        if is_closed
                        else "a field begins with a quote that is not closed"
                    )
                    + '. Write the whole field in quotes, and each " in it as "".'
                )
            spans.append(match.span(1))
            position, last = match.end(), match[2]
        if len(spans) > 1 or text[slice(*spans[0])].strip(BLANKS):
            yield line, spans
        line += _count_line_ends(text[start:position])


def _count_line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def read_cell(raw: str) -> str:
    """Text of a cell, without quotes, and without blanks around it."""
    unblanked = raw.strip(" \t")
    if unblanked.startswith('"'):
        raw = unblanked[1:-1].replace('""', '"')
    return raw.strip(BLANKS)


def _check_names(name: str, line: int, names: list[str]) -> None:
    for j, each in enumerate(names):
        if each in names[:j]:
            raise ValueError(
                f"{name}, line {line} has the name {each!r} twice. Columns should have "
                "unique names."
            )


def write_csv(rows: Iterable[Iterable[object]], separator: str) -> str:
    """CSV text of rows."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()
