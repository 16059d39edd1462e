# SPDX-License-Identifier: BSD-3-Clause
"""make_ratings: the ratings follow the model that their docstring states."""

import numpy as np
import pytest

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings


def test_observed_ratings_are_those_of_the_complete_matrix():
    ratings = make_ratings(80, 30, random_state=0)
    coo = ratings.data.tocoo()
    np.testing.assert_array_equal(ratings.complete[coo.row, coo.col], coo.data)
    assert ratings.complete.min() >= 1
    assert ratings.complete.max() <= 5
    assert ratings.types.max() == 3
    assert ratings.tastes.shape == (80, 3)


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9, 1.0])
def test_density_and_popularity(density):
    ratings = make_ratings(2000, 40, density=density, random_state=0)
    assert ratings.data.nnz / ratings.complete.size == pytest.approx(density, rel=0.05)
    assert ratings.popularity.mean() == pytest.approx(density)
    shares = np.bincount(ratings.data.tocoo().col, minlength=40) / 2000
    np.testing.assert_allclose(shares, ratings.popularity, atol=0.05)
    if density < 1:
        assert ratings.popularity.max() > 1.1 * ratings.popularity.min()


def test_noise_and_scale_without_a_range():
    ratings = make_ratings(
        1000, 200, n_types=50, noise=0.3, rating_range=None, random_state=0
    )
    noise = ratings.complete - ratings.expected
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert ratings.expected.std() == pytest.approx(1, rel=0.15)


def test_range_sets_middle_and_scale():
    plain = make_ratings(50, 20, rating_range=None, noise=0, random_state=0)
    scaled = make_ratings(50, 20, rating_range=(-10, 10), noise=0, random_state=0)
    np.testing.assert_allclose(scaled.expected, plain.expected * 20 / 6)
    np.testing.assert_array_equal(scaled.complete, scaled.expected.clip(-10, 10))


def test_types_without_factors_are_a_spherical_mixture():
    ratings = make_ratings(
        2000, 60, n_types=3, n_factors=0, density=0.5, rating_range=None, random_state=0
    )
    np.testing.assert_array_equal(ratings.expected, ratings.type_means[ratings.types])
    assert ratings.tastes.shape == (2000, 0)
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", n_init=3, random_state=0
    ).fit(ratings.data)
    found = mixture.predict(ratings.data)
    order = [np.bincount(found[ratings.types == k]).argmax() for k in range(3)]
    np.testing.assert_allclose(mixture.covariances_, 0.25, rtol=0.03)
    np.testing.assert_allclose(mixture.means_[order], ratings.type_means, atol=0.15)


def test_type_means_are_the_middle_of_the_users():
    ratings = make_ratings(6000, 20, n_types=2, random_state=0)
    for k in range(2):
        mean = ratings.expected[ratings.types == k].mean(axis=0)
        np.testing.assert_allclose(mean, ratings.type_means[k], atol=0.06)


def test_seed():
    first, second = (make_ratings(30, 10, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(first.data.toarray(), second.data.toarray())
    other = make_ratings(30, 10, random_state=2)
    assert not np.array_equal(first.complete, other.complete)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"density": 0}, "'density' parameter"),
        ({"n_types": 0}, "'n_types' parameter"),
        ({"rating_range": (5, 1)}, r"low < high, but got \(5, 1\)"),
        ({"rating_range": (1, 2, 3)}, "low, high"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        make_ratings(**params)
