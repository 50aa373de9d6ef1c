"""A prediction as one file of C that needs nothing else: for microcontrollers, and wherever C can be compiled."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.checks import flag, shown
from fastnn.formats import safely
from fastnn.formats.c_functions import functions, new_name
from fastnn.formats.c_memory import Memory, Place, is_slice
from fastnn.formats.exact_graph import Bins, ExactGraph, Waves
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
from fastnn.formats.table_graph import Predictor, graph_of_numbers, refuse_tables
from fastnn.formats.unchanged import unchanged
from fastnn.network import Network

# What activations are called among the functions, where that is not their name in the table
_ACTIVATIONS = {
    "exponential": "real_exp", "sigmoid": "real_sigmoid", "tanh": "real_tanh", "silu": "real_silu",
    "mish": "real_mish", "quick_gelu": "real_quick_gelu", "tanh_shrink": "real_tanh_shrink",
    "softplus": "scaled_softplus",
}  # fmt: skip
_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept bitand bitor bool catch char16_t
char32_t char8_t class co_await co_return co_yield compl concept const_cast consteval constexpr constinit
decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr
operator or or_eq private protected public reflexpr reinterpret_cast requires static_assert static_cast
synchronized template this thread_local throw true try typeid typename typeof typeof_unqual using virtual
wchar_t xor xor_eq
"""
_FEW, _TERMS_OF_FEW = 3, 64  # up to so many outputs, of so many inputs for each, are sums of vectors in the library
_TERMS_OF_A_SUM = 1024  # sums of more inputs are sums of such blocks


class Footprint(NamedTuple):
    """What a net takes in C.

    Attributes
    ----------
    flash : int
        Bytes of constants; the code comes on top, some KB.
    ram : int
        Bytes that are written while it computes: static, or on the stack.
    """

    flash: int
    ram: int


@unchanged
def to_c(
    net: Network | Predictor, path: str | os.PathLike[str], *, name: str = "net", reentrant: bool = False
) -> Footprint:
    """Write what a model predicts as one file of C99, which needs no library: ``int net_predict(x, y)``.

    The file has the weights as constants, exact to the last bit, the functions that are needed, and says how many bytes
    of flash and RAM it takes. It includes four headers of the language and calls nothing, allocates nothing, and is
    also C++: as ``net.h`` it can be included in an Arduino sketch. The order of all sums is that of the library for one
    row: where neither side has fused multiply-adds (``FASTNN_ISA=baseline`` here, ``-ffp-contract=off`` there) the bits
    are the same. Otherwise the outputs differ by rounding.

    Parameters
    ----------
    net : Model, MLPClassifier or MLPRegressor
        Built, of layers of this package, or of your own with a ``_graph``. Of an estimator it gives what
        ``predict_proba`` does, or ``predict`` of a regressor; of those for tables `to_onnx` and `to_numpy_source` write
        what they do before and behind their nets.
    path : str or path-like
        Written as a whole, or not at all.
    name : str
        What all names in the file begin with: an identifier of C.
    reentrant : bool
        Whether the memory is on the stack, so that several threads or interrupts may call it; else it is static.

    Returns
    -------
    Footprint
        Bytes of ``flash`` for constants and of ``ram``.

    Raises
    ------
    TypeError
        For what is no model, and for a layer whose code is not known, with its name.
    ValueError
        For a model that is not built, an estimator that does more than a net does, and a name that is none in C or
        C++.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastnn
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(8, "relu"), Dense(3, "softmax")], seed=0).build(4)
    >>> fastnn.to_c(net, "net.c")
    Footprint(flash=288, ram=32)
    >>> text = Path("net.c").read_text()
    >>> "int net_predict(const float *x, float *y)" in text
    True
    """
    graph = graph_of_numbers("to_c", net, ExactGraph)
    refuse_tables("to_c", graph)
    writer = _Writer(graph, _identifier(name), flag("to_c: reentrant", reentrant))
    safely.replace(path, (part.encode("ascii") for part in chain((writer.head(),), writer.parts())))
    return Footprint(writer.flash, writer.ram)


def _identifier(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"to_c: name is {shown(name)}, expected an identifier of C such as 'net'")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or re.match("_[A-Z_]", name) or name in _KEYWORDS.split():
        raise ValueError(
            f"to_c: name is {name!r}, expected an identifier of C such as 'net': letters, digits and _, beginning with "
            "a letter, and no word of C or C++"
        )
    return name


def comment_text(text: str) -> str:
    r"""Return a text in quotation marks that can end no comment and begin nothing in one, in ASCII.

    What is not plain is written as in Python, ``\x2a``.
    """
    return f'"{"".join(map(_plain_or_escaped, text))}"'


def _plain_or_escaped(character: str) -> str:
    number = ord(character)
    if character.isascii() and character.isprintable() and character not in '*?\\"':
        return character
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def literal(value: float, double: bool) -> str:
    """Return a number in C, exactly: in hexadecimal."""
    if math.isnan(value):
        return f"({'double' if double else 'float'})NAN"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}({'double' if double else 'float'})INFINITY"
    mantissa, exponent = float(value).hex().split("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}p{exponent}{'' if double else 'f'}"


class _Writer:
    """The parts of one file."""

    def __init__(self, graph: Graph, name: str, reentrant: bool) -> None:
        self.graph, self.name, self.reentrant = graph, name, reentrant
        self.double = graph.dtype == np.float64
        self.real = "double" if self.double else "float"
        self.memory = Memory(graph)
        self.wanted: set[str] = set()
        self.arrays: dict[str, Array] = {}  # by their names
        self._known: dict[tuple[Any, ...], str] = {}
        self._counts: dict[str, int] = {}
        self._layer = ""
        self.lines = [line for node in graph.nodes for line in self._lines(node)]
        self.text, table_bytes = functions(sorted(self.wanted), self.double, name)
        self.flash = table_bytes + sum(array.nbytes for array in self.arrays.values())
        self.ram = self.memory.size * graph.dtype.itemsize

    # -- the file -----------------------------------------------------------------------------------------------------

    def head(self) -> str:
        """Return what a reader of the file needs to know, and what includes it."""
        graph, name, upper = self.graph, self.name, self.name.upper()
        where = "on the stack, so that several threads may call it" if self.reentrant else "static"
        inputs = _named("Inputs", "x", graph.x.n, graph.feature_names)
        meaning = "Outputs" if graph.gives in (None, "numbers") else f"Outputs, {graph.gives}"
        outputs = _named(meaning, "y", graph.y.n, graph.class_names)
        layers = "".join(f"\n *     {_plain(title)}" for title in dict.fromkeys(node.layer for node in graph.nodes))
        include_math = "#include <math.h> /* INFINITY and NAN alone */\n" if self._has_limits() else ""
        return f"""\
/* {name}_predict: what a neural network predicts for one row of numbers, written by fastnn.
 *
 *     {self.real} x[{upper}_N_IN], y[{upper}_N_OUT];
 *     {name}_predict(x, y); returns 0, or 1 where x or y is NULL
 *
{inputs}
{outputs}
 * Layers:{layers}
 *
 * Flash: {self.flash:,} bytes of constants, beside the code. RAM: {self.ram:,} bytes, {where}; and
 * some hundred bytes of stack. x and y must not overlap.
 *
 * The order of sums is that of fastnn for one row. Where neither side has fused multiply-adds (-ffp-contract=off) the
 * outputs have the same bits; else they differ by rounding. The same file is C++, and a header: where several sources
 * include it, define {upper}_API as static.
 */
#ifndef {upper}_INCLUDED
#define {upper}_INCLUDED

#include <float.h>
{include_math}#include <stddef.h>
#include <stdint.h>
#include <string.h> /* memcpy */

#ifdef __FAST_MATH__
#error "-ffast-math breaks the functions below: compile without it"
#endif
#ifndef {upper}_API
#define {upper}_API
#endif

#define {upper}_N_IN {graph.x.n}
#define {upper}_N_OUT {graph.y.n}
#define {upper}_FLASH_BYTES {self.flash}
#define {upper}_RAM_BYTES {self.ram}

#ifdef __cplusplus
extern "C" {{
#endif
{self._declared()};
#ifdef __cplusplus
}}
#endif

"""

    def parts(self) -> Iterator[str]:
        """Yield the rest of the file: functions, constants, and what calls the ones with the others."""
        upper = self.name.upper()
        if "MULTIPLY_ADD" in self.text or any("MULTIPLY_ADD" in line for line in self.lines):
            yield f"#define {upper}_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))\n\n"
        if f"{upper}_ROUNDED" in self.text:
            yield f"""\
/* A number that is rounded when it is assigned, also where registers are wider than it is. */
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define {upper}_ROUNDED {self.real}
#else
#define {upper}_ROUNDED volatile {self.real}
#endif

"""
        if self.text:
            yield self.text + "\n\n"
        for name, array in self.arrays.items():
            yield from self._array(name, array)
        kind = "" if self.reentrant else "static "
        memory = f"    {kind}{self.real} memory[{self.memory.size}];\n" if self.memory.size else ""
        body = "".join(f"    {line}\n" for line in self.lines)
        yield f"{self._declared()} {{\n{memory}    if (!x || !y) return 1;\n{body}    return 0;\n}}\n\n#endif\n"

    def _declared(self) -> str:
        return f"{self.name.upper()}_API int {self.name}_predict(const {self.real} *x, {self.real} *y)"

    def _has_limits(self) -> bool:
        return bool(re.search(r"\b(INFINITY|NAN)\b", "".join((self.text, *self.lines)))) or any(
            not np.isfinite(array).all() for array in self.arrays.values()
        )

    def _array(self, name: str, array: Array) -> Iterator[str]:
        kind = self.real if array.dtype.kind == "f" else f"{array.dtype.name}_t"
        yield f"static const {kind} {name}[{array.size}] = {{\n"
        a_line = 4 if array.dtype == np.float64 else 6 if array.dtype == np.float32 else 16
        for begin in range(0, array.size, a_line):
            numbers = array[begin : begin + a_line].tolist()
            yield f"    {', '.join(self._number(number) for number in numbers)},\n"
        yield "};\n\n"

    def _number(self, number: float | int) -> str:
        return literal(number, self.double) if isinstance(number, float) else str(number)

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _call(self, function: str) -> str:
        """Return what a function is called in the file, and have it there."""
        self.wanted.add(function)
        return new_name(function, self.name)

    def _constants(self, kind: str, array: Array | None, dtype: Any = None) -> str:
        """Return what an array of constants is called in the file, and have it there, once."""
        if array is None:
            return "NULL"
        own = np.ascontiguousarray(array, self.graph.dtype if dtype is None else dtype).reshape(-1)
        key = own.dtype, own.size, blake2b(own.tobytes()).digest()
        found = self._known.get(key)
        if found is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            found = self._known[key] = f"{self.name}_{kind}_{self._counts[kind]}"
            self.arrays[found] = own
        return found

    def _lines(self, node: Node) -> Iterator[str]:
        """Yield the statements of a node."""
        if node.y.name in self.memory.views:
            return
        if node.layer != self._layer:
            yield f"/* {_plain(node.layer)} */"
            self._layer = node.layer
        places = self.memory.places
        x, *others = (places[value.name] for value in inputs_of(node))
        y, n = places[node.y.name], node.y.n
        if isinstance(node, Product):
            yield from self._product(node, x, y)
        elif isinstance(node, IntegerProduct):
            yield self._integer_product(node, x, y)
        elif isinstance(node, Scale):
            yield from self._scale(node, x, y)
        elif isinstance(node, Elementwise):
            yield self._each(y, n, self._activation(node, x))
        elif isinstance(node, PRelu):
            if is_uniform(node.slope):
                slope = literal(float(node.slope[0]), self.double)
                yield self._each(y, n, f"{self._call('leaky_relu')}({x.at('i')}, {slope})")
            else:
                yield f"{self._call('prelu')}({x}, {self._constants('slopes', node.slope)}, {y}, {n});"
        elif isinstance(node, Clip):
            low, high = self._constants("bounds", node.low), self._constants("bounds", node.high)
            yield f"{self._call('clip')}({x}, {low}, {high}, {y}, {n});"
        elif isinstance(node, Fill):
            replacements = self._constants("replacements", node.replacement)
            yield f"{self._call('fill')}({x}, {others[0]}, {replacements}, {y}, {n});"
        elif isinstance(node, RowNorm):
            own = [self._constants("factors", node.scale)]
            if node.shift is not None:
                own.append(self._constants("offsets", node.shift))
            function = self._call("layer_norm" if node.centered else "rms_norm")
            yield f"{function}({x}, {', '.join(own)}, {literal(float(node.eps), True)}, {y}, {n});"
        elif isinstance(node, Softmax):
            part = n // node.parts
            yield self._parts_of(node.parts, f"{self._call(node.form)}({{}}, {{}}, {part});", (x, part), (y, part))
        elif isinstance(node, Columns):
            yield from self._columns(node, x, y)
        elif isinstance(node, Embedding):
            table = self._constants("table", node.table)
            yield f"{self._call('embedding')}({x.at(node.column)}, {table}, {len(node.table) - 1}, {y}, {n});"
        elif isinstance(node, OneHot):
            yield f"{self._call('one_hot')}({x.at(node.column)}, {node.codes}, {y}, {n});"
        elif isinstance(node, Concat):
            for value in node.values:
                yield f"memcpy({y}, {places[value.name]}, {value.n} * sizeof({self.real}));"
                y = y.behind(value.n)
        elif isinstance(node, Sum):
            for other in others:
                yield f"{self._call('add')}({x}, {other}, {y}, {n});"
                x = y
        elif isinstance(node, Multiply):
            yield f"{self._call('multiply')}({x}, {others[0]}, {y}, {n});"
        elif isinstance(node, Reduce):
            function = self._call("mean_of_parts" if node.how == "mean" else "largest_of_parts")
            yield f"{function}({x}, {y}, {node.parts}, {n});"
        elif isinstance(node, Waves):
            yield self._waves(node, x, y)
        elif isinstance(node, Bins):
            yield self._bins(node, x, y)
        else:
            raise TypeError(f"{node.layer}: to_c has no C for {type(node).__name__}")

    def _each(self, y: Place, n: int, value: str) -> str:
        return f"for (size_t i = 0; i < {n}; i++) {y.at('i')} = {value};"

    def _parts_of(self, parts: int, call: str, *arguments: tuple[Place | str, int]) -> str:
        """Return a call, or a loop of calls for equal parts, of arguments with what lies between two parts."""
        if parts == 1:
            return call.format(*(argument for argument, _ in arguments))
        each = (f"{argument} + {step} * i" if step else f"{argument}" for argument, step in arguments)
        return f"for (size_t i = 0; i < {parts}; i++) {call.format(*each)}"

    def _product(self, node: Product, x: Place, y: Place) -> Iterator[str]:
        n_in, n_out = node.w.shape[-2:]
        is_own = node.w.ndim == 3
        w, b = self._constants("weights", np.swapaxes(node.w, -1, -2)), self._constants("biases", node.b)
        is_few = n_out <= _FEW and n_in >= _TERMS_OF_FEW * n_out
        function = "dense_of_few" if is_few else "dense_of_many" if n_in > _TERMS_OF_A_SUM else "dense"
        call = f"{self._call(function)}({{}}, {{}}, {{}}, {{}}, {n_in}, {n_out});"
        own_w, own_b = (n_in * n_out, n_out) if is_own else (0, 0)
        yield self._parts_of(node.parts, call, (x, n_in), (w, own_w), (b, 0 if node.b is None else own_b), (y, n_out))

    def _integer_product(self, node: IntegerProduct, x: Place, y: Place) -> str:
        inverse = literal(float(1 / self.graph.dtype.type(node.step)), self.double)
        w, n_in, n_out = self._constants("weights", node.w, np.int8), *node.w.shape
        scale, b = self._constants("factors", node.scale), self._constants("biases", node.b)
        numbers = f"{inverse}, {node.zero}, {n_in}, {n_out}"
        return f"{self._call('dense_of_integers')}({x}, {w}, {scale}, {b}, {y}, {numbers});"

    def _waves(self, node: Waves, x: Place, y: Place) -> str:
        n, k = node.w.shape
        w, c = self._constants("frequencies", node.w), self._constants("phases", node.c)
        call = f"{self._call('waves_of')}({{}}, {{}}, {{}}, {{}}, {k});"
        return self._parts_of(n, call, (x, 1), (w, k), (c, 0 if node.c is None else k), (y, 2 * k))

    def _bins(self, node: Bins, x: Place, y: Place) -> str:
        n, bins, d = node.v.shape
        own = [("edges", node.edges), ("weights", node.w), ("biases", node.b), ("bins", node.v)]
        arrays = [(self._constants(kind, array), array.size // n) for kind, array in own]
        call = f"{self._call('bins')}({{}}, {{}}, {{}}, {{}}, {{}}, {{}}, {bins}, {d});"
        return self._parts_of(n, call, (x, 1), *arrays, (y, d))

    def _scale(self, node: Scale, x: Place, y: Place) -> Iterator[str]:
        factor, offset, n = node.factor, node.offset, node.y.n
        if all(own is None or is_uniform(own) for own in (factor, offset)):
            number, shift = ("" if own is None else literal(float(own[0]), self.double) for own in (factor, offset))
            value = x.at("i")
            if number and shift:
                value = f"{self.name.upper()}_MULTIPLY_ADD({value}, {number}, {shift})"
            else:
                value = f"{value} * {number}" if number else f"{value} + {shift}"
            yield self._each(y, n, value)
            return
        factors, offsets = self._constants("factors", factor), self._constants("offsets", offset)
        yield f"{self._call('scale')}({x}, {factors}, {offsets}, {y}, {n});"

    def _activation(self, node: Elementwise, x: Place) -> str:
        if node.name == "identity":
            return x.at("i")
        constants = "".join(f", {literal(float(own), self.double)}" for own in self._rounded(node.constants))
        return f"{self._call(_ACTIVATIONS.get(node.name, node.name))}({x.at('i')}{constants})"

    def _rounded(self, numbers: tuple[float, ...]) -> list[float]:
        rounded: list[float] = np.array(numbers, self.graph.dtype).tolist()
        return rounded

    def _columns(self, node: Columns, x: Place, y: Place) -> Iterator[str]:
        n = node.y.n
        if is_slice(node):  # the outputs
            yield f"memcpy({y}, {x.behind(int(node.index[0]))}, {n} * sizeof({self.real}));"
            return
        kind = next(kind for kind in ("uint8", "uint16", "uint32") if node.x.n - 1 <= np.iinfo(kind).max)
        index = self._constants("columns", node.index, kind)
        yield self._each(y, n, x.at(f"{index}[i]"))


def is_uniform(array: Array) -> bool:
    """Whether an array is one number, more than once."""
    return array.size > 1 and bool((array == array[0]).all()) and not (array == 0).any()


def _plain(text: str) -> str:
    return comment_text(text)[1:-1]


def _named(title: str, variable: str, n: int, names: tuple[str, ...] | None) -> str:
    """Return lines of a comment that say what the inputs or outputs are."""
    if names is None:
        return f" * {title}: {n} number{'s' * (n > 1)}."
    return f" * {title}:" + "".join(f"\n *     {variable}[{i}] {comment_text(name)}" for i, name in enumerate(names))
