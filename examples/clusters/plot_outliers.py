# SPDX-License-Identifier: BSD-3-Clause
"""
What if some rows have gross errors? degrees_of_freedom
=======================================================

A sensor that slips, a decimal point at the wrong place: a few rows are far from all
others. Gaussian components stretch to reach them, and completions and clusters suffer.
With ``degrees_of_freedom`` components are multivariate t distributions, and outlying
rows count little. The fit also tells which rows are outlying.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.plotting import MixtureDisplay

# %%
# Two clusters in three columns. A tenth of the entries is missing, and one row in
# fifteen has a gross error.

rng = np.random.default_rng(0)
n = 480
clusters = rng.integers(2, size=n)
factors = rng.standard_normal((n, 1)) @ [[1.0, 0.9, 0.8]]
clean = np.array([[0.0, 0, 0], [6, 0, 3]])[clusters] + factors
clean += 0.4 * rng.standard_normal((n, 3))
wrong = rng.random(n) < 1 / 15
X = clean + wrong[:, None] * rng.normal(0, 12, (n, 3))
missing = rng.random(X.shape) < 0.1
X[missing] = np.nan

mixtures = {
    "Gaussian": MaskedGaussianMixture(2, covariance_type="full", random_state=0),
    "t": MaskedGaussianMixture(
        2, covariance_type="full", degrees_of_freedom=3, random_state=0
    ),
}
usable = missing & ~wrong[:, None]  # missing entries of rows without errors
for name, mixture in mixtures.items():
    completed, std = mixture.fit(X).complete(X, return_std=True)
    rmse = np.sqrt(np.mean((completed - clean)[usable] ** 2))
    print(
        f"{name:>8}: RMSE {rmse:.2f}, mean standard deviation {std[usable].mean():.2f}"
    )

# %%
# One Gaussian component is so wide that it contains the errors, too: its completions
# have large errors and large standard deviations. The t components are the two
# clusters. (``degrees_of_freedom="auto"`` learns a number for each component.)


def draw(name, title):
    """Draw the first two columns and the components."""
    _, ax = plt.subplots(figsize=(5, 3.8), layout="constrained")
    MixtureDisplay.from_estimator(mixtures[name], X, ax=ax, name=title)
    ax.set(xlim=(-15, 20), ylim=(-15, 15))
    plt.show()


draw("Gaussian", "Gaussian components chase gross errors")

# %%

draw("t", "t components stay with the clusters")

# %%
# Which rows are wrong?
# ---------------------
#
# ``outlier_weights`` returns how much each row counts: about 1 for usual rows, near 0
# for outliers.

weights = mixtures["t"].outlier_weights(X)
flagged = weights < 0.25
found, false = (flagged & wrong).sum(), (flagged & ~wrong).sum()
print(f"{found} of {wrong.sum()} wrong rows flagged, and {false} of the others")

figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
bins = np.linspace(0, weights.max(), 30)
ax.hist(weights[~wrong], bins, color="0.75")
ax.hist(weights[wrong], bins, color="#D55E00")
ax.text(0.75, 0.7, "others", color="0.4", transform=ax.transAxes)
ax.text(0.09, 0.8, "gross errors", color="#D55E00", transform=ax.transAxes)
ax.set(xlabel="weight of the row in the fit", ylabel="rows")
ax.set_title("Rows with gross errors hardly count")
plt.show()

# %%
# See also
# --------
#
# :class:`~sklearn_gmmcf.MaskedGaussianMixture`, "Gross errors";
# :doc:`/gallery/scale/plot_own_family` for other heavy tails.
