# SPDX-License-Identifier: BSD-3-Clause
"""A weekly check of the tests: does one of them fail when a line of the code is wrong?

    python tests/mutations.py             # all mutations
    python tests/mutations.py plotting    # mutations of files whose path has this word

Everything happens in a temporary copy of the tree. The named tests first run on the
unchanged code, where they must pass, and then on one mutation at a time, where one of
them must fail: a slow one, if no other does. Mutations that survive, because no test
failed, are listed at the end, and the exit status is 1.

A mutation is a text in a line of a file, its replacement, and the tests that should
notice: the name of a module, which may be followed by words for pytest's option -k. The
text must occur exactly once in the file. Where it does not, as after a refactoring, an
error names all such mutations before anything runs. A mutation should change results;
it should neither prevent the import nor change only speed or rounding.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 1200  # seconds; a mutation that never ends counts as noticed
EVERY_TEST = "slow or not slow"
NOT_COPIED = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "_build")

# fmt: off
MUTATIONS = {
    "data/_rule.py": [
        # Which entries are observed, and which data are refused.
        ("observed = differ(values, missing_values)", "observed = ~np.isnan(values)",
         "observed: sentinel"),
        ("return max(largest, -np.fmin", "return max(largest, np.fmin",
         "observed: overflow"),
        ("(np.diff(columns) == 0)", "(np.diff(columns) >= 0)", "observed: stale_flag"),
        ("every = every and bool(", "every = bool(", "memory: in_pieces"),
    ],
    "data/_reading.py": [
        # What columns of any table mean.
        ("return _is_sparse(dtype) and is_missing(dtype.fill_value)",
         "return _is_sparse(dtype)", "door: sparse_columns"),
        ("_refuse_kind(column, kind, values[row], row)",
         "_refuse_kind(column, kind, values[0], row)", "door: after_missing"),
        ('"U": (str, bytes),', '"U": (bytes,),', "door: refused or no_number"),
        ('"t": (time,),', '"t": (),', "door: times"),
        ("numbers[row] = np.inf", "numbers[row] = np.nan", "door: no_number"),
        ("return np.full(n, np.nan, dtype=_NEUTRAL)",
         "return np.full(n, np.nan)", "door: only_missing"),
        ("if dtypes - {_NEUTRAL} == {single} else", "if single in dtypes else",
         "door: single_precision"),
        ("np.lexsort((rows, columns))[0]", "np.lexsort((columns, rows))[0]",
         "door: infinity"),
    ],
    "_compiled.py": [
        # Kernels, which numpy and scipy judge.
        ("((b0[k] + b1[k])", "((b0[k] - b1[k])", "kernels: wide_products"),
        ("add_rows(rows, ends[j], ends[j + 1], R, out[j])",
         "add_rows(rows, ends[j] + 1, ends[j + 1], R, out[j])",
         "kernels: wide_products"),
        ("scaled[c, t] = column[c, t] * pivot[t]", "scaled[c, t] = column[c, t]",
         "kernels: systems"),
        ("target[t] -= left[t] * scale[t]", "target[t] += left[t] * scale[t]",
         "kernels: conditions"),
        ("quadratic[start + t] = -A[n_pairs", "quadratic[start + t] = A[n_pairs",
         "kernels: submatrices"),
        ("term = triangles[row, t] * weights[t]", "term = triangles[row, t]",
         "kernels: submatrices"),
        ("total[second, first] += term", "total[second, first] += 0.0",
         "kernels: submatrices"),
        ("corner[t] += means[i, t] * target[t]", "corner[t] += means[i, t]",
         "kernels: fits_do_not"),
        ("means[i, t] = factor_mean[i] + prior_means[i, start + t]",
         "means[i, t] = factor_mean[i]", "kernels: fits_do_not"),
        ("twice = 1.0 if i == c else 2.0", "twice = 1.0", "kernels: fits_do_not"),
        ("moments[row] += total", "moments[row] = total", "kernels: many_rows"),
    ],
    "data/_products.py": [
        # Products of masks and of weights of any scale.
        ("W.sum(axis=1)[:, None]", "W.mean(axis=1)[:, None]",
         "against_sklearn: gaussian_mixture"),
        ("product.astype(np.float64) * scale", "product.astype(np.float64)",
         "family: check_single_precision"),
        ("(R / scale).astype(dtype), scale", "R.astype(dtype), 1.0",
         "diagonal: scale_of_the_weights"),
    ],
    "data/_columns.py": [
        ("np.full(n_new, self.empty_unit)", "np.full(n_new, 2.0)",
         "replace: always_there"),
        # Centers of columns: of a later batch, and of a fit that goes on.
        ("kept = earlier.known if anchored", "kept = ~earlier.known if anchored",
         "partial_fit: plain_loop"),
        ('placed = kept | (anchored == "all")', "placed = kept",
         "replace: first_does_not_matter"),
        ("(kept | bool(anchored), earlier.units", "(kept, earlier.units",
         "replace: learned_as_by_fit"),
        ("else earlier.known & ~known", "else earlier.known",
         "contracts: centered_elsewhere"),
        ("        known = known | earlier", "        known = known & earlier",
         "mixture: other_columns"),
        # Covariates, in units of their own, and tails of columns.
        ("values = np.where(observed, values, self.center[self.covariates])", "pass",
         "covariates: missing_ones"),
        ("np.divide(1, scales, out", "np.divide(1, scales**2, out",
         "covariates: units"),
        ("modeled[covariates] = 0.0", "pass", "covariates: TestCovariates"),
        ("kept[covariates] = True", "pass", "covariates: keeps_what_it_knows"),
        ("np.maximum(kurtosis / 3, 1.0)", "1.0", "factor: tails"),
        ("fourths += 6 * gaps**2 *", "fourths += 3 * gaps**2 *", "factor: tails"),
        ("fourths += 4 * gaps *", "fourths += 3 * gaps *", "factor: tails"),
        ("cubes += 3 * gaps *", "cubes += 2 * gaps *", "factor: tails"),
        ("gaps = gaps / spreads", "pass", "factor: tails"),
    ],
    "data/_column_features.py": [
        # Columns and features by index or name.
        ("return int(column) % n_columns", "return int(column)", "covariates: refused"),
        ("return values[positions]", "return values", "covariates: every_container"),
        ("if (counts > 1).any():", "if (counts > 2).any():", "covariates: refused"),
        ("if len(columns) == n_columns:", "if len(columns) > n_columns:",
         "covariates: refused"),
    ],
    "data/_blocks.py": [
        # Unknown columns do not order the rows.
        ("read = self.columns.known | ~self.columns.modeled",
         "read = np.ones(self.shape[1], dtype=bool)", "kmeans: unobserved_column"),
    ],
    "data/_dense.py": [
        ("np.full(self.shape[1], weights.sum())",
         "np.full(self.shape[1], float(len(weights)))", "observed: weighted_means"),
        # Columns that the fit never saw, and equal rows.
        ("else self.observed & known", "else self.observed",
         "family: check_unobserved"),
        (" + (observed * by_mask).sum(axis=1)", "", "observed: row_groups"),
        # Residuals from points far off; norms in double precision.
        ("residuals[~self._observed] = 0.0", "residuals[:, :0] = 0.0",
         "kmeans: mixture_of"),
        ("return Dense(residuals), Dense(", "return Dense(self._values), Dense(",
         "diagonal: FarFrom"),
        (", values, values, dtype=np.float64)", ", values, values)",
         "contracts: squared_norms"),
    ],
    "data/_sparse.py": [
        ("sums = _sum_by(indices, weights * values, d)",
         "sums = _sum_by(indices, values, d)",
         "observed: weighted_means"),
        ("if not self.columns.known.all()", "if self.columns.known.all()",
         "family: check_unobserved"),
        ("values - point[self._sparsity.indices]", "values - point.mean()",
         "diagonal: FarFrom"),
        ("np.square(values, dtype=np.float64)", "np.square(values)",
         "contracts: squared_norms"),
    ],
    "data/_stored.py": [
        # The entry itself, not the next one.
        ("indices[middle[open_]] < columns", "indices[middle[open_]] <= columns",
         "observed: lookup"),
        # Entries and rows that are left out where they are read.
        ("found[found] = self._which_count(columns[found], stored)", "pass",
         "memory: left_out"),
        ("count &= self.columns[indices]", "pass", "memory: left_out"),
        ("shifts = starts[first:last] -", "shifts = starts[first] -",
         "memory: left_out"),
    ],
    "data/_observed.py": [
        # Entries and rows find their blocks, and blocks their patterns.
        ("inside = order[slice(", "inside = np.arange(len(order))[slice(",
         "family: check_blocks"),
        ("*(array[rows] for array in", "*(array[: len(array)] for array in",
         "kmeans: blocks"),
        ("key = rows.start, rows.stop, name", "key = 0, 0, name",
         "family: check_blocks"),
    ],
    "data/_patterns.py": [
        ("np.ascontiguousarray(np.packbits(observed, axis=1))",
         "np.packbits(observed, axis=1)", "family: check_containers"),
    ],
    "data/_entries.py": [
        # Hidden entries of frames, of sparse matrices, of rows that would be empty.
        ("keep[hidden_rows] = False", "keep[hidden_rows[1:]] = False",
         "model_selection: test_frames"),
        ("stored = coo.row.astype(np.intp) * Z.shape[1]",
         "stored = coo.row.astype(np.intp) * Z.shape[0]",
         "model_selection: TestInAPipeline"),
        ("[: len(n_hidden)] == n_hidden", "[: len(n_hidden)] == n_hidden + 1",
         "model_selection: test_hidden_entries"),
        ("others = np.setdiff1d(order, drivers)", "others = order",
         "model_selection: test_at_random"),
        ("(rankdata(values[members]) - 0.5)", "rankdata(values[members])",
         "model_selection: test_not_at_random"),
        ("while (probabilities[~certain] > 1).any()", "while False",
         "model_selection: test_not_at_random"),
        ("np.where(from_end, -positions, positions)", "positions",
         "model_selection: two_columns_drive"),
        ("entries.columns[drivers], entries.values[drivers]",
         "entries.rows[drivers], entries.values[drivers]",
         "model_selection: depends_on_the_driver"),
        ("np.where(stored[nearest] == wanted,", "np.where(stored[nearest] >= 0,",
         "model_selection: TestStepsThatMixARow"),
    ],
    "data/_dask.py": [
        # Chunks of Dask arrays.
        ("in_chunk[0] = in_chunk[0] - chunk.start", "in_chunk[0] = in_chunk[0]",
         "dask: all_else"),
        ("rest = sums[len(sums) // 2 * 2 :]", "rest = []", "dask: chunks_without"),
        ("self.weights = weights[weights > 0]", "self.weights = weights",
         "dask: fits_as"),
        ("self.take(chosen, self.weights[chosen])",
         "self.take(chosen, np.ones(len(chosen)))", "dask: fits_as"),
        # The first pass checks, others do not; parameters are sent once.
        ("columns=columns, trusted=True", "columns=columns", "dask: checked_once"),
        ("trusted: bool = False", "trusted: bool = True", "dask: bad_chunks"),
        ("            shipped, chunk.block", "            (reader, work), chunk.block",
         "dask: graph_once"),
    ],
    "covariance/_diagonal.py": [
        # Densities, statistics and M-step of diagonal covariances.
        ("(shifts * self.counts - 2 * self.sums)", "(shifts * self.counts)",
         "partial_fit: far_from_the_center"),
        ("-= 0.5 * LOG_2_PI * block.counts", "-= 0.5 * LOG_2_PI * block.shape[1]",
         "diagonal: log_density"),
        ("= -squares.project(half_precisions)",
         "= -squares.project(2 * half_precisions)", "diagonal: FarFrom"),
        ("variances += share[:, None] * (mean - means) ** 2", "pass",
         "family: check_completions"),
        ("mean + scale * rng.standard", "mean + scale**2 * rng.standard",
         "family: check_sample"),
        ("2 * n_components * n_columns + n_components - 1",
         "2 * n_components * n_columns + n_components",
         "against_sklearn: gaussian_mixture"),
        ("weighted = responsibilities * block.weights", "weighted = responsibilities",
         "diagonal: one_step"),
        ("np.divide(sums - kappa * origin, counts", "np.divide(sums, counts",
         "diagonal: test_prior"),
        ("kappa * learned * means**2", "kappa * means**2", "diagonal: hardly_sees"),
        ("(totals.counts >= self.min_effective_count)", "(totals.counts >= 0)",
         "diagonal: TestKeptValues"),
        ("variances[learned] += self.reg_covar", "variances += self.reg_covar",
         "diagonal: loses_all_rows"),
        ("residuals[residuals <= _ROUNDING * scales]",
         "residuals[residuals <= 0 * scales]", "contracts: rounding_of_a_step"),
        ("entries * parameters.variances", "0 * entries", "partial_fit: one_value"),
        ("init.centered_means(data.columns)", "init.means", "diagonal: one_step"),
        ("statistics.counts * offsets**2", "0 * offsets**2", "mixture: as_uncertain"),
        ("np.bincount(labels, data.weights * terms,", "np.bincount(labels, terms,",
         "kmeans: mixture_of"),
    ],
    "covariance/_full.py": [
        ("shares[k, batch.rows[chosen]] = 1.0", "shares[k, batch.rows] = 1.0",
         "imputation: complete_rows"),
        ("if not len(batch.observed.columns):", "if False:",
         "imputation: tell_nothing"),
        ("_diagonals(self.reg_covar * statistics.counts)",
         "_diagonals(self.reg_covar * (statistics.counts + 60))",
         "imputation: add_up"),
        ("rng.dirichlet(sizes + 1)", "rng.dirichlet(sizes + 9)",
         "imputation: complete_rows"),
        ("prior += strength * common", "pass", "imputation: complete_rows"),
        ("n_prior += strength", "pass", "imputation: complete_rows"),
        # Statistics and M-step of full covariances, and their priors.
        ("moves = other.origin - self.origin", "moves = self.origin - other.origin",
         "partial_fit: plain_loop"),
        ("residuals * np.sqrt(weighted[k])", "residuals * weighted[k]",
         "full: one_step"),
        ("solved_weights[k] += shares[k].sum()",
         "solved_weights[k] += len(shares[k])", "full: one_step"),
        ("statistics.moments - _outer(shifts * sizes, shifts)",
         "statistics.moments - _outer(shifts, shifts)", "full: one_step"),
        ("moments += _outer(sizes * (averages - means), averages - means)", "pass",
         "full: one_step"),
        ("means[kept] = parameters.means[kept]", "pass", "full: loses_all_rows"),
        ("_diagonals(self.reg_covar * shares)",
         "_diagonals(self.reg_covar + 0 * shares)", "full: observing_rows"),
        ("(moments + strength * common) / (rows + strength)",
         "(moments + strength * common) / rows", "full: prior_of_covariances"),
        ("common = invert(precisions.mean(axis=0, keepdims=True))",
         "common = invert(precisions).mean(axis=0)", "full: prior_of_covariances"),
        ("n_rows * np.diag(variances), sizes + n_rows",
         "n_rows * np.diag(variances), sizes", "full: prior_of_covariances"),
        ("lift_eigenvalues(covariances, self.min_variance)",
         "lift_eigenvalues(covariances, 0.5 * self.min_variance)", "full: floor_under"),
        ("n_columns * (n_columns + 1) // 2", "n_columns * n_columns",
         "full: number_of_parameters"),
        ("common = -np.linalg.slogdet(", "common = np.linalg.slogdet(",
         "family: check_objective"),
        ("rng.standard_normal((size, d)) @ factor.T",
         "rng.standard_normal((size, d)) @ factor", "family: check_sample"),
        ("return drawn[:, positions, columns]",
         "return drawn[:, 0 * positions, columns]", "family: check_draws"),
    ],
    "covariance/_elliptical.py": [
        # Densities and weights of rows by their distance.
        ("        shares *= weights", "        weights = 1.0", "full: one_step"),
        ("return shares, shares * row_weights", "return shares, shares",
         "student: one_step"),
        ("labels, means, variances, rng, stretch)", "labels, means, variances, rng)",
         "student: TestDraws"),
    ],
    "covariance/_student.py": [
        # Multivariate t components.
        ("np.sqrt(spreads / degrees)", "np.sqrt(spreads)", "student: integrals"),
        ("-0.5 * (v + counts) * np.log1p", "-0.5 * v * np.log1p",
         "student: TestDensity"),
        ("digamma(halves) - np.log(halves) + logs", "logs", "student: one_step"),
        ("statistics.moments, statistics.totals, parameters.base",
         "statistics.moments, statistics.moments, parameters.base",
         "student: one_step"),
        ("degrees = self.conditional_degrees(measures)[labels, rows]",
         "degrees = self.degrees[labels]", "student: TestDraws"),
        ("factors = np.full(excess.shape, np.inf)",
         "factors = np.full(excess.shape, 1.0)", "student: infinite"),
        ("log_density.max(axis=0) < _NO_SHARE", "log_density.max(axis=0) < -np.inf",
         "student: without_a_share"),
        ("* (v / (v - 2))", "* 1.0", "student: larger_than_the_scale"),
        ('if self.degrees_of_freedom == "auto" else 0', "", "student: number_of"),
        ("counts=totals.counts)", "counts=statistics.counts)",
         "student: column_of_one"),
        ("ratios[:, 3::2] = ratios[:, 1:2] + odd", "ratios[:, 3::2] = odd",
         "student: gamma_ratios"),
    ],
    "data/_clipping.py": [
        ("reach = _FENCE * (high - low)", "reach = high - low", "student: fences"),
        ("if high > low:", "if True:", "student: fences"),
        ("np.bincount(groups, data.weights)", "np.bincount(groups)", "student: fences"),
        ("return data.clipped(*fences)", "return data", "student: gross_errors"),
    ],
    "covariance/_conditioning.py": [
        # Conditional moments of missing entries.
        ("residuals, pulls) - gains", "residuals, pulls) + gains", "full: conditional"),
        ("if condition < _MAX_CONDITION else _eliminate_observed", "",
         "ill_conditioned: conditionals_draws"),
        ("return own - across @ inverses @ np.swapaxes(across, 1, 2)", "return own",
         "full: moments_in_each_way"),
        ("weights = weights.sum(keepdims=True)", "weights = weights[:1]",
         "full: one_step"),
    ],
    "covariance/_triangles.py": [
        ("return lower + np.tril(lower, -1).T", "return lower + np.tril(lower).T",
         "full: one_step"),
        ("np.where(first == second, 1.0, 2.0)", "np.where(first == second, 2.0, 1.0)",
         "factor: TestCompletion"),
    ],
    "covariance/_factor_inference.py": [
        # Latent factors of rows.
        ("evidence.log_noise[rows] + counts * np.log(p.scales[k])",
         "evidence.log_noise[rows] + np.log(scale)", "factor: TestDensity"),
        ("residuals -= 2 * np.einsum(", "residuals -= np.einsum(", "factor: TestStep"),
        ("scaled = share / p.scales[k]", "scaled = share", "factor: TestStep"),
        ("means[-1] -= self.columns.center", "means[-1] -= 0", "factor: TestStep"),
        ("moments = self.loading_spreads.copy()",
         "moments = np.zeros_like(self.loading_spreads)", "factor: TestDensity"),
        # Features move the prior means of factors and loadings.
        ("prior_means=p.row_slopes @ features",
         "prior_means=0 * p.row_slopes @ features", "factor: TestDensity"),
        ("log_joint[k] += np.diag(p.precisions[k]) @ evidence.prior_variances[:, rows]",
         "pass", "factor: TestDensity"),
        ("+ self.column_slopes @ self.features.columns", "+ 0.0", "factor: TestStep"),
        ("+ slopes @ spread @ slopes.T + uncertain", "+ slopes @ spread @ slopes.T",
         "factor: TestDraws"),
        ("np.sum(1 - shrinkage)", "np.sum(shrinkage)", "features: counts_the_slopes"),
        # Columns that are appended.
        ("wide.loadings[:, new] = wide.column_priors[:, new]", "pass",
         "replace: always_there and factor"),
        ("wide.loading_log_dets[new] = np.log(variances).sum(axis=0)", "pass",
         "replace: log_dets"),
        ("wide.noise[new] = np.maximum(pooled, wide.floor[new])",
         "wide.noise[new] = 1.0", "replace: always_there and factor"),
    ],
    "covariance/_further_columns.py": [
        ("about = squares + gaps * (2 * s.sums + gaps * s.counts)", "about = squares",
         "replace: always_there"),
        ("moments[:, new, new] = own * s.sizes[:, None]", "pass",
         "replace: always_there"),
    ],
    "covariance/_factor_features.py": [
        # Features of the mask, standardized, and known ones beside them.
        ("_predict_mask(together, n_mask, columns.known, np.arange(d) >= before)",
         "pass", "replace: appended_columns_with"),
        ("block.weights / (block.counts + _ROW_DAMPING)", "block.weights",
         "features: directions"),
        ("np.clip(features, -_MAX_FEATURE, _MAX_FEATURE, out=features)", "pass",
         "features: are_bounded"),
        ("1 / np.sqrt(counts + _COLUMN_DAMPING)", "1 / np.sqrt(counts)",
         "features: directions"),
        ("self.project_mask(block) / np.sqrt(counts + _ROW_DAMPING)",
         "self.project_mask(block)",
         "features: row_features"),
        ("features[:, empty] = self.row_regression @ block.covariates[:, empty]",
         "pass", "features: plain_loop"),
        ("int(data.weights.sum()) // 4", "data.shape[0] // 4", "features: repetition"),
        ("together, n_mask = together[n_mask:], 0", "pass", "features: no_mask"),
        ("features[:n_mask, unknown] = slopes @ features[n_mask:, unknown]", "pass",
         "features: of_a_new_column"),
        ("_REGRESSION_PRIOR / size *", "0.0 *", "features: of_a_new_column"),
        ("_reciprocals(np.sqrt(squares),", "_reciprocals(squares,",
         "features: row_features"),
        ("present = known & ~np.isnan(features)", "present = ~np.isnan(features)",
         "features: known_features"),
        ("np.where(described & ~np.isnan(features), standardized, 0.0)",
         "np.where(~np.isnan(features), standardized, 0.0)",
         "features: of_a_new_column"),
        ("    weights = block.weights * (block.counts > 0)",
         "    weights = block.weights", "features: row_features"),
        ("(extended * (block.weights * (block.counts > 0)))",
         "(extended * block.weights)", "features: row_features"),
        ("n / np.maximum(squares, 1e-300)", "1 / np.maximum(squares, 1e-300)",
         "factor: TestStep"),
        ("+ b * strengths", "+ b", "features: solve_their_system"),
    ],
    "covariance/_factor_basis.py": [
        # The basis of the factors.
        ("p.loading_log_dets - 2 * log_det", "p.loading_log_dets",
         "features: no_density"),
        ("factor_means=p.factor_means @ R.T", "factor_means=p.factor_means",
         "features: no_density"),
        ("row_slopes=R @ p.row_slopes", "row_slopes=p.row_slopes",
         "features: no_density"),
        ("covariances=R @ p.covariances @ R.T", "covariances=p.covariances",
         "features: no_density"),
        ("rotation.T[::-1] @ root", "rotation.T[::-1]", "features: suits_the_priors"),
    ],
    "covariance/_factor.py": [
        # Sums over rows, and completions and draws from their factors.
        ("scaled[-1] = block.weights", "scaled[-1] = 1.0", "factor: TestStep"),
        ("log_likelihood += float(weights @", "log_likelihood = float(weights @",
         "factor: in_pieces"),
        ("loadings[-1] += old.center - new.center",
         "loadings[-1] += new.center - old.center", "family: check_warm_start"),
        ("same = np.array_equal(old.center, new.center)", "same = False",
         "factor: TestWarmStart"),
        ("scales[rows] = p.scales @ shares", "scales[rows] = 1.0",
         "factor: TestCompletion"),
        ("values[chunk] += loadings[-1, j]", "values[chunk] += p.loadings[-1, j]",
         "factor: TestDraws"),
        ("p.scales[k] * p.noise + spreads", "p.scales[k] * p.noise",
         "factor: TestDraws"),
        ("p.scales[component] * p.noise[columns] + spreads",
         "p.scales[component] * p.noise[columns]", "factor: TestCovariance"),
        ("(r + n_packed(r)) - r - r * r", "(r + n_packed(r)) - r",
         "factor: TestCriteria"),
        ("np.argsort(-sizes[1:],", "np.argsort(sizes[1:],", "factor: order"),
        ("data.columns.known & (statistics.column_weights == 0)",
         "data.columns.known & (statistics.column_weights < 0)", "dask: outside"),
    ],
    "covariance/_factor_start.py": [
        # Loadings span the leading directions; types differ by their noise.
        ("return sums / (block.counts + _DAMPING)",
         "return sums / (block.shape[1] + _DAMPING)", "factor: spans"),
        ("U *= block.weights / (block", "U *= 1.0 / (block", "factor: spans"),
        (" - block.mask.collect(U * offsets)", "", "factor: spans"),
        ("_PRECISION / max(variance, gaps)", "_PRECISION / variance",
         "features: rare_column"),
        ("np.log(damped / (block.counts[rows] + _DAMPING))", "np.log(damped)",
         "factor: noise_of_rows"),
    ],
    "covariance/_factor_step.py": [
        # Loadings, noise and components, their bounds and priors.
        ("np.maximum((residuals + pooled) / counts, p.floor)",
         "(residuals + pooled) / counts", "factor: floor_under"),
        ("unexplained[:, known][[0, -1]].mean", "unexplained[[0, -1]].mean",
         "factor: TestStep"),
        # Slopes on features, their strengths, and the change of the basis.
        ("squares += p.column_slopes**2 @ p.column_slope_precisions", "pass",
         "factor: TestStep"),
        ("+ n * np.diag(inverse)", "", "factor: TestStep"),
        ("gaps = crossed - means[:, :, None] * sums[:, None]", "gaps = crossed",
         "factor: TestStep"),
        ("means = first - sums @ slopes.T", "means = first.copy()", "factor: TestStep"),
        ("_ROW_STEPS = 2", "_ROW_STEPS = 1", "factor: TestStep"),
        ("covariances += uncertain[:, :, None] * np.eye(r)", "pass",
         "factor: TestStep"),
        ("moments -= crossed + np.swapaxes(crossed, 1, 2)",
         "moments -= 2 * crossed", "factor: TestStep"),
        ("value += _log_row_slopes(p)", "pass", "factor: TestStep"),
        ("if learns_slopes:", "if len(strengths):", "online: leaves_slopes"),
        ("evidence=p.evidence - kept.evidence", "evidence=p.evidence",
         "online: objective_of_few"),
        ("log_priors.sum() - log_priors[columns].sum()", "log_priors.sum()",
         "online: objective_of_few"),
        ("return new if gain > 0 else p", "return new if gain < 0 else p",
         "features: TestBasis or TestObjective"),
        ("covariance=float(np.clip(n_columns, 20, 100))", "covariance=20.0",
         "features: grow_with"),
        ("np.minimum(precision, limit)", "precision", "partial_fit: streams_end"),
        ("explained = q - np.sum", "explained = -np.sum", "factor: TestStep"),
        ("means /= (statistics.sizes + priors.mean)[:, None]",
         "means /= statistics.sizes[:, None]", "factor: TestStep"),
        ("np.clip(scales, max(1 / _MAX_SCALE, p.min_scale), _MAX_SCALE)",
         "np.maximum(scales, max(1 / _MAX_SCALE, p.min_scale))",
         "factor: has_bounds"),
        ("value += priors.weight * np.sum", "value -= priors.weight * np.sum",
         "factor: TestStart"),
        ("previous_scales=p.scales,", "previous_scales=None,", "factor: backtracks"),
    ],
    "covariance/_family.py": [
        # The defaults of a family.
        ("size=(n_draws, cumulative.shape[1])", "size=(n_draws, 1)",
         "family: check_draws"),
        ("spread = variances + (means - mean) ** 2", "spread = variances + means**2",
         "family: check_completions"),
        ("np.sqrt(variances)[labels, entries] * noise",
         "variances[labels, entries] * noise", "family: check_draws"),
        ("log_joint -= logsumexp(log_joint, axis=0)", "pass",
         "family: check_entry_densities"),
        ("means[:, ~old.known] = 0.0", "pass", "contracts: unobserved_column"),
        ("rest * (np.abs(rest) > _ROUNDING * np.abs(value))", "rest",
         "replace: column_whose"),
        ("return peak + np.log(scale)", "return np.log(scale)",
         "diagonal: log_density"),
    ],
    "_em.py": [
        ("parameters = family.accelerate(earlier, parameters)", "pass",
         "features: warm_start"),
        ("parameters, result = fallback, family.backtrack(result)",
         "parameters = result = fallback", "partial_fit: backtracked"),
        ("parameters = family.accelerate(statistics, result)", "parameters = result",
         "features: less_steeply"),
        ("bounds[-family.n_judged_passes - 1 :][0]", "bounds[-2]", "factor: stops"),
        # Iterations: convergence per row or entry, and batches that are forgotten.
        ("floor = (self.n_batches + 2) **", "floor = (self.n_batches + 1) **",
         "partial_fit: plain_loop"),
        ("max(min(n_rows + rows, rows / floor), n_rows)",
         "min(n_rows + rows, rows / floor)", "partial_fit: plain_loop"),
        # Columns that a batch does not observe wait, but not forever.
        ("0 < n_columns < d - self.n_columns", "0 < n_columns < d",
         "online: as_often"),
        ("self.n_rows + n_rows < ", "n_rows < ", "online: as_often"),
        # Rows are exchanged under the parameters of the last E-step.
        ("accepted, reference = statistics, parameters", "accepted = statistics",
         "replace: equal_sums"),
        ("statistics.aligned(sums) - sums", "statistics", "replace: equal_sums"),
        ("if least < -(tolerance", "if least < -10 * (tolerance + 1",
         "replace: not_learned"),
        ("statistics=statistics, is_exact=True", "statistics=statistics",
         "replace: go_on_exactly"),
        ("self.statistics.aligned(batch).scaled(", "self.statistics.scaled(",
         "partial_fit: plain_loop"),
        ("abs(judged) < tol *", "judged < tol *", "contracts: fall_of_the_objective"),
        ("(statistics.size / statistics.weight)", "1", "factor: change_of_an_entry"),
        ("accepted, reference = statistics, parameters",
         "accepted, reference = accepted or statistics, parameters",
         "partial_fit: factor_batch"),
    ],
    "_lloyd.py": [
        # Lloyd's iterations, as in scikit-learn.
        ("block.mask.project(centers**2) -", "(centers**2).sum(axis=1)[:, None] -",
         "kmeans: plain_loop"),
        ("return np.maximum(distances, 0.0, out=distances)", "return distances",
         "contracts: not_negative"),
        ("np.lexsort((groups, -distances))", "np.lexsort((groups, distances))",
         "against_sklearn: relocates"),
        ("labels[groups == groups[row]] = cluster", "labels[row] = cluster",
         "contracts: equal_rows_together"),
        ("out=centers.copy(), where=", "out=np.zeros_like(centers), where=",
         "contracts: without_distance"),
        ("np.mean(squares[known] / counts[known])",
         "squares[known].sum() / counts[known].sum()", "contracts: tol_is_relative"),
    ],
    "_starts.py": [
        # Drawn rows are distinct, distant, have entries, and are drawn by weight.
        ("remaining[chosen[-1]] = 0.0", "remaining[0] = 0.0", "contracts: distinct"),
        ("potentials = masses * closest", "potentials = 1.0 * closest",
         "contracts: by_weight"),
        ("np.argmin(distances @ masses, axis=1)",
         "np.argmin(distances.sum(axis=2), axis=1)", "starts: count_by_weight"),
        ("closest = distances[starts, best]", "closest = distances[starts, 0]",
         "contracts: are_distant"),
        ("chosen & (counts > 0)", "chosen", "contracts: have_entries"),
        # Coordinates of a family, samples that stand for all rows, labels.
        ("np.where(variances > 0, variances, 1.0)", "np.ones_like(variances)",
         "starts: units"),
        ("masses = counts * (cumulative[-1] / n_groups)", "masses = 1.0 * counts",
         "starts: stands_for"),
        ("np.where(observed, rows, completed)", "np.where(observed, rows, 0.0)",
         "starts: conditional_means"),
        ("np.where(labels < 0, nearest, labels)", "nearest", "starts: nearest"),
    ],
    "covariance/_draws.py": [
        # Posterior of means and covariances, and columns that no row observes.
        ("v - np.arange(d)", "v + 0 * np.arange(d)", "imputation: wishart"),
        ("np.maximum(sizes - 1, 0.0)", "np.maximum(sizes, 0.0)",
         "imputation: few_rows_take"),
        ("sizes - 1 + n_prior", "sizes + n_prior", "imputation: few_rows_take"),
        ("sizes + n_prior >= d + 2", "sizes + n_prior >= 0",
         "imputation: few_rows_take"),
        ("/ np.sqrt(n_rows)[:, None, None]", "/ n_rows[:, None, None]",
         "imputation: complete_rows"),
        ("covariance[np.ix_(given, given)] = drawn", "pass", "imputation: no_row"),
        ("unexplained + across @ slopes[-1].T", "unexplained",
         "imputation: no_row"),
        ("mean[others] += slopes", "mean[others] += 0 * slopes", "imputation: no_row"),
    ],
    "covariance/_entry_parts.py": [
        # Completions as sums of parts.
        ("residuals *= shares[:, i, None]", "residuals *= shares[:, :1, None]",
         "explanation: elliptical"),
        ("(errors > _TOLERANCE * sizes)", "(errors > 1e9 * sizes)",
         "explanation: explain_nothing"),
        ("share @ (at_points - centers[:, j])", "share @ at_points",
         "explanation: probing"),
    ],
    "covariance/_factor_parts.py": [
        ("evidence -= (spreads", "evidence += (spreads", "explanation: factors"),
        ("by_covariates[:, empty] += regression",
         "by_covariates[:, empty] -= regression", "explanation: covariates"),
    ],
    "covariance/_similarity.py": [
        ("(gaps**2 + variances).sum(axis=1)", "(gaps**2).sum(axis=1)",
         "similarity: completions"),
        ("(gaps[:, columns].T * weights) @ gaps", "gaps[:, columns].T @ gaps",
         "similarity: correlations"),
        ("weight * within", "within", "similarity: correlations"),
    ],
    "covariance/_factor_similarity.py": [
        ("gaps = p.relative_loadings[:-1] - p.prior_mean[:-1, None]",
         "gaps = p.relative_loadings[:-1]", "similarity: loadings"),
        ("return Vectors(means, (means**2).sum(axis=0) + traces)",
         "return Vectors(means, (means**2).sum(axis=0))", "similarity: loadings"),
        ("factors += weight *", "factors +=", "similarity: loadings"),
        ("[:, known], _relative", ", _relative", "similarity: factors"),
    ],
    "_similarity.py": [
        ("compared[i, i + part.start] = -np.inf", "pass", "similarity: factors"),
    ],
    "_explanation.py": [
        ("* (means - base)", "* means", "explanation: elliptical"),
        ("parts.mask[back]", "parts.mask", "explanation: factors"),
    ],
    "_imputation.py": [
        # Sweeps, weights of rows, and donors.
        ("data.reweighted(n * rng.dirichlet(np.ones(n)))", "data",
         "imputation: dirichlet"),
        ("(block.counts > 0).sum()", "(block.counts >= 0).sum()",
         "imputation: tell_nothing"),
        ("((fitted, donors), (drawn, rows))", "((fitted, donors), (fitted, rows))",
         "imputation: drawn_ones"),
        ("        completed[:, j] = values", "        values[rows] += 0.0",
         "imputation: nearest_expectations"),
        ("completed[unread] = given", "pass", "imputation: covariates"),
        ("completed[unread] = np.nan", "pass", "imputation: covariates"),
        ("np.searchsorted(offered, high, \"right\")", "np.searchsorted(offered, high)",
         "imputation: equally_likely"),
        ("tie += np.where(tie < start, 0, n_nearer)", "pass",
         "imputation: equally_likely"),
    ],
    "model_selection/_pool.py": [
        ("(1 + 1 / m) * estimates", "estimates", "pool: formulas"),
        ("ddof=1", "ddof=0", "pool: formulas"),
        ("(dfcom + 3) / ((dfcom + 1)", "(dfcom + 1) / ((dfcom + 1)",
         "pool: formulas"),
        ("2 * (1 - share) / (freedom + 3)", "2 * (1 - share) / (freedom + 1)",
         "pool: formulas"),
    ],
    "_model.py": [
        # Questions to a model: units, blocks, observed entries.
        ("np.clip(below, 0.0, 1.0)", "below", "model_selection: exceed_1"),
        ("int(self.columns.known.sum())", "len(self.columns.known)",
         "factor: TestCriteria"),
        ("block.restore(std, value=0.0)", "pass", "family: check_observed_entries"),
        ("values[missing] - self.columns.center[j]", "values[missing]",
         "model_selection: TestScoreEntries"),
        ("block.restore(scores, value=-np.inf)", "block.restore(scores, value=0.0)",
         "recommend: sort_of"),
        ("rows[inside] - block.rows.start, columns[inside]",
         "rows[inside], columns[inside]", "family: check_draws"),
        ("return completions[:, back]", "return completions", "family: check_draws"),
    ],
    "_ranking.py": [
        ("room = n - (array[surplus] > nth[surplus])",
         "room = n - 0 * (array[surplus] > 0)", "recommend: largest"),
        ("np.where(std > 0, ndtr(margins), values >= self.threshold)", "ndtr(-margins)",
         "ranking: product"),
        ("~chosen if has_candidates else chosen", "chosen", "ranking: test_candidates"),
        ("1 if self.rank_by == \"upper\" else -1", "1", "ranking: bounds"),
    ],
    "metrics.py": [
        ("np.log2(np.arange(lists.k) + 2)", "np.log2(np.arange(lists.k) + 3)",
         "metrics: loops"),
        ("np.minimum(lists.n_relevant, lists.k)", "lists.n_relevant",
         "metrics: loops"),
        ("np.maximum(counts[listed], 1)", "np.maximum(counts[listed], 2)",
         "metrics: coverage"),
    ],
    "baselines.py": [
        ("_divide(sums, counts + self.damping)", "_divide(sums, counts + 1)",
         "splits: test_baselines"),
        ("block.counts + self.damping", "block.counts + 1", "splits: test_baselines"),
        ("(self._seed, row)", "(self._seed, 0)", "splits: random_items"),
    ],
    "model_selection/_splits.py": [
        ("np.minimum(_count(counts, size), counts - 1)", "_count(counts, size)",
         "splits: share"),
        ("times >= np.sort(times)", "times > np.sort(times)", "splits: global"),
    ],
    "model_selection/_recommendation.py": [
        ("apply_steps(before, X_hidden)", "apply_steps(before, X)",
         "splits: pipelines"),
        ("np.diff(values) < -atol", "np.diff(values) < -np.inf", "splits: pipelines"),
    ],
    "_base.py": [
        ("is_long = data.shape[0] >= _MIN_INDICATOR_ROWS", "is_long = True",
         "door: lost_their_zeros"),
        ("columns.known.sum() < n_stored < n_entries", "n_stored < n_entries",
         "door: lost_their_zeros"),
        # Criteria and weights; a fit that fails changes nothing.
        ("np.average(log_density, weights=weights)", "np.average(log_density)",
         "family: check_weights"),
        ("self._penalize(X, lambda n: 2.0)", "self._penalize(X, lambda n: 1.0)",
         "model_selection: sklearn"),
        ("+ 2 * self._entropies(X)", "- 2 * self._entropies(X)",
         "model_selection: test_icl"),
        ("np.log((n + 2) / 24)", "np.log(n + 2)", "model_selection: sample_sizes"),
        ("total(_count_entries) / n_columns", "total(_count_entries)",
         "model_selection: sample_sizes"),
        ("            anchored=anchored,", "            anchored=None,",
         "partial_fit: plain_loop"),
        ("            vars(self).clear()", "            pass", "mixture: failed_fit"),
    ],
    "_validation.py": [
        # Frames of completions, of their standard deviations and of draws.
        ("if completed.ndim == 3:", "if False:", "pipelines: draws"),
        ("if X.shape[1] != estimator.n_features_in_:", "if False:",
         "pipelines: refused"),
        # Indices within X, weights that are not negative, two rows at least.
        ("(indices >= bound)]", "(indices > bound)]", "mixture: bad_entries"),
        ("ensure_non_negative=True", "ensure_non_negative=False",
         "contracts: negative_weights"),
        ("if X.shape[0] < min_rows:", "if X.shape[0] + 1 < min_rows:",
         "dask: unusable"),
    ],
    "_mixture.py": [
        ("best = runs[find_best(runs)]", "best = runs[0]",
         "mixture: best_of_several"),
        ("parameters = family.recenter(parameters, table.columns, sample.columns)",
         "pass", "student: units_of_the_data"),
    ],
    "model_selection/_scorers.py": [
        # Higher scores are better.
        ("np.sqrt(np.mean((predicted - true) ** 2))",
         "np.mean((predicted - true) ** 2)", "model_selection: named_metrics"),
        ("value if self.greater_is_better else -value",
         "-value if self.greater_is_better else value",
         "model_selection: callable_metrics"),
        ('_negate("aic"', '_negate("bic"', "model_selection: test_criteria"),
    ],
    "model_selection/_race.py": [
        # Who leaves a race, and what stays with it.
        ("* max(before - after, 0.0)", "* -9.0", "select_mixture: plain_grid"),
        ("excess.mean(axis=1) >", "excess.mean(axis=1) < -", "select_mixture: leave"),
    ],
    "model_selection/_select.py": [
        ("return errors**2 if", "return errors if", "select_mixture: held_out_entries"),
        ('candidate["n_components"] == 1', 'candidate["n_components"] == 0',
         "select_mixture: exhaustive"),
    ],
    "_silhouette.py": [
        ("known[rows, start + rows] = False", "pass", "kmeans: silhouette"),
        ("[sizes[own] == 1] = 0.0", "[sizes[own] == 1] = 1.0", "kmeans: silhouette"),
    ],
    "model_selection/_search.py": [
        ("/ np.sqrt(n_splits - 1)", "/ np.sqrt(n_splits)",
         "model_selection: test_rule"),
        ("simplest[np.argmax(means[simplest])]", "simplest[0]",
         "model_selection: test_rule"),
    ],
    "model_selection/_regressor.py": [
        ("return predicted[inverse]", "return predicted",
         "model_selection: TestEntryRegressor"),
        ("gather(undone, rows, columns)", "predicted",
         "model_selection: TestEntryRegressor"),
    ],
    "model_selection/_cross_validation.py": [
        ("cv = KFold(cv, shuffle=True, random_state=0)", "cv = KFold(cv)",
         "model_selection: lines_of_a_table"),
    ],
    "_held_out.py": [
        # Steps do not see the truth, and are undone from the last.
        ("    Z = apply_steps(transforms, X)",
         "    Z = apply_steps(transforms, X_hidden)",
         "model_selection: TestInAPipeline"),
        ("changed = np.abs(found - expected)", "changed = (found - expected)",
         "model_selection: TestStepsThatMixARow"),
        ("in reversed(list(enumerate(steps)))", "in enumerate(steps)",
         "model_selection: undone_from_the_last"),
        ('getattr(steps[-1], "missing_values", np.nan)',
         'getattr(steps[0], "missing_values", np.nan)',
         "model_selection: other_missing_values"),
    ],
    "_ids.py": [
        # One kind of ids, whatever container they come in, and none of them missing.
        ("if hasattr(value, \"__len__\"):", "if False:", "ratings_features"),
        ("and not issubclass(kind, np.timedelta64)", "", "ratings: no_numbers"),
        ("find_missing(coded))", "find_missing(coded) & False)",
         "ratings_ids: refused"),
        ("abs(value) < _MAX_FLOAT and", "", "ratings_ids: refused"),
        ("if not (np.abs(ids) < _MAX_FLOAT).all():", "if False:",
         "ratings_ids: refused"),
        ("[each in _MISSING_TEXTS for", "[each == 'nan' for", "ratings_ids: refused"),
        ('each.endswith("\\0")', 'each.startswith("\\0")', "ratings_ids: refused"),
        ("if bool in types or np.bool_ in types:", "if np.bool_ in types:",
         "ratings_ids: refused"),
        ("{first.__name__}, but", "{first.__name__}, not", "ratings_ids: refused"),
        ("(str, bytes, Set, Mapping)", "(str, bytes, Mapping)", "ratings_ids: refused"),
        ("if ids.dtype.kind not in \"UO\":", "if False:", "ratings_ids: refused"),
        ("and dtype.time_zone is not None:", "and False:", "ratings_ids: refused"),
        ("if any(getattr(each, \"tzinfo\", None)", "if any(None",
         "ratings_ids: refused"),
        ("values = pyarrow.chunked_array([values])", "pass", "ratings_ids: refused"),
        ("if dtype in (nw.Int128, nw.UInt128):", "if False:", "ratings_ids"),
        ("if hasattr(native.dtype, \"categories\"):", "if True:",
         "ratings_ids: SameIds"),
        ("except (ImportError, UnicodeEncodeError):", "except ImportError:",
         "ratings_ids: halves"),
        ("used[coded.codes] = True", "used[:] = True", "ratings_ids: SameIds"),
        ("ranks[order] = ", "ranks[:] = ", "ratings_ids: SameIds"),
        ("firsts[1:] = in_order[1:] !=", "_ = in_order[1:] !=", "ratings_ids: SameIds"),
        # Lookup tables of integers; strings with one hash, and long ones.
        ("codes = np.empty(span, dtype=np.int32)", "codes = np.zeros(span, dtype=bool)",
         "ratings_ids"),
        ("if ids.dtype.itemsize < 8:", "if False:", "ratings_ids: Width"),
        ("np.searchsorted(old, new), new)", "0, new)", "ratings"),
        ("if not (distinct[codes] == ids).all():", "if False:", "ratings_ids: Width"),
        ("_MAX_PADDING = 8", "_MAX_PADDING = 10**9", "ratings_ids: Width"),
        (" & (wanted == ids)", "", "ratings_ids: Width"),
    ],
    "_rating_lines.py": [
        # Ratings outside the range: an error, missing with known ids, or clipped.
        ("(ratings < low) | (ratings > high)", "(ratings < low)", "ratings: Range"),
        ("(ratings < low) | (ratings", "(ratings <= low) | (ratings", "ratings: Range"),
        ("return float(low), float(high)", "return low, high", "ratings: Range"),
        ("np.flatnonzero(~outside)", "np.flatnonzero(outside)", "ratings: Range"),
        ("lines.name_line(int(selected[line]))", "lines.name_line(line)",
         "ratings_ids: Lines"),
        ("in_order = -np.inf < low < high < np.inf", "in_order = low < high",
         "ratings: Range"),
        ("partial(name_table_line, table=number)", "name_table_line",
         "ratings_ids: Lines"),
        # Ratings are numbers; other columns may have equal names.
        ("or isinstance(value, (np.bool_, Decimal)):",
         "or isinstance(value, (np.bool_, Decimal, str)):", "ratings: numbers"),
        ("return np.inf  # refused as such", "return 0.0", "ratings: no_numbers"),
        ("check_unmasked(getattr(lines, name), name)", "pass", "ratings: masked"),
        ("if len(set(names)) == len(names):", "if True:", "ratings: equal_names"),
        ("None if _is_frame(tables) else iter(tables)", "iter(tables)",
         "ratings: tables"),
    ],
    "datasets/_text.py": [
        # Line ends, byte order marks, and the first fault of a file.
        ("data, held = held + data, b\"\"", "data, held = data, b\"\"", "rating_files"),
        ("not is_final and fault is None:", "not is_final:", "rating_files"),
        ("while is_first and data.startswith(codecs.BOM_UTF8)", "while False",
         "rating_files: marks"),
        ("data = data[:position]", "pass", "rating_files"),
        ("carry = data[end:]", "carry = b\"\"", "rating_files"),
        ("max(start - len(before), 0)", "start", "rating_files"),
        ("if fault is None and broken is not None:", "if False:",
         "rating_files: broken"),
        ("is_first = is_first and not data", "pass", "rating_files: marks"),
        ("codec = codecs.lookup(\"utf-8\") if codec.name == \"utf-8-sig\" else codec",
         "pass", "rating_files: first_fault"),
        ("if not passed.startswith(other))", ")", "rating_files: faults"),
        ("start.startswith((_GZIP, *_ZIP))", "False", "rating_files: workbooks"),
        # Archives of which bytes were changed.
        ("    OSError,", "", "rating_files: changed"),
        ("    ValueError,", "", "rating_files: zip"),
        ("if not member.filename.endswith(\"/\")", "if not member.is_dir()",
         "rating_files: changed"),
        ("not member.filename.startswith(\"__MACOSX/\")", "True", "rating_files: zip"),
        ("size > max_size:", "False:", "fetch: huge"),
    ],
    "datasets/_records.py": [
        ("quoted.replace('\"\"', '\"')", "quoted", "rating_files"),
        ("- set(delimiter))", ")", "rating_files: blanks"),
        ("if character.isalnum()", "if character.isdigit()", "rating_files: separate"),
    ],
    "datasets/_distinct.py": [
        ("differ = self._lengths[codes] > len(words)",
         "differ = self._lengths[codes] < 0", "rating_files: distinct"),
        ("differ |= known[codes] != found", "pass", "rating_files: distinct"),
        ("differ |= found != 0", "pass", "rating_files: distinct"),
        ("is_first[1:] = (new[:, 1:] != new[:, :-1]).any(axis=0)",
         "is_first[1:] = (new[:, 1:] != new[:, :-1]).all(axis=0)",
         "rating_files: distinct"),
        ("words[j] &= _MASKS[j][lengths]", "words[j] &= _MASKS[0][lengths]",
         "rating_files: distinct"),
        ("random = np.random.default_rng()", "random = np.random.default_rng(0)",
         "rating_files: colliding"),
        ("total = np.where(word == 0, total, mixed)", "total = mixed",
         "rating_files: distinct"),
        ("^ word) * factor", ") * factor", "rating_files: colliding"),
    ],
    "datasets/_rating_file.py": [
        # Which blocks are plain, and where the fields of these end.
        ("or n_fields < self._n_fields", "", "rating_files"),
        ("if lengths[:, self._n_fields :].any():", "if False:", "rating_files"),
        ("starts += buffer[starts] == ord(\" \")", "pass", "rating_files: numpy"),
        ("and b\" \" not in self._delimiter:", ":", "rating_files"),
        ("not is_newline[ends[n_fields - 1 :: n_fields]].all()", "False",
         "rating_files"),
        ("2 * np.count_nonzero(quoted) != np.count_nonzero(is_quote)", "False",
         "rating_files"),
        ("& (ends - starts >= 2)", "", "rating_files"),
        ("if _SEPARATOR in block:", "if False:", "rating_files"),
        ("not _IN_NUMBERS[texts.view(np.uint8)].all()", "False", "rating_files"),
        ("if not np.isfinite(values).all():", "if False:", "rating_files"),
        ("part = rest + block[start:end]", "part = block[start:end]",
         "rating_files: parts"),
        ("start + max(_PART, len(rest))", "start + _PART", "rating_files: few_times"),
        # Ids of both readers, and numbers of lines.
        ("codes[codes < 0] += len(texts)", "codes[codes < 0] += len(texts) - 1",
         "rating_files"),
        ("first if numbers[-1] == first + n - 1 else", "first if True else",
         "rating_files"),
        ("line = numbers + offset if isinstance(numbers, int)",
         "line = numbers if isinstance(numbers, int)", "rating_files"),
        # Headers, and fields that none of them names.
        ("if not is_named and (", "if (", "rating_files"),
        ("or rating.lower() in _MISSING", "", "rating_files: faults"),
        ("or _COMMA_NUMBER.fullmatch(rating)", "", "rating_files: faults"),
        ("or None not in (parse_integer(user), parse_integer(item))", "",
         "rating_files: faults"),
        ("field.strip(BLANKS) for field in fields[self._n_fields :]", "()",
         "rating_files"),
        ("max(n_named, n_needed)", "n_needed", "rating_files"),
        ("if excel is not None:", "if False:", "rating_files: faults"),
        ("\"\" in columns or", "", "rating_files: faults"),
        ("match[1] + match[2]", "match[2]", "rating_files: decisions"),
        ("value if -(2**63) <= value < 2**63 else None", "value", "rating_files"),
        ("if n_found != 1:", "if not n_found:", "rating_files: faults"),
        ("elif _UNNAMED.fullmatch(names[column]):", "elif False:",
         "rating_files: faults"),
        ("Unnamed: [0-9]+|", "", "rating_files: faults"),
        ("(?:0|-?[1-9][0-9]*)(?:", "(?:-?[0-9]*)(?:", "rating_files: decisions"),
        ("text.strip(BLANKS) for text in texts[1:]", "text for text in texts[1:]",
         "rating_files"),
        ("and not isinstance(number, bool)", "", "rating_files: faults"),
        ("value if math.isfinite(value) else None", "value", "rating_files"),
    ],
    "datasets/_csv.py": [
        ("any(is_missing) and others", "False", "rating_files: faults"),
        ("wrong = is_missing", "wrong = [True] * len(used_ids)",
         "rating_files: faults"),
    ],
    "datasets/_movielens.py": [
        ("_check_size(url, file.tell() + len(chunk), max_size)", "pass",
         "fetch: large"),
        ("_check_size(url, int(length or 0), max_size)", "int(length or 0)",
         "fetch: large"),
        ("rest = rest[file.write(rest) :]", "file.write(rest); rest = b\"\"",
         "fetch: full"),
        ("if len(fields) == n_fields > 1:", "if len(fields) > 1:",
         "fetch: lines or fail"),
        ("columns = \"userId\", \"movieId\", \"rating\"", "pass", "fetch: columns"),
        ("names.index(\"movieId\"), names.index(\"title\")", "0, 1", "fetch: columns"),
        ("except ValueError:  # the older", "except ZeroDivisionError:  # the older",
         "fetch: layouts"),
        ("if titles.keys().isdisjoint(lines.items.ids.tolist()):", "if False:",
         "fetch: fail"),
        ("if movie in titles:", "if False:", "fetch: wrong_lines"),
        ("folder.iterdir(), reverse=True", "folder.iterdir()", "fetch: both_files"),
    ],
    "_rating_matrix.py": [
        ("known = ~np.isnan(values)", "known = np.nan_to_num(values) != 0",
         "ratings_features"),
        ("(dtypes[True] or dtypes[False]", "(dtypes[True] | dtypes[False]",
         "ratings: dtype"),
        ("data = np.empty(n_entries, dtype=census.dtype)",
         "data = np.empty(n_entries, dtype=np.float32)", "ratings: dtype"),
        ("aligned[users.find(ids)[0]] =", "aligned[: len(counts)] =", "ratings"),
        # Duplicates give their mean, or the last of them, and are found within a row.
        ("np.add.reduceat(values, firsts) / sizes", "np.add.reduceat(values, firsts)",
         "ratings"),
        ("np.delete(values, repeats)", "np.delete(values, repeats + 1)", "ratings"),
        ("repeats[ends - 1] = False", "repeats[ends - 1] |= False", "ratings"),
        ("side=\"right\")) - 1, int(indices[entry])", "side=\"left\")) - 1, 0",
         "ratings: duplicates"),
        # One unknown item among known ones, and a table that changes, are errors.
        ("and not known.all()", "and not known.any()", "ratings"),
        ("    if not counted.all():", "    if False:", "ratings: readings"),
        ("if (free + added > indptr[1:]).any():", "if False:", "ratings: readings"),
        ("if (free < indptr[1:]).any():", "if False:", "ratings: readings"),
        # One table gives the bits of its pieces.
        ("rows.astype(index_dtype)[by_column.indices]", "rows.astype(index_dtype)",
         "ratings"),
        ("codes = codes[known[lines.items.codes]]", "pass", "ratings"),
    ],
    "_titles.py": [
        ('texts[row] = "" if is_missing', 'texts[row] = "None" if is_missing',
         "ratings_features: Titles"),
        ("texts[known] = self.texts[rows[known]]", "texts[known] = self.texts[rows][0]",
         "ratings_features: Titles"),
        ("pack_strings(texts.tolist())", "texts.astype(str)",
         "ratings_features: Titles"),
        ("if len(names) != 1:", "if not names:", "ratings_features: Titles"),
    ],
    "ratings.py": [
        # Predictions are clipped, and the index of a column is below their number.
        ("values = np.clip(values, *check", "_ = (values, *check", "ratings"),
        ("(items >= n_columns)", "(items > n_columns)", "ratings_features"),
        # Covariates are no items. Users without ratings have rows where asked for.
        (" & (items < len(self.items_))", "", "ratings_features"),
        ("self.column_features_[:n_items] =", "self.column_features_[-n_items:] =",
         "ratings_features"),
        # Indices of rows are no ids.
        ('"integers" != known:', '"integers" == known:', "ratings_ids: Fitted"),
        ("titles.check_overlap(census.items)", "pass", "ratings_features: Titles"),
        ("self._check_title_differs(titles.name)", "pass",
         "ratings_features: Titles"),
        ("_check_title_name(titles.name, backend)", "pass",
         "ratings_features: Titles"),
        ("elif self.out_of_range != \"raise\":", "elif False:", "ratings: Range"),
    ],
    "_feature_tables.py": [
        # Numbers are standardized; missing categories are missing, known zeros stay.
        ("known.std()))", "known.std() ** 2))", "ratings_features"),
        ("(self.std or 1.0)", "(self.std + 1e-9)", "ratings_features"),
        ("known = np.sort(values[", "known = (values[", "ratings_features"),
        ("features[row] = np.nan", "features[row] = 0.0", "ratings_features"),
        ("> _MAX_CATEGORIES:", ">= _MAX_CATEGORIES:", "ratings_features"),
        # Rows follow their ids; a later row takes the place of an earlier one.
        ("return ids, values[order]", "return ids, values", "ratings_features"),
        ("self.values[rows[known]]", "self.values[rows[known] - 1]",
         "ratings_features"),
        ("merged[everyone.find(ids)[0]] = values", "merged[everyone.find(ids)[0][:0]] "
         "= values[:0]", "ratings_features"),
        ("index.name == id_name", "True", "ratings_features"),
    ],
    "_versions.py": [
        ("return {**state, _VERSION_KEY: __version__}", "return {**state}",
         "persistence: within_a_version"),
        ("if original != __version__:", "if original and original != __version__:",
         "persistence: without_a_version"),
        ("if k != _VERSION_KEY}", "if k}", "persistence: within_a_version"),
    ],
    "_table_templates.py": [
        ("return packed if _is_same(native, restored) else frame", "return packed",
         "persistence: plain_values"),
        ("if packed[\"multi\"]:", "if False:", "persistence: several_levels"),
        ("native.columns.names = packed[\"level_names\"]", "pass",
         "persistence: Skops and pandas"),
        ("ordered=packed[\"ordered\"])", "ordered=False)",
         "persistence: Skops and pandas"),
        ("{\"na_value\": np.nan} if packed[\"nan\"] else {}", "{}",
         "persistence: Skops and pandas"),
        ("if hasattr(dtype, \"fill_value\"):  # sparse", "if False:",
         "persistence: Skops and pandas"),
        ("native.write_ipc(file", "native.cast(str).write_ipc(file",
         "persistence: Skops and polars"),
    ],
    "tables.py": [
        # Rows give their observed values, and columns without any their dtype.
        ("fill(series, column.missing, decoded, scalar)",
         "write(series, code.decode(values, rounding), scalar)", "tables"),
        ("if given.is_like(template):", "if False:", "tables"),
        ("if isinstance(code, Unobserved) and", "if False and", "tables"),
        ("if name != expected:", "if False:", "tables"),
        # Only columns that pass through are refused where they are missing.
        ("        if missing.size:", "        if False:", "tables"),
    ],
    "_table_columns.py": [
        ("if column.kind == \"number\" and _is_whole", "if False and _is_whole",
         "tables"),
        ("(np.abs(numbers) < _MAX_WHOLE) &", "", "tables"),
        ("super().bound(np.ceil(low), np.floor(high))", "super().bound(low, high)",
         "tables: dict"),
        ("encoded[codes < 0] = np.nan", "pass", "tables"),
        ("known = ~np.isnan(values).any(axis=1)", "known = values[:, 0] == 0",
         "tables"),
        ("out=shares.copy()", "out=0 * shares", "tables: Probabilities"),
        ("positive = np.clip(values, 0, None)", "positive = np.abs(values)",
         "tables: Probabilities"),
        # Times near a tick are that tick; others go up or down.
        ("<= errors, nearest, rounded)", "<= errors, rounded, rounded)",
         "tables: whole_seconds"),
        ("unit = self.tick if rounding is None", "unit = self.unit if rounding is None",
         "tables: Rounding"),
        ("limits = cls.max_days[column.tick]", "limits = (-np.inf, np.inf)",
         "tables: limits"),
        ("len(levels) < max(len(observed), 2)", "len(levels) < len(observed)",
         "tables"),
        ("if passthrough and not column.missing.any():", "if passthrough:", "tables"),
        ("and (not is_text or isinstance(column.example, str))", "", "tables"),
    ],
    "_table_series.py": [
        ("unknown = np.full(len(missing), np.nan)", "unknown = missing",
         "imputer: all_missing"),
        ("missing[~missing] = np.isnan(observed)", "pass", "tables"),
        ("        return Table(frame.clone(), self.names, 0)",
         "        return Table(self.frame, self.names, 0)", "tables"),
        ("filled = series.astype(np.result_type(series, written))", "filled = series",
         "tables: Arrays"),
        ("order[missing] = len(missing) + np.arange(len(values))",
         "order[missing] = len(missing)", "tables"),
        ("native = native.cat.add_categories(new)", "pass", "tables: other_categories"),
        ("nw.Enum([*levels, *new])", "nw.Enum(levels)", "tables: other_categories"),
        ("times.dt.tz_localize(\"UTC\")", "times.dt.tz_localize(dtype.tz)", "tables"),
        (".replace_time_zone(\"UTC\")", ".replace_time_zone(dtype.time_zone)",
         "tables"),
        ("made.columns = native.columns[list(indices)]", "made.columns = names",
         "tables"),
    ],
    "plotting/_calibration.py": [
        # The band of coverages and the intervals have two sides.
        ("(1 - _BAND) / 2", "1 - _BAND", "plotting"),
        ("ppf((1 + nominal) / 2)", "ppf(nominal)", "plotting"),
        ("np.abs(2 * probabilities - 1)", "probabilities", "plotting: calibra"),
    ],
    "plotting/_missingness.py": [
        # Which columns and rows have missing entries, and which together.
        ("&= ~mask.any(axis=1)", "&= ~mask.all(axis=1)", "plotting_tables: counts"),
        ("(first, -tally.counts[affected[first]])",
         "(first, tally.counts[affected[first]])", "plotting_tables: largest"),
        ("means * (1 - means)", "means", "plotting_tables: correlations"),
        ("(-counts, clusters, -largest[clusters])", "(-counts,)",
         "plotting_tables: neighbors"),
        ("(patterns.sum(axis=1), -counts)", "(patterns.sum(axis=1),)",
         "plotting_tables: counts"),
    ],
    "_ensemble.py": [
        # Moments, weights and errors of members.
        ("total += weights", "total += 1.0", "ensemble: integrals"),
        ("second / total - (first / total) ** 2", "second / total",
         "ensemble: logarithms"),
        ("self.variances + (self.means - mean) ** 2", "self.variances",
         "ensemble: within"),
        ("root = np.sqrt(_SHRINKAGE * error / n_entries)", "root = 0.0",
         "ensemble: held_out_squares"),
        ("scaling.scale if is_code else 1.0", "1.0", "ensemble: weights_of_their_own"),
        ("max(len(rows) - 2, 0)", "len(rows)", "ensemble: HoldOut"),
        ("return mask[:, index]", "return mask[:, index[::-1]]", "ensemble: Layout"),
        ("return is_last & repeated", "return is_last", "ensemble: Layout"),
        ("coverage * (n + 1) / n", "coverage", "ensemble: Calibration"),
        ("return min(stretch, _MAX_STRETCH) * normal", "return stretch * normal",
         "ensemble: bounded"),
        ("mixture.set_params(warm_start=True)", "pass", "ensemble: go_on"),
        ("values = find_nearest(values, matrix[:, known])", "pass",
         "imputer: donors_are"),
        ("transform_output=\"default\", enable", "enable",
         "imputer: configuration"),
        (", enable_metadata_routing=False", "", "imputer: routing"),
        ("weights = weight * np.isfinite(moves)",
         "weights = weight * np.ones_like(moves)", "imputer: without_an_inverse"),
    ],
    "_containers.py": [
        ("frame.schema.items():", "list(frame.schema.items())[1:]:",
         "imputer: markers or marker"),
        ("dtypes[name] = np.float64 if dtype.kind == \"f\" else before", "pass",
         "imputer: marker_of_integers"),
        ("restored[mask] = missing_values", "pass", "imputer: inverse_transform"),
        (" or dtype == nw.Object:", ":", "imputer: columns_of_objects"),
        ("column.tolist() if column.dtype.kind == \"O\" else column",
         "column.tolist()", "imputer: set_output"),
        ("\"USmM\"", "\"US\"", "imputer: dates_in"),
    ],
    "imputer.py": [
        ("X = safe_indexing(X, np.flatnonzero(weights))", "pass",
         "imputer: weight_0"),
        ("@restore_on_failure", "@(lambda fit: fit)", "imputer: interrupt"),
        ("self._check_drawable(matrix, encoder)", "pass",
         "imputer: draws_need_observed"),
        ("rounding=rounding if is_rounded else None", "rounding=rounding",
         "imputer: not_rounded"),
        ("np.where(observed, 0.0, np.nan)", "np.where(observed, np.nan, 0.0)",
         "imputer: draws_of_frames"),
        ("reach = self._ensemble.reach(coverage) *", "reach = 0.9 *",
         "imputer: by_the_deviations"),
    ],
    "preprocessing/_scores.py": [
        ("np.cumsum(sizes) - sizes / 2", "np.cumsum(sizes) - sizes / 3",
         "normal_scores: ranks"),
        ("        result[np.isnan(column)] = np.nan", "        pass",
         "normal_scores: ranks"),
        ("observed &= weights > 0", "pass", "normal_scores: repetition"),
    ],
    "plotting/_imputation.py": [
        # Observed and imputed values, each in shares of their own number.
        ("table.column(j)[~missing]", "table.column(j)", "plotting_tables"),
        ("np.float64 if numeric else object", "object", "plotting_tables: booleans"),
        ("observed.astype(imputed.dtype), imputed", "observed, imputed",
         "plotting_tables: without_values"),
        ("/ max(len(values), 1)", "/ max(len(observed), 1)",
         "plotting_tables: histograms"),
        ("(imputed < observed.min()) | (", "(", "plotting_tables: below"),
        ("found.get(name, -1)", "list(found).index(name)", "plotting_tables: matched"),
    ],
    "data/_tables.py": [
        # Missing are null, NaN and the marker.
        ("missing = missing | _to_mask(series.is_nan())", "pass",
         "plotting_tables: counts"),
        ("missing |= values == missing_values", "pass", "plotting_tables: marker"),
        ("[found >= 0]] = False", "[found >= 0]] = True", "plotting_tables: sparse"),
    ],
    "plotting/_selection.py": [
        # The standard error over folds; the best criterion is the lowest.
        ("np.sqrt(n_folds - 1)", "np.sqrt(n_folds)", "plotting"),
        ("sign = 1 if self.greater_is_better else -1", "sign = 1", "plotting"),
    ],
    "plotting/_convergence.py": [
        # The start with the highest objective is drawn as the kept one.
        ("np.argmax([", "np.argmin([", "plotting"),
    ],
    "plotting/_common.py": [
        # Axes and angle of an ellipse.
        ("widths = 2 * np.sqrt(", "widths = np.sqrt(", "plotting"),
        ("arctan2(axes[1, 1],", "arctan2(-axes[1, 1],", "plotting"),
    ],
    "_progress.py": [
        # A callback stops a run; messages have intervals, and details from 2 on.
        ("return bool(task.call_on", "return not (task.call_on", "progress"),
        ("% self.interval == 0", "% self.interval == 1", "progress"),
        ("if self.verbose > 1", "if self.verbose > 0", "progress"),
    ],
}
# fmt: on


def mutate(path, text, replacement):
    """The source of the file with the text replaced."""
    source = path.read_text(encoding="utf-8")
    if source.count(text) != 1 or "\n" in text or text == replacement:
        raise ValueError(f"the text is there {source.count(text)} times")
    mutated = source.replace(text, replacement)
    compile(mutated, path, "exec")
    return mutated


def run_tests(copy, tests, marks):
    """Whether a test with such marks fails in the copy, and the output of pytest."""
    module, _, words = tests.partition(": ")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-m", marks]
    command += [f"tests/test_{module}.py", *(("-k", words) if words else ())]
    # A stale bytecode file could hide a mutation of the same length, and kernels
    # would stand in for the code beside them.
    env = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    env["NUMBA_DISABLE_JIT"] = str(int(module != "kernels"))
    options = {"cwd": copy, "env": env, "timeout": LIMIT, "text": True}
    try:
        ended = subprocess.run(command, capture_output=True, **options)
    except subprocess.TimeoutExpired:
        return True, f"The tests did not end within {LIMIT} s."
    none_has_marks = ended.returncode == 5 and marks != EVERY_TEST
    if ended.returncode not in (0, 1) and not none_has_marks:
        sys.exit(f"pytest could not run {tests}:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == 1, ended.stdout


def main(words):
    chosen = [
        (f"sklearn_gmmcf/{file}", *mutation)
        for file, mutations in MUTATIONS.items()
        for mutation in mutations
        if not words or any(word in file for word in words)
    ]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        sources, errors = [], []
        for file, text, replacement, _ in chosen:
            try:
                sources.append(mutate(copy / file, text, replacement))
            except (OSError, SyntaxError, ValueError) as error:
                errors.append(f"{file}, {text!r}: {error}")
        if errors or not chosen:
            sys.exit("\n".join(["These mutations cannot be applied:", *errors]))
        for tests in dict.fromkeys(mutation[3] for mutation in chosen):
            failed, output = run_tests(copy, tests, EVERY_TEST)
            if failed:
                sys.exit(f"{tests} should pass on the unchanged code:\n{output}")
        for (file, text, replacement, tests), source in zip(
            chosen, sources, strict=True
        ):
            original = (copy / file).read_bytes()
            (copy / file).write_text(source, encoding="utf-8")
            noticed = any(
                run_tests(copy, tests, marks)[0] for marks in ("not slow", "slow")
            )
            (copy / file).write_bytes(original)
            line = f"{file}: {text} -> {replacement}"
            print("noticed " if noticed else "SURVIVED", line, flush=True)
            survivors += [] if noticed else [line]
    print(
        f"{len(survivors)} of {len(chosen)} mutations survived", *survivors, sep="\n  "
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
