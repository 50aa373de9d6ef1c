"""A leaky relu whose slope is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.arena import Array
from fastnn.checks import flag, number
from fastnn.initializers import constant
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class PReLU(Layer):
    """y = x where x > 0, else alpha * x, with a trained alpha (He et al. 2015).

    Parameters
    ----------
    per_column : bool
        Whether each column has an alpha of its own, as Keras has it; else there is one, PyTorch's default.
    init : float
        Where alpha begins: 0.25 as in PyTorch, 0 in Keras.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    alpha, dalpha : ndarray of shape (1,) or (n_in,)
        The slopes and their gradient; an optimizer's groups call them "biases".

    Examples
    --------
    >>> from fastnn import PReLU
    >>> layer = PReLU()
    >>> layer.forward([[-2.0, 2.0]])
    array([[-0.5,  2. ]])
    >>> layer.backward([[1.0, 1.0]]), layer.dalpha
    (array([[0.25, 1.  ]]), array([-2.]))
    """

    code = Code(saved=("x",), in_place=True)
    gives = "numbers"
    alpha: Array
    dalpha: Array

    def __init__(self, per_column: bool = False, init: float = 0.25, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.per_column = flag("PReLU: per_column", per_column)
        self.init = number("PReLU: init", init, above=float("-inf"))

    def build(self, n_in: int) -> int:
        self.parameter("alpha", (n_in if self.per_column else 1,), constant(self.init))
        return n_in

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.prelu_forward(x, self.alpha, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.prelu(x, self.alpha)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if run.trains:
            self.kernels.prelu_gradient(x, dy, self.dalpha, run.tape)
        if dx is not None:
            self.kernels.prelu_backward(x, dy, self.alpha, dx, run.tape)
