# SPDX-License-Identifier: BSD-3-Clause
"""Start the app: further arguments are flags of ``streamlit run``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from sklearn_gmmcf.app import _limits


def make_arguments(flags: list[str]) -> list[str]:
    """Arguments of streamlit: of equal flags it takes the last one."""
    return [
        "streamlit",
        "run",
        str(Path(__file__).with_name("_main.py")),
        f"--server.maxUploadSize={_limits.MAX_MB}",
        # Tracebacks go to the log of the server, not to visitors.
        "--client.showErrorDetails=none",
        *flags,
    ]


def main() -> None:
    """Run the app until it is interrupted."""
    missing = [name for name in ("streamlit", "matplotlib") if find_spec(name) is None]
    if missing:
        sys.exit(
            f"The app needs {missing[0]}, which is not installed: "
            'pip install "sklearn-gmmcf[app]"'
        )
    from streamlit.web import cli

    sys.argv = make_arguments(sys.argv[1:])
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
