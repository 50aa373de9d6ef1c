"""What a model file holds of a fit that can go on: what it was begun with, and what its callbacks have come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.parts import Decoder, Encoder
from fastnn.formats.strict_json import parse, write
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.schedules.moving import Moving
from fastnn.settings import Part
from fastnn.training.resuming import Begun
from fastnn.training.state import Snapshot

_ASKED = {
    "rows": int, "batch_size": int, "shuffle": bool, "loss": str, "optimizer": str, "validates": bool,
    "callbacks": list, "data": str, "augment": list, "class_weight": str, "split": str,
}  # fmt: skip
_LATER = {  # what the first files do not say
    "data": "data in memory", "augment": [], "class_weight": "None", "split": "None",
}  # fmt: skip
_PLAIN = {"epochs": int, "order": int, "ended": bool, "lost": str, "stopped": str}


class FitEncoder:
    """Writes a fit that has begun.

    Parameters
    ----------
    encoder : Encoder
        Of the model, whose parts have been written.
    arrays : dict
        Where arrays are added.
    """

    def __init__(self, encoder: Encoder, arrays: dict[str, Array]) -> None:
        self._encoder, self._arrays = encoder, arrays
        self._own: dict[str, Array] = {}  # arrays of the fit
        self._known = encoder.parts()

    def begun(self, model: Network, begun: Begun) -> dict[str, Any]:
        """Return it as JSON, which has been read again.

        Raises
        ------
        TypeError, ValueError
            Where a callback has come to what no file holds.
        """
        trainer = model._trainer
        begun.look()
        asked = dict(begun.asked)
        for name, part in (("loss", trainer.loss), ("optimizer", trainer.optimizer)):
            asked[name] = repr(part) if asked[name] is None else asked[name]
        states = begun.states_now()
        made = {
            "asked": asked,
            **{name: getattr(begun, name) for name in _PLAIN},
            "told": begun.told,
            "logs": self.value(begun.plain_logs(), "logs"),
            "states": None
            if states is None
            else [self.value(one, f"the state of callback {i + 1}") for i, one in enumerate(states)],
        }
        try:
            decoder = self._encoder.decoder(self._known)
            FitDecoder(decoder, self._own, model).begun(parse(write(made), "it"))
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"save: the state of a callback could not be read again: {error}") from error
        self._arrays.update((f"fit.{name}", array) for name, array in self._own.items())
        return made

    def value(self, value: Any, where: str) -> Any:
        """Return what a callback has come to as JSON; arrays are written as such."""
        if isinstance(value, np.ndarray):
            name = str(len(self._own))
            self._own[name] = value
            return {"tensor": f"fit.{name}"}
        if isinstance(value, Snapshot):
            return {"snapshot": self.value(value.taken_apart(), where)}
        if isinstance(value, Moving):
            return self._number(value)
        if isinstance(value, Part):
            return self._encoder.reference(value) if self._encoder.knows(value) else None
        if isinstance(value, Mapping):
            return {"dict": [[self._key(key, where), self.value(one, where)] for key, one in value.items()]}
        if isinstance(value, (list, tuple)):
            several = [self.value(one, where) for one in value]
            return {"tuple": several} if isinstance(value, tuple) else several
        return self._encoder.value(value, where)

    def _key(self, key: Any, where: str) -> Any:
        """Return the key of a dict as JSON: a text, a number, or a tuple of these."""
        if isinstance(key, tuple):
            return {"tuple": [self._key(one, where) for one in key]}
        if not isinstance(key, (str, int, float, np.generic, type(None))):
            raise TypeError(
                f"save: {where} has a dict with the key {shown(key)}, which no model file holds: keys are texts, "
                "numbers, or tuples of these"
            )
        return self._encoder.value(key, where)

    def _number(self, moving: Moving) -> Any:
        """Return what stands for a number that follows a schedule; None where it does not any more."""
        for part in self._encoder.parts():
            for name, own in part._schedules.items() if isinstance(part, Part) else ():
                if own is moving:
                    return {"follows": name, "of": self._encoder.reference(part)}
        return None


class FitDecoder:
    """Reads a fit that has begun, which takes the arrays as they are."""

    def __init__(self, decoder: Decoder, arrays: Mapping[str, Array], model: Network) -> None:
        self._decoder, self._arrays, self._model = decoder, dict(arrays), model

    def begun(self, given: Any) -> Begun:
        """Return the fit that JSON describes."""
        asked = given.get("asked") if isinstance(given, dict) else None
        asked = (
            {**asked, **{name: _LATER[name] for name in _LATER if name not in asked}} if isinstance(asked, dict) else {}
        )
        if asked.keys() != _ASKED.keys():
            raise ModelFormatError(f"its fit is {str(given)[:80]}, expected what it was begun with")
        for name, kind in _ASKED.items():
            if not (type(asked[name]) is kind or (name == "batch_size" and asked[name] is None)):
                raise ModelFormatError(f"its fit was begun with {name} = {str(asked[name])[:80]}")
        for name, kind in _PLAIN.items():
            if type(given.get(name)) is not kind or (kind is int and not 0 <= given[name] < 2**64):
                raise ModelFormatError(f"its fit has {name} = {str(given.get(name))[:80]}, which it may not have")
        told, states = given.get("told"), given.get("states")
        if not (told is None or (type(told) is int and 0 <= told < 2**31)) or not isinstance(states, list | None):
            raise ModelFormatError(f"its fit has told {str(told)[:80]} callbacks")
        begun = Begun(asked, given["epochs"], given["order"])
        begun.ended, begun.lost, begun.stopped, begun.told = given["ended"], given["lost"], given["stopped"], told
        logs = self.value(given.get("logs") or {"dict": []})
        found = None if states is None else [self.value(state) for state in states]
        if not isinstance(logs, dict) or not all(isinstance(state, dict) for state in found or ()):
            raise ModelFormatError("what its callbacks have come to is no dict")
        begun.logs, begun.states = logs, found
        for name in self._arrays:
            raise ModelFormatError(f"nothing takes the array fit.{name}")
        return begun

    def value(self, given: Any) -> Any:
        """Return what JSON describes."""
        if isinstance(given, list):
            return [self.value(one) for one in given]
        if isinstance(given, dict):
            for tag, read in _READ.items():
                if tag in given:
                    return read(self, given)
        return self._decoder.value(given, "a callback's state")

    def _tensor(self, given: dict[str, Any]) -> Array:
        array = self._arrays.pop(str(given["tensor"]).removeprefix("fit."), None)
        if array is None:
            raise ModelFormatError(f"there is no array {str(given['tensor'])[:40]!r}")
        return array

    def _tuple(self, given: dict[str, Any]) -> tuple[Any, ...]:
        several = self.value(given["tuple"])
        if not isinstance(several, list):
            raise ModelFormatError("what a callback has come to is no tuple")
        return tuple(several)

    def _dict(self, given: dict[str, Any]) -> dict[Any, Any]:
        pairs = self.value(given["dict"])
        if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ModelFormatError("what a callback has come to is no dict of pairs")
        return dict(pairs)

    def _follows(self, given: dict[str, Any]) -> Moving:
        part, name = self._decoder.part(given.get("of"), Part, "what follows a schedule"), given["follows"]
        moving: Moving | None = part._schedules.get(name) if isinstance(name, str) else None
        if moving is None:
            raise ModelFormatError(f"{part!r} follows no schedule with its {str(name)[:40]}")
        return moving

    def _snapshot(self, given: dict[str, Any]) -> Snapshot:
        parts = self.value(given["snapshot"])
        for name, kind in (("memories", Optimizer), ("standings", Moving)):
            pairs = [pair for pair in parts[name] if pair[0] is not None]
            if not all(isinstance(owner, kind) and _are_arrays(arrays.values()) for owner, arrays in pairs):
                raise ModelFormatError(f"a snapshot has {name} of what remembers nothing")
            parts[name] = pairs
        averaging = parts["averaging"]
        if not _are_arrays([*parts["arrays"], *parts["running"]]) or not isinstance(averaging, Optimizer | None):
            raise ModelFormatError("a snapshot has something else than arrays")
        model = self._model
        return Snapshot.put_together(parts, model._trainer.state, model._own(), model._tree.sizes())


def _are_arrays(values: Any) -> bool:
    return all(isinstance(value, np.ndarray) for value in values)


_READ: dict[str, Callable[[FitDecoder, dict[str, Any]], Any]] = {
    "tensor": FitDecoder._tensor, "snapshot": FitDecoder._snapshot, "follows": FitDecoder._follows,
    "dict": FitDecoder._dict, "tuple": FitDecoder._tuple,
}  # fmt: skip
