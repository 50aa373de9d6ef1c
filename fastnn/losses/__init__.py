"""Losses: what training makes small."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastnn.losses.classification import BinaryCrossEntropy, CrossEntropy
from fastnn.losses.contract import Loss
from fastnn.losses.heads import Head, Heads
from fastnn.losses.regression import MAE, MSE, Huber
from fastnn.settings import made

__all__ = [
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Head",
    "Heads",
    "Huber",
    "Loss",
    "get",
]

_BY_NAME: dict[str, Callable[[], Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "l1": MAE,
    "huber": Huber,
    "smooth_l1": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
    "bce": BinaryCrossEntropy,
    "log_loss": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
    "nll": CrossEntropy,
    "bce_with_logits": partial(BinaryCrossEntropy, from_logits=True),
}
_WITH_SUFFIX = ("mse", "l1", "smooth_l1", "huber", "bce", "bce_with_logits", "cross_entropy", "nll")  # as in PyTorch
_BY_NAME |= {f"{name}_loss": _BY_NAME[name] for name in _WITH_SUFFIX}


def get(loss: str | Loss) -> Loss:
    """Return a new loss of that name, or the loss itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Loss = made("loss", loss, Loss, _BY_NAME)
    return found
