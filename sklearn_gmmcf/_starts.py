# SPDX-License-Identifier: BSD-3-Clause
"""Where EM and Lloyd's iterations begin, on data with missing entries.

Rows are drawn by inverse CDF over groups of equal rows in an order of their content
(`Observed.row_groups`), so that neither the order of the rows nor repetition instead
of weight changes a start. Several starts are made at once: a product with the centers
of all costs less than one product for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from sklearn_gmmcf._em import run_em
from sklearn_gmmcf._lloyd import mean_variance, squared_distances
from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.covariance import Family, Student
from sklearn_gmmcf.covariance._family import UserInit
from sklearn_gmmcf.data import Block, Observed, one_hot

# Data of at least this many times as many rows are sampled for a start.
_MIN_RATIO = 4
# EM goes on from where k-means stops, so it need not converge.
_LLOYD_PASSES = 10
# k-means learns its centers from this many rows for each component, at least from this
# many in all, and from the columns of most entries if these were too many values.
_LLOYD_ROWS_EACH = 100
_LLOYD_ROWS = 1_000
_LLOYD_VALUES = 2**23
# Iterations of EM for the one component that whitens; complete data need none.
_WHITENING_ITERATIONS = 1
# Lower bound on the eigenvalues of a correlation matrix that whitens.
_MIN_EIGENVALUE = 1e-6


def start_rows(n_components: int) -> int:
    """Number of rows from which a start is made, where the data have more."""
    return max(50 * n_components, 10_000)


def sample_rows(data: Observed, n_rows: int, rng: np.random.RandomState) -> Observed:
    """At most this many rows, drawn by weight; all rows if they are not many more.

    The sample is a copy, which should be small beside data in a file.
    """
    if data.shape[0] <= _MIN_RATIO * n_rows:
        return data
    groups = _Groups.find(data).thin_out(n_rows, rng)
    order = np.argsort(groups.first)
    return data.take(groups.first[order], groups.masses[order])


class Starter:
    """First responsibilities of the rows of a table, for several starts.

    Parameters
    ----------
    family : Family
        Its `start_coordinates` say in which coordinates rows lie near each other.
    data : Observed
        The data, or a sample of them.
    n_components : int
        Number of components K.
    method : {'kmeans', 'whitened', 'k-means++', 'random_from_data', 'random'}
        Clusters of k-means, those of every second start, or of all, in whitened
        coordinates where the family has such; the nearest of rows that are drawn far
        from each other, or uniformly; uniform responsibilities.
    n_starts : int
        Number of starts.
    rng : RandomState
        Each start draws after those before it.
    """

    def __init__(
        self,
        family: Family[Any, Any],
        data: Observed,
        n_components: int,
        method: str,
        n_starts: int,
        rng: np.random.RandomState,
    ) -> None:
        self.family, self.data = family, data
        self.n_components, self.method = n_components, method
        self.n_starts, self.rng = n_starts, rng

    def draw(self, number: int, table: Observed) -> Responsibilities:
        """Responsibilities in one start.

        A family may pass a summary of each row in place of the data.
        """
        if table is self.data:
            return self._drawn[number]
        return self._draw(table, [_Scaled(table, standardized=True)])[0]

    @cached_property
    def _drawn(self) -> list[Responsibilities]:
        kind = self.family.start_coordinates
        scaled = _Scaled(self.data, standardized=kind != "raw")
        coordinates: list[_Coordinates] = [scaled] * self.n_starts
        chosen = {"kmeans": slice(1, None, 2), "whitened": slice(None)}.get(self.method)
        if kind == "whitened" and chosen is not None:
            n_whitened = len(coordinates[chosen])
            if n_whitened:
                whitened = _Whitened(whiten(self.family, self.data))
                coordinates[chosen] = [whitened] * n_whitened
        return self._draw(self.data, coordinates)

    def _draw(
        self, table: Observed, coordinates: Sequence[_Coordinates]
    ) -> list[Responsibilities]:
        K = self.n_components
        groups = _Groups.find(table)
        if K == 1 or self.method == "random":
            return [_draw_uniformly(groups, K, self.rng) for _ in coordinates]
        learned = groups.thin_out(max(_LLOYD_ROWS_EACH * K, _LLOYD_ROWS), self.rng)
        learned = learned.with_entries()
        size = K if self.method == "random_from_data" else 1 + (K - 1) * _n_trials(K)
        uniforms = [self.rng.uniform(size=(each.n_runs, size)) for each in coordinates]
        labels: dict[int, Array] = {}
        for kind in dict.fromkeys(coordinates):
            numbers = [i for i, each in enumerate(coordinates) if each is kind]
            centers = self._find_centers(
                kind.at(learned), np.stack([uniforms[i] for i in numbers])
            )
            labels |= dict(zip(numbers, kind.assign(centers), strict=True))
        return [partial(_label, labels[i], K) for i in range(len(coordinates))]

    def _find_centers(self, points: _Table, uniforms: Array) -> Array:
        """Centers (S, K, d) of starts, from uniform draws (S, R, u) for R runs of each.

        The run of lowest inertia is kept.
        """
        n_starts, n_runs, _ = uniforms.shape
        runs = uniforms.reshape(n_starts * n_runs, -1)
        if self.method == "random_from_data":
            return np.stack([_choose_rows(points, each) for each in runs])
        centers = _choose_distant_rows(points, self.n_components, runs)
        if self.method == "k-means++":
            return centers
        centers, inertias = _improve(points, centers)
        best = inertias.reshape(n_starts, n_runs).argmin(axis=1)
        return centers[np.arange(n_starts) * n_runs + best]


def extend_labels(
    family: Family[Any, Any],
    data: Observed,
    labels: Array,
    n_components: int,
    rng: np.random.RandomState,
) -> Responsibilities:
    """Responsibilities of rows, of which some have labels (n,) and others have -1.

    A row without a label belongs to the nearest center: a mean of labeled rows or, for
    a component without any, a row that is drawn far from all other centers.
    """
    scaled = _Scaled(data, standardized=family.start_coordinates != "raw")
    groups = _Groups.find(data)
    rows = np.flatnonzero(labels >= 0)
    labeled = scaled.at(_Groups(groups.numbers, rows, data.weights[rows]))
    named = np.unique(labels[rows])
    centers = np.zeros((1, len(named), labeled.values.shape[1]))
    centers = labeled.average(np.searchsorted(named, labels[rows])[None], centers)
    n_missing = n_components - len(named)
    if n_missing:
        unnamed = np.setdiff1d(np.arange(n_components), named)
        named = np.concatenate([named, unnamed])
        uniforms = rng.uniform(size=(1, n_missing * _n_trials(n_components)))
        unlabeled = groups.weigh(data, labels < 0)
        n_free = int((unlabeled.masses > 0).sum())
        if n_free < n_missing:
            raise ValueError(
                "labels_init names no row for component(s) "
                f"{', '.join(map(str, unnamed))}, and leaves {n_free} distinct row(s) "
                "with observed entries to begin at. Label rows of each component, or "
                "decrease n_components."
            )
        points = scaled.at(unlabeled.with_entries())
        centers = _extend(points, centers, n_components, uniforms)
    nearest = named[scaled.assign(centers)[0]]
    return partial(_label, np.where(labels < 0, nearest, labels), n_components)


def whiten(family: Family[Any, Any], data: Observed) -> Array:
    """Rows in coordinates that are uncorrelated with variance 1, (n, d).

    Covariance matrix and missing entries are those of a fit with one component.
    """
    if isinstance(family, Student):  # t components may have no covariance matrix
        family = family.base
    single = family.start(data, 1, lambda table: _one_component, UserInit())
    if any((block.counts < data.columns.known.sum()).any() for block in data):
        single = run_em(
            family, single, data, max_iter=_WHITENING_ITERATIONS, tol=0.0
        ).parameters
    known = np.flatnonzero(data.columns.known)
    covariance = family.covariance(single, 0, known)
    scales = np.sqrt(np.diag(covariance))
    scales[scales == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(scales, scales))
    roots = np.sqrt(np.maximum(values, _MIN_EIGENVALUE))
    back = vectors / roots / scales[:, None]  # (d, d)

    def whiten_block(block: Block) -> Array:
        completed, _ = family.complete_rows(single, block, with_variance=False)
        rows, observed = block.dense()
        return np.where(observed, rows, completed)[:, known] @ back

    return np.concatenate(list(data.map(whiten_block)))


def draw_rows(data: Observed, n_rows: int, rng: np.random.RandomState) -> Array:
    """Distinct rows, as centers (n_rows, d): column means replace missing entries.

    Rows are repeated only where fewer are distinct.
    """
    return _choose_rows(_Rows(data), rng.uniform(size=n_rows))


def draw_distant_rows(data: Observed, n_rows: int, rng: np.random.RandomState) -> Array:
    """k-means++: rows drawn by their squared distance to those drawn before.

    Of a few candidates at each step, the one that lowers the sum of squared distances
    the most is kept, as in scikit-learn (Arthur and Vassilvitskii 2007).

    Returns
    -------
    centers : ndarray of shape (n_rows, d)
        Column means replace missing entries.
    """
    uniforms = rng.uniform(size=(1, 1 + (n_rows - 1) * _n_trials(n_rows)))
    return _choose_distant_rows(_Rows(data), n_rows, uniforms)[0]


class _Points(Protocol):
    """Points that centers are drawn from."""

    @property
    def masses(self) -> Array:
        """Weights, (m,)."""

    def gather(self, points: Array) -> Array:
        """Coordinates of some points, (q, d)."""

    def distances(self, centers: Array) -> Array:
        """Squared distances (q, m) to centers (q, d)."""


class _Rows:
    """The groups of equal rows of data of any size, in their own units."""

    def __init__(self, data: Observed) -> None:
        groups = _Groups.find(data)
        self.data, self.first, self.masses = data, groups.first, groups.masses

    def gather(self, points: Array) -> Array:
        return self.data.gather(self.first[points])[0]

    def distances(self, centers: Array) -> Array:
        blocks = self.data.map(lambda block: squared_distances(block, centers))
        return np.concatenate(list(blocks), axis=1)[:, self.first]


@dataclass(frozen=True, eq=False)
class _Table:
    """Points in memory, with missing coordinates."""

    values: Array  # (m, d), 0 where missing
    mask: Array | None  # (m, d), 1 where observed; None: everywhere
    masses: Array  # (m,)

    @cached_property
    def squared_norms(self) -> Array:
        return np.einsum("ij,ij->i", self.values, self.values)

    def gather(self, points: Array) -> Array:
        return self.values[points]

    def distances(self, centers: Array) -> Array:
        distances = -2 * centers @ self.values.T
        if self.mask is None:
            distances += (centers**2).sum(axis=1)[:, None]
        else:
            distances += centers**2 @ self.mask.T
        distances += self.squared_norms
        return np.maximum(distances, 0.0, out=distances)

    def average(self, labels: Array, centers: Array) -> Array:
        """Means (S, K, d) of the points with each label (S, m).

        Where a cluster has observed nothing the center stays.
        """
        shape = centers.shape
        weighted = labels[:, None] == np.arange(shape[1])[:, None]
        weighted = (weighted * self.masses).reshape(-1, len(self.masses))
        sums = weighted @ self.values
        if self.mask is None:
            counts = np.broadcast_to(weighted.sum(axis=1)[:, None], sums.shape)
        else:
            counts = weighted @ self.mask
        centers = centers.reshape(sums.shape).copy()
        return np.divide(sums, counts, out=centers, where=counts > 0).reshape(shape)


class _Coordinates(Protocol):
    """Coordinates in which k-means starts work."""

    n_runs: int  # of k-means, of which the one of lowest inertia is kept

    def at(self, groups: _Groups) -> _Table:
        """A row of each group."""

    def assign(self, centers: Array) -> Array:
        """The nearest center of each row of the data in each start, (S, n)."""


class _Scaled:
    """Columns divided by their standard deviations, or all by one number."""

    n_runs = 1

    def __init__(self, data: Observed, *, standardized: bool) -> None:
        variances = data.columns.variances
        if not standardized:
            variances = np.full_like(variances, mean_variance(data))
        self.data = data
        self.scales = np.sqrt(np.where(variances > 0, variances, 1.0))
        self.columns = np.arange(len(variances))

    def at(self, groups: _Groups) -> _Table:
        d, max_columns = len(self.scales), _LLOYD_VALUES // len(groups.first)
        if d > max_columns:
            counts = self.data.total(lambda b: b.mask.collect(b.weights[None])[0])
            self.columns = np.sort(np.argsort(-counts, kind="stable")[:max_columns])
        values, observed = self.data.gather(groups.first, self.columns)
        values /= self.scales[self.columns]
        mask = None if observed.all() else observed.astype(np.float64)
        return _Table(values, mask, groups.masses)

    def assign(self, centers: Array) -> Array:
        shape = centers.shape[:2]
        wide = np.zeros((shape[0] * shape[1], len(self.scales)))
        wide[:, self.columns] = centers.reshape(len(wide), -1)

        def find_nearest(block: Block) -> Array:
            distances = -2 * block.values.project(wide / self.scales)
            distances += block.mask.project(wide**2)
            return distances.reshape(*shape, -1).argmin(axis=1)

        return np.concatenate(list(self.data.map(find_nearest)), axis=1)


class _Whitened:
    """Rows whose coordinates are uncorrelated and of variance 1."""

    n_runs = 2

    def __init__(self, values: Array) -> None:
        self.values = values  # (n, d)

    def at(self, groups: _Groups) -> _Table:
        return _Table(self.values[groups.first], None, groups.masses)

    def assign(self, centers: Array) -> Array:
        table = _Table(self.values, None, np.ones(len(self.values)))
        return _find_nearest(table, centers)[0]


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups of equal rows, in an order of their content."""

    numbers: Array  # (n,), group of each row
    first: Array  # (m,), a row of each group
    masses: Array  # (m,), weights of the groups: 0 without entries

    @classmethod
    def find(cls, data: Observed) -> _Groups:
        numbers, first = data.row_groups()
        return cls(numbers, first, np.ones(len(first))).weigh(data)

    def weigh(self, data: Observed, chosen: Array | bool = True) -> _Groups:
        """The same groups with the weights of chosen rows (n,) alone."""
        counts = np.concatenate([block.counts for block in data])
        weights = data.weights * (chosen & (counts > 0))
        return _Groups(self.numbers, self.first, np.bincount(self.numbers, weights))

    def with_entries(self) -> _Groups:
        """The groups of rows that observe something; all if none does."""
        kept = self.masses > 0
        if kept.all() or not kept.any():
            return self
        return _Groups(self.numbers, self.first[kept], self.masses[kept])

    def thin_out(self, n_groups: int, rng: np.random.RandomState) -> _Groups:
        """At most this many groups, drawn by weight at equal steps."""
        if len(self.first) <= n_groups:
            return self
        cumulative = np.cumsum(self.masses)
        uniforms = (np.arange(n_groups) + rng.uniform()) / n_groups
        drawn, counts = np.unique(_draw(self.masses, uniforms), return_counts=True)
        masses = counts * (cumulative[-1] / n_groups)
        return _Groups(self.numbers, self.first[drawn], masses)


def _one_component(rows: slice) -> Array:
    return np.ones((1, rows.stop - rows.start))


def _label(labels: Array, n_components: int, rows: slice) -> Array:
    return one_hot(labels[rows], n_components)


def _draw_uniformly(
    groups: _Groups, n_components: int, rng: np.random.RandomState
) -> Responsibilities:
    drawn = rng.uniform(size=(len(groups.first), n_components))
    drawn /= drawn.sum(axis=1, keepdims=True)
    return lambda rows: np.ascontiguousarray(drawn[groups.numbers[rows]].T)


def _draw(masses: Array, uniforms: Array) -> Array:
    """Indices drawn in proportion to masses (m,), of which some may be 0."""
    cumulative = np.cumsum(masses)
    indices = np.searchsorted(cumulative, uniforms * cumulative[-1], side="right")
    return np.minimum(indices, np.flatnonzero(masses)[-1])


def _n_trials(n_rows: int) -> int:
    return 2 + int(np.log(n_rows))


def _choose_rows(points: _Points, uniforms: Array) -> Array:
    chosen: list[int] = []
    remaining = points.masses.copy()
    for uniform in uniforms:
        if not remaining.any():
            remaining = points.masses.copy()
        chosen.append(int(_draw(remaining, uniform)))
        remaining[chosen[-1]] = 0.0
    return points.gather(np.array(chosen))


def _choose_distant_rows(points: _Points, n_rows: int, uniforms: Array) -> Array:
    """Centers (S, K, d) from uniform draws (S, u), for all starts in step."""
    firsts = points.gather(_draw(points.masses, uniforms[:, 0]))
    return _extend(points, firsts[:, None], n_rows, uniforms[:, 1:])


def _extend(points: _Points, centers: Array, n_rows: int, uniforms: Array) -> Array:
    """Centers (S, K, d): these (S, G, d), and rows drawn far from them."""
    masses, n_starts, n_trials = points.masses, len(centers), _n_trials(n_rows)
    flat = centers.reshape(-1, centers.shape[2])
    closest = points.distances(flat).reshape(*centers.shape[:2], -1).min(axis=1)
    found, starts = [centers], np.arange(n_starts)
    n_steps = n_rows - centers.shape[1]
    for drawn in uniforms.reshape(n_starts, n_steps, n_trials).swapaxes(0, 1):
        potentials = masses * closest  # (S, m)
        potentials[~potentials.any(axis=1)] = masses
        chosen = [_draw(*each) for each in zip(potentials, drawn, strict=True)]
        candidates = points.gather(np.concatenate(chosen))
        distances = points.distances(candidates).reshape(n_starts, n_trials, -1)
        distances = np.minimum(distances, closest[:, None])
        best = np.argmin(distances @ masses, axis=1)
        found.append(candidates[starts * n_trials + best][:, None])
        closest = distances[starts, best]
    return np.concatenate(found, axis=1)


def _find_nearest(table: _Table, centers: Array) -> tuple[Array, Array]:
    """The nearest center (S, m) in each start, and the squared distance to it."""
    distances = table.distances(centers.reshape(-1, centers.shape[2]))
    distances = distances.reshape(*centers.shape[:2], -1)
    return distances.argmin(axis=1), distances.min(axis=1)


def _improve(table: _Table, centers: Array) -> tuple[Array, Array]:
    """Centers (S, K, d) after Lloyd's passes, and the inertias (S,)."""
    labels, distances = _find_nearest(table, centers)
    for _ in range(_LLOYD_PASSES):
        previous = labels
        centers = table.average(labels, centers)
        labels, distances = _find_nearest(table, centers)
        if np.array_equal(labels, previous):
            break
    return centers, distances @ table.masses
