"""Weights of other libraries: read into models, and written for them."""

from fastnn.formats.weights.keras_models import from_keras
from fastnn.formats.weights.plain import from_jax, from_numpy
from fastnn.formats.weights.pytorch import from_torch
from fastnn.formats.weights.scikit import from_sklearn
from fastnn.formats.weights.to_pytorch import to_torch
from fastnn.formats.weights.to_scikit import to_sklearn

__all__ = [
    "from_jax",
    "from_keras",
    "from_numpy",
    "from_sklearn",
    "from_torch",
    "to_sklearn",
    "to_torch",
]
