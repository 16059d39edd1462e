# SPDX-License-Identifier: BSD-3-Clause
"""
How do I impute a frame with numbers, categories and dates?
===========================================================

Tables of practice have columns of many kinds, and entries are missing together: a
patient whose blood was not drawn lacks all results of the laboratory.
:class:`~sklearn_gmmcf.MixtureImputer` takes such a frame as it is, and returns a
complete one. Here it completes the table of a made-up clinic, of which all true values
are known.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_gmmcf import MixtureImputer
from sklearn_gmmcf.plotting import ImputationDisplay, MissingnessDisplay

rng = np.random.default_rng(0)
n = 1000
diabetic = rng.random(n) < 0.35
age = (rng.normal(48, 14, n) + 10 * diabetic).clip(18, 90).round()
bmi = rng.normal(25 + 4 * diabetic, 3)
glucose = rng.lognormal(1.6 + 0.3 * diabetic + 0.004 * (age - 48), 0.12)
visits = rng.poisson(1.5 + 5 * diabetic)
days = (60 * visits + rng.normal(100, 30, n)).round()
others = np.where(rng.random(n) < 0.3, "heart", "general")
truth = pd.DataFrame(
    {
        "patient": [f"P{i:04d}" for i in range(n)],
        "age": age.astype(int),
        "bmi": bmi.round(1),
        "pressure": rng.normal(95 + 0.5 * age + 0.9 * (bmi - 25), 8)
        .round()
        .astype(int),
        "glucose": glucose.round(1),
        "hba1c": rng.normal(3.2 + 0.42 * glucose, 0.2).round(1),
        "visits": visits,
        "first visit": pd.Timestamp("2024-01-01") - pd.to_timedelta(days, "D"),
        "ward": np.where(diabetic & (rng.random(n) < 0.9), "diabetes", others),
        "smokes": rng.random(n) < 0.25,
    }
)

# %%
# A tenth of all entries is missing by chance, and blood was drawn from older patients
# more often. Their age is in the table, so that this is *missing at random*.

hidden = rng.random(truth.shape) < 0.1
hidden[:, 0] = False  # the names of the patients are complete
no_blood = rng.random(n) < np.where(age > 50, 0.1, 0.5)
hidden[np.ix_(no_blood, [4, 5])] = True
table = truth.mask(hidden)
some = np.flatnonzero(hidden.sum(axis=1) > 1)[:5]
print(table.iloc[some].to_string())

MissingnessDisplay.from_data(table, max_patterns=12)
plt.gcf().set_size_inches(5, 5)
plt.show()

# %%
# No setting is needed. Columns keep their kinds: ages and visits, of which pandas makes
# floats where entries are missing, are whole numbers; the names of the patients, which
# say nothing about them, pass through.

imputer = MixtureImputer(random_state=0)
completed = imputer.fit_transform(table)

print(completed.iloc[some].to_string())
print("entries missing:", int(completed.isna().sum().sum()))
print("observed entries unchanged:", completed.mask(hidden).equals(table))

# %%
# How good is it?
# ---------------
#
# The imputer holds out a tenth of the observed entries, and reports the size of its
# errors: ``expected_error_``, in the units of each column (dates in days; categories
# and bools: the share of wrong ones). These entries are held out one by one, so that
# the expected error of ``glucose`` is its error where the other blood test is observed,
# which is rarely the case. Standard deviations account for that: they depend on the
# observed entries of the row. Here both stand beside the true errors, and beside the
# errors of the column's mean or mode.

completed, std = imputer.complete(table, return_std=True)
lower, upper = imputer.predict_interval(table, coverage=0.9)


def measure(guess, name, missing):
    """Root mean square of errors, or share of wrong levels."""
    if name not in std:
        return (guess[name] != truth[name])[missing].mean()
    difference = (guess[name] - truth[name])[missing]
    if name == "first visit":
        difference = difference / pd.Timedelta(days=1)
    return np.sqrt((difference**2).mean())


print("                mean or mode  error  expected  std   within 90 % intervals")
inside = {}
for j, name in enumerate(truth.columns[1:], 1):
    missing = hidden[:, j]
    middle = table[name].mean() if name in std else table[name].mode()[0]
    baseline = measure(pd.DataFrame({name: middle}, index=table.index), name, missing)
    error, expected = measure(completed, name, missing), imputer.expected_error_[j]
    line = f"{name:>12}: {baseline:12.2f} {error:9.2f} {expected:8.2f}"
    if name in std:
        inside[name] = truth[name].between(lower[name], upper[name])[missing].mean()
        typical = np.sqrt((std[name][missing] ** 2).mean())
        line += f" {typical:8.2f}  {inside[name]:.0%}"
    print(line)

# %%
# All columns are completed better than by their mean or mode but ``smokes``, which is
# unrelated to all other columns. About nine in ten intervals hold the true value, in
# each column.
#
# Intervals depend on what was observed
# -------------------------------------
#
# The intervals of HbA1c are narrow where glucose was measured, and wide where no blood
# was drawn.

missing = table["hba1c"].isna()
kinds = {
    "glucose observed": missing & table["glucose"].notna(),
    "no blood drawn": missing & table["glucose"].isna(),
}
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
start = 0
for (label, rows), color in zip(kinds.items(), ["#0072B2", "#D55E00"], strict=True):
    width = (upper["hba1c"] - lower["hba1c"])[rows].mean()
    print(f"{label}: {rows.sum()} patients, mean width of the intervals {width:.1f}")
    shown = completed["hba1c"][rows].sort_values().index[:: 1 + rows.sum() // 40]
    at = start + np.arange(len(shown))
    ax.vlines(at, lower["hba1c"][shown], upper["hba1c"][shown], color)
    ax.plot(at, truth["hba1c"][shown], "k.", ms=4)
    ax.text(at.mean(), 4.1, label, color=color, ha="center")
    start += len(shown) + 3
ax.set(ylabel="HbA1c (%)", xticks=[], ylim=(3.9, None))
ax.set_xlabel("patients without HbA1c, by their completed value")
ax.set_title("Intervals are wide where no blood was drawn\n(dots: true values)")
plt.show()

# %%
# Categories have probabilities. Where the most probable ward has a probability of 80 %,
# it should be right in 80 % of the cases:

proba = imputer.complete_proba(table)["ward"][hidden[:, 8]]
levels = imputer.encoder_.categories_["ward"]
right = levels[proba.argmax(axis=1)] == truth["ward"][hidden[:, 8]]
print(f"mean probability of the chosen ward {proba.max(axis=1).mean():.0%}", end=", ")
print(f"right in {right.mean():.0%}")

# %%
# Before and after
# ----------------
#
# Imputed values of glucose are lower than the observed ones, as they should be: blood
# was drawn from older patients. They also vary less, since each is a mean: draws
# (``sample_completions``) vary as observed values do, and are right for statistics of
# the completed table (:doc:`/guide/uncertainty`).

ImputationDisplay.from_tables(table, completed, columns=["glucose", "ward"])
plt.gcf().set_size_inches(5, 2.8)
plt.show()

# %%
# New patients need no refit:

new = table.tail(2).assign(age=[np.nan, 55], ward=["diabetes", None])
print(new.to_string())
print(imputer.transform(new).to_string())

# %%
# See also
# --------
#
# :doc:`/guide/impute`; :doc:`/gallery/tables/plot_survey` for answers from 1 to 5;
# :doc:`/gallery/tables/plot_sensors` for time series.

# sphinx_gallery_thumbnail_number = 2
