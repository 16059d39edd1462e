"""Files of text as blocks of whole lines, in UTF-8, whatever the file is."""

from __future__ import annotations

import codecs
import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

# Bytes that become a block of lines, and that are read at once: of a compressed file
# that is broken, what was read before is kept.
_PIECE = 2**20
_CHUNK = 2**16
# Lines of a file of ratings are short: a longer one is no line of ratings.
MAX_LINE = 2**20
_UNSUPPORTED = {
    "bzip2": re.compile(rb"BZh[1-9]1AY&"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
}
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)


class TextFault(Exception):
    """A fault of the line after the last whole line that was read."""


@contextmanager
def open_text(
    open_file: Callable[[], BinaryIO],
    name: str,
    encoding: str,
    max_size: int | None = None,
) -> Iterator[Iterator[bytes]]:
    """Open a file as an iterator of blocks of lines.

    A block has whole lines in UTF-8, which end with "\n". A file of more than
    `max_size` bytes, decompressed, is a fault.
    """
    make_decoder = _find_decoder(encoding)
    with open_binary(open_file, name) as file:
        yield _read_blocks(file, make_decoder(), encoding, max_size)


@contextmanager
def open_binary(open_file: Callable[[], BinaryIO], name: str) -> Iterator[Any]:
    """Open a file, and decompress it if its content is compressed."""
    with ExitStack() as stack:
        yield _decompress(stack.enter_context(open_file()), name, stack)


def _find_decoder(encoding: str) -> Any:
    try:
        codec = codecs.lookup(encoding)
        "".encode(encoding)  # refuses codecs of bytes, such as hex
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"encoding={encoding!r} is not an encoding of text that Python knows. Pass "
            "one such as 'utf-8', 'latin-1' or 'utf-16'."
        ) from error
    return codec.incrementaldecoder


def _decompress(file: Any, name: str, stack: ExitStack) -> Any:
    """Decompress by the content, as a suffix may be wrong."""
    try:
        magic = file.peek(8)[:8]
    except BROKEN as error:  # of a short file in an archive
        raise ValueError(f"{name}: {describe_broken(error)}") from error
    if magic.startswith(b"\x1f\x8b"):
        return stack.enter_context(gzip.GzipFile(fileobj=file))
    if magic.startswith(b"PK\x03\x04") or magic.startswith(b"PK\x05\x06"):
        return _open_only_member(file, name, stack)
    for kind, start in _UNSUPPORTED.items():
        if start.match(magic):
            raise ValueError(
                f"{name} is compressed by {kind}, which is not read here. Decompress "
                "it, or compress it to .gz or to a .zip of one file."
            )
    return file


def _open_only_member(file: Any, name: str, stack: ExitStack) -> Any:
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{name} is a broken zip archive: {error}. Make or download it again."
        ) from error
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
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
    except (NotImplementedError, zipfile.BadZipFile) as error:
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
        if is_first and data:
            data = data.removeprefix(codecs.BOM_UTF8)
            is_first = False
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
            fault = f"up to here the file has more than {max_size:,} bytes, its limit."
        if fault is None and len(carry) > MAX_LINE:
            fault = (
                f"it is longer than {MAX_LINE:,} bytes. Is this a text file with one "
                "rating in each line?"
            )
        if fault is not None:
            raise TextFault(fault)
    if carry:
        yield carry + b"\n"


def _read_data(
    file: Any, decoder: Any, encoding: str
) -> tuple[bytes, bool, str | None]:
    """A piece in UTF-8 up to its first fault, whether it is the last, and the fault."""
    piece, is_final, broken = _read_piece(file)
    data, fault = _decode(decoder, piece, is_final and broken is None, encoding)
    position = data.find(b"\0")
    if position >= 0:
        data = data[:position]
        fault = (
            "it holds a NUL byte, so this is no text, or has another encoding. Pass "
            "encoding='utf-16' for UTF-16."
        )
    return data, is_final, fault or broken


def _read_piece(file: Any) -> tuple[bytes, bool, str | None]:
    """A piece, also before the place where a compressed file is broken."""
    chunks: list[bytes] = []
    size = 0
    try:
        while size < _PIECE:
            chunk = file.read1(min(_CHUNK, _PIECE - size))
            if not chunk:
                return b"".join(chunks), True, None
            chunks.append(chunk)
            size += len(chunk)
    except BROKEN as error:
        return b"".join(chunks), True, describe_broken(error)
    return b"".join(chunks), False, None


def describe_broken(error: Exception) -> str:
    return (
        f"the compressed file is cut off or broken here ({error}). Make or download it "
        "again."
    )


def _decode(
    decoder: Any, piece: bytes, is_final: bool, encoding: str
) -> tuple[bytes, str | None]:
    before, flag = decoder.getstate()
    try:
        text = decoder.decode(piece, is_final)
    except UnicodeError as error:
        # A decoder says where the fault is, counted with the bytes it kept before.
        start = getattr(error, "start", 0)
        decoder.setstate((before, flag))
        good = decoder.decode(piece[: max(start - len(before), 0)]).encode()
        reason = getattr(error, "reason", error)
        return good, _describe_encoding(before + piece, encoding, reason)
    try:
        return text.encode(), None
    except UnicodeError as error:  # UTF-7 may hold halves of surrogate pairs
        good = text[: getattr(error, "start", 0)].encode()
        return good, _describe_encoding(piece, encoding, "surrogates")


def _describe_encoding(start: bytes, encoding: str, reason: Any) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        way_out = "It begins as UTF-16 does: pass encoding='utf-16'."
    else:
        way_out = "Pass its encoding, such as encoding='latin-1'."
    return f"{reason}, so this is not text in {encoding}. {way_out}"
