"""ONNX's operators: what a graph of them is put together from, and activations in those that onnxruntime has.

Its kernels for processors know fewer operators in float64 than in float32 (no Erf, Elu, Softplus ...): in float64
activations are their formulas, in operators that both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.formats.formulas import FORMULAS

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET, IR_VERSION = 17, 8  # of 2022: what runtimes of the years since then load
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3


def onnx_package() -> Any:
    """Return the package onnx.

    Raises
    ------
    ImportError
        Where it is not installed, with what to type.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX needs the package onnx: pip install 'fastnn-numpy[onnx]'") from error
    return onnx


class Operand:
    """A value of an ONNX graph: the operators of Python add nodes to it."""

    __slots__ = ("name", "to")
    __array_priority__ = 1000

    def __init__(self, name: str, to: Operators) -> None:
        self.name, self.to = name, to

    def __add__(self, other: Any) -> Operand:
        return self.to.op("Add", self, other)

    def __radd__(self, other: Any) -> Operand:
        return self.to.op("Add", other, self)

    def __sub__(self, other: Any) -> Operand:
        return self.to.op("Sub", self, other)

    def __mul__(self, other: Any) -> Operand:
        return self.to.op("Mul", self, other)

    def __rmul__(self, other: Any) -> Operand:
        return self.to.op("Mul", other, self)

    def __truediv__(self, other: Any) -> Operand:
        return self.to.op("Div", self, other)

    def __rtruediv__(self, other: Any) -> Operand:
        return self.to.op("Div", other, self)

    def __neg__(self) -> Operand:
        return self.to.op("Neg", self)

    def __gt__(self, other: Any) -> Operand:
        return self.to.op("Greater", self, other)

    def __lt__(self, other: Any) -> Operand:
        return self.to.op("Less", self, other)

    def __ge__(self, other: Any) -> Operand:
        return self.to.op("GreaterOrEqual", self, other)

    def __le__(self, other: Any) -> Operand:
        return self.to.op("LessOrEqual", self, other)


class Operators:
    """The nodes and numbers of an ONNX graph, and its elementary functions, of which formulas are made.

    Parameters
    ----------
    dtype : dtype
        float32 or float64: of numbers.

    Attributes
    ----------
    nodes : list of NodeProto
    numbers : list of TensorProto
        What ONNX calls initializers.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._onnx = onnx_package()
        self.dtype = dtype
        self.nodes: list[NodeProto] = []
        self.numbers: list[TensorProto] = []
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], str] = {}
        self._names: set[str] = set()
        self.prefix = ""

    def name(self, wish: str) -> str:
        """Return a name that no other value has."""
        found, n = wish, 0
        while found in self._names:
            n += 1
            found = f"{wish}_{n}"
        self._names.add(found)
        return found

    def rename(self, value: Operand, name: str) -> Operand:
        """Call a value that a node makes by another name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, own in enumerate(names):
                    if own == value.name:
                        names[i] = name
        return Operand(name, self)

    def array(self, array: Any, wish: str = "constant") -> Operand:
        """Return an array as it is, of numbers or texts: equal ones once."""
        given = np.asarray(array)
        if given.dtype.kind in "OU":
            given = given.astype(object)
            key = "texts", repr(given.tolist()).encode(), given.shape
        else:
            given = np.asarray(given, order="C")
            key = str(given.dtype), given.tobytes() if given.nbytes < 4096 else b"", given.shape
        found = self._constants.get(key) if key[1] else None
        if found is None:
            found = self.name(f"{self.prefix}{wish}")
            self._constants[key] = found
            self.numbers.append(self._onnx.numpy_helper.from_array(given, found))
        return Operand(found, self)

    def real(self, array: Any, wish: str = "constant") -> Operand:
        """Return an array in the dtype of the graph."""
        return self.array(np.asarray(array, self.dtype), wish)

    def integers(self, *sizes: int) -> Operand:
        """Return whole numbers, such as the sizes of a shape."""
        return self.array(np.array(sizes, np.int64), "sizes")

    def op(self, kind: str, *inputs: Any, domain: str = "", unused: int = 0, **attributes: Any) -> Operand:
        """Add a node and return what it makes first; numbers among its inputs become constants."""
        names = [one.name if isinstance(one, Operand) else self.real(one).name for one in inputs]
        made = [self.name(f"{self.prefix}{kind.lower()}") for _ in range(1 + unused)]
        self.nodes.append(self._onnx.helper.make_node(kind, names, made, name=made[0], domain=domain, **attributes))
        return Operand(made[0], self)

    # -- shapes -------------------------------------------------------------------------------------------------------

    def in_parts(self, x: Operand, parts: int, n: int) -> Operand:
        """Return x (rows, parts * n) as (rows, parts, n): a size of 0 is that of x."""
        return self.op("Reshape", x, self.integers(0, parts, n))

    def side_by_side(self, x: Operand, n: int) -> Operand:
        """Return x (rows, parts, n / parts) as (rows, n)."""
        return self.op("Reshape", x, self.integers(0, n))

    def columns(self, x: Operand, index: Sequence[int]) -> Operand:
        """Return columns of x."""
        return self.op("Gather", x, self.array(np.asarray(index, np.int64), "columns"), axis=1)

    # -- elementary functions, see formulas.ELEMENTARY ----------------------------------------------------------------

    def abs(self, x: Any) -> Operand:
        return self.op("Abs", x)

    def sqrt(self, x: Any) -> Operand:
        return self.op("Sqrt", x)

    def exp(self, x: Any) -> Operand:
        return self.op("Exp", x)

    def expm1(self, x: Any) -> Operand:
        """tanh(x / 2) (e^x + 1), which has no difference that cancels."""
        return self.tanh(0.5 * x) * (self.exp(x) + 1)

    def log1p(self, x: Any) -> Operand:
        """X log(u) / (u - 1), u = 1 + x, and x where that is 1 (Kahan): what u has lost is lost twice."""
        u = x + 1
        lost = u - 1
        return self.where(lost <= 0, x, x * self.op("Log", u) / lost)

    def tanh(self, x: Any) -> Operand:
        return self.op("Tanh", x)

    def sigmoid(self, x: Any) -> Operand:
        """That of float64 in onnxruntime is 0 from about -37 on, and has an absolute error."""
        if self.dtype == np.float32:
            return self.op("Sigmoid", x)
        e = self.exp(-self.abs(x))
        return self.where(x < 0, e, 1) / (1 + e)

    def sin(self, x: Any) -> Operand:
        return self.op("Sin", x)

    def cos(self, x: Any) -> Operand:
        return self.op("Cos", x)

    def maximum(self, x: Any, z: Any) -> Operand:
        return self.op("Max", x, z)

    def minimum(self, x: Any, z: Any) -> Operand:
        return self.op("Min", x, z)

    def where(self, condition: Any, x: Any, z: Any) -> Operand:
        return self.op("Where", condition, x, z)

    def erfc(self, x: Any) -> Operand:
        return _erfc(self, x) if self.dtype == np.float64 else 1 + -self.op("Erf", x)

    # -- activations --------------------------------------------------------------------------------------------------

    def activation(self, x: Operand, name: str, constants: tuple[float, ...]) -> Operand:
        """Return an activation of single numbers: one operator where there is one that is as exact."""
        native = _BOTH.get(name) or (_FLOAT32.get(name) if self.dtype == np.float32 else None)
        if native is not None:
            kind, names = native
            attributes: dict[str, Any] = dict(zip(names, constants, strict=True))
            return self.op(kind, x, **attributes)
        found: Operand = FORMULAS[name](self, x, *constants)
        return found


_BOTH: dict[str, tuple[str, tuple[str, ...]]] = {
    "identity": ("Identity", ()),
    "relu": ("Relu", ()),
    "tanh": ("Tanh", ()),
    "exponential": ("Exp", ()),
}
_FLOAT32: dict[str, tuple[str, tuple[str, ...]]] = {  # also because attributes are numbers of float32
    "leaky_relu": ("LeakyRelu", ("alpha",)),
    "elu": ("Elu", ("alpha",)),
    "celu": ("Celu", ("alpha",)),
    "selu": ("Selu", ()),
    "sigmoid": ("Sigmoid", ()),
    "softsign": ("Softsign", ()),
    "hard_sigmoid": ("HardSigmoid", ("alpha", "beta")),
    "hard_swish": ("HardSwish", ()),
}

# Rational approximations of erf and erfc in three ranges (Cody 1969, as in Netlib's calerf), highest powers first
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip
_ONE_OVER_ROOT_PI = 0.56418958354775628695


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], z: Operand) -> Operand:
    made = []
    for own in coefficients:
        total: Any = own[0]
        for coefficient in own[1:]:
            total = total * z + coefficient
        made.append(total)
    ratio: Operand = made[0] / made[1]
    return ratio


def _erfc(f: Operators, x: Operand) -> Operand:
    """erfc(x) from what onnxruntime has in float64."""
    size = f.abs(x)
    near = f.minimum(size, 0.46875)
    middle = f.minimum(f.maximum(size, 0.46875), 4)
    far = f.minimum(f.maximum(size, 4), 30)
    inverse = 1 / (far * far)
    of_near = near * _ratio(_NEAR, near * near)
    of_middle = f.exp(-(middle * middle)) * _ratio(_MIDDLE, middle)
    of_far = f.exp(-(far * far)) / far * (-(inverse * _ratio(_FAR, inverse)) + _ONE_OVER_ROOT_PI)
    tail = f.where(size <= 0.46875, -of_near + 1, f.where(size <= 4, of_middle, of_far))
    return f.where(x < 0, -tail + 2, tail)
