"""An activation of which each unit learns how much it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import number
from fastnn.initializers import constant
from fastnn.layers import activations
from fastnn.layers.activation import Activation
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class ParametricActivation(Layer):
    """y = x + a * (f(x) - x), with a trained a for each column (Holzmüller, Grinsztajn & Steinwart 2024).

    With a = 1, where it begins, it is f; with a = 0 the identity. da = sum over rows of dy * (f(x) - x). `PReLU` is
    another form of a trained slope.

    Parameters
    ----------
    activation : str or Layer
        f: any activation of single numbers, by its name or with constants of its own, ``ELU(0.5)``.
    init : float
        Where a begins.
    trainable : bool
        As of every layer: False freezes a.

    Attributes
    ----------
    a, da : ndarray of shape (n_in,)
        Trained; an optimizer's groups call it "biases".

    Examples
    --------
    >>> from fastnn import ParametricActivation
    >>> layer = ParametricActivation("relu", init=0.75)
    >>> layer.forward([[-2.0, 2.0]])
    array([[-0.5,  2. ]])
    >>> layer.backward([[1.0, 1.0]]), layer.da
    (array([[0.25, 1.  ]]), array([2., 0.]))
    """

    code = Code(saved=("x",))
    gives = "numbers"
    a: Array
    da: Array

    def __init__(self, activation: str | Layer = "selu", init: float = 1.0, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        chosen = activations.get(activation)
        if not isinstance(chosen, Activation) or not kernels.float64.activations[chosen.kernel].elementwise:
            raise TypeError(
                f"ParametricActivation: activation is {chosen!r}, expected one of single numbers, such as 'selu', "
                "'mish' or ELU(0.5)"
            )
        self.activation = chosen
        self.init = number("ParametricActivation: init", init, above=float("-inf"))

    def build(self, n_in: int) -> int:
        self.build_child(self.activation, n_in)
        self.parameter("a", (n_in,), constant(self.init))
        self.scratch("f", ("rows", n_in))
        return n_in

    def in_branches(self) -> tuple[()]:
        return ()

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        _, alpha, beta = activations.in_a_product(self.activation)
        f = run.scratch["f"]
        self.kernels.parametric_forward(x, self.a, f, y, self.activation.kernel, alpha, beta, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        distance = to.sum((self.activation._graph(x, to), to.scale(x, -1)))
        return to.sum((x, to.scale(distance, self.a)))

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        _, alpha, beta = activations.in_a_product(self.activation)
        f, da = run.scratch["f"], self.da if run.trains else None
        if dx is not None or da is not None:
            self.kernels.parametric_backward(x, f, dy, self.a, dx, da, self.activation.kernel, alpha, beta, run.tape)
