# SPDX-License-Identifier: BSD-3-Clause
"""
Which imputer, alone and in a Pipeline?
=======================================

A fifth of the entries of half the breast cancer table (569 x 15, bundled with
scikit-learn) are hidden, and completed by several imputers.
:class:`~sklearn_gmmcf.MixtureImputer` takes the place of any other one, before a
classifier as well. It scales columns by itself, and completes in their units.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf import MixtureImputer

table, y = load_breast_cancer(return_X_y=True)
table = table[:, ::2]
hidden = np.random.default_rng(0).random(table.shape) < 0.2
X = np.where(hidden, np.nan, table)

# %%
# Errors are in standard deviations of the columns, so that an imputer that fills in
# means has an error of about 1. KNNImputer needs scaled columns, the others do not.

imputers = {
    "column means": SimpleImputer(),
    "KNNImputer": make_pipeline(StandardScaler(), KNNImputer()),
    "IterativeImputer": IterativeImputer(max_iter=30, tol=1e-2, random_state=0),
    "MixtureImputer": MixtureImputer(random_state=0),
}
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
scales = table.std(axis=0)
errors = {}
print("RMSE of the hidden entries (in standard deviations), accuracy of a classifier")
for name, imputer in imputers.items():
    completed = imputer.fit_transform(X)
    if name == "KNNImputer":
        completed = imputer[0].inverse_transform(completed)
    errors[name] = np.sqrt(np.mean(((completed - table) / scales)[hidden] ** 2))
    classifier = make_pipeline(
        clone(imputer), StandardScaler(), LogisticRegression(C=0.1)
    )
    accuracy = classifier.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:>18}: {errors[name]:.3f}  {accuracy:.3f}")

# %%
# The accuracy of the classifier hardly changes: with 15 redundant columns any
# completion will do. Where the entries themselves are wanted, the choice of the imputer
# matters, and so does the uncertainty. Entries that the imputer held out calibrate its
# intervals, so that these contain about as much as they should.

lower, upper = imputers["MixtureImputer"].predict_interval(X, coverage=0.9)
inside = (lower <= table) & (table <= upper)
print(f"90 % intervals contain {inside[hidden].mean():.0%} of the hidden entries")

figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
bars = ax.barh(list(errors), list(errors.values()), color=["0.75"] * 3 + ["#0072B2"])
ax.bar_label(bars, fmt=" %.2f")
ax.set(xlabel="RMSE of hidden entries (standard deviations)", xlim=(0, 1.15))
ax.set_title("MixtureImputer has the smallest error")
ax.invert_yaxis()
plt.show()

# %%
# See also
# --------
#
# :doc:`/gallery/tables/plot_uncertainty` checks intervals at all levels;
# :doc:`/benchmarks` has many tables and further imputers.
