# SPDX-License-Identifier: BSD-3-Clause
"""Where tasks over blocks are worked on: here, or on threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np
from joblib import effective_n_jobs
from sklearn import config_context, get_config

from sklearn_gmmcf._sklearn import threadpool_controller
from sklearn_gmmcf._typing import Executor


class _OneBlasThread:
    """Holds BLAS to one thread while any thread of the process is inside.

    Most BLAS have one setting for the whole process: a thread that restored the setting
    that it found would free those that still work, or leave the setting of another
    behind. So the last one out restores the setting that the first one in has found. An
    interrupt may keep it from that: then the next one in does so, as it finds nobody
    inside.
    """

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: self._lock.acquire(),
                after_in_parent=lambda: self._lock.release(),
                after_in_child=self._reset_in_child,
            )

    def _reset(self) -> None:
        self._lock = Lock()
        # One for each visit; the object of a visit that was cut short is garbage.
        self._inside: WeakSet[_Visit] = WeakSet()
        self._found: list[tuple[Any, int]] = []

    def _reset_in_child(self) -> None:
        # Of the threads that were inside, none is in the child.
        found = self._found
        self._reset()
        _set_threads(found)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        visit = _Visit()
        try:
            with self._lock:
                if not self._inside:
                    _set_threads(self._found)
                    self._found = _get_threads()
                self._inside.add(visit)
                # Some BLAS count their threads for each of ours, so each sets its own.
                _set_threads([(library, 1) for library, _ in self._found])
            yield
        finally:
            del visit
            with self._lock:
                if not self._inside:
                    _set_threads(self._found)
                    self._found = []


class _Visit:
    """A function at work."""


def _get_threads() -> list[tuple[Any, int]]:
    """BLAS libraries and their numbers of threads."""
    libraries = threadpool_controller().lib_controllers
    return [(lib, lib.num_threads) for lib in libraries if lib.user_api == "blas"]


def _set_threads(numbers: list[tuple[Any, int]]) -> None:
    for library, n_threads in numbers:
        library.set_num_threads(n_threads)


_limited = _OneBlasThread()


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold BLAS to one thread in a function, and let numbers overflow in silence.

    Blocks are small: more threads make them many times slower. Results that are not
    finite are refused at the end of a fit.
    """

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _limited(), np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return wrapper


def threads(n_jobs: int | None) -> Executor:
    """Run tasks on as many threads as ``n_jobs`` means to joblib."""
    n_threads = effective_n_jobs(n_jobs)
    return map if n_threads == 1 else partial(_on_threads, n_threads)


def _on_threads(
    n_threads: int, function: Callable[[Any], Any], tasks: Sequence[Any]
) -> Iterator[Any]:
    # scikit-learn keeps settings by thread; the caller's settings hold for all.
    config = get_config()

    @one_blas_thread
    def work(task: Any) -> Any:
        with config_context(**config):
            return function(task)

    pool = ThreadPoolExecutor(n_threads)
    results: deque[Future[Any]] = deque()
    try:
        for task in tasks:
            results.append(pool.submit(work, task))
            # Results may be large: few wait for those before them.
            if len(results) > 2 * n_threads:
                yield results.popleft().result()
        while results:
            yield results.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
