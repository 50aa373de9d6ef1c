"""The kernels, their types, their twins, the table of cases and the classes list the same operations and arguments."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stubs
from cases import CASES, DTYPES, kernel, random
from completeness import missing, twins
from nets import OPTIMIZERS

import fastnn

pytestmark = pytest.mark.once

DECLARED = stubs.declared()
TESTS, PACKAGE = Path(__file__).parent, Path(fastnn.__file__).parent


def arguments_of(function: object) -> list[tuple[str, object]]:
    return [(name, parameter.default) for name, parameter in inspect.signature(function).parameters.items()]


def test_nothing_is_missing():
    assert missing() == []


# What an operation consists of, as texts of this project: deleting any one of them must be noticed, by name
EDITS = {
    "celu, formula and row": ("kernel", "celu", None),
    "celu, twins": ("fastnn/reference/activations.py", "celu", r"def celu_\w+\(.*?\n\n\n"),
    "celu, twin of backward": ("fastnn/reference/activations.py", "celu_backward", r"def celu_backward\(.*?\n\n\n"),
    "celu, case": ("tests/cases/elementwise.py", "celu", r' *\*activation\("celu".*?\n'),
    "celu, types": ("fastnn/kernels.pyi", "celu", r"    @staticmethod\n    def celu_\w+\(.*?\n"),
    "celu, class": ("fastnn/layers/smooth.py", "CELU", r"class CELU\(.*?\n\n\n"),
    "celu, export": ("fastnn/__init__.py", "CELU", r'    "?CELU"?,\n'),
    "rmsprop, kernel": ("kernel", "rmsprop", None),
    "rmsprop, twin": ("fastnn/reference/optimizers.py", "rmsprop", r"def rmsprop\(.*?\n\n\n"),
    "rmsprop, case": ("tests/cases/optimizers.py", "rmsprop", r" +rmsprop\(\".*?\n"),
    "rmsprop, types": ("fastnn/kernels.pyi", "rmsprop", r"    @staticmethod\n    def rmsprop\(.*?\) -> None: \.\.\.\n"),
    "rmsprop, class": ("fastnn/optimizers/adaptive.py", "RMSprop", r"class RMSprop\(.*?\n\n\n"),
    "rmsprop, name": ("fastnn/optimizers/__init__.py", "rmsprop", r' *"rmsprop": RMSprop,\n'),
    "rmsprop, export": ("fastnn/__init__.py", "RMSprop", r'    "?RMSprop"?,\n'),
}

# As if the sources of the core did not have it
WITHOUT_KERNELS = """
from fastnn import kernels
for build in (kernels.float32, kernels.float64):
    for name in [name for name in vars(build) if name.startswith({word!r})]:
        delattr(build, name)
    build.activations.pop({word!r}, None)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package and the tables of the tests, to be changed."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / "fastnn", ignore=ignored)
    (folder / "tests").mkdir()
    shutil.copytree(TESTS / "cases", folder / "tests" / "cases", ignore=ignored)
    for name in ("stubs.py", "completeness.py"):
        shutil.copy(TESTS / name, folder / "tests" / name)
    return folder


def complaints(folder: Path, before: str = "") -> str:
    script = f"{before}\nfrom completeness import missing\nprint(*missing(), sep='\\n')"
    paths = os.pathsep.join([str(folder / "tests"), str(folder)])
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=folder, env={**os.environ, "PYTHONPATH": paths}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_copy_lacks_nothing_in_a_subprocess(copy):
    assert complaints(copy) == ""


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_deleted_is_named_in_a_subprocess(edit, copy):
    file, word, pattern = EDITS[edit]
    if file == "kernel":
        assert word in complaints(copy, WITHOUT_KERNELS.format(word=word))
        return
    path = copy / file
    text = path.read_text(encoding="utf-8")
    less = re.sub(pattern, "", text, flags=re.DOTALL)
    assert less != text
    path.write_text(less, encoding="utf-8")
    try:
        assert word in complaints(copy)
    finally:
        path.write_text(text, encoding="utf-8")


def test_every_optimizer_is_trained_with():
    trained = {type(make()) for make in OPTIMIZERS.values()}
    assert {*fastnn.optimizers._BY_NAME.values()} - {fastnn.LBFGS} <= trained  # that one: tests/test_lbfgs.py


@pytest.mark.parametrize("name", DECLARED)
def test_arguments(name):
    declared = [
        (argument.name, inspect.Parameter.empty if argument.default is None else eval(argument.default))
        for argument in DECLARED[name].arguments
        if argument.role != "absent"
    ]
    assert arguments_of(twins()[name]) == declared
    for dtype in DTYPES:
        by_name = [argument.name for argument in DECLARED[name].arguments if argument.by_name]
        in_place = len(declared) - len(by_name)
        expected = [*declared[:in_place], ("tape", None), *declared[in_place:]]
        assert arguments_of(kernel(name, dtype)) == expected
        for function in (kernel(name, dtype), twins()[name]):
            parameters = inspect.signature(function).parameters.values()
            assert [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY] == by_name


@pytest.mark.parametrize("name", DECLARED)
def test_docstrings_tell_of_every_argument(name):
    text = kernel(name, DTYPES[0]).__doc__
    assert DECLARED[name].summary in text
    for argument in DECLARED[name].arguments:
        if argument.role != "absent":
            assert f"\n{argument.name} : {argument.type}\n" in text


@pytest.mark.parametrize("case", CASES, ids=str)
def test_arguments_of_cases(case):
    names = list(case.make(3, 7, DTYPES[0], random(3, 7)))
    expected = [name for name, _ in arguments_of(twins()[case.op])]
    assert names == expected[: len(names)]
    written = {argument.name for argument in DECLARED[case.op].arguments if argument.role in ("out", "inout")}
    assert set(case.outputs) <= written


@pytest.mark.parametrize("name", DECLARED)
def test_same_arguments_may_be_none(name):
    parameters = inspect.signature(twins()[name]).parameters
    of_twin = [key for key, value in parameters.items() if "None" in str(value.annotation)]
    declared = [argument.name for argument in DECLARED[name].arguments if "None" in argument.type]
    assert of_twin == declared


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_the_peak_counts_its_operations(dtype):
    peak = getattr(fastnn.kernels, dtype.__name__).fma_peak
    assert peak(0) == 0
    assert peak(3) == 3 * peak(1) > 0
    with pytest.raises(ValueError, match="fma_peak: n is -1"):
        peak(-1)
