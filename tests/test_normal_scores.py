# SPDX-License-Identifier: BSD-3-Clause
"""NormalScoreTransformer: columns by their ranks, and back."""

import numpy as np
import pytest
from hypothesis import given
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_gmmcf.preprocessing import NormalScoreTransformer
from tests.drawn import tables


@parametrize_with_checks([NormalScoreTransformer()])
def test_generated_check(estimator, check):
    check(estimator)


@given(tables())
def test_scores_are_ranks(X):
    scores = NormalScoreTransformer().fit_transform(X)
    for column, found in zip(X.T, scores.T, strict=True):
        observed = ~np.isnan(column)
        ranks = stats.rankdata(column[observed])  # equal values share their mean
        expected = stats.norm.ppf((ranks - 0.5) / observed.sum())
        np.testing.assert_allclose(found[observed], expected, atol=1e-12)
        assert np.isnan(found[~observed]).all()


@given(tables())
def test_back_and_forth(X):
    transformer = NormalScoreTransformer().fit(X)
    back = transformer.inverse_transform(transformer.transform(X))
    np.testing.assert_allclose(back, X, rtol=1e-12)


def test_lines_in_between_and_ends_beyond():
    transformer = NormalScoreTransformer().fit([[1.0], [2.0], [4.0], [np.nan]])
    ends = stats.norm.ppf([1 / 6, 5 / 6])
    np.testing.assert_allclose(
        transformer.transform([[-9.0], [1.5], [3.0], [99.0]]).ravel(),
        [ends[0], ends[0] / 2, ends[1] / 2, ends[1]],
    )
    np.testing.assert_allclose(
        transformer.inverse_transform([[-9.0], [ends[0] / 4], [9.0]]).ravel(),
        [1, 1.75, 4],
    )


def test_a_column_without_values():
    transformer = NormalScoreTransformer().fit([[1.0, np.nan], [2.0, np.nan]])
    nan = np.nan
    np.testing.assert_array_equal(
        transformer.transform([[1.5, 7.0], [1.5, nan]]), [[0, 0], [0, nan]]
    )
    np.testing.assert_array_equal(
        transformer.inverse_transform([[0.0, 1.0], [0.0, nan]]), [[1.5, 0], [1.5, nan]]
    )


def test_integer_weights_are_repetition():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (20, 2)).astype(float)
    X[::3, 1] = np.nan
    weights = rng.integers(0, 4, 20)
    weighted = NormalScoreTransformer().fit(X, sample_weight=weights)
    repeated = NormalScoreTransformer().fit(X.repeat(weights, axis=0))
    for name in ("values_", "scores_"):
        pairs = zip(getattr(weighted, name), getattr(repeated, name), strict=True)
        for found, expected in pairs:
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_single_precision_stays():
    X = np.array([[1, 5], [2, np.nan], [7, 3]], dtype=np.float32)
    transformer = NormalScoreTransformer().fit(X)
    scores = transformer.transform(X)
    assert scores.dtype == np.float32
    back = transformer.inverse_transform(scores)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, X, rtol=1e-6)


def test_frames_keep_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": [3.0, 1.0, 2.0]})
    transformer = clone(NormalScoreTransformer()).set_output(transform="pandas")
    assert list(transformer.fit_transform(frame).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"),
        ([[np.inf], [1.0]], ValueError, "infinity"),
        ([[1e200], [1.0]], ValueError, "Scale the data"),
        ([["a"], ["b"]], ValueError, "Column 0 of X has text"),
    ],
)
def test_refused(X, error, message):
    with pytest.raises(error, match=message):
        NormalScoreTransformer().fit(X)


def test_refused_after_fit():
    transformer = NormalScoreTransformer().fit([[1.0], [2.0]])
    with pytest.raises(ValueError, match="the 1 columns seen in fit, but got 2"):
        transformer.inverse_transform([[1.0, 2.0]])
    with pytest.raises(ValueError, match="Negative values"):
        NormalScoreTransformer().fit([[1.0], [2.0]], sample_weight=[-1, 1])
