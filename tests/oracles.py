"""Plain loops that say what the library should compute, sharing no code with it.

X is dense with NaN in the holes; weights are (K,), means and variances (K, d).
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


def m_step(X, responsibilities, means, spherical, row_weights=None, kappa=0.0):
    """Weights, means and variances (K, d); `means` stay where nothing is observed."""
    n, d = X.shape
    n_components = responsibilities.shape[1]
    if row_weights is None:
        row_weights = np.ones(n)
    responsibilities = responsibilities * row_weights[:, None]
    observed = ~np.isnan(X)
    prior_means = [
        np.average(X[observed[:, j], j], weights=row_weights[observed[:, j]])
        for j in range(d)
    ]
    means = means.copy()
    residuals, counts = np.zeros((n_components, d)), np.zeros((n_components, d))
    for k in range(n_components):
        for j in range(d):
            seen = observed[:, j]
            shares = responsibilities[seen, k]
            counts[k, j] = shares.sum()
            means[k, j] = (shares @ X[seen, j] + kappa * prior_means[j]) / (
                counts[k, j] + kappa
            )
            residuals[k, j] = shares @ (X[seen, j] - means[k, j]) ** 2
            residuals[k, j] += kappa * (means[k, j] - prior_means[j]) ** 2
    if spherical:
        variances = residuals.sum(axis=1) / counts.sum(axis=1)
        variances = np.repeat(variances[:, None], d, axis=1)
    else:
        variances = residuals / counts
    return responsibilities.sum(axis=0) / row_weights.sum(), means, variances


def complete(X, weights, means, variances):
    """Completed matrix and standard deviations, (n, d) each."""
    responsibilities, _ = e_step(X, weights, means, variances)
    completed, std = X.copy(), np.zeros_like(X)
    for i, j in np.argwhere(np.isnan(X)):
        shares = responsibilities[i]
        mean = sum(r * m for r, m in zip(shares, means[:, j], strict=True))
        second = sum(
            r * (v + m**2)
            for r, v, m in zip(shares, variances[:, j], means[:, j], strict=True)
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
    """Log-density of what a row observed, the filled row, covariance of its holes."""
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
    """Responsibilities, log-densities, filled rows (n, K, d), covariances of holes."""
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
