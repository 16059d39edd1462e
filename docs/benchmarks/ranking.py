# SPDX-License-Identifier: BSD-3-Clause
"""Lists of ten films, measured on later ratings, compared with other libraries.

    pip install -e ".[benchmarks]" implicit lenskit
    python docs/benchmarks/ranking.py FOLDER

FOLDER, or the folder that SKLEARN_GMMCF_DATA names, holds `ml-latest-small`. The test
part is the last fifth of each user's ratings, or, in the global split, all ratings from
one moment on; films rated 4 or more there are relevant, and users without such films,
or without a rating in the training part, do not count. Rated films are not recommended
again. Settings of a grid are compared on a validation part that is split from the
training part in the same way; then the best one is fitted to the whole training part,
and measured on the test part once. The time is of that fit and its lists.
"""

import importlib.util
import itertools
import os
from pathlib import Path

import numpy as np
from cells import mark_best_in_columns, parser, run, timed, work, write_table
from scipy import sparse

from sklearn_gmmcf import metrics

SPLITS = ("per user", "global")
LIMIT = 900.0
N_ITEMS, LIKED = 10, 4.0
FIELDS = ("ndcg", "precision", "recall", "coverage", "novelty", "seconds")
OURS = {"n_components": 4, "n_factors": 20}

# Every setting of every model; lists are grids.
MODELS = {
    "random": ("baseline", {"name": "RandomRecommender", "random_state": 0}),
    "damped mean": ("baseline", {"name": "DampedMeanRecommender"}),
    "popularity": ("baseline", {"name": "PopularityRecommender"}),
    "surprise SVD": (
        "surprise_svd",
        {"n_factors": [20, 100], "n_epochs": 20, "reg_all": [0.02, 0.1]},
    ),
    "EASE on ratings observed": (
        "ease",
        {"liked": False, "ridge": [50, 100, 200, 400]},
    ),
    "EASE on ratings of 4 or more": (
        "ease",
        {"liked": True, "ridge": [50, 100, 200, 400]},
    ),
    "implicit ALS": (
        "implicit_als",
        {"factors": [16, 32, 64], "alpha": [1.0, 5.0], "regularization": [0.1, 10.0]},
    ),
    "cmfrec CMF_implicit": (
        "cmfrec_implicit",
        {"k": [16, 32, 64], "lambda_": [1.0, 10.0]},
    ),
    "LensKit ItemKNN": ("lenskit_knn", {"max_nbrs": [20, 50]}),
    "LensKit ImplicitMF": (
        "lenskit_mf",
        {"embedding_size": [16, 32, 64], "regularization": [0.1, 1.0]},
    ),
    "ours, factor, by value": ("ours", {**OURS, "rank_by": "value"}),
    "ours, factor, by lower": ("ours", {**OURS, "rank_by": "lower"}),
    "ours, factor, by utility": ("ours", {**OURS, "rank_by": "utility"}),
}
# The models of other libraries, and the packages that they need.
NEEDS = {
    "surprise_svd": "surprise",
    "implicit_als": "implicit",
    "cmfrec_implicit": "cmfrec",
    "lenskit_knn": "lenskit",
    "lenskit_mf": "lenskit",
}


def read(folder, split):
    """Training, fitting and validation parts and the test part, users by films."""
    import pandas as pd

    from sklearn_gmmcf.model_selection import split_by_time

    table = pd.read_csv(Path(folder, "ml-latest-small/ratings.csv.gz"))
    users, rows = np.unique(table["userId"], return_inverse=True)
    films, columns = np.unique(table["movieId"], return_inverse=True)
    table = table.assign(row=rows, column=columns)
    options = {"user": "userId", "per_user": split == "per user"}
    training, test = split_by_time(table, "timestamp", **options)
    fitting, validation = split_by_time(training, "timestamp", **options)

    def build(part):
        entries = part["row"], part["column"]
        values = part["rating"].to_numpy(dtype=np.float64)
        return sparse.csr_array((values, entries), shape=(len(users), len(films)))

    return tuple(build(part) for part in (training, fitting, validation, test))


def take_best(scores, X):
    """Lists of the highest scores (n, d), without the entries of X."""
    scores = np.array(scores, dtype=np.float64)
    scores[X.nonzero()] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :N_ITEMS]


# Each model is a function of the training part and settings, and returns lists (n, 10).


def baseline(X, name, **settings):
    from sklearn_gmmcf import baselines

    return getattr(baselines, name)(**settings).fit(X).recommend(X, N_ITEMS)[0]


def ours(X, rank_by, **settings):
    from sklearn_gmmcf import MaskedGaussianMixture

    mixture = MaskedGaussianMixture(covariance_type="factor", **settings).fit(X)
    return mixture.recommend(X, N_ITEMS, rank_by=rank_by)[0]


def ease(X, liked, ridge):
    """Steck (2019): a ridge regression of each film on all others.

    With fewer users than films the inverse of the Gram matrix comes from an inverse of
    their order (Woodbury's identity).
    """
    chosen = (X.toarray() >= LIKED if liked else X.toarray() > 0).astype(np.float64)
    kernel = chosen @ chosen.T
    solved = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), chosen)
    diagonal = 1 - np.einsum("ij,ij->j", chosen, solved)  # of ridge times the inverse
    scores = chosen - (chosen - kernel @ solved) / diagonal
    return take_best(scores.round(12), X)


def surprise_svd(X, **settings):
    import pandas as pd
    import surprise

    coo = X.tocoo()
    frame = pd.DataFrame({"row": coo.row, "column": coo.col, "value": coo.data})
    reader = surprise.Reader(rating_scale=(0.5, 5))
    data = surprise.Dataset.load_from_df(frame, reader).build_full_trainset()
    fitted = surprise.SVD(random_state=0, **settings).fit(data)
    rows = [data.to_raw_uid(i) for i in range(data.n_users)]
    columns = [data.to_raw_iid(j) for j in range(data.n_items)]
    scores = np.full(X.shape, -np.inf)
    predicted = fitted.bu[:, None] + fitted.bi + fitted.pu @ fitted.qi.T
    scores[np.ix_(rows, columns)] = predicted
    return take_best(scores, X)


def implicit_als(X, **settings):
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(num_threads=1, random_state=0, **settings)
    counts = sparse.csr_matrix(X, dtype=np.float32)
    model.fit(counts, show_progress=False)
    return model.recommend(np.arange(X.shape[0]), counts, N=N_ITEMS)[0]


def cmfrec_implicit(X, **settings):
    from cmfrec import CMF_implicit

    model = CMF_implicit(nthreads=1, verbose=False, random_state=0, **settings)
    model.fit(sparse.coo_matrix(X))
    return take_best(model.A_ @ model.B_.T, X)


def lenskit_knn(X, **settings):
    from lenskit.knn import ItemKNNScorer

    return _recommend_by_lenskit(X, ItemKNNScorer(feedback="implicit", **settings))


def lenskit_mf(X, **settings):
    from lenskit.als import ImplicitMFScorer

    return _recommend_by_lenskit(X, ImplicitMFScorer(**settings))


def _recommend_by_lenskit(X, scorer):
    import pandas as pd
    from lenskit.batch import recommend
    from lenskit.data import from_interactions_df
    from lenskit.pipeline import topn_pipeline

    coo = X.tocoo()
    frame = pd.DataFrame({"user_id": coo.row, "item_id": coo.col, "rating": coo.data})
    pipeline = topn_pipeline(scorer, n=N_ITEMS)
    pipeline.train(from_interactions_df(frame))
    users = np.unique(coo.row)
    lists = recommend(pipeline, users, n=N_ITEMS, n_jobs=1)
    items = np.full((X.shape[0], N_ITEMS), -1)
    for key, found in lists.items():
        ids = found.ids()
        items[key.user_id, : len(ids)] = ids
    return items


def grid(settings):
    """All combinations of the values that are listed in settings."""
    lists = {k: v for k, v in settings.items() if isinstance(v, list)}
    for values in itertools.product(*lists.values()):
        yield {**settings, **dict(zip(lists, values, strict=True))}


def judge(items, X, test):
    """Metrics over the users with a training rating and a relevant film."""
    users = np.diff(X.indptr) > 0
    items, relevance = np.asarray(items)[users], test[users]
    options = {"k": N_ITEMS, "threshold": LIKED}
    relevant = np.asarray((relevance >= LIKED).sum(axis=1)).ravel() > 0
    return {
        "ndcg": metrics.ndcg_at_k(items, relevance, **options),
        "precision": metrics.precision_at_k(items, relevance, **options),
        "recall": metrics.recall_at_k(items, relevance, **options),
        "coverage": metrics.coverage(items[relevant], X.shape[1], N_ITEMS),
        "novelty": metrics.novelty(items[relevant], X, N_ITEMS),
    }


def measure(folder, split, model, kind, settings):
    """Work on one cell."""
    if kind in NEEDS and importlib.util.find_spec(NEEDS[kind]) is None:
        return {"failed": f"{NEEDS[kind]} is not installed"}
    recommend = globals()[kind]
    training, fitting, validation, test = read(folder, split)
    candidates = list(grid(settings))
    chosen = candidates[0]
    if len(candidates) > 1:
        scores = [
            judge(recommend(fitting, **candidate), fitting, validation)["ndcg"]
            for candidate in candidates
        ]
        chosen = candidates[int(np.argmax(scores))]
    items, seconds = timed(recommend, training, **chosen)
    return judge(items, training, test) | {"seconds": seconds, "chosen": chosen}


def cells():
    return [
        {"split": split, "model": model, "kind": kind, "settings": settings}
        for split in SPLITS
        for model, (kind, settings) in MODELS.items()
    ]


def tabulate(results, options):
    """A table for each split, ours first."""
    for split in SPLITS:
        found = {c["model"]: r for c, r in results if c["split"] == split}
        rows = []
        for model in sorted(found, key=lambda model: _rank(model, found[model])):
            result = found[model]
            if "failed" in result:
                rows.append([model, result["failed"], *[""] * 6])
                continue
            accuracy = [f"{result[name]:.4f}" for name in FIELDS[:3]]
            others = f"{result['coverage']:.3f}", f"{result['novelty']:.2f}"
            n_candidates = len(list(grid(MODELS[model][1])))
            seconds = f"{result['seconds']:.1f}"
            rows.append([model, *accuracy, *others, seconds, n_candidates])
        if not rows:
            continue
        header = [
            "model", "NDCG", "precision", "recall", "coverage", "novelty",
            "seconds of one fit and its lists", "settings compared before",
        ]  # fmt: skip
        write_table(
            f"ranking-{split.replace(' ', '-')}",
            f"Lists of ten, ml-latest-small, {split} split by time",
            header,
            mark_best_in_columns(rows, dict.fromkeys((1, 2, 3), max)),
            options,
        )


def _rank(model, result):
    """Ours first, each group by its NDCG."""
    return not model.startswith("ours"), -result.get("ndcg", -np.inf)


def main():
    options = parser(__doc__)
    folder = os.environ.get("SKLEARN_GMMCF_DATA", ".")
    options.add_argument("folder", type=Path, nargs="?", default=Path(folder))
    options = options.parse_args()
    if options.cell:
        work(options.cell, lambda **cell: measure(options.folder, **cell))
        return
    results = run(
        "ranking",
        __file__,
        cells(),
        options,
        FIELDS,
        varying=("split",),
        arguments=[options.folder],
        limits=lambda cell: LIMIT,
    )
    tabulate(results, options)


if __name__ == "__main__":
    main()
