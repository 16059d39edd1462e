# SPDX-License-Identifier: BSD-3-Clause
"""
What is known of users and items
================================

Users have answered three questions, items have genres, and users choose what they rate.
All of this informs the factors of users and the loadings of items. How much is it worth
where ratings are few?
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning

rng = np.random.default_rng(0)
n_users, n_items, n_known = 1_000, 300, 800

# %%
# Tastes of users depend in part on their answers, loadings of items in part on their
# genres. Users choose popular items, and items that they like, earlier than others.

answers = rng.normal(size=(n_users, 3))
genres = (rng.random((n_items, 6)) < 0.4).astype(float)
tastes = answers @ rng.normal(0, 0.5, (3, 6)) + rng.normal(0, 0.5, (n_users, 6))
loadings = genres @ rng.normal(0, 0.5, (6, 6)) + rng.normal(0, 0.3, (n_items, 6))
liking = rng.normal(0, 0.3, n_items) + 0.4 * tastes @ loadings.T
truth = 3 + liking + rng.normal(0, 0.6, liking.shape)
appeal = liking + rng.normal(0, 1.5, n_items) + rng.gumbel(size=liking.shape)
rank = np.argsort(np.argsort(-appeal, axis=1), axis=1)  # 0 is chosen first

# %%
# The first 800 users have rated ten to forty items. Thirty items are new; others of few
# ratings are unpopular. The other users are new, too, and rate item after item. Errors
# are measured on the next fifty items that each user would choose.

n_rated = rng.integers(10, 40, (n_users, 1))
is_new = np.arange(n_items) % 10 == 0
rated = (rank < n_rated) & ~is_new
later = ~rated & (rank < n_rated + 50)
ratings = np.where(rated, truth, np.nan)[:n_known]

# %%
# Answers are further columns of X; genres are a parameter, with a row for each column.

settings = {
    "ratings alone": {"mask_rank": 0},
    "and which are observed": {},
    "and answers and genres": {
        "covariates": range(n_items, n_items + 3),
        "column_features": np.vstack([genres, np.full((3, 6), np.nan)]),
    },
}
n_given = [0, 1, 2, 4, 8, 16]
group = np.digitize(rated[:n_known].sum(axis=0), [1, 5, 10, 25, 100])
warnings.simplefilter("ignore", UnobservedColumnsWarning)  # of new items
fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for (name, setting), style in zip(settings.items(), ("o:", "s--", "^-"), strict=True):
    known = answers if "covariates" in setting else answers[:, :0]
    X = np.hstack([ratings, known[:n_known]])
    mixture = MaskedGaussianMixture(covariance_type="factor", **setting).fit(X)
    squares = (mixture.transform(X)[:, :n_items] - truth[:n_known]) ** 2
    by_item = [squares[later[:n_known] & (group == g)].mean() for g in range(6)]
    by_user = []
    for n in n_given:
        row = np.where((rank < n) & ~is_new, truth, np.nan)
        row = np.hstack([row, known])[n_known:]
        squares = (mixture.transform(row)[:, :n_items] - truth[n_known:]) ** 2
        by_user.append(squares[later[n_known:] & ~is_new].mean())
    for ax, values in zip(axes, (by_user, by_item), strict=True):
        ax.plot(np.sqrt(values), style, label=name)
        print(f"{name:>22}:", " ".join(f"{value:.2f}" for value in np.sqrt(values)))
axes[0].set(xlabel="ratings given by a new user", ylabel="RMSE of later ratings")
axes[0].set_xticks(range(6), n_given)
axes[1].set_xlabel("ratings received by an item")
axes[1].set_xticks(range(6), ["0", "1-4", "5-9", "10-24", "25-99", "100-"])
axes[1].legend()
plt.show()
