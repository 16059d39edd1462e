# SPDX-License-Identifier: BSD-3-Clause
"""MovieLens: folders, and archives from a local server."""

import errno
import gzip
import hashlib
import io
import os
import random
import re
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sklearn_gmmcf.datasets import (
    _movielens,
    fetch_movielens,
    load_movielens,
)
from tests.optional import pd

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
    assert bunch.encoder.item_titles_.tolist() == bunch.titles.tolist()
    X, users = bunch.encoder.encode(([5], [20], [3.0]))
    assert X.toarray().tolist() == [[0.0, 3.0, 0.0]]
    assert users.tolist() == [5]
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
            if length is not None:
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

    def test_too_large(self, server, tmp_path, monkeypatch):
        served, asked = server
        content = archive()
        publish(monkeypatch, content)
        monkeypatch.setitem(_movielens._MAX_ARCHIVE, "1m", len(content) - 1)
        served["ml-1m.zip"] = content
        with pytest.raises(OSError, match=r"ml-1m.zip has more than .*which is not"):
            fetch_movielens("1m", tmp_path)
        # Without a length, the bytes are counted as they come.
        monkeypatch.setitem(_movielens._MAX_ARCHIVE, "1m", 100)
        served["ml-1m.zip"] = content, None
        with pytest.raises(OSError, match=r"has more than 100 bytes.*does a proxy"):
            fetch_movielens("1m", tmp_path)
        served["ml-1m.zip"] = b"", 10**6
        with pytest.raises(OSError, match=r"has more than 100 bytes.*does a proxy"):
            fetch_movielens("1m", tmp_path)
        assert len(asked) == 3  # no second attempt
        assert not list(tmp_path.rglob("*.*"))
        served["ml-1m.zip"] = content
        monkeypatch.setitem(_movielens._MAX_ARCHIVE, "1m", len(content))
        assert_is_movielens(fetch_movielens("1m", tmp_path))

    def test_full_disk(self, server, tmp_path, monkeypatch):
        served, asked = server
        served["ml-1m.zip"] = archive()
        publish(monkeypatch, served["ml-1m.zip"])

        class Full(io.FileIO):
            def write(self, content):
                if self.tell():
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(content[:100])

        def open_full(path, mode, **options):
            return Full(path, mode) if "w" in mode else open(path, mode, **options)

        monkeypatch.setattr(_movielens, "open", open_full, raising=False)
        with pytest.raises(OSError, match=r"No space left .*Free space") as caught:
            fetch_movielens("1m", tmp_path)
        assert caught.value.errno == errno.ENOSPC
        assert len(asked) == 1  # no second attempt
        assert not list(tmp_path.rglob("*.*"))

    @pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
    def test_members_that_cannot_be_unpacked(self, name, tmp_path):
        path = tmp_path / "movielens/ml-latest-small.zip"
        path.parent.mkdir()
        content = archive()
        member = f"ml-some/{name}".encode()
        local, central = (found.start() for found in re.finditer(member, content))
        for local_offset, central_offset, value, fault in [
            (6, 8, 1, "is protected by a password"),
            (8, 10, 99, "cannot be unpacked"),
            (
                14,
                16,
                content[local - 16] ^ 1,
                "the compressed file is cut off or broken",
            ),
        ]:
            changed = bytearray(content)
            changed[local - 30 + local_offset] = value
            changed[central - 46 + central_offset] = value
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=rf"{name}.*{fault}"):
                fetch_movielens("latest-small", tmp_path)

    def test_changed_bytes_of_the_archive(self, tmp_path):
        path = tmp_path / "movielens/ml-latest-small.zip"
        path.parent.mkdir()
        whole = archive()
        rng = random.Random(0)
        messages = []
        for _ in range(300):
            changed = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                position = rng.choice(
                    [rng.randrange(len(whole)), rng.randrange(-250, 0)]
                )
                changed[position] = rng.choice([0, 255, rng.randrange(256)])
            path.write_bytes(changed)
            try:
                bunch = fetch_movielens("latest-small", tmp_path)
            except (OSError, ValueError) as error:
                messages.append(str(error))
            else:
                assert_is_movielens(bunch)
        assert 100 < len(messages) < 300
        assert all(str(path) in message for message in messages)

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
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
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

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            (
                "ratings.csv",
                b"userId,movieId,rating\n1,10,4\nx,10,4\n",
                r"line 3: the u",
            ),
            ("ratings.csv", b"userId,movieId,rating\n1,10\n", r"line 2: 2 fields, sep"),
            ("ratings.csv", b"1,10,4\n", "has no column 'userId' but"),
            (
                "movies.csv",
                b"movieId,title\n\n10,A\nx,B\n",
                r"line 4: 'x,B' is not the",
            ),
            ("movies.csv", b"movieId,title\n10\n", "line 2: '10' is not the integer"),
            ("movies.csv", b"movieId,title\n10,A, The\n", "line 2: '10,A, The' is not"),
            ("movies.csv", b'movieId,title\n10,"A\n', "line 2: a quote is not closed"),
            ("movies.csv", b'movieId,title\n10,"A"B\n', "line 2: a closing quote is"),
            (
                "movies.csv",
                b"10,A\n",
                r"line 1: the header should name movieId and title, but is \['10'",
            ),
            (
                "movies.csv",
                b"movieId,title\n10,A\n10,B\n",
                "line 3: movie 10 has a tit",
            ),
            ("movies.csv", b"\n", "holds no movie"),
            (
                "movies.csv",
                gzip.compress(b"m,t\n10,A\n", mtime=0)[:-9],
                "is cut off or broken",
            ),
            (
                "movies.csv",
                b"m,t\n10," + b"A" * 2000,
                "the file has more than 1,000 bytes",
            ),
        ],
    )
    def test_wrong_lines(self, name, content, message, tmp_path, monkeypatch):
        monkeypatch.setattr(_movielens, "_MAX_MOVIES", 1000)
        for file, right in files("csv").items():
            (tmp_path / file).write_bytes(content if file == name else right)
        with pytest.raises(ValueError, match=rf"{tmp_path}: {name}.* {message}"):
            load_movielens(tmp_path)

    @pytest.mark.parametrize(
        ("layout", "name", "content", "message"),
        [
            # One wrong byte does not change the encoding of all titles.
            (
                "csv",
                "movies.csv",
                "movieId,title\n20,Amélie\n".encode() + b"10,\xe9\n",
                r"line 3: invalid continuation byte.* text in utf-8\. Unpack the arch",
            ),
            ("csv", "movies.csv", b"movieId,title\n10,A\0\n", "line 2: it holds a NUL"),
            ("dat", "movies.dat", b"10::\xe9\0::x\n", "line 1: it holds a NUL"),
            (
                "csv",
                "movies.csv",
                b"movieId,title,title\n10,A,B\n",
                r"line 1: the header should name movieId and title, but is \['movieId'",
            ),
            (
                "csv",
                "ratings.csv",
                b"userId,movieId,rating\n1,10,4\n1,10,4\n",
                "User 1 rates item 10 .*unpack the archive again, or read the file by "
                "load_ratings_csv",
            ),
            (
                "dat",
                "movies.dat",
                b"10::A::x\n20::Foo :: Bar::x\n",
                "line 2: '20::Foo :: Bar::x' is not the integer",
            ),
            ("u", "u.item", b"10|A|x\n20|B|b|x\n", r"line 2: '20\|B\|b\|x' is not"),
            ("u", "u.data", b"1\t10\t5\t9\n1\t20\t5\n", "line 2: 3 fields"),
            (
                "csv",
                "movies.csv",
                b"movieId,title\n77,A\n",
                r"movies\.csv has titles of other movies than ratings\.csv\. Take both",
            ),
        ],
    )
    def test_files_that_fail(self, layout, name, content, message, tmp_path):
        for file, right in files(layout).items():
            (tmp_path / file).write_bytes(content if file == name else right)
        with pytest.raises(ValueError, match=message):
            load_movielens(tmp_path)

    @pytest.mark.parametrize(
        "order",
        [
            ["movieId", "userId", "rating"],
            ["id", "userId", "movieId", "rating"],
            ["Unnamed: 0", "", "rating", "movieId", "timestamp", "userId"],
        ],
    )
    def test_columns_are_found_by_their_names(self, order, tmp_path):
        table = pd.DataFrame(RATINGS, columns=["userId", "movieId", "rating"])
        table = table.reindex(columns=order, fill_value=3)
        table.to_csv(tmp_path / "ratings.csv", index=False)
        movies = pd.DataFrame({"title": TITLES.values(), "movieId": TITLES.keys()})
        movies[movies["movieId"] != 30].to_csv(tmp_path / "movies.csv")
        assert_is_movielens(load_movielens(tmp_path))

    def test_byte_order_mark_and_line_ends_of_movies(self, tmp_path):
        for name, content in files("csv").items():
            content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r")
            (tmp_path / name).write_bytes(content)
        assert_is_movielens(load_movielens(tmp_path))

    @pytest.mark.parametrize("folder", [5, None, b"ml"])
    def test_what_is_no_path(self, folder):
        with pytest.raises(ValueError, match="'folder' parameter of load_movielens"):
            load_movielens(folder)

    def test_archive_for_a_folder(self, tmp_path):
        path = tmp_path / "ml-1m.zip"
        path.write_bytes(archive())
        with pytest.raises(NotADirectoryError, match=r"is no folder\. Unpack .*fetch_"):
            load_movielens(path)

    def test_huge_ratings(self, tmp_path, monkeypatch):
        for name, content in files("csv").items():
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        monkeypatch.setattr(_movielens, "_MAX_RATINGS", 50)
        with pytest.raises(
            ValueError, match=r"ratings.csv.gz, line 6: .*more than 50 byt"
        ):
            load_movielens(tmp_path)

    def test_blank_lines_and_both_files(self, tmp_path):
        for name, content in files("dat").items():
            blank = content.replace(b"\n", b"\r\n\r\n")
            (tmp_path / name).write_bytes(blank)
            (tmp_path / f"{name}.gz").write_bytes(b"of the two, this is not read")
        assert_is_movielens(load_movielens(tmp_path))

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
