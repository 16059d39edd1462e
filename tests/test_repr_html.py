# SPDX-License-Identifier: BSD-3-Clause
"""The HTML representation in notebooks: links to our pages, short attributes."""

import re
import tracemalloc
from email.message import Message
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import sklearn_gmmcf._sklearn
from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf._sklearn import find_documentation
from sklearn_gmmcf.model_selection import EntryRegressor
from sklearn_gmmcf.preprocessing import RowNormalizer
from sklearn_gmmcf.ratings import RatingsEncoder
from tests.made import TYPES, clusters

SITE = "https://docs.example.org/stable"
PAGES = f"{SITE}/api/sklearn_gmmcf."

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

needs_attribute_table = pytest.mark.skipif(
    "Fitted attributes" not in estimator_html_repr(StandardScaler().fit([[0.0]])),
    reason="scikit-learn shows fitted attributes since version 1.9",
)


def install(monkeypatch, *headers):
    """Metadata of the package, as if it were installed with them; None: not at all."""
    package = Message()
    for header in headers:
        package["Project-URL"] = header

    def find(name):
        assert name == "sklearn-gmmcf"
        if headers == (None,):
            raise PackageNotFoundError(name)
        return package

    monkeypatch.setattr(sklearn_gmmcf._sklearn, "metadata", find)
    find_documentation.cache_clear()


@pytest.fixture(autouse=True)
def forget_address():
    yield
    find_documentation.cache_clear()


@pytest.fixture
def with_site(monkeypatch):
    install(
        monkeypatch, "Issues, https://issues.example.org", f"Documentation, {SITE}/"
    )


def fitted(kind, X):
    if kind == "kmeans":
        return KMeansMixture(3, random_state=0).fit(X)
    return MaskedGaussianMixture(
        3, covariance_type=kind, random_state=0, n_init=7, max_iter=9
    ).fit(X)


def read_rows(html):
    """Link, type and value of each fitted attribute."""
    table = html.split("<summary>Fitted attributes</summary>")[1]
    rows = {}
    for row in re.findall(r'<tr class="default">(.*?)</tr>', table, re.S):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
        name = re.search(r">\s*(\w+_)\s*<", cells[0]).group(1)
        link = re.search(r'href="(.*?)"', cells[0])
        rows[name] = link and link.group(1), *(cell.strip() for cell in cells[1:])
    return rows


@pytest.mark.parametrize(
    ("estimator", "page"),
    [
        (KMeansMixture(), "KMeansMixture"),
        (MaskedGaussianMixture(covariance_type="spherical"), "MaskedGaussianMixture"),
        (RatingsEncoder(), "ratings.RatingsEncoder"),
        (RowNormalizer(), "preprocessing.RowNormalizer"),
        (
            EntryRegressor(MaskedGaussianMixture(covariance_type="spherical"), (3, 3)),
            "model_selection.EntryRegressor",
        ),
    ],
)
def test_links_to_our_pages(with_site, estimator, page):
    link = f'href="{PAGES}{page}.html"'
    assert link in estimator_html_repr(estimator)
    if not isinstance(estimator, (RatingsEncoder, EntryRegressor)):
        pipe = make_pipeline(StandardScaler(), estimator)
        assert link in estimator_html_repr(pipe)


@pytest.mark.parametrize(
    "headers", [[None], [], ["Issues, https://issues.example.org"]]
)
def test_no_links_without_an_address_of_the_documentation(monkeypatch, headers):
    install(monkeypatch, *headers)
    estimator = MaskedGaussianMixture().fit(clusters(50, 3))
    for each in (estimator, make_pipeline(estimator)):
        links = set(re.findall('href="(.*?)"', estimator_html_repr(each)))
        assert not {link for link in links if "scikit-learn.org" not in link}
    assert 'href="' not in estimator_html_repr(estimator)


@needs_attribute_table
@pytest.mark.parametrize("kind", ["kmeans", *TYPES])
def test_fitted_attributes_are_short_and_explained(with_site, kind):
    X = clusters(300, 30, missing=0.1)
    estimator = fitted(kind, X)
    rows = read_rows(estimator_html_repr(estimator))
    attributes = {
        name
        for name in vars(estimator)
        if name.endswith("_") and not name.startswith("_")
    } | {"n_parameters_"}  # a property
    assert set(rows) == attributes
    page = f"{PAGES}{type(estimator).__name__}.html#"
    for name, (link, _, value) in rows.items():
        assert link is not None, name
        assert link.startswith(page), name
        assert len(value) < 1300, name
    if kind != "kmeans":
        assert len(rows["runs_"][2]) < 200
        assert rows["n_iter_"][2] == str(estimator.n_iter_)


@needs_attribute_table
def test_representation_builds_no_matrix_of_columns():
    d = 1500
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, d)) * (rng.random((30, d)) < 0.1)
    X[0] = 1.0
    X = sparse.csr_array(X)
    estimators = [
        KMeansMixture(3, random_state=0, max_iter=2),
        MaskedGaussianMixture(
            3, covariance_type="spherical", random_state=0, max_iter=1
        ),
        MaskedGaussianMixture(3, covariance_type="diag", random_state=0, max_iter=1),
        MaskedGaussianMixture(
            3, covariance_type="factor", n_factors=3, random_state=0, max_iter=1
        ),
    ]
    for estimator in estimators:
        estimator.fit(X)
        tracemalloc.start()
        text = estimator_html_repr(estimator)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * d * d / 4
        # scikit-learn decides about names of output columns; 1.9.0 lists them all.
        assert all(len(value) < 300 for *_, value in read_rows(text).values())
