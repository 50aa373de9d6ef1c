"""What is made once, kept while it is among the last used, and made again where it is not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Recent(dict[Key, Kept]):
    """The last used of many: the one that was used last stands last.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        self._most = most

    def used(self, key: Key) -> Kept | None:
        """Return what is kept under that key, or None."""
        kept = self.pop(key, None)
        if kept is not None:
            self[key] = kept
        return kept

    def add(self, key: Key, made: Kept) -> Kept:
        """Keep what has been made, and return it; what was used longest ago goes."""
        self.pop(key, None)
        self[key] = made
        if len(self) > self._most:
            del self[next(iter(self))]
        return made
