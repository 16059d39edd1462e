# SPDX-License-Identifier: BSD-3-Clause
"""Ratios of times that are measured in turn, in one process on one thread.

The time of an iteration is the difference between a longer and a shorter fit from the
same start, divided by the difference of their iterations, so that validation and the
start cancel. The two sides alternate; a ratio is the median over the pairs.
"""

import time
import warnings
from contextlib import contextmanager

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from sklearn_gmmcf import MaskedGaussianMixture

# Elapsed seconds; on a shared machine, set this to processor time.
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
    """Seconds of both sides, (repeats,) each, after one round to warm up."""
    pairs = [(ours(), theirs()) for _ in range(repeats + 1)]
    return np.array(pairs[1:]).T
