# SPDX-License-Identifier: BSD-3-Clause
"""Recommend items to users from a CSV file of ratings."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._command_line._csv import decode, guess_separator, parse, write_csv
from sklearn_gmmcf._command_line._files import (
    STREAM,
    Teller,
    WrongUsage,
    check_outputs,
    format_table,
    read_bytes,
    write_text,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.datasets._csv import read_ratings
from sklearn_gmmcf.datasets._rating_file import check_rating_columns, parse_integer
from sklearn_gmmcf.datasets._text import TextFault, open_text
from sklearn_gmmcf.recommender import MixtureRecommender

_N_NEAR = 5  # ids that an error names


def recommend(options: Namespace, teller: Teller) -> None:
    """Print or write the lists of users."""
    if (options.ratings is None) == (options.model is None):
        raise WrongUsage("Pass either a file of ratings or --model.")
    if options.model is not None and (options.save or options.titles or options.scale):
        raise WrongUsage("--save, --titles and --scale belong to a file of ratings.")
    if options.out_of_range != "raise" and options.scale is None:
        raise WrongUsage("--out-of-range needs --scale.")
    if options.save == STREAM:
        raise WrongUsage("--save writes a file, and no stream. Pass a name.")
    inputs = [options.ratings, options.titles, options.model]
    check_outputs([options.out, options.save], options.force, inputs)
    if options.model is None:
        separator, recommender, users = _learn(options, teller)
    else:
        separator, recommender = options.sep or ",", _load(options.model)
        users = _find_users(options.user, recommender.users_, options.model)
    if options.save is not None:
        recommender.save(options.save, updatable=True)
    names, rows = _list_items(recommender, users, options)
    if options.out is None:
        sys.stdout.write(format_table(names, rows))
    else:
        text = write_csv([names, *rows], separator)
        write_text(options.out, text, options.encoding)


def _learn(
    options: Namespace, teller: Teller
) -> tuple[str, MixtureRecommender, list[Any] | None]:
    """Fit a recommender to a file; users are looked up before."""
    path, encoding = options.ratings, options.encoding
    separator = options.sep
    if separator is None:
        separator = _guess_separator(path, encoding)
    header = not options.no_header
    check_rating_columns(options.columns, header)
    lines = read_ratings(
        partial(_open, path),
        path,
        columns=options.columns,
        header=header,
        delimiter=separator,
        encoding=encoding,
    )
    users = _find_users(options.user, lines.users.ids, path)
    titles = None
    if options.titles is not None:
        titles = _read_titles(options, lines.items.ids)
    teller.progress(f"Fitting to {len(lines.ratings):,} ratings")
    recommender = MixtureRecommender(
        options.n_components,
        rating_range=options.scale,
        out_of_range=options.out_of_range,
        item_titles=titles,
    )
    recommender.fit(lines)
    teller.progress("")
    return separator, recommender, users


def _guess_separator(path: str, encoding: str) -> str:
    try:
        with open_text(partial(_open, path), path, encoding) as blocks:
            first = next(blocks, b"").partition(b"\n")[0]
    except TextFault:  # read_ratings describes it
        return ","
    return guess_separator(first.decode())


def _open(path: str) -> Any:
    return open(path, "rb")


def _load(path: str) -> MixtureRecommender:
    try:
        return MixtureRecommender.load(path)
    except OSError:
        raise
    except Exception as error:  # of pickle, it may be any
        raise ValueError(
            f"{path} holds no recommender that --save wrote: {error}"
        ) from error


def _read_titles(options: Namespace, items: Array) -> dict[Any, str]:
    """Titles, the second column of a file, by ids, its first column."""
    path = options.titles
    table = parse(path, decode(path, read_bytes(path), options.encoding), options.sep)
    if len(table.names) < 2:
        raise ValueError(
            f"{path} has one column, {table.names[0]!r}. Pass a file whose first two "
            "columns are ids of items and titles."
        )
    ids, titles = table.read_column(0), table.read_column(1)
    return dict(zip(_convert(ids, items), titles, strict=True))


def _convert(texts: list[str], like: Array) -> list[Any]:
    """Ids of the type of others; texts that have none stay."""
    if like.dtype.kind not in "iu":
        return texts
    numbers = [parse_integer(text) for text in texts]
    return [
        text if number is None else number
        for text, number in zip(texts, numbers, strict=True)
    ]


def _find_users(texts: list[str], known: Array, name: str) -> list[Any] | None:
    """Ids of users; None for all. A recommender without users knows what to say."""
    if not texts:
        return None
    users = _convert([text.strip() for text in texts], known)
    listed = set(known.tolist())
    for user in users:
        if listed and user not in listed:
            near = get_close_matches(str(user), map(str, listed), _N_NEAR, 0.5)
            way_out = (
                f"Near ids: {', '.join(near)}"
                if near
                else (f"Ids are such as {', '.join(map(str, known[:_N_NEAR]))}")
            )
            raise ValueError(f"{name} has no user {user!s}. {way_out}.")
    return users


def _list_items(
    recommender: MixtureRecommender, users: list[Any] | None, options: Namespace
) -> tuple[list[str], list[list[str]]]:
    """Names and rows of the lists."""
    columns = _to_columns(
        recommender.recommend(
            users,
            min(options.n_items, len(recommender.items_)),
            rank_by=options.rank_by,
        )
    )
    titles = ["title"] * (len(columns) == 6)
    names = ["user", "item", *titles, "rating", "std", "chance"]
    n_ids = len(names) - 3
    rows = [
        [*map(str, row[:n_ids]), *(f"{value:.3f}" for value in row[n_ids:])]
        for row in zip(*columns, strict=True)
    ]
    if options.reasons:
        names.append("reasons")
        for row, user, item in zip(rows, columns[0], columns[1], strict=True):
            row.append(_explain(recommender, user, item, options.reasons))
    return names, rows


def _explain(
    recommender: MixtureRecommender, user: Any, item: Any, n_reasons: int
) -> str:
    """The ratings that contribute most, and what each of them adds."""
    parts = _to_columns(recommender.explain(user, item, n_reasons))
    return "; ".join(
        f"{source} ({rating:g}): {added:+.2f}"
        for part, source, rating, added in zip(*parts, strict=True)
        if part == "observed"
    )


def _to_columns(table: Any) -> list[Iterable[Any]]:
    """Columns of a result: of a frame, if the recommender was fitted to one."""
    if isinstance(table, tuple):
        return [np.asarray(column).tolist() for column in table]
    frame = nw.from_native(table)
    return [frame.get_column(name).to_list() for name in frame.columns]
