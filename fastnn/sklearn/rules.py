"""What scikit-learn's nets are trained with, where it differs from what this library has: written as its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.optimizers import SGD
from fastnn.penalties import L2
from fastnn.settings import Number, Part

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

_NONE = np.zeros(1)


class L2OfRows(L2):
    """l2 * share * Σ w², where share is 1 by the number of rows of the batch, or by the sum of their weights.

    That is scikit-learn's: its alpha is 2 * l2. The training writes the share of each batch, and behind a fit it is
    that of all rows.

    Parameters
    ----------
    l2 : float
        At least 0.
    which : str or Layer
        As of `Penalty`.
    """

    share: Any = Number(moves=False)

    def __init__(self, l2: float = 5e-5, which: Any = "weights", share: float = 1.0) -> None:
        super().__init__(l2, which)
        self.share = share

    def _in_files(self) -> Part:
        return L2(self.l2 * self.share, self.which)

    def _measure(self, w: Array, dw: Array | None, sums: Array, scale: float, tape: Tape | None) -> None:
        cells = self._cells
        kernels.of(w.dtype).penalty(w, dw, sums, _NONE, cells["l2"], cells["share"], tape)


class Momentum(SGD):
    """`SGD` whose momentum may also be 1, as scikit-learn's: then nothing is forgotten."""

    momentum: Any = Number(most=1.0)

    def _in_files(self) -> Part:
        return SGD(**self._made_with())


IN_FILES: dict[str, type] = {"L2OfRows": L2OfRows, "Momentum": Momentum}  # of estimators
