"""Data that come piece by piece: what a fit is given in the place of arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from fastnn.checks import count, number_of
from fastnn.tables import Names

BLOCK_BYTES = 64 * 1024 * 1024  # of rows in memory: in them rows are shuffled, and there are two


class Piece(NamedTuple):
    """Some rows that follow each other: what a feed gives.

    Attributes
    ----------
    x, y, weight : array_like or None
        As a person would hand them in.
    where : str
        What errors call the place: a file, and a part of it.
    start : int
        The number of the first row there.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import feeds
    >>> next(feeds.Arrays(np.ones((3, 2)), np.zeros(3)).pieces()).start
    0
    """

    x: Any
    y: Any
    weight: Any
    where: str
    start: int


class Feed(ABC):
    """Data that come piece by piece, and are never all in memory.

    `Model.fit`, `evaluate`, `predict` and ``validation_data`` take one in the place of x (and y): `Batches` of an
    iterable, `Arrays` on disk, `Npy`, `Parquet` and `Arrow` files. The loss over a feed is that over all its rows,
    Σ weight * loss / Σ weight, as of arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, feeds
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(feeds.Arrays(x, x**2), epochs=3)
    >>> net.evaluate(feeds.Arrays(x, x**2)) == net.evaluate(x, x**2)
    True
    """

    has_targets: bool = True
    has_weights: bool = False

    def inputs(self) -> Iterator[Piece]:
        """Yield all data once, of which x alone is looked at."""
        return self.pieces()

    @abstractmethod
    def pieces(self, x: bool = True) -> Iterator[Piece]:
        """Yield all data once, in their order; without x, where only targets and weights are looked at."""


class Blocks(Feed):
    """A feed of known length, of which chunks can be read in any order.

    Its rows are shuffled by blocks: each epoch visits the chunks in a new order, fills a block of memory with them,
    and visits the rows of a block in a new order. While a block trains, a thread reads the next one.

    Results follow from the seed of the model, the number of the fit and the epoch, for any number of threads. Batches
    do not end where blocks do: only the last one of an epoch may be smaller. All rows that are one block stay in
    memory, and a fit has the bits of one with arrays; so it has, without ``shuffle``, for blocks of any size. A layer
    that is fitted to data, `Normalization`, is fitted to one block, of chunks from all over the data; where rows have
    weights, its last digits may differ from those of arrays.

    One of your own is a subclass with ``sizes``, ``n_columns`` and ``chunk(i)``.

    Parameters
    ----------
    block_bytes : int
        How much memory a block of x takes, of which there are two. It has one batch at least.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, feeds
    >>> class Sines(feeds.Blocks):
    ...     sizes, n_columns = [1000] * 50, 1
    ...     def chunk(self, i, x=True):
    ...         t = np.random.default_rng(i).uniform(-3, 3, (1000, 1))
    ...         yield feeds.Piece(t, np.sin(t), None, f"chunk {i}", 0)
    >>> net = Model([Dense(16, "tanh"), Dense(1)], seed=0)
    >>> len(net.fit(Sines(block_bytes=20_000), epochs=2))
    2
    """

    names: Names | None = None  # of the columns of x
    by_row = False  # whether rows are as fast to read in any order: then they are shuffled as in memory

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self.block_bytes = count(f"{type(self).__name__}: block_bytes", block_bytes)

    sizes: Any  # how many rows each chunk has: a sequence of numbers
    n_columns: Any  # how many columns x has

    @abstractmethod
    def chunk(self, i: int, x: bool = True) -> Iterator[Piece]:
        """Yield the rows of a chunk, a few at a time."""

    def some(self, rows: Any) -> Piece:
        """Return these rows: of a feed that is read by row."""
        kind = type(self).__name__
        raise TypeError(
            f"{kind}: by_row is True, and there is no some(rows): define it, to return these rows as a Piece, or leave "
            "by_row False, where chunk(i) reads all rows"
        )

    def reader(self) -> Blocks:
        """Return what reads the same for itself: with files of its own that are open."""
        return copy(self)

    def close(self) -> None:
        """Close what is open: it is opened again when it is read."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(sum(self.sizes))

    def __len__(self) -> int:
        return self.rows

    def pieces(self, x: bool = True) -> Iterator[Piece]:
        reader = self.reader()
        try:
            for i in range(len(self.sizes)):
                yield from reader.chunk(i, x)
        finally:
            reader.close()

    def order(self, shuffle: bool, seed: int, epoch: int) -> Sequence[int]:
        """Return in which order an epoch reads the chunks, or the rows."""
        n = self.rows if self.by_row else len(self.sizes)
        if not shuffle:
            return range(n)
        from fastnn._core.tape import permutation

        return permutation(n, seed, epoch)

    def shuffled(self, order: Sequence[int], at_once: int) -> Iterator[Piece]:
        """Yield all data once, in this order, of rows so many at once."""
        if not self.by_row:
            for i in order:
                yield from self.chunk(i)
            return
        places = np.asarray(order)
        for start in range(0, len(places), at_once):
            yield self.some(places[start : start + at_once])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {number_of(self.rows, 'row')}, {number_of(self.n_columns, 'column')}>"
