# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``python -m sklearn_gmmcf --help``."""

import sys

from sklearn_gmmcf._command_line import main

if __name__ == "__main__":
    sys.exit(main())
