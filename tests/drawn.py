"""Data with holes: drawn by hypothesis (a mask, then values), or by a seed."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def tables(draw, min_rows=2, max_rows=12, max_columns=5, every_column=True):
    """A dense table with NaN; each column observed somewhere if asked."""
    shape = draw(
        st.tuples(st.integers(min_rows, max_rows), st.integers(1, max_columns))
    )
    mask = draw(hnp.arrays(bool, shape))
    if every_column:
        mask[0] |= ~mask.any(axis=0)
    mask[0, 0] |= not mask.any()
    values = draw(
        hnp.arrays(
            np.float64, shape, elements=st.integers(-50, 50).map(lambda v: v / 8)
        )
    )
    return np.where(mask, values, np.nan)


def clusters(n=200, d=6, n_components=3, holes=0.3, seed=0, spread=2.0):
    """Gaussian clusters with holes at random; every column is observed."""
    rng = np.random.default_rng(seed)
    centers = spread * rng.standard_normal((n_components, d))
    X = centers[rng.integers(n_components, size=n)] + rng.standard_normal((n, d))
    X[rng.random(X.shape) < holes] = np.nan
    X[0] = centers[0]
    return X


def start(X, n_components, covariance_type, seed=0):
    """A start for MaskedGaussianMixture and GaussianMixture alike."""
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    weights = rng.dirichlet(np.full(n_components, 10.0))
    scale = np.nanstd(X) or 1.0
    means = np.nanmean(X, axis=0) + scale * rng.standard_normal((n_components, d))
    if covariance_type in ("full", "tied"):
        factors = rng.standard_normal((n_components, d, d)) / np.sqrt(d)
        precisions = factors @ np.swapaxes(factors, 1, 2) + 0.5 * np.eye(d)
        if covariance_type == "tied":
            precisions = precisions[0]
    else:
        shape = (n_components,) if covariance_type == "spherical" else (n_components, d)
        precisions = rng.uniform(0.5, 1.5, shape)
    return {
        "n_components": n_components,
        "covariance_type": covariance_type,
        "weights_init": weights,
        "means_init": means,
        "precisions_init": precisions / scale**2,
    }


def correlated(n=200, d=5, n_components=2, holes=0.3, seed=0):
    """Gaussians with full covariances and holes at random."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_components, d, 2))
    covariances = factors @ np.swapaxes(factors, 1, 2) + 0.25 * np.eye(d)
    means = 2 * rng.standard_normal((n_components, d))
    labels = rng.integers(n_components, size=n)
    noise = np.linalg.cholesky(covariances)[labels] @ rng.standard_normal((n, d, 1))
    X = means[labels] + noise[:, :, 0]
    X[rng.random(X.shape) < holes] = np.nan
    X[0] = means[0]
    return X
