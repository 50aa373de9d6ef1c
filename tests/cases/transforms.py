"""Cases of what is done to gradients and parameters beside an optimizer's step, and of batches."""

from typing import Any

import numpy as np

from cases.contract import Arguments, Case, Scale, unset
from fastnn import reference


def flat(
    op: str, outputs: tuple[str, ...], *arrays: str, variant: str = "", scale: Scale | None = None, **numbers: Any
):
    """The row of a kernel of flat arrays, which are all inputs, the first also an output, and of numbers."""

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = rng.normal(size=(len(arrays), rows * width)).astype(dtype)
        return {**dict(zip(arrays, made, strict=True)), **numbers}

    return Case(op, make, outputs, {} if scale is None else {arrays[0]: scale}, variant=variant)


def block_squares_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    n = rows * width
    return {"g": rng.normal(size=n).astype(dtype), "sums": unset(-(-n // reference.SQUARES), np.float64)}


def norm_factor_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    sums = rng.uniform(1, 9, rows)
    return {"sums": sums, "limit": 0.5, "norm": unset(1, np.float64), "factor": unset(1, np.float64)}


def follow_schedule_arguments(advances: bool):
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        place = {"step": np.array([5.0]), "first": 4.0, "table": rng.normal(size=rows + 5)}
        return {**place, "number": unset(1, np.float64), "advances": advances}

    return make


TRANSFORMS = (
    flat("accumulate", ("total",), "total", "g", scale=lambda a: np.abs(a.total) + np.abs(a.g)),
    flat("scale", ("g",), "g", factor=0.3),
    flat("scale", ("g",), "g", factor=1.0, variant="by 1"),
    flat("clip_values", ("g",), "g", limit=0.7),
    Case("block_squares", block_squares_arguments, ("sums",)),
    Case("norm_factor", norm_factor_arguments, ("norm", "factor")),
    flat("guard_numbers", (), "g"),
    Case("clear", lambda rows, width, dtype, rng: {"x": unset(rows * width, dtype)}, ("x",)),
    flat("approach", ("x",), "x", "y", rate=0.3, scale=lambda a: np.abs(a.x) + a.rate * (np.abs(a.x) + np.abs(a.y))),
    flat("approach", ("x",), "x", "y", rate=1.0, variant="by 1"),
    flat("approach", ("x",), "x", "y", rate=0.0, variant="by 0"),
    *(
        Case(
            "ema_rate",
            lambda rows, width, dtype, rng, step=step, corrected=corrected: {
                "step": np.array([step]),
                "rate": unset(1, np.float64),
                "decay": 0.9,
                "corrected": corrected,
            },
            ("step", "rate"),
            variant=f"{'corrected, ' if corrected else ''}step {step:g}",
            idle=() if step else ("decay",),
        )
        for step in (0.0, 4.0)
        for corrected in (False, True)
    ),
    *(
        Case(
            "swa_rate",
            lambda rows, width, dtype, rng, step=step, n=n: {
                "step": np.array([step]),
                "n": np.array([n]),
                "rate": unset(1, np.float64),
                "start": 3.0,
                "every": 2.0,
            },
            ("step", "n", "rate"),
            variant=f"step {step:g}",
            idle=idle,
        )
        for step, n, idle in (
            (1.0, 0.0, ("start", "every")),
            (3.0, 0.0, ("start",)),
            (4.0, 0.0, ("every",)),
            (5.0, 1.0, ("start",)),
            (6.0, 1.0, ("every",)),
        )
    ),
    Case(
        "multiply_numbers",
        lambda rows, width, dtype, rng: {"a": rows + 0.5, "b": -width / 3, "product": unset(1, np.float64)},
        ("product",),
    ),
    Case("follow_schedule", follow_schedule_arguments(False), ("step", "number")),
    Case("follow_schedule", follow_schedule_arguments(True), ("step", "number"), variant="advances"),
    Case("every", lambda rows, width, dtype, rng: {"count": np.array([1.0]), "k": 4.0}, ("count",)),
)

GUARDS = {"norm_factor", "guard_numbers"}  # which raise an error where their inputs are not finite


# Batches


def gather_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    x = rng.normal(size=(rows + 4, width)).astype(dtype)
    return {"x": x, **gather_index(rows, rng), "y": unset((rows, width), dtype)}


def gather_label_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    x = rng.integers(0, width, rows + 4)
    return {"x": x, **gather_index(rows, rng), "y": unset(rows, np.int64)}


def gather_index(rows: int, rng: np.random.Generator) -> Arguments:
    return {"index": rng.integers(0, rows + 4, rows + 5), "cursor": np.array([5])}


GATHER = (
    Case("gather_rows", gather_arguments, ("y",)),
    Case("gather_labels", gather_label_arguments, ("y",)),
)
