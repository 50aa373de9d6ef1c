"""Cases of kernels of many nets side by side."""

from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, unset
from cases.numbers import size_of, sum_over_rows

NETS = 16  # in the last axis
_IN = 5


def lanes_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, bias: bool = True, n_in: int = _IN
) -> Arguments:
    return {
        "x": rng.normal(size=(rows, n_in, NETS)).astype(dtype),
        "w": rng.normal(size=(n_in, width, NETS)).astype(dtype),
        "b": rng.normal(size=(width, NETS)).astype(dtype) if bias else None,
        "y": unset((rows, width, NETS), dtype),
    }


def lanes_backward_arguments(
    rows: int,
    width: int,
    dtype: type,
    rng: np.random.Generator,
    bias: bool = True,
    dx: bool = True,
    n_in: int = _IN,
) -> Arguments:
    there = lanes_arguments(rows, width, dtype, rng, bias, n_in)
    return {
        "x": there["x"],
        "w": there["w"],
        "dy": rng.normal(size=(rows, width, NETS)).astype(dtype),
        "dx": unset((rows, n_in, NETS), dtype) if dx else None,
        "dw": unset((n_in, width, NETS), dtype),
        "db": unset((width, NETS), dtype) if bias else None,
    }


def forward_scale(a: SimpleNamespace) -> np.ndarray:
    terms = np.einsum("bin,ion->bon", size_of(a.x), size_of(a.w)) + (0 if a.b is None else size_of(a.b))
    return terms * np.sqrt(a.x.shape[1] + 1)


BACKWARD_SCALE = {
    "dx": lambda a: np.einsum("bon,ion->bin", size_of(a.dy), size_of(a.w)) * np.sqrt(a.dy.shape[1]),
    "dw": lambda a: np.einsum("bin,bon->ion", size_of(a.x), size_of(a.dy)) * np.sqrt(len(a.x)),
    "db": lambda a: sum_over_rows(a.dy),
}


def lanes_gather_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator, sets: int = NETS) -> Arguments:
    n, behind = 2 * rows + 3, 4
    return {
        "x": rng.normal(size=(sets, n, width)).astype(dtype),
        "index": rng.integers(0, n, (NETS, behind + rows + 1)),
        "cursor": np.array([behind]),
        "y": unset((rows, width, NETS), dtype),
    }


def lanes_mean_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {"losses": rng.normal(size=(rows * width, NETS)).astype(dtype), "value": unset(NETS, np.float64)}


def lanes_cross_entropy_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {
        "y": rng.normal(0, 3, (rows, width, NETS)).astype(dtype),
        "t": rng.integers(0, width, (rows, NETS)).astype(dtype),
        "dy": unset((rows, width, NETS), dtype),
        "value": unset(NETS, np.float64),
    }


LANES = (
    Case("lanes_dense_forward", lanes_arguments, ("y",), {"y": forward_scale}),
    Case(
        "lanes_dense_forward",
        lambda *given: lanes_arguments(*given, bias=False, n_in=1),
        ("y",),
        {"y": forward_scale},
        variant="without bias",
    ),
    Case(
        "lanes_dense_forward",
        lambda *given: {**lanes_arguments(*given), "relu": True},
        ("y",),
        {"y": forward_scale},
        variant="relu",
    ),
    Case(
        "lanes_dense_backward",
        lanes_backward_arguments,
        ("dx", "dw", "db"),
        BACKWARD_SCALE,
        derivative_of="lanes_dense_forward",
    ),
    Case(
        "lanes_dense_backward",
        lambda *given: lanes_backward_arguments(*given, bias=False, dx=False, n_in=3),
        ("dw",),
        BACKWARD_SCALE,
        variant="dw",
    ),
    Case(
        "lanes_dense_backward",
        lambda *given: {**lanes_backward_arguments(*given), "relu": True},
        ("dx", "dw", "db"),
        BACKWARD_SCALE,
        variant="relu",
    ),
    Case("lanes_gather", lanes_gather_arguments, ("y",)),
    Case("lanes_gather", lambda *given: lanes_gather_arguments(*given, sets=1), ("y",), variant="common rows"),
    Case(
        "lanes_mean",
        lanes_mean_arguments,
        ("value",),
        {"value": lambda a: size_of(a.losses).mean(axis=0) if len(a.losses) else np.zeros(NETS)},
    ),
    Case(
        "lanes_cross_entropy",
        lanes_cross_entropy_arguments,
        ("dy", "value"),
        {
            "dy": lambda a: 20 * np.ones(a.y.shape) / max(len(a.y), 1),
            "value": lambda a: 20 + size_of(a.y).max(axis=(0, 1), initial=0),
        },
    ),
)
