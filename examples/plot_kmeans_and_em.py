"""
K-means against EM
==================

Three clusters: a narrow one, a wide one, and a long one. K-means believes that all are
equally round, EM learns how they are. A third of the rows show only one of their two
coordinates; both methods use these rows as they are.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse
from sklearn.metrics import adjusted_rand_score

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture

rng = np.random.default_rng(3)
truth = rng.choice(3, 600, p=[0.3, 0.4, 0.3])
places = np.array([[-2.5, 0.0], [1.0, 1.0], [1.0, -3.5]])
roots = np.array([[[0.3, 0], [0, 0.3]], [[1.2, 0], [0, 1.2]], [[2.0, 0], [0.5, 0.3]]])
complete = places[truth] + np.einsum(
    "nij,nj->ni", roots[truth], rng.standard_normal((600, 2))
)
X = complete.copy()
lost = rng.choice(600, 200, replace=False)
X[lost, rng.integers(2, size=200)] = np.nan
holes = np.isnan(X)

models = {
    "k-means": KMeansMixture(3, random_state=0, n_init=5),
    "EM, spherical": MaskedGaussianMixture(3, random_state=0, n_init=5),
    "EM, full": MaskedGaussianMixture(
        3, covariance_type="full", random_state=0, n_init=5
    ),
}

# %%
# Triangles are rows with a hole, drawn where the model completes them. An ellipse holds
# 86 % of its component (two standard deviations). Pale points are those that no
# component is sure of: k-means has no such doubt in its labels, but hands back a
# mixture, which has.

colors = np.array([[0, 114, 178], [230, 159, 0], [0, 158, 115]]) / 255
figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    labels = model.fit_predict(X)
    shares, completed = model.predict_proba(X), model.transform(X)
    order = np.argsort(model.means_ @ [1.0, 10.0])  # the same colors everywhere
    sure = np.clip(1.5 * shares.max(axis=1) - 0.5, 0.1, 1)
    for some, marker in [(~holes.any(axis=1), "o"), (holes.any(axis=1), "^")]:
        shade = shares[some][:, order] @ colors
        ax.scatter(*completed[some].T, 14, shade, marker=marker, alpha=sure[some], lw=0)
    for k in range(3):
        sizes, axes_of = np.linalg.eigh(model.get_covariance(k))
        angle = np.degrees(np.arctan2(axes_of[1, 1], axes_of[0, 1]))
        widths = 4 * np.sqrt(sizes[::-1])
        ax.add_patch(Ellipse(model.means_[k], *widths, angle=angle, fill=False, lw=1.2))
    found = adjusted_rand_score(truth, labels)
    ax.set_title(f"{name}\nagreement {found:.2f}, log-density {model.score(X):.2f}")
    ax.set_aspect("equal")
    rmse = np.sqrt(np.mean((completed - complete)[holes] ** 2))
    print(f"{name:>13}: agreement {found:.2f}, BIC {model.bic(X):.0f}, RMSE {rmse:.2f}")
plt.show()

# %%
# The agreement with the truth is the adjusted Rand index of the labels (1 is all,
# 0 is chance). The BIC charges full covariances for their parameters, and still takes
# them; and holes of long clusters are completed along their length.
