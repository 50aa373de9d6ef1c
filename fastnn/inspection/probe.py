"""One batch through copies of the layers of a model, as a training computes it: what each puts out, and is told."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels, losses
from fastnn.arena import Array
from fastnn.arrays import convert
from fastnn.inspection.lines import Line, last_of, lines_of
from fastnn.layers.chain import Chain, Stage
from fastnn.layers.contract import Layer
from fastnn.layers.elements import elements
from fastnn.layers.passes import Run
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.tables import table_of
from fastnn.training.data import read
from fastnn.training.evaluation import ending


class Seen:
    """What was seen of one layer.

    Attributes
    ----------
    x, y : ndarray of shape (rows, n)
        What it was given and what it put out.
    dy : ndarray or None
        The gradient of the loss of the batch with respect to y; None where backward did not come here.
    slope : ndarray or None
        The derivative of an activation at each number.
    """

    __slots__ = ("dy", "slope", "x", "y")

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y
        self.dy: Array | None = None
        self.slope: Array | None = None


class _Watched:
    """A stage that writes down what goes through it."""

    def __init__(self, stage: Stage, seen: dict[int, Seen]) -> None:
        self._stage, self._seen = stage, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def forward(self, x: Array, y: Array, run: Run) -> None:
        self._stage.forward(x, y, run)
        self._seen[id(self._stage.layer)] = Seen(x.copy(), y.copy())

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        layer, seen = self._stage.layer, self._seen[id(self._stage.layer)]
        seen.dy = dy.copy()
        if is_elementwise(layer):
            seen.slope = np.empty_like(x)
            layer._backward(x, y, np.ones_like(dy), seen.slope, run)
        self._stage.backward(x, y, dy, dx, run, lr)


def is_elementwise(layer: Layer) -> bool:
    """Whether it is an activation of each number by itself."""
    row = kernels.float64.activations.get(layer.kernel)
    return row is not None and layer.kernel not in ("softmax", "log_softmax", "sparsemax") and not layer.is_numpy


class Probe:
    """One batch, forward and, with targets, back.

    The model is left as it is, whatever its layers do: they are copied, with their states, and only these copies run.

    Parameters
    ----------
    model : Model
        Built or not.
    x, y, loss, sample_weight
        As in `Model.fit`; without y there is no backward.

    Attributes
    ----------
    lines : list of Line
        The copied layers.
    loss : Loss or None
    value : float
        The loss of the batch.
    x : ndarray
        As the first layer has read it.
    target, weight : ndarray or None
    feature_names, class_names : tuple of str or None
    """

    def __init__(
        self,
        model: Any,
        x: ArrayLike,
        y: Any = None,
        loss: str | Loss | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        own: Tree = model._tree
        chosen = losses.get(loss) if loss is not None else model._trainer.choose_loss(None)
        layers, self.loss = deepcopy((own.layers, chosen if y is not None else None))
        self.tree = tree = Tree(layers, own.dtype, own.precision)
        tree.feature_names, tree.digits = own.feature_names, deepcopy(own.digits)
        if own.built:
            tree.adopt(self)
        self._seed, self._seen = model.seed, dict[int, Seen]()
        self.target: Array | None = None
        self.weight: Array | None = None
        self.value = float("nan")
        if self.loss is not None:
            self.x, self.target, weight, _ = read(tree, x, y, sample_weight, self.loss, self._build, True)
            self.weight = None if weight is None else np.ascontiguousarray(convert(weight, tree.dtype))
        else:
            given = table_of(x) or x
            matrix = tree.inputs(given)
            if not tree.built:
                self._build(matrix.shape[1])
            tree.check_for_prediction(matrix, given)
            tree.take_names(given)
            self.x = convert(matrix, tree.dtype)
        if len(self.x) == 0:
            raise ValueError("x has no rows, expected at least one")
        if tree.adapting:
            tree.adapt(self.x, self.weight)
        with np.errstate(all="ignore"):
            self._run()
        self.feature_names, self.class_names = tree.feature_names, getattr(model, "class_names", None)
        self.lines = lines_of(tree)

    def _build(self, n_in: int) -> None:
        self.tree.build(n_in, self._seed, self)

    def _own(self) -> Any:
        return self.tree.memory

    def _written(self, *arrays: Array) -> None:
        """Layers tell it of what is written into their arrays."""

    def _run(self) -> None:
        tree = self.tree
        end, in_loss = (None, False) if self.loss is None else ending(tree, self.loss)
        row = elements(tree.layers)
        chain = Chain(row[:-1] if in_loss else row, tree.n_in, tree.dtype, apart=True)
        self._watch(chain)
        memory = chain.memory(len(self.x), input_gradient=True)
        memory.activations[0][...] = self.x
        chain.forward(memory)
        y, dy, value = memory.activations[-1], memory.gradients[-1], np.zeros(1)
        if in_loss:
            last = Chain(row[-1:], chain.n_out, tree.dtype, apart=True)
            own = last.memory(len(y), train=False)
            own.activations[0][...] = y
            last.forward(own)
            self._seen[id(row[-1].layer)] = Seen(y.copy(), own.activations[-1].copy())
        if end is None:
            return
        assert self.target is not None
        try:
            end.compute(y, np.ascontiguousarray(self.target), self.weight, dy, value, None)
        except FloatingPointError:  # of one in NumPy
            value[0] = np.nan
        for sums in chain.added(memory):
            kernels.of(y.dtype).add_sum(sums, value)
        self.value = float(value[0])
        if all(layer.differentiable for layer in tree.all):
            chain.backward(memory)

    def _watch(self, chain: Chain) -> None:
        for stage in chain.stages:
            for inner in stage.inner:
                self._watch(inner)
        chain.stages = [_Watched(stage, self._seen) for stage in chain.stages]  # type: ignore[misc]

    def of(self, layer: Layer) -> Seen | None:
        """Return what was seen of a layer, if it is run as a stage of its own."""
        return self._seen.get(id(layer))

    def seen(self, line: Line) -> Seen | None:
        """Return what was seen of a line: its outputs, and their gradient, or that within where the loss holds them."""
        end, first = self.of(line.gives), self.of(line.layer)
        if end is not None and end.dy is None and first is not None:
            end.dy = first.dy
        return end or first

    def gradients(self, line: Line) -> dict[str, Array]:
        """Return the gradients of the parameters that a line has itself, with those of its activation."""
        layers = {id(layer): layer for layer in (line.layer, last_of(line.layer))}.values()
        return {name: gradient for layer in layers for name, gradient in layer._gradients.items()}
