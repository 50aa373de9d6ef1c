"""What columns and labels need in ONNX's operators: each kind of node of `table_graph`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.formats.graph import Label, Node
from fastnn.formats.onnx_operators import ML_DOMAIN, Operand, Operators
from fastnn.formats.table_graph import (
    A_DAY,
    A_YEAR,
    DAYS,
    NOTHING,
    TEXT,
    Above,
    Cast,
    DateParts,
    Less,
    Log,
    Lookup,
    Missing,
    Share,
    SmoothClip,
)

_INT64 = 7  # as ONNX numbers element types
_REAL = {np.dtype(np.float32): 1, np.dtype(np.float64): 11}


def written_node(node: Node, x: Operand, to: Operators) -> Operand:
    """Add one node of what it reads."""
    if isinstance(node, Cast):
        return to.op("Cast", x, to=_REAL[node.y.dtype])
    if isinstance(node, Log):
        return to.op("Log", x)
    if isinstance(node, SmoothClip):
        part = x / node.bound
        return x / to.sqrt(1 + part * part)
    if isinstance(node, Missing):
        return _real(to.op("IsNaN", x), to)
    if isinstance(node, Share):
        return x / to.op("ReduceSum", x, to.integers(1), keepdims=1)
    if isinstance(node, Less):
        return _known(x, _less(x, node.first, to), to)
    if isinstance(node, DateParts):
        return _known(x, _date_parts(node, x, to), to)
    if isinstance(node, Lookup):
        return _lookup(node, x, to)
    if isinstance(node, Label):
        return _label(node, x, to)
    if isinstance(node, Above):
        return to.op("Cast", x > node.threshold, to=_INT64)
    raise TypeError(f"{node.layer}: to_onnx has no operators for {type(node).__name__}")


def _real(x: Operand, to: Operators) -> Operand:
    return to.op("Cast", x, to=_REAL[to.dtype])


def _known(x: Operand, y: Operand, to: Operators) -> Operand:
    """Return NaN where x says that there is nothing."""
    return to.where(to.op("Equal", x, to.integers(NOTHING)), np.nan, y)


def _less(x: Operand, first: int, to: Operators) -> Operand:
    """Return x - first by halves whose differences are exact in float64, so that their sum is all that rounds."""
    half = to.integers(2**32)
    high = to.op("Div", x, half)
    low = to.op("Sub", x, to.op("Mul", high, half))
    of_first = int(np.sign(first)) * (abs(first) >> 32)
    return (_real(high, to) - of_first) * 2.0**32 + (_real(low, to) - (first - of_first * 2**32))


def _lookup(node: Lookup, x: Operand, to: Operators) -> Operand:
    """Return what belongs to keys; what onnxruntime looks up are texts and whole numbers, no float64."""
    kind = node.x.dtype
    if kind in (TEXT, np.int64):
        keys = {"keys_strings" if kind == TEXT else "keys_int64s": [*node.keys]}
        own: dict[str, Any] = {**keys, "values_int64s": [*node.values_of], "default_int64": node.default}
        return _real(to.op("LabelEncoder", x, domain=ML_DOMAIN, **own), to)
    is_key = _real(to.op("Equal", x, to.array(np.array([node.keys], kind), "keys")), to)
    factors = np.array(node.values_of, np.float64)[:, None] - node.default
    return to.op("MatMul", is_key, to.real(factors, "values")) + node.default


def _label(node: Label, x: Operand, to: Operators) -> Operand:
    classes = node.classes
    if node.threshold is None:
        place = to.op("ArgMax", x, axis=1, keepdims=0)
    else:
        place = to.op("Squeeze", to.op("Cast", x > node.threshold, to=_INT64), to.integers(1))
    if classes.dtype == np.int64 and (classes == np.arange(len(classes))).all():
        return place
    return to.op("Gather", to.array(classes, "classes"), place, axis=0)


def _date_parts(node: DateParts, x: Operand, to: Operators) -> Operand:
    """Return parts of dates, by the calendar of Gregory, whose years begin in March here (Hinnant 2013).

    In int64, of which onnxruntime's Div rounds to 0 and Mod has the sign of the divisor: all that is divided is
    positive, from 800 times 400 years before the epoch on.
    """

    def whole(kind: str, a: Operand, b: Operand | int) -> Operand:
        return to.op(kind, a, to.integers(b) if isinstance(b, int) else b)

    def truth(kind: str, a: Operand, b: int) -> Operand:
        return to.op("Cast", whole(kind, a, b), to=_INT64)

    time_of_day = whole("Mod", x, A_DAY)
    day = whole("Div", whole("Sub", x, time_of_day), A_DAY)
    since = whole("Add", day, 719_468 + 800 * 146_097)
    era = whole("Div", since, 146_097)
    in_era = whole("Mod", since, 146_097)
    leaps = whole("Sub", whole("Div", in_era, 1460), whole("Div", in_era, 36_524))
    year = whole("Div", whole("Sub", in_era, whole("Add", leaps, whole("Div", in_era, 146_096))), 365)
    begins = whole("Sub", whole("Add", whole("Mul", year, 365), whole("Div", year, 4)), whole("Div", year, 100))
    since_march = whole("Sub", in_era, begins)
    is_leap = whole("Sub", truth("Equal", whole("Mod", year, 4), 0), truth("Equal", whole("Mod", year, 100), 0))
    is_leap = whole("Add", is_leap, truth("Equal", year, 0))
    next_year = truth("GreaterOrEqual", since_march, 306)  # January and February
    in_year = to.where(
        whole("GreaterOrEqual", since_march, 306),
        whole("Sub", since_march, 306),
        whole("Add", since_march, whole("Add", is_leap, 59)),
    )
    calendar_year = whole("Add", whole("Add", year, next_year), whole("Mul", whole("Sub", era, 800), 400))
    weekday = whole("Mod", whole("Add", day, 3), 7)  # 1970 began on a Thursday
    of_year, of_day = _real(in_year, to) * (2 * np.pi / A_YEAR), _real(time_of_day, to) * (2 * np.pi / A_DAY)
    made = {
        "days": lambda: (_real(x, to) - node.first) / A_DAY,
        "year": lambda: _real(calendar_year, to),
        "sine of the year": lambda: to.sin(of_year),
        "cosine of the year": lambda: to.cos(of_year),
        "sine of the day": lambda: to.sin(of_day),
        "cosine of the day": lambda: to.cos(of_day),
    }
    for i, name in enumerate(DAYS):
        made[name] = lambda i=i: _real(whole("Equal", weekday, i), to)  # type: ignore[misc]
    parts = [made[name]() for name in node.parts]
    return parts[0] if len(parts) == 1 else to.op("Concat", *parts, axis=1)
