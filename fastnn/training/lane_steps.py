"""The steps of small nets side by side, as one: recorded over memory in which each number is one of every net.

Losses and optimizers that have no form for lanes are computed net by net: outputs and gradients are turned for that, so
that the numbers of a net lie behind each other, and what comes of them is turned back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Ledger, Tape, copy_arrays, run_epochs
from fastnn.arena import Arena, Array
from fastnn.arrays import all_finite, convert
from fastnn.layers.dense import Dense
from fastnn.layers.passes import Run
from fastnn.losses import CrossEntropy

if TYPE_CHECKING:
    from fastnn._core.team import Stop
    from fastnn.training.lanes import LaneFit

NETS = 16  # side by side
_EPOCHS_IN_ONE_CALL = 1000  # each has a place for its losses in memory
_BEGIN = np.zeros(1, np.int64)  # a cursor
_OF_LABELS = "cross_entropy_labels_from_logits"
_OF_NUMBERS = {
    "mse", "mae", "huber", "smooth_l1", "log_cosh", "msle", "mape", "expectile", "hinge", "squared_hinge",
    "binary_cross_entropy", "binary_cross_entropy_from_logits",
}  # fmt: skip


def has_lanes(loss: Any, y: Array) -> bool:
    """Whether there is a form of a loss for lanes: of labels, or where it is the mean of losses of numbers."""
    if loss._options():
        return False
    if isinstance(loss, CrossEntropy):
        return y.ndim == 1 and loss.label_smoothing == 0
    return loss._kernel_name(y) in _OF_NUMBERS


class Lanes:
    """The steps of several nets as one, over memory of its own.

    Parameters
    ----------
    fits : list of LaneFit
        Of nets of one kind, NETS at most.
    """

    def __init__(self, fits: Sequence[LaneFit]) -> None:
        self._fits, self._first = fits, fits[0].fitting
        training, x = self._first.training, self._first.data[0]
        self._k, self._dtype = kernels.of(x.dtype), x.dtype
        n = training.memory.params.size
        self._params, self._grads = self._room(n * NETS), self._room(n * NETS)
        self._apart: tuple[Array, Array] | None = None
        if all(fit.takes_steps_of(fits[0]) for fit in fits):
            own = self._memory_of(fits[0], self._params, self._grads)
            self._nets = [{name: _of_lane(array, i, n) for name, array in own.items()} for i in range(len(fits))]
            self._updates = [(fits[0].rule, own)]
        else:
            params, grads = self._apart = self._room(NETS, n), self._room(NETS, n)
            self._nets = [self._memory_of(fit, params[i], grads[i]) for i, fit in enumerate(fits)]
            self._updates = [(fit.rule, own) for fit, own in zip(fits, self._nets, strict=True)]
        for i, (fit, own) in enumerate(zip(fits, self._nets, strict=True)):
            for name, array in own.items():
                array[...] = fit.arrays[name]
            _of_lane(self._params, i, n)[...] = own["params"]
        self._index, self._cursor = np.tile(np.arange(len(x)), (NETS, 1)), np.zeros(1, np.int64)
        self._values, self._sum = np.zeros(NETS), np.zeros(1)
        self._x, self._targets = _sets([fit.fitting.data[0] for fit in fits]), [fit.fitting.data[1] for fit in fits]
        given = [fit.fitting.data[2] for fit in fits]
        self._weights = [None if weight is None else convert(weight, x.dtype) for weight in given]
        self._losses_in_lanes = has_lanes(fits[0].loss, self._targets[0]) and self._weights[0] is None

    def _memory_of(self, fit: LaneFit, params: Array, grads: Array) -> dict[str, Array]:
        return {"params": params, "grads": grads, **fit.rule._remembers(params)}

    def _room(self, *shape: int) -> Array:
        return Arena([shape], self._dtype, padded=True).views[0]

    def run(self, stop: Stop) -> list[LaneFit]:
        """Train the nets, or return those that have to be trained alone, and change none."""
        fitting, epochs, curve = self._first, self._first.epochs, list[float]()
        size, rest = fitting.size, fitting.n_rows % fitting.size
        gather, step = self._record(size)
        gather_rest, step_rest = self._record(rest) if rest else (None, None)
        seeds = np.array([fit.order for fit in self._fits], np.uint64).view(np.int64)
        n, values = len(self._fits), self._values[: len(self._fits)]
        losses = [np.empty((0, n))]
        try:
            while len(curve) < epochs:
                if stop.is_set():
                    raise KeyboardInterrupt
                done = len(curve)
                found = np.empty((min(epochs - done, _EPOCHS_IN_ONE_CALL), n))
                losses.append(found)
                where = run_epochs(
                    gather, step, gather_rest, step_rest, self._index[:n].reshape(-1), self._cursor, values, size,
                    fitting.options.shuffle, 0, done, found.reshape(-1), None, stop, None, Ledger(curve), True, seeds,
                )  # fmt: skip
                if where is not None:
                    return self._not_finite(values)
        except KeyboardInterrupt:
            self._give(np.concatenate(losses)[: len(curve)])
            raise
        failed = self._not_finite(self._params.reshape(-1, NETS).T)
        if not failed:
            self._give(np.concatenate(losses))
        return failed

    def _not_finite(self, numbers: Iterable[Any]) -> list[LaneFit]:
        """Return the fits whose numbers are not finite."""
        return [fit for fit, own in zip(self._fits, numbers, strict=False) if not all_finite(np.array(own, ndmin=1))]

    def _give(self, losses: Array) -> None:
        """Give each net what its lane has come to."""
        targets, sources = [], []
        for fit, own in zip(self._fits, self._nets, strict=True):
            training = fit.fitting.training
            training.begins(self._first.size, False)
            for name, array in own.items():
                if name != "grads" or training.memory.without_gradients is None:
                    targets.append(fit.arrays[name])
                    sources.append(np.ascontiguousarray(array))
        copy_arrays(targets, sources)
        for fit, curve in zip(self._fits, losses.T.tolist(), strict=True):
            fit.history.loss += curve

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def _record(self, rows: int) -> tuple[Tape, Tape]:
        """Return what brings so many rows of each net, and the step."""
        gather, step, k = Tape(), Tape(), self._k
        at = self._room(rows, self._x.shape[2], NETS)
        k.lanes_gather(self._x, self._index, self._cursor, at, gather)
        run, passed, rectified = Run(step, rows, {}, True), list[Any](), False
        for layer, relu, (w, b), gradients in self._layers():  # forward
            x, is_rectified, rectified = at, rectified, relu
            if w is not None:
                at = self._room(rows, w.shape[1], NETS)
                k.lanes_dense_forward(x, w, b, at, relu, tape=step)
            else:
                if not passed or passed[-1][1] is None or "x" in layer.code.saved:
                    at = self._room(*x.shape)
                layer._forward(_flat(x), _flat(at), run)
            passed.append((layer, w, gradients, x, at, is_rectified))
        value_and_grad = self._value_and_grad if self._losses_in_lanes else self._each_value_and_grad
        dy: Any = value_and_grad(at, gather, step)
        for layer, w, (dw, db), x, y, is_rectified in reversed(passed):  # backward
            if w is None:
                layer._backward(_flat(x), _flat(y), _flat(dy), _flat(dy), run)
                continue
            dx = None if x is passed[0][3] else self._room(*x.shape)
            k.lanes_dense_backward(x, w, dy, dx, dw, db, is_rectified, tape=step)
            dy = dx
        if self._apart is not None:
            self._turn(self._grads.reshape(-1, NETS), self._apart[1], step)
        for rule, own in self._updates:
            params, grads, state = own["params"], own["grads"], {**own}
            del state["params"], state["grads"]
            rule._advance(state, params, step)
            rule._step(params, grads, state, step)
        if self._apart is not None:
            self._turn(self._apart[0], self._params.reshape(-1, NETS), step)
        return gather, step

    def _layers(self) -> Iterator[tuple[Any, bool, Sequence[Array | None], Sequence[Array | None]]]:
        """Yield what runs, with its parameters and their gradients: of an activation None.

        relu between two dense layers is computed by these, forward and backward: with them stands whether it follows.
        """
        start, row = 0, self._fits[0].row
        fused = {
            i
            for i in range(1, len(row) - 1)
            if row[i].kernel == "relu" and type(row[i - 1]) is type(row[i + 1]) is Dense
        }
        for i, layer in enumerate(row):
            if i in fused:
                continue
            found: list[list[Array | None]] = [[], []]
            for array in (layer.w, layer.b) if isinstance(layer, Dense) else (None, None):
                for flat, views in zip((self._params, self._grads), found, strict=True):
                    part = None if array is None else flat[start * NETS : (start + array.size) * NETS]
                    views.append(part if part is None or array is None else part.reshape(*array.shape, NETS))
                start += 0 if array is None else array.size
            yield layer, i + 1 in fused, *found

    def _value_and_grad(self, y: Array, gather: Tape, tape: Tape) -> Array:
        """Record the losses, and return the gradient of y."""
        k, values, dy = self._k, self._values, self._room(*y.shape)
        target = _sets(self._targets)
        target = target.reshape(*target.shape[:2], -1).astype(y.dtype, copy=False)
        t = self._room(len(y), target.shape[2], NETS)
        k.lanes_gather(target, self._index, self._cursor, t, gather)
        if self._fits[0].loss_kernel == _OF_LABELS:
            k.lanes_cross_entropy(y, t.reshape(-1, NETS), dy, values, tape)
        else:
            each = self._room(*y.shape)
            self._fits[0].loss._run(_flat(y), _flat(t), None, _flat(dy), self._sum, tape, each=_flat(each), total=True)
            k.scale(dy.reshape(-1), 1 / (y.shape[0] * y.shape[1]), tape)
            k.lanes_mean(each.reshape(-1, NETS), values, tape)
        kernels.float64.guard_numbers(values[: len(self._fits)], tape)
        return dy

    def _each_value_and_grad(self, y: Array, gather: Tape, tape: Tape) -> Array:
        """Record the losses net by net, and return the gradient of y."""
        (rows, n, _), dy = y.shape, self._room(*y.shape)
        own, slopes = self._room(NETS, rows, n), self._room(NETS, rows, n)
        self._turn(y.reshape(-1, NETS), _flat(own), tape)
        for i, fit in enumerate(self._fits):
            t, w = (self._brought(data[i], i, rows, gather) for data in (self._targets, self._weights))
            fit.loss.compute(own[i], t, w, slopes[i], self._values[i : i + 1], tape)
        self._turn(_flat(slopes), dy.reshape(-1, NETS), tape)
        kernels.float64.guard_numbers(self._values[: len(self._fits)], tape)
        return dy

    def _brought(self, data: Array | None, i: int, rows: int, tape: Tape) -> Any:
        """Record what brings the rows of one net, and return where to."""
        if data is None:
            return None
        into = np.zeros((rows, *data.shape[1:]), data.dtype)
        (self._k.gather_labels if data.ndim == 1 else self._k.gather_rows)(
            data, self._index[i], self._cursor, into, tape
        )
        return into

    def _turn(self, a: Array, b: Array, tape: Tape) -> None:
        """Record b = a.T, of matrices of which one has lanes as columns, and the other as rows."""
        self._k.gather_rows(a.T, np.arange(len(b)), _BEGIN, b, tape)


def _of_lane(array: Array, i: int, n: int) -> Array:
    """Return what one net has of an array of parameters; of others all."""
    return array.reshape(n, NETS)[:, i] if array.shape == (n * NETS,) else array


def _sets(arrays: Sequence[Array]) -> Array:
    """Return the rows of all nets, or those that they have in common."""
    first = np.ascontiguousarray(arrays[0])
    return first[None] if all(a is arrays[0] or np.array_equal(a, first) for a in arrays) else np.stack(arrays)


def _flat(array: Array) -> Array:
    return array.reshape(len(array), -1)
