"""The outputs of layers for any number of rows: a forward pass, recorded once and replayed block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import threads
from fastnn._core.tape import Inlet, RowsFunction, Tape
from fastnn._core.team import Stop
from fastnn.arena import Array
from fastnn.arrays import copy_into, require_out
from fastnn.layers.chain import Chain
from fastnn.layers.contract import Layer
from fastnn.layers.elements import elements
from fastnn.layers.shadows import follow
from fastnn.layers.tree import Tree, walk
from fastnn.recent import Recent

if TYPE_CHECKING:
    from fastnn.layers.passes import Pass

_BLOCK_BYTES = 256 * 1024  # of activations, and of rows that are copied: they stay in a second cache, beside weights
_TILE_ROWS = 12  # of products: where there are several blocks, each is a whole number of tiles
_LEAST_ROWS = 264  # wider nets get more memory: a block reads all weights, which fewer rows are not worth
_ROWS_OF_THREAD = 132  # fewer are not divided: threads would take longer to start than they save
_FEW_BYTES = 128 * 1024  # of the inputs of few rows, which are copied
_FEW = 64  # rows of any numbers that are predicted in one compiled call: Python takes about as long as a small net
_SIZES_KEPT = 128  # recordings over one memory, for changing numbers of rows: each takes some KB


class Recorded:
    """A forward pass for a number of rows.

    Attributes
    ----------
    x, y : ndarray of shape (rows, n)
        Where it reads the inputs and writes the outputs.
    tape : Tape
    inlet : Inlet or None
        What lets it read other inputs where they lie, if it can.
    """

    def __init__(self, x: Array, y: Array, tape: Tape, inlet: Inlet | None) -> None:
        self.x, self.y, self.tape, self.inlet = x, y, tape, inlet


class Block:
    """The memory of a forward pass, and what is recorded over its first rows. One thread may use it at a time."""

    def __init__(self, chain: Chain, rows: int) -> None:
        self._chain, self._work = chain, chain.memory(rows, train=False)
        self._recorded: Recent[int, Recorded] = Recent(_SIZES_KEPT)
        self._is_ours = bool(chain.stages) and chain.stages[0].is_ours  # others could write to their x

    def recorded(self, rows: int) -> Recorded:
        """Return the forward pass for that many rows."""
        return self._recorded.get(rows) or self._recorded.add(rows, self._record(rows))

    def run(self, x: Array, y: Array, stop: Stop | None) -> None:
        """Write the outputs for some rows into y, unless stopped: a thread's share of many."""
        recorded = self.recorded(len(x))
        if recorded.inlet is not None and x.dtype == recorded.x.dtype and _is_plain(x):
            recorded.inlet.replay(x, stop)  # replays hear Ctrl-C
        else:
            copy_into(recorded.x, x)
            recorded.tape.replay(stop=stop)
        y[...] = recorded.y

    def _record(self, rows: int) -> Recorded:
        work, tape, chain = self._work.first(rows), Tape(), self._chain
        activations, read = work.activations, 0
        for i, stage in enumerate(chain.stages):
            x, y = activations[i], activations[i + 1]
            if stage.is_ours:
                chain.forward_one(work, i, x, y, tape)
            else:  # of code from outside nobody knows what it depends on: it is called
                tape.call(_calling(chain, work, i, x, y))
            if i == 0:
                read = len(tape)
        x, y = activations[0], activations[-1]
        inlet = Inlet(tape, x, read) if self._is_ours else None
        return Recorded(x, y, tape, inlet if inlet is not None and inlet.is_open else None)


def _calling(chain: Chain, work: Pass, i: int, x: Array, y: Array) -> Callable[[], None]:
    """Return what calls a stage; where its layers are shadows, with the attributes that their layers have then."""
    layers = [own for layer in chain.stages[i].layers for own in walk((layer,)) if "_shadow_of" in own.__dict__]

    def call() -> None:
        for layer in layers:
            follow(layer)
        chain.forward_one(work, i, x, y, None)

    return call


class OneBlock:
    """Forward passes for up to so many rows, over memory that is theirs: of few rows, of more, and of one."""

    def __init__(self, chain: Chain, few: int, rows: int) -> None:
        self._chain, self._sizes = chain, (few, rows)
        self._blocks: dict[int, Block] = {}

    def recorded(self, rows: int) -> Recorded:
        """Return the forward pass for that many rows."""
        if rows == 1:  # of its own: memory that lies together is faster
            return Block(self._chain, 1).recorded(1)
        size = self._sizes[rows > self._sizes[0]]
        if size not in self._blocks:
            self._blocks[size] = Block(self._chain, size)
        return self._blocks[size].recorded(rows)


class Predictor:
    """What computes the outputs of a built chain, from any number of threads at once.

    Each call takes memory with what is recorded over it out of what is free, or makes some, and puts it back.

    Attributes
    ----------
    of_rows : callable
        The outputs for few rows, at once, or None where `some` has to compute them (see ``RowsFunction.of``).
    is_apart : callable
        Whether an array surely shares no memory with parameters and states.
    """

    def __init__(self, chain: Chain, tree: Tree, layers: tuple[Layer, ...]) -> None:
        dtype = np.dtype(chain.dtype.type)  # the one object that most arrays of this dtype have
        self._chain, self._dtype, self._n_out = chain, dtype, chain.n_out
        of_x = max(1, chain.n_in * dtype.itemsize)  # which is read where it lies, as a rule, and else is copied
        row = max(of_x, chain.memory(1, train=False).nbytes - of_x)
        self.rows = max(_LEAST_ROWS, _BLOCK_BYTES // row // _TILE_ROWS * _TILE_ROWS)
        self._free: list[Block] = []  # pop and append are one operation each for other threads
        self._is_shareable = chain.is_ours  # others may remember what they saw
        few = max(1, min(_FEW, _FEW_BYTES // of_x))
        recorded, arrays = OneBlock(chain, few, self.rows).recorded, read_beside(tree.layers, layers)
        function = RowsFunction(recorded, few, self.rows, threads.WORTH_STARTING, dtype, tree, arrays)
        self.of_rows, self.is_apart = function.of, function.is_apart

    def some(self, x: Array, rows: int | None = None, n_threads: int | None = None, out: Array | None = None) -> Array:
        """Return the outputs (any, n_out) for x (any, n_in) of any dtype, computed in blocks of so many rows.

        They are a new array, or `out`, which is checked, and shares no memory with x.
        """
        n = len(x)
        if n <= self.rows and rows is None and n_threads is None and x.dtype is self._dtype:
            y = self.of_rows(x, 2, out)
            if y is not None:
                return y
        if out is None:
            out = np.empty((n, self._n_out), self._dtype)
        if n == 0:
            return out
        if not self._is_shareable:
            n_threads = 1
        elif n_threads is None:
            n_threads = threads.worth(self._work(min(rows or self._even_rows(n), n), n))
        rows = min(rows or self._even_rows(n, min(n_threads, -(-n // _ROWS_OF_THREAD))), n)
        n_blocks = -(-n // rows)
        n_threads = min(n_threads, n_blocks)
        starts = iter(range(0, n, rows))  # whose next is one operation for other threads
        stop = Stop() if n_threads > 1 else None

        def work() -> None:
            block = self._take(rows)
            for start in starts:
                block.run(x[start : start + rows], out[start : start + rows], stop)
                if stop is not None and stop.is_set():
                    break
            self._put(block, rows)

        if stop is None:
            work()
        else:
            threads.together(n_threads, work, stop)
        return out

    def _even_rows(self, n: int, least: int = 1) -> int:
        """Return how many rows each block has, of at least so many blocks, if they are some tiles high."""
        rows = -(-n // max(-(-n // self.rows), least))
        return -(-rows // _TILE_ROWS) * _TILE_ROWS

    def _work(self, rows: int, n: int) -> float:
        """Return the work of n rows in blocks of so many (see `Tape.work`)."""
        block = self._take(rows)
        work = block.recorded(rows).tape.work * (n / rows)
        self._put(block, rows)
        return work

    def _take(self, rows: int) -> Block:
        try:
            return self._free.pop() if rows <= self.rows else Block(self._chain, rows)
        except IndexError:
            return Block(self._chain, self.rows)

    def _put(self, block: Block, rows: int) -> None:
        if rows <= self.rows:
            self._free.append(block)


class Predictors:
    """What computes the outputs of the layers of a model: of all, or of all but the last for losses that contain it.

    Attributes
    ----------
    of_rows : callable or None
        That of the predictor of all layers, where there is one.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._layers: tuple[Layer, ...] | None = None
        self.forget()

    def read(self, layers: tuple[Layer, ...] | None) -> None:
        """Compute with these in place of the layers of the model from now on, or with those again."""
        if layers is not self._layers:
            self._layers = layers
            self.forget()

    def forget(self) -> None:
        """Give back the memory of what computes."""
        self.whole: Predictor | None = None
        self._without_last: Predictor | None = None
        self.of_rows: Callable[[Any, int, Any], Array | None] | None = None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those that compute: of the model, or what stands in their place."""
        return self._layers or self._tree.layers

    def require_out(self, out: object, shape: tuple[int, ...]) -> None:
        """Raise an error unless outputs of this shape can be written there."""
        tree = self._tree

        def read() -> Iterator[Array]:
            if self.whole is None or not self.whole.is_apart(out):
                yield from read_beside(tree.layers, self.layers)

        require_out(out, shape, tree.dtype, read())

    def current(self, without_last: bool = False) -> Predictor:
        """Return what computes them."""
        found = self._without_last if without_last else self.whole
        if found is None:
            tree = self._tree
            row = elements(self.layers, predicting=True)
            chain = Chain(row[:-1] if without_last else row, tree.n_in, tree.dtype, predicting=True)
            found = Predictor(chain, tree, self.layers)
            if without_last:
                self._without_last = found
            else:
                self.whole, self.of_rows = found, found.of_rows
        return found


def read_beside(*layers: Sequence[Layer]) -> list[Array]:
    """Return the arrays of layers and of all inside them: what predictions read beside x."""
    all_layers = (layer for row in layers for layer in walk(row))
    return [array for layer in all_layers for array in (*layer.parameters.values(), *layer.states.values())]


def _is_plain(x: Array) -> bool:
    """Whether kernels can read it where it lies."""
    return bool(x.flags.c_contiguous and x.flags.aligned)
