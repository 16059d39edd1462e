# SPDX-License-Identifier: BSD-3-Clause
"""Records of delimited text: fields, quotes, and the end of a record."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Spaces of Unicode (category Zs), tabs, and line ends, which fields in quotes may hold.
# str.strip would drop more, such as bytes of Windows that were read as latin-1.
BLANKS = " \t\n\u00a0\u1680\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class RecordFault(Exception):
    """A fault of the record after the last one that was split."""


class RecordSplitter:
    r"""Splits text into records, as the csv module defines them.

    A field that begins with a double quote ends at the next double quote that is not
    doubled; it may contain delimiters and line ends. Other double quotes are
    characters. Unlike in the csv module, spaces and tabs may stand around the quotes.

    Parameters
    ----------
    delimiter : str
        Separates fields; one character or more.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        blanks = "".join({" ", "\t"} - set(delimiter))
        blank = f"[{blanks}]*+" if blanks else ""
        quoted = f'{blank}"([^"]*+(?:""[^"]*+)*+)"'
        end = f"({re.escape(delimiter)}|\n)"
        self._quoted = re.compile(quoted)
        self._field = re.compile(rf'(?:{quoted}{blank}|((?!{blank}")[^\n]*?)){end}')

    def split(self, text: str) -> Iterator[tuple[int, int, list[str]]]:
        """Start, end and fields of each record of whole lines.

        A record whose quote is not closed in the text is left out.
        """
        start = 0
        while start < len(text):
            end = text.index("\n", start) + 1
            if text.find('"', start, end) < 0:
                fields = text[start : end - 1].split(self._delimiter)
            else:
                fields, end = self._split_quoted(text, start)
                if not end:
                    return
            yield start, end, fields
            start = end

    def _split_quoted(self, text: str, start: int) -> tuple[list[str], int]:
        """Fields and end of a record; an end of 0 if a quote is not closed."""
        fields: list[str] = []
        position = start
        while True:
            field = self._field.match(text, position)
            if field is None:
                if self._quoted.match(text, position) is None:
                    return fields, 0
                raise RecordFault(
                    'a closing quote is followed by text. Write " within quotes as "".'
                )
            quoted, plain, end = field.groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"'))
            position = field.end()
            if end == "\n":
                return fields, position


def check_delimiter(delimiter: str) -> None:
    """Refuse delimiters that numbers, ids or quotes may contain."""
    wrong = [
        character
        for character in delimiter
        if character.isalnum()
        or character in "\"'\n\r\0.+-_"
        or "\ud800" <= character <= "\udfff"  # halves of pairs, which no text has
    ]
    if not delimiter or wrong:
        raise ValueError(
            f"delimiter={delimiter!r} cannot separate fields. Pass characters that "
            r"stand in no number, id or quote, such as ',', ';', '\t' or '::'."
        )
