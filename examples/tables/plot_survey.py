# SPDX-License-Identifier: BSD-3-Clause
"""
How do I complete a survey with skipped questions?
==================================================

People skip questions, and some stop before the end. Here 400 made-up people answer 15
questions about three correlated traits. :class:`~sklearn_gmmcf.MixtureImputer`
completes their answers: the answers that a person gave tell about the others.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.impute import KNNImputer

from sklearn_gmmcf import MixtureImputer
from sklearn_gmmcf.plotting import MissingnessDisplay

rng = np.random.default_rng(0)
n, n_questions = 400, 15
correlations = 0.3 + 0.7 * np.eye(3)
traits = rng.multivariate_normal(np.zeros(3), correlations, size=n)
trait = np.arange(n_questions) % 3  # of each question
loadings = rng.uniform(0.6, 0.9, n_questions)
loadings *= np.where(rng.random(n_questions) < 0.3, -1, 1)  # some are reversed
noise = np.sqrt(1 - loadings**2) * rng.standard_normal((n, n_questions))
agreement = traits[:, trait] * loadings + noise + rng.uniform(-0.8, 0.8, n_questions)
answers = 1 + np.searchsorted([-1.5, -0.5, 0.5, 1.5], agreement)
truth = pd.DataFrame(answers, columns=[f"q{i + 1}" for i in range(n_questions)])

# %%
# A tenth of the answers is skipped, and a fifth of the people stop somewhere after the
# eighth question.

hidden = rng.random(truth.shape) < 0.1
stops = np.where(rng.random(n) < 0.2, rng.integers(8, n_questions, n), n_questions)
hidden |= np.arange(n_questions) >= stops[:, None]
table = truth.mask(hidden)

MissingnessDisplay.from_data(table)
plt.gcf().set_size_inches(5, 5.4)
plt.show()

# %%
# Completions are answers
# -----------------------
#
# pandas makes floats of integers where some are missing. The imputer sees that all
# answers are whole numbers, and rounds completions; they stay between the lowest and
# the highest answer. In an array of numbers nothing is rounded.

imputer = MixtureImputer(random_state=0).fit(table)
completed = imputer.transform(table)
print("completed answers:", np.unique(completed.to_numpy()[hidden]))

guesses = {
    "mean of the question": np.broadcast_to(table.mean(), table.shape),
    "most frequent answer": np.broadcast_to(table.mode().iloc[0], table.shape),
    "KNNImputer": KNNImputer().fit_transform(table),
    "MixtureImputer": completed.to_numpy(),
}
exact, near = {}, {}
for name, guess in guesses.items():
    difference = np.abs(np.rint(guess) - answers)[hidden]
    exact[name], near[name] = (difference == 0).mean(), (difference <= 1).mean()
    print(f"{name:>20}: {exact[name]:.0%} exactly, {near[name]:.0%} within one")

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
bars = ax.barh(list(near), list(near.values()), color="0.85")
ax.bar_label(bars, fmt=" {:.0%}")
bars = ax.barh(list(exact), list(exact.values()), color="#0072B2")
ax.bar_label(bars, fmt="{:.0%} ", label_type="center", color="white")
ax.set(xlabel="share of the hidden answers", xlim=(0, 1.15))
figure.suptitle("Completed exactly (blue) or within one (gray)")
ax.xaxis.set_major_formatter("{x:.0%}")
ax.invert_yaxis()
plt.show()

# %%
# Scores need no rounding
# -----------------------
#
# Where answers are averaged afterwards, to the score of a trait, rounding only adds
# errors. ``round=False`` leaves completions as they are.

exactly = MixtureImputer(round=False, random_state=0).fit(table)
unrounded = exactly.transform(table)
ask = trait == 0
signs = np.sign(loadings[ask])
affected = hidden[:, ask].any(axis=1)


def score(guess):
    """Scores of the first trait, of people with a missing answer about it."""
    values = np.where(hidden, guess, answers)
    return (values[:, ask] * signs).mean(axis=1)[affected]


for name, guess in {**guesses, "round=False": unrounded}.items():
    error = np.sqrt(np.mean((score(guess) - score(answers)) ** 2))
    print(f"{name:>20}: RMSE {error:.3f} of the score")

# %%
# Intervals
# ---------
#
# Intervals of whole numbers end at whole numbers: the outermost answers within, and the
# completion at least. So intervals of 90 % contain as many answers as they should, and
# narrow ones more, as each of them holds an answer.

lower, upper = imputer.predict_interval(table, coverage=0.9)
inside = ((lower <= truth) & (truth <= upper)).to_numpy()
print(f"90 % intervals contain {inside[hidden].mean():.0%} of the hidden answers")

# %%
# See also
# --------
#
# :doc:`/guide/impute`; :doc:`/gallery/tables/plot_multiple_imputation`, where
# regressions and other statistics are computed from the completed table.

# sphinx_gallery_thumbnail_number = 2
