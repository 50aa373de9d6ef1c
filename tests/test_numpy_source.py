"""Nets as lines of NumPy: they run without this library, and give what it predicts."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from c_programs import nets
from predictions import ROWS_OF_LAYERS, close, inputs, net_of
from test_c import NASTY

import fastnn
from fastnn import Dense, Model
from fastnn.formats.graph import inputs_of
from fastnn.formats.numpy_source import _HELPERS

pytestmark = pytest.mark.once

RTOL = {"float32": 2e-5, "float64": 1e-12}
_RUN = """\
import json, sys
sys.modules["fastnn"] = None  # it cannot be imported
import numpy as np
import warnings
warnings.simplefilter("error")
with open("names.json") as file:
    names = json.load(file)
sys.path.insert(0, ".")
x = np.load("x.npy")
found = {}
for name in names:
    module = __import__(name)
    found[name] = module.predict(x)
    assert module.predict(x[:0]).shape == (0, found[name].shape[1]), name
np.savez("found.npz", **found)
print(json.dumps(sorted(name for name in sys.modules if name.startswith("fastnn") and name != "fastnn")))
"""


@pytest.mark.parametrize("dtype", RTOL)
def test_they_run_with_numpy_alone_and_give_what_is_predicted(dtype, tmp_path):
    x, named = inputs(), {f"net{i}": net for i, (_, net) in enumerate(nets(dtype, 40))}
    texts = [fastnn.to_numpy_source(net, tmp_path / f"{name}.py") for name, net in named.items()]
    named["large"] = Model([Dense(50, "relu"), Dense(50)], seed=0, dtype=dtype).build(x.shape[1])
    fastnn.to_numpy_source(named["large"], tmp_path / "large.py")
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "names.json").write_text(json.dumps([*named]))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout) == []
    with np.load(tmp_path / "found.npz") as found:
        for name, net in named.items():
            expected = net.predict(x)
            assert found[name].dtype == expected.dtype, name
            close(found[name], expected, RTOL[dtype])
    assert {path.name for path in tmp_path.glob("*.npz")} >= {"large.npz", "found.npz"}
    used = {helper for helper in _HELPERS for text in texts if f"def {helper}(" in text}
    assert used == {*_HELPERS}
    lengths = sorted(len(text[text.index("def predict") :].splitlines()) for text in texts)
    assert lengths[len(lengths) // 2] <= 20


def test_the_text_is_short_and_has_the_names():
    net = Model([Dense(3, "relu"), Dense(2, "softmax")], seed=0).build(2)
    net._tree.feature_names, net.class_names = ("width", "length"), ["small", "large"]
    text = fastnn.to_numpy_source(net)
    assert text.splitlines()[:7] == [
        "# What a neural network predicts, written by fastnn.",
        "# Inputs:",
        '#     x[:, 0] "width"',
        '#     x[:, 1] "length"',
        "# Outputs, class probabilities:",
        '#     y[:, 0] "small"',
        '#     y[:, 1] "large"',
    ]
    assert text.endswith(
        "def predict(x):\n"
        "    x = np.asarray(x, np.float32)\n"
        "    x = x @ w1 + b1\n"
        "    x = np.maximum(x, 0)\n"
        "    x = x @ w2 + b2\n"
        "    x = softmax(x)\n"
        "    return x\n"
    )
    assert len(text.splitlines()) < 35


@pytest.mark.parametrize("dtype", RTOL)
def test_parameters_in_the_text_have_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    net = Model([Dense(20)], seed=0, dtype=dtype).build(20)
    numbers = rng.normal(size=net.n_parameters) * 10.0 ** rng.integers(-30, 30, net.n_parameters)
    numbers[:6] = 0.1, -0.0, 1 / 3, 1e-44, 16777217, 3.4e38
    net.params = numbers.astype(dtype)
    namespace = {}
    exec(fastnn.to_numpy_source(net), namespace)
    for name, array in (("w1", net[0].w), ("b1", net[0].b)):
        assert namespace[name].dtype == dtype
        assert namespace[name].tobytes() == array.tobytes()


def test_no_name_breaks_out_of_a_comment():
    net = Model([Dense(len(NASTY), "softmax")], seed=0).build(len(NASTY))
    net._tree.feature_names, net.class_names = tuple(NASTY), [f"{name}y" for name in NASTY]
    text = fastnn.to_numpy_source(net)
    assert text.isascii()
    for line in text.split("w1 =")[0].splitlines():
        assert line.startswith(("#", "import")) or not line


def test_files_are_written_whole_or_not(tmp_path):
    net = Model([Dense(50, "relu"), Dense(50)], seed=0).build(3)
    with pytest.raises(ValueError, match=r"path is '.*net\.npz'.*expected net\.py"):
        fastnn.to_numpy_source(net, tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())
    text = fastnn.to_numpy_source(net, tmp_path / "net.py")
    assert {path.name for path in tmp_path.iterdir()} == {"net.py", "net.npz"}
    assert text == (tmp_path / "net.py").read_text()
    assert 'arrays["w1"]' in text
    assert 'arrays["w1"]' not in fastnn.to_numpy_source(net)
    fastnn.to_numpy_source(net, tmp_path / "net.py")  # both are replaced
    np.savez(tmp_path / "data.npz", x=np.arange(3))
    for before in (None, "import numpy as np", 'np.load("others_data.npz")'):
        if before is not None:
            (tmp_path / "data.py").write_text(before)
        with pytest.raises(
            ValueError, match=r"data\.npz exists, where the parameters are to stand, and .*data\.py does no"
        ):
            fastnn.to_numpy_source(net, tmp_path / "data.py")
        assert [*np.load(tmp_path / "data.npz")] == ["x"]
        assert before is None or (tmp_path / "data.py").read_text() == before
    fastnn.to_numpy_source(Model([Dense(2)], seed=0).build(3), tmp_path / "data.py")  # needs none beside it
    assert [*np.load(tmp_path / "data.npz")] == ["x"]


def test_values_that_are_read_later_keep_their_names():
    """Each name stands for one value as long as that is read."""
    assert {"Residual", "Add", "Parallel"} <= {*ROWS_OF_LAYERS}
    text = fastnn.to_numpy_source(net_of("Residual", "float64"))
    assert "    h1 = x @ w1 + b1\n" in text
    assert "    x = x + h1\n" in text


def test_estimators_of_numbers_are_lines_of_numpy():
    sklearn = pytest.importorskip("fastnn.sklearn")
    rng = np.random.default_rng(0)
    for rows, rtol in ((60, 1e-12), (150, 2e-5)):
        x = rng.normal(size=(rows, 4))
        lacks = rows == 60
        x[rng.random(x.shape) < 0.1 * lacks] = np.nan
        x[:, 2] = np.arange(rows) % 12 / 4
        y = (np.nan_to_num(x[:, 0]) > 0).astype(int) + (x[:, 2] > 1)
        settings = {"random_state": 0, "n_nets": 2, "categorical_features": [2] if lacks else None}
        classifier = sklearn.TabularClassifier("fast", **settings).fit(x, y)
        classifier.temperature_ = 1.3
        regressor = sklearn.TabularRegressor("balanced", **settings).fit(x, 1e6 + y)
        x[:3, 2] = 77, np.nan, 0.1
        for model, expected in ((classifier, classifier.predict_proba(x)), (regressor, regressor.predict(x)[:, None])):
            text, namespace = fastnn.to_numpy_source(model), {}
            exec(text, namespace)
            close(namespace["predict"](x), expected, rtol)
            graph = model._prediction_graph(None, True, False)
            read = {graph.y.name, *(value.name for node in graph.nodes for value in inputs_of(node))}
            assert {node.y.name for node in graph.nodes} <= read  # what nothing reads is not written
        assert '#     y[:, 1] "1"' in fastnn.to_numpy_source(classifier)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # that a fit has not converged
def test_what_of_an_estimator_is_no_lines_says_so(tmp_path):
    sklearn = pytest.importorskip("fastnn.sklearn")
    x = np.random.default_rng(0).normal(size=(60, 3))
    of_text = np.array([[a, "u" if a > 0 else "v"] for a in x[:, 0].tolist()], object)
    several = np.stack([x[:, 0] > 0, (x[:, 1] > 0) + 2], axis=1).astype(int)
    with_text = sklearn.TabularRegressor("fast", n_nets=1, random_state=0).fit(of_text, x[:, 0])
    with_dates = of_text.copy()
    with_dates[:, 1] = [np.datetime64("2024-01-01") + i for i in range(60)]
    of_dates = sklearn.TabularRegressor("fast", n_nets=1, random_state=0).fit(with_dates, x[:, 0])
    of_numbers = sklearn.TabularRegressor("fast", n_nets=1, random_state=0).fit(x, x[:, 0])
    settings = {"max_iter": 3, "random_state": 0}
    of_two = sklearn.MLPClassifier((4,), **settings).fit(x, several[:, 0])
    of_several = sklearn.MLPClassifier((4,), **settings).fit(x, several)
    each = sklearn.MLPClassifier((4,), out_activation="logistic", **settings).fit(x, several.sum(axis=1))
    for model, match in (
        (with_text, "column 'x1' holds text: to_onnx writes all"),
        (of_dates, "column 'x1' holds dates: to_onnx"),
        (of_several, "predicts several things: to_onnx"),
    ):
        with pytest.raises(ValueError, match=f"to_numpy_source writes an estimator that .*{match}"):
            fastnn.to_numpy_source(model)
        with pytest.raises(ValueError, match=f"to_c writes an estimator that .*{match}"):
            fastnn.to_c(model, tmp_path / "net.c")
    for model in (of_numbers, each):
        with pytest.raises(ValueError, match="to_c has no text for what this estimator does beside its nets"):
            fastnn.to_c(model, tmp_path / "net.c")
    for write in (fastnn.to_numpy_source, lambda net: fastnn.to_c(net, tmp_path / "net.c")):
        with pytest.raises(
            TypeError, match=r"net is \[\], expected a model such as .* or an estimator of fastnn.sklearn"
        ):
            write([])
        with pytest.raises(TypeError, match=r"or an estimator of fastnn.sklearn: pass its last step, pipeline"):
            write(SimpleNamespace(steps=[]))
    assert not [*tmp_path.iterdir()]
    fastnn.to_c(of_two, tmp_path / "net.c")
    assert 'y[1] "1"' in (tmp_path / "net.c").read_text()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_beside_parameters_is_not_read(tmp_path):
    """Whoever reads it waits until somebody writes."""
    pipe = tmp_path / "net.py"
    os.mkfifo(pipe)
    (tmp_path / "net.npz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"net\.npz exists, where the parameters are to stand"):
        fastnn.to_numpy_source(Model([Dense(300)], seed=0).build(200), pipe)
