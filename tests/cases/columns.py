"""Cases of columns: chosen, of codes, of numbers brought to unit scale."""

from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, plant, unset


def n_chosen(width: int) -> int:
    return width // 2 + 3


def columns_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    """Some columns are chosen twice, some never."""
    index = rng.integers(0, width, n_chosen(width))
    x = rng.normal(size=(rows, width)).astype(dtype)
    return {"x": x, "index": index, "y": unset((rows, len(index)), dtype)}


def columns_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    index = columns_arguments(rows, width, dtype, rng)["index"]
    dy = rng.normal(size=(rows, len(index))).astype(dtype)
    return {"dy": dy, "index": index, "dx": unset((rows, width), dtype)}


def codes(rows: int, dtype: type, rng: np.random.Generator) -> np.ndarray:
    """Those of a table of four, and what is none: negative, a fraction, beyond the table, missing."""
    x = rng.integers(0, 4, (rows, 1)).astype(dtype)
    return plant(x, (-1.0, 3.0, 1.5, 4.0, np.nan, 0.0, np.inf, -0.0, 1e30, 2.0))


def embedding_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    table = rng.normal(size=(5, width)).astype(dtype)
    return {"x": codes(rows, dtype, rng), "table": table, "y": unset((rows, width), dtype)}


def embedding_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    dy = rng.normal(size=(rows, width)).astype(dtype)
    return {"x": codes(rows, dtype, rng), "dy": dy, "dtable": unset((5, width), dtype)}


def sum_scale(a: SimpleNamespace, axis: int) -> np.ndarray:
    """The scale of sums of some numbers of dy: where one is not finite, others in its row or column still are."""
    finite = np.where(np.isfinite(a.dy), np.abs(a.dy), 0)
    return np.sqrt(a.dy.shape[axis]) * finite.sum(axis=axis, keepdims=True)


def embedding_sgd_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = embedding_backward_arguments(rows, width, dtype, rng)
    table = rng.normal(size=(5, width)).astype(dtype)
    return {"x": there["x"], "dy": there["dy"], "table": table, "lr": np.array([0.05])}


def one_hot_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator, unseen: bool = False) -> Arguments:
    return {"x": codes(rows, dtype, rng), "y": unset((rows, width), dtype), "unseen": unseen}


def normalize_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    """Of some columns, what is missing stays so."""
    vectors = {name: rng.normal(size=width).astype(dtype) for name in ("center", "factor", "missing")}
    vectors["missing"] = np.resize(np.array([0, np.nan], dtype), width)
    x = plant(rng.normal(size=(rows, width)).astype(dtype), (1.0, 2.0, -1.0))
    return {"x": x, **vectors, "y": unset((rows, width), dtype)}


def normalize_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = normalize_arguments(rows, width, dtype, rng)
    dy = rng.normal(size=(rows, width)).astype(dtype)
    return {"x": there["x"], "dy": dy, "factor": there["factor"], "dx": unset((rows, width), dtype)}


OF_COLUMNS = (
    Case("columns_forward", columns_arguments, ("y",)),
    Case(
        "columns_backward",
        columns_backward_arguments,
        ("dx",),
        {"dx": lambda a: sum_scale(a, 1)},
        derivative_of="columns_forward",
    ),
    Case("embedding_forward", embedding_arguments, ("y",)),
    Case(
        "embedding_backward",
        embedding_backward_arguments,
        ("dtable",),
        {"dtable": lambda a: sum_scale(a, 0)},
        derivative_of="embedding_forward",
    ),
    Case(
        "embedding_sgd",
        embedding_sgd_arguments,
        ("table",),
        {"table": lambda a: np.where(np.isfinite(a.table), np.abs(a.table), 0) + a.lr[0] * sum_scale(a, 0)},
    ),
    Case("one_hot_forward", one_hot_arguments, ("y",)),
    Case("one_hot_forward", lambda *given: one_hot_arguments(*given, unseen=True), ("y",), variant="unseen"),
    Case(
        "normalize_forward",
        normalize_arguments,
        ("y",),
        {"y": lambda a: np.where(np.isnan(a.x), 1, np.abs(a.x) + np.abs(a.center)) * np.abs(a.factor)},
        alias=("x", "y"),
    ),
    Case(
        "normalize_backward",
        normalize_backward_arguments,
        ("dx",),
        alias=("dy", "dx"),
        derivative_of="normalize_forward",
    ),
)
