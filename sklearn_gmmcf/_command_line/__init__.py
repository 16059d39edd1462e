# SPDX-License-Identifier: BSD-3-Clause
"""Complete tables and recommend items from a shell."""

from sklearn_gmmcf._command_line._main import main

__all__ = ["main"]
