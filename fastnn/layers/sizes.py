"""What layers hold, by its sizes: alike where one model takes over the numbers of another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from fastnn.layers.contract import Layer


class Sizes:
    """The dtype of a model, and the shapes of what each of its layers holds.

    Attributes
    ----------
    with_states : list of int
        The places of the layers that have states, as those with packed weights do.
    """

    def __init__(self, dtype: str, layers: Sequence[Layer]) -> None:
        self._dtype, self._layers = dtype, [(layer.title, layer.mixes, _held(layer)) for layer in layers]
        self.with_states = [i for i, layer in enumerate(layers) if layer.states]

    def apart(self, other: Sizes) -> str:
        """Say where these and those of another model differ first; nothing where they do not."""
        if self is other or (self._dtype, self._layers) == (other._dtype, other._layers):
            return ""
        if self._dtype != other._dtype:
            return f"{self._dtype} here, {other._dtype} there"
        for mine, its in zip_longest(self._layers, other._layers):
            if mine is None or its is None:
                return f"{(mine or its)[0]} is {'there' if mine is None else 'here'} alone"
            if mine[2] != its[2]:
                hint = "" if mine[1] == its[1] else ": packed weights come from others alone, call quantize again"
                return f"{_said(mine)} here, {_said(its)} there{hint}"
        return ""


def _held(layer: Layer) -> dict[str, Any]:
    held: dict[str, Any] = {name: array.shape for name, array in (layer.parameters | layer.states).items()}
    if not layer.mixes:  # whole panels do not say how much of them is used
        held |= {"inputs": layer.n_in, "outputs": layer.n_out}
    return held


def _said(layer: tuple[str, bool, dict[str, Any]]) -> str:
    title, _, held = layer
    return f"{title} with {', '.join(f'{name} {size}' for name, size in held.items()) or 'no arrays'}"
