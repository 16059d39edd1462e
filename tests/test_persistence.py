"""Saved estimators: their version in pickles, and what skops stores and trusts."""

import copy
import inspect
import io
import pickle
import re
import warnings
from importlib import import_module
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone

import sklearn_gmmcf
from sklearn_gmmcf import (
    InconsistentVersionWarning,
    KMeansMixture,
    MaskedGaussianMixture,
    MixtureImputer,
    _versions,
)
from sklearn_gmmcf.covariance import Full
from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
from sklearn_gmmcf.preprocessing import NormalScoreTransformer, RowNormalizer
from sklearn_gmmcf.ratings import RatingsEncoder
from sklearn_gmmcf.tables import TableEncoder

ROOT = Path(sklearn_gmmcf.__file__).parent
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 4)) + 5 * rng.integers(0, 2, size=(80, 1))
X[rng.random(X.shape) < 0.2] = np.nan
X_SPARSE = sparse.csr_array(np.nan_to_num(X))
TRIPLES = (["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5.0, 4.0, 2.0])


def make_mixture(covariance_type="full", **options):
    options = {"random_state": 0, "n_factors": 2} | options
    return MaskedGaussianMixture(2, covariance_type=covariance_type, **options)


# Fitted estimators, and a result of each.
CASES = {
    **{
        kind: lambda kind=kind: (make_mixture(kind).fit(X), complete)
        for kind in ("auto", "spherical", "diag", "tied", "full", "factor")
    },
    "family": lambda: (make_mixture(Full()).fit(X), complete),
    "Student": lambda: (make_mixture(degrees_of_freedom="auto").fit(X), complete),
    "priors": lambda: (make_mixture(covariance_precision_prior=2).fit(X), complete),
    "features": lambda: (
        make_mixture("factor", covariates=[0], column_features=np.eye(4)[:, :2]).fit(X),
        complete,
    ),
    "sparse": lambda: (
        make_mixture("factor").fit(X_SPARSE),
        lambda mixture: mixture.recommend(X_SPARSE, return_std=True),
    ),
    "batches": lambda: (
        make_mixture("factor").partial_fit(X[:40]).partial_fit(X[40:]),
        lambda mixture: mixture.partial_fit(X[:9]).transform(X),
    ),
    "random": lambda: (
        make_mixture(random_state=np.random.RandomState(3), warm_start=True).fit(X),
        lambda mixture: mixture.fit(X).sample(5)[0],
    ),
    "k-means": lambda: (
        KMeansMixture(2, random_state=0).fit(X),
        lambda kmeans: [complete(kmeans), kmeans.partial_fit(X[:9]).cluster_centers_],
    ),
    "imputer": lambda: (
        MixtureImputer(random_state=0).fit(X),
        lambda imputer: [imputer.transform(X), *imputer.predict_interval(X)],
    ),
    "table": lambda: (
        TableEncoder().fit(X),
        lambda encoder: [encoder.transform(X), encoder.decode(X)],
    ),
    "ratings": lambda: (
        RatingsEncoder().fit(TRIPLES),
        lambda encoder: encoder.encode(TRIPLES)[0].toarray(),
    ),
    "rows": lambda: (RowNormalizer().fit(X), lambda rows: rows.transform(X)),
    "scores": lambda: (NormalScoreTransformer().fit(X), lambda s: s.transform(X)),
    "entries": lambda: (
        EntryRegressor(make_mixture(), X.shape).fit(*to_entries(X)),
        lambda regressor: regressor.predict([[0, 1], [3, 2]]),
    ),
}


def complete(mixture):
    return [*mixture.complete(X, return_std=True), mixture.score_samples(X)]


@pytest.fixture(params=CASES)
def fitted(request):
    return CASES[request.param]()


def list_estimators():
    """All public estimators that any module of the package defines."""
    names = [
        ".".join(["sklearn_gmmcf", *path.relative_to(ROOT).with_suffix("").parts])
        for path in ROOT.rglob("*.py")
    ]
    classes = {
        value
        for name in names
        for value in vars(import_module(name.removesuffix(".__init__"))).values()
        if inspect.isclass(value) and value.__module__.startswith("sklearn_gmmcf")
    }
    return {
        each
        for each in classes
        if issubclass(each, BaseEstimator) and not each.__name__.startswith("Base")
    }


def save_with_joblib(estimator):
    joblib.dump(estimator, file := io.BytesIO())
    return file.getvalue()


SAVERS = {
    "pickle": (pickle.dumps, pickle.loads),
    "joblib": (save_with_joblib, lambda saved: joblib.load(io.BytesIO(saved))),
    "copy": (lambda estimator: estimator, copy.deepcopy),
}


def test_every_estimator_has_a_case():
    assert {type(make()[0]) for make in CASES.values()} == list_estimators()


@pytest.mark.parametrize("saver", SAVERS)
def test_results_stay_within_a_version(fitted, saver):
    estimator, use = fitted
    save, load = SAVERS[saver]
    before = dict(vars(estimator))
    with warnings.catch_warnings(action="error"):
        loaded = load(save(estimator))
        clone(loaded)
    assert vars(loaded).keys() == before.keys()
    assert all(vars(estimator)[name] is before[name] for name in before)
    np.testing.assert_equal(use(loaded), use(estimator))


@pytest.mark.parametrize("saver", ["pickle", "joblib"])
@pytest.mark.parametrize("case", ["full", "ratings", "imputer"])
def test_another_version_warns(case, saver, monkeypatch):
    estimator, use = CASES[case]()
    name = type(estimator).__name__
    save, load = SAVERS[saver]
    saved = save(estimator)
    current = sklearn_gmmcf.__version__
    monkeypatch.setattr(_versions, "__version__", "99.1")
    with pytest.warns(InconsistentVersionWarning) as caught:
        loaded = load(saved)
    found = {each.message.estimator_name: each.message for each in caught}
    assert found.keys() >= {name}
    assert found[name].original_version == current
    assert found[name].current_version == "99.1"
    words = rf"This {name} was saved by version {current} .* loaded by version 99\.1\."
    assert re.match(words, str(found[name]))
    assert {each.filename for each in caught} == {__file__}
    np.testing.assert_equal(use(loaded), use(estimator))
    with warnings.catch_warnings(action="error"):
        load(save(loaded))  # it now is of the new version


def test_without_a_version_warns():
    estimator = RowNormalizer().fit(X)
    state = estimator.__getstate__()
    assert state.pop("_sklearn_gmmcf_version") == sklearn_gmmcf.__version__
    loaded = RowNormalizer.__new__(RowNormalizer)
    with pytest.warns(InconsistentVersionWarning, match="by an unknown version") as c:
        loaded.__setstate__(state)
    assert c[0].message.original_version is None
    assert vars(loaded).keys() == vars(estimator).keys()


def test_an_estimator_without_state():
    class Plain(_versions.VersionedState, BaseEstimator):
        pass

    assert vars(copy.deepcopy(Plain())) == {}


def test_the_warning_can_be_pickled():
    warning = InconsistentVersionWarning("KMeansMixture", "2.0", None)
    assert str(pickle.loads(pickle.dumps(warning))) == str(warning)
    assert not issubclass(InconsistentVersionWarning, sklearn_gmmcf.DataWarning)
