"""What looks wrong, in words: and what the losses of a fit say."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

LEAST_EPOCHS = 10  # behind which something can be said of losses
STUCK = 0.01  # of the loss: as much is learnt in ten epochs wherever anything is
GROWN = (
    2.0  # times the loss before the fit: steps are too large then, and Adam's or momentum's first ones do not do that
)


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


def of_losses(losses: Sequence[float], first: float, constant: float) -> Finding | None:
    """Return what looks wrong with the training losses of the epochs of a fit.

    Parameters
    ----------
    losses : sequence of float
    first : float
        The loss before the fit.
    constant : float
        That of the best outputs that are the same for all rows; NaN where nobody knows it. A net whose loss does not
        move far below has learnt what there is, and nothing is said of it.
    """
    if len(losses) < LEAST_EPOCHS:
        return None
    reference = min(first if isfinite(first) else inf, constant if isfinite(constant) else inf)
    if isfinite(first) and losses[-1] > GROWN * max(first, reference):
        what = f"the loss has grown from {first:.4g} to {losses[-1]:.4g} in {len(losses)} epochs"
        return Finding("loss", "", what, "Lower the learning rate: lr_find(net, x, y).plot() shows which ones learn")
    half = len(losses) // 2
    moves = min(losses[half:]) < (1 - STUCK) * min(losses[:half])  # slowly, perhaps, but it gets there
    if min(losses) > (1 - STUCK) * reference and not moves:
        than = "what the same outputs for all rows would give" if reference == constant else "before the fit"
        what = f"the loss does not move: in {len(losses)} epochs it has not come below {min(losses):.4g}, where it is "
        what += f"{reference:.4g} for {than}" if reference == constant else f"{reference:.4g} {than}"
        cure = (
            "Look for a better learning rate (lr_find(net, x, y).plot() shows which ones learn), try to learn ten rows "
            "by heart, and see whether rows of x and y still belong together"
        )
        return Finding("loss", "", what, cure)
    return None
