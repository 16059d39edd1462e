# SPDX-License-Identifier: BSD-3-Clause
"""Data: ratings whose truth is known, MovieLens, and ratings in files."""

from sklearn_gmmcf.datasets._csv import load_ratings_csv
from sklearn_gmmcf.datasets._movielens import fetch_movielens, load_movielens
from sklearn_gmmcf.datasets._synthetic import make_ratings

__all__ = ["fetch_movielens", "load_movielens", "load_ratings_csv", "make_ratings"]
