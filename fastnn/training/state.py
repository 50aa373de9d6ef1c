"""The state of a model: all that a step changes, and copies of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from fastnn import kernels
from fastnn._core.tape import copy_arrays
from fastnn.arena import Array, Memory
from fastnn.checks import number
from fastnn.optimizers import Optimizer


class State:
    """What a step changes: parameters, states of layers, memory of optimizers, numbers that randomness follows from.

    Attributes
    ----------
    memory : Memory
    memories : mapping
        Of each optimizer that has been used, what it remembers: as long as both live.
    fits : ndarray of shape (1,)
        How many fits have begun: the order of rows follows from it.
    """

    def __init__(self) -> None:
        self.memories: WeakKeyDictionary[Optimizer, dict[str, Array]] = WeakKeyDictionary()
        self.fits = np.zeros(1)

    def of(self, optimizer: Optimizer, memory: Memory) -> dict[str, Array]:
        """Return what an optimizer remembers, begun anew where it has no memory of these parameters yet."""
        state = {**optimizer.remembers(memory.params), **self.memories.get(optimizer, {})}
        self.memories[optimizer] = state
        return state

    def own(self) -> None:
        """Copy what cannot be written to: arrays of a file or of another process."""
        for arrays in self.memories.values():
            for name, array in arrays.items():
                if not array.flags.writeable:
                    arrays[name] = array.copy()

    def arrays(self, memory: Memory) -> list[Array]:
        """Return all but the memory of optimizers."""
        return [memory.params, *memory.states, self.fits]


class Snapshot:
    """A copy of the state of a model, which `Model.restore` puts back."""

    def __init__(self, state: State, memory: Memory) -> None:
        sources = state.arrays(memory)
        self._arrays = [np.empty_like(array) for array in sources]
        self._memories: WeakKeyDictionary[Optimizer, dict[str, Array]] = WeakKeyDictionary()
        targets = list(self._arrays)
        for optimizer, arrays in list(state.memories.items()):
            copies = {name: np.empty_like(array) for name, array in arrays.items()}
            self._memories[optimizer] = copies
            sources, targets = [*sources, *arrays.values()], [*targets, *copies.values()]
        copy_arrays(targets, sources)

    def restore(self, state: State, memory: Memory) -> None:
        """Put it back, in one call, so that no interrupt falls in between.

        An optimizer that has been used since then begins anew.
        """
        targets, sources = state.arrays(memory), list(self._arrays)
        if [array.shape for array in targets] != [array.shape for array in sources]:
            raise ValueError("restore: the snapshot is of a model of other sizes")
        for optimizer, arrays in list(state.memories.items()):
            kept: Mapping[str, Array] = self._memories.get(optimizer, {})
            begun = optimizer.remembers(memory.params) if kept.keys() < arrays.keys() else {}
            for name, array in arrays.items():
                targets.append(array)
                sources.append(kept.get(name, begun.get(name, array)))
        copy_arrays(targets, sources)


def approach(pairs: Sequence[tuple[Array, Array]], tau: float) -> None:
    """Let each first array come nearer to the second, by a part of the difference; 1 copies all at once."""
    part = number("soft_update: tau", tau)
    if part > 1:
        raise ValueError(f"soft_update: tau is {tau}, expected a number from 0 to 1")
    if part == 1:
        copy_arrays([target for target, _ in pairs], [source for _, source in pairs])
        return
    for target, source in pairs:
        kernels.of(target.dtype).approach(target.reshape(-1), source.reshape(-1), part)
