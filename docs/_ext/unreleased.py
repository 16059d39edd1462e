# SPDX-License-Identifier: BSD-3-Clause
"""The directive ``unreleased``: the fragments of the changelog, as a section.

towncrier moves the fragments into the changelog at a release. Until then this directive
shows them under the titles that towncrier's configuration in pyproject.toml gives them.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGES = ROOT / "docs/changes"


def read_types():
    """Titles by types of fragments, in the order of the page."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        types = tomllib.load(file)["tool"]["towncrier"]["type"]
    return {each["directory"]: each["name"] for each in types}


def make_section(folder, types):
    """Lines of a section with the fragments in `folder`, or none without fragments."""
    lines = []
    for name, title in types.items():
        fragments = sorted(folder.glob(f"*.{name}.rst"))
        if fragments:
            lines += [title, "~" * len(title), ""]
        for fragment in fragments:
            first, *rest = fragment.read_text(encoding="utf-8").rstrip().splitlines()
            lines += [f"- {first}", *(f"  {line}" for line in rest), ""]
    title = "In development"
    return [title, "-" * len(title), "", *lines] if lines else []


def setup(app):
    # Tests of the functions above need no Sphinx.
    from sphinx.util.docutils import SphinxDirective

    class Unreleased(SphinxDirective):
        """Insert the section of the changes that are not released."""

        def run(self):
            for path in [CHANGES, *CHANGES.glob("*.rst")]:
                self.env.note_dependency(str(path))
            lines = make_section(CHANGES, read_types())
            self.state_machine.insert_input(lines, str(CHANGES))
            return []

    app.add_directive("unreleased", Unreleased)
    return {"parallel_read_safe": True}
