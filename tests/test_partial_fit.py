# SPDX-License-Identifier: BSD-3-Clause
"""Stepwise EM: batches of rows update a mixture."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import (
    KMeansMixture,
    MaskedGaussianMixture,
    UnobservedColumnsWarning,
)
from sklearn_gmmcf.datasets import make_ratings
from tests import oracles
from tests.factors import from_library
from tests.made import (
    EXACT_TYPES,
    TYPES,
    clusters,
    correlated,
    estimators,
    start,
    to_sparse,
)

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{c.__module__}.{c.__name__}")
    for c in (ConvergenceWarning, UnobservedColumnsWarning)
]


def make(covariance_type, n_components=2, **params):
    if covariance_type == "factor":
        params["n_factors"] = 2
    return MaskedGaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0, **params
    )


def kept_shares(sizes, from_scratch):
    """Share of each batch that is left in the end, by the documented rule."""
    kept, n_rows = [1.0], float(sizes[0])
    for t, rows in enumerate(sizes[1:], start=1):
        together = n_rows + rows
        if from_scratch:
            weight = max(rows / together, (t + 2) ** -0.8)
            together = max(rows / weight, n_rows)
        kept = [share * (together - rows) / n_rows for share in kept] + [1.0]
        n_rows = together
    return kept


@pytest.mark.parametrize("storage", [np.array, to_sparse])
@pytest.mark.parametrize("kappa", [0.0, 2.5])
@pytest.mark.parametrize("from_scratch", [True, False])
@pytest.mark.parametrize("covariance_type", EXACT_TYPES)
def test_batches_equal_a_plain_loop(covariance_type, from_scratch, kappa, storage):
    X = 50 + correlated(120, 4, n_components=2)
    X[rng_rows(30), 1] = np.nan
    batches = np.split(X, [60, 75, 76, 100])
    first = start(batches[0], 2, covariance_type)
    mixture = MaskedGaussianMixture(
        **first, max_iter=1, tol=0, reg_covar=0, mean_precision_prior=kappa
    )
    # The prior stays where the first batch put it.
    prior_means = np.nanmean(batches[0], axis=0)
    if from_scratch:
        mixture.partial_fit(storage(batches[0]))
    else:
        mixture.fit(storage(batches[0]))
    weights, means = first["weights_init"], first["means_init"]
    covariances = dense_covariances(first["precisions_init"], covariance_type)
    shares, sums = [], []
    for i, batch in enumerate(batches):
        if i > 0:
            mixture.partial_fit(storage(batch))
        kept = kept_shares([len(b) for b in batches[: i + 1]], from_scratch)
        row_weights = np.repeat(kept, [len(b) for b in batches[: i + 1]])
        if covariance_type in ("tied", "full"):
            responsibilities, _, *moments = oracles.full_e_step(
                batch, weights, means, covariances
            )
            shares.append(responsibilities)
            sums.append(moments)
            weights, means, covariances = oracles.full_m_step(
                np.vstack(shares) * row_weights[:, None],
                *(np.concatenate(part) for part in zip(*sums, strict=True)),
                tied=covariance_type == "tied",
                kappa=kappa,
                prior_mean=prior_means,
            )
        else:
            responsibilities, _ = oracles.e_step(batch, weights, means, covariances)
            shares.append(responsibilities)
            weights, means, covariances = oracles.m_step(
                np.vstack(batches[: i + 1]),
                np.vstack(shares),
                means,
                covariance_type == "spherical",
                row_weights,
                kappa,
                prior_means,
            )
        np.testing.assert_allclose(mixture.weights_, weights)
        np.testing.assert_allclose(mixture.means_, means)
        ours = mixture.covariances_
        if covariance_type == "tied":
            ours = ours[None]
        elif covariance_type == "spherical":
            ours = ours[:, None]
        expected = np.broadcast_to(ours, covariances.shape)
        np.testing.assert_allclose(expected, covariances, rtol=1e-6)


@pytest.mark.parametrize("storage", [np.array, to_sparse])
@pytest.mark.parametrize("covariance_type", ["spherical", "diag"])
def test_batches_far_from_the_center_equal_a_plain_loop(covariance_type, storage):
    # So far that values are summed about the means, which move with the batches.
    rng = np.random.default_rng(0)
    far = 3e4 * (np.arange(240) % 2)
    drift = np.repeat([0, 2, -1], 80)
    X = rng.standard_normal((240, 3)) + (far + drift)[:, None]
    X[rng.random(X.shape) < 0.2] = np.nan
    batches = np.split(X, 3)
    means = np.repeat([[0.0], [3e4]], 3, axis=1)
    variances = np.ones((2, 3))
    mixture = MaskedGaussianMixture(
        2,
        covariance_type=covariance_type,
        weights_init=[0.5, 0.5],
        means_init=means,
        precisions_init=variances if covariance_type == "diag" else [1.0, 1.0],
        max_iter=1,
        reg_covar=0,
    ).fit(storage(batches[0]))
    weights, shares = np.array([0.5, 0.5]), []
    for i, batch in enumerate(batches):
        if i > 0:
            mixture.partial_fit(storage(batch))
        shares.append(oracles.e_step(batch, weights, means, variances)[0])
        weights, means, variances = oracles.m_step(
            np.vstack(batches[: i + 1]),
            np.vstack(shares),
            means,
            covariance_type == "spherical",
        )
        np.testing.assert_allclose(mixture.means_, means, atol=1e-6)
        ours = mixture.covariances_.reshape(2, -1)
        np.testing.assert_allclose(ours, variances[:, : ours.shape[1]], rtol=1e-6)


def rng_rows(n):
    return np.random.default_rng(1).permutation(60)[:n]


def dense_covariances(precisions, covariance_type):
    if covariance_type == "spherical":
        return np.repeat(1 / precisions[:, None], 4, axis=1)
    if covariance_type == "diag":
        return 1 / precisions
    return np.broadcast_to(np.linalg.inv(precisions), (2, 4, 4))


def test_factor_batch_equals_a_plain_loop():
    X = 5 + correlated(80, 5)
    X, batch = X[:60], X[60:]
    earlier = make("factor", 1, max_iter=2, tol=0).fit(X)
    # The third pass began in the basis that the second one chose.
    model, statistics = earlier._model, earlier._running.statistics
    before = from_library(model.family.accelerate(statistics, model.parameters))
    mixture = make("factor", 1, max_iter=3, tol=0).fit(X)
    now = from_library(mixture._model.parameters)
    shares, moments = np.ones((80, 1)), oracles.factor_e_step(X, before)[2]
    features = [oracles.row_features(row, now) for row in X[:3]]
    assert np.abs(features).min() > 0  # entries are missing
    expected = now
    for _ in range(3):
        together = np.concatenate([moments, oracles.factor_e_step(batch, expected)[2]])
        expected = oracles.factor_m_step(
            np.vstack([X, batch]), expected, shares, together, n_column_steps=3
        )
    found = from_library(mixture.partial_fit(batch)._model.parameters)
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), value, atol=1e-9, err_msg=name)


def test_batch_after_a_pass_that_backtracked():
    X = np.random.default_rng(0).standard_normal((200, 20))
    params = {"init_params": "random", "tol": 0}
    fits = [make("factor", max_iter=n, **params).fit(X) for n in range(1, 6)]
    accepted, backtracked = next(
        pair
        for pair in pairwise(fits)
        if len(pair[0].lower_bounds_) == len(pair[1].lower_bounds_)
    )
    assert np.abs(accepted.noise_scale_ - backtracked.noise_scale_).max() > 0.1
    # Rows that observe nothing leave the columns to the statistics that were kept:
    # those of the pass before, whose step of the columns stands in both fits.
    for mixture in (accepted, backtracked):
        mixture.partial_fit(np.full((5, 20), np.nan))
    for name in ("components_", "intercept_", "noise_variance_", "factor_precision_"):
        np.testing.assert_allclose(
            getattr(backtracked, name), getattr(accepted, name), rtol=1e-12
        )


def test_kmeans_batches_equal_a_plain_loop():
    X = clusters(200, 4, n_components=3, spread=5)
    batches = np.split(X, [100, 130, 131])
    kmeans = KMeansMixture(3, random_state=0, reg_covar=0).partial_fit(batches[0])
    centers, rows, labels = kmeans.cluster_centers_, [batches[0]], [kmeans.labels_]
    for batch in batches[1:]:
        kmeans.partial_fit(batch)
        rows.append(batch)
        labels.append(oracles.squared_distances(batch, centers).argmin(axis=1))
        kept = kept_shares([len(b) for b in rows], from_scratch=True)
        weights, centers, variances = oracles.m_step(
            np.vstack(rows),
            np.eye(3)[np.concatenate(labels)],
            centers,
            True,
            np.repeat(kept, [len(b) for b in rows]),
        )
        np.testing.assert_allclose(kmeans.weights_, weights)
        np.testing.assert_allclose(kmeans.cluster_centers_, centers)
        np.testing.assert_array_equal(kmeans.means_, kmeans.cluster_centers_)
        np.testing.assert_allclose(kmeans.covariances_, variances[:, 0])
        distances = oracles.squared_distances(batch, centers)
        np.testing.assert_array_equal(kmeans.labels_, distances.argmin(axis=1))
        assert kmeans.inertia_ == pytest.approx(distances.min(axis=1).sum())


@pytest.mark.parametrize("covariance_type", EXACT_TYPES)
def test_first_batch_is_a_fit(covariance_type):
    X = clusters()
    mixture = make(covariance_type, n_init=2)
    fitted, streamed = clone(mixture).fit(X), clone(mixture).partial_fit(X)
    np.testing.assert_array_equal(fitted.means_, streamed.means_)
    assert fitted.lower_bounds_ == streamed.lower_bounds_


def test_one_row_never_wrecks_a_model():
    X = clusters(1000, spread=4)
    far = np.full((1, 6), 12.0)
    for est in estimators(random_state=0):
        for learn in (est.fit, clone(est).partial_fit):
            est = learn(X)
            before = est.score(X)
            for _ in range(3):
                est.partial_fit(far)
            assert est.score(X) > before - 1
            assert est.partial_fit(X[:1]).score(X) > before - 1


@pytest.mark.parametrize("covariance_type", TYPES)
def test_columns_seen_later_are_learned(covariance_type):
    X = 100 + clusters(2000, 4, n_components=2, spread=4)
    X[:, 3] += 300
    first = X[:400].copy()
    first[:, 3] = np.nan
    mixture = make(covariance_type).partial_fit(first)
    for batch in np.split(X[400:], 8) * 3:
        mixture.partial_fit(batch)
    hidden = X[:400].copy()
    hidden[:, 3] = np.nan
    truth = X[:400, 3]
    observed = ~np.isnan(truth)
    # A fit to what the batches showed.
    fitted = make(covariance_type).fit(np.vstack([first, X[400:]]))
    error, error_of_fit = (
        np.sqrt(np.mean((m.transform(hidden)[observed, 3] - truth[observed]) ** 2))
        for m in (mixture, fitted)
    )
    assert error < 1.03 * error_of_fit
    assert np.isfinite(mixture.score(X))


def test_one_value_of_a_new_column_leaves_a_variance():
    X = correlated(300, 4)
    hidden = X.copy()
    hidden[:, 3] = np.nan
    for est in estimators(random_state=0):
        est.fit(hidden).partial_fit([[np.nan, np.nan, np.nan, 7.0]])
        _, std = est.complete([[0.0, np.nan, 0.0, np.nan]], return_std=True)
        assert std[0, 3] > 0.1


def test_kmeans_learns_columns_seen_later():
    X = 100 + clusters(600, 4, n_components=3, spread=5)
    first = X[:200].copy()
    first[:, 3] = np.nan
    kmeans = KMeansMixture(3, random_state=0).partial_fit(first)
    for batch in np.split(X[200:], 4) * 3:
        kmeans.partial_fit(batch)
    centers = KMeansMixture(3, init=kmeans.cluster_centers_).fit(X).cluster_centers_
    np.testing.assert_allclose(kmeans.cluster_centers_, centers, atol=0.3)


@pytest.mark.parametrize("storage", [np.array, to_sparse])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_far_from_their_first_center(storage, dtype):
    # Variances of 1 at 3e4 from the center have lost all digits of float32.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3)) + 3e4 * (np.arange(400) % 2)[:, None]
    for covariance_type in ("spherical", "diag", "full"):
        mixture = make(covariance_type).fit(storage(X[:200].astype(dtype)))
        for batch in np.split(X[200:].astype(dtype), 4):
            mixture.partial_fit(storage(batch))
        for k in range(2):
            variances = np.diag(mixture.get_covariance(k))
            np.testing.assert_allclose(variances, 1, atol=0.3)


def test_refusals_leave_the_model():
    X = clusters()
    for est in estimators(random_state=0):
        with pytest.raises(
            ValueError, match=r"minimum of 2|at most the number of rows"
        ):
            est.partial_fit(X[:1])
        assert not hasattr(est, "n_features_in_")
        before = vars(est.fit(X)).copy()
        for bad, match in [
            (X[:, :5], "5 features"),
            (np.where(X > 0, np.inf, X), "infinity|large"),
            (np.full((1, 6), 1e150), "overflow"),
        ]:
            with pytest.raises(ValueError, match=match):
                est.partial_fit(bad)
            assert vars(est) == before
        est.set_params(n_components=3)
        with pytest.raises(ValueError, match=r"partial_fit.*n_components=2"):
            est.partial_fit(X)
    mixture = make("diag").fit(X).set_params(covariance_type="full")
    with pytest.raises(ValueError, match="another covariance_type"):
        mixture.partial_fit(X)


def test_a_failed_step_leaves_the_model():
    X = np.array([[0.0], [1], [10], [11]])
    mixture = MaskedGaussianMixture(
        2, covariance_type="spherical", reg_covar=0, random_state=0
    ).partial_fit(X)
    before = vars(mixture).copy()
    with pytest.raises(ValueError, match="variance of component"):
        mixture.partial_fit(np.full((1000, 1), 1e-200), sample_weight=[1e300] * 1000)
    assert vars(mixture) == before


def test_fit_begins_anew_and_warm_start_goes_on():
    X, batch = clusters(), clusters(50, seed=1)
    for est in estimators(random_state=0):
        expected = clone(est).fit(X).means_
        np.testing.assert_array_equal(
            est.fit(batch).partial_fit(batch).fit(X).means_, expected
        )
    warm = make("diag", warm_start=True, max_iter=1000).fit(X).partial_fit(batch)
    assert np.isfinite(warm.lower_bound_)
    assert warm.fit(X).converged_


def test_lower_bound_is_the_mean_objective():
    X, batch = clusters(100), clusters(50, seed=1)
    first = start(X, 2, "diag")
    mixture = MaskedGaussianMixture(**first, max_iter=1, tol=0).fit(X)
    bound, batch_score = mixture.lower_bound_, mixture.score(batch)
    mixture.partial_fit(batch)
    assert mixture.lower_bound_ == pytest.approx((100 * bound + 50 * batch_score) / 150)


@pytest.mark.parametrize(
    ("params", "n_factors"),
    [
        ({"covariance_type": "spherical", "n_init": 5}, 0),
        # The first batch alone supports two of these factors.
        pytest.param(
            {"covariance_type": "factor", "n_factors": 5}, 3, marks=pytest.mark.slow
        ),
    ],
)
def test_streams_end_where_fit_ends(params, n_factors):
    ratings = make_ratings(
        20_000, n_types=4, n_factors=n_factors, random_state=0
    ).data.tocoo()
    rng = np.random.default_rng(0)
    held = rng.random(ratings.nnz) < 0.1
    kept, entries = (
        (ratings.data[part], (ratings.row[part], ratings.col[part]))
        for part in (~held, held)
    )
    X = sparse.csr_array(kept, shape=ratings.shape)

    def error(mixture):
        residuals = mixture.complete(X, entries=entries[1]) - entries[0]
        return np.sqrt(np.mean(residuals**2))

    mixture = MaskedGaussianMixture(4, random_state=0, max_iter=300, **params)
    fit_error = error(clone(mixture).fit(X))
    batches = [X[rows] for rows in np.array_split(rng.permutation(20_000), 20)]
    for passes, tolerance in [(1, 1.01), (3, 1.002)]:
        for _ in range(passes):
            for batch in batches:
                mixture.partial_fit(batch)
        assert error(mixture) < tolerance * fit_error
