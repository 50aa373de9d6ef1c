"""What a net has learnt, taken over by one of the same layers with more inputs or outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.arena import Array
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from fastnn.layers.tree import Tree
    from fastnn.training.trainer import Trainer


def take_over(new: Trainer, old: Trainer, optimizer: Optimizer) -> None:
    """Copy parameters, states of layers, and what an optimizer remembers: the first inputs and outputs are the same.

    What is new begins as in a new net. Averages of parameters begin anew.
    """
    for own, other in zip(new.tree.all, old.tree.all, strict=True):
        arrays, others = own.parameters | own.states, other.parameters | other.states
        for name, array in arrays.items():
            _copy_first(array, others[name])
    new.state.fits[...] = old.state.fits
    for moving, standing in old.state.standings.items():
        new.state.standings.set(moving, standing)
    remembered = old.state.memories.get(optimizer)
    if remembered is None:
        return
    for name, array in new.state.of(optimizer, new.tree.memory).items():
        known = remembered.get(name)
        if known is None:
            continue
        if array.size == new.tree.memory.params.size and known.size == old.tree.memory.params.size:
            for one, its in zip(_views(array, new.tree), _views(known, old.tree), strict=True):
                _copy_first(one, its)
        elif array.shape == known.shape:
            array[...] = known


def _views(flat: Array, tree: Tree) -> list[Array]:
    """Return the parts of a flat array that belong to the parameters, in their shapes."""
    return [flat.reshape(-1)[entry.start : entry.stop].reshape(entry.shape) for entry in tree.entries()]


def _copy_first(array: Array, other: Array) -> None:
    array[tuple(map(slice, other.shape))] = other
