"""The end of a fit that does not become better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks.monitoring import Monitoring
from fastnn.checks import count, flag, number_of, shown

if TYPE_CHECKING:
    from fastnn.model import Model
    from fastnn.training.state import Snapshot


class EarlyStopping(Monitoring):
    """End a fit when a number has not become better for some epochs, and return to the best state (Prechelt 1998).

    However the fit ends, by this callback, at its last epoch, by another callback, by an error or by Ctrl-C, the model
    is then as it was at the best number: its parameters, the states of its layers and what its optimizer remembers.

    Parameters
    ----------
    patience : int
        How many epochs to wait for a better one.
    min_delta : float
        By how much better a number must be to count as better for the patience.
    restore_best : bool
        Whether the model gets the state of the best epoch back when the fit ends.
    monitor : str or None
        The logged number to watch. None is the validation loss where there is one, else the training loss. A metric is
        one, ``metrics=["accuracy"]`` logs "accuracy" and "val_accuracy"; a callback before this one may log others.
    mode : {"min", "max"} or None
        Whether smaller or larger is better. None knows it of losses, and of the metrics of this package; for other
        numbers it must be said.
    start : int
        How many epochs are passed over before the first one that counts: neither the best number nor the patience is of
        them. Keras's start_from_epoch.

    Notes
    -----
    Where the training loss is watched, the loss that the history holds for an epoch is that of the model at its end,
    for which the data are gone over once more; else it is the mean over the epoch's batches, each before its step.

    Keras restores nothing by default, and PyTorch Lightning keeps the best state in a file.

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

    sees_all = True

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        monitor: str | None = None,
        mode: str | None = None,
        start: int = 0,
    ) -> None:
        self.patience, self.restore_best, self.start = patience, restore_best, start
        super().__init__(monitor, mode, min_delta)

    def __setattr__(self, name: str, value: Any) -> None:
        where = f"{type(self).__name__}: {name}"
        if name == "patience" and isinstance(value, str):
            raise TypeError(f"{where} is {shown(value)}, expected a whole number >= 1; did you mean monitor={value!r}?")
        if name == "patience":
            value = count(where, value)
        elif name == "start":
            value = count(where, value, 0)
        elif name == "restore_best":
            value = flag(where, value)
        super().__setattr__(name, value)

    def _forget(self) -> None:
        super()._forget()
        self._reached, self._last_better = np.nan, -1
        self._best_state: Snapshot | None = None

    @property
    def holds_best(self) -> bool:
        return self.restore_best and self._best_state is not None

    @property
    def reason(self) -> str:
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"EarlyStopping: {self._watched} has not become better{by} for {number_of(self.patience, 'epoch')}"

    def begin(self, model: Model) -> None:
        """Forget the fit before."""
        self._forget()

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Look at the number."""
        value = self._number(logs)
        if epoch < self.start:
            self._last_better = epoch
            return False
        if self._is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                self._best_state = model.snapshot()
        if self._is_better(value, self._reached, self.min_delta):
            self._reached, self._last_better = value, epoch
        return epoch - self._last_better >= self.patience

    def state(self) -> dict[str, Any]:
        return {
            "best": self.best, "best_epoch": self.best_epoch, "reached": self._reached, "last": self._last_better,
            "watched": self._watched, "kept": self._best_state,
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with these numbers, and with the state of the model at the best one."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._reached, self._last_better = float(state["reached"]), int(state["last"])
        self._watched, self._best_state = state["watched"], state["kept"]

    def end(self, model: Model) -> None:
        """Give the best state back."""
        state, self._best_state = self._best_state, None
        if self.restore_best and state is not None:
            model.restore(state)
