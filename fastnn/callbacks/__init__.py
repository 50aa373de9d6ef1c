"""Callbacks: what a fit calls at its begin and end, at its epochs and batches."""

from __future__ import annotations

from fastnn.callbacks.contract import Callback
from fastnn.callbacks.early_stopping import EarlyStopping

__all__ = [
    "Callback",
    "EarlyStopping",
]
