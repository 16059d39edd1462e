# SPDX-License-Identifier: BSD-3-Clause
"""Units, extreme scales and weights, and rows far away: finite or refused."""

import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import DataWarning, KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.data import observe
from tests.made import clusters, correlated, estimators, to_sparse

MATRICES = ["diag", "tied", "full"]


def name(estimator):
    return getattr(estimator, "covariance_type", "kmeans")


def fit(estimator, X, sample_weight=None):
    """Fit without what the data warn of; all other warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, sample_weight=sample_weight)


def ask(estimator, X):
    """Answers about the rows of X, by their names."""
    completed, std = estimator.complete(X, return_std=True)
    return {
        "completed": completed,
        "std": std,
        "draws": estimator.sample_completions(X, 2, random_state=0),
        "proba": estimator.predict_proba(X),
        "density": estimator.score_samples(X),
        "means": estimator.means_,
        "lower_bound": estimator.lower_bound_
        if isinstance(estimator, MaskedGaussianMixture)
        else estimator.inertia_,
    }


def refuse(estimator, X, sample_weight, way_out):
    """Whether a fit is refused; the message names a way out and blames no table."""
    error = None
    try:
        fit(estimator, X, sample_weight)
    except ValueError as refusal:
        error = str(refusal)
    if error is not None:
        assert re.search(way_out, error), error
        assert "entries are" not in error
    return error is not None


@pytest.mark.parametrize("estimator", estimators(random_state=0), ids=name)
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (np.float64, 1e-154),
        (np.float64, 1e-150),
        (np.float64, 1e150),
        (np.float64, 1e153),
        (np.float32, 1e-30),
        (np.float32, 1e-19),
        (np.float32, 1e18),
        (np.float64, np.array([1e80, 1, 1, 1e-80])),
        (np.float64, np.array([1e10, 1, 1, 1e-160])),
        (np.float32, np.array([1e15, 1, 1, 1e-15])),
    ],
    ids=str,
)
def test_scales_of_the_data(estimator, dtype, scale, reg_covar):
    X = (clusters(80, 4) * scale).astype(dtype)
    estimator.set_params(reg_covar=reg_covar)
    if refuse(estimator, X, None, "[Ss]cale|reg_covar"):
        return
    found = ask(estimator, X)
    for key, value in found.items():
        assert np.isfinite(value).all(), key
    assert (found["std"][np.isnan(X)] > 0).all()


def test_tiny_single_precision_equals_its_scaled_fit():
    X = clusters(200, 4, spread=4).astype(np.float32)
    mixture = MaskedGaussianMixture(
        2, covariance_type="diag", reg_covar=0, random_state=0
    )
    expected, expected_std = fit(mixture, X).complete(X, return_std=True)
    tiny = X * np.float32(1e-19)
    completed, std = fit(mixture, tiny).complete(tiny, return_std=True)
    np.testing.assert_allclose(completed * 1e19, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(std * 1e19, expected_std, rtol=1e-3)


@pytest.mark.parametrize("estimator", estimators(random_state=0), ids=name)
@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_weights_over_200_orders_of_magnitude(estimator, make):
    X = clusters(80, 4)
    rng = np.random.default_rng(0)
    for sample_weight in (
        10.0 ** rng.uniform(-100, 100, 80),
        np.where(np.arange(80) % 2, 1e-150, 1e150),
        np.where(np.arange(80) == 3, 1e200, 1.0),
    ):
        if refuse(estimator, make(X), sample_weight, "sample_weight|reg_covar"):
            continue
        for key, value in ask(estimator, make(X)).items():
            assert np.isfinite(value).all(), key


@pytest.mark.parametrize("estimator", estimators(random_state=0), ids=name)
@pytest.mark.parametrize("distance", [1e10, 1e100, 1e155, 1e199])
def test_rows_far_away(estimator, distance):
    # Larger values than 1e100 are refused.
    unit = 1e-100 if distance > 1e100 else 1.0
    distance *= unit
    X = clusters(200, 4) * unit
    fit(estimator.set_params(reg_covar=0), X)
    far = np.array(
        [
            [distance, np.nan, np.nan, np.nan],
            [distance, -distance, np.nan, 0.0],
            [np.nan, 1.0, -distance, np.nan],
            [distance, distance, distance, distance],
        ]
    )
    found = ask(estimator, far)
    for key, value in found.items():
        assert np.isfinite(value).all(), key
    np.testing.assert_allclose(found["proba"].sum(axis=1), 1)
    assert (found["std"][np.isnan(far)] > 0).all()
    near = ask(estimator, X)["density"]
    assert (found["density"] < near.min()).all()
    assert np.isfinite(estimator.score_entries(far, ([0], [1]), [distance])).all()
    items, values = estimator.recommend(far, 1)
    assert np.isfinite(values[items >= 0]).all()


def test_an_error_names_units_and_leaves_the_old_fit():
    X = clusters(60, 3)
    mixture = MaskedGaussianMixture(covariance_type="spherical", reg_covar=0)
    before = fit(mixture, X).means_
    with pytest.raises(ValueError, match="or scale the data"):
        fit(mixture, X * 1e-160)
    np.testing.assert_array_equal(mixture.means_, before)


@pytest.mark.parametrize("covariance_type", MATRICES)
@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("in_all_columns", [False, True])
def test_a_unit_changes_its_own_column_alone(covariance_type, unit, in_all_columns):
    X = correlated(200, 4, n_components=1)
    units = np.full(4, unit) if in_all_columns else np.array([1, 1, unit, 1])
    mixture = MaskedGaussianMixture(covariance_type=covariance_type, reg_covar=0)
    expected, expected_std = fit(mixture, X).complete(X, return_std=True)
    completed, std = fit(mixture, X * units).complete(X * units, return_std=True)
    missing = np.isnan(X)
    spread = np.nanstd(X, axis=0)
    errors = np.abs(completed / units - expected) / spread
    assert errors.max() < 0.01
    np.testing.assert_allclose((std / units)[missing], expected_std[missing], rtol=0.01)


@pytest.mark.parametrize("covariance_type", MATRICES)
@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
def test_default_reg_covar_is_small_or_warned_of(covariance_type, unit):
    X = correlated(200, 4, n_components=1)
    units = np.array([1, 1, unit, 1])
    mixture = MaskedGaussianMixture(covariance_type=covariance_type)
    expected, expected_std = fit(mixture, X).complete(X, return_std=True)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        mixture.fit(X * units)
    if unit < 1:
        (warning,) = record
        assert "reg_covar" in str(warning.message)
        assert str(warning.message).endswith(": 2.")
    else:
        assert record == []
    # Where reg_covar hides the column, it tells nothing of others any more.
    same = [0, 1, 3] if covariance_type == "diag" else slice(0 if unit > 1 else 4, 4)
    completed, std = mixture.complete(X * units, return_std=True)
    errors = np.abs(completed / units - expected) / np.nanstd(X, axis=0)
    assert errors[:, same].max(initial=0) < 0.01
    np.testing.assert_allclose((std / units)[:, same], expected_std[:, same], rtol=0.01)


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("unit", [1e-90, 1e-16, 1e16])
def test_row_groups_do_not_depend_on_units(make, unit):
    X = clusters(300, 5)
    X[10:20] = X[30:40]
    groups, first = observe(make(X)).row_groups()
    np.testing.assert_array_equal(groups[10:20], groups[30:40])
    assert len(first) == 290
    for units in (unit, np.array([unit, 1, 1, 1 / unit, 1])):
        found, found_first = observe(make(X * units)).row_groups()
        np.testing.assert_array_equal(found, groups)
        np.testing.assert_array_equal(found_first, first)


def test_starts_do_not_depend_on_units():
    X = clusters(300, 5, spread=1)
    for estimator in (
        KMeansMixture(4, random_state=3, max_iter=1),
        MaskedGaussianMixture(
            4, covariance_type="spherical", max_iter=0, random_state=3, reg_covar=0
        ),
    ):
        means = fit(estimator, X).means_
        scaled = fit(estimator, X * 2.0**-60).means_
        np.testing.assert_allclose(scaled * 2.0**60, means, rtol=1e-9)
