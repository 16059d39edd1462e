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

# Hold out a tenth of the ratings: a hole is what is not stored.
X, (rows, columns, values) = hide_entries(everything, 0.1, random_state=0)
print(f"{X.shape[0]} users, {X.shape[1]} items, {X.nnz} ratings, {len(rows)} held out")


def report(name, mixture):
    predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    rmse = np.sqrt(np.mean((predicted - values) ** 2))
    inside = np.abs(predicted - values) < 1.645 * std
    print(f"{name:>30}: RMSE {rmse:.4f}, 90 % intervals hold {inside.mean():.1%}")


# What one component predicts is the mean of the item.
report("means of the items", MaskedGaussianMixture().fit(X))

# A plain mixture: a user is of some type, and like all others of it.
plain = MaskedGaussianMixture(4, mean_precision_prior=1.0, max_iter=300, random_state=0)
report("four types", plain.fit(X))

# Factors: each user has own tastes, and a type says what tastes are usual and how
# consistent its users are.
tastes = MaskedGaussianMixture(4, covariance_type="factor", random_state=0).fit(X)
report("four types in a space of tastes", tastes)
for k in np.argsort(-tastes.weights_):
    noise = np.sqrt(tastes.noise_scale_[k])
    print(f"type {k}: {tastes.weights_[k]:.0%} of users, noise {noise:.2f} times usual")

# Recommend what the first user has not rated.
found, predicted, std = tastes.recommend(X[[0]], n_items=3, return_std=True)
for item, value, doubt in zip(found[0], predicted[0], std[0], strict=True):
    print(f"first user: item {items[item]}, {value:.2f} +- {doubt:.2f}")
