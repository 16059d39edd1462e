# SPDX-License-Identifier: BSD-3-Clause
"""Files and standard streams: what is read, what is written, what is told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn_gmmcf._table_columns import reads_as_number

STREAM = "-"


class WrongUsage(Exception):
    """Options that do not fit each other or the files that exist."""


def read_bytes(path: str) -> bytes:
    """The content of a file, or of standard input."""
    return sys.stdin.buffer.read() if path == STREAM else Path(path).read_bytes()


def check_outputs(
    paths: Sequence[str | None], force: bool, inputs: Sequence[str | None] = ()
) -> None:
    """Check files to write, before anything is computed.

    `inputs` are not overwritten, whatever `force` is.

    Raises
    ------
    WrongUsage
        If two are the same, one exists and may not be overwritten, or none can stand
        there.
    """
    named = [path for path in paths if path is not None]
    resolved = _resolve(named)
    sources = _resolve([path for path in inputs if path is not None])
    for j, path in enumerate(named):
        if resolved[j] in sources and path != STREAM:
            raise WrongUsage(f"{path} is read, and would be lost. Pass another name.")
        if resolved[j] in resolved[:j]:
            raise WrongUsage(f"{path} would be written twice. Pass other names.")
        if path == STREAM:
            continue
        if Path(path).is_dir() or not Path(path).parent.is_dir():
            raise WrongUsage(f"{path} is not a file in a folder that exists.")
        if Path(path).exists() and not force:
            raise WrongUsage(f"{path} exists. Pass --force to overwrite it.")


def _resolve(paths: Sequence[str]) -> list[Any]:
    return [path if path == STREAM else Path(path).resolve() for path in paths]


def write_text(path: str, text: str, encoding: str) -> None:
    """Write a file, or standard output, with line ends as they are."""
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{path}: {encoding} has no {text[error.start]!r}. Pass --encoding utf-8."
        ) from None
    if path == STREAM:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    # A file that is overwritten, and may be the input, stays whole until the end.
    target = Path(path).resolve()
    unfinished = target.with_name(f"{target.name}.part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def format_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of a table to read; all columns but the first are aligned at the right."""
    columns = list(zip(names, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [all(map(reads_as_number, column[1:])) for column in columns]
    lines = []
    for row in (names, *rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


class Teller:
    """Messages on standard error: the progress only on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.shows_progress = not quiet and sys.stderr.isatty()

    def report(self, text: str) -> None:
        """Tell the outcome."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def progress(self, text: str) -> None:
        """Replace the line that tells the progress."""
        if self.shows_progress:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Warn, even where all else is quiet."""
        self.progress("")
        print(f"warning: {text}", file=sys.stderr)


class FitProgress:
    """A callback of scikit-learn that counts the steps of a fit."""

    def __init__(self, teller: Teller, n_steps: int) -> None:
        self._teller, self._n_steps = teller, n_steps

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin to count."""
        self._n_done = 0
        self._tell()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing; scikit-learn asks for it."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Count a step."""
        if context.task_name == "iteration":
            self._n_done += 1
            self._tell()

    def teardown(self, estimator: Any, context: Any) -> None:
        """Clear the line."""
        self._teller.progress("")

    def _tell(self) -> None:
        self._teller.progress(f"Fitting: step {self._n_done} of {self._n_steps}")
