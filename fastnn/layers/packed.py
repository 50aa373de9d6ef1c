"""What dense layers have in common whose weights lie as products of predictions read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fastnn.arena import Array
from fastnn.checks import count
from fastnn.layers import activations
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run


class PackedDense(Layer):
    """A dense layer without a derivative, whose weights are states.

    A subclass declares them in `build`, and says which kernel computes the product, and what it reads.
    """

    code = Code(saved=("x",), multiplies=True)
    mixes = False
    how_to_train = "it cannot be trained: train the model that it was made of, and call its quantize again"
    forward_kernel: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]  # of the arguments of that
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

    def build(self, n_in: int) -> int:
        return self.units if self.activation is None else self.build_child(self.activation, self.units)

    def in_a_row(self) -> Sequence[Layer]:
        return (self,) if self.activation is None else (self, self.activation)

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
        getattr(self.kernels, self.forward_kernel)(
            **{read: getattr(self, read) for read in self.reads},
            x=x, y=y, activation=name, alpha=alpha, beta=beta, factor=factor, offset=offset, tape=run.tape,
        )  # fmt: skip

    @property
    def title(self) -> str:
        return f"{super().title} ({self.units} units)"
