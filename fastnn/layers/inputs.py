"""Layers to which columns are not alike: what these are called, what may stand in them, what is fitted to them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.arena import Array
from fastnn.arrays import as_rows, as_weights, check_finite, convert, parts_of
from fastnn.checks import shown
from fastnn.layers.chain import Chain
from fastnn.layers.containers import Branches, Parallel
from fastnn.layers.contract import Layer
from fastnn.layers.elements import Element, elements
from fastnn.layers.shape import Flatten
from fastnn.signatures import is_ours
from fastnn.tables import Names, table_of
from fastnn.words import near

# What a column has to hold for the layers that read it; of several readers, the least counts.
NUMBER, MISSING, CODE, UNREAD = range(4)  # a finite one; one or NaN; a whole one or NaN; whatever is not infinite
Kinds = Sequence[int]
Own = TypeVar("Own", bound="Adapting")

_ROWS = 4096  # that go through a layer at a time


class ColumnLayer(Layer):
    """A layer to which columns are not alike."""

    _names: Names | None = None  # of its columns, where they are those of a data frame, or come from them

    @abstractmethod
    def names_behind(self, names: Names) -> Names:
        """Return what its outputs are called where its inputs have these names."""

    @abstractmethod
    def kinds(self, behind: Kinds) -> Kinds:
        """Return what its columns have to hold, where its outputs have to hold this: told once it is built."""

    def place(self, column: Any, n_in: int) -> int:
        """Return the number of a column that is given by its number or by its name."""
        if isinstance(column, str):
            names = self._names
            if names is None:
                raise ValueError(
                    f"{self.title}: {column!r} is the name of a column, and what comes here has no names: pass a data "
                    f"frame to fit, or say the column's number, from 0 to {n_in - 1}"
                )
            if column not in names:
                found = near(column, names, 0.5)
                hint = f"did you mean {' or '.join(map(repr, found))}?" if found else f"expected one of {list(names)}"
                raise ValueError(f"{self.title}: there is no column {column!r}: {hint}")
            return names.index(column)
        if not -n_in <= column < n_in:
            raise ValueError(f"{self.title}: there is no column {column}, expected {-n_in} to {n_in - 1} of {n_in}")
        return int(column) % n_in

    def places(self, columns: Iterable[Any], n_in: int) -> list[int]:
        """Return the numbers of columns, of which slices may stand for several."""
        found: list[int] = []
        for column in columns:
            found += range(n_in)[column] if isinstance(column, slice) else [self.place(column, n_in)]
        return found

    def name_of(self, place: int) -> str:
        """Return what errors call a column."""
        return f"column {place if self._names is None else repr(self._names[place])}"


class Adapting(ColumnLayer):
    """A layer that is fitted to the data that reach it, when the first training on them begins."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether it has not been fitted yet."""

    @abstractmethod
    def fit_to(self, x: Array, weights: Array | None) -> None:
        """Fit it to all rows, that weigh so much."""

    @abstractmethod
    def forget(self) -> None:
        """Let it wait again."""

    def _may_miss(self) -> NDArray[np.bool_]:
        """Return in which columns NaN may stand for what is missing."""
        return np.zeros(self.n_in, bool)

    def adapt(self: Own, x: ArrayLike, sample_weight: ArrayLike | None = None) -> Own:
        """Fit it to these rows, in the place of what has been fitted before.

        Parameters
        ----------
        x : array_like of shape (rows, n_in)
            As the layer is given them.
        sample_weight : array_like of shape (rows,) or None
            Numbers >= 0, of which only the ratios count.

        Returns
        -------
        Layer
            Itself.
        """
        table, stands_alone = table_of(x), not self.n_in
        if table is not None and self._names is None and not self.n_in:
            self.__dict__["_names"] = table.names
        rows = as_rows(x if table is None else table, f"{self.title}: x", None, self._names)
        matrix = convert(rows, rows.dtype if rows.dtype == np.float32 else np.dtype(np.float64))
        if len(matrix) == 0:
            raise ValueError(f"{self.title}: x has no rows, expected at least one")
        self._inputs(matrix[:1])  # builds it where it stands alone
        check_finite(matrix, f"{self.title}: x", None, self._names, self._may_miss())
        weights = None
        if sample_weight is not None:
            weights = as_weights(sample_weight, len(matrix), np.dtype(np.float64), f"{self.title}: sample_weight")
            weights = weights.mean(axis=1)
            if (weights < 0).any() or not weights.any():
                raise ValueError(f"{self.title}: sample_weight has to be >= 0, and above 0 somewhere")
            if weights.min() == weights.max():
                weights = None
        self.fit_to(matrix, weights)
        if stands_alone and self.parameters:  # a model draws them, from its seed
            for name in self.parameters:
                del self.__dict__[name]
            self.__dict__.update(n_in=0, n_out=0, _memory=None, _gradients={})
        return self


def _is_whole(number: object) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def require_column(where: str, column: object, slices: bool = False) -> None:
    """Raise TypeError unless it is the number or the name of a column, or a slice of numbers."""
    is_slice = (
        slices
        and isinstance(column, slice)
        and all(end is None or _is_whole(end) for end in (column.start, column.stop, column.step))
    )
    if is_slice and column.step == 0:  # type: ignore[attr-defined]
        raise ValueError(f"{where} {column}, expected a step other than 0")
    if not (_is_whole(column) or is_slice or isinstance(column, str)):
        or_slice = ", or a slice of numbers" if slices else ""
        raise TypeError(f"{where} {shown(column)}, expected the number of a column, or its name{or_slice}")


# -- names, from the first layer to the last --------------------------------------------------------------------------


def tell_names(layers: Sequence[Layer], names: Names | None) -> Names | None:
    """Tell layers in a row what their columns are called, and return what the outputs of the last are called."""
    for layer in layers:
        names = _tell(layer, names)
    return names


def _tell(layer: Layer, names: Names | None) -> Names | None:
    if isinstance(layer, ColumnLayer):
        if names is not None or layer._names is None:
            layer.__dict__["_names"] = names
        return None if layer._names is None else layer.names_behind(layer._names)
    row = row_of(layer)
    if row is not None:
        for part in row:
            names = None if part is layer else _tell(part, names)
        return names
    if _hands_on(layer):
        return names
    found: list[str] = []
    is_known = isinstance(layer, Parallel)
    for branch in branches_of(layer):
        behind = tell_names(branch, names)
        is_known = is_known and behind is not None
        found += behind or ()
    return tuple(found) if is_known and len({*found}) == len(found) else None


def _hands_on(layer: Layer) -> bool:
    """Whether its outputs are its inputs."""
    return layer.kernel == "identity" or (isinstance(layer, Flatten) and is_ours(type(layer)))


def row_of(layer: Layer) -> Sequence[Layer] | None:
    """Return what runs in the place of a layer, where that is a row of others."""
    row = layer.in_a_row() if layer._children else (layer,)
    return None if len(row) == 1 and row[0] is layer else row


def branches_of(layer: Layer) -> Sequence[Sequence[Layer]]:
    """Return the rows of layers inside a layer that are given what it is given; none where they run in its place."""
    return layer.in_branches() if layer._children and row_of(layer) is None else ()


# -- what columns have to hold, from the last layer to the first ------------------------------------------------------


def kinds_of(layers: Sequence[Layer], behind: Kinds) -> Kinds:
    """Return what the columns of x have to hold for layers in a row, whose outputs have to hold this."""
    for layer in reversed(layers):
        behind = _kinds(layer, behind)
    return behind


def _kinds(layer: Layer, behind: Kinds) -> Kinds:
    if isinstance(layer, ColumnLayer):
        return layer.kinds(behind)
    row = row_of(layer)
    if row is not None and layer not in row:
        return kinds_of(row, behind)
    for part in row or ():
        if part is not layer:
            _kinds(part, [NUMBER] * part.n_out)
    if _hands_on(layer):
        return behind
    least, at = np.full(layer.n_in, UNREAD, np.uint8), 0
    for branch in branches_of(layer):
        n = branch[-1].n_out
        own = behind[at : at + n] if isinstance(layer, Parallel) else [NUMBER] * n
        np.minimum(least, np.frombuffer(bytes(kinds_of(branch, own)), np.uint8), out=least)
        at += n
    found: Kinds = least.tolist()
    if isinstance(layer, Parallel):
        return found
    if CODE in behind and is_ours(type(layer)):
        raise ValueError(f"{layer.title} makes new numbers of the columns that a layer behind reads as codes")
    return found if isinstance(layer, Branches) else [NUMBER] * layer.n_in


def check_kinds(kinds: Kinds, x: Any, name: str, dtype: np.dtype[Any] | None, labels: Sequence[Any] | None) -> None:
    """Raise ValueError where a column does not hold what it has to, with the place of the first such number."""
    check_finite(x, name, dtype, labels, np.array([kind != NUMBER for kind in kinds]))
    codes = [i for i, kind in enumerate(kinds) if kind == CODE]
    if not codes or x.dtype.kind != "f":
        return
    for start, part in parts_of(x):
        numbers = part[:, codes]
        wrong = (numbers != np.floor(numbers)) & ~np.isnan(numbers)
        if wrong.any():
            row, i = (int(place) for place in np.argwhere(wrong)[0])
            column = codes[i] if labels is None else repr(labels[codes[i]])
            raise ValueError(
                f"{name} is {numbers[row, i]:g} at row {start + row}, column {column}, expected a whole number: it is "
                "read as codes, 0 and up; -1 or NaN stands for what is missing"
            )


# -- what is fitted to data -------------------------------------------------------------------------------------------


def adapt(row: Sequence[Element], x: Array, weights: Array | None) -> None:
    """Let the layers of a row that wait for data be fitted to what reaches them, in predictions."""
    waiting = [i for i, element in enumerate(row) if any(_waiting([element.layer]))]
    for i in range(waiting[-1] + 1 if waiting else 0):
        layer = row[i].layer
        if isinstance(layer, Adapting):
            if layer.waits:
                layer.fit_to(x, weights)
        elif i in waiting:
            for branch in branches_of(layer):
                adapt(elements(branch, predicting=True), x, weights)
        if i < waiting[-1]:
            x = outputs_of(row[i : i + 1], x)


def _waiting(layers: Iterable[Layer]) -> Iterator[Layer]:
    for layer in layers:
        if isinstance(layer, Adapting) and layer.waits:
            yield layer
        yield from _waiting(layer._children)


def outputs_of(row: Sequence[Element], x: Array) -> Array:
    """Return what layers in a row make of x."""
    chain = Chain(row, x.shape[1], row[0].layer.dtype, predicting=True)
    memory = chain.memory(min(_ROWS, len(x)), train=False)
    y = np.empty((len(x), chain.n_out), chain.dtype)
    for start in range(0, len(x), _ROWS):
        part = memory.first(len(x[start : start + _ROWS]))
        part.activations[0][...] = x[start : start + _ROWS]
        chain.forward(part)
        y[start : start + _ROWS] = part.activations[-1]
    return y
