# SPDX-License-Identifier: BSD-3-Clause
"""Every public name is on the API page, and is described there with examples."""

import inspect
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401

import sklearn_gmmcf
from sklearn_gmmcf.covariance import Family

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

from api_names import (  # noqa: E402
    API_PAGE,
    find,
    list_attributes,
    list_entries,
    list_methods,
)

# Rooms of the package that are not public, beside those that begin with "_".
PRIVATE = {"app", "data"}
# numpydoc's errors that are none here: a single return value has a name, as in
# scikit-learn; examples and lists of pages need no extended summary.
IGNORED = {"RT02", "ES01"}
ENTRIES = list_entries()
CLASSES = [name for name in ENTRIES if inspect.isclass(find(name))]
WARNINGS = [name for name in CLASSES if issubclass(find(name), Warning)]
METHODS = [
    f"{name}.{method}"
    for name in CLASSES
    if name not in WARNINGS
    for method in list_methods(find(name))
]
CALLABLES = [name for name in ENTRIES if name not in WARNINGS] + METHODS
# Methods that an author of a family writes, and nobody calls: the example of the class
# has those that are needed.
WRITTEN = {f"sklearn_gmmcf.covariance.Family.{name}" for name in list_methods(Family)}

FOREIGN = r"(?:sklearn|scipy|numpy)(?:\.\w+)+"
ROLE = re.compile(rf":\w+:`(?:[^`<]*<)?[~!]?({FOREIGN})>?`")


def list_public():
    """Full names in the `__all__` of each public module."""
    modules = [sklearn_gmmcf] + [
        import_module(f"sklearn_gmmcf.{module.name}")
        for module in iter_modules(sklearn_gmmcf.__path__)
        if not module.name.startswith("_") and module.name not in PRIVATE
    ]
    return [
        f"{module.__name__}.{name}"
        for module in modules
        for name in getattr(module, "__all__", [])
    ]


def read_see_also(doc):
    """Names in the See Also section of a docstring."""
    section = re.search(r"^See Also\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", doc, re.M | re.S)
    if section is None:
        return []
    names = re.findall(r"^(\S.*?)(?: :.*)?$", section[1], re.M)
    return [name for line in names for name in line.split(", ")]


def test_api_page_has_every_public_name():
    listed = ENTRIES + [
        f"sklearn_gmmcf.{name}"
        for name in re.findall(
            r"^\.\. py:\w+:: ([\w.]+\.\w+)$", API_PAGE.read_text(), re.M
        )
    ]
    assert len(listed) == len(set(listed))
    objects = [find(name) for name in listed]
    missing = [
        name
        for name in list_public()
        if not any(find(name) is listed_object for listed_object in objects)
    ]
    assert not missing
    # Nor has it others, which no `__all__` names.
    public = [*list_public(), "sklearn_gmmcf.persistence.TRUSTED_TYPES"]
    assert set(listed) <= set(public)


@pytest.mark.parametrize("name", CALLABLES)
def test_has_examples_and_see_also(name):
    doc = inspect.getdoc(find(name))
    assert re.search(r"^See Also\n--------$", doc, re.M), "no See Also section"
    if name not in WRITTEN:
        assert re.search(r"^Examples\n--------$(?s:.*)^>>> ", doc, re.M), "no example"


@pytest.mark.parametrize("name", CALLABLES + WARNINGS)
def test_see_also_resolves(name):
    scope = name
    for see_also in read_see_also(inspect.getdoc(find(name))):
        scopes = ["", *(f"{scope.rsplit('.', n)[0]}." for n in range(3))]
        found = False
        for prefix in scopes:
            try:
                found = find(f"{prefix}{see_also}") is not None
            except (ImportError, AttributeError):
                continue
            break
        assert found, see_also


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_of_a_page_are_described(name):
    cls = find(name)
    for attribute in list_attributes(cls):
        value = inspect.getattr_static(cls, attribute)
        if isinstance(value, property):
            assert inspect.getdoc(value.fget)


def test_warnings_say_when_and_the_way_out():
    for name in WARNINGS:
        summary, *rest = inspect.getdoc(find(name)).split("\n\n")
        assert summary.endswith(".")
        assert rest or find(name) is sklearn_gmmcf.DataWarning


@pytest.mark.parametrize("name", CALLABLES)
def test_numpydoc(name):
    numpydoc = pytest.importorskip("numpydoc.validate")
    ignored = IGNORED | ({"EX01"} if name in WRITTEN else set())
    errors = numpydoc.validate(name)["errors"]
    assert not [error for error in errors if error[0] not in ignored]


def test_other_projects_are_linked_by_public_paths():
    targets = set()
    for folder, pattern in [
        ("sklearn_gmmcf", "**/*.py"),
        ("examples", "*/*.py"),
        ("docs", "*.rst"),
        ("docs/guide", "*.rst"),
        ("docs/benchmarks", "*.rst"),
    ]:
        for path in (ROOT / folder).glob(pattern):
            targets |= set(ROLE.findall(path.read_text(encoding="utf-8")))
    for name in CALLABLES + WARNINGS:
        see_also = read_see_also(inspect.getdoc(find(name)))
        targets |= {each for each in see_also if re.fullmatch(FOREIGN, each)}
    assert len(targets) > 10
    if find_spec("sklearn.callback") is None:  # before scikit-learn 1.9
        targets -= {
            target for target in targets if target.startswith("sklearn.callback")
        }
    for target in targets:
        assert not any(part.startswith("_") for part in target.split("."))
        assert find(target) is not None
