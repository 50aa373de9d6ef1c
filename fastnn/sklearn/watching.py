"""What looks at a fit between its epochs: callbacks, and scorers of rows that are not trained with."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring

from fastnn.arena import Array
from fastnn.callbacks.calls import Calls, as_callbacks
from fastnn.training.batches import Batches, Limited

if TYPE_CHECKING:
    from fastnn.model import Model
    from fastnn.sklearn.extended import Extended
    from fastnn.training.plan import EpochPlan


class Watch:
    """The callbacks of one fit of an estimator: they are called with its net.

    Parameters
    ----------
    estimator : Extended
    data : tuple of ndarray
        x, y and the weights that are trained with.
    epochs : int
    validates : bool
        Whether there are rows to validate with.
    """

    def __init__(self, estimator: Extended, data: tuple[Any, Any, Any], epochs: int, validates: bool) -> None:
        self._estimator = estimator
        self.calls = calls = Calls(as_callbacks(estimator.callbacks))
        calls.attach(epochs, lambda: data)
        calls.require({"loss": "min", **({"val_loss": "min", "val_score": "max"} if validates else {})})
        self.stop = Limited(None, calls.limits) if calls.limits else None

    def between_batches(self, plan: EpochPlan, net: Model) -> Batches | None:
        """Return what callbacks are told of batches by, where one wants to know of them."""
        return Batches(plan, self.calls, net) if self.calls.in_batches else None

    def begin(self) -> None:
        """Begin the fit."""
        self.calls.begin(self._estimator.net_)

    def begin_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self.calls.begin_epoch(self._estimator.net_, epoch)

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> bool:
        """End an epoch, and return whether the fit ends with it."""
        net = self._estimator.net_
        history = net.history
        history.keep(logs)
        try:
            history.why = self.calls.end_epoch(net, epoch, logs)
        finally:
            history.keep(logs)
        self.calls.looked()
        return bool(history.why) or self.is_over()

    def is_over(self) -> bool:
        """Whether a limit has been reached; write down which."""
        why = "" if self.stop is None else self.stop.reached()
        if why:
            self._estimator.net_.history.why = why
        return bool(why)

    def end(self) -> None:
        """End the fit, however it ends."""
        self.calls.end(self._estimator.net_)


class Scorer:
    """A scorer of scikit-learn's, or a function, for rows that are checked already.

    Parameters
    ----------
    estimator : Extended
    scoring : str or callable
    """

    def __init__(self, estimator: Extended, scoring: Any) -> None:
        self._score = check_scoring(estimator, scoring)
        self._probe = probe = copy.copy(estimator)
        for name in ("feature_names_in_", "_categories"):
            if name in probe.__dict__ and name == "_categories":  # rows are numbers already
                probe.n_features_in_ = len(probe._categories.made)
            probe.__dict__.pop(name, None)
        takes = inspect.signature(self._score).parameters
        several = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
        self._takes_weights = several or "sample_weight" in takes

    def __call__(self, x: Any, y: Any, weight: Array | None) -> float:
        """Return the score of rows, larger ones being better."""
        more = {"sample_weight": weight} if weight is not None and self._takes_weights else {}
        found = self._score(self._probe, x, y, **more)
        if isinstance(found, (bool, np.bool_)) or not isinstance(found, (int, float, np.number)):
            raise TypeError(
                f"scoring returned {found!r}, expected a number, which is larger where predictions are better"
            )
        return float(found)
