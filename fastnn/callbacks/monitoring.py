"""Callbacks that watch one of the logged numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fastnn.callbacks.contract import Callback
from fastnn.checks import lookup
from fastnn.metrics import how_to_log
from fastnn.settings import Number


class Monitoring(Callback):
    """A callback that asks whether a logged number has become better.

    Parameters
    ----------
    monitor : str or None
        The logged number to watch. None is the validation loss where there is one, else the training loss. A metric is
        one, ``metrics=["accuracy"]`` logs "accuracy" and "val_accuracy"; a callback before this one may log others.
    mode : {"min", "max"} or None
        Whether smaller or larger is better. None knows it of losses, and of the metrics of this package; for other
        numbers it must be said.
    min_delta : float
        By how much a number must be better to count as better.
    """

    min_delta: Any = Number(moves=False)
    best: float
    best_epoch: int

    def __init__(self, monitor: str | None, mode: str | None, min_delta: float = 0.0) -> None:
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self._known: Mapping[str, str] = {}  # what a fit says of what it logs
        self._forget()

    def __setattr__(self, name: str, value: Any) -> None:
        where = f"{type(self).__name__}: {name}"
        if name == "mode" and value is not None:
            value = lookup(where, value, {"min": "min", "max": "max"})
        elif name == "monitor" and not (value is None or (isinstance(value, str) and value)):
            raise TypeError(f"{where} is {value!r}, expected the name of a logged number, or None")
        super().__setattr__(name, value)

    def _forget(self) -> None:
        """Begin anew: there is no best number."""
        self.best, self.best_epoch, self._watched = np.nan, -1, ""

    @property
    def known_as(self) -> str:
        mode = "" if self.mode is None else f", mode={self.mode!r}"
        return f"{type(self).__name__}(monitor={self.monitor!r}{mode})"

    def watches_training_loss(self, validates: bool) -> bool:
        return self.monitor == "loss" or (self.monitor is None and not validates)

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        self._known = modes
        if self.monitor is None or modes.get(self.monitor) or (self.monitor in modes and self.mode):
            return
        if self.monitor == "val_loss":
            raise ValueError(f"{self!r}: val_loss is watched, but there is no validation_data")
        if self.monitor not in modes and not is_open:
            raise self._not_logged(modes)
        if self.mode is None:
            raise ValueError(
                f"{self!r}: mode is None, expected 'min' or 'max': whether a smaller {self.monitor} is better"
            )

    def _not_logged(self, logged: Collection[str]) -> ValueError:
        return ValueError(
            f"{type(self).__name__}: monitor is {self.monitor!r}, expected one that is logged: "
            f"{', '.join(sorted(logged))}, or what a callback before it logs, as in logs['accuracy'] = ..."
            f"{how_to_log(str(self.monitor), logged)}"
        )

    def _number(self, logs: Mapping[str, Any]) -> float:
        """Return what is watched."""
        self._watched = name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise self._not_logged(logs)
        try:
            return float(logs[name])
        except (TypeError, ValueError):
            raise TypeError(f"{type(self).__name__}: {name} is logged as {logs[name]!r}, expected a number") from None

    def _is_better(self, value: float, than: float, by: float = 0.0) -> bool:
        """Whether a number is better than another one: any is better than NaN, and NaN than none."""
        if value != value:
            return False
        is_max = (self.mode or self._known.get(self._watched)) == "max"
        return than != than or (value > than + by if is_max else value < than - by)
