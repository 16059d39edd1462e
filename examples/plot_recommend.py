# SPDX-License-Identifier: BSD-3-Clause
"""
From ratings to recommendations, with their uncertainty
=======================================================

A table of (user, film, rating) becomes a sparse matrix, then a mixture of types of
users in a shared space of tastes, then a table of recommendations with the titles of
the films. Films and users are made up, so that every prediction can be compared with
the truth.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.plotting import TypesDisplay
from sklearn_gmmcf.ratings import RatingsEncoder

FILMS = {
    "space": ["Far Orbit", "The Last Airlock", "Moons", "Cold Start", "Ion", "Drift"],
    "love": ["Second Spring", "Letters", "Her Summer", "The Florist", "Us", "Rain"],
    "horror": ["The Cellar", "Thirteen", "Do Not Knock", "Moth", "Hush", "The Well"],
    "nature": ["Reef", "Ice", "A Year of Owls", "Salt", "River", "The Bees"],
}
titles = np.concatenate(list(FILMS.values()))
genres = np.repeat(np.arange(4), 6)

# %%
# A thousand users of three types. The tastes of a user depend on the type, and vary
# within it. Users of the first type are consistent, users of the third rate by mood.
# The first 900 users rate two films in five, good films no more often than others.

rng = np.random.default_rng(0)
usual = np.array([[1.2, -0.8, 0.8, 0.0], [-0.8, 1.2, -1.0, 0.5], [0.0, 0.2, -0.8, 1.2]])
types = rng.integers(3, size=1_000)
likes = usual[types] + rng.normal(0, 0.35, (1_000, 4))
quality = rng.normal(0, 0.4, len(titles))
mood = np.array([[0.4], [0.6], [0.9]])[types] * rng.normal(size=(1_000, len(titles)))
truth = (3 + quality + likes[:, genres] + mood).clip(1, 5)
users, films = np.nonzero(rng.random((900, len(titles))) < 0.4)
table = pd.DataFrame(
    {"user": users, "item": titles[films], "rating": truth[users, films].round(1)}
)
print(table.head(3))

# %%
# Fit, and recommend. A new user has rated three films: this needs no further fit.

encoder = RatingsEncoder(rating_range=(1, 5))
X, _ = encoder.fit_encode(table)
mixture = MaskedGaussianMixture(
    3, covariance_type="factor", n_factors=5, random_state=0
).fit(X)

new = (["you"] * 3, ["Far Orbit", "Letters", "Thirteen"], [5.0, 2.0, 4.0])
row, you = encoder.encode(new)
print(encoder.decode(you, *mixture.recommend(row, 5, return_std=True)).round(2))

# %%
# The mixture was given neither genres nor types. Left, the films that each type likes
# more than the others do, and the noise of its ratings; right, the films in the space
# of tastes, where genres lie together. The star is the new user.

agreement = adjusted_rand_score(types[:900], mixture.predict(X))
print(f"agreement with the true types: {agreement:.2f} (1 is perfect, 0 is chance)")

TypesDisplay.from_estimator(
    mixture, row, feature_names=encoder.items_, unit="stars", highlight=0
)
plt.show()

# %%
# Each prediction has a standard deviation, which falls with each rating. Here are the
# errors for a hundred new users after none of their ratings, after three, after ten.

columns = np.searchsorted(encoder.items_, titles)
strangers = truth[900:]
rank = rng.permuted(np.tile(np.arange(len(titles)), (100, 1)), axis=1)
for n in (0, 3, 10):
    rows = np.full(strangers.shape, np.nan)
    rows[:, columns] = np.where(rank < n, strangers, np.nan)
    completed, std = mixture.complete(rows, return_std=True)
    rmse = np.sqrt(np.mean((completed[:, columns] - strangers)[rank >= n] ** 2))
    mean_std = std[:, columns][rank >= n].mean()
    print(f"after {n:2d}: RMSE {rmse:.2f}, mean standard deviation {mean_std:.2f}")
