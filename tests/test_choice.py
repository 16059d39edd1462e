# SPDX-License-Identifier: BSD-3-Clause
"""covariance_type='auto', and options that a family has no use for."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance import Diagonal
from sklearn_gmmcf.model_selection import completion_scorer
from tests.made import TYPES, clusters, to_sparse
from tests.optional import pd

SILENT = {"mask_rank": 0, "n_factors": 2, "max_iter": 3, "random_state": 0}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn_gmmcf.DataWarning",
)


def table(n, d, *, missing=True):
    X = np.random.default_rng(n + d).standard_normal((n, d))
    if missing:
        X[0, 0] = np.nan
    return X


def chosen(X, **params):
    return MaskedGaussianMixture(**SILENT, **params).fit(X).covariance_type_


@pytest.mark.parametrize(
    ("n", "d", "missing", "expected"),
    [
        (40, 8, True, "full"),
        (39, 8, True, "factor"),
        (9, 8, False, "full"),
        (110, 100, False, "full"),
        (110, 101, False, "factor"),
        (600, 101, True, "factor"),
    ],
)
@pytest.mark.parametrize("store", [np.asarray, to_sparse, pd.DataFrame])
def test_shape_decides(n, d, missing, expected, store):
    assert chosen(store(table(n, d, missing=missing))) == expected


def test_rows_count_by_their_weights():
    X = table(20, 8)
    weights = np.full(20, 2)
    fit = MaskedGaussianMixture(**SILENT).fit
    assert fit(X, sample_weight=weights).covariance_type_ == "full"
    assert fit(np.repeat(X, 2, axis=0)).covariance_type_ == "full"
    # Rows of weight 0 are none, and neither are their missing entries.
    X = table(30, 8)
    weights = np.arange(30) > 0
    assert fit(X, sample_weight=weights).covariance_type_ == "full"
    assert fit(X).covariance_type_ == "factor"


def test_columns_without_observations_do_not_count():
    X = np.hstack([table(40, 8), np.full((40, 5), np.nan)])
    assert chosen(X) == "full"


@pytest.mark.parametrize(
    "known", [{"covariates": [0]}, {"column_features": np.eye(8)[:, :2]}]
)
def test_features_ask_for_factors(known):
    assert chosen(table(200, 8), **known) == "factor"


@pytest.mark.parametrize("degrees_of_freedom", [3.0, "auto"])
def test_robust_components_are_never_replaced_by_factors(degrees_of_freedom):
    for n, d, expected in [(200, 8, "full"), (30, 8, "diag"), (110, 101, "diag")]:
        X = table(n, d)
        assert chosen(X, degrees_of_freedom=degrees_of_freedom) == expected


def test_the_same_fit_as_by_name():
    for X, kind in [(table(90, 8), "full"), (table(30, 8), "factor")]:
        auto = MaskedGaussianMixture(2, **SILENT).fit(X)
        named = MaskedGaussianMixture(2, covariance_type=kind, **SILENT).fit(X)
        np.testing.assert_allclose(auto.transform(X), named.transform(X), rtol=1e-10)
        assert named.covariance_type_ == kind
        assert auto.covariance_type == "auto"
        assert pickle.loads(pickle.dumps(auto)).covariance_type_ == kind
        assert not hasattr(clone(auto), "covariance_type_")


def test_a_family_is_its_own_type():
    family = Diagonal()
    assert chosen(table(40, 8), covariance_type=family) is family


def test_iris_as_scikit_learn():
    X, y = load_iris(return_X_y=True)
    start = {"means_init": X[[0, 60, 120]], "precisions_init": [np.eye(4)] * 3}
    ours = MaskedGaussianMixture(3, weights_init=[1 / 3] * 3, **start).fit(X)
    theirs = GaussianMixture(3, weights_init=[1 / 3] * 3, **start).fit(X)
    np.testing.assert_allclose(ours.means_, theirs.means_)
    assert adjusted_rand_score(y, ours.predict(X)) == pytest.approx(
        adjusted_rand_score(y, theirs.predict(X))
    )


def test_continued_fits_keep_the_type():
    mixture = MaskedGaussianMixture(**SILENT).fit(table(200, 8))
    assert mixture.partial_fit(table(10, 8)).covariance_type_ == "full"
    mixture.set_params(warm_start=True).fit(table(10, 8))
    assert mixture.covariance_type_ == "full"
    # What a further fit would take is another matter.
    assert mixture.set_params(warm_start=False).fit(table(10, 8)) is mixture
    assert mixture.covariance_type_ == "factor"
    stream = MaskedGaussianMixture(**SILENT).partial_fit(table(30, 8))
    assert stream.partial_fit(table(100, 8)).covariance_type_ == "factor"


@pytest.mark.parametrize("covariance_type", TYPES)
def test_options_without_a_use_change_nothing(covariance_type):
    useless = {
        "spherical": {"n_factors": 7, "mask_rank": 3},
        "diag": {"n_factors": 7, "mask_rank": 3},
        "tied": {"n_factors": 7, "mask_rank": 3, "min_effective_count": 4.0},
        "full": {"n_factors": 7, "mask_rank": 3, "min_effective_count": 4.0},
        "factor": {
            "degrees_of_freedom": 5.0,
            "reg_covar": 5.0,
            "mean_precision_prior": 3.0,
            "covariance_precision_prior": 50.0,
            "min_effective_count": 4.0,
            "means_init": np.ones((2, 4)),
            "precisions_init": np.ones((2, 4)),
        },
    }[covariance_type]
    X = clusters()
    params = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 5}
    plain = MaskedGaussianMixture(2, **params).fit(X)
    given = MaskedGaussianMixture(2, **params, **useless).fit(X)
    np.testing.assert_array_equal(given.transform(X), plain.transform(X))
    np.testing.assert_array_equal(given.lower_bounds_, plain.lower_bounds_)


@pytest.mark.parametrize("name", ["covariates", "column_features"])
@pytest.mark.parametrize(
    "covariance_type", [t for t in TYPES if t != "factor"] + [Diagonal()]
)
def test_features_are_refused_by_other_types(covariance_type, name):
    known = {name: [0] if name == "covariates" else np.eye(6)[:, :2]}
    mixture = MaskedGaussianMixture(covariance_type=covariance_type, **known)
    with pytest.raises(ValueError, match=f"cannot learn from {name}.*'factor'"):
        mixture.fit(clusters())


@pytest.mark.slow
def test_search_over_all_types():
    X = clusters()
    grid = {
        "covariance_type": ["auto", *TYPES],
        "n_factors": [1, 3],
        "min_effective_count": [0.0, 2.0],
    }
    mixture = MaskedGaussianMixture(
        2, mean_precision_prior=1.0, mask_rank=0, max_iter=5, random_state=0
    )
    search = GridSearchCV(
        mixture, grid, scoring=completion_scorer(), cv=2, error_score="raise"
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
