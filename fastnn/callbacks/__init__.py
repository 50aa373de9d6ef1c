"""Callbacks: what a fit calls at its begin and end, at its epochs and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import schedules
from fastnn.callbacks.checkpoint import ModelCheckpoint
from fastnn.callbacks.contract import Callback
from fastnn.callbacks.diagnosis import Diagnosis
from fastnn.callbacks.early_stopping import EarlyStopping
from fastnn.callbacks.functions import LambdaCallback
from fastnn.callbacks.limits import TerminateOnNaN, TimeLimit
from fastnn.callbacks.logging_csv import CSVLogger
from fastnn.callbacks.rates import LearningRateMonitor
from fastnn.callbacks.tensorboard import TensorBoard
from fastnn.words import no_export

if not TYPE_CHECKING:

    def __getattr__(name):
        """Say what it is called here, or why it is not there."""
        raise no_export(__name__, name, __all__, [schedules.get])


__all__ = [
    "CSVLogger",
    "Callback",
    "Diagnosis",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "TensorBoard",
    "TerminateOnNaN",
    "TimeLimit",
]
