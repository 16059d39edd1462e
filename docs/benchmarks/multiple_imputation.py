# SPDX-License-Identifier: BSD-3-Clause
"""Multiple imputation: coverage of pooled intervals, compared with other libraries.

    pip install -e ".[benchmarks]"
    python docs/benchmarks/multiple_imputation.py

Two simulated tables of 100 rows, 200 times each, and 20 draws of the missing entries:

- two columns, correlation 0.5; half of y is missing, more often where x is large: the
  mean of y, and the slope of y on x;
- five columns, correlations 0.5; the last two miss 41 % of their entries, more often
  where the first is large: the mean of the last, and its slope on the one before.

Estimates and their variances are pooled by Rubin's rules (`pool`), with n - 1 and n - 2
degrees of freedom. The standard error of a coverage of 95 % in 200 tables is 1.5 %.
"""

import importlib.util

import numpy as np
from cells import mark_best_in_columns, parser, run, timed, work, write_table
from scipy.special import expit, ndtr

N_ROWS, N_TABLES, N_DRAWS, CORRELATION = 100, 200, 20, 0.5
LIMIT = 1500.0
TITLES = {"two": "two columns, 50 %", "five": "five columns, 41 %"}
FIELDS = ("bias", "coverage", "width", "seconds")

COMPLETE = "no missing entries"
METHODS = {
    COMPLETE: ("complete", {}),
    "rows without missing entries": ("drop", {}),
    "completed once": ("once", {}),
    'ours, ``parameters="fitted"``': ("ours", {"parameters": "fitted"}),
    'ours, ``parameters="posterior"``': ("ours", {"parameters": "posterior"}),
    'ours, ``"posterior"``, ``donors=5``': (
        "ours",
        {"parameters": "posterior", "donors": 5},
    ),
    "ours, Bayesian bootstrap": (
        "ours",
        {"parameters": "posterior", "bootstrap": True},
    ),
    "IterativeImputer(sample_posterior=True)": ("iterative", {}),
    "statsmodels, MICEData": ("statsmodels", {}),
}


def make(problem, seed):
    """A complete table, and which entries are missing."""
    rng = np.random.default_rng(seed)
    d = 2 if problem == "two" else 5
    covariance = np.full((d, d), CORRELATION) + (1 - CORRELATION) * np.eye(d)
    table = rng.multivariate_normal(np.zeros(d), covariance, size=N_ROWS)
    missing = np.zeros(table.shape, dtype=bool)
    if problem == "two":
        missing[:, 1] = rng.random(N_ROWS) < expit(1.5 * table[:, 0])
    else:
        chances = 0.82 * ndtr(table[:, :1])
        missing[:, 3:] = rng.random((N_ROWS, 2)) < chances
    return table, missing


def analyze(table):
    """Mean of the last column and its slope on the one before, with variances."""
    x, y = table[:, -2], table[:, -1]
    n = len(y)
    deviations = x - x.mean()
    squares = deviations @ deviations
    slope = deviations @ y / squares
    residuals = y - y.mean() - slope * deviations
    estimates = y.mean(), slope
    return estimates, (y.var(ddof=1) / n, residuals @ residuals / (n - 2) / squares)


def mixture(bootstrap=False):
    from sklearn_gmmcf import MaskedGaussianMixture
    from sklearn_gmmcf.covariance import Full

    class Resampled(Full):
        draws_parameters = False

    family = Resampled(reg_covar=1e-6) if bootstrap else "full"
    return MaskedGaussianMixture(covariance_type=family, tol=1e-6, max_iter=2000)


def complete(table, X, seed):
    return [table]


def drop(table, X, seed):
    return [X[~np.isnan(X).any(axis=1)]]


def once(table, X, seed):
    return [mixture().fit_transform(X)]


def ours(table, X, seed, bootstrap=False, **options):
    fitted = mixture(bootstrap).fit(X)
    return fitted.sample_completions(X, N_DRAWS, random_state=seed, **options)


def iterative(table, X, seed):
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return [
        IterativeImputer(
            sample_posterior=True, random_state=N_DRAWS * seed + draw
        ).fit_transform(X)
        for draw in range(N_DRAWS)
    ]


def statsmodels(table, X, seed):
    import pandas as pd
    from statsmodels.imputation.mice import MICEData

    np.random.seed(seed)  # the only seed that it takes  # noqa: NPY002
    names = [f"x{j}" for j in range(X.shape[1])]
    chain = MICEData(pd.DataFrame(X, columns=names))
    chain.update_all(10)
    draws = []
    for _ in range(N_DRAWS):
        chain.update_all(3)
        draws.append(chain.data[names].to_numpy(copy=True))
    return draws


def measure(problem, method, kind, settings):
    """Work on one cell: all tables of a problem."""
    if kind == "statsmodels" and importlib.util.find_spec("statsmodels") is None:
        return {"failed": "statsmodels is not installed"}
    from sklearn_gmmcf.model_selection import pool

    errors, inside, widths, seconds = [], [], [], []
    truth = np.array([0.0, CORRELATION])
    for seed in range(N_TABLES):
        table, missing = make(problem, seed)
        X = np.where(missing, np.nan, table)
        tables, took = timed(globals()[kind], table, X, seed, **settings)
        estimates, variances = map(
            np.array, zip(*(analyze(each) for each in tables), strict=True)
        )
        if len(tables) == 1:  # no variance between
            estimates, variances = estimates.repeat(2, 0), variances.repeat(2, 0)
        n = len(tables[0])
        pooled = [
            pool(estimates[:, i], variances[:, i], dfcom=n - 1 - i) for i in range(2)
        ]
        low, high = np.transpose([each.interval for each in pooled])
        errors.append([each.estimate for each in pooled] - truth)
        inside.append((low < truth) & (truth < high))
        widths.append(high - low)
        seconds.append(took)
    return {
        "bias": np.mean(errors, axis=0).round(6).tolist(),
        "coverage": np.mean(inside, axis=0).round(6).tolist(),
        "width": np.mean(widths, axis=0).round(6).tolist(),
        "seconds": float(np.mean(seconds)),
    }


def cells():
    for problem in TITLES:
        for method, (kind, settings) in METHODS.items():
            yield {
                "problem": problem,
                "method": method,
                "kind": kind,
                "settings": settings,
            }


def tabulate(results, options):
    """Coverage, bias and width of the intervals of a mean and of a slope, by table."""
    header = ["method"]
    for name in ("mean", "slope"):
        header += [f"{name}: coverage (%)", "bias", "width"]
    header.append("seconds a table")
    choices = {1: _nearest_95, 2: _nearest_0, 4: _nearest_95, 5: _nearest_0}
    for problem, title in TITLES.items():
        found = {c["method"]: r for c, r in results if c["problem"] == problem}
        rows, complete = [], []
        for method in sorted(found, key=lambda method: not method.startswith("ours")):
            result = found[method]
            if "failed" in result:
                rows.append([method, result["failed"], *[""] * 6])
                continue
            terms = []
            for bias, coverage, width in zip(
                result["bias"], result["coverage"], result["width"], strict=True
            ):
                terms += [f"{100 * coverage:.1f}", f"{bias:+.3f}", f"{width:.2f}"]
            row = [method, *terms, f"{result['seconds']:.2f}"]
            # Without missing entries nothing is imputed, so it is not the best.
            (complete if method == COMPLETE else rows).append(row)
        rows = mark_best_in_columns(rows, choices)
        title = f"95 % intervals that hold the truth, 200 tables: {title}"
        name = f"multiple-imputation-{problem}"
        write_table(name, title, header, [*rows, *complete], options)


def _nearest_95(numbers):
    return min(numbers, key=lambda number: abs(number - 95))


def _nearest_0(numbers):
    return min(numbers, key=abs)


def main():
    options = parser(__doc__).parse_args()
    if options.cell:
        work(options.cell, measure)
        return
    results = run(
        "multiple-imputation",
        __file__,
        list(cells()),
        options,
        FIELDS,
        limits=lambda cell: LIMIT,
    )
    tabulate(results, options)


if __name__ == "__main__":
    main()
