# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's own checks of estimators, those generated and those only callable."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, MixtureImputer

ESTIMATORS = [
    MaskedGaussianMixture(),
    MaskedGaussianMixture(n_components=2, covariance_type="diag", max_iter=200),
    MaskedGaussianMixture(2, covariance_type="factor", n_factors=2, max_iter=10),
    KMeansMixture(),
    KMeansMixture(n_components=2),
]
IMPUTERS = [MixtureImputer(random_state=0), MixtureImputer(calibrate=False)]
# scikit-learn 1.6 to 1.9 reads classifier_tags.multi_class of any estimator that has
# predict_proba, and a density estimator has no classifier_tags. test_observed.py covers
# the formats.
BROKEN_CHECKS = {
    "check_estimator_sparse_array": "reads the classifier tags of a density estimator",
    "check_estimator_sparse_matrix": "reads the classifier tags of a density estimator",
}
QUICK_IMPUTER = MixtureImputer(
    [("diag", MaskedGaussianMixture(covariance_type="diag"))], calibrate=False
)
CALLABLE_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_non_transformer_estimators_n_iter",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]
pytestmark = pytest.mark.filterwarnings(
    # Some checks fit more components than rows differ, or stop early on purpose.
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # Some tables have a few rows each many times.
    "ignore::sklearn_gmmcf.RegularizationWarning",
)


# pyproject.toml makes it strict.
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda _: BROKEN_CHECKS)
def test_generated_check(estimator, check):
    check(estimator)


@parametrize_with_checks(IMPUTERS[1:])
def test_generated_check_of_imputers(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(IMPUTERS[:1])
def test_generated_check_of_calibrated_imputers(estimator, check):
    check(estimator)


# scikit-learn's own callers of these checks filter these warnings, too.
@pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names:UserWarning"
)
@pytest.mark.parametrize(
    "estimator", [*ESTIMATORS[::2], QUICK_IMPUTER], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("name", CALLABLE_CHECKS)
def test_callable_check(estimator, name):
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)
