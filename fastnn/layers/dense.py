"""The dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import count, flag
from fastnn.initializers import get as get_initializer
from fastnn.initializers import of_biases
from fastnn.layers import activations
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settable import Initializer

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value

_ROW_BYTES, _LANES, _MOST_UNITS = 512, 16, 256  # of x and of y, where rows are read where they lie


class Dense(Layer):
    """y = activation(x @ w + b): every output sees every input.

    Parameters
    ----------
    units : int
        The number of outputs. That of inputs is learnt from the first data.
    activation : str, Layer or None
        What follows the product: a name or any layer.
    bias : bool
        Whether there is a b.
    weight_initializer : str, callable or None
        A name of :mod:`fastnn.initializers`, one of those with settings, ``initializers.orthogonal(gain=1.4)``, or a
        function of (shape, rng). None chooses by the activation that follows: he_normal for relu and its kin,
        lecun_normal for selu, glorot_uniform otherwise.
    bias_initializer : str or callable
        In the same way.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in, units)
        The weights and their gradient: views into the memory of the model.
    b, db : ndarray of shape (units,)
        The biases and their gradient; None without a bias.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense
    >>> layer = Dense(2, "relu")
    >>> layer.forward(np.ones((5, 3))).shape
    (5, 2)
    >>> layer.backward(np.ones((5, 2))).shape, layer.w.shape, layer.db.shape
    ((5, 3), (3, 2), (2,))
    """

    code = Code(saved=("x",), multiplies=True)
    w: Array
    dw: Array
    b: Array
    db: Array

    def __init__(
        self,
        units: int,
        activation: str | Layer | None = None,
        *,
        bias: bool = True,
        weight_initializer: str | Initializer | None = None,
        bias_initializer: str | Initializer = "zeros",
        trainable: bool = True,
    ) -> None:
        self.units = count("Dense: units", units)
        if isinstance(activation, (int, np.integer)):
            raise TypeError(
                f"Dense: activation is {activation}, expected a name or a layer: Dense takes the number of outputs "
                f"alone, Dense({activation}), and learns that of inputs from the first data"
            )
        self.activation = None if activation is None else activations.get(activation)
        self.bias = flag("Dense: bias", bias)
        self.weight_initializer = (
            None if weight_initializer is None else get_initializer(weight_initializer, "Dense: weight_initializer")
        )
        self.bias_initializer = get_initializer(bias_initializer, "Dense: bias_initializer")
        super().__init__(trainable=trainable)

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What the activation gives."""
        return "numbers" if self.activation is None else self.activation.gives

    def build(self, n_in: int) -> int:
        row = kernels.float64.activations.get(self._following or "identity")
        default = "glorot_uniform" if row is None else row.initializer
        self.parameter("w", (n_in, self.units), self.weight_initializer or default)
        if self.bias:
            self.parameter("b", (self.units,), of_biases(self.bias_initializer, n_in))
        elif self.__dict__.get("b") is not None:
            raise ValueError(f"{self.title}: b was set, but bias is False: there is none")
        else:
            self.__dict__["b"] = self.__dict__["db"] = None
        return self.units if self.activation is None else self.build_child(self.activation, self.units)

    def in_a_row(self) -> Sequence[Layer]:
        return (self,) if self.activation is None else (self, self.activation)

    def takes_rows(self, x: Array) -> bool:
        """Whether rows of x are better read where they lie than copied: long ones, that few whole vectors need.

        Not where a processor reads them slowly.
        """
        return (
            kernels.far_reads != "slow"
            and x.flags.c_contiguous
            and x.shape[1] * x.itemsize >= _ROW_BYTES
            and self.units <= _MOST_UNITS
            and self.units % _LANES == 0
        )

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.dense_forward(x, self.w, self.b, y, tape=run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.product(x, self.w, self.b)

    def forward_fused(
        self,
        x: Array,
        y: Array,
        activation: activations.Activation | None,
        run: Run,
        factor: Array | None = None,
        offset: Array | None = None,
    ) -> None:
        """Write activation(factor * (x @ w + b) + offset) into y in one kernel."""
        name, alpha, beta = activations.in_a_product(activation)
        self.kernels.dense_forward(x, self.w, self.b, y, name, alpha, run.tape, factor=factor, offset=offset, beta=beta)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        self.backward_fused(x, dy, dx, None, None, run)

    def backward_fused(
        self, x: Array, dy: Array, dx: Array | None, before: activations.Activation | None, lr: Array | None, run: Run
    ) -> None:
        """Run backward, in the same kernels through the activation whose output x is, and plain SGD's step with lr."""
        name, alpha, beta = activations.in_a_product(before)
        k, w = self.kernels, self.w
        if run.trains and lr is None:
            k.dense_backward(x, w, dy, dx, self.dw, self.db, name, alpha, run.tape, beta=beta)
            return
        if dx is not None:  # from the weights as they are before the step
            k.dense_backward(x, w, dy, dx, None, None, name, alpha, run.tape, beta=beta)
        if run.trains and lr is not None:
            k.dense_sgd(x, w, self.b, dy, lr, run.tape)

    @property
    def title(self) -> str:
        return f"{super().title} ({self.units} units)"


Linear = Dense
