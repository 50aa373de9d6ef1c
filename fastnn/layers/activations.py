"""Activations: each is a layer, and also a name that Dense accepts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastnn.layers.activation import BY_NAME, Activation, in_a_product
from fastnn.layers.contract import Layer
from fastnn.layers.gated import GEGLU, GLU, Bilinear, ReGLU, SwiGLU
from fastnn.layers.of_rows import LogSoftmax, Softmax, Softmin, Sparsemax
from fastnn.layers.piecewise import (
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    LeakyReLU,
    ReLU,
    ReLU6,
    SoftShrink,
    SparsePlus,
    Threshold,
)
from fastnn.layers.prelu import PReLU
from fastnn.layers.smooth import (
    CELU,
    ELU,
    GELU,
    SELU,
    Exponential,
    LiSHT,
    LogSigmoid,
    Mish,
    QuickGELU,
    Sigmoid,
    SiLU,
    Sine,
    Snake,
    Softplus,
    Softsign,
    Squareplus,
    Tanh,
    TanhShrink,
)
from fastnn.settings import made

__all__ = [
    "BY_NAME",
    "CELU",
    "ELU",
    "GEGLU",
    "GELU",
    "GLU",
    "SELU",
    "Activation",
    "Bilinear",
    "Exponential",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "LeakyReLU",
    "LiSHT",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "QuickGELU",
    "ReGLU",
    "ReLU",
    "ReLU6",
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
    "get",
    "in_a_product",
]

BY_NAME |= {
    "identity": Identity,
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": LeakyReLU,
    "threshold": Threshold,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "gelu": GELU,
    "quick_gelu": QuickGELU,
    "silu": SiLU,
    "hard_swish": HardSwish,
    "mish": Mish,
    "softplus": Softplus,
    "squareplus": Squareplus,
    "sparse_plus": SparsePlus,
    "exponential": Exponential,
    "sigmoid": Sigmoid,
    "log_sigmoid": LogSigmoid,
    "hard_sigmoid": HardSigmoid,
    "tanh": Tanh,
    "hard_tanh": HardTanh,
    "tanh_shrink": TanhShrink,
    "lisht": LiSHT,
    "softsign": Softsign,
    "hard_shrink": HardShrink,
    "soft_shrink": SoftShrink,
    "sine": Sine,
    "snake": Snake,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "sparsemax": Sparsemax,
    # of other libraries
    "linear": Identity,
    "swish": SiLU,
    "hard_silu": HardSwish,
    "logistic": Sigmoid,
    "exp": Exponential,
    "sin": Sine,
}
_WITH_SETTINGS: dict[str, Callable[[], Layer]] = {
    "gelu_tanh": partial(GELU, "tanh"),
    "sparse_sigmoid": partial(HardSigmoid, 0.5),
    # no rows of the table of activations
    "softmin": Softmin,
    "prelu": PReLU,
    "glu": GLU,
    "swiglu": SwiGLU,
    "geglu": GEGLU,
    "reglu": ReGLU,
    "bilinear": Bilinear,
}


def get(activation: str | Layer) -> Layer:
    """Return a new activation of that name, or the layer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Layer = made("activation", activation, Layer, {**BY_NAME, **_WITH_SETTINGS})
    return found
