# SPDX-License-Identifier: BSD-3-Clause
"""The ranking of docs/check_search.py: scores by hand from Sphinx's searchtools.js."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "check_search.py"
INDEX = {
    "docnames": ["serve", "zoo", "cluster"],
    "titles": ["Save and serve", "Model zoo", "Cluster"],
    "alltitles": {
        "Save and serve": [[0, None]],
        "Model zoo": [[1, None]],
        "Cluster": [[2, None]],
        "Outliers": [[2, "outliers"]],
    },
    "terms": {"save": [0, 1], "model": [0, 1, 2], "outlier": [0, 2], "start": [0, 2]},
    "titleterms": {"save": 0, "model": [1], "zoo": 1, "cluster": 2},
    "indexentries": {
        "cold start": [[1, "index-0", True]],
        "zoo model": [[1, "index-2", True]],
        "outlier test": [[1, "index-1", False]],
    },
    "objects": {"lib": [[2, 1, 1, "", "Cluster"]]},
    "objnames": {"1": ["py", "class", "Python class"]},
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_search", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("query", "results"),
    [
        # Titles before texts: 15 and 5.
        ("save", [("serve", "Save and serve"), ("zoo", "Model zoo")]),
        # All words must match. Both pages have a word in their title: by name.
        ("Save models", [("zoo", "Model zoo"), ("serve", "Save and serve")]),
        ("save cluster", []),
        (
            "models and 10 outliers",
            [("cluster", "Cluster"), ("serve", "Save and serve")],
        ),
        # 13 of a heading that contains the search, 5 of texts; entries of the index
        # that are not main ones come last, though this one has 58.
        (
            "outlier",
            [
                ("cluster", "Cluster > Outliers"),
                ("cluster", "Cluster"),
                ("serve", "Save and serve"),
                ("zoo", "Model zoo"),
            ],
        ),
        # 100 of a main entry of the index, 50 of half of it.
        ("cold start", [("zoo", "Model zoo")]),
        (
            "start",
            [
                ("zoo", "Model zoo"),
                ("cluster", "Cluster"),
                ("serve", "Save and serve"),
            ],
        ),
        # An entry and a text are two results.
        ("zoo model", [("zoo", "Model zoo"), ("zoo", "Model zoo")]),
        # 16 of the title, 16 of the class, by name.
        ("cluster", [("cluster", "Cluster"), ("cluster", "lib.Cluster")]),
        # 7 of a part of a title, 11 of a part of the class: 6 + 5.
        ("luster", [("cluster", "Cluster"), ("cluster", "lib.Cluster")]),
    ],
)
def test_results_are_ranked_as_by_sphinx(script, query, results):
    found = script.rank(INDEX, query, lambda word: word.rstrip("s"), ["and"])
    assert found == results


def test_searches_that_miss_their_page_are_named(script, tmp_path, monkeypatch, capsys):
    pytest.importorskip("snowballstemmer")
    (tmp_path / "_static").mkdir()
    language = 'const stopwords = new Set(["and", "the"]);'
    (tmp_path / "_static" / "language_data.js").write_text(language)
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(INDEX)})")
    monkeypatch.setattr(script, "N_RESULTS", 1)
    found = {"saving the models": "zoo", "outlier": "cluster"}
    monkeypatch.setattr(script, "EXPECTED", found)
    assert script.main(tmp_path) == 0
    monkeypatch.setattr(script, "EXPECTED", {**found, "save": "zoo"})
    assert script.main(tmp_path) == 1
    assert capsys.readouterr().out == "save: serve (Save and serve), zoo (Model zoo)\n"
