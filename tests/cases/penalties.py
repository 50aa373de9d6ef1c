"""Cases of penalties and of the sets to which parameters are brought back."""

from typing import Any

import numpy as np

from cases.contract import Arguments, Case, unset
from cases.transforms import flat

KINKS = {"kinks": (0.0,), "kink_at": lambda a: a.w}


def penalty_arguments(**numbers: float):
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw = rng.normal(size=(2, rows * width)).astype(dtype)
        w[::7] = 0
        return {"w": w, "dw": dw, "sums": unset(max(rows // 3, 1), np.float64), **numbers}

    return make


def penalty_size(a: Any) -> np.ndarray:
    return np.abs(a.dw) + a.scale * (a.l1 + 2 * a.l2 * np.abs(a.w))


def norms_arguments(high: float, rate: float):
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w = rng.normal(size=(rows, width)).astype(dtype)
        w[::3] *= 1e-3
        w[:, ::3] *= 1e-3
        if rows > 2:
            w[1] = w[:, width // 2] = 0
        return {"w": w, "low": 0.5, "high": high, "rate": rate}

    return make


PENALTIES = (
    Case("penalty", penalty_arguments(l1=0.3, l2=0.2, scale=0.7), ("dw", "sums"), {"dw": penalty_size}, **KINKS),
    Case("penalty", penalty_arguments(l1=0.0, l2=0.2, scale=1.0), ("dw", "sums"), {"dw": penalty_size}, variant="l2"),
    Case(
        "add_sum",
        lambda rows, width, dtype, rng: {"sums": rng.uniform(1, 2, rows + 1), "total": np.array([0.5])},
        ("total",),
    ),
    Case("bound_column_norms", norms_arguments(2.0, 1.0), ("w",)),
    Case("bound_column_norms", norms_arguments(0.5, 0.3), ("w",), variant="rate"),
    Case("bound_row_norms", norms_arguments(2.0, 1.0), ("w",)),
    Case("bound_row_norms", norms_arguments(0.5, 0.3), ("w",), variant="rate"),
    flat("bound", ("w",), "w", low=-0.5, high=0.7),
    flat("bound", ("w",), "w", low=0.0, high=float("inf"), variant="one side"),
)
