# SPDX-License-Identifier: BSD-3-Clause
"""The only home of imports from private scikit-learn modules."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from sklearn import get_config
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config, _wrap_data_with_container
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.parallel import _get_threadpool_controller as threadpool_controller
from sklearn.utils.validation import _check_feature_names_in as get_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _get_feature_names as get_feature_names
from sklearn.utils.validation import _num_samples as count_rows

from sklearn_gmmcf._versions import VersionedState

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class _SilentContext:
        """The context of a fit, and of its tasks, that has no callbacks to call."""

        def subcontext(self, **kwargs: Any) -> "_SilentContext":
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> None:
            pass

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for the mixin of scikit-learn, without `set_callbacks`."""

        def _init_callback_context(self, **kwargs: Any) -> _SilentContext:
            return _SilentContext()


class PackageEstimator(VersionedState):
    """What all estimators of this package share.

    Their saved state has the version of the package, and their HTML representation in
    notebooks links to our pages of the API, if the installed package has their address.
    """

    _doc_link_module = "sklearn_gmmcf"

    @property
    def _doc_link_template(self) -> str:
        return (
            f"{find_documentation()}/api/{{estimator_module}}.{{estimator_name}}.html"
        )

    def _get_doc_link(self) -> str:
        if find_documentation() is None:
            return ""
        link: str = super()._get_doc_link()  # type: ignore[misc]
        return link


@cache
def find_documentation() -> str | None:
    """The address of the documentation in the metadata of the installed package."""
    try:
        addresses = metadata("sklearn-gmmcf").get_all("Project-URL", [])
    except PackageNotFoundError:  # the package is imported from its source
        return None
    for each in addresses:
        label, _, address = each.partition(",")
        if label == "Documentation":
            return str(address.strip().rstrip("/"))
    return None


def get_output_container(method: str, estimator: Any) -> str:
    """The kind of container that a method of an estimator is set to return."""
    return str(_get_output_config(method, estimator)["dense"])


def get_transform_output(estimator: Any) -> str | None:
    """The kind of container that `set_output` or the configuration asks for.

    None if neither does, where "default" is what `set_output` asked for.
    """
    asked = getattr(estimator, "_sklearn_output_config", {}).get("transform")
    if asked is None:
        asked = get_config()["transform_output"]
        return None if asked == "default" else str(asked)
    return str(asked)


def wrap_in_container(matrix: Any, X: Any, estimator: Any) -> Any:
    """A matrix as `transform` of X would return it: in the container asked for."""
    return _wrap_data_with_container("transform", matrix, X, estimator)


__all__ = [
    "BaseComposition",
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "PackageEstimator",
    "StrOptions",
    "check_sample_weight",
    "count_rows",
    "fit_context",
    "get_feature_names",
    "get_feature_names_in",
    "get_output_container",
    "get_transform_output",
    "safe_indexing",
    "threadpool_controller",
    "validate_params",
    "wrap_in_container",
]
