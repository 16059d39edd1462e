# SPDX-License-Identifier: BSD-3-Clause
"""The version of the package, and of the package that saved an estimator."""

from __future__ import annotations

from typing import Any

from sklearn_gmmcf._warnings import InconsistentVersionWarning, warn_user

__version__ = "0.2.0.dev0"

_VERSION_KEY = "_sklearn_gmmcf_version"


class VersionedState:
    """State of an estimator with the version of this package, for pickle and skops.

    scikit-learn does so for its own estimators alone.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _VERSION_KEY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        original = state.get(_VERSION_KEY)
        if original != __version__:
            warn_user(
                InconsistentVersionWarning(type(self).__name__, __version__, original)
            )
        attributes = {k: v for k, v in state.items() if k != _VERSION_KEY}
        super().__setstate__(attributes)  # type: ignore[misc]
