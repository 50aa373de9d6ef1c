"""What a model is made of, and what runs of it: shapes, numbers, memory, kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from fastnn.inspection.lines import Line, amount_in, computed_in, lines_of, multiply_adds, places
from fastnn.layers.chain import Chain, Product
from fastnn.layers.contract import Layer, forms
from fastnn.layers.elements import elements
from fastnn.layers.packed import PackedDense
from fastnn.layers.shape import Flatten
from fastnn.layers.tree import Tree, may_round
from fastnn.markup import escape, html_table, size, text_table
from fastnn.training.evaluation import ending
from fastnn.training.trainer import Trainer

_WIDTH = 100  # letters of a line
_NAME = 54  # of these, of a layer
_NAMES_SHOWN = 8
_ROWS = 16  # of a batch whose memory is measured

HEAD = ("layer", "output", "parameters", "multiply-adds")


class Summary:
    """The table of a model, and sentences about it."""

    def __init__(self, tree: Tree, trainer: Trainer) -> None:
        self.tree, self._trainer = tree, trainer
        self.lines = lines_of(tree)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of the lines."""
        widest = max(len(line.place) for line in self.lines if not line.depth)
        for line in self.lines:
            indent = " " * (widest + 2) * bool(line.depth) + "   " * (line.depth - 1)
            name = f"{indent}{line.place:<{widest if not line.depth else 0}}  {line.text}"
            name = name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."
            if self.tree.built:
                yield name, f"(rows, {line.n_out})", _numbers(line), f"{line.multiply_adds:,}"
            else:
                yield name, "?", "?", "?"

    @property
    def total(self) -> str:
        """All in all, in one line."""
        tree = self.tree
        if not tree.built:
            return f"not built yet, {computed_in(tree)}"
        known = tree.feature_names
        names = f" ({', '.join(known)})" if known and len(known) <= _NAMES_SHOWN else ""
        return f"{tree.n_in} inputs{names}, {amount_in(tree)}, {computed_in(tree)}"

    def sentences(self) -> Iterator[str]:
        """Yield what else there is to say."""
        if self.tree.built:
            n = sum(line.multiply_adds for line in self.lines if not line.depth)
            yield f"a prediction of one row: {n:,} multiply-adds"
            yield f"memory: {', '.join(self._memory())}"
            yield from self._of_kernels()
            yield from self._of_precision()
        frozen = [line for line in self.lines if line.frozen]
        outermost = [line for line in frozen if not any(line.place.startswith(f"{other.place}.") for other in frozen)]
        if outermost:
            n = sum(line.n_parameters for line in outermost)
            yield f"frozen: {_named(outermost)}: {n:,} parameters are not trained"
        names = getattr(self._trainer.owner(), "class_names", None)
        if names and len(names) <= _NAMES_SHOWN:
            yield f"classes: {', '.join(names)}"
        yield from self._trainer.restraints.lines()

    def _memory(self) -> Iterator[str]:
        tree, optimizer = self.tree, self._trainer.optimizer
        memory = tree.memory if tree.is_own else None
        n_bytes = sum(line.n_parameters for line in self.lines if not line.depth) * tree.dtype.itemsize
        packed = [layer for layer in tree.all if isinstance(layer, PackedDense)]
        if n_bytes or not packed:
            yield f"{size(n_bytes)} of parameters and as much of gradients"
        of: dict[str, int] = {}
        for layer in tree.all:
            what = layer.stored if isinstance(layer, PackedDense) else "states"
            of[what] = of.get(what, 0) + sum(array.nbytes for array in layer.states.values())
        yield from (f"{size(n)} of {what}" for what, n in of.items() if n)
        remembered = self._trainer.state.memories.get(optimizer) if memory is not None else None
        kept = sum(array.nbytes for array in (remembered or {}).values())
        if kept:
            yield f"{size(kept)} of {type(optimizer).__name__}"
        if tree.without_derivative:
            return
        chain = Chain(tree.elements, tree.n_in, tree.dtype)
        yield f"{size(chain.memory(_ROWS).nbytes / _ROWS)} in training for each row of a batch"

    def _of_kernels(self) -> Iterator[str]:
        tree, place = self.tree, places(self.lines)
        by_label = {layer.label: layer for layer in tree.all}
        loss, in_loss = self._loss()
        row = tree.elements[:-1] if in_loss else tree.elements
        fused = [
            _together(place[id(stage.layer)], place[id(stage.activation)], stage.activation)
            for stage in _products(Chain(row, tree.n_in, tree.dtype))
            if stage.activation is not None
        ]
        if fused:
            yield f"fused into one kernel: {', '.join(fused)}"
        if in_loss:
            last = f"{type(tree.last).__name__} of {place[id(tree.last)]}"
            yield f"computed within the loss in training: {last}, by {loss}"
        folded = {}
        for stage in _products(Chain(elements(tree.layers, predicting=True), tree.n_in, tree.dtype, predicting=True)):
            if stage.scaling is not None:
                folded[id(by_label[stage.scaling.label])] = place[id(stage.layer)]
        changed = []
        for layer in tree.all:
            if isinstance(layer, Flatten) or forms(type(layer)).predicts_as_itself:
                continue
            stand_in, name = layer.for_prediction(), f"{place[id(layer)]} {type(layer).__name__}"
            if stand_in is None:
                changed.append(f"{name} vanishes")
            elif id(layer) in folded:
                changed.append(f"{name} folds into the product of {folded[id(layer)]}")
            elif stand_in is not layer:
                changed.append(f"{name} is computed from its running averages")
        if changed:
            yield f"in predictions: {', '.join(changed)}"

    def _of_precision(self) -> Iterator[str]:
        packed: dict[str, list[str]] = {}
        for line in self.lines:
            if isinstance(line.layer, PackedDense):
                packed.setdefault(line.layer.products, []).append(line.place)
        yield from (f"{products}: {', '.join(found)}" for products, found in packed.items())
        if self.tree.precision is None:
            return
        place, rounded, narrow, others = places(self.lines), list[str](), list[str](), list[str]()
        for layer in self.tree.all:
            if multiply_adds(layer) and not isinstance(layer, PackedDense):
                shapes = [array.shape for array in layer.parameters.values()]
                if max(map(len, shapes)) > 2:  # weights of groups
                    others.append(place[id(layer)])
                    continue
                (rounded if may_round(layer) else narrow).append(place[id(layer)])
        if rounded or not packed:
            yield f"products in bfloat16: {', '.join(rounded) or 'none'}"
        if narrow:
            yield f"in float32, too narrow to gain: {', '.join(narrow)}"
        if others:
            yield f"in float32, as all layers of their kind: {', '.join(others)}"

    def _loss(self) -> tuple[Any, bool]:
        loss = self._trainer.choose_loss(None)
        try:
            return loss, ending(self.tree, loss)[1]
        except (TypeError, ValueError):  # which fit tells
            return loss, False

    def text(self) -> str:
        """Return it as text of at most 100 columns."""
        lines = text_table(HEAD, self.rows(), right=3)
        more = [part for line in self.sentences() for part in wrap(line, _WIDTH, subsequent_indent="    ")]
        return "\n".join([*lines, self.total, *more])

    def html(self) -> str:
        """Return it as HTML."""
        lines = "".join(f"<div>{escape(line)}</div>" for line in (self.total, *self.sentences()))
        table = html_table(HEAD, self.rows(), right=3)
        return f'<div style="line-height:1.4"><b>Model</b>{table}<div style="font-size:0.9em">{lines}</div></div>'


def _products(chain: Chain) -> Iterator[Product]:
    for stage in chain.stages:
        if isinstance(stage, Product):
            yield stage
        for inner in stage.inner:
            yield from _products(inner)


def _together(product: str, activation: str, layer: Layer) -> str:
    return f"{product} and its {layer.kernel}" if product == activation else f"{product} with {activation}"


def _numbers(line: Line) -> str:
    parameters = [f"{line.n_parameters:,}"] if line.n_parameters or not line.packed else []
    return " + ".join([*parameters, *(f"{n:,} of {bits} bits" for bits, n in line.packed.items())])


def _named(lines: Iterable[Line]) -> str:
    return ", ".join(line.name for line in lines)
