"""Data in files and scikit-learn's bound on working memory."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.data import _rule
from tests.made import clusters, estimators, to_sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = estimators(max_iter=2, random_state=0)


def in_file(X, folder, fill=np.nan):
    """The same data, dense or CSR, mapped from files that cannot be written to."""

    def mapped(name, array):
        np.save(folder / name, array)
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    if not sparse.issparse(X):
        return mapped("X", np.where(np.isnan(X), fill, X))
    parts = [mapped(name, getattr(X, name)) for name in ("data", "indices", "indptr")]
    csr = sparse.csr_array(X.shape, dtype=X.dtype)
    csr.data, csr.indices, csr.indptr = parts
    return csr


def peak(call, *args):
    tracemalloc.start()
    call(*args)
    reached = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return reached


@pytest.mark.parametrize("fill", [np.nan, -99.0])
@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:45])
def test_mapped_data_give_the_same_numbers(estimator, make, fill, tmp_path):
    X = clusters(300, 6)
    mapped = in_file(make(X), tmp_path, fill)
    given = make(X)
    if make is np.array:
        estimator = clone(estimator).set_params(missing_values=fill)
        given = np.where(np.isnan(X), fill, X)
    expected = clone(estimator).fit(given)
    found = clone(estimator).fit(mapped)
    np.testing.assert_array_equal(found.means_, expected.means_)
    for name in ("predict_proba", "score_samples", "transform"):
        np.testing.assert_array_equal(
            getattr(found, name)(mapped), getattr(expected, name)(given)
        )


@pytest.mark.parametrize("n_observed", [0, 2])
def test_mapped_data_are_looked_at_in_pieces(n_observed, tmp_path, monkeypatch):
    monkeypatch.setattr(_rule, "_READ_BYTES", 8 * 6 * 50)
    X = clusters(300, 6, missing=0.0)
    X[:50, n_observed:] = np.nan  # only in the first piece
    expected = MaskedGaussianMixture(
        2, covariance_type="spherical", random_state=0
    ).fit(X)
    found = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        in_file(X, tmp_path)
    )
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_mapped_data_with_a_column_unknown_at_fit(make, tmp_path):
    X = clusters(300, 6)
    hidden = X.copy()
    hidden[:, 2] = np.nan
    for estimator in ESTIMATORS:
        with pytest.warns(UnobservedColumnsWarning):
            found = clone(estimator).fit(in_file(make(hidden), tmp_path))
        np.testing.assert_allclose(
            found.score_samples(in_file(make(X), tmp_path)),
            found.score_samples(make(hidden)),
        )


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_mapped_data_are_checked(make, tmp_path):
    X = clusters(300, 6)
    X[-1, 0] = 1e150
    for missing_values, Y, match in [
        (-99.0, clusters(300, 6, missing=0.0), "no observed entry"),
        (-99.0, clusters(300, 6), "contains NaN"),
        (np.nan, X, "overflow"),
    ]:
        if match == "no observed entry":
            Y[:] = -99.0
        given = in_file(make(Y), tmp_path)
        if match == "contains NaN" and make is to_sparse:
            given = in_file(sparse.csr_array(np.where(Y == 0, 1, Y)), tmp_path)
        with pytest.raises(ValueError, match=match):
            MaskedGaussianMixture(
                covariance_type="spherical", missing_values=missing_values
            ).fit(given)


@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize(
    "estimator",
    [
        MaskedGaussianMixture(2, covariance_type="spherical", max_iter=2),
        MaskedGaussianMixture(2, covariance_type="factor", n_factors=2, max_iter=2),
        KMeansMixture(2, max_iter=2),
    ],
    ids=lambda e: str(e)[:45],
)
def test_mapped_data_are_never_copied_whole(estimator, make, tmp_path):
    X = make(clusters(10_000, 25, missing=0.2))
    mapped = in_file(X, tmp_path)
    size = sum(len(memoryview(a).cast("B")) for a in arrays(mapped))
    fit = clone(estimator).set_params(max_iter=1).fit
    with config_context(working_memory=1):
        fit(mapped)  # imports what it needs
        assert peak(fit, mapped) < 0.6 * size
        fitted = estimator.fit(X[:1000])
        assert peak(fitted.score, mapped) < 0.6 * size


def arrays(X):
    return (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
