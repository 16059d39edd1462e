# SPDX-License-Identifier: BSD-3-Clause
"""Check that the target of every internal link and image of a built site exists.

    python docs/check_links.py docs/_build/html

Links to other hosts are not checked, so no network is needed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(attributes.get(name) or "" for name in ("id", "name"))
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.add(attributes[name])
        for source in (attributes.get("srcset") or "").split(","):
            if source.strip():
                self.links.add(source.split()[0])


def find_broken(folder):
    """Yield (page, link) for each link without a target."""
    pages = {
        path.resolve(): Page(path)
        for path in folder.rglob("*.html")
        if "_static" not in path.parts  # templates of the theme
    }
    if not pages:
        yield folder, "no page at all"
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            found = target.is_file()
            if found and target in pages and parts.fragment:
                found = unquote(parts.fragment) in pages[target].anchors
            if not found:
                yield path.relative_to(folder.resolve()), link


if __name__ == "__main__":
    broken = list(find_broken(Path(sys.argv[1])))
    for page, link in broken:
        print(f"{page}: {link}")
    sys.exit(f"{len(broken)} broken links" if broken else 0)
