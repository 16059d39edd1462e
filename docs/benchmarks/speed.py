# SPDX-License-Identifier: BSD-3-Clause
"""Speed of EM, as ratios of times that are measured in turn in one process.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/speed.py

Everything runs on one thread; `scale.py` measures threads, precision, size and growth.
An iteration is the difference of a longer and a shorter fit from the same start, by
`timing.py`. `pip install pomegranate==1.1.2`, which brings torch, adds its row.
"""

import importlib.util
import time
import tracemalloc
from functools import partial

import numpy as np
import timing
from cells import parser, run, work, write_table
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from timing import clock, fit_ours, fit_sklearn, iteration, one_quiet_thread, paired

from sklearn_gmmcf import MaskedGaussianMixture

LIMIT = 600.0
FIELDS = ("iteration_ms", "ratio")
TYPES = ("spherical", "diag", "tied", "full")


def random_ratings(n, d, a_row):
    """Ratings 1 to 5 in random columns, the same number in each row."""
    rng = np.random.default_rng(0)
    steps = np.sort(rng.integers(0, d - a_row + 1, (n, a_row), dtype=np.int32))
    indices = (steps + np.arange(a_row, dtype=np.int32)).ravel()
    data = rng.integers(1, 6, n * a_row).astype(np.float64)
    ends = np.arange(0, n * a_row + 1, a_row)
    return sparse.csr_array((data, indices, ends), shape=(n, d))


def random_start(means, K, covariance_type):
    d = means.shape[-1]
    shape = {"spherical": (K,), "diag": (K, d)}.get(covariance_type)
    if shape:
        precisions = np.ones(shape)
    else:
        precisions = (
            np.eye(d) if covariance_type == "tied" else np.stack([np.eye(d)] * K)
        )
    rng = np.random.default_rng(1)
    return {
        "n_components": K,
        "covariance_type": covariance_type,
        "weights_init": np.full(K, 1 / K),
        "means_init": means + 0.1 * rng.standard_normal((K, d)),
        "precisions_init": precisions,
        "tol": 0,
    }


def products(covariance_type, n=60_000, d=4_000, a_row=165, K=12):
    """Our time over the time of the sparse products that an iteration needs."""
    X = random_ratings(n, d, a_row)
    start = random_start(X.mean(axis=0), K, covariance_type)
    mask = sparse.csr_array((np.ones_like(X.data), X.indices, X.indptr), shape=X.shape)
    squares = sparse.csr_array((X.data**2, X.indices, X.indptr), shape=X.shape)
    rng = np.random.default_rng(0)
    B, R = rng.random((d, K)), rng.random((n, K))
    matrices = [X, mask] + [squares] * (covariance_type == "diag")

    def bare():
        for matrix in matrices:
            matrix @ B
            matrix.T @ R

    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start), short=2, long=7),
        partial(clock, bare),
        repeats=5,
    )
    return ours, ours / theirs


def memory(n=60_000, d=4_000, a_row=165, K=12):
    """Peak memory of a fit beyond its input, over the input."""
    X = random_ratings(n, d, a_row)
    mixture = MaskedGaussianMixture(
        K, covariance_type="spherical", max_iter=2, random_state=0
    )
    mixture.fit(X[:100])  # imports and compiles
    tracemalloc.start()
    mixture.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ratio = peak / (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
    return None, np.array([ratio])


def _complete(n, d, K):
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((K, d))
    return rng.standard_normal((n, d)) + means[rng.integers(K, size=n)], means


def complete(covariance_type, n=20_000, d=50, K=5):
    """Our time over scikit-learn's on complete data."""
    X, means = _complete(n, d, K)
    start = random_start(means, K, covariance_type)
    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(iteration, partial(fit_sklearn, X, start)),
        repeats=7,
    )
    return ours, ours / theirs


def stepmix(n=5_000, d=1_000, a_row=50, K=10):
    """Time of StepMix, on a dense matrix with missing entries as NaN, over ours."""
    from stepmix.stepmix import StepMix

    X = random_ratings(n, d, a_row)
    dense = np.full(X.shape, np.nan)
    dense[np.repeat(np.arange(n), a_row), X.indices] = X.data
    start = random_start(X.mean(axis=0), K, "diag")

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
    return ours, theirs / ours


def pomegranate(n=20_000, d=50, K=5):
    """Time of pomegranate over ours on complete data."""
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    torch.set_num_threads(1)
    X, means = _complete(n, d, K)
    start = random_start(means, K, "diag")
    tensor = torch.tensor(X)

    def fit_theirs(max_iter):
        components = [
            Normal(torch.tensor(mean), torch.ones(d, dtype=torch.float64), "diag")
            for mean in start["means_init"]
        ]
        GeneralMixtureModel(components, tol=-np.inf, max_iter=max_iter).fit(tensor)

    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start)),
        partial(iteration, fit_theirs),
        repeats=5,
    )
    return ours, theirs / ours


def loop(share, d, n_patterns=None, n=10_000, K=3):
    """'full': E-step as a loop over rows by scipy's cho_factor, over our iteration."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((K, d, 4))
    covariances = factors @ np.swapaxes(factors, 1, 2) + 0.25 * np.eye(d)
    means = 2 * rng.standard_normal((K, d))
    labels = rng.integers(K, size=n)
    noise = np.linalg.cholesky(covariances)[labels] @ rng.standard_normal((n, d, 1))
    X = means[labels] + noise[:, :, 0]
    if n_patterns is None:
        X[rng.random(X.shape) < share] = np.nan
    else:
        patterns = rng.random((n_patterns, d)) < share
        X[patterns[rng.integers(n_patterns, size=n)]] = np.nan
    start = random_start(means, K, "full")
    start |= {"means_init": means, "precisions_init": np.linalg.inv(covariances)}

    def by_row(rows=300):
        for row in X[:rows]:
            o = ~np.isnan(row)
            if not o.any():
                continue
            for mean, S in zip(means, covariances, strict=True):
                factor = cho_factor(S[np.ix_(o, o)])
                across = S[np.ix_(o, ~o)]
                across.T @ cho_solve(factor, row[o] - mean[o])
                if not o.all():  # older scipy refuses no columns at all
                    S[np.ix_(~o, ~o)] - across.T @ cho_solve(factor, across)

    ours, theirs = paired(
        partial(iteration, partial(fit_ours, X, start), short=1, long=4),
        lambda: clock(by_row) * n / 300,
        repeats=3,
    )
    return ours, theirs / ours


def measure(case, settings):
    """Work on one cell; each case is a function of settings: (our seconds, ratios)."""
    needed = {"stepmix": "stepmix", "pomegranate": "pomegranate"}.get(case)
    if needed and importlib.util.find_spec(needed) is None:
        return {"failed": f"{needed} is not installed"}
    timing.timer = time.process_time
    function = globals()[case]
    with one_quiet_thread():
        ours, ratios = function(**settings)
    result = {"ratio": float(np.median(ratios)), "ratios": ratios.tolist()}
    if ours is not None:
        result["iteration_ms"] = float(1e3 * np.median(ours))
    return result


def cells():
    for kind in ("spherical", "diag"):
        yield {"case": "products", "settings": {"covariance_type": kind}}
    yield {"case": "memory", "settings": {}}
    for kind in TYPES:
        yield {"case": "complete", "settings": {"covariance_type": kind}}
    yield {"case": "stepmix", "settings": {}}
    yield {"case": "pomegranate", "settings": {}}
    for d in (20, 50):
        for share in (0.1, 0.3, 0.6):
            yield {"case": "loop", "settings": {"share": share, "d": d}}
        few = {"share": 0.3, "d": d, "n_patterns": 10}
        yield {"case": "loop", "settings": few}


def main():
    options = parser(__doc__).parse_args()
    if options.cell:
        work(options.cell, measure)
        return
    results = run(
        "speed",
        __file__,
        list(cells()),
        options,
        FIELDS,
        limits=lambda cell: LIMIT,
    )
    rows = []
    for cell, result in results:
        settings = ", ".join(
            value if isinstance(value, str) else f"{name}={value}"
            for name, value in cell["settings"].items()
        )
        if "failed" in result:
            rows.append([cell["case"], settings, result["failed"], "", ""])
            continue
        time_ms = result.get("iteration_ms")
        rows.append(
            [
                cell["case"],
                settings,
                f"{result['ratio']:.3g}",
                "" if time_ms is None else f"{time_ms:.1f}",
                globals()[cell["case"]].__doc__.splitlines()[0].rstrip("."),
            ]
        )
    header = ["case", "settings", "ratio", "our iteration (ms)", "of which times"]
    write_table("speed", "Ratios of times", header, rows, options)


if __name__ == "__main__":
    main()
