"""Rows that are images, or have another shape, as rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import shown
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run


class Flatten(Layer):
    """y = x, whose rows may be images or have any shape: (rows, a, b, ...) becomes (rows, a * b * ...).

    As the first layer it takes arrays of more than two dimensions, in all that a model does, and those of two as they
    are; the numbers of a row are in the order of its last dimension (C order), as in PyTorch and Keras. Inside a net
    rows are flat: elsewhere it changes nothing, and in a prediction it vanishes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Flatten, Model
    >>> net = Model([Flatten(), Dense(10, "softmax")], seed=0)
    >>> net.predict(np.zeros((5, 28, 28))).shape, net.n_in
    ((5, 10), 784)
    """

    code = Code(saved=(), in_place=True)

    def build(self, n_in: int) -> int:
        return n_in

    def flat(self, x: Array) -> Array:
        """Return rows of any shape as rows of numbers."""
        return x.reshape(len(x), prod(x.shape[1:]))

    def for_prediction(self) -> None:
        return None

    def rows(self, x: Any, name: str) -> Any:
        """Return x, which errors call so, as rows of numbers, or as it is where it needs no change."""
        array = as_array(x, name)
        return self.flat(array) if array.ndim > 2 else x

    def _inputs(self, x: Any) -> Array:
        return super()._inputs(self.rows(x, f"{self.title}: x"))

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.scale_columns(x, None, None, y, run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.scale_columns(dy, None, None, dx, run.tape)


class Reshape(Flatten):
    """y = x, whose rows have this shape: `Flatten` that checks it.

    As the first layer it takes x of shape (rows, *shape) or (rows, numbers), and refuses others. Inside a net rows are
    flat, also behind this layer, unlike in PyTorch and Keras: elsewhere it checks the number of inputs alone.

    Parameters
    ----------
    shape : sequence of int
        Of a row, without the number of rows; one of its sizes may be -1, which fits any.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Reshape
    >>> net = Model([Reshape((28, 28)), Dense(10, "softmax")], seed=0)
    >>> net.predict(np.zeros((5, 28, 28))).shape
    (5, 10)
    """

    def __init__(self, shape: Sequence[int]) -> None:
        sizes = list(shape) if isinstance(shape, Sequence) and not isinstance(shape, (str, bytes)) else []
        whole = all(type(size) is int and (size > 0 or size == -1) for size in sizes)
        if not (sizes and whole and sizes.count(-1) < 2):
            raise ValueError(
                f"Reshape: shape is {shown(shape)}, expected the sizes of a row, whole numbers above 0 such as "
                "(28, 28), of which one may be -1"
            )
        self.shape = tuple(sizes)

    def build(self, n_in: int) -> int:
        known = prod(size for size in self.shape if size > 0)
        if n_in % known if -1 in self.shape else n_in != known:
            raise ValueError(f"{self.title}: rows have {n_in} numbers, expected {self._numbers()} for {self.shape}")
        return n_in

    def _numbers(self) -> str:
        known = prod(size for size in self.shape if size > 0)
        return f"a multiple of {known}" if -1 in self.shape else str(known)

    def flat(self, x: Array) -> Array:
        """Return rows of this shape as rows of numbers."""
        fits = x.ndim == len(self.shape) + 1
        if not fits or any(size not in (-1, found) for size, found in zip(self.shape, x.shape[1:], strict=True)):
            expected = ", ".join("any" if size == -1 else str(size) for size in self.shape)
            raise ValueError(f"{self.title}: x has shape {x.shape}, expected (rows, {expected})")
        return super().flat(x)


def flattening(layer: Layer) -> Flatten | None:
    """Return what takes the inputs of a layer in shapes of its own, where it begins with that."""
    first = layer.in_a_row()[0]
    if first is not layer:
        return flattening(first)
    return layer if isinstance(layer, Flatten) else None
