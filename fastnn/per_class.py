"""What has been found out of a class, kept as long as the class is."""

from __future__ import annotations

from typing import TypeVar
from weakref import ref

Found = TypeVar("Found")


class PerClass(dict[int, Found]):
    """What has been found out of each class, by its id: looked up for every attribute that is set.

    A class that is made in a function, as in a trial of a search, goes with all that its methods hold, such as data:
    it is not kept alive, unless by what has been found.
    """

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[int, ref[type]] = {}

    def add(self, kind: type, found: Found) -> Found:
        """Keep what has been found, and return it."""
        key = id(kind)

        def forget(gone: object) -> None:
            self.pop(key, None)
            self._classes.pop(key, None)

        self[key], self._classes[key] = found, ref(kind, forget)
        return found
