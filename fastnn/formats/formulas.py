"""Activations of single numbers as formulas, of which NumPy, C or the operators of another format make what they need.

A formula is a function of ``(f, x, *constants)``. ``f`` has the elementary functions, ``x`` the operators + - * / and
comparisons: with `Numpy` and an array it is computed, with `Names` and ``Term("x")`` it becomes a tree that can be
written down in another language, and whoever has operators of his own passes those.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Formula = Callable[..., Any]

# What `f` has to offer; of one number, but for the last ones
ELEMENTARY = (
    "abs", "sqrt", "exp", "expm1", "log1p", "tanh", "sigmoid", "erfc", "sin", "cos", "maximum", "minimum", "where",
)  # fmt: skip

_FAR = 1000.0  # silu and mish have reached their limits there: bounded by it, an infinite x gives them, and not 0 * inf
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_TANH_SHRINK = (1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925, -21844 / 6081075)


def _softplus(f: Any, x: Any) -> Any:
    return f.maximum(x, 0) + f.log1p(f.exp(-f.abs(x)))


def _squareplus(f: Any, x: Any, b: float) -> Any:
    """The root of x^2 + b is taken of what is at most 1, so that squares do not overflow."""
    size, root = f.abs(x), math.sqrt(b)
    most, least = f.maximum(size, root), f.minimum(size, root)
    part = f.where(size > 3e38, 0, least / most)
    large = 0.5 * (size + most * f.sqrt(1 + part * part))
    return f.where(x > 0, large, 0.25 * b / large)


def _hard_swish(f: Any, x: Any) -> Any:
    between = f.minimum(f.maximum(x, -3), 3)
    return f.where(x >= 3, x, between * (between + 3) / 6)


def _sparse_plus(f: Any, x: Any) -> Any:
    between = f.minimum(f.maximum(x, -1), 1) + 1
    return f.where(x >= 1, x, 0.25 * between * between)


def _tanh_shrink(f: Any, x: Any) -> Any:
    """X - tanh(x), for small x by its series, where the difference would cancel."""
    small = f.minimum(f.maximum(x, -1), 1)
    z = small * small
    series = _TANH_SHRINK[-1] * z
    for factor in reversed(_TANH_SHRINK[:-1]):
        series = (factor + series) * z
    return f.where(f.abs(x) < 0.1, small * series, x - f.tanh(x))


def _gelu_tanh(f: Any, x: Any) -> Any:
    u = math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)
    return 0.5 * x * (1 + f.tanh(u))


def _snake(f: Any, x: Any, alpha: float) -> Any:
    wave = f.sin(alpha * x)
    return x + wave * wave / alpha


# By the names of the table of activations, with constants in its order; "cosine" is that of periodic embeddings.
FORMULAS: dict[str, Formula] = {
    "identity": lambda f, x: x,
    "relu": lambda f, x: f.maximum(x, 0),
    "relu6": lambda f, x: f.minimum(f.maximum(x, 0), 6),
    "leaky_relu": lambda f, x, alpha: f.where(x > 0, x, alpha * x),
    "threshold": lambda f, x, alpha, beta: f.where(x <= alpha, beta, x),
    "elu": lambda f, x, alpha: f.where(x > 0, x, alpha * f.expm1(f.minimum(x, 0))),
    "celu": lambda f, x, alpha: f.where(x > 0, x, alpha * f.expm1(f.minimum(x, 0) / alpha)),
    "selu": lambda f, x: f.where(x > 0, _SELU_SCALE * x, (_SELU_SCALE * _SELU_ALPHA) * f.expm1(f.minimum(x, 0))),
    "gelu": lambda f, x: 0.5 * x * f.erfc(-math.sqrt(0.5) * x),
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": lambda f, x: f.maximum(x, -_FAR) * f.sigmoid(1.702 * x),
    "silu": lambda f, x: f.maximum(x, -_FAR) * f.sigmoid(x),
    "hard_swish": _hard_swish,
    "mish": lambda f, x: f.maximum(x, -_FAR) * f.tanh(_softplus(f, x)),
    "softplus": lambda f, x, alpha: _softplus(f, alpha * x) / alpha,
    "softplus_threshold": lambda f, x, alpha, beta: f.where(alpha * x > beta, x, _softplus(f, alpha * x) / alpha),
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "exponential": lambda f, x: f.exp(x),
    "sigmoid": lambda f, x: f.sigmoid(x),
    "log_sigmoid": lambda f, x: -_softplus(f, -x),
    "hard_sigmoid": lambda f, x, alpha, beta: f.minimum(f.maximum(alpha * x + beta, 0), 1),
    "tanh": lambda f, x: f.tanh(x),
    "hard_tanh": lambda f, x, alpha, beta: f.minimum(f.maximum(x, alpha), beta),
    "tanh_shrink": _tanh_shrink,
    "lisht": lambda f, x: x * f.tanh(x),
    "softsign": lambda f, x: x / (1 + f.abs(x)),
    "hard_shrink": lambda f, x, alpha: f.where(f.abs(x) <= alpha, 0, x),
    "soft_shrink": lambda f, x, alpha: f.maximum(x - alpha, 0) + f.minimum(x + alpha, 0),
    "sine": lambda f, x, alpha: f.sin(alpha * x),
    "cosine": lambda f, x: f.cos(x),
    "snake": _snake,
}


class Numpy:
    """The elementary functions of NumPy: a formula of arrays is computed in their dtype."""

    abs, sqrt, exp, expm1, log1p, tanh = np.abs, np.sqrt, np.exp, np.expm1, np.log1p, np.tanh
    sin, cos, maximum, minimum, where = np.sin, np.cos, np.maximum, np.minimum, np.where
    _erfc = staticmethod(np.frompyfunc(math.erfc, 1, 1))

    @staticmethod
    def sigmoid(x: Any) -> Any:
        e = np.exp(-np.abs(x))  # it never overflows
        return np.where(x < 0, e, np.ones_like(e)) / (1 + e)

    @classmethod
    def erfc(cls, x: Any) -> Any:
        return np.asarray(cls._erfc(x.astype(np.float64)), x.dtype)


class Term:
    """A formula as a tree: the name of a variable, or an operation of terms and numbers.

    Attributes
    ----------
    op : str
        A name, of `ELEMENTARY`, "+", "-", "*", "/", "negative", ">", "<", ">=", "<=", or "variable".
    parts : tuple
        Terms and floats that it is of; of a variable its name.
    """

    __slots__ = ("op", "parts")
    __array_priority__ = 1000

    def __init__(self, op: str, *parts: Any) -> None:
        self.op, self.parts = op, tuple(float(p) if isinstance(p, (int, float)) else p for p in parts)

    @classmethod
    def variable(cls, name: str) -> Term:
        """Return a variable of that name."""
        return cls("variable", name)

    def __add__(self, other: Any) -> Term:
        return Term("+", self, other)

    def __radd__(self, other: Any) -> Term:
        return Term("+", other, self)

    def __sub__(self, other: Any) -> Term:
        return Term("-", self, other)

    def __rsub__(self, other: Any) -> Term:
        return Term("-", other, self)

    def __mul__(self, other: Any) -> Term:
        return Term("*", self, other)

    def __rmul__(self, other: Any) -> Term:
        return Term("*", other, self)

    def __truediv__(self, other: Any) -> Term:
        return Term("/", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return Term("/", other, self)

    def __neg__(self) -> Term:
        return Term("negative", self)

    def __gt__(self, other: Any) -> Term:
        return Term(">", self, other)

    def __lt__(self, other: Any) -> Term:
        return Term("<", self, other)

    def __ge__(self, other: Any) -> Term:
        return Term(">=", self, other)

    def __le__(self, other: Any) -> Term:
        return Term("<=", self, other)


class Names:
    """Elementary functions that make terms."""

    def __getattr__(self, name: str) -> Callable[..., Term]:
        if name not in ELEMENTARY:
            raise AttributeError(name)
        return lambda *parts: Term(name, *parts)


def term(name: str, constants: tuple[float, ...], x: str = "x") -> Term:
    """Return an activation as a tree, of a variable."""
    found: Term = FORMULAS[name](Names(), Term.variable(x), *constants)
    return found
