"""Small nets of one kind, trained by the same steps: in these, each number is a vector with one of each net, its lane.

The fits are those of `Fitting`, one inside the other: where the last one is to begin its epochs, all of them are ready.
Which nets have anything to gain says `kind_of`. Bits are those of each net alone: sums are in the same order
(gemm/lanes.h), and what activations, optimizers and losses of numbers do to one does not depend on where it lies. What
goes wrong in some net goes wrong there again: it is trained alone then, from where its fit began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Ledger, Tape, copy_arrays, run_epochs
from fastnn.arena import Arena, Array
from fastnn.arrays import all_finite
from fastnn.layers.activation import Activation
from fastnn.layers.dense import Dense
from fastnn.layers.passes import Run
from fastnn.losses import CrossEntropy, Loss
from fastnn.losses.reduction import Reduced
from fastnn.settings import moving_numbers
from fastnn.signatures import is_ours
from fastnn.training.epochs import Fit
from fastnn.training.fitting import Fitting
from fastnn.training.options import FitOptions
from fastnn.training.plan import EpochPlan, Plan

if TYPE_CHECKING:
    from fastnn._core.team import Stop, Team
    from fastnn.optimizers import Optimizer
    from fastnn.training.trainer import Trainer

NETS = 16  # side by side
LEAST = 12  # that gain by it, beside empty lanes
_LEAST_STEPS = 50  # that gain what it takes to record them: of other nets, recordings are kept
_MOST_UNITS = 8  # of a layer: wider ones fill vectors by themselves
_MOST_NUMBERS = 320  # rows of a batch, times units of a layer on average: more fill vectors, and here leave the cache
_DOT_COLUMNS, _DOT_ROWS = 3, 64  # of dw of a layer with one input, from which on its sums may be dot products
_EPOCHS_IN_ONE_CALL = 1000  # each has a place for its losses in memory
_OF_LABELS = "cross_entropy_labels_from_logits"
_OF_NUMBERS = {
    "mse", "mae", "huber", "smooth_l1", "log_cosh", "msle", "mape", "expectile", "hinge", "squared_hinge",
    "binary_cross_entropy", "binary_cross_entropy_from_logits",
}  # fmt: skip


def kind_of(trainer: Trainer, options: Mapping[str, Any]) -> object:
    """Return what nets have in common that can be trained side by side; None for one that cannot."""
    try:
        return _kind_of(trainer, **options)
    except Exception:  # its own fit says what is wrong
        return None


def _kind_of(trainer: Trainer, x: Any, y: Any, loss: Any, optimizer: Any, **options: Any) -> object:
    tree = trainer.tree
    row = [element.layer for element in tree.elements]
    if not all(layer.units <= _MOST_UNITS for layer in row if isinstance(layer, Dense)):
        return None  # the most usual case first
    if not type(x) is type(y) is np.ndarray or x.ndim != 2 or not 0 < x.shape[1] <= _MOST_UNITS or not len(x):
        return None
    if tree.n_in not in (0, x.shape[1]):
        return None
    if kernels.selected == "baseline" or tree.dtype != np.float32 or tree.precision or trainer.restraints:
        return None
    asked = FitOptions(**options, verbose=False)
    rows = min(asked.batch_size or len(x), len(x))
    steps = -(-len(x) // rows) * (_LEAST_STEPS if asked.epochs is None else asked.epochs)
    widths = [x.shape[1], *(layer.units for layer in row if isinstance(layer, Dense))]
    if not asked.is_plain or steps < _LEAST_STEPS or rows * sum(widths) > _MOST_NUMBERS * len(widths):
        return None
    chosen, rule = trainer.choose_loss(loss), trainer.choose_optimizer(optimizer)
    if not (_is_exact(chosen, y) and is_ours(type(rule)) and rule.is_elementwise):
        return None
    if row[-1].kernel in chosen.fuses:
        row.pop()  # into the loss
    is_row = all(map(_is_possible, row)) and type(row[0]) is Dense and all(layer.trainable for layer in tree.all)
    if not is_row or moving_numbers([chosen, rule, *tree.all]):
        return None
    if rows >= _DOT_ROWS and any(n_in == 1 and n_out <= _DOT_COLUMNS for n_in, n_out in pairwise(widths)):
        return None
    return (
        (*map(_described, row), x.shape, y.shape, y.dtype, asked.epochs, asked.batch_size, asked.shuffle),
        *(f"{type(part)} {part.settings()}" for part in (chosen, rule)),
    )


def _is_exact(loss: Any, y: Array) -> bool:
    """Whether there is a form of a loss for lanes: of labels, or where it is the mean of losses of numbers."""
    if not is_ours(type(loss)) or not isinstance(loss, Reduced) or loss.weighs() or loss._options():
        return False
    if isinstance(loss, CrossEntropy):
        return y.ndim == 1 and loss.label_smoothing == 0
    return loss._kernel_name(y) in _OF_NUMBERS


def _is_possible(layer: Any) -> bool:
    """Whether a layer has a form for lanes."""
    if type(layer) is Dense:
        return bool(layer.units <= _MOST_UNITS)
    is_activation = isinstance(layer, Activation) and is_ours(type(layer))
    return is_activation and kernels.float64.activations[layer.kernel].elementwise


def _described(layer: Any) -> tuple[Any, ...]:
    if isinstance(layer, Dense):
        return layer.units, layer.bias
    return layer.kernel, *[float(cell[0]) for cell in layer._constants()]


def fit_lanes(trainers: Sequence[Trainer], given: Sequence[Mapping[str, Any]], stop: Stop) -> dict[int, Exception]:
    """Train models of one kind, each as its own fit would, and return the errors of those that have failed."""
    together = _Together(trainers, given, stop)
    try:
        together.begin(0)
        if together.interrupt is not None:
            raise together.interrupt
        return dict(together.errors)
    finally:  # fits know it, and tracebacks its frames: nobody but the collector would free the models
        together.fits.clear()
        together.errors.clear()
        together.interrupt = None


class _Together:
    """Fits, one inside the other."""

    def __init__(self, trainers: Sequence[Trainer], given: Sequence[Mapping[str, Any]], stop: Stop) -> None:
        self._trainers, self._given, self._stop = trainers, given, stop
        self.errors: dict[int, Exception] = {}
        self.fits: dict[int, LaneFit] = {}
        self.interrupt: KeyboardInterrupt | None = None

    def begin(self, i: int) -> None:
        """Begin the fits from one on, and train them all when the last one has begun."""
        if i == len(self._trainers):
            self._train()
            return
        trainer = self._trainers[i]
        try:
            trainer.claim.run(self._fit, i, trainer, **self._given[i])
        except Exception as error:
            self.errors[i] = error
        if i not in self.fits:
            self.begin(i + 1)

    def _fit(self, i: int, trainer: Trainer, x: Any, y: Any, loss: Any, optimizer: Any, **options: Any) -> None:
        asked = FitOptions(**options, verbose=False, n_threads=1, stop=self._stop)
        LaneFitting(trainer, x, y, loss, optimizer, asked, self._begins(i)).run()

    def _begins(self, i: int) -> Callable[[LaneFit], None]:
        def begins(fit: LaneFit) -> None:
            self.fits[i] = fit
            try:
                self.begin(i + 1)
            except KeyboardInterrupt as error:
                if not fit.trained:
                    raise
                self.interrupt = error  # of another, which was trained alone: this one has come to its end
                self._stop.set()

        return begins

    def _train(self) -> None:
        """Train side by side what can be: where losses of some are not finite, the others begin anew without these."""
        fits = [*self.fits.values()]
        while len(fits) >= LEAST and all(fit.is_like(fits[0]) for fit in fits):
            try:
                failed = Lanes(fits).run(self._stop)
            except Exception:  # as of memory that is not there: each finds it by itself
                return
            if not failed:
                for fit in fits:
                    fit.trained = True
                return
            fits = [fit for fit in fits if fit not in failed]


class LaneFitting(Fitting):
    """A fit that records no steps of its own as long as others may take them."""

    def __init__(
        self,
        trainer: Trainer,
        x: Array,
        y: Array,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        options: FitOptions,
        begins: Callable[[LaneFit], None],
    ) -> None:
        super().__init__(trainer, x, y, loss, optimizer, options)
        self.begins = begins

    @property
    def size(self) -> int:
        """How many rows a batch has."""
        return min(self._rows or self.n_rows, self.n_rows)

    @property
    def n_batches(self) -> int:
        return -(-self.n_rows // self.size)

    @property
    def chunks(self) -> int:
        return 0

    @property
    def data(self) -> tuple[Array, Array, Array | None]:
        """The rows, their targets and weights."""
        return self._data[:3]

    def _plans(self, epochs: int, anew: bool = True) -> tuple[Plan, EpochPlan]:
        return None, None  # type: ignore[return-value]

    def record(self) -> None:
        """Record steps of its own."""
        self.plan, self.epoch_plan = super()._plans(self.epochs)

    def _put_plan_back(self) -> None:
        if self.plan is not None:
            super()._put_plan_back()

    @property
    def _fit_class(self) -> type[Fit]:
        return LaneFit


class LaneFit(Fit):
    """The epochs of one fit, which may be those of a lane."""

    fitting: LaneFitting
    trained = False  # in its lane

    def run(self, team: Team) -> None:
        """Let the other fits begin, and train alone where that has not trained this one."""
        start = time.perf_counter()
        self.fitting.begins(self)
        if not self.trained:
            self.fitting.record()
            super().run(team)
            return
        self.history.seconds = time.perf_counter() - start
        self.history.why, self.history.who_asked = "", self.fitting.who_asked

    @property
    def order(self) -> int:
        """The seed of the order of rows."""
        return self._order[1]

    @property
    def arrays(self) -> dict[str, Array]:
        """What a step changes, by name."""
        training = self.fitting.training
        memory = training.memory
        return {"params": memory.params, "grads": memory.grads, **training.update.state}

    @property
    def row(self) -> list[Any]:
        """The layers that run one after the other."""
        stages: Any = self.fitting.training.chain.stages
        found = [(stage.layer, getattr(stage, "activation", None)) for stage in stages]
        return [layer for pair in found for layer in pair if layer is not None]

    @property
    def loss_kernel(self) -> str:
        """That of the loss behind these."""
        return self.fitting.training.loss._kernel_name(self.fitting.data[1])

    def is_like(self, other: LaneFit) -> bool:
        """Whether the same steps can train both: what is no array of parameters has to be the same."""
        size, own, its = self.fitting.training.memory.params.size, self.arrays, other.arrays
        mine, others = self.fitting.data, other.fitting.data
        same_data = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(mine[:2], others[:2], strict=True))
        has_form = self.loss_kernel in {_OF_LABELS, *_OF_NUMBERS} and all(map(_is_possible, self.row))
        return same_data and has_form and mine[2] is None and all(
            its[name].shape == array.shape and (array.shape == (size,) or its[name].tobytes() == array.tobytes())
            for name, array in own.items()
        )  # fmt: skip


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
        self._optimizer, self._k, self._dtype = training.update.optimizer, kernels.of(x.dtype), x.dtype
        n = training.memory.params.size
        self._params, self._grads = self._room(n * NETS), self._room(n * NETS)
        self._state = self._optimizer._remembers(self._params)
        self._own = {"params": self._params, "grads": self._grads, **self._state}
        for name, array in self._own.items():
            of_nets = [fit.arrays[name] for fit in fits]
            if array.shape == (n * NETS,):
                array.reshape(n, NETS)[:, : len(fits)] = np.stack(of_nets, axis=1)
            else:
                array[...] = of_nets[0]
        self._index, self._cursor = np.tile(np.arange(len(x)), (NETS, 1)), np.zeros(1, np.int64)
        self._values, self._sum = np.zeros(NETS), np.zeros(1)
        self._x, target = _sets([fit.fitting.data[0] for fit in fits]), _sets([fit.fitting.data[1] for fit in fits])
        self._target = target.reshape(len(target), len(x), -1).astype(x.dtype, copy=False)

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
        for fit in self._fits:
            fit.fitting.training.begins(self._first.size, False)
        for name, array in self._own.items():
            if name == "grads" and self._first.training.memory.without_gradients is not None:
                continue
            is_lanes = array.size == self._params.size
            columns: Any = np.ascontiguousarray(array.reshape(-1, NETS).T) if is_lanes else [array] * NETS
            for fit, own in zip(self._fits, columns, strict=False):
                targets.append(fit.arrays[name])
                sources.append(own)
        copy_arrays(targets, sources)
        for fit, curve in zip(self._fits, losses.T.tolist(), strict=True):
            fit.history.loss += curve

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def _record(self, rows: int) -> tuple[Tape, Tape]:
        """Return what brings so many rows of each net, and the step."""
        gather, step, k = Tape(), Tape(), self._k
        at, t = self._room(rows, self._x.shape[2], NETS), self._room(rows, self._target.shape[2], NETS)
        k.lanes_gather(self._x, self._index, self._cursor, at, gather)
        k.lanes_gather(self._target, self._index, self._cursor, t, gather)
        run, passed = Run(step, rows, {}, True), list[Any]()
        for layer, (w, b), gradients in self._layers():  # forward
            x = at
            if w is not None:
                at = self._room(rows, w.shape[1], NETS)
                k.lanes_dense_forward(x, w, b, at, step)
            else:
                if not passed or passed[-1][1] is None or "x" in layer.code.saved:
                    at = self._room(*x.shape)
                layer._forward(_flat(x), _flat(at), run)
            passed.append((layer, w, gradients, x, at))
        dy: Any = self._slopes(at, t, step)
        for layer, w, (dw, db), x, y in reversed(passed):  # backward
            if w is None:
                layer._backward(_flat(x), _flat(y), _flat(dy), _flat(dy), run)
                continue
            dx = None if x is passed[0][3] else self._room(*x.shape)
            k.lanes_dense_backward(x, w, dy, dx, dw, db, step)
            dy = dx
        self._optimizer._advance(self._state, self._params, step)
        self._optimizer._step(self._params, self._grads, self._state, step)
        return gather, step

    def _layers(self) -> Iterator[tuple[Any, Sequence[Array | None], Sequence[Array | None]]]:
        """Yield what runs, with its parameters and their gradients: of an activation None."""
        start = 0
        for layer in self._fits[0].row:
            found: list[list[Array | None]] = [[], []]
            for array in (layer.w, layer.b) if isinstance(layer, Dense) else (None, None):
                for flat, views in zip((self._params, self._grads), found, strict=True):
                    part = None if array is None else flat[start * NETS : (start + array.size) * NETS]
                    views.append(part if part is None or array is None else part.reshape(*array.shape, NETS))
                start += 0 if array is None else array.size
            yield layer, *found

    def _slopes(self, y: Array, t: Array, tape: Tape) -> Array:
        """Record the losses, and return the gradient of y."""
        k, values, dy = self._k, self._values, self._room(*y.shape)
        if self._fits[0].loss_kernel == _OF_LABELS:
            k.lanes_cross_entropy(y, t.reshape(-1, NETS), dy, values, tape)
        else:
            each = self._room(*y.shape)
            self._first.training.loss._run(
                _flat(y), _flat(t), None, _flat(dy), self._sum, tape, each=_flat(each), total=True
            )
            k.scale(dy.reshape(-1), 1 / (y.shape[0] * y.shape[1]), tape)
            k.lanes_mean(each.reshape(-1, NETS), values, tape)
        kernels.float64.guard_numbers(values[: len(self._fits)], tape)
        return dy


def _sets(arrays: Sequence[Array]) -> Array:
    """Return the rows of all nets, or those that they have in common."""
    first = np.ascontiguousarray(arrays[0])
    return first[None] if all(a is arrays[0] or np.array_equal(a, first) for a in arrays) else np.stack(arrays)


def _flat(array: Array) -> Array:
    return array.reshape(len(array), -1)
