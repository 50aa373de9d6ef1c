"""Embeddings of numbers by bins: each column becomes several columns, which are linear between edges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.checks import count, is_iterable, shown
from fastnn.initializers import of_biases, torch, zeros
from fastnn.layers.declarations import Code
from fastnn.layers.grouped import each_group, in_groups
from fastnn.layers.inputs import Adapting
from fastnn.layers.passes import Run
from fastnn.layers.periodic import OfNumbers

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value


class PiecewiseLinearEmbedding(OfNumbers, Adapting):
    """y = x * w + b + e(x) @ v for each column x: linear between the edges of bins (version B of Gorishniy et al.).

    e_t(x) = (x - edge_t) / (edge_t+1 - edge_t), clamped to [0, 1], but the first not below and the last not above
    (Gorishniy, Rubachev & Babenko 2022; in this form, with v = 0 at first and no activation, Gorishniy, Kotelnikov &
    Babenko 2025). Edges are the unique ones of bins + 1 quantiles of the data of the first training, of which those
    with weight 0 are none, or of what is handed to `adapt`; they are kept and saved, and later fits leave them as they
    are. A column that is constant has no bins: x * w + b is left. So it is for all before there are edges. A
    column of numbers becomes `size` columns; columns of codes are left out before, by `Columns`.

    The sums of v up to each bin are computed once for a batch, so that a row takes no longer with more bins.

    Parameters
    ----------
    size : int
        How many numbers each becomes; 12 to 16 are usual.
    bins : int
        How many there are at most.
    edges : sequence of array_like, or None
        Of each column of its own rising numbers, two at least, or none for a column without bins, in the place of
        quantiles; `bins` is then the largest number that a column has.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in, size)
    b, db : ndarray of shape (n_in, size)
        w and b begin uniform in ± 1; an optimizer's groups call b "biases".
    v, dv : ndarray of shape (n_in, bins, size)
        Rows of bins that a column does not have stay 0.
    grid : ndarray of shape (n_in, bins + 1)
        The edges of each column, infinity behind the last.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, PiecewiseLinearEmbedding
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = Model([PiecewiseLinearEmbedding(8, bins=4), Dense(16, "relu"), Dense(1)], seed=0, dtype="float64")
    >>> history = net.fit(x, x[:, 0] ** 2, epochs=10)
    >>> bool(np.allclose(net[0].grid[0], np.quantile(x[:, 0], [0, 0.25, 0.5, 0.75, 1])))
    True
    """

    code = Code(saved=("x",))
    w: Array
    dw: Array
    b: Array
    db: Array
    v: Array
    dv: Array
    grid: Array

    def __init__(
        self,
        size: int = 16,
        bins: int = 48,
        edges: Sequence[ArrayLike] | None = None,
        *,
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self.size = count("PiecewiseLinearEmbedding: size", size)
        self.bins = count("PiecewiseLinearEmbedding: bins", bins)
        self.edges = None if edges is None else _checked(edges)
        if self.edges is not None:
            self.bins = max(1, *(len(own) - 1 for own in self.edges))

    def build(self, n_in: int) -> int:
        n, d = self.bins, self.size
        if self.edges is not None and len(self.edges) != n_in:
            raise ValueError(f"{self.title}: edges are of {len(self.edges)} columns, expected {n_in}, those of x")
        self.parameter("w", (n_in, d), _of_one)
        self.parameter("b", (n_in, d), of_biases(torch, 1), "biases")
        self.parameter("v", (n_in, n, d), zeros)
        self.state("grid", (n_in, n + 1), partial(_rows, self.edges))
        self.scratch("sums", (n_in * n * d,))
        return n_in * d

    @property
    def waits(self) -> bool:
        return self.edges is None and not np.isfinite(self.grid).any()

    def fit_to(self, x: Array, weights: Array | None) -> None:
        there = slice(None) if weights is None else np.flatnonzero(weights)
        shares, dtype = np.linspace(0, 1, self.bins + 1), self.grid.dtype
        self.grid = _rows([_unique(x[there, j], shares, dtype) for j in range(self.n_in)], self.grid.shape, None)

    def forget(self) -> None:
        self.grid = _rows(self.edges, self.grid.shape, None)

    def _sums(self, run: Run) -> Array:
        return run.scratch["sums"].reshape(self.v.shape)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        out = in_groups(y, self.n_in)
        self.kernels.bins_forward(x, self.grid, self.w, self.b, self.v, self._sums(run), out, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        """Of each column itself and what lies of it in each bin, times the rows of w and v."""
        n, bins = self.n_in, self.bins
        whole = to.bins(x, self.grid, self.w, self.b, self.v)
        if whole is not None:
            return whole
        begin, factor, low, high = parts_of(self.grid, self.dtype)
        each = to.columns(x, np.repeat(np.arange(n), bins))
        parts = to.scale(to.scale(each, offset=-begin.reshape(-1)), factor.reshape(-1))
        parts = to.clip(parts, low.reshape(-1), high.reshape(-1))
        index = [[j, *range(n + bins * j, n + bins * (j + 1))] for j in range(n)]
        given = to.columns(to.concat((x, parts)), np.ravel(index))
        w = np.concatenate([self.w[:, None], self.v], axis=1)
        return to.product(given, w, self.b, n)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None and not run.trains:
            return
        d, own = in_groups(dy, self.n_in), (self.dw, self.db, self.dv)
        self.kernels.bins_backward(x, self.grid, self.w, self.v, d, self._sums(run), dx, *own, tape=run.tape)


def parts_of(grid: Array, dtype: Any) -> tuple[Array, Array, Array, Array]:
    """Return begin, factor, low and high of min(max((x - begin) * factor, low), high), each (n, bins)."""
    n, bins = grid.shape[0], grid.shape[1] - 1
    edges, widths = grid[:, :-1], np.full((n, bins), np.inf)
    np.subtract(grid[:, 1:], edges, out=widths, where=np.isfinite(grid[:, 1:]))
    low, high = np.zeros((n, bins)), np.where(np.isfinite(widths), 1.0, 0.0)
    for j, there in enumerate(np.isfinite(widths).sum(axis=1)):
        if there:
            low[j, 0], high[j, there - 1] = -np.inf, np.inf
    most = float(np.finfo(dtype).max)
    return np.where(np.isfinite(edges), edges, 0), np.minimum(1 / widths, most), low, high


def _unique(values: Array, shares: Array, dtype: Any) -> Array:
    """Return the different ones of these quantiles: none, where there is only one."""
    found = np.unique(np.quantile(values.astype(np.float64), shares).astype(dtype))
    return found if len(found) > 1 else found[:0]


def _rows(edges: Sequence[Any] | None, shape: tuple[int, ...], rng: Generator | None) -> Array:
    """Return the edges of each column, with infinity behind the last."""
    grid = np.full(shape, np.inf)
    for row, own in zip(grid, edges or (), strict=False):
        row[: len(own)] = own
    return grid


def _of_one(shape: tuple[int, ...], rng: Generator) -> Any:
    """Return the weights of columns with one input each."""
    return each_group(torch, (shape[0], 1, shape[1]), rng)[:, 0]


def _checked(edges: Any) -> tuple[tuple[float, ...], ...]:
    where = "PiecewiseLinearEmbedding: edges"
    if isinstance(edges, (str, bytes)) or not is_iterable(edges):
        raise TypeError(f"{where} is {shown(edges)}, expected those of each column: [[0, 1, 5], [-1, 1]]")
    found = []
    for j, own in enumerate(edges):
        try:
            row = np.asarray(own, np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{where}[{j}] is {shown(own)}, expected numbers that rise") from None
        if row.ndim != 1 or len(row) == 1 or not np.isfinite(row).all() or (np.diff(row) <= 0).any():
            raise ValueError(f"{where}[{j}] is {shown(own)}, expected two finite numbers at least, that rise, or none")
        found.append(tuple(row.tolist()))
    if not found:
        raise ValueError(f"{where} is empty, expected those of each column")
    return tuple(found)
