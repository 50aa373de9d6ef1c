"""A callback of functions."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from fastnn.callbacks.contract import Callback
from fastnn.checks import shown
from fastnn.signatures import takes

_TAKE = {"begin": 1, "begin_epoch": 2, "begin_batch": 2, "end_batch": 3, "end_epoch": 3, "end": 1}
_NAMES = ("model", "epoch", "logs")


class LambdaCallback(Callback):
    """Call functions at the begin and end of a fit, its epochs and its batches (Keras's, with the model first).

    What is not given costs nothing.

    Parameters
    ----------
    end_epoch : callable or None
        Called as ``f(model, epoch, logs)``, as a function among the callbacks is; True ends the fit.
    begin, end : callable or None
        Called as ``f(model)`` at the begin of a fit, and however it ends.
    begin_epoch, begin_batch : callable or None
        Called as ``f(model, epoch)`` and ``f(model, batch)``.
    end_batch : callable or None
        Called as ``f(model, batch, logs)``, with the "loss" before its step; True ends the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.callbacks import LambdaCallback
    >>> losses = []
    >>> tell = LambdaCallback(end_batch=lambda model, batch, logs: losses.append(logs["loss"]))
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> history = Model([Dense(1)], seed=0).fit(x, 2 * x, epochs=3, batch_size=10, callbacks=[tell])
    >>> len(losses)
    12
    """

    def __init__(
        self,
        end_epoch: Callable[..., Any] | None = None,
        *,
        begin: Callable[..., Any] | None = None,
        begin_epoch: Callable[..., Any] | None = None,
        begin_batch: Callable[..., Any] | None = None,
        end_batch: Callable[..., Any] | None = None,
        end: Callable[..., Any] | None = None,
    ) -> None:
        given = {
            "begin": begin, "begin_epoch": begin_epoch, "begin_batch": begin_batch, "end_batch": end_batch,
            "end_epoch": end_epoch, "end": end,
        }  # fmt: skip
        for name, function in given.items():
            if function is None:
                continue
            names = ", ".join(_NAMES[: _TAKE[name]]).replace("epoch", "batch" if "batch" in name else "epoch")
            where = f"LambdaCallback: {name} is {shown(function)}, expected a function of ({names})"
            if not callable(function):
                raise TypeError(where)
            if not takes(function, _TAKE[name]):
                raise TypeError(f"{where}: it takes {signature(function)}")
        self._given = given

    def _hook(self, name: str) -> Callable[..., Any] | None:
        if name == "__call__":
            return None if self._given["end_epoch"] is None else self
        return self._given[name]

    def __call__(self, model: Any, epoch: int, logs: dict[str, Any]) -> Any:
        """Call `end_epoch`."""
        function = self._given["end_epoch"]
        return None if function is None else function(model, epoch, logs)

    @property
    def may_change_data(self) -> bool:
        return True

    @property
    def may_log(self) -> bool:
        return True
