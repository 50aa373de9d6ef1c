"""What a layer declares: arrays, and what its code allows."""

from __future__ import annotations

from typing import Any, NamedTuple


class Code(NamedTuple):
    """What the kernels of a layer allow: it holds for the code of the class that declares it, and of no subclass's own.

    Attributes
    ----------
    saved : tuple of str
        What ``_backward`` reads of "x" and "y".
    in_place : bool
        y may be x, and dx may be dy.
    fusable : bool
        It may run inside the kernel of the product before it, and its derivative inside the one behind.
    mergeable : bool
        It may be computed inside the loss behind it.
    scales : bool
        It gives each column a factor and an offset, which the product before it may apply.
    multiplies : bool
        It is a product whose kernels can hold an activation (``forward_fused``), and the derivative of one and plain
        SGD's step (``backward_fused``).
    steps : bool
        Where it ``saves_a_pass``, ``backward_step`` takes plain SGD's step in the place of ``_backward``.
    """

    saved: tuple[str, ...] = ("x", "y")
    in_place: bool = False
    fusable: bool = False
    mergeable: bool = False
    scales: bool = False
    multiplies: bool = False
    steps: bool = False


PLAIN = Code()


class Declared:
    """An array that a layer declares, before memory is given to it."""

    __slots__ = ("dtype", "initializer", "kind", "role", "shape")

    def __init__(self, role: str, shape: tuple[Any, ...], initializer: Any, kind: str, dtype: Any) -> None:
        self.role, self.shape, self.initializer, self.kind, self.dtype = role, shape, initializer, kind, dtype
