"""Ranks of methods over sets, whether they differ (Friedman, Nemenyi; Demšar 2006), as tables and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """Mean ranks, 1 the best, over the sets on which all methods have a score.

    Attributes
    ----------
    mean : dict of str to float
        By method, the best first.
    sets : int
        How many sets they are means of.
    p : float
        Of Friedman's test: how likely ranks are that differ so much, were all methods equally good.
    critical : float
        Nemenyi's critical difference at 5 %: mean ranks closer than this do not differ.
    """

    mean: dict[str, float]
    sets: int
    p: float
    critical: float


def ranks_of(scores: Mapping[str, Mapping[str, float]], larger_is_better: bool = True) -> Ranks:
    """Rank the methods on each set: `scores` by set, then by method; equal scores share their mean rank."""
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    methods = list(next(iter(scores.values())))
    table = np.array([[row[m] for m in methods] for row in scores.values()])
    ranks = np.apply_along_axis(rankdata, 1, -table if larger_is_better else table)
    k, n = len(methods), len(table)
    mean = dict(sorted(zip(methods, ranks.mean(axis=0).tolist(), strict=True), key=lambda pair: pair[1]))
    testable = k > 2 and n > 1 and np.ptp(ranks.mean(axis=0)) > 0
    p = float(friedmanchisquare(*ranks.T).pvalue) if testable else float("nan")
    quantile = float(studentized_range.ppf(0.95, k, np.inf)) / np.sqrt(2) if k > 1 else 0.0
    return Ranks(mean, n, p, float(quantile * np.sqrt(k * (k + 1) / (6 * n))))


def cliques(ranks: Ranks) -> list[tuple[float, float]]:
    """Return the largest runs of mean ranks that do not differ, as intervals."""
    sorted_ranks = list(ranks.mean.values())
    found: list[tuple[float, float]] = []
    for i, low in enumerate(sorted_ranks):
        high = max(r for r in sorted_ranks[i:] if r - low <= ranks.critical)
        if high > low and (not found or high > found[-1][1]):
            found.append((low, high))
    return found


def draw(panels: Mapping[str, Ranks], path: Path) -> None:
    """Save critical-difference diagrams below each other: bars join methods whose mean ranks do not differ."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from PIL import Image  # which matplotlib brings

    rows = [(len(ranks.mean) + 1) // 2 for ranks in panels.values()]
    heights = [1.5 + 0.3 * n for n in rows]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (title, ranks) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, title, ranks)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(32)  # colours are few, and a page's pictures small
    small.save(path, optimize=True)


def _panel(axis: Any, title: str, ranks: Ranks) -> None:
    methods, k = list(ranks.mean.items()), len(ranks.mean)
    bars = cliques(ranks)
    top = 0.35 * len(bars) + 0.5
    half, left, right = (k + 1) // 2, 1 - 0.04 * k, k + 0.04 * k
    axis.hlines(0, 1, k, color="black", lw=1)
    for rank in range(1, k + 1):
        axis.vlines(rank, -0.12, 0, color="black", lw=1)
        axis.text(rank, -0.2, str(rank), ha="center", va="bottom", fontsize=9)
    for i, (name, rank) in enumerate(methods):
        first = i < half
        y, edge = top + (i if first else k - 1 - i), left if first else right
        ours = name.startswith(("Tabular", "fastnn"))
        color = "tab:blue" if ours else "black"
        axis.plot([rank, rank, edge], [0, y, y], color=color, lw=1)
        axis.text(
            edge + (-0.05 if first else 0.05), y, f"{name}  {rank:.1f}" if first else f"{rank:.1f}  {name}",
            ha="right" if first else "left", va="center", fontsize=10, color=color,
            fontweight="bold" if ours else "normal",
        )  # fmt: skip
    for i, (low, high) in enumerate(bars):
        axis.plot([low - 0.03, high + 0.03], [0.3 + 0.35 * i] * 2, color="tab:red", lw=4, solid_capstyle="round")
    axis.plot([1, 1 + ranks.critical], [-1.15, -1.15], color="tab:red", lw=2)
    text = f"critical difference {ranks.critical:.2f}"
    axis.text(1 + ranks.critical / 2, -1.25, text, ha="center", va="bottom", fontsize=9)
    axis.set_title(f"{title}: mean rank over {ranks.sets} sets, 1 is best", fontsize=11)
    axis.set(xlim=(left - 0.3 * k, right + 0.3 * k), ylim=(top + half - 0.3, -1.9))
    axis.axis("off")


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown with the first column on the left and the others on the right."""
    lines = [list(headings), ["---", *["---:"] * (len(headings) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
