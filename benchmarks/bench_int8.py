"""Predictions of quantized nets, 1 to 10,000 rows: against our float32, and the same net quantized in onnxruntime."""

import argparse

import frame
import numpy as np
from bench_predict import NETS, ROWS
from predictors import Forms
from trainers import missing

import fastnn

RTOL = 0.1  # of the largest output: inputs of layers are in 256 steps, and float32's are not
AT_LEAST = 3.5  # times as fast as float32, with the widest layers, from so many rows on
FROM_ROWS = 32


def forms_of(net: fastnn.Model, x: np.ndarray, calibration: np.ndarray) -> Forms:
    """Return who predicts x, each into memory of its own where that can be said."""
    small = net.quantize(calibration)
    y, y_float = (np.empty((len(x), net.n_out), np.float32) for _ in range(2))
    forms: Forms = {
        frame.OURS: lambda: small.predict(x, out=y),
        "fastnn float32": lambda: net.predict(x, out=y_float),
    }
    if not missing("onnxruntime"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = frame.THREADS, 1
        text = fastnn.to_onnx(small).SerializeToString()
        session = onnxruntime.InferenceSession(text, options, providers=["CPUExecutionProvider"])
        forms["onnxruntime int8"] = lambda: session.run(None, {"x": x})[0]
    return forms


def bench(sizes: tuple[int, ...], rows: int, chosen: argparse.Namespace, report: frame.Report) -> list[str] | None:
    what = f"{'-'.join(map(str, sizes))}, {rows:,} row{'s' if rows > 1 else ''}"
    if chosen.only not in what:
        return None
    rng = np.random.default_rng(0)
    layers = [fastnn.Dense(units, "relu") for units in sizes[1:-1]] + [fastnn.Dense(sizes[-1])]
    net = fastnn.Model(layers, seed=0).build(sizes[0])
    x, calibration = (rng.normal(size=(n, sizes[0])).astype(np.float32) for n in (rows, 500))
    forms = forms_of(net, x, calibration)
    frame.verify(what, {name: [predict().copy()] for name, predict in forms.items()}, RTOL)
    seconds = 0.0 if chosen.smoke else 0.5 if chosen.quick else 3.0
    timings = frame.measure(forms, seconds, 2 if chosen.smoke else 5, waits=not chosen.smoke)
    report.add(timings, net=sizes, rows=rows)
    ours = timings[frame.OURS].minimum
    faster = {name: timing.minimum / ours for name, timing in timings.items() if name != frame.OURS}
    if sizes == NETS[-1] and rows >= FROM_ROWS and frame.THREADS == 1:
        report.require(f"{what}: × faster than float32", faster["fastnn float32"], at_least=AT_LEAST)
    return [what, f"{ours * 1e6:.1f}", *(f"{ratio:.2f}" for ratio in faster.values())]


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    found = [bench(sizes, rows, chosen, report) for sizes in NETS[1:] for rows in (ROWS[:3] if chosen.smoke else ROWS)]
    names = ["fastnn float32"] + ([] if missing("onnxruntime") else ["onnxruntime int8"])
    print(f"\nNets quantized to 8 bits; outputs agree to {RTOL:g} of the largest; how many times faster than")
    print(frame.table(["net", "fastnn, µs", *names], [line for line in found if line is not None]), flush=True)


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
