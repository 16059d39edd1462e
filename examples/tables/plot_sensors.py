# SPDX-License-Identifier: BSD-3-Clause
"""
Sensors with gaps and outages: how do I use the time?
=====================================================

Four sensors measure the temperature every hour. Single values are lost, and sometimes
all sensors fail together. Mixtures know rows, and no time: nothing predicts an hour
without any value. Lag and lead columns, the values some hours before and after, bring
time into the row.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from scipy.signal import lfilter

from sklearn_gmmcf import MixtureImputer

rng = np.random.default_rng(0)
n = 720
hours = pd.date_range("2024-03-01", periods=n, freq="h")


def drift(persistence, scale, n_series):
    """Autoregressive series of a standard deviation."""
    steps = scale * np.sqrt(1 - persistence**2) * rng.standard_normal((n, n_series))
    return lfilter([1], [1, -persistence], steps, axis=0)


sensors = ["north", "east", "south", "west"]
shared = 2 * np.sin(2 * np.pi * hours.hour.to_numpy()[:, None] / 24) + drift(
    0.97, 1.5, 1
)
truth = 18 + shared * [1, 0.8, 1.2, 0.9] + drift(0.9, 0.5, 4)
truth = pd.DataFrame(truth, index=hours, columns=sensors)

# %%
# A tenth of the values is lost, and twelve times nothing is measured for three hours.

gap = rng.random(truth.shape) < 0.1
outage = np.zeros(truth.shape, dtype=bool)
for start in rng.choice(np.arange(10, n - 10, 15), 12, replace=False):
    outage[start : start + 3] = True
gap &= ~outage
table = truth.mask(gap | outage)

# %%
# ``shift`` makes lags and leads. Three hours either way suffice for outages of three
# hours: each missing hour then sees measured ones on both sides.


def add_lags(table, steps):
    """Append the values some hours before and after."""
    shifted = [table.shift(step).add_suffix(f" {-step:+d} h") for step in steps]
    return pd.concat([table, *shifted], axis=1)


tables = {
    "sensors alone": table,
    "1 hour around": add_lags(table, [1, -1]),
    "1 and 3 hours around": add_lags(table, [1, -1, 3, -3]),
}
found = {}
for name, lagged in tables.items():
    imputer = MixtureImputer(random_state=0).fit(lagged)
    completed = imputer.transform(lagged)[sensors]
    lower, upper = (ends[sensors] for ends in imputer.predict_interval(lagged))
    inside = (lower <= truth) & (truth <= upper)
    found[name] = completed, lower, upper
    print(f"{name} ({lagged.shape[1]} columns)")
    for kind, entries in [("gaps", gap), ("outages", outage)]:
        rmse = np.sqrt(np.mean((completed - truth).to_numpy()[entries] ** 2))
        share = inside.to_numpy()[entries].mean()
        width = (upper - lower).to_numpy()[entries].mean()
        print(
            f"{kind:>9}: RMSE {rmse:.2f}, 90 % intervals contain {share:.0%}, "
            f"mean width {width:.1f}"
        )

straight = table.interpolate()
for kind, entries in [("gaps", gap), ("outages", outage)]:
    rmse = np.sqrt(np.mean((straight - truth).to_numpy()[entries] ** 2))
    print(f"straight lines between neighbors, {kind}: RMSE {rmse:.2f}")

# %%
# The other sensors and the neighboring hours together predict a gap better than either
# alone. In outages, where only the hours before and after are left, straight lines are
# slightly better, and lag columns come near, with intervals that contain nine in ten
# values.

middle = np.flatnonzero(outage.all(axis=1))[4]
shown = slice(max(middle - 18, 0), middle + 18)


def draw(name, title):
    """Draw the truth, observed values and completions of a day and a half."""
    completed, lower, upper = (each["south"][shown] for each in found[name])
    missing = table["south"][shown].isna()
    error = np.abs([lower - completed, upper - completed])[:, missing]
    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    ax.plot(truth["south"][shown], color="0.75", label="truth")
    ax.plot(table["south"][shown], "k.", label="observed")
    ax.errorbar(
        completed.index[missing],
        completed[missing],
        error,
        fmt="o",
        ms=4,
        capsize=2,
        color="#D55E00",
        label="completed, with 90 % interval",
    )
    ax.set(title=title, ylabel="south (°C)", ylim=(10.5, 24))
    ax.legend(loc="lower left", fontsize="small", frameon=False)
    locator = AutoDateLocator(maxticks=5)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    plt.show()


draw("sensors alone", "Sensors alone: an outage is a guess")

# %%

draw("1 and 3 hours around", "With lags and leads: it follows its neighbors")

# %%
# See also
# --------
#
# :doc:`/guide/impute`; :doc:`/gallery/tables/plot_uncertainty`.

# sphinx_gallery_thumbnail_number = 2
