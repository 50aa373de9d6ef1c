"""Files of models: written and read without pickle, and without running anything that stands in them."""

from fastnn.formats.errors import ModelFormatError
from fastnn.formats.files import load, save

__all__ = ["ModelFormatError", "load", "save"]
