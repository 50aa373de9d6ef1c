"""The layers of a net as boxes, from its inputs to its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.checks import number_of
from fastnn.drawing import GREY, axes, cut
from fastnn.inspection.lines import Line, amount, amount_in, lines_of, multiply_adds, shown_inside
from fastnn.layers.containers import Add, Branches, Residual
from fastnn.layers.contract import Layer, forms
from fastnn.layers.tree import walk
from fastnn.model import Model
from fastnn.plots.data import require_net

_WIDTH, _GAP, _BOX, _STEP = 2.9, 0.35, 0.5, 0.78  # inches: of a column, between columns; heights of a box and of a step
_JOIN = 0.5  # inches: the height of what joins branches
_MOST = 30.0  # inches of a figure
_LONGEST = 30  # letters in a box


class _Block:
    """What is drawn of a layer: a box, a column of blocks, or columns beside each other.

    Attributes
    ----------
    width, height : float
        In inches.
    """

    def __init__(self, layer: Layer | None, lines: dict[int, Line], rows: Sequence[Sequence[_Block]] = ()) -> None:
        self.layer, self.rows = layer, rows
        self.line = None if layer is None else lines[id(layer)]
        self.is_residual = isinstance(layer, Residual)
        if not rows:
            self.width, self.height = _WIDTH, _STEP
            return
        heights = [sum(block.height for block in row) for row in rows]
        widths = [max((block.width for block in row), default=_WIDTH) for row in rows]
        self.height = max(heights) + 2 * _JOIN
        self.width = sum(widths) + _GAP * (len(rows) - 1) + 2 * _GAP


def _block(layer: Layer, lines: dict[int, Line]) -> _Block:
    inside = list(shown_inside(layer))
    if not inside:
        return _Block(layer, lines)
    if forms(type(layer)).is_numpy:
        return _Block(layer, lines)  # its code alone knows how they are run
    in_place = layer.in_a_row()
    rows = [list(in_place)] if not any(own is layer for own in in_place) else [list(row) for row in layer.in_branches()]
    return _Block(layer, lines, [[_block(own, lines) for own in row] for row in rows])


def plot_network(net: Model, ax: Any = None) -> Any:
    """Draw the layers of a net from its inputs, on top, to its outputs: a box for each = its name, outputs, parameters.

    Branches of `Parallel` and `Add` stand beside each other, `Residual` has a line around its layers. Boxes are
    coloured by what they are: products, activations, what vanishes or folds in predictions; those of frozen layers are
    dashed. Before the build, there are no numbers.

    Parameters
    ----------
    net : Model
        Built or not.
    ax : matplotlib axes or None
        None makes a figure as large as the net: up to about 20 layers in a row are read without a magnifier.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> from fastnn import Dense, Model, Residual
    >>> from fastnn.plots import plot_network
    >>> net = Model([Dense(32, "relu"), Residual([Dense(64, "relu"), Dense(32)]), Dense(1)], seed=0)
    >>> ax = plot_network(net.build(10))
    """
    who = "plot_network"
    model = require_net(who, net)
    found = lines_of(model._tree)
    lines = {id(line.layer): line for line in found}
    blocks = [_block(layer, lines) for layer in model.layers]
    width = max(block.width for block in blocks)
    height = sum(block.height for block in blocks) + 2 * _STEP
    scale = min(1.0, _MOST / max(width, height))
    ax = axes(who, ax, (max(4.0, width * scale + 0.4), height * scale + 0.3))
    picture = _Picture(ax, width, height)
    x = width / 2
    y = picture.end(x, height, _columns(model), is_first=True)
    for block in blocks:
        y = picture.block(block, x, y)
    picture.end(x, y, number_of(model.n_out, "output") if model.built else "outputs", is_first=False)
    ax.set_title(amount_in(model._tree) if model.built else "", fontsize=10 * picture.scale)
    return ax


def _columns(model: Model) -> str:
    return number_of(model.n_in, "input") if model.built else "inputs"


def _fill(layer: Layer) -> str:
    """Return the colour of a box: of few kinds, that differ in lightness, too."""
    if any(multiply_adds(own) or own.code.multiplies for own in walk([layer])):
        return "#9ecbe8"
    if layer.kernel not in ("", "identity"):
        return "#fbe0ad"
    if not forms(type(layer)).predicts_as_itself:
        return "#e4e4e4"
    return "#cdeadf" if layer.parameters else "#ffffff"


class _Picture:
    """What is drawn into axes whose units are inches of a figure of their own size."""

    def __init__(self, ax: Any, width: float, height: float) -> None:
        self.ax = ax
        ax.set_xlim(-0.1, width + 0.1)
        ax.set_ylim(-0.05, height + 0.05)
        ax.set_aspect("equal")
        ax.set_axis_off()
        figure = ax.figure
        place = ax.get_position()
        inches = figure.get_size_inches()
        room = min(place.width * inches[0] / width, place.height * inches[1] / height)
        self.scale = max(0.05, min(1.0, room))  # text as large as the boxes

    def text(self, x: float, y: float, text: str, size: float = 10.5, **style: Any) -> None:
        self.ax.text(x, y, text, fontsize=size * self.scale, va="center", **{"ha": "center", **style})

    def arrow(self, x: float, top: float, bottom: float) -> None:
        style = {"arrowstyle": "-|>", "color": "#404040", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", (x, bottom), (x, top), arrowprops={**style, "mutation_scale": 8 * self.scale})

    def line(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.ax.plot(xs, ys, color="#404040", linewidth=0.9, solid_capstyle="round")

    def end(self, x: float, top: float, text: str, is_first: bool) -> float:
        """Draw what comes in or goes out, and return where the next begins."""
        self.text(x, top - _BOX / 2, text, 11, fontweight="bold")
        if is_first:
            self.arrow(x, top - _BOX, top - _STEP)
        return top - _STEP

    def box(self, block: _Block, x: float, top: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        line = block.line
        assert line is not None
        style = "round,pad=0,rounding_size=0.08"
        self.ax.add_patch(
            FancyBboxPatch(
                (x - _WIDTH / 2, top - _BOX), _WIDTH, _BOX, boxstyle=style, facecolor=_fill(line.layer), linewidth=1,
                edgecolor="#303030", linestyle="--" if line.frozen else "-",
            )
        )  # fmt: skip
        text = cut(repr(line.layer), _LONGEST)
        if not line.n_out:
            self.text(x, top - _BOX / 2, text)
            return
        has_some = line.n_parameters or line.packed
        more = f", {amount(line.n_parameters, line.packed)}" if has_some else ""
        frozen = ", frozen" if line.frozen else ""
        self.text(x, top - 0.32 * _BOX, text)
        self.text(x, top - 0.74 * _BOX, f"{line.n_in} → {line.n_out}{more}{frozen}", 8.5, color="#303030")

    def block(self, block: _Block, x: float, top: float, is_last: bool = False) -> float:
        """Draw a block from there, with the arrow to the next one behind it; return where that begins."""
        if block.rows:
            begin = self.frame(block, x, top)
        else:
            self.box(block, x, top)
            begin = top - _BOX
        bottom = top - block.height
        if is_last:
            self.line([x, x], [begin, bottom])
        else:
            self.arrow(x, begin, bottom)
        return bottom

    def frame(self, block: _Block, x: float, top: float) -> float:
        """Draw the rows of layers inside one, in a frame, and return where its end is."""
        from matplotlib.patches import Rectangle

        line, bottom = block.line, top - block.height
        assert line is not None
        inner_top = top - _JOIN
        left = x - block.width / 2
        self.ax.add_patch(
            Rectangle(
                (left + 0.04, bottom + 0.24), block.width - 0.08, block.height - 0.28, facecolor="#f7f7f7",
                linewidth=0.8, edgecolor=GREY, linestyle=":", zorder=0.5,
            )
        )  # fmt: skip
        self.text(left + 0.12, top - 0.17, f"{type(line.layer).__name__}", 9, ha="left", color="#505050")
        widths = [max((own.width for own in row), default=_WIDTH) for row in block.rows]
        at, centers = left + _GAP, []
        for width in widths:
            centers.append(at + width / 2)
            at += width + _GAP
        split, joined = top - 0.32, bottom + 0.42
        self.line([x, x], [top, split])
        if len(centers) > 1:
            self.line([centers[0], centers[-1]], [split, split])
            self.line([centers[0], centers[-1]], [joined, joined])
        for center, row in zip(centers, block.rows, strict=True):
            self.arrow(center, split, inner_top)
            y = inner_top
            for own in row:
                y = self.block(own, center, y, own is row[-1])
            self.line([center, center], [y, joined])
        if block.is_residual:
            side = left + block.width - 0.16
            self.line([x, side, side, x], [split, split, joined, joined])
        if block.is_residual or isinstance(line.layer, Add):
            self.sign(x, joined, "+")
        elif isinstance(line.layer, Branches):
            self.text(
                x + 0.1, joined - 0.1, f"{line.n_out or ''} side by side".strip(), 8.5, ha="left", color="#505050"
            )
        return joined

    def sign(self, x: float, y: float, text: str) -> None:
        from matplotlib.patches import Circle

        self.ax.add_patch(Circle((x, y), 0.11, facecolor="white", edgecolor="#303030", zorder=3))
        self.text(x, y, text, 9, zorder=4)
