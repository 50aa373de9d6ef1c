"""A prediction as plain mathematics: a list of nodes, each a formula of arrays (rows, n), that other formats write.

A layer says in its method ``_graph`` what it is in a prediction, `graph_of` puts these together, and `run` computes
them in NumPy. Writers of other formats (ONNX, C, ...) know the kinds of nodes below, and no layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.formats.formulas import FORMULAS, Numpy
from fastnn.layers.contract import Layer, forms
from fastnn.layers.elements import elements

if TYPE_CHECKING:
    from fastnn.network import Network


@dataclass(frozen=True)
class Value:
    """An array (rows, n) that a node makes, or the input.

    Attributes
    ----------
    name : str
    n : int
    dtype : dtype
    """

    name: str
    n: int
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Node:
    """What makes one value of others.

    Attributes
    ----------
    y : Value
        What it makes.
    layer : str
        Which layer it belongs to, for errors and comments.
    """

    y: Value
    layer: str


@dataclass(frozen=True, eq=False)
class Product(Node):
    """y = x @ w + b; w (n_in, n), b (n,) or None.

    With ``parts`` k > 1, x has k equal parts of columns, side by side, and y has those of their products: each with the
    same w (n_in, n) and b (n,), or with its own, w (k, n_in, n) and b (k, n).
    """

    x: Value
    w: Array
    b: Array | None
    parts: int


@dataclass(frozen=True, eq=False)
class IntegerProduct(Node):
    """y = (q @ w) * scale + b, q = min(max(rint(x * (1 / step)), -zero), 255 - zero); w (n_in, n) of int8."""

    x: Value
    w: NDArray[np.int8]
    scale: Array
    b: Array
    step: float
    zero: int


@dataclass(frozen=True, eq=False)
class Scale(Node):
    """y = x * factor + offset; each (n,), or None for 1 and 0, but not both."""

    x: Value
    factor: Array | None
    offset: Array | None


@dataclass(frozen=True, eq=False)
class Elementwise(Node):
    """y = f(x, *constants), f the formula of that name in `formulas.FORMULAS`."""

    x: Value
    name: str
    constants: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PRelu(Node):
    """y = x where x > 0, else slope * x; slope (n,)."""

    x: Value
    slope: Array


@dataclass(frozen=True, eq=False)
class Clip(Node):
    """y = min(max(x, low), high); each (n,), with infinities."""

    x: Value
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Fill(Node):
    """y = replacement where x is NaN, else z; replacement (n,)."""

    x: Value
    z: Value
    replacement: Array


@dataclass(frozen=True, eq=False)
class RowNorm(Node):
    """y = (x - mean) / sqrt(variance + eps) * scale + shift, of each row; scale, shift (n,).

    Not ``centered``, the mean is 0 and the variance the mean of x^2. The shift may be None.
    """

    x: Value
    scale: Array
    shift: Array | None
    eps: float
    centered: bool


@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """y = softmax(x) over each row, or over each of ``parts`` equal parts of it.

    ``form`` is "softmax", "log_softmax" or "sparsemax".
    """

    x: Value
    form: str
    parts: int


@dataclass(frozen=True, eq=False)
class Columns(Node):
    """y[:, j] = x[:, index[j]]; index (n,) of int64."""

    x: Value
    index: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Embedding(Node):
    """y = table[x[:, column]]; table (codes + 1, n), whose last row is that of what is no code.

    A code is a whole number from 0 to codes - 1; negative numbers, fractions, NaN and larger ones are none.
    """

    x: Value
    column: int
    table: Array


@dataclass(frozen=True, eq=False)
class OneHot(Node):
    """y[:, j] = 1 where x[:, column] is the code j, else 0; with ``unseen``, the last column is 1 for what is no code.

    Of ``codes`` codes; what is one is said at `Embedding`.
    """

    x: Value
    column: int
    codes: int
    unseen: bool


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """y = the values side by side."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Sum(Node):
    """y = the sum of values of the same size, in their order."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Multiply(Node):
    """y = x * z, of the same size."""

    x: Value
    z: Value


@dataclass(frozen=True, eq=False)
class Reduce(Node):
    """y = the mean, or the largest, of ``parts`` equal parts of the columns of x; ``how`` is "mean" or "max"."""

    x: Value
    how: str
    parts: int


@dataclass(frozen=True, eq=False)
class Label(Node):
    """y (rows,) = the class with the largest x; with a threshold, x (rows, 1), the second class where x is above it."""

    x: Value
    classes: NDArray[Any]
    threshold: float | None


KINDS = (  # that layers add
    Product, IntegerProduct, Scale, Elementwise, PRelu, Clip, Fill, RowNorm, Softmax, Columns, Embedding, OneHot,
    Concat, Sum, Multiply, Reduce,
)  # fmt: skip


def inputs_of(node: Node) -> tuple[Value, ...]:
    """Return the values that a node reads."""
    own = vars(node)
    return (*(own[name] for name in ("x", "z") if name in own), *own.get("values", ()))


class Graph:
    """A prediction as nodes, each behind those whose values it reads; the last one makes the outputs.

    Layers add to it in their ``_graph(self, x, to)``: the methods each add a node, and return the value that it makes.

    Attributes
    ----------
    x, y : Value
        The inputs and the outputs.
    nodes : list of Node
        At least one.
    dtype : dtype
        Of the arrays and of the computation: float32 or float64. The arrays are those of the layers, no copies.
    feature_names, class_names : tuple of str, or None
        Those of the model.
    gives : str or None
        What the outputs are: "numbers", "probabilities", "class probabilities", "class log-probabilities".
    """

    def __init__(self, n_in: int, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.x = self.y = Value("x", n_in, self.dtype)
        self.nodes: list[Node] = []
        self.feature_names: tuple[str, ...] | None = None
        self.class_names: tuple[str, ...] | None = None
        self.gives: str | None = None
        self._layer = ""

    def _add(self, kind: type[Node], n: int, dtype: Any = None, **own: Any) -> Value:
        """Add a node, and return what it makes: in the dtype of what it reads, if no other is given."""
        if dtype is None:
            dtype = own["values"][0].dtype if "values" in own else own["x"].dtype
        y = Value(f"{kind.__name__.lower()}_{len(self.nodes)}", n, np.dtype(dtype))
        self.nodes.append(kind(y, self._layer, **own))
        return y

    def row(self, layers: Sequence[Layer], x: Value) -> Value:
        """Add what layers in a row are in a prediction."""
        before = self._layer
        for element in elements(layers, predicting=True):
            layer = element.layer
            if not forms(type(layer)).has_graph:
                raise _not_known(layer)
            self._layer = layer.title
            x = layer._graph(x, self)
            if x.n != layer.n_out and not layer._children:  # that of a Dense is behind its activation
                raise ValueError(f"{layer.title}: _graph returned a value of {x.n} columns, expected {layer.n_out}")
        self._layer = before
        return x

    # -- what layers add ----------------------------------------------------------------------------------------------

    def product(self, x: Value, w: Array, b: Array | None = None, parts: int = 1) -> Value:
        """Add x @ w + b, see `Product`."""
        return self._add(Product, parts * w.shape[-1], x=x, w=w, b=b, parts=parts)

    def integer_product(self, x: Value, **own: Any) -> Value:
        """Add (q @ w) * scale + b, see `IntegerProduct`."""
        return self._add(IntegerProduct, own["w"].shape[1], x=x, **own)

    def scale(self, x: Value, factor: Any = None, offset: Any = None) -> Value:
        """Add x * factor + offset, of arrays (n,) or numbers."""
        of_columns = [
            None if own is None else np.broadcast_to(np.asarray(own, x.dtype), (x.n,)) for own in (factor, offset)
        ]
        return self._add(Scale, x.n, x=x, factor=of_columns[0], offset=of_columns[1])

    def elementwise(self, x: Value, name: str, *constants: float) -> Value:
        """Add an activation of single numbers; nothing for the identity."""
        return x if name == "identity" else self._add(Elementwise, x.n, x=x, name=name, constants=constants)

    def activation(self, x: Value, name: str, constants: Iterable[float] = (), parts: int = 1) -> Value:
        """Add an activation of the table, also one of whole rows, or of each of some parts of them."""
        if name in FORMULAS:
            return self.elementwise(x, name, *constants)
        return self._add(Softmax, x.n, x=x, form=name, parts=parts)

    def prelu(self, x: Value, slope: Array) -> Value:
        """Add x where x > 0, else slope * x."""
        return self._add(PRelu, x.n, x=x, slope=np.broadcast_to(slope, (x.n,)))

    def clip(self, x: Value, low: Array, high: Array) -> Value:
        """Add min(max(x, low), high)."""
        return self._add(Clip, x.n, x=x, low=low, high=high)

    def fill(self, x: Value, z: Value, replacement: Array) -> Value:
        """Add what is `replacement` where x is NaN, else z."""
        return self._add(Fill, z.n, x=x, z=z, replacement=replacement)

    def row_norm(self, x: Value, scale: Array, shift: Array | None, eps: float) -> Value:
        """Add the normalization of rows; without a shift not centered, either."""
        return self._add(RowNorm, x.n, x=x, scale=scale, shift=shift, eps=eps, centered=shift is not None)

    def columns(self, x: Value, index: Any) -> Value:
        """Add some columns of x, in this order; nothing for all as they are."""
        places = np.asarray(index, np.int64)
        if not len(places):
            raise ValueError(f"{self._layer or 'a graph'}: it takes none of {x.n} columns, expected one at least")
        if len(places) == x.n and (places == np.arange(x.n)).all():
            return x
        return self._add(Columns, len(places), x=x, index=places)

    def embedding(self, x: Value, column: int, table: Array) -> Value:
        """Add the rows of a table that the codes in a column choose."""
        return self._add(Embedding, table.shape[1], x=x, column=column, table=table)

    def one_hot(self, x: Value, column: int, codes: int, unseen: bool) -> Value:
        """Add a column for each code."""
        return self._add(OneHot, codes + unseen, x=x, column=column, codes=codes, unseen=unseen)

    def concat(self, values: Iterable[Value]) -> Value:
        """Add values side by side; nothing for one."""
        given = tuple(values)
        return given[0] if len(given) == 1 else self._add(Concat, sum(v.n for v in given), values=given)

    def sum(self, values: Iterable[Value]) -> Value:
        """Add the sum of values; nothing for one."""
        given = tuple(values)
        return given[0] if len(given) == 1 else self._add(Sum, given[0].n, values=given)

    def multiply(self, x: Value, z: Value) -> Value:
        """Add x * z."""
        return self._add(Multiply, x.n, x=x, z=z)

    def reduce(self, x: Value, how: str, parts: int) -> Value:
        """Add the mean, or the largest, of equal parts of the columns."""
        return x if parts == 1 else self._add(Reduce, x.n // parts, x=x, how=how, parts=parts)

    def waves(self, x: Value, w: Array, c: Array | None) -> Value | None:
        """Add cos and sin of 2 pi x w + c of each column, in one node; None: simpler ones have to do."""

    def bins(self, x: Value, edges: Array, w: Array, b: Array, v: Array) -> Value | None:
        """Add the piecewise linear functions of each column, in one node; None: simpler ones have to do."""

    def label(self, x: Value, classes: Array, threshold: float | None = None) -> Value:
        """Add the classes that x says."""
        return self._add(Label, 1, classes.dtype, x=x, classes=classes, threshold=threshold)


def _not_known(layer: Layer) -> TypeError:
    what = "code in NumPy" if layer.is_numpy else "code of its own"
    return TypeError(
        f"{layer.title} is {what}, of which no formula is known, so other formats cannot hold it: define "
        f"_graph(self, x, to) in {type(layer).__name__}, which says it in the nodes of fastnn.formats.graph, as in "
        "return to.product(x, self.w, self.b), or take a layer of fastnn in its place"
    )


def graph_of(net: Network | Layer, kind: type[Graph] = Graph) -> Graph:
    """Return what a prediction of a model, or of one layer, is made of.

    Raises
    ------
    ValueError
        Where it is not built, so that it has no numbers.
    TypeError
        Where a layer is code that cannot be said so, with its name and what to do.
    """
    if isinstance(net, Layer):
        layers: Sequence[Layer] = (net,)
        built, n_in, dtype = bool(net.n_in), net.n_in, net.__dict__.get("dtype", np.float64)
    else:
        layers = net._predictors.layers
        built, n_in, dtype = net.built, net.n_in, net.dtype
    if not built:
        name = net.title if isinstance(net, Layer) else type(net).__name__
        raise ValueError(f"{name} is not built, so it has no parameters yet: train it, or call build(n_in)")
    graph = kind(n_in, dtype)
    graph.y = graph.row(layers, graph.x)
    if not graph.nodes or graph.nodes[-1].y is not graph.y:  # nothing but what vanishes in predictions
        graph.y = graph._add(Elementwise, graph.y.n, x=graph.y, name="identity", constants=())
    graph.gives = layers[-1].gives
    if not isinstance(net, Layer):
        graph.feature_names, graph.class_names = net.feature_names, net.class_names
    return graph


# -- in NumPy ---------------------------------------------------------------------------------------------------------


def run(graph: Graph, x: Any, dtype: Any = None) -> Array:
    """Return the outputs for x (rows, n_in), computed by NumPy in the dtype of the graph, or in another one."""
    dtype = graph.dtype if dtype is None else np.dtype(dtype)
    found: dict[str, Array] = {graph.x.name: np.asarray(x, dtype)}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            found[node.y.name] = np.asarray(_computed(node, found, dtype), dtype)
    return found[graph.y.name]


def _computed(node: Node, found: dict[str, Array], dtype: np.dtype[Any]) -> Any:
    values = [found[value.name] for value in inputs_of(node)]
    x, z = values[0], values[-1]

    def cast(array: Array) -> Array:
        return np.asarray(array, dtype)

    if isinstance(node, Product):
        each = _in_parts(x, node.parts)
        if node.w.ndim == 2:
            y = (each.reshape(-1, each.shape[2]) @ cast(node.w)).reshape(len(x), node.parts, -1)
        else:
            y = (each.swapaxes(0, 1) @ cast(node.w)).swapaxes(0, 1)
        return (y if node.b is None else y + cast(node.b)).reshape(len(x), node.y.n)
    if isinstance(node, IntegerProduct):
        q = np.clip(np.rint(x * (1 / dtype.type(node.step))), -node.zero, 255 - node.zero).astype(np.float64)
        return cast(q @ node.w) * cast(node.scale) + cast(node.b)
    if isinstance(node, Scale):
        scaled = x if node.factor is None else x * cast(node.factor)
        return scaled if node.offset is None else scaled + cast(node.offset)
    if isinstance(node, Elementwise):
        return FORMULAS[node.name](Numpy, x, *node.constants)
    if isinstance(node, PRelu):
        return np.where(x > 0, x, x * cast(node.slope))
    if isinstance(node, Clip):
        return np.minimum(np.maximum(x, cast(node.low)), cast(node.high))
    if isinstance(node, Fill):
        return np.where(np.isnan(x), cast(node.replacement), z)
    if isinstance(node, RowNorm):
        centered = x - x.mean(axis=1, keepdims=True) if node.centered else x
        y = centered / np.sqrt(np.square(centered).mean(axis=1, keepdims=True) + node.eps) * cast(node.scale)
        return y if node.shift is None else y + cast(node.shift)
    if isinstance(node, Softmax):
        return _softmax(node.form, _in_parts(x, node.parts)).reshape(x.shape)
    if isinstance(node, Columns):
        return x[:, node.index]
    if isinstance(node, Embedding):
        return cast(node.table)[_codes(x[:, node.column], len(node.table) - 1)]
    if isinstance(node, OneHot):
        return _codes(x[:, node.column], node.codes)[:, None] == np.arange(node.y.n)
    if isinstance(node, Concat):
        return np.concatenate(values, axis=1)
    if isinstance(node, Sum):
        return sum(values[1:], values[0])
    if isinstance(node, Multiply):
        return x * z
    assert isinstance(node, Reduce)
    parts = _in_parts(x, node.parts)
    return parts.mean(axis=1) if node.how == "mean" else parts.max(axis=1)


def _in_parts(x: Array, parts: int) -> Array:
    return x.reshape(len(x), parts, x.shape[1] // parts)


def _codes(x: Array, n: int) -> NDArray[np.int64]:
    """Return the codes, and n for what is none."""
    return np.where((x >= 0) & (x < n) & (x == np.floor(x)), x, n).astype(np.int64)


def _softmax(form: str, x: Array) -> Array:
    z = x - x.max(axis=-1, keepdims=True)
    if form == "sparsemax":
        largest = -np.sort(-z, axis=-1)
        total, k = np.cumsum(largest, axis=-1), np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
        n = np.maximum((1 + k * largest > total).sum(axis=-1, keepdims=True), 1)
        tau = (np.take_along_axis(total, n - 1, axis=-1) - 1) / n.astype(x.dtype)
        return np.asarray(np.maximum(z - tau, 0))
    e = np.exp(z)
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(z - np.log(total) if form == "log_softmax" else e / total)
