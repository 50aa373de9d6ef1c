"""Models whose dense layers predict with weights that were packed once: in 8-bit integers, bfloat16, or as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import convert, copy_into
from fastnn.feeds.found import Given, inputs_of
from fastnn.layers import Dense, Layer
from fastnn.layers.bfloat16 import kept
from fastnn.layers.chain import Chain
from fastnn.layers.containers import Container
from fastnn.layers.elements import elements
from fastnn.layers.int8 import MOST_INPUTS, quantized
from fastnn.layers.packed import PackedDense
from fastnn.layers.panels import in_panels
from fastnn.model import Model
from fastnn.signatures import is_ours
from fastnn.tables import table_of

# bfloat16 as PyTorch, JAX and Keras name the dtype
_PRECISIONS = {"int8": "int8", "bf16": "bf16", "bfloat16": "bf16", "float32": "float32"}
_LEAST_INPUTS, _LEAST_UNITS = 32, 32  # of a product that gains: docs/performance.md
_LEAST_IN_PANELS = 65_536  # weights: fewer stay in a second-level cache, which gives them in any order
_LEAST_RANGE = 1e-35  # of inputs: 255 steps of normal numbers of float32
_BLOCK = 256  # rows that are looked at together


def quantize(model: Model, x: Given | None, precision: str) -> Model:
    """Return a model that predicts as this one does, with weights packed once where that gains: `Model.quantize`."""
    if isinstance(x, str) and x in _PRECISIONS:
        raise TypeError(f"quantize: calibration_x is {x!r}, expected rows: name the other, precision={x!r}")
    if not (isinstance(precision, str) and precision in _PRECISIONS):
        raise ValueError(f"quantize: precision is {precision!r}, expected 'int8', 'bf16' or 'float32'")
    precision = _PRECISIONS[precision]
    if not model.built:
        raise RuntimeError("quantize: the model is not built, so it has no weights yet: train it first")
    if model.dtype != np.float32:
        raise ValueError(
            f"quantize: the model computes in {model.dtype}, expected float32: make one with dtype='float32' of the "
            "same layers, and set its params to those of this one"
        )
    if _is_quantized(model.layers):
        raise ValueError("quantize: the model is quantized already: call quantize of the one that it was made of")
    source = deepcopy(model)
    if source._trainer.averages.layers is not None:  # what predictions are of
        source.use_averages()
    if precision == "int8":
        return _in_integers(source, x)
    if x is not None:
        raise TypeError(
            f"quantize: calibration_x is given, expected none with precision={precision!r}, which takes numbers of any "
            "range: leave it out"
        )
    return _in_bfloat16(source) if precision == "bf16" else _in_panels(source)


def _in_integers(source: Model, x: Given | None) -> Model:
    if x is None:
        raise TypeError(
            "quantize: calibration_x is missing, expected some hundred rows as the model will be given: their range is "
            "what the inputs of layers are rounded in (precision='bf16' needs none)"
        )
    what = f"{_LEAST_INPUTS} inputs and {_LEAST_UNITS} units or more, and up to {MOST_INPUTS} inputs"
    chosen = _chosen(source, _gains_in_integers, what)
    for layer in chosen:
        if not (np.isfinite(layer.w).all() and (layer.b is None or np.isfinite(layer.b).all())):
            raise ValueError(f"quantize: the weights of {layer.title} are not finite, so that they have no range")
    ranges = _ranges(source, chosen, _calibration(source, x))
    stand_ins = {id(layer): quantized(layer, *ranges[id(layer)], deepcopy(layer.activation)) for layer in chosen}
    return _with_layers(source, stand_ins, source.precision)


def _gains_in_integers(n_in: int, units: int) -> bool:
    return _LEAST_INPUTS <= n_in <= MOST_INPUTS and units >= _LEAST_UNITS


def _in_panels(source: Model) -> Model:
    if source.precision is not None:
        raise ValueError(
            f"quantize: products of the model are in {source.precision}, expected float32: take precision="
            f"{source.precision!r} in place of 'float32'"
        )
    chosen = _chosen(source, gains_in_panels, f"{_LEAST_UNITS} units and {_LEAST_IN_PANELS:,} weights or more")
    stand_ins = {id(layer): in_panels(layer, deepcopy(layer.activation)) for layer in chosen}
    return _with_layers(source, stand_ins, None)


def gains_in_panels(n_in: int, units: int) -> bool:
    """Whether products with weights (n_in, units) of float32 may be faster out of panels."""
    return units >= _LEAST_UNITS and n_in * units >= _LEAST_IN_PANELS


def _in_bfloat16(source: Model) -> Model:
    chosen = _chosen(source, kernels.is_wide, "32 inputs and 32 units or more")
    stand_ins = {id(layer): kept(layer, deepcopy(layer.activation)) for layer in chosen}
    return _with_layers(source, stand_ins, "bf16")  # of other layers with wide weights, as in such a model


def _chosen(source: Model, gains: Callable[[int, int], bool], what: str) -> list[Dense]:
    """Return the dense layers that gain."""
    chosen = list(_wide(source.layers, gains))
    if not chosen:
        raise ValueError(f"quantize: no Dense layer would gain: expected one of {what}, without code of its own")
    return chosen


def _wide(layers: Sequence[Layer], gains: Callable[[int, int], bool]) -> Iterator[Dense]:
    """Yield the dense layers that gain, of those in a row and in containers of this package."""
    for layer in layers:
        if type(layer) is Dense:
            if gains(layer.n_in, layer.units):
                yield layer
        elif isinstance(layer, Container) and is_ours(type(layer)):  # others may read the weights of their layers
            yield from _wide(layer.layers, gains)


def _is_quantized(layers: Sequence[Layer]) -> bool:
    return any(
        isinstance(layer, PackedDense) or (isinstance(layer, Container) and _is_quantized(layer.layers))
        for layer in layers
    )


def _calibration(model: Model, x: Given) -> Iterator[Array]:
    """Yield the rows of the calibration, checked as rows to train with are: at once, or a feed's piece by piece."""
    tree, n = model._tree, 0
    feed = inputs_of(x)
    for part in [x] if feed is None else (piece.x for piece in feed.inputs()):
        given = table_of(part) or part
        matrix: Array = convert(tree.inputs(given, name="calibration_x"), tree.dtype)
        tree.check_numbers(matrix, "calibration_x", None, tree.labels(given))
        n += len(matrix)
        yield matrix
    if n < 2:
        raise ValueError(
            f"quantize: calibration_x has {n} row{'s' if n != 1 else ''}, expected some hundred, as the model will be "
            "given: their range is what the inputs of layers are rounded in"
        )


class _Watching:
    """Kernels that write down the range of what a dense layer is given."""

    def __init__(self, layer: Dense, found: list[float]) -> None:
        self._kernels, self._found = layer.kernels, found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)

    def dense_forward(self, x: Array, *others: Any, **named: Any) -> None:
        """Compute it."""
        self._found[0] = min(self._found[0], float(x.min()))
        self._found[1] = max(self._found[1], float(x.max()))
        self._kernels.dense_forward(x, *others, **named)


def _ranges(model: Model, chosen: Sequence[Dense], x: Iterable[Array]) -> dict[int, tuple[float, float]]:
    """Return the least and the largest input of each layer in predictions of x."""
    found = {id(layer): [math.inf, -math.inf] for layer in chosen}
    for layer in chosen:
        layer.__dict__["kernels"] = _Watching(layer, found[id(layer)])
    chain = Chain(elements(model.layers, predicting=True), model.n_in, model.dtype, predicting=True)
    memory = chain.memory(_BLOCK, train=False)
    for matrix in x:
        for start in range(0, len(matrix), _BLOCK):
            rows = matrix[start : start + _BLOCK]
            block = memory.first(len(rows))
            copy_into(block.activations[0], rows)
            chain.forward(block)
    for layer in chosen:
        layer.__dict__["kernels"] = model._tree.kernels
        low, high = found[id(layer)]
        if not 0 < max(-low, high) < math.inf:
            what = "are all 0" if low == high == 0 else "are not finite"
            raise ValueError(
                f"quantize: the inputs of {layer.title} {what} in a prediction of calibration_x, so that they have no "
                "range: take rows like those of the training"
            )
        if max(-low, 0) + max(high, 0) < _LEAST_RANGE:
            raise ValueError(
                f"quantize: the inputs of {layer.title} are from {low:.3g} to {high:.3g} in a prediction of "
                f"calibration_x, expected a range of {_LEAST_RANGE:.0e} or more, whose steps float32 can divide by: "
                "scale the inputs"
            )
    return {key: (low, high) for key, (low, high) in found.items()}


def _with_layers(source: Model, stand_ins: dict[int, Any], precision: str | None) -> Model:
    """Return a model of built layers, of which some stand in for others, with the names that another one has."""
    made = Model(deepcopy(source.layers, stand_ins), source.seed, source.dtype, precision=precision)
    made._tree.feature_names = source._tree.feature_names
    made.class_names = source.class_names
    made.loss = source.loss
    made._tree.adopt(made)
    return made
