"""Small data sets that come with the package; fastnn/data/LICENSES.md states their sources and licences."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return 1,797 handwritten digits: pixels (1797, 64), 8 x 8 grey values from 0 to 16, and labels (1797,).

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998), UCI Machine Learning
    Repository, doi:10.24432/C50P49, CC BY 4.0.
    """
    with (files("fastnn") / "data" / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        return np.ascontiguousarray(data["pixels"]), data["labels"].astype(np.int64)


def load_exam_scores() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of 25 students: exams 1 to 3 (25, 3), of 100 points, and the final (25, 1), of 200 points."""
    with (files("fastnn") / "data" / "exam_scores.csv").open(encoding="utf-8") as file:
        table: NDArray[Any] = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, :3], table[:, 3:]
