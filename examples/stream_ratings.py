"""Ratings as they come in: a user's change what is recommended, batches the model.

    python examples/stream_ratings.py

A mixture begins with the ratings of the first users. A new user then rates item after
item, and is recommended others at once, by the model as it is (fold-in). Later users
come in batches that `partial_fit` adds to the model; it ends about where a fit of all
would.
"""

import numpy as np
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings

N_FIRST, N_ITEMS = 1_000, 100
ratings = make_ratings(
    20_000, N_ITEMS, n_types=4, n_factors=3, density=0.1, random_state=0
)
X = ratings.data
held = np.random.default_rng(0).random(X.nnz) < 0.1
coo = X.tocoo()
entries, true = (coo.row[held], coo.col[held]), coo.data[held]
X = sparse.csr_array((coo.data[~held], (coo.row[~held], coo.col[~held])), shape=X.shape)

mixture = MaskedGaussianMixture(
    4, covariance_type="factor", n_factors=5, random_state=0
)
mixture.partial_fit(X[:N_FIRST])


def rmse(mixture):
    return np.sqrt(np.mean((mixture.complete(X, entries=entries) - true) ** 2))


print("A new user, whose ratings are not among those fitted:")
user = 19_999
order = np.random.default_rng(1).permutation(N_ITEMS)
for n_rated in (0, 2, 10):
    row = np.full((1, N_ITEMS), np.nan)
    row[0, order[:n_rated]] = ratings.complete[user, order[:n_rated]]
    items, values = mixture.recommend(row, n_items=3)
    best = ", ".join(f"{i} ({v:.2f})" for i, v in zip(items[0], values[0], strict=True))
    own = order[10:]
    error = np.sqrt(
        np.mean((mixture.transform(row) - ratings.complete[user])[0, own] ** 2)
    )
    print(f"  after {n_rated:2d} ratings: items {best}; RMSE of others {error:.3f}")

print("Users who come later, in batches (RMSE of held-out ratings of all):")
print(f"  after the first {N_FIRST}: RMSE {rmse(mixture):.4f}")
for start in range(N_FIRST, X.shape[0], 1_000):
    mixture.partial_fit(X[start : start + 1_000])
    if start + 1_000 in (2_000, 5_000, 20_000):
        print(f"  after {start + 1_000}: RMSE {rmse(mixture):.4f}")
mixture.fit(X)
print(f"  a fit of all: RMSE {rmse(mixture):.4f}")
