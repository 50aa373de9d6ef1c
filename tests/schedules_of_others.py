"""Seventy values of each schedule as PyTorch's lr_scheduler, or scikit-learn, gives them for a rate of 1.

    python tests/schedules_of_others.py

writes tests/data/schedules.csv, where PyTorch is installed.
"""

import csv
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import schedules as ours

RECORDED = Path(__file__).with_name("data") / "schedules.csv"
STEPS = 70

Factory = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A schedule, and the class of torch.optim.lr_scheduler with its options; or several, in turn or multiplied."""

    name: str
    schedule: ours.Schedule
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Factory, ...] = ()
    key: str = "lr"

    def __str__(self) -> str:
        return self.name


def of_step(step: int) -> float:
    return 1 / (1 + step % 7)


CYCLE = {"max_lr": 2.0, "total_steps": STEPS}
ROWS = (
    Row("constant", ours.Constant(1 / 3, steps=5) >> 1.0, "ConstantLR"),
    Row("step", ours.StepDecay(0.5, steps=9), "StepLR", {"step_size": 9, "gamma": 0.5}),
    Row("multi-step", ours.MultiStepDecay(steps=[3, 30, 31]), "MultiStepLR", {"milestones": [3, 30, 31]}),
    Row("exponential", ours.ExponentialDecay(0.95), "ExponentialLR", {"gamma": 0.95}),
    Row("polynomial", ours.PolynomialDecay(2.5, steps=40), "PolynomialLR", {"total_iters": 40, "power": 2.5}),
    Row("linear", ours.Linear(1 / 3, 1, steps=5), "LinearLR"),
    Row("warm-up", ours.LinearWarmup(steps=20), "LinearLR", {"total_iters": 20}),
    Row("cosine", ours.Cosine(end=0.1, steps=STEPS), "CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.1}),
    Row("restarts", ours.CosineRestarts(end=0.1, steps=8), "CosineAnnealingWarmRestarts", {"T_0": 8, "eta_min": 0.1}),
    Row("longer restarts", ours.CosineRestarts(3, steps=4), "CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 3}),
    Row("one cycle", ours.OneCycle(2.0, steps=STEPS), "OneCycleLR", CYCLE),
    Row("momentum of one cycle", ours.OneCycle(2.0, steps=STEPS).momentum, "OneCycleLR", CYCLE, key="momentum"),
    Row(
        "three phases",
        ours.OneCycle(2.0, 0.4, "linear", 0.7, 0.8, 10.0, 100.0, True, steps=STEPS),
        "OneCycleLR",
        {
            **CYCLE, "pct_start": 0.4, "anneal_strategy": "linear", "base_momentum": 0.7, "max_momentum": 0.8,
            "div_factor": 10.0, "final_div_factor": 100.0, "three_phase": True,
        },
    ),
    Row("function", ours.Function(of_step), "LambdaLR", {"lr_lambda": of_step}),
    Row(
        "sequence",
        ours.LinearWarmup(0.1, steps=10) >> ours.ExponentialDecay(0.9),
        "SequentialLR",
        {"milestones": [10]},
        (("LinearLR", {"start_factor": 0.1, "total_iters": 10}), ("ExponentialLR", {"gamma": 0.9})),
    ),
    Row(
        "product",
        (ours.Constant(0.5, steps=20) >> 1) * ours.StepDecay(0.9, steps=3) * ours.Cosine(steps=STEPS),
        "ChainedScheduler",
        {},
        (
            ("ConstantLR", {"factor": 0.5, "total_iters": 20}),
            ("StepLR", {"step_size": 3, "gamma": 0.9}),
            ("CosineAnnealingLR", {"T_max": STEPS}),
        ),
    ),
)  # fmt: skip


def by_others(row: Row) -> np.ndarray:
    """Return the values of the first steps."""
    import torch

    def made(name: str, options: dict[str, Any]) -> Any:
        kind: Callable[..., Any] = getattr(torch.optim.lr_scheduler, name)
        return kind(optimizer, **options)

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    parts = [made(*part) for part in row.parts]
    kind = getattr(torch.optim.lr_scheduler, row.kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps without steps of the optimizer
        if row.kind == "ChainedScheduler":
            scheduler = kind(parts)
        else:
            scheduler = kind(optimizer, *([parts] if parts else []), **row.options)
        found = []
        for _ in range(STEPS):
            found.append(float(optimizer.param_groups[0][row.key]))
            if len(found) < STEPS:
                optimizer.step()
                scheduler.step()
    return np.array(found)


def recorded() -> dict[str, np.ndarray]:
    """Return these values, by the names of the rows."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        return {name: np.array(values, float) for name, *values in csv.reader(file)}


if __name__ == "__main__":
    rows = [[row.name, *by_others(row).tolist()] for row in ROWS]
    with RECORDED.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
