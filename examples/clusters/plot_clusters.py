# SPDX-License-Identifier: BSD-3-Clause
"""
Clusters of incomplete data: impute first?
==========================================

Three clusters, of which two are long and close together. Many entries are missing.
Most clustering needs complete rows, so that one imputes first, or drops rows. A mixture
that is fitted to the observed entries alone needs neither. Which one finds the
clusters?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.plotting import ConvergenceDisplay, MixtureDisplay

rng = np.random.default_rng(3)
n = 900
truth = rng.integers(3, size=n)
centers = np.array([[-3.0, 0, 1, 0], [1.0, 1.2, -1, 1], [1.0, -1.2, 1, -1]])
roots = np.array([0.8 * np.eye(4)] * 3)
roots[1:, 0] = [1.8, 0.6, 0.0, 0.6]
roots[1:, 1:] *= 0.7
complete = centers[truth] + np.einsum(
    "nij,ni->nj", roots[truth], rng.standard_normal((n, 4))
)

# %%
# Each method clusters the rows of the same table, with more and more missing entries.
# The agreement with the true clusters is the adjusted Rand index: 1 is perfect, 0 is
# chance. Rows without any entry are left out.

gaussians = GaussianMixture(3, n_init=5, random_state=0)
methods = {
    "mixture of observed entries": MaskedGaussianMixture(
        3, covariance_type="full", n_init=5, random_state=0
    ),
    "KNNImputer, then mixture": make_pipeline(KNNImputer(), gaussians),
    "means, then mixture": make_pipeline(SimpleImputer(), gaussians),
    "k-means of observed entries": KMeansMixture(3, n_init=5, random_state=0),
}
shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
order = rng.random(complete.shape)
agreement = {name: [] for name in methods}
for share in shares:
    X = np.where(order < share, np.nan, complete)
    known = ~np.isnan(X).all(axis=1)
    for name, method in methods.items():
        labels = method.fit_predict(X[known])
        agreement[name].append(adjusted_rand_score(truth[known], labels))
for name, values in agreement.items():
    print(f"{name:>27}:", " ".join(f"{value:.2f}" for value in values))

figure, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
styles = ["o-", "s--", "^-.", "D:"]
colors = ["#0072B2", "#E69F00", "#D55E00", "#555555"]
for (name, values), style, color in zip(agreement.items(), styles, colors, strict=True):
    ax.plot(np.multiply(shares, 100), values, style, color=color, label=name)
ax.set(xlabel="missing entries (%)", ylim=(0, 1))
ax.set_ylabel("agreement with the true clusters")
ax.legend(loc="lower left", fontsize="small", frameon=False)
ax.set_title("Clusters survive if nothing is imputed first")
plt.show()

# %%
# Why does imputing first do harm? It moves rows to where no cluster is: a mean lies
# between the clusters, and neighbors agree more than they should. K-means, with equally
# round clusters, cuts long clusters in the wrong direction even if nothing is missing.
#
# What a mixture sees
# -------------------
#
# With a third of the entries missing, in two of the four columns: ticks in the margins
# are rows that lack one of the two. Ellipses contain half and nine tenths of a
# component. The color of a point is mixed from the colors of all components, weighted
# by their probabilities: a row between two clusters belongs a little to both.

X = np.where(order < 1 / 3, np.nan, complete)
figure, axes = plt.subplots(
    2, 1, figsize=(5, 8), sharex=True, sharey=True, layout="constrained"
)
first = None
titles = {
    "mixture of observed entries": "A mixture finds the long clusters",
    "k-means of observed entries": "K-means cuts them",
}
for ax, (name, title) in zip(axes, titles.items(), strict=True):
    model = methods[name].fit(X)
    first = MixtureDisplay.from_estimator(model, X, ax=ax, match=first, name=title)
plt.show()

# %%
# Clusters come with completions, in the same fit, and the BIC compares models:

missing = np.isnan(X)
for name in titles:
    rmse = np.sqrt(np.mean((methods[name].transform(X) - complete)[missing] ** 2))
    print(f"{name}: BIC {methods[name].bic(X):.0f}, RMSE {rmse:.2f}")

# %%
# EM may end in a poor optimum. It is a good sign if several starts end at the same
# height:

figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
ConvergenceDisplay.from_estimator(methods["mixture of observed entries"], ax=ax)
ax.set_title("Starts of EM reach the same height")
plt.show()

# %%
# See also
# --------
#
# :doc:`/gallery/clusters/plot_choose_k` for the number of clusters;
# :doc:`/gallery/clusters/plot_outliers` for rows with gross errors.
