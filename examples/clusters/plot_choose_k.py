# SPDX-License-Identifier: BSD-3-Clause
"""
How many components? BIC and held-out entries
=============================================

In the ratings of 500 users of four types, 70 % of the entries are missing. Is it
possible to tell that there are four types? Two criteria answer: a score of held-out
entries, and the BIC of the fit itself.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import (
    completion_scorer,
    one_standard_error,
    select_mixture,
)
from sklearn_gmmcf.plotting import ModelSelectionDisplay, TypesDisplay

X = make_ratings(n_types=4, n_factors=0, density=0.3, random_state=0).data
sizes = list(range(1, 9))

# %%
# **Held-out entries.** ``completion_scorer`` hides a tenth of the entries of users that
# were not fitted, and scores their completion. Any search of scikit-learn takes it.
# EM may end in a poor optimum: the seed is part of the grid.

grid = {"n_components": sizes, "random_state": range(3)}
search = GridSearchCV(
    MaskedGaussianMixture(covariance_type="spherical"),
    grid,
    scoring=completion_scorer("log_density"),
    refit=one_standard_error("n_components"),
).fit(X)

# %%
# **BIC.** It evaluates the fitted rows, and penalizes parameters. ``select_mixture``
# tries covariance types and numbers of components in one search, and runs that cannot
# win any more leave it early.

selected = select_mixture(
    X, n_components=sizes, covariance_type=["spherical", "diag"], random_state=0
)

figure, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ModelSelectionDisplay.from_selection(selected, ax=ax)
figure.suptitle("BIC finds four types")
plt.show()

# %%

figure, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
ModelSelectionDisplay.from_cv_results(
    search.cv_results_,
    best_index=search.best_index_,
    statistic="best",
    score_name="minus log-density (nats)",
    negate_score=True,
    ax=ax,
)
figure.suptitle("Held-out entries find four types, too")
plt.show()

# %%
# Lower is better in both pictures. Bands show the range over three seeds, the star
# marks the choice, hollow circles are runs that left early. BIC rises steeply after
# four. The held-out curve does not: a few components too many hardly harm a prediction,
# so on other data its lowest point may be at five or seven. ``one_standard_error``
# takes the smallest number of components whose score is within one standard error of
# the best.

best = search.cv_results_["params"][int(search.cv_results_["mean_test_score"].argmax())]
print(f"lowest BIC: K={selected.best_params_['n_components']}")
print(f"best held-out score: K={best['n_components']}")
print(f"within one standard error: K={search.best_params_['n_components']}")

# %%
# Who are the four types? The items that each one likes more than the others do:

figure, ax = plt.subplots(figsize=(5, 4.6), layout="constrained")
TypesDisplay.from_estimator(
    selected.best_estimator_,
    feature_names=[f"item {j}" for j in range(X.shape[1])],
    n_items=3,
    unit="stars",
    show="items",
    ax=ax,
)
figure.suptitle("Each type likes other items")
plt.show()

# %%
# See also
# --------
#
# :doc:`/guide/choose`; :doc:`/gallery/clusters/plot_clusters`.
