# SPDX-License-Identifier: BSD-3-Clause
"""Hidden entries: their draw, their scores, folds of rows and of entries."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_config
from scipy import sparse
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import norm, rankdata
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, max_error, r2_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    StandardScaler,
)

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture
from sklearn_gmmcf.datasets import make_ratings
from sklearn_gmmcf.model_selection import (
    EntryRegressor,
    aic_scorer,
    bic_scorer,
    completion_scorer,
    cross_validate_entries,
    hide_entries,
    one_standard_error,
    to_entries,
)
from tests import oracles
from tests.drawn import tables
from tests.made import (
    EXACT_TYPES,
    clusters,
    correlated,
    estimators,
    rewind,
    start,
    to_sparse,
)
from tests.optional import pd, pl

MECHANISMS = ("mcar", "mar", "mnar")
FORMATS = [
    f"{format_}_{kind}"
    for format_ in ("csr", "csc", "coo", "lil", "dok")
    for kind in ("array", "matrix")
]
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn_gmmcf.UnobservedColumnsWarning",
)


def to_dense(X):
    """NaN where nothing is stored."""
    coo = X.tocoo()
    dense = np.full(X.shape, np.nan)
    dense[coo.row, coo.col] = coo.data
    return dense


def observed(X):
    return [tuple(index) for index in np.argwhere(~np.isnan(X))]


class TestHideEntries:
    @given(
        X=tables(every_column=False),
        fraction=st.floats(0.01, 1),
        seed=st.integers(0, 9),
        mechanism=st.sampled_from(MECHANISMS),
        empty_rows=st.booleans(),
        empty_columns=st.booleans(),
    )
    def test_hidden_entries(
        self, X, fraction, seed, mechanism, empty_rows, empty_columns
    ):
        before = X.copy()
        params = {"allow_empty_rows": empty_rows, "allow_empty_columns": empty_columns}
        params["mechanism"] = mechanism
        counts = (~np.isnan(X)).sum(axis=1)
        can_be_hidden = (counts - (mechanism == "mar"))[counts > 0].sum()
        try:
            hidden, (rows, columns, values) = hide_entries(X, fraction, seed, **params)
        except ValueError:
            assert can_be_hidden == 0 or not (empty_rows and empty_columns)
            return
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(values, X[rows, columns])
        assert np.isfinite(values).all()
        pairs = list(zip(rows, columns, strict=True))
        assert pairs == sorted(set(pairs))
        most = min(max(round(fraction * len(observed(X))), 1), can_be_hidden)
        assert len(pairs) <= most
        if (empty_rows or mechanism == "mar") and empty_columns:
            assert len(pairs) == most
        assert observed(hidden) == sorted(set(observed(X)) - set(pairs))
        kept = ~np.isnan(hidden)
        np.testing.assert_array_equal(hidden[kept], X[kept])
        for axis, may_be_empty in ((1, empty_rows), (0, empty_columns)):
            had = ~np.isnan(X).all(axis=axis)
            assert may_be_empty or kept.any(axis=axis)[had].all()

    @given(X=tables(), seed=st.integers(0, 9))
    def test_each_row_gets_back_one_entry_at_most(self, X, seed):
        _, free = hide_entries(X, 0.6, seed, allow_empty_rows=True)
        try:
            _, (rows, columns, _) = hide_entries(X, 0.6, seed)
        except ValueError:
            return
        kept = set(zip(*free[:2], strict=True)) - set(zip(rows, columns, strict=True))
        counts = (~np.isnan(X)).sum(axis=1)
        emptied = np.flatnonzero(np.bincount(free[0], minlength=len(X)) == counts)
        assert sorted(row for row, _ in kept) == sorted(set(emptied) & set(free[0]))

    def test_draws_are_uniform(self):
        X = clusters(6, 4, missing=0.2)
        X[1, 1:] = np.nan
        counts = np.zeros(X.shape)
        for seed in range(1500):
            _, (rows, columns, _) = hide_entries(X, 0.3, seed, allow_empty_rows=True)
            counts[rows, columns] += 1 / 1500
        share = len(rows) / len(observed(X))
        np.testing.assert_allclose(counts[~np.isnan(X)], share, atol=0.05)
        assert (counts[np.isnan(X)] == 0).all()

    def test_which_entry_a_row_keeps_is_random(self):
        X = np.arange(6.0).reshape(2, 3)
        kept = np.zeros(X.shape)
        for seed in range(600):
            hidden, _ = hide_entries(X, 1.0, seed)
            kept += ~np.isnan(hidden) / 600
        np.testing.assert_allclose(kept, 1 / 3, atol=0.07)

    @pytest.mark.parametrize("fraction", [0.3, 0.8])
    def test_not_at_random_grows_with_the_rank(self, fraction):
        X = clusters(8, 3, missing=0.2)
        X[:4, 0] = X[0, 0]  # equal values share their rank
        ranks = (rankdata(X, axis=0, nan_policy="omit") - 0.5) / (~np.isnan(X)).sum(0)
        n_hidden = round(fraction * len(observed(X)))

        def excess(scale):
            return np.nansum(np.minimum(scale * ranks, 1)) - n_hidden

        expected = np.minimum(brentq(excess, 0, 1e3) * ranks, 1)
        assert (expected == 1).any() == (fraction == 0.8)
        counts = np.zeros(X.shape)
        for seed in range(600):
            _, (rows, columns, _) = hide_entries(
                X, fraction, seed, mechanism="mnar", allow_empty_rows=True
            )
            assert len(rows) == n_hidden
            counts[rows, columns] += 1 / 600
        np.testing.assert_allclose(counts, np.nan_to_num(expected), atol=0.07)

    def test_at_random_depends_on_the_driver_alone(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((20_000, 1)) + 0.5 * rng.standard_normal((20_000, 2))
        driven = {}
        for mechanism in ("mar", "mnar"):
            hidden, (_, columns, _) = hide_entries(
                X, 0.2, 0, mechanism=mechanism, allow_empty_rows=True
            )
            driven[mechanism] = np.isnan(hidden[:, 0])
            assert len(columns) == 8_000
            np.testing.assert_allclose(np.bincount(columns), 4_000, atol=200)
        # Column 1 drives half of the rows, with 0.8 times its rank.
        order = np.argsort(X[:, 1]).reshape(10, -1)
        shares = driven["mar"][order].mean(axis=1)
        np.testing.assert_allclose(shares, 0.4 * (np.arange(10) + 0.5) / 10, atol=0.03)
        residuals = X[:, 0] - X[:, 1] * (X[:, 0] @ X[:, 1]) / (X[:, 1] @ X[:, 1])
        assert abs(np.corrcoef(driven["mar"], residuals)[0, 1]) < 3 / 20_000**0.5
        assert np.corrcoef(driven["mnar"], residuals)[0, 1] > 0.1

    @given(
        X=tables(every_column=False), seed=st.integers(0, 9), fraction=st.floats(0.1, 1)
    )
    def test_at_random_does_not_depend_on_what_is_hidden(self, X, seed, fraction):
        params = {"mechanism": "mar", "random_state": seed}
        try:
            _, (rows, columns, values) = hide_entries(X, fraction, **params)
        except ValueError:
            return
        X[rows, columns] = -10 * values[::-1]
        _, again = hide_entries(X, fraction, **params)
        np.testing.assert_array_equal(again[:2], [rows, columns])

    def test_two_columns_drive_a_complete_table(self):
        X = clusters(200, 5, missing=0)
        drivers = set()
        for seed in range(20):
            hidden, _ = hide_entries(X, 1.0, seed, mechanism="mar")
            assert ((~np.isnan(hidden)).sum(axis=1) == 1).all()
            n_rows = (~np.isnan(hidden)).sum(axis=0)
            assert sorted(n_rows)[:3] == [0, 0, 0]
            assert n_rows.max() < 130
            drivers.add(tuple(np.flatnonzero(n_rows)))
        assert len(drivers) > 5

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_covariates_are_not_hidden(self, mechanism):
        X = clusters(30, 4)
        hidden, (_, columns, _) = hide_entries(
            X, 0.5, 0, mechanism=mechanism, covariates=[1]
        )
        np.testing.assert_array_equal(hidden[:, 1], X[:, 1])
        assert set(columns) == {0, 2, 3}

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    @pytest.mark.parametrize("kind", FORMATS)
    def test_formats(self, kind, mechanism):
        X = np.round(clusters(40, 6))
        assert (X == 0).any()
        stored = to_sparse(X, kind)
        expected, from_dense = hide_entries(X, 0.4, 0, mechanism=mechanism)
        hidden, from_sparse = hide_entries(stored, 0.4, 0, mechanism=mechanism)
        assert type(hidden) is type(stored)
        assert hidden.dtype == stored.dtype
        np.testing.assert_array_equal(to_dense(hidden), expected)
        np.testing.assert_array_equal(to_dense(stored), X)
        for a, b in zip(from_sparse, from_dense, strict=True):
            np.testing.assert_array_equal(a, b)
        assert (from_dense[2] == 0).any()
        assert (to_dense(hidden) == 0).any()

    def test_coo_keeps_its_order(self):
        X = to_sparse(clusters(20, 4), "coo_array")
        order = np.random.default_rng(0).permutation(X.nnz)
        shuffled = sparse.coo_array(
            (X.data[order], (X.row[order], X.col[order])), shape=X.shape
        )
        pairs, values = to_entries(shuffled)
        np.testing.assert_array_equal(pairs, np.column_stack([X.row, X.col])[order])
        np.testing.assert_array_equal(values, X.data[order])
        hidden, (rows, columns, values) = hide_entries(shuffled, 0.3, 0)
        np.testing.assert_array_equal(values, to_dense(X)[rows, columns])
        assert hidden.nnz == X.nnz - len(values)

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_frames(self, mechanism):
        X = clusters(30, 4)
        expected, from_array = hide_entries(X, 0.3, 0, mechanism=mechanism)
        index = np.random.default_rng(0).integers(0, 9, len(X))
        for frame in (
            pd.DataFrame(X, index=index),
            pd.DataFrame(X, columns=list("abcd"), index=index).convert_dtypes(),
            pl.DataFrame(dict(zip("abcd", X.T, strict=True)), nan_to_null=True),
        ):
            hidden, from_frame = hide_entries(frame, 0.3, 0, mechanism=mechanism)
            assert type(hidden) is type(frame)
            assert list(hidden.columns) == list(frame.columns)
            values = hidden.to_numpy()
            if values.dtype == object:
                values = hidden.astype(float).to_numpy()
            np.testing.assert_array_equal(values, expected)
            for a, b in zip(from_frame, from_array, strict=True):
                np.testing.assert_array_equal(a, b)
        assert hidden.null_count().sum_horizontal()[0] == np.isnan(expected).sum()

    def test_integers_and_other_missing_values(self):
        X = np.random.default_rng(0).integers(0, 4, (20, 5))
        hidden, (rows, columns, values) = hide_entries(X, 0.3, 0)
        assert np.isnan(hidden[rows, columns]).all()
        assert (values == 0).any()
        hidden, (rows, columns, values) = hide_entries(X, 0.3, 0, missing_values=0)
        assert hidden.dtype == X.dtype
        assert (hidden[rows, columns] == 0).all()
        assert (values > 0).all()
        frame = pd.DataFrame(X)
        from_frame, _ = hide_entries(frame, 0.3, 0, missing_values=0)
        np.testing.assert_array_equal(from_frame.to_numpy(), hidden)
        as_list, _ = hide_entries(X.tolist(), 0.3, 0, missing_values=0)
        np.testing.assert_array_equal(as_list, hidden)

    def test_refusals(self):
        X = clusters()
        for fraction in (0, 1.5):
            with pytest.raises(ValueError, match="'fraction' parameter"):
                hide_entries(X, fraction)
        with pytest.raises(
            ValueError, match=r"fraction=0\.5 of the 3 .*nothing to hide"
        ):
            hide_entries(np.diag([1.0, 2, 3]), 0.5, missing_values=0)
        with pytest.raises(ValueError, match=r"'mar' every row keeps an entry"):
            hide_entries(np.diag([1.0, 2, 3]), missing_values=0, mechanism="mar")
        with pytest.raises(ValueError, match="'mechanism' parameter"):
            hide_entries(X, mechanism="random")
        with pytest.raises(ValueError, match="more than one value at row 0, column 1"):
            hide_entries(sparse.coo_array(([1.0, 2], ([0, 0], [1, 1])), shape=(2, 2)))
        with pytest.raises(ValueError, match="masked array"):
            hide_entries(np.ma.masked_invalid(X))


def true_log_density(mixture, X, rows, columns, values, train=None, law=norm.logpdf):
    """Log of the conditional mixtures, one entry and one component after the other.

    `law` is the function of each Gaussian, its log-density or log-probability; `train`
    is the matrix that the mixture was fitted to, X unless given.
    """
    predictive = None
    if mixture.covariance_type == "full":
        covariances = mixture.covariances_
    elif mixture.covariance_type == "tied":
        covariances = np.repeat(mixture.covariances_[None], len(mixture.means_), 0)
    else:
        shape = mixture.means_.shape
        variances = mixture.covariances_.reshape(len(mixture.means_), -1)
        covariances = [np.diag(v) for v in np.broadcast_to(variances, shape)]
        train = X if train is None else train
        predictive = oracles.predict_variances(mixture, rewind(mixture, train), train)
    result = []
    for i, j, value in zip(rows, columns, values, strict=True):
        shares, terms = [], []
        for k, covariance in enumerate(covariances):
            log_density, filled, rest = oracles.condition(
                X[i], mixture.means_[k], covariance
            )
            shares.append(np.log(mixture.weights_[k]) + log_density)
            variance = rest[j, j] if predictive is None else predictive[k, j]
            terms.append(law(value, filled[j], np.sqrt(variance)))
        result.append(logsumexp(np.add(shares, terms)) - logsumexp(shares))
    return np.array(result)


class TestScoreEntries:
    @pytest.mark.parametrize("make", [np.array, to_sparse])
    @pytest.mark.parametrize("covariance_type", EXACT_TYPES)
    def test_against_a_plain_loop(self, covariance_type, make):
        X = correlated(80, 5, missing=0.5)
        X[3] = np.nan
        mixture = MaskedGaussianMixture(
            2, covariance_type=covariance_type, reg_covar=0.01, random_state=0
        ).fit(make(X))
        rng = np.random.default_rng(0)
        rows, columns = np.nonzero(np.isnan(X))
        asked = rng.integers(len(rows), size=100)  # in any order, with repetitions
        rows, columns = rows[asked], columns[asked]
        values = 3 * rng.standard_normal(100)
        values[0] = 1e4
        expected = true_log_density(mixture, X, rows, columns, values)
        found = mixture.score_entries(make(X), (rows, columns), values)
        np.testing.assert_allclose(found, expected, rtol=1e-8)
        expected = true_log_density(mixture, X, rows, columns, values, law=norm.logcdf)
        found = mixture.cdf_entries(make(X), (rows, columns), values)
        np.testing.assert_allclose(found, np.exp(expected), rtol=1e-8)

    def test_patterns_that_rows_share(self):
        X = correlated(400, 4, missing=0)
        X[::2, 1], X[1::4, 2], X[3::4, 3] = np.nan, np.nan, np.nan
        mixture = MaskedGaussianMixture(2, covariance_type="full", random_state=0)
        mixture.fit(X)
        rows, columns = np.nonzero(np.isnan(X))
        values = np.zeros(len(rows))
        expected = true_log_density(mixture, X, rows, columns, values)
        found = mixture.score_entries(X, (rows, columns), values)
        np.testing.assert_allclose(found, expected, rtol=1e-8)

    def test_densities_integrate_to_one(self):
        X = clusters(50, 3)
        i, j = np.argwhere(np.isnan(X))[0]
        grid = np.linspace(-30, 30, 20_001)
        for est in estimators(random_state=0):
            log_density = est.fit(X).score_entries(
                X, (np.full(len(grid), i), np.full(len(grid), j)), grid
            )
            assert np.exp(log_density).sum() * (grid[1] - grid[0]) == pytest.approx(1)

    @pytest.mark.parametrize("est", estimators(5), ids=repr)
    def test_probabilities_do_not_exceed_1(self, est):
        X = clusters(300, 4, n_components=2)
        entries = np.nonzero(np.isnan(X))
        est.set_params(max_iter=5, random_state=0).fit(X)
        # Their quantiles would be NaN, not infinite.
        assert (est.cdf_entries(X, entries, np.full(len(entries[0]), 1e8)) <= 1).all()

    def test_refusals(self):
        X = clusters()
        i, j = np.argwhere(np.isnan(X))[0]
        est = MaskedGaussianMixture(covariance_type="spherical").fit(X)
        for judge in (est.score_entries, est.cdf_entries):
            with pytest.raises(ValueError, match=r"Row 0, column 1 of X is observed"):
                judge(X, ([i, 0], [j, 1]), [1.0, 2])
            with pytest.raises(ValueError, match=r"shape \(2,\) for 1 entries"):
                judge(X, ([i], [j]), [1.0, 2])
            with pytest.raises(ValueError, match="values contains NaN"):
                judge(X, ([i], [j]), [np.nan])
            assert judge(X, ([], []), []).shape == (0,)


def test_icl_is_bic_plus_twice_the_entropy():
    X = clusters(spread=0.7)
    for est in estimators(3, random_state=0):
        est.fit(X)
        entropy = -sum(p * np.log(p) for p in est.predict_proba(X).ravel() if p > 0)
        assert est.icl(X) == pytest.approx(est.bic(X) + 2 * entropy)
        assert entropy > 1


def criteria_by_hand(mixture, X, n_samples, n_columns):
    """From the formulas, with the parameters of 'diag' counted anew."""
    log_likelihood = mixture.score_samples(X).sum()
    n_components = len(mixture.weights_)
    p = n_components - 1 + 2 * n_components * n_columns
    shares = mixture.predict_proba(X)
    entropy = -sum(share * np.log(share) for share in shares.ravel() if share > 0)
    return {
        "bic": -2 * log_likelihood + p * np.log(n_samples),
        "caic": -2 * log_likelihood + p * (np.log(n_samples) + 1),
        "sabic": -2 * log_likelihood + p * np.log((n_samples + 2) / 24),
        "icl": -2 * log_likelihood + p * np.log(n_samples) + 2 * entropy,
    }


@pytest.mark.parametrize("make", [np.asarray, to_sparse])
def test_criteria_and_their_sample_sizes(make):
    X = clusters(spread=0.7, missing=0.6)
    X[3] = np.nan
    X[:, 4] = np.nan  # a column that is never observed counts nothing
    mixture = MaskedGaussianMixture(3, covariance_type="diag", random_state=0)
    mixture.fit(make(X))
    n_entries = (~np.isnan(X)).sum() / 5
    assert n_entries < len(X) / 2
    for sample_size, n_samples in [("rows", len(X)), ("entries", n_entries)]:
        expected = criteria_by_hand(mixture, make(X), n_samples, 5)
        for name, value in expected.items():
            criterion = getattr(mixture, name)
            found = criterion(make(X), sample_size=sample_size)
            assert found == pytest.approx(value, rel=1e-9)
            if sample_size == "rows":
                assert criterion(make(X)) == found
    assert mixture.n_parameters_ == 2 + 2 * 3 * 5


def test_covariates_count_no_entries():
    X = correlated(100, 5)
    mixture = MaskedGaussianMixture(covariance_type="factor", covariates=[1])
    mixture.fit(X)
    n_samples = (~np.isnan(np.delete(X, 1, axis=1))).sum() / 4
    expected = mixture.aic(X) + mixture.n_parameters_ * (np.log(n_samples) - 2)
    assert mixture.bic(X, sample_size="entries") == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["spherical", "diag", "tied", "full"])
def test_criteria_of_complete_data_as_in_sklearn(kind):
    X = np.nan_to_num(clusters(150, 4))
    options = {"covariance_type": kind, "tol": 0.0, "max_iter": 30}
    init = start(X, 3, kind)
    mixture = MaskedGaussianMixture(**options | init).fit(X)
    other = GaussianMixture(**options | init).fit(X)
    for sample_size in ("rows", "entries"):
        assert mixture.bic(X, sample_size=sample_size) == pytest.approx(other.bic(X))
    assert mixture.aic(X) == pytest.approx(other.aic(X))
    assert mixture.n_parameters_ == other._n_parameters()


def test_sample_size_is_checked():
    X = clusters(50, 3)
    for est in estimators(1):
        est.fit(X)
        for name in ("bic", "caic", "sabic", "icl"):
            with pytest.raises(ValueError, match="sample_size should be one of"):
                getattr(est, name)(X, sample_size="row")


def test_normalized_entropy():
    X = clusters(spread=0.7)
    X[5] = np.nan
    for est in estimators(3, random_state=0):
        shares = est.fit(X).predict_proba(X)
        means = [-np.sum(row[row > 0] * np.log(row[row > 0])) for row in shares]
        expected = np.mean(means) / np.log(3)
        assert est.normalized_entropy(X) == pytest.approx(expected)
        assert 0.02 < expected < 1
    # A row without observations has the weights for responsibilities.
    even = MaskedGaussianMixture(
        2, covariance_type="diag", weights_init=[0.5, 0.5], max_iter=0
    ).fit(clusters(20, 3))
    assert even.normalized_entropy(np.full((1, 3), np.nan)) == pytest.approx(1)
    one = MaskedGaussianMixture(1, covariance_type="diag").fit(X)
    assert one.normalized_entropy(X) == 0


@pytest.mark.parametrize("make", [np.asarray, to_sparse])
def test_components_are_described(make):
    X = clusters(150, 5, n_components=2)
    X[:, 2] = np.nan
    X[:, 3] = 7.0
    for est in estimators(2, random_state=0):
        if getattr(est, "covariance_type", "") == "factor":
            continue  # its means of constant columns are those of the noise
        est.fit(make(X))
        description = est.describe_components(make(X), n_columns=None)
        table = pd.DataFrame(description)
        assert list(table) == [
            "component", "weight", "n_rows", "column", "mean", "deviation",
        ]  # fmt: skip
        sizes = est.predict_proba(make(X)).sum(axis=0)
        for k in (0, 1):
            lines = table[table.component == k]
            assert sorted(lines.column) == [0, 1, 3, 4]
            np.testing.assert_allclose(lines.weight, est.weights_[k])
            np.testing.assert_allclose(lines.n_rows, sizes[k])
            for line in lines.itertuples():
                values = X[~np.isnan(X[:, line.column]), line.column]
                assert line.mean == pytest.approx(est.means_[k, line.column])
                expected = 0.0
                if line.column != 3:
                    expected = (line.mean - values.mean()) / values.std()
                assert line.deviation == pytest.approx(expected)
            assert (np.diff(np.abs(lines.deviation)) <= 0).all()
        top = est.describe_components(n_columns=2)
        assert list(top) == ["component", "weight", "column", "mean", "deviation"]
        assert top["component"].tolist() == [0, 0, 1, 1]
        first = table.groupby("component").head(2)
        np.testing.assert_array_equal(top["column"], first.column)


def test_described_columns_have_names_and_are_modeled():
    X = pd.DataFrame(correlated(100, 4), columns=["a", "b", "c", "age"])
    mixture = MaskedGaussianMixture(
        2, covariance_type="factor", covariates=["age"], n_factors=2
    ).fit(X)
    description = mixture.describe_components(n_columns=10)
    assert sorted(description["column"]) == ["a", "a", "b", "b", "c", "c"]
    with pytest.raises(ValueError, match="n_columns should be"):
        mixture.describe_components(n_columns=0)


def test_icl_counts_clusters_where_bic_counts_gaussians():
    # One flat cluster, made of two overlapping Gaussians, and one that stands apart.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 2)) * np.repeat([[1, 1], [3, 3], [1, 1]], 200, axis=0)
    X[400:] += 20
    X[rng.random(X.shape) < 0.1] = np.nan
    fits = [
        MaskedGaussianMixture(
            k, covariance_type="spherical", n_init=5, random_state=0
        ).fit(X)
        for k in (1, 2, 3)
    ]
    assert np.argmin([fit.bic(X) for fit in fits]) == 2
    assert np.argmin([fit.icl(X) for fit in fits]) == 1


def by_hand(estimator, X, metric, fraction=0.1, seed=0):
    """The score of an estimator without a Pipeline, by a completion scorer."""
    hidden, (rows, columns, values) = hide_entries(X, fraction, seed)
    return metric(values, estimator.transform(hidden)[rows, columns])


def rmse(true, predicted):
    return np.sqrt(((true - predicted) ** 2).mean())


class TestCompletionScorer:
    def test_named_metrics(self):
        X = correlated(200, 5)
        for est in [*estimators(random_state=0), KNNImputer(), SimpleImputer()]:
            est.fit(X[:100])
            expected = by_hand(est, X[100:], rmse, 0.3, 5)
            assert completion_scorer("rmse", 0.3, 5)(est, X[100:]) == pytest.approx(
                -expected
            )
            expected = by_hand(est, X[100:], lambda t, p: np.abs(t - p).mean())
            assert completion_scorer("mae")(est, X[100:]) == pytest.approx(-expected)

    def test_log_density(self):
        X = correlated(200, 5)
        hidden, (rows, columns, values) = hide_entries(X[100:], 0.1, 0)
        for covariance_type in ("diag", "full"):
            est = MaskedGaussianMixture(
                2, covariance_type=covariance_type, random_state=0
            )
            est.fit(X[:100])
            expected = true_log_density(
                est, hidden, rows, columns, values, train=X[:100]
            ).mean()
            score = completion_scorer("log_density")(est, X[100:])
            assert score == pytest.approx(expected)
        with pytest.raises(ValueError, match="score_entries, which KNNImputer has not"):
            completion_scorer("log_density")(KNNImputer().fit(X), X)

    def test_callable_metrics(self):
        X = correlated(100, 4)
        est = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
            X
        )
        for sign, metric in ((-1, max_error), (1, r2_score)):
            scorer = completion_scorer(metric, greater_is_better=sign > 0)
            assert scorer(est, X) == pytest.approx(sign * by_hand(est, X, metric))
        true_first = completion_scorer(lambda true, predicted: (true - predicted).sum())
        expected = by_hand(est, X, lambda t, p: (t - p).sum())
        assert true_first(est, X) == pytest.approx(-expected)

    def test_seed_pickle_and_bad_metric(self):
        X = correlated(100, 4)
        est = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
            X
        )
        scorer = completion_scorer(random_state=3)
        assert scorer(est, X) == scorer(est, X)
        assert scorer(est, X) == pickle.loads(pickle.dumps(scorer))(est, X)
        assert scorer(est, X) != completion_scorer(random_state=4)(est, X)
        with pytest.raises(ValueError, match="but got 'mse'"):
            completion_scorer("mse")
        with pytest.raises(ValueError, match="LinearRegression has no transform"):
            scorer(LinearRegression(), X)

    @pytest.mark.parametrize("kind", FORMATS)
    def test_sparse_equals_dense(self, kind):
        X = np.round(clusters(100, 5))
        est = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0).fit(
            X
        )
        for metric in ("rmse", "mae", "log_density"):
            scorer = completion_scorer(metric)
            assert scorer(est, to_sparse(X, kind)) == pytest.approx(scorer(est, X))

    def test_nothing_dense_is_built_from_sparse_input(self):
        # The dense matrix would take 0.7 GB.
        rng = np.random.default_rng(0)
        X = sparse.csr_array(
            (rng.random(900), rng.integers(300_000, size=900), np.arange(0, 901, 3)),
            shape=(300, 300_000),
        )
        est = MaskedGaussianMixture(covariance_type="spherical").fit(X)
        regressor = EntryRegressor(est, X.shape)
        tracemalloc.start()
        for metric in ("rmse", "log_density"):
            assert np.isfinite(completion_scorer(metric)(est, X))
        regressor.fit(*to_entries(X)).predict([[0, 0]])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1e8

    @pytest.mark.parametrize("missing_values", [0, -1.5])
    def test_other_missing_values(self, missing_values):
        X = np.round(clusters(100, 5)) + 20
        marked = np.where(np.isnan(X), missing_values, X)
        score = completion_scorer()(KMeansMixture(2, random_state=0).fit(X), X)
        for est in (
            KMeansMixture(2, random_state=0, missing_values=missing_values),
            make_pipeline(
                FunctionTransformer(),
                KMeansMixture(2, random_state=0, missing_values=missing_values),
            ),
        ):
            assert completion_scorer()(est.fit(marked), marked) == pytest.approx(score)


class TestInAPipeline:
    def test_units_are_those_of_the_last_step(self):
        X = correlated(200, 4) * [1, 10, 100, 1000]
        train, test = X[:100], X[100:]
        pipe = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        pipe.fit(train)
        mean, std = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
        hidden, (rows, columns, values) = hide_entries(test, 0.1, 0)
        predicted = pipe.transform(hidden)[rows, columns]
        true = (values - mean[columns]) / std[columns]
        np.testing.assert_allclose(pipe.transform(test)[rows, columns], true)
        expected = rmse(true, predicted)
        assert completion_scorer()(pipe, test) == pytest.approx(-expected)
        expected = true_log_density(
            pipe[-1],
            (hidden - mean) / std,
            rows,
            columns,
            true,
            train=(train - mean) / std,
        ).mean()
        score = completion_scorer("log_density")(pipe, test)
        assert score == pytest.approx(expected)

    def test_in_other_shells(self):
        X = correlated(200, 4)
        inner = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        score = completion_scorer()(inner.fit(X), X)
        for est in (
            Pipeline([("a", "passthrough"), ("b", inner), ("c", None)]),
            GridSearchCV(inner, {"maskedgaussianmixture__n_components": [2]}),
        ):
            assert completion_scorer()(est.fit(X), X) == pytest.approx(score)
            assert bic_scorer(est, X) == pytest.approx(bic_scorer(inner, X))

    def test_steps_after_the_imputer(self):
        X = correlated(200, 4) * 10
        plain = MaskedGaussianMixture(
            2, covariance_type="spherical", random_state=0
        ).fit(X)
        pipe = make_pipeline(plain, FunctionTransformer(tenth))
        score = completion_scorer()(pipe.fit(X), X)
        assert score == pytest.approx(completion_scorer()(plain, X) / 10)

    def test_frames_between_the_steps(self):
        X = correlated(100, 4)
        pipe = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        score = completion_scorer()(pipe.fit(X), X)
        frame = pd.DataFrame(X, columns=list("abcd"))
        for output in ("pandas", "polars"):
            pipe.set_output(transform=output).fit(frame)
            assert completion_scorer()(pipe, frame) == pytest.approx(score)

    def test_sparse(self):
        X = np.round(clusters(100, 5))
        assert (X == 0).any()
        pipe = make_pipeline(
            MaxAbsScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        dense = completion_scorer()(pipe.fit(X), X)
        assert completion_scorer()(pipe, to_sparse(X)) == pytest.approx(dense)
        dropping = make_pipeline(
            FunctionTransformer(drop_zeros, accept_sparse=True),
            MaskedGaussianMixture(covariance_type="spherical"),
        ).fit(to_sparse(X))
        with pytest.raises(ValueError, match="lose the entry in row"):
            completion_scorer(fraction=0.5)(dropping, to_sparse(X))

    def test_columns_must_stay(self):
        X = correlated(100, 4)
        pipe = make_pipeline(
            FunctionTransformer(lambda X: X[:, :2]),
            MaskedGaussianMixture(covariance_type="spherical"),
        ).fit(X)
        with pytest.raises(ValueError, match=r"\(100, 4\) leaves .* \(100, 2\)"):
            completion_scorer()(pipe, X)


def tenth(X):
    return X / 10


def drop_zeros(X):
    X = X.copy()
    X.eliminate_zeros()
    return X


class TestWithinScikitLearn:
    @pytest.mark.parametrize("make", [np.array, to_sparse, pd.DataFrame])
    def test_grid_search(self, make):
        X = clusters(150, 6, n_components=3, missing=0.4, spread=4)
        search = GridSearchCV(
            MaskedGaussianMixture(covariance_type="spherical", random_state=0),
            {"n_components": [1, 3]},
            scoring=completion_scorer(),
            cv=KFold(3),
        ).fit(make(X))
        assert search.best_params_ == {"n_components": 3}
        for k, n_components in enumerate([1, 3]):
            for fold, (train, test) in enumerate(KFold(3).split(X)):
                est = MaskedGaussianMixture(
                    n_components, covariance_type="spherical", random_state=0
                ).fit(X[train])
                found = search.cv_results_[f"split{fold}_test_score"][k]
                assert found == pytest.approx(-by_hand(est, X[test], rmse))

    @pytest.mark.slow
    def test_search_over_families_seeds_and_scaling(self):
        X = correlated(240, 5) * [1, 10, 100, 1000, 10_000]
        mixture = MaskedGaussianMixture(covariance_type="spherical", max_iter=20)
        pipe = Pipeline([("scale", StandardScaler()), ("mix", mixture)])
        grid = {
            "mix__n_components": [1, 2],
            "mix__covariance_type": ["spherical", "full"],
            "mix__random_state": range(2),
        }
        search = GridSearchCV(pipe, grid, scoring=completion_scorer(), cv=3).fit(X)
        assert search.best_params_["mix__covariance_type"] == "full"
        nested = cross_val_score(search, X, scoring=completion_scorer(), cv=2)
        means = make_pipeline(StandardScaler(), SimpleImputer())
        means_scores = cross_val_score(means, X, scoring=completion_scorer(), cv=2)
        assert (nested > means_scores).all()
        assert nested.mean() > 0.9 * means_scores.mean()

    def test_several_metrics_and_other_imputers(self):
        X = correlated(120, 4)
        scoring = {name: completion_scorer(name) for name in ("rmse", "mae")}
        for est in (KNNImputer(), IterativeImputer(max_iter=3), SimpleImputer()):
            scores = cross_validate(est, X, scoring=scoring, cv=2)
            assert (scores["test_rmse"] <= scores["test_mae"]).all()
            assert (scores["test_mae"] < 0).all()

    def test_criteria(self):
        X = clusters(150, 4, n_components=3, missing=0.2, spread=5)
        every = np.arange(len(X))
        for scorer, name in ((bic_scorer, "bic"), (aic_scorer, "aic")):
            search = GridSearchCV(
                MaskedGaussianMixture(covariance_type="spherical", random_state=0),
                {"n_components": [1, 3, 5]},
                scoring=scorer,
                cv=[(every, every)],
            ).fit(X)
            expected = [
                -getattr(
                    MaskedGaussianMixture(
                        k, covariance_type="spherical", random_state=0
                    ).fit(X),
                    name,
                )(X)
                for k in (1, 3, 5)
            ]
            np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected)
            pipe = make_pipeline(
                StandardScaler(), MaskedGaussianMixture(2, covariance_type="spherical")
            ).fit(X)
            scaled = StandardScaler().fit_transform(X)
            assert scorer(pipe, X) == pytest.approx(-getattr(pipe[-1], name)(scaled))


class TestOneStandardError:
    def results(self, scores, sizes):
        scores = np.array(scores)  # (candidates, folds)
        results = {f"split{i}_test_score": s for i, s in enumerate(scores.T)}
        results["mean_test_score"] = scores.mean(axis=1)
        results["std_test_score"] = scores.std(axis=1)
        results["param_k"] = np.ma.array(sizes, dtype=object)
        return results

    def test_rule(self):
        # The best has mean -1 and a standard error of 0.1 (sample deviation 0.2).
        best = -1 + 0.2 * np.sqrt(3) / 2 * np.array([1, 1, -1, -1])
        assert best.std(ddof=1) / 2 == pytest.approx(0.1)
        rule = one_standard_error("k")
        for lag, chosen in ((0.09, 1), (0.11, 0)):
            scores = [best, best - lag, best - 0.2, best - 0.5]
            assert rule(self.results(scores, [8, 2, 2, 1])) == chosen
        assert rule(self.results([best - 0.09, best], [2, 2])) == 1

    def test_refusals(self):
        results = self.results([[1.0, 2]], [1])
        with pytest.raises(ValueError, match="no parameter 'mix__k'"):
            one_standard_error("mix__k")(results)
        with pytest.raises(ValueError, match="at least 2 folds, but the search has 1"):
            one_standard_error("k")(self.results([[1.0]], [1]))

    def test_failed_candidates(self):
        results = self.results([[np.nan, 1], [1, 1]], [1, 2])
        assert one_standard_error("k")(results) == 1


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["bic", "held out rows", "held out entries"])
def test_the_number_of_types_is_found(rule):
    found = []
    for seed in range(10):
        X = make_ratings(
            300, 60, n_types=4, n_factors=0, density=0.4, random_state=seed
        ).data
        every = np.arange(X.shape[0])
        grid = {"n_components": [1, 2, 3, 4, 5, 6]}
        est = MaskedGaussianMixture(
            covariance_type="spherical", n_init=3, random_state=0
        )
        if rule == "bic":
            search = GridSearchCV(est, grid, scoring=bic_scorer, cv=[(every, every)])
            k = search.fit(X).best_params_["n_components"]
        elif rule == "held out rows":
            search = GridSearchCV(
                est,
                grid,
                scoring=completion_scorer("log_density"),
                refit=one_standard_error("n_components"),
                cv=3,
            )
            k = search.fit(X).best_params_["n_components"]
        else:
            name = "estimator__n_components"
            search = GridSearchCV(
                EntryRegressor(est, X.shape),
                {name: grid["n_components"]},
                scoring=completion_scorer("rmse"),
                refit=one_standard_error(name),
                cv=KFold(3, shuffle=True, random_state=0),
            )
            k = search.fit(*to_entries(X)).best_params_[name]
        found.append(k)
    assert found.count(4) >= 9


class TestFoldsOfEntries:
    def expected(self, X, splits, n_components=2):
        """The protocol by hand, on dense X."""
        pairs = np.array(observed(X))
        errors = []
        for train, test in splits:
            matrix = np.full(X.shape, np.nan)
            matrix[tuple(pairs[train].T)] = X[tuple(pairs[train].T)]
            est = MaskedGaussianMixture(
                n_components, covariance_type="spherical", random_state=0
            ).fit(matrix)
            rows, columns = pairs[test].T
            errors.append(est.transform(matrix)[rows, columns] - X[rows, columns])
        return errors

    @pytest.mark.parametrize("kind", ["dense", "frame", "csr_array", "csc_matrix"])
    def test_against_a_plain_loop(self, kind):
        X = np.round(clusters(60, 5))
        given = X
        if kind == "frame":
            given = pd.DataFrame(X)
        elif kind != "dense":
            given = to_sparse(X, kind)
        est = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
        folds = KFold(5, shuffle=True, random_state=0)
        errors = self.expected(X, folds.split(observed(X)))
        scores = cross_validate_entries(est, given, scoring=["rmse", "mae"])
        assert sorted(scores) == ["fit_time", "score_time", "test_mae", "test_rmse"]
        np.testing.assert_allclose(
            scores["test_rmse"], [-np.sqrt(np.mean(e**2)) for e in errors]
        )
        np.testing.assert_allclose(
            scores["test_mae"], [-np.mean(np.abs(e)) for e in errors]
        )

    def test_folds_and_scorers(self):
        X = clusters(60, 5)
        est = MaskedGaussianMixture(2, covariance_type="spherical", random_state=0)
        folds = KFold(3)
        expected = [
            -np.sqrt(np.mean(e**2)) for e in self.expected(X, folds.split(observed(X)))
        ]
        for cv in (folds, list(folds.split(observed(X))), folds.split(observed(X))):
            scores = cross_validate_entries(est, X, cv=cv)
            np.testing.assert_allclose(scores["test_score"], expected)
        name = "neg_root_mean_squared_error"
        with parallel_config("threading"):
            scores = cross_validate_entries(est, X, cv=folds, scoring=name, n_jobs=2)
        np.testing.assert_allclose(scores["test_score"], expected)
        scoring = {
            "a": "rmse",
            "b": make_scorer(rmse, greater_is_better=False),
            "c": "log_density",
        }
        scores = cross_validate_entries(
            est, X, cv=folds, scoring=scoring, return_estimator=True
        )
        np.testing.assert_allclose(scores["test_a"], scores["test_b"])
        for fold, (_, test) in enumerate(folds.split(observed(X))):
            regressor = scores["estimator"][fold]
            rows, columns = np.array(observed(X))[test].T
            expected = true_log_density(
                regressor.estimator_, regressor.matrix_, rows, columns, X[rows, columns]
            ).mean()
            assert scores["test_c"][fold] == pytest.approx(expected)

    @pytest.mark.slow
    def test_processes(self):
        X = to_sparse(clusters(60, 5))
        pairs, values = to_entries(X)
        search = GridSearchCV(
            EntryRegressor(
                MaskedGaussianMixture(covariance_type="spherical", random_state=0),
                X.shape,
            ),
            {"estimator__n_components": [1, 2]},
            scoring=completion_scorer(),
        )
        alone, together = (
            clone(search).set_params(n_jobs=n_jobs).fit(pairs, values).cv_results_
            for n_jobs in (None, 2)
        )
        np.testing.assert_array_equal(
            together["mean_test_score"], alone["mean_test_score"]
        )
        alone, together = (
            cross_validate_entries(
                MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
                X,
                n_jobs=n_jobs,
            )
            for n_jobs in (None, 2)
        )
        np.testing.assert_array_equal(together["test_score"], alone["test_score"])

    def test_lines_of_a_table_are_the_entries_of_coo(self):
        X = to_sparse(clusters(60, 5), "coo_array")
        order = np.random.default_rng(0).permutation(X.nnz)
        users, items, ratings = X.row[order], X.col[order], X.data[order]
        table = sparse.coo_array((ratings, (users, items)), shape=X.shape)
        scores = cross_validate_entries(
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
            table,
            cv=4,
        )
        for fold, (train, test) in enumerate(
            KFold(4, shuffle=True, random_state=0).split(ratings)
        ):
            matrix = sparse.csr_array(
                (ratings[train], (users[train], items[train])), shape=X.shape
            )
            est = MaskedGaussianMixture(
                2, covariance_type="spherical", random_state=0
            ).fit(matrix)
            predicted = est.complete(matrix, entries=(users[test], items[test]))
            assert scores["test_score"][fold] == -rmse(ratings[test], predicted)

    @pytest.mark.slow
    def test_movielens(self, data_file):
        table = pd.read_csv(data_file("ml-latest-small/ratings.csv.gz"))
        users, items = (pd.factorize(table[name])[0] for name in ("userId", "movieId"))
        ratings = table["rating"].to_numpy()
        X = sparse.coo_array((ratings, (users, items)))
        est = MaskedGaussianMixture(
            2, covariance_type="factor", n_factors=5, random_state=0
        )

        def clipped(true, predicted):
            return rmse(true, np.clip(predicted, 0.5, 5))

        scores = cross_validate_entries(est, X, scoring=make_scorer(clipped))[
            "test_score"
        ]
        for fold, (train, test) in enumerate(
            KFold(5, shuffle=True, random_state=0).split(table)
        ):
            matrix = sparse.csr_array(
                (ratings[train], (users[train], items[train])), shape=X.shape
            )
            predicted = est.fit(matrix).complete(
                matrix, entries=(users[test], items[test])
            )
            assert scores[fold] == pytest.approx(clipped(ratings[test], predicted))
        assert 0.83 < scores.mean() < 0.85

    def test_other_missing_values(self):
        X = clusters(60, 5)
        marked = np.where(np.isnan(X), -1, X)
        scores = [
            cross_validate_entries(
                KMeansMixture(2, random_state=0, missing_values=missing_values), data
            )["test_score"]
            for missing_values, data in ((np.nan, X), (-1, marked))
        ]
        np.testing.assert_allclose(*scores)

    def test_pipelines_score_in_the_units_of_the_data(self):
        X = correlated(100, 4) * [1, 10, 100, 1000]
        folds = KFold(3, shuffle=True, random_state=0)
        pairs = np.array(observed(X))
        pipe = make_pipeline(
            StandardScaler(),
            MaskedGaussianMixture(2, covariance_type="full", random_state=0),
        )
        scores = cross_validate_entries(
            pipe, X, cv=folds, scoring=["rmse", "log_density"]
        )
        for fold, (train, test) in enumerate(folds.split(pairs)):
            matrix = np.full(X.shape, np.nan)
            matrix[tuple(pairs[train].T)] = X[tuple(pairs[train].T)]
            mean, std = np.nanmean(matrix, axis=0), np.nanstd(matrix, axis=0)
            est = MaskedGaussianMixture(2, covariance_type="full", random_state=0)
            scaled = (matrix - mean) / std
            rows, columns = pairs[test].T
            filled = est.fit(scaled).transform(scaled) * std + mean
            expected = rmse(X[rows, columns], filled[rows, columns])
            assert scores["test_rmse"][fold] == pytest.approx(-expected)
            true = ((X - mean) / std)[rows, columns]
            expected = true_log_density(est, scaled, rows, columns, true).mean()
            assert scores["test_log_density"][fold] == pytest.approx(expected)

    def test_sparse_pipelines_and_imputers(self):
        X = np.round(clusters(80, 5))
        pipe = make_pipeline(
            MaxAbsScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        dense, stored = (
            cross_validate_entries(pipe, given)["test_score"]
            for given in (X, to_sparse(X))
        )
        np.testing.assert_allclose(stored, dense)
        for imputer in (SimpleImputer(), KNNImputer()):
            assert (cross_validate_entries(imputer, X)["test_score"] < 0).all()


class TestEntryRegressor:
    def test_search_with_refit(self):
        X = clusters(100, 6, n_components=3, missing=0.3, spread=4)
        pairs, values = to_entries(to_sparse(X))
        search = GridSearchCV(
            EntryRegressor(
                MaskedGaussianMixture(covariance_type="spherical", random_state=0),
                X.shape,
            ),
            {"estimator__n_components": [1, 3]},
            scoring="neg_mean_absolute_error",
            cv=KFold(3, shuffle=True, random_state=0),
        ).fit(pairs, values)
        assert search.best_params_ == {"estimator__n_components": 3}
        whole = MaskedGaussianMixture(
            3, covariance_type="spherical", random_state=0
        ).fit(X)
        np.testing.assert_allclose(
            search.best_estimator_.estimator_.means_, whole.means_
        )
        missing = np.argwhere(np.isnan(X))
        np.testing.assert_allclose(
            search.predict(missing), whole.transform(X)[tuple(missing.T)]
        )

    @pytest.mark.parametrize("dense", [False, True])
    def test_predictions(self, dense):
        X = np.round(clusters(50, 4)) + 3
        pairs, values = to_entries(X)
        pipe = make_pipeline(
            MaxAbsScaler(),
            MaskedGaussianMixture(2, covariance_type="spherical", random_state=0),
        )
        regressor = EntryRegressor(pipe, X.shape, dense=dense).fit(pairs, values)
        np.testing.assert_allclose(regressor.predict(pairs), values)
        assert sparse.issparse(regressor.matrix_) != dense
        # In any order, with repetitions.
        rng = np.random.default_rng(0)
        asked = np.column_stack([rng.integers(50, size=300), rng.integers(4, size=300)])
        scale = np.nanmax(np.abs(X), axis=0)
        expected = pipe.fit(X).transform(X) * scale
        np.testing.assert_allclose(
            regressor.predict(asked), expected[asked[:, 0], asked[:, 1]]
        )

    def test_steps_are_undone_from_the_last(self):
        X = correlated(60, 3) * [1, 10, 100]
        pipe = make_pipeline(
            StandardScaler(),
            MinMaxScaler(),
            MaskedGaussianMixture(covariance_type="spherical", random_state=0),
        )
        regressor = EntryRegressor(pipe, X.shape, dense=True).fit(*to_entries(X))
        missing = np.argwhere(np.isnan(X))
        # One component completes a column by its mean, in any units.
        expected = np.nanmean(X, axis=0)[missing[:, 1]]
        np.testing.assert_allclose(regressor.predict(missing), expected)

    @pytest.mark.parametrize("dense", [False, True])
    def test_log_density_needs_entries_that_were_not_fitted(self, dense):
        X = np.array([[1.0, 2], [np.nan, 3], [4, -1]])
        pairs, values = to_entries(X, missing_values=np.nan)
        est = MaskedGaussianMixture(covariance_type="spherical", missing_values=7)
        regressor = EntryRegressor(est, X.shape, dense=dense).fit(pairs, values)
        score = completion_scorer("log_density")
        with pytest.raises(ValueError, match=r"row 0, column 1 is observed in X"):
            score(regressor, [[1, 0], [0, 1]], [2.0, 2.0])
        expected = regressor.estimator_.score_entries(
            regressor.matrix_, ([1], [0]), [2.0]
        )
        assert score(regressor, [[1, 0]], [2.0]) == expected

    def test_refusals(self):
        est = MaskedGaussianMixture(covariance_type="spherical")
        regressor = EntryRegressor(est, (3, 2))
        with pytest.raises(ValueError, match=r"shape \(m, 2\).*but got \(2, 3\)"):
            regressor.fit(np.zeros((2, 3), dtype=int), [1.0, 2])
        with pytest.raises(
            ValueError, match="columns of entries should be from 0 to 1"
        ):
            regressor.fit([[0, 0], [1, 2]], [1.0, 2])
        for dense in (False, True):
            with pytest.raises(
                ValueError, match="more than one value at row 0, column 1"
            ):
                EntryRegressor(est, (3, 2), dense=dense).fit(
                    [[0, 1], [0, 1], [1, 0]], [1.0, 2, 3]
                )
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            regressor.fit([[0, 0], [1, 1]], [1.0, 2, 3])
        pipe = make_pipeline(
            KNNImputer(), MaskedGaussianMixture(covariance_type="spherical")
        )
        regressor = EntryRegressor(pipe, (3, 2), dense=True)
        regressor.fit([[0, 0], [1, 1], [2, 1]], [1.0, 2, 3])
        with pytest.raises(ValueError, match="KNNImputer has no inverse_transform"):
            regressor.predict([[1, 0]])


class Memory(TransformerMixin, BaseEstimator):
    """Completes by the value that it once saw at the same index; else by the mean."""

    def fit(self, X, y=None):
        self.seen_ = np.array(X)
        return self

    def transform(self, X):
        unknown = np.isnan(self.seen_[: len(X)])
        self.seen_[: len(X)][unknown] = X[unknown]
        filled = np.where(np.isnan(X), self.seen_[: len(X)], X)
        return np.where(np.isnan(filled), np.nanmean(self.seen_), filled)


class TestNothingLeaks:
    """Independent noise: no estimator predicts an entry that it has not seen."""

    @pytest.fixture
    def X(self):
        X = np.random.default_rng(0).standard_normal((200, 10))
        X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
        return X

    def test_memory_remembers(self, X):
        memory = Memory().fit(X)
        hidden, (rows, columns, values) = hide_entries(X, 0.1, 0)
        assert rmse(values, memory.transform(hidden)[rows, columns]) == 0

    def test_entries(self, X):
        scores = cross_validate_entries(Memory(), X)["test_score"]
        np.testing.assert_allclose(scores, -1, atol=0.2)

    def test_rows(self, X):
        # It knows the values of the fitted rows, and all that it has transformed.
        scores = cross_val_score(Memory(), X, scoring=completion_scorer(), cv=5)
        assert (scores < -0.85).all()


class TestStepsThatMixARow:
    @staticmethod
    def center_rows(X):
        return X - np.nansum(X, axis=1, keepdims=True)

    @pytest.mark.parametrize("metric", ["rmse", "log_density"])
    def test_before_the_mixture(self, metric):
        steps = (
            FunctionTransformer(self.center_rows),
            MaskedGaussianMixture(covariance_type="spherical"),
        )
        pipe = make_pipeline(*steps).fit(clusters())
        with pytest.raises(ValueError, match=r"column 0 leaves.*another value"):
            completion_scorer(metric)(pipe, clusters(seed=1))

    def test_after_the_mixture(self):
        pipe = make_pipeline(
            MaskedGaussianMixture(covariance_type="spherical"), PCA()
        ).fit(clusters())
        with pytest.raises(ValueError, match=r"leaves the steps.*PCA do not"):
            completion_scorer()(pipe, clusters(seed=1))

    @pytest.mark.parametrize(
        ("scoring", "message"),
        [
            ("rmse", "does not bring the fitted entries back"),
            ("log_density", r"leaves the steps.*another value"),
        ],
    )
    def test_in_folds_of_entries(self, scoring, message):
        steps = (
            FunctionTransformer(self.center_rows),
            MaskedGaussianMixture(covariance_type="spherical"),
        )
        with pytest.raises(ValueError, match=message):
            cross_validate_entries(
                make_pipeline(*steps), clusters(), scoring=scoring, error_score="raise"
            )


def test_entries_that_stay_missing_are_no_prediction():
    X = to_sparse(clusters())
    with pytest.raises(
        ValueError, match=r"leaves hidden entries missing.*pass X dense"
    ):
        completion_scorer()(SimpleImputer().fit(X), X)


def test_missing_values_of_a_search_before_its_fit():
    X = clusters(60, 4)
    search = GridSearchCV(
        MaskedGaussianMixture(covariance_type="spherical", missing_values=-1),
        {"n_components": [1]},
        cv=2,
    )
    marked = np.where(np.isnan(X), -1, X)
    mixture = MaskedGaussianMixture(covariance_type="spherical")
    np.testing.assert_allclose(
        cross_validate_entries(search, marked)["test_score"],
        cross_validate_entries(mixture, X)["test_score"],
    )


@pytest.mark.parametrize(
    ("missing_values", "dtype"), [(-1, np.uint8), (0.5, int), (300, "i1")]
)
def test_hides_by_a_value_that_the_integers_do_not_hold(missing_values, dtype):
    X = np.arange(1, 13).astype(dtype).reshape(3, 4)
    hidden, (rows, columns, values) = hide_entries(
        X, 0.5, 0, missing_values=missing_values
    )
    np.testing.assert_array_equal(values, X[rows, columns])
    assert (hidden[rows, columns] == missing_values).all()
    assert (hidden == X).sum() == 12 - len(rows)


class TestOneStandardErrorOfOddSearches:
    def test_candidates_without_the_parameter(self):
        search = GridSearchCV(
            MaskedGaussianMixture(covariance_type="spherical"),
            [{"n_components": [1, 2]}, {"covariance_type": ["diag"]}],
            scoring=completion_scorer(),
            refit=one_standard_error("n_components"),
        )
        with pytest.raises(ValueError, match="do not set 'n_components'"):
            search.fit(clusters())

    def test_several_metrics(self):
        search = GridSearchCV(
            MaskedGaussianMixture(covariance_type="spherical"),
            {"n_components": [1, 2]},
            scoring={"a": completion_scorer("mae"), "b": completion_scorer()},
            refit=one_standard_error("n_components"),
        )
        with pytest.raises(ValueError, match="search with one metric"):
            search.fit(clusters())


@pytest.mark.parametrize("fraction", [0, 1.5, "some"])
def test_fraction_is_checked(fraction):
    with pytest.raises(ValueError, match=f"at most 1, but got {fraction!r}"):
        completion_scorer(fraction=fraction)
