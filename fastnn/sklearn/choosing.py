"""By what the epoch of a net is chosen."""

from __future__ import annotations

import warnings
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer

from fastnn.checks import shown
from fastnn.model import Model
from fastnn.sklearn.borrowed import rows_of
from fastnn.sklearn.frames import Columns, Floats
from fastnn.sklearn.scores import as_score, cannot_score

if TYPE_CHECKING:
    from fastnn.sklearn.ensemble import Tabular


_ONE = Lock()  # filters of warnings are those of all threads


def is_real(value: object) -> bool:
    """Whether it is a number, and no truth value."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def scorer_for(where: str, scoring: Any) -> Any:
    """Return what scores: `scoring` itself, or scikit-learn's of that name."""
    if isinstance(scoring, str):
        try:
            return get_scorer(scoring)
        except ValueError:
            raise ValueError(
                f"{where} is {scoring!r}, expected a name of sklearn.metrics.get_scorer_names(), a callable or None"
            ) from None
    if scoring is None or callable(scoring):
        return scoring
    raise TypeError(f"{where} is {shown(scoring)}, expected the name of a scorer, a callable or None")


class Score:
    """What a scorer of scikit-learn says of a net: as a function of the net."""

    def __init__(self, estimator: Tabular, scorer: Any, held: Any, validation: Any) -> None:
        self._of, self._scorer, self._held = estimator, scorer, held
        self._judged = judged = (JudgedClasses if estimator._of_classes else Judged)(estimator)
        judged.rows = held[0] if isinstance(estimator.scoring, str) else _rows_as_given(estimator, validation)
        self._weights = {}
        if len(held) > 2:
            allowed = signature(scorer).parameters.values()
            if any(one.name == "sample_weight" or one.kind == one.VAR_KEYWORD for one in allowed):
                self._weights = {"sample_weight": held[2]}
        self._lacks = []
        if estimator._of_classes:
            self._lacks = np.delete(estimator.classes_, np.unique(held[1])).tolist()
        self.why = ""

    def __call__(self, model: Model) -> float:
        """Return the score, NaN where there is none: `why` says it."""
        judged, (x, y) = self._judged, self._held[:2]
        judged.model, judged.outputs = model, model.predict(x, n_threads=1).astype(np.float64)
        targets = judged.targets_of(y)
        self.why = f"the rows that were set aside lack the classes {self._lacks}" if self._lacks else "it was NaN"
        try:
            with _ONE, warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)  # LastBest says it once
                return as_score(self._scorer(judged, judged.rows, targets, **self._weights))
        except AttributeError as error:  # of a scorer for classes, which asks for probabilities
            if not isinstance(self._of.scoring, str):
                raise
            raise self._cannot(targets, error) from error
        except ValueError as error:
            if not self._lacks:
                raise self._cannot(targets, error) from error
            self.why += f": {error}"
            return float("nan")

    def _cannot(self, targets: Any, error: Exception) -> ValueError:
        expected = "a scorer for such targets, or a function scoring(net, X, y)"
        said = ValueError(str(error).replace(type(self._judged).__name__, self._of._name))
        return cannot_score(self._of._name, self._of.scoring, targets, "", expected, said)


def _rows_as_given(estimator: Tabular, validation: Any) -> Any:
    """Return the rows to validate with as the user gave them; these are places among the rows to train with."""
    given, counted, validation_data = estimator._shown
    if validation is None:
        return validation_data[0]
    rows = validation if counted is None else counted[validation]
    return given.take(rows) if isinstance(given, Columns) else rows_of(given, rows)


class Judged:
    """What a scorer sees in place of an estimator: a net in training, whose outputs for the rows are there already.

    Attributes
    ----------
    rows : array_like or data frame
    outputs : ndarray of shape (rows, outputs)
    model : Model
    """

    rows: Any
    outputs: Floats
    model: Model

    def __init__(self, estimator: Tabular) -> None:
        self._of = estimator
        self._estimator_type = "classifier" if estimator._of_classes else "regressor"
        if estimator._of_classes:
            self.classes_ = estimator.classes_

    def _outputs_for(self, x: Any) -> Floats:
        if x is self.rows:
            return self.outputs
        return self.model.predict(self._of._read(x), n_threads=1).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        return self._of.__sklearn_tags__()

    def fit(self, x: Any, y: Any) -> Any:
        """Return itself: scorers ask for the method, and it is fitted."""
        return self

    def targets_of(self, y: Any) -> Any:
        """Return targets as the user gave them."""
        return self._of._as_given(y)

    def predict(self, x: Any) -> Any:
        """Return what the outputs stand for."""
        return self._of._predicted(self._outputs_for(x))


class JudgedClasses(Judged):
    """The same, of probabilities."""

    def predict_proba(self, x: Any) -> Floats:
        """Return them, as sums of 1 in float64."""
        outputs = self._outputs_for(x)
        found: Floats = outputs / outputs.sum(axis=1, keepdims=True)
        return found
