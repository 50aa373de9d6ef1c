"""What a fit calls after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import count, flag, lookup, number_of, shown
from fastnn.settings import Number, Part
from fastnn.signatures import takes

if TYPE_CHECKING:
    from fastnn.model import Model
    from fastnn.training.state import Snapshot

# A function of (model, epoch, logs), called after each epoch, which is counted from 0. The logs hold "loss" and,
# with validation data, "val_loss"; a callback may add numbers of its own, which those behind it see. One that returns
# True ends the fit. Where it has a method `end`, that is called with the model however the fit ends.
Callback = Callable[["Model", int, Mapping[str, float]], Any]


class EarlyStopping(Part):
    """End a fit when a number has not become better for some epochs, and return to the best state.

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
        The logged number to watch. None is the validation loss where there is one, else the training loss. A callback
        before this one may log others: ``logs["accuracy"] = model.evaluate(x, y)["accuracy"]``.
    mode : {"min", "max"} or None
        Whether smaller or larger is better. None is for losses, where smaller is; for other numbers it must be said.

    Notes
    -----
    Where the training loss is watched, the loss that the history holds for an epoch is that of the model at its end,
    for which the data are gone over once more; else it is the mean over the epoch's batches, each before its step.

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

    min_delta: Any = Number(moves=False)
    best: float
    best_epoch: int

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> None:
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        self.monitor, self.mode = monitor, mode
        self._begin()

    def __setattr__(self, name: str, value: Any) -> None:
        where = f"EarlyStopping: {name}"
        if name == "patience":
            value = count(where, value)
        elif name == "restore_best":
            value = flag(where, value)
        elif name == "mode" and value is not None:
            value = lookup(where, value, {"min": "min", "max": "max"})
        elif name == "monitor" and not (value is None or (isinstance(value, str) and value)):
            raise TypeError(f"{where} is {value!r}, expected the name of a logged number, or None")
        super().__setattr__(name, value)

    def _begin(self) -> None:
        self.best, self.best_epoch = -np.inf if self.mode == "max" else np.inf, -1
        self._reached, self._last_better = self.best, -1
        self._best_state: Snapshot | None = None
        self._watched = ""

    @property
    def holds_best(self) -> bool:
        """Whether there is a state to return to."""
        return self.restore_best and self._best_state is not None

    def watches_training_loss(self, validates: bool) -> bool:
        """Whether the loss over the training data, at the end of each epoch, is what counts."""
        return self.monitor == "loss" or (self.monitor is None and not validates)

    def require(self, validates: bool, is_alone: bool) -> None:
        """Raise ValueError, before a fit, for what could not be watched in it.

        Parameters
        ----------
        validates : bool
            Whether there is a validation loss.
        is_alone : bool
            Whether no callback before this one may log other numbers.
        """
        if self.monitor == "val_loss" and not validates:
            raise ValueError(f"{self!r}: val_loss is watched, but there is no validation_data")
        if self.monitor in (None, "loss", "val_loss"):
            return
        if is_alone:
            raise self._not_logged(("loss", "val_loss") if validates else ("loss",))
        if self.mode is None:
            raise ValueError(
                f"{self!r}: mode is None, expected 'min' or 'max': whether a smaller {self.monitor} is better"
            )

    def _not_logged(self, logged: Iterable[str]) -> ValueError:
        return ValueError(
            f"EarlyStopping: monitor is {self.monitor!r}, expected one that is logged: "
            f"{', '.join(sorted(logged))}, or what a callback before it logs, as in logs['accuracy'] = ..."
        )

    @property
    def reason(self) -> str:
        """Why it ends a fit, in words."""
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"EarlyStopping: {self._watched} has not become better{by} for {number_of(self.patience, 'epoch')}"

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, float]) -> bool:
        if epoch == 0:  # a new fit
            self._begin()
        self._watched = name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise self._not_logged(logs)
        try:
            value = float(logs[name])
        except (TypeError, ValueError):
            raise TypeError(f"EarlyStopping: {name} is logged as {logs[name]!r}, expected a number") from None
        sign = -1 if self.mode == "max" else 1
        if sign * value < sign * self.best:
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                self._best_state = model.snapshot()
        if sign * value < sign * self._reached - self.min_delta:
            self._reached, self._last_better = value, epoch
        return epoch - self._last_better >= self.patience

    def end(self, model: Model) -> None:
        """Give the best state back."""
        state, self._best_state = self._best_state, None
        if self.restore_best and state is not None:
            model.restore(state)


def as_callbacks(given: Any) -> tuple[Callback, ...]:
    """Return callbacks that can be called: those of a sequence, or one.

    Raises
    ------
    TypeError
        Where one is no function of (model, epoch, logs).
    """
    if given is None:
        return ()
    found = (given,) if callable(given) or not isinstance(given, Iterable) or isinstance(given, str) else tuple(given)
    for callback in found:
        what = f"callbacks holds {shown(callback)}, expected functions of (model, epoch, logs)"
        if isinstance(callback, type):
            raise TypeError(f"{what}: this is a class, make an object of it, {callback.__name__}()")
        if not callable(callback):
            kerass = [name for name in ("on_epoch_end", "on_train_end") if hasattr(callback, name)]
            hint = f": name its {kerass[0]} __call__" if kerass else ", such as EarlyStopping()"
            raise TypeError(f"{what}{hint}")
        if not takes(callback, 3):
            raise TypeError(f"{what}: it is called with these three, and takes {signature(callback)}")
    return found


def end(callbacks: Sequence[Any], model: Any) -> None:
    """Tell the callbacks that a fit has ended: each, whatever others raise."""
    for i, callback in enumerate(callbacks):
        own = getattr(callback, "end", None)
        if own is not None:
            try:
                own(model)
            except BaseException:
                end(callbacks[i + 1 :], model)
                raise


def watches_training_loss(callback: Any, validates: bool) -> bool:
    """Whether a callback needs the loss over the training data at the end of each epoch."""
    watches = getattr(callback, "watches_training_loss", None)
    return watches is not None and bool(watches(validates))
