"""Steps: the nodes of an ONNX graph that make rows of rows, what shape these have, and what is made of constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fastnn.formats.errors import ModelFormatError
from fastnn.formats.onnx_computing import COMPUTED, compute

MOST_DIMENSIONS = 8
ROWS = -(2**40)  # the number of rows among the sizes of a shape, which only a run knows
DTYPES: dict[int, Any] = {1: np.float32, 11: np.float64, 10: np.float16, 7: np.int64, 6: np.int32, 9: np.bool_}
BYTES: dict[int, Any] = {2: np.uint8, 3: np.int8}  # of arrays alone: nothing is cast to these


class Step:
    """What makes one array of others, one of which depends on the input of the model.

    Attributes
    ----------
    op : str
        The operator; "Input" is the input of the model.
    inputs : tuple of Step, ndarray or None
        None is an input that may be left out, and is.
    attributes : dict
    shape : tuple of int
        Of one row.
    where : str
        The node, for errors.
    """

    __slots__ = ("attributes", "inputs", "op", "shape", "where")

    def __init__(
        self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], shape: tuple[int, ...], where: str
    ) -> None:
        self.op, self.inputs, self.attributes, self.shape, self.where = op, tuple(inputs), attributes, shape, where

    @property
    def n(self) -> int:
        """How many numbers a row has."""
        return prod(self.shape)

    def steps(self) -> list[Step]:
        """Return the steps that it reads."""
        return [one for one in self.inputs if isinstance(one, Step)]

    def fail(self, why: str) -> ModelFormatError:
        """Return the error for what is not understood."""
        return ModelFormatError(f"{self.where}: {why}")


def shaped(x: Step, shape: tuple[int, ...], where: str) -> Step:
    """Return the same numbers of a row in another shape, or of another kind: one step, also behind such a one."""
    return Step("Shaped", x.inputs if x.op == "Shaped" else (x,), {}, shape, where)


def single(value: Any) -> float | None:
    """Return the one number that an array has; None for other values."""
    is_one = isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fi" and value.ndim < 2
    return float(value.reshape(())) if is_one else None


def axes_of(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> list[int] | None:
    """Return axes, which newer opsets have as an input."""
    if "axes" in attributes:
        found: list[int] = attributes["axes"]
        return found if isinstance(found, list) else []
    if len(inputs) > 1 and isinstance(inputs[1], np.ndarray):
        return [int(one) for one in inputs[1].reshape(-1)[: MOST_DIMENSIONS + 1]]
    return None


class Unknown(Exception):
    """An operator of constants that is not computed."""


def constant_of(op: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Return what an operator makes of constants."""
    x: Any = inputs[0] if inputs else None
    if op in ("Identity", "Dropout"):
        return x
    if op == "Cast":
        dtype = DTYPES.get(attributes["to"])
        if dtype is None:
            raise Unknown
        return x.astype(dtype).astype(np.float32 if dtype is np.float16 else dtype)
    if op == "Shape":
        return np.array(x.shape, np.int64)
    if op == "Transpose":
        return x.transpose(attributes.get("perm"))
    if op == "Reshape":
        return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(inputs[1].tolist())])
    if op == "Flatten":
        axis = attributes.get("axis", 1)
        return x.reshape(prod(x.shape[:axis]), -1)
    if op in ("Squeeze", "Unsqueeze"):
        places = axes_of(inputs, attributes)
        if op == "Squeeze":
            return x.squeeze(None if places is None else tuple(places))
        return np.expand_dims(x, tuple(places or ()))
    if op == "Concat":
        return np.concatenate(inputs, axis=attributes["axis"])
    if op == "Gather":
        return x.take(inputs[1], axis=attributes.get("axis", 0))
    if op == "ConstantOfShape":
        value = attributes.get("value", np.zeros(1, np.float32))
        return np.full(tuple(x.tolist()), value.reshape(-1)[0], value.dtype)
    if op == "Slice" and len(inputs) > 2:
        starts, ends = (one.tolist() for one in inputs[1:3])
        axes = inputs[3].tolist() if len(inputs) > 3 and inputs[3] is not None else [*range(len(starts))]
        steps = inputs[4].tolist() if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
        index = [slice(None)] * x.ndim
        for axis, *own in zip(axes, starts, ends, steps, strict=True):
            index[axis] = slice(*own)
        return x[tuple(index)]
    if op in COMPUTED:
        return compute(op, inputs, attributes)
    raise Unknown


def shape_of(op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """Return the shape of a row of what an operator makes."""
    x = inputs[0]
    steps = [one for one in inputs if isinstance(one, Step)]
    if op in ("Gemm", "MatMul", "MatMulInteger"):
        w = inputs[1] if len(inputs) > 1 else None
        if not isinstance(x, Step) or not isinstance(w, np.ndarray) or w.ndim != 2 or len(x.shape) != 1:
            raise ModelFormatError(f"{where}: expected rows times a constant matrix")
        n_in, n = w.shape[::-1] if op == "Gemm" and attributes.get("transB") else w.shape
        if attributes.get("transA") or n_in != x.n or not n:
            raise ModelFormatError(f"{where}: rows of {x.n} numbers times a matrix of shape {w.shape}")
        return (n,)
    if op == "Concat":
        if (
            attributes.get("axis") not in (1, -1)
            or len(steps) != len(inputs)
            or any(len(one.shape) != 1 for one in steps)
        ):
            raise ModelFormatError(f"{where}: expected rows of columns side by side, axis 1")
        return (sum(one.n for one in steps),)
    if op in ("Gather", "Slice", "ArrayFeatureExtractor"):
        if isinstance(x, Step):
            found = columns_of(op, inputs, attributes, where)
            return () if op == "Gather" and not inputs[1].ndim else (len(found),)
        codes = inputs[1] if len(inputs) > 1 else None
        if op != "Gather" or not isinstance(codes, Step) or x is None or x.ndim != 2 or attributes.get("axis", 0) != 0:
            raise ModelFormatError(f"{where}: expected rows of a table, chosen by columns of codes")
        return (*codes.shape, x.shape[1])
    if op.startswith("Reduce"):
        axes = attributes.get(
            "axes", inputs[1].tolist() if len(inputs) > 1 and isinstance(inputs[1], np.ndarray) else None
        )
        if axes not in ([1], [-1]) or attributes.get("keepdims", 1) != 1 or len(steps) != 1 or len(x.shape) != 1:
            raise ModelFormatError(f"{where}: expected one number of each row, axes=[1] and keepdims=1")
        return (1,)
    shapes = [one.shape for one in inputs if one is not None]
    if op in COMPUTED:
        rows = [(1, *one.shape) if isinstance(one, Step) else one.shape for one in inputs if one is not None]
        try:
            shape = np.broadcast_shapes(*rows)
        except ValueError:
            raise ModelFormatError(f"{where}: arrays of shapes {shapes[:10]} do not fit") from None
        if {len(one.shape) for one in steps} != {len(shape) - 1} or shape[0] != 1:  # else rows would meet columns
            raise ModelFormatError(f"{where}: arrays of shapes {shapes[:10]} make no rows")
        return shape[1:]
    return steps[0].shape


def reshaped(op: str, x: Step, inputs: list[Any], attributes: dict[str, Any], where: str) -> Step:
    """Return the same rows in another shape: only what leaves each row a row."""
    sizes = [ROWS, *x.shape]
    if op == "Flatten":
        if attributes.get("axis", 1) != 1:
            raise ModelFormatError(f"{where}: axis is {attributes.get('axis')}, expected 1")
        new = [x.n]
    elif op == "Reshape":
        if len(inputs) != 2:
            raise ModelFormatError(f"{where}: it has {len(inputs)} inputs, expected rows and their new shape")
        given = np.asarray(inputs[1]).reshape(-1)[: MOST_DIMENSIONS + 1].tolist()
        asked = [sizes[i] if one == 0 and i < len(sizes) and not attributes.get("allowzero") else one
                 for i, one in enumerate(given)]  # fmt: skip
        new = [int(one) for one in asked[1:]]
        known = prod(one for one in new if one != -1)
        if new.count(-1) == 1 and known > 0 and x.n % known == 0:
            new[new.index(-1)] = x.n // known
        fits = bool(asked) and asked[0] in (ROWS, -1) and asked.count(-1) < 2 and min(new, default=1) > 0
        if not fits or prod(new) != x.n:
            raise ModelFormatError(f"{where}: {given} for rows of shape {x.shape}, expected rows to stay rows")
    else:
        axes = axes_of(inputs, attributes)
        rank = len(sizes) + (len(axes) if op == "Unsqueeze" and axes else 0)
        if axes is None:
            places = [i for i, size in enumerate(sizes) if size == 1]
        else:
            places = [int(one) % rank for one in axes]
        is_wrong = op == "Squeeze" and any(sizes[i] != 1 for i in places)
        if is_wrong or 0 in places or rank > MOST_DIMENSIONS or len({*places}) != len(places):
            raise ModelFormatError(f"{where}: axes {axes} of rows of shape {x.shape}")
        if op == "Squeeze":
            new = [one for i, one in enumerate(sizes) if i not in places][1:]
        else:
            rest = iter(sizes)
            new = [1 if i in places else next(rest) for i in range(rank)][1:]
    return shaped(x, tuple(new), where)


def columns_of(op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], where: str) -> list[int]:
    """Return which columns an operator takes."""
    x, rest = inputs[0], inputs[1:]
    if len(x.shape) != 1 or not all(one is None or isinstance(one, np.ndarray) for one in rest):
        raise ModelFormatError(f"{where}: expected some columns of rows, by constant numbers")
    every = range(x.n)
    if op == "Slice":
        given = [one.reshape(-1).tolist() for one in rest if one is not None]
        starts = given[0] if given else attributes.get("starts", [])
        ends = given[1] if len(given) > 1 else attributes.get("ends", [])
        axes = given[2] if len(given) > 2 else attributes.get("axes", [])
        steps = given[3] if len(given) > 3 else [1]
        if not (len(starts) == len(ends) == len(steps) == 1 and axes in ([1], [-1]) and steps[0]):
            raise ModelFormatError(f"{where}: expected a slice of columns, axis 1")
        found = [*every[int(starts[0]) : int(ends[0]) : int(steps[0])]]
    else:
        index = rest[0] if rest else None
        if index is None or index.dtype.kind != "i" or index.ndim > 1 + (op != "Gather"):
            raise ModelFormatError(f"{where}: expected the numbers of columns")
        if op == "Gather" and (attributes.get("axis", 0) not in (1, -1) or index.ndim > 1):
            raise ModelFormatError(f"{where}: expected columns, axis=1")
        numbers = index.reshape(-1).tolist()
        if any(not -x.n <= one < x.n for one in numbers):
            raise ModelFormatError(f"{where}: column {next(n for n in numbers if not -x.n <= n < x.n)} of {x.n}")
        found = [every[one] for one in numbers]
    if not found:
        raise ModelFormatError(f"{where}: it takes no columns")
    return found


def widths_of(inputs: set[str], order: Sequence[Any], tensors: Mapping[str, Any]) -> dict[str, int | None]:
    """Return how many columns the first product has that reads an input, which may be of unknown width."""
    same, found = {name: name for name in inputs}, dict[str, int | None]()
    for node in order:
        source = same.get(node.input[0]) if len(node.input) else None
        if source is None:
            continue
        if node.op_type in ("Identity", "Dropout", "Cast"):
            same.update(dict.fromkeys(node.output, source))
        elif node.op_type in ("Gemm", "MatMul") and source not in found and len(node.input) > 1:
            w = tensors.get(node.input[1])
            trans = any(one.name == "transB" and one.i for one in node.attribute)
            if w is not None:
                found[source] = w.dims[-1 if trans else 0] if len(w.dims) == 2 else None
    return found


def named(node: Any) -> str:
    """Return how errors say which node it is."""
    name = node.name or (node.output[0] if node.output else "")
    return f"node {name!r} ({node.op_type})"


def require_texts(graph: Any, model: Any) -> None:
    """Raise ModelFormatError where a name is no UTF-8: such ones are bytes."""
    texts = [one.name for one in (*graph.initializer, *graph.input, *graph.output)]
    for entry in model.metadata_props:
        texts += [entry.key, entry.value]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        for attribute in node.attribute:
            texts += [attribute.name, attribute.ref_attr_name]
    if not all(isinstance(text, str) for text in texts):
        raise ModelFormatError("a damaged ONNX file: a name in it is no text")
