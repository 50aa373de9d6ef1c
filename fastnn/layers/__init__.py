"""Layers: what a model consists of."""

from fastnn.layers.activations import (
    CELU,
    ELU,
    GEGLU,
    GELU,
    GLU,
    SELU,
    Activation,
    Bilinear,
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
    PReLU,
    QuickGELU,
    ReGLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sine,
    Snake,
    Softmax,
    Softmin,
    Softplus,
    SoftShrink,
    Softsign,
    Sparsemax,
    SparsePlus,
    Squareplus,
    SwiGLU,
    Tanh,
    TanhShrink,
    Threshold,
)
from fastnn.layers.bfloat16 import BFloat16Dense
from fastnn.layers.bins import PiecewiseLinearEmbedding
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
from fastnn.layers.ensemble import BatchEnsemble, MeanOfMembers, Members
from fastnn.layers.function import (
    Lambda,
)
from fastnn.layers.grouped import GroupedDense
from fastnn.layers.int8 import Int8Dense
from fastnn.layers.maxout import (
    Maxout,
)
from fastnn.layers.normalization import (
    BatchNorm,
    LayerNorm,
    RMSNorm,
)
from fastnn.layers.panels import PanelDense
from fastnn.layers.parametric import ParametricActivation
from fastnn.layers.passes import Run
from fastnn.layers.periodic import PBLDEmbedding, PLREmbedding
from fastnn.layers.shape import (
    Flatten,
    Reshape,
)
from fastnn.layers.standardize import Normalization

__all__ = [
    "CELU",
    "ELU",
    "GEGLU",
    "GELU",
    "GLU",
    "SELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "BFloat16Dense",
    "BatchEnsemble",
    "BatchNorm",
    "Bias",
    "Bilinear",
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
    "GroupedDense",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "Int8Dense",
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LiSHT",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "MeanOfMembers",
    "Members",
    "Mish",
    "Normalization",
    "OneHot",
    "PBLDEmbedding",
    "PLREmbedding",
    "PReLU",
    "PanelDense",
    "Parallel",
    "ParametricActivation",
    "PiecewiseLinearEmbedding",
    "QuickGELU",
    "RMSNorm",
    "ReGLU",
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
    "Softmin",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "Sparsemax",
    "Squareplus",
    "SwiGLU",
    "Tanh",
    "TanhShrink",
    "Threshold",
]
