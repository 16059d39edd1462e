# SPDX-License-Identifier: BSD-3-Clause
"""load_movielens and fetch_movielens: MovieLens ratings of movies."""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import urlopen

from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from sklearn_gmmcf._sklearn import Interval, StrOptions, validate_params
from sklearn_gmmcf.datasets._csv import encode_ratings, read_ratings
from sklearn_gmmcf.datasets._rating_file import parse_integer, show
from sklearn_gmmcf.datasets._records import BLANKS, RecordFault, RecordSplitter
from sklearn_gmmcf.datasets._text import (
    BROKEN_ARCHIVE,
    TextFault,
    open_member,
    open_text,
)
from sklearn_gmmcf.ratings import RatingsEncoder

_MOVIELENS_URL = "https://files.grouplens.org/datasets/movielens/"
# MD5 of the archives as GroupLens publishes them, in <archive>.md5 beside each. The MD5
# of latest-small changes with its content, and is read from the server.
_MOVIELENS_MD5 = {
    "100k": "0e33842e24a9c977be4e0107933c0723",
    "1m": "c4d9eecfca2ab87c1945afe126590906",
    "10m": "ce571fd55effeba0271552578f2648bd",
    "25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "latest-small": None,
}
# Bytes of the archives, rounded up; the size of latest-small changes, too.
_MAX_ARCHIVE = {
    "100k": 6_000_000,
    "1m": 7_000_000,
    "10m": 70_000_000,
    "25m": 270_000_000,
    "latest-small": 10_000_000,
}
_MAX_CHECKSUM = 10_000
# Bytes of unpacked files: the largest release has a third of this.
_MAX_RATINGS = 3 * 2**30
_MAX_MOVIES = 2**26
# Bytes that are downloaded at once.
_CHUNK = 2**16
# The files of a release by their names: the path that errors show, and how to open one.
_Files = Mapping[str, tuple[str, Callable[[], Any]]]


@validate_params(
    {"folder": [str, PathLike]},
    prefer_skip_nested_validation=True,
)
def load_movielens(folder: str | PathLike[str]) -> Bunch:
    r"""Load MovieLens ratings from a folder.

    Parameters
    ----------
    folder : str or path-like
        The unpacked archive of GroupLens, with ``ratings.csv`` and ``movies.csv``,
        ``ratings.dat`` and ``movies.dat``, or ``u.data`` and ``u.item``; each may be
        compressed to ``.gz``.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        With `data`, `user_ids`, `item_ids`, `titles` and `encoder`, as of
        :func:`fetch_movielens`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder, or it lacks these files.
    ValueError
        If a line of the ratings or of the movies is wrong; the message names it.

    See Also
    --------
    fetch_movielens : Downloads the archive.
    load_ratings_csv : Ratings in other files.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_gmmcf.datasets import load_movielens
    >>> with TemporaryDirectory() as folder:
    ...     lines = ["userId,movieId,rating", "1,10,4.5", "2,10,3.0"]
    ...     _ = Path(folder, "ratings.csv").write_text("\n".join(lines))
    ...     lines = ["movieId,title,genres", "10,GoldenEye (1995),Action"]
    ...     _ = Path(folder, "movies.csv").write_text("\n".join(lines))
    ...     ratings = load_movielens(folder)
    >>> ratings.data.toarray()
    array([[4.5],
           [3. ]])
    >>> ratings.titles
    array(['GoldenEye (1995)'], dtype='<U16')
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {folder}.")
    if not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is no folder. Unpack the archive; or leave that to "
            "fetch_movielens, which finds ml-<name>.zip in the folder movielens of "
            "data_home."
        )
    files = {
        path.name.removesuffix(".gz"): (
            f"{folder}: {path.name}",
            partial(open, path, "rb"),
        )
        # Of ratings.csv and ratings.csv.gz the first is taken.
        for path in sorted(folder.iterdir(), reverse=True)
        if path.is_file()
    }
    return _read_movielens(files, str(folder))


@validate_params(
    {
        "name": [StrOptions(set(_MOVIELENS_MD5))],
        "data_home": [str, PathLike, None],
        "download_if_missing": ["boolean"],
        "n_retries": [Interval(Integral, 1, None, closed="left")],
        "delay": [Interval(Real, 0.0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def fetch_movielens(
    name: str,
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    *,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch:
    """Load MovieLens ratings of movies, downloading them if necessary.

    ============  ==========  =======  ============
    name             ratings    users  rated movies
    ============  ==========  =======  ============
    100k             100,000      943         1,682
    1m             1,000,209    6,040         3,706
    10m           10,000,054   69,878        10,677
    25m           25,000,095  162,541        59,047
    latest-small     100,836      610         9,724
    ============  ==========  =======  ============

    'latest-small' changes over time; the numbers above are of 2018.

    The data belong to GroupLens, University of Minnesota. Their license, in the README
    of each archive, allows research with acknowledgment and no commercial use without
    permission, and limits redistribution. Please cite the article under References.

    Parameters
    ----------
    name : {'100k', '1m', '10m', '25m', 'latest-small'}
        Name of the data set.

    data_home : str or path-like, default=None
        Folder for data, by default :func:`sklearn.datasets.get_data_home`. The archive
        is kept in its subfolder ``movielens``; an archive that was put there by hand is
        read.

    download_if_missing : bool, default=True
        If False, raise an OSError where the archive is not there.

    n_retries : int, default=3
        Number of attempts to download.

    delay : float, default=1.0
        Seconds between attempts.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        The ratings, with the attributes:

        data : csr_array of shape (n_users, n_movies)
            The ratings, 1 to 5 stars, or 0.5 to 5 ('10m', '25m', 'latest-small').
        user_ids : ndarray of shape (n_users,)
            Ids of the rows.
        item_ids : ndarray of shape (n_movies,)
            Ids of the columns: the movies that have a rating.
        titles : ndarray of shape (n_movies,)
            Their titles; empty where the release has none.
        encoder : :class:`~sklearn_gmmcf.ratings.RatingsEncoder`
            The fitted encoder, which knows the titles.

    Raises
    ------
    OSError
        If the archive cannot be downloaded or written, is much larger than it should
        be, or has another MD5 checksum than the one that GroupLens published for the
        release (for 'latest-small', on the server).
    ValueError
        If a file in the archive cannot be read; the message names it and the line.

    See Also
    --------
    load_movielens : Reads an unpacked archive.
    make_ratings : Ratings whose truth is known.

    References
    ----------
    F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context.
    ACM Transactions on Interactive Intelligent Systems 5(4), article 19.

    Examples
    --------
    >>> from sklearn_gmmcf.datasets import fetch_movielens
    >>> ratings = fetch_movielens("100k")  # doctest: +SKIP
    >>> ratings.data.shape  # doctest: +SKIP
    (943, 1682)
    """
    path = Path(get_data_home(data_home), "movielens", f"ml-{name}.zip")
    url = f"{_MOVIELENS_URL}{path.name}"
    expected = _MOVIELENS_MD5[name]
    if not path.exists():
        if not download_if_missing:
            raise OSError(
                f"{path} is not there, and download_if_missing is False. It can be had "
                f"from {url}."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if expected is None:
            expected = _published_md5(f"{url}.md5", n_retries, delay)
        # The archive gets its name only when it is whole and has the right checksum.
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(unfinished, "wb", buffering=0) as file:
                _download(url, file, _MAX_ARCHIVE[name], n_retries, delay)
            _verify(unfinished, expected, f"The archive from {url}", "Try again")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    elif expected is not None:
        _verify(path, expected, str(path), "Remove it to download it again")
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except BROKEN_ARCHIVE as error:
            raise OSError(
                f"{path} is broken: {error}. Remove it to download it again."
            ) from error
        files = {}
        for member in archive.infolist():
            member_name = Path(member.filename).name
            open_it = partial(open_member, archive, member, str(path))
            files[member_name] = f"{path}: {member_name}", open_it
        return _read_movielens(files, str(path))


def _read_movielens(files: _Files, source: str) -> Bunch:
    """Read the files of a release."""
    columns: tuple[int | str, ...] = 0, 1, 2
    if "ratings.csv" in files:
        ratings, movies, delimiter = "ratings.csv", "movies.csv", ","
        columns = "userId", "movieId", "rating"
    elif "ratings.dat" in files:
        ratings, movies, delimiter = "ratings.dat", "movies.dat", "::"
    elif "u.data" in files:
        ratings, movies, delimiter = "u.data", "u.item", "\t"
    else:
        raise FileNotFoundError(
            f"{source} holds no ratings.csv, ratings.dat or u.data of MovieLens."
        )
    if movies not in files:
        raise FileNotFoundError(f"{source} holds {ratings}, but no {movies}.")
    titles = _read_titles(movies, *files[movies])
    name, open_file = files[ratings]
    with _advise_other_reader():
        lines = read_ratings(
            open_file,
            name,
            columns=columns,
            header=ratings.endswith(".csv"),
            delimiter=delimiter,
            id_type=int,
            max_size=_MAX_RATINGS,
        )
    if titles.keys().isdisjoint(lines.items.ids.tolist()):
        raise ValueError(
            f"{source}: {movies} has titles of other movies than {ratings}. Take both "
            "files from one archive."
        )
    with _advise_other_reader():
        bunch = encode_ratings(lines, RatingsEncoder(item_titles=titles))
    bunch.titles = bunch.encoder.item_titles_
    return bunch


@contextmanager
def _advise_other_reader() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{error} If the file was changed, unpack the archive again, or read the "
            "file by load_ratings_csv, which has parameters for other files."
        ) from error


def _read_titles(
    kind: str, name: str, open_file: Callable[[], BinaryIO]
) -> dict[int, str]:
    """Titles by the ids of movies, from a file of a kind that GroupLens publishes."""
    if kind == "movies.csv":
        text = _read_text(name, open_file, "utf-8")
        records = _split_csv(text)
    else:
        try:
            text = _read_text(name, open_file, "utf-8")
        except ValueError:  # the older releases
            text = _read_text(name, open_file, "latin-1")
        records = _split_plain(text, "::" if kind == "movies.dat" else "|")
    titles: dict[int, str] = {}
    n_lines = 0
    columns = None if kind == "movies.csv" else (0, 1)
    n_fields = 0  # of the first line
    try:
        for line, fields in records:
            where = f"{name}, line {n_lines + 1}"
            n_lines += line.count("\n")
            if not line.strip(BLANKS):
                continue
            n_fields = n_fields or len(fields)
            if columns is None:
                columns = _find_title_columns(where, fields)
                continue
            movie = None
            if len(fields) == n_fields > 1:
                movie = parse_integer(fields[columns[0]].strip(BLANKS))
            if movie is None:
                raise ValueError(
                    f"{where}: {show(line.strip(BLANKS))} is not the integer of a "
                    "movie, its title, and further fields as other lines have them."
                )
            if movie in titles:
                raise ValueError(f"{where}: movie {movie} has a title already.")
            titles[movie] = fields[columns[1]]
    except RecordFault as fault:
        raise ValueError(f"{name}, line {n_lines + 1}: {fault}") from None
    if n_lines < text.count("\n"):
        raise ValueError(f"{name}, line {n_lines + 1}: a quote is not closed.")
    if not titles:
        raise ValueError(f"{name} holds no movie.")
    return titles


def _find_title_columns(where: str, fields: list[str]) -> tuple[int, int]:
    names = [field.strip(BLANKS) for field in fields]
    if names.count("movieId") != 1 or names.count("title") != 1:
        raise ValueError(
            f"{where}: the header should name movieId and title, but is {show(names)}."
        )
    return names.index("movieId"), names.index("title")


def _split_csv(text: str) -> Iterator[tuple[str, list[str]]]:
    for start, end, fields in RecordSplitter(",").split(text):
        yield text[start:end], fields


def _split_plain(text: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Lines and their fields, which have no quotes."""
    for line in text.split("\n")[:-1]:
        yield line + "\n", line.split(separator)


def _read_text(name: str, open_file: Callable[[], BinaryIO], encoding: str) -> str:
    blocks = []
    with open_text(open_file, name, encoding, _MAX_MOVIES) as lines:
        try:
            for block in lines:
                blocks.append(block)
        except TextFault as fault:
            line = 1 + sum(block.count(b"\n") for block in blocks)
            raise ValueError(
                f"{name}, line {line}: {fault.fault} Unpack the archive again."
            ) from fault
    return b"".join(blocks).decode()


def _published_md5(url: str, n_retries: int, delay: float) -> str:
    file = io.BytesIO()
    _download(url, file, _MAX_CHECKSUM, n_retries, delay)
    found = re.search(rb"\b[0-9a-f]{32}\b", file.getvalue())
    if found is None:
        raise OSError(f"{url} holds no MD5 checksum.")
    return found[0].decode()


class _Hopeless(OSError):
    """An error that another attempt would not mend."""


def _download(url: str, file: Any, max_size: int, n_retries: int, delay: float) -> None:
    """Download into a file that is open for writing, without a buffer."""
    for attempt in range(1, n_retries + 1):
        file.seek(0)
        file.truncate()
        try:
            with urlopen(url, timeout=60) as response:
                length = response.headers["Content-Length"]
                _check_size(url, int(length or 0), max_size)
                while chunk := response.read(_CHUNK):
                    _check_size(url, file.tell() + len(chunk), max_size)
                    _write(url, file, chunk)
            if length is not None and file.tell() != int(length):
                raise OSError(f"only {file.tell()} of {length} bytes came")
            return
        except _Hopeless:
            raise
        except (OSError, HTTPException, ValueError) as error:
            if attempt == n_retries:
                raise OSError(
                    f"Could not download {url}: {error}. Check the network, or put "
                    "the archive into the folder movielens of data_home by hand."
                ) from error
            time.sleep(delay)


def _check_size(url: str, size: int, max_size: int) -> None:
    if size > max_size:
        raise _Hopeless(
            f"{url} has more than {max_size:,} bytes, which is not the archive that "
            "GroupLens published. Check the network (does a proxy answer?)."
        )


def _write(url: str, file: Any, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as error:
            raise _Hopeless(
                error.errno,
                f"{error.strerror}, as {url} was written. Free space on the disk, or "
                "pass another data_home",
            ) from error


def _verify(path: Path, expected: str, name: str, way_out: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.md5(usedforsecurity=False)
        ).hexdigest()
    if found != expected:
        raise OSError(
            f"{name} has the MD5 checksum {found}, but should have {expected}: it is "
            f"broken or was changed. {way_out}."
        )
