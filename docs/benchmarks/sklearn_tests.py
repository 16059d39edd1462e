# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's tests of GaussianMixture, run with MaskedGaussianMixture in its place.

    python docs/benchmarks/sklearn_tests.py

The tests are read from the installed scikit-learn. They run in double precision, as
parameters are in double precision here whatever the dtype of X. Errors and warnings
must be of the class that a test expects; their wording is our own. The exit status is 1
if a test fails that is not listed below.
"""

import os
import sys
from collections import defaultdict

import pytest

from sklearn_gmmcf import MaskedGaussianMixture

MODULE = "sklearn.mixture.tests.test_gaussian_mixture"
# Tests that do not apply, and why.
EXPECTED = {
    "test_gaussian_mixture_setting_best_params": (
        "a component of one row has no variance at reg_covar=0: an error here"
    ),
    "test_gaussian_mixture_precisions_init_diag": (
        "expects the clusters that KMeans finds from the same random_state"
    ),
    "test_gaussian_mixture_precisions_init": (
        "calls the private methods _initialize and _set_parameters"
    ),
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": (
        "counts the calls of a private function"
    ),
    "test_gaussian_mixture_array_api_compliance": (
        "arrays of other libraries are converted to NumPy's"
    ),
    "test_gaussian_mixture_raises_where_array_api_not_implemented": (
        "arrays of other libraries are converted to NumPy's"
    ),
}


class GaussianMixture(MaskedGaussianMixture):
    """Our mixture under the name that messages of scikit-learn's validation give."""

    def _n_parameters(self):
        return self._model.n_parameters


def make_mixture(n_components=1, *, covariance_type="full", **options):
    """A mixture with the default covariance_type of GaussianMixture."""
    return GaussianMixture(n_components, covariance_type=covariance_type, **options)


class AnyWording:
    """pytest, but for the wording of errors and warnings."""

    def __getattr__(self, name):
        return getattr(pytest, name)

    def raises(self, expected, match=None):
        return pytest.raises(expected)

    def warns(self, expected, match=None):
        return pytest.warns(expected)


class Replacement:
    """Plugin of pytest that puts our class into the tests and keeps their outcomes."""

    def __init__(self):
        self.outcomes = defaultdict(set)  # of all cases of a test
        self.errors = {}

    def pytest_collection_modifyitems(self, items):
        # Some tests concern functions of scikit-learn alone.
        items[:] = [
            item
            for item in items
            if "GaussianMixture" in item.function.__code__.co_names
            or item.originalname in EXPECTED
        ]
        for item in items:
            item.module.GaussianMixture = make_mixture
            item.module.pytest = AnyWording()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or not report.passed:
            name = report.location[2].partition("[")[0]
            self.outcomes[name].add(report.outcome)
            if report.failed:
                self.errors[name] = report.longrepr.reprcrash.message.splitlines()[0]


def run():
    """Outcomes of the tests by name: 'passed', 'failed' or 'skipped'; and errors."""
    plugin = Replacement()
    # Neither our settings of pytest nor its own output.
    options = ["-c", os.devnull, "-p", "no:terminal", "-p", "no:cacheprovider"]
    pytest.main([*options, "--pyargs", MODULE], plugins=[plugin])
    outcomes = {
        name: next(o for o in ("failed", "passed", "skipped") if o in found)
        for name, found in plugin.outcomes.items()
    }
    return outcomes, plugin.errors


def main():
    outcomes, errors = run()
    unexpected = []
    for name, outcome in outcomes.items():
        reason = EXPECTED.get(name) if outcome != "passed" else None
        if outcome == "failed" and reason is None:
            unexpected.append(name)
        print(f"{outcome:<8} {name}" + (f": {reason}" if reason else ""))
    n_passed = list(outcomes.values()).count("passed")
    n_apply = len([name for name in outcomes if name not in EXPECTED])
    print(f"\n{n_passed} tests pass; {n_apply} of {len(outcomes)} apply.")
    for name in unexpected:
        print(f"{name} should pass: {errors[name]}")
    sys.exit(bool(unexpected) or not outcomes)


if __name__ == "__main__":
    main()
