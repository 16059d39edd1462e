# SPDX-License-Identifier: BSD-3-Clause
"""Distinct values of a column of text, and their codes, by a hash table in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_gmmcf._typing import Array

# Bytes of the longest value, in words of eight bytes.
MAX_BYTES = 64
# An odd number: 2**64 over the golden ratio.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# Slots for each value, so that few values share one.
_SLOTS = 4
# Bytes of each word that belong to a value, by the length of the value.
_MASKS = np.array(
    [
        [
            2 ** (8 * min(max(length - start, 0), 8)) - 1
            for length in range(MAX_BYTES + 1)
        ]
        for start in range(0, MAX_BYTES, 8)
    ],
    dtype=np.uint64,
)


class DistinctValues:
    """Distinct values of up to 64 bytes of UTF-8 without NUL, and their codes.

    A value is a column of words, filled with zeros. Code 0 stands for the empty value.
    The table is an open one: a code stands in the slot that the value hashes to, or in
    the first slot after it that was free. Hashes differ from table to table, so that
    nobody can choose values that share their slots; codes do not depend on them.

    `learn` is called with new values, an array of bytes, before they get the next
    codes; if it raises, they get none.
    """

    def __init__(self, learn: Callable[[Array], None]) -> None:
        self._learn = learn
        self._n = 1
        random = np.random.default_rng()
        # Odd multipliers of words.
        self._factors = random.integers(2**64, size=len(_MASKS), dtype=np.uint64) | 1
        self._words = np.zeros((1, 2**8), dtype=np.uint64)
        self._lengths = np.zeros(2**8, dtype=np.uint8)  # in words
        self._slots = np.zeros(_SLOTS * 2**8, dtype=np.int32)

    def __len__(self) -> int:
        return self._n

    def encode(self, words: Array) -> Array:
        """Codes (m,) of values (n_words, m)."""
        codes, unknown = self._find(words)
        if unknown.size:
            new = words[:, unknown]
            order = np.lexsort(new)
            new = new[:, order]
            is_first = np.ones(len(order), dtype=bool)
            is_first[1:] = (new[:, 1:] != new[:, :-1]).any(axis=0)
            distinct = new[:, is_first]
            self._learn(to_bytes(distinct))
            codes[unknown[order]] = self._n - 1 + np.cumsum(is_first)
            self._add(distinct)
        return codes

    def _find(self, words: Array) -> tuple[Array, Array]:
        """Codes of the values that are known, and indices of the others."""
        slots = self._hash(words)
        codes = self._slots[slots]
        pending = np.flatnonzero(self._differ(codes, words))
        unknown = []
        while pending.size:
            is_free = codes[pending] == 0
            unknown.append(pending[is_free])
            pending = pending[~is_free]
            slots[pending] = (slots[pending] + 1) % len(self._slots)
            codes[pending] = self._slots[slots[pending]]
            pending = pending[self._differ(codes[pending], words[:, pending])]
        return codes, np.concatenate([*unknown, pending])

    def _differ(self, codes: Array, words: Array) -> Array:
        if len(self._words) > len(words):
            differ = self._lengths[codes] > len(words)
        else:
            differ = np.zeros(len(codes), dtype=bool)
        for known, found in zip(self._words, words, strict=False):
            differ |= known[codes] != found
        for found in words[len(self._words) :]:
            differ |= found != 0
        return differ

    def _hash(self, words: Array) -> Array:
        """Slots (m,): words of zeros after the first change nothing."""
        total = words[0] * self._factors[0]
        for word, factor in zip(words[1:], self._factors[1:], strict=False):
            mixed = ((total ^ (total >> np.uint64(32))) ^ word) * factor
            total = np.where(word == 0, total, mixed)
        total ^= total >> np.uint64(32)
        total *= _FACTOR
        shift = 64 - (len(self._slots) - 1).bit_length()
        return (total >> np.uint64(shift)).astype(np.int64)

    def _add(self, words: Array) -> None:
        start, self._n = self._n, self._n + words.shape[1]
        width, capacity = self._words.shape
        if self._n > capacity or len(words) > width:
            size = max(capacity, 2 ** (self._n - 1).bit_length())
            grown = np.zeros((max(width, len(words)), size), dtype=np.uint64)
            grown[:width, :start] = self._words[:, :start]
            self._words = grown
            self._lengths = np.append(
                self._lengths, np.zeros(size - capacity, dtype=np.uint8)
            )
        if len(self._slots) < _SLOTS * self._words.shape[1]:
            self._slots = np.zeros(_SLOTS * self._words.shape[1], dtype=np.int32)
            self._insert(np.arange(1, start, dtype=np.int32))
        added = np.arange(start, self._n, dtype=np.int32)
        self._words[: len(words), added] = words
        self._lengths[added] = (words != 0).sum(axis=0)
        self._insert(added)

    def _insert(self, codes: Array) -> None:
        slots = self._hash(self._words[:, codes])
        while codes.size:
            is_free = self._slots[slots] == 0
            self._slots[slots[is_free]] = codes[is_free]
            # Of several values that want one slot, the last one got it.
            left = self._slots[slots] != codes
            codes, slots = codes[left], (slots[left] + 1) % len(self._slots)


def pack_words(buffer: Array, starts: Array, lengths: Array) -> Array:
    """Words (n_words, m) of fields in a buffer of bytes.

    The buffer must go on for eight bytes after the last field.
    """
    n_words = max(-(-int(lengths.max()) // 8), 1)
    # A word may begin at any byte.
    view: Any = np.ndarray(len(buffer) - 7, dtype="<u8", buffer=buffer, strides=(1,))
    words = np.empty((n_words, len(starts)), dtype=np.uint64)
    for j in range(n_words):
        words[j] = view[starts + 8 * j]
        words[j] &= _MASKS[j][lengths]
    return words


def to_bytes(words: Array) -> Array:
    """Values (m,) of words, as an array of bytes."""
    rows = np.ascontiguousarray(words.T, dtype="<u8")
    return rows.view(f"S{8 * len(words)}").ravel()
