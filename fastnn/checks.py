"""Settings that people hand in, checked: names, numbers, truth values; and who is warned."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import inf
from numbers import Real
from operator import index
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from fastnn.words import near

T = TypeVar("T")

_NAMES_SHOWN = 20  # of a table of names, in an error

_MOST = 2**63 - 1  # what compiled code can count to
_LONG = 10**50


def lookup(kind: str, name: object, table: Mapping[str, T]) -> T:
    """Return ``table[name]``.

    Raises
    ------
    ValueError
        Where there is no such name: with the near ones, or else all of them.
    TypeError
        Where `name` is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind} is {shown(name)}, expected a name ({_names(table)}) or an object of its kind")
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key in table:
        return table[key]
    flat = {_flat(known): known for known in table}
    if _flat(key) in flat:  # LeakyReLU, kaiming_normal_
        return table[flat[_flat(key)]]
    found = near(key, table, 0.6)
    hint = f"did you mean {' or '.join(found)}?" if found else f"expected one of {_names(table)}"
    if ": " in kind:  # a setting
        raise ValueError(f"{kind} is {name!r}{': ' if found else ', '}{hint}")
    raise ValueError(f"unknown {kind} {name!r}: {hint}")


def _flat(name: str) -> str:
    return name.replace("_", "")


def _names(table: Mapping[str, object]) -> str:
    """The names, one for each thing: of synonyms the first; of many the first ones of the table."""
    first = {id(table[name]): name for name in reversed([*table])}
    if len(first) > _NAMES_SHOWN:
        shown = [name for name in table if name in first.values()][:_NAMES_SHOWN]
        return f"{', '.join(shown)}, ... ({len(first)} in all, in docs/parts.md)"
    return ", ".join(sorted(first.values()))


def logged(value: object) -> float | None:
    """Return what code of others has logged or returned as a number: of Python, or an array of no dimension.

    None stands for all else. What float does not hold is infinite, as 1e400 is.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        is_number = value.ndim == 0 and value.dtype.kind in "biuf"
    elif getattr(value, "shape", None) == ():
        is_number = "complex" not in str(getattr(value, "dtype", ""))
    else:
        is_number = isinstance(value, (Real, Decimal))
    try:
        return float(value) if is_number else None  # type: ignore[arg-type]
    except OverflowError:
        return inf if value > 0 else -inf  # type: ignore[operator]
    except (TypeError, ValueError):
        return None


def shown(value: object) -> str:
    """Return a value as it is shown in an error: arrays by their shape, and what is long cut."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(shown, value[:4])) + (", ..." if len(value) > 4 else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, int) and not -_LONG < value < _LONG:  # Python writes no number of more than 4,300 digits
        return "an integer of more than 50 digits"
    if isinstance(value, FunctionType):
        return f"the function {value.__name__}"
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}..."


def number(where: str, value: object, *, above: float | None = None, below: float = inf, most: float = inf) -> float:
    """Return a finite number >= 0, or > `above`, and < `below`, <= `most`; `where` names it in errors."""
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):  # float() takes them
            raise TypeError
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{where} is {shown(value)}, expected a number") from None
    except OverflowError:  # a large integer
        result = inf
    enough = result >= 0 if above is None else result > above
    if not (enough and result < below and result <= most):
        lower = ">= 0" if above is None else f"> {above:g}"
        upper = "" if below == inf else f" and < {below:g}"
        upper += "" if most == inf else f" and <= {most:g}"
        got = value if isinstance(value, float) else shown(value)
        raise ValueError(f"{where} is {got}, expected a finite number {lower}{upper}")
    return result


def is_iterable(value: object) -> bool:
    """Whether there are parts to take from it: not so for an array without dimensions, which only looks like it."""
    return isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and value.ndim == 0)


def count(where: str, value: object, least: int = 1, most: float = _MOST) -> int:
    """Return a whole number from `least` to `most`; a float that is whole is one, too."""
    try:
        if isinstance(value, (bool, np.bool_)):  # index() takes the first
            raise TypeError
        is_whole = isinstance(value, (float, np.floating)) and value.is_integer()
        result = int(value) if is_whole else index(value)  # type: ignore[arg-type, call-overload]
    except TypeError:
        raise TypeError(f"{where} is {shown(value)}, expected a whole number >= {least}") from None
    if not least <= result <= most:
        expected = f">= {least}" if result < least else f"from {least} to {most}"
        raise ValueError(f"{where} is {shown(value)}, expected a whole number {expected}")
    return result


def number_of(n: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def flag(where: str, value: object) -> bool:
    """Return a truth value: True, False, 0 or 1."""
    if not (isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1))):
        raise TypeError(f"{where} is {shown(value)}, expected True or False")
    return bool(value)


def warn(message: str) -> None:
    """Warn whoever has called this package."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastnn":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a model."""
    try:
        found = np.dtype(object if dtype is None else dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.float32, np.float64):
        raise ValueError(f"Model: dtype is {dtype!r}, expected 'float32' or 'float64'")
    return found


def checked_precision(precision: Any, dtype: np.dtype[Any], where: str = "Model") -> str | None:
    """Return the precision of the products of a model."""
    if isinstance(precision, str) and precision == "bfloat16":  # as PyTorch, JAX and Keras name the dtype
        precision = "bf16"
    if precision is not None and not (isinstance(precision, str) and precision == "bf16"):
        raise ValueError(f"{where}: precision is {shown(precision)}, expected None or 'bf16'")
    if precision is not None and dtype != np.float32:
        raise ValueError(
            f"{where}: precision is {precision!r}, expected None where dtype is {dtype}: it is of float32 alone"
        )
    return precision


def checked_seed(seed: int | None) -> int:
    """Return the seed of a model: None draws one."""
    if seed is None:
        return int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]
    return count("Model: seed", seed, least=0, most=inf)
