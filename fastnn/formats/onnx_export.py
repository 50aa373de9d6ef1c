"""Models as ONNX files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import flag, lookup, shown
from fastnn.formats.graph import Graph, graph_of
from fastnn.formats.onnx_nodes import write_nodes
from fastnn.formats.onnx_operators import IR_VERSION, ML_DOMAIN, ML_OPSET, OPSET, Operand, Operators, onnx_package
from fastnn.formats.safely import replace
from fastnn.layers.contract import Layer
from fastnn.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto

_FORMS = {"matrix": "matrix", "columns": "columns"}
_MOST_BYTES = 2**31 - 1  # of a message of protobuf
_OUTPUTS = {
    "probabilities": "probabilities", "class probabilities": "probabilities",
    "class log-probabilities": "log_probabilities",
}  # fmt: skip


def to_onnx(
    net: Network | Layer,
    path: str | os.PathLike[str] | None = None,
    *,
    inputs: str = "matrix",
    outputs: str = "matrix",
    labels: bool = False,
) -> ModelProto:
    """Return what a model predicts as an ONNX model, and write it to a file if a path is given.

    It computes in the dtype of the model what `Model.predict` does, for any number of rows: activations, embeddings,
    normalization, ensembles, all that a prediction is made of; what only a training does, as `Dropout`, is left out. It
    is of opset 17 and IR version 8, which runtimes of the years since 2022 load, and has passed ``onnx.checker``.

    Parameters
    ----------
    net : Model, or a layer
        It has been trained, or built. Layers that are code in NumPy of your own cannot be written, unless they say in
        ``_graph`` what they are.
    path : str, path or None
        A file is replaced as a whole, and only once all of the new one is on the disk. None writes nothing.
    inputs : {"matrix", "columns"}
        One input ``x`` of shape (rows, n_in), or one of shape (rows, 1) for each column, called as the columns of the
        data frame that the model was trained with, else ``x0``, ``x1`` ...
    outputs : {"matrix", "columns"}
        One output of shape (rows, n_out), called ``probabilities``, ``log_probabilities`` or, of numbers, ``y``; or one
        of shape (rows, 1) for each, called as the classes are (``class_names``), else ``y0``, ``y1`` ...
    labels : bool
        Whether there is an output ``label`` of shape (rows,) before them: the class with the largest output, or of one
        output whether it is above 0.5, or 0 for logits: a text where the model has `class_names`, else its number.

    Returns
    -------
    onnx.ModelProto
        With the version, and the names of features and classes, in its ``metadata_props``.

    Raises
    ------
    ImportError
        Without the package onnx.
    TypeError
        For a layer whose code cannot be written so, with its name and what to do.
    ValueError
        For a model that is not built, for labels of outputs that are no classes, and beyond 2 GB.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.Model([fastnn.Dense(8, "relu"), fastnn.Dense(3, "softmax")], seed=0).build(5)
    >>> model = fastnn.to_onnx(net, "net.onnx", labels=True)
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    if not isinstance(net, (Network, Layer)):
        hint = "its net, estimator.net_" if hasattr(net, "net_") else "a Model, such as Model([Dense(1)]).build(3)"
        raise TypeError(f"to_onnx: net is {shown(net)}, expected {hint}")
    per_column = lookup("to_onnx: inputs", inputs, _FORMS) == "columns"
    per_output = lookup("to_onnx: outputs", outputs, _FORMS) == "columns"
    with_labels = flag("to_onnx: labels", labels)
    graph = graph_of(net)
    if with_labels:
        _require_classes(net, graph)
    to = Operators(graph.dtype)
    given, x = _inputs(graph, per_column, to)
    wishes = _names_of_outputs(graph, per_output)
    label_name = to.name("label") if with_labels else ""
    names = [to.name(wish) for wish in wishes]
    y = write_nodes(graph, x, to)
    made: list[tuple[Operand, Any, list[Any]]] = []
    if with_labels:
        threshold = 0.0 if getattr(getattr(net, "loss", None), "from_logits", False) else 0.5
        label, kind = _labels(y, graph, threshold, to)
        made.append((to.rename(label, label_name), kind, ["rows"]))
    if per_output:
        each = [to.op("Slice", y, *map(to.integers, (i, i + 1, 1))) for i in range(graph.y.n)]
        made += [(to.rename(one, name), graph.dtype, ["rows", 1]) for one, name in zip(each, names, strict=True)]
    else:
        made.append((to.rename(y, names[0]), graph.dtype, ["rows", graph.y.n]))
    model = made_model(to, given, made, _metadata(graph))
    if path is not None:
        replace(path, [model.SerializeToString()])
    return model


def made_model(
    to: Operators,
    inputs: Sequence[tuple[str, Any, list[Any]]],
    outputs: Sequence[tuple[Operand, Any, list[Any]]],
    metadata: dict[str, str],
) -> ModelProto:
    """Return a model of what has been put together, checked.

    Inputs and outputs are names, or operands, with dtypes and shapes.
    """
    onnx = onnx_package()
    from fastnn import __version__

    def info(name: str, dtype: Any, shape: list[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    size = sum(len(number.raw_data) for number in to.numbers)
    if size > _MOST_BYTES - 2**20:
        raise ValueError(
            f"to_onnx: the arrays have {size:,} bytes, and an ONNX file holds 2 GB: make the model smaller, or of "
            "dtype='float32'"
        )
    graph = onnx.helper.make_graph(
        to.nodes,
        "fastnn",
        [info(*one) for one in inputs],
        [info(value.name, dtype, shape) for value, dtype, shape in outputs],
        to.numbers,
    )
    domains = [("", OPSET)]
    if any(node.domain == ML_DOMAIN for node in to.nodes):
        domains.append((ML_DOMAIN, ML_OPSET))
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid(*domain) for domain in domains],
        ir_version=IR_VERSION,
        producer_name="fastnn",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {"fastnn_version": __version__, **metadata})
    onnx.checker.check_model(model, full_check=True)
    return model  # type: ignore[no-any-return]


def _require_classes(net: Network | Layer, graph: Graph) -> None:
    """Raise ValueError where outputs are no classes."""
    loss = getattr(net, "loss", None)
    if graph.gives in (None, "numbers") and graph.class_names is None and not hasattr(loss, "from_logits"):
        raise ValueError(
            "to_onnx: labels=True, but the outputs are numbers, not classes: end the net with a 'softmax' or "
            "'sigmoid', or set its class_names"
        )


def _inputs(graph: Graph, per_column: bool, to: Operators) -> tuple[list[tuple[str, Any, list[Any]]], Operand]:
    """Return the inputs of the model, and the matrix that they make."""
    n = graph.x.n
    if not per_column:
        name = to.name("x")
        return [(name, graph.dtype, ["rows", n])], Operand(name, to)
    wishes = graph.feature_names or [f"x{i}" for i in range(n)]
    names = [to.name(wish or f"x{i}") for i, wish in enumerate(wishes)]
    given = [(name, graph.dtype, ["rows", 1]) for name in names]
    return given, to.op("Concat", *(Operand(name, to) for name in names), axis=1)


def _names_of_outputs(graph: Graph, per_output: bool) -> list[str]:
    if not per_output:
        return [_OUTPUTS.get(graph.gives or "", "y")]
    names, n = graph.class_names, graph.y.n
    if names is not None and len(names) == n:
        return [name or f"y{i}" for i, name in enumerate(names)]
    return [names[1] or "y"] if names is not None and n == 1 else [f"y{i}" for i in range(n)]


def _labels(y: Operand, graph: Graph, threshold: float, to: Operators) -> tuple[Operand, Any]:
    """Return the classes, and their dtype."""
    if graph.y.n == 1:
        number = to.op("Squeeze", to.op("Cast", y > threshold, to=7), to.integers(1))
    else:
        number = to.op("ArgMax", y, axis=1, keepdims=0)
    if graph.class_names is None:
        return number, np.int64
    return to.op("Gather", to.array(np.array(graph.class_names, object), "classes"), number, axis=0), object


def _metadata(graph: Graph) -> dict[str, str]:
    """Return what is known beside the numbers, as JSON."""
    found = {"outputs": graph.gives, "feature_names": graph.feature_names, "class_names": graph.class_names}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items() if value is not None}
