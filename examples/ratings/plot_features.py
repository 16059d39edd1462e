# SPDX-License-Identifier: BSD-3-Clause
"""
New users, new items: how much are features worth?
==================================================

A new user has rated nothing yet, but has answered three questions. A new item has no
ratings, but has genres. :class:`~sklearn_gmmcf.MixtureRecommender` takes both as frames
and recommends from the first minute (cold start). How much do features help, and how
fast does the advantage fade as ratings come in?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_gmmcf import MixtureRecommender

rng = np.random.default_rng(0)
n_users, n_items = 1_000, 300

# %%
# Tastes of users depend in part on their answers, and items appeal to tastes in part by
# their genres. Users choose popular items, and items that they like, earlier than
# others.

answers = rng.normal(size=(n_users, 3))
genres = (rng.random((n_items, 6)) < 0.4).astype(float)
tastes = answers @ rng.normal(0, 0.5, (3, 6)) + rng.normal(0, 0.5, (n_users, 6))
loadings = genres @ rng.normal(0, 0.5, (6, 6)) + rng.normal(0, 0.3, (n_items, 6))
liking = rng.normal(0, 0.3, n_items) + 0.4 * tastes @ loadings.T
truth = 3 + liking + rng.normal(0, 0.6, liking.shape)
appeal = liking + rng.normal(0, 1.5, n_items) + rng.gumbel(size=liking.shape)
rank = np.argsort(np.argsort(-appeal, axis=1), axis=1)  # 0 is chosen first

# %%
# The first 800 users have rated ten to forty items each; 30 items are new. The other
# 200 users come later.

n_rated = rng.integers(10, 40, (n_users, 1))
is_new_item = np.arange(n_items) % 10 == 0
is_new_user = np.arange(n_users)[:, None] >= 800
rated = (rank < n_rated) & ~is_new_item


def list_ratings(entries):
    """A table of ratings, one in a line."""
    users, items = np.nonzero(entries)
    return pd.DataFrame({"user": users, "item": items, "rating": truth[users, items]})


known = list_ratings(rated & ~is_new_user)
user_features = pd.DataFrame(answers, columns=["q1", "q2", "q3"])
user_features.insert(0, "user", range(n_users))
item_features = pd.DataFrame(genres, columns=[f"genre {k}" for k in range(6)])
item_features.insert(0, "item", range(n_items))

recommenders = {
    "ratings alone": MixtureRecommender(1, n_factors=10),
    "with features": MixtureRecommender(
        1, n_factors=10, user_features=user_features, item_features=item_features
    ),
}
for recommender in recommenders.values():
    recommender.fit(known)

# %%
# User 900 has rated nothing, and item 20 was rated by nobody. With features both have
# their own predictions:

for name, recommender in recommenders.items():
    new_user, new_item = recommender.predict(([900, 0], [21, 20]))
    print(f"{name}: {new_user:.2f} (new user), {new_item:.2f} (new item)")
print(f"truth: {truth[900, 21]:.2f} (new user), {truth[0, 20]:.2f} (new item)")
top = recommenders["with features"].recommend([900], n_items=3)
print(top.round(2).to_string(index=False))

# %%
# Now measure. New users rate item after item, and errors are taken over the next fifty
# items that each of them would choose; likewise for the items, by the number of their
# ratings.

later = ~rated & (rank < n_rated + 50)
by_new_users = list_ratings(later & is_new_user & ~is_new_item)
by_known_users = list_ratings(later & ~is_new_user)
n_given = [0, 1, 2, 4, 8, 16]
n_received = known["item"].value_counts().reindex(by_known_users["item"], fill_value=0)
groups = np.digitize(n_received, [1, 10, 25, 100])
errors = {}
for name, recommender in recommenders.items():
    by_user = []
    for n in n_given:
        given = list_ratings((rank < n) & is_new_user & ~is_new_item)
        predicted = recommender.predict(by_new_users, ratings=given if n else None)
        by_user.append(np.mean((predicted - by_new_users["rating"]) ** 2))
    squares = (recommender.predict(by_known_users) - by_known_users["rating"]) ** 2
    by_item = [squares[groups == group].mean() for group in range(5)]
    errors[name] = np.sqrt(by_user), np.sqrt(by_item)
    for side, values in zip(("users", "items"), errors[name], strict=True):
        print(f"{name}, {side}:", " ".join(f"{value:.2f}" for value in values))

alone, both = (errors[name][0] for name in errors)
worth = np.interp(-both[0], -alone, n_given)
styles = {"ratings alone": ("#D55E00", "o--"), "with features": ("#0072B2", "s-")}


def draw(side, groups, **labels):
    """Draw the errors of both recommenders by the number of ratings."""
    _, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for name, (color, style) in styles.items():
        ax.plot(errors[name][side], style, color=color, label=name)
    ax.set(ylabel="RMSE of later ratings (stars)", **labels)
    ax.set_xticks(range(len(groups)), groups)
    ax.legend()
    plt.show()


draw(
    0,
    n_given,
    title=f"Three answers of a new user are worth {worth:.0f} ratings",
    xlabel="ratings given by a new user",
)

# %%

draw(
    1,
    ["0", "1-9", "10-24", "25-99", "100+"],
    title="Genres help most where an item has no ratings",
    xlabel="ratings received by an item",
)

# %%
# See also
# --------
#
# :doc:`/guide/recommend`; ``docs/benchmarks/hybrid_features.py`` takes genres and years
# of MovieLens.
