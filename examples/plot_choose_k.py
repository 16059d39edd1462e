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
from sklearn_gmmcf.plotting import ModelSelectionDisplay

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

fits = [
    MaskedGaussianMixture(k, random_state=seed).fit(X)
    for k in sizes
    for seed in range(3)
]

figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
names = {
    "rmse": "RMSE of hidden entries",
    "log_density": "minus log-density of hidden entries",
}
bic = ModelSelectionDisplay.from_estimators(fits, X, ax=axes[0])
for ax, (metric, search) in zip(axes[1:], searches.items(), strict=True):
    ModelSelectionDisplay.from_cv_results(
        search.cv_results_,
        best_index=search.best_index_,
        statistic="best",
        score_name=names[metric],
        negate_score=True,
        ax=ax,
    )
plt.show()

# %%
# Lower is better everywhere; bands are the range over three seeds, the star is what was
# chosen. BIC rises steeply after four. The held-out curves do not: a few components too
# many hardly harm a prediction, so on other data the very lowest point of such a curve
# may be at five or seven. ``one_standard_error`` takes the fewest components that are
# as good as the best within its error.

print(f"lowest BIC: K={bic.values[np.argmin(bic.scores)]}")
for metric, search in searches.items():
    scores = search.cv_results_["mean_test_score"]
    best = search.cv_results_["params"][int(np.argmax(scores))]["n_components"]
    chosen = search.best_params_["n_components"]
    print(f"{metric}: best score at K={best}, within one standard error K={chosen}")
