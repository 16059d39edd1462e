"""Full covariances with missing entries: accuracy and the cost of an iteration.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/full_covariances.py

Accuracy: three components with covariances W W^T + 0.25 I, W of 20 x 4 and the means
drawn from N(0, 1) and N(0, 4); 10,000 rows to fit, 2,000 to complete, 27 % of the
entries missing. scikit-learn's IterativeImputer and KNNImputer complete the same rows.

Cost: time relative to a loop that factorizes S_oo with scipy's cho_factor and solves
with it, row by row and component by component (timed on 300 rows, without an M-step),
and relative to scikit-learn on complete data; one process and one thread. The whole
script takes about five minutes.
"""

from functools import partial
from time import perf_counter

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from timing import (
    clock,
    fit_ours,
    fit_sklearn,
    iteration,
    one_quiet_thread,
    paired,
    report,
)

from sklearn_gmmcf import MaskedGaussianMixture


def main():
    with one_quiet_thread():
        for seed in range(4):
            accuracy(seed)
        for d in (20, 50):
            speed(d)


def mixture_of_full_covariances(rng, n, d, n_components=3):
    factors = rng.standard_normal((n_components, d, 4))
    means = 2 * rng.standard_normal((n_components, d))
    covariances = factors @ np.swapaxes(factors, 1, 2) + 0.25 * np.eye(d)
    labels = rng.integers(n_components, size=n)
    noise = np.linalg.cholesky(covariances)[labels] @ rng.standard_normal((n, d, 1))
    return means[labels] + noise[:, :, 0], means, covariances


def accuracy(seed, n_train=10_000):
    rng = np.random.default_rng(seed)
    truth, _, _ = mixture_of_full_covariances(rng, n_train + 2_000, 20)
    X = np.where(rng.random(truth.shape) < 0.27, np.nan, truth)
    train, test, truth = X[:n_train], X[n_train:], truth[n_train:]
    missing = np.isnan(test)
    print(f"seed {seed}: RMSE on the hidden entries of new rows, seconds to fit")
    for imputer in (IterativeImputer(random_state=0), KNNImputer()):
        started = perf_counter()
        imputer.fit(train)
        seconds = perf_counter() - started
        errors = (imputer.transform(test) - truth)[missing]
        name = type(imputer).__name__
        print(f"    {name}: {np.sqrt(np.mean(errors**2)):.3f}  {seconds:.1f} s")
    # On 500 rows the intervals of maximum likelihood are too narrow.
    for n_rows, params in [
        (n_train, {}),
        (500, {}),
        (500, {"mean_precision_prior": 5.0}),
        (500, {"reg_covar": 0.1}),
        (2_000, {}),
    ]:
        mixture = MaskedGaussianMixture(
            3, covariance_type="full", max_iter=1000, random_state=0, **params
        )
        started = perf_counter()
        mixture.fit(train[:n_rows])
        seconds = perf_counter() - started
        completed, std = mixture.complete(test, return_std=True)
        errors = (completed - truth)[missing]
        inside = np.mean(np.abs(errors) < 1.645 * std[missing])
        draws = mixture.sample_completions(test, 400, random_state=0)
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        drawn = np.mean(((truth >= low) & (truth <= high))[missing])
        print(
            f"    full mixture, {n_rows} rows {params or ''}: "
            f"{np.sqrt(np.mean(errors**2)):.3f}  {seconds:.1f} s; "
            f"90 % intervals hold {inside:.1%} (std), {drawn:.1%} (draws)",
            flush=True,
        )


def speed(d, n=20_000, n_components=3):
    rng = np.random.default_rng(0)
    X, means, covariances = mixture_of_full_covariances(rng, n, d)
    start = {
        "n_components": n_components,
        "covariance_type": "full",
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": means,
        "precisions_init": np.linalg.inv(covariances),
        "tol": 0,
    }
    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(iteration, partial(fit_sklearn, X, start)),
        repeats=5,
    )
    case = f"full, {n:,} x {d}, K={n_components}"
    report(f"{case}, complete", "time over scikit-learn's", ours, ours / theirs)
    ten = rng.random((10, d)) < 0.3
    masks = {
        f"{share:.0%} missing completely at random": rng.random(X.shape) < share
        for share in (0.1, 0.3, 0.6)
    }
    masks["ten patterns with 30% missing"] = ten[rng.integers(10, size=n)]
    for name, mask in masks.items():
        incomplete = np.where(mask, np.nan, X)
        ours, theirs = paired(
            partial(iteration, partial(fit_ours, incomplete, start), short=1, long=4),
            partial(row_by_row, incomplete[:300], means, covariances, n / 300),
            repeats=3,
        )
        report(f"{case}, {name}", "the loop's time over ours", ours, theirs / ours)


def row_by_row(X, means, covariances, scale):
    """Seconds for the conditional moments of all rows, extrapolated from those in X."""

    def loop():
        for row in X:
            o = ~np.isnan(row)
            for mean, S in zip(means, covariances, strict=True):
                factor = cho_factor(S[np.ix_(o, o)])
                across = S[np.ix_(o, ~o)]
                across.T @ cho_solve(factor, row[o] - mean[o])
                S[np.ix_(~o, ~o)] - across.T @ cho_solve(factor, across)

    return clock(loop) * scale


if __name__ == "__main__":
    main()
