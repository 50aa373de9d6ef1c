"""What looks wrong, in words: and what the losses of a fit say."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

LEAST_EPOCHS = 10  # behind which something can be said of losses
STUCK = 0.01  # of the loss: as much is learnt in ten epochs wherever anything is
GROWN = 2.0  # times the loss before the fit: steps are too large then
LEARNT = 0.5  # of the loss without x: units that are dead or saturated then do no harm


class Finding(NamedTuple):
    """Something that looks wrong.

    Attributes
    ----------
    kind : str
        "inputs", "classes", "not finite", "dead units", "saturated units", "saturated outputs", "outputs", "vanishing
        gradients", "exploding gradients" or "loss".
    where : str
        The layer, or "".
    what : str
        What was seen.
    cure : str
        What to do.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(8, "relu"), Dense(1)], seed=0)
    >>> found = net.check(np.full((50, 2), 1000.0), np.zeros(50), "mse").findings
    >>> found[0].kind
    'inputs'
    """

    kind: str
    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        """Return it as sentences."""
        return f"{f'{self.where}: ' if self.where else ''}{self.what}. {self.cure}."


def learns(losses: Sequence[float], first: float, constant: float) -> bool:
    """Whether a fit is well on its way: its loss is half of what it was, and of that of constant outputs."""
    known = [loss for loss in (first, constant) if isfinite(loss)]
    return bool(losses and known) and losses[-1] < LEARNT * min(known)


def of_losses(losses: Sequence[float], first: float, last: float, constant: float) -> Finding | None:
    """Return what looks wrong with the training losses of the epochs of a fit.

    Parameters
    ----------
    losses : sequence of float
    first, last : float
        The loss before and after the fit of the rows that are looked at.
    constant : float
        That of the best outputs that are the same for all of these rows; NaN where nobody knows it. A net whose loss
        does not move far below has learnt what there is, and nothing is said of it.
    """
    if len(losses) < LEAST_EPOCHS:
        return None
    if isfinite(first) and losses[-1] > GROWN * max(first, constant if isfinite(constant) else first):
        what = f"the loss has grown from {first:.4g} to {losses[-1]:.4g} in {len(losses)} epochs"
        return Finding("loss", "", what, "Lower the learning rate: lr_find(net, x, y).plot() shows which ones learn")
    half = len(losses) // 2
    moves = min(losses[half:]) < (1 - STUCK) * min(losses[:half])  # slowly, perhaps, but it gets there
    if not moves and last > (1 - STUCK) * min(loss if isfinite(loss) else inf for loss in (first, constant)):
        what = f"the loss does not move: it is {last:.4g} after {len(losses)} epochs, was {first:.4g} before"
        what += f", and the same outputs for all rows give {constant:.4g}" if isfinite(constant) else ""
        cure = (
            "Look for a better learning rate (lr_find(net, x, y).plot() shows which ones learn), try to learn ten rows "
            "by heart, and see whether rows of x and y still belong together"
        )
        return Finding("loss", "", what, cure)
    return None
