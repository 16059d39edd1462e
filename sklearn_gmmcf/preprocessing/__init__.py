# SPDX-License-Identifier: BSD-3-Clause
"""Transformers that keep missing entries missing, for steps before a mixture."""

from sklearn_gmmcf.preprocessing._rows import RowNormalizer
from sklearn_gmmcf.preprocessing._scores import NormalScoreTransformer

__all__ = ["NormalScoreTransformer", "RowNormalizer"]
