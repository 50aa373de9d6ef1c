"""Memory: one flat, aligned array per kind, and views into it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


_ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def _aligned_zeros(size: int, dtype: np.dtype[Any]) -> Array:
    memory = np.zeros(size * dtype.itemsize + _ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size * dtype.itemsize].view(dtype)


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


class Workspace:
    """The memory of one pass over a chain for some rows.

    Attributes
    ----------
    activations : list of ndarray
        (rows, n) each: the input, or Rows that stand for it, then what each stage puts out.
    gradients : list of ndarray or None
        The gradients of these; None for the input's, unless it was asked for.
    """

    def __init__(self, activations: list[Array], gradients: list[Array | None]) -> None:
        self.activations = activations
        self.gradients = gradients

    @cached_property
    def nbytes(self) -> int:
        """The memory of all of them, in bytes: what is there in two places counts once."""
        arrays = {
            array.ctypes.data: array.nbytes for array in (*self.activations, *self.gradients) if array is not None
        }
        return sum(arrays.values())

    def first(self, rows: int) -> Workspace:
        """Return the part of this memory that the first rows use."""
        return Workspace(
            [array[:rows] for array in self.activations],
            [None if array is None else array[:rows] for array in self.gradients],
        )

    def reading(self, rows: object) -> Workspace:
        """Return this memory with an input that is read where it lies: `kernels.Rows`."""
        return Workspace([rows, *self.activations[1:]], self.gradients)  # type: ignore[list-item]  # kernels take both
