"""What a group of ONNX's operators computes: an activation or a normalization, told by its values.

Exporters write the same activation in many ways. Whatever they are, a group that depends on one array alone and on
single numbers is computed for some numbers and compared with what this library has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.formulas import FORMULAS, Numpy
from fastnn.formats.onnx_computing import COMPUTED, OF_ROWS, compute
from fastnn.formats.onnx_steps import Step
from fastnn.layers.activation import BY_NAME, Activation

_MOST_STEPS, _MOST_CONSTANTS, _FAR = 200, 6, 14
_TOLERANCE = 3e-6
ENDS = frozenset(  # of groups; others are what they are
    ("Add", "Sub", "Mul", "Div", "Neg", "Log", "Where", "Max", "Min", "Clip", "Softmax", "Sqrt", "Pow", "Exp", "Relu")
)


def _sample() -> Array:
    rng = np.random.default_rng(0)
    wide, small = rng.normal(0, 3, (40, 7)), rng.normal(0, 0.1, (10, 7))
    return np.concatenate([wide, np.linspace(-9, 9, 70).reshape(10, 7), small])


X = _sample()
Found = tuple[type, tuple[Any, ...], dict[str, Any]]  # a class of layers, and what it is made with


def recognized(step: Step, before: dict[Step, Step | None]) -> tuple[Found | None, Step] | None:
    """Return the layer that a step ends, with the step that it reads: the largest group that is one.

    `before` says of each step which one all that it reads follows from. A layer of None is the identity.
    """
    if step.op not in ENDS:
        return None
    found, start = None, before[step]
    for _ in range(_FAR):
        if start is None:
            break
        group = _group(step, start)
        if group is None:
            break
        if start.shape == step.shape:
            layer = _layer_of(step, start, group)
            if layer is not None:
                found = (layer[0], start)
        start = before[start]
    return found


def _group(step: Step, start: Step) -> list[Step] | None:
    """Return the steps between, each behind what it reads; None where there are others than those of single numbers."""
    order: list[Step] = []
    seen, todo = {start}, [(step, False)]
    while todo:
        one, is_done = todo.pop()
        if is_done:
            order.append(one)
        elif one not in seen:
            seen.add(one)
            if len(seen) > _MOST_STEPS or (one.op not in COMPUTED and one.op not in OF_ROWS and one.op != "Shaped"):
                return None
            if one.op in OF_ROWS and len(one.shape) != 1:
                return None
            if any(isinstance(value, np.ndarray) and value.size != 1 and one.op not in OF_ROWS for value in one.inputs):
                return None
            todo.append((one, True))
            todo += [(own, False) for own in one.steps()]
    return order


def _layer_of(step: Step, start: Step, group: list[Step]) -> tuple[Found | None] | None:
    values: dict[Step, Any] = {start: X}
    constants: list[float] = []
    of_rows = False
    try:
        with np.errstate(all="ignore"):
            for one in group:
                if one.op == "Shaped":
                    values[one] = values[one.inputs[0]]
                    continue
                given = []
                for value in one.inputs:
                    if isinstance(value, Step):
                        given.append(values[value])
                        continue
                    is_number = isinstance(value, np.ndarray) and one.op not in OF_ROWS
                    given.append(value.reshape(()) if is_number else value)
                    if is_number and value.dtype.kind == "f":
                        constants.append(float(given[-1]))
                constants += [own for own in one.attributes.values() if isinstance(own, float)]
                if one.op == "Softmax" and one.attributes.get("axis", -1) not in (1, -1):
                    return None
                attributes = {} if one.op == "Softmax" else one.attributes
                values[one] = compute(one.op, given, attributes)
                of_rows = of_rows or one.op in OF_ROWS
    except (ValueError, TypeError, IndexError, FloatingPointError, KeyError):
        return None
    y = np.broadcast_to(np.asarray(values[step], np.float64), X.shape) if np.ndim(values[step]) <= 2 else None
    if y is None or not np.isfinite(y).all():
        return None
    if not of_rows and _same(y, X):
        return (None,)
    numbers = [*dict.fromkeys(constants)][:_MOST_CONSTANTS]
    numbers = [*dict.fromkeys((*numbers, *(number * number for number in numbers)))]
    for found, expected in _of_rows(numbers) if of_rows else _of_numbers(numbers):
        if _same(y, expected):
            return (found,)
    return None


def _same(y: Array, expected: Array) -> bool:
    return bool((np.abs(y - expected) <= _TOLERANCE * (1 + np.abs(expected))).all())


def _of_numbers(numbers: list[float]) -> Iterator[tuple[Found, Array]]:
    from fastnn.layers.smooth import GELU, Softplus

    with np.errstate(all="ignore"):
        yield (GELU, ("tanh",), {}), FORMULAS["gelu_tanh"](Numpy, X)
        later: list[tuple[type, tuple[float, ...]]] = []
        for kind in dict.fromkeys(BY_NAME.values()):
            name = kind.kernel
            if name not in FORMULAS or name == "identity":
                continue
            layer = kind()
            assert isinstance(layer, Activation)
            constants = [float(cell[0]) for cell in layer._constants()]
            yield (kind, (), {}), FORMULAS[name](Numpy, X, *constants)
            if len(constants) == 1:
                later += [(kind, (number,)) for number in numbers]
            elif len(constants) == 2:
                later += [(kind, (a, b)) for a in numbers for b in numbers]
        later += [(Softplus, (a, b)) for a in numbers for b in numbers]
        for kind, given in later:
            try:
                layer = kind(*given)
            except ValueError:
                continue
            yield (kind, given, {}), FORMULAS[layer.kernel](Numpy, X, *given)


def _of_rows(numbers: list[float]) -> Iterator[tuple[Found, Array]]:
    from fastnn.layers.normalization import LayerNorm, RMSNorm
    from fastnn.layers.of_rows import LogSoftmax, Softmax, Softmin

    def softmax(x: Array) -> Array:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    yield (Softmax, (), {}), softmax(X)
    yield (LogSoftmax, (), {}), np.log(softmax(X))
    yield (Softmin, (), {}), softmax(-X)
    for eps in numbers:
        if 0 < eps < 1:
            centered = X - X.mean(axis=1, keepdims=True)
            yield (LayerNorm, (eps,), {}), centered / np.sqrt(np.square(centered).mean(axis=1, keepdims=True) + eps)
            yield (RMSNorm, (eps,), {}), X / np.sqrt(np.square(X).mean(axis=1, keepdims=True) + eps)
