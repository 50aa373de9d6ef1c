"""The loss of an ensemble inside one net: the mean of the losses of its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.layers.activation import Activation
from fastnn.layers.contract import Layer
from fastnn.layers.ensemble import MeanOfMembers, repeated
from fastnn.layers.passes import Run
from fastnn.losses.contract import Loss
from fastnn.metrics.contract import Asked
from fastnn.settings import Part

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class OfMembers(Loss):
    """The mean over members of a loss of each member's outputs: what a net trains with that ends in `MeanOfMembers`.

    Its y has the outputs of all members, side by side. Metrics are those of their mean.
    """

    def __init__(self, given: Loss, end: MeanOfMembers) -> None:
        super().__init__()
        activation, drops = end.activation, False
        if activation is None:
            each, _ = given.for_end(end, False)
        else:
            each, drops = given.for_end(activation, True)
        self.__dict__.update(_given=given, _end=end, _of_one=each, _activation=None if drops else activation)

    def _held(self) -> tuple[Part, ...]:
        return (self.__dict__["_of_one"],)

    @property
    def _applied(self) -> Activation | None:
        return self.__dict__["_activation"]  # type: ignore[no-any-return]

    def require_one_number(self) -> None:
        self.__dict__["_given"].require_one_number()

    def _value_and_grad(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        end, each, f = self.__dict__["_end"], self.__dict__["_of_one"], self._applied
        k, members, n = kernels.of(y.dtype), end.members, end.n_out
        rows = len(y) * members
        own_t = _each_row(t if t.dtype == y.dtype else t.view(y.dtype).reshape(len(t), -1), members, tape)
        own_t = own_t if t.dtype == y.dtype else own_t.view(t.dtype)  # labels: their bits went along
        own_t = own_t.reshape(rows, *t.shape[1:])
        own_weight = None if weight is None else _each_row(weight, members, tape)
        own_y, own_dy = y.reshape(rows, n), None if dy is None else dy.reshape(rows, n)
        share = 1 / members if getattr(each, "reduction", "mean") == "sum" else 1.0
        run, before = Run(tape, rows, {}, False), own_y
        if f is not None:
            own_y = np.zeros_like(before)
            f._forward(before, own_y, run)
        part = np.zeros(1)
        each.compute(own_y, own_t, own_weight, own_dy, part, tape)
        k.add_loss(part, value, share, True, tape)
        if own_dy is not None:
            if f is not None:
                f._backward(before, own_y, own_dy, own_dy, run)
            if share != 1:
                k.scale(own_dy.reshape(-1), share, tape)

    def _of_mean(self, y: Array) -> Array:
        """Return what the net predicts, from the outputs of all members, or where it is that already."""
        end = self.__dict__["_end"]
        if y.shape[1] == end.n_out:
            return y
        each, run = np.ascontiguousarray(y).reshape(-1, end.n_out), Run(None, len(y), {}, False)
        if end.activation is not None:
            before, each = each, np.zeros_like(each)
            end.activation._forward(before, each, run)
        mean: Array = each.reshape(len(y), end.members, end.n_out).mean(axis=1, dtype=y.dtype)
        return mean

    def metrics_of(self, y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        return self._predicting().metrics_of(self._of_mean(y), t, weight)

    def measure(self, asked: Sequence[Asked], y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        return self._predicting().measure(asked, self._of_mean(y), t, weight)

    def _predicting(self) -> Loss:
        """Return the loss as it reads what the net predicts."""
        end = self.__dict__["_end"]
        found: Loss = self.__dict__["_given"].for_end(end, False)[0]
        return found


def _each_row(x: Array, members: int, tape: Tape | None) -> Array:
    """Return the rows of x, once for each member: (rows, n) as (rows * members, n)."""
    n = x.shape[1]
    made = np.zeros((len(x), members * n), x.dtype)
    kernels.of(x.dtype).columns_forward(x, repeated(n, members), made, tape)
    return made.reshape(len(x) * members, n)


def for_end(loss: Loss, last: Layer, droppable: bool) -> tuple[Loss, bool]:
    """Return the loss to train with behind this last layer of a net, and whether it replaces that layer."""
    if isinstance(last, MeanOfMembers) and droppable:
        return OfMembers(loss, last), True
    return loss.for_end(last, droppable)
