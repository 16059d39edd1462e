"""Tables: errors on hidden entries, time, and the score of a downstream model.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/tables.py

The tables that scikit-learn ships, with 10, 30 and 50 % of their entries hidden,
completely at random or by value (the probability grows with the entry's rank in its
column). Columns are standardized by their observed entries; errors are in standard
deviations of the complete column. A model has one setting for all cells. A cell is the
mean over draws of the hidden entries: three, or one for the two larger tables.
"""

import importlib.util
import itertools

import numpy as np
from cells import memory, parser, run, timed, work, write_table
from sklearn import datasets
from sklearn.preprocessing import scale

TABLES = ("linnerud", "iris", "wine", "diabetes", "breast_cancer", "digits")
SHARES = (0.1, 0.3, 0.5)
WAYS = ("at random", "by value")
LIMIT = 200.0
FIELDS = ("rmse", "downstream", "seconds")
MARGIN = 1.02

MODELS = {
    "mean": ("mean", {}),
    "KNNImputer": ("knn", {"n_neighbors": 10, "weights": "distance"}),
    "KNNImputer, default": ("knn", {}),
    "IterativeImputer": ("iterative", {"max_iter": 20}),
    "IterativeImputer, extra trees": (
        "extra_trees",
        {"n_estimators": 30, "max_iter": 5},
    ),
    # The defaults of scikit-learn: 100 trees, at most 10 rounds.
    "IterativeImputer, random forests": (
        "random_forests",
        {"n_estimators": 100, "max_iter": 10},
    ),
    "StepMix": ("stepmix", {"n_components": 6, "measurement": "gaussian_diag_nan"}),
    "ours, spherical": ("ours", {"n_components": 6, "covariance_type": "spherical"}),
    "ours, diag": ("ours", {"n_components": 6, "covariance_type": "diag"}),
    "ours, tied": ("ours", {"n_components": 6, "covariance_type": "tied"}),
    "ours, factor": ("ours", {"n_components": 4, "covariance_type": "factor"}),
    "ours, full with priors": (
        "ours",
        {
            "n_components": 6,
            "covariance_type": "full",
            "covariance_precision_prior": 100.0,
            "mean_precision_prior": 3.0,
            "tol": 1e-2,
        },
    ),
}
OURS = [model for model in MODELS if model.startswith("ours")]
FORESTS = ("IterativeImputer, extra trees", "IterativeImputer, random forests")


def read(name):
    """A standardized table without constant columns, and its target."""
    loaded = getattr(datasets, f"load_{name}")()
    table = np.asarray(loaded.data, dtype=np.float64)
    return scale(table[:, table.std(axis=0) > 0]), loaded.target


def hide(table, share, way, draw):
    """Mask of the hidden entries; each column keeps at least two observed ones."""
    rng = np.random.default_rng(draw)
    n = len(table)
    if way == "at random":
        hidden = rng.random(table.shape) < share
    else:
        jitter = 1e-9 * rng.standard_normal(table.shape)
        ranks = np.argsort(np.argsort(table + jitter, axis=0), axis=0)
        hidden = rng.random(table.shape) < np.minimum(2 * share * (ranks + 0.5) / n, 1)
    hidden[:, (~hidden).sum(axis=0) < 2] = False
    return hidden


def mean():
    from sklearn.impute import SimpleImputer

    return SimpleImputer()


def knn(**settings):
    from sklearn.impute import KNNImputer

    return KNNImputer(**settings)


def iterative(estimator=None, **settings):
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(estimator, random_state=0, **settings)


def extra_trees(n_estimators, **settings):
    from sklearn.ensemble import ExtraTreesRegressor

    return iterative(ExtraTreesRegressor(n_estimators, random_state=0), **settings)


def random_forests(n_estimators, **settings):
    from sklearn.ensemble import RandomForestRegressor

    return iterative(RandomForestRegressor(n_estimators, random_state=0), **settings)


class stepmix:
    """StepMix; a missing entry becomes its mean over the components of the row."""

    def __init__(self, **settings):
        self.settings = settings

    def fit_transform(self, X):
        from stepmix.stepmix import StepMix

        fitted = StepMix(random_state=0, progress_bar=0, **self.settings).fit(X)
        means = fitted.get_parameters()["measurement"]["means"]
        return np.where(np.isnan(X), fitted.predict_proba(X) @ means, X)


def ours(**settings):
    from sklearn_gmmcf import MaskedGaussianMixture

    return MaskedGaussianMixture(random_state=0, **settings)


def downstream(completed, target):
    """Accuracy or R2 of a linear model, in five folds of the completed rows."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import KFold, cross_val_score

    classes = np.issubdtype(target.dtype, np.integer)
    model = LogisticRegression(max_iter=1000) if classes else Ridge()
    folds = KFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, completed, target, cv=folds).mean())


def measure(table, share, way, draws, model, kind, settings):
    """Work on one cell."""
    if kind == "stepmix" and importlib.util.find_spec("stepmix") is None:
        return {"failed": "stepmix is not installed"}
    truth, target = read(table)
    before = memory()
    errors, scores, seconds = [], [], []
    for draw in range(draws):
        hidden = hide(truth, share, way, draw)
        X = np.where(hidden, np.nan, truth)
        center, spread = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
        spread[spread < 1e-8] = 1.0  # the column is constant up to rounding
        completed, took = timed(
            globals()[kind](**settings).fit_transform, (X - center) / spread
        )
        seconds.append(took)
        residuals = (completed * spread + center - truth)[hidden]
        errors.append(float(np.sqrt(np.mean(residuals**2))))
        scores.append(downstream(completed, target))
    return {
        "rmse": float(np.mean(errors)),
        "rmse_per_draw": errors,
        "downstream": float(np.mean(scores)),
        "seconds": float(np.mean(seconds)),
        "memory": memory() - before,
    }


def cells():
    for table in TABLES:
        for model, (kind, settings) in MODELS.items():
            for share in SHARES:
                for way in WAYS:
                    yield {
                        "table": table,
                        "share": share,
                        "way": way,
                        "draws": 1 if table in ("breast_cancer", "digits") else 3,
                        "model": model,
                        "kind": kind,
                        "settings": settings,
                    }


def tabulate(results, options):
    """RMSE in each cell, and how often each of our settings has the lowest."""
    finished = {
        (c["table"], c["share"], c["way"], c["model"]): r
        for c, r in results
        if "failed" not in r
    }
    done = {key[:3] for key in finished}
    conditions = [key for key in itertools.product(TABLES, SHARES, WAYS) if key in done]
    models = [model for model in MODELS if any(key[3] == model for key in finished)]
    other_libraries = [model for model in models if model not in OURS]

    def value(condition, model, name):
        return finished.get((*condition, model), {}).get(name, np.nan)

    rows = []
    for condition in conditions:
        errors = [value(condition, model, "rmse") for model in models]
        best = np.nanmin(errors)
        rows.append(
            [
                "{}, {:.0%} {}".format(*condition),
                *(
                    "" if np.isnan(e) else f"**{e:.3f}**" if e == best else f"{e:.3f}"
                    for e in errors
                ),
            ]
        )
    write_table("tables-rmse", "RMSE of hidden entries", ["", *models], rows, options)

    rows = []
    for model in models:
        others = other_libraries if model in OURS else models
        others = [other for other in others if other != model]
        errors = np.array([value(c, model, "rmse") for c in conditions])
        best = np.array(
            [
                np.nanmin([value(c, other, "rmse") for other in others] or [np.nan])
                for c in conditions
            ]
        )
        ratios = errors / best
        scores = np.array([value(c, model, "downstream") for c in conditions])
        seconds = np.array([value(c, model, "seconds") for c in conditions])
        known = np.isfinite(ratios)
        if not known.any():
            continue
        slower = []
        for forest in FORESTS:
            times = np.array([value(c, forest, "seconds") for c in conditions])
            ratio = (times / seconds)[np.isfinite(times / seconds)]
            slower.append(
                f"{np.median(ratio):.0f}, {ratio.min():.0f}" if len(ratio) else ""
            )
        rows.append(
            [
                model,
                f"{(ratios[known] <= MARGIN).sum()} of {known.sum()}",
                f"{np.exp(np.log(ratios[known]).mean()):.3f}",
                f"{ratios[known].max():.2f}",
                f"{np.nanmean(scores):.3f}",
                f"{np.nansum(seconds):.1f}",
                *slower,
            ]
        )
    header = [
        "model", "best or within 2 %", "RMSE relative to the best other model (mean)",
        "(worst)", "downstream score", "total seconds",
        "extra trees: time relative to this model (median, minimum)",
        "random forests: time relative to this model (median, minimum)",
    ]  # fmt: skip
    title = "All cells: our models compared with the imputers of other libraries"
    write_table("tables", title, header, rows, options)


def main():
    options = parser(__doc__).parse_args()
    if options.cell:
        work(options.cell, measure)
        return
    results = run(
        "tables",
        __file__,
        list(cells()),
        options,
        FIELDS,
        varying=("share", "way"),
        limits=lambda cell: LIMIT,
    )
    tabulate(results, options)


if __name__ == "__main__":
    main()
