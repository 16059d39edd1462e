# SPDX-License-Identifier: BSD-3-Clause
"""Threads over blocks: the same numbers for any n_jobs."""

import linecache
import os
import signal
import sys
import threading

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, _executors, _model
from sklearn_gmmcf._executors import one_blas_thread, threads
from sklearn_gmmcf.data import _dense, _sparse, observe
from tests.made import clusters, to_sparse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    MaskedGaussianMixture(
        3, covariance_type="spherical", init_params="random", max_iter=2, n_init=2
    ),
    KMeansMixture(3, max_iter=4, n_init=2),
]


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr(_dense, "_BLOCK_BYTES", 8 * 6 * 20)
    monkeypatch.setattr(_dense, "LARGE_BLOCK_BYTES", 8 * 6 * 20)
    monkeypatch.setattr(_sparse, "_BLOCK_ENTRIES", 90)
    monkeypatch.setattr(_sparse, "_BLOCK_COLUMN_ENTRIES", 0)
    monkeypatch.setattr(_model, "_COMPLETED_BYTES", 8 * 6 * 20)


def results(estimator, X, n_jobs):
    est = clone(estimator).set_params(random_state=0, n_jobs=n_jobs).fit(X)
    found = {k: v for k, v in vars(est).items() if k.endswith("_")}
    for number, run in enumerate(found.pop("runs_", [])):
        found |= {f"{name}{number}": value for name, value in run._asdict().items()}
    entries = np.repeat(np.arange(100), 2), np.tile([1, 4], 100)
    for name in ("predict", "predict_proba", "score_samples", "score", "transform"):
        found[name] = getattr(est, name)(X)
    found["complete"], found["std"] = est.complete(X, return_std=True)
    found["entries"] = np.stack(est.complete(X, entries=entries, return_std=True))
    found["items"], found["values"] = est.recommend(X, n_items=2)
    found["streamed"] = est.partial_fit(X).means_
    return found


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:55])
def test_same_bits_for_any_number_of_threads(estimator, make):
    X = make(clusters(100, 6))
    expected = results(estimator, X, None)
    found = results(estimator, X, 3)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.usefixtures("many_blocks")
def test_blocks_meet_on_two_threads_of_one_blas_thread_each():
    data = observe(clusters(200, 6), executor=threads(2))
    # It breaks unless two blocks are worked on at once.
    both = threading.Barrier(2, timeout=20)
    seen = []

    def look(block):
        if block.rows.start < 40:
            both.wait()
        seen.extend(threadpool_info())

    with threadpool_limits(2, "blas"):
        one_blas_thread(lambda: list(data.map(look)))()
        after = threadpool_info()
    n_threads = [lib["num_threads"] for lib in seen if lib["user_api"] == "blas"]
    assert set(n_threads) == {1}
    assert {lib["num_threads"] for lib in after if lib["user_api"] == "blas"} == {2}


def test_the_last_thread_restores_the_setting_found_by_the_first():
    # A thread that has ended no longer owns the setting.
    def in_thread(work, *args):
        thread = threading.Thread(target=work, args=args)
        thread.start()
        return thread

    def blas():
        info = threadpool_info()
        return {lib["num_threads"] for lib in info if lib["user_api"] == "blas"}

    events = {
        name: threading.Event() for name in ("first in", "second in", "first out")
    }
    seen = []

    @one_blas_thread
    def first():
        events["first in"].set()
        events["second in"].wait(20)

    @one_blas_thread
    def second():
        events["second in"].set()
        events["first out"].wait(20)
        seen.append(blas())

    before = blas()
    in_thread(threadpool_limits, 2, "blas").join()
    try:
        a = in_thread(first)
        events["first in"].wait(20)
        b = in_thread(second)
        a.join()
        events["first out"].set()
        b.join()
        seen.append(blas())
    finally:
        in_thread(threadpool_limits, max(before), "blas").join()
    assert seen == [{1}, {2}]


def blas_threads():
    info = threadpool_info()
    return {lib["num_threads"] for lib in info if lib["user_api"] == "blas"}


def test_an_interrupt_at_any_line_is_mended_by_the_next_call():
    def visit():
        seen.append(blas_threads())

    limited = one_blas_thread(visit)
    n_lines = [0]

    def interrupt_at(line):
        def trace(frame, event, _):
            if frame.f_code.co_filename != _executors.__file__:
                return None
            source = linecache.getline(_executors.__file__, frame.f_lineno)
            # No signal comes between the last call of a block and its exit, where
            # "with" is traced once more.
            if event == "line" and not source.strip().startswith("with "):
                n_lines[0] += 1
                if n_lines[0] == line:
                    raise KeyboardInterrupt
            return trace

        n_lines[0] = 0
        sys.settrace(trace)
        try:
            limited()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(previous)
        return False

    previous, seen = sys.gettrace(), []
    with threadpool_limits(2, "blas"):
        line = 1
        while interrupt_at(line):
            limited()
            assert seen[-1] == {1}
            assert blas_threads() == {2}, line
            line += 1
    assert line > 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
# Newer versions of Python warn of any fork beside threads.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("stays", [True, False])
def test_a_fork_while_another_thread_is_inside(stays):
    inside, over = threading.Event(), threading.Event()
    seen = []
    limited = one_blas_thread(lambda: seen.append(blas_threads()))

    @one_blas_thread
    def stay():
        inside.set()
        over.wait(60)

    def come_and_go():
        while not over.is_set():
            one_blas_thread(inside.set)()

    thread = threading.Thread(target=stay if stays else come_and_go)
    with threadpool_limits(2, "blas"):
        thread.start()
        try:
            assert inside.wait(20)
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    signal.alarm(20)  # it hangs no longer
                    limited()
                    right = seen == [{1}] and blas_threads() == {2}
                    os._exit(0 if right else 3)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            over.set()
            thread.join()
        limited()
        assert blas_threads() == {2}


@pytest.mark.usefixtures("many_blocks")
def test_sums_do_not_depend_on_which_thread_is_first():
    data = observe(clusters(200, 6), executor=threads(4))
    values = np.random.default_rng(0).standard_normal(200) * 10.0 ** np.arange(200)
    pause = threading.Event()

    def last_first(block):
        if block.rows.start == 0:
            pause.wait(0.05)
        return values[block.rows].sum()

    totals = {float(data.total(last_first)) for _ in range(3)}
    totals.add(float(observe(clusters(200, 6)).total(last_first)))
    assert len(totals) == 1


def test_results_keep_the_order_of_tasks_and_few_wait():
    started = []

    def double(task):
        started.append(task)
        return 2 * task

    results = iter(threads(2)(double, range(100)))
    assert next(results) == 0
    assert len(started) < 10
    assert list(results) == [2 * i for i in range(1, 100)]


def test_an_error_in_a_thread_is_raised_and_ends_the_others():
    started, before = [], set(threading.enumerate())

    def fail(task):
        started.append(task)
        raise RuntimeError(f"task {task}")

    with pytest.raises(RuntimeError, match="task 0"):
        list(threads(2)(fail, range(100)))
    assert len(started) < 10
    assert set(threading.enumerate()) <= before


def test_n_jobs_is_that_of_joblib():
    assert threads(None) is map
    assert threads(1) is map
    with parallel_config("threading", n_jobs=2):
        assert threads(None) is not map
    with pytest.raises(ValueError, match="n_jobs"):
        KMeansMixture(n_jobs=0).fit(clusters())
