# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of the documentation.

Everything builds without a network. On Read the Docs, and with
SKLEARN_GMMCF_INTERSPHINX set to 1, names of other projects become links to their
documentation.
"""

import os
import sys
from pathlib import Path

import matplotlib

import sklearn_gmmcf

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

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
    "mathml",
]
exclude_patterns = ["_build", "benchmarks", "gallery/**/*.ipynb", "gallery/*.py"]
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
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

matplotlib.use("agg")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": "gallery_order.GalleryOrder",
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
_ALONE = "index getting_started coming_from benchmarks mathematics developing changelog"
html_sidebars = {page: [] for page in _ALONE.split()}
html_theme_options = {
    "logo": {"text": "sklearn-gmmcf"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
