"""
How many types of users are there?
==================================

Ratings of 500 users of four types, 70 % of the entries missing: can one tell that there
are four? Two criteria are asked: one of held-out entries, one of the fit itself.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import completion_scorer, one_standard_error
from sklearn_gmmcf.plotting import ModelSelectionDisplay

X = make_ratings(n_types=4, n_factors=0, density=0.3, random_state=0).data
sizes = list(range(1, 9))

# %%
# **Held-out entries.** ``completion_scorer`` hides a tenth of the entries of users that
# were not fitted, and scores their completion. Any search of scikit-learn takes it.
# EM may end in a poor optimum: the seed is part of the grid.

grid = {"n_components": sizes, "random_state": range(3)}
search = GridSearchCV(
    MaskedGaussianMixture(),
    grid,
    scoring=completion_scorer("log_density"),
    refit=one_standard_error("n_components"),
).fit(X)

# %%
# **BIC.** It judges the rows that were fitted, and charges for parameters.

fits = [
    MaskedGaussianMixture(k, random_state=seed).fit(X)
    for k in sizes
    for seed in range(3)
]

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
bic = ModelSelectionDisplay.from_estimators(fits, X, ax=axes[0])
ModelSelectionDisplay.from_cv_results(
    search.cv_results_,
    best_index=search.best_index_,
    statistic="best",
    score_name="minus log-density of hidden entries",
    negate_score=True,
    ax=axes[1],
)
plt.show()

# %%
# Lower is better in both; bands are the range over three seeds, the star is what was
# chosen. BIC rises steeply after four. The held-out curve does not: a few components
# too many hardly harm a prediction, so on other data its very lowest point may be at
# five or seven. ``one_standard_error`` takes the fewest components that are as good as
# the best within its error.

best = search.cv_results_["params"][int(search.cv_results_["mean_test_score"].argmax())]
print(f"lowest BIC: K={bic.best_value}")
print(f"best held-out score: K={best['n_components']}")
print(f"within one standard error: K={search.best_params_['n_components']}")
