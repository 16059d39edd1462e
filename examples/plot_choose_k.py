"""
How many types of users are there?
==================================

Ratings of 500 users of four types, 70 % of the entries missing: can one tell that there
are four? Three criteria are asked, and what they say is read by a rule.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import completion_scorer, one_standard_error

X = make_ratings(n_types=4, n_factors=0, density=0.3, random_state=0).data
sizes = list(range(1, 9))

# %%
# **Held-out entries.** ``completion_scorer`` hides a tenth of the entries of users that
# were not fitted, and scores their completion. Any search of scikit-learn takes it.
# EM may end in a poor optimum: the seed is part of the grid.

grid = {"n_components": sizes, "random_state": range(3)}
searches = {
    metric: GridSearchCV(
        MaskedGaussianMixture(),
        grid,
        scoring=completion_scorer(metric),
        refit=one_standard_error("n_components"),
    ).fit(X)
    for metric in ("rmse", "log_density")
}

# %%
# **BIC.** It judges the rows that were fitted, and charges for parameters.

bic = [
    [MaskedGaussianMixture(k, random_state=seed).fit(X).bic(X) for seed in range(3)]
    for k in sizes
]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
panels = {"BIC": np.array(bic)}
for metric, search in searches.items():
    panels[metric] = -search.cv_results_["mean_test_score"].reshape(-1, 3)
labels = ["BIC", "RMSE of hidden entries", "minus their log-density"]
for ax, values, label in zip(axes, panels.values(), labels, strict=True):
    ax.plot(sizes, values.min(axis=1), "o-", label="best seed")
    ax.plot(sizes, values, ".", color="0.6", zorder=0)
    ax.axvline(4, color="0.8", zorder=0)
    ax.set(xlabel="number of components", title=label)
axes[0].legend()
plt.show()

# %%
# Lower is better everywhere. BIC rises steeply after four. The held-out curves do not:
# a few components too many hardly harm a prediction, so on other data the very lowest
# point of such a curve may be at five or seven. ``one_standard_error`` takes the fewest
# components that are as good as the best within its error.

print(f"lowest BIC: K={sizes[int(np.argmin(panels['BIC'].min(axis=1)))]}")
for metric, search in searches.items():
    scores = search.cv_results_["mean_test_score"]
    best = search.cv_results_["params"][int(np.argmax(scores))]["n_components"]
    chosen = search.best_params_["n_components"]
    print(f"{metric}: best score at K={best}, within one standard error K={chosen}")
