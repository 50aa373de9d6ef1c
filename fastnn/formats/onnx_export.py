"""Models as ONNX files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.checks import flag, lookup, shown
from fastnn.formats.graph import Graph, graph_of
from fastnn.formats.onnx_nodes import write_nodes
from fastnn.formats.onnx_operators import IR_VERSION, ML_DOMAIN, ML_OPSET, OPSET, Operand, Operators, onnx_package
from fastnn.formats.safely import replace
from fastnn.formats.table_graph import Output, Predictor, TableGraph, last_step_of
from fastnn.formats.unchanged import unchanged
from fastnn.layers.contract import Layer
from fastnn.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto

Tensor = tuple[str, Any, list[Any]]  # its name, dtype and shape
Made = tuple[Operand, Any, list[Any]]

_FORMS = {"matrix": "matrix", "columns": "columns"}
_MOST_BYTES = 2**31 - 1  # of a message of protobuf
_OUTPUTS = {
    "probabilities": "probabilities", "class probabilities": "probabilities",
    "class log-probabilities": "log_probabilities",
}  # fmt: skip


@unchanged
def to_onnx(
    net: Network | Layer | Predictor,
    path: str | os.PathLike[str] | None = None,
    *,
    inputs: str | None = None,
    outputs: str = "matrix",
    labels: bool | None = None,
    preprocessing: bool = True,
) -> ModelProto:
    """Return what a model, or an estimator, predicts as an ONNX model, and write it to a file if a path is given.

    It computes in the dtype of the model what `Model.predict` does, for any number of rows: activations, embeddings,
    normalization, ensembles, all that a prediction is made of; what only a training does, as `Dropout`, is left out. It
    is of opset 17 and IR version 8, which runtimes of the years since 2022 load, and has passed ``onnx.checker``.

    Of an estimator of `fastnn.sklearn` it is all that ``predict`` and ``predict_proba`` do: what becomes of numbers,
    missing values, categories and dates, the mean of its nets, temperature, scale of targets, classes.

    Parameters
    ----------
    net : Model, a layer, or an estimator of fastnn.sklearn
        It has been trained, or built. Layers that are code in NumPy of your own cannot be written, unless they say in
        ``_graph`` what they are.
    path : str, path or None
        A file is replaced as a whole, and only once all of the new one is on the disk. None writes nothing.
    inputs : {"matrix", "columns"} or None
        One input ``x`` of shape (rows, n_in), or one of shape (rows, 1) for each column, called as the columns of the
        data frame that the model was trained with, else ``x0``, ``x1`` ... None is a matrix, but of an estimator with
        columns that are no numbers: text is a string tensor then, in which "" is missing, dates are int64, microseconds
        since 1970, and whole numbers beyond 2^53 int64, where -2^63 is missing, as in NumPy's NaT. Columns that the fit
        has dropped are no inputs then. Numbers are float64, NaN where missing, of the MLPs in the dtype of the net.
    outputs : {"matrix", "columns"}
        One output of shape (rows, n_out), called ``probabilities``, ``log_probabilities`` or, of numbers, ``y``; of
        estimators ``probabilities``, ``scores`` (margins), or the name of the target, else ``variable``. Or one of
        shape (rows, 1) for each, called as the classes are (``class_names``), else ``y0``, ``y1`` ...
    labels : bool or None
        Whether there is an output ``label`` of shape (rows,) before them: the class with the largest output, or of one
        output whether it is above 0.5, or 0 for logits: a text where the model has `class_names`, else its number; of
        an estimator its class, or 0 and 1 for each of several labels. None is yes for classifiers, no for nets.
        Of several targets outputs are ``label_0``, ``probabilities_0``, ``label_1`` ...
    preprocessing : bool
        Whether an estimator's treatment of columns is in the model; else ``x`` is what its nets read, as
        ``estimator.preprocessing_.transform`` returns it.

    Returns
    -------
    onnx.ModelProto
        With the version, and the names of features and classes, in its ``metadata_props``.

    Raises
    ------
    ImportError
        Without the package onnx.
    TypeError
        For a layer whose code cannot be written so, with its name and what to do, and for classes that are no labels
        of ONNX, as dates.
    ValueError
        For a model that is not built, for labels of outputs that are no classes, for columns that no input of ONNX can
        hold, with their names, and beyond 2 GB.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.Model([fastnn.Dense(8, "relu"), fastnn.Dense(3, "softmax")], seed=0).build(5)
    >>> model = fastnn.to_onnx(net, "net.onnx", labels=True)
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    given = None if inputs is None else lookup("to_onnx: inputs", inputs, _FORMS)
    per_output = lookup("to_onnx: outputs", outputs, _FORMS) == "columns"
    with_labels = None if labels is None else flag("to_onnx: labels", labels)
    with_preprocessing = flag("to_onnx: preprocessing", preprocessing)
    graph: Graph
    if isinstance(net, (Network, Layer)):
        if not with_preprocessing:
            raise ValueError(
                "to_onnx: preprocessing=False is of estimators, and a net has none before its layers: leave it out"
            )
        graph = graph_of(net)
        predicted = _predicted(net, graph, bool(with_labels))
        about = {"outputs": graph.gives, "feature_names": graph.feature_names, "class_names": graph.class_names}
    elif isinstance(net, Predictor):
        graph = _named(lambda: net._prediction_graph(given, with_preprocessing, with_labels))
        predicted, about = graph.outputs, graph.about
    else:
        raise TypeError(
            f"to_onnx: net is {shown(net)}, expected a Model, such as Model([Dense(1)]).build(3), or an estimator of "
            f"fastnn.sklearn{last_step_of(net)}"
        )
    to = Operators(graph.dtype)
    wishes = [_inputs_named(graph, given == "columns"), *(_outputs_named(one, per_output, about) for one in predicted)]
    names, *outputs_of = _called(wishes, to)
    declared, found = _inputs(graph, names, to)
    found = write_nodes(graph, found, to)
    made = list[Made]()
    for output, own in zip(predicted, outputs_of, strict=True):
        made += _outputs(output, found[output.value.name], own, per_output, to)
    model = made_model(to, declared, made, _metadata(about))
    if path is not None:
        replace(path, [model.SerializeToString()])
    return model


def _named(make: Callable[[], TableGraph]) -> TableGraph:
    """Return a graph; errors about estimators say which function was called."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise type(error)(f"to_onnx: {error}") from error


def made_model(
    to: Operators,
    inputs: Sequence[Tensor],
    outputs: Sequence[Made],
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


def _predicted(net: Network | Layer, graph: Graph, with_labels: bool) -> list[Output]:
    """Return what a net gives."""
    found, n, names = list[Output](), graph.y.n, graph.class_names
    if names is not None and len(names) != n:
        of_columns = names[1:2] if n == 1 else None
    else:
        of_columns = names
    if with_labels:
        _require_classes(net, graph)
        threshold = 0.0 if getattr(getattr(net, "loss", None), "from_logits", False) else 0.5
        classes = np.arange(max(n, 2)) if names is None else np.array(names, object)
        label = graph.label(graph.y, classes, threshold if n == 1 else None)
        found.append(Output(label, "label", ()))
    return [*found, Output(graph.y, _OUTPUTS.get(graph.gives or "", "y"), (n,), of_columns)]


class _Wish(NamedTuple):
    """How an input or output is to be called; a name that was given, as of a column, goes before one that is ours."""

    name: str
    is_given: bool = False


def _called(wishes: Sequence[Sequence[_Wish]], to: Operators) -> list[list[str]]:
    """Return names, no two of which are the same: those that were given as they are, where two are not equal."""
    found: dict[tuple[int, int], str] = {}
    places = [(i, j) for i, row in enumerate(wishes) for j in range(len(row))]
    for i, j in sorted(places, key=lambda place: not wishes[place[0]][place[1]].is_given):
        found[i, j] = to.name(wishes[i][j].name)
    return [[found[i, j] for j in range(len(row))] for i, row in enumerate(wishes)]


def _inputs_named(graph: Graph, per_column: bool) -> list[_Wish]:
    """Return how the inputs are to be called."""
    if isinstance(graph, TableGraph) and not graph.is_matrix:
        return [_Wish(one.title or f"x{i}", bool(one.title)) for i, one in enumerate(graph.inputs)]
    if not per_column:
        return [_Wish("x")]
    names = graph.feature_names or [""] * graph.x.n
    return [_Wish(name or f"x{i}", bool(name)) for i, name in enumerate(names)]


def _outputs_named(output: Output, per_output: bool, about: Mapping[str, Any]) -> list[_Wish]:
    """Return how an output is to be called, or its columns."""
    title = output.title
    whole = [_Wish(title, title == about.get("target_name"))]
    if not per_output or not output.shape:
        return whole
    n = int(np.prod(output.shape))
    if output.names:
        return [_Wish(name or f"{title}{i}", bool(name)) for i, name in enumerate(output.names)]
    return whole if n == 1 else [_Wish(f"{title}{i}") for i in range(n)]


def _inputs(graph: Graph, names: Sequence[str], to: Operators) -> tuple[list[Tensor], dict[str, Operand]]:
    """Return the inputs of the model, and what the graph calls its own by them."""
    if isinstance(graph, TableGraph) and len(names) == len(graph.inputs):
        declared = [(name, x.dtype, ["rows", x.n]) for name, (x, *_) in zip(names, graph.inputs, strict=True)]
        return declared, {x.name: Operand(name, to) for name, (x, *_) in zip(names, graph.inputs, strict=True)}
    if len(names) == 1:
        return [(names[0], graph.dtype, ["rows", graph.x.n])], {graph.x.name: Operand(names[0], to)}
    x = to.op("Concat", *(Operand(name, to) for name in names), axis=1)
    return [(name, graph.dtype, ["rows", 1]) for name in names], {graph.x.name: x}


def _outputs(output: Output, value: Operand, names: list[str], per_output: bool, to: Operators) -> list[Made]:
    """Return a value as it is predicted, by one name, or its columns, by one each."""
    dtype = output.value.dtype
    if per_output and output.shape:
        each = [to.op("Slice", value, *map(to.integers, (i, i + 1, 1))) for i in range(len(names))]
        return [(to.rename(one, name), dtype, ["rows", 1]) for one, name in zip(each, names, strict=True)]
    if len(output.shape) > 1:
        value = to.op("Reshape", value, to.integers(0, *output.shape))
    return [(to.rename(value, names[0]), dtype, ["rows", *output.shape])]


def _metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known beside the numbers, as JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False, default=str) for name, value in about.items() if value is not None
    }
