# SPDX-License-Identifier: BSD-3-Clause
"""
Features help where ratings are few
===================================

A new user has rated nothing yet, but has answered some questions. Put the answers into
further columns of the matrix: they load on the same factors as the ratings, and allow
recommendations from the first minute. How fast does this advantage fade? (Features that
need not be completed are better passed as covariates:
:ref:`sphx_glr_gallery_plot_features.py`.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import scale

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings

n_users, n_items = 2_000, 100
made = make_ratings(n_users, n_items, n_factors=4, density=0.1, random_state=0)
rng = np.random.default_rng(0)

# %%
# Features: four noisy answers of each user, which depend on their tastes. They are
# scaled to the standard deviation of the ratings. Then ratings and features are one
# matrix with missing entries; a question without an answer would be one more of them.

answers = made.tastes + rng.normal(0, 1.0, made.tastes.shape)
features = scale(answers) * made.data.data.std()
ratings = np.full((n_users, n_items), np.nan)
ratings[made.data.nonzero()] = made.data.data

known = slice(0, 1_500)  # users to learn from; the others come later
models = {}
for name, X in {
    "ratings alone": ratings,
    "ratings and features": np.hstack([ratings, features]),
}.items():
    mixture = MaskedGaussianMixture(covariance_type="factor", random_state=0)
    models[name] = mixture.fit(X[known])

# %%
# The later users rate item after item. After every few ratings the models predict all
# others: new rows need no refit.

later = np.arange(1_500, n_users)
truth = made.complete[later]
order = np.argsort(rng.random(truth.shape), axis=1)
rank = np.argsort(order, axis=1)
n_rated = [0, 1, 2, 3, 5, 8, 12, 20, 30]
errors = {name: [] for name in models}
for n in n_rated:
    observed = np.where(rank < n, truth, np.nan)
    for name, mixture in models.items():
        X = observed
        if name == "ratings and features":
            X = np.hstack([observed, features[later]])
        residuals = (mixture.transform(X)[:, :n_items] - truth)[rank >= n]
        errors[name].append(np.sqrt(np.mean(residuals**2)))

alone, hybrid = errors.values()
worth = np.interp(-hybrid[0], -np.array(alone), n_rated)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, values), style in zip(errors.items(), ("o--", "s-"), strict=True):
    ax.plot(n_rated, values, style, label=name)
ax.set(xlabel="ratings given by a new user", ylabel="RMSE of all other ratings")
ax.hlines(hybrid[0], 0, worth, "0.5", "dotted")
ax.set_title(f"Four answers are worth {worth:.0f} ratings")
ax.legend()
plt.show()

for n, *pair in zip(n_rated, alone, hybrid, strict=True):
    print(f"{n:3d} ratings: {pair[0]:.3f} alone, {pair[1]:.3f} with features")

# %%
# ``docs/benchmarks/hybrid_features.py`` takes genres and years of MovieLens, as
# covariates.
