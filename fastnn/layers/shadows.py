"""Layers that compute with other arrays than those of a model, and share all else with its layers: their shadows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from fastnn.arena import Array, Memory
from fastnn.layers.contract import Layer
from fastnn.layers.tree import deeply_held, walk

_NO_MEMORY = Memory(np.empty(0), np.empty(0), [], [])


def shadows(layers: Sequence[Layer], arrays: Mapping[int, Array]) -> tuple[Layer, ...]:
    """Return shadows of layers: those that stand in a row in a model, with all that are inside them.

    Their numbers are the cells of the layers, so that both change together.

    Parameters
    ----------
    layers : sequence of Layer
    arrays : dict of ndarray
        What stands in the place of their arrays, by the ids of these.

    Raises
    ------
    TypeError
        Where code in NumPy would reach a layer of the model itself.
    """
    made: dict[int, Layer] = {}
    for layer in walk(layers):
        shadow: Layer = object.__new__(type(layer))
        object.__setattr__(shadow, "_cells", layer._cells)
        made[id(layer)] = shadow
    others: dict[int, Any] = {**arrays, **made}
    for layer in walk(layers):
        own = {name: _replaced(value, others) for name, value in layer.__dict__.items()}
        shadow = made[id(layer)]
        shadow.__dict__.update(own)
        for held in deeply_held(shadow) if layer.is_numpy else ():
            if id(held) in made:
                raise TypeError(
                    f"{layer.title} holds {held!r} where no copy with averaged weights can stand in its place: hold it "
                    "in an attribute, a list, a tuple or a dict of the layer"
                )
        kept = {name for name, value in own.items() if value is not layer.__dict__[name]}
        kept |= {"_gradients", "_eager", "_runs", "_memory"}
        shadow.__dict__.update(_gradients={}, _eager=None, _memory=_NO_MEMORY, _shadow_of=(layer, kept))
    return tuple(made[id(layer)] for layer in layers)


def follow(layer: Layer) -> None:
    """Give a shadow the attributes that its layer has now: code of a user's may read any."""
    if "_shadow_of" in layer.__dict__:
        source, kept = layer.__dict__["_shadow_of"]
        layer.__dict__.update((name, value) for name, value in [*source.__dict__.items()] if name not in kept)


def _replaced(value: Any, others: Mapping[int, Any]) -> Any:
    """Return a value with others in place of what is in it, or itself where nothing is."""
    found = others.get(id(value))
    if found is not None:
        return found
    items: Any = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    replaced = [_replaced(item, others) for item in items]
    if all(map(is_, replaced, items)):
        return value
    return dict(zip(value, replaced, strict=True)) if type(value) is dict else type(value)(replaced)
