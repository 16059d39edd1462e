"""
From ratings to recommendations, with their doubt
=================================================

A table of (user, film, rating) becomes a sparse matrix, a mixture of types of users in
a shared space of tastes, and a table of recommendations under the films' own names.
Films and users are made up, so that every prediction can be held against the truth.
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
# A thousand users of three types. Each likes genres by type, and in their own way; and
# users of the first type know what they want, those of the third rate by mood. The
# first 900 rate two films in five, the good ones no more often than others.

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
# Fit, and recommend. The new user has rated three films: no fit is needed for that.

encoder = RatingsEncoder(rating_range=(1, 5))
X, _ = encoder.fit_encode(table)
mixture = MaskedGaussianMixture(
    3, covariance_type="factor", n_factors=5, random_state=0
).fit(X)

new = (["you"] * 3, ["Far Orbit", "Letters", "Thirteen"], [5.0, 2.0, 4.0])
row, you = encoder.encode(new)
print(encoder.decode(you, *mixture.recommend(row, 5, return_std=True)).round(2))

# %%
# What has it learned? Nobody told it of genres or types. Left, what each type likes
# more than the others, and how noisy its ratings are; right, the films in the space of
# tastes, where genres lie together. The star is the new user.

found = adjusted_rand_score(types[:900], mixture.predict(X))
print(f"agreement with the true types: {found:.2f} (1 is all, 0 is chance)")

TypesDisplay.from_estimator(
    mixture, feature_names=encoder.items_, unit="stars", X=row, highlight=0
)
plt.show()

# %%
# The doubt is part of the answer, and it falls with each rating: of a hundred users
# whom the mixture has never met, after none of their ratings, after three, after ten.

columns = np.searchsorted(encoder.items_, titles)
strangers = truth[900:]
rank = rng.permuted(np.tile(np.arange(len(titles)), (100, 1)), axis=1)
for n in (0, 3, 10):
    rows = np.full(strangers.shape, np.nan)
    rows[:, columns] = np.where(rank < n, strangers, np.nan)
    completed, std = mixture.complete(rows, return_std=True)
    rmse = np.sqrt(np.mean((completed[:, columns] - strangers)[rank >= n] ** 2))
    doubt = std[:, columns][rank >= n].mean()
    print(f"after {n:2d}: RMSE {rmse:.2f}, mean doubt {doubt:.2f}")
