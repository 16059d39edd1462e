"""Data sets whose truth is known."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch, check_random_state

from sklearn_gmmcf._sklearn import Interval, validate_params

# Shares of what all users agree on in the variance of expected ratings, and of the
# type in that of a user's tastes.
_AGREEMENT = 0.36
_TYPE_SHARE = 0.5
# How the chance to be rated falls with an item's rank.
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
    n_users=500,
    n_items=100,
    *,
    n_types=4,
    n_factors=3,
    density=0.1,
    noise=0.5,
    rating_range=(1, 5),
    random_state=None,
):
    r"""Make ratings of items by types of users, with the truth.

    User :math:`i` of type :math:`k_i` (types are equally likely) has tastes
    :math:`z_i \sim N(c_{k_i}, I/2)` and rates item :math:`j`

    .. math:: x_{ij} = c + s (0.6 q_j + 0.8 z_i \cdot w_j) + \epsilon_{ij}

    where the quality :math:`q_j`, the loadings :math:`w_j` and the places of the types
    :math:`c_k` are normal, :math:`c` is the middle of the range, :math:`s` a sixth of
    its width, and :math:`\epsilon_{ij}` is noise. Ratings outside the range are
    clipped. Which entries are observed depends on the popularity of the item, not on
    the rating.

    Parameters
    ----------
    n_users, n_items : int, default=500 and 100
        Numbers of rows and columns.

    n_types : int, default=4
        Number of types of users.

    n_factors : int, default=3
        Number of tastes. With 0 all users of a type expect to rate alike: a spherical
        mixture of `n_types` components.

    density : float, default=0.1
        Expected share of observed entries.

    noise : float, default=0.5
        Standard deviation of a rating about its expectation, in units of ratings.

    rating_range : tuple (low, high) or None, default=(1, 5)
        Range of the ratings. None is no range: expectations have mean 0 and standard
        deviation about 1.

    random_state : int, RandomState instance or None, default=None
        Seeds all draws.

    Returns
    -------
    ratings : :class:`~sklearn.utils.Bunch`
        data : csr_array of shape (n_users, n_items)
            The observed ratings.
        complete : ndarray of shape (n_users, n_items)
            All ratings, the observed ones among them.
        expected : ndarray of shape (n_users, n_items)
            Ratings without noise and before clipping.
        types : ndarray of shape (n_users,)
            The type of each user.
        type_means : ndarray of shape (n_types, n_items)
            Expected ratings of each type, those of its middle taste.
        tastes : ndarray of shape (n_users, n_factors)
            The place of each user.
        popularity : ndarray of shape (n_items,)
            The chance of each item to be rated.

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
        low, high = _check_range(rating_range)
        middle, scale = (low + high) / 2, (high - low) / 6
    rng = check_random_state(random_state)
    types = rng.randint(n_types, size=n_users)
    quality = rng.standard_normal(n_items)
    if n_factors == 0:
        tastes = np.zeros((n_users, 0))
        likings = rng.standard_normal((n_types, n_items))
        user_likings = likings[types]
    else:
        loadings = rng.standard_normal((n_items, n_factors)) / np.sqrt(n_factors)
        places = np.sqrt(_TYPE_SHARE) * rng.standard_normal((n_types, n_factors))
        tastes = places[types] + np.sqrt(1 - _TYPE_SHARE) * rng.standard_normal(
            (n_users, n_factors)
        )
        likings, user_likings = places @ loadings.T, tastes @ loadings.T

    def in_range(likings):
        agreed = np.sqrt(_AGREEMENT) * quality
        return middle + scale * (agreed + np.sqrt(1 - _AGREEMENT) * likings)

    expected = in_range(user_likings)
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
        type_means=in_range(likings),
        tastes=tastes,
        popularity=popularity,
    )


def _check_range(rating_range):
    if len(rating_range) != 2 or not rating_range[0] < rating_range[1]:
        raise ValueError(
            f"rating_range should be (low, high) with low < high, but got "
            f"{rating_range!r}."
        )
    return rating_range


def _popularity(n_items, density, rng):
    """Chances of the items to be rated, falling with a random rank, mean `density`."""
    ranks = rng.permutation(n_items) + 1
    weights = ranks**-_POPULARITY_DECAY
    scale = density / weights.mean()
    # A chance is at most 1; what is cut off the popular items goes to the others.
    for _ in range(100):
        popularity = np.minimum(scale * weights, 1.0)
        if np.isclose(popularity.mean(), density, rtol=1e-9):
            break
        free = popularity < 1
        if not free.any():
            break
        scale = (density * n_items - (~free).sum()) / weights[free].sum()
    return popularity
