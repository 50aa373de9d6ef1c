"""Models as ONNX files: written for onnxruntime, and read from other exporters."""

import json
import sys

import numpy as np
import pytest
from custom import Cube
from predictions import ROWS_OF_LAYERS, close, inputs, net_of, random_net, trained

import fastnn
from fastnn import BinaryCrossEntropy, Dense, Model, Scale, to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.once

RTOL = {"float32": 1e-5, "float64": 1e-12}


def session(model):
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    text = model if isinstance(model, (str, bytes)) else model.SerializeToString()
    return runtime.InferenceSession(text, options, providers=["CPUExecutionProvider"])


def computed(model, x):
    """What onnxruntime computes: the last output."""
    kind = {1: np.float32, 11: np.float64}[model.graph.input[0].type.tensor_type.elem_type]
    return session(model).run(None, {"x": x.astype(kind)})[-1]


@pytest.mark.parametrize("dtype", RTOL)
def test_onnxruntime_computes_what_each_layer_predicts(dtype):
    for name in ROWS_OF_LAYERS:
        net = net_of(name, dtype)
        own = session(to_onnx(net))
        for rows in (40, 1, 0):
            x = inputs(seed=5)[:rows]
            (found,) = own.run(None, {"x": x.astype(dtype)})
            assert found.dtype == net.dtype, name
            try:
                close(found, net.predict(x), RTOL[dtype])
            except AssertionError as error:
                raise AssertionError(f"{name}: {net!r}") from error


@pytest.mark.parametrize("dtype", RTOL)
def test_onnxruntime_computes_what_random_nets_predict(dtype):
    for seed in range(0 if dtype == "float64" else 1, 200, 2):
        net, x = random_net(seed, dtype), inputs(seed=seed)
        try:
            close(computed(to_onnx(net), x), net.predict(x), RTOL[dtype])
        except AssertionError as error:
            raise AssertionError(f"net {seed}: {net!r}") from error


def test_activations_are_as_exact_far_from_0():
    """Where sums cancel, or exponentials overflow, and for what is no number."""
    x = np.array([0.0, *np.geomspace(1e-9, 500, 60)])
    x = np.concatenate([x, -x, [np.inf, -np.inf, np.nan]])[:, None]
    for name in fastnn.layers.activations.BY_NAME:
        net = Model([Dense(1, name, weight_initializer="ones")], dtype="float64").build(1)
        expected, found = net.predict(x), computed(to_onnx(net), x)
        np.testing.assert_allclose(found[:-3], expected[:-3], rtol=2e-12, atol=1e-300, err_msg=name)
        if name != "gelu":
            assert (np.isnan(found[-3:]) == np.isnan(expected[-3:])).all(), name


def test_a_model_is_of_an_old_opset_with_an_open_number_of_rows_and_says_what_made_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(inputs(), columns=["a", "b", "", "x", "probabilities", "label"])
    net = Model([Dense(8, "relu"), Dense(3, "softmax")], seed=0)
    net.fit(frame, np.arange(len(frame)) % 3, epochs=2)
    net.class_names = ["low", "Ä", "label"]
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    model = to_onnx(net, path, labels=True)
    assert path.read_bytes() == model.SerializeToString()
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]
    assert (model.ir_version, [(one.domain, one.version) for one in model.opset_import]) == (8, [("", 17)])
    own = session(str(path))
    assert [(one.name, one.shape, one.type) for one in own.get_inputs()] == [("x", ["rows", 6], "tensor(float)")]
    assert [(one.name, one.shape) for one in own.get_outputs()] == [("label", ["rows"]), ("probabilities", ["rows", 3])]
    metadata = own.get_modelmeta().custom_metadata_map
    assert metadata["fastnn_version"] == fastnn.__version__
    assert json.loads(metadata["feature_names"]) == list(frame.columns)
    assert json.loads(metadata["class_names"]) == ["low", "Ä", "label"]
    labels, found = own.run(None, {"x": inputs().astype("f")})
    assert labels.tolist() == [net.class_names[i] for i in net.predict(frame).argmax(axis=1)]
    close(found, net.predict(frame), 1e-5)

    by_column = session(to_onnx(net, inputs="columns", outputs="columns", labels=True))
    assert [one.name for one in by_column.get_inputs()] == ["a", "b", "x2", "x", "probabilities", "label"]
    assert [one.name for one in by_column.get_outputs()] == ["label_2", "low", "Ä", "label_1"]
    given = {one.name: inputs()[:, [i]].astype("f") for i, one in enumerate(by_column.get_inputs())}
    names, *each = by_column.run(None, given)
    assert names.tolist() == labels.tolist()
    close(np.concatenate(each, axis=1), net.predict(frame), 1e-5)


def test_labels_are_those_of_the_outputs():
    x = inputs()
    y = (x[:, 0] > 0.3).astype(int)
    for end, loss in (
        (Dense(1, "sigmoid"), None),
        (Dense(1), BinaryCrossEntropy(from_logits=True)),
        (Dense(2, "softmax"), None),
    ):
        net = Model([Dense(8, "tanh"), end], seed=0)
        net.fit(x, y, loss, epochs=30)
        predicted = net.predict(x)
        if predicted.shape[1] == 2:
            net.class_names = ["no", "yes"]
            expected = np.array(["no", "yes"])[predicted.argmax(axis=1)]
        else:
            expected = (predicted[:, 0] > (0.5 if loss is None else 0)).astype(int)
        label, _ = session(to_onnx(net, labels=True)).run(None, {"x": x.astype("f")})
        assert label.tolist() == expected.tolist()
        assert len({*label.tolist()}) == 2


def test_what_cannot_be_written_says_so(tmp_path):
    net = Model([Dense(3)], seed=0).build(2)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    for wrong, error, match in (
        (lambda: to_onnx(3, path), TypeError, "to_onnx: net is 3, expected a Model"),
        (lambda: to_onnx(Model([Dense(3)]), path), ValueError, "Model is not built"),
        (lambda: to_onnx(Model([Dense(2), Cube()]).build(2), path), TypeError, r"Cube 2 is code in NumPy.*_graph"),
        (lambda: to_onnx(net, path, labels=True), ValueError, "labels=True, but the outputs are numbers"),
        (lambda: to_onnx(net, path, inputs="rows"), ValueError, "to_onnx: inputs"),
        (lambda: to_onnx(net, path, outputs=3), (TypeError, ValueError), "to_onnx: outputs"),
        (lambda: to_onnx(net, path, labels=2), TypeError, "to_onnx: labels"),
        (lambda: to_onnx(net, tmp_path / "none" / "net.onnx"), FileNotFoundError, "none"),
        (lambda: to_onnx(net, ""), FileNotFoundError, r"directory: ''$"),
        (lambda: to_onnx(net, tmp_path), IsADirectoryError, r"directory: '[^']*'$"),
        (lambda: fastnn.to_c(net, ""), FileNotFoundError, r"directory: ''$"),
        (lambda: net.save(tmp_path), IsADirectoryError, r"directory: '[^']*'$"),
        (lambda: net.save(f"{tmp_path}/none/"), IsADirectoryError, r"directory: '[^']*none/'$"),
    ):
        with pytest.raises(error, match=match):
            wrong()
    assert path.read_bytes() == b"old"


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-numpy\[onnx\]'"):
        to_onnx(Model([Dense(3)], seed=0).build(2))


def test_a_layer_alone_is_written_too():
    net = trained([Scale("uniform"), Dense(3, "tanh")], "float64")
    close(computed(to_onnx(net[1]), inputs()), net[1](inputs()), 1e-12)
