# SPDX-License-Identifier: BSD-3-Clause
"""Ratings: errors on held-out entries, time and memory, compared with other libraries.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/ratings.py FOLDER

FOLDER may hold `ml-latest-small/ratings.csv.gz`, `jester5k/Jester5k.npz` and
`netflix_incomplete.txt.gz` (MITx 6.86x), each in five folds of entries; `ml-100k` (the
folds u1 to u5 of the literature), `ml-1m` and `ml-10M100K` (random 90/10, five and one
times). Sets that are absent are left out. Predictions are clipped to the range of the
ratings. The candidates of a grid are compared on a tenth of the training entries, and
the best one is refitted; the time covers all of these fits, whose number is told beside
it. "RMSE over factor's" uses the RMSE of "ours, factor" on the same folds, because slow
models are fitted on fewer folds. Memory is the increase in the peak memory of the
process.
"""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
from cells import (
    mark_best_in_columns,
    memory,
    parser,
    run,
    timed,
    work,
    write_table,
)
from scipy import sparse
from sklearn.model_selection import KFold, ShuffleSplit

SETS = ("ml-latest-small", "jester", "netflix", "ml-100k", "ml-1m", "ml-10m")
N_FOLDS = {"ml-10m": 1}
LIMIT = 240.0
FIELDS = (
    "rmse",
    "mae",
    "log_density",
    "coverage",
    "fit_seconds",
    "predict_seconds",
    "memory",
)

# Every setting of every model: one for all sets, or a grid searched in each fold.
OURS = {"n_components": 4, "random_state": 0}
MODELS = {
    "column mean": ("column_mean", {}),
    "damped offsets": ("offsets", {"damping": [2, 5, 10, 25]}),
    "surprise BaselineOnly": ("surprise", {"algorithm": "BaselineOnly"}),
    "surprise KNNBaseline": (
        "surprise",
        {
            "algorithm": "KNNBaseline",
            "k": 40,
            "sim_options": [
                {"name": "pearson_baseline", "user_based": based}
                for based in (True, False)
            ],
        },
    ),
    "surprise SVD, default": ("surprise", {"algorithm": "SVD", "random_state": 0}),
    "surprise SVD, tuned": (
        "surprise",
        {
            "algorithm": "SVD",
            "random_state": 0,
            "n_factors": [20, 100],
            "n_epochs": 30,
            "reg_all": [0.02, 0.05, 0.1],
        },
    ),
    "surprise SVD++": ("surprise", {"algorithm": "SVDpp", "random_state": 0}),
    "cmfrec CMF, tuned": (
        "cmfrec",
        {"k": [10, 40], "lambda_": [2, 5, 10, 20], "random_state": 0},
    ),
    "myFM, rank 10, 200 sweeps": ("myfm", {"rank": 10, "n_iter": 200}),
    "StepMix spherical": (
        "stepmix",
        {"n_components": 4, "measurement": "gaussian_spherical_nan"},
    ),
    "KNNImputer": ("knn", {"n_neighbors": [20, 80], "weights": "distance"}),
    "KMeansMixture": ("kmeans", {"n_components": 4, "random_state": 0}),
    "ours, spherical": ("ours", {**OURS, "covariance_type": "spherical"}),
    "ours, diag": ("ours", {**OURS, "covariance_type": "diag"}),
    "ours, factor": ("ours", {**OURS, "covariance_type": "factor", "n_factors": 20}),
}
OUR_MODELS = ("KMeansMixture", "ours, spherical", "ours, diag", "ours, factor")
# The number of folds for models that take long.
FEW_FOLDS = {
    ("surprise SVD++", "jester"): 1,
    ("surprise SVD++", "netflix"): 1,
    ("surprise SVD++", "ml-latest-small"): 2,
    ("surprise SVD, tuned", "jester"): 1,
    ("surprise SVD, tuned", "netflix"): 2,
    ("surprise SVD, tuned", "ml-latest-small"): 2,
    ("surprise KNNBaseline", "jester"): 1,
    ("surprise KNNBaseline", "netflix"): 1,
    ("surprise KNNBaseline", "ml-latest-small"): 2,
    ("cmfrec CMF, tuned", "jester"): 2,
    ("cmfrec CMF, tuned", "netflix"): 2,
    ("myFM, rank 10, 200 sweeps", "jester"): 3,
    ("myFM, rank 10, 200 sweeps", "netflix"): 3,
    ("StepMix spherical", "jester"): 1,
    ("StepMix spherical", "netflix"): 1,
    ("StepMix spherical", "ml-latest-small"): 1,
    ("KNNImputer", "jester"): 1,
    ("KNNImputer", "netflix"): 1,
    ("KNNImputer", "ml-latest-small"): 1,
}


def _read_delimited(path, separator, **options):
    import pandas as pd

    table = pd.read_csv(path, sep=separator, header=None, **options)
    return table.to_numpy(dtype=np.float64).T


def read(folder, name):
    """Rows, columns, values, range, and the splits (train, test) of a set."""
    if name in ("ml-latest-small", "jester", "netflix"):
        if name == "ml-latest-small":
            path = folder / "ml-latest-small/ratings.csv.gz"
            table = np.loadtxt(path, delimiter=",", skiprows=1)
            users, items, values = table[:, :3].T
            bounds = (0.5, 5)
        elif name == "jester":
            ratings = sparse.load_npz(folder / "jester5k/Jester5k.npz").tocoo()
            users, items, values = ratings.row, ratings.col, ratings.data
            bounds = (-10, 10)
        else:
            matrix = np.loadtxt(folder / "netflix_incomplete.txt.gz")
            users, items = np.nonzero(matrix)
            values = matrix[users, items]
            bounds = (1, 5)
        splits = list(KFold(5, shuffle=True, random_state=0).split(values))
    elif name == "ml-100k":
        parts = [
            _read_delimited(folder / f"ml-100k/u{fold}.{part}", "\t", usecols=[0, 1, 2])
            for fold in range(1, 6)
            for part in ("base", "test")
        ]
        bounds = (1, 5)
        users, items, values = np.hstack(parts)
        ends = np.cumsum([0, *(part.shape[1] for part in parts)])
        spans = [np.arange(*span) for span in itertools.pairwise(ends)]
        splits = list(zip(spans[::2], spans[1::2], strict=True))
    else:
        where = {"ml-1m": "ml-1m", "ml-10m": "ml-10M100K"}[name]
        # The separator is "::", so every second column of ":" is empty.
        path = folder / where / "ratings.dat"
        users, items, values = _read_delimited(path, ":", usecols=[0, 2, 4])
        bounds = (1, 5) if name == "ml-1m" else (0.5, 5)
        split = ShuffleSplit(5, test_size=0.1, random_state=0)
        splits = list(split.split(values))
    rows, columns = (np.unique(ids, return_inverse=True)[1] for ids in (users, items))
    return rows, columns, values.astype(np.float64), bounds, splits


def present(folder, name):
    """Whether a set is in the folder."""
    path = {
        "ml-latest-small": "ml-latest-small/ratings.csv.gz",
        "jester": "jester5k/Jester5k.npz",
        "netflix": "netflix_incomplete.txt.gz",
        "ml-100k": "ml-100k/u1.base",
        "ml-1m": "ml-1m/ratings.dat",
        "ml-10m": "ml-10M100K/ratings.dat",
    }[name]
    return (folder / path).exists()


def to_csr(train):
    rows, columns, values, shape, _ = train
    return sparse.csr_array((values, (rows, columns)), shape=shape)


def to_dense(train):
    rows, columns, values, shape, _ = train
    dense = np.full(shape, np.nan)
    dense[rows, columns] = values
    return dense


# Each model is a function of the training entries (rows, columns, values, shape,
# bounds) and settings. It returns a function of (rows, columns), which returns the
# predictions, or a mapping of "predicted", standard deviations "std", a function
# "log_density" of values, and "n_iter".


def column_mean(train):
    _, columns, values, shape, _ = train
    sums, counts = (
        np.bincount(columns, weights, minlength=shape[1]) for weights in (values, None)
    )
    means = np.where(counts > 0, sums / np.maximum(counts, 1), values.mean())
    return lambda rows, columns: means[columns]


def offsets(train, damping):
    """Mean, and offsets of columns and rows; damping counts as entries of offset 0."""
    rows, columns, values, shape, _ = train
    mean = values.mean()
    column_offsets, row_offsets = np.zeros(shape[1]), np.zeros(shape[0])
    for _ in range(10):
        residuals = values - mean - row_offsets[rows]
        column_offsets = np.bincount(columns, residuals, shape[1])
        column_offsets /= np.bincount(columns, minlength=shape[1]) + damping
        residuals = values - mean - column_offsets[columns]
        row_offsets = np.bincount(rows, residuals, shape[0])
        row_offsets /= np.bincount(rows, minlength=shape[0]) + damping
    return lambda rows, columns: mean + row_offsets[rows] + column_offsets[columns]


def surprise(train, algorithm, **settings):
    import pandas as pd
    import surprise as library

    rows, columns, values, _, bounds = train
    frame = pd.DataFrame({"row": rows, "column": columns, "value": values})
    reader = library.Reader(rating_scale=bounds)
    data = library.Dataset.load_from_df(frame, reader).build_full_trainset()
    if algorithm in ("KNNBaseline", "BaselineOnly"):
        settings["verbose"] = False
    fitted = getattr(library, algorithm)(**settings).fit(data)

    def predict(rows, columns):
        entries = zip(rows.tolist(), columns.tolist(), strict=True)
        return np.array([fitted.predict(*entry).est for entry in entries])

    return predict


def cmfrec(train, **settings):
    import pandas as pd
    from cmfrec import CMF

    rows, columns, values, _, _ = train
    frame = pd.DataFrame({"UserId": rows, "ItemId": columns, "Rating": values})
    fitted = CMF(nthreads=1, verbose=False, **settings).fit(frame)

    def predict(rows, columns):
        predicted = fitted.predict(rows, columns)
        return np.where(np.isnan(predicted), values.mean(), predicted)

    return predict


def myfm(train, rank, n_iter):
    from myfm import MyFMRegressor

    rows, columns, values, shape, _ = train

    def encode(rows, columns):
        n = len(rows)
        indices = np.stack([rows, shape[0] + columns], axis=1).ravel()
        ends = np.arange(0, 2 * n + 1, 2)
        return sparse.csr_matrix((np.ones(2 * n), indices, ends), (n, sum(shape)))

    fitted = MyFMRegressor(rank=rank, random_seed=0).fit(
        encode(rows, columns),
        values,
        n_iter=n_iter,
        n_kept_samples=n_iter * 9 // 10,  # the first tenth is burnt in
        group_shapes=list(shape),
    )
    return lambda rows, columns: fitted.predict(encode(rows, columns))


def stepmix(train, n_components, measurement):
    from stepmix.stepmix import StepMix

    X = to_dense(train)
    observed = ~np.isnan(X).all(axis=0)
    fitted = StepMix(
        n_components, measurement=measurement, random_state=0, progress_bar=0, n_init=1
    ).fit(X[:, observed])
    shares = fitted.predict_proba(X[:, observed])
    means = np.full((n_components, X.shape[1]), np.nanmean(X))
    means[:, observed] = fitted.get_parameters()["measurement"]["means"]
    return lambda rows, columns: np.sum(shares[rows] * means[:, columns].T, axis=1)


def knn(train, **settings):
    from sklearn.impute import KNNImputer

    imputer = KNNImputer(keep_empty_features=True, **settings)
    X = to_dense(train)
    empty = np.isnan(X).all(axis=0)
    completed = imputer.fit_transform(X)
    completed[:, empty] = np.nanmean(X)
    return lambda rows, columns: completed[rows, columns]


def kmeans(train, **settings):
    from sklearn_gmmcf import KMeansMixture

    return _predictor(train, KMeansMixture(**settings))


def ours(train, **settings):
    from sklearn_gmmcf import MaskedGaussianMixture

    return _predictor(train, MaskedGaussianMixture(**settings))


def _predictor(train, mixture):
    X = to_csr(train)
    mixture.fit(X)

    def predict(rows, columns):
        entries = (rows, columns)
        predicted, std = mixture.complete(X, entries=entries, return_std=True)
        return {
            "predicted": predicted,
            "std": std,
            "log_density": lambda v: mixture.score_entries(X, entries, v),
            "n_iter": mixture.n_iter_,
        }

    return predict


# The models of other libraries, and the packages that they need.
NEEDS = {"surprise": "surprise", "cmfrec": "cmfrec", "myfm": "myfm"}
NEEDS["stepmix"] = "stepmix"


def grid(settings):
    """All combinations of the values that are listed in settings."""
    lists = {k: v for k, v in settings.items() if isinstance(v, list)}
    for values in itertools.product(*lists.values()):
        yield {**settings, **dict(zip(lists, values, strict=True))}


def _predict(predict, entries, bounds):
    output = predict(*entries)
    output = output if isinstance(output, dict) else {"predicted": output}
    return np.clip(output["predicted"], *bounds), output


def fit(fit_model, settings, train):
    """Fit with the settings that are best on a tenth of the training entries."""
    candidates = list(grid(settings))
    chosen = candidates[0]
    if len(candidates) > 1:
        rows, columns, values, *rest = train
        inner = ShuffleSplit(1, test_size=0.1, random_state=0)
        training, held_out = next(inner.split(values))
        part = rows[training], columns[training], values[training], *rest
        entries = rows[held_out], columns[held_out]
        errors = []
        for candidate in candidates:
            predicted, _ = _predict(fit_model(part, **candidate), entries, rest[1])
            errors.append(np.mean((predicted - values[held_out]) ** 2))
        chosen = candidates[int(np.argmin(errors))]
    return fit_model(train, **chosen), chosen


def measure(folder, set, model, kind, fold, settings):
    """Work on one cell."""
    if kind in NEEDS and importlib.util.find_spec(NEEDS[kind]) is None:
        return {"failed": f"{NEEDS[kind]} is not installed"}
    rows, columns, values, bounds, splits = read(folder, set)
    training, held_out = splits[fold]
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    train = rows[training], columns[training], values[training], shape, bounds
    before = memory()
    (predict, chosen), fit_seconds = timed(fit, globals()[kind], settings, train)
    entries, truth = (rows[held_out], columns[held_out]), values[held_out]
    (predicted, output), seconds = timed(_predict, predict, entries, bounds)
    residuals = predicted - truth
    result = {
        "rmse": float(np.sqrt(np.mean(residuals**2))),
        "mae": float(np.mean(np.abs(residuals))),
        "fit_seconds": fit_seconds,
        "predict_seconds": seconds,
        "memory": memory() - before,
        "chosen": chosen,
    }
    if "std" in output:
        inside = np.abs(output["predicted"] - truth) < 1.6449 * output["std"]
        result["coverage"] = float(inside.mean())
        result["log_density"] = float(output["log_density"](truth).mean())
        result["n_iter"] = output["n_iter"]
    return result


def cells(name):
    """The cells of one set."""
    for model, (kind, settings) in MODELS.items():
        n_folds = N_FOLDS.get(name, 5)
        for fold in range(FEW_FOLDS.get((model, name), n_folds)):
            yield {
                "set": name,
                "model": model,
                "kind": kind,
                "fold": fold,
                "settings": settings,
            }


def _mean(results, name, form):
    values = [result[name] for result in results if name in result]
    return format(np.mean(values), form) if values else ""


def n_fits(settings):
    """How often a cell fits: once for each candidate of a grid, and for the best."""
    n_candidates = len(list(grid(settings)))
    return n_candidates + (n_candidates > 1)


def tabulate(name, results, options):
    """The tables of one set: errors, and times and memory, ours first."""
    by_model = {}
    for cell, result in results:
        by_model.setdefault(cell["model"], {})[cell["fold"]] = result
    factor = by_model.get("ours, factor", {})
    errors, costs = [], []
    for model in sorted(by_model, key=lambda model: _rank(model, by_model[model])):
        good = {f: r for f, r in by_model[model].items() if "failed" not in r}
        if not good:
            failure = next(iter(by_model[model].values()))["failed"]
            errors.append([model, failure, *[""] * 5])
            costs.append([model, failure, *[""] * 4])
            continue
        reference = [factor.get(fold, {}).get("rmse") for fold in good]
        good = list(good.values())
        ratio = ""
        if None not in reference:
            ratio = np.mean([r["rmse"] for r in good]) / np.mean(reference)
            ratio = format(ratio, ".3f")
        errors.append(
            [
                model,
                _mean(good, "rmse", ".4f"),
                ratio,
                _mean(good, "mae", ".4f"),
                _mean(good, "log_density", ".3f"),
                _mean(good, "coverage", ".1%"),
                len(good),
            ]
        )
        costs.append(
            [
                model,
                _mean(good, "fit_seconds", ".2f"),
                n_fits(MODELS[model][1]),
                _mean(good, "predict_seconds", ".2f"),
                _mean(good, "memory", ".0f"),
                len(good),
            ]
        )
    header = [
        "model", "RMSE", "RMSE over factor's", "MAE", "log-density",
        "in 90 % intervals", "folds",
    ]  # fmt: skip
    errors = mark_best_in_columns(errors, {1: min, 2: min, 3: min, 4: max})
    write_table(f"ratings-{name}", f"{name}: errors", header, errors, options)
    header = [
        "model", "seconds, with its grid", "fits in this time",
        "seconds to predict", "memory (MiB)", "folds",
    ]  # fmt: skip
    title = f"{name}: time and memory of one fold"
    write_table(f"ratings-{name}-cost", title, header, costs, options)


def _rank(model, by_fold):
    """Ours first, each group by its error, failures last."""
    errors = [result["rmse"] for result in by_fold.values() if "rmse" in result]
    return model not in OUR_MODELS, np.mean(errors) if errors else np.inf


def main():
    command = parser(__doc__)
    command.add_argument("folder", type=Path, nargs="?")
    options = command.parse_args()
    if not (options.folder or options.report):
        command.error("FOLDER is needed, unless --report is given")
    if options.cell:
        work(options.cell, lambda **cell: measure(options.folder, **cell))
        return
    for name in SETS:
        if not (options.report or present(options.folder, name)):
            continue
        results = run(
            f"ratings-{name}",
            __file__,
            list(cells(name)),
            options,
            FIELDS,
            varying=("fold",),
            arguments=[options.folder],
            limits=lambda cell: LIMIT,
        )
        if results:
            tabulate(name, results, options)


if __name__ == "__main__":
    main()
