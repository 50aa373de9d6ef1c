"""A factor or an offset for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.arena import Array
from fastnn.initializers import get as get_initializer
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settable import Initializer

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class Scale(Layer):
    """y = x * s, a factor for each column: the product with a diagonal matrix. ds = sum over rows of dy * x.

    Parameters
    ----------
    initializer : str or callable
        A name of :mod:`fastnn.initializers` or a function of (shape, rng).
    trainable : bool
        As of every layer: False freezes its parameter.

    Attributes
    ----------
    s, ds : ndarray of shape (n_in,)
        Trained; an optimizer's groups call it "norms", as the scales of normalizations.

    Examples
    --------
    >>> from fastnn import Bias, Dense, Model, Scale
    >>> net = Model([Scale(), Bias(), Dense(1)], seed=0)
    >>> net.build(3).layers[0].s
    array([1., 1., 1.], dtype=float32)
    """

    code = Code(saved=("x",), in_place=True)
    gives = "numbers"
    s: Array
    ds: Array

    def __init__(self, initializer: str | Initializer = "ones", *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.initializer = get_initializer(initializer, "Scale: initializer")

    def build(self, n_in: int) -> int:
        self.parameter("s", (n_in,), self.initializer, "norms")
        return n_in

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.scale_columns(x, self.s, None, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.scale(x, self.s)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if run.trains:
            self.kernels.scale_columns_backward(x, dy, self.s, dx, self.ds, None, run.tape)
        elif dx is not None:
            self.kernels.scale_columns(dy, self.s, None, dx, run.tape)


class Bias(Layer):
    """y = x + b, an offset for each column. db = sum over rows of dy.

    Parameters
    ----------
    initializer : str or callable
        A name of :mod:`fastnn.initializers` or a function of (shape, rng).
    trainable : bool
        As of every layer: False freezes its parameter.

    Attributes
    ----------
    b, db : ndarray of shape (n_in,)
        Trained; an optimizer's groups call it "biases".

    Examples
    --------
    >>> from fastnn import Bias, Dense, Model, Tanh
    >>> net = Model([Dense(8, bias=False), Bias(), Tanh(), Dense(1)], seed=0)
    """

    code = Code(saved=(), in_place=True)
    gives = "numbers"
    b: Array
    db: Array

    def __init__(self, initializer: str | Initializer = "zeros", *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.initializer = get_initializer(initializer, "Bias: initializer")

    def build(self, n_in: int) -> int:
        self.parameter("b", (n_in,), self.initializer, "biases")
        return n_in

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.scale_columns(x, None, self.b, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.scale(x, offset=self.b)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if run.trains:
            self.kernels.scale_columns_gradients(dy, dy, None, None, None, self.db, run.tape)
        if dx is not None:
            self.kernels.scale_columns(dy, None, None, dx, run.tape)
