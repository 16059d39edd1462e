"""Choosing K: how often the true number of components is found.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/choosing_k.py [FOLDER]

Ratings by four types of users, 70 % of them missing (`make_ratings`, 500 x 60), and a
table of three Gaussians in eight columns, 400 rows, 30 % of the entries missing. Ten
draws of each, K from 1 to 8, three starts. "Complete" marks fits of scikit-learn and
StepMix to the same data without missing entries. FOLDER, which holds `ml-latest-small`,
adds one question: does the choice by hidden entries hold for users that the search did
not use?
"""

import importlib.util
from pathlib import Path

import numpy as np
from cells import parser, read_results, run, timed, work, write_table

LIMIT = 400.0
KS = range(1, 9)
N_STARTS = 3
TRUE = {"ratings": 4, "table": 3}
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
        work(options.cell, lambda **cell: measure(**cell, folder=folder))
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
