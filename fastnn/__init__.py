"""Dense neural networks on the CPU, from NumPy, as fast as the processor allows."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING

from fastnn import initializers, kernels, layers, losses, optimizers, schedules
from fastnn._core.tape import Tape
from fastnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Add,
    AlphaDropout,
    BatchNorm,
    Bias,
    Columns,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    HardSigmoid,
    HardTanh,
    Identity,
    Lambda,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Maxout,
    Mish,
    Normalization,
    OneHot,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Scale,
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
    LBFGS,
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
from fastnn.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    CosineWarmup,
    Coslog,
    ExponentialDecay,
    FlatThenDecay,
    Function,
    InverseScaling,
    InverseSquareRoot,
    LinearWarmup,
    MultiStepDecay,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    StepDecay,
)
from fastnn.training import callbacks
from fastnn.training.callbacks import EarlyStopping
from fastnn.training.history import History

if TYPE_CHECKING:
    from fastnn import datasets, reference
    from fastnn.config import show_config
    from fastnn.many import fit_many
    from fastnn.range_test import lr_find
else:

    def __getattr__(name):
        """Import what most programs do not need when it is asked for."""
        from importlib import import_module

        if name in ("datasets", "reference"):
            return import_module(f"fastnn.{name}")
        module = {"show_config": "config", "fit_many": "many", "lr_find": "range_test"}.get(name)
        if module is not None:
            return getattr(import_module(f"fastnn.{module}"), name)
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "CELU",
    "ELU",
    "EMA",
    "GELU",
    "LAMB",
    "LBFGS",
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
    "AlphaDropout",
    "BatchNorm",
    "Bias",
    "BinaryCrossEntropy",
    "Columns",
    "Concatenate",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "CosineWarmup",
    "Coslog",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "ExponentialDecay",
    "FlatThenDecay",
    "Flatten",
    "Function",
    "GaussianDropout",
    "GaussianNoise",
    "Group",
    "HardSigmoid",
    "HardTanh",
    "History",
    "Huber",
    "Identity",
    "InverseScaling",
    "InverseSquareRoot",
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearWarmup",
    "Lion",
    "LogSoftmax",
    "Loss",
    "Maxout",
    "Mish",
    "Model",
    "MultiStepDecay",
    "NAdam",
    "Normalization",
    "OneCycle",
    "OneHot",
    "Optimizer",
    "Parallel",
    "PolynomialDecay",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "ReduceOnPlateau",
    "Reshape",
    "Residual",
    "Rprop",
    "Scale",
    "ScheduleFreeAdamW",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "StepDecay",
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
    "lr_find",
    "optimizers",
    "reference",
    "schedules",
    "show_config",
]
