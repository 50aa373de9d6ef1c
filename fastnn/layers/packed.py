"""What dense layers have in common whose weights lie as products of predictions read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array, copy_into
from fastnn.checks import count, flag
from fastnn.layers import activations
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.layers.tree import build_alone

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value
    from fastnn.layers.dense import Dense


class PackedDense(Layer):
    """A dense layer without a derivative, whose weights are states.

    A subclass declares them in `build`, and says which kernel computes the product, and what it reads.
    """

    code = Code(saved=("x",), multiplies=True)
    mixes = False
    how_to_train = "it cannot be trained: train the model that it was made of, and call its quantize again"
    forward_kernel: ClassVar[str]
    least_units: ClassVar[int] = 1
    w: Any
    reads: ClassVar[tuple[str, ...]]  # of the arguments of that
    bits: ClassVar[int]  # of a weight
    products: ClassVar[str]  # in words, for a summary, as what is stored
    stored: ClassVar[str]

    def __init__(self, units: int, activation: str | Layer | None = None, *, trainable: bool = True) -> None:
        self.units = count(f"{type(self).__name__}: units", units, self.least_units)
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


class PackedNumbers(PackedDense):
    """One whose weights are numbers of some precision; it may have no bias. A subclass declares `w` in `build`."""

    reads = ("w", "b")
    b: Array

    def __init__(
        self,
        units: int,
        activation: str | Layer | None = None,
        *,
        bias: bool = True,
        trainable: bool = True,
    ) -> None:
        self.bias = flag(f"{type(self).__name__}: bias", bias)
        super().__init__(units, activation, trainable=trainable)

    @property
    def weights(self) -> Array:
        """The weights in the shape (n_in, units): a copy. Those that are set are packed into ``w``."""
        return self._unpacked()

    @weights.setter
    def weights(self, weights: ArrayLike) -> None:
        where, shape = f"{self.title}: weights", (self.n_in, self.units)
        _ = self.w  # which is an error before the layer is built
        given = as_array(weights, where, may_miss=False)
        if given.shape != shape:
            raise ValueError(f"{where} has shape {given.shape}, expected {shape}")
        if given.dtype != self.dtype:
            copy_into(converted := np.empty(shape, self.dtype), given)
            given = converted
        self.w = self._packed(given)

    def _packed(self, weights: Array) -> Any:
        raise AssertionError("a subclass packs them")

    def _unpacked(self) -> Array:
        raise AssertionError("and unpacks them")

    def build(self, n_in: int) -> int:
        if self.bias:
            self.state("b", (self.units,))
        else:
            self.__dict__["b"] = None
        return super().build(n_in)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.product(x, self.weights.astype(self.dtype), self.b)


_Kind = TypeVar("_Kind", bound=PackedNumbers)


def stand_in(kind: type[_Kind], dense: Dense, activation: Layer | None) -> _Kind:
    """Return the layer of a kind that stands for a dense one in predictions."""
    layer = kind(dense.units, activation, bias=dense.bias)
    build_alone(layer, dense.n_in, dense.dtype)
    layer.weights = dense.w
    if dense.bias:
        layer.b[...] = dense.b
    return layer
