"""The state of a model: all that a step changes, and copies of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import setitem
from typing import Any, Generic, TypeVar
from weakref import ref

import numpy as np

from fastnn import kernels
from fastnn._core.tape import copy_arrays
from fastnn.arena import Array, Memory
from fastnn.layers.sizes import Sizes
from fastnn.optimizers import Optimizer
from fastnn.schedules.moving import Moving, Standing

Arrays = dict[str, Array]
Recording = TypeVar("Recording")
Owner = TypeVar("Owner")


def lasting(owner: Owner, value: Any) -> tuple[ref[Owner], list[Any]]:
    """Return a reference to the owner of a value, and a cell that holds the value until the owner dies."""
    cell = [value]
    # What is called when it dies is no Python code, in which an exception of a signal's handler would be lost.
    return ref(owner, partial(setitem, cell, 0)), cell


class Recordings(Generic[Recording]):
    """What is recorded with optimizers, the last ones used: of each only as long as somebody has the optimizer.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: list[tuple[ref[Optimizer], list[Recording]]] = []  # the last used stands last

    def last(self, optimizer: Optimizer) -> Recording | None:
        """Return the last one used, if it is with that optimizer: `find` takes longer."""
        if self.kept:
            own, cell = self.kept[-1]
            if own() is optimizer:
                return cell[0]
        return None

    def find(self, optimizer: Optimizer, is_it: Callable[[Recording], bool] | None = None) -> Recording | None:
        """Return the one that is looked for: the last used now."""
        kept = self.kept
        for i in range(len(kept) - 1, -1, -1):
            own, cell = kept[i]
            if own() is optimizer and (is_it is None or is_it(cell[0])):
                if i < len(kept) - 1:
                    kept.append(kept.pop(i))
                return cell[0]
        return None

    def add(self, optimizer: Optimizer, made: Recording, replaced: Recording | None) -> None:
        """Keep another one, in the place of one that does not hold any more."""
        kept = [entry for entry in self.kept if entry[0]() is not None and entry[1][0] is not replaced]
        self.kept = [*kept[1 - self._most :], lasting(optimizer, made)]


class Memories(Generic[Owner]):
    """What optimizers remember of one model, or where numbers that move stand in it: of each as long as both live."""

    def __init__(self) -> None:
        self.kept: list[tuple[ref[Owner], list[Any]]] = []

    def get(self, owner: Owner | None) -> Arrays | None:
        """Return what one remembers, or None where it has not been used."""
        for own, cell in self.kept:
            if owner is not None and own() is owner:
                arrays: Arrays = cell[0]
                return arrays
        return None

    def set(self, owner: Owner, arrays: Arrays) -> None:
        """Write down what one remembers."""
        others = [(own, cell) for own, cell in self.kept if own() not in (None, owner)]
        self.kept = [*others, lasting(owner, arrays)]

    def items(self) -> list[tuple[Owner, Arrays]]:
        """Return all that live, with what they remember."""
        found = []
        for own, cell in self.kept:
            owner = own()
            if owner is not None:
                found.append((owner, cell[0]))
        return found

    def __len__(self) -> int:
        return len(self.items())


class State:
    """What a step changes: parameters, states of layers, memory of optimizers, numbers that randomness follows from.

    Attributes
    ----------
    memories : Memories
    standings : Memories
        Of numbers that follow schedules: where these stand.
    moved : int
        How often places of schedules have changed, but by steps.
    averaging : Optimizer or None
        The one of the last step, where it averages parameters: predictions are of that.
    fits : ndarray of shape (1,)
        How many fits have begun: the order of rows follows from it.
    """

    def __init__(self) -> None:
        self.averaging: Optimizer | None = None
        self.memories: Memories[Optimizer] = Memories()
        self.standings: Memories[Moving] = Memories()
        self.moved = 0
        self.fits = np.zeros(1)

    def of(self, optimizer: Optimizer, memory: Memory) -> Arrays:
        """Return what an optimizer remembers, begun anew where it has no memory of these parameters yet."""
        state = optimizer._remembers(memory.params, memory.running)
        for name, array in (self.memories.get(optimizer) or {}).items():
            if name in state or not name.startswith(("transforms.", "average.")):  # what has gone has left nothing
                state[name] = array
        self.memories.set(optimizer, state)
        return state

    def standing(self, number: Moving) -> Standing:
        """Return where the schedule of a number stands, at its beginning where the model has not followed it yet."""
        found = self.standings.get(number)
        if found is None:
            found = number.begin()
            self.standings.set(number, found)
        return found

    def own(self) -> None:
        """Copy what cannot be written to: arrays of a file or of another process."""
        for _, arrays in [*self.memories.items(), *self.standings.items()]:
            for name, array in arrays.items():
                if not array.flags.writeable:
                    arrays[name] = array.copy()

    def arrays(self, memory: Memory) -> list[Array]:
        """Return all but the memory of optimizers."""
        return [memory.params, *memory.states, self.fits]


class Snapshot:
    """A copy of the state of a model, which `Model.restore` puts back."""

    def __init__(self, state: State, memory: Memory, sizes: Sizes | None) -> None:
        self._sizes, self.averaging = sizes, state.averaging
        self._arrays = [memory.params.copy(), *[array.copy() for array in memory.states], state.fits.copy()]
        self._running = [array.copy() for array in memory.running]
        self._memories: list[tuple[ref[Optimizer], Arrays]] = []
        for own, cell in state.memories.kept:
            if own() is not None:
                self._memories.append((own, _copied(cell[0])))
        self._standings = [(own, _copied(cell[0])) for own, cell in state.standings.kept if own() is not None]

    def __reduce__(self) -> str:
        raise TypeError("a snapshot belongs to a model of this process: pickle the model")

    def __deepcopy__(self, memo: object) -> Snapshot:
        return self  # nothing changes it

    def taken_apart(self) -> dict[str, Any]:
        """Return all that it holds: arrays, and of what optimizers and numbers these are."""
        memories = [[optimizer, arrays] for optimizer, arrays in self._of(self._memories)]
        standings = [[number, arrays] for number, arrays in self._of(self._standings)]
        return {
            "arrays": self._arrays, "running": self._running, "memories": memories, "standings": standings,
            "averaging": self.averaging,
        }  # fmt: skip

    @staticmethod
    def _of(kept: list[tuple[Any, Arrays]]) -> list[tuple[Any, Arrays]]:
        found = [(owner(), arrays) for owner, arrays in kept]
        return [(owner, arrays) for owner, arrays in found if owner is not None]

    @classmethod
    def put_together(cls, parts: dict[str, Any], state: State, memory: Memory, sizes: Sizes) -> Snapshot:
        """Return the snapshot that has been taken apart, of a model with this state and memory.

        Raises
        ------
        ValueError
            Where it is of a model of other sizes.
        """
        made = object.__new__(cls)
        made._sizes, made.averaging = sizes, parts["averaging"]
        made._arrays, made._running = parts["arrays"], parts["running"]
        made._memories = [(ref(optimizer), arrays) for optimizer, arrays in parts["memories"]]
        made._standings = [(ref(number), arrays) for number, arrays in parts["standings"]]
        for own, array in zip([*state.arrays(memory), *memory.running], [*made._arrays, *made._running], strict=True):
            if (own.shape, own.dtype) != (array.shape, array.dtype):
                raise ValueError(f"a snapshot has an array of shape {array.shape}, expected {own.shape}")
        return made

    def require(self, sizes: Sizes | None) -> None:
        """Raise ValueError unless it is of a model of the same sizes: None of one that never leaves its model."""
        apart = sizes.apart(self._sizes) if sizes is not None and self._sizes is not None else ""
        if apart:
            raise ValueError(f"restore: the snapshot is of a model of other sizes or layers: {apart}")

    def restore(self, state: State, memory: Memory) -> None:
        """Put it back, in one call, so that no interrupt falls in between.

        An optimizer that has been used since then begins anew.
        """
        targets, sources = state.arrays(memory), list(self._arrays)
        known = {own(): arrays for own, arrays in self._memories}
        for optimizer, arrays in state.memories.items():
            kept = known.get(optimizer, {})
            begun = optimizer._remembers(self._arrays[0], self._running) if kept.keys() < arrays.keys() else {}
            for name, array in arrays.items():
                targets.append(array)
                sources.append(kept.get(name, begun.get(name, array)))
        standings = {own(): arrays for own, arrays in self._standings}
        for moving, arrays in state.standings.items():
            kept = standings.get(moving) or moving.begin()
            for name, array in arrays.items():
                targets.append(array)
                sources.append(kept[name])
        averages = state.memories.get(self.averaging) or {}  # none in another model
        state.averaging = self.averaging if self.averaging and self.averaging._averaged in averages else None
        state.moved += 1  # before it is: where this is interrupted, nobody relies on what was
        copy_arrays(targets, sources)
        for moving, arrays in state.standings.items():
            moving.show(arrays)


def _copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}


def approach(pairs: Sequence[tuple[Array, Array]], part: float) -> None:
    """Let each first array come nearer to the second, by a part of the difference; 1 copies all at once."""
    if part == 1:
        copy_arrays([target for target, _ in pairs], [source for _, source in pairs])
        return
    for target, source in pairs:
        if target is source:  # a model that follows itself
            continue
        kernels.of(target.dtype).approach(target.reshape(-1), source.reshape(-1), part)
