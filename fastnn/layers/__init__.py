"""Layers: what a model consists of."""

from fastnn.layers.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    HardSigmoid,
    HardTanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from fastnn.layers.columns import Columns, Embedding, OneHot
from fastnn.layers.containers import (
    Add,
    Concatenate,
    Parallel,
    Residual,
    Sequential,
)
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.dense import Dense, Linear
from fastnn.layers.dropout import Dropout
from fastnn.layers.normalization import BatchNorm, LayerNorm
from fastnn.layers.passes import Run
from fastnn.layers.standardize import Normalization

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Add",
    "BatchNorm",
    "Code",
    "Columns",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "HardSigmoid",
    "HardTanh",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Mish",
    "Normalization",
    "OneHot",
    "Parallel",
    "ReLU",
    "Residual",
    "Run",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]
