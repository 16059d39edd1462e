# SPDX-License-Identifier: BSD-3-Clause
"""
K-means against EM
==================

Three clusters: a narrow one, a wide one, and a long one. K-means assumes that all are
equally round, EM learns their shapes. A third of the rows lack one of their two
coordinates; both methods use these rows as they are.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.plotting import ConvergenceDisplay, MixtureDisplay

rng = np.random.default_rng(3)
truth = rng.choice(3, 600, p=[0.3, 0.4, 0.3])
centers = np.array([[-2.5, 0.0], [1.0, 1.0], [1.0, -3.5]])
roots = np.array([[[0.3, 0], [0, 0.3]], [[1.2, 0], [0, 1.2]], [[2.0, 0], [0.5, 0.3]]])
complete = centers[truth] + np.einsum(
    "nij,nj->ni", roots[truth], rng.standard_normal((600, 2))
)
X = complete.copy()
incomplete = rng.choice(600, 200, replace=False)
X[incomplete, rng.integers(2, size=200)] = np.nan
missing = np.isnan(X)

models = {
    "k-means": KMeansMixture(3, random_state=0, n_init=5),
    "EM, spherical": MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, n_init=5
    ),
    "EM, full": MaskedGaussianMixture(
        3, covariance_type="full", random_state=0, n_init=5
    ),
}

# %%
# Ticks in the margins are rows with a missing coordinate, at the observed one. Ellipses
# contain half and nine tenths of a component. The color of a point is mixed from the
# colors of all components, weighted by their probabilities: a row between two clusters
# belongs a little to both.

figure, axes = plt.subplots(
    1, 3, figsize=(11, 4), sharex=True, sharey=True, layout="constrained"
)
first = None
for ax, (name, model) in zip(axes, models.items(), strict=True):
    labels = model.fit_predict(X)
    agreement = adjusted_rand_score(truth, labels)
    first = MixtureDisplay.from_estimator(
        model, X, ax=ax, match=first, name=f"{name}, agreement {agreement:.2f}"
    )
    rmse = np.sqrt(np.mean((model.transform(X) - complete)[missing] ** 2))
    bic = model.bic(X)
    print(f"{name:>13}: agreement {agreement:.2f}, BIC {bic:.0f}, RMSE {rmse:.2f}")
plt.show()

# %%
# The agreement with the truth is the adjusted Rand index of the labels (1 is perfect
# agreement, 0 is chance). The BIC penalizes full covariances for their parameters, and
# still prefers them. They also have the smallest error on missing entries. Hollow
# points below are completions, with one standard deviation to both sides: a long bar
# between two clusters is a row that may belong to either. On the right, the objective
# of each of the five starts. EM may end in a poor optimum; it is a good sign if all
# starts end at the same height.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
MixtureDisplay.from_estimator(
    models["EM, full"], X, ax=left, match=first, missing="complete"
)
ConvergenceDisplay.from_estimator(models["EM, full"], ax=right)
plt.show()
