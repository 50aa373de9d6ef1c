"""A prediction as a few lines of NumPy, which need nothing of this package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats import safely
from fastnn.formats.c_memory import is_slice
from fastnn.formats.c_source import comment_text, is_uniform
from fastnn.formats.formulas import Term, term
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
from fastnn.formats.table_graph import (
    Cast,
    Log,
    Lookup,
    Missing,
    Predictor,
    Share,
    SmoothClip,
    graph_of_numbers,
)
from fastnn.formats.unchanged import unchanged
from fastnn.network import Network

_IN_TEXT = 2000  # numbers: more stand in a file beside the text
_LINE = 110
_RANKS = {">": 0, "<": 0, ">=": 0, "<=": 0, "+": 1, "-": 1, "*": 2, "/": 2, "negative": 3}  # how tight they bind
_HELPERS = {
    "softmax": """\
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
""",
    "log_softmax": """\
def log_softmax(x):
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
""",
    "sparsemax": """\
def sparsemax(x):  # max(x - tau, 0), whose sum is 1
    z = x - x.max(axis=-1, keepdims=True)
    falling, k = -np.sort(-z, axis=-1), np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    total = np.cumsum(falling, axis=-1)
    n = np.maximum((1 + k * falling > total).sum(axis=-1, keepdims=True), 1)
    tau = (np.take_along_axis(total, n - 1, axis=-1) - 1) / n.astype(x.dtype)
    return np.maximum(z - tau, 0)
""",
    "sigmoid": """\
def sigmoid(x):
    e = np.exp(-np.abs(x))  # never too large
    return np.where(x < 0, e, np.ones_like(e)) / (1 + e)
""",
    "erfc": """\
def erfc(x):
    return np.vectorize(math.erfc, otypes=[x.dtype])(x)
""",
    "codes": """\
def codes(x, n):  # what is no whole number from 0 to n - 1 is n
    return np.where((x >= 0) & (x < n) & (x == np.floor(x)), x, n).astype(int)
""",
}


@unchanged
def to_numpy_source(net: Network | Predictor, path: str | os.PathLike[str] | None = None) -> str:
    """Return what a model predicts as a few lines of NumPy, to read and to run without this library.

    The text is a module with a function ``predict(x)`` for x (rows, n_in). It computes in the dtype of the model, and
    its outputs differ from those of `Model.predict` by rounding.

    Parameters
    ----------
    net : Model, or an estimator of fastnn.sklearn
        Built, of layers of this package, or of your own with a ``_graph``. Of an estimator, whose columns are numbers,
        it gives what ``predict_proba`` does, or ``predict`` of a regressor as (rows, targets).
    path : str, path-like or None
        Where to write it, too. Of more than 2,000 numbers, parameters then stand in a file beside it, ``net.npz``
        for ``net.py``; else they stand in the text, in decimal digits that give the same bits. Such a file that is
        there already is replaced where a ``net.py`` that is there reads it.

    Raises
    ------
    TypeError
        For what is no model, and for a layer whose code is not known, with its name.
    ValueError
        For a model that is not built, and an estimator with columns that are no numbers; where a ``net.npz`` is
        something else.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(8, "relu"), Dense(3, "softmax")], seed=0).build(4)
    >>> namespace = {}
    >>> exec(fastnn.to_numpy_source(net), namespace)
    >>> x = np.ones((2, 4))
    >>> np.allclose(namespace["predict"](x), net.predict(x), atol=1e-6)
    True
    """
    if path is None:
        return _Writer(graph_of_numbers("to_numpy_source", net)).text(None)
    return write(net, os.fspath(path), replaces=False)[0]


def write(net: Network | Predictor, target: str, replaces: bool) -> tuple[str, list[str]]:
    """Write the text, and parameters beside it; return it, and which files there are now.

    `replaces` says that a file of another kind may be replaced where the parameters are to stand.
    """
    writer = _Writer(graph_of_numbers("to_numpy_source", net))
    beside = os.path.splitext(target)[0] + ".npz"
    if sum(array.size for array in writer.arrays.values()) <= _IN_TEXT:
        text, files = writer.text(None), [target]
    elif beside == target:
        raise ValueError(f"to_numpy_source: path is {target!r}, where the parameters are to stand: expected net.py")
    elif os.path.lexists(beside) and not (replaces or _reads(target, beside)):
        raise ValueError(
            f"to_numpy_source: {beside} exists, where the parameters are to stand, and {target} does not read it: give "
            "another path"
        )
    else:
        text, file, files = writer.text(os.path.basename(beside)), BytesIO(), [target, beside]
        named: dict[str, Any] = {**writer.arrays}
        np.savez(file, **named)
        safely.replace(beside, [file.getvalue()])
    safely.replace(target, [text.encode("ascii")])
    return text, files


def _reads(target: str, beside: str) -> bool:
    """Whether there is a text from before that reads the parameters beside it."""
    if not os.path.isfile(target):  # to read a pipe would wait for who writes to it
        return False
    try:
        with open(target, "rb") as file:
            return comment_text(os.path.basename(beside)).encode("ascii") in file.read()
    except OSError:
        return False


class _Writer:
    """The text of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._dtype = graph.dtype  # of the node that is being written
        self.arrays: dict[str, Array] = {}
        self._kinds: Counter[str] = Counter()  # how many of each letter they are called by
        self._helpers: set[str] = set()
        self._names = {graph.x.name: "x"}
        self._last = {value.name: i for i, node in enumerate(graph.nodes) for value in inputs_of(node)}
        self._free: list[str] = []
        self._n_names = 0
        self.lines = [line for i, node in enumerate(graph.nodes) for line in self._lines(i, node)]

    def text(self, beside: str | None) -> str:
        """Return it, with the arrays, or with what reads them from a file beside it."""
        graph = self.graph
        lines = ["# What a neural network predicts, written by fastnn."]
        lines += _named("Inputs", "x", graph.x.n, graph.feature_names)
        meaning = "Outputs" if graph.gives in (None, "numbers") else f"Outputs, {graph.gives}"
        lines += _named(meaning, "y", graph.y.n, graph.class_names)
        lines += ["", *(["import math", ""] if "erfc" in self._helpers else [])]
        if beside is not None:
            lines += ["import os", ""]
        lines += ["import numpy as np", ""]
        if beside is not None:
            name = comment_text(beside)
            lines += [f"arrays = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), {name}))"]
            lines += [f'{name} = arrays["{name}"]' for name in self.arrays]
        else:
            lines += [f"{name} = {_array(array)}" for name, array in self.arrays.items()]
        for name, helper in _HELPERS.items():
            if name in self._helpers:
                lines += ["", "", helper.rstrip()]
        lines += ["", "", "def predict(x):", f"    x = np.asarray(x, np.{graph.dtype.name})"]
        lines += [f"    {line}" for line in self.lines]
        lines += [f"    return {self._names[graph.y.name]}"]
        return "\n".join(lines) + "\n"

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _lines(self, i: int, node: Node) -> Iterator[str]:
        """Yield the statements of a node; its value takes the name of one that is read for the last time."""
        given = [self._names[value.name] for value in inputs_of(node)]
        self._dtype = node.y.dtype
        expression = self._expression(node, given)
        for value in {*inputs_of(node)}:
            if self._last[value.name] == i and value.name != self.graph.y.name:
                self._free.append(self._names[value.name])
        name = given[0] if given[0] in self._free else self._free[0] if self._free else self._new_name()
        if name in self._free:
            self._free.remove(name)
        self._names[node.y.name] = name
        yield from expression[:-1]
        yield f"{name} = {expression[-1]}"

    def _new_name(self) -> str:
        self._n_names += 1
        return f"h{self._n_names}"

    def _array(self, kind: str, array: Array) -> str:
        self._kinds[kind] += 1
        found = f"{kind}{self._kinds[kind]}"
        self.arrays[found] = np.asarray(array, None if array.dtype.kind == "i" else self._dtype)
        return found

    def _column(self, kind: str, array: Array) -> str:
        """Return a number where an array is one, else its name."""
        return _number(self._dtype.type(array[0])) if is_uniform(array) else self._array(kind, array)

    def _helper(self, name: str) -> str:
        self._helpers.add(name)
        return name

    def _expression(self, node: Node, given: list[str]) -> list[str]:
        """Return what makes the value of a node: statements before it, and an expression."""
        x, n, own_dtype = given[0], node.y.n, f"np.{self._dtype.name}"
        if isinstance(node, Product):
            return [self._product(node, x)]
        if isinstance(node, IntegerProduct):
            inverse, w = _number(1 / self._dtype.type(node.step)), self._array("w", node.w)
            q = f"np.clip(np.rint({x} * {inverse}), {-node.zero}, {255 - node.zero})"
            sums = f"({q}.astype(float) @ {w}).astype({own_dtype})"  # exact
            return [f"{sums} * {self._column('factor', node.scale)} + {self._column('b', node.b)}"]
        if isinstance(node, Scale):
            scaled = x if node.factor is None else f"{x} * {self._column('factor', node.factor)}"
            return [scaled if node.offset is None else f"{scaled} + {self._column('offset', node.offset)}"]
        if isinstance(node, Elementwise):
            return [self._written(term(node.name, node.constants, x), 0)]
        if isinstance(node, PRelu):
            return [f"np.where({x} > 0, {x}, {x} * {self._column('slope', node.slope)})"]
        if isinstance(node, Clip):
            return [f"np.clip({x}, {self._column('low', node.low)}, {self._column('high', node.high)})"]
        if isinstance(node, Fill):
            return [f"np.where(np.isnan({x}), {self._array('replacement', node.replacement)}, {given[1]})"]
        if isinstance(node, RowNorm):
            before = [f"d = {x} - {x}.mean(axis=1, keepdims=True)"] if node.centered else []
            d = "d" if node.centered else x
            scale = self._column("factor", node.scale)
            shift = "" if node.shift is None else f" + {self._column('offset', node.shift)}"
            return [*before, f"{d} / np.sqrt(({d} * {d}).mean(axis=1, keepdims=True) + {node.eps!r}) * {scale}{shift}"]
        if isinstance(node, Softmax):
            parts = x if node.parts == 1 else f"{x}.reshape(len({x}), {node.parts}, {n // node.parts})"
            whole = "" if node.parts == 1 else f".reshape(len({x}), {n})"
            return [f"{self._helper(node.form)}({parts}){whole}"]
        if isinstance(node, Columns):
            index = node.index
            own = f"{index[0]}:{index[-1] + 1}" if is_slice(node) else self._array("columns", index)
            return [f"{x}[:, {own}]"]
        if isinstance(node, Embedding):
            table = self._array("table", node.table)
            return [f"{table}[{self._helper('codes')}({x}[:, {node.column}], {len(node.table) - 1})]"]
        if isinstance(node, OneHot):
            places = f"{self._helper('codes')}({x}[:, {node.column}], {node.codes})"
            return [f"({places}[:, None] == np.arange({n})).astype({own_dtype})"]
        if isinstance(node, Concat):
            return [f"np.concatenate([{', '.join(given)}], axis=1)"]
        if isinstance(node, (Sum, Multiply)):
            return [(" + " if isinstance(node, Sum) else " * ").join(given)]
        if isinstance(node, Reduce):
            return [f"{x}.reshape(len({x}), {node.parts}, {n}).{node.how}(axis=1)"]
        return [self._of_table(node, x, own_dtype)]

    def _of_table(self, node: Node, x: str, dtype: str) -> str:
        """Return what makes the value of a node that estimators add."""
        if isinstance(node, Cast):
            return f"{x}.astype({dtype})"
        if isinstance(node, Log):
            return f"np.log({x})"
        if isinstance(node, SmoothClip):
            return f"{x} / np.sqrt(1 + np.square({x} / {_number(node.bound)}))"
        if isinstance(node, Missing):
            return f"np.isnan({x}).astype({dtype})"
        if isinstance(node, Share):
            return f"{x} / {x}.sum(axis=1, keepdims=True)"
        if isinstance(node, Lookup):
            keys = self._array("keys", np.array(node.keys, np.float64))
            factors = self._array("found", np.array(node.values_of, np.float64)[:, None] - node.default)
            rest = f" {'-' if node.default < 0 else '+'} {abs(node.default)}" if node.default else ""
            return f"({x} == {keys}) @ {factors}{rest}"
        raise TypeError(f"{node.layer}: to_numpy_source has no line for {type(node).__name__}")

    def _product(self, node: Product, x: str) -> str:
        (n_in, n_out), parts = node.w.shape[-2:], node.parts
        w = self._array("w", node.w if parts > 1 else node.w.reshape(n_in, n_out))
        b = "" if node.b is None else f" + {self._array('b', np.ravel(node.b))}"
        if parts == 1:
            return f"{x} @ {w}{b}"
        if node.w.ndim == 2:
            return f"({x}.reshape(len({x}), {parts}, {n_in}) @ {w}{b}).reshape(len({x}), {parts * n_out})"
        return f"({x}.reshape(len({x}), {parts}, 1, {n_in}) @ {w}).reshape(len({x}), {parts * n_out}){b}"

    def _written(self, part: Any, rank: int) -> str:
        """Return a formula as NumPy, in parentheses where what is around binds tighter."""
        if not isinstance(part, Term):
            return _number(part)
        if part.op == "variable":
            return str(part.parts[0])
        if part.op in "*/" and part.parts[1] == 1:
            return self._written(part.parts[0], rank)
        if part.op == "*" and part.parts[0] == 1:
            return self._written(part.parts[1], rank)
        own = _RANKS.get(part.op)
        if own is None:
            parts = ", ".join(self._written(each, 0) for each in part.parts)
            return f"{self._helper(part.op) if part.op in _HELPERS else f'np.{part.op}'}({parts})"
        if part.op == "negative":
            text = f"-{self._written(part.parts[0], own)}"
        else:  # to the right of - and / what binds as tight is in parentheses, too
            left, right = self._written(part.parts[0], own), self._written(part.parts[1], own + 1)
            text = f"{left} {part.op} {right}"
        return f"({text})" if own < rank else text


def _number(number: float) -> str:
    """Return digits that give the same number: few, of a whole number its own."""
    value = float(number)
    if not np.isfinite(value):
        return "np.nan" if np.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    if isinstance(number, np.float32):
        short = str(number)
        return short if np.float32(float(short)) == number else repr(value)
    is_short = not isinstance(number, np.floating) and value == int(value) and abs(value) < 1e6
    return str(int(value)) if is_short else repr(value)


def _array(array: Array) -> str:
    """Return an array as a call of np.array, in lines."""

    def rows(part: Array) -> str:
        if part.ndim > 1:
            return f"[{', '.join(rows(row) for row in part)}]"
        return f"[{', '.join(str(x) if array.dtype.kind == 'i' else _number(x) for x in part)}]"

    kind = "" if array.dtype.kind == "i" else f", np.{array.dtype.name}"
    text = f"np.array({rows(array)}{kind})"
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= _LINE:
            lines.append(line)
            line = ""
        line += (" " if line else "") + word
    return "\n    ".join([*lines, line])


def _named(title: str, variable: str, n: int, names: tuple[str, ...] | None) -> list[str]:
    if names is None:
        return [f"# {title}: {n} number{'s' * (n > 1)} in each row."]
    return [f"# {title}:", *(f"#     {variable}[:, {i}] {comment_text(name)}" for i, name in enumerate(names))]
