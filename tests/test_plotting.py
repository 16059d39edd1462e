# SPDX-License-Identifier: BSD-3-Clause
"""Displays: the artists show the values that the mixtures return."""

import ast
import inspect
import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, plotting
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import (
    completion_scorer,
    hide_entries,
    one_standard_error,
    select_mixture,
)
from sklearn_gmmcf.plotting import (
    CalibrationDisplay,
    CompletionDisplay,
    ConvergenceDisplay,
    MixtureDisplay,
    ModelSelectionDisplay,
    TypesDisplay,
)
from sklearn_gmmcf.plotting._common import format_share
from tests.made import TYPES, clusters
from tests.optional import pd

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit_mixture(kind, X, n_components=3):
    if kind == "kmeans":
        return KMeansMixture(n_components, random_state=0).fit(X)
    options = {"n_factors": 3, "max_iter": 20} if kind == "factor" else {}
    return MaskedGaussianMixture(
        n_components, covariance_type=kind, random_state=0, **options
    ).fit(X)


def ratings(n_users=80, n_items=12, **options):
    return make_ratings(n_users, n_items, density=0.4, random_state=0, **options).data


# MixtureDisplay


@pytest.mark.parametrize("kind", ["kmeans", *TYPES])
def test_ellipses_contain_their_share_of_a_component(kind):
    X = clusters(200)
    mixture = fit_mixture(kind, X)
    display = MixtureDisplay.from_estimator(
        mixture, X, features=(2, 1), levels=[0.8, 0.3]
    )
    assert len(display.ellipses_) == 6
    rng = np.random.default_rng(0)
    for i, ellipse in enumerate(display.ellipses_):
        k, level = i // 2, [0.3, 0.8][i % 2]
        drawn = rng.multivariate_normal(
            mixture.means_[k], mixture.get_covariance(k), size=4000
        )[:, [2, 1]]
        # The path of a patch is the unit circle.
        inside = np.linalg.norm(
            ellipse.get_patch_transform().inverted().transform(drawn), axis=1
        )
        assert abs(np.mean(inside < 1) - level) < 4 * np.sqrt(0.25 / 4000)


def test_points_are_rows_and_their_colors_responsibilities():
    X = clusters(100, spread=6.0)
    mixture = fit_mixture("diag", X)
    display = MixtureDisplay.from_estimator(mixture, X, features=(0, 3))
    pair = X[:, [0, 3]]
    complete = ~np.isnan(pair).any(axis=1)
    labels, responsibilities = mixture.predict(X), mixture.predict_proba(X)
    certain = responsibilities.max(axis=1) > 1 - 1e-9
    pure = {}
    for k, points in enumerate(display.scatters_):
        in_component = complete & (labels == k)
        np.testing.assert_allclose(points.get_offsets(), pair[in_component])
        (color,) = np.unique(
            points.get_facecolors()[certain[in_component]].round(3), axis=0
        )  # all rows that are certain have one color
        pure[k] = color[:3]
        np.testing.assert_allclose(
            display.ellipses_[2 * k].get_edgecolor()[:3], color[:3], atol=1e-3
        )
    assert len({tuple(color) for color in pure.values()}) == 3
    bottom, left = display.rugs_
    for axis, rug in enumerate((bottom, left)):
        values = pair[~np.isnan(pair[:, axis]) & np.isnan(pair[:, 1 - axis]), axis]
        drawn = [segment[0, axis] for segment in rug.get_segments()]
        np.testing.assert_allclose(drawn, values)
        assert values.size


def test_mixed_colors_lie_between():
    display = MixtureDisplay(
        points=np.zeros((3, 2)),
        std=np.zeros((3, 2)),
        observed=np.ones((3, 2), dtype=bool),
        responsibilities=np.array([[1, 0], [0.5, 0.5], [0, 1]]),
        labels=np.zeros(3, dtype=int),
        means=np.zeros((2, 2)),
        covariances=np.array([np.eye(2)] * 2),
        weights=np.array([0.5, 0.5]),
        feature_names=["a", "b"],
    ).plot()
    first, mixed, second = display.scatters_[0].get_facecolors()[:, :3]
    assert (np.minimum(first, second) <= mixed).all()
    assert (mixed <= np.maximum(first, second)).all()
    assert abs(mixed - first).max() > 0.1 < abs(mixed - second).max()


def test_completions_and_their_error_bars():
    X = clusters(60)
    mixture = fit_mixture("full", X)
    display = MixtureDisplay.from_estimator(mixture, X, missing="complete")
    completed, std = mixture.complete(X, return_std=True)
    visible = ~np.isnan(X[:, :2]).all(axis=1)
    labels = mixture.predict(X)
    for k, points in enumerate(display.scatters_):
        in_component = visible & (labels == k)
        np.testing.assert_allclose(points.get_offsets(), completed[in_component, :2])
        hollow = points.get_facecolors()[:, 3] == 0
        incomplete = np.isnan(X[in_component, :2]).any(axis=1)
        np.testing.assert_array_equal(hollow, incomplete)
    expected = [
        [completed[i, :2] - step, completed[i, :2] + step]
        for i, j in zip(*np.nonzero(np.isnan(X[:, :2]) & visible[:, None]), strict=True)
        for step in [std[i, j] * np.eye(2)[j]]
    ]
    np.testing.assert_allclose(display.error_bars_.get_segments(), expected)
    assert display.rugs_ == []


def test_mixtures_of_the_same_data_are_comparable():
    X = clusters(100)
    kmeans, em = fit_mixture("kmeans", X), fit_mixture("spherical", X)
    turned = MaskedGaussianMixture(
        3, covariance_type="spherical", means_init=kmeans.means_[[2, 0, 1]], max_iter=0
    ).fit(X)
    first = MixtureDisplay.from_estimator(kmeans, X)
    second = MixtureDisplay.from_estimator(turned, X, match=first)
    third = MixtureDisplay.from_estimator(em, X)
    np.testing.assert_array_equal(second.styles, [2, 0, 1])
    for k, match in enumerate([2, 0, 1]):
        assert (
            second.ellipses_[2 * k].get_edgecolor()
            == first.ellipses_[2 * match].get_edgecolor()
        )
    assert first.ax_.get_xlim() == third.ax_.get_xlim()
    assert first.ax_.get_ylim() == third.ax_.get_ylim()
    more = MixtureDisplay.from_estimator(fit_mixture("diag", X, 5), X, match=first)
    assert sorted(more.styles) == [0, 1, 2, 3, 4]


def test_mixture_of_sparse_data_frames_and_many_rows():
    X = clusters(90)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    stored = ~np.isnan(X)
    csr = sparse.csr_array((X[stored], np.nonzero(stored)), shape=X.shape)
    displays = [
        MixtureDisplay.from_estimator(fit_mixture("diag", given), given, features=pair)
        for given, pair in [(X, (0, -1)), (csr, (0, 5)), (frame, ("a", "f"))]
    ]
    for display in displays[1:]:
        np.testing.assert_allclose(display.points, displays[0].points)
    assert displays[2].ax_.get_xlabel() == "a"
    assert displays[2].ax_.get_ylabel() == "f"
    few = MixtureDisplay.from_estimator(fit_mixture("diag", X), X, max_rows=30)
    assert "30 of 90 rows" in few.ax_.get_title()
    assert len(few.points) <= 30


def test_sentinel_is_missing():
    X = clusters(80)
    marked = np.where(np.isnan(X), -99, X)
    kmeans = KMeansMixture(2, missing_values=-99, random_state=0).fit(marked)
    display = MixtureDisplay.from_estimator(kmeans, marked)
    visible = ~np.isnan(X[:, :2]).all(axis=1)
    np.testing.assert_array_equal(display.observed, ~np.isnan(X[visible, :2]))


# ModelSelectionDisplay


def test_criteria_of_estimators():
    X = clusters(100)
    mixtures = [
        MaskedGaussianMixture(
            k, covariance_type=kind, init_params="random", random_state=seed, max_iter=5
        ).fit(X)
        for kind in ("diag", "spherical")
        for k in (3, 1, 2)
        for seed in range(3)
    ]
    for criterion in ("bic", "aic", "icl"):
        display = ModelSelectionDisplay.from_estimators(
            mixtures, X, criterion=criterion, group="covariance_type"
        )
        values = np.array([getattr(m, criterion)(X) for m in mixtures])
        table = values.reshape(2, 3, 3)[:, [1, 2, 0]]  # kind, K, seed
        for line, band, runs in zip(display.lines_, display.bands_, table, strict=True):
            np.testing.assert_allclose(line.get_xdata(), [1, 2, 3])
            np.testing.assert_allclose(line.get_ydata(), runs.min(axis=1))
            corners = band.get_paths()[0].vertices
            for k, scores in zip([1, 2, 3], runs, strict=True):
                heights = corners[corners[:, 0] == k, 1]
                np.testing.assert_allclose(heights.min(), scores.min())
                np.testing.assert_allclose(heights.max(), scores.max())
        best = mixtures[values.argmin()]
        assert display.best_value == best.n_components
        assert display.best_group == best.covariance_type
        assert display.chosen_.get_xdata() == [best.n_components]
        np.testing.assert_allclose(display.chosen_.get_ydata(), [values.min()])
        assert display.chosen_line_.get_xdata()[0] == best.n_components


def test_scorers_of_estimators_are_higher_for_the_better():
    X, later = clusters(100), clusters(100, seed=1)
    mixtures = [
        MaskedGaussianMixture(k, covariance_type="spherical", random_state=seed).fit(X)
        for k in (1, 4)
        for seed in range(2)
    ]
    scorer = completion_scorer("log_density")
    display = ModelSelectionDisplay.from_estimators(mixtures, later, criterion=scorer)
    means = np.array([scorer(m, later) for m in mixtures]).reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), means)
    assert display.best_value == [1, 4][means.argmax()]


def test_selection_of_a_mixture():
    X = clusters(100)
    selected = select_mixture(
        X, n_components=range(1, 6), covariance_type=["diag", "full"], random_state=0
    )
    display = ModelSelectionDisplay.from_selection(selected)
    table = pd.DataFrame(selected.table)
    best = table.loc[table.bic.idxmin()]
    for line, points, kind in zip(
        display.lines_, display.runs_, ["diag", "full"], strict=True
    ):
        runs = table[table.covariance_type == kind]
        lowest = runs.groupby("n_components").bic.min()
        np.testing.assert_allclose(line.get_xdata(), lowest.index)
        np.testing.assert_allclose(line.get_ydata(), lowest)
        assert line.get_label() == kind
        np.testing.assert_allclose(points.get_offsets()[:, 1], runs.bic)
        hollow = points.get_facecolors()[:, 3] == 0
        np.testing.assert_array_equal(hollow, runs.dropped)
        np.testing.assert_array_equal(points.get_edgecolors()[:, 3] > 0, hollow)
    assert table.dropped.any()
    assert (display.best_group, display.best_value) == (
        best.covariance_type,
        best.n_components,
    )
    assert display.ax_.get_ylabel() == "BIC (lower is better)"
    labels = [text.get_text() for text in display.legend_.get_texts()]
    assert labels[-1] == "left early"


def test_selection_by_held_out_entries():
    X = clusters(80, 4)
    selected = select_mixture(
        X,
        n_components=[1, 2, 3],
        covariance_type="diag",
        criterion="entries",
        metric="rmse",
        cv=3,
        exhaustive=True,
        random_state=0,
    )
    display = ModelSelectionDisplay.from_selection(selected)
    table = selected.table
    np.testing.assert_allclose(display.lines_[0].get_ydata(), table["rmse"])
    corners = display.bands_[0].get_paths()[0].vertices
    for k, mean, error in zip(
        (1, 2, 3), table["rmse"], table["standard_error"], strict=True
    ):
        heights = corners[corners[:, 0] == k, 1]
        assert heights.min() == pytest.approx(mean - error)
        assert heights.max() == pytest.approx(mean + error)
    assert display.best_value == np.argmin(table["rmse"]) + 1
    assert display.ax_.get_ylabel() == "held-out rmse"
    labels = [text.get_text() for text in display.legend_.get_texts()]
    assert "left early" not in labels


def test_elbow_and_silhouette_of_k_means():
    X = clusters(200, 2, n_components=3, missing=0.0, spread=6.0)
    fits = [
        KMeansMixture(k, random_state=seed).fit(X) for k in (1, 2, 3, 4, 6, 8)
        for seed in (0, 1)
    ]  # fmt: skip
    display = ModelSelectionDisplay.from_estimators(fits, X, criterion="inertia")
    inertias = np.array([fit.inertia_ for fit in fits]).reshape(6, 2).min(axis=1)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), inertias)
    # Distances to the line from the first to the last point, in the unit square.
    x = np.array([0, 1, 2, 3, 5, 7]) / 7
    y = (inertias - inertias[-1]) / (inertias[0] - inertias[-1])
    distances = (1 - x - y) / np.sqrt(2)
    assert display.best_value == [1, 2, 3, 4, 6, 8][distances.argmax()] == 3
    display = ModelSelectionDisplay.from_estimators(fits, X, criterion="silhouette")
    silhouettes = [silhouette_score(X, fit.labels_) for fit in fits[2:]]
    means = np.array(silhouettes).reshape(5, 2).max(axis=1)
    np.testing.assert_allclose(display.lines_[0].get_xdata(), [2, 3, 4, 6, 8])
    np.testing.assert_allclose(display.lines_[0].get_ydata(), means)
    assert display.best_value == [2, 3, 4, 6, 8][means.argmax()]


def test_no_elbow():
    X = clusters(30, 2)
    fits = [KMeansMixture(k, random_state=0).fit(X) for k in (1, 2)]
    with pytest.raises(ValueError, match="needs at least 3 values"):
        ModelSelectionDisplay.from_estimators(fits, X, criterion="inertia")
    with pytest.raises(ValueError, match="over numbers only"):
        ModelSelectionDisplay.from_estimators(
            fits, X, criterion="inertia", param="init"
        )
    mixture = MaskedGaussianMixture(2, covariance_type="diag").fit(X)
    for criterion in ("inertia", "silhouette"):
        with pytest.raises(ValueError, match="is for KMeansMixture"):
            ModelSelectionDisplay.from_estimators([mixture], X, criterion=criterion)


def test_search_in_a_pipeline():
    X = np.nan_to_num(clusters(120))
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), MaskedGaussianMixture(covariance_type="spherical")
        ),
        {
            "maskedgaussianmixture__n_components": [1, 2, 3, 5],
            "maskedgaussianmixture__random_state": range(2),
        },
        cv=3,
        refit=one_standard_error("maskedgaussianmixture__n_components"),
    ).fit(X)
    results = search.cv_results_
    for cv_results in (results, pd.DataFrame(results)):
        display = ModelSelectionDisplay.from_cv_results(
            cv_results, best_index=search.best_index_
        )
        scores = results["mean_test_score"].reshape(4, 2)
        np.testing.assert_allclose(display.lines_[0].get_xdata(), [1, 2, 3, 5])
        np.testing.assert_allclose(display.lines_[0].get_ydata(), scores.mean(axis=1))
        (chosen,) = (
            value
            for key, value in search.best_params_.items()
            if key.endswith("n_components")
        )
        assert display.best_value == chosen
        assert display.chosen_.get_xdata() == [chosen]
    plain = ModelSelectionDisplay.from_cv_results(results, statistic="best")
    assert plain.best_value == [1, 2, 3, 5][scores.max(axis=1).argmax()]


def test_standard_errors_of_folds_and_other_parameters():
    cv_results = {
        "params": [{"est__kind": "a"}, {"est__kind": None}, {"est__kind": "c"}],
        "mean_test_rmse": np.array([-2.0, -1.0, np.nan]),
        "std_test_rmse": np.array([0.2, 0.4, np.nan]),
        **{f"split{i}_test_rmse": np.zeros(3) for i in range(5)},
    }
    display = ModelSelectionDisplay.from_cv_results(
        cv_results, param="kind", metric="rmse", negate_score=True
    )
    np.testing.assert_allclose(display.lines_[0].get_ydata(), [2, 1])
    corners = display.bands_[0].get_paths()[0].vertices
    # The standard error of a mean of five, from the deviation over five.
    low, high = 1 - 0.4 / 2, 1 + 0.4 / 2
    heights = corners[corners[:, 0] == 1, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [low, high])
    assert display.best_value is None
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert labels == ["a", "None", "c"]


def test_none_is_a_group_like_any_other():
    cv_results = {
        "params": [{"k": k, "kind": kind} for kind in (None, "a") for k in (1, 2)],
        "mean_test_score": np.array([1.0, 2.0, 3.0, 5.0]),
    }
    display = ModelSelectionDisplay.from_cv_results(cv_results, param="k", group="kind")
    for line, scores in zip(display.lines_, [[1, 2], [3, 5]], strict=True):
        np.testing.assert_allclose(line.get_ydata(), scores)
    assert [line.get_label() for line in display.lines_] == ["None", "a"]
    assert display.bands_ == [None, None]
    assert (display.best_value, display.best_group) == (2, "a")


# CompletionDisplay


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.FewRowsWarning")
@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnlinkedColumnsWarning")
@pytest.mark.parametrize("kind", ["kmeans", "full", "factor"])
@pytest.mark.parametrize("make", [np.array, sparse.csr_array, pd.DataFrame])
def test_completion_shows_the_matrix(kind, make):
    X = ratings()
    dense = np.full(X.shape, np.nan)
    dense[X.nonzero()] = X[X.nonzero()]
    given = X if make is sparse.csr_array else make(dense)
    if make is pd.DataFrame:
        given.columns = [f"item {j}" for j in range(given.shape[1])]
    mixture = fit_mixture(kind, given)
    display = CompletionDisplay.from_estimator(mixture, given)
    completed, std = mixture.complete(given, return_std=True)
    labels = mixture.predict(given)
    assert (np.diff(display.labels) >= 0).all()
    np.testing.assert_array_equal(display.labels, labels[display.rows])
    np.testing.assert_array_equal(np.sort(display.rows), np.arange(len(labels)))
    before, after, deviations = (image.get_array() for image in display.images_)
    np.testing.assert_array_equal(before.mask, np.isnan(dense[display.rows]))
    np.testing.assert_allclose(before.filled(np.nan), dense[display.rows])
    np.testing.assert_allclose(after, completed[display.rows])
    np.testing.assert_array_equal(deviations.mask, ~before.mask)
    np.testing.assert_allclose(deviations.filled(0), std[display.rows])
    assert display.images_[0].get_clim() == display.images_[1].get_clim()
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["before", "completed", "standard deviation"]
    values_bar, std_bar = (bar.ax.get_xlabel() for bar in display.colorbars_)
    assert (values_bar, std_bar) == ("value (hatched: missing)", "std (value)")
    borders = {
        line.get_ydata()[0] for line in display.axes_[0].lines
    }  # between the last row of one and the first of the next
    assert borders == {
        i + 0.5
        for i in range(len(labels) - 1)
        if len(set(display.labels[i : i + 2])) > 1
    }


def test_completion_of_a_large_matrix_names_the_shown_part():
    X = ratings(300, 50)
    mixture = fit_mixture("spherical", X)
    display = CompletionDisplay.from_estimator(mixture, X, max_rows=40, max_columns=10)
    assert display.after.shape == (40, 10)
    assert "40 of 300 rows" in display.axes_[0].get_ylabel()
    assert "10 of 50 columns" in display.axes_[0].get_xlabel()
    shares = np.bincount(mixture.predict(X), minlength=3) / 300
    shown = np.bincount(display.labels, minlength=3) / 40
    assert abs(shown - shares).max() <= 1 / 40
    chosen = CompletionDisplay.from_estimator(
        mixture, X, rows=[5, 3, 9], columns=[7, 1]
    )
    np.testing.assert_array_equal(np.sort(chosen.rows), [3, 5, 9])
    np.testing.assert_array_equal(chosen.columns, [7, 1])


def test_completion_on_given_axes():
    X = clusters(40)
    mixture = fit_mixture("diag", X)
    _, axes = plt.subplots(1, 3)
    display = CompletionDisplay.from_estimator(mixture, X, ax=axes)
    assert list(display.axes_) == list(axes)
    assert display.bounding_ax_ is None
    _, ax = plt.subplots()
    assert display.plot(ax).bounding_ax_ is ax
    norm = matplotlib.colors.Normalize(-7, 9)
    assert display.plot(image_kwargs={"norm": norm}).images_[0].get_clim() == (-7, 9)
    with pytest.raises(ValueError, match="one or three Axes, but got 2"):
        display.plot(axes[:2])
    with pytest.raises(ValueError, match="part of a grid"):
        display.plot(plt.figure().add_axes((0, 0, 1, 1)))
    CompletionDisplay.from_estimator(mixture, np.nan_to_num(X))  # nothing is missing


# TypesDisplay


@pytest.mark.parametrize("kind", ["kmeans", *TYPES])
def test_types_by_the_items_that_they_prefer(kind):
    X = ratings(240)
    mixture = fit_mixture(kind, X)
    names = [f"film {j}" for j in range(12)]
    display = TypesDisplay.from_estimator(
        mixture, feature_names=names, n_items=4, show="items"
    )
    for k, bars in enumerate(display.bars_):
        others = [other for other in range(3) if other != k]
        gaps = mixture.means_[k] - np.average(
            mixture.means_[others], axis=0, weights=mixture.weights_[others]
        )
        gaps -= gaps.mean()
        lengths = [bar.get_width() for bar in bars]
        np.testing.assert_allclose(lengths, np.sort(gaps)[::-1][:4])
        heading = display.headings_[k].get_text()
        assert f"type {k}: {mixture.weights_[k]:.0%}" in heading
        np.testing.assert_array_equal(display.items[k], np.argsort(-gaps)[:4])
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == [names[j] for j in display.items.ravel()]


def test_consistent_types_have_less_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 8)) * np.repeat([[0.5], [2.0]], 200, axis=0)
    X += np.repeat([[5.0], [-5.0]], 200, axis=0)
    for kind in ("kmeans", "spherical", "diag", "full"):
        mixture = fit_mixture(kind, X, 2)
        display = TypesDisplay.from_estimator(mixture)
        order = np.argsort(-mixture.means_[:, 0])
        np.testing.assert_allclose(display.noise[order], [0.5, 2.0], rtol=0.1)
    made = make_ratings(600, 60, n_types=1, density=0.4, random_state=0)
    factor = fit_mixture("factor", made.data, 1)
    stored = made.data.nonzero()
    residual = np.asarray(made.data[stored]).ravel() - made.expected[stored]
    noise = TypesDisplay.from_estimator(factor, show="items").noise
    np.testing.assert_allclose(noise, [residual.std()], rtol=0.25)


def test_map_of_factors():
    X = ratings(200, 40)
    mixture = MaskedGaussianMixture(
        2, covariance_type="factor", n_factors=4, random_state=0
    ).fit(X)
    display = TypesDisplay.from_estimator(mixture, X, highlight=7, n_names=5)
    scale = display.item_scale_
    np.testing.assert_allclose(
        display.items_.get_offsets(), scale * mixture.components_[1:3].T
    )
    for k, ellipse in enumerate(display.ellipses_):
        np.testing.assert_allclose(ellipse.center, mixture.factor_means_[k, 1:3])
        # Its axes are the axes of the covariance.
        covariance = mixture.factor_covariances_[k, 1:3, 1:3]
        corner = ellipse.get_patch_transform().transform([[1, 0]])[0] - ellipse.center
        distance = corner @ np.linalg.solve(covariance, corner)
        np.testing.assert_allclose(distance, stats.chi2.ppf(0.5, 2))
    # Completions are linear in the factors of the row, which solve this system.
    completed = mixture.transform(X)
    for row in (0, 7, 100):
        missing = np.ones(40, dtype=bool)
        missing[X[[row]].nonzero()[1]] = False
        factors = np.linalg.lstsq(
            mixture.components_[:, missing].T,
            completed[row, missing] - mixture.intercept_[missing],
            rcond=None,
        )[0]
        np.testing.assert_allclose(display.factors[row], factors[1:3], atol=1e-6)
        np.testing.assert_allclose(
            display.rows_.get_offsets()[row], factors[1:3], atol=1e-6
        )
        if row == 7:
            np.testing.assert_allclose(
                np.ravel(display.highlight_.get_data()), factors[1:3], atol=1e-6
            )
    assert display.map_ax_.get_aspect() == 1  # directions are compared
    named = {text.get_text() for text in display.names_}
    farthest = np.hypot(*mixture.components_[1:3]).argmax()
    assert f"column {farthest}" in named
    assert len(named) <= 5


def test_dollars_in_names_are_not_math():
    X = ratings()
    mixture = fit_mixture("factor", X)
    names = [rf"$\{j} or $" for j in range(12)]  # an error if read as math
    for display in (
        TypesDisplay.from_estimator(mixture, feature_names=names, n_names=12),
        CompletionDisplay.from_estimator(mixture, X, feature_names=names),
    ):
        display.figure_.canvas.draw()
    without = TypesDisplay.from_estimator(mixture, show="map", n_names=0)
    shown = {text.get_text() for text in without.map_ax_.texts}
    assert not any("or $" in text for text in shown)


def test_types_without_a_map():
    X = ratings()
    spherical = fit_mixture("spherical", X)
    assert TypesDisplay.from_estimator(spherical).map_ax_ is None
    with pytest.raises(ValueError, match="needs a map of the factors"):
        TypesDisplay.from_estimator(spherical, show="map")
    with pytest.raises(ValueError, match="needs covariance_type='factor'"):
        TypesDisplay.from_estimator(spherical, X)
    factor = fit_mixture("factor", X)
    with pytest.raises(ValueError, match="pass X as well"):
        TypesDisplay.from_estimator(factor, highlight=3)
    with pytest.raises(ValueError, match="highlight=80 should be below the 80"):
        TypesDisplay.from_estimator(factor, X, highlight=80)
    with pytest.raises(ValueError, match=r"one name for each of the 12 columns"):
        TypesDisplay.from_estimator(factor, feature_names=["a"])
    _, ax = plt.subplots(figsize=(3.2, 2.4))
    narrow = TypesDisplay.from_estimator(factor, ax=ax)
    assert narrow.ax_ is ax
    assert narrow.map_ax_ is None
    single = TypesDisplay.from_estimator(fit_mixture("factor", X, 1))
    np.testing.assert_array_equal(
        single.items[0], np.argsort(-fit_mixture("factor", X, 1).means_[0])[:5]
    )


# CalibrationDisplay


def test_coverage_of_exact_intervals():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 3, 5000)
    predicted = rng.normal(size=5000)
    true = predicted + std * rng.normal(size=5000)
    display = CalibrationDisplay.from_predictions(true, predicted, std)
    assert abs(display.coverage - display.nominal).max() < 0.02
    np.testing.assert_allclose(display.line_.get_xydata()[:, 1], display.coverage)
    quantile = stats.norm.interval(0.5)[1]
    (half,) = CalibrationDisplay.from_predictions(
        true, predicted, std, levels=0.5
    ).coverage
    assert half == np.mean(abs(true - predicted) <= quantile * std)
    narrow = CalibrationDisplay.from_predictions(true, predicted, std / 3)
    assert (narrow.coverage < narrow.nominal).all()
    # The band contains the counts of 95 of 100 exact samples.
    counts = rng.binomial(5000, display.nominal, size=(2000, len(display.nominal)))
    low, high = display.band
    inside = ((low <= counts / 5000) & (counts / 5000 <= high)).mean(axis=0)
    assert (inside > 0.93).all()
    assert (inside < 0.98).all()


def test_calibration_on_hidden_entries():
    X, later = clusters(300), clusters(200, seed=1)
    mixture = fit_mixture("full", X)
    X_hidden, hidden = hide_entries(later, 0.2, 3)
    rows, columns, values = hidden
    below = mixture.cdf_entries(X_hidden, (rows, columns), values)
    for display in (
        CalibrationDisplay.from_estimator(mixture, X_hidden, hidden=hidden),
        CalibrationDisplay.from_estimator(mixture, later, fraction=0.2, random_state=3),
    ):
        expected = [
            np.mean(((1 - q) / 2 <= below) & (below <= (1 + q) / 2))
            for q in display.nominal
        ]
        np.testing.assert_allclose(display.coverage, expected)
        assert display.n_entries == len(values)
    with pytest.raises(ValueError, match=r"is\s+observed in X"):
        CalibrationDisplay.from_estimator(mixture, later, hidden=hidden)
    with pytest.raises(ValueError, match=r"fraction should be above 0 .*but got 0"):
        CalibrationDisplay.from_estimator(mixture, later, fraction=0)
    with pytest.raises(ValueError, match="rows, columns and values, but got 2 things"):
        CalibrationDisplay.from_estimator(mixture, X_hidden, hidden=hidden[:2])
    twice = CalibrationDisplay.from_estimator(mixture, later, ax=display.ax_)
    assert twice.diagonal_ is None
    assert twice.line_.get_color() != display.line_.get_color()
    assert twice.line_.get_marker() != display.line_.get_marker()


def test_calibration_of_one_gaussian_is_that_of_its_predictions():
    X, later = clusters(300), clusters(200, seed=1)
    mixture = fit_mixture("full", X, 1)
    X_hidden, hidden = hide_entries(later, 0.2, 3)
    rows, columns, values = hidden
    expected = CalibrationDisplay.from_predictions(
        values, *mixture.complete(X_hidden, entries=(rows, columns), return_std=True)
    )
    display = CalibrationDisplay.from_estimator(mixture, X_hidden, hidden=hidden)
    np.testing.assert_array_equal(display.coverage, expected.coverage)


@pytest.mark.parametrize("degrees", [None, 1.0, 3.0])
def test_drawn_values_are_calibrated(degrees):
    """Of far components and of heavy tails, where Gaussian intervals are wrong."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) + 6 * rng.choice([-1, 1], (200, 1), p=[0.3, 0.7])
    mixture = MaskedGaussianMixture(
        2, covariance_type="full", degrees_of_freedom=degrees, random_state=0
    ).fit(X)
    empty = np.full((4000, 3), np.nan)
    drawn = mixture.sample_completions(empty, 1, random_state=0)[0, :, 0]
    entries = np.arange(4000), np.zeros(4000, dtype=int)
    display = CalibrationDisplay.from_estimator(
        mixture, empty, hidden=(*entries, drawn)
    )
    assert abs(display.coverage - display.nominal).max() < 0.03
    if degrees != 1.0:
        gaussian = CalibrationDisplay.from_predictions(
            drawn, *mixture.complete(empty, entries=entries, return_std=True)
        )
        assert abs(gaussian.coverage - gaussian.nominal).max() > 0.05


def test_all_entries_of_a_sparse_matrix_are_hidden():
    X = clusters(100)
    mixture = fit_mixture("full", X)
    entries = np.nonzero(~np.isnan(X))
    nothing = sparse.csr_array(X.shape)
    display = CalibrationDisplay.from_estimator(
        mixture, nothing, hidden=(*entries, X[entries])
    )
    nowhere = np.full(X.shape, np.nan)
    below = mixture.cdf_entries(nowhere, entries, X[entries])
    expected = [np.mean(abs(below - 0.5) <= q / 2) for q in display.nominal]
    np.testing.assert_allclose(display.coverage, expected)


def test_scaling_changes_no_coverage():
    X, later = np.nan_to_num(clusters(200)), clusters(100, seed=1)
    plain = MaskedGaussianMixture(
        2, covariance_type="spherical", random_state=0, reg_covar=0
    ).fit(X)
    pipe = make_pipeline(
        MaxAbsScaler(),
        MaskedGaussianMixture(
            2, covariance_type="spherical", random_state=0, reg_covar=0
        ),
    ).fit(X)
    pipe[0].scale_[:] = pipe[0].max_abs_[:] = 2.0
    pipe[-1].fit(pipe[0].transform(X))
    np.testing.assert_array_equal(
        CalibrationDisplay.from_estimator(pipe, later).coverage,
        CalibrationDisplay.from_estimator(plain, later).coverage,
    )
    _, hidden = hide_entries(later)
    with pytest.raises(ValueError, match=re.escape("Pass pipe[-1]")):
        CalibrationDisplay.from_estimator(pipe, later, hidden=hidden)


# ConvergenceDisplay


def test_objective_of_each_start():
    X = clusters(150, spread=1.0)
    options = {"n_components": 4, "init_params": "random_from_data", "tol": 1e-4}
    options["covariance_type"] = "spherical"
    mixture = MaskedGaussianMixture(
        n_init=5, max_iter=12, random_state=0, **options
    ).fit(X)
    # The same starts, one by one.
    rng = np.random.RandomState(0)
    single = [
        MaskedGaussianMixture(n_init=1, max_iter=12, random_state=rng, **options).fit(X)
        for _ in range(5)
    ]
    display = ConvergenceDisplay.from_estimator(mixture)
    assert len({one.converged_ for one in single}) == 2
    for run, one, line in zip(mixture.runs_, single, display.lines_, strict=True):
        assert run.lower_bounds == one.lower_bounds_
        assert run.n_iter == one.n_iter_
        assert run.converged == one.converged_
        np.testing.assert_array_equal(line.get_ydata(), one.lower_bounds_)
        assert line.get_xdata()[0] == 1
        assert line.get_linestyle() == ("-" if one.converged_ else "--")
    best = int(np.argmax([one.lower_bound_ for one in single]))
    assert display.best == best
    assert mixture.runs_[best].lower_bounds == mixture.lower_bounds_
    widths = [line.get_linewidth() for line in display.lines_]
    assert np.argmax(widths) == best
    for end, one in zip(display.ends_, single, strict=True):
        assert end.get_ydata() == [one.lower_bound_]
        assert (end.get_marker() == "X") == (not one.converged_)


def test_fits_without_a_trace():
    X = clusters(30)
    with pytest.raises(ValueError, match="KMeansMixture keeps no objective"):
        ConvergenceDisplay.from_estimator(KMeansMixture(2, random_state=0).fit(X))
    with pytest.raises(ValueError, match="max_iter=0"):
        ConvergenceDisplay.from_estimator(
            MaskedGaussianMixture(covariance_type="spherical", max_iter=0).fit(X)
        )


# All of them


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (0.0009, "<0.1%"),
        (0.012, "1.2%"),
        (0.5, "50%"),
        (0.9991, ">99.9%"),
        (1.0, "100%"),
    ],
)
def test_shares_are_0_or_100_percent_only_if_they_are(share, text):
    assert format_share(share) == text


def draw_all(estimator, X, **options):
    return [
        MixtureDisplay.from_estimator(estimator, X, **options),
        CompletionDisplay.from_estimator(estimator, X, **options),
        TypesDisplay.from_estimator(estimator, **options),
        CalibrationDisplay.from_estimator(estimator, X, **options),
        ConvergenceDisplay.from_estimator(estimator, **options),
        ModelSelectionDisplay.from_estimators([estimator], X, **options),
    ]


def test_pipelines_and_searches_are_drawn_in_the_units_of_the_last_step():
    X = pd.DataFrame(clusters(80), columns=list("abcdef"))
    pipe = make_pipeline(
        StandardScaler(),
        MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
    )
    pipe.fit(X)
    search = GridSearchCV(pipe, {"maskedgaussianmixture__n_components": [2]}, cv=2)
    scaled = StandardScaler().fit_transform(X)
    alone = draw_all(
        MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
            scaled
        ),
        scaled,
    )
    for estimator in (pipe, search.fit(X)):
        drawn = draw_all(estimator, X)
        np.testing.assert_allclose(drawn[0].points, alone[0].points)
        assert drawn[0].ax_.get_xlabel() == "a (transformed)"
        np.testing.assert_allclose(drawn[1].after, alone[1].after)
        assert "transformed" in drawn[1].unit
        np.testing.assert_allclose(drawn[2].contrasts, alone[2].contrasts)
        assert "transformed" in drawn[2].ax_.get_xlabel()
        np.testing.assert_allclose(drawn[3].coverage, alone[3].coverage)
        np.testing.assert_allclose(drawn[4].lower_bounds[0], alone[4].lower_bounds[0])
        np.testing.assert_allclose(drawn[5].scores, alone[5].scores)


def test_pipelines_that_change_the_columns_are_refused():
    X = np.nan_to_num(clusters(80))
    pipe = make_pipeline(
        PCA(2), MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
    ).fit(X)
    for make in (MixtureDisplay, CompletionDisplay):
        with pytest.raises(ValueError, match="cannot be followed") as caught:
            make.from_estimator(pipe, X)
        assert "pipe[-1]" in caught.value.__notes__[0]
        display = make.from_estimator(pipe[-1], pipe[:-1].transform(X))
    assert display.after.shape == (80, 2)


def test_plot_again_on_given_axes():
    X = clusters(80)
    mixture = fit_mixture("diag", X)
    for display in draw_all(mixture, X):
        _, ax = plt.subplots()
        assert display.plot(ax=ax) is display
        drawn_on = getattr(display, "bounding_ax_", None) or display.ax_
        assert drawn_on is ax
        assert display.figure_ is ax.figure
        with pytest.raises(TypeError, match="ax should be matplotlib Axes"):
            display.plot(ax="nowhere")


def test_inputs_are_not_changed():
    X = clusters(100)
    before = X.copy()
    mixture = fit_mixture("full", X)
    means = mixture.means_.copy()
    draw_all(mixture, X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(mixture.means_, means)


def test_styles_reach_the_artists():
    X = clusters(60)
    mixture = fit_mixture("diag", X)
    display = MixtureDisplay.from_estimator(
        mixture, X, scatter_kwargs={"color": "k", "s": 3}, ellipse_kwargs={"lw": 5}
    )
    assert to_rgb(display.scatters_[0].get_facecolors()[0]) == (0, 0, 0)
    assert display.scatters_[0].get_sizes() == [3]
    assert display.ellipses_[0].get_linewidth() == 5
    image = CompletionDisplay.from_estimator(
        mixture, X, image_kwargs={"cmap": "gray", "vmin": -50}
    ).images_[0]
    assert image.get_cmap().name == "gray"
    assert image.get_clim()[0] == -50
    bars = TypesDisplay.from_estimator(mixture, bar_kwargs={"facecolor": "k"}).bars_
    assert bars[0][0].get_facecolor() == (0, 0, 0, 1)
    for make, first in (
        (CalibrationDisplay.from_estimator, (mixture, X)),
        (ModelSelectionDisplay.from_estimators, ([mixture], X)),
        (ConvergenceDisplay.from_estimator, (mixture,)),
    ):
        line = getattr(make(*first, line_kwargs={"lw": 7}), "line_", None)
        line = line or make(*first, line_kwargs={"linewidth": 7}).lines_[0]
        assert line.get_linewidth() == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": (1, -5)}, "features should differ"),
        ({"ellipse_kwargs": ["k"]}, "should be a dict of properties of Ellipse"),
        ({"missing": "drop"}, r"missing should be one of \['rug', 'complete'\]"),
        ({"levels": [0.5, 90]}, "levels should be one or more probabilities"),
        ({"features": (0, 6)}, "two indices below 6 or names of columns, but got 6"),
        ({"features": ("a", "b")}, "but got 'a'"),
        ({"features": 0}, "features should be two columns"),
        ({"max_rows": 0}, "max_rows should be an integer of at least 1"),
        ({"markers": "rug"}, "unexpected keyword argument 'markers'"),
    ],
)
def test_invalid_options(options, message):
    X = clusters(30)
    with pytest.raises((ValueError, TypeError), match=message):
        MixtureDisplay.from_estimator(fit_mixture("diag", X), X, **options)


def test_other_invalid_options():
    X = clusters(40)
    mixture = fit_mixture("diag", X)
    empty = X.copy()
    empty[:, :2] = np.nan
    with pytest.raises(
        ValueError, match="No row of X has an observation of 'column 0'"
    ):
        MixtureDisplay.from_estimator(mixture, empty)
    for criterion in ("BIC", 3):
        with pytest.raises(ValueError, match="criterion should be one of"):
            ModelSelectionDisplay.from_estimators([mixture], X, criterion=criterion)
    with pytest.raises(ValueError, match="got none"):
        ModelSelectionDisplay.from_estimators([], X)
    with pytest.raises(ValueError, match="param='n_comp' should name one parameter"):
        ModelSelectionDisplay.from_estimators([mixture], X, param="n_comp")
    with pytest.raises(ValueError, match="statistic should be one of"):
        ModelSelectionDisplay.from_estimators([mixture], X, statistic="median")
    results = {"params": [{"a__k": 1, "b__k": 1}], "mean_test_score": [1.0]}
    with pytest.raises(ValueError, match="it fits"):
        ModelSelectionDisplay.from_cv_results(results, param="k")
    apart = {"params": [{"a__k": 1}, {"b": 2}], "mean_test_score": [1.0, 2.0]}
    with pytest.raises(ValueError, match=r"of all runs, but one has only \['b'\]"):
        ModelSelectionDisplay.from_cv_results(apart, param="k")
    with pytest.raises(ValueError, match=r"no 'mean_test_x', but .*\['score'\]"):
        ModelSelectionDisplay.from_cv_results(results, metric="x")
    results["mean_test_score"] = [np.nan]
    with pytest.raises(ValueError, match="every fit failed"):
        ModelSelectionDisplay.from_cv_results(results, param="a__k")
    with pytest.raises(ValueError, match="rows should be a 1d array of indices"):
        CompletionDisplay.from_estimator(mixture, X, rows=[40])
    with pytest.raises(ValueError, match="std should not be negative"):
        CalibrationDisplay.from_predictions([1.0], [1.0], [-1.0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CalibrationDisplay.from_predictions([1.0], [1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="two columns, but the mixture was fitted on"):
        MixtureDisplay.from_estimator(fit_mixture("diag", X[:, :1]), X[:, :1])
    with pytest.raises(ValueError, match="X should be a matrix, but got str"):
        MixtureDisplay.from_estimator(mixture, "X")
    with pytest.raises(TypeError, match="Fit it, and pass its cv_results_"):
        ModelSelectionDisplay.from_cv_results(GridSearchCV(mixture, {}))
    results = {
        "params": [{"n_components": 1}, {"n_components": 2}],
        "mean_test_score": [1.0, np.nan],
    }
    for chosen in (1, 2):
        with pytest.raises(ValueError, match=f"best_index={chosen} should be one of"):
            ModelSelectionDisplay.from_cv_results(results, best_index=chosen)


def test_rows_with_one_column_observed():
    X = clusters(60)
    mixture = fit_mixture("diag", X)
    X[:, 1] = np.nan
    display = MixtureDisplay.from_estimator(mixture, X)
    assert len(display.rugs_[0].get_segments()) == np.sum(~np.isnan(X[:, 0]))
    low, high = display.ax_.get_ylim()
    assert low < mixture.means_[:, 1].min() < mixture.means_[:, 1].max() < high


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.UnobservedColumnsWarning")
# Most columns have a single entry, whose variance is reg_covar.
@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.RegularizationWarning")
@pytest.mark.parametrize("kind", ["kmeans", "diag", "factor"])
def test_many_columns_need_no_square_matrix(kind):
    rng = np.random.default_rng(0)
    d = 15_000  # a matrix of d rows and columns takes 1.8 GB
    X = sparse.csr_array(sparse.random(30, d, 0.01, "csr", random_state=rng))
    mixture = fit_mixture(kind, X)
    tracemalloc.start()
    MixtureDisplay.from_estimator(mixture, X, features=X.indices[:2])
    TypesDisplay.from_estimator(mixture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * d * 300


def test_predictions_as_columns():
    flat = CalibrationDisplay.from_predictions([0.0, 1.0], [0.0, 3.0], [1.0, 1.0])
    column = np.array([[0.0], [1.0]])
    tall = CalibrationDisplay.from_predictions(column, [0.0, 3.0], [1.0, 1.0])
    np.testing.assert_array_equal(tall.coverage, flat.coverage)


def test_other_estimators_are_refused():
    X = clusters(40)
    with pytest.raises(TypeError, match="but got GaussianMixture"):
        MixtureDisplay.from_estimator(GaussianMixture().fit(np.nan_to_num(X)), X)
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(
            MaskedGaussianMixture(covariance_type="spherical")
        )


def test_matplotlib_is_imported_late(monkeypatch):
    for path in Path(plotting.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "matplotlib" not in ast.unparse(node), path
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = (
        "CalibrationDisplay.from_predictions needs matplotlib, which is not installed: "
        "pip install matplotlib"
    )
    with pytest.raises(ImportError, match=re.escape(message)):
        CalibrationDisplay.from_predictions([1.0], [1.0], [1.0])
    X = clusters(30)
    with pytest.raises(ImportError, match=r"MixtureDisplay\.from_estimator needs"):
        MixtureDisplay.from_estimator(fit_mixture("diag", X), X)


def test_kept_start_that_did_not_converge():
    X = clusters(100)
    with pytest.warns(ConvergenceWarning):
        mixture = MaskedGaussianMixture(
            3, covariance_type="spherical", n_init=1, max_iter=2, tol=0, random_state=0
        ).fit(X)
    display = ConvergenceDisplay.from_estimator(mixture)
    labels = [text.get_text() for text in display.legend_.get_texts()]
    assert labels == ["kept, not converged"]


def test_all_displays_take_the_estimator_and_then_the_data():
    for display in (
        CalibrationDisplay,
        CompletionDisplay,
        MixtureDisplay,
        ModelSelectionDisplay,
        TypesDisplay,
    ):
        name = "from_estimator"
        if display is ModelSelectionDisplay:
            name = "from_estimators"
        first, second = list(inspect.signature(getattr(display, name)).parameters)[:2]
        assert first.startswith("estimator")
        assert second == "X"
