"""Cases of functions of single numbers, and of activations."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from cases.contract import Arguments, Case, Scale, plant, unset
from fastnn import reference

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


def tanh_shrink_scale(a: SimpleNamespace) -> np.ndarray:
    """Up to 1 it is a polynomial, beyond a difference."""
    y = np.empty_like(a.x)
    reference.tanh_shrink_forward(a.x, y)
    return np.where(np.abs(a.x) < 1, np.abs(y), np.abs(a.x))


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
    forward("sin", normal(10, *EXTREMES, 1e4)),
    forward("cos", normal(10, *EXTREMES, 1e4)),
    forward("negative", normal(3, *EXTREMES)),
    Case("add", add_arguments, ("y",), {"y": lambda a: np.abs(a.x) + np.abs(a.z)}, alias=("x", "y")),
)


def gated_arguments(activation: str, backward: bool = False) -> Callable[..., Arguments]:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = {"x": rng.normal(0, 2, (rows, 2 * width)).astype(dtype)}
        if backward:
            made |= {"dy": rng.normal(size=(rows, width)).astype(dtype), "dx": unset((rows, 2 * width), dtype)}
        else:
            made |= {"y": unset((rows, width), dtype)}
        return {**made, "activation": activation}

    return make


def gated(activation: str, **rest: Any) -> tuple[Case, Case]:
    """The rows of a gate: values are relative to a and b, which f and its derivative do not exceed by much."""
    half = lambda a: np.abs(a.x[:, : a.x.shape[1] // 2]) * (1 + np.abs(a.x[:, a.x.shape[1] // 2 :]))  # noqa: E731
    size = lambda a: np.tile(np.abs(a.dy), 2) * (1 + np.abs(a.x)) * (1 + np.abs(np.roll(a.x, a.dy.shape[1], 1)))  # noqa: E731
    there = Case("gated_forward", gated_arguments(activation), ("y",), {"y": half}, variant=activation, **rest)
    back = Case(
        "gated_backward", gated_arguments(activation, True), ("dx",), {"dx": size}, variant=activation,
        derivative_of="gated_forward", **rest,
    )  # fmt: skip
    return there, back


def parametric_arguments(activation: str, backward: bool = False, **constants: float) -> Callable[..., Arguments]:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        made = {"x": rng.normal(0, 2, (rows, width)).astype(dtype), "a": rng.normal(1, 0.3, width).astype(dtype)}
        there = {**made, **{name: unset((rows, width), dtype) for name in ("f", "y")}, "activation": activation}
        if backward:
            reference.parametric_forward(**there, **constants)
            dy = rng.normal(size=(rows, width)).astype(dtype)
            out = {"dx": unset((rows, width), dtype), "da": unset(width, dtype)}
            there = {"x": made["x"], "f": there["f"], "dy": dy, "a": made["a"], **out, "activation": activation}
        return {**there, **constants}

    return make


def parametric(activation: str, **constants: float) -> tuple[Case, Case]:
    """The rows of a parametric activation: what is added may be larger than the sum."""
    size = lambda a: 2 * (1 + np.abs(a.a)) * (np.abs(a.x) + 1)  # noqa: E731
    slope = lambda a: np.abs(a.dy) * (1 + 3 * np.abs(a.a)) * (1 + np.abs(np.nan_to_num(a.x)))  # noqa: E731
    total = lambda a: np.sqrt(len(a.x)) * (np.abs(a.dy) * (np.abs(a.f) + np.abs(a.x))).sum(axis=0)  # noqa: E731
    there = Case(
        "parametric_forward", parametric_arguments(activation, **constants), ("f", "y"),
        {"f": lambda a: 2 * (np.abs(a.x) + 1), "y": size}, variant=activation,
    )  # fmt: skip
    back = Case(
        "parametric_backward", parametric_arguments(activation, True, **constants), ("dx", "da"),
        {"dx": slope, "da": total}, alias=("dy", "dx"), derivative_of="parametric_forward", variant=activation,
    )  # fmt: skip
    return there, back


def prelu_arguments(n_alpha: int | None, *names: str) -> Callable[..., Arguments]:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        n = width if n_alpha is None else n_alpha
        made = {
            "x": plant(rng.normal(size=(rows, width)).astype(dtype), (0.0,)),
            "dy": rng.normal(size=(rows, width)).astype(dtype),
            "alpha": rng.normal(size=n).astype(dtype),
            "y": unset((rows, width), dtype),
            "dx": unset((rows, width), dtype),
            "dalpha": unset(n, dtype),
        }
        return {name: made[name] for name in names}

    return make


def prelu(variant: str, n_alpha: int | None) -> tuple[Case, ...]:
    def total(a: SimpleNamespace) -> np.ndarray:
        terms = np.abs(a.x * a.dy)
        return np.sqrt(terms.size) * (terms.sum(keepdims=True)[0] if len(a.dalpha) == 1 else terms.sum(axis=0))

    named = {"variant": variant, "kinks": (0.0,)}
    return (
        Case("prelu_forward", prelu_arguments(n_alpha, "x", "alpha", "y"), ("y",), alias=("x", "y"), **named),
        Case(
            "prelu_backward", prelu_arguments(n_alpha, "x", "dy", "alpha", "dx"), ("dx",), alias=("dy", "dx"),
            derivative_of="prelu_forward", **named,
        ),
        Case(
            "prelu_gradient", prelu_arguments(n_alpha, "x", "dy", "dalpha"), ("dalpha",), {"dalpha": total},
            derivative_of="" if variant else "prelu_forward", variant=variant,
        ),
    )  # fmt: skip


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
    *activation("softplus", alpha=0.75),
    *activation("softplus_threshold", saved="x", kinks=(4.0,), alpha=0.5, beta=2.0),
    *activation("squareplus", alpha=2.0),
    *activation("sparse_plus", kinks=(-1.0, 1.0)),
    *activation("exponential"),
    *activation("log_sigmoid"),
    *activation("softsign", saved="x", kinks=(0.0,)),
    *activation("sigmoid", dx=lambda a: np.abs(a.dy) * a.y),
    *activation("hard_sigmoid", kinks=(-1.6, 2.4), y=lambda a: np.ones_like(a.x), alpha=0.25, beta=0.4),
    *activation("tanh", dx=lambda a: np.abs(a.dy)),
    *activation("hard_tanh", kinks=(-0.5, 2.0), alpha=-0.5, beta=2.0),
    *activation("tanh_shrink", saved="x", y=tanh_shrink_scale),
    *activation("lisht", saved="x", dx=lambda a: np.abs(a.dy) * (np.abs(np.tanh(a.x)) + size(a.x))),
    *activation("relu6", kinks=(0.0, 6.0)),
    *activation("threshold", saved="x", kinks=(0.5,), alpha=0.5, beta=-1.0),
    *activation(
        "hard_swish", saved="x", kinks=(-3.0, 3.0), dx=lambda a: np.abs(a.dy) * (0.5 + np.minimum(np.abs(a.x), 3) / 3)
    ),
    *prelu("", None),
    *prelu("shared", 1),
    *gated("sigmoid"),
    *gated("silu"),
    *parametric("selu"),
    *parametric("mish"),
    *parametric("elu", alpha=0.5),
    *activation("hard_shrink", kinks=(-0.75, 0.75), alpha=0.75),
    *activation("soft_shrink", kinks=(-0.75, 0.75), alpha=0.75),
    *activation("sine", saved="x", alpha=1.5),
    *activation("snake", saved="x", y=lambda a: np.abs(a.x) + 1, dx=lambda a: 2 * np.abs(a.dy), alpha=1.5),
    # exp(1.702 x) has the error of 1.702 x, relative to 1
    *activation(
        "quick_gelu",
        saved="x",
        y=lambda a: np.abs(a.x) * reference.activations._sigmoid(1.702 * a.x) * (1 + size(a.x)),
        dx=lambda a: np.abs(a.dy) * reference.activations._sigmoid(1.702 * a.x) * np.square(1 + 2 * size(a.x)),
    ),
    *activation("mish", saved="x", dx=lambda a: np.abs(a.dy) * reference.activations._sigmoid(a.x) * (2 + size(a.x))),
)
