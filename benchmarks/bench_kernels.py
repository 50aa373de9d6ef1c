"""Single kernels, called from Python: against their NumPy twins, and matrix products against np.matmul."""

import argparse
import inspect
from collections.abc import Callable
from typing import Any

import frame
import numpy as np

import fastnn
from fastnn import reference

# (batch, n_in, n_out): layers of the nets that bench_train.py trains, and of larger ones.
DENSE = (
    (1, 64, 20), (4, 2, 8), (4, 8, 1), (32, 20, 64), (32, 64, 64), (32, 64, 2), (64, 784, 128), (64, 128, 10),
    (128, 512, 512),
)  # fmt: skip
ELEMENTWISE = ((32, 64), (128, 512))  # (rows, width)
JACOBIAN = ((32, 10), (64, 64))
RTOL = {"float32": 2e-5, "float64": 1e-12}

ELEMENTARY = ("exp", "expm1", "log", "log1p", "erf")
LOSSES = (
    "mse", "mae", "huber", "binary_cross_entropy", "binary_cross_entropy_from_logits", "cross_entropy",
    "cross_entropy_from_logits", "cross_entropy_labels", "cross_entropy_labels_from_logits",
)  # fmt: skip
OPTIMIZERS = {"sgd": {}, "sgd with momentum": {"momentum": 0.9}, "adam": {}}
GATHER = ("gather_rows", "gather_labels")
# All that is measured per element, with options, as `reference` lists it.
PAIRS = [name for name in vars(reference) if name.endswith(("_forward", "_backward")) and not name.startswith("dense_")]
ROWS: dict[str, dict[str, float]] = {
    name: {} for name in (*ELEMENTARY, *PAIRS, "softmax_jacobian", *LOSSES, *GATHER)
} | OPTIMIZERS

Contenders = dict[str, tuple[Callable[[], object], list[Any]]]  # what to call, and the arrays it writes to or reads


def arguments(op: str, rows: int, width: int, dtype: str) -> list[Any]:
    """Make arguments for a kernel from their names, which mean the same everywhere; outputs hold NaN."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    unset = np.full((rows, width), np.nan, dtype)
    if op in LOSSES:
        t = rng.integers(0, width, rows) if "labels" in op else rng.uniform(0, 1, (rows, width)).astype(dtype)
        return [rng.uniform(0.05, 0.95, (rows, width)).astype(dtype), t, None, unset, np.zeros(1)]
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
    if op == "sgd":
        return [normal(rows * width), normal(rows * width), np.zeros(rows * width, dtype), np.full(1, 1e-6)]
    if op == "adam":
        moments = np.zeros((2, rows * width), dtype)
        return [normal(rows * width), normal(rows * width), *moments, np.full(1, 1e-6), np.ones(1)]
    return [np.abs(normal(rows, width)) if op in ELEMENTARY else normal(rows, width), unset]


def compare(what: str, dtype: str, contenders: Contenders, seconds: float) -> dict[str, frame.Timing]:
    """Let each contender compute once into its own arrays, compare these, then measure."""
    for call, _ in contenders.values():
        call()
    results = {name: [a for a in arrays if isinstance(a, np.ndarray)] for name, (_, arrays) in contenders.items()}
    frame.verify(f"{what} {dtype}", results, RTOL[dtype])
    return frame.measure({name: call for name, (call, _) in contenders.items()}, seconds)


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

    Those of fastnn are recorded and replayed, as `fit` does it: dx alone has no other form.
    """
    rng = np.random.default_rng(0)
    x, w, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    y, dw, dx = ((np.full(a.shape, np.nan, dtype), np.full(a.shape, np.nan, dtype)) for a in (dy, w, x))
    forward, backward = fastnn.Tape(), fastnn.Tape()
    kernels(dtype).dense_forward(x, w, None, y[1], tape=forward)
    kernels(dtype).dense_backward(x, w, dy, dx[1], dw[1], None, tape=backward)  # two steps: dw, then dx
    return {
        "x @ w": {
            "matmul": (lambda: np.matmul(x, w, out=y[0]), [y[0]]),
            "fastnn": (forward.replay, [y[1]]),
        },
        "x.T @ dy": {
            "matmul": (lambda: np.matmul(x.T, dy, out=dw[0]), [dw[0]]),
            "fastnn": (lambda: backward.replay(0, 1), [dw[1]]),
        },
        "dy @ w.T": {
            "matmul": (lambda: np.matmul(dy, w.T, out=dx[0]), [dx[0]]),
            "fastnn": (lambda: backward.replay(1, 2), [dx[1]]),
        },
    }


def layer(op: str, m: int, k: int, n: int, dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), (n,), (m, n)))
    empty = (np.full(a.shape, np.nan, dtype) for a in (x, w, b))
    return [x, w, b, np.full_like(dy, np.nan), "relu"] if op == "dense_forward" else [x, w, dy, *empty]


def bench_products(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for m, k, n in DENSE[:3] if chosen.smoke else DENSE:
            for product, contenders in products(m, k, n, dtype).items():
                what = f"{product} {m}x{k}x{n}"
                if chosen.only not in what:
                    continue
                timings = compare(what, dtype, contenders, seconds)
                flops = 2 * m * k * n
                report.add(timings, op=product, shape=[m, k, n], dtype=dtype, flops=flops)
                speed = (f"{flops / timings[name].minimum / 1e9:.2f}" for name in ("fastnn", "matmul"))
                rows.append([what, dtype, *speed, f"{frame.ratios(timings)['matmul']:.2f}"])
    if rows:
        print("\nMatrix products, x (m, k), w (k, n), as m x k x n; fastnn as a replayed step: GFLOP/s")
        print(frame.table(["product", "dtype", "fastnn", "np.matmul", "fastnn is × faster"], rows), flush=True)


def bench_layers(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for shape in DENSE[:3] if chosen.smoke else DENSE:
            for op in ("dense_forward", "dense_backward"):
                what = f"{op} {'x'.join(map(str, shape))}"
                if chosen.only not in what:
                    continue
                timings = compare(what, dtype, twins(op, dtype, lambda: layer(op, *shape, dtype)), seconds)  # noqa: B023
                flops = 2 * np.prod(shape).item() * (1 if op == "dense_forward" else 2)
                report.add(timings, op=op, shape=shape, dtype=dtype, flops=flops)
                least = (f"{timings[name].minimum * 1e6:.2f}" for name in ("fastnn", "NumPy"))
                speed = f"{flops / timings['fastnn'].minimum / 1e9:.2f}"
                rows.append([what, dtype, *least, speed, f"{frame.ratios(timings)['NumPy']:.2f}"])
    if rows:
        print("\nDense layers, forward with bias and relu, backward with dx, dw and db, called from Python: µs")
        headings = ["kernel", "dtype", "fastnn", "NumPy", "fastnn GFLOP/s", "fastnn is × faster"]
        print(frame.table(headings, rows), flush=True)


def bench_rows(chosen: argparse.Namespace, report: frame.Report, dtypes: tuple[str, ...], seconds: float) -> None:
    rows = []
    for dtype in dtypes:
        for name, options in ROWS.items():
            for shape in (JACOBIAN if name == "softmax_jacobian" else ELEMENTWISE)[: 1 if chosen.smoke else None]:
                op, what = name.split()[0], f"{name} {shape[0]}x{shape[1]}"
                if chosen.only not in what:
                    continue
                contenders = twins(op, dtype, lambda: arguments(op, *shape, dtype), **options)  # noqa: B023
                timings = compare(what, dtype, contenders, seconds)
                elements = shape[0] * {"gather_labels": 1, "softmax_jacobian": shape[1] ** 2}.get(op, shape[1])
                report.add(timings, op=name, shape=shape, dtype=dtype, elements=elements)
                least = (f"{timings[n].minimum / elements * 1e9:.3f}" for n in ("fastnn", "NumPy"))
                rows.append([what, dtype, *least, f"{frame.ratios(timings)['NumPy']:.2f}"])
    if rows:
        print("\nActivations, softmax, losses with gradient, optimizers, batches, called from Python: ns per element")
        print(frame.table(["kernel", "dtype", "fastnn", "NumPy", "fastnn is × faster"], rows), flush=True)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    dtypes = ("float32",) if chosen.quick and not chosen.smoke else ("float32", "float64")
    seconds = 0.0 if chosen.smoke else 0.2 if chosen.quick else 0.4
    for group in (bench_products, bench_layers, bench_rows):
        group(chosen, report, dtypes, seconds)


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
