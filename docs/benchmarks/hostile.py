# SPDX-License-Identifier: BSD-3-Clause
"""Hostile inputs, drawn from a seed, and a tally of what becomes of them.

    python docs/benchmarks/hostile.py N SEED
    python docs/benchmarks/hostile.py --only INDEX SEED

Each input is a table with missing entries, weights, an estimator and a second batch,
drawn by (SEED, INDEX) alone: few rows or many columns, empty rows and columns, scales
from 1e-200 to 1e100, copies of columns, outliers, all containers and dtypes. The
estimator learns from it and answers every question. An input is refused by an error of
this package or of scikit-learn's validation that says a way out. Everything else than
an answer or a refusal is a defect, such as NaN or a RuntimeWarning.
"""

import argparse
import pickle
import re
import traceback
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_gmmcf import KMeansMixture, MaskedGaussianMixture

KINDS = ("spherical", "diag", "tied", "full", "factor", "kmeans")
DENSE = ("c", "fortran", "strided", "readonly", "mapped", "list")
FORMATS = ("csr", "csc", "coo")
SPARSE = [f"{form}_{kind}" for form in FORMATS for kind in ("array", "matrix")]
# An objective that falls by more is a defect, relative to 1 + its magnitude.
FALL = defaultdict(lambda: 1e-7, f=1e-4)
TINY = np.finfo(float).tiny
# Smaller values are denormal, and have few digits.
MIN_MAGNITUDE = defaultdict(float, f=1e-37, d=1e-300)
EPS = np.finfo(float).eps
# Rounding errors of a fall, for each unit of what multiplies them.
ROUNDINGS = 10
# Share of the root of a floor under variances below which a deviation is 0.
ZERO = 1e-10
# Share of the smallest variance from which reg_covar may lower the objective.
NEGLIGIBLE_SHARE = 1e-4
# A shorter message says no way out.
MIN_MESSAGE = 40
# Inputs that are named of each kind of refusal and defect.
SHOWN = 3


@dataclass
class Table:
    """Rows in a container, and the same for the checks."""

    X: Any
    values: np.ndarray  # (n, d), of the dtype of X, hidden ones included
    observed: np.ndarray  # (n, d)
    weights: np.ndarray | None


@dataclass
class Case:
    """One input."""

    estimator: Any
    tables: list[Table]  # to learn from, one batch after the other, and to ask about
    traits: dict[str, Any]


@dataclass
class Outcome:
    """What became of an input."""

    refusal: str = ""
    defects: dict[str, str] = field(default_factory=dict)  # a detail for each kind
    warned: set[str] = field(default_factory=set)
    error: BaseException | None = None

    @property
    def name(self):
        return "defect" if self.defects else "refused" if self.refusal else "ok"


def draw_observed(rng, n, d):
    """Which entries of a batch are observed, (n, d)."""
    kind = _choose(rng, all=3, some=5, few=1, patterns=2, staircase=2)
    observed = np.ones((n, d), dtype=bool)
    if kind in ("some", "few"):
        share = rng.uniform(0.1, 0.7) if kind == "some" else rng.uniform(0.9, 1)
        observed = rng.random((n, d)) >= share
    elif kind == "patterns":
        observed = (rng.random((3, d)) < 0.6)[rng.integers(3, size=n)]
    elif kind == "staircase":
        observed = np.arange(d) <= rng.integers(d, size=n)[:, None]
    chosen = rng.random(d) < 0.2
    for trait in ("empty rows", "empty columns", "seen once", "never together"):
        if rng.random() >= 0.12:
            continue
        if trait == "empty rows":
            observed[rng.random(n) < 0.3] = False
        elif trait == "never together":
            observed[: n // 2, 0] = observed[n // 2 :, -1] = False
        else:
            observed[:, chosen] = False
            if trait == "seen once":
                observed[rng.integers(n), chosen] = True
    return kind, observed


def draw_values(rng, n, d):
    """Values of the rows of all batches, (n, d)."""
    k, r = rng.integers(1, 4, size=2)
    values = 3.0 * rng.standard_normal((k, d))[rng.integers(k, size=n)]
    values += rng.standard_normal((n, r)) @ rng.standard_normal((r, d))
    values += rng.choice([1e-3, 0.3, 1.0]) * rng.standard_normal((n, d))
    kind = rng.choice(["normal", "heavy", "ties", "ratings", "binary"])
    if kind == "heavy":
        values *= np.exp(3 * rng.standard_normal((n, d)))
    elif kind == "ties":
        values = np.round(values)
    elif kind == "ratings":
        values = np.clip(np.round(values + 3), 1, 5)
    elif kind == "binary":
        values = (values > 0).astype(float)
    traits = [str(kind)]
    picked = np.flatnonzero(rng.random(d) < 0.4)
    for trait in ("constant", "copies", "near copies", "outlier", "offset", "mixed"):
        if rng.random() >= 0.12:
            continue
        traits.append(trait)
        if trait == "constant":
            values[:, picked] = rng.choice([0.0, 1.0, 1 / 3])
        elif trait in ("copies", "near copies"):
            values[:, picked] = values[:, [0]] * rng.choice([1.0, -2.0, 1 / 3])
            if trait == "near copies":
                noise = 10.0 ** rng.uniform(-12, -3)
                values[:, picked] += noise * rng.standard_normal((n, len(picked)))
        elif trait == "outlier":
            values[rng.integers(n), rng.integers(d)] = 10.0 ** rng.uniform(3, 30)
        elif trait == "offset":
            values[:, picked] = 1e8 + 1e-3 * values[:, picked]
        else:
            ends = (-6, 6) if rng.random() < 0.7 else (-200, 90)
            values *= 10.0 ** rng.uniform(*ends, size=d)
    kind = _choose(rng, unit=12, usual=3, extreme=4, denormal=1)
    exponents = {"usual": rng.uniform(-8, 8), "extreme": rng.uniform(-200, 100)}
    values *= 10.0 ** (exponents | {"unit": 0.0, "denormal": -310.0})[kind]
    return f"{', '.join(traits)}, scale {np.median(np.abs(values)):.0e}", values


def draw_weights(rng, n):
    """Weights of the rows, None for half of the inputs, and their description."""
    kind = _choose(rng, no=12, whole=3, uniform=3, unlike=1, tiny=1, huge=1, few=1)
    weights = {
        "no": None,
        "whole": rng.integers(0, 4, n),
        "uniform": rng.random(n),
        "unlike": 10.0 ** rng.uniform(-200, 200, n),
        "tiny": np.full(n, 1e-200),
        "huge": 1e200 * rng.random(n),
        "few": (rng.random(n) < 0.2).astype(float),
    }[kind]
    return kind, weights


def draw_options(rng, kind, n):
    """Parameters of the estimator."""
    options = {
        "n_components": int(min(rng.choice([1, 1, 2, 3, 5]), max(n, 1))),
        "reg_covar": float(rng.choice([1e-6, 1e-6, 1e-6, 0, 1e-12, 1e-3, 1])),
        "min_variance": float(rng.choice([0, 0, 0, 1e-8, 1e-2])),
        "max_iter": int(rng.choice([1, 3, 10, 30])),
        "n_init": int(rng.choice([1, 1, 2])),
        "n_jobs": rng.choice([None, None, None, 2]),
    }
    if kind == "kmeans":
        return options | {"init": str(rng.choice(["k-means++", "random"]))}
    inits = ["kmeans", "kmeans", "k-means++", "random", "random_from_data"]
    options |= {
        "covariance_type": kind,
        "tol": float(rng.choice([1e-3, 0])),
        "max_iter": options["max_iter"] if rng.random() < 0.9 else 0,
        "init_params": str(rng.choice(inits)),
    }
    if kind == "factor":
        return options | {"n_factors": int(rng.choice([1, 2, 5, 10]))}
    options["mean_precision_prior"] = float(rng.choice([0, 0, 1, 30]))
    options["covariance_precision_prior"] = float(rng.choice([0, 0, 1, 100]))
    return options


def draw_case(seed, index, folder):
    """The input with this index; mapped arrays lie in a folder."""
    rng = np.random.default_rng([seed, index])
    kind = KINDS[index % len(KINDS)]
    n, d = (int(np.exp(rng.uniform(0.5, np.log(top)))) for top in (400, 40))
    sizes = [n, *np.exp(rng.uniform(0, np.log(60), size=2)).astype(int)]
    drawn, values = draw_values(rng, sum(sizes), d)
    if rng.random() < 0.1:
        values[-1] *= 10.0 ** rng.uniform(3, 60)  # a question far from what was learned
    dtype = np.dtype(_choose(rng, float64=12, float32=5, int64=1, int8=1, bool=1))
    marker = np.nan
    if rng.random() < 0.15:
        marker = float(rng.choice([0.0, -1.0, 0.1, 1e30] if dtype.kind == "f" else [0]))
    frames = rng.random() < 0.1  # column names should be there always or never
    tables, traits = [], {"kind": kind, "values": drawn, "dtype": dtype.name}
    for name, part in zip(
        ("fit", "batch", "asked"), np.split(values, np.cumsum(sizes)[:-1]), strict=True
    ):
        mask, observed = draw_observed(rng, *part.shape)
        container = "pandas" if frames else str(rng.choice([*DENSE, *SPARSE]))
        weighted, weights = draw_weights(rng, len(part))
        table = _contain(
            rng, part, observed, dtype, container, marker, Path(folder, f"{name}.npy")
        )
        table.weights = weights
        tables.append(table)
        traits[name] = f"{len(part)} x {d} {container}, {mask}, {weighted} weights"
    if rng.random() < 0.5:
        del tables[1]
    traits["options"] = options = draw_options(rng, kind, n) | {"random_state": index}
    if not np.isnan(marker):
        options["missing_values"] = marker
    model = KMeansMixture if kind == "kmeans" else MaskedGaussianMixture
    return Case(model(**options), tables, traits)


def _choose(rng, **odds):
    shares = np.array(list(odds.values()), dtype=float)
    return str(rng.choice(list(odds), p=shares / shares.sum()))


def _contain(rng, values, observed, dtype, container, marker, path):
    """Put values into a container, with missing entries marked or not stored."""
    if container == "list" and dtype.kind == "f":
        dtype = np.dtype(np.float64)  # as the numbers of Python
    if dtype.kind == "f":
        bound = float(np.finfo(dtype).max)
    else:
        bound = 1 if dtype.kind == "b" else min(np.iinfo(dtype).max, 2**53)
    values = np.clip(values, -bound, bound)
    values = (values if dtype.kind == "f" else np.round(values)).astype(dtype)
    if not np.isnan(marker):
        observed = observed & (values != np.asarray(marker, dtype=dtype))
    elif dtype.kind != "f" and container not in SPARSE:
        observed = np.ones_like(observed)
    has_marker = dtype.kind == "f" or not np.isnan(marker)
    X = np.where(observed, values, np.asarray(marker, dtype) if has_marker else values)
    if container in SPARSE:
        stored = observed | (has_marker & (rng.random(observed.shape) < 0.2))
        X = sparse.coo_array((X[stored], np.nonzero(stored)), shape=X.shape)
        X = getattr(sparse, container)(X)
    elif container == "pandas":
        X = pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    elif container == "list":
        X = X.tolist()
    elif container == "fortran":
        X = np.asfortranarray(X)
    elif container == "strided":
        X = np.repeat(X, 2, axis=1)[:, ::2]
    elif container == "readonly":
        X.flags.writeable = False
    elif container == "mapped":
        np.save(path, X)
        X = np.load(path, mmap_mode="r")
    return Table(X, values, observed, None)


def examine(case):
    """The outcome of an input."""
    outcome = Outcome()
    before = [get_contents(table) for table in case.tables]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _learn_and_ask(case, outcome.defects)
        except Exception as error:
            outcome.error = error
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            summary = traceback.extract_tb(error.__traceback__)[-1]
            package = frame.f_globals["__name__"].split(".")[0]
            if (
                type(error) in (ValueError, TypeError)
                and package in ("sklearn_gmmcf", "sklearn")
                and summary.line.startswith("raise")
                and len(str(error)) >= MIN_MESSAGE
            ):
                outcome.refusal = str(error)
            else:
                place = f"{Path(summary.filename).name}:{summary.lineno}"
                name = f"{type(error).__name__} in {place}"
                outcome.defects[name] = str(error)[:100]
    for warning in caught:
        name = warning.category.__name__
        ours = warning.category.__module__.startswith("sklearn_gmmcf")
        if not ours and warning.category is not ConvergenceWarning:
            place = f"{Path(warning.filename).name}:{warning.lineno}"
            outcome.defects[f"{name} in {place}"] = str(warning.message)[:100]
        outcome.warned.add(name)
    if before != [get_contents(table) for table in case.tables]:
        outcome.defects["input changed"] = ""
    return outcome


def get_contents(table):
    """The bytes of a table and its weights."""
    X = table.X
    if sparse.issparse(X):
        arrays = [v for v in vars(X).values() if isinstance(v, np.ndarray)]
        arrays += getattr(X, "coords", ())
    else:
        arrays = [np.asarray(X)]
    return [array.tobytes() for array in (*arrays, table.weights) if array is not None]


def _learn_and_ask(case, defects):
    """Learn from all tables but the last, and ask everything about the last."""
    estimator, (first, *batches, asked) = case.estimator, case.tables
    estimator.fit(first.X, sample_weight=first.weights)
    _check_attributes(estimator, defects)
    _check_objective(estimator, first, defects)
    for batch in batches:
        estimator.partial_fit(batch.X, sample_weight=batch.weights)
        _check_attributes(estimator, defects)
    rng, X, observed = np.random.default_rng(0), asked.X, asked.observed
    completed, std = estimator.complete(X, return_std=True)
    entries = np.nonzero(~observed)
    truth = asked.values[entries].astype(float)
    items, *numbers = estimator.recommend(X, n_items=3, return_std=True)
    answers = {
        "transform": estimator.transform(X),
        "complete": completed,
        "std": std,
        "entries": np.stack(estimator.complete(X, entries=entries, return_std=True)),
        "predict": estimator.predict(X),
        "predict_proba": estimator.predict_proba(X),
        "score_samples": estimator.score_samples(X),
        "score_entries": estimator.score_entries(X, entries, truth),
        "draws": estimator.sample_completions(X, 2, random_state=rng.integers(9)),
        "drawn entries": estimator.sample_completions(X, 2, entries=entries),
        "recommend": np.stack(numbers)[:, items >= 0],
        "criteria": np.array([estimator.bic(X), estimator.aic(X), estimator.icl(X)]),
        "sample": estimator.sample(3)[0],
        "pickle": pickle.loads(pickle.dumps(estimator)).transform(X),
    }
    for name, answer in answers.items():
        if not np.isfinite(answer).all():
            defects[f"{name} not finite"] = f"{(~np.isfinite(answer)).sum()} numbers"
    for name in ("transform", "complete", "draws"):
        kept = answers[name][..., observed].astype(asked.values.dtype)
        if not np.array_equal(
            kept, np.broadcast_to(asked.values[observed], kept.shape)
        ):
            defects[f"observed entries changed by {name}"] = ""
    if not np.allclose(answers["pickle"], answers["transform"], equal_nan=True):
        gap = np.abs(answers["pickle"] - answers["transform"]).max()
        defects["pickled estimator completes otherwise"] = f"by {gap:.3g}"
    together = np.stack([completed[entries], std[entries]])
    # Means of the components add up, and deviations rest on their differences.
    sizes = np.abs(estimator.means_).max(axis=0)[entries[1]]
    rounding = ROUNDINGS * np.finfo(completed.dtype).eps * sizes
    if not np.allclose(
        together, answers["entries"], rtol=1e-3, atol=rounding, equal_nan=True
    ):
        gap = np.abs(together - answers["entries"]).max()
        defects["entries differ from the matrix"] = f"by {gap:.3g}"
    # A floor under variances leaves no entry certain. 'factor' has one of its own.
    options = case.traits["options"]
    is_factor = case.traits["kind"] == "factor"
    floor = options["min_variance"]
    if not is_factor:
        floor = max(floor, options["reg_covar"])
    certain = std[entries] <= ZERO * np.sqrt(floor)
    is_in_range = (
        not is_factor
        or np.sqrt(estimator.noise_variance_.min()) > np.finfo(std.dtype).tiny
    )
    if (floor > 0 or is_factor) and is_in_range and certain.any():
        defects["std of 0"] = f"{certain.sum()} of {len(truth)} entries"


def _check_attributes(estimator, defects):
    for name, value in vars(estimator).items():
        # Without an iteration there is no objective.
        if not name.endswith("_") or name.startswith("lower_bound"):
            continue
        is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if is_float and not np.isfinite(value).all():
            defects[f"{name} not finite"] = ""


def _check_objective(estimator, table, defects):
    bounds = np.array(getattr(estimator, "lower_bounds_", []))
    if not np.isfinite(bounds).all():
        defects["lower_bounds_ not finite"] = ""
    elif (
        len(bounds) > 1
        and _regularized_share(estimator) < NEGLIGIBLE_SHARE
        and np.abs(table.values).max() > MIN_MAGNITUDE[table.values.dtype.char]
    ):
        # Terms of priors do not count by row.
        weights = table.weights
        total = len(table.values) if weights is None else weights.sum()
        falls = -np.diff(bounds) / (1 + 1 / total + np.abs(bounds[:-1]))
        limit = FALL[table.values.dtype.char]
        limit = max(limit, _measure_rounding(estimator, table))
        # Where the last step began at the maximum, reg_covar leads away from it.
        limit += _regularized_share(estimator) * table.values.shape[1]
        if falls.max() > limit:
            defects["objective falls"] = f"by {falls.max():.3g} at {falls.argmax() + 1}"


def _measure_rounding(estimator, table):
    """Rounding error of the objective, by the numbers that it is a difference of."""
    if estimator.covariance_type == "factor":
        means, covariances = estimator.factor_means_, estimator.factor_covariances_
        solved = np.linalg.solve(covariances, means[:, :, None])[:, :, 0]
        lengths = np.sum(means * solved, axis=1)
        # Without rows, the prior pulls intercepts far from their columns.
        weights = table.observed + TINY
        centers = np.average(table.values.astype(float), axis=0, weights=weights)
        squares = (estimator.intercept_ - centers) ** 2 / estimator.noise_variance_
        return ROUNDINGS * EPS * max(lengths.max(), squares.max())
    if estimator.covariance_type in ("spherical", "diag"):
        # Sums about the common mean lose the variance of a component far from it.
        variances = estimator.covariances_.reshape(len(estimator.means_), -1)
        offsets = estimator.means_ - estimator.weights_ @ estimator.means_
        return ROUNDINGS * EPS * np.max(offsets**2 / variances)
    covariances = estimator.covariances_
    scales = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    values = np.linalg.eigvalsh(covariances / scales[..., None] / scales[..., None, :])
    ratio = np.max(values[..., -1] / np.maximum(values[..., 0], EPS))
    if estimator.min_variance > 0:  # a floor under eigenvalues of any column
        ratio = max(ratio, scales.max() ** 2 / estimator.min_variance)
    return ROUNDINGS * EPS * ratio


def _regularized_share(estimator):
    """Share of reg_covar in the smallest variance, by which it lowers the objective.

    It is added after the M-step, so that variances lie above the maximum of the
    objective by this much. `min_variance` moves them to the maximum on its bound.
    """
    if estimator.covariance_type == "factor":
        return 0.0
    variances = estimator.covariances_
    if estimator.covariance_type in ("tied", "full"):
        precisions = estimator.precisions_
        variances = 1 / np.diagonal(precisions, axis1=-2, axis2=-1)
    return estimator.reg_covar / variances.min()


def run(seed, index):
    """Draw an input and examine it."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with np.errstate(all="ignore"):
            case = draw_case(seed, index, folder)
        return case, examine(case)


def report(outcomes):
    """Print tallies of [(kind, index, outcome)]."""
    names = ("ok", "refused", "defect")
    tally = Counter((kind, outcome.name) for kind, _, outcome in outcomes)
    print(f"{'':<10}" + "".join(f"{name:>9}" for name in names))
    for kind in KINDS:
        print(f"{kind:<10}" + "".join(f"{tally[kind, name]:>9}" for name in names))
    groups = {"warned": defaultdict(list), "refused": defaultdict(list)}
    groups["defects"] = defaultdict(list)
    for kind, index, outcome in outcomes:
        for warned in outcome.warned:
            groups["warned"][warned].append((kind, index, ""))
        for defect, detail in outcome.defects.items():
            groups["defects"][defect].append((kind, index, detail))
        if outcome.name == "refused":
            start = re.sub(r"[-\d.e+]*\d", "#", outcome.refusal)[:60]
            groups["refused"][start].append((kind, index, ""))
    print("\nNumbers in lines of their own are inputs; --only repeats one.")
    for title, members in groups.items():
        print(f"\n{title}")
        for text, found in sorted(members.items(), key=lambda m: -len(m[1])):
            counts = Counter(kind for kind, *_ in found)
            kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items())
            print(f"{len(found):>6}  {text} ({kinds})")
            if title == "warned":
                continue
            for _, index, detail in found[:SHOWN]:
                print(f"{index:>12}: {detail}" if detail else f"{index:>12}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, metavar="INDEX", help="repeat one input")
    parser.add_argument("n", type=int, nargs="?", help="number of inputs")
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    if options.only is None:
        outcomes = []
        for index in range(options.n):
            case, outcome = run(options.seed, index)
            outcomes.append((case.traits["kind"], index, outcome))
        report(outcomes)
        return
    case, outcome = run(options.seed, options.only)
    for name, trait in case.traits.items():
        print(f"{name}: {trait}")
    print(outcome.name, outcome.defects, outcome.refusal)
    if outcome.error is not None:
        traceback.print_exception(outcome.error)


if __name__ == "__main__":
    main()
