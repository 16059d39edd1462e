# SPDX-License-Identifier: BSD-3-Clause
"""What visitors read: texts without Markdown and formulas, and words for errors."""

from __future__ import annotations

import csv
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

LOG = logging.getLogger("sklearn_gmmcf.app")
FAULTS = (
    ValueError,
    OSError,
    LookupError,
    EOFError,
    MemoryError,
    csv.Error,
    zlib.error,
    zipfile.BadZipFile,
)


class Refusal(Exception):
    """What a visitor is told, as it stands."""


class Pending(Refusal):
    """What a visitor has yet to choose."""


def escape(text: object) -> str:
    """Escape a name, as Streamlit reads texts as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", str(text))


def quote_formula(text: str) -> str:
    """A name that spreadsheets do not run as a formula; numbers stay as they are."""
    risky = re.match(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", text)
    number = re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", text)
    return f"'{text}" if risky and not number else text


def answer(error: Exception, source: str, fault: str, *, is_visitors: bool) -> str:
    """Words for an error. What only the operator may know goes to the log.

    `is_visitors` says that the data are the visitor's own, or no secret.
    """
    if isinstance(error, Refusal) or (isinstance(error, ValueError) and is_visitors):
        return str(error)
    LOG.error("%s: %r", source, error, exc_info=error)
    if isinstance(error, MemoryError):
        return "The server has too little memory for these data. Choose fewer."
    return fault


@contextmanager
def telling(source: str, fault: str, *, is_visitors: bool) -> Iterator[None]:
    """End the page with words for an error, and without a traceback."""
    try:
        yield
    except (Refusal, *FAULTS) as error:
        tell = st.info if isinstance(error, Pending) else st.error
        tell(escape(answer(error, source, fault, is_visitors=is_visitors)))
        st.stop()
