"""What dense layers have in common whose weights lie as products of predictions read them, in fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fastnn.arena import Array
from fastnn.checks import count
from fastnn.layers import activations
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run


class PackedDense(Layer):
    """A dense layer without a derivative: its weights are states, of which `_product` calls a kernel."""

    code = Code(saved=("x",), multiplies=True)
    how_to_train = "it cannot be trained: train the model that it was made of, and call its quantize again"
    bits: ClassVar[int]  # of a weight
    products: ClassVar[str]  # in words, for a summary, as what is stored
    stored: ClassVar[str]

    def __init__(self, units: int, activation: str | Layer | None = None, *, trainable: bool = True) -> None:
        self.units = count(f"{type(self).__name__}: units", units)
        self.activation = None if activation is None else activations.get(activation)
        super().__init__(trainable=trainable)

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What the activation gives."""
        return "numbers" if self.activation is None else self.activation.gives

    def declare(self, n_in: int) -> None:
        """Declare the states."""
        raise NotImplementedError

    def build(self, n_in: int) -> int:
        self.declare(n_in)
        return self.units if self.activation is None else self.build_child(self.activation, self.units)

    def in_a_row(self) -> Sequence[Layer]:
        return (self,) if self.activation is None else (self, self.activation)

    def _product(self, x: Array, y: Array, *others: Any, **named: Any) -> None:
        raise NotImplementedError

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.forward_fused(x, y, None, run)

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
        self._product(x, y, name, alpha, run.tape, factor=factor, offset=offset, beta=beta)

    @property
    def title(self) -> str:
        return f"{super().title} ({self.units} units)"
