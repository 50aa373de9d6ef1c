"""Twenty steps of each optimizer as others take them: PyTorch, or the formulas of a paper in plain NumPy.

    python tests/trajectories.py

writes tests/data/trajectories.csv, where PyTorch is installed.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import (
    LAMB,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    ScheduleFreeAdamW,
)

RECORDED = Path(__file__).with_name("data") / "trajectories.csv"
START, STEPS = (1.0, -2.0, 0.5), 20

Gradient = Callable[[np.ndarray, int], np.ndarray]


def gradient(w: np.ndarray, k: int) -> np.ndarray:
    """Return the gradient of step k: it depends on the parameters, changes its sign, and never vanishes for long."""
    return np.sin(3 * w + k) + 0.1 * k


@dataclass(frozen=True)
class Rule:
    """An optimizer, and who else has it: a class of torch.optim with options, or a function of start and gradient."""

    name: str
    make: Callable[[], Optimizer]
    other: str | Callable[[np.ndarray, Gradient], list[np.ndarray]]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def rtol(self) -> float:
        return 1e-6 if self.other == "NAdam" else 1e-10  # its product of momenta is of float32 in PyTorch

    def __str__(self) -> str:
        return self.name


def lion_of_the_paper(w: np.ndarray, gradient: Gradient) -> list[np.ndarray]:
    """Chen et al. 2023, algorithm 2, with rate 0.02, decay 0.1 and its betas."""
    m, found = np.zeros_like(w), []
    for k in range(STEPS):
        g = gradient(w, k)
        c = 0.9 * m + (1 - 0.9) * g
        w = w - 0.02 * (np.sign(c) + 0.1 * w)
        m = 0.99 * m + (1 - 0.99) * g
        found.append(w)
    return found


def lamb_of_the_paper(w: np.ndarray, gradient: Gradient) -> list[np.ndarray]:
    """You et al. 2020, algorithm 2, with rate 0.1, decay 0.1, its betas, eps 1e-6, and phi(z) = z."""
    m, v, found = np.zeros_like(w), np.zeros_like(w), []
    for t in range(1, STEPS + 1):
        g = gradient(w, t - 1)
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
        w = w - 0.1 * np.linalg.norm(w) / np.linalg.norm(r + 0.1 * w) * (r + 0.1 * w)
        found.append(w)
    return found


def schedule_free_of_the_paper(w: np.ndarray, gradient: Gradient) -> list[np.ndarray]:
    """Defazio et al. 2024, algorithm 1, with rate 0.05, decay 0.1, beta1 0.8 and beta2 0.95.

    As in its authors' schedulefree 1.4: v is divided by 1 - beta2^t, and steps weigh as the rate squared, all alike.
    """
    y, z, v, found = w.copy(), w.copy(), np.zeros_like(w), []
    for t in range(1, STEPS + 1):
        g = gradient(y, t - 1)
        v = 0.95 * v + (1 - 0.95) * g**2
        d = g / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.1 * y
        y = y + 1 / t * (z - y) + 0.05 * (0.8 * (1 - 1 / t) - 1) * d
        z = z - 0.05 * d
        found.append(y)
    return found


# Those of PyTorch begin with its defaults.
RULES = (
    Rule("sgd", lambda: SGD(0.1), "SGD", {"lr": 0.1}),
    Rule(
        "sgd, momentum",
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.1),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    ),
    Rule(
        "sgd, dampening",
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.1, dampening=0.4),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "dampening": 0.4},
    ),
    Rule(
        "sgd, nesterov",
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    ),
    Rule("lion", lambda: Lion(0.02, weight_decay=0.1), lion_of_the_paper),
    Rule("lamb", lambda: LAMB(0.1, weight_decay=0.1), lamb_of_the_paper),
    Rule(
        "schedule_free_adamw",
        lambda: ScheduleFreeAdamW(0.05, beta1=0.8, beta2=0.95, weight_decay=0.1),
        schedule_free_of_the_paper,
    ),
    Rule("rprop", Rprop, "Rprop"),
    Rule(
        "rprop, bounds",
        lambda: Rprop(0.1, eta_minus=0.3, eta_plus=1.5, min_step=0.05, max_step=0.3),
        "Rprop",
        {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.3)},
    ),
    Rule("rmsprop", RMSprop, "RMSprop"),
    Rule(
        "rmsprop, all",
        lambda: RMSprop(0.05, alpha=0.8, eps=1e-3, weight_decay=0.1, momentum=0.5, centered=True),
        "RMSprop",
        {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.5, "centered": True},
    ),
    Rule("adagrad", Adagrad, "Adagrad"),
    Rule(
        "adagrad, all",
        lambda: Adagrad(0.5, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.2, eps=1e-3),
        "Adagrad",
        {"lr": 0.5, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-3},
    ),
    Rule("adadelta", Adadelta, "Adadelta"),
    Rule(
        "adadelta, all",
        lambda: Adadelta(2.0, rho=0.7, eps=1e-3, weight_decay=0.1),
        "Adadelta",
        {"lr": 2.0, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1},
    ),
    Rule("adam", Adam, "Adam"),
    Rule("adam, coupled", lambda: Adam(0.1, weight_decay=0.1), "Adam", {"lr": 0.1, "weight_decay": 0.1}),
    Rule(
        "adam, amsgrad",
        lambda: Adam(0.1, beta1=0.8, beta2=0.7, eps=1e-3, weight_decay=0.1, amsgrad=True),
        "Adam",
        {"lr": 0.1, "betas": (0.8, 0.7), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True},
    ),
    Rule("adamw", AdamW, "AdamW"),
    Rule(
        "adamw, all",
        lambda: AdamW(0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.1),
        "AdamW",
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    Rule(
        "adamw, amsgrad",
        lambda: AdamW(0.1, beta2=0.7, weight_decay=0.1, amsgrad=True),
        "AdamW",
        {"lr": 0.1, "betas": (0.9, 0.7), "weight_decay": 0.1, "amsgrad": True},
    ),
    Rule("nadam", NAdam, "NAdam"),
    Rule(
        "nadam, coupled",
        lambda: NAdam(0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.1, momentum_decay=0.1),
        "NAdam",
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1},
    ),
    Rule(
        "nadam, decoupled",
        lambda: NAdam(0.1, weight_decay=0.1, decoupled=True),
        "NAdam",
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    Rule("radam", RAdam, "RAdam"),
    Rule(
        "radam, coupled",
        lambda: RAdam(0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.1),
        "RAdam",
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    Rule(
        "radam, decoupled",
        lambda: RAdam(0.1, weight_decay=0.1, decoupled=True),
        "RAdam",
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    Rule("adamax", Adamax, "Adamax"),
    Rule(
        "adamax, all",
        lambda: Adamax(0.1, beta1=0.8, beta2=0.7, eps=1e-3, weight_decay=0.1),
        "Adamax",
        {"lr": 0.1, "betas": (0.8, 0.7), "eps": 1e-3, "weight_decay": 0.1},
    ),
)


def by_others(rule: Rule) -> np.ndarray:
    """Return the parameters after each step, (steps, numbers)."""
    if not isinstance(rule.other, str):
        return np.array(rule.other(np.array(START), gradient))
    import torch

    w = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer, found = getattr(torch.optim, rule.other)([w], **rule.options), []
    for k in range(STEPS):
        w.grad = torch.from_numpy(gradient(w.detach().numpy(), k))
        optimizer.step()
        found.append(w.detach().numpy().copy())
    return np.array(found)


def recorded() -> dict[str, np.ndarray]:
    """Return the parameters after each step, by the names of the rules."""
    found: dict[str, list[list[float]]] = {}
    with RECORDED.open(encoding="utf-8", newline="") as file:
        for name, *w in csv.reader(file):
            found.setdefault(name, []).append([float(number) for number in w])
    return {name: np.array(steps) for name, steps in found.items()}


if __name__ == "__main__":
    rows = [[rule.name, *w] for rule in RULES for w in by_others(rule).tolist()]
    RECORDED.parent.mkdir(exist_ok=True)
    with RECORDED.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
