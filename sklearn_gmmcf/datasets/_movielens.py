"""load_movielens and fetch_movielens: MovieLens ratings of movies."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPException
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import urlopen

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from sklearn_gmmcf._sklearn import Interval, StrOptions, validate_params
from sklearn_gmmcf.datasets._csv import open_file, read_ratings

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
        With `data`, `user_ids`, `item_ids` and `titles`, as of :func:`fetch_movielens`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks these files.
    ValueError
        If a line of the ratings is wrong; the message names it.

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
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    files = {
        path.name.removesuffix(".gz"): partial(open_file, path)
        for path in folder.iterdir()
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

    The data belong to GroupLens, University of Minnesota. Their licence, in the README
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
        data : csr_array of shape (n_users, n_movies)
            The ratings, 1 to 5 stars, or 0.5 to 5 ('10m', '25m', 'latest-small').
        user_ids : ndarray of shape (n_users,)
            Ids of the rows.
        item_ids : ndarray of shape (n_movies,)
            Ids of the columns: the movies that have a rating.
        titles : ndarray of shape (n_movies,)
            Their titles.

    Raises
    ------
    OSError
        If the archive cannot be downloaded, or has another MD5 checksum than the one
        that GroupLens published for the release (for 'latest-small', on the server).

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
            with open(unfinished, "wb") as file:
                _download(url, file, n_retries, delay)
            _verify(unfinished, expected, f"The archive from {url}", "Try again")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    elif expected is not None:
        _verify(path, expected, str(path), "Remove it to download it again")
    try:
        with zipfile.ZipFile(path) as archive:
            files = {
                Path(member).name: partial(archive.open, member)
                for member in archive.namelist()
            }
            return _read_movielens(files, str(path))
    except zipfile.BadZipFile as error:
        raise OSError(
            f"{path} is broken: {error}. Remove it to download it again."
        ) from error


def _read_movielens(files: Mapping[str, Callable[[], Any]], source: str) -> Bunch:
    """Read the files of a release, by their names."""
    if "ratings.csv" in files:
        ratings, movies = "ratings.csv", "movies.csv"
        columns, delimiter = (0, 1, 2), ","
    elif "ratings.dat" in files:
        ratings, movies = "ratings.dat", "movies.dat"
        # Fields are separated by "::": every other one is empty.
        columns, delimiter = (0, 2, 4), ":"
    elif "u.data" in files:
        ratings, movies = "u.data", "u.item"
        columns, delimiter = (0, 1, 2), "\t"
    else:
        raise FileNotFoundError(
            f"{source} holds no ratings.csv, ratings.dat or u.data of MovieLens."
        )
    if movies not in files:
        raise FileNotFoundError(f"{source} holds {ratings}, but no {movies}.")
    bunch = read_ratings(
        files[ratings],
        f"{source}: {ratings}",
        columns=columns,
        delimiter=delimiter,
        skip=int(ratings.endswith(".csv")),
        id_type=int,
    )
    titles = _read_titles(files[movies], movies)
    bunch.titles = np.array([titles.get(item, "") for item in bunch.item_ids.tolist()])
    return bunch


def _read_titles(open_binary: Callable[[], BinaryIO], name: str) -> dict[int, str]:
    with open_binary() as file:
        content = file.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:  # the older releases
        text = content.decode("latin-1")
    if name == "movies.csv":
        lines = list(csv.reader(io.StringIO(text)))[1:]
    else:
        separator = "::" if name == "movies.dat" else "|"
        lines = [line.split(separator) for line in text.split("\n") if line]
    return {int(line[0]): line[1] for line in lines}


def _published_md5(url: str, n_retries: int, delay: float) -> str:
    file = io.BytesIO()
    _download(url, file, n_retries, delay)
    found = re.search(rb"\b[0-9a-f]{32}\b", file.getvalue())
    if found is None:
        raise OSError(f"{url} holds no MD5 checksum.")
    return found[0].decode()


def _download(url: str, file: Any, n_retries: int, delay: float) -> None:
    """Download into a file that is open for writing."""
    for attempt in range(1, n_retries + 1):
        file.seek(0)
        file.truncate()
        try:
            with urlopen(url, timeout=60) as response:
                shutil.copyfileobj(response, file)
                length = response.headers["Content-Length"]
            if length is not None and file.tell() != int(length):
                raise OSError(f"only {file.tell()} of {length} bytes came")
            file.flush()
            return
        except (OSError, HTTPException) as error:
            if attempt == n_retries:
                raise OSError(
                    f"Could not download {url}: {error}. Check the network, or put "
                    "the archive into the folder movielens of data_home by hand."
                ) from error
            time.sleep(delay)


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
