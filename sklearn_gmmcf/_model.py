# SPDX-License-Identifier: BSD-3-Clause
"""Every question to a fitted mixture, as functions of a model and blocks of rows.

A question runs wherever the data lie: ``data.map(model.log_density)`` works here, on
threads and on Dask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sklearn_gmmcf._ranking import Ranking, list_best
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.covariance import Family, to_responsibilities
from sklearn_gmmcf.data import (
    Block,
    Blocks,
    Columns,
    Observed,
    RowArray,
    allocate,
    limit_to_working_memory,
)

# Bytes of the completed rows that are worked on together.
_COMPLETED_BYTES = 2**23


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted mixture, in centered units.

    Methods that take a block answer for its rows; they have no state and are sent to
    where the blocks lie.
    """

    family: Family[Any, Any]
    parameters: Any
    columns: Columns

    @property
    def n_components(self) -> int:
        return len(self.parameters.weights)

    @property
    def n_columns(self) -> int:
        return len(self.columns.known)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters; unknown columns count none."""
        n_columns = int(self.columns.known.sum())
        return self.family.n_parameters(self.parameters, n_columns)

    @property
    def block_options(self) -> dict[str, Any]:
        """The blocks that the family asks for, as options of `observe`."""
        return get_block_options(self.family)

    @property
    def max_completed_rows(self) -> int:
        """Number of completed rows that are worked on together."""
        n_bytes = limit_to_working_memory(_COMPLETED_BYTES)
        return max(n_bytes // (8 * self.n_columns), 1)

    def attributes(self) -> dict[str, Any]:
        """Fitted attributes by name, in the units of the data."""
        return self.family.attributes(self.parameters, self.columns)

    def log_joint(self, block: Block) -> Array:
        """Log of weight times density of the observed entries, (K, n)."""
        return self.family.log_joint(self.parameters, block)

    def log_density(self, block: Block) -> tuple[Array]:
        """Log-density of the observed entries of each row, (n,)."""
        return (to_responsibilities(self.log_joint(block)),)

    def responsibilities(self, block: Block) -> tuple[Array]:
        """Probability of each component given the observed entries, (n, K)."""
        log_joint = self.log_joint(block)
        to_responsibilities(log_joint)
        return (log_joint.T,)

    def labels(self, block: Block) -> tuple[Array]:
        """The most probable component of each row, (n,)."""
        return (self.log_joint(block).argmax(axis=0),)

    def row_weights(self, block: Block) -> tuple[Array]:
        """How much each row counts in a fit, (n,)."""
        return (self.family.row_weights(self.parameters, block),)

    def row_factors(self, block: Block) -> tuple[Array]:
        """Expected latent factors of each row, (n, r)."""
        return (self.family.row_factors(self.parameters, block),)  # type: ignore[attr-defined]

    def complete(
        self, dtype: np.dtype[Any], with_std: bool, block: Block
    ) -> tuple[Array, ...]:
        """Completed rows and the standard deviations of their entries, (n, d)."""
        means, variances = self.family.complete_rows(
            self.parameters, block, with_variance=with_std
        )
        completed = (means + self.columns.center).astype(dtype, copy=False)
        block.restore(completed)
        if variances is None:
            return (completed,)
        std = np.sqrt(variances).astype(dtype, copy=False)
        block.restore(std, value=0.0)
        return completed, std

    def complete_entries(
        self, with_std: bool, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, ...]:
        """Entries (m,) and their standard deviations."""
        completed, observed = block.lookup(rows, columns)
        std = np.zeros(len(rows), dtype=completed.dtype)
        missing = np.flatnonzero(~observed)
        if missing.size:
            j = columns[missing]
            means, variances = self.family.complete_entries(
                self.parameters, block, rows[missing], j, with_variance=with_std
            )
            completed[missing] = means + self.columns.center[j]
            if variances is not None:
                std[missing] = np.sqrt(variances)
        return (completed, std) if with_std else (completed,)

    def expected_entries(
        self, block: Block, rows: Array, columns: Array
    ) -> tuple[Array]:
        """Completions (m,) of missing entries, less the centers of their columns."""
        means, _ = self.family.complete_entries(
            self.parameters, block, rows, columns, with_variance=False
        )
        return (means,)

    def log_density_entries(
        self, block: Block, rows: Array, columns: Array, values: Array
    ) -> tuple[Array, Array]:
        """Log-densities (m,) of values of missing entries, and which are observed."""
        ask = self.family.log_density_entries
        return self._judge(ask, block, rows, columns, values)

    def cdf_entries(
        self, block: Block, rows: Array, columns: Array, values: Array
    ) -> tuple[Array, Array]:
        """Probabilities (m,) to be at most some values, and which are observed."""
        ask = self.family.cdf_entries
        below, observed = self._judge(ask, block, rows, columns, values)
        # Responsibilities may add up to more than 1 by rounding.
        return np.clip(below, 0.0, 1.0), observed

    def _judge(
        self,
        ask: Callable[..., Array],
        block: Block,
        rows: Array,
        columns: Array,
        values: Array,
    ) -> tuple[Array, Array]:
        """Answers (m,) of the family for values of missing entries; 0 for others."""
        _, observed = block.lookup(rows, columns)
        answers = np.zeros(len(rows))
        missing = np.flatnonzero(~observed)
        if missing.size:
            j = columns[missing]
            centered = values[missing] - self.columns.center[j]
            answers[missing] = ask(self.parameters, block, rows[missing], j, centered)
        return answers, observed

    def largest(
        self,
        dtype: np.dtype[Any],
        ranking: Ranking,
        with_std: bool,
        block: Block,
        *choices: Any,
    ) -> tuple[Array, ...]:
        """Columns, completions and deviations of the best entries, (n, n_items).

        Columns are -1 and the others NaN where fewer are left. Choices of columns by
        row are CSR (n, d).
        """
        completed, *std = self.complete(dtype, with_std or ranking.needs_std, block)
        propensities = None
        if ranking.needs_propensities:
            propensities = self.family.propensities(self.parameters, block)
        spread = std[0] if ranking.needs_std else None
        scores = ranking.score(completed, spread, propensities)
        if ranking.exclude_observed:
            block.restore(scores, value=-np.inf)
        scores[:, self.columns.covariates] = -np.inf
        ranking.leave_out(scores, choices)
        return list_best(scores, ranking.n_items, completed, *std[: int(with_std)])

    def complete_all(self, data: Blocks, with_std: bool) -> tuple[Any, ...]:
        """The completed matrix and the standard deviations, block by block."""
        width = RowArray((self.n_columns,), data.dtype)
        return data.row_arrays(
            partial(self.complete, data.dtype, with_std),
            *([width] * (1 + with_std)),
            max_rows=self.max_completed_rows,
        )

    def draw(self, data: Observed, n_draws: int, rng: np.random.RandomState) -> Array:
        """Completed matrices with draws of the missing entries, (n_draws, n, d)."""
        completions = allocate((n_draws, *data.shape), data.dtype)
        shared = self.family.draw_shared(self.parameters, n_draws, rng)
        for block in data.blocks(self.max_completed_rows):
            rows, columns = block.missing()
            drawn = self._draw(shared, block, rows, columns, rng)
            for completed, values in zip(completions, drawn, strict=True):
                completed[block.rows][rows, columns] = values
                block.restore(completed[block.rows])
        return completions

    def draw_entries(
        self,
        data: Observed,
        rows: Array,
        columns: Array,
        n_draws: int,
        rng: np.random.RandomState,
    ) -> Array:
        """Draws of entries, (n_draws, m); observed ones as they are."""
        # An entry that is asked twice is drawn once.
        flat_indices, back = np.unique(
            rows * self.n_columns + columns, return_inverse=True
        )
        rows, columns = np.divmod(flat_indices, self.n_columns)
        shared = self.family.draw_shared(self.parameters, n_draws, rng)
        values, observed = data.lookup(rows, columns)
        completions = np.repeat(values[None], n_draws, axis=0)
        missing = np.flatnonzero(~observed)
        for block, inside in _missing_by_block(data, rows, missing):
            completions[:, inside] = self._draw(
                shared, block, rows[inside] - block.rows.start, columns[inside], rng
            )
        return completions[:, back]

    def _draw(
        self,
        shared: Any,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        drawn = self.family.draw(self.parameters, shared, block, rows, columns, rng)
        return drawn + self.columns.center[columns]

    def sample(self, n_samples: int, rng: np.random.RandomState) -> tuple[Array, Array]:
        """Rows drawn from the mixture, and their components."""
        sizes = rng.multinomial(n_samples, self.parameters.weights)
        rows = np.vstack(self.family.sample(self.parameters, sizes, rng))
        return rows + self.columns.center, np.repeat(np.arange(len(sizes)), sizes)

    def distinguish(self, n_columns: int | None) -> tuple[Array, Array, Array, Array]:
        """The columns whose means set each component apart, K * n_columns of them.

        Returns
        -------
        components, columns : ndarray of int
            By component, and then by the size of the deviation.
        means, deviations : ndarray
            Means in the units of the data; their distances from the columns' means in
            the columns' standard deviations, 0 for a constant column.
        """
        columns = np.flatnonzero(self.columns.known)
        means = self.attributes()["means_"][:, columns]
        spreads = np.sqrt(self.columns.variances[columns])
        deviations = np.divide(
            means - self.columns.center[columns],
            spreads,
            out=np.zeros_like(means),
            where=spreads > 0,
        )
        order = np.argsort(-np.abs(deviations), axis=1, kind="stable")[:, :n_columns]
        components = np.repeat(np.arange(len(order)), order.shape[1])
        order = order.ravel()
        return (
            components,
            columns[order],
            means[components, order],
            deviations[components, order],
        )

    def covariance(self, component: int, columns: Array) -> Array:
        """Covariance matrix of some columns of a component's rows."""
        return self.family.covariance(self.parameters, component, columns)


def get_block_options(family: Family[Any, Any]) -> dict[str, Any]:
    """The blocks that a family asks for, as options of `observe`."""
    return {"needs_patterns": family.needs_patterns, "max_rows": family.max_rows}


def _missing_by_block(
    data: Observed, rows: Array, missing: Array
) -> Iterator[tuple[Block, Array]]:
    """Blocks that hold some missing entries (ascending rows), and which."""
    for block in data.blocks(touching=rows[missing]):
        bounds = np.searchsorted(rows[missing], (block.rows.start, block.rows.stop))
        yield block, missing[slice(*bounds)]
