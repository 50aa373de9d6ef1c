"""Maxout."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, flag
from fastnn.initializers import get as get_initializer
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settable import Initializer

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value


class Maxout(Layer):
    """y = max over k of (x @ w_k + b_k): of each unit the largest of some linear pieces (Goodfellow et al. 2013).

    A gradient goes to the piece that was the largest, of equal ones to the first, as in PyTorch's max over a dimension.

    Parameters
    ----------
    units : int
        The number of outputs. That of inputs is learnt from the first data.
    pieces : int
        How many linear functions each unit is made of; Goodfellow et al. take 2 to 5.
    bias : bool
        Whether there is a b.
    weight_initializer : str or callable
        For each piece. With lecun_normal the mean square of two pieces' largest is that of x.
    bias_initializer : str or callable
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in, pieces * units)
        The weights, piece after piece, and their gradient.
    b, db : ndarray of shape (pieces * units,)
        The biases and their gradient; None without a bias.

    Examples
    --------
    >>> from fastnn import Dense, Maxout, Model
    >>> net = Model([Maxout(32, pieces=3), Dense(1)], seed=0)
    >>> net.build(5).layers[0].w.shape
    (5, 96)
    """

    code = Code(saved=("x", "y"))
    gives = "numbers"
    w: Array
    dw: Array
    b: Array
    db: Array

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        *,
        bias: bool = True,
        weight_initializer: str | Initializer = "lecun_normal",
        bias_initializer: str | Initializer = "zeros",
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self.units, self.pieces = count("Maxout: units", units), count("Maxout: pieces", pieces)
        self.bias = flag("Maxout: bias", bias)
        self.weight_initializer = get_initializer(weight_initializer, "Maxout: weight_initializer")
        self.bias_initializer = get_initializer(bias_initializer, "Maxout: bias_initializer")

    def build(self, n_in: int) -> int:
        n = self.pieces * self.units
        self.parameter("w", (n_in, n), partial(_pieces, self.weight_initializer, self.pieces))
        self.scratch("z", ("rows", n))
        if self.bias:
            self.parameter("b", (n,), self.bias_initializer)
        else:
            self.__dict__["b"] = self.__dict__["db"] = None
        return self.units

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        z = run.scratch["z"]
        self.kernels.dense_forward(x, self.w, self.b, z, tape=run.tape)
        self.kernels.maxout_forward(z.reshape(run.rows, self.pieces, self.units), y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.reduce(to.product(x, self.w, self.b), "max", self.pieces)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        dz = run.scratch["z"]
        pieces = dz.reshape(run.rows, self.pieces, self.units)
        self.kernels.maxout_backward(pieces, y, dy, pieces, run.tape)
        dw, db = (self.dw, self.db) if run.trains else (None, None)
        self.kernels.dense_backward(x, self.w, dz, dx, dw, db, tape=run.tape)


def _pieces(initializer: Initializer, pieces: int, shape: tuple[int, ...], rng: Generator) -> Any:
    """Return the weights of all pieces, each as those of a layer of its own."""
    n_in, n = shape
    return np.concatenate([initializer((n_in, n // pieces), rng) for _ in range(pieces)], axis=1)
