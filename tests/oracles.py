# SPDX-License-Identifier: BSD-3-Clause
"""Plain loops that say what the library should compute, sharing no code with it.

X is dense, NaN where an entry is missing; weights are (K,), means and variances (K, d).
"""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal


def log_joint(X, weights, means, variances):
    """Log of weight times density of the observed entries, (n, K)."""
    result = np.empty((len(X), len(weights)))
    for i, row in enumerate(X):
        observed = ~np.isnan(row)
        for k in range(len(weights)):
            result[i, k] = np.log(weights[k])
            if observed.any():
                result[i, k] += multivariate_normal.logpdf(
                    row[observed],
                    means[k, observed],
                    np.diag(variances[k, observed]),
                )
    return result


def e_step(X, weights, means, variances):
    """Responsibilities (n, K) and log-densities (n,)."""
    joint = log_joint(X, weights, means, variances)
    log_density = logsumexp(joint, axis=1)
    return np.exp(joint - log_density[:, None]), log_density


def m_step(
    X,
    responsibilities,
    means,
    spherical,
    row_weights=None,
    kappa=0.0,
    prior_means=None,
):
    """Weights, means and variances (K, d); `means` stay where nothing is observed.

    `prior_means` (d,) are those of X unless given.
    """
    n, d = X.shape
    n_components = responsibilities.shape[1]
    if row_weights is None:
        row_weights = np.ones(n)
    responsibilities = responsibilities * row_weights[:, None]
    observed = ~np.isnan(X)
    if prior_means is None:
        prior_means = [
            np.average(X[observed[:, j], j], weights=row_weights[observed[:, j]])
            for j in range(d)
        ]
    means = means.copy()
    residuals, counts = np.zeros((n_components, d)), np.zeros((n_components, d))
    for k in range(n_components):
        for j in range(d):
            observed_j = observed[:, j]
            shares = responsibilities[observed_j, k]
            counts[k, j] = shares.sum()
            means[k, j] = (shares @ X[observed_j, j] + kappa * prior_means[j]) / (
                counts[k, j] + kappa
            )
            residuals[k, j] = shares @ (X[observed_j, j] - means[k, j]) ** 2
            residuals[k, j] += kappa * (means[k, j] - prior_means[j]) ** 2
    if spherical:
        variances = residuals.sum(axis=1) / counts.sum(axis=1)
        variances = np.repeat(variances[:, None], d, axis=1)
    else:
        variances = residuals / counts
    return responsibilities.sum(axis=0) / row_weights.sum(), means, variances


def residual_sums(X, responsibilities, means, row_weights=None, kappa=0.0):
    """Residual sums and entries (K, d) of components about their means."""
    observed = ~np.isnan(X)
    weights = np.ones(len(X)) if row_weights is None else row_weights
    residuals, counts = np.zeros(means.shape), np.zeros(means.shape)
    for k, j in np.ndindex(*means.shape):
        rows = observed[:, j]
        shares = responsibilities[rows, k] * weights[rows]
        center = np.average(X[rows, j], weights=weights[rows])
        counts[k, j] = shares.sum()
        residuals[k, j] = shares @ (X[rows, j] - means[k, j]) ** 2
        residuals[k, j] += kappa * (means[k, j] - center) ** 2
    return residuals, counts


def predictive_variances(
    residuals, counts, units, spherical, kappa=0.0, reg_covar=0.0, n_pool=30
):
    """Variances (K, d) of new entries where means and variances are uncertain.

    A mean takes n / (n + kappa) of the n degrees of freedom, for at least kappa = 1. A
    variance has `n_pool` entries more: of its column, which has as many of all columns,
    in their units. 'spherical' has one residual sum for each component.
    """
    kappa = kappa or 1.0
    freedom = np.array([[n - n / (n + kappa) for n in row] for row in counts])
    n_components, d = counts.shape
    total = sum(residuals[k, j] / units[j] ** 2 for k, j in np.ndindex(*counts.shape))
    variances = np.empty((n_components, d))
    for k, j in np.ndindex(*counts.shape):
        if spherical:
            pool = residuals.sum() / freedom.sum()
            variance = residuals[k].sum() + n_pool * pool
            variance /= freedom[k].sum() + n_pool
        else:
            pool = units[j] ** 2 * total / freedom.sum()
            column = residuals[:, j].sum() + n_pool * pool
            column /= freedom[:, j].sum() + n_pool
            variance = (residuals[k, j] + n_pool * column) / (freedom[k, j] + n_pool)
        variances[k, j] = (variance + reg_covar) * (1 + 1 / (counts[k, j] + kappa))
    return variances


def predict_variances(mixture, earlier, X, row_weights=None, n_pool=30):
    """Predictive variances (K, d) of a fit to X; `earlier` is one iteration before."""
    variances = earlier.covariances_.reshape(len(earlier.means_), -1)
    variances = np.broadcast_to(variances, earlier.means_.shape)
    responsibilities, _ = e_step(X, earlier.weights_, earlier.means_, variances)
    kappa = mixture.mean_precision_prior
    residuals, counts = residual_sums(
        X, responsibilities, mixture.means_, row_weights, kappa
    )
    spherical = mixture.covariances_.ndim == 1
    units = column_units(X, row_weights)
    return predictive_variances(
        residuals, counts, units, spherical, kappa, mixture.reg_covar, n_pool
    )


def complete(X, weights, means, variances, predictive):
    """Completed matrix and standard deviations, (n, d) each.

    `predictive` are the variances (K, d) of missing entries.
    """
    responsibilities, _ = e_step(X, weights, means, variances)
    completed, std = X.copy(), np.zeros_like(X)
    for i, j in np.argwhere(np.isnan(X)):
        shares = responsibilities[i]
        mean = sum(r * m for r, m in zip(shares, means[:, j], strict=True))
        second = sum(
            r * (v + m**2)
            for r, v, m in zip(shares, predictive[:, j], means[:, j], strict=True)
        )
        completed[i, j], std[i, j] = mean, np.sqrt(second - mean**2)
    return completed, std


def squared_distances(X, centers):
    """Over the observed entries of each row, (n, K)."""
    result = np.empty((len(X), len(centers)))
    for i, row in enumerate(X):
        observed = ~np.isnan(row)
        for k, center in enumerate(centers):
            result[i, k] = np.sum((row[observed] - center[observed]) ** 2)
    return result


def silhouettes(X, labels):
    """Silhouettes (n,) by distances over the columns that two rows share."""
    n, d = X.shape
    result = np.empty(n)
    for i in range(n):
        distances = {label: [] for label in set(labels)}
        for j in range(n):
            shared = ~np.isnan(X[i]) & ~np.isnan(X[j])
            if j != i and shared.any():
                mean = np.mean((X[i, shared] - X[j, shared]) ** 2)
                distances[labels[j]].append(np.sqrt(d * mean))
        own = distances.pop(labels[i])
        others = [np.mean(each) for each in distances.values() if each]
        if np.sum(labels == labels[i]) == 1:
            result[i] = 0.0
        elif not own or not others:
            result[i] = np.nan
        else:
            a, b = np.mean(own), min(others)
            result[i] = (b - a) / max(a, b)
    return result


def lloyd_step(X, centers):
    """Labels by the centers, and the centers of these labels."""
    labels = squared_distances(X, centers).argmin(axis=1)
    moved = centers.copy()
    for k in range(len(centers)):
        for j in range(X.shape[1]):
            values = X[labels == k, j]
            values = values[~np.isnan(values)]
            if len(values):
                moved[k, j] = values.mean()
    return labels, moved


def condition(row, mean, covariance):
    """Log-density of the observed entries of a row, and moments of the missing ones.

    The filled row (d,), and the conditional covariance (d, d), 0 where observed.
    """
    o = ~np.isnan(row)
    filled, rest = row.copy(), np.zeros_like(covariance)
    if not o.any():
        return 0.0, mean.copy(), covariance.copy()
    log_density = multivariate_normal.logpdf(row[o], mean[o], covariance[np.ix_(o, o)])
    slopes = covariance[np.ix_(~o, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
    filled[~o] = mean[~o] + slopes @ (row[o] - mean[o])
    rest[np.ix_(~o, ~o)] = (
        covariance[np.ix_(~o, ~o)] - slopes @ covariance[np.ix_(o, ~o)]
    )
    return log_density, filled, rest


def full_e_step(X, weights, means, covariances):
    """Responsibilities, log-densities, filled rows (n, K, d), their covariances."""
    n, d = X.shape
    n_components = len(weights)
    joint = np.empty((n, n_components))
    filled = np.empty((n, n_components, d))
    rest = np.empty((n, n_components, d, d))
    for i, row in enumerate(X):
        for k in range(n_components):
            log_density, filled[i, k], rest[i, k] = condition(
                row, means[k], covariances[k]
            )
            joint[i, k] = np.log(weights[k]) + log_density
    log_density = logsumexp(joint, axis=1)
    return np.exp(joint - log_density[:, None]), log_density, filled, rest


def full_m_step(responsibilities, filled, rest, tied, kappa=0.0, prior_mean=0.0):
    """Weights, means and covariances (K, d, d); responsibilities may be weighted."""
    sizes = responsibilities.sum(axis=0)
    n_components, d = filled.shape[1:]
    means, moments = np.empty((n_components, d)), np.zeros((n_components, d, d))
    for k in range(n_components):
        total = sum(
            r * x for r, x in zip(responsibilities[:, k], filled[:, k], strict=True)
        )
        means[k] = (total + kappa * prior_mean) / (sizes[k] + kappa)
        for i, r in enumerate(responsibilities[:, k]):
            residual = filled[i, k] - means[k]
            moments[k] += r * (np.outer(residual, residual) + rest[i, k])
        pull = means[k] - prior_mean
        moments[k] += kappa * np.outer(pull, pull)
    if tied:
        covariances = np.repeat(
            moments.sum(axis=0)[None] / sizes.sum(), n_components, 0
        )
    else:
        covariances = moments / sizes[:, None, None]
    return sizes / sizes.sum(), means, covariances


def full_completion(responsibilities, filled, rest):
    """Means and standard deviations of all entries, (n, d) each."""
    mean = np.einsum("nk,nkd->nd", responsibilities, filled)
    spread = np.einsum("nkdd->nkd", rest) + (filled - mean[:, None]) ** 2
    return mean, np.sqrt(np.einsum("nk,nkd->nd", responsibilities, spread))


# A factor model `p` has, for each type, weights (K,), scales (K,), factor_means (K, r)
# and covariances (K, r, r); loadings (d, r + 1) with the intercept last, not centered,
# their spreads (d, r + 1, r + 1), noise (d,) and known (d,); prior_mean (r + 1,) and
# prior_precision (r + 1,), which hold in units of the columns (d,): a column's loadings
# and the root of its noise are divided by its unit before priors see them.
#
# Its features of rows are the mask's, by mask_directions (q, d), mask_centers (q + 1,)
# and mask_factors (q + 1,), none of them if all are empty, and covariates (p,), the
# columns of X with covariate_means and covariate_scales. The features (Q,) move the
# prior means of the factors by row_slopes (r, Q), known up to row_slope_variances
# (r, Q), with prior precisions row_slope_precisions (Q,). column_features (d, Q') move
# the prior means of the loadings by column_slopes (r + 1, Q'), of the strengths
# column_slope_precisions (Q',).


def column_units(X, row_weights=None):
    """Standard deviations of columns, their logarithms shrunk to a common mean.

    Random effects by DerSimonian and Laird (1986): a logarithm that rests on n degrees
    of freedom has sampling variance 2.5 / n.
    """
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    logs, sampling = {}, {}
    for j in range(X.shape[1]):
        seen = ~np.isnan(X[:, j])
        count = row_weights[seen].sum()
        if count <= 1 or np.ptp(X[seen, j]) == 0:
            continue
        mean = np.average(X[seen, j], weights=row_weights[seen])
        square = sum(row_weights[seen] * (X[seen, j] - mean) ** 2)
        logs[j] = 0.5 * np.log(square / (count - 1))
        sampling[j] = 2.5 / (count - 1)
    if not logs:
        return np.ones(X.shape[1])

    def pool(among):
        shares = {j: 1 / (among + sampling[j]) for j in logs}
        return sum(shares[j] * logs[j] for j in logs) / sum(shares.values())

    fixed = [1 / sampling[j] for j in logs]
    Q = sum((logs[j] - pool(0.0)) ** 2 / sampling[j] for j in logs)
    among = 0.0
    if len(logs) > 1:
        C = sum(fixed) - sum(w**2 for w in fixed) / sum(fixed)
        among = max(0.0, (Q - len(logs) + 1) / C)
    units = np.full(X.shape[1], np.exp(pool(among)))
    for j, log in logs.items():
        trust = among / (among + sampling[j])
        units[j] = np.exp(trust * log + (1 - trust) * pool(among))
    return units


def wide_units(X, row_weights=None):
    """Units, wider by the root of the kurtosis over 3, beyond four standard errors."""
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    units = column_units(X, row_weights)
    for j in range(X.shape[1]):
        x = [value for value in X[:, j] if not np.isnan(value)]
        weights = [w for w, v in zip(row_weights, X[:, j], strict=True) if v == v]
        if not x or max(x) == min(x):
            continue
        gaps = np.array(x) - np.average(x, weights=weights)
        variance = np.average(gaps**2, weights=weights)
        kurtosis = np.average((gaps / np.sqrt(variance)) ** 4, weights=weights)
        tail = (kurtosis - 4 * np.sqrt(24 / sum(weights))) / 3
        units[j] *= np.sqrt(max(tail, 1.0))
    return units


def factor_columns(row, p):
    """Columns of a row that are observed and known."""
    return np.flatnonzero(~np.isnan(row) & p.known)


def factor_second_moment(p, j):
    """Second moment of the loadings of a column, (r + 1, r + 1)."""
    return p.spreads[j] + np.outer(p.loadings[j], p.loadings[j])


def row_features(row, p):
    """Features of a row: the mask's, and its covariates."""
    known = np.zeros(len(p.covariates))
    for a, j in enumerate(p.covariates):
        if not np.isnan(row[j]) and p.covariate_scales[a] > 0:
            known[a] = (row[j] - p.covariate_means[a]) / p.covariate_scales[a]
    if not len(p.mask_centers):
        return known
    observed = factor_columns(row, p)
    n = len(observed)
    if n:
        raw = [
            sum(direction[j] for j in observed) / np.sqrt(n + 5)
            for direction in p.mask_directions
        ]
        raw.append(np.log(1 + n))
        by_mask = [
            min(max((value - center) * factor, -4), 4)
            for value, center, factor in zip(
                raw, p.mask_centers, p.mask_factors, strict=True
            )
        ]
    else:
        by_mask = [slopes @ known for slopes in p.row_regression]
    return np.array([*by_mask, *known])


def factor_prior(row, p, k):
    """Prior mean of a row's factors under a type, and its expected squared error."""
    f = row_features(row, p)
    mean = p.factor_means[k].copy()
    error = np.zeros(len(mean))
    for factor, q in np.ndindex(*p.row_slopes.shape):
        mean[factor] += p.row_slopes[factor, q] * f[q]
        error[factor] += p.row_slope_variances[factor, q] * f[q] ** 2
    return mean, error


def loading_prior(p, j):
    """Prior mean of the loadings of a column, in the units of the data."""
    prior = p.prior_mean.copy()
    for q, feature in enumerate(p.column_features[j]):
        prior += p.column_slopes[:, q] * feature
    return p.units[j] * prior


def factor_posterior(row, p, k):
    """Log-density bound of a row under a type, mean and covariance of its factors.

    The bound is the integral over factors z of exp(c + h z - z P z / 2).
    """
    r = p.factor_means.shape[1]
    P = np.linalg.inv(p.covariances[k])
    prior, error = factor_prior(row, p, k)
    h = P @ prior
    c = 0.5 * (np.linalg.slogdet(P)[1] - prior @ h - np.diag(P) @ error)
    for j in factor_columns(row, p):
        S, variance = factor_second_moment(p, j), p.scales[k] * p.noise[j]
        P = P + S[:r, :r] / variance
        h = h + (row[j] * p.loadings[j, :r] - S[:r, r]) / variance
        square = row[j] ** 2 - 2 * row[j] * p.loadings[j, r] + S[r, r]
        c -= 0.5 * (np.log(2 * np.pi * variance) + square / variance)
    covariance = np.linalg.inv(P)
    mean = covariance @ h
    return c + 0.5 * (h @ mean - np.linalg.slogdet(P)[1]), mean, covariance


def factor_e_step(X, p):
    """Log joint (n, K), means (n, K, r + 1) and second moments of (z, 1)."""
    (n_components, r), n = p.factor_means.shape, len(X)
    joint = np.empty((n, n_components))
    means = np.ones((n, n_components, r + 1))
    moments = np.empty((n, n_components, r + 1, r + 1))
    for i, row in enumerate(X):
        for k in range(n_components):
            bound, means[i, k, :r], covariance = factor_posterior(row, p, k)
            joint[i, k] = np.log(p.weights[k]) + bound
            moments[i, k] = np.outer(means[i, k], means[i, k])
            moments[i, k, :r, :r] += covariance
    return joint, means, moments


def factor_shares(joint, row_weights=1.0):
    """Responsibilities of a log joint, times the weights of the rows."""
    shares = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    return shares * np.broadcast_to(row_weights, len(joint))[:, None]


def factor_pool(noise):
    """Harmonic mean of the noise."""
    return len(noise) / sum(1 / noise)


def factor_prior_strengths(d):
    """Entries behind the noise and rows behind the covariances, for d known columns."""
    return min(max(d / 30, 10), 30), min(max(d, 20), 100)


def slope_precision(p):
    """Inverse posterior covariance of a loading's slopes, times its precision."""
    precision = np.diag(p.column_slope_precisions).astype(float)
    for j in np.flatnonzero(p.known):
        precision += np.outer(p.column_features[j], p.column_features[j])
    return precision


def slope_divergence(p):
    """Expected divergence of the slopes of factors and loadings from their priors.

    Those of loadings also make the prior means of the loadings uncertain.
    """
    total = 0.0
    for a, q in np.ndindex(*p.row_slopes.shape):
        ratio = p.row_slope_precisions[q] * p.row_slope_variances[a, q]
        square = p.row_slope_precisions[q] * p.row_slopes[a, q] ** 2
        total += 0.5 * (ratio + square - 1 - np.log(ratio))
    if not p.column_features.shape[1]:
        return total
    H = np.linalg.inv(slope_precision(p))
    prior = np.diag(p.column_slope_precisions)
    for alpha, slopes in zip(p.prior_precision, p.column_slopes, strict=True):
        covariance, precision = H / alpha, alpha * prior
        total += 0.5 * (np.trace(precision @ covariance) - len(slopes))
        total += 0.5 * slopes @ precision @ slopes
        total -= 0.5 * np.linalg.slogdet(precision @ covariance)[1]
        for j in np.flatnonzero(p.known):
            g = p.column_features[j]
            total += 0.5 * alpha * g @ covariance @ g
    return total


def factor_objective(X, p, row_weights, scale=50, factor_mean=5):
    """Weighted bounds of the rows, less divergences, plus log-priors; not by row."""
    noise, spread = factor_prior_strengths(p.known.sum())
    joint, _, _ = factor_e_step(X, p)
    total = row_weights @ logsumexp(joint, axis=1) - slope_divergence(p)
    alpha = np.diag(p.prior_precision)
    q = len(alpha)
    relative = p.noise / p.units**2
    pool = factor_pool(relative[p.known])
    for j in np.flatnonzero(p.known):
        pull = (p.loadings[j] - loading_prior(p, j)) / p.units[j]
        V = p.spreads[j] / p.units[j] ** 2
        total -= 0.5 * (np.trace(alpha @ V) + pull @ alpha @ pull - q)
        total += 0.5 * np.linalg.slogdet(alpha @ V)[1]
        ratio = pool / relative[j]
        total += noise / 2 * (np.log(ratio) - ratio + 1)
    n_components, r = p.factor_means.shape
    if n_components == 1:
        return total
    for k in range(n_components):
        precision = np.linalg.inv(p.covariances[k])
        total += np.log(n_components * p.weights[k])
        total -= scale / 2 * (np.log(p.scales[k]) + 1 / p.scales[k] - 1)
        total -= factor_mean / 2 * p.factor_means[k] @ precision @ p.factor_means[k]
        log_det = np.linalg.slogdet(precision)[1]
        total -= spread / 2 * (np.trace(precision) - log_det - r)
    return total


def factor_column_step(X, p, shares, moments):
    """Loadings and their spreads, then noise, then the prior of the loadings."""
    noise, _ = factor_prior_strengths(p.known.sum())
    d, q = p.loadings.shape
    loadings, spreads = np.empty((d, q)), np.empty((d, q, q))
    new_noise = np.empty(d)
    pool = factor_pool((p.noise / p.units**2)[p.known])
    for j in range(d):
        S, t, square, count = np.zeros((q, q)), np.zeros(q), 0.0, 0.0
        for i in range(len(X)):
            if j not in factor_columns(X[i], p):
                continue
            count += shares[i].sum()
            for k, share in enumerate(shares[i]):
                S += share / p.scales[k] * moments[i, k]
                t += share / p.scales[k] * X[i, j] * moments[i, k, -1]
                square += share / p.scales[k] * X[i, j] ** 2
        alpha = np.diag(p.prior_precision) / p.units[j] ** 2
        spreads[j] = np.linalg.inv(alpha + S / p.noise[j])
        pull = alpha @ loading_prior(p, j)
        loadings[j] = spreads[j] @ (pull + t / p.noise[j])
        second = spreads[j] + np.outer(loadings[j], loadings[j])
        residual = square - 2 * loadings[j] @ t + np.trace(second @ S)
        new_noise[j] = (residual + noise * pool * p.units[j] ** 2) / (count + noise)
    relative = loadings / p.units[:, None]
    changed = {"loadings": loadings, "spreads": spreads, "noise": new_noise}
    changed |= factor_loading_prior(p, relative, spreads)
    return type(p)(**vars(p) | changed)


def factor_loading_prior(p, relative, spreads):
    """Prior means, then slopes, their strengths, and precisions of the loadings."""
    known = np.flatnonzero(p.known)
    q = len(p.prior_mean)
    prior_mean = np.zeros(q)
    for a in (0, -1):
        unexplained = [
            relative[j, a] - p.column_slopes[a] @ p.column_features[j] for j in known
        ]
        prior_mean[a] = np.mean(unexplained)
    H = np.linalg.inv(slope_precision(p))
    slopes, strengths = p.column_slopes.copy(), p.column_slope_precisions.copy()
    for a in range(q):
        crossed = [
            (relative[j, a] - prior_mean[a]) * p.column_features[j] for j in known
        ]
        slopes[a] = H @ sum(crossed)
    for f in range(len(strengths)):
        square = sum(p.prior_precision * slopes[:, f] ** 2) + q * H[f, f]
        strengths[f] = min(max(q / square, 1e-3), 1e8)
    squares = np.zeros(q)
    for a in range(q):
        for j in known:
            gap = relative[j, a] - prior_mean[a] - slopes[a] @ p.column_features[j]
            squares[a] += gap**2 + spreads[j, a, a] / p.units[j] ** 2
        squares[a] += sum(strengths * slopes[a] ** 2)
    return {
        "prior_mean": prior_mean,
        "prior_precision": len(known) / squares,
        "column_slopes": slopes,
        "column_slope_precisions": strengths,
    }


def factor_residual(row, p, moment):
    """Sum of a row's expected squares over noise; `moment` is the factors' second."""
    residual = 0.0
    for j in factor_columns(row, p):
        square = row[j] ** 2 - 2 * row[j] * p.loadings[j] @ moment[-1]
        square += np.sum(factor_second_moment(p, j) * moment)
        residual += square / p.noise[j]
    return residual


def factor_row_step(X, p, shares, moments, factor_mean=5):
    """Slopes of the factors on features of rows and mean factors, twice in turn."""
    n_components, r = p.factor_means.shape
    f = np.array([row_features(row, p) for row in X])
    means, slopes = p.factor_means.copy(), p.row_slopes.copy()
    Q = f.shape[1]
    precisions = [np.linalg.inv(C) for C in p.covariances]
    sizes = shares.sum(axis=0)
    for _ in range(2):
        # sum_k P_k b F_k + b diag(tau) = sum_k P_k S_k, for all of b at once.
        system = np.kron(np.eye(r), np.diag(p.row_slope_precisions))
        right = np.zeros((r, Q))
        for k, i in np.ndindex(n_components, len(X)):
            gap = moments[i, k, :r, r] - means[k]
            right += shares[i, k] * np.outer(precisions[k] @ gap, f[i])
            system += shares[i, k] * np.kron(precisions[k], np.outer(f[i], f[i]))
        slopes = np.linalg.solve(system, right.ravel()).reshape(r, Q)
        if n_components == 1:
            continue
        for k in range(n_components):
            gaps = [moments[i, k, :r, r] - slopes @ f[i] for i in range(len(X))]
            means[k] = shares[:, k] @ np.array(gaps) / (sizes[k] + factor_mean)
    variances = np.empty((r, Q))
    strengths = np.empty(Q)
    for q in range(Q):
        for a in range(r):
            information = sum(
                shares[i, k] * precisions[k][a, a] * f[i, q] ** 2
                for k, i in np.ndindex(n_components, len(X))
            )
            variances[a, q] = 1 / (information + p.row_slope_precisions[q])
        strengths[q] = r / sum(slopes[:, q] ** 2 + variances[:, q])
    changed = {
        "factor_means": means,
        "row_slopes": slopes,
        "row_slope_variances": variances,
        "row_slope_precisions": np.clip(strengths, 1e-3, 1e8),
    }
    return type(p)(**vars(p) | changed)


def factor_type_step(X, p, shares, moments, scale=50, factor_mean=5):
    """Weights, scales, and covariances of the types about the new prior means."""
    n_components, r = p.factor_means.shape
    _, spread = factor_prior_strengths(p.known.sum())
    sizes = shares.sum(axis=0)
    scales = np.empty(n_components)
    covariances = np.empty((n_components, r, r))
    rows = factor_row_step(X, p, shares, moments, factor_mean)
    for k in range(n_components):
        residual, count = 0.0, 0.0
        about = factor_mean * np.outer(rows.factor_means[k], rows.factor_means[k])
        about += spread * np.eye(r)
        for i, row in enumerate(X):
            residual += shares[i, k] * factor_residual(row, p, moments[i, k])
            count += shares[i, k] * len(factor_columns(row, p))
            prior, error = factor_prior(row, rows, k)
            mean = moments[i, k, :r, r]
            gap = moments[i, k, :r, :r] - np.outer(mean, mean)
            gap += np.outer(mean - prior, mean - prior) + np.diag(error)
            about += shares[i, k] * gap
        scales[k] = (residual + scale) / (count + scale)
        covariances[k] = about / (sizes[k] + spread)
    changed = {
        "weights": (sizes + 1) / (sizes.sum() + n_components),
        "scales": scales,
        "covariances": covariances,
    }
    return type(p)(**vars(rows) | changed)


def factor_m_step(X, p, shares, moments, n_column_steps):
    """The columns' part several times, and the rows' and types' by the old columns."""
    columns = p
    for _ in range(n_column_steps):
        columns = factor_column_step(X, columns, shares, moments)
    names = ("factor_means", "row_slopes", "row_slope_variances")
    names += ("row_slope_precisions",)
    if len(p.weights) == 1:
        changed = vars(factor_row_step(X, p, shares, moments))
    else:
        changed = vars(factor_type_step(X, p, shares, moments))
        names += ("weights", "scales", "covariances")
    return type(p)(**vars(columns) | {name: changed[name] for name in names})


def factor_conditionals(X, p):
    """Means and variances of all entries under each type, (n, K, d) each."""
    _, means, moments = factor_e_step(X, p)
    n, n_components = means.shape[:2]
    mean, variance = np.empty((2, n, n_components, len(p.noise)))
    for i in range(n):
        for k in range(n_components):
            for j in range(len(p.noise)):
                mean[i, k, j] = p.loadings[j] @ means[i, k]
                second = np.sum(factor_second_moment(p, j) * moments[i, k])
                second += p.scales[k] * p.noise[j]
                variance[i, k, j] = second - mean[i, k, j] ** 2
    return mean, variance


def factor_completion(X, p):
    """Means and standard deviations of all entries, (n, d) each."""
    shares = factor_shares(factor_e_step(X, p)[0])
    means, variances = factor_conditionals(X, p)
    mean = np.einsum("nk,nkd->nd", shares, means)
    second = np.einsum("nk,nkd->nd", shares, variances + means**2)
    return mean, np.sqrt(second - mean**2)


def factor_parts(row, p, j):
    """Base, share of the types, of the mask, of covariates, of columns: of an entry.

    What the factors gain by an observed column l is the difference that it makes to
    h - P mu, which is 0 without entries: all entries leave P as it is.
    """
    r, d = p.factor_means.shape[1], len(p.noise)
    shares = factor_shares(factor_e_step(row[None], p)[0])[0]
    weights = p.loadings[j, :r]
    means = p.factor_means @ weights + p.loadings[j, r]
    by_feature = row_features(row, p) * (weights @ p.row_slopes)
    n_mask = len(p.mask_centers)
    covariates, mask = by_feature[n_mask:], by_feature[:n_mask].sum()
    if not len(factor_columns(row, p)) and len(covariates):
        # Each covariate alone, as the others were missing.
        for a, column in enumerate(p.covariates):
            alone = np.full(d, np.nan)
            alone[column] = row[column]
            covariates[a] = weights @ p.row_slopes @ row_features(alone, p)
        mask = 0.0
    columns = np.zeros(d)
    for k, share in enumerate(shares):
        _, _, covariance = factor_posterior(row, p, k)
        prior, _ = factor_prior(row, p, k)
        for l in factor_columns(row, p):  # noqa: E741
            S = factor_second_moment(p, l)
            gain = row[l] * p.loadings[l, :r] - S[:r, r] - S[:r, :r] @ prior
            gain /= p.scales[k] * p.noise[l]
            columns[l] += share * weights @ covariance @ gain
    base = p.weights @ means
    return base, (shares - p.weights) @ means, mask, covariates, columns


def factor_similarities(p):
    """Similarities (d, d) of columns by their loadings."""
    r, d = p.factor_means.shape[1], len(p.noise)
    center = sum(w * mean for w, mean in zip(p.weights, p.factor_means, strict=True))
    S = np.zeros((r, r))
    for weight, mean, covariance in zip(
        p.weights, p.factor_means, p.covariances, strict=True
    ):
        S += weight * (covariance + np.outer(mean - center, mean - center))
    S += p.row_slopes @ p.row_covariance @ p.row_slopes.T
    S += np.diag(p.row_slope_variances @ np.diag(p.row_covariance))
    gaps = [p.loadings[j, :r] / p.units[j] - p.prior_mean[:r] for j in range(d)]
    squares = [
        np.trace(S @ (np.outer(gap, gap) + p.spreads[j, :r, :r] / p.units[j] ** 2))
        for j, gap in enumerate(gaps)
    ]
    found = np.empty((d, d))
    for i, j in np.ndindex(d, d):
        found[i, j] = gaps[i] @ S @ gaps[j] / np.sqrt(squares[i] * squares[j])
    return found


def factor_row_similarities(X, p):
    """Similarities (n, n) of rows by the known columns that their factors predict."""
    r, known = p.factor_means.shape[1], np.flatnonzero(p.known)
    joint, means, moments = factor_e_step(X, p)
    shares = factor_shares(joint)
    center = p.weights @ p.factor_means
    metric = np.zeros((r, r))
    for j in known:
        gap = p.loadings[j, :r] / p.units[j] - p.prior_mean[:r]
        metric += np.outer(gap, gap) + p.spreads[j, :r, :r] / p.units[j] ** 2
    gaps, squares = [], []
    for i in range(len(X)):
        mean = shares[i] @ means[i, :, :r]
        second = np.einsum("k,kab->ab", shares[i], moments[i, :, :r, :r])
        gap = mean - center
        gaps.append(gap)
        spread = second - np.outer(mean, mean)
        squares.append(np.trace(metric @ (spread + np.outer(gap, gap))))
    found = np.empty((len(X), len(X)))
    for i, j in np.ndindex(*found.shape):
        found[i, j] = gaps[i] @ metric @ gaps[j] / np.sqrt(squares[i] * squares[j])
    return found


def factor_covariance(p, k):
    """Covariance of the rows of a type; each entry has loadings of its own, (d, d).

    Rows vary in their features, too.
    """
    r = p.factor_means.shape[1]
    moment = np.outer(np.append(p.factor_means[k], 1), np.append(p.factor_means[k], 1))
    factors = p.covariances[k] + p.row_slopes @ p.row_covariance @ p.row_slopes.T
    factors += np.diag(p.row_slope_variances @ np.diag(p.row_covariance))
    moment[:r, :r] += factors
    d = len(p.noise)
    covariance = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            covariance[i, j] = p.loadings[i, :r] @ factors @ p.loadings[j, :r]
        covariance[i, i] += p.scales[k] * p.noise[i] + np.sum(p.spreads[i] * moment)
    return covariance


def largest(values, n):
    """Indices of the n largest, the first of equals first; -inf is no value."""
    candidates = [j for j in range(len(values)) if values[j] > -np.inf]
    return sorted(candidates, key=lambda j: (-values[j], j))[:n]
