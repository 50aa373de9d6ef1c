"""Who predicts: the same net from the same weights, in the fastest form that a competent user would write.

Each library gives *forms*, which take a NumPy array and give one back. Where memory can be said beforehand, it is: the
result is overwritten by the next call then. Names end in the precision of products where it is not float32.
"""

import warnings
from collections.abc import Callable
from typing import Any

import frame
import numpy as np
from workloads import Weights

import fastnn
from fastnn.quantization import gains_in_panels

BF16 = "bfloat16"
Forms = dict[str, Callable[[], np.ndarray]]


def net_of(weights: Weights, precision: str | None = None) -> fastnn.Model:
    *hidden, last = [w.shape[1] for w, _ in weights]
    layers = [fastnn.Dense(units, "relu") for units in hidden] + [fastnn.Dense(last, "softmax")]
    net = fastnn.Model(layers, seed=0, precision=precision).build(len(weights[0][0]))
    for layer, (w, b) in zip(layers, weights, strict=True):
        layer.w[...], layer.b[...] = w, b
    return net


def of_fastnn(weights: Weights, x: np.ndarray) -> Forms:
    forms: Forms = {}
    net = net_of(weights)
    gains = any(gains_in_panels(*w.shape) for w, _ in weights)
    nets = {  # weights are packed once, as those of others, or in each prediction
        frame.OURS: net.quantize(precision="float32") if gains else net,
        f"{frame.OURS}, live": net,
        f"{frame.OURS} {BF16}": net.quantize(precision="bf16"),
        f"{frame.OURS}, live {BF16}": net_of(weights, "bf16"),
    }
    y = np.empty((len(x), net.n_out), np.float32)
    if len(x) == 1:
        row, y_row = x[0], y[0]
        forms |= {name: lambda net=net: net.predict_one(row, y_row) for name, net in nets.items()}
        own = nets[frame.OURS]
        return forms | {"fastnn, new array": lambda: own.predict_one(row), "fastnn, predict": lambda: own.predict(x)}
    forms |= {name: lambda net=net: net.predict(x, out=y) for name, net in nets.items()}
    return forms | {"fastnn, new array": lambda: nets[frame.OURS].predict(x)}


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

    forms = {"PyTorch Sequential": form(net), "PyTorch traced": form(frozen), "PyTorch by hand": form(by_hand)}
    halves = [(w.bfloat16(), b.bfloat16()) for w, b in parameters]
    *hidden_halves, (w_half, b_half) = halves

    def in_bfloat16(x: Any) -> Any:
        x = x.bfloat16()
        for w, b in hidden_halves:
            x = torch.addmm(b, x, w).relu_()
        return torch.addmm(b_half, x, w_half).float().softmax(1)

    return forms | {f"PyTorch by hand {BF16}": form(in_bfloat16)}


def of_jax(weights: Weights, x: np.ndarray) -> Forms:
    import jax

    forms: Forms = {}
    for name, dtype in (("JAX", jax.numpy.float32), (f"JAX {BF16}", jax.numpy.bfloat16)):
        parameters = [(jax.numpy.array(w, dtype), jax.numpy.array(b)) for w, b in weights]

        @jax.jit
        def net(x: Any, parameters: Any = parameters, dtype: Any = dtype) -> Any:
            for i, (w, b) in enumerate(parameters):
                x = jax.numpy.matmul(x.astype(dtype), w, preferred_element_type=jax.numpy.float32) + b
                x = jax.nn.relu(x) if i < len(parameters) - 1 else jax.nn.softmax(x)
            return x

        forms[name] = lambda net=net: np.asarray(net(x))
    return forms


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


def of_openvino(weights: Weights, x: np.ndarray) -> Forms:
    import openvino

    core, forms = openvino.Core(), {}
    for name, precision in (("OpenVINO", "f32"), (f"OpenVINO {BF16}", "bf16")):
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            continue
        model = core.read_model(onnx_model(weights))
        model.reshape({"x": list(x.shape)})  # fixed shapes are faster
        options = {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": frame.THREADS, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False,
        }  # fmt: skip
        request = core.compile_model(model, "CPU", options).create_infer_request()
        x_fixed, y_fixed = x.copy(), np.empty((len(x), weights[-1][0].shape[1]), np.float32)
        request.set_input_tensor(openvino.Tensor(x_fixed, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(y_fixed, shared_memory=True))

        def run(request: Any = request, x_fixed: np.ndarray = x_fixed, y_fixed: np.ndarray = y_fixed) -> np.ndarray:
            np.copyto(x_fixed, x)
            request.infer(share_inputs=True, share_outputs=True)
            return y_fixed

        forms[name] = run
    return forms


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


LIBRARIES: dict[str, Callable[[Weights, np.ndarray], Forms]] = {
    "fastnn": of_fastnn, "NumPy": of_numpy, "scikit-learn": of_sklearn, "PyTorch": of_torch, "JAX": of_jax,
    "onnxruntime": of_onnxruntime, "OpenVINO": of_openvino,
}  # fmt: skip
