"""Nets of one estimator beside each other: made with other settings, or in another dtype, with the same parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.layers import BatchNorm, Dense
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
    """Whether a net rounds what rows of a dtype say."""
    return net.dtype.itemsize == 4 and dtype is not net.dtype and np.result_type(dtype, net.dtype).itemsize > 4
