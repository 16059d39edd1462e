# SPDX-License-Identifier: BSD-3-Clause
"""The examples run, and print the expected numbers."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *arguments):
    command = [sys.executable, "-W", "error", EXAMPLES / name, *arguments]
    return subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"MPLBACKEND": "agg"},
    ).stdout


def errors(printed):
    return {
        name: float(value)
        for name, value in re.findall(r"^ *(.*): RMSE ([\d.]+)", printed, re.MULTILINE)
    }


@pytest.mark.slow
def test_complete_ratings():
    printed = run("complete_ratings.py")
    rmse = errors(printed)
    assert rmse["four types"] < 0.92 * rmse["means of the items"]
    assert rmse["four types in a space of tastes"] < 0.94 * rmse["four types"]
    assert printed.count("% of users") == 4
    assert len(re.findall(r"item \d+, [\d.]+ \+- [\d.]+", printed)) == 3


@pytest.mark.slow
def test_complete_ratings_of_a_file(tmp_path):
    path = tmp_path / "ratings.csv.gz"
    rng = np.random.default_rng(0)
    with gzip.open(path, "wt") as file:
        file.write("user,item,rating,when\n")
        for user in range(60):
            for item in rng.choice(30, 12, replace=False):
                rating = 4 if (user + item) % 2 else 2
                file.write(f"u{user},i{item},{rating},0\n")
    rmse = errors(run("complete_ratings.py", path))
    assert rmse["four types in a space of tastes"] < 0.5 * rmse["means of the items"]


@pytest.mark.slow
def test_complete_ratings_of_movielens(data_file):
    rmse = errors(
        run("complete_ratings.py", data_file("ml-latest-small/ratings.csv.gz"))
    )
    assert rmse["means of the items"] == pytest.approx(1.0, abs=5e-4)
    assert rmse["four types in a space of tastes"] < 0.87 < rmse["four types"]


@pytest.mark.slow
def test_impute_table():
    printed = run("plot_impute_table.py")
    rmse = {
        name.strip(): float(value)
        for name, value in re.findall(
            r"^(.*): ([\d.]+)  [\d.]+$", printed, re.MULTILINE
        )
    }
    assert rmse["MixtureImputer"] < 0.9 * rmse["IterativeImputer"]
    assert rmse["IterativeImputer"] < rmse["KNNImputer"] < rmse["column means"]
    inside = int(re.search(r"intervals contain (\d+)%", printed)[1])
    assert 86 <= inside <= 94


@pytest.mark.slow
def test_impute_frame():
    printed = run("plot_impute_frame.py")
    assert "entries missing: 0\nobserved entries unchanged: True\n" in printed
    pattern = r"^ *([\w ]+): +([\d.]+) +([\d.]+) +[\d.]+(?: +([\d.]+)  (\d+)%)?$"
    rows = {name: row for name, *row in re.findall(pattern, printed, re.MULTILINE)}
    assert len(rows) == 9
    for name, (baseline, error, std, inside) in rows.items():
        if name == "smokes":  # unrelated to all other columns
            continue
        assert float(error) < 0.9 * float(baseline)
        if std:
            assert 0.75 < float(error) / float(std) < 1.3
            assert int(inside) >= 85
    alone, both = (float(x) for x in re.findall(r"intervals ([\d.]+)$", printed, re.M))
    assert both > 1.4 * alone
    sure, right = re.search(r"chosen ward (\d+)%, right in (\d+)%", printed).groups()
    assert abs(int(sure) - int(right)) <= 8


@pytest.mark.slow
def test_survey():
    printed = run("plot_survey.py")
    pattern = r"^ *(.*): (\d+)% exactly, (\d+)% within one$"
    right = {
        name: (int(exact), int(near))
        for name, exact, near in re.findall(pattern, printed, re.MULTILINE)
    }
    *others, ours = right.values()
    assert len(others) == 3
    assert ours[0] > max(exact for exact, _ in others) + 2
    assert ours[1] > max(near for _, near in others)
    rmse = errors(printed.replace(" of the score", ""))
    assert rmse["round=False"] < rmse["MixtureImputer"] < rmse["KNNImputer"]
    inside = int(re.search(r"intervals contain (\d+)%", printed)[1])
    assert 86 <= inside <= 94


@pytest.mark.slow
def test_sensors():
    printed = run("plot_sensors.py")
    pattern = r"(gaps|outages): RMSE ([\d.]+), 90 % intervals contain (\d+)%"
    found = [
        (float(rmse), int(inside)) for _, rmse, inside in re.findall(pattern, printed)
    ]
    (gap, _), (outage, _), _, _, lagged_gap, lagged_outage = found
    assert lagged_gap[0] < 0.4 * gap
    assert lagged_outage[0] < 0.3 * outage
    assert all(86 <= inside <= 95 for _, inside in (lagged_gap, lagged_outage))
    lines = re.findall(r"neighbors, \w+: RMSE ([\d.]+)", printed)
    assert lagged_gap[0] < 0.7 * float(lines[0])
    assert lagged_outage[0] < 1.25 * float(lines[1])


@pytest.mark.slow
def test_row_normalization():
    printed = run("plot_row_normalization.py")
    pattern = r"^ *(\w+): spherical ([\d. ]+), 'factor' ([\d.]+), .*types ([\d.]+)$"
    found = {
        name: ([float(error) for error in errors.split()], float(factor), float(types))
        for name, errors, factor, types in re.findall(pattern, printed, re.MULTILINE)
    }
    (raw, _, by_scale), (centered, *_), (normalized, factor, by_type) = found.values()
    assert list(found) == ["raw", "centered", "normalized"]
    assert (np.divide(normalized, centered)[2:] < 0.95).all()
    assert (np.divide(centered, raw) < 0.9).all()
    assert factor < 0.8 * min(normalized)
    assert by_type > 0.5 > 0.25 > by_scale


@pytest.mark.slow
def test_multiple_imputation():
    printed = run("plot_multiple_imputation.py")
    found = {
        name: (float(bias), int(covered))
        for name, bias, covered in re.findall(
            r"^ *(.*): bias ([-+.\d]+), (\d+) of 100", printed, re.MULTILINE
        )
    }
    assert found["completed once"][1] < 50
    assert found["fitted draws"][1] < 92 <= found["posterior draws"][1] <= 99
    assert abs(found["posterior draws"][0]) < 0.03 < abs(found["complete rows"][0])


@pytest.mark.slow
def test_stream_ratings():
    printed = run("plot_stream_ratings.py")
    new, later = (
        [float(x) for x in re.findall(rf"{label} ([\d.]+)$", printed, re.MULTILINE)]
        for label in ("RMSE of others", "RMSE")
    )
    assert new == sorted(new, reverse=True)
    assert new[-1] < 0.85 * new[0]
    *streamed, fitted = later
    assert streamed == sorted(streamed, reverse=True)
    assert fitted < streamed[0]
    assert streamed[-1] < 1.01 * fitted


@pytest.mark.slow
def test_features_of_movies(data_file):
    folder = data_file("ml-latest-small/ratings.csv.gz").parent
    printed = run("../docs/benchmarks/hybrid_features.py", folder)
    table = printed[printed.index("RMSE on held-out ratings") :].splitlines()[1:]
    rmse = {
        name.strip(): [float(value) for value in values.split()]
        for name, values in (line.split(":") for line in table)
    }
    for features in ("year", "genres", "both"):
        assert (np.divide(rmse[features], rmse["none"]) < 1).all()
    for features in ("genres", "both"):
        everywhere, without_rating, _ = np.divide(rmse[features], rmse["none"])
        assert everywhere < 0.997
        assert without_rating < 0.97


def test_readme():
    pytest.importorskip("pandas", exc_type=ImportError)
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    found = []
    for block in blocks:
        names = {}
        exec(block, names)
        found.append(names)
    tables, frames, ratings = found
    assert tables["mixture"].converged_
    assert list(ratings["users"]) == [7, 7, 7]
    assert 7 in ratings["recommender"].users_
    assert frames["frame"].isna().sum().sum() == 2
    assert not frames["completed"].isna().any(axis=None)
