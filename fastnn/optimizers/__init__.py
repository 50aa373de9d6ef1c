"""Optimizers: how parameters follow from gradients."""

from __future__ import annotations

from fastnn.optimizers.adam import LAMB, Adam, Adamax, AdamW, NAdam, RAdam, ScheduleFreeAdamW
from fastnn.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from fastnn.optimizers.averages import EMA, SWA, Average
from fastnn.optimizers.contract import Optimizer
from fastnn.optimizers.descent import SGD, Lion, Rprop
from fastnn.optimizers.groups import Group
from fastnn.optimizers.lbfgs import LBFGS
from fastnn.optimizers.transforms import Accumulate, ClipLayerNorm, ClipNorm, ClipValue, Transform
from fastnn.settings import made

__all__ = [
    "EMA",
    "LAMB",
    "LBFGS",
    "SGD",
    "SWA",
    "Accumulate",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Average",
    "ClipLayerNorm",
    "ClipNorm",
    "ClipValue",
    "Group",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "Transform",
    "get",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "lion": Lion,
    "rprop": Rprop,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
    "lamb": LAMB,
    "schedule_free_adamw": ScheduleFreeAdamW,
    "lbfgs": LBFGS,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer of that name, or the optimizer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Optimizer = made("optimizer", optimizer, Optimizer, _BY_NAME)
    return found
