# SPDX-License-Identifier: BSD-3-Clause
"""Complete ratings by types of users in a shared space of tastes, and recommend.

    python examples/complete_ratings.py [ratings.csv]

The CSV has a header and the columns user, item, rating (further ones are ignored; .gz
is read as it is). Without one, ratings are made.
"""

import sys
import warnings

import numpy as np

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.datasets import load_ratings_csv, make_ratings
from sklearn_gmmcf.model_selection import hide_entries

# Few users rated some items: when a tenth is hidden, an item may have no rating left.
warnings.simplefilter("ignore", UnobservedColumnsWarning)

if len(sys.argv) > 1:
    ratings = load_ratings_csv(sys.argv[1])
    everything, items = ratings.data, ratings.item_ids
else:
    everything = make_ratings(1000, 200, n_types=4, random_state=0).data
    items = np.arange(everything.shape[1])

# Hold out a tenth of the ratings: entries that are not stored are missing.
X, (rows, columns, values) = hide_entries(everything, 0.1, random_state=0)
print(f"{X.shape[0]} users, {X.shape[1]} items, {X.nnz} ratings, {len(rows)} held out")


def report(name, mixture):
    predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    rmse = np.sqrt(np.mean((predicted - values) ** 2))
    inside = np.abs(predicted - values) < 1.645 * std
    print(f"{name:>30}: RMSE {rmse:.4f}, 90 % intervals contain {inside.mean():.1%}")


# One component predicts the mean of the item.
report("means of the items", MaskedGaussianMixture(covariance_type="spherical").fit(X))

# A plain mixture: each user is of one type, and like all others of this type.
plain = MaskedGaussianMixture(
    4,
    covariance_type="spherical",
    mean_precision_prior=1.0,
    max_iter=300,
    random_state=0,
)
report("four types", plain.fit(X))

# Factors: each user has tastes of their own, and a type describes the usual tastes and
# how consistent its users are.
factors = MaskedGaussianMixture(4, covariance_type="factor", random_state=0).fit(X)
report("four types in a space of tastes", factors)
for k in np.argsort(-factors.weights_):
    noise = np.sqrt(factors.noise_scale_[k])
    print(
        f"type {k}: {factors.weights_[k]:.0%} of users, noise {noise:.2f} times usual"
    )

# Recommend items that the first user has not rated.
found, predicted, std = factors.recommend(X[[0]], n_items=3, return_std=True)
for item, value, deviation in zip(found[0], predicted[0], std[0], strict=True):
    print(f"first user: item {items[item]}, {value:.2f} +- {deviation:.2f}")
