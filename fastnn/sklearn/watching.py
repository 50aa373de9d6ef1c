"""What looks at a fit between its epochs: callbacks, and scorers of rows that are not trained with."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.metrics import check_scoring
from sklearn.utils.metaestimators import available_if

from fastnn.arena import Array
from fastnn.callbacks.calls import Calls, as_callbacks
from fastnn.sklearn.scores import as_score, cannot_score
from fastnn.training.batches import Batches, Limited

if TYPE_CHECKING:
    from fastnn.model import Model
    from fastnn.sklearn.extended import Extended
    from fastnn.sklearn.labels import Labels
    from fastnn.sklearn.loop import Validation
    from fastnn.training.plan import EpochPlan


class Watch:
    """The callbacks of one fit of an estimator: they are called with its net.

    Parameters
    ----------
    estimator : Extended
    data : tuple of ndarray
        x, y and the weights that are trained with.
    epochs : int
    validates : bool
        Whether there are rows to validate with.
    """

    def __init__(self, estimator: Extended, data: tuple[Any, Any, Any], epochs: int, validates: bool) -> None:
        self._estimator = estimator
        self.calls = calls = Calls(as_callbacks(estimator.callbacks))
        calls.attach(epochs, lambda: data)
        calls.require({"loss": "min", **({"val_loss": "min", "val_score": "max"} if validates else {})})
        self.stop = Limited(None, calls.limits) if calls.limits else None

    def between_batches(self, plan: EpochPlan, net: Model) -> Batches | None:
        """Return what callbacks are told of batches by, where one wants to know of them."""
        return Batches(plan, self.calls, net) if self.calls.in_batches else None

    def begin(self) -> None:
        """Begin the fit."""
        self.calls.begin(self._estimator.net_)

    def begin_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self.calls.begin_epoch(self._estimator.net_, epoch)

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> bool:
        """End an epoch, and return whether the fit ends with it."""
        net = self._estimator.net_
        history = net.history
        history.keep(logs)
        try:
            history.why = self.calls.end_epoch(net, epoch, logs)
        finally:
            history.keep(logs)
        self.calls.looked()
        return bool(history.why) or self.is_over()

    def is_over(self) -> bool:
        """Whether a limit has been reached; write down which."""
        why = "" if self.stop is None else self.stop.reached()
        if why:
            self._estimator.net_.history.why = why
        return bool(why)

    def end(self) -> None:
        """End the fit, however it ends."""
        self.calls.end(self._estimator.net_)


class Scorer:
    """What `scoring` says of the rows to validate with.

    A name is that of a scorer which looks at predictions alone: it is given rows as the net reads them. Of several
    targets with classes of their own it scores each, and the mean counts. A function is given the estimator, and rows
    as the user gave them.

    Parameters
    ----------
    estimator : Extended
    scoring : str or callable
    """

    def __init__(self, estimator: Extended, scoring: Any) -> None:
        self._of, self._scoring, self._score = estimator, scoring, check_scoring(estimator, scoring)
        self._targets: list[OfTarget] = []
        self._probe: Any = estimator
        if isinstance(scoring, str):
            self._probe = _of_read_rows(estimator)
            self._targets = [OfTarget(labels) for labels in estimator._targets_apart()]
        takes = inspect.signature(self._score).parameters
        several = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
        self._takes_weights = several or "sample_weight" in takes

    def __call__(self, rows: Validation, y: Any) -> float:
        """Return the score of rows, larger ones being better.

        Raises
        ------
        ValueError
            Where the scorer is none for such targets.
        """
        if not self._targets:
            return self._number(self._probe, rows.x if isinstance(self._scoring, str) else rows.given, y, rows, "")
        known: Any = self._probe._known_labels
        outputs = known._split(self._probe._outputs(rows.x))
        found = []
        for j, (target, part, column) in enumerate(zip(self._targets, outputs, known._each(y), strict=True)):
            target.outputs = part
            found.append(self._number(target, rows.x, column, rows, f", output {j} of y"))
        return float(np.mean(found))

    def _number(self, estimator: Any, x: Any, y: Any, rows: Validation, where: str) -> float:
        more = {"sample_weight": rows.weight} if rows.weight is not None and self._takes_weights else {}
        try:
            found = self._score(estimator, x, y, **more)
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, AttributeError) and not isinstance(self._scoring, str):  # of what a function does
                raise
            raise cannot_score(type(self._of).__name__, self._scoring, y, where, self._others(), error) from error
        return as_score(found)

    def _others(self) -> str:
        """Return what would do in place of a scorer that failed."""
        others = "a function scoring(model, X, y), or 'loss'"
        if isinstance(self._scoring, str) or not self._of._targets_apart():
            return f"a scorer for such targets, {others}"
        return (
            f"the name of a scorer of one target ('f1_macro' ...), of which the mean over the outputs counts, {others}"
        )


def _of_read_rows(estimator: Extended) -> Extended:
    """Return the estimator as one of rows that the net reads."""
    found = copy.copy(estimator)
    own = found.__dict__
    if "_categories" in own:
        found.n_features_in_ = len(own.pop("_categories").made)
    own.pop("feature_names_in_", None)
    return found


class OfTarget:
    """What a scorer sees of one of several targets with classes of their own: a classifier of that alone.

    Parameters
    ----------
    labels : Labels

    Attributes
    ----------
    outputs : ndarray of shape (rows, width)
        Of the net, for this target.
    """

    outputs: Array

    def __init__(self, labels: Labels) -> None:
        self._labels, self.classes_ = labels, labels.classes

    def __sklearn_tags__(self) -> Any:
        return DummyClassifier().__sklearn_tags__()

    def fit(self, x: Any, y: Any) -> OfTarget:
        """Return itself: scorers ask for the method, and it is fitted."""
        return self

    def predict(self, x: Any) -> Array:
        """Return the classes that the outputs stand for."""
        return self._labels.labels(self.outputs)

    @available_if(lambda self: not self._labels.margins)  # type: ignore[untyped-decorator]
    def predict_proba(self, x: Any) -> Array:
        """Return their probabilities."""
        found: Array = self._labels.probabilities(self.outputs)
        return found

    @available_if(lambda self: self._labels.margins)  # type: ignore[untyped-decorator]
    def decision_function(self, x: Any) -> Array:
        """Return the margins."""
        found: Array = self._labels.margins_of(self.outputs)
        return found
