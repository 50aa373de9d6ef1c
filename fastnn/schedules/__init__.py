"""Schedules: numbers that follow the steps, or epochs, of a training."""

from __future__ import annotations

from fastnn.checks import lookup
from fastnn.schedules.contract import Constant, Function, Product, Schedule, Sequence
from fastnn.schedules.cycles import CosineRestarts, Coslog, CycledMomentum, OneCycle
from fastnn.schedules.decays import (
    Cosine,
    CosineWarmup,
    ExponentialDecay,
    FlatThenDecay,
    InverseScaling,
    InverseSquareRoot,
    Linear,
    LinearWarmup,
    MultiStepDecay,
    PolynomialDecay,
    StepDecay,
)
from fastnn.schedules.plateau import ReduceOnPlateau

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "CosineWarmup",
    "Coslog",
    "CycledMomentum",
    "ExponentialDecay",
    "FlatThenDecay",
    "Function",
    "InverseScaling",
    "InverseSquareRoot",
    "Linear",
    "LinearWarmup",
    "MultiStepDecay",
    "OneCycle",
    "PolynomialDecay",
    "Product",
    "ReduceOnPlateau",
    "Schedule",
    "Sequence",
    "StepDecay",
    "get",
]

_BY_NAME: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": StepDecay,
    "step_decay": StepDecay,
    "multi_step": MultiStepDecay,
    "multi_step_decay": MultiStepDecay,
    "exponential": ExponentialDecay,
    "exponential_decay": ExponentialDecay,
    "polynomial": PolynomialDecay,
    "polynomial_decay": PolynomialDecay,
    "linear": Linear,
    "inverse_scaling": InverseScaling,
    "invscaling": InverseScaling,
    "inverse_square_root": InverseSquareRoot,
    "cosine": Cosine,
    "cosine_decay": Cosine,
    "cosine_annealing": Cosine,
    "cosine_restarts": CosineRestarts,
    "cosine_decay_restarts": CosineRestarts,
    "cosine_annealing_warm_restarts": CosineRestarts,
    "linear_warmup": LinearWarmup,
    "cosine_warmup": CosineWarmup,
    "one_cycle": OneCycle,
    "coslog": Coslog,
    "flat_then_decay": FlatThenDecay,
    "flat_cos": FlatThenDecay,
    "reduce_on_plateau": ReduceOnPlateau,
    "reduce_lr_on_plateau": ReduceOnPlateau,
    "function": Function,
}


def get(name: str) -> type[Schedule]:
    """Return the class of schedules of that name, its own or that of PyTorch, Keras or scikit-learn.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.

    Examples
    --------
    >>> from fastnn import schedules
    >>> schedules.get("CosineDecay")(steps=100)
    Cosine(steps=100)
    """
    return lookup("schedule", name.removesuffix("LR") if isinstance(name, str) else name, _BY_NAME)  # PyTorch's StepLR
