# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of ranked lists, against scikit-learn's and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import average_precision_score, ndcg_score

from sklearn_gmmcf import metrics
from tests.made import to_sparse
from tests.optional import pd, pl

RANKED = [
    metrics.ndcg_at_k,
    metrics.precision_at_k,
    metrics.recall_at_k,
    metrics.average_precision,
]


@st.composite
def lists_and_grades(draw):
    """Lists of some length with trailing -1, and grades of which some are missing."""
    n, d = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    width = draw(st.integers(1, d + 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = np.full((n, width), -1)
    for row in items:
        length = rng.integers(min(width, d) + 1)
        row[:length] = rng.permutation(d)[:length]
    grades = rng.integers(0, 6, (n, d)).astype(float)
    grades[rng.uniform(size=(n, d)) < 0.5] = np.nan
    return items, grades, draw(st.integers(1, width))


def loop(metric, items, grades, k, threshold=None):
    """Values by row, None where nothing is relevant."""
    values = []
    for listed, row in zip(items.tolist(), grades, strict=True):
        gains = {j: g for j, g in enumerate(row) if not np.isnan(g)}
        if threshold is not None:
            gains = {j: float(g >= threshold) for j, g in gains.items()}
        gains = {j: g for j, g in gains.items() if g > 0}
        if not gains:
            values.append(None)
            continue
        hits = [(rank, j) for rank, j in enumerate(listed[:k], 1) if j in gains]
        if metric == "precision_at_k":
            values.append(len(hits) / k)
        elif metric == "recall_at_k":
            values.append(len(hits) / len(gains))
        elif metric == "average_precision":
            total = sum(i / rank for i, (rank, _) in enumerate(hits, 1))
            values.append(total / min(len(gains), k))
        else:
            best = sorted(gains.values(), reverse=True)[:k]
            gain = sum(gains[j] / np.log2(rank + 1) for rank, j in hits)
            values.append(
                gain / sum(g / np.log2(rank + 1) for rank, g in enumerate(best, 1))
            )
    return values


@settings(max_examples=50, deadline=None)
@given(lists_and_grades(), st.sampled_from([None, 1.0, 3.0]))
def test_ranked_lists_against_loops(drawn, threshold):
    items, grades, k = drawn
    for metric in RANKED:
        expected = loop(metric.__name__, items, grades, k, threshold)
        for relevance in (grades, to_sparse(grades), np.nan_to_num(grades)):
            found = metric(items, relevance, k, threshold=threshold, per_row=True)
            np.testing.assert_allclose(
                found, [np.nan if v is None else v for v in expected], rtol=1e-12
            )
        valid = [v for v in expected if v is not None]
        if valid:
            mean = metric(items, grades, k, threshold=threshold)
            assert isinstance(mean, float)
            np.testing.assert_allclose(mean, np.mean(valid), rtol=1e-12)
        else:
            with pytest.raises(ValueError, match="No row has a relevant item"):
                metric(items, grades, k, threshold=threshold)


@pytest.fixture(scope="module")
def scored():
    """Scores of 12 items for 40 rows, and grades of which each row has some."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((40, 12))
    grades = rng.integers(0, 4, (40, 12)).astype(float)
    grades[:, 0] = 2.0
    grades[:, 1] = 0.0
    return scores, grades, np.argsort(-scores, axis=1)


@pytest.mark.parametrize("k", [1, 5, 12, None])
def test_ndcg_is_that_of_scikit_learn(scored, k):
    scores, grades, items = scored
    np.testing.assert_allclose(
        metrics.ndcg_at_k(items, grades, k), ndcg_score(grades, scores, k=k)
    )
    np.testing.assert_allclose(
        metrics.ndcg_at_k(items, grades, k, threshold=2),
        ndcg_score(grades >= 2, scores, k=k),
    )


def test_average_precision_is_that_of_scikit_learn(scored):
    scores, grades, items = scored
    expected = [
        average_precision_score(row >= 2, score)
        for row, score in zip(grades, scores, strict=True)
    ]
    found = metrics.average_precision(items, grades, None, threshold=2, per_row=True)
    np.testing.assert_allclose(found, expected)


def test_rows_without_relevant_items_are_left_out():
    items = [[0, 1], [0, 1], [0, 1]]
    grades = np.array([[0, 5.0, np.nan], [np.nan] * 3, [0, 0, 0]])
    for metric in RANKED:
        values = metric(items, grades, 2, per_row=True)
        assert np.isnan(values).tolist() == [False, True, True]
        assert metric(items, grades, 2) == values[0]


@settings(max_examples=50, deadline=None)
@given(lists_and_grades())
def test_coverage_and_novelty_against_loops(drawn):
    items, X, k = drawn
    n, d = X.shape
    listed = [j for row in items[:, :k].tolist() for j in row if j >= 0]
    assert metrics.coverage(items, d, k) == len(set(listed)) / d
    if not listed or np.isnan(X).all():
        return
    bits = []
    for j in listed:
        n_observed = sum(not np.isnan(row[j]) for row in X)
        bits.append(-np.log2(max(n_observed, 1) / n))
    for given_X in (X, to_sparse(X)):
        np.testing.assert_allclose(
            metrics.novelty(items, given_X, k), np.mean(bits), atol=1e-15
        )
    marked = np.where(np.isnan(X), -9, X)
    np.testing.assert_allclose(
        metrics.novelty(items, marked, k, missing_values=-9), np.mean(bits), atol=1e-15
    )


@pytest.mark.parametrize(
    "convert",
    [
        pd.DataFrame,
        lambda grades: pl.DataFrame(grades, schema=["a", "b", "c"]),
        np.ndarray.tolist,
        lambda grades: grades.astype(np.float32),
        lambda grades: grades.astype(int),
        lambda grades: sparse.csc_matrix(grades),
        lambda grades: sparse.coo_array(grades.astype(int)),
    ],
)
def test_containers(convert):
    items, grades = (
        np.array([[2, 0], [1, -1]], np.int32),
        np.array([[5.0, 0, 4], [0, 1, 1]]),
    )
    for metric in RANKED:
        expected = metric(items.tolist(), grades, 2)
        assert metric(items, convert(grades), 2) == pytest.approx(expected)
    liked = grades >= 4
    assert metrics.recall_at_k(items, liked, 2) == 1.0


class TestErrors:
    grades = np.array([[0, 1.0, 2.0]])

    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ([[0, 1, 0]], "row 0 names item 0 more than once"),
            ([[0, 3, 1]], "from 0 to 2, or -1 for no item, but got 3"),
            ([[0, -2, 1]], "but got -2"),
            ([0, 1, 2], "2d array of column indices"),
            ([[0.0, 1, 2]], "2d array of column indices.*float64"),
            ([[0, 1, 2], [1, 2, 0]], "same rows, but got 2 and 1"),
            ([[0, 1]], "k=3, but the lists have 2 items"),
        ],
    )
    def test_lists(self, items, message):
        for metric in RANKED:
            with pytest.raises(ValueError, match=message):
                metric(items, self.grades, 3)
        if "same rows" not in message:
            with pytest.raises(ValueError, match=message):
                metrics.coverage(items, 3, 3)
            with pytest.raises(ValueError, match=message):
                metrics.novelty(items, self.grades, 3)

    @pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
    def test_k(self, k):
        for metric in RANKED:
            with pytest.raises(ValueError, match="k should be an integer of at least"):
                metric([[0, 1]], self.grades, k)

    def test_negative_grades(self):
        grades = np.array([[-1.0, 2, np.nan]])
        for metric in RANKED:
            with pytest.raises(ValueError, match="column 0 of relevance is negative"):
                metric([[0, 1]], grades, 2)
            assert metric([[0, 1]], grades, 2, threshold=-2) > 0

    def test_relevance_is_named(self):
        for metric in RANKED:
            with pytest.raises(ValueError, match="relevance"):
                metric([[0, 1]], [["a", "b"]], 2)

    def test_nothing_listed(self):
        with pytest.raises(ValueError, match="items lists no item"):
            metrics.novelty([[-1]], [[1.0]], 1)

    def test_number_of_columns(self):
        with pytest.raises(ValueError, match="n_columns should be an integer"):
            metrics.coverage([[0]], 0, 1)
