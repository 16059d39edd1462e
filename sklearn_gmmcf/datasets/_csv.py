"""load_ratings_csv: users, items and ratings in a file of lines."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice, takewhile
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn.utils import Bunch

from sklearn_gmmcf._sklearn import StrOptions, validate_params
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.ratings import RatingsEncoder

# Lines of a file that are read at once.
_CSV_LINES = 2**17


@validate_params(
    {
        "path": [str, PathLike],
        "columns": [tuple, list],
        "header": ["boolean"],
        "delimiter": [str],
        "id_type": [type, None],
        "duplicates": [StrOptions({"error", "mean", "last"})],
        "encoding": [str],
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
    encoding: str = "utf-8",
) -> Bunch:
    r"""Load a CSV file of users, items and ratings.

    The file is read twice, in batches of lines, so that the memory holds the matrix and
    one batch.

    Parameters
    ----------
    path : str or path-like
        The file; ``.gz`` is decompressed.

    columns : tuple of three int or str, default=(0, 1, 2)
        Columns of users, items and ratings: numbers from 0, or names in the header.

    header : bool, default=True
        Whether the first line holds names.

    delimiter : str, default=","
        One character. Text between double quotes is one field.

    id_type : {int, str} or None, default=None
        Type of the ids. None takes integers if the ids in the first lines are integers,
        separately for users and items.

    duplicates : {'error', 'mean', 'last'}, default='error'
        Treatment of an item that a user rates more than once: refuse, take the mean, or
        take the last rating.

    encoding : str, default="utf-8"
        Encoding of the file.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        data : csr_array of shape (n_users, n_items)
            The ratings.
        user_ids : ndarray of shape (n_users,)
            Ids of the rows, sorted.
        item_ids : ndarray of shape (n_items,)
            Ids of the columns, sorted.

    Raises
    ------
    ValueError
        If the file cannot be read; the message names the first line that is wrong.

    See Also
    --------
    load_movielens : Files of MovieLens, with titles.
    sklearn_gmmcf.ratings.RatingsEncoder : The same from frames and arrays, and back.

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
    if header:
        with _open_text(partial(open_file, path), str(path), encoding) as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
        for name in columns:
            if isinstance(name, str) and name not in names:
                raise ValueError(f"{path} has no column {name!r} but {names}.")
        columns = [
            names.index(name) if isinstance(name, str) else name for name in columns
        ]
    return read_ratings(
        partial(open_file, path),
        str(path),
        columns=columns,
        delimiter=delimiter,
        skip=int(header),
        id_type=id_type,
        duplicates=duplicates,
        encoding=encoding,
    )


def open_file(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


@contextmanager
def _open_text(
    open_binary: Callable[[], BinaryIO], name: str, encoding: str
) -> Iterator[io.TextIOWrapper]:
    """Open a file; if it cannot be decoded, the error names the line."""
    try:
        with io.TextIOWrapper(open_binary(), encoding=encoding) as file:
            yield file
    except UnicodeDecodeError as error:
        with open_binary() as file:
            number = 1 + sum(1 for _ in takewhile(partial(_decodes, encoding), file))
        raise ValueError(
            f"{name}, line {number}: {error.reason}, so this is not text in "
            f"{encoding}. Pass its encoding."
        ) from error


def _decodes(encoding: str, line: bytes) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def read_ratings(
    open_binary: Callable[[], BinaryIO],
    name: str,
    *,
    columns: Any,
    delimiter: str,
    skip: int = 0,
    id_type: type | None = None,
    duplicates: str = "error",
    encoding: str = "utf-8",
) -> Bunch:
    def batches() -> Iterator[tuple[Array, Array, Array]]:
        types = None if id_type is None else (id_type, id_type)
        with _open_text(open_binary, name, encoding) as file:
            n_read = sum(1 for _ in islice(file, skip))
            while read := list(islice(file, _CSV_LINES)):
                lines = [line for line in read if line.strip()]
                n_read += len(read)
                if not lines:
                    continue
                try:
                    batch, types = _parse(lines, delimiter, columns, types)
                except (ValueError, IndexError) as error:
                    before = n_read - len(read)
                    fault = _find_fault(read, before, delimiter, columns, types)
                    fault = fault or f"after line {before}: {error}"
                    raise ValueError(f"{name}, {fault}.") from error
                yield batch

    encoder = RatingsEncoder(duplicates=duplicates)
    data, users = encoder.fit_encode(batches)
    return Bunch(data=data, user_ids=users, item_ids=encoder.items_)


def _parse(
    lines: list[str], delimiter: str, columns: Any, types: tuple[type, type] | None
) -> tuple[tuple[Array, Array, Array], tuple[type, type]]:
    """Users, items and ratings of the lines, and the types of the ids."""
    options: dict[str, Any] = {
        "delimiter": delimiter,
        "usecols": tuple(columns),
        "comments": None,
        "quotechar": '"',
    }
    if types == (int, int):  # numpy reads these in one pass
        dtype = [("user", np.int64), ("item", np.int64), ("rating", np.float64)]
        table = np.loadtxt(lines, dtype=dtype, ndmin=1, **options)
        users, items, ratings = table["user"], table["item"], table["rating"]
    else:
        users, items, ratings = np.loadtxt(lines, dtype=str, ndmin=2, **options).T
        if types is None:
            types = (_guess_type(users), _guess_type(items))
        if (users == "").any() or (items == "").any():
            raise ValueError("an id is missing")
        users, items = users.astype(types[0]), items.astype(types[1])
        ratings = ratings.astype(np.float64)
    if not np.isfinite(ratings).all():
        raise ValueError("a rating is not finite")
    return (users, items, ratings), types


def _find_fault(
    lines: list[str],
    n_before: int,
    delimiter: str,
    columns: Any,
    types: tuple[type, type] | None,
) -> str:
    """Number and fault of the first line that is wrong; empty if none is found."""
    reader = csv.reader(lines, delimiter=delimiter)
    for fields in reader:
        if "".join(fields).strip():
            fault = _describe_fault(fields, delimiter, columns, types or (str, str))
            if fault:
                return f"line {n_before + reader.line_num}: {fault}"
    return ""


def _describe_fault(
    fields: list[str], delimiter: str, columns: Any, types: tuple[type, type]
) -> str:
    """The fault in the fields of a line; empty if there is none."""
    try:
        *ids, rating = (fields[column] for column in columns)
    except IndexError:
        return (
            f"{len(fields)} fields, separated by {delimiter!r}, where "
            f"{max(columns) + 1} are needed"
        )
    for name, value, kind in zip(("user", "item"), ids, types, strict=True):
        if not value:
            return f"the {name} is missing"
        try:
            np.array(value).astype(np.int64 if kind is int else str)
        except (ValueError, OverflowError):
            return (
                f"the {name} is {value!r}, not an integer. If ids are not integers "
                "throughout, pass id_type=str"
            )
    try:
        finite = np.isfinite(float(rating))
    except ValueError:
        finite = False
    return "" if finite else f"the rating is {rating!r}, not a number"


def _guess_type(ids: Array) -> type:
    """Integers, if that loses nothing (it would lose the zeros of 007)."""
    try:
        return int if (ids.astype(np.int64).astype(str) == ids).all() else str
    except (ValueError, OverflowError):
        return str
