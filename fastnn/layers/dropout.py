"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settings import Number


class Dropout(Layer):
    """y = x / (1 - rate), or 0 with probability `rate`, while a net is trained (Srivastava et al. 2014).

    A prediction is computed without it. Which numbers are left out follows from a seed, which the model draws when it
    is built, and from the number of batches seen: a fit that is repeated repeats them, on any number of threads.

    Parameters
    ----------
    rate : float
        At least 0 and below 1. It may be set at any time.

    Examples
    --------
    >>> from fastnn import Dense, Dropout, Model
    >>> net = Model([Dense(64, "relu"), Dropout(0.2), Dense(10, "softmax")], seed=0)
    """

    code = Code(saved=(), in_place=True)
    gives = "numbers"
    rate: Any = Number(below=1.0)
    key: Array
    batches: Array

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate

    def build(self, n_in: int) -> int:
        self.state("key", (1,), _draw, dtype="float64")
        self.state("batches", (1,), "zeros", dtype="float64")
        return n_in

    def for_prediction(self) -> None:
        return None

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.dropout(x, y, self.cell("rate"), self.key, self.batches, run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:  # the function is linear: what multiplies x multiplies dy
            self.kernels.dropout(dy, dx, self.cell("rate"), self.key, self.batches, run.tape)

    def _after_batch(self, run: Run) -> None:
        self.kernels.increment(self.batches, run.tape)


def _draw(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    return rng.integers(0, 2**53, shape).astype(np.float64)
