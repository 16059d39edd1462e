# SPDX-License-Identifier: BSD-3-Clause
"""One search over covariance types and numbers of components, against plain loops."""

import itertools
from functools import lru_cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance import Diagonal, Factor
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import (
    aic_scorer,
    all_rows,
    bic_scorer,
    cross_validate_entries,
    icl_scorer,
    select_mixture,
)
from tests.made import clusters, correlated, to_sparse
from tests.optional import pd

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn_gmmcf.DataWarning",
)
KINDS = ("full", "tied", "diag")


@lru_cache
def fit_shared_grid(make):
    """A table, and a grid of fits to it, which the tests of several criteria share."""
    seeds = np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=3)
    X = make(150, 4)
    return X, fit_grid(X, KINDS, range(1, 5), seeds.tolist())


def fit_grid(X, kinds, sizes, seeds, **params):
    """Every candidate from every start, to convergence; every second is whitened."""
    return [
        MaskedGaussianMixture(
            size,
            covariance_type=kind,
            n_init=1,
            init_params=("kmeans", "whitened")[number % 2],
            random_state=seed,
            **params,
        ).fit(X)
        for kind, size, (number, seed) in itertools.product(
            kinds, sizes, enumerate(seeds)
        )
    ]


def name(mixture):
    return mixture.covariance_type, mixture.n_components, mixture.random_state


@pytest.mark.parametrize(
    "criterion",
    [
        "bic",
        "aic",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("icl", "caic", "sabic")
        ),
    ],
)
@pytest.mark.parametrize("make", [clusters, correlated])
def test_chooses_as_a_plain_grid_does(make, criterion):
    X, grid = fit_shared_grid(make)
    selected = select_mixture(
        X,
        n_components=range(1, 5),
        covariance_type=KINDS,
        criterion=criterion,
        random_state=0,
    )
    values = [getattr(mixture, criterion)(X) for mixture in grid]
    best = grid[int(np.argmin(values))]
    assert name(selected.best_estimator_) == name(best)
    assert getattr(selected.best_estimator_, criterion)(X) == min(values)
    # A candidate that left has a value that convergence would not lift above the best.
    by_name = dict(zip(map(name, grid), values, strict=True))
    table = pd.DataFrame(selected.table)
    for line in table.itertuples():
        full = by_name[line.covariance_type, line.n_components, line.random_state]
        if line.dropped:
            assert not line.converged
            assert full > min(values)
        else:
            assert getattr(line, criterion) == pytest.approx(full, abs=1e-6)
    assert table.n_iter.sum() < sum(mixture.n_iter_ for mixture in grid)


def test_degenerate_fits_are_not_chosen():
    # Twelve equal rows: a component of theirs has no variance, and any likelihood.
    X = np.vstack([clusters(60, 3, missing=0), np.full((12, 3), 4.0)])
    options = {"n_components": range(1, 5), "covariance_type": ["diag"]}
    selected = select_mixture(X, random_state=0, **options)
    table = selected.table
    assert table["degenerate"].any()
    assert not table["degenerate"][selected.best_index_]
    assert table["bic"].argmin() in np.flatnonzero(table["degenerate"])
    # Where there is no other, one of them is chosen.
    equal = np.repeat([[0.0, 1.0], [5.0, 3.0]], 20, axis=0)
    selected = select_mixture(equal, n_components=[2], covariance_type=["diag"])
    assert selected.table["degenerate"].all()


@pytest.mark.parametrize("kind", ["coo", "lil", "dok", "csc"])
@pytest.mark.parametrize("criterion", ["bic", "score", "entries"])
def test_sparse_formats(kind, criterion):
    X = to_sparse(clusters(60, 4))
    options = {"n_components": [1, 2], "covariance_type": "diag", "cv": 2}
    options |= {"criterion": criterion, "random_state": 0}
    found = select_mixture(X.asformat(kind), **options).table
    expected = select_mixture(X, **options).table
    name = {"entries": "log_density"}.get(criterion, criterion)
    np.testing.assert_allclose(found[name], expected[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_size": "foo"}, "sample_size should be one of"),
        ({"covariance_type": ["auto", "diag"]}, "families, but got 'auto'"),
        (
            {
                "estimator": MaskedGaussianMixture(labels_init=[0] * 60),
                "criterion": "score",
            },
            "labels_init has a label for each row",
        ),
        (
            {"estimator": MaskedGaussianMixture(means_init=np.ones((2, 4)))},
            "means_init suits one number of components",
        ),
    ],
)
def test_options_that_suit_no_search(options, message):
    with pytest.raises(ValueError, match=message):
        select_mixture(clusters(60, 4), n_components=[1, 2], **options)


def test_all_that_stayed_fail():
    X = clusters(80, 3, missing=0, spread=9)
    cv = [(np.arange(0, 80, 2), np.arange(1, 80, 2)), ([0, 79], np.arange(1, 79))]
    options = {"covariance_type": "diag", "criterion": "score", "cv": cv}
    # One component leaves after the first fold; the second has two rows alone.
    with (
        pytest.warns(FitFailedWarning, match="1 of 2"),
        pytest.raises(ValueError, match="candidates that stayed"),
    ):
        select_mixture(X, n_components=[1, 3], **options)


def test_exhaustive_search_takes_all_to_convergence():
    X = clusters(120, 4)
    options = {
        "n_components": [1, 3, 5],
        "covariance_type": ["diag"],
        "n_init": 2,
        "random_state": 3,
    }
    selected = select_mixture(X, exhaustive=True, **options)
    table = selected.table
    assert not table["dropped"].any()
    seeds = np.random.RandomState(3).randint(np.iinfo(np.int32).max, size=2)
    assert table["n_components"].tolist() == [1, 3, 3, 5, 5]
    assert table["random_state"].tolist() == [*seeds[:1], *seeds, *seeds]
    for index in range(5):
        mixture = MaskedGaussianMixture(
            table["n_components"][index],
            covariance_type="diag",
            n_init=1,
            init_params=("kmeans", "whitened")[index > 0 and index % 2 == 0],
            random_state=table["random_state"][index],
        ).fit(X)
        assert table["bic"][index] == pytest.approx(mixture.bic(X))
        assert table["n_iter"][index] == mixture.n_iter_
        assert table["converged"][index]
        log_likelihood = mixture.score_samples(X).sum()
        assert table["log_likelihood"][index] == pytest.approx(log_likelihood)
        # K - 1 weights, K means and K variances in each of 4 columns.
        expected = table["n_components"][index] * 9 - 1
        assert table["n_parameters"][index] == expected
    assert (table["seconds"] > 0).all()


def test_best_estimator_is_what_its_parameters_fit():
    X = clusters(100, 4)
    base = MaskedGaussianMixture(
        covariance_type="spherical", tol=1e-4, reg_covar=1e-3, mean_precision_prior=1.0
    )
    before = base.get_params()
    selected = select_mixture(
        X,
        estimator=base,
        n_components=[2, 3],
        covariance_type="diag",
        random_state=np.random.RandomState(0),
    )
    assert base.get_params() == before
    again = clone(base).set_params(**selected.best_params_).fit(X)
    best = selected.best_estimator_
    assert best.get_params() == again.get_params()
    np.testing.assert_array_equal(best.means_, again.means_)
    assert best.lower_bounds_ == again.lower_bounds_
    assert not best.warm_start
    assert best.max_iter == base.max_iter
    value = selected.table["bic"][selected.best_index_]
    assert best.bic(X) == pytest.approx(value)
    assert repr(selected) == (
        f"SelectedMixture('diag', n_components={best.n_components}, "
        f"bic={value:.6g}, best of 6)"
    )


def test_iris_as_mclust():
    # mclust's BIC, of the opposite sign, of VVV,2 is -574.018.
    X = load_iris().data
    selected = select_mixture(
        X, n_components=range(1, 6), covariance_type=KINDS, random_state=0
    )
    assert (
        selected.best_params_["covariance_type"],
        selected.best_params_["n_components"],
    ) == ("full", 2)
    value = selected.table["bic"][selected.best_index_]
    assert value == pytest.approx(574.018, abs=0.05)
    other = GaussianMixture(2, covariance_type="full", n_init=5, random_state=0)
    assert value == pytest.approx(other.fit(X).bic(X), abs=0.05)


@pytest.mark.slow
def test_held_out_rows_as_cross_val_score():
    X = clusters(150, 4)
    selected = select_mixture(
        X,
        n_components=range(1, 5),
        covariance_type=["diag", "tied"],
        criterion="score",
        cv=4,
        n_init=2,
        random_state=0,
    )
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=2)[0])
    table = selected.table
    means = []
    for line in pd.DataFrame(table).itertuples():
        mixture = MaskedGaussianMixture(
            line.n_components,
            covariance_type=line.covariance_type,
            n_init=2,
            random_state=seed,
        )
        scores = cross_val_score(mixture, X, cv=KFold(4, shuffle=True, random_state=0))
        means.append(scores.mean())
        assert line.score == pytest.approx(scores[: line.n_folds].mean())
        if not line.dropped:
            assert line.n_folds == 4
            expected = scores.std(ddof=1) / 2
            assert line.standard_error == pytest.approx(expected)
    assert table["dropped"].any()
    assert selected.greater_is_better
    assert selected.best_index_ == np.argmax(means)
    assert selected.best_params_["n_init"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "make"),
    [("log_density", np.asarray), ("rmse", to_sparse), ("mae", np.asarray)],
)
def test_held_out_entries_as_cross_validate_entries(metric, make):
    X = make(correlated(60, 4))
    selected = select_mixture(
        X,
        n_components=[1, 2],
        covariance_type=["diag", "factor"],
        criterion="entries",
        metric=metric,
        cv=3,
        n_init=2,
        exhaustive=True,
        random_state=0,
    )
    means = []
    for line in pd.DataFrame(selected.table).itertuples():
        mixture = MaskedGaussianMixture(
            line.n_components,
            covariance_type=line.covariance_type,
            n_init=2,
            random_state=line.random_state,
        )
        scores = cross_validate_entries(mixture, X, cv=3, scoring=metric)["test_score"]
        means.append(scores.mean())
        sign = 1 if metric == "log_density" else -1
        assert getattr(line, metric) == pytest.approx(sign * scores.mean())
        assert line.standard_error == pytest.approx(scores.std(ddof=1) / np.sqrt(3))
    assert selected.best_index_ == np.argmax(means)
    assert selected.greater_is_better == (metric == "log_density")
    assert selected.criterion == metric


def test_candidates_that_are_surely_worse_leave_after_a_fold():
    X = make_ratings(200, 30, n_factors=0, density=0.5, random_state=0).data
    options = {
        "n_components": [1, 2, 4, 5],
        "covariance_type": "spherical",
        "criterion": "entries",
        "metric": "rmse",
        "random_state": 0,
    }
    raced = select_mixture(X, **options)
    full = select_mixture(X, exhaustive=True, **options)
    assert raced.best_params_ == full.best_params_
    assert raced.best_params_["n_components"] == 4
    assert raced.table["n_folds"].tolist()[:2] == [1, 1]
    assert raced.table["n_folds"][2] == 5
    assert (full.table["n_folds"] == 5).all()
    # The errors of the first fold alone.
    first = cross_validate_entries(
        MaskedGaussianMixture(1, covariance_type="spherical", n_init=3, random_state=0),
        X,
    )["test_score"][0]
    assert raced.table["rmse"][0] == pytest.approx(-first)


def test_covariates_are_no_entries():
    X = correlated(100, 5, missing=0.1)
    selected = select_mixture(
        X,
        estimator=MaskedGaussianMixture(
            covariance_type="spherical", covariates=[4], n_factors=2
        ),
        n_components=[1, 2],
        covariance_type="factor",
        criterion="entries",
        cv=3,
        random_state=0,
    )
    line = selected.table["n_components"].tolist().index(1)
    mixture = MaskedGaussianMixture(
        1, covariance_type="factor", covariates=[4], n_factors=2
    )
    scores = cross_validate_entries(mixture, X, cv=3, scoring="log_density")
    n_folds = selected.table["n_folds"][line]
    expected = scores["test_score"][:n_folds].mean()
    assert selected.table["log_density"][line] == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("factor", ["factor", Factor(n_factors=2)])
def test_bounds_are_not_compared_with_densities(factor):
    X = correlated(60, 4)
    options = {
        "n_components": 1,
        "estimator": MaskedGaussianMixture(covariance_type="spherical"),
        "n_init": 1,
    }
    for criterion in ("bic", "score"):
        with pytest.warns(UserWarning, match="lower bound"):
            select_mixture(
                X, covariance_type=[factor, "diag"], criterion=criterion, **options
            )
    select_mixture(X, covariance_type=factor, criterion="bic", **options)
    select_mixture(X, covariance_type=[factor, "diag"], criterion="entries", **options)


def test_families_and_one_start_where_starts_are_equal():
    X = correlated(80, 4)
    family = Diagonal()
    selected = select_mixture(
        X, n_components=[2], covariance_type=[family, "diag"], random_state=0
    )
    assert selected.table["covariance_type"].tolist() == [family] * 3 + ["diag"] * 3
    np.testing.assert_allclose(selected.table["bic"][:3], selected.table["bic"][3:])
    selected = select_mixture(
        X, n_components=[1, 2], covariance_type="factor", random_state=0
    )
    assert selected.table["n_components"].tolist() == [1, 2]


def test_sample_size_of_entries():
    X = clusters(120, 4, missing=0.5)
    selected = select_mixture(
        X,
        n_components=[2, 3],
        covariance_type="diag",
        sample_size="entries",
        exhaustive=True,
        random_state=0,
    )
    table = selected.table
    n = (~np.isnan(X)).sum() / X.shape[1]
    expected = -2 * table["log_likelihood"] + table["n_parameters"] * np.log(n)
    np.testing.assert_allclose(table["bic"], expected)


def test_fits_that_fail_are_left_out():
    X = clusters(20, 3)
    options = {"covariance_type": "diag", "random_state": 0, "n_init": 1}
    with pytest.warns(FitFailedWarning, match=r"1 of 2 fits failed.*n_components=21"):
        selected = select_mixture(X, n_components=[2, 21], **options)
    assert selected.best_params_["n_components"] == 2
    assert np.isnan(selected.table["bic"][1])
    assert np.isnan(selected.table["log_likelihood"][1])
    with pytest.warns(FitFailedWarning, match="1 of 2"):
        held_out = select_mixture(
            X, n_components=[2, 18], criterion="score", cv=5, **options
        )
    assert np.isnan(held_out.table["score"][1])
    assert held_out.table["n_folds"].tolist() == [5, 0]
    with pytest.raises(ValueError, match=r"All 1 fits failed.*n_components=21"):
        select_mixture(X, n_components=21, **options)


def test_warnings_are_those_of_the_chosen_fit():
    X = clusters(100, 4)
    base = MaskedGaussianMixture(covariance_type="spherical", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="max_iter=2") as caught:
        select_mixture(
            X,
            estimator=base,
            n_components=[2, 3],
            covariance_type="diag",
            random_state=0,
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_workers_and_messages(capsys):
    X = clusters(80, 3)
    options = {
        "n_components": [1, 2, 3],
        "covariance_type": ["diag", "tied"],
        "random_state": 0,
    }
    alone = select_mixture(X, **options)
    assert capsys.readouterr().out == ""
    shared = select_mixture(X, n_jobs=2, verbose=1, **options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Round 1: 14 runs."
    assert alone.best_params_ == shared.best_params_
    for key, values in alone.table.items():
        if key != "seconds":
            np.testing.assert_array_equal(values, shared.table[key])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"criterion": "bics"}, ValueError, r"criterion should be one of .*'bics'"),
        ({"criterion": None}, ValueError, "criterion should be one of"),
        ({"metric": "mse"}, ValueError, "metric should be one of"),
        ({"n_components": []}, ValueError, "at least one number"),
        ({"n_components": [0, 1]}, ValueError, "n_components should be an integer"),
        ({"covariance_type": []}, ValueError, "at least one type"),
        ({"covariance_type": "ful"}, ValueError, "covariance_type"),
        ({"n_init": 0}, ValueError, "n_init should be an integer"),
        ({"sample_size": "cells"}, ValueError, "sample_size should be one of"),
        (
            {
                "estimator": make_pipeline(
                    StandardScaler(), MaskedGaussianMixture(covariance_type="spherical")
                )
            },
            TypeError,
            r"all_rows\(\)",
        ),
    ],
)
def test_invalid_options(options, error, message):
    with pytest.raises(error, match=message):
        select_mixture(
            clusters(30, 3), **{"covariance_type": "diag", "n_components": 1} | options
        )


@pytest.mark.parametrize(
    ("scorer", "criterion"),
    [(bic_scorer, "bic"), (aic_scorer, "aic"), (icl_scorer, "icl")],
)
def test_criteria_in_a_grid_search(scorer, criterion):
    X = clusters(150, 4)
    pipeline = make_pipeline(
        StandardScaler(), MaskedGaussianMixture(covariance_type="diag", n_init=1)
    )
    grid = {
        "maskedgaussianmixture__n_components": [1, 2, 3],
        "maskedgaussianmixture__random_state": [0, 1],
    }
    search = GridSearchCV(
        pipeline,
        grid,
        scoring={"value": scorer, "likelihood": lambda m, X, y=None: m.score(X)},
        refit="value",
        cv=all_rows(),
    ).fit(X)
    assert search.n_splits_ == 1
    Z = (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)
    fits = fit_grid(Z, ["diag"], [1, 2, 3], [0, 1])  # whitens no start
    values = np.array([getattr(mixture, criterion)(Z) for mixture in fits])
    results = search.cv_results_
    np.testing.assert_allclose(results["mean_test_value"], -values)
    likelihoods = [mixture.score(Z) for mixture in fits]
    np.testing.assert_allclose(results["mean_test_likelihood"], likelihoods)
    assert search.best_index_ == values.argmin()


def test_all_rows_is_one_split():
    X = to_sparse(clusters(7, 3))
    ((train, test),) = all_rows().split(X)
    assert train.tolist() == test.tolist() == list(range(7))
    assert all_rows().get_n_splits() == 1
