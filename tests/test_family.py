# SPDX-License-Identifier: BSD-3-Clause
"""The contracts of a family, for all families; and families as objects."""

import warnings
from dataclasses import fields
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sklearn_gmmcf import (
    FewRowsWarning,
    MaskedGaussianMixture,
    UnlinkedColumnsWarning,
)
from sklearn_gmmcf.covariance import (
    FAMILIES,
    Diagonal,
    Factor,
    Family,
    Full,
    Spherical,
    Tied,
)
from sklearn_gmmcf.data import observe
from sklearn_gmmcf.testing import FAMILY_CHECKS, check_family
from tests.drawn import tables
from tests.made import TYPES, correlated, start

INSTANCES = [
    Spherical(reg_covar=1e-6),
    Spherical(mean_precision_prior=3.0),
    Diagonal(mean_precision_prior=2.0),
    Diagonal(min_effective_count=12.0),
    Tied(mean_precision_prior=1.0, covariance_precision_prior=5.0),
    Full(mean_precision_prior=1.0, covariance_precision_prior=5.0),
    Factor(n_factors=3),
]
OTHER_INSTANCES = [
    Tied(),
    Full(reg_covar=1e-3),
    Factor(n_factors=1),
]


def test_all_families_are_checked():
    assert {type(family) for family in INSTANCES} == set(FAMILIES.values())


@pytest.mark.parametrize("check", FAMILY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "family",
    [
        *INSTANCES,
        *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_INSTANCES),
    ],
    ids=repr,
)
def test_contract(family, check):
    check(family)


@st.composite
def families(draw):
    """Any family, with a floor under variances and any priors."""
    options = {
        "mean_precision_prior": [0.0, 0.5, 4.0],
        "covariance_precision_prior": [0.0, 2.0, 50.0],
        "n_factors": [1, 2, 4],
    }
    kind = FAMILIES[draw(st.sampled_from(TYPES))]
    names = {field.name for field in fields(kind)}
    drawn = {
        name: draw(st.sampled_from(values))
        for name, values in options.items()
        if name in names
    }
    # A mean that is kept has no part in the prior: one of the two at a time.
    if "min_effective_count" in names and drawn["mean_precision_prior"] == 0:
        drawn["min_effective_count"] = draw(st.sampled_from([0.0, 1.0]))
    return kind(min_variance=0.05, **drawn)


@settings(max_examples=40)
@given(
    X=tables(min_rows=4, max_columns=4),
    family=families(),
    n_components=st.integers(1, 3),
    data=st.data(),
)
def test_objective_never_falls_on_small_tables(X, family, n_components, data):
    row_weights = data.draw(
        st.lists(st.integers(1, 4), min_size=len(X), max_size=len(X))
    )
    seed = data.draw(st.integers(0, 99))
    params = {"n_components": n_components, "random_state": seed, "max_iter": 20}
    if "precisions" in family.init_names:
        name = next(name for name in TYPES if FAMILIES[name] is type(family))
        params |= start(X, n_components, name, seed)
    mixture = MaskedGaussianMixture(
        **params | {"covariance_type": family, "tol": 0, "init_params": "random"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Tables this small tell little, but the objective must not fall.
        warnings.simplefilter("ignore", FewRowsWarning)
        warnings.simplefilter("ignore", UnlinkedColumnsWarning)
        mixture.fit(X, sample_weight=row_weights)
    bounds = np.array(mixture.lower_bounds_)
    assert np.isfinite(bounds).all()
    if not family.log_joint_is_bound:
        # The floor is no part of the objective, nor are values that are kept.
        covariances = [mixture.get_covariance(k) for k in range(n_components)]
        floored = np.linalg.eigvalsh(covariances).min() <= 0.05 * (1 + 1e-9)
        if floored or mixture.weights_.min() < 1e-200:
            return
    assert (np.diff(bounds) >= -1e-10 * np.abs(bounds).max()).all()


class Wide(Tied):
    """Breaks the contract of conditional variances."""

    def conditional(self, parameters, block, rows, columns):
        means, variances = super().conditional(parameters, block, rows, columns)
        return means, 2 * variances


class Shifted(Diagonal):
    """Breaks the contract of conditional means; its variances are predictive."""

    def conditional(self, parameters, block, rows, columns):
        means, variances = super().conditional(parameters, block, rows, columns)
        return means + 0.1, variances


class Half(Diagonal):
    """Without the methods that a family may leave out."""

    sample = Family.sample
    covariance = Family.covariance


@pytest.mark.slow
@pytest.mark.parametrize("family", [Wide(), Shifted()])
def test_a_broken_contract_is_named(family):
    with pytest.raises(AssertionError) as info:
        check_family(family)
    assert any("check_conditional_moments" in note for note in info.value.__notes__)


def make_table():
    X = np.random.default_rng(0).standard_normal((60, 4))
    X[::4, 1] = np.nan
    return X


@pytest.mark.parametrize("name", FAMILIES)
def test_a_name_is_a_shorthand(name):
    X = make_table()
    options = {"factor": {"n_factors": 10}}.get(name, {"reg_covar": 1e-6})
    by_name, by_object = (
        MaskedGaussianMixture(2, covariance_type=each, random_state=0).fit(X)
        for each in (name, FAMILIES[name](**options))
    )
    np.testing.assert_array_equal(by_object.transform(X), by_name.transform(X))
    assert by_object.lower_bounds_ == by_name.lower_bounds_


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_families_of_one_column_have_one_criterion(n_components):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 1)) + 6 * rng.integers(3, size=(300, 1))
    X[::7] = np.nan
    names = ["spherical", "diag", "full"] + ["tied"] * (n_components == 1)
    options = {"n_init": 1, "tol": 1e-12, "max_iter": 2000, "random_state": 0}
    found = [
        MaskedGaussianMixture(n_components, covariance_type=name, **options).fit(X)
        for name in names
    ]
    means, variances = found[0].means_[:, 0], found[0].covariances_
    log_joint = np.log(found[0].weights_) + norm.logpdf(X, means, np.sqrt(variances))
    log_density = np.nansum(logsumexp(log_joint, axis=1))
    expected = -2 * log_density + (3 * n_components - 1) * np.log(300)
    for mixture in found:
        assert mixture.bic(X) == pytest.approx(expected, rel=1e-9)


class TestUnits:
    """Without regularization, a column's unit changes nothing but itself."""

    @classmethod
    @cache
    def complete_plainly(cls, name, n_components):
        return cls.complete(correlated(400, 6, 3), name, n_components, np.ones(6))

    @staticmethod
    def complete(X, name, n_components, by):
        """Completions and errors, from the same start, in these units."""
        options = start(X, n_components, name)
        options["means_init"] = by * options["means_init"]
        units = by**2 if name == "diag" else np.outer(by, by)
        options["precisions_init"] = options["precisions_init"] / units
        mixture = MaskedGaussianMixture(**options, reg_covar=0, tol=0, max_iter=30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(by * X)
        values, std = mixture.complete(by * X, return_std=True)
        missing = np.isnan(X)
        return (values / by)[missing], (std / by)[missing]

    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    @pytest.mark.parametrize("n_components", [1, 3])
    @pytest.mark.parametrize("name", ["diag", "tied", "full"])
    def test_of_all_columns(self, name, n_components, scale):
        X = correlated(400, 6, 3)
        plain, plain_std = self.complete_plainly(name, n_components)
        values, std = self.complete(X, name, n_components, np.full(6, scale))
        assert np.abs((values - plain) / plain_std).max() < 1e-6
        np.testing.assert_allclose(std, plain_std, rtol=1e-6)

    # Eigenvalues of 1e24 beside 1 are refused as a start of 'tied' and 'full'.
    @pytest.mark.parametrize(
        ("name", "scale"),
        [
            *[("diag", scale) for scale in (1e-12, 1e-6, 1e6, 1e12)],
            *[(name, scale) for name in ("tied", "full") for scale in (1e-6, 1e6)],
        ],
    )
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_of_one_column(self, name, n_components, scale):
        X = correlated(400, 6, 3)
        plain, plain_std = self.complete_plainly(name, n_components)
        by = np.where(np.arange(6) == 2, scale, 1.0)
        values, std = self.complete(X, name, n_components, by)
        assert np.abs((values - plain) / plain_std).max() < 1e-6
        # Predictive variances of 'diag' are pooled in units that columns share.
        error = 0.01 if name == "diag" else 1e-6
        np.testing.assert_allclose(std, plain_std, rtol=error)

    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    @pytest.mark.parametrize("name", ["tied", "full"])
    def test_of_one_column_from_a_start_of_its_own(self, name, scale):
        X = correlated(400, 6, 3)
        by, found = np.where(np.arange(6) == 2, scale, 1.0), []
        for units in (np.ones(6), by):
            mixture = MaskedGaussianMixture(
                covariance_type=name, reg_covar=0, tol=1e-9, max_iter=500
            ).fit(units * X)
            found.append(mixture.complete(units * X, return_std=True) / units)
        np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_families_in_a_search():
    X = make_table()
    families = [Diagonal(reg_covar=0.1), Full(reg_covar=0.1), "spherical"]
    search = GridSearchCV(
        MaskedGaussianMixture(covariance_type="spherical"),
        {"covariance_type": families},
    )
    search.fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["covariance_type"] in families


def test_family_is_a_parameter():
    family = Full(reg_covar=0.5)
    mixture = MaskedGaussianMixture(covariance_type=family)
    assert mixture.get_params()["covariance_type"] is family
    assert clone(mixture).covariance_type == family


def test_options_belong_to_the_object():
    X = make_table()
    given, plain = (
        MaskedGaussianMixture(covariance_type=Full(), **options).fit(X)
        for options in ({"reg_covar": 0.5}, {})
    )
    np.testing.assert_array_equal(given.covariances_, plain.covariances_)


def test_missing_methods_are_named():
    X = make_table()
    mixture = MaskedGaussianMixture(covariance_type=Half()).fit(X)
    with pytest.raises(NotImplementedError, match="Half does not draw rows"):
        mixture.sample()
    with pytest.raises(NotImplementedError, match="Half has no covariance matrix"):
        mixture.get_covariance(0)
    check_family(Half())


def test_defaults_equal_overrides():
    """Full and Factor compute completions in their own ways: the same numbers."""
    X = make_table()
    X[3] = np.nan
    rows, columns = np.nonzero(np.isnan(X))
    for family in (Full(reg_covar=0.01), Factor(n_factors=2), Diagonal()):
        mixture = MaskedGaussianMixture(3, covariance_type=family, random_state=0)
        model = mixture.fit(X)._model
        (block,) = observe(X, columns=model.columns, **model.block_options)
        default = super(type(family), family)
        values = np.linspace(-1, 1, len(rows))
        for name, arguments in {
            "complete_entries": (rows, columns),
            "log_density_entries": (rows, columns, values),
            "cdf_entries": (rows, columns, values),
        }.items():
            options = {"with_variance": True} if "complete" in name else {}
            call = (model.parameters, block, *arguments)
            own = getattr(family, name)(*call, **options)
            plain = getattr(default, name)(*call, **options)
            np.testing.assert_allclose(own, plain, rtol=1e-12, atol=1e-13)
        own, plain = (
            [
                part[rows, columns]
                for part in each.complete_rows(
                    model.parameters, block, with_variance=True
                )
            ]
            for each in (family, default)
        )
        np.testing.assert_allclose(own, plain, rtol=1e-12, atol=1e-13)


def test_factor_scores():
    X = make_table()
    mixture = MaskedGaussianMixture(2, covariance_type="factor", n_factors=3).fit(X)
    factors = mixture.factor_scores(X)
    assert factors.shape == (60, 3)
    # One component completes linearly in the factors.
    single = MaskedGaussianMixture(1, covariance_type="factor", n_factors=3).fit(X)
    completed = single.factor_scores(X) @ single.components_ + single.intercept_
    missing = np.isnan(X)
    np.testing.assert_allclose(completed[missing], single.transform(X)[missing])
    with pytest.raises(ValueError, match="'full' has no latent factors"):
        MaskedGaussianMixture(covariance_type="full").fit(X).factor_scores(X)


def test_covariance_of_some_columns():
    X = make_table()
    for name in FAMILIES:
        mixture = MaskedGaussianMixture(2, covariance_type=name, random_state=0).fit(X)
        whole = mixture.get_covariance(1)
        part = mixture.get_covariance(1, columns=[2, 0])
        np.testing.assert_allclose(part, whole[np.ix_([2, 0], [2, 0])])
