"""The C of nets: it compiles without a warning, computes what the library predicts, and no name breaks out of it."""

import ctypes
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import c_programs
import numpy as np
import pytest
from c_programs import C99, CPP, GNU, STRICT, Nets
from custom import OwnSigmoid
from predictions import inputs, net_of, random_net

import fastnn
from fastnn import Add, Bias, Bilinear, Columns, Dense, Model, Parallel, Residual, Sequential, Tanh
from fastnn.formats.c_functions import _SOURCES, functions
from fastnn.formats.c_memory import Memory
from fastnn.formats.c_source import _ACTIVATIONS, comment_text, literal
from fastnn.formats.formulas import FORMULAS
from fastnn.formats.graph import graph_of, inputs_of
from fastnn.kernels import Kernels

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

N_RANDOM = 50  # of each dtype
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
SANITIZERS = ("-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
WAYS = {
    "O3": (C99, "-O3"),
    "fma": (GNU, "-O2", "-march=native"),
    "m32": (C99, "-O1", "-m32"),
    "m32-gnu": (GNU, "-O2", "-m32"),  # registers are wider than numbers, and nothing is rounded in between
    "c++": (CPP, "-O1"),
    "sanitizers": (C99, *SANITIZERS),
}


def has_exact_build():
    """Whether there is a build whose multiply-adds are not fused, as those of the C are not."""
    return platform.machine().lower() in ("x86_64", "amd64") and "baseline" in fastnn.kernels.built


@each_dtype
def test_nets_in_c_compute_what_they_predict(dtype, tmp_path):
    """All layers, and random nets: with the same bits, where no multiply-add is fused."""
    if has_exact_build():
        assert c_programs.in_build("baseline", tmp_path, dtype, N_RANDOM) > 100
    else:
        own = Nets(tmp_path, c_programs.nets(dtype, N_RANDOM))
        own.check(own.outputs("-O0"), exact=False)


@pytest.fixture(scope="module")
def some_nets(tmp_path_factory):
    """A few nets of both dtypes."""
    named = [*c_programs.nets("float32", 4, step=9), *c_programs.nets("float64", 4, step=9)]
    return Nets(tmp_path_factory.mktemp("nets"), named)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_compile_gives_the_same_but_for_rounding(some_nets, way):
    compiler, *flags = WAYS[way]
    if not compiles(compiler, flags):
        pytest.skip(f"{compiler[0]} {' '.join(flags)} does not make programs here")
    if way == "m32-gnu":
        tables = [name for name in some_nets.names if not name.startswith("net")]
        some_nets.check(some_nets.outputs(*flags, compiler=compiler), exact=False, only=tables)
    else:
        some_nets.check(some_nets.outputs(*flags, compiler=compiler), exact=False)


def compiles(compiler, flags):
    """Whether this compiler is there, with the libraries that these flags need."""
    if shutil.which(compiler[0]) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [*compiler, *flags, "-", "-o", f"{folder}/program"]
        if "-x" not in command:
            command[1:1] = ["-x", "c"]
        text = "#include <math.h>\nint main(void) { return 0; }\n"
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.returncode == 0 and subprocess.run([f"{folder}/program"], check=False).returncode == 0


def shared(path, *flags):
    """The library that a file makes."""
    library = path.with_suffix(".so")
    command = [*C99, *STRICT, "-x", "c", *flags, "-shared", "-fPIC", str(path), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def predict(function, x, n_out):
    """What a function of C gives for a row."""
    y = np.full(n_out, np.nan, x.dtype)
    assert function(address(x), address(y)) == 0
    return y


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@each_dtype
def test_every_function_is_the_librarys_own(dtype, tmp_path):
    """On numbers of all sizes, NaN and infinities: with the same bits, or but for rounding where that is fused."""
    rng = np.random.default_rng(0)
    x = np.concatenate([
        rng.normal(size=2000), rng.normal(size=2000) * 10.0 ** rng.integers(-30, 30, 2000), np.linspace(-110, 110, 500),
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-320, 3e38, -3e38, 20.0, -20.0, 0.5, 1.0, -1.0],
    ])  # fmt: skip
    x = x.astype(dtype)
    exact = has_exact_build()
    kernels = Kernels(dtype, "baseline") if exact else getattr(fastnn.kernels, dtype)
    table = kernels.activations
    names = [name for name in FORMULAS if name in table and name != "identity"]
    assert {*table} - {*names} == {"identity", "softmax", "log_softmax", "sparsemax"}
    text, _ = functions({_ACTIVATIONS.get(name, name) for name in names}, dtype == "float64", "f")
    real = "double" if dtype == "float64" else "float"
    lines = ["#include <math.h>", "#include <stddef.h>", "#include <stdint.h>", "#include <string.h>"]
    lines += ["#define F_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))", f"#define F_ROUNDED {real}", text]
    for name in names:
        function = _ACTIVATIONS.get(name, name).removeprefix("real_")
        constants = "".join(f", {literal(value, dtype == 'float64')}" for value in table[name].constants.values())
        lines.append(f"void of_{name}(const {real} *x, {real} *y, size_t n) {{")
        lines.append(f"    for (size_t i = 0; i < n; i++) y[i] = f_{function}(x[i]{constants});\n}}")
    path = tmp_path / "functions.c"
    path.write_text("\n".join(lines) + "\n")
    library = shared(path, "-O2")
    for name in names:
        y, expected = np.empty_like(x), np.empty((1, x.size), dtype)
        getattr(library, f"of_{name}")(address(x), address(y), ctypes.c_size_t(x.size))
        getattr(kernels, f"{name}_forward")(x[None], expected)
        if exact:
            np.testing.assert_array_equal(y, expected[0], err_msg=name)
            there = ~np.isnan(y)
            assert (np.signbit(y) == np.signbit(expected[0]))[there].all(), name
        else:
            limits = np.finfo(dtype)
            np.testing.assert_allclose(y, expected[0], rtol=12 * limits.eps, atol=limits.tiny, err_msg=name)


def test_square_roots_are_rounded_to_nearest(tmp_path):
    text, _ = functions(["square_root"], True, "f")
    path = tmp_path / "root.c"
    head = "".join(f"#include <{name}.h>\n" for name in ("math", "stddef", "stdint", "string"))
    path.write_text(f"{head}{text}\ndouble root(double x);\ndouble root(double x) {{ return f_square_root(x); }}\n")
    root = shared(path, "-O2").root
    root.argtypes, root.restype = [ctypes.c_double], ctypes.c_double
    rng = np.random.default_rng(0)
    x = np.concatenate([
        np.ldexp(rng.uniform(0.5, 1, 5000), rng.integers(-1073, 1024, 5000)), np.arange(300.0) ** 2, [5e-324, 1e-310],
        [np.inf, np.nan, -1.0, -np.inf, np.finfo(float).max, np.finfo(float).tiny, 0.0, np.nextafter(1, 0)],
    ])  # fmt: skip
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal([root(number) for number in x], np.sqrt(x))


# -- memory -----------------------------------------------------------------------------------------------------------


def test_no_value_is_overwritten_before_it_is_read():
    for seed in range(150):
        graph = graph_of(random_net(seed % 40, "float64") if seed < 40 else net_in_branches(seed))
        memory, numbers = Memory(graph), {graph.x.name: 0}
        written = {"memory": np.full(memory.size, -1), "y": np.full(graph.y.n, -1), "x": np.zeros(graph.x.n, int)}
        for i, node in enumerate(graph.nodes, 1):
            for value in inputs_of(node):
                place = memory.places[value.name]
                own = written[place.base][place.start : place.start + value.n]
                assert (own == numbers[value.name]).all(), (seed, node)
                assert own.size == value.n
            if node.y.name in memory.views:
                numbers[node.y.name] = numbers[node.x.name]
                continue
            place, numbers[node.y.name] = memory.places[node.y.name], i
            assert place.base != "x"
            written[place.base][place.start : place.start + node.y.n] = i
        assert (written["y"] == numbers[graph.y.name]).all()


def net_in_branches(seed):
    """Sums, gates and columns of branches inside each other: values that are read late, and in part."""
    rng = np.random.default_rng([3, seed])

    def row(n, depth):
        kind = int(rng.integers(7 if depth else 3))
        if kind == 0:
            return [Tanh()], n
        if kind == 1:
            begin = int(rng.integers(n))
            return [Columns(slice(begin, n)), *([Tanh()] if rng.random() < 0.5 else [])], n - begin
        if kind == 2:
            return [Dense(2 * n), Bilinear()], n
        if kind == 3:
            return [Residual([*row(n, depth - 1)[0], Dense(n)]), Bias()], n
        if kind == 4:
            first, a = row(n, depth - 1)
            then, b = row(a, depth - 1)
            return [*first, *then], b
        parts = [row(n, depth - 1) for _ in range(int(rng.integers(2, 4)))]
        if kind == 5:
            return [Parallel([Sequential(own) for own, _ in parts])], sum(n for _, n in parts)
        return [Add([Sequential([*own, *([] if m == n else [Dense(n)])]) for own, m in parts])], n

    n = int(rng.integers(2, 6))
    return Model(row(n, 3)[0], seed=seed, dtype="float64").build(n)


def test_memory_is_shared_and_what_is_said_is_what_is_taken(tmp_path):
    net = Model([Dense(64, "relu"), *(Dense(64, "relu") for _ in range(5)), Dense(3)], seed=0).build(64)
    net.params = np.random.default_rng(0).normal(size=net.n_parameters)
    footprint = fastnn.to_c(net, tmp_path / "net.c")
    assert footprint.ram == 2 * 64 * 4  # whatever is between two layers
    assert footprint.flash == net.n_parameters * 4
    text = (tmp_path / "net.c").read_text()
    assert f"Flash: {footprint.flash:,} bytes" in text
    assert f"RAM: {footprint.ram} bytes, static" in text
    assert "    static float memory[128];" in text
    compiled = subprocess.run(
        [*C99, "-Os", "-c", str(tmp_path / "net.c"), "-o", str(tmp_path / "net.o")], check=True, capture_output=True
    )
    assert compiled.stderr == b""
    sizes = subprocess.run(["size", "-A", str(tmp_path / "net.o")], check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r"^(\.\w+)\S*\s+(\d+)", sizes, re.MULTILINE))
    assert footprint.flash <= int(found[".rodata"]) <= footprint.flash + 256
    assert footprint.ram <= int(found[".bss"]) <= footprint.ram + 64
    assert int(found.get(".data", 0)) == 0
    fastnn.to_c(net, tmp_path / "stack.c", reentrant=True)
    text = (tmp_path / "stack.c").read_text()
    assert "on the stack" in text
    assert "    float memory[128];" in text


# -- names and texts --------------------------------------------------------------------------------------------------

NASTY = [
    "*/ int main(void) { return 1; } /*", 'a"b', "back\\slash", "trailing\\", "??/", "??/\n#error", "new\nline", "\r#e",
    "// */", "/*", "é✓\u2028\u202e😀", "\x00", "tab\t", "#include <x>", "%s %n", "'", "`", "\ud800", "*" * 3 + "/",
]  # fmt: skip


def test_of_many_layers_those_are_looked_at_whose_values_are_still_read():
    graph = graph_of(Model([Dense(4, "tanh") for _ in range(2000)], seed=0).build(4))
    memory = Memory(graph)
    assert len(memory._living) <= 2
    assert memory.size == 8


def test_no_name_breaks_out_of_a_comment(tmp_path):
    net = Model([Dense(4, "relu"), Dense(len(NASTY), "softmax")], seed=0).build(len(NASTY))
    net._tree.feature_names, net.class_names = tuple(NASTY), [f"{name}y" for name in NASTY]
    path = tmp_path / "net.c"
    fastnn.to_c(net, path)
    text = path.read_bytes()
    assert max(text) < 127
    assert text.count(b"*/") == text.count(b"/*")
    assert re.sub(rb"/\*.*?\*/", b"", text, flags=re.DOTALL).count(b"main") == 0
    for compiler in (C99, CPP):
        if shutil.which(compiler[0]):
            flags = [*STRICT, "-Wtrigraphs", "-c", "-o", str(tmp_path / "net.o")]
            subprocess.run([*compiler, *flags, str(path)], check=True)
    for name in NASTY:
        assert text.count(comment_text(name).encode()) >= 1
    assert comment_text('*?"\\é\n✓😀') == r'"\x2a\x3f\x22\x5c\xe9\x0a\u2713\U0001f600"'
    assert comment_text("km/h (2 %)") == '"km/h (2 %)"'


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1net",
        "a-b",
        "a b",
        "net;",
        "né",
        "int",
        "class",
        "typeof",
        "_Bool",
        "__x",
        "a\n",
        "a*/",
        "restrict",
        "_Net",
    ],
)
def test_names_are_identifiers(name, tmp_path):
    net = Model([Dense(1)], seed=0).build(1)
    with pytest.raises(ValueError, match=r"to_c: name is .*expected an identifier of C such as 'net'"):
        fastnn.to_c(net, tmp_path / "net.c", name=name)
    with pytest.raises(TypeError, match="to_c: name is 5"):
        fastnn.to_c(net, tmp_path / "net.c", name=5)
    assert not list(tmp_path.iterdir())


def test_two_nets_in_one_source(tmp_path):
    """As headers: with the same functions, each under its own name, included twice."""
    x = inputs(1)[0]
    for name in ("first", "SECOND"):
        fastnn.to_c(net_of("MeanOfMembers", "float64"), tmp_path / f"{name}.h", name=name)
    path = tmp_path / "both.c"
    path.write_text("".join(f'#include "{name}.h"\n' for name in ("first", "SECOND", "first")))
    library = shared(path)
    expected = net_of("MeanOfMembers", "float64").predict_one(x)
    for function in (library.first_predict, library.SECOND_predict):
        np.testing.assert_allclose(predict(function, x, expected.size), expected, rtol=1e-14)
        assert function(None, address(x)) == 1
        assert function(address(x), None) == 1


# -- what cannot be written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [fastnn.to_c, fastnn.to_numpy_source])
def test_what_cannot_be_written_is_refused_with_its_layer(to, tmp_path):
    path = tmp_path / "net"
    own = Model([Dense(3), OwnSigmoid()], seed=0).build(2)
    with pytest.raises(TypeError, match="OwnSigmoid 2 is code"):
        to(own, path)
    with pytest.raises(ValueError, match="Model is not built"):
        to(Model([Dense(3)]), path)
    with pytest.raises(TypeError, match="net is 5, expected a model"):
        to(5, path)
    with pytest.raises(TypeError, match="expected a model"):
        to(Dense(3), path)
    with pytest.raises(OSError, match="nowhere"):
        to(Model([Dense(3)], seed=0).build(2), tmp_path / "nowhere" / "net")
    assert not list(tmp_path.iterdir())


def test_fast_math_is_refused(tmp_path):
    """Nothing here is built with it: who compiles an exported net so is told what it breaks."""
    fastnn.to_c(net_of("Dense", "float32"), tmp_path / "net.c")
    command = [*C99, "-ffast-math", "-c", str(tmp_path / "net.c"), "-o", str(tmp_path / "net.o")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode
    assert b"-ffast-math breaks" in done.stderr


def test_what_is_read_is_what_a_net_predicts_with(tmp_path):
    """Averages of weights, and weights that are set later, as of `predict`."""
    net = Model([Dense(3, "tanh")], seed=0, dtype="float64").build(2)
    texts = []
    for factor in (1, 2):
        net[0].w[...] *= factor
        fastnn.to_c(net, tmp_path / "net.c")
        texts.append((tmp_path / "net.c").read_text())
        assert literal(float(net[0].w[1, 2]), True) in texts[-1]
    assert texts[0] != texts[1]


def test_literals_are_exact():
    for value in (0.0, -0.0, 1.0, 0.1, -2.5, 1e-310, 5e-324, 1.7e308, 2.0**-149, 3.4028234663852886e38):
        assert float.fromhex(literal(value, True)) == value
    assert literal(1.5, False) == "0x1.8p+0f"
    assert literal(-0.0, True) == "-0x0p+0"
    assert [literal(value, False) for value in (np.inf, -np.inf, np.nan)] == [
        "(float)INFINITY", "-(float)INFINITY", "(float)NAN",
    ]  # fmt: skip


def test_an_installation_has_the_headers():
    """Those of the core beside it, those of this package among its data."""
    root = Path(__file__).parents[1]
    texts = re.search(r"^TEXTS = \((.*?)\)", (root / "setup.py").read_text(), re.MULTILINE)[1]
    data = (root / "pyproject.toml").read_text()
    assert '"formats/*.h"' in data
    assert {Path(text).name for text in re.findall(r'"(.*?)"', texts)} | {"prediction.h"} == {*_SOURCES}
    assert all((root / "src" / text).exists() for text in re.findall(r'"(.*?)"', texts))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # that a fit has not converged
@each_dtype
def test_perceptrons_of_scikit_learn_give_what_they_predict(dtype, tmp_path):
    sklearn = pytest.importorskip("fastnn.sklearn")
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    labels = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    settings = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (5,)}
    for i, (model, y) in enumerate((
        (sklearn.MLPClassifier(**settings), labels),
        (sklearn.MLPClassifier(**settings, n_ensemble=2), labels > 0),
        (sklearn.MLPRegressor(**settings, loss="poisson"), np.abs(x[:, :2])),
        (sklearn.MLPRegressor(**settings, loss="gaussian_nll", n_ensemble=3), x[:, 0]),
    )):  # fmt: skip
        path = tmp_path / f"net{i}.c"
        fastnn.to_c(model.fit(x, y), path)
        expected = model.predict_proba(x) if hasattr(model, "classes_") else model.predict(x).reshape(len(x), -1)
        function = shared(path).net_predict
        found = np.stack([predict(function, row, expected.shape[1]) for row in x])
        rtol, atol = (2e-5, 1e-7) if dtype == "float32" else (1e-12, 1e-14)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
