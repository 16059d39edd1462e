# SPDX-License-Identifier: BSD-3-Clause
"""Dask arrays: the same numbers as in memory, wherever the chunks lie."""

import os
import pickle
import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture, _starts
from sklearn_gmmcf._base import UnobservedColumnsWarning
from sklearn_gmmcf.data import _dask, _in_memory
from tests.made import clusters, mixtures, to_sparse
from tests.optional import needs_callbacks

da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")
dask = pytest.importorskip("dask")
cloudpickle = pytest.importorskip("cloudpickle", reason="needs the extra 'dask'")
distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    *mixtures(3, max_iter=5, random_state=0),
    MaskedGaussianMixture(
        3,
        covariance_type="spherical",
        init_params="random",
        n_init=2,
        max_iter=3,
        random_state=1,
    ),
    KMeansMixture(3, n_init=2, random_state=0),
]
# Every estimator on dense data, and one on sparse.
STORED = [*((e, np.array) for e in ESTIMATORS), (ESTIMATORS[0], to_sparse)]
CHUNKS = (70, 60, 100, 10)


def in_dask(X, chunks=CHUNKS):
    """Rows in chunks, dense or CSR."""
    parts = [
        da.from_delayed(
            dask.delayed(X[start:stop]),
            (stop - start, X.shape[1]),
            meta=np.empty((0, 0), X.dtype),
        )
        for start, stop in pairwise(np.cumsum([0, *chunks]))
    ]
    return da.concatenate(parts)


def fitted(estimator):
    found = {
        name: value for name, value in vars(estimator).items() if name.endswith("_")
    }
    # Runs of several lengths make no array.
    for number, run in enumerate(found.pop("runs_", [])):
        found |= {f"{name}{number}": value for name, value in run._asdict().items()}
    return found


def assert_same_fit(found, expected, rtol=1e-9):
    assert fitted(found).keys() == fitted(expected).keys()
    for name, value in fitted(expected).items():
        if not isinstance(value, str):
            np.testing.assert_allclose(
                fitted(found)[name], value, rtol=rtol, atol=rtol, err_msg=name
            )


@pytest.fixture
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def name_parameter(parameter):
    """Name a test by an estimator or a function, alike in every process."""
    return getattr(parameter, "__name__", str(parameter)[:55])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("estimator", "make"),
    [
        *STORED,
        (ESTIMATORS[-1], to_sparse),
        *(pytest.param(e, to_sparse, marks=pytest.mark.slow) for e in ESTIMATORS[1:-1]),
    ],
    ids=name_parameter,
)
def test_fits_as_in_memory(estimator, make):
    X = make(clusters(240, 6))
    weights = np.random.default_rng(0).integers(0, 3, 240).astype(float)
    weights[70:130] = 0  # a whole chunk
    for sample_weight in (None, weights):
        expected = clone(estimator).fit(X, sample_weight=sample_weight)
        found = clone(estimator).fit(in_dask(X), sample_weight=sample_weight)
        assert_same_fit(found, expected)
    weights = da.from_array(weights, chunks=50)
    assert_same_fit(clone(estimator).fit(in_dask(X), sample_weight=weights), expected)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("estimator", "make"), STORED, ids=name_parameter)
def test_all_else_as_in_memory(estimator, make):
    X = make(clusters(240, 6))
    in_chunks = in_dask(X)
    mixture = clone(estimator).fit(X)
    rng = np.random.default_rng(0)
    lazy = {
        "predict": {},
        "predict_proba": {},
        "score_samples": {},
        "transform": {},
        "complete": {"return_std": True},
        "recommend": {"n_items": 2, "return_std": True},
    }
    for name, options in lazy.items():
        expected = getattr(mixture, name)(X, **options)
        found = getattr(mixture, name)(in_chunks, **options)
        if not isinstance(expected, tuple):
            found, expected = (found,), (expected,)
        for lazy_value, value in zip(found, expected, strict=True):
            assert isinstance(lazy_value, da.Array)
            assert lazy_value.chunks[0] == CHUNKS
            assert (lazy_value.dtype, lazy_value.shape) == (value.dtype, value.shape)
            np.testing.assert_allclose(lazy_value, value, rtol=1e-12, atol=1e-12)
    for name in ("score", "bic", "aic", "icl"):
        total = getattr(mixture, name)(in_chunks)
        assert isinstance(total, float)
        np.testing.assert_allclose(total, getattr(mixture, name)(X), rtol=1e-12)
    entries = rng.integers(0, 240, 60), rng.integers(0, 6, 60)
    for options in ({}, {"return_std": True}):
        np.testing.assert_allclose(
            mixture.complete(in_chunks, entries=entries, **options),
            mixture.complete(X, entries=entries, **options),
            rtol=1e-12,
        )
    missing = np.nonzero(np.isnan(clusters(240, 6)))
    values = rng.standard_normal(len(missing[0]))
    np.testing.assert_allclose(
        mixture.score_entries(in_chunks, missing, values),
        mixture.score_entries(X, missing, values),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        mixture.cdf_entries(in_chunks, missing, values),
        mixture.cdf_entries(X, missing, values),
        rtol=1e-12,
    )
    nothing = np.empty(0, dtype=int), np.empty(0, dtype=int)
    assert mixture.complete(in_chunks, entries=nothing).shape == (0,)


def test_single_precision_stays():
    X = clusters(240, 6).astype(np.float32)
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, max_iter=5
    )
    expected, found = clone(mixture).fit(X), clone(mixture).fit(in_dask(X))
    assert_same_fit(found, expected, rtol=1e-5)
    assert found.transform(in_dask(X)).dtype == np.float32
    assert found.transform(in_dask(X)).compute().dtype == np.float32


def test_chunks_without_rows():
    X = clusters(240, 6)
    X[70:130, 0], X[130:, 0] = -10, 10
    some = in_dask(X)
    some = some[some[:, 0] > -10].compute_chunk_sizes()
    assert 0 in some.chunks[0]
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, max_iter=5
    )
    expected, found = clone(mixture).fit(some.compute()), clone(mixture).fit(some)
    assert_same_fit(found, expected)
    np.testing.assert_allclose(
        found.transform(some), expected.transform(some.compute())
    )
    none = da.from_array(X[:0])
    with pytest.raises(ValueError, match="0 sample"):
        mixture.fit(none)


def test_another_missing_value():
    X = clusters(240, 6)
    zeros = np.nan_to_num(X)
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, missing_values=0
    )
    expected = clone(mixture).fit(zeros)
    found = clone(mixture).fit(in_dask(zeros))
    assert_same_fit(found, expected)
    np.testing.assert_allclose(
        found.transform(in_dask(zeros)), expected.transform(zeros)
    )


def test_batches_and_warm_start():
    X = clusters(240, 6)
    for mixture in (
        MaskedGaussianMixture(3, covariance_type="spherical", random_state=0),
        KMeansMixture(3),
    ):
        mixture.set_params(random_state=0)
        expected, found = clone(mixture), clone(mixture)
        for rows in (slice(0, 130), slice(130, 240)):
            expected.partial_fit(X[rows])
        found.partial_fit(in_dask(X[:130], (70, 60))).partial_fit(
            in_dask(X[130:], (100, 10))
        )
        assert_same_fit(found, expected)
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, warm_start=True, max_iter=2
    )
    assert_same_fit(
        clone(mixture).fit(in_dask(X)).fit(in_dask(X)), clone(mixture).fit(X).fit(X)
    )


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.FewRowsWarning")
@pytest.mark.parametrize(("estimator", "make"), STORED, ids=name_parameter)
def test_starts_use_a_seeded_sample(estimator, make, monkeypatch):
    for module in ("_mixture", "_kmeans"):
        monkeypatch.setattr(f"sklearn_gmmcf.{module}.start_rows", lambda K: 30)
    sizes = []
    sample = _dask.Chunks.sample

    def spy(self, *args):
        rows = sample(self, *args)
        sizes.append(rows.shape[0])
        assert (np.concatenate([block.counts for block in rows]) > 0).all()
        return rows

    monkeypatch.setattr(_dask.Chunks, "sample", spy)
    X = clusters(240, 6)
    X[::3] = np.nan  # rows without entries start nothing
    X[:, 5] = np.nan
    X[20] = 1.0  # the only value of a column, which a sample may miss
    in_chunks = in_dask(make(X))
    first, again = (clone(estimator).fit(in_chunks) for _ in range(2))
    assert set(sizes) == {30}
    assert_same_fit(first, again, rtol=0)
    assert np.isfinite(first.transform(in_chunks).compute()).all()


def test_a_column_outside_the_sample_is_learned(monkeypatch):
    monkeypatch.setattr("sklearn_gmmcf._mixture.start_rows", lambda K: 30)
    X = clusters(240, 6)
    X[:, 5] = np.nan
    rare = [200, 220, 239]
    X[rare, 5] = [1000.0, 1001.0, 1003.0]
    monkeypatch.setattr(
        "sklearn_gmmcf.data._dask.sample_without_replacement",
        lambda n, size, random_state: np.arange(size),
    )
    mixture = MaskedGaussianMixture(
        2, covariance_type="factor", n_factors=2, random_state=0
    )
    found = mixture.fit(in_dask(X))
    assert np.abs(found.means_[:, 5] - 1001).max() < 10


def test_the_sample_of_a_start_is_large_enough():
    assert _starts.start_rows(3) == 10_000
    assert _starts.start_rows(300) == 15_000


def test_a_column_without_entries():
    X = clusters(240, 6)
    X[:, 2] = np.nan
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", random_state=0, max_iter=5
    )
    with pytest.warns(UnobservedColumnsWarning, match=r"1 column.*: 2\."):
        found = clone(mixture).fit(in_dask(X))
    with pytest.warns(UnobservedColumnsWarning):
        assert_same_fit(found, clone(mixture).fit(X))


def test_lazy_results_keep_the_model_that_made_them():
    X = in_dask(clusters(240, 6))
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        X
    )
    lazy, expected = mixture.transform(X), mixture.transform(X).compute()
    mixture.set_params(n_components=3, n_jobs=2).fit(X)
    np.testing.assert_array_equal(lazy, expected)
    # Rows that are not taken are not computed.
    assert len(dict(lazy[:5].__dask_graph__().cull(lazy[:5].__dask_keys__()))) < len(
        dict(lazy.__dask_graph__())
    )


@pytest.mark.filterwarnings("ignore::sklearn_gmmcf.FewRowsWarning")
@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("method", ["transform", "predict_proba", "complete"])
def test_parameters_are_in_a_graph_once(method, optimize):
    X = clusters(240, 60)
    mixture = MaskedGaussianMixture(
        4, covariance_type="full", random_state=0, max_iter=1
    ).fit(X)
    size = mixture.covariances_.nbytes
    assert size > 100_000
    lengths = []
    for n_chunks in (2, 24):
        lazy = getattr(mixture, method)(
            da.zeros((240, 60), chunks=(240 // n_chunks, 60))
        )
        lazy = dask.optimize(lazy)[0] if optimize else lazy
        tasks = dict(lazy.__dask_graph__()).values()
        lengths.append([len(cloudpickle.dumps(task)) for task in tasks])
        assert sum(length > size for length in lengths[-1]) == 1
    few, many = map(sum, lengths)
    assert (many - few) / 22 < size / 20


def test_unusable_arrays_are_refused():
    X = clusters(240, 6)
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
    with pytest.raises(NotFittedError):
        mixture.transform(in_dask(X))
    with pytest.raises(NotFittedError):
        mixture.complete(in_dask(X), entries=([0], [0]))
    with pytest.raises(ValueError, match=r"2 chunks of columns.*rechunk"):
        mixture.fit(da.from_array(X, chunks=(100, 3)))
    unknown = da.from_array(X, chunks=(100, 6))
    unknown = unknown[da.isnan(unknown[:, 0])]
    with pytest.raises(ValueError, match=r"unknown sizes.*compute_chunk_sizes"):
        mixture.fit(unknown)
    mixture.fit(in_dask(X))
    with pytest.raises(ValueError, match="2d Dask array, but X has 1"):
        mixture.predict(da.from_array(X[0]))
    with pytest.raises(ValueError, match=r"5 features, but .* 6 features"):
        mixture.transform(in_dask(X[:, :5]))
    with pytest.raises(ValueError, match=r"5 features, but .* 6 features"):
        mixture.complete(in_dask(X[:, :5]), entries=([0], [0]))
    with pytest.raises(ValueError, match="n_items should be"):
        mixture.recommend(in_dask(X), 0)
    with pytest.raises(TypeError, match=r"data in memory.*blocks\[0\]"):
        mixture.sample_completions(in_dask(X))
    with pytest.raises(TypeError, match="Dask Delayed"):
        mixture.fit(dask.delayed(X))
    with pytest.raises(ValueError, match=r"Found array with 1 sample.*minimum of 2"):
        mixture.fit(in_dask(X[:1], (1,)))
    with pytest.raises(ValueError, match="no observed entry: all of its 240 x 6"):
        mixture.fit(in_dask(np.full_like(X, np.nan)))
    mixed = da.concatenate([in_dask(X[:70], (70,)), in_dask(to_sparse(X[70:]), (170,))])
    with pytest.raises(ValueError, match="Some blocks of X are sparse"):
        mixture.fit(mixed)


def test_blocks_that_store_an_entry_twice_are_refused():
    def twice(block):
        rows, columns = np.indices(block.shape).reshape(2, -1)
        indices = np.append(rows, 0), np.append(columns, 0)
        values = np.append(block, block[0, 0])
        return sparse.coo_array((values, indices), shape=block.shape)

    X = da.ones((20, 3), chunks=(10, 3)).map_blocks(twice, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="more than one value at row 0, column 0"):
        MaskedGaussianMixture(covariance_type="spherical").fit(X)


@pytest.mark.parametrize("shape", [(60, 6), (40, 6), (50, 5), (50, 7)])
def test_blocks_of_other_shapes_than_said_are_refused(shape):
    X = clusters(240, 6)
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        X
    )
    wrong = da.from_delayed(dask.delayed(X[:50]), shape, meta=np.empty((0, 0)))
    if shape[1] != 6:
        mixture = MaskedGaussianMixture(covariance_type="spherical").fit(
            np.arange(20.0)[:, None] + np.arange(shape[1])
        )
    for method in (
        clone(mixture).fit,
        lambda X: mixture.transform(X).compute(),
        lambda X: mixture.complete(X, entries=([0], [0])),
    ):
        with pytest.raises(ValueError, match=r"has the shape \(50, 6\), but"):
            method(wrong)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_frames_of_chunks_are_refused(output):
    X = in_dask(clusters(240, 6))
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        X
    )
    with (
        config_context(transform_output=output),
        pytest.raises(TypeError, match=f"{output}.*would load all.*'default'"),
    ):
        mixture.transform(X)
    lazy = mixture.transform(X)
    with config_context(transform_output=output):
        assert isinstance(lazy.compute(), np.ndarray)
        assert isinstance(mixture.score(X), float)


def test_a_missing_value_that_single_precision_does_not_hold():
    X = in_dask(np.nan_to_num(clusters(240, 6)).astype(np.float32))
    mixture = MaskedGaussianMixture(
        2, covariance_type="spherical", random_state=0, missing_values=1e300
    ).fit(X)
    np.testing.assert_array_equal(mixture.transform(X), X)


@pytest.mark.parametrize(
    ("estimator", "n_passes"),
    [
        # A survey, the sample, and one pass for each iteration.
        (
            MaskedGaussianMixture(
                2, covariance_type="spherical", n_init=1, max_iter=4, tol=0
            ),
            2 + 4,
        ),
        # UserInit centers need no sample. In the end the distances to the last centers,
        # and three passes for variances and running sums.
        (KMeansMixture(2, init=np.eye(2, 6), max_iter=3, tol=0), 1 + 3 + 1 + 1 + 3),
    ],
    ids=["mixture", "k-means"],
)
def test_an_iteration_is_one_pass(estimator, n_passes):
    read = []

    def look(block):
        read.append(len(block))
        return block

    X = np.random.default_rng(0).normal(size=(240, 6))
    X = in_dask(X).map_blocks(look, meta=np.empty((0, 0)))
    with dask.config.set(scheduler="synchronous"):
        estimator.fit(X)
    assert estimator.n_iter_ == estimator.max_iter
    assert len(read) == n_passes * len(CHUNKS)


@pytest.fixture
def looks(one_thread, monkeypatch):
    """Names of the checks of values, in the order in which chunks undergo them."""
    names = []

    def spy(module, name, is_check=lambda options: True):
        function = getattr(module, name)

        def look(*args, **options):
            if is_check(options):
                names.append(name)
            return function(*args, **options)

        monkeypatch.setattr(module, name, look)

    spy(_dask, "check_numbers", lambda options: options["ensure_all_finite"])
    spy(_dask, "check_duplicates")
    spy(_in_memory, "check_duplicates")
    spy(_in_memory, "is_observed")
    return names


@pytest.mark.parametrize("persist", [False, True])
@pytest.mark.parametrize(
    ("make", "checks"),
    [
        (np.array, ["check_numbers", "is_observed"]),
        (to_sparse, ["check_numbers", *["check_duplicates"] * 2, "is_observed"]),
    ],
    ids=["dense", "csr"],
)
@pytest.mark.parametrize(
    "estimator",
    [
        MaskedGaussianMixture(2, covariance_type="diag", max_iter=4, tol=0),
        KMeansMixture(2, max_iter=3),
    ],
    ids=["mixture", "k-means"],
)
def test_chunks_are_checked_once(estimator, make, checks, persist, looks):
    X = in_dask(make(clusters(240, 6)))
    X = X.persist() if persist else X
    mixture = clone(estimator).set_params(random_state=0).fit(X)
    assert looks == checks * len(CHUNKS)
    looks.clear()
    mixture.predict_proba(X).compute()
    assert looks == checks * len(CHUNKS)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [np.array, to_sparse])
@pytest.mark.parametrize(
    ("value", "match"), [(np.inf, "infinity"), (1e150, "overflow")]
)
def test_bad_chunks_end_the_first_pass(value, match, make, monkeypatch):
    works = []
    submit = _dask._submit
    monkeypatch.setattr(
        _dask, "_submit", lambda *args: works.append(args[2]) or submit(*args)
    )
    X = clusters(240, 6)
    X[135, 0] = value
    mixture = MaskedGaussianMixture(2, covariance_type="diag", random_state=0)
    with pytest.raises(ValueError, match=rf"{match}[\s\S]*begins at row 130"):
        mixture.fit(in_dask(make(X)))
    assert works == [_dask._chunk_totals]


def test_weights_of_one_are_not_sent(monkeypatch):
    sent = []
    work = _dask._run_task
    monkeypatch.setattr(
        _dask, "_run_task", lambda *args: sent.append(args) or work(*args)
    )
    X = in_dask(clusters(240, 6))
    with dask.config.set(scheduler="synchronous"):
        MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(X)
    assert {id(weights) for _, _, _, _, weights, *_ in sent} == {id(None)}


def test_errors_tell_the_block():
    X = clusters(240, 6)
    mixture = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
        X
    )
    X[75, 0] = np.inf
    for method in (mixture.fit, lambda X: mixture.transform(X).compute()):
        with pytest.raises(
            ValueError, match=r"contains infinity[\s\S]*begins at row 70"
        ):
            method(in_dask(X))
    at = (np.array([75]), np.array([1]))
    X = clusters(240, 6)
    X[75, 1] = 1.0
    with pytest.raises(ValueError, match=r"Row 75, column 1 of X is observed"):
        mixture.score_entries(in_dask(X), at, [0.0])


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on loopback. Their start takes seconds: mark tests slow."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit="400MB",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_parameters_may_be_large():
    X = clusters(240, 6)
    threshold = "distributed.admin.large-graph-warning-threshold"
    with dask.config.set({threshold: "1 B"}):
        mixture = MaskedGaussianMixture(
            2, covariance_type="spherical", random_state=0
        ).fit(in_dask(X))
        assert np.isfinite(mixture.score(in_dask(X)))
        assert np.isfinite(mixture.icl(in_dask(X)))
        weights = np.arange(240)
        KMeansMixture(2, random_state=0).fit(in_dask(X), sample_weight=weights)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:55])
def test_fits_on_a_cluster_as_in_memory(estimator):
    X = to_sparse(clusters(240, 6))
    in_chunks = in_dask(X).persist()
    expected, found = clone(estimator).fit(X), clone(estimator).fit(in_chunks)
    assert_same_fit(found, expected)
    np.testing.assert_allclose(found.transform(in_chunks), expected.transform(X))
    pickle.loads(pickle.dumps(found))


def pids(client):
    return set(client.run(os.getpid).values())


class Killer:
    """A callback that kills a worker while an iteration is worked on."""

    def __init__(self, pid):
        self.pid = pid
        self.timer = threading.Timer(0.03, self.kill)
        self.n_iter = 0

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.killed_in = self.n_iter

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        if context.task_name == "iteration":
            self.n_iter += 1
            if self.n_iter == 3:
                self.timer.start()

    def on_fit_task_end(self, estimator, context, **kwargs):
        return False


@needs_callbacks
@pytest.mark.slow
def test_a_killed_worker_changes_nothing_but_the_time(cluster):
    X = clusters(3000, 6)
    in_chunks = in_dask(X, [100] * 30).persist()
    distributed.wait(in_chunks)
    mixture = MaskedGaussianMixture(
        3, covariance_type="spherical", n_init=1, random_state=0, max_iter=12, tol=0
    )
    expected = clone(mixture).fit(X)
    before = pids(cluster)
    killer = Killer(min(before))
    found = clone(mixture).set_callbacks(killer).fit(in_chunks)
    assert killer.n_iter == 12
    assert 3 <= killer.killed_in < 12
    cluster.wait_for_workers(2, timeout=60)
    assert killer.pid not in pids(cluster)
    assert_same_fit(found, expected)


@pytest.mark.slow
def test_data_larger_than_the_memory_of_a_worker(cluster, tmp_path):
    block = np.random.default_rng(0).normal(size=(2000, 1000))
    block[np.random.default_rng(1).random(block.shape) < 0.1] = np.nan
    X = da.concatenate([da.from_array(block, chunks=-1)] * 26)
    assert X.nbytes > 400e6
    with dask.config.set(scheduler="synchronous"):
        da.to_npy_stack(str(tmp_path), X)
    on_disk = da.from_npy_stack(str(tmp_path), mmap_mode=None)
    before = pids(cluster)
    mixture = MaskedGaussianMixture(
        2,
        covariance_type="spherical",
        n_init=1,
        random_state=0,
        max_iter=2,
        init_params="random",
    )
    mixture.fit(on_disk)
    assert pids(cluster) == before  # none ran out of memory
    # The same rows again and again have the mean of these.
    np.testing.assert_allclose(
        mixture.weights_ @ mixture.means_, np.nanmean(block, axis=0), atol=2e-3
    )
