# SPDX-License-Identifier: BSD-3-Clause
"""
Digits with half their pixels hidden
====================================

A mixture is fitted to pictures that nobody has seen completely: in each of 1,797 digits
(8 x 8 pixels, bundled with scikit-learn) a random half of the pixels is hidden, a
different half in each. The mixture then completes the hidden pixels, with a standard
deviation for each.
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
# covariances of pixels from the pairs that were observed together. ``reg_covar`` keeps
# variances of border pixels, which are nearly always white, away from zero; it is in
# squared units of the data.

mixture = MaskedGaussianMixture(
    4, covariance_type="full", reg_covar=1.0, tol=0.1, random_state=0
)
completed, std = mixture.fit(X).complete(X, return_std=True)
imputers = {
    "mean of the pixel": SimpleImputer().fit_transform(X),
    "KNNImputer": KNNImputer().fit_transform(X),
    "4 Gaussians": completed,
}
for name, guess in imputers.items():
    rmse = np.sqrt(np.mean((guess - digits)[hidden] ** 2))
    print(f"{name:>17}: RMSE {rmse:.2f} on the hidden pixels")

# %%
# The mixture has the smallest error. Moreover, the last row shows where it may be
# wrong: the standard deviation of a pixel is large (dark) where strokes begin and end,
# and small in the margins.

chosen = [0, 11, 23, 34, 45, 56, 67, 78]
rows = {
    "true": digits,
    "observed": X,
    "completed": completed,
    "std": std,
}
figure, axes = plt.subplots(
    len(rows), len(chosen), figsize=(8, 4.4), layout="constrained"
)
ink = plt.get_cmap("gray_r").with_extremes(bad="#e8c99b")  # missing
for (name, pictures), row in zip(rows.items(), axes, strict=True):
    for i, ax in zip(chosen, row, strict=True):
        vmax = std.max() if name == "std" else 16
        ax.imshow(pictures[i].reshape(8, 8), cmap=ink, vmin=0, vmax=vmax)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
plt.show()

# %%
# Are the standard deviations right? Of the hidden pixels, nine in ten should lie within
# 1.645 standard deviations of their completion.

inside = np.abs(completed - digits)[hidden] < 1.645 * std[hidden]
print(f"90 % intervals contain {inside.mean():.1%} of the hidden pixels")
