"""Scale: rows, threads, single precision and online EM, as ratios in one process.

    pip install -e ".[benchmarks]" && python docs/benchmarks/scale.py

The first argument is the number of ratings in millions (default 10), the second the
number of ratings of the larger set (default 100, which needs 16 GB; 0 leaves it out).
Two cores should be idle.
"""

import sys
import tracemalloc

import numpy as np
from scipy import sparse
from sklearn import get_config
from timing import clock, one_quiet_thread, paired

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings

N_COLUMNS, A_ROW = 4_000, 165
SMALL, LARGE = (float(n) for n in (sys.argv[1:] + ["10", "100"][len(sys.argv) - 1 :]))


def ratings(millions, dtype=np.float64):
    """Random ratings of 4,000 items, 165 per row."""
    n = int(millions * 1e6 / A_ROW)
    rng = np.random.default_rng(0)
    steps = np.sort(rng.integers(0, N_COLUMNS - A_ROW + 1, (n, A_ROW), dtype=np.int32))
    indices = (steps + np.arange(A_ROW, dtype=np.int32)).ravel()
    data = rng.integers(1, 6, n * A_ROW).astype(dtype)
    indptr = np.arange(0, n * A_ROW + 1, A_ROW)
    return sparse.csr_array((data, indices, indptr), shape=(n, N_COLUMNS))


def iteration(X, short=1, long=4, **params):
    """Seconds of an iteration: the difference of a longer and a shorter fit."""

    def fit(max_iter):
        MaskedGaussianMixture(
            **params, init_params="random", tol=0, max_iter=max_iter, random_state=0
        ).fit(X)

    return (clock(fit, long) - clock(fit, short)) / (long - short)


def memory(X, **params):
    """Peak memory of a fit beyond its input, and its ratio to the working memory."""
    mixture = MaskedGaussianMixture(**params, init_params="random", max_iter=2, tol=0)
    tracemalloc.start()
    mixture.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    bound = get_config()["working_memory"] * 2**20
    copy = X.data.nbytes / 2**20
    return (
        f"{peak / 2**20:.0f} MiB beyond the input, {copy:.0f} of them its centered "
        f"copy: {peak / bound:.2f} of the working memory"
    )


def main():
    spherical = {"n_components": 12}
    factor = {"n_components": 4, "covariance_type": "factor"}
    X = ratings(SMALL)
    for name, params in [("spherical, K=12", spherical), ("factor, K=4", factor)]:
        one, two = paired(
            lambda p=params: iteration(X, long=8, **p, n_jobs=1),
            lambda p=params: iteration(X, long=8, **p, n_jobs=2),
            5,
        )
        print(f"{name}: n_jobs=2 is {np.median(one / two):.2f} times as fast")
    single = X.astype(np.float32)
    times = paired(
        lambda: iteration(single, **spherical), lambda: iteration(X, **spherical), 5
    )
    print(f"float32 over float64, time: {np.median(times[0] / times[1]):.2f}")
    print(f"{SMALL:g} million ratings: {memory(X, **spherical)}")
    if LARGE:
        large = ratings(LARGE)
        times = paired(
            lambda: iteration(large, **spherical), lambda: iteration(X, **spherical), 5
        )
        ratio = np.median(times[0] / times[1])
        print(f"{LARGE / SMALL:g} times the ratings: {ratio:.2f} times the time")
        print(f"{LARGE:g} million ratings: {memory(large, **spherical)}")
    online_em()


def online_em():
    """Held-out RMSE of online EM over the RMSE of `fit`, after each pass."""
    for n_factors, params in [
        (0, {"n_init": 5}),
        (3, {"covariance_type": "factor", "n_factors": 5}),
    ]:
        coo = make_ratings(
            20_000, n_types=4, n_factors=n_factors, random_state=0
        ).data.tocoo()
        rng = np.random.default_rng(0)
        held = rng.random(coo.nnz) < 0.1
        indices = coo.row[~held], coo.col[~held]
        X = sparse.csr_array((coo.data[~held], indices), shape=coo.shape)
        entries, true = (coo.row[held], coo.col[held]), coo.data[held]
        mixture = MaskedGaussianMixture(4, random_state=0, **params)

        def rmse(fitted, X=X, entries=entries, true=true):
            residuals = fitted.complete(X, entries=entries) - true
            return np.sqrt(np.mean(residuals**2))

        batch_rmse = rmse(mixture.fit(X))
        online = MaskedGaussianMixture(4, random_state=0, **params)
        batches = [X[rows] for rows in np.array_split(rng.permutation(20_000), 20)]
        ratios = []
        for _ in range(4):
            for batch in batches:
                online.partial_fit(batch)
            ratios.append(f"{rmse(online) / batch_rmse:.4f}")
        print(f"{mixture.covariance_type}, RMSE over fit's: {', '.join(ratios)}")


if __name__ == "__main__":
    with one_quiet_thread():
        main()
