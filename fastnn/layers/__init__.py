"""Layers: what a model consists of."""

from fastnn.layers.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    LeakyReLU,
    LiSHT,
    LogSigmoid,
    LogSoftmax,
    Mish,
    QuickGELU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sine,
    Snake,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    SparsePlus,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
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
from fastnn.layers.diagonal import (
    Bias,
    Scale,
)
from fastnn.layers.dropout import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from fastnn.layers.function import (
    Lambda,
)
from fastnn.layers.maxout import (
    Maxout,
)
from fastnn.layers.normalization import (
    BatchNorm,
    LayerNorm,
    RMSNorm,
)
from fastnn.layers.passes import Run
from fastnn.layers.shape import (
    Flatten,
    Reshape,
)
from fastnn.layers.standardize import Normalization

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "BatchNorm",
    "Bias",
    "Code",
    "Columns",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Exponential",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LiSHT",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "Normalization",
    "OneHot",
    "Parallel",
    "QuickGELU",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "Run",
    "Scale",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sine",
    "Snake",
    "SoftShrink",
    "Softmax",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "Squareplus",
    "Tanh",
    "TanhShrink",
    "Threshold",
]
