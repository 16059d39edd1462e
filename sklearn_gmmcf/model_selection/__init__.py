# SPDX-License-Identifier: BSD-3-Clause
"""How well are hidden entries predicted: scorers, folds of entries, criteria.

Two questions are answered here. *How well are new rows completed?* scikit-learn's own
folds of rows answer it with `completion_scorer`, which hides entries of the validation
rows. *How well are other entries of the same rows predicted?* Folds of entries answer
it: by `cross_validate_entries`, or by any tool of scikit-learn on an `EntryRegressor`,
whose samples are entries. A higher score is better, so errors are negated.

*How good are the lists of recommended items?* `recommendation_scorer` measures them on
hidden entries of the validation rows; `split_by_time` and its siblings make test parts
of the same rows.

`pool` makes one estimate of the estimates from multiply imputed tables.
"""

from sklearn_gmmcf.model_selection._cross_validation import cross_validate_entries
from sklearn_gmmcf.model_selection._entries import hide_entries, to_entries
from sklearn_gmmcf.model_selection._pool import PooledEstimate, pool
from sklearn_gmmcf.model_selection._recommendation import recommendation_scorer
from sklearn_gmmcf.model_selection._regressor import EntryRegressor
from sklearn_gmmcf.model_selection._scorers import (
    aic_scorer,
    bic_scorer,
    completion_scorer,
    icl_scorer,
)
from sklearn_gmmcf.model_selection._search import all_rows, one_standard_error
from sklearn_gmmcf.model_selection._select import SelectedMixture, select_mixture
from sklearn_gmmcf.model_selection._splits import (
    leave_last_out,
    split_by_time,
    split_items,
    split_per_user,
)

__all__ = [
    "EntryRegressor",
    "PooledEstimate",
    "SelectedMixture",
    "aic_scorer",
    "all_rows",
    "bic_scorer",
    "completion_scorer",
    "cross_validate_entries",
    "hide_entries",
    "icl_scorer",
    "leave_last_out",
    "one_standard_error",
    "pool",
    "recommendation_scorer",
    "select_mixture",
    "split_by_time",
    "split_items",
    "split_per_user",
    "to_entries",
]
