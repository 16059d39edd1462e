# SPDX-License-Identifier: BSD-3-Clause
"""The files around the package agree with it and with each other."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sklearn_gmmcf

ROOT = Path(__file__).parents[1]
PACKAGE = Path(sklearn_gmmcf.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
METADATA = PROJECT["project"]
TYPES = {each["directory"] for each in PROJECT["tool"]["towncrier"]["type"]}
TOP = {
    "CITATION.cff",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "conftest.py",
    "docs",
    "examples",
    "pyproject.toml",
    "sklearn_gmmcf",
    "tests",
}
PAGES = sorted(ROOT.glob("*.md"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*_re*.yml"))


def find(path):
    """A file that the source distribution may leave out."""
    if not (ROOT / path).exists():
        pytest.skip(f"{path} is in the repository only")
    return ROOT / path


def read_yaml(path):
    return pytest.importorskip("yaml").safe_load(find(path).read_text("utf-8"))


def load(path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, find(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_top_level():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    command = ["git", "ls-files"]
    files = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = {line.partition("/")[0] for line in files.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} - TOP == set()
    assert {"LICENSE", "README.md", "sklearn_gmmcf"} < names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_targets(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_license():
    assert METADATA["license"] == "BSD-3-Clause"
    assert [ROOT / path for path in METADATA["license-files"]] == [ROOT / "LICENSE"]
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("BSD 3-Clause License\n")


def test_citation():
    citation = read_yaml("CITATION.cff")
    assert citation.pop("cff-version") == "1.2.0"
    assert citation.pop("message")
    # A version in development has no date.
    assert ("date-released" in citation) == (".dev" not in sklearn_gmmcf.__version__)
    citation.pop("date-released", None)
    assert citation == {
        "title": METADATA["name"],
        "abstract": METADATA["description"],
        "type": "software",
        "authors": METADATA["authors"],
        "version": sklearn_gmmcf.__version__,
        "license": METADATA["license"],
        "keywords": METADATA["keywords"],
    }


def test_recipe_agrees_with_pyproject():
    recipe = read_yaml(".conda/recipe.yaml")
    context, requirements = recipe["context"], recipe["requirements"]
    assert context["version"] == sklearn_gmmcf.__version__
    assert f">={context['python_min']}" == METADATA["requires-python"]
    assert recipe["package"] == {"name": METADATA["name"], "version": "${{ version }}"}
    assert recipe["source"]["path"].endswith("sklearn_gmmcf-${{ version }}.tar.gz")

    run = [requirement.replace(" ", "") for requirement in requirements["run"]]
    assert run == ["python>=${{python_min}}", *METADATA["dependencies"]]
    host = [requirement.replace(" ", "", 1) for requirement in requirements["host"]]
    assert {"pip", *PROJECT["build-system"]["requires"]} < set(host)

    scripts = METADATA.get("scripts", {})
    entry_points = recipe["build"].get("python", {}).get("entry_points", [])
    assert entry_points == [f"{name} = {path}" for name, path in scripts.items()]

    about = recipe["about"]
    assert about["summary"] == METADATA["description"]
    assert about["license"] == METADATA["license"]
    assert about["license_file"] in METADATA["license-files"]


def test_recipe_imports_public_modules():
    [imports] = [
        test["python"]["imports"]
        for test in read_yaml(".conda/recipe.yaml")["tests"]
        if "python" in test
    ]
    assert all(importlib.util.find_spec(name) for name in imports)


def test_fragments():
    folder = ROOT / "docs/changes"
    name = re.compile(rf"\+[a-z0-9-]+\.({'|'.join(sorted(TYPES))})\.rst")
    for path in folder.iterdir():
        if path.name == "README.md":
            continue
        assert name.fullmatch(path.name), path.name
        lines = path.read_text("utf-8").splitlines()
        # towncrier makes an item of a list of each fragment.
        assert lines, path.name
        assert re.match(r"[\w:`]", lines[0]), path.name
        assert max(map(len, lines)) <= 100, path.name


def test_unreleased_section(tmp_path):
    unreleased = load("docs/_ext/unreleased.py")
    assert unreleased.make_section(tmp_path, unreleased.read_types()) == []
    (tmp_path / "+b.feature.rst").write_text("Does b,\nand c.\n")
    (tmp_path / "+a.feature.rst").write_text("Does a.\n")
    (tmp_path / "+d.change.rst").write_text("Changes d.\n")
    types = {"change": "Changes", "feature": "Features", "fix": "Fixes"}
    assert "\n".join(unreleased.make_section(tmp_path, types)) == (
        "In development\n--------------\n\n"
        "Changes\n~~~~~~~\n\n- Changes d.\n\n"
        "Features\n~~~~~~~~\n\n- Does a.\n\n- Does b,\n  and c.\n"
    )


def test_unreleased_section_has_what_towncrier_will_write():
    pytest.importorskip("towncrier")
    unreleased = load("docs/_ext/unreleased.py")
    lines = unreleased.make_section(unreleased.CHANGES, unreleased.read_types())
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9"]
    draft = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    if not lines:
        assert "No significant changes." in draft.stdout
        return
    # All but the title, blank lines, and the order within a type.
    written = [line for line in draft.stdout.splitlines() if line]
    assert sorted(filter(None, lines[2:])) == sorted(written[2:])
    titles = set(unreleased.read_types().values())
    ours = [line for line in lines if line in titles]
    assert ours == [line for line in written if line in titles]


@pytest.fixture
def release(tmp_path):
    """A tree that may be released as v1.2.0."""
    files = {
        "sklearn_gmmcf/_versions.py": '__version__ = "1.2.0"\n',
        "docs/changelog.rst": "Changelog\n=========\n\n1.2.0 (2030-01-31)\n------\n",
        "docs/benchmarks/results/releases/1.2.0.json": "{}\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def list_obstacles(root, tag="v1.2.0"):
    return list(load(".ci/check_release.py").find_obstacles(root, tag))


def test_release_without_obstacles(release):
    assert list_obstacles(release) == []


def test_release_with_another_tag(release):
    [obstacle] = list_obstacles(release, "v1.2.1")
    assert obstacle == "The tag is v1.2.1, but the version in _versions.py is 1.2.0."


def test_release_with_a_fragment(release):
    (release / "docs/changes").mkdir()
    (release / "docs/changes/README.md").write_text("No fragment.\n")
    (release / "docs/changes/+more.fix.rst").write_text("More.\n")
    [obstacle] = list_obstacles(release)
    assert "+more.fix.rst" in obstacle


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("docs/changelog.rst", "1.2.0rc1 (2030-01-01)\n---\n", "has no section 1.2.0"),
        ("docs/benchmarks/results/releases/1.2.0.json", None, "benchmarks .* 1.2.0"),
    ],
)
def test_release_without_a_file(release, path, new, message):
    (release / path).unlink()
    if new is not None:
        (release / path).write_text(new)
    [obstacle] = list_obstacles(release)
    assert re.search(message, obstacle)


def test_patch_release_needs_no_benchmarks(release):
    for path in ("sklearn_gmmcf/_versions.py", "docs/changelog.rst"):
        text = (release / path).read_text("utf-8")
        (release / path).write_text(text.replace("1.2.0", "1.2.1"))
    assert list_obstacles(release, "v1.2.1") == []


def test_no_release_in_development(release):
    path = release / "sklearn_gmmcf/_versions.py"
    path.write_text('__version__ = "1.2.0.dev0"\n')
    assert "1.2.0.dev0 is a version in development." in list_obstacles(release)


def test_release_is_published_by_trust_and_after_tests():
    workflow = read_yaml(".github/workflows/release.yml")
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    publish = jobs["publish"]
    assert publish["needs"] == "test"
    assert jobs["test"]["needs"] == "build"
    assert publish["environment"] == "release"
    assert publish["permissions"] == {"id-token": "write"}
    assert not any("permissions" in jobs[name] for name in ("build", "test"))
    assert not any("password" in step.get("with", {}) for step in publish["steps"])
    [check, *_] = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert check == 'python .ci/check_release.py "$GITHUB_REF_NAME"'


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms(path):
    form = read_yaml(path)
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in fields)


def test_bug_report_asks_for_versions():
    text = find(".github/ISSUE_TEMPLATE/bug_report.yml").read_text("utf-8")
    assert "sklearn_gmmcf.show_config(); sklearn.show_versions()" in text


def test_linters_have_one_version():
    """The hooks of pre-commit are those that the extra `dev` installs."""
    pins = dict(
        requirement.split("==")
        for requirement in METADATA["optional-dependencies"]["dev"]
        if "==" in requirement
    )
    revisions = {
        repository["repo"].rpartition("/")[2].removesuffix("-pre-commit"): repository[
            "rev"
        ]
        for repository in read_yaml(".pre-commit-config.yaml")["repos"]
        if repository["repo"] != "local"
    }
    assert {"ruff", "codespell"} <= set(revisions)
    assert revisions == {name: f"v{pins[name]}" for name in revisions}


def test_developers_page_names_all_modules():
    page = (ROOT / "docs/developing.rst").read_text("utf-8")
    named = set(re.findall(r"``(\w+(?:\.py|/))``", page))
    modules = {path.name for path in PACKAGE.glob("*.py")}
    packages = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert (modules | packages) - named == set()
