"""Callbacks that end a fit: after some time, or where a number is none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from fastnn.callbacks.contract import Callback
from fastnn.checks import logged
from fastnn.settings import Number

if TYPE_CHECKING:
    from fastnn.model import Model


class TimeLimit(Callback):
    """End a fit when so much time has passed since it began, also within an epoch (PyTorch Lightning's Timer).

    The time is looked at every 50 ms, between batches and within long ones, so that it costs nothing: epochs still run
    in one call. The model is then as its last whole batch has left it; an epoch that is not complete is not in the
    history. Where several models are trained, by `fit_many`, on folds, or with `n_ensemble`, each has so much time.

    Parameters
    ----------
    seconds : float or timedelta
        Above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.callbacks import TimeLimit
    >>> x = np.linspace(-1, 1, 1000)[:, None]
    >>> history = Model([Dense(1)], seed=0).fit(x, 2 * x, epochs=10**9, callbacks=[TimeLimit(0.1)])
    >>> history.ended
    'TimeLimit: 0.1 seconds have passed'
    """

    seconds: Any = Number(above=0.0, moves=False)

    def __init__(self, seconds: float | timedelta) -> None:
        self.seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        self._end: float | None = None

    def begin(self, model: Model) -> None:
        """Begin to count."""
        self._end = time.perf_counter() + self.seconds

    def is_over(self) -> bool:
        """Whether the time has passed, in a fit."""
        return self._end is not None and time.perf_counter() >= self._end

    def end(self, model: Model) -> None:
        """Do not count any more."""
        self._end = None

    @property
    def reason(self) -> str:
        return f"TimeLimit: {self.seconds:g} seconds have passed"


class TerminateOnNaN(Callback):
    """End a fit where a logged number is NaN or infinite, without an error (Keras's, which looks at the loss alone).

    Without it, a training loss that is not finite ends a fit by a FloatingPointError, and other numbers may be what
    they are. In both cases the parameters that lead to such a training loss are of no use: those from before the fit
    are put back, or the best ones where `EarlyStopping` holds them. Where another number is not finite, the model is as
    it is then. ``history.ended`` says what has happened.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import SGD, Dense, Model
    >>> from fastnn.callbacks import TerminateOnNaN
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> net = Model([Dense(1)], seed=0)
    >>> history = net.fit(x, x, "mse", SGD(1e9), epochs=99, callbacks=[TerminateOnNaN()])
    >>> history.ended[:34], len(history) < 99
    ('diverged: the loss became inf in e', True)
    """

    takes_divergence = True

    def __init__(self) -> None:
        self._what = ""

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Look at all numbers."""
        for name, value in logs.items():
            number = logged(value)
            if number is not None and not isfinite(number):
                self._what = f"{name} is {number:g} after epoch {epoch + 1}"
                return True
        return False

    @property
    def reason(self) -> str:
        return f"TerminateOnNaN: {self._what}"
