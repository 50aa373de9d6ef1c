"""Predictions: one row, 256 and 10,000, against NumPy, scikit-learn, PyTorch, JAX and onnxruntime.

Everybody is given a NumPy array and gives one back. fastnn predicts on the thread that asks, whatever --threads says.
"""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import frame
import numpy as np
from trainers import missing
from workloads import Weights, Workload

import fastnn

NETS = ((20, 64, 64, 2), (784, 128, 10), (784, 512, 512, 10))  # relu between, softmax at the end
ROWS = (1, 256, 10_000)
RTOL = 1e-4
# One row on the smallest net: how many times faster than the fastest form of a library, and microseconds in all.
AT_LEAST = {"onnxruntime": 4, "PyTorch": 10, "scikit-learn": 40}
AT_MOST_MICROSECONDS = 3.0

Forms = dict[str, Callable[[], np.ndarray]]


def of_fastnn(weights: Weights, x: np.ndarray) -> Forms:
    *hidden, last = [w.shape[1] for w, _ in weights]
    layers = [fastnn.Dense(units, "relu") for units in hidden] + [fastnn.Dense(last, "softmax")]
    net = fastnn.Model(layers, seed=0).build(x.shape[1])
    for layer, (w, b) in zip(layers, weights, strict=True):
        layer.w[...], layer.b[...] = w, b
    forms: Forms = {"fastnn": lambda: net.predict(x)}
    if len(x) == 1:
        row = x[0]
        forms = {"fastnn": lambda: net.predict_one(row), "fastnn predict": forms["fastnn"]}
    return forms


def of_numpy(weights: Weights, x: np.ndarray) -> Forms:
    outputs = [np.empty((len(x), w.shape[1]), np.float32) for w, _ in weights]
    column = np.empty((len(x), 1), np.float32)

    def predict() -> np.ndarray:
        y = x
        for (w, b), out in zip(weights, outputs, strict=True):
            if y is not x:
                np.maximum(y, 0, out=y)
            y = np.matmul(y, w, out=out)
            y += b
        y -= np.maximum.reduce(y, axis=1, keepdims=True, out=column)
        np.exp(y, out=y)
        y /= np.add.reduce(y, axis=1, keepdims=True, out=column)
        return y

    return {"NumPy": predict}


def of_sklearn(weights: Weights, x: np.ndarray) -> Forms:
    from sklearn.neural_network import MLPClassifier

    sizes = [w.shape[1] for w, _ in weights]
    net = MLPClassifier(sizes[:-1], max_iter=1, batch_size=sizes[-1])
    labels = np.arange(sizes[-1])
    # It would make one logistic output of two classes. As two labels that exclude each other they stay two outputs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that max_iter was reached
        net.fit(np.zeros((len(labels), x.shape[1]), np.float32), np.eye(2, dtype=int) if len(labels) == 2 else labels)
    net.out_activation_ = "softmax"
    net.coefs_, net.intercepts_ = [w for w, _ in weights], [b for _, b in weights]
    return {"scikit-learn": lambda: net.predict_proba(x)}


def of_torch(weights: Weights, x: np.ndarray) -> Forms:
    import torch

    torch.set_num_threads(frame.THREADS)
    parameters = [(torch.tensor(w), torch.tensor(b)) for w, b in weights]
    *hidden, (w_last, b_last) = parameters
    modules: list[Any] = []
    for w, b in weights:
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        modules += [linear, torch.nn.ReLU()]
    modules[-1] = torch.nn.Softmax(dim=1)
    net = torch.nn.Sequential(*modules).eval()
    frozen = torch.jit.freeze(torch.jit.trace(net, torch.tensor(x[:1])))

    def by_hand(x: Any) -> Any:
        for w, b in hidden:
            x = torch.addmm(b, x, w).relu_()
        return torch.addmm(b_last, x, w_last).softmax(1)

    def form(function: Callable[[Any], Any]) -> Callable[[], np.ndarray]:
        def predict() -> np.ndarray:
            with torch.inference_mode():
                return function(torch.from_numpy(x)).numpy()

        return predict

    return {"PyTorch Sequential": form(net), "PyTorch traced": form(frozen), "PyTorch by hand": form(by_hand)}


def of_jax(weights: Weights, x: np.ndarray) -> Forms:
    import jax

    parameters = [(jax.numpy.array(w), jax.numpy.array(b)) for w, b in weights]

    @jax.jit
    def net(x: Any) -> Any:
        for w, b in parameters[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = parameters[-1]
        return jax.nn.softmax(x @ w + b)

    return {"JAX": lambda: np.asarray(net(x))}


def of_onnxruntime(weights: Weights, x: np.ndarray) -> Forms:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = frame.THREADS, 1
    session = onnxruntime.InferenceSession(onnx_model(weights), options, providers=["CPUExecutionProvider"])
    # Bound: input and output stay where they are, which saves it to make arrays; its result is overwritten next time.
    x_bound, y_bound = x.copy(), np.empty((len(x), weights[-1][1].size), np.float32)
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, x_bound.shape, x_bound.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, y_bound.shape, y_bound.ctypes.data)

    def bound() -> np.ndarray:
        np.copyto(x_bound, x)
        session.run_with_iobinding(binding)
        return y_bound

    return {"onnxruntime": lambda: session.run(None, {"x": x})[0], "onnxruntime bound": bound}


def onnx_model(weights: Weights) -> bytes:
    """Return Gemm and Relu in turns, and Softmax, in ONNX's format."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, h = [], [], "x"
    for i, pair in enumerate(weights):
        constants += [numpy_helper.from_array(array, f"{name}{i}") for name, array in zip("wb", pair, strict=True)]
        nodes.append(helper.make_node("Gemm", [h, f"w{i}", f"b{i}"], [f"z{i}"]))
        last = i == len(weights) - 1
        h = "y" if last else f"h{i}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"z{i}"], [h], **({"axis": 1} if last else {})))
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])]
        for name, width in (("x", weights[0][0].shape[0]), ("y", weights[-1][1].size))
    ]
    graph = helper.make_graph(nodes, "net", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


LIBRARIES = {
    "fastnn": of_fastnn, "NumPy": of_numpy, "scikit-learn": of_sklearn, "PyTorch": of_torch, "JAX": of_jax,
    "onnxruntime": of_onnxruntime,
}  # fmt: skip


def bench(sizes: tuple[int, ...], rows: int, chosen: argparse.Namespace, report: frame.Report) -> None:
    what = f"{'-'.join(map(str, sizes))}, {rows:,} row{'s' if rows > 1 else ''}"
    if chosen.only not in what:
        return
    left_out = {name: reason for name in LIBRARIES if (reason := missing(name))}
    weights = Workload(sizes, rows, rows).weights()
    x = np.random.default_rng(2).normal(size=(rows, sizes[0])).astype(np.float32)
    forms: Forms = {}
    for name, make in LIBRARIES.items():
        if name not in left_out:
            forms |= make(weights, x)
    frame.verify(what, {name: [np.atleast_2d(predict()).copy()] for name, predict in forms.items()}, RTOL)

    seconds = 0.0 if chosen.smoke else 1.5 if chosen.quick else 6.0
    timings = frame.measure(forms, seconds, at_least=2 if chosen.smoke else 3 if chosen.quick else 5)
    report.add(timings, net=sizes, rows=rows, left_out=left_out)
    ratios, table = frame.ratios(timings), []
    for name in sorted(timings, key=lambda name: timings[name].minimum):
        t = timings[name]
        ratio = f"{ratios[name]:.2f}" if name in ratios else ""
        table.append([name, f"{t.minimum * 1e6:.2f}", f"{t.median * 1e6:.2f}", ratio, f"{t.processors:.2f}"])
    print(f"\n{what}; outputs agree to {RTOL:g} of the largest")
    print(frame.table(["contender", "µs", "median", "fastnn is × faster", "processors"], table))
    for name, reason in left_out.items():
        print(f"without {name}: {reason}")
    if sizes != NETS[0] or rows != 1 or frame.THREADS > 1:
        return
    for library, least in AT_LEAST.items():
        of_library = {name: ratio for name, ratio in ratios.items() if name.startswith(library)}
        if of_library:
            fastest = min(of_library, key=of_library.__getitem__)
            report.require(f"{what}: × faster than {fastest}", of_library[fastest], at_least=least)
    microseconds = timings[frame.OURS].minimum * 1e6
    report.require(f"{what}: microseconds of fastnn", microseconds, at_most=AT_MOST_MICROSECONDS)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    for sizes in NETS:
        for rows in ROWS[:2] if chosen.smoke else ROWS:
            bench(sizes, rows, chosen, report)


if __name__ == "__main__":
    frame.run(__doc__.splitlines()[0], benchmark)
