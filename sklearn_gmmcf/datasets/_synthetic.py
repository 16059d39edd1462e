# SPDX-License-Identifier: BSD-3-Clause
"""make_ratings: ratings whose truth is known."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch, check_random_state

from sklearn_gmmcf._sklearn import Interval, validate_params
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.ratings import check_rating_range

# Share of the items' quality, on which all users agree, in the variance of expected
# ratings, and share of the type in the variance of a user's tastes.
_AGREEMENT = 0.36
_TYPE_SHARE = 0.5
# Power of an item's rank with which its chance to be rated falls.
_POPULARITY_DECAY = 0.8


@validate_params(
    {
        "n_users": [Interval(Integral, 1, None, closed="left")],
        "n_items": [Interval(Integral, 1, None, closed="left")],
        "n_types": [Interval(Integral, 1, None, closed="left")],
        "n_factors": [Interval(Integral, 0, None, closed="left")],
        "density": [Interval(Real, 0, 1, closed="right")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "rating_range": [tuple, list, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_ratings(
    n_users: int = 500,
    n_items: int = 100,
    *,
    n_types: int = 4,
    n_factors: int = 3,
    density: float = 0.1,
    noise: float = 0.5,
    rating_range: tuple[float, float] | None = (1, 5),
    random_state: Any = None,
) -> Bunch:
    r"""Make ratings of items by types of users, with the truth.

    User :math:`i` of type :math:`k_i` (types are equally likely) has tastes
    :math:`z_i \sim N(c_{k_i}, I/2)` and rates item :math:`j`

    .. math:: x_{ij} = c + s (0.6 q_j + 0.8 z_i \cdot w_j) + \epsilon_{ij}

    where the quality :math:`q_j`, the loadings :math:`w_j` and the middle tastes of the
    types :math:`c_k` are normal, :math:`c` is the middle of the range, :math:`s` a
    sixth of its width, and :math:`\epsilon_{ij}` is noise. Ratings outside the range
    are clipped. The chance that an entry is observed depends on the popularity of the
    item, not on the rating.

    Parameters
    ----------
    n_users, n_items : int, default=500 and 100
        Numbers of rows and columns.

    n_types : int, default=4
        Number of types of users.

    n_factors : int, default=3
        Number of tastes of each user. With 0 all users of a type have the same expected
        ratings: a spherical mixture of `n_types` components.

    density : float, default=0.1
        Expected share of observed entries.

    noise : float, default=0.5
        Standard deviation of a rating about its expectation, in units of ratings.

    rating_range : tuple (low, high) or None, default=(1, 5)
        Range of the ratings. None sets no range: expected ratings have mean 0 and
        standard deviation about 1.

    random_state : int, RandomState instance or None, default=None
        Seeds all draws.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        The ratings, with the attributes:

        data : csr_array of shape (n_users, n_items)
            The observed ratings.
        complete : ndarray of shape (n_users, n_items)
            All ratings, the observed ones among them.
        expected : ndarray of shape (n_users, n_items)
            Ratings without noise and before clipping.
        types : ndarray of shape (n_users,)
            The type of each user.
        type_means : ndarray of shape (n_types, n_items)
            Expected ratings of a user with the middle tastes of each type.
        tastes : ndarray of shape (n_users, n_factors)
            The tastes of each user.
        popularity : ndarray of shape (n_items,)
            The chance of each item to be rated.

    Raises
    ------
    ValueError
        If `rating_range` is not (low, high).

    See Also
    --------
    fetch_movielens : Ratings by users of MovieLens.
    sklearn_gmmcf.model_selection.hide_entries : Hide observed entries.

    Examples
    --------
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> ratings = make_ratings(200, 50, n_types=3, density=0.2, random_state=0)
    >>> ratings.data.shape
    (200, 50)
    >>> bool(ratings.complete.min() >= 1 and ratings.complete.max() <= 5)
    True
    """
    if rating_range is None:
        middle, scale = 0.0, 1.0
    else:
        low, high = check_rating_range(rating_range)
        middle, scale = (low + high) / 2, (high - low) / 6
    rng = check_random_state(random_state)
    types = rng.randint(n_types, size=n_users)
    quality = rng.standard_normal(n_items)
    tastes, likings, type_likings = _draw_tastes(
        types, n_items, n_types, n_factors, rng
    )

    def in_range(likings: Array) -> Array:
        agreed = np.sqrt(_AGREEMENT) * quality
        return middle + scale * (agreed + np.sqrt(1 - _AGREEMENT) * likings)

    expected = in_range(likings)
    complete = expected + noise * rng.standard_normal(expected.shape)
    if rating_range is not None:
        np.clip(complete, low, high, out=complete)
    popularity = _popularity(n_items, density, rng)
    rows, columns = np.nonzero(rng.uniform(size=complete.shape) < popularity)
    return Bunch(
        data=sparse.csr_array(
            (complete[rows, columns], (rows, columns)), shape=complete.shape
        ),
        complete=complete,
        expected=expected,
        types=types,
        type_means=in_range(type_likings),
        tastes=tastes,
        popularity=popularity,
    )


def _draw_tastes(
    types: Array, n_items: int, n_types: int, n_factors: int, rng: np.random.RandomState
) -> tuple[Array, Array, Array]:
    """Tastes (n, q) of users, and the likings of users (n, d) and types (K, d)."""
    n_users = len(types)
    if n_factors == 0:
        type_likings = rng.standard_normal((n_types, n_items))
        return np.zeros((n_users, 0)), type_likings[types], type_likings
    loadings = rng.standard_normal((n_items, n_factors)) / np.sqrt(n_factors)
    middles = np.sqrt(_TYPE_SHARE) * rng.standard_normal((n_types, n_factors))
    spread = np.sqrt(1 - _TYPE_SHARE) * rng.standard_normal((n_users, n_factors))
    tastes = middles[types] + spread
    return tastes, tastes @ loadings.T, middles @ loadings.T


def _popularity(n_items: int, density: float, rng: np.random.RandomState) -> Array:
    """Chances of the items to be rated, falling with a random rank, mean `density`."""
    ranks = rng.permutation(n_items) + 1
    weights = ranks**-_POPULARITY_DECAY
    scale = density / weights.mean()
    # A chance is at most 1; other items get the rest of the popular items' share.
    for _ in range(100):
        popularity = np.minimum(scale * weights, 1.0)
        if np.isclose(popularity.mean(), density, rtol=1e-9):
            break
        free = popularity < 1
        if not free.any():
            break
        scale = (density * n_items - (~free).sum()) / weights[free].sum()
    return popularity
