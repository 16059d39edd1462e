# SPDX-License-Identifier: BSD-3-Clause
"""Complete a CSV file: only its missing cells change."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_gmmcf._command_line._columns import (
    MAX_MARKER,
    MISSING,
    Column,
    find_stray,
    read_column,
)
from sklearn_gmmcf._command_line._csv import CsvTable, decode, parse, write_csv
from sklearn_gmmcf._command_line._files import (
    STREAM,
    FitProgress,
    Teller,
    WrongUsage,
    check_outputs,
    format_table,
    read_bytes,
    write_text,
)
from sklearn_gmmcf._typing import Array
from sklearn_gmmcf.imputer import _MAX_VALUE, MixtureImputer

_N_FITS = 8  # of the imputer: four members, twice


def complete(options: Namespace, teller: Teller) -> None:
    """Write the completed table, its intervals and its draws."""
    draws = _name_draws(options.out, options.draws)
    others = [options.intervals, *draws]
    check_outputs([options.out, *others], options.force)
    check_outputs(others, options.force, [options.table])  # --out may replace it
    name = "standard input" if options.table == STREAM else options.table
    text = decode(name, read_bytes(options.table), options.encoding)
    table = parse(name, text, options.sep)
    columns = _read_columns(table, options, teller)
    obstacles = [_find_obstacle(column, options) for column in columns]
    modeled = [j for j, obstacle in enumerate(obstacles) if obstacle is None]
    if not modeled:
        raise ValueError(
            f"{name} has no column to model: "
            + "; ".join(
                f"{column.name!r} is left as it is ({obstacle})"
                for column, obstacle in zip(columns, obstacles, strict=True)
            )
        )
    completion = Completion(table, columns, modeled)
    if completion.is_complete:
        completed = table.text
        errors = np.full(len(columns), np.nan)
    else:
        errors = completion.fit(options, teller)
        completed = completion.write(completion.completed)
    write_text(options.out, completed, options.encoding)
    if options.intervals is not None:
        rows = completion.list_intervals(options.coverage)
        write_text(
            options.intervals, write_csv(rows, table.separator), options.encoding
        )
    if draws:
        for path, draw in zip(draws, completion.draw(options), strict=True):
            write_text(path, draw, options.encoding)
    teller.report(_describe(options.out, columns, obstacles, errors))


def _name_draws(out: str, n_draws: int) -> list[str]:
    if not n_draws:
        return []
    if out == STREAM:
        raise WrongUsage("--draws names its files after --out, which cannot be -.")
    path = Path(out)
    return [
        str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
        for number in range(1, n_draws + 1)
    ]


def _read_columns(table: CsvTable, options: Namespace, teller: Teller) -> list[Column]:
    missing = MISSING | {marker.strip() for marker in options.missing}
    columns = []
    for j, name in enumerate(table.names):
        texts = table.read_column(j)
        column = read_column(name, texts, missing, options.decimal)
        _check_numbers(table, column, texts)
        stray = find_stray(column, options.decimal)
        if stray is not None and name not in options.ignore:
            row, way_out = stray
            teller.warn(
                f"{table.name}, line {table.lines[row]}: column {name!r} is read as "
                f"text, since {texts[row][:MAX_MARKER]!r} is not a number. {way_out}."
            )
        columns.append(column)
    unknown = [name for name in options.ignore if name not in table.names]
    if unknown:
        raise WrongUsage(
            f"--ignore {unknown[0]}: {table.name} has the columns {table.names}."
        )
    return columns


def _check_numbers(table: CsvTable, column: Column, texts: list[str]) -> None:
    if column.kind != "number":
        return
    for row, value in enumerate(column.values):
        if value is not None and not abs(value) <= _MAX_VALUE:
            raise ValueError(
                f"{table.name}, line {table.lines[row]}: column {column.name!r} is "
                f"{texts[row]}, above {_MAX_VALUE:g} in magnitude, so that squares "
                "overflow. Correct it, or leave the column out: --ignore "
                f"{column.name!r}."
            )


def _find_obstacle(column: Column, options: Namespace) -> str | None:
    """Why a column is left as it is, or None."""
    if column.name in options.ignore:
        return "--ignore"
    return column.find_obstacle(options.max_categories)


class Completion:
    """The modeled columns of a table, and what an imputer says of them."""

    def __init__(
        self, table: CsvTable, columns: list[Column], modeled: list[int]
    ) -> None:
        self._table, self._columns, self._modeled = table, columns, modeled
        self._cells = np.empty((len(table.lines), len(modeled)), dtype=object)
        for k, j in enumerate(modeled):
            self._cells[:, k] = columns[j].values
        self.is_complete = all(not len(columns[j].missing) for j in modeled)

    def fit(self, options: Namespace, teller: Teller) -> Array:
        """Fit and complete: the expected errors of all columns, NaN where none is."""
        self._imputer = MixtureImputer(
            max_categories=options.max_categories, random_state=options.seed
        )
        if hasattr(self._imputer, "set_callbacks"):  # since scikit-learn 1.9
            progress = FitProgress(teller, _N_FITS)
            self._imputer.set_callbacks(progress).fit(self._cells).set_callbacks()
        else:
            self._imputer.fit(self._cells)
        self.completed: Array = self._imputer.transform(self._cells)
        errors = np.full(len(self._columns), np.nan)
        errors[self._modeled] = self._imputer.expected_error_
        return errors

    def write(self, completed: Array) -> str:
        """The text of the file with its missing cells filled."""
        filled = {}
        for k, j in enumerate(self._modeled):
            column = self._columns[j]
            for i in column.missing:
                filled[i, j] = column.write(completed[i, k])
        return self._table.replace(filled)

    def list_intervals(self, coverage: float) -> list[list[object]]:
        """A line of names, and one for each missing number and date, in file order."""
        names: list[object] = ["line", "column", "value", "lower", "upper"]
        if self.is_complete:
            return [names]
        completed = self.completed
        lower, upper = self._imputer.predict_interval(self._cells, coverage)
        rows = []
        ordered = [k for k, j in enumerate(self._modeled) if self._columns[j].has_order]
        for end, k in enumerate(ordered):
            column = self._columns[self._modeled[k]]
            for i in column.missing:
                values = completed[i, k], lower[i, end], upper[i, end]
                texts = [column.write(value) for value in values]
                rows.append((self._table.lines[i], self._modeled[k], texts))
        return [
            names,
            *([line, self._table.names[j], *texts] for line, j, texts in sorted(rows)),
        ]

    def draw(self, options: Namespace) -> list[str]:
        """Texts of the file with its missing cells drawn."""
        if self.is_complete:
            return [self._table.text] * options.draws
        draws = self._imputer.sample_completions(
            self._cells, options.draws, random_state=options.seed
        )
        return [self.write(draw) for draw in draws]


def _describe(
    out: str, columns: list[Column], obstacles: list[str | None], errors: Array
) -> str:
    """What was filled, with the expected errors, and what was not."""
    rows, n_filled, n_left = [], 0, 0
    for column, obstacle, error in zip(columns, obstacles, errors, strict=True):
        n_missing = len(column.missing)
        if not n_missing:
            continue
        if obstacle is None:
            n_filled += n_missing
            rows.append([column.name, str(n_missing), _format_error(column, error)])
        else:
            n_left += n_missing
            rows.append([column.name, "0", f"{n_missing} left missing: {obstacle}"])
    where = "standard output" if out == STREAM else out
    total = f"{where}: {n_filled} cell{'s' * (n_filled != 1)} filled"
    total += f", {n_left} left missing." if n_left else "."
    if not rows:
        return total
    names = ["column", "filled", "expected error"]
    return f"{total}\n\n{format_table(names, rows).rstrip()}"


def _format_error(column: Column, error: Any) -> str:
    if np.isnan(error):  # of too few rows to hold one out
        levels = {value for value in column.values if value is not None}
        return "unknown" if len(levels) > 1 else f"unknown: all are {levels.pop()!r}"
    if column.kind == "text":
        return f"{100 * error:.0f} % wrong"
    return f"{error:.3g} days" if column.kind == "date" else f"{error:.3g}"
