# SPDX-License-Identifier: BSD-3-Clause
"""Warnings of what the data cannot tell: once, with columns and a way out."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

import sklearn_gmmcf
from sklearn_gmmcf import (
    DataWarning,
    FewRowsWarning,
    KMeansMixture,
    MaskedGaussianMixture,
    RegularizationWarning,
    UnlikeUnitsWarning,
    UnlinkedColumnsWarning,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.model_selection import cross_validate_entries
from tests.made import clusters, correlated
from tests.optional import pd


def unobserved():
    X = clusters(100, 5)
    X[:, 2] = np.nan
    return MaskedGaussianMixture(covariance_type="spherical"), X


def regularized_column():
    X = clusters(100, 5) * [1, 1, 1e-4, 1, 1]
    return MaskedGaussianMixture(covariance_type="diag"), X


def regularized_component():
    X = clusters(100, 5, spread=2.0)
    X[:30] = np.arange(5) + 1e-4 * X[:30]
    first = {
        "weights_init": [0.3, 0.7],
        "means_init": [np.arange(5), np.zeros(5)],
        "precisions_init": [np.full(5, 1e6), np.full(5, 0.1)],
    }
    return MaskedGaussianMixture(2, covariance_type="diag", **first), X


def few_rows():
    return MaskedGaussianMixture(covariance_type="full"), correlated(20, 12)


def unlinked():
    X = correlated(400, 4, missing=0)
    X[::2, 1], X[1::2, 2:] = np.nan, np.nan
    return MaskedGaussianMixture(2, covariance_type="full", random_state=0), X


def unlike():
    return MaskedGaussianMixture(covariance_type="spherical"), clusters(100, 5) * [
        1,
        1,
        1e-3,
        1e4,
        1,
    ]


def unlike_kmeans():
    return KMeansMixture(2, random_state=0), unlike()[1]


# What warns, the columns that it names (of a frame with columns a, b, ...), a way out.
CASES = {
    unobserved: (UnobservedColumnsWarning, "c", None),
    regularized_column: (RegularizationWarning, "c", {"reg_covar": 0}),
    regularized_component: (
        RegularizationWarning,
        "a, b, c, d, e",
        {"reg_covar": 1e-10},
    ),
    few_rows: (FewRowsWarning, None, {"covariance_precision_prior": 100}),
    unlinked: (UnlinkedColumnsWarning, "b, c", {"n_components": 1}),
    unlike: (UnlikeUnitsWarning, "c, d", {"covariance_type": "diag"}),
    unlike_kmeans: (UnlikeUnitsWarning, "c, d", None),
}
WAYS_OUT = {
    UnobservedColumnsWarning: "filled with",
    RegularizationWarning: "[Ss]cale the columns.*[Dd]ecrease reg_covar|"
    "Decrease reg_covar or n_components, or scale the columns",
    FewRowsWarning: "covariance_precision_prior.*n_components.*'factor' or 'diag'",
    UnlinkedColumnsWarning: "'factor' or 'diag', or n_components=1",
    UnlikeUnitsWarning: "Scale the columns",
}


def fit(estimator, X):
    """The fitted estimator, and the warnings about its data."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        estimator.fit(X)
    return [w for w in record if issubclass(w.category, DataWarning)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_fires_once_and_names_columns_and_a_way_out(case):
    category, columns, way_out = CASES[case]
    estimator, X = case()
    frame = pd.DataFrame(X, columns=list("abcdefghijklmnop")[: X.shape[1]])
    (warning,) = fit(estimator, frame)
    assert warning.category is category
    assert issubclass(category, DataWarning)
    assert issubclass(DataWarning, UserWarning)
    message = str(warning.message)
    assert message.endswith(f": {columns}." if columns else "'diag'.")
    # It stands at the line that called fit.
    assert warning.filename == __file__
    with pytest.warns(category, match=WAYS_OUT[category]):
        estimator.fit(X)
    if way_out:
        assert fit(estimator.set_params(**way_out), X) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("general", [False, True])
def test_filterable_by_class(case, general):
    category = DataWarning if general else CASES[case][0]
    estimator, X = case()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", category)
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X)
        warnings.simplefilter("error", category)
        with pytest.raises(category):
            estimator.fit(X)


def test_every_class_is_public():
    for category in {each[0] for each in CASES.values()} | {DataWarning}:
        assert category.__name__ in sklearn_gmmcf.__all__


@pytest.mark.parametrize("covariance_type", ["spherical", "diag", "tied", "full"])
def test_breast_cancer_as_it_is_does_not_warn_of_reg_covar(covariance_type):
    # Five of its columns have a variance below a hundred times reg_covar.
    X = load_breast_cancer().data
    assert (X.var(axis=0) < 100 * 1e-6).sum() == 5
    for n_components in (1, 2):
        mixture = MaskedGaussianMixture(
            n_components, covariance_type=covariance_type, random_state=0, max_iter=5
        )
        found = fit(mixture, X)
        assert not [w for w in found if w.category is RegularizationWarning]


def test_complete_tables_and_few_entries_by_chance_do_not_warn():
    # Complete rows have no missing entry whose deviation could be wrong.
    X = correlated(20, 12, missing=0)
    assert fit(MaskedGaussianMixture(covariance_type="full"), X) == []
    # Two entries of a column may be nearly equal, beside many others of its unit.
    X = clusters(100, 30, missing=0.2)
    X[:, 3] = np.nan
    X[:2, 3] = 1.0, 1.0 + 1e-7
    assert fit(MaskedGaussianMixture(covariance_type="diag"), X) == []
    assert fit(KMeansMixture(), X) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_silent_in_folds(case, recwarn):
    estimator, X = case()
    estimator.set_params(max_iter=10)
    warnings.simplefilter("always")
    warnings.simplefilter("ignore", ConvergenceWarning)
    cross_val_score(estimator, X, cv=3)
    GridSearchCV(estimator, {"random_state": [0, 1]}, cv=2, refit=False).fit(X)
    cross_validate_entries(estimator, X, cv=2)
    assert [
        str(w.message) for w in recwarn if issubclass(w.category, DataWarning)
    ] == []
    # The fit to all of the data is the one to warn.
    GridSearchCV(estimator, {"random_state": [0, 1]}, cv=2).fit(X)
    found = [w for w in recwarn if issubclass(w.category, DataWarning)]
    assert [w.category for w in found] == [CASES[case][0]]


def test_given_centers_make_one_run():
    X = clusters(60, 3)
    first = X[:2]
    first = np.where(np.isnan(first), 0.0, first)
    with pytest.warns(
        UserWarning, match="n_init=4 makes one run. Set n_init=1, or init"
    ):
        KMeansMixture(2, init=first, n_init=4).fit(X)
    KMeansMixture(2, init=first).fit(X)


def test_advice_where_em_does_not_converge():
    X = clusters(200, 5, spread=0.5)
    mixture = MaskedGaussianMixture(
        4, covariance_type="spherical", max_iter=3, tol=1e-9, random_state=0
    )
    with pytest.warns(ConvergenceWarning) as record:
        mixture.fit(X)
    (message,) = (str(w.message) for w in record)
    advice = ["Increase max_iter", "increase tol", "decrease n_components", "n_init"]
    positions = [message.index(each) for each in advice]
    assert positions == sorted(positions)
    before, last = mixture.lower_bounds_[-2:]
    assert f"changed the objective by {last - before:.3g} per row" in message
