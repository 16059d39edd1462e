# SPDX-License-Identifier: BSD-3-Clause
"""The options of the commands, and their help."""

from __future__ import annotations

import codecs
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from math import inf
from pathlib import Path
from typing import Any

from sklearn_gmmcf import __version__

_DESCRIPTION = """\
Complete tables and recommend items by Gaussian mixtures that are fitted to what was
observed."""
_EPILOG = """\
examples:
  %(prog)s complete table.csv --out completed.csv
  %(prog)s recommend ratings.csv --user ann --reasons 2
  %(prog)s COMMAND --help

Exit codes: 0 done, 1 a file or what it holds cannot be used, 2 wrong usage.
The app does the same in a browser: python -m sklearn_gmmcf.app"""
_COMPLETE = """\
Fill the missing cells of a CSV table with names in its first line: columns of numbers,
of ISO dates such as 2024-05-31 or 2024-05-31 12:30, and of text with few levels. All
other cells stay as the file has them, byte by byte. Columns without values, and text of
many levels, such as names, are left as they are. At the end a report tells how many
cells were filled, and the error to expect: the root mean squared error, or the share of
wrong levels, of observed cells that were held out."""
_RECOMMEND = """\
List the best items for users, from a CSV file with a user, an item and a rating in each
line. Items that the user has rated are left out. The columns of the list: the expected
rating, its standard deviation, and the chance that the user likes the item: rates it at
least as high as half of all ratings are."""


def _read_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _read_seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**32:
        raise ArgumentTypeError(f"{text!r} is not an integer from 0 to 2**32 - 1")
    return int(text)


def _read_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return share


def _read_separator(text: str) -> str:
    separator = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(separator) != 1 or separator.isalnum() or separator in "\"'\r\n\0.+-_":
        raise ArgumentTypeError(f"{text!r} is not one character that separates fields")
    return separator


def _read_columns(text: str) -> tuple[int | str, ...]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != 3 or len(names) != 3 or "" in names:
        raise ArgumentTypeError(f"{text!r} is not three names or numbers")
    return tuple(int(name) if name.isdecimal() else name for name in names)


def _read_encoding(text: str) -> str:
    try:
        codecs.lookup(text)
    except LookupError:
        raise ArgumentTypeError(
            f"{text!r} is not an encoding that Python knows, such as utf-8 or cp1252"
        ) from None
    return text


def _read_scale(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = 0.0
    if not -inf < low < high < inf:
        raise ArgumentTypeError(f"{text!r} is not two numbers, the lower one first")
    return low, high


def _option(*names: str, **settings: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return names, settings


_COMPLETE_OPTIONS = [
    _option("table", metavar="TABLE", help="the CSV file; - is standard input"),
    _option(
        "--out",
        required=True,
        metavar="FILE",
        help="where the completed table goes; - is standard output",
    ),
    _option(
        "--intervals",
        metavar="FILE",
        help="write the lower and the upper end of an interval for each number and "
        "date that was filled",
    ),
    _option(
        "--coverage",
        type=_read_share,
        default=0.9,
        metavar="SHARE",
        help="share of true values that the intervals hold (default: %(default)s)",
    ),
    _option(
        "--draws",
        type=_read_count,
        default=0,
        metavar="N",
        help="multiple imputation: write N tables with drawn cells, too, named after "
        "--out: completed-1.csv, ...",
    ),
    _option(
        "--missing",
        action="append",
        default=[],
        metavar="TEXT",
        help="a text that marks missing cells, besides empty ones, NA, NaN, null and "
        "the others that pandas knows; may be repeated",
    ),
    _option(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="leave a column as it is, and learn nothing from it, as of ids; may be "
        "repeated",
    ),
    _option(
        "--max-categories",
        type=_read_count,
        default=20,
        metavar="N",
        help="the most levels that text may have to be filled (default: %(default)s)",
    ),
    _option(
        "--decimal",
        choices=[".", ","],
        default=".",
        help="the decimal point of numbers (default: %(default)s)",
    ),
    _option(
        "--seed",
        type=_read_seed,
        default=0,
        metavar="N",
        help="seed of the fit and of draws (default: %(default)s); the same seed gives "
        "the same table",
    ),
]
_RECOMMEND_OPTIONS = [
    _option(
        "ratings", nargs="?", metavar="RATINGS", help="the CSV file; .gz is read, too"
    ),
    _option(
        "--user",
        action="append",
        default=[],
        metavar="ID",
        help="a user; may be repeated (default: all users)",
    ),
    _option(
        "--n-items",
        type=_read_count,
        default=10,
        metavar="N",
        help="number of items for each user (default: %(default)s)",
    ),
    _option(
        "--reasons",
        type=_read_count,
        default=0,
        metavar="N",
        help="name the N ratings that contribute most to each expected rating, and "
        "what they add",
    ),
    _option(
        "--rank-by",
        choices=["utility", "value", "lower", "upper"],
        default="utility",
        help="the best items are those that the user would choose and like (utility, "
        "the default), or those with the highest expected rating (value), less or "
        "plus its standard deviation (lower, upper)",
    ),
    _option(
        "--out",
        metavar="FILE",
        help="write the list as CSV; - is standard output (default: print a table)",
    ),
    _option(
        "--columns",
        type=_read_columns,
        default=(0, 1, 2),
        metavar="USER,ITEM,RATING",
        help="names of the columns in the first line, or their numbers from 0 "
        "(default: the first three)",
    ),
    _option(
        "--scale",
        type=_read_scale,
        metavar="LOW,HIGH",
        help="the lowest and the highest rating (default: of the file)",
    ),
    _option(
        "--out-of-range",
        choices=["raise", "missing", "clip"],
        default="raise",
        help="what becomes of ratings beyond the scale: an error (the default), none, "
        "as where 99 marks missing ones, or the nearest end",
    ),
    _option("--no-header", action="store_true", help="the first line is a rating"),
    _option(
        "--titles",
        metavar="FILE",
        help="a CSV file whose first two columns are ids of items and titles",
    ),
    _option(
        "--n-components",
        type=_read_count,
        default=4,
        metavar="N",
        help="number of types of users (default: %(default)s)",
    ),
    _option(
        "--save",
        metavar="FILE",
        help="save the recommender and its ratings, so that --model can answer without "
        "a fit",
    ),
    _option(
        "--model",
        metavar="FILE",
        help="a recommender that --save wrote, in the place of RATINGS. It can run "
        "code: take it only from sources that you trust",
    ),
]
_COMMON_OPTIONS = [
    _option(
        "--sep",
        type=_read_separator,
        metavar="TEXT",
        help="what separates fields (default: , ; | or tab, which is most frequent in "
        "the first line)",
    ),
    _option(
        "--encoding",
        type=_read_encoding,
        default="utf-8",
        metavar="NAME",
        help="of files that are read and written (default: %(default)s)",
    ),
    _option("--force", action="store_true", help="overwrite files that exist"),
    _option(
        "--quiet",
        action="store_true",
        help="no report and no progress, only warnings and errors",
    ),
]


def make_parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of the command line, and the parser of each command."""
    program = Path(sys.argv[0]).name
    parser = ArgumentParser(
        "python -m sklearn_gmmcf" if program == "__main__.py" else "sklearn-gmmcf",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sklearn-gmmcf {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {}
    for name, summary, description, options in [
        (
            "complete",
            "fill the missing cells of a CSV table",
            _COMPLETE,
            _COMPLETE_OPTIONS,
        ),
        (
            "recommend",
            "list items for users, from a CSV file of ratings",
            _RECOMMEND,
            _RECOMMEND_OPTIONS,
        ),
    ]:
        parsers[name] = commands.add_parser(name, help=summary, description=description)
        for names, settings in [*options, *_COMMON_OPTIONS]:
            parsers[name].add_argument(*names, **settings)
    return parser, parsers
