# SPDX-License-Identifier: BSD-3-Clause
"""
How do I learn ratings as they come in?
=======================================

Two things change while a service runs. *A user rates one more item*: the fitted model
uses the rating at once, without a further fit (fold-in). *New users come by the
thousand*: ``partial_fit`` updates the model with each batch, and discounts the early
batches (online EM).
"""

import matplotlib.pyplot as plt
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

# %%
# A mixture begins with the ratings of the first thousand users. A user who is not among
# them rates item after item, and gets new recommendations at once.

mixture = MaskedGaussianMixture(
    4, covariance_type="factor", n_factors=5, random_state=0
)
mixture.partial_fit(X[:N_FIRST])

print("A new user, whose ratings are not among those fitted:")
user = 19_999
order = np.random.default_rng(1).permutation(N_ITEMS)
for n_rated in (0, 2, 10):
    row = np.full((1, N_ITEMS), np.nan)
    row[0, order[:n_rated]] = ratings.complete[user, order[:n_rated]]
    items, values = mixture.recommend(row, n_items=3)
    best = ", ".join(f"{i} ({v:.2f})" for i, v in zip(items[0], values[0], strict=True))
    others = order[10:]
    error = np.sqrt(
        np.mean((mixture.transform(row) - ratings.complete[user])[0, others] ** 2)
    )
    print(f"  after {n_rated:2d} ratings: items {best}; RMSE of others {error:.3f}")

# %%
# The others come in batches of a thousand. Each costs one pass over its rows; none is
# read again.


def rmse(mixture):
    return np.sqrt(np.mean((mixture.complete(X, entries=entries) - true) ** 2))


n_users, errors = [N_FIRST], [rmse(mixture)]
for start in range(N_FIRST, X.shape[0], 1_000):
    mixture.partial_fit(X[start : start + 1_000])
    n_users.append(start + 1_000)
    errors.append(rmse(mixture))
rmse_of_fit = rmse(mixture.fit(X))

print("Users who come later, in batches (RMSE of held-out ratings of all):")
for n, error in zip(n_users, errors, strict=True):
    if n in (1_000, 2_000, 5_000, 20_000):
        print(f"  after {n}: RMSE {error:.4f}")
print(f"  one fit to all: RMSE {rmse_of_fit:.4f}")

figure, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ax.plot(n_users, errors, "o-", color="#0072B2")
ax.text(7_000, errors[4], "partial_fit, batch by batch", color="#0072B2")
ax.axhline(rmse_of_fit, color="0.4", ls="--")
ax.text(1_500, rmse_of_fit, "one fit to all", color="0.4", va="bottom")
ax.set(xlabel="users seen by the model", ylabel="RMSE of held-out ratings (stars)")
ax.set_title("One pass comes close to a fit of many passes")
plt.show()

# %%
# Online EM reads each rating once, the fit to all ratings reads them at each iteration.

excess = errors[-1] / rmse_of_fit - 1
print(f"after one pass the error of online EM is {excess:.1%} larger")

# %%
# See also
# --------
#
# :doc:`/guide/large_data`; ``MixtureRecommender.update`` learns new and changed ratings
# from tables (:doc:`/gallery/ratings/plot_recommend`).
