"""Blocks of data that come from a feed: read, checked and put together by a thread, one ahead of what trains."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastnn._core.team import Stop, start_threads, wait_for
from fastnn.arena import Array
from fastnn.arrays import as_weights, copy_into
from fastnn.feeds import Blocks, Piece
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.training.data import Data, read

_SECONDS_BETWEEN_LOOKS = 0.05  # while a thread waits for memory: it looks whether it is still wanted
_ROWS_AT_ONCE = 4096  # that are chosen one by one


class Survey(NamedTuple):
    """What is known of all rows of a feed.

    Attributes
    ----------
    rows : int
        How many there are, without those that weigh nothing.
    per_row : int
        How many weights a row has: 0 where all weigh 1.
    largest, factor : float
        Weights are divided by the one and multiplied by the other, so that they are 1 in the mean.
    """

    rows: int
    per_row: int = 0
    largest: float = 1.0
    factor: float = 1.0


def survey(feed: Blocks, reads: Reads) -> Survey:
    """Go over targets and weights once, where rows do not all weigh 1."""
    loss = reads.loss
    if not feed.has_weights and not loss.may_leave_out and not loss.weighs():
        return Survey(feed.rows)
    rows, size, per_row, largest, total = 0, 0, 1, 0.0, 0.0
    for piece in feed.pieces(x=False):
        found = reads.targets(piece)
        if found is None:
            continue
        target, weights = found
        weights = np.ones((len(target), 1)) if weights is None else weights
        counts = weights.any(axis=1)
        target, weights = target[counts], weights[counts]
        if not len(weights):
            continue
        before, largest = largest, max(largest, float(weights.max()))
        rows, size, per_row = rows + len(weights), size + weights.size, max(per_row, weights.shape[1])
        total = total * before / largest + loss._sum_of_weights(weights / largest, target)
    if not rows:
        raise ValueError("sample_weight is 0 in all rows, expected one above 0 at least: there is nothing to learn")
    if getattr(loss, "reduction", "mean") == "sum":
        return Survey(rows, per_row)
    return Survey(rows, per_row, largest, size / total)


class Reads:
    """What makes data of a training of pieces.

    Parameters
    ----------
    tree : Tree
    loss : Loss
    build : callable
        Builds the net for a number of inputs.
    converted : bool
        Whether x is returned in the dtype of the net.
    """

    def __init__(self, tree: Tree, loss: Loss, build: Callable[[int], None], converted: bool = True) -> None:
        self.tree, self.loss, self._build, self._converted = tree, loss, build, converted
        self.survey = Survey(0)
        self.form: tuple[Any, ...] | None = None  # of the targets of all pieces, once there has been one

    def __call__(self, piece: Piece, known: bool = True) -> Data | None:
        """Return the rows of a piece, checked; None where they weigh nothing."""
        with placed(piece):
            weight = piece.weight
            if known and weight is not None:
                weight = as_weights(weight, len(piece.x), np.dtype(np.float64))
                if not weight.any():
                    return None
            x, target, weight, n = read(
                self.tree, piece.x, piece.y, weight, self.loss, self._build, known, None, self._converted, scaled=False
            )
            if self.form not in (None, self.loss._form):
                raise ValueError(
                    f"y has targets of another kind than the rows before, as {self.loss} reads them: expected labels "
                    "in all rows, or a column for each class"
                )
            self.form = self.loss._form
            if known and self.survey.per_row:
                weight = np.ones((len(x), 1)) if weight is None else weight
                weight = weight / self.survey.largest * self.survey.factor
            return x, target, weight, n

    def targets(self, piece: Piece) -> tuple[Array, Array | None] | None:
        """Return the targets of a piece, and what they weigh, by themselves and with the loss."""
        with placed(piece):
            y, weight, loss, tree = piece.y, None, self.loss, self.tree
            if piece.weight is not None:
                pieces, targets = loss.pieces(y)
                weight = as_weights(piece.weight, len(pieces[0]), np.dtype(np.float64))
                counts = weight.any(axis=1)
                if not counts.any():
                    return None
                y, weight = targets([part[counts] for part in pieces]), weight[counts]
            return loss.read(y, weight, tree.layers[-1].n_out, tree.dtype, known=True)


class placed:
    """Says in errors where the rows of a piece stand."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        piece = self._piece
        if isinstance(error, (ValueError, TypeError)) and error.args and piece.start >= 0:
            text = re.sub(r"\brow (\d+)", lambda found: f"row {int(found[1]) + piece.start}", str(error.args[0]))
            error.args = (f"{piece.where}: {text}" if piece.where else text,)


class Block:
    """Memory for some rows, of which the first are there."""

    def __init__(self, like: Data, room: int, per_row: int) -> None:
        x, target, _, _ = like
        self.x = np.empty((room, *x.shape[1:]), x.dtype)
        self.target = np.empty((room, *target.shape[1:]), target.dtype)
        self.weight = np.empty((room, per_row), x.dtype) if per_row else None
        self.rows = 0

    @property
    def data(self) -> Data:
        """What is there."""
        n, weight = self.rows, self.weight
        return self.x[:n], self.target[:n], None if weight is None else weight[:n], n

    def put(self, at: int, data: Data, start: int, stop: int) -> None:
        """Copy some rows to a place."""
        x, target, weight, _ = data
        n = at + stop - start
        copy_into(self.x[at:n], x[start:stop])
        self.target[at:n] = target[start:stop]
        if self.weight is not None:
            assert weight is not None
            self.weight[at:n] = weight[start:stop]


def room_for(feed: Blocks, rows: int, batch: int, dtype: np.dtype[Any]) -> int:
    """Return how many rows a block has: whole batches of so many, or all rows where these fit into one."""
    fit = max(1, feed.block_bytes // max(1, feed.n_columns * dtype.itemsize))
    return rows if rows <= fit else max(1, fit // batch) * batch


class Stream:
    """The blocks of a feed, epoch after epoch.

    Parameters
    ----------
    feed : Blocks
    reads : Reads
    like : Data
        What they look like.
    room : int
        How many rows a block has.
    order : tuple of bool and int
        Whether rows are shuffled, and the seed of it.

    Attributes
    ----------
    rows : int
        Of an epoch.
    is_whole : bool
        Whether all rows are one block.
    blocks : list of Block
        The memory: one block, or two.
    """

    def __init__(self, feed: Blocks, reads: Reads, like: Data, room: int, order: tuple[bool, int]) -> None:
        self._feed, self._reads, (self._shuffle, self._seed) = feed.reader(), reads, order
        self._room, self.rows = min(room, reads.survey.rows), reads.survey.rows
        self.is_whole = self._room == self.rows
        self.blocks = [Block(like, self._room, reads.survey.per_row) for _ in range(1 if self.is_whole else 2)]
        self._ends: list[Any] = []
        self._stop = Stop()
        self._come: Iterator[Block | None] = iter(())

    def first(self) -> Block:
        """Return a block of rows from all over the data, before `begin`: all rows, where they are one block."""
        shuffle, self._shuffle = self._shuffle, True
        try:
            found = next(self._filled(range(1), iter(self.blocks[:1]).__next__, self._stop))
            assert found is not None
            return found
        finally:
            self._shuffle = shuffle
            self._feed.close()

    def begin(self, first: int, last: int) -> None:
        """Begin to read the epochs from `first` to before `last`."""
        from queue import SimpleQueue

        self.end()
        self._stop = stop = Stop()
        self._free, self._ready = SimpleQueue[Block](), SimpleQueue[Any]()
        for block in self.blocks:
            self._free.put(block)
        self._come = self._filled(range(first, last), partial(_taken, self._free, stop), stop)
        self._ends = start_threads(_hand_over, [(self._come, self._ready.put)])

    def next(self, stop: Stop | None = None) -> Block | None:
        """Return the next block, to be given back; None at the end of an epoch.

        Raises
        ------
        Exception
            What the reading thread has met.
        KeyboardInterrupt
            Where another thread sets `stop`.
        """
        from queue import Empty

        while self._ends:
            try:
                found = self._ready.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except Empty:
                if stop is not None and stop.is_set():
                    raise KeyboardInterrupt from None
                continue
            if isinstance(found, BaseException):
                raise found
            return found  # type: ignore[no-any-return]
        return next(self._come)  # the system has no thread for it

    def give_back(self, block: Block) -> None:
        """Let a block be filled with other rows."""
        self._free.put(block)

    def end(self) -> None:
        """End reading, and close what is open."""
        self._stop.set()
        wait_for(self._ends, self._stop.set)
        self._ends = []
        self._feed.close()

    def _filled(self, epochs: range, take: Callable[[], Block | None], stop: Stop) -> Iterator[Block | None]:
        """Yield filled blocks, and None behind those of an epoch."""
        for epoch in epochs:
            block, at = None, 0
            for data in self._data(epoch):
                x, start = data[0], 0
                while start < len(x):
                    if block is None:
                        block, at = take(), 0
                        if block is None:
                            return
                    end = min(len(x), start + self._room - at)
                    block.put(at, data, start, end)
                    at, start = at + end - start, end
                    if at == self._room:
                        block.rows = at
                        yield block
                        block = None
                if stop.is_set():
                    return
            if block is not None:
                block.rows = at
                yield block
            yield None

    def _data(self, epoch: int) -> Iterator[Data]:
        feed = self._feed
        order = feed.order(self._shuffle and not self.is_whole, self._seed, epoch)  # in a block, rows have their own
        for piece in feed.shuffled(order, _ROWS_AT_ONCE):
            data = self._reads(piece)
            if data is not None:
                yield data


def batches_of(come: Iterable[Data | None], rows: int) -> Iterator[Array]:
    """Yield x of what comes in batches of so many rows, and those that are left: in memory that is written over."""
    batch, at = np.empty((0, 0)), 0
    for data in come:
        x, start = np.empty((0, 0)) if data is None else data[0], 0
        if not batch.size and x.size:
            batch = np.empty((rows, *x.shape[1:]), x.dtype)
        while start < len(x):
            end = min(len(x), start + rows - at)
            batch[at : at + end - start] = x[start:end]
            at, start = at + end - start, end
            if at == rows:
                yield batch
                at = 0
    if at:
        yield batch[:at]


def _taken(free: Any, stop: Stop) -> Block | None:
    """Return free memory as soon as there is some; None where nobody wants it any more."""
    from queue import Empty

    while not stop.is_set():
        with suppress(Empty):
            found: Block = free.get(timeout=_SECONDS_BETWEEN_LOOKS)
            return found
    return None


def _hand_over(come: Iterator[Any], put: Callable[[Any], None]) -> None:
    """Hand over what comes, or the error that ends it: the work of a thread."""
    try:
        for found in come:
            put(found)
    except BaseException as error:
        put(error)
