"""Cases of dense products."""

import inspect
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

import fastnn
from cases.contract import Arguments, Case, Scale, unset
from cases.elementwise import SELU_SLOPE
from fastnn import reference
from fastnn.layers import bfloat16
from fastnn.layers.int8 import packed
from fastnn.layers.panels import panels

# The activations that dense kernels can apply, and constants for those that have some.
_OF_TWO = {"hard_sigmoid": {"alpha": 0.25, "beta": 0.4}, "hard_tanh": {"alpha": -0.5, "beta": 0.75}}
FUSED: dict[str, dict[str, float]] = {
    name: _OF_TWO.get(name, dict.fromkeys(row.constants, 0.1))
    for name, row in fastnn.kernels.float64.activations.items()
    if row.fusable
}


def dense_arguments(
    batch: int, n_in: int, n_out: int, dtype: type, rng: np.random.Generator, bias: bool = True, **rest: Any
) -> Arguments:
    return {
        "x": rng.normal(size=(batch, n_in)).astype(dtype),
        "w": rng.normal(size=(n_in, n_out)).astype(dtype),
        "b": rng.normal(size=n_out).astype(dtype) if bias else None,
        "y": unset((batch, n_out), dtype),
        **rest,
    }


def dense_backward_arguments(
    batch: int,
    n_in: int,
    n_out: int,
    dtype: type,
    rng: np.random.Generator,
    dx: bool = True,
    dw: bool = True,
    db: bool = True,
    **rest: Any,
) -> Arguments:
    return {
        "x": rng.normal(size=(batch, n_in)).astype(dtype),
        "w": rng.normal(size=(n_in, n_out)).astype(dtype),
        "dy": rng.normal(size=(batch, n_out)).astype(dtype),
        "dx": unset((batch, n_in), dtype) if dx else None,
        "dw": unset((n_in, n_out), dtype) if dw else None,
        "db": unset(n_out, dtype) if db else None,
        **rest,
    }


def dense_sgd_arguments(
    batch: int, n_in: int, n_out: int, dtype: type, rng: np.random.Generator, b: bool = True
) -> Arguments:
    return {
        "x": rng.normal(size=(batch, n_in)).astype(dtype),
        "w": rng.normal(size=(n_in, n_out)).astype(dtype),
        "b": rng.normal(size=n_out).astype(dtype) if b else None,
        "dy": rng.normal(size=(batch, n_out)).astype(dtype),
        "lr": np.array([0.05]),
    }


def dense_forward_scale(a: SimpleNamespace) -> np.ndarray:
    total = np.abs(a.x) @ np.abs(a.w) + (0 if a.b is None else np.abs(a.b))
    if getattr(a, "factor", None) is not None:
        total = total * np.abs(a.factor) + np.abs(a.offset)
    scale = np.sqrt(a.x.shape[1] + 1) * total
    if getattr(a, "activation", None) == "exponential":  # has the error of its argument, relative to 1
        y = np.empty_like(a.y)
        reference.dense_forward(**{**vars(a), "y": y})
        return y * (1 + scale)
    return scale * (SELU_SLOPE if getattr(a, "activation", None) == "selu" else 1)


def dense_dx_scale(a: SimpleNamespace) -> np.ndarray:
    scale = np.sqrt(a.dy.shape[1]) * (np.abs(a.dy) @ np.abs(a.w).T)
    if getattr(a, "activation", None) is None:
        return scale
    slope = np.empty_like(a.x)
    getattr(reference, f"{a.activation}_backward")(a.x, np.ones_like(a.x), slope, **FUSED[a.activation])
    # the slope is a difference of numbers of about 1; where it is 0, a NaN does not pass
    return np.where(slope == 0, 1, scale * (np.abs(slope) + 1))


DENSE_BACKWARD_SCALE: Mapping[str, Scale] = {
    "dx": dense_dx_scale,
    "dw": lambda a: np.sqrt(len(a.x)) * (np.abs(a.x).T @ np.abs(a.dy)),
    "db": lambda a: np.sqrt(len(a.dy)) * np.abs(a.dy).sum(axis=0),
}
DENSE_SGD_SCALE: Mapping[str, Scale] = {
    "w": lambda a: np.abs(a.w) + a.lr[0] * DENSE_BACKWARD_SCALE["dw"](a),
    "b": lambda a: np.abs(a.b) + a.lr[0] * DENSE_BACKWARD_SCALE["db"](a),
}


def n_out(width: int) -> int:
    return 2 * width // 3 + 1


def dense_forward(variant: str = "", scaled: bool = False, bf16: bool = False, **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = dense_arguments(rows, width, n_out(width), dtype, rng, **rest)
        if "beta" in made:
            made |= {"factor": None, "offset": None}
        if scaled:
            made = {"activation": None, "alpha": None, **made}
            made |= dict(zip(("factor", "offset"), rng.normal(size=(2, n_out(width))).astype(dtype), strict=True))
        made |= {"bf16": dtype is np.float32} if bf16 else {}
        return {name: made[name] for name in inspect.signature(reference.dense_forward).parameters if name in made}

    return Case("dense_forward", make, ("y",), {"y": dense_forward_scale}, variant=variant)


def dense_backward(variant: str = "", bf16: bool = False, **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = dense_backward_arguments(rows, width, n_out(width), dtype, rng, **rest)
        return made | {"beta": None, "bf16": dtype is np.float32} if bf16 else made

    outputs = tuple(name for name in ("dx", "dw", "db") if rest.get(name, True))
    of = "" if "activation" in rest else "dense_forward"
    return Case("dense_backward", make, outputs, DENSE_BACKWARD_SCALE, derivative_of=of, variant=variant)


def dense_sgd(variant: str = "", bf16: bool = False, **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = dense_sgd_arguments(rows, width, n_out(width), dtype, rng, **rest)
        return made | {"bf16": dtype is np.float32} if bf16 else made

    return Case("dense_sgd", make, ("w", "b") if rest.get("b", True) else ("w",), DENSE_SGD_SCALE, variant=variant)


def dense_int8_arguments(
    batch: int, n_in: int, n_out: int, dtype: type, rng: np.random.Generator, zero: float = 117.0, **rest: Any
) -> Arguments:
    weights = rng.integers(-127, 128, (n_in, n_out)).astype(np.int8)
    return {
        "x": rng.normal(size=(batch, n_in)).astype(dtype),
        "w": packed(weights),
        "scale": rng.uniform(1e-4, 2e-4, n_out).astype(dtype),
        "correction": (int(zero) * weights.sum(axis=0, dtype=np.int64)).astype(np.int32),
        "b": rng.normal(size=n_out).astype(dtype),
        "y": unset((batch, n_out), dtype),
        "step": 0.015,
        "zero": zero,
        **rest,
    }


def dense_int8(variant: str = "", **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return dense_int8_arguments(rows, width, n_out(width), dtype, rng, **rest)

    return Case("dense_int8", make, ("y",), variant=variant)


def dense_bf16_arguments(
    batch: int, n_in: int, n_out: int, dtype: type, rng: np.random.Generator, **rest: Any
) -> Arguments:
    made = dense_arguments(batch, n_in, n_out, dtype, rng, **rest)
    return made | {"w": bfloat16.packed(made["w"].astype(np.float32))}


def dense_bf16(variant: str = "", **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return dense_bf16_arguments(rows, width, n_out(width), dtype, rng, **rest)

    def scale(a: Arguments) -> np.ndarray:
        w = np.abs(reference.bfloat16.weights(a.w, a.x.shape[1], a.y.shape[1]))
        return np.abs(a.x) @ w * np.sqrt(len(w)) + (0 if a.b is None else np.abs(a.b))

    return Case("dense_bf16", make, ("y",), {"y": scale}, variant=variant)


def dense_panels_arguments(
    batch: int, n_in: int, n_out: int, dtype: type, rng: np.random.Generator, **rest: Any
) -> Arguments:
    made = dense_arguments(batch, n_in, n_out, dtype, rng, **rest)
    return made | {"w": panels(made["w"])}


def dense_panels(variant: str = "", **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return dense_panels_arguments(rows, width, max(n_out(width), 4), dtype, rng, **rest)

    def scale(a: Arguments) -> np.ndarray:
        w = np.abs(reference.panels.weights(a.w, a.y.shape[1]))
        return np.abs(a.x) @ w + (0 if a.b is None else np.abs(a.b))

    return Case("dense_panels", make, ("y",), {"y": scale}, variant=variant)


DENSE = (
    dense_panels(),
    dense_panels("no bias, relu", bias=False, activation="relu"),
    dense_bf16(),
    dense_bf16("no bias, relu", bias=False, activation="relu"),
    dense_int8(),
    dense_int8("relu", zero=4.0, activation="relu"),
    dense_forward(),
    dense_forward("no bias", bias=False),
    *(dense_forward(name, activation=name, **options) for name, options in FUSED.items()),
    dense_forward("no bias, tanh", bias=False, activation="tanh"),
    dense_forward("scaled", scaled=True),
    dense_forward("no bias, scaled, relu", bias=False, scaled=True, activation="relu"),
    dense_forward("scaled, elu", scaled=True, activation="elu", alpha=0.3),
    dense_forward("bf16", bf16=True, activation=None, alpha=None, factor=None, offset=None, beta=None),
    dense_backward(),
    dense_backward("no dx", dx=False),
    dense_backward("no db", db=False),
    dense_backward("no dw, db", dw=False, db=False),
    *(dense_backward(name, activation=name, **options) for name, options in FUSED.items()),
    dense_backward("bf16", bf16=True, activation=None, alpha=None),
    dense_sgd(),
    dense_sgd("no b", b=False),
    dense_sgd("bf16", bf16=True),
)
