# SPDX-License-Identifier: BSD-3-Clause
"""Compiled kernels give the numbers of numpy and scipy, and nothing depends on them."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import MaskedGaussianMixture, _kernels, show_config
from sklearn_gmmcf.covariance._triangles import (
    Systems,
    condition,
    lower_indices,
    n_packed,
    sweep,
)
from sklearn_gmmcf.data._products import SparseMask, Sparsity

RTOL = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.fixture
def compiled(monkeypatch):
    """Kernels, for work of any size."""
    pytest.importorskip("numba")
    monkeypatch.setattr(_kernels, "_MIN_OPERATIONS", 0)
    return _kernels.load(1)


def draw_mask(rng, n, d, share):
    mask = rng.random((n, d)) < share
    mask[0] = False  # a row, and a column, without entries
    mask[:, -1] = False
    return sparse.csr_array(mask.astype(float))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("n", [1, 7, 8, 65])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_wide_products_of_masks(compiled, dtype, index_dtype, n, share):
    check_wide_products(dtype, index_dtype, n, share)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_wide_products_of_masks_without_kernels(dtype, share):
    with _kernels.disabled():
        check_wide_products(dtype, np.int32, 65, share)


def check_wide_products(dtype, index_dtype, n, share):
    rng = np.random.default_rng(n)
    csr = draw_mask(rng, n, 40, share)
    indices, indptr = (e.astype(index_dtype) for e in (csr.indices, csr.indptr))
    mask = SparseMask(csr.data.astype(dtype), Sparsity(indices, indptr, 40))
    dense = csr.toarray()
    W, R = rng.standard_normal((65, 40)), rng.standard_normal((65, n))
    for operand in (W, np.asfortranarray(W)):
        assert_allclose(mask.project(operand), operand @ dense.T, atol=30 * RTOL[dtype])
    assert_allclose(mask.collect(R), R @ dense, atol=30 * RTOL[dtype])
    assert_allclose(mask.project(W, in_double=True), W @ dense.T, atol=1e-12)
    huge = mask.project(1e200 * W)  # beyond the range of float32
    assert_allclose(huge, 1e200 * (W @ dense.T), atol=1e200 * 30 * RTOL[dtype])


@settings(deadline=None)
@given(q=st.integers(1, 9), n=st.integers(1, 140), seed=st.integers(0, 99))
def test_systems(q, n, seed):
    pytest.importorskip("numba")
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((n, q, q))
    A = roots @ np.swapaxes(roots, 1, 2) + np.eye(q)
    b = rng.standard_normal((n, q))
    first, second = lower_indices(q)
    bordered = np.vstack([A[:, first, second].T, b.T, np.zeros(n)])
    kernels = _kernels.load(2**60)
    log_dets = np.empty(n)
    kernels.sweep(bordered, q, log_dets)
    inverses = np.linalg.inv(A)
    scale = np.linalg.cond(A).max()
    near = {"rtol": 1e-13 * scale, "atol": 1e-13 * scale}
    assert_allclose(-bordered[: n_packed(q)].T, inverses[:, first, second], **near)
    solutions = np.linalg.solve(A, b[:, :, None])[:, :, 0]
    assert_allclose(bordered[n_packed(q) : -1].T, solutions, **near)
    assert_allclose(-bordered[-1], np.sum(b * solutions, axis=1), **near)
    assert_allclose(log_dets, np.linalg.slogdet(A)[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5, 64, 129])
@pytest.mark.parametrize("q", [1, 4, 11])
def test_systems_of_submatrices(compiled, q, n):
    rng = np.random.default_rng(q)
    d, K = 12, 3
    roots = rng.standard_normal((K, d, d))
    matrices = roots @ np.swapaxes(roots, 1, 2) + np.eye(d)
    columns = np.sort(rng.random((n, d)).argsort(axis=1)[:, :q], axis=1).T.copy()
    right = rng.standard_normal((K, q, n))
    systems = Systems(columns, d)
    results = systems.invert_stack(matrices, right)
    weights = rng.random(n)
    scattered = [systems.scatter(each, weights) for each in results[0]]
    values = rng.standard_normal((K, d, n))
    taken, put = systems.take_stack(values), values.copy()
    systems.put_stack(put, -1.0)
    first, second = lower_indices(q)
    expected_scattered, expected_put = np.zeros((K, d, d)), values.copy()
    for k in range(K):
        for i in range(n):
            own = columns[:, i]
            block = matrices[k][np.ix_(own, own)]
            inverse = np.linalg.inv(block)
            solution = inverse @ right[k, :, i]
            assert_allclose(results[0][k, :, i], inverse[first, second], atol=1e-9)
            assert_allclose(results[1][k, :, i], solution, atol=1e-9)
            assert_allclose(results[2][k, i], right[k, :, i] @ solution, atol=1e-9)
            assert_allclose(results[3][k, i], np.linalg.slogdet(block)[1], atol=1e-9)
            expected_scattered[k][np.ix_(own, own)] += weights[i] * inverse
            assert_array_equal(taken[k, :, i], values[k, own, i])
            expected_put[k, own, i] = -1.0
    assert_allclose(scattered, expected_scattered, atol=1e-9)
    assert_array_equal(put, expected_put)


@pytest.mark.parametrize("n", [2, 64, 70])
def test_conditions(compiled, n):
    rng = np.random.default_rng(n)
    p, q = 5, 3
    root = rng.standard_normal((12, 12))
    matrix = root @ root.T + np.eye(12)
    matrix /= np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    columns = rng.random((n, 12)).argsort(axis=1).T
    given, free = columns[:p].copy(), columns[p : p + q].copy()
    right = rng.standard_normal((p, n))
    covariances, means, quadratic, log_dets = condition(matrix, given, free, right)
    first, second = lower_indices(q)
    for i in range(n):
        own = matrix[np.ix_(given[:, i], given[:, i])]
        across = matrix[np.ix_(free[:, i], given[:, i])]
        pulled = across @ np.linalg.inv(own)
        expected = matrix[np.ix_(free[:, i], free[:, i])] - pulled @ across.T
        assert_allclose(covariances[:, i], expected[first, second], atol=1e-10)
        assert_allclose(means[:, i], pulled @ right[:, i], atol=1e-10)
        length = right[:, i] @ np.linalg.solve(own, right[:, i])
        assert_allclose(quadratic[i], length, rtol=1e-10)
        assert_allclose(log_dets[i], np.linalg.slogdet(own)[1], atol=1e-10)


def test_sweep_leaves_not_finite_numbers(compiled):
    bordered = np.ones((n_packed(3), 5))
    bordered[0, 2] = np.nan
    log_dets = sweep(bordered, 2)
    assert np.isnan(bordered[:, 2]).all()
    assert np.isnan(log_dets[2])


TYPES = ("spherical", "diag", "tied", "full", "factor")


def make_data(as_sparse, dtype):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 9))
    X += 0.3 * rng.standard_normal(X.shape)
    mask = rng.random(X.shape) < 0.3
    if as_sparse:
        return sparse.csr_array(np.where(mask, 0.0, X + 10)).astype(dtype)
    return np.where(mask, np.nan, X).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fits_do_not_depend_on_kernels(compiled, covariance_type, as_sparse, dtype):
    X = make_data(as_sparse, dtype)
    mixture = MaskedGaussianMixture(
        2, covariance_type=covariance_type, n_factors=3, tol=1e-3, random_state=0
    )
    with_kernels = mixture.fit(X)
    completed, std = with_kernels.complete(X, return_std=True)
    with _kernels.disabled():
        without = MaskedGaussianMixture(**mixture.get_params()).fit(X)
        expected, expected_std = without.complete(X, return_std=True)
    assert with_kernels.n_iter_ == without.n_iter_
    rtol = 1e-9 if dtype == np.float64 else 1e-5
    assert_allclose(with_kernels.lower_bound_, without.lower_bound_, rtol=rtol)
    tolerance = 1e-7 if dtype == np.float64 else 1e-2
    assert_allclose(completed, expected, rtol=tolerance, atol=tolerance)
    assert_allclose(std, expected_std, rtol=tolerance, atol=tolerance)


def test_many_rows_of_factors(compiled):
    # More rows than are worked on together.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 12))
    X += 0.5 * rng.standard_normal(X.shape)
    X[rng.random(X.shape) < 0.3] = np.nan
    mixture = MaskedGaussianMixture(
        3, covariance_type="factor", n_factors=4, max_iter=6, tol=0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bound = mixture.fit(X).lower_bound_
        with _kernels.disabled():
            assert_allclose(mixture.fit(X).lower_bound_, bound, rtol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_threads_change_no_bit(compiled, covariance_type):
    X = make_data(False, np.float64)
    fits = [
        MaskedGaussianMixture(
            2,
            covariance_type=covariance_type,
            n_factors=3,
            n_jobs=n_jobs,
            random_state=0,
        ).fit(X)
        for n_jobs in (1, 2)
    ]
    assert_array_equal(fits[0].means_, fits[1].means_)


def test_data_may_be_read_only(compiled):
    X = make_data(True, np.float64)
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    MaskedGaussianMixture(2, covariance_type="factor", n_factors=3).fit(X)


def test_small_work_does_not_import_numba():
    code = (
        "import sys; import numpy as np; import sklearn_gmmcf as s;"
        "s.MaskedGaussianMixture().fit(np.eye(3) + 1);"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_numba(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "sklearn_gmmcf._compiled", raising=False)
    _kernels._import.cache_clear()
    try:
        assert _kernels.load(2**60) is None
        show_config()
        assert "kernels: numpy and scipy" in capsys.readouterr().out
    finally:
        _kernels._import.cache_clear()


def test_show_config(compiled, capsys):
    numba = pytest.importorskip("numba")
    show_config()
    assert f"kernels: numba {numba.__version__}" in capsys.readouterr().out


def test_cache_that_cannot_be_written(compiled, monkeypatch):
    numba = pytest.importorskip("numba")
    njit = numba.njit

    def refuse(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    double = compiled._compile(lambda x: 2 * x)
    assert double(1.5) == 3.0
