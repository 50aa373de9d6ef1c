"""Activations whose numbers follow from whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.arena import Array
from fastnn.layers.activation import Activation
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class Softmax(Activation):
    """y_j = exp(x_j) / sum_k exp(x_k), over each row.

    At the end of a net with CrossEntropy, training uses the fused, stable form; before any other loss, backward is the
    product with the full Jacobian, dx = y * (dy - sum(y * dy)).

    Examples
    --------
    >>> from fastnn import Softmax
    >>> Softmax()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[0.03, 0.136, 0.224, 0.609]]
    """

    kernel = "softmax"
    gives = "class probabilities"


class LogSoftmax(Activation):
    """y_j = x_j - log(sum_k exp(x_k)), over each row.

    Examples
    --------
    >>> from fastnn import LogSoftmax
    >>> LogSoftmax()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-3.495, -1.995, -1.495, -0.495]]
    """

    kernel = "log_softmax"
    gives = "class log-probabilities"


class Softmin(Layer):
    """y_j = exp(-x_j) / sum_k exp(-x_k), over each row: `Softmax` of -x.

    Examples
    --------
    >>> from fastnn import Softmin
    >>> Softmin().forward([[0.0, 1.0]]).round(4)
    array([[0.7311, 0.2689]])
    """

    code = Code(saved=("y",), in_place=True)
    gives = "class probabilities"

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.negative(x, y, run.tape)
        self.kernels.softmax_forward(y, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.activation(to.scale(x, -1), "softmax")

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.softmax_backward(y, dy, dx, run.tape)
            self.kernels.negative(dx, dx, run.tape)


class Sparsemax(Activation):
    """y_j = max(x_j - tau, 0), over each row, tau such that the sum is 1 (Martins & Astudillo 2016).

    Many of the probabilities are 0. Backward is the product with the full Jacobian: dx = dy - mean(dy) where y > 0, the
    mean over these, else 0. Keras's (3.15) differs: its rows need not sum to 1, as those of the example do not.

    Examples
    --------
    >>> from fastnn import Sparsemax
    >>> Sparsemax().forward([[1.0, 0.5, -1.0]])
    array([[0.75, 0.25, 0.  ]])
    """

    kernel = "sparsemax"
    gives = "class probabilities"
