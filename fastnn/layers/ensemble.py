"""Ensembles inside one net: members that share weights, side by side in the columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import count, flag
from fastnn.initializers import get as get_initializer
from fastnn.initializers import of_biases
from fastnn.layers import activations
from fastnn.layers.activation import Activation
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.gated import Gated
from fastnn.layers.grouped import each_group, part_of
from fastnn.layers.maxout import Maxout
from fastnn.layers.of_rows import Softmin
from fastnn.layers.passes import Run
from fastnn.settable import Initializer

if TYPE_CHECKING:
    from numpy.random import Generator

    from fastnn.formats.graph import Graph, Value


class Members(Layer):
    """y = [x, x, ..., x]: what comes in, once for each member of an ensemble, side by side.

    It begins the part of a net in which columns are those of `members` members: `BatchEnsemble` and `GroupedDense`
    come behind it, activations and `Dropout` between them, `MeanOfMembers` ends it (Gorishniy, Kotelnikov & Babenko
    2025).

    Parameters
    ----------
    members : int

    Examples
    --------
    >>> from fastnn import Members
    >>> Members(2).forward([[1.0, 2.0]])
    array([[1., 2., 1., 2.]])
    """

    code = Code(saved=())
    gives = "numbers"

    def __init__(self, members: int = 32) -> None:
        super().__init__()
        self.members = count("Members: members", members)

    def build(self, n_in: int) -> int:
        return n_in * self.members

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.columns_forward(x, repeated(self.n_in, self.members), y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.columns(x, repeated(self.n_in, self.members))

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.columns_backward(dy, repeated(self.n_in, self.members), dx, run.tape)


class BatchEnsemble(Layer):
    """y_i = activation(((x_i * r_i) @ w) * s_i + b_i) for each member i: one w, and vectors of its own.

    Members of an ensemble that share all weights but three vectors each (Wen, Tran & Ba 2020; in this form, with biases
    of their own, the block of TabM, Gorishniy, Kotelnikov & Babenko 2025). All members are one product, of as many rows
    as there are rows and members. The columns of x are those of the members, side by side: behind `Members` or another
    such layer.

    Parameters
    ----------
    units : int
        The number of outputs of each member.
    members : int
    activation : str, Layer or None
        What follows: one that computes each column by itself.
    bias : bool
        Whether there is a b.
    r_initializer : str or callable
        "ones", or in the first layer what tells the members apart: "signs", or "normal(std=1)" behind embeddings
        (``initializers.normal(std=1.0)``).
    weight_initializer : str or callable
        "torch" is uniform within ± 1 / sqrt(inputs of a member).
    bias_initializer : str or callable
        Of one member: all begin alike.
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    w, dw : ndarray of shape (n_in / members, units)
    r, dr : ndarray of shape (members, n_in / members)
    s, ds : ndarray of shape (members, units)
        It begins at 1; an optimizer's groups call r and s "norms".
    b, db : ndarray of shape (members, units)
        None without a bias; "biases".

    Examples
    --------
    TabM with 4 members, for one number to predict; its authors take 32, 512 units and 3 blocks:

    >>> from fastnn import BatchEnsemble, Dropout, GroupedDense, MeanOfMembers, Members, Model
    >>> net = Model([
    ...     Members(4), BatchEnsemble(64, 4, "relu", r_initializer="signs"), Dropout(0.1),
    ...     BatchEnsemble(64, 4, "relu"), Dropout(0.1), GroupedDense(1, 4), MeanOfMembers(4),
    ... ], seed=0)
    >>> net.build(10).n_out
    1
    """

    code = Code(saved=("x",))
    w: Array
    dw: Array
    r: Array
    dr: Array
    s: Array
    ds: Array
    b: Array
    db: Array

    def __init__(
        self,
        units: int,
        members: int = 32,
        activation: str | Layer | None = None,
        *,
        bias: bool = True,
        r_initializer: str | Initializer = "ones",
        weight_initializer: str | Initializer = "torch",
        bias_initializer: str | Initializer = "torch",
        trainable: bool = True,
    ) -> None:
        super().__init__(trainable=trainable)
        self.units, self.members = count("BatchEnsemble: units", units), count("BatchEnsemble: members", members)
        self.activation = None if activation is None else _apart(activations.get(activation))
        self.bias = flag("BatchEnsemble: bias", bias)
        self.r_initializer = get_initializer(r_initializer, "BatchEnsemble: r_initializer")
        self.weight_initializer = get_initializer(weight_initializer, "BatchEnsemble: weight_initializer")
        self.bias_initializer = get_initializer(bias_initializer, "BatchEnsemble: bias_initializer")

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What the activation gives."""
        return "numbers" if self.activation is None else self.activation.gives

    def build(self, n_in: int) -> int:
        members, units = self.members, self.units
        width = part_of(n_in, members, self.title, "members")
        self.parameter("w", (width, units), self.weight_initializer)
        self.parameter("r", (members, width), self.r_initializer, "norms")
        self.parameter("s", (members, units), "ones", "norms")
        if self.bias:
            self.parameter("b", (members, units), partial(_alike, of_biases(self.bias_initializer, width)), "biases")
        else:
            self.__dict__["b"] = self.__dict__["db"] = None
        self.scratch("scaled", ("rows", n_in))
        self.scratch("product", ("rows", members * units))
        n_out = members * units
        return n_out if self.activation is None else self.build_child(self.activation, n_out)

    def in_a_row(self) -> Sequence[Layer]:
        return (self,) if self.activation is None else (self, self.activation)

    def _of_members(self, x: Array) -> Array:
        """Return x with a row for each member, in the same memory."""
        return x.reshape(len(x) * self.members, -1)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        k, scaled, product = self.kernels, run.scratch["scaled"], run.scratch["product"]
        k.scale_columns(x, self.r.reshape(-1), None, scaled, run.tape)
        k.dense_forward(self._of_members(scaled), self.w, None, self._of_members(product), tape=run.tape)
        k.scale_columns(product, self.s.reshape(-1), self.b.reshape(-1) if self.bias else None, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        product = to.product(to.scale(x, self.r.reshape(-1)), self.w, parts=self.members)
        return to.scale(product, self.s.reshape(-1), self.b.reshape(-1) if self.bias else None)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None and not run.trains:
            return
        k, scaled, product = self.kernels, run.scratch["scaled"], run.scratch["product"]
        r, s = self.r.reshape(-1), self.s.reshape(-1)
        if run.trains:
            db = self.db.reshape(-1) if self.bias else None
            k.scale_columns_backward(product, dy, s, dy, self.ds.reshape(-1), db, run.tape)
        else:
            k.scale_columns(dy, s, None, dy, run.tape)
        x_of, scaled_of, dy_of = (self._of_members(array) for array in (x, scaled, dy))
        if run.trains:
            k.dense_backward(scaled_of, self.w, dy_of, None, self.dw, None, tape=run.tape)
        k.dense_backward(x_of, self.w, dy_of, scaled_of, None, None, tape=run.tape)  # it is needed no more
        if run.trains:
            k.scale_columns_backward(x, scaled, r, dx, self.dr.reshape(-1), None, run.tape)
        elif dx is not None:
            k.scale_columns(scaled, r, None, dx, run.tape)


def _apart(activation: Layer) -> Layer:
    """Return an activation that computes columns by themselves: those of a row belong to all members."""
    mixes = isinstance(activation, (Gated, Maxout, Softmin)) or (
        isinstance(activation, Activation) and not kernels.float64.activations[activation.kernel].elementwise
    )
    if mixes:
        raise ValueError(
            f"BatchEnsemble: activation is {activation!r}, which would mix the columns of all members, expected one "
            "that computes each column by itself, such as 'relu'; MeanOfMembers(activation='softmax') ends an ensemble"
        )
    return activation


class MeanOfMembers(Layer):
    """y = the mean over members of f(x_i), the columns of x being those of the members: the end of an ensemble.

    Behind it, a net is trained with the mean of the members' losses, whatever the loss: each member has to be right by
    itself. (The loss of the mean, which makes members lean on each other, is what `forward` and `backward` by hand
    give.) What the net predicts, and metrics, are of the mean; so an `EarlyStopping` on a metric looks at the ensemble
    (Gorishniy, Kotelnikov & Babenko 2025).

    Parameters
    ----------
    members : int
    activation : str, Layer or None
        f, of each member: "softmax" for classes, so that probabilities are averaged; None for numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MeanOfMembers
    >>> MeanOfMembers(2).forward(np.array([[1.0, 2.0, 5.0, 4.0]]))
    array([[3., 3.]])
    >>> MeanOfMembers(2, "softmax").forward(np.array([[50.0, 0.0, 0.0, 50.0]]))
    array([[0.5, 0.5]])
    """

    code = Code(saved=("x",))

    def __init__(self, members: int = 32, activation: str | Layer | None = None) -> None:
        super().__init__()
        self.members = count("MeanOfMembers: members", members)
        chosen = None if activation is None else activations.get(activation)
        if chosen is not None and not isinstance(chosen, Activation):
            raise TypeError(
                f"MeanOfMembers: activation is {chosen!r}, expected one without parameters, such as 'softmax' or "
                "'sigmoid'"
            )
        self.activation = chosen

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What the activation gives, but for logarithms, whose mean is none."""
        found = "numbers" if self.activation is None else self.activation.gives
        return "numbers" if found == "class log-probabilities" else found

    def build(self, n_in: int) -> int:
        width = part_of(n_in, self.members, self.title, "members")
        if self.activation is not None:
            self.build_child(self.activation, width)
            self.scratch("f", ("rows", n_in))
        return width

    def in_branches(self) -> tuple[()]:
        return ()

    def _of_members(self, x: Array) -> Array:
        return x.reshape(len(x) * self.members, self.n_out)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        if self.activation is not None:
            f = run.scratch["f"]
            self.activation._forward(self._of_members(x), self._of_members(f), run)
            x = f
        self.kernels.columns_backward(x, repeated(self.n_out, self.members), y, run.tape)  # a sum
        self.kernels.scale(y.reshape(-1), 1 / self.members, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        if self.activation is not None:
            constants = [float(cell[0]) for cell in self.activation._constants()]
            x = to.activation(x, self.activation.kernel, constants, self.members)
        return to.reduce(x, "mean", self.members)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None:
            return
        self.kernels.scale(dy.reshape(-1), 1 / self.members, run.tape)
        self.kernels.columns_forward(dy, repeated(self.n_out, self.members), dx, run.tape)
        if self.activation is not None:
            d, of = self._of_members(dx), self._of_members
            self.activation._backward(of(x), of(run.scratch["f"]), d, d, run)


def repeated(n: int, members: int) -> Any:
    """Return the numbers of n columns, once for each member."""
    return np.tile(np.arange(n, dtype=np.int64), members)


def _alike(initializer: Initializer, shape: tuple[int, ...], rng: Generator) -> Any:
    """Return the same numbers for each member."""
    return np.tile(each_group(initializer, (1, *shape[1:]), rng), (shape[0], 1))
