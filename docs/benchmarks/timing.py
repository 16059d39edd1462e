"""Ratios of times, measured side by side in one process on one thread.

An iteration is the difference between a longer and a shorter fit from the same start,
divided by the iterations between them, so that validation and the start drop out. Both
sides alternate; a ratio is the median of the pairs.
"""

import time
import warnings
from contextlib import contextmanager

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from sklearn_gmmcf import MaskedGaussianMixture

# Seconds of the clock, or, where others may use the machine, of the processor.
timer = time.perf_counter


@contextmanager
def one_quiet_thread():
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit_ours(X, start, max_iter):
    MaskedGaussianMixture(**start, max_iter=max_iter).fit(X)


def fit_sklearn(X, start, max_iter):
    GaussianMixture(**start, max_iter=max_iter).fit(X)


def clock(function, *args):
    started = timer()
    function(*args)
    return timer() - started


def iteration(fit, short=2, long=12):
    return (clock(fit, long) - clock(fit, short)) / (long - short)


def paired(ours, theirs, repeats):
    """Seconds of both, in turn: (repeats,) each, after one round to warm up."""
    pairs = [(ours(), theirs()) for _ in range(repeats + 1)]
    return np.array(pairs[1:]).T


def report(case, label, ours, ratios):
    print(case)
    print(f"    ours: {np.median(ours) * 1e3:.2f} ms an iteration")
    print(f"    {label}: {np.median(ratios):.3g}", flush=True)
