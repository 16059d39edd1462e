# SPDX-License-Identifier: BSD-3-Clause
"""Gross errors: how much they cost Gaussian and t components.

    pip install -e .
    python docs/benchmarks/robust.py

Two clusters in six columns, 600 rows, 20 % of the entries missing, 'full', seeds 0 to
2. To 3 % of the observed entries 20 times a Cauchy variable is added, clipped at -100
and 100. The cost of the errors is the RMSE at the missing entries of rows without such
an entry, over the RMSE of the same fit to the data without errors. The last column is
the RMSE without errors, over the RMSE of Gaussian components.
"""

import warnings

import numpy as np

from sklearn_gmmcf import FewRowsWarning, MaskedGaussianMixture

N_ROWS, N_COLUMNS, SEEDS = 600, 6, range(3)


def make(seed):
    """The truth, the data with gross errors, and masks of missing and wrong entries."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((2, N_COLUMNS, 3))
    means = 2 * rng.standard_normal((2, N_COLUMNS))
    labels = rng.integers(2, size=N_ROWS)
    truth = np.einsum("nij,nj->ni", factors[labels], rng.standard_normal((N_ROWS, 3)))
    truth += means[labels] + 0.5 * rng.standard_normal(truth.shape)
    missing = rng.random(truth.shape) < 0.2
    wrong = (rng.random(truth.shape) < 0.03) & ~missing
    given = truth.copy()
    given[wrong] += np.clip(20 * rng.standard_cauchy(wrong.sum()), -100, 100)
    return truth, given, missing, wrong


def rmse(values, truth, missing, judged, n_components, degrees_of_freedom):
    X = np.where(missing, np.nan, values)
    mixture = MaskedGaussianMixture(
        n_components,
        covariance_type="full",
        degrees_of_freedom=degrees_of_freedom,
        max_iter=1000,
        random_state=0,
    )
    completed = mixture.fit_transform(X)
    return np.sqrt(np.mean((completed - truth)[judged] ** 2))


def main():
    print(" K  degrees   cost of the errors   without errors, over Gaussian")
    for n_components in (1, 2, 4):
        gaussian = None
        for degrees_of_freedom in (None, 5, "auto"):
            with_errors, without = [], []
            for seed in SEEDS:
                truth, given, missing, wrong = make(seed)
                judged = missing & ~wrong.any(axis=1)[:, None]
                options = truth, missing, judged, n_components, degrees_of_freedom
                with_errors.append(rmse(given, *options))
                without.append(rmse(truth, *options))
            gaussian = np.array(without) if gaussian is None else gaussian
            cost = np.divide(with_errors, without)
            clean = without / gaussian
            print(
                f"{n_components:2d} {degrees_of_freedom!s:>8}   "
                f"{cost.min():.2f} to {cost.max():.2f}         "
                f"{clean.min():.3f} to {clean.max():.3f}",
                flush=True,
            )


if __name__ == "__main__":
    with warnings.catch_warnings():
        # Components of few outliers.
        warnings.simplefilter("ignore", FewRowsWarning)
        main()
