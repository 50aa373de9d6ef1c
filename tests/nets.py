"""The activations, losses and optimizers of whole nets, one table each, and data for them."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from custom import OwnSigmoid

import fastnn
from fastnn import (
    EMA,
    LAMB,
    MAE,
    MSE,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Huber,
    Layer,
    Lion,
    LogSoftmax,
    Loss,
    Model,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    ScheduleFreeAdamW,
    Sigmoid,
    Softmax,
)
from fastnn.layers.activations import BY_NAME

DTYPES = ("float32", "float64")
FEATURES, OUTPUTS = 4, 3
_STEP = 1e-5  # of a numerical derivative

# Every activation that has a name, once; synonyms are tested on their own.
ACTIVATIONS = ("gelu_tanh", *{kind: name for name, kind in reversed(BY_NAME.items())}.values())


@dataclass(frozen=True)
class Task:
    """A loss, the layers that a net for it ends in, and targets for (predictions, rng)."""

    name: str
    loss: Callable[[], Loss]
    end: Callable[[], list[Layer]]
    targets: Callable[[np.ndarray, np.random.Generator], np.ndarray]

    def __str__(self) -> str:
        return self.name


def at_a_distance(predictions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers that differ from the predictions by no kink of a loss: neither by 0 nor by Huber's delta of 1."""
    return predictions + rng.choice([-1.7, -0.6, 0.3, 0.8, 1.4], predictions.shape)


def fractions(predictions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 1, predictions.shape)


def labels(predictions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, predictions.shape[1], len(predictions))


def probabilities(predictions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(predictions.shape[1]), len(predictions))


def nothing() -> list[Layer]:
    return []


TASKS = (
    Task("mse", MSE, nothing, at_a_distance),
    Task("mae", MAE, nothing, at_a_distance),
    Task("huber", Huber, nothing, at_a_distance),
    Task("softmax-mse", MSE, lambda: [Softmax()], at_a_distance),
    Task("log_softmax-mae", MAE, lambda: [LogSoftmax()], at_a_distance),
    Task("sigmoid-bce", BinaryCrossEntropy, lambda: [Sigmoid()], fractions),
    Task("bce-from-logits", lambda: BinaryCrossEntropy(from_logits=True), nothing, fractions),
    Task("softmax-bce", BinaryCrossEntropy, lambda: [Softmax()], fractions),
    Task("softmax-labels", CrossEntropy, lambda: [Softmax()], labels),
    Task("softmax-rows", CrossEntropy, lambda: [Softmax()], probabilities),
    Task("log_softmax-labels", CrossEntropy, lambda: [LogSoftmax()], labels),
    Task("labels-from-logits", lambda: CrossEntropy(from_logits=True), nothing, labels),
    Task("rows-from-logits", lambda: CrossEntropy(from_logits=True), nothing, probabilities),
    Task("own-labels", CrossEntropy, lambda: [OwnSigmoid()], labels),
    Task("own-rows", CrossEntropy, lambda: [OwnSigmoid()], probabilities),
)
TASK = {task.name: task for task in TASKS}

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(lr=0.1),
    "sgd-decay": lambda: SGD(lr=0.1, weight_decay=0.01),
    "momentum": lambda: SGD(lr=0.05, momentum=0.9),
    "momentum-decay": lambda: SGD(lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "dampening": lambda: SGD(lr=0.05, momentum=0.9, weight_decay=0.01, dampening=0.3),
    "lion": lambda: Lion(lr=0.003),
    "lion-decay": lambda: Lion(lr=0.003, weight_decay=0.1),
    "rprop": lambda: Rprop(lr=0.003),
    "rmsprop": lambda: RMSprop(lr=0.01),
    "rmsprop-all": lambda: RMSprop(lr=0.01, momentum=0.9, weight_decay=0.1, centered=True),
    "adam": lambda: Adam(lr=0.01),
    "adam-decoupled": lambda: AdamW(lr=0.01, weight_decay=0.1),
    "adam-coupled": lambda: Adam(lr=0.01, weight_decay=0.1),
    "amsgrad": lambda: Adam(lr=0.01, amsgrad=True),
    "adam-eps-hat": lambda: Adam(lr=0.01, eps=1e-3, eps_hat=True),
    "amsgrad-decoupled": lambda: AdamW(lr=0.01, weight_decay=0.1, amsgrad=True),
    "nadam": lambda: NAdam(lr=0.01),
    "nadam-decoupled": lambda: NAdam(lr=0.01, weight_decay=0.1, decoupled=True),
    "radam": lambda: RAdam(lr=0.01),
    "radam-decoupled": lambda: RAdam(lr=0.01, weight_decay=0.1, decoupled=True),
    "adamax": lambda: Adamax(lr=0.01, weight_decay=0.01),
    "lamb": lambda: LAMB(lr=0.01),
    "lamb-decay": lambda: LAMB(lr=0.01, weight_decay=0.1),
    "schedule-free": lambda: ScheduleFreeAdamW(lr=0.01),
    "schedule-free-decay": lambda: ScheduleFreeAdamW(lr=0.01, weight_decay=0.1),
    "ema": lambda: Adam(lr=0.01, average=EMA(0.9)),
    "swa": lambda: SGD(lr=0.05, momentum=0.9, average=SWA(1, 2, "step")),
    "adagrad": lambda: Adagrad(lr=0.05),
    "adagrad-all": lambda: Adagrad(lr=0.05, lr_decay=0.01, weight_decay=0.01, initial_accumulator_value=0.1),
    "adadelta": lambda: Adadelta(lr=1.0, weight_decay=0.01),
}

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_task = pytest.mark.parametrize("task", TASKS, ids=str)
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def small_net(activation: str = "tanh", task: Task = TASKS[0], dtype: str = "float64", seed: int = 0) -> Model:
    """A net with the activation behind a dense product, where it may be fused, and behind another layer."""
    layers = [Dense(5, activation), Dense(4, "tanh"), layer_of(activation), Dense(OUTPUTS), *task.end()]
    return Model(layers, seed=seed, dtype=dtype)


def layer_of(activation: str) -> Layer:
    return Dense(1, activation).activation


def data(task: Task = TASKS[0], rows: int = 21, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random features and targets, of which the task does not depend on a net."""
    rng = np.random.default_rng([seed, rows])
    x = rng.normal(size=(rows, FEATURES))
    return x, task.targets(rng.normal(size=(rows, OUTPUTS)), rng)


def through_a_file(net: Model, custom: object = None, **options: object) -> Model:
    """The model that a file of it holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        net.save(path, custom)
        return fastnn.load(path, custom, **options)


def memory_of(net: Model) -> dict[str, np.ndarray]:
    """What the model's optimizer remembers."""
    return {} if net.optimizer is None else net._trainer.state.memories.get(net.optimizer) or {}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit: also the signs of zeros, and NaN is equal to itself."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def numerical_gradient(objective: Callable[[], float], x: np.ndarray) -> np.ndarray:
    """The central differences of the objective, which reads x, with respect to every number of x."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        here = x[i]
        x[i] = here + _STEP
        above, distance = objective(), x[i]
        x[i] = here - _STEP
        gradient[i] = (above - objective()) / (distance - x[i])
        x[i] = here
    return gradient
