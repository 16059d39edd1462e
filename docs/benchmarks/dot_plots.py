# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of the results: one for each question, with a finding as its title.

    python docs/benchmarks/dot_plots.py FOLDER

writes FOLDER/NAME.svg for each function in `PICTURES`, and the titles to
FOLDER/findings.json; the site does so when it is built. A function takes the folder of
results and returns a figure, whose label is its title; all numbers in titles come from
the results. A dot is a data set, a cell or a fold; ours are in the accent color.
"""

import json
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import choosing_k
import matplotlib
import multiple_imputation
import numpy as np
import printed
import ranking
import ratings
import scale
import tables
from cells import load, parser
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

ACCENT, MUTED, TEXT = "#0b62a4", "#8a9299", "#30363b"
WIDTH, ROW, FONT = 5.2, 0.285, 10.5  # inches, inches, points
RIGHT = 0.15  # inches beside the last panel
MAX_LETTERS = 51  # of a line of a title
STYLE = {
    "font.size": FONT,
    "svg.hashsalt": "sklearn-gmmcf",
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "axes.edgecolor": "#c3c9ce",
}
SETS = {
    "ml-latest-small": "MovieLens",
    "jester": "Jester",
    "netflix": "Netflix",
}


@dataclass(frozen=True)
class Row:
    """A line of dots: its label, its values in each panel, and whether it is ours."""

    label: str
    values: tuple  # for each panel: numbers, or a text in their place
    ours: bool = False
    notes: tuple = ()  # for each panel: a text at the right


@dataclass(frozen=True)
class Panel:
    """An axis: its name, scale, limits and ticks, and a reference line.

    ``notes`` says which number stands at the right of each row.
    """

    name: str
    limits: tuple
    ticks: tuple
    log: bool = False
    line: float | None = None
    heading: str = ""
    notes: str = ""
    medians: bool = True


def draw(title, panels, rows, gaps=(), room=0.0):
    """Rows of dots in panels side by side; a tick marks the median of a row.

    ``gaps`` are the indices of rows above which a thin line separates groups; ``room``
    is the share of a panel that is kept free for the notes at its right.
    """
    has_headings = any(panel.heading or panel.notes for panel in panels)
    figure, top = _make_figure(title, ROW * len(rows) + 0.6, 0.3 if has_headings else 0)
    left = 0.2 + max(map(_measure, rows))
    between = 0.16
    width = (WIDTH - left - RIGHT + between) / len(panels) - between
    with matplotlib.rc_context(STYLE):
        for n, panel in enumerate(panels):
            box = left + n * (width + between), 0.6, width, ROW * len(rows)
            axes = figure.add_axes(np.divide(box, [WIDTH, top] * 2))
            _draw_panel(axes, panel, n, rows, gaps, room)
    return figure


def _measure(row):
    """The width of a label in inches."""
    font = FontProperties(weight="bold" if row.ours else "normal")
    return TextPath((0, 0), row.label, FONT, prop=font).get_extents().width / 72


def _make_figure(title, height, headings=0.0):
    """A figure with its title; also its height in inches."""
    unbroken = title.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(unbroken, MAX_LETTERS, break_on_hyphens=False)
    height += 0.25 + 0.225 * len(lines) + headings
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, height), facecolor="white", label=title)
        figure.text(
            0.012, 1 - 0.1 / height, "\n".join(lines),
            va="top", weight="bold", fontsize=FONT + 1, linespacing=1.25,
        )  # fmt: skip
    return figure, height


def _draw_panel(axes, panel, n, rows, gaps, room):
    known = [row.values[n] for row in rows if not isinstance(row.values[n], str)]
    low = min(panel.limits[0], *map(np.nanmin, known))
    high = max(panel.limits[1], *map(np.nanmax, known))
    if panel.log:
        axes.set_xscale("log")
        high = high * (high / low) ** (room / (1 - room))
    else:
        high = high + (high - low) * room / (1 - room)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(panel.ticks, [f"{tick:g}" for tick in panel.ticks])
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", length=3, labelsize=FONT - 1)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(panel.name, fontsize=FONT - 0.5)
    if panel.heading:
        axes.set_title(panel.heading, fontsize=FONT - 0.5, loc="left")
    if panel.notes:
        axes.set_title(panel.notes, fontsize=FONT - 1, loc="right", color=MUTED)
    if panel.line is not None:
        axes.axvline(panel.line, color=TEXT, lw=0.8, zorder=0)
    for gap in gaps:
        axes.axhline(gap - 0.5, color="#e3e6e8", lw=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [row.label for row in rows] if n == 0 else [])
    for label, row in zip(axes.get_yticklabels(), rows, strict=n == 0):
        label.set_color(ACCENT if row.ours else TEXT)
        label.set_weight("bold" if row.ours else "normal")
    for y, row in enumerate(rows):
        color = ACCENT if row.ours else MUTED
        values = row.values[n]
        if isinstance(values, str):
            axes.text(
                0.1, y, values, color=MUTED, va="center", fontsize=FONT - 1.5,
                transform=axes.get_yaxis_transform(), style="italic",
            )  # fmt: skip
            continue
        values = np.asarray(values, dtype=np.float64)
        values = np.sort(values[~np.isnan(values)])
        many = len(values) > 12
        spread = 0.24 * np.sin(2.4 * np.arange(len(values))) if many else 0
        axes.scatter(
            values, y + np.broadcast_to(spread, values.shape),
            s=11 if many else 30, color=color, alpha=0.55 if many else 0.75,
            linewidths=0, clip_on=False, zorder=3,
        )  # fmt: skip
        if panel.medians and len(values) > 2:
            axes.plot([np.median(values)] * 2, [y - 0.38, y + 0.38], color=color, lw=2)
        if row.notes:
            axes.text(
                1.0, y, row.notes[n], color=color, va="center", ha="right",
                fontsize=FONT - 1, weight="bold" if row.ours else "normal",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip


def sort(rows):
    """Ours first, then by the medians of the first panel; texts last."""

    def key(row):
        values = row.values[0]
        return not row.ours, np.inf if isinstance(values, str) else np.nanmedian(values)

    return sorted(rows, key=key)


def results(folder, name):
    """[(cell, result)] of a trial."""
    entries = load(folder / f"{name}.json")
    return [(entry["cell"], entry["result"]) for entry in entries]


def _ratios_of_tables(folder, group, name="rmse"):
    """Models, keys, and errors over the best other one (or other values) of a group."""
    found = results(folder, "tables")
    keys = [(t, *c) for t in tables.GROUPS[group] for c in tables.CONDITIONS]
    models = list(dict.fromkeys(cell["model"] for cell, _ in found))
    values = tables.gather(found, name, keys, models)
    if name == "rmse":
        values = tables.relative_to_best_other(values, models)
    return models, keys, values


def draw_tables(folder):
    """Errors of imputers over the error of the best other one, a dot a cell."""
    models, _, ratios = _ratios_of_tables(folder, "reported")
    ours = ratios[:, models.index("MixtureImputer")]
    rows = [
        Row(
            tables.SHORT.get(model, model).replace("Mixture", "MixtureImputer"),
            (column,),
            model == "MixtureImputer",
            (f"{np.nanmedian(column):.2f}",),
        )
        for model, column in zip(models, ratios.T, strict=True)
        if not np.isnan(column).all()
    ]
    title = (
        f"MixtureImputer is best or within 2 % of the best other imputer in "
        f"{(ours <= tables.MARGIN).sum()} of {len(ours)} cells; its worst cell is "
        f"{100 * (ours.max() - 1):.0f} % above the best"
    )
    ticks = (0.8, 1, 1.25, 1.5, 2)
    panel = Panel(
        "RMSE over the best other library (log scale)", (0.75, 2.35), ticks, log=True,
        line=1, notes="median",
    )  # fmt: skip
    return draw(title, [panel], sort(rows), room=0.13)


def draw_conditions(folder):
    """Our errors over the best other one by what is missing, a dot a table."""
    conditions = [tables.name_condition(*condition) for condition in tables.CONDITIONS]
    columns, medians = [], []
    for group in ("reported", "chosen"):
        models, _, ratios = _ratios_of_tables(folder, group)
        ours = ratios[:, models.index("MixtureImputer")]
        ours = ours.reshape(-1, len(conditions))
        columns.append(ours.T)
        medians.append(np.median(ours, axis=0))
    rows = [
        Row(name, values, True, tuple(f"{np.median(v):.2f}" for v in values))
        for name, values in zip(conditions, zip(*columns, strict=True), strict=True)
    ]
    low, high = medians[0].min(), medians[0].max()
    title = (
        f"On tables used for no choice the median error is {low:.2f} to {high:.2f} "
        f"times the best other error, whatever is missing"
    )
    n_tables = [len(tables.GROUPS[group]) for group in ("reported", "chosen")]
    panels = [
        Panel(
            "RMSE over the best other",
            (0.75, 1.32),
            (0.8, 1, 1.2),
            True,
            1,
            heading,
            "median",
        )
        for heading in (
            f"{n_tables[0]} reported",
            f"{n_tables[1]} chosen on",
        )
    ]
    return draw(title, panels, rows, room=0.2)


def draw_mixed(folder):
    """Tables with categories: errors over our errors, a dot a table."""
    found = {(c["table"], c["model"]): r for c, r in results(folder, "tables-mixed")}
    models, names = list(tables.MIXED_MODELS), tables.MIXED
    wrong, errors = (
        np.array([[get(found[name, model]) for model in models] for name in names])
        for get in (lambda r: 1 - r["accuracy"], lambda r: r["rmse"])
    )
    wrong, errors = wrong / wrong[:, :1], errors / errors[:, :1]
    worse = [name for name, w in zip(names, wrong, strict=True) if w.min() < 1]
    title = (
        f"MixtureImputer completes numbers best on all {len(names)} tables with "
        f"categories, and categories on {len(names) - len(worse)}: not on "
        f"{' and '.join(worse)}"
    )
    assert (errors.min(axis=1) == 1).all()
    rows = [
        Row(model, (w, e), n == 0)
        for n, (model, w, e) in enumerate(zip(models, wrong.T, errors.T, strict=True))
    ]
    panels = [
        Panel("wrong categories over ours", (0.9, 3.7), (1, 2, 3), True, 1),
        Panel("RMSE over ours", (0.9, 2.5), (1, 1.5, 2), True, 1),
    ]
    return draw(title, panels, sort(rows))


def _ratings(folder):
    """Errors by fold over factor's, seconds, and failures: {model: {set: results}}."""
    found = {}
    for name in SETS:
        for cell, result in results(folder, f"ratings-{name}"):
            by_set = found.setdefault(cell["model"], {name: {} for name in SETS})
            by_set[name][cell["fold"]] = result
    return found


def _values(by_fold, get):
    good = [get(fold, r) for fold, r in by_fold.items() if "failed" not in r]
    return good or "over 90 s"


def draw_ratings(folder):
    """Errors on held-out ratings over the error of 'factor', a dot a fold."""
    found = _ratings(folder)
    factor = found["ours, factor"]
    rows = []
    for model, by_set in found.items():
        values = tuple(
            _values(by_fold, lambda f, r, own=factor[name]: r["rmse"] / own[f]["rmse"])
            for name, by_fold in by_set.items()
        )
        rows.append(Row(model, values, model in ratings.OUR_MODELS))
    leads = []
    for n in range(len(SETS)):
        others = [
            r.values[n] for r in rows if not (r.ours or isinstance(r.values[n], str))
        ]
        leads.append(100 * (min(map(np.mean, others)) - 1))
    names = list(SETS.values())
    assert min(leads) > 0
    parts = [f"{lead:.1f} % ({name})" for lead, name in zip(leads, names, strict=True)]
    title = (
        f"'factor' has the lowest error on all {len(SETS)} sets of ratings; the error "
        f"of the next library is {', '.join(parts[:-1])} and {parts[-1]} higher"
    )
    panels = [
        Panel(name, (0.98, 1.28), (1, 1.1, 1.2), True, 1, heading)
        for name, heading in zip(("", "RMSE over factor's", ""), names, strict=True)
    ]
    return draw(title, panels, _shorten(_sort_by_all(rows)))


def draw_seconds_of_ratings(folder):
    """Seconds of a fold on one thread, its grid included, a dot a fold."""
    found = _ratings(folder)
    rows = []
    for model, by_set in found.items():
        values = tuple(
            _values(by_fold, lambda f, r: r["fit_seconds"])
            for by_fold in by_set.values()
        )
        n_fits = ratings.n_fits(ratings.MODELS[model][1])
        label = model if n_fits == 1 else f"{model}, {n_fits} fits"
        rows.append(Row(label, values, model in ratings.OUR_MODELS))
    seconds = [
        np.mean([r["fit_seconds"] for r in by_fold.values()])
        for by_fold in found["ours, factor"].values()
    ]
    title = (
        f"A fit of 'factor' takes {min(seconds):.1f} to {max(seconds):.0f} seconds; "
        f"Surprise's default SVD, with larger errors, is faster on "
        f"{_count_faster(found)} of {len(SETS)} sets"
    )
    panels = [
        Panel(name, (3e-4, 300), (0.01, 1, 100), True, None, heading)
        for name, heading in zip(("", "seconds a fold", ""), SETS.values(), strict=True)
    ]
    return draw(title, panels, _shorten(_sort_by_all(rows)))


def _count_faster(found):
    return sum(
        np.mean(
            [r["fit_seconds"] for r in found["surprise SVD, default"][name].values()]
        )
        < np.mean([r["fit_seconds"] for r in found["ours, factor"][name].values()])
        for name in SETS
    )


def _sort_by_all(rows):
    """Ours first, then by the mean of the medians of the panels with numbers."""

    def key(row):
        known = [np.median(v) for v in row.values if not isinstance(v, str)]
        return not row.ours, np.mean(np.log(known)) if known else np.inf

    return sorted(rows, key=key)


def _shorten(rows):
    names = {
        "surprise": "Surprise",
        "KNNBaseline": "KNN",
        "BaselineOnly": "baseline",
        ", rank 10, 200 sweeps": "",
        " CMF": "",
        ", tuned, ": ", ",
    }
    shortened = []
    for row in rows:
        label = row.label
        for old, new in names.items():
            label = label.replace(old, new)
        shortened.append(replace(row, label=label))
    return shortened


def draw_ranking(folder):
    """NDCG@10 of lists on later ratings."""
    found = results(folder, "ranking")
    by_model = {}
    for cell, result in found:
        by_model.setdefault(cell["model"], {})[cell["split"]] = result["ndcg"]
    rows = [
        Row(
            model, tuple([scores[split]] for split in ranking.SPLITS),
            model.startswith("ours"),
            tuple(f"{scores[split]:.3f}" for split in ranking.SPLITS),
        )
        for model, scores in by_model.items()
    ]  # fmt: skip
    own = by_model["ours, factor, by utility"]["per user"]
    others = {m: s for m, s in by_model.items() if not m.startswith("ours")}
    best = max(others, key=lambda model: others[model]["per user"])
    value = by_model["ours, factor, by value"]["per user"]
    popular = by_model["popularity"]["per user"]
    title = (
        f"Lists by utility have an NDCG of {own:.3f}, like {best.split(' on ')[0]} "
        f"({others[best]['per user']:.3f}); lists by expected rating have {value:.3f}, "
        f"{'less' if value < popular else 'more'} than popularity ({popular:.3f})"
    )
    panels = [
        Panel("NDCG@10", (0, 0.14), (0, 0.05, 0.1), heading="split by user"),
        Panel("NDCG@10", (0, 0.2), (0, 0.1, 0.2), heading="split by moment"),
    ]
    rows.sort(key=lambda row: (not row.ours, -row.values[0][0]))
    names = {
        "ratings observed": "all ratings",
        "ratings of 4 or more": "ratings 4+",
        "ours, factor, by": "ours, by",
        "CMF_implicit": "implicit",
        "surprise": "Surprise",
    }
    for old, new in names.items():
        rows = [replace(row, label=row.label.replace(old, new)) for row in rows]
    return draw(title, panels, rows, room=0.3)


def draw_intervals(folder):
    """Shares of hidden values inside 90 % intervals: a dot a table, fold or mean."""
    models, keys, covered = _ratios_of_tables(folder, "reported", "coverage")
    own = covered[:, models.index("MixtureImputer")]
    rows = []
    for condition in tables.CONDITIONS:
        values = own[[key[1:] == condition for key in keys]]
        name = f"tables, {tables.name_condition(*condition)}"
        rows.append(Row(name, (100 * values,), True, (f"{100 * values.mean():.1f}",)))
    found = _ratings(folder)["ours, factor"]
    for name, label in SETS.items():
        values = [100 * r["coverage"] for r in found[name].values()]
        rows.append(Row(label, (values,), True, (f"{np.mean(values):.1f}",)))
    means = []
    for n_rows, *pairs in printed.read(folder)["intervals"]["rows"]:
        values = [100 * mean for mean in pairs[::2] if mean is not None]
        means += values
        note = f"{np.mean(values):.1f}"
        rows.append(Row(f"means, {n_rows:,} rows", (values,), True, (note,)))
    by_condition = [np.mean(row.values[0]) for row in rows[: len(tables.CONDITIONS)]]
    title = (
        f"90 % intervals hold {min(by_condition[:-1]):.0f} to "
        f"{max(by_condition[:-1]):.0f} % of entries missing at random on tables, "
        f"{by_condition[-1]:.0f} % where the value decides what is missing"
    )
    panel = Panel(
        "percent of hidden values inside", (68, 100), (70, 80, 90, 100), line=90,
        notes="mean",
    )  # fmt: skip
    n_conditions = len(tables.CONDITIONS)
    gaps = (n_conditions, n_conditions + len(SETS))
    return draw(title, [panel], rows, gaps, room=0.12)


def draw_multiple_imputation(folder):
    """Coverage and bias of pooled estimates, a dot for each table and estimate."""
    coverage, bias = {}, {}
    for cell, result in results(folder, "multiple-imputation"):
        method = cell["method"]
        coverage.setdefault(method, []).extend(100 * np.array(result["coverage"]))
        bias.setdefault(method, []).extend(result["bias"])
    rows = []
    for method, values in coverage.items():
        label = method.replace("``", "").replace("parameters=", "").replace('"', "")
        label = label.replace("(sample_posterior=True)", "").replace(
            "statsmodels, ", ""
        )
        label = label.replace("Bayesian bootstrap", "bootstrap")
        label = label.replace("rows without missing entries", "complete rows alone")
        label = label.replace("posterior, donors=5", "donors=5")
        rows.append(Row(label, (values, bias[method]), method.startswith("ours")))
    own = coverage['ours, ``parameters="posterior"``']
    once = coverage["completed once"]
    title = (
        f"With draws from the posterior of the parameters 95 % intervals hold the "
        f"truth in {min(own):.0f} to {max(own):.0f} % of the tables; after one "
        f"completion in {min(once):.0f} to {max(once):.0f} %"
    )
    panels = [
        Panel("coverage, percent", (40, 100), (40, 60, 80, 95), line=95),
        Panel("bias", (-0.35, 0.15), (-0.3, -0.15, 0, 0.15), line=0),
    ]

    def key(row):
        distance = np.median(np.abs(np.subtract(row.values[0], 95)))
        return row.label == multiple_imputation.COMPLETE, not row.ours, distance

    rows.sort(key=key)
    return draw(title, panels, rows)


def draw_choosing_k(folder):
    """The K that is chosen in each of ten draws."""
    chosen = {}
    for cell, result in results(folder, "choosing-k"):
        chosen.setdefault((cell["method"], cell["data"]), []).append(result["chosen"])
    true = choosing_k.TRUE
    rows, hits = [], {}
    for label, method in choosing_k.METHODS.items():
        values = [np.array(chosen.get((method, data), [])) for data in true]
        if not all(map(len, values)):
            continue
        counts = [
            int((v == K).sum()) for v, K in zip(values, true.values(), strict=True)
        ]
        hits[label] = counts
        ours = label.startswith("ours")
        # Draws of the same K lie beside each other.
        placed = tuple(_place_beside(v) for v in values)
        notes = tuple(
            f"{count} of {len(v)}" for count, v in zip(counts, values, strict=True)
        )
        label = label.replace("hidden entries of new rows", "new rows")
        label = label.replace("scikit-learn, BIC, complete", "sklearn, complete")
        rows.append(Row(label, placed, ours, notes))
    bic, icl = hits["ours, BIC"], hits["ours, ICL"]
    title = (
        f"With missing entries the BIC finds the true K in {sum(bic)} of "
        f"{10 * len(bic)} draws, the ICL in {sum(icl)}"
    )
    panels = [
        Panel(
            "chosen K",
            (1.5, 5.5),
            (2, 3, 4, 5),
            line=K,
            medians=False,
            notes="true K",
            heading=f"{data}, K={K}",
        )
        for data, K in ((d.split(",")[0], K) for d, K in true.items())
    ]
    return draw(title, panels, rows, room=0.32)


def _place_beside(values):
    placed = np.empty(len(values))
    for value in set(values.tolist()):
        same = np.flatnonzero(values == value)
        placed[same] = value + 0.075 * (np.arange(len(same)) - (len(same) - 1) / 2)
    return placed


def draw_gross_errors(folder):
    """How much gross errors raise the error of the other entries, ranges of seeds."""
    table = printed.read(folder)["gross-errors"]
    rows = []
    for label, *ranges in table["rows"]:
        for K, values in zip((1, 2, 4), ranges, strict=True):
            kind = label.replace("`", "")
            gaussian = kind.startswith("None")
            name = "Gaussian" if gaussian else f"t, {kind}".replace("'", "")
            rows.append(Row(f"{name}, K={K}", (values,), not gaussian))
    ours = max(max(row.values[0]) for row in rows if row.ours)
    worst = max(max(row.values[0]) for row in rows)
    least = min(min(row.values[0]) for row in rows if not row.ours)
    title = (
        f"3 % of gross errors raise the error of Gaussian components {least:.2f} to "
        f"{worst:.1f} times, of t components by at most {100 * (ours - 1):.0f} %"
    )
    panel = Panel(
        "RMSE with over without gross errors (log scale)", (0.95, 26),
        (1, 2, 5, 10, 20), log=True, line=1,
    )  # fmt: skip
    return draw(title, [panel], rows, gaps=(3, 6))


def draw_defaults(folder):
    """Defaults of imputers: errors over the error of ours, a dot a table."""
    table = printed.read(folder)["defaults"]
    errors = np.array([row[1:] for row in table["rows"]])
    ratios = errors / errors[0]
    labels = [row[0].strip("`").removesuffix("()") for row in table["rows"]]
    rows = [
        Row(label, (values,), n < 2, (f"{np.median(values):.2f}",))
        for n, (label, values) in enumerate(zip(labels, ratios, strict=True))
    ]
    others = 100 * (ratios[2:].min(axis=0) - 1)
    title = (
        f"With defaults alone the next library's error is {others.min():.0f} to "
        f"{others.max():.0f} % above MixtureImputer's on four tables"
    )
    panel = Panel("RMSE over MixtureImputer's (log scale)", (0.97, 2.7),
                  (1, 1.25, 1.5, 2, 2.5), True, 1, notes="median")  # fmt: skip
    return draw(title, [panel], rows, room=0.15)


def draw_speed(folder):
    """Times of others over ours, a dot a case."""
    times = {}
    for cell, result in results(folder, "speed"):
        if "failed" in result:
            continue
        ratio = result["ratio"]
        # These two are our time over another one.
        inverse = cell["case"] in ("products", "complete")
        times.setdefault(cell["case"], []).append(1 / ratio if inverse else ratio)
    labels = {
        "loop": "loop over rows",
        "stepmix": "StepMix",
        "complete": "scikit-learn",
        "products": "sparse products",
    }
    rows = [Row(label, (times[case],)) for case, label in labels.items()]
    rows.insert(0, Row("ours", ([1.0],), True))
    complete, loop = times["complete"], times["loop"]
    title = (
        f"An iteration is {min(complete):.1f} to {max(complete):.1f} times as fast as "
        f"scikit-learn's on complete data, {min(loop):.0f} to {max(loop):.0f} times as "
        f"fast as a loop over rows, {times['stepmix'][0]:.0f} times as fast as "
        f"StepMix's"
    )
    panel = Panel(
        "time of an iteration over ours (log scale)", (0.5, 500), (0.5, 1, 10, 100),
        log=True, line=1,
    )  # fmt: skip
    return draw(title, [panel], rows)


def draw_growth(folder):
    """Exponents of the time of an iteration, by the size that doubles."""
    names = {
        "n": "rows", "d": "columns", "a_row": "ratings a row", "K": "components",
        "r": "factors",
    }  # fmt: skip
    exponents = {
        (c["covariance_type"], c["axis"]): r["exponent"]
        for c, r in results(folder, "scale")
        if c["case"] == "growth"
    }
    rows = [
        Row(
            f"{kind}, {name}", ([exponents[kind, axis]],), True,
            (f"{exponents[kind, axis]:.2f}",),
        )
        for kind in ("factor", "spherical")
        for axis, name in names.items()
        if (kind, axis) in exponents
    ]  # fmt: skip
    n_factor = sum(kind == "factor" for kind, _ in exponents)
    others = [v for (_, axis), v in exponents.items() if axis != "r"]
    title = (
        f"Time grows at most linearly with rows, columns, ratings and components "
        f"(exponents up to {max(others):.2f}), and faster with factors "
        f"({exponents['factor', 'r']:.2f})"
    )
    panel = Panel("exponent of the time of an iteration", (0, 1.5),
                  (0, 0.5, 1, 1.5), line=1)  # fmt: skip
    return draw(title, [panel], rows, (n_factor,), room=0.15)


def draw_large(folder):
    """Processor time of an iteration, and peak memory, of large fits."""
    rows, seconds, gigabytes = [], {}, {}
    for cell, result in results(folder, "scale"):
        if cell["case"] != "cost":
            continue
        kind = cell["settings"]["covariance_type"]
        size = f"{scale.SHAPES[cell['set']].n_ratings / 1e6:g} M"
        time, peak = result["processor_seconds"], result["memory"][0] / 1024
        seconds[kind, size], gigabytes[kind, size] = time, peak
        notes = f"{time:.3g} s", f"{peak:.1f} GiB"
        rows.append(Row(f"{kind}, {size}", ([time], [peak]), True, notes))
    title = (
        f"100 million ratings: an iteration of 'factor' takes "
        f"{seconds['factor', '100 M']:.0f} seconds of processor time, with "
        f"a peak memory of {gigabytes['factor', '100 M']:.1f} GiB"
    )
    panels = [
        Panel("seconds an iteration", (0, 40), (0, 20, 40)),
        Panel("peak memory, GiB", (0, 4), (0, 2, 4)),
    ]
    return draw(title, panels, rows, room=0.32)


def draw_course(folder):
    """Held-out errors by processor time, on ratings of the shape of MovieLens 25M."""
    courses = {}
    for cell, result in results(folder, "scale"):
        if cell["case"] == "course" and "failed" not in result:
            penalty = f", penalty {cell['penalty']:g}" if "penalty" in cell else ""
            name = "ours, factor" if cell["kind"] == "ours" else cell["kind"] + penalty
            courses[name] = result["processor_seconds"], result["errors"]
    own_seconds, own_errors = courses["ours, factor"]
    others = {k: v for k, v in courses.items() if not k.startswith("ours")}
    best = min(others, key=lambda name: min(others[name][1]))
    seconds, errors = others[best]
    lowest = int(np.argmin(errors))
    title = (
        f"{best.split(',')[0]} reaches its lowest error, {errors[lowest]:.3f}, after "
        f"{seconds[lowest]:.0f} seconds; 'factor' starts slower, is below it after "
        f"{own_seconds[0]:.0f}, and ends at {own_errors[-1]:.3f}"
    )
    assert own_errors[0] < errors[lowest]
    figure, height = _make_figure(title, 3.4)
    shifts = {"cmfrec, penalty 20": 6, "cmfrec, penalty 10": -5}
    with matplotlib.rc_context(STYLE):
        box = np.divide((0.65, 0.6, WIDTH - 2.1, 2.75), [WIDTH, height] * 2)
        axes = figure.add_axes(box)
        for name, (x, y) in courses.items():
            color = ACCENT if name.startswith("ours") else MUTED
            axes.plot(x, y, "o-", color=color, ms=4, lw=1.3)
            axes.annotate(
                name, (x[-1], y[-1]), (6, shifts.get(name, 0)),
                textcoords="offset points", color=color,
                va="center", fontsize=FONT - 1, annotation_clip=False,
                weight="bold" if name.startswith("ours") else "normal",
            )  # fmt: skip
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xlim=(0, None), ylim=(0.72, 0.84))
        axes.set_xlabel("seconds of processor time", fontsize=FONT - 0.5)
        axes.set_ylabel("RMSE on held-out ratings", fontsize=FONT - 0.5)
        axes.tick_params(length=3, labelsize=FONT - 1)
    return figure


PICTURES = {
    "tables": draw_tables,
    "conditions": draw_conditions,
    "mixed": draw_mixed,
    "defaults": draw_defaults,
    "ratings": draw_ratings,
    "ratings-seconds": draw_seconds_of_ratings,
    "ranking": draw_ranking,
    "intervals": draw_intervals,
    "multiple-imputation": draw_multiple_imputation,
    "choosing-k": draw_choosing_k,
    "gross-errors": draw_gross_errors,
    "speed": draw_speed,
    "growth": draw_growth,
    "large": draw_large,
    "course": draw_course,
}


def main():
    command = parser(__doc__)
    command.add_argument("folder", type=Path)
    command.add_argument("--format", default="svg")
    options = command.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    findings = {}
    for name, function in PICTURES.items():
        figure = function(options.results)
        findings[name] = figure.get_label()
        path = options.folder / f"{name}.{options.format}"
        metadata = {"Date": None} if options.format == "svg" else None
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, dpi=192, metadata=metadata)
    (options.folder / "findings.json").write_text(json.dumps(findings, indent=1) + "\n")


if __name__ == "__main__":
    main()
