# SPDX-License-Identifier: BSD-3-Clause
"""What visitors may ask for: uploads within these limits are fitted in seconds."""

from __future__ import annotations

MAX_MB = 50
MAX_LINES = 2_000_000  # also blank ones
MAX_LINE = 2000  # characters
MAX_FIELD = 200
MAX_SECONDS = 60  # of a fit

MAX_RATINGS = 1_000_000
MAX_USERS = 10_000
MAX_ITEMS = 10_000
DENSE_USERS, DENSE_ITEMS = 1000, 30  # of 'tied' and 'full'

MAX_ROWS = 20_000  # of a table
MAX_COLUMNS = 50
MAX_CELLS = 100_000
MAX_SHOWN = 1000  # filled entries on the page; the file has all
