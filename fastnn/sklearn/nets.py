"""Nets of one estimator beside each other: made with other settings, or in another dtype, with the same parameters."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fastnn.arena import Array
from fastnn.layers import BatchNorm, Dense, Layer
from fastnn.layers.shadows import shadows
from fastnn.layers.tree import walk
from fastnn.model import Model


def products(net: Model) -> list[Dense]:
    """Return the layers whose weights are `coefs_`."""
    return [layer for layer in net.layers if isinstance(layer, Dense)]


def fits(net: Model, other: Model) -> bool:
    """Whether a net can take over the parameters of another one."""
    shapes = [[layer.w.shape for layer in products(one)] for one in (net, other)]
    return shapes[0] == shapes[1] and net.params.shape == other.params.shape


def take_over(net: Model, other: Model) -> None:
    """Write into a net the parameters of another one, and the running averages of its normalization."""
    net.params = other.params
    norms = ([layer for layer in one.layers if isinstance(layer, BatchNorm)] for one in (net, other))
    for layer, before in zip(*norms, strict=True):
        for name, array in before.states.items():
            layer.states[name][...] = array


def is_coarser(net: Model, dtype: np.dtype[Any]) -> bool:
    """Whether a net rounds what rows of a dtype say; one with products in bfloat16 is asked to."""
    if net.dtype.itemsize != 4 or dtype is net.dtype or net.precision is not None:
        return False
    return np.result_type(dtype, net.dtype).itemsize > 4


_DOUBLES: WeakKeyDictionary[Model, tuple[tuple[Layer, ...], Model]] = WeakKeyDictionary()


def in_float64(net: Model) -> Model:
    """Return what predicts as a net of float32 does, in float64: made once, with the numbers of the net as they are.

    Settings of layers that are numbers, such as slopes, are those of the net.
    """
    net._own()
    layers = net._predictors.layers
    of, double = _DOUBLES.get(net, ((), None))
    if double is None or of is not layers:  # it predicts with averages from now on, or no more
        copies = shadows(layers, {})
        for layer in walk(copies):
            del layer.__dict__["_shadow_of"]  # layers of a model of their own, but for the cells of their numbers
        double = Model(copies, net.seed, np.float64)
        double._tree.adopt(double)
        double._own()
        _DOUBLES[net] = layers, double
    for own, its in zip(double._tree.all, walk(layers), strict=True):
        for mine, other in zip(_arrays_of(own).values(), _arrays_of(its).values(), strict=True):
            np.copyto(mine, other)
    return double


def _arrays_of(layer: Layer) -> dict[str, Array]:
    return {**layer.parameters, **layer.states}
