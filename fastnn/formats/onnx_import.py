"""ONNX files as models that are trained on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.onnx_forms import known_form
from fastnn.formats.onnx_layers import ahead, layer_of, polished
from fastnn.formats.onnx_plans import Merge, Plan
from fastnn.formats.onnx_reading import Read, parsed, read
from fastnn.formats.onnx_recognizing import Recognizer
from fastnn.formats.onnx_steps import Step
from fastnn.layers.contract import Layer
from fastnn.model import Model

_DEPTH = 40  # of branches inside each other
_OF_OURS = (
    ". to_onnx has written this file, also what no layer is, as the columns and labels of estimators: "
    "save(path) and fastnn.load(path) keep models and estimators whole"
)


def from_onnx(source: Any, *, output: str | None = None, seed: int | None = None) -> Model:
    """Return the model that an ONNX file holds: it predicts the same, and can be trained on.

    Dense nets, as PyTorch, Keras, skl2onnx and `to_onnx` write them: products, activations, normalization, residual
    connections, branches side by side, gates, columns that are chosen, embeddings, and of `to_onnx` also embeddings of
    numbers and products of 8-bit integers. Activations that are written in several operators are recognized by what
    they compute. What is not understood is an error that names the node and its operator.

    Parameters
    ----------
    source : str, path, bytes or ModelProto
        A file, what it holds, or what `to_onnx` returns. Nobody has to trust it: nothing of it is run, no other file is
        read, and no more memory taken than it is long, and some.
    output : str or None
        Which output is what the model gives. None is the last one that is an array of numbers: classifiers have labels
        before it.
    seed : int or None
        Of the model, see `Model`.

    Returns
    -------
    Model
        In float64 where the file has numbers of float64, else in float32. With products of 8-bit integers it predicts
        alone. Several inputs are columns side by side, and
        its `feature_names`; names of classes, where the file has some, are its `class_names`.

    Raises
    ------
    ImportError
        Without the package onnx.
    ModelFormatError
        For what is no ONNX file, a damaged one, or one with what is not understood.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.Model([fastnn.Dense(8, "relu"), fastnn.Dense(3, "softmax")], seed=0).build(5)
    >>> model = fastnn.to_onnx(net, "net.onnx")
    >>> fastnn.from_onnx("net.onnx")
    <Model: Dense(8, 'relu'), Dense(3, 'softmax'); 5 inputs, 75 parameters, float32>
    """
    given: str | os.PathLike[str] | bytes = (
        source.SerializeToString() if hasattr(source, "SerializeToString") else source
    )
    if not isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise TypeError(f"from_onnx: source is {shown(source)}, expected a path, the bytes of a file, or a ModelProto")
    if output is not None and not isinstance(output, str):
        raise TypeError(f"from_onnx: output is {shown(output)}, expected the name of one")
    where = "" if isinstance(given, (bytes, bytearray, memoryview)) else f"{os.fspath(given)}: "
    advice = ""
    try:
        with np.errstate(all="ignore"):  # numbers of a file may be any
            model = parsed(given)
            advice = _OF_OURS if model.producer_name == "fastnn" else ""
            found = read(model, output)
            return _made(found, _row(found), seed)
    except ModelFormatError as error:
        raise ModelFormatError(f"{where}{error}{advice}") from None


def _made(found: Read, plans: list[Plan], seed: int | None) -> Model:
    pairs: list[tuple[Layer, dict[str, Array]]] = []
    try:
        made = [plan.make(pairs) for plan in plans]
        if len(found.x.shape) > 1:
            made.insert(0, layers.Reshape(found.x.shape))
        net = Model(made or [layers.Identity()], seed=seed, dtype=found.dtype)
        net.build(prod(found.x.shape))
        for layer, arrays in pairs:
            for name, array in arrays.items():
                setattr(layer, name, array)
        if found.feature_names is not None:
            net._tree.feature_names = tuple(found.feature_names)
        if found.class_names is not None:
            net.class_names = found.class_names
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"its numbers make no model: {error}") from None
    return net


def _row(found: Read) -> list[Plan]:
    """Return the layers of the model, in a row."""
    groups = Recognizer(found.dtype, ahead(_order(found.y)))
    merges: dict[Step, Merge] = {}
    todo = [found.y]
    while todo:
        step = todo.pop()
        if step in merges:
            continue
        merges[step] = _merge(step, groups)
        todo += merges[step].inputs
    order = _sorted(found.y, lambda step: merges[step].inputs)
    following = ahead(order, lambda step: merges[step].inputs)
    budget = [8 * len(order) + 1000]
    used: set[Step] = set()

    def between(step: Step, start: Step, depth: int) -> list[Plan]:
        """Return what stands between two steps."""
        row: list[Plan] = []  # the last one first
        if depth > _DEPTH:
            raise step.fail(f"branches inside of branches, more than {_DEPTH} deep")
        while step is not start:
            merge = merges[step]
            budget[0] -= 1
            if step in used and (merge.holds_numbers or budget[0] < 0):
                raise step.fail("what it makes is read in several places, which are not branches of one another")
            used.add(step)
            if len(merge.inputs) == 1 and merge.join is None:
                row += reversed(merge.plans())
                step = merge.inputs[0]
            else:
                common = following[step]
                assert common is not None
                assert merge.join is not None
                row += reversed(merge.join([between(one, common, depth + 1) for one in merge.inputs], step, common))
                step = common
        return polished(row[::-1])

    return polished(between(found.y, found.x, 0), True)


def _merge(step: Step, groups: Recognizer) -> Merge:
    """Return what a step is: a layer that a group of steps is, or what it is by itself."""
    if step.op == "Input":
        return Merge((), None, list)
    form = known_form(step)
    if form is not None:
        plan, source = form
        return Merge((source,), None, lambda: [Plan(plan.kind, plan.given, plan.options, plan.arrays)])
    group = groups.recognized(step)
    if group is None:
        return layer_of(step)
    layer, start = group
    return Merge((start,), None, list if layer is None else lambda: [Plan(*layer)])


def _order(y: Step) -> list[Step]:
    return _sorted(y, Step.steps)


def _sorted(y: Step, inputs: Callable[[Step], Sequence[Step]]) -> list[Step]:
    """Return all steps that one needs, each behind what it reads."""
    found: list[Step] = []
    seen: set[Step] = set()
    todo = [(y, False)]
    while todo:
        step, is_done = todo.pop()
        if is_done:
            found.append(step)
        elif step not in seen:
            seen.add(step)
            todo.append((step, True))
            todo += [(one, False) for one in inputs(step)]
    return found
