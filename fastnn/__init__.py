"""Dense neural networks on the CPU, from NumPy, as fast as the processor allows."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING

from fastnn import initializers, kernels, layers, losses, optimizers
from fastnn._core.tape import Tape
from fastnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Add,
    BatchNorm,
    Columns,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    HardSigmoid,
    HardTanh,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Mish,
    Normalization,
    OneHot,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    activations,
)
from fastnn.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss
from fastnn.model import Model
from fastnn.optimizers import (
    EMA,
    LAMB,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Group,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    ScheduleFreeAdamW,
)
from fastnn.training import callbacks
from fastnn.training.callbacks import EarlyStopping
from fastnn.training.history import History

if TYPE_CHECKING:
    from fastnn import datasets, reference
    from fastnn.config import show_config
    from fastnn.many import fit_many
else:

    def __getattr__(name):
        """Import what most programs do not need when it is asked for."""
        from importlib import import_module

        if name in ("datasets", "reference"):
            return import_module(f"fastnn.{name}")
        if name in ("show_config", "fit_many"):
            return getattr(import_module({"show_config": "fastnn.config", "fit_many": "fastnn.many"}[name]), name)
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "CELU",
    "ELU",
    "EMA",
    "GELU",
    "LAMB",
    "MAE",
    "MSE",
    "SELU",
    "SGD",
    "SWA",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Add",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Columns",
    "Concatenate",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Group",
    "HardSigmoid",
    "HardTanh",
    "History",
    "Huber",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Lion",
    "LogSoftmax",
    "Loss",
    "Mish",
    "Model",
    "NAdam",
    "Normalization",
    "OneHot",
    "Optimizer",
    "Parallel",
    "RAdam",
    "RMSprop",
    "ReLU",
    "Residual",
    "Rprop",
    "ScheduleFreeAdamW",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tape",
    "activations",
    "callbacks",
    "datasets",
    "fit_many",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "optimizers",
    "reference",
    "show_config",
]
