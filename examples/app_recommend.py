"""Rate items, and see recommendations, their uncertainty, and your type at once.

pip install ".[app]" && streamlit run examples/app_recommend.py

Visitors reach no files of the server. The environment variable
SKLEARN_GMMCF_APP_FOLDER names the one folder, of MovieLens, that is offered to them.
"""

import copy
import csv
import io
import logging
import os
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from time import monotonic

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
LOCAL, FOLDER = "MovieLens on this server", os.environ.get("SKLEARN_GMMCF_APP_FOLDER")
RELEASES = ["latest-small", "100k", "1m"]
# Uploads within these limits are fitted in seconds and in less than 1 GB of memory.
MAX_MB = 50  # as server.maxUploadSize in .streamlit/config.toml
MAX_RATINGS = 1_000_000
MAX_LINES = 2_000_000  # also blank ones
MAX_USERS = 10_000
MAX_ITEMS = 10_000
MAX_LINE = 2000  # characters
MAX_FIELD = 200
MAX_SECONDS = 60  # of a fit
DENSE_USERS, DENSE_ITEMS = 1000, 30  # of 'tied' and 'full'
FAULTS = ValueError, OSError, LookupError, EOFError, MemoryError
FAULTS += csv.Error, zlib.error, zipfile.BadZipFile
LOG = logging.getLogger("app_recommend")
FIRST = "Amber Brave Crooked Distant Electric Frozen Gentle Hidden Ivory Jolly"
SECOND = "Anchor Bridge Comet Desert Engine Forest Garden Harbor Island Journey"
QUANTILE = 1.2816  # an 80 % interval is the mean -+ this many standard deviations


class Refusal(Exception):
    """What a visitor is told, as it stands."""


class Progress:
    """A callback of scikit-learn that moves a bar of Streamlit, and ends long fits."""

    def setup(self, estimator, context):
        self.n_iter, self.bar = 0, st.progress(0.0, "Looking for a start")
        self.end = monotonic() + MAX_SECONDS

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration":
            self.n_iter += 1
            text = f"Iteration {self.n_iter} of at most {estimator.max_iter}"
            self.bar.progress(self.n_iter / estimator.max_iter, text)
        if monotonic() > self.end:
            raise Refusal(
                f"The fit was stopped after {MAX_SECONDS} seconds. Choose fewer types "
                "of users, another covariance type, or fewer ratings."
            )

    def teardown(self, estimator, context):
        self.bar.empty()


def escape(text):
    """Escape a name, as Streamlit reads texts as Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", str(text))


def quote_formula(text):
    """A name that spreadsheets do not run as a formula; numbers stay as they are."""
    risky = re.match(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", text)
    number = re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", text)
    return f"'{text}" if risky and not number else text


def answer(error, source):
    """Words for an error. What only the operator may know goes to the log."""
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, ValueError) and source in (MADE, UPLOAD):
        return str(error)
    LOG.error("%s: %r", source, error, exc_info=error)
    if isinstance(error, MemoryError):
        return "The server has too little memory for these ratings. Choose fewer."
    return {
        MADE: "The films could not be made up. The log of the server has the reason.",
        UPLOAD: "The server could not read or fit this file. Try again later.",
        LOCAL: "The ratings on this server cannot be read. Choose other ratings.",
        MOVIELENS: "MovieLens could not be downloaded or read. Try again later, or "
        "choose other ratings.",
    }[source]


def read_lines(name, text):
    """Yield lines of limited length, and a limited number of them, blank ones too."""
    lines = re.finditer(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++", text)
    for number, line in enumerate(lines, start=1):
        if number > MAX_LINES:
            raise Refusal(
                f"{name} has more than {MAX_LINES:,} lines, the limit of this page. "
                "Remove blank lines and some users from the file."
            )
        if line.end() - line.start() > MAX_LINE:
            raise Refusal(
                f"{name}, line {number} has more than {MAX_LINE:,} characters."
            )
        yield line[0]


def check_size(name, text, options):
    """Refuse what would take too much time or memory, before it is loaded."""
    users, items, n_ratings = set(), set(), 0
    reader = csv.reader(read_lines(name, text), delimiter=options["delimiter"])
    for fields in reader:
        if any(len(field) > MAX_FIELD for field in fields[:3]):
            raise Refusal(
                f"{name}, line {reader.line_num}: the user, item or rating has more "
                f"than {MAX_FIELD} characters."
            )
        if not fields or (options["header"] and reader.line_num == 1):
            continue
        users.update(fields[:1])
        items.update(fields[1:2])
        n_ratings += 1
        for n, limit, what in [
            (n_ratings, MAX_RATINGS, "ratings"),
            (len(users), MAX_USERS, "users"),
            (len(items), MAX_ITEMS, "items"),
        ]:
            if n > limit:
                raise Refusal(
                    f"{name} has more than {limit:,} {what}, and this page must answer "
                    "within seconds. Remove some users or rare items from the file."
                )


def read_csv(name, content):
    """Read an uploaded file; the error names the bad line and the reason."""
    if len(content) > MAX_MB * 2**20:
        raise Refusal(f"{name} has more than {MAX_MB} MB, the limit of this page.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise Refusal(
            f"{name}, line {line} is not text in UTF-8. Save the file as CSV in UTF-8."
        ) from error
    first = text[:MAX_LINE].partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    header = not re.match(r"\W*\d", "".join(first.split(delimiter)[2:3]))
    options = {"delimiter": delimiter, "header": header}
    try:
        check_size(name, text, options)
    except csv.Error as error:
        raise Refusal(f"{name} is no table of text: {error}.") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ratings.csv")
        path.write_text(text, "utf-8", newline="")
        try:
            return datasets.load_ratings_csv(path, duplicates="last", **options)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error


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
    elif source == LOCAL:
        ratings = datasets.load_movielens(detail)
    else:
        ratings = datasets.fetch_movielens(detail)
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
        sources = [*SOURCES, LOCAL] if FOLDER else SOURCES
        source, detail = st.radio("Ratings", sources), None
        if source == MOVIELENS:
            detail = st.selectbox("Release", RELEASES, index=None)
        elif source == LOCAL:
            detail = FOLDER
        elif source == UPLOAD:
            options = {"type": ["csv", "txt", "tsv"], "max_upload_size": MAX_MB}
            file = st.file_uploader("User, item, rating", **options)
            detail = file and (file.name, file.getvalue())
        # A browser may send what the lists do not offer.
        chosen = detail in RELEASES if source == MOVIELENS else detail
        if source != MADE and not chosen:
            raise Refusal("Choose in the sidebar where the ratings are.")
        ratings = load(source, detail)
        names, levels, key = ratings.names, ratings.levels, hash((source, detail))
        n_users, n_items = ratings.X.shape
        dense = n_users <= DENSE_USERS and n_items <= DENSE_ITEMS
        kinds = ["factor", "diag", "spherical"] + ["tied", "full"] * dense
        n_types = st.slider("Types of users", 1, 12, 4)
        settings = (source, detail), n_types, st.selectbox("Covariance type", kinds)
        if settings[-1] not in kinds:
            raise Refusal("Choose one of the covariance types.")
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
except (Refusal, *FAULTS) as error:
    told = st.error if source == MADE or detail else st.info
    told(escape(answer(error, source)))
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
        found["item"] = found["item"].map(quote_formula)
        text = found.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
        st.download_button("Download", text, "recommendations.csv", on_click="ignore")
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
