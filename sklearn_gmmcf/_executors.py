"""Where tasks over blocks are worked on: here, or on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from threading import Lock
from typing import Any

from joblib import effective_n_jobs
from sklearn import config_context, get_config

from sklearn_gmmcf._sklearn import threadpool_controller
from sklearn_gmmcf._typing import Executor


class _OneBlasThread:
    """Holds BLAS to one thread while any thread of the process is inside.

    Most BLAS have one setting for the whole process: a thread that restored what it
    had found would free those that still work, or leave the setting of another behind.
    So the last one out restores what the first one in has found.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_inside = 0
        self._first: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            # Some BLAS count their threads for each of ours, so each sets its own.
            limiter = _limit()
            if self._n_inside == 0:
                self._first = limiter
            self._n_inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_inside -= 1
                # To threadpoolctl the first to set OpenBLAS owns it until it leaves
                # one of its contexts, which also restores what that context found.
                with self._first if self._n_inside == 0 else _limit():
                    pass


def _limit() -> Any:
    return threadpool_controller().limit(limits=1, user_api="blas")


_limited = _OneBlasThread()


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold BLAS to one thread in a function.

    Blocks are small: more threads make them many times slower.
    """

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _limited():
            return function(*args, **kwargs)

    return wrapper


def threads(n_jobs: int | None) -> Executor:
    """Run tasks on as many threads as ``n_jobs`` means to joblib."""
    n_threads = effective_n_jobs(n_jobs)
    return map if n_threads == 1 else partial(_on_threads, n_threads)


def _on_threads(
    n_threads: int, function: Callable[[Any], Any], tasks: Sequence[Any]
) -> Iterator[Any]:
    # scikit-learn's settings are of a thread; those of the caller hold for all.
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
