"""Functions as metrics: those of users, and those of scikit-learn, which expect classes in place of probabilities."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_weights, read_only
from fastnn.checks import logged, shown
from fastnn.metrics.contract import Metric
from fastnn.metrics.given import Given, is_one_class
from fastnn.settings import explain_numpy
from fastnn.signatures import takes

_SCORES = ("y_score", "y_proba", "y_prob")  # what functions of scikit-learn call probabilities
_OF_PROBABILITIES = ("log_loss", "brier_score_loss", "d2_log_loss_score", "d2_brier_score", "top_k_accuracy_score")
_BETTER = {"_score": True, "_error": False, "_loss": False, "_deviance": False, "_corrcoef": True}


class FunctionMetric(Metric):
    """metric = function(y_true, y_pred), or function(y_true, y_pred, sample_weight): yours, or scikit-learn's.

    `fit` and `evaluate` make it of functions themselves. Those of scikit-learn, also in a ``functools.partial``, get
    what they expect: classes for ``y_pred`` where targets are classes, one column for ``y_score`` of two classes.

    Parameters
    ----------
    function : callable
        Returns a number.
    name : str or None
        What it is logged as; None takes that of the function.
    larger_is_better : bool or None
        None goes by the name, as scikit-learn's names do: what ends in _score, or in _error, _loss or _deviance.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.metrics import FunctionMetric
    >>> def largest_error(y_true, y_pred):
    ...     return np.abs(y_true - y_pred).max()
    >>> FunctionMetric(largest_error)([1.0, 2.0], [1.5, 2.0])
    0.5
    """

    def __init__(
        self, function: Callable[..., Any], name: str | None = None, larger_is_better: bool | None = None
    ) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"FunctionMetric: function is {shown(function)}, expected one of (y_true, y_pred)")
        if not (takes(function, 2) or takes(function, 2, "sample_weight")):
            raise TypeError(
                f"FunctionMetric: function is {shown(function)}, expected one of (y_true, y_pred), perhaps with "
                f"sample_weight: it takes {signature(function)}"
            )
        if not (name is None or (isinstance(name, str) and name)):
            raise TypeError(f"FunctionMetric: name is {shown(name)}, expected text, or None")
        if not (larger_is_better is None or isinstance(larger_is_better, bool)):
            raise TypeError(
                f"FunctionMetric: larger_is_better is {shown(larger_is_better)}, expected True, False or None"
            )
        inner = function
        while hasattr(inner, "func"):  # of functools.partial
            inner = inner.func
        self.__dict__.update(function=function, _inner=inner, _named=name, _better=larger_is_better)

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""
        return self.__dict__["function"]  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        return self.__dict__["_named"] or getattr(self._inner, "__name__", type(self._inner).__name__).strip("<>")

    @property
    def larger_is_better(self) -> bool | None:  # type: ignore[override]
        """Whether a larger number is better, where that is known."""
        given = self.__dict__["_better"]
        if given is not None:
            return bool(given)
        return next((better for ending, better in _BETTER.items() if self.name.endswith(ending)), None)

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        true, pred = np.asarray(y_true), np.asarray(y_pred)
        options: dict[str, Any] = {}
        if sample_weight is not None:
            weight = as_weights(sample_weight, len(true), np.dtype(np.float64), f"{self!r}: sample_weight")
            if weight.shape[1] > 1 and (weight != weight[:, :1]).any():
                raise ValueError(f"{self!r}: sample_weight has shape {weight.shape}, expected one number per row")
            weight = weight[:, 0]
            if (weight > 0).any() and not (weight > 0).all():
                true, pred, weight = true[weight > 0], pred[weight > 0], weight[weight > 0]
            if not (weight == weight[0]).all():
                if "sample_weight" not in self._parameters:
                    raise TypeError(
                        f"{self!r}: there are weights of rows, but the function takes none: give it a parameter, "
                        "sample_weight"
                    )
                options["sample_weight"] = read_only(weight)
        if str(getattr(self._inner, "__module__", "")).partition(".")[0] == "sklearn":
            true, pred = self._as_scikit_learn(true, pred)
        try:
            value = self.function(read_only(true), read_only(pred), **options)
        except ValueError as error:
            explain_numpy(self, self.name, error)
            error.args = (f"metric {self.name}: {error}",)
            raise
        number = logged(value)
        if number is None:
            raise ValueError(f"metric {self.name} returned {shown(value)}, expected one number")
        return number

    def _value(self, given: Given) -> float:
        return self(given.true, given.pred, given.weight)

    @property
    def _inner(self) -> Any:
        return self.__dict__["_inner"]

    @property
    def _parameters(self) -> dict[str, Parameter]:
        try:
            return dict(signature(self.function).parameters)
        except ValueError:  # compiled: nobody knows
            return {}

    def _as_scikit_learn(self, true: Array, pred: Array) -> tuple[Array, Array]:
        """Return targets and predictions as its functions expect them."""
        true, pred = (array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for array in (true, pred))
        takes_scores = self.name in _OF_PROBABILITIES or any(name in self._parameters for name in _SCORES)
        if true.ndim == 2 and pred.ndim == 2 and self._is_of_classes and is_one_class(true):
            true = true.argmax(axis=1)
        if true.ndim == 1 and pred.ndim == 2:
            if not takes_scores:
                return true, pred.argmax(axis=1)
            pairs = pred.shape[1] == 2 and self.name not in ("log_loss", "brier_score_loss")
            return true, pred[:, 1] if pairs else pred
        if self._is_of_classes and not takes_scores and pred.dtype.kind == "f" and ((true == 0) | (true == 1)).all():
            return true.astype(np.int64), (pred > 0.5).astype(np.int64)
        return true, pred

    @property
    def _is_of_classes(self) -> bool:
        """Whether it is one of classes: the module that it stands in says so."""
        return "_regression" not in str(self._inner.__module__)
