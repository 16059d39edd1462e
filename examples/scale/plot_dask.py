# SPDX-License-Identifier: BSD-3-Clause
"""
What if rows do not fit in memory? Dask arrays
==============================================

The same estimator takes a Dask array in chunks of rows. Only sums over rows travel:
each chunk computes its sufficient statistics where it lies, and the mixture is
estimated from their total. So the result is the same as for one array, except for
rounding and for the start, which is made from a sample of rows.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

from sklearn_gmmcf import MaskedGaussianMixture

rng = np.random.default_rng(0)
centers = rng.normal(0, 2, (3, 6))


def make_chunk(seed, n_rows=20_000):
    """Rows of three clusters with a third of the entries missing."""
    rng = np.random.default_rng(seed)
    rows = centers[rng.integers(3, size=n_rows)] + rng.standard_normal((n_rows, 6))
    rows[rng.random(rows.shape) < 1 / 3] = np.nan
    return rows


# %%
# Ten chunks, none of which exists before it is needed. In practice they would be files:
# ``da.from_zarr`` or ``dask.dataframe.read_parquet(...).to_dask_array(lengths=True)``.

X = da.map_blocks(
    lambda block_info=None: make_chunk(block_info[None]["chunk-location"][0]),
    chunks=((20_000,) * 10, 6),
    dtype=float,
)
mixture = MaskedGaussianMixture(3, covariance_type="spherical", random_state=0).fit(X)
print(f"{X.shape[0]:,} rows, {mixture.n_iter_} iterations")

# %%
# ``transform`` is lazy: rows are completed when a result is computed.

completed = mixture.transform(X)
print(type(completed).__name__, completed.shape)
print(completed[:2].compute().round(2))

# %%
# The same data as one array in memory give the same mixture, except for the start of EM
# and the iteration at which it stopped.

together = MaskedGaussianMixture(3, covariance_type="spherical", random_state=0).fit(
    X.compute()
)
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for model, marker, label in [(mixture, "o", "Dask"), (together, "x", "one array")]:
    means = model.means_[np.argsort(model.means_[:, 0])]
    ax.plot(means.T, marker, color="k", fillstyle="none", ms=8, label=label)
ax.plot(centers[np.argsort(centers[:, 0])].T, "-", color="0.7", zorder=0)
handles, labels = ax.get_legend_handles_labels()
ax.legend(handles[::3], labels[::3])
ax.set(xlabel="column", ylabel="mean of the component")
ax.set_title("Chunks give the same mixture (lines: truth)")
plt.show()

difference = np.sort(mixture.means_, axis=0) - np.sort(together.means_, axis=0)
print(f"largest difference of the means: {np.abs(difference).max():.1e}")

# %%
# See also
# --------
#
# :doc:`/guide/large_data`; :doc:`/gallery/scale/plot_stream_ratings`.
