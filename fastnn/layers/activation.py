"""What activations have in common: a row of the table of activations, which is a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import kernels
from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settings import Cell, Number

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value

BY_NAME: dict[str, type[Layer]] = {}  # filled by activations.py, with all of them


class Activation(Layer):
    """A layer without parameters that is one kernel, forward and backward: a row of the table of activations."""

    numbers: ClassVar[tuple[str, ...]] = ()  # the names of its constants here, in the order of the row

    @property
    def code(self) -> Code:  # type: ignore[override]
        """What its row of the table allows."""
        row = kernels.float64.activations[self.kernel]
        return Code((row.derivative_from,), in_place=True, fusable=row.fusable, mergeable=True)

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What losses of probabilities must know of its outputs."""
        return "probabilities" if kernels.float64.activations[self.kernel].range == ("0", "1") else "numbers"

    def _constants(self) -> list[Cell]:
        """Return the cells of its constants, as its row has them."""
        return [self.cell(name) for name in self.numbers]

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        getattr(self.kernels, self.kernel + "_forward")(x, y, *self._constants(), tape=run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.activation(x, self.kernel, [float(cell[0]) for cell in self._constants()])

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None:
            return
        saved = y if kernels.float64.activations[self.kernel].derivative_from == "y" else x
        getattr(self.kernels, self.kernel + "_backward")(saved, dy, dx, *self._constants(), tape=run.tape)

    def _as_setting(self) -> str:
        """Return its name, where that is all it is."""
        text = repr(self)
        return (
            repr(self.kernel) if text == f"{type(self).__name__}()" and BY_NAME.get(self.kernel) is type(self) else text
        )


class _WithAlpha(Activation):
    """An activation with a constant of that name, by default that of the table."""

    numbers = ("alpha",)
    alpha: Any = Number()

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


def in_a_product(activation: Activation | None) -> tuple[str | None, Cell | None, Cell | None]:
    """Return how a dense product is told of an activation: its kernel and the cells of its constants."""
    if activation is None:
        return None, None, None
    alpha, beta, *_ = (*activation._constants(), None, None)
    return activation.kernel, alpha, beta
