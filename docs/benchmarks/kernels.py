# SPDX-License-Identifier: BSD-3-Clause
"""Compiled kernels: an EM iteration with them and with numpy and scipy, in one process.

    pip install -e ".[benchmarks,fast]"
    python docs/benchmarks/kernels.py

Both sides run in turn on one thread, from the same start; ratios are of the least of
the repeats, as other processes of a shared machine make times longer, never shorter.
"""

import time
from functools import partial

import numpy as np
import timing
from scipy import sparse
from timing import iteration, one_quiet_thread

from sklearn_gmmcf import MaskedGaussianMixture, _kernels, show_config

REPEATS = 5


def ratings(n=6_040, d=3_706, n_entries=900_000):
    """Ratings 1 to 5 of users and items whose activity and popularity vary widely."""
    rng = np.random.default_rng(0)
    users, items = rng.lognormal(0, 1.1, n), rng.lognormal(0, 1.6, d)
    rows = rng.choice(n, 2 * n_entries, p=users / users.sum())
    columns = rng.choice(d, 2 * n_entries, p=items / items.sum())
    keys = np.unique(rows * d + columns)
    keys = np.sort(rng.permutation(keys)[:n_entries])
    values = rng.integers(1, 6, len(keys)).astype(float)
    X = sparse.csr_array((values, (keys // d, keys % d)), shape=(n, d))
    return X[:, np.diff(X.tocsc().indptr) > 0]


def table(d, missing, n, K=5):
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((K, d))
    mixing = np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)
    X = rng.standard_normal((n, d)) @ mixing + means[rng.integers(K, size=n)]
    X[rng.random(X.shape) < missing] = np.nan
    start = {
        "weights_init": np.full(K, 1 / K),
        "means_init": means + 0.1,
        "precisions_init": np.stack([np.eye(d)] * K),
    }
    return X, MaskedGaussianMixture(K, covariance_type="full", tol=0, **start)


def compare(case, X, mixture, short, long):
    def fit(max_iter):
        mixture.set_params(max_iter=max_iter).fit(X)

    fit(short)  # compiles
    with_kernels, without = [], []
    for _ in range(REPEATS):
        with_kernels.append(iteration(fit, short, long))
        with _kernels.disabled():
            without.append(iteration(fit, short, long))
    before, after = min(without), min(with_kernels)
    print(
        f"{case}: {before * 1e3:.1f} -> {after * 1e3:.1f} ms, {before / after:.2f} "
        "times as fast",
        flush=True,
    )


def main():
    timing.timer = time.process_time
    show_config()
    with one_quiet_thread():
        mixture = partial(MaskedGaussianMixture, 4, random_state=0, tol=0, n_init=1)
        factor = mixture(covariance_type="factor", n_factors=20, init_params="random")
        compare("factor, 900,000 ratings, K=4, r=20", ratings(), factor, 2, 8)
        for d, n in ((20, 20_000), (50, 4_000)):
            for missing in (0.1, 0.3, 0.6):
                X, full = table(d, missing, n)
                compare(f"full, d={d}, {missing:.0%} missing", X, full, 2, 6)


if __name__ == "__main__":
    main()
