"""What a fit is asked for: its options, checked."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fastnn import threads
from fastnn.callbacks.calls import NO_CALLS, Calls, as_callbacks
from fastnn.checks import count, flag, number_of
from fastnn.feeds.augmentation import as_functions
from fastnn.splits import as_split
from fastnn.training.progress import Progress

if TYPE_CHECKING:
    from fastnn._core.team import Stop
    from fastnn.losses import Loss
    from fastnn.metrics.contract import Asked

_STEPS, _LEAST, _MOST, _MOST_ROWS = 4000, 10, 1000, 1_000_000  # of fits for which nobody says how many epochs


class _Default(int):
    """A number that nobody has asked for."""


BATCH_SIZE = _Default(32)  # the rows of a step


class FitOptions:
    """What a fit is asked for beside its data, loss and optimizer: as in `Model.fit`, checked.

    Attributes
    ----------
    epochs : int or None
    batch_size : int or None
        As it is given: `BATCH_SIZE` where nobody has asked.
    calls : Calls
        The callbacks.
    asked_metrics : object
        As they are given; None where there are none.
    metrics : tuple of Asked
        Those of the loss that is trained with, which `choose` makes of them.
    split : Split or None
        What sets rows aside for validation.
    augment : tuple
        What changes batches.
    validates : bool
        Whether there are validation data.
    progress : Progress
    stop : Stop or None
        Ends the fit as Ctrl-C does, where another thread sets it.
    resume : bool
    """

    __slots__ = (
        "asked_metrics",
        "augment",
        "batch_size",
        "calls",
        "class_weight",
        "epochs",
        "metrics",
        "n_threads",
        "progress",
        "resume",
        "sample_weight",
        "shuffle",
        "split",
        "stop",
        "validates",
        "validation_data",
    )

    def __init__(
        self,
        epochs: Any = None,
        batch_size: Any = BATCH_SIZE,
        shuffle: Any = True,
        validation_data: Any = None,
        sample_weight: Any = None,
        callbacks: Any = (),
        verbose: Any = "auto",
        n_threads: Any = None,
        metrics: Any = (),
        validation_split: Any = None,
        class_weight: Any = None,
        augment: Any = None,
        stop: Stop | None = None,
        resume: Any = False,
    ) -> None:
        self.epochs = None if epochs is None else count("epochs", epochs, 0)
        self.shuffle = shuffle if isinstance(shuffle, bool) else flag("shuffle", shuffle)
        self.batch_size = None if batch_size is None else count("batch_size", batch_size)
        if batch_size is BATCH_SIZE:
            self.batch_size = BATCH_SIZE
        self.progress = Progress(self.epochs or 0, verbose)
        self.validation_data, self.sample_weight, self.stop = validation_data, sample_weight, stop
        self.class_weight = class_weight
        self.split = None if validation_split is None else as_split(validation_split)
        self.validates = validation_data is not None or self.split is not None
        if self.split is not None and validation_data is not None:
            raise ValueError("validation_split is given, and validation_data, too, expected one of them")
        self.asked_metrics = None if isinstance(metrics, tuple) and not metrics else metrics
        self.metrics: tuple[Asked, ...] = ()
        self.calls = NO_CALLS if callbacks == () else Calls(as_callbacks(callbacks))
        self.n_threads = threads.check(n_threads)
        self.augment = as_functions(augment)
        self.resume = resume if isinstance(resume, bool) else flag("resume", resume)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for but how many epochs, of rows in what order, and what these weigh."""
        more = (self.validation_data, self.split)
        looks = self.calls.all or self.augment or self.asked_metrics is not None
        return not (looks or self.resume) and all(part is None for part in more)

    @property
    def weighs(self) -> bool:
        """Whether rows weigh something."""
        return self.sample_weight is not None or self.class_weight is not None

    def choose(self, loss: Loss) -> None:
        """Check what is asked of a fit with this loss: its metrics, and what callbacks watch."""
        if self.asked_metrics is not None:
            self.metrics = loss.choose_metrics(self.asked_metrics)
        if self.calls.all:
            self.calls.require(self.modes())

    def modes(self) -> dict[str, str]:
        """Return what will be logged, and whether smaller or larger is better: "min", "max", or "" for unknown."""
        found = {"loss": "min"}
        if self.validates:
            found["val_loss"] = "min"
        for name, metric, _ in self.metrics:
            better = metric.larger_is_better
            found[name] = "" if better is None else "max" if better else "min"
            if "val_loss" in found:
                found[f"val_{name}"] = found[name]
        return found


def default_epochs_of_batches(steps: int | None, once: bool) -> tuple[int, str]:
    """Return how many epochs train with so many batches in each, of unknown size, and why, in words."""
    if once:
        return 1, "the default where batches can be gone through once"
    if steps is None:
        return _LEAST, "the default where nobody knows how many batches there are"
    return min(max(_LEAST, -(-_STEPS // steps)), _MOST), f"the default for batches: at least {_STEPS:,} steps"


def default_epochs(rows: int, batch: int) -> tuple[int, str]:
    """Return how many epochs train a net on so many rows with batches of so many, and why, in words.

    As many as make 4,000 steps, by which small data are learnt with the default optimizer (docs/performance.md): at
    most 1,000, and never so many that more than 1,000,000 rows are gone over, but at least 10.
    """
    wanted = -(-_STEPS // -(-rows // batch))
    epochs, rule = min(
        (wanted, f"at least {_STEPS:,} steps"),
        (_MOST, f"at most {_MOST:,} epochs"),
        (_MOST_ROWS // rows, f"at most {_MOST_ROWS:,} rows"),
        key=itemgetter(0),
    )
    if epochs <= _LEAST:
        epochs, rule = _LEAST, f"at least {_LEAST} epochs"
    return epochs, f"the default for {number_of(rows, 'row')}: {rule}"
