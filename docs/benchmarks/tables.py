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
from cells import parser, timed, work
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
LIMIT = 300.0
FIELDS = ("rmse", "seconds", "coverage")
MIXED_FIELDS = ("accuracy", "rmse", "seconds")
MIXED_DRAWS = 3
MARGIN = 1.02
COVERAGE = 0.9
GROUPS = {"chosen": CHOSEN_ON, "reported": REPORTED_ON}

_KNN = {"n_neighbors": 10, "weights": "distance"}
_TREES = {"n_estimators": 20, "max_iter": 4}
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
    "IterativeImputer, extra trees": ("extra_trees", _TREES),
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
    "IterativeImputer, extra trees": (
        "one_hot",
        {"kind": "extra_trees", "settings": _TREES},
    ),
    "miceforest": ("miceforest", _MICEFOREST),
}
OURS = ("MixtureImputer", "full, K=1", "full with priors, K=6")
FORESTS = "IterativeImputer, extra trees"
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


def dispatch(**cell):
    return measure(**cell) if "conditions" in cell else measure_mixed(**cell)


def main():
    options = parser(__doc__).parse_args()
    if options.cell:
        work(options.cell, dispatch)
        return


if __name__ == "__main__":
    main()
