"""The examples learn what they say, save their pictures, and need matplotlib for nothing else."""

import http.client
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = [
    "xor",
    "and_gate",
    "exam_scores",
    "digits",
    "tables",
    "actor_critic",
    "deployment",
    "microcontroller",
    "server",
]
NEEDS = {"tables": "pandas"}
PICTURES = [name for name in NAMES if name != "server"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run an example's main() in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def main(name):
        if name in NEEDS:
            pytest.importorskip(NEEDS[name])
        return importlib.import_module(name).main()

    return main


def test_these_are_all_examples():
    assert {path.stem for path in EXAMPLES.glob("*.py")} - {"picture"} == set(NAMES)
    assert all(f"`python {name}.py`" in (EXAMPLES / "README.md").read_text(encoding="utf-8") for name in NAMES)


def test_xor(run, capsys):
    result = run("xor")
    for name in ("sigmoid", "softmax"):
        loss, outputs = result[name]
        assert loss <= 0.002
        np.testing.assert_array_equal(np.round(outputs[:, -1]), [0, 1, 1, 0])
    backward, by_jacobian = result["softmax_backward"]
    np.testing.assert_allclose(backward, by_jacobian, rtol=1e-4, atol=1e-9)
    assert "1 xor 0 = [0.99" in capsys.readouterr().out


@pytest.mark.parametrize("isa", [isa for isa in fastnn.kernels.built if isa in fastnn.kernels.supported])
def test_xor_with_each_instruction_set_in_a_subprocess(isa, tmp_path):
    code = "import xor; result = xor.main(); assert max(result['sigmoid'][0], result['softmax'][0]) <= 0.002"
    environment = {**os.environ, "FASTNN_ISA": isa, "PYTHONPATH": str(EXAMPLES)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)


def test_and_gate(run):
    result = run("and_gate")
    assert result["binary"]["accuracy"] == 1
    assert result["binary"]["loss"] < 0.05
    assert result["noisy"]["accuracy"] > 0.97
    assert result["noisy"]["loss"] < 0.1
    losses = list(result["sweep"].values())
    assert len(losses) >= 4
    assert losses == sorted(losses, reverse=True)


def test_exam_scores(run, capsys):
    medians = run("exam_scores")
    assert medians[0.01] <= 0.008
    assert medians[0.03] <= 0.004
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line]
    shown = [(len(weights.split()), len(gradients.split())) for weights, gradients in rows]
    assert shown == [(5, 5)] * 4 + [(1, 1)] * 6  # weights and biases of 3-5-1


def test_digits(run):
    accuracy, confusion = run("digits")
    assert accuracy >= 0.97
    assert confusion.sum() == 1797 // 5
    assert np.trace(confusion) == round(accuracy * confusion.sum())


def test_tables(run, capsys):
    errors = run("tables")
    assert errors["the net"] < 0.75 * errors["a straight line"] < 0.5 * errors["the mean"]
    assert errors["the net"] < 60  # where the noise is 40
    assert "6 columns became 12" in capsys.readouterr().out


def test_tables_without_pandas_in_a_subprocess():
    code = "import sys; sys.modules['pandas'] = None; import tables"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(EXAMPLES)}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "this example reads a data frame: pip install pandas\n")


def test_deployment(run):
    result = run("deployment")
    assert result["same"]
    assert result["agree"]
    assert result["accuracy"] > 0.9
    assert result["apart"] < 1e-5


def test_deployment_refuses_what_is_no_net_for_its_requests(run, tmp_path):
    run("deployment")
    deployment, path = importlib.import_module("deployment"), tmp_path / "digits_net.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(fastnn.ModelFormatError):
        deployment.load(path)
    path.write_bytes(b"cos\nsystem\n(S'exit'\ntR.")  # a pickle that would run something
    with pytest.raises(fastnn.ModelFormatError):
        deployment.load(path)
    fastnn.Model([fastnn.Dense(10)], seed=0).build(9).save(path)
    with pytest.raises(ValueError, match="9 inputs and 10 outputs, expected 64 and 10"):
        deployment.load(path)
    path.write_bytes(whole)
    assert deployment.load(path).n_in == 64


def test_microcontroller(run, tmp_path):
    result = run("microcontroller")
    assert result["accuracy"] > 0.97
    assert result["footprint"].flash < 5000
    assert result["same"] in (True, None)  # None without a compiler
    assert result["same"] or shutil.which("gcc") is None
    if shutil.which("g++"):  # a sketch is C++
        loop = str(EXAMPLES / "microcontroller" / "loop.c")
        flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-I.", "-DON_A_COMPUTER", "-x", "c++", loop]
        subprocess.run(["g++", *flags, "-o", str(tmp_path / "loop")], cwd=tmp_path, check=True)


def test_server(run):
    result = run("server")
    for status, found in result["replies"]:
        assert status == 200
        assert found["outputs"] == pytest.approx(sorted(found["outputs"], reverse=found["class"] == "even"))
        assert sum(found["outputs"]) == pytest.approx(1)
    assert [status for status, _ in result["refused"]] == [400] * 4
    assert [*{key for _, found in result["refused"] for key in found}] == ["error"]


WRONG = {
    "no JSON": b"{",
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 50_000,
    "number": b"5",
    "other keys": b'{"row": [0, 0], "x": 1}',
    "width": b'{"row": [0]}',
    "text": b'{"row": ["a", "b"]}',
    "null": b'{"row": null}',
    "nested": b'{"row": [[0, 0]]}',
    "NaN": b'{"row": [NaN, 0]}',
    "Infinity": b'{"row": [Infinity, 0]}',
    "large": b'{"row": [1e999, 0]}',
    "large whole": b'{"row": [1' + 400 * b"0" + b", 0]}",
    "digits": b'{"row": [1' + 5000 * b"0" + b", 0]}",
    "names": b'{"row": {"a": 1, "c": 2}}',
}


def test_server_answers_the_same_in_both_ways_and_refuses_with_json(run, monkeypatch, tmp_path):
    server = importlib.import_module("server")
    pandas = pytest.importorskip("pandas")
    net = fastnn.Model([fastnn.Dense(3, "tanh"), fastnn.Dense(2)], seed=0)
    net.fit(pandas.DataFrame({"a": [0.0, 1.0], "b": [2.0, 3.0]}), np.zeros((2, 2)), epochs=1)
    net.save(tmp_path / "net.safetensors")
    monkeypatch.setenv("FASTNN_NET", str(tmp_path / "net.safetensors"))
    app = validator(server.app)

    def by_wsgi(body, path="/predict", method="POST"):
        environment = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "CONTENT_LENGTH": str(len(body)),
            "QUERY_STRING": "",
        }
        setup_testing_defaults(environment)
        environment["wsgi.input"], statuses = io.BytesIO(body), []
        answer = app(environment, lambda status, _: statuses.append(int(status.split()[0])))
        found = json.loads(b"".join(answer))
        answer.close()
        return statuses[0], found

    with server.Server(net) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        for row in ({"row": [0.5, -1]}, {"row": {"b": -1, "a": 0.5}}):
            expected = net.predict_one([0.5, -1]).tolist()
            assert server.ask(serving.server_port, row) == (200, {"outputs": expected})
            assert by_wsgi(json.dumps(row).encode()) == (200, {"outputs": expected})
        for name, body in WRONG.items():
            status, found = server.ask(serving.server_port, body)
            assert (status, [*found]) == (400, ["error"]), name
            assert by_wsgi(body) == (status, found), name
        assert server.ask(serving.server_port, b" " * (server.MOST + 1))[0] == 413
        assert by_wsgi(b" " * (server.MOST + 1))[0] == 413
        assert by_wsgi(b"", "/other")[0] == by_wsgi(b"", method="GET")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=30)
        for _ in range(3):  # it stays open
            for method, path, status in (("GET", "/health", 200), ("GET", "/x", 404), ("POST", "/x", 404)):
                connection.request(method, path, b"{}" if method == "POST" else None)
                reply = connection.getresponse()
                assert reply.status == status
                assert isinstance(json.load(reply), dict)
        connection.close()
        serving.shutdown()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name, run, tmp_path, capsys):
    image = pytest.importorskip("matplotlib.image")
    run(name)
    assert f"picture: {name}.png" in capsys.readouterr().out
    height, width, _ = image.imread(tmp_path / f"{name}.png").shape
    assert height >= 400
    assert width >= 500


@pytest.mark.parametrize("name", PICTURES)
def test_without_matplotlib(name, run, tmp_path, monkeypatch, capsys):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    run(name)
    assert "no picture: pip install matplotlib" in capsys.readouterr().out
    assert not any(tmp_path.glob("*.png"))


@pytest.mark.parametrize("name", NAMES)
def test_scripts_in_a_subprocess(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=True)
    assert done.stdout
    assert not done.stderr
