"""By what the epoch of a net is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.model import Model
from fastnn.sklearn.frames import Floats

if TYPE_CHECKING:
    from fastnn.sklearn.ensemble import Tabular


class Score:
    """What a scorer of scikit-learn says of a net: as a function of the net."""

    def __init__(self, estimator: Tabular, scorer: Any, held: Any) -> None:
        self._scorer, self._rows, self._judged = (
            scorer,
            held,
            (JudgedClasses if estimator._of_classes else Judged)(estimator),
        )

    def __call__(self, model: Model) -> float:
        x, y = self._rows[:2]
        judged = self._judged
        judged.outputs = model.predict(x, n_threads=1).astype(np.float64)
        weights = {"sample_weight": self._rows[2]} if len(self._rows) > 2 else {}
        return float(self._scorer(judged, x, judged.targets_of(y), **weights))


class Judged:
    """What a scorer sees in place of an estimator: the outputs of an epoch."""

    def __init__(self, estimator: Tabular) -> None:
        self._of = estimator
        self._estimator_type = "classifier" if estimator._of_classes else "regressor"
        self.outputs: Floats = np.empty((0, 0))
        if estimator._of_classes:
            self.classes_ = estimator.classes_

    def __sklearn_tags__(self) -> Any:
        return self._of.__sklearn_tags__()

    def fit(self, x: Any, y: Any) -> Any:
        """Be there, for scorers that ask for it."""
        raise NotImplementedError

    def targets_of(self, y: Any) -> Any:
        """Return targets as the user gave them."""
        return self._of._as_given(y)

    def predict(self, x: Any) -> Any:
        """Return what the outputs stand for."""
        return self._of._predicted(self.outputs)


class JudgedClasses(Judged):
    """The same, of probabilities."""

    def predict_proba(self, x: Any) -> Floats:
        """Return them."""
        return self.outputs
