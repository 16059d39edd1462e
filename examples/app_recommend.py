"""Rate items, and see recommendations, their uncertainty, and your type at once.

pip install ".[app]" && streamlit run examples/app_recommend.py
"""

import copy
import io
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from matplotlib.figure import Figure
from scipy import sparse
from sklearn.utils import Bunch

from sklearn_gmmcf import MaskedGaussianMixture, datasets
from sklearn_gmmcf.model_selection import hide_entries
from sklearn_gmmcf.plotting import TypesDisplay

MADE, MOVIELENS, UPLOAD = SOURCES = ["Made-up films", "MovieLens", "A CSV file"]
RELEASES = ["latest-small", "100k", "1m"]
FIRST = "Amber Brave Crooked Distant Electric Frozen Gentle Hidden Ivory Jolly"
SECOND = "Anchor Bridge Comet Desert Engine Forest Garden Harbor Island Journey"
QUANTILE = 1.2816  # an 80 % interval is the mean -+ this many standard deviations


class Progress:
    """A callback of scikit-learn that moves a bar of Streamlit."""

    def setup(self, estimator, context):
        self.n_iter, self.bar = 0, st.progress(0.0, "Looking for a start")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration":
            self.n_iter += 1
            text = f"Iteration {self.n_iter} of at most {estimator.max_iter}"
            self.bar.progress(self.n_iter / estimator.max_iter, text)

    def teardown(self, estimator, context):
        self.bar.empty()


def escape(text):
    """Escape a name, as Streamlit reads texts as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", str(text))


def read_csv(name, content):
    """Read an uploaded file; a ValueError names the bad line and the reason."""
    first = content[:10_000].decode("utf-8", "replace").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    header = not re.match(r"\W*\d", "".join(first.split(delimiter)[2:3]))
    options = {"delimiter": delimiter, "header": header, "encoding": "utf-8-sig"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(name).name)
        path.write_bytes(content)
        try:
            return datasets.load_ratings_csv(path, duplicates="last", **options)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), path.name)) from error


# Ratings and fits are shared by all visitors and must not be changed: a mixture that
# learns from a visitor is a copy in the visitor's session.
@st.cache_resource(show_spinner="Loading ratings", max_entries=4)
def load(source, detail):
    """The ratings, names of the items, their order by popularity, and rating levels."""
    if source == MADE:
        ratings = datasets.make_ratings(1000, 100, density=0.2, random_state=5)
        ratings.data.data = np.round(2 * ratings.data.data) / 2
        ratings.titles = [f"The {a} {b}" for a in FIRST.split() for b in SECOND.split()]
    elif source == UPLOAD:
        ratings = read_csv(*detail)
        ratings.titles = ratings.item_ids
    elif detail in RELEASES:
        ratings = datasets.fetch_movielens(detail)
    else:
        ratings = datasets.load_movielens(detail)
    X, names = ratings.data, np.array(ratings.titles).astype(str)
    levels = np.unique(X.data)
    if len(levels) > 11:
        levels = np.linspace(levels[0], levels[-1], 9)
    order = np.argsort(-np.bincount(X.indices, minlength=len(names)), kind="stable")
    return Bunch(X=X, names=names, order=order.tolist(), levels=levels.tolist())


@st.cache_resource(show_spinner=False, max_entries=8)
def fit(data, n_types, kind):
    """Fit a mixture to nine tenths of the ratings, and measure it on the others."""
    X, (rows, columns, values) = hide_entries(load(*data).X, random_state=0)
    mixture = MaskedGaussianMixture(n_types, covariance_type=kind, random_state=0)
    mixture.set_callbacks(Progress()).fit(X).set_callbacks()
    # One component predicts the mean of the column.
    means = (
        MaskedGaussianMixture(covariance_type="spherical")
        .fit(X)
        .complete(X, entries=(rows, columns))
    )
    predicted, std = mixture.complete(X, entries=(rows, columns), return_std=True)
    rmse, baseline = (np.sqrt(np.mean((a - values) ** 2)) for a in (predicted, means))
    coverage = np.mean(abs(predicted - values) < QUANTILE * std)
    measured = (
        f"Held-out error (RMSE) **{rmse:.3f}**, item means **{baseline:.3f}**; 80 % "
        f"intervals contain **{coverage:.1%}**."
    )
    return Bunch(mixture=mixture, measured=measured, crowd=X[:300])


def add_item(found, listed):
    """Put the found item first in the list, and clear the search."""
    item, st.session_state[found] = st.session_state[found], None
    others = [other for other in st.session_state.get(listed, []) if other != item]
    st.session_state[listed] = [item, *others]


def fold_in(shared, row, names, key):
    """Let a copy of the shared fit learn from the row; more clicks change nothing."""
    mixture = copy.deepcopy(shared).partial_fit(row)
    before, after = shared.complete(row)[0], mixture.complete(row)[0]
    j = np.argmax(abs(after - before))
    message = (
        f"The model has learned from your ratings ({row.nnz}), for you alone. Its most "
        f"changed prediction: {escape(names[j])}, {before[j]:.3f} to {after[j]:.3f}."
    )
    st.session_state[key] = mixture, message


st.set_page_config("Recommendations with uncertainty", layout="wide")
st.title("Rate what you know")
try:
    with st.sidebar:
        source, detail = st.radio("Ratings", SOURCES), None
        if source == MOVIELENS:
            detail = st.text_input(f"Folder, or a release: {', '.join(RELEASES)}")
        elif source == UPLOAD:
            file = st.file_uploader("User, item, rating", ["csv", "txt", "tsv"])
            detail = file and (file.name, file.getvalue())
        if source != MADE and not detail:
            raise ValueError("Choose in the sidebar where the ratings are.")
        ratings = load(source, detail)
        names, levels, key = ratings.names, ratings.levels, hash((source, detail))
        kinds = ["factor", "diag", "spherical"] + ["tied", "full"] * (len(names) <= 50)
        n_types = st.slider("Types of users", 1, 12, 4)
        settings = (source, detail), n_types, st.selectbox("Covariance type", kinds)
    measured = st.empty()
    upper, lower = (st.columns([2, 3], gap="large") for _ in range(2))
    with upper[0], st.container():
        options = {"index": None, "format_func": names.item, "on_change": add_item}
        keys = f"found {key}", f"listed {key}"
        st.selectbox("Search by name", ratings.order, key=keys[0], args=keys, **options)
        options = {"options": levels, "format_func": "{:g}".format}
        listed = st.session_state.get(keys[1], [])
        given = {
            j: st.pills(escape(names[j]), key=f"{key} {j}", **options) for j in listed
        }
        if not listed:
            st.info("Find items and rate them: the page changes with each rating.")
        fitted = fit(*settings)
        measured.markdown(fitted.measured)
except (ValueError, OSError) as error:
    (st.error if source == MADE or detail else st.info)(escape(error))
    st.stop()
rated = {j: value for j, value in given.items() if value is not None}
entries = [0] * len(rated), list(rated)
row = sparse.csr_array((list(rated.values()), entries), shape=(1, len(names)))
folded_key = f"folded {hash(settings)}"
mixture, message = st.session_state.get(folded_key, (fitted.mixture, None))
with upper[1]:
    st.subheader("For you" if rated else "For anybody")
    items, values, std = (a[0] for a in mixture.recommend(row, return_std=True))
    bounds = np.array([values, values - QUANTILE * std, values + QUANTILE * std])
    bounds = np.clip(bounds, levels[0], levels[-1])[:, items >= 0]
    found = pd.DataFrame(bounds.T, columns=["prediction", "low_80", "high_80"])
    found.insert(0, "item", names[items[items >= 0]])
    table = found.set_axis(["Item", "Prediction", "80 % from", "to"], axis=1)
    st.table(table.style.format({"Item": escape}, precision=2))
    with st.container(horizontal=True):
        options = {
            "args": (fitted.mixture, row, names, folded_key),
            "disabled": not rated,
        }
        st.button("Fold my ratings in", on_click=fold_in, **options)
        csv = found.to_csv(index=False)
        st.download_button("Download", csv, "recommendations.csv", on_click="ignore")
    if message:
        st.success(message)
figure = Figure((5.5, 4.4), layout="constrained")
options = {"show": "items", "feature_names": names, "ax": figure.subplots()}
if hasattr(mixture, "components_"):
    X = sparse.vstack([fitted.crowd, row])
    options |= {"X": X, "highlight": X.shape[0] - 1, "show": "map"}
display = TypesDisplay.from_estimator(mixture, **options)
with lower[0]:
    st.subheader("Your type of user")
    shares = mixture.predict_proba(row)[0].clip(0, 1)
    for k in np.argsort(-shares):
        likes = ", ".join(escape(names[j]) for j in display.items[k][:3])
        st.progress(shares[k], f"**Type {k}: {shares[k]:.0%}** likes {likes}")
with lower[1]:
    st.subheader("The star is you" if "X" in options else "Items that types like")
    figure.savefig(picture := io.BytesIO(), dpi=150)
    st.image(picture, width="stretch", alt="The same types in a picture")
