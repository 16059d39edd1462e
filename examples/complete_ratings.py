# SPDX-License-Identifier: BSD-3-Clause
"""Predict ratings and recommend, from a CSV file: errors, intervals, reasons.

    python examples/complete_ratings.py [ratings.csv]

The CSV has a header and the columns user, item, rating (further ones are ignored; .gz
is read as it is). Without one, ratings are made.
"""

import sys

import numpy as np

from sklearn_gmmcf import MixtureRecommender
from sklearn_gmmcf.datasets import load_ratings_csv, make_ratings
from sklearn_gmmcf.model_selection import hide_entries

if len(sys.argv) > 1:
    loaded = load_ratings_csv(sys.argv[1])
    everything, users, items = loaded.data, loaded.user_ids, loaded.item_ids
else:
    everything = make_ratings(1000, 200, n_types=4, random_state=0).data
    everything.data = everything.data.round()  # one to five stars
    users, items = (np.arange(size) for size in everything.shape)

# Hold out a tenth of the ratings: entries that are not stored are missing.
X, (rows, columns, values) = hide_entries(everything, 0.1, random_state=0)
print(f"{X.shape[0]:,} users, {X.shape[1]:,} items, {X.nnz:,} ratings", end="; ")
print(f"{len(rows):,} more are held out\n")
known = X.tocoo()
table = users[known.row], items[known.col], known.data
recommender = MixtureRecommender().fit(table)

# How large are the errors of held-out ratings?
pairs = users[rows], items[columns]
counts = np.bincount(known.col, minlength=X.shape[1])
sums = np.bincount(known.col, known.data, minlength=X.shape[1])
means = np.where(counts > 0, sums / np.maximum(counts, 1), known.data.mean())
print("Errors of the held-out ratings, in units of the ratings:")
for name, predicted in {
    "means of the items": means[columns],
    "MixtureRecommender": recommender.predict(pairs),
}.items():
    print(f"  {name}: RMSE {np.sqrt(np.mean((predicted - values) ** 2)):.4f}")
lower, upper = recommender.predict_interval(pairs, coverage=0.9)
inside = (lower <= values) & (values <= upper)
print(f"  90 % intervals contain {inside.mean():.1%} of them\n")

# Recommend items to the user with the most ratings, and say why.
user = users[np.diff(X.indptr).argmax()]
threshold = recommender.threshold_
print(f"User {user} may choose these items, and rate them above {threshold:g}:")
_, found, expected, std, chances = recommender.recommend([user], n_items=3)
for item, *numbers in zip(found, expected, std, chances, strict=True):
    rating, deviation, chance = numbers
    print(f"  item {item}, {rating:.2f} +- {deviation:.2f}", end=", ")
    print(f"above {threshold:g} with a chance of {chance:.0%}")
    for part, source, given, adds in zip(
        *recommender.explain(user, item, n_reasons=2), strict=True
    ):
        if part == "observed":
            print(f"    {adds:+.2f} as item {source} was rated {given:g}")
