"""The types of the kernels, written down from their declarations.

    python tests/stubs.py

writes fastnn/kernels.pyi; a test compares the file with what this module would write.
"""

from pathlib import Path

import fastnn
from fastnn import kernels

STUB = Path(fastnn.__file__).with_name("kernels.pyi")
WIDTH = 120

HEAD = '''"""Types of the kernels: ``fastnn.kernels.float32`` and ``fastnn.kernels.float64`` have the same functions.

Written by tests/stubs.py from the declarations of the kernels.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._core.tape import Tape

Real: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Cell: TypeAlias = NDArray[np.float64]
Number: TypeAlias = float | Cell

class Rows:
    array: NDArray[Any]
    index: Labels
    cursor: Labels
    def __init__(self, array: NDArray[Any], index: Labels, cursor: Labels) -> None: ...

class Activation:
    name: str
    constants: dict[str, float]
    bounds: dict[str, list[tuple[str, str]]]
    range: tuple[str, str]
    derivative_from: str
    initializer: str
    elementwise: bool
    fusable: bool

class Kernels:
    """One build: the functions compiled for one dtype and one instruction set."""

    __name__: str
    activations: dict[str, Activation]
'''
TAIL = """
    # no kernel, but the measure of them: runs n blocks of multiply-adds, returns the number of operations
    @staticmethod
    def fma_peak(n: int) -> float: ...

float32: Kernels
bfloat16: Kernels
float64: Kernels
built: tuple[str, ...]
supported: tuple[str, ...]
far_reads: str
selected: str
reason: str
WIDE: int

def is_wide(n_in: int, n_out: int) -> bool: ...
def of(dtype: np.dtype[Any], precision: str | None = None) -> Kernels: ...
def guard(value: Cell, tape: Tape | None = None) -> None: ...
"""
ARRAYS = {
    None: "Real", "int64": "Labels", "float64": "Cell", "int32": "NDArray[np.int32]", "int8": "NDArray[np.int8]",
    "uint16": "NDArray[np.uint16]",
}  # fmt: skip
SCALARS = {"cell": "Number", "flag": "bool", "name": "str"}


def declared() -> dict[str, object]:
    """The declarations of all kernels, in the order of the sources."""
    return {
        name: function.__self__.declared
        for name, function in vars(kernels.float64).items()
        if hasattr(getattr(function, "__self__", None), "declared")
    }


def type_of(argument) -> str:
    kind = SCALARS.get(argument.role, ARRAYS[argument.dtype]) + (" | Rows" if argument.role == "rows" else "")
    is_optional = argument.optional or argument.default == "None"
    default = "" if argument.default is None else f" = {argument.default}"
    return f"{argument.name}: {kind}{' | None' if is_optional else ''}{default}"


def function_of(declaration) -> str:
    visible = [argument for argument in declaration.arguments if argument.role != "absent"]
    arguments = [*(type_of(argument) for argument in visible if not argument.by_name), "tape: Tape | None = None"]
    by_name = [type_of(argument) for argument in visible if argument.by_name]
    arguments += ["*", *by_name] if by_name else []
    for text in (
        f"    def {declaration.name}({', '.join(arguments)}) -> None: ...",
        f"    def {declaration.name}(\n        {', '.join(arguments)}\n    ) -> None: ...",
    ):
        if all(len(line) <= WIDTH for line in text.splitlines()):
            return text
    listed = "".join(f"        {argument},\n" for argument in arguments)
    return f"    def {declaration.name}(\n{listed}    ) -> None: ..."


def text() -> str:
    functions = "".join(f"    @staticmethod\n{function_of(declaration)}\n" for declaration in declared().values())
    return f"{HEAD}\n{functions}{TAIL}"


if __name__ == "__main__":
    STUB.write_text(text(), encoding="utf-8")
