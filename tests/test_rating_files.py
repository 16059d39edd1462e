# SPDX-License-Identifier: BSD-3-Clause
"""load_ratings_csv: every line of a file is read right, or refused with its number."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import random
import re
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest

from sklearn_gmmcf.datasets import _rating_file, _text, load_ratings_csv
from sklearn_gmmcf.datasets._distinct import DistinctValues, pack_words
from sklearn_gmmcf.datasets._rating_file import NotPlain, RatingReader
from sklearn_gmmcf.datasets._records import RecordFault, RecordSplitter
from tests.optional import pd

HEADER = "user,item,rating\n"


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.csv"


@pytest.fixture
def general_reader(monkeypatch):
    """Switches the plain reader off and on."""
    plain = RatingReader._read_plain

    def refuse(self, block):
        raise NotPlain

    def switch(on):
        monkeypatch.setattr(RatingReader, "_read_plain", refuse if on else plain)

    return switch


def to_dict(bunch):
    coo = bunch.data.tocoo()
    users, items = bunch.user_ids.tolist(), bunch.item_ids.tolist()
    assert bunch.data.shape == (len(users), len(items))
    assert users == sorted(users)
    assert items == sorted(items)
    return {
        (users[i], items[j]): value
        for i, j, value in zip(coo.row, coo.col, coo.data.tolist(), strict=True)
    }


# Files that a seeded generator writes, and the triples that it wrote.

NUMBERS = ("4", "4.5", "3.", ".5", "+4", "-2.25", "1e-1", "2E0", "0", "0.1000000001")
IDS = {
    "integers": lambda rng: str(
        rng.choice([0, 7, -3, 2**63 - 1, rng.randrange(10**6)])
    ),
    "words": lambda rng: "".join(rng.choices("abcxyz", k=rng.randint(1, 12))),
    "zeros": lambda rng: f"{rng.randrange(300):03}",
    "accents": lambda rng: "".join(rng.choices("aéßñ", k=rng.randint(1, 40))),
    "odd": lambda rng: (
        rng.choice(["a", "b b", '5" x', "it's"])
        + "".join(rng.choices(["x", " ", ",", ";", '"', "::", "\n"], k=3))
        + rng.choice("yz")
    ),
    "long": lambda rng: "k" * rng.choice([1, 63, 64, 65, 900]) + str(rng.randrange(9)),
}
FAULTS = {
    "nan": "the rating is 'nan', not a finite number",
    "-inf": "the rating is '-inf', not",
    "1_000": "the rating is '1_000', not",
    "0x10": "the rating is '0x10', not",
    "1e999": "the rating is '1e999', not",
    "good": "the rating is 'good', not",
    "": "the rating is missing",
    "4 5": "the rating is '4 5', not",
    "no user": "the user is missing",
    "no item": "the item is missing",
    "few": "2 fields, separated by",
    "many": r"\d+ fields, separated by .*, where the (header|first line) has",
    "open": "a field begins with a quote that is not closed",
    "text": "a closing quote is followed by text",
    "NUL": "it holds a NUL byte",
    "huge": "the user has 1,001 characters",
}


class Written:
    """A file of ratings from a seed: its content, the options, and the truth."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.encoding = rng.choice(
            ["utf-8-sig", "utf-8-sig", "utf-8", "latin-1", "utf-16", "utf-32", "cp1252"]
        )
        self.delimiter = rng.choice([",", ",", ";", "\t", "|", "::", "§", ", "])
        self.header = rng.choice(["none", "numbers", "names"])
        self.kinds = [rng.choice(list(IDS)) for _ in range(2)]
        self.quoting = rng.choice(["none", "all", "some"])
        self.blanks = rng.random() < 0.3
        self.end = rng.choice(["\n", "\n", "\r\n", "\r"])
        self.extra = rng.choice([0, 1, 2])
        self.order = rng.sample(range(3 + self.extra), 3)
        n_lines = rng.choice([1, 5, 20, 60])
        pairs = {}
        for _ in range(n_lines):
            ids = tuple(IDS[kind](rng) for kind in self.kinds)
            pairs[ids] = rng.choice(NUMBERS)
        self.triples = [(*ids, number) for ids, number in pairs.items()]
        self.fault, self.fault_line = None, None
        faulty = None
        if rng.random() < 0.4:
            self.fault = rng.choice(list(FAULTS))
            faulty = rng.randrange(len(self.triples))
            if self.fault == "many" and self.header == "none" and faulty == 0:
                self.fault = "few"  # the first line sets the number of fields
        self.lines, self.numbers = [], []
        n_before = 0
        self.name = rng.choice(["some.csv", "some.gz", "some.zip", "some.data"])
        self.compression = rng.choice([None, None, "gzip", "zip"])
        self.block = rng.choice([7 if n_lines < 10 else 200, 200, 1000, 2**20])
        self.ends_with_line_end = rng.random() < 0.7

        def put(line):
            nonlocal n_before
            self.lines.append(line)
            n_before += 1 + line.count("\n")

        if rng.random() < 0.1:
            put("  ")
        if self.header != "none":
            names = ["other", "others"][: self.extra]
            for position, name in sorted(
                zip(self.order, ["user", "item", "rating"], strict=True)
            ):
                names.insert(position, name)
            put(self.delimiter.join(map(self.pad, names)))
        for index, triple in enumerate(self.triples):
            while rng.random() < 0.05:
                put(rng.choice(["", " ", "  "]))
            if index == faulty:
                self.fault_line = n_before + 1
                line = self.spoil(*triple)
                if self.fault == "NUL":  # at the end of the record
                    self.fault_line += line.count("\n")
                put(line)
            else:
                self.numbers.append(n_before + 1)
                put(self.join(*triple))

    def pad(self, text):
        if not self.blanks or self.delimiter == ", ":
            return text
        return " " * self.rng.randrange(3) + text + " " * self.rng.randrange(3)

    def quote(self, text):
        needed = any(c in text for c in (*self.delimiter, '"', "\n"))
        some = self.quoting == "some" and self.rng.random() < 0.3
        if needed or some or self.quoting == "all":
            return '"' + text.replace('"', '""') + '"'
        return text

    def join(self, user, item, number):
        fields = ["x", "y"][: self.extra]
        for position, text in sorted(
            zip(self.order, map(self.quote, (user, item, number)), strict=True)
        ):
            fields.insert(position, text)
        return self.delimiter.join(map(self.pad, fields))

    def spoil(self, user, item, number):
        if self.fault == "no user":
            return self.join("", item, number)
        if self.fault == "no item":
            return self.join(user, " ", number)
        if self.fault == "few":
            return self.delimiter.join(["a", "b"])
        if self.fault == "many":
            return self.delimiter.join([self.join(user, item, number), "x"])
        if self.fault in ("open", "text"):
            user = '"ab' if self.fault == "open" else '"ab"c'
            fields = ["x"] * (3 + self.extra)
            fields[self.order[0]], fields[self.order[2]] = user, "4"
            return self.delimiter.join(fields)
        if self.fault == "NUL":
            return self.join(user, item, number) + "\0"
        if self.fault == "huge":
            return self.join("u" * 1001, item, number)
        return self.join(user, item, self.fault)

    def write(self, folder):
        text = self.end.join(self.lines) + self.end * self.ends_with_line_end
        content = text.encode(self.encoding)
        if self.compression == "gzip":
            content = gzip.compress(content, mtime=0)
        elif self.compression == "zip":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(zipfile.ZipInfo("inner.csv"), content)
            content = buffer.getvalue()
        return write(folder / self.name, content)

    def options(self):
        names = ("user", "item", "rating")
        return {
            "columns": names if self.header == "names" else tuple(self.order),
            "header": self.header != "none",
            "delimiter": self.delimiter,
        }

    def expected(self):
        """The truth by pairs; ids are integers where that loses nothing."""
        types = []
        for ids in zip(*self.triples, strict=True):
            try:
                lossless = all(
                    str(int(each)) == each and -(2**63) <= int(each) < 2**63
                    for each in ids
                )
            except ValueError:
                lossless = False
            types.append(int if lossless else str)
        return {
            (types[0](user), types[1](item)): float(number)
            for user, item, number in self.triples
        }


def read_lines(path, written):
    """User, item, rating and line number of each line, as they stand in the file."""
    reader = RatingReader(str(path), **written.options(), max_id_length=1000)
    ratings = reader.read(partial(open, path, "rb"), written.encoding)
    ids = []
    for column in (reader.users, reader.items):
        texts, codes = column.pop()
        ids.append([texts[code].strip() for code in codes])
    lines = [reader.lines(index) for index in range(len(ratings))]
    return list(zip(*ids, ratings.tolist(), lines, strict=True))


@pytest.mark.parametrize("seed", range(200))
def test_files_are_read_right_or_refused_with_their_line(
    seed, tmp_path, monkeypatch, general_reader
):
    written = Written(seed)
    path = written.write(tmp_path)
    monkeypatch.setattr(_text, "_BLOCK", written.block)
    if seed % 2:  # without a table of distinct ratings
        monkeypatch.setattr(_rating_file, "_MAX_DISTINCT_RATINGS", 0)
    options = written.options() | {"encoding": written.encoding}
    where = f"{path}, line "
    if written.fault is not None:
        fault = FAULTS[written.fault]
        if written.fault == "open":  # a later quote may close it
            fault += f"|{FAULTS['text']}"
        message = f"^{re.escape(where)}{written.fault_line}: ({fault})"
        for general in (False, True):
            general_reader(general)
            with pytest.raises(ValueError, match=message):
                load_ratings_csv(path, **options)
        return
    assert to_dict(load_ratings_csv(path, **options)) == written.expected()
    lines = [
        (user, item, float(number), f"{where}{line}")
        for (user, item, number), line in zip(
            written.triples, written.numbers, strict=True
        )
    ]
    assert read_lines(path, written) == lines
    general_reader(True)
    assert read_lines(path, written) == lines


def test_both_readers_are_at_work(monkeypatch, tmp_path):
    counts = {"plain": 0, "general": 0}
    for name in counts:
        method = getattr(RatingReader, f"_read_{name}")

        def count(self, block, method=method, name=name):
            result = method(self, block)
            counts[name] += 1
            return result

        monkeypatch.setattr(RatingReader, f"_read_{name}", count)
    for seed in range(30):
        written = Written(seed)
        if written.fault is None:
            monkeypatch.setattr(_text, "_BLOCK", written.block)
            path = written.write(tmp_path)
            load_ratings_csv(path, **written.options(), encoding=written.encoding)
    assert min(counts.values()) > 10


def read_or_refuse(content, columns, header, delimiter):
    """Lines, or the message of the error."""
    reader = RatingReader(
        "f", columns=columns, header=header, delimiter=delimiter, max_id_length=10
    )
    try:
        ratings = reader.read(lambda: io.BufferedReader(io.BytesIO(content)), "utf-8")
    except ValueError as error:
        return str(error)
    ids = []
    for column in (reader.users, reader.items):
        texts, codes = column.pop()
        ids.append([texts[code].strip() for code in codes])
    lines = map(reader.lines, range(len(ratings)))
    return list(zip(*ids, ratings.tolist(), lines, strict=True))


def test_both_readers_agree_on_spoiled_files(general_reader, monkeypatch):
    rng = random.Random(0)
    n_read = 0
    for _ in range(600):
        delimiter = rng.choice([",", ",", "\t", "::", " "])
        names = ["user", "item", "rating", "when"][: rng.choice([3, 4])]
        lines = [names] if rng.random() < 0.5 else []
        header = bool(lines)
        for _ in range(rng.choice([1, 2, 5])):
            fields = ["".join(rng.choices("ab1é", k=2)) for _ in names]
            fields[2] = rng.choice(["4", "4.5", ".5", "1e3"])
            is_quoted = rng.random() < 0.2
            lines.append([f'"{field}"' if is_quoted else field for field in fields])
        end = rng.choice(["\n", "\r\n", "\r"])
        text = end.join(map(delimiter.join, lines)) + "\n"
        parts = [
            '"',
            '""',
            delimiter,
            "\n",
            "\r",
            " ",
            "\t",
            "x",
            "\x1f",
            "-",
            ".",
            ' "',
        ]
        for _ in range(rng.choice([0, 1, 1, 3])):
            position = rng.randrange(len(text))
            rest = text[position + rng.choice([0, 1]) :]
            text = text[:position] + rng.choice(parts) + rest
        args = text.encode(), rng.choice([(0, 1, 2), (1, 0, 2)]), header, delimiter
        general_reader(True)
        monkeypatch.setattr(_text, "_BLOCK", 2**20)
        monkeypatch.setattr(_rating_file, "_PART", rng.choice([1, 20, 2**14]))
        expected = read_or_refuse(*args)
        n_read += isinstance(expected, list)
        for general in (False, True):
            general_reader(general)
            monkeypatch.setattr(_text, "_BLOCK", rng.choice([3, 10, 40, 2**20]))
            assert read_or_refuse(*args) == expected
    assert 150 < n_read < 450


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("sep", [",", ";"])
def test_against_pandas(path, quoting, sep, general_reader, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = rng.choice(60 * 50, 300, replace=False)
    table = pd.DataFrame(
        {
            "user": pairs // 50 - 5,
            "when": rng.integers(10**9, size=300),
            "item": [f"item {j:x}, é" for j in pairs % 50],
            "rating": rng.normal(size=300) * 10.0 ** rng.integers(-5, 5, 300),
        }
    )
    table.to_csv(path, index=False, quoting=quoting, sep=sep)
    read = pd.read_csv(path, sep=sep)
    np.testing.assert_allclose(read["rating"], table["rating"], rtol=1e-11)
    expected = {
        (user, item): rating
        for user, item, rating in zip(
            read["user"], read["item"], table["rating"], strict=True
        )
    }
    options = {"columns": ("user", "item", "rating"), "delimiter": sep}
    for block in (1000, 2**20):
        monkeypatch.setattr(_text, "_BLOCK", block)
        for general in (False, True):
            general_reader(general)
            assert to_dict(load_ratings_csv(path, **options)) == expected


def test_records_are_those_of_csv():
    rng = random.Random(0)
    splitter = RecordSplitter(",")
    n_faults = 0
    for _ in range(5000):
        text = "".join(rng.choices('a"",\n"b', k=rng.randint(1, 14))) + "\n"
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            expected = [fields or [""] for fields in reader]
        except csv.Error:
            n_faults += 1
            try:
                records = list(splitter.split(text))
            except RecordFault:
                continue
            assert not records or records[-1][1] < len(text)
            continue
        found = list(splitter.split(text))
        assert [fields for *_, fields in found] == expected
        assert "".join(text[start:end] for start, end, _ in found) == text
    assert 500 < n_faults < 4500


def test_blanks_about_quotes():
    for delimiter, blank in [(",", " \t"), ("\t", " "), (" ", "\t")]:
        text = delimiter.join([f'{blank}"a{delimiter}""b"{blank}', f"{blank}c", "d"])
        ((_, _, fields),) = RecordSplitter(delimiter).split(text + "\n")
        assert fields == [f'a{delimiter}"b', f"{blank}c", "d"]


# Single faults and decisions.


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "1,2,3\n",
            {},
            "some.csv, line 1: '1,2,3' looks like a rating, but header=True takes it "
            "for names. If it is a rating, pass header=False; if it holds names, pass "
            "columns=(...) with the names of users, items and ratings.",
        ),
        (
            HEADER + "1,2,3\n",
            {"header": False},
            "some.csv, line 1: the rating is 'rating', not a finite number. Correct or "
            "drop the line. If the first line holds names, pass header=True.",
        ),
        (
            "\n" + HEADER + "\n1,2,3\n2,2,4;5\n",
            {},
            "some.csv, line 5: the rating is '4;5', not a finite number. Correct or "
            "drop the line.",
        ),
        (
            "user;item;rating\n1;2;3,5\n",
            {"delimiter": ";"},
            "some.csv, line 2: the rating is '3,5'. Write decimals with a point, not a "
            "comma.",
        ),
        (
            HEADER + "1,2,3\n1,2\n",
            {},
            "some.csv, line 3: 2 fields, separated by ',', where 3 are needed. Is the "
            "delimiter right, and are texts that contain it in quotes?",
        ),
        (
            HEADER.replace(",", ";") + "1;2;3\n",
            {"columns": (1, 0, 2)},
            "columns=(1, 0, 2) has the number 1, counted from 0, but the header of ",
        ),
        (
            "user,item,rating,time\n1,2,3\n",
            {},
            "some.csv, line 2: 3 fields, separated by ',', where the header has 4. Is",
        ),
        (
            HEADER + "1;2;3\n",
            {},
            "some.csv, line 2: 1 field, separated by ',', where 3 are needed. Is the",
        ),
        (
            "ann,4,Brazil\nann,5,Alien, Covenant\n",
            {"header": False, "columns": (0, 2, 1)},
            "some.csv, line 2: 4 fields, separated by ',', where the first line has 3.",
        ),
        (
            "sep=;\nuser;item;rating\n1;2;3\n",
            {"delimiter": ";"},
            "some.csv, line 1: it tells Excel the delimiter. Remove the line, and pass "
            "delimiter=';'.",
        ),
        (
            '"sep=\t"\n1\t2\t3\n',
            {"header": False},
            "some.csv, line 1: it tells Excel the delimiter. Remove the line, and pass "
            "delimiter='\\t'.",
        ),
        (",,\n", {"header": False}, "some.csv, line 1: the user is missing."),
        (
            "ann,Alien,nan\n",
            {},
            "some.csv, line 1: 'ann,Alien,nan' looks like a rating, but header=True",
        ),
        ("ann,Alien,\\N\n", {}, "some.csv, line 1: 'ann,Alien,\\\\N' looks like a rat"),
        (
            "1;2;good\n",
            {"delimiter": ";"},
            "some.csv, line 1: '1;2;good' looks like a rating, but header=True",
        ),
        (
            "ann;Alien;3,5\n",
            {"delimiter": ";"},
            "some.csv, line 1: 'ann;Alien;3,5' looks like a rating, but header=True",
        ),
        (
            "Unnamed: 0,user,item,rating\n0,1,2,3\n",
            {},
            "Column 0 of some.csv, counted from 0, has no name, as an index that was ",
        ),
        (
            HEADER + "1,2,3\nNA,2,4\n3,\\N,4\n",
            {},
            "some.csv, line 3: the user is 'NA', the text of a missing value; all "
            "others are integers. Drop the line, or pass id_type=str.",
        ),
        (
            HEADER + "1,2,3\nann,\\N,4\n",
            {},
            "some.csv, line 3: the item is '\\\\N', the text of a missing value",
        ),
        (
            HEADER + "1,a, b,3\n",
            {},
            "some.csv, line 2: 4 fields, separated by ',', where the header has 3. Is "
            "the delimiter right, and are texts that contain it in quotes?",
        ),
        (
            "1,2\n",
            {"header": False},
            "some.csv, line 1: 2 fields, separated by ',', where 3 are needed. Is the "
            "delimiter right, and are texts that contain it in quotes?",
        ),
        (
            HEADER + '1,2,3\n2,"a,3\n3,b,4\n',
            {},
            "some.csv, line 3: a field begins with a quote that is not closed. Close "
            'it, or write the whole field in quotes, and each " in it as "".',
        ),
        (
            'user,"item,rating\n1,2,3\n',
            {},
            "some.csv, line 1: a field begins with a quote that is not closed. Close "
            'it, or write the whole field in quotes, and each " in it as "".',
        ),
        (
            HEADER + '1,2,3\n2,"a"b,3\n',
            {},
            'some.csv, line 3: a closing quote is followed by text. Write " within '
            'quotes as "".',
        ),
        (
            'user,item,rating,a,b\n1,2,3,",x"y\n',
            {},
            "some.csv, line 2: a closing quote is followed by text.",
        ),
        (HEADER + "1,2\n3,4,5,6\n", {}, "some.csv, line 2: 2 fields, separated by"),
        ("1,2\n3,4,5,6\n", {"header": False}, "some.csv, line 1: 2 fields, separated"),
        (
            HEADER + "1,,3",
            {},
            "some.csv, line 2: the item is missing. Correct or drop ",
        ),
        (HEADER + "1,2,\u0663", {}, "some.csv, line 2: the rating is '\u0663', not a"),
        (
            HEADER + "a" * 2000 + ",2,3",
            {},
            f"some.csv, line 2: the user has 2,000 characters: '{'a' * 79}.... Is the "
            "delimiter right, and is each quote closed? If so, pass "
            "max_id_length=2000.",
        ),
        (
            HEADER + "1,2,3" + "x" * 2**21,
            {},
            "some.csv, line 2: it is longer than 1,048,576 bytes. Is this a text file "
            "with one rating in each line?",
        ),
        (
            HEADER + "1,2,3\n1,x\0",
            {},
            "some.csv, line 3: it holds a NUL byte, so this is no text, or has another "
            "encoding. Correct it, or pass its encoding, such as encoding='utf-16'.",
        ),
        ("user,item,rating\r1,2,3\r\0", {}, "some.csv, line 3: it holds a NUL byte"),
        (
            (HEADER + "1,2,3\n").encode("utf-16"),
            {},
            "some.csv, line 1: invalid start byte, so this is not text in utf-8-sig. "
            "Correct it, or pass its encoding, such as encoding='utf-16'.",
        ),
        (
            (HEADER + "1,2,3\n").encode("utf-32"),
            {},
            "some.csv, line 1: invalid start byte, so this is not text in utf-8-sig. "
            "Correct it, or pass its encoding, such as encoding='utf-32'.",
        ),
        (
            (HEADER + "1,2,3\n").encode("utf-32"),
            {"encoding": "UTF_16"},
            "some.csv, line 1: it holds a NUL byte, so this is no text, or has another "
            "encoding. Correct it, or pass its encoding, such as encoding='utf-32'.",
        ),
        (
            codecs.BOM_UTF8 + HEADER.encode() + b"1,2,3\n\xe9,2,3\n",
            {},
            "some.csv, line 3: invalid continuation byte, so this is not text in utf-",
        ),
        (
            (HEADER + "1,2,3\n").encode() + b"\x81,2,3",
            {"encoding": "cp1252"},
            "some.csv, line 3: character maps to <undefined>, so this is not text in "
            "cp1252. Correct it, or pass its encoding, such as encoding='utf-8'.",
        ),
        (
            (HEADER + "1,2,3\r1,\xe9,3\n").encode("latin-1"),
            {},
            "some.csv, line 3: invalid continuation byte, so this is not text in "
            "utf-8-sig. Correct it, or pass its encoding, such as encoding='cp1252'.",
        ),
        (
            (HEADER + "1,2,3").encode("utf-16")[:-1],
            {"encoding": "utf-16"},
            "some.csv, line 2: truncated data, so this is not text in utf-16. Correct "
            "it, or pass its encoding, such as encoding='utf-8'.",
        ),
        (
            (HEADER + "1,2,+2AA-").encode(),
            {"encoding": "utf-7"},
            "some.csv, line 2: ",
        ),
        (
            HEADER,
            {"encoding": "klingon"},
            "encoding='klingon' is not an encoding of text that Python knows. Pass one "
            "such as 'utf-8', 'cp1252' or 'utf-16'.",
        ),
        (HEADER, {"encoding": "hex"}, "encoding='hex' is not an encoding of text"),
        ("", {}, "some.csv holds no rating: it is empty."),
        ("\n \n", {}, "some.csv holds no rating: it is empty."),
        ("\n", {"header": False}, "some.csv holds no rating: it is empty."),
        (HEADER, {}, "some.csv holds no rating: it is empty but for its header."),
        (
            HEADER,
            {"columns": ("user", "item", "stars")},
            "some.csv has no column 'stars' but ['user', 'item', 'rating']. Pass "
            "columns=(...) with other names, or with numbers from 0.",
        ),
        (
            "user,rating,item, rating \n",
            {"columns": ("user", "item", "rating")},
            "some.csv has 2 columns 'rating' but ['user', 'rating', 'item', 'rating'].",
        ),
        (
            HEADER,
            {"columns": (0, 1, 3)},
            "columns=(0, 1, 3) has the number 3, counted from 0, but the header of "
            "some.csv is ['user', 'item', 'rating']. Is the delimiter right?",
        ),
        (
            ",user,item,rating\n0,1,2,3\n",
            {},
            "Column 0 of some.csv, counted from 0, has no name, as an index that was "
            "written beside the columns: ['', 'user', 'item', 'rating']. Pass "
            "columns=(...) with the names of users, items and ratings.",
        ),
        (
            HEADER,
            {"columns": (0, "user", "rating")},
            "columns=(0, 'user', 'rating') are not three different columns of some.csv",
        ),
        (
            HEADER,
            {"columns": ("user", "item", "rating"), "header": False},
            "columns=('user', 'item', 'rating') has names, which need a header. Pass "
            "numbers from 0, or header=True.",
        ),
        (
            "user,item,\n1,2,3\n",
            {"columns": ("user", "item", "")},
            "columns should be three different names, or numbers from 0, of users, ",
        ),
        (HEADER, {"columns": (0, 1)}, "columns should be three different names, or "),
        (HEADER, {"columns": (0, 1, 1)}, "columns should be three different names"),
        (HEADER, {"columns": (0, 1, -1)}, "columns should be three different names"),
        (HEADER, {"columns": (0, 2, True)}, "columns should be three different names"),
        (HEADER, {"columns": (0, 1, [2])}, "columns should be three different names"),
        (HEADER, {"columns": (0, 1, np.True_)}, "columns should be three different na"),
        (HEADER, {"columns": (0, 1, 2.0)}, "columns should be three different names"),
        (HEADER, {"id_type": float}, "id_type should be int, str or None, but got"),
        (
            HEADER + "1,1,1\nx,1,1\ny,1,1\n",
            {"id_type": int},
            "some.csv, line 3: the user is 'x', not an integer of 64 bits. If ids are "
            "not integers throughout, pass id_type=str.",
        ),
        (
            HEADER + f"1,1,1\n1,{2**63},1\n",
            {"id_type": int},
            "some.csv, line 3: the item is '9223372036854775808', not an integer of",
        ),
        (HEADER + "1,1.5,1", {"id_type": int}, "some.csv, line 2: the item is '1.5'"),
        (HEADER + "1_0,1,1", {"id_type": int}, "some.csv, line 2: the user is '1_0'"),
    ],
)
def test_faults(path, content, options, message, monkeypatch):
    monkeypatch.chdir(path.parent)
    write(path, content)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        load_ratings_csv(path.name, **options)


@pytest.mark.parametrize(
    "delimiter",
    ["", "\n", "\r", "\0", '"', "'", ".", "-", "+", "_", "1", "e", ",x", "\ud800"],
)
def test_delimiters_that_cannot_separate(path, delimiter):
    with pytest.raises(
        ValueError, match=r"^delimiter=.* cannot separate fields\. Pass"
    ):
        load_ratings_csv(write(path, HEADER + "1,2,3"), delimiter=delimiter)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_ratings_csv(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError):
        load_ratings_csv(tmp_path)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        # Fields after the last one that the header names may be empty.
        (HEADER + "1,2,3,\n1,3,4, ,\n", {}, {(1, 2): 3, (1, 3): 4}),
        ("user,item,rating,\n1,2,3\n1,3,4,\n", {}, {(1, 2): 3, (1, 3): 4}),
        # Without a header the first line sets the number of fields.
        ("1,2,3\n1,3,4,,\n", {"header": False}, {(1, 2): 3, (1, 3): 4}),
        ("1,2,3,,\n1,3,4\n", {"header": False}, {(1, 2): 3, (1, 3): 4}),
        ("1,2,3,x\n1,3,4,\n", {"header": False}, {(1, 2): 3, (1, 3): 4}),
        # Names that are numbers, as pandas writes them.
        ("0,1,2\n5,6,1\n", {"columns": ("0", "1", "2")}, {(5, 6): 1}),
        ("2,0,1\n5,6,1\n", {"columns": [0, "0", "1"]}, {(5, 6): 1}),
        # Blanks, no-break spaces among them.
        (HEADER + ' 1,"\xa02 " ,\t3\n1\xa0, 3,4\n', {}, {(1, 2): 3, (1, 3): 4}),
        (HEADER + "1 ,2,3\n 1,3, 4 \n", {}, {(1, 2): 3, (1, 3): 4}),
        (HEADER + "1 ,2,3\n 1,3,4\n", {}, {(1, 2): 3, (1, 3): 4}),
        (HEADER + "1 ,a,3\n1,a\t,4\n", {"duplicates": "mean"}, {(1, "a"): 3.5}),
        # Tabs only are a blank line, though they delimit.
        ("u\ti\tr\n\t\t\n1\t2\t3\n", {"delimiter": "\t"}, {(1, 2): 3}),
        ("u i r\n1 2 3\n", {"delimiter": " "}, {(1, 2): 3}),
        (
            "1\x1f2::3\x1f::4",
            {"delimiter": "::", "header": False},
            {("1\x1f2", "3\x1f"): 4},
        ),
        # Ids: one type for the whole column.
        (HEADER + "7,2,3\nx,2,4\n", {}, {("7", 2): 3, ("x", 2): 4}),
        (HEADER + "+1,-1,3\n", {}, {("+1", -1): 3}),
        (HEADER + "-0,1.5,3\n", {}, {("-0", "1.5"): 3}),
        # Whole floats, which pandas makes of integers beside missing values.
        (HEADER + "1.0,-2.00,3\n1,3,4\n", {}, {(1, -2): 3, (1, 3): 4}),
        (
            HEADER + "1.0,x,3\n1,x,4\n",
            {"id_type": str},
            {("1.0", "x"): 3, ("1", "x"): 4},
        ),
        (HEADER + "1.0,1.00,3\n1,01.0,4\n", {}, {(1, "1.00"): 3, (1, "01.0"): 4}),
        (HEADER + "1.0,+01.0,3\n", {"id_type": int}, {(1, 1): 3}),
        (
            HEADER + "0" * 5000 + "7,1,3\n",
            {"id_type": int, "max_id_length": 9000},
            {(7, 1): 3},
        ),
        # Texts of missing values are ids beside other texts.
        (HEADER + "NA,x,3\nDE,NULL,4\n", {}, {("NA", "x"): 3, ("DE", "NULL"): 4}),
        (HEADER + "NA,1,3\n", {}, {("NA", 1): 3}),
        # Blanks are spaces and tabs; control characters belong to ids.
        (
            HEADER + "a\x85,\x1cb,3\na,\u3000b\u2003\t,4\n",
            {},
            {("a\x85", "\x1cb"): 3, ("a", "b"): 4},
        ),
        # A number of a column before those that are needed.
        (",user,item,rating\n0,1,2,3\n", {"columns": (1, 2, 3)}, {(1, 2): 3}),
        (HEADER + f"{2**63},{-(2**63)},3\n", {}, {(str(2**63), -(2**63)): 3}),
        (HEADER + "\u0661,1,3\n", {}, {("\u0661", 1): 3}),
        (HEADER + "007,+1,3\n7,2,4\n", {"id_type": int}, {(7, 1): 3, (7, 2): 4}),
        (HEADER + "10,2,3\n9,2,4\n", {"id_type": str}, {("10", "2"): 3, ("9", "2"): 4}),
        (HEADER + "a\u0301,b\n,3\n".replace("b\n", '"b\n"'), {}, {("a\u0301", "b"): 3}),
        ("\ufeff" + HEADER + "1,2,3", {"columns": ("user", 1, 2)}, {(1, 2): 3}),
        ("\ufeff1,2,3", {"header": False}, {(1, 2): 3}),
        (HEADER + "u" * 70 + ",2,3", {"max_id_length": 70}, {("u" * 70, 2): 3}),
    ],
)
@pytest.mark.parametrize("general", [False, True])
def test_decisions(path, content, options, expected, general, general_reader):
    general_reader(general)
    assert to_dict(load_ratings_csv(write(path, content), **options)) == expected


def test_parts_of_blocks(path, monkeypatch, general_reader):
    """A line that is not plain leaves the other parts of its block to numpy."""
    monkeypatch.setattr(_rating_file, "_PART", 100)
    n_general = 0
    read_general = RatingReader._read_general

    def count(self, block):
        nonlocal n_general
        rest = read_general(self, block)
        n_general += block.count(b"\n") - rest.count(b"\n")
        return rest

    monkeypatch.setattr(RatingReader, "_read_general", count)
    lines = [f"{i},item {i % 7},{i % 5}\n" for i in range(300)]
    # A record over several parts, whose lines look like ratings, and a blank line.
    lines[70] = '70,"a\n' + "1,2,3\n" * 60 + '",4\n'
    lines[200] = "\n" + lines[200]
    write(path, HEADER + "".join(lines))
    bunch = load_ratings_csv(path)
    assert 70 < n_general < 110
    assert bunch.data.nnz == len(bunch.user_ids) == 300
    general_reader(True)
    assert to_dict(load_ratings_csv(path)) == to_dict(bunch)
    write(path, HEADER + "".join(lines) + "x,y\n")
    with pytest.raises(ValueError, match="line 364: 2 fields"):
        load_ratings_csv(path)


def test_batches_share_their_ids(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = rng.choice(50 * 20, 500, replace=False)
    users, items, ratings = pairs // 20, pairs % 20, rng.integers(1, 6, 500)
    table = pd.DataFrame({"u": users, "i": items, "r": ratings})
    path = tmp_path / "some.csv.gz"
    table.to_csv(path, index=False)
    expected = table.pivot(index="u", columns="i", values="r").fillna(0)
    for block in (7, 100, 10_000):
        monkeypatch.setattr(_text, "_BLOCK", block)
        bunch = load_ratings_csv(str(path))
        np.testing.assert_array_equal(bunch.data.toarray(), expected)
        np.testing.assert_array_equal(bunch.user_ids, expected.index)
        np.testing.assert_array_equal(bunch.item_ids, bunch.encoder.items_)


def test_duplicates(path):
    write(path, "007\t1\t2\n008\t1\t3\n007\t1\t4\n")
    options = {"header": False, "delimiter": "\t"}
    with pytest.raises(ValueError, match="User 007 rates item 1 more than once"):
        load_ratings_csv(path, **options)
    bunch = load_ratings_csv(path, **options, duplicates="mean")
    assert bunch.user_ids.tolist() == ["007", "008"]
    np.testing.assert_array_equal(bunch.data.toarray(), [[3], [3]])


def test_encoder_names_lines_of_the_file(path):
    """Blank lines and line ends within quotes count."""
    content = HEADER + '1,2,3\n\n1,"a\nb",4\n\n2,2,{}\n{},3,1\n'
    write(path, content.format("9", "3"))
    options = {"rating_range": (1, 5)}
    with pytest.raises(ValueError, match=r"The rating 9 in .*some\.csv, line 7 is"):
        load_ratings_csv(path, **options)
    bunch = load_ratings_csv(path, **options, out_of_range="missing")
    expected = {(1, "2"): 3, (1, "a\nb"): 4, (3, "3"): 1}
    assert to_dict(bunch) == expected
    assert bunch.user_ids.tolist() == [1, 2, 3]
    assert bunch.encoder.rating_range == (1, 5)
    bunch = load_ratings_csv(path, **options, out_of_range="clip")
    assert to_dict(bunch) == expected | {(2, "2"): 5}
    for missing in ("nan", "<NA>", "NaT", "None"):
        write(path, content.format("5", missing))
        with pytest.raises(
            ValueError, match=rf"users is '{missing}' in .*, line 8, the"
        ):
            load_ratings_csv(path)


# Compressed files.


def make_zip(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Of a fixed date, so that the bytes are the same each time.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return bytearray(buffer.getvalue())


def test_zip(path):
    content = HEADER + "1,2,3\n"
    archive = make_zip(**{"a/": "", "a/b": content, "__MACOSX/a/._b": "\0"})
    assert to_dict(load_ratings_csv(write(path, bytes(archive)))) == {(1, 2): 3}
    for files, fault in [
        ({"a": content, "b": content}, r"of 2 files \(a, b\), where one is needed"),
        ({}, r"of 0 files \(none\), where one is needed\. Unpack it"),
    ]:
        write(path, bytes(make_zip(**files)))
        with pytest.raises(ValueError, match=f"is a zip archive {fault}"):
            load_ratings_csv(path)
    archive = make_zip(a=content)
    write(path, bytes(archive[:-30]))
    with pytest.raises(
        ValueError, match=r"is a broken zip archive: .*Make or download"
    ):
        load_ratings_csv(path)
    central = archive.index(b"PK\x01\x02")
    changed = archive.copy()
    changed[central + 9], changed[central + 46] = 8, 255  # a name that is not in UTF-8
    write(path, bytes(changed))
    with pytest.raises(ValueError, match=r"some\.csv is a broken zip archive: 'utf-8'"):
        load_ratings_csv(path)
    # The flag and the method of compression, in both headers of the member.
    for offsets, value, fault in [
        ((6, central + 8), 1, r": a is protected by a password\. Unpack it first"),
        ((8, central + 10), 99, r": a cannot be unpacked: .*Unpack it by another"),
    ]:
        changed = archive.copy()
        for offset in offsets:
            changed[offset] = value
        write(path, bytes(changed))
        with pytest.raises(ValueError, match=f"some.csv{fault}"):
            load_ratings_csv(path)


def test_workbooks_and_archives_in_archives(path):
    content = (HEADER + "1,2,3\n").encode()
    old_workbook = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
    for workbook in (
        old_workbook,
        gzip.compress(old_workbook),
        bytes(make_zip(**{"[Content_Types].xml": "<xml>", "xl/workbook.xml": "<xml>"})),
    ):
        write(path, workbook)
        with pytest.raises(
            ValueError, match=r"some\.csv is a workbook of Excel\. Save"
        ):
            load_ratings_csv(path)
    compressed = gzip.compress(content, mtime=0)
    for twice in (
        gzip.compress(compressed),
        gzip.compress(bytes(make_zip(a=content))),
        bytes(make_zip(a=compressed)),
    ):
        write(path, twice)
        with pytest.raises(ValueError, match=r"some\.csv is compressed twice\. Decom"):
            load_ratings_csv(path)
    write(path, gzip.compress(bz2.compress(content)))
    with pytest.raises(ValueError, match=r"some\.csv is compressed by bzip2, which"):
        load_ratings_csv(path)


@pytest.mark.parametrize("kind", ["zip", "gzip"])
def test_changed_bytes_of_an_archive(path, kind):
    """Each archive is read as it was, or refused by an error that names it."""
    content = HEADER + "".join(f"{i},{7 * i % 13},3\n" for i in range(50))
    whole = (
        make_zip(a=content)
        if kind == "zip"
        else gzip.compress(content.encode(), mtime=0)
    )
    rng = random.Random(0)
    messages = []
    n_files = 800 if kind == "zip" else 200
    for _ in range(n_files):
        archive = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            # Mostly in the headers, at both ends.
            position = rng.choice([rng.randrange(len(archive)), rng.randrange(-90, 40)])
            archive[position] = rng.choice([0, 1, 255, rng.randrange(256)])
        write(path, bytes(archive))
        try:
            bunch = load_ratings_csv(path)
        except ValueError as error:
            messages.append(str(error))
        else:
            assert bunch.data.nnz == 50
    assert n_files / 2 < len(messages) < n_files
    assert all(str(path) in message for message in messages)


def test_broken_compression_names_the_line(path):
    rng = random.Random(0)
    lines = [f"{i},{rng.random()},3\n" for i in range(20_000)]
    content = (HEADER + "".join(lines)).encode()
    archive = bytes(make_zip(a=content))
    compressed = gzip.compress(content, mtime=0)
    half = len(compressed) // 2
    cases = [
        compressed[:half],
        compressed[:-8] + bytes(8),
        compressed[:half] + b"\xff" * 20 + compressed[half + 20 :],
        compressed + b"text",
        archive[: half * 3 // 2] + b"\xff" * 20 + archive[half * 3 // 2 + 20 :],
    ]
    for broken in cases:
        write(path, broken)
        with pytest.raises(ValueError, match=r"line \d+: ") as e:
            load_ratings_csv(path)
        line = int(re.search(r"line (\d+)", str(e.value))[1])
        assert 5_000 < line <= 20_002
    for start, kind in [
        (bz2.compress(b"x"), "bzip2"),
        (lzma.compress(b"x"), "xz"),
        (b"(\xb5/\xfd", "zstd"),
    ]:
        write(path, start + b"...")
        with pytest.raises(ValueError, match=f"is compressed by {kind}, which is not"):
            load_ratings_csv(path)


@pytest.mark.parametrize("mark", [False, True])
def test_first_fault_is_named(path, monkeypatch, mark):
    """A bad line before bytes that cannot be decoded is named, and not these."""
    content = HEADER.encode() + b"1,\xc3\xa9,3\r1,3,%s\r\xff,1,3\r"
    if mark:
        content = codecs.BOM_UTF8 + content
    for block in (*range(1, 40), 2**20):
        monkeypatch.setattr(_text, "_BLOCK", block)
        write(path, content % b"x")
        with pytest.raises(ValueError, match="line 3: the rating is 'x'"):
            load_ratings_csv(path)
        write(path, content % b"4")
        with pytest.raises(ValueError, match="line 4: invalid start byte, so this is"):
            load_ratings_csv(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16"])
def test_byte_order_marks(path, encoding, monkeypatch):
    write(path, ("\ufeffuser,item,rating\n\ufeff1,2,3\n").encode(encoding))
    for block in (*range(1, 50), 2**20):  # one of which begins at the second mark
        monkeypatch.setattr(_text, "_BLOCK", block)
        bunch = load_ratings_csv(path, columns=("user", 1, 2), encoding=encoding)
        assert to_dict(bunch) == {("\ufeff1", 2): 3}  # only the first is a mark


def test_endless_lines_are_not_read(path, monkeypatch):
    monkeypatch.setattr(_text, "_BLOCK", 1000)
    monkeypatch.setattr(_text, "MAX_LINE", 5000)
    monkeypatch.setattr("sklearn_gmmcf.datasets._rating_file.MAX_LINE", 5000)
    write(path, HEADER + "1,2,3\n" + "1" * 6000 + "\n2,2\n")
    with pytest.raises(ValueError, match="line 3: it is longer than 5,000 bytes"):
        load_ratings_csv(path)
    # A quote that is never closed is not looked for to the end of the file.
    write(path, HEADER + '1,"2,3\n' + "1,2,3\n" * 5000 + "\0")
    with pytest.raises(ValueError, match="line 2: a field begins with a quote"):
        load_ratings_csv(path)


def test_long_records_are_named_as_such(path, monkeypatch):
    monkeypatch.setattr("sklearn_gmmcf.datasets._rating_file.MAX_LINE", 500)
    monkeypatch.setattr(_text, "_BLOCK", 100)
    write(path, HEADER + '1,"' + "a\n" * 400 + '",3\n')
    with pytest.raises(
        ValueError, match=r"line 2: .* not closed, or longer than 500 b"
    ):
        load_ratings_csv(path)


def test_long_records_are_split_few_times(path, monkeypatch):
    """Parts grow with the record in which they end."""
    monkeypatch.setattr(_rating_file, "_PART", 50)
    n_split = 0
    split = RecordSplitter.split

    def count(self, text):
        nonlocal n_split
        n_split += len(text)
        return split(self, text)

    monkeypatch.setattr(RecordSplitter, "split", count)
    content = HEADER + '1,"' + "a\n" * 20_000 + '",3\n'
    bunch = load_ratings_csv(write(path, content), max_id_length=10**6)
    assert bunch.data.nnz == 1
    assert n_split < 4 * len(content)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "1,2,3,\n4,5,6,\n",
        HEADER + "1,2,3,,\n4,5,6,,\n",
        HEADER + '1,"2",3,""\n4,5,6,\n',
        "user, item, rating\n1, 2, 3\n4, 5, 6\n",
        'user, item, rating\n1, "2", "3"\n4, 5, "6"\n',
        " user,item,rating\n 1, 2,3\n4,5, 6\n",
    ],
)
def test_lines_that_numpy_reads(path, content, monkeypatch):
    monkeypatch.setattr(RatingReader, "_read_general", None)
    bunch = load_ratings_csv(write(path, content))
    assert to_dict(bunch) == {(1, 2): 3, (4, 5): 6}


# Memory.


def get_peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_plain_lines(path, monkeypatch):
    monkeypatch.setattr(_text, "_BLOCK", 2**15)
    n_lines = 40_000
    users, items = np.divmod(np.random.default_rng(0).permutation(n_lines), 200)
    pd.DataFrame({"u": users, "i": items, "r": 3}).to_csv(path, index=False)
    table = 24 * n_lines
    # The buffers of one block take a constant size.
    assert get_peak(lambda: load_ratings_csv(path)) < 4 * table + 1.5e6


def test_memory_of_long_fields(path):
    short = [f"u{i % 5000},i{i // 5000},3\n" for i in range(10_000)]
    write(path, HEADER + "".join(short))
    plain = get_peak(lambda: load_ratings_csv(path))
    for text in ["v" * 1000, "v" * 100_000]:
        write(path, HEADER + "".join(short) + f"{text},i1,3\n")
        options = {"max_id_length": 100_000}
        peak = get_peak(lambda: load_ratings_csv(path, **options))  # noqa: B023
        assert peak < plain + 6e6
        bunch = load_ratings_csv(path, **options)
        assert text in bunch.user_ids.tolist()
        assert bunch.data.nnz == 10_001
    with pytest.raises(ValueError, match=r"line 10002: the user has 100,000 char"):
        load_ratings_csv(path)


# Distinct values.


@pytest.mark.parametrize("collide", [False, True])
def test_distinct_values(collide, monkeypatch):
    if collide:
        monkeypatch.setattr(
            DistinctValues, "_hash", lambda self, words: np.zeros(len(words[0]), int)
        )
    rng = random.Random(0)
    learned = [""]
    values = DistinctValues(
        lambda new: learned.extend(text.decode() for text in new.tolist())
    )
    for size in (1, 8, 9, 64, 3, 30):
        texts = ["".join(rng.choices("ab", k=rng.randint(1, size))) for _ in range(200)]
        texts[0] = "a" * size  # its words begin as those of shorter ones
        texts[1] = {64: "c" * 20, 3: "c" * 8}.get(size, "b")
        content = "".join(texts).encode()
        lengths = np.array([len(text) for text in texts])
        buffer = np.frombuffer(content + bytes(72), dtype=np.uint8)
        starts = np.cumsum(lengths) - lengths
        codes = values.encode(pack_words(buffer, starts, lengths))
        assert [learned[code] for code in codes] == texts
    assert len(set(learned)) == len(learned)


@pytest.mark.parametrize("n_words", [1, 3])
def test_colliding_values_of_one_table_are_apart_in_another(n_words):
    words = np.random.default_rng(0).integers(1, 2**63, (n_words, 200_000), np.uint64)
    words[:-1] = 7  # the last word tells values apart
    first, second = (DistinctValues(lambda new: None) for _ in range(2))
    slots = first._hash(words)
    assert np.bincount(slots).max() < 400  # about 200 in each of 1024 slots
    chosen = words[:, slots == slots[0]]
    n_chosen = chosen.shape[1]
    assert n_chosen > 100
    assert len(np.unique(second._hash(chosen))) > n_chosen / 2
    learned = []
    values = DistinctValues(lambda new: learned.extend(new.tolist()))
    codes = values.encode(chosen)
    assert sorted(codes) == list(range(1, n_chosen + 1))
    np.testing.assert_array_equal(values.encode(chosen), codes)
    other = DistinctValues(lambda new: None)
    np.testing.assert_array_equal(other.encode(chosen), codes)
    assert len(set(learned)) == n_chosen
