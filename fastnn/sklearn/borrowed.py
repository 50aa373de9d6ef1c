"""What is borrowed of scikit-learn's private parts: the one place to look at where a version moves them.

They are there, with the same meaning, from 1.6 to 1.9, and have no public form: the checks of parameters, which give
the errors that people and `check_estimator` know, of weights of rows, and of the classes of a first partial fit; and
what takes rows of frames of any kind.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as rows_of
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_first_classes
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "check_first_classes",
    "check_sample_weight",
    "fit_context",
    "rows_of",
    "validate_parameter_constraints",
]
