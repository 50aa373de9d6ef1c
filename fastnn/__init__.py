"""Dense neural networks on the CPU, from NumPy, as fast as the processor allows."""

__version__ = "0.1.0"

from fastnn import activations, callbacks, datasets, initializers, kernels, layers, losses, optimizers, reference
from fastnn._core.tape import Tape
from fastnn.activations import (
    ELU,
    GELU,
    SELU,
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
from fastnn.callbacks import EarlyStopping
from fastnn.config import show_config
from fastnn.history import History
from fastnn.layer import Layer
from fastnn.layers import Dense, Linear
from fastnn.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam, Optimizer

__all__ = [
    "ELU", "GELU", "MAE", "MSE", "SELU", "SGD", "Adam", "BinaryCrossEntropy", "CrossEntropy", "Dense",
    "EarlyStopping", "HardSigmoid", "HardTanh", "History", "Huber", "Identity", "Layer", "LeakyReLU", "Linear",
    "LogSoftmax", "Loss", "Mish", "Model", "Optimizer", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign",
    "Tanh", "Tape", "activations", "callbacks", "datasets", "initializers", "kernels", "layers", "losses",
    "optimizers", "reference", "show_config",
]  # fmt: skip
