"""Layers made of layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from fastnn.arena import Array
from fastnn.checks import is_iterable, shown
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.layers.shape import flattening

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


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


class Container(Row, Layer):
    """Layers that are given as a list, as one layer."""

    def __init__(self, layers: Iterable[Layer], *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        if not is_iterable(layers):
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


class Sequential(Container):
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

    def in_a_row(self) -> Sequence[Layer]:
        has_own_code = type(self)._forward is not Sequential._forward
        return (self,) if has_own_code else self.layers

    def _inputs(self, x: Any) -> Array:
        first = flattening(self)
        return super()._inputs(x if first is None else first.rows(x, f"{self.title}: x"))

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

    `Add` is a sum whose skip is a layer, too: a projection to another number of outputs.

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
                f"with Dense({n_in}), or let Add([Sequential([...]), Dense({n_out})]) project x"
            )
        return n_out

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        assert run.inner is not None
        self.kernels.add(x, run.inner.forward(x), y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.sum((x, to.row(self.layers, x)))

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


class Branches(Container):
    """Layers that are all given the same x, each with memory of its own."""

    code = Code(saved=("x",))

    def in_branches(self) -> Sequence[Sequence[Layer]]:
        return tuple((layer,) for layer in self.layers)

    @abstractmethod
    def _columns_of(self, y: Array) -> Sequence[Array]:
        """Return the part of the outputs that each branch makes."""

    @abstractmethod
    def _join(self, made: Sequence[Array], y: Array, run: Run) -> None:
        """Write y from what the branches have made."""

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self._join([branch.forward(x) for branch in run.branches], y, run)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        is_first = True
        for branch, part in zip(run.branches, self._columns_of(dy), strict=True):
            if branch.dy is None:  # nothing in it is trained
                continue
            self.kernels.copy(part, branch.dy, run.tape)  # its layers may overwrite theirs
            if dx is None or is_first:
                branch.backward(dx)
            else:
                assert branch.dx is not None
                branch.backward(branch.dx)
                self.kernels.add(dx, branch.dx, dx, run.tape)
            is_first = False


class Parallel(Branches):
    """y = what each layer makes of the same x, side by side: the outputs of the first, then those of the second ...

    A branch of several layers is a `Sequential`. `Identity` hands x on: what a net makes of its inputs then stands
    beside them (wide and deep, Cheng et al. 2016; dense connections, Huang et al. 2017). The gradients of x are added
    in the order of the branches. Keras's Concatenate joins arrays that were made elsewhere; this one makes them.

    Parameters
    ----------
    layers : sequence of Layer
    trainable : bool
        As of every layer: False freezes the parameters of all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Identity, Model, Parallel, Sequential
    >>> deep = Sequential([Dense(16, "relu"), Dense(8, "relu")])
    >>> net = Model([Parallel([Identity(), deep]), Dense(1)], seed=0)
    >>> net.build(5).layers[0].n_out
    13
    """

    def build(self, n_in: int) -> int:
        n_out = 0
        for layer in self.layers:
            n_out += self.build_child(layer, n_in)
        return n_out

    def _columns_of(self, y: Array) -> Sequence[Array]:
        parts, begin = [], 0
        for layer in self.layers:
            parts.append(y[:, begin : begin + layer.n_out])
            begin += layer.n_out
        return parts

    def _join(self, made: Sequence[Array], y: Array, run: Run) -> None:
        for own, part in zip(made, self._columns_of(y), strict=True):
            self.kernels.copy(own, part, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.concat(to.row((layer,), x) for layer in self.layers)

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What all branches give: each number from 0 to 1, where all do."""
        kinds = {layer.gives for layer in self.layers}
        if kinds <= {"probabilities", "class probabilities"}:
            return "probabilities"
        return None if None in kinds else "numbers"


Concatenate = Parallel


class Add(Branches):
    """y = the sum of what the layers make of the same x: all give as many numbers.

    A residual block whose skip is a projection is ``Add([Sequential([...]), Dense(n)])`` (He et al. 2016); `Residual`
    adds x itself. Sums and the gradient of x are added in the order of the branches. Keras's Add sums arrays that were
    made elsewhere.

    Parameters
    ----------
    layers : sequence of Layer
    trainable : bool
        As of every layer: False freezes the parameters of all of them.

    Examples
    --------
    >>> from fastnn import Add, Dense, Model, Sequential
    >>> block = Sequential([Dense(64, "relu"), Dense(32)])
    >>> net = Model([Add([block, Dense(32, bias=False)]), Dense(1)], seed=0)
    """

    gives = "numbers"

    def build(self, n_in: int) -> int:
        found = [self.build_child(layer, n_in) for layer in self.layers]
        if len(set(found)) > 1:
            raise ValueError(
                f"{self.title}: its layers make {', '.join(map(str, found))} numbers, expected as many from each, "
                f"because they are added: end with Dense({found[0]})"
            )
        return found[0]

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.sum(to.row((layer,), x) for layer in self.layers)

    def _columns_of(self, y: Array) -> Sequence[Array]:
        return [y] * len(self.layers)

    def _join(self, made: Sequence[Array], y: Array, run: Run) -> None:
        total, *others = made
        for own in others:
            self.kernels.add(total, own, y, run.tape)
            total = y
        if not others:
            self.kernels.copy(total, y, run.tape)
