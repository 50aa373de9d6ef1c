"""Single kernels: matrix products against np.matmul and the FMA peak, and all others against their NumPy twins."""

import argparse
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import frame
import numpy as np

import fastnn
from fastnn import reference
from fastnn.layers import bfloat16
from fastnn.layers.int8 import packed
from fastnn.layers.panels import panels

# (batch, n_in, n_out): the layers of the nets that bench_train.py trains,
LAYERS = (
    (4, 2, 8), (4, 8, 4), (4, 4, 2), (32, 20, 64), (32, 64, 64), (32, 64, 2), (64, 784, 128), (64, 128, 10),
    (128, 784, 512), (128, 512, 512), (128, 512, 10), (256, 1024, 1024), (256, 1024, 10), (32, 8, 256), (32, 256, 256),
    (32, 256, 1), (200, 784, 100), (200, 100, 100), (200, 100, 10), (10_000, 4, 32), (10_000, 32, 16), (10_000, 16, 4),
)  # fmt: skip
# single rows, few outputs, squares up to the largest, and sizes that are no multiple of anything.
SHAPES = (
    (1, 8, 8), (1, 20, 64), (1, 64, 64), (1, 784, 128), (1, 512, 512), (1, 1024, 1024), *LAYERS,
    (64, 128, 1), (64, 128, 2), (64, 128, 3), (256, 1024, 3), (65, 65, 65), (100, 300, 70), (64, 64, 64),
    (128, 128, 128), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
)  # fmt: skip
SHAPES_FLOAT64 = ((1, 64, 64), (32, 20, 64), (32, 64, 2), (64, 784, 128), (128, 512, 512), (512, 512, 512))
FEW_OUTPUTS = ((32, 64, 2), (32, 48, 3), (32, 64, 1), (150, 100, 3))  # (rows, inputs, outputs)
ONE_PASS = 0.8  # of the time of two calls, at most, in float32 with 512-bit vectors
SHARE_OF_PEAK = 0.9  # required where all three sizes are at least 64; and nowhere slower than np.matmul
LAYER_OPS = {
    "dense_forward": 1,
    "dense_backward": 2,
    "dense_sgd": 1,
    "dense_int8": 1,
    "dense_bf16": 1,
    "dense_panels": 1,
}  # with the number of their products
ELEMENTWISE = ((32, 64), (128, 512))  # (rows, width)
DTYPES_SHAPE = (32, 256)  # of float32 and float64, in the second-level cache
JACOBIAN = ((32, 10), (64, 64))
RTOL = {"float32": 2e-5, "float64": 1e-12}

ELEMENTARY = ("exp", "expm1", "log", "log1p", "erf", "sin", "cos", "negative")
LOSSES = (
    "mse", "mae", "huber", "binary_cross_entropy", "binary_cross_entropy_from_logits", "cross_entropy",
    "cross_entropy_from_logits", "cross_entropy_labels", "cross_entropy_labels_from_logits", "smooth_l1", "log_cosh",
    "quantile", "quantiles", "expectile", "msle", "mape", "poisson", "poisson_of_logs", "tweedie", "tweedie_of_logs",
    "gaussian_nll", "kl_divergence", "kl_divergence_of_logs", "binary_focal", "binary_focal_from_logits", "focal",
    "focal_of_logs", "hinge", "squared_hinge", "multi_margin", "cosine_similarity",
)  # fmt: skip
# What the kernel of each remembers of a number, and options of its class, some of which are the kernel's
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("", {}),
    "sgd with momentum": ("velocity", {"momentum": 0.9}),
    "lion": ("m", {}),
    "rprop": ("previous size", {}),
    "rmsprop": ("square", {}),
    "rmsprop, centered": ("square mean", {"centered": True}),
    "adagrad": ("square", {}),
    "adadelta": ("square change", {}),
    "adam": ("m v", {}),
    "adam, amsgrad": ("m v largest", {"amsgrad": True}),
    "nadam": ("m v", {}),
    "radam": ("m v", {}),
    "adamax": ("m u", {}),
    "lamb": ("m v u", {}),
    "schedule_free_adamw": ("z x v", {}),
}
ARENAS = {"in cache": 1 << 12, "in memory": 1 << 23}  # how many parameters
# What a call costs beside its arithmetic, on arrays of a few numbers: calls from Python, and recording. In ns, what
# they shall cost at most on a Zen 4 of 3.7 GHz.
CALLS = {"relu_forward": 250, "dense_forward": 600, "dense_backward": 800, "adam": 500, "recording dense_forward": 1100}
CALLS_AT_ONCE = 100
NUMPY_HAS = {"exp": np.exp, "log": np.log, "tanh_forward": np.tanh}  # required: not slower, in float32
FUNCTIONS = ((32, 64), (128, 512), (1000, 1000))  # their (rows, width)
GATHER = ("gather_rows", "gather_labels")
LANES, NETS, INPUTS = ("lanes_gather", "lanes_mean", "lanes_cross_entropy"), 16, 8  # of nets side by side
FLOAT32_SHARE = 0.9  # of the time in float64, at most: arithmetic takes half of it, sums in double, as losses have, all
NUMBERS = (  # of single numbers: an element is a call
    "multiply_numbers", "every", "nadam_product", "trust_rate", "schedule_free_part", "ema_rate", "swa_rate",
    "follow_schedule", "add_loss", "add_sum",
)  # fmt: skip
TRANSFORMS: dict[str, dict[str, float]] = {
    "accumulate": {}, "scale": {"factor": 0.999}, "clip_values": {"limit": 0.7}, "block_squares": {}, "norm_factor": {},
    "guard_numbers": {}, "clear": {}, "approach": {"rate": 0.01}, "multiply_numbers": {}, "every": {"k": 4},
    "nadam_product": {}, "trust_rate": {}, "schedule_free_part": {}, "ema_rate": {"decay": 0.9},
    "swa_rate": {"start": 0, "every": 2}, "follow_schedule": {}, "add_loss": {}, "add_sum": {}, "share_weights": {},
    "penalty": {"l1": 1e-6, "l2": 1e-6}, "bound": {"low": -0.7, "high": 0.7},
}  # fmt: skip
DRAWN: dict[str, dict[str, float]] = {
    name: {"stddev" if name == "gaussian_noise" else "rate": 0.5, "seed": 1, "count": 2}
    for name in ("dropout", "alpha_dropout_forward", "alpha_dropout_backward", "gaussian_noise", "gaussian_dropout")
}
NORMS: dict[str, dict[str, float]] = {f"bound_{each}_norms": {"low": 0.5, "high": 2.0} for each in ("column", "row")}
COLUMNS = ("batch_norm_factors", "batch_norm_averages", "scale_columns_gradients", "scale_columns", "embedding_sgd")
# All that is measured per element, with options, as `reference` lists it.
PAIRS = [name for name in vars(reference) if name.endswith(("_forward", "_backward")) and not name.startswith("dense_")]
ROWS: dict[str, dict[str, float]] = {
    name: {}
    for name in (
        *ELEMENTARY,
        "add",
        "copy",
        *PAIRS,
        "prelu_gradient",
        "softmax_jacobian",
        *COLUMNS,
        *LOSSES,
        *GATHER,
        *LANES,
    )
} | {**DRAWN, **{name: {} for name in OPTIMIZERS}, **TRANSFORMS, **NORMS}

Contenders = dict[str, tuple[Callable[[], object], list[Any]]]  # what to call, and the arrays it writes to or reads


def arguments(op: str, rows: int, width: int, dtype: str) -> list[Any]:
    """Make arguments for a kernel from their names, which mean the same everywhere; outputs hold NaN."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    unset = np.full((rows, width), np.nan, dtype)
    if op in LOSSES:
        of_labels = "labels" in op or op == "multi_margin"
        t = rng.integers(0, width, rows) if of_labels else rng.uniform(0, 1, (rows, width)).astype(dtype)
        y = rng.uniform(0.05, 0.95, (rows, (1 + (op == "gaussian_nll")) * width)).astype(dtype)
        y = -y if op.endswith("_of_logs") else y
        levels = [np.array([0.25, 0.75])] if op == "quantiles" else []
        return [y, t, None, np.full_like(y, np.nan), np.zeros(1), *levels]
    if op == "add":
        return [normal(rows, width), normal(rows, width), unset]
    if "_norm_" in op or op.startswith("scale_columns"):
        return normalization(op, rows, width, dtype, normal)
    if op.startswith(("columns_", "embedding_", "one_hot_", "normalize_")):
        return of_columns(op, rows, width, dtype, normal)
    if op in NORMS:
        return [normal(rows, width)]
    if op in TRANSFORMS:
        return transformed(op, rows * width, dtype, normal)
    if op.startswith("maxout"):
        pieces, largest = normal(rows, 2, width), np.full((rows, width), np.nan, dtype)
        reference.maxout_forward(pieces, largest)
        return [pieces, unset] if op.endswith("_forward") else [pieces, largest, normal(rows, width), pieces.copy()]
    if op.startswith("prelu"):
        x, dy, alpha = normal(rows, width), normal(rows, width), normal(width)
        rest = {"forward": [alpha, unset], "backward": [dy, alpha, unset], "gradient": [dy, np.empty_like(alpha)]}
        return [x, *rest[op.partition("_")[2]]]
    if op.startswith("gated"):
        x, dx = normal(rows, 2 * width), np.full((rows, 2 * width), np.nan, dtype)
        return [x, unset, "silu"] if op.endswith("_forward") else [x, normal(rows, width), dx, "silu"]
    if op.startswith("lanes"):
        return of_nets(op, rows, width, dtype, normal)
    if op.startswith(("parametric", "grouped", "periodic", "bins")):
        return of_numbers(op, rows, width, dtype, normal)
    if op in DRAWN:
        return [normal(rows, width), unset]
    if op.endswith("_backward"):
        forward = arguments(op.replace("backward", "forward"), rows, width, dtype)
        getattr(reference, op.replace("backward", "forward"))(*forward)
        saved = forward[0] if "x" in inspect.signature(getattr(reference, op)).parameters else forward[1]
        return [saved, normal(rows, width), unset]
    if op == "softmax_jacobian":
        return [rng.uniform(0, 2 / width, (rows, width)).astype(dtype), np.full((rows, width, width), np.nan, dtype)]
    if op == "gather_labels":
        return [rng.integers(0, 9, 9 * rows), rng.integers(0, 9 * rows, rows), np.zeros(1, int), np.full(rows, -1)]
    if op == "gather_rows":
        return [normal(9 * rows, width), rng.integers(0, 9 * rows, rows), np.zeros(1, int), unset]
    if op in OPTIMIZERS:
        return optimized(op, rows * width, normal)
    return [np.abs(normal(rows, width)) if op in ELEMENTARY else normal(rows, width), unset]


def normalization(op: str, rows: int, width: int, dtype: str, normal: Callable[..., np.ndarray]) -> list[Any]:
    x, dy, scale, shift = normal(rows, width), normal(rows, width), normal(width), normal(width)
    if op == "scale_columns":
        return [x, scale, shift, np.full_like(x, np.nan)]
    if op == "scale_columns_backward":
        return [x, dy, scale, np.full_like(x, np.nan), *(np.full_like(scale, np.nan) for _ in range(2))]
    forward = [
        x,
        scale,
        shift,
        np.full_like(x, np.nan),
        *(np.empty(width if op[0] == "b" else rows, dtype) for _ in "mv"),
    ]
    if op.endswith("_forward"):
        return forward
    of = "layer" if op == "scale_columns_gradients" else op.partition("_norm_")[0]
    getattr(reference, of + "_norm_forward")(*forward)
    moments, of_columns = forward[4:], [np.full_like(scale, np.nan) for _ in range(2)]
    return {
        "batch_norm_backward": [x, dy, scale, *moments, np.full_like(x, np.nan), *of_columns],
        "batch_norm_factors": [scale, shift, *moments, *of_columns],
        "batch_norm_averages": [normal(width), np.abs(normal(width)), *moments, 0.1, float(rows)],
        "layer_norm_backward": [x, dy, scale, *moments, np.full_like(x, np.nan)],
        "scale_columns_gradients": [x, dy, *moments, *of_columns],
    }[op]


def of_columns(op: str, rows: int, width: int, dtype: str, normal: Callable[..., np.ndarray]) -> list[Any]:
    rng = np.random.default_rng(1)
    x, table, factor = normal(rows, width), normal(9, width), normal(width)
    unset = np.full_like(x, np.nan)
    index, codes = rng.integers(0, width, width), rng.integers(0, min(9, width), (rows, 1)).astype(dtype)
    return {
        "columns_forward": [x, index, unset],
        "columns_backward": [x, index, unset],
        "embedding_forward": [codes, table, unset],
        "embedding_backward": [codes, x, np.full_like(table, np.nan)],
        "embedding_sgd": [codes, x, table, np.full(1, 1e-6)],
        "one_hot_forward": [codes, unset],
        "normalize_forward": [x, normal(width), factor, normal(width), unset],
        "normalize_backward": [x, normal(rows, width), factor, unset],
    }[op]


def of_nets(op: str, rows: int, width: int, dtype: str, normal: Callable[..., np.ndarray]) -> list[Any]:
    """Make arguments for nets side by side, of which each has INPUTS: a row of all has `width` outputs."""

    def unset(*shape: int) -> np.ndarray:
        return np.full(shape, np.nan, dtype)

    units, values = width // NETS, np.zeros(NETS)
    x, dy = normal(rows, INPUTS, NETS), normal(rows, units, NETS)
    w, b = normal(INPUTS, units, NETS), normal(units, NETS)
    labels = np.random.default_rng(0).integers(0, units, (rows, NETS)).astype(dtype)
    index = np.random.default_rng(1).integers(0, 2 * rows, (NETS, rows))
    return {
        "lanes_dense_forward": [x, w, b, unset(rows, units, NETS)],
        "lanes_dense_backward": [x, w, dy, x.copy(), w.copy(), b.copy()],
        "lanes_gather": [normal(1, 2 * rows, units), index, np.zeros(1, np.int64), dy],
        "lanes_mean": [dy.reshape(-1, NETS), values],
        "lanes_cross_entropy": [dy, labels, unset(rows, units, NETS), values],
    }[op]


def of_numbers(op: str, rows: int, width: int, dtype: str, normal: Callable[..., np.ndarray]) -> list[Any]:
    """Make arguments for what is done to groups of 8 outputs, and for parametric activations."""

    def unset(*shape: int) -> np.ndarray:
        return np.full(shape, np.nan, dtype)

    name, backward = op.rpartition("_")[0], op.endswith("_backward")
    if name == "parametric":
        x, a, f, y = normal(rows, width), normal(width), unset(rows, width), unset(rows, width)
        there = [x, a, f, y, "mish"]
        reference.parametric_forward(*there)  # type: ignore[arg-type]
        return [x, f, normal(rows, width), a, y, unset(width), "mish"] if backward else there
    n = width // 8
    if name == "grouped":
        x, w, y = normal(rows, n, 8), normal(n, 8, 8), unset(rows, n, 8)
        there = [x, w, normal(n, 8), None, y]
        return [x, w, normal(rows, n, 8), y, unset(n, 8, 8), unset(n, 8)] if backward else there
    x = normal(rows, n)
    if name == "periodic":
        w, c, y = normal(n, 4), normal(n, 4), unset(rows, n, 8)
        reference.periodic_forward(x, w, c, y)
        back = [x, w, y, normal(rows, n, 4), x.copy(), unset(rows, n), unset(n, 4), unset(n, 4)]
        return back if backward else [x, w, c, y]
    edges = np.sort(normal(n, 17), axis=1)
    w, v, sums = normal(n, 8), normal(n, 16, 8), unset(n, 16, 8)
    if backward:
        out = [unset(rows, n), unset(n, 8), unset(n, 8), unset(n, 16, 8)]
        return [x, edges, w, v, normal(rows, n, 8), sums, *out]
    return [x, edges, w, normal(n, 8), v, sums, unset(rows, n, 8)]


def optimized(name: str, n: int, normal: Callable[..., np.ndarray]) -> list[Any]:
    """Make the arguments of an optimizer, with a rate so small that parameters stay where they are."""
    memory, options = OPTIMIZERS[name]
    made = {
        "w": normal(n),
        "dw": normal(n),
        "lr": np.full(1, 1e-6),
        "step": np.full(1, 7.0),
        "product": np.full(1, 0.1),
        "part": np.full(1, 0.1),
        "before": np.full(1, 0.9),
    }
    made |= {
        each: normal(n) if each in ("m", "mean", "z", "x") else np.square(normal(n)) + 2 for each in memory.split()
    } | options
    made["squares"] = np.ones((2, -(-n // reference.SQUARES)))
    parameters = list(inspect.signature(getattr(reference, op_of(name))).parameters.values())
    while parameters[-1].name not in made:
        parameters.pop()
    return [made.get(p.name, None if p.default is p.empty else p.default) for p in parameters]


def op_of(name: str) -> str:
    return name.split(maxsplit=1)[0].rstrip(",")


def transformed(op: str, n: int, dtype: str, normal: Callable[..., np.ndarray]) -> list[Any]:
    """Make what goes before the options."""
    if op in ("accumulate", "approach"):
        return [normal(n), normal(n)]
    if op == "norm_factor":
        return [np.ones(-(-n // reference.SQUARES)), 1.0, np.empty(1), np.empty(1)]
    if op == "penalty":
        return [normal(n), normal(n), np.empty(-(-n // reference.SQUARES))]
    if op == "share_weights":
        return [np.square(normal(n))[:, None], 1.0, np.empty(1)]
    if op == "block_squares":
        return [normal(n), np.empty(-(-n // reference.SQUARES))]
    if op in NUMBERS:
        return {
            "add_loss": [np.ones(1), np.zeros(1)],
            "add_sum": [np.ones(-(-n // reference.SQUARES)), np.zeros(1)],
            "multiply_numbers": [2.0, 3.0, np.empty(1)],
            "every": [np.zeros(1)],
            "follow_schedule": [np.zeros(1), 0.0, np.ones(4), np.empty(1)],
            "nadam_product": [np.ones(1), np.ones(1)],
            "schedule_free_part": [*(np.ones(1) for _ in range(5)), 0.1, 0.9],
            "ema_rate": [np.ones(1), np.empty(1)],
            "swa_rate": [np.ones(1), np.ones(1), np.empty(1)],
            "trust_rate": [np.ones((2, -(-n // reference.SQUARES))), 0.1, np.empty(1)],
        }[op]
    return [normal(n)]


def compare(
    what: str,
    dtype: str,
    contenders: Contenders,
    seconds: float,
    besides: Mapping[str, Callable[[], object]] = MappingProxyType({}),
) -> dict[str, frame.Timing]:
    """Let each contender compute once into its own arrays, compare these, then measure, with others besides."""
    for call, _ in contenders.values():
        call()
    results = {name: [a for a in arrays if isinstance(a, np.ndarray)] for name, (_, arrays) in contenders.items()}
    frame.verify(f"{what} {dtype}", results, RTOL[dtype])
    calls = {name: call for name, (call, _) in contenders.items()}
    return frame.measure(calls | dict(besides), seconds, at_least=5 if seconds else 1)


def twins(op: str, dtype: str, make: Callable[[], list[Any]], **options: Any) -> Contenders:
    """Return the two contenders that have the same arguments: a kernel and its twin."""
    contenders = {}
    for name, function in (("NumPy", getattr(reference, op)), ("fastnn", getattr(kernels(dtype), op))):
        own = make()
        contenders[name] = (lambda function=function, own=own: function(*own, **options)), own
    return contenders


def kernels(dtype: str) -> Any:
    return getattr(fastnn.kernels, dtype)


def products(m: int, k: int, n: int, dtype: str) -> dict[str, Contenders]:
    """Return the three products of a dense layer, x (m, k) and w (k, n), each with its contenders.

    Those of fastnn are recorded and replayed, as `fit` does it.
    """
    rng = np.random.default_rng(0)
    x, w, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    y, dw, dx = ((np.full(a.shape, np.nan, dtype), np.full(a.shape, np.nan, dtype)) for a in (dy, w, x))
    tapes = [fastnn.Tape() for _ in range(3)]
    kernels(dtype).dense_forward(x, w, None, y[1], tape=tapes[0])
    kernels(dtype).dense_backward(x, w, dy, None, dw[1], None, tape=tapes[1])
    kernels(dtype).dense_backward(x, w, dy, dx[1], None, None, tape=tapes[2])
    return {
        "x @ w": {
            "matmul": (lambda: np.matmul(x, w, out=y[0]), [y[0]]),
            "fastnn": (tapes[0].replay, [y[1]]),
        },
        "x.T @ dy": {
            "matmul": (lambda: np.matmul(x.T, dy, out=dw[0]), [dw[0]]),
            "fastnn": (tapes[1].replay, [dw[1]]),
        },
        "dy @ w.T": {
            "matmul": (lambda: np.matmul(dy, w.T, out=dx[0]), [dx[0]]),
            "fastnn": (tapes[2].replay, [dx[1]]),
        },
    }


def layer(op: str, m: int, k: int, n: int, dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (n,), (m, n)))
    if op == "dense_forward":
        return [x, w, b, np.full_like(dy, np.nan), "relu"]
    if op == "dense_int8":
        weights = rng.integers(-127, 128, (k, n)).astype(np.int8)
        correction = (100 * weights.sum(axis=0, dtype=np.int64)).astype(np.int32)
        scale = np.full(n, 1e-4, dtype)
        return [x, packed(weights), scale, correction, b, np.full_like(dy, np.nan), 0.02, 100.0, "relu"]
    if op == "dense_bf16":
        return [x, bfloat16.packed(w.astype(np.float32)), b, np.full_like(dy, np.nan), "relu"]
    if op == "dense_panels":
        return [x, panels(w), b, np.full_like(dy, np.nan), "relu"]
    if op == "dense_sgd":
        return [x, w, b, dy, np.full(1, 1e-6)]
    return [x, w, dy, *(np.full_like(array, np.nan) for array in (x, w, b))]


def bench_products(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        shapes = SHAPES if dtype == "float32" else SHAPES_FLOAT64
        for m, k, n in shapes[:3] if chosen.smoke else shapes:
            for product, contenders in products(m, k, n, dtype).items():
                what = f"{product} {m}x{k}x{n}"
                if chosen.only not in what:
                    continue
                timings = compare(what, dtype, contenders, seconds / 2, frame.peak(dtype))
                peak, flops = frame.peak_flops(timings, dtype), 2 * m * k * n
                speed = {name: flops / timings[name].minimum for name in ("fastnn", "matmul")}
                share, ratio = speed["fastnn"] / peak, frame.ratios(timings)["matmul"]
                report.add(timings, op=product, shape=[m, k, n], dtype=dtype, flops=flops, peak=peak, share=share)
                holds = report.require(f"{what} {dtype}: × faster than np.matmul", ratio, at_least=1 - frame.NOISE)
                if min(m, k, n) >= 64:
                    peak_line = f"{what} {dtype}: share of the FMA peak"
                    holds &= report.require(peak_line, share, at_least=SHARE_OF_PEAK)
                gigaflops = (f"{number / 1e9:.2f}" for number in (speed["fastnn"], speed["matmul"], peak))
                rows.append([what, dtype, *gigaflops, f"{share:.3f}", f"{ratio:.2f}", "yes" if holds else "NO"])
    if rows:
        print(
            "\nMatrix products, x (m, k), w (k, n), as m x k x n; fastnn as a replayed call: GFLOP/s\n"
            f"required: not slower than np.matmul (within {frame.NOISE:.0%}, the noise of such minima); where all "
            f"three sizes are at least 64, {SHARE_OF_PEAK:.0%} of the peak"
        )
        headings = [
            "product", "dtype", "fastnn", "np.matmul", "FMA peak", "fastnn / peak", "fastnn is × faster", "holds"
        ]  # fmt: skip
        print(frame.table(headings, rows), flush=True)


def bench_functions(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for op, function in NUMPY_HAS.items():
            for shape in FUNCTIONS[: 1 if chosen.smoke else None]:
                what = f"{function.__name__} {shape[0]}x{shape[1]}"
                if chosen.only not in what:
                    continue
                x, ours = arguments(op, *shape, dtype)
                theirs, tape = ours.copy(), fastnn.Tape()
                getattr(kernels(dtype), op)(x, ours, tape=tape)
                contenders: Contenders = {
                    "NumPy": (lambda f=function, x=x, out=theirs: f(x, out=out), [theirs]),
                    "fastnn": (tape.replay, [ours]),
                }
                timings = compare(what, dtype, contenders, seconds)
                report.add(timings, op=function.__name__, shape=shape, dtype=dtype, elements=x.size)
                ratio = frame.ratios(timings)["NumPy"]
                bound = 1 - frame.NOISE if dtype == "float32" else None
                holds = report.require(f"{what} {dtype}: × faster than np.{function.__name__}", ratio, at_least=bound)
                least = (f"{timings[name].minimum / x.size * 1e9:.3f}" for name in ("fastnn", "NumPy"))
                rows.append([what, dtype, *least, f"{ratio:.2f}", "" if bound is None else "yes" if holds else "NO"])
    if rows:
        print(
            "\nThe functions that NumPy has; fastnn as a replayed call: ns per element\n"
            f"required: in float32 not slower (within {frame.NOISE:.0%})"
        )
        print(frame.table(["function", "dtype", "fastnn", "NumPy", "fastnn is × faster", "holds"], rows), flush=True)


def bench_layers(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for shape in LAYERS[:3] if chosen.smoke else LAYERS:
            for op, products in LAYER_OPS.items():
                what = f"{op} {'x'.join(map(str, shape))}"
                if chosen.only not in what or (op == "dense_panels" and shape[2] < fastnn.PanelDense.least_units):
                    continue
                timings = compare(what, dtype, twins(op, dtype, lambda: layer(op, *shape, dtype)), seconds)  # noqa: B023
                flops = 2 * np.prod(shape).item() * products
                report.add(timings, op=op, shape=shape, dtype=dtype, flops=flops)
                least = (f"{timings[name].minimum * 1e6:.2f}" for name in ("fastnn", "NumPy"))
                speed = f"{flops / timings['fastnn'].minimum / 1e9:.2f}"
                rows.append([what, dtype, *least, speed, f"{frame.ratios(timings)['NumPy']:.2f}"])
    if rows:
        print("\nDense layers (forward with bias and relu, backward with dx, dw and db), called from Python: µs")
        headings = ["kernel", "dtype", "fastnn", "NumPy", "fastnn GFLOP/s", "fastnn is × faster"]
        print(frame.table(headings, rows), flush=True)


def bench_rows(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for name, options in ROWS.items():
            for shape in (JACOBIAN if name == "softmax_jacobian" else ELEMENTWISE)[: 1 if chosen.smoke else None]:
                op, what = op_of(name), f"{name} {shape[0]}x{shape[1]}"
                if chosen.only not in what:
                    continue
                key = name if name in OPTIMIZERS else op
                contenders = twins(op, dtype, lambda: arguments(key, *shape, dtype), **options)  # noqa: B023
                timings = compare(what, dtype, contenders, seconds)
                elements = shape[0] * {"gather_labels": 1, "softmax_jacobian": shape[1] ** 2}.get(op, shape[1])
                elements = {"batch_norm_factors": shape[1], "norm_factor": 1, **dict.fromkeys(NUMBERS, 1)}.get(
                    op, elements
                )
                report.add(timings, op=name, shape=shape, dtype=dtype, elements=elements)
                least = (f"{timings[n].minimum / elements * 1e9:.3f}" for n in ("fastnn", "NumPy"))
                rows.append([what, dtype, *least, f"{frame.ratios(timings)['NumPy']:.2f}"])
    if rows:
        print(
            "\nActivations, softmax, normalization, columns, losses with gradient, batches, dropout, optimizers, "
            "transforms of gradients, penalties, bounds, called from Python: ns per element"
        )
        print(frame.table(["kernel", "dtype", "fastnn", "NumPy", "fastnn is × faster"], rows), flush=True)


def backward_of_two(shape: tuple[int, int, int], dtype: str, apart: bool) -> tuple[Any, list[Any]]:
    """Record dx and SGD's step of two layers: where both calls of one follow each other, they take one pass."""
    rng, tape, layers = np.random.default_rng(0), fastnn.Tape(), []
    rows, n_in, n_out = shape
    for _ in range(2):
        sizes = (rows, n_in), (n_in, n_out), (n_out,), (rows, n_out), (rows, n_in)
        layers.append([rng.normal(size=size).astype(dtype) for size in sizes])

    def of_x(x: Any, w: Any, b: Any, dy: Any, dx: Any) -> None:
        kernels(dtype).dense_backward(x, w, dy, dx, None, None, "relu", tape=tape)

    def of_w(x: Any, w: Any, b: Any, dy: Any, dx: Any) -> None:
        kernels(dtype).dense_sgd(x, w, b, dy, np.full(1, 1e-9), tape)

    first, second = layers
    for record, layer in (
        ((of_x, first), (of_x, second), (of_w, first), (of_w, second))
        if apart
        else ((of_x, first), (of_w, first), (of_x, second), (of_w, second))
    ):
        record(*layer)
    return tape.replay, [array for layer in layers for array in layer]


def bench_few_outputs(
    chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float
) -> None:
    """Measure backward of layers of few outputs: what one pass over x saves."""
    rows, ways = [], {frame.OURS: False, "two calls": True}
    for dtype in dtypes:
        for shape in FEW_OUTPUTS:
            what = f"few outputs {'x'.join(map(str, shape))}"
            if chosen.only not in what:
                continue
            contenders = {name: backward_of_two(shape, dtype, apart) for name, apart in ways.items()}
            timings = compare(what, dtype, contenders, seconds)
            share = timings[frame.OURS].minimum / timings["two calls"].minimum
            is_bound = dtype == "float32" and "avx512" in fastnn.kernels.selected
            report.require(f"{what} {dtype}: one pass / two calls", share, at_most=ONE_PASS if is_bound else None)
            report.add(timings, op="few outputs", shape=shape, dtype=dtype)
            rows.append([what, dtype, *(f"{t.minimum * 5e8:.0f}" for t in timings.values()), f"{share:.2f}"])
    if rows:
        print("\nLayers of few outputs: dx behind relu and SGD's step, as replayed calls: ns")
        print(frame.table(["layer", "dtype", "one pass", "two calls", "share"], rows), flush=True)


def bench_optimizers(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    """Measure how many bytes a step reads and writes in a second, beside a plain copy of as many."""
    rows = []
    for dtype in dtypes:
        for name in OPTIMIZERS:
            for place, n in ARENAS.items():
                what = f"bytes of {name}, {place}"
                if chosen.only not in what:
                    continue
                w, dw = (
                    np.random.default_rng(0).normal(size=(2, ARENAS["in cache"] if chosen.smoke else n)).astype(dtype)
                )
                rule, tape = fastnn.optimizers._BY_NAME[op_of(name)](lr=1e-6, **OPTIMIZERS[name][1]), fastnn.Tape()
                state = rule.init(w)
                rule._advance(state, w, tape)
                rule._step(w, dw, state, tape)
                moved = w.nbytes * (3 + 2 * sum(array.size == w.size for array in state.values()))  # dw is only read
                half = moved // 2
                buffer = np.zeros(moved + 4096, np.uint8)
                source = buffer[:half]
                target = buffer[half + (2048 - half) % 4096 :][:half]  # copies to the same place of a page take longer
                calls = {"fastnn": tape.replay, "copy": lambda a=target, b=source: np.copyto(a, b)}
                timings = frame.measure(calls, seconds, at_least=5 if seconds else 1)
                report.add(timings, op=what, dtype=dtype, bytes=moved)
                speed = {each: moved / timings[each].minimum / 1e9 for each in calls}
                rows.append(
                    [what, dtype, *(f"{each:.1f}" for each in speed.values()), f"{frame.ratios(timings)['copy']:.2f}"]
                )
    if rows:
        print("\nSteps of optimizers as replayed calls, on one thread: GB/s, read and written")
        print(frame.table(["step", "dtype", "fastnn", "a copy", "fastnn / copy"], rows), flush=True)


def bench_calls(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for name, most in CALLS.items():
            op, what = name.split()[-1], f"call {name}"
            if chosen.only not in what:
                continue
            own = layer(op, 2, 3, 4, dtype) if op in LAYER_OPS else arguments(op, 2, 3, dtype)
            function, records = getattr(kernels(dtype), op), "recording" in name

            def calls(function: Any = function, own: list[Any] = own, records: bool = records) -> None:
                tape = fastnn.Tape() if records else None
                for _ in range(CALLS_AT_ONCE):
                    function(*own, tape=tape)

            def nothing() -> None:
                for _ in range(CALLS_AT_ONCE):
                    (lambda *own, tape: None)(*own, tape=None)  # noqa: B023, PLC3002

            timings = frame.measure({"fastnn": calls, "empty function": nothing}, seconds, at_least=5 if seconds else 1)
            report.add(timings, op=what, dtype=dtype, calls=CALLS_AT_ONCE)
            least = [timings[n].minimum / CALLS_AT_ONCE * 1e9 for n in ("fastnn", "empty function")]
            rows.append([what, dtype, *(f"{number:.0f}" for number in least), str(most)])
    if rows:
        print("\nCalls from Python and recording, on arrays of a few numbers: ns per call")
        print(frame.table(["kernel", "dtype", "fastnn", "an empty lambda", "shall be at most"], rows), flush=True)


def bench_dtypes(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    """Measure kernels of float32 in turns with those of float64: literals that are double show as time only."""
    rows = []
    for name in (*ELEMENTARY, *PAIRS, *LOSSES):
        if chosen.only not in name or name == "cross_entropy_labels":  # reads one number of each row
            continue
        tapes = {}
        for dtype in ("float32", "float64"):
            tapes[dtype] = fastnn.Tape()
            getattr(kernels(dtype), name)(*arguments(name, *DTYPES_SHAPE, dtype), **ROWS[name], tape=tapes[dtype])
        turns = {dtype: tape.replay for dtype, tape in tapes.items()}
        timings = frame.measure(turns, seconds / 2, at_least=5 if seconds else 1)
        share = timings["float32"].minimum / timings["float64"].minimum
        holds = report.require(f"{name}: time in float32 / in float64", share, at_most=FLOAT32_SHARE)
        rows.append(
            [name, *(f"{t.minimum * 1e6:.2f}" for t in timings.values()), f"{share:.2f}", "yes" if holds else "NO"]
        )
    if rows:
        print(f"\nElementwise kernels, softmax and losses as replayed calls, {DTYPES_SHAPE[0]}x{DTYPES_SHAPE[1]}: µs")
        print(frame.table(["kernel", "float32", "float64", "float32 / float64", "holds"], rows), flush=True)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    dtypes = ("float32",) if chosen.quick and not chosen.smoke else ("float32", "float64")
    seconds = 0.0 if chosen.smoke else 0.1 if chosen.quick else 0.4
    for group in (
        bench_products,
        bench_functions,
        bench_layers,
        bench_rows,
        bench_few_outputs,
        bench_dtypes,
        bench_optimizers,
        bench_calls,
    ):
        group(chosen, report, dtypes, seconds)


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
