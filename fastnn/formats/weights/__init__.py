"""Weights of other libraries: read into models, and written for them."""

from fastnn.formats.weights.plain import from_jax, from_numpy
from fastnn.formats.weights.pytorch import from_torch

__all__ = ["from_jax", "from_numpy", "from_torch"]
