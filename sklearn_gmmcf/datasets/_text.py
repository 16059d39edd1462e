# SPDX-License-Identifier: BSD-3-Clause
"""Files of text as blocks of whole lines, in UTF-8, whatever the file is."""

from __future__ import annotations

import codecs
import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

# Bytes that become a block of lines, and that are read at once: of a compressed file
# that is broken, what was read before is kept.
_BLOCK = 2**20
_READ = 2**16
# Lines of a file of ratings are short: a longer one is no line of ratings.
MAX_LINE = 2**20
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_XLS = b"\xd0\xcf\x11\xe0"
_UNSUPPORTED = {
    "bzip2": re.compile(rb"BZh[1-9]1AY&"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
}
# Marks of byte order; the one of UTF-16 begins the one of UTF-32.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
# Errors of zipfile about an archive of which bytes were changed.
BROKEN_ARCHIVE = (
    *_BROKEN,
    NotImplementedError,
    OSError,
    IndexError,
    ValueError,
    OverflowError,
    struct.error,
)


class TextFault(Exception):
    """A fault of the line after the last whole line that was read.

    `fault` describes it; as text, the way out by parameters follows.
    """

    def __init__(self, fault: str, way_out: str = "") -> None:
        super().__init__(f"{fault} {way_out}".rstrip())
        self.fault = fault


@contextmanager
def open_text(
    open_file: Callable[[], BinaryIO],
    name: str,
    encoding: str,
    max_size: int | None = None,
) -> Iterator[Iterator[bytes]]:
    r"""Open a file as an iterator of blocks of lines.

    A block has whole lines in UTF-8, which end with ``\n``. A file of more than
    `max_size` bytes, decompressed, is a fault.
    """
    make_decoder = _find_decoder(encoding)
    with ExitStack() as stack:
        file = _decompress(stack.enter_context(open_file()), name, stack)
        yield _read_blocks(file, make_decoder(), encoding, max_size)


def _find_decoder(encoding: str) -> Any:
    try:
        codec = codecs.lookup(encoding)
        "".encode(encoding)  # refuses codecs of bytes, such as hex
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"encoding={encoding!r} is not an encoding of text that Python knows. Pass "
            "one such as 'utf-8', 'cp1252' or 'utf-16'."
        ) from error
    # The decoder of utf-8-sig counts faults after the mark, which is dropped below.
    codec = codecs.lookup("utf-8") if codec.name == "utf-8-sig" else codec
    return codec.incrementaldecoder


def _decompress(file: Any, name: str, stack: ExitStack) -> Any:
    """Decompress by the content, as a suffix may be wrong."""
    start = _peek(file, name)
    if start.startswith(_GZIP):
        opened = stack.enter_context(gzip.GzipFile(fileobj=file))
    elif start.startswith(_ZIP):
        opened = _open_only_member(file, name, stack)
    else:
        _check_start(start, name)
        return file
    start = _peek(opened, name)
    if start.startswith((_GZIP, *_ZIP)):
        raise ValueError(f"{name} is compressed twice. Decompress it once.")
    _check_start(start, name)
    return opened


def _peek(file: Any, name: str) -> bytes:
    try:
        start: bytes = file.peek(8)[:8]
    except _BROKEN as error:
        raise ValueError(f"{name}: {_describe_broken(error)}") from error
    return start


def _check_start(start: bytes, name: str) -> None:
    if start.startswith(_XLS):
        raise _workbook_error(name)
    for kind, pattern in _UNSUPPORTED.items():
        if pattern.match(start):
            raise ValueError(
                f"{name} is compressed by {kind}, which is not read here. Decompress "
                "it, or compress it to .gz or to a .zip of one file."
            )


def _workbook_error(name: str) -> ValueError:
    return ValueError(f"{name} is a workbook of Excel. Save it as CSV, and pass that.")


def _open_only_member(file: Any, name: str, stack: ExitStack) -> Any:
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
    except BROKEN_ARCHIVE as error:
        raise ValueError(
            f"{name} is a broken zip archive: {error}. Make or download it again."
        ) from error
    if "[Content_Types].xml" in archive.namelist():
        raise _workbook_error(name)
    members = [
        member
        for member in archive.infolist()
        # member.is_dir() fails where a broken name is empty.
        if not member.filename.endswith("/")
        and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        found = ", ".join(member.filename for member in members[:5]) or "none"
        raise ValueError(
            f"{name} is a zip archive of {len(members)} files ({found}), where one is "
            "needed. Unpack it, and pass the file of ratings."
        )
    return stack.enter_context(open_member(archive, members[0], name))


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Any:
    """Open a file in an archive; the errors of zipfile in words."""
    if member.flag_bits & 0x1:
        raise ValueError(
            f"{name}: {member.filename} is protected by a password. Unpack it first."
        )
    try:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError(f"its compression is {member.compress_type}")
        return archive.open(member)
    except BROKEN_ARCHIVE as error:
        raise ValueError(
            f"{name}: {member.filename} cannot be unpacked: {error}. Unpack it by "
            "another program, or download it again."
        ) from error


def _read_blocks(
    file: Any, decoder: Any, encoding: str, max_size: int | None
) -> Iterator[bytes]:
    carry = b""  # the start of a line
    held = b""  # a "\r", which a "\n" may follow
    size = 0
    is_first, is_final = True, False
    while not is_final:
        data, is_final, fault = _read_data(file, decoder, encoding)
        while is_first and data.startswith(codecs.BOM_UTF8):  # some files have two
            data = data.removeprefix(codecs.BOM_UTF8)
        is_first = is_first and not data
        data, held = held + data, b""
        if b"\r" in data:
            if data.endswith(b"\r") and not is_final and fault is None:
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        if end:
            yield carry + data[:end]
            carry = data[end:]
        else:
            carry += data
        size += len(data)
        if fault is None and max_size is not None and size > max_size:
            fault = TextFault(
                f"up to here the file has more than {max_size:,} bytes, its limit."
            )
        if fault is None and len(carry) > MAX_LINE:
            fault = TextFault(
                f"it is longer than {MAX_LINE:,} bytes. Is this a text file with one "
                "rating in each line?"
            )
        if fault is not None:
            raise fault
    if carry:
        yield carry + b"\n"


def _read_data(
    file: Any, decoder: Any, encoding: str
) -> tuple[bytes, bool, TextFault | None]:
    """Bytes in UTF-8 up to their first fault; whether they are the last; the fault."""
    data, is_final, broken = _read_bytes(file)
    data, fault = _decode(decoder, data, is_final and broken is None, encoding)
    position = data.find(b"\0")
    if position >= 0:
        data = data[:position]
        fault = TextFault(
            "it holds a NUL byte, so this is no text, or has another encoding.",
            _advise(encoding, "utf-16", "utf-32"),
        )
    if fault is None and broken is not None:
        fault = TextFault(_describe_broken(broken))
    return data, is_final, fault


def _read_bytes(file: Any) -> tuple[bytes, bool, Exception | None]:
    """Bytes of a block, also before the place where a compressed file is broken."""
    parts: list[bytes] = []
    size = 0
    try:
        while size < _BLOCK:
            part = file.read1(min(_READ, _BLOCK - size))
            if not part:
                return b"".join(parts), True, None
            parts.append(part)
            size += len(part)
    except _BROKEN as error:
        return b"".join(parts), True, error
    return b"".join(parts), False, None


def _describe_broken(error: Exception) -> str:
    return (
        f"the compressed file is cut off or broken here ({error}). Make or download it "
        "again."
    )


def _decode(
    decoder: Any, data: bytes, is_final: bool, encoding: str
) -> tuple[bytes, TextFault | None]:
    before, flag = decoder.getstate()
    try:
        text = decoder.decode(data, is_final)
    except UnicodeError as error:
        # A decoder says where the fault is, counted with the bytes it kept before.
        start = getattr(error, "start", 0)
        decoder.setstate((before, flag))
        good = decoder.decode(data[: max(start - len(before), 0)]).encode()
        reason = getattr(error, "reason", error)
        return good, _describe_encoding(before + data, encoding, reason)
    try:
        return text.encode(), None
    except UnicodeError as error:  # UTF-7 may hold halves of surrogate pairs
        good = text[: getattr(error, "start", 0)].encode()
        return good, _describe_encoding(data, encoding, "surrogates")


def _describe_encoding(start: bytes, encoding: str, reason: Any) -> TextFault:
    marked = [other for mark, other in _MARKS.items() if start.startswith(mark)]
    way_out = _advise(encoding, *marked[:1], "utf-8", "cp1252")
    return TextFault(f"{reason}, so this is not text in {encoding}.", way_out)


def _advise(encoding: str, *others: str) -> str:
    """Name the first of other encodings that is not the one that was passed."""
    passed = codecs.lookup(encoding).name
    other = next(other for other in others if not passed.startswith(other))
    return f"Correct it, or pass its encoding, such as encoding={other!r}."
