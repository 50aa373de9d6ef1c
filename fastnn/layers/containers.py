"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import SupportsIndex, overload

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.layers.contract import Code, Layer
from fastnn.layers.passes import Run


class Row:
    """What has layers in a row: they are got by their number, and counted."""

    __slots__ = ()
    layers: tuple[Layer, ...]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, i: SupportsIndex) -> Layer: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, i: SupportsIndex | slice) -> Layer | tuple[Layer, ...]:
        """Return a layer, or for a slice a tuple of layers."""
        try:
            return self.layers[i]
        except IndexError:
            raise IndexError(f"there is no layer {i}, expected {-len(self.layers)} to {len(self.layers) - 1}") from None
        except TypeError:
            raise TypeError(f"layers are got by their numbers, as [0] or [1:3], got {shown(i)}") from None


class Sequential(Row, Layer):
    """Layers in a row, as one layer.

    Parameters
    ----------
    layers : sequence of Layer
    trainable : bool
        As of every layer: False freezes the parameters of all of them.

    Examples
    --------
    >>> from fastnn import Dense, Model, ReLU, Residual, Sequential
    >>> block = Sequential([Dense(64), ReLU(), Dense(64)])
    >>> net = Model([Dense(64), Residual([block]), Dense(1)], seed=0)
    """

    def __init__(self, layers: Iterable[Layer], *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        if not isinstance(layers, Iterable):
            raise TypeError(
                f"{type(self).__name__}: layers is {shown(layers)}, expected a list of layers such as [Dense(8)]"
            )
        self.layers = tuple(layers)
        if not self.layers:
            raise ValueError(f"{type(self).__name__}: layers is empty, expected at least one layer")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"{type(self).__name__}: layers[{i}] is {shown(layer)}, expected a layer such as Dense(8)"
                )

    def children(self) -> Sequence[Layer]:
        return self.layers

    def in_a_row(self) -> Sequence[Layer]:
        has_own_code = type(self)._forward is not Sequential._forward
        return (self,) if has_own_code else self.layers

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        raise AssertionError("its layers run in its place")

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        raise AssertionError("their backward runs in its place")

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What its last layer gives."""
        return self.layers[-1].gives


class Residual(Sequential):
    """y = x + what the layers make of x, in a row (He et al. 2016): they give as many numbers as they are given.

    Parameters
    ----------
    layers : sequence of Layer
    trainable : bool
        As of every layer: False freezes the parameters of all of them.

    Examples
    --------
    >>> from fastnn import Dense, Model, Residual
    >>> net = Model([Dense(32, "relu"), Residual([Dense(64, "relu"), Dense(32)]), Dense(1)], seed=0)
    """

    code = Code(saved=("x",))
    gives = "numbers"

    def build(self, n_in: int) -> int:
        n_out = super().build(n_in)
        if n_out != n_in:
            raise ValueError(
                f"{self.title}: its layers make {n_out} numbers of {n_in}, expected as many, because x is added: end "
                f"with Dense({n_in})"
            )
        return n_out

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        assert run.inner is not None
        self.kernels.add(x, run.inner.forward(x), y, run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        inner = run.inner
        assert inner is not None
        if inner.dy is not None:
            self.kernels.identity_forward(dy, inner.dy, tape=run.tape)  # the layers may overwrite theirs
        if dx is not None and inner.dy is not None:
            inner.backward(dx)
            self.kernels.add(dx, dy, dx, run.tape)
        elif inner.dy is not None:
            inner.backward(None)
