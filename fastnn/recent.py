"""What is made once, kept while it is among the last made, and made again where it is not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Recent(dict[Key, Kept]):
    """The last made of many.

    What is in use all the time goes, too, when as many others have been made since; to make it once more costs little
    beside these, and less than to write down each use.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        self._most = most

    def add(self, key: Key, made: Kept) -> Kept:
        """Keep what has been made, and return it; what was made longest ago goes."""
        self.pop(key, None)
        self[key] = made
        if len(self) > self._most:
            del self[next(iter(self))]
        return made
