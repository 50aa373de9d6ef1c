"""The outputs of layers for any number of rows: a forward pass, recorded once and replayed block by block."""

from __future__ import annotations

import numpy as np

from fastnn._core.tape import Tape
from fastnn.arena import Array
from fastnn.data import copy_into
from fastnn.layer import Chain, Layer
from fastnn.plan import Constants

_BLOCK_BYTES = 256 * 1024  # the activations of a block: they stay in a core's second cache, with room for weights
_LEAST_ROWS = 128  # wider nets get more memory: a block reads all weights, which fewer rows are not worth
_SIZES_KEPT = 8  # recordings of one memory, for changing numbers of rows


class Recorded:
    """A forward pass for a number of rows.

    Attributes
    ----------
    x, y : ndarray of shape (rows, n)
        Where the replay reads the inputs and writes the outputs.
    first : ndarray of shape (n,)
        The first row of y.
    tape : Tape
    """

    def __init__(self, x: Array, y: Array, tape: Tape) -> None:
        self.x, self.y, self.first, self.tape = x, y, y[0], tape


class Block:
    """The memory of a forward pass, and what is recorded over its first rows. One thread may use it at a time."""

    def __init__(self, chain: Chain, rows: int) -> None:
        self._chain, self._work = chain, chain.workspace(rows, train=False)
        self._recorded: dict[int, Recorded] = {}
        self.one = self.recorded(1)

    def recorded(self, rows: int) -> Recorded:
        """Return the forward pass for that many rows."""
        found = self._recorded.pop(rows, None) or self._record(rows)
        self._recorded[rows] = found  # the last used stands last
        if len(self._recorded) > _SIZES_KEPT:
            del self._recorded[next(iter(self._recorded))]
        return found

    def _record(self, rows: int) -> Recorded:
        work, tape = self._work.first(rows), Tape()
        for stage, x, y in zip(self._chain.stages, work.activations, work.activations[1:], strict=False):
            if _is_ours(stage):
                stage._forward(x, y, tape)
            else:  # of code from outside nobody knows what it depends on: it is called
                tape.call(lambda stage=stage, x=x, y=y: stage._forward(x, y, None))  # type: ignore[misc]
        return Recorded(work.activations[0], work.activations[-1], tape)


class Predictor:
    """What computes the outputs of a built chain, from any number of threads at once.

    Each call takes a block out of those that are free, or makes one, and puts it back.
    """

    def __init__(self, chain: Chain) -> None:
        self.dtype = np.dtype(chain.stages[0].dtype.type)  # the one object that most arrays of this dtype have
        self.n_out = chain.stages[-1].n_out
        self.vector, self.matrix = (chain.stages[0].n_in,), (1, chain.stages[0].n_in)  # the two shapes of one row
        bytes_of_row = sum(array.nbytes for array in chain.workspace(1, train=False).activations)
        self.rows = max(_LEAST_ROWS, _BLOCK_BYTES // bytes_of_row)
        self._chain = chain
        self._free: list[Block] = []  # pop and append are one operation each for other threads
        self.constants = Constants(part for part in chain.parts if _is_ours(part))

    def one(self, row: Array, flat: bool) -> Array:
        """Return the outputs for a row of the right dtype and size: (n_out,) where `flat` says so, else (1, n_out)."""
        try:
            block = self._free.pop()
        except IndexError:
            block = Block(self._chain, self.rows)
        recorded = block.one
        recorded.x[...] = row
        recorded.tape.replay()
        y = (recorded.first if flat else recorded.y).copy()
        self._free.append(block)
        return y

    def some(self, x: Array, rows: int | None = None) -> Array:
        """Return the outputs (any, n_out) for x (any, n_in) of any dtype, computed in blocks of so many rows."""
        n = len(x)
        out = np.empty((n, self.n_out), self.dtype)
        if n == 0:
            return out
        rows = min(rows or self.rows, n)
        if rows > self.rows:
            block = Block(self._chain, rows)
        else:
            try:
                block = self._free.pop()
            except IndexError:
                block = Block(self._chain, self.rows)
        for start in range(0, n, rows):
            part = x[start : start + rows]
            recorded = block.recorded(len(part))
            copy_into(recorded.x, part)
            recorded.tape.replay()
            out[start : start + rows] = recorded.y
        if rows <= self.rows:
            self._free.append(block)
        return out


def _is_ours(stage: Layer) -> bool:
    return type(stage)._forward.__module__.startswith("fastnn.")
