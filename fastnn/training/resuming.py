"""A fit that goes on where another one was left: what it has been begun with, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks.calls import Calls
from fastnn.callbacks.contract import Callback
from fastnn.checks import logged, number_of

if TYPE_CHECKING:
    from fastnn.training.history import History

States = list[dict[str, Any]]

_PLAIN = (str, int, float, np.generic, np.ndarray)

# What has to be the same when a fit goes on: what it is called, and how it reads
_SAME = {
    "data": "{}",
    "rows": "{} rows of data",
    "batch_size": "batch_size={}",
    "shuffle": "shuffle={}",
    "loss": "the loss {}",
    "optimizer": "the optimizer {}",
    "validates": "validation_data: {}",
    "callbacks": "the callbacks {}",
    "augment": "augment: {}",
    "class_weight": "class_weight={}",
    "split": "validation_split={}",
}


class Begun:
    """A fit that has begun.

    Attributes
    ----------
    asked : dict
        What it has been begun with, as texts and numbers: its data, rows, batch_size, shuffle, loss, optimizer,
        callbacks and what else `_SAME` names; rows is 0 where nobody knows.
    epochs, order : int
        How many there are to be, and from what the order of rows follows.
    told : int or None
        How many callbacks have been told that the last epoch has ended, where it is they who are told; None: all.
    logs : dict
        What was logged for that epoch.
    stopped : str
        Who of those that have been told wants to stop, if anybody does.
    ended : bool
        Whether it has come to its end.
    lost : str
        Why it cannot go on; empty where it can.
    states : list of dict or None
        What callbacks need to go on, where they are not there any more; None where they are, or nobody knows.
    """

    def __init__(self, asked: dict[str, Any], epochs: int, order: int) -> None:
        self.asked, self.epochs, self.order = asked, epochs, order
        self.told: int | None = None
        self.logs: dict[str, Any] = {}
        self.stopped = ""
        self.ended, self.lost = False, ""
        self.states: States | None = None
        self.calls: Calls | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the callbacks: what a copy or a pickle holds of them nobody knows."""
        self.look()
        return {**self.__dict__, "logs": self.plain_logs(), "calls": None, "states": None}

    def plain_logs(self) -> dict[str, Any]:
        """Return the numbers and texts among what was logged: of other things, such as pictures, nobody knows.

        A whole number beyond float is infinite, as the history has it; a number of another library is one of Python.
        """
        numbers = {name: logged(one) for name, one in self.logs.items()}
        beyond = {name for name, one in self.logs.items() if isinstance(one, int) and numbers[name] in (inf, -inf)}
        return {
            name: one if isinstance(one, _PLAIN) and name not in beyond else numbers[name]
            for name, one in self.logs.items()
            if isinstance(one, str) or numbers[name] is not None
        }

    def look(self) -> None:
        """Write down how far the callbacks are with the last epoch."""
        if self.calls is not None:
            self.told, self.logs, self.stopped = self.calls.at, self.calls.logs, self.calls.stopped

    def states_now(self) -> States | None:
        """Return what the callbacks need to go on."""
        return self.states if self.calls is None else states_of(self.calls)

    def leave(self) -> None:
        """Let the callbacks go: the fit has ended, however it did."""
        if self.calls is not None:
            self.look()
            self.states, self.calls = states_of(self.calls), None

    def require_same(self, asked: Mapping[str, Any]) -> None:
        """Raise ValueError where a fit cannot go on, or would be another one."""
        if self.lost:
            raise ValueError(f"fit: resume=True, but the state of that fit is lost: {self.lost}")
        for name, text in _SAME.items():
            was, now = self.asked[name], asked[name]
            if now is not None and was != now:
                raise ValueError(
                    f"fit: resume=True goes on with a fit that was begun with {text.format(_said(was))}, got "
                    f"{_said(now)}: pass the same, or begin another fit with resume=False"
                )

    def require_states(self, calls: Calls) -> None:
        """Raise ValueError where callbacks would go on without what they have come to."""
        keep = [one for one in calls.all if isinstance(one, Callback) and type(one).state is not Callback.state]
        if keep and self.states_now() is None:
            raise ValueError(
                f"fit: resume=True: what {keep[0]!r} has come to is not in a copy or a pickle of a model: "
                "net.save writes it"
            )

    def resume(self, calls: Calls) -> None:
        """Give the callbacks what they have come to."""
        states, self.states = self.states or [], None
        for callback, state in zip(calls.all, states, strict=False):
            if isinstance(callback, Callback) and type(callback).set_state is not Callback.set_state:
                callback.set_state(state)


def _said(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def states_of(calls: Calls) -> States:
    """Return what callbacks need to go on: nothing of functions."""
    return [dict(callback.state()) if isinstance(callback, Callback) else {} for callback in calls.all]


def names_of(given: Iterable[object]) -> list[str]:
    """Return what callbacks, or other functions, are called; of what watches a number, with that."""
    return [
        one.known_as if isinstance(one, Callback) else getattr(one, "__name__", type(one).__name__) for one in given
    ]


def why_not_more(begun: Begun, epochs: int, spans: str, history: History) -> str:
    """Return why a fit cannot have another number of epochs than it was begun with; empty where it can."""
    if epochs == begun.epochs:
        return ""
    if epochs < len(history):
        return f"epochs={epochs}, and that fit has had {number_of(len(history), 'epoch')}"
    if spans:
        return f"epochs={epochs}, and {spans} spans a fit, which was to have {number_of(begun.epochs, 'epoch')}"
    return ""
