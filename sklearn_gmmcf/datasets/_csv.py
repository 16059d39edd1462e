# SPDX-License-Identifier: BSD-3-Clause
"""load_ratings_csv: users, items and ratings in a file of lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_gmmcf._ids import Coded, pack_strings
from sklearn_gmmcf._rating_lines import RatingLines
from sklearn_gmmcf._sklearn import Interval, StrOptions, validate_params
from sklearn_gmmcf.datasets._rating_file import (
    IdColumn,
    LineNumbers,
    RatingReader,
    check_rating_columns,
    parse_integer,
    parse_integers,
    show,
)
from sklearn_gmmcf.datasets._records import check_delimiter
from sklearn_gmmcf.ratings import RatingsEncoder

# Texts that stand for a missing integer; RatingsEncoder refuses further ones.
_MISSING_IDS = frozenset(["NA", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "\\N"])


@validate_params(
    {
        "path": [str, PathLike],
        "columns": [tuple, list],
        "header": ["boolean"],
        "delimiter": [str],
        "id_type": [type, None],
        "duplicates": [StrOptions({"error", "mean", "last"})],
        "encoding": [str],
        "rating_range": [tuple, list, None],
        "out_of_range": [StrOptions({"raise", "missing", "clip"})],
        "max_id_length": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def load_ratings_csv(
    path: str | PathLike[str],
    *,
    columns: Sequence[int | str] = (0, 1, 2),
    header: bool = True,
    delimiter: str = ",",
    id_type: type | None = None,
    duplicates: str = "error",
    encoding: str = "utf-8-sig",
    rating_range: tuple[float, float] | None = None,
    out_of_range: str = "raise",
    max_id_length: int = 1000,
) -> Bunch:
    r"""Load a CSV file of users, items and ratings.

    Every line is read right, or refused: errors name the file and a line that is wrong.
    Lines that cannot be read come first, then ids that are not of `id_type`, then
    ratings out of range and duplicates.

    Parameters
    ----------
    path : str or path-like
        The file. It is decompressed if its content, whatever its name, is gzip or a zip
        archive of one file.

    columns : tuple of three int or str, default=(0, 1, 2)
        Columns of users, items and ratings: numbers from 0, or names in the header.

    header : bool, default=True
        Whether the first line that is not blank holds names. A first line that looks
        like a rating is then refused, unless `columns` are names: its rating is a
        number or the text of a missing value, or user and item are integers.

    delimiter : str, default=","
        Separates fields: one character or more, such as "::".

    id_type : {int, str} or None, default=None
        Type of the ids. None takes integers, separately for users and items, if all ids
        in the file are integers of 64 bits that are written without "+" and without
        zeros before them, as the zeros of "007" would be lost. Whole floats, such as
        "7.0", are integers, as for the encoder: pandas makes them of integers beside
        missing values. Beside integers, None refuses the ids "NA", "N/A", "n/a",
        "#N/A", "NULL", "null", "NaN" and "\N", which mark missing values.

    duplicates : {'error', 'mean', 'last'}, default='error'
        Treatment of an item that a user rates more than once: refuse, take the mean, or
        take the last rating.

    encoding : str, default="utf-8-sig"
        Encoding of the file, such as "cp1252" or "utf-16". A byte order mark at the
        start is dropped.

    rating_range : tuple (low, high) or None, default=None
        Range of the ratings, to which the encoder also clips predictions.

    out_of_range : {'raise', 'missing', 'clip'}, default='raise'
        Treatment of ratings outside `rating_range`: refuse, leave out, or clip.

    max_id_length : int, default=1000
        Characters of the longest id. A longer one is refused, as it mostly comes from a
        wrong delimiter or a quote that is not closed.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        The ratings, with the attributes:

        data : csr_array of shape (n_users, n_items)
            The ratings.
        user_ids : ndarray of shape (n_users,)
            Ids of the rows, sorted.
        item_ids : ndarray of shape (n_items,)
            Ids of the columns, sorted.
        encoder : :class:`~sklearn_gmmcf.ratings.RatingsEncoder`
            The fitted encoder, which encodes further tables and decodes predictions.

    Raises
    ------
    ValueError
        If the file holds no rating, or a line that cannot be read, which the message
        names; if its header or its compression is wrong.
    OSError
        If the file cannot be opened.

    See Also
    --------
    load_movielens : Files of MovieLens, with titles.
    sklearn_gmmcf.ratings.RatingsEncoder : The same from frames and arrays, and back.

    Notes
    -----
    Lines end with ``\n``, ``\r\n`` or ``\r``; line ends within quotes become ``\n``.
    Blank lines are skipped, but count in the numbers of lines.

    Fields are quoted as the module ``csv`` defines, but spaces and tabs may stand
    around the quotes: a field that begins with a double quote may contain delimiters,
    line ends, and doubled quotes for a quote. Blanks around ids, numbers and names are
    dropped, also within quotes: tabs, line ends, and spaces, which are the characters
    of Unicode's category Zs, such as the no-break space.

    Ratings are finite numbers in ASCII digits, such as "4", "+4.", ".5" or "1e-3", read
    as Python's :class:`float` reads them; "nan", "1_000" and "4,5" are refused. Lines
    have as many fields as the first one, not counting empty ones at the end.

    The file is read once, in blocks, mostly by numpy. A million lines of MovieLens, or
    with short strings as ids, take less than twice as long as ``pandas.read_csv`` with
    ``pandas.factorize`` of users and items. Python reads some lines one by one, each in
    5 to 10 microseconds: lines with delimiters, line ends or doubled quotes in quotes,
    with ids above 64 bytes, with two blanks before a number or one after it, blank
    lines, lines with more or fewer fields than others, and those close to them.

    While the matrix is made, the memory is up to four times the memory of the three
    columns if ids repeat, as they do in MovieLens. If each line has a new user and a
    new item, it is 4 (long strings) to 16 (integers) times as large.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_gmmcf.datasets import load_ratings_csv
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "ratings.csv")
    ...     lines = ["stars,user,item", "5,ann,Alien", "4,ann,Brazil", "2,bob,Alien"]
    ...     _ = path.write_text("\n".join(lines))
    ...     ratings = load_ratings_csv(path, columns=("user", "item", "stars"))
    >>> ratings.data.toarray()
    array([[5., 4.],
           [2., 0.]])
    >>> ratings.user_ids.tolist(), ratings.item_ids.tolist()
    (['ann', 'bob'], ['Alien', 'Brazil'])
    """
    path = Path(path)
    if id_type not in (None, int, str):
        raise ValueError(f"id_type should be int, str or None, but got {id_type!r}.")
    check_rating_columns(columns, header)
    check_delimiter(delimiter)
    lines = read_ratings(
        partial(open, path, "rb"),
        str(path),
        columns=columns,
        header=header,
        delimiter=delimiter,
        id_type=id_type,
        max_id_length=max_id_length,
        encoding=encoding,
    )
    encoder = RatingsEncoder(
        duplicates=duplicates, rating_range=rating_range, out_of_range=out_of_range
    )
    return encode_ratings(lines, encoder)


def read_ratings(
    open_file: Callable[[], Any],
    name: str,
    *,
    columns: Sequence[int | str],
    header: bool,
    delimiter: str,
    id_type: type | None = None,
    max_id_length: int = 1000,
    encoding: str = "utf-8-sig",
    max_size: int | None = None,
) -> RatingLines:
    """Read a file that `open_file` opens; `name` is its name in errors."""
    reader = RatingReader(
        name,
        columns=columns,
        header=header,
        delimiter=delimiter,
        max_id_length=max_id_length,
    )
    ratings = reader.read(open_file, encoding, max_size)
    users = _convert_ids(reader.users, id_type, reader.lines)
    items = _convert_ids(reader.items, id_type, reader.lines)
    return RatingLines(users, items, ratings, name_line=reader.lines)


def encode_ratings(lines: RatingLines, encoder: RatingsEncoder) -> Bunch:
    data, user_ids = encoder.fit_encode(lines)
    return Bunch(data=data, user_ids=user_ids, item_ids=encoder.items_, encoder=encoder)


def _convert_ids(
    column: IdColumn, id_type: type | None, name_line: LineNumbers
) -> Coded:
    """Ids of the whole column, of one type."""
    ids, codes = column.pop()
    used = np.flatnonzero(np.bincount(codes, minlength=len(ids)))
    used_ids = [ids[code] for code in used]
    integers = None if id_type is str else parse_integers(used_ids, id_type)
    if integers is not None:
        all_integers = np.zeros(len(ids), dtype=np.int64)
        all_integers[used] = integers
        return Coded(codes, all_integers)
    is_missing = [each in _MISSING_IDS for each in used_ids]
    others = [each for each in used_ids if each not in _MISSING_IDS]
    if id_type is int:
        wrong = [parse_integer(each) is None for each in used_ids]
        reason = (
            "not an integer of 64 bits. If ids are not integers throughout, pass "
            "id_type=str."
        )
    elif (
        id_type is None and any(is_missing) and others and parse_integers(others, None)
    ):
        wrong = is_missing
        reason = (
            "the text of a missing value; all others are integers. Drop the line, or "
            "pass id_type=str."
        )
    else:
        return Coded(codes, pack_strings(ids))
    line = int(np.argmax(np.isin(codes, used[wrong])))
    raise ValueError(
        f"{name_line(line)}: the {column.role} is {show(ids[codes[line]])}, {reason}"
    )
