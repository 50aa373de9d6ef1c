"""Optimizers: how parameters follow from gradients."""

from __future__ import annotations

from fastnn.optimizers.contract import Optimizer
from fastnn.optimizers.groups import Group
from fastnn.optimizers.rules import SGD, Adam, AdamW, RMSprop
from fastnn.optimizers.transforms import Accumulate, ClipLayerNorm, ClipNorm, ClipValue, Transform
from fastnn.settings import made

__all__ = [
    "SGD", "Accumulate", "Adam", "AdamW", "ClipLayerNorm", "ClipNorm", "ClipValue", "Group", "Optimizer", "RMSprop",
    "Transform", "get",
]  # fmt: skip

_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer of that name, or the optimizer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Optimizer = made("optimizer", optimizer, Optimizer, _BY_NAME)
    return found
