# SPDX-License-Identifier: BSD-3-Clause
"""
How do I write my own family of distributions?
==============================================

A family is one class. Here each entry of a component has a Laplace distribution, whose
tails are heavier than the tails of a Gaussian: sensors that misread now and then, and
prices, look like that. With the class below, an unchanged
:class:`~sklearn_gmmcf.MaskedGaussianMixture` fits, completes, draws and scores.
"""

from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.covariance import Family, Statistics
from sklearn_gmmcf.model_selection import cross_validate_entries
from sklearn_gmmcf.testing import check_family

# %%
# Parameters are a frozen dataclass with weights; statistics are sums over rows, so that
# they add up over blocks, threads and batches. EM needs a bound of :math:`|x - m|` that
# is quadratic in m: with :math:`a = |x - m'|` at the current location, it is at most
# :math:`(x - m)^2 / 2a + a / 2`. So the M-step is a weighted mean.


@dataclass(frozen=True, eq=False)
class LaplaceParameters:
    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d), centered
    scales: np.ndarray  # (K, d)


@dataclass(frozen=True, eq=False)
class LaplaceStatistics(Statistics):
    sizes: np.ndarray  # (K,), responsibilities R
    counts: np.ndarray  # (K, d), R over observed entries
    pulls: np.ndarray  # (K, d), R / a
    values: np.ndarray  # (K, d), R x / a
    squares: np.ndarray  # (K, d), R (x^2 / a + a)


@dataclass(frozen=True)
class Laplace(Family[LaplaceParameters, LaplaceStatistics]):
    """A location and a scale for each component and column."""

    min_scale: float = 1e-3

    def start(self, data, n_components, init_responsibilities, init):
        shape = n_components, data.shape[1]
        weights = np.full(n_components, 1 / n_components)
        p = LaplaceParameters(weights, np.zeros(shape), np.ones(shape))
        responsibilities = init_responsibilities(data)
        for _ in range(10):
            p = self.maximize(data.total(partial(self._sum, p, responsibilities)), p)
        return p

    def log_joint(self, p, block):
        values, observed = block.dense()
        joint = np.empty((len(p.weights), len(values)))
        for k, (mean, scale) in enumerate(zip(p.means, p.scales, strict=True)):
            density = -np.abs(values - mean) / scale - np.log(2 * scale)
            joint[k] = np.log(p.weights[k]) + (density * observed).sum(axis=1)
        return joint

    def accumulate(self, p, block):
        return self._sum(p, None, block)

    def _sum(self, p, responsibilities, block):
        joint = self.log_joint(p, block)
        log_density = logsumexp(joint, axis=0)
        shares = np.exp(joint - log_density)
        if responsibilities is not None:  # those of the start
            shares = responsibilities(block.rows)
        shares = shares * block.weights
        values, observed = block.dense()
        sums = np.empty((4, *p.means.shape))
        for k, (mean, scale) in enumerate(zip(p.means, p.scales, strict=True)):
            a = np.maximum(np.abs(values - mean), 1e-9 * scale)
            R = shares[k][:, None] * observed
            terms = R, R / a, R * values / a, R * (values**2 / a + a)
            sums[:, k] = [term.sum(axis=0) for term in terms]
        log_likelihood = float(block.weights @ log_density)
        weight = float(block.weights.sum())
        return LaplaceStatistics(log_likelihood, weight, shares.sum(axis=1), *sums)

    def maximize(self, statistics, p):
        s, known = statistics, statistics.counts > 0
        means = np.divide(s.values, s.pulls, out=p.means.copy(), where=known)
        bound = (s.squares - 2 * means * s.values + means**2 * s.pulls) / 2
        scales = np.divide(bound, s.counts, out=p.scales.copy(), where=known)
        weights = np.maximum(s.sizes, 1e-300) / s.sizes.sum()
        return LaplaceParameters(weights, means, np.maximum(scales, self.min_scale))

    def conditional(self, p, block, rows, columns):
        return p.means[:, columns], 2 * p.scales[:, columns] ** 2

    def n_parameters(self, p, n_columns):
        return len(p.weights) * (2 * n_columns + 1) - 1

    def attributes(self, p, columns):
        means = p.means + columns.center
        return {"weights_": p.weights, "means_": means, "scales_": p.scales}

    # The defaults are for components that are Gaussian given the observed entries.
    def log_density_entries(self, p, block, rows, columns, values):
        joint = self.log_joint(p, block)
        scales = p.scales[:, columns]
        terms = -np.abs(values - p.means[:, columns]) / scales - np.log(2 * scales)
        shares = (joint - logsumexp(joint, axis=0))[:, rows]
        return logsumexp(shares + terms, axis=0)

    def cdf_entries(self, p, block, rows, columns, values):
        joint = self.log_joint(p, block)
        shares = np.exp(joint - logsumexp(joint, axis=0))[:, rows]
        z = (values - p.means[:, columns]) / p.scales[:, columns]
        below = (1 + np.sign(z) * (1 - np.exp(-np.abs(z)))) / 2
        return (shares * below).sum(axis=0)

    def draw(self, p, shared, block, rows, columns, rng):
        joint = self.log_joint(p, block)
        shares = np.exp(joint - logsumexp(joint, axis=0)).cumsum(axis=0)
        uniform = rng.uniform(size=(len(shared), 1, shares.shape[1]))
        labels = (uniform >= shares[:-1]).sum(axis=1)[:, rows]
        noise = rng.laplace(size=labels.shape)
        return p.means[labels, columns] + p.scales[labels, columns] * noise


# %%
# The contracts that the library relies on are checked in a second. Each failure says
# which contract is broken.

check_family(Laplace())

# %%
# Two kinds of days of eight sensors, with misreadings. A fifth of the entries is
# missing; some more are hidden, to see how well they are predicted.

rng = np.random.default_rng(0)
kinds = rng.integers(2, size=400)
X = 4 * kinds[:, None] + rng.laplace(size=(400, 8))
X += (rng.random(X.shape) < 0.02) * rng.normal(0, 10, size=X.shape)  # misreadings
X[rng.random(X.shape) < 0.2] = np.nan
mixtures = {
    name: MaskedGaussianMixture(2, covariance_type=family, random_state=0)
    for name, family in {"diag": "diag", "Laplace": Laplace()}.items()
}
for name, mixture in mixtures.items():
    score = cross_validate_entries(mixture, X, scoring=["log_density", "mae"])
    density, error = score["test_log_density"].mean(), -score["test_mae"].mean()
    print(f"{name:8} log-density {density:.2f}, mean absolute error {error:.2f}")

# %%
# Misreadings widen the Gaussians; the Laplace components follow both peaks.

fig, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
values = np.linspace(-6, 10, 400)
rows = np.full((len(values), X.shape[1]), np.nan)
rows[:, 0] = values
ax.hist(X[:, 0], bins=np.linspace(-6, 10, 60), density=True, color="0.85")
styles = {"diag": ("#D55E00", "--"), "Laplace": ("#0072B2", "-")}
for name, (color, style) in styles.items():
    density = np.exp(mixtures[name].fit(X).score_samples(rows))
    ax.plot(values, density, style, color=color, label=name)
ax.set(xlabel="value of the first sensor", ylabel="density")
ax.set_title("Laplace components follow both peaks")
ax.legend()
plt.show()

# %%
# See also
# --------
#
# :doc:`/guide/own_family`; :func:`~sklearn_gmmcf.testing.check_family`;
# :doc:`/gallery/clusters/plot_outliers` for t distributions, which are built in.
