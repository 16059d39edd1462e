# SPDX-License-Identifier: BSD-3-Clause
"""Starts: what the default finds, and what it costs.

    python docs/benchmarks/starts.py
    python docs/benchmarks/starts.py --before path/to/another/checkout

Everything runs on one thread, in processor time, with the default starts. `--before`
compares the times with another version of the package and `n_init=1`: both fit the
same data in turn, each in a process of its own. The Netflix matrix of the course MITx
6.86x is read from the folder that SKLEARN_GMMCF_DATA names.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

SEEDS = range(10)
REPEATS = 3
TYPES = ("spherical", "diag", "tied", "full")
WIDE = ("ratings", "netflix", "netflix, sparse")  # 'tied' and 'full' take long there


def mixture(n_components, covariance_type, **params):
    from sklearn_gmmcf import MaskedGaussianMixture

    return MaskedGaussianMixture(
        n_components, covariance_type=covariance_type, **params
    )


def cigars(seed):
    """Two parallel clusters, 20 times as long as wide, 3 apart across."""
    X = np.random.default_rng(seed).standard_normal((600, 2)) * [10, 0.5]
    labels = np.repeat([0, 1], 300)
    X[:, 1] += 3 * labels
    return X, labels


def hide(X, share, seed=0):
    hidden = np.random.default_rng(seed).random(X.shape) < share
    return np.where(hidden, np.nan, X)


def quality():
    """Lowest and highest adjusted Rand index over seeds."""

    def rand_index(X, labels, n_components, covariance_type, seed):
        found = mixture(n_components, covariance_type, random_state=seed)
        return adjusted_rand_score(labels, found.fit_predict(X))

    def best_k(X, seed):
        fits = [mixture(k, "full", random_state=seed).fit(X) for k in (1, 2, 3, 4)]
        return 1 + int(np.argmin([fit.bic(X) for fit in fits]))

    def report(case, scores):
        print(f"{case}: {min(scores):.3f} to {max(scores):.3f}", flush=True)

    report("two cigars, full", [rand_index(*cigars(s), 2, "full", s) for s in SEEDS])
    right = sum(best_k(cigars(seed)[0], seed) == 2 for seed in SEEDS)
    print(f"two cigars, BIC picks 2: {right} of {len(SEEDS)}", flush=True)
    wine, iris = load_wine(), load_iris()
    for name, X in (
        ("as it is", wine.data),
        ("standardized", (wine.data - wine.data.mean(axis=0)) / wine.data.std(axis=0)),
    ):
        X = hide(X, 0.1)
        scores = [rand_index(X, wine.target, 3, "diag", seed) for seed in SEEDS]
        report(f"wine {name}, 10 % missing, diag", scores)
    scores = [rand_index(iris.data, iris.target, 3, "full", seed) for seed in SEEDS]
    report("iris, full", scores)


def read_netflix():
    folder = os.environ.get("SKLEARN_GMMCF_DATA")
    path = Path(folder or "", "netflix_incomplete.txt.gz")
    return np.loadtxt(path) if folder and path.exists() else None


def tables():
    from sklearn_gmmcf.datasets import make_ratings

    wine, cancer = load_wine().data, load_breast_cancer().data
    found = {
        "wine": (wine, 3),
        "wine, 10 % missing": (hide(wine, 0.1), 3),
        "breast cancer": (cancer, 2),
        "breast cancer, 10 % missing": (hide(cancer, 0.1), 2),
        "ratings": (make_ratings(random_state=0).data, 3),
    }
    X = read_netflix()
    if X is not None:
        found["netflix"] = np.where(X == 0, np.nan, X), 12
        found["netflix, sparse"] = sparse.csr_array(X), 12
    return found


def cases(names):
    for name in names:
        for kind in TYPES[:2] if name in WIDE else TYPES:
            yield name, kind


def serve(options):
    """Fit what standard input names, and print the seconds of each fit."""
    warnings.simplefilter("ignore")
    data = tables()
    print("\t".join(data), flush=True)
    for line in sys.stdin:
        name, kind, seed = line.rstrip("\n").split("\t")
        X, n_components = data[name]
        model = mixture(n_components, kind, random_state=int(seed), **options)
        started = time.process_time()
        model.fit(X)
        print(time.process_time() - started, flush=True)


class Server:
    """A process that fits with one version of the package."""

    def __init__(self, root, *options):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        )
        self.names = self.process.stdout.readline().rstrip("\n").split("\t")

    def seconds(self, *task):
        self.process.stdin.write("\t".join(map(str, task)) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def costs(before):
    """Times of default fits, over times of another version with one start."""
    ours, theirs = Server(Path(__file__).parents[2]), Server(before, "--one")
    for name, kind in cases(ours.names):
        times = np.array(
            [
                [
                    [side.seconds(name, kind, seed) for side in (ours, theirs)]
                    for _ in range(REPEATS)
                ]
                for seed in SEEDS
            ]
        )
        mine, other = times.min(axis=1).mean(axis=0)
        print(f"{name}, {kind}: {1e3 * mine:.1f} ms, {mine / other:.2f}", flush=True)


def course():
    """Seconds and highest log-likelihood of the course's protocol."""
    X = read_netflix()
    if X is None:
        return
    dense = np.where(X == 0, np.nan, X)
    for name, table in (("dense", dense), ("sparse", sparse.csr_array(X))):
        for seed in range(4):
            model = mixture(12, "spherical", n_init=5, random_state=seed)
            started = time.process_time()
            model.fit(table)
            seconds = time.process_time() - started
            n_passes = sum(run.n_iter for run in model.runs_)
            print(
                f"netflix {name}, K=12, five starts: {seconds:.2f} s, "
                f"{n_passes} passes, {model.lower_bound_:.2f} nats per row",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="root of another checkout")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve({"n_init": 1} if options.one else {})
        return
    warnings.simplefilter("ignore")
    quality()
    course()
    if options.before:
        costs(options.before)


if __name__ == "__main__":
    main()
