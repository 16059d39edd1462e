"""Does the choice by hidden entries hold for users that the search has not seen?

    python docs/benchmarks/choosing.py FOLDER

FOLDER is `ml-latest-small`. A fifth of its users is set aside. GridSearchCV chooses
among 36 mixtures by the hidden entries of the others; then every candidate is fitted to
these others, and judged by hidden entries of the users set aside.
"""

import sys
import warnings
from pathlib import Path

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from sklearn_gmmcf import MaskedGaussianMixture, UnobservedColumnsWarning
from sklearn_gmmcf.datasets import load_movielens
from sklearn_gmmcf.model_selection import completion_scorer

for category in (ConvergenceWarning, UnobservedColumnsWarning):
    warnings.simplefilter("ignore", category)

X = load_movielens(Path(sys.argv[1])).data
split = ShuffleSplit(1, test_size=0.2, random_state=0).split(X)
seen, aside = (X[rows] for rows in next(split))

grid = {
    "n_components": [1, 2, 4, 8],
    "covariance_type": ["spherical", "diag", "factor"],
    "random_state": range(3),
}
search = GridSearchCV(
    MaskedGaussianMixture(), grid, scoring=completion_scorer("rmse")
).fit(seen)

# The same hidden entries for all, and others than those of the search.
score = completion_scorer("rmse", random_state=1)
errors = []
for candidate in search.cv_results_["params"]:
    mixture = clone(search.estimator).set_params(**candidate).fit(seen)
    errors.append(-score(mixture, aside))
    print(f"{candidate}: RMSE {errors[-1]:.4f}", flush=True)
chosen = errors[search.best_index_]
print(f"chosen: {search.best_params_}: RMSE {chosen:.4f}")
print(f"the best is lower by {chosen - min(errors):.4f}")
