# SPDX-License-Identifier: BSD-3-Clause
"""The house as its source shows it: imports point one way, functions are short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_gmmcf

ROOT = Path(sklearn_gmmcf.__file__).parent
# Floors from the ground up; rooms of one floor may use each other without a cycle.
FLOORS = [
    {
        "_typing",
        "_kernels",
        "_frames",
        "_compiled",
        "_sklearn",
        "_progress",
        "_table_templates",
        "_versions",
        "_warnings",
        "_ids",
        "_ranking",
    },
    {"_executors"},
    {"data"},
    {"covariance", "_lloyd", "_silhouette"},
    {"_em", "_starts"},
    {"_model"},
    {"_imputation", "_explanation", "_similarity", "_runs", "_continuation"},
    {"_validation"},
    {"_base"},
    {"_mixture", "_kmeans"},
    {"__init__"},
    {"_held_out", "preprocessing", "metrics", "baselines"},
    {"_feature_tables", "_titles", "_rating_lines", "_rating_matrix", "ratings"},
    {"_table_series", "_table_columns", "tables"},
    {"_containers", "_ensemble", "imputer"},
    {"_user_rows", "recommender"},
    {"datasets", "model_selection", "persistence", "testing"},
    {"plotting"},
    {"app", "_command_line"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(ROOT.rglob("*.py"))
MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 600


def name_module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


def list_imports(path):
    """Modules of the package that a module imports when it is imported."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_gmmcf"):
            base = node.module.removeprefix("sklearn_gmmcf").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield inner if is_module else base or "__init__"


def test_every_room_has_a_floor():
    assert {name_module(path).partition(".")[0] for path in MODULES} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_imports_point_down(path):
    module = name_module(path)
    room = module.partition(".")[0]
    for other in list_imports(path):
        other_room = other.partition(".")[0]
        if other_room != room and room != "__init__":
            assert FLOOR[other_room] <= FLOOR[room], f"{module} imports {other}"


def test_imports_have_no_cycle():
    graph = {name_module(p): set(list_imports(p)) - {name_module(p)} for p in MODULES}
    while leaves := {
        name for name, imports in graph.items() if not imports & set(graph)
    }:
        graph = {name: imports for name, imports in graph.items() if name not in leaves}
    assert not graph


# Prints the modules that the package imports beyond those of scikit-learn's mixtures.
# scikit-learn may import pandas, which is dropped, so that another import would show.
NEW_MODULES = """
import sys
# scikit-learn imports these two itself since 1.9.
import narwhals.stable.v2
import numpy.typing
import sklearn.mixture

optional = {"dask", "matplotlib", "numba", "pandas", "polars", "pyarrow"}
for name in list(sys.modules):
    if name.partition(".")[0] in optional:
        del sys.modules[name]
before = set(sys.modules)
import sklearn_gmmcf

print(*set(sys.modules) - before)
"""


def test_few_modules_are_imported_beyond_those_of_scikit_learn():
    command = [sys.executable, "-c", NEW_MODULES]
    new = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    new = set(new.split())
    assert "sklearn_gmmcf.imputer" in new
    packages = {name.partition(".")[0] for name in new}
    assert packages - sys.stdlib_module_names == {"sklearn", "sklearn_gmmcf"}
    parts = {tuple(name.split(".")[:2]) for name in new}
    rooms = {
        room for package, *rooms in parts if package == "sklearn" for room in rooms
    }
    assert rooms <= {"impute", "pipeline", "utils"}


def count_docstring_lines(node):
    if ast.get_docstring(node) is None:
        return 0
    return node.body[0].end_lineno - node.body[0].lineno + 1


def count_code_lines(function):
    """Lines of a function without its docstring."""
    n_lines = function.end_lineno - function.lineno + 1
    return n_lines - count_docstring_lines(function)


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_functions_are_short(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = {f.name: count_code_lines(f) for f in functions if f.name != "__init__"}
    assert not {name: n for name, n in long.items() if n > MAX_FUNCTION_LINES}


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_modules_are_short(path):
    """Without the docstrings, which make up half of the estimators and displays.

    Nor does the line with the license count.
    """
    text = path.read_text()
    documented = ast.FunctionDef, ast.ClassDef, ast.Module
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, documented)]
    n_lines = len(text.splitlines()) - 1 - sum(map(count_docstring_lines, nodes))
    assert n_lines <= MAX_MODULE_LINES


def test_private_modules_of_scikit_learn_have_one_home():
    for path in MODULES:
        if path.name == "_sklearn.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "sklearn."
            ):
                names = [*node.module.split("."), *(a.name for a in node.names)]
                assert not any(name.startswith("_") for name in names), path


def test_files_name_their_license():
    # The package may be installed elsewhere.
    root = Path(__file__).parents[1]
    folders = "tests", "examples", "docs/benchmarks", "docs/_ext", ".ci"
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    assert files
    for path in [*MODULES, *files]:
        text = path.read_text()
        assert not text or text.startswith(
            "# SPDX-License-Identifier: BSD-3-Clause\n"
        ), path
