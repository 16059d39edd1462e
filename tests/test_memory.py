# SPDX-License-Identifier: BSD-3-Clause
"""Data in files and scikit-learn's bound on working memory."""

import tempfile
import tracemalloc
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.data import _rule, _stored, observe
from tests.drawn import tables
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


def store(X, stored, fill):
    """CSR that stores some entries (n, d) of a table, `fill` where they are NaN."""
    csr = sparse.csr_array(stored.astype(float))
    csr.data = np.where(np.isnan(X), fill, X)[stored]
    return csr


def look_up(data):
    """Values at all entries, 0 where none is observed or modeled."""
    rows, columns = np.indices(data.shape).reshape(2, -1)
    values, found = data.lookup(rows, columns)
    return np.where(found & data.columns.modeled[columns], values, 0), found


def read_everything(data, fill):
    """All that blocks and data answer, as arrays with NaN for `fill`."""
    n, d = data.shape
    rng = np.random.default_rng(0)
    shifts = np.sort(rng.standard_normal((2, d)), axis=0)
    found = [*vars(data.columns).values(), *data.shape, data.is_sparse]
    for max_rows in (None, 1, 2):
        for block in data.blocks(max_rows):
            completed = np.zeros(block.shape)
            block.restore(completed)
            found += [*block.dense(), block.counts, block.squared_norms, completed]
            found += [*block.missing(), block.row_keys(*shifts), block.covariates]
            found += [block.values.project(shifts), block.mask.project(shifts)]
    chosen = np.append(np.arange(n)[::-2], 0)
    taken = data.take(chosen, np.ones(len(chosen)))
    for each in (data, taken, data.clipped(*shifts)):
        found += look_up(each)
    found += data.gather(chosen)
    found += [part for column in data.column_values(chosen) for part in column]
    values, observed = data.read_columns(slice(0, n), np.arange(d))
    found += [np.where(observed, values, 0), observed]
    raw = data.raw_rows(chosen)
    found += [raw.toarray() if sparse.issparse(raw) else raw]
    return [np.where(np.equal(part, fill), np.nan, part) for part in found]


@pytest.mark.slow
@pytest.mark.parametrize("fill", [np.nan, -99.0])
@pytest.mark.parametrize("kind", ["dense", "csr"])
@given(X=tables(every_column=False), given_data=st.data())
def test_what_is_left_out_of_files_is_as_if_never_there(kind, fill, X, given_data):
    stored = ~np.isnan(X) | given_data.draw(hnp.arrays(bool, X.shape))
    weights = given_data.draw(hnp.arrays(float, len(X), elements=st.integers(0, 2)))
    left = X[weights > 0]
    assume(not np.isnan(left).all())
    covariates = np.array([X.shape[1] - 1]) if given_data.draw(st.booleans()) else None
    given = store(X, stored, fill) if kind == "csr" else X
    pure = to_sparse(left) if kind == "csr" else left
    options = {"covariates": covariates, "max_rows": 3}
    assume(covariates is None or not np.isnan(left[:, :-1]).all())
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(_stored, "_PIECE_ENTRIES", 3),
        mock.patch.object(_stored, "_PIECE_ROWS", 2),
    ):
        mapped = in_file(given, Path(folder), fill)
        found = observe(mapped, weights=weights, missing_values=fill, **options)
        expected = observe(pure, weights=weights[weights > 0], **options)
        results = (read_everything(each, fill) for each in (found, expected))
        for a, b in zip(*results, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("fill", [np.nan, -99.0])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:45])
def test_fits_to_what_is_left_of_a_file(estimator, fill, tmp_path):
    X = clusters(300, 6)
    weights = np.random.default_rng(0).integers(0, 3, 300).astype(float)
    mapped = in_file(store(X, np.ones(X.shape, dtype=bool), fill), tmp_path)
    estimator = clone(estimator).set_params(missing_values=fill)
    found = clone(estimator).fit(mapped, sample_weight=weights)
    left = to_sparse(X[weights > 0])
    expected = clone(estimator).fit(left, sample_weight=weights[weights > 0])
    np.testing.assert_array_equal(found.means_, expected.means_)
    for name in ("predict_proba", "score_samples", "transform"):
        np.testing.assert_array_equal(
            getattr(found, name)(mapped), getattr(expected, name)(to_sparse(X))
        )


def test_files_are_checked_where_rows_count(tmp_path):
    X = clusters(300, 6, missing=0.0)
    X[7, 0] = 1e150
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
    weights = np.ones(300)
    for make in (np.array, to_sparse):
        mapped = in_file(make(X), tmp_path)
        with pytest.raises(ValueError, match="overflow"):
            clone(mixture).fit(mapped, sample_weight=weights)
    weights[7] = 0
    clone(mixture).fit(mapped, sample_weight=weights)


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnobservedColumnsWarning")
@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("left_out", ["entries", "rows", "column"])
def test_files_are_never_filtered_whole(make, left_out, tmp_path):
    X = clusters(20_000, 25, missing=0.2)
    size = 12 * np.count_nonzero(~np.isnan(X))
    weights = np.ones(len(X))
    mapped = in_file(make(X), tmp_path)
    mixture = MaskedGaussianMixture(
        2, covariance_type="diag", max_iter=1, init_params="random", random_state=0
    )
    if left_out == "entries" and make is to_sparse:
        everything = np.ones(X.shape, dtype=bool)
        mapped = in_file(store(X, everything, np.nan), tmp_path)
    elif left_out == "rows":
        weights[::10] = 0
    X[:, 3] = np.nan if left_out == "column" else X[:, 3]
    with config_context(working_memory=1):
        fitted = clone(mixture).fit(make(X[:1000]))  # imports what it needs
        assert peak(fitted.score, mapped) < 0.3 * size
        assert peak(clone(mixture).fit, mapped, None, weights) < 0.5 * size
