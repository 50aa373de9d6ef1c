"""Nets from ONNX files: of this library, of others, and files that nobody has to trust."""

import contextlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from predictions import FEATURES, ROWS_OF_LAYERS, close, inputs, net_of, trained

import fastnn
from fastnn import (
    CELU,
    Add,
    Columns,
    Dense,
    GroupedDense,
    LayerNorm,
    Members,
    Model,
    ModelFormatError,
    Normalization,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    ReLU,
    RMSNorm,
    from_onnx,
    to_onnx,
)
from fastnn.formats.onnx_layers import ahead
from fastnn.formats.onnx_probes import PROBE
from fastnn.formats.onnx_steps import Step

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

pytestmark = pytest.mark.once

RECORDED = sorted((Path(__file__).parent / "data" / "onnx").glob("*.onnx"))
RTOL = {"float32": 2e-5, "float64": 1e-11}
# Embeddings of numbers and products of integers, written in several operators with constants of their own
OF_NUMBERS = [name for name in ROWS_OF_LAYERS if name.startswith(("Int8", "PBLD", "PLR", "Piecewise"))]


def test_recorded_files_of_other_exporters_predict_the_same_and_can_be_trained_on():
    assert {path.stem.partition("_")[0] for path in RECORDED} >= {"torch", "keras", "sklearn"}
    for path in RECORDED:
        expected = json.loads(path.with_suffix(".json").read_text())
        x, y = np.array(expected["x"], np.float32), np.array(expected["y"])
        net = from_onnx(path)
        np.testing.assert_allclose(net.predict(x), y, rtol=2e-5, atol=2e-6, err_msg=path.stem)
        before = net.params.copy()
        flat = x.reshape(len(x), -1)
        targets = np.random.default_rng(0).normal(size=y.shape)
        history = net.fit(flat, targets, "mse", "adam", epochs=3, verbose=False)
        assert np.isfinite(history.loss).all(), path.stem
        assert not np.array_equal(net.params, before), path.stem


def test_activations_that_others_write_in_several_operators_are_recognized():
    for exporter in ("torch_old", "torch_new"):
        net = from_onnx(RECORDED[0].with_name(f"{exporter}_activations_first.onnx"))
        kinds = [layer.activation and type(layer.activation).__name__ for layer in net]
        assert kinds == [None, "ELU", "SELU", "GELU", "SiLU", "Mish", "HardSwish", "Softplus"]
        net = from_onnx(RECORDED[0].with_name(f"{exporter}_activations_second.onnx"))
        kinds = [layer.activation and type(layer.activation).__name__ for layer in net]
        assert kinds == [None, "TanhShrink", "SoftShrink", "HardShrink", "LogSigmoid", "GELU"]
    assert from_onnx(RECORDED[0].with_name("sklearn_three_zipped.onnx")).class_names == ("high", "low", "middle")


@pytest.mark.parametrize("dtype", RTOL)
def test_what_this_library_has_written_is_read(dtype):
    x, n_read = inputs(seed=3), 0
    for name in ROWS_OF_LAYERS:
        net = net_of(name, dtype)
        made = from_onnx(to_onnx(net).SerializeToString())
        assert made.dtype == net.dtype, name
        close(made.predict(x), net.predict(x), RTOL[dtype])
        n_read += 1
    assert n_read > 60


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("kind", [CELU, LayerNorm, RMSNorm])
def test_constants_of_any_size_come_back(kind, dtype):
    """Also where e^(x / alpha) has few digits left for a number that is looked at."""
    for constant in (0.094, 0.7, 1.0, 3.0, 4.2, 25.0):
        net = Model([Dense(4), kind(constant), Dense(1)], seed=0, dtype=dtype).build(3)
        made = from_onnx(to_onnx(net).SerializeToString())
        assert len(made.layers) <= 3, constant
        close(made.predict(X), net.predict(X), RTOL[dtype])


def test_names_of_columns_and_classes_come_back(tmp_path):
    net = Model([Dense(4, "relu"), Dense(2, "softmax")], seed=0).build(3)
    net.class_names = ["no", "yes"]
    to_onnx(net, tmp_path / "net.onnx", inputs="columns", labels=True)
    made = from_onnx(str(tmp_path / "net.onnx"), seed=3)
    assert (made.feature_names, made.class_names, made.seed) == (("x0", "x1", "x2"), ("no", "yes"), 3)
    assert repr(made) == repr(net)
    x = inputs()[:, :3]
    close(made.predict(x), net.predict(x), 1e-6)
    each = to_onnx(net, outputs="columns")
    for source in (each, each.SerializeToString()):
        close(from_onnx(source, output="no").predict(x), net.predict(x)[:, :1], 1e-6)


# Nets from nodes


def written(nodes, arrays, n_in=3, outputs=("y",), opset=17, shape=None, **options):
    """An ONNX model of these nodes, of x."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", 1, shape or ["rows", n_in])],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **options)


def node(op, *inputs_and_output, **attributes):
    *given, made = inputs_and_output
    return helper.make_node(op, given, made if isinstance(made, list) else [made], name=f"the {op}", **attributes)


W, B = np.arange(6, dtype=np.float32).reshape(3, 2) / 7, np.array([0.5, -1], np.float32)
X = inputs()[:, :3]


def test_operators_with_their_attributes():
    f, softmax = np.float32, lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    z = X @ W + B
    s3, eye = np.array([0.1, 0.2, 0.3], f), np.eye(3, dtype=f)
    half = W.astype(np.float16)
    tanh = [node("Gemm", "x", "w", "z"), node("Tanh", "z", "t"), node("Sub", "z", "t", "u"), node("Sub", "u", "x", "y")]
    split = [node("Split", "x", "s", ["p", "q"], axis=1), node("Concat", "q", "p", "y", axis=1)]
    by_hand = [node("Exp", "x", "e"), node("ReduceSum", "e", "axes", "s"), node("Div", "e", "s", "y")]
    of_w = [node("Constant", "w", value=numpy_helper.from_array(W)), node("Transpose", "w", "v")]
    shaped = [node("Shape", "x", "s"), node("Reshape", "x", "s", "r"), node("Identity", "r", "y")]
    moments = {"s": np.full(3, 2, f), "o": np.ones(3, f), "m": np.full(3, 0.5, f), "v": np.full(3, 4, f)}
    norm = [node("BatchNormalization", "x", "s", "o", "m", "v", "y", epsilon=0.1)]
    gemm = [node("Gemm", "x", "w", "b", "y", alpha=2.0, beta=0.5, transB=1)]
    clip = [node("Clip", "x", "low", "high", "y")]
    cases = {
        "Gemm": (gemm, {"w": W.T, "b": B}, 2 * X @ W + B / 2),
        "Gemm with one bias": ([node("Gemm", "x", "w", "b", "y")], {"w": W, "b": f(2)}, X @ W + 2),
        "MatMul + Add": ([node("MatMul", "x", "w", "z"), node("Add", "b", "z", "y")], {"w": W, "b": B}, z),
        "Sub from": ([node("Sub", "c", "x", "y")], {"c": np.ones(3, f)}, 1 - X),
        "Div": ([node("Div", "x", "c", "y")], {"c": np.array([[1, 2, 4]], f)}, X / [1, 2, 4]),
        "Neg": ([node("Neg", "x", "y")], {}, -X),
        "Clip": (clip, {"low": f(-0.5), "high": f(0.7)}, np.clip(X, -0.5, 0.7)),
        "Clip of old": ([node("Clip", "x", "y", min=0.0, max=6.0)], {}, np.clip(X, 0, 6)),
        "PRelu": ([node("PRelu", "x", "s", "y")], {"s": s3}, np.where(X > 0, X, X * s3)),
        "Softmax": ([node("Softmax", "x", "y", axis=1)], {}, softmax(X)),
        "Softmax by hand": (by_hand, {"axes": np.array([1])}, softmax(X)),
        "Gather": ([node("Gather", "x", "i", "y", axis=1)], {"i": np.array([2, -3, 0])}, X[:, [2, 0, 0]]),
        "Slice": ([node("Slice", "x", "a", "b", "c", "y")], {"a": [1], "b": [2**40], "c": [1]}, X[:, 1:]),
        "Split": (split, {"s": [1, 2]}, X[:, [1, 2, 0]]),
        "Square": ([node("Mul", "x", "x", "y")], {}, X * X),
        "Difference": (tanh, {"w": eye}, X - np.tanh(X) - X),
        "Reshape": (shaped, {}, X),
        "Constant": ([*of_w, node("Gemm", "x", "v", "y", transB=1)], {}, X @ W),
        "Half": ([node("Cast", "h", "w", to=1), node("MatMul", "x", "w", "y")], {"h": half}, X @ half),
        "Batch": (
            norm,
            moments,
            (X - 0.5) / np.sqrt(4.1) * 2 + 1,
        ),
    }
    for name, (nodes, arrays, expected) in cases.items():
        net = from_onnx(written(nodes, arrays).SerializeToString())
        np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5, atol=1e-5, err_msg=name)


def of_one(op, *constants, **attributes):
    """A node of what was made last and of constants."""
    return op, constants, attributes


def in_a_row(*ops, dtype="f"):
    """Nodes, each of which reads what the one before makes, with their arrays; and what they make in NumPy."""
    nodes, arrays, last = [], {}, "x"
    for i, (op, constants, attributes) in enumerate(ops):
        names = [f"c{i}_{j}" for j in range(len(constants))]
        arrays |= dict(zip(names, (np.array(one, dtype) for one in constants), strict=True))
        made = "y" if i == len(ops) - 1 else f"z{i}"
        nodes.append(helper.make_node(op, [last, *names], [made], name=f"node {i}", **attributes))
        last = made
    return nodes, arrays


def of_all_sizes(arrays):
    """Numbers of all sizes, of both signs, and near the constants of a graph."""
    sizes = [*np.logspace(-3, 6, 60), 1e-30, 1e30]
    for array in arrays.values():
        c = float(array.reshape(-1)[0]) if array.size == 1 else 1.0
        sizes += [c, c * (1 - 1e-6), c * (1 + 1e-6), c + 1, c - 1, 2 * c, c / 2]
    sizes = np.array(sizes)
    found = np.concatenate([sizes, -sizes, [0.0]]).astype("f")
    return np.resize(found, (len(found) // 3 + 1, 3))


def test_bounds_and_kinks_are_kept_wherever_they_are():
    from onnx.reference import ReferenceEvaluator

    n_read, refused = 0, {}
    rows = {
        "Clip": in_a_row(of_one("Mul", 1), of_one("Clip", -50, 50)),
        "Clip and product": (
            [node("Mul", "x", "one", "z"), node("Clip", "z", "low", "high", "c"), node("MatMul", "c", "w", "y")],
            {"one": np.float32(1), "low": np.float32(-50), "high": np.float32(50), "w": np.eye(3, dtype="f")},
        ),
        "Relu and Min": in_a_row(of_one("Relu"), of_one("Min", 1000)),
        "Relu and small Min": in_a_row(of_one("Relu"), of_one("Min", 1e-7)),
        "Clip from 0": in_a_row(of_one("Clip", 0, 1e4)),
        "Clip far": in_a_row(of_one("Clip", -1e30, 1e30)),
        "scaled": in_a_row(of_one("Mul", 0.5), of_one("Clip", -50, 50)),
        "moved": in_a_row(of_one("Mul", 0.001), of_one("Sub", 3), of_one("Max", -2), of_one("Min", 4)),
        "Sigmoid within": in_a_row(of_one("Sigmoid"), of_one("Clip", 1e-7, 1 - 1e-7)),
        "Softmax of bounded": in_a_row(of_one("Clip", -50, 50), of_one("Softmax", axis=-1)),
        "Tanh twice": in_a_row(of_one("Tanh"), of_one("Clip", -2, 2)),
        "leaky far": in_a_row(of_one("Max", -3e5), of_one("LeakyRelu", alpha=0.1)),
        "x + Relu(x - 100)": (
            [node("Sub", "x", "c", "u"), node("Relu", "u", "r"), node("Add", "x", "r", "y")], {"c": np.float32(100)},
        ),
        "Tanh(x) + Relu(x - 100)": (
            [node("Sub", "x", "c", "u"), node("Relu", "u", "r"), node("Tanh", "x", "t"), node("Add", "t", "r", "y")],
            {"c": np.float32(100)},
        ),
        "a bump": (
            [
                node("Mul", "x", "k", "s"), *(node("Sub", "s", c, f"u{c}") for c in "abc"),
                *(node("Relu", f"u{c}", f"r{c}") for c in "abc"), node("Mul", "rb", "two", "m"),
                node("Sub", "ra", "m", "n"), node("Add", "n", "rc", "bump"), node("Add", "x", "bump", "y"),
            ],
            {"k": np.float32(0.5), "two": np.float32(2)} | {c: np.float32(500 + i) for i, c in enumerate("abc")},
        ),
        "truths are numbers": (
            [
                node("Greater", "x", "c", "t"), node("Cast", "t", "f", to=1), node("Add", "f", "f", "g"),
                node("Mul", "x", "g", "y"),
            ],
            {"c": np.float32(0)},
        ),
    }  # fmt: skip
    for name, (nodes, arrays) in rows.items():
        model = written(nodes, arrays)
        try:
            net = from_onnx(model.SerializeToString())
        except ModelFormatError as error:
            refused[name] = str(error)
            continue
        x = of_all_sizes(arrays)
        with np.errstate(all="ignore"):
            expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
        np.testing.assert_allclose(net.predict(x), expected, rtol=1e-5, atol=1e-9, err_msg=name)
        n_read += 1
    assert n_read == len(rows) - 1
    assert {name: "node '" in message for name, message in refused.items()} == {"truths are numbers": True}


def filled(asked, inputs, rest, then="Identity"):
    """Nodes that make another number of one that is special: what is asked of it, and what is chosen."""
    nodes = [
        helper.make_node(asked, inputs, ["c"], name="asked"),
        helper.make_node("Where", ["c", *rest], ["f"], name="filled"),
        helper.make_node(then, ["f"], ["y"], name="then"),
    ]
    return nodes, {"zero": np.float32(0), "five": np.float32(5), "inf": np.float32(np.inf)}


FILLED = [
    ("IsNaN", ["x"], ["zero", "x"]), ("Equal", ["x", "x"], ["x", "five"]), ("IsNaN", ["x"], ["zero", "x"], "Relu"),
    ("Equal", ["x", "x"], ["x", "zero"], "Tanh"), ("Equal", ["x", "inf"], ["zero", "x"]),
    ("LessOrEqual", ["x", "inf"], ["x", "zero"]), ("Less", ["x", "inf"], ["x", "five"], "Softplus"),
    ("LessOrEqual", ["x", "inf"], ["x", "zero"], "Relu"),
]  # fmt: skip


def test_what_changes_numbers_is_no_activation_and_numbers_are_finite():
    back = of_one("Cast", to=1)
    batch = {"s": np.ones(3, "f"), "o": np.ones(3, "f"), "m": np.ones(3, "f"), "v": np.array([1, -0.5, 1], "f")}
    half, codes = of_one("Cast", to=10), of_one("Cast", to=7)
    cases = [
        (in_a_row(codes, back), r"node 'node 0' \(Cast\): it cuts digits off \(to INT64\)"),
        (in_a_row(of_one("Relu"), of_one("Cast", to=6), of_one("Unsqueeze"), back), r"node '"),
        (in_a_row(half, back), r"node 'node 0' \(Cast\): it changes numbers \(to FLOAT16\)"),
        (in_a_row(of_one("Cast", to=16), back), r"node 'node 0' \(Cast\): it changes numbers \(to BFLOAT16\)"),
        (in_a_row(of_one("Cast", to=2), back), r"node 'node 0' \(Cast\): it changes numbers \(to UINT8\)"),
        (in_a_row(codes), "which is the output here"),
        (
            ([node("BatchNormalization", "x", "s", "o", "m", "v", "y")], batch),
            r"\(BatchNormalization\): the smallest variance is -0.5",
        ),
        (in_a_row(of_one("LeakyRelu", alpha=float("inf"))), r"\(LeakyRelu\): its alpha is inf"),
        (in_a_row(of_one("LeakyRelu", alpha=-0.5)), r"node 'node 0' \(LeakyRelu\): .*negative_slope is -0.5"),
        *((filled(*own), r"node 'filled' \(Where\): ") for own in FILLED),
        (in_a_row(of_one("Clip", 3, 2)), r"\(Clip\): its bounds are 3.0 and 2.0"),
    ]
    for wrong in (np.nan, np.inf, -np.inf):
        bad = np.array(W)
        bad[1, 1] = wrong
        cases += [
            (([node("MatMul", "x", "w", "y")], {"w": bad}), r"node 'the MatMul' \(MatMul\): its array for w of Dense"),
            (([node("Gemm", "x", "w", "b", "y")], {"w": W, "b": bad[1]}), r"\(Gemm\): its array for b of Dense"),
            (in_a_row(of_one("Mul", [1, wrong, 1])), r"\(Mul\): its array for s"),
            (in_a_row(of_one("Add", wrong)), r"\(Add\): its array for b"),
        ]
    for (nodes, arrays), message in cases:
        with pytest.raises(ModelFormatError, match=message):
            from_onnx(written(nodes, arrays).SerializeToString())
    weights = {"h": W.astype(np.float16)}
    nodes = [node("Cast", "x", "z", to=10), node("MatMul", "z", "h", "m"), node("Cast", "m", "y", to=1)]
    np.testing.assert_allclose(from_onnx(written(nodes, weights).SerializeToString()).predict(X), X @ W, rtol=1e-2)


def test_long_files_are_read_or_refused():
    """Activations in a chain, and as many different ones: more than that is refused."""
    n = 2000
    nodes = [node("Tanh", f"y{i}" if i else "x", f"y{i + 1}") for i in range(n)]
    assert len(list(from_onnx(written(nodes, {}, outputs=(f"y{n}",)).SerializeToString()))) == n
    nodes = [node("Max" if i % 2 else "Min", f"y{i}" if i else "x", f"c{i}", f"y{i + 1}") for i in range(n)]
    arrays = {f"c{i}": np.float32(-i if i % 2 else i) for i in range(n)}
    with pytest.raises(ModelFormatError, match=r"node 'the M..' \(M..\): there are too many groups"):
        from_onnx(written(nodes, arrays, outputs=(f"y{n}",)).SerializeToString())


def long_graphs(n):
    """Graphs of n nodes of which each reads what others read, too."""

    def name(i):
        return f"y{i}" if i > 0 else "x"

    yield "twice", [node("Add", name(i), name(i), name(i + 1)) for i in range(n)], {}, name(n)
    yield "from the first", [node("Add", name(i), "x", name(i + 1)) for i in range(n)], {}, name(n)
    yield "from the last two", [node("Add", name(i), name(i - 1), name(i + 1)) for i in range(n)], {}, name(n)
    pairs = [(node("Softmax", name(i), f"s{i}"), node("Sub", name(i), f"s{i}", name(i + 1))) for i in range(n // 2)]
    chosen = [(node("Gather", "x", "0", f"v{i}", axis=1), node("Cast", f"v{i}", f"c{i}", to=7)) for i in range(n)]
    tables = [node("Gather", "t", f"c{i}", f"e{i}") for i in range(n)]
    beside = node("Concat", *(f"e{i}" for i in range(n)), "y", axis=1)
    codes = {"0": np.array(0), "t": np.ones((3, 2), "f")}
    yield "codes", [*(one for pair in chosen for one in pair), *tables, beside], codes, "y"
    yield "rows", [one for pair in pairs for one in pair], {}, name(n // 2)


def far_away(n):
    """Steps that meet the end of a long chain, each."""
    x = Step("Input", (), {}, (3,), "")
    chain, order = x, [x]
    for _ in range(n):
        chain = Step("Tanh", (chain,), {}, (3,), "")
        order.append(chain)
    for _ in range(n):
        other = Step("Sin", (x,), {}, (3,), "")
        order += [other, Step("Add", (chain, other), {}, (3,), "")]
    return order


def lines_of(work):
    """Return how many lines of this package some work runs: a clock that other programs do not move."""
    folder, count = str(Path(fastnn.__file__).parent), 0

    def trace(frame, event, arg):
        nonlocal count
        if not frame.f_code.co_filename.startswith(folder):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_long_files_take_work_in_proportion(monkeypatch):
    """Four times as many nodes are not much more than four times the work, whatever they are connected to."""

    def work(graph):
        _, nodes, arrays, output = graph
        text = written(nodes, arrays, outputs=(output,)).SerializeToString()

        def read():
            with contextlib.suppress(ModelFormatError):
                from_onnx(text)

        return lines_of(read)

    monkeypatch.setattr("fastnn.formats.onnx_recognizing._MOST_STEPS", 20)  # of a group: a bound that is reached here
    for small, large in zip(long_graphs(60), long_graphs(240), strict=True):
        assert work(large) < 5.5 * work(small), small[0]
    small, large = (lines_of(lambda order=order: ahead(order)) for order in map(far_away, (100, 400)))
    assert large < 5.5 * small
    small, large = (lines_of(lambda n=n: Model([Add([ReLU() for _ in range(n)])]).build(3)) for n in (300, 1200))
    assert large < 5.5 * small


def read_as_recorded(model, inputs, outputs):
    """Return "" where a model of ONNX's own tests is read, and predicts what is recorded; or the error."""
    try:
        net = from_onnx(model.SerializeToString())
    except ModelFormatError as error:
        return str(error)
    x = np.concatenate([one.reshape(len(one), -1) for one in inputs if one.ndim > 1], axis=1)[:, : net.n_in]
    expected = [
        y for y, one in zip(outputs, model.graph.output, strict=True) if one.type.tensor_type.elem_type in (1, 11)
    ]
    np.testing.assert_allclose(net.predict(x).reshape(-1), expected[-1].reshape(-1), rtol=2e-4, atol=1e-5)
    return ""


def test_models_that_onnx_is_tested_with_are_read_or_refused():
    """Those that its package has as files; with what PyTorch and others have said of them."""

    def arrays(folder, kind):
        for path in sorted(folder.glob(f"{kind}_*.pb")):
            yield numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))

    data, n_read, n = Path(onnx.__file__).parent / "backend" / "test" / "data", 0, 0
    for path in sorted(data.glob("*/*/model.onnx")):
        if path.parts[-3] not in ("node", "simple", "pytorch-converted", "pytorch-operator"):
            continue
        model, n = onnx.load(path), n + 1
        folder = path.parent / "test_data_set_0"
        if any(one.type.WhichOneof("value") != "tensor_type" for one in (*model.graph.input, *model.graph.output)):
            with pytest.raises(ModelFormatError):
                from_onnx(path)
            continue
        said = read_as_recorded(model, [*arrays(folder, "input")], [*arrays(folder, "output")])
        assert not said or re.search(r"node '.*' \(\w+\)|the input '|its inputs have|none of its outputs", said), said
        n_read += not said
    if n:
        assert n_read > n // 6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_what_skl2onnx_writes_is_read_if_it_is_there(activation):
    """Of two classes, several, words, and numbers; behind a scaler; as arrays and as dicts."""
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal(3, 2, (80, 4)).astype(np.float32)
    settings = {"hidden_layer_sizes": (5, 3), "activation": activation, "random_state": 0, "max_iter": 20}
    codes = np.digitize(x[:, 0], [2, 4])
    for y in (codes > 0, codes, np.array(["a", "b", "c"])[codes], x[:, 0].astype(float)):
        of_numbers = y.dtype.kind == "f"
        net = (MLPRegressor if of_numbers else MLPClassifier)(**settings)
        for model in (net, make_pipeline(StandardScaler(), net)):
            for options in ({},) if of_numbers else ({"zipmap": False}, {"zipmap": True}):
                model.fit(x, y if of_numbers or y.dtype.kind != "b" else y.astype(int))
                text = skl2onnx.to_onnx(model, x[:1], options=options).SerializeToString()
                made = from_onnx(text)
                expected = (model.predict if of_numbers else model.predict_proba)(x)
                np.testing.assert_allclose(made.predict(x), expected.reshape(80, -1), rtol=1e-3, atol=1e-5)
                made.fit(x, expected[:, None] if of_numbers else expected.argmax(axis=1), epochs=1, verbose=False)


def test_inputs_of_different_rows_and_outputs_that_no_layer_has_are_refused():
    model = written([node("Relu", "x", "y")], {})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 3]))
    model.graph.node[0].CopyFrom(node("Add", "x", "z", "y"))
    with pytest.raises(ModelFormatError, match=r"its inputs have \[1, 2\] rows"):
        from_onnx(model.SerializeToString())
    norm = helper.make_node("LayerNormalization", ["x", "s"], ["y", "mean"], name="norm", axis=-1)
    model = written([norm], {"s": np.ones(3, "f")}, outputs=("y", "mean"))
    with pytest.raises(ModelFormatError, match=r"node 'norm' \(LayerNormalization\): what it makes as 'mean'"):
        from_onnx(model.SerializeToString(), output="mean")


def test_an_embedding_is_read():
    table = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    nodes = [node("Cast", "x", "i", to=7), node("Gather", "t", "i", "e"), node("Flatten", "e", "y")]
    codes = np.array([[0, 4, 2], [3, 1, 1]])
    net = from_onnx(written(nodes, {"t": table}).SerializeToString())
    np.testing.assert_allclose(net.predict(codes), table[codes].reshape(2, 6), rtol=1e-6)


def coded(tail, n=5.0, low=0.0, last=5.0, is_whole=True):
    """Nodes of a column of codes as `to_onnx` has them, and what reads these."""
    nodes = [
        node("Gather", "x", "j", "v", axis=1),
        node("Floor", "v", "f"),
        node("Equal", "v", "f" if is_whole else "v", "w"),
        node("GreaterOrEqual", "v", "low", "g"),
        node("Less", "v", "n", "l"),
        node("And", "g", "l", "a"),
        node("And", "a", "w", "c"),
        node("Where", "c", "v", "last", "k"),
        node("Cast", "k", "i", to=7),
        *tail,
    ]
    return nodes, {"j": np.array(1), "low": np.float32(low), "n": np.float32(n), "last": np.float32(last)}


def test_layers_come_back_as_they_are_and_train_the_same():
    x = inputs(seed=3)
    names = ["Embedding", "Embedding-only", "OneHot", "OneHot-unseen", "Maxout", "GroupedDense", "BatchEnsemble"]
    names += [name for name in OF_NUMBERS if not name.startswith("Int8")]
    for name in (*names, *(name for name in ROWS_OF_LAYERS if name.startswith("MeanOfMembers"))):
        for dtype, rtol in RTOL.items():
            net = trained(ROWS_OF_LAYERS[name](), dtype)
            made = from_onnx(to_onnx(net).SerializeToString(), seed=0)
            begun = r", r_initializer='signs'|, scale=0.2"  # with what parameters begin is not in the file
            expected = re.sub(r", edges=\[.*\]\)(?=;)", ")", re.sub(begun, "", repr(net)))
            assert repr(made) == expected
            for one in (net, made):
                one.fit(x, np.ones((len(x), net.n_out)), "mse", "sgd", epochs=2, shuffle=False, verbose=False)
            close(made.params, net.params, rtol)


@pytest.mark.parametrize("dtype", RTOL)
def test_embeddings_of_numbers_of_any_size_and_integers_have_the_same_bits(dtype):
    x = inputs(seed=3)
    for n, size, k in ((1, 2, 1), (1, 3, 2), (2, 2, 1), (2, 3, 3), (3, 2, 2)):
        edges = [[-1, 0, 2, 5], [0.5, 0.75], []][:n] if n > 1 else [[*range(k + 1)]]  # 1 / width twice is the width
        several = [make(size, k) for make in (PBLDEmbedding, PLREmbedding)]
        pieces = [PiecewiseLinearEmbedding(size, edges=edges) for _ in range(2)]
        for layers in (
            [PBLDEmbedding(size, k)], [PLREmbedding(size, k)], [PLREmbedding(size, k, lite=n > 1)], [pieces[0]],
            [Columns(*range(n)), Parallel([*several, pieces[1]])], [Dense(4, "relu"), PBLDEmbedding(size, k)],
            [Columns(*(j // 2 for j in range(2 * n))), PLREmbedding(size, k), GroupedDense(2, 2)],
        ):  # fmt: skip
            net = trained_on([*layers, Dense(2)], x[:, :n], dtype)
            made = from_onnx(to_onnx(net).SerializeToString())
            kinds = [type(layer) for layer in made if not isinstance(layer, (Columns, Members))]
            assert kinds == [type(layer) for layer in net if type(layer) is not Columns]
            np.testing.assert_array_equal(made.predict(x[:, :n]), net.predict(x[:, :n]), err_msg=repr(net))
    net = net_of("Int8Dense", dtype)
    made = from_onnx(to_onnx(net).SerializeToString())
    assert repr(made) == repr(net)
    np.testing.assert_array_equal(made.predict(x), net.predict(x))
    for step in np.random.default_rng(0).uniform(1e-3, 1, 100):  # 1 / step is what is written
        net[0].step = [step]
        again = from_onnx(to_onnx(net).SerializeToString())
        np.testing.assert_array_equal(again.predict(x), net.predict(x), err_msg=str(step))


def trained_on(layers, x, dtype):
    net = Model(layers, seed=0, dtype=dtype)
    net.fit(x, np.ones((len(x), net.build(x.shape[1]).n_out)), "mse", "adam", epochs=1, verbose=False)
    return net


def test_embeddings_of_numbers_with_a_number_changed_are_refused_or_read_as_what_they_are():
    """Each array of the operators, one number of it changed: no layer is that any more, or one with that number."""
    from onnx.reference import ReferenceEvaluator

    rng, x = np.random.default_rng(0), inputs(seed=3)
    n_read, messages = 0, []
    for name in OF_NUMBERS:
        model = to_onnx(net_of(name, "float64"))
        for i, tensor in enumerate(model.graph.initializer):
            for shift in (1, -0.25, np.inf, np.nan):
                array = numpy_helper.to_array(tensor).copy()
                at = tuple(rng.integers(0, size) for size in array.shape)
                own = array[at]
                array[at] = own + (1 if array.dtype.kind != "f" else shift) if np.isfinite(own) else 2
                changed = onnx.ModelProto.FromString(model.SerializeToString())
                changed.graph.initializer[i].CopyFrom(numpy_helper.from_array(array, tensor.name))
                try:
                    made = from_onnx(changed.SerializeToString())
                except ModelFormatError as error:
                    messages.append(str(error))
                    continue
                close(made.predict(x), ReferenceEvaluator(changed).run(None, {"x": x})[0], 1e-9)
                n_read += 1
    assert n_read > 20
    assert len(messages) > 20
    assert all(re.search(r"node '.*' \(\w+\): .* save\(path\)", message) for message in messages)


def test_a_sparsemax_and_columns_with_missing_values_are_read_as_they_are_written_or_refused():
    net = trained([Normalization(missing="center"), Dense(4, "sparsemax")], "float64")
    model = to_onnx(net)
    made = from_onnx(model.SerializeToString())
    assert repr(made) == repr(net)
    x = inputs(seed=3)
    x[::3, 1] = np.nan
    close(made.predict(x), net.predict(x), 1e-12)
    changes = {"offset": ("Where", 0), "factor": ("Where", 0), "constant": ("Max", 1), "k": ("Max", 1)}
    changed = 0
    for tensor in model.graph.initializer:
        kind = tensor.name.rpartition(".")[2]
        if not tensor.name.startswith(("scale", "softmax")) or kind not in changes:
            continue
        array = numpy_helper.to_array(tensor)
        other = onnx.ModelProto.FromString(model.SerializeToString())
        own = next(one for one in other.graph.initializer if one.name == tensor.name)
        own.CopyFrom(
            numpy_helper.from_array(array * np.nan if kind in ("offset", "factor") else array + 1, tensor.name)
        )
        with pytest.raises(ModelFormatError, match=r"node '.*' \(\w+\): "):
            from_onnx(other.SerializeToString())
        changed += 1
    assert changed >= 4


def test_parts_of_rows_that_no_layer_has_are_refused():
    arrays = {
        "w": np.ones((2, 3, 4), "f"), "s": np.ones((3, 4), "f"), "b": np.ones((2, 1, 4), "f"), "c": np.ones(6, "f"),
        "parts": np.array([0, 2, 3]), "rows": np.array([0, -1]),
    }  # fmt: skip
    parts = node("Reshape", "x", "parts", "p")
    turn, back = node("Transpose", "p", "t", perm=[1, 0, 2]), node("Transpose", "m", "y", perm=[1, 0, 2])
    product = node("MatMul", "t", "w", "m")
    peak = node("ReduceMax", "p", "y", axes=[1], keepdims=0)
    for nodes, message in (
        ([parts, turn, product, node("Add", "m", "b", "y")], r"\(Add\): of rows of parts that are turned"),
        ([parts, turn, node("Relu", "t", "y")], r"\(Relu\): of rows of parts that are turned"),
        ([parts, turn, node("MatMul", "t", "s", "y")], r"\(MatMul\): of rows of parts that are turned"),
        ([parts, turn, product, node("Reshape", "m", "rows", "y")], r"\(Reshape\): of rows of parts that are turned"),
        ([parts, turn, product, node("Identity", "m", "y")], r"\(Identity\): of rows of parts that are turned"),
        ([parts, node("Transpose", "p", "y", perm=[1, 0, 2])], r"\(Transpose\): what it makes is turned"),
        ([parts, node("Transpose", "p", "y", perm=[0, 2, 1])], r"\(Transpose\)"),
        ([parts, node("MatMul", "p", "s", "y")], r"\(MatMul\): parts of what Input makes, expected those of Mul"),
        ([parts, node("Softmax", "p", "y", axis=-1)], r"\(Softmax\): a softmax of parts of shape \(2, 3\)"),
        ([parts, node("Softmax", "p", "y", axis=1)], r"\(Softmax\): axis 1"),
        ([parts, peak], r"\(ReduceMax\): parts of what Input makes"),
        (
            [node("Relu", "x", "r"), node("Reshape", "r", "parts", "p"), peak],
            r"\(ReduceMax\): parts of what Relu makes",
        ),
        ([parts, node("ReduceMean", "p", "y", axes=[2], keepdims=0)], r"\(ReduceMean\): expected one number"),
    ):
        with pytest.raises(ModelFormatError, match=message):
            from_onnx(written(nodes, arrays, 6).SerializeToString())
    nodes = [node("MatMul", "x", "v", "z"), node("Add", "z", "c", "a"), node("Reshape", "a", "parts", "p"), peak]
    v = np.random.default_rng(0).normal(size=(3, 6)).astype("f")
    net = from_onnx(written([turn, back, *nodes][2:], {**arrays, "v": v}).SerializeToString())
    assert repr(net[0]) == "Maxout(3)"
    np.testing.assert_allclose(net.predict(X), (X @ v + 1).reshape(-1, 2, 3).max(axis=1), rtol=1e-5, atol=1e-6)


def test_codes_of_one_column_each_as_pytorch_writes_them():
    rng = np.random.default_rng(0)
    s, t = rng.normal(size=(5, 2)).astype("f"), rng.normal(size=(4, 3)).astype("f")
    codes = np.array([[0.5, 4, 2], [-1.5, 1, 1]], "f")
    expected = np.concatenate([s[codes[:, 1].astype(int)], t[codes[:, 2].astype(int)], codes[:, :1]], axis=1)
    arrays = {"s": s, "t": t, "0": np.array([0]), "1": np.array(1), "2": np.array(2), "tail": np.array([1, 2])}
    each = [(node("Gather", "x", i, f"x{i}", axis=1), node("Cast", f"x{i}", f"i{i}", to=7)) for i in "12"]
    both = [node("Gather", "x", "tail", "xs", axis=1), node("Cast", "xs", "is", to=7)]
    both += [node("Gather", "is", i, f"i{j}", axis=1) for i, j in (("0s", 1), ("1", 2))]
    chosen = [node("Gather", "s", "i1", "e1"), node("Gather", "t", "i2", "e2"), node("Gather", "x", "0", "r", axis=1)]
    for order in (["e1", "e2", "r"], ["r", "e1", "e2"]):
        for codes_of in ([*each[0], *each[1]], both):
            nodes = [*codes_of, *chosen, node("Concat", *order, "y", axis=1)]
            net = from_onnx(written(nodes, arrays | {"0s": np.array(0)}).SerializeToString())
            found = expected if order[0] == "e1" else expected[:, [5, 0, 1, 2, 3, 4]]
            np.testing.assert_allclose(net.predict(codes), found, rtol=1e-6)
            if order[0] == "e1" and codes_of is not both:
                assert repr(net[0]) == "Embedding({1: 5, 2: 4}, size={1: 2, 2: 3})"


def test_codes_that_are_none_or_are_read_as_numbers_are_refused():
    table = {"t": np.ones((6, 2), "f"), "two": np.arange(2), "1": np.array([1]), "odd": np.arange(1, 6)}
    rows = [node("Gather", "t", "i", "y")]
    compared = [node("Unsqueeze", "i", "1", "u"), node("Equal", "u", "two", "e"), node("Cast", "e", "y", to=1)]
    odd = [compared[0], node("Equal", "u", "odd", "e"), compared[2]]
    number = [node("Cast", "i", "r", to=1), node("Unsqueeze", "r", "1", "y")]
    assert from_onnx(written(coded(rows)[0], coded(rows)[1] | table).SerializeToString()).n_out == 2
    for (nodes, arrays), message in (
        (coded(rows, n=4.0), r"\(Cast\): it cuts digits off|\(Where\)"),
        (coded(rows, low=-1.0), r"\(Cast\): it cuts digits off|\(Where\)"),
        (coded(rows, is_whole=False), r"\(Cast\): it cuts digits off|\(Where\)"),
        (coded(rows, n=9.0, last=9.0), r"\(Gather\): row 9 is that of what is no code, of a table of 6 rows"),
        (coded(compared), r"\(Cast\): a code below 5 is compared with others"),
        (coded(odd), r"\(Cast\): a code below 5 is compared with others"),
        (coded(number), r"\(Where\): codes that it makes are expected to choose rows"),
    ):
        with pytest.raises(ModelFormatError, match=message):
            from_onnx(written(nodes, arrays | table).SerializeToString())
    mixed = [node("Gather", "x", "j", "v", axis=1), node("Tanh", "v", "t"), node("Add", "x", "t", "y")]
    with pytest.raises(ModelFormatError, match=r"\(Add\): arrays of shapes .* make no rows"):
        from_onnx(written(mixed, {"j": np.array(0)}, 1).SerializeToString())


def test_what_is_not_understood_names_node_and_operator(tmp_path):
    path = tmp_path / "net.onnx"
    for nodes, arrays, message in (
        (
            [node("Conv", "x", "w", "y")],
            {"w": np.ones((1, 1, 3), "f")},
            r"node 'the Conv' \(Conv\): operator Conv is",
        ),
        ([node("Abs", "x", "y")], {}, r"node 'the Abs' \(Abs\): operator Abs is not understood"),
        ([node("MatMul", "w", "x", "y")], {"w": W}, r"\(MatMul\): expected rows times a constant matrix"),
        ([node("Gemm", "x", "w", "y", transA=1)], {"w": W}, r"\(Gemm\): rows of 3 numbers times a matrix"),
        ([node("Gemm", "x", "w", "y")], {"w": W.T}, r"\(Gemm\): rows of 3 numbers times a matrix of shape \(2, 3\)"),
        ([node("Softmax", "x", "y", axis=0)], {}, r"\(Softmax\): axis 0"),
        ([node("Concat", "x", "x", "y", axis=0)], {}, r"\(Concat\): expected rows of columns side by side, axis 1"),
        (
            [node("Reshape", "x", "s", "y")],
            {"s": np.array([3, -1])},
            r"\(Reshape\): \[3, -1\] for rows of shape",
        ),
        ([node("Gather", "x", "i", "y", axis=1)], {"i": np.array([3])}, r"\(Gather\): column 3 of 3"),
        ([node("Add", "x", "w", "y")], {"w": W}, r"\(Add\): arrays of shapes"),
        ([node("Shrink", "x", "y", lambd=0.5, bias=0.1)], {}, r"\(Shrink\): bias is"),
        ([node("Gelu", "x", "y", approximate="some")], {}, r"\(Gelu\): approximate is"),
        (
            [helper.make_node("Relu", ["x"], ["y"], "own", domain="com.own")],
            {},
            r"node 'own' \(Relu\) is of the domain 'com.own'",
        ),
    ):
        path.write_bytes(written(nodes, arrays).SerializeToString())
        with pytest.raises(ModelFormatError, match=rf"net\.onnx: .*{message}"):
            from_onnx(path)
    relu = written([node("Relu", "x", "y")], {}).SerializeToString()
    for wrong, error, match in (
        (lambda: from_onnx(3), TypeError, "from_onnx: source is 3"),
        (lambda: from_onnx(path, output=3), TypeError, "from_onnx: output is 3"),
        (lambda: from_onnx(tmp_path / "none.onnx"), FileNotFoundError, "none"),
        (lambda: from_onnx(b"to do"), ModelFormatError, "no ONNX file"),
        (
            lambda: from_onnx(relu, output="z"),
            ModelFormatError,
            "'z'",
        ),
    ):
        with pytest.raises(error, match=match):
            wrong()


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-numpy\[onnx\]'"):
        from_onnx(b"")


def hostile():
    """Files that nobody should trust, with what is said of them."""

    def changed(change, *given):
        model = written(*given) if given else written([node("Gemm", "x", "w", "b", "y")], {"w": W, "b": B})
        change(model)
        return model

    def dims(sizes):
        return lambda model: (
            model.graph.initializer[0].ClearField("dims"),
            model.graph.initializer[0].dims.extend(sizes),
        )

    def external(model):
        model.graph.initializer[0].data_location = 1
        model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")

    inner = helper.make_graph([node("Relu", "x", "z")], "inner", [], [helper.make_tensor_value_info("z", 1, None)])
    yield changed(external), "lie in another file"
    yield changed(dims([2**40, 2**40])), "it has 24 bytes, expected"
    yield changed(dims([-1, 2])), "its shape is"
    yield changed(dims([1] * 2000)), "its shape is"
    yield changed(lambda model: setattr(model.graph.initializer[0], "data_type", 99)), "its numbers are 99"
    yield changed(lambda model: setattr(model.graph.initializer[0], "data_type", 16)), "its numbers are BFLOAT16"
    yield changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])), "is there twice"
    yield changed(lambda model: model.graph.node.append(model.graph.node[0])), "two nodes make 'y'"
    yield (
        changed(
            lambda model: (
                setattr(model.graph.node[0], "input", []) if False else model.graph.node[0].ClearField("input")
            )
        ),
        "no input",
    )
    yield changed(lambda model: model.graph.ClearField("input")), r"\(Gemm\): there is no 'x', which it reads"
    yield changed(lambda model: model.graph.ClearField("output")), "none of its outputs"
    yield changed(lambda model: model.functions.add(name="f")), "functions of its own"
    yield changed(lambda model: model.graph.sparse_initializer.add()), "sparse arrays"
    yield (
        written([node("Relu", "z", "y"), node("Add", "x", "y", "z")], {}),
        r"node 'the \w+' \(\w+\): it reads '.', which is made of it",
    )
    yield written([node("Relu", "y", "y")], {}), "which is made of it"
    yield written([node("Add", "x", "none", "y")], {}), r"node 'the Add' \(Add\): there is no 'none'"
    yield (
        written([node("If", "c", "y", then_branch=inner, else_branch=inner)], {"c": np.array(True)}),
        r"node 'the If' \(If\): graphs inside of nodes",
    )
    yield changed(lambda model: model.graph.input[0].type.tensor_type.ClearField("shape")), "'x' has no shape"
    yield written([node("If", "x", "y", then_branch=inner, else_branch=inner)], {}), "graphs inside of nodes"
    yield (
        written([node("ConstantOfShape", "s", "w"), node("MatMul", "x", "w", "y")], {"s": np.array([3, 2**40])}),
        "more memory",
    )
    yield (
        written([node("Gather", "b", "i", "w"), node("Add", "x", "w", "y")], {"b": B, "i": np.zeros((9, 9), int)}),
        "arrays of",
    )
    yield written([node("Relu", "x", "y")], {}, 2**41), "expected sizes above 0"
    yield written([node("Relu", "x", "y")], {}, 2**33), "more memory"
    yield written([node("Relu", "x", "y")], {}, shape=["rows", "columns"]), "expected sizes above 0 that are known"
    yield written([node("Relu", "x", "y")], {}, shape=[3]), "has 1 dimensions"
    yield written([node("Reshape", "x", "y")], {}), r"\(Reshape\): it has 1 inputs, expected rows and their new shape"
    yield written([node("Cast", "w", "x", "y", to=1)], {"w": W}), r"\(Cast\): its first input is constant"
    yield written([node("Pow", "x", "x", "z"), node("Where", "z", "z", "z", "y")], {}), "is not understood"
    wide = [node("Concat", *["x" if i == 0 else f"x{i}"] * 9, f"x{i + 1}", axis=1) for i in range(12)]
    yield written(wide, {}, outputs=("x12",)), "more memory"
    wide_w = {"w": np.ones((3, 4096), "f"), "parts": np.array([0, 2, -1])}
    gemms = [node("Gemm", "x", "w", f"z{i}") for i in range(500)]
    sums = [node("Sum", *(f"z{i}" for i in range(500)), "y")]
    yield written([*gemms, *sums], wide_w), r"\(Gemm\): its numbers, with those of the nodes before"
    maxima = [node("ReduceMax", "p", f"z{i}", axes=[1], keepdims=0) for i in range(500)]
    shared = [node("MatMul", "x", "w", "m"), node("Reshape", "m", "parts", "p")]
    yield written([*shared, *maxima, *sums], wide_w), r"\(ReduceMax\): its numbers, with those of the nodes before"
    one_more = [node("Add", "w", "w", "v", "u"), node("MatMul", "x", "u", "y")]
    yield written(one_more, {"w": W, "v": W}), r"\(Add\): operator Add has 3 inputs, expected 2"
    yield written([node("Mul", "x", "x", "x", "y")], {}), r"\(Mul\): the product of more than two arrays"
    deep = [node("Add", "x", "x", "y0"), *(node("Mul", f"y{i}", f"y{i}", f"y{i + 1}") for i in range(60))]
    yield written(deep, {}, outputs=("y60",)), ""


def test_hostile_files_are_refused_and_run_nothing():
    for model, message in hostile():
        text = model.SerializeToString()
        if not message:
            from_onnx(text)
            continue
        with pytest.raises(ModelFormatError, match=message):
            from_onnx(text)
    before = hash(PROBE.tobytes())  # with which activations are told
    for op in ("Add", "Mul", "Max", "Relu", "Greater"):
        with contextlib.suppress(ModelFormatError):
            from_onnx(written([node(op, *"xxx", "y")], {}).SerializeToString())
    assert hash(PROBE.tobytes()) == before


def test_changed_bytes_are_refused_or_read_as_what_they_are():
    rng = np.random.default_rng(0)
    texts = [
        path.read_bytes() for path in RECORDED if path.stem in ("torch_old_block", "torch_new_norms", "sklearn_two")
    ]
    refused = 0
    for i in range(600):
        text = bytearray(texts[i % len(texts)])
        for at in rng.integers(0, len(text), rng.integers(1, 4)):
            text[at] = rng.integers(0, 256)
        if i % 5 == 0:
            del text[rng.integers(0, len(text)) :]
        try:
            net = from_onnx(bytes(text))
        except ModelFormatError:
            refused += 1
        else:
            assert net.predict(np.zeros((2, net.n_in))).shape == (2, net.n_out)
    assert refused > 100


def change(model, rng):
    """Change an operator, what it reads, an attribute, or a number or the shape of an array."""
    nodes, arrays = model.graph.node, model.graph.initializer
    one, other = (nodes[rng.integers(len(nodes))] for _ in range(2))
    kind = rng.integers(0, 6 if arrays else 4)
    if kind == 0:
        one.op_type = other.op_type
    elif kind == 1 and one.input:
        of_array = arrays and rng.random() < 0.5
        one.input[rng.integers(len(one.input))] = (
            arrays[rng.integers(len(arrays))].name if of_array else other.output[0]
        )
    elif kind == 2 and one.input:
        del one.input[-1]
    elif kind == 3 and one.attribute:
        one.attribute[0].i = int(rng.integers(-2, 4))
    elif kind > 3:
        tensor = arrays[rng.integers(len(arrays))]
        array = numpy_helper.to_array(tensor).copy()
        if kind == 4:
            wrong = rng.choice([np.nan, np.inf, 0, -1, 1e30]) if array.dtype.kind == "f" else rng.integers(0, 99)
            array.reshape(-1)[rng.integers(array.size)] = wrong
        else:
            array = np.ascontiguousarray(array.T if array.ndim > 1 else array.reshape(-1, 1))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def test_changed_graphs_are_refused_or_read_as_something_that_predicts():
    rng, names = np.random.default_rng(0), [*ROWS_OF_LAYERS]
    refused, n = 0, 600
    for i in range(n):
        model = to_onnx(net_of(names[i % len(names)], "float32"))
        for _ in range(rng.integers(1, 3)):
            change(model, rng)
        try:
            net = from_onnx(model.SerializeToString())
        except ModelFormatError:
            refused += 1
        else:
            assert net.predict(np.zeros((2, net.n_in))).shape == (2, net.n_out)
    assert n / 4 < refused < n * 0.95


@pytest.mark.parametrize("new", [False, True], ids=["TorchScript", "torch.export"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # PyTorch's
def test_what_pytorch_writes_is_read_where_it_is_there(new, tmp_path):
    torch = pytest.importorskip("torch")
    if new:
        pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(FEATURES, 5), torch.nn.SiLU(), torch.nn.Linear(5, 4), torch.nn.LayerNorm(4)]
    module = torch.nn.Sequential(*layers, torch.nn.GELU(), torch.nn.Linear(4, 2)).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (torch.zeros(2, FEATURES),), str(path), dynamo=new, external_data=False)
    net = from_onnx(path)
    expected = module(torch.from_numpy(inputs().astype("f"))).detach().numpy()
    np.testing.assert_allclose(net.predict(inputs()), expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(net.fit(inputs(), expected, "mse", "adam", epochs=2, verbose=False).loss).all()
