# SPDX-License-Identifier: BSD-3-Clause
"""
Complete pictures of which half the pixels are missing
======================================================

Nobody has seen one of these 1,797 digits completely (8 x 8 pixels, bundled with
scikit-learn): a random half of the pixels is hidden, a different half in each picture.
Can the hidden pixels be completed, and is it known where the completion may be wrong?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.impute import KNNImputer, SimpleImputer

from sklearn_gmmcf import MaskedGaussianMixture

digits = load_digits().data  # 0 is white, 16 is black
hidden = np.random.default_rng(0).random(digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)

# %%
# There is no complete picture to learn from. EM needs none: each component learns
# covariances of pixels from the pairs that were observed together.
# ``covariance_precision_prior`` lets the components share what they learn, as 64 x 64
# covariances are many for a few hundred pictures each.

mixture = MaskedGaussianMixture(
    3,
    covariance_type="full",
    covariance_precision_prior=30.0,
    tol=0.3,
    random_state=0,
)
completed, std = mixture.fit(X).complete(X, return_std=True)
imputers = {
    "mean of the pixel": SimpleImputer().fit_transform(X),
    "KNNImputer": KNNImputer().fit_transform(X),
    "3 Gaussians": completed,
}
for name, guess in imputers.items():
    rmse = np.sqrt(np.mean((guess - digits)[hidden] ** 2))
    print(f"{name:>17}: RMSE {rmse:.2f} on the hidden pixels")

# %%
# The mixture has the smallest error. The last row of the picture shows where it may be
# wrong: the standard deviation of a pixel is large (dark) where strokes begin and end,
# and small in the margins.

chosen = [0, 11, 23, 34, 45]
rows = {
    "true": digits,
    "observed": X,
    "completed": completed,
    "standard\ndeviation": std,
}
figure, axes = plt.subplots(
    len(rows), len(chosen), figsize=(5, 4.3), layout="constrained"
)
ink = plt.get_cmap("gray_r").with_extremes(bad="#e8c99b")  # missing
for (name, pictures), row in zip(rows.items(), axes, strict=True):
    for i, ax in zip(chosen, row, strict=True):
        vmax = std.max() if pictures is std else 16
        ax.imshow(pictures[i].reshape(8, 8), cmap=ink, vmin=0, vmax=vmax)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
figure.suptitle("Half of the pixels suffice to complete a digit")
plt.show()

# %%
# Are the standard deviations right? Of the hidden pixels, nine in ten should lie within
# 1.645 standard deviations of their completion.

inside = np.abs(completed - digits)[hidden] < 1.645 * std[hidden]
print(f"90 % intervals contain {inside.mean():.1%} of the hidden pixels")

# %%
# See also
# --------
#
# :doc:`/gallery/tables/plot_uncertainty` checks intervals at all levels;
# :doc:`/guide/impute` describes the imputer of tables.
