# SPDX-License-Identifier: BSD-3-Clause
"""The app that recommends, without a browser and in one."""

import copy
import csv
import gzip
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zlib
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import sparse
from sklearn.utils import Bunch

from sklearn_gmmcf import MaskedGaussianMixture, MixtureImputer
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import hide_entries
from tests.optional import pd

st = pytest.importorskip("streamlit", reason="streamlit is not installed")
from streamlit.components.v2.component_manager import (  # noqa: E402
    BidiComponentManager,
)
from streamlit.testing.v1 import AppTest  # noqa: E402

from sklearn_gmmcf import app as package  # noqa: E402
from sklearn_gmmcf.app import __main__ as launcher  # noqa: E402
from sklearn_gmmcf.app import _limits, _ratings  # noqa: E402
from sklearn_gmmcf.app._table_data import make_houses  # noqa: E402

APP = Path(package.__file__).with_name("_main.py")
DRAW = Figure.savefig


@pytest.fixture(autouse=True)
def quick_pages(monkeypatch):
    """Blank pictures, and no search for components in all installed packages.

    These two take nine tenths of the time of a page.
    """
    monkeypatch.setattr(
        Figure, "savefig", lambda _, file, **options: DRAW(Figure((1, 1)), file)
    )
    monkeypatch.setattr(
        BidiComponentManager,
        "discover_and_register_components",
        lambda *args, **options: None,
    )


def make_app():
    return AppTest.from_file(APP, default_timeout=60).run()


@pytest.fixture
def app():
    app = make_app()
    assert not app.exception
    return app


@pytest.fixture(scope="module")
def made():
    """The ratings that the app makes, the fitted ones, and the held-out ones."""
    ratings = make_ratings(1000, 100, density=0.2, random_state=5)
    ratings.data.data = np.round(ratings.data.data)
    return ratings.data, *hide_entries(ratings.data, random_state=0)


@pytest.fixture(scope="module")
def mixture(made):
    mixture = MaskedGaussianMixture(2, covariance_type="factor", random_state=0)
    return mixture.fit(made[1])


def search(app):
    (box,) = (box for box in app.selectbox if box.label == "Search by name")
    return box


def rate(app, ratings):
    """Search items and rate them; the item that was found last comes first."""
    for name, value in ratings.items():
        search(app).select(name).run()
        assert app.pills[0].label == name
        app.pills[0].set_value(value).run()
    assert not app.exception


def headers(app):
    return [header.value for header in app.subheader]


def make_row(app, ratings):
    """Names in the order of the columns, and a row with the ratings."""
    names = sorted(search(app).options)  # the order of the made-up films
    row = np.full((1, len(names)), np.nan)
    for name, value in ratings.items():
        row[0, names.index(name)] = value
    return names, row


RATINGS = {"The Amber Comet": 5.0, "The Brave Forest": 2.0, "The Jolly Anchor": 4.0}


def test_errors_on_held_out_ratings(app, made, mixture):
    _, X, (rows, columns, values) = made
    shown = [float(x) for x in re.findall(r"\*\*([\d.]+)%?\*\*", app.markdown[0].value)]
    dense = np.where(X.toarray() == 0, np.nan, X.toarray())  # no made rating is 0
    mean_errors = np.nanmean(dense, axis=0)[columns] - values
    predicted, std = mixture.complete(dense, return_std=True)
    errors = predicted[rows, columns] - values
    inside = np.abs(errors) < 1.2816 * std[rows, columns]
    expected = [np.sqrt((errors**2).mean()), np.sqrt((mean_errors**2).mean())]
    np.testing.assert_allclose(shown, [*expected, 100 * inside.mean()], atol=0.051)
    np.testing.assert_allclose(shown[:2], expected, atol=6e-4)
    assert shown[0] < 0.7 * shown[1]


def test_recommendations_follow_each_rating(app, mixture, monkeypatch):
    fits = []
    fit = MaskedGaussianMixture.fit
    monkeypatch.setattr(
        MaskedGaussianMixture, "fit", lambda *a, **k: fits.append(1) or fit(*a, **k)
    )
    tables = [app.table[0].value]
    assert headers(app)[:2] == ["Types of users", "For anybody"]
    assert app.info
    rated = {tables[0]["Item"][0]: 4.0} | RATINGS
    for name, value in rated.items():
        rate(app, {name: value})
        table = app.table[0].value
        assert not table.equals(tables[-1])
        assert len(set(table["Item"])) == 10
        tables.append(table)
    assert not set(rated) & set(table["Item"])
    assert headers(app)[:2] == ["Your type of user", "For you"]
    assert not app.info
    names, row = make_row(app, rated)
    unrated = np.flatnonzero(np.isnan(row))
    entries = np.zeros(len(unrated), dtype=int), unrated
    chances = 1 - mixture.cdf_entries(row, entries, np.full(len(unrated), 3.5))
    best = np.argsort(-chances)[:10]
    assert list(table) == ["Item", "≥ 4", "From", "To"]
    assert table["Item"].tolist() == [names[j] for j in unrated[best]]
    np.testing.assert_allclose(table["≥ 4"], chances[best], rtol=1e-6)
    completed, std = mixture.complete(row, return_std=True)
    middle, half = completed[0, unrated[best]], 1.2816 * std[0, unrated[best]]
    expected = np.clip([middle - half, middle + half], 1, 5).T
    np.testing.assert_allclose(table.iloc[:, 2:].to_numpy(), expected, rtol=1e-6)
    assert (expected < 5).all(axis=1).any()  # not all are clipped
    shares = mixture.predict_proba(row)[0]
    likes = [bar.text for bar in app.get("progress")]
    for k, text in zip(np.argsort(-shares), likes, strict=True):
        others = np.delete(np.arange(2), k)
        rest = mixture.weights_[others] @ mixture.means_[others]
        gap = mixture.means_[k] - rest / mixture.weights_[others].sum()
        liked = ", ".join(names[j] for j in np.argsort(-gap)[:3])
        assert text == f"**Type {k}: {shares[k]:.0%}** likes {liked}"
    app.pills[0].set_value(None).run()  # a rating is taken back
    assert app.table[0].value.equals(tables[-2])
    assert not fits


def test_folding_in_changes_the_model_of_this_visitor_alone(app, mixture):
    assert app.toggle[0].disabled
    initial = app.table[0].value
    rate(app, RATINGS)
    shared = app.table[0].value
    app.toggle[0].set_value(True).run()
    assert not app.table[0].value.equals(shared)
    check_folded(app, mixture, RATINGS)
    # A changed rating takes the place of the one before, and does not count with it.
    rate(app, {"The Jolly Anchor": 1.0})
    check_folded(app, mixture, RATINGS | {"The Jolly Anchor": 1.0})
    rate(app, {"The Jolly Anchor": 4.0})
    check_folded(app, mixture, RATINGS)
    other = make_app()
    assert other.table[0].value.equals(initial)
    assert not other.caption
    app.toggle[0].set_value(False).run()
    assert app.table[0].value.equals(shared)


def check_folded(app, mixture, ratings):
    names, row = make_row(app, ratings)
    folded = copy.deepcopy(mixture).partial_fit(row)
    before, after = mixture.transform(row)[0], folded.transform(row)[0]
    j = np.abs(after - before).argmax()
    message = app.caption[0].value
    assert "your ratings (3)" in message
    assert f"{names[j]}, {before[j]:.3f} to {after[j]:.3f}." in message
    table = app.table[0].value
    items = [names.index(name) for name in table["Item"]]
    entries = np.zeros(len(items), dtype=int), items
    chances = 1 - folded.cdf_entries(row, entries, np.full(len(items), 3.5))
    np.testing.assert_allclose(table["≥ 4"], chances, rtol=1e-6)


def test_items_that_are_likely_chosen_and_good(app, mixture):
    rate(app, RATINGS)
    names, row = make_row(app, RATINGS)
    app.segmented_control[0].set_value("Likely chosen and good").run()
    items = mixture.recommend(row, rank_by="utility", threshold=3.5)[0][0]
    assert app.table[0].value["Item"].tolist() == [names[j] for j in items]
    (box,) = (box for box in app.selectbox if box.label == "Covariance type")
    box.select("diag").run()  # it does not know which items are chosen
    assert not app.exception
    assert not app.segmented_control


def show_choice(box):
    return "none" if box.value is None else box.options[box.index]


def look_closer(app, name):
    (box,) = (box for box in app.selectbox if box.label == "Item")
    box.select(name).run()
    assert not app.exception
    return app.markdown[-1].value


def test_reasons_and_similar_items(app, mixture):
    (box,) = (box for box in app.selectbox if box.label == "Item")
    assert show_choice(box) == app.table[0].value["Item"][0]
    assert app.markdown[-1].value.startswith("Rate items, and the page says")
    rate(app, RATINGS)
    names, row = make_row(app, RATINGS)
    item = names.index("The Hidden Island")
    text = look_closer(app, "The Hidden Island")
    (value,) = mixture.complete(row, entries=([0], [item]))
    assert text.startswith(f"Predicted **{value:.2f}**; all users together **")
    base, *parts = (float(x) for x in re.findall(r"\*\*([-+]?\d\.\d\d)\*\*", text)[1:])
    assert base + sum(parts) == pytest.approx(value, abs=0.03)
    slopes = mixture.explain(row, ([0], [item])).contributions.toarray()[0]
    for name, rating in RATINGS.items():
        part = slopes[names.index(name)]
        word = "Because" if part > 0 else "Although"
        assert f"- {word} you rated {name} {rating:g}: **{part:+.2f}**" in text
    similar, degrees = mixture.similar_items(item, 5)
    table = app.table[1].value
    assert table["Similar items"].tolist() == [names[j] for j in similar]
    np.testing.assert_allclose(table["Similarity"], degrees)
    assert look_closer(app, "The Amber Comet") == "You rated it."


def test_equal_reasons_count_once():
    """Half of the ratings are listed, and all of them have the same weight."""
    n = 2 * _ratings.N_REASONS
    part = sparse.csr_array(np.array([[0.25, -0.25] * _ratings.N_REASONS + [0]]))
    parts = Bunch(
        prediction=np.array([3.0]),
        base=np.array([3.0]),
        contributions=part,
        components=np.zeros(1),
        mask=np.zeros(1),
    )
    mixture = Bunch(explain=lambda row, entries: parts)
    names = np.array([f"Film {j}" for j in range(n + 1)])
    row = sparse.csr_array(np.array([[4.0] * n + [0]]))
    text = _ratings.describe_reasons(mixture, Bunch(names=names), row, n)
    assert text.count("you rated") == _ratings.N_REASONS
    numbers = [float(x) for x in re.findall(r"\*\*([-+]\d\.\d\d)\*\*", text)]
    assert sum(numbers) == part.sum() == 0


def test_types_that_hardly_differ_are_named(app):
    assert not app.caption
    app.slider[0].set_value(4).run()
    words = r"Types \d and \d differ by 0\.[0-2]\d for a typical item, less than half "
    assert re.match(words, app.caption[0].value)
    app.slider[0].set_value(1).run()
    assert not app.caption
    assert not app.get("progress")
    assert not app.exception


def test_download(app, monkeypatch):
    downloads = []
    button = st.download_button

    def keep(label, data, *args, **options):
        downloads.append(data)
        return button(label, data, *args, **options)

    monkeypatch.setattr(st, "download_button", keep)
    rate(app, {"The Amber Comet": 5.0})
    app.download_button[0].click().run()
    assert not app.exception
    lines = list(csv.reader(io.StringIO(downloads[-1])))
    assert lines[0] == ["item", "chance", "prediction", "low_80", "high_80"]
    table = app.table[0].value
    assert [line[0] for line in lines[1:]] == table["Item"].tolist()
    values = np.array([line[1:] for line in lines[1:]], dtype=float)
    np.testing.assert_allclose(values[:, [0, 2, 3]], table.iloc[:, 1:].to_numpy())
    assert (values[:, 2] <= values[:, 1]).all()
    assert (values[:, 1] <= values[:, 3]).all()


def upload(app, text, name="mine.csv"):
    app.radio[0].set_value("A CSV file").run()
    app.file_uploader[0].set_value((name, text.encode(), "text/csv")).run()
    assert not app.exception


def make_lines(delimiter, header):
    rng = np.random.default_rng(0)
    lines = [header] if header else []
    lines.append(delimiter.join(["u0", "only once", "4"]))
    for user in range(60):
        for item in rng.choice(20, 12, replace=False):
            rating = 4 if (user + item) % 2 else 2
            lines.append(delimiter.join([f"u{user}", f"*{item}*", f"{rating}"]))
    return lines


@pytest.mark.parametrize(
    ("delimiter", "header"),
    [
        (";", ""),
        (",", "user,item,rating"),
        ("\t", "a\tb\tc"),
    ],
)
def test_upload(app, delimiter, header):
    lines = make_lines(delimiter, header)
    app.radio[0].set_value("A CSV file").run()
    assert "where the ratings are" in app.info[0].value
    assert not app.error
    upload(app, "\n".join(lines))
    assert not app.error
    assert len(search(app).options) == 21
    rate_me = search(app).options[0]
    search(app).select(rate_me).run()
    assert app.pills[0].label == rate_me.replace("*", r"\*")  # no Markdown
    assert app.pills[0].options == ["2", "4"]
    app.pills[0].set_value(4.0).run()
    parity = int(rate_me.strip("*")) % 2
    best = [name for name in app.table[0].value["Item"] if name != "only once"]
    assert [int(name.strip("*")) % 2 for name in best[:9]] == [parity] * 9


def choose_columns(app):
    return {
        box.label.removeprefix("Column of "): box
        for box in app.selectbox
        if box.label.startswith("Column of ")
    }


def test_columns_are_guessed_from_names_and_can_be_changed(app):
    lines = ["stars,when,movie title,movieId,userId,other"]
    rng = np.random.default_rng(1)
    for user in range(40):
        for item in rng.choice(12, 6, replace=False):
            stars = 5 if (user + item) % 2 else 1
            lines.append(f'{stars},2020,"Film, {item}",{item},{user},{item % 3 + 1}')
    upload(app, "\n".join(lines))
    assert not app.error
    boxes = choose_columns(app)
    assert {label: show_choice(box) for label, box in boxes.items()} == {
        "users": "userId",
        "items": "movieId",
        "ratings": "stars",
        "titles of items": "movie title",
    }
    assert sorted(search(app).options) == sorted(f"Film, {j}" for j in range(12))
    search(app).select("Film, 3").run()
    assert app.pills[0].options == ["1", "5"]
    boxes["titles of items"].select("none").run()
    assert sorted(search(app).options) == sorted(map(str, range(12)))
    choose_columns(app)["ratings"].select("other").run()
    assert not app.error
    search(app).select("3").run()
    assert app.pills[0].options == ["1", "2", "3"]
    choose_columns(app)["ratings"].select("userId").run()
    assert get_error(app).startswith("Users, items and ratings should be in three ")


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("movie,user,rating", ["user", "movie", "rating"]),
        ("a,b,c", ["a", "b", "c"]),
        ("who,book,score", ["who", "book", "score"]),
        ("x1,y1,4", ["Column 1: x1", "Column 2: y1", "Column 3: 4"]),
        ("title,customer,vote", ["customer", "title", "vote"]),
    ],
)
def test_guessed_columns(app, first, columns):
    lines = [f"a{i % 7},b{i % 5},{1 + i % 4}" for i in range(35)]
    upload(app, "\n".join([first, *lines]))
    assert not app.error
    boxes = choose_columns(app)
    assert [show_choice(box) for box in boxes.values()] == [*columns, "none"]


@pytest.mark.parametrize(
    ("ratings", "good", "threshold"),
    [
        ([1, 2, 3, 4, 5], "≥ 4", 3.5),
        ([0.5, 1, 2, 3, 3.5, 4, 4.5, 5], "≥ 4", 3.75),
        ([1, 4, 5, 6, 9, 10], "≥ 6", 5.5),
        ([0, 1], "≥ 1", 0.5),
        (np.linspace(-10, 10, 41), "≥ 2.5", 2.5),
    ],
    ids=["stars", "halves", "ten", "two", "many"],
)
def test_the_good_half_of_the_scale(app, ratings, good, threshold):
    rng = np.random.default_rng(0)
    values = rng.permutation(np.resize(ratings, 200))
    lines = [f"u{i // 5},i{i % 5 + 5 * (i // 5 % 2)},{x}" for i, x in enumerate(values)]
    upload(app, "\n".join(lines))
    assert not app.error
    table = app.table[0].value
    assert list(table)[1] == good
    X = np.full((40, 10), np.nan)
    for i, x in enumerate(values):
        X[i // 5, i % 5 + 5 * (i // 5 % 2)] = x
    order = np.argsort([f"u{i}" for i in range(40)])
    stored = np.where(np.isnan(X), 0, 1)[order]
    held_out = sparse.csr_array((X[order][stored == 1], np.nonzero(stored)), (40, 10))
    X, _ = hide_entries(held_out, random_state=0)
    mixture = MaskedGaussianMixture(2, covariance_type="factor", random_state=0).fit(X)
    empty = sparse.csr_array((1, 10))
    entries = np.zeros(10, dtype=int), np.arange(10)
    chances = 1 - mixture.cdf_entries(empty, entries, np.full(10, threshold))
    np.testing.assert_allclose(table[good], np.sort(chances)[::-1])


def test_bad_upload_names_the_line(app):
    lines = make_lines(",", "user,item,rating")
    for line, fault in [
        ("u1,7,good", "the rating is 'good', not a "),
        ("u1,7", "2 fields, separated by ',', where "),
        (",7,4", "the user is missing"),
    ]:
        bad = "\n".join([*lines[:30], line, *lines[30:]])
        upload(app, bad, "my_file.csv")
        (error,) = app.error
        words = error.value.replace("\\", "")
        assert words.startswith(f"my_file.csv, line 31: {fault}")
        assert not app.table
    upload(app, "\n".join(lines))
    assert not app.error
    assert len(app.table[0].value) > 0


@pytest.fixture
def limit(monkeypatch):
    """Set other limits."""

    def set_limits(**limits):
        for name, value in limits.items():
            monkeypatch.setattr(_limits, name, value)

    return set_limits


def get_error(app):
    assert not app.exception
    (error,) = app.error
    assert not app.table
    return error.value.replace("\\", "")


NAMES = {
    "=1+1": "'=1+1",
    "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0",
    "-2+3": "'-2+3",
    "@SUM(1)": "'@SUM(1)",
    "\tTab": "'\tTab",
    "\uff1dwide": "'\uff1dwide",
    "a;=1+1": "a;=1+1",
    "-2": "-2",
    "+3.5": "+3.5",
    "Alien = 3": "Alien = 3",
}


@pytest.mark.filterwarnings("ignore:Glyph")  # of the tab, in the picture
def test_downloads_run_no_formulas(app, monkeypatch):
    X = sparse.random_array((60, len(NAMES)), density=0.7, format="csr", rng=0)
    X.data = np.ceil(5 * X.data)
    ratings = Bunch(data=X, item_ids=list(NAMES))
    monkeypatch.setattr(
        "sklearn_gmmcf.datasets.load_ratings_csv", lambda path, **options: ratings
    )
    downloads = []
    monkeypatch.setattr(
        st, "download_button", lambda _, data, *a, **k: downloads.append(data)
    )
    upload(app, "ann,names,5\nbob,formulas,3\n")
    assert not app.error
    assert set(app.table[0].value["Item"]) == set(
        NAMES
    )  # the page shows them as they are
    _, *lines = csv.reader(io.StringIO(downloads[-1]))
    assert [line[0] for line in lines] == [NAMES[x] for x in app.table[0].value["Item"]]
    # Where a spreadsheet expects semicolons, no cell is a formula either.
    for cells in csv.reader(io.StringIO(downloads[-1]), delimiter=";"):
        assert not any(cell.startswith("=") for cell in cells)


def write_movielens(folder):
    rng = np.random.default_rng(0)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(40):
        for movie in rng.choice(15, 8, replace=False):
            lines.append(f"{user},{movie},{rng.integers(1, 6)},0")
    (folder / "ratings.csv").write_text("\n".join(lines))
    movies = ["movieId,title,genres", *(f"{j},Movie {j},x" for j in range(15))]
    (folder / "movies.csv").write_text("\n".join(movies))


def test_the_folder_of_the_operator(tmp_path, monkeypatch):
    assert "MovieLens on this server" not in make_app().radio[0].options
    write_movielens(tmp_path)
    monkeypatch.setenv("SKLEARN_GMMCF_APP_FOLDER", str(tmp_path))
    app = make_app()
    app.radio[0].set_value("MovieLens on this server").run()
    assert not app.exception
    assert not app.error
    assert sorted(search(app).options) == sorted(f"Movie {j}" for j in range(15))


def spoil(folder, fault):
    """Make a folder of MovieLens that cannot be read."""
    ratings, titles = (folder / f"{name}.csv" for name in ("ratings", "movies"))
    packed = gzip.compress(ratings.read_bytes())
    compressed = {
        "cut": packed[:-20],
        "damaged": packed[:10] + b"\xff" * 50 + packed[60:],
    }
    if fault == "absent":
        shutil.rmtree(folder)
    elif fault in compressed:
        ratings.unlink()
        (folder / "ratings.csv.gz").write_bytes(compressed[fault])
    elif fault == "no ratings":
        ratings.unlink()
    elif fault == "no movies":
        titles.unlink()
    elif fault == "no titles":
        titles.write_text("movieId\n1\n")
    else:
        ratings.write_bytes(b"\xff" * 50 if fault == "binary" else b"a,b,c\nroot:x:0\n")


@pytest.mark.parametrize(
    "fault",
    ["absent", "cut", "damaged", "no ratings", "no movies", "no titles"]
    + ["binary", "bad line"],
)
def test_faults_of_the_folder_are_for_the_operator(
    fault, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / "secret"
    folder.mkdir()
    write_movielens(folder)
    spoil(folder, fault)
    monkeypatch.setenv("SKLEARN_GMMCF_APP_FOLDER", str(folder))
    app = make_app()
    app.radio[0].set_value("MovieLens on this server").run()
    words = "The ratings on this server cannot be read. Choose other ratings."
    assert get_error(app) == words
    assert "MovieLens on this server: " in caplog.text  # the log has the reason


@pytest.mark.parametrize("asked", ["/etc", "25m", "../secret", ""])
def test_visitors_name_no_folders(asked, app, monkeypatch, tmp_path):
    for name in ("fetch_movielens", "load_movielens"):
        monkeypatch.setattr(f"sklearn_gmmcf.datasets.{name}", pytest.fail)
    app.radio[0].set_value("MovieLens").run()
    assert not app.text_input
    assert app.selectbox[0].options == ["latest-small", "100k", "1m"]
    selectbox = st.selectbox
    monkeypatch.setattr(  # as if the browser sent it
        st, "selectbox", lambda label, *a, **k: asked if label == "Release" else None
    )
    app.run()
    monkeypatch.setattr(st, "selectbox", selectbox)
    messages = [*app.info, *app.error]
    assert [m.value for m in messages] == [
        "Choose in the sidebar where the ratings are\\."
    ]
    assert not app.exception


def test_downloads_that_fail_tell_no_paths(app, monkeypatch, tmp_path):
    def fail(name):
        raise OSError(f"{tmp_path}/ml-{name}.zip is broken.")

    monkeypatch.setattr("sklearn_gmmcf.datasets.fetch_movielens", fail)
    app.radio[0].set_value("MovieLens").run()
    app.selectbox[0].select("1m").run()
    assert get_error(app) == (
        "MovieLens could not be downloaded or read. Try again later, or choose other "
        "ratings."
    )


TIMES = "and this page must answer within seconds. Remove some users or rare items from"


@pytest.mark.parametrize(
    ("limits", "content", "words"),
    [
        (
            {"MAX_MB": 1},
            b"a,b,1\n" * 180_000,
            "my.csv has more than 1 MB, the limit of this page.",
        ),
        (
            {"MAX_RATINGS": 30},
            None,
            f"my.csv has more than 30 ratings, {TIMES} the file.",
        ),
        ({"MAX_USERS": 59}, None, f"my.csv has more than 59 users, {TIMES} the file."),
        ({"MAX_ITEMS": 20}, None, f"my.csv has more than 20 items, {TIMES} the file."),
        (
            {},
            b"a,b,1\n" + b"," * 2001,
            "my.csv, line 2 has more than 2,000 characters.",
        ),
        (
            {"MAX_LINES": 30},
            b"a,b,1\n" + b"\n\r\n\r" * 20,
            "my.csv has more than 30 lines, the limit of this page. Remove blank lines "
            "and some rows from the file.",
        ),
        (
            {},
            b"a,b,1\n" + b"c" * 201 + b",b,1",
            "my.csv, line 2: the user, item, title or rating has more than 200 "
            "characters.",
        ),
        (
            {},
            b'a,b,1\n"' + b"long\n" * 30_000 + b'",b,1',
            "my.csv is no table of text: field larger than field limit (131072).",
        ),
        (
            {},
            b"a,b,1\na,caf\xe9,1",
            "my.csv, line 2 is not text in UTF-8. Save the file as CSV in UTF-8.",
        ),
    ],
    ids=[
        "MB",
        "ratings",
        "users",
        "items",
        "line",
        "lines",
        "field",
        "quotes",
        "UTF-8",
    ],
)
def test_refused_uploads(app, limits, content, words, limit):
    limit(**limits)
    content = content or "\n".join(make_lines(",", "")).encode()
    app.radio[0].set_value("A CSV file").run()
    app.file_uploader[0].set_value(("my.csv", content, "text/csv")).run()
    assert get_error(app) == words


@pytest.mark.parametrize("content", [b"a\n" * 2_000_000, b"," * 4_000_000])
def test_refused_uploads_take_little_memory(app, content, limit):
    limit(MAX_RATINGS=30)
    app.radio[0].set_value("A CSV file").run()
    app.file_uploader[0].set_value(("my.csv", content, "text/csv"))
    tracemalloc.start()
    app.run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert get_error(app).startswith("my.csv")
    assert peak < 8 * len(content)


def test_uploads_within_the_limits(app, limit):
    lines = make_lines(",", "user,item,rating")  # 60 users, 21 items, 721 ratings
    limit(MAX_RATINGS=721, MAX_LINES=722, MAX_USERS=61, MAX_ITEMS=21, MAX_FIELD=9)
    upload(app, "\r".join(lines))  # universal newlines
    assert not app.error
    assert len(app.table[0].value) > 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "The server has too little memory for these data."),
        (
            OSError(28, "No space", "/srv/x"),
            "The server could not read or fit this file.",
        ),
        (EOFError("/srv/x"), "The server could not read or fit this file."),
        (zlib.error("/srv/x"), "The server could not read or fit this file."),
    ],
    ids=repr,
)
def test_faults_of_the_server_during_an_upload(
    app, error, words, monkeypatch, tmp_path
):
    def fail(path, **options):
        assert path.exists()
        raise error

    monkeypatch.setattr("sklearn_gmmcf.datasets.load_ratings_csv", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    upload(app, "u,i,3\nu,j,4\n")
    assert get_error(app).startswith(words)
    assert not list(tmp_path.iterdir())


def test_bad_uploads_leave_no_file_and_tell_no_path(app, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    upload(app, "u,i,3\nu,j,good\n", "../../etc/passwd.csv")
    assert str(tmp_path) not in get_error(app)
    assert "passwd.csv, line 2: the rating is 'good', not a " in get_error(app)
    assert not list(tmp_path.iterdir())


def test_a_long_fit_is_stopped(limit):
    st.cache_resource.clear()
    limit(MAX_SECONDS=0)
    words = "The fit was stopped after 0 seconds. Choose fewer types of users, another "
    assert get_error(make_app()).startswith(words)


def test_the_server_has_the_limits_of_the_app(monkeypatch):
    started = []
    monkeypatch.setattr(
        "streamlit.web.bootstrap.run",
        lambda path, _, args, flags, **k: started.append((path, args, flags)),
    )
    monkeypatch.setattr(sys, "argv", ["app", "--server.port=8999"])
    with pytest.raises(SystemExit) as end:
        launcher.main()
    assert not end.value.code
    ((path, args, flags),) = started
    assert Path(path) == APP
    assert not args
    chosen = {name: value for name, value in flags.items() if value is not None}
    assert chosen.pop("server_maxUploadSize") == _limits.MAX_MB
    assert chosen.pop("client_showErrorDetails") == "none"
    assert chosen.pop("server_port") == 8999


@pytest.mark.parametrize("name", ["streamlit", "matplotlib"])
def test_the_command_names_the_missing_package(name):
    code = (
        "import runpy, sys; from importlib import util; find = util.find_spec\n"
        f"util.find_spec = lambda name: None if name == {name!r} else find(name)\n"
        "runpy.run_module('sklearn_gmmcf.app', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"The app needs {name}, which is not installed: "
        'pip install "sklearn-gmmcf[app]"\n'
    )


def test_the_package_does_not_import_streamlit():
    code = "import sys, sklearn_gmmcf.app; assert 'streamlit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_covariances_have_no_map(app):
    (box,) = (box for box in app.selectbox if box.label == "Covariance type")
    assert "full" not in box.options  # they are slow for 100 items
    box.select("diag")
    app.slider[0].set_value(3).run()
    rate(app, {"The Amber Comet": 5.0})
    assert len(app.table[0].value) == 10
    assert len(app.get("progress")) == 3
    assert app.subheader[-1].value == "Items that types like"


def run_tables():
    code = "from sklearn_gmmcf.app import _tables; _tables.show()"
    app = AppTest.from_string(code, default_timeout=60).run()
    assert not app.exception
    return app


@pytest.fixture
def tables():
    return run_tables()


@pytest.fixture
def downloads(monkeypatch):
    """The texts that the page offers."""
    texts = []
    monkeypatch.setattr(
        st, "download_button", lambda _, data, *a, **k: texts.append(data)
    )
    return texts


def upload_table(app, text, name="mine.csv"):
    app.radio[0].set_value("A CSV file").run()
    content = text if isinstance(text, bytes) else text.encode()
    app.file_uploader[0].set_value((name, content, "text/csv")).run()
    assert not app.exception


def test_both_pages_are_offered(monkeypatch):
    offered, navigation = [], st.navigation

    def keep(pages, **options):
        offered.append([page.title for page in pages])
        return navigation(pages, **options)

    monkeypatch.setattr(st, "navigation", keep)
    assert not make_app().exception
    assert offered == [["Ratings", "Tables"]]


def test_pictures_are_drawn(monkeypatch):
    pictures = []
    monkeypatch.setattr(Figure, "savefig", DRAW)
    monkeypatch.setattr(st, "image", lambda file, **options: pictures.append(file))
    assert not make_app().exception
    run_tables()
    assert len(pictures) == 5
    for picture in pictures:
        picture.seek(0)
        colors = matplotlib.image.imread(picture).reshape(-1, 4)
        assert len(colors) > 100_000
        assert len(np.unique(colors, axis=0)) > 20


def test_the_made_up_table_is_completed(tables, downloads):
    tables.run()
    assert not tables.error
    assert tables.multiselect[0].value == ["house"]
    given = list(csv.reader(io.StringIO(make_houses().decode())))
    completed = list(csv.reader(io.StringIO(downloads[-1])))
    filled = {
        (i, given[0][j]): completed[i][j]
        for i, row in enumerate(given)
        for j, cell in enumerate(row)
        if not cell
    }
    for row, line in zip(given, completed, strict=True):
        assert all(a == b or not a for a, b in zip(row, line, strict=True))
    assert all(filled.values())
    frame = pd.read_csv(io.BytesIO(make_houses())).drop(columns="house")
    imputer = MixtureImputer(random_state=0).fit(frame)
    expected = imputer.transform(frame)
    lower, upper = imputer.predict_interval(frame, 0.9)
    chances = imputer.complete_proba(frame)
    shown = tables.dataframe[0].value
    assert len(shown) == len(filled) == frame.isna().to_numpy().sum()
    for _, (row, column, value, certainty) in shown.iterrows():
        assert filled[row, column] == value
        if column in chances:
            assert value == expected[column][row - 1]
            assert certainty == f"{chances[column][row - 1].max():.0%} likely"
        else:
            n = 1 if column == "area" else 0
            texts = [f"{x[column][row - 1]:.{n}f}" for x in (expected, lower, upper)]
            assert [value, certainty] == [texts[0], f"{texts[1]} to {texts[2]}"]
    errors = dict(zip(frame, imputer.expected_error_, strict=True))
    table = tables.table[0].value
    assert table["Filled"].to_dict() == frame.isna().sum().to_dict()
    assert table["Error"]["price"] == f"± {errors['price']:.2g}"
    assert table["Error"]["garden"] == f"{errors['garden']:.0%} wrong"


def test_wider_intervals_and_columns_that_mark_what_was_filled(tables, downloads):
    narrow = tables.dataframe[0].value
    tables.select_slider[0].set_value(0.95)
    tables.checkbox[0].check().run()
    wide = tables.dataframe[0].value
    assert wide["Filled with"].equals(narrow["Filled with"])
    ends = [
        frame["How certain"].str.extract(r"^(\d+) to (\d+)$").dropna().astype(float)
        for frame in (narrow, wide)
    ]
    widths = [(end[1] - end[0]).to_numpy() for end in ends]
    assert (widths[1] >= widths[0]).all()
    assert (widths[1] > widths[0])[widths[0] > 5].all()  # not of few rooms
    frame = pd.read_csv(io.StringIO(downloads[-1]))
    marks = frame.filter(like="missingindicator_")
    houses = pd.read_csv(io.BytesIO(make_houses()))
    assert (marks.sum(axis=1) == houses.isna().sum(axis=1)).all()
    assert marks.to_numpy().sum() == len(wide)


def make_table_lines():
    """Cells that the download should leave as they are, beside missing ones."""
    rng = np.random.default_rng(0)
    lines = ["=id;day;kind;size;007"]
    for i in range(40):
        kind = "-big" if i % 2 else "small"
        size = f"{(i % 2) * 50 + rng.normal():.2f}"
        day = f"2024-{1 + i % 2 * 6:02d}-{1 + i % 28:02d}"
        code = f"00{i % 3 + 1}"
        lines.append(f"=1+{i};{day};{kind};{size};{code}")
    lines[3] = "@a;;small;?;002"
    lines[4] = '"b;c";2024-07-03;NA;50.10;003'
    lines[5] = "d;2024-01-04; ;0.10;n/a"
    return lines


def test_an_uploaded_table(tables, downloads):
    lines = make_table_lines()
    tables.radio[0].set_value("A CSV file").run()
    tables.text_input[0].set_value("?").run()
    upload_table(tables, "\n".join(lines))
    assert not tables.error
    assert tables.multiselect[0].value == ["=id"]
    completed = list(csv.reader(io.StringIO(downloads[-1]), delimiter=";"))
    given = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=";"))
    assert completed[0] == ["'=id", "day", "kind", "size", "007"]
    assert completed[1] == ["'=1+0", *given[1][1:]]
    assert completed[2] == ["'=1+1", given[2][1], "'-big", *given[2][3:]]
    assert completed[4][0] == "b;c"
    assert re.fullmatch(r"2024-\d\d-\d\d", completed[3][1])
    assert abs(float(completed[3][3])) < 5
    assert len(completed[3][3].partition(".")[2]) == 2
    assert completed[4][2] == "'-big"
    assert completed[5][2] == "small"
    assert completed[5][4] in ("001", "002", "003")
    for delimiter in ",;\t":
        for cells in csv.reader(io.StringIO(downloads[-1]), delimiter=delimiter):
            assert not any(re.match(r"[=@]", cell) for cell in cells)


def test_cells_are_filled_in_the_form_of_their_column(tables, downloads):
    rng = np.random.default_rng(0)
    lines = ["when,day,amount,size"]
    for i in range(40):
        big = i % 2
        when = f"2024-0{1 + big}-{1 + i % 28:02d} {10 + big}:30"
        day = f"2024-02-3{big}"  # there is no such day
        lines.append(f"{when},{day},{1e5 * (1 + big + rng.random()):.3e},{50 * big}")
    lines[3] = ",,,0"
    lines[4] = ",,,50"
    upload_table(tables, "\n".join(lines))
    assert not tables.error
    given, completed = (
        list(csv.reader(io.StringIO(text)))
        for text in ("\n".join(lines), downloads[-1])
    )
    assert [row for i, row in enumerate(completed) if i not in (3, 4)] == [
        row for i, row in enumerate(given) if i not in (3, 4)
    ]
    for row, day, low in ((3, "2024-02-30", 1e5), (4, "2024-02-31", 2e5)):
        when, filled, amount, _ = completed[row]
        assert re.fullmatch(r"2024-0[12]-\d\d \d\d:\d\d:\d\d(\.\d+)?", when)
        assert filled == day
        assert low / 2 < float(amount) < 2 * low + 1e5
        assert amount == f"{float(amount):.6g}"


@pytest.mark.parametrize(
    ("limits", "content", "words"),
    [
        ({"MAX_MB": 1}, b"a,b\n" * 300_000, "mine.csv has more than 1 MB, the limit "),
        ({"MAX_COLUMNS": 2}, b"a,b,c\n", "mine.csv has more than 2 columns, "),
        ({"MAX_ROWS": 2}, b"a,b\n1,2\n1,2\n,2\n", "mine.csv has more than 2 rows, "),
        ({"MAX_CELLS": 5}, b"a,b\n1,2\n1,2\n,2\n", "mine.csv has more than 2 rows, "),
        ({"MAX_LINES": 3}, b"a,b\n\n\n\n1,2", "mine.csv has more than 3 lines, "),
        ({}, b"a,b\n1," + b"2" * 2000, "mine.csv, line 2 has more than 2,000 charact"),
        ({}, b"a,b\n1,2\n1\n", "mine.csv, line 3: 1 fields, separated by ',', where "),
        ({}, b"a,a\n1,2\n1,2\n", "mine.csv, line 1 has the name 'a' twice. Columns "),
        ({}, b"a,\n1,2\n1,2\n", "mine.csv, line 1 has a column of no name. Columns "),
        ({}, b"", "mine.csv should have a line of names and at least two rows, but "),
        ({}, b"a,b\n1,2\n", "mine.csv should have a line of names and at least two "),
        ({}, b"a\n\xe9\n", "mine.csv, line 2 is not text in UTF-8. Save the file "),
        ({}, b"a,b\n1e200,1\n2,\n3,2\n", "Column 'a' "),
    ],
    ids=["MB", "columns", "rows", "cells", "lines", "line", "fields"]
    + ["twice", "nameless", "empty", "short", "UTF-8", "huge"],
)
def test_refused_tables(tables, limits, content, words, limit):
    limit(**limits)
    upload_table(tables, content)
    (error,) = tables.error
    assert error.value.replace("\\", "").startswith(words)
    assert not tables.table


def test_tables_that_need_no_completion(tables):
    upload_table(tables, "a,b\n1,2\n3,4\n")
    assert tables.info[0].value.startswith("No entry is missing")
    upload_table(tables, "a,b\nx,\ny,\n")
    assert tables.multiselect[0].value == ["a", "b"]
    assert tables.info[0].value.startswith("All columns stay as they are")
    assert not tables.error


def test_a_long_completion_is_stopped(limit):
    st.cache_resource.clear()
    limit(MAX_SECONDS=0)
    (error,) = run_tables().error
    words = "The fit was stopped after 0 seconds. Leave more columns as they are, or "
    assert error.value.replace("\\", "").startswith(words)


def test_faults_during_a_completion_are_for_the_operator(tables, monkeypatch, caplog):
    def fail(*args):
        raise OSError("/srv/secret")

    monkeypatch.setattr(MixtureImputer, "fit", fail)
    upload_table(tables, "a,b\n1,2\n3,\n5,6\n")
    (error,) = tables.error
    assert error.value.startswith("The server could not read or complete this file")
    assert "/srv/secret" in caplog.text


class Browser:
    """Chromium without a window, by its debugging protocol over a pipe."""

    def __init__(self, chromium, profile):
        theirs, self.commands = os.pipe()
        self.answers, from_them = os.pipe()
        # It reads from descriptor 3 and writes to 4.
        command = f'exec "$0" "$@" 3<&{theirs} 4>&{from_them}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", command, chromium, *options, "--remote-debugging-pipe"],
            pass_fds=(theirs, from_them),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(from_them)
        self.n_calls, self.read, self.page = 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.page = {"sessionId": page["sessionId"]}

    def call(self, method, **params):
        self.n_calls += 1
        command = {"id": self.n_calls, "method": method, "params": params, **self.page}
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            while b"\0" not in self.read:
                part = os.read(self.answers, 2**16)
                assert part, "Chromium ended"
                self.read += part
            answer, _, self.read = self.read.partition(b"\0")
            answer = json.loads(answer)
            if answer.get("id") == self.n_calls:
                return answer["result"]

    def evaluate(self, expression):
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        return answer["result"].get("value")

    def wait(self, expression):
        for _ in range(300):
            value = self.evaluate(expression)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(
            f"{expression}: {self.evaluate('document.body.innerText')}"
        )

    def press(self, key, code):
        text = {"text": "\r"} if key == "Enter" else {}
        options = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **options, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **options)

    def close(self):
        self.call("Browser.close")
        self.process.wait(30)
        os.close(self.commands)
        os.close(self.answers)


@pytest.fixture
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


@pytest.fixture
def server(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "server.headless": "true",
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    command = [sys.executable, "-m", "sklearn_gmmcf.app"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)


def test_in_a_browser_by_keyboard_at_phone_width(chromium, server, tmp_path):
    address, process = server
    for _ in range(300):
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            urlopen(f"{address}/_stcore/health").close()
            break
        except URLError:
            time.sleep(0.1)
    browser = Browser(chromium, tmp_path / "profile")
    try:
        metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        browser.call("Emulation.setDeviceMetricsOverride", **metrics)
        browser.call("Page.navigate", url=address)
        rows = "document.querySelector('table')?.querySelectorAll('tbody tr') ?? []"
        cells = f"[...({rows})].map(r => r.innerText)"
        idle = "!document.querySelector('[data-testid=stStatusWidget]')"
        before = browser.wait(f"{idle} && {cells}.length == 10 && {cells}")
        for row in before:
            assert re.fullmatch(r"The \w+ \w+\s+\d+%(\s+[1-5]\.\d){2}\s*", row), before
        focused = "document.activeElement.getAttribute('aria-label') || ''"
        for _ in range(30):
            browser.press("Tab", 9)
            if "Search" in browser.evaluate(focused):
                break
        browser.call("Input.insertText", text="Brave For")
        browser.wait("document.querySelectorAll('[role=option]').length == 1")
        browser.press("Enter", 13)
        pills = "document.querySelector('[data-testid=stButtonGroup]')"
        pills = f"{pills}.querySelectorAll('button')"
        browser.wait(f"{pills}.length == 5")
        for _ in range(30):
            browser.press("Tab", 9)
            if browser.evaluate(f"[...{pills}].indexOf(document.activeElement) >= 0"):
                break
        browser.press("Enter", 13)
        after = browser.wait(
            f"{idle} && {cells}.join() != {before!r}.join() && {cells}"
        )
        assert len(after) == 10
        assert "The Brave Forest" not in "".join(after)
        assert "For you" in browser.evaluate("document.body.innerText")
        main = "document.querySelector('[data-testid=stMain]')"
        assert browser.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    finally:
        browser.close()
