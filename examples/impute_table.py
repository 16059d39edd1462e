"""Impute a table of correlated columns, say how sure that is, and classify.

    python examples/impute_table.py

A fifth of the entries of half the breast cancer table (569 x 15, bundled with
scikit-learn) are hidden. A mixture with full covariances completes each hole given what
its row shows.
"""

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

table, y = load_breast_cancer(return_X_y=True)
table = scale(table)[:, ::2]
hidden = np.random.default_rng(0).random(table.shape) < 0.2
X = np.where(hidden, np.nan, table)

mixture = MaskedGaussianMixture(
    2, covariance_type="full", reg_covar=0.01, max_iter=1000, random_state=0
)
imputers = {
    "column means": SimpleImputer(),
    "KNNImputer": KNNImputer(),
    "IterativeImputer": IterativeImputer(max_iter=30, tol=1e-2, random_state=0),
    "full mixture": mixture,
}
print("RMSE of the hidden entries (in standard deviations), accuracy of a classifier")
for name, imputer in imputers.items():
    completed = imputer.fit_transform(X)
    rmse = np.sqrt(np.mean((completed - table)[hidden] ** 2))
    classifier = make_pipeline(
        StandardScaler(), clone(imputer), LogisticRegression(C=0.1)
    )
    accuracy = cross_val_score(classifier, X, y).mean()
    print(f"{name:>18}: {rmse:.3f}  {accuracy:.3f}")

# How sure: nine in ten hidden entries should lie within 1.645 standard deviations.
completed, std = mixture.complete(X, return_std=True)
inside = np.abs(completed - table)[hidden] < 1.645 * std[hidden]
print(f"90 % intervals hold {inside.mean():.0%} of the hidden entries")

# Multiple imputation: a statistic of each completed table, pooled by Rubin's rules.
draws = mixture.sample_completions(X, 20, random_state=0)
estimates = draws[:, :, 0].mean(axis=1)  # the mean of the first column
within = draws[:, :, 0].var(axis=1, ddof=1).mean() / len(X)
between = estimates.var(ddof=1)
error = np.sqrt(within + (1 + 1 / len(draws)) * between)
print(f"mean of column 0: {estimates.mean():.3f} +- {error:.3f} (the truth is 0)")
