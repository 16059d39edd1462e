# SPDX-License-Identifier: BSD-3-Clause
"""The family that suits the shape of the data: ``covariance_type='auto'``."""

from __future__ import annotations

from sklearn_gmmcf.data import Blocks

# Columns beyond which covariance matrices cost too much and rest on too few rows each.
_MAX_COLUMNS = 100
# Rows a column that a covariance matrix needs where entries are missing.
_ROWS_PER_COLUMN = 5


def choose_family(data: Blocks) -> str:
    """Name of the family for data that say nothing else: 'full' or 'factor'.

    Columns that were never observed do not count, and weights count as repetition.
    """
    n_columns = int(data.columns.known.sum())
    if n_columns > _MAX_COLUMNS:
        return "factor"
    if data.weights.sum() >= _ROWS_PER_COLUMN * n_columns:
        return "full"
    n_observed = data.total(lambda block: block.counts.sum())
    return "full" if n_observed == n_columns * data.shape[0] else "factor"
