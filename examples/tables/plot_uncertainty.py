# SPDX-License-Identifier: BSD-3-Clause
"""
How sure is each imputed value, and can its interval be trusted?
================================================================

Each completed value has a standard deviation, which depends on the entries that were
observed in its row. Whether the standard deviations are right can be checked: hide
entries, and count how many intervals contain the true value. Here a quarter of the
entries of the wine table (178 x 13, bundled with scikit-learn) is hidden.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.preprocessing import scale

from sklearn_gmmcf import MaskedGaussianMixture, MixtureImputer
from sklearn_gmmcf.model_selection import hide_entries
from sklearn_gmmcf.plotting import CalibrationDisplay, CompletionDisplay

wine = load_wine()
table = scale(wine.data)  # each column in its standard deviations
X, hidden = hide_entries(table, 0.25, random_state=0)
rows, columns, truth = hidden

# %%
# One picture of the whole table
# ------------------------------
#
# :class:`~sklearn_gmmcf.plotting.CompletionDisplay` draws the table before, after, and
# the standard deviations; here every third row of
# eight columns. Rows are ordered by component.

mixture = MaskedGaussianMixture(
    3, covariance_type="full", covariance_precision_prior=20.0, random_state=0
).fit(X)
names = [name.split("/")[0].replace("_", " ") for name in wine.feature_names]

figure, axes = plt.subplots(3, 1, figsize=(5, 9), layout="constrained")
CompletionDisplay.from_estimator(
    mixture,
    X,
    columns=[0, 1, 5, 6, 9, 10, 11, 12],
    max_rows=60,
    feature_names=names,
    unit="standard deviations of the column",
    ax=axes,
    image_kwargs={"vmin": -2.5, "vmax": 2.5},
)
figure.suptitle("Some completions are far more certain than others")
for ax in axes[:2]:
    ax.set(xlabel="", xticks=[])
plt.show()

# %%
# White entries of the last panel were observed. A completion is the more certain, the
# more the observed entries of its row say about it:

std = mixture.complete(X, return_std=True)[1]
typical = {name: std[np.isnan(X[:, j]), j].mean() for j, name in enumerate(names)}
for name in sorted(typical, key=typical.__getitem__):
    print(f"{name:>28}: mean standard deviation {typical[name]:.2f}")

# %%
# Do 90 % intervals hold 90 %?
# ----------------------------
#
# :class:`~sklearn_gmmcf.plotting.CalibrationDisplay` counts at all levels. Below the
# diagonal, intervals are too narrow: three full covariance matrices have too many
# parameters for 178 rows, and intervals of one fit do not allow for that.
# ``MixtureImputer`` holds out some entries to calibrate its intervals.

plain = MaskedGaussianMixture(
    3, covariance_type="full", max_iter=300, random_state=0
).fit(X)
figure, ax = plt.subplots(figsize=(5, 4.8), layout="constrained")
uncalibrated = CalibrationDisplay.from_estimator(
    plain, X, hidden=hidden, name="3 full Gaussians", ax=ax
)
imputer = MixtureImputer(random_state=0).fit(X)
levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
coverage = []
for level in levels:
    lower, upper = imputer.predict_interval(X, level)
    inside = (lower <= table) & (table <= upper)
    coverage.append(inside[rows, columns].mean())
CalibrationDisplay(
    nominal=levels,
    coverage=np.array(coverage),
    n_entries=len(truth),
    name="MixtureImputer",
).plot(ax)
ax.set_title("Calibrated intervals hold their promise")
plt.show()

at_90 = np.interp(0.9, uncalibrated.nominal, uncalibrated.coverage)
print(f"3 full Gaussians: 90 % intervals contain {at_90:.0%}")
print(f"MixtureImputer: 90 % intervals contain {coverage[-1]:.0%}")

# %%
# See also
# --------
#
# :doc:`/guide/impute`; :doc:`/gallery/tables/plot_multiple_imputation` for the
# uncertainty of statistics that are computed from a completed table.

# sphinx_gallery_thumbnail_number = 2
