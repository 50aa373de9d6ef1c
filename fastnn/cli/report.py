"""What is said of a model: scores beside a baseline, calibration, importances, columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score

from fastnn.markup import text_table
from fastnn.metrics import CalibrationError

_BARS = 24  # letters of the longest bar
_MOST = 20  # columns whose importance is shown

Floats = NDArray[np.float64]


def of_classes(y: NDArray[Any], p: Floats, classes: NDArray[Any]) -> dict[str, float]:
    """Return what probabilities are worth."""
    labels = np.arange(len(classes))
    codes = np.searchsorted(classes, y)
    found = {
        "accuracy": float(accuracy_score(codes, p.argmax(axis=1))),
        "log loss": float(log_loss(codes, p, labels=labels)),
        "calibration error": float(CalibrationError()(codes, p)),
    }
    if len(classes) == 2 and 0 < codes.mean() < 1:
        found["ROC AUC"] = float(roc_auc_score(codes, p[:, 1]))
    return found


def of_numbers(y: Floats, predicted: Floats) -> dict[str, float]:
    """Return what predicted numbers are worth."""
    return {
        "R²": float(r2_score(y, predicted)) if len(y) > 1 else float("nan"),
        "RMSE": float(np.sqrt(np.mean(np.square(y - predicted)))),
        "MAE": float(mean_absolute_error(y, predicted)),
    }


def scores(ours: Sequence[Mapping[str, float]], baseline: Sequence[Mapping[str, float]], named: str) -> Iterator[str]:
    """Yield a table of scores: mean and standard deviation over folds, beside those of a baseline."""
    rows = []
    for name in ours[0]:
        cells = []
        for of in (ours, baseline):
            values = [one[name] for one in of if name in one]
            mean = f"{np.mean(values):.4g}" if values else "-"
            spread = float(np.std(values)) if len(values) > 1 else 0.0
            rounding = 1e-12 * max(map(abs, values), default=0.0)
            cells.append(f"{mean} ± {spread if spread > rounding else 0:.2g}" if len(values) > 1 else mean)
        rows.append([name, *cells])
    yield from text_table(["", "model", named], rows, 2)


def calibration(y: NDArray[Any], p: Floats, classes: NDArray[Any]) -> Iterator[str]:
    """Yield how often the most likely class was right, by how sure the model was."""
    sure, right = p.max(axis=1), classes[p.argmax(axis=1)] == y
    edges = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]
    rows = []
    for low, high in pairwise(edges):
        inside = (sure > low) & (sure <= high)
        if inside.any():
            cells = [f"{inside.sum():,}", f"{sure[inside].mean():.3f}", f"{right[inside].mean():.3f}"]
            rows.append([f"{low:.0%} to {high:.0%}", *cells])
    yield from text_table(["said", "rows", "mean of what was said", "share that was right"], rows, 3)


def importances(names: Sequence[str], values: Floats, unit: str) -> Iterator[str]:
    """Yield by how much a score falls where a column is permuted, with bars."""
    order = [i for i in np.argsort(-values, kind="stable").tolist() if values[i] > 0]
    if not order:
        yield "no column counts by itself"
        return
    top = values[order[0]]
    rows = [[names[i], f"{values[i]:.4g}", "#" * max(1, round(_BARS * float(values[i] / top)))] for i in order[:_MOST]]
    lines = text_table(["column", unit, ""], rows, 0)
    yield from lines
    if len(order) > _MOST:
        yield f"... and {len(order) - _MOST:,} more that count less"
    rest = len(values) - len(order)
    if rest:
        yield f"{rest:,} more count{'s' if rest == 1 else ''} for nothing by {'itself' if rest == 1 else 'themselves'}"


def section(title: str, lines: Iterator[str], write: Callable[[str], None]) -> None:
    """Write lines below a title."""
    write(f"\n{title}\n")
    for line in lines:
        write(line)
