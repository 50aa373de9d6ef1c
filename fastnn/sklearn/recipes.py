"""What net is trained on a table, and how: plain data, chosen by the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from fastnn.callbacks.monitoring import Monitoring
from fastnn.checks import warn
from fastnn.initializers import normal
from fastnn.layers import (
    BatchEnsemble,
    Columns,
    Dense,
    Dropout,
    Embedding,
    GroupedDense,
    Layer,
    MeanOfMembers,
    Members,
    Parallel,
    ParametricActivation,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    Scale,
    Sequential,
    Softmax,
    activations,
)
from fastnn.losses import MSE, CrossEntropy, Loss
from fastnn.model import Model
from fastnn.optimizers import Adam, AdamW, Group, Optimizer
from fastnn.schedules import Coslog, FlatThenDecay
from fastnn.training.state import Snapshot

FEW = 64  # rows up to which all are one batch, without validation
_SOME = 150  # rows, below which nets are plain ones
_MANY = 1000  # rows from which labels are smoothed
_EMBEDDED = 8  # numbers that stand for a value of a category


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how: RealMLP's form (Holzmüller, Grinsztajn & Steinwart 2024).

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers.
    classes, numbers : str
        The activation where the targets are classes, and where they are numbers.
    rate_classes, rate_numbers : float
        The learning rates, of the NTK form but for TabM.
    epochs : int
    row_budget : int
        So many rows are gone over in all epochs at most.
    least_epochs : int
        Whatever the budget says.
    dropout, decay, smoothing : float
        Rates of dropout behind activations, of decoupled weight decay, and of label smoothing. The first two stay for
        half of the fit, then fall to 0; those of TabM stay.
    parametric : bool
        Whether each unit learns how much of its activation it wants (`fastnn.ParametricActivation`).
    embedding : {"", "pbld", "plr", "piecewise"}
        What numbers are embedded by.
    embedded : int
        How many numbers one becomes by the last two.
    factor_rate, bias_rate, periodic_rate : float
        What the learning rate is multiplied by for the factors of columns, for biases, and for embeddings of numbers.
    nets : int
        How many nets are trained, those of the others among them; the prediction is their mean.
    folds : bool
        Whether each net is validated on a part of its own of the rows, else all on the same part.
    refit_below : int
        A single net is trained anew on all rows where there are fewer, for as many epochs as the validation chose.
    watch : str
        By what the epoch is chosen for classes: "loss" or "accuracy".
    clip : bool
        Whether predictions stay in the range of the targets of the fit.
    batch_size : int or None
        Rows of a step; None is by how many there are.
    members : int
        Above 0 a net is TabM (Gorishniy, Kotelnikov & Babenko 2025): so many members that share all weights but vectors
        of their own, of relu units, trained by AdamW without the factors above, whose rate stays for 3 tenths of the
        fit and falls to 0.
    others : tuple of Recipe
        By which nets are trained besides, in turn, on the same folds: nets of several forms err in several ways.
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    classes: str = "selu"
    numbers: str = "mish"
    rate_classes: float = 0.04
    rate_numbers: float = 0.07
    epochs: int = 256
    row_budget: int = 3_000_000
    least_epochs: int = 20
    dropout: float = 0.0
    decay: float = 0.0
    smoothing: float = 0.0
    parametric: bool = False
    embedding: str = ""
    embedded: int = 12
    factor_rate: float = 6.0
    periodic_rate: float = 0.1
    bias_rate: float = 0.1
    nets: int = 4
    folds: bool = True
    refit_below: int = 0
    watch: str = "loss"
    clip: bool = False
    batch_size: int | None = None
    members: int = 0
    others: tuple[Recipe, ...] = ()

    def epochs_for(self, rows: int) -> int:
        """Return how many epochs there are for so many rows."""
        return min(self.epochs, max(self.least_epochs, self.row_budget // max(rows, 1)))

    def batch_for(self, rows: int) -> int:
        """Return how many rows a step takes: batches of about the same size."""
        wanted = self.batch_size or _batch_size(rows)
        return -(-rows // max(1, round(rows / wanted)))


def _batch_size(rows: int) -> int:
    return next((size for most, size in _BATCHES if rows <= most), 1024)


_BATCHES = ((FEW, FEW), (1024, 64), (8192, 128), (30_000, 256), (100_000, 512))

# What numbers are embedded by has the whole rate: at a tenth of it, bins move too little to be worth their time.
_TABM = Recipe(
    (128, 128),
    members=4,
    embedding="piecewise",
    embedded=4,
    rate_classes=4e-3,
    rate_numbers=4e-3,
    dropout=0.1,
    decay=3e-4,
    epochs=64,
    row_budget=1_000_000,
    least_epochs=12,
)
_PLAIN = Recipe((128, 128, 128), epochs=128, row_budget=2_000_000)
_REGULAR = replace(_PLAIN, dropout=0.15, decay=0.02)

PRESETS = {
    "fast": Recipe((64, 64), nets=3, epochs=64, row_budget=300_000, least_epochs=8, refit_below=2000),
    "balanced": _TABM,
    "best": replace(
        _TABM,
        nets=15,
        row_budget=2_000_000,
        least_epochs=20,
        clip=True,
        others=(
            replace(_REGULAR, embedding="piecewise", embedded=4, periodic_rate=1.0),
            replace(_REGULAR, embedding="pbld", parametric=True),
        ),
    ),
}
_OF_FEW = {"fast": PRESETS["fast"], "balanced": _PLAIN, "best": replace(_PLAIN, nets=8, clip=True)}


def recipe_for(preset: str, rows: int) -> Recipe:
    """Return the recipe of a preset for so many rows."""
    if rows <= FEW:
        return replace(_OF_FEW[preset], folds=False, refit_below=0)
    if rows < _SOME:
        return _OF_FEW[preset]
    recipe = PRESETS[preset]
    if rows >= _MANY:
        others = tuple(replace(other, smoothing=0.1) for other in recipe.others)
        recipe = replace(recipe, smoothing=0.1, others=others)
    return recipe


@dataclass(frozen=True)
class Task:
    """What is learnt, and from what.

    Parameters
    ----------
    outputs : int
        Classes, or numbers.
    of_classes : bool
    n_numbers, n_scaled : int
        Columns of the matrix that are numbers, and that are no codes.
    codes : tuple of int
        How many values each column of codes has: these come last.
    """

    outputs: int
    of_classes: bool
    n_numbers: int
    n_scaled: int
    codes: tuple[int, ...]


def _falling(rate: float) -> Any:
    """Return a rate that stays for half of a fit, then falls to 0."""
    return rate * FlatThenDecay(0.5) if rate else 0.0


def _front(recipe: Recipe, task: Task) -> tuple[list[Layer], int]:
    """Return the layers that make numbers of codes, and several of a number, and how many come out of them."""
    branches: list[Layer] = []
    width, others = 0, 0
    if recipe.embedding and task.n_numbers:
        layer: Layer = PBLDEmbedding() if recipe.embedding == "pbld" else PLREmbedding(recipe.embedded, lite=True)
        if recipe.embedding == "piecewise":
            layer = PiecewiseLinearEmbedding(recipe.embedded)
        others = task.n_numbers
        width += others * (4 if recipe.embedding == "pbld" else recipe.embedded)
        branches.append(Sequential([Columns(slice(0, others)), layer]))
    if task.n_scaled > others:
        branches.append(Columns(slice(others, task.n_scaled)))
        width += task.n_scaled - others
    if task.codes:
        codes = Columns(slice(task.n_scaled, task.n_scaled + len(task.codes)))
        branches.append(Sequential([codes, Embedding(dict(enumerate(task.codes)), _EMBEDDED)]))
        width += _EMBEDDED * len(task.codes)
    if not branches or (len(branches) == 1 and isinstance(branches[0], Columns)):
        return [], max(1, task.n_scaled)
    return ([Parallel(branches)] if len(branches) > 1 else branches), width


def build(recipe: Recipe, task: Task, seed: int, dtype: str, precision: str | None = None) -> Model:
    """Return a net that has learnt nothing."""
    layers, width = _front(recipe, task)
    if recipe.members:
        return Model([*layers, *_members(recipe, task)], seed, dtype, precision=precision)
    name = recipe.classes if task.of_classes else recipe.numbers
    layers.append(Scale())
    for units in recipe.hidden:
        layers.append(Dense(units, weight_initializer=normal(std=1 / sqrt(width)), bias_initializer=normal(std=1.0)))
        layers.append(ParametricActivation(name) if recipe.parametric else activations.get(name))
        if recipe.dropout:
            layers.append(Dropout(_falling(recipe.dropout)))
        width = units
    layers.append(Dense(task.outputs, weight_initializer="zeros"))
    if task.of_classes:
        layers.append(Softmax())
    return Model(layers, seed, dtype, precision=precision)


def _members(recipe: Recipe, task: Task) -> list[Layer]:
    """Return the layers of TabM behind what numbers are embedded by."""
    k = recipe.members
    layers: list[Layer] = [Members(k)]
    first: Any = normal(std=1.0) if (recipe.embedding and task.n_numbers) or task.codes else "signs"
    for units in recipe.hidden:
        layers += [BatchEnsemble(units, k, "relu", r_initializer=first), Dropout(recipe.dropout)]
        first = "ones"
    return [*layers, GroupedDense(task.outputs, k), MeanOfMembers(k, "softmax" if task.of_classes else None)]


def optimizer_for(recipe: Recipe, task: Task, net: Model) -> Optimizer:
    """Return Adam with the rates of the NTK form: z = x W / √m is W ~ N(0, 1/m) with a rate that is 1 / √m of it."""
    rate: Any = recipe.rate_classes if task.of_classes else recipe.rate_numbers
    if recipe.members:
        return AdamW(rate * FlatThenDecay(0.3), weight_decay=recipe.decay, clip_norm=1.0)
    _, width = _front(recipe, task)
    groups = []
    for i, layer in enumerate(net.layers):
        if isinstance(layer, (Parallel, Sequential)):
            names = {"": "", "pbld": "wcvb"}.get(recipe.embedding, "wvb") if task.n_numbers else ""
            groups += [Group(f"{i}.*.{name}", recipe.periodic_rate) for name in names]
        elif isinstance(layer, Scale):
            groups.append(Group(f"{i}.s", recipe.factor_rate))
        elif isinstance(layer, Dense):
            own = _falling(recipe.decay * sqrt(width)) if recipe.decay else None
            groups.append(Group(f"{i}.w", 1 / sqrt(width), own))
            width = layer.units
    groups.append(Group("biases", recipe.bias_rate, 0.0 if recipe.decay else None))
    return Adam(rate * Coslog(4), 0.9, 0.95, 1e-8, _falling(recipe.decay), bool(recipe.decay), groups=groups)


def loss_for(recipe: Recipe, task: Task) -> Loss:
    """Return what is made small."""
    return CrossEntropy(label_smoothing=recipe.smoothing) if task.of_classes else MSE()


class LastBest(Monitoring):
    """Return to the last of the best epochs when the fit ends; it never ends one.

    Parameters
    ----------
    monitor, mode : str
        As of `fastnn.EarlyStopping`.
    score : callable or None
        The number itself, of the net, where nothing else logs it. Where it is NaN in all epochs, the least validation
        loss is the best one, with a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.sklearn.recipes import LastBest
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> best = LastBest("val_loss")
    >>> history = Model([Dense(1)], seed=0).fit(x, x, epochs=5, validation_data=(x, x), callbacks=[best])
    >>> best.best_epoch
    4
    """

    sees_all = True

    def __init__(self, monitor: str, mode: str | None = None, score: Callable[[Model], float] | None = None) -> None:
        super().__init__(monitor, mode)
        self.score = score

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        if self.score is None:
            super().require(modes, is_open)

    def _forget(self) -> None:
        super()._forget()
        self._kept: Snapshot | None = None
        self._by_loss: tuple[float, int, Snapshot] | None = None

    @property
    def holds_best(self) -> bool:
        return self._kept is not None

    def begin(self, model: Model) -> None:
        """Forget the fit before."""
        self._forget()

    def __call__(self, model: Model, epoch: int, logs: Any) -> bool:
        """Keep the state where the number is the best so far, or as good."""
        if self.score is not None:
            logs[self.monitor] = self.score(model)
        value = self._number(logs)
        if self.score is not None and np.isnan(value) and self._kept is None:
            loss = float(logs["val_loss"])
            if self._by_loss is None or loss <= self._by_loss[0]:
                self._by_loss = loss, epoch, model.snapshot()
        if value == self.best or self._is_better(value, self.best):
            self.best, self.best_epoch, self._kept = value, epoch, model.snapshot()
        return False

    def end(self, model: Model) -> None:
        """Give the best state back."""
        state, self._kept = self._kept, None
        if state is None and self._by_loss is not None:
            _, self.best_epoch, state = self._by_loss
            why = getattr(self.score, "why", "it was NaN")
            warn(f"scoring gave no number in any epoch, so the validation loss has chosen: {why}")
        self._by_loss = None
        if state is not None:
            model.restore(state)
