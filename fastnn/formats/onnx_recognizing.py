"""What a group of ONNX's operators computes: an activation or a normalization, told by its values.

Exporters write the same activation in many ways. Whatever they are, a group that depends on one array alone and on
single numbers is computed for numbers of all sizes that the dtype has, and compared with what this library has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.formulas import FORMULAS, Numpy
from fastnn.formats.onnx_computing import COMPUTED, OF_ROWS, compute
from fastnn.formats.onnx_probes import LARGE, MODERATE, PROBE, agree, agree_beyond, around, rows_around, within
from fastnn.formats.onnx_steps import Step
from fastnn.layers.activation import BY_NAME, Activation

_MOST_STEPS, _MOST_CONSTANTS, _FAR = 200, 6, 8
_AT_LEAST, _FOR_A_STEP, _AT_MOST = 100_000, 2_000, 1_000_000  # half microseconds of work, in all
_OF_A_STEP, _OF_A_GROUP = 10, 700  # what one more is to look at, and a group to be computed once
_REFINED = 8
ENDS = frozenset(  # of groups; others are what they are
    ("Add", "Sub", "Mul", "Div", "Neg", "Log", "Where", "Max", "Min", "Clip", "Softmax", "Sqrt", "Pow", "Exp", "Relu")
)
_COMPARING = frozenset(("Max", "Min", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"))
_NOT_OF_ALL = frozenset(("Sqrt", "Log", "Pow"))  # of numbers: NaN is what they make of the others
_CHOOSING = {"hard_shrink": 2, "soft_shrink": 2, "threshold": 1}  # with so many bounds, as exporters write them
_VANISHING = frozenset(("Exp", "Sigmoid", "Softmax"))

Found = tuple[type, tuple[Any, ...], dict[str, Any]]  # a class of layers, and what it is made with


class Recognizer:
    """Tells what groups of steps are, each kind of group once.

    Parameters
    ----------
    dtype : str
        Of the model: how far its numbers reach.
    before : dict
        Of each step, which one all that it reads follows from.
    """

    def __init__(self, dtype: str, before: dict[Step, Step | None]) -> None:
        self._dtype, self._before = dtype, before
        self._known: dict[tuple[int, ...], tuple[Found | None] | None] = {}
        self._segments: dict[Step, _Segment | None] = {}
        self._kinds: dict[Any, int] = {}  # of segments, by what those have in common that compute the same
        self._work = min(_AT_LEAST + _FOR_A_STEP * len(before), _AT_MOST + 2 * _OF_A_STEP * len(before))
        for step in before:
            self._segments[step] = self._segment(step)

    def recognized(self, step: Step) -> tuple[Found | None, Step] | None:
        """Return the layer that a step ends, with the step that it reads: the largest group that is one.

        A layer of None is the identity.
        """
        if step.op not in ENDS:
            return None
        found, last = None, step
        segments: list[_Segment] = []  # the last one first
        for _ in range(_FAR):
            start, segment = self._before[last], self._segments[last]
            if start is None or segment is None or segment.kind is None:
                break
            segments.append(segment)
            if sum(len(one.steps) for one in segments) > _MOST_STEPS:
                break
            if start.shape == step.shape:
                layer = self._layer_of(step, start, segments)
                if layer is not None:
                    found = (layer[0], start)
            last = start
        return found

    def _layer_of(self, step: Step, start: Step, segments: list[_Segment]) -> tuple[Found | None] | None:
        kinds = tuple(one.kind for one in segments if one.kind is not None)
        if kinds not in self._known:
            function = _Group(start, [one for segment in reversed(segments) for one in segment.steps])
            self._known[kinds] = _found(function, self._dtype)
            self._spend(step, (1 + function.calls) * _OF_A_GROUP)
        return self._known[kinds]

    def _segment(self, step: Step) -> _Segment | None:
        """Return the steps from the one that all it reads follows from; None where one is none of single numbers."""
        start = self._before[step]
        made = None if start is None or self._is_too_much(step, start) else self._steps_from(start, step)
        return made if made is None else _Segment(made, self._kind_of(start, made))

    def _is_too_much(self, step: Step, start: Step) -> bool:
        """Whether what is known of the steps that it reads says so: those from the start are among its own."""
        for read in step.steps():
            one, n = read, 1
            while one is not start:
                known, ahead = self._segments[one], self._before[one]
                n += len(known.steps) if known else _MOST_STEPS
                if n > _MOST_STEPS or ahead is None:
                    return True
                one = ahead
        return False

    def _steps_from(self, start: Step, step: Step) -> list[Step] | None:
        order: list[Step] = []
        seen, todo = {start}, [(step, False)]
        while todo:
            one, is_done = todo.pop()
            if is_done:
                order.append(one)
            elif one not in seen:
                seen.add(one)
                self._spend(step, _OF_A_STEP)
                if len(seen) > _MOST_STEPS or not _is_of_numbers(one):
                    return None
                todo.append((one, True))
                todo += [(own, False) for own in one.steps()]
        return order

    def _kind_of(self, start: Step | None, steps: list[Step]) -> int | None:
        signature = _signature(start, steps)
        return None if signature is None else self._kinds.setdefault(signature, len(self._kinds))

    def _spend(self, step: Step, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise step.fail("there are too many groups of operators before it among which activations are looked for")


class _Segment:
    """The steps from one to the next that all follow from: groups are some of them in a row.

    Attributes
    ----------
    steps : list of Step
        Each behind what it reads.
    kind : int or None
        The same for those that compute the same; None for what no activation has.
    """

    __slots__ = ("kind", "steps")

    def __init__(self, steps: list[Step], kind: int | None) -> None:
        self.steps, self.kind = steps, kind


def _is_of_numbers(step: Step) -> bool:
    """Whether a step makes numbers of single ones, or of those of a row."""
    if step.op in OF_ROWS:
        return len(step.shape) == 1
    if step.op not in COMPUTED and step.op != "Shaped":
        return False
    return not any(isinstance(value, np.ndarray) and value.size != 1 for value in step.inputs)


def _signature(start: Step | None, group: list[Step]) -> Any:
    """Return what two groups that compute the same have in common; None for what no activation has."""
    places = {start: -1}
    found: list[str] = []
    for one in group:
        key: list[Any] = [one.op, *sorted(one.attributes.items())]
        for value in one.inputs:
            if isinstance(value, np.ndarray):
                is_real = value.dtype.kind in "fb" or one.op in ("Pow", *OF_ROWS)  # division of integers is another one
                if not is_real:
                    return None
                key += [value.dtype.char, value.tobytes()]
            else:
                key.append(None if value is None else places[value])
        places[one] = len(found)
        found.append(repr(key))
    return tuple(found)


class _Group:
    """A group of steps as a function."""

    def __init__(self, start: Step, steps: list[Step]) -> None:
        self._start, self._steps, self.calls = start, steps, 0
        self._lost: Array = np.zeros(0, bool)
        self.of_rows = any(one.op in OF_ROWS for one in steps)
        affine = ("Add", "Sub", "Mul", "Div", "Neg", "Shaped")
        self.is_affine = all(one.op in affine and len(one.steps()) == 1 for one in steps)
        constants: list[float] = []
        for one in steps:
            if one.op not in OF_ROWS:
                constants += [float(v.reshape(())) for v in one.inputs if isinstance(v, np.ndarray) and v.dtype != bool]
            constants += [own for own in one.attributes.values() if isinstance(own, float)]
        self.constants = [*dict.fromkeys(constants)]
        asks = any(one.op in ("IsNaN", "Equal") for one in steps) or not np.isfinite(self.constants).all()
        self.n_bounds = np.inf if asks else sum(one.op in _COMPARING for one in steps)

    def __call__(self, x: Array, crossed: list[Array] | None = None) -> Array | None:
        """Return what it makes of x, None where it is no function of all numbers.

        What has another sign on both sides of a kink, or of a bound, is appended to `crossed`.
        """
        self.calls += 1
        values: dict[Step, Any] = {self._start: x}
        lost: Any = False
        try:
            with np.errstate(all="ignore"):
                for one in self._steps:
                    if one.op == "Shaped":
                        values[one] = values[one.inputs[0]]
                        continue
                    given = [
                        values[value] if isinstance(value, Step)
                        else value.reshape(()) if isinstance(value, np.ndarray) and one.op not in OF_ROWS
                        else value
                        for value in one.inputs
                    ]  # fmt: skip
                    if one.op == "Softmax" and one.attributes.get("axis", -1) not in (1, -1):
                        return None
                    y = compute(one.op, given, {} if one.op == "Softmax" else one.attributes)
                    if one.op in _NOT_OF_ALL and (np.isnan(y) & np.isfinite(given[0])).any():
                        return None
                    if crossed is not None:
                        crossed += _crossed(one, given, y)
                    if one.op in _VANISHING:  # on the way to 0 they have no digits left
                        lost |= (np.abs(y) < np.finfo(float).tiny) & (y != 0) & (np.abs(x) > LARGE)
                    values[one] = y
                y = np.asarray(values[self._steps[-1]], np.float64)
                self._lost = np.broadcast_to(lost, x.shape)
                return np.where(lost, np.inf, np.broadcast_to(y, x.shape)) if y.ndim <= x.ndim else None
        except (ValueError, TypeError, IndexError, FloatingPointError, KeyError):
            return None

    def is_within(self, x: Array, y: Array) -> bool:
        """Whether what it has just made of x is finite but where it overflows: what has lost its digits does not."""
        return within(x[~self._lost], y[~self._lost])


def _crossed(step: Step, given: list[Any], y: Array) -> Iterator[Array]:
    if y.dtype.kind == "f":
        yield y
    if step.op in _COMPARING and len(given) > 1:
        first = np.asarray(given[0], np.float64)
        for other in given[1:]:
            yield first - other
    elif step.op == "Clip":
        for bound in (*given[1:], step.attributes.get("min"), step.attributes.get("max")):
            if bound is not None:
                yield given[0] - bound


def _found(group: _Group, dtype: str) -> tuple[Found | None] | None:
    if np.isnan(group.constants).any():
        return None
    numbers = [one for one in group.constants if np.isfinite(one)][:_MOST_CONSTANTS]
    numbers = [*dict.fromkeys((*numbers, *(number * number for number in numbers), 0.0))]
    if group.of_rows:
        rows = rows_around(group.constants)
        y = group(rows)
        if y is None or not np.isfinite(y[:MODERATE]).all():
            return None
        for found, expected in _of_rows(numbers):
            with np.errstate(all="ignore"):
                is_same = agree(rows, y, expected(rows), dtype)
            if is_same and agree_beyond(group, expected, of_rows=True):
                return (found,)
        return None
    y = group(PROBE)
    if y is None or not group.is_within(PROBE, y):
        return None
    if agree(PROBE, y, PROBE, dtype) and _is_same(group, "identity", (), dtype):
        return (None,)
    if group.is_affine:
        return None
    for kind, given, name, constants in _of_numbers(y, numbers, dtype):
        try:
            kind(*given)
        except ValueError:  # numbers that it does not take, of which its formula may be none
            continue
        if _is_same(group, name, constants, dtype):
            return ((kind, given, {}),)
    return None


def _is_same(group: _Group, name: str, constants: tuple[float, ...], dtype: str) -> bool:
    """Whether a group is an activation for all numbers: of all sizes, near its constants, and near its kinks."""
    may_choose = group.n_bounds <= _CHOOSING.get(name, -1) and (name == "threshold" or constants[0] != 0)
    if not agree_beyond(group, lambda x: FORMULAS[name](Numpy, x, *constants), may_choose=may_choose):
        return False
    x = around((*group.constants, *constants), dtype)
    for i in range(_REFINED):
        crossed: list[Array] = []
        y = group(x, crossed)
        with np.errstate(all="ignore"):
            expected = FORMULAS[name](Numpy, x, *constants)
            if y is None or (i == 0 and not group.is_within(x, y)) or not agree(x, y, expected, dtype):
                return False
            changes = np.zeros(len(x) - 1, bool)
            for one in crossed:
                sign = np.sign(np.broadcast_to(one, x.shape))
                changes |= sign[1:] != sign[:-1]
            at = np.flatnonzero(changes)[:100]
            if not len(at):
                break
            x = np.unique(np.linspace(x[at], x[at + 1], 17))
        if len(x) < 2:
            break
    return True


@cache
def _ready() -> tuple[list[tuple[type, tuple[Any, ...], str, tuple[float, ...]]], Array]:
    """Return the activations as they are by default, with what they make of the probe."""
    from fastnn.layers.smooth import GELU

    found: list[tuple[type, tuple[Any, ...], str, tuple[float, ...]]] = [(GELU, ("tanh",), "gelu_tanh", ())]
    for kind in dict.fromkeys(BY_NAME.values()):
        if kind.kernel in FORMULAS and kind.kernel != "identity":
            layer = kind()
            assert isinstance(layer, Activation)
            found.append((kind, (), kind.kernel, tuple(float(cell[0]) for cell in layer._constants())))
    with np.errstate(all="ignore"):
        return found, np.stack([FORMULAS[name](Numpy, PROBE, *constants) for _, _, name, constants in found])


def _of_numbers(
    y: Array, numbers: list[float], dtype: str
) -> Iterator[tuple[type, tuple[Any, ...], str, tuple[float, ...]]]:
    """Yield the activations that make y of the probe: by their defaults, then with numbers of the file."""
    from fastnn.layers.smooth import Softplus

    found, values = _ready()
    yield from (found[i] for i in np.flatnonzero(agree(PROBE, y, values, dtype, axis=-1)))
    ones = np.array(numbers)[:, None]
    a, b = (one.reshape(-1, 1) for one in np.meshgrid(ones, ones, indexing="ij"))
    for n in (1, 2):
        rest = [(kind, name) for kind, _, name, constants in found if len(constants) == n]
        for kind, name in [*rest, *([(Softplus, "softplus_threshold")] if n == 2 else [])]:
            given = (ones,) if n == 1 else (a, b)
            with np.errstate(all="ignore"):
                if name == "squareplus":
                    made = np.stack([FORMULAS[name](Numpy, PROBE, max(one, 1e-300)) for one in numbers])
                else:
                    made = np.broadcast_to(FORMULAS[name](Numpy, PROBE, *given), (len(given[0]), len(PROBE)))
            for i in np.flatnonzero(agree(PROBE, y, made, dtype, axis=-1)):
                own = tuple(float(one[i, 0]) for one in given)
                yield kind, own, name, own


def _of_rows(numbers: list[float]) -> Iterator[tuple[Found, Callable[[Array], Array]]]:
    """Yield the layers of rows, with what they compute."""
    from fastnn.layers.normalization import LayerNorm, RMSNorm
    from fastnn.layers.of_rows import LogSoftmax, Softmax, Softmin

    def log_softmax(x: Array) -> Array:
        z = x - x.max(axis=1, keepdims=True)
        return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))

    def rms_norm(x: Array, eps: float) -> Array:
        return np.asarray(x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + eps))

    def layer_norm(x: Array, eps: float) -> Array:
        return rms_norm(x - x.mean(axis=1, keepdims=True), eps)

    yield (Softmax, (), {}), lambda x: np.exp(log_softmax(x))
    yield (LogSoftmax, (), {}), log_softmax
    yield (Softmin, (), {}), lambda x: np.exp(log_softmax(-x))
    for eps in numbers:
        if eps > 0:
            yield (LayerNorm, (eps,), {}), partial(layer_norm, eps=eps)
            yield (RMSNorm, (eps,), {}), partial(rms_norm, eps=eps)
