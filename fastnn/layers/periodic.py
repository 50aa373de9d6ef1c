"""Embeddings of numbers by waves: each column becomes several columns."""

from __future__ import annotations

from functools import partial
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, flag, number
from fastnn.initializers import of_biases, torch, truncated_normal
from fastnn.layers.declarations import Code
from fastnn.layers.grouped import each_group, in_groups
from fastnn.layers.inputs import CODE, NUMBER, ColumnLayer, Kinds
from fastnn.layers.passes import Run
from fastnn.tables import Names

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value


class OfNumbers(ColumnLayer):
    """A layer that makes some numbers of each column, side by side."""

    gives = "numbers"
    size: int

    def names_behind(self, names: Names) -> Names:
        return tuple(name for column in names for name in self.names_of(column))

    def names_of(self, column: str) -> list[str]:
        """Return what the outputs of one column are called."""
        return [f"{column}[{i}]" for i in range(self.size)]

    def kinds(self, behind: Kinds) -> Kinds:
        if CODE in behind:
            raise ValueError(f"{self.title} makes new numbers of the columns that a layer behind reads as codes")
        return [NUMBER] * self.n_in


class PBLDEmbedding(OfNumbers):
    """y = [cos(2 pi x w + c) @ v + b, x] for each column x: periodic, with biases, linear, x beside (PBLD).

    A column of numbers becomes `size` columns, the last of which is itself (Holzmüller, Grinsztajn & Steinwart 2024,
    who give RealMLP this one with its learning rate times 0.1: ``Group(layer, 0.1)``). w begins as N(0, scale²), the
    phases c uniform in ± pi, v and b uniform in ± 1 / sqrt(frequencies). Columns of codes are left out before, by
    `Columns`.

    Parameters
    ----------
    size : int
        How many numbers each becomes: at least 2, with itself.
    frequencies : int
        How many waves each has.
    scale : float
        The standard deviation of the frequencies w, in turns for each unit of x: above 0.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in, frequencies)
    c, dc : ndarray of shape (n_in, frequencies)
        In radians; an optimizer's groups call c and b "biases".
    v, dv : ndarray of shape (n_in, frequencies, size - 1)
    b, db : ndarray of shape (n_in, size - 1)

    Examples
    --------
    Beside an embedding of codes:

    >>> import numpy as np
    >>> from fastnn import Columns, Dense, Embedding, Model, Parallel, PBLDEmbedding, Sequential
    >>> x = np.array([[3, 0.5, -1.2], [11, 0.1, 0.4], [0, 0.7, 0.3]])
    >>> codes, numbers = Sequential([Columns(0), Embedding(12, 5)]), Sequential([Columns(1, 2), PBLDEmbedding()])
    >>> net = Model([Parallel([codes, numbers]), Dense(8, "relu"), Dense(1)], seed=0)
    >>> history = net.fit(x, [1.0, 0.0, 2.0], epochs=10)
    >>> net[0].n_out
    13
    """

    code = Code(saved=("x",))
    w: Array
    dw: Array
    c: Array
    dc: Array
    v: Array
    dv: Array
    b: Array
    db: Array

    def __init__(self, size: int = 4, frequencies: int = 16, scale: float = 0.1, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.size = count("PBLDEmbedding: size", size, 2)
        self.frequencies = count("PBLDEmbedding: frequencies", frequencies)
        self.scale = _scale("PBLDEmbedding", scale)

    def build(self, n_in: int) -> int:
        k, d = self.frequencies, self.size - 1
        self.parameter("w", (n_in, k), partial(_normal, self.scale))
        self.parameter("c", (n_in, k), _phases, "biases")
        self.parameter("v", (n_in, k, d), partial(each_group, torch))
        self.parameter("b", (n_in, d), of_biases(torch, k), "biases")
        self.scratch("waves", ("rows", n_in * 2 * k))
        self.scratch("slopes", ("rows", n_in * k))
        return n_in * self.size

    def names_of(self, column: str) -> list[str]:
        return [*super().names_of(column)[:-1], column]

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        waves = in_groups(run.scratch["waves"], self.n_in)
        self.kernels.periodic_forward(x, self.w, self.c, waves, run.tape)
        self.kernels.grouped_forward(waves, self.v, self.b, x, in_groups(y, self.n_in), run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        both = to.waves(x, self.w, self.c)
        if both is None:
            waves = to.elementwise(_angles(x, self.w, self.c, to), "cosine")
        else:
            waves = to.columns(both, np.arange(both.n).reshape(self.n_in, 2, -1)[:, 0].ravel())
        y = to.product(waves, self.v, self.b, self.n_in)
        beside = to.concat((y, x))
        d = self.size - 1
        index = [[*range(d * j, d * (j + 1)), d * self.n_in + j] for j in range(self.n_in)]
        return to.columns(beside, np.ravel(index))

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None and not run.trains:
            return
        waves, slopes = (in_groups(run.scratch[name], self.n_in) for name in ("waves", "slopes"))
        dv, db, dw, dc = (self.dv, self.db, self.dw, self.dc) if run.trains else (None,) * 4
        self.kernels.grouped_backward(waves, self.v, in_groups(dy, self.n_in), slopes, dv, db, run.tape)
        beside = dy[:, self.size - 1 :: self.size]
        self.kernels.periodic_backward(x, self.w, waves, slopes, beside, dx, dw, dc, run.tape)


class PLREmbedding(OfNumbers):
    """y = relu([cos(2 pi x w), sin(2 pi x w)] @ v + b) for each column x: periodic, linear, relu (PLR).

    A column of numbers becomes `size` columns (Gorishniy, Rubachev & Babenko 2022). w begins as N(0, scale²), cut at
    3 standard deviations, v and b uniform in ± 1 / sqrt(2 * frequencies). Columns of codes are left out before, by
    `Columns`.

    Parameters
    ----------
    size : int
        How many numbers each becomes.
    frequencies : int
        How many waves each has.
    scale : float
        The standard deviation of the frequencies w, in turns for each unit of x: above 0. It matters: their authors
        tune it between 0.01 and 10.
    lite : bool
        Whether all columns share one v and b, PLR(lite), which has far fewer parameters.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in, frequencies)
    v, dv : ndarray of shape (n_in, 2 * frequencies, size), lite (2 * frequencies, size)
    b, db : ndarray of shape (n_in, size), lite (size,)
        An optimizer's groups call it "biases".

    Examples
    --------
    >>> from fastnn import Dense, Model, PLREmbedding
    >>> net = Model([PLREmbedding(8, scale=0.1), Dense(64, "relu"), Dense(1)], seed=0).build(5)
    >>> net[0].n_out, net[0].v.shape
    (40, (5, 96, 8))
    """

    code = Code(saved=("x", "y"))
    w: Array
    dw: Array
    v: Array
    dv: Array
    b: Array
    db: Array

    def __init__(
        self,
        size: int = 24,
        frequencies: int = 48,
        scale: float = 0.01,
        lite: bool = False,
        *,
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self.size = count("PLREmbedding: size", size)
        self.frequencies = count("PLREmbedding: frequencies", frequencies)
        self.scale, self.lite = _scale("PLREmbedding", scale), flag("PLREmbedding: lite", lite)

    def build(self, n_in: int) -> int:
        k, d = 2 * self.frequencies, self.size
        cut = truncated_normal(std=self.scale, low=-3 * self.scale, high=3 * self.scale)
        self.parameter("w", (n_in, self.frequencies), cut)
        shape = (k, d) if self.lite else (n_in, k, d)
        self.parameter("v", shape, torch if self.lite else partial(each_group, torch))
        self.parameter("b", (d,) if self.lite else (n_in, d), of_biases(torch, k), "biases")
        self.scratch("waves", ("rows", n_in * k))
        self.scratch("slopes", ("rows", n_in * k))
        return n_in * d

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        k, n = self.kernels, self.n_in
        waves = in_groups(run.scratch["waves"], n)
        k.periodic_forward(x, self.w, None, waves, run.tape)
        if self.lite:
            flat, out = waves.reshape(-1, 2 * self.frequencies), y.reshape(-1, self.size)
            k.dense_forward(flat, self.v, self.b, out, "relu", tape=run.tape)
        else:
            k.grouped_forward(waves, self.v, self.b, None, in_groups(y, n), run.tape)
            k.relu_forward(y, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        n, k = self.n_in, self.frequencies
        waves = to.waves(x, self.w, None)
        if waves is None:
            angles = _angles(x, self.w, None, to)
            cosines, sines = to.elementwise(angles, "cosine"), to.elementwise(angles, "sine", 1.0)
            index = [[*range(k * j, k * (j + 1)), *range(k * (n + j), k * (n + j + 1))] for j in range(n)]
            waves = to.columns(to.concat((cosines, sines)), np.ravel(index))
        return to.elementwise(to.product(waves, self.v, self.b, n), "relu")

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None and not run.trains:
            return
        k, n = self.kernels, self.n_in
        waves, slopes = (in_groups(run.scratch[name], n) for name in ("waves", "slopes"))
        dv, db, dw = (self.dv, self.db, self.dw) if run.trains else (None,) * 3
        k.relu_backward(y, dy, dy, run.tape)
        if self.lite:
            flat, gradient = (array.reshape(-1, 2 * self.frequencies) for array in (waves, slopes))
            k.dense_backward(flat, self.v, dy.reshape(-1, self.size), gradient, dv, db, tape=run.tape)
        else:
            k.grouped_backward(waves, self.v, in_groups(dy, n), slopes, dv, db, run.tape)
        k.periodic_backward(x, self.w, waves, slopes, None, dx, dw, None, run.tape)


def _angles(x: Value, w: Array, c: Array | None, to: Graph) -> Value:
    """Add 2 pi x w + c: of each column its frequencies, side by side."""
    turns = to.scale(to.columns(x, np.repeat(np.arange(x.n), w.shape[1])), w.reshape(-1))
    return to.scale(turns, 2 * pi, None if c is None else c.reshape(-1))


def _scale(name: str, scale: float) -> float:
    return number(f"{name}: scale", scale, above=0.0)


def _normal(std: float, shape: tuple[int, ...], rng: Generator) -> Any:
    return rng.normal(0.0, std, shape)


def _phases(shape: tuple[int, ...], rng: Generator) -> Any:
    return np.asarray(rng.uniform(-pi, pi, shape))
