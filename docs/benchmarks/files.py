# SPDX-License-Identifier: BSD-3-Clause
"""Files of ratings: load_ratings_csv beside pandas.read_csv and pandas.factorize.

    pip install -e ".[benchmarks]" && python docs/benchmarks/files.py

The argument is the number of lines in millions (default 1). The two sides read one file
in turn; a ratio is the median over pairs. Pandas reads all columns and codes users and
items; load_ratings_csv makes the matrix, checks each line, and finds duplicates. The
peak memory is of a process that only loads the file, beyond its imports, over the bytes
of the table's three columns, with ids as numpy holds them (on Linux).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from timing import clock, one_quiet_thread, paired

from sklearn_gmmcf.datasets import load_ratings_csv

REPEATS = 9
MEMORY = """
import sys
from sklearn_gmmcf.datasets import load_ratings_csv

def peak():  # ru_maxrss would include the process that started this one
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) * 1024

folder, name = sys.argv[1:]
load_ratings_csv(f"{folder}/warm.csv")
before = peak()
bunch = load_ratings_csv(f"{folder}/{name}.csv")
print(peak() - before)
"""


def tables(n_lines):
    """Tables of ratings as MovieLens writes them, with ids of several kinds."""
    rng = np.random.default_rng(0)
    n_users, n_items = max(n_lines // 160, 10), max(n_lines // 270, 10)
    pairs = rng.choice(n_users * n_items, n_lines, replace=False)
    users, items = np.divmod(pairs, n_items)
    table = pd.DataFrame(
        {
            "userId": users + 1,
            "movieId": 37 * items + 1,
            "rating": rng.integers(1, 11, n_lines) / 2,
            "timestamp": rng.integers(8e8, 1.6e9, n_lines),
        }
    )
    yield "integer ids, by user", table.sort_values("userId", kind="stable")
    yield "integer ids, shuffled", table
    names = np.array([f"u{i:08x}" for i in rng.integers(2**32, size=n_users)])
    titles = np.array([f"item-{i:x}" for i in range(n_items)])
    strings = table.assign(userId=names[users], movieId=titles[items])
    yield "short strings", strings
    yield "short strings, quoted", strings
    yield "continuous ratings", table.assign(rating=rng.normal(size=n_lines).round(6))


def size(table):
    """Bytes of users, items and ratings as arrays of integers, strings and floats."""
    return sum(
        np.array(table[name].tolist()).nbytes
        for name in ("userId", "movieId", "rating")
    )


def read_pandas(path):
    table = pd.read_csv(path)
    return pd.factorize(table["userId"]), pd.factorize(table["movieId"])


def main():
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "warm.csv").write_text("user,item,rating\n1,2,3\n")
        for name, table in tables(int(millions * 1e6)):
            path = Path(folder, f"{name}.csv")
            quoting = 2 if "quoted" in name else 0  # all that is no number
            table.to_csv(path, index=False, quoting=quoting)
            ours, theirs = paired(
                lambda path=path: clock(load_ratings_csv, path),
                lambda path=path: clock(read_pandas, path),
                REPEATS,
            )
            command = [sys.executable, "-c", MEMORY, folder, name]
            peak = int(subprocess.run(command, capture_output=True, check=True).stdout)
            ratio = np.median(ours / theirs)
            print(
                f"{name}: {np.median(ours):.2f} s, {ratio:.2f} times pandas; "
                f"peak memory {peak / size(table):.1f} times the table",
                flush=True,
            )


if __name__ == "__main__":
    with one_quiet_thread():
        main()
