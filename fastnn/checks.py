"""Settings that people hand in, checked: names, numbers, truth values."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import TypeVar

import numpy as np

T = TypeVar("T")


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
        raise TypeError(f"{kind} is {name!r}, expected a name ({', '.join(sorted(table))}) or an object of its kind")
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key in table:
        return table[key]
    from difflib import get_close_matches  # only here: what is rarely needed does not make every import longer

    near = get_close_matches(key, table, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(sorted(table))}"
    raise ValueError(f"unknown {kind} {name!r}: {hint}")


def number(where: str, value: object, *, above: float | None = None, below: float = float("inf")) -> float:
    """Return a finite number >= 0, or > `above`, and < `below`; `where` names it in errors."""
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):  # float() takes them
            raise TypeError
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{where} is {value!r}, expected a number") from None
    enough = result >= 0 if above is None else result > above
    if not (enough and result < below):
        lower = ">= 0" if above is None else f"> {above:g}"
        upper = "" if below == float("inf") else f" and < {below:g}"
        raise ValueError(f"{where} is {value}, expected a finite number {lower}{upper}")
    return result


def count(where: str, value: object) -> int:
    """Return a whole number >= 1."""
    try:
        if isinstance(value, (bool, np.bool_)):  # index() takes the first
            raise TypeError
        result = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{where} is {value!r}, expected a whole number >= 1") from None
    if result < 1:
        raise ValueError(f"{where} is {value}, expected a whole number >= 1")
    return result


def flag(where: str, value: object) -> bool:
    """Return a truth value: True, False, 0 or 1."""
    if not (isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1))):
        raise TypeError(f"{where} is {value!r}, expected True or False")
    return bool(value)
