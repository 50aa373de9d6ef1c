"""Small nets of one kind, trained by the same steps: in these, each number is a vector with one of each net, its lane.

The fits are those of `Fitting`, one inside the other: where the last one is to begin its epochs, all of them are ready.
Which nets have anything to gain says `kind_of`. Bits are those of each net alone: sums are in the same order
(gemm/lanes.h), what activations, optimizers and losses of numbers do to one does not depend on where it lies, and what
else there is is done net by net. What goes wrong in some net goes wrong there again: it is trained alone then, from
where its fit began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.layers.activation import Activation
from fastnn.layers.dense import Dense
from fastnn.losses import Loss
from fastnn.losses.reduction import Reduced
from fastnn.settings import moving_numbers
from fastnn.signatures import is_ours
from fastnn.training.epochs import Fit
from fastnn.training.fitting import Fitting
from fastnn.training.lane_steps import Lanes, has_lanes
from fastnn.training.options import FitOptions
from fastnn.training.plan import EpochPlan, Plan

if TYPE_CHECKING:
    from fastnn._core.team import Stop, Team
    from fastnn.optimizers import Optimizer
    from fastnn.training.trainer import Trainer

LEAST = 12  # that gain by it, beside empty lanes
_LEAST_STEPS = 50  # that gain what it takes to record them,
_LEAST_STEPS_AGAIN = 120  # where nets have trained before: alone they keep what they have recorded
_MOST_UNITS = 8  # of a layer: wider ones fill vectors by themselves
_MOST_NUMBERS = 320  # rows of a batch, times units of a layer on average: more fill vectors, and here leave the cache
_MOST_OUTPUTS = 256  # rows times columns of which losses are computed net by net: more are no faster than nets alone
_MOST_MEAN_WIDTH = 5  # of layers of nets whose losses and steps are both computed net by net: neither are these
_DOT_COLUMNS, _DOT_ROWS = 3, 64  # of dw of a layer with one input, from which on its sums may be dot products


def kind_of(trainer: Trainer, options: Mapping[str, Any]) -> tuple[object, str] | None:
    """Return what nets have in common that can be trained side by side; None for one that cannot.

    With it comes a text of settings of the optimizer: nets that have these in common, too, gain more.
    """
    try:
        return _kind_of(trainer, **options)
    except Exception:  # its own fit says what is wrong
        return None


def _kind_of(trainer: Trainer, x: Any, y: Any, loss: Any, optimizer: Any, **options: Any) -> tuple[object, str] | None:
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
    least = _LEAST_STEPS_AGAIN if trainer.has_trained else _LEAST_STEPS
    steps = -(-len(x) // rows) * (least if asked.epochs is None else asked.epochs)
    widths = [x.shape[1], *(layer.units for layer in row if isinstance(layer, Dense))]
    if not asked.is_plain or steps < least or rows * sum(widths) > _MOST_NUMBERS * len(widths):
        return None
    chosen, rule = trainer.choose_loss(loss), trainer.choose_optimizer(optimizer)
    if not (_is_kernels(chosen) and is_ours(type(rule)) and rule.is_elementwise):
        return None
    if row[-1].kernel in chosen.fuses:
        row.pop()  # into the loss
    is_row = all(map(_is_possible, row)) and type(row[0]) is Dense and all(layer.trainable for layer in tree.all)
    if not is_row or moving_numbers([chosen, rule, *tree.all]):
        return None
    if rows >= _DOT_ROWS and any(n_in == 1 and n_out <= _DOT_COLUMNS for n_in, n_out in pairwise(widths)):
        return None
    settings, weighs = _settings_of(rule), asked.weighs or chosen.weighs()
    in_lanes = has_lanes(chosen, y) and not weighs
    if not in_lanes and rows * widths[-1] > _MOST_OUTPUTS:
        return None
    kind = (*map(_described, row), x.shape, y.shape, y.dtype, asked.epochs, asked.batch_size, asked.shuffle, weighs)
    is_wide = not in_lanes and sum(widths) > _MOST_MEAN_WIDTH * len(widths)
    return (*kind, _settings_of(chosen), settings if is_wide else None), settings


def _settings_of(part: Any) -> str:
    return f"{type(part)} {part.settings()}"


def _is_kernels(loss: Any) -> bool:
    """Whether a loss is a kernel that reads outputs, targets and weights alone."""
    return is_ours(type(loss)) and isinstance(loss, Reduced)


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
    def rule(self) -> Optimizer:
        """The optimizer."""
        return self._rule

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
    def loss(self) -> Loss:
        """The loss behind these."""
        return self.fitting.training.loss

    @property
    def loss_kernel(self) -> str:
        """That of the loss."""
        return self.loss._kernel_name(self.fitting.data[1])

    @property
    def rule(self) -> Optimizer:
        """What takes the steps."""
        return self.fitting.rule

    def is_like(self, other: LaneFit) -> bool:
        """Whether the same steps can train both."""
        same_data = all(map(_is_alike, self.fitting.data, other.fitting.data))
        is_usual = _is_kernels(self.loss) and all(map(_is_possible, self.row))
        return same_data and is_usual and self.loss_kernel == other.loss_kernel

    def takes_steps_of(self, other: LaneFit) -> bool:
        """Whether one optimizer can take the steps of both: what is no array of parameters has to be the same."""
        size, own, its = self.fitting.training.memory.params.size, self.arrays, other.arrays
        return _settings_of(self.rule) == _settings_of(other.rule) and all(
            its[name].shape == array.shape and (array.shape == (size,) or its[name].tobytes() == array.tobytes())
            for name, array in own.items()
        )


def _is_alike(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype
