"""What a person hands in as x that is a feed, or is better read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.checks import shown
from fastnn.feeds.arrays import Arrays
from fastnn.feeds.batches import Batches
from fastnn.feeds.contract import BLOCK_BYTES, Feed
from fastnn.tables import is_sparse, table_of

_OF_OTHERS = ("__getitem__", "read", "collect")  # of sequences, open files, and frames that are not computed yet

Given = ArrayLike | Feed | Iterable[Any] | Callable[[], Iterable[Any]]


def feed_of(x: Any, y: Any = None, sample_weight: Any = None) -> Feed | None:
    """Return x as a feed, with y and weights where they are not in it; None where it is data in memory.

    Raises
    ------
    TypeError
        Where y stands beside a feed that has its own.
    """
    if type(x) is np.ndarray:
        return None
    if isinstance(x, Feed):
        if y is not None:
            raise TypeError(f"y is {shown(y)} beside {x!r}, expected None: a feed has its own targets")
        return x
    if is_large(x):
        return Arrays(x, y, sample_weight)
    return Batches(x) if y is None and _gives_batches(x) else None


def inputs_of(x: Any) -> Feed | None:
    """Return what is to be predicted as a feed; None where it is data in memory.

    Batches are what iterators and loaders give: lists are rows, and what else is odd is not taken for batches.
    """
    if isinstance(x, (list, tuple, np.ndarray)):
        return None
    if isinstance(x, Feed) or is_large(x):
        return feed_of(x)
    is_odd = callable(x) or isinstance(x, (set, frozenset)) or any(hasattr(x, name) for name in _OF_OTHERS)
    return None if is_odd or not _gives_batches(x) else Batches(x)


def is_large(x: Any) -> bool:
    """Whether x as an array would be larger than a block, and need not be one: a mapped file, or sparse rows."""
    if isinstance(x, np.memmap):
        return bool(x.nbytes > BLOCK_BYTES) and x.ndim > 1 and x.dtype.kind in "fiub"
    if not is_sparse(x) or len(x.shape) != 2:
        return False
    return bool(int(x.shape[0]) * int(x.shape[1]) * x.dtype.itemsize > BLOCK_BYTES)


def _gives_batches(x: Any) -> bool:
    """Whether x gives batches: an iterator, a function, an iterable that is no array, or a list of tuples of arrays."""
    if isinstance(x, (list, tuple)):
        return (
            bool(x) and all(isinstance(batch, tuple) and len(batch) in (2, 3) for batch in x) and np.ndim(x[0][0]) > 0
        )
    if hasattr(x, "shape") or hasattr(x, "__array__") or isinstance(x, (str, bytes, dict)) or table_of(x) is not None:
        return False
    return callable(x) or isinstance(x, Iterable)
