"""Complete ratings, choose the number of user types, and recommend.

    python examples/complete_ratings.py [ratings.csv]

The CSV has a header and the columns user, item, rating (further ones are ignored; .gz
is read as it is). Without one, ratings are made.
"""

import sys
import warnings

import numpy as np
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.datasets import make_ratings

# Few users rated some items: a fold may lack an item.
warnings.simplefilter("ignore", UnobservedColumnsWarning)

# Triples (user, item, rating), with users and items numbered from 0.
if len(sys.argv) > 1:
    table = np.loadtxt(
        sys.argv[1], dtype=str, delimiter=",", skiprows=1, usecols=(0, 1, 2)
    )
    users, rows = np.unique(table[:, 0], return_inverse=True)
    items, columns = np.unique(table[:, 1], return_inverse=True)
    values = table[:, 2].astype(float)
else:
    made = make_ratings(1000, 200, n_types=4, n_factors=0, random_state=0).data.tocoo()
    rows, columns, values = made.row, made.col, made.data
    users, items = np.arange(made.shape[0]), np.arange(made.shape[1])

# Hold out a tenth of the ratings: a hole is what is not stored.
held_out = np.random.default_rng(0).random(len(values)) < 0.1
shape = len(users), len(items)
X = sparse.csr_array(
    (values[~held_out], (rows[~held_out], columns[~held_out])), shape=shape
)
print(f"{shape[0]} users, {shape[1]} items, {X.nnz} ratings, {held_out.sum()} held out")

# Choose the number of types by the log-density of users that a fold has not seen.
search = GridSearchCV(
    MaskedGaussianMixture(mean_precision_prior=1.0),
    {"n_components": [1, 2, 4, 8], "random_state": range(3)},
    cv=3,
).fit(X)
mixture = search.best_estimator_
print(f"best: {search.best_params_}")

# Complete the held-out entries; a column's mean is what one component predicts.
entries = rows[held_out], columns[held_out]
column_means = MaskedGaussianMixture().fit(X)
for name, estimator in [("column means", column_means), ("mixture", mixture)]:
    errors = estimator.complete(X, entries=entries) - values[held_out]
    print(f"RMSE on held-out ratings, {name}: {np.sqrt(np.mean(errors**2)):.4f}")

# Recommend what the first user has not rated.
user = 0
unseen = np.setdiff1d(np.arange(shape[1]), X[[user]].indices)
predicted, std = mixture.complete(
    X, entries=(np.full(len(unseen), user), unseen), return_std=True
)
for best in np.argsort(-predicted)[:3]:
    item = items[unseen[best]]
    print(f"user {users[user]}: item {item}, {predicted[best]:.2f} +- {std[best]:.2f}")
