"""The memory of one pass over a chain, and what a layer is given of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.arena import Array

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers.chain import Chain


class Arrays(dict[str, Array]):
    """What ``run.scratch`` is: arrays by the names that the build of a layer has declared."""

    def __missing__(self, name: object) -> Array:
        declared = f"which declares {', '.join(map(repr, self))}" if self else "which declares none"
        raise KeyError(f"no scratch {name!r} is declared in build, {declared}: self.scratch(name, shape) does that")


class Scratch:
    """What the layers of a stage have declared for one batch: arrays with a row for each of its rows, and others."""

    __slots__ = ("arrays", "of_rows")

    def __init__(self, arrays: Arrays, of_rows: frozenset[str]) -> None:
        self.arrays, self.of_rows = arrays, of_rows

    def first(self, rows: int) -> Scratch:
        """Return the part that the first rows use."""
        arrays = {name: array[:rows] if name in self.of_rows else array for name, array in self.arrays.items()}
        return Scratch(Arrays(arrays), self.of_rows)


NO_SCRATCH = Scratch(Arrays(), frozenset())


class Pass:
    """The memory of one pass over a chain for some rows.

    Attributes
    ----------
    activations : list of ndarray
        (rows, n) each: the input, or Rows that stand for it, then what each stage puts out.
    gradients : list of ndarray or None
        The gradients of these; None where they are not needed.
    rows : int
    scratch : list of Scratch
        That of each stage.
    inner : list of tuple of Pass
        That of the rows of layers inside each stage.
    """

    __slots__ = ("activations", "gradients", "inner", "nbytes", "rows", "scratch")

    def __init__(
        self,
        rows: int,
        activations: list[Array],
        gradients: list[Array | None],
        scratch: list[Scratch],
        inner: list[tuple[Pass, ...]],
    ) -> None:
        self.rows, self.activations, self.gradients = rows, activations, gradients
        self.scratch, self.inner = scratch, inner
        self.nbytes = 0  # of all of them together, where they were made

    def first(self, rows: int) -> Pass:
        """Return the part of this memory that the first rows use."""
        if rows == self.rows:
            return self

        def part(array: Any) -> Any:
            return None if array is None else array[:rows]

        return Pass(
            rows,
            [*map(part, self.activations)],
            [*map(part, self.gradients)],
            [scratch.first(rows) for scratch in self.scratch],
            [tuple(branch.first(rows) for branch in inner) for inner in self.inner],
        )

    def reading(self, rows: object) -> Pass:
        """Return this memory with an input that is read where it lies: `kernels.Rows`."""
        return Pass(self.rows, [rows, *self.activations[1:]], self.gradients, self.scratch, self.inner)  # type: ignore[list-item]  # kernels take both


class Run:
    """One pass over one stage: where it is recorded, and the memory of this batch.

    Attributes
    ----------
    tape : Tape or None
        For the kernels that the layer calls.
    rows : int
        Of this batch.
    scratch : dict of ndarray
        What the layer has declared, for the rows of this batch.
    trains : bool
        Whether gradients of the layer's own parameters are wanted.
    branches : tuple of Inner
        The rows of layers inside this one, as `Layer.in_branches` says: to be called as they are needed.
    """

    __slots__ = ("branches", "rows", "scratch", "tape", "trains")

    def __init__(
        self, tape: Any, rows: int, scratch: dict[str, Array], trains: bool, branches: tuple[Inner, ...] = ()
    ) -> None:
        self.tape, self.rows, self.scratch, self.trains, self.branches = tape, rows, scratch, trains, branches

    @property
    def inner(self) -> Inner | None:
        """The layers inside, where they are one row."""
        return self.branches[0] if self.branches else None


class Inner:
    """A row of layers inside a stage, during one pass."""

    __slots__ = ("_chain", "_memory", "_tape")

    def __init__(self, chain: Chain, memory: Pass, tape: Tape | None) -> None:
        self._chain, self._memory, self._tape = chain, memory, tape

    def forward(self, x: Array) -> Array:
        """Compute their outputs for x, in a row, and return the array that holds them: it must not be changed."""
        self._memory.activations[0] = x
        self._chain.forward(self._memory, self._tape)
        return self._memory.activations[-1]

    @property
    def dy(self) -> Array | None:
        """Where to write the gradient of these outputs before `backward`: None where nothing needs it."""
        return self._memory.gradients[-1]

    @property
    def dx(self) -> Array | None:
        """Memory of its own for the gradient of x, where one is wanted and another row has written the first."""
        return self._memory.gradients[0]

    def backward(self, dx: Array | None) -> None:
        """Write the gradients of their parameters, and that of x into dx, unless it is None."""
        self._memory.gradients[0] = dx
        self._chain.backward(self._memory, self._tape)
