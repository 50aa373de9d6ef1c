"""Training curves as text, for terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 60, 10
_MARKS = "*o+x"
_DECADES = 100.0  # a curve that spans more is drawn by its logarithm
_EVERY = 3  # lines between numbers of the axis


def curve(series: Mapping[str, Sequence[float]], width: int = _WIDTH, height: int = _HEIGHT) -> list[str]:
    """Return lines that show how numbers went, epoch by epoch: up to four of them, each with a mark of its own.

    Where there are more epochs than columns, a column is the mean of some. What is no number is left out.

    Parameters
    ----------
    series : mapping of str to sequence of float
        Of the same length, in the order of the marks: where two meet, the first one is seen.

    Examples
    --------
    >>> from fastnn.formats.curves import curve
    >>> for line in curve({"loss": [8, 4, 2, 1]}, width=8, height=4):
    ...     print(line)
    8 |**
      |
      |  **
    1 |    ****
      +--------
       epoch 1 to 4: * loss
    """
    series = dict(list(series.items())[: len(_MARKS)])
    epochs = max(map(len, series.values()), default=0)
    if not epochs:
        return []
    columns = {name: _columns(values, epochs, width) for name, values in series.items()}
    known = [value for values in columns.values() for value in values if math.isfinite(value)]
    if not known:
        return []
    low, high = min(known), max(known)
    by_logarithm = low > 0 and high / low > _DECADES
    if by_logarithm:
        columns = {name: [math.log(v) if v > 0 else math.nan for v in values] for name, values in columns.items()}
        low, high = math.log(low), math.log(high)
    step = (high - low) / (height - 1) or 1.0
    lines = [[" "] * width for _ in range(height)]
    for mark, values in reversed(list(zip(_MARKS, columns.values(), strict=False))):
        for x, value in enumerate(values):
            if math.isfinite(value):
                lines[round((high - value) / step)][x] = mark
    labels = [""] * height
    for i in (*range(0, height - _EVERY + 1, _EVERY), height - 1):
        value = high - i * step
        labels[i] = f"{math.exp(value) if by_logarithm else value:.3g}"
    if high == low:
        labels = [labels[0], *[""] * (height - 1)]
    left = max(map(len, labels))
    said = ", ".join(f"{mark} {name}" for mark, name in zip(_MARKS, series, strict=False))
    return [
        *(f"{label:>{left}} |{''.join(line)}".rstrip() for label, line in zip(labels, lines, strict=True)),
        f"{'':{left}} +{'-' * width}",
        f"{'':{left}}  epoch 1 to {epochs}: {said}{' (logarithmic)' if by_logarithm else ''}",
    ]


def _columns(values: Sequence[float], epochs: int, width: int) -> list[float]:
    """Return the mean of what falls into each column."""
    found = []
    for x in range(width):
        first = x * epochs // width
        some = [v for v in values[first : max((x + 1) * epochs // width, first + 1)] if math.isfinite(v)]
        found.append(math.fsum(some) / len(some) if some else math.nan)
    return found
