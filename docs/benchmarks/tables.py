# SPDX-License-Identifier: BSD-3-Clause
"""Tables: errors on hidden entries, and time, of our imputers and of others.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/tables.py

Tables of scikit-learn and of R packages, standardized. Of their entries 10, 30 and 50 %
are hidden completely at random, 30 % at random (the probability depends on a value that
stays observed) and 30 % by their own value: ``hide_entries`` with its three mechanisms.
Imputers see columns that are standardized by their observed entries; errors are in
standard deviations of the complete columns. An imputer has one setting for all tables.
Results are means over three draws of the hidden entries on tables of less than 500
rows, and of one draw on others.

The settings of our imputers were chosen on the first group of tables, "chosen on"; the
second group, "reported on", was used for no choice. In tables with categories a fifth
of all entries is hidden completely at random, three times.
"""

import imputers
import numpy as np
from cells import (
    mark_best,
    mark_best_in_columns,
    parser,
    run,
    timed,
    work,
    write_table,
)
from table_data import (
    CHOSEN_ON,
    CONDITIONS,
    MIXED,
    REPORTED_ON,
    hide,
    hide_mixed,
    n_draws,
    read,
    read_mixed,
)

# Seconds for all conditions and draws of a table.
LIMIT = 600.0
FIELDS = ("rmse", "seconds", "coverage")
MIXED_FIELDS = ("accuracy", "rmse", "seconds")
MIXED_DRAWS = 3
MARGIN = 1.02
COVERAGE = 0.9
GROUPS = {"reported": REPORTED_ON, "chosen": CHOSEN_ON}
TITLES = {
    "reported": "Tables that were used for no choice",
    "chosen": "Tables that settings were chosen on",
}
# The condition whose errors are shown for each table.
SHOWN = ("mcar", 0.3)

_KNN = {"n_neighbors": 10, "weights": "distance"}
_MICEFOREST = {"iterations": 5}

MODELS = {
    "MixtureImputer": ("mixture_imputer", {}),
    "full, K=1": ("mixture", {"covariance_type": "full"}),
    "full with priors, K=6": (
        "mixture",
        {
            "n_components": 6,
            "covariance_type": "full",
            "covariance_precision_prior": 100.0,
            "mean_precision_prior": 3.0,
            "tol": 1e-2,
        },
    ),
    "mean": ("mean", {}),
    "KNNImputer": ("knn", _KNN),
    "IterativeImputer": ("iterative", {"max_iter": 20}),
    "soft-impute": ("soft_impute", {"max_iter": 100, "tol": 1e-3}),
    "gcimpute": ("copula", {}),
    "IterativeImputer, extra trees": (
        "extra_trees",
        {"n_estimators": 20, "max_iter": 4},
    ),
    "miceforest": ("miceforest", _MICEFOREST),
    # missForest with fewer trees and rounds (100 and 10 are its defaults).
    "IterativeImputer, random forests": (
        "random_forests",
        {
            "n_estimators": 30,
            "max_iter": 4,
            "min_samples_leaf": 5,
            "max_features": "sqrt",
        },
    ),
}
MIXED_MODELS = {
    "MixtureImputer": ("mixture_imputer", {}),
    "mode and mean": ("mode", {}),
    "KNNImputer": ("one_hot", {"kind": "knn", "settings": _KNN}),
    "miceforest": ("miceforest", _MICEFOREST),
}
OURS = ("MixtureImputer", "full, K=1", "full with priors, K=6")
FORESTS = "IterativeImputer, extra trees"
# Names that fit above narrow columns.
SHORT = {
    "MixtureImputer": "Mixture",
    "KNNImputer": "KNN",
    "IterativeImputer": "Iterative",
    FORESTS: "extra trees",
    "IterativeImputer, random forests": "random forests",
}
# Where the cost is out of proportion.
SKIPPED = {
    ("IterativeImputer, random forests", "bfi"),
    ("IterativeImputer, random forests", "digits"),
}


def measure(table, model, conditions):
    """Results of an imputer: one number for each condition, None where it failed."""
    kind, settings = MODELS[model]
    truth = read(table)
    found = {"rmse": [], "seconds": [], "coverage": []}
    for mechanism, fraction in conditions:
        masks = [hide(truth, mechanism, fraction, n) for n in range(n_draws(truth))]
        try:
            draws = [complete(truth, hidden, kind, settings) for hidden in masks]
            means = np.mean(draws, axis=0)
        except Exception as error:
            means, failure = np.full(len(found), np.nan), error
        for values, mean in zip(found.values(), means, strict=True):
            values.append(None if np.isnan(mean) else float(mean))
    if not any(found["rmse"]):
        raise failure
    return {name: values for name, values in found.items() if any(values)}


def complete(truth, hidden, kind, settings):
    """RMSE, seconds, and the coverage of intervals (NaN without intervals)."""
    X = np.where(hidden, np.nan, truth)
    center, spread = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    spread[spread < 1e-8] = 1.0  # the column is constant up to rounding
    X, target = (X - center) / spread, (truth - center) / spread
    imputer = getattr(imputers, kind)(**settings)
    completed, seconds = timed(imputer.fit_transform, X)
    residuals = ((completed - target) * spread)[hidden]
    coverage = np.nan
    if hasattr(imputer, "predict_interval"):
        lower, upper = imputer.predict_interval(X, coverage=COVERAGE)
        coverage = np.mean(((lower <= target) & (target <= upper))[hidden])
    return np.sqrt(np.mean(residuals**2)), seconds, coverage


def measure_mixed(table, model):
    """Accuracy of hidden categories and RMSE of hidden numbers, over all columns."""
    kind, settings = MIXED_MODELS[model]
    truth = read_mixed(table)
    numbers = truth.select_dtypes("number")
    is_number = truth.columns.isin(numbers.columns)
    accuracies, errors, seconds = [], [], []
    for draw in range(MIXED_DRAWS):
        hidden = hide_mixed(truth, draw)
        imputer = getattr(imputers, kind)(**settings)
        completed, took = timed(imputer.fit_transform, truth.mask(hidden))
        completed = completed[truth.columns]
        right = completed.astype(object).to_numpy() == truth.astype(object).to_numpy()
        residuals = (completed[numbers.columns] - numbers) / numbers.std(ddof=0)
        residuals = residuals.to_numpy(np.float64)[hidden[:, is_number]]
        accuracies.append(np.mean(right[hidden & ~is_number]))
        errors.append(np.sqrt(np.mean(residuals**2)))
        seconds.append(took)
    return {
        "accuracy": float(np.mean(accuracies)),
        "rmse": float(np.mean(errors)),
        "seconds": float(np.mean(seconds)),
    }


def cells():
    for tables in GROUPS.values():
        for model in MODELS:
            for table in tables:
                if (model, table) not in SKIPPED:
                    conditions = [list(condition) for condition in CONDITIONS]
                    yield {"table": table, "model": model, "conditions": conditions}


def mixed_cells():
    for model in MIXED_MODELS:
        for table in MIXED:
            yield {"table": table, "model": model}


def tabulate(results, options):
    """Summaries of each group, over all cells and by condition, and some errors."""
    models = [name for name in MODELS if any(c["model"] == name for c, _ in results)]
    for group, tables in GROUPS.items():
        keys = [(table, *condition) for table in tables for condition in CONDITIONS]
        relative = relative_to_best_other(gather(results, "rmse", keys, models), models)
        seconds = gather(results, "seconds", keys, models)
        times = seconds / gather(results, "seconds", keys, [FORESTS])
        coverage = gather(results, "coverage", keys, models)
        errors, costs = [], []
        for model, ratios, longer, covered in zip(
            models, relative.T, times.T, coverage.T, strict=True
        ):
            if np.isnan(ratios).all():
                continue
            means = [
                geometric_mean(ratios[[key[1:] == condition for key in keys]])
                for condition in CONDITIONS
            ]
            near, *rest = near_best(ratios)
            errors.append([model, *rest, *map(shown, means)])
            costs.append([model, near, *timing(longer), percentages(covered)])
        conditions = [name_condition(*condition) for condition in CONDITIONS]
        header = ["imputer", "all cells", "worst cell", *conditions]
        title = f"{TITLES[group]}: RMSE over the best (geometric means)"
        rows = mark_best_in_columns(errors, dict.fromkeys(range(1, len(header)), min))
        write_table(f"tables-{group}", title, header, rows, options)
        header = [
            "imputer", "best or within 2 %", "time over extra trees (median)",
            "(longest)", "coverage of 90 % intervals (mean; lowest, highest)",
        ]  # fmt: skip
        title = f"{TITLES[group]}: cells, times, intervals"
        write_table(f"tables-{group}-cost", title, header, costs, options)
    keys = [(table, *SHOWN) for tables in GROUPS.values() for table in tables]
    errors = gather(results, "rmse", keys, models)
    rows = [
        [key[0], *mark_best(map(shown, row))]
        for key, row in zip(keys, errors, strict=True)
    ]
    title = f"RMSE of hidden entries, {name_condition(*SHOWN)}"
    header = ["", *(SHORT.get(model, model) for model in models)]
    write_table("tables-rmse", title, header, rows, options)


def gather(results, name, keys, models):
    """Results of one name, (keys, models), NaN where there are none."""
    found = {
        (cell["table"], *condition, cell["model"]): value
        for cell, result in results
        if name in result
        for condition, value in zip(cell["conditions"], result[name], strict=True)
    }
    table = [[found.get((*key, model)) for model in models] for key in keys]
    return np.array(table, dtype=np.float64)


def relative_to_best_other(errors, models):
    """Errors over the smallest one of other libraries, other than the model itself."""
    relative = np.empty_like(errors)
    for n, model in enumerate(models):
        others = [m not in OURS and m != model for m in models]
        best = np.fmin.reduce(errors[:, others], axis=1, initial=np.nan)
        relative[:, n] = errors[:, n] / best
    return relative


def geometric_mean(ratios):
    known = ratios[~np.isnan(ratios)]
    return np.exp(np.log(known).mean()) if len(known) else np.nan


def near_best(ratios):
    """How many cells are best or nearly so, the mean ratio, and the worst one."""
    known = ratios[~np.isnan(ratios)]
    if not len(known):
        return ["", "", ""]
    near = f"{(known <= MARGIN).sum()} of {len(known)}"
    return [near, f"{geometric_mean(known):.3f}", f"{known.max():.2f}"]


def timing(ratios):
    known = ratios[~np.isnan(ratios)]
    if not len(known):
        return ["", ""]
    return [f"{np.median(known):.2g}", f"{known.max():.2g}"]


def percentages(shares):
    known = shares[~np.isnan(shares)]
    if not len(known):
        return ""
    return f"{known.mean():.1%}; {known.min():.0%}, {known.max():.0%}"


def name_condition(mechanism, fraction):
    return f"{mechanism.upper()} {fraction:.0%}"


def shown(value):
    return "" if np.isnan(value) else f"{value:.3f}"


def tabulate_mixed(results, options):
    """Accuracy and RMSE of each table and imputer."""
    found = {(c["table"], c["model"]): r for c, r in results if "failed" not in r}
    models = [name for name in MIXED_MODELS if any(key[1] == name for key in found)]
    rows = []
    for name, title, choose in (
        ("accuracy", "accuracy of categories", max),
        ("rmse", "RMSE of numbers", min),
    ):
        for table in MIXED:
            row = [found.get((table, model), {}).get(name) for model in models]
            texts = ["" if value is None else f"{value:.3f}" for value in row]
            rows.append([table, title, *mark_best(texts, choose)])
    title = "Hidden categories and hidden numbers"
    header = ["table", "", *models]
    write_table("tables-mixed", title, header, rows, options)


def dispatch(**cell):
    return measure(**cell) if "conditions" in cell else measure_mixed(**cell)


def main():
    options = parser(__doc__).parse_args()
    if options.cell:
        work(options.cell, dispatch)
        return
    trials = [
        ("tables", cells(), FIELDS, tabulate),
        ("tables-mixed", mixed_cells(), MIXED_FIELDS, tabulate_mixed),
    ]
    for name, wanted, fields, make in trials:
        results = run(
            name,
            __file__,
            list(wanted),
            options,
            fields,
            varying=("model",),
            limits=lambda cell: LIMIT,
        )
        make(results, options)


if __name__ == "__main__":
    main()
