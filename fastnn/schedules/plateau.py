"""A factor that falls where a logged number has not become better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.checks import count, lookup, number
from fastnn.schedules.contract import Clock, Schedule, Values

_STATE = (1.0, np.nan, 0.0, 0.0)  # the factor, the best number, epochs since then, epochs to wait


class ReduceOnPlateau(Schedule):
    """value = factor ** (how often a logged number has not become better for `patience` epochs).

    It is PyTorch's ReduceLROnPlateau, with its defaults, as a factor: ``0.1 * ReduceOnPlateau()``; there, a rate that
    would fall by less than ``eps=1e-8`` stays. `fit` looks at the
    end of each epoch, behind the callbacks, which may log numbers of their own; `train_batch` leaves it as it is. What
    it has come to is part of the model's state.

    Parameters
    ----------
    factor : float
        Below 1.
    patience : int
        How many epochs without a better number are waited for: at the next one the value falls.
    monitor : str or None
        The logged number. None is the validation loss where there is one, else the training loss, as the history
        holds it.
    mode : {"min", "max"}
        Whether smaller or larger is better.
    threshold : float
        By how much a number must be better, relative to the best one; see `threshold_mode`.
    threshold_mode : {"rel", "abs"}
    cooldown : int
        How many epochs are not counted after it has fallen.
    min : float
        The smallest value; PyTorch's min_lr is that of the rate.

    Examples
    --------
    >>> from fastnn import Adam, ReduceOnPlateau
    >>> optimizer = Adam(lr=0.01 * ReduceOnPlateau(0.5, patience=3, min=0.01))
    """

    factor: float
    patience: int
    monitor: str | None
    mode: str
    threshold: float
    threshold_mode: str
    cooldown: int
    min: float

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        monitor: str | None = None,
        mode: str = "min",
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min: float = 0.0,
    ) -> None:
        name = "ReduceOnPlateau"
        if not (monitor is None or (isinstance(monitor, str) and monitor)):
            raise TypeError(f"{name}: monitor is {monitor!r}, expected the name of a logged number, or None")
        self._set(
            factor=number(f"{name}: factor", factor, below=1.0),
            patience=count(f"{name}: patience", patience, 0),
            monitor=monitor,
            mode=lookup(f"{name}: mode", mode, {"min": "min", "max": "max"}),
            threshold=number(f"{name}: threshold", threshold),
            threshold_mode=lookup(f"{name}: threshold_mode", threshold_mode, {"rel": "rel", "abs": "abs"}),
            cooldown=count(f"{name}: cooldown", cooldown, 0),
            min=number(f"{name}: min", min),
        )

    def _values(self, clock: Clock) -> Values:
        return np.full(clock.steps.shape, clock.factors.get(id(self), 1.0))

    @staticmethod
    def begin() -> Values:
        """Return what it keeps between epochs, at first."""
        return np.array(_STATE)

    def look(self, logs: Mapping[str, Any], state: Values) -> None:
        """Look at what is logged for an epoch, and write down what follows."""
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise ValueError(
                f"ReduceOnPlateau: monitor is {name!r}, expected one that is logged: {', '.join(sorted(logs))}, or "
                "what a callback logs, as in logs['accuracy'] = ..."
            )
        try:
            value = float(logs[name])
        except (TypeError, ValueError):
            raise TypeError(f"ReduceOnPlateau: {name} is logged as {logs[name]!r}, expected a number") from None
        factor, best, bad, waiting = state.tolist()
        if self._is_better(value, best):
            best, bad = value, 0
        else:
            bad += 1
        if waiting > 0:
            waiting, bad = waiting - 1, 0
        if bad > self.patience:
            factor, waiting, bad = max(factor * self.factor, min(self.min, factor)), self.cooldown, 0
        state[...] = factor, best, bad, waiting

    def _is_better(self, value: float, best: float) -> bool:
        if best != best:  # the first
            return value == value
        margin = self.threshold * (best if self.threshold_mode == "rel" else 1.0)
        return value > best + margin if self.mode == "max" else value < best - margin
