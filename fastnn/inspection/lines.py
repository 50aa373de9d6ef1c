"""The layers of a model as the lines of a table: those inside others behind them, indented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fastnn.checks import number_of
from fastnn.layers.contract import Layer
from fastnn.layers.inputs import ColumnLayer
from fastnn.layers.packed import PackedDense
from fastnn.layers.tree import Tree, walk

LONGEST = 36  # of the text of a layer, in letters


class Line:
    """One layer.

    Attributes
    ----------
    place : str
        "3", or "3.1" for the first layer inside it: as people count.
    layer : Layer
    gives : Layer
        What makes its outputs: itself, or the last of those that run in its place.
    depth : int
        0, or in how many others it stands.
    n_in, n_out : int
        0 before the build.
    n_parameters, multiply_adds : int
        Of it and all inside it. Multiply-adds are those of products with weights, for one row.
    packed : dict
        How many weights of so many bits it and all inside it have, which are no parameters.
    frozen : bool
        Whether it is not trained, although it has parameters.
    """

    __slots__ = (
        "depth", "frozen", "gives", "layer", "multiply_adds", "n_in", "n_out", "n_parameters", "packed", "place",
    )  # fmt: skip

    def __init__(self, place: str, layer: Layer, depth: int, trains: bool) -> None:
        self.place, self.layer, self.depth, self.gives = place, layer, depth, last_of(layer)
        self.n_in, self.n_out = layer.n_in, layer.n_out
        inside = list(walk([layer]))
        self.n_parameters = sum(array.size for own in inside for array in own.parameters.values())
        self.packed = packed_in(inside)
        self.multiply_adds = sum(map(multiply_adds, inside))
        self.frozen = self.n_parameters > 0 and not trains

    @property
    def text(self) -> str:
        """The layer as it is written, cut where it is long; of one that holds others, its name."""
        text = repr(self.layer)
        if list(shown_inside(self.layer)):
            text = type(self.layer).__name__
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."

    @property
    def name(self) -> str:
        """The place and the kind of the layer."""
        return f"{self.place} {type(self.layer).__name__}"


def multiply_adds(layer: Layer) -> int:
    """Return how many multiply-adds the products of a layer with its own weights take for one row.

    Each weight of two or more dimensions is used once. Of rows that are looked up, none is; adding biases, scaling and
    activations are not counted, as usual (Thop, fvcore).
    """
    if isinstance(layer, ColumnLayer):
        return 0
    return n_packed(layer) + sum(array.size for array in layer.parameters.values() if array.ndim > 1)


def n_packed(layer: Layer) -> int:
    """Return how many weights of fewer bits than parameters a layer has."""
    return layer.n_in * layer.units if isinstance(layer, PackedDense) else 0


def packed_in(layers: Iterable[Layer]) -> dict[int, int]:
    """Return how many weights of so many bits there are, which are no parameters."""
    found: dict[int, int] = {}
    for layer in layers:
        if isinstance(layer, PackedDense):
            found[layer.bits] = found.get(layer.bits, 0) + n_packed(layer)
    return found


def amount(n_parameters: int, packed: Mapping[int, int]) -> str:
    """Return in words how many numbers there are: parameters, and weights of so many bits."""
    parameters = [number_of(n_parameters, "parameter")] if n_parameters or not packed else []
    return ", ".join([*parameters, *(f"{number_of(n, 'weight')} of {bits} bits" for bits, n in packed.items())])


def amount_in(tree: Tree) -> str:
    """Return in words how many numbers the layers of a model have."""
    n_parameters = sum(array.size for layer in tree.all for array in layer.parameters.values())
    return amount(n_parameters, packed_in(tree.all))


def computed_in(tree: Tree) -> str:
    """Return the dtype and the precision of a model in words."""
    return f"{tree.dtype}, products in bfloat16 where they gain" if tree.precision else str(tree.dtype)


def last_of(layer: Layer) -> Layer:
    """Return what makes the outputs of a layer: the last of those that run in its place."""
    while layer._children:
        last = layer.in_a_row()[-1]
        if last is layer:
            break
        layer = last
    return layer


def shown_inside(layer: Layer) -> Iterator[Layer]:
    """Yield the layers inside one that have lines of their own: not the activation of a `Dense`, its setting."""
    own = layer.in_a_row() if layer._children else (layer,)
    settings = [id(other) for other in own] if any(other is layer for other in own) else []
    yield from (child for child in layer._children if id(child) not in settings)


def lines_of(tree: Tree) -> list[Line]:
    """Return a line for each layer, each before those inside it."""
    return list(_lines(tree.layers, "", 0, True))


def _lines(layers: Iterable[Layer], before: str, depth: int, trains: bool) -> Iterator[Line]:
    for i, layer in enumerate(layers, 1):
        own = trains and layer.trainable
        line = Line(f"{before}{i}", layer, depth, own)
        yield line
        yield from _lines(shown_inside(layer), f"{line.place}.", depth + 1, own)


def places(lines: Sequence[Line]) -> dict[int, str]:
    """Return the place of each layer, by its id: that of a layer which is a setting of another is its."""
    found = {id(inner): line.place for line in lines for inner in walk([line.layer])}
    return found | {id(line.layer): line.place for line in lines}  # those inside come later, and win
