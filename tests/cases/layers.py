"""Cases of softmax, dropout and normalization."""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, Scale, unset
from cases.elementwise import EXTREMES, backward, forward, normal
from fastnn import reference

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

sparsemax = forward("sparsemax_forward", normal(1), lambda a: np.ones_like(a.x))

SOFTMAX = (
    sparsemax,
    backward(sparsemax, "y", lambda a: np.abs(a.dy) + row_sum(a.dy)),
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


def drawn(op: str, **numbers: float) -> tuple[Case, ...]:
    """Noise, relative to x and to what a normal number may be."""
    scale = lambda a: np.abs(a.x) * 8 + 8 * getattr(a, "stddev", 0)  # noqa: E731
    return (forward(op, normal(3), scale, parameters=numbers),)


def alpha_dropout_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    dy = rng.normal(size=(rows, width)).astype(dtype)
    return {"dy": dy, "dx": unset((rows, width), dtype), "rate": 0.3, "seed": 7.0, "count": 1000.0}


NOISE = (
    forward(
        "alpha_dropout_forward",
        normal(3),
        lambda a: np.nan_to_num(np.abs(a.x)) + 2,
        parameters={"rate": 0.3, "seed": 7.0, "count": 1000.0},
    ),
    Case(
        "alpha_dropout_backward",
        alpha_dropout_backward_arguments,
        ("dx",),
        alias=("dy", "dx"),
        derivative_of="alpha_dropout_forward",
    ),
    *drawn("gaussian_noise", stddev=0.7, seed=2.0**53 - 2, count=1000.0),
    *drawn("gaussian_dropout", rate=0.3, seed=12345678.0, count=6.0),
)


# Maxout, of three pieces


def maxout_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {"z": rng.normal(size=(rows, 3, width)).astype(dtype), "y": unset((rows, width), dtype)}


def maxout_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = maxout_arguments(rows, width, dtype, rng)
    there["z"][..., ::4] = np.round(there["z"][..., ::4])  # some are equal
    reference.maxout_forward(**there)
    return {**there, "dy": rng.normal(size=(rows, width)).astype(dtype), "dz": unset((rows, 3, width), dtype)}


MAXOUT = (
    Case("maxout_forward", maxout_arguments, ("y",)),
    Case(
        "maxout_backward",
        maxout_backward_arguments,
        ("dz",),
        alias=("z", "dz"),
        derivative_of="maxout_forward",
    ),
)


# Columns


def copy_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    """Columns of wider arrays, where there are several."""
    x, y = rng.normal(size=(rows, 2 * width)).astype(dtype), unset((rows, width + 3), dtype)
    return {"x": x[:, width:], "y": y[:, 1 : width + 1]}


COLUMNS = (Case("copy", copy_arguments, ("y",)),)


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


def scale_columns_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, given: tuple[str, ...] = ("factor", "offset")
) -> Arguments:
    x, (factor, offset) = rng.normal(size=(rows, width)), rng.normal(size=(2, width))
    of_columns = {"factor": factor.astype(dtype), "offset": offset.astype(dtype)}
    of_columns = {name: array if name in given else None for name, array in of_columns.items()}
    return {"x": x.astype(dtype), **of_columns, "y": unset((rows, width), dtype)}


def scale_columns_backward_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, dx: bool = True, doffset: bool = True
) -> Arguments:
    there = scale_columns_arguments(rows, width, dtype, rng)
    return {
        "x": there["x"],
        "dy": rng.normal(size=(rows, width)).astype(dtype),
        "factor": there["factor"],
        "dx": unset((rows, width), dtype) if dx else None,
        "dfactor": unset(width, dtype),
        "doffset": unset(width, dtype) if doffset else None,
    }


def layer_norm_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator, rms: bool = False) -> Arguments:
    """With ``rms``, without a mean and a shift."""
    there = batch_norm_arguments(rows, width, dtype, rng)
    of_rows = {"mean": None if rms else unset(rows, dtype), "inverse": unset(rows, dtype), "eps": there["eps"]}
    there["shift"] = None if rms else there["shift"]
    return {**{name: there[name] for name in ("x", "scale", "shift", "y")}, **of_rows}


def layer_norm_backward_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, rms: bool = False
) -> Arguments:
    there = layer_norm_arguments(rows, width, dtype, rng, rms)
    reference.layer_norm_forward(**there)
    dy = rng.normal(size=(rows, width)).astype(dtype)
    of_forward = {name: there[name] for name in ("scale", "mean", "inverse")}
    return {"x": there["x"], "dy": dy, **of_forward, "dx": unset((rows, width), dtype)}


def scale_columns_gradients_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, rms: bool = False
) -> Arguments:
    there = layer_norm_backward_arguments(rows, width, dtype, rng, rms)
    outputs = {"dscale": unset(width, dtype), "dshift": None if rms else unset(width, dtype)}
    return {**{name: there[name] for name in ("x", "dy", "mean", "inverse")}, **outputs}


def or_0(array: np.ndarray | None) -> np.ndarray:
    return np.zeros(1) if array is None else array


def moments(x: np.ndarray, axis: int, eps: float) -> tuple[np.ndarray, ...]:
    """The root of the number of terms, the largest |x|, the deviation, and 1 / sqrt(variance + eps)."""
    largest = np.abs(x).max(axis=axis, keepdims=True, initial=0)
    with np.errstate(all="ignore"):
        deviation = np.sqrt(reference.layers._mean(np.square(x - reference.layers._mean(x, axis)), axis))
        return np.sqrt(max(x.shape[axis], 1)), largest, deviation, 1 / np.sqrt(np.square(deviation) + eps)


def normalized_scale(a: SimpleNamespace, axis: int) -> np.ndarray:
    """The error of x - mean is that of x, and the variance has that of its terms."""
    root, largest, _, inverse = moments(a.x, axis, a.eps)
    scale = root * largest * inverse * (1 + np.abs(a.x) * inverse) * np.abs(a.scale) + np.abs(or_0(a.shift))
    return np.nan_to_num(scale, posinf=np.inf)  # beside an infinite number all are 0 without a mean


def variance_scale(a: SimpleNamespace) -> np.ndarray:
    root, largest, deviation, _ = moments(a.x, 0, a.eps)
    return (root * deviation * (largest + deviation))[0]


def inverse_scale(a: SimpleNamespace) -> np.ndarray:
    root, largest, _, inverse = moments(a.x, 1, a.eps)
    return np.nan_to_num(root * inverse * (1 + largest * inverse), posinf=np.inf)[:, 0]


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
    xhat = (np.abs(a.x) + np.abs(or_0(a.mean)[:, None])) * a.inverse[:, None]
    return np.sqrt(len(a.dy)) * (np.abs(a.dy) * xhat).sum(axis=0)


def layer_norm_dx_scale(a: SimpleNamespace) -> np.ndarray:
    g, inverse, root = np.abs(a.dy * a.scale), np.abs(a.inverse[:, None]), np.sqrt(a.x.shape[1])
    xhat = (np.abs(a.x) + np.abs(or_0(a.mean)[:, None])) * inverse
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
    *(
        Case(
            "scale_columns",
            partial(scale_columns_arguments, given=given),
            ("y",),
            {"y": lambda a: np.abs(a.x * (1 if a.factor is None else a.factor)) + np.abs(or_0(a.offset))},
            alias=("x", "y"),
            variant=variant,
        )
        for variant, given in {
            "": ("factor", "offset"),
            "factor": ("factor",),
            "offset": ("offset",),
            "neither": (),
        }.items()
    ),
    *(
        Case(
            "scale_columns_backward",
            partial(scale_columns_backward_arguments, dx="dx" in outputs, doffset="doffset" in outputs),
            outputs,
            {"dfactor": lambda a: np.sqrt(len(a.dy)) * np.abs(a.dy * a.x).sum(axis=0), "doffset": dshift_scale},
            alias=("dy", "dx") if "dx" in outputs else None,
            derivative_of="scale_columns",
            variant=variant,
        )
        for variant, outputs in {
            "": ("dx", "dfactor", "doffset"),
            "no dx": ("dfactor", "doffset"),
            "no doffset": ("dx", "dfactor"),
        }.items()
    ),
    *(
        case
        for rms in (False, True)
        for case in (
            Case(
                "layer_norm_forward",
                partial(layer_norm_arguments, rms=rms),
                ("y", "inverse") if rms else ("y", "mean", "inverse"),
                {"y": lambda a: normalized_scale(a, 1), "mean": mean_scale(1), "inverse": inverse_scale},
                variant="rms" if rms else "",
            ),
            Case(
                "layer_norm_backward",
                partial(layer_norm_backward_arguments, rms=rms),
                ("dx",),
                {"dx": layer_norm_dx_scale},
                alias=("dy", "dx"),
                derivative_of="layer_norm_forward",
                variant="rms" if rms else "",
            ),
            Case(
                "scale_columns_gradients",
                partial(scale_columns_gradients_arguments, rms=rms),
                ("dscale",) if rms else ("dscale", "dshift"),
                {"dscale": layer_norm_dscale_scale, "dshift": dshift_scale},
                derivative_of="layer_norm_forward",
                variant="rms" if rms else "",
            ),
        )
    ),
)
