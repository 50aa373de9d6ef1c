"""How model files are written and read: as a whole or not at all, shared by processes, in every version, by eye."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from nets import same_bits

import fastnn
from fastnn import SGD, Adam, Dense, Dropout, Embedding, LeakyReLU, Model, ModelFormatError, RMSNorm
from fastnn.__main__ import main
from fastnn.formats import files as whole_files

DATA = Path(__file__).parent / "data"


def in_a_process(program, *arguments, **options):
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, **options)


# As a whole, or not at all

KILLED = """
import sys
import numpy as np
from fastnn import Dense, Model
nets = [Model([Dense(600), Dense(1)], seed=seed).build(500) for seed in (1, 2)]
print("ready", flush=True)
for i in range(10**6):
    nets[i % 2].save(sys.argv[1])
"""


def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one_in_a_subprocess(tmp_path):
    path = tmp_path / "net.safetensors"
    nets = [Model([Dense(600), Dense(1)], seed=seed).build(500) for seed in (1, 2)]
    nets[0].save(path)
    expected = {path.read_bytes()}
    nets[1].save(path)
    expected.add(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert path.read_bytes() in expected
        assert fastnn.load(path).seed in (1, 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_is_written_to_and_stays(tmp_path):
    net, pipe = Model([Dense(300)], seed=0).build(200), tmp_path / "pipe"
    writers = {
        "model": net.save, "c": lambda path: fastnn.to_c(net, path),
        "numpy": lambda path: fastnn.to_numpy_source(Model([Dense(1)], seed=0).build(2), path),
    }  # fmt: skip
    for name, write in writers.items():
        os.mkfifo(pipe)
        found = []
        reader = threading.Thread(target=lambda found=found: found.append(pipe.read_bytes()))
        reader.start()
        write(pipe)
        reader.join()
        assert stat.S_ISFIFO(os.stat(pipe).st_mode)
        assert os.listdir(tmp_path) == ["pipe"]
        pipe.unlink()
        write(pipe)  # a file
        assert found == [pipe.read_bytes()], name
        pipe.unlink()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_device_is_written_to_and_stays(tmp_path, monkeypatch):
    """By a link to it: where it could be replaced, the test would do so for the whole machine."""

    def replace(*names):
        raise AssertionError(f"{names} are not to be replaced")

    monkeypatch.setattr(os, "replace", replace)
    net, link = Model([Dense(300)], seed=0).build(200), tmp_path / "null"
    link.symlink_to("/dev/null")
    net.save(link)
    before = os.stat("/dev/full")
    link.unlink()
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device.*/dev/full"):
        net.save(link)
    assert os.stat("/dev/full").st_rdev == before.st_rdev
    assert Path("/dev/null").is_char_device()
    assert os.listdir(tmp_path) == ["null"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="sockets have no names here")
def test_what_is_no_file_pipe_or_device_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("socket")
        with pytest.raises(OSError, match=r"expected the name of a file, of a pipe or of a device .*socket"):
            Model([Dense(1)], seed=0).build(2).save("socket")
        assert stat.S_ISSOCK(os.stat("socket").st_mode)


LEFT = """
import os, sys, time
from fastnn.formats import safely
def parts():
    yield b"half"
    print(os.getpid(), flush=True)
    time.sleep(100)
safely.replace(sys.argv[1], parts())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there nobody asks for other processes")
def test_what_killed_processes_have_left_is_removed_by_the_next_save_in_a_subprocess(tmp_path):
    path = tmp_path / "net.safetensors"
    model = Model([Dense(3)], seed=1).build(2)
    with subprocess.Popen([sys.executable, "-c", LEFT, str(path)], stdout=subprocess.PIPE) as process:
        number = int(process.stdout.readline())
        (half,) = tmp_path.iterdir()
        model.save(path)
        assert half.exists()  # it is being written
        elsewhere = half.with_name(half.name.replace(f".{number}.", ".99999999."))  # by a process of a container
        os.link(half, elsewhere)
        model.save(path)
        assert elsewhere.exists()
        process.kill()
    others = {  # of another file, of one that lives, of no such name
        ".other.safetensors.99999999.0.tmp", f".net.safetensors.{os.getppid()}.0.tmp", ".net.safetensors.tmp",
        ".net.safetensors.99999999.tmp", ".net.safetensors.99999999.0.tmp.txt", "net.safetensors.99999999.0.tmp",
        ".netxsafetensors.99999999.0.tmp", f".net.safetensors.{10**30}.0.tmp",
    }  # fmt: skip
    for name in (*others, f".net.safetensors.{os.getpid()}.{10**6}.tmp"):  # the last: of a number that this one has now
        (tmp_path / name).write_bytes(b"half")
    model.save(path)
    assert {one.name for one in tmp_path.iterdir()} == {*others, path.name}
    assert fastnn.load(path).seed == 1


FULL = """
import resource, signal, sys
from fastnn import Dense, Model
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Model([Dense(600), Dense(1)], seed=2).build(500).save(sys.argv[1])
except OSError as error:
    print(type(error).__name__, error.filename or "", error.strerror)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="there is no limit of sizes here")
def test_where_there_is_no_room_the_old_file_stays_in_a_subprocess(tmp_path):
    path = tmp_path / "net.safetensors"
    Model([Dense(3)], seed=1).build(2).save(path)
    before = path.read_bytes()
    assert in_a_process(FULL, path).stdout.startswith("OSError")
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("where", "error"),
    [("no/such/folder/net.safetensors", FileNotFoundError), (".", OSError), ("file/net.safetensors", OSError)],
)
def test_what_cannot_be_written_is_an_error_of_the_system(where, error, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=r"No such|directory"):
        Model([Dense(3)], seed=1).build(2).save(where)
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_errors_in_between_leave_the_old_file(tmp_path, monkeypatch):
    """Wherever they come: while it is written, synced, or put in its place."""
    path = tmp_path / "net.safetensors"
    Model([Dense(3)], seed=1).build(2).save(path)
    before = path.read_bytes()

    def fail(*_):
        raise PermissionError(13, "told to")

    for name in ("fsync", "replace"):
        net = Model([Dense(3)], seed=2).build(2)
        with monkeypatch.context() as patched:
            patched.setattr(os, name, fail)
            with pytest.raises(PermissionError, match="told to"):
                net.save(path)
        assert path.read_bytes() == before
        assert [*tmp_path.iterdir()] == [path]


def test_everything_is_synced_in_the_right_order(tmp_path, monkeypatch):
    """The file before it gets its name, the folder behind that."""
    done = []
    for name in ("fsync", "replace"):
        own = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, own=own, name=name: (done.append(name), own(*given)))
    Model([Dense(3)], seed=1).build(2).save(tmp_path / "net.safetensors")
    assert done == ["fsync", "replace", "fsync"]


def test_links_and_modes_stay(tmp_path):
    path, link = tmp_path / "net.safetensors", tmp_path / "last"
    net = Model([Dense(3)], seed=1).build(2)
    net.save(path)
    path.chmod(0o640)
    link.symlink_to(path)
    Model([Dense(3)], seed=2).build(2).save(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert fastnn.load(path).seed == fastnn.load(str(link)).seed == 2


@pytest.mark.parametrize("path", [3, None, "", b"net"])
def test_a_path_is_a_path(path):
    for use in (Model([Dense(3)], seed=1).save, fastnn.load):
        with pytest.raises(TypeError, match=r"^(save|load): path is .*, expected the name of a file"):
            use(path)


def test_a_text_that_has_no_bytes_is_named(tmp_path):
    net = Model([Dense(2, "softmax")], seed=1).build(2)
    net.class_names = ["no", "y\ud800s"]
    with pytest.raises(ValueError, match=r"^save: the text 'y\\ud800s' has half a character, a lone surrogate: take"):
        net.save(tmp_path / "net.safetensors")
    assert not [*tmp_path.iterdir()]


# Shared by processes

MAPPED = """
import sys
import numpy as np
import fastnn
path, mapped = sys.argv[1], sys.argv[2] == "True"
net = fastnn.load(path, mmap=mapped)
net.predict(np.ones((8, 1000)))
print("ready", flush=True)
sys.stdin.readline()
own = shared = 0
here = False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0]:
        here = path in line
    if here and line.startswith(("Shared_Clean", "Shared_Dirty")):
        shared += int(line.split()[1])
    if here and line.startswith(("Private_Clean", "Private_Dirty")):
        own += int(line.split()[1])
print(own, shared, flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux says which pages are shared")
def test_processes_share_the_pages_of_a_mapped_file_in_a_subprocess(tmp_path):
    path = tmp_path / "net.safetensors"
    Model([Dense(2000), Dense(1)], seed=1).build(1000).save(path)
    size = path.stat().st_size // 1024
    command = [sys.executable, "-c", MAPPED, str(path), "True"]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as one, subprocess.Popen(command, **options) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
            own, shared = map(int, process.stdout.readline().split())
            assert shared >= 0.9 * size, (own, shared, size)
            assert own <= 64
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()


def test_a_mapped_model_copies_its_arrays_before_it_changes_them(tmp_path):
    path = tmp_path / "net.safetensors"
    x = np.random.default_rng(0).normal(size=(30, 4))
    net = Model([Dense(5, "tanh"), Dropout(0.2), Dense(1)], seed=1)
    net.fit(x, x[:, 0], "mse", SGD(0.1, momentum=0.9), epochs=2)
    net.save(path)
    before = path.read_bytes()
    mapped = fastnn.load(path, mmap=True)
    assert not mapped[0].w.flags.writeable
    for use in (
        lambda one: one.predict(x), lambda one: one.evaluate(x, x[:, 0]), lambda one: one.fit(x, x[:, 0], epochs=2),
        lambda one: one[0].w.__setitem__(0, 3.0), lambda one: one.train_batch(x, x[:, 0]),
    ):  # fmt: skip
        use(net)
        use(mapped)
        assert same_bits(net.predict(x), mapped.predict(x))
    assert mapped[0].w.flags.writeable
    assert path.read_bytes() == before
    changed = fastnn.load(path, mmap=True)
    changed[0].w = np.ones((4, 5))
    assert (changed[0].w == 1).all()
    assert path.read_bytes() == before
    fastnn.load(path, mmap=True).save(path)  # over what it reads
    assert path.read_bytes() == before


# In every version


def versions():
    return {int(path.stem.rpartition("_")[2]): path for path in DATA.glob("model_format_*.safetensors")}


def test_there_is_a_file_of_each_version():
    """``python tests/test_written.py`` writes that of a new one."""
    assert {*versions()} == {*range(1, whole_files.VERSION + 1)}


@pytest.mark.parametrize("version", versions())
def test_files_of_all_versions_are_read(version):
    """The same net, with what it gave when the file was written."""
    net = fastnn.load(versions()[version])
    assert repr(net) == "<Model: Dense(4, 'tanh'), BatchNorm(), Dense(2); 3 inputs, 34 parameters, float32>"
    assert repr(net.optimizer) == (
        "Adam(lr=0.05 * (LinearWarmup(steps=2) >> Cosine(steps=20)), groups=[Group('biases', lr_factor=0.5)], "
        "average=EMA(decay=0.9))"
    )
    assert net.feature_names == ("a", "b", "c")
    assert net.class_names == ("no", "yes")
    assert len(net.history.loss) == 3
    outputs = np.frombuffer(bytes.fromhex(net.predict(X_OF_VERSIONS).tobytes().hex()), np.float32)
    np.testing.assert_allclose(outputs, OUTPUTS_OF_VERSIONS, rtol=1e-5)
    net.fit(X_OF_VERSIONS, np.ones((4, 2)), epochs=2)


X_OF_VERSIONS = np.arange(12.0).reshape(4, 3) / 12
OUTPUTS_OF_VERSIONS = json.loads((DATA / "model_format_outputs.json").read_text()) if versions() else []


def write_version():
    """Write the file of this version, and what its net gives."""
    pandas = pytest.importorskip("pandas")
    from fastnn import EMA, BatchNorm, Cosine, Group, LinearWarmup

    net = Model([Dense(4, "tanh"), BatchNorm(), Dense(2)], seed=0)
    rate = 0.05 * (LinearWarmup(steps=2) >> Cosine(steps=20))
    optimizer = Adam(rate, groups=[Group("biases", 0.5)], average=EMA(0.9))
    net.fit(pandas.DataFrame(X_OF_VERSIONS, columns=["a", "b", "c"]), np.ones((4, 2)), "mse", optimizer, 3, 2)
    net.class_names = ["no", "yes"]
    net.save(DATA / f"model_format_{whole_files.VERSION}.safetensors")
    (DATA / "model_format_outputs.json").write_text(json.dumps(net.predict(X_OF_VERSIONS).ravel().tolist()))


# By eye


def test_show_prints_what_a_file_holds(capsys):
    assert main(["show", str(versions()[1])]) == 0
    shown = capsys.readouterr().out
    for text in (
        "a model of fastnn (format 1, by fastnn 0.1.0 with NumPy", "3 inputs, 42 numbers in layers, float32, seed 0",
        "features: a, b, c", "classes: no, yes", "0  Dense(units=4, activation=Tanh())", "  0.w          3 x 4 float32",
        "1  BatchNorm(", "loss: MSE(", "optimizer: Adam(lr=Product(", "groups=[Group(which='biases', lr_factor=0.5)]",
        "  remembers step, ", "history: 3 epochs, loss ", "  it has ended",
    ):  # fmt: skip
        assert text in shown


def test_show_says_what_is_off_where_it_is_on_by_default(tmp_path, capsys):
    layers = [
        Embedding({0: 3}, 2, others=False), Dense(5, bias=False, trainable=False), Dropout(0.0),
        RMSNorm(elementwise_affine=False), LeakyReLU(0.0), Dense(2),
    ]  # fmt: skip
    net = Model(layers, seed=0)
    net.fit(np.zeros((4, 1)), np.zeros((4, 2)), "mse", Adam(0.1, beta1=0.0, clip_norm=2.0), epochs=1, verbose=False)
    net.save(tmp_path / "net.safetensors")
    assert main(["show", str(tmp_path / "net.safetensors")]) == 0
    shown = capsys.readouterr().out
    for text in (
        "others=False)", "1  Dense(units=5, bias=False, trainable=False)\n", "2  Dropout(rate=0.0)\n",
        "elementwise_affine=False)", "4  LeakyReLU(negative_slope=0.0)\n", "5  Dense(units=2)\n",
        "Adam(lr=0.1, beta1=0.0, beta2=0.999, eps=1e-08, transforms=[",
    ):  # fmt: skip
        assert text in shown, (text, shown)


def test_show_knows_no_parts_and_runs_nothing(tmp_path, capsys):
    import custom

    Model([custom.Scale(), Dense(2)], seed=0).save(tmp_path / "net.safetensors")
    assert main(["show", str(tmp_path / "net.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert "0  Scale()" in shown
    assert "not built yet" in shown
    assert "history: none" in shown


def test_show_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("to do")
    for path, message in (
        (tmp_path / "notes.txt", "notes.txt: no model file: it has 5 bytes"),
        (tmp_path / "nothing", "No such file"),
        (tmp_path, "directory"),
    ):
        assert main(["show", str(path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("fastnn: ")
        assert message in error
    with pytest.raises(ModelFormatError, match="no model file"):
        fastnn.load(tmp_path / "notes.txt")


if __name__ == "__main__":
    write_version()
