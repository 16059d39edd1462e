# SPDX-License-Identifier: BSD-3-Clause
"""The command line: results of the library, and files whose other cells stay."""

import csv
import io
import re
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sklearn_gmmcf
from sklearn_gmmcf import MixtureImputer, MixtureRecommender
from sklearn_gmmcf._command_line import _complete, _files, main
from sklearn_gmmcf._command_line._columns import MISSING, read_column
from sklearn_gmmcf._command_line._csv import parse

GUIDE = Path(__file__).parents[1] / "docs" / "guide"


def make_table(n=80):
    """Cells (n, 6) as a file has them, with missing ones, and their values."""
    rng = np.random.default_rng(3)
    size = rng.uniform(20, 140, n).round()
    lyon = rng.random(n) < 0.5
    rent = (size * np.where(lyon, 16, 10) + rng.normal(0, 40, n)).round(1)
    days = rng.integers(0, 900, n)
    dates = np.datetime64("2020-01-01") + days + (size * 5).astype(int)
    hidden = rng.random((n, 6)) < 0.15
    hidden[:, 0] = hidden[:, 5] = False
    columns = [
        [f"{i:03d}" for i in range(n)],
        [f"{value:.0f}" for value in size],
        [f"{value:.1f}" for value in rent],
        np.where(lyon, "Lyon", "Lille").tolist(),
        [str(date) for date in dates],
        [f"{value:.2f}" for value in rng.normal(size=n)],
    ]
    values = np.empty((n, 5), dtype=object)
    for j, convert in enumerate([float, float, str, datetime.fromisoformat, float]):
        values[:, j] = [convert(cell) for cell in columns[j + 1]]
    values[hidden[:, 1:]] = None
    cells = np.array(columns, dtype=object).T
    cells[hidden] = ""
    return ["id", "size", "rent", "city", "since", "x"], cells, values


def write_rows(path, rows, delimiter=","):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def read_rows(path, delimiter=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


WRITERS = [
    "{:.0f}".format,
    "{:.1f}".format,
    str,
    lambda date: date.strftime("%Y-%m-%d"),
    "{:.2f}".format,
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A folder with a completed file, and the library's answers for its cells."""
    folder = tmp_path_factory.mktemp("table")
    names, cells, values = make_table()
    write_rows(folder / "table.csv", [names, *cells])
    paths = [str(folder / name) for name in ("table.csv", "out.csv", "intervals.csv")]
    options = ["--intervals", paths[2], "--draws", "2", "--seed", "5", "--quiet"]
    command = ["complete", paths[0], "--out", paths[1], *options, "--coverage", "0.8"]
    assert main(command) == 0
    imputer = MixtureImputer(random_state=5).fit(values)
    return folder, cells, values, imputer


def fill_cells(cells, values, completed):
    expected = cells.copy()
    for i, j in np.argwhere([[value is None for value in row] for row in values]):
        expected[i, j + 1] = WRITERS[j](completed[i, j])
    return expected


def test_complete_gives_the_values_of_the_library(table):
    folder, cells, values, imputer = table
    expected = fill_cells(cells, values, imputer.transform(values))
    assert (expected != cells).sum() > 40
    np.testing.assert_array_equal(read_rows(folder / "out.csv")[1:], expected)


def test_intervals_are_those_of_the_library(table):
    folder, _, values, imputer = table
    completed, ends = imputer.transform(values), imputer.predict_interval(values, 0.8)
    names = ["size", "rent", "since", "x"]
    expected = [
        [
            str(i + 2),
            names[k],
            *map(WRITERS[j], (completed[i, j], *(e[i, k] for e in ends))),
        ]
        for i in range(len(values))
        for k, j in enumerate([0, 1, 3, 4])
        if values[i, j] is None
    ]
    header, *rows = read_rows(folder / "intervals.csv")
    assert header == ["line", "column", "value", "lower", "upper"]
    assert rows == expected


def test_draws_are_those_of_the_library(table):
    folder, cells, values, imputer = table
    draws = imputer.sample_completions(values, 2, random_state=5)
    for number, draw in enumerate(draws, start=1):
        found = read_rows(folder / f"out-{number}.csv")[1:]
        np.testing.assert_array_equal(found, fill_cells(cells, values, draw))
    assert not (folder / "out-3.csv").exists()


def test_complete_gives_the_frame_that_pandas_and_the_imputer_give(table):
    pd = pytest.importorskip("pandas")
    folder, *_ = table
    frame = pd.read_csv(folder / "table.csv", dtype={"id": str})
    frame["since"] = pd.to_datetime(frame["since"])
    expected = MixtureImputer(random_state=5).fit_transform(frame)
    expected["since"] = expected["since"].dt.strftime("%Y-%m-%d")
    completed = pd.read_csv(folder / "out.csv", dtype={"id": str})
    assert completed["id"].tolist() == frame["id"].tolist()
    for name in ("size", "city", "since"):
        assert completed[name].tolist() == expected[name].tolist()
    for name, step in (("rent", 0.1), ("x", 0.01)):
        np.testing.assert_allclose(completed[name], expected[name], 0, 0.501 * step)


def test_the_report_has_numbers_of_cells_and_expected_errors(tmp_path, capsys, table):
    folder, cells, *_ = table
    imputer = table[3]
    source, out = str(folder / "table.csv"), str(tmp_path / "out.csv")
    assert main(["complete", source, "--out", out, "--seed", "5"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    counts = (cells == "").sum(axis=0)
    assert lines[0] == f"{out}: {counts.sum()} cells filled."
    errors = imputer.expected_error_
    units = ["{:.3g}", "{:.3g}", "{:.0%} wrong", "{:.3g} days"]
    for j, (name, unit) in enumerate(
        zip(["size", "rent", "city", "since"], units, strict=True)
    ):
        error = unit.format(errors[j]).replace("%", " %")
        assert lines[3 + j].split() == [name, str(counts[j + 1]), *error.split()]
    assert len(lines) == 7


class FillingImputer:
    """Fills with the first observed value of each column."""

    def __init__(self, **parameters):
        pass

    def set_callbacks(self, *callbacks):
        return self

    def fit(self, X):
        self.expected_error_ = np.zeros(X.shape[1])
        return self

    def transform(self, X):
        filled = X.copy()
        for column in filled.T:
            first = next(value for value in column if value is not None)
            column[[value is None for value in column]] = first
        return filled


plain_texts = st.text("ab é😀'#=@-", min_size=1, max_size=4).filter(
    lambda text: text.strip() and text.strip() not in MISSING
)
quoted_texts = st.text('ab",;\n\r\té', min_size=1, max_size=5).filter(
    lambda text: text.strip(" \t\n\r")
)
blanks = st.sampled_from(["", " ", "  "])
observed_cells = st.one_of(
    st.tuples(blanks, plain_texts, blanks).map("".join),
    st.tuples(
        blanks, quoted_texts.map(lambda t: '"' + t.replace('"', '""') + '"'), blanks
    ).map("".join),
    st.sampled_from(["1", "-2.50", "007", "1e3", "2020-01-31", "=1+1", "0x1"]),
)
MISSING_CELLS = ["", " ", "NA", '""', '" NA "', "?", "null"]


cells = st.one_of(observed_cells, st.sampled_from(MISSING_CELLS))


@st.composite
def files(draw):
    """Raw cells (n, d) of a file, which of them are missing, and its other text."""
    n, d = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    rows = [[draw(cells) for _ in range(d)] for _ in range(n)]
    # Each column has a level that repeats, so that it is modeled.
    rows += [["z"] * d] * 2
    ends = [draw(st.sampled_from(["\n", "\r\n", "\n\n"])) for _ in range(n + 2)]
    last = draw(st.sampled_from(["", "\n", "\r\n", "\r"]))
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return rows, [*ends, last], mark, draw(st.sampled_from(",;\t"))


def assemble(rows, ends, mark, separator):
    lines = [separator.join(row) for row in rows]
    return mark + "".join(line + end for line, end in zip(lines, ends, strict=True))


@settings(max_examples=50)
@given(files())
def test_observed_cells_survive_byte_by_byte(tmp_path_factory, drawn):
    rows, ends, mark, separator = drawn
    names = [["a", "b", "c"][: len(rows[0])]]
    folder = tmp_path_factory.mktemp("files")
    source, out = folder / "in.csv", folder / "out.csv"
    source.write_bytes(assemble(names + rows, ends, mark, separator).encode())
    command = ["complete", str(source), "--out", str(out), "--missing", "?", "--quiet"]
    command += ["--sep", separator]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_complete, "MixtureImputer", FillingImputer)
        assert main(command) == 0
    is_missing = [[cell in MISSING_CELLS for cell in row] for row in rows]
    fills = []
    for j in range(len(names[0])):
        first = next(
            row[j] for row, m in zip(rows, is_missing, strict=True) if not m[j]
        )
        (field,) = next(csv.reader([first.strip()], delimiter="\0"))
        fill = field.strip(" \t\n")
        needs_quotes = re.search(f'["\r\n{separator}]', fill) or fill != fill.strip()
        fills.append(
            f'"{fill.replace(chr(34), chr(34) * 2)}"' if needs_quotes else fill
        )
    filled = [
        [fill if m else cell for cell, m, fill in zip(row, marks, fills, strict=True)]
        for row, marks in zip(rows, is_missing, strict=True)
    ]
    expected = assemble(names + filled, ends, mark, separator)
    assert out.read_bytes() == expected.encode()


@given(
    st.lists(st.lists(st.text('ab",; \n\ré\t'), min_size=3, max_size=3), min_size=1),
    st.sampled_from(",;\t"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_cells_are_read_as_the_csv_module_wrote_them(rows, separator, quoting):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    writer.writerows([["u", "v", "w"], *rows])
    table = parse("t.csv", text.getvalue(), separator)
    for j in range(3):
        expected = [row[j].strip(" \t\n") for row in rows]
        assert table.read_column(j) == expected


def test_missing_cells_are_those_of_pandas():
    pd = pytest.importorskip("pandas")
    others = ["-", "?", "missing", "NONE", "na", "Nan", "N.A.", "nil"]
    texts = [*sorted(MISSING), *others]
    rows = "".join(f'x,"{text}"\n' for text in texts)
    read = pd.read_csv(io.StringIO("a,b\n" + rows))["b"].isna()
    assert read.tolist() == [text in MISSING for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-31",
        "2024-05-31 12:30",
        "2024-05-31T12:30:05",
        "2024-05-31 12:30:05.250",
        "2024-05-31T12:30:05.123456Z",
        "2024-05-31T12:30:00+02:00",
    ],
)
def test_dates_are_written_as_they_were_read(text):
    column = read_column("day", [text, "NA"], MISSING)
    assert column.kind == "date"
    zone = "Z" if text.endswith("Z") else text[19:] if "+" in text else ""
    assert column.values == [datetime.fromisoformat(text.removesuffix(zone)), None]
    assert column.write(column.values[0]) == text


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["2024-05-31", "2024-02-30"], "text"),
        (["2024-05-31 10:00Z", "2024-05-31 10:00"], "text"),
        (["2024", "1999"], "number"),
        (["007", "012"], "text"),
        (["0", "0.5", "-.5", "+1e3", "3."], "number"),
        (["1_000", "2"], "text"),
        (["inf", "1"], "text"),
        (["\u0661", "2"], "text"),
    ],
)
def test_kinds_of_columns(texts, kind):
    assert read_column("x", texts, MISSING).kind == kind


def test_numbers_are_written_with_the_decimals_of_the_column():
    write = read_column("x", ["1.25", "3", "-7.5"], MISSING).write
    assert [write(2 / 3), write(-0.001), write(12.0)] == ["0.67", "0.00", "12.00"]
    column = read_column("x", ["1,25", "3"], MISSING, ",")
    assert column.values == [1.25, 3.0]
    assert column.write(0.5) == "0,50"
    assert read_column("x", ["1e-3", "2E5"], MISSING).write(1 / 30000) == "3.33333e-05"


def test_european_files(tmp_path, monkeypatch):
    monkeypatch.setattr(_complete, "MixtureImputer", FillingImputer)
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes("größe;ort\r\n1,5;Köln\r\n;Köln\r\n2,25;\r\n".encode("cp1252"))
    options = ["--decimal", ",", "--encoding", "cp1252", "--quiet"]
    assert main(["complete", str(source), "--out", str(out), *options]) == 0
    expected = "größe;ort\r\n1,5;Köln\r\n1,50;Köln\r\n2,25;Köln\r\n"
    assert out.read_bytes().decode("cp1252") == expected


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"a,b\n1,2\n1,2,3\n", [], "in.csv, line 3: 3 fields, separated by ','"),
        (b"a,b\n1,2\n\n1\n", [], "in.csv, line 4: 1 fields"),
        (b"a,a\n1,2\n", [], "in.csv, line 1 has the name 'a' twice"),
        (b'a,b\n"x\ny",2\n3,"4\n', [], "in.csv, line 4: a field begins with a quote"),
        (b'a,b\n"x"y,2\n', [], "in.csv, line 2: a closing quote is followed"),
        (b"a,b\n1,2\n\xff,2\n", [], "in.csv, line 3 is not text in utf-8"),
        (b"a\0,b\0\n", [], "in.csv, line 1 holds a NUL byte"),
        (b"", [], "in.csv is empty"),
        (
            b"a,b\n1,\n2,1e400\n",
            [],
            "in.csv, line 3: column 'b' is 1e400, above 1e+100",
        ),
        (
            b"a,b\nx,\ny,\n",
            [],
            "'a' is left as it is (text of which none repeats); 'b'",
        ),
        (b"a,b\n", [], "no column to model"),
        ("a,b\n1,2\n".encode("utf-16"), [], "its --encoding, such as utf-16"),
    ],
)
def test_bad_tables_are_refused(tmp_path, capsys, content, options, words):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content)
    assert main(["complete", str(source), "--out", str(out), *options]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words in captured.err
    assert not out.exists()


def test_files_are_checked_before_the_fit(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_complete, "MixtureImputer", None)
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("a,b\n1,2\n3,\n")
    (tmp_path / "out-2.csv").write_text("mine")
    command = ["complete", str(source), "--out", str(out)]
    for options, words in [
        (["--draws", "2"], "out-2.csv exists. Pass --force"),
        (["--intervals", str(out)], "out.csv would be written twice"),
        (["--intervals", str(tmp_path / "no" / "i.csv")], "in a folder that exists"),
        (["--intervals", str(tmp_path)], "is not a file"),
        (["--out", str(source)], "in.csv exists. Pass --force"),
        (["--out", "-", "--draws", "1"], "which cannot be -"),
        (["--ignore", "c"], "--ignore c: "),
        (["--coverage", "90"], "'90' is not a number between 0 and 1"),
        (["--sep", "::"], "'::' is not one character"),
        (["--draws", "0"], "'0' is not a number of at least 1"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "\N{ARABIC-INDIC DIGIT THREE}"], "--seed"),
        (["--encoding", "nope"], "'nope' is not an encoding"),
        (["--force", "--intervals", str(source)], "is read, and would be lost"),
        (
            ["--intervals", str(tmp_path / "." / "x" / ".." / "out.csv")],
            "written twice",
        ),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main([*command, *options])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err
    assert not out.exists()
    assert main(["complete", str(tmp_path / "none.csv"), "--out", str(out)]) == 1
    assert "none.csv: No such file" in capsys.readouterr().err


def test_a_file_stays_whole_until_the_other_is_written(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")

    def fail(self, content):
        self.touch()
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        _files.write_text(str(path), "a,b\n1,3\n", "utf-8")
    assert path.read_text() == "a,b\n1,2\n"
    assert list(tmp_path.iterdir()) == [path]


def test_characters_that_the_encoding_lacks_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"o\.csv: cp1252 has no '\u0142'. Pass --enc"):
        _files.write_text(str(tmp_path / "o.csv"), "a\n\u0142\n", "cp1252")
    assert list(tmp_path.iterdir()) == []


def test_long_texts_among_numbers_are_not_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_complete, "MixtureImputer", FillingImputer)
    rows = [["x", "y"], ["", "z" * 1000], *([str(i), str(i)] for i in range(9))]
    write_rows(tmp_path / "t.csv", rows)
    main(["complete", str(tmp_path / "t.csv"), "--out", str(tmp_path / "o.csv")])
    message = capsys.readouterr().err
    assert "line 2: column 'y' is read as text" in message
    assert "z" * 41 not in message


def test_force_overwrites(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_complete, "MixtureImputer", FillingImputer)
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1,2\n3,\n")
    assert main(["complete", str(path), "--out", str(path), "--force", "--quiet"]) == 0
    assert path.read_text() == "a,b\n1,2\n3,2\n"
    assert capsys.readouterr() == ("", "")


def test_the_report_tells_of_columns_with_one_value(tmp_path, capsys):
    rows = [[str(i), "call" * (i == 3)] for i in range(40)]
    write_rows(tmp_path / "in.csv", [["x", "note"], *rows])
    main(["complete", str(tmp_path / "in.csv"), "--out", str(tmp_path / "o.csv")])
    assert "note        39  unknown: all are 'call'" in capsys.readouterr().err


def test_columns_that_are_not_filled_are_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_complete, "MixtureImputer", FillingImputer)
    rows = [
        [str(i % 3), f"n{i}" * (i > 1), f"t{i // 2}", "", str(i)] for i in range(60)
    ]
    rows[0][0] = rows[3][2] = rows[5][4] = ""
    write_rows(tmp_path / "in.csv", [["x", "note", "many", "none", "key"], *rows])
    command = ["complete", str(tmp_path / "in.csv"), "--out", str(tmp_path / "o.csv")]
    assert main([*command, "--ignore", "key"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("o.csv: 1 cell filled, 64 left missing.")
    assert lines[3:] == [
        "x            1  0",
        "note         0  2 left missing: text of which none repeats",
        "many         0  1 left missing: text of 30 levels; --max-categories 30 would "
        "model it",
        "none         0  60 left missing: no cell has a value",
        "key          0  1 left missing: --ignore",
    ]
    filled = read_rows(tmp_path / "o.csv")[1:]
    rows[0][0] = "1"
    assert filled == rows


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["1", "2", "?", "3", "4"], "line 4: column 'x' is read as text, since '?'"),
        (["1,5", "2", "2,5"], "'1,5' is not a number. If these are decimal numbers"),
        (["100", "007", "210", "310"], ""),
        (["a", "b", "1"], ""),
        (["1", "2", "3"], ""),
    ],
)
def test_texts_among_numbers_bring_a_warning(
    tmp_path, monkeypatch, capsys, texts, words
):
    monkeypatch.setattr(_complete, "MixtureImputer", FillingImputer)
    write_rows(tmp_path / "in.csv", [["x", "y"], *([t, "1"] for t in texts)], ";")
    command = ["complete", str(tmp_path / "in.csv"), "--out", str(tmp_path / "o.csv")]
    assert main([*command, "--quiet"]) == 0
    message = capsys.readouterr().err
    assert words in message
    assert bool(words) == message.startswith("warning: ")


def make_ratings(integers=False):
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((30, 12)) < 0.5)
    ratings = np.clip(np.round(3 + rng.normal(size=len(users))), 1, 5)
    if integers:
        return users + 100, items + 7, ratings
    return (
        np.array([f"u{u:02d}" for u in users]),
        np.array([f"i{i}, the item" for i in items]),
        ratings,
    )


def run_list(command, capsys, separator=","):
    """Names and rows that a command writes as CSV to standard output."""
    assert main([*command, "--out", "-"]) == 0
    text = io.StringIO(capsys.readouterr().out)
    names, *rows = csv.reader(text, delimiter=separator)
    return names, rows


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("rank_by", ["utility", "lower"])
def test_recommend_gives_the_lists_of_the_library(tmp_path, capsys, rank_by):
    ratings = make_ratings()
    path = tmp_path / "ratings.csv"
    write_rows(
        path, [["stars", "who", "what"], *zip(*np.roll(ratings, 1, 0), strict=True)]
    )
    command = ["recommend", str(path), "--columns", "who,what,stars"]
    command += ["--user", "u07", "--user", "u02", "--n-items", "3", "--reasons", "2"]
    names, rows = run_list([*command, "--rank-by", rank_by], capsys)
    assert names == ["user", "item", "rating", "std", "chance", "reasons"]
    recommender = MixtureRecommender().fit(ratings)
    expected = recommender.recommend(["u07", "u02"], 3, rank_by=rank_by)
    assert [row[:2] for row in rows] == np.transpose(expected[:2]).tolist()
    numbers = np.array([row[2:5] for row in rows], dtype=float)
    np.testing.assert_allclose(numbers, np.transpose(expected[2:]), 0, 0.000501)
    for user, item, *_, reasons in rows:
        parts = recommender.explain(user, item, 2)
        observed = [p for p in zip(*parts, strict=True) if p[0] == "observed"]
        assert len(observed) == 2
        assert reasons.split("; ") == [
            f"{source} ({rating:g}): {added:+.2f}"
            for _, source, rating, added in observed
        ]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ratings_beyond_the_scale_are_left_out(tmp_path, capsys):
    rows = [list(map(str, row)) for row in zip(*make_ratings(), strict=True)]
    lists = []
    for name, more in [("a.csv", []), ("b.csv", [["u00", "i5, the item", "99"]])]:
        write_rows(tmp_path / name, [["u", "i", "r"], *more, *rows])
        options = ["--scale", "1,5", "--out-of-range", "missing", "--n-components", "1"]
        lists.append(run_list(["recommend", str(tmp_path / name), *options], capsys))
    assert lists[0] == lists[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_titles_and_saved_recommenders(tmp_path, capsys):
    ratings = make_ratings(integers=True)
    write_rows(tmp_path / "r.csv", zip(*ratings, strict=True), "\t")
    titles = {i: f"Film {i}" for i in range(7, 19)}
    write_rows(
        tmp_path / "titles.csv",
        [["id", "name", "year"], *([i, title, 1999] for i, title in titles.items())],
    )
    saved = str(tmp_path / "saved.joblib")
    command = ["recommend", str(tmp_path / "r.csv"), "--no-header", "--save", saved]
    command += ["--titles", str(tmp_path / "titles.csv")]
    names, rows = run_list(command, capsys, "\t")
    recommender = MixtureRecommender(item_titles=titles).fit(ratings)
    users, items, listed, *_ = recommender.recommend()
    assert names == ["user", "item", "title", "rating", "std", "chance"]
    assert [row[:3] for row in rows] == [
        [str(u), str(i), t] for u, i, t in zip(users, items, listed, strict=True)
    ]
    one = run_list(["recommend", "--model", saved, "--user", "104"], capsys)
    assert one == (names, [row for row in rows if row[0] == "104"])
    Path(saved).write_bytes(b"nothing")
    assert main(["recommend", "--model", saved]) == 1
    assert "holds no recommender that --save wrote" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_saved_recommenders_of_frames(tmp_path, capsys):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        dict(zip(["user", "item", "rating"], make_ratings(), strict=True))
    )
    recommender = MixtureRecommender().fit(frame)
    recommender.save(tmp_path / "of_frame", updatable=True)
    command = ["recommend", "--model", str(tmp_path / "of_frame"), "--user", "u03"]
    _, rows = run_list([*command, "--reasons", "1"], capsys)
    expected = recommender.recommend(["u03"])
    assert [row[1] for row in rows] == expected["item"].tolist()
    recommender.save(tmp_path / "without_users")
    command[2] = str(tmp_path / "without_users")
    assert main(command) == 1
    assert "updatable=True" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (
            "user,item,rating\nann,a,1\n",
            ["--user", "anne"],
            "no user anne. Near ids: ann",
        ),
        ("user,item,rating\n7,a,1\n", ["--user", "x"], "no user x. Ids are such as 7."),
        ("user,item,rating\nann,a,x\n", [], "r.csv, line 2: the rating is 'x'"),
        ("user,item,rating\nann,a,1\n".encode("utf-16"), [], "utf-16"),
        ("ann,a,1\n", [], "If it is a rating, pass --no-header;"),
        ("u,i,r\nann,a,1\n", ["--columns", "u,i,stars"], "no column 'stars'"),
        ("u,i,r\nann,a,1\n", [], "Pass ratings of more users, or decrease --n-comp"),
        ("u;i;r\nann;a;1\n", ["--sep", ","], "Is the delimiter right?"),
        ("u,i,r\nann,a,1\nbob,a,1\n", ["--n-components", "1"], "All ratings are 1"),
        (
            "u,i,r\nann,a,1\nbob,a,99\n",
            ["--scale", "1,5"],
            "r.csv, line 3 is outside --scale (1, 5). If it marks a missing rating, "
            "pass --out-of-range missing; pass clip to",
        ),
    ],
)
def test_bad_ratings_are_refused(tmp_path, capsys, content, options, words):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "r.csv").write_bytes(content)
    assert main(["recommend", str(tmp_path / "r.csv"), *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


def test_wrong_usage_of_recommend(tmp_path, capsys):
    path = str(tmp_path / "r.csv")
    for command, words in [
        (["recommend"], "Pass either a file of ratings or --model"),
        (["recommend", path, "--model", path], "Pass either"),
        (
            ["recommend", "--model", path, "--titles", path],
            "belong to a file of ratings",
        ),
        (["recommend", "--model", path, "--scale", "1,5"], "belong to a file of"),
        (["recommend", path, "--out-of-range", "clip"], "needs --scale"),
        (["recommend", path, "--save", path, "--force"], "would be lost"),
        (["recommend", path, "--save", "-"], "--save writes a file"),
        (["recommend", path, "--scale", "5,1"], "is not two numbers, the lower one"),
        (["recommend", path, "--columns", "a,b"], "is not three names or numbers"),
        ([], "COMMAND"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def run_module(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "sklearn_gmmcf", *arguments],
        capture_output=True,
        check=False,
        cwd=options.pop("cwd", None),
        **options,
    )


def test_standard_streams_and_exit_codes(tmp_path):
    content = b"\xef\xbb\xbfa,b\r\n1,2\r\n 2 ,4\r\n3,\r\n4,8\r\n5,10"
    found = run_module("complete", "-", "--out", "-", input=content)
    assert found.returncode == 0
    assert found.stdout == content.replace(b"3,", b"3,6")
    assert b"standard output: 1 cell filled." in found.stderr
    assert b"\x1b" not in found.stderr  # no progress without a terminal
    found = run_module("complete", "-", "--out", "-", input=b"a,b\n1\n")
    assert (found.returncode, found.stdout) == (1, b"")
    assert found.stderr.startswith(b"error: standard input, line 2: 1 fields")


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"sklearn-gmmcf {sklearn_gmmcf.__version__}\n"


WITHOUT_FRAMES = """
import sys

class Absent:
    def find_spec(self, name, *details):
        if name.partition(".")[0] in ("pandas", "polars", "pyarrow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from sklearn_gmmcf._command_line import main
assert main(["complete", "t.csv", "--out", "o.csv", "--intervals", "i.csv"]) == 0
assert main(["recommend", "r.csv", "--user", "bob", "--reasons", "1"]) == 0
"""


def test_no_frame_library_is_needed(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n2,\n3,6\n4,8\n")
    lines = "user,item,rating\nann,x,1\nann,y,2\nbob,y,3\ncyd,x,4\ndan,z,2\n"
    (tmp_path / "r.csv").write_text(lines)
    subprocess.run([sys.executable, "-c", WITHOUT_FRAMES], check=True, cwd=tmp_path)


def list_commands(page):
    """Commands of a page, and what they print."""
    for block in re.findall(r"code-block:: console\n\n((?:   .*\n|\n)+)", page):
        for part in re.split(r"^   \$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command = command[:-1] + more.strip().removeprefix("> ")
            yield command, output


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("head") is None, reason="needs a shell")
def test_commands_of_the_guide_print_what_it_shows(tmp_path):
    for name in ("flats.csv", "films.csv"):
        shutil.copy(GUIDE / name, tmp_path)
    commands = list(list_commands((GUIDE / "command_line.rst").read_text()))
    assert len(commands) >= 5
    for command, output in commands:
        words = shlex.split(command)
        if words[0] == "python":
            words[0] = sys.executable
        done = subprocess.run(
            words,
            cwd=tmp_path,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        found, expected = done.stdout.split(), output.split()
        assert len(found) == len(expected), done.stdout
        for each, other in zip(found, expected, strict=True):
            try:
                assert float(each) == pytest.approx(float(other), rel=0.02, abs=0.02)
            except ValueError:
                assert each == other
