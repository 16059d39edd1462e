# SPDX-License-Identifier: BSD-3-Clause
"""Generated ratings with the shape of MovieLens 25M and of the Netflix prize.

The popularity of items and the activity of users are heavy-tailed, as in these sets,
and users rate different items. Values follow a model of rank 10 with biases of users
and items and noise, rounded as the sets round them. Users are made in blocks, so that
memory is little more than twice the ratings themselves.

    python docs/benchmarks/large_ratings.py FOLDER "MovieLens 25M" [SIZE]

writes them to files; a SIZE below 1 makes a smaller set of the same kind.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse

MIN_RATINGS = 20  # of a user
RANK = 10
NOISE = 0.75
# A share of the ratings is held out: about a million of MovieLens 25M.
HELD_OUT = 0.04
BLOCK = 4_096


@dataclass(frozen=True)
class Shape:
    """The size of a set, and how unequal its users and items are.

    Users' ratings beyond `MIN_RATINGS`, and the popularity of items, are log-normal.
    """

    n_users: int
    n_items: int
    n_ratings: int  # to fit, without those held out
    user_spread: float
    item_spread: float
    step: float
    bounds: tuple[float, float]

    def scaled(self, size):
        """The same ratings a user, of a share of the users, on fewer items."""
        return replace(
            self,
            n_users=max(round(self.n_users * size), 4),
            n_items=max(round(self.n_items * size**0.5), 4 * MIN_RATINGS),
            n_ratings=round(self.n_ratings * size),
        )


# The spreads make medians of ratings a user and a rating of an item as in the sets.
SHAPES = {
    "MovieLens 25M": Shape(
        162_000, 59_000, 25_000_000, 1.4, 2.5, step=0.5, bounds=(0.5, 5.0)
    ),
    "Netflix": Shape(
        480_000, 17_770, 100_000_000, 1.35, 2.1, step=1.0, bounds=(1.0, 5.0)
    ),
}


def make(shape, seed=0):
    """Ratings to fit, (n_users, n_items) in CSR, and held-out rows, columns, values."""
    rng = np.random.default_rng(seed)
    popularity = rng.lognormal(0, shape.item_spread, shape.n_items)
    cumulative = np.cumsum(popularity / popularity.sum())
    counts = _activity(shape, rng)
    users = _effects(rng, shape.n_users, bias=0.4)
    items = _effects(rng, shape.n_items, bias=0.5)
    total = counts.sum()
    columns = np.empty(total, dtype=np.int32)
    values = np.empty(total, dtype=np.float32)
    held = np.empty(total, dtype=bool)
    ends = np.concatenate([[0], np.cumsum(counts)])
    for first in range(0, shape.n_users, BLOCK):
        in_block = counts[first : first + BLOCK]
        rows, drawn = _draw_distinct(rng, in_block, cumulative)
        block = slice(ends[first], ends[first + len(in_block)])
        columns[block] = drawn
        values[block] = _rate(rng, shape, users, items, first + rows, drawn)
        held[block] = rng.random(len(rows), dtype=np.float32) < HELD_OUT
    entries = np.flatnonzero(held)
    rows = np.searchsorted(ends, entries, side="right") - 1
    test = rows.astype(np.int32), columns[entries], values[entries]
    kept_ends = ends - np.searchsorted(entries, ends)
    np.logical_not(held, out=held)
    X = sparse.csr_array((shape.n_users, shape.n_items), dtype=np.float32)
    X.indptr = kept_ends.astype(np.int32)
    X.indices, X.data = columns[held], values[held]
    return X, test


def save(folder, shape, seed=0):
    """Write the arrays of `make` to files, which `load` reads without copies."""
    X, test = make(shape, seed)
    # A stopped run should leave no folder that looks complete.
    partial = folder.with_name(f"{folder.name}.part")
    partial.mkdir(parents=True, exist_ok=True)
    arrays = (X.data, X.indices, X.indptr, *test)
    for name, array in zip(_FILES, arrays, strict=True):
        np.save(partial / f"{name}.npy", array)
    partial.rename(folder)


def load(folder, shape):
    """What `save` wrote."""
    data, indices, indptr, *test = (np.load(folder / f"{name}.npy") for name in _FILES)
    X = sparse.csr_array((shape.n_users, shape.n_items), dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X, tuple(test)


_FILES = ("data", "indices", "indptr", "test_rows", "test_columns", "test_values")


def _activity(shape, rng):
    """The number of ratings of each user, (n_users,), at most of half of the items."""
    total = shape.n_ratings / (1 - HELD_OUT)
    extra = rng.lognormal(0, shape.user_spread, shape.n_users)
    extra *= (total / shape.n_users - MIN_RATINGS) / extra.mean()
    counts = MIN_RATINGS + np.round(extra).astype(np.int64)
    return np.minimum(counts, shape.n_items // 2)


def _draw_distinct(rng, counts, cumulative):
    """Rows and columns of `counts` draws in each row, without replacement, sorted.

    A row draws until it has enough distinct columns, each time as many as it lacks: so
    these are the first distinct columns of a sequence of independent draws.
    """
    n_items = len(cumulative)
    keys, lacking, finished = np.empty(0, dtype=np.int64), counts, []
    while lacking.any():
        rows = np.repeat(np.arange(len(counts)), lacking)
        drawn = np.searchsorted(cumulative, rng.random(len(rows)), side="right")
        drawn = np.minimum(drawn, n_items - 1)  # the last sum may be below 1
        keys = np.sort(np.concatenate([keys, rows * n_items + drawn]))
        keys = keys[np.diff(keys, prepend=-1) > 0]
        rows = keys // n_items
        found = np.bincount(rows, minlength=len(counts))
        lacking = np.where(lacking > 0, counts - found, 0)
        # Finished rows are not sorted again.
        is_finished = lacking[rows] == 0
        finished.append(keys[is_finished])
        keys = keys[~is_finished]
    return np.divmod(np.sort(np.concatenate(finished)), n_items)


def _effects(rng, n, bias):
    """Factors, and in the last column biases, (n, RANK + 1)."""
    # Later factors matter less; together they have a variance of 0.35.
    strengths = np.arange(1, RANK + 1) ** -0.5
    strengths *= (0.35 / np.sum(strengths**4)) ** 0.25
    scales = np.append(strengths, bias)
    return (scales * rng.standard_normal((n, RANK + 1))).astype(np.float32)


def _rate(rng, shape, users, items, rows, columns):
    user_effects, item_effects = users[rows], items[columns]
    values = np.einsum("ij,ij->i", user_effects[:, :-1], item_effects[:, :-1])
    values += 3.5 + user_effects[:, -1] + item_effects[:, -1]
    values += NOISE * rng.standard_normal(len(rows), dtype=np.float32)
    rounded = np.round(values / shape.step) * shape.step
    return np.clip(rounded, *shape.bounds)


def main():
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("folder", type=Path)
    command.add_argument("set", choices=SHAPES)
    command.add_argument("size", type=float, nargs="?", default=1.0)
    options = command.parse_args()
    save(options.folder, SHAPES[options.set].scaled(options.size))


if __name__ == "__main__":
    main()
