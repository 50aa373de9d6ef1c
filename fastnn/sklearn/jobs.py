"""Nets to train with their rows, and the rows that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

from fastnn.callbacks import Callback
from fastnn.model import Model
from fastnn.sklearn.frames import Floats
from fastnn.sklearn.recipes import LastBest, Recipe

Rows = NDArray[np.intp]
Matrix = NDArray[Any]


class Job:
    """One net with the rows that it learns from and those that it is validated on; None is the given ones."""

    __slots__ = ("best", "net", "recipe", "rows", "seed", "stop_at", "validation")
    net: Model

    def __init__(
        self, recipe: Recipe, seed: int, rows: Rows | None, validation: Rows | None, stop_at: int | None = None
    ) -> None:
        self.recipe, self.seed, self.rows, self.validation, self.stop_at = recipe, seed, rows, validation, stop_at
        self.best: LastBest | None = None


class StopAt(Callback):
    """End a fit behind an epoch, whose place in the schedules is that of a longer fit."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def __call__(self, model: Model, epoch: int, logs: Any) -> bool:
        """Whether this was the one."""
        return epoch >= self._epoch

    @property
    def reason(self) -> str:
        return f"epoch {self._epoch + 1} was the best one on the rows that were set aside"


class Part(NamedTuple):
    """Rows that some nets were not trained with: as the nets read them, with targets and weights."""

    nets: tuple[Model, ...]
    matrix: Matrix
    learnt: Any
    weight: Floats | None


def joined(parts: Sequence[Part]) -> tuple[Any, Floats | None]:
    """Return targets and weights of all parts."""
    weights = [part.weight for part in parts if part.weight is not None]
    return np.concatenate([part.learnt for part in parts]), np.concatenate(weights) if weights else None


def held_out(jobs: Sequence[Job], data: Any, given: Any) -> list[Part]:
    """Return the rows that were not trained with, and for each the nets that have not seen it."""
    matrix, learnt, _, weight = data
    nets = tuple(job.net for job in jobs)
    if given is not None:
        return [Part(nets, given[0], given[1], given[2] if len(given) > 2 else None)]
    if any(job.validation is None for job in jobs):
        return []
    of_rows: dict[int, list[Job]] = {}
    for job in jobs:
        of_rows.setdefault(id(job.validation), []).append(job)
    parts = []
    for same in of_rows.values():
        rows = same[0].validation
        of = tuple(job.net for job in same)
        parts.append(Part(of, matrix[rows], learnt[rows], None if weight is None else weight[rows]))
    return parts


def in_folds(labels: Any, n: int, k: int, seed: int) -> list[tuple[Rows | None, Rows | None]]:
    """Return k times the rows to train with and those that are held out, each once; stratified where that can be."""
    stratified = labels is not None and _fewest(labels) >= k
    splitter = (StratifiedKFold if stratified else KFold)(k, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((n, 1)), labels))


def one_held_out(labels: Any, n: int, share: float, seed: int, where: str) -> list[tuple[Rows | None, Rows | None]]:
    """Return the rows to train with and a share that is held out.

    Raises
    ------
    ValueError
        Where that would be all rows.
    """
    held = max(1, round(share * n))
    if held >= n:
        raise ValueError(f"{where}, of {n} rows all: expected less, so that there are rows to train with")
    classes = 0 if labels is None else len(np.unique(labels))
    stratified = labels is not None and _fewest(labels) >= 2 and held >= classes and n - held >= classes
    splitter = (StratifiedShuffleSplit if stratified else ShuffleSplit)(1, test_size=held, random_state=seed)
    return list(splitter.split(np.zeros((n, 1)), labels))


def _fewest(labels: Any) -> int:
    """Return how many rows the rarest class has."""
    return int(np.bincount(labels)[np.unique(labels)].min())
