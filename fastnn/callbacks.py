"""What a fit calls after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.names import count, number

if TYPE_CHECKING:
    from fastnn.model import Model

# A function of (model, epoch, logs), called after each epoch, which is counted from 0. The logs hold "loss" and,
# with validation data, "val_loss". A function that returns True ends the fit.
Callback = Callable[["Model", int, Mapping[str, float]], Any]


class EarlyStopping:
    """End a fit when the loss has not become smaller for some epochs, and return to the best parameters.

    Parameters
    ----------
    patience : int
        How many epochs to wait for a better one.
    min_delta : float
        By how much smaller a loss must be to count as better.
    restore_best : bool
        Whether the model gets the parameters of the best epoch back when the fit ends by this callback.

    Notes
    -----
    The validation loss counts where there is one, else the training loss.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, EarlyStopping, Model
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(x, x**2, epochs=500, validation_data=(x[::3], x[::3]**2), callbacks=[EarlyStopping(3, 1e-3)])
    >>> len(history) < 500
    True
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0, restore_best: bool = True) -> None:
        self.patience = count("EarlyStopping: patience", patience)
        self.min_delta, self.restore_best = number("EarlyStopping: min_delta", min_delta), bool(restore_best)
        self.best, self.best_epoch = np.inf, -1
        self._params: Array | None = None

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool:
        loss = logs.get("val_loss", logs["loss"])
        if epoch == 0:  # a new fit
            self.best, self.best_epoch, self._params = np.inf, -1, None
        if loss < self.best - self.min_delta:
            self.best, self.best_epoch, self._params = loss, epoch, model.params.copy()
        if epoch - self.best_epoch < self.patience:
            return False
        if self.restore_best and self._params is not None:
            model.params[...] = self._params
        return True
