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
    assert rmse["full mixture"] < 0.85 * rmse["IterativeImputer"]
    assert rmse["IterativeImputer"] < rmse["KNNImputer"] < rmse["column means"]
    inside = int(re.search(r"intervals contain (\d+)%", printed)[1])
    assert 88 <= inside <= 96


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
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        names = {}
        exec(block, names)
        assert names["mixture"].converged_
