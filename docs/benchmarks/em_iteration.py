"""Cost of one EM iteration, as ratios measured side by side in this process.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/em_iteration.py

Everything runs on one thread. An iteration is the difference between a longer and a
shorter fit from the same start, divided by the iterations between them, so that
validation and the start drop out. Both sides alternate; the ratio is the median of the
pairs. The command takes about three minutes.
"""

import tracemalloc
from functools import partial

import numpy as np
from scipy import sparse
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
    rng = np.random.default_rng(0)
    with one_quiet_thread():
        for covariance_type in ("spherical", "diag"):
            sparse_ratings(rng, covariance_type)
        for covariance_type in ("spherical", "diag"):
            complete_table(rng, covariance_type)
        stepmix(rng)


def sparse_ratings(rng, covariance_type, n=60_000, d=4_000, density=1 / 24, K=12):
    """Against the bare sparse products that an iteration needs."""
    X = random_ratings(rng, n, d, density)
    start = random_start(rng, X, K, covariance_type)
    mask = sparse.csr_array((np.ones_like(X.data), X.indices, X.indptr), shape=X.shape)
    squares = sparse.csr_array((X.data**2, X.indices, X.indptr), shape=X.shape)
    B, R = rng.random((d, K)), rng.random((n, K))
    matrices = [X, mask] + [squares] * (covariance_type == "diag")

    def products():
        for matrix in matrices:
            matrix @ B
            matrix.T @ R

    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(clock, products),
        repeats=7,
    )
    report(
        f"{covariance_type}, CSR {n:,} x {d:,}, {X.nnz:,} ratings, K={K}",
        f"time over that of the {2 * len(matrices)} bare products",
        ours,
        ours / theirs,
    )
    tracemalloc.start()
    fit_ours(X, start, max_iter=2)
    MaskedGaussianMixture(K, max_iter=2, random_state=0).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    print(f"    peak memory of fit beyond the input: {peak / size:.2f} of the input")


def complete_table(rng, covariance_type, n=20_000, d=50, K=5):
    """Against scikit-learn on complete data."""
    X = (
        rng.standard_normal((n, d))
        + 3 * rng.standard_normal((K, d))[rng.integers(K, size=n)]
    )
    start = random_start(rng, X, K, covariance_type)
    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(iteration, partial(fit_sklearn, X, start)),
        repeats=15,
    )
    report(
        f"{covariance_type}, complete {n:,} x {d}, K={K}",
        "time over scikit-learn's",
        ours,
        ours / theirs,
    )


def stepmix(rng, n=5_000, d=1_000, density=0.05, K=10):
    """Against StepMix, which takes holes as NaN in a dense matrix."""
    from stepmix.stepmix import StepMix

    X = random_ratings(rng, n, d, density)
    dense = np.full(X.shape, np.nan)
    rows = np.repeat(np.arange(n), np.diff(X.indptr))
    dense[rows, X.indices] = X.data
    start = random_start(rng, X, K, "diag")

    def fit_stepmix(max_iter):
        StepMix(
            n_components=K,
            measurement="gaussian_diag_nan",
            max_iter=max_iter,
            abs_tol=0,
            rel_tol=0,
            random_state=0,
            progress_bar=0,
        ).fit(dense)

    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(iteration, fit_stepmix, short=1, long=3),
        repeats=3,
    )
    report(
        f"diag, {n:,} x {d:,}, {1 - density:.0%} holes, K={K}",
        "StepMix's time over ours",
        ours,
        theirs / ours,
    )


def random_ratings(rng, n, d, density):
    """Ratings 1 to 5, each row with the same number, at random columns."""
    per_row = round(density * d)
    indices = np.concatenate(
        [np.sort(rng.choice(d, per_row, replace=False)) for _ in range(n)]
    )
    return sparse.csr_array(
        (
            rng.integers(1, 6, n * per_row).astype(np.float64),
            indices.astype(np.int32),
            np.arange(0, n * per_row + 1, per_row, dtype=np.int32),
        ),
        shape=(n, d),
    )


def random_start(rng, X, K, covariance_type):
    d = X.shape[1]
    shape = (K,) if covariance_type == "spherical" else (K, d)
    return {
        "n_components": K,
        "covariance_type": covariance_type,
        "weights_init": np.full(K, 1 / K),
        "means_init": X.mean(axis=0) + 0.1 * rng.standard_normal((K, d)),
        "precisions_init": np.ones(shape),
        "tol": 0,
    }


if __name__ == "__main__":
    main()
