"""A weekly check of the tests: does one of them fail when a line of the code is wrong?

    python tests/mutations.py             # all mutations
    python tests/mutations.py plotting    # mutations of files whose path has this word

Everything happens in a temporary copy of the tree. The named tests first run on the
unchanged code, where they must pass, and then on one mutation at a time, where one of
them must fail. Mutations that survive, because no test failed, are listed at the end,
and the exit status is 1.

A mutation is a tuple of a file, a text in one of its lines, the replacement, and the
tests that should notice (files or node ids, separated by spaces). The text must occur
exactly once in the file. Where it does not, as after a refactoring, an error names all
such mutations before anything runs. A mutation should change results; it should neither
prevent the import nor change only speed or rounding.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 1200  # seconds; a mutation that never ends counts as noticed
NOT_COPIED = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "_build")

RATINGS, PROGRESS = "sklearn_gmmcf/ratings.py", "sklearn_gmmcf/_progress.py"
PLOT = "sklearn_gmmcf/plotting/"
T_RATINGS, T_PROGRESS = "tests/test_ratings.py", "tests/test_progress.py"
T_PLOT = "tests/test_plotting.py"

# fmt: off
MUTATIONS = [
    # Predictions are clipped, and the index of a column is below their number.
    (RATINGS, "values = np.clip(values, *check", "_ = (values, *check", T_RATINGS),
    (RATINGS, "(items >= len(self.items_))", "(items > len(self.items_))", T_RATINGS),
    # Duplicates give their mean, or the last of them.
    (RATINGS, "sums / sizes", "sums", T_RATINGS),
    (RATINGS, "np.delete(values, again)", "np.delete(values, again + 1)", T_RATINGS),
    # One unknown item among known ones, and a table that grows, are errors.
    (RATINGS, "and not known.all()", "and not known.any()", T_RATINGS),
    (RATINGS, " or (free + added > indptr[1:]).any():", ":", T_RATINGS),
    # The band of coverages and the intervals have two sides.
    (PLOT + "_calibration.py", "(1 - _BAND) / 2", "1 - _BAND", T_PLOT),
    (PLOT + "_calibration.py", "ppf((1 + nominal) / 2)", "ppf(nominal)", T_PLOT),
    # The standard error over folds; the best criterion is the lowest.
    (PLOT + "_selection.py", "np.sqrt(n_folds - 1)", "np.sqrt(n_folds)", T_PLOT),
    (PLOT + "_selection.py", "else one < other", "else one > other", T_PLOT),
    # The start with the highest objective is drawn as the kept one.
    (PLOT + "_convergence.py", "np.argmax([", "np.argmin([", T_PLOT),
    # Axes and angle of an ellipse.
    (PLOT + "_common.py", "widths = 2 * np.sqrt(", "widths = np.sqrt(", T_PLOT),
    (PLOT + "_common.py", "arctan2(axes[1, 1],", "arctan2(-axes[1, 1],", T_PLOT),
    # A callback stops a run; messages have intervals, and details from verbose=2 on.
    (PROGRESS, "return bool(task.call_on", "return not (task.call_on", T_PROGRESS),
    (PROGRESS, "% self.interval == 0", "% self.interval == 1", T_PROGRESS),
    (PROGRESS, "if self.verbose > 1", "if self.verbose > 0", T_PROGRESS),
]
# fmt: on


def mutate(path, text, replacement):
    """The source of the file with the text replaced."""
    source = path.read_text(encoding="utf-8")
    if source.count(text) != 1 or "\n" in text or text == replacement:
        raise ValueError(f"the text is there {source.count(text)} times")
    mutated = source.replace(text, replacement)
    compile(mutated, path, "exec")
    return mutated


def run_tests(copy, tests):
    """Whether a test fails in the copy, and the output of pytest."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", *tests.split()]
    # A stale bytecode file could hide a mutation of the same length.
    env = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    options = {"cwd": copy, "env": env, "timeout": LIMIT, "text": True}
    try:
        ended = subprocess.run(command, capture_output=True, **options)
    except subprocess.TimeoutExpired:
        return True, f"The tests did not end within {LIMIT} s."
    if ended.returncode not in (0, 1):
        sys.exit(f"pytest could not run {tests}:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == 1, ended.stdout


def main(words):
    chosen = [m for m in MUTATIONS if not words or any(word in m[0] for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        sources, errors = [], []
        for file, text, replacement, _ in chosen:
            try:
                sources.append(mutate(copy / file, text, replacement))
            except (OSError, SyntaxError, ValueError) as error:
                errors.append(f"{file}, {text!r}: {error}")
        if errors or not chosen:
            sys.exit("\n".join(["These mutations cannot be applied:", *errors]))
        for tests in dict.fromkeys(mutation[3] for mutation in chosen):
            failed, output = run_tests(copy, tests)
            if failed:
                sys.exit(f"{tests} should pass on the unchanged code:\n{output}")
        for (file, text, replacement, tests), source in zip(
            chosen, sources, strict=True
        ):
            original = (copy / file).read_bytes()
            (copy / file).write_text(source, encoding="utf-8")
            noticed, _ = run_tests(copy, tests)
            (copy / file).write_bytes(original)
            line = f"{file}: {text} -> {replacement}"
            print("noticed " if noticed else "SURVIVED", line, flush=True)
            survivors += [] if noticed else [line]
    print(
        f"{len(survivors)} of {len(chosen)} mutations survived", *survivors, sep="\n  "
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
