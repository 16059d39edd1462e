# SPDX-License-Identifier: BSD-3-Clause
"""
What if users use the scale differently?
========================================

Some users give three stars where others give five, and some use the whole scale where
others do not. A mixture of raw ratings sorts users by these habits. Normalized rows
let it sort users by the items that they like.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import hide_entries
from sklearn_gmmcf.preprocessing import RowNormalizer

# %%
# A thousand users of four types rate a hundred items. Each user has a mean and a spread
# of ratings, which have nothing to do with the type. A tenth of the ratings is hidden.

made = make_ratings(
    1_000, 100, n_factors=2, density=0.2, rating_range=None, random_state=0
)
rng = np.random.default_rng(0)
means, spreads = rng.normal(3, 0.7, 1_000), rng.lognormal(-0.4, 0.4, 1_000)
ratings = made.data.tocoo()
ratings.data = means[ratings.row] + spreads[ratings.row] * ratings.data
X, (rows, columns, true) = hide_entries(ratings.tocsr(), 0.1, random_state=0)


# %%
# A normalized row has a mean near 0 and a standard deviation near 1. Predictions go
# back by the mean and the deviation of the ratings that are not hidden, so that all
# errors are in stars.


def fit(normalizer, mixture):
    """RMSE of the hidden ratings, and the components of the users."""
    pipe = make_pipeline(normalizer, mixture).fit(X)
    Z = pipe[0].transform(X)
    z = pipe[-1].complete(Z, entries=(rows, columns))
    predicted = pipe[0].inverse_transform(z, rows=X, entries=(rows, columns))
    return np.sqrt(np.mean((predicted - true) ** 2)), pipe.predict(X)


normalizers = {
    "raw": RowNormalizer(center=False, scale=False),
    "centered": RowNormalizer(scale=False),
    "normalized": RowNormalizer(),
}
n_components = [1, 2, 4, 8, 12]
spherical, factor, found = {}, {}, {}
for name, normalizer in normalizers.items():
    spherical[name] = []
    for k in n_components:
        mixture = MaskedGaussianMixture(
            k, covariance_type="spherical", mean_precision_prior=5, random_state=0
        )
        error, labels = fit(normalizer, mixture)
        spherical[name].append(error)
        if k == 4:
            found[name] = labels
    mixture = MaskedGaussianMixture(4, covariance_type="factor", random_state=0)
    factor[name], _ = fit(normalizer, mixture)
    agreement = adjusted_rand_score(made.types, found[name])
    errors = " ".join(f"{error:.2f}" for error in spherical[name])
    print(
        f"{name:>10}: spherical {errors}, 'factor' {factor[name]:.2f}, "
        f"agreement with the types {agreement:.2f}"
    )

# %%
# The four spherical components of raw rows are users who rate low, high, or in between.
# Each component of normalized rows has users of all means and spreads.

figure, axes = plt.subplots(
    1, 2, figsize=(5, 3.2), sharex=True, sharey=True, layout="constrained"
)
for ax, name in zip(axes, ("raw", "normalized"), strict=True):
    for k, color in enumerate(["#0072B2", "#E69F00", "#009E73", "#CC79A7"]):
        ax.scatter(means[found[name] == k], spreads[found[name] == k], s=5, c=color)
    ax.set(title=f"{name} rows", xlabel="mean (stars)", yscale="log")
axes[0].set_ylabel("spread of a user (stars)")
axes[0].set_yticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
axes[0].minorticks_off()
figure.suptitle("Raw rows are sorted by habits (colors: components)")
plt.show()

# %%
# Spherical components predict normalized ratings best. ``'factor'`` has latent factors
# for such habits, and needs no normalization here: its errors for raw and normalized
# rows (the two lines) are nearly equal.

figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
styles = {
    "raw": ("#D55E00", "o:"),
    "centered": ("#E69F00", "s--"),
    "normalized": ("#0072B2", "^-"),
}
for name, (color, style) in styles.items():
    ax.plot(n_components, spherical[name], style, color=color)
    ax.text(12.3, spherical[name][-1], name, color=color, va="center")
    if name != "centered":
        ax.axhline(factor[name], color=color, ls=style[1:], lw=1)
ax.text(12.3, factor["raw"] + 0.02, "'factor'", va="bottom")
ax.set(xlabel="number of spherical components", xlim=(0.5, 16), ylim=(0.35, None))
ax.set(ylabel="RMSE of hidden ratings (stars)", xticks=n_components)
ax.set_title("Normalized rows are predicted best")
plt.show()

# %%
# See also
# --------
#
# :class:`~sklearn_gmmcf.preprocessing.RowNormalizer`; :doc:`/guide/recommend`.
