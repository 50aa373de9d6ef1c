"""The callbacks of one fit: those that are given, checked, and who of them is called when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any

import numpy as np

from fastnn.callbacks.contract import Callback, Function
from fastnn.callbacks.limits import TimeLimit
from fastnn.callbacks.scikit_learn import OfScikitLearn, is_of_scikit_learn
from fastnn.checks import number_of, shown
from fastnn.signatures import is_ours, takes

Hooks = Sequence[Callable[..., Any]]
_TAKE = {
    "begin": "model", "begin_epoch": "model, epoch", "begin_batch": "model, batch", "end_batch": "model, batch, logs",
    "__call__": "model, epoch, logs", "end": "model",
}  # fmt: skip
# Words of the names that such methods have in other libraries
_BEGINS, _ENDS = {"begin", "start", "before"}, {"end", "after"}
_FIRST = {"on", "before", "after"}
_PLACES = {"fit", "train", "training", "epoch", "batch"}
_ELSEWHERE = {"test", "predict", "validation", "val", "step"}


def as_callbacks(given: Any) -> tuple[Function, ...]:
    """Return callbacks that can be called: those of a sequence, or one; those of scikit-learn as ones of this package.

    Raises
    ------
    TypeError
        Where one is no function of (model, epoch, logs).
    """
    if given is None:
        return ()
    is_one = callable(given) or is_of_scikit_learn(given) or not isinstance(given, Iterable) or isinstance(given, str)
    found: tuple[Any, ...] = (given,) if is_one else tuple(given)
    found = tuple(OfScikitLearn(callback) if is_of_scikit_learn(callback) else callback for callback in found)
    for callback in found:
        what = f"callbacks holds {shown(callback)}, expected functions of (model, epoch, logs)"
        if isinstance(callback, type):
            raise TypeError(f"{what}: this is a class, make an object of it, {callback.__name__}()")
        if not callable(callback):
            kerass = [name for name in ("on_epoch_end", "on_train_end") if hasattr(callback, name)]
            hint = f": name its {kerass[0]} __call__" if kerass else ", such as EarlyStopping()"
            raise TypeError(f"{what}{hint}")
        _require_known_hooks(callback)
        if not takes(callback, 3):
            raise TypeError(f"{what}: it is called with these three, and takes {signature(callback)}")
    return found


def _require_known_hooks(callback: Any) -> None:
    """Raise TypeError where a class of a user's has a method that reads as if a fit called it, and none does."""
    kinds = [kind for kind in type(callback).__mro__ if not is_ours(kind)] if isinstance(callback, Callback) else []
    own = {name for kind in kinds for name, value in vars(kind).items() if callable(value)}
    for name in sorted(own - _TAKE.keys()):
        meant = _meant(name)
        if meant is None or meant in own:  # which may call it
            continue
        what = f"callbacks holds {shown(callback)}, and no fit calls its {name}"
        if not meant:
            raise TypeError(f"{what}: a fit calls {', '.join(_TAKE)}")
        raise TypeError(f"{what}: name it {meant}, which is called as {meant}({_TAKE[meant]})")


def _meant(name: str) -> str | None:
    """Return the method that a name stands for in other libraries; "" for none, None where it is no such name."""
    words = name.lower().split("_")
    ends = _ENDS.intersection(words)
    if not (ends or _BEGINS.intersection(words)):
        return None
    if words[0] not in _FIRST and not (len(words) == 2 and _PLACES.intersection(words)):
        return None
    if _ELSEWHERE.intersection(words):
        return ""
    for place in ("batch", "epoch"):
        if place in words:
            return ("end_batch" if place == "batch" else "__call__") if ends else f"begin_{place}"
    return "end" if ends else "begin"


class Calls:
    """The callbacks of one fit, and those of them that have something to do at its begin, its epochs and batches.

    Attributes
    ----------
    all : tuple of callables
    begins, begins_epochs, begins_batches, ends_batches, ends_epochs, ends : list of callables
        Their own methods: what is inherited from `Callback` does nothing.
    in_batches, looks : bool
        Whether one looks between batches, and between epochs.
    limits : list of callables
        Say whether the fit is to end, also within an epoch.
    takes_divergence : bool
        Whether a fit that diverges ends without an error.
    may_change_data : bool
        Whether one may change the data of the fit.
    at : int or None
        While callbacks are told of the end of an epoch, how many of them have been, the one that is told now included.
    logs : dict
        What they are told.
    stopped : str
        Who wants to stop, if anybody does.
    """

    def __init__(self, callbacks: tuple[Function, ...]) -> None:
        self.all = callbacks
        self.begins = _own(callbacks, "begin")
        self.begins_epochs = _own(callbacks, "begin_epoch")
        self.begins_batches = _own(callbacks, "begin_batch")
        self.ends_batches = _own(callbacks, "end_batch")
        self._in_order = sorted(callbacks, key=lambda callback: getattr(callback, "rank", 0))
        self.ends_epochs = [callback for callback in self._in_order if _hook(callback, "__call__")]
        self.ends = _own(callbacks, "end")
        self.in_batches = bool(self.begins_batches or self.ends_batches)
        self.looks = bool(self.ends_epochs or self.begins_epochs or self.in_batches)
        self.limits = [callback.is_over for callback in callbacks if isinstance(callback, TimeLimit)]
        self.takes_divergence = any(getattr(callback, "takes_divergence", False) for callback in callbacks)
        self.at: int | None = None
        self.logs: dict[str, Any] = {}
        self.stopped = ""
        self.may_change_data = any(may_change_data(callback) for callback in callbacks)

    def require(self, modes: Mapping[str, str]) -> None:
        """Raise an error, before a fit that logs these numbers, for what could not be done in it."""
        is_open = False
        for callback in self._in_order:
            if isinstance(callback, Callback):
                callback.require(modes, is_open)
            is_open = is_open or not isinstance(callback, Callback) or callback.may_log

    def watch_training_loss(self, validates: bool) -> bool:
        """Whether one needs the loss over the training data at the end of each epoch."""
        asked = (getattr(callback, "watches_training_loss", None) for callback in self.all)
        return any(watches is not None and watches(validates) for watches in asked)

    @property
    def hold_best(self) -> bool:
        """Whether the model will return to a state that one of them holds."""
        return any(getattr(callback, "holds_best", False) for callback in self.all)

    def attach(self, epochs: int, data: Callable[[], tuple[Any, Any, Any]]) -> None:
        """Tell all, before a fit begins, how many epochs it has, and with what data."""
        for callback in self.all:
            if isinstance(callback, Callback):
                callback._attach(epochs, data)

    def begin(self, model: Any) -> None:
        """Begin a fit."""
        for begin in self.begins:
            begin(model)

    def begin_epoch(self, model: Any, epoch: int) -> None:
        """Begin an epoch."""
        for begin in self.begins_epochs:
            begin(model, epoch)

    def begin_batch(self, model: Any, batch: int) -> None:
        """Begin a batch."""
        for begin in self.begins_batches:
            begin(model, batch)

    def end_batch(self, model: Any, batch: int, logs: dict[str, float]) -> str:
        """End a batch; return who wants to stop, if anybody does."""
        stopped = ""
        for end in self.ends_batches:
            if _is_true(end(model, batch, logs)) and not stopped:
                callback = getattr(end, "__self__", end)
                stopped = getattr(callback, "reason", "") or _returned_true(callback, f"batch {batch + 1} of an epoch")
        return stopped

    def end_epoch(self, model: Any, epoch: int, logs: dict[str, Any], first: int = 0) -> str:
        """End an epoch for all from `first` on; return who wants to stop, if anybody does."""
        self.logs = logs
        for i, callback in enumerate(self.ends_epochs[first:], first):
            self.at = i + 1
            try:
                answer = callback(model, epoch, logs)
            except BaseException:
                for other in self.ends_epochs[i:]:  # they have not seen an epoch that the history holds
                    if isinstance(other, Callback) and other.sees_all:
                        with suppress(Exception):
                            other(model, epoch, logs)
                raise
            if _is_true(answer) and not self.stopped:
                reason = getattr(callback, "reason", "")
                self.stopped = reason or _returned_true(callback, number_of(epoch + 1, "epoch"))
        return self.stopped

    def looked(self) -> None:
        """Note that all has been done that is done at the end of an epoch."""
        self.at, self.logs = None, {}

    def end(self, model: Any) -> None:
        """Tell all that the fit has ended: each, whatever others raise."""
        _end(self.ends, model)


def may_change_data(callback: Any) -> bool:
    """Whether a callback may change the data of a fit: of code of others nobody knows."""
    return callback.may_change_data if isinstance(callback, Callback) else True


def _hook(callback: Any, name: str) -> Callable[..., Any] | None:
    """Return a callback's method of that name, where it has one that does something."""
    if isinstance(callback, Callback):
        return callback._hook(name)
    method = getattr(callback, name, None)
    return method if callable(method) else None


def _own(callbacks: Sequence[Any], name: str) -> list[Callable[..., Any]]:
    return [method for callback in callbacks if (method := _hook(callback, name)) is not None]


def _end(ends: Hooks, model: Any) -> None:
    if ends:
        try:
            ends[0](model)
        finally:
            _end(ends[1:], model)


def _is_true(answer: object) -> bool:
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def _returned_true(callback: Any, after: str) -> str:
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    return f"a callback returned True after {after}: {name}"


NO_CALLS = Calls(())
