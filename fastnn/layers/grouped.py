"""Dense products side by side, each of its own columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, flag
from fastnn.initializers import get as get_initializer
from fastnn.initializers import of_biases
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settable import Initializer

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value


class GroupedDense(Layer):
    """y_g = x_g @ w_g + b_g for each group g of columns, side by side: a matrix with blocks on its diagonal.

    The columns of x are divided into as many equal parts as there are groups, each with weights of its own: the heads
    of the members of an ensemble that shares all else (Gorishniy, Kotelnikov & Babenko 2025), or what a net does first
    with each of some columns. It is PyTorch's Conv1d of kernel size 1 with groups.

    Parameters
    ----------
    units : int
        The number of outputs of each group.
    groups : int
    bias : bool
        Whether there is a b.
    weight_initializer : str or callable
        Of each group, as if it were a layer. "torch" is uniform within ± 1 / sqrt(inputs of a group).
    bias_initializer : str or callable
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (groups, n_in / groups, units)
    b, db : ndarray of shape (groups, units)
        None without a bias; an optimizer's groups call them "biases".

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import GroupedDense
    >>> layer = GroupedDense(1, groups=2)
    >>> layer.forward(np.ones((3, 8))).shape, layer.w.shape
    ((3, 2), (2, 4, 1))
    """

    code = Code(saved=("x",))
    gives = "numbers"
    w: Array
    dw: Array
    b: Array
    db: Array

    def __init__(
        self,
        units: int,
        groups: int,
        *,
        bias: bool = True,
        weight_initializer: str | Initializer = "torch",
        bias_initializer: str | Initializer = "torch",
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self.units, self.groups = count("GroupedDense: units", units), count("GroupedDense: groups", groups)
        self.bias = flag("GroupedDense: bias", bias)
        self.weight_initializer = get_initializer(weight_initializer, "GroupedDense: weight_initializer")
        self.bias_initializer = get_initializer(bias_initializer, "GroupedDense: bias_initializer")

    def build(self, n_in: int) -> int:
        width = part_of(n_in, self.groups, self.title)
        self.parameter("w", (self.groups, width, self.units), partial(each_group, self.weight_initializer))
        if self.bias:
            biases = partial(each_group, of_biases(self.bias_initializer, width))
            self.parameter("b", (self.groups, self.units), biases, "biases")
        else:
            self.__dict__["b"] = self.__dict__["db"] = None
        return self.groups * self.units

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        k, groups = self.kernels, self.groups
        k.grouped_forward(in_groups(x, groups), self.w, self.b, None, in_groups(y, groups), run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.product(x, self.w, self.b, self.groups)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        groups = self.groups
        dw, db = (self.dw, self.db) if run.trains else (None, None)
        if dw is not None or dx is not None:
            d = None if dx is None else in_groups(dx, groups)
            self.kernels.grouped_backward(in_groups(x, groups), self.w, in_groups(dy, groups), d, dw, db, run.tape)


def in_groups(x: Array, groups: int) -> Array:
    """Return x (rows, groups * n) as (rows, groups, n), in the same memory."""
    return x.reshape(len(x), groups, x.shape[1] // groups)


def part_of(n_in: int, groups: int, title: str, what: str = "groups") -> int:
    """Return how many columns each of so many equal parts has."""
    if n_in % groups or not n_in:
        raise ValueError(f"{title}: x has {n_in} columns, expected a multiple of {groups}, the number of {what}")
    return n_in // groups


def each_group(initializer: Initializer, shape: tuple[int, ...], rng: Generator) -> Any:
    """Return the numbers of all groups, each as those of a layer of its own."""
    return np.stack([initializer(shape[1:], rng) for _ in range(shape[0])])
