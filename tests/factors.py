# SPDX-License-Identifier: BSD-3-Clause
"""Models of 'factor' as the oracles have them, and as the library does."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf._model import Model
from sklearn_gmmcf.covariance import _factor, _factor_inference, _factor_step
from sklearn_gmmcf.covariance._factor_features import Features
from sklearn_gmmcf.covariance._factor_inference import FactorParameters
from sklearn_gmmcf.datasets import make_ratings
from tests import oracles

COMPONENTS = pytest.mark.parametrize("n_components", [1, 3])
# Of fits that are cut short, and of columns without entries.
IGNORED_WARNINGS = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnobservedColumnsWarning"),
]


def factor(n_components=1, n_factors=3, **params):
    params = {"random_state": 0, **params}
    return MaskedGaussianMixture(
        n_components, covariance_type="factor", n_factors=n_factors, **params
    )


def to_dense(X):
    coo = sparse.coo_array(X)
    dense = np.full(X.shape, np.nan)
    dense[coo.row, coo.col] = coo.data
    return dense


def ratings(n_users=200, n_items=30, density=0.3, seed=0, **params):
    """Ratings, dense with NaN; each item was rated."""
    X = to_dense(
        make_ratings(
            n_users, n_items, density=density, random_state=seed, **params
        ).data
    )
    X[0, np.isnan(X).all(axis=0)] = 3.0
    return X


def with_odd_rows(n=30, d=6, missing=0.4, unknown=(), seed=0):
    """Columns with means of their own, a row without entries, a row with one entry."""
    rng = np.random.default_rng(seed)
    X = 3 + np.arange(d) + rng.standard_normal((n, 2)) @ rng.standard_normal((2, d))
    X[rng.random((n, d)) < missing] = np.nan
    if missing:
        X[5] = np.nan
        X[6, :-1] = np.nan
    X[:, unknown] = np.nan
    return X


def sweep_together(monkeypatch, n_bytes):
    """Set the size of the systems that are swept together."""
    for module in (_factor, _factor_inference, _factor_step):
        monkeypatch.setattr(module, "SWEEP_BYTES", n_bytes)


def assert_rises(bounds):
    bounds = np.array(bounds)
    assert np.isfinite(bounds).all()
    assert (np.diff(bounds) >= -1e-10 * np.abs(bounds).max()).all()


def spd(rng, *shape):
    roots = rng.standard_normal((*shape, shape[-1]))
    return roots @ np.swapaxes(roots, -1, -2) / shape[-1] + 0.2 * np.eye(shape[-1])


def drawn_parameters(
    X, n_components, r=2, seed=0, spread=0.3, row_weights=None, features=True
):
    """A random model in the terms of the oracles, far from any fit."""
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    loadings = 0.7 * rng.standard_normal((d, r + 1))
    loadings[:, -1] += 3 + np.arange(d)
    prior_mean = np.zeros(r + 1)
    prior_mean[[0, -1]] = 0.5, 4.0
    known = ~np.isnan(X).all(axis=0)
    p = SimpleNamespace(
        weights=rng.dirichlet(np.full(n_components, 5.0)),
        loadings=loadings,
        spreads=spread * spd(rng, d, r + 1),
        noise=rng.uniform(0.3, 2, d),
        scales=rng.uniform(0.4, 2, n_components),
        factor_means=rng.standard_normal((n_components, r)),
        covariances=spd(rng, n_components, r),
        prior_mean=prior_mean,
        prior_precision=rng.uniform(0.5, 3, r + 1),
        known=known,
        units=oracles.wide_units(X, row_weights),
    )
    if n_components == 1:
        p.scales[:], p.factor_means[:], p.covariances[:] = 1, 0, np.eye(r)
    for name, value in drawn_features(rng, known, r, 2 if features else 0).items():
        setattr(p, name, value)
    return p


def drawn_features(rng, known, r, n_directions):
    """Two directions of the mask, and a feature of columns beside these, or none."""
    d, n_rows = len(known), n_directions + bool(n_directions)
    n_columns = 2 * n_directions
    return {
        "mask_directions": rng.standard_normal((n_directions, d)) * known,
        "mask_centers": rng.standard_normal(n_rows),
        "mask_factors": rng.uniform(0.3, 1, n_rows),
        "covariates": np.empty(0, dtype=np.intp),
        "covariate_means": np.empty(0),
        "covariate_scales": np.empty(0),
        "row_regression": np.empty((n_rows, 0)),
        "row_covariance": spd(rng, n_rows) if n_rows else np.empty((0, 0)),
        "row_slopes": 0.5 * rng.standard_normal((r, n_rows)),
        "row_slope_variances": rng.uniform(0.01, 0.2, (r, n_rows)),
        "row_slope_precisions": rng.uniform(1, 5, n_rows),
        "column_features": rng.standard_normal((d, n_columns)),
        "column_slopes": 0.5 * rng.standard_normal((r + 1, n_columns)),
        "column_slope_precisions": rng.uniform(1, 5, n_columns),
    }


# Fields of the library's features, and their names in the oracles.
FEATURES = {
    "directions": "mask_directions",
    "centers": "mask_centers",
    "inverse_scales": "mask_factors",
    "row_regression": "row_regression",
    "row_covariance": "row_covariance",
}
SLOPES = [
    "row_slopes",
    "row_slope_variances",
    "row_slope_precisions",
    "column_slopes",
    "column_slope_precisions",
]
SAME = ["weights", "noise", "scales", "covariances", "prior_mean", "prior_precision"]
SAME += ["factor_means", *SLOPES]


def to_library(p, columns):
    lower = np.tril_indices(p.loadings.shape[1])
    loadings = p.loadings.T.copy()
    loadings[-1] -= columns.center
    features = Features(
        **{ours: getattr(p, theirs) for ours, theirs in FEATURES.items()},
        columns=p.column_features.T,
        counts=np.zeros(len(p.loadings)),
        mask_regression=np.eye(len(p.mask_directions)),
        threshold=0.0,
    )
    return FactorParameters(
        **{name: getattr(p, name) for name in SAME},
        loadings=loadings,
        loading_spreads=np.array([V[lower] for V in p.spreads]).T.copy(),
        loading_log_dets=np.linalg.slogdet(p.spreads)[1],
        features=features,
        columns=columns,
        min_variance=1e-12,
        min_noise=0.0,
    )


def from_library(parameters):
    q, d = parameters.loadings.shape
    spreads = np.empty((d, q, q))
    for packed, (i, j) in zip(
        parameters.loading_spreads, zip(*np.tril_indices(q), strict=True), strict=True
    ):
        spreads[:, i, j] = spreads[:, j, i] = packed
    loadings = parameters.loadings.T.copy()
    loadings[:, -1] += parameters.columns.center
    columns, features = parameters.columns, parameters.features
    covariates = columns.covariates
    return SimpleNamespace(
        **{name: getattr(parameters, name) for name in SAME},
        **{theirs: getattr(features, ours) for ours, theirs in FEATURES.items()},
        column_features=features.columns.T,
        covariates=covariates,
        covariate_means=columns.center[covariates],
        covariate_scales=np.sqrt(columns.variances[covariates]),
        loadings=loadings,
        spreads=spreads,
        known=columns.known,
        units=columns.wide_units,
    )


def with_model(p, X):
    """An estimator that was fitted on X, and then given another model."""
    n_components, r = p.factor_means.shape
    mixture = factor(n_components, r, max_iter=1).fit(X)
    columns = mixture._model.columns
    mixture._set_model(Model(mixture._model.family, to_library(p, columns), columns))
    return mixture


def fit_briefly(X, n_components=1, covariance_type="full", **params):
    """A mixture after few iterations, of any family."""
    options = {"random_state": 0, "max_iter": 5, "covariance_precision_prior": 2.0}
    options |= {"n_factors": 2, "min_variance": 1e-3}
    return MaskedGaussianMixture(
        n_components, covariance_type=covariance_type, **options | params
    ).fit(X)
