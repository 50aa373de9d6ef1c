"""Nets as lines of NumPy: they run without this library, and give what it predicts."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from c_programs import nets
from predictions import ROWS_OF_LAYERS, close, inputs, net_of
from test_c import NASTY

import fastnn
from fastnn import Dense, Model
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


def test_values_that_are_read_later_keep_their_names():
    """Each name stands for one value as long as that is read."""
    assert {"Residual", "Add", "Parallel"} <= {*ROWS_OF_LAYERS}
    text = fastnn.to_numpy_source(net_of("Residual", "float64"))
    assert "    h1 = x @ w1 + b1\n" in text
    assert "    x = x + h1\n" in text
