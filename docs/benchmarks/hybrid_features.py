"""How much features of the rows help to complete ratings.

    python docs/benchmarks/hybrid_features.py FOLDER

Features are further columns of the matrix, which load on the same factors as the
ratings. They are scaled to the standard deviation of the ratings, times a weight. The
weight is chosen by cross-validation on the ratings; errors are measured on a tenth of
the ratings, which is held out first.

FOLDER is a MovieLens folder with movies.csv (such as ml-latest-small). Rows are movies,
columns are users, and the features are the year and the number of ratings of a movie,
or its genres.
"""

import csv
import gzip
import re
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.datasets import load_movielens
from sklearn_gmmcf.model_selection import cross_validate_entries, hide_entries

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
    return movielens.data.T.tocsr(), {
        "year and number of ratings": np.array(
            [[float(year[1]) if year else np.nan, np.nan] for year in years]
        ),
        "genres": np.array(
            [[name in genres[movie] for name in names] for movie in movielens.item_ids],
            dtype=float,
        ),
    }


def append(ratings, features, weight):
    """Ratings and features side by side; COO keeps the ratings first in the entries."""
    features = weight * ratings.data.std() * scale(features)
    rows, columns = np.nonzero(~np.isnan(features))
    ratings = ratings.tocoo()
    return sparse.coo_array(
        (
            np.append(ratings.data, features[rows, columns]),
            (
                np.append(ratings.row, rows),
                np.append(ratings.col, columns + ratings.shape[1]),
            ),
        ),
        shape=(ratings.shape[0], ratings.shape[1] + features.shape[1]),
    )


def cross_validate_ratings(X, n_ratings):
    """The error on folds of the ratings; every fold keeps all features."""
    features = np.arange(n_ratings, X.nnz)
    folds = [
        (np.append(train, features), test)
        for train, test in KFold(3, shuffle=True, random_state=0).split(
            range(n_ratings)
        )
    ]
    return -cross_validate_entries(mixture, X, cv=folds)["test_score"].mean()


ratings, sets = read_movies(sys.argv[1])
mixture = MaskedGaussianMixture(covariance_type="factor", random_state=0)
groups = {"all": (0, np.inf), "no rating left": (0, 1), "1 to 4": (1, 5)}
squares = {name: {group: [] for group in groups} for name in ("none", *sets)}
for seed in range(3):
    # A row may lose all its ratings, and then has features only.
    train, (rows, columns, values) = hide_entries(
        ratings, 0.1, seed, allow_empty_rows=True
    )
    n_left = np.diff(train.indptr)
    for name in squares:
        if name == "none":
            X, weight = train, 0.0
        else:
            features = sets[name]
            if name == "year and number of ratings":  # ratings that are left
                features[:, 1] = np.log1p(n_left)
            weights = [0.5, 1.0, 2.0]
            errors = [
                cross_validate_ratings(append(train, features, weight), train.nnz)
                for weight in weights
            ]
            weight = weights[np.argmin(errors)]
            X = append(train, features, weight)
        errors = mixture.fit(X).complete(X, entries=(rows, columns)) - values
        for group, (low, high) in groups.items():
            in_group = (n_left[rows] >= low) & (n_left[rows] < high)
            squares[name][group].append(np.mean(errors[in_group] ** 2))
        print(f"held out {seed}, features: {name}, weight {weight:g}")

print("RMSE on held-out ratings, of rows with", ", ".join(groups))
for name, by_group in squares.items():
    rmse = [np.sqrt(np.mean(means)) for means in by_group.values()]
    print(f"{name:>26}: " + "  ".join(f"{error:.4f}" for error in rmse))
