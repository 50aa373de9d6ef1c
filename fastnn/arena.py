"""Memory: one flat, aligned array per kind, and views into it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_LARGE_PAGE = 2 * 1024 * 1024  # bytes, which Linux gives where somebody asks for them


def _aligned_zeros(size: int, dtype: np.dtype[Any]) -> Array:
    """Return zeros that begin at a cache line, or, if they fill a large page, at one.

    NumPy asks for large pages in each array of 4 MB or more. A tile of a product that reads w goes through as many
    pages of 4 KB as w has rows, which is more than processors know the places of.
    """
    n = size * dtype.itemsize
    alignment = _LARGE_PAGE if n >= _LARGE_PAGE else _ALIGNMENT
    memory = np.zeros(n + alignment, dtype=np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + n].view(dtype)


class Arena:
    """One flat array of zeros, and one view into it per shape.

    Parameters
    ----------
    shapes : sequence of tuple of int
    dtype : dtype
    padded : bool
        Begin every view at a cache line. Parameters are packed without gaps instead, so that the flat array holds
        them and nothing else.

    Attributes
    ----------
    flat : ndarray of shape (size,)
    views : list of ndarray
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], padded: bool) -> None:
        step = _ALIGNMENT // dtype.itemsize if padded else 1
        starts, size = [], 0
        for shape in shapes:
            starts.append(size)
            size += -(-prod(shape) // step) * step
        self.flat: Array = _aligned_zeros(size, dtype)
        self.views: list[Array] = [
            self.flat[start : start + prod(shape)].reshape(shape) for start, shape in zip(starts, shapes, strict=True)
        ]


class Memory:
    """The arrays of layers that belong together.

    Attributes
    ----------
    params, grads : ndarray
        All parameters and their gradients, flat.
    states : list of ndarray
        What is kept between steps and not trained, flat, one array for each dtype.
    running : list of ndarray
        Those states that are running averages over the batches of a training.
    without_gradients : str or None
        Why `grads` are not those of the last step, where they are not.
    """

    __slots__ = ("__weakref__", "grads", "params", "running", "states", "without_gradients")

    def __init__(self, params: Array, grads: Array, states: list[Array], running: list[Array]) -> None:
        self.params, self.grads, self.states, self.running = params, grads, states, running
        self.without_gradients: str | None = None
