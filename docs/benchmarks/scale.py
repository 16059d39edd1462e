# SPDX-License-Identifier: BSD-3-Clause
"""Scale: many ratings, two threads, single precision, online EM, and growth.

    pip install -e ".[benchmarks,fast]"
    python docs/benchmarks/scale.py

The ratings are made by `large_ratings.py` with the shape of MovieLens 25M and of the
Netflix prize, and kept in FOLDER. `pip install libmf` adds its rows. The processor time
of a fit is the sum over its threads; the elapsed time holds where nothing else runs,
which "load" tells: the mean number of busy processes in the minute before. With
`--only growth` and so on some cases run alone; a `--size` below 1 makes smaller sets.
All cases together need 16 GB and about two hours.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import large_ratings
import numpy as np
from cells import (
    mark_best_in_columns,
    memory,
    parser,
    run,
    timed,
    work,
    write_table,
)
from large_ratings import SHAPES
from scipy import sparse
from speed import random_ratings
from timing import one_quiet_thread

from sklearn_gmmcf import MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings

FIELDS = (
    "seconds",
    "processor_seconds",
    "start_seconds",
    "input",
    "memory",
    "errors",
    "steps",
    "ratio",
    "ratios",
    "exponent",
    "load",
)
RANK = 20
FACTOR = {"n_components": 4, "covariance_type": "factor", "n_factors": RANK}
SPHERICAL = {"n_components": 12, "covariance_type": "spherical"}
# The course of the errors of other libraries: after so many iterations, each from the
# start; the strength of the penalty is compared.
PEERS = [
    {"kind": "cmfrec", "penalty": 10.0},
    {"kind": "cmfrec", "penalty": 20.0},
    {"kind": "libmf", "penalty": 0.05},
]
STEPS = {"cmfrec": (1, 2, 3, 5, 7, 10), "libmf": (5, 10, 15, 20, 30)}
CLOSE = 0.002
BASE = {"n": 8_000, "d": 1_000, "a_row": 50, "K": 4, "r": 5}
MULTIPLES = (1, 2, 4, 8)


class Watch:
    """A callback that clocks the iterations of a fit, and what `examine` finds.

    `examine` is called with the estimator fitted so far; its time does not count.
    """

    def __init__(self, examine=None):
        self.examine, self.found = examine, []
        self.seconds, self.processor_seconds = [], []  # since the fit or iteration

    def setup(self, estimator, context):
        self._start()

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        # An iteration is reported when it is over.
        if context.task_name == "iteration":
            self.seconds.append(time.perf_counter() - self.started[0])
            self.processor_seconds.append(time.process_time() - self.started[1])

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "iteration":
            if self.examine:
                self.found.append(self.examine(fitted_estimator))
            self._start()

    def _start(self):
        self.started = time.perf_counter(), time.process_time()


def _rmse(predicted, true, bounds=(-np.inf, np.inf)):
    return float(np.sqrt(np.mean((np.clip(predicted, *bounds) - true) ** 2)))


def ratings(folder, name, size):
    """The shape of a set, its ratings and its held-out entries."""
    shape = SHAPES[name].scaled(size)
    path = folder / f"{name} {size:g}"
    if not path.exists():
        # In another process, as memory is measured here.
        script = Path(large_ratings.__file__)
        subprocess.run([sys.executable, script, path, name, str(size)], check=True)
    return shape, *large_ratings.load(path, shape)


def clocked(X, max_iter, **params):
    """A fit that runs for `max_iter` iterations, and the watch of these."""
    watch = Watch()
    mixture = MaskedGaussianMixture(
        **params, max_iter=max_iter, tol=0, n_init=1, random_state=0
    )
    return mixture.set_callbacks(watch).fit(X), watch


def _compile(**params):
    """Compile the kernels, whose time and memory are none of the fit's."""
    X, _ = large_ratings.make(SHAPES["MovieLens 25M"].scaled(0.001))
    clocked(X, 2, **params)


def cost(folder, set, size, max_iter, settings):
    """An iteration on two threads in single precision, and memory."""
    _compile(**settings)
    _, X, _ = ratings(folder, set, size)
    loaded = memory()
    _, watch = clocked(X, max_iter, n_jobs=2, **settings)
    processor_seconds = float(np.median(watch.processor_seconds[1:]))
    return {
        "seconds": float(np.median(watch.seconds[1:])),
        "processor_seconds": processor_seconds,
        "start_seconds": watch.processor_seconds[0] - processor_seconds,
        "input": (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20,
        # In all, and beyond what was there before the fit.
        "memory": [memory(), memory() - loaded],
    }


def course(folder, set, size, kind, penalty=None):
    """Held-out errors against the time of a fit, all of rank 20 on two threads."""
    if kind != "ours" and importlib.util.find_spec(kind) is None:
        return {"failed": f"{kind} is not installed"}
    if kind == "ours":
        _compile(**FACTOR)
    shape, X, (rows, columns, values) = ratings(folder, set, size)

    def error(predicted):
        return _rmse(predicted, values, shape.bounds)

    if kind == "ours":
        return _our_course(X, (rows, columns), error)
    fit = {"cmfrec": _fit_cmfrec, "libmf": _fit_libmf}[kind]
    result = {"steps": list(STEPS[kind]), "errors": []}
    result |= {"seconds": [], "processor_seconds": []}
    data = _to_entries(X, kind)
    for n_iter in STEPS[kind]:
        started = time.perf_counter()
        predict, processor_seconds = timed(fit, data, penalty, n_iter)
        result["seconds"].append(time.perf_counter() - started)
        result["processor_seconds"].append(processor_seconds)
        predicted = predict(rows, columns)
        known = ~np.isnan(predicted)  # items without ratings
        result["errors"].append(error(np.where(known, predicted, X.data.mean())))
    return result


def _our_course(X, entries, error):
    watch = Watch(lambda fitted: error(fitted.complete(X, entries=entries)))
    mixture = MaskedGaussianMixture(**FACTOR, n_jobs=2, random_state=0)
    mixture.set_callbacks(watch).fit(X)
    return {
        "steps": list(range(1, mixture.n_iter_ + 1)),
        "errors": watch.found,
        "seconds": np.cumsum(watch.seconds).tolist(),
        "processor_seconds": np.cumsum(watch.processor_seconds).tolist(),
    }


def _to_entries(X, kind):
    """The format that a library takes: its making does not count."""
    coo = X.tocoo()
    if kind == "cmfrec":
        return coo
    return np.column_stack([coo.row, coo.col, coo.data]).astype(np.float32)


def _fit_cmfrec(coo, penalty, n_iter):
    from cmfrec import CMF

    return (
        CMF(
            k=RANK,
            lambda_=penalty,
            niter=n_iter,
            nthreads=2,
            verbose=False,
            random_state=0,
            precompute_for_predictions=False,
        )
        .fit(coo)
        .predict
    )


def _fit_libmf(table, penalty, n_iter):
    from libmf import mf

    penalties = dict.fromkeys(("lambda_p2", "lambda_q2"), penalty)
    unused = dict.fromkeys(("lambda_p1", "lambda_q1"), 0.0)
    fitted = mf.MF(
        k=RANK, nr_threads=2, nr_iters=n_iter, quiet=True, **penalties, **unused
    )
    fitted.fit(table)
    users, items = fitted.p_factors(), fitted.q_factors()

    # The package's own predictions do not agree with its factors.
    def predict(rows, columns):
        return np.einsum("ij,ij->i", users[rows], items[columns])

    return predict


def threads(millions, settings):
    """One thread over two; both fits are equal to the last bit."""
    X = random_ratings(round(millions * 1e6 / 165), 4_000, 165)
    seconds = {1: [], 2: []}
    for _ in range(2):
        fits = []
        for n_jobs in seconds:
            mixture, watch = clocked(
                X, 5, n_jobs=n_jobs, init_params="random", **settings
            )
            fits.append(mixture)
            seconds[n_jobs].extend(watch.seconds[1:])
        check_equal(*fits)
    # Other processes make times longer, never shorter.
    one, two = (min(seconds[n_jobs]) for n_jobs in (1, 2))
    return {"seconds": two, "ratio": one / two}


def check_equal(fitted, other):
    """Raise if two fits differ in a bit."""
    common = ["weights_", "means_", "lower_bounds_"]
    factor = ["components_", "noise_variance_", "noise_scale_", "factor_covariances_"]
    own = factor if hasattr(fitted, "components_") else ["covariances_"]
    for name in common + own:
        if not np.array_equal(getattr(fitted, name), getattr(other, name)):
            raise AssertionError(f"{name} depends on n_jobs")


def single(millions, settings):
    """Processor time of an iteration in single precision over double, one thread."""
    X = random_ratings(round(millions * 1e6 / 165), 4_000, 165)
    seconds = {np.float32: [], np.float64: []}
    for _ in range(2):
        for dtype in seconds:
            _, watch = clocked(X.astype(dtype), 5, init_params="random", **settings)
            seconds[dtype].extend(watch.processor_seconds[1:])
    low, high = map(min, seconds.values())
    return {"processor_seconds": low, "ratio": low / high}


def online(n_factors, n_rows=20_000):
    """Held-out RMSE of online EM in 20 batches over the RMSE of `fit`, by passes."""
    settings = {"covariance_type": "spherical", "n_init": 5}
    if n_factors:
        settings = {"covariance_type": "factor", "n_factors": n_factors + 2}
    data = make_ratings(n_rows, n_types=4, n_factors=n_factors, random_state=0).data
    coo = data.tocoo()
    rng = np.random.default_rng(0)
    held = rng.random(coo.nnz) < 0.1
    indices = coo.row[~held], coo.col[~held]
    X = sparse.csr_array((coo.data[~held], indices), shape=coo.shape)
    entries, true = (coo.row[held], coo.col[held]), coo.data[held]

    def error(fitted):
        return _rmse(fitted.complete(X, entries=entries), true)

    batch = error(MaskedGaussianMixture(4, random_state=0, **settings).fit(X))
    mixture = MaskedGaussianMixture(4, random_state=0, **settings)
    batches = [X[rows] for rows in np.array_split(rng.permutation(n_rows), 20)]
    ratios = []
    for _ in range(4):
        for part in batches:
            mixture.partial_fit(part)
        ratios.append(error(mixture) / batch)
    return {"ratios": ratios}


def growth(covariance_type, axis):
    """Processor time of an iteration where one size doubles, and its exponent."""
    seconds = []
    for multiple in (1, *MULTIPLES):  # the first compiles
        size = {**BASE, axis: multiple * BASE[axis]}
        settings = {"n_components": size.pop("K"), "n_factors": size.pop("r")}
        _, watch = clocked(
            random_ratings(**size),
            8,
            covariance_type=covariance_type,
            init_params="random",
            **settings,
        )
        seconds.append(min(watch.processor_seconds[1:]))
    slope = np.polyfit(np.log(MULTIPLES), np.log(seconds[1:]), 1)[0]
    return {"processor_seconds": seconds[1:], "exponent": float(slope)}


def measure(folder, case, **settings):
    """Work on one cell."""
    load = os.getloadavg()[0]
    arguments = [folder] if case in ("cost", "course") else []
    with one_quiet_thread():
        return globals()[case](*arguments, **settings) | {"load": load}


def cells(size):
    for settings in (FACTOR, SPHERICAL):
        for name in SHAPES:
            yield {
                "case": "cost",
                "set": name,
                "size": size,
                "max_iter": 4 if settings is FACTOR else 6,
                "settings": settings,
            }
    for model in ({"kind": "ours"}, *PEERS):
        yield {"case": "course", "set": "MovieLens 25M", "size": size, **model}
    for settings in (SPHERICAL, FACTOR):
        for millions in (1, 10):
            yield {
                "case": "threads",
                "millions": millions * size,
                "settings": settings,
            }
        yield {"case": "single", "millions": 10 * size, "settings": settings}
    for n_factors in (0, 3):
        yield {"case": "online", "n_factors": n_factors}
    for kind in ("spherical", "factor"):
        for axis in BASE:
            if axis != "r" or kind == "factor":
                yield {"case": "growth", "covariance_type": kind, "axis": axis}


def _describe(settings):
    rank = f", r={settings['n_factors']}" if "n_factors" in settings else ""
    return f"{settings['covariance_type']}, K={settings['n_components']}{rank}"


def _select(results, case):
    return [(c, r) for c, r in results if c["case"] == case and "failed" not in r]


def tabulate_cost(results, options):
    rows, first = [], {}
    for cell, result in _select(results, "cost"):
        shape = SHAPES[cell["set"]].scaled(cell["size"])
        model = _describe(cell["settings"])
        before = first.setdefault(model, result)
        rows.append(
            [
                model,
                f"{shape.n_users:,} x {shape.n_items:,}, {shape.n_ratings / 1e6:g} M",
                f"{result['seconds']:.3g}",
                f"{result['processor_seconds']:.3g}",
                f"{result['processor_seconds'] / before['processor_seconds']:.2f}",
                f"{result['start_seconds']:.3g}",
                f"{result['input']:.0f}",
                "{:.0f}; {:.0f}".format(*result["memory"]),
                f"{result['load']:.1f}",
            ]
        )
    names = [
        "", "ratings", "iteration (s)", "processor time of an iteration (s)",
        "over 25 M", "processor time of the start (s)", "input (MiB)",
        "peak memory; of the fit alone (MiB)", "load",
    ]  # fmt: skip
    title = "Iterations of large fits, two threads, single precision"
    header, *rows = zip(names, *rows, strict=True)
    write_table("scale-cost", title, header, rows, options)


def _elapsed_and_processor(result, step):
    return f"{result['seconds'][step]:.3g}; {result['processor_seconds'][step]:.3g}"


def tabulate_course(results, options):
    rows = []
    for cell, result in _select(results, "course"):
        errors = np.array(result["errors"])
        close = int(np.flatnonzero(errors <= errors.min() + CLOSE)[0])
        penalty = f", penalty {cell['penalty']:g}" if "penalty" in cell else ""
        rows.append(
            [
                cell["kind"] + penalty,
                f"{errors.min():.4f}",
                f"{errors[-1]:.4f} ({result['steps'][-1]})",
                result["steps"][close],
                _elapsed_and_processor(result, close),
                _elapsed_and_processor(result, -1),
                f"{result['load']:.1f}",
            ]
        )
    header = [
        "model", "lowest RMSE", "last RMSE (after iterations)",
        f"iterations to within {CLOSE} of the lowest", "time to there; processor (s)",
        "whole fit; processor (s)", "load",
    ]  # fmt: skip
    title = "Held-out errors at rank 20, shape of MovieLens 25M, two threads"
    rows = mark_best_in_columns(rows, {1: min})
    write_table("scale-course", title, header, rows, options)


def tabulate_threads(results, options):
    rows = []
    for cell, result in _select(results, "threads") + _select(results, "single"):
        is_threads = cell["case"] == "threads"
        rows.append(
            [
                "two threads" if is_threads else "single precision",
                f"{_describe(cell['settings'])}, {cell['millions']:g} M ratings",
                f"{result['ratio'] if is_threads else 1 / result['ratio']:.2f}",
                f"{result['load']:.1f}",
            ]
        )
    for cell, result in _select(results, "online"):
        kind = "factor" if cell["n_factors"] else "spherical"
        ratios = ", ".join(f"{ratio:.4f}" for ratio in result["ratios"])
        rows.append(["online EM, RMSE over fit's by passes", kind, ratios, ""])
    header = ["", "model", "times as fast, or ratio", "load"]
    title = "Threads, single precision and online EM"
    write_table("scale-threads", title, header, rows, options)


def tabulate_growth(results, options):
    rows = []
    for cell, result in _select(results, "growth"):
        axis = cell["axis"]
        rows.append(
            [
                cell["covariance_type"],
                {
                    "n": "rows", "d": "columns", "a_row": "ratings a row",
                    "K": "components", "r": "factors",
                }[axis],
                ", ".join(f"{multiple * BASE[axis]:,}" for multiple in MULTIPLES),
                ", ".join(f"{1e3 * s:.3g}" for s in result["processor_seconds"]),
                f"{result['exponent']:.2f}",
            ]
        )  # fmt: skip
    header = ["model", "size", "values", "iteration (ms)", "exponent"]
    n, d, a_row, K, r = BASE.values()
    title = (
        f"Growth around {n:,} rows, {d:,} columns, {a_row} ratings a row, K={K}, r={r}"
    )
    write_table("scale-growth", title, header, rows, options)


def main():
    command = parser(__doc__)
    default = Path(tempfile.gettempdir()) / "large_ratings"
    command.add_argument("folder", type=Path, nargs="?", default=default)
    command.add_argument("--size", type=float, default=1.0)
    options = command.parse_args()
    if options.cell:
        work(options.cell, lambda **cell: measure(options.folder, **cell))
        return
    results = run(
        "scale",
        __file__,
        list(cells(options.size)),
        options,
        FIELDS,
        arguments=[options.folder],
    )
    for tabulate in (
        tabulate_cost,
        tabulate_course,
        tabulate_threads,
        tabulate_growth,
    ):
        tabulate(results, options)


if __name__ == "__main__":
    main()
