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
    eps : float or None
        In the same way. A net in the NTK form, z = x @ w / sqrt(m) for m inputs, is one of plain layers with
        ``lr_factor=f / sqrt(m)`` and ``eps=eps * sqrt(m)`` in the place of f and eps, and a decoupled
        ``weight_decay=decay * sqrt(m) / f``.

    Examples
    --------
    >>> from fastnn import Adam, Group
    >>> optimizer = Adam(1e-3, weight_decay=0.01, groups=[Group("biases", weight_decay=0), Group("0.*", 0.1)])
    """

    lr_factor: Any = Number()
    weight_decay: Any = Number(optional=True)
    eps: Any = Number(optional=True)

    def __init__(
        self,
        which: str | Layer,
        lr_factor: float = 1.0,
        weight_decay: float | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__(which)
        self.lr_factor, self.weight_decay, self.eps = lr_factor, weight_decay, eps

    @property
    def own(self) -> dict[str, Cell]:
        """What kernels read in place of the optimizer's numbers."""
        return {name: self._cells[name] for name in ("weight_decay", "eps") if name in self._cells}

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes."""
        return self.which, *self.own
