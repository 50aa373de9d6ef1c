"""The kernels, their types, their reference and the table of cases list the same functions with the same arguments."""

import ast
import inspect
from pathlib import Path

import pytest
from cases import CASES, DTYPES, kernel, random

import fastnn
from fastnn import reference

STUB = Path(fastnn.__file__).with_name("kernels.pyi")
NO_KERNELS = {"fma_peak"}  # measures the processor: there is nothing to compare it with


def signature_of(function: ast.FunctionDef) -> list[tuple[str, object]]:
    """Names and defaults of the arguments; `inspect.Parameter.empty` stands for no default."""
    names = [argument.arg for argument in function.args.args]
    defaults = [ast.literal_eval(default) for default in function.args.defaults]
    return list(zip(names, [inspect.Parameter.empty] * (len(names) - len(defaults)) + defaults, strict=True))


def stubs() -> dict[str, ast.FunctionDef]:
    (kernels,) = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ClassDef)]
    functions = [node for node in kernels.body if isinstance(node, ast.FunctionDef)]
    listed = {function.name: function for function in functions if not function.name.startswith("_")}
    assert set(listed) >= NO_KERNELS
    return {name: function for name, function in listed.items() if name not in NO_KERNELS}


def references() -> dict[str, object]:
    functions = inspect.getmembers(reference, inspect.isfunction)
    return {name: function for name, function in functions if not name.startswith("_")}


def arguments_of(function: object) -> list[tuple[str, object]]:
    return [(name, parameter.default) for name, parameter in inspect.signature(function).parameters.items()]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_kernels_are_those_of_the_stub(dtype):
    functions = inspect.getmembers(getattr(fastnn.kernels, dtype.__name__), inspect.isroutine)
    assert {name for name, _ in functions if not name.startswith("_")} == set(stubs()) | NO_KERNELS


def test_references_are_those_of_the_stub():
    assert set(references()) == set(stubs())


def test_cases_are_those_of_the_stub():
    assert {case.op for case in CASES} == set(stubs())


@pytest.mark.parametrize("name", stubs())
def test_arguments(name):
    stub = signature_of(stubs()[name])
    assert stub[-1] == ("tape", None)
    assert arguments_of(references()[name]) == stub[:-1]
    for dtype in DTYPES:
        assert arguments_of(kernel(name, dtype)) == stub


@pytest.mark.parametrize("case", CASES, ids=str)
def test_arguments_of_cases(case):
    names = list(case.make(3, 7, DTYPES[0], random(3, 7)))
    expected = [name for name, _ in arguments_of(references()[case.op])]
    assert names == expected[: len(names)]
    assert set(case.outputs) <= set(names)


@pytest.mark.parametrize("name", stubs())
def test_same_arguments_may_be_none(name):
    in_stub = [argument.arg for argument in stubs()[name].args.args if "None" in ast.unparse(argument.annotation)]
    parameters = inspect.signature(references()[name]).parameters
    assert [*[key for key, value in parameters.items() if "None" in str(value.annotation)], "tape"] == in_stub


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_the_peak_counts_its_operations(dtype):
    peak = getattr(fastnn.kernels, dtype.__name__).fma_peak
    assert peak(0) == 0
    assert peak(3) == 3 * peak(1) > 0
    with pytest.raises(ValueError, match="fma_peak: n is -1"):
        peak(-1)
