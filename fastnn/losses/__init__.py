"""Losses: what training makes small."""

from __future__ import annotations

from fastnn.losses.classification import BinaryCrossEntropy, CrossEntropy
from fastnn.losses.contract import Loss
from fastnn.losses.regression import MAE, MSE, Huber
from fastnn.settings import made

__all__ = ["MAE", "MSE", "BinaryCrossEntropy", "CrossEntropy", "Huber", "Loss", "get"]

_BY_NAME: dict[str, type[Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "huber": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "bce": BinaryCrossEntropy,
    "log_loss": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "crossentropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
}


def get(loss: str | Loss) -> Loss:
    """Return a new loss of that name, or the loss itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Loss = made("loss", loss, Loss, _BY_NAME)
    return found
