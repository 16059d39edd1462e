# SPDX-License-Identifier: BSD-3-Clause
"""Saved estimators: their version in pickles, and what skops stores and trusts."""

import copy
import inspect
import io
import os
import pickle
import re
import warnings
from importlib import import_module
from pathlib import Path

import joblib
import narwhals.stable.v2 as nw
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from threadpoolctl import threadpool_limits

import sklearn_gmmcf
from sklearn_gmmcf import (
    InconsistentVersionWarning,
    KMeansMixture,
    MaskedGaussianMixture,
    MixtureImputer,
    MixtureRecommender,
    _versions,
)
from sklearn_gmmcf._table_templates import pack_frame
from sklearn_gmmcf.baselines import (
    DampedMeanRecommender,
    PopularityRecommender,
    RandomRecommender,
)
from sklearn_gmmcf.covariance import Factor, Full, Priors
from sklearn_gmmcf.model_selection import EntryRegressor, to_entries
from sklearn_gmmcf.persistence import TRUSTED_TYPES
from sklearn_gmmcf.preprocessing import NormalScoreTransformer, RowNormalizer
from sklearn_gmmcf.ratings import RatingsEncoder
from sklearn_gmmcf.tables import TableEncoder

try:
    import pyarrow as pa
except ImportError:  # not installed, or for later numpy
    pa = None

ROOT = Path(sklearn_gmmcf.__file__).parent
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 4)) + 5 * rng.integers(0, 2, size=(80, 1))
X[rng.random(X.shape) < 0.2] = np.nan
X_SPARSE = sparse.csr_array(np.nan_to_num(X))
COMMON = ["float", "int", "bool", "text", "category", "date", "duration"]
TRIPLES = (["ann", "ann", "bob"], ["Alien", "Brazil", "Alien"], [5.0, 4.0, 2.0])


def make_mixture(covariance_type="full", **options):
    options = {"n_components": 2, "random_state": 0, "n_factors": 2} | options
    return MaskedGaussianMixture(covariance_type=covariance_type, **options)


def make_frame():
    """Columns of each kind and of many dtypes, each with a missing entry."""
    pd = pytest.importorskip("pandas")
    n = len(X)
    days, flags = pd.date_range("2020-01-01", periods=n), np.arange(n) % 2 == 0
    moments = days.to_pydatetime()
    columns = {
        "float": X[:, 0],
        "float32": X[:, 1].astype(np.float32),
        "int": np.arange(n) % 7,
        "Int8": pd.array(np.arange(n) % 7, dtype="Int8"),
        "bool": flags,
        "boolean": pd.array(flags, dtype="boolean"),
        "text": np.where(flags, "yes", "no"),
        "string": pd.array(np.where(flags, "yes", "no"), dtype="string"),
        "category": pd.Categorical(np.where(flags, "b", "a"), ["b", "a", "never"]),
        "ordered": pd.Categorical(np.arange(n) % 3, ordered=True),
        "date": days,
        "zone": days.tz_localize("Europe/Oslo"),
        "duration": days - days[0],
        "sparse": pd.arrays.SparseArray(flags.astype(float), fill_value=0.0),
        "empty": np.full(n, np.nan),
    }
    objects = {
        "days": [moment.date() for moment in moments],
        "moments": list(moments),
        "times": list(moments - moments[0]),
        "floats": [float(j) for j in range(n)],
    }
    for name, values in objects.items():
        columns[name] = pd.Series(values, dtype=object)
    frame = pd.DataFrame(columns).rename_axis(columns="measured")
    return frame.where(np.arange(n)[:, None] != np.arange(frame.shape[1]) + 5)


def make_common_frame(library):
    """A frame with the dtypes that the libraries share."""
    if pa is None:
        pytest.skip("pyarrow is not there, or cannot be used")
    pytest.importorskip(library)
    table = pa.Table.from_pandas(make_frame()[COMMON], preserve_index=False)
    return nw.from_arrow(table, backend=library).to_native()


def encode_table(frame):
    """An encoder of a frame, and what it makes of the frame, and back."""
    encoder = TableEncoder(handle_unknown="missing").fit(frame)

    def use(encoder):
        Z = encoder.transform(frame)
        return [Z, encoder.decode(Z)]

    return encoder, use


def encode_names():
    """An encoder of a frame with a column of text that never repeats."""
    pd = pytest.importorskip("pandas")
    names = [f"row {i}" for i in range(len(X))]
    frame = pd.DataFrame({"x": X[:, 0], "name": names})
    encoder = TableEncoder(passthrough=True).fit(frame)
    return encoder, lambda e: [e.transform(frame), e.decode(e.transform(frame), frame)]


def impute_frame(frame):
    member = [("normal", MaskedGaussianMixture(covariance_type="full"))]
    imputer = MixtureImputer(member, random_state=0).fit(frame)
    return imputer, lambda imputer: [imputer.transform(frame)]


# Fitted estimators, and a result of each.
CASES = {
    **{
        kind: lambda kind=kind: (make_mixture(kind).fit(X), complete)
        for kind in ("auto", "spherical", "diag", "tied", "full", "factor")
    },
    "family": lambda: (make_mixture(Full()).fit(X), complete),
    "Student": lambda: (make_mixture(degrees_of_freedom="auto").fit(X), complete),
    "Priors": lambda: (make_mixture(Factor(2, priors=Priors())).fit(X), complete),
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
    "titles": lambda: (
        RatingsEncoder(item_titles={"Alien": "Alien (1979)"}).fit(TRIPLES),
        lambda encoder: [*encoder.decode(["ann"], [0], [4.5]), encoder.item_titles_],
    ),
    "features of ratings": lambda: fit_features(),
    "rows": lambda: (RowNormalizer().fit(X), lambda rows: rows.transform(X)),
    "scores": lambda: (NormalScoreTransformer().fit(X), lambda s: s.transform(X)),
    "utility": lambda: (
        make_mixture("factor").fit(X),
        lambda mixture: mixture.recommend(X, rank_by="utility"),
    ),
    "recommender": lambda: (
        MixtureRecommender(1, n_factors=1, item_titles={"Alien": "A"}).fit(TRIPLES),
        lambda r: [*r.update(TRIPLES).recommend(["eve"]), *r.similar_items("Alien")],
    ),
    "popularity": lambda: (PopularityRecommender().fit(X), lambda r: r.recommend(X)),
    "damped": lambda: (DampedMeanRecommender().fit(X), lambda r: r.recommend(X)),
    "random items": lambda: (RandomRecommender().fit(X), lambda r: r.recommend(X)),
    "entries": lambda: (
        EntryRegressor(make_mixture(), X.shape).fit(*to_entries(X)),
        lambda regressor: regressor.predict([[0, 1], [3, 2]]),
    ),
}

FRAME_CASES = {
    "pandas": lambda: encode_table(make_frame()),
    "polars": lambda: encode_table(make_common_frame("polars")),
    "pyarrow": lambda: encode_table(make_common_frame("pyarrow")),
    "passthrough": lambda: encode_names(),
    "ratings in a frame": lambda: encode_ratings(),
    "imputer of frames": lambda: impute_frame(make_frame()[COMMON]),
}
ALL_CASES = CASES | FRAME_CASES


def encode_ratings():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    columns = zip(("user", "item", "rating"), TRIPLES, strict=True)
    encoder = RatingsEncoder().fit(pd.DataFrame(dict(columns)))
    return encoder, lambda fitted: fitted.decode(["ann"], [0], [4.5])


def fit_features():
    """Its tables of features stay, also where its parameters do not."""
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    features = {"user": ["ann", "bob"], "age": [20, 40], "job": ["cook", "tailor"]}
    encoder = RatingsEncoder(user_features=pd.DataFrame(features)).fit(TRIPLES)
    encoder.set_params(user_features=None)
    return encoder, lambda fitted: fitted.encode(TRIPLES)[0].toarray()


def fit_for_pickle(pd, case):
    """Estimators that skops cannot save, in the order of the guide."""
    ratings = TRIPLES[2]
    moments = [pd.Timestamp("2020"), pd.Timestamp("2021")]
    if case == "ids":
        return RatingsEncoder().fit(([*moments, moments[0]], [1, 2, 3], ratings))
    if case == "titles":
        return RatingsEncoder(item_titles=pd.Series({"Alien": "A"})).fit(TRIPLES)
    if case == "features":
        frame = pd.DataFrame({"user": ["ann", "bob"], "age": [20, 40]})
        return RatingsEncoder(user_features=frame).fit(TRIPLES)
    frame = pd.DataFrame({"x": np.arange(6.0), "y": np.arange(6.0)})
    if case == "dates":
        frame["y"] = pd.Categorical(3 * moments)
    elif case == "intervals":
        frame["y"] = pd.cut(frame["y"], 2)
    elif case == "name":
        frame.columns = moments
    else:
        frame["y"] = pd.Categorical(["a", "b"] * 3)
        frame.columns = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    return TableEncoder().fit(frame)


def complete(mixture):
    return [*mixture.complete(X, return_std=True), mixture.score_samples(X)]


@pytest.fixture(scope="module", params=ALL_CASES)
def fitted(request):
    return ALL_CASES[request.param]()


def assert_same(results, expected):
    """Numbers bit by bit; tables with their library, names and dtypes."""
    if isinstance(expected, (list, tuple)):
        for each in zip(results, expected, strict=True):
            assert_same(*each)
    elif hasattr(expected, "columns"):
        assert type(results) is type(expected)
        if hasattr(expected, "dtypes"):
            assert list(results.dtypes) == list(expected.dtypes)
        else:
            assert results.schema.equals(expected.schema, check_metadata=True)
        if hasattr(expected.columns, "names"):
            assert results.columns.names == expected.columns.names
        assert results.equals(expected)
    else:
        np.testing.assert_array_equal(results, expected, strict=True)


@pytest.mark.skipif(
    (os.cpu_count() or 1) == 1, reason="BLAS has one thread on one processor"
)
@pytest.mark.parametrize("d", [33, 150])
def test_threads_of_blas_change_no_bit(d):
    # What is made of parameters where they are loaded is rounded as in fit.
    rng = np.random.default_rng(d)
    Z = rng.standard_normal((3 * d, d)) @ rng.standard_normal((d, d))
    with threadpool_limits(2, user_api="blas"):
        mixture = make_mixture(n_components=1).fit(Z)
        loaded = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(loaded.score_samples(Z), mixture.score_samples(Z))


def list_estimators():
    """All public estimators that any module of the package defines."""
    names = [
        ".".join(["sklearn_gmmcf", *path.relative_to(ROOT).with_suffix("").parts])
        for path in ROOT.rglob("*.py")
        # These need numba and streamlit.
        if path.name != "_compiled.py" and path.parent != ROOT / "app"
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
    assert_same(use(loaded), use(estimator))


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
    assert_same(use(loaded), use(estimator))
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


class TestSkops:
    @pytest.fixture
    def skops(self):
        return pytest.importorskip("skops.io")

    def test_results_stay(self, skops, fitted):
        estimator, use = fitted
        saved = skops.dumps(estimator)
        untrusted = set(skops.get_untrusted_types(data=saved))
        assert f"{type(estimator).__module__}.{type(estimator).__name__}" in untrusted
        assert untrusted <= set(TRUSTED_TYPES)
        loaded = skops.loads(saved, trusted=TRUSTED_TYPES)
        assert vars(loaded).keys() == vars(estimator).keys()
        assert_same(use(loaded), use(estimator))

    @pytest.mark.slow
    def test_no_other_type_is_trusted(self, skops):
        needed = set()
        for make in ALL_CASES.values():
            needed |= set(skops.get_untrusted_types(data=skops.dumps(make()[0])))
        assert needed == set(TRUSTED_TYPES)
        assert sorted(TRUSTED_TYPES) == TRUSTED_TYPES

    @pytest.mark.parametrize(
        "case",
        ["dates", "intervals", "name", "levels", "ids", "titles", "features"],
    )
    def test_refused_estimators_are_in_the_guide(self, skops, case):
        pd = pytest.importorskip("pandas", exc_type=ImportError)
        estimator = fit_for_pickle(pd, case)
        loaded = pickle.loads(pickle.dumps(estimator))
        assert vars(loaded).keys() == vars(estimator).keys()
        with pytest.raises((TypeError, ValueError)):  # of dumps, and of loads
            skops.loads(skops.dumps(estimator), trusted=TRUSTED_TYPES)

    def test_another_version_warns(self, skops, monkeypatch):
        saved = skops.dumps(RowNormalizer().fit(X))
        monkeypatch.setattr(_versions, "__version__", "99.1")
        with pytest.warns(InconsistentVersionWarning) as caught:
            skops.loads(saved, trusted=TRUSTED_TYPES)
        assert [each.filename for each in caught] == [__file__]


@pytest.mark.parametrize("names", [[("a",), ("b",)], [("a", "x"), ("a", "y")]])
def test_names_of_several_levels(names):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[:, :2], columns=pd.MultiIndex.from_tuples(names))
    loaded = pickle.loads(pickle.dumps(TableEncoder().fit(frame)))
    decoded = loaded.decode(X[:, :2])
    assert decoded.columns.identical(frame.columns)
    assert decoded.equals(frame)


def test_types_that_plain_values_do_not_restore_stay():
    """A schema of pyarrow forgets extension types that are not registered."""
    if pa is None:
        pytest.skip("pyarrow is not there, or cannot be used")

    class Unknown(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.int64(), "sklearn_gmmcf.unknown")

        def __arrow_ext_serialize__(self):
            return b""

    unknown, storage = Unknown(), pa.array([], pa.int64())
    native = pa.table({"x": pa.ExtensionArray.from_storage(unknown, storage)})
    frame = nw.from_native(native, eager_only=True)
    assert pack_frame(frame) is frame
    assert isinstance(pack_frame(nw.from_native(pa.table({"x": storage}))), dict)
