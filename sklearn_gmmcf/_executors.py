"""Where tasks over blocks are worked on: here, or on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from joblib import effective_n_jobs

from sklearn_gmmcf._sklearn import one_blas_thread
from sklearn_gmmcf._typing import Run


def threads(n_jobs: int | None) -> Run:
    """Run tasks on as many threads as ``n_jobs`` means to joblib."""
    n_threads = effective_n_jobs(n_jobs)
    return map if n_threads == 1 else partial(_on_threads, n_threads)


def _on_threads(
    n_threads: int, function: Callable[[Any], Any], tasks: Sequence[Any]
) -> Iterator[Any]:
    # Some BLAS count their threads for each of ours.
    work = one_blas_thread(function)
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
