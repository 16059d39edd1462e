# SPDX-License-Identifier: BSD-3-Clause
"""Messages, callbacks of scikit-learn, and interrupted fits."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, MixtureImputer
from tests.made import clusters, start
from tests.optional import needs_callbacks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    MaskedGaussianMixture(
        3, covariance_type="spherical", n_init=2, max_iter=5, tol=0, random_state=0
    ),
    MaskedGaussianMixture(
        2, covariance_type="factor", n_factors=2, n_init=2, max_iter=5, tol=0
    ),
    KMeansMixture(8, n_init=2, max_iter=3, tol=0, random_state=0),
]


class Recorder:
    """A callback that records its calls, and may stop or fail at an iteration."""

    def __init__(self, stop_at=None, fail_at=None):
        self.calls = []
        self.scores = []
        self.stop_at, self.fail_at = stop_at, fail_at

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.calls.append(("end", context.task_name))
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X))
        n_ended = self.calls.count(("end", "iteration"))
        if n_ended == self.fail_at:
            raise KeyboardInterrupt
        return n_ended == self.stop_at


def test_estimators_take_part_in_callbacks_where_scikit_learn_has_them():
    has_callbacks = find_spec("sklearn.callback") is not None
    for kind in (MaskedGaussianMixture, KMeansMixture, MixtureImputer):
        assert hasattr(kind, "set_callbacks") == has_callbacks


@needs_callbacks
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:50])
def test_tasks_are_runs_and_iterations(estimator):
    recorder = Recorder()
    X = clusters(missing=0.1, spread=1)
    estimator.set_callbacks(recorder).fit(X)
    step = [("begin", "iteration"), ("end", "iteration")]
    assert recorder.calls[:3] == ["setup", ("begin", "fit"), ("begin", "run")]
    assert recorder.calls[-3:] == [("end", "run"), ("end", "fit"), "teardown"]
    # All starts of 'factor' would be the same.
    n_runs = 1 if getattr(estimator, "covariance_type", "") == "factor" else 2
    assert recorder.calls.count(("begin", "run")) == n_runs
    inner = [call for call in recorder.calls if call[1] == "iteration"]
    assert inner == step * (len(inner) // 2)
    assert 2 * estimator.n_iter_ <= len(inner) <= 2 * n_runs * estimator.max_iter
    estimator.set_callbacks()


@needs_callbacks
def test_callbacks_get_the_estimator_fitted_so_far():
    X = clusters()
    recorder = Recorder()
    first = start(X, 3, "diag")
    mixture = MaskedGaussianMixture(**first, max_iter=4, tol=0)
    mixture.set_callbacks(recorder).fit(X)
    bounds = [
        MaskedGaussianMixture(**first, max_iter=m, tol=0).fit(X).score(X)
        for m in (1, 2, 3, 4)
    ]
    np.testing.assert_allclose(recorder.scores, bounds)


@needs_callbacks
@pytest.mark.parametrize("estimator", ESTIMATORS[::2], ids=lambda e: str(e)[:50])
def test_a_callback_stops_a_run(estimator, recwarn):
    X = clusters(missing=0.1, spread=1)
    estimator.set_params(n_init=1).set_callbacks(Recorder(stop_at=2)).fit(X)
    assert estimator.n_iter_ == 2
    assert not [w for w in recwarn if "max_iter" in str(w.message)]
    estimator.set_params(n_init=2).set_callbacks()


@needs_callbacks
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:50])
def test_an_interrupt_leaves_the_old_fit_or_none(estimator):
    X = clusters(missing=0.1, spread=1)
    recorder = Recorder(fail_at=2)
    before = vars(estimator.set_callbacks(recorder)).copy()
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X)
    assert recorder.calls[-1] == "teardown"
    assert vars(estimator) == before
    estimator.set_callbacks().fit(X).set_callbacks(Recorder(fail_at=1))
    before = vars(estimator).copy()
    for fit in (estimator.fit, lambda Y: estimator.fit(np.hstack([Y, Y]))):
        with pytest.raises(KeyboardInterrupt):
            fit(X)
        estimator.set_callbacks(Recorder(fail_at=1))
        before["_skl_callbacks"] = estimator._skl_callbacks
        assert vars(estimator) == before
    estimator.set_callbacks()


@needs_callbacks
def test_progress_bar():
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    X = clusters()
    for estimator in ESTIMATORS:
        estimator.set_callbacks(ProgressBar()).fit(X).set_callbacks()


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_messages_equal_gaussian_mixture(verbose, capsys):
    X = clusters(missing=0, spread=1)
    params = start(X, 3, "diag") | {"verbose": verbose, "verbose_interval": 3}
    for max_iter in (7, 500):
        written = []
        for kind in (GaussianMixture, MaskedGaussianMixture):
            kind(**params, max_iter=max_iter).fit(X)
            out = capsys.readouterr().out
            written.append(re.sub(r"lapse [\d.]+s", "lapse", out))
        assert written[0] == written[1]
        assert bool(written[0]) == bool(verbose)


def test_messages_of_kmeans(capsys):
    X = clusters(missing=0)
    KMeans(3, init=X[:3], n_init=1, verbose=1, tol=0).fit(X)
    theirs = capsys.readouterr().out.splitlines()
    KMeansMixture(3, init=X[:3], verbose=1, tol=0).fit(X)
    ours = capsys.readouterr().out.splitlines()
    assert len(ours) == len(theirs)
    for first, second in zip(ours, theirs, strict=True):
        numbers, expected = (
            [float(x) for x in re.findall(r"\d+\.?\d*", line)]
            for line in (first, second)
        )
        assert first.split()[0] == second.split()[0]
        if expected:
            expected[0] += 1  # they count from 0
        np.testing.assert_allclose(numbers, expected)
    KMeansMixture(3).fit(X)
    assert capsys.readouterr().out == ""
