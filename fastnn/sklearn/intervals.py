"""Intervals that hold what they promise: conformal prediction from rows that were not trained with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Record

Floats = NDArray[np.float64]


class Residuals:
    """Residuals of rows that were not trained with, each in units of how large it was expected to be.

    Parameters
    ----------
    residuals : ndarray of shape (rows, targets)
        What is right, less what was predicted.
    scale : ndarray of shape (rows, targets) or None
        How large they were expected to be; None is 1 for all.
    weight : ndarray of shape (rows,) or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.sklearn.intervals import Residuals
    >>> Residuals(np.arange(-9.0, 10.0)[:, None]).bounds(0.8)
    (array([-8.]), array([8.]))
    """

    def __init__(self, residuals: Floats, scale: Floats | None = None, weight: Floats | None = None) -> None:
        scores = residuals if scale is None else residuals / scale
        order = np.argsort(scores, axis=0, kind="stable")
        self.scores = np.take_along_axis(scores, order, axis=0)
        self.weights = None if weight is None else weight[order] / weight.mean()

    def state(self) -> dict[str, Any]:
        """Return what `from_state` makes it of again."""
        return {"scores": self.scores, "weights": self.weights}

    @classmethod
    def from_state(cls, state: Record, targets: int) -> Residuals:
        """Return what has come to that: residuals in order, with their weights."""
        found = cls.__new__(cls)
        found.scores = scores = state.array("scores", np.float64, None, targets)
        found.weights = state.array("weights", np.float64, *scores.shape) if state.has("weights") else None
        negative = found.weights is not None and (found.weights < 0).any()
        if not len(scores) or (np.diff(scores, axis=0) < 0).any() or negative:
            raise ModelFormatError("the residuals for intervals are not in order, or weigh less than nothing")
        return found

    def bounds(self, coverage: float) -> tuple[Floats, Floats]:
        """Return a lower and an upper bound for each target, between which lies the share `coverage`.

        With n residuals they are the k-th from both ends, k = ⌊(n + 1) (1 - coverage) / 2⌋: of rows like these, at
        least the share `coverage` lies between (Vovk, Gammerman & Shafer 2005; Lei et al. 2018).

        Raises
        ------
        ValueError
            Where there are too few residuals for such a share.
        """
        n = len(self.scores)
        tail = (1 - coverage) / 2
        if (n + 1) * tail < 1 - 1e-9:
            raise ValueError(
                f"predict_interval: coverage is {coverage}, expected at most {max(0.0, 1 - 2 / (n + 1)):.3g}: {n} rows "
                "were held out in the fit, and an interval needs one beyond each of its ends"
            )
        if self.weights is None:
            k = int((n + 1) * tail + 1e-9)
            return self.scores[k - 1], self.scores[n - k]
        low, high = np.empty(self.scores.shape[1]), np.empty(self.scores.shape[1])
        for j in range(len(low)):
            total = np.cumsum(self.weights[:, j])
            wanted = (total[-1] + 1) * tail
            low[j] = self.scores[max(0, int(np.searchsorted(total, wanted, "right")) - 1), j]
            rest = np.cumsum(self.weights[::-1, j])
            high[j] = self.scores[::-1][max(0, int(np.searchsorted(rest, wanted, "right")) - 1), j]
        return low, high
