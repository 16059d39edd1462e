# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of the documentation.

Everything builds without a network. On Read the Docs, and with
SKLEARN_GMMCF_INTERSPHINX set to 1, names of other projects become links to their
documentation.
"""

import os
import sys
import tomllib
from pathlib import Path

import matplotlib

import sklearn_gmmcf

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import gallery_order
from api_names import describe_pages

project = "sklearn-gmmcf"
author = "The sklearn-gmmcf developers"
version = release = sklearn_gmmcf.__version__
project_copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "benchmark_pictures",
    "mathml",
    "unreleased",
]
exclude_patterns = [
    "_build",
    "benchmarks/results",
    "changes",
    "gallery/**/*.ipynb",
    "gallery/**/*.py",
]
templates_path = ["_templates"]
default_role = "literal"
nitpicky = True
# Names of other projects in types and links, which have no page here.
nitpick_ignore_regex = [("py:.*", r"(sklearn|numpy|scipy|pandas)\..*")]

on_read_the_docs = os.environ.get("READTHEDOCS") == "True"
if on_read_the_docs or os.environ.get("SKLEARN_GMMCF_INTERSPHINX") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

autosummary_generate = True
autosummary_context = {"pages": describe_pages()}
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

matplotlib.use("agg")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "ignore_pattern": r"^(?!plot_)",
    "subsection_order": [f"../examples/{name}" for name in gallery_order.SECTIONS],
    "within_subsection_order": "gallery_order.GalleryOrder",
    "nested_sections": False,
    "reset_modules": ("matplotlib", "gallery_order.set_style"),
    "image_srcset": ["2x"],
    "doc_module": ("sklearn_gmmcf",),
    "backreferences_dir": "gallery/backreferences",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "show_memory": False,
    "remove_config_comments": True,
    "min_reported_time": 3600,  # times depend on the machine
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "sklearn-gmmcf"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
_ALONE = "index getting_started coming_from mathematics developing policy changelog"
html_sidebars = {page: [] for page in _ALONE.split()}
with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as _file:
    _addresses = tomllib.load(_file)["project"].get("urls", {})
html_baseurl = _addresses.get("Documentation", "")
html_theme_options = {
    "logo": {"text": "sklearn-gmmcf"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}


def _list_pages():
    for path in Path(__file__).parent.rglob("*.rst"):
        page = path.relative_to(Path(__file__).parent).with_suffix("")
        if page.parts[0] not in (
            "_build",
            "_templates",
            "api",
            "benchmarks",
            "gallery",
        ):
            yield page.as_posix()


if "Repository" in _addresses:
    _repository = _addresses["Repository"].rstrip("/")
    html_theme_options |= {
        "icon_links": [
            {
                "name": "Repository",
                "url": _repository,
                "icon": "fa-brands fa-git-alt",
            }
        ],
        "use_edit_page_button": True,
        "secondary_sidebar_items": {
            # These pages are generated, and have no source to edit.
            "api/*": ["page-toc"],
            "gallery/*": ["page-toc"],
            **{page: ["page-toc", "edit-this-page"] for page in _list_pages()},
        },
    }
    html_context = {
        "edit_page_url_template": f"{_repository}/edit/main/docs/{{{{ file_name }}}}",
        "edit_page_provider_name": "the repository",
    }
