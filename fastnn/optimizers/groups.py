"""Groups: parameters with a learning rate or a weight decay of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.settings import Cell, Number, Part

if TYPE_CHECKING:
    from fastnn.layers import Layer
    from fastnn.layers.tree import Entry

_KINDS = ("weights", "biases", "norms")


class Group(Part):
    """Parameters that an optimizer treats in their own way.

    Parameters
    ----------
    which : str or Layer
        A kind ("weights", "biases" or "norms"), a pattern for names such as "0.w" or "2.*", or a layer: all that is in
        it. A parameter belongs to the first group that names it.
    lr_factor : float
        Multiplies the learning rate.
    weight_decay : float or None
        In place of the optimizer's, unless it is None.

    Examples
    --------
    >>> from fastnn import Adam, Group
    >>> optimizer = Adam(1e-3, weight_decay=0.01, groups=[Group("biases", weight_decay=0), Group("0.*", 0.1)])
    """

    lr_factor: Any = Number()
    weight_decay: Any = Number(optional=True)
    which: Any

    def __init__(self, which: str | Layer, lr_factor: float = 1.0, weight_decay: float | None = None) -> None:
        if not (isinstance(which, str) or hasattr(which, "build_child")):
            raise TypeError(f"Group: which is {which!r}, expected a kind ({', '.join(_KINDS)}), a pattern or a layer")
        self.which, self.lr_factor, self.weight_decay = which, lr_factor, weight_decay

    @property
    def decay_cell(self) -> Cell | None:
        """What kernels read of the weight decay."""
        return self._cells.get("weight_decay")

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes."""
        return self.which, "weight_decay" in self._cells

    def holds(self, entry: Entry) -> bool:
        """Whether a parameter is one of them."""
        if not isinstance(self.which, str):
            from fastnn.layers.tree import walk

            return any(layer is entry.layer for layer in walk([self.which]))
        if entry.kind == self.which:
            return True
        from fnmatch import fnmatchcase  # only here: what is rarely needed does not make every import longer

        return fnmatchcase(entry.name, self.which)
