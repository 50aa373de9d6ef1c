"""Groups: parameters with a learning rate or a weight decay of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.layers.selection import Selection
from fastnn.settings import Cell, Number

if TYPE_CHECKING:
    from fastnn.layers import Layer


class Group(Selection):
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

    def __init__(self, which: str | Layer, lr_factor: float = 1.0, weight_decay: float | None = None) -> None:
        super().__init__(which)
        self.lr_factor, self.weight_decay = lr_factor, weight_decay

    @property
    def decay_cell(self) -> Cell | None:
        """What kernels read of the weight decay."""
        return self._cells.get("weight_decay")

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes."""
        return self.which, "weight_decay" in self._cells
