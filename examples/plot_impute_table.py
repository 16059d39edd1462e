"""
Full covariances against imputers, in a Pipeline
================================================

A fifth of the entries of half the breast cancer table (569 x 15, bundled with
scikit-learn) are hidden. A mixture with full covariances completes each missing entry
given the observed entries of its row. It takes the place of any imputer: before a
classifier.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.plotting import CalibrationDisplay, CompletionDisplay

table, y = load_breast_cancer(return_X_y=True)
table = scale(table)[:, ::2]
hidden = np.random.default_rng(0).random(table.shape) < 0.2
X = np.where(hidden, np.nan, table)

# %%
# Columns are standardized, so an imputer that fills in means has an error of about 1.

mixture = MaskedGaussianMixture(
    2, covariance_type="full", reg_covar=0.01, max_iter=1000, random_state=0
)
imputers = {
    "column means": SimpleImputer(),
    "KNNImputer": KNNImputer(),
    "IterativeImputer": IterativeImputer(max_iter=30, tol=1e-2, random_state=0),
    "full mixture": mixture,
}
errors = {}
print("RMSE of the hidden entries (in standard deviations), accuracy of a classifier")
for name, imputer in imputers.items():
    completed = imputer.fit_transform(X)
    errors[name] = np.sqrt(np.mean((completed - table)[hidden] ** 2))
    classifier = make_pipeline(
        StandardScaler(), clone(imputer), LogisticRegression(C=0.1)
    )
    accuracy = cross_val_score(classifier, X, y).mean()
    print(f"{name:>18}: {errors[name]:.3f}  {accuracy:.3f}")

# %%
# The completion by the mixture: rows are ordered by component. Missing entries are
# hatched in the first panel, and have a standard deviation in the last.

figure, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
CompletionDisplay.from_estimator(mixture, X, max_rows=120, ax=ax)
plt.show()

# %%
# The accuracy of the classifier hardly changes: with 15 redundant columns any
# completion will do. Where the entries themselves are wanted, the choice of the imputer
# matters, and so does the uncertainty: nine in ten hidden entries should lie within
# 1.645 standard deviations of their completion. Here intervals are rather too wide than
# too narrow, the more so in the middle: the errors of this table have longer tails than
# a Gaussian.

completed, std = mixture.complete(X, return_std=True)
inside = np.abs(completed - table)[hidden] < 1.645 * std[hidden]
print(f"90 % intervals contain {inside.mean():.0%} of the hidden entries")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
bars = left.barh(list(errors), list(errors.values()), color=["0.75"] * 3 + ["tab:blue"])
left.bar_label(bars, fmt=" %.2f")
left.set(xlabel="RMSE of hidden entries", xlim=(0, 1.15))
left.invert_yaxis()
CalibrationDisplay.from_predictions(
    table[hidden], completed[hidden], std[hidden], ax=right
)
plt.show()
