"""The kernels of the build that fits this processor: ``kernels.float32`` and ``kernels.float64``.

Every kernel has a twin in plain NumPy, with the same name and arguments, in :mod:`fastnn.reference`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

import numpy as np

__all__ = ["Activation", "Rows", "built", "float32", "float64", "guard", "of", "reason", "selected", "supported"]

_FAMILIES = ("activations", "dense", "layers", "losses", "optimizers")  # each a module per instruction set and dtype
# The most capable last, with the modules of each: what the last one has more is in functions of a few of them.
_INSTRUCTION_SETS = {"baseline": "baseline", "avx2": "avx2", "avx512": "avx512", "avx512_bf16": "avx512"}

_FOLDER = os.path.dirname(__file__)  # without pathlib, which takes as long to import as this package

if find_spec("fastnn._core.tape") is None:
    raise ImportError(
        f"fastnn is imported from {_FOLDER}, where its compiled core has not been built. Type `pip install -e .` in "
        f"{os.path.dirname(_FOLDER)} to build it there, or `pip install .` and start Python from another folder."
    )

from fastnn._core.kernel import Activation, Rows, activations_of, guard  # noqa: E402 - what is not built has been said

built = tuple(
    isa
    for isa, modules in _INSTRUCTION_SETS.items()
    if find_spec(f"fastnn._core.{_FAMILIES[0]}_float32_{modules}") is not None
)
supported: tuple[str, ...] = import_module("fastnn._core.cpu").supported()


def _select() -> tuple[str, str]:
    """Return the instruction set to use and why."""
    usable = [isa for isa in built if isa in supported]
    forced = os.environ.get("FASTNN_ISA")
    if forced:
        if forced not in usable:
            raise ImportError(
                f"FASTNN_ISA is {forced!r}, expected one that is built ({', '.join(built)}) and that this processor "
                f"supports ({', '.join(supported)}). Unset it, or choose among: {', '.join(usable)}."
            )
        return forced, "FASTNN_ISA asks for it"
    if not usable:
        raise ImportError(
            f"fastnn is built for {', '.join(built) or 'no instruction set'}, but this processor supports only "
            f"{', '.join(supported)}: install it again, on this machine, without FASTNN_BUILDS"
        )
    return usable[-1], "the most capable that is built and that this processor supports"


selected, reason = _select()


class Kernels:
    """One build: the functions compiled for one dtype and one instruction set, from the modules of all families.

    Parameters
    ----------
    dtype, isa : str

    Attributes
    ----------
    activations : dict
        The table of activations, by name: what their derivatives follow from, their constants, what may be fused.
    """

    def __init__(self, dtype: str, isa: str) -> None:
        self.__name__, modules = f"{dtype}_{isa}", f"{dtype}_{_INSTRUCTION_SETS[isa]}"
        for family in _FAMILIES:
            module = import_module(f"fastnn._core.{family}_{modules}")
            self.__dict__.update((key, value) for key, value in vars(module).items() if callable(value))
        self.activations = activations_of(modules)
        self._bf16_instruction(isa == "avx512_bf16")

    def __reduce__(self) -> str:
        return self.__name__.partition("_")[0]

    def __repr__(self) -> str:
        return f"<kernels {self.__name__}>"


float32 = Kernels("float32", selected)
float64 = Kernels("float64", selected)


def of(dtype):
    """Return the kernels of a dtype, float32 or float64."""
    if dtype == np.float32:
        return float32
    if dtype == np.float64:
        return float64
    raise ValueError(f"there are kernels for float32 and float64, got {dtype}")
