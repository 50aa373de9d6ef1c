"""Files of models, written and read without running anything that stands in them; weights of other libraries."""

from fastnn.formats.c_source import to_c
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.files import load, save
from fastnn.formats.numpy_source import to_numpy_source
from fastnn.formats.onnx_export import to_onnx
from fastnn.formats.onnx_import import from_onnx
from fastnn.formats.weights import from_jax, from_keras, from_numpy, from_sklearn, from_torch, to_sklearn, to_torch

__all__ = [
    "ModelFormatError",
    "from_jax",
    "from_keras",
    "from_numpy",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "load",
    "save",
    "to_c",
    "to_numpy_source",
    "to_onnx",
    "to_sklearn",
    "to_torch",
]
