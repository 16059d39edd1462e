"""The only home of imports from private scikit-learn modules."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.parallel import _threadpool_controller_decorator as limit_threads
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

# Blocks are small: more threads of BLAS than one make them many times slower.
one_blas_thread = limit_threads(limits=1, user_api="blas")

_DOCUMENTATION = "https://sklearn-gmmcf.readthedocs.io/en/stable/"


class DocumentationLinks:
    """Links of the HTML representation in notebooks, to our pages of the API."""

    _doc_link_module = "sklearn_gmmcf"
    _doc_link_template = _DOCUMENTATION + "api/{estimator_module}.{estimator_name}.html"


__all__ = [
    "DocumentationLinks",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "one_blas_thread",
    "validate_params",
]
