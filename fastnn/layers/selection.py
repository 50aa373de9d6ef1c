"""What is for some of the parameters of a model: those of a kind, those that a pattern names, or those of a layer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fastnn.checks import shown
from fastnn.settings import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn.layers.contract import Layer
    from fastnn.layers.tree import Entry

_KINDS = ("weights", "biases", "norms")


@lru_cache(4096)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a name is one of a pattern: many parts may have one each, for many parameters."""
    if not any(letter in pattern for letter in "*?["):
        return pattern.__eq__
    from fnmatch import translate  # only here: what is rarely needed does not make every import longer
    from re import compile as compiled

    match = compiled(translate(pattern)).match
    return lambda name: match(name) is not None


class Selection(Part):
    """A part that is for some of the parameters of a model.

    Parameters
    ----------
    which : str or Layer
        A kind ("weights", "biases" or "norms"), a pattern for names such as "0.w" or "2.*", or a layer: all that is in
        it.
    """

    constants = ("structure",)

    def __init__(self, which: str | Layer = "weights") -> None:
        super().__init__()  # of a class beside it
        self.which = which

    @property
    def which(self) -> Any:
        """What it is for: a kind, a pattern or a layer."""
        return self.__dict__["_which"]

    @which.setter
    def which(self, value: Any) -> None:
        if not (isinstance(value, str) or hasattr(value, "build_child")):
            raise TypeError(
                f"{type(self).__name__}: which is {shown(value)}, expected a kind ({', '.join(_KINDS)}), a pattern "
                "or a layer"
            )
        self.__dict__["_which"] = value

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes."""
        return (self.which,)

    def holds(self, entry: Entry) -> bool:
        """Whether a parameter is one of them."""
        if not isinstance(self.which, str):
            from fastnn.layers.tree import walk

            return any(layer is entry.layer for layer in walk([self.which]))
        if entry.kind == self.which:
            return True
        return _matcher(self.which)(entry.name)

    def require(self, entries: Sequence[Entry], where: str, of: object = None) -> None:
        """Raise ValueError where it names no parameter of a model."""
        if not any(map(self.holds, entries)):
            names = ", ".join(entry.name for entry in entries)
            where = where if of is None else f"{of}: {where}"
            raise ValueError(f"{where}, {self!r}, names no parameter of this model: {names}")
