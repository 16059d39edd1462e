# SPDX-License-Identifier: BSD-3-Clause
"""Full covariances with missing entries: the errors and intervals of completions.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/full_covariances.py

Three components with covariances W W^T + 0.25 I, W of 20 x 4 and the means drawn from
N(0, 1) and N(0, 4); 10,000 rows to fit, 2,000 to complete, 27 % of the entries missing.
scikit-learn's IterativeImputer and KNNImputer complete the same rows; one process and
one thread. `speed.py` measures the cost.
"""

from time import perf_counter

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from timing import one_quiet_thread

from sklearn_gmmcf import MaskedGaussianMixture


def main():
    with one_quiet_thread():
        for seed in range(4):
            accuracy(seed)


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


if __name__ == "__main__":
    main()
