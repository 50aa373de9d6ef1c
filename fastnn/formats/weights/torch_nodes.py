"""Layers that PyTorch does not have as a module of its own: the nodes of their prediction, computed by tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from fastnn.formats import graph
from fastnn.formats.formulas import FORMULAS
from fastnn.layers.contract import Layer
from fastnn.layers.tree import walk


def module_of_nodes(torch: Any, layer: Layer, kind: Any, parameters: dict[tuple[int, str], Any]) -> Any:
    """Return a module that computes what a layer is in a prediction."""
    own = {array.ctypes.data: (id(one), name) for one in walk([layer]) for name, array in one.parameters.items()}
    trains = {id(one): one.trainable for one in walk([layer])}
    made = _kind(torch)(graph.graph_of(layer), repr(layer))
    for i, node in enumerate(made.nodes):
        for name, array in vars(node).items():
            if not isinstance(array, np.ndarray):
                continue
            tensor = torch.from_numpy(np.array(array))
            if array.dtype.kind == "f":
                tensor = tensor.to(kind)
            key = own.get(array.ctypes.data)
            if key is not None and array.dtype.kind == "f":
                parameter = torch.nn.Parameter(tensor, requires_grad=trains[key[0]])
                made.register_parameter(f"{name}_{i}", parameter)
                if array.flags.c_contiguous and array.shape == _shape(layer, key):
                    parameters.setdefault(key, None)
            else:
                made.register_buffer(f"{name}_{i}", tensor)
    return made


def _shape(layer: Layer, key: tuple[int, str]) -> Any:
    return next(one.parameters[key[1]].shape for one in walk([layer]) if id(one) == key[0])


class _Elementary:
    """The elementary functions of formulas, of tensors."""

    def __init__(self, torch: Any) -> None:
        for name in ("abs", "sqrt", "exp", "expm1", "log1p", "tanh", "sigmoid", "sin", "cos", "where"):
            setattr(self, name, getattr(torch, name))
        self.erfc = torch.special.erfc
        self._torch = torch

    def maximum(self, x: Any, z: Any) -> Any:
        """Return the larger of both, either of which may be a number."""
        return self._torch.maximum(*self._pair(x, z))

    def minimum(self, x: Any, z: Any) -> Any:
        """Return the smaller of both."""
        return self._torch.minimum(*self._pair(x, z))

    def _pair(self, x: Any, z: Any) -> tuple[Any, Any]:
        like = x if hasattr(x, "dtype") else z
        return tuple(self._torch.as_tensor(one, dtype=like.dtype) for one in (x, z))


@cache
def _kind(torch: Any) -> Any:
    """Return the class of such modules: made once, where PyTorch is there."""

    class Prediction(torch.nn.Module):  # type: ignore[misc]
        """A layer of fastnn that PyTorch does not have, as it is in a prediction."""

        def __init__(self, made: graph.Graph, text: str) -> None:
            super().__init__()
            self.nodes, self.first, self.last, self.text = made.nodes, made.x.name, made.y.name, text

        def extra_repr(self) -> str:
            return str(self.text)

        def forward(self, x: Any) -> Any:
            found = {self.first: x}
            f = _Elementary(torch)
            for i, node in enumerate(self.nodes):
                values = [found[value.name] for value in graph.inputs_of(node)]
                arrays = {name: getattr(self, f"{name}_{i}", own) for name, own in vars(node).items()}
                found[node.y.name] = _computed(torch, f, node, values, arrays)
            return found[self.last]

    return Prediction


def _parts(x: Any, parts: int) -> Any:
    return x.reshape(len(x), parts, -1)


def _computed(torch: Any, f: Any, node: graph.Node, values: list[Any], own: dict[str, Any]) -> Any:
    x, z = values[0], values[-1]
    if isinstance(node, graph.Product):
        w, b = own["w"], own["b"]
        each = _parts(x, node.parts)
        y = each @ w if node.w.ndim == 2 else torch.einsum("rpi,pio->rpo", each, w)
        return (y if b is None else y + b).reshape(len(x), -1)
    if isinstance(node, graph.IntegerProduct):
        inverse = float(1 / own["scale"].numpy().dtype.type(node.step))
        q = torch.clamp(torch.round(x * inverse), -node.zero, 255 - node.zero)
        return (q.double() @ own["w"].double()).to(x.dtype) * own["scale"] + own["b"]
    if isinstance(node, graph.Scale):
        y = x if own["factor"] is None else x * own["factor"]
        return y if own["offset"] is None else y + own["offset"]
    if isinstance(node, graph.Elementwise):
        constants = [float(one) for one in node.constants]
        return FORMULAS[node.name](f, x, *constants)
    if isinstance(node, graph.PRelu):
        return torch.where(x > 0, x, own["slope"] * x)
    if isinstance(node, graph.Clip):
        return torch.minimum(torch.maximum(x, own["low"]), own["high"])
    if isinstance(node, graph.Fill):
        return torch.where(torch.isnan(x), own["replacement"], z)
    if isinstance(node, graph.RowNorm):
        x = x - x.mean(1, keepdim=True) if node.centered else x
        y = x / torch.sqrt((x * x).mean(1, keepdim=True) + node.eps) * own["scale"]
        return y if own["shift"] is None else y + own["shift"]
    if isinstance(node, graph.Softmax):
        return _of_rows(torch, node.form, _parts(x, node.parts)).reshape(x.shape)
    if isinstance(node, graph.Columns):
        return x[:, own["index"]]
    if isinstance(node, (graph.Embedding, graph.OneHot)):
        return _of_codes(torch, node, x, own)
    if isinstance(node, graph.Concat):
        return torch.cat(values, 1)
    if isinstance(node, graph.Sum):
        return sum(values[1:], values[0])
    if isinstance(node, graph.Multiply):
        return x * z
    assert isinstance(node, graph.Reduce)
    each = _parts(x, node.parts)
    return each.mean(1) if node.how == "mean" else each.amax(1)


def _of_rows(torch: Any, form: str, x: Any) -> Any:
    if form != "sparsemax":
        return getattr(torch, form)(x, -1)
    ordered = torch.sort(x, -1, descending=True).values
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    sums = torch.cumsum(ordered, -1)
    k = (1 + counts * ordered > sums).sum(-1, keepdim=True)
    return torch.clamp(x - (torch.gather(sums, -1, k - 1) - 1) / k, min=0)


def _of_codes(torch: Any, node: Any, x: Any, own: dict[str, Any]) -> Any:
    n = node.codes if isinstance(node, graph.OneHot) else len(node.table) - 1
    given = x[:, node.column]
    known = (given >= 0) & (given < n) & (given == torch.floor(given))
    codes = torch.where(known, given, n * torch.ones_like(given)).long()
    if isinstance(node, graph.Embedding):
        return own["table"][codes]
    return torch.nn.functional.one_hot(codes, n + 1)[:, : node.y.n].to(x.dtype)
