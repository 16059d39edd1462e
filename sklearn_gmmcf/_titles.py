# SPDX-License-Identifier: BSD-3-Clause
"""Titles of items: dictionaries, series and frames to texts, aligned by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from sklearn_gmmcf._feature_tables import find_rows, open_by_id, sort_by_id
from sklearn_gmmcf._ids import Ids, check_ids, is_missing, pack_strings
from sklearn_gmmcf._typing import Array

_ROLE = "item_titles"


@dataclass(frozen=True, eq=False)
class Titles:
    """Titles of items, and the name of their column."""

    name: Any
    ids: Array  # (n,), sorted
    texts: Array  # (n,), objects; empty where missing

    @classmethod
    def learn(cls, titles: Any, item: Any) -> Titles:
        """Read titles; `item` is the name of the column of ids in frames."""
        name, ids, values = _open(titles, item)
        if not len(ids):
            raise ValueError(f"{_ROLE} has no title. Pass None, or titles by id.")
        texts = np.empty(len(ids), dtype=object)
        for row, value in enumerate(values):
            if not is_missing(value) and not isinstance(value, str):
                raise ValueError(
                    f"{_ROLE} is {value!r} for id {ids[row]}, but a title should be "
                    "text. Convert titles to text."
                )
            texts[row] = "" if is_missing(value) else str(value)
        return cls(name, *sort_by_id(_ROLE, ids, texts))

    def update(self, others: Titles) -> Titles:
        """These titles and others, which take the place of those of the same ids."""
        ids = Ids(_ROLE, self.ids)
        ids.add(others.ids)
        texts = np.empty(len(ids.sorted), dtype=object)
        for each in (self, others):
            texts[ids.find(each.ids)[0]] = each.texts
        return Titles(self.name, ids.sorted, texts)

    def align(self, items: Array) -> Array:
        """Titles (d,) of items; empty for items without a title."""
        texts = np.full(len(items), "", dtype=object)
        rows, known = find_rows(_ROLE, self.ids, items)
        texts[known] = self.texts[rows[known]]
        return pack_strings(texts.tolist())

    def check_overlap(self, items: Array) -> None:
        """Check that one of the items of the ratings has a title."""
        if not find_rows(_ROLE, self.ids, items)[1].any():
            raise ValueError(
                f"No id of {_ROLE}, such as {self.ids[0]!s}, has ratings; those have "
                f"ids such as {items[0]!s}. Pass the same ids in both."
            )


def _open(titles: Any, item: Any) -> tuple[Any, Array, Any]:
    """The name of the titles, the ids (n,) of items, and the titles (n,)."""
    if isinstance(titles, Mapping):
        ids = check_ids(_ROLE, list(titles), "key {} (from 0) of item_titles".format)
        return "title", ids, list(titles.values())
    if nw.dependencies.is_pandas_series(titles):
        line = "line {} (from 0) of item_titles".format
        return "title", check_ids(_ROLE, titles.index.to_series(), line), titles
    if not nw.dependencies.is_into_dataframe(titles):
        raise ValueError(
            f"{_ROLE} should be a dictionary from ids to titles, a pandas Series with "
            "ids as its index, or a frame with a column of ids and one of titles, but "
            f"got {type(titles).__name__}."
        )
    frame, ids, names = open_by_id(_ROLE, titles, item)
    if len(names) != 1:
        raise ValueError(
            f"{_ROLE} should have one column besides the ids, with titles, but has "
            f"{names}. Select the column of ids and the column of titles."
        )
    return names[0], ids, frame.get_column(names[0]).to_list()
