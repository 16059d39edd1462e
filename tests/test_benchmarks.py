"""The machinery of docs/benchmarks: what it hides, keeps, resumes and reports."""

import importlib
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "docs/benchmarks"
if not SCRIPTS.exists():
    pytest.skip("docs are not shipped here", allow_module_level=True)

STUB = """
import sys, time
sys.path.insert(0, {folder!r})
from cells import parser, work

def measure(what):
    with open({log!r}, "a") as log:
        log.write(what + "\\n")
    if what == "fails":
        raise RuntimeError("the peer is broken")
    if what == "sleeps":
        time.sleep(60)
    return {{"value": 2.5}}

work(parser("A stub.").parse_args().cell, measure)
"""


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module
    for name in ("cells", "ratings", "tables", "speed", "timing", "choosing_k"):
        sys.modules.pop(name, None)


def test_cells_are_kept_resumed_and_fail_in_their_row(scripts, tmp_path):
    run = scripts("cells")
    script, log = tmp_path / "stub.py", tmp_path / "log"
    script.write_text(STUB.format(folder=str(SCRIPTS), log=str(log)))
    cells = [{"what": what} for what in ("works", "fails", "sleeps")]
    options = Namespace(results=tmp_path, only="", retry=False, limit=None)

    def go():
        def limits(cell):
            return 0.8 if cell["what"] == "sleeps" else 60

        return run.run("stub", script, cells, options, limits=limits)

    results = [result for _, result in go()]
    assert results[0] == {"value": 2.5}
    assert results[1] == {"failed": "RuntimeError: the peer is broken"}
    assert results[2] == {"failed": "not done in 1 s"}
    first = log.read_text().split()
    assert first[:2] == ["works", "fails"]
    assert [result for _, result in go()] == results
    assert log.read_text().split() == first  # none was run again
    options.retry, options.only = True, "fails"
    go()
    assert log.read_text().split() == [*first, "fails"]  # only what failed
    kept = json.loads((tmp_path / "stub.json").read_text())["cells"]
    assert [entry["cell"] for entry in kept] == cells
    of_cell = kept[0]["environment"]
    assert of_cell["versions"]["numpy"] == np.__version__
    assert {"cpu", "commit", "threads"} <= set(of_cell)
    # Another setting is another cell.
    options.only = "other"
    cells.append({"what": "other"})
    assert go()[-1] == ({"what": "other"}, {"value": 2.5})


def test_table_is_a_fragment(scripts, tmp_path, capsys):
    run = scripts("cells")
    options = Namespace(results=tmp_path)
    run.write_table("some", "A title", ["a", "b"], [["x", 1], ["y", ""]], options)
    assert "A title" in capsys.readouterr().out
    lines = (tmp_path / "some.rst").read_text().splitlines()
    assert lines[0] == ".. list-table:: A title"
    assert lines[3:] == [
        "   * - a", "     - b", "   * - x", "     - 1", "   * - y", "     - ",
    ]  # fmt: skip


def write_movielens(folder):
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(20 * 12)[:100], 12)
    ratings = np.stack([users + 1, 5 * items + 2, rng.integers(1, 6, 100)], axis=1)
    for name in ("ml-100k", "ml-1m", "ml-10M100K"):
        (folder / name).mkdir()
    for fold, test in enumerate(np.array_split(np.arange(100), 5), 1):
        train = np.setdiff1d(np.arange(100), test)
        for part, chosen in (("base", train), ("test", test)):
            lines = ["\t".join(map(str, [*row, 0])) for row in ratings[chosen]]
            path = folder / f"ml-100k/u{fold}.{part}"
            path.write_text("\n".join(lines) + "\n")
    lines = "\n".join("::".join(map(str, [*row, 0])) for row in ratings)
    (folder / "ml-1m/ratings.dat").write_text(lines + "\n")
    (folder / "ml-10M100K/ratings.dat").write_text(lines + "\n")
    return ratings


def test_sets_and_splits_of_the_literature(scripts, tmp_path):
    ratings = scripts("ratings")
    written = write_movielens(tmp_path)
    known = {tuple(row) for row in written}
    names = [name for name in ratings.SETS if ratings.present(tmp_path, name)]
    assert names == ["ml-100k", "ml-1m", "ml-10m"]
    ids, columns = (np.unique(written[:, c]) for c in (0, 1))
    for name in names:
        rows, cols, values, bounds, splits = ratings.read(tmp_path, name)
        tested = []
        for train, test in splits:
            entries = set(
                zip(ids[rows], columns[cols], values.astype(int), strict=True)
            )
            assert entries == known
            together = np.concatenate([train, test])
            assert len(set(zip(rows[together], cols[together], strict=True))) == 100
            assert len(test) == (20 if name == "ml-100k" else 10)
            tested.append({*zip(rows[test], cols[test], strict=True)})
        assert bounds[1] == 5
        if name == "ml-100k":
            assert len(set.union(*tested)) == 100
    of_ten_million = [c for c in ratings.cells(tmp_path) if c["set"] == "ml-10m"]
    assert {cell["fold"] for cell in of_ten_million} == {0}


@pytest.mark.filterwarnings("ignore")
def test_a_cell_of_ratings(scripts, tmp_path, monkeypatch, capsys):
    ratings = scripts("ratings")
    write_movielens(tmp_path)

    def measure(model, kind, settings):
        return ratings.measure(tmp_path, "ml-1m", model, kind, 0, settings)

    mean = measure("column mean", "column_mean", {})
    _, columns, values, _, splits = ratings.read(tmp_path, "ml-1m")
    train, test = splits[0]
    expected = [
        values[train][columns[train] == column].mean() for column in columns[test]
    ]
    error = np.sqrt(np.mean((np.clip(expected, 1, 5) - values[test]) ** 2))
    assert mean["rmse"] == pytest.approx(error, rel=1e-12)
    damped = measure("damped offsets", "offsets", {"damping": [1, 1e9]})
    assert damped["chosen"]["damping"] in (1, 1e9)
    far = measure("damped offsets", "offsets", {"damping": 1e12})
    constant = np.sqrt(np.mean((values[train].mean() - values[test]) ** 2))
    assert far["rmse"] == pytest.approx(constant, rel=1e-6)
    settings = {"n_components": 2, "covariance_type": "factor", "n_factors": 2}
    settings["random_state"] = 0
    mixture = measure("ours, factor", "ours", settings)
    assert 0 <= mixture["coverage"] <= 1
    assert mixture["log_density"] < 0
    assert measure("ours, factor", "ours", settings)["rmse"] == mixture["rmse"]
    monkeypatch.setattr(ratings.importlib.util, "find_spec", lambda name: None)
    absent = measure("myFM", "myfm", {})
    assert absent == {"failed": "myfm is not installed"}
    results = [
        ({"set": "ml-1m", "model": model, "fold": 0}, result)
        for model, result in [
            ("column mean", mean),
            ("ours, factor", mixture),
            ("myFM, rank 10, 200 sweeps", absent),
        ]
    ]
    ratings.tabulate("ml-1m", results, Namespace(results=tmp_path))
    text = (tmp_path / "ratings-ml-1m.rst").read_text()
    assert f"{mean['rmse']:.4f}" in text
    assert f"{mean['rmse'] / mixture['rmse']:.3f}" in text
    assert "myfm is not installed" in text
    capsys.readouterr()


@pytest.mark.filterwarnings("ignore")
def test_tables(scripts, tmp_path, capsys, monkeypatch):
    tables = scripts("tables")
    X, _ = tables.read("wine")
    for way in tables.WAYS:
        for share in tables.SHARES:
            hidden = tables.hide(X, share, way, 0)
            assert hidden.mean() == pytest.approx(share, abs=0.04)
            bias = X[hidden].mean() - X[~hidden].mean()
            assert (bias > 0.3) == (way == "by value")
    monkeypatch.setattr(tables, "TABLES", ("linnerud",))
    monkeypatch.setattr(tables, "SHARES", (0.3,))
    results = []
    for cell in tables.cells():
        if cell["model"] in ("mean", "KNNImputer") or "priors" in cell["model"]:
            results.append((cell, tables.measure(**cell)))
    assert len(results) == 6
    cell, result = results[0]
    truth, _ = tables.read("linnerud")
    errors = []
    for draw in range(3):
        hidden = tables.hide(truth, 0.3, cell["way"], draw)
        X = np.where(hidden, np.nan, truth)
        residuals = np.broadcast_to(np.nanmean(X, axis=0), X.shape) - truth
        errors.append(np.sqrt(np.mean(residuals[hidden] ** 2)))
    assert result["rmse"] == pytest.approx(np.mean(errors), rel=1e-12)
    tables.tabulate(results, Namespace(results=tmp_path))
    assert " of 2" in (tmp_path / "tables.rst").read_text()
    capsys.readouterr()


def test_speed_and_choice_of_k_run(scripts, monkeypatch):
    speed, choosing = scripts("speed"), scripts("choosing_k")
    monkeypatch.setattr(speed, "BASE", {"n": 50, "d": 20, "a_row": 5, "K": 2})
    for case, settings in [
        ("products", {"covariance_type": "diag", "n": 50, "d": 20, "a_row": 5, "K": 2}),
        ("complete", {"covariance_type": "tied", "n": 50, "d": 3, "K": 2}),
        ("growth", {"covariance_type": "spherical", "axis": "K"}),
    ]:
        assert np.isfinite(speed.measure(case, settings)["ratio"])
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in speed.measure("pomegranate", {})["failed"]
    monkeypatch.setattr(choosing, "KS", [1, 3])
    monkeypatch.setattr(choosing, "N_STARTS", 1)
    assert choosing.measure("table", 0, "bic")["chosen"] == 3
    assert choosing.measure("table", 0, "sklearn")["chosen"] == 3
    assert len(list(choosing.cells(None))) == 2 * 7 * 10
