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

from sklearn_gmmcf.datasets import make_ratings

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
    assert rmse["MixtureRecommender"] < 0.87 * rmse["means of the items"]
    assert 88 < float(re.search(r"intervals contain ([\d.]+)%", printed)[1]) < 92
    assert len(re.findall(r"item \d+, [\d.]+ \+- [\d.]+, above", printed)) == 3
    assert len(re.findall(r"as item \d+ was rated \d", printed)) == 6


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
    assert rmse["MixtureRecommender"] < 0.5 * rmse["means of the items"]


@pytest.mark.slow
def test_complete_ratings_of_movielens(data_file):
    rmse = errors(
        run("complete_ratings.py", data_file("ml-latest-small/ratings.csv.gz"))
    )
    assert rmse["means of the items"] == pytest.approx(1.0, abs=5e-4)
    assert rmse["MixtureRecommender"] < 0.87


@pytest.mark.slow
def test_impute_table():
    printed = run("tables/plot_impute_table.py")
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
    printed = run("tables/plot_impute_frame.py")
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
    printed = run("tables/plot_survey.py")
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
    printed = run("tables/plot_sensors.py")
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
    printed = run("ratings/plot_row_normalization.py")
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
    printed = run("tables/plot_multiple_imputation.py")
    found = {
        name: (float(bias), int(covered))
        for name, bias, covered in re.findall(
            r"^ *(.*): bias ([-+.\d]+), (\d+)% contain the truth", printed, re.MULTILINE
        )
    }
    assert found["completed once"][1] < 50
    assert found["fitted draws"][1] < 92 <= found["posterior draws"][1] <= 99
    assert abs(found["posterior draws"][0]) < 0.03 < abs(found["complete rows"][0])


@pytest.mark.slow
def test_digits():
    printed = run("tables/plot_digits.py")
    *others, ours = errors(printed.replace(" on the hidden pixels", "")).values()
    assert len(others) == 2
    assert ours < 0.95 * min(others)
    assert 88 < float(re.search(r"intervals contain ([\d.]+)%", printed)[1]) < 93


@pytest.mark.slow
def test_uncertainty():
    printed = run("tables/plot_uncertainty.py")
    plain, calibrated = map(int, re.findall(r"90 % intervals contain (\d+)%", printed))
    assert plain < 70
    assert 85 <= calibrated <= 95


@pytest.mark.slow
def test_recommend():
    printed = run("ratings/plot_recommend.py")
    found = re.findall(r"(\d+)% of the liked films found", printed)
    ours, by_rating, popularity, chance = map(int, found)
    assert ours > max(by_rating, popularity) + 5
    assert min(by_rating, popularity) > chance + 5
    error, deviation = re.search(
        r"ratings ([\d.]+), of the mean ([\d.]+)", printed
    ).groups()
    assert float(error) < 0.75 * float(deviation)


@pytest.mark.slow
def test_features_of_both_sides():
    printed = run("ratings/plot_features.py")
    found = {
        (name, side): np.array(values.split(), dtype=float)
        for name, side, values in re.findall(
            r"^([\w ]+), (users|items): ([\d. ]+)$", printed, re.MULTILINE
        )
    }
    for side, gain in [("users", 0.92), ("items", 0.93)]:
        ratio = found["with features", side] / found["ratings alone", side]
        assert ratio[0] < gain
        assert (ratio < 1).all()


@pytest.mark.slow
def test_clusters():
    printed = run("clusters/plot_clusters.py")
    found = re.findall(r"^ *[-\w, ]+: ([\d. ]+)$", printed, re.MULTILINE)
    ours, *others = (np.array(values.split(), dtype=float) for values in found)
    assert len(others) == 3
    assert all((ours >= other).all() for other in others)
    assert ours[3] > 2 * others[1][3]
    mixture, k_means = re.findall(r"BIC (\d+), RMSE ([\d.]+)", printed)
    assert int(mixture[0]) < int(k_means[0])
    assert float(mixture[1]) < float(k_means[1])


@pytest.mark.slow
def test_outliers():
    printed = run("clusters/plot_outliers.py")
    gaussian, t = (
        tuple(map(float, pair))
        for pair in re.findall(
            r"RMSE ([\d.]+), mean standard deviation ([\d.]+)", printed
        )
    )
    assert t[0] < 0.7 * gaussian[0]
    assert 0.9 < t[1] / t[0] < 1.2 < gaussian[1] / gaussian[0]
    found, wrong, false = map(
        int,
        re.search(r"(\d+) of (\d+) wrong rows flagged, and (\d+)", printed).groups(),
    )
    assert found == wrong
    assert false <= 5


@pytest.mark.slow
def test_stream_ratings():
    printed = run("scale/plot_stream_ratings.py")
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
    """The code of the three faces runs on a frame with NaN, and on ratings."""
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=(60, 3))
    X[rng.random(X.shape) < 0.2] = np.nan
    made = make_ratings(100, 40, random_state=0).data.tocoo()
    ratings = pd.DataFrame({"user": made.row, "item": made.col, "rating": made.data})
    ratings["user"] = ratings["user"].astype(str).replace("7", "ann")
    given = {"frame": pd.DataFrame(X, columns=list("abc")), "ratings": ratings, "X": X}
    found = {}
    for block in blocks:
        exec(block, found | given, found)
    missing = np.isnan(X)
    assert not found["completed"].isna().any(axis=None)
    assert (found["lower"] <= found["completed"]).all(axis=None)
    assert list(found["found"]["user"]) == ["ann"] * 10
    assert set(found["reasons"]["part"]) >= {"base", "observed"}
    assert np.array_equal(found["std"] > 0, missing)
    assert len(found["labels"]) == len(X)
