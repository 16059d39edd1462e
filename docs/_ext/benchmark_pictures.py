# SPDX-License-Identifier: BSD-3-Clause
"""Draw the pictures of the benchmarks from their results, and show them by name.

``.. dot-plot:: NAME`` shows a picture of docs/benchmarks/dot_plots.py. Its title is its
text for readers who do not see it.
"""

import json
import subprocess
import sys
from pathlib import Path

from docutils.parsers.rst.directives.images import Image

FOLDER = "benchmarks/pictures"


class DotPlot(Image):
    """The image directive, for a picture of the benchmarks."""

    def run(self):
        (name,) = self.arguments
        folder = Path(self.state.document.settings.env.srcdir, FOLDER)
        findings = json.loads((folder / "findings.json").read_text())
        self.options |= {"alt": findings[name], "class": ["dot-plot"]}
        self.arguments[0] = f"/{FOLDER}/{name}.svg"
        return super().run()


def draw(app):
    """Draw all pictures in a process of its own, if scripts or results are newer."""
    folder = Path(app.srcdir, "benchmarks")
    made = Path(app.srcdir, FOLDER, "findings.json")
    sources = [*folder.glob("*.py"), *folder.glob("results/*.json")]
    newest = max(path.stat().st_mtime for path in sources)
    if not made.exists() or made.stat().st_mtime < newest:
        command = [sys.executable, folder / "dot_plots.py", made.parent]
        subprocess.run(command, check=True)


def setup(app):
    app.connect("builder-inited", draw)
    app.add_directive("dot-plot", DotPlot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
