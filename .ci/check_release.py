# SPDX-License-Identifier: BSD-3-Clause
"""List what stands in the way of the release that a tag names.

    python .ci/check_release.py v0.2.0

It needs nothing installed, and reads the tree that it lies in.
"""

import re
import sys
from pathlib import Path


def find_obstacles(root, tag):
    """Yield a sentence for each reason not to release the tree as `tag`."""
    source = (root / "sklearn_gmmcf/_versions.py").read_text("utf-8")
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]
    if tag != f"v{version}":
        yield f"The tag is {tag}, but the version in _versions.py is {version}."
    if ".dev" in version:
        yield f"{version} is a version in development."
    for fragment in sorted((root / "docs/changes").glob("*.rst")):
        yield f"docs/changes/{fragment.name} is not in the changelog: see towncrier."
    titles = re.findall(
        r"^(\S+).*\n-+$", (root / "docs/changelog.rst").read_text("utf-8"), re.MULTILINE
    )
    if version not in titles:
        yield f"docs/changelog.rst has no section {version}."
    results = root / f"docs/benchmarks/results/releases/{version}.json"
    if re.fullmatch(r"\d+\.\d+\.0", version) and not results.exists():
        yield f"The benchmarks of this release are missing: {results.name}."


if __name__ == "__main__":
    obstacles = list(find_obstacles(Path(__file__).parents[1], sys.argv[1]))
    sys.exit("\n".join(obstacles))
