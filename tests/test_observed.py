# SPDX-License-Identifier: BSD-3-Clause
"""Which entries are observed, and the products that blocks compute."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.data import _dense, _sparse, observe
from tests.drawn import tables
from tests.made import clusters, to_sparse
from tests.optional import pd, pl

SPARSE_FORMATS = ["csr", "csc", "coo", "lil", "dok"]


def rounded_clusters():
    X = np.round(clusters(60, 5))
    X[3] = np.nan
    assert (X == 0).any()
    return X


def fit_all(X, **params):
    """Results of each estimator for X."""
    params["random_state"] = 0
    results = []
    for estimator in (
        MaskedGaussianMixture(3, covariance_type="spherical", max_iter=500, **params),
        MaskedGaussianMixture(2, covariance_type="diag", max_iter=500, **params),
        KMeansMixture(3, **params),
    ):
        estimator.fit(X)
        completed, std = estimator.complete(X, return_std=True)
        proba = estimator.predict_proba(X)
        scores = estimator.score_samples(X)
        results += [estimator.means_, completed, std, proba, scores]
    return results


def assert_same_results(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def expected():
    return fit_all(rounded_clusters())


class TestRepresentations:
    @pytest.mark.parametrize("format_", SPARSE_FORMATS)
    @pytest.mark.parametrize("container", ["array", "matrix"])
    def test_sparse(self, expected, format_, container):
        X = to_sparse(rounded_clusters(), f"{format_}_{container}")
        assert_same_results(fit_all(X), expected)

    def test_large_indices_and_unsorted_indices(self, expected):
        X = to_sparse(rounded_clusters())
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
        for row in range(X.shape[0]):
            entries = slice(*X.indptr[row : row + 2])
            X.indices[entries] = X.indices[entries][::-1].copy()
            X.data[entries] = X.data[entries][::-1].copy()
        X.has_sorted_indices = False
        before = X.indices.copy()
        assert_same_results(fit_all(X), expected)
        np.testing.assert_array_equal(X.indices, before)

    def test_sentinel(self, expected):
        X = rounded_clusters()
        dense = np.where(np.isnan(X), -999.0, X)
        assert_same_results(fit_all(dense, missing_values=-999), expected)
        assert_same_results(fit_all(dense.astype(int), missing_values=-999), expected)
        stored = sparse.csr_array(dense + 1000)  # stores all zeros of X
        stored.data -= 1000
        assert stored.nnz == X.size
        assert_same_results(fit_all(stored, missing_values=-999), expected)

    def test_zero_as_missing_value(self):
        X = rounded_clusters()
        no_zeros = np.where(X == 0, np.nan, X)
        expected = fit_all(no_zeros)
        dense = np.where(np.isnan(X), 0, X)
        assert_same_results(fit_all(dense, missing_values=0), expected)
        assert_same_results(fit_all(to_sparse(X), missing_values=0), expected)

    def test_stored_nan_is_missing(self, expected):
        X = sparse.csr_array(rounded_clusters() + 1000)  # stores NaN, and all zeros
        X.data -= 1000
        assert X.nnz == np.prod(X.shape)
        assert_same_results(fit_all(X), expected)

    def test_frames(self, expected):
        X = rounded_clusters()
        names = [f"c{j}" for j in range(X.shape[1])]
        frame = pd.DataFrame(X, columns=names)
        assert_same_results(fit_all(frame), expected)
        assert_same_results(fit_all(frame.astype("Int64")), expected)
        assert frame.astype("Int64").isna().any(axis=None)
        nulls = pl.DataFrame(X, schema=names).fill_nan(None)
        assert nulls.null_count().to_numpy().sum() == np.isnan(X).sum()
        assert_same_results(fit_all(nulls), expected)

    def test_lists_and_objects(self, expected):
        X = rounded_clusters()
        as_objects = np.where(np.isnan(X), None, X.astype(object))
        assert_same_results(fit_all(as_objects), expected)
        assert_same_results(fit_all(X.tolist()), expected)
        assert_same_results(fit_all(np.asfortranarray(X)), expected)


def test_blocks_of_any_bounds_have_masks_of_their_size():
    X = np.full((6, 2), np.nan)
    X[2:4] = 1.0  # in one block of two rows, and in two of three
    data = observe(to_sparse(X), max_rows=3)
    for block in [*data.blocks(), *data.blocks(2)]:
        mask = block.mask.sparsity.matrix(block.mask.data)
        np.testing.assert_array_equal(mask.data, np.ones(len(mask.indices)))


@pytest.mark.parametrize("kind", ["dense", "csr"])
@given(X=tables(every_column=False), keep=st.booleans())
def test_block_products_equal_plain_sums(kind, X, keep):
    rng = np.random.default_rng(0)
    data = observe(X if kind == "dense" else to_sparse(X), keep=keep)
    known = ~np.isnan(X).all(axis=0)
    center = np.where(known, np.nanmean(X), 0.0)
    center[known] = np.nanmean(X[:, known], axis=0)
    np.testing.assert_array_equal(data.columns.known, known)
    np.testing.assert_allclose(data.columns.center[known], center[known])
    np.testing.assert_allclose(data.columns.center[~known], np.nanmean(X))
    mask = (~np.isnan(X)).astype(float)
    values = np.where(np.isnan(X), 0.0, X - data.columns.center)
    W, R = rng.standard_normal((3, X.shape[1])), rng.standard_normal((3, len(X)))
    for most_rows in (None, 1, 3):
        blocks = list(data.blocks(most_rows))
        if most_rows is not None:
            assert len(blocks) == -(-len(X) // most_rows)
        for name, plain in [("values", values), ("mask", mask), ("squares", values**2)]:
            projected, collected = [], 0
            for block in blocks:
                matrix = getattr(block, name)
                projected.append(matrix.project(W))
                collected = collected + matrix.collect(R[:, block.rows])
            np.testing.assert_allclose(
                np.concatenate(projected, axis=1), W @ plain.T, atol=1e-9
            )
            np.testing.assert_allclose(collected, R @ plain, atol=1e-9)
        counts = np.concatenate([block.counts for block in blocks])
        norms = np.concatenate([block.squared_norms for block in blocks])
        np.testing.assert_array_equal(counts, mask.sum(axis=1))
        np.testing.assert_allclose(norms, (values**2).sum(axis=1), atol=1e-9)


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_default_blocks_cover_the_rows(kind, monkeypatch):
    monkeypatch.setattr(_dense, "_BLOCK_BYTES", 8 * 4 * 20)
    monkeypatch.setattr(_sparse, "_BLOCK_ENTRIES", 40)
    monkeypatch.setattr(_sparse, "_BLOCK_COLUMN_ENTRIES", 0)
    X = clusters(101, 4)
    data = observe(X if kind == "dense" else to_sparse(X), keep=True)
    rows = [block.rows for block in data]
    assert len(rows) > 4
    assert rows[0].start == 0
    assert rows[-1].stop == 101
    assert all(a.stop == b.start for a, b in pairwise(rows))
    touched = [block.rows for block in data.blocks(touching=np.array([0, 100]))]
    assert touched == [rows[0], rows[-1]]


@pytest.mark.parametrize("kind", ["dense", "csr"])
@given(X=tables())
def test_lookup_and_gather(kind, X):
    data = observe(X if kind == "dense" else to_sparse(X))
    rows, columns = map(np.ravel, np.indices(X.shape))
    values, found = data.lookup(rows, columns)
    np.testing.assert_array_equal(found, ~np.isnan(X.ravel()))
    np.testing.assert_array_equal(values[found], X.ravel()[found])
    rows = np.array([len(X) - 1, 0])
    values, mask = data.gather(rows)
    centered = np.where(np.isnan(X), 0, X - data.columns.center)[rows]
    np.testing.assert_allclose(values, centered, atol=1e-12)
    np.testing.assert_array_equal(mask, ~np.isnan(X[rows]))
    last = np.array([X.shape[1] - 1])
    values, mask = data.gather(rows, last)
    np.testing.assert_allclose(values, centered[:, last], atol=1e-12)
    np.testing.assert_array_equal(mask, ~np.isnan(X[rows][:, last]))


@given(X=tables())
def test_row_groups_follow_content_only(X):
    X = np.vstack([X, X[:2]])
    order = np.random.default_rng(0).permutation(len(X))
    groups, first = observe(X).row_groups()
    assert len(first) == len({row.tobytes() for row in X})
    np.testing.assert_array_equal(X[first][groups], X)
    np.testing.assert_array_equal(observe(X[order]).row_groups()[0], groups[order])
    np.testing.assert_array_equal(observe(to_sparse(X)).row_groups()[0], groups)


@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_input_is_never_written_to(make):
    X = make(rounded_clusters())
    arrays = [X] if isinstance(X, np.ndarray) else [X.data, X.indices, X.indptr]
    for array in arrays:
        array.flags.writeable = False
    before = X.copy()
    for estimator in (
        MaskedGaussianMixture(2, covariance_type="spherical"),
        KMeansMixture(2),
    ):
        estimator.fit(X).complete(X, return_std=True)
    np.testing.assert_array_equal(
        before.data if sparse.issparse(X) else before,
        X.data if sparse.issparse(X) else X,
    )


ESTIMATORS = [MaskedGaussianMixture, KMeansMixture]


@pytest.mark.parametrize("estimator", ESTIMATORS)
class TestRefusals:
    def test_masked_array(self, estimator):
        X = np.ma.masked_invalid(clusters())
        with pytest.raises(ValueError, match=r"masked array.*X\.filled\(np\.nan\)"):
            estimator().fit(X)
        with pytest.raises(ValueError, match="masked array"):
            estimator().fit(clusters()).transform(X)

    @pytest.mark.parametrize("format_", ["bsr", "dia"])
    def test_padded_formats(self, estimator, format_):
        X = sparse.csr_array(np.eye(4)).asformat(format_)
        with pytest.raises(ValueError, match=f"'{format_}' format stores padding"):
            estimator().fit(X)

    @pytest.mark.parametrize("format_", ["coo", "csr", "csc"])
    def test_duplicates(self, estimator, format_):
        coo = sparse.coo_array(
            ([1.0, 2, 3, 4, 5], ([0, 1, 1, 1, 2], [0, 1, 0, 1, 1])), shape=(3, 2)
        )
        X = coo
        if format_ != "coo":
            kind = getattr(sparse, f"{format_}_array")
            major, minor = coo.row, coo.col
            if format_ == "csc":
                major, minor = minor, major
            order = np.argsort(major, kind="stable")
            n_major = coo.shape[0] if format_ == "csr" else coo.shape[1]
            indptr = np.searchsorted(major[order], np.arange(n_major + 1))
            X = kind((coo.data[order], minor[order], indptr), shape=coo.shape)
        assert X.nnz == 5
        with pytest.raises(ValueError, match="more than one value at row 1, column 1"):
            estimator().fit(X)
        assert X.nnz == 5

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinity(self, estimator, make, value):
        X = clusters()
        X[1, 1] = value
        with pytest.raises(ValueError, match="infinity"):
            estimator().fit(make(X))
        with pytest.raises(ValueError, match="infinity"):
            estimator().fit(make(clusters())).score_samples(make(X))

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_nan_beside_a_sentinel(self, estimator, make):
        X = clusters()
        X = make(X) if make is np.array else sparse.csr_array(X)
        with pytest.raises(ValueError, match=r"X contains NaN while missing_values=0"):
            estimator(missing_values=0).fit(X)

    @pytest.mark.parametrize(
        ("dtype", "value", "way_out"),
        [(np.float64, 1e101, "Scale the data"), (np.float32, -1e13, "as float64")],
    )
    def test_values_whose_squares_overflow(self, estimator, dtype, value, way_out):
        X = clusters().astype(dtype)
        X[1, 1] = value
        with pytest.raises(ValueError, match=rf"magnitude 1e\+1\d*;.*{way_out}"):
            estimator().fit(X)

    def test_complex_and_strings(self, estimator):
        with pytest.raises(ValueError, match="Complex data not supported"):
            estimator().fit(np.ones((3, 2), dtype=complex))
        with pytest.raises(ValueError, match="Column 0 of X has text, such as 'a'"):
            estimator().fit([["a", "b"], ["c", "d"]])

    def test_width(self, estimator):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 6"):
            estimator().fit(clusters()).transform(np.ones((2, 3)))

    @pytest.mark.parametrize("make", [np.array, to_sparse])
    def test_nothing_observed(self, estimator, make):
        X = make(np.full((4, 3), np.nan))
        with pytest.raises(ValueError, match="no observed entry: all of its 4 x 3"):
            estimator().fit(X)
        fitted = estimator().fit(clusters(d=3))
        np.testing.assert_allclose(
            fitted.transform(X), np.repeat(fitted.means_, 4, axis=0)
        )

    def test_single_row(self, estimator):
        with pytest.raises(ValueError, match=r"1 sample\(s\).*minimum of 2"):
            estimator().fit([[1.0, 2.0]])
        with pytest.raises(ValueError, match="n_samples=1"):
            estimator(2).fit([[1.0, 2.0], [3, 4]], sample_weight=[1, 0])
        assert estimator().fit(clusters()).transform(clusters()[:1]).shape == (1, 6)

    def test_more_components_than_rows(self, estimator):
        with pytest.raises(ValueError, match=r"n_components=4 .*n_samples=3"):
            estimator(4).fit(clusters()[:3])

    @pytest.mark.parametrize("value", [np.inf, "nan", None])
    def test_missing_values_that_are_no_number(self, estimator, value):
        with pytest.raises(ValueError, match="'missing_values' parameter"):
            estimator(missing_values=value).fit(clusters())


def test_stale_flag_of_canonical_format():
    X = sparse.csr_array(
        ([0.0, 1, 2, 3, 4, 5], [2, 0, 1, 2, 0, 1], [0, 2, 4, 6]), shape=(3, 3)
    )
    assert not X.has_canonical_format
    X.sort_indices()
    assert np.isfinite(
        MaskedGaussianMixture(covariance_type="spherical").fit(X).means_
    ).all()


def test_rows_that_agree_but_for_digits():
    # A column of huge equal values hides nothing of the others.
    X = np.column_stack([np.full(200, 1.7e18), np.linspace(0, 1, 200)])
    groups, first = observe(X).row_groups()
    assert len(first) == 200
    X = 1e9 + 1e-3 * np.random.default_rng(0).standard_normal((20_000, 1))
    groups, first = observe(X).row_groups()
    assert len(first) == len(np.unique(X))
    np.testing.assert_array_equal(X[first][groups], X)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("make", [np.array, to_sparse])
def test_centers_are_weighted_means(make, missing):
    X = clusters(60, 4, missing=missing)
    weights = np.random.default_rng(0).uniform(0.2, 3, 60)
    expected = [np.average(x[~np.isnan(x)], weights=weights[~np.isnan(x)]) for x in X.T]
    center = observe(make(X), weights=weights).columns.center
    np.testing.assert_allclose(center, expected)
