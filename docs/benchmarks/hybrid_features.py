# SPDX-License-Identifier: BSD-3-Clause
"""How much features of the rows help to complete ratings.

    python docs/benchmarks/hybrid_features.py FOLDER

Features are covariates: they inform the factors of the movies. Errors are measured on
a tenth of the ratings, in each of three draws.

FOLDER is a MovieLens folder with movies.csv (such as ml-latest-small). Rows are movies,
columns are users, and the features are the year of a movie, its genres, or both.
"""

import csv
import gzip
import re
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.datasets import load_movielens
from sklearn_gmmcf.model_selection import hide_entries

# Some users rated few movies, so a fold may lack a user.
warnings.simplefilter("ignore", UnobservedColumnsWarning)


def read_movies(folder):
    """Ratings of movies by users, and two sets of features of the movies."""
    movielens = load_movielens(folder)
    path = next(Path(folder).glob("movies.csv*"))
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        genres = {
            int(row["movieId"]): row["genres"].split("|")
            for row in csv.DictReader(file)
        }
    names = sorted(set().union(*genres.values()))
    years = [re.search(r"\((\d{4})\)\s*$", title) for title in movielens.titles]
    year = np.array([[float(year[1]) if year else np.nan] for year in years])
    genre = np.array(
        [[name in genres[movie] for name in names] for movie in movielens.item_ids],
        dtype=float,
    )
    sets = {"year": year, "genres": genre, "both": np.hstack([year, genre])}
    return movielens.data.T.tocsr(), sets


def append(ratings, features):
    """Ratings and features side by side; zeros of features are stored."""
    rows, columns = np.nonzero(~np.isnan(features))
    stored = sparse.csr_array(
        (features[rows, columns], (rows, columns)), features.shape
    )
    return sparse.hstack([ratings, stored], format="csr")


ratings, sets = read_movies(sys.argv[1])
groups = {"all": (0, np.inf), "no rating left": (0, 1), "1 to 4": (1, 5)}
squares = {name: {group: [] for group in groups} for name in ("none", *sets)}
for seed in range(3):
    # A row may lose all its ratings, and then has features only.
    train, (rows, columns, values) = hide_entries(
        ratings, 0.1, seed, allow_empty_rows=True
    )
    n_left = np.diff(train.indptr)
    for name in squares:
        X, mixture = train, MaskedGaussianMixture(covariance_type="factor")
        if name in sets:
            X = append(train, sets[name])
            mixture.set_params(covariates=range(train.shape[1], X.shape[1]))
        errors = mixture.fit(X).complete(X, entries=(rows, columns)) - values
        for group, (low, high) in groups.items():
            in_group = (n_left[rows] >= low) & (n_left[rows] < high)
            squares[name][group].append(np.mean(errors[in_group] ** 2))
        print(f"held out {seed}, features: {name}")

print("RMSE on held-out ratings, of rows with", ", ".join(groups))
for name, by_group in squares.items():
    rmse = [np.sqrt(np.mean(means)) for means in by_group.values()]
    print(f"{name:>10}: " + "  ".join(f"{error:.4f}" for error in rmse))
