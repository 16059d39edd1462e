"""Ratings in files: CSV, folders, and archives from a local server."""

import gzip
import hashlib
import io
import socket
import threading
import tracemalloc
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from sklearn_gmmcf.datasets import (
    _csv,
    _movielens,
    fetch_movielens,
    load_movielens,
    load_ratings_csv,
)

# User, movie, rating, as in the files below.
RATINGS = [(2, 10, 4.0), (1, 30, 3.5), (1, 20, 5.0), (7, 10, 1.0)]
TITLES = {10: "Alien: Resurrection", 20: 'Amélie, "Le fabuleux"', 30: "", 40: "Unseen"}


def files(layout):
    """The two files of a release, as bytes."""
    if layout == "csv":
        ratings = "userId,movieId,rating,timestamp\n" + "".join(
            f"{u},{m},{r},99\n" for u, m, r in RATINGS
        )
        titles = pd.DataFrame({"movieId": TITLES.keys(), "title": TITLES.values()})
        movies = (
            titles[titles["movieId"] != 30].assign(genres="a|b").to_csv(index=False)
        )
        return {"ratings.csv": ratings.encode(), "movies.csv": movies.encode()}
    separator = "::" if layout == "dat" else "\t"
    ratings = "".join(
        separator.join([str(u), str(m), str(r), "99"]) + "\n" for u, m, r in RATINGS
    )
    separator = "::" if layout == "dat" else "|"
    movies = "".join(
        f"{m}{separator}{title}{separator}a|b\n"
        for m, title in TITLES.items()
        if m != 30
    )
    names = ("ratings.dat", "movies.dat") if layout == "dat" else ("u.data", "u.item")
    return dict(zip(names, (ratings.encode(), movies.encode("latin-1")), strict=True))


def archive(layout="csv"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ml-some/README.txt", "ratings.csv")
        for name, content in files(layout).items():
            file.writestr(f"ml-some/{name}", content)
    return buffer.getvalue()


def assert_is_movielens(bunch):
    assert bunch.user_ids.tolist() == [1, 2, 7]
    assert bunch.item_ids.tolist() == [10, 20, 30]
    assert bunch.titles.tolist() == [TITLES[m] for m in (10, 20, 30)]
    expected = {(0, 1): 5.0, (0, 2): 3.5, (1, 0): 4.0, (2, 0): 1.0}
    coo = bunch.data.tocoo()
    found = dict(zip(zip(coo.row, coo.col, strict=True), coo.data, strict=True))
    assert bunch.data.shape == (3, 3)
    assert found == expected


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """A server of files by their names; a pair is (content, claimed length)."""
    served, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path.removeprefix("/"))
            content = served.get(asked[-1])
            if content is None:
                self.send_error(404)
                return
            length = len(content)
            if isinstance(content, tuple):
                content, length = content
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(_movielens, "_MOVIELENS_URL", url)
    monkeypatch.setenv("no_proxy", "*")
    yield served, asked
    server.shutdown()
    thread.join()
    server.server_close()


def publish(monkeypatch, content, name="1m"):
    monkeypatch.setitem(_movielens._MOVIELENS_MD5, name, md5(content))


class TestFetch:
    @pytest.mark.parametrize("layout", ["csv", "dat", "u"])
    def test_success(self, layout, server, tmp_path, monkeypatch):
        served, asked = server
        served["ml-1m.zip"] = archive(layout)
        publish(monkeypatch, served["ml-1m.zip"])
        assert_is_movielens(fetch_movielens("1m", tmp_path))
        assert_is_movielens(fetch_movielens("1m", str(tmp_path)))
        assert_is_movielens(fetch_movielens("1m", tmp_path, download_if_missing=False))
        assert asked == ["ml-1m.zip"]
        assert [p.name for p in tmp_path.rglob("*.*")] == ["ml-1m.zip"]

    def test_checksum_beside_the_archive(self, server, tmp_path):
        served, asked = server
        content = archive()
        served["ml-latest-small.zip"] = content
        served["ml-latest-small.zip.md5"] = (
            b"MD5 (ml.zip) = %s\n" % md5(content).encode()
        )
        assert_is_movielens(fetch_movielens("latest-small", tmp_path))
        assert sorted(asked) == ["ml-latest-small.zip", "ml-latest-small.zip.md5"]
        (tmp_path / "movielens/ml-latest-small.zip").unlink()
        served["ml-latest-small.zip.md5"] = b"MD5 (ml.zip) = %s\n" % md5(b"").encode()
        with pytest.raises(OSError, match="MD5 checksum"):
            fetch_movielens("latest-small", tmp_path)
        served["ml-latest-small.zip.md5"] = b"<html>"
        with pytest.raises(OSError, match=r"zip\.md5 holds no MD5 checksum"):
            fetch_movielens("latest-small", tmp_path)

    def test_broken_download(self, server, tmp_path, monkeypatch):
        served, asked = server
        content = archive()
        publish(monkeypatch, content)
        served["ml-1m.zip"] = content[:-50], len(content)
        with pytest.raises(OSError, match=r"Could not download http.*ml-1m\.zip"):
            fetch_movielens("1m", tmp_path, n_retries=2, delay=1e-3)
        assert len(asked) == 2
        assert not list(tmp_path.rglob("*.*"))
        served["ml-1m.zip"] = content
        assert_is_movielens(fetch_movielens("1m", tmp_path))

    def test_second_attempt_starts_anew(self, server, tmp_path, monkeypatch):
        served, asked = server
        content = archive()
        publish(monkeypatch, content)
        served["ml-1m.zip"] = content + b"more than there is", len(content) + 100

        def sleep(seconds):
            assert seconds == 0.25
            served["ml-1m.zip"] = content

        monkeypatch.setattr(_movielens.time, "sleep", sleep)
        assert_is_movielens(fetch_movielens("1m", tmp_path, delay=0.25))
        assert len(asked) == 2

    def test_wrong_checksum(self, server, tmp_path, monkeypatch):
        served, _ = server
        served["ml-1m.zip"] = archive("csv")
        publish(monkeypatch, archive("dat"))
        with pytest.raises(OSError, match=rf"{md5(archive('csv'))}, but should have"):
            fetch_movielens("1m", tmp_path)
        assert not list(tmp_path.rglob("*.*"))

    def test_broken_archive_in_the_folder(self, tmp_path, monkeypatch):
        path = tmp_path / "movielens/ml-1m.zip"
        path.parent.mkdir()
        path.write_bytes(archive()[:-50])
        with pytest.raises(OSError, match=r"ml-1m\.zip has the MD5.*Remove it to"):
            fetch_movielens("1m", tmp_path)
        path = path.rename(path.with_name("ml-latest-small.zip"))
        with pytest.raises(OSError, match=r"is broken: .*Remove it to download"):
            fetch_movielens("latest-small", tmp_path)

    def test_no_network(self, tmp_path, monkeypatch):
        with socket.socket() as closed:  # a port without a server
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
            monkeypatch.setattr(_movielens, "_MOVIELENS_URL", url)
            monkeypatch.setenv("no_proxy", "*")
            with pytest.raises(
                OSError, match=r"Could not download .*Check the network"
            ):
                fetch_movielens("100k", tmp_path, n_retries=2, delay=1e-3)
        with pytest.raises(OSError, match=r"ml-100k\.zip is not there.*had from http"):
            fetch_movielens("100k", tmp_path, download_if_missing=False)

    def test_missing_on_the_server(self, server, tmp_path):
        with pytest.raises(OSError, match=r"Could not download .*404"):
            fetch_movielens("25m", tmp_path, n_retries=1)

    def test_names_and_checksums(self):
        with pytest.raises(ValueError, match="'name' parameter"):
            fetch_movielens("20m")
        for name, checksum in _movielens._MOVIELENS_MD5.items():
            assert checksum is None or len(checksum) == 32, name


class TestFolder:
    @pytest.mark.parametrize("layout", ["csv", "dat", "u"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_layouts(self, layout, compressed, tmp_path):
        for name, content in files(layout).items():
            if compressed:
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (tmp_path / name).write_bytes(content)
        assert_is_movielens(load_movielens(tmp_path))

    def test_absent_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no folder"):
            load_movielens(tmp_path / "none")
        with pytest.raises(FileNotFoundError, match=r"holds no ratings\.csv"):
            load_movielens(tmp_path)
        (tmp_path / "u.data").write_bytes(b"1\t1\t5\t0\n")
        with pytest.raises(FileNotFoundError, match=r"holds u\.data, but no u\.item"):
            load_movielens(tmp_path)

    def test_movielens(self, data_file):
        path = data_file("ml-latest-small/ratings.csv.gz")
        bunch = load_movielens(path.parent)
        table = pd.read_csv(path)
        expected = table.pivot(index="userId", columns="movieId", values="rating")
        np.testing.assert_array_equal(bunch.user_ids, expected.index)
        np.testing.assert_array_equal(bunch.item_ids, expected.columns)
        dense = np.full(bunch.data.shape, np.nan)
        coo = bunch.data.tocoo()
        dense[coo.row, coo.col] = coo.data
        np.testing.assert_array_equal(dense, expected)
        titles = pd.read_csv(path.with_name("movies.csv.gz"), index_col=0)["title"]
        assert bunch.titles.tolist() == titles[bunch.item_ids].tolist()


class TestCSV:
    def write(self, path, text):
        path.write_text(text, encoding="utf-8")
        return path

    def test_names_quotes_and_types(self, tmp_path):
        path = self.write(
            tmp_path / "some.csv",
            'when,rating,item,user\n1,0,"a,b",7\n2,4.5,"é",7\n3,1,"é",10\n',
        )
        bunch = load_ratings_csv(path, columns=("user", "item", "rating"))
        assert bunch.user_ids.tolist() == [7, 10]
        assert bunch.item_ids.tolist() == ["a,b", "é"]
        assert bunch.data.nnz == 3
        np.testing.assert_array_equal(bunch.data.toarray(), [[0, 4.5], [0, 1]])
        bunch = load_ratings_csv(path, columns=(3, 2, 1), id_type=str)
        assert bunch.user_ids.tolist() == ["10", "7"]

    def test_without_header_and_with_duplicates(self, tmp_path):
        path = self.write(tmp_path / "some.tsv", "007\t1\t2\n008\t1\t3\n007\t1\t4\n")
        options = {"header": False, "delimiter": "\t"}
        with pytest.raises(ValueError, match="User 007 rates item 1 more than once"):
            load_ratings_csv(path, **options)
        bunch = load_ratings_csv(path, **options, duplicates="mean")
        assert bunch.user_ids.tolist() == ["007", "008"]
        np.testing.assert_array_equal(bunch.data.toarray(), [[3], [3]])

    def test_batches(self, tmp_path, monkeypatch):
        rng = np.random.default_rng(0)
        pairs = rng.choice(50 * 20, 500, replace=False)
        users, items, ratings = pairs // 20, pairs % 20, rng.integers(1, 6, 500)
        table = pd.DataFrame({"u": users, "i": items, "r": ratings})
        path = tmp_path / "some.csv.gz"
        table.to_csv(path, index=False)
        expected = table.pivot(index="u", columns="i", values="r").fillna(0)
        for n_lines in (7, 100, 500, 10_000):
            monkeypatch.setattr(_csv, "_CSV_LINES", n_lines)
            bunch = load_ratings_csv(str(path))
            np.testing.assert_array_equal(bunch.data.toarray(), expected)
            np.testing.assert_array_equal(bunch.user_ids, expected.index)

    def test_errors(self, tmp_path, monkeypatch):
        path = self.write(
            tmp_path / "some.csv", "user,item,rating\n1,1,1\n2,2,2\nx,1,1\n"
        )
        with pytest.raises(ValueError, match=r"no column 'stars' but \['user', 'item'"):
            load_ratings_csv(path, columns=("user", "item", "stars"))
        with pytest.raises(ValueError, match="id_type should be int, str or None"):
            load_ratings_csv(path, id_type=float)
        with pytest.raises(FileNotFoundError):
            load_ratings_csv(tmp_path / "none.csv")
        assert load_ratings_csv(path).user_ids.tolist() == ["1", "2", "x"]
        monkeypatch.setattr(_csv, "_CSV_LINES", 2)
        with pytest.raises(
            ValueError, match=r"line 4: the user is 'x', not an int.*id_type=str"
        ):
            load_ratings_csv(path)
        assert load_ratings_csv(path, id_type=str).data.nnz == 3
        for wrong, where in [("9" * 20, "line 4: the user"), ("1_0", "after line 3:")]:
            self.write(path, f"user,item,rating\n1,1,1\n2,2,2\n{wrong},1,1\n")
            with pytest.raises(ValueError, match=f"some.csv, {where}.*'{wrong}'"):
                load_ratings_csv(path)
        path = self.write(tmp_path / "empty.csv", "user,item,rating\n")
        with pytest.raises(ValueError, match="no rating"):
            load_ratings_csv(path)

    @pytest.mark.parametrize("ids", ["1,1", "ann,Alien"])
    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ("{},good", "the rating is 'good', not a number"),
            ("{},", "the rating is '', not a number"),
            ("{}, nan", "the rating is ' nan', not a number"),
            ("{},-inf", "the rating is '-inf', not a number"),
            ("{}", "2 fields, separated by ',', where 3 are needed"),
            ("{};3", "2 fields, separated by ',', where 3 are needed"),
            ("1,,3", "the item is missing"),
            (",1,3", "the user is missing"),
        ],
    )
    def test_the_first_line_that_is_wrong_is_named(
        self, tmp_path, monkeypatch, ids, line, fault
    ):
        good = [f"{ids}{j},3" for j in range(8)]
        bad = line.format(ids)
        lines = ["user,item,rating", *good[:4], "", *good[4:], bad, good[0], bad]
        path = self.write(tmp_path / "some.csv", "\n".join(lines))
        for n_lines in (3, 100):
            monkeypatch.setattr(_csv, "_CSV_LINES", n_lines)
            with pytest.raises(ValueError, match=rf"some.csv, line 11: ({fault})"):
                load_ratings_csv(path)

    @pytest.mark.parametrize("names", [(0, 1, 2), ("user", "item", "rating")])
    def test_the_line_that_is_no_text_is_named(self, tmp_path, names):
        path = tmp_path / "some.csv"
        path.write_bytes("user,item,rating\n1,a,3\n2,é,3\n".encode("latin-1"))
        with pytest.raises(ValueError, match=r"some.csv, line 3: .*not text in utf-8"):
            load_ratings_csv(path, columns=names)
        bunch = load_ratings_csv(path, columns=names, encoding="latin-1")
        assert bunch.item_ids.tolist() == ["a", "é"]

    @pytest.mark.slow
    def test_memory(self, tmp_path, monkeypatch):
        n_lines = 60_000
        users, items = np.divmod(np.random.default_rng(0).permutation(n_lines), 300)
        path = tmp_path / "some.csv"
        pd.DataFrame({"u": users, "i": items, "r": 3}).to_csv(path, index=False)

        def peak():
            tracemalloc.start()
            bunch = load_ratings_csv(path)
            result = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert bunch.data.nnz == n_lines
            return result

        matrix = 12 * n_lines
        whole = peak()
        monkeypatch.setattr(_csv, "_CSV_LINES", 2000)
        monkeypatch.setattr("sklearn_gmmcf.ratings._SORTED_ENTRIES", 2000)
        # There is one batch of lines, and buffers of constant size.
        assert peak() < matrix + 1.5e6 < whole / 4


def test_blank_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(_csv, "_CSV_LINES", 2)
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\n1,1,3\n\n\n\n2,1,4\n\n")
    np.testing.assert_array_equal(load_ratings_csv(path).data.toarray(), [[3], [4]])
