"""Layers to which columns are not alike: some are chosen, some hold codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from math import pow
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.checks import count, flag, shown
from fastnn.initializers import get as get_initializer
from fastnn.layers.declarations import Code
from fastnn.layers.inputs import CODE, UNREAD, ColumnLayer, Kinds, require_column
from fastnn.layers.passes import Run
from fastnn.settable import Initializer
from fastnn.tables import Names

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value

_MOST_CODES = 2**24 - 1  # float32 holds whole numbers up to there
_LARGE = 2**16  # numbers in tables: a pass over fewer takes as long as to look for the codes of a batch
_MOST_SIZE = 600  # of a vector by default


class Columns(ColumnLayer):
    """y[:, j] = x[:, columns[j]]: the columns that are chosen, in this order; one that is chosen twice stands twice.

    It begins a branch that reads some columns alone. What is not chosen may hold anything that is finite, or NaN, and
    its gradient is 0; the gradients of what is chosen twice are added.

    Parameters
    ----------
    *columns : int, slice or str
        Numbers of columns, negative ones from the end, slices of them, or names of a data frame's columns.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Columns
    >>> Columns(0, slice(2, 4)).forward(np.array([[10.0, 11.0, 12.0, 13.0, 14.0]]))
    array([[10., 12., 13.]])
    """

    code = Code(saved=())
    _index: NDArray[np.int64]

    def __init__(self, *columns: int | slice | str) -> None:
        super().__init__()
        if len(columns) == 1 and isinstance(columns[0], (list, tuple)):
            columns = tuple(columns[0])
        if not columns:
            raise ValueError("Columns: got no columns, expected some, as in Columns(0, 3, slice(5, 9))")
        for column in columns:
            require_column("Columns: got", column, slices=True)
        self._columns = columns

    @property
    def columns(self) -> tuple[int | slice | str, ...]:
        """What is chosen, as given."""
        return self._columns

    def build(self, n_in: int) -> int:
        index = self.places(self._columns, n_in)
        if not index:
            raise ValueError(f"{self.title}: {self!r} chooses none of {n_in} columns")
        self._index = np.array(index, np.int64)
        return len(index)

    def names_behind(self, names: Names) -> Names:
        return tuple(names[i] for i in self.places(self._columns, len(names)))

    def kinds(self, behind: Kinds) -> Kinds:
        found = [UNREAD] * self.n_in
        for kind, i in zip(behind, self._index.tolist(), strict=True):
            found[i] = min(found[i], kind)
        return found

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.columns_forward(x, self._index, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.columns(x, self._index)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.columns_backward(dy, self._index, dx, run.tape)

    def __repr__(self) -> str:
        return f"Columns({', '.join(map(repr, self._columns))})"


class Coded(ColumnLayer):
    """Columns of codes that become several numbers each, and behind them the others as they are.

    Attributes
    ----------
    columns : int or dict
        As given.
    others : bool
    """

    code = Code(saved=("x",))
    gives = "numbers"
    columns: int | dict[int | str, int]
    others: bool
    _coded: tuple[tuple[int, int, int], ...]  # of each column of codes its place, how many there are, what they become
    _others: NDArray[np.int64]

    def _take(self, columns: Any, others: Any) -> None:
        """Check what all layers of codes are made with."""
        name = type(self).__name__
        if isinstance(columns, Mapping):
            if not columns:
                raise ValueError(f"{name}: columns is empty, expected one at least, as in {name}({{0: 12}})")
            for column, n in columns.items():
                require_column(f"{name}: columns has", column)
                count(f"{name}: the number of codes of column {column!r}", n, 1, _MOST_CODES)
            self.columns = {column: int(n) for column, n in columns.items()}
        elif isinstance(columns, (int, float, np.number)) and not isinstance(columns, bool):
            self.columns = count(f"{name}: the number of codes", columns, 1, _MOST_CODES)
        else:
            raise TypeError(
                f"{name}: columns is {shown(columns)}, expected the number of codes of each column, as in "
                f"{name}({{0: 12, 'city': 7}}), or one for all columns"
            )
        self.others = flag(f"{name}: others", others)

    @abstractmethod
    def width(self, column: int | str, n: int) -> int:
        """Return how many numbers a column of so many codes becomes."""

    def build(self, n_in: int) -> int:
        found: dict[int, tuple[int, int, int]] = {}
        of_all = self.columns
        columns: Mapping[Any, int] = dict.fromkeys(range(n_in), of_all) if isinstance(of_all, int) else of_all
        for column, n in columns.items():
            place = self.place(column, n_in)
            if place in found:
                raise ValueError(f"{self.title}: {self.name_of(place)} is named twice in {self.columns}")
            found[place] = place, n, self.width(column, n)
        self._coded = tuple(found.values())
        others = [i for i in range(n_in) if i not in found] if self.others else []
        self._others = np.array(others, np.int64)
        return sum(width for _, _, width in self._coded) + len(others)

    def names_behind(self, names: Names) -> Names:
        of_all, n = self.columns, len(names)
        columns: Mapping[Any, int] = dict.fromkeys(range(n), of_all) if isinstance(of_all, int) else of_all
        places = [self.place(column, n) for column in columns]
        found = []
        for place, (column, n_codes) in zip(places, columns.items(), strict=True):
            found += [f"{names[place]}[{i}]" for i in range(self.width(column, n_codes))]
        return (*found, *(name for i, name in enumerate(names) if self.others and i not in places))

    def kinds(self, behind: Kinds) -> Kinds:
        found = [UNREAD] * self.n_in
        for place, _, _ in self._coded:
            found[place] = CODE
        for i, kind in zip(self._others.tolist(), behind[self.n_out - self._others.size :], strict=True):
            found[i] = kind
        return found

    def _beside_others(self, coded: list[Value], x: Value, to: Graph) -> Value:
        """Add what stands behind columns of codes."""
        return to.concat([*coded, to.columns(x, self._others)] if self._others.size else coded)

    def _parts(self, x: Array, y: Array) -> list[tuple[int, Array, Array]]:
        """Return of each column of codes the place, what is in it, and what it becomes."""
        parts, at = [], 0
        for place, _, width in self._coded:
            parts.append((place, x[:, place : place + 1], y[:, at : at + width]))
            at += width
        return parts

    def _pass_others(self, x: Array, y: Array, run: Run) -> None:
        if self._others.size:
            self.kernels.columns_forward(x, self._others, y[:, self.n_out - self._others.size :], run.tape)

    def _backward_others(self, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:  # 0 for codes
            self.kernels.columns_backward(dy[:, self.n_out - self._others.size :], self._others, dx, run.tape)


class OneHot(Coded):
    """y = 1 in the column of the code that x holds, 0 in the others; the columns of numbers follow, unchanged.

    A code is a whole number from 0. What is none (negative, NaN, not below the number of codes; in an array that is
    only predicted for, a fraction, too) is unseen: all its columns are 0, or it has one of its own.

    Parameters
    ----------
    columns : dict or int
        The number of codes of each column that holds some, by the number or, where the net is trained on a data frame,
        the name of the column. A number alone is for every column.
    unseen_column : bool
        Whether a last column of each is 1 where the code is unseen.
    others : bool
        Whether the columns that hold no codes follow.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import OneHot
    >>> OneHot({1: 3}).forward(np.array([[0.5, 2], [0.7, 0], [0.9, -1]]))
    array([[0. , 0. , 1. , 0.5],
           [1. , 0. , 0. , 0.7],
           [0. , 0. , 0. , 0.9]])
    """

    def __init__(
        self, columns: Mapping[int | str, int] | int, *, unseen_column: bool = False, others: bool = True
    ) -> None:
        super().__init__()
        self._take(columns, others)
        self.unseen_column = flag("OneHot: unseen_column", unseen_column)

    def width(self, column: int | str, n: int) -> int:
        return n + self.unseen_column

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        for _, codes, part in self._parts(x, y):
            self.kernels.one_hot_forward(codes, part, self.unseen_column, run.tape)
        self._pass_others(x, y, run)

    def _graph(self, x: Value, to: Graph) -> Value:
        coded = [to.one_hot(x, place, n, self.unseen_column) for place, n, _ in self._coded]
        return self._beside_others(coded, x, to)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        self._backward_others(dy, dx, run)


class Embedding(Coded):
    """y = table[x] for columns of codes, a table for each, side by side; the columns of numbers follow, unchanged.

    A code is a whole number from 0 to k - 1, where k is the number of codes of its column, and stands for that row of
    the table, a vector that is trained (Guo & Berkhahn 2016). The table has k + 1 rows: the last one, ``table[-1]``, is
    that of whatever is no code, unseen or missing: negative (pandas writes -1 for a missing category), NaN, or k and
    above. It begins at 0, and is trained where such rows occur. A fraction is an error in data that are checked, those
    of `fit`, `train_batch`, `evaluate` and of data frames; in an array that is only predicted for, it is unseen.

    The gradient of a row that does not occur in a batch is exactly 0. The optimizer's step is that of all parameters,
    as in Keras, and in PyTorch with ``sparse=False``: momentum goes on moving rows that occurred before, weight decay
    moves all, and a step takes time for the whole table. Plain SGD in `fit` changes the rows that occur alone, with the
    same result (docs/performance.md says what that saves).

    Parameters
    ----------
    columns : dict or int
        The number of codes k of each column that holds some, at most 16,777,215, by the number or, where the net is
        trained on a data frame, the name of the column. A number alone is for every column: a table each, where PyTorch
        and Keras have one for all.
    size : int, dict or None
        How many numbers a code becomes, of all columns or of each. None is min(600, round(1.6 * (k + 1)**0.56)), the
        rule of fastai.
    initializer : str, callable or None
        Of the rows of codes. None draws them from N(0, 1), as PyTorch does; Keras's is "uniform".
    others : bool
        Whether the columns that hold no codes follow.
    trainable : bool
        As of every layer: False freezes the tables.

    Attributes
    ----------
    tables : dict of ndarray of shape (k + 1, size)
        By column, as given. They are parameters, "weights" to an optimizer's groups: that of column 3 is ``table_3``,
        its gradient ``dtable_3``. Vectors that were trained elsewhere are written into them once it is built:
        ``layer.tables[3][:-1] = vectors``.

    Examples
    --------
    Two columns of codes, 0 and 2, beside two of numbers:

    >>> import numpy as np
    >>> from fastnn import Dense, Embedding, Model
    >>> x = np.array([[3, 0.5, 0, -1.2], [11, 0.1, np.nan, 0.4], [0, 0.7, 6, 0.3]])
    >>> net = Model([Embedding({0: 12, 2: 7}, size={0: 4, 2: 3}), Dense(8, "relu"), Dense(1)], seed=0)
    >>> history = net.fit(x, [1.0, 0.0, 2.0], epochs=10)
    >>> net[0].tables[0].shape, net[0].n_out
    ((13, 4), 9)
    """

    code = Code(saved=("x",), steps=True)
    size: int | dict[int | str, int] | None

    def __init__(
        self,
        columns: Mapping[int | str, int] | int,
        size: int | Mapping[int | str, int] | None = None,
        *,
        initializer: str | Initializer | None = None,
        others: bool = True,
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self._take(columns, others)
        if isinstance(size, Mapping):
            known = self.columns if isinstance(self.columns, dict) else {}
            if size.keys() != known.keys():
                expected = f"those of codes, {list(known)}" if known else "a number"
                raise ValueError(f"Embedding: size has the columns {list(size)}, expected {expected}")
            self.size = {column: count(f"Embedding: size of column {column!r}", n) for column, n in size.items()}
        else:
            self.size = None if size is None else count("Embedding: size", size)
        self.initializer = None if initializer is None else get_initializer(initializer, "Embedding: initializer")

    def width(self, column: int | str, n: int) -> int:
        if self.size is None:
            return min(_MOST_SIZE, round(1.6 * pow(float(n + 1), 0.56)))
        size = self.size
        return size if isinstance(size, int) else size[column]

    def build(self, n_in: int) -> int:
        n_out = super().build(n_in)
        for place, n, width in self._coded:
            self.parameter(f"table_{place}", (n + 1, width), partial(_table, self.initializer))
        return n_out

    @property
    def saves_a_pass(self) -> bool:
        """Whether plain SGD takes its step sooner code by code than by a pass over the tables."""
        return sum(n * width for _, n, width in self._coded) >= _LARGE

    @property
    def tables(self) -> dict[int | str, Array]:
        """The tables by column, as given: empty until it is built."""
        if not self.n_in:
            return {}
        given: Sequence[int | str] = (
            list(self.columns) if isinstance(self.columns, dict) else [place for place, _, _ in self._coded]
        )
        return {
            column: self.__dict__[f"table_{place}"] for column, (place, _, _) in zip(given, self._coded, strict=True)
        }

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        for place, codes, part in self._parts(x, y):
            self.kernels.embedding_forward(codes, self.__dict__[f"table_{place}"], part, run.tape)
        self._pass_others(x, y, run)

    def _graph(self, x: Value, to: Graph) -> Value:
        coded = [to.embedding(x, place, self.__dict__[f"table_{place}"]) for place, _, _ in self._coded]
        return self._beside_others(coded, x, to)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if run.trains:
            for place, codes, part in self._parts(x, dy):
                self.kernels.embedding_backward(codes, part, self._gradients[f"table_{place}"], run.tape)
        self._backward_others(dy, dx, run)

    def backward_step(self, x: Array, dy: Array, dx: Array | None, lr: Array, run: Run) -> None:
        """Take plain SGD's step for the rows that occur: that of all others is 0."""
        for place, codes, part in self._parts(x, dy):
            self.kernels.embedding_sgd(codes, part, self.__dict__[f"table_{place}"], lr, run.tape)
        self._backward_others(dy, dx, run)


def _table(initializer: Initializer | None, shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Return a table whose last row, that of what is unseen, is 0."""
    table = np.zeros(shape)
    of_codes = shape[0] - 1, shape[1]
    rows = rng.standard_normal(of_codes) if initializer is None else initializer(of_codes, rng)
    if np.shape(rows) != of_codes:
        raise ValueError(
            f"Embedding: the initializer returned shape {np.shape(rows)}, expected {of_codes}: a row for each code"
        )
    table[:-1] = rows
    return table
