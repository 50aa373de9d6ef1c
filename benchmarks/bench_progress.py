"""What it costs to watch a fit: its seconds with progress shown, callbacks or metrics, by those without."""

import argparse
import io
import sys
import time
from collections.abc import Callable
from typing import Any

import frame
import numpy as np

from fastnn import Callback, Dense, LearningRateMonitor, Model, Softmax, TimeLimit


class Terminal(io.StringIO):
    """What a bar is shown on."""

    def isatty(self) -> bool:
        return True


class Batches(Callback):
    """Called at each batch."""

    def end_batch(self, model: Model, batch: int, logs: Any) -> None:
        """Do nothing."""


WATCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing": lambda: {"verbose": False},
    "a bar": lambda: {"verbose": True},
    "a time limit": lambda: {"callbacks": [TimeLimit(3600)], "verbose": False},
    "a callback at epochs": lambda: {"callbacks": [LearningRateMonitor()], "verbose": False},
    "a callback at batches": lambda: {"callbacks": [Batches()], "verbose": False},
}


def seconds(x: np.ndarray, y: np.ndarray, epochs: int, options: dict[str, Any]) -> float:
    """Return how long a fit takes, with its bar on no screen."""
    net = Model([Dense(64, "relu"), Dense(64, "relu"), Dense(2), Softmax()], seed=0)
    net.fit(x, y, epochs=1, verbose=False)
    before, sys.stderr = sys.stderr, Terminal()
    try:
        begin = time.perf_counter()
        net.fit(x, y, epochs=epochs, n_threads=frame.THREADS, **options)
        return time.perf_counter() - begin
    finally:
        sys.stderr = before


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    named = [name for name in WATCHES if chosen.only in name]
    if not named:
        return
    rows, epochs, times = (500, 2, 1) if chosen.smoke else (20_000, 12, 2 if chosen.quick else 7)
    x = np.random.default_rng(0).normal(size=(rows, 20)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    found: dict[str, list[float]] = {name: [] for name in dict.fromkeys(["nothing", *named])}
    for _ in range(times):
        for name, own in found.items():
            own.append(seconds(x, y, epochs, WATCHES[name]()))
    for name, own in found.items():
        print(f"{name}: {min(own):.3f} s, {min(own) / min(found['nothing']):.3f} x")
        report.rows.append({"watched by": name, "seconds": own})


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
