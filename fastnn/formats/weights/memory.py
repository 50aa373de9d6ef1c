"""What optimizers remember: taken over from other libraries by the parameters that it is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.formats.weights.described import Match
from fastnn.layers import Embedding
from fastnn.layers.taking import places
from fastnn.model import Model
from fastnn.optimizers import Optimizer

Of = tuple[Match, str]  # a parameter: its layer, and its name there


class Remembered(NamedTuple):
    """An optimizer, with what it is to remember of a model.

    Attributes
    ----------
    optimizer : Optimizer
    steps : float
        How many it has taken.
    arrays : dict of list of (Of, ndarray)
        For each of its memories ("m") those of parameters, as the source has them.
    """

    optimizer: Optimizer
    steps: float
    arrays: dict[str, list[tuple[Of, Array]]]

    def require_fit(self, what: str) -> None:
        """Raise ValueError where an array is not of the shape of its parameter."""
        for key, several in self.arrays.items():
            for (match, name), source in several:
                expected = match.given.arrays[match.words[name]].shape
                if source.shape != expected or not np.isfinite(source).all():
                    raise ValueError(
                        f"{what}: the optimizer's {key} for {match.given.where} has shape {source.shape}, expected "
                        f"finite numbers of shape {expected}, that of {match.words[name]}"
                    )
                if isinstance(match.layer, Embedding) and len(match.words) > 1:
                    raise ValueError(
                        f"{what}: {match.given.where} is one table for {len(match.words)} columns, each of which has "
                        "its own here: what an optimizer remembers of it cannot be shared out"
                    )

    def give_to(self, model: Model) -> None:
        """Make it the optimizer of a model whose parameters these are."""
        memory = model._own()
        state = self.optimizer._remembers(memory.params, memory.running)
        entries = {(id(entry.layer), entry.name.rpartition(".")[2]): entry for entry in model._tree.entries()}
        for key, several in self.arrays.items():
            for (match, name), source in several:
                entry = entries[id(match.layer), name]
                state[key][entry.start : entry.stop] = match.array(name, source).reshape(-1)
        if "step" in state:
            state["step"][...] = self.steps
        model.optimizer = self.optimizer
        model._trainer.state.memories.set(self.optimizer, state)


def names_of(model: Model, several: Sequence[Of]) -> Iterator[str]:
    """Yield the names of parameters, as groups of an optimizer take them."""
    place_of = {id(layer): place for place, layer in places(model.layers)}
    for match, name in several:
        yield f"{place_of[id(match.layer)]}.{name}"
