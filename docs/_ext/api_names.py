# SPDX-License-Identifier: BSD-3-Clause
"""Names on the API pages: entries of api.rst, and members that a page describes."""

import inspect
import re
from importlib import import_module
from pathlib import Path

from sklearn.base import BaseEstimator

from sklearn_gmmcf.covariance import Family

PACKAGE = "sklearn_gmmcf"
API_PAGE = Path(__file__).parents[1] / "api.rst"
# Every estimator of scikit-learn has them; here they differ in nothing.
_PLUMBING = {"get_params", "set_params"}
_ENTRY = re.compile(r"^ {3}([\w.]+)$", re.MULTILINE)
# A class attribute below a comment that Sphinx shows.
_DESCRIBED = re.compile(r"^(?: {4}#:.*\n)+ {4}(\w+):", re.MULTILINE)


def list_entries():
    """Full names in the tables of api.rst."""
    tables = re.findall(
        r"^\.\. autosummary::\n(.*?)^(?=\S|\Z)", API_PAGE.read_text(), re.M | re.S
    )
    return [f"{PACKAGE}.{name}" for table in tables for name in _ENTRY.findall(table)]


def find(name):
    """The object of a full name."""
    parts = name.split(".")
    for n_parts in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n_parts]))
        except ImportError:
            continue
        for part in parts[n_parts:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def list_methods(cls):
    """Methods that the page of a class describes; families have those of Family."""
    if issubclass(cls, Family) and cls is not Family:
        return []
    return [
        name
        for name in _list_public(cls)
        if _is_own(getattr(cls, name)) and name not in _PLUMBING
    ]


def list_inherited(cls):
    """Methods of an estimator that scikit-learn describes."""
    if not issubclass(cls, BaseEstimator):
        return []
    own = list_methods(cls)
    callables = [name for name in _list_public(cls) if callable(getattr(cls, name))]
    return [name for name in callables if name not in own]


def list_attributes(cls):
    """Attributes with a description of their own: properties, and class attributes."""
    described = set(_DESCRIBED.findall(inspect.getsource(cls)))
    if not issubclass(cls, Family) or cls is Family:
        described |= {
            name
            for name in _list_public(cls)
            if isinstance(inspect.getattr_static(cls, name), property)
        }
    return sorted(described)


def describe_pages():
    """Members on the page of each class, for the templates of autosummary."""
    pages = {}
    for name in list_entries():
        cls = find(name)
        if inspect.isclass(cls) and not issubclass(cls, Warning):
            pages[name] = {
                "methods": list_methods(cls),
                "inherited": list_inherited(cls),
                "attributes": list_attributes(cls),
                "is_family": issubclass(cls, Family) and cls is not Family,
            }
    return pages


def _list_public(cls):
    return [name for name in dir(cls) if not name.startswith("_")]


def _is_own(value):
    return callable(value) and value.__module__.startswith(PACKAGE)
