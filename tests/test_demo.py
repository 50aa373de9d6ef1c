"""The command line: the demo learns digits, the information is there, and progress is shown on terminals alone."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlp import MLP

import fastnn
from fastnn import cli as command_line
from fastnn.demo import BATCH_SIZE, LR, MOMENTUM, ONE_THREAD, demo, picture, train_in_numpy

pytestmark = pytest.mark.once

COMMAND = [sys.executable, "-m", "fastnn"]


@pytest.mark.parametrize("seed", range(5))
def test_the_demo_learns_digits(seed, capfd, monkeypatch):
    monkeypatch.setattr("fastnn.demo.TIMES", 2)
    result = demo(seed)
    assert result.accuracy >= 0.97
    assert result.numpy_accuracy >= 0.97
    assert result.seconds <= 5 or "asan" in os.environ.get("LD_PRELOAD", "")  # with sanitizers, times mean nothing
    written = capfd.readouterr()
    assert f"fastnn  test accuracy {result.accuracy:.4f}" in written.out
    assert f"NumPy   test accuracy {result.numpy_accuracy:.4f}" in written.out
    assert f"{result.numpy_seconds / result.seconds:.1f} times as fast" in written.out
    assert "one thread each, in turns; seconds are processor time, the least of 2 trainings" in written.out
    assert "1,438 to learn from, 359 held out" in written.out
    assert not written.err


def test_the_demo_trains_in_numpy_as_the_twin_of_fastnn_does():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(2 * BATCH_SIZE + 5, 6)), rng.integers(0, 3, 2 * BATCH_SIZE + 5)
    w1, b1, w2, b2 = parameters = [rng.normal(size=shape) for shape in ((6, 7), 7, (7, 3), 3)]
    twin = MLP([(w1, b1, "relu"), (w2, b2, "softmax")], "cross_entropy", lr=LR, momentum=MOMENTUM)
    orders = [rng.permutation(len(x)) for _ in range(3)]
    for order in orders:
        twin.epoch(x, labels, BATCH_SIZE, order)
    train_in_numpy(parameters, x, labels, orders)
    trained = np.concatenate([array.ravel() for array in parameters])
    np.testing.assert_allclose(trained, twin.parameters, rtol=0, atol=1e-12 * np.abs(trained).max())


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="only Linux counts the threads of a process")
def test_numpy_uses_one_thread_in_a_subprocess():
    code = "import os, numpy as np; a = np.ones((900, 900)); a @ a; print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env={**environment, **ONE_THREAD}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.parametrize("folder", ["elsewhere", "in sources without a core"])
def test_numpy_trains_with_the_package_that_runs_in_a_subprocess(folder, tmp_path):
    """Not with one that lies where the demo is started."""
    if folder != "elsewhere":
        (tmp_path / "fastnn").mkdir()
        (tmp_path / "fastnn" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    root = str(Path(fastnn.__file__).parents[1])
    code = f"import sys; sys.path[0] = {root!r}; from fastnn.__main__ import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "times as fast" in done.stdout


def test_a_numpy_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError, match="print_numpy"):
        demo()


def test_the_picture_has_two_characters_per_pixel():
    pixels = np.zeros((2, 64), np.uint8)
    pixels[1, 0], pixels[1, 1] = 16, 1
    lines = picture(pixels, np.array([3, 8])).split("\n")
    assert lines[0] == " " * 18 + "@@"
    assert lines[1:8] == [""] * 7
    assert lines[8].split() == ["a", "3", "a", "8"]


def test_info(capsys):
    assert command_line.main(["info"]) == 0
    text = capsys.readouterr().out
    for part in (fastnn.__version__, *fastnn.kernels.built, fastnn.kernels.selected, fastnn.kernels.reason):
        assert part in text
    fastnn.show_config()
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["dmeo"], 2), (["--help"], 0), (["demo", "--help"], 0)])
def test_arguments(arguments, code, capsys):
    with pytest.raises(SystemExit) as exit_:
        command_line.main(arguments)
    assert exit_.value.code == code
    assert "usage: fastnn" in "".join(capsys.readouterr())


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.cli.command.demo", interrupted)
    assert command_line.main(["demo"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_no_progress_without_a_terminal_in_a_subprocess():
    done = subprocess.run([*COMMAND, "demo"], text=True, capture_output=True, check=True)
    assert "times as fast" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("with_tqdm", [True, False], ids=["tqdm", "plain"])
def test_progress_on_a_terminal_in_a_subprocess(with_tqdm, tmp_path):
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    environment = dict(os.environ)
    if with_tqdm:
        pytest.importorskip("tqdm")
    else:
        (tmp_path / "tqdm.py").write_text("raise ImportError", encoding="utf-8")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # a new one has no size
    with subprocess.Popen([*COMMAND, "demo"], stdout=subprocess.PIPE, stderr=end, env=environment) as process:
        os.close(end)
        shown = b""
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:  # how Linux says that nobody holds the other end any more
            pass
        os.close(terminal)
        assert b"times as fast" in process.stdout.read()
    assert process.returncode == 0
    assert b"20/20" in shown
    assert b"loss" in shown
    assert (b"%|" in shown) == with_tqdm
    assert (b"epoch 20/20: loss" in shown) != with_tqdm
