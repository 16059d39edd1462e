# SPDX-License-Identifier: BSD-3-Clause
"""Leading singular vectors of damped matrices, by subspace iterations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._family import check_in_range
from sklearn_gmmcf.data import Block, Observed


def find_directions(
    data: Observed,
    covary: Callable[[Array, Block], Array],
    scale: Array,
    n_directions: int,
    n_passes: int,
) -> tuple[Array, Array]:
    """Leading right singular vectors (q, d), times a scale, and singular values (q,).

    Directions of negligible values are left out.

    Parameters
    ----------
    covary : callable
        Multiplies directions (q, d) with a block of the matrix and back.
    scale : ndarray of shape (d,)
        Factors of the columns of the matrix.
    """
    known = data.columns.known
    directions = np.zeros((n_directions, len(known)))
    # The seed is fixed, and unknown columns draw nothing, so that a column without
    # observations changes no fit.
    rng = np.random.default_rng(0)
    directions[:, known] = rng.standard_normal((int(known.sum()), n_directions)).T
    values = np.ones(n_directions)
    for _ in range(n_passes):
        products = data.total(partial(covary, directions * scale))
        check_in_range(products)
        basis, triangle = np.linalg.qr((products * scale)[:, known].T)
        rotation, squares, _ = np.linalg.svd(triangle)
        directions[:, known], values = (basis @ rotation).T, np.sqrt(squares)
    strong = values > np.sqrt(np.finfo(data.dtype).eps) * values[0]
    return (directions * scale)[strong], values[strong]
