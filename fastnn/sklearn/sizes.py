"""How wrong predictions of numbers may be: nets that learn the size of residuals, and the intervals made of them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.records import Record
from fastnn.model import Model
from fastnn.sklearn.ensemble import Tabular
from fastnn.sklearn.frames import Floats
from fastnn.sklearn.intervals import Residuals
from fastnn.sklearn.jobs import Job, Matrix, held_out, in_folds, joined
from fastnn.sklearn.recipes import recipe_for
from fastnn.sklearn.saving import sizes_from

_LEAST_JUDGED = 10  # rows of which some are held out for intervals
_LEAST_SIZED = 400  # residuals from which it is learnt how large they are
_LEAST_SIZE = 0.05  # of the mean residual: what is added to each, whose logarithm is learnt


class Sized(Tabular):
    """An estimator of numbers that says in which intervals they lie."""

    _mean: Floats
    _spread: Floats
    _one_column: bool
    _sizes: list[Model]
    _size_mean: Array
    _size_spread: Array
    _residuals: Residuals | None

    def _after(self, data: Any, seeds: Any, began: float) -> None:
        parts = self._parts
        matrix = data[0]
        if not parts and self._dtype == "float64" and len(matrix) >= _LEAST_JUDGED:  # few rows: nets that judge alone
            splits = in_folds(None, len(matrix), 5, int(seeds[1]))
            jobs = [Job(self.recipe_, int(seeds[2]), *split) for split in splits]
            self._train(jobs, data, None, began)
            parts = held_out(jobs, data, None)
        self._sizes, self._residuals = [], None
        if not parts:
            return
        targets, weights = joined(parts)
        residuals = targets - self._outputs_of_parts(parts)
        scale = None
        if self.preset != "fast" and len(residuals) >= _LEAST_SIZED:
            scale = self._learn_sizes(np.concatenate([part.matrix for part in parts]), residuals, int(seeds[2]), began)
        self._residuals = Residuals(residuals, scale, weights)

    def _learn_sizes(self, matrix: Matrix, residuals: Floats, seed: int, began: float) -> Floats | None:
        """Train two nets, each on half of the rows, on how large residuals are, and return what the other one says."""
        sizes = np.log(np.abs(residuals) + _LEAST_SIZE * np.abs(residuals).mean(axis=0) + 1e-30)
        self._size_mean, self._size_spread = sizes.mean(axis=0), np.maximum(sizes.std(axis=0), 1e-6)
        learnt = ((sizes - self._size_mean) / self._size_spread).astype(self._dtype)
        rows = np.random.RandomState(seed).permutation(len(matrix))
        halves = rows[::2], rows[1::2]
        recipe, jobs = recipe_for("fast", len(matrix)), []
        for i, half in enumerate(halves):
            held = max(1, len(half) // 5)
            jobs.append(Job(recipe, (seed + i) % 2**31, half[held:], half[:held]))
        left = None if self.time_limit is None else float(self.time_limit) - (time.perf_counter() - began)
        if left is not None and left < 0.1 * float(self.time_limit or 0):
            return None
        self._train(jobs, (matrix, learnt, None, None), None, began, scored=False)
        self._sizes = [job.net for job in jobs]
        found = np.empty(residuals.shape)
        for own, other in ((0, 1), (1, 0)):
            found[halves[own]] = self._sizes[other].predict(matrix[halves[own]])
        scale: Floats = np.exp(found * self._size_spread + self._size_mean)
        return scale

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[Any, Any]:
        """Return the lower and the upper bound of intervals in which the targets of that share of rows lie.

        They are conformal: the quantiles of residuals of rows that were not trained with, as many beyond each end; with
        the presets "balanced" and "best", and at least 400 rows, in units of what two nets expect of the size of
        residuals, so that intervals are wide where predictions are bad.

        Parameters
        ----------
        X : as in `predict`
        coverage : float
            Above 0 and below 1.

        Returns
        -------
        tuple of ndarray
            Of the shape of predictions, in units of the targets.
        """
        if not isinstance(coverage, (int, float, np.number)) or not 0 < coverage < 1:
            raise ValueError(f"predict_interval: coverage is {coverage!r}, expected a number above 0 and below 1")
        matrix = self._matrix(X)
        if self._residuals is None:
            raise ValueError(
                "predict_interval needs rows that were not trained with, and the fit held none out: it had fewer than "
                f"{_LEAST_JUDGED}, or validation_fraction=0"
            )
        low, high = self._residuals.bounds(float(coverage))
        outputs = self._outputs_of(self.nets_, matrix).mean(axis=0)
        scale: Any = 1.0
        if self._sizes:
            logarithms = np.mean([net.predict(matrix) for net in self._sizes], axis=0, dtype=np.float64)
            scale = np.exp(logarithms * self._size_spread + self._size_mean)
        ends = (outputs + bound * scale for bound in (low, high))
        lower, upper = (end * self._spread + self._mean for end in ends)
        return (lower[:, 0], upper[:, 0]) if self._one_column else (lower, upper)

    # -- what is saved ------------------------------------------------------------------------------------------------

    def _state_of_intervals(self) -> dict[str, Any]:
        sized = {"nets": [*self._sizes], "mean": self._size_mean, "spread": self._size_spread} if self._sizes else None
        return {"sizes": sized, "residuals": None if self._residuals is None else self._residuals.state()}

    def _restore_intervals(self, record: Record) -> None:
        self._sizes, self._residuals = [], None
        if record.has("sizes"):
            self._sizes, self._size_mean, self._size_spread = record.part("sizes", lambda of: sizes_from(self, of))
        if record.has("residuals"):
            self._residuals = record.part("residuals", lambda of: Residuals.from_state(of, len(self._mean)))
