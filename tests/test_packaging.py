# SPDX-License-Identifier: BSD-3-Clause
"""README as package indexes show it: its links need the address of the repository."""

import email
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOOK = Path("docs/_ext/readme_links.py")
ADDRESS = "https://git.example.org/someone/sklearn-gmmcf"

pytest.importorskip("hatchling")
markdown_it = pytest.importorskip("markdown_it")

MAKE_METADATA = """
import sys
from hatchling.build import prepare_metadata_for_build_wheel
prepare_metadata_for_build_wheel(sys.argv[1])
"""


@pytest.fixture
def build(tmp_path):
    """Makes the metadata of a copy of the project, with addresses and a version."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "sklearn_gmmcf", project / "sklearn_gmmcf")
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    (project / "docs" / "_ext").mkdir(parents=True)
    shutil.copy(ROOT / HOOK, project / HOOK)
    (project / "examples").mkdir()

    def make(addresses="", version="0.2.0.dev0"):
        configuration = re.sub(
            r"(?:^# )?\[project\.urls\]\n(?:^(?:# )?\w+ = .*\n)*",
            "",
            (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
        (project / "pyproject.toml").write_text(addresses + configuration, "utf-8")
        versions = project / "sklearn_gmmcf" / "_versions.py"
        code = re.sub(
            "^__version__ = .*",
            f'__version__ = "{version}"',
            versions.read_text(),
            flags=re.MULTILINE,
        )
        versions.write_text(code)
        command = [sys.executable, "-c", MAKE_METADATA, str(tmp_path)]
        subprocess.run(command, check=True, cwd=project, capture_output=True)
        (path,) = tmp_path.glob("*.dist-info/METADATA")
        metadata = email.message_from_bytes(path.read_bytes())
        shutil.rmtree(path.parent)
        return metadata

    return make


def list_links(markdown):
    """Targets of links and sources of images."""
    targets = []
    for token in markdown_it.MarkdownIt("commonmark").enable("table").parse(markdown):
        for child in token.children or []:
            if child.type == "link_open":
                targets.append((child.type, child.attrs["href"]))
            assert child.type != "image"  # images have a width, in HTML
        if token.type == "html_block":
            found = re.findall(r'\bsrc="(.*?)"', token.content)
            targets += [("image", source) for source in found]
    return targets


def test_readme_stays_as_it_is_without_an_address(build):
    metadata = build()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload(decode=True).decode().strip() == readme.strip()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Project-URL") is None


@pytest.mark.parametrize(
    ("version", "ref"), [("0.2.0", "v0.2.0"), ("0.3.0.dev0", "main")]
)
def test_links_of_readme_lead_to_the_repository(build, version, ref):
    urls = f'[project.urls]\nRepository = "{ADDRESS}/"\n'
    metadata = build(urls, version)
    assert metadata.get_all("Project-URL") == [f"Repository, {ADDRESS}/"]
    built = metadata.get_payload(decode=True).decode()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, after = list_links(readme), list_links(built)
    assert sum("://" not in target for _, target in before) > 10
    views = {"image": "raw", "link_open": "blob"}
    expected = []
    for kind, target in before:
        if "://" not in target and not target.startswith("#"):
            view = "tree" if (ROOT / target).is_dir() else views[kind]
            target = f"{ADDRESS}/{view}/{ref}/{target}"
        expected.append((kind, target))
    assert after == expected
    assert "image" in dict(before)
    # All but the links is unchanged.
    address = re.escape(ADDRESS)
    assert (
        re.sub(rf"{address}/\w+/{re.escape(ref)}/", "", built).strip() == readme.strip()
    )


def test_targets_of_readme_exist():
    for _, target in list_links((ROOT / "README.md").read_text(encoding="utf-8")):
        if "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_links_in_code_and_elsewhere_stay():
    hook = runpy.run_path(str(ROOT / HOOK))
    text = (
        "`[a](b)` [`c`](d.md#e) [f](https://g.org) [h](#i) [j](mailto:k@l.org)\n"
        '```\n[m](n)\n```\n`<img src="o">`\n\n<img width="600" src="q.png" alt="p">\n'
    )
    expected = text.replace("(d.md#e)", f"({ADDRESS}/blob/v1/d.md#e)")
    expected = expected.replace('"q.png', f'"{ADDRESS}/raw/v1/q.png')
    assert hook["make_links_absolute"](text, ADDRESS, "v1", ROOT) == expected
