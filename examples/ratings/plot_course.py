# SPDX-License-Identifier: BSD-3-Clause
"""
How large is the error of predicted ratings? Why 0.48 means 0.96
================================================================

A well-known course exercise completes a matrix of ratings by a spherical mixture of 12
components, and reports a root mean squared error of 0.48, about half a star. The real
error is twice as large. This example makes such a matrix, repeats the exercise, and
finds the other half. (The course's own data may not be shipped. On these data 0.48 is
0.9639 on the entries that were to be predicted, and column means reach 0.9610.)
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings

made = make_ratings(
    1200, 400, n_types=12, n_factors=10, density=0.77, noise=0.9, random_state=0
)
X, truth = made.data, made.complete  # observed ratings, all ratings
observed = np.zeros(truth.shape, dtype=bool)
observed[X.nonzero()] = True
print(f"{observed.mean():.0%} of the entries are observed")

# %%
# The exercise compares the *whole* completed matrix with the truth. But most of the
# matrix was observed. A completion returns observed entries unchanged, with an error of
# exactly 0, and these zeros are averaged in.


def rmse(completed, entries):
    return np.sqrt(np.mean((completed - truth)[entries] ** 2))


everything = np.ones_like(observed)
models = {
    "column means": MaskedGaussianMixture(1, covariance_type="spherical"),
    "12 spherical types": MaskedGaussianMixture(
        12, covariance_type="spherical", random_state=0
    ),
    "4 types, 10 factors": MaskedGaussianMixture(
        4, covariance_type="factor", random_state=0
    ),
}
errors = {}
for name, model in models.items():
    completed = model.fit_transform(X)
    errors[name] = rmse(completed, everything), rmse(completed, ~observed)
    print(
        f"{name:>20}: {errors[name][0]:.3f} over all entries, "
        f"{errors[name][1]:.3f} over missing entries"
    )

# %%
# The two errors are the same number in two units: the first is the second times the
# root of the share of missing entries, for any model. With 77 % observed this factor is
# a bit less than one half. A model that learns nothing at all, the mean of the column,
# looks good too.

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for k, (label, color) in enumerate(
    [("over all entries", "0.7"), ("over missing entries", "#0072B2")]
):
    heights = [pair[k] for pair in errors.values()]
    bars = ax.bar(np.arange(3) + 0.4 * k, heights, 0.38, label=label, color=color)
    ax.bar_label(bars, fmt="%.2f")
labels = ["column\nmeans", "12 spherical\ntypes", "4 types,\n10 factors"]
ax.set_xticks(np.arange(3) + 0.2, labels)
ax.set(ylabel="RMSE (stars)", title="Observed entries hide half of the error")
ax.set_ylim(0, 1.35)
ax.legend(ncols=2, frameon=False, fontsize="small")
plt.show()

# %%
# So hide entries, and evaluate on the hidden entries alone. This shows that factors,
# which give each user tastes of their own, learn more than types of users can.
# :func:`~sklearn_gmmcf.model_selection.hide_entries` hides entries,
# :func:`~sklearn_gmmcf.model_selection.completion_scorer` scores their completion.
#
# See also
# --------
#
# :doc:`/guide/recommend`; :doc:`/benchmarks`.
