# SPDX-License-Identifier: BSD-3-Clause
"""Data made from a seed, and estimators to fit to them."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import DataWarning, KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.covariance import FAMILIES

# Names of all families, and of those whose log-density is no bound.
TYPES = list(FAMILIES)
EXACT_TYPES = [name for name in TYPES if not FAMILIES[name].log_joint_is_bound]
# User, item, rating; one user rates 0, and lines are in no order.
LINES = [
    ("bob", 30, 4.0),
    ("ann", 20, 0.0),
    ("eve", 10, 2.5),
    ("ann", 30, 5.0),
    ("bob", 10, 1.0),
]


def clusters(n=200, d=6, n_components=3, missing=0.3, seed=0, spread=2.0):
    """Gaussian clusters, entries missing at random; every column is observed."""
    rng = np.random.default_rng(seed)
    centers = spread * rng.standard_normal((n_components, d))
    X = centers[rng.integers(n_components, size=n)] + rng.standard_normal((n, d))
    X[rng.random(X.shape) < missing] = np.nan
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


def rewind(mixture, X, sample_weight=None):
    """The same fit without its last iteration."""
    earlier = clone(mixture).set_params(max_iter=mixture.n_iter_ - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DataWarning)
        return earlier.fit(X, sample_weight=sample_weight)


def correlated(n=200, d=5, n_components=2, missing=0.3, seed=0):
    """Gaussians with full covariances, entries missing at random."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_components, d, 2))
    covariances = factors @ np.swapaxes(factors, 1, 2) + 0.25 * np.eye(d)
    means = 2 * rng.standard_normal((n_components, d))
    labels = rng.integers(n_components, size=n)
    noise = np.linalg.cholesky(covariances)[labels] @ rng.standard_normal((n, d, 1))
    X = means[labels] + noise[:, :, 0]
    X[rng.random(X.shape) < missing] = np.nan
    X[0] = means[0]
    return X


def to_sparse(X, kind="csr_array"):
    """Store every entry that is not NaN, zeros included."""
    rows, columns = np.nonzero(~np.isnan(X))
    coo = sparse.coo_array((X[rows, columns], (rows, columns)), shape=X.shape)
    stored = getattr(sparse, kind)(coo)
    assert stored.nnz == len(rows)
    return stored


def mixtures(n_components=2, **params):
    """A mixture of each family."""
    options = {"factor": {"n_factors": 2, "min_variance": 1e-6}}
    return [
        MaskedGaussianMixture(
            n_components, covariance_type=name, **(options.get(name, {}) | params)
        )
        for name in TYPES
    ]


def estimators(n_components=2, **params):
    """A mixture of each family, and k-means."""
    return [*mixtures(n_components, **params), KMeansMixture(n_components, **params)]
