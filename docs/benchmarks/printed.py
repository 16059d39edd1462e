# SPDX-License-Identifier: BSD-3-Clause
"""Tables of results that scripts print, which are noted in results/printed.json.

    python docs/benchmarks/printed.py

These scripts run in a minute or need another checkout, so they keep no cells: their
figures are entered in the file, with the command that prints them. A number is shown
with the format of its column, a pair of numbers is a range, and the best number of a
column or of a row is in bold where the file says which one is the best.
"""

import argparse
import json
from pathlib import Path

from cells import RESULTS, mark_best, mark_best_in_columns, write_table

CHOICES = {"lowest": min, "highest": max}


def read(folder=RESULTS):
    """The tables of the file by name: command, title, header, formats, rows, best."""
    return json.loads(Path(folder, "printed.json").read_text())


def show(value, form):
    """A label, a number, a range of numbers, or nothing, as text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        low, high = (format(number, form) for number in value)
        return low if low == high else f"{low} to {high}"
    return format(value, form)


def tabulate(name, table, options):
    rows = [
        [show(value, form) for value, form in zip(row, table["formats"], strict=True)]
        for row in table["rows"]
    ]
    best = table.get("best", {})
    if "in_rows" in best:
        choose = CHOICES[best["in_rows"]]
        rows = [[row[0], *mark_best(row[1:], choose)] for row in rows]
    for choice, columns in best.get("in_columns", {}).items():
        rows = mark_best_in_columns(rows, dict.fromkeys(columns, CHOICES[choice]))
    write_table(name, table["title"], table["header"], rows, options)


def main():
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--report", action="store_true", help="as without it")
    command.add_argument("--results", type=Path, default=RESULTS)
    options = command.parse_args()
    for name, table in read(options.results).items():
        tabulate(name, table, options)


if __name__ == "__main__":
    main()
