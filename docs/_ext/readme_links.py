# SPDX-License-Identifier: BSD-3-Clause
"""README on the page of a package index, which has none of the files it links to.

Its links are relative in the repository. Where pyproject.toml names the address of the
repository, they become absolute in the metadata of the package.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Code, which stays as it is; the text and the target of a link; an image in HTML, which
# alone can have a width.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`]*`"
    r"|(?P<link>\[(?:`[^`]*`|[^\[\]`])*\]\()(?P<target>[^()\s]+)(?=\))"
    r"|(?P<image><img\b[^>]*\bsrc=\")(?P<source>[^\"]+)",
    re.DOTALL | re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//|#")


class ReadmeHook(MetadataHookInterface):
    """Sets the field readme."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Read README, with absolute links if there is an address."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        if repository is not None:
            version = metadata["version"]
            ref = "main" if "dev" in version else f"v{version}"
            text = make_links_absolute(text, repository, ref, Path(self.root))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def make_links_absolute(text: str, repository: str, ref: str, root: Path) -> str:
    """Markdown whose links to files in `root` lead to a version of a repository."""

    def replace(match: re.Match[str]) -> str:
        opening = match["link"] or match["image"]
        target = match["target"] or match["source"]
        if opening is None or _ELSEWHERE.match(target):
            return match[0]
        view = "raw" if match["image"] else "blob"
        if (root / target).is_dir():
            view = "tree"
        return f"{opening}{repository.rstrip('/')}/{view}/{ref}/{target}"

    return _CODE_OR_LINK.sub(replace, text)
