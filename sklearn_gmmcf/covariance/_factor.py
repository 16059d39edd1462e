# SPDX-License-Identifier: BSD-3-Clause
r"""Common factors: components of rows in one shared space of latent factors.

With :math:`\tilde z = (z, 1)`, r factors, and features f of rows and g of columns (see
`_factor_features`),

.. math::
    k_i \sim \pi, \quad z_i | k \sim N(\nu_k + B f_i, \Lambda_k), \quad
    x_{ij} | z_i, k \sim N(a_j^T \tilde z_i, s_k \psi_j), \quad
    a_j \sim N(m + C g_j, \mathrm{diag}(1 / \alpha))

(mixtures of common factor analyzers: Baek, McLachlan and Flack 2010; priors as in
Bishop 1999, Ilin and Raiko 2010). The loadings of the first factor have a prior mean,
so that it is the row's own offset; :math:`\alpha` switches useless factors off. The
loadings :math:`a_j`, of which the last is the column's intercept, have the posterior
:math:`q(a_j) = N(\bar a_j, V_j)`, and the slopes B and C have posteriors, too; all
other parameters are point estimates. EM maximizes F: the rows' log-densities of
component and factors bounded over q, less the divergences of q from the priors, plus
the log-priors of `Priors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array, Responsibilities
from sklearn_gmmcf.covariance._entry_parts import EntryParts
from sklearn_gmmcf.covariance._factor_features import learn_features, predict_mask
from sklearn_gmmcf.covariance._factor_inference import (
    SWEEP_BYTES,
    FactorParameters,
    check_precision,
    collect_evidence,
    infer,
    sum_moments,
    swept_together,
)
from sklearn_gmmcf.covariance._factor_parts import explain_factors
from sklearn_gmmcf.covariance._factor_similarity import column_vectors, row_vectors
from sklearn_gmmcf.covariance._factor_start import row_noise, start_loadings
from sklearn_gmmcf.covariance._factor_step import (
    FactorStatistics,
    Priors,
    choose_priors,
    improve_basis,
    leave_out,
    log_prior,
    maximize_columns,
    maximize_components,
    maximize_rows,
)
from sklearn_gmmcf.covariance._family import (
    NEGLIGIBLE,
    Family,
    InitResponsibilities,
    UserInit,
    chunks,
    draw_labels,
    to_responsibilities,
)
from sklearn_gmmcf.covariance._reviews import Review, review_covariates
from sklearn_gmmcf.covariance._similarity import Vectors, compare
from sklearn_gmmcf.covariance._triangles import (
    add_packed_outer,
    double_off_diagonal,
    n_packed,
    pack,
    packed_outer,
    unpack,
)
from sklearn_gmmcf.data import Block, Blocks, Columns, Observed, limit_to_working_memory

# Numbers that a block may hold for its rows.
_BLOCK_NUMBERS = 2**23
_CHUNK_ENTRIES = 2**16


@dataclass(frozen=True, eq=False)
class _MixedFactors:
    """Factors of rows given their observed entries, over all components."""

    means: Array  # (r, n)
    covariances: Array  # (Q, n)
    moments: Array  # (Q + r + 1, n), second moments of (z, 1)
    scales: Array  # (n,)


@dataclass(frozen=True)
class Factor(Family[FactorParameters, FactorStatistics]):
    """Components in a shared space of latent factors: ``covariance_type='factor'``.

    The model and its priors are described in the notes of
    :class:`~sklearn_gmmcf.MaskedGaussianMixture`.

    Parameters
    ----------
    n_factors : int, default=10
        Number of factors r, the row's offset included.

    min_variance : float, default=0.0
        Floor under the noise variance of each column (squared units of the data).

    mask_rank : int or 'auto', default='auto'
        Number of directions of the mask that inform the priors of factors and loadings,
        at most; 'auto' is 60, and 0 leaves the mask out.

    priors : Priors or None, default=None
        Strengths of the priors. None lets them grow with the number of columns.

    online : bool, default=False
        Whether rows come in batches, so that later ones may need factors that these do
        not.

    See Also
    --------
    Full : A covariance matrix for each component.

    Examples
    --------
    >>> from sklearn_gmmcf import MaskedGaussianMixture
    >>> from sklearn_gmmcf.covariance import Factor, Priors
    >>> from sklearn_gmmcf.datasets import make_ratings
    >>> X = make_ratings(random_state=0).data
    >>> family = Factor(n_factors=5, priors=Priors(noise=20))
    >>> mixture = MaskedGaussianMixture(4, covariance_type=family, random_state=0)
    >>> mixture.fit(X).components_.shape
    (5, 100)
    """

    init_names = ("weights",)
    log_joint_is_bound = True
    conditional_is_predictive = True
    start_is_seeded = False
    takes_features = True
    predicts_mask = True
    n_judged_passes = 3
    n_batch_passes = 3
    learns_few_columns = True
    unknown_columns = "the mean of the other columns and the row's offset from it"

    n_factors: int = 10
    min_variance: float = 0.0
    mask_rank: int | str = "auto"
    priors: Priors | None = None
    online: bool = False

    @property
    def max_rows(self) -> int:
        n_numbers = limit_to_working_memory(8 * _BLOCK_NUMBERS) // 8
        return max(n_numbers // (2 * n_packed(self.n_factors + 1)), 1)

    def start(
        self,
        data: Observed,
        n_components: int,
        init_responsibilities: InitResponsibilities,
        init: UserInit,
    ) -> FactorParameters:
        features = learn_features(data, self.mask_rank)
        single = start_loadings(
            data,
            self.n_factors,
            features,
            self.min_variance,
            self.priors or choose_priors(int(data.columns.known.sum())),
        )
        if n_components == 1:
            return single
        responsibilities = init_responsibilities(row_noise(single, data))
        r = self.n_factors
        parameters = replace(
            single,
            weights=np.full(n_components, 1 / n_components),
            scales=np.ones(n_components),
            factor_means=np.zeros((n_components, r)),
            covariances=np.repeat(np.eye(r)[None], n_components, axis=0),
        )
        statistics = data.total(partial(self._sum, parameters, responsibilities))
        parameters = self.maximize(statistics, parameters)
        # A column that this sample does not observe stays at its center, or the noise
        # of few entries far from the prior would hold it there.
        unobserved = data.columns.known & (statistics.column_weights == 0)
        parameters = replace(
            parameters,
            loadings=np.where(unobserved, single.loadings, parameters.loadings),
            noise=np.where(unobserved, single.noise, parameters.noise),
            previous_scales=None,
        )
        if init.weights is not None:
            # A weight of 0 has no prior.
            weights = np.maximum(init.weights, NEGLIGIBLE)
            parameters = replace(parameters, weights=weights)
        return parameters

    def recenter(
        self, parameters: FactorParameters, old: Columns, new: Columns
    ) -> FactorParameters:
        loadings = parameters.loadings.copy()
        loadings[-1] += old.center - new.center
        # An objective is compared with another one of the same data only.
        same = np.array_equal(old.center, new.center)
        scales = parameters.previous_scales if same else None
        return replace(
            parameters, loadings=loadings, columns=new, previous_scales=scales
        )

    def for_partial_fit(self) -> Factor:
        return replace(self, online=True)

    def log_joint(self, parameters: FactorParameters, block: Block) -> Array:
        evidence = collect_evidence(parameters, block)
        parts = [
            infer(parameters, evidence, rows).log_joint
            for rows in swept_together(len(block.weights), self.n_factors)
        ]
        return np.concatenate(parts, axis=1)

    def accumulate(
        self, parameters: FactorParameters, block: Block
    ) -> FactorStatistics:
        return self._sum(parameters, None, block)

    def _sum(
        self,
        parameters: FactorParameters,
        responsibilities: Responsibilities | None,
        block: Block,
    ) -> FactorStatistics:
        """Statistics of a block, under its own responsibilities or these."""
        p, r = parameters, parameters.n_factors
        n_components, n_pairs, n = len(p.weights), n_packed(r), len(block.weights)
        evidence = collect_evidence(p, block)
        given = None if responsibilities is None else responsibilities(block.rows)
        n_features = 1 + p.features.n_row_features
        log_likelihood, (sizes, entries, residuals) = 0.0, np.zeros((3, n_components))
        described = np.vstack([np.ones(n), evidence.features])
        feature_factors = np.zeros((n_components, r, n_features))
        feature_moments = np.zeros((n_components, n_features, n_features))
        factor_moments = np.zeros((n_components, n_pairs))
        # Sums over components of c (z, 1) (z, 1)^T, and the weights of the rows.
        scaled = np.zeros((n_pairs + r + 2, n))
        scaled[-1] = block.weights
        for rows in swept_together(n, r):
            weights, features = block.weights[rows], described[:, rows]
            posterior = infer(p, evidence, rows)
            own = posterior.log_joint
            log_likelihood += float(weights @ to_responsibilities(own))
            shares = weights * (own if given is None else given[:, rows])
            means = posterior.means
            sizes += shares.sum(axis=1)
            entries += shares @ block.counts[rows]
            weighted = np.swapaxes(shares[:, None] * features, 1, 2)
            feature_factors += means @ weighted
            feature_moments += features @ weighted
            sums = sum_moments(p, evidence, rows, posterior, shares, scaled[:-1])
            factor_moments += sums[0]
            residuals += sums[1]
        return FactorStatistics(
            log_likelihood=log_likelihood,
            weight=float(block.weights.sum()),
            sizes=sizes,
            entries=entries,
            residuals=residuals,
            feature_factors=feature_factors,
            feature_moments=feature_moments,
            factor_moments=factor_moments,
            **_sum_columns(block, scaled, n_pairs),
        )

    def maximize(
        self, statistics: FactorStatistics, parameters: FactorParameters
    ) -> FactorParameters:
        priors = self._choose_priors(parameters)
        p = maximize_columns(statistics, parameters, priors.noise, self.online)
        p = maximize_rows(statistics, p, priors)
        if len(p.weights) > 1:
            p = maximize_components(statistics, p, priors)
        check_precision(p)
        return p

    def take_columns(
        self, parameters: FactorParameters, columns: Array
    ) -> FactorParameters:
        others = leave_out(parameters, columns, self._choose_priors(parameters))
        return parameters.take(columns, others)

    def put_columns(
        self, parameters: FactorParameters, columns: Array, few: FactorParameters
    ) -> FactorParameters:
        return parameters.put(columns, few)

    def widen(
        self,
        parameters: FactorParameters,
        statistics: FactorStatistics,
        columns: Columns,
    ) -> tuple[FactorParameters, FactorStatistics]:
        return parameters.widen(columns), statistics.widen(len(columns.known))

    def accelerate(
        self, statistics: FactorStatistics, parameters: FactorParameters
    ) -> FactorParameters:
        priors = self._choose_priors(parameters)
        return improve_basis(statistics, parameters, priors)

    def _choose_priors(self, parameters: FactorParameters) -> Priors:
        return self.priors or choose_priors(parameters.n_known)

    def backtrack(self, parameters: FactorParameters) -> FactorParameters | None:
        # Scales and columns, both taken from one pass, may overshoot together; columns
        # alone cannot.
        scales = parameters.previous_scales
        if scales is None:
            return None
        return replace(parameters, scales=scales, previous_scales=None)

    def log_prior(self, parameters: FactorParameters) -> float:
        return log_prior(parameters, self._choose_priors(parameters))

    def review(
        self,
        parameters: FactorParameters,
        statistics: FactorStatistics | None,
        data: Blocks,
    ) -> Review:
        return review_covariates(data.columns)

    def conditional(
        self, parameters: FactorParameters, block: Block, rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        _, means, variances = self.conditional_joint(parameters, block, rows, columns)
        return means, variances

    def conditional_joint(
        self,
        parameters: FactorParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool = True,
    ) -> tuple[Array, Array, Array]:
        p = parameters
        evidence = collect_evidence(p, block)
        log_joint = np.empty((len(p.weights), len(block.weights)))
        means, variances = np.empty((2, len(p.weights), len(rows)))
        for part in swept_together(len(block.weights), p.n_factors):
            posterior = infer(p, evidence, part)
            log_joint[:, part] = posterior.log_joint
            inside = np.flatnonzero((rows >= part.start) & (rows < part.stop))
            for chunk in chunks(len(inside), _entries_together(p)):
                chosen = inside[chunk]
                i, j = rows[chosen] - part.start, columns[chosen]
                for k, scale in enumerate(p.scales):
                    mean = posterior.means[k][:, i]
                    covariance = posterior.covariances[k][:, i]
                    moments = _augment(covariance, mean)
                    means[k, chosen] = _entry_means(p, j, mean)
                    variances[k, chosen] = _entry_variances(
                        p, j, covariance, moments, scale
                    )
        return log_joint, means, variances

    def complete_rows(
        self, parameters: FactorParameters, block: Block, *, with_variance: bool
    ) -> tuple[Array, Array | None]:
        p = parameters
        mixed = self._mix(p, block)
        means = mixed.means.T @ p.loadings[:-1] + p.loadings[-1]
        if not with_variance:
            return means, None
        variances = mixed.scales[:, None] * p.noise
        variances += mixed.moments.T @ double_off_diagonal(p.loading_spreads)
        pairs = double_off_diagonal(packed_outer(p.loadings[:-1]))
        variances += mixed.covariances.T @ pairs
        return means, variances

    def complete_entries(
        self,
        parameters: FactorParameters,
        block: Block,
        rows: Array,
        columns: Array,
        *,
        with_variance: bool,
    ) -> tuple[Array, Array | None]:
        p = parameters
        mixed = self._mix(p, block)
        means = np.empty(len(rows))
        variances = np.empty(len(rows)) if with_variance else None
        for chunk in chunks(len(rows), _entries_together(p)):
            i, j = rows[chunk], columns[chunk]
            means[chunk] = _entry_means(p, j, mixed.means[:, i])
            if variances is not None:
                variances[chunk] = _entry_variances(
                    p, j, mixed.covariances[:, i], mixed.moments[:, i], mixed.scales[i]
                )
        return means, variances

    def explain_entries(
        self,
        parameters: FactorParameters,
        block: Block,
        rows: Array,
        columns: Array,
        shares: Array,
    ) -> EntryParts:
        return explain_factors(parameters, block, rows, columns, shares)

    def column_similarities(
        self, parameters: FactorParameters, columns: Array, known: Columns
    ) -> Array:
        means, squares = column_vectors(parameters)
        asked = Vectors(means[:, columns], squares[columns])
        return compare(asked, Vectors(means, squares))

    def profile_width(self, n_columns: int) -> int:
        return self.n_factors

    def profile_rows(
        self, parameters: FactorParameters, block: Block, columns: Columns
    ) -> Vectors:
        mixed = self._mix(parameters, block)
        return row_vectors(parameters, mixed.means, mixed.covariances)

    def _mix(self, p: FactorParameters, block: Block) -> _MixedFactors:
        """Moments of the factors of the rows over all components."""
        evidence = collect_evidence(p, block)
        n, r = len(block.weights), p.n_factors
        means, covariances = np.empty((r, n)), np.empty((n_packed(r), n))
        scales = np.empty(n)
        for rows in swept_together(n, r):
            posterior = infer(p, evidence, rows)
            shares = posterior.log_joint
            to_responsibilities(shares)
            scales[rows] = p.scales @ shares
            mean = np.einsum("kn,kqn->qn", shares, posterior.means)
            covariance = np.einsum("kn,kqn->qn", shares, posterior.covariances)
            for share, component_mean in zip(shares, posterior.means, strict=True):
                covariance += share * packed_outer(component_mean - mean)
            means[:, rows], covariances[:, rows] = mean, covariance
        return _MixedFactors(means, covariances, _augment(covariances, means), scales)

    def draw_shared(
        self, parameters: FactorParameters, n_draws: int, rng: np.random.RandomState
    ) -> Array:
        """Loadings drawn from their posterior, (n_draws, r + 1, d)."""
        p = parameters
        q, d = p.loadings.shape
        drawn = np.repeat(p.loadings[None], n_draws, axis=0)
        for part in chunks(d, max(SWEEP_BYTES // (8 * q * q), 1)):
            roots = np.linalg.cholesky(unpack(p.loading_spreads[:, part]))
            noise = rng.standard_normal((n_draws, len(roots), q))
            drawn[:, :, part] += np.einsum("jpq,sjq->spj", roots, noise)
        return drawn

    def draw(
        self,
        parameters: FactorParameters,
        shared: Array,
        block: Block,
        rows: Array,
        columns: Array,
        rng: np.random.RandomState,
    ) -> Array:
        p = parameters
        evidence = collect_evidence(p, block)
        n_draws, r = len(shared), p.n_factors
        n = len(block.weights)
        factors, scales = np.empty((n_draws, r, n)), np.empty((n_draws, n))
        for part in swept_together(n, r):
            posterior = infer(p, evidence, part)
            to_responsibilities(posterior.log_joint)
            labels = draw_labels(posterior.log_joint, n_draws, rng)  # (n_draws, m)
            roots = np.stack(
                [np.linalg.cholesky(unpack(c)) for c in posterior.covariances]
            )  # (K, m, r, r)
            positions = np.arange(labels.shape[1])
            for draw, label in enumerate(labels):
                noise = rng.standard_normal((len(label), r, 1))
                factors[draw, :, part] = posterior.means[label, :, positions].T
                factors[draw, :, part] += (roots[label, positions] @ noise)[:, :, 0].T
                scales[draw, part] = p.scales[label]
        drawn = rng.standard_normal((n_draws, len(rows)))
        drawn *= np.sqrt(scales[:, rows] * p.noise[columns])
        for values, loadings, factor in zip(drawn, shared, factors, strict=True):
            for chunk in chunks(len(rows), _CHUNK_ENTRIES):
                i, j = rows[chunk], columns[chunk]
                values[chunk] += loadings[-1, j]
                values[chunk] += np.einsum("qm,qm->m", loadings[:-1, j], factor[:, i])
        return drawn

    def sample(
        self, parameters: FactorParameters, sizes: Array, rng: np.random.RandomState
    ) -> list[Array]:
        p, r = parameters, parameters.n_factors
        samples = []
        for k, size in enumerate(sizes):
            root = np.linalg.cholesky(p.marginal_covariance(k))
            factors = p.factor_means[k] + rng.standard_normal((size, r)) @ root.T
            pairs = packed_outer(np.vstack([factors.T, np.ones(size)]))
            spreads = pairs.T @ double_off_diagonal(p.loading_spreads)
            variances = p.scales[k] * p.noise + spreads
            noise = np.sqrt(variances) * rng.standard_normal(variances.shape)
            rows = factors @ p.loadings[:-1] + p.loadings[-1] + noise
            rows[:, p.columns.covariates] = 0.0  # their means
            samples.append(rows)
        return samples

    def covariance(
        self, parameters: FactorParameters, component: int, columns: Array
    ) -> Array:
        p = parameters
        factors = p.marginal_covariance(component)
        mean = np.append(p.factor_means[component], 1.0)
        pairs = packed_outer(mean[:, None])[:, 0]
        pairs[: n_packed(p.n_factors)] += pack(factors)
        spreads = pairs @ double_off_diagonal(p.loading_spreads[:, columns])
        noise = p.scales[component] * p.noise[columns] + spreads
        modeled = p.columns.modeled[columns]
        noise = np.where(modeled, noise, p.columns.variances[columns])
        loadings = p.loadings[:-1, columns] * modeled
        return loadings.T @ factors @ loadings + np.diag(noise)

    def n_parameters(self, parameters: FactorParameters, n_columns: int) -> int:
        # More factors than the columns can tell apart are switched off, and no number
        # of them goes beyond the covariance matrices that 'full' has.
        n_components, r = parameters.factor_means.shape
        counts = (_count_parameters(n_components, q + 1, n_columns) for q in range(r))
        n_moments = n_components * (n_columns + n_packed(n_columns))
        n_slopes = round(parameters.n_effective_slopes)
        return min(max(counts), n_moments + n_components - 1) + n_slopes

    def attributes(
        self, parameters: FactorParameters, columns: Columns
    ) -> dict[str, Any]:
        p = parameters
        order, signs = _arrange(p)
        covariances = p.covariances[:, order[:, None], order]
        # Covariates are not modeled: they have their observed moments alone.
        loadings = p.loadings * columns.modeled
        means = p.factor_means @ loadings[:-1] + loadings[-1] + columns.center
        return {
            "weights_": p.weights.copy(),
            "means_": means,
            "components_": loadings[order] * signs[:, None],
            "intercept_": loadings[-1] + columns.center,
            "noise_variance_": np.where(columns.modeled, p.noise, columns.variances),
            "noise_scale_": p.scales.copy(),
            "factor_means_": p.factor_means[:, order] * signs,
            "factor_covariances_": covariances * signs[:, None] * signs,
            "factor_precision_": p.prior_precision[order],
        }

    def propensities(self, parameters: FactorParameters, block: Block) -> Array:
        return predict_mask(parameters.features, block)

    def row_factors(self, parameters: FactorParameters, block: Block) -> Array:
        """Expected factors of the rows (n, r), arranged as in `attributes`."""
        order, signs = _arrange(parameters)
        return self._mix(parameters, block).means[order].T * signs


def _sum_columns(block: Block, scaled: Array, n_pairs: int) -> dict[str, Array]:
    """The statistics of the columns."""
    by_mask = block.mask.collect(scaled)
    return {
        "column_weights": by_mask[-1],
        "column_squares": block.squares.collect(scaled[-2:-1])[0],
        "column_factors": block.values.collect(scaled[n_pairs:-1]),
        "column_moments": by_mask[:-1],
    }


def _count_parameters(n_components: int, r: int, d: int) -> int:
    """Free parameters of r factors, up to what another basis of these would give."""
    if n_components == 1:
        return (r + 2) * d - r * (r - 1) // 2
    n_moments = n_components * (r + n_packed(r)) - r - r * r
    return 2 * (n_components - 1) + (r + 2) * d + n_moments


def _arrange(p: FactorParameters) -> tuple[Array, Array]:
    """Order and signs of the factors (r,): the offset, and the others by size.

    Sizes are in units of the columns, so that the unit of one does not decide.
    """
    loadings = p.loadings * p.columns.modeled / p.columns.wide_units
    sizes = np.sum(loadings[:-1] ** 2, axis=1)
    order = np.append(0, 1 + np.argsort(-sizes[1:], kind="stable"))
    components = loadings[order]
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(order)), largest] < 0, -1.0, 1.0)
    return order, signs


def _entries_together(p: FactorParameters) -> int:
    return max(_CHUNK_ENTRIES // len(p.loading_spreads), 1)


def _augment(covariances: Array, means: Array) -> Array:
    """Second moments of (z, 1) from the covariances and means of z, (Q + r + 1, n)."""
    n_pairs, (r, n) = len(covariances), means.shape
    moments = np.empty((n_pairs + r + 1, n))
    moments[:n_pairs] = covariances
    add_packed_outer(moments[:n_pairs], means)
    moments[n_pairs:-1] = means
    moments[-1] = 1.0
    return moments


def _entry_means(p: FactorParameters, columns: Array, means: Array) -> Array:
    """Means (m,) of entries from the mean factors (r, m) of their rows."""
    loadings = p.loadings[:-1, columns]
    return p.loadings[-1, columns] + np.einsum("qm,qm->m", means, loadings)


def _entry_variances(
    p: FactorParameters,
    columns: Array,
    covariances: Array,
    moments: Array,
    scales: Array | float,
) -> Array:
    """Variances (m,) of entries from the moments of their rows' factors."""
    spreads = double_off_diagonal(p.loading_spreads[:, columns])
    pairs = double_off_diagonal(packed_outer(p.loadings[:-1, columns]))
    variances = scales * p.noise[columns] + np.einsum("qm,qm->m", moments, spreads)
    return variances + np.einsum("qm,qm->m", covariances, pairs)
