"""The kernels of the build that fits this processor: ``kernels.float32`` and ``kernels.float64``.

Every kernel has a twin in plain NumPy, with the same name and arguments, in :mod:`fastnn.reference`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

import numpy as np

__all__ = [
    "Activation", "Rows", "bfloat16", "built", "float32", "float64", "guard", "is_wide", "of", "reason", "selected",
    "supported",
]  # fmt: skip

_FAMILIES = ("activations", "dense", "layers", "losses", "optimizers")  # each a module per instruction set and dtype
# The most capable last, with the modules of each: what the last ones have more is in functions of a few of them.
_INSTRUCTION_SETS = {
    "baseline": "baseline", "avx2": "avx2", "avx512": "avx512", "avx512_vnni": "avx512", "avx512_bf16": "avx512",
    "amx_bf16": "avx512",
}  # fmt: skip
_ASKED_FOR = "amx_bf16"  # by FASTNN_ISA alone: its products in bfloat16 have other bits, and no processor has run them
_BF16 = {"avx512_bf16": 1, "amx_bf16": 2}  # what src/gemm/bf16_pack.h calls the instructions of these products

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
_cpu = import_module("fastnn._core.cpu")
supported: tuple[str, ...] = _cpu.supported()
far_reads: str = _cpu.far_reads()
_FAR_READS = ("unknown", "fast", "slow")  # as src/gemm/tile.h counts them, and says what they are


def _select() -> tuple[str, str]:
    """Return the instruction set to use and why."""
    usable = [isa for isa in built if isa in supported]
    forced = os.environ.get("FASTNN_ISA")
    if forced:
        if forced not in usable:
            raise ImportError(
                f"FASTNN_ISA is {forced!r}, expected one that is built ({', '.join(built)}) and that processor and "
                f"system support ({', '.join(supported)}). Unset it, or choose among: {', '.join(usable)}."
            )
        return forced, "FASTNN_ISA asks for it" + (", untested" if forced == _ASKED_FOR else "")
    usable = [isa for isa in usable if isa != _ASKED_FOR]
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
        bf16 = _BF16.get(isa, 0) if dtype == "float32" else 0
        if self._bf16_instruction(bf16) != bf16:
            raise ImportError(
                f"the instruction set is {isa!r}, but the system does not let this process use it: unset FASTNN_ISA"
            )
        self._int8_instruction(isa in ("avx512_vnni", "avx512_bf16", "amx_bf16"))
        self._far_reads(_FAR_READS.index(far_reads))

    def __reduce__(self) -> str:
        return self.__name__.partition("_")[0]

    def __repr__(self) -> str:
        return f"<kernels {self.__name__}>"


WIDE = 32  # rows and columns of weights from which on products in bfloat16 gain, from batches of 32 rows on


def is_wide(n_in, n_out):
    """Whether products with weights (n_in, n_out) are computed in bfloat16 by the kernels that may choose."""
    return n_in >= WIDE and n_out >= WIDE


class Bfloat16Kernels(Kernels):
    """The kernels of float32, whose dense products are of numbers rounded to bfloat16 where weights are wide."""

    def __init__(self, of):
        self.__dict__.update(vars(of), __name__=of.__name__.replace("float32", "bfloat16", 1))
        for name in ("dense_forward", "dense_backward", "dense_sgd"):
            self.__dict__[name] = _of_wide_weights(getattr(of, name))


def _of_wide_weights(kernel):
    def dense(x, w, *others, **named):
        named.setdefault("bf16", is_wide(*w.shape))
        kernel(x, w, *others, **named)

    dense.__name__, dense.__doc__ = kernel.__name__, kernel.__doc__
    return dense


float32 = Kernels("float32", selected)
bfloat16 = Bfloat16Kernels(float32)
float64 = Kernels("float64", selected)


def of(dtype, precision=None):
    """Return the kernels of a dtype, float32 or float64, or those of float32 with products in "bf16"."""
    if precision == "bf16" and dtype == np.float32:
        return bfloat16
    if dtype == np.float32:
        return float32
    if dtype == np.float64:
        return float64
    raise ValueError(f"there are kernels for float32 and float64, got {dtype}")
