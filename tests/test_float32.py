# SPDX-License-Identifier: BSD-3-Clause
"""Single precision: the same numbers, near 0 and far from it."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from tests.made import TYPES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_variances_and_errors_are_those_of_double_precision(covariance_type, offset):
    n_items = 10 if covariance_type in ("tied", "full") else 100
    coo = make_ratings(2000, n_items, density=0.3, random_state=0).data.tocoo()
    held = np.random.default_rng(0).random(coo.nnz) < 0.1
    entries, true = (coo.row[held], coo.col[held]), coo.data[held] + offset
    kept = coo.row[~held], coo.col[~held]
    values = (coo.data[~held] + offset).astype(np.float32)
    found = []
    for dtype in (np.float64, np.float32):
        X = sparse.csr_array((values.astype(dtype), kept), shape=coo.shape)
        mixture = MaskedGaussianMixture(
            3, covariance_type=covariance_type, max_iter=6, tol=0, random_state=0
        ).fit(X)
        rmse = np.sqrt(np.mean((mixture.complete(X, entries=entries) - true) ** 2))
        variances = np.stack([np.diag(mixture.get_covariance(k)) for k in range(3)])
        found.append((rmse, variances))
    (double, variances), (single, single_variances) = found
    assert single == pytest.approx(double, rel=1e-3)
    np.testing.assert_allclose(single_variances, variances, rtol=1e-4)
