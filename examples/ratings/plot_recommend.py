# SPDX-License-Identifier: BSD-3-Clause
"""
From ratings to recommendations, with reasons and chances
=========================================================

:class:`~sklearn_gmmcf.MixtureRecommender` takes a table of (user, film, rating). It
lists films for each user, says why and how likely the user is to like them, serves
visitors who are not in the table, and learns new ratings without a refit. Users and
films are made up here, so that nothing needs to be downloaded.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_gmmcf import MixtureRecommender
from sklearn_gmmcf.model_selection import split_per_user

FILMS = {
    "space": ["Far Orbit", "The Last Airlock", "Moons", "Cold Start", "Ion", "Drift"],
    "love": ["Second Spring", "Letters", "Her Summer", "The Florist", "Us", "Rain"],
    "horror": ["The Cellar", "Thirteen", "Do Not Knock", "Moth", "Hush", "The Well"],
    "nature": ["Reef", "Ice", "A Year of Owls", "Salt", "River", "The Bees"],
}
titles = np.concatenate(list(FILMS.values()))
genres = np.repeat(np.arange(4), 6)

# %%
# A thousand users of three types, who like the four genres differently. They see films
# that are well known, and films that they expect to like, earlier than others, and give
# one to five stars to the first eight to fourteen.

rng = np.random.default_rng(0)
usual = np.array([[1.2, -0.8, 0.8, 0.0], [-0.8, 1.2, -1.0, 0.5], [0.0, 0.2, -0.8, 1.2]])
types = rng.integers(3, size=1_000)
likes = usual[types] + rng.normal(0, 0.35, (1_000, 4))
expected = 3.2 + rng.normal(0, 0.4, len(titles)) + likes[:, genres]
stars = (expected + rng.normal(0, 0.6, expected.shape)).clip(1, 5).round()
fame = rng.normal(0, 1.2, len(titles))
appeal = 0.5 * expected + fame + rng.gumbel(size=expected.shape)
seen = np.argsort(np.argsort(-appeal)) < rng.integers(8, 15, size=(1_000, 1))
users, films = np.nonzero(seen)
table = pd.DataFrame(
    {
        "user": [f"u{user}" for user in users],
        "item": titles[films],
        "rating": stars[users, films],
    }
)
print(table.sample(4, random_state=0).to_string(index=False))

# %%
# Fit, and list
# -------------
#
# ``chance`` is the probability that the user likes the film: here, gives four stars or
# more. Lists are ranked by how likely the user is to see *and* like a film.

recommender = MixtureRecommender(n_components=3, n_factors=8).fit(table)
top = recommender.recommend(["u7"], n_items=5)
print(f"liked: a rating above {recommender.threshold_}")
print(top.round(2).to_string(index=False))

# %%
# Visitors, and reasons
# ---------------------
#
# A visitor is served without being learned: pass the ratings. Nobody needs to have
# rated anything to get a list.

visit = pd.DataFrame(
    {"user": "you", "item": ["Far Orbit", "Letters", "Thirteen"], "rating": [5, 2, 4]}
)
visitor = recommender.recommend(ratings=visit, n_items=3)
print(visitor.round(2).to_string(index=False))
stranger = recommender.recommend(["nobody"], n_items=3)
print(stranger.round(2).to_string(index=False))

# %%
# A prediction is a sum of parts: the mean rating of the film, the type of the user, the
# choice of films, and each rating that the user gave.

first = visitor["item"].iloc[0]
reasons = recommender.explain("you", first, ratings=visit)
names = {
    "base": "mean of the film",
    "components": "type of user",
    "mask": "choice of films",
}
labels = [
    names.get(row.part, f"{row.source}: {row.rating:.0f} stars")
    for row in reasons.itertuples()
]
parts = reasons["contribution"].to_numpy()
ends = parts.cumsum()
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
colors = np.where(parts > 0, "#0072B2", "#D55E00")
colors[0] = "0.7"
ax.barh(labels, parts, left=ends - parts, color=colors)
for k, (part, end) in enumerate(zip(parts, ends, strict=True)):
    text = f" {part:.2f}" if k == 0 else f" {part:+.2f}"
    ax.text(max(end, end - part), k, text, va="center")
ax.set(xlabel="expected rating (stars)", xlim=(2.5, 5.5))
ax.invert_yaxis()
figure.suptitle(f"Why you should like {first}: {ends[-1]:.1f} stars")
plt.show()

# %%
# New ratings
# -----------
#
# ``update`` learns new and changed ratings, users and films. Former ratings that change
# are taken out exactly, ``forget`` takes out all of a user, and ``refit`` starts
# afresh.

recommender.update(visit)
print("you" in recommender.users_, len(recommender.users_))
print(recommender.similar_items("Far Orbit", n_items=3).round(2).to_string(index=False))

# %%
# Are the lists good?
# -------------------
#
# Hide a quarter of each user's ratings, and count how many of the hidden films with
# four stars or more are among the five that are listed. Popularity lists the films that
# most users have rated.

train, test = split_per_user(table, test_size=0.25, random_state=0)
liked = test[test["rating"] >= 4]
fitted = MixtureRecommender(n_components=3, n_factors=8).fit(train)
everyone = train["user"].unique()
popular = train["item"].value_counts().index
known = train.groupby("user")["item"].agg(set)
lists = {
    "MixtureRecommender": fitted.recommend(n_items=5),
    "by expected rating": fitted.recommend(n_items=5, rank_by="value"),
    "popularity": pd.DataFrame(
        [
            (user, item)
            for user in everyone
            for item in [item for item in popular if item not in known[user]][:5]
        ],
        columns=["user", "item"],
    ),
    "chance": pd.DataFrame(
        [
            (user, item)
            for user in everyone
            for item in rng.permutation(list(set(titles) - known[user]))[:5]
        ],
        columns=["user", "item"],
    ),
}
recall = {
    name: len(liked.merge(listed, on=["user", "item"])) / len(liked)
    for name, listed in lists.items()
}
for name, share in recall.items():
    print(f"{name:>18}: {share:.0%} of the liked films found")

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
bars = ax.barh(list(recall), list(recall.values()), color=["#0072B2"] + ["0.75"] * 3)
ax.bar_label(bars, fmt=" {:.0%}")
ax.set(xlabel="share of hidden, liked films in lists of five", xlim=(0, 1))
ax.xaxis.set_major_formatter("{x:.0%}")
ax.invert_yaxis()
figure.suptitle("Lists that know the user find more than popularity")
plt.show()

rmse = -fitted.score(test)
print(f"RMSE of the hidden ratings {rmse:.2f}, of the mean {test['rating'].std():.2f}")

# %%
# See also
# --------
#
# :doc:`/guide/recommend`;
# :func:`~sklearn_gmmcf.model_selection.recommendation_scorer` measures lists in a
# grid search; ``examples/complete_ratings.py`` reads your own CSV file.

# sphinx_gallery_thumbnail_number = 1
