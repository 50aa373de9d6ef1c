"""In which order layers stand of which names are known, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.formats.weights.described import Given

Kept = Callable[[str, str], bool]  # whether the first of two names stands before the second for certain
_MOST_TRIED = 20_000
_NUMBER = re.compile(r"_?(\d+)")


def by_numbers(name: str, other: str) -> bool:
    """Whether the names differ first in a number, "net.2.weight" and "net.10.weight", and the first has the smaller.

    No number comes before all: Keras and Haiku write "dense", "dense_1".
    """
    for a, b in zip(re.split(r"[./]", name), re.split(r"[./]", other), strict=False):
        if a != b:
            if _NUMBER.sub("", a) != _NUMBER.sub("", b):
                return False
            return [*map(int, _NUMBER.findall(a))] < [*map(int, _NUMBER.findall(b))]
    return False


def in_order(
    what: str,
    given: Sequence[Given],
    kept: Kept,
    fits: Callable[[Sequence[Given], Given], bool],
) -> list[Given]:
    """Return layers in the one order that their names and shapes allow.

    Raises
    ------
    ValueError
        Where there is none, or more than one.
    """
    before = [{j for j, other in enumerate(given) if kept(other.where, one.where)} for one in given]
    found: list[list[Given]] = []
    tried, longest = 0, 0

    def go_on(row: list[int], left: frozenset[int]) -> None:
        nonlocal tried, longest
        longest = max(longest, len(row))
        if not left:
            found.append([given[i] for i in row])
        stands = [given[i] for i in row]
        for i in sorted(left):
            tried += 1
            if len(found) < 2 and tried < _MOST_TRIED and not before[i] & left and fits(stands, given[i]):
                go_on([*row, i], left - {i})

    if len(given) > 200:  # deeper than what calls itself may be
        raise ValueError(f"{what}: there are {len(given)} layers with arrays, expected 200 at most")
    go_on([], frozenset(range(len(given))))
    names = ", ".join(_described(one) for one in given[:20])
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"{what}: the arrays do not fit to each other, or to the model, in any order that their names allow; the "
            f"first {longest} do: {names}"
        )
    raise ValueError(
        f"{what}: in which order the layers stand does not follow from their names and shapes: "
        f"{' or '.join(', '.join(one.where for one in row[:20]) for row in found)}. Name them by numbers in order"
    )


def _described(given: Given) -> str:
    return f"{given.where} ({', '.join(f'{word} {array.shape}' for word, array in given.arrays.items())})"
