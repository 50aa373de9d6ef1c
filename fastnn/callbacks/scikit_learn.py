"""Callbacks of scikit-learn in a fit: its protocol, from version 1.9 on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks.contract import Callback

if TYPE_CHECKING:
    from fastnn.model import Model

_FAILED = ("error:", "interrupted:", "stopped:", "diverged:")  # how histories say that a fit has not ended by itself
_PROTOCOL = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")


def is_of_scikit_learn(callback: Any) -> bool:
    """Whether an object has the methods of scikit-learn's callbacks."""
    return not isinstance(callback, type) and all(callable(getattr(callback, name, None)) for name in _PROTOCOL)


class OfScikitLearn(Callback):
    """Calls a callback of scikit-learn, such as its ProgressBar or ScoringMonitor, as an estimator does.

    The fit is its first task, each epoch one below it. The estimator that it is given predicts classes or numbers with
    the model as it is then; a `fitted_estimator` has a copy. X and y are the rows that are trained with.

    Parameters
    ----------
    callback : object
        With the methods of ``sklearn.callback.FitCallback``.
    """

    def __init__(self, callback: Any) -> None:
        self.callback = callback
        self._estimator: Any = None
        self._task: Any = None
        self._epoch: Any = None
        self._epochs, self._data = 0, _no_data

    def _attach(self, epochs: int, data: Callable[[], tuple[Any, Any, Any]]) -> None:
        self._epochs, self._data = epochs, data

    def begin(self, model: Model) -> None:
        """Begin the task of the fit."""
        classifies = model.loss is not None and model.loss.of_classes
        estimator = _estimators()[bool(classifies)](model)
        estimator.set_callbacks(self.callback)
        self._estimator = estimator
        self._task = estimator._init_callback_context(max_subtasks=self._epochs)
        self._task.call_on_fit_task_begin(estimator=estimator, **self._given())

    def begin_epoch(self, model: Model, epoch: int) -> None:
        """Begin the task of an epoch."""
        self._epoch = self._task.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._given())

    def __call__(self, model: Model, epoch: int, logs: dict[str, Any]) -> bool:
        """End the task of an epoch."""
        task, self._epoch = self._epoch, None
        return bool(task.call_on_fit_task_end(estimator=self._estimator, **self._given(model)))

    def end(self, model: Model) -> None:
        """End the task of the fit."""
        estimator, task = self._estimator, self._task
        try:
            if task is not None and not model.history.ended.startswith(_FAILED):
                task.call_on_fit_task_end(estimator=estimator, **self._given(model))
        finally:
            self._estimator = self._task = self._epoch = None
            self._data = _no_data
            if estimator is not None and estimator._skl_callbacks_to_teardown:
                self.callback.teardown(estimator=estimator, context=estimator._callback_fit_ctx)

    def _given(self, model: Model | None = None) -> dict[str, Any]:
        """Return what hooks may ask for: nothing of it is computed where none does."""
        data = self._data

        def weights() -> dict[str, Any] | None:
            weight = data()[2]
            return None if weight is None else {"sample_weight": np.asarray(weight)}

        found: dict[str, Any] = {"X": lambda: data()[0], "y": lambda: data()[1], "metadata": weights}
        if model is not None:
            found["reconstruction_attributes"] = lambda: {"model": deepcopy(model)}
        return found

    @property
    def reason(self) -> str:
        return f"a callback of scikit-learn has ended it: {type(self.callback).__name__}"

    def __repr__(self) -> str:
        return repr(self.callback)


def _no_data() -> tuple[Any, Any, Any]:
    return None, None, None


@cache
def _estimators() -> tuple[Any, Any]:
    """Return the estimators that stand for a model: of numbers, and of classes."""
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
        from sklearn.callback import CallbackSupportMixin
    except ImportError:
        raise ImportError(
            "callbacks of scikit-learn need its version 1.9 or later: pip install 'scikit-learn>=1.9'"
        ) from None

    class Net(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, model: Any = None) -> None:
            self.model = model

        def fit(self, x: Any, y: Any) -> Any:
            self.model.fit(x, y)
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

    class NetRegressor(RegressorMixin, Net):  # type: ignore[misc]
        def predict(self, x: Any) -> Any:
            y = self.model.predict(x)
            return y[:, 0] if y.shape[1] == 1 else y

    class NetClassifier(ClassifierMixin, Net):  # type: ignore[misc]
        @property
        def classes_(self) -> Any:
            return np.arange(max(self.model.n_out, 2))

        def predict_proba(self, x: Any) -> Any:
            y = self.model.predict(x)
            return np.hstack([1 - y, y]) if y.shape[1] == 1 else y

        def predict(self, x: Any) -> Any:
            return self.predict_proba(x).argmax(axis=1)

    return NetRegressor, NetClassifier
