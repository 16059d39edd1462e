"""Lines of ratings, between the rooms that read them and `RatingsEncoder`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn_gmmcf._typing import Array


def name_table_line(line: int) -> str:
    """A line of a frame or of arrays, as errors name it."""
    return f"line {line} (from 0) of the table"


@dataclass(frozen=True, eq=False)
class RatingLines:
    """Users, items and ratings of a table or of a file, all of one length.

    `RatingsEncoder` takes it as a table, and checks ids and ratings.
    """

    users: Any  # (m,), ids: an array or Coded
    items: Any  # (m,), ids: an array or Coded
    ratings: Array  # (m,)
    backend: Any = None  # of narwhals; None for arrays and files
    name_line: Callable[[int], str] = name_table_line
