"""Layers that run by themselves, called by hand: each is a chain of its own."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.layers.chain import alone, is_predicting
from fastnn.layers.contract import Layer


def eager_forward(layer: Layer, x: Array) -> Array:
    """Compute a layer's kernels now, and keep what backward needs, unless it is a prediction."""
    predicting = is_predicting()
    chain = alone(layer, predicting)
    memory = chain.memory(len(x), input_gradient=True, train=not predicting)
    memory.activations[0][...] = x
    chain.forward(memory)
    if not predicting:
        layer.__dict__.update(_eager=memory, _runs=layer._runs + 1)
    return memory.activations[-1].copy()


def eager_backward(layer: Layer, dy: ArrayLike) -> Array:
    """Compute the gradients for the last `eager_forward`."""
    return alone(layer, False).backward_of(layer._eager, dy, layer.title)
