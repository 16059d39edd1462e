# SPDX-License-Identifier: BSD-3-Clause
"""Choosing K: how often the true number of components is found.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/choosing_k.py [FOLDER]

Ratings by four types of users, 70 % of them missing (`make_ratings`, 500 x 60), and a
table of three Gaussians in eight columns, 400 rows, 30 % of the entries missing. Ten
draws of each, K from 1 to 8, three starts. "Complete" marks fits of scikit-learn and
StepMix to the same data without missing entries. FOLDER, which holds `ml-latest-small`,
adds one question: does the choice by hidden entries hold for users that the search did
not use?

A second table compares `select_mixture` with `GridSearchCV` on the same candidates,
from the same three starts each, on known tables. If FOLDER holds `toy_data.txt` (the
toy of the MITx course 6.86x), it is one of them. A third table counts the components
that the BIC of 'full' finds on wine by both of its sample sizes.
"""

import importlib.util
from pathlib import Path

import numpy as np
from cells import parser, read_results, run, timed, work, write_table

LIMIT = 400.0
KS = range(1, 9)
N_STARTS = 3
# Near the variance of rounding in iris, so that no component of equal rows wins.
MIN_VARIANCE = 1e-3
TRUE = {"ratings": 4, "table": 3}
KINDS = ("full", "tied", "diag")
TABLES = (
    "iris",
    "iris, 30 % missing",
    "wine",
    "wine, 30 % missing",
    "ratings",
    "toy",
)
SEARCHES = {"select_mixture": "select_mixture", "GridSearchCV": "grid_search"}
# Minus the BIC that mclust reports: its vignette, and Scrucca et al. (2016), The R
# Journal 8(1), 289-317. Its VVV is 'full'; it has no counterpart of VEV and VVE here.
PUBLISHED = {"iris": "VEV, 2: 561.7; VVV, 2: 574.0", "wine": "VVE, 3: 6849.4"}
METHODS = {
    "ours, BIC": "bic",
    "ours, ICL": "icl",
    "ours, hidden entries of new rows": "rows",
    "ours, hidden entries": "entries",
    "StepMix, BIC": "stepmix",
    "scikit-learn, BIC, complete": "sklearn",
    "StepMix, BIC, complete": "stepmix_complete",
}


def make(name, seed):
    """Data with missing entries, the same data complete, and their covariance type."""
    if name == "ratings":
        from sklearn_gmmcf.datasets import make_ratings

        made = make_ratings(
            500, 60, n_types=4, n_factors=0, density=0.3, random_state=seed
        )
        X = made.data.tocoo()
        incomplete = np.full(X.shape, np.nan)
        incomplete[X.row, X.col] = X.data
        full = make_ratings(
            500, 60, n_types=4, n_factors=0, density=1.0, random_state=seed
        ).data.toarray()
        return incomplete, full, "spherical"
    rng = np.random.default_rng(seed)
    means = 1.5 * rng.standard_normal((3, 8))
    full = means[rng.integers(3, size=400)] + rng.standard_normal((400, 8))
    return np.where(rng.random(full.shape) < 0.3, np.nan, full), full, "diag"


def _lowest(fit, criterion):
    """The K with the lowest criterion, each K with its best start."""
    values = [min(criterion(fit(K, seed)) for seed in range(N_STARTS)) for K in KS]
    return KS[int(np.argmin(values))]


def ours(X, kind, method):
    from sklearn.model_selection import GridSearchCV, KFold

    from sklearn_gmmcf import MaskedGaussianMixture
    from sklearn_gmmcf.model_selection import (
        EntryRegressor,
        completion_scorer,
        one_standard_error,
        to_entries,
    )

    def fit(K, seed):
        mixture = MaskedGaussianMixture(K, covariance_type=kind, random_state=seed)
        return mixture.fit(X)

    if method in ("bic", "icl"):
        return _lowest(fit, lambda mixture: getattr(mixture, method)(X))
    mixture = MaskedGaussianMixture(
        covariance_type=kind, n_init=N_STARTS, random_state=0
    )
    if method == "rows":
        search = GridSearchCV(
            mixture,
            {"n_components": KS},
            scoring=completion_scorer("log_density"),
            refit=one_standard_error("n_components"),
        )
        return search.fit(X).best_params_["n_components"]
    name = "estimator__n_components"
    search = GridSearchCV(
        EntryRegressor(mixture, X.shape),
        {name: KS},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_mean_squared_error",
        refit=one_standard_error(name),
    )
    return search.fit(*to_entries(X)).best_params_[name]


def stepmix(X, kind, suffix):
    from stepmix.stepmix import StepMix

    def fit(K, seed):
        measurement = f"gaussian_{kind}{suffix}"
        return StepMix(
            K, measurement=measurement, random_state=seed, progress_bar=0
        ).fit(X)

    return _lowest(fit, lambda mixture: mixture.bic(X))


def measure(data, seed, method, folder=None):
    """Work on one cell."""
    if method.startswith("stepmix") and importlib.util.find_spec("stepmix") is None:
        return {"failed": "stepmix is not installed"}
    if data == "ml-latest-small":
        return new_users(Path(folder))
    incomplete, full, kind = make(data, seed)
    if method == "stepmix":
        chosen, seconds = timed(stepmix, incomplete, kind, "_nan")
    elif method == "stepmix_complete":
        chosen, seconds = timed(stepmix, full, kind, "")
    elif method == "sklearn":
        from sklearn.mixture import GaussianMixture

        def fit(K, seed):
            return GaussianMixture(K, covariance_type=kind, random_state=seed).fit(full)

        chosen, seconds = timed(_lowest, fit, lambda mixture: mixture.bic(full))
    else:
        chosen, seconds = timed(ours, incomplete, kind, method)
    return {"chosen": int(chosen), "seconds": seconds}


def dispatch(cell, folder):
    """Work on one cell of any of the tables."""
    if "sizes" in cell:
        return sizes(cell["sizes"], cell["seed"])
    if "search" in cell:
        return select(cell["search"], cell["seed"], cell["method"], folder)
    return measure(**cell, folder=folder)


def new_users(folder):
    """A search among 36 mixtures by hidden entries, tested on a fifth of the users."""
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    from sklearn_gmmcf import MaskedGaussianMixture
    from sklearn_gmmcf.datasets import load_movielens
    from sklearn_gmmcf.model_selection import completion_scorer

    X = load_movielens(folder / "ml-latest-small").data
    split = ShuffleSplit(1, test_size=0.2, random_state=0).split(X)
    train, test = (X[rows] for rows in next(split))
    grid = {
        "n_components": [1, 2, 4, 8],
        "covariance_type": ["spherical", "diag", "factor"],
        "random_state": range(3),
    }
    search = GridSearchCV(
        MaskedGaussianMixture(covariance_type="spherical"),
        grid,
        scoring=completion_scorer("rmse"),
    ).fit(train)
    # All mixtures are scored on the same hidden entries, which the search did not use.
    score = completion_scorer("rmse", random_state=1)
    errors = [
        -score(clone(search.estimator).set_params(**candidate).fit(train), test)
        for candidate in search.cv_results_["params"]
    ]
    return {
        "chosen": str(search.best_params_),
        "rmse": errors[search.best_index_],
        "best": min(errors),
    }


def read(name, seed, folder):
    """A table, and the covariance types to try on it."""
    from sklearn import datasets

    from sklearn_gmmcf.datasets import make_ratings

    if name == "toy":
        return np.loadtxt(Path(folder) / "toy_data.txt"), ("spherical", *KINDS)
    if name == "ratings":
        made = make_ratings(
            500, 60, n_types=4, n_factors=0, density=0.3, random_state=seed
        )
        return made.data, ("spherical", "diag")
    table, _, missing = name.partition(", ")
    X = getattr(datasets, f"load_{table}")().data
    if missing:
        hidden = np.random.default_rng(seed).random(X.shape) < 0.3
        X = np.where(hidden, np.nan, X)
    return X, KINDS


def select(data, seed, method, folder):
    """The choice of one search, its BIC and its time."""
    X, kinds = read(data, seed, folder)
    chosen, seconds = timed(globals()[f"by_{method}"], X, kinds, seed)
    return {**chosen, "seconds": seconds}


def by_select_mixture(X, kinds, seed):
    from sklearn_gmmcf import MaskedGaussianMixture
    from sklearn_gmmcf.model_selection import select_mixture

    found = select_mixture(
        X,
        estimator=MaskedGaussianMixture(min_variance=MIN_VARIANCE),
        n_components=range(1, 10),
        covariance_type=kinds,
        n_init=N_STARTS,
        random_state=seed,
    )
    return _describe(found.best_params_, found.best_estimator_.bic(X))


def by_grid_search(X, kinds, seed):
    from sklearn.model_selection import GridSearchCV

    from sklearn_gmmcf import MaskedGaussianMixture
    from sklearn_gmmcf.model_selection import all_rows, bic_scorer

    seeds = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=N_STARTS)
    # The starts of select_mixture.
    grid = [
        {
            "covariance_type": kinds,
            "n_components": range(1, 10),
            "init_params": [("kmeans", "whitened")[number % 2]],
            "random_state": [seed],
        }
        for number, seed in enumerate(seeds.tolist())
    ]
    search = GridSearchCV(
        MaskedGaussianMixture(n_init=1, min_variance=MIN_VARIANCE),
        grid,
        scoring=bic_scorer,
        cv=all_rows(),
    ).fit(X)
    return _describe(search.best_params_, -search.best_score_)


def _describe(params, bic):
    kind, size = params["covariance_type"], int(params["n_components"])
    return {"chosen": f"{kind}, {size}", "bic": float(bic)}


def sizes(data, seed):
    """K of 'full' by the BIC with each sample size, all candidates to convergence."""
    from sklearn_gmmcf.model_selection import select_mixture

    X, _ = read(data, seed, None)
    found = {}
    for name in ("rows", "entries"):
        selected = select_mixture(
            X,
            n_components=range(1, 5),
            covariance_type="full",
            sample_size=name,
            n_init=N_STARTS,
            exhaustive=True,
            random_state=seed,
        )
        found[name] = selected.best_params_["n_components"]
        values = selected.table["bic"]
        sizes = selected.table["n_components"]
        best = [values[sizes == K].min() for K in (1, 2, 3)]
        found[f"{name}_2"], found[f"{name}_3"] = best[1] - best[0], best[2] - best[0]
    return found


def selection_cells(folder):
    for data in TABLES:
        if data == "toy" and not (folder and (folder / "toy_data.txt").exists()):
            continue
        for method in SEARCHES.values():
            for seed in range(3):
                yield {"search": data, "seed": seed, "method": method}


def size_cells():
    for data in ("wine", "wine, 30 % missing"):
        for seed in range(5):
            yield {"sizes": data, "seed": seed}


def tabulate_selection(results, options):
    """What both searches chose, and what it took."""
    rows = []
    for data in TABLES:
        for label, method in SEARCHES.items():
            found = [
                result
                for cell, result in results
                if (cell["search"], cell["method"]) == (data, method)
                and "failed" not in result
            ]
            if not found:
                continue
            rows.append(
                [
                    data,
                    label,
                    " / ".join(dict.fromkeys(result["chosen"] for result in found)),
                    " / ".join(
                        dict.fromkeys(f"{result['bic']:.1f}" for result in found)
                    ),
                    f"{np.mean([result['seconds'] for result in found]):.1f}",
                    PUBLISHED.get(data, "") if method == "select_mixture" else "",
                ]
            )
    header = ["data", "search", "chosen", "BIC", "seconds", "mclust"]
    title = "Covariance type and K by BIC, from three seeds"
    write_table("select-mixture", title, header, rows, options)


def tabulate_sizes(results, options):
    """How often 'full' finds each K on wine, by both sample sizes."""
    rows = []
    for data in ("wine", "wine, 30 % missing"):
        found = [result for cell, result in results if cell["sizes"] == data]
        for name in ("rows", "entries"):
            good = [result for result in found if name in result]
            if good:
                gains = [
                    np.mean([result[f"{name}_{K}"] for result in good]) for K in (2, 3)
                ]
                chosen = ", ".join(str(result[name]) for result in good)
                texts = [f"{gain:+.0f}" for gain in gains]
                rows.append([data, f'sample_size="{name}"', chosen, *texts])
    header = ["data", "", "K of five draws", "BIC of K=2 less K=1", "of K=3 less K=1"]
    write_table("sample-size", "K of 'full' on wine by BIC", header, rows, options)


def cells():
    for data in TRUE:
        for method in METHODS.values():
            for seed in range(10):
                yield {"data": data, "seed": seed, "method": method}


def main():
    command = parser(__doc__)
    command.add_argument("folder", type=Path, nargs="?")
    options = command.parse_args()
    if options.cell:
        folder = options.folder
        work(options.cell, lambda **cell: dispatch(cell, folder))
        return
    results = run(
        "choosing-k",
        __file__,
        list(cells()),
        options,
        ("chosen", "seconds"),
        varying=("seed",),
        limits=lambda cell: LIMIT,
    )
    if options.folder:
        run(
            "choosing-k-new-users",
            __file__,
            [{"data": "ml-latest-small", "seed": 0, "method": "new users"}],
            options,
            ("chosen", "rmse", "best"),
            arguments=[options.folder],
            limits=lambda cell: LIMIT,
        )
    results += read_results("choosing-k-new-users", options)
    selections = run(
        "select-mixture",
        __file__,
        list(selection_cells(options.folder)),
        options,
        ("chosen", "bic", "seconds"),
        varying=("seed",),
        arguments=[options.folder] if options.folder else [],
        limits=lambda cell: LIMIT,
    )
    tabulate_selection(selections, options)
    counted = run(
        "sample-size",
        __file__,
        list(size_cells()),
        options,
        ("rows", "entries", "rows_2", "rows_3", "entries_2", "entries_3"),
        varying=("seed",),
        limits=lambda cell: LIMIT,
    )
    tabulate_sizes(counted, options)
    rows = []
    for data, true in TRUE.items():
        for label, method in METHODS.items():
            finished = [
                result
                for cell, result in results
                if (cell["data"], cell["method"]) == (data, method)
            ]
            good = [result for result in finished if "failed" not in result]
            if not good:
                if finished:
                    rows.append([data, label, finished[0]["failed"], "", ""])
                continue
            chosen = [result["chosen"] for result in good]
            rows.append(
                [
                    f"{data}, K={true}",
                    label,
                    f"{chosen.count(true)} of {len(chosen)}",
                    f"{min(chosen)} to {max(chosen)}",
                    f"{np.mean([result['seconds'] for result in good]):.1f}",
                ]
            )
    for cell, result in results:
        if cell["data"] == "ml-latest-small" and "rmse" in result:
            above = result["rmse"] - result["best"]
            text = f"RMSE {result['rmse']:.4f}, {above:.4f} above the lowest"
            rows.append([cell["data"], "search over rows, new users", text, "", ""])
    header = ["data", "by", "true K", "chosen", "seconds"]
    write_table("choosing-k", "How often the true K is found", header, rows, options)


if __name__ == "__main__":
    main()
