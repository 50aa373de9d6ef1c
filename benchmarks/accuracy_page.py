"""The tables of docs/accuracy.md, from the lines that bench_accuracy.py has measured: one command renews them.

A page says where each of them stands: between ``<!-- ranks -->`` and ``<!-- end of ranks -->``, for example.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_ranks import Ranks, markdown

Line = dict[str, Any]
SHORT = {"scikit-learn MLP": "sklearn MLP", "HistGradientBoosting": "HistGB"}
MEASURES = (("score", "Score"), ("log_loss", "Log loss"), ("ece", "Calibration error"))


def short(method: str) -> str:
    """Return the name for the head of a column: that of a preset alone."""
    return SHORT.get(method, method.removeprefix("Tabular "))


def common(lines: Sequence[Line], methods: Sequence[str]) -> tuple[list[Line], list[str]]:
    """Return the lines of those splits that all methods have, and which methods those are.

    A method with less than a third of the splits that another has is left out: it would take theirs from the others.
    """
    of: dict[str, set[tuple[str, int]]] = {method: set() for method in methods}
    for line in lines:
        if "score" in line and line["method"] in of:
            of[line["method"]].add((line["set"], line["seed"]))
    most = max(map(len, of.values()))
    kept = [method for method in methods if 3 * len(of[method]) >= most]
    splits = set.intersection(*(of[method] for method in kept))
    found = [line for line in lines if line["method"] in kept and (line["set"], line["seed"]) in splits]
    return [line for line in found if "score" in line], kept


def said(lines: Sequence[Line], date: str) -> str:
    """Return what was measured, in words."""
    seeds = Counter(seed for _, seed in {(line["set"], line["seed"]) for line in lines})
    rows = max(line["rows"] for line in lines)
    threads = max(line["threads"] for line in lines)
    of_seeds = []
    for n in sorted(set(seeds.values())):
        alike = [str(seed) for seed in sorted(seeds) if seeds[seed] == n]
        of_seeds.append(f"{n} with {'seed' if len(alike) == 1 else 'each of the seeds'} {', '.join(alike)}")
    sets = len({line["set"] for line in lines})
    return (
        f"Measured until {date}: {sets} sets, {sum(seeds.values())} splits ({'; '.join(of_seeds)}), at most {rows:,} "
        f"training rows, {threads} thread{'s' if threads > 1 else ''}."
    )


def of_ranks(ranks: Mapping[str, Ranks], lines: Sequence[Line], methods: Sequence[str]) -> str:
    """Return mean ranks and seconds as a table."""
    rows = []
    for title, r in ranks.items():
        best = min(r.mean.values())
        cells = [f"**{r.mean[m]:.2f}**" if r.mean[m] == best else f"{r.mean[m]:.2f}" for m in methods]
        rows.append([f"{title}, {r.sets} sets; {r.critical:.2f}", *cells])
    seconds = [[line["fit_cpu_seconds"] for line in lines if line["method"] == m] for m in methods]
    rows.append(["CPU seconds of a fit, mean", *(f"{np.mean(one):.3g}" for one in seconds)])
    return markdown(["mean rank; critical difference", *map(short, methods)], rows)


def of_sets(found: Mapping[str, Mapping[str, tuple[float, float]]], methods: Sequence[str], larger: bool) -> str:
    """Return the means of each set as a table, the best one bold."""
    rows = []
    for name, row in found.items():
        texts = [f"{row[m][0]:.3f}".replace("-", "−") for m in methods]
        best = (max if larger else min)(row[m][0] for m in methods)
        best_text = f"{best:.3f}".replace("-", "−")
        rows.append([name, *(f"**{text}**" if text == best_text else text for text in texts)])
    return markdown(["set", *map(short, methods)], rows)


def of_pairs(lines: Sequence[Line], ours: Sequence[str], others: Sequence[str]) -> str:
    """Return on how many sets our methods are better, of those splits that both of a pair have."""
    score: dict[str, dict[tuple[str, int], float]] = {}
    for line in lines:
        if "score" in line:
            score.setdefault(line["method"], {})[line["set"], line["seed"]] = line["score"]
    rows = []
    for other in others:
        cells, splits = [], 0
        for method in ours:
            both = score.get(method, {}).keys() & score.get(other, {}).keys()
            splits = max(splits, len(both))
            gains: dict[str, list[float]] = {}
            for split in both:
                gains.setdefault(split[0], []).append(score[method][split] - score[other][split])
            signs = [np.sign(np.mean(one)) for one in gains.values()]
            cells.append(f"{signs.count(1)} – {signs.count(0)} – {signs.count(-1)}" if signs else "")
        rows.append([short(other), str(splits), *cells])
    return markdown(["against", "splits", *map(short, ours)], rows)


def renew(page: Path, blocks: Mapping[str, str]) -> None:
    """Write each block between its marks on a page.

    Raises
    ------
    ValueError
        Where the page lacks marks.
    """
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not marks.search(text):
            raise ValueError(f"{page} has no marks <!-- {name} --> and <!-- end of {name} -->")
        text = marks.sub(lambda found, block=block: f"{found[1]}\n{block}\n\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")
