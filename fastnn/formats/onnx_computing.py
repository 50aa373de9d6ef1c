"""ONNX's operators of single numbers and of rows, in NumPy: for constants, and to see what a group of them computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.formulas import FORMULAS, Numpy

_erf = np.frompyfunc(math.erf, 1, 1)


def _clip(x: Any, low: Any = None, high: Any = None, **given: Any) -> Any:
    low, high = given.get("min", low), given.get("max", high)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axes=None, **_: function(x, axis=-1, keepdims=True)


def _of(name: str, *constants: str, **defaults: float) -> Callable[..., Any]:
    return lambda x, **own: FORMULAS[name](Numpy, x, *(own.get(c, defaults.get(c)) for c in constants))


def _softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# By operator: functions of inputs and attributes
COMPUTED: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": lambda x, z: x / z, "Pow": np.power,
    "Neg": np.negative, "Abs": np.abs, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log, "Sign": np.sign,
    "Reciprocal": lambda x: 1 / x, "Floor": np.floor, "Sin": np.sin, "Cos": np.cos,
    "Erf": lambda x: np.asarray(_erf(np.asarray(x, np.float64)), np.float64), "Tanh": np.tanh,
    "Sigmoid": Numpy.sigmoid, "Relu": lambda x: np.maximum(x, 0),
    "Softplus": _of("softplus", "alpha", alpha=1.0), "Softsign": _of("softsign"), "HardSwish": _of("hard_swish"),
    "LeakyRelu": _of("leaky_relu", "alpha", alpha=0.01), "Elu": _of("elu", "alpha", alpha=1.0),
    "HardSigmoid": _of("hard_sigmoid", "alpha", "beta", alpha=0.2, beta=0.5), "Mish": _of("mish"),
    "Max": lambda *x: np.maximum.reduce(np.broadcast_arrays(*x)) if len(x) > 1 else x[0],
    "Min": lambda *x: np.minimum.reduce(np.broadcast_arrays(*x)) if len(x) > 1 else x[0],
    "Clip": _clip, "Where": np.where, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "Equal": np.equal, "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not,
    "IsNaN": np.isnan,
}  # fmt: skip
COMPUTED["Cast"] = lambda x, to, **_: np.asarray(x).astype(bool if to == 9 else np.float64)  # of conditions
OF_ROWS: dict[str, Callable[..., Any]] = {
    "ReduceMean": _reduced(np.mean),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceSumSquare": _reduced(lambda x, **own: np.square(x).sum(**own)),
    "ReduceL2": _reduced(lambda x, **own: np.sqrt(np.square(x).sum(**own))),
    "Softmax": _softmax,
}


def compute(op: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Array:
    """Return what an operator makes of arrays."""
    function = COMPUTED.get(op) or OF_ROWS[op]
    if isinstance(function, np.ufunc) and len(inputs) != function.nin:  # one more would be written to
        raise ValueError(f"operator {op} has {len(inputs)} inputs, expected {function.nin}")
    if op in ("Clip", "Where") or not isinstance(function, np.ufunc):
        without = ("axes", "keepdims", "noop_with_empty_axes")
        own = {name: value for name, value in attributes.items() if name not in without}
        return np.asarray(function(*inputs, **own))
    return np.asarray(function(*inputs))
