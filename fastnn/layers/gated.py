"""Activations that halve the columns: one half is multiplied by gates, which are computed from the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class Gated(Layer):
    """y = a * f(b), x = (a, b)."""

    code = Code(saved=("x",))
    gives = "numbers"
    gate: ClassVar[str] = ""  # the row of f in the table of activations

    def build(self, n_in: int) -> int:
        if n_in % 2:
            raise ValueError(
                f"{self.title}: x has {n_in} columns, expected an even number: half of them become gates, so a Dense "
                "before it has twice as many units as there are outputs"
            )
        return n_in // 2

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.gated_forward(x, y, self.gate, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        n = self.n_out
        return to.multiply(to.columns(x, range(n)), to.activation(to.columns(x, range(n, 2 * n)), self.gate))

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.gated_backward(x, dy, dx, self.gate, run.tape)


class GLU(Gated):
    """y = a * sigmoid(b), a the first and b the second half of the columns of x (Dauphin et al. 2017).

    It halves the columns: ``Dense(8, "glu")`` has 4 outputs. The second half is the gate, as in PyTorch and Keras, here
    also in `SwiGLU` and its kin; where the paper's first matrix is the gate, exchange the halves of the weights.

    Examples
    --------
    >>> from fastnn import GLU
    >>> GLU().forward([[1.0, 2.0, 0.0, 50.0]])
    array([[0.5, 2. ]])
    """

    gate = "sigmoid"


class SwiGLU(Gated):
    """y = a * silu(b), a the first and b the second half of the columns of x (Shazeer 2020).

    Examples
    --------
    >>> from fastnn import SwiGLU
    >>> SwiGLU().forward([[1.0, 2.0, 0.0, 50.0]])
    array([[  0., 100.]])
    """

    gate = "silu"


class GEGLU(Gated):
    """y = a * gelu(b), a the first and b the second half of the columns of x (Shazeer 2020).

    Examples
    --------
    >>> from fastnn import GEGLU
    >>> GEGLU().forward([[1.0, 2.0, 0.0, 50.0]])
    array([[  0., 100.]])
    """

    gate = "gelu"


class ReGLU(Gated):
    """y = a * relu(b), a the first and b the second half of the columns of x (Shazeer 2020).

    Examples
    --------
    >>> from fastnn import ReGLU
    >>> ReGLU().forward([[1.0, 2.0, -1.0, 50.0]])
    array([[  0., 100.]])
    """

    gate = "relu"


class Bilinear(Gated):
    """y = a * b, a the first and b the second half of the columns of x (Mnih & Hinton 2007; Shazeer 2020).

    Examples
    --------
    >>> from fastnn import Bilinear
    >>> Bilinear().forward([[1.0, 2.0, -1.0, 50.0]])
    array([[ -1., 100.]])
    """

    gate = "identity"
