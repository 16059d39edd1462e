# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of docs/benchmarks: their titles, their dots, and nothing cut off."""

import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

DOCS = Path(__file__).parents[1] / "docs"
SCRIPTS = DOCS / "benchmarks"
RESULTS = SCRIPTS / "results"
if not SCRIPTS.exists():
    pytest.skip("docs are not shipped here", allow_module_level=True)


@pytest.fixture(scope="module")
def dot_plots():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("dot_plots")
    for name in {path.stem for path in SCRIPTS.glob("*.py")}:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def figures(dot_plots):
    return {name: draw(RESULTS) for name, draw in dot_plots.PICTURES.items()}


def read(name):
    """(cell, result) of a file of results, by a plain reading of its columns."""
    for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"]:
        columns = row["results"]
        for n in range(len(next(iter(columns.values())))):
            varying = {key: values[n] for key, values in row["varying"].items()}
            result = {key: values[n] for key, values in columns.items()}
            yield row["cell"] | varying, result


def dots(axes):
    """Values and colors of the rows of dots, from the top."""
    found = []
    for collection in axes.collections:
        x, y = np.transpose(np.asarray(collection.get_offsets()))
        color = to_hex(collection.get_facecolor()[0][:3])
        found.append((np.median(y).round(), sorted(x), color))
    return found


def test_pictures_are_whole_and_shown(figures):
    for name, figure in figures.items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        assert re.search(r"\d", figure.get_label()), name
        width, height = canvas.get_width_height()
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text():
                box = text.get_window_extent()
                assert -1 < box.x0 < box.x1 < width + 1, (name, text.get_text())
                assert -1 < box.y0 < box.y1 < height + 1, (name, text.get_text())
        for axes in figure.axes:
            low, high = axes.get_xlim()
            assert all(low <= x[0] <= x[-1] <= high for _, x, _ in dots(axes)), name
            labels = [label.get_text() for label in axes.get_xticklabels()]
            assert len(set(labels)) == len(labels)
    pages = [DOCS / "benchmarks.rst", *SCRIPTS.glob("*.rst")]
    shown = {n for p in pages for n in re.findall(r"dot-plot:: (\S+)", p.read_text())}
    assert shown == set(figures)


def test_titles_tell_the_results(dot_plots, figures):
    title = {name: figure.get_label() for name, figure in figures.items()}
    errors = {}
    reported = importlib.import_module("table_data").REPORTED_ON
    for cell, result in read("tables"):
        if cell["table"] in reported and result.get("rmse"):
            for condition, rmse in zip(cell["conditions"], result["rmse"], strict=True):
                key = cell["table"], *condition
                errors.setdefault(key, {})[cell["model"]] = rmse
    ratios = []
    for by_model in errors.values():
        own = by_model.pop("MixtureImputer")
        by_model = {m: e for m, e in by_model.items() if not m.startswith("full")}
        ratios.append(own / min(e for e in by_model.values() if e is not None))
    near = sum(ratio <= 1.02 for ratio in ratios)
    assert f" {near} of {len(ratios)} cells" in title["tables"]
    assert f"worst cell is {100 * max(ratios) - 100:.0f} %" in title["tables"]
    for name, label in dot_plots.SETS.items():
        by_fold = {}
        for cell, result in read(f"ratings-{name}"):
            if result.get("rmse"):
                by_fold.setdefault(cell["fold"], {})[cell["model"]] = result["rmse"]
        relative = {}
        for by_model in by_fold.values():
            for model, rmse in by_model.items():
                if "ours" not in model and model != "KMeansMixture":
                    ratio = rmse / by_model["ours, factor"]
                    relative.setdefault(model, []).append(ratio)
        lead = min(sum(values) / len(values) for values in relative.values())
        assert f"{100 * lead - 100:.1f} % ({label})" in title["ratings"]
    true = {"ratings, K=4": 4, "table, K=3": 3, "ratings": 4, "table": 3}
    hits = Counter()
    for cell, result in read("choosing-k"):
        hits[cell["method"]] += result["chosen"] == true[cell["data"]]
    assert f"{hits['bic']} of 20 draws" in title["choosing-k"]
    assert title["choosing-k"].endswith(f"the ICL in {hits['icl']}")
    ndcg = {c["model"]: r["ndcg"] for c, r in read("ranking") if c["split"] != "global"}
    for model in ("ours, factor, by utility", "ours, factor, by value", "popularity"):
        assert f"{ndcg[model]:.3f}" in title["ranking"]
    assert ndcg["ours, factor, by value"] < ndcg["popularity"]
    ours = next(r for c, r in read("scale") if c.get("kind") == "ours")
    libmf = next(r for c, r in read("scale") if c.get("kind") == "libmf")
    assert f"ends at {ours['errors'][-1]:.3f}" in title["course"]
    assert f"lowest error, {min(libmf['errors']):.3f}" in title["course"]


def test_dots_are_the_results(dot_plots, figures):
    axes = figures["ranking"].axes[0]
    ndcg = {c["model"]: r["ndcg"] for c, r in read("ranking") if c["split"] != "global"}
    ours = sorted((v for m, v in ndcg.items() if "ours" in m), reverse=True)
    others = sorted((v for m, v in ndcg.items() if "ours" not in m), reverse=True)
    found = dots(axes)
    assert [x for _, (x,), _ in found] == pytest.approx(ours + others)
    colors = [dot_plots.ACCENT] * len(ours) + [dot_plots.MUTED] * len(others)
    assert [color for *_, color in found] == colors


def test_rows_of_dots(dot_plots):
    rows = [
        dot_plots.Row("peer", ([2.0, np.nan, 4.0, 3.0, 9.0],)),
        dot_plots.Row("failed", ("not done",)),
        dot_plots.Row("ours", ([5.0, 6.0],), True, ("5.5",)),
        dot_plots.Row("best peer", (np.linspace(1, 3, 21),)),
    ]
    rows = dot_plots.sort(rows)
    assert [row.label for row in rows] == ["ours", "best peer", "peer", "failed"]
    panel = dot_plots.Panel("x", (1, 5), (1, 5), log=True, line=1)
    figure = dot_plots.draw("A long title " * 9, [panel], rows, gaps=(1,), room=0.2)
    (axes,) = figure.axes
    assert dots(axes) == [
        (0, [5.0, 6.0], dot_plots.ACCENT),
        (1, pytest.approx(np.linspace(1, 3, 21)), dot_plots.MUTED),
        (2, [2.0, 3.0, 4.0, 9.0], dot_plots.MUTED),
    ]
    # Medians are drawn from three dots on; the limits grow with the data.
    vertical = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    medians = [line.get_xdata()[0] for line in vertical if line.get_linewidth() == 2]
    assert medians == pytest.approx([2.0, 3.5])
    assert axes.get_xlim()[1] > 9
    assert {"not done", "5.5"} <= {text.get_text() for text in axes.texts}


def test_pictures_are_written_with_their_findings(
    dot_plots, figures, tmp_path, monkeypatch
):
    chosen = {"speed": dot_plots.draw_speed}
    monkeypatch.setattr(dot_plots, "PICTURES", chosen)
    monkeypatch.setattr(sys, "argv", ["dot_plots.py", str(tmp_path / "pictures")])
    dot_plots.main()
    findings = json.loads((tmp_path / "pictures/findings.json").read_text())
    assert findings == {"speed": figures["speed"].get_label()}
    assert (tmp_path / "pictures/speed.svg").read_text().startswith("<?xml")
