"""Callbacks: what a fit calls at its begin and end, at its epochs and batches."""

from __future__ import annotations

from fastnn.callbacks.checkpoint import ModelCheckpoint
from fastnn.callbacks.contract import Callback
from fastnn.callbacks.diagnosis import Diagnosis
from fastnn.callbacks.early_stopping import EarlyStopping
from fastnn.callbacks.functions import LambdaCallback
from fastnn.callbacks.limits import TerminateOnNaN, TimeLimit
from fastnn.callbacks.logging_csv import CSVLogger
from fastnn.callbacks.rates import LearningRateMonitor
from fastnn.callbacks.tensorboard import TensorBoard

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
