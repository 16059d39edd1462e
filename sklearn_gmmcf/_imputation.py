# SPDX-License-Identifier: BSD-3-Clause
r"""Multiple imputation: models drawn from their posterior, and donors of entries.

Data augmentation (Tanner and Wong 1987; Schafer 1997) draws missing entries and
components under the current parameters, and parameters from their posterior given the
completed rows, in turn. Given the parameters, rows do not depend on each other, so that
only parameters are kept from one sweep to the next.

Families without a posterior to draw from are fitted to rows with the weights
:math:`n \, \mathrm{Dirichlet}(1, \ldots, 1)` instead, the Bayesian bootstrap (Rubin
1981).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import reduce
from itertools import islice, repeat
from operator import add
from typing import Any

import numpy as np

from sklearn_gmmcf._model import Model
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance._family import chunks
from sklearn_gmmcf.data import (
    Block,
    Observed,
    allocate,
    limit_to_working_memory,
    observe,
)

# Sweeps before the first draw; between two draws; and where two columns (or one) miss
# more than this share of the rows together, so that the parameters move slowly.
_FIRST_SWEEPS = 5
_SWEEPS = 2
_MAX_SHARE = 0.4
_MANY_SWEEPS = 10
# Expectations that differ by less, in units of their column, are equal.
_DIGITS = 10
_DONOR_BYTES = 2**24

# Parameters that are fitted to rows with these weights, from the current ones.
Refit = Callable[[Observed], Any]


def impute(
    model: Model,
    data: Observed,
    n_draws: int,
    rng: np.random.RandomState,
    *,
    entries: tuple[Array, Array] | None,
    refit: Refit | None,
    n_donors: int | None,
) -> Array:
    """Draws of the missing entries, (n_draws, n, d), or of some entries, (n_draws, m).

    Parameters
    ----------
    refit : callable or None
        None takes the parameters as they are; else they are drawn anew for each draw.
    n_donors : int or None
        None draws from the model; else an observed value of the column is drawn, of
        this many whose expectations are nearest.
    """
    if refit is None and n_donors is None:
        if entries is None:
            return model.draw(data, n_draws, rng)
        return model.draw_entries(data, *entries, n_draws, rng)
    models = (
        repeat(model, n_draws)
        if refit is None
        else draw_models(model, data, n_draws, rng, refit)
    )
    tables = (
        _draw_entries(models, data, entries, rng)
        if n_donors is None
        else _draw_donors(model, models, data, entries, n_donors, rng)
    )
    shape = data.shape if entries is None else entries[0].shape
    draws = allocate((n_draws, *shape), data.dtype)
    for target, drawn in zip(draws, tables, strict=True):
        target[:] = drawn
    return draws


def _draw_entries(
    models: Iterable[Model],
    data: Observed,
    entries: tuple[Array, Array] | None,
    rng: np.random.RandomState,
) -> Iterator[Array]:
    for model in models:
        if entries is None:
            yield model.draw(data, 1, rng)[0]
        else:
            yield model.draw_entries(data, *entries, 1, rng)[0]


def _draw_donors(
    fitted: Model,
    models: Iterable[Model],
    data: Observed,
    entries: tuple[Array, Array] | None,
    n_donors: int,
    rng: np.random.RandomState,
) -> Iterator[Array]:
    observed = _find_observed(data)
    for model in models:
        completed = model.draw(data, 1, rng)[0]
        _take_donors(completed, observed, fitted, model, n_donors, rng)
        yield completed if entries is None else completed[entries]


def draw_models(
    model: Model,
    data: Observed,
    n_draws: int,
    rng: np.random.RandomState,
    refit: Refit,
) -> Iterator[Model]:
    """The model with parameters drawn from their posterior given the data."""
    # Kept centered, as it is read many times.
    data = data.take(np.arange(data.shape[0]), data.weights)
    draws = (
        _augment(model, data, rng)
        if model.family.draws_parameters
        else _bootstrap(data, rng, refit)
    )
    for parameters in islice(draws, n_draws):
        yield replace(model, parameters=parameters)


def _bootstrap(
    data: Observed, rng: np.random.RandomState, refit: Refit
) -> Iterator[Any]:
    n = data.shape[0]
    while True:
        yield refit(data.reweighted(n * rng.dirichlet(np.ones(n))))


def _augment(model: Model, data: Observed, rng: np.random.RandomState) -> Iterator[Any]:
    family, parameters = model.family, model.parameters
    n_between = _count_sweeps(data)
    n_sweeps = max(_FIRST_SWEEPS, n_between)
    while True:
        for _ in range(n_sweeps):
            blocks = data.blocks()
            statistics = reduce(
                add, (family.draw_statistics(parameters, b, rng) for b in blocks)
            )
            parameters = family.draw_parameters(statistics, model.parameters, rng)
        yield parameters
        n_sweeps = n_between


def _count_sweeps(data: Observed) -> int:
    """Sweeps between two draws, by the two columns that are seen together least."""
    together = data.total(_count_pairs)
    known = np.diag(together) > 0
    rows = data.total(lambda block: float((block.counts > 0).sum()))
    least = together[known][:, known].min(initial=rows)
    return _MANY_SWEEPS if least < (1 - _MAX_SHARE) * rows else _SWEEPS


def _count_pairs(block: Block) -> Array:
    """Rows (d, d) that observe two columns, and on the diagonal one."""
    observed = block.dense()[1].astype(np.float64)
    return observed.T @ observed


def _find_observed(data: Observed) -> Array:
    """Which entries are observed, (n, d); those of covariates, too."""
    observed = np.ones(data.shape, dtype=bool)
    for block in data.blocks():
        rows, columns = block.missing()
        observed[block.rows][rows, columns] = False
        covariates = data.columns.covariates
        if len(covariates):
            _, given = data.read_columns(block.rows, covariates)
            observed[block.rows, covariates] = given
    return observed


def _take_donors(
    completed: Array,
    observed: Array,
    fitted: Model,
    drawn: Model,
    n_donors: int,
    rng: np.random.RandomState,
) -> None:
    """Replace drawn entries by observed values of their columns, in place.

    Predictive mean matching, column by column: entries are compared by their
    expectations given the rest of their completed row, donors under the fitted
    parameters, missing entries under drawn ones. The rest holds the donors of columns
    before, so that entries of a row that are missing together stay correlated.
    """
    columns = fitted.columns
    unread = ~observed & ~columns.modeled
    given = completed[unread]  # markers of missing covariates
    completed[unread] = np.nan
    for j in np.flatnonzero(columns.modeled & ~observed.all(axis=0)).tolist():
        donors, rows = np.flatnonzero(observed[:, j]), np.flatnonzero(~observed[:, j])
        if not donors.size:
            continue
        values = completed[:, j].copy()
        completed[:, j] = np.nan
        data = observe(completed, columns=columns, **fitted.block_options)
        unit = columns.units[j] or 1.0
        offered, wanted = (
            np.round(_expect(*each, data, j) / unit, _DIGITS)
            for each in ((fitted, donors), (drawn, rows))
        )
        found = _find_donors(offered, wanted, n_donors, rng)
        values[rows] = values[donors[found]]
        completed[:, j] = values
    completed[unread] = given


def _expect(model: Model, rows: Array, data: Observed, column: int) -> Array:
    entries = rows, np.full(len(rows), column)
    return data.at_entries(model.expected_entries, entries, np.float64)[0]


def _find_donors(
    offered: Array, wanted: Array, n_donors: int, rng: np.random.RandomState
) -> Array:
    """Indices (m,) of offered values (p,), each drawn from the nearest of a wanted one.

    Of values at the same distance as the last of the nearest, each is as likely as the
    others, however many there are.
    """
    order = np.argsort(offered)
    offered = offered[order]
    n_donors = min(n_donors, len(offered))
    uniform = rng.uniform(size=len(wanted))
    found = np.empty(len(wanted), dtype=np.intp)
    n_bytes = limit_to_working_memory(_DONOR_BYTES)
    for part in chunks(len(wanted), max(n_bytes // (8 * 8 * n_donors), 1)):
        found[part] = _draw_nearest(offered, wanted[part], n_donors, uniform[part])
    return order[found]


def _draw_nearest(
    offered: Array, wanted: Array, n_donors: int, uniform: Array
) -> Array:
    """Indices of ascending values; see `_find_donors`."""
    around = np.searchsorted(offered, wanted)[:, None]
    around = around + np.arange(-n_donors, n_donors)
    inside = (around >= 0) & (around < len(offered))
    around = np.clip(around, 0, len(offered) - 1)
    distances = np.where(inside, np.abs(offered[around] - wanted[:, None]), np.inf)
    last = np.partition(distances, n_donors - 1, axis=1)[:, [n_donors - 1]]
    # Ranges of the values that are nearer than the last, and at most as far.
    nearer, near = distances < last, distances <= last
    n_nearer = nearer.sum(axis=1)
    each = np.arange(len(wanted))
    start = around[each, nearer.argmax(axis=1)]
    low = offered[around[each, near.argmax(axis=1)]]
    high = offered[around[each, 2 * n_donors - 1 - near[:, ::-1].argmax(axis=1)]]
    low, high = np.searchsorted(offered, low), np.searchsorted(offered, high, "right")
    position = uniform * n_donors
    n_ties = high - low - n_nearer
    tie = np.floor((position - n_nearer) / (n_donors - n_nearer) * n_ties)
    tie = low + np.minimum(tie, n_ties - 1).astype(np.intp)
    tie += np.where(tie < start, 0, n_nearer)
    return np.where(position < n_nearer, start + position.astype(np.intp), tie)
