"""Cells of a benchmark: one process each, resumable, with time limits.

A cell is a mapping of settings, all that its result depends on. It is worked on by
``python SCRIPT --cell JSON`` in a process of its own, so that its peak of memory is
honest and that it can be stopped. Its result is kept in ``results/NAME.json`` at once;
cells that stand there already are not run again, unless they failed and ``--retry`` is
given.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_MARK = "result of the cell: "
_PACKAGES = (
    "sklearn-gmmcf",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-surprise",
    "cmfrec",
    "myfm",
    "stepmix",
    "pomegranate",
    "torch",
)
# One thread, for all libraries of all cells.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def parser(description):
    """What all scripts understand."""
    parsed = argparse.ArgumentParser(description=description.splitlines()[0])
    parsed.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    parsed.add_argument("--only", default="", help="cells whose settings have this")
    parsed.add_argument("--limit", type=float, help="seconds for a cell")
    parsed.add_argument("--retry", action="store_true", help="cells that failed, too")
    parsed.add_argument("--results", type=Path, default=RESULTS)
    return parsed


def environment():
    """What figures of time depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = names[0].split(":")[1].strip() if names else cpu
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"versions": versions, "cpu": cpu, "commit": commit, "threads": 1}


def memory():
    """Peak of this process's memory so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(function, *args, **kwargs):
    """The result of a call, and its seconds of processor time.

    On one thread these are those of the clock, less what other processes took.
    """
    started = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - started


def work(cell, function):
    """In the process of a cell: write what the function returns for it."""
    warnings.simplefilter("ignore")
    print("\n" + _MARK + json.dumps(function(**cell)), flush=True)


def run(name, script, cells, options, arguments=(), limits=None):
    """Run the cells that are not finished; return [(cell, result)] of all.

    ``limits`` tells the seconds that a cell may take. A result is a mapping, with
    "failed" where a cell has none: the last line of what went wrong.
    """
    path = options.results / f"{name}.json"
    kept = json.loads(path.read_text())["cells"] if path.exists() else []
    done = {_key(entry["cell"]): entry for entry in kept}
    wanted = [cell for cell in cells if options.only in _key(cell)]
    for number, cell in enumerate(wanted, 1):
        before = done.get(_key(cell))
        if before and not (options.retry and "failed" in before["result"]):
            continue
        limit = options.limit or (limits(cell) if limits else None)
        print(f"{name} {number}/{len(wanted)}: {_key(cell)}", end=" ", flush=True)
        started = time.perf_counter()
        result = _run_apart(script, cell, arguments, limit)
        seconds = time.perf_counter() - started
        print(result.get("failed") or f"{seconds:.0f} s", flush=True)
        done[_key(cell)] = {
            "cell": cell,
            "result": result,
            "environment": environment(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = json.dumps({"cells": list(done.values())}, indent=1)
        partial = path.with_suffix(".part")
        partial.write_text(whole + "\n")
        partial.replace(path)
    return [(cell, done[_key(cell)]["result"]) for cell in cells if _key(cell) in done]


def _key(cell):
    return json.dumps(cell, sort_keys=True)


def _run_apart(script, cell, arguments, limit):
    command = [sys.executable, str(script), *map(str, arguments), "--cell", _key(cell)]
    variables = dict(os.environ, **dict.fromkeys(_THREADS, "1"))
    try:
        ended = subprocess.run(
            command,
            env=variables,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {limit:.0f} s"}
    for line in reversed(ended.stdout.splitlines()):
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    return {"failed": said[-1][:200] if said else f"ended with {ended.returncode}"}


def write_table(name, title, header, rows, options):
    """Print a table, and write it for the page of the docs."""
    texts = [[str(value) for value in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    print(f"\n{title}")
    for row in texts:
        print("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)))
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in texts:
        for n, text in enumerate(row):
            lines.append(f"   {'*' if n == 0 else ' '} - {text}")
    path = options.results / f"{name}.rst"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
