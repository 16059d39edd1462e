"""Data: ratings whose truth is known, MovieLens, and ratings in files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from itertools import islice, takewhile
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import urlopen

import numpy as np
from scipy import sparse
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch, check_random_state

from sklearn_gmmcf._sklearn import Interval, StrOptions, validate_params
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.ratings import RatingsEncoder, check_rating_range

__all__ = ["fetch_movielens", "load_movielens", "load_ratings_csv", "make_ratings"]

# Shares of what all users agree on in the variance of expected ratings, and of the
# type in that of a user's tastes.
_AGREEMENT = 0.36
_TYPE_SHARE = 0.5
# How the chance to be rated falls with an item's rank.
_POPULARITY_DECAY = 0.8

_MOVIELENS_URL = "https://files.grouplens.org/datasets/movielens/"
# MD5 of the archives as GroupLens publishes them, in <archive>.md5 beside each. That of
# latest-small changes with its content, and is read from there.
_MOVIELENS_MD5 = {
    "100k": "0e33842e24a9c977be4e0107933c0723",
    "1m": "c4d9eecfca2ab87c1945afe126590906",
    "10m": "ce571fd55effeba0271552578f2648bd",
    "25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "latest-small": None,
}
# Lines of a CSV file that are read at once.
_CSV_LINES = 2**17


@validate_params(
    {
        "n_users": [Interval(Integral, 1, None, closed="left")],
        "n_items": [Interval(Integral, 1, None, closed="left")],
        "n_types": [Interval(Integral, 1, None, closed="left")],
        "n_factors": [Interval(Integral, 0, None, closed="left")],
        "density": [Interval(Real, 0, 1, closed="right")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "rating_range": [tuple, list, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_ratings(
    n_users=500,
    n_items=100,
    *,
    n_types=4,
    n_factors=3,
    density=0.1,
    noise=0.5,
    rating_range=(1, 5),
    random_state=None,
):
    r"""Make ratings of items by types of users, with the truth.

    User :math:`i` of type :math:`k_i` (types are equally likely) has tastes
    :math:`z_i \sim N(c_{k_i}, I/2)` and rates item :math:`j`

    .. math:: x_{ij} = c + s (0.6 q_j + 0.8 z_i \cdot w_j) + \epsilon_{ij}

    where the quality :math:`q_j`, the loadings :math:`w_j` and the places of the types
    :math:`c_k` are normal, :math:`c` is the middle of the range, :math:`s` a sixth of
    its width, and :math:`\epsilon_{ij}` is noise. Ratings outside the range are
    clipped. Which entries are observed depends on the popularity of the item, not on
    the rating.

    Parameters
    ----------
    n_users, n_items : int, default=500 and 100
        Numbers of rows and columns.

    n_types : int, default=4
        Number of types of users.

    n_factors : int, default=3
        Number of tastes. With 0 all users of a type expect to rate alike: a spherical
        mixture of `n_types` components.

    density : float, default=0.1
        Expected share of observed entries.

    noise : float, default=0.5
        Standard deviation of a rating about its expectation, in units of ratings.

    rating_range : tuple (low, high) or None, default=(1, 5)
        Range of the ratings. None is no range: expectations have mean 0 and standard
        deviation about 1.

    random_state : int, RandomState instance or None, default=None
        Seeds all draws.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        data : csr_array of shape (n_users, n_items)
            The observed ratings.
        complete : ndarray of shape (n_users, n_items)
            All ratings, the observed ones among them.
        expected : ndarray of shape (n_users, n_items)
            Ratings without noise and before clipping.
        types : ndarray of shape (n_users,)
            The type of each user.
        type_means : ndarray of shape (n_types, n_items)
            Expected ratings of each type, those of its middle taste.
        tastes : ndarray of shape (n_users, n_factors)
            The place of each user.
        popularity : ndarray of shape (n_items,)
            The chance of each item to be rated.

    Examples
    --------
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> ratings = make_ratings(200, 50, n_types=3, density=0.2, random_state=0)
    >>> ratings.data.shape
    (200, 50)
    >>> bool(ratings.complete.min() >= 1 and ratings.complete.max() <= 5)
    True
    """
    if rating_range is None:
        middle, scale = 0.0, 1.0
    else:
        low, high = check_rating_range(rating_range)
        middle, scale = (low + high) / 2, (high - low) / 6
    rng = check_random_state(random_state)
    types = rng.randint(n_types, size=n_users)
    quality = rng.standard_normal(n_items)
    if n_factors == 0:
        tastes = np.zeros((n_users, 0))
        likings = rng.standard_normal((n_types, n_items))
        user_likings = likings[types]
    else:
        loadings = rng.standard_normal((n_items, n_factors)) / np.sqrt(n_factors)
        places = np.sqrt(_TYPE_SHARE) * rng.standard_normal((n_types, n_factors))
        tastes = places[types] + np.sqrt(1 - _TYPE_SHARE) * rng.standard_normal(
            (n_users, n_factors)
        )
        likings, user_likings = places @ loadings.T, tastes @ loadings.T

    def in_range(likings):
        agreed = np.sqrt(_AGREEMENT) * quality
        return middle + scale * (agreed + np.sqrt(1 - _AGREEMENT) * likings)

    expected = in_range(user_likings)
    complete = expected + noise * rng.standard_normal(expected.shape)
    if rating_range is not None:
        np.clip(complete, low, high, out=complete)
    popularity = _popularity(n_items, density, rng)
    rows, columns = np.nonzero(rng.uniform(size=complete.shape) < popularity)
    return Bunch(
        data=sparse.csr_array(
            (complete[rows, columns], (rows, columns)), shape=complete.shape
        ),
        complete=complete,
        expected=expected,
        types=types,
        type_means=in_range(likings),
        tastes=tastes,
        popularity=popularity,
    )


def _popularity(n_items, density, rng):
    """Chances of the items to be rated, falling with a random rank, mean `density`."""
    ranks = rng.permutation(n_items) + 1
    weights = ranks**-_POPULARITY_DECAY
    scale = density / weights.mean()
    # A chance is at most 1; what is cut off the popular items goes to the others.
    for _ in range(100):
        popularity = np.minimum(scale * weights, 1.0)
        if np.isclose(popularity.mean(), density, rtol=1e-9):
            break
        free = popularity < 1
        if not free.any():
            break
        scale = (density * n_items - (~free).sum()) / weights[free].sum()
    return popularity


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
    path,
    *,
    columns=(0, 1, 2),
    header=True,
    delimiter=",",
    id_type=None,
    duplicates="error",
    encoding="utf-8",
):
    """Load a CSV file of users, items and ratings.

    The file is read twice, in parts, so that the memory needed is that of the matrix
    and one part.

    Parameters
    ----------
    path : str or path-like
        The file; ``.gz`` is decompressed.

    columns : tuple of three int or str, default=(0, 1, 2)
        Where users, items and ratings stand: numbers from 0, or names in the header.

    header : bool, default=True
        Whether the first line holds names.

    delimiter : str, default=","
        One character. What stands between double quotes is one field.

    id_type : {int, str} or None, default=None
        Type of the ids. None takes integers if those of the first lines are, users and
        items each by themselves.

    duplicates : {'error', 'mean', 'last'}, default='error'
        What to do where a user rates an item more than once.

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
    sklearn_gmmcf.ratings.RatingsEncoder : The same from frames and arrays, and back.
    """
    path = Path(path)
    if id_type not in (None, int, str):
        raise ValueError(f"id_type should be int, str or None, but got {id_type!r}.")
    if header:
        with _open_text(partial(_open, path), str(path), encoding) as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
        for name in columns:
            if isinstance(name, str) and name not in names:
                raise ValueError(f"{path} has no column {name!r} but {names}.")
        columns = [
            names.index(name) if isinstance(name, str) else name for name in columns
        ]
    return _load_ratings(
        partial(_open, path),
        str(path),
        columns=columns,
        delimiter=delimiter,
        skip=int(header),
        id_type=id_type,
        duplicates=duplicates,
        encoding=encoding,
    )


def load_movielens(folder):
    """Load MovieLens ratings from a folder.

    Parameters
    ----------
    folder : str or path-like
        What an archive of GroupLens unpacks to, with ``ratings.csv`` and
        ``movies.csv``, ``ratings.dat`` and ``movies.dat``, or ``u.data`` and
        ``u.item``; each may be compressed to ``.gz``.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        As of :func:`fetch_movielens`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    files = {
        path.name.removesuffix(".gz"): partial(_open, path)
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
    name, data_home=None, download_if_missing=True, *, n_retries=3, delay=1.0
):
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

    'latest-small' changes over time; its numbers are those of 2018.

    The data belong to GroupLens, University of Minnesota. Their licence, in the README
    of each archive, allows research with acknowledgment and no commercial use without
    permission, and limits redistribution. Please cite what stands under References.

    Parameters
    ----------
    name : {'100k', '1m', '10m', '25m', 'latest-small'}
        Which data set.

    data_home : str or path-like, default=None
        Folder for data, by default that of
        :func:`sklearn.datasets.get_data_home`. The archive is kept in its subfolder
        ``movielens``; one that was put there by hand is taken.

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
        If the archive cannot be downloaded, or is not what GroupLens published: its
        MD5 checksum must be that of the release ('latest-small': that on the server).

    References
    ----------
    F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context.
    ACM Transactions on Interactive Intelligent Systems 5(4), article 19.
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
        # Nobody should meet a half or a wrong archive.
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(unfinished, "wb") as file:
                _download(url, file, n_retries, delay)
            _verify(unfinished, expected, f"What came from {url}", "Try again")
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


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


@contextmanager
def _open_text(
    open_binary: Callable[[], BinaryIO], name: str, encoding: str
) -> Iterator[io.TextIOWrapper]:
    """Open a file; if it cannot be decoded, say where."""
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


def _load_ratings(
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
    def parts() -> Iterator[tuple[Array, Array, Array]]:
        types = None if id_type is None else (id_type, id_type)
        with _open_text(open_binary, name, encoding) as file:
            n_read = sum(1 for _ in islice(file, skip))
            while read := list(islice(file, _CSV_LINES)):
                lines = [line for line in read if line.strip()]
                n_read += len(read)
                if not lines:
                    continue
                try:
                    part, types = _parse(lines, delimiter, columns, types)
                except (ValueError, IndexError) as error:
                    before = n_read - len(read)
                    fault = _find_fault(read, before, delimiter, columns, types)
                    fault = fault or f"after line {before}: {error}"
                    raise ValueError(f"{name}, {fault}.") from error
                yield part

    encoder = RatingsEncoder(duplicates=duplicates)
    data, users = encoder.fit_encode(parts)
    return Bunch(data=data, user_ids=users, item_ids=encoder.items_)


def _parse(
    lines: list[str], delimiter: str, columns: Any, types: tuple[type, type] | None
) -> tuple[tuple[Array, Array, Array], tuple[type, type]]:
    """Users, items and ratings of some lines, and the types of the ids."""
    options: dict[str, Any] = {
        "delimiter": delimiter,
        "usecols": tuple(columns),
        "comments": None,
        "quotechar": '"',
    }
    if types == (int, int):  # what numpy reads in one pass
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
    """Number of the first line that is wrong, and why; empty if none is found."""
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
    """What is wrong with the fields of a line; empty if nothing is."""
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
    """Integers, if nothing is lost (as the zeros of 007)."""
    try:
        return int if (ids.astype(np.int64).astype(str) == ids).all() else str
    except (ValueError, OverflowError):
        return str


def _read_movielens(files: dict[str, Callable[[], Any]], place: str) -> Bunch:
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
            f"{place} holds no ratings.csv, ratings.dat or u.data of MovieLens."
        )
    if movies not in files:
        raise FileNotFoundError(f"{place} holds {ratings}, but no {movies}.")
    bunch = _load_ratings(
        files[ratings],
        f"{place}: {ratings}",
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
