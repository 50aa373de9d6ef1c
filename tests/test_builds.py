"""The builds: each instruction set passes the tests in a process of its own, and what cannot be imported says why."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fastnn

pytestmark = pytest.mark.once

TESTS = Path(__file__).parent
PACKAGE = Path(fastnn.__file__).parent
MODULES = fastnn.kernels._INSTRUCTION_SETS
USABLE = [isa for isa in fastnn.kernels.built if isa in fastnn.kernels.supported]
OTHERS = [isa for isa in USABLE if isa != fastnn.kernels.selected]  # the selected one runs all tests here


def python(*arguments, cwd=TESTS.parent, **environment):
    """Run Python in another process; return its exit code and all that it wrote."""
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def runs():
    """The tests of every other instruction set, all at the same time."""
    names = ("kernels", "accuracy", "gradients", "layers", "training")
    files = [str(TESTS / f"test_{name}.py") for name in (*names, "bf16", "int8", "packed")]
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"]
    started = {
        isa: subprocess.Popen(
            [*command, *(files[-3:] if MODULES[isa] == MODULES[fastnn.kernels.selected] else files)],
            env={**os.environ, "FASTNN_ISA": isa}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for isa in OTHERS
    }  # fmt: skip
    yield started
    for process in started.values():
        with process:
            process.kill()


@pytest.mark.parametrize("isa", OTHERS)
def test_an_instruction_set_passes_in_a_subprocess(isa, runs):
    output = runs[isa].communicate()[0]
    assert runs[isa].returncode == 0, output
    assert f"kernels for {isa}" in output


@pytest.mark.parametrize("isa", USABLE)
def test_an_instruction_set_is_forced_in_a_subprocess(isa):
    show = "from fastnn import *; show_config(); print(kernels.float32.__name__, kernels.float64.__name__)"
    code, output = python("-c", show, FASTNN_ISA=isa)
    assert code == 0, output
    assert f"selected:  {isa} (FASTNN_ISA asks for it" in output
    assert output.splitlines()[-1] == f"float32_{isa} float64_{isa}"


def test_an_unknown_instruction_set_is_an_error_in_a_subprocess():
    code, output = python("-c", "import fastnn", FASTNN_ISA="nonsense")
    assert code != 0
    assert "ImportError: FASTNN_ISA is 'nonsense', expected one that is built" in output
    for isa in fastnn.kernels.built:
        assert isa in output.splitlines()[-1]


def test_without_a_choice_the_most_capable_one_is_selected_in_a_subprocess():
    for environment in ({}, {"FASTNN_ISA": ""}):
        unset = {name: value for name, value in os.environ.items() if name != "FASTNN_ISA"}
        done = subprocess.run(
            [sys.executable, "-c", "import fastnn; print(fastnn.kernels.selected)"],
            env={**unset, **environment}, text=True, capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == [isa for isa in USABLE if isa != "amx_bf16"][-1]


def test_sources_that_are_not_built_say_what_to_type_in_a_subprocess(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "fastnn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    code, output = python("-c", "import fastnn", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert code != 0
    error = output.splitlines()[-1]
    assert f"ImportError: fastnn is imported from {tmp_path / 'fastnn'}, where its compiled core has not been" in error
    assert f"Type `pip install -e .` in {tmp_path}" in error


def test_a_broken_build_is_not_passed_over_in_a_subprocess(tmp_path):
    """A module that is there and cannot be loaded is an error, and no reason to take a slower one."""
    shutil.copytree(PACKAGE, tmp_path / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (tmp_path / "fastnn" / "_core").glob(f"dense_float32_{MODULES[fastnn.kernels.selected]}.*"):
        module.write_bytes(b"no library")
    environment = {"PYTHONPATH": str(tmp_path), "FASTNN_ISA": fastnn.kernels.selected}
    code, output = python("-c", "import fastnn", cwd=tmp_path, **environment)
    assert code != 0
    assert "ImportError" in output
    assert f"dense_float32_{MODULES[fastnn.kernels.selected]}" in output


def test_importing_needs_numpy_alone_in_a_subprocess():
    heavy = ("matplotlib", "mpmath", "pandas", "polars", "scipy", "sklearn", "tqdm", "Cython", "setuptools")
    code, output = python("-c", f"import fastnn, sys; print([name for name in {heavy} if name in sys.modules])")
    assert (code, output.strip()) == (0, "[]")


def test_importing_leaves_floating_point_as_it_was_in_a_subprocess():
    """No flag of the build may make small numbers zero in the whole process."""
    code, output = python("-c", "import fastnn, numpy; print(numpy.float64(5e-324) * 1 > 0, 5e-324 / 2 * 2)")
    assert (code, output.strip()) == (0, "True 0.0")
    code, output = python("-c", "import fastnn; print(2.0**-1060 / 2 == 2.0**-1061 != 0)")
    assert (code, output.strip()) == (0, "True")


def test_modules_and_kernels_have_names_of_their_own():
    """The C of a family is compiled to several modules, and knows the name of none."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("fastnn._core.")}
    assert {name: (module.__name__, module.__spec__.name) for name, module in loaded.items()} == {
        name: (name, name) for name in loaded
    }
    for module in (fastnn.kernels.float32, fastnn.kernels.float64):
        assert module.exp.__module__ in loaded
        assert module.exp is loaded[module.exp.__module__].exp


@pytest.fixture
def cached_build(tmp_path, monkeypatch):
    """The part of the build that keeps what has been made, with a cache of its own."""
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("cached_build", TESTS.parent / "src" / "build" / "cached_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    return module


def test_objects_are_found_by_all_that_shapes_them(cached_build):
    key = cached_build.object_key
    command = ["gcc", "-O3", "-Isrc", "-DFASTNN_DOUBLE=1"]
    first = key(b"gcc 12", command, b"int one = 1;")
    assert first == key(b"gcc 12", command, b"int one = 1;")
    assert first == key(b"gcc 12", ["gcc", "-O3", "-Ianother"], b"int one = 1;")  # what was read shows their effect
    assert first != key(b"gcc 13", command, b"int one = 1;")
    assert first != key(b"gcc 12", command, b"int one = 2;")
    assert first != key(b"gcc 12", [*command, "-march=x86-64-v3"], b"int one = 1;")
    assert first != key(b"gcc 12", ["clang", *command[1:]], b"int one = 1;")


def test_a_text_is_the_same_in_whichever_lines_it_stands(cached_build):
    text = cached_build.without_lines
    first = text(b'# 0 "a.c"\n# 1 "a.h" 1\nint one;\n\n# 2 "a.c" 2\nint two;\n')
    assert first == text(b'# 0 "a.c"\n# 1 "a.h" 1\n\n\nint one;\n# 9 "a.c" 2\n\n\n\nint two;\n')
    assert first == text(b'# 0 "a.c"\n# 1 "b.h" 1\nint one;\n# 2 "a.c" 2\nint two;\n')
    assert first != text(b'# 0 "a.c"\n# 1 "a.h" 1\nint one;\n\n# 2 "a.c" 2\nint three;\n')
    assert first != text(b'# 0 "a.c"\n# 1 "a.h" 1\nint one; int two;\n')


def test_the_compiler_is_asked_anew_what_it_reads_where_a_file_has_changed(cached_build, tmp_path):
    source, header, made = tmp_path / "a.c", tmp_path / "a.h", tmp_path / "a.json"
    source.write_text('#include "a.h"\n')
    header.write_text("int one;\n")
    preprocessed = f'# 0 "{source}"\n# 0 "<built-in>"\n# 1 "{header}" 1\nint one;\n'.encode()
    read = cached_build.Read(made, cached_build.digest_of)
    assert read.key() is None
    read.remember("first", preprocessed)
    assert read.key() == "first"
    for changed in (source, header):
        content = changed.read_text()
        changed.write_text(content + "int two;\n")
        assert read.key() is None
        changed.unlink()
        assert read.key() is None
        changed.write_text(content)
        assert read.key() == "first"
    read.remember("second", preprocessed)
    assert read.key() == "second"
    made.write_text("half a li")
    assert read.key() is None
    read.remember("third", preprocessed.replace(b"a.h", b"lost.h"))  # read, and gone since
    assert read.key() is None


def test_what_is_in_the_cache_is_not_made_again(cached_build):
    made = []

    def make(path):
        made.append(path.name)
        path.write_text(str(len(made)))

    paths = [cached_build.cached("dense", ".o", key, make) for key in ("a", "b", "a")]
    assert made == ["dense.o", "dense.o"]
    assert [path.read_text() for path in paths] == ["1", "2", "1"]


def test_what_fails_leaves_nothing_in_the_cache(cached_build):
    def fail(path):
        path.write_text("half of it")
        raise RuntimeError("no more space")

    with pytest.raises(RuntimeError, match="no more space"):
        cached_build.cached("dense", ".o", "a", fail)
    assert not list(cached_build.CACHE.iterdir())


def test_the_cache_keeps_what_was_used_last(cached_build):
    for number in range(cached_build.KEPT + 3):
        path = cached_build.cached("dense", ".o", f"key{number}", lambda path: path.write_text(""))
        cached_build.cached("dense.tile", ".o", "other", lambda path: path.write_text(""))
        os.utime(path, (number, number))
    cached_build.cached("dense", ".o", "key3", lambda path: path.write_text(""))  # used now
    for number in range(cached_build.KEPT - 1):
        path = cached_build.cached("dense", ".o", f"later{number}", lambda path: path.write_text(""))
    left = {path.name for path in cached_build.CACHE.iterdir()}
    assert len(left) == cached_build.KEPT + 1
    assert {"dense-key3.o", "dense.tile-other.o"} <= left


def test_a_compiler_is_known_behind_another_program(cached_build):
    compiler = ["gcc", f"-I{sysconfig.get_path('include')}"]
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    assert cached_build.identify(["env", *compiler]) == cached_build.identify(compiler)


def test_a_missing_compiler_says_what_to_install(cached_build):
    with pytest.raises(Exception, match=r"`no-compiler` is not found.*apt install gcc python3-dev"):
        cached_build.identify(["no-compiler"])


def test_an_unknown_build_is_an_error_in_a_subprocess():
    pytest.importorskip("setuptools")
    code, output = python("setup.py", "--version", FASTNN_BUILDS="avx2,nonsense")
    assert code != 0
    assert output.splitlines()[-1].startswith("error: FASTNN_BUILDS is avx2,nonsense, expected some of baseline")


@pytest.mark.parametrize("compiler", list(filter(shutil.which, ("gcc", "clang", "clang-14"))))
def test_flags_that_a_compiler_does_not_know_are_found(compiler, cached_build):
    others = set() if compiler == "gcc" else {"-fno-thread-jumps", "-fvect-cost-model=dynamic"}
    known = {"-fno-math-errno", "-ffp-contract=off", "-O3", "-fno-align-jumps", "--param=inline-min-speedup=15"}
    others |= {"-fno-such-thing", "-Wa,-mno-such-thing"}  # also to the assembler alone
    for command in ([compiler], ["env", compiler]):  # also behind another program, as `ccache gcc` is
        assert cached_build.unknown_to(command, {*known, *others}) == others
