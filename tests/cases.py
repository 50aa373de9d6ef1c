"""The table of all kernels: how to make their arguments, and how far from `fastnn.reference` they may be.

A row is a `Case`. Most tests of single kernels are loops over `CASES`: a new kernel needs a new row and no new test.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import fastnn
from fastnn import reference

Arguments = dict[str, Any]
Make = Callable[[int, int, type, np.random.Generator], Arguments]
Scale = Callable[[SimpleNamespace], np.ndarray]

DTYPES = (np.float32, np.float64)

# (rows, width): no rows, one number, and widths beside the multiples of a vector of 4, 8 or 16 numbers.
SHAPES = ((0, 5), (1, 1), (1, 19), (3, 7), (3, 130), (17, 33), (64, 10), (64, 16), (1000, 5))

# (batch, n_in, n_out) of matrix products beside the edges of register tiles, panels and blocks.
PRODUCTS = (
    (1, 1, 1), (1, 7, 300), (2, 3, 1), (5, 1, 9), (13, 17, 15), (17, 100, 33), (31, 33, 47), (64, 20, 2),
    (64, 784, 128), (65, 129, 10), (100, 64, 64), (128, 257, 65), (257, 1000, 3), (3, 1030, 520), (200, 300, 700),
    (1, 300, 100), (60, 1024, 200), (520, 700, 700), (5, 2100, 2), (1100, 1, 2), (16400, 3, 5),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One way of calling one kernel.

    Attributes
    ----------
    op : str
        The name of the kernel.
    make : (rows, width, dtype, rng) -> arguments
        All arguments by name and in order. Arrays that are only written to hold NaN (integers: -1).
    outputs : tuple of str
        The arguments that the kernel writes to.
    scale : {output: arguments -> array}
        What the error of an output is relative to: the magnitudes of the terms that it is computed from, times the
        square root of their number where it is a sum over rows or columns. An output that is not named is accurate
        relative to its own magnitude.
    alias : (str, str) or None
        An input and an output that may be the same array.
    kinks : tuple of float
        Where the first or second derivative jumps, as values of ``kink_at``. `make` plants them among its inputs.
    kink_at : arguments -> array
    derivative_of : str
        The kernel whose arguments a, b, ... have the derivatives da, db, ... among the outputs of this one.
    variant : str
        What distinguishes this row from others of the same kernel.
    idle : tuple of str
        Numbers that make no difference in this row.
    """

    op: str
    make: Make
    outputs: tuple[str, ...]
    scale: Mapping[str, Scale] = field(default_factory=dict)
    alias: tuple[str, str] | None = None
    kinks: tuple[float, ...] = ()
    kink_at: Scale = lambda a: a.x
    derivative_of: str = ""
    variant: str = ""
    idle: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.op}[{self.variant}]" if self.variant else self.op

    def kernel(self, dtype: type) -> Callable[..., None]:
        return kernel(self.op, dtype)

    def reference(self) -> Callable[..., None]:
        return getattr(reference, self.op)


def kernel(op: str, dtype: type) -> Callable[..., None]:
    return getattr(getattr(fastnn.kernels, np.dtype(dtype).name), op)


def tolerance(dtype: type) -> float:
    return 1e-12 if dtype is np.float64 else 8 * float(np.finfo(dtype).eps)


def random(rows: int, width: int) -> np.random.Generator:
    """Every test draws from its own numbers, so that one that fails also fails alone."""
    return np.random.default_rng((rows, width))


def copied(arguments: Arguments) -> Arguments:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}


def unset(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    return np.full(shape, -1 if dtype is np.int64 else np.nan, dtype)


def plant(array: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
    """Set every third number of the array to one of the values, in turn."""
    if values:
        places = array.reshape(-1)[::3]
        places[...] = np.resize(values, places.size)
    return array


# Elementwise functions

SELU_SLOPE = reference.SELU_SCALE * reference.SELU_ALPHA  # the largest derivative of selu; others have 1
EXTREMES = (-80.0, 80.0, 0.0, 1e-6, -1e-6)  # exp(-80) is still a normal number of float32


def normal(spread: float, *planted: float) -> Callable[..., np.ndarray]:
    return lambda shape, dtype, rng: plant(rng.normal(0, spread, shape).astype(dtype), planted)


def uniform(low: float, high: float, *planted: float) -> Callable[..., np.ndarray]:
    return lambda shape, dtype, rng: plant(rng.uniform(low, high, shape).astype(dtype), planted)


def forward(op: str, inputs: Callable[..., np.ndarray], scale: Scale | None = None, **rest: Any) -> Case:
    """The row of y = f(x)."""
    parameters = rest.pop("parameters", {})

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return {"x": inputs((rows, width), dtype, rng), "y": unset((rows, width), dtype), **parameters}

    return Case(op, make, ("y",), {"y": scale} if scale else {}, alias=("x", "y"), **rest)


def backward(of: Case, saved: str, scale: Scale | None = None, parameters: Mapping[str, float] | None = None) -> Case:
    """The row of dx = f'(...) dy, where ``saved``, x or y, is what f' is computed from."""

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        arguments = of.make(rows, width, dtype, rng)
        of.reference()(*arguments.values())
        dy = rng.normal(size=(rows, width)).astype(dtype)
        return {saved: arguments[saved], "dy": dy, "dx": unset((rows, width), dtype), **(parameters or {})}

    op = of.op.replace("forward", "backward")
    scales = {"dx": scale} if scale else {}
    return Case(op, make, ("dx",), scales, alias=("dy", "dx"), kinks=of.kinks, derivative_of=of.op)


def activation(
    name: str,
    saved: str = "y",
    kinks: tuple[float, ...] = (),
    y: Scale | None = None,
    dx: Scale | None = None,
    **parameters: float,
) -> tuple[Case, Case]:
    """The two rows of an activation: what backward needs, its kinks, the scales of y and dx, its parameters."""
    inputs = normal(3, *kinks, *EXTREMES)
    there = forward(f"{name}_forward", inputs, y, kinks=kinks, parameters=parameters)
    return there, backward(there, saved, dx, parameters)


def gelu_tanh_slope(x: np.ndarray) -> np.ndarray:
    return np.sqrt(2 / np.pi) * (1 + 3 * reference.GELU_TANH_CUBIC * x * x)


def size(x: np.ndarray) -> np.ndarray:
    """The magnitude of x, but of infinities a number that the sigmoid of minus infinity, 0, can be multiplied by."""
    return np.minimum(np.abs(x), reference.FAR)


def add_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    x, z = rng.normal(size=(2, rows, width)).astype(dtype)
    return {"x": x, "z": z, "y": unset((rows, width), dtype)}


ELEMENTARY = (
    forward("exp", normal(10, *EXTREMES)),
    forward("expm1", normal(10, *EXTREMES)),
    forward("log", uniform(1e-3, 10, 1.0, 1e-30, 1e30)),
    forward("log1p", uniform(-0.99, 10, 0.0, 1e-6, -1e-6, 1e30)),
    forward("erf", normal(2, *EXTREMES)),
    Case("add", add_arguments, ("y",), {"y": lambda a: np.abs(a.x) + np.abs(a.z)}, alias=("x", "y")),
)

# dx = (1 - y^2) dy and the like lose the relative accuracy of 1 - y^2, which their scale here has not.
ACTIVATIONS = (
    *activation("identity"),
    *activation("relu", kinks=(0.0,)),
    *activation("leaky_relu", kinks=(0.0,), alpha=0.1),
    *activation("elu", kinks=(0.0,), alpha=1.5, dx=lambda a: np.abs(a.dy) * (np.abs(a.y) + 1.5)),
    *activation("celu", kinks=(0.0,), alpha=1.5, dx=lambda a: np.abs(a.dy) * (np.abs(a.y) / 1.5 + 1)),
    *activation("selu", kinks=(0.0,), dx=lambda a: np.abs(a.dy) * (np.abs(a.y) + SELU_SLOPE)),
    *activation(
        "gelu",
        saved="x",
        y=lambda a: np.abs(a.x),
        dx=lambda a: np.abs(a.dy) * (1 + np.abs(a.x) * np.exp(-0.5 * a.x * a.x)),
    ),
    *activation(
        "gelu_tanh",
        saved="x",
        y=lambda a: np.abs(a.x),
        dx=lambda a: np.abs(a.dy) * (1 + 0.5 * np.abs(a.x) * gelu_tanh_slope(a.x)),
    ),
    *activation("silu", saved="x", dx=lambda a: np.abs(a.dy) * reference.activations._sigmoid(a.x) * (1 + size(a.x))),
    *activation("softplus"),
    *activation("softsign", saved="x", kinks=(0.0,)),
    *activation("sigmoid", dx=lambda a: np.abs(a.dy) * a.y),
    *activation("hard_sigmoid", kinks=(-3.0, 3.0), y=lambda a: np.ones_like(a.x)),
    *activation("tanh", dx=lambda a: np.abs(a.dy)),
    *activation("hard_tanh", kinks=(-1.0, 1.0)),
    *activation("mish", saved="x", dx=lambda a: np.abs(a.dy) * reference.activations._sigmoid(a.x) * (2 + size(a.x))),
)


# Dense

# The activations that dense kernels can apply, and the constant of each that has one.
FUSED: dict[str, dict[str, float]] = {
    name: {} if row.alpha is None else {"alpha": 0.1}
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
    return np.sqrt(a.x.shape[1] + 1) * total * (SELU_SLOPE if getattr(a, "activation", None) == "selu" else 1)


def dense_dx_scale(a: SimpleNamespace) -> np.ndarray:
    scale = np.sqrt(a.dy.shape[1]) * (np.abs(a.dy) @ np.abs(a.w).T)
    if getattr(a, "activation", None) is None:
        return scale
    slope = np.empty_like(a.x)
    options = (a.alpha,) if FUSED[a.activation] else ()
    getattr(reference, f"{a.activation}_backward")(a.x, np.ones_like(a.x), slope, *options)
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


def dense_forward(variant: str = "", scaled: bool = False, **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = dense_arguments(rows, width, n_out(width), dtype, rng, **rest)
        if scaled:
            made = {"activation": None, "alpha": None, **made}
            made |= dict(zip(("factor", "offset"), rng.normal(size=(2, n_out(width))).astype(dtype), strict=True))
        return {name: made[name] for name in inspect.signature(reference.dense_forward).parameters if name in made}

    return Case("dense_forward", make, ("y",), {"y": dense_forward_scale}, variant=variant)


def dense_backward(variant: str = "", **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return dense_backward_arguments(rows, width, n_out(width), dtype, rng, **rest)

    outputs = tuple(name for name in ("dx", "dw", "db") if rest.get(name, True))
    of = "" if "activation" in rest else "dense_forward"
    return Case("dense_backward", make, outputs, DENSE_BACKWARD_SCALE, derivative_of=of, variant=variant)


def dense_sgd(variant: str = "", **rest: Any) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        return dense_sgd_arguments(rows, width, n_out(width), dtype, rng, **rest)

    return Case("dense_sgd", make, ("w", "b") if rest.get("b", True) else ("w",), DENSE_SGD_SCALE, variant=variant)


DENSE = (
    dense_forward(),
    dense_forward("no bias", bias=False),
    *(dense_forward(name, activation=name, **options) for name, options in FUSED.items()),
    dense_forward("no bias, tanh", bias=False, activation="tanh"),
    dense_forward("scaled", scaled=True),
    dense_forward("no bias, scaled, relu", bias=False, scaled=True, activation="relu"),
    dense_forward("scaled, elu", scaled=True, activation="elu", alpha=0.3),
    dense_backward(),
    dense_backward("no dx", dx=False),
    dense_backward("no db", db=False),
    dense_backward("no dw, db", dw=False, db=False),
    *(dense_backward(name, activation=name, **options) for name, options in FUSED.items()),
    dense_sgd(),
    dense_sgd("no b", b=False),
)


# Softmax


def jacobian_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    arguments = softmax.make(rows, width, dtype, rng)
    reference.softmax_forward(arguments["x"], arguments["y"])
    return {"y": arguments["y"], "jacobian": unset((rows, width, width), dtype)}


def row_sum(terms: np.ndarray) -> np.ndarray:
    """The scale of the sum over each row."""
    return np.sqrt(terms.shape[1]) * np.abs(terms).sum(axis=1, keepdims=True)


def softmax_scale(a: SimpleNamespace) -> np.ndarray:
    y = np.empty_like(a.x)
    reference.softmax_forward(a.x, y)
    return np.sqrt(a.x.shape[1]) * y


def log_softmax_scale(a: SimpleNamespace) -> np.ndarray:
    z = a.x - a.x.max(axis=1, keepdims=True)
    return np.abs(z) + np.log(np.exp(z).sum(axis=1, keepdims=True)) + np.sqrt(a.x.shape[1])


softmax = forward("softmax_forward", normal(3, *EXTREMES), softmax_scale)
log_softmax = forward("log_softmax_forward", normal(3, *EXTREMES), log_softmax_scale)

SOFTMAX = (
    softmax,
    backward(softmax, "y", lambda a: a.y * (np.abs(a.dy) + row_sum(a.y * a.dy))),
    Case(
        "softmax_jacobian",
        jacobian_arguments,
        ("jacobian",),
        {"jacobian": lambda a: a.y[:, :, None] * (np.eye(a.y.shape[1]) + a.y[:, None, :])},
    ),
    log_softmax,
    backward(log_softmax, "y", lambda a: np.abs(a.dy) + np.exp(a.y) * row_sum(a.dy)),
)


# Dropout


def dropout(variant: str = "", **numbers: float) -> Case:
    return forward("dropout", normal(3), parameters=numbers, variant=variant)


DROPOUT = (
    dropout(rate=0.3, seed=2.0**53 - 2, count=1000.0),
    dropout("most", rate=0.9, seed=12345678.0, count=6.0),
)


# Normalization


def batch_norm_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {
        "x": (0.5 + 2 * rng.normal(size=(rows, width))).astype(dtype),
        "scale": rng.uniform(0.5, 2, width).astype(dtype) * rng.choice([-1, 1], width).astype(dtype),
        "shift": rng.normal(size=width).astype(dtype),
        "y": unset((rows, width), dtype),
        "mean": unset(width, dtype),
        "variance": unset(width, dtype),
        "eps": 1e-3,
    }


def batch_norm_backward_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, dx: bool = True
) -> Arguments:
    there = batch_norm_arguments(rows, width, dtype, rng)
    reference.batch_norm_forward(**there)
    return {
        "x": there["x"],
        "dy": rng.normal(size=(rows, width)).astype(dtype),
        **{name: there[name] for name in ("scale", "mean", "variance")},
        "dx": unset((rows, width), dtype) if dx else None,
        "dscale": unset(width, dtype),
        "dshift": unset(width, dtype),
        "eps": there["eps"],
    }


def batch_norm_factors_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = batch_norm_arguments(rows, width, dtype, rng)
    reference.batch_norm_forward(**there)
    of_forward = {name: there[name] for name in ("scale", "shift", "mean", "variance")}
    return {**of_forward, "factor": unset(width, dtype), "offset": unset(width, dtype), "eps": there["eps"]}


def batch_norm_averages_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    means, variances = rng.normal(size=(2, width)).astype(dtype), rng.uniform(0.5, 2, (2, width)).astype(dtype)
    arrays = {"mean": means[0], "variance": variances[0], "batch_mean": means[1], "batch_variance": variances[1]}
    return {**arrays, "momentum": 0.3, "rows": float(rows)}


def scale_columns_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    x, (factor, offset) = rng.normal(size=(rows, width)), rng.normal(size=(2, width))
    of_columns = {"factor": factor.astype(dtype), "offset": offset.astype(dtype)}
    return {"x": x.astype(dtype), **of_columns, "y": unset((rows, width), dtype)}


def layer_norm_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = batch_norm_arguments(rows, width, dtype, rng)
    of_rows = {"mean": unset(rows, dtype), "inverse": unset(rows, dtype), "eps": there["eps"]}
    return {**{name: there[name] for name in ("x", "scale", "shift", "y")}, **of_rows}


def layer_norm_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = layer_norm_arguments(rows, width, dtype, rng)
    reference.layer_norm_forward(**there)
    dy = rng.normal(size=(rows, width)).astype(dtype)
    of_forward = {name: there[name] for name in ("scale", "mean", "inverse")}
    return {"x": there["x"], "dy": dy, **of_forward, "dx": unset((rows, width), dtype)}


def layer_norm_gradients_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = layer_norm_backward_arguments(rows, width, dtype, rng)
    outputs = {"dscale": unset(width, dtype), "dshift": unset(width, dtype)}
    return {**{name: there[name] for name in ("x", "dy", "mean", "inverse")}, **outputs}


def moments(x: np.ndarray, axis: int, eps: float) -> tuple[np.ndarray, ...]:
    """The root of the number of terms, the largest |x|, the deviation, and 1 / sqrt(variance + eps)."""
    largest = np.abs(x).max(axis=axis, keepdims=True, initial=0)
    with np.errstate(all="ignore"):
        deviation = np.sqrt(reference.layers._mean(np.square(x - reference.layers._mean(x, axis)), axis))
        return np.sqrt(max(x.shape[axis], 1)), largest, deviation, 1 / np.sqrt(np.square(deviation) + eps)


def normalized_scale(a: SimpleNamespace, axis: int) -> np.ndarray:
    """The error of x - mean is that of x, and the variance has that of its terms."""
    root, largest, _, inverse = moments(a.x, axis, a.eps)
    return root * largest * inverse * (1 + np.abs(a.x) * inverse) * np.abs(a.scale) + np.abs(a.shift)


def variance_scale(a: SimpleNamespace) -> np.ndarray:
    root, largest, deviation, _ = moments(a.x, 0, a.eps)
    return (root * deviation * (largest + deviation))[0]


def inverse_scale(a: SimpleNamespace) -> np.ndarray:
    root, largest, _, inverse = moments(a.x, 1, a.eps)
    return (root * inverse * (1 + largest * inverse))[:, 0]


def mean_scale(axis: int) -> Scale:
    return lambda a: np.sqrt(max(a.x.shape[axis], 1)) * reference.layers._mean(np.abs(a.x), axis).reshape(-1)


def dshift_scale(a: SimpleNamespace) -> np.ndarray:
    return np.sqrt(len(a.dy)) * np.abs(a.dy).sum(axis=0)


def batch_norm_dscale_scale(a: SimpleNamespace) -> np.ndarray:
    xhat = (np.abs(a.x) + np.abs(a.mean)) / np.sqrt(a.variance + a.eps)
    return np.sqrt(len(a.dy)) * (np.abs(a.dy) * xhat).sum(axis=0)


def batch_norm_dx_scale(a: SimpleNamespace) -> np.ndarray:
    rows, inverse = max(len(a.x), 1), 1 / np.sqrt(a.variance + a.eps)
    xhat = (np.abs(a.x) + np.abs(a.mean)) * inverse
    terms = np.abs(a.dy) + dshift_scale(a) / rows + xhat * batch_norm_dscale_scale(a) / rows
    return np.abs(a.scale) * inverse * terms


def layer_norm_dscale_scale(a: SimpleNamespace) -> np.ndarray:
    xhat = (np.abs(a.x) + np.abs(a.mean[:, None])) * a.inverse[:, None]
    return np.sqrt(len(a.dy)) * (np.abs(a.dy) * xhat).sum(axis=0)


def layer_norm_dx_scale(a: SimpleNamespace) -> np.ndarray:
    g, inverse, root = np.abs(a.dy * a.scale), np.abs(a.inverse[:, None]), np.sqrt(a.x.shape[1])
    xhat = (np.abs(a.x) + np.abs(a.mean[:, None])) * inverse
    return inverse * (g + root * reference.layers._mean(g, 1) + root * xhat * reference.layers._mean(g * xhat, 1))


BATCH_NORM_SCALE: Mapping[str, Scale] = {
    "dx": batch_norm_dx_scale, "dscale": batch_norm_dscale_scale, "dshift": dshift_scale
}  # fmt: skip
NORMALIZATION = (
    Case(
        "batch_norm_forward",
        batch_norm_arguments,
        ("y", "mean", "variance"),
        {"y": lambda a: normalized_scale(a, 0), "mean": mean_scale(0), "variance": variance_scale},
    ),
    Case(
        "batch_norm_backward",
        batch_norm_backward_arguments,
        ("dx", "dscale", "dshift"),
        BATCH_NORM_SCALE,
        alias=("dy", "dx"),
        derivative_of="batch_norm_forward",
    ),
    Case(
        "batch_norm_backward",
        lambda *given: batch_norm_backward_arguments(*given, dx=False),
        ("dscale", "dshift"),
        BATCH_NORM_SCALE,
        derivative_of="batch_norm_forward",
        variant="no dx",
    ),
    Case(
        "batch_norm_factors",
        batch_norm_factors_arguments,
        ("factor", "offset"),
        {"offset": lambda a: np.abs(a.shift) + np.abs(a.mean * a.scale) / np.sqrt(a.variance + a.eps)},
    ),
    Case(
        "batch_norm_averages",
        batch_norm_averages_arguments,
        ("mean", "variance"),
        {"mean": lambda a: np.abs(a.mean) + np.abs(a.batch_mean)},
    ),
    Case(
        "scale_columns",
        scale_columns_arguments,
        ("y",),
        {"y": lambda a: np.abs(a.x * a.factor) + np.abs(a.offset)},
        alias=("x", "y"),
    ),
    Case(
        "layer_norm_forward",
        layer_norm_arguments,
        ("y", "mean", "inverse"),
        {"y": lambda a: normalized_scale(a, 1), "mean": mean_scale(1), "inverse": inverse_scale},
    ),
    Case(
        "layer_norm_backward",
        layer_norm_backward_arguments,
        ("dx",),
        {"dx": layer_norm_dx_scale},
        alias=("dy", "dx"),
        derivative_of="layer_norm_forward",
    ),
    Case(
        "layer_norm_gradients",
        layer_norm_gradients_arguments,
        ("dscale", "dshift"),
        {"dscale": layer_norm_dscale_scale, "dshift": dshift_scale},
        derivative_of="layer_norm_forward",
    ),
)


# Losses


def row_factor(a: SimpleNamespace) -> np.ndarray:
    rows = max(len(a.y), 1)
    return np.full((len(a.y), 1), 1 / rows) if a.weight is None else a.weight[:, None] / rows


def loss(
    op: str,
    pair: Callable[..., tuple[np.ndarray, np.ndarray]],
    dy: Scale | None = None,
    value: Scale | None = None,
    kinks: tuple[float, ...] = (),
    kink_at: Scale = lambda a: a.y,
    **parameters: float,
) -> tuple[Case, ...]:
    """The rows of a loss, with and without weights and gradient; ``pair`` makes y and t."""

    def case(variant: str, with_weight: bool, with_dy: bool) -> Case:
        def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
            y, t = pair(rows, width, dtype, rng)
            weight = rng.uniform(0.5, 2, rows).astype(dtype) if with_weight else None
            gradient = unset((rows, width), dtype) if with_dy else None
            return {"y": y, "t": t, "weight": weight, "dy": gradient, "value": unset(1, np.float64), **parameters}

        scale = {} if dy is None else {"dy": lambda a: row_factor(a) * dy(a)}
        if value is not None:
            scale["value"] = lambda a: np.sum(row_factor(a) * value(a))
        outputs = ("dy", "value") if with_dy else ("value",)
        return Case(op, make, outputs, scale, kinks=kinks, kink_at=kink_at, derivative_of=op, variant=variant)

    return (case("weighted", True, True), case("", False, True), case("value only", False, False))


def distant(*kinks: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Targets and predictions whose differences are random, or one of the kinks."""

    def pair(rows: int, width: int, dtype: type, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Quarters add up without rounding, so that y - t is a planted kink exactly.
        t = np.round(4 * rng.normal(0, 2, (rows, width))) / 4
        return (t + normal(2, *kinks)(t.shape, np.float64, rng)).astype(dtype), t.astype(dtype)

    return pair


def pairs(y: Callable[..., np.ndarray], t: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return lambda rows, width, dtype, rng: (y((rows, width), dtype, rng), t((rows, width), dtype, rng))


def labelled(y: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return lambda rows, width, dtype, rng: (y((rows, width), dtype, rng), rng.integers(0, width, rows))


def probabilities_of(a: SimpleNamespace) -> np.ndarray:
    y = np.empty_like(a.y)
    reference.softmax_forward(a.y, y)
    return y


def bce_gradient(a: SimpleNamespace) -> np.ndarray:
    eps = np.finfo(a.y.dtype).eps
    p = np.clip(a.y, eps, 1 - eps)
    return (a.t / p + (1 - a.t) / (1 - p)) / a.y.shape[1]


def target_sum(a: SimpleNamespace) -> np.ndarray:
    return row_sum(a.t)


def difference(a: SimpleNamespace) -> np.ndarray:
    return a.y - a.t


probabilities = uniform(0.1, 0.9, 0.0, 1.0, 1e-30)
targets = uniform(0, 1, 0.0, 1.0)
logits = normal(3, *EXTREMES)

LOSSES = (
    *loss("mse", distant(0.0)),
    *loss("mae", distant(0.0), kinks=(0.0,), kink_at=difference),
    *loss("huber", distant(0.0, 0.75, -0.75), kinks=(0.75, -0.75), kink_at=difference, delta=0.75),
    *loss("binary_cross_entropy", pairs(probabilities, targets), bce_gradient, kinks=(0.0, 1.0)),
    *loss(
        "binary_cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: (reference.activations._sigmoid(a.y) + a.t) / a.y.shape[1],
        value=lambda a: (reference.activations._softplus(a.y) + np.abs(a.y * a.t)) / a.y.shape[1],
    ),
    *loss("cross_entropy", pairs(probabilities, targets), kinks=(0.0,)),
    *loss(
        "cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: probabilities_of(a) * np.sqrt(a.y.shape[1]) * target_sum(a) + a.t,
    ),
    *loss("cross_entropy_labels", labelled(probabilities), kinks=(0.0,)),
    *loss(
        "cross_entropy_labels_from_logits",
        labelled(logits),
        dy=lambda a: np.sqrt(a.y.shape[1]) * probabilities_of(a) + (np.arange(a.y.shape[1]) == a.t[:, None]),
    ),
)


# Optimizers


def rule(
    op: str,
    memory: str,
    variant: str = "",
    cells: dict[str, float] | None = None,
    idle: tuple[str, ...] = (),
    **options: Any,
) -> Case:
    """The row of an optimizer: what it remembers, by name, numbers that are given as cells, others as they are.

    The scale of what it writes is what the twin makes of the magnitudes of all: nothing cancels there.
    """
    names = memory.split()

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw = rng.normal(size=(2, rows * width)).astype(dtype)
        made = {
            name: (rng.normal(size=w.size) if name in SIGNED else rng.uniform(1, 2, w.size)).astype(dtype)
            for name in names
        }
        numbers = {name: np.array([value]) for name, value in {"lr": 0.05, **(cells or {})}.items()}
        given = {"w": w, "dw": dw, **made, **numbers, **options}
        parameters = list(inspect.signature(getattr(reference, op)).parameters.values())
        while parameters[-1].name not in given:
            parameters.pop()
        return {parameter.name: given.get(parameter.name, parameter.default) for parameter in parameters}

    def magnitudes(a: SimpleNamespace, output: str) -> np.ndarray:
        sizes = {name: np.abs(value, dtype="float64") for name, value in arrays_of(vars(a)).items()}
        before = sizes["w"].copy()
        getattr(reference, op)(**{**vars(a), **sizes})
        step = np.abs(before - sizes["w"])
        return before + np.where(np.isnan(step), 0, step) if output == "w" else sizes[output]

    outputs = ("w", *names)
    return Case(
        op, make, outputs, {name: partial(magnitudes, output=name) for name in outputs}, variant=variant, idle=idle
    )


def arrays_of(arguments: Arguments) -> Arguments:
    return {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}


SIGNED = ("m", "previous")  # what optimizers remember that may be below 0


def sgd(variant: str, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, velocity = rng.normal(size=(3, rows * width)).astype(dtype)
        options = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        return {"w": w, "dw": dw, "velocity": velocity if momentum else None, "lr": np.array([0.05]), **options}

    def velocity_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w) + (momentum * np.abs(a.velocity) if momentum else 0)

    scale = {"w": lambda a: np.abs(a.w) + 2 * a.lr[0] * velocity_scale(a), "velocity": velocity_scale}
    return Case("sgd", make, ("w", "velocity") if momentum else ("w",), scale, variant=variant)


def adam(variant: str, step: float, weight_decay: float = 0.0, decoupled: bool = True, amsgrad: bool = False) -> Case:
    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, m = rng.normal(size=(3, rows * width)).astype(dtype)
        v = rng.uniform(0, 2, rows * width).astype(dtype)
        if step == 1:
            m[:], v[:] = 0, 0
        cells = {"lr": np.array([0.05]), "step": np.array([float(step)])}
        options = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        largest = {"largest": rng.uniform(0, 2, rows * width).astype(dtype)} if amsgrad else {}
        return {"w": w, "dw": dw, "m": m, "v": v, **cells, **options, **largest}

    def gradient_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w)

    def m_scale(a: SimpleNamespace) -> np.ndarray:
        return beta1 * np.abs(a.m) + (1 - beta1) * gradient_scale(a)

    def v_scale(a: SimpleNamespace) -> np.ndarray:
        return beta2 * a.v + (1 - beta2) * np.square(gradient_scale(a))

    def w_scale(a: SimpleNamespace) -> np.ndarray:
        g = a.dw + (0 if decoupled else weight_decay * a.w)
        v = beta2 * a.v + (1 - beta2) * g * g
        v = (np.maximum(v, a.largest) if amsgrad else v) / (1 - beta2**step)
        return np.abs(a.w) + a.lr[0] * m_scale(a) / (1 - beta1**step) / (np.sqrt(v) + eps)

    scale = {"w": w_scale, "m": m_scale, "v": v_scale, "largest": v_scale}
    return Case("adam", make, ("w", "m", "v", *(["largest"] if amsgrad else [])), scale, variant=variant)


def rmsprop(variant: str, momentum: float = 0.0, weight_decay: float = 0.0, centered: bool = False) -> Case:
    alpha, eps = 0.9, 1e-8

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, velocity = rng.normal(size=(3, rows * width)).astype(dtype)
        mean = rng.uniform(-0.5, 0.5, rows * width).astype(dtype)
        square = rng.uniform(1, 2, rows * width).astype(dtype)  # more than mean^2, so that the variance has digits
        memory = {"square": square, "mean": mean if centered else None, "velocity": velocity if momentum else None}
        options = {"momentum": momentum, "weight_decay": weight_decay, "centered": centered}
        return {"w": w, "dw": dw, **memory, "lr": np.array([0.05]), "alpha": alpha, "eps": eps, **options}

    def gradient_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w)

    def square_scale(a: SimpleNamespace) -> np.ndarray:
        return alpha * a.square + (1 - alpha) * np.square(gradient_scale(a))

    def mean_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.mean) + (1 - alpha) * gradient_scale(a)

    def velocity_scale(a: SimpleNamespace) -> np.ndarray:
        g = a.dw + weight_decay * a.w
        square = variance = alpha * a.square + (1 - alpha) * g * g
        lost = 1
        if centered:
            variance = np.maximum(square - np.square(a.mean + (1 - alpha) * (g - a.mean)), 0)
            lost = 1 + np.nan_to_num((square_scale(a) + np.square(mean_scale(a))) / variance)  # by the difference
        old = momentum * np.abs(a.velocity) if momentum else 0
        return old + lost * gradient_scale(a) / (np.sqrt(variance) + eps)

    scale = {
        "w": lambda a: np.abs(a.w) + a.lr[0] * velocity_scale(a),
        "square": square_scale, "mean": mean_scale, "velocity": velocity_scale,
    }  # fmt: skip
    outputs = ("w", "square", *(["mean"] if centered else []), *(["velocity"] if momentum else []))
    return Case("rmsprop", make, outputs, scale, variant=variant)


def lamb(variant: str, weight_decay: float = 0.0, step: float = 7.0) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        n = rows * width
        w, dw, m = rng.normal(size=(3, n)).astype(dtype)
        written = {"v": rng.uniform(1, 2, n).astype(dtype), "u": unset(n, dtype)}
        squares = unset((2, -(-n // reference.SQUARES)), np.float64)
        return {
            "w": w, "dw": dw, "m": m, **written, "squares": squares, "step": np.array([step]), "beta1": 0.9,
            "beta2": 0.99, "eps": 1e-3, "weight_decay": weight_decay,
        }  # fmt: skip

    def terms(a: SimpleNamespace) -> np.ndarray:
        """Return the sizes of what u consists of, which may cancel."""
        v = (a.beta2 * a.v + (1 - a.beta2) * np.square(a.dw)) / (1 - a.beta2**step)
        return m_scale(a) / (1 - a.beta1**step) / (np.sqrt(v) + a.eps) + weight_decay * np.abs(a.w)

    def m_scale(a: SimpleNamespace) -> np.ndarray:
        return a.beta1 * np.abs(a.m) + (1 - a.beta1) * np.abs(a.dw)

    def squares_scale(a: SimpleNamespace) -> np.ndarray:
        sums = np.empty(a.squares.shape)
        reference.block_squares(a.w, sums[0])
        reference.block_squares(terms(a), sums[1])
        return 2 * sums

    scale = {"m": m_scale, "u": terms, "squares": squares_scale}
    return Case("lamb", make, ("m", "v", "u", "squares"), scale, variant=variant)


def trust_rate_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {"squares": rng.uniform(1, 9, (2, rows)), "lr": 0.05, "rate": unset(1, np.float64)}


OPTIMIZERS = (
    rmsprop("all", momentum=0.9, weight_decay=0.1, centered=True),
    rmsprop("plain"),
    rmsprop("weight decay", weight_decay=0.1),
    rmsprop("momentum", momentum=0.9),
    rmsprop("centered", centered=True),
    sgd("plain"),
    sgd("weight decay", weight_decay=0.1),
    sgd("momentum", momentum=0.9),
    sgd("momentum, weight decay", momentum=0.9, weight_decay=0.1),
    sgd("nesterov", momentum=0.9, weight_decay=0.1, nesterov=True),
    adam("first step", step=1),
    adam("later step", step=7),
    adam("decoupled weight decay", step=7, weight_decay=0.1),
    adam("coupled weight decay", step=7, weight_decay=0.1, decoupled=False),
    adam("amsgrad", step=7, amsgrad=True),
    adam("amsgrad, coupled weight decay", step=7, weight_decay=0.1, decoupled=False, amsgrad=True),
    rule("sgd", "velocity", "first step", idle=("dampening",), momentum=0.9, weight_decay=0.1, dampening=0.3, step=1.0),
    rule("sgd", "velocity", "dampening", momentum=0.9, weight_decay=0.1, dampening=0.3, step=2.0),
    rule("lion", "m"),
    rule("lion", "m", "all", weight_decay=0.1, beta1=0.8, beta2=0.7),
    rule("rprop", "previous size"),
    rule("rprop", "previous size", "bounds", eta_minus=0.3, eta_plus=2.5, min_step=0.02, max_step=0.2),
    rule("rprop", "previous size", "no rate", {"lr": 0.0}),
    rule("adagrad", "square", cells={"step": 7.0}, idle=("step",)),
    rule("adagrad", "square", "all", {"step": 7.0}, lr_decay=0.1, weight_decay=0.1, eps=0.01),
    rule("adadelta", "square change"),
    rule("adadelta", "square change", "all", rho=0.7, eps=0.01, weight_decay=0.1),
    rule("nadam", "m v", cells={"step": 7.0, "product": 0.1}),
    rule("nadam", "m v", "coupled", {"step": 7.0, "product": 0.1}, weight_decay=0.1, momentum_decay=0.1),
    rule("nadam", "m v", "decoupled", {"step": 1.0, "product": 0.5}, beta1=0.8, weight_decay=0.1, decoupled=True),
    rule("radam", "m v", cells={"step": 7.0}),
    rule("radam", "m v", "first steps", {"step": 5.0}, weight_decay=0.1),
    rule("radam", "m v", "decoupled", {"step": 50.0}, beta2=0.9, weight_decay=0.1, decoupled=True),
    rule("adamax", "m u", cells={"step": 7.0}),
    rule("adamax", "m u", "weight decay", {"step": 1.0}, beta2=0.7, weight_decay=0.1),
    lamb("plain"),
    lamb("weight decay", weight_decay=0.1),
    lamb("first step", step=1.0),
    Case("trust_rate", trust_rate_arguments, ("rate",)),
    Case(
        "trust_rate",
        lambda rows, width, dtype, rng: {
            **trust_rate_arguments(rows, width, dtype, rng),
            "squares": np.zeros((2, rows)),
        },
        ("rate",),
        variant="no length",
    ),
    Case(
        "nadam_product",
        lambda rows, width, dtype, rng: {"product": np.array([0.4]), "step": np.array([float(width)])},
        ("product",),
    ),
    Case("increment", lambda rows, width, dtype, rng: {"step": np.array([float(rows)])}, ("step",)),
)


# What is done to gradients and to parameters beside an optimizer's step


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
    Case(
        "multiply_numbers",
        lambda rows, width, dtype, rng: {"a": rows + 0.5, "b": -width / 3, "product": unset(1, np.float64)},
        ("product",),
    ),
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

CASES = (
    *ELEMENTARY,
    *DENSE,
    *ACTIVATIONS,
    *SOFTMAX,
    *DROPOUT,
    *NORMALIZATION,
    *LOSSES,
    *OPTIMIZERS,
    *TRANSFORMS,
    *GATHER,
)
