"""The rates of a fit, logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.callbacks.contract import Callback
from fastnn.checks import shown

if TYPE_CHECKING:
    from fastnn.model import Model


class LearningRateMonitor(Callback):
    """Log the learning rate with which each epoch begins: ``history["lr"]`` (PyTorch Lightning's, once per epoch).

    Parameters
    ----------
    name : str
        Under which it is logged.
    momentum : bool
        Whether the optimizer's momentum is logged, too, if it has one: "momentum", or beta1 as "beta1".

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import SGD, Dense, Model, StepDecay
    >>> from fastnn.callbacks import LearningRateMonitor
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> rate = 0.1 * StepDecay(0.5, epochs=2)
    >>> history = Model([Dense(1)], seed=0).fit(x, 2 * x, "mse", SGD(rate), 5, callbacks=[LearningRateMonitor()])
    >>> history["lr"]
    [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    def __init__(self, name: str = "lr", momentum: bool = False) -> None:
        if not isinstance(name, str) or not name or name in ("loss", "val_loss"):
            raise ValueError(f"LearningRateMonitor: name is {shown(name)}, expected a name for the rate, such as 'lr'")
        self.name, self.momentum = name, momentum
        self._found: dict[str, float] = {}

    @property
    def may_log(self) -> bool:
        return True

    def begin_epoch(self, model: Model, epoch: int) -> None:
        """Look at the rates."""
        optimizer = model.optimizer
        rate = getattr(optimizer, "lr", None)
        if rate is None:
            raise TypeError(f"LearningRateMonitor: {optimizer!r} has no learning rate")
        self._found = {self.name: rate}
        if self.momentum:
            momenta = ((name, getattr(optimizer, name, None)) for name in ("momentum", "beta1"))
            self._found |= {name: value for name, value in momenta if value is not None}

    def __call__(self, model: Model, epoch: int, logs: dict[str, Any]) -> None:
        """Log them."""
        logs.update(self._found)
