"""Each kind of node of a prediction in ONNX's operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastnn.formats.graph import (
    Clip,
    Columns,
    Concat,
    Elementwise,
    Embedding,
    Fill,
    Graph,
    IntegerProduct,
    Multiply,
    Node,
    OneHot,
    PRelu,
    Product,
    Reduce,
    RowNorm,
    Scale,
    Softmax,
    Sum,
    inputs_of,
)
from fastnn.formats.onnx_operators import Operand, Operators
from fastnn.formats.onnx_tables import written_node


def write_nodes(graph: Graph, inputs: Mapping[str, Operand], to: Operators) -> dict[str, Operand]:
    """Add what a graph makes of its inputs, and return all values by their names."""
    found = {**inputs}
    for node in graph.nodes:
        given = inputs_of(node)
        to.prefix = f"{node.y.name}."
        to.dtype = node.y.dtype if node.y.dtype.kind == "f" else given[0].dtype
        found[node.y.name] = _written(node, [found[value.name] for value in given], to)
    to.prefix = ""
    return found


def _written(node: Node, values: list[Operand], to: Operators) -> Operand:
    x, z = values[0], values[-1]
    if isinstance(node, Product):
        return _product(node, x, to)
    if isinstance(node, IntegerProduct):
        return _integer_product(node, x, to)
    if isinstance(node, Scale):
        y = x if node.factor is None else x * to.real(node.factor, "factor")
        return y if node.offset is None else y + to.real(node.offset, "offset")
    if isinstance(node, Elementwise):
        return to.activation(x, node.name, node.constants)
    if isinstance(node, PRelu):
        return to.op("PRelu", x, to.real(node.slope, "slope"))
    if isinstance(node, Clip):
        return to.minimum(to.maximum(x, to.real(node.low, "low")), to.real(node.high, "high"))
    if isinstance(node, Fill):
        return to.where(to.op("IsNaN", x), to.real(node.replacement, "replacement"), z)
    if isinstance(node, RowNorm):
        return _row_norm(node, x, to)
    if isinstance(node, Softmax):
        return _softmax(node, x, to)
    if isinstance(node, Columns):
        return to.columns(x, node.index.tolist())
    if isinstance(node, Embedding):
        codes = _codes(x, node.column, len(node.table) - 1, to)
        return to.op("Gather", to.real(node.table, "table"), codes, axis=0)
    if isinstance(node, OneHot):
        codes = to.op("Unsqueeze", _codes(x, node.column, node.codes, to), to.integers(1))
        return _real(to.op("Equal", codes, to.integers(*range(node.y.n))), to)
    if isinstance(node, Concat):
        return to.op("Concat", *values, axis=1)
    if isinstance(node, Sum):
        total = values[0]
        for other in values[1:]:
            total = total + other
        return total
    if isinstance(node, Multiply):
        return to.op("Mul", x, z)
    if isinstance(node, Reduce):
        parts = to.in_parts(x, node.parts, node.y.n)
        return to.op("ReduceMean" if node.how == "mean" else "ReduceMax", parts, axes=[1], keepdims=0)
    return written_node(node, x, to)


def _real(x: Operand, to: Operators) -> Operand:
    return to.op("Cast", x, to=1 if to.dtype == np.float32 else 11)


def _product(node: Product, x: Operand, to: Operators) -> Operand:
    w = to.real(node.w, "w")
    b = None if node.b is None else to.real(node.b, "b")
    if node.parts == 1:
        if node.w.ndim == 3:
            w = to.real(node.w[0], "w")
            b = None if node.b is None else to.real(node.b[0], "b")
        return to.op("MatMul", x, w) if b is None else to.op("Gemm", x, w, b)
    each = to.in_parts(x, node.parts, node.w.shape[-2])
    if node.w.ndim == 3:
        each = to.op("Transpose", to.op("MatMul", to.op("Transpose", each, perm=[1, 0, 2]), w), perm=[1, 0, 2])
    else:
        each = to.op("MatMul", each, w)
    return to.side_by_side(each if b is None else each + b, node.y.n)


def _integer_product(node: IntegerProduct, x: Operand, to: Operators) -> Operand:
    """Steps are numbers first, so that what is rounded are the same numbers as here, and not quotients."""
    steps = x * to.real(1 / to.dtype.type(node.step), "inverse")
    zero = to.array(np.array(node.zero, np.uint8), "zero")
    q = to.op("QuantizeLinear", to.op("Cast", steps, to=1), to.array(np.array(1, np.float32), "one"), zero)
    sums = to.op("MatMulInteger", q, to.array(node.w, "w"), zero)
    return _real(sums, to) * to.real(node.scale, "scale") + to.real(node.b, "b")


def _row_norm(node: RowNorm, x: Operand, to: Operators) -> Operand:
    """Its operator has an eps of float32."""
    scale = to.real(node.scale, "scale")
    shift = None if node.shift is None else to.real(node.shift, "shift")
    if node.centered and to.dtype == np.float32:
        given = (x, scale) if shift is None else (x, scale, shift)
        return to.op("LayerNormalization", *given, axis=-1, epsilon=node.eps)
    centered = x - to.op("ReduceMean", x, axes=[1]) if node.centered else x
    mean_square = to.op("ReduceMean", centered * centered, axes=[1])
    y = centered / to.sqrt(mean_square + node.eps) * scale
    return y if shift is None else y + shift


def _softmax(node: Softmax, x: Operand, to: Operators) -> Operand:
    each = x if node.parts == 1 else to.in_parts(x, node.parts, node.y.n // node.parts)
    if node.form == "sparsemax":
        each = _sparsemax(each, node.y.n // node.parts, to)
    else:
        each = to.op("Softmax" if node.form == "softmax" else "LogSoftmax", each, axis=-1)
    return each if node.parts == 1 else to.side_by_side(each, node.y.n)


def _sparsemax(x: Operand, n: int, to: Operators) -> Operand:
    """max(z - tau, 0), z = x - max x, tau the largest of (the sum of the k largest z - 1) / k over all k."""
    z = x - to.op("ReduceMax", x, axes=[-1])
    largest = to.op("TopK", z, to.integers(n), axis=-1, unused=1)
    total = to.op("CumSum", largest, to.array(np.array(-1, np.int64), "axis"))
    tau = to.op("ReduceMax", (total - 1) / to.real(np.arange(1, n + 1), "k"), axes=[-1])
    return to.maximum(z - tau, 0)


def _codes(x: Operand, column: int, n: int, to: Operators) -> Operand:
    """Return the codes in a column, and n for what is none."""
    code = to.op("Gather", x, to.array(np.array(column, np.int64), "column"), axis=1)
    is_whole = to.op("Equal", code, to.op("Floor", code))
    is_code = to.op("And", to.op("And", code >= 0, code < n), is_whole)
    return to.op("Cast", to.where(is_code, code, n), to=7)
