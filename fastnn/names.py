"""Things found by name, and an error that lists the near ones where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

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
    near = get_close_matches(key, table, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(sorted(table))}"
    raise ValueError(f"unknown {kind} {name!r}: {hint}")
