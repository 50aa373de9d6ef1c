"""A row of the table of cases: how to make the arguments of a kernel, and how far from its twin it may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

import fastnn
from fastnn import reference

Arguments = dict[str, Any]
Make = Callable[[int, int, type, np.random.Generator], Arguments]
Scale = Callable[[SimpleNamespace], np.ndarray]

DTYPES = (np.float32, np.float64)

# (rows, width): no rows, one number, and widths beside the multiples of a vector of 4, 8 or 16 numbers.
SHAPES = ((0, 5), (1, 1), (1, 19), (3, 7), (3, 130), (17, 33), (64, 10), (64, 16), (1000, 5))

# (batch, n_in, n_out) of matrix products beside the edges of register tiles, panels and blocks.
PRODUCTS = (
    (1, 1, 1), (1, 7, 300), (2, 3, 1), (5, 1, 9), (13, 17, 15), (17, 100, 33), (31, 33, 47), (64, 20, 2),
    (64, 784, 128), (65, 129, 10), (100, 64, 64), (128, 257, 65), (257, 1000, 3), (3, 1030, 520), (200, 300, 700),
    (1, 300, 100), (60, 1024, 200), (520, 700, 700), (5, 2100, 2), (1100, 1, 2), (16400, 3, 5),
    (20, 4, 530), (9, 1, 37), (3000, 241, 340),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One way of calling one kernel.

    Attributes
    ----------
    op : str
        The name of the kernel.
    make : (rows, width, dtype, rng) -> arguments
        All arguments by name and in order. Arrays that are only written to hold NaN (integers: -1).
    outputs : tuple of str
        The arguments that the kernel writes to.
    scale : {output: arguments -> array}
        What the error of an output is relative to: the magnitudes of the terms that it is computed from, times the
        square root of their number where it is a sum over rows or columns. An output that is not named is accurate
        relative to its own magnitude.
    alias : (str, str) or None
        An input and an output that may be the same array.
    kinks : tuple of float
        Where the first or second derivative jumps, as values of ``kink_at``. `make` plants them among its inputs.
    kink_at : arguments -> array
    derivative_of : str
        The kernel whose arguments a, b, ... have the derivatives da, db, ... among the outputs of this one.
    variant : str
        What distinguishes this row from others of the same kernel.
    idle : tuple of str
        Numbers that make no difference in this row.
    """

    op: str
    make: Make
    outputs: tuple[str, ...]
    scale: Mapping[str, Scale] = field(default_factory=dict)
    alias: tuple[str, str] | None = None
    kinks: tuple[float, ...] = ()
    kink_at: Scale = lambda a: a.x
    derivative_of: str = ""
    variant: str = ""
    idle: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.op}[{self.variant}]" if self.variant else self.op

    def kernel(self, dtype: type) -> Callable[..., None]:
        return kernel(self.op, dtype)

    def reference(self) -> Callable[..., None]:
        return getattr(reference, self.op)


def kernel(op: str, dtype: type) -> Callable[..., None]:
    return getattr(getattr(fastnn.kernels, np.dtype(dtype).name), op)


def tolerance(dtype: type) -> float:
    return 1e-12 if dtype is np.float64 else 8 * float(np.finfo(dtype).eps)


def random(rows: int, width: int) -> np.random.Generator:
    """Every test draws from its own numbers, so that one that fails also fails alone."""
    return np.random.default_rng((rows, width))


def copied(arguments: Arguments) -> Arguments:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}


def unset(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    return np.full(shape, -1 if dtype is np.int64 else np.nan, dtype)


def plant(array: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
    """Set every third number of the array to one of the values, in turn."""
    if values:
        places = array.reshape(-1)[::3]
        places[...] = np.resize(values, places.size)
    return array


def shapes_of(case: Case) -> dict[str, tuple[str, ...]]:
    """The symbols of the shapes of all arguments."""
    return {argument.name: argument.shape for argument in case.kernel(np.float64).__self__.declared.arguments}


def arrays(arguments: Arguments) -> Arguments:
    return {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}


def scale_of(case: Case, output: str, before: Arguments, expected: np.ndarray) -> np.ndarray:
    """The scale of an output; scales are functions of the arguments before the call."""
    return case.scale[output](SimpleNamespace(**before)) if output in case.scale else np.abs(expected)


def assert_close(got: np.ndarray, expected: np.ndarray, scale: np.ndarray, dtype: type) -> None:
    """NaN and infinities stand in the same places; finite numbers differ by no more than the tolerance of the dtype."""
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, expected))
    bound = tolerance(dtype) * np.broadcast_to(scale, expected.shape) + 2 * float(np.finfo(dtype).smallest_subnormal)
    with np.errstate(invalid="ignore"):
        excess = np.where(finite & (got != expected), np.abs(got.astype(np.float64) - expected) / bound, 0)
    if excess.size and not excess.max() <= 1:
        at = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)
        raise AssertionError(
            f"at {tuple(map(int, at))}: got {got[at]!r}, expected {expected[at]!r}, "
            f"off by {excess[at]:.3g} times the tolerance"
        )
